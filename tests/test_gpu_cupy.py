"""What CuPy itself does that needs no device, where it is installed: views of memory, classes of arrays. The stand-in is NumPy's there."""

import numpy as np
import pytest

from cyconv import nn
from cyconv.devices import device_of, on_gpu
from cyconv.gpu import calls, layout
from cyconv.nn.parameter import worn

cupy = pytest.importorskip("cupy")
RNG = np.random.default_rng(0)


def seen_by_cupy(array):
    """A CuPy array of the memory of a NumPy array, which no kernel may touch."""
    address = array.__array_interface__["data"][0]
    memory = cupy.cuda.UnownedMemory(address, max(array.nbytes, 1), array, 0)
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0), array.strides)


def random_view(rank):
    """An array whose axes are exchanged, reversed, cut or repeated."""
    shape = RNG.integers(1, 5, rank)
    array = np.zeros(shape * RNG.integers(1, 3, rank) + RNG.integers(0, 2, rank), np.float32)
    array = array[tuple([slice(n, None, -1) if RNG.random() < 0.3 else slice(0, n, RNG.integers(1, 3)) for n in shape])]
    return array.transpose(RNG.permutation(rank)) if RNG.random() < 0.5 else array


def assert_alike(one, other):
    """The same shape, and where it matters the same strides and the same address."""
    assert one.shape == other.shape
    if other.size:
        assert [s for s, n in zip(one.strides, one.shape) if n > 1] == [s for s, n in zip(other.strides, other.shape) if n > 1]
        assert one.data.ptr == other.__array_interface__["data"][0]
        assert (one.flags.c_contiguous, one.flags.f_contiguous) == (other.flags.c_contiguous, other.flags.f_contiguous)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_views_of_six_axes_are_numpys(rank):
    for _ in range(200):
        array = random_view(2 + rank)
        groups = next(n for n in (3, 2, 1) if array.shape[1] % n == 0)
        lead = array.shape[0], groups, array.shape[1] // groups
        one, other = (layout.split(a, rank, lead) for a in (seen_by_cupy(array), array))
        assert np.shares_memory(other, array) or not array.size
        assert_alike(one, other)
        steps = (..., *[slice(RNG.integers(0, 3), None, (-1, 1, 2)[RNG.integers(3)]) for _ in range(rank)])
        for change in (
            lambda a: a.swapaxes(0, 2), lambda a: a.transpose(1, 2, 0, 3, 4, 5), lambda a: a[steps], lambda a: a[:, :, ::-1][steps], lambda a: a[1:],
            lambda a: a[(None, slice(None), None)],
        ):  # fmt: skip
            assert_alike(change(one), change(other))


def test_what_overlaps():
    for _ in range(300):
        memory = np.zeros(60, np.float32)
        one, other = (memory[a:b][:: RNG.choice([-2, -1, 1, 2])] for a, b in RNG.integers(0, 60, (2, 2)))
        assert calls.overlap(seen_by_cupy(one), seen_by_cupy(other)) == np.may_share_memory(one, other)


def test_bytes_of_numbers_at_odd_addresses():
    memory = np.zeros(64, np.uint8)
    odd, parts = memory[1:41].view(np.float32)[::2], np.lib.stride_tricks.as_strided(memory[1:], (5, 4), (8, 1))
    one = seen_by_cupy(odd)
    assert calls.lies_whole(seen_by_cupy(np.zeros(4))) and not calls.lies_whole(one)
    assert_alike(cupy.ndarray((*one.shape, one.itemsize), np.uint8, one.data, (*one.strides, 1)), parts)
    assert seen_by_cupy(np.zeros((5, 4), np.uint8)).view(np.float32).reshape(5).shape == (5,)


def test_other_orders_of_bytes_are_refused():
    array = seen_by_cupy(np.zeros(4, np.float32))
    assert array.view(">f4").dtype.name == "float32"  # which is why it must be asked
    with pytest.raises(TypeError, match="^b has dtype >f4"):
        device_of(a=array, b=array.view(">f4"))


def test_parameters_are_of_a_class_derived_from_cupys():
    array = seen_by_cupy(np.zeros((2, 3), np.float32))
    parameter = worn(array)
    assert isinstance(parameter, nn.Parameter) and isinstance(parameter, cupy.ndarray) and on_gpu(parameter) and parameter.data.ptr == array.data.ptr
    for made in (parameter[0], parameter.reshape(-1), parameter.T, parameter.view()):
        assert isinstance(made, cupy.ndarray) and not isinstance(made, nn.Parameter)
    assert type(parameter.view(parameter._array)) is cupy.ndarray
    parameter.requires_grad = False
    assert parameter.__reduce__()[1][0] is nn.Parameter and parameter[0].requires_grad

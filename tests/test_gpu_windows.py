"""unfold and fold of CuPy arrays, and their gradients, against the same on NumPy arrays."""

import numpy as np
import pytest
from test_grad_pools import REFUSED
from test_windows import ARGUMENTS, COMPLEX, REAL, data, spatial

import cyconv
from cyconv.gpu import columns

MORE = {  # image, kernel, and the rest
    **ARGUMENTS,
    "long rows of taps": ((2, 5, 40), (19,), {"stride": 2, "padding": 7}),
    "patches": ((2, 5, 12, 16), (4, 8), {"stride": (4, 8)}),
    "common divisors": ((1, 2, 40, 31), (5, 4), {"stride": (6, 4), "dilation": (4, 6), "padding": (9, 12)}),
    "coprime": ((1, 3, 41, 33), (6, 5), {"stride": (5, 3), "dilation": (3, 5), "padding": (4, 11)}),
    "one window of many": ((1, 6, 9), (9,), {"stride": 2**40}),
    "windows far apart": ((1, 2, 5), (2,), {"stride": 2**33, "padding": 2**34, "dilation": 3}),
    "windows far apart that share divisors": ((1, 2, 5), (2,), {"stride": 3 * 2**33, "padding": 2**34, "dilation": 6}),
    "channels by eight": ((1, 9, 4, 5), (2, 2), {}),
}


def same(got, want):
    assert got.dtype == want.dtype and got.shape == want.shape
    assert got.get().tobytes() == want.tobytes() or np.array_equal(got.get(), want)


@pytest.mark.parametrize("name", MORE)
def test_windows(name, cupy):
    shape, kernel, options = MORE[name]
    for dtype in ("float32", "complex128", "int8"):
        x = data(shape, dtype)
        want = cyconv.unfold(x, kernel, **options)
        same(cyconv.unfold(cupy.asarray(x), kernel, **options), want)
        same(cyconv.grad.fold_input(cupy.asarray(x), kernel, **options), want) if shape[0] else None
        random = (np.random.default_rng(0).random(want.shape) * 100).astype(dtype)  # whose sums show their order
        want = cyconv.fold(random, spatial(shape, kernel), kernel, **options)
        same(cyconv.fold(cupy.asarray(random), spatial(shape, kernel), kernel, **options), want)
        same(cyconv.grad.unfold_input(shape, cupy.asarray(random), kernel, **options), want)


@pytest.mark.parametrize("dtype, holder", [(dtype, "int") for dtype in (*REAL, *COMPLEX, "bool")] + [("float32", "long long"), ("complex64", "long long")])
def test_every_dtype(dtype, holder, cupy, monkeypatch):
    monkeypatch.setattr(columns, "_holder", lambda *_: holder)
    shape, all_axes, options = MORE["everything"]
    for kernel in (all_axes, (2, 5)):
        x = data(shape, dtype)
        want = cyconv.unfold(x, kernel, **options)
        same(cyconv.unfold(cupy.asarray(x), kernel, **options), want)
        if dtype != "bool":
            random = (np.random.default_rng(0).random(want.shape) * 100).astype(dtype)
            same(cyconv.fold(cupy.asarray(random), shape[2:], kernel, **options), cyconv.fold(random, shape[2:], kernel, **options))


def test_sizes_that_32_bits_do_not_hold(cupy):
    from cyconv.fold_problem import fold_problem
    from cyconv.gpu.places import walk

    for stride, wide in ((2, False), (2**31, True)):
        assert (columns._holder(fold_problem(np.ones((1, 2, 1)), (2,), (2,), 1, 0, stride), "int") == "long long") == wide
    assert walk(3, 2**31 - 2**21)[2] == "int" and walk(3, 2**31)[2] == walk(2**31, 5)[2] == "long long"


@pytest.mark.parametrize("sizes", [(7,), (3, 5), (2, 3, 4, 5, 6), (1, 1, 70_000), (700_000, 1), (2, 1, 300_000, 2)])
def test_places_are_walked_through(sizes, cupy, monkeypatch):
    """From any place, `step` places on."""
    from cyconv.gpu import places

    monkeypatch.setattr(places, "_BLOCKS", 3)
    grid, digits, holder = places.walk(*sizes)
    assert holder == "int" and digits[: len(sizes)] == sizes and grid <= 3
    step = 0
    for size, digit in zip(sizes, digits[len(sizes) :]):
        step = step * size + digit
    assert step == grid * places.THREADS
    assert all(digit < size for size, digit in zip(sizes[1:], digits[len(sizes) + 1 :]))


def test_threads_that_walk_on(cupy, monkeypatch):
    from cyconv.gpu import places

    monkeypatch.setattr(places, "_BLOCKS", 2)
    x = data((3, 5, 17, 19), "float32")
    want = cyconv.unfold(x, 3, padding=1)
    same(cyconv.unfold(cupy.asarray(x), 3, padding=1), want)
    same(cyconv.fold(cupy.asarray(want), (17, 19), 3, padding=1), cyconv.fold(want, (17, 19), 3, padding=1))


def test_half_types_are_summed_in_single(cupy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        c = (np.random.default_rng(0).random((2, 18, 36)) * 100).astype(dtype)
        want = cyconv.fold(c.astype(np.float32), (8, 8), 3).astype(dtype)
        same(cyconv.fold(cupy.asarray(c), (8, 8), 3), want)
        same(cyconv.unfold(cupy.asarray(want), 3), cyconv.unfold(want.view(np.uint16), 3).view(dtype))
    for refused in (lambda: cyconv.fold(c, (8, 8), 3), lambda: cyconv.unfold(want, 3)):
        with pytest.raises(TypeError, match="input has dtype bfloat16, which is computed on the GPU only"):
            refused()


def test_layouts_and_out(cupy):
    x = data((2, 3, 6, 7), "float32")
    want = cyconv.unfold(x, 3, padding=1)
    wide = cupy.zeros((3, 7, 2, 12), np.float32)
    views = [
        cupy.asarray(np.asfortranarray(x)), cupy.asarray(x[..., ::-1, ::-1].copy())[..., ::-1, ::-1],
        cupy.asarray(x.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2), wide.transpose(2, 0, 3, 1)[:, :, ::2],
        cupy.broadcast_to(cupy.asarray(x[:1]), x.shape),
    ]  # fmt: skip
    views[3][...] = cupy.asarray(x)
    for view in views:
        same(cyconv.unfold(view, 3, padding=1), cyconv.unfold(view.get(), 3, padding=1))
    folded = cyconv.fold(want, (6, 7), 3, padding=1)
    for view in (cupy.asarray(np.asfortranarray(want)), cupy.asarray(np.repeat(want, 2, axis=-1))[..., ::2]):
        same(cyconv.fold(view, (6, 7), 3, padding=1), folded)
    for result, call in (
        (want, lambda out: cyconv.unfold(cupy.asarray(x), 3, padding=1, out=out)),
        (folded, lambda out: cyconv.fold(cupy.asarray(want), (6, 7), 3, padding=1, out=out)),
    ):
        for out in (cupy.empty(result.shape, "float32"), cupy.empty((*result.shape, 2), "float32")[..., 1], cupy.empty(result.shape[::-1], "float32").T):
            assert call(out) is out
            same(out, result)
        with pytest.raises(ValueError, match="out must have shape"):
            call(cupy.zeros(3, "float32"))
        with pytest.raises(TypeError, match="out must have dtype float32"):
            call(cupy.zeros(result.shape))
    shared = cupy.zeros(want.size, "float32")
    image = shared[: x.size].reshape(x.shape)
    image[...] = cupy.asarray(x)
    same(cyconv.unfold(image, 3, padding=1, out=shared.reshape(want.shape)), want)


def test_one_device(cupy):
    x, c = data((1, 2, 5, 5), "float32"), data((1, 18, 9), "float32")
    for mixed in (
        lambda: cyconv.unfold(x, 3, out=cupy.zeros(c.shape, "float32")),
        lambda: cyconv.unfold(cupy.asarray(x), 3, out=c),
        lambda: cyconv.fold(c, 5, 3, out=cupy.zeros(x.shape, "float32")),
        lambda: cyconv.grad.unfold_input(x.shape, cupy.asarray(c), 3, out=x),
        lambda: cyconv.grad.fold_input(x, 3, out=cupy.zeros(c.shape, "float32")),
    ):
        with pytest.raises(TypeError, match=r"\w+ is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\)"):
            mixed()


@pytest.mark.parametrize("name, arguments, error, message", [case for case in REFUSED if "fold" in case[0]])
def test_refused_as_on_the_cpu(name, arguments, error, message, cupy):
    function = getattr(cyconv.grad, name)
    with pytest.raises(error, match=message) as said:
        function(*arguments)
    with pytest.raises(error) as heard:
        function(*[cupy.asarray(each) if isinstance(each, np.ndarray) else each for each in arguments])
    assert str(heard.value) == str(said.value)

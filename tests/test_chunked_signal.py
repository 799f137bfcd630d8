"""cyconv.signal on dask arrays: NumPy's results and errors, and bits that do not depend on chunks."""

import numpy as np
import pytest
from chunkings import random_chunks, same, small_blocks
from signal_cases import MODES, array

from cyconv import signal
from cyconv.chunked import blocks
from cyconv.chunked import signal as chunked

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

DTYPES = ("float32", "float64", "complex64", "complex128", "int32", "uint8", "float16", "int64")
LONGEST = {1: 200, 2: 40, 3: 12, 4: 7, 5: 4}  # by the number of axes
ERRORS = {"float64": 1e-12, "complex128": 1e-12, "float32": 2e-5, "complex64": 2e-5, "float16": 4e-3}


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    with dask.config.set(scheduler="synchronous"):
        yield


def shapes(rng, rank):
    """Of an image and a kernel, in any order, with some axes 1 long."""
    most = LONGEST[rank]
    image = [int(rng.integers(2, most + 1)) if rng.random() < 0.8 else 1 for _ in range(rank)]
    kernel = [int(rng.integers(1, min(8, most) + 1)) for _ in range(rank)]
    if rng.random() < 0.15:
        kernel = [int(rng.integers(1, most + 1)) for _ in range(rank)]
    return (kernel, image) if rng.random() < 0.3 else (image, kernel)


def arrays(rng, rank):
    first = str(rng.choice(DTYPES))
    second = first if rng.random() < 0.6 else str(rng.choice(DTYPES))
    one, two = shapes(rng, rank)
    return array(one, first, seed=int(rng.integers(1000))), array(two, second, seed=int(rng.integers(1000)))


def chunked_pair(in1, in2, which, chunks):
    return [da.from_array(each, chunks=chunks(each.shape)) if number in which else each for number, each in enumerate((in1, in2))]


def check(function, in1, in2, which, rng, **keywords):
    """Compares with NumPy, and chunkings among each other; False if NumPy's arrays are refused, as dask's are then, too."""
    try:
        expected = function(in1, in2, **keywords)
    except ValueError as error:
        with pytest.raises(ValueError) as raised:
            function(*chunked_pair(in1, in2, which, lambda shape: -1), **keywords)
        assert str(raised.value) == str(error)
        return False
    lazy = function(*chunked_pair(in1, in2, which, lambda shape: -1), **keywords)
    whole = lazy.compute()
    assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind in "iu":
        assert np.array_equal(whole, expected)
    else:
        assert np.abs(whole - expected).max(initial=0) <= ERRORS[expected.dtype.name] * np.abs(expected).max(initial=1)
    lazy = function(*chunked_pair(in1, in2, which, lambda shape: random_chunks(rng, shape)), **keywords)
    assert lazy.shape == expected.shape and same(lazy.compute(), whole)
    return True


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_bits_do_not_depend_on_chunks(name, seed):
    rng = np.random.default_rng([seed, len(name)])
    done = 0
    for number in range(24):
        in1, in2 = arrays(rng, 1 + number % 5)
        which = [(0,), (1,), (0, 1)][rng.integers(3)]
        done += check(getattr(signal, name), in1, in2, which, rng, mode=str(rng.choice(MODES)), method=str(rng.choice(["auto", "direct", "fft"])))
    assert done > 12


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_named_axes_are_convolved_along_and_others_broadcast(name):
    rng = np.random.default_rng(1)
    for number in range(40):
        rank = 1 + number % 4
        in1, in2 = arrays(rng, rank)
        axes = rng.permutation(rank)[: rng.integers(1, rank + 1)].tolist()
        for axis in set(range(rank)) - set(axes):
            in2 = np.repeat(in2.take([0], axis), in1.shape[axis] if rng.random() < 0.5 else 1, axis)
        check(getattr(signal, name), in1, in2, (0,), rng, mode=str(rng.choice(MODES)), axes=axes)


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
def test_planes_and_their_borders(name, boundary):
    rng = np.random.default_rng(2)
    for number in range(20):
        in1, in2 = arrays(rng, 2)
        check(getattr(signal, name), in1, in2, [(0,), (1,), (0, 1)][number % 3], rng, mode=MODES[number % 3], boundary=boundary, fillvalue=number % 2)


def test_scipys_transforms_block_by_block(monkeypatch):
    """For two large arrays, here for any."""
    monkeypatch.setattr(chunked, "scipy_is_quicker", lambda problem, *rest: not problem.dtype.startswith(("int", "uint")))
    taken = []
    monkeypatch.setattr(chunked, "transformed", lambda *a, plain=chunked.transformed: taken.append(a) or plain(*a))
    rng = np.random.default_rng(3)
    for number in range(40):
        in1, in2 = arrays(rng, 1 + number % 4)
        check(signal.convolve, in1, in2, (0, 1), rng, mode=MODES[number % 3], method=["auto", "fft"][number % 2])
    assert len(taken) > 50
    x = array((30, 30), "float64")
    x[7, 9] = np.nan
    expected = signal.convolve(x, x[:5, :5])
    assert np.array_equal(np.isnan(signal.convolve(da.from_array(x, chunks=8), x[:5, :5]).compute()), np.isnan(expected))
    assert np.isnan(signal.convolve(da.from_array(x, chunks=8), x[:5, :5], method="fft").compute()).sum() > np.isnan(expected).sum()


def test_two_large_arrays_are_left_to_scipys_transforms():
    x = array(1_500_000, "float32")
    lazy = signal.convolve(da.from_array(x, chunks=10**5), x[:1_000_000], mode="same")
    assert np.array_equal(lazy.compute(), signal.convolve(x, x[:1_000_000], mode="same"))


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise AssertionError

    image = da.zeros((50, 60), chunks=17).map_blocks(never, dtype=np.float32)
    kernel = da.ones((3, 3), chunks=2).map_blocks(never, dtype=np.float32)
    for name in ("convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d", "correlate2d"):
        lazy = getattr(signal, name)(image, kernel, mode="same")
        assert (lazy.shape, lazy.dtype, type(lazy._meta)) == ((50, 60), np.float32, np.ndarray)
        with pytest.raises(AssertionError):
            lazy.compute()


def test_chunks_of_the_result_are_much_like_those_of_the_image(monkeypatch):
    monkeypatch.setattr(blocks, "LENGTHS", {2: 10})
    image = da.zeros((100, 200), chunks=(30, 40))
    assert signal.convolve(image, np.ones((3, 5)), mode="same").chunks == ((30, 30, 30, 10), (40,) * 5)
    assert signal.convolve(image, np.ones((3, 5)), mode="full").shape == (102, 204)
    assert signal.convolve(np.ones((3, 5)), image).chunks == signal.convolve(image, np.ones((3, 5))).chunks


def test_direct_is_as_exact_as_the_sum(monkeypatch):
    monkeypatch.setattr(blocks, "LENGTHS", {2: 256})
    x, kernel = array((200, 200), "int64").astype(np.float32), array((41, 41), "int64").astype(np.float32)
    expected = signal.convolve(x.astype(int), kernel.astype(int))
    auto, direct, fft = (signal.convolve(da.from_array(x, chunks=150), kernel, method=method).compute() for method in ("auto", "direct", "fft"))
    assert np.array_equal(direct, expected) and not np.array_equal(fft, expected) and same(auto, fft)


def test_nan_and_infinity_stay_where_the_sum_has_them():
    x = array(150, "float64")
    x[70] = np.nan
    for kernel in (np.ones(4), np.array([1.0, np.inf, 2.0])):
        for mode in MODES:
            lazy = signal.convolve(da.from_array(x, chunks=40), kernel, mode)
            assert np.array_equal(np.isfinite(lazy.compute()), np.isfinite(signal.convolve(x, kernel, mode)))
    picture = array((40, 40), "float32")
    picture[20, 20] = np.inf
    kernel = array((17, 17), "float32")  # transformed
    lazy = signal.fftconvolve(da.from_array(picture, chunks=15), kernel, mode="same")
    assert np.array_equal(np.isfinite(lazy.compute()), np.isfinite(signal.fftconvolve(picture, kernel, mode="same")))


def test_bad_arguments_raise_when_the_function_is_called():
    x, k = da.zeros((9, 9), chunks=4), np.ones((3, 3))
    for call in (
        lambda a: signal.convolve(a, k[0]),
        lambda a: signal.convolve(a, k, mode="some"),
        lambda a: signal.correlate(a, k, method="some"),
        lambda a: signal.convolve(a, np.ones((1, 10)), mode="valid"),
        lambda a: signal.fftconvolve(a, k, axes=2),
        lambda a: signal.fftconvolve(a, k, axes=0),
        lambda a: signal.convolve2d(a, k, boundary="some"),
        lambda a: signal.convolve2d(a.astype(int), k.astype(int), fillvalue=0.5j),
    ):
        messages = []
        for each in (x, np.zeros((9, 9))):
            with pytest.raises(ValueError) as raised:
                call(each)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]
    with pytest.raises(TypeError, match="bool.*no dask arrays"):
        signal.convolve(x.astype(bool), k.astype(bool))
    with pytest.raises(ValueError, match="unknown size"):
        signal.convolve(x[x > 0], k[0])
    for call in (lambda: signal.match_template(x, k), lambda: signal.choose_conv_method(x, k)):
        with pytest.raises(TypeError, match="is a dask array"):
            call()


def test_arrays_without_axes_or_elements():
    assert signal.convolve(da.asarray(3), np.asarray(4)).compute() == 12
    assert signal.correlate(da.asarray(3j), np.asarray(4j)).compute() == 12
    assert signal.fftconvolve(da.zeros(0), np.ones(3)).compute().shape == (0,)
    with pytest.raises(ValueError):
        signal.convolve(np.zeros(0), np.ones(3))
    with pytest.raises(ValueError):
        signal.convolve(da.zeros(0), np.ones(3))


def test_chunks_of_cupys_arrays_are_refused(stand_in):
    x = da.from_array(stand_in.asarray(np.ones(9)), chunks=4, asarray=False)
    with pytest.raises(TypeError, match="in1 is a CuPy array"):
        signal.convolve(x, np.ones(3))

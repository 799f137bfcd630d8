"""cyconv.signal against scipy.signal, values worked out by hand, and SciPy's own tests."""

import inspect
import os
import re
import subprocess
import sys
import warnings
from decimal import Decimal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signal_cases import MODES, array

from cyconv import signal

METHODS = ("auto", "direct", "fft")
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "complex64", "complex128"]
NAMES = [name for name in signal.__all__ if hasattr(scipy.signal, name)]


def both(name, *args, **kwargs):
    """(ours, SciPy's): each a result, or the type of the error that was raised."""
    results = []
    for module in (signal, scipy.signal):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                results.append(getattr(module, name)(*args, **kwargs))
            except Exception as error:
                results.append(type(error))
    return results


def assert_same(name, *args, **kwargs):
    """Shape, dtype and values; of integers all bits."""
    ours, theirs = both(name, *args, **kwargs)
    what = f"{name} of {[(a.shape, a.dtype) for a in map(np.asarray, args[:2])]} {kwargs}"
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs or (ours, theirs) == (ValueError, IndexError), what  # SciPy's transforms, of arrays without elements
        return
    assert ours.shape == theirs.shape, what
    assert ours.dtype == theirs.dtype, what
    if theirs.dtype.kind in "fc":
        coarse = min((np.asarray(a).dtype for a in (*args[:2], theirs) if np.asarray(a).dtype.kind in "fc"), key=lambda d: np.finfo(d).precision)
        norms = [np.linalg.norm(np.nan_to_num(np.asarray(a).astype("complex128"), nan=1, posinf=1, neginf=1)) for a in args[:2]]
        atol = 8 * float(np.finfo(coarse).eps) * norms[0] * norms[1] * max(1, abs(kwargs.get("fillvalue", 0)))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=what)
    else:
        np.testing.assert_array_equal(ours, theirs, err_msg=what)


# ---- by hand -------------------------------------------------------------------------------------------------------------


def test_convolution_flips_and_correlation_does_not():
    a, b = np.array([1, 2, 3]), np.array([0, 1, 10])
    assert signal.convolve(a, b).tolist() == [0, 1, 12, 23, 30]
    assert signal.correlate(a, b).tolist() == [10, 21, 32, 3, 0]


def test_correlation_conjugates_its_second_argument():
    assert signal.correlate(np.array([1 + 1j]), np.array([2j])).tolist() == [2 - 2j]
    assert signal.convolve(np.array([1 + 1j]), np.array([2j])).tolist() == [-2 + 2j]
    assert signal.correlate2d(np.array([[1 + 1j]]), np.array([[2j]])).tolist() == [[2 - 2j]]


def test_same_is_the_middle_of_full():
    a, b = np.array([1, 2, 3, 4]), np.array([1, 10])
    assert signal.convolve(a, b).tolist() == [1, 12, 23, 34, 40]
    assert signal.convolve(a, b, "same").tolist() == [1, 12, 23, 34]
    assert signal.convolve(b, a, "same").tolist() == [12, 23]


def test_valid_takes_the_larger_first():
    a, b = np.array([1, 2, 3, 4]), np.array([1, 10])
    assert signal.convolve(a, b, "valid").tolist() == signal.convolve(b, a, "valid").tolist() == [12, 23, 34]
    assert signal.correlate(a, b, "valid").tolist() == [21, 32, 43]
    assert signal.correlate(b, a, "valid").tolist() == [43, 32, 21]


def test_borders():
    a, ones = np.array([[1, 2, 3]]), np.ones((1, 3), int)
    assert signal.convolve2d(a, ones, "same").tolist() == [[3, 6, 5]]
    assert signal.convolve2d(a, ones, "same", fillvalue=10).tolist() == [[13, 6, 15]]
    assert signal.convolve2d(a, ones, "same", "wrap").tolist() == [[6, 6, 6]]
    assert signal.convolve2d(a, ones, "same", "symm").tolist() == [[4, 6, 8]]
    assert signal.convolve2d(a, np.ones((1, 9), int), "same", "symm").tolist() == [[20, 18, 16]]  # 3 3 2 1 | 1 2 3 | 3 2 1 1


def test_integers_wrap_around():
    a = np.full((3, 3), 100, np.uint8)
    assert signal.convolve(a, a, "valid").tolist() == [[9 * 10000 % 256]]
    assert signal.convolve(np.array([2**62]), np.array([4, 1])).tolist() == [0, 2**62]


# ---- against SciPy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    ours, theirs = inspect.signature(getattr(signal, name)), inspect.signature(getattr(scipy.signal, name))
    assert list(ours.parameters) == list(theirs.parameters)
    assert [p.default for p in ours.parameters.values()] == [p.default for p in theirs.parameters.values()]


@pytest.mark.parametrize("dtype", ["int32", "float64", "complex64"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_all_lengths(name, method, dtype):
    for n, k, mode in product(range(1, 10), range(1, 10), MODES):
        assert_same(name, array(n, dtype), array(k, dtype, 1), mode=mode, method=method)


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_more_axes(name, rank):
    rng = np.random.default_rng(rank)
    for turn in range({2: 120, 3: 60, 4: 30, 5: 8}[rank]):
        shapes = rng.integers(1, {2: 10, 3: 7, 4: 6, 5: 4}[rank], (2, rank))
        shapes = [shapes, np.sort(shapes, 0), np.sort(shapes, 0)[::-1]][turn % 3]  # neither is larger, the second, the first
        dtypes = rng.choice(["int8", "uint64", "float32", "float64", "complex128"], 2)
        a, b = (array(shape, dtype, turn) for shape, dtype in zip(shapes, dtypes))
        for mode, method in product(MODES, METHODS):
            assert_same(name, a, b, mode=mode, method=method)


@pytest.mark.parametrize("second", DTYPES)
@pytest.mark.parametrize("first", DTYPES)
def test_all_pairs_of_dtypes(first, second):
    a, b = array(7, first), array(4, second, 1)
    for mode, method in product(MODES, METHODS):
        assert_same("convolve", a, b, mode=mode, method=method)
        assert_same("correlate", a, b, mode=mode, method=method)
    for name in ("fftconvolve", "oaconvolve"):
        assert_same(name, a, b)
        assert_same(name, a[:1], b)
    if "float16" not in (first, second):  # SciPy has no planes of half precision
        a, b = array((4, 5), first), array((2, 3), second, 1)
        assert_same("convolve2d", a, b)
        assert_same("correlate2d", a, b, boundary="wrap", mode="same")


@pytest.mark.parametrize("name", ["convolve", "convolve2d", "correlate", "correlate2d"])
def test_half_precision_where_scipy_has_none(name):
    a, b = array((6, 5), "float16"), array((3, 2), "float16", 1)
    got = getattr(signal, name)(a, b)
    want = getattr(scipy.signal, name)(a.astype("float64"), b.astype("float64"))
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, want, atol=2e-3 * np.abs(want).max())


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_of_integers(dtype):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    a = rng.integers(info.min, info.max, (9, 8), dtype, endpoint=True)
    b = rng.integers(info.min, info.max, (4, 5), dtype, endpoint=True)
    for mode in MODES:
        for name in ("convolve", "correlate"):
            assert_same(name, a, b, mode=mode, method="direct")
            assert_same(name, a[0], b[0], mode=mode, method="direct")
        for boundary in ("fill", "wrap", "symm"):
            assert_same("convolve2d", a, b, mode=mode, boundary=boundary)
            assert_same("correlate2d", a, b, mode=mode, boundary=boundary)


@pytest.mark.long
@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
def test_all_sizes_of_planes(name, boundary):
    for n, m, k, l in product(range(1, 6), range(1, 6), range(1, 6), range(1, 6)):  # noqa: E741
        a, b = array((n, m), "int64"), array((k, l), "int64", 1)
        for mode in MODES:
            assert_same(name, a, b, mode, boundary)
        if boundary == "fill":
            assert_same(name, a, b, "full", boundary, 7)
            assert_same(name, a, b, "same", boundary, 7)


@pytest.mark.parametrize("boundary", ["fill", "pad", "wrap", "circular", "symm", "symmetric"])
@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_borders_longer_than_the_plane(name, boundary, dtype):
    for shape, kernel in (((3, 4), (17, 30)), ((1, 5), (4, 1)), ((64, 70), (9, 4)), ((8, 1), (1, 8))):
        for mode in MODES:
            assert_same(name, array(shape, dtype), array(kernel, dtype, 1), mode, boundary)


@pytest.mark.long
@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_some_axes(name):
    rng = np.random.default_rng(5)
    for turn in range(400):
        rank = int(rng.integers(1, 6))
        first, second = (list(map(int, rng.integers(1, 7, rank))) for _ in range(2))
        axes = [int(axis) for axis in rng.permutation(rank)[: rng.integers(1, rank + 1)]]
        for axis in set(range(rank)) - set(axes):
            choice = rng.integers(0, 10)  # 9: they do not broadcast
            first[axis] = second[axis] if choice < 3 else 1 if choice < 6 else first[axis]
            second[axis] = 1 if 6 <= choice < 9 else second[axis]
        dtypes = rng.choice(["int16", "float16", "float32", "float64", "complex64", "bool"], 2)
        a, b = array(first, dtypes[0], turn), array(second, dtypes[1], turn + 1)
        axes = [axis - rank * int(rng.integers(0, 2)) for axis in axes]
        for mode in MODES:
            assert_same(name, a, b, mode, axes)
        assert_same(name, a, b, "same", None if turn % 2 else axes[0])


LARGE = [
    ((20000,), (300,)),
    ((4096,), (5000,)),
    ((300, 280), (31, 40)),
    ((90, 100), (90, 100)),
    ((40, 300), (1, 150)),
    ((30, 32, 34), (9, 8, 7)),
    ((12, 10, 14, 11), (3, 5, 4, 6)),
]


@pytest.mark.parametrize(("shape", "kernel"), LARGE)
@pytest.mark.parametrize("dtype", ["int32", "float32", "complex128"])
def test_large(shape, kernel, dtype):
    a, b = array(shape, dtype), array(kernel, dtype, 1)
    for mode in MODES if all(n >= k for n, k in zip(shape, kernel)) or len(shape) == 1 else MODES[:2]:
        assert_same("convolve", a, b, mode=mode)
        assert_same("correlate", a, b, mode=mode, method="fft")
        assert_same("oaconvolve", a, b, mode=mode)
        assert_same("fftconvolve", a, b, mode=mode, axes=-1) if shape[:-1] == kernel[:-1] else None


def test_batches_that_broadcast():
    a, b = array((5, 1, 3, 200)), array((1, 4, 3, 30), seed=1)
    for mode in MODES:
        assert_same("fftconvolve", a, b, mode, axes=3)
        assert_same("fftconvolve", a.transpose(0, 1, 3, 2), b.transpose(0, 1, 3, 2), mode, axes=2)
        assert_same("oaconvolve", a[..., :2, :], np.broadcast_to(b[..., :1, :], (5, 4, 1, 30)), mode, axes=[-1])


@pytest.mark.parametrize("name", [name for name in NAMES if "lags" not in name and "choose" not in name])
def test_layout_does_not_matter(name):
    big, small = array((12, 14)), array((3, 4), seed=1)
    want = getattr(signal, name)(big, small)
    views = [
        lambda x: np.asfortranarray(x),
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
        lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),  # unaligned, and read-only
        lambda x: x.tolist(),
    ]
    for view in views:
        a, b = view(big), view(small)
        if isinstance(a, np.ndarray):
            a.flags.writeable = b.flags.writeable = False
        got = getattr(signal, name)(a, b)
        assert got.dtype == np.float64 and got.dtype.isnative
        np.testing.assert_array_equal(got, want)


def test_results_are_new_arrays():
    a = np.arange(4.0)
    for got in (signal.convolve(a, [1.0]), signal.fftconvolve(a, [1.0]), signal.convolve2d(a[None], [[1.0]])[0], signal.correlate(a, [1.0])):
        assert got.tolist() == a.tolist() and not np.shares_memory(got, a) and got.flags.writeable and got.flags.c_contiguous


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@pytest.mark.long
@SETTINGS
@given(st.data())
def test_any_arrays(data):
    rank = data.draw(st.integers(1, 4))
    shapes = [data.draw(st.tuples(*[st.integers(0, {1: 40, 2: 12, 3: 6, 4: 4}[rank])] * rank)) for _ in range(2)]
    a, b = (array(shape, data.draw(st.sampled_from(DTYPES[:8] + DTYPES[9:]))) for shape in shapes)
    a, b = (x.transpose(data.draw(st.permutations(range(rank)))) for x in (a, b))
    mode = data.draw(st.sampled_from(MODES))
    assert_same(data.draw(st.sampled_from(["convolve", "correlate"])), a, b, mode, data.draw(st.sampled_from(METHODS)))
    assert_same(data.draw(st.sampled_from(["fftconvolve", "oaconvolve"])), a, b, mode)
    if rank == 2 and a.size and b.size:  # of empty planes, SciPy's wrapped ones end the process
        boundary = data.draw(st.sampled_from(["fill", "wrap", "symm"]))
        assert_same(data.draw(st.sampled_from(["convolve2d", "correlate2d"])), a, b, mode, boundary)


# ---- NaN and infinity ----------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_what_is_not_finite_spreads_as_in_scipys_sum(rank, bad):
    rng = np.random.default_rng(rank)
    for turn in range(100):
        shapes = rng.integers(1, 6, (2, rank))
        shapes = [shapes, np.sort(shapes, 0), np.sort(shapes, 0)[::-1]][turn % 3]
        a, b = array(shapes[0], seed=turn), array(shapes[1], seed=turn + 1)
        if turn % 4 != 1:
            a.flat[rng.integers(a.size)] = bad
        if turn % 4 != 2:
            b.flat[rng.integers(b.size)] = -bad
        for mode, name in product(MODES, ("convolve", "correlate")):
            ours = [both(name, a, b, mode, method)[0] for method in ("auto", "direct")]
            theirs = both(name, a, b, mode, "direct")[1]
            if isinstance(theirs, type):
                assert ours == [theirs, theirs]
            else:
                for got in ours:
                    np.testing.assert_allclose(got, theirs, atol=1e-12)
            if rank == 2:
                for boundary in ("fill", "wrap", "symm"):
                    assert_same(name + "2d", a, b, mode, boundary)


def test_a_nan_stays_in_its_windows_whatever_is_chosen():
    a = array((400, 400))
    b = array((41, 41), seed=1)
    assert signal.choose_conv_method(a, b, "valid") == "fft"
    a[200, 100] = np.nan
    for got in (signal.convolve(a, b, "valid"), signal.fftconvolve(a, b, "valid"), signal.correlate2d(a, b, "valid")):
        rows, columns = np.nonzero(np.isnan(got))
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (160, 200, 60, 100)
        assert rows.size == 41 * 41


def test_the_fft_method_warns_of_nan():
    a = np.ones(300)
    a[100] = np.nan
    for function in (signal.convolve, signal.correlate):
        with pytest.warns(RuntimeWarning, match="Use of fft convolution on input with NAN"):
            function(a, np.ones(30), method="fft")


# ---- errors, empty arrays, what SciPy does -------------------------------------------------------------------------------

ERRORS = [
    ("convolve", ([1], [[2]]), {}, "same dimensionality"),
    ("correlate", ([1], 2), {}, "same dimensionality"),
    ("fftconvolve", (1, [2]), {}, "same dimensionality"),
    ("convolve", ([1], [2]), {"mode": "some"}, "acceptable mode flags"),
    ("convolve", ([1], [2]), {"mode": 1}, "acceptable mode flags"),
    ("correlate", ([1.0], [2]), {"method": "some"}, "acceptable method flags"),
    ("convolve", ([1], [2]), {"method": "some"}, "acceptable method flags"),
    ("fftconvolve", ([1], [2]), {"mode": "some"}, "acceptable mode flags"),
    ("oaconvolve", ([1, 2], [2, 3]), {"axes": []}, "axes cannot be empty"),
    ("fftconvolve", ([1, 2], [2, 3]), {"axes": [0, 0]}, "axes must be unique"),
    ("fftconvolve", ([1, 2], [2, 3]), {"axes": [0, -1]}, "axes must be unique"),
    ("fftconvolve", ([1, 2], [2, 3]), {"axes": 1}, "axes exceeds dimensionality of input"),
    ("fftconvolve", ([1, 2], [2, 3]), {"axes": 0.5}, "axes must be a scalar or iterable of integers"),
    ("fftconvolve", ([[1, 2]] * 2, [[1, 2]] * 3), {"axes": 1}, r"incompatible shapes for in1 and in2: \(2, 2\) and \(3, 2\)"),
    ("convolve2d", ([1], [2]), {}, "must both be 2-D"),
    ("correlate2d", ([[1]], [2]), {}, "must both be 2-D"),
    ("convolve2d", ([[1]], [[2]]), {"mode": "some"}, "cceptable mode flags"),
    ("convolve2d", ([[1]], [[2]]), {"boundary": "some"}, "Acceptable boundary flags are 'fill', 'circular'"),
    ("convolve2d", ([[1]], [[2, 3]]), {"fillvalue": [1, 2]}, "`fillvalue` must be scalar or an array with one element"),
    ("convolve2d", ([[1]], [[2, 3]]), {"fillvalue": []}, "`fillvalue` must be scalar"),
    ("convolve2d", ([[1]], [[2, 3]]), {"fillvalue": 1j}, "could not cast `fillvalue` directly to the output"),
    ("convolve2d", ([[1]], [[2, 3]]), {"fillvalue": np.nan}, "could not cast `fillvalue` directly to the output"),
    ("correlate2d", (np.ones((1, 1), np.int8), np.ones((1, 2), np.int8)), {"fillvalue": 200}, "could not cast `fillvalue`"),
    ("correlation_lags", (3, 4), {"mode": "some"}, "Mode some is invalid"),
    ("choose_conv_method", ([1.0], [2.0]), {"mode": "some"}, "cceptable mode flags"),
    *((name, (np.ones((2, 3)), np.ones((3, 2))), {"mode": "valid"}, "For 'valid' mode, one must be at least as large as the other")
      for name in NAMES if "lags" not in name and "choose" not in name),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), ERRORS)
def test_errors(name, args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        getattr(signal, name)(*args, **kwargs)
    assert both(name, *args, **kwargs)[1] is ValueError


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
def test_no_axes(name):
    for a, b in ((3, 4), (np.float32(2), np.float64(3)), (np.array(2j), np.array(3j)), (np.int8(100), np.int8(2))):
        ours, theirs = both(name, a, b)
        assert ours == theirs and ours.dtype == theirs.dtype and np.ndim(ours) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if "lags" not in name and "choose" not in name])
def test_no_elements(name):
    planes = "2d" in name
    for a, b in product([(0, 2), (3, 2), (2, 0)] if planes else [(0,), (3,), (0, 2), (3, 2), (2, 0)], repeat=2):
        if len(a) == len(b) and 0 in a + b:
            for mode in MODES:
                assert_same(name, np.ones(a), np.ones(b), mode=mode)


def test_planes_of_nothing_but_border():
    with pytest.raises(ValueError, match="nothing to repeat"):
        signal.convolve2d(np.ones((0, 2)), np.ones((3, 2)), boundary="wrap")  # SciPy divides by zero and ends the process
    assert signal.convolve2d(np.ones((0, 1)), np.ones((3, 2)), fillvalue=2).tolist() == [[12, 12], [12, 12]]


def test_what_has_no_kernels_goes_to_scipy():
    one, two = [Decimal(1), Decimal(2)], [Decimal(3), Decimal("0.5")]
    assert signal.convolve(one, two).tolist() == [Decimal(3), Decimal("6.5"), Decimal(1)]
    for dtype in ("longdouble", "clongdouble", "bool", "object"):
        a, b = array(6, "int64", high=2).astype(dtype), array(3, "int64", 1, high=2).astype(dtype)
        for mode, method in product(MODES, METHODS):
            assert_same("convolve", a, b, mode, method)
            assert_same("correlate", a, b, mode, method)
        assert_same("convolve2d", a[None], b[None])
        assert_same("correlate2d", a[None], b[None])
        assert_same("fftconvolve", a, b)
        assert_same("oaconvolve", a[:2], b)
    for dtype in ("datetime64[s]", "timedelta64[s]", "U1"):
        a = np.zeros(3, dtype)
        for name in ("convolve", "correlate", "fftconvolve"):
            assert_same(name, a, a)


@pytest.mark.long
def test_scipy_signal_is_not_imported():
    script = """if True:
        import sys, numpy as np, cyconv.signal as signal
        a, b = np.ones((9, 8)), np.ones((3, 4))
        for name in ("convolve", "correlate", "convolve2d", "correlate2d", "fftconvolve", "oaconvolve", "choose_conv_method", "match_template"):
            getattr(signal, name)(a, b)
        assert "scipy.signal" not in sys.modules and "skimage" not in sys.modules
        signal.convolve(a.astype("longdouble"), b)
        assert "scipy.signal" in sys.modules
    """
    subprocess.run([sys.executable, "-c", script], check=True)


# ---- lags and methods ----------------------------------------------------------------------------------------------------


def test_lags():
    for n, k, mode in product(range(10), range(10), MODES):
        ours, theirs = signal.correlation_lags(n, k, mode), scipy.signal.correlation_lags(n, k, mode)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_choice_of_method_is_the_cost_models():
    for dtype in ("float32", "float64", "complex64"):
        assert signal.choose_conv_method(array(1000, dtype), array(7, dtype)) == "direct"
        assert signal.choose_conv_method(array(100000, dtype), array(9000, dtype)) == "fft"
        assert signal.choose_conv_method(array((256, 256), dtype), array((60, 60), dtype)) == "fft"
    for dtype in ("int8", "uint64", "bool", "longdouble", "object"):
        assert signal.choose_conv_method(array(9000, "int8").astype(dtype), array(9000, "int8").astype(dtype)) == "direct"
    for a, b in ((2.0, 3.0), ([1.0], [2.0]), ([1.0, 2.0], [[3.0]]), ([], [1.0])):
        assert signal.choose_conv_method(a, b) == "direct"
    assert signal.choose_conv_method(np.ones((2,) * 5), np.ones((2,) * 5)) in ("direct", "fft")


def test_measured_choice():
    method, times = signal.choose_conv_method(array(4), array(3), measure=True)
    assert set(times) == {"direct", "fft"} and all(isinstance(seconds, float) and seconds > 0 for seconds in times.values())
    assert method == min(times, key=times.get)


# ---- SciPy's own tests ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_scipys_own_tests_pass():
    tests = Path(scipy.signal.__file__).parent / "tests" / "test_signaltools.py"
    if not tests.exists():
        pytest.skip(f"this SciPy ({scipy.__version__}) was installed without its tests")
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
        pytest.skip(f"SciPy {scipy.__version__}: its tests are known to pass from 1.17 on only")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    chosen = ["-k", "convolve or correlat or choose_conv_method", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "-p", "scipy_tests", *chosen, tests]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 1000
    counts = dict(re.findall(r"(\w+)=(\d+)", run.stdout.split("cyconv calls:")[1]))
    assert set(counts) == set(NAMES)

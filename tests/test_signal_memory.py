"""What scratch memory cyconv.signal takes, and what it leaves to SciPy's transforms."""

import tracemalloc
import warnings
from itertools import product

import numpy as np
import pytest
import scipy.signal
from signal_cases import MODES, array

import cyconv
from cyconv import select, signal
from cyconv.problem import MAX_WORKSPACE
from cyconv.signal import arrangement, scipys_transforms


@pytest.fixture
def workspace(monkeypatch):
    """A function that sets the workspace; arrangements remember what they decided with another one."""

    def set_bytes(count):
        monkeypatch.setattr(arrangement, "MAX_WORKSPACE", count)
        arrangement.arrange.cache_clear()

    yield set_bytes
    arrangement.arrange.cache_clear()


@pytest.fixture
def quick_scipy(monkeypatch):
    """SciPy's transforms are predicted to take no time: all that may be left to them is, whatever costs.py says."""
    monkeypatch.setattr(scipys_transforms, "scipys_seconds", lambda *_: 0.0)
    monkeypatch.setattr(scipys_transforms, "_SOON", -1.0)
    arrangement.arrange.cache_clear()
    yield
    arrangement.arrange.cache_clear()


@pytest.fixture
def transforms(monkeypatch):
    """The names of scipy.signal's functions that were called, in order."""
    called = []
    for name in ("fftconvolve", "oaconvolve"):
        function = getattr(scipy.signal, name)

        def spy(*args, name=name, function=function, **kwargs):
            called.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(scipy.signal, name, spy)
    return called


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((10**6,), (10**6,)), ((10**7,), (10**5,)), ((1500, 1500), (1500, 1500)), ((2500, 2500), (2500, 2500)), ((6000, 6000), (3000, 3000)),
     ((9000, 9000), (400, 400)), ((200,) * 3, (100,) * 3), ((300,) * 3, (9,) * 3), ((5, 60, 50, 40, 30), (1, 9, 9, 9, 9)),
     ((50,) * 4, (9,) * 4)],
)  # fmt: skip
def test_no_shape_gets_more_workspace(shape, kernel, dtype):
    a, b = (np.broadcast_to(np.zeros((), dtype), size) for size in (shape, kernel))
    for mode in MODES:
        found = arrangement.arrange(shape, kernel, mode, tuple(range(len(shape))))
        if found is not None and not arrangement.left_to_scipy(found, a, b):
            problem = arrangement._problem(found, a.dtype, "zeros")
            assert problem.max_workspace == MAX_WORKSPACE == 256 * 2**20
            chosen = select.choose(problem)
            assert next(v.workspace for v in select.verdicts(problem) if v.algorithm is chosen) <= MAX_WORKSPACE
            copied = np.prod(found.input_shape) * a.itemsize if found.windows and len(shape) > 4 else 0
            assert copied <= MAX_WORKSPACE


@pytest.mark.parametrize(("shape", "kernel"), [((600, 600), (90, 90)), ((10**6,), (20000,)), ((64, 64, 64), (12, 12, 12))])
def test_as_much_memory_is_taken_as_is_allowed(shape, kernel, workspace, transforms):
    """What a call takes at its height, beside its result."""
    limit = 4 * 2**20
    workspace(limit)
    a, b = array(shape), array(kernel, seed=1)
    for threads in (1, 2):
        with cyconv.threads(threads):
            cyconv.release_memory()
            tracemalloc.start()
            got = signal.fftconvolve(a, b, "same")
            most = tracemalloc.get_traced_memory()[1] - got.nbytes
            tracemalloc.stop()
            assert limit / 16 < most < limit + 2**19
    assert not transforms
    assert signal.choose_conv_method(a, b, "same") == "fft"


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve", "convolve2d", "correlate2d"])
def test_two_large_arrays_of_one_size_are_scipys(name, workspace, transforms):
    workspace(2**21)  # else they would have to be twice as large
    a, b = array((1100, 1101), "float32"), array((1100, 1100), "float32", 1)
    want = scipy.signal.fftconvolve(a, b if "convolve" in name else b[::-1, ::-1])
    del transforms[:]
    got = getattr(signal, name)(a, b, mode="same")
    assert transforms[0] == ("oaconvolve" if name == "oaconvolve" else "fftconvolve")
    assert got.flags.c_contiguous and got.flags.writeable and got.dtype == np.float32
    first = 550 if name == "correlate2d" else 549  # SciPy's centres are not the same
    np.testing.assert_array_equal(got, want[first : first + 1100, first : first + 1101])  # all bits
    for count in (1, 2):
        with cyconv.threads(count):
            np.testing.assert_array_equal(getattr(signal, name)(a, b, mode="same"), got)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve", "oaconvolve"])
def test_all_that_may_be_left_to_scipy(name, dtype, quick_scipy, transforms):
    for shape, kernel in (((200, 210), (190, 180)), ((50000,), (40000,)), ((30, 31, 32), (28, 30, 31)), ((150, 160), (200, 210))):
        a, b = array(shape, dtype), array(kernel, dtype, 1)
        for mode, kwargs in product(MODES, ({}, {"method": "fft"}) if name in ("convolve", "correlate") else ({},)):
            del transforms[:]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                got = getattr(signal, name)(a, b, mode, **kwargs)
            assert len(transforms) >= 1
            assert got.dtype == (np.float32 if dtype == "float16" and name in ("fftconvolve", "oaconvolve") else dtype)
            wide = "complex128" if np.dtype(dtype).kind == "c" else "float64"
            want = getattr(scipy.signal, name)(a.astype(wide), b.astype(wide), mode, *(["fft"] if name[0] == "c" else []))
            eps = max(np.finfo(dtype).eps, np.finfo("float32").eps if dtype == "float16" else 0)
            assert np.abs(got - want).max() < 8 * eps * np.linalg.norm(a.astype(wide)) * np.linalg.norm(b.astype(wide))
        assert signal.choose_conv_method(a, b) == "fft"


def test_planes_whose_borders_are_left_to_scipy(quick_scipy, transforms):
    a, b = array((100, 101)), array((90, 91), seed=1)
    for boundary, (mode, name) in product(("fill", "wrap", "symm"), (("full", "convolve2d"), ("same", "correlate2d"))):
        del transforms[:]
        got = getattr(signal, name)(a, b, mode, boundary)
        assert transforms == ["fftconvolve"]
        want = getattr(scipy.signal, name)(a, b, mode, boundary)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


def test_batches_that_are_left_to_scipy(quick_scipy, transforms):
    a, b = array((5, 1, 20000)), array((1, 3, 19000), seed=1)
    got = signal.fftconvolve(a, b, axes=2)
    assert transforms == ["fftconvolve"]
    np.testing.assert_allclose(got, scipy.signal.fftconvolve(a, b, axes=2), atol=1e-9)


def test_a_nan_stays_in_its_windows_where_scipy_transforms(quick_scipy, transforms):
    a, b = array((150, 150)), array((100, 100), seed=1)
    a[20, 30] = np.nan
    got = signal.fftconvolve(a, b)
    assert transforms == ["fftconvolve"]
    rows, columns = np.nonzero(np.isnan(got))
    assert (rows.min(), rows.max(), columns.min(), columns.max(), rows.size) == (20, 119, 30, 129, 100 * 100)
    with pytest.warns(RuntimeWarning, match="Use of fft convolution"):
        assert np.isnan(signal.convolve(a, b, method="fft")).all()


def test_a_kernel_that_is_an_outer_product_is_not_left_to_scipy(workspace, transforms):
    workspace(2**20)
    a = array((400, 400))
    signal.convolve(a, np.ones((151, 151)), "same")
    assert not transforms
    signal.convolve(a, array((151, 151), seed=1), "same")
    assert transforms == ["fftconvolve"]


def test_what_is_never_left_to_scipy(workspace, transforms):
    workspace(2**20)
    a, b = array((130, 131)), array((120, 121), seed=1)
    signal.convolve(a.astype(int), b.astype(int))  # exact
    signal.convolve(a, b, method="direct")
    signal.convolve(a[:40, :40], b[:40, :40])  # soon done: importing scipy.signal takes longer
    assert not transforms
    signal.convolve(a, b)
    assert transforms


def test_predictions_of_scipys_transforms_grow_as_they_should():
    def seconds(shape, kernel, axes=None, dtype="float32"):
        return scipys_transforms.scipys_seconds(shape, kernel, axes or tuple(range(len(shape))), dtype)

    assert 1.9 < seconds((2 * 10**6,), (10**6,)) / seconds((10**6,), (500000,)) < 2.6
    assert seconds((10**6,), (10**6,)) < seconds((10**6,), (10**6,), dtype="float64") < seconds((10**6,), (10**6,), dtype="complex128")
    assert 4 < seconds((8, 10**5), (8, 10**5), (1,)) / seconds((1, 10**5), (1, 10**5), (1,)) < 9  # several lines at once
    assert seconds((5, 1, 9999), (1, 3, 999), (2,)) < seconds((5, 3, 9999), (5, 3, 999), (2,))

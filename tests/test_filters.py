"""maximum_filter, minimum_filter and uniform_filter against scipy.ndimage's."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

import cyconv

pytestmark = pytest.mark.backends

MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-wrap", "grid-mirror", "grid-constant")
NAMES = ("maximum_filter", "minimum_filter", "uniform_filter")
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
SHAPES = ((17,), (9, 14), (5, 6, 7), (3, 4, 5, 6), (2, 3, 2, 4, 3), (1, 5), (6, 7, 3), (40, 1))
rng = np.random.default_rng(0)


def sample(shape, dtype):
    x = rng.integers(0 if dtype[0] == "u" else -50, 50, shape) if dtype != "bool" else rng.integers(0, 2, shape)
    return (x + 1j * rng.integers(-9, 9, shape) if dtype.startswith("complex") else x).astype(dtype)


def compare(name, x, *args, **kwargs):
    expected = getattr(ndimage, name)(x, *args, **kwargs)
    got = getattr(cyconv, name)(x, *args, **kwargs)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    message = f"{name} of {x.shape} {x.dtype}: {args} {kwargs}"
    if name == "uniform_filter" and x.dtype.kind in "fc":  # SciPy rounds after each axis
        tolerance = {"float32": 1e-5, "complex64": 1e-5}.get(x.dtype.name, 1e-13)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=50 * tolerance, err_msg=message)
    else:
        np.testing.assert_array_equal(got, expected, err_msg=message)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_mode(name, mode, shape):
    for dtype, size in itertools.product(("float64", "float32", "uint8", "int32"), (1, 2, 3, 4, 13, tuple(range(1, len(shape) + 1)))):
        sizes = size if isinstance(size, tuple) else (size,) * len(shape)
        for origin in {0, *(o for o in (-1, 1) if all(0 <= k // 2 + o < k for k in sizes))}:
            compare(name, sample(shape, dtype), size, mode=mode, cval=7, origin=origin)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64", "bool", "complex64", "complex128"])
def test_every_dtype(name, dtype):
    if name == "uniform_filter" and dtype == "bool" or name != "uniform_filter" and dtype.startswith("complex"):
        with pytest.raises(TypeError, match=f"input has dtype {dtype}"):
            getattr(cyconv, name)(sample((4, 5), dtype), 3)
        return
    cval = {"c": 2 - 5j, "b": 1}.get(dtype[0], 3)
    for mode in MODES[:5]:
        compare(name, sample((12, 23), dtype), (4, 5), mode=mode, cval=cval)


@pytest.mark.parametrize("name", NAMES)
def test_each_axis_its_own_way(name):
    x = sample((6, 9, 20), "float64")
    compare(name, x, (2, 3, 5), mode=("wrap", "constant", "mirror"), cval=-4, origin=(0, -1, 2))
    for axes in (0, 1, -1, (0, 2), (1,), (-1, -3), ()):
        compare(name, x, 3, mode="mirror", axes=axes)
    for axes, size in (((2, 0), (5, 2)), ((0, 1), (4, 1))):
        compare(name, x, size, mode=("wrap", "nearest"), origin=(1, 0) if axes[0] == 2 else (0, 0), axes=axes)


@pytest.mark.parametrize("name", NAMES)
def test_layout_does_not_matter(name):
    x = sample((8, 10, 12), "float32")
    expected = getattr(cyconv, name)(x, (3, 4, 5))
    for y in (np.asfortranarray(x), x[::-1].copy()[::-1], np.repeat(x, 2, 2)[..., ::2], x.transpose(2, 0, 1).copy().transpose(1, 2, 0)):
        np.testing.assert_array_equal(getattr(cyconv, name)(y, (3, 4, 5)), expected)
    x.setflags(write=False)
    np.testing.assert_array_equal(getattr(cyconv, name)(x, (3, 4, 5)), expected)
    assert getattr(cyconv, name)(x, (3, 4, 5), axes=(0, 1, 2)).flags.c_contiguous


@pytest.mark.parametrize("name", NAMES)
def test_output(name):
    x = sample((8, 10), "float64")
    expected = getattr(cyconv, name)(x, 3)
    for out in (np.empty_like(x), np.asfortranarray(x)):
        assert getattr(cyconv, name)(x, 3, output=out) is out
        np.testing.assert_array_equal(out, expected)
    assert getattr(cyconv, name)(x, 3, output=x) is x
    np.testing.assert_array_equal(x, expected)
    copy = getattr(cyconv, name)(x, 1)
    assert copy is not x and not np.shares_memory(copy, x)
    np.testing.assert_array_equal(copy, x)


@pytest.mark.parametrize("name", NAMES)
def test_long_windows(name):
    for shape, size in (((300, 400), 101), ((300, 400), (1, 399)), ((3000,), 1001), ((20, 30, 40), (19, 5, 39))):
        compare(name, sample(shape, "float64"), size)
        compare(name, sample(shape, "uint8"), size, mode="wrap")


@pytest.mark.parametrize("mode", MODES[:5])
def test_windows_far_longer_than_the_array(mode):
    x = rng.standard_normal((10, 20))
    for name in NAMES[:2]:
        for size in (100, (41, 3), (7, 999)):
            compare(name, x, size, mode=mode, cval=0.5)
        low = np.min if name == "minimum_filter" else np.max
        got = getattr(cyconv, name)(x, (2**60, 10**9), mode=mode)
        assert (got == (low([low(x), 0]) if mode == "constant" else low(x))).all()
    compare("uniform_filter", x, (300, 5), mode=mode)
    with pytest.raises(ValueError, match="size of an average must be at most 1024, or 64 times .* got 1000000000 for axis 0 of length 10"):
        cyconv.uniform_filter(x, 10**9)


def test_averages_along_many_axes_are_rounded_once():
    x = rng.standard_normal((6, 7, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(cyconv.uniform_filter(x, 3), cyconv.uniform_filter(x.astype(float), 3).astype(np.float32))


def test_nan_wins_where_it_is():
    x = rng.standard_normal((30, 40))
    x[10, 20] = np.nan
    seen = np.zeros(x.shape, bool)
    seen[8:13, 18:23] = True
    for name in NAMES:
        np.testing.assert_array_equal(np.isnan(getattr(cyconv, name)(x, 5)), seen)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_filter(name):
    for shape in ((0,), (3, 0, 4), ()):
        x = np.zeros(shape)
        got = getattr(cyconv, name)(x, 3)
        assert got.shape == shape and got.dtype == x.dtype


X = np.zeros((4, 5))
REFUSED = [
    ((X, 0), {}, "size must be at least 1, got 0"),
    ((X, 2.5), {}, "size must be an int"),
    ((X, (3, 3, 3)), {}, "size must be one value or a sequence of 2"),
    ((X, 3), {"mode": "edge"}, "mode must be one of 'reflect'"),
    ((X, 3), {"mode": ("reflect",)}, "mode must be one value or a sequence of 2"),
    ((X, 3), {"origin": 2}, "origin must be at least -1 and at most 1 for size 3, got 2"),
    ((X, 3), {"origin": -2}, "origin must be at least -1"),
    ((X, 3), {"axes": 2}, "axes must be at least -2 and below 2"),
    ((X, 3), {"axes": (0, 0)}, "axes must differ"),
    ((X, 3), {"cval": "x", "mode": "constant"}, "cval must be a real number, got 'x'"),
    ((X.astype(int), 3), {"cval": 0.5, "mode": "constant"}, "cval must be a number that int64 can hold, got 0.5"),
    ((X.astype(np.uint8), 3), {"cval": -1, "mode": "constant"}, "cval must be a number that uint8 can hold"),
    ((X, 3), {"cval": None}, "cval must be a real number, got None"),
    ((X, 3), {"cval": 1j}, "cval must be a real number"),
    ((X.astype(np.float32), 3), {"cval": 1e300}, "cval must be a number that float32 can hold"),
    ((X, 3), {"cval": 10**400}, "cval must be a number that float64 can hold"),
    ((X.astype(np.uint64), 3), {"cval": 2**64}, "cval must be a number that uint64 can hold"),
    ((X, 3), {"axes": 1.5}, "axes must be None, an int or a tuple of ints"),
    ((X, 3), {"axes": {0: 1}}, "axes must be None, an int or a tuple of ints"),
    ((X, [[1, 2], 3]), {}, "size must be an int or a sequence of ints"),
    ((X, 3), {"output": np.zeros((4, 4))}, "output must have shape"),
    ((X, 3), {"output": np.float32}, "output must be None or an array"),
    ((X.astype(np.float16), 3), {}, "input has dtype float16"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("args", "kwargs", "message"), REFUSED)
def test_bad_arguments_are_refused_by_name(name, args, kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(cyconv, name)(*args, **kwargs)


@pytest.mark.parametrize("name", NAMES[:2])
def test_what_is_missing_is_said(name):
    with pytest.raises(ValueError, match="footprint is not supported"):
        getattr(cyconv, name)(X, footprint=np.ones((3, 3)))
    with pytest.raises(ValueError, match="size must be given"):
        getattr(cyconv, name)(X)


def test_integer_averages_are_rounded_in_the_callers_order():
    x = np.random.default_rng(9).integers(-9, 9, (7, 5, 6))
    for axes in ((2, 1, 0), (-1, 0, 1), (1, 0), None):
        sizes = (4, 5, 3)[: 3 if axes is None else len(axes)]
        np.testing.assert_array_equal(cyconv.uniform_filter(x, sizes, axes=axes), ndimage.uniform_filter(x, sizes, axes=axes))

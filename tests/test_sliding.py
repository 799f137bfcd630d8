"""Windows that slide: long ones, every way in which they are joined, minima; against the oracle and against torch's rules for ties."""

import ctypes
import itertools
import mmap
import sys
import tracemalloc
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

import cyconv
from cyconv.pool_problem import AVERAGE_DTYPES, MAX_DTYPES

pytestmark = pytest.mark.backends

FLOATS = ("float16", "float32", "float64")
rng = np.random.default_rng(0)


def sample(shape, dtype):
    """Many ties; of floats NaN, infinities and zeros of both signs, too."""
    least = 0 if dtype == "bool" or dtype[0] == "u" else -3
    x = (rng.integers(0, 2 if dtype == "bool" else 7, shape) + least).astype(dtype)
    if dtype in FLOATS:
        for value, share in ((np.nan, 0.02), (-np.inf, 0.2), (np.inf, 0.02), (-0.0, 0.1)):
            x[rng.random(x.shape) < share] = value
    return x


def same(function, x, *args, bits=True, **kwargs):
    """`sliding` gives what the oracle gives; of maxima also the signs of zeros."""
    with np.errstate(all="ignore"):
        expected = function(x, *args, **kwargs, algorithm="reference")
    got = function(x, *args, **kwargs, algorithm="sliding")
    message = f"{function.__name__} of {x.shape} {x.dtype}: {args} {kwargs}"
    for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
        np.testing.assert_array_equal(a, b, err_msg=message)
        if bits and a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]), err_msg=message)


LONG = [  # kernel_size, stride, padding, dilation
    (7, 1, 3, 1), (8, 1, 4, 1), (25, 1, 12, 1), (26, 3, 13, 1), ((33, 2), (1, 9), (16, 0), 1), ((2, 31), (2, 1), (1, 15), 1),
    ((9, 17), (4, 2), (4, 8), (2, 1)), ((7, 7), (1, 1), (3, 3), (3, 4)), ((13, 5), (2, 3), (6, 2), (2, 5)), ((11, 21), (6, 5), (0, 7), (1, 2)),
    ((17, 1), (16, 1), (8, 0), 1), ((40, 60), (1, 1), (20, 30), 1), ((5, 90), (5, 2), (2, 45), 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", MAX_DTYPES)
@pytest.mark.parametrize("window", LONG)
def test_long_windows(dtype, window):
    x = sample((2, 41, 71), dtype)
    for function in (cyconv.max_pool2d, cyconv.min_pool2d):
        for indices in (False, True):
            same(function, x, *window, return_indices=indices)
    if dtype in AVERAGE_DTYPES and window[3] == 1:
        y = x if dtype not in FLOATS else np.nan_to_num(x, nan=1, posinf=2, neginf=-3)
        for include in (False, True):
            same(cyconv.avg_pool2d, y, *window[:3], False, include, bits=False)


@pytest.mark.parametrize("kernel", range(1, 80))
def test_every_length_of_window(kernel):
    """Along rows and across them: runs of each length, blocks of each length."""
    x = sample((1, 1, 90), "float32")
    y = x.reshape(1, 90, 1)
    whole = np.nan_to_num(x, nan=1, posinf=2, neginf=-3).astype(np.float64)
    for stride, padding in itertools.product((1, 2, 4, 5), {0, kernel // 2}):
        for indices in (False, True):
            same(cyconv.max_pool2d, x, (1, kernel), (1, stride), (0, padding), return_indices=indices)
            same(cyconv.max_pool2d, y, (kernel, 1), (stride, 1), (padding, 0), return_indices=indices)
        for numbers in (whole, whole.astype(np.float32)):
            same(cyconv.avg_pool2d, numbers, (1, kernel), (1, stride), (0, padding), bits=False)
            same(cyconv.avg_pool2d, numbers.reshape(1, 90, 1), (kernel, 1), (stride, 1), (padding, 0), bits=False)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_sums_of_rows_in_pieces(dtype):
    """A row is cut into some pieces, each of which begins somewhere in a block of runs, and has a middle where nothing is padding."""
    x = np.random.default_rng(5).integers(0, 100, (1, 2, 5003)).astype(dtype)
    for kernel in (8, 15, *(range(16, 33) if dtype == "float32" else (17, 24, 32)), 63, 101, 200, 1000):
        for stride, padding, rows in ((1, kernel // 2, 1), (1, 0, 2), (3, 4, 1)):
            same(cyconv.avg_pool2d, x, (rows, kernel), (1, stride), (0, padding), bits=False)


@pytest.mark.parametrize("kernel", (97, 101, 128, 129, 200, 257))
def test_longer_windows(kernel):
    for dtype in ("float32", "float64", "uint8", "int16", "int32", "int64"):
        for width in (kernel + 1, kernel + 70):
            x = sample((1, 2, width), dtype)
            for stride, padding in itertools.product((1, 3), (0, kernel // 2)):
                same(cyconv.max_pool1d, x, kernel, stride, padding)
                y = x if dtype[0] != "f" else np.nan_to_num(x, nan=1, posinf=2, neginf=-3)
                same(cyconv.avg_pool1d, y.astype("float64" if dtype == "float32" else dtype), kernel, stride, padding, bits=False)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16", "int32", "uint64"])
def test_windows_of_three_at_every_width(dtype):
    """They have a way of their own, in which the ends of rows are no copies."""
    for width, height in [*((w, 5) for w in range(3, 80)), (33, 3), (33, 4), (20, 6), (200, 7)]:
        x = sample((2, height, width), dtype)
        for stride, padding in itertools.product((1, 2), (0, 1)):
            same(cyconv.max_pool2d, x, 3, stride, padding)
        same(cyconv.min_pool2d, x, 3, 1, 1)
        same(cyconv.max_pool2d, x[:, ::-1], 3, 2, 1)
        y = x if dtype not in FLOATS else np.nan_to_num(x, nan=1, posinf=2, neginf=-3)
        for stride, padding, include in itertools.product((1, 2), (0, 1), (False, True)):
            same(cyconv.avg_pool2d, y, 3, stride, padding, width % 2 == 1, include, bits=False)
        for stride in (1, 2):  # rows of results that are divided by another number than the one above
            same(cyconv.avg_pool2d, y, 3, stride, (1, 0), False, False, bits=False)
        same(cyconv.avg_pool2d, y[:, ::-1], 3, 1, 1, False, True, 5, bits=False)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int16", "int32", "uint64"])
def test_windows_apart_at_every_width(dtype):
    """Every third or fourth, of fewer numbers or as many: vectors are parted, and the last one is not whole."""
    for kernel, stride in ((2, 3), (3, 3), (2, 4), (3, 4), (4, 4)):
        for width in (*range(kernel, 150, 3), 300):
            x = sample((2, 5, width), dtype)
            same(cyconv.max_pool2d, x, (2, kernel), (2, stride), (0, kernel // 2))
            same(cyconv.min_pool2d, x, (1, kernel), (1, stride), ceil_mode=True)
            y = x if dtype not in FLOATS else np.nan_to_num(x, nan=1, posinf=2, neginf=-3)
            same(cyconv.avg_pool2d, y, (2, kernel), (2, stride), (1, kernel // 2), True, False, bits=False)


@pytest.mark.parametrize("function", [cyconv.max_pool2d, cyconv.min_pool2d])
@pytest.mark.parametrize("dtype", MAX_DTYPES)
def test_small_windows_everywhere(function, dtype):
    x = sample((2, 3, 7, 19), dtype)
    for kernel, stride, dilation, ceil_mode in itertools.product((1, 2, 3, (3, 2), (2, 4)), (1, 2, 3, 4, (1, 2)), (1, 2), (False, True)):
        for padding in {0, min(kernel if isinstance(kernel, tuple) else (kernel,)) // 2}:
            for indices in (False, True):
                try:
                    same(function, x, kernel, stride, padding, dilation, ceil_mode, return_indices=indices)
                except ValueError as error:
                    assert "holds no sample" in str(error)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
def test_volumes(dtype):
    x = sample((1, 2, 12, 13, 20), dtype)
    for window in (
        (2, 2, 0), (3, 1, 1), ((2, 3, 1), (1, 2, 1), (1, 1, 0), (2, 1, 1)), (7, 1, 3), ((9, 7, 5), (1, 2, 3), (4, 3, 2)), ((3, 1, 1), 1, (1, 0, 0)),
        ((1, 3, 3), 1, (0, 1, 1)), ((1, 1, 3), (2, 2, 1), (0, 0, 1)), ((7, 3, 3), 1, (3, 1, 1), (2, 1, 1)), ((8, 1, 1), 1, (4, 0, 0)),
    ):  # fmt: skip
        for function in (cyconv.max_pool3d, cyconv.min_pool3d):
            for indices in (False, True):
                same(function, x, *window, return_indices=indices)
        if len(window) == 3:
            same(cyconv.avg_pool3d, np.nan_to_num(x, nan=1, posinf=2, neginf=-3), *window, bits=False)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "int32", "uint64"])
def test_cubes_of_two_at_every_width(dtype):
    for width in (*range(2, 20), 31, 32, 33, 64, 65, 130):
        for depth, height in ((2, 2), (4, 5), (5, 4), (7, 6)):
            x = sample((2, 2, depth, height, width), dtype)
            for view in (x, x[:, :, ::-1], x[:, :, :, ::-1]):
                same(cyconv.max_pool3d, view, 2)
                same(cyconv.max_pool3d, view, 2, return_indices=True)
                same(cyconv.avg_pool3d, view, 2, bits=False)
                same(cyconv.avg_pool3d, view, 2, divisor_override=3, bits=False)


def test_minima_are_maxima_of_what_is_turned_round():
    x = np.random.default_rng(1).standard_normal((2, 3, 20, 31), np.float32)
    for window in ((3, 2, 1), (15, 1, 7), (2, 2, 0, 3)):
        least, where = cyconv.min_pool2d(x, *window, return_indices=True)
        most, there = cyconv.max_pool2d(-x, *window, return_indices=True)
        np.testing.assert_array_equal(least, -most)
        np.testing.assert_array_equal(where, there)
    for dtype in ("uint8", "int8", "uint64", "int64"):
        ends = np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max, 1, 2]], dtype)
        np.testing.assert_array_equal(cyconv.min_pool1d(ends, 2), [[np.iinfo(dtype).min, 1]])
        np.testing.assert_array_equal(cyconv.max_pool1d(ends, 2), [[np.iinfo(dtype).max, 2]])


def test_padding_never_wins_a_minimum():
    for dtype in MAX_DTYPES:
        high = np.inf if dtype in FLOATS else True if dtype == "bool" else np.iinfo(dtype).max
        x = np.full((1, 4, 5), high, dtype)
        values, indices = cyconv.min_pool2d(x, 3, 1, 1, return_indices=True)
        assert (values == high).all()
        rows, columns = np.maximum(np.arange(4) - 1, 0), np.maximum(np.arange(5) - 1, 0)
        np.testing.assert_array_equal(indices[0], rows[:, None] * 5 + columns)


def test_the_sign_of_a_zero_is_the_first_ones():
    """Row-major over the whole window, not along one axis and then along the other."""
    x = np.array([[[-1, -0.0], [0.0, -1]]])
    assert np.signbit(cyconv.max_pool2d(x, 2)).all()
    assert not np.signbit(cyconv.max_pool2d(np.flip(x, 1), 2)).any()
    assert np.signbit(cyconv.min_pool2d(abs(x) * [[[1, -1], [1, 1]]], 2)).all()


# ---- sums ------------------------------------------------------------------------------------------------------------------


def test_nothing_leaks_from_windows_that_have_gone():
    x = np.full((1, 1, 5000), 0.1)
    x[0, 0, 1000], x[0, 0, 2000], x[0, 0, 3000] = 1e300, np.nan, np.inf
    for shape in ((1, 1, 5000), (1, 5000, 1)):
        kernel = (1, 101) if shape[-1] > 1 else (101, 1)
        result = cyconv.avg_pool2d(x.reshape(shape), kernel, 1, tuple(k // 2 for k in kernel), count_include_pad=False).reshape(-1)
        clean = np.ones(5000, bool)
        for place in (1000, 2000, 3000):
            clean[place - 50 : place + 51] = False
        np.testing.assert_allclose(result[clean], 0.1, rtol=1e-14)
        assert (result[950:1051] > 1e297).all() and np.isnan(result[1950:2051]).all() and np.isinf(result[2950:3051]).all()


@pytest.mark.parametrize("shape", [(1, 1, 100_000), (1, 100_000, 1), (2, 70, 90)])
def test_the_error_of_averages_does_not_grow(shape):
    """Within the menu's bound, at the end as at the beginning, whatever the magnitudes."""
    x = np.random.default_rng(2).standard_normal(shape) * 10.0 ** np.random.default_rng(3).integers(-6, 7, shape)
    kernel = tuple(min(n, 57) for n in shape[1:])
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, (1, 2)).astype(np.longdouble)
    exact, scale = windows.mean((-2, -1)), abs(windows).mean((-2, -1))
    problem = cyconv.pool_problem.avg_pool_problem(2, x, kernel, 1, 0, False, True, None)
    bound = cyconv.menu.POOL[0].bound(problem) * np.finfo(np.float64).eps
    assert (abs(cyconv.avg_pool2d(x, kernel, 1, algorithm="sliding") - exact) <= bound * scale).all()
    single = x.astype(np.float32)
    exact = np.lib.stride_tricks.sliding_window_view(single, kernel, (1, 2)).astype(np.longdouble).mean((-2, -1))
    assert (abs(cyconv.avg_pool2d(single, kernel, 1, algorithm="sliding") - exact) <= np.finfo(np.float32).eps * scale).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integer_averages_of_extreme_numbers(dtype):
    """Sums that do not fit the dtype, and quotients that are whole or all but whole."""
    info = np.iinfo(dtype)
    x = rng.choice(np.array([info.min, info.max, info.max - 1, info.min + 1, 0, 1], dtype), (2, 30, 40))
    if info.bits == 64:
        x = x // 2  # sums are of 64 bits
    for kernel, stride in ((1, 1), (2, 2), (3, 1), (7, 3), ((30, 40), 1)):
        for override in (None, 1, 3, 1000) + ((-1, -7) if info.min else ()):
            same(cyconv.avg_pool2d, x, kernel, stride, 0, False, True, override)


# ---- what must not matter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_neither_layout_nor_threads_nor_batch_change_a_bit(dtype, backend):
    x = np.random.default_rng(4).standard_normal((3, 5, 33, 50)) * 100
    x = x.astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    calls = [
        partial(function, kernel_size=k, stride=s, padding=p, algorithm="sliding")
        for function in (cyconv.max_pool2d, cyconv.avg_pool2d)
        for k, s, p in ((3, 1, 1), (2, 2, 0), (3, 3, 1), (4, 4, 2), (15, 1, 7), ((9, 30), (2, 3), 4))
    ]
    calls.append(partial(cyconv.max_pool2d, kernel_size=9, stride=1, return_indices=True, algorithm="sliding"))
    for call in calls:
        with cyconv.threads(1):
            expected = call(x)
        with cyconv.threads(3):
            variants = [call(x)]
        if backend == "cpu" or dtype != "float64" or call.func is cyconv.max_pool2d:  # the GPU adds up what lies in a row first
            variants += [call(last), call(np.asfortranarray(x)), call(x[:, :, ::-1].copy()[:, :, ::-1]), call(np.repeat(x, 2, 3)[..., ::2])]
        for got in variants:
            for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
                assert a.tobytes() == b.tobytes()
        alone = call(x[2])
        for a, b in zip(alone, expected) if isinstance(alone, tuple) else [(alone, expected)]:
            assert a.tobytes() == b[2].tobytes()


@pytest.mark.parametrize("kernel", [(1, 20_000), (20_000, 1)])
def test_windows_that_no_box_holds(kernel):
    """Channels last: pieces get smaller until there is nothing to cut."""
    x = np.random.default_rng(8).integers(-9, 9, tuple(k + 20 if k > 1 else 1 for k in kernel) + (20,)).astype(np.float32)
    last = np.moveaxis(x, -1, 0)
    for pool in (cyconv.max_pool2d, cyconv.avg_pool2d):
        got = pool(last, kernel, 1, algorithm="sliding")
        np.testing.assert_array_equal(got, pool(last.copy(), kernel, 1, algorithm="reference"))


def test_layout_changes_no_sign_of_an_averages_zero():
    x = np.random.default_rng(7).choice(np.array([0.0, -0.0], np.float32), (2, 20, 9, 70), p=(0.1, 0.9))
    for width in (5, 20, 70):
        for stride in (1, 2):
            y = x[..., :width]
            results = [cyconv.avg_pool2d(view, 3, stride, 1, algorithm="sliding").tobytes() for view in (y, y.copy(), y.copy("F"))]
            last = np.moveaxis(np.ascontiguousarray(np.moveaxis(y, 1, -1)), -1, 1)
            assert results == [cyconv.avg_pool2d(last, 3, stride, 1, algorithm="sliding").tobytes()] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_layout_changes_no_bit_of_sums_of_long_windows(dtype):
    """Boxes of channels are cut elsewhere along a row; blocks of runs begin where they always do."""
    x = np.random.default_rng(6).standard_normal((1, 40, 7, 1500)).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for kernel in ((1, 16), (2, 21), (5, 101), (7, 200)):
        for stride in (1, 3):
            assert cyconv.avg_pool2d(x, kernel, stride, algorithm="sliding").tobytes() == cyconv.avg_pool2d(last, kernel, stride, algorithm="sliding").tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int16", "int64"])
@pytest.mark.parametrize("columns, kernel", [(71, 24), (71, 31), (63, 16), (63, 23), (40, 5), (40, 7), (40, 8), (40, 9), (40, 14), (40, 4)])
def test_sums_along_rows_of_pixels(dtype, columns, kernel):
    """Rows of all channels side by side, in several pieces: runs, what is left behind them, and blocks whose opening a piece begins within."""
    x = (np.random.default_rng(8).standard_normal((1, 200, 3, columns)) * 40).astype(dtype)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for padding in (0, (1, kernel // 2)):
        expected = cyconv.avg_pool2d(x, (2, kernel), 1, padding, algorithm="sliding")
        assert expected.tobytes() == cyconv.avg_pool2d(last, (2, kernel), 1, padding, algorithm="sliding").tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int16", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(2, 37, 21, 40), (1, 64, 9, 70), (1, 130, 5, 3), (3, 4, 150, 200)])
def test_channels_last(dtype, shape):
    """Boxes of some channels: more and fewer than a line of the cache holds, rows longer and shorter than a vector, several boxes to a plane."""
    x = (np.random.default_rng(6).standard_normal(shape) * 9).astype(dtype)
    y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    windows = ((3, 1, 1), (2, 2, 0), ((3, 2), (2, 3), (1, 0)), (1, 2, 0), (tuple(min(n, 19) for n in shape[2:]), 1, (min(shape[2], 19) // 2, 0)))
    for kernel, stride, padding in windows:
        pool = partial(cyconv.avg_pool2d, kernel_size=kernel, stride=stride, padding=padding, algorithm="sliding")
        assert pool(y).tobytes() == pool(x).tobytes()
        if x.dtype.kind == "c":
            continue
        pool = partial(cyconv.max_pool2d, kernel_size=kernel, stride=stride, padding=padding, algorithm="sliding")
        assert pool(y).tobytes() == pool(x).tobytes()
        for a, b in zip(pool(y, return_indices=True), pool(x, return_indices=True)):
            assert a.tobytes() == b.tobytes()
    if x.dtype.kind != "c":
        volume, turned = x.reshape(*shape[:2], 1, *shape[2:]).repeat(4, 2), y.reshape(*shape[:2], 1, *shape[2:]).repeat(4, 2)
        turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(turned, 1, -1)), -1, 1)
        pool = partial(cyconv.max_pool3d, kernel_size=(3, 2, 3), stride=(1, 2, 1), padding=(1, 0, 1), dilation=(1, 2, 1), algorithm="sliding")
        assert pool(turned).tobytes() == pool(volume).tobytes()


@pytest.mark.parametrize("channels", [*range(2, 20), 24, 33, 40, 72, 130, 200])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "int32", "uint64", "complex64"])
def test_every_number_of_channels_last(channels, dtype):
    for shape in ((2, channels, 5, 37), (1, channels, 40, 70), (2, channels, 7, 12)):
        x = sample(shape, dtype) if dtype != "complex64" else sample(shape, "float32").astype(dtype) * (1 + 2j)
        y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1), ((2, 3), (3, 5), (1, 0))):
            if dtype in AVERAGE_DTYPES:
                a, b = (cyconv.avg_pool2d(z, kernel, stride, padding, algorithm="sliding") for z in (x, y))
                np.testing.assert_array_equal(a, b)  # a NaN's sign may differ
            for function in (cyconv.max_pool2d, cyconv.min_pool2d):
                if dtype != "complex64":
                    for z in (y, y[:, :, ::-1], y[..., ::-1]):
                        a, b = (function(u, kernel, stride, padding, algorithm="sliding") for u in (np.ascontiguousarray(z), z))
                        assert a.tobytes() == b.tobytes()


def test_long_windows_of_many_channels_stay_within_bounds():
    """A row of all channels may be long, and windows of many such rows beyond what is allowed."""
    for dtype, channels, size, kernel in (("uint8", 4096, (50, 340), (40, 300)), ("float32", 1000, (400, 70), (390, 25)), ("int8", 4096, (900, 60), (890, 20))):
        x = np.broadcast_to(np.ones((1, size[1], channels), dtype), (*size, channels)).transpose(2, 0, 1)
        tracemalloc.start()
        try:
            result = cyconv.avg_pool2d(x, kernel, 1, algorithm="sliding")
            peak = tracemalloc.get_traced_memory()[1] - result.nbytes
        finally:
            tracemalloc.stop()
        assert peak < 2**28 and (result == 1).all()


def test_pixels_are_pooled_by_what_is_quick_for_them():
    """What costs least for rows may take many times as long where channels are neighbours."""
    x = np.random.default_rng(3).standard_normal((1, 32, 28, 446), np.float32)
    y = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    for options in (dict(kernel_size=(28, 101), stride=2), dict(kernel_size=3, stride=2, padding=1)):
        np.testing.assert_allclose(cyconv.avg_pool2d(y, **options), cyconv.avg_pool2d(x, **options), rtol=1e-6, atol=1e-7)
        assert cyconv.avg_pool2d(y, **options).tobytes() == cyconv.avg_pool2d(y, **options, algorithm="sliding").tobytes()


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "int64"])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 11, 64, 70])
def test_rows_of_pixels_of_every_length(dtype, channels):
    """Rows shorter than a vector of pixels, of one, and of some and a rest; more rows than wait for their planes at a time, in volumes and dilated."""
    for width in (3, 8, 15, 17, 31, 33, 64, 66):
        x = np.random.default_rng(9).integers(-99, 99, (2, channels, 37, width)).astype(dtype)
        y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        for window in (dict(kernel_size=3, stride=1, padding=1), dict(kernel_size=(2, 3), stride=(3, 1)), dict(kernel_size=(5, 2), stride=1, dilation=(3, 2))):
            for function in (cyconv.max_pool2d, cyconv.min_pool2d):
                np.testing.assert_array_equal(function(y, **window, algorithm="sliding"), function(x, **window, algorithm="sliding"))
        volume = x.reshape(2, channels, 1, 37, width).repeat(3, 2)
        turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(volume, 1, -1)), -1, 1)
        pool = partial(cyconv.max_pool3d, kernel_size=(2, 2, 3), stride=1, padding=1, algorithm="sliding")
        np.testing.assert_array_equal(pool(turned), pool(volume))


@pytest.mark.parametrize("channels", [3, 16, 37, 150])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 2, 1), (3, 3, 1), ((2, 3, 2), (2, 1, 3), (1, 0, 1)), ((1, 3, 3), 2, 0)])
def test_volumes_with_channels_last(channels, dtype, window):
    x = sample((2, channels, 6, 7, 21), dtype)
    y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for ceil_mode in (False, True):
        a, b = (cyconv.max_pool3d(z, *window, 1, ceil_mode, algorithm="sliding") for z in (x, y))
        assert a.tobytes() == b.tobytes()
        a, b = (cyconv.max_pool3d(z, *window, (2, 1, 2), ceil_mode, algorithm="sliding") for z in (x, y))
        assert a.tobytes() == b.tobytes()
        for count_include_pad, divisor in ((True, None), (False, None), (False, 5)):
            a, b = (cyconv.avg_pool3d(z, *window, ceil_mode, count_include_pad, divisor, algorithm="sliding") for z in (x, y))
            np.testing.assert_array_equal(a, b)
            if a.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64"])
def test_signals_are_rows_of_one_plane(dtype):
    """Channels, and whole batches where they are one run of memory, in any order; planes of one row, too."""
    x = sample((5, 7, 45), dtype)
    for view in (x, x[:, ::-1], x[::2], x[:, :3], x[::-1, 1::3], x[..., ::-1], x[..., ::2], x.transpose(1, 0, 2), np.broadcast_to(x[:1, :1], x.shape)):
        for kernel, stride, padding in ((2, 2, 0), (3, 1, 1), (4, 4, 2), (1, 3, 0), (20, 3, 10)):
            for function in (cyconv.max_pool1d, cyconv.avg_pool1d):
                same(function, view, kernel, stride, padding, bits=False)
                same(function, view[0], kernel, stride, padding, bits=False)
            same(cyconv.max_pool1d, view, kernel, stride, padding, return_indices=True)
            same(cyconv.max_pool2d, view[:, :, None], (1, kernel), (1, stride), (0, padding))
            same(cyconv.max_pool2d, view[:, :, None], (3, kernel), (1, stride), (1, padding))
            for function in (cyconv.max_pool2d, cyconv.avg_pool2d):  # one window, which reaches over more rows than there are
                same(function, view[:, :, None], (3, kernel), (3, stride), (0, padding), ceil_mode=True, bits=False)
            same(cyconv.max_pool3d, view[:, :, None, None], (2, 3, kernel), (2, 3, stride), (0, 0, padding), ceil_mode=True)


@pytest.mark.parametrize("kernel", [3, (5, 3, 3), (9, 9, 3), (4, 1, 2)])
def test_boxes_of_volumes_with_indices(kernel):
    """Pieces are cut again for boxes: what is kept of planes and rows, with its places, must still fit each thread's scratch."""
    x = np.random.default_rng(7).standard_normal((2, 16, 12, 50, 64), np.float32)
    y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    with cyconv.threads(2):
        for a, b in zip(*(cyconv.max_pool3d(z, kernel, 1, return_indices=True, algorithm="sliding") for z in (x, y))):
            assert a.tobytes() == b.tobytes()


@contextmanager
def fenced(pages=2):
    """Pages of memory, with one before and one behind them that must not be touched."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(start, page, 0) != 0 or protect(start + (pages + 1) * page, page, 0) != 0:
        pytest.skip("mprotect is not allowed here")
    try:
        yield np.frombuffer(memory, np.uint8, pages * page, page)
    finally:
        protect(start, (pages + 2) * page, mmap.PROT_READ | mmap.PROT_WRITE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 8, 15, 40])
def test_nothing_beside_an_array_is_read(kernel):
    """Rows are read in whole vectors where they lie, but nothing in front of the array or behind it."""
    with fenced() as memory:
        for dtype, width in itertools.product(("float16", "float32", "float64", "uint8", "int32"), (41, 64, 100)):
            whole = memory.view(dtype)
            rows = min(len(whole) // width, 12)
            for x in (whole[: rows * width], whole[len(whole) - rows * width :]):
                x = x.reshape(1, rows, width)
                x[:] = sample(x.shape, dtype)
                for view in (x, x[:, ::-1], x[:, :, ::-1]):
                    for stride, padding in itertools.product((1, 2, 3, 4, 5), {0, kernel // 2}):
                        for window in ((min(kernel, rows), kernel), (1, kernel), (min(kernel, 2), kernel)):
                            pads = tuple(min(padding, k // 2) for k in window)
                            for function in (cyconv.max_pool2d, cyconv.min_pool2d, cyconv.avg_pool2d):
                                if function is not cyconv.avg_pool2d or dtype in AVERAGE_DTYPES:
                                    function(view, window, stride, pads, algorithm="sliding")
                            cyconv.max_pool2d(view, window, stride, pads, return_indices=True, algorithm="sliding")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_beside_small_planes_is_read(dtype):
    """Squares of them are read at once, too, by `pool`."""
    with fenced() as memory:
        whole = memory.view(dtype)
        for planes, (height, width) in itertools.product((16, 17, 31, 40, 70), ((1, 4), (2, 8), (4, 4), (3, 5), (7, 7))):
            n = planes * height * width
            if n <= len(whole):
                for x in (whole[:n], whole[len(whole) - n :]):
                    x = x.reshape(planes, height, width)
                    x[:] = np.arange(n).reshape(x.shape) % 17
                    for window in ((1, 2), (height, 3), (height, width)):
                        for function in (cyconv.max_pool2d, cyconv.avg_pool2d):
                            got = function(x, window, 2, algorithm="pool")
                            np.testing.assert_array_equal(got, function(x, window, 2, algorithm="reference"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
def test_nothing_beside_an_array_with_channels_last_is_read():
    """Squares of them are read at once."""
    with fenced() as memory:
        for dtype, channels in itertools.product(("float32", "float64", "uint8"), (2, 3, 4, 5, 6, 8, 11, 13, 16, 20)):
            x = memory.view(dtype)[-2 * 19 * channels :].reshape(2, 19, channels)
            x[:] = sample(x.shape, dtype)
            cube = memory.view(dtype)[-4 * 8 * 20 :].reshape(1, 4, 8, 20)
            for view in (cube, cube[:, ::-1], cube[:, :, ::-1]):
                cyconv.max_pool3d(view, 2, algorithm="sliding")
            for view in (x, x[:, ::-1], x[::-1]):
                view = np.moveaxis(view, 2, 0)
                for kernel, stride in ((2, 1), (2, 2), ((2, 5), 1)):
                    got = cyconv.max_pool2d(view, kernel, stride, algorithm="sliding")
                    np.testing.assert_array_equal(got, cyconv.max_pool2d(view, kernel, stride, algorithm="reference"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_last_square_of_many_channels_reads_no_others(dtype):
    """Planes so large that more channels than a line of the cache holds go together, and they are no multiple of that."""
    with fenced(100) as memory:
        for channels in (24, 37, 70):
            x = memory.view(dtype)[-30 * 20 * channels :].reshape(30, 20, channels)
            x[:] = sample(x.shape, dtype)
            view = np.moveaxis(x, 2, 0)
            got = cyconv.max_pool2d(view, (2, 5), 1, algorithm="sliding")
            np.testing.assert_array_equal(got, cyconv.max_pool2d(view, (2, 5), 1, algorithm="reference"))


def test_what_it_declines_is_named():
    x = np.zeros((1, 5, 5), np.float32)
    with pytest.raises(ValueError, match="algorithm='sliding' cannot compute this problem .*windows differ in size"):
        cyconv.adaptive_max_pool2d(x, 2, algorithm="sliding")


@pytest.mark.cpu  # the GPU's has minima
def test_what_pool_declines_is_named():
    x = np.zeros((1, 5, 5), np.float32)
    with pytest.raises(ValueError, match="algorithm='pool' cannot compute this problem .*made for maxima"):
        cyconv.min_pool2d(x, 2, algorithm="pool")


@pytest.mark.parametrize("shape, kernel", [((1, 2, 700, 200), 31), ((1, 1, 900, 300), 101), ((1, 1, 120, 60, 200), (40, 5, 7))])
@pytest.mark.parametrize("stride", [1, 3])
def test_threads_cut_further_but_sum_alike(shape, kernel, stride):
    """Many threads get shorter pieces; where blocks of rows begin, and so each sum's order, stays as it is."""
    x = np.random.default_rng(0).standard_normal(shape)
    pool = cyconv.avg_pool2d if len(shape) == 4 else cyconv.avg_pool3d
    with cyconv.threads(1):
        expected = pool(x, kernel, stride, algorithm="sliding")
    for count in (2, 3, 16):
        with cyconv.threads(count):
            assert pool(x, kernel, stride, algorithm="sliding").tobytes() == expected.tobytes(), count

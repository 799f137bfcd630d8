"""Pooling against the obvious NumPy of cyconv.reference: every dtype, option and memory layout; exactly."""

import inspect
import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_cases import OURS_ALONE, REJECTED, X, sample

import cyconv
from cyconv import menu
from cyconv.pool_problem import AVERAGE_DTYPES, MAX_DTYPES, max_pool_problem

pytestmark = pytest.mark.backends

REAL = ("float16", "float32", "float64")
KERNELS = [row.name for row in menu.POOL if row.name != "reference"]
NAMES = [f"{kind}{d}d" for kind in ("max_pool", "avg_pool", "lp_pool", "adaptive_max_pool", "adaptive_avg_pool") for d in (1, 2, 3)]


def spoiled(x, seed=1):
    """x with NaN, infinities and negative zeros strewn in."""
    rng = np.random.default_rng(seed)
    x = x.copy()
    for value, share in ((np.nan, 0.1), (-np.inf, 0.3), (np.inf, 0.05), (-0.0, 0.1)):
        x[rng.random(x.shape) < share] = value
    return x


def both(function, *args, algorithm, **kwargs):
    with np.errstate(all="ignore"):
        expected = function(*args, **kwargs, algorithm="reference")
    return function(*args, **kwargs, algorithm=algorithm), expected


def check(function, *args, **kwargs):
    """All kernels that accept it give what the oracle gives, bit for bit but for the sign and payload of NaN."""
    declined = 0
    for algorithm in KERNELS:
        try:
            got, expected = both(function, *args, algorithm=algorithm, **kwargs)
        except ValueError as error:
            assert "cannot compute this problem" in str(error)
            declined += 1
            continue
        for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
            assert a.dtype == b.dtype and a.flags.c_contiguous
            message = f"{function.__name__} {algorithm} {args[1:]} {kwargs}"
            np.testing.assert_array_equal(a, b, err_msg=message)
            if "max_pool" in function.__name__ and a.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]), err_msg=message)
    assert declined < len(KERNELS)


def values_and_indices(function, x, *args):
    check(function, x, *args)
    check(function, x, *args, return_indices=True)


WINDOWS = [  # kernel_size, stride, padding, dilation, ceil_mode
    (1, 1, 0, 1, False), (2, 2, 0, 1, False), (2, 1, 1, 1, False), (3, 2, 1, 1, False), (3, 1, 1, 1, False), (3, 1, 1, 2, False),
    (2, 3, 1, 3, True), (3, 2, 0, 1, True), (5, 3, 2, 1, True), ((2, 3), (1, 2), (1, 0), (3, 1), True), (1, 4, 0, 1, False),
    ((9, 11), None, 0, 1, False), ((1, 8), (1, 3), (0, 4), 1, True),
]  # fmt: skip


@pytest.mark.parametrize("dtype", MAX_DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_max_pool_of_every_dtype(dtype, window):
    x = sample((2, 3, 9, 11), dtype)
    values_and_indices(cyconv.max_pool2d, x, *window)
    if dtype in REAL:
        values_and_indices(cyconv.max_pool2d, spoiled(x), *window)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_of_equal_zeros_the_first_ones_sign_stays(dtype):
    x = np.random.default_rng(0).choice(np.array([0.0, -0.0, -1.0, -np.inf], dtype), (2, 3, 17, 40), p=(0.1, 0.1, 0.6, 0.2))
    for view in (x, x[..., ::-1], np.asfortranarray(x)):
        check(cyconv.adaptive_max_pool2d, view, (5, 7))
        check(cyconv.max_pool2d, view, (5, 6), (4, 5), 2)
        check(cyconv.max_pool2d, view, 3, 3, 1, (2, 3))
        check(cyconv.max_pool1d, view.reshape(6, 17, 40), 20, 3)
        check(cyconv.adaptive_max_pool3d, view, (2, 4, 9))


@pytest.mark.parametrize("dtype", AVERAGE_DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_avg_pool_of_every_dtype(dtype, window):
    kernel, stride, padding, _, ceil_mode = window
    x = sample((2, 3, 9, 11), dtype)
    for include, override in itertools.product((False, True), (None, 3, -2)):
        if dtype[0] != "u" or override != -2:
            check(cyconv.avg_pool2d, x, kernel, stride, padding, ceil_mode, include, override)
    if dtype in REAL:
        check(cyconv.avg_pool2d, spoiled(x), kernel, stride, padding, ceil_mode)


@pytest.mark.parametrize("shape", [(40, 5, 6), (3, 30, 2, 3), (20, 17, 17), (2, 9, 40, 3), (70, 12, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64", "uint64", "float64"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_planes_side_by_side(shape, dtype, channels_last):
    """Many small planes, and channels last: the innermost loop runs over planes then."""
    x = sample(shape, dtype)
    if channels_last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -3, -1)), -1, -3)
    for window in ((2, 2, 0, 1, False), (2, 1, 1, 1, True), (2, 2, 1, 2, True)):
        values_and_indices(cyconv.max_pool2d, x, *window)
        check(cyconv.avg_pool2d, x, *window[:3], window[4], False)
    values_and_indices(cyconv.adaptive_max_pool2d, x, (3, 2))
    check(cyconv.adaptive_avg_pool2d, x, (2, 4))
    if dtype in REAL:
        values_and_indices(cyconv.max_pool2d, spoiled(x), 2, 1)
        check(cyconv.lp_pool2d, x, 2, 2)
        check(cyconv.lp_pool2d, x, np.inf, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_volumes_side_by_side(dtype):
    """They are turned by squares if they are one run of memory, and else sample by sample."""
    x = sample((2, 37, 6, 7, 10), dtype)
    for view in (x[:, :, :3, :4, :5].copy(), x[:, :, ::2, :4, :5], x[:, :, :3, :4, ::2], x[:, :, :3, 1:5], x[:, :, :, :4, :5], x[:, ::2, :3, :4].copy()):
        for window in ((2, 2), (2, 1), ((3, 1, 2), 2), ((1, 3, 2), 3)):
            check(cyconv.max_pool3d, view, *window)
            check(cyconv.avg_pool3d, view, *window)
        check(cyconv.adaptive_avg_pool3d, view, (2, 1, 3))


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", "float64"])
def test_long_rows_are_cut_into_pieces(dtype):
    """Rows longer than a piece of a line, and windows longer than one, too."""
    x = sample((2, 9000), dtype)
    x[0, 5000:] = x[0, 5000:].min()
    for kernel, stride, padding, dilation in ((2, 2, 0, 1), (3, 1, 1, 1), (70, 9, 35, 1), (3, 1, 1, 1500), (3000, 70, 1000, 1), (9000, 1, 0, 1), (2, 90, 0, 3)):
        values_and_indices(cyconv.max_pool1d, x, kernel, stride, padding, dilation)
        check(cyconv.avg_pool1d, x, kernel, stride, padding)
    for windows in (1, 7, 100):
        values_and_indices(cyconv.adaptive_max_pool1d, x, windows)
        check(cyconv.adaptive_avg_pool1d, x, windows)


@pytest.mark.parametrize("size", [(0, 3, 3), (3, 0, 3), (3, 3, 0), (0, 0, 0)])
def test_adaptive_pools_without_outputs(size):
    for rank in (1, 2, 3):
        x = sample((1, 2, 7, 8, 9)[: 2 + rank], "float32")
        values, indices = getattr(cyconv, f"adaptive_max_pool{rank}d")(x, size[-rank:], return_indices=True)
        assert values.shape == indices.shape == (1, 2, *size[-rank:])
        assert getattr(cyconv, f"adaptive_avg_pool{rank}d")(x, size[-rank:]).shape == (1, 2, *size[-rank:])


@pytest.mark.parametrize("dtype", ["float32", "int32", "float16"])
def test_three_dimensions(dtype):
    x = sample((2, 3, 5, 6, 7), dtype)
    for window in ((2, 2, 0, 1, False), ((2, 3, 1), (1, 2, 1), (1, 1, 0), (2, 1, 1), True), (3, 1, 1, 1, False)):
        values_and_indices(cyconv.max_pool3d, x, *window)
        check(cyconv.avg_pool3d, x, *window[:3], window[4], False)
    values_and_indices(cyconv.adaptive_max_pool3d, x, (2, None, 3))
    check(cyconv.adaptive_avg_pool3d, x, (2, None, 3))
    if dtype != "int32":
        check(cyconv.lp_pool3d, x, 2, 2, 1)


@pytest.mark.parametrize("dtype", MAX_DTYPES + ("complex64", "complex128"))
def test_adaptive_pools_of_every_dtype(dtype):
    x = sample((2, 3, 9, 11), dtype)
    for size in itertools.product((1, 2, 3, 9, 13), (1, 4, 11, None)):
        if dtype in MAX_DTYPES:
            values_and_indices(cyconv.adaptive_max_pool2d, x, size)
        if dtype in AVERAGE_DTYPES:
            check(cyconv.adaptive_avg_pool2d, x, size)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64", "float16"])
def test_windows_that_differ_in_size(dtype):
    """Rows of few and of many windows, which share samples or repeat them, short and long ones, of few planes and of many."""
    for n, windows in ((1, 3), (7, 20), (50, 7), (300, 299), (301, 120), (410, 34), (1000, 51), (6000, 2500)):
        values_and_indices(cyconv.adaptive_max_pool1d, sample((2, n), dtype), windows)
        check(cyconv.adaptive_avg_pool1d, sample((2, n), dtype), windows)
    for size, windows in (((29, 31), (7, 5)), ((70, 41), (9, 13)), ((5, 61), (4, 16)), ((4, 9, 31), (3, 2, 7))):
        x, rank = sample((17, *size), dtype), len(size)
        values_and_indices(getattr(cyconv, f"adaptive_max_pool{rank}d"), x, windows)
        check(getattr(cyconv, f"adaptive_avg_pool{rank}d"), x, windows)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_lp_pool_of_integers(dtype):
    """A norm of integers is none: float64."""
    x = sample((2, 3, 9, 11), dtype)
    for rank, y in ((1, x[0]), (2, x), (3, x)):
        pool = getattr(cyconv, f"lp_pool{rank}d")
        got = pool(y, 2, 2, 1)
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, pool(y.astype(np.float64), 2, 2, 1))
        out = np.empty(got.shape)
        assert pool(y, 2, 2, 1, out=out) is out and (out == got).all()
    with pytest.raises(TypeError, match="out"):
        cyconv.lp_pool2d(x, 2, 2, out=np.empty((2, 3, 4, 5), dtype))


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("p", [1, 2, 3, np.inf, -np.inf])
def test_lp_pool_of_exact_powers(dtype, p):
    x = np.abs(sample((2, 3, 9, 11), dtype)) if p == 3 else sample((2, 3, 9, 11), dtype)
    for kernel, stride, ceil_mode in itertools.product((1, 2, (2, 3)), (None, 1, 4), (False, True)):
        got, expected = both(cyconv.lp_pool2d, x, p, kernel, stride, ceil_mode, algorithm="pool")
        np.testing.assert_allclose(got, expected, rtol=2 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("p", [0.5, 2.5, -1, -2, 7])
def test_lp_pool_of_other_powers_is_within_its_bound(p):
    x = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 9, 11))
    for kernel, ceil_mode in itertools.product((2, 3), (False, True)):
        got, expected = both(cyconv.lp_pool2d, x, p, kernel, None, ceil_mode, algorithm="pool")
        np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_lp_pool_keeps_signs():
    assert cyconv.lp_pool1d(np.array([[1.0, -3.0]]), 1, 2).item() == -2
    assert np.isnan(cyconv.lp_pool1d(np.array([[1.0, -3.0]]), 3, 2)).item()
    assert cyconv.lp_pool1d(np.array([[2.0, -2.0]]), -1, 2).item() == np.inf


# ---- the written contract ------------------------------------------------------------------------------------------------


def test_the_lecture_example():
    x = np.array([[[0, 1, 2], [3, 4, 5], [6, 7, 8]]])
    np.testing.assert_array_equal(cyconv.max_pool2d(x, 2, stride=1), [[[4, 5], [7, 8]]])
    np.testing.assert_array_equal(cyconv.avg_pool2d(x.astype(float), 2, stride=1), [[[2, 3], [5, 6]]])


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64"])
def test_rule_8_padding_never_wins(algorithm, dtype):
    low = -np.inf if dtype in REAL else np.iinfo(dtype).min
    x = np.full((1, 4, 5), low, dtype)
    values, indices = cyconv.max_pool2d(x, 3, 1, 1, return_indices=True, algorithm=algorithm)
    assert (values == low).all()
    rows, columns = np.maximum(np.arange(4) - 1, 0), np.maximum(np.arange(5) - 1, 0)
    np.testing.assert_array_equal(indices[0], rows[:, None] * 5 + columns)
    assert (cyconv.max_pool2d(x, 3, 1, 1, algorithm=algorithm) == low).all()


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("dtype", REAL)
def test_rule_8_the_last_nan_wins(algorithm, dtype):
    x = np.array([[[1, np.nan, np.inf], [np.nan, 5, 6], [7, 8, 9]]], dtype)
    values, indices = cyconv.max_pool2d(x, 2, 1, return_indices=True, algorithm=algorithm)
    np.testing.assert_array_equal(values, np.array([[[np.nan, np.nan], [np.nan, 9]]], dtype))
    np.testing.assert_array_equal(indices, [[[3, 1], [3, 8]]])


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("dtype", MAX_DTYPES)
def test_rule_8_ties_go_to_the_first_in_row_major_order(algorithm, dtype):
    x = np.array([[[0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 0]]], dtype)
    _, indices = cyconv.max_pool2d(x, (2, 3), 1, return_indices=True, algorithm=algorithm)
    np.testing.assert_array_equal(indices, [[[5, 3], [5, 5]]])
    assert indices.dtype == np.int64
    _, indices = cyconv.max_pool2d(np.ones((3, 7, 9), dtype), 3, 2, 1, return_indices=True, algorithm=algorithm)
    np.testing.assert_array_equal(indices[1, :2, :2], [[0, 1], [9, 10]])


def test_rule_8_negative_zero_ties_with_zero():
    values, indices = cyconv.max_pool1d(np.array([[-0.0, 0.0, 0.0, -0.0]]), 2, return_indices=True)
    np.testing.assert_array_equal(indices, [[0, 2]])
    np.testing.assert_array_equal(np.signbit(values), [[True, False]])


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
def test_rule_9_the_last_window_starts_inside_the_input_or_its_left_padding(algorithm):
    x = np.arange(1.0, 6.0).reshape(1, 5)
    pool = partial(cyconv.avg_pool1d, algorithm=algorithm)
    np.testing.assert_array_equal(pool(x, 2, 2, ceil_mode=True), [[1.5, 3.5, 5]])
    assert pool(x, 2, 2, 1, ceil_mode=True).shape == (1, 3)  # a fourth would start right of the input, in its padding
    assert pool(x, 1, 3, ceil_mode=True).shape == (1, 2)
    assert pool(np.ones((1, 1)), 3, 2, 1, ceil_mode=True).shape == (1, 1)


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
def test_rule_9_the_divisor_of_averages(algorithm):
    x = np.ones((1, 5))
    pool = partial(cyconv.avg_pool1d, x, 4, 3, 2, algorithm=algorithm)
    np.testing.assert_array_equal(pool(ceil_mode=True), [[2 / 4, 4 / 4, 1 / 3]])  # 7 and 8 lie in the padding, 9 overhangs
    np.testing.assert_array_equal(pool(ceil_mode=True, count_include_pad=False), [[1, 1, 1]])
    two = partial(cyconv.avg_pool2d, np.ones((1, 2, 2)), 2, 1, 1, algorithm=algorithm)
    np.testing.assert_array_equal(two(divisor_override=2)[0], [[0.5, 1, 0.5], [1, 2, 1], [0.5, 1, 0.5]])
    np.testing.assert_array_equal(two(count_include_pad=False), np.ones((1, 3, 3)))


def test_rule_9_averages_keep_no_trace_of_what_left_the_window():
    x = np.zeros((1, 3, 200), np.float64)
    x[0, 1, 50], x[0, 1, 60], x[0, 1, 70], x[0, 1, 80:] = 1e300, np.nan, np.inf, 1e-3
    result = cyconv.avg_pool2d(x, 3, 1, 1)
    expected = cyconv.avg_pool2d(x, 3, 1, 1, algorithm="reference")
    np.testing.assert_allclose(result, expected, rtol=1e-15)
    assert (result[0, :, 72:78] == 0).all() and np.isnan(result[0, :, 59:62]).all() and not np.isnan(result[0, :, 62:]).any()


def test_integer_averages_round_towards_zero_and_cannot_crash():
    x = np.array([[[-7, 0], [0, 0]]])
    assert cyconv.avg_pool2d(x, 2).item() == -1 and cyconv.avg_pool2d(x, 2, divisor_override=-2).item() == 3
    least = np.full((1, 1, 1), np.iinfo(np.int64).min)
    for algorithm in ("pool", "reference"):
        assert cyconv.avg_pool2d(least, 1, divisor_override=-1, algorithm=algorithm).item() == least.item()
    assert cyconv.avg_pool2d(np.full((1, 4, 4), 255, np.uint8), 4).item() == 255
    assert cyconv.avg_pool2d(np.full((1, 4, 4), -128, np.int8), 4).item() == -128
    big = np.full((1, 1, 2), 2**63, np.uint64)
    big[0, 0, 0] = 2**63 - 1
    assert cyconv.avg_pool2d(big, (1, 2), divisor_override=3).item() == (2**64 - 1) // 3


def test_half_precision_averages_are_rounded_once():
    """Sums in double precision that lie right beside the middle of two halves, on either side."""
    x = np.array([[[1.0, 2.0**-11, 2.0**-24, 0], [1.0, 2.0**-11, -(2.0**-24), 0], [1.0, 2.0**-11, 0, 0]]], np.float16)
    result = cyconv.avg_pool2d(x, (1, 4), divisor_override=1)[0, :, 0]
    np.testing.assert_array_equal(result, np.array([1 + 2.0**-10, 1, 1], np.float16))
    check(cyconv.avg_pool2d, np.random.default_rng(0).standard_normal((2, 40, 40)).astype(np.float16), 3, 2, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_averages_stay_within_the_bound_of_the_menu(dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 20, 20)).astype(dtype)
    exact = cyconv.avg_pool2d(x.astype(np.clongdouble).view(np.longdouble).reshape(*x.shape, 2)[..., 0].astype(float), 5, 3, 2)
    scale = cyconv.avg_pool2d(np.abs(x.real).astype(float), 5, 3, 2)
    problem = cyconv.pool_problem.avg_pool_problem(2, x, 5, 3, 2, False, True, None)
    for row in menu.POOL:
        got = cyconv.avg_pool2d(x, 5, 3, 2, algorithm=row.name).real
        assert (np.abs(got - exact) <= row.bound(problem) * np.finfo(dtype).eps * scale).all()


# ---- what must not matter ------------------------------------------------------------------------------------------------


def layouts(x):
    """The same numbers, lying differently in memory."""
    yield "fortran", np.asfortranarray(x)
    yield "reversed", x[..., ::-1].copy()[..., ::-1]
    yield "upside down", x[..., ::-1, :].copy()[..., ::-1, :]
    yield "channels last", np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield "transposed", x.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    yield "every other", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "channels reversed", x[:, ::-1].copy()[:, ::-1]
    yield "big endian", x.astype(x.dtype.newbyteorder(">"))
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    yield "unaligned", unaligned
    locked = x.copy()
    locked.setflags(write=False)
    yield "read-only", locked
    yield "list", x.tolist() if x.dtype == np.float64 else x


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8", "complex64"])
@pytest.mark.parametrize("shape", [(2, 3, 20, 21), (3, 20, 5, 6)])
def test_memory_layout_does_not_matter(dtype, shape):
    x = sample(shape, dtype)
    calls = [partial(cyconv.avg_pool2d, kernel_size=3, stride=2, padding=1), partial(cyconv.adaptive_avg_pool2d, output_size=3)]
    if dtype != "complex64":
        calls += [partial(cyconv.max_pool2d, kernel_size=3, stride=1, padding=1), partial(cyconv.max_pool2d, kernel_size=2, return_indices=True)]
    for call in calls:
        expected = call(x)
        for name, y in layouts(x):
            np.testing.assert_array_equal(call(y), expected, err_msg=name)


def test_zero_strides():
    x = np.broadcast_to(np.arange(4.0)[:, None], (2, 3, 4, 50))
    check(cyconv.max_pool2d, x, 3, 1, 1)
    check(cyconv.avg_pool2d, x, 3, 1, 1)
    huge = np.broadcast_to(np.float32(3), (1, 2**40))
    assert cyconv.max_pool1d(huge, 2, 2**39).tolist() == [[3, 3]]
    assert cyconv.avg_pool1d(huge, 3, 2**38).tolist() == [[3] * 4]


def test_the_input_is_not_written_to_and_may_be_out():
    x = sample((2, 3, 6, 6), "float32")
    before = x.copy()
    expected = cyconv.max_pool2d(x, 3, 1, 1)
    np.testing.assert_array_equal(x, before)
    assert cyconv.max_pool2d(x, 3, 1, 1, out=x) is x
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("name", NAMES)
def test_out_is_filled_whatever_its_layout(name):
    x = sample((2, 3, 4, 4, 4)[: int(name[-2]) + 2], "float64")
    function = partial(getattr(cyconv, name), x, *((2, 2) if name.startswith("lp") else (2,)))
    expected = function()
    for out in (np.empty_like(expected), np.asfortranarray(expected + 1), np.repeat(expected, 2, axis=-1)[..., ::2]):
        assert function(out=out) is out
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(TypeError, match="out must have dtype"):
        function(out=expected.astype(np.float32))
    with pytest.raises(ValueError, match="out must have shape"):
        function(out=np.empty((1, 2)))
    if "max" in name:
        values, indices = function(out=out, return_indices=True)
        assert values is out and indices.shape == out.shape


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int32"])
def test_the_number_of_threads_does_not_matter(dtype):
    rng = np.random.default_rng(0)
    calls = []
    for shape in ((4, 8, 100, 120), (64, 32, 7, 7), (1, 300000, 1, 2)):
        x = (100 * rng.standard_normal(shape)).astype(dtype)
        calls += [partial(cyconv.max_pool2d, x, (3, 1), 2, (1, 0), return_indices=True), partial(cyconv.avg_pool2d, x, (3, 1), 1, (1, 0))]
    calls.append(partial(cyconv.avg_pool1d, (100 * rng.standard_normal((1, 500000))).astype(dtype), 9, 1, 4))
    for call in calls:
        with cyconv.threads(1):
            expected = call()
        for count in (2, 3):
            with cyconv.threads(count):
                got = call()
            for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
                assert a.tobytes() == b.tobytes()


def test_the_place_in_the_batch_does_not_matter():
    x = np.random.default_rng(0).standard_normal((5, 3, 30, 31))
    whole = cyconv.avg_pool2d(x, 5, 2, 2)
    for i in range(5):
        np.testing.assert_array_equal(cyconv.avg_pool2d(x[i], 5, 2, 2), whole[i])


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_pool_is_the_oracles(data):
    draw = data.draw
    rank = draw(st.integers(1, 3))
    size = draw(st.lists(st.integers(1, 12), min_size=rank, max_size=rank))
    lead = draw(st.sampled_from([(1,), (3,), (2, 2), (2, 17), (0, 3), (2, 0)]))
    x = sample((*lead, *size), draw(st.sampled_from(MAX_DTYPES)), draw(st.integers(0, 99)))
    x = x.transpose(draw(st.permutations(range(x.ndim)))).copy(order="A")
    if x.ndim not in (rank + 1, rank + 2) or min(x.shape[-rank:]) < 1:
        return
    kernel = [draw(st.integers(1, n)) for n in x.shape[-rank:]]
    stride = [draw(st.integers(1, 4)) for _ in kernel]
    padding = [(draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel]
    ceil_mode = draw(st.booleans())
    dilation = [draw(st.integers(1, max(1, (n - 1) // max(k - 1, 1)))) for n, k in zip(x.shape[-rank:], kernel)]
    max_pool, avg_pool = getattr(cyconv, f"max_pool{rank}d"), getattr(cyconv, f"avg_pool{rank}d")
    check(max_pool, x, kernel, stride, padding, dilation, ceil_mode, draw(st.booleans()))
    if x.dtype != bool:
        check(avg_pool, x, kernel, stride, padding, ceil_mode, draw(st.booleans()))
        check(getattr(cyconv, f"adaptive_avg_pool{rank}d"), x, [draw(st.integers(0, 9)) for _ in kernel])


# ---- bad arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args", "message"), REJECTED + OURS_ALONE)
def test_bad_arguments_are_rejected_by_name(name, args, message):
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(cyconv, name)(*args)


def test_unknown_algorithms_are_rejected():
    with pytest.raises(ValueError, match="algorithm must be one of 'auto', 'sliding', 'pool', 'reference'; got 'direct'"):
        cyconv.max_pool2d(X, 2, algorithm="direct")


def test_sizes_near_the_limit_neither_crash_nor_overflow():
    x = np.arange(3, dtype=np.int64).reshape(1, 3)
    k = 2**60
    np.testing.assert_array_equal(cyconv.max_pool1d(x, k, k, k // 2), [[2]])
    np.testing.assert_array_equal(cyconv.avg_pool1d(x + 5, k, k, k // 2), [[0]])
    np.testing.assert_array_equal(cyconv.avg_pool1d(x.astype(float), k, k, k // 2), [[3 / k]])
    np.testing.assert_array_equal(cyconv.max_pool1d(x, 1, 2**61), [[0]])
    for dtype in ("float32", "int8"):  # whose indices are counted in 32 bits while they are few
        assert cyconv.max_pool1d(x.astype(dtype), k, k, k // 2, return_indices=True)[1].item() == 2
        assert cyconv.max_pool1d(x[:, :1].astype(dtype), 3, 1, "same_upper", 2**58, return_indices=True)[1].item() == 0
    huge = np.broadcast_to(np.float32(3), (1, 2**40))
    with pytest.raises(ValueError, match="leaves a window that holds no sample"):  # found without looking at 2**40 windows
        cyconv.max_pool1d(huge, 4, 1, "same_upper", 2**40 + 5)
    cube = np.full((1, 1, 1, 1), 7)
    np.testing.assert_array_equal(cyconv.avg_pool3d(cube, k, k, k // 2), np.zeros((1, 1, 1, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_or_no_channels_give_an_empty_result(name):
    rank = int(name[-2])
    args = (2, 2) if name.startswith("lp") else (2,)
    for lead in ((0, 3), (2, 0), (0,)):
        x = np.ones((*lead, *(4,) * rank))
        assert getattr(cyconv, name)(x, *args).shape == (*lead, *(2,) * rank)


def test_a_problem_prints_itself():
    text = str(max_pool_problem(2, X, 3, 2, 1, 1, False, True))
    assert text == "max pool 1x2x5x5 -> 3x3, kernel 3x3 stride 2x2 padding 1x1 with indices, float32"
    text = str(max_pool_problem(2, X, 3, 2, ((1, 0), 1), 1, False, False))
    assert text == "max pool 1x2x5x5 -> 2x3, kernel 3x3 stride 2x2 padding 1+0x1, float32"


@pytest.mark.parametrize("name", [*NAMES, "max_unpool1d", "max_unpool2d", "max_unpool3d"])
def test_every_docstring_is_finished(name):
    function = getattr(cyconv, name)
    assert "<" not in function.__doc__.replace(">>>", "") and "Examples\n" in function.__doc__
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter} :" in function.__doc__

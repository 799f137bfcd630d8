"""Pools of CuPy arrays: what the CPU's oracle makes of the same numbers, bit for bit but for the payload of a NaN; every way in which kernels read them."""

import itertools
from functools import partial

import numpy as np
import pytest
from pool_cases import OURS_ALONE, REJECTED, X, sample

import cyconv
from cyconv import menu
from cyconv.gpu import launch, pool, sliding
from cyconv.pool_problem import AVERAGE_DTYPES, MAX_DTYPES

REAL = ("float16", "float32", "float64")
ALGORITHMS = ("pool", "sliding")


@pytest.fixture(autouse=True)
def no_other_kernels(monkeypatch):
    """Every kernel that is launched is one of those that test_gpu_kernels compiles."""
    for module in (pool, sliding):
        known = set(module.instances())

        def checked(file, expression, known=known, kernel=module.kernel):
            assert (file, expression) in known
            return kernel(file, expression)

        monkeypatch.setattr(module, "kernel", checked)


def spoiled(x, seed=1):
    """x with NaN, infinities and zeros of both signs strewn in."""
    rng = np.random.default_rng(seed)
    x = x.copy()
    for value, share in ((np.nan, 0.05), (-np.inf, 0.3), (np.inf, 0.05), (-0.0, 0.1), (0.0, 0.1)):
        x[rng.random(x.shape) < share] = value
    return x


def there(cupy, x):
    """x on the device, with its strides."""
    backwards = tuple(slice(None, None, -1 if step < 0 else 1) for step in x.strides)
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    moved = cupy.asarray(np.ascontiguousarray(x[backwards].transpose(order)))
    return moved.transpose(tuple(order.index(axis) for axis in range(x.ndim)))[backwards]


def check(cupy, function, x, *args, algorithms=ALGORITHMS, **kwargs):
    """All algorithms that accept it give what the oracle gives; those that do not say why."""
    with np.errstate(all="ignore"):
        expected = function(x, *args, **kwargs, algorithm="reference")
    declined = 0
    for algorithm in algorithms:
        try:
            got = function(there(cupy, x), *args, **kwargs, algorithm=algorithm)
        except ValueError as error:
            assert "cannot compute this problem" in str(error)
            declined += 1
            continue
        for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
            assert isinstance(a, cupy.ndarray) and a.dtype == b.dtype and a.flags.c_contiguous
            a, message = a.get(), f"{function.__name__} {algorithm} {x.shape} {x.dtype} {args} {kwargs}"
            if "lp_pool" in function.__name__ and np.isfinite(args[0]):
                np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=2 * np.finfo(x.dtype).eps, err_msg=message)
                continue
            np.testing.assert_array_equal(a, b, err_msg=message)
            if "avg" not in function.__name__ and a.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]), err_msg=message)
    assert declined < len(algorithms)


def extremes(cupy, x, *window, names=("max", "min"), algorithms=ALGORITHMS):
    rank = x.ndim - 2
    for name, indices in itertools.product(names, (False, True)):
        check(cupy, getattr(cyconv, f"{name}_pool{rank}d"), x, *window, return_indices=indices, algorithms=algorithms)


WINDOWS = [  # kernel_size, stride, padding, dilation, ceil_mode
    (2, 2, 0, 1, False), (3, 2, 1, 1, False), (3, 1, 1, 2, False), (2, 3, 1, 3, True), (3, 2, 0, 1, True), ((2, 3), (1, 2), (1, 0), (3, 1), True),
    (1, 4, 0, 1, False), ((9, 11), None, 0, 1, False), ((9, 1), (1, 3), (4, 0), 1, True), ((1, 11), (1, 1), (0, 5), 1, False), ((3, 9), 1, (1, 4), 1, False),
]  # fmt: skip


# ---- every kind, dtype and option ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", dict.fromkeys(MAX_DTYPES + AVERAGE_DTYPES))
def test_every_dtype(dtype, cupy):
    """Of integers that differ in nothing but their size, one algorithm is enough."""
    algorithms = ALGORITHMS if dtype in ("float16", "float32", "int8", "uint64", "complex64") else ALGORITHMS[:1]
    x = sample((2, 3, 9, 11), dtype)
    for window in ((3, 2, 1, 1, True), ((2, 9), 1, (1, 4), 1, False)):
        if dtype in MAX_DTYPES:
            extremes(cupy, spoiled(x) if dtype in REAL else x, *window, algorithms=algorithms)
        if dtype in AVERAGE_DTYPES:
            for include, divisor in ((True, None), (False, None), (False, 3), (False, -2 if dtype[0] != "u" else 5)):
                check(cupy, cyconv.avg_pool2d, x, *window[:3], window[4], include, divisor, algorithms=algorithms)


@pytest.mark.parametrize("window", WINDOWS)
def test_every_window(window, cupy):
    x = sample((2, 3, 9, 11), "float32")
    extremes(cupy, spoiled(x), *window)
    kernel, stride, padding, _, ceil_mode = window
    for include, divisor in itertools.product((False, True), (None, 3, -2)):
        check(cupy, cyconv.avg_pool2d, x, kernel, stride, padding, ceil_mode, include, divisor)


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8"])
def test_small_windows(kernel, dtype, cupy):
    """Those with unrolled taps, of several results to a thread: rows that are no multiple of these, windows over every edge."""
    for height, width in ((kernel, kernel), (4, 9), (7, 5), (8, 3)):
        x = sample((2, 3, height, width), dtype)
        for stride, padding, ceil_mode in ((kernel, 0, False), (2, 1, True), (1, (0, 1), False)):
            extremes(cupy, spoiled(x) if dtype in REAL else x, kernel, stride, padding, 1, ceil_mode, names=("max",), algorithms=("pool",))
            for include in (False, True):
                check(cupy, cyconv.avg_pool2d, x, kernel, stride, padding, ceil_mode, include, algorithms=("pool",))


@pytest.mark.parametrize("p", [1, 2, np.inf, -np.inf, 3, 0.5, -1, 2.5])
def test_p_norms(p, cupy):
    for dtype in REAL if p == 2 else ("float32",):
        x = sample((2, 3, 9, 11), dtype)
        x = spoiled(x) if np.isinf(p) else x if p in (1, 2) else np.abs(x)
        for kernel, stride, ceil_mode in ((2, None, True), ((2, 9), 1, False), ((3, 1), (2, 4), True)):
            check(cupy, cyconv.lp_pool2d, x, p, kernel, stride, ceil_mode)
    assert np.isnan(cyconv.lp_pool1d(cupy.asarray(np.full((1, 2), -np.inf)), 0.5, 2).get()).all()


def test_p_norms_of_integers_are_float64(cupy):
    x = sample((2, 3, 9, 11), "int8")
    got = cyconv.lp_pool2d(cupy.asarray(x), 2, 2)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got.get(), cyconv.lp_pool2d(x, 2, 2), rtol=1e-15)


def test_one_and_three_dimensions(cupy):
    x = sample((2, 3, 5, 6, 7), "float32")
    for window in ((2, 2, 0, 1, False), ((2, 3, 1), (1, 2, 1), (1, 1, 0), (2, 1, 1), True), ((3, 1, 2), (2, 3, 1), 0, 1, False), (5, 1, 2, 1, False)):
        extremes(cupy, spoiled(x), *window)
        check(cupy, cyconv.avg_pool3d, x, *window[:3], window[4], False)
    check(cupy, cyconv.lp_pool3d, x, 2, 2, 1)
    y = sample((2, 3, 90), "float32")
    for window in ((2, 2, 0, 1, False), (3, 1, 1, 3, False), (4, 2, 2, 6, True), (31, 1, 15, 1, False), (20, 3, 10, 1, True), (9, 2, 0, 4, False), (90, 1, 45, 1, False)):
        extremes(cupy, spoiled(y), *window)
        check(cupy, cyconv.avg_pool1d, y, *window[:3], window[4], False)


@pytest.mark.parametrize("dtype", ["float32", "int32", "complex64"])
def test_adaptive_windows(dtype, cupy):
    x = sample((2, 3, 9, 11), dtype)
    for size in itertools.product((1, 2, 9, 13), (1, 4, None)):
        if dtype != "complex64":
            check(cupy, cyconv.adaptive_max_pool2d, x, size)
            check(cupy, cyconv.adaptive_max_pool2d, x, size, return_indices=True)
        check(cupy, cyconv.adaptive_avg_pool2d, x, size)
    check(cupy, cyconv.adaptive_avg_pool1d, sample((2, 1000), dtype), 51)
    check(cupy, cyconv.adaptive_avg_pool3d, sample((2, 4, 9, 31), dtype), (3, 2, 7))
    with pytest.raises(ValueError, match="algorithm='sliding' cannot compute .*windows differ in size"):
        cyconv.adaptive_avg_pool2d(cupy.asarray(x), 2, algorithm="sliding")


@pytest.mark.parametrize("size", [(7, 7), (33, 40), (2, 3, 300)])
def test_whole_planes(size, cupy):
    """By warps, and where planes are few, by blocks."""
    rank = len(size)
    for x in (sample((2, 5, *size), "float32"), spoiled(sample((2, 5, *size), "float32"))):
        for name in ("max", "min"):
            check(cupy, getattr(cyconv, f"{name}_pool{rank}d"), x, size, return_indices=True)
    check(cupy, getattr(cyconv, f"avg_pool{rank}d"), sample((2, 5, *size), "float32"), size)


def test_bfloat16(cupy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = sample((2, 3, 9, 11), "float32")
    y = cupy.asarray(x.astype(ml_dtypes.bfloat16))
    for algorithm, window in itertools.product(ALGORITHMS, ((3, 2, 1), ((2, 9), 1, (1, 4)), (2, 2))):
        values, indices = cyconv.max_pool2d(y, *window, return_indices=True, algorithm=algorithm)
        expected = cyconv.max_pool2d(x, *window, return_indices=True)
        assert values.dtype == y.dtype
        np.testing.assert_array_equal(values.get().astype(np.float32), expected[0])
        np.testing.assert_array_equal(indices.get(), expected[1])
        for got, wide in (
            (cyconv.avg_pool2d(y, *window, algorithm=algorithm), cyconv.avg_pool2d(x, *window)),
            (cyconv.lp_pool2d(y, 2, window[0], algorithm=algorithm), cyconv.lp_pool2d(x, 2, window[0])),
        ):
            np.testing.assert_array_equal(got.get(), wide.astype(ml_dtypes.bfloat16))
    with pytest.raises(TypeError, match="input has dtype bfloat16, which is computed on the GPU only"):
        cyconv.max_pool2d(y.get(), 2)


# ---- the written contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rule_8_padding_never_wins(algorithm, cupy):
    for dtype, name in itertools.product(("float32", "int8"), ("max", "min")):
        worst = np.inf if dtype == "float32" else 127
        x = np.full((1, 4, 5), worst if name == "min" else -worst - (dtype == "int8"), dtype)
        values, indices = getattr(cyconv, f"{name}_pool2d")(cupy.asarray(x), 3, 1, 1, return_indices=True, algorithm=algorithm)
        assert (values.get() == x.flat[0]).all()
        rows, columns = np.maximum(np.arange(4) - 1, 0), np.maximum(np.arange(5) - 1, 0)
        np.testing.assert_array_equal(indices.get()[0], rows[:, None] * 5 + columns)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", REAL)
def test_rule_8_the_last_nan_wins(algorithm, dtype, cupy):
    x = np.array([[[1, np.nan, np.inf], [np.nan, 5, 6], [7, 8, 9]]], dtype)
    values, indices = cyconv.max_pool2d(cupy.asarray(x), 2, 1, return_indices=True, algorithm=algorithm)
    np.testing.assert_array_equal(values.get(), np.array([[[np.nan, np.nan], [np.nan, 9]]], dtype))
    np.testing.assert_array_equal(indices.get(), [[[3, 1], [3, 8]]])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rule_9_averages_keep_no_trace_of_what_left_the_window(algorithm, cupy):
    x = np.zeros((1, 3, 200), np.float64)
    x[0, 1, 50], x[0, 1, 60], x[0, 1, 70], x[0, 1, 80:] = 1e300, np.nan, np.inf, 1e-3
    for kernel in (3, 15):
        result = cyconv.avg_pool2d(cupy.asarray(x), (3, kernel), 1, (1, kernel // 2), algorithm=algorithm).get()
        expected = cyconv.avg_pool2d(x, (3, kernel), 1, (1, kernel // 2), algorithm="reference")
        np.testing.assert_allclose(result, expected, rtol=1e-15)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_integer_averages_round_towards_zero_modulo_two_to_the_n(algorithm, cupy):
    average = partial(cyconv.avg_pool2d, algorithm=algorithm)
    x = cupy.asarray(np.array([[[-7, 0], [0, 0]]]))
    assert average(x, 2).item() == -1 and average(x, 2, divisor_override=-2).item() == 3
    least = cupy.asarray(np.full((1, 1, 1), np.iinfo(np.int64).min))
    assert average(least, 1, divisor_override=-1).item() == np.iinfo(np.int64).min
    assert average(cupy.asarray(np.full((1, 4, 4), 255, np.uint8)), 4).item() == 255
    assert average(cupy.asarray(np.full((1, 4, 4), -128, np.int8)), 4).item() == -128
    big = np.full((1, 1, 2), 2**63, np.uint64)
    big[0, 0, 0] = 2**63 - 1
    assert average(cupy.asarray(big), (1, 2), divisor_override=3).item() == (2**64 - 1) // 3
    for dtype in ("int8", "int64", "uint64"):
        y = np.random.default_rng(0).integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (2, 3, 8, 9), dtype)
        check(cupy, cyconv.avg_pool2d, y, 3, 2, 1, False, True, 7, algorithms=(algorithm,))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_half_precision_averages_are_rounded_once(algorithm, cupy):
    """Sums in double precision that lie right beside the middle of two halves, on either side."""
    x = np.array([[[1.0, 2.0**-11, 2.0**-24, 0], [1.0, 2.0**-11, -(2.0**-24), 0], [1.0, 2.0**-11, 0, 0]]], np.float16)
    result = cyconv.avg_pool2d(cupy.asarray(x), (1, 4), divisor_override=1, algorithm=algorithm).get()[0, :, 0]
    np.testing.assert_array_equal(result, np.array([1 + 2.0**-10, 1, 1], np.float16))
    y = np.random.default_rng(0).standard_normal((2, 3, 20, 21)).astype(np.float16)
    check(cupy, cyconv.avg_pool2d, y, 3, 2, 1, algorithms=(algorithm,))
    check(cupy, cyconv.avg_pool2d, y, (1, 10), 1, algorithms=(algorithm,))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_averages_stay_within_the_bound_of_the_menu(dtype, cupy):
    x = np.random.default_rng(0).standard_normal((2, 3, 20, 20)).astype(dtype)
    for kernel in (3, 13):
        exact = cyconv.avg_pool2d(x.real.astype(np.float64), kernel, 2, 1)
        scale = cyconv.avg_pool2d(np.abs(x.real).astype(float), kernel, 2, 1)
        problem = cyconv.pool_problem.avg_pool_problem(2, x, kernel, 2, 1, False, True, None)
        for row in menu.GPU_POOL:
            got = cyconv.avg_pool2d(cupy.asarray(x), kernel, 2, 1, algorithm=row.name).get().real
            assert (np.abs(got - exact) <= row.bound(problem) * np.finfo(dtype).eps * scale).all()


# ---- what must not matter ----------------------------------------------------------------------------------------------------


def layouts(x):
    """The same numbers, lying differently in memory."""
    yield np.asfortranarray(x)
    yield x[..., ::-1, ::-1].copy()[..., ::-1, ::-1]
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield x.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    yield x.swapaxes(0, 1).copy().swapaxes(0, 1)


@pytest.mark.parametrize("shape", [(2, 3, 20, 21), (3, 20, 5, 6)])
def test_memory_layout_does_not_matter(shape, cupy):
    x = spoiled(sample(shape, "float32"))
    finite = sample(shape, "float32")
    for y, z in zip(layouts(x), layouts(finite)):
        for window in ((3, 2, 1, 1, False), (3, 1, 1, 1, True), (5, 1, 2, 1, False), ((3, 5), (2, 1), (1, 0), 1, False)):
            extremes(cupy, y, *window, names=("max",))
            check(cupy, cyconv.avg_pool2d, z, *window[:3], window[4], False)
        check(cupy, cyconv.adaptive_max_pool2d, y, (3, 4), return_indices=True)
        check(cupy, cyconv.avg_pool2d, z, shape[2:])


def test_views_with_gaps(cupy):
    whole = spoiled(sample((4, 6, 20, 30), "float32"))
    there = cupy.asarray(whole)
    for part in ((slice(None, None, 2), slice(1, None), slice(None), slice(3, None, 3)), (slice(1, 3), slice(None), slice(2, 17), slice(None, -1))):
        for algorithm, window in itertools.product(ALGORITHMS, ((2, 2), (3, 1, 1), (9, 1, 4))):
            for a, b in zip(*(cyconv.max_pool2d(z[part], *window, return_indices=True, algorithm=algorithm) for z in (there, whole))):
                np.testing.assert_array_equal(a.get(), b)


def test_repeated_samples(cupy):
    x = np.broadcast_to(np.arange(4.0)[:, None], (2, 3, 4, 50))
    y = cupy.broadcast_to(cupy.asarray(np.arange(4.0))[:, None], x.shape)
    for algorithm, window in itertools.product(ALGORITHMS, ((3, 1, 1), ((2, 11), 1, (1, 5)))):
        np.testing.assert_array_equal(cyconv.max_pool2d(y, *window, algorithm=algorithm).get(), cyconv.max_pool2d(x, *window))
        np.testing.assert_array_equal(cyconv.avg_pool2d(y, *window, algorithm=algorithm).get(), cyconv.avg_pool2d(x, *window))
    huge = cupy.broadcast_to(cupy.asarray(np.float32(3)), (1, 2**40))
    assert cyconv.max_pool1d(huge, 2, 2**39).tolist() == [[3, 3]]
    assert cyconv.avg_pool1d(huge, 3, 2**38).tolist() == [[3] * 4]


@pytest.mark.parametrize("team", [pool.ALONE, pool.WARP, pool.BLOCK, pool.PIXELS])
def test_how_many_threads_share_a_window_does_not_matter(team, monkeypatch, cupy):
    monkeypatch.setattr(pool, "_team", lambda problem, pixels: team)
    monkeypatch.setattr(pool, "_fits", lambda problem: False)
    for dtype in ("float32", "int16"):
        x = sample((2, 3 if team == pool.BLOCK else 19, 9, 7), dtype)
        y = spoiled(x) if dtype in REAL else x
        for window in ((3, 3, 1, 1, True), ((5, 7), 2, (2, 3), (2, 1), False)):
            for z in (y, np.moveaxis(np.ascontiguousarray(np.moveaxis(y, 1, -1)), -1, 1)):
                extremes(cupy, z, *window, algorithms=("pool",))
        check(cupy, cyconv.avg_pool2d, x, 7, 2, 3, True, False, algorithms=("pool",))
        check(cupy, cyconv.adaptive_max_pool2d, y, (4, 3), return_indices=True, algorithms=("pool",))


def test_what_is_done_at_a_time_does_not_matter(monkeypatch, cupy):
    """Pieces of planes and of rows, as they are made where arrays are larger than a cache."""
    problems = ((2, 3, 29, 31), ((9, 5), 1, (4, 2), 1, False)), ((2, 3, 29, 31), (5, 3, 2, 2, True)), ((1, 2, 12, 9, 10), ((4, 3, 5), (2, 1, 3), (2, 1, 0), 1, True))
    x = {shape: spoiled(sample(shape, "float32")) for shape, _ in problems}
    for room in (10**4, 3000, 100):
        monkeypatch.setattr(sliding, "ROOM", room)
        cyconv.pool_problem._pool_problem.cache_clear()
        for shape, window in problems:
            extremes(cupy, x[shape], *window, algorithms=("sliding",))
            check(cupy, getattr(cyconv, f"avg_pool{len(shape) - 2}d"), sample(shape, "float32"), *window[:3], window[4], False, algorithms=("sliding",))
    cyconv.pool_problem._pool_problem.cache_clear()


def test_long_rows(cupy):
    """Pieces of rows in shared memory, and windows that reach too far for it."""
    for dtype in ("float32", "float64"):
        x = sample((2, 1, 7000), dtype)
        for window in ((3000, 70, 1000, 1), (3, 1, 1, 1500), (1700, 1, 850, 1), (2, 90, 0, 3), (31, 1, 15, 1), (9, 2, 3, 1), (10, 1, 0, 4)):
            check(cupy, cyconv.max_pool1d, x, *window, return_indices=True, algorithms=("sliding",))
            check(cupy, cyconv.avg_pool1d, x, *window[:3], algorithms=("sliding",))


@pytest.mark.parametrize("seed", range(40))
def test_any_pool_is_the_oracles(seed, cupy):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    size = [int(n) for n in rng.integers(1, 13, rank)]
    kernel = [int(rng.integers(1, n + 1)) for n in size]
    stride = [int(s) for s in rng.integers(1, 5, rank)]
    padding = [tuple(int(pad) for pad in rng.integers(0, k // 2 + 1, 2)) for k in kernel]
    dilation = [int(rng.integers(1, max(1, (n - 1) // max(k - 1, 1)) + 1)) for n, k in zip(size, kernel)]
    ceil_mode, include = (bool(flag) for flag in rng.integers(0, 2, 2))
    x = sample((*((1, 1), (2, 2), (2, 17))[seed % 3], *size), "float32", seed)
    extremes(cupy, spoiled(x), kernel, stride, padding, dilation, ceil_mode, names=("max",))
    check(cupy, getattr(cyconv, f"avg_pool{rank}d"), x, kernel, stride, padding, ceil_mode, include)
    check(cupy, getattr(cyconv, f"adaptive_avg_pool{rank}d"), x, [int(n) for n in rng.integers(0, 10, rank)])


# ---- results and arguments ---------------------------------------------------------------------------------------------------


def test_out(cupy):
    x = sample((2, 3, 8, 8), "float64")
    y = cupy.asarray(x)
    for algorithm, window in itertools.product(ALGORITHMS, ((2, 2), (3, 1, 1), (7, 1, 3))):
        expected = cyconv.max_pool2d(x, *window)
        strided = cupy.asarray(np.repeat(expected, 2, axis=-1))[..., ::2]
        for out in (cupy.empty(expected.shape), cupy.asarray(np.asfortranarray(expected + 1)), strided):
            values, indices = cyconv.max_pool2d(y, *window, return_indices=True, out=out, algorithm=algorithm)
            assert values is out and indices.shape == out.shape
            np.testing.assert_array_equal(out.get(), expected)
    with pytest.raises(TypeError, match="out must have dtype"):
        cyconv.max_pool2d(y, 2, out=cupy.empty((2, 3, 4, 4), np.float32))
    with pytest.raises(ValueError, match="out must have shape"):
        cyconv.max_pool2d(y, 2, out=cupy.empty((1, 2)))
    for function in (cyconv.max_pool2d, cyconv.avg_pool2d):
        z = cupy.asarray(x)
        assert function(z, 3, 1, 1, out=z) is z
        np.testing.assert_array_equal(z.get(), function(x, 3, 1, 1))


def test_arrays_on_two_devices(cupy):
    x = cupy.asarray(X)
    with pytest.raises(TypeError, match="input is a CuPy array .*out a NumPy array"):
        cyconv.max_pool2d(x, 2, out=np.empty((1, 2, 2, 2), np.float32))
    with pytest.raises(TypeError, match="out is a CuPy array .*input a NumPy array"):
        cyconv.lp_pool2d(X, 2, 2, out=cupy.empty((1, 2, 2, 2), np.float32))


@pytest.mark.parametrize("lead", [(0, 3), (2, 0), (0,)])
def test_an_empty_batch_or_no_channels_give_an_empty_result(lead, cupy):
    x = cupy.ones((*lead, 4, 4))
    for got in (cyconv.max_pool2d(x, 2), cyconv.avg_pool2d(x, 2), cyconv.lp_pool2d(x, 2, 2), cyconv.adaptive_avg_pool2d(x, 2)):
        assert isinstance(got, cupy.ndarray) and got.shape == (*lead, 2, 2)
    assert cyconv.adaptive_max_pool2d(cupy.ones((2, 4, 4)), 0, return_indices=True)[1].shape == (2, 0, 0)


@pytest.mark.parametrize(("name", "args", "message"), [case for case in REJECTED + OURS_ALONE if "unpool" not in case[0]])
def test_bad_arguments_are_rejected_by_name(name, args, message, cupy):
    x = args[0]
    if type(x) is np.ndarray:
        repeated = 0 in x.strides and x.size
        x = cupy.broadcast_to(cupy.asarray(x[tuple(slice(1 if step == 0 else None) for step in x.strides)].copy()), x.shape) if repeated else cupy.asarray(x)
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(cyconv, name)(x, *args[1:])


def test_unknown_algorithms_are_rejected(cupy):
    with pytest.raises(ValueError, match="algorithm must be one of 'auto', 'sliding', 'pool', 'reference'; got 'direct'"):
        cyconv.max_pool2d(cupy.asarray(X), 2, algorithm="direct")
    with pytest.raises(ValueError, match="algorithm='reference' does not run on the GPU; there are sliding, pool"):
        cyconv.max_pool2d(cupy.asarray(X), 2, algorithm="reference")


@pytest.mark.parametrize("algorithm", ["pool", "sliding"])
def test_sizes_near_the_limit(algorithm, cupy):
    x, k = cupy.asarray(np.arange(3).reshape(1, 3)), 2**60
    assert cyconv.max_pool1d(x, k, k, k // 2, algorithm=algorithm).tolist() == [[2]]
    assert cyconv.avg_pool1d(x + 5, k, k, k // 2, algorithm=algorithm).tolist() == [[0]]
    assert cyconv.avg_pool1d(x.astype(float), k, k, k // 2, algorithm=algorithm).tolist() == [[3 / k]]
    assert cyconv.max_pool1d(x, 1, 2**61, algorithm=algorithm).tolist() == [[0]]
    assert cyconv.max_pool1d(x.astype(np.int8), k, k, k // 2, return_indices=True, algorithm=algorithm)[1].item() == 2
    assert cyconv.max_pool1d(x[:, :1], 3, 1, "same_upper", 2**58, return_indices=True, algorithm=algorithm)[1].item() == 0
    assert cyconv.avg_pool3d(cupy.full((1, 1, 1, 1), 7), k, k, k // 2, algorithm=algorithm).tolist() == [[[[0]]]]
    k = 2642246  # whose cube is little more than 2**64
    assert cyconv.avg_pool3d(cupy.full((1, 1, 1, 1), 2**62), k, k, k // 2, algorithm=algorithm).tolist() == [[[[0]]]]


def huge(planes, size):
    """An array of so many planes that holds one number."""
    return np.broadcast_to(np.uint8(7), (planes, 1, *size))


@pytest.mark.parametrize("planes", [2**31 - 1, 2**32, 2**34 + 2**20])
@pytest.mark.parametrize("window", [(2, 2), (8, 8), ((2, 33), (2, 8)), ((8, 33), 1)])
def test_every_window_has_a_thread(planes, window, monkeypatch):
    """However many there are; where a warp shares one, blocks are too few from 2**34 windows on."""
    x = huge(planes, (8, 40))
    p = cyconv.pool_problem.max_pool_problem(2, x, *window, 0, 1, False, False)
    if pool.why_not(p):
        assert p.outputs > (2**31 - 1) * 256
        return
    grids = []
    monkeypatch.setattr(pool, "kernel", lambda file, name: lambda grid, block, arguments: grids.append((name, grid[0], block[0], *arguments[3:])))
    pool.run(p, x, np.broadcast_to(np.uint8(7), p.output_shape))
    ((name, count, threads, *last),) = grids
    each = pool.WINDOWS[last[1]] if name.startswith("together") else threads * (4 if name.startswith("small") else 1)
    assert count <= launch.MOST_BLOCKS and count * each >= p.outputs


def test_more_windows_than_threads():
    x = huge(2**37, (8, 40))
    p = cyconv.pool_problem.max_pool_problem(2, x, 1, 1, 0, 1, False, False)
    assert pool.why_not(p) == f"has more than {(2**31 - 1) * 256} windows"
    p = cyconv.pool_problem.adaptive_pool_problem(2, x, "max", (7, 39))
    with pytest.raises(ValueError, match="no algorithm computes this problem .*: sliding windows differ in size; pool has more than"):
        cyconv.select.choose_pool(p, device="gpu")


@pytest.mark.parametrize("size", [(8, 40), (1, 2**31 + 5), (2**16, 2**15), (2**20, 9)])
@pytest.mark.parametrize("planes", [1, 2**15, 2**30])
def test_passes_have_fewer_results_than_threads(planes, size):
    """A pass has less than 2**31 of them, and a launch of `across` and `along` 2**31 blocks."""
    for window in ((1, 1, 0), ((1, 5), 1, (0, 2)), ((min(7, size[0]), 3), (1, 2), 0)):
        p = cyconv.pool_problem.max_pool_problem(2, huge(planes, size), *window, 1, False, False)
        if sliding.why_not(p) is None:
            together, outputs, _, results = sliding._pieces(p)
            assert together * results <= 2**31
            made = sliding._made(p, min(outputs, p.out_size[sliding._slid(p)[-1]]))
            assert max(made) == results


def test_shares_of_axes_beyond_32_bits(cupy):
    """Where adaptive windows begin, o * n // m, without that product."""
    code = launch.source("pool") + """
    __global__ void shares(long long o, long long size, long long out, long long *found)
    {
        const Span<long long> s = share(o, size, out);
        found[0] = s.first, found[1] = s.count;
    }"""
    kernel = cupy.RawModule(code=code, options=launch.options("float"), name_expressions=("shares",)).get_function("shares")
    for o, n, m in ((0, 5, 3), (1, 5, 3), (2**59, 2**60 + 7, 2**59 + 3), (2**61 - 5, 2**61 - 1, 2**61 - 3), (2**40, 3, 2**41), (2**40, 2**40 - 1, 2**40)):
        found = cupy.zeros(2, np.int64)
        kernel((1,), (1,), (o, n, m, found))
        assert found.tolist() == [o * n // m, o * n % m != 0]

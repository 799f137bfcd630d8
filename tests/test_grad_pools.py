"""Gradients of average, adaptive and power-average pools, of max unpooling, and of unfold and fold: against differences, against the
obvious NumPy of cyconv.reference, against torch where it is installed; and all that must not matter."""

import itertools

import numpy as np
import pytest

import cyconv
from cyconv import grad, reference
from cyconv.pool_problem import adaptive_pool_problem, avg_pool_problem, lp_pool_problem

pytestmark = pytest.mark.backends

RANKS = (1, 2, 3)
AVERAGED = ("float16", "float32", "float64", "complex64", "complex128")
NORMS = (1, 2, 3, 2.5, -1, 0.5, np.inf, -np.inf)


def of(name, rank):
    """A pool and its gradient."""
    return getattr(cyconv, f"{name}_pool{rank}d"), getattr(grad, f"{name}_pool{rank}d_input")


def some_shape(rng, rank, longest):
    return (*rng.integers(1, 3, 2).tolist(), *rng.integers(1, longest + 1, rank).tolist())


def some_windows(rng, rank, padded=True):
    """Arguments of a pool that may not fit."""
    kernel = tuple(rng.integers(1, 6, rank).tolist())
    stride = None if rng.random() < 0.3 else tuple(rng.integers(1, 6, rank).tolist())
    if not padded:
        return {"kernel_size": kernel, "stride": stride, "ceil_mode": bool(rng.integers(2))}
    pairs = tuple(tuple(rng.integers(0, k // 2 + 1, 2).tolist()) for k in kernel)
    padding = (0, min(kernel) // 2, pairs, "same_upper", "same_lower", "valid")[rng.integers(6)]
    options = {
        "kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": bool(rng.integers(2)),
        "count_include_pad": bool(rng.integers(2)),
    }  # fmt: skip
    if rank > 1:
        options["divisor_override"] = (None, None, None, 3, -4)[rng.integers(5)]
    return options


PLAIN = {"kernel_size": 3, "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}


def average_problem(rank, x, options):
    return avg_pool_problem(rank, x, **{"divisor_override": None, **options})


def some_averages(rng, rank, longest, count):
    """Shapes and arguments that fit, with their problems in double precision."""
    while count:
        shape, options = some_shape(rng, rank, longest), some_windows(rng, rank)
        try:
            problem = average_problem(rank, np.empty(shape), options)
        except ValueError:
            continue
        count -= 1
        yield shape, options, problem


def divisors(problem):
    """Of each window."""
    counts = [[count for _, count in reference.pool_windows(problem, axis)] for axis in range(3)]
    if problem.divisor_override is not None:
        counts = [[1] * len(axis) for axis in counts]
    product = np.einsum("i,j,k->ijk", *(np.array(axis, float) for axis in counts)) * (problem.divisor_override or 1)
    return product.reshape(problem.out_size[3 - problem.rank :])


def whole_quotients(rng, problem, dtype):
    """Gradients whose quotients, and all sums of them, are whole numbers below 2048."""
    g = rng.integers(-3, 4, problem.output_shape) * divisors(problem)
    if np.dtype(dtype).kind == "c":
        g = g + 1j * rng.integers(-3, 4, problem.output_shape) * divisors(problem)
    return g.astype(dtype)


def differences(function, x, g, step=1e-5):
    """The gradient of <function(x), g> by central differences."""
    result = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append((function(moved) * g).sum())
        result[place] = (ends[0] - ends[1]) / (2 * step)
    return result


# ---- averages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", RANKS)
def test_averages_differences(rank):
    rng = np.random.default_rng(rank)
    pool, pool_input = of("avg", rank)
    for shape, options, _ in some_averages(rng, rank, (12, 6, 4)[rank - 1], 15):
        x = rng.standard_normal(shape)
        g = rng.standard_normal(pool(x, **options).shape)
        expected = differences(lambda a, options=options: pool(a, **options), x, g)
        np.testing.assert_allclose(pool_input(shape, g, **options), expected, atol=1e-8, err_msg=str((shape, options)))
    pool, pool_input = of("adaptive_avg", rank)
    for _ in range(8):
        shape = some_shape(rng, rank, (12, 6, 4)[rank - 1])
        x, size = rng.standard_normal(shape), tuple(rng.integers(1, 8, rank).tolist())
        g = rng.standard_normal(pool(x, size).shape)
        expected = differences(lambda a, size=size: pool(a, size), x, g)
        np.testing.assert_allclose(pool_input(shape, g), expected, atol=1e-8, err_msg=str((shape, size)))


@pytest.mark.parametrize("dtype", AVERAGED)
@pytest.mark.parametrize("rank", RANKS)
def test_averages_are_exact_where_sums_are(rank, dtype):
    rng = np.random.default_rng(10 * rank)
    pool_input = of("avg", rank)[1]
    for shape, options, problem in some_averages(rng, rank, (70, 20, 8)[rank - 1], 60):
        g = whole_quotients(rng, problem, dtype)
        wide = "complex128" if g.dtype.kind == "c" else "float64"
        expected = reference.avg_pool_input(average_problem(rank, np.empty(shape, wide), options), g)
        result = pool_input(shape, g, **options)
        assert result.dtype == dtype and result.flags.c_contiguous
        np.testing.assert_array_equal(result, expected, err_msg=str((shape, options)))
        np.testing.assert_array_equal(pool_input(list(shape[1:]), g[0], **options), expected[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", RANKS)
def test_adaptive_averages_are_exact_where_sums_are(rank, dtype):
    rng = np.random.default_rng(20 * rank)
    for _ in range(60):
        shape = some_shape(rng, rank, (40, 15, 8)[rank - 1])
        size = tuple(rng.integers(1, (60, 20, 10)[rank - 1], rank).tolist())
        problem = adaptive_pool_problem(rank, np.empty(shape), "average", size)
        g = whole_quotients(rng, problem, dtype)
        np.testing.assert_array_equal(of("adaptive_avg", rank)[1](shape, g), reference.avg_pool_input(problem, g.astype(float)))


LARGE = [  # rows of several pieces, planes of several bands, many planes: shape, arguments
    ((1, 1, 9001), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 1, 5000), {"kernel_size": 7, "stride": 1, "padding": 3, "count_include_pad": False}),
    ((1, 2, 6007), {"kernel_size": 2500, "stride": 2499}),
    ((1, 1, 9999), {"kernel_size": 5, "stride": 4000, "ceil_mode": True}),
    ((1, 1, 8192), {"kernel_size": 6, "stride": 3}),
    ((1, 1, 500, 1100), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 1, 300, 700), {"kernel_size": 9, "stride": 1, "padding": 4, "count_include_pad": False}),
    ((1, 2, 400, 300), {"kernel_size": (150, 5), "stride": (100, 7), "ceil_mode": True}),
    ((1, 1, 70000, 3), {"kernel_size": (4, 3), "stride": (3, 1)}),
    ((1, 1, 3, 70000), {"kernel_size": (3, 2)}),
    ((8, 40, 14, 14), {"kernel_size": 2}),
    ((8, 40, 15, 13), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 2, 30, 60, 70), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 1, 31, 50, 60), {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False}),
    ((1, 2, 33, 40, 70), {"kernel_size": 2, "padding": ((1, 0), (0, 1), 1)}),
    ((2, 3, 40, 40, 40), {"kernel_size": 40}),
]


@pytest.mark.parametrize("shape, options", LARGE)
def test_large_averages(shape, options):
    rng = np.random.default_rng(0)
    rank = len(shape) - 2
    pool_input, problem = of("avg", rank)[1], average_problem(rank, np.empty(shape), {**PLAIN, **options})
    g = whole_quotients(rng, problem, "float32")
    np.testing.assert_array_equal(pool_input(shape, g, **options), reference.avg_pool_input(problem, g))
    g = rng.random(g.shape, np.float32) * 100  # inexact sums: their order shows
    with cyconv.threads(1):
        expected = pool_input(shape, g, **options)
    assert_within_bound(expected, problem, g)
    out = np.ones_like(expected)
    for count in (2, 3):
        with cyconv.threads(count):
            assert pool_input(shape, g, **options).tobytes() == expected.tobytes()
            assert pool_input(shape, g, **options, out=out) is out
        assert out.tobytes() == expected.tobytes()


LARGE_ADAPTIVE = [((16, 300, 7, 7), 1), ((8, 70, 32, 31), (7, 9)), ((1, 1, 700, 900), (33, 200)), ((1, 2, 9000), 4001)]


@pytest.mark.parametrize("shape, size", LARGE_ADAPTIVE)
def test_large_adaptive_averages(shape, size):
    rng = np.random.default_rng(0)
    rank = len(shape) - 2
    problem = adaptive_pool_problem(rank, np.broadcast_to(0.0, shape), "average", size)
    g = rng.random(problem.output_shape, np.float32) * 100
    with cyconv.threads(1):
        expected = of("adaptive_avg", rank)[1](shape, g)
    assert_within_bound(expected, problem, g)
    for count in (2, 3):
        with cyconv.threads(count):
            assert of("adaptive_avg", rank)[1](shape, g).tobytes() == expected.tobytes()


def assert_within_bound(result, problem, g):
    """The bound that the docstring states, of positive gradients."""
    exact = reference.avg_pool_input(problem, g.astype(float))
    meet = 0
    for n, outputs, kernel, stride, adaptive in zip(problem.size, problem.out_size, problem.kernel, problem.stride, problem.adaptive):
        meet += -(-outputs // n) + 1 if adaptive else min(-(-kernel // stride), outputs)
    assert np.all(np.abs(result - exact) <= (meet - 2) / 2 * np.finfo(result.dtype).eps * exact)


def test_where_one_window_is_alone_its_value_is_divided_as_numpy_does_it():
    g = np.random.default_rng(0).random((3, 40, 50), np.float32)
    expected = np.repeat(np.repeat(g / np.float32(9), 3, 1), 3, 2)
    np.testing.assert_array_equal(grad.avg_pool2d_input((3, 120, 150), g, 3), expected)
    for divisor in (7, -5, 2**24 + 1, 2**53 - 1):  # the last two are no numbers of single precision
        expected = (g.astype(float) / divisor).astype(np.float32)
        np.testing.assert_array_equal(grad.avg_pool2d_input(g.shape, g, 1, divisor_override=divisor), expected)
    huge, half = 2**50, 2**49  # windows of padding almost alone, whose volume is no number of single precision at all
    g = np.full((1, 2, 2, 2), 3e38, np.float32)
    result = grad.avg_pool3d_input((1, 1, 1, 1), g, huge, 1, half)
    np.testing.assert_allclose(result, 8 * 3e38 / 2.0**150, rtol=1e-6)


def test_numbers_that_are_not_finite_stay_in_their_windows():
    for bad in (np.nan, np.inf):
        for shape, options in (((1, 30, 30), {"stride": 1, "padding": 1}), ((1, 30, 30), {"stride": 2}), ((1, 30, 31), {"padding": 1})):
            problem = average_problem(2, np.empty(shape), {**PLAIN, **options})
            g = np.ones(problem.output_shape)
            g[0, 4, 5] = bad
            expected = reference.avg_pool_input(problem, g)
            np.testing.assert_array_equal(np.isfinite(grad.avg_pool2d_input(shape, g, 3, **options)), np.isfinite(expected))
    result = grad.adaptive_avg_pool1d_input((2, 9), np.array([[1, np.nan], [1, 1.0]]))
    assert np.isnan(result).tolist() == [[False] * 4 + [True] * 5, [False] * 9]
    assert np.isfinite(grad.avg_pool2d_input((1, 4, 4), np.full((1, 2, 2), 3e38, np.float32), 2)).all()


def test_half_precision_is_rounded_once():
    g = np.array([[2048, 1, 1, 1]], np.float16)  # 2048 + 1 is 2048 in half precision
    result = grad.avg_pool2d_input((1, 1, 4), g[None], (1, 3), 1, (0, 1), divisor_override=1)
    np.testing.assert_array_equal(result, np.array([[[2049, 2050, 3, 2]]], np.float16))
    many = grad.avg_pool2d_input((1, 1, 3), np.full((1, 1, 2), 6e4, np.float16), (1, 2), 1, divisor_override=1)
    assert np.isinf(many).tolist() == [[[False, True, False]]]


# ---- norms ---------------------------------------------------------------------------------------------------------------


def some_norms(rng, rank, longest, count):
    while count:
        shape, options = some_shape(rng, rank, longest), some_windows(rng, rank, padded=False)
        try:
            lp_pool_problem(rank, np.empty(shape), 2, **options)
        except ValueError:
            continue
        count -= 1
        yield shape, options


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rank", RANKS)
def test_norms_differences(rank, norm):
    rng = np.random.default_rng(rank)
    pool, pool_input = of("lp", rank)
    for shape, options in some_norms(rng, rank, (12, 6, 4)[rank - 1], 5):
        x = (rng.permutation(np.prod(shape)).reshape(shape) + 3) / 8  # no two alike
        if norm in (1, 2, np.inf, -np.inf):
            x *= rng.choice([-1, 1], shape)
        g = rng.standard_normal(pool(x, norm, **options).shape)
        expected = differences(lambda a, options=options: pool(a, norm, **options), x, g)
        np.testing.assert_allclose(pool_input(x, g, norm, **options), expected, rtol=1e-6, atol=1e-6, err_msg=str((shape, options)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rank", RANKS)
def test_norms_of_many_windows(rank, norm, dtype):
    rng = np.random.default_rng(rank)
    for shape, options in some_norms(rng, rank, (60, 20, 8)[rank - 1], 12):
        x = rng.integers(-4, 5, shape).astype(dtype)  # with zeros and ties
        if norm not in (1, 2, np.inf, -np.inf):
            x = np.abs(x) + np.array(1 / 4, dtype)
        problem = lp_pool_problem(rank, x, norm, **options)
        g = rng.integers(-4, 5, problem.output_shape).astype(dtype)
        result, expected = of("lp", rank)[1](x, g, norm, **options), reference.lp_pool_input(problem, x, g)
        assert result.dtype == dtype
        tolerance = 4 * np.finfo(dtype).eps if dtype != "float64" else 1e-13
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * 40, err_msg=str((shape, options)))


@pytest.mark.parametrize("norm", [2, 3, np.inf])
def test_norms_of_several_blocks_of_planes(norm):
    x = np.random.default_rng(0).random((9, 5, 61, 70), np.float32)
    g = np.random.default_rng(1).random((9, 5, 30, 23), np.float32)
    with cyconv.threads(1):
        result = grad.lp_pool2d_input(x, g, norm, (2, 4), (2, 3))
    expected = reference.lp_pool_input(lp_pool_problem(2, x, norm, (2, 4), (2, 3), False), x, g)
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    for count in (2, 3):
        with cyconv.threads(count):
            assert grad.lp_pool2d_input(x, g, norm, (2, 4), (2, 3)).tobytes() == result.tobytes()


def test_norms_where_they_have_a_kink():
    x, g = np.array([[0.0, 0, 0, 2, 9]]), np.array([[1.0, 1]])
    assert grad.lp_pool1d_input(x, g, 2, 2).tolist() == [[0, 0, 0, 1, 0]]
    assert grad.lp_pool1d_input(x, g, 1, 2).tolist() == [[1, 1, 1, 1, 0]]
    assert grad.lp_pool1d_input(x, g, np.inf, 2).tolist() == [[0, 0, 0, 1, 0]]
    assert grad.lp_pool1d_input(x, g, -1, 2).tolist() == [[0, 0, 0, 0, 0]]
    np.testing.assert_allclose(grad.lp_pool1d_input(x, g, 0.5, 2), [[0, 0, np.inf, 1, 0]])
    ties = np.array([[-3.0, 3, 1, 1]])
    assert grad.lp_pool1d_input(ties, g, np.inf, 2).tolist() == [[-1, 0, 1, 0]]
    assert grad.lp_pool1d_input(ties, g, -np.inf, 2).tolist() == [[-1, 0, 1, 0]]


@pytest.mark.parametrize("norm", [3, 2, -1, np.inf])
def test_norms_of_numbers_that_are_not_finite(norm):
    x = np.array([[1.0, 2, np.nan, 3, np.nan, 4, np.nan, 5, 6, np.nan]])  # windows of 2 every 3 samples: the third is in none
    x[0, 4] = 1
    result = grad.lp_pool1d_input(x, np.ones((1, 3)), norm, 2, 3)
    assert np.isnan(result).tolist() == [[False] * 6 + [True, norm != np.inf, False, False]]
    assert result[0, [2, 5, 8, 9]].tolist() == [0, 0, 0, 0]


def test_norms_of_integers():
    x, g = np.arange(1, 7).reshape(1, 6), np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(grad.lp_pool1d_input(x, g, 2, 3), grad.lp_pool1d_input(x.astype(float), g, 2, 3))
    with pytest.raises(TypeError, match="grad_output must have the dtype of the pool's result, float64; got int64"):
        grad.lp_pool1d_input(x, g.astype(int), 2, 3)


# ---- max unpooling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128", "int8", "uint64"])
@pytest.mark.parametrize("rank", RANKS)
def test_unpooling(rank, dtype):
    """Its adjoint, also where several values have one index, which overlapping windows bring about."""
    rng = np.random.default_rng(rank)
    x = rng.integers(0, 30, (2, 3, 9, 8, 7)[: rank + 2])
    unpool_input = getattr(grad, f"max_unpool{rank}d_input")
    for kernel, stride in ((2, 2), (3, 1), (3, 2)):
        values, indices = getattr(cyconv, f"max_pool{rank}d")(x, kernel, stride, return_indices=True)
        g = rng.integers(0, 100, x.shape).astype(dtype)
        order = np.arange(1.0, values.size + 1).reshape(values.shape)
        stayed = reference.max_unpool(order, indices, x.shape[2:]).reshape(2, 3, -1)
        at = indices.reshape(2, 3, -1)
        stayed = np.take_along_axis(stayed, at, -1) == order.reshape(at.shape)
        expected = np.where(stayed, np.take_along_axis(g.reshape(2, 3, -1), at, -1), np.zeros((), dtype)).reshape(indices.shape)
        result = unpool_input(g, indices)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(unpool_input(g[1], indices[1].astype(np.uint16)), expected[1])
        if dtype == "float32":
            v = rng.integers(-9, 10, values.shape).astype(dtype)
            unpooled = getattr(cyconv, f"max_unpool{rank}d")(v, indices, kernel, stride, output_size=x.shape)
            assert (unpooled * g).sum() == (v * result).sum()


def test_unpooling_of_several_blocks_of_planes():
    rng = np.random.default_rng(0)
    g = rng.random((5, 4, 300, 200))
    indices = rng.permuted(np.broadcast_to(np.arange(60000), (5, 4, 60000)), axis=-1)[..., :20000].reshape(5, 4, 100, 200)
    expected = np.take_along_axis(g.reshape(5, 4, -1), indices.reshape(5, 4, -1), -1).reshape(indices.shape)
    for count in (1, 3):
        with cyconv.threads(count):
            np.testing.assert_array_equal(grad.max_unpool2d_input(g, indices), expected)
    out = np.zeros(indices.shape)
    indices[4, 3, 2, 1] = 60000
    with pytest.raises(ValueError, match="indices must be at least 0 and below 60000, .*; got 60000"):
        grad.max_unpool2d_input(g, indices, out=out)
    assert not out.any()


# ---- unfold and fold -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "int32"])
@pytest.mark.parametrize("kernel", [2, (3,), (2, 3), (2, 1, 2)])
def test_unfold_and_fold_are_adjoint(kernel, dtype):
    rng = np.random.default_rng(0)
    rank = len(kernel) if isinstance(kernel, tuple) else 2
    for dilation, padding, stride in ((1, 0, 1), (2, 1, 1), (1, 1, 2)):
        x = rng.integers(-3, 4, (2, 3, 9, 8, 7)[: rank + 2]).astype(dtype)
        columns = cyconv.unfold(x, kernel, dilation, padding, stride)
        g = rng.integers(-3, 4, columns.shape).astype(dtype)
        back = grad.unfold_input(x.shape, g, kernel, dilation, padding, stride)
        assert back.dtype == dtype and back.shape == x.shape
        assert (columns * g).sum(dtype=complex) == (x * back).sum(dtype=complex)
        np.testing.assert_array_equal(grad.unfold_input(x.shape[1:], g[0], kernel, dilation, padding, stride), back[0])
        folded = cyconv.fold(g, x.shape[2:], kernel, dilation, padding, stride)
        back = grad.fold_input(x, kernel, dilation, padding, stride)
        assert back.dtype == dtype and back.shape == g.shape
        assert (folded * x).sum(dtype=complex) == (g * back).sum(dtype=complex)
        np.testing.assert_array_equal(grad.fold_input(x[0], kernel, dilation, padding, stride), back[0])
    out = np.zeros_like(x)
    assert grad.unfold_input(x.shape, g, kernel, dilation, padding, stride, out=out) is out
    np.testing.assert_array_equal(out, folded)


# ---- adjoint, as torch's -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", RANKS)
def test_averages_are_adjoint(rank):
    rng = np.random.default_rng(30 * rank)
    pool, pool_input = of("avg", rank)
    for shape, options, problem in some_averages(rng, rank, (200, 40, 12)[rank - 1], 20):
        x, g = rng.standard_normal(shape), rng.standard_normal(problem.output_shape)
        one, other = (pool(x, **options) * g).sum(), (x * pool_input(shape, g, **options)).sum()
        assert abs(one - other) <= 1e-13 * max(1, np.abs(x).sum() * np.abs(g).max()), (shape, options)
        size = tuple(rng.integers(1, 30, rank).tolist())
        y = of("adaptive_avg", rank)[0](x, size)
        g = rng.standard_normal(y.shape)
        other = (x * of("adaptive_avg", rank)[1](shape, g)).sum()
        assert abs((y * g).sum() - other) <= 1e-13 * max(1, np.abs(x).sum() * np.abs(g).max()), (shape, size)


@pytest.mark.parametrize("rank", RANKS)
def test_torch_has_the_same(rank):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(rank)
    shape = (2, 3, *((19,), (11, 13), (7, 6, 8))[rank - 1])
    x = rng.random(shape) + 0.1

    def compare(name, ours, *arguments, **options):
        tensor = torch.from_numpy(x).requires_grad_()
        result = getattr(torch.nn.functional, name)(tensor, *arguments, **options)
        g = rng.standard_normal(result.shape)
        (expected,) = torch.autograd.grad(result, tensor, torch.from_numpy(g))
        np.testing.assert_allclose(ours(g), expected.numpy(), rtol=1e-12, atol=1e-12, err_msg=f"{name} {arguments} {options}")

    for kernel, stride, padding in ((2, None, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (5, 2, 2)):
        for ceil_mode, include, override in itertools.product((False, True), (False, True), (None, 7) if rank > 1 else (None,)):
            options = {"ceil_mode": ceil_mode, "count_include_pad": include} | ({"divisor_override": override} if override else {})
            compare(
                f"avg_pool{rank}d",
                lambda g, a=(kernel, stride, padding), o=options: of("avg", rank)[1](shape, g, *a, **o),
                kernel, stride, padding, **options,
            )  # fmt: skip
        for norm in (1, 2, 3, 2.5) if padding == 0 else ():
            for ceil_mode in (False, True):
                compare(
                    f"lp_pool{rank}d",
                    lambda g, a=(norm, kernel, stride), c=ceil_mode: of("lp", rank)[1](x, g, *a, c),
                    norm, kernel, stride, ceil_mode,
                )  # fmt: skip
    for size in (1, 2, 4, 6):
        compare(f"adaptive_avg_pool{rank}d", lambda g: of("adaptive_avg", rank)[1](shape, g), size)
    if rank == 2:
        for options in ({}, {"padding": 1, "stride": 2}, {"dilation": 2}):
            compare("unfold", lambda g, o=options: grad.unfold_input(shape, g, 3, **o), 3, **options)


# ---- what must not matter ------------------------------------------------------------------------------------------------


def layouts(a):
    """The same numbers, lying in memory otherwise."""
    yield np.asfortranarray(a)
    yield np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    yield wide[..., ::2]
    bytes_ = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    bytes_[...] = a
    yield bytes_
    yield a.astype(a.dtype.newbyteorder())
    fixed = a.copy()
    fixed.flags.writeable = False
    yield fixed
    yield a.tolist()


BACKWARDS = np.tile(np.arange(41, -1, -1).reshape(1, 1, 6, 7), (2, 3, 1, 1))
CALLS = {  # name: a call of what has shape (2, 3, 6, 7), as has the result of all but the last two
    "average": lambda g, out=None: grad.avg_pool2d_input((2, 3, 6, 7), g, 3, 1, 1, out=out),
    "adaptive": lambda g, out=None: grad.adaptive_avg_pool2d_input((2, 3, 6, 7), g, out=out),
    "norm": lambda g, out=None: grad.lp_pool2d_input(g, g, 2, 1, out=out),
    "maximum": lambda g, out=None: grad.lp_pool2d_input(g, g, np.inf, 1, out=out),
    "unpool": lambda g, out=None: grad.max_unpool2d_input(g, BACKWARDS, out=out),
    "unfold": lambda g, out=None: grad.unfold_input((2, 3, 6, 7), np.reshape(g, (2, 3, 42)), 1, out=out),
    "fold": lambda g, out=None: grad.fold_input(g, (2, 3), out=out),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_layouts_and_out(name):
    g = np.random.default_rng(0).integers(1, 50, (2, 3, 6, 7)).astype(np.float64)
    expected = CALLS[name](g)
    for view in layouts(g):
        before = np.array(view)
        np.testing.assert_array_equal(CALLS[name](view), expected)
        np.testing.assert_array_equal(np.array(view), before)
    for out in (np.zeros_like(expected), np.asfortranarray(expected * 0), np.zeros((*expected.shape, 2))[..., 0]):
        assert CALLS[name](g, out=out) is out
        np.testing.assert_array_equal(out, expected)
    if expected.shape == g.shape:
        memory = np.zeros(g.size + 3)
        for out in (g.copy(), memory[3:].reshape(g.shape)):
            values = out if out.base is None else memory[:-3].reshape(g.shape)
            values[...] = g
            assert CALLS[name](values, out=out) is out
            np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match="out must have shape"):
        CALLS[name](g, out=np.zeros(5))
    with pytest.raises(TypeError, match="out must have dtype float64"):
        CALLS[name](g, out=expected.astype(np.float32))
    expected.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writable"):
        CALLS[name](g, out=expected)


def test_one_number_everywhere():
    g = np.broadcast_to(np.float32(4), (2, 3, 5, 5))  # strides of zero
    np.testing.assert_array_equal(grad.avg_pool2d_input((2, 3, 10, 10), g, 2), np.ones((2, 3, 10, 10), np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
def test_nothing_to_add_up(dtype):
    for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
        g = np.empty((*shape[:2], 4, 4), dtype)
        assert grad.avg_pool2d_input(shape, g, 2).shape == shape
        assert grad.adaptive_avg_pool2d_input(shape, g).dtype == dtype
        assert grad.max_unpool2d_input(g, np.empty((*shape[:2], 2, 2), int)).shape == (*shape[:2], 2, 2)
        for norm in (2, np.inf) if dtype != "complex128" else ():
            assert grad.lp_pool2d_input(np.empty(shape, dtype), g, norm, 2).shape == shape
    out = np.ones((1, 3, 8, 8), dtype)
    assert grad.adaptive_avg_pool2d_input(out.shape, np.empty((1, 3, 0, 2), dtype), out=out) is out
    assert not out.any()
    assert grad.unfold_input((0, 1, 3, 3), np.empty((0, 4, 4), dtype), 2).shape == (0, 1, 3, 3)
    assert grad.fold_input(np.empty((0, 1, 3, 3), dtype), 2).shape == (0, 4, 4)


# ---- what is refused -----------------------------------------------------------------------------------------------------

X, G = np.ones((1, 2, 6, 6), np.float32), np.ones((1, 2, 3, 3), np.float32)
REFUSED = [  # function, arguments, error, part of the message
    ("avg_pool2d_input", (36, G, 2), TypeError, "input_size must be a sequence of 3 or 4 ints, the shape .*, got 36"),
    ("avg_pool2d_input", ((6, 6), G, 2), ValueError, "input_size must be a sequence of 3 or 4 ints, .*; got 2 values"),
    ("avg_pool2d_input", ((2, 6, 6), G, 2), ValueError, "as many values as grad_output has axes, 4; got 3"),
    ("avg_pool2d_input", ((1, 2, 6, 6.5), G, 2), TypeError, "input_size must be a sequence of .* got 6.5"),
    ("avg_pool2d_input", ((1, 2, -6, 6), G, 2), ValueError, "input_size must be at least 0, got -6"),
    ("avg_pool2d_input", ((1, 2, 0, 6), G, 2), ValueError, "input_size must have no spatial axis shorter than 1"),
    ("avg_pool2d_input", ((1, 2, 7, 8), G, 2), ValueError, r"grad_output must have shape \(1, 2, 3, 4\), .* \(1, 2, 7, 8\); got \(1, 2, 3"),
    ("avg_pool2d_input", ((1, 3, 6, 6), G, 2), ValueError, r"grad_output must have shape \(1, 3, 3, 3\)"),
    ("avg_pool2d_input", ((1, 2, 2**40, 2**40), G, 2), ValueError, "the result would have shape"),
    ("avg_pool2d_input", (X.shape, G.astype(int), 2), TypeError, "grad_output has dtype int64"),
    ("avg_pool2d_input", (X.shape, None, 2), TypeError, "grad_output must be an array, got None"),
    ("avg_pool2d_input", (X.shape, G, 0), ValueError, "kernel_size must be at least 1, got 0"),
    ("avg_pool2d_input", (X.shape, G, 9), ValueError, "kernel_size is larger than the padded input"),
    ("avg_pool2d_input", (X.shape, G, 2, 0), ValueError, "stride must be at least 1"),
    ("avg_pool2d_input", (X.shape, G, 2, 2, 2), ValueError, "padding must be at most half the kernel_size"),
    ("avg_pool2d_input", (X.shape, G, 2, 2, "same"), ValueError, "padding must be one of"),
    ("avg_pool2d_input", (X.shape, G, 2, 2, 0, 1), TypeError, "ceil_mode must be True or False"),
    ("avg_pool2d_input", (X.shape, G, 2, 2, 0, False, 1), TypeError, "count_include_pad must be True or False"),
    ("avg_pool2d_input", (X.shape, G, 2, 2, 0, False, True, 0), ValueError, "divisor_override must be a non-zero int"),
    ("avg_pool1d_input", ((2, 6), G[0, 0], 2, 2, 0, False, True, 3), TypeError, "takes from 3 to 7 positional arguments"),
    ("adaptive_avg_pool2d_input", ((1, 3, 6, 6), G), ValueError, r"grad_output must have shape \(1, 3, 3, 3\)"),
    ("adaptive_avg_pool2d_input", ((2, 6, 6), G), ValueError, "as many values as grad_output has axes"),
    ("adaptive_avg_pool2d_input", (X.shape, G > 0), TypeError, "grad_output has dtype bool"),
    ("lp_pool2d_input", (X, G.astype(float), 2, 2), TypeError, "must have the dtype of the pool's result, float32; got float64"),
    ("lp_pool2d_input", (X.astype(complex), G.astype(complex), 2, 2), TypeError, "input has dtype complex128"),
    ("lp_pool2d_input", (X, G, 0, 2), ValueError, "norm_type must be a real number other than 0"),
    ("lp_pool2d_input", (X, G, "2", 2), TypeError, "norm_type must be a real number other than 0"),
    ("lp_pool2d_input", (X, G, 2, 3), ValueError, r"grad_output must have shape \(1, 2, 2, 2\)"),
    ("lp_pool2d_input", (X[0, 0], G, 2, 2), ValueError, "input of lp_pool2d_input must have shape"),
    ("max_unpool2d_input", (X, np.ones(G.shape)), TypeError, "indices has dtype float64"),
    ("max_unpool2d_input", (X > 0, np.ones(G.shape, int)), TypeError, "grad_output has dtype bool"),
    ("max_unpool2d_input", (X, np.ones((2, 3, 3), int)), ValueError, r"indices must begin with grad_output's batch and channels \(1, 2\)"),
    ("max_unpool2d_input", (X[0, 0], np.ones((3, 3), int)), ValueError, "grad_output must have 3 or 4 axes"),
    ("max_unpool2d_input", (X, np.full(G.shape, 36)), ValueError, "indices must be at least 0 and below 36"),
    ("max_unpool2d_input", (X, np.full(G.shape, -1)), ValueError, "indices must be at least 0 and below 36, .*; got -1"),
    ("unfold_input", ((2, 3, 3), np.ones((4, 4)), 2), ValueError, r"grad_output must have shape \(8, 4\), .* \(2, 3, 3\); got \(4, 4\)"),
    ("unfold_input", ((3, 3), np.ones((4, 4)), 2), ValueError, "input_size must be a sequence of 3 or 4 ints"),
    ("unfold_input", ((0, 3, 3), np.ones((0, 4)), 2), ValueError, "input_size must be above 0 but for the batch"),
    ("unfold_input", ((1, 3, 3), np.ones((4, 4), bool), 2), TypeError, "grad_output has dtype bool"),
    ("unfold_input", ((1, 3, 3), np.ones((4, 4)), 4), ValueError, "kernel_size 4 with dilation 1 covers 4 samples"),
    ("unfold_input", ((1, 3, 3), np.ones((4, 4)), (1, 1, 1, 1)), ValueError, "kernel_size must be an int .* or 1 to 3 ints"),
    ("fold_input", (np.ones((3, 3)), 2), ValueError, "grad_output must have 3 axes of at least 1"),
    ("fold_input", (np.ones((1, 3, 3)), 2, 0), ValueError, "dilation must be at least 1"),
    ("fold_input", (np.ones((1, 3, 3), bool), 2), TypeError, "grad_output has dtype bool"),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, error, message", REFUSED)
def test_refused(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(grad, name)(*arguments)

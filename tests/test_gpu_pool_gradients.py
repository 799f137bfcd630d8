"""Max unpooling and gradients of pools of CuPy arrays, against the same on NumPy arrays: the same bits wherever the CPU computes in
the same precision."""

import numpy as np
import pytest
from pool_cases import sample
from test_grad_pools import (
    LARGE,
    LARGE_ADAPTIVE,
    NORMS,
    PLAIN,
    REFUSED,
    average_problem,
    of,
    some_averages,
    some_norms,
    some_shape,
)

import cyconv
from cyconv.gpu import costs, scatter, spread
from cyconv.pool_problem import MAX_DTYPES, lp_pool_problem

NUMBERS = tuple(dtype for dtype in MAX_DTYPES if dtype != "bool") + ("complex64", "complex128")


def there(cupy, *values):
    return [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in values]


def same(got, want, message=""):
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got.get(), want, err_msg=str(message))


def pooled(shape, kernel, stride, seed=0):
    """Indices of a max pool with overlapping windows, and numbers whose sums show their order."""
    x = np.random.default_rng(seed).random(shape, np.float32)
    _, indices = getattr(cyconv, f"max_pool{len(shape) - 2}d")(x, kernel, stride, return_indices=True)
    return indices, np.random.default_rng(seed + 1).random(indices.shape, np.float32) * 100


# ---- max pools -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMBERS)
def test_maxima_of_every_dtype(dtype, cupy):
    for rank in (1, 2, 3):
        x = sample((2, 3, 7, 6, 5)[: rank + 2], "int8")
        for kernel, stride in ((2, 2), (3, 1)):
            _, indices = getattr(cyconv, f"max_pool{rank}d")(x, kernel, stride, return_indices=True)
            grad = sample(indices.shape, dtype)
            for name, arguments in (
                (f"max_pool{rank}d_input", (x.shape, indices, grad)),
                (f"max_unpool{rank}d_input", (sample(x.shape, dtype), indices)),
            ):
                function = getattr(cyconv.grad, name)
                same(function(*there(cupy, *arguments)), function(*arguments))


@pytest.mark.parametrize("dtype", (*MAX_DTYPES, "complex64", "complex128"))
def test_unpooling_of_every_dtype(dtype, cupy):
    for rank in (1, 2, 3):
        x = sample((2, 3, 7, 6, 5)[: rank + 2], "int8")
        _, indices = getattr(cyconv, f"max_pool{rank}d")(x, 2, 1, return_indices=True)
        unpool, values = getattr(cyconv, f"max_unpool{rank}d"), sample(indices.shape, dtype)
        for arguments in ((values, indices), (values[0], indices[0])):
            want = unpool(*arguments, 2, 1, output_size=x.shape[2:])
            same(unpool(*there(cupy, *arguments), 2, 1, output_size=x.shape[2:]), want)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_indices_of_every_dtype(dtype, cupy):
    indices, grad = pooled((2, 3, 8, 9), 3, 2)
    want = cyconv.grad.max_pool2d_input((2, 3, 8, 9), indices, grad)
    same(cyconv.grad.max_pool2d_input((2, 3, 8, 9), *there(cupy, indices.astype(dtype), grad)), want)


SHAPES = [  # bands of a plane, planes of a band, and both: shape, kernel, stride
    ((3, 4, 7, 7), 7, 1),
    ((2, 5, 16, 16), 2, 2),
    ((1, 2, 60, 70), 3, 1),
    ((2, 1, 50, 90), (9, 5), (2, 1)),
    ((2, 2, 5001), 4, 3),
    ((1, 3, 9, 20, 30), 3, 2),
]


@pytest.mark.parametrize("shape, kernel, stride", SHAPES)
@pytest.mark.parametrize("sorts", [False, True])
def test_values_keep_their_order(shape, kernel, stride, sorts, cupy, monkeypatch):
    rank = len(shape) - 2
    indices, grad = pooled(shape, kernel, stride)
    if sorts:  # as if the indices were far from order, and memory short
        monkeypatch.setattr(scatter, "FAR", 0)
        monkeypatch.setattr(scatter, "MAX_WORKSPACE", 2 * scatter.SORTING * grad[0, 0].size)
    for dtype in ("float32", "float64", "float16"):
        g = grad.astype(dtype)
        want = getattr(cyconv.grad, f"max_pool{rank}d_input")(shape, indices, g)
        got = getattr(cyconv.grad, f"max_pool{rank}d_input")(shape, *there(cupy, indices, g))
        assert got.get().tobytes() == want.tobytes()
    unpool, back = getattr(cyconv, f"max_unpool{rank}d"), getattr(cyconv.grad, f"max_unpool{rank}d_input")
    want = unpool(grad, indices, kernel, stride, output_size=shape)
    same(unpool(*there(cupy, grad, indices), kernel, stride, output_size=shape), want)
    same(back(*there(cupy, want, indices)), back(want, indices))


def test_shuffled_indices(cupy, monkeypatch):
    """Bands of planes that go through all values, until that is more than sorting them."""
    sorted_ = []
    monkeypatch.setattr(scatter, "_sorted", lambda *a, f=scatter._sorted: (sorted_.append(1), f(*a)))
    monkeypatch.setattr(scatter, "BAND_BYTES", 4096)
    rng = np.random.default_rng(0)
    for plane, values, sorts in ((30_000, 4000, False), (200_000, 600, True)):
        indices, grad = rng.integers(0, plane, (2, 1, values)), rng.random((2, 1, values), np.float32)
        want = cyconv.grad.max_pool1d_input((2, 1, plane), indices, grad)
        sorted_.clear()
        same(cyconv.grad.max_pool1d_input((2, 1, plane), *there(cupy, indices, grad)), want)
        assert bool(sorted_) == sorts
        same(cyconv.grad.max_unpool1d_input(*there(cupy, want, indices)), cyconv.grad.max_unpool1d_input(want, indices))


@pytest.mark.parametrize("place", [0, 77, 1199])
def test_thousands_of_windows_with_one_index(place, cupy, monkeypatch):
    monkeypatch.setattr(costs, "PROCESSORS", 1)  # so that threads which look at indices go on
    grad = np.random.default_rng(0).random((2, 3, 5000), np.float32)
    indices = np.full(grad.shape, place)
    indices[1, 1, ::7] = 1199 - place  # and two that take turns
    shape = (2, 3, 1200)
    same(cyconv.grad.max_pool1d_input(shape, *there(cupy, indices, grad)), cyconv.grad.max_pool1d_input(shape, indices, grad))
    want = cyconv.max_unpool1d(grad, indices, 3, 1, output_size=(5002,))
    same(cyconv.max_unpool1d(*there(cupy, grad, indices), 3, 1, output_size=(5002,)), want)
    same(cyconv.grad.max_unpool1d_input(*there(cupy, want, indices)), cyconv.grad.max_unpool1d_input(want, indices))


@pytest.mark.parametrize("bad", [-1, 36, 2**63 - 1, -(2**63), 2**64 - 1])
def test_indices_outside_of_their_plane(bad, cupy):
    """All of the message is the CPU's: the first bad index in row-major order, as it came. Nothing is written."""
    indices = np.zeros((2, 2, 3, 3), np.uint64 if bad > 2**63 else np.int64)
    indices[1, 0, 1, 2] = bad
    indices[1, 1, 2, 1] = 40
    out, values, plane = np.ones((2, 2, 6, 6)), np.ones((2, 2, 3, 3)), np.ones((2, 2, 6, 6))
    for function, arguments, options in (
        (cyconv.grad.max_pool2d_input, (out.shape, indices, values), {"out": out}),
        (cyconv.max_unpool2d, (values, indices, 2), {"out": out}),
        (cyconv.grad.max_unpool2d_input, (plane, indices), {"out": values}),
    ):
        with pytest.raises(ValueError) as said:
            function(*arguments)
        moved = dict(zip(options, there(cupy, *options.values())))
        with pytest.raises(ValueError) as heard:
            function(*there(cupy, *arguments), **moved)
        assert str(heard.value) == str(said.value)
        assert any(str(heard.value).endswith(f"got {each}") for each in (bad, np.array(bad).astype(int)))
        assert (moved["out"].get() == 1).all()
        backwards = [a[..., ::-1, :] if isinstance(a, cupy.ndarray) else a for a in there(cupy, *arguments)]
        with pytest.raises(ValueError, match="indices must be at least 0 and below 36"):
            function(*backwards)


# ---- averages --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_averages_have_the_bits_of_the_cpus(rank, dtype, cupy):
    rng = np.random.default_rng(rank)
    pool_input = of("avg", rank)[1]
    for shape, options, problem in some_averages(rng, rank, (700, 40, 12)[rank - 1], 25):
        g = (rng.standard_normal(problem.output_shape) * 100).astype(dtype)
        same(pool_input(shape, cupy.asarray(g), **options), pool_input(shape, g, **options), (shape, options))
    pool_input = of("adaptive_avg", rank)[1]
    for _ in range(15):
        shape = some_shape(rng, rank, (400, 60, 12)[rank - 1])
        size = tuple(rng.integers(1, (600, 60, 15)[rank - 1], rank).tolist())
        g = (rng.standard_normal((*shape[:2], *size)) * 100).astype(dtype)
        same(pool_input(shape, cupy.asarray(g)), pool_input(shape, g), (shape, size))


@pytest.mark.parametrize("shape, options", [case for case in LARGE if np.prod(case[0]) < 600_000])
def test_large_averages(shape, options, cupy):
    rank = len(shape) - 2
    problem = average_problem(rank, np.empty(shape), {**PLAIN, **options})
    g = np.random.default_rng(0).random(problem.output_shape, np.float32) * 100
    pool_input = of("avg", rank)[1]
    same(pool_input(shape, cupy.asarray(g), **options), pool_input(shape, g, **options))


@pytest.mark.parametrize("shape, options", [((9, 21, 14, 13), {"kernel_size": 2}), ((5, 70, 7, 7), {"kernel_size": 7}), ((300, 2, 5), {"kernel_size": 3, "stride": 1})])
def test_blocks_that_go_on_with_other_planes(shape, options, cupy, monkeypatch):
    """Also windows that are apart, as those that overlap are."""
    monkeypatch.setattr(costs, "PROCESSORS", 1)
    monkeypatch.setattr(spread, "_alone", lambda *_: False)
    test_large_averages(shape, options, cupy)


@pytest.mark.parametrize("shape, size", [case for case in LARGE_ADAPTIVE if np.prod(case[0]) < 600_000])
def test_large_adaptive_averages(shape, size, cupy):
    rank = len(shape) - 2
    g = np.random.default_rng(0).random((*shape[:2], *((size,) * rank if isinstance(size, int) else size)), np.float32)
    pool_input = of("adaptive_avg", rank)[1]
    same(pool_input(shape, cupy.asarray(g)), pool_input(shape, g))


@pytest.mark.parametrize("kernel", [(40, 45), (90, 1), (1, 130), (7, 200)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_windows_that_do_not_fit_in_shared_memory(kernel, dtype, cupy):
    """They come in parts; where the CPU adds up all but the first before that one, the last bit may differ."""
    shape = (2, 3, 91, 301)
    for stride in (1, 3):
        problem = average_problem(2, np.empty(shape), {**PLAIN, "kernel_size": kernel, "stride": stride})
        g = np.random.default_rng(0).random(problem.output_shape).astype(dtype)
        got, want = (cyconv.grad.avg_pool2d_input(shape, each, kernel, stride) for each in (cupy.asarray(g), g))
        np.testing.assert_allclose(got.get(), want, rtol=20 * np.finfo(dtype).eps)
        if stride == 1:
            same(got, want)


def test_divisors_that_are_no_numbers_of_single_precision(cupy):
    g = np.random.default_rng(0).random((1, 2, 4, 5), np.float32)
    for divisor in (7, -5, 2**24 + 1, 2**53 - 1):
        for kernel, stride in ((1, 1), (2, 1), (2, 2)):
            shape = (1, 2, 3 * stride + kernel, 4 * stride + kernel)
            want = cyconv.grad.avg_pool2d_input(shape, g, kernel, stride, divisor_override=divisor)
            same(cyconv.grad.avg_pool2d_input(shape, cupy.asarray(g), kernel, stride, divisor_override=divisor), want)
    huge, half = 2**50, 2**49
    g = np.full((1, 2, 2, 2), 3e38, np.float32)
    result = cyconv.grad.avg_pool3d_input((1, 1, 1, 1), cupy.asarray(g), huge, 1, half).get()
    np.testing.assert_allclose(result, 8 * 3e38 / 2.0**150, rtol=1e-6)


def test_samples_in_no_window_get_zeros(cupy):
    for options in ({"kernel_size": 2, "stride": 4}, {"kernel_size": (9, 2), "stride": (20, 1)}, {"kernel_size": (2, 3), "stride": (1, 5)}):
        for padding in (0, 1):
            problem = average_problem(2, np.empty((2, 3, 21, 40)), {**PLAIN, **options, "padding": padding})
            g = np.random.default_rng(0).random(problem.output_shape)
            want = cyconv.grad.avg_pool2d_input((2, 3, 21, 40), g, **options, padding=padding)
            same(cyconv.grad.avg_pool2d_input((2, 3, 21, 40), cupy.asarray(g), **options, padding=padding), want)


# ---- norms -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_norms(norm, cupy):
    for rank, dtype in ((1, "float16"), (2, "float32"), (3, "float64"), (2, "float64")):
        rng = np.random.default_rng(rank)
        for shape, options in some_norms(rng, rank, (60, 20, 8)[rank - 1], 8):
            x = rng.integers(-4, 5, shape).astype(dtype)  # with zeros and ties
            if norm not in (1, 2, np.inf, -np.inf):
                x = np.abs(x) + np.array(1 / 4, dtype)
            g = rng.integers(-4, 5, lp_pool_problem(rank, x, norm, **options).output_shape).astype(dtype)
            want, got = (of("lp", rank)[1](*each, norm, **options) for each in ((x, g), there(cupy, x, g)))
            if np.isinf(norm):
                same(got, want)
            tolerance = 2 * np.finfo(dtype).eps if dtype != "float64" else 1e-13
            np.testing.assert_allclose(got.get(), want, rtol=tolerance, atol=tolerance * 40, err_msg=str((shape, options)))


@pytest.mark.parametrize("planes", [1, 2, 4, 100])
def test_norms_of_a_few_planes_at_a_time(planes, cupy, monkeypatch):
    from cyconv.gpu import powers

    monkeypatch.setattr(powers, "MAX_WORKSPACE", 8 * 12 * planes)
    x, g = np.random.default_rng(0).random((3, 3, 6, 8)), np.random.default_rng(1).random((3, 3, 3, 4))
    for norm in (2, np.inf):
        want = cyconv.grad.lp_pool2d_input(x, g, norm, 2)
        np.testing.assert_allclose(cyconv.grad.lp_pool2d_input(*there(cupy, x, g), norm, 2).get(), want, rtol=1e-14)


def test_norms_of_numbers_that_are_not_finite(cupy):
    x = np.array([[1.0, 2, np.nan, 3, np.nan, 4, np.nan, 5, 6, np.nan]])
    x[0, 4] = 1
    for norm in (3, 2, -1, np.inf):
        result = cyconv.grad.lp_pool1d_input(*there(cupy, x, np.ones((1, 3))), norm, 2, 3).get()
        assert np.isnan(result).tolist() == [[False] * 6 + [True, norm != np.inf, False, False]]
        assert result[0, [2, 5, 8, 9]].tolist() == [0, 0, 0, 0]
    x, g = np.array([[3.0, np.nan, 2, np.nan, np.nan, 1, np.inf, -np.inf, np.nan]]), np.ones((1, 3))
    for norm in (np.inf, -np.inf):
        same(cyconv.grad.lp_pool1d_input(*there(cupy, x, g), norm, 3), cyconv.grad.lp_pool1d_input(x, g, norm, 3))
    x, g = np.array([[0.0, 0, 0, 2, 9]]), np.ones((1, 2))
    for norm in NORMS:
        want = cyconv.grad.lp_pool1d_input(x, g, norm, 2)
        np.testing.assert_allclose(cyconv.grad.lp_pool1d_input(*there(cupy, x, g), norm, 2).get(), want)


def test_norms_of_integers(cupy):
    x, g = np.arange(1, 7).reshape(1, 6), np.array([[1.0, 2.0]])
    np.testing.assert_allclose(cyconv.grad.lp_pool1d_input(*there(cupy, x, g), 2, 3).get(), cyconv.grad.lp_pool1d_input(x, g, 2, 3))


# ---- what must not matter --------------------------------------------------------------------------------------------------

BACKWARDS = np.tile(np.arange(41, -1, -1).reshape(1, 1, 6, 7), (2, 3, 1, 1))
CALLS = {  # of what has shape (2, 3, 6, 7)
    "average": lambda cupy, g, **o: cyconv.grad.avg_pool2d_input((2, 3, 6, 7), g, 3, 1, 1, **o),
    "alone": lambda cupy, g, **o: cyconv.grad.avg_pool2d_input((2, 3, 12, 14), g, 2, **o),
    "adaptive": lambda cupy, g, **o: cyconv.grad.adaptive_avg_pool2d_input((2, 3, 4, 5), g, **o),
    "norm": lambda cupy, g, **o: cyconv.grad.lp_pool2d_input(g, g, 2, 1, **o),
    "maximum": lambda cupy, g, **o: cyconv.grad.lp_pool2d_input(g, g, np.inf, 1, **o),
    "unpool": lambda cupy, g, **o: cyconv.max_unpool2d(g, cupy.asarray(BACKWARDS), 1, **o),
    "unpool_input": lambda cupy, g, **o: cyconv.grad.max_unpool2d_input(g, cupy.asarray(BACKWARDS), **o),
    "max_pool_input": lambda cupy, g, **o: cyconv.grad.max_pool2d_input((2, 3, 7, 8), cupy.asarray(BACKWARDS), g, **o),
}


@pytest.mark.parametrize("name", CALLS)
def test_layouts_and_out(name, cupy):
    g = np.random.default_rng(0).integers(1, 50, (2, 3, 6, 7)).astype(np.float64)
    call = CALLS[name]
    want = call(cupy, cupy.asarray(g)).get()
    wide = cupy.zeros((3, 7, 2, 12))
    views = [
        cupy.asarray(np.asfortranarray(g)), cupy.asarray(g[..., ::-1, ::-1].copy())[..., ::-1, ::-1],
        cupy.asarray(g.transpose(0, 2, 3, 1).copy()).transpose(0, 3, 1, 2), wide.transpose(2, 0, 3, 1)[:, :, ::2],
    ]  # fmt: skip
    views[-1][...] = cupy.asarray(g)
    for view in views:
        same(call(cupy, view), want)
        np.testing.assert_array_equal(view.get(), g)
    for out in (cupy.empty(want.shape), cupy.empty(want.shape[::-1]).T, cupy.empty((*want.shape, 2))[..., 1]):
        assert call(cupy, cupy.asarray(g), out=out) is out
        same(out, want)
    if want.shape == g.shape:
        memory = cupy.zeros(g.size + 3)
        for out, values in ((memory[3:], memory[:-3]), (memory[:-3], memory[:-3])):
            out, values = out.reshape(g.shape), values.reshape(g.shape)
            values[...] = cupy.asarray(g)
            assert call(cupy, values, out=out) is out
            same(out, want)
    with pytest.raises(ValueError, match="out must have shape"):
        call(cupy, cupy.asarray(g), out=cupy.zeros(5))
    with pytest.raises(TypeError, match="out must have dtype float64"):
        call(cupy, cupy.asarray(g), out=cupy.zeros(want.shape, np.float32))
    for mixed in (lambda: call(cupy, cupy.asarray(g), out=want), lambda: call(np, g, out=cupy.asarray(want))):
        with pytest.raises(TypeError, match=r"\w+ is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\)"):
            mixed()


def test_one_device(cupy):
    indices, g = pooled((1, 2, 6, 6), 2, 2)
    there_indices, there_g = there(cupy, indices, g)
    for mixed in (
        lambda: cyconv.grad.max_pool2d_input((1, 2, 6, 6), indices, there_g),
        lambda: cyconv.grad.max_pool2d_input((1, 2, 6, 6), there_indices, g),
        lambda: cyconv.max_unpool2d(g, there_indices, 2),
        lambda: cyconv.max_unpool2d(there_g, indices, 2),
        lambda: cyconv.grad.max_unpool2d_input(there_g, indices),
        lambda: cyconv.grad.lp_pool2d_input(g, there_g, 2, 1),
    ):
        with pytest.raises(TypeError, match=r"\w+ is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\)"):
            mixed()


@pytest.mark.parametrize("name, arguments, error, message", [case for case in REFUSED if "fold" not in case[0]])
def test_refused_as_on_the_cpu(name, arguments, error, message, cupy):
    function = getattr(cyconv.grad, name)
    with pytest.raises(error, match=message) as said:
        function(*arguments)
    with pytest.raises(error) as heard:
        function(*there(cupy, *arguments))
    assert str(heard.value) == str(said.value)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
def test_nothing_to_add_up(dtype, cupy):
    grad = cyconv.grad
    for shape in ((0, 3, 8, 8), (2, 0, 8, 8)):
        g, indices = cupy.zeros((*shape[:2], 4, 4), dtype), cupy.zeros((*shape[:2], 4, 4), int)
        assert grad.avg_pool2d_input(shape, g, 2).shape == shape
        assert grad.adaptive_avg_pool2d_input(shape, g).dtype == dtype
        assert grad.max_pool2d_input(shape, indices, g).shape == cyconv.max_unpool2d(g, indices, 2).shape == shape
        assert grad.max_unpool2d_input(g, cupy.zeros((*shape[:2], 2, 2), int)).shape == (*shape[:2], 2, 2)
        for norm in (2, np.inf) if dtype != "complex128" else ():
            assert grad.lp_pool2d_input(cupy.zeros(shape, dtype), g, norm, 2).shape == shape
    out = cupy.ones((1, 3, 8, 8), dtype)
    assert grad.adaptive_avg_pool2d_input(out.shape, cupy.zeros((1, 3, 0, 2), dtype), out=out) is out
    assert not out.get().any()
    assert not grad.max_pool1d_input((2, 3), cupy.zeros((2, 0), int), cupy.zeros((2, 0))).get().any()
    with pytest.raises(ValueError, match="indices must be at least 0 and below 0, .*; got 0"):
        grad.max_pool1d_input((1, 0), cupy.zeros((1, 1), int), cupy.ones((1, 1)))


def test_half_types_are_rounded_once(cupy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.random.default_rng(0).random((2, 3, 9, 10), np.float32)
    _, indices = cyconv.max_pool2d(x, 3, 1, return_indices=True)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        g = (np.random.default_rng(1).random(indices.shape) * 9).astype(dtype)
        single = g.astype(np.float32)
        moved = cupy.asarray(g)
        for name, arguments in (("max_pool2d_input", (x.shape, indices)), ("avg_pool2d_input", (x.shape,)), ("lp_pool2d_input", (x.astype(dtype),))):
            function, more = getattr(cyconv.grad, name), {"avg_pool2d_input": (3, 1), "lp_pool2d_input": (3, 3, 1)}.get(name, ())
            want = function(*[a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == dtype else a for a in arguments], single, *more)
            got = function(*there(cupy, *arguments), moved, *more)
            assert got.dtype == dtype
            assert np.array_equal(got.get(), want.astype(dtype)) or name == "lp_pool2d_input"
            np.testing.assert_allclose(got.get().astype(float), want, rtol=2.0**-8, atol=1e-6)
        assert (cyconv.max_unpool2d(moved, cupy.asarray(indices), 3, 1).get() == 0).any()
        if dtype != np.float16:
            for refused in (
                lambda: cyconv.grad.max_pool2d_input(x.shape, indices, g),
                lambda: cyconv.grad.avg_pool2d_input(x.shape, g, 3, 1),
                lambda: cyconv.grad.lp_pool2d_input(x.astype(dtype), g, 2, 3, 1),
                lambda: cyconv.max_unpool2d(g, indices, 3, 1),
                lambda: cyconv.grad.max_unpool2d_input(g, indices),
            ):
                with pytest.raises(TypeError, match="(input|grad_output) has dtype bfloat16, which is computed on the GPU only"):
                    refused()

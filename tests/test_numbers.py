"""The promises about numbers, of whatever `auto` picks: where NaN and infinity go, what overflows, what becomes of the least numbers and of the
processor's mode. (Errors are in test_error_bounds.py, bits in test_same_bits.py.)

`auto` is driven to each row of the menu in two ways: by problems that it gives to that row, and, for any problem that the row takes, by a
cost that is below all others. The slow part draws many more problems (`pytest -m slow tests/test_numbers.py`: two minutes).
"""

import ctypes
import itertools
import platform
import sys

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from cases import FAST, FLOATS, ROWS, Case, conv, problem_of, suited
from number_cases import drawn_problems, numbers, same_footprint, spoiled

import cyconv
import cyconv.signal
from cyconv import costs, nn, problem, reference, select

SPREADING = [name for name in FAST if ROWS[name].spreads_nonfinite]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def forget():
    """All problems, and what is remembered about them."""
    problem.known_conv_problem.cache_clear()
    for module in (problem, sys.modules["cyconv.gradient_problem"]):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()


@pytest.fixture
def prefer(monkeypatch):
    """prefer(name): from now on `auto` finds that row the cheapest, in plans, too, for each problem that it takes."""

    def prefer(name):
        row, cost = ROWS[name], ROWS[name].module.cost
        monkeypatch.setattr(row.module, "cost", lambda problem: (-1.0, cost(problem)[1]))
        monkeypatch.setattr(costs, "planned_seconds", lambda each, problem: -1.0 if each is row else 1.0)
        forget()

    yield prefer
    monkeypatch.undo()
    forget()


# ---- where NaN and infinity go -----------------------------------------------------------------------------------------------

SPOILED = [(1, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (3, 1, 1)]  # numbers of input, weight and bias


def check_footprint(rng, name, case, what):
    dtype = what.dtype
    x, w, b = (numbers(rng, shape, dtype) for shape in (case.input, case.weight, case.weight[:1]))
    w, row = suited(name, w), ROWS[name]
    if row.weights and not row.module.suits(what, w):
        return
    in_x, in_w, in_b = SPOILED[rng.integers(len(SPOILED))]
    x, b, bad_w = spoiled(rng, x, in_x), spoiled(rng, b, in_b), spoiled(rng, w, in_w)
    w = bad_w if not row.weights or row.module.suits(what, bad_w) else w
    assert select.choose(what, "auto", w).name == name
    want = conv(case.rank)(x, w, b, **case.arguments, algorithm="reference")
    message = f"{name}, {what}, {case.arguments}, spoiled {in_x, in_w, in_b}"
    same_footprint(conv(case.rank)(x, w, b, **case.arguments), want, message)
    plan = cyconv.plan_conv(x.shape, w, b, **case.arguments)
    assert plan.algorithm == name or row.spreads_nonfinite and not np.isfinite(w).all()
    out = np.full(want.shape, 7, dtype)
    same_footprint(plan(x, out=out), want, f"plan, {message}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FAST)
def test_footprints_on_every_row_that_auto_may_pick(name, dtype, prefer):
    prefer(name)
    rng = np.random.default_rng(1)
    for case, what in drawn_problems(rng, name, dtype, 6):
        check_footprint(rng, name, case, what)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_footprints_on_every_row_of_many_problems(name, prefer):
    prefer(name)
    rng, count = np.random.default_rng(2), 0
    for dtype in FLOATS:
        for case, what in drawn_problems(rng, name, dtype, 0, seconds=1.5):
            check_footprint(rng, name, case, what)
            count += 1
    assert count > 100


# of float32 and of float64: the first of these is given to the row for what it costs, on every level of instructions
NATURAL = {
    "direct": [((1, 16, 6), (1, 16, 2), {"padding": 1}), ((1, 16, 12), (1, 16, 5), {"padding": 2}), ((1, 16, 6), (1, 16, 3), {"padding": 1})],
    "depthwise": [((1, 1, 60), (1, 1, 3), {}), ((1, 3, 40, 41), (3, 1, 3, 3), {"groups": 3})],
    "dots": [((1, 1, 6, 6, 6), (1, 1, 5, 5, 5), {"stride": 2, "padding": 2}), ((1, 16, 6, 6), (1, 16, 5, 5), {"stride": 2, "padding": 2})],
    "channel_lanes": [((1, 16, 6), (16, 1, 3), {"groups": 16, "stride": 2, "padding": 1}), ((1, 16, 6, 6), (16, 1, 1, 1), {"groups": 16, "stride": 2})],
    "implicit_gemm": [((1, 32, 14, 14), (64, 32, 1, 1), {"stride": 2}), ((1, 16, 6, 6, 6), (16, 16, 1, 1, 1), {"stride": 2})],
    "im2col": [((1, 64, 6, 6, 6), (64, 1, 1, 1, 1), {"groups": 64}), ((1, 16, 100, 100), (16, 1, 1, 1), {"groups": 16, "stride": 2})],
    "separable": [((1, 1, 60, 70), (1, 1, 15, 15), {}), ((1, 1, 200, 210), (1, 1, 9, 9), {})],
    "fft": [((1, 1, 3000), (1, 1, 1001), {}), ((1, 1, 90, 91), (1, 1, 40, 41), {"padding": 3}), ((1, 4, 40, 40), (4, 4, 27, 27), {})],
    "winograd": [((1, 64, 20, 20), (64, 64, 3, 3), {"padding": 1}), ((1, 16, 12, 12), (16, 16, 3, 3), {"padding": 1})],
}  # fmt: skip


def natural(name, dtype, rng):
    """A problem that auto gives to the row: input, weight, arguments."""
    for shape, kernel, arguments in NATURAL[name]:
        x, w = rng.standard_normal(shape).astype(dtype), suited(name, rng.standard_normal(kernel).astype(dtype))
        if cyconv.explain(x, w, **arguments).chosen == name:
            return x, w, arguments
    pytest.skip(f"{name} is chosen for none of its problems with the constants of this level")


def test_every_row_has_a_problem_that_auto_gives_to_it():
    assert set(NATURAL) == set(FAST)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FAST)
def test_footprints_where_auto_picks_the_row_by_itself(name, dtype):
    rng = np.random.default_rng(3)
    x, w, arguments = natural(name, dtype, rng)
    for place, value in itertools.product((0, -1, x.size // 2), (np.nan, np.inf, -np.inf)):
        bad = x.copy()
        bad.flat[place] = value
        want = conv(w.ndim - 2)(bad, w, **arguments, algorithm="reference")
        same_footprint(conv(w.ndim - 2)(bad, w, **arguments), want, (place, value))
    for values in ((np.inf, np.inf), (np.inf, -np.inf)):  # their difference is no number, where both are met
        bad = x.copy()
        bad.flat[[0, 1]] = values
        same_footprint(conv(w.ndim - 2)(bad, w, **arguments), conv(w.ndim - 2)(bad, w, **arguments, algorithm="reference"))
    if not ROWS[name].weights:
        w[rng.random(w.shape) < 0.5] = 0  # zero times infinity
        bad = x.copy()
        bad.flat[:: max(x.size // 20, 1)] = np.inf
        want = conv(w.ndim - 2)(bad, w, **arguments, algorithm="reference")
        assert np.isnan(want).any() or w[0].size == 1
        same_footprint(conv(w.ndim - 2)(bad, w, **arguments), want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
@pytest.mark.parametrize("name", FAST)
def test_footprints_of_gradients_and_transposed_convolutions(name, dtype, prefer):
    """They are convolutions again, of many shapes at a time, on whatever row is the cheapest."""
    prefer(name)
    rng = np.random.default_rng(4)
    for case, what in drawn_problems(rng, "direct", dtype, 6):
        x, w, g = (spoiled(rng, numbers(rng, shape, dtype), n) for shape, n in ((case.input, 1), (case.weight, 0), (what.output_shape, 2)))
        options, r = case.arguments, case.rank
        got = getattr(cyconv.grad, f"conv{r}d_input")(x.shape, w, g, **options)
        same_footprint(got, reference.conv_input_gradient(what, w, g), f"{name} {what} {options}")
        got = getattr(cyconv.grad, f"conv{r}d_weight")(x, w.shape, g, **options)
        same_footprint(got, reference.conv_weight_gradient(what, x, g), f"{name} {what} {options}")
        same_footprint(getattr(cyconv.grad, f"conv{r}d_bias")(g), g.sum(axis=(0, *range(2, g.ndim))))
        kept = {k: v for k, v in options.items() if k in ("stride", "dilation", "groups")}
        got = getattr(cyconv, f"conv_transpose{r}d")(g, w, **kept)
        same_footprint(got, getattr(cyconv, f"conv_transpose{r}d")(g, w, **kept, algorithm="reference"), f"{name} {what} {kept}")


def met(x, size, **border):
    """What a sum over windows of so many samples makes of numbers that are not finite."""
    nan, plus, minus = (scipy.ndimage.maximum_filter(each(x).astype(int), size, **border) > 0 for each in (np.isnan, np.isposinf, np.isneginf))
    return np.select([nan | plus & minus, plus, minus], [np.nan, np.inf, -np.inf], 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [3, 15, 40])
def test_nothing_is_left_behind_in_sliding_windows(size, dtype):
    """What has left a window leaves no trace: pools and filters of long rows, and of planes."""
    rng = np.random.default_rng(5)
    for shape in ((2, 400), (60, 70)):
        x = spoiled(rng, rng.standard_normal(shape).astype(dtype), 4)
        x[1, 200 % shape[1] :][:2] = np.inf, -np.inf
        for mode in ("reflect", "nearest", "wrap", "constant"):
            same_footprint(cyconv.uniform_filter(x, size, mode=mode), met(x, size, mode=mode), mode)
        inside = tuple(slice(size // 2, size // 2 + n - size + 1) for n in x.shape)
        if min(shape) >= size:
            same_footprint(cyconv.avg_pool2d(x[None], size, 1)[0], met(x, size)[inside])
            same_footprint(cyconv.lp_pool2d(x[None], 2, size, 1)[0], np.abs(met(np.abs(x), size)[inside]))
        same_footprint(cyconv.avg_pool1d(x, size, 1), met(x, (1, size))[:, inside[1]])
        for kind, extreme in (("max", np.fmax), ("min", np.fmin)):
            windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=1)
            want = np.where(np.isnan(windows).any(-1), np.nan, extreme.reduce(windows, axis=-1))
            np.testing.assert_array_equal(getattr(cyconv, f"{kind}_pool1d")(x, size, 1), want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_footprints_of_all_pools(dtype):
    rng = np.random.default_rng(6)
    for rank, shape in ((1, (2, 3, 57)), (2, (2, 20, 17, 19)), (3, (1, 3, 7, 8, 9))):
        x = spoiled(rng, numbers(rng, shape, dtype), 12)
        calls = [("avg_pool", (3, 2, 1)), ("avg_pool", (5, 1, 2, True, False)), ("max_pool", (3, 2, 1)), ("min_pool", (4, 1, 2)), ("adaptive_avg_pool", (4,))]
        calls += [("adaptive_max_pool", (5,)), ("adaptive_avg_pool", (1,)), ("lp_pool", (1, 3)), ("lp_pool", (2, 3, 2, True)), ("lp_pool", (3, 2))]
        for (function, arguments), layout in itertools.product(calls, (lambda a: a, np.asfortranarray, lambda a: a[..., ::-1])):
            pool, view = getattr(cyconv, f"{function}{rank}d"), layout(x)
            same_footprint(pool(view, *arguments), pool(view, *arguments, algorithm="reference"), (function, rank, arguments))
    values = np.array([[[np.nan, np.inf, 1, -np.inf]]], dtype)
    places = np.array([[[1, 2, 4, 7]]])
    np.testing.assert_array_equal(cyconv.max_unpool1d(values, places, 2), [[[0, np.nan, np.inf, 0, 1, 0, 0, -np.inf]]])


def test_footprints_of_convolutions_as_in_scipy():
    rng = np.random.default_rng(7)
    for shape, kernel in (((300,), (31,)), ((4000,), (900,)), ((60, 50), (9, 7)), ((90, 80), (40, 33)), ((9, 10, 11), (3, 4, 5))):
        x, w = spoiled(rng, rng.standard_normal(shape), 2), rng.standard_normal(kernel)
        w.flat[1] = 0
        for name, mode in itertools.product(("convolve", "correlate"), ("full", "valid", "same")):
            want = getattr(scipy.signal, name)(x, w, mode=mode, method="direct")
            same_footprint(getattr(cyconv.signal, name)(x, w, mode=mode), want, (shape, name, mode))
        if x.ndim == 2:
            for name, boundary in itertools.product(("convolve2d", "correlate2d"), ("fill", "wrap", "symm")):
                want = getattr(scipy.signal, name)(x, w, boundary=boundary)
                same_footprint(getattr(cyconv.signal, name)(x, w, boundary=boundary), want, (shape, name, boundary))


def test_footprints_of_layers_forwards_and_backwards():
    rng = np.random.default_rng(8)
    layer, x = nn.Conv2d(64, 64, 3, padding=1, seed=0), spoiled(rng, rng.standard_normal((2, 64, 20, 20), dtype="float32"), 1)
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    assert cyconv.explain(x, weight, bias, padding=1).chosen in SPREADING
    same_footprint(layer(x), cyconv.conv2d(x, weight, bias, padding=1, algorithm="reference"))
    what = problem_of(Case("", x.shape, weight.shape, {"padding": 1}), "float32", bias)
    g = spoiled(rng, rng.standard_normal(x.shape, dtype="float32"), 1)
    same_footprint(layer.backward(g), reference.conv_input_gradient(what, weight, g))
    same_footprint(layer.weight.grad, reference.conv_weight_gradient(what, x, g))
    up = nn.ConvTranspose2d(64, 8, 4, stride=2, padding=1, seed=0)
    same_footprint(up(x), cyconv.conv_transpose2d(x, np.asarray(up.weight), np.asarray(up.bias), stride=2, padding=1, algorithm="reference"))
    np.testing.assert_array_equal(np.isnan(nn.ReLU()(x)), np.isnan(x))
    linear = nn.Linear(20, 5, seed=0)
    same_footprint(linear(x), x.astype(float) @ np.asarray(linear.weight).T.astype(float) + np.asarray(linear.bias))


def test_footprints_of_chunks():
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(9)
    for shape, kernel, chunks in (((1, 1, 90, 91), (1, 1, 40, 41), (1, 1, 50, 91)), ((1, 16, 30, 31), (16, 16, 3, 3), (1, 8, 11, 31)), ((1, 4, 40), (3, 4, 5), (1, 4, 9))):
        x, w = spoiled(rng, rng.standard_normal(shape), 2), rng.standard_normal(kernel)
        lazy = da.from_array(x, chunks=chunks)
        want = conv(w.ndim - 2)(x, w, padding=2, algorithm="reference")
        same_footprint(conv(w.ndim - 2)(lazy, w, padding=2).compute(), want, shape)
        rank = w.ndim - 2
        same_footprint(getattr(cyconv, f"avg_pool{rank}d")(lazy, 3, 1, 1).compute(), getattr(cyconv, f"avg_pool{rank}d")(x, 3, 1, 1, algorithm="reference"))


# ---- overflow ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FAST)
def test_no_infinity_where_sums_of_moduli_fit(name, dtype, prefer):
    """Transforms and first passes of separable kernels would overflow; `auto` delivers finite results then, within the bound of the direct sum."""
    prefer(name)
    rng, most = np.random.default_rng(10), float(np.finfo(dtype).max)
    for case, what in drawn_problems(rng, name, dtype, 6):
        x, w = (rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1, shape) for shape in (case.input, case.weight))
        w = suited(name, w.astype(np.zeros(0, dtype).real.dtype)).astype("float64")
        if np.dtype(dtype).kind == "c":
            x, w = x * (1 + 1j) / 2, w * 1j
        moduli = np.abs(w).reshape(len(w), -1).sum(axis=1).max(initial=1)
        for share in (0, 0.5, 1):  # of the largest number's power: in the input, the rest in the weight
            up = 2.0 ** (np.floor(np.log2(most / moduli) * share) - 1)
            large, weight = (x * up).astype(dtype), (w * 2.0 ** np.floor(np.log2(most / moduli / up) - 1)).astype(dtype)
            if not np.isfinite(large).all() or not np.isfinite(weight).all():
                continue
            got = conv(case.rank)(large, weight, **case.arguments)
            assert np.isfinite(got).all(), (name, what, share)
            want = conv(case.rank)(large, weight, **case.arguments, algorithm="reference")
            assert np.abs(got - want).max(initial=0) <= most * (2.0**-10 if dtype == "float16" else ROWS[name].bound(what) * np.finfo(dtype).eps * 8)


@pytest.mark.parametrize("name", FAST)
def test_half_precision_becomes_infinite_where_it_rounds_to_infinity(name, prefer):
    """65504 is the largest half; sums that reach 65520 are none. In between lies no float's doubt, since these sums are exact in single precision."""
    prefer(name)
    rng = np.random.default_rng(11)
    for case, what in drawn_problems(rng, name, "float16", 8):
        x, w = rng.integers(-8, 9, case.input) * 64.0, suited(name, rng.integers(-4, 5, case.weight).astype("float16")).astype("float64")
        b = rng.choice([0.0, 65504.0, -65504.0, 60000.0], len(w))
        got = conv(case.rank)(*(a.astype("float16") for a in (x, w, b)), **case.arguments)
        exact = conv(case.rank)(x, w, b, **case.arguments, algorithm="reference")
        if name in ("fft", "winograd"):  # which need not be exact
            sure = np.abs(np.abs(exact) - 65520) > 100
            same_footprint(np.where(sure, got, 0), np.where(sure, exact.astype("float16"), 0), what)
        else:
            np.testing.assert_array_equal(got, exact.astype("float16"), err_msg=str(what))


@pytest.mark.parametrize("name", FAST)
def test_sums_that_overflow_whatever_their_order_are_infinite(name, prefer):
    prefer(name)
    for case, what in drawn_problems(np.random.default_rng(12), name, "float32", 6):
        x, w = np.full(case.input, 3e38, "float32"), np.full(case.weight, 2, "float32")
        with_padding = conv(case.rank)(x, w, **case.arguments, algorithm="reference")
        for sign in (1, -1):
            got = conv(case.rank)(x, sign * w, **case.arguments)
            same_footprint(got, sign * with_padding, what)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_averages_of_the_largest_numbers_are_those_numbers(dtype):
    most = np.finfo(dtype).max
    x = np.full((2, 20, 17, 19), most)
    for layout in (x, np.asfortranarray(x), x[..., ::-1]):
        for got in (cyconv.avg_pool2d(layout, 3, 2), cyconv.adaptive_avg_pool2d(layout, (5, 4)), cyconv.adaptive_avg_pool2d(layout, 1), cyconv.avg_pool2d(layout, 11, 1)):
            assert np.all(got == most)
    if dtype == "float32":
        assert np.all(cyconv.uniform_filter(x[0, 0], 5) == most)


def test_norms_overflow_in_double_precision_alone():
    for p in (2, 3, 7):
        x = np.full((1, 1, 8), 1e36, "float32")  # 7 times 36 is 252
        np.testing.assert_allclose(cyconv.lp_pool1d(x, p, 2), 1e36 * 2 ** (1 / p), rtol=1e-6)
    assert np.all(cyconv.lp_pool1d(np.full((1, 1, 8), 1e200), 2, 2) == np.inf)
    assert np.all(cyconv.lp_pool1d(np.full((1, 1, 8), 60000, "float16"), 1, 2) == np.inf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_layers_compute_of_the_largest_numbers(dtype):
    most = np.finfo(dtype).max
    x = np.array([[most, -most, most], [-most, -most, 0]], dtype)
    np.testing.assert_array_equal(cyconv.softmax(x, 1), [[0.5, 0, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(cyconv.log_softmax(x, 1)[1], [-most, -most, 0])
    assert cyconv.cross_entropy(x[1:], np.array([2])) == 0
    for value in (0.0, 1e30, most / 64):
        assert np.all(cyconv.batch_norm(np.full((4, 2, 3), value, dtype), None, None, training=True) == 0)
    assert not np.isnan(cyconv.batch_norm(np.array([most, -most, 1, 2], dtype).reshape(4, 1, 1), None, None, training=True)).any()


# ---- zeros, and what is nearly zero ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAST)
def test_zeros_of_either_sign_count_alike(name, prefer):
    """Which sign a sum of zeros has is the algorithm's affair; that it is zero, and all else, is not."""
    prefer(name)
    rng = np.random.default_rng(13)
    for case, what in drawn_problems(rng, name, "float32", 6):
        x, w = numbers(rng, case.input, "float32"), suited(name, numbers(rng, case.weight, "float32"))
        b = np.zeros(len(w), "float32")
        signed = np.where(x == 0, np.float32(-0.0), x)
        np.testing.assert_array_equal(conv(case.rank)(signed, w, -b, **case.arguments), conv(case.rank)(x, w, b, **case.arguments))
        assert np.all(conv(case.rank)(np.zeros_like(x) * -1, w, -b, **case.arguments) == 0)


def test_signs_of_zeros_that_are_moved_and_compared():
    zeros = np.array([[[-0.0, 0.0, 0.0, -0.0, -0.0, -0.0]]])
    assert np.signbit(cyconv.max_pool1d(zeros, 2)).tolist() == [[[True, False, True]]]  # the first of several
    assert np.signbit(cyconv.min_pool1d(zeros, 2)).tolist() == [[[True, False, True]]]
    assert np.signbit(cyconv.max_unpool1d(np.array([[[-0.0]]]), np.array([[[1]]]), 2)).tolist() == [[[False, True]]]
    assert cyconv.conv1d(np.zeros((1, 0, 4)), np.zeros((1, 0, 2)), np.array([-0.0])).tobytes() == np.full(3, -0.0).tobytes()  # no sum at all: the bias


@pytest.mark.parametrize("name", FAST)
def test_subnormal_halves_are_numbers_like_others(name, prefer):
    """They are normal numbers of single precision."""
    prefer(name)
    rng, least = np.random.default_rng(14), 2.0**-24
    for case, what in drawn_problems(rng, name, "float16", 6):
        x, w = rng.integers(-3, 4, case.input).astype("float64"), suited(name, rng.integers(-2, 3, case.weight).astype("float16")).astype("float64")
        want = conv(case.rank)(x * least, w, **case.arguments, algorithm="reference").astype("float16")
        got = conv(case.rank)((x * least).astype("float16"), w.astype("float16"), **case.arguments)
        error = np.abs(got.astype(float) - want)
        assert np.all(error <= (least if name in ("fft", "winograd") else 0)), what


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["direct", "depthwise", "implicit_gemm", "im2col"])
def test_strict_precision_keeps_subnormal_parts_of_complex_numbers(name, dtype):
    rng, least = np.random.default_rng(15), np.finfo(dtype).smallest_subnormal
    for case, what in drawn_problems(rng, name, dtype, 6):
        x = (rng.integers(-3, 4, case.input) + 1j * rng.integers(-3, 4, case.input)).astype(dtype)
        w = (rng.integers(-2, 3, case.weight) + 1j * rng.integers(-2, 3, case.weight)).astype(dtype)
        want = conv(case.rank)(x, w, **case.arguments, algorithm="reference")
        got = conv(case.rank)(x * least, w, **case.arguments, algorithm=name, precision="strict")
        np.testing.assert_array_equal(got, want * least, err_msg=str(what))


class Mode:
    """The floating-point unit's mode of this thread, in glibc's words for x86-64."""

    WORDS, MXCSR = 8, 7
    USUAL, ROUND_UP, FLUSH = 0x1F80, 0x4000, 0x8040

    def __init__(self):
        self.libm = ctypes.CDLL("libm.so.6")

    def read(self):
        environment = (ctypes.c_uint32 * self.WORDS)()
        self.libm.fegetenv(environment)
        return environment

    def set(self, bits):
        environment = self.read()
        environment[self.MXCSR] = self.USUAL | bits
        self.libm.fesetenv(environment)

    def bits(self):
        return self.read()[self.MXCSR] & ~0x3F  # but for the flags that operations leave


@pytest.mark.skipif(platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc", reason="reads glibc's fenv_t of x86-64")
@pytest.mark.parametrize("mode", [0, Mode.ROUND_UP, Mode.FLUSH])
def test_the_callers_mode_is_left_as_it_was(mode):
    rng, unit = np.random.default_rng(16), Mode()
    x, w = rng.standard_normal((2, 16, 20, 20), dtype="float32"), rng.standard_normal((16, 16, 3, 3), dtype="float32")
    nothing = np.full_like(x, np.nan)
    before = unit.read()
    try:
        unit.set(mode)
        wanted = unit.bits()
        for threads in (1, 2):
            with cyconv.threads(threads):
                for algorithm in ("auto", "direct", "implicit_gemm", "im2col", "fft", "winograd"):
                    for array in (x, x * np.float32(1e-40), nothing):
                        cyconv.conv2d(array, w, algorithm=algorithm)
                        assert unit.bits() == wanted, algorithm
                cyconv.grad.conv2d_weight(x, w.shape, x, padding=1)
                cyconv.conv_transpose2d(x, w, stride=2)
                cyconv.avg_pool2d(x, 3)
                cyconv.lp_pool2d(x, 3, 3)
                cyconv.max_pool2d(x, 3, return_indices=True)
                cyconv.uniform_filter(x, 3, axes=(2, 3))
                cyconv.softmax(x, 1)
                cyconv.cross_entropy(x[:, :, 0, 0], np.array([1, 2]))
                with pytest.raises(ValueError):
                    cyconv.max_unpool2d(x, np.full(x.shape, -1), 2)
                with pytest.raises(ValueError):
                    cyconv.conv2d(x, w, stride=0)
                assert unit.bits() == wanted
    finally:
        unit.libm.fesetenv(before)

"""Winograd convolution: every remainder of every tile, all seams, adversarial data within the bound, the same bits always."""

import itertools

import numpy as np
import pytest
from cases import ROWS, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv.problem import MAX_WORKSPACE

ROW = ROWS["winograd"]
DTYPES = ("float16", "float32", "float64", "complex64", "complex128")


def compute(case, x, w, bias, **more):
    return conv(case.rank)(x, w, bias, algorithm="winograd", **case.arguments, **more)


def check(case, dtype="float32", seed=0, **more):
    """Within its bound, and far better than that on tame data."""
    x, w, bias = arrays(case, dtype, seed=seed, small=False)
    got = compute(case, x, w, bias, **more)
    problem = problem_of(case, dtype, bias, **more)
    assert_within_bound(ROW, problem, x, w, bias, got)
    wide = [None if a is None else a.astype("complex128" if a.dtype.kind == "c" else "float64") for a in (x, w, bias)]
    want = conv(case.rank)(*wide, algorithm="reference", **case.arguments)
    eps = np.finfo({"float16": "float16", "complex64": "float32", "complex128": "float64"}.get(dtype, dtype)).eps
    tame = {"float16": 4}.get(dtype, 200) * eps * max(np.abs(want).max(initial=0), 1e-3)
    np.testing.assert_allclose(got, want, rtol=0, atol=tame)
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_remainder_of_tiles(dtype):
    for height, width in itertools.product(range(1, 14), range(1, 14)):
        check(Case("", (1, 2, height, width), (3, 2, 3, 3), {"padding": 1}), dtype)


@pytest.mark.parametrize("width", [*range(3, 40), 63, 64, 65, 66, 127, 129, 130, 258, 300])
def test_every_remainder_of_vectors(width):
    check(Case("", (2, 3, width), (5, 3, 3)), "float32")
    check(Case("", (2, 3, width), (5, 3, 3)), "float64")
    check(Case("", (2, 3, 5, width), (5, 3, 3, 3)), "float32")


@pytest.mark.parametrize("length", range(8, 56))
def test_every_remainder_of_tiles_of_six(length):
    """One axis alone, often enough that larger tiles pay; from 41 samples on they all do."""
    for shape, kernel, options in (
        ((24, 2, length), (3, 2, 3), {}),
        ((24, 2, length), (3, 2, 3), {"padding": 2, "dilation": 2}),
        ((2, 2, length, 13), (17, 2, 3, 1), {"padding": (1, 0)}),
        ((2, 2, 12, length), (3, 2, 2, 3), {"stride": (2, 1)}),
    ):
        case = Case("", shape, kernel, options)
        check(case, "float32")
        check(case, "float64")
        assert length < 41 or ROW.module.tile_sizes(problem_of(case, "float32", None)) == (6,)


@pytest.mark.parametrize("batch", (3, 20, 33))
@pytest.mark.parametrize("size", (3, 6, 9))
def test_every_remainder_of_tiles_of_three(size, batch):
    for shape, kernel, options in (
        ((batch, 2, size, size), (3, 2, 3, 3), {"padding": 1}),
        ((batch, 2, size, size), (3, 2, 3, 3), {"padding": 1, "padding_mode": "reflect"}),
        ((batch, 2, 5 * size, 5 * size), (3, 2, 3, 3), {"padding": 5, "dilation": 5}),
        ((batch, 2, 19 * size), (3, 2, 3), {"padding": 19, "dilation": 19}),
        ((batch, 2, 9), (3, 2, 3), {"padding": 1}),
        ((batch, 2, size, 9), (3, 2, 1, 3), {"padding": (0, 1)}),
        ((batch, 2, 9, size), (3, 2, 3, 1), {"padding": (1, 0)}),
    ):
        case = Case("", shape, kernel, options)
        assert batch == 3 or 19 in options.values() or set(ROW.module.tile_sizes(problem_of(case, "float32", None))) == {3}
        for dtype in ("float16", "float32", "float64"):
            check(case, dtype)


@pytest.mark.parametrize("dilation", (2, 3, 7, 8, 9, 15, 16, 17, 33))
def test_every_remainder_of_strips(dilation):
    """Where x is dilated, tiles next to each other are interleaved."""
    for out in sorted({dilation + 1, 2 * dilation - 1, 2 * dilation, 4 * dilation + 1, 6 * dilation, 7 * dilation + 3}):
        for dtype in ("float32", "float64"):
            check(Case("", (2, 3, out), (4, 3, 3), {"padding": dilation, "dilation": dilation}), dtype)
            check(Case("", (1, 3, 9, out), (4, 3, 3, 3), {"padding": (1, dilation), "dilation": (1, dilation)}), dtype)
            check(Case("", (1, 3, out, 9), (4, 3, 3, 3), {"padding": (dilation, 0), "dilation": (dilation, 1)}), dtype)


def test_dilations_without_a_second_output_are_declined():
    assert ROW.module.why_not(problem_of(Case("", (1, 2, 14), (3, 2, 3), {"dilation": 4}), "float32", None)) is None
    for dilation, padding in ((6, 5), (6, 3), (2**60, 2**60)):
        case = Case("", (1, 2, 8), (3, 2, 3), {"dilation": dilation, "padding": padding})
        assert "taps" in ROW.module.why_not(problem_of(case, "float32", None))


@pytest.mark.parametrize("channels", (1, 2, 15, 16, 17, 33))
@pytest.mark.parametrize("outputs", (1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65))
def test_every_remainder_of_channels(channels, outputs):
    check(Case("", (1, channels, 6, 9), (outputs, channels, 3, 3)))
    check(Case("", (1, channels, 9), (outputs, channels, 3)), "float64")


KERNELS = {
    "1-d": ((2, 3, 50), (4, 3, 3), {"padding": 1}),
    "1-d dilated": ((2, 3, 50), (4, 3, 3), {"padding": 3, "dilation": 3}),
    "1-d, one or two outputs of each phase": ((2, 3, 17), (4, 3, 3), {"dilation": 5}),
    "1-d, strips of several vectors": ((2, 3, 300), (4, 3, 3), {"dilation": 35}),
    "1-d causal": ((2, 3, 50), (4, 3, 3), {"padding": ((8, 0),), "dilation": 4}),
    "1-d, long": ((2, 3, 500), (40, 3, 3), {"padding": ((1, 0),)}),
    "1-d, long, reflect": ((2, 3, 500), (4, 3, 3), {"padding": 70, "padding_mode": "reflect", "dilation": 3}),
    "row": ((2, 3, 9, 50), (4, 3, 1, 3), {"padding": (0, 1)}),
    "row, strides down": ((2, 3, 9, 50), (4, 3, 1, 3), {"padding": (2, 1), "stride": (3, 1)}),
    "column": ((2, 3, 50, 9), (4, 3, 3, 1), {"padding": (1, 0)}),
    "column, strides along": ((2, 3, 50, 19), (4, 3, 3, 1), {"padding": (1, 2), "stride": (1, 3)}),
    "column, dilated": ((2, 3, 50, 19), (4, 3, 3, 1), {"padding": (4, 0), "dilation": (4, 1)}),
    "5x3": ((2, 3, 19, 18), (4, 3, 5, 3), {"padding": (2, 1)}),
    "2x3, strides and dilation down": ((2, 3, 29, 18), (4, 3, 2, 3), {"padding": (2, 1), "stride": (2, 1), "dilation": (3, 1)}),
    "3x3, strides down": ((2, 3, 29, 18), (4, 3, 3, 3), {"padding": 1, "stride": (2, 1)}),
    "dilated": ((2, 3, 29, 18), (4, 3, 3, 3), {"padding": (2, 3), "dilation": (2, 3)}),
    "dilated beyond the output down": ((2, 3, 12, 11), (4, 3, 3, 3), {"dilation": (5, 2)}),
    "more padding than input": ((2, 3, 4, 5), (4, 3, 3, 3), {"padding": ((7, 6), (9, 1))}),
    "full": ((2, 3, 4, 5), (4, 3, 3, 3), {"padding": "full"}),
    "reflect": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((5, 4), (3, 7)), "padding_mode": "reflect"}),
    "replicate": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((15, 4), (3, 17)), "padding_mode": "replicate"}),
    "circular": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((9, 4), (3, 8)), "padding_mode": "circular", "dilation": 2}),
    "groups": ((3, 12, 9, 8), (15, 4, 3, 3), {"padding": 1, "groups": 3}),
    "depthwise": ((1, 7, 9, 8), (7, 1, 3, 3), {"padding": 1, "groups": 7}),
    "unbatched": ((3, 9, 8), (4, 3, 3, 3), {"padding": 1}),
    "volume": ((2, 3, 7, 9, 8), (4, 3, 3, 3, 3), {"padding": 1}),
    "volume, strides and dilation in depth": ((2, 3, 17, 9, 8), (4, 3, 4, 3, 3), {"padding": (2, 1, 1), "stride": (2, 1, 1), "dilation": (3, 1, 1)}),
    "volume, in depth alone": ((2, 3, 17, 9, 8), (4, 3, 3, 1, 1), {"padding": (1, 0, 0), "stride": (1, 2, 1)}),
    "volume, depth and row": ((2, 3, 17, 9, 8), (4, 3, 3, 1, 3), {"padding": (2, 1, 1), "dilation": (2, 1, 1)}),
    "volume, row alone": ((2, 3, 7, 9, 18), (4, 3, 2, 2, 3), {"padding": 1, "stride": (2, 2, 1)}),
    "volume, column alone": ((2, 3, 7, 19, 8), (4, 3, 1, 3, 1), {"padding": 1, "groups": 1}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_and_arguments(name, dtype):
    shape, kernel, options = KERNELS[name]
    check(Case(name, shape, kernel, options), dtype)
    check(Case(name, shape, kernel, options, bias=False), dtype)


@pytest.mark.parametrize("limit", [2**17, 2**18, 2**20])
def test_seams_between_blocks(limit):
    for shape, kernel, options in (
        ((2, 3, 3000), (5, 3, 3), {}),
        ((1, 4, 40, 300), (5, 4, 3, 3), {"padding": 1}),
        ((5, 4, 7, 7), (40, 4, 3, 3), {"padding": 1}),
        ((2, 6, 40, 90), (4, 3, 3, 3), {"padding": 2, "dilation": (1, 3), "groups": 2}),
        ((2, 2, 9, 20, 31), (4, 2, 3, 3, 3), {"padding": 1}),
    ):
        case = Case("", shape, kernel, options)
        np.testing.assert_array_equal(check(case, max_workspace=limit), check(case))


def test_cropping():
    # phases of a transposed convolution crop: negative padding
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 3, 20, 21)), rng.standard_normal((3, 4, 3, 3))
    for padding in (0, 1, 2, ((0, 2), (1, 2))):
        got = cyconv.conv_transpose2d(x, w, padding=padding, algorithm="winograd")
        np.testing.assert_allclose(
            got, cyconv.conv_transpose2d(x, w, padding=padding, algorithm="reference"), atol=1e-12
        )


def test_what_is_cropped_has_no_say():
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((1, 3, 20, 21)), rng.standard_normal((3, 4, 3, 3))
    want = cyconv.conv_transpose2d(x, w, padding=4, algorithm="winograd")
    x[..., 0], x[..., -1], x[..., 0, :], x[..., -1, :] = 1e300, np.nan, np.inf, -1e300
    np.testing.assert_array_equal(cyconv.conv_transpose2d(x, w, padding=4, algorithm="winograd"), want)


@pytest.mark.parametrize(
    "shape, kernel",
    [
        ((1, 96, 14, 14), (80, 96, 3, 3)),
        ((1, 64, 56, 56), (64, 64, 3, 3)),
        ((3, 64, 12, 29), (64, 64, 3, 3)),
        ((2, 8, 300), (40, 8, 3)),
        ((1, 40, 35, 35), (72, 40, 3, 3)),  # threads transform these weights each for itself,
        ((1, 96, 35, 35), (90, 96, 3, 3)),  # and these, since they have so many tiles,
        ((1, 120, 56, 56), (128, 120, 3, 3)),  # and take blocks of their own here
        ((2, 48, 40, 40), (48, 48, 3, 3)),
    ],
)
def test_prepared_weights_and_threads_change_no_bit(shape, kernel):
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal(shape).astype("float32"), rng.standard_normal(kernel).astype("float32")
    rank = len(shape) - 2
    want = conv(rank)(x, w, padding=1, algorithm="winograd")
    for count, limit in itertools.product((1, 2, 5), (MAX_WORKSPACE, 2**21)):
        with cyconv.threads(count):
            np.testing.assert_array_equal(conv(rank)(x, w, padding=1, algorithm="winograd", max_workspace=limit), want)
            plan = cyconv.plan_conv(x.shape, w, padding=1, algorithm="winograd", max_workspace=limit)
            np.testing.assert_array_equal(plan(x), want)


def test_layout_changes_no_bit():
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 5, 13, 30)).astype("float32"), rng.standard_normal((7, 5, 3, 3)).astype("float32")
    want = cyconv.conv2d(x, w, padding=1, algorithm="winograd")
    for view in (
        np.asfortranarray(x),
        np.ascontiguousarray(x[..., ::-1])[..., ::-1],
        np.repeat(x, 2, -1)[..., ::2],
        np.repeat(x, 3, -1)[..., ::3],
    ):
        np.testing.assert_array_equal(cyconv.conv2d(view, np.asfortranarray(w), padding=1, algorithm="winograd"), want)


# ---- the bound ---------------------------------------------------------------------------------------------------------


def adversaries(rng, shape, dtype):
    """Data on which sums inside a tile are far larger than its outputs."""
    x = rng.standard_normal(shape)
    yield "channels of very different size", x * 10 ** rng.uniform(-4, 4, (1, shape[1], 1, 1))
    yield "neighbours of very different size", x * 10 ** rng.uniform(-4, 4, shape)
    spikes = np.zeros(shape)
    spikes[..., ::4, ::4] = 1e4
    yield "a large neighbour in each tile", x + spikes
    checks = (-1.0) ** (np.arange(shape[2])[:, None] + np.arange(shape[3]))
    yield "a chequerboard", checks * (1 + 1e-3 * x)
    yield (
        "powers of the points",
        (-2.0) ** (np.arange(shape[2])[:, None] % 6 + np.arange(shape[3]) % 6) * np.ones(shape),
    )
    cancel = x.copy()
    cancel[:, 1::2] = -cancel[:, ::2] * (1 + 1e-6)
    yield "channels that cancel", cancel
    yield "nearly constant", 1e3 + x


@pytest.mark.parametrize("size", [8, 2, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adversarial_data_stays_within_the_bound(dtype, size):
    rng = np.random.default_rng(4)
    shape = (1, 16, size + 2, size + 2)
    for (_, x), (_, w) in itertools.product(adversaries(rng, shape, dtype), adversaries(rng, (6, 16, 3, 3), dtype)):
        x, w = x.astype(dtype), w.astype(dtype)
        case = Case("", x.shape, w.shape, {}, bias=False)
        assert_within_bound(ROW, problem_of(case, dtype, None), x, w, None, compute(case, x, w, None))


@pytest.mark.parametrize("kernel", [(6, 16, 1, 3), (6, 16, 3, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adversarial_data_along_one_axis(dtype, kernel):
    rng = np.random.default_rng(4)
    shape = (2, 16, 20, 20)
    for (_, x), (_, w) in itertools.product(adversaries(rng, shape, dtype), adversaries(rng, kernel, dtype)):
        x, w = x.astype(dtype), w.astype(dtype)
        case = Case("", x.shape, w.shape, {}, bias=False)
        problem = problem_of(case, dtype, None)
        assert ROW.module.tile_sizes(problem) == (6,)
        assert_within_bound(ROW, problem, x, w, None, compute(case, x, w, None))


def test_the_bound_is_that_of_the_matrices():
    points = {2: (0, 1, -1), 3: (3 / 8, -3 / 8, 41 / 32, -41 / 32), 4: (0, 21 / 32, -21 / 32, 49 / 32, -49 / 32), 6: (0, 1, -1, 2, -2, 0.5, -0.5)}
    for m, at in points.items():
        g = np.array([[p**i / np.prod([p - q for q in at if q != p]) for i in range(3)] for p in at] + [[0, 0, 1.0]])
        b = np.array([[*np.poly([q for q in at if q != p])[::-1], 0] for p in at] + [np.poly(at)[::-1]])
        a = np.array([[*(float(p) ** i for p in at), float(i == m - 1)] for i in range(m)])
        rng = np.random.default_rng(5)
        d, w = rng.standard_normal(m + 2), rng.standard_normal(3)
        np.testing.assert_allclose(a @ ((g @ w) * (b @ d)), [d[i : i + 3] @ w for i in range(m)], atol=1e-12)
        growth = (np.abs(a) * np.linalg.norm(g, axis=1) * np.linalg.norm(b, axis=1)).sum(1).max()
        case = Case("", (30, 1, m + 2), (1, 1, 3), {}, bias=False)
        assert ROW.module.tile_sizes(problem_of(case, "float32", None)) == (m,)
        assert growth * 41 / 2 <= ROW.bound(problem_of(case, "float32", None)) <= growth * 41.1 / 2


def test_errors_of_ordinary_data_are_small():
    """Points 0, 1, -1, 1/2, -2 would lose half as much again, 0, 1, -1, 2, -2 more than twice as much."""
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((1, 256, 29, 27)), rng.standard_normal((32, 256, 3, 3))
    x, w = x.astype("float32"), w.astype("float32")
    exact = cyconv.conv2d(x.astype("float64"), w.astype("float64"), padding=1, algorithm="im2col")
    got = cyconv.conv2d(x, w, padding=1, algorithm="winograd")
    assert np.linalg.norm(got - exact) < 1.6e-6 * np.linalg.norm(exact)


WEIGHTY = {  # so many weights that one frequency of all panels is computed after the other, or pieces of weights at a time
    "several blocks": ((2, 130, 30, 33), (130, 130, 3, 3), {"padding": 1}),
    "one block": ((1, 150, 13, 14), (190, 150, 3, 3), {"padding": 1}),
    "four tiles": ((1, 256, 7, 7), (256, 256, 3, 3), {"padding": 1}),
    "one tile": ((1, 130, 3, 4), (110, 130, 3, 3), {"padding": 1}),
    "two tiles": ((1, 110, 4, 7), (140, 110, 3, 3), {"padding": 1}),
    "three tiles": ((3, 100, 4, 4), (150, 100, 3, 3), {"padding": 1}),
    "four tiles between others": ((1, 140, 8, 7), (90, 140, 3, 3), {"padding": 2, "dilation": 2}),
    "five tiles of a volume": ((1, 40, 6, 4, 3), (100, 40, 2, 3, 3), {"padding": (0, 1, 1)}),
    "six tiles in groups": ((1, 240, 5, 12), (270, 80, 3, 3), {"padding": 1, "groups": 3}),
    "few weights": ((4, 33, 4, 4), (35, 33, 3, 3), {"padding": 1}),
    "a volume": ((1, 60, 3, 17, 12), (150, 60, 3, 3, 3), {"padding": 1}),
    "groups": ((1, 260, 20, 21), (260, 130, 3, 3), {"groups": 2}),
    "planes in chunks": ((1, 780, 27, 24), (70, 780, 3, 3), {"padding": 1}),
    "planes in chunks, in Plans, too": ((1, 1540, 20, 20), (20, 1540, 3, 3), {"padding": 3, "dilation": 3}),
    "half": ((1, 140, 12, 12), (140, 140, 3, 3), {"padding": 1}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("name", WEIGHTY)
def test_many_weights(name, dtype):
    case = Case("", *WEIGHTY[name])
    if name == "half" and dtype == "float32":
        dtype = "float16"
    with cyconv.threads(1):
        got = check(case, dtype)
    x, w, bias = arrays(case, dtype, small=False)
    plan = cyconv.plan_conv(x.shape, w, bias, algorithm="winograd", **case.arguments)
    problem = problem_of(case, dtype, bias)
    for threads in (1, 2, 3):
        with cyconv.threads(threads):
            np.testing.assert_array_equal(compute(case, x, w, bias), got)
            again = plan(x)
        with cyconv.threads(1):
            np.testing.assert_array_equal(plan(x), again)
    assert_within_bound(ROW, problem, x, w, bias, again)


def test_few_tiles_are_small_ones():
    """Where weights cost more than products, tiles have fewer points and smaller errors; not if U is made in registers."""
    for size, batch, tiles in ((7, 1, (4, 4)), (10, 1, (2, 2)), (8, 2, (2, 4)), (8, 8, (4, 4)), (14, 1, (3, 3)), (28, 1, (4, 4))):
        case = Case("", (batch, 8, size, size), (8, 8, 3, 3), {"padding": 1}, bias=False)
        assert ROW.module.tile_sizes(problem_of(case, "float32", None)) == tiles


def test_strict_leaves_it_out_and_auto_takes_it():
    x, w = np.ones((1, 64, 56, 56), np.float32), np.ones((64, 64, 3, 3), np.float32)
    assert cyconv.explain(x, w, padding=1).chosen == "winograd"
    strict = cyconv.explain(x, w, padding=1, precision="strict")
    assert strict.chosen != "winograd"
    assert "strict" in next(v for v in strict.verdicts if v.algorithm.name == "winograd").declined


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_auto_takes_another_way_for_what_would_spread(bad):
    x, w = np.ones((1, 64, 56, 56), np.float32), np.ones((64, 64, 3, 3), np.float32)
    x[0, 3, 20, 30] = bad
    with np.errstate(all="ignore"):
        got = cyconv.conv2d(x, w, padding=1)
        touched = np.zeros((56, 56), bool)
        touched[19:22, 29:32] = True
        np.testing.assert_array_equal(got[0, 0] == 576, ~touched & (np.pad(np.ones((54, 54), bool), 1)))


def test_numbers_too_large_for_its_transforms_take_another_way():
    # adversarial signs make the transforms of the input grow as far as they can: beyond what float32 holds
    x = (-1.0) ** (np.arange(58)[:, None] + np.arange(58)) * np.full((1, 64, 1, 1), 1e38)
    w = np.random.default_rng(0).standard_normal((64, 64, 3, 3)) / 1000
    x, w = x.astype(np.float32), w.astype(np.float32)
    assert cyconv.explain(x, w).chosen == "winograd"
    with np.errstate(all="ignore"):
        assert not np.isfinite(cyconv.conv2d(x, w, algorithm="winograd")).all()
    want = cyconv.conv2d(x.astype(float), w.astype(float), algorithm="reference")
    for got in (cyconv.conv2d(x, w), cyconv.plan_conv(x.shape, w)(x)):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max())


def test_refusals():
    for shape, kernel, options, reason in (
        ((1, 1, 9, 9), (1, 1, 5, 5), {}, "3 taps"),
        ((1, 1, 9, 9), (1, 1, 3, 3), {"stride": 2}, "3 taps"),
        ((1, 1, 9, 9), (1, 1, 3, 5), {}, "3 taps"),
    ):
        with pytest.raises(ValueError, match=reason):
            cyconv.conv2d(np.ones(shape), np.ones(kernel), algorithm="winograd", **options)
    with pytest.raises(ValueError, match="int32"):
        cyconv.conv1d(np.ones((1, 1, 9), np.int32), np.ones((1, 1, 3), np.int32), algorithm="winograd")

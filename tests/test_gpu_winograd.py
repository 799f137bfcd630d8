"""Winograd on the GPU: every remainder of tiles, passes, borders, arrays of any strides, and numbers that are not finite."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cases import Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import menu, select
from cyconv.gpu import costs, winograd
from cyconv.gpu.layout import views

ROW = next(row for row in menu.GPU_CONV if row.name == "winograd")


@pytest.fixture(params=[2, 4])
def tile(request, monkeypatch):
    """The only tile that there is."""
    monkeypatch.setattr(winograd, "TILES", (request.param,))
    return request.param


def result(cupy, problem, x, w, bias=None, out=None, prepared=False, noted=None):
    x, w, bias = (None if a is None else cupy.asarray(a) for a in (x, w, bias))
    out = cupy.empty(problem.output_shape, x.dtype) if out is None else out
    seen = views(problem, x, w, out)
    winograd.run(problem, seen[0], winograd.prepare(problem, seen[1]) if prepared else seen[1], bias, seen[2], nonfinite=noted)
    return out.get()


def check(cupy, case, dtype="float32", **more):
    """Within its bound, and far better than that on tame data; of tiles of 2 small integers are exact."""
    problem = replace(problem_of(case, dtype, None, **more), has_bias=case.bias)  # which remembers nothing
    m = winograd.tile_of(problem)
    x, w, bias = arrays(case, dtype, small=m == 2 and dtype != "float16")
    got = result(cupy, problem, x, w, bias)
    wide = [None if a is None else a.astype("float64") for a in (x, w, bias)]
    want = conv(case.rank)(*wide, algorithm="reference", **case.arguments)
    if m == 2 and dtype != "float16":
        np.testing.assert_array_equal(got, want, err_msg=str(problem))
        return got
    assert_within_bound(ROW, problem, x, w, bias, got)
    tame = 4 * np.finfo(dtype).eps if dtype == "float16" else 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, want, rtol=0, atol=tame * max(np.abs(want).max(initial=0), 1e-3), err_msg=str(problem))
    return got


# ---- shapes ----------------------------------------------------------------------------------------------------------------


def test_every_remainder_of_tiles(tile, cupy):
    for height, width in itertools.product(range(1, 10), range(1, 10)):
        check(cupy, Case("", (2, 2, height, width), (3, 2, 3, 3), {"padding": 1}))


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_dtypes(dtype, tile, cupy):
    for height, width in ((7, 9), (5, 6), (1, 12)):
        check(cupy, Case("", (3, 4, height, width), (6, 2, 3, 3), {"padding": 1, "groups": 2}), dtype)


KERNELS = {
    "no padding": ((2, 3, 19, 18), (4, 3, 3, 3), {}),
    "one-sided padding": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((2, 0), (0, 1))}),
    "more padding than input": ((2, 3, 4, 5), (4, 3, 3, 3), {"padding": ((7, 6), (9, 1))}),
    "full": ((2, 3, 4, 5), (4, 3, 3, 3), {"padding": "full"}),
    "reflect": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((5, 4), (3, 7)), "padding_mode": "reflect"}),
    "replicate": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((15, 4), (3, 17)), "padding_mode": "replicate"}),
    "circular": ((2, 3, 9, 8), (4, 3, 3, 3), {"padding": ((9, 4), (3, 8)), "padding_mode": "circular"}),
    "groups": ((3, 12, 9, 8), (15, 4, 3, 3), {"padding": 1, "groups": 3}),
    "depthwise": ((1, 7, 9, 8), (7, 1, 3, 3), {"padding": 1, "groups": 7}),
    "unbatched": ((3, 9, 8), (4, 3, 3, 3), {"padding": 1}),
    "volume": ((2, 3, 7, 9, 8), (4, 3, 3, 3, 3), {"padding": 1}),
    "volume, strides and dilation in depth": ((2, 3, 17, 9, 8), (4, 3, 4, 3, 3), {"padding": (2, 1, 1), "stride": (2, 1, 1), "dilation": (3, 1, 1)}),
    "volume, reflect": ((2, 2, 5, 6, 4), (3, 2, 2, 3, 3), {"padding": 2, "padding_mode": "reflect"}),
    "a window that fits once": ((40, 3, 3, 3), (4, 3, 3, 3), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_and_arguments(name, tile, cupy):
    shape, kernel, options = KERNELS[name]
    check(cupy, Case(name, shape, kernel, options))
    check(cupy, Case(name, shape, kernel, options, bias=False))


@pytest.mark.parametrize("channels", (1, 2, 15, 33))
@pytest.mark.parametrize("outputs", (1, 7, 32, 65))
def test_every_remainder_of_channels(channels, outputs, tile, cupy):
    check(cupy, Case("", (1, channels, 6, 9), (outputs, channels, 3, 3)))


def test_many_channels_of_few_tiles_and_few_of_many(tile, cupy):
    check(cupy, Case("", (1, 300, 4, 4), (200, 300, 3, 3), {"padding": 1}))
    check(cupy, Case("", (1, 2, 130, 210), (2, 2, 3, 3), {"padding": 1}))


def test_threads_that_do_many_channels(tile, cupy, monkeypatch):
    for blocks in (1, 2, 5):
        monkeypatch.setattr(winograd, "BLOCKS", blocks)
        for name in ("groups", "depthwise", "volume"):
            shape, kernel, options = KERNELS[name]
            check(cupy, Case(name, shape, kernel, options))
        check(cupy, Case("", (2, 6, 5, 9, 8), (8, 3, 2, 3, 3), {"padding": 1, "groups": 2}))


# ---- passes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warps", [1, 2, 5])
def test_seams_between_passes(warps, tile, cupy, monkeypatch):
    for shape, kernel, options in (
        ((5, 4, 27, 29), (3, 4, 3, 3), {"padding": 1}),
        ((3, 6, 20, 31), (4, 3, 3, 3), {"padding": 2, "groups": 2}),
        ((2, 2, 5, 20, 31), (4, 2, 3, 3, 3), {"padding": 1}),
    ):
        case = Case("", shape, kernel, options)
        p = replace(problem_of(case, "float32", None))
        frequencies, outputs = (tile + 2) ** 2, p.out_channels
        pitch = -(-winograd.planes(p) // 4) * 4
        needed = 4 * frequencies * p.groups * (outputs * pitch + 32 * warps * (winograd.planes(p) + outputs))
        p = replace(p, max_workspace=needed)
        c = winograd.cut(p)
        assert c.bytes <= needed and c.pitch <= 32 * warps and c.tiles > 4 * c.pitch / warps
        check(cupy, case, max_workspace=needed)
        smallest = needed - 4 * frequencies * p.groups * 32 * (warps - 1) * (winograd.planes(p) + outputs)
        assert winograd.why_not(replace(p, max_workspace=smallest - 1)) == f"needs at least {smallest} bytes of workspace"


def test_no_memory_beyond_what_is_told(tile, cupy, monkeypatch):
    taken = []
    empty = cupy.empty
    monkeypatch.setattr(cupy, "empty", lambda shape, dtype: taken.append(int(np.prod(shape)) * np.dtype(dtype).itemsize) or empty(shape, dtype))
    case = Case("", (3, 4, 40, 50), (8, 2, 3, 3), {"groups": 2})
    for dtype, limit in itertools.product(("float16", "float32", "float64"), (200_000, 10**6, 10**8)):
        x, w, _ = arrays(case, dtype)
        problem = replace(problem_of(case, dtype, None, max_workspace=limit))
        x, w, out = cupy.asarray(x), cupy.asarray(w), cupy.zeros(problem.output_shape, dtype)
        seen = views(problem, x, w, out)
        taken.clear()
        winograd.run(problem, *seen[:2], None, seen[2])
        assert sum(taken) <= winograd.cost(problem)[1] <= limit


def test_prepared_weights_change_no_bit(tile, cupy):
    for case in (Case("", (2, 5, 17, 18), (7, 5, 3, 3), {"padding": 1}), Case("", (2, 6, 4, 9, 8), (4, 3, 2, 3, 3), {"groups": 2})):
        x, w, bias = arrays(case, "float32", small=False)
        problem = replace(problem_of(case, "float32", bias))
        np.testing.assert_array_equal(result(cupy, problem, x, w, bias, prepared=True), result(cupy, problem, x, w, bias))


def test_plans(cupy):
    rng = np.random.default_rng(0)
    x, w, bias = rng.standard_normal((2, 3, 11, 13)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4)
    plan = cyconv.plan_conv(x.shape, cupy.asarray(w), cupy.asarray(bias), padding=1, algorithm="winograd")
    np.testing.assert_allclose(plan(cupy.asarray(x)).get(), cyconv.conv2d(x, w, bias, padding=1), atol=1e-12)
    assert plan.algorithm == "winograd"


# ---- where things lie ------------------------------------------------------------------------------------------------------


def test_views(tile, cupy):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (3, 11, 10, 8)).astype("f4"), rng.integers(-3, 4, (3, 3, 4, 5)).astype("f4")
    inputs = [lambda a: a.transpose(0, 3, 1, 2)[:, ::2], lambda a: a.transpose(0, 3, 2, 1)[::-1, 1::2, ::-1, 1:]]
    weights = [lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(3, 2, 1, 0)[::-1, :, ::-1]]
    for view, taps in itertools.product(inputs, weights):
        want = cyconv.conv2d(view(x), taps(w), padding=1, algorithm="reference")
        problem = replace(problem_of(Case("", view(x).shape, taps(w).shape, {"padding": 1}), "float32", None))
        for layout in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)):
            room = cupy.zeros([2 * want.shape[a] for a in layout], np.float32)
            out = room.transpose(np.argsort(layout))[::2, ::2, ::2, ::-2]
            got = result(cupy, problem, view(cupy.asarray(x)), taps(cupy.asarray(w)), out=out)
            np.testing.assert_allclose(got, want, atol=0 if tile == 2 else 1e-4)
            out[...] = 0
            assert not room.get().any()


def test_groups_that_lie_anyhow(tile, cupy, monkeypatch):
    """As in weight gradients, whose channels are a batch."""
    monkeypatch.setattr(winograd, "BLOCKS", 1)
    case = Case("", (2, 6, 7, 9), (10, 3, 3, 3), {"groups": 2})
    x, w, _ = arrays(case, "float32")
    problem = replace(problem_of(case, "float32", None))
    mixed = cupy.asarray(np.ascontiguousarray(x.reshape(2, 2, 3, 1, 7, 9).swapaxes(1, 2))).swapaxes(1, 2)
    out = cupy.empty((5, 2, 2, 1, 5, 7), np.float32)
    winograd.run(problem, mixed, cupy.asarray(w.reshape(2, 5, 3, 1, 3, 3)), None, out.transpose(1, 2, 0, 3, 4, 5))
    want = cyconv.conv2d(x, w, groups=2, algorithm="reference").reshape(2, 2, 5, 1, 5, 7)
    np.testing.assert_allclose(out.get().transpose(1, 2, 0, 3, 4, 5), want, atol=0 if tile == 2 else 1e-4)


def test_gradients_and_transposed(cupy):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 3, 20, 21)), rng.standard_normal((3, 4, 3, 3))
    for padding in (0, 1, 2, ((0, 2), (1, 2))):
        got = cyconv.conv_transpose2d(cupy.asarray(x), cupy.asarray(w), padding=padding, algorithm="winograd")
        np.testing.assert_allclose(got.get(), cyconv.conv_transpose2d(x, w, padding=padding, algorithm="reference"), atol=1e-12)
    g = rng.standard_normal((2, 3, 20, 21))
    got = cyconv.grad.conv2d_input((2, 4, 20, 21), cupy.asarray(w), cupy.asarray(g), padding=1, algorithm="winograd")
    np.testing.assert_allclose(got.get(), cyconv.grad.conv2d_input((2, 4, 20, 21), w, g, padding=1), atol=1e-12)


# ---- errors ----------------------------------------------------------------------------------------------------------------


def test_the_matrices_are_those_that_the_bound_is_for(tile, cupy, monkeypatch):
    """B, G and A of the points that cpu/winograd_transforms.pxd has, but for signs that go round in a circle."""
    points = {2: [0.0, 1.0, -1.0], 4: [0.0, 21 / 32, -21 / 32, 49 / 32, -49 / 32]}[tile]
    others = [[q for q in points if q is not p] for p in points]
    b = np.zeros((tile + 2, tile + 2))
    b[-1] = np.poly(points)[::-1]
    b[:-1, :-1] = [np.poly(each)[::-1] for each in others]
    g = np.array([[p**i / np.prod([p - q for q in each]) for i in range(3)] for p, each in zip(points, others)] + [[0, 0, 1]])
    a = np.array([[p**i for p in points] + [float(i == tile - 1)] for i in range(tile)])

    def outer(matrix):
        return np.abs(np.kron(matrix, matrix))

    problem = replace(problem_of(Case("", (1, 1, tile + 2, tile + 2), (1, 1, 3, 3)), "float64", None))
    seen = []
    monkeypatch.setattr(winograd.products, "multiply", lambda u, v, sums: (seen.append((u.get(), v.get())), sums.__setitem__(..., cupy.asarray(given))))
    for i in range((tile + 2) ** 2):
        given = np.zeros(((tile + 2) ** 2, 1, 32))
        given[i] = 1
        x, w = np.zeros((tile + 2) ** 2), np.zeros(9)
        x[i], w[i % 9] = 1, 1
        got = result(cupy, problem, x.reshape(1, 1, tile + 2, tile + 2), w.reshape(1, 1, 3, 3))
        np.testing.assert_allclose(np.abs(seen[-1][0].ravel()), outer(g)[:, i % 9], rtol=1e-14, atol=1e-15)
        np.testing.assert_array_equal(np.abs(seen[-1][1][:, 0, 0]), outer(b)[:, i])
        np.testing.assert_array_equal(np.abs(got.ravel()), outer(a)[:, i])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adversarial_numbers_stay_within_the_bound(dtype, tile, cupy):
    """Large numbers beside small ones, of signs that cancel; the bound is of their norms."""
    rng = np.random.default_rng(2)
    for channels, spread in itertools.product((1, 3, 24), (2, 8)):
        case = Case("", (2, channels, 13, 14), (3, channels, 3, 3), {"padding": 1})
        x, w, bias = arrays(case, dtype, small=False)
        x = (np.sign(x) * np.exp(spread * rng.standard_normal(x.shape))).astype(dtype)
        w = (np.sign(w) * np.exp(spread * rng.standard_normal(w.shape))).astype(dtype)
        problem = replace(problem_of(case, dtype, bias))
        assert_within_bound(ROW, problem, x, w, bias, result(cupy, problem, x, w, bias))


def test_the_bound_is_that_of_the_tile(tile):
    problem = replace(problem_of(Case("", (1, 10, 13, 14), (3, 10, 3, 3)), "float32", None))
    assert ROW.bound(problem) == (10 + 40) / 2 * {2: 3.864, 4: 9.185}[tile] ** 2
    assert select.verdicts(replace(problem, strict=True), "gpu")[[row.name for row in menu.GPU_CONV].index("winograd")].declined.startswith("precision='strict'")


def test_bfloat16(cupy):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 9, 8)).astype(bfloat16), rng.standard_normal((4, 3, 3, 3)).astype(bfloat16)
    problem = replace(problem_of(Case("", x.shape, w.shape), "float32", None), dtype="bfloat16")
    want = cyconv.conv2d(x.astype("f4"), w.astype("f4"))
    np.testing.assert_allclose(result(cupy, problem, x, w).astype("f4"), want, rtol=2.0**-8, atol=1e-4)


# ---- not finite ------------------------------------------------------------------------------------------------------------


def noted(cupy, problem, x, w, bias=None, **more):
    flag = cupy.zeros(1, np.int32)
    got = result(cupy, problem, x, w, bias, noted=flag, **more)
    return bool(flag.get()[0]), got


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("prepared", [False, True])
def test_what_is_not_finite_is_noted(value, prepared, tile, cupy):
    case = Case("", (2, 2, 9, 10), (3, 2, 3, 3), {"padding": 1})
    x, w, bias = arrays(case, "float32", small=False)
    problem = replace(problem_of(case, "float32", bias))
    assert not noted(cupy, problem, x, w, bias, prepared=prepared)[0]
    for place in np.ndindex(9, 10):
        spoiled = x.copy()
        spoiled[(1, 0, *place)] = value
        assert noted(cupy, problem, spoiled, w, bias, prepared=prepared)[0], place
    for place in np.ndindex(w.shape):
        spoiled = w.copy()
        spoiled[place] = value
        assert noted(cupy, problem, x, spoiled, bias, prepared=prepared)[0], place


def test_zeros_do_not_hide_it(tile, cupy):
    """Infinity times a zero is NaN, wherever that zero is."""
    case = Case("", (2, 2, 9, 10), (3, 2, 3, 3), {"padding": 1})
    problem = replace(problem_of(case, "float32", None))
    x, w = np.zeros(case.input, np.float32), np.zeros(case.weight, np.float32)
    assert not noted(cupy, problem, x, w)[0]
    x[1, 1, 8, 9] = np.inf
    assert noted(cupy, problem, x, w)[0]
    x[1, 1, 8, 9], w[2, 1, 0, 0] = 0, np.inf
    assert noted(cupy, problem, x, w)[0]


def test_overflow_on_the_way_is_noted(tile, cupy):
    case = Case("", (1, 1, 8, 8), (1, 1, 3, 3))
    problem = replace(problem_of(case, "float32", None))
    x, w = np.zeros(case.input, np.float32), np.full(case.weight, 0.25, np.float32)
    x[0, 0, ::2] = 2e38
    x[0, 0, 1::2] = -2e38
    assert noted(cupy, problem, x, w)[0]
    assert np.isfinite(cyconv.conv2d(x, w, algorithm="reference")).all()


def test_what_no_output_needs_has_no_say(tile, cupy):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((1, 3, 20, 21)).astype("f4"), rng.standard_normal((4, 3, 3, 3)).astype("f4")
    case = Case("", x.shape, w.shape)
    for cropped in (1, 3):
        p = replace(
            problem_of(case, "float32", None), pad_before=(0, -cropped, -cropped), pad_after=(0, -cropped, -cropped),
            out_size=(1, 18 - 2 * cropped, 19 - 2 * cropped),
        )  # fmt: skip
        clean, want = noted(cupy, p, x, w)
        spoiled = np.full_like(x, np.nan)
        spoiled[..., cropped:-cropped, cropped:-cropped] = x[..., cropped:-cropped, cropped:-cropped]
        found, got = noted(cupy, p, spoiled, w)
        assert not clean and not found
        np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(got, cyconv.conv2d(x, w)[..., cropped:-cropped, cropped:-cropped], atol=1e-4)


@pytest.mark.parametrize("name", ("winograd", "fft"))
def test_a_plan_is_chosen_for_calls_whose_weights_are_prepared(name, cupy, monkeypatch):
    x, w = np.zeros((1, 8, 9 + len(name), 12), "f4"), np.zeros((300, 8, 3, 3), "f4")  # problems remember what was chosen for them
    for other in costs.SECONDS:
        each = 1e-3 if other != name else 1e-4
        monkeypatch.setitem(costs.SECONDS, other, dict.fromkeys(costs.SECONDS[other], 0) | {"call": each})
    monkeypatch.setitem(costs.SECONDS[name], "weight_byte", 1e-6)
    monkeypatch.setitem(costs.SECONDS[name], "weight_launch", 1e-2)
    assert cyconv.explain(cupy.asarray(x), cupy.asarray(w), max_workspace=2**27).chosen != name
    assert cyconv.plan_conv(x.shape, cupy.asarray(w), max_workspace=2**27).algorithm == name


def test_auto_spreads_what_is_not_finite_as_a_plain_sum(cupy, monkeypatch):
    monkeypatch.setitem(costs.SECONDS, "winograd", dict.fromkeys(costs.SECONDS["winograd"], 1e-30))
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 3, 21, 23)).astype("f4"), rng.standard_normal((5, 3, 3, 3)).astype("f4")
    assert cyconv.explain(cupy.asarray(x), cupy.asarray(w), padding=1).chosen == "winograd"
    for value, place in ((np.nan, (1, 2, 7, 7)), (np.inf, (0, 0, 0, 22)), (None, None)):
        if place:
            x[place] = value
        with np.errstate(invalid="ignore"):
            want = cyconv.conv2d(x, w, padding=1, algorithm="reference")
        np.testing.assert_allclose(cyconv.conv2d(cupy.asarray(x), cupy.asarray(w), padding=1).get(), want, rtol=1e-4, atol=1e-4)
        plan = cyconv.plan_conv(x.shape, cupy.asarray(w), padding=1)
        assert plan.algorithm == "winograd"
        np.testing.assert_allclose(plan(cupy.asarray(x)).get(), want, rtol=1e-4, atol=1e-4)
        w[0, 0, 0, 0] = -np.inf


# ---- choosing --------------------------------------------------------------------------------------------------------------


def test_what_it_declines():
    def why(shape, kernel, dtype="float32", **options):
        return winograd.why_not(problem_of(Case("", shape, kernel, options), dtype, None))

    for options in ({"stride": 2}, {"stride": (1, 2)}, {"dilation": 2}):
        assert "3x3 taps" in why((1, 2, 9, 9), (3, 2, 3, 3), **options)
    assert "3x3 taps" in why((1, 2, 9), (3, 2, 3))
    assert "3x3 taps" in why((1, 2, 9, 9), (3, 2, 3, 5))
    for dtype in ("int32", "complex64"):
        assert dtype in why((1, 2, 9, 9), (3, 2, 3, 3), dtype)
    assert why((1, 2, 3, 3), (3, 2, 3, 3), stride=2) is None  # a single output has none


def test_tiles_are_chosen_by_what_is_left_empty():
    sizes = {n: winograd.tile_of(replace(problem_of(Case("", (64, 256, n, n), (256, 256, 3, 3), {"padding": 1}), "float32", None))) for n in (2, 4, 7, 8, 56)}
    assert sizes == {2: 2, 4: 4, 7: 4, 8: 4, 56: 4}


def test_it_is_predicted_to_win_where_it_should():
    def seconds(shape, kernel):
        said = select.verdicts(problem_of(Case("", shape, kernel, {"padding": 1}), "float32", None), "gpu")
        return {v.algorithm.name: v.seconds for v in said}

    deep, shallow = seconds((32, 256, 28, 28), (256, 256, 3, 3)), seconds((32, 3, 56, 56), (4, 3, 3, 3))
    assert deep["winograd"] < deep["implicit_gemm"] < deep["direct"]
    assert shallow["winograd"] > min(shallow.values())

"""FFT convolution on the GPU: tiles of every kind, workspace, what a NaN does, and plans of cuFFT that nobody else sees."""

import gc
import sys
import threading
import types
from math import prod

import numpy as np
import pytest
from cases import CASES, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import grad, menu, select
from cyconv.gpu import costs, fft, transforms
from cyconv.gpu.layout import views
from cyconv.gpu.tiles import visit

ROW = next(row for row in menu.GPU_CONV if row.name == "fft")
LONG = Case("many_tiles", (3, 2, 700), (3, 2, 33), {"padding": (20,)})
TILES = [
    LONG,
    Case("many_tiles_strided", (2, 1, 1500), (2, 1, 40), {"padding": ((7, 90),), "stride": 7, "dilation": 2}),
    Case("tiles_of_columns", (2, 2, 300, 5), (3, 2, 31, 1), {"padding": ((3, 9), (0, 2)), "stride": (1, 2)}),
    Case("tiles_of_rows", (2, 3, 5, 300), (4, 3, 1, 31), {"padding": ((2, 0), (3, 9)), "stride": (3, 2)}),
    Case("image", (2, 1, 150, 170), (1, 1, 19, 25), {"padding": "same", "padding_mode": "reflect"}),
    Case("image_circular", (1, 1, 90, 70), (2, 1, 29, 21), {"padding": (14, 10), "padding_mode": "circular"}),
    Case("image_replicate", (1, 2, 90, 40), (1, 2, 15, 11), {"padding": ((40, 3), (0, 60)), "padding_mode": "replicate"}),
    Case("volume_large_kernel", (1, 2, 20, 24, 30), (2, 2, 7, 9, 11), {"padding": (3, (0, 8), 5)}),
    Case("planes_of_a_volume", (2, 1, 9, 40, 50), (1, 1, 1, 13, 13), {"padding": 0, "stride": (2, 1, 1)}),
    Case("depth_and_width", (1, 2, 30, 3, 40), (2, 2, 9, 1, 9), {"padding": (4, 1, 4)}),
    Case("channels", (4, 9, 24, 20), (21, 9, 7, 7), {"padding": 3}),
    Case("many_groups", (2, 24, 60), (48, 1, 9), {"groups": 24}),
]


def moved(cupy, *some):
    return [None if a is None else cupy.asarray(a) for a in some]


@pytest.mark.parametrize("case", TILES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("room", [1 << 28, 100_000, 20_000])
def test_tiles_meet_without_a_seam(case, dtype, room, cupy):
    x, w, bias = arrays(case, dtype, small=False)
    problem = problem_of(case, dtype, bias, max_workspace=room)
    if reason := fft.why_not(problem):
        assert "workspace" in reason and room < 1 << 28
        return
    got = conv(case.rank)(*moved(cupy, x, w, bias), algorithm="fft", max_workspace=room, **case.arguments)
    assert_within_bound(ROW, problem, x, w, bias, got.get())


@pytest.mark.parametrize("case", [*TILES, Case("rows_of_a_volume", (3, 6, 3, 4, 90), (9, 2, 1, 1, 21), {"groups": 3})], ids=str)
def test_blocks_that_do_several_tiles(case, cupy, monkeypatch):
    monkeypatch.setattr(costs, "PROCESSORS", 1)  # with eight blocks
    x, w, bias = arrays(case, "float32", small=False)
    got = conv(case.rank)(*moved(cupy, x, w, bias), algorithm="fft", **case.arguments)
    assert_within_bound(ROW, problem_of(case, "float32", bias), x, w, bias, got.get())


@pytest.mark.parametrize("case", [*TILES, *CASES], ids=str)
def test_tilings(case):
    """Tiles cover all outputs once, are of lengths that cuFFT is quick with, and what they need is told before."""
    for room in (1 << 28, 1 << 20, 50_000):
        problem = problem_of(case, "float32", None, max_workspace=room)
        if not problem.multiply_adds or fft.why_not(problem):
            continue
        t = fft.tiling(problem)
        assert t.bytes <= room
        for a in range(3):
            assert (t.count[a] - 1) * t.yields[a] < problem.out_size[a] <= t.count[a] * t.yields[a]
            rest = t.length[a]
            for factor in (2, 3, 5, 7):
                while rest % factor == 0:
                    rest //= factor
            assert rest == 1
        assert fft.points(problem) == prod(t.length)


class Counted:
    """Bytes that are allocated, and the most that ever were."""

    def __init__(self, monkeypatch):
        from host_gpu import arrays as module

        self.now = self.most = 0
        counted = self

        class Memory(module.Memory):
            def __init__(self, nbytes):
                super().__init__(nbytes)
                self.nbytes = nbytes
                counted.now += nbytes
                counted.most = max(counted.most, counted.now)

            def __del__(self):
                counted.now -= self.nbytes

        monkeypatch.setattr(module, "Memory", Memory)


@pytest.mark.parametrize("case", [TILES[0], TILES[4], TILES[10], TILES[11]], ids=str)
@pytest.mark.parametrize("room", [1 << 28, 400_000, 60_000])
def test_workspace_is_what_was_said(case, room, stand_in, monkeypatch):
    cupy = stand_in  # on a device, what cuFFT itself takes is known only to cuFFT
    problem = problem_of(case, "float32", None, max_workspace=room)
    if fft.why_not(problem):
        return
    x, w, _ = moved(cupy, *arrays(case, "float32"))
    out = cupy.empty(problem.output_shape, "float32")
    transforms._plans.made.clear()
    counted = Counted(monkeypatch)
    fft.run(problem, *views(problem, x, w, out)[:2], None, views(problem, x, w, out)[2])
    assert 0 < counted.most <= fft.cost(problem)[1]


@pytest.mark.parametrize("case", [LONG, TILES[4], TILES[10], TILES[11]], ids=str)
def test_prepared_weights_give_the_same_bits(case, cupy):
    x, w, bias = moved(cupy, *arrays(case, "float32", small=False))
    for room in (1 << 28, 60_000):
        problem = problem_of(case, "float32", bias, max_workspace=room)
        if fft.why_not(problem):
            continue
        results = []
        for take in (lambda weight: weight, lambda weight: fft.prepare(problem, weight)):
            out = cupy.empty(problem.output_shape, "float32")
            a, b, c = views(problem, x, w, out)
            fft.run(problem, a, take(b), bias, c)
            results.append(out.get())
        np.testing.assert_array_equal(*results)
    plan = cyconv.plan_conv(x.shape, w, bias, algorithm="fft", **case.arguments)
    np.testing.assert_array_equal(
        plan(x).get(), conv(case.rank)(x, w, bias, algorithm="fft", **case.arguments).get()
    )


def test_any_strides(cupy):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3, 4, 60)).astype("float32")
    w = rng.standard_normal((11, 9, 2, 4)).astype("float32")
    out = np.zeros((4, 2, 100, 100), "float32")
    view = {"x": lambda a: a.transpose(1, 2, 3, 0)[:, :, ::-1, ::2], "w": lambda a: a.transpose(2, 3, 0, 1)[:, :, :, ::-1]}
    want = cyconv.conv2d(view["x"](x), view["w"](w), padding=(5, 4), algorithm="reference")
    device = cupy.asarray(out)
    into = device[:3, :, ::-1, 3::2][:, :, : want.shape[2], : want.shape[3]]
    got = cyconv.conv2d(view["x"](cupy.asarray(x)), view["w"](cupy.asarray(w)), padding=(5, 4), algorithm="fft", out=into)
    assert got is into
    np.testing.assert_allclose(into.get(), want, atol=1e-4)
    assert (device.get()[3:] == 0).all() and (device.get()[:, :, :, 2::2] == 0).all()  # nothing beside them is written


def test_gradients_and_transposed_convolutions(cupy):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 30, 28)).astype("float32"), rng.standard_normal((6, 2, 7, 5)).astype("float32")
    options = {"stride": (2, 1), "padding": (3, 1), "groups": 2}
    g = rng.standard_normal(cyconv.conv2d(x, w, **options).shape).astype("float32")
    gx, gw, gg = moved(cupy, x, w, g)
    for name, some, on_gpu in (
        ("conv2d_weight", (x, w.shape, g), (gx, w.shape, gg)),
        ("conv2d_input", (x.shape, w, g), (x.shape, gw, gg)),
    ):
        got = getattr(grad, name)(*on_gpu, algorithm="fft", **options).get()
        np.testing.assert_allclose(got, getattr(grad, name)(*some, algorithm="direct", **options), atol=2e-4)
    got = cyconv.conv_transpose2d(gg, gw, algorithm="fft", **options).get()
    np.testing.assert_allclose(got, cyconv.conv_transpose2d(g, w, algorithm="direct", **options), atol=2e-4)


# ---- what is not finite ------------------------------------------------------------------------------------------------------


def chosen(x, w, **options):
    return cyconv.explain(x, w, **options).chosen


@pytest.mark.parametrize("where", ["input", "weight", "both", "nothing"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_stay_where_they_are(where, value, cupy, monkeypatch):
    seconds = {"fft": dict.fromkeys(costs.SECONDS["fft"], 0)}
    monkeypatch.setattr(fft.costs, "SECONDS", fft.costs.SECONDS | seconds)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 1, 901)).astype("float32"), rng.standard_normal((1, 1, 65)).astype("float32")
    if where in ("input", "both"):
        x[1, 0, 400] = value
    if where in ("weight", "both"):
        w[0, 0, 3] = value
    gx, gw = moved(cupy, x, w)
    assert chosen(gx, gw) == "fft"
    with np.errstate(invalid="ignore"):
        want = cyconv.conv1d(x, w, algorithm="reference")
    got, planned = cyconv.conv1d(gx, gw).get(), cyconv.plan_conv(x.shape, gw)(gx).get()
    for each in (got, planned):
        np.testing.assert_allclose(each, want, atol=1e-4)
    if where == "input":  # forced, it spreads
        assert not np.isfinite(cyconv.conv1d(gx, gw, algorithm="fft").get()[1]).all()


@pytest.mark.parametrize("spoil", [None, "input", "weight", "sum", "bias", "unused sample", "stored half"])
def test_what_is_noted(spoil, cupy):
    case = Case("", (2, 2, 300), (2, 2, 20), {"stride": 25})
    dtype = "float16" if spoil == "stored half" else "float32"
    x, w, bias = arrays(case, dtype, small=False)
    if spoil == "input":
        x[1, 1, 250] = np.inf
    elif spoil == "unused sample":  # between two windows
        x[1, 1, 22] = np.nan
    elif spoil == "weight":
        w[1, 0, 19] = np.nan
    elif spoil == "bias":
        bias[1] = np.inf
    elif spoil == "sum":
        x[0], w[1, 1] = 3e30, 3e30
    elif spoil == "stored half":
        x[:], w[:], bias[:] = 100, 100, 0
    problem = problem_of(case, dtype, bias)
    x, w, bias = moved(cupy, x, w, bias)
    out, noted = cupy.empty(problem.output_shape, dtype), cupy.zeros(1, np.int32)
    a, b, c = views(problem, x, w, out)
    fft.run(problem, a, b, bias, c, nonfinite=noted)
    assert bool(noted.get()[0]) == (spoil not in (None, "stored half"))
    if spoil == "stored half":
        assert np.isinf(out.get()).all()


def test_what_no_window_reaches_is_not_read(cupy):
    """Neither behind the last window, nor where the last tile goes on."""
    rng = np.random.default_rng(0)
    for n, options in ((900, {"stride": 7}), (300, {"padding": ((20, 0),), "padding_mode": "circular"})):
        x, w = rng.standard_normal((1, 1, n)).astype("float32"), rng.standard_normal((1, 1, 30)).astype("float32")
        p = problem_of(Case("", x.shape, w.shape, options), "float32", None)
        x[..., fft.reach(p, 2) - p.pad_before[2] :] = np.nan
        assert np.isnan(x).any() == ("stride" in options)
        x, w = moved(cupy, x, w)
        out, noted = cupy.empty(p.output_shape, "float32"), cupy.zeros(1, np.int32)
        a, b, c = views(p, x, w, out)
        fft.run(p, a, b, None, c, nonfinite=noted)
        assert not noted.get()[0] and np.isfinite(out.get()).all()


@pytest.mark.parametrize("kernel", ["gather", "place"])
def test_what_is_read_is_noted(kernel, cupy):
    for value in (1, np.nan, np.inf):
        x = np.ones((1, 1, 1, 1, 1, 40), "float32")
        x[..., 33] = value
        x, tiles, noted = cupy.asarray(x), cupy.empty(66, "float32"), cupy.zeros(1, np.int32)
        bounds = {"gather": {"before": (0, 0, 5), "size": (1, 1, 40), "end": (1, 1, 64)}, "place": {"before": (1, 1, 1), "size": (1, 1, 40)}}
        visit(
            "fft", f"{kernel}<float>", x, (x, tiles, noted), planes=1, groups=1, channels=1, box=(1, 1, 64), step=(66, 66, 1), whole=66, **bounds[kernel]
        )
        assert bool(noted.get()[0]) == (value != 1)
        if value == 1:
            want = [0] * 5 + [1] * 40 + [0] * 19 if kernel == "gather" else [1 / 64] + [0] * 24 + [1 / 64] * 39
            np.testing.assert_array_equal(tiles.get()[:64], np.array(want, "float32"))


def test_a_burst_reaches_no_other_item_and_no_tile_far_away(cupy):
    case = Case("", (3, 2, 4000), (2, 2, 50), {"padding": 30})
    x, w, bias = arrays(case, "float32", small=False)
    bias[:] = 0
    x[1] *= np.float32(1e12)
    x[2, :, :40] *= np.float32(1e12)
    problem = problem_of(case, "float32", bias)
    got = cyconv.conv1d(*moved(cupy, x, w, bias), algorithm="fft", padding=30).get()
    assert_within_bound(ROW, problem, x, w, bias, got)
    t = fft.tiling(problem)
    assert t.count[2] > 1
    clean = cyconv.conv1d(x[2:, :, t.yields[2] - 30 :], w, algorithm="reference")
    np.testing.assert_allclose(got[2:, :, t.yields[2] : t.yields[2] + 200], clean[:, :, :200], atol=1e-3)


def test_bits_do_not_depend_on_the_place_in_the_batch(cupy):
    x, w, bias = arrays(TILES[10], "float32", small=False)
    order = [2, 0, 3, 1]
    one, two = (cyconv.conv2d(*moved(cupy, a, w, bias), algorithm="fft", padding=3).get() for a in (x, x[order]))
    np.testing.assert_array_equal(one[order], two)


# ---- plans -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plans(cupy):
    transforms._plans.made.clear()
    yield transforms._plans.made
    transforms._plans.made.clear()


def test_plans_are_few_and_their_work_areas_small(cupy, plans, monkeypatch):
    monkeypatch.setattr(transforms, "KEPT_BYTES", 100_000)
    w = cupy.ones((1, 1, 31), np.float32)
    often = None
    for n in range(300, 12_000, 450):
        cyconv.conv1d(cupy.ones((4, 1, n), np.float32), w, algorithm="fft")
        if n > 6000:  # what is used again and again stays
            cyconv.conv1d(cupy.ones((2, 1, 200), np.float32), w, algorithm="fft")
            assert often in (None, next(reversed(plans.values())).plan)
            often = next(reversed(plans.values())).plan
        assert len(plans) <= transforms.KEPT
        assert transforms._held() <= 100_000 + max(each.bytes for each in plans.values())
    x = cupy.ones((1, 1, 300), np.float32)
    for _ in range(2):
        cyconv.conv1d(x, w, algorithm="fft")
    kept = list(plans.values())
    cyconv.conv1d(x, w, algorithm="fft")
    assert [id(each.plan) for each in plans.values()] == [id(each.plan) for each in kept]  # found again
    assert len({id(each.area) for each in kept[-3:]}) < 3  # what runs one after the other has one work area


@pytest.mark.parametrize("kept", [100, 20_000, 40_000])
@pytest.mark.parametrize("channels", [(1, 1), (2, 5), (5, 2)])
def test_the_last_plans_stay_however_large(kept, channels, stand_in, plans, monkeypatch):
    """Else each call would make them, and giving them up may wait for the device."""
    cupy, (inside, outside) = stand_in, channels
    monkeypatch.setattr(transforms, "KEPT_BYTES", kept)
    large, w = cupy.ones((2, inside, 6000), np.float32), cupy.ones((outside, inside, 31), np.float32)
    made = []
    for _ in range(6):
        before = cupy.cuda.cufft.PlanNd.made
        cyconv.conv1d(large, w, algorithm="fft")
        made.append(cupy.cuda.cufft.PlanNd.made - before)
    assert made[0] >= 2 and made[3:] == [0, 0, 0]
    most = max(each.needs for each in plans.values())
    assert most > kept and transforms._held() <= most + kept
    for n in (400, 500, 400, 500):  # they go when something else is computed
        cyconv.conv1d(cupy.ones((1, inside, n), np.float32), w, algorithm="fft")
        assert transforms._held() <= kept + 2 * max([each.needs for each in plans.values()], default=0)
    assert max(each.bytes for each in plans.values()) < most


def test_large_and_small_in_turns(stand_in, plans, monkeypatch):
    """As layers of a network are: what fits stays, of every stream."""
    cupy = stand_in
    monkeypatch.setattr(transforms, "KEPT_BYTES", 400_000)
    x, w = [cupy.ones((2, 1, n), np.float32) for n in (8000, 300, 900)], cupy.ones((1, 1, 31), np.float32)
    streams = [cupy.cuda.Stream() for _ in range(2)]
    made = []
    for _ in range(6):
        before = cupy.cuda.cufft.PlanNd.made
        for stream in streams:
            with stream:
                for each in x:
                    cyconv.conv1d(each, w, algorithm="fft")
        made.append(cupy.cuda.cufft.PlanNd.made - before)
    assert made[3:] == [0, 0, 0] and len(plans) <= transforms.KEPT and transforms._held() <= 400_000


def test_a_huge_area_does_not_stay_for_little(stand_in, plans, monkeypatch):
    cupy = stand_in
    monkeypatch.setattr(transforms, "KEPT_BYTES", 3000)
    w = cupy.ones((1, 1, 31), np.float32)
    cyconv.conv1d(cupy.ones((4, 1, 60_000), np.float32), w, algorithm="fft")
    most = transforms._held()
    for _ in range(2):
        cyconv.conv1d(cupy.ones((1, 1, 1500), np.float32), w, algorithm="fft")
    assert 3000 < transforms._held() < most / 10


def test_plans_belong_to_a_stream_and_a_thread(cupy, plans):
    x, w = cupy.ones((2, 1, 300), np.float32), cupy.ones((1, 1, 31), np.float32)

    def call():
        for _ in range(2):  # the first time around a small work area may be given up for a larger one
            cyconv.conv1d(x, w, algorithm="fft")
        return len(transforms._plans.made)

    first = call()
    with cupy.cuda.Stream():
        assert call() == 2 * first
    areas = {}
    for (_, stream, *_), each in plans.items():
        areas.setdefault(stream, set()).add(id(each.area))
    assert len(areas) == 2 and not set.intersection(*areas.values())
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    assert found == [first] and call() == 2 * first


def test_the_users_plans_stay_as_they_are(cupy):
    if not hasattr(cupy, "fft"):
        pytest.skip("the stand-in has no cache of plans")
    before = cupy.fft.config.get_plan_cache().get_curr_size()
    cyconv.conv1d(cupy.ones((2, 1, 301), np.float32), cupy.ones((1, 1, 37), np.float32), algorithm="fft")
    assert cupy.fft.config.get_plan_cache().get_curr_size() == before
    gc.collect()


def test_cufft_is_missing(monkeypatch):
    class cuda:
        is_available = staticmethod(lambda: True)

        def __getattr__(self, name):
            raise ImportError("Failure finding libcufft.so")

    module = types.ModuleType("cupy")
    module.cuda = cuda()
    monkeypatch.setitem(sys.modules, "cupy", module)
    assert fft.why_not(problem_of(LONG, "float32", None)) == "cuFFT is not installed"


def test_choice():
    """The cost model sees that long kernels are worth a transform, and short ones are not."""
    for case, yes in ((Case("", (1, 1, 1 << 20), (1, 1, 4001)), True), (Case("", (1, 1, 1 << 20), (1, 1, 5)), False)):
        problem = problem_of(case, "float32", None)
        assert (select.choose(problem, device="gpu").name == "fft") == yes
    assert "integers" in fft.why_not(problem_of(LONG, "int32", None))
    assert "needs at least" in fft.why_not(problem_of(LONG, "float32", None, max_workspace=100))

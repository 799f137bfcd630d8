"""cuDNN as a row of the menu: what it is asked for, with a stand-in that computes it; and whether the real one accepts it."""

import importlib.util
import json
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from cases import CASES, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import grad, menu, problem, select
from cyconv.gpu import cudnn as launcher
from cyconv.gpu.layout import views
from cyconv.problem import gpu_problem

ROW = next(row for row in menu.GPU_CONV if row.name == "cudnn")


def forget():
    for each in vars(problem).values():
        if hasattr(each, "cache_clear"):
            each.cache_clear()
    launcher._idle.clear()
    launcher._found.cache_clear()
    launcher._broken.cache_clear()


@pytest.fixture
def cudnn(stand_in, monkeypatch):
    """The stand-in, with the stand-in of CuPy; on a device, cuDNN itself is tested by test_gpu_conv.py."""
    import host_gpu.cudnn

    monkeypatch.setitem(sys.modules, "cudnn", host_gpu.cudnn)
    host_gpu.cudnn.graphs.clear()
    host_gpu.cudnn.Handle.made = 0
    forget()
    yield host_gpu.cudnn
    forget()


def moved(cupy, *some):
    return [None if a is None else cupy.asarray(a) for a in some]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_case(case, dtype, cupy, cudnn):
    x, w, bias = arrays(case, dtype)
    p = problem_of(case, dtype, bias)
    on_gpu = moved(cupy, x, w, bias)
    if reason := launcher.why_not(p):
        assert case.arguments.get("padding_mode") or "without samples" in reason
        with pytest.raises(ValueError, match="algorithm='cudnn' cannot compute"):
            conv(case.rank)(*on_gpu, algorithm="cudnn", **case.arguments)
        return
    got = conv(case.rank)(*on_gpu, algorithm="cudnn", **case.arguments).get()
    np.testing.assert_array_equal(got, conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments))
    assert_within_bound(ROW, p, x, w, bias, got)


def test_a_graph(cupy, cudnn):
    """Sizes, strides, padding, dilation and names of one, spelled out."""
    case = Case("", (2, 6, 9, 8), (8, 3, 3, 2), {"groups": 2, "stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 3)})
    x, w, bias = arrays(case, "float16")
    cyconv.conv2d(*moved(cupy, x, w, bias), algorithm="cudnn", max_workspace=50_000, **case.arguments)
    (graph,) = cudnn.graphs
    described = {t.name: (t.dim, t.stride, t.uid) for t in graph.tensors}
    assert described == {
        "input": ([2, 6, 9, 8], [432, 72, 8, 1], 1),
        "weight": ([8, 3, 3, 2], [18, 6, 2, 1], 2),
        "bias": ([1, 8, 1, 1], [8, 1, 1, 1], 4),
    }
    assert (graph.result.dim, graph.result.stride, graph.result.uid) == ([2, 8, 4, 7], [224, 28, 7, 1], 3)
    assert graph.options == {"padding": ((1, 0), (0, 2)), "stride": (2, 1), "dilation": (1, 3)}
    copies = 2 * (2 * 6 * 9 * 8 + 8 * 3 * 3 * 2 + 8 + 2 * 8 * 4 * 7)
    assert graph.limit == 50_000 - copies and graph.convolved.data_type is cudnn.data_type.FLOAT and graph.result.data_type is cudnn.data_type.HALF


def test_which_plans_are_refused(cupy, cudnn):
    """TF32 only where it is allowed, and nothing that spreads a NaN or changes from run to run."""
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    cyconv.conv2d(x, w, algorithm="cudnn")
    cyconv.conv2d(x, w, algorithm="cudnn", allow_tf32=True)
    cyconv.conv2d(x.astype(np.float16), w.astype(np.float16), algorithm="cudnn")
    exact, tf32, half = (set(graph.notes) for graph in cudnn.graphs)
    assert exact - tf32 == {"TENSOR_CORE", "DOWN_CONVERT_INPUTS"} and tf32 == half
    assert {"WINOGRAD", "FFT", "NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"} <= half
    plain = problem_of(Case("", (1, 2, 5, 5), (3, 2, 3, 3)), "float32", None)
    assert ROW.bound(plain) == 9.5 < ROW.bound(gpu_problem(plain, "float16", False)) < ROW.bound(gpu_problem(plain, "float32", True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_strides(dtype, cupy, cudnn, monkeypatch):
    """Strides are told where cuDNN takes them; what it does not take is copied."""
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((8, 4, 12, 32), (6, 2, 3, 3)))
    wide = [a.astype(np.float32) for a in (x, w)]
    cases = {  # views, and how many arrays are copied
        "as they are": (lambda a: a, lambda a: a, 0),
        "channels last": (lambda a: a.transpose(0, 3, 1, 2)[:, :4], lambda a: a, 0),
        "exchanged": (lambda a: a.swapaxes(0, 1)[:, :4], lambda a: a, 0),
        "every second": (lambda a: a[:, :, :, ::2], lambda a: a, 0),
        "backwards": (lambda a: a[:, :, ::-1], lambda a: a[..., ::-1], 2),
        "not aligned": (lambda a: a[..., 1:], lambda a: a, 1),
    }
    for name, (of_x, of_w, copies) in cases.items():
        want = cyconv.conv2d(of_x(wide[0]), of_w(wide[1]), padding=1, groups=2)
        a, b = of_x(cupy.asarray(x)), of_w(cupy.asarray(w))
        out = cupy.zeros((*want.shape[:-1], 2 * want.shape[3]), dtype)
        got = cyconv.conv2d(a, b, padding=1, groups=2, algorithm="cudnn", out=out[..., ::2])
        np.testing.assert_array_equal(got.get().astype(np.float32), want, err_msg=name)
        assert (out.get()[..., 1::2] == 0).all()
        graph = cudnn.graphs[-1]
        told = (graph.image.stride, graph.weight.stride, graph.result.stride)
        if copies == 0:
            assert told[0][2:] == [s // a.itemsize for s in a.strides[2:]] and told[2][3] == 2, name
    monkeypatch.setattr(cudnn, "refuses_strides", True)
    forget()
    got = cyconv.conv2d(cupy.asarray(x)[..., ::2], cupy.asarray(w), padding=1, groups=2, algorithm="cudnn")
    np.testing.assert_array_equal(got.get().astype(np.float32), cyconv.conv2d(wide[0][..., ::2], wide[1], padding=1, groups=2))


def test_outputs_are_as_many_as_cudnn_counts(cupy, cudnn):
    """A problem with one output has stride 1, however far the next one would be."""
    x, w = np.arange(30, dtype="float32").reshape(1, 1, 5, 6), np.ones((1, 1, 3, 2), "float32")
    for padding in (((0, 1), (0, 0)), ((1, 1), (1, 3))):
        options = {"stride": (4, 7), "padding": padding}
        got = cyconv.conv2d(*moved(cupy, x, w), algorithm="cudnn", **options)
        np.testing.assert_array_equal(got.get(), cyconv.conv2d(x, w, algorithm="reference", **options))


def test_gradients_and_transposed_convolutions(cupy, cudnn):
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-2, 3, shape).astype("float32") for shape in ((2, 4, 13, 11), (6, 2, 3, 4)))
    options = {"stride": (2, 3), "padding": (1, 2), "groups": 2}
    g = rng.integers(-2, 3, cyconv.conv2d(x, w, **options).shape).astype("float32")
    gx, gw, gg = moved(cupy, x, w, g)
    np.testing.assert_array_equal(
        grad.conv2d_weight(gx, w.shape, gg, algorithm="cudnn", **options).get(), grad.conv2d_weight(x, w.shape, g, **options)
    )
    np.testing.assert_array_equal(
        grad.conv2d_input(x.shape, gw, gg, algorithm="cudnn", **options).get(), grad.conv2d_input(x.shape, w, g, **options)
    )
    np.testing.assert_array_equal(
        cyconv.conv_transpose2d(gg, gw, algorithm="cudnn", **options).get(), cyconv.conv_transpose2d(g, w, **options)
    )


def test_graphs_are_kept_and_few(cupy, cudnn, monkeypatch):
    monkeypatch.setattr(launcher, "KEPT", 3)
    w = cupy.ones((3, 2, 3, 3), np.float32)
    for _ in range(3):
        for n in (5, 6):
            cyconv.conv2d(cupy.ones((1, 2, n, 5), np.float32), w, algorithm="cudnn")
    assert len(cudnn.graphs) == 2 and cudnn.Handle.made == 1
    for n in range(7, 17):
        cyconv.conv2d(cupy.ones((1, 2, n, 5), np.float32), w, algorithm="cudnn")
    (session,) = launcher._idle[0]
    assert len(session._graphs) == 3


def test_streams_and_threads(cupy, cudnn):
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    with cupy.cuda.Stream() as stream:
        cyconv.conv2d(x, w, algorithm="cudnn")
        assert cudnn.graphs[-1].stream == stream.ptr
    cyconv.conv2d(x, w, algorithm="cudnn")
    assert cudnn.graphs[-1].stream == 0 and len(cudnn.graphs) == 1
    with launcher._session():  # as if another thread were in a call
        thread = threading.Thread(target=lambda: cyconv.conv2d(x, w, algorithm="cudnn"))
        thread.start()
        thread.join()
    assert len(cudnn.graphs) == 2 and cudnn.Handle.made == 2 == len(launcher._idle[0])


@pytest.mark.parametrize("where", ["nothing", "input", "weight", "bias"])
def test_what_is_not_finite_is_noted(where, cupy, cudnn, monkeypatch):
    for dtype in ("float32", "float16"):
        case = Case("", (2, 4, 9, 10), (6, 2, 3, 3), {"groups": 2, "padding": 1})
        x, w, bias = arrays(case, dtype)
        if where != "nothing":
            {"input": x, "weight": w, "bias": bias}[where].flat[-1] = np.inf
        p = problem_of(case, dtype, bias)
        x, w, bias = moved(cupy, x, w, bias)
        for take in (slice(None), slice(None, None, -1)):  # as they lie, and not
            out, noted = cupy.empty(p.output_shape, dtype), cupy.zeros(1, np.int32)
            launcher.run(p, *views(p, x, w[..., take], out)[:2], bias, views(p, x, w, out)[2], nonfinite=noted)
            assert bool(noted.get()[0]) == (where != "nothing")
        if where == "weight":
            monkeypatch.setattr(cudnn, "skips_padding", True)
            for weight in (w, w[..., ::-1], w.swapaxes(0, 1).copy().swapaxes(0, 1)):
                out, noted = cupy.empty(p.output_shape, dtype), cupy.zeros(1, np.int32)
                launcher.run(p, *views(p, x, weight, out)[:2], None if dtype == "float32" else bias, views(p, x, w, out)[2], nonfinite=noted)
                assert np.isfinite(out.get()).all() and noted.get()[0]


def test_auto_computes_again(cupy, cudnn, monkeypatch):
    monkeypatch.setattr(launcher.costs, "SECONDS", launcher.costs.SECONDS | {"cudnn": dict.fromkeys(launcher.costs.SECONDS["cudnn"], 0)})
    x, w = np.ones((1, 1, 6, 7), "float32"), np.ones((2, 1, 3, 3), "float32")
    w[0, 0, 0, 0] = np.inf
    gx, gw = moved(cupy, x, w)
    assert cyconv.explain(gx, gw, padding=1).chosen == "cudnn"
    with np.errstate(invalid="ignore"):
        want = cyconv.conv2d(x, w, padding=1, algorithm="reference")
    np.testing.assert_array_equal(cyconv.conv2d(gx, gw, padding=1).get(), want)
    assert cudnn.graphs[-1].executed == 1


def test_reasons(cupy, cudnn, monkeypatch):
    case = Case("", (1, 2, 5, 5), (3, 2, 3, 3))
    assert "float64" in launcher.why_not(problem_of(case, "float64", None))
    assert "without samples" in launcher.why_not(problem_of(Case("", (1, 2, 0, 5), (3, 2, 3, 3), {"padding": 2}), "float32", None))
    copies = 4 * (2 * 25 + 3 * 18 + 3 * 9)
    assert launcher.why_not(problem_of(case, "float32", None, max_workspace=copies - 1)) == f"needs at least {copies} bytes of workspace, if arrays must be copied"
    small = problem_of(case, "float32", None, max_workspace=copies + 999)
    assert launcher.why_not(small) == "cuDNN does not compute it: no plan in the list could be built:"
    assert select.choose(small, device="gpu").name != "cudnn"
    fits = problem_of(case, "float32", None, max_workspace=copies + 1000)
    assert launcher.answer(fits) == (None, copies + cudnn.WORKSPACE) and launcher.cost(fits)[1] == copies
    monkeypatch.delitem(sys.modules, "cudnn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    forget()
    assert launcher.why_not(problem_of(case, "float32", None)) == "nvidia-cudnn-frontend is not installed"
    with pytest.raises(ValueError, match="nvidia-cudnn-frontend is not installed"):
        cyconv.conv2d(cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32), algorithm="cudnn")


@pytest.fixture
def winning(monkeypatch):
    """cuDNN is predicted to be the quickest."""
    monkeypatch.setattr(launcher.costs, "SECONDS", launcher.costs.SECONDS | {"cudnn": dict.fromkeys(launcher.costs.SECONDS["cudnn"], 0)})


PASSING = [MemoryError("for now"), RuntimeError("CUDNN_STATUS_ALLOC_FAILED"), RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")]


@pytest.mark.parametrize("algorithm", ["auto", "cudnn"])
@pytest.mark.parametrize("error", PASSING, ids=str)
def test_a_passing_failure_is_raised_and_forgotten(error, algorithm, cupy, cudnn, winning, monkeypatch):
    """Another algorithm would give the same call other bits, now or later."""
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(cudnn, "fails", error)
        for _ in range(2):
            with pytest.raises(type(error), match=str(error)):
                cyconv.conv2d(x, w, algorithm=algorithm)
    assert (cyconv.conv2d(x, w, algorithm=algorithm).get() == 18).all()
    assert sum(graph.executed for graph in cudnn.graphs) == 1 and cyconv.explain(x, w).chosen == "cudnn"


def test_no_room_even_where_plans_are_said_not_to_exist(cupy, cudnn, winning, monkeypatch):
    """As cuDNN has it when none of its plans could be built."""
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    monkeypatch.setattr(cudnn, "fails", cudnn.cudnnGraphNotSupportedError("no plan: CUDNN_STATUS_ALLOC_FAILED"))
    with pytest.raises(cudnn.cudnnGraphNotSupportedError):
        cyconv.conv2d(x, w)
    monkeypatch.setattr(cudnn, "fails", None)
    assert cyconv.explain(x, w).chosen == "cudnn"


@pytest.mark.parametrize("say", ["cudnnGraphNotSupportedError", "ValueError", "CUDNN_STATUS_NOT_SUPPORTED"])
def test_what_cudnn_refuses_is_remembered_on_each_device(say, cupy, cudnn, winning, monkeypatch):
    error = {"ValueError": ValueError("no"), "cudnnGraphNotSupportedError": cudnn.cudnnGraphNotSupportedError("no")}.get(say, RuntimeError(say))
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(cudnn, "fails", error)
        for _ in range(3):
            assert (cyconv.conv2d(x, w).get() == 18).all()
        assert len(cudnn.graphs) == 1
    assert cyconv.explain(x, w).chosen != "cudnn" and len(cudnn.graphs) == 1
    with pytest.raises(ValueError, match="algorithm='cudnn' cannot compute this problem .*: cuDNN does not compute it"):
        cyconv.conv2d(x, w, algorithm="cudnn")
    with cupy.cuda.Device(1):
        there = [cupy.ones(a.shape, np.float32) for a in (x, w)]
    assert cyconv.explain(*there).chosen == cyconv.plan_conv(x.shape, there[1]).algorithm == "cudnn"
    assert (cyconv.conv2d(*there).get() == 18).all() and cudnn.graphs[-1].executed == 1
    assert cyconv.explain(x, w).chosen != "cudnn"
    assert len(cudnn.graphs) == 2


def test_what_must_be_refused_must_have_a_name(cupy, cudnn, monkeypatch):
    case = Case("", (1, 2, 5, 5), (3, 2, 3, 3))
    for lost, half in (("TENSOR_CORE", True), ("NONDETERMINISTIC", False)):
        forget()
        kept = {note.name: note for note in cudnn.numerical_note if note.name != lost}
        told = f"this nvidia-cudnn-frontend does not know {lost}, which must be refused"
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(cudnn, "numerical_note", type("numerical_note", (), kept))
            assert launcher.why_not(problem_of(case, "float32", None)) == told
            assert launcher.why_not(problem_of(case, "float16", None)) == (None if half else told)


def test_a_cudnn_that_cannot_be_loaded(cupy, cudnn, winning, monkeypatch):
    def broken():
        raise RuntimeError("Unable to find symbol cudnnGetVersion")

    monkeypatch.setattr(cudnn, "backend_version", broken)
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)
    assert (cyconv.conv2d(x, w).get() == 18).all()
    with pytest.raises(ValueError, match="cuDNN cannot be loaded: Unable to find symbol"):
        cyconv.conv2d(x, w, algorithm="cudnn")


def test_cudnn_is_asked_only_where_it_would_win(cupy, cudnn, monkeypatch):
    x, w = cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32)

    def predicted(seconds):
        monkeypatch.setattr(launcher.costs, "SECONDS", launcher.costs.SECONDS | {"cudnn": dict.fromkeys(launcher.costs.SECONDS["cudnn"], seconds)})
        forget()

    predicted(1)
    cyconv.conv2d(x, w)
    plan = cyconv.plan_conv(x.shape, w)
    plan(x)
    assert plan.workspace_bytes >= 0 and not cudnn.graphs and not cudnn.Handle.made
    verdict = next(v for v in cyconv.explain(x, w).verdicts if v.algorithm is ROW)
    assert verdict.declined is None and verdict.workspace > cudnn.WORKSPACE and len(cudnn.graphs) == 1
    cyconv.conv2d(x, w, algorithm="cudnn")
    assert len(cudnn.graphs) == 1
    predicted(0)
    cyconv.conv2d(x, w)
    assert len(cudnn.graphs) == 2 and cudnn.graphs[-1].executed == 1
    plan = cyconv.plan_conv(x.shape, w)
    assert plan.algorithm == "cudnn" and plan.workspace_bytes == verdict.workspace


@pytest.mark.parametrize("lies", ["in order", "backwards", "not aligned", "weights backwards", "channels last"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("items", [1, 2, 5])
def test_copies_stay_within_the_workspace(items, dtype, lies, stand_in, cudnn, monkeypatch):
    from test_gpu_fft import Counted

    cupy, case = stand_in, Case("", (5, 4, 20, 21), (6, 2, 3, 4), {"groups": 2, "padding": (1, 2)})
    x, w, bias = arrays(case, dtype)
    size = x.itemsize
    one, once = (x[0].size + 6 * 20 * 22) * size, (w.size + 6 * (dtype == "float16")) * size
    p = problem_of(case, dtype, bias, max_workspace=max(launcher.COPIES * (once + items * one), once + items * one + cudnn.WORKSPACE))
    p = replace(p)  # which remembers nothing
    part, copies = launcher._part(p)
    assert part.batch == {1: 1, 2: 2, 5: 5}[items] and copies == once + part.batch * one
    assert launcher.room(p) == p.max_workspace - (copies if part is p else 0) and launcher.room(part) == p.max_workspace - copies
    want = conv(2)(x, w, bias, algorithm="reference", **case.arguments)
    x, w, bias = moved(cupy, x, w, bias)
    wide = cupy.empty((5, 6, 20, 23), dtype)
    out = {"in order": wide[..., 1:].copy(), "not aligned": wide[..., 1:]}.get(lies, wide[:, :, ::-1, :22])
    if lies == "backwards":
        x = x[::-1, :, ::-1].copy()[::-1, :, ::-1]
    elif lies == "not aligned":
        room = cupy.empty((5, 4, 20, 22), dtype)
        room[..., 1:] = x
        x = room[..., 1:]
    elif lies == "weights backwards":
        w = w[..., ::-1].copy()[..., ::-1]
    elif lies == "channels last":
        x, w = (a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) for a in (x, w))
    seen = views(p, x, w, out)
    _, told = launcher.answer(p)
    counted = Counted(monkeypatch)
    launcher.run(p, *seen[:2], bias, seen[2])
    np.testing.assert_array_equal(out.get(), want)
    assert counted.most <= told <= p.max_workspace
    if lies == "backwards":
        assert counted.most > cudnn.WORKSPACE


# ---- the real one ------------------------------------------------------------------------------------------------------------

H100 = {
    "deviceName": "NVIDIA H100 80GB HBM3", "deviceVer": 900, "multiProcessorCount": 132, "regsPerBlock": 65536, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
    "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 0x2330, "isTccDriver": 0, "supportCoopLaunch": 1,
    "totalGlobalMem": 85029158912, "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "memoryBusWidth": 5120, "l2CacheSize": 52428800,
    "cudaDeviceId": 0, "driverVer": 13000, "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float32 with tf32", "float16", "bfloat16"])
def test_cudnn_itself_has_a_plan_for_every_case(dtype):
    """cuDNN makes plans for a device that is only described, where its libraries and the driver's can be loaded."""
    cudnn = pytest.importorskip("cudnn", reason="nvidia-cudnn-frontend is not installed")
    try:
        described = {"device_property": cudnn.create_device_properties(json.dumps(H100))}
        launcher.described(first := problem_of(CASES[0], "float32", None), *launcher._dense(first), **described)
    except Exception as error:
        pytest.skip(f"cuDNN cannot be asked here: {str(error)[:200]}")
    kind, _, tf32 = dtype.partition(" ")
    for case in CASES:
        _, _, bias = arrays(case, "float32")
        p = gpu_problem(problem_of(case, "float32", bias), kind, bool(tf32))
        if not p.multiply_adds or launcher.why_not(p):
            continue
        x, w, y = launcher._dense(p)
        graph = launcher.described(p, x, w, y, **described)
        assert graph.get_workspace_size() <= p.max_workspace
        every_second = [(sizes, tuple(2 * step for step in steps)) for sizes, steps in (x, y)]
        launcher.described(p, every_second[0], w, every_second[1], **described)  # phases of transposed convolutions write so

"""cuDNN as a row of the menu: what it is asked for, with a stand-in that computes it; and whether the real one accepts it."""

import importlib.util
import json
import sys
import threading

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
    cyconv.conv2d(*moved(cupy, x, w, bias), algorithm="cudnn", max_workspace=5000, **case.arguments)
    (graph,) = cudnn.graphs
    described = {t.name: (t.dim, t.stride, t.uid) for t in graph.tensors}
    assert described == {
        "input": ([2, 6, 9, 8], [432, 72, 8, 1], 1),
        "weight": ([8, 3, 3, 2], [18, 6, 2, 1], 2),
        "bias": ([1, 8, 1, 1], [8, 1, 1, 1], 4),
    }
    assert (graph.result.dim, graph.result.stride, graph.result.uid) == ([2, 8, 4, 7], [224, 28, 7, 1], 3)
    assert graph.options == {"padding": ((1, 0), (0, 2)), "stride": (2, 1), "dilation": (1, 3)}
    assert graph.limit == 5000 and graph.convolved.data_type is cudnn.data_type.FLOAT and graph.result.data_type is cudnn.data_type.HALF


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
    small = problem_of(case, "float32", None, max_workspace=999)
    assert launcher.why_not(small) == "cuDNN does not compute it: no plan in the list could be built:"
    assert select.choose(small, device="gpu").name != "cudnn"
    assert launcher.cost(problem_of(case, "float32", None))[1] == cudnn.WORKSPACE
    monkeypatch.delitem(sys.modules, "cudnn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    forget()
    assert launcher.why_not(problem_of(case, "float32", None)) == "nvidia-cudnn-frontend is not installed"
    with pytest.raises(ValueError, match="nvidia-cudnn-frontend is not installed"):
        cyconv.conv2d(cupy.ones((1, 2, 5, 5), np.float32), cupy.ones((3, 2, 3, 3), np.float32), algorithm="cudnn")


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

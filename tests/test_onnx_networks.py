"""cyconv.onnx.load: whole models beside ONNX Runtime, onnx's reference evaluator, and ONNX's own cases of every operator."""

import importlib.util
import sys
import warnings
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

import cyconv  # noqa: E402
from cyconv.onnx import load, slices, weights  # noqa: E402
from cyconv.onnx.corrected import CORRECTED  # noqa: E402

ROOT = Path(__file__).parent.parent
if "bench" not in sys.modules:  # without putting the checkout on the path, where its cyconv would hide the installed one
    _spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["bench"])

from bench import models  # noqa: E402

SMALL = {"vgg16": (32, 8), "resnet50": (64, 8), "mobilenet_v2": (64, 4), "unet": (32, 8)}  # size, width
F = TensorProto.FLOAT


def made(nodes, shape=("n", 2, 6, 6), outputs=("y",), constants=None, opset=21, dtype=np.float32, functions=(), also=()):
    """A model of one input x, unless `also` has others."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("x", element, shape), *also]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, results, stored)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions)


def node(kind, inputs, outputs="y", **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def ints(*shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


def kinds(network, *arrays):
    return [layer.operator for layer in network.profile(*arrays).layers]


def reference(model, feeds):
    return ReferenceEvaluator(model).run(None, feeds)


# ---- four networks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.MODELS)
def test_networks_agree_with_onnx_runtime(name, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    size, width = SMALL[name]
    model = models.MODELS[name]("batch", size, width)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    theirs = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    network = load(model)
    for count, cached in ((1, slices.CACHED), (5, slices.CACHED), (16, slices.CACHED), (5, 1), (5, 2 * 4 * size**2)):
        monkeypatch.setattr(slices, "CACHED", cached)
        x = np.random.default_rng(count).standard_normal((count, *network.inputs[0].shape[1:]), dtype=np.float32)
        (exact,), answer = theirs.run(None, {"x": x}), network(x)
        assert np.abs(exact).max() > 0.1  # the network is alive
        assert np.abs(answer - exact).max() <= 1e-4 * np.abs(exact).max()
    found = kinds(network, x)
    assert "BatchNormalization" not in found and "Dropout" not in found and "Identity" not in found
    assert {"vgg16": "Gemm", "resnet50": "Add, Relu", "mobilenet_v2": "Clip", "unet": "ConvTranspose"}[name] in found


def test_the_race(monkeypatch, capsys, tmp_path):
    pytest.importorskip("onnxruntime")
    from bench import networks

    monkeypatch.setattr(models, "MODELS", {"vgg16": lambda batch: models.vgg16(batch, *SMALL["vgg16"])})
    monkeypatch.setattr(models, "SIZES", {"vgg16": SMALL["vgg16"][0]})
    assert networks.main(["--batches", "2", "--threads", "1", "--seconds", "0.01", "--csv", str(tmp_path / "figures.csv")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("vgg16")).split()
    assert line[1:3] == ["2", "1"] and float(line[3]) > 0 and float(line[4]) > 0 and len((tmp_path / "figures.csv").read_text().splitlines()) == 2
    monkeypatch.setattr(networks, "TOLERANCE", 0.0)
    with pytest.raises(SystemExit, match="the answers differ"):
        networks.main(["--batches", "2", "--threads", "1", "--seconds", "0.01"])


def test_bits_do_not_depend_on_threads_or_on_other_images(monkeypatch):
    monkeypatch.setattr(slices, "CACHED", 2**16)
    network = load(models.resnet50("n", 64, 8))
    x = np.random.default_rng(0).standard_normal((6, 3, 64, 64), dtype=np.float32)
    with cyconv.threads(1):
        whole = network(x)
    with cyconv.threads(2):
        np.testing.assert_array_equal(network(x), whole)
    np.testing.assert_array_equal(network(x[::-1]), whole[::-1])
    np.testing.assert_array_equal(network(np.asfortranarray(x)), whole)


def test_threads_may_call_one_network_at_once():
    network = load(models.mobilenet_v2("n", 32, 8))
    inputs = [np.random.default_rng(n).standard_normal((n, 3, 32, 32), dtype=np.float32) for n in (1, 2, 3, 4, 5, 6)]
    wanted, wrong = [network(x) for x in inputs], []

    def call(first):
        for turn in range(12):
            at = (first + turn) % len(inputs)
            if not (network(inputs[at]) == wanted[at]).all():
                wrong.append(at)

    running = [Thread(target=call, args=(n,)) for n in range(3)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


# ---- every operator ----------------------------------------------------------------------------------------------------------


def alike(a, b, rtol, atol):
    if a is None or b is None:
        return a is b
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(alike(x, y, rtol, atol) for x, y in zip(a, b))
    a, b = np.asarray(a), np.asarray(b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if a.dtype.kind in "fc":
        return np.allclose(a, b, rtol, atol, equal_nan=True)
    return a.tolist() == b.tolist() or a.tobytes() == b.tobytes()


@pytest.mark.filterwarnings("ignore")  # those of casts and logarithms
@pytest.mark.parametrize("constant", [False, True])
def test_cases_of_every_operator(constant):
    """ONNX's cases; constant: all inputs but the first are initializers. Where onnx's evaluator is wrong, nothing is expected."""
    from onnx.backend.test.case.node import collect_testcases

    failed, done = [], set()
    for case in collect_testcases(None):
        model = case.model
        for inputs, outputs in case.data_sets:
            arrays = [numpy_helper.to_array(a) if isinstance(a, TensorProto) else a for a in inputs]
            feeds = dict(zip([value.name for value in model.graph.input], arrays))
            if constant:
                if len(feeds) < 2 or not all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" for a in arrays):
                    continue
                changed = onnx.ModelProto()
                changed.CopyFrom(model)
                del changed.graph.input[1:]
                changed.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in list(feeds.items())[1:])
                model, feeds = changed, dict(list(feeds.items())[:1])
            tolerance = max(case.rtol, 1e-3), max(case.atol, 1e-6)
            try:
                results = load(model)(feeds)
                right = alike(results if len(model.graph.output) > 1 else [results], outputs, *tolerance)
            except (ValueError, TypeError):
                right = False
            if not right:
                try:
                    right = not alike(reference(model, feeds), outputs, *tolerance)
                except Exception:
                    right = True
            done.add(model.graph.node[0].op_type)
            if not right:
                failed.append(case.name)
    assert not failed
    assert len(done) > (100 if constant else 180)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (1, 1), (4, 1), (4, 4)])
def test_sums_of_products(shape):
    """Numbers of rows and of columns are the same, so that what stands for which shows."""
    model = made([node("Gemm", "x w c", transB=1, alpha=0.5, beta=2.0)], ("n", 3), constants={"w": ints(4, 3), "c": ints(*shape, seed=1)})
    x = ints(4, 3, seed=2)
    np.testing.assert_array_equal(load(model)(x), 0.5 * x @ ints(4, 3).T + 2 * ints(*shape, seed=1))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("where", ["asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners"])
def test_resize(mode, where):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    for constants in ({"s": np.float32([1, 1, 2, 3])}, {"s": np.float32([1, 1, 0.6, 1.7])}, {"z": [2, 3, 7, 1]}, {"z": [2, 3, 5, 9]}):
        for rule in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            names = "x  s" if "s" in constants else "x   z"
            resize = helper.make_node("Resize", names.split(" "), ["y"], mode=mode, coordinate_transformation_mode=where, nearest_mode=rule)
            model = made([resize], x.shape, constants=constants)
            np.testing.assert_allclose(load(model)(x), reference(model, {"x": x})[0], rtol=1e-5, atol=1e-6)


def test_upsample_and_resize_of_old_models():
    x = ints(2, 2, 3, 3)
    for kind, names, opset in (("Upsample", "x s", 9), ("Resize", "x s", 10)):
        model = made([node(kind, names, mode="nearest")], constants={"s": np.float32([1, 1, 2, 3])}, opset=opset, shape=x.shape)
        np.testing.assert_array_equal(load(model)(x), x.repeat(2, 2).repeat(3, 3))


# ---- what is folded ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("bias", [False, True])
def test_norms_are_folded(kind, bias):
    """Exactly: scales are powers of two, and there is no epsilon."""
    shape = (6, 2, 3, 3) if kind == "Conv" else (4, 3, 3, 3)
    constants = {"w": ints(*shape, seed=1), "scale": np.float32([1, 2, -1, 0.5, 4, 1]), "shift": ints(6, seed=2), "mean": ints(6, seed=3)}
    constants |= {"var": np.float32([1, 4, 0.25, 1, 16, 1]), "b": ints(6, seed=4)}
    if not bias:
        del constants["b"]
    nodes = [node(kind, "x w b" if bias else "x w", "c", group=2), node("BatchNormalization", "c scale shift mean var", epsilon=0.0)]
    model = made(nodes, ("n", 4, 6, 6), constants=constants)
    network, x = load(model), ints(2, 4, 6, 6)
    assert kinds(network, x) == [kind]
    c = {name: value.reshape(-1, 1, 1) for name, value in constants.items() if name not in ("w", "b")}
    plain = (cyconv.conv2d if kind == "Conv" else cyconv.conv_transpose2d)(x, constants["w"], constants.get("b"), groups=2)
    np.testing.assert_array_equal(network(x), (plain - c["mean"]) / np.sqrt(c["var"]) * c["scale"] + c["shift"])


def test_products_and_sums_with_one_number_a_channel_are_folded():
    for constant in (ints(3, 1, 1, seed=5), ints(1, 3, 1, 1, seed=5), ints(1, 1, 1, 1, seed=5)):
        nodes = [node("Conv", "x w", "c"), node("Mul", "c k", "d"), node("Add", "k d")]
        model = made(nodes, constants={"w": ints(3, 2, 3, 3, seed=1), "k": constant})
        network, x = load(model), ints(1, 2, 6, 6)
        assert kinds(network, x) == ["Conv"]
        np.testing.assert_array_equal(network(x), reference(model, {"x": x})[0])


@pytest.mark.parametrize(("rank", "shape"), [(1, (3, 1)), (1, (1, 3, 1)), (1, (3, 1, 1)), (1, (3,)), (3, (3, 1, 1, 1)), (3, (1, 3, 1, 1)), (3, (1, 3, 1, 1, 1))])
def test_only_the_channels_axis_is_folded(rank, shape):
    """Whatever else the same numbers may stand for: the batch, or a line of space."""
    nodes = [node("Conv", "x w", "c"), node("Add", "c k")]
    model = made(nodes, ("n", 3, *(3,) * rank), constants={"w": ints(3, 3, *(1,) * rank, seed=1), "k": ints(*shape, seed=5)})
    network, x = load(model), ints(3, 3, *(3,) * rank)
    assert kinds(network, x) == (["Conv"] if shape in ((3, *(1,) * rank), (1, 3, *(1,) * rank)) else ["Conv", "Add"])
    np.testing.assert_array_equal(network(x), reference(model, {"x": x})[0])


@pytest.mark.parametrize("why", ["read twice", "an output", "width", "wide", "not constant", "infinite", "too large"])
def test_what_cannot_be_folded_is_not(why):
    constants = {"w": ints(6, 2, 1, 1, seed=1), "k": ints(6, 1, 1, seed=2)}
    nodes, outputs, also = [node("Conv", "x w", "c"), node("Mul", "c k")], ["y"], []
    if why == "read twice":
        nodes.append(node("Neg", "c", "z"))
        outputs.append("z")
    elif why == "an output":
        outputs.append("c")
    elif why == "width":
        constants["k"] = ints(6, seed=2)
    elif why == "wide":
        constants["k"] = ints(3, 6, 1, 1, seed=2)
    elif why == "not constant":
        also = [helper.make_tensor_value_info("w", F, [6, 2, 1, 1])]
        constants.pop("w")
    else:
        constants["k"] = np.full((6, 1, 1), np.inf if why == "infinite" else 3e38, np.float32)
    model = made(nodes, constants=constants, outputs=outputs, also=also)
    feeds = {"x": ints(1, 2, 6, 6), **({"w": ints(6, 2, 1, 1, seed=1)} if also else {})}
    network = load(model)
    with np.errstate(invalid="ignore", over="ignore"):
        got, wanted = network(feeds), reference(model, feeds)
        assert "Mul" in kinds(network, feeds)
    for a, b in zip(got if isinstance(got, tuple) else [got], wanted):
        np.testing.assert_array_equal(a, b)


def test_constants_are_computed_once_and_what_nobody_reads_is_not():
    nodes = [
        node("Constant", "", "one", value=numpy_helper.from_array(np.float32([[1, 2], [3, 4]]))), node("Transpose", "one", "turned"),
        node("MatMul", "one turned", "weights"), node("MatMul", "x weights", "z"), node("Identity", "z", "y"), node("Neg", "x", "unread"),
    ]  # fmt: skip
    network = load(made(nodes, ("n", 2)))
    assert kinds(network, ints(3, 2)) == ["MatMul"]
    np.testing.assert_array_equal(network(ints(3, 2)), ints(3, 2) @ np.float32([[5, 11], [11, 25]]))


def test_random_numbers_are_no_constants():
    network = load(made([node("RandomUniform", "", "r", shape=[4]), node("Add", "x r")], ("n", 4)))
    assert (network(ints(1, 4)) != network(ints(1, 4))).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
@pytest.mark.parametrize("limits", ["", "low", " high", "low high", "none"])
def test_bounds_of_every_dtype(dtype, limits):
    """Alone, and after a sum; the highest integer is no float."""
    big = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else np.inf
    constants = {"low": np.array(3, dtype), "high": np.array(big, dtype), "none": np.array(7, dtype)}
    names = f"x {limits}" if limits != "none" else "x none low"  # the lower one above the upper
    for first in ("x", "s"):
        nodes = [node("Add", "x x", "s"), helper.make_node("Clip", names.replace("x", first, 1).split(" "), ["y"])]
        model = made(nodes, ("n", 4), constants=constants, dtype=dtype)
        x = np.array([[0, 1, 5, 100], [2, 4, 3, 90]]).astype(dtype)
        result, wanted = load(model)(x), reference(model, {"x": x})[0]
        assert result.dtype == wanted.dtype
        np.testing.assert_array_equal(result, wanted)


def test_nan_stays_and_bounds_that_are_none_bound_nothing():
    x = np.float32([[np.nan, 1, -np.inf, np.inf]])
    for kind, names in (("Relu", "x"), ("Clip", "x low"), ("Clip", "x low high"), ("Clip", "x bad")):
        model = made([node("Add", "x x", "s"), node(kind, names.replace("x", "s"))], ("n", 4),
                     constants={"low": np.float32(0), "high": np.float32(6), "bad": np.float32(np.nan)})  # fmt: skip
        np.testing.assert_array_equal(load(model)(x), reference(model, {"x": x})[0])


# ---- memory that is used again -----------------------------------------------------------------------------------------------


def random_model(rng):
    """A graph of operators in every order, of which all values are exact; some keep views of what they read."""
    nodes, values, constants = [], ["x"], {"low": np.float32(-9), "high": np.float32(9), "shape": np.int64([-1, 2, 6, 6]), "k": ints(1, 2, 1, 1)}
    constants["w"] = ints(2, 2, 1, 1) / 4
    for at in range(int(rng.integers(4, 14))):
        a, b = (values[max(0, len(values) - 1 - int(rng.integers(0, 4)))] for _ in range(2))
        kind = rng.choice(["Relu", "Clip", "Add", "Sub", "Neg", "Transpose", "Reshape", "Identity", "Dropout", "Min", "Conv", "MaxPool", "If", "Mul"])
        out = f"v{at}"
        if kind in ("Add", "Sub", "Min"):
            nodes.append(node(kind, f"{a} {b}", out))
        elif kind == "Mul":
            nodes.append(node(kind, f"{a} k", out))
        elif kind == "Clip":
            nodes.append(node(kind, f"{a} low high", out))
        elif kind == "Transpose":
            nodes.append(node(kind, a, out, perm=[0, 1, 3, 2]))
        elif kind == "Reshape":
            nodes.append(node(kind, f"{a} shape", out))
        elif kind == "Conv":
            nodes.append(node(kind, f"{a} w", out))
        elif kind == "MaxPool":
            nodes.append(node(kind, a, out, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        elif kind == "If":  # reads the values around it
            branch = helper.make_graph([node("Add", f"{a} {b}", f"{out}_in")], "branch", [], [onnx.ValueInfoProto(name=f"{out}_in")])
            nodes.append(helper.make_node("If", ["yes"], [out], then_branch=branch, else_branch=branch))
            constants["yes"] = np.array(True)
        else:
            nodes.append(node(kind, a, out))
        values.append(out)
    outputs = sorted({values[-1], *rng.choice(values[1:], 2)})
    return made(nodes, outputs=outputs, constants=constants)


def test_random_graphs_keep_what_is_still_read(monkeypatch):
    rng = np.random.default_rng(0)
    for turn in range(150):
        model = random_model(rng)
        monkeypatch.setattr(slices, "CACHED", (0, 12 * 2**20)[turn % 2])
        x = ints(3, 2, 6, 6, seed=turn)
        kept = x.copy()
        network, wanted = load(model), reference(model, {"x": x})
        for _ in range(2):
            got = network(x)
            got = got if isinstance(got, tuple) else (got,)
            for a, b in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(a, b)
                a[...] = np.nan  # results are the caller's
        np.testing.assert_array_equal(x, kept)


def test_a_view_keeps_what_it_shows():
    nodes = [node("Conv", "x w", "v"), node("Transpose", "v", "r", perm=[0, 1, 3, 2]), node("Relu", "v", "u"), node("Add", "r u")]
    model, x = made(nodes, constants={"w": ints(2, 2, 1, 1, seed=1)}), ints(2, 2, 6, 6)
    np.testing.assert_array_equal(load(model)(x), reference(model, {"x": x})[0])


@pytest.mark.parametrize(
    "after",
    [
        node("Concat", "c c", axis=0), node("Add", "c each"), node("MaxPool", "c", "y at", kernel_shape=[2, 2]), node("Softmax", "c", axis=0),
        node("LogSoftmax", "c", axis=-4), node("Transpose", "c", perm=[1, 0, 2, 3]), node("Transpose", "c"), node("Flatten", "c", axis=0),
        node("Flatten", "c", axis=2), node("ReduceSum", "c zero"), node("Expand", "c shape"), node("Gemm", "f f", transB=1), node("Add", "c x"),
        helper.make_node("Resize", ["c", "", "scales"], ["y"], mode="nearest"), helper.make_node("Resize", ["c", "", "", "sizes"], ["y"], mode="nearest"),
    ],
)  # fmt: skip
def test_images_that_meet_are_not_cut_apart(after, monkeypatch):
    monkeypatch.setattr(slices, "CACHED", 1)
    constants = {"w": ints(2, 2, 1, 1, seed=1), "each": ints(3, 2, 6, 6, seed=2), "zero": np.int64([0]), "shape": np.int64([2, 3, 2, 6, 6])}
    constants |= {"scales": np.float32([2, 1, 1, 1]), "sizes": np.int64([1, 2, 6, 12])}
    outputs = list(after.output)
    model, x = made([node("Conv", "x w", "c"), node("Flatten", "c", "f"), after], constants=constants, outputs=outputs), ints(3, 2, 6, 6)
    network = load(model)
    results, wanted = network(x), ReferenceEvaluator(model, new_ops=cyconv.onnx.OPS + CORRECTED).run(None, {"x": x})
    for a, b in zip(results if isinstance(results, tuple) else [results], wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert network._sliced[0]  # all before it are


@pytest.mark.parametrize("alpha", [0.25, 1.0, 2.0, -1.0, 0.0])
def test_leaky_rectifiers(alpha):
    model, x = made([node("LeakyRelu", "x", alpha=alpha)]), ints(2, 2, 6, 6)
    np.testing.assert_array_equal(load(model)(x), np.where(x < 0, alpha * x, x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_not_the_inputs_or_the_constants(dtype):
    nodes = [node("Identity", "x", "y"), node("Identity", "c", "z"), node("Flatten", "x", "f"), node("Clip", "x", "l")]
    network = load(made(nodes, outputs=["y", "z", "f", "l"], constants={"c": ints(3)}, dtype=dtype))
    x = ints(1, 2, 6, 6).astype(dtype)
    for result in network(x):
        assert not np.shares_memory(result, x)
        result[...] = 7
    assert (network(x)[1] == ints(3)).all()


def test_results_and_inputs_that_are_left_out():
    """The empty name stands for nothing, also after a node that leaves a result out (onnx's evaluator takes that one for it)."""
    constants = {"w": ints(1, 8, 3) / 8, "r": ints(1, 8, 2) / 8, "high": np.float32(0.1)}
    found = []
    for first in ("", "all"):
        nodes = [helper.make_node("LSTM", ["x", "w", "r"], [first, "h", "unread"], hidden_size=2), helper.make_node("Clip", ["h", "", "high"], ["y"])]
        found.append(made(nodes, (4, "n", 3), constants=constants))
    x = ints(4, 2, 3)
    np.testing.assert_array_equal(load(found[0])(x), reference(found[1], {"x": x})[0])


def test_prepared_weights_are_bounded():
    network = load(made([node("Conv", "x w")], ("n", 2, "h", "w"), constants={"w": ints(3, 2, 3, 3)}))
    for size in range(3, 30):
        network(ints(1, 2, size, size))
        network(ints(3, 2, size, size))
    (step,) = network._steps
    assert len(step.teller._plans._plans) <= weights.PLANS
    assert len(network._widest) <= 16


# ---- subgraphs and functions -------------------------------------------------------------------------------------------------


def test_a_loop_reads_values_around_it():
    body = helper.make_graph(
        [node("Add", "v around", "w"), node("Identity", "go", "more"), node("Conv", "w k", "z", pads=[1, 1, 1, 1])], "body",
        [helper.make_tensor_value_info("at", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("v", F, None)],
        [helper.make_tensor_value_info("more", TensorProto.BOOL, []), helper.make_tensor_value_info("z", F, None)],
    )  # fmt: skip
    nodes = [node("Neg", "x", "n"), node("Identity", "n", "around"), helper.make_node("Loop", ["times", "", "x"], ["l"], body=body), node("Relu", "l")]
    model = made(nodes, constants={"times": np.int64(3), "k": ints(2, 2, 3, 3) / 4})
    x = ints(2, 2, 6, 6)
    np.testing.assert_array_equal(load(model)(x), reference(model, {"x": x})[0])


def test_functions_of_a_model_are_written_out():
    twice = helper.make_function(
        "local", "Twice", ["a", "w"], ["b"],
        [node("Conv", "a w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "d"), node("Conv", "d w", "b", pads=[1, 1, 1, 1])], [helper.make_opsetid("", 21)],
    )  # fmt: skip
    model = made([helper.make_node("Twice", ["x", "c"], ["m"], domain="local"), helper.make_node("Twice", ["m", "c"], ["y"], domain="local")],
                 constants={"c": ints(2, 2, 3, 3) / 4}, functions=[twice])  # fmt: skip
    network, x = load(model), ints(1, 2, 6, 6)
    assert kinds(network, x) == ["Conv", "Relu", "Conv"] * 2
    np.testing.assert_array_equal(network(x), reference(model, {"x": x})[0])


# ---- arguments ---------------------------------------------------------------------------------------------------------------


def test_inputs_by_place_and_by_name():
    model = made([node("Sub", "x z")], ("n",), also=[helper.make_tensor_value_info("z", F, [2])])
    network, a, b = load(model), np.float32([1, 2]), np.float32([3, 5])
    for result in (network(a, b), network(a, z=b), network(x=a, z=b), network({"z": b, "x": a}), network({"x": a}, z=b)):
        np.testing.assert_array_equal(result, [-2, -3])
    assert repr(network) == "<cyconv.onnx.Network (x: float32 n, z: float32 2) -> (y: ?), 1 node>"
    assert [(v.name, v.shape, v.dtype) for v in network.inputs] == [("x", ("n",), np.float32), ("z", (2,), np.float32)]


def test_initializers_that_are_inputs_may_be_given():
    model = made([node("Conv", "x w")], constants={"w": ints(3, 2, 3, 3)}, also=[helper.make_tensor_value_info("w", F, [3, 2, 3, 3])])
    network, x, other = load(model), ints(1, 2, 6, 6), ints(3, 2, 3, 3, seed=9)
    assert [value.name for value in network.inputs] == ["x"]
    for _ in range(2):
        np.testing.assert_array_equal(network(x), cyconv.conv2d(x, ints(3, 2, 3, 3)))
        np.testing.assert_array_equal(network(x, w=other), cyconv.conv2d(x, other))
        np.testing.assert_array_equal(network(x, w=other * 2), cyconv.conv2d(x, other * 2))


def test_a_path_bytes_and_a_model(tmp_path):
    model = made([node("Conv", "x w")], constants={"w": ints(3, 2, 3, 3)})
    outside = onnx.ModelProto()
    outside.CopyFrom(model)
    onnx.save(outside, tmp_path / "outside.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    x = ints(1, 2, 6, 6)
    for source in (model, model.SerializeToString(), tmp_path / "outside.onnx", str(tmp_path / "outside.onnx")):
        np.testing.assert_array_equal(load(source)(x), cyconv.conv2d(x, ints(3, 2, 3, 3)))
    with pytest.raises(ValueError, match="load it by its path"):
        load(onnx.load(tmp_path / "outside.onnx", load_external_data=False))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net, x: net(), TypeError, "input x must be passed"),
        (lambda net, x: net(x, x), TypeError, "has 1 input"),
        (lambda net, x: net(x, x=x), TypeError, "twice"),
        (lambda net, x: net({"x": x}, x=x), TypeError, "twice"),
        (lambda net, x: net(q=x), TypeError, "no input 'q'"),
        (lambda net, x: net(x.astype(np.float64)), TypeError, "must have dtype float32, got float64"),
        (lambda net, x: net(x[0]), ValueError, "must have shape"),
        (lambda net, x: net(x[:, :1]), ValueError, "must have shape"),
        (lambda net, x: net(x[..., :2]), ValueError, "Conv node 'c'"),
        (lambda net, x: load(3), TypeError, "model must be"),
        (lambda net, x: load(b"no model at all"), ValueError, "no ONNX model"),
        (lambda net, x: load(b""), ValueError, "model has no graph"),
        (lambda net, x: load("/nowhere/at/all.onnx"), OSError, "all.onnx"),
        (lambda net, x: load(made([node("Add", "x q")])), ValueError, "reads 'q'"),
        (lambda net, x: load(made([node("Neg", "x", "z")])), ValueError, "output 'y'"),
        (lambda net, x: load(made([helper.make_node("Strange", ["x"], ["y"], domain="local")])), ValueError, "Strange"),
    ],
)
def test_errors_say_what_is_wrong(call, error, words):
    network = load(made([node("Conv", "x w", "c")], ("n", 2, "h", "v"), outputs=["c"], constants={"w": ints(3, 2, 3, 3)}))
    with pytest.raises(error, match=words):
        call(network, ints(1, 2, 6, 6))


def test_a_profile(monkeypatch):
    monkeypatch.setattr(slices, "CACHED", 1)
    network, seen = load(models.resnet50("n", 64, 8)), []
    x = np.random.default_rng(0).standard_normal((3, 3, 64, 64), dtype=np.float32)
    found = network.profile(x, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(found.results, network(x))
    assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1)) and len({total for _, total in seen}) == 1
    first, last = found.layers[0], found.layers[-1]
    assert first[:3] == ("Conv", "conv_0", (3, 8, 32, 32)) and first.algorithm in {row.name for row in cyconv.menu.CONV}
    assert last[:3] == ("Gemm", "gemm_174", (3, 125)) and last.algorithm
    assert all(layer.seconds > 0 for layer in found.layers) and all(layer.shape[0] == 3 for layer in found.layers)
    lines = str(found).splitlines()
    assert len(lines) == len(found.layers) + 2 and lines[0].split()[:4] == ["operator", "name", "output", "algorithm"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(load(made([node("Relu", "x")])).profile(ints(1, 2, 6, 6)))


# ---- what onnx's evaluator does not do right ---------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3])
def test_softmax_before_version_13_takes_all_axes_from_its_own_on(kind, axis, opset, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(slices, "CACHED", 1)
    x, attributes = ints(3, 2, 4, 5) * 30, {} if axis is None else {"axis": axis}
    constants = {"w": np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)}
    model = made([node("Conv", "x w", "c"), node(kind, "c", **attributes)], x.shape, constants=constants, opset=opset)
    exact = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    np.testing.assert_allclose(load(model)(x), exact, rtol=1e-5, atol=1e-6)
    at = helper.make_graph([node(kind, "c", "in", **attributes)], "at", [], [onnx.ValueInfoProto(name="in")])
    nodes = [node("Conv", "x w", "c"), helper.make_node("If", ["yes"], ["y"], then_branch=at, else_branch=at)]
    model = made(nodes, x.shape, constants=constants | {"yes": np.array(True)}, opset=opset)
    np.testing.assert_allclose(load(model)(x), exact, rtol=1e-5, atol=1e-6)


def test_nothing_is_flattened_and_multiplied():
    nodes = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f g")]
    network = load(made(nodes, constants={"w": ints(3, 2, 1, 1), "g": ints(108, 5)}))
    assert network(ints(0, 2, 6, 6)).shape == (0, 5) and network(ints(2, 2, 6, 6)).shape == (2, 5)
    for kind, names in (("MatMul", "x w"), ("Gemm", "x w b")):  # of no columns
        model = made([node(kind, names)], ("n", 0), constants={"w": ints(0, 4), "b": ints(4)})
        np.testing.assert_array_equal(load(model)(ints(3, 0)), np.tile(ints(4) * (kind == "Gemm"), (3, 1)))


@pytest.mark.parametrize(("kind", "shape", "attributes"), [("Add", (6,), {"broadcast": 1, "axis": 1}), ("Mul", (2, 6), {"broadcast": 1, "axis": 1}), ("PRelu", (6,), {})])
def test_broadcasting_as_before_version_7_is_refused(kind, shape, attributes):
    with pytest.raises(ValueError, match=f"{kind} node 'old'.*version_converter"):
        load(made([node(kind, "x k", name="old", **attributes)], ("n", 6, 6, 6), constants={"k": ints(*shape)}, opset=6))
    assert load(made([node("Add", "x k", broadcast=1)], ("n", 6, 6, 6), constants={"k": ints(6)}, opset=6))(ints(1, 6, 6, 6)).shape == (1, 6, 6, 6)


def test_sequences_are_the_callers_too():
    nodes = [node("SequenceConstruct", "x k", "s"), node("SequenceInsert", "s x", "t"), node("SequenceConstruct", "k", "u")]
    network, x = load(made(nodes, outputs=["s", "t", "u"], constants={"k": ints(3)})), ints(1, 2, 6, 6)
    found = [array for sequence in network(x) for array in sequence]
    for at, array in enumerate(found):
        assert not any(np.shares_memory(array, other) for other in (x, *found[:at]))
        array[...] = np.nan
    np.testing.assert_array_equal(network(x)[2][0], ints(3))

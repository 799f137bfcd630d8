"""What stands between a network's convolutions keeps a NaN, and bounds everything else, however many threads share an array."""

import numpy as np
import pytest

import cyconv

onnx = pytest.importorskip("onnx")

SAMPLES = 70_000  # more than one thread's piece


def network(nodes, inputs):
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, SAMPLES]) for name in inputs]
    bounds = [onnx.helper.make_tensor("low", onnx.TensorProto.FLOAT, [], [-1.0]), onnx.helper.make_tensor("high", onnx.TensorProto.FLOAT, [], [6.0])]
    made = [onnx.helper.make_node(kind, read, [name]) for kind, read, name in nodes]
    out = onnx.helper.make_tensor_value_info(nodes[-1][2], onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(made, "bounds", values, [out], bounds)
    return cyconv.onnx.load(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8))


def sample(seed):
    x = np.random.default_rng(seed).standard_normal((1, SAMPLES)).astype(np.float32) * 9
    x[0, :: 999] = np.nan
    x[0, 1 :: 999], x[0, 2 :: 999] = np.inf, -np.inf
    return x


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "nodes, low, high",
    [
        ([("Clip", ["x", "low", "high"], "y")], -1, 6),
        ([("Relu", ["x"], "y")], 0, np.inf),
        ([("Add", ["x", "z"], "s"), ("Clip", ["s", "low", "high"], "y")], -1, 6),
        ([("Add", ["x", "z"], "s"), ("Relu", ["s"], "y")], 0, np.inf),
    ],
)
def test_not_a_number_is_neither_low_nor_high(nodes, low, high, threads):
    x, z = sample(0), sample(1)[:, ::-1].copy()
    two = nodes[0][0] == "Add"
    with np.errstate(invalid="ignore"), cyconv.threads(threads):
        got = network(nodes, "xz" if two else "x")(*(x, z) if two else (x,))
        want = np.clip(x + z if two else x, np.float32(low), np.float32(high))
    np.testing.assert_array_equal(got, want)
    assert np.isnan(got).any()

"""Models of one node, and who runs them."""

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import cyconv.onnx


def model(operator, inputs, attributes=None, outputs=1, opset=22, constant=()):
    """A model of one node, and what is fed to it: `inputs` but for those at the places `constant`, which are initializers. None: left out."""
    names = ["" if array is None else f"input{i}" for i, array in enumerate(inputs)]
    results = [f"output{i}" for i in range(outputs)]
    node = helper.make_node(operator, names, results, **attributes or {})
    fed = {name: array for i, (name, array) in enumerate(zip(names, inputs)) if name and i not in constant}
    graph = helper.make_graph(
        [node],
        operator,
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for name, array in fed.items()],
        [onnx.ValueInfoProto(name=name) for name in results],
        [numpy_helper.from_array(inputs[i], names[i]) for i in constant if inputs[i] is not None],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), fed


def evaluator(of):
    """A ReferenceEvaluator whose only node is one of ours."""
    found = ReferenceEvaluator(of, new_ops=cyconv.onnx.OPS)
    assert type(found.rt_nodes_[0]) in cyconv.onnx.OPS
    return found


def run(operator, inputs, attributes=None, outputs=1, opset=22, constant=()):
    """What ours gives; twice, since prepared weights may come in."""
    of, fed = model(operator, inputs, attributes, outputs, opset, constant)
    session = evaluator(of)
    first, second = session.run(None, fed), session.run(None, fed)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
    return first if outputs > 1 else first[0]


def in_runtime(runtime, operator, inputs, attributes=None, outputs=1, opset=22):
    """What ONNX Runtime gives; None if it has no such kernel, or refuses the attributes."""
    of, fed = model(operator, inputs, attributes, outputs, opset)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        return runtime.InferenceSession(of.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, fed)
    except Exception as error:
        assert "ONNXRuntimeError" in str(error)
        return None


class Chance:
    """Random attributes and small integers."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def ints(self, low, high, count):
        return [int(v) for v in self.rng.integers(low, high, count)]

    def one(self, *values):
        return values[self.rng.integers(len(values))]

    def array(self, shape, dtype=np.float32, low=-4, high=5):
        return self.rng.integers(low, high, shape).astype(dtype)

    def bytes(self, shape, dtype):
        limits = np.iinfo(dtype)
        return np.array(self.rng.integers(limits.min, limits.max + 1, shape), dtype)

    def windows(self, kernel, most, words=True):
        """strides, dilations and pads; SAME only without dilation, which ONNX Runtime leaves out of account."""
        rank, found = len(kernel), {}
        if self.one(True, False):
            found["strides"] = self.ints(1, 4, rank)
        if self.one(True, False):
            found["dilations"] = self.ints(1, 4, rank)
        if self.one(True, False):
            found["pads"] = [self.ints(0, m + 1, 1)[0] for m in list(most) * 2]
        elif words and "dilations" not in found:
            found["auto_pad"] = self.one("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
        return found

    def conv(self, dtype):
        """Input, weight, bias and attributes."""
        rank, groups = self.one(1, 2, 3), self.one(1, 2, 3)
        kernel = self.ints(1, 4, rank)
        c, o = self.ints(1, 4, 2)
        attributes = {"group": groups} | self.windows(kernel, [3] * rank)
        if self.one(True, False):
            attributes["kernel_shape"] = kernel
        x = self.array((self.one(1, 2), c * groups, *self.ints(7, 11, rank)), dtype)
        return x, self.array((o * groups, c, *kernel), dtype), self.one(None, self.array((o * groups,), dtype)), attributes


def compare(operator, inputs, attributes, got, runtime, tolerance=0.0):
    """Whether ONNX Runtime had an answer; if so, it was the same."""
    wants = in_runtime(runtime, operator, inputs, attributes, len(got))
    for a, b in zip(got, wants or []):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), attributes
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{operator} {attributes}")
    return wants is not None


def taps(n, kernel, stride, dilation, before, after, ceil):
    """The places of each window's taps along an axis, also those in the padding; by ONNX's formula."""
    rest = n + before + after - dilation * (kernel - 1) - 1
    windows = -(-rest // stride) + 1 if ceil else rest // stride + 1
    if ceil and (windows - 1) * stride >= n + before:
        windows -= 1
    return [[o * stride - before + j * dilation for j in range(kernel)] for o in range(windows)]

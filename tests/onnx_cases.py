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

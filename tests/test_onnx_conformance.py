"""ONNX's own node cases for the operators of cyconv.onnx.OPS, all of them."""

import warnings
from collections import defaultdict

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

import cyconv.onnx  # noqa: E402

NAMES = [operator.__name__ for operator in cyconv.onnx.OPS]


@pytest.fixture(scope="module")
def cases():
    """The cases of each operator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of casts and logarithms
        from onnx.backend.test.case.node import collect_testcases

        found = defaultdict(list)
        for case in collect_testcases(None):
            for operator in {node.op_type for node in case.model.graph.node} & set(NAMES):
                found[operator].append(case)
    return found


@pytest.mark.parametrize("operator", NAMES)
def test_conforms(operator, cases):
    if operator not in {schema.name for schema in onnx.defs.get_all_schemas()}:
        pytest.skip(f"this onnx has no {operator} yet")
    assert cases[operator] or operator == "GlobalLpPool"  # of which ONNX has none
    for case in cases[operator]:
        evaluator = ReferenceEvaluator(case.model, new_ops=cyconv.onnx.OPS)
        ours = [node for node in evaluator.rt_nodes_ if node.op_type in NAMES]
        assert ours and all(type(node) in cyconv.onnx.OPS for node in ours), case.name
        for inputs, outputs in case.data_sets:
            results = evaluator.run(None, dict(zip([i.name for i in case.model.graph.input], inputs)))
            for result, output in zip(results, outputs, strict=True):
                assert (result.dtype, result.shape) == (output.dtype, output.shape), case.name
                np.testing.assert_allclose(result, output, rtol=case.rtol, atol=case.atol, err_msg=case.name)


def test_functions_that_an_operator_stands_for_run_on_ours(cases):
    if not cases["CausalConvWithState"]:
        pytest.skip("this onnx has no CausalConvWithState yet")
    assert {f"{case.name}_expanded" for case in cases["CausalConvWithState"]} <= {case.name for case in cases["Conv"]}

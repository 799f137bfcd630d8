"""Constant weights of cyconv.onnx.OPS are prepared once, and others never kept."""

from threading import Thread

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402
from onnx_cases import Chance, evaluator, model, run  # noqa: E402

import cyconv  # noqa: E402
import cyconv.onnx.attributes  # noqa: E402
import cyconv.onnx.weights  # noqa: E402
from cyconv.onnx.convolution import conv  # noqa: E402


@pytest.fixture
def plans(monkeypatch):
    """Every plan that is made."""
    made, make = [], cyconv.plans.Plan.__init__

    def counted(self, *arguments):
        made.append(self)
        make(self, *arguments)

    monkeypatch.setattr(cyconv.plans.Plan, "__init__", counted)
    return made


WEIGHTED = [("Conv", (2, 4, 3, 3)), ("ConvTranspose", (4, 2, 3, 3)), ("ConvInteger", (2, 4, 3, 3))]


@pytest.mark.parametrize(("operator", "shape"), WEIGHTED)
def test_weights_of_a_model_are_prepared_once(operator, shape, plans):
    chance, dtype = Chance(16), np.int8 if operator == "ConvInteger" else np.float32
    x, w = chance.array((1, 4, 9, 9), dtype), chance.array(shape, dtype)
    of, fed = model(operator, [x, w], opset=10 if dtype is np.int8 else 22, constant=(1,))
    session = evaluator(of)
    node = session.rt_nodes_[0]
    assert node.algorithm is None
    for _ in range(5):
        session.run(None, fed)
    assert len(plans) == 1 and node.algorithm == plans[0].algorithm


@pytest.mark.parametrize("raw", [True, False])
def test_initializers_of_both_kinds(raw, plans):
    w = Chance(17).array((2, 1, 3))
    of, fed = model("Conv", [np.ones((1, 1, 8), np.float32), w], constant=(1,))
    if not raw:  # lists of numbers, which the evaluator makes arrays that may be written to
        of.graph.initializer[0].CopyFrom(helper.make_tensor("input1", 1, w.shape, w.reshape(-1).tolist()))
    session = evaluator(of)
    assert cyconv.onnx.weights.immutable(session.rt_inits_["input1"]) == raw
    for _ in range(4):
        np.testing.assert_array_equal(session.run(None, fed)[0], conv(fed["input0"], w))
    assert len(plans) == 1
    if not raw:
        session.rt_inits_["input1"][...] = 1
        assert (session.run(None, fed)[0] == 3).all()


@pytest.mark.parametrize(("operator", "shape"), WEIGHTED)
def test_weights_that_are_fed_and_changed_in_place_are_never_stale(operator, shape, plans):
    chance, dtype = Chance(18), np.int8 if operator == "ConvInteger" else np.float32
    x, w = chance.array((1, 4, 9, 9), dtype), chance.array(shape, dtype)
    of, fed = model(operator, [x, w], opset=10 if dtype is np.int8 else 22)
    session = evaluator(of)
    for i in range(6):
        w.reshape(-1)[i] += 1
        want = run(operator, [x, w.copy()], opset=10 if dtype is np.int8 else 22)
        plans.clear()
        np.testing.assert_array_equal(session.run(None, fed)[0], want)
        assert bool(plans) == (i == 0)  # then it is known that they vary
    assert session.rt_nodes_[0].algorithm is None and session.rt_nodes_[0]._weights._kept is None


def test_a_read_only_view_of_weights_that_change(plans):
    w = np.ones((1, 1, 3), np.float32)
    view = w.view()
    view.flags.writeable = False
    of, fed = model("Conv", [np.ones((1, 1, 5), np.float32), view])
    session = evaluator(of)
    assert session.run(None, fed)[0].tolist() == [[[3, 3, 3]]]
    w += 1
    assert session.run(None, fed)[0].tolist() == [[[6, 6, 6]]]
    b = np.array([np.nan], np.float32)  # and a bias that comes in later
    of, fed = model("Conv", [np.ones((1, 1, 3), np.float32), w, b])
    session = evaluator(of)
    assert np.isnan(session.run(None, fed)[0]).all()
    b[0] = 1
    assert session.run(None, fed)[0].item() == 7
    assert session.run(None, fed | {"input2": None})[0].item() == 6


def test_plans_are_kept_for_few_shapes(plans):
    w = np.ones((1, 1, 3), np.float32)
    of, _ = model("Conv", [np.ones((1, 1, 5), np.float32), w], constant=(1,))
    session = evaluator(of)
    for _ in range(2):
        for n in range(5, 9):
            session.run(None, {"input0": np.ones((1, 1, n), np.float32)})
    assert len(plans) == 4 == cyconv.onnx.weights.PLANS
    for n in range(9, 30):
        session.run(None, {"input0": np.ones((1, 1, n), np.float32)})
    assert len(session.rt_nodes_[0]._weights._kept._plans) == 4


def test_large_weights_keep_fewer_plans():
    w = np.ones((64, 64, 8, 8), np.float32)
    session = evaluator(model("Conv", [np.ones((1, 64, 8, 8), np.float32), w], constant=(1,))[0])
    for n in range(8, 12):
        session.run(None, {"input0": np.ones((1, 64, 8, n), np.float32)})
    assert len(session.rt_nodes_[0]._weights._kept._plans) == 2


def test_what_is_promised_to_be_constant_is_not_looked_at(plans):
    x, w, b = np.ones((1, 1, 5), np.float32), np.ones((1, 1, 3), np.float32), np.ones(1, np.float32)
    node = evaluator(model("Conv", [x, w, b])[0]).rt_nodes_[0]
    node.constant(w, b)
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]]
    w[...] = 2  # a broken promise shows that nothing is compared
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]]
    assert len(plans) == 1 and node.algorithm == plans[0].algorithm
    assert node.compute(x, w.copy(), b)[0].tolist() == [[[7, 7, 7]]] and node.algorithm is None
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]] and len(plans) == 1
    node.constant(w)
    assert node.compute(x, w)[0].tolist() == [[[6, 6, 6]]] and len(plans) == 2 and node.algorithm


def test_attributes_of_a_function_may_differ_from_call_to_call(plans):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    node.attribute.append(onnx.AttributeProto(name="strides", ref_attr_name="steps", type=onnx.AttributeProto.INTS))
    session = evaluator(helper.make_function("own", "f", ["x", "w"], ["y"], [node], [helper.make_opsetid("", 22)], ["steps"]))
    feed = {"x": np.ones((1, 1, 9), np.float32), "w": np.ones((1, 1, 1), np.float32)}
    assert [session.run(None, feed, attributes={"steps": [s]})[0].shape[2] for s in (1, 2, 4)] == [9, 5, 3]
    assert not plans


def test_threads_share_a_node():
    x, w = Chance(19).array((1, 8, 20, 20)), Chance(20).array((8, 8, 3, 3))
    session = evaluator(model("Conv", [x, w], constant=(1,))[0])
    wrong = []

    def work():
        for n in range(4, 20):
            if not np.array_equal(session.run(None, {"input0": x[..., :n]})[0], conv(x[..., :n], w)):
                wrong.append(n)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

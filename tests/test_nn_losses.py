"""Losses: against central differences and PyTorch, in every precision, and what they refuse."""

import numpy as np
import pytest
from nn_cases import (
    central_differences,
    random,
)

from cyconv import nn
from cyconv.functional import network


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2), (2, 4, 3, 2), (3, 1)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1.0])
def test_cross_entropy(torch, shape, reduction, label_smoothing):
    target = np.random.default_rng(1).integers(0, shape[1], shape[:1] + shape[2:])
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6), ("float16", 2e-3)):
        logits = (random(shape) * 5).astype(dtype)
        loss = nn.CrossEntropyLoss(reduction=reduction, label_smoothing=label_smoothing)
        value = loss(logits, target.astype("uint8"))
        gradient = loss.backward()
        assert type(value) is float and gradient.dtype == dtype and gradient.shape == shape
        assert value == network.cross_entropy(logits, target, reduction=reduction, label_smoothing=label_smoothing)
        tensor = torch.from_numpy(logits.astype("float64")).requires_grad_()
        twin = torch.nn.CrossEntropyLoss(reduction=reduction, label_smoothing=label_smoothing)(tensor, torch.from_numpy(target))
        twin.backward()
        assert value == pytest.approx(twin.item(), rel=tolerance, abs=tolerance)
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=tolerance, atol=tolerance)
    logits = random(shape)
    loss(logits, target)
    np.testing.assert_allclose(loss.backward(2.5), 2.5 * central_differences(lambda: loss(logits, target), logits), rtol=1e-6, atol=1e-8)


def test_cross_entropy_of_large_logits():
    loss = nn.CrossEntropyLoss()
    assert loss(np.array([[1e30, 0, -1e30]], np.float32), np.array([0])) == 0
    np.testing.assert_array_equal(loss.backward(), [[0, 0, 0]])
    assert loss(np.array([[0.0, 1000.0]]), np.array([0])) == 1000
    np.testing.assert_array_equal(loss.backward(), [[-1, 1]])


def test_cross_entropy_is_summed_in_double_precision():
    logits = np.broadcast_to(np.float32([[0.5, 0]]), (2**25, 2))[: 2**18]
    target = np.zeros(len(logits), int)
    single = nn.CrossEntropyLoss(reduction="sum")(logits[:1], target[:1])
    assert nn.CrossEntropyLoss(reduction="sum")(logits, target) == pytest.approx(single * len(logits), rel=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_refuses(label_smoothing):
    loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    x = np.zeros((2, 3), np.float32)
    for target, error, message in (
        ([0, 3], ValueError, "target must be from 0 to 2, since the input has 3 classes; got 3"),
        ([-1, 0], ValueError, "got -1"),
        (np.zeros(2), TypeError, "target has dtype float64"),
        ([True, False], TypeError, "target has dtype bool"),
        ([0], ValueError, r"target must have shape \(2,\) for an input of shape \(2, 3\), got \(1,\)"),
        (np.zeros((2, 3), int), ValueError, r"target must have shape \(2,\)"),
    ):
        with pytest.raises(error, match=r"^CrossEntropyLoss\(.*\): .*" + message):
            loss(x, np.array(target))
        with pytest.raises(error, match=message):
            network.cross_entropy(x, np.array(target), label_smoothing=label_smoothing)
    with pytest.raises(ValueError, match=r"input must have shape \(N, K\) or \(N, K, ...\), got \(3,\)"):
        loss(x[0], np.array(0))
    with pytest.raises(TypeError, match="input has dtype int64"):
        loss(np.zeros((2, 3), int), np.zeros(2, int))
    with pytest.raises(ValueError, match="reduction must be one of 'mean', 'sum'; got 'none'"):
        nn.CrossEntropyLoss(reduction="none")
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1"):
        nn.CrossEntropyLoss(label_smoothing=2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_mean_squares(torch, reduction):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6), ("float16", 2e-3)):
        x, target = random((3, 4), dtype=dtype), random((3, 4), 1, dtype)
        loss = nn.MSELoss(reduction)
        value = loss(x, target)
        gradient = loss.backward(0.5)
        tensor = torch.from_numpy(x.astype("float64")).requires_grad_()
        twin = torch.nn.MSELoss(reduction=reduction)(tensor, torch.from_numpy(target.astype("float64")))
        (0.5 * twin).backward()
        assert type(value) is float and gradient.dtype == dtype
        assert value == pytest.approx(twin.item(), rel=tolerance)
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=tolerance, atol=tolerance)
    with pytest.raises(ValueError, match=r"^MSELoss\(.*\): target must have the input's shape \(3, 4\), got \(3,\)"):
        loss(x, target[:, 0])
    with pytest.raises(TypeError, match="target must have the input's dtype float16, got float64"):
        loss(x, target.astype("float64"))
    with pytest.raises(TypeError, match="input has dtype int64"):
        loss(np.ones(3, int), np.ones(3, int))
    assert [repr(each) for each in (nn.MSELoss(), nn.MSELoss("sum"))] == ["MSELoss()", "MSELoss(reduction='sum')"]
    assert repr(nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.1)) == "CrossEntropyLoss(reduction='sum', label_smoothing=0.1)"


def test_losses_without_a_call():
    loss = nn.MSELoss()
    with pytest.raises(ValueError, match=r"^MSELoss\(\): backward needs a call in training mode before it; forward has not been called"):
        loss.backward()
    loss(np.ones(2), np.ones(2))
    assert loss.backward(input_grad=False) is None
    with pytest.raises(ValueError, match="backward was called twice"):
        loss.backward()
    loss.eval()(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="the layer is in eval mode"):
        loss.backward()


def test_losses_of_half_precision_are_computed_in_single():
    half = np.float16
    assert network.cross_entropy(np.array([[6e4, -6e4]], half), np.array([1])) == pytest.approx(120000, rel=1e-3)
    assert network.softmax(np.array([[0.0012, 10.0]], half))[0, 0] == half(np.exp(-10 + float(half(0.0012))))
    loss = nn.MSELoss()
    loss(np.array([0.0, 1e-3], half), np.zeros(2, half))
    np.testing.assert_allclose(loss.backward(131072.0), [0, 131], atol=0.2)
    a = np.full(10**6, 300, half)
    loss(a, np.zeros_like(a))
    assert loss.backward()[0] == half(6e-4)
    assert loss(np.array([6e4], half), np.array([-6e4], half)) == pytest.approx(1.44e10, rel=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted, ignore", [(False, 2), (True, -100), (True, 1)])
def test_cross_entropy_with_weights_and_what_is_ignored(weighted, ignore, reduction, smoothing):
    rng = np.random.default_rng(1)
    for shape in ((7, 4), (3, 5, 2, 3)):
        logits, target = rng.standard_normal(shape), rng.integers(0, shape[1], shape[:1] + shape[2:])
        weight = rng.uniform(0.2, 2, shape[1]) if weighted else None
        loss = nn.CrossEntropyLoss(weight, ignore, reduction, smoothing)
        found = loss(logits, target)
        gradient = loss.backward()
        for place in rng.choice(logits.size, 6, replace=False):
            step = np.zeros(logits.size)
            step[place] = 1e-5
            step = step.reshape(shape)
            ends = [network.cross_entropy(logits + s * step, target, weight, ignore, reduction, smoothing) for s in (1, -1)]
            assert gradient.flat[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)
        torch = pytest.importorskip("torch")
        theirs = torch.nn.CrossEntropyLoss(
            None if weight is None else torch.from_numpy(weight), ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
        )
        assert found == pytest.approx(theirs(torch.from_numpy(logits), torch.from_numpy(target)).item(), rel=1e-12)


def test_class_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"weight must have shape \(3,\) for an input of shape \(2, 3\), got \(4,\)"):
        nn.CrossEntropyLoss(np.ones(4))(np.zeros((2, 3)), np.zeros(2, int))
    with pytest.raises(TypeError, match="weight has dtype int64"):
        nn.CrossEntropyLoss(np.ones(4, int))
    assert np.isnan(nn.CrossEntropyLoss(ignore_index=1)(np.zeros((2, 3)), np.ones(2, int)))
    with pytest.raises(ValueError, match="padding_mode must be one of 'zeros'"):
        nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect")

"""What layers compute, as functions: against NumPy and PyTorch, and what they refuse."""

import numpy as np
import pytest
from nn_cases import random, spread

from cyconv import functional, nn

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(torch, dtype, dim):
    x = (random((3, 4, 5)) * 10).astype(dtype)
    for name in ("softmax", "log_softmax"):
        got = getattr(functional, name)(x, dim)
        want = getattr(torch.nn.functional, name)(torch.from_numpy(x).double(), dim).numpy()
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(functional.softmax(np.array([0.0, 1000.0, -np.inf])), [0, 1, 0])
    with pytest.raises(ValueError, match="dim must be an axis of the input, got 3"):
        functional.softmax(x, 3)
    with pytest.raises(TypeError, match="input has dtype int64"):
        functional.log_softmax(np.ones(3, int))


def test_relu_writes_where_it_is_told():
    x = spread((3, 4))
    out = np.empty_like(x)
    assert functional.relu(x, out=out) is out
    np.testing.assert_array_equal(out, np.maximum(x, 0))
    assert functional.relu(x, out=x) is x
    np.testing.assert_array_equal(x, out)
    with pytest.raises(ValueError, match="out must have shape"):
        functional.relu(x, out=out[:1])
    with pytest.raises(TypeError, match="input has dtype complex128"):
        functional.relu(x * 1j)


def test_linear_function(torch):
    for dtype in ("float32", "complex128", "int32"):
        x, w, b = (np.random.default_rng(i).integers(-5, 6, shape).astype(dtype) for i, shape in enumerate(((2, 3, 4), (5, 4), (5,))))
        np.testing.assert_array_equal(functional.linear(x, w, b), x @ w.T + b)
        np.testing.assert_array_equal(functional.linear(x, w), torch.nn.functional.linear(torch.from_numpy(x), torch.from_numpy(w)).numpy())
    with pytest.raises(ValueError, match="weight must have 2 axes"):
        functional.linear(x, w[0])


def test_batch_norm_function(torch):
    x, w, b = random((4, 3, 5)), random(3, 1), random(3, 2)
    for training, affine, tracked in ((True, True, True), (False, True, True), (True, False, False), (False, True, False)):
        ours = (np.zeros(3), np.ones(3)) if tracked else (None, None)
        theirs = [None if a is None else torch.from_numpy(a.copy()) for a in ours]
        more = (w, b) if affine else (None, None)
        own, tensors = training or not tracked, [None if a is None else torch.from_numpy(a) for a in more]
        want = torch.nn.functional.batch_norm(torch.from_numpy(x), *theirs, *tensors, own, 0.3)
        np.testing.assert_allclose(functional.batch_norm(x, *ours, *more, training, 0.3), want.numpy(), rtol=1e-9, atol=1e-12)
        for mine, other in zip(ours, theirs):
            if tracked:
                np.testing.assert_allclose(mine, other.numpy(), rtol=1e-12)
    with pytest.raises(ValueError, match=r"weight of shape \(2,\) is for 2 channels; input of shape \(4, 3, 5\) has 3"):
        functional.batch_norm(x, None, None, w[:2])
    zeros, ones = np.zeros(3), np.ones(3)
    integers = np.ones(3, int)
    for mean, var, got in ((zeros, None, "NoneType"), (None, ones, "NoneType"), ([0] * 3, ones, "dtype int64"), (zeros, integers, "dtype int64")):
        with pytest.raises(TypeError, match=f"must be an ndarray of a floating dtype, or None like the other one; got {got}"):
            functional.batch_norm(x, mean, var)
    with pytest.raises(TypeError, match="running_mean must be an ndarray of a floating dtype, or None like the other one; got list"):
        functional.batch_norm(x, [0.0] * 3, ones, training=True)  # a list cannot be moved
    assert np.array_equal(functional.batch_norm(x, [0.0] * 3, [1.0] * 3), functional.batch_norm(x, zeros, ones))
    with pytest.raises(ValueError, match=r"running_var of shape \(2,\) is for 2 channels"):
        functional.batch_norm(x, np.zeros(3), np.ones(2))
    with pytest.raises(TypeError, match="bias has float32"):
        functional.batch_norm(x, None, None, None, b.astype("float32"))
    with pytest.raises(ValueError, match="a variance needs more than one value"):
        functional.batch_norm(x[:1, :, :1], None, None)


def test_dropout_function():
    x = np.ones((50, 40), np.float32)
    assert functional.dropout(x, 0.5, False) is x
    np.testing.assert_array_equal(functional.dropout(x, 0.5, seed=1), nn.Dropout(0.5, seed=1)(x))
    shared = np.random.default_rng(1)
    assert (functional.dropout(x, 0.5, seed=shared) != functional.dropout(x, 0.5, seed=shared)).any()
    with pytest.raises(ValueError, match="p must be from 0 to 1"):
        functional.dropout(x, 2)

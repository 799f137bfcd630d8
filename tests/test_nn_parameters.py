"""Parameters: arrays with a gradient beside them, plain arrays in all that is computed from them."""

import copy
import pickle

import numpy as np
import pytest
from nn_cases import random

import cyconv
from cyconv import nn


def test_results_are_plain_arrays():
    p = nn.Parameter(random((3, 4)))
    a = np.array(p)
    assert type(a) is np.ndarray
    for found, want in (
        (p + 1, a + 1),
        (2 * p, 2 * a),
        (-p, -a),
        (a - p, a - a),
        (p @ p.T, a @ a.T),
        (p > 0, a > 0),
        (p.sum(0), a.sum(0)),
        (p.mean(1), a.mean(1)),
        (p.max(axis=0), a.max(axis=0)),
        (p.std(axis=0), a.std(axis=0)),
        (p.argmax(0), a.argmax(0)),
        (p.cumsum(), a.cumsum()),
        (p.dot(p.T), a.dot(a.T)),
        (np.ones((2, 3)).dot(p), np.ones((2, 3)).dot(a)),
        (np.ones((2, 3)) @ p, np.ones((2, 3)) @ a),
        (p.clip(0, 1), a.clip(0, 1)),
        (p.round(1), a.round(1)),
        (p.T, a.T),
        (p.real, a.real),
        (p[0], a[0]),
        (p[:, 1:2], a[:, 1:2]),
        (p[p > 0], a[a > 0]),
        (p.reshape(-1), a.reshape(-1)),
        (p.astype("float32"), a.astype("float32")),
        (p.copy(), a),
        (p.ravel(), a.ravel()),
        (np.exp(p), np.exp(a)),
        (np.add.reduce(p), np.add.reduce(a)),
        (np.concatenate([p, a]), np.concatenate([a, a])),
        (np.where(p > 0, p, 0), np.where(a > 0, a, 0)),
        (np.einsum("ij,kj->ik", p, p), np.einsum("ij,kj->ik", a, a)),
        (np.stack([p, p]), np.stack([a, a])),
        (np.zeros_like(p), np.zeros_like(a)),
        (np.linalg.norm(p, axis=0), np.linalg.norm(a, axis=0)),
        (np.asarray(p), a),
    ):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, want)
    for row in p:
        assert type(row) is np.ndarray
    assert np.modf(p)[0].shape == (3, 4) and type(np.modf(p)[1]) is np.ndarray
    assert isinstance(p.sum(), np.float64) and float(nn.Parameter(2.5)) == 2.5
    assert p.grad is None and p.requires_grad is True


def test_parameters_change_in_place():
    p = nn.Parameter(np.zeros((2, 3)))
    same = p
    p += 1
    p *= 3
    p[0, 1] = 7
    p[1] -= 1
    np.add(p, 1, out=p)
    np.subtract.at(p, (0, 0), 4)
    assert p is same and type(p) is nn.Parameter
    np.testing.assert_array_equal(p, [[0, 8, 4], [3, 3, 3]])
    assert np.multiply(p, 2, out=p) is p
    parts = np.modf(p / 4, out=(p, None))
    assert parts[0] is p and type(parts[1]) is np.ndarray
    a = np.ones((2, 3))
    a += p
    assert type(a) is np.ndarray
    p.sum(0, out=a[0])
    np.testing.assert_array_equal(a[0], np.asarray(p).sum(0))


def test_parameters_are_copies_of_floats():
    a = np.ones((2, 3)).T
    p = nn.Parameter(a)
    p[...] = 5
    assert (a == 1).all() and p.flags.c_contiguous and p.flags.writeable
    assert nn.Parameter(a.astype(">f4")).dtype == np.float32
    assert nn.Parameter(nn.Parameter([1.0], False)).requires_grad is True
    with pytest.raises(TypeError, match="data has dtype int64"):
        nn.Parameter([1, 2])
    with pytest.raises(TypeError, match="requires_grad must be True or False"):
        nn.Parameter([1.0], 1)


def test_gradients_fit_their_parameters():
    p = nn.Parameter(np.zeros((2, 3)))
    p.grad = [[1, 2, 3], [4, 5, 6]]
    assert type(p.grad) is np.ndarray
    with pytest.raises(ValueError, match=r"grad must have the parameter's shape \(2, 3\), got \(3,\)"):
        p.grad = np.zeros(3)
    p.grad = None
    p.accumulate(np.ones((2, 3)))
    p.accumulate(np.ones((2, 3)))
    assert (p.grad == 2).all()
    p.requires_grad = False
    p.accumulate(np.ones((2, 3)))
    assert (p.grad == 2).all()
    with pytest.raises(ValueError, match="grad must have"):
        nn.Parameter([1.0]).accumulate(np.ones(2))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, *(lambda p, k=k: pickle.loads(pickle.dumps(p, k)) for k in range(6))])
def test_copies_keep_gradients(how):
    p = nn.Parameter(random((2, 3)), requires_grad=False)
    p.grad = random((2, 3), 1)
    q = how(p)
    assert type(q) is nn.Parameter and q.requires_grad is False and type(q.grad) is np.ndarray
    np.testing.assert_array_equal(q, p)
    np.testing.assert_array_equal(q.grad, p.grad)
    q += 1
    q.grad += 1
    assert (q != p).all() and (q.grad != p.grad).all()
    p.grad = None
    assert how(p).grad is None


def test_functions_take_parameters(torch):
    p, x = nn.Parameter(random((3, 2, 3))), random((1, 2, 6))
    y = cyconv.conv1d(x, p)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, cyconv.conv1d(x, np.asarray(p)))
    assert repr(nn.Parameter([1.0, 2.0])) == "Parameter([1., 2.])" and str(nn.Parameter([1.0, 2.0])) == "[1. 2.]"


def test_a_gradient_is_real():
    with pytest.raises(TypeError, match="grad has dtype complex128"):
        nn.Parameter([1.0]).grad = np.array([1j])

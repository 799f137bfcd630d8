"""max_unpool and gradients of max pools against the obvious NumPy of cyconv.reference: every dtype, on one thread and on several, and
what they refuse."""

import numpy as np
import pytest
from pool_cases import sample

import cyconv
from cyconv import reference
from cyconv.pool_problem import MAX_DTYPES

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("dtype", MAX_DTYPES + ("complex64", "complex128"))
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpool_puts_maxima_back(dtype, rank):
    max_pool, max_unpool = getattr(cyconv, f"max_pool{rank}d"), getattr(cyconv, f"max_unpool{rank}d")
    x = sample((2, 3, 7, 6, 5)[: rank + 2], "int8")
    _, indices = max_pool(x, 2, 2, return_indices=True)
    values = np.take_along_axis(sample(x.shape, dtype).reshape(2, 3, -1), indices.reshape(2, 3, -1), -1).reshape(indices.shape)
    result = max_unpool(values, indices, 2, output_size=x.shape)
    np.testing.assert_array_equal(result, reference.max_unpool(values, indices, x.shape[2:]))
    np.testing.assert_array_equal(max_unpool(values, indices.astype(np.uint8), 2, output_size=x.shape[2:]), result)
    taken = np.take_along_axis(result.reshape(2, 3, -1), indices.reshape(2, 3, -1), -1).reshape(indices.shape)
    np.testing.assert_array_equal(taken, values)
    out = np.asfortranarray(np.ones_like(result))
    assert max_unpool(values[0], indices[0], 2, output_size=x.shape[2:], out=out[0]).base is not None
    np.testing.assert_array_equal(out[0], result[0])


def test_of_several_values_at_one_index_the_last_stays():
    np.testing.assert_array_equal(cyconv.max_unpool1d(np.array([[1, 2, 3]]), np.array([[4, 4, 0]]), 2), [[3, 0, 0, 0, 2, 0]])


@pytest.mark.parametrize("dtype", ["float32", "int8", "complex128"])
def test_threads_unpool_as_one_does(dtype):
    x = sample((8, 40, 60, 60), dtype) if dtype != "complex128" else sample((8, 40, 60, 60), "int8").astype(dtype)
    _, indices = cyconv.max_pool2d(x.real, 3, 1, return_indices=True)  # many values at one place: the last one stays
    values = np.arange(indices.size).reshape(indices.shape).astype(dtype)
    with cyconv.threads(1):
        expected = cyconv.max_unpool2d(values, indices, 3, 1)
    np.testing.assert_array_equal(expected[3, 7:9], reference.max_unpool(values[3, 7:9], indices[3, 7:9], (60, 60)))
    for count in (2, 3):
        with cyconv.threads(count):
            assert cyconv.max_unpool2d(values, indices, 3, 1).tobytes() == expected.tobytes()
    indices[2, 3, 4, 5], indices[7, 0, 0, 0] = 3600, -1
    for count in (1, 3):
        with cyconv.threads(count), pytest.raises(ValueError, match="got 3600"):
            cyconv.max_unpool2d(values, indices, 3, 1)


@pytest.mark.parametrize("bad", [-1, 16, 2**63 - 1, -(2**63)])
def test_unpool_refuses_indices_outside_the_plane(bad):
    with pytest.raises(ValueError, match=rf"indices must be at least 0 and below 16, .*; got {bad}"):
        cyconv.max_unpool2d(np.ones((1, 2, 2)), np.array([[[0, 1], [2, bad]]]), 2)
    with pytest.raises(ValueError, match="indices must be at least 0"):
        cyconv.max_unpool2d(np.ones((1, 1, 1)), np.array([[[2**64 - 1]]], np.uint64), 2)
    with pytest.raises(ValueError, match=rf"indices must be at least 0 and below 16, .*; got {bad}"):
        cyconv.grad.max_pool2d_input((1, 4, 4), np.array([[[0, 1], [2, bad]]]), np.ones((1, 2, 2)))


# ---- gradients of max pools ----------------------------------------------------------------------------------------------

GRAD = {rank: getattr(cyconv.grad, f"max_pool{rank}d_input") for rank in (1, 2, 3)}
NUMBERS = tuple(dtype for dtype in MAX_DTYPES if dtype != "bool") + ("complex64", "complex128")


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_add_up_where_maxima_were(dtype, rank):
    x = sample((2, 3, 7, 6, 5)[: rank + 2], "int8")
    for pool, words in (("max", {}), ("min", {}), ("max", {"padding": 1, "dilation": 2, "ceil_mode": True})):
        _, indices = getattr(cyconv, f"{pool}_pool{rank}d")(x, 3, 1, return_indices=True, **words)
        grad = sample(indices.shape, "int8").astype(dtype)
        expected = reference.max_pool_input(x.shape[2:], indices, grad)
        result = GRAD[rank](x.shape, indices, grad)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(GRAD[rank](list(x.shape), indices.astype(np.uint16).tolist(), grad), expected)
        out = np.asfortranarray(np.ones_like(result))
        assert GRAD[rank](x.shape[1:], indices[0], grad[0], out=out[0]).base is out
        np.testing.assert_array_equal(out[0], expected[0])


def test_gradients_of_views_and_into_what_they_come_from():
    x = sample((2, 6, 9, 8), "float32")
    _, indices = cyconv.max_pool2d(x, 3, 1, 1, return_indices=True)
    grad = sample(x.shape, "float32")
    expected = reference.max_pool_input((9, 8), indices, grad)
    swapped = np.asfortranarray(grad).astype(">f4")
    np.testing.assert_array_equal(GRAD[2](x.shape, np.asfortranarray(indices).astype(">i8"), swapped), expected)
    assert GRAD[2](x.shape, indices, grad, out=grad) is grad
    np.testing.assert_array_equal(grad, expected)


def test_gradients_of_half_precision_are_rounded_once():
    grad = np.array([[2048, 1, 1, 1]], np.float16)  # 2048 + 1 is 2048 in half precision
    np.testing.assert_array_equal(GRAD[1]((1, 2), np.ones((1, 4), int), grad), np.array([[0, 2051]], np.float16))
    many = GRAD[1]((1, 2), np.ones((1, 4), int), np.full((1, 4), 3e4, np.float16))
    assert many.tolist() == [[0, np.inf]]


def test_gradients_of_adaptive_pools():
    x = sample((2, 3, 11, 13), "float64")
    _, indices = cyconv.adaptive_max_pool2d(x, (5, 4), return_indices=True)
    grad = sample(indices.shape, "float64")
    np.testing.assert_array_equal(GRAD[2](x.shape, indices, grad), reference.max_pool_input((11, 13), indices, grad))


@pytest.mark.parametrize("shape", [(1, 1, 700, 900), (3, 2, 300, 500), (8, 40, 60, 60), (1, 1, 1, 70000)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
@pytest.mark.parametrize("order", ["pool", "shuffled", "one place"])
def test_threads_add_up_as_one_does(shape, dtype, order):
    """Large planes are cut into bands; where indices are out of order, they are not."""
    x = sample(shape, "float32")
    _, indices = cyconv.max_pool2d(x, (min(3, shape[2]), 3), 1, return_indices=True)
    if order == "shuffled":
        indices = np.random.default_rng(0).permuted(indices, axis=-1)
        indices = np.random.default_rng(0).permuted(indices, axis=-2)
    elif order == "one place":
        indices[...] = indices.max()
    grad = np.random.default_rng(1).random(indices.shape) * 100  # inexact sums: their order shows
    grad = grad.astype(dtype)
    with cyconv.threads(1):
        expected = GRAD[2](shape, indices, grad)
    np.testing.assert_array_equal(expected, reference.max_pool_input(shape[2:], indices, grad))
    unpooled = reference.max_unpool(grad[:1, :1], indices[:1, :1], shape[2:])
    out = np.ones_like(expected)
    for count in (1, 2, 3):
        with cyconv.threads(count):
            assert GRAD[2](shape, indices, grad).tobytes() == expected.tobytes()
            assert GRAD[2](shape, indices, grad, out=out) is out
            assert out.tobytes() == expected.tobytes()
            found = cyconv.max_unpool2d(grad, indices, (min(3, shape[2]), 3), 1, output_size=shape)
            assert found[:1, :1].tobytes() == unpooled.tobytes()


@pytest.mark.parametrize("bad", [3600, -1])
def test_an_impossible_index_leaves_out_as_it_was(bad):
    out = np.arange(3600.0).reshape(1, 60, 60)
    before = out.copy()
    indices = np.zeros((1, 60, 60), int)
    indices[0, 59, 59] = bad
    with pytest.raises(ValueError, match=f"below 3600, .* got {bad}"):
        GRAD[2](out.shape, indices, np.ones((1, 60, 60)), out=out)
    np.testing.assert_array_equal(out, before)


def test_empty_gradients():
    assert GRAD[2]((0, 3, 4, 4), np.empty((0, 3, 2, 2), int), np.empty((0, 3, 2, 2))).shape == (0, 3, 4, 4)
    np.testing.assert_array_equal(GRAD[1]((2, 3), np.empty((2, 0), int), np.empty((2, 0))), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="indices must be at least 0 and below 0"):
        GRAD[1]((1, 0), np.zeros((1, 1), int), np.ones((1, 1)))


@pytest.mark.parametrize(
    "input_size, indices, grad, error, message",
    [
        ((1, 4, 4), np.zeros((1, 2, 2), int), np.ones((1, 2, 3)), ValueError, r"indices must have grad_output's shape \(1, 2, 3\)"),
        ((1, 4, 4), np.zeros((1, 2, 2)), np.ones((1, 2, 2)), TypeError, "indices has dtype float64"),
        ((1, 4, 4), np.zeros((1, 2, 2), int), np.ones((1, 2, 2), bool), TypeError, "grad_output has dtype bool"),
        ((4, 4), np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), ValueError, "as many axes as grad_output, 3; got 2 values"),
        (16, np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), TypeError, "input_size must be a sequence of 3 or 4 ints"),
        ((2, 4, 4), np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), ValueError, r"batch and channels \(1,\), got \(2,\)"),
        ((1, -4, 4), np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), ValueError, "input_size must be at least 0, got -4"),
        ((1, 2**40, 2**40), np.zeros((1, 2, 2), int), np.ones((1, 2, 2)), ValueError, "the result would have shape"),
        ((1, 1, 1, 4, 4), np.zeros((1, 1, 1, 2, 2), int), np.ones((1, 1, 1, 2, 2)), ValueError, r"must have shape \(N, C, H, W\)"),
    ],
)
def test_gradients_refuse_bad_arguments(input_size, indices, grad, error, message):
    with pytest.raises(error, match=message):
        GRAD[2](input_size, indices, grad)


def test_gradients_equal_torchs():
    torch = pytest.importorskip("torch")
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2)):
        x = np.random.default_rng(0).random((3, 4, 20, 21))
        tensor = torch.from_numpy(x).requires_grad_()
        maxima = torch.nn.functional.max_pool2d(tensor, kernel, stride, padding)
        grad = np.random.default_rng(1).random(maxima.shape)
        maxima.backward(torch.from_numpy(grad))
        _, indices = cyconv.max_pool2d(x, kernel, stride, padding, return_indices=True)
        np.testing.assert_allclose(GRAD[2](x.shape, indices, grad), tensor.grad.numpy(), rtol=1e-13)

"""max_unpool against the obvious NumPy of cyconv.reference: every dtype, on one thread and on several, and what it refuses."""

import numpy as np
import pytest
from pool_cases import sample

import cyconv
from cyconv import reference
from cyconv.pool_problem import MAX_DTYPES


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

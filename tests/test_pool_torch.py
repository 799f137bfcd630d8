"""Pooling against torch.nn.functional, over every combination of small arguments; maxima and indices bit for bit."""

import itertools

import numpy as np
import pytest
from pool_cases import REJECTED

import cyconv

pytestmark = pytest.mark.backends

torch = pytest.importorskip("torch")
F = torch.nn.functional

rng = np.random.default_rng(0)


def maxima_input(*shape):
    """Ties, NaN and infinities."""
    x = rng.integers(-2, 3, shape).astype(np.float32)
    for value, share in ((np.nan, 0.08), (-np.inf, 0.25), (np.inf, 0.05)):
        x[rng.random(shape) < share] = value
    return x


def same_or_both_refuse(name, x, *args, exact, **kwargs):
    """Whether a call was accepted by both."""
    try:
        expected = getattr(F, name)(torch.from_numpy(x), *args, **kwargs)
    except (RuntimeError, ValueError):
        with pytest.raises(ValueError):
            getattr(cyconv, name)(x, *args, **kwargs)
        return False
    try:
        got = getattr(cyconv, name)(x, *args, **kwargs)
    except ValueError as error:  # a window without a sample: torch answers -inf and an index outside the plane
        assert "holds no sample" in str(error)
        values = expected[0] if isinstance(expected, tuple) else expected
        assert torch.isinf(values).any()
        return False
    message = f"{name}{args} {kwargs} of {x.shape}"
    for a, b in zip(got, expected) if isinstance(got, tuple) else [(got, expected)]:
        assert a.shape == tuple(b.shape), message
        if exact or a.dtype == np.int64:
            np.testing.assert_array_equal(a, b.numpy(), err_msg=message)
        else:
            np.testing.assert_allclose(a, b.numpy(), rtol=3e-6, atol=1e-7, err_msg=message)
    return True


KERNELS, STRIDES, PADDINGS, DILATIONS, FLAGS = (1, 2, 3, 4), (None, 1, 2, 3), (0, 1, 2), (1, 2, 3), (False, True)
OPTIONS = list(itertools.product(KERNELS, STRIDES, PADDINGS, DILATIONS, FLAGS))


@pytest.mark.parametrize("size", range(1, 9))
def test_max_pool1d_everywhere(size):
    x = maxima_input(2, 3, size)
    accepted = 0
    for options in OPTIONS:
        accepted += same_or_both_refuse("max_pool1d", x, *options, exact=True)
        same_or_both_refuse("max_pool1d", x, *options, return_indices=True, exact=True)
    assert accepted >= 24


@pytest.mark.parametrize("size", [(5, 6), (7, 3), (1, 4)])
def test_max_pool2d_everywhere(size):
    x = maxima_input(2, *size)
    for options in OPTIONS:
        same_or_both_refuse("max_pool2d", x, *options, return_indices=True, exact=True)
    for kernel in itertools.product((1, 2, 3), (1, 3)):
        for stride, padding, dilation in itertools.product(((1, 2), (2, 1)), ((0, 1), (1, 0)), ((1, 2), (2, 1))):
            same_or_both_refuse("max_pool2d", x, kernel, stride, padding, dilation, True, return_indices=True, exact=True)


def test_max_pool3d_everywhere():
    x = maxima_input(2, 3, 4, 5)
    for options in itertools.product((1, 2, 3, (1, 2, 3)), (None, 1, 2), (0, 1), (1, 2), FLAGS):
        same_or_both_refuse("max_pool3d", x, *options, return_indices=True, exact=True)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "float16", "float64"])
def test_max_pool_of_other_dtypes(dtype):
    x = rng.integers(0, 4, (2, 3, 8, 9)).astype(dtype)
    for options in itertools.product((2, 3), (1, 2), (0, 1), (1, 2), FLAGS):
        assert same_or_both_refuse("max_pool2d", x, *options, return_indices=True, exact=True)


@pytest.mark.parametrize("size", range(1, 9))
def test_avg_pool1d_everywhere(size):
    x = rng.integers(-9, 10, (2, 3, size)).astype(np.float32)
    for kernel, stride, padding, ceil_mode, include in itertools.product(KERNELS, STRIDES, PADDINGS, FLAGS, FLAGS):
        same_or_both_refuse("avg_pool1d", x, kernel, stride, padding, ceil_mode, include, exact=False)


@pytest.mark.parametrize("rank", [2, 3])
def test_avg_pool_everywhere(rank):
    x = rng.integers(-9, 10, (2, 3, 4, 5, 6)[: rank + 2]).astype(np.float32)
    whole = x.astype(np.int64)
    for options in itertools.product(KERNELS, STRIDES, PADDINGS, FLAGS, FLAGS, (None, 1, 5, -3)):
        same_or_both_refuse(f"avg_pool{rank}d", x, *options, exact=False)
        if rank == 2:
            same_or_both_refuse("avg_pool2d", whole, *options, exact=True)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_pools_everywhere(rank):
    for size in itertools.product((1, 2, 5, 7) if rank < 3 else (2, 5), repeat=rank):
        x = maxima_input(2, *size)
        y = rng.standard_normal((2, *size), np.float32)
        for out in itertools.product((1, 2, 3, 8) if rank < 3 else (2, 3), repeat=rank):
            assert same_or_both_refuse(f"adaptive_max_pool{rank}d", x, out, return_indices=True, exact=True)
            assert same_or_both_refuse(f"adaptive_avg_pool{rank}d", y, out, exact=False)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_lp_pool_everywhere(rank):
    x = rng.uniform(0.5, 2, (2, 2, 5, 4, 6)[: rank + 2]).astype(np.float32)
    for options in itertools.product((1, 2, 3, 2.5, -1, float("inf"), -float("inf")), (1, 2, 3), (None, 1, 3), FLAGS):
        same_or_both_refuse(f"lp_pool{rank}d", x, *options, exact=False)
    for p in (1, 2, 4):
        assert same_or_both_refuse(f"lp_pool{rank}d", x - 1, p, 2, exact=False)


def test_lp_pool_of_odd_powers_keeps_signs_as_torch_does():
    x = np.array([[[1, -3, 2, 2, -1, -1.0]]], np.float32)
    with np.errstate(invalid="ignore"):
        assert same_or_both_refuse("lp_pool1d", x, 3, 2, exact=False)
        assert same_or_both_refuse("lp_pool1d", x, 1, 2, exact=False)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpool_is_torchs(rank):
    x = rng.permutation(2 * 3 * 5**rank).astype(np.float32).reshape(2, 3, *(5,) * rank)
    for kernel, stride, padding in itertools.product((2, 3), (1, 2, 3), (0, 1)):
        values, indices = getattr(cyconv, f"max_pool{rank}d")(x, kernel, stride, padding, return_indices=True)
        for output_size in (None, x.shape[2:], x.shape, (4,) * rank, (9,) * rank):
            args = kernel, stride, padding, output_size
            try:
                expected = getattr(F, f"max_unpool{rank}d")(torch.from_numpy(values), torch.from_numpy(indices), *args).numpy()
            except (RuntimeError, ValueError):
                with pytest.raises(ValueError):
                    getattr(cyconv, f"max_unpool{rank}d")(values, indices, *args)
                continue
            np.testing.assert_array_equal(getattr(cyconv, f"max_unpool{rank}d")(values, indices, *args), expected)


@pytest.mark.parametrize(("name", "args", "message"), REJECTED)
def test_torch_rejects_it_too(name, args, message):
    args = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
    with pytest.raises((RuntimeError, ValueError, TypeError, ArithmeticError)):
        getattr(F, name)(*args)

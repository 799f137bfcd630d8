"""Pools whose padding differs before and after, or is a word: the same as padding first and pooling then."""

import itertools
from functools import partial

import numpy as np
import pytest
from pool_cases import sample

import cyconv
from cyconv import menu

pytestmark = pytest.mark.backends

KERNELS = [row.name for row in menu.POOL if row.name != "reference"]


def window_pool(kind, x, axis, kernel, stride, sides, dilation=1, ceil_mode=False, counted=None):
    """x reduced along one axis, as written down: pad with what cannot matter, then window by window.

    For averages, which are x's sums, `counted` gets the divisors.
    """
    before, after = sides
    n, span = x.shape[axis], dilation * (kernel - 1) + 1
    steps = (before + n + after - span) / stride
    starts = [o * stride for o in range((int(np.ceil(steps)) if ceil_mode else int(np.floor(steps))) + 1)]
    starts = [start for start in starts if start < before + n]
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after + span + stride)  # more than ceil_mode can reach
    padded = np.pad(x, widths, constant_values=-np.inf if kind == "max" else 0)
    taps = [padded.take(range(start, start + span, dilation), axis) for start in starts]
    if counted is not None:
        counted.extend(min(start + span, before + n + after) - start for start in starts)
    return np.stack([t.max(axis) if kind == "max" else t.sum(axis) for t in taps], axis)


def same_sides(word, n, kernel, stride, dilation=1):
    total = max((int(np.ceil(n / stride)) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)
    return {"valid": (0, 0), "same_upper": (total // 2, (total + 1) // 2), "same_lower": ((total + 1) // 2, total // 2)}[word]


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("kernel", range(1, 6))
def test_padding_of_each_side_is_pad_then_pool(algorithm, kernel):
    """Every size, stride, pair of sides and ceil_mode up to a small bound, on one axis."""
    done = 0
    for n, stride, before, after, ceil_mode in itertools.product(
        range(1, 9), range(1, 5), range(kernel // 2 + 1), range(kernel // 2 + 1), (False, True)
    ):
        x = sample((3, n), "float64", seed=n)
        sides = (before, after)
        if before + n + after < kernel:
            continue
        counted = []
        sums = window_pool("average", x, 1, kernel, stride, sides, 1, ceil_mode, counted)
        pool = partial(cyconv.avg_pool1d, x, kernel, stride, [sides], ceil_mode, algorithm=algorithm)
        np.testing.assert_array_equal(pool(), sums / counted)
        held = window_pool("average", np.ones_like(x), 1, kernel, stride, sides, 1, ceil_mode)
        np.testing.assert_array_equal(pool(count_include_pad=False), sums / held)
        for dilation in (1, 2, 3):
            if before + n + after < dilation * (kernel - 1) + 1:
                continue
            expected = window_pool("max", x, 1, kernel, stride, sides, dilation, ceil_mode)
            call = partial(cyconv.max_pool1d, x, kernel, stride, (sides,), dilation, ceil_mode, algorithm=algorithm)
            if np.isinf(expected).any():
                with pytest.raises(ValueError, match="leaves a window that holds no sample"):
                    call()
                continue
            values, indices = call(return_indices=True)
            np.testing.assert_array_equal(values, expected)
            np.testing.assert_array_equal(call(), expected)
            first = [np.flatnonzero(taps == top)[0] for taps, top in window_taps(x, kernel, stride, before, dilation, expected)]
            starts = np.arange(expected.shape[1]) * stride - before
            np.testing.assert_array_equal(indices.reshape(-1), np.tile(starts, 3) + dilation * np.array(first))
            done += 1
    assert done > 50


def window_taps(x, kernel, stride, before, dilation, expected):
    """The samples of each window, in the order of `expected`, with -inf for what does not exist; and their maximum."""
    for row, tops in zip(x, expected):
        for o, top in enumerate(tops):
            places = o * stride - before + dilation * np.arange(kernel)
            inside = (places >= 0) & (places < len(row))
            yield np.where(inside, row[np.where(inside, places, 0)], -np.inf), top


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("word", ["valid", "same_upper", "same_lower"])
def test_words_for_padding(algorithm, word):
    for n, kernel, stride, dilation, ceil_mode in itertools.product(range(1, 10), range(1, 6), range(1, 6), range(1, 4), (False, True)):
        sides = same_sides(word, n, kernel, stride, dilation)
        if sum(sides) + n < dilation * (kernel - 1) + 1:
            continue
        x = sample((3, n), "float32", seed=n)
        expected = window_pool("max", x, 1, kernel, stride, sides, dilation, ceil_mode)
        call = partial(cyconv.max_pool1d, x, kernel, stride, word, dilation, ceil_mode, algorithm=algorithm)
        if np.isinf(expected).any():
            with pytest.raises(ValueError, match="leaves a window that holds no sample"):
                call()
        else:
            got = call()
            assert word == "valid" or got.shape[1] == -(-n // stride)
            np.testing.assert_array_equal(got, expected)
        if dilation == 1:
            counted = []
            sums = window_pool("average", x, 1, kernel, stride, sides, 1, ceil_mode, counted)
            result = cyconv.avg_pool1d(x, kernel, stride, word, ceil_mode, algorithm=algorithm)
            np.testing.assert_array_equal(result, (sums / np.array(counted)).astype("float32"))


@pytest.mark.parametrize("algorithm", [row.name for row in menu.POOL])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7, 6), (40, 2, 3, 4, 5), (1, 2, 3, 4, 300)])
def test_sides_of_three_axes_are_told_apart(algorithm, shape):
    kernel, stride, sides = (2, 3, 5), (1, 2, 3), ((1, 0), (0, 1), (2, 1))
    x = sample(shape, "float64")
    tops, sums, counts = x, x, []
    for axis in range(3):
        counts.append([])
        tops = window_pool("max", tops, axis + 2, kernel[axis], stride[axis], sides[axis])
        sums = window_pool("average", sums, axis + 2, kernel[axis], stride[axis], sides[axis], counted=counts[-1])
    divisors = np.einsum("i,j,k->ijk", *counts)
    np.testing.assert_array_equal(cyconv.max_pool3d(x, kernel, stride, sides, algorithm=algorithm), tops)
    np.testing.assert_array_equal(cyconv.avg_pool3d(x, kernel, stride, sides, algorithm=algorithm), sums / divisors)
    values, indices = cyconv.max_pool3d(x, kernel, stride, np.array(sides), return_indices=True, algorithm=algorithm)
    planes = x.reshape(*shape[:2], -1)
    np.testing.assert_array_equal(np.take_along_axis(planes, indices.reshape(*shape[:2], -1), 2).reshape(values.shape), tops)


def test_equal_sides_are_the_ints():
    x = sample((2, 3, 9, 11), "float32")
    for function in (cyconv.max_pool2d, cyconv.avg_pool2d):
        expected = function(x, (3, 5), 2, (1, 2))
        for padding in (((1, 1), (2, 2)), [[1, 1], 2], np.array([[1, 1], [2, 2]]), (np.int64(1), 2)):
            np.testing.assert_array_equal(function(x, (3, 5), 2, padding), expected)
        np.testing.assert_array_equal(function(x, 3, 1, "same_lower"), function(x, 3, 1, 1))


def test_the_words_may_pad_dilated_windows_with_more_than_half_the_kernel():
    x = np.arange(10.0).reshape(1, 10)
    values, indices = cyconv.max_pool1d(x, 3, 1, "same_upper", 4, return_indices=True)
    np.testing.assert_array_equal(indices, [[4, 5, 6, 7, 8, 9, 6, 7, 8, 9]])
    np.testing.assert_array_equal(values, indices)

"""Unfold and fold, one strided copy or sum per tap: no padded copy of the image, and no other memory."""

import numpy as np

from .arguments import as_array, check_out
from .fold_problem import fold_problem, unfold_problem


def unfold(input, kernel_size, dilation, padding, stride, out):
    """The windows of `input` as columns."""
    input = as_array("input", input)
    p = unfold_problem(input, kernel_size, dilation, padding, stride)
    result = _room(p.columns_shape, p.dtype, input, out)
    if any(p.padding):
        result[...] = 0
    image = input.reshape(p.batch, p.channels, *p.size) if not p.batched else input
    columns = result.reshape(p.batch, p.channels, *p.kernel, *p.counts)
    for tap, windows, samples in p.taps():
        columns[(..., *tap, *windows)] = image[(..., *samples)]
    return _delivered(result, out)


def fold(input, output_size, kernel_size, dilation, padding, stride, out):
    """The sum of columns at the places of their windows."""
    input = as_array("input", input)
    p = fold_problem(input, output_size, kernel_size, dilation, padding, stride)
    columns = input.reshape(p.batch, p.channels, *p.kernel, *p.counts)
    result = _room(p.image_shape, p.dtype, input, out)
    sums = np.zeros(p.image_shape, np.float32) if p.dtype == "float16" else result
    sums[...] = 0
    image = sums.reshape(p.batch, p.channels, *p.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for tap, windows, samples in p.taps():
            image[(..., *samples)] += columns[(..., *tap, *windows)]
        if sums is not result:
            result[...] = sums
    return _delivered(result, out)


def _room(shape, dtype, input, out):
    """`out` where the result can be written straight to it, else a new array."""
    if out is not None:
        check_out(out, shape, dtype)
        if out.flags.carray and out.dtype.isnative and not np.may_share_memory(out, input):
            return out
    return np.empty(shape, dtype)


def _delivered(result, out):
    if out is None or out is result:
        return result
    out[...] = result
    return out

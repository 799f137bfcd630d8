"""Unfold and fold, one strided copy or sum (_fold.pyx) per tap: no padded copy of the image, and no other memory."""

from math import prod

import numpy as np

from ._fold import fold as add_up
from .arguments import as_array, check_cpu_dtype, check_out, delivered
from .devices import device_of, on_gpu
from .fold_problem import fold_problem, unfold_problem
from .memory import assign


def unfold(input, kernel_size, dilation, padding, stride, out):
    """The windows of `input` as columns."""
    if device_of(input=input, out=out) == "chunks":
        from .chunked import columns as chunked

        return chunked.unfold(input, kernel_size, dilation, padding, stride, out)
    input = as_array("input", input, gpu=True)
    return unfolded(unfold_problem(input, kernel_size, dilation, padding, stride), input, out)


def unfolded(problem, input, out=None):
    """The columns of an array that `problem` describes."""
    p = problem
    if on_gpu(input):
        from .gpu import columns as on_device

        return on_device.unfold(p, input, out)
    check_cpu_dtype("input", p.dtype)
    result = _room(p.columns_shape, p.dtype, input, out)
    reach = [(m - 1) * s + d * (k - 1) - pad for m, s, d, k, pad in zip(p.counts, p.stride, p.dilation, p.kernel, p.padding)]
    if any(p.padding) or any([last >= n for last, n in zip(reach, p.size)]):
        assign(result, 0)
    image = input.reshape(p.batch, p.channels, *p.size) if not p.batched else input
    columns = result.reshape(p.batch, p.channels, *p.kernel, *p.counts)
    for tap, windows, samples in p.taps():
        columns[(..., *tap, *windows)] = image[(..., *samples)]
    return delivered(result, out)


def fold(input, output_size, kernel_size, dilation, padding, stride, out):
    """The sum of columns at the places of their windows."""
    if device_of(input=input, out=out) == "chunks":
        from .chunked import columns as chunked

        return chunked.fold(input, output_size, kernel_size, dilation, padding, stride, out)
    input = as_array("input", input, gpu=True)
    return folded(fold_problem(input, output_size, kernel_size, dilation, padding, stride), input, out)


def folded(problem, input, out=None):
    """The image of columns that `problem` describes."""
    p = problem
    if on_gpu(input):
        from .gpu import columns as on_device

        return on_device.fold(p, input, out)
    check_cpu_dtype("input", p.dtype)
    result = _room(p.image_shape, p.dtype, input, out)
    half = p.dtype == "float16"  # rounded to it once
    sums = np.empty(p.image_shape, np.float32) if half else result
    columns = np.ascontiguousarray(input, sums.dtype)
    front, zeros = (1,) * (3 - len(p.size)), (0,) * (3 - len(p.size))
    taps, windows = prod(p.kernel), prod(p.counts)
    add_up(
        columns, sums, p.batch, p.channels, front + p.size, front + p.kernel, front + p.counts, front + p.stride, front + p.dilation,
        zeros + p.padding, (p.channels * taps * windows, taps * windows, windows, 1),
    )  # fmt: skip
    if half:
        with np.errstate(over="ignore", invalid="ignore"):
            result[...] = sums
    return delivered(result, out)


def _room(shape, dtype, input, out):
    """`out` where the result can be written straight to it, else a new array."""
    if out is not None:
        check_out(out, shape, dtype)
        if out.flags.carray and out.dtype.isnative and not np.may_share_memory(out, input):
            return out
    return np.empty(shape, dtype)

"""Gradients of convolutions, from any arguments to the result: convolutions again (gradient_problem.py says which)."""

from dataclasses import replace
from math import prod

import numpy as np

from ._calls import run_chosen
from .arguments import GPU_ONLY, as_array, check_cpu_dtype, check_out, dtype_name, flag, shape_of
from .devices import device_of, on_gpu
from .gradient_problem import (
    conv_gradient_problem,
    conv_transpose_gradient_problem,
    input_gradient,
    weight_gradient,
)
from .memory import assign, empty
from .problem import CONV_DTYPES
from .select import choose
from .transpose import run_transposed

SHAPE = "a sequence of ints, the shape of an array"
LONGEST = 2**35  # multiply-adds of one part of a gradient with respect to a weight: half a second at most on one core


def conv_input(
    rank, input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
):
    """With respect to the input."""
    weight, grad_output = _arrays(out, allow_tf32, weight=weight, grad_output=grad_output)
    p = conv_gradient_problem(
        rank, shape_of("input_size", input_size, SHAPE), weight.shape, grad_output, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    if out is not None:
        check_out(out, p.input_shape, p.dtype)
    if on_gpu(grad_output):
        return _gpu().input(p, rank, weight, grad_output, algorithm, allow_tf32, out)
    dtype = grad_output.dtype
    if 0 in p.size:  # all samples were padding
        return np.empty(p.input_shape, dtype) if out is None else out
    if p.padding_mode == "zeros":
        return run_transposed(input_gradient(p), rank, grad_output, weight, None, algorithm, out)
    if p.dtype == "float16":  # borders are added up before the result is rounded
        grad_output, weight = grad_output.astype(np.float32), weight.astype(np.float32)
        p = replace(p, dtype="float32")
    padded = run_transposed(input_gradient(p), rank, grad_output, weight, None, algorithm, None)
    pads = list(zip(p.pad_before, p.pad_after))[3 - rank :]
    for axis, pair in enumerate(pads):
        padded = borders_folded(padded, axis - rank, *pair, p.padding_mode)
    return _delivered(padded, dtype, out)


def borders_folded(padded, axis, before, after, mode):
    """What padding has read beyond the borders of an axis, added to the samples that it read."""
    padded = padded.swapaxes(axis, 0)
    n = len(padded) - before - after
    inner = padded[before : before + n].copy()
    head, tail = padded[:before], padded[before + n :]
    if mode == "circular":
        inner[n - before :] += head
        inner[:after] += tail
    elif mode == "reflect":
        inner[1 : before + 1] += head[::-1]
        inner[n - 1 - after : n - 1] += tail[::-1]
    else:
        inner[0] += head.sum(axis=0, dtype=head.dtype)
        inner[-1] += tail.sum(axis=0, dtype=tail.dtype)
    return inner.swapaxes(axis, 0)


def conv_weight(
    rank, input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
):
    """With respect to the weight."""
    input, grad_output = _arrays(out, allow_tf32, input=input, grad_output=grad_output)
    p = conv_gradient_problem(
        rank, input.shape, shape_of("weight_size", weight_size, SHAPE), grad_output, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    return _weight(weight_gradient(p), input, grad_output, algorithm, allow_tf32, out)


def conv_transpose_input(
    rank, input_size, weight, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
):
    """With respect to the input of a transposed convolution: a plain one."""
    weight, grad_output = _arrays(out, allow_tf32, weight=weight, grad_output=grad_output)
    problem, _ = conv_transpose_gradient_problem(
        rank, shape_of("input_size", input_size, SHAPE), weight.shape, grad_output, stride, padding, output_padding, groups, dilation, precision, max_workspace
    )
    if on_gpu(grad_output):
        from .gpu import calls

        return calls.run(problem, grad_output, weight, None, algorithm, allow_tf32, out)
    return run_chosen(choose(problem, algorithm, weight), problem, grad_output, weight, None, algorithm, out)


def conv_transpose_weight(
    rank, input, weight_size, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
):
    """With respect to the weight of a transposed convolution: that of a plain one from its result to its input."""
    input, grad_output = _arrays(out, allow_tf32, input=input, grad_output=grad_output)
    _, gradient = conv_transpose_gradient_problem(
        rank, input.shape, shape_of("weight_size", weight_size, SHAPE), grad_output, stride, padding, output_padding, groups, dilation, precision, max_workspace
    )
    return _weight(gradient, grad_output, input, algorithm, allow_tf32, out)


def _weight(gradient, input, grad_output, algorithm, allow_tf32, out):
    """`gradient` from the arrays of the plain convolution; a transposed one's are exchanged."""
    g, p, slices = gradient, gradient.problem, 1
    dtype, axes = grad_output.dtype, grad_output.shape[-p.rank :]
    if out is not None:
        check_out(out, g.shape, dtype.name)
    if on_gpu(input):
        return _gpu().weight(g, input, grad_output, algorithm, allow_tf32, out)
    if 0 in (p.in_channels, *g.shape):
        return _delivered(np.zeros(g.shape, dtype), dtype, out)
    # half precision is summed in single, and rounded once
    input, grad_output = input.astype(p.dtype, copy=False), grad_output.astype(p.dtype, copy=False)
    kernel = _kernel(p, 1, grad_output, axes)
    row = choose(p, algorithm, kernel)
    if row.slices and g.slices > 1:
        p, slices = g.sliced, g.slices
        kernel = _kernel(p, slices, grad_output, axes)
    x = input.reshape(slices, p.in_channels, p.groups // slices, p.batch, *input.shape[-p.rank :])
    x = x.transpose(3, 2, 0, 1, *range(4, 4 + p.rank))
    x = x.reshape(p.batch, p.groups, p.in_channels, *input.shape[-p.rank :])
    found = _in_parts(p, x, kernel, row, algorithm)
    if slices > 1:
        found = np.add.reduce(found.reshape(slices, *g.shape), axis=0)
    return _delivered(found.reshape(g.shape), dtype, out)


def _kernel(p, slices, grad_output, axes):
    """grad_output as a weight: (groups and slices * output channels, batch / slices, ...)."""
    kernel = grad_output.reshape(slices, p.in_channels, p.groups // slices, p.out_channels, *axes)
    return kernel.transpose(2, 0, 3, 1, *range(4, 4 + p.rank)).reshape(p.weight_shape)


def _in_parts(problem, input, weight, row, algorithm):
    """The same as `_exchanged`, which it calls for a part of the channels at a time where that takes long: an item of work sums over all of
    its channels, and Ctrl-C is looked at between items."""
    p = problem
    length = max(int(LONGEST * p.in_channels / max(p.multiply_adds, 1)), 1)
    if length >= p.in_channels:
        return _exchanged(p, input, weight, row, algorithm)
    found = None
    for begin in range(0, p.in_channels, length):
        some = np.ascontiguousarray(weight[:, begin : begin + length])
        part = replace(p, in_channels=some.shape[1])
        sums = _exchanged(part, input[:, :, begin : begin + length], some, choose(part, algorithm, some), algorithm)
        found = sums if found is None else np.add(found, sums, out=found)
    return found


def _exchanged(problem, input, weight, row, algorithm):
    """A convolution of (batch, groups, channels, ...): (output channels, batch, ...)."""
    batch, channels, *size = problem.output_shape
    if row.exchanges:
        found = empty((channels, batch, *size), problem.dtype)
        fine = row.run(problem, input, row.prepare_once(problem, weight), None, found.swapaxes(0, 1))
        if fine is None or fine is True or algorithm != "auto":
            return found
        row = choose(problem, "auto", weight, finite=False)
    found = run_chosen(row, problem, input.reshape(problem.input_shape), weight, None, algorithm, None)
    return np.ascontiguousarray(found.swapaxes(0, 1))


def bias(rank, grad_output, out):
    """With respect to the bias, of either convolution: the sum over batch and outputs."""
    device = device_of(grad_output=grad_output, out=out)
    grad_output = as_array("grad_output", grad_output, gpu=True)
    dtype = dtype_name("grad_output", grad_output.dtype, CONV_DTYPES, GPU_ONLY)
    if grad_output.ndim not in (rank + 1, rank + 2):
        raise ValueError(f"grad_output must have {rank} spatial axes behind (N, out_channels) or (out_channels,), got shape {grad_output.shape}")
    batch, channels = grad_output.shape[0] if grad_output.ndim == rank + 2 else 1, grad_output.shape[-1 - rank]
    if out is not None:
        check_out(out, (channels,), dtype)
    if device == "gpu":
        return _gpu().bias(grad_output.reshape(batch, channels, prod(grad_output.shape[-rank:])), out)
    check_cpu_dtype("grad_output", dtype)
    wide = {"float16": np.float32}.get(dtype, grad_output.dtype)
    # in one order in memory, so that additions have one order, too
    planes = np.ascontiguousarray(grad_output.reshape(batch, channels, prod(grad_output.shape[-rank:])), wide)
    rows_first = planes.shape[2] >= batch  # NumPy adds long rows in pairs, but takes a while to begin a short one
    sums = planes.sum(axis=2 if rows_first else 0, dtype=wide).sum(axis=0 if rows_first else 1, dtype=wide)
    return _delivered(sums, dtype, out)


# ---- what they share -----------------------------------------------------------------------------------------------------


def _arrays(out, allow_tf32, **arrays):
    """The arguments as arrays of one device and dtype."""
    flag("allow_tf32", allow_tf32)
    device = device_of(**arrays, out=out)
    first, grad_output = (as_array(name, value, gpu=True) for name, value in arrays.items())
    if first.dtype != grad_output.dtype:
        name = next(iter(arrays))
        raise TypeError(f"{name} and grad_output must have the same dtype; {name} has {first.dtype}, grad_output has {grad_output.dtype}")
    if device == "cpu":
        check_cpu_dtype("grad_output", dtype_name("grad_output", grad_output.dtype, CONV_DTYPES, GPU_ONLY))
    return first, grad_output


def _gpu():
    from .gpu import gradients

    return gradients


def _delivered(result, dtype, out):
    if out is None and result.dtype == dtype and result.flags.c_contiguous:
        return result
    with np.errstate(over="ignore"):
        if out is None:
            return np.ascontiguousarray(result, dtype)
        assign(out, result)
    return out

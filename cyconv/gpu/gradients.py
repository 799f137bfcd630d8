"""Gradients of convolutions of CuPy arrays: the same problems as on the CPU, of views with exchanged axes."""

import numpy as np

from ..arguments import delivered
from ..gradient_problem import input_gradient
from ..gradients import borders_folded
from ..problem import gpu_problem
from .calls import compute, room
from .layout import split
from .transpose import run_transposed


def input(problem, rank, weight, grad_output, algorithm, allow_tf32, out):
    """With respect to the input of the convolution `problem`."""
    import cupy

    p, dtype = problem, grad_output.dtype
    with grad_output.device:
        if 0 in p.size:  # all samples were padding
            return cupy.empty(p.input_shape, dtype) if out is None else out
        if p.padding_mode == "zeros":
            return run_transposed(input_gradient(p), rank, grad_output, weight, None, algorithm, allow_tf32, out)
        if dtype.name in ("float16", "bfloat16"):  # borders are added up before the result is rounded
            grad_output, weight = grad_output.astype(np.float32), weight.astype(np.float32)
            p = gpu_problem(p, "float32", False)
        padded = run_transposed(input_gradient(p), rank, grad_output, weight, None, algorithm, allow_tf32, None)
        for axis, pair in enumerate(list(zip(p.pad_before, p.pad_after))[3 - rank :]):
            padded = borders_folded(padded, axis - rank, *pair, p.padding_mode)
        return delivered(cupy.ascontiguousarray(padded.astype(dtype, copy=False)), out)


def weight(gradient, input, grad_output, algorithm, allow_tf32, out):
    """With respect to the weight: batch and channels of both arrays are exchanged, and so are those of the result."""
    g, rank, dtype = gradient, gradient.problem.rank, grad_output.dtype
    p = gpu_problem(g.problem, dtype.name, allow_tf32)  # half types are summed in single precision by every algorithm
    with input.device:
        result = room(g.shape, dtype, out, input, grad_output)
        compute(
            p,
            split(input, rank, (p.in_channels, p.groups, p.batch)).swapaxes(0, 2),
            split(grad_output, rank, (p.in_channels, p.groups, p.out_channels)).transpose(1, 2, 0, 3, 4, 5),
            split(result, rank, (p.groups, p.out_channels, p.batch)).transpose(2, 0, 1, 3, 4, 5),
            None,
            algorithm,
        )
        return delivered(result, out)


def bias(planes, out):
    """With respect to the bias, of grad_output as (batch, channels, positions)."""
    dtype = planes.dtype
    with planes.device:
        wide = np.dtype(np.float32) if dtype.name in ("float16", "bfloat16") else dtype
        sums = planes.sum(axis=2, dtype=wide).sum(axis=0, dtype=wide).astype(dtype, copy=False)
        return delivered(sums, out)

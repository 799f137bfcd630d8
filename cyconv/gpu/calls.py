"""One call of a convolution on CuPy arrays, from any arguments to the result: as _calls.pyx and plans.py for NumPy's."""

import numpy as np

from .. import select
from ..problem import conv_problem
from .layout import views


def convolve(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, out
):
    """The convolution that cyconv.conv1d, conv2d and conv3d document."""
    problem = conv_problem(
        rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    with input.device:
        result = room(problem.output_shape, problem.dtype, out, input, weight, bias)
        compute(problem, *views(problem, aligned(input), aligned(weight), result), bias, algorithm)
        return delivered(result, out)


def compute(problem, input, weight, out, bias, algorithm):
    """A convolution of views of six axes, by the row of the menu that is chosen for it, written to `out`."""
    import cupy

    row = select.choose(problem, algorithm, device="gpu")
    if not problem.multiply_adds:
        if problem.outputs:
            out[...] = 0 if bias is None else bias.reshape(1, problem.groups, problem.out_channels, 1, 1, 1)
        return
    bias = None if bias is None else cupy.ascontiguousarray(bias)
    if not row.spreads_nonfinite or algorithm != "auto":
        row.run(problem, input, weight, bias, out)
        return
    # the device notes whether anything is not finite, and computes again if so: nobody waits to hear of it
    noted = cupy.zeros(1, np.int32)
    row.run(problem, input, weight, bias, out, nonfinite=noted)
    select.choose(problem, "auto", finite=False, device="gpu").run(problem, input, weight, bias, out, only_if=noted)


# ---- arrays ----------------------------------------------------------------------------------------------------------------


def aligned(array):
    """`array`, or a copy whose strides are whole elements."""
    return array if all([step % array.itemsize == 0 for step in array.strides]) else array.copy()


def room(shape, dtype, out, *read):
    """`out` where the result can be written straight to it, else a new array."""
    import cupy

    if out is not None:
        check_out(out, shape, dtype)
        if not any(each is not None and cupy.may_share_memory(out, each) for each in read) and aligned(out) is out:
            return out
    return cupy.empty(shape, dtype)


def delivered(result, out):
    if out is None or out is result:
        return result
    out[...] = result
    return out


def check_out(out, shape, dtype, name="out"):
    """As arguments.check_out; that it is a CuPy array has been checked."""
    if out.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must have dtype {dtype}, got {out.dtype}")

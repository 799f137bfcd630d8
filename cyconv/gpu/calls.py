"""One call of a convolution on CuPy arrays, from any arguments to the result: as _calls.pyx and plans.py for NumPy's."""

import numpy as np

from .. import select
from ..arguments import as_array, check_out, delivered, flag
from ..devices import aligned, lies_whole
from ..problem import conv_problem, gpu_problem
from .layout import views


def convolve(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
):
    """The convolution that cyconv.conv1d, conv2d and conv3d document."""
    allow_tf32 = flag("allow_tf32", allow_tf32)
    input, weight = as_array("input", input, gpu=True), as_array("weight", weight, gpu=True)  # which may be None
    problem = conv_problem(
        rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    return run(problem, input, weight, bias, algorithm, allow_tf32, out)


def run(problem, input, weight, bias, algorithm, allow_tf32, out):
    """The convolution that `problem` describes."""
    with input.device:
        problem = gpu_problem(problem, problem.dtype, allow_tf32)
        result = room(problem.output_shape, problem.dtype, out, input, weight, bias)
        compute(problem, *views(problem, input, weight, result), bias, algorithm)
        return delivered(result, out)


def compute(problem, input, weight, out, bias, algorithm):
    """A convolution of views of six axes, by the row of the menu that is chosen for it, written to `out`."""
    import cupy

    row = select.choose(problem, algorithm, device="gpu")
    bias = None if bias is None else cupy.ascontiguousarray(aligned(bias))
    compute_by(row, careful(row, problem, weight, algorithm), problem, input, weight, out, bias)


def careful(row, problem, weight, algorithm):
    """The row, and its weights, that computes again what `row` has spread a NaN or infinity in; None if it spreads none, or was asked for."""
    if not row.spreads_nonfinite or algorithm != "auto":
        return None
    return select.choose(problem, "auto", finite=False, device="gpu"), weight


def compute_by(row, careful, problem, input, weight, out, bias):
    """The same by a row of the menu, and by a `careful` one."""
    import cupy

    if not problem.multiply_adds:
        if problem.outputs:
            out[...] = 0 if bias is None else bias.reshape(1, problem.groups, problem.out_channels, 1, 1, 1)
    elif careful is None:
        row.run(problem, input, weight, bias, out)
    else:
        # the device notes whether anything is not finite, and computes again if so: nobody waits to hear of it
        noted = cupy.zeros(1, np.int32)
        row.run(problem, input, weight, bias, out, nonfinite=noted)
        careful[0].run(problem, input, careful[1], bias, out, only_if=noted)


# ---- arrays ----------------------------------------------------------------------------------------------------------------


def room(shape, dtype, out, *read):
    """`out` where the result can be written straight to it, else a new array."""
    import cupy

    if out is not None:
        check_out(out, shape, dtype)
        if lies_whole(out) and not any(each is not None and overlap(out, each) for each in read):
            return out
    return cupy.empty(shape, dtype)


def overlap(a, b):
    """Whether arrays may have memory in common. (To cupy.may_share_memory, what it was handed at two addresses by others is apart.)"""
    (first, last), (begin, end) = _span(a), _span(b)
    return first < end and begin < last


def _span(array):
    """The addresses of its first byte and of the one behind its last."""
    if not array.size:
        return 0, 0
    steps = [(n - 1) * step for n, step in zip(array.shape, array.strides)]
    return array.data.ptr + sum([step for step in steps if step < 0]), array.data.ptr + sum([step for step in steps if step > 0]) + array.itemsize

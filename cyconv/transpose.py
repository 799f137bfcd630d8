"""Transposed convolution: one plain convolution per phase of the stride (problem.conv_transpose_problem says how)."""

from ._calls import another, execute
from ._taps import gather
from .arguments import as_array, check_out
from .memory import empty
from .problem import conv_transpose_problem
from .select import choose


def convolve_transposed(
    rank, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, out
):
    """One transposed convolution call, from any arguments to the result."""
    input, weight = as_array("input", input), as_array("weight", weight)
    bias = None if bias is None else as_array("bias", bias)
    whole = conv_transpose_problem(
        rank, input, weight, bias, stride, padding, output_padding, groups, dilation, precision, max_workspace
    )
    if out is not None:
        check_out(out, whole.output_shape, whole.dtype)
    result = empty(whole.output_shape, whole.dtype)
    if not whole.everywhere:
        result[...] = 0 if bias is None else bias.reshape(-1, *(1,) * rank)
    in_channels, out_channels, *kernel = weight.shape
    grouped = weight.reshape(whole.groups, in_channels // whole.groups, out_channels, *kernel).swapaxes(1, 2)
    for phase in whole.phases:
        taps = empty(phase.problem.weight_shape, whole.dtype)
        gather(grouped[(..., *phase.taps)], taps)
        row = choose(phase.problem, algorithm, taps)
        prepared = row.prepare_once(phase.problem, taps)
        execute(row, phase.problem, input, prepared, bias, result[(..., *phase.out)], another(row, phase.problem, algorithm, taps))
    if out is None:
        return result
    out[...] = result
    return out

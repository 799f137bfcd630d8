"""Transposed convolution: one plain convolution per phase of the stride (problem.conv_transpose_problem says how), woven together.

Of few samples by many weights, phases would bring all weights to another order first. There the samples are multiplied with the weights as
they lie, and what each gives to each tap is folded.
"""

from math import prod

import numpy as np

from ._calls import run_chosen
from ._fold import fold
from ._memory import overlaps
from ._taps import gather
from ._weave import weave, weaves
from .arguments import as_array, check_out, flag
from .devices import device_of
from .memory import assign, empty
from .problem import conv_transpose_problem
from .select import choose, verdicts

FOLDED = 1e-9  # seconds for a number of the columns,
TURNED = 5e-10  # and for a weight that is brought to another order (measured: 512 to 512 channels, 3x3, 8 samples of 2x2)
MOST_LOOKED_AT = 4  # input channels of a group where weights may be outer products


def convolve_transposed(
    rank, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
):
    """One transposed convolution call, from any arguments to the result."""
    allow_tf32 = flag("allow_tf32", allow_tf32)
    device = device_of(input=input, weight=weight, bias=bias, out=out)
    if device == "chunks":
        from .chunked import transpose

        return transpose.convolve_transposed(
            rank, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
        )
    input, weight = as_array("input", input, gpu=True), as_array("weight", weight, gpu=True)
    bias = None if bias is None else as_array("bias", bias, gpu=True)
    whole = conv_transpose_problem(
        rank, input, weight, bias, stride, padding, output_padding, groups, dilation, precision, max_workspace
    )
    if device == "gpu":
        from .gpu import transpose

        return transpose.run_transposed(whole, rank, input, weight, bias, algorithm, allow_tf32, out)
    return run_transposed(whole, rank, input, weight, bias, algorithm, out)


def run_transposed(whole, rank, input, weight, bias, algorithm, out):
    """The transposed convolution that `whole` describes."""
    if out is not None:
        check_out(out, whole.output_shape, whole.dtype)
    if whole.columns is not None and algorithm == "auto" and columns_pay(whole):
        result = _by_columns(whole, rank, input, weight, bias)
        if result is not None and out is not None:
            assign(out, result)
            return out
        if result is not None:
            return result
    in_channels, out_channels, *kernel = weight.shape
    grouped = weight.reshape(whole.groups, in_channels // whole.groups, out_channels, *kernel).swapaxes(1, 2)

    def computed(phase, to):
        taps = grouped[(..., *phase.taps)]
        # which algorithms look at the weights' values is a matter of few channels; with many, their order is what takes time
        row = choose(phase.problem, algorithm) if whole.groups == 1 and phase.problem.in_channels > MOST_LOOKED_AT else None
        if row is not None and row.packs_views:
            taps = taps[0]
        else:
            taps, view = empty(phase.problem.weight_shape, whole.dtype), taps
            gather(view, taps)
            row = choose(phase.problem, algorithm, taps)
        return run_chosen(row, phase.problem, input, taps, bias, algorithm, to)

    if len(whole.phases) == 1 and whole.everywhere:
        return computed(whole.phases[0], out)
    at_once = out is not None and out.flags.carray and not overlaps(out, input, weight, bias)
    result = out if at_once else empty(whole.output_shape, whole.dtype)
    join_phases(whole, rank, computed, bias, result)
    if out is None or at_once:
        return result
    assign(out, result)
    return out


def join_phases(whole, rank, computed, bias, result):
    """All phases to their places in `result`, and what no tap reaches: the bias, or zeros."""
    stride = (1,) * (3 - rank) + tuple(whole.stride)
    most = whole.phases[0].problem.max_workspace if whole.phases else 0
    if not weaves(stride) or result.nbytes > most:
        assign(result, 0 if bias is None else bias.reshape(-1, *(1,) * rank))
        for phase in whole.phases:
            computed(phase, result[(..., *phase.out)])
        return
    parts = [None] * prod(stride)
    for phase in whole.phases:
        place = 0
        for s, one in zip(whole.stride, phase.out):
            place = place * s + one.start
        parts[place] = computed(phase, None)
    channels = result.shape[-1 - rank]
    unreached = np.zeros(channels, result.dtype) if bias is None else np.ascontiguousarray(bias)
    planes = (-1, *(1,) * (3 - rank), *result.shape[-rank:])
    if result.size:
        weave(parts, stride, unreached, result.reshape(planes))


# ---- few samples, many weights ---------------------------------------------------------------------------------------------


def columns_pay(whole):
    """Whether all taps of all samples, added up afterwards, are predicted to be there sooner than the phases."""
    found = whole.columns.kept.get("pays")
    if found is None and all(v.declined for v in verdicts(whole.columns)):  # too little workspace
        found = whole.columns.kept["pays"] = False
    if found is None:
        columns = _seconds(whole.columns) + FOLDED * whole.columns.outputs
        phases = sum(_seconds(phase.problem) + TURNED * prod(phase.problem.weight_shape) for phase in whole.phases)
        found = whole.columns.kept["pays"] = columns < phases
    return found


def _seconds(problem):
    """Predicted for the algorithm that is chosen."""
    row = choose(problem)
    return next(v.seconds for v in verdicts(problem) if v.algorithm is row)


def _by_columns(whole, rank, input, weight, bias):
    """What each sample gives to each output channel and tap, then the sums of that. As a product of matrices it has the samples for
    weights, so that the weights themselves, which are many, are read once and as they lie. None if anything is not finite:
    where a sample is none, phases multiply a zero by it, and this way does not."""
    problem, channels = whole.columns, weight.shape[1]
    samples = input.reshape(-1, len(weight), *whole.size)
    batch = len(samples)
    rows = np.ascontiguousarray(np.moveaxis(samples, 1, -1)).reshape(problem.weight_shape)
    signal = np.ascontiguousarray(weight).reshape(problem.input_shape)
    row = choose(problem)
    columns = run_chosen(row, problem, signal, rows, None, "auto", None)
    if not np.isfinite(columns).all():
        return None
    result = empty(whole.output_shape, whole.dtype)
    zeros, ones = (0,) * (3 - rank), (1,) * (3 - rank)
    taps, windows = prod(whole.kernel), prod(whole.size)
    fold(
        columns, result, batch, channels, ones + whole.output_shape[-rank:], ones + whole.kernel, ones + whole.size, ones + whole.stride,
        ones + whole.dilation, zeros + whole.pad_before, (windows * channels * taps, taps, 1, channels * taps),
    )  # fmt: skip
    if bias is not None:
        result += bias.reshape(-1, *(1,) * rank)
    return result

"""Transposed convolutions of CuPy arrays: each phase of the stride is a convolution that writes to its own outputs, by their stride."""

from ..arguments import delivered
from ..problem import gpu_problem
from .calls import compute, room
from .layout import split


def run_transposed(whole, rank, input, weight, bias, algorithm, allow_tf32, out):
    """The transposed convolution that `whole` (a TransposedProblem) describes."""
    with input.device:
        result = room(whole.output_shape, whole.dtype, out, input, weight, bias)
        if not whole.everywhere:
            result[...] = 0 if bias is None else bias.reshape(-1, *(1,) * rank)
        for phase in whole.phases:
            p = gpu_problem(phase.problem, phase.problem.dtype, allow_tf32)
            taps = split(weight, rank, (p.groups, p.in_channels, p.out_channels)).swapaxes(1, 2)
            compute(
                p,
                split(input, rank, (p.batch, p.groups, p.in_channels)),
                taps[(..., *(slice(None),) * (3 - rank), *phase.taps)],
                split(result, rank, (p.batch, p.groups, p.out_channels))[(..., *(slice(None),) * (3 - rank), *phase.out)],
                bias,
                algorithm,
            )
        return delivered(result, out)

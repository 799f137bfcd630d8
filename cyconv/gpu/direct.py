"""The sum as it is written, one thread per output: every dtype, every problem."""

from ..problem import GPU_DTYPES
from . import costs
from .launch import TYPES, blocks, kernel
from .layout import struct

THREADS = 256


def why_not(problem):
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("direct", amounts(problem)), 0


def amounts(problem):
    """The work, as costs.py counts it."""
    return {"call": 1, "multiply_add": costs.in_waves(problem, problem.multiply_adds), "byte": costs.moved(problem)}


def run(problem, input, weight, bias, out, only_if=None):
    """Writes the result to `out`; with `only_if`, an int32 of the device, only where that is not 0."""
    p, outs = problem, outputs_of_a_thread(problem)
    work = p.outputs // p.out_channels * -(-p.out_channels // outs)
    kernel("direct", f"direct<{TYPES[p.dtype]}, {outs}>")(
        (blocks(work, THREADS),), (THREADS,), (struct(p, input, weight, out), input, weight, bias, out, only_if)
    )


def outputs_of_a_thread(problem):
    return 4 if problem.out_channels >= 4 else 1


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    return [("direct", f"direct<{TYPES[dtype]}, {outs}>") for dtype in GPU_DTYPES for outs in (1, 4)]

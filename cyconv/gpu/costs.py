"""The cost model of the GPU: as cyconv/costs.py, amounts of work times the seconds that a unit of it takes.

SOURCE tells where they come from: bench/calibrate_gpu.py measures them all, of convolutions and of pools. Before it first did so, they were
those of an H100's data sheet and of how far such kernels usually get.
"""

from functools import cache
from math import prod

import numpy as np

from ..arguments import GPU_ONLY

# ---- written by bench/calibrate_gpu.py: do not edit by hand ----
SOURCE = "not measured: an H100's data sheet (67 TFLOP/s in float32, 3.35 TB/s)"
SECONDS = {
    "pool": {"call": 1.0e-05, "step": 3.0e-13, "byte": 3.5e-13},
    "sliding": {"call": 1.0e-05, "step": 3.0e-13, "byte": 3.5e-13},
    "implicit_gemm": {"call": 1.0e-05, "launch": 3.0e-06, "slot": 1.5e-10, "byte": 4.0e-13, "step": 4.6e-07},
    "depthwise": {"call": 1.0e-05, "byte": 3.5e-13, "load": 3.0e-13, "multiply_add": 3.7e-14, "quad": 1.5e-13},
    "direct": {"call": 1.0e-05, "multiply_add": 4.0e-13, "byte": 5.0e-13},
    "fft": {"call": 2.0e-05, "launch": 3.0e-06, "byte": 4.0e-13, "weight_launch": 3.0e-06, "weight_byte": 4.0e-13, "multiply_add": 3.0e-14},
    "im2col": {"call": 1.5e-05, "launch": 3.0e-06, "byte": 4.0e-13, "multiply_add": 4.0e-14, "tensor_multiply_add": 3.5e-15},
    "winograd": {"call": 2.0e-05, "launch": 3.0e-06, "byte": 4.0e-13, "weight_launch": 3.0e-06, "weight_byte": 4.0e-13, "near_byte": 2.0e-13, "multiply_add": 4.0e-14},
    "cudnn": {"call": 2.1e-05, "launch": 3.0e-06, "multiply_add": 5.0e-14, "tensor_multiply_add": 5.0e-15, "byte": 4.0e-13},
}
# ---- end of the calibrated block ----

PROCESSORS = 132  # an H100's; a choice must not depend on which device is there
THREADS = 2048  # of a processor, that hide each other's waiting
PREPARED = ("weight_launch", "weight_byte")  # kinds of work that a Plan has behind it


def seconds(name, amounts, table=None):
    """Predicted seconds of algorithm `name`."""
    each = (SECONDS if table is None else table)[name]
    return sum([amount * each[kind] for kind, amount in amounts.items()])


def planned_seconds(row, problem):
    """Predicted seconds of a call of a Plan, whose weights are prepared, by this row of the menu."""
    return seconds(row.name, {kind: amount for kind, amount in row.module.amounts(problem).items() if kind not in PREPARED})


def in_waves(problem, work):
    """Work of all threads, as if all processors were busy: few outputs leave most of them idle."""
    full = PROCESSORS * THREADS
    return work * max(1.0, full / max(problem.outputs, 1))


def moved(problem):
    """Bytes of input, weight and output, each once."""
    p = problem
    return itemsize(p.dtype) * (prod(p.input_shape) + prod(p.weight_shape) + p.outputs)


def pooled_bytes(problem):
    """Bytes of a pool's input, result and indices, each once."""
    p = problem
    return itemsize(p.dtype) * (prod(p.input_shape) + p.outputs) + 8 * p.outputs * p.with_indices


@cache
def itemsize(dtype):
    """Bytes of a number."""
    return 2 if dtype in GPU_ONLY else np.dtype(dtype).itemsize

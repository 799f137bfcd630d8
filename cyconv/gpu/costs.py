"""The cost model of the GPU: as cyconv/costs.py, amounts of work times the seconds that a unit of it takes.

The constants are those of an H100's data sheet and of how far such kernels usually get, not measured; bench/gpu.py measures them.
"""

from math import prod

# ---- written by bench/gpu.py --calibrate: do not edit by hand ----
SOURCE = "not measured: an H100's data sheet (67 TFLOP/s in float32, 3.35 TB/s)"
SECONDS = {
    "direct": {"call": 1.0e-05, "multiply_add": 4.0e-13, "byte": 5.0e-13},
    "reference": {"call": 1.0},
}
# ---- end of the calibrated block ----

PROCESSORS = 132  # an H100's; a choice must not depend on which device is there
THREADS = 2048  # of a processor, that hide each other's waiting


def seconds(name, amounts, table=None):
    """Predicted seconds of algorithm `name`."""
    each = (SECONDS if table is None else table)[name]
    return sum([amount * each[kind] for kind, amount in amounts.items()])


def in_waves(problem, work):
    """Work of all threads, as if all processors were busy: few outputs leave most of them idle."""
    full = PROCESSORS * THREADS
    return work * max(1.0, full / max(problem.outputs, 1))


def moved(problem):
    """Bytes of input, weight and output, each once."""
    p = problem
    size = {"float16": 2, "bfloat16": 2, "float64": 8, "complex64": 8, "complex128": 16, "int64": 8, "uint64": 8}.get(p.dtype, 4)
    return size * (prod(p.input_shape) + prod(p.weight_shape) + p.outputs)

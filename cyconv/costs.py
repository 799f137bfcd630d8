"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# Intel(R) Xeon(R) Processor, level v4, one thread, 2026-11-25, 600 problems, seed 1
# chosen / best algorithm for any weights: 1.035 in the geometric mean, 1.26 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 2.51e-06,
        "weight": 5.73e-10,
        "split_weight": 2.02e-09,
        "gathered_row": 6.92e-09,
        "gathered_byte": 3.19e-11,
        "every_second": 1.69e-10,
        "scattered": 3.83e-10,
        "converted": 1.77e-10,
        "block": 3.08e-08,
        "tile": 0.0,
        "fma": 1.21e-10,
        "multiply_add_32": 3.66e-10,
        "multiply_add_64": 5.4e-10,
        "load": 2.29e-10,
        "written_row": 3.9e-09,
        "written_byte": 5.34e-11,
        "far_byte": 7.18e-12,
    },
    "depthwise": {
        "call": 2.46e-06,
        "weight": 4.74e-10,
        "split_weight": 1.52e-09,
        "gathered_row": 7.44e-09,
        "gathered_byte": 4.64e-12,
        "every_second": 1.24e-10,
        "scattered": 3.64e-10,
        "converted": 1.65e-10,
        "short_walk": 2.25e-09,
        "walk": 7.36e-09,
        "tile": 7.75e-09,
        "fma": 1.44e-11,
        "multiply_add_32": 1.36e-10,
        "multiply_add_64": 3.02e-10,
        "shuffled": 2.09e-10,
        "row": 1.74e-09,
        "single": 7.7e-10,
        "converted_row": 1.71e-08,
        "converted_out": 1.85e-10,
        "far_byte": 1.06e-11,
    },
    "channel_lanes": {
        "call": 2.83e-06,
        "weight": 2.25e-09,
        "item": 4.21e-08,
        "turned": 1.73e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.79e-10,
        "far_byte": 5.04e-11,
    },
    "implicit_gemm": {
        "call": 4.77e-06,
        "block": 3.35e-08,
        "weight": 1.97e-10,
        "gathered_row": 2.59e-09,
        "gathered_byte": 6.08e-11,
        "fma": 2.25e-10,
        "tile": 2.2e-08,
        "written": 1.45e-10,
        "scattered": 3.12e-10,
        "converted": 4.47e-10,
        "far_byte": 1.02e-11,
        "far_in_place": 3.01e-11,
    },
    "im2col": {
        "call": 5.39e-06,
        "split_weight": 1.42e-09,
        "gathered_row": 7.58e-09,
        "gathered_byte": 6.45e-12,
        "every_second": 6.12e-11,
        "scattered": 1.85e-10,
        "converted": 1.7e-10,
        "spilled_byte": 8.34e-11,
        "product": 3.11e-08,
        "multiply_add": 2.07e-11,
        "packed": 3.41e-11,
        "sum": 8.05e-11,
        "written_row": 6.15e-09,
        "written_byte": 6.87e-11,
        "far_byte": 1.76e-11,
    },
    "separable": {
        "call": 6.73e-06,
        "weight": 1.42e-09,
        "gathered_row": 7.76e-09,
        "gathered_byte": 2.99e-11,
        "every_second": 7.61e-11,
        "scattered": 2.55e-10,
        "converted": 2.97e-10,
        "block": 1.77e-08,
        "shared": 4.76e-10,
        "near": 3.76e-10,
        "apart": 5.19e-10,
        "row": 8.46e-09,
        "written_byte": 8.77e-12,
        "far_byte": 1.39e-11,
    },
    "fft": {
        "call": 1.93e-05,
        "transform_32": 1.47e-10,
        "transform_64": 1.77e-10,
        "multiply_add_32": 2.31e-10,
        "multiply_add_64": 3.66e-10,
        "byte": 2.15e-10,
    },
    "winograd": {
        "call": 6.67e-06,
        "split": 1.65e-05,
        "split_weight": 2.97e-09,
        "weight": 2.9e-09,
        "weight_read": 5.9e-10,
        "gathered_row": 6.16e-09,
        "gathered_byte": 0.0,
        "every_second": 2.57e-10,
        "scattered": 5e-10,
        "converted": 3.51e-10,
        "input": 2.19e-09,
        "tile": 1.71e-08,
        "fma": 2.13e-10,
        "output": 2.52e-09,
        "written_row": 1.55e-11,
        "written_byte": 5.89e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.25e-05,
        "tap": 5.6e-06,
        "loop": 1.31e-09,
        "multiply_add": 3.27e-10,
        "copied": 9.14e-10,
    },
}
# ---- end of the calibrated block ----

CAUTION = {"reference": 4.0}  # factor on predictions that are so uncertain that they should win by far or not at all

VECTOR_BYTES = 64
CACHE_BYTES = 2**20  # of a second-level cache
_SIZES = {"float64": 8, "complex128": 8, "int64": 8, "uint64": 8}  # bytes of a number that is computed with, if not 4
CONVERTED = ("float16", "int8", "uint8", "int16", "uint16")  # stored in fewer bytes than they are computed in


def seconds(name, amounts, table=SECONDS):
    """Predicted seconds of algorithm `name` for the whole call, weights prepared anew."""
    each = table[name]
    return CAUTION.get(name, 1.0) * sum([amount * each[kind] for kind, amount in amounts.items()])


def parts_and_size(problem):
    """(2 for complex numbers, whose parts are planes of their own; bytes of a number that is computed with)."""
    return 2 if problem.dtype.startswith("complex") else 1, _SIZES.get(problem.dtype, 4)


def gathered(problem, rows, numbers, size, phases):
    """Amounts of a gather of so many numbers of `size` bytes in so many rows."""
    step = problem.stride[2] * (2 if problem.dtype.startswith("complex") else 1)
    return {
        "gathered_row": rows,
        "gathered_byte": numbers * size * min(problem.stride[2] / phases, 16),
        "every_second": numbers if step == 2 else 0,
        "scattered": numbers if step > 2 else 0,
        "converted": numbers if problem.dtype in CONVERTED else 0,
    }


def far_bytes(problem, size):
    """Bytes of input and output that come from and go to beyond a core's own caches."""
    count = problem.batch * problem.groups * problem.in_channels * prod(problem.size) + problem.outputs
    return max(count * size - CACHE_BYTES, 0)

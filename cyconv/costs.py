"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# Intel(R) Xeon(R) Processor, level v4, one thread, 2026-11-26, 900 problems, seed 1
# chosen / best algorithm for any weights: 1.034 in the geometric mean, 1.23 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.13e-06,
        "weight": 4.2e-10,
        "split_weight": 1.75e-09,
        "gathered_row": 7.2e-09,
        "gathered_byte": 3.53e-11,
        "every_second": 1.48e-10,
        "scattered": 4.32e-10,
        "converted": 1.66e-10,
        "block": 3.67e-08,
        "tile": 4.23e-09,
        "fma": 1.24e-10,
        "multiply_add_32": 3.41e-10,
        "multiply_add_64": 5.63e-10,
        "load": 2.3e-10,
        "written_row": 3.75e-09,
        "written_byte": 3.38e-11,
        "far_byte": 1.5e-11,
    },
    "depthwise": {
        "call": 1.04e-06,
        "weight": 3.09e-10,
        "split_weight": 1.26e-09,
        "gathered_row": 5.76e-09,
        "gathered_byte": 9.32e-12,
        "every_second": 1.22e-10,
        "scattered": 3.62e-10,
        "converted": 1.79e-10,
        "short_walk": 2.69e-09,
        "walk": 5.96e-09,
        "tile": 4.53e-09,
        "fma": 5.59e-11,
        "multiply_add_32": 1.83e-10,
        "multiply_add_64": 3.37e-10,
        "shuffled": 1.58e-10,
        "row": 1.29e-09,
        "single": 6.35e-10,
        "strip": 1.27e-08,
        "edge": 7.22e-09,
        "converted_row": 1.64e-08,
        "converted_out": 1.75e-10,
        "far_byte": 1.76e-11,
    },
    "channel_lanes": {
        "call": 2.15e-06,
        "weight": 4.03e-09,
        "item": 6.39e-08,
        "turned": 1.83e-09,
        "tile": 1.52e-09,
        "step": 0.0,
        "fma": 2.78e-10,
        "far_byte": 3.88e-11,
    },
    "implicit_gemm": {
        "call": 1.19e-06,
        "block": 1.04e-07,
        "weight": 1.72e-10,
        "gathered_row": 7.57e-09,
        "gathered_byte": 4.51e-11,
        "fma": 2.18e-10,
        "tile": 3.65e-09,
        "written": 3.17e-10,
        "scattered": 5.34e-10,
        "converted": 6.36e-10,
        "far_byte": 2.41e-11,
        "far_in_place": 2.74e-11,
    },
    "im2col": {
        "call": 5.37e-06,
        "split_weight": 1.03e-09,
        "gathered_row": 6.53e-09,
        "gathered_byte": 9.77e-12,
        "every_second": 3.53e-11,
        "scattered": 2.98e-10,
        "converted": 2e-10,
        "spilled_byte": 9.59e-11,
        "product": 4.03e-08,
        "multiply_add": 2.11e-11,
        "packed": 3.26e-11,
        "sum": 1.17e-10,
        "written_row": 8.63e-09,
        "written_byte": 1.11e-10,
        "far_byte": 1.95e-11,
    },
    "separable": {
        "call": 6.41e-06,
        "weight": 3.06e-10,
        "gathered_row": 7.34e-09,
        "gathered_byte": 2.67e-11,
        "every_second": 1.05e-10,
        "scattered": 4.91e-10,
        "converted": 2.28e-10,
        "block": 2.61e-08,
        "shared": 5.63e-10,
        "near": 3.6e-10,
        "apart": 5.76e-10,
        "row": 9.14e-09,
        "written_byte": 2.33e-11,
        "far_byte": 6.78e-12,
    },
    "fft": {
        "call": 2.26e-05,
        "transform_32": 1.43e-10,
        "transform_64": 1.91e-10,
        "multiply_add_32": 2.6e-10,
        "multiply_add_64": 2.87e-10,
        "byte": 2.28e-10,
    },
    "winograd": {
        "call": 1.57e-06,
        "split": 4.3e-06,
        "split_weight": 1.41e-09,
        "weight": 3.56e-09,
        "weight_read": 2.81e-09,
        "gathered_row": 3.06e-09,
        "gathered_byte": 3.54e-11,
        "every_second": 7.54e-10,
        "scattered": 5e-10,
        "converted": 6.86e-10,
        "input": 2.03e-09,
        "tile": 1.87e-08,
        "fma": 1.6e-10,
        "output": 2.26e-09,
        "written_row": 1.88e-10,
        "written_byte": 8.47e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.49e-05,
        "tap": 6.21e-06,
        "loop": 7.94e-10,
        "multiply_add": 3.8e-10,
        "copied": 9.04e-10,
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

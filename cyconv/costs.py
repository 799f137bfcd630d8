"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# Intel(R) Xeon(R) Processor, level v4, one thread, 2026-11-25, 900 problems, seed 1
# chosen / best algorithm for any weights: 1.047 in the geometric mean, 1.31 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.35e-06,
        "weight": 3.45e-10,
        "split_weight": 1.58e-09,
        "gathered_row": 8.35e-09,
        "gathered_byte": 2.57e-11,
        "every_second": 1.5e-10,
        "scattered": 4.52e-10,
        "converted": 1.72e-10,
        "block": 3.54e-08,
        "tile": 1.73e-09,
        "fma": 9.58e-11,
        "multiply_add_32": 3.81e-10,
        "multiply_add_64": 5.49e-10,
        "load": 2.61e-10,
        "written_row": 3.94e-09,
        "written_byte": 5.51e-11,
        "far_byte": 9.65e-12,
    },
    "depthwise": {
        "call": 1.36e-06,
        "weight": 5.58e-10,
        "split_weight": 1.75e-09,
        "gathered_row": 8.99e-09,
        "gathered_byte": 4.16e-12,
        "every_second": 1.59e-10,
        "scattered": 5.1e-10,
        "converted": 1.97e-10,
        "short_walk": 4.79e-09,
        "walk": 9.03e-09,
        "tile": 8.4e-09,
        "fma": 0.0,
        "multiply_add_32": 1.43e-10,
        "multiply_add_64": 3.22e-10,
        "shuffled": 2.62e-10,
        "row": 1.81e-09,
        "single": 8.41e-10,
        "converted_row": 2.18e-08,
        "converted_out": 1.83e-10,
        "far_byte": 9.3e-12,
    },
    "channel_lanes": {
        "call": 2.28e-06,
        "weight": 4.43e-09,
        "item": 5.2e-08,
        "turned": 1.89e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.49e-10,
        "far_byte": 4.05e-11,
    },
    "implicit_gemm": {
        "call": 1.84e-06,
        "block": 7.54e-08,
        "weight": 1.53e-10,
        "gathered_row": 6.62e-09,
        "gathered_byte": 3.62e-11,
        "fma": 2.11e-10,
        "tile": 1.01e-08,
        "written": 2.41e-10,
        "scattered": 4.64e-10,
        "converted": 6.85e-10,
        "far_byte": 1.48e-11,
        "far_in_place": 2.96e-11,
    },
    "im2col": {
        "call": 5.27e-06,
        "split_weight": 1.01e-09,
        "gathered_row": 7.77e-09,
        "gathered_byte": 1.26e-11,
        "every_second": 4.89e-11,
        "scattered": 1.44e-10,
        "converted": 1.92e-10,
        "spilled_byte": 9.6e-11,
        "product": 3.89e-08,
        "multiply_add": 1.82e-11,
        "packed": 4.32e-11,
        "sum": 1.08e-10,
        "written_row": 7.35e-09,
        "written_byte": 7.21e-11,
        "far_byte": 1e-11,
    },
    "separable": {
        "call": 6.35e-06,
        "weight": 1.19e-09,
        "gathered_row": 8.2e-09,
        "gathered_byte": 3.55e-11,
        "every_second": 7.64e-11,
        "scattered": 2.99e-10,
        "converted": 2.57e-10,
        "block": 2.48e-08,
        "shared": 4.01e-10,
        "near": 3.12e-10,
        "apart": 5.44e-10,
        "row": 9.21e-09,
        "written_byte": 1.3e-11,
        "far_byte": 1.16e-11,
    },
    "fft": {
        "call": 1.91e-05,
        "transform_32": 1.68e-10,
        "transform_64": 2.25e-10,
        "multiply_add_32": 2.35e-10,
        "multiply_add_64": 2.92e-10,
        "byte": 2.14e-10,
    },
    "winograd": {
        "call": 1.68e-06,
        "split": 3.46e-06,
        "split_weight": 2.13e-09,
        "weight": 3.18e-09,
        "weight_read": 1.6e-09,
        "gathered_row": 5.7e-09,
        "gathered_byte": 0.0,
        "every_second": 3.32e-10,
        "scattered": 5e-10,
        "converted": 4.41e-10,
        "input": 2.26e-09,
        "tile": 8.49e-09,
        "fma": 1.65e-10,
        "output": 3.22e-09,
        "written_row": 1.35e-10,
        "written_byte": 4.36e-11,
        "far_byte": 5.28e-12,
    },
    "reference": {
        "call": 1.27e-05,
        "tap": 6.51e-06,
        "loop": 1.59e-09,
        "multiply_add": 3.91e-10,
        "copied": 8.18e-10,
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

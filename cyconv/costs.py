"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# AMD EPYC, level v4, one thread, 2026-11-23, 330 problems, seed 1
# chosen / best algorithm for any weights: 1.030 in the geometric mean, 1.19 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 4.5e-06,
        "weight": 6.64e-10,
        "split_weight": 1.22e-09,
        "gathered_row": 5.49e-09,
        "gathered_byte": 5.25e-11,
        "every_second": 2.66e-11,
        "scattered": 4.16e-10,
        "converted": 0.0,
        "block": 3.69e-08,
        "tile": 0.0,
        "fma": 2.27e-10,
        "multiply_add_32": 2.9e-10,
        "multiply_add_64": 2.92e-10,
        "load": 1.66e-10,
        "written_row": 5.47e-09,
        "written_byte": 5.53e-11,
        "far_byte": 1.16e-11,
    },
    "depthwise": {
        "call": 3.97e-06,
        "weight": 2.69e-10,
        "split_weight": 6.17e-10,
        "gathered_row": 4.58e-09,
        "gathered_byte": 2.68e-11,
        "every_second": 7.71e-11,
        "scattered": 3.53e-10,
        "converted": 0.0,
        "walk": 4.88e-09,
        "tile": 7.74e-09,
        "fma": 1.14e-10,
        "multiply_add_32": 1.53e-10,
        "multiply_add_64": 1.75e-10,
        "shuffled": 1e-10,
        "row": 1.07e-09,
        "single": 5.79e-10,
        "converted_row": 2.88e-08,
        "converted_out": 1.07e-10,
        "far_byte": 0.0,
    },
    "channel_lanes": {
        "call": 3.79e-06,
        "weight": 2.81e-09,
        "item": 3.4e-08,
        "turned": 1.98e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 3.35e-10,
        "far_byte": 1.33e-11,
    },
    "implicit_gemm": {
        "call": 6.39e-06,
        "block": 4.84e-08,
        "weight": 7.06e-11,
        "gathered_row": 3.29e-09,
        "gathered_byte": 6.64e-11,
        "fma": 3.2e-10,
        "tile": 1.36e-08,
        "written": 1.44e-10,
        "scattered": 1.02e-09,
        "converted": 7.28e-10,
        "far_byte": 1.11e-11,
        "far_in_place": 8.45e-11,
    },
    "im2col": {
        "call": 8.72e-06,
        "split_weight": 1.36e-09,
        "gathered_row": 7.64e-09,
        "gathered_byte": 3.63e-14,
        "every_second": 1.11e-10,
        "scattered": 4.11e-10,
        "converted": 2.75e-10,
        "spilled_byte": 7.71e-11,
        "product": 3.5e-08,
        "multiply_add": 2.6e-11,
        "packed": 2.88e-11,
        "sum": 3.35e-11,
        "written_row": 1.94e-08,
        "written_byte": 4.98e-11,
        "far_byte": 8.58e-12,
    },
    "separable": {
        "call": 7.3e-06,
        "weight": 8.17e-10,
        "gathered_row": 6.94e-09,
        "gathered_byte": 3.68e-11,
        "every_second": 3.22e-11,
        "scattered": 2.86e-10,
        "converted": 4.45e-11,
        "block": 2.29e-08,
        "shared": 4.32e-10,
        "near": 4.62e-10,
        "apart": 5.65e-10,
        "row": 1.16e-08,
        "written_byte": 1.3e-11,
        "far_byte": 1.86e-12,
    },
    "fft": {
        "call": 2.07e-05,
        "transform_32": 1.47e-10,
        "transform_64": 1.73e-10,
        "multiply_add_32": 2.3e-10,
        "multiply_add_64": 1.82e-10,
        "byte": 2.18e-10,
    },
    "winograd": {
        "call": 7.23e-06,
        "split_weight": 0.0,
        "weight": 5.23e-09,
        "weight_read": 4.73e-10,
        "gathered_row": 3.89e-09,
        "gathered_byte": 0.0,
        "every_second": 4.44e-10,
        "scattered": 5e-10,
        "converted": 7.63e-09,
        "input": 7.73e-10,
        "tile": 0.0,
        "fma": 3.92e-10,
        "output": 2.79e-09,
        "written_row": 2.73e-10,
        "written_byte": 0.0,
        "far_byte": 2.92e-11,
    },
    "reference": {
        "call": 1.41e-05,
        "tap": 6.57e-06,
        "loop": 4.92e-10,
        "multiply_add": 2.8e-10,
        "copied": 5.93e-10,
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

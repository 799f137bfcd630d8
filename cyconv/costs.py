"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# AMD EPYC, level v4, one thread, 2026-11-23, 400 problems, seed 1
# chosen / best algorithm for any weights: 1.050 in the geometric mean, 1.46 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 5.65e-06,
        "weight": 4.99e-10,
        "split_weight": 7.71e-09,
        "gathered_row": 5.93e-09,
        "gathered_byte": 4.64e-11,
        "every_second": 1.39e-10,
        "scattered": 4.25e-10,
        "converted": 0.0,
        "block": 3.43e-08,
        "tile": 0.0,
        "fma": 2.39e-10,
        "multiply_add_32": 3.27e-10,
        "multiply_add_64": 3.18e-10,
        "load": 1.67e-10,
        "written_row": 4.42e-09,
        "written_byte": 6.4e-11,
        "far_byte": 1.12e-11,
    },
    "depthwise": {
        "call": 4.48e-06,
        "weight": 0.0,
        "split_weight": 9.54e-09,
        "gathered_row": 0.0,
        "gathered_byte": 2.05e-11,
        "every_second": 2.34e-10,
        "scattered": 3.72e-10,
        "converted": 4.14e-11,
        "short_walk": 0.0,
        "walk": 4.49e-09,
        "tile": 9.14e-09,
        "fma": 6.64e-11,
        "multiply_add_32": 2.83e-11,
        "multiply_add_64": 1.23e-10,
        "shuffled": 6.08e-11,
        "row": 1.74e-09,
        "single": 8.25e-10,
        "converted_row": 1.9e-08,
        "converted_out": 1.23e-10,
        "far_byte": 1.85e-11,
    },
    "channel_lanes": {
        "call": 4.32e-06,
        "weight": 0.0,
        "item": 4.5e-08,
        "turned": 2.04e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 3.37e-10,
        "far_byte": 3.4e-11,
    },
    "implicit_gemm": {
        "call": 6.58e-06,
        "block": 5.24e-08,
        "weight": 1.19e-10,
        "gathered_row": 3.62e-09,
        "gathered_byte": 5.84e-11,
        "fma": 3.12e-10,
        "tile": 1.66e-08,
        "written": 2.72e-10,
        "scattered": 3.95e-10,
        "converted": 4.69e-10,
        "far_byte": 1.1e-11,
        "far_in_place": 3.8e-11,
    },
    "im2col": {
        "call": 1.03e-05,
        "split_weight": 1.89e-09,
        "gathered_row": 7.39e-09,
        "gathered_byte": 1.26e-11,
        "every_second": 9.58e-11,
        "scattered": 2.77e-10,
        "converted": 6.98e-11,
        "spilled_byte": 5.24e-11,
        "product": 4.35e-08,
        "multiply_add": 2.72e-11,
        "packed": 0.0,
        "sum": 4.63e-11,
        "written_row": 1.78e-08,
        "written_byte": 6.6e-11,
        "far_byte": 3.91e-12,
    },
    "separable": {
        "call": 9.03e-06,
        "weight": 7.76e-10,
        "gathered_row": 6.11e-09,
        "gathered_byte": 4.39e-11,
        "every_second": 3.73e-10,
        "scattered": 2.97e-10,
        "converted": 1.37e-10,
        "block": 1.97e-08,
        "shared": 4.85e-10,
        "near": 4.98e-10,
        "apart": 5.4e-10,
        "row": 9.52e-09,
        "written_byte": 8e-12,
        "far_byte": 6.56e-12,
    },
    "fft": {
        "call": 2.43e-05,
        "transform_32": 2e-10,
        "transform_64": 2.54e-10,
        "multiply_add_32": 2.56e-10,
        "multiply_add_64": 2.27e-10,
        "byte": 1.92e-10,
    },
    "winograd": {
        "call": 9.18e-06,
        "split_weight": 1.37e-07,
        "weight": 3.35e-09,
        "weight_read": 7.42e-10,
        "gathered_row": 5.95e-09,
        "gathered_byte": 0.0,
        "every_second": 3.23e-10,
        "scattered": 5e-10,
        "converted": 0.0,
        "input": 3.91e-09,
        "tile": 0.0,
        "fma": 3.46e-10,
        "output": 2.58e-09,
        "written_row": 1.71e-10,
        "written_byte": 4.44e-11,
        "far_byte": 1.21e-11,
    },
    "reference": {
        "call": 1.87e-05,
        "tap": 7.47e-06,
        "loop": 1.72e-09,
        "multiply_add": 2.9e-10,
        "copied": 6.16e-10,
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

"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# AMD EPYC, level v4, one thread, 2026-11-22, 400 problems, seed 1
# chosen / best algorithm: 1.025 in the geometric mean, 1.17 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 7.99e-06,
        "weight": 6.81e-10,
        "split_weight": 1.25e-09,
        "gathered_row": 6.34e-09,
        "gathered_byte": 5.65e-11,
        "every_second": 0.0,
        "scattered": 4.93e-10,
        "converted": 0.0,
        "block": 3.87e-08,
        "tile": 0.0,
        "fma": 2.26e-10,
        "multiply_add_32": 2.75e-10,
        "multiply_add_64": 2.65e-10,
        "load": 1.75e-10,
        "written_row": 7.16e-09,
        "written_byte": 5.89e-11,
        "far_byte": 2.8e-11,
    },
    "depthwise": {
        "call": 6e-06,
        "weight": 1e-10,
        "split_weight": 1.25e-09,
        "gathered_row": 7e-09,
        "gathered_byte": 5e-11,
        "every_second": 0.0,
        "scattered": 5e-10,
        "converted": 0.0,
        "walk": 2e-09,
        "tile": 5e-09,
        "fma": 1.5e-10,
        "multiply_add_32": 2e-10,
        "multiply_add_64": 3e-10,
        "shuffled": 1e-10,
        "row": 4e-10,
        "single": 4e-10,
        "converted_row": 7e-09,
        "converted_out": 2e-10,
        "far_byte": 2.8e-11,
    },
    "channel_lanes": {
        "call": 6e-06,
        "weight": 2e-09,
        "item": 2e-07,
        "turned": 2e-09,
        "tile": 5e-09,
        "step": 3e-10,
        "fma": 3.1e-10,
        "far_byte": 2.8e-11,
    },
    "implicit_gemm": {
        "call": 7.28e-06,
        "block": 2e-07,
        "weight": 2.01e-10,
        "gathered_row": 7.4e-09,
        "gathered_byte": 3.11e-11,
        "fma": 3.36e-10,
        "tile": 2.05e-08,
        "written": 2e-10,
        "scattered": 2.99e-10,
        "converted": 3.92e-10,
        "far_byte": 1.74e-11,
        "far_in_place": 2e-10,
    },
    "im2col": {
        "call": 1.14e-05,
        "split_weight": 1.78e-09,
        "gathered_row": 7.63e-09,
        "gathered_byte": 0.0,
        "every_second": 1.19e-10,
        "scattered": 5.54e-10,
        "converted": 1.65e-10,
        "spilled_byte": 8.48e-11,
        "product": 3.85e-08,
        "multiply_add": 2.68e-11,
        "packed": 2.46e-11,
        "sum": 2.11e-11,
        "written_row": 2.3e-08,
        "written_byte": 6.1e-11,
        "far_byte": 1.69e-11,
    },
    "separable": {
        "call": 1.2e-05,
        "weight": 1.65e-09,
        "gathered_row": 1.29e-08,
        "gathered_byte": 2.99e-11,
        "every_second": 5.1e-11,
        "scattered": 2.53e-10,
        "converted": 3.84e-10,
        "block": 2e-08,
        "shared": 5.51e-10,
        "near": 4e-10,
        "apart": 5.54e-10,
        "row": 1.32e-08,
        "written_byte": 3.09e-11,
        "far_byte": 5.95e-12,
    },
    "fft": {
        "call": 1.99e-05,
        "transform_32": 1.52e-10,
        "transform_64": 2e-10,
        "multiply_add_32": 2.76e-10,
        "multiply_add_64": 2.39e-10,
        "byte": 1.88e-10,
    },
    "winograd": {
        "call": 8.8e-06,
        "split_weight": 1.2e-09,
        "weight": 3.3e-09,
        "weight_read": 9.5e-10,
        "gathered_row": 6.7e-09,
        "gathered_byte": 0.0,
        "every_second": 6.3e-10,
        "scattered": 5e-10,
        "converted": 6e-10,
        "input": 2.02e-09,
        "tile": 0.0,
        "fma": 3.3e-10,
        "output": 3e-09,
        "written_row": 1.35e-09,
        "written_byte": 3e-11,
        "far_byte": 1.2e-10,
    },
    "reference": {
        "call": 1.58e-05,
        "tap": 6.62e-06,
        "loop": 1.1e-09,
        "multiply_add": 2.79e-10,
        "copied": 5.96e-10,
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

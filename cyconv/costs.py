"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that bench/calibrate.py can
fit the seconds of any algorithm to measured times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# AMD EPYC, level v4, one thread, 2026-11-22, 250 problems, seed 1
# chosen / best algorithm: 1.019 in the geometric mean, 1.00 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.11e-05,
        "weight": 1.19e-09,
        "split_weight": 1.54e-09,
        "gathered_row": 8.3e-09,
        "gathered_byte": 6.85e-11,
        "every_second": 0.0,
        "scattered": 6.79e-10,
        "converted": 0.0,
        "block": 8.73e-08,
        "tile": 6.63e-10,
        "fma": 2.17e-10,
        "multiply_add_32": 2.91e-10,
        "multiply_add_64": 2.8e-10,
        "load": 2.11e-10,
        "written_row": 5.2e-09,
        "written_byte": 8.04e-11,
        "far_byte": 3.75e-11,
    },
    "im2col": {
        "call": 1.45e-05,
        "split_weight": 1.91e-09,
        "gathered_row": 9.32e-09,
        "gathered_byte": 0.0,
        "every_second": 1.33e-10,
        "scattered": 3.96e-10,
        "converted": 3.24e-10,
        "spilled_byte": 1e-10,
        "product": 9.26e-07,
        "multiply_add": 2.72e-11,
        "packed": 5.43e-11,
        "sum": 4.78e-11,
        "written_row": 2.45e-08,
        "written_byte": 2.58e-12,
        "far_byte": 3.74e-11,
    },
    "reference": {
        "call": 2.28e-05,
        "tap": 7.9e-06,
        "loop": 1.04e-09,
        "multiply_add": 3.31e-10,
        "copied": 6.95e-10,
    },
    "fft": {
        "call": 2e-05,
        "transform_32": 1.8e-10,
        "transform_64": 3.2e-10,
        "multiply_add_32": 1.8e-10,
        "multiply_add_64": 3.6e-10,
        "byte": 1e-10,
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

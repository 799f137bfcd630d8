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
# chosen / best algorithm for any weights: 1.032 in the geometric mean, 1.21 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 9.73e-07,
        "weight": 2.82e-10,
        "split_weight": 1.13e-09,
        "gathered_row": 6.53e-09,
        "gathered_byte": 2.51e-11,
        "every_second": 1.02e-10,
        "scattered": 3.23e-10,
        "converted": 1.29e-10,
        "block": 2.83e-08,
        "tile": 3.82e-09,
        "fma": 1.1e-10,
        "multiply_add_32": 2.98e-10,
        "multiply_add_64": 4.58e-10,
        "load": 2.03e-10,
        "written_row": 2.98e-09,
        "written_byte": 2.86e-11,
        "far_byte": 1.8e-11,
    },
    "depthwise": {
        "call": 9.49e-07,
        "weight": 1.82e-10,
        "split_weight": 7.22e-10,
        "gathered_row": 3.88e-09,
        "gathered_byte": 1.04e-11,
        "every_second": 7.8e-11,
        "scattered": 2.76e-10,
        "converted": 1.41e-10,
        "short_walk": 1.71e-09,
        "walk": 4.32e-09,
        "tile": 3.15e-09,
        "fma": 7.16e-11,
        "tall_fma": 6.42e-11,
        "multiply_add_32": 1.7e-10,
        "multiply_add_64": 3.02e-10,
        "shuffled": 1.67e-10,
        "row": 7.95e-10,
        "single": 4.5e-10,
        "strip": 1.28e-08,
        "edge": 4.45e-09,
        "converted_row": 1.78e-08,
        "converted_out": 9.57e-11,
        "far_byte": 1.31e-11,
    },
    "channel_lanes": {
        "call": 1.26e-06,
        "weight": 1.6e-09,
        "item": 5.06e-08,
        "turned": 1.51e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.13e-10,
        "far_byte": 2.98e-11,
    },
    "implicit_gemm": {
        "call": 1.14e-06,
        "block": 8.17e-08,
        "weight": 2.54e-10,
        "column_fma": 2.65e-10,
        "weight_byte": 1.52e-11,
        "copied": 3.02e-09,
        "gathered_row": 5.82e-09,
        "gathered_byte": 2.77e-11,
        "fma": 1.88e-10,
        "tile": 2.94e-09,
        "written": 1.74e-10,
        "scattered": 4.47e-10,
        "converted": 5.51e-10,
        "far_byte": 2.32e-11,
        "far_in_place": 1.44e-11,
    },
    "im2col": {
        "call": 3.82e-06,
        "split_weight": 6.24e-10,
        "gathered_row": 5.62e-09,
        "gathered_byte": 7.48e-12,
        "every_second": 3.05e-11,
        "scattered": 2.35e-10,
        "converted": 1.51e-10,
        "spilled_byte": 8.76e-11,
        "product": 3.58e-08,
        "multiply_add": 1.7e-11,
        "packed": 2.99e-11,
        "sum": 6.63e-11,
        "written_row": 4.54e-09,
        "written_byte": 1.14e-10,
        "far_byte": 2.06e-11,
    },
    "separable": {
        "call": 1.32e-06,
        "weight": 1.39e-10,
        "gathered_row": 6.39e-09,
        "gathered_byte": 1.63e-11,
        "every_second": 2.48e-11,
        "scattered": 2.71e-10,
        "converted": 1.97e-10,
        "block": 2.26e-08,
        "shared": 4.23e-10,
        "near": 3.02e-10,
        "apart": 4.83e-10,
        "row": 7.02e-09,
        "written_byte": 9.59e-12,
        "far_byte": 1.36e-11,
    },
    "fft": {
        "call": 1.42e-05,
        "transform_32": 1.23e-10,
        "transform_64": 1.55e-10,
        "multiply_add_32": 2.36e-10,
        "multiply_add_64": 2.31e-10,
        "byte": 1.81e-10,
    },
    "winograd": {
        "call": 1.55e-06,
        "split": 3.6e-06,
        "split_weight": 2.88e-09,
        "weight": 2.99e-09,
        "few": 4.29e-09,
        "turned": 9.3e-08,
        "weight_read": 1.77e-09,
        "gathered_row": 9.35e-10,
        "gathered_byte": 1.65e-11,
        "every_second": 1.92e-11,
        "scattered": 5e-10,
        "converted": 8.69e-10,
        "input": 1.35e-09,
        "tile": 0.0,
        "fma": 1.8e-10,
        "output": 2.65e-09,
        "summed_again": 4.72e-08,
        "written_row": 8.5e-11,
        "written_byte": 4.43e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 9.45e-06,
        "tap": 4.8e-06,
        "loop": 9.34e-10,
        "multiply_add": 2.95e-10,
        "copied": 6.81e-10,
    },
}
# ---- end of the calibrated block ----

CAUTION = {"reference": 4.0}  # factor on predictions that are so uncertain that they should win by far or not at all

VECTOR_BYTES = 64
CACHE_BYTES = 2**20  # of a second-level cache
_SIZES = {"float64": 8, "complex128": 8, "int64": 8, "uint64": 8}  # bytes of a number that is computed with, if not 4
PREPARED = ("weight", "split_weight")  # kinds of work that a Plan has behind it
CONVERTED = ("float16", "int8", "uint8", "int16", "uint16")  # stored in fewer bytes than they are computed in


def seconds(name, amounts, table=SECONDS):
    """Predicted seconds of algorithm `name` for the whole call, weights prepared anew."""
    each = table[name]
    return CAUTION.get(name, 1.0) * sum([amount * each[kind] for kind, amount in amounts.items()])


def planned_seconds(row, problem):
    """Predicted seconds of a call of a Plan, whose weights are prepared, by this row of the menu."""
    planned = getattr(row.module, "planned_amounts", None)
    work = row.module.amounts(problem) if planned is None else planned(problem)
    return seconds(row.name, work if planned else {kind: amount for kind, amount in work.items() if kind not in PREPARED})


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

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
# chosen / best algorithm for any weights: 1.030 in the geometric mean, 1.19 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.02e-06,
        "weight": 3.88e-10,
        "split_weight": 1.56e-09,
        "gathered_row": 6.98e-09,
        "gathered_byte": 3.1e-11,
        "every_second": 1.19e-10,
        "scattered": 4.04e-10,
        "converted": 1.49e-10,
        "block": 3.16e-08,
        "tile": 3.64e-09,
        "fma": 1.08e-10,
        "multiply_add_32": 3.08e-10,
        "multiply_add_64": 5.13e-10,
        "load": 2.18e-10,
        "written_row": 3.34e-09,
        "written_byte": 3.6e-11,
        "far_byte": 1.42e-11,
    },
    "depthwise": {
        "call": 9.41e-07,
        "weight": 3.3e-10,
        "split_weight": 7.46e-10,
        "gathered_row": 5.8e-09,
        "gathered_byte": 7.06e-12,
        "every_second": 1.01e-10,
        "scattered": 3.08e-10,
        "converted": 1.86e-10,
        "short_walk": 1.77e-09,
        "walk": 4.62e-09,
        "tile": 4.04e-09,
        "fma": 9.33e-11,
        "tall_fma": 6.95e-11,
        "multiply_add_32": 1.98e-10,
        "multiply_add_64": 3.27e-10,
        "shuffled": 1.71e-10,
        "row": 8.61e-10,
        "single": 4.39e-10,
        "strip": 1.36e-08,
        "edge": 5e-09,
        "converted_row": 1.59e-08,
        "converted_out": 1.4e-10,
        "far_byte": 1.59e-11,
    },
    "channel_lanes": {
        "call": 1.35e-06,
        "weight": 2.25e-09,
        "item": 6.58e-08,
        "turned": 1.75e-09,
        "tile": 7.17e-11,
        "step": 0.0,
        "fma": 2.44e-10,
        "far_byte": 3.68e-11,
    },
    "implicit_gemm": {
        "call": 1.13e-06,
        "block": 9.64e-08,
        "weight": 1.68e-10,
        "copied": 1.58e-08,
        "gathered_row": 6.58e-09,
        "gathered_byte": 4.05e-11,
        "fma": 1.99e-10,
        "tile": 3.63e-09,
        "written": 2.61e-10,
        "scattered": 5.08e-10,
        "converted": 5.71e-10,
        "far_byte": 2.34e-11,
        "far_in_place": 2.33e-11,
    },
    "im2col": {
        "call": 4.99e-06,
        "split_weight": 8.86e-10,
        "gathered_row": 6.01e-09,
        "gathered_byte": 1e-11,
        "every_second": 2.79e-11,
        "scattered": 2.64e-10,
        "converted": 1.82e-10,
        "spilled_byte": 8.89e-11,
        "product": 3.73e-08,
        "multiply_add": 1.93e-11,
        "packed": 2.77e-11,
        "sum": 8.61e-11,
        "written_row": 8.97e-09,
        "written_byte": 9e-11,
        "far_byte": 2.02e-11,
    },
    "separable": {
        "call": 1.42e-06,
        "weight": 2.02e-10,
        "gathered_row": 6.85e-09,
        "gathered_byte": 1.79e-11,
        "every_second": 3.83e-11,
        "scattered": 3.28e-10,
        "converted": 2.48e-10,
        "block": 2.54e-08,
        "shared": 4.71e-10,
        "near": 3.19e-10,
        "apart": 5.07e-10,
        "row": 7.57e-09,
        "written_byte": 1.31e-11,
        "far_byte": 1.49e-11,
    },
    "fft": {
        "call": 2.03e-05,
        "transform_32": 1.28e-10,
        "transform_64": 1.84e-10,
        "multiply_add_32": 2.34e-10,
        "multiply_add_64": 2.45e-10,
        "byte": 2.15e-10,
    },
    "winograd": {
        "call": 1.38e-06,
        "split": 3.22e-06,
        "split_weight": 3.27e-09,
        "weight": 3.35e-09,
        "weight_read": 3.3e-09,
        "gathered_row": 3.25e-09,
        "gathered_byte": 4.14e-11,
        "every_second": 6.74e-10,
        "scattered": 5e-10,
        "converted": 6.96e-10,
        "input": 1.21e-09,
        "tile": 2.52e-08,
        "fma": 1.43e-10,
        "output": 1.83e-09,
        "written_row": 1.58e-10,
        "written_byte": 7.77e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.25e-05,
        "tap": 5.49e-06,
        "loop": 7.49e-10,
        "multiply_add": 3.4e-10,
        "copied": 8.29e-10,
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

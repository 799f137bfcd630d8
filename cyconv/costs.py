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
# chosen / best algorithm for any weights: 1.029 in the geometric mean, 1.19 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.01e-06,
        "weight": 3.18e-10,
        "split_weight": 1.39e-09,
        "gathered_row": 6.74e-09,
        "gathered_byte": 2.83e-11,
        "every_second": 1.18e-10,
        "scattered": 3.59e-10,
        "converted": 1.4e-10,
        "block": 2.74e-08,
        "tile": 4.21e-09,
        "fma": 1.07e-10,
        "multiply_add_32": 3.02e-10,
        "multiply_add_64": 5.09e-10,
        "load": 2.15e-10,
        "written_row": 3.29e-09,
        "written_byte": 3.25e-11,
        "far_byte": 1.74e-11,
    },
    "depthwise": {
        "call": 9.58e-07,
        "weight": 2.7e-10,
        "split_weight": 1.03e-09,
        "gathered_row": 5.43e-09,
        "gathered_byte": 6.39e-12,
        "every_second": 1.02e-10,
        "scattered": 3.13e-10,
        "converted": 1.7e-10,
        "short_walk": 1.61e-09,
        "walk": 4.13e-09,
        "tile": 3.42e-09,
        "fma": 8.37e-11,
        "tall_fma": 7.74e-11,
        "multiply_add_32": 1.85e-10,
        "multiply_add_64": 3.19e-10,
        "shuffled": 1.76e-10,
        "row": 7.17e-10,
        "single": 4.24e-10,
        "strip": 1.32e-08,
        "edge": 4.44e-09,
        "converted_row": 1.36e-08,
        "converted_out": 1.4e-10,
        "far_byte": 1.61e-11,
    },
    "channel_lanes": {
        "call": 1.31e-06,
        "weight": 1.45e-09,
        "item": 5.43e-08,
        "turned": 1.59e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.25e-10,
        "far_byte": 3.12e-11,
    },
    "implicit_gemm": {
        "call": 1.11e-06,
        "block": 8.08e-08,
        "weight": 1.57e-10,
        "column_fma": 1.72e-10,
        "weight_byte": 3.56e-11,
        "copied": 2.61e-09,
        "gathered_row": 6.23e-09,
        "gathered_byte": 3.92e-11,
        "fma": 1.94e-10,
        "tile": 3.25e-09,
        "written": 2.01e-10,
        "scattered": 3.62e-10,
        "converted": 5.08e-10,
        "far_byte": 2.26e-11,
        "far_in_place": 1.68e-11,
    },
    "im2col": {
        "call": 4.32e-06,
        "split_weight": 8.15e-10,
        "gathered_row": 5.77e-09,
        "gathered_byte": 1.12e-11,
        "every_second": 1.81e-11,
        "scattered": 2.39e-10,
        "converted": 1.75e-10,
        "spilled_byte": 8.97e-11,
        "product": 3.25e-08,
        "multiply_add": 1.85e-11,
        "packed": 2.29e-11,
        "sum": 8e-11,
        "written_row": 8.71e-09,
        "written_byte": 8.17e-11,
        "far_byte": 1.91e-11,
    },
    "separable": {
        "call": 1.51e-06,
        "weight": 1.45e-10,
        "gathered_row": 6.68e-09,
        "gathered_byte": 1.83e-11,
        "every_second": 3.53e-11,
        "scattered": 3.03e-10,
        "converted": 2.36e-10,
        "block": 2.23e-08,
        "shared": 4.59e-10,
        "near": 3.07e-10,
        "apart": 5e-10,
        "row": 7.2e-09,
        "written_byte": 1.26e-11,
        "far_byte": 1.46e-11,
    },
    "fft": {
        "call": 1.65e-05,
        "transform_32": 1.26e-10,
        "transform_64": 1.72e-10,
        "multiply_add_32": 2.25e-10,
        "multiply_add_64": 2.38e-10,
        "byte": 2.06e-10,
    },
    "winograd": {
        "call": 1.41e-06,
        "split": 2.14e-06,
        "split_weight": 0.0,
        "weight": 3.08e-09,
        "few": 9.19e-08,
        "turned": 0.0,
        "weight_read": 2.48e-09,
        "gathered_row": 3.69e-09,
        "gathered_byte": 4.47e-11,
        "every_second": 5.7e-10,
        "scattered": 5e-10,
        "converted": 7.59e-10,
        "input": 1.54e-09,
        "tile": 0.0,
        "fma": 1.28e-10,
        "output": 2.68e-09,
        "written_row": 1.62e-10,
        "written_byte": 7.19e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.01e-05,
        "tap": 5.08e-06,
        "loop": 7.2e-10,
        "multiply_add": 3.36e-10,
        "copied": 7.61e-10,
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

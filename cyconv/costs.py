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
# chosen / best algorithm for any weights: 1.029 in the geometric mean, 1.24 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 9.66e-07,
        "weight": 3.34e-10,
        "split_weight": 1.42e-09,
        "gathered_row": 6.54e-09,
        "gathered_byte": 2.55e-11,
        "every_second": 1.23e-10,
        "scattered": 3.72e-10,
        "converted": 1.46e-10,
        "block": 2.97e-08,
        "tile": 3.42e-09,
        "fma": 9.99e-11,
        "multiply_add_32": 2.91e-10,
        "multiply_add_64": 4.84e-10,
        "load": 2.11e-10,
        "written_row": 3.16e-09,
        "written_byte": 3e-11,
        "far_byte": 1.77e-11,
    },
    "depthwise": {
        "call": 9.18e-07,
        "weight": 3.08e-10,
        "split_weight": 9.17e-10,
        "gathered_row": 5.37e-09,
        "gathered_byte": 5.23e-12,
        "every_second": 9.99e-11,
        "scattered": 2.97e-10,
        "converted": 1.64e-10,
        "short_walk": 1.51e-09,
        "walk": 4.06e-09,
        "tile": 3.53e-09,
        "fma": 8.74e-11,
        "tall_fma": 6.46e-11,
        "multiply_add_32": 1.86e-10,
        "multiply_add_64": 3.11e-10,
        "shuffled": 1.6e-10,
        "row": 8.14e-10,
        "single": 4.04e-10,
        "strip": 1.29e-08,
        "edge": 4.72e-09,
        "converted_row": 1.52e-08,
        "converted_out": 1.55e-10,
        "far_byte": 1.48e-11,
    },
    "channel_lanes": {
        "call": 1.33e-06,
        "weight": 1.6e-09,
        "item": 5.92e-08,
        "turned": 1.58e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.35e-10,
        "far_byte": 3.04e-11,
    },
    "implicit_gemm": {
        "call": 1.08e-06,
        "block": 9.09e-08,
        "weight": 1.45e-10,
        "column_fma": 1.82e-10,
        "weight_byte": 3.54e-11,
        "copied": 1.77e-09,
        "gathered_row": 6.37e-09,
        "gathered_byte": 3.7e-11,
        "fma": 1.86e-10,
        "tile": 2.99e-09,
        "written": 2.35e-10,
        "scattered": 4.62e-10,
        "converted": 5.6e-10,
        "far_byte": 2.17e-11,
        "far_in_place": 2.74e-11,
    },
    "im2col": {
        "call": 4.1e-06,
        "split_weight": 7.8e-10,
        "gathered_row": 5.55e-09,
        "gathered_byte": 9.95e-12,
        "every_second": 2.12e-11,
        "scattered": 2.5e-10,
        "converted": 1.81e-10,
        "spilled_byte": 8.94e-11,
        "product": 3.33e-08,
        "multiply_add": 1.78e-11,
        "packed": 2.01e-11,
        "sum": 7.07e-11,
        "written_row": 8.19e-09,
        "written_byte": 8.82e-11,
        "far_byte": 1.96e-11,
    },
    "separable": {
        "call": 1.39e-06,
        "weight": 1.62e-10,
        "gathered_row": 6.53e-09,
        "gathered_byte": 1.74e-11,
        "every_second": 1.74e-11,
        "scattered": 2.84e-10,
        "converted": 2.33e-10,
        "block": 2.31e-08,
        "shared": 4.4e-10,
        "near": 2.96e-10,
        "apart": 4.79e-10,
        "row": 6.91e-09,
        "written_byte": 1.06e-11,
        "far_byte": 1.44e-11,
    },
    "fft": {
        "call": 1.55e-05,
        "transform_32": 1.21e-10,
        "transform_64": 1.55e-10,
        "multiply_add_32": 2.21e-10,
        "multiply_add_64": 2.24e-10,
        "byte": 2.02e-10,
    },
    "winograd": {
        "call": 1.23e-06,
        "split": 2.78e-06,
        "split_weight": 0.0,
        "weight": 3.15e-09,
        "few": 4e-08,
        "turned": 2.2e-08,
        "weight_byte": 3.5e-11,
        "weight_read": 3.44e-09,
        "gathered_row": 2.5e-09,
        "gathered_byte": 5.25e-11,
        "every_second": 6.57e-10,
        "scattered": 5e-10,
        "converted": 7.09e-10,
        "input": 5.21e-10,
        "tile": 2.52e-08,
        "fma": 1.32e-10,
        "output": 1.7e-09,
        "written_row": 1.64e-10,
        "written_byte": 6.72e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 9.9e-06,
        "tap": 4.87e-06,
        "loop": 6.74e-10,
        "multiply_add": 3.32e-10,
        "copied": 7.05e-10,
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

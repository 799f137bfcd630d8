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
# chosen / best algorithm for any weights: 1.031 in the geometric mean, 1.20 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 9.61e-07,
        "weight": 3.22e-10,
        "split_weight": 1.14e-09,
        "gathered_row": 6.5e-09,
        "gathered_byte": 2.71e-11,
        "every_second": 9.56e-11,
        "scattered": 3.18e-10,
        "converted": 1.28e-10,
        "block": 2.81e-08,
        "tile": 3.85e-09,
        "fma": 1.07e-10,
        "multiply_add_32": 2.95e-10,
        "multiply_add_64": 4.73e-10,
        "load": 2.05e-10,
        "written_row": 3.08e-09,
        "written_byte": 3.03e-11,
        "far_byte": 1.78e-11,
    },
    "depthwise": {
        "call": 9.48e-07,
        "weight": 1.99e-10,
        "split_weight": 7.22e-10,
        "gathered_row": 3.6e-09,
        "gathered_byte": 1.1e-11,
        "every_second": 8.2e-11,
        "scattered": 2.83e-10,
        "converted": 1.5e-10,
        "short_walk": 1.72e-09,
        "walk": 4.37e-09,
        "tile": 3.22e-09,
        "fma": 7.38e-11,
        "tall_fma": 6.36e-11,
        "multiply_add_32": 1.71e-10,
        "multiply_add_64": 3.21e-10,
        "shuffled": 1.63e-10,
        "row": 7.79e-10,
        "single": 4.28e-10,
        "strip": 1.32e-08,
        "edge": 4.47e-09,
        "converted_row": 1.76e-08,
        "converted_out": 9.56e-11,
        "far_byte": 1.39e-11,
    },
    "channel_lanes": {
        "call": 1.29e-06,
        "weight": 1.77e-09,
        "item": 5.2e-08,
        "turned": 1.52e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.09e-10,
        "far_byte": 3.16e-11,
    },
    "implicit_gemm": {
        "call": 1.07e-06,
        "block": 6.83e-08,
        "weight": 1.7e-10,
        "column_fma": 2.53e-10,
        "weight_byte": 1.33e-11,
        "copied": 2.8e-09,
        "gathered_row": 5.84e-09,
        "gathered_byte": 2.77e-11,
        "fma": 1.87e-10,
        "tile": 3.08e-09,
        "written": 1.74e-10,
        "scattered": 4.17e-10,
        "converted": 5.4e-10,
        "far_byte": 2.37e-11,
        "far_in_place": 1.22e-11,
    },
    "im2col": {
        "call": 3.89e-06,
        "split_weight": 6.39e-10,
        "gathered_row": 5.7e-09,
        "gathered_byte": 6.6e-12,
        "every_second": 3.36e-11,
        "scattered": 2.45e-10,
        "converted": 1.46e-10,
        "spilled_byte": 8.77e-11,
        "product": 3.31e-08,
        "multiply_add": 1.72e-11,
        "packed": 3.41e-11,
        "sum": 7.58e-11,
        "written_row": 4.78e-09,
        "written_byte": 1.13e-10,
        "far_byte": 1.97e-11,
    },
    "separable": {
        "call": 1.36e-06,
        "weight": 1.61e-10,
        "gathered_row": 6.63e-09,
        "gathered_byte": 1.63e-11,
        "every_second": 3.54e-11,
        "scattered": 2.81e-10,
        "converted": 1.9e-10,
        "block": 2.27e-08,
        "shared": 4.52e-10,
        "near": 2.97e-10,
        "apart": 4.83e-10,
        "row": 6.96e-09,
        "written_byte": 1.09e-11,
        "far_byte": 1.36e-11,
    },
    "fft": {
        "call": 1.49e-05,
        "transform_32": 1.32e-10,
        "transform_64": 1.68e-10,
        "multiply_add_32": 2.56e-10,
        "multiply_add_64": 2.45e-10,
        "byte": 1.85e-10,
    },
    "winograd": {
        "call": 1.53e-06,
        "split": 3.13e-06,
        "split_weight": 3.3e-09,
        "weight": 3.05e-09,
        "few": 4.41e-09,
        "turned": 9.06e-08,
        "weight_read": 1.5e-09,
        "gathered_row": 1e-09,
        "gathered_byte": 1.83e-11,
        "every_second": 1.04e-10,
        "scattered": 5e-10,
        "converted": 8.26e-10,
        "input": 1.32e-09,
        "tile": 0.0,
        "fma": 1.78e-10,
        "output": 2.67e-09,
        "summed_again": 5.08e-08,
        "written_row": 1.01e-10,
        "written_byte": 4.58e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 9.57e-06,
        "tap": 4.8e-06,
        "loop": 9.93e-10,
        "multiply_add": 3.04e-10,
        "copied": 7.18e-10,
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

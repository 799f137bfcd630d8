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
# chosen / best algorithm for any weights: 1.038 in the geometric mean, 1.23 at the 95th percentile, held-out problems
SECONDS = {
    "direct": {
        "call": 1.2e-06,
        "weight": 4.7e-10,
        "split_weight": 1.66e-09,
        "gathered_row": 7.73e-09,
        "gathered_byte": 3.43e-11,
        "every_second": 1.36e-10,
        "scattered": 4.23e-10,
        "converted": 1.79e-10,
        "block": 3.73e-08,
        "tile": 4.44e-09,
        "fma": 1.28e-10,
        "multiply_add_32": 3.52e-10,
        "multiply_add_64": 5.83e-10,
        "load": 2.33e-10,
        "written_row": 3.84e-09,
        "written_byte": 3.67e-11,
        "far_byte": 1.13e-11,
    },
    "depthwise": {
        "call": 1.05e-06,
        "weight": 2.7e-10,
        "split_weight": 1.32e-09,
        "gathered_row": 6.54e-09,
        "gathered_byte": 9.85e-12,
        "every_second": 1.13e-10,
        "scattered": 3.67e-10,
        "converted": 1.86e-10,
        "short_walk": 2.86e-09,
        "walk": 6.23e-09,
        "tile": 4.76e-09,
        "fma": 5.97e-11,
        "tall_fma": 4.6e-11,
        "multiply_add_32": 1.99e-10,
        "multiply_add_64": 3.42e-10,
        "shuffled": 1.81e-10,
        "row": 1.31e-09,
        "single": 6.36e-10,
        "strip": 1.3e-08,
        "edge": 7.29e-09,
        "converted_row": 1.77e-08,
        "converted_out": 1.67e-10,
        "far_byte": 1.33e-11,
    },
    "channel_lanes": {
        "call": 2.17e-06,
        "weight": 3.81e-09,
        "item": 7.28e-08,
        "turned": 1.89e-09,
        "tile": 2.95e-09,
        "step": 0.0,
        "fma": 2.81e-10,
        "far_byte": 3.43e-11,
    },
    "implicit_gemm": {
        "call": 1.25e-06,
        "block": 1.06e-07,
        "weight": 1.77e-10,
        "copied": 1e-09,
        "gathered_row": 8.3e-09,
        "gathered_byte": 4.34e-11,
        "fma": 2.25e-10,
        "tile": 3.96e-09,
        "written": 3.19e-10,
        "scattered": 5.26e-10,
        "converted": 6.57e-10,
        "far_byte": 2.34e-11,
        "far_in_place": 2.45e-11,
    },
    "im2col": {
        "call": 5.52e-06,
        "split_weight": 9.58e-10,
        "gathered_row": 6.54e-09,
        "gathered_byte": 8.36e-12,
        "every_second": 4.35e-11,
        "scattered": 3.14e-10,
        "converted": 2.09e-10,
        "spilled_byte": 9.29e-11,
        "product": 4.4e-08,
        "multiply_add": 2.17e-11,
        "packed": 3.99e-11,
        "sum": 1.17e-10,
        "written_row": 1.04e-08,
        "written_byte": 9.73e-11,
        "far_byte": 1.71e-11,
    },
    "separable": {
        "call": 1.64e-06,
        "weight": 1.51e-10,
        "gathered_row": 7.34e-09,
        "gathered_byte": 2.13e-11,
        "every_second": 5.55e-11,
        "scattered": 3.75e-10,
        "converted": 2.75e-10,
        "block": 2.81e-08,
        "shared": 5.58e-10,
        "near": 3.63e-10,
        "apart": 5.85e-10,
        "row": 8.49e-09,
        "written_byte": 1.76e-11,
        "far_byte": 1.07e-11,
    },
    "fft": {
        "call": 2.36e-05,
        "transform_32": 1.59e-10,
        "transform_64": 2.27e-10,
        "multiply_add_32": 2.71e-10,
        "multiply_add_64": 2.79e-10,
        "byte": 2.17e-10,
    },
    "winograd": {
        "call": 1.49e-06,
        "split": 5.62e-06,
        "split_weight": 0.0,
        "weight": 3.89e-09,
        "weight_read": 3.19e-09,
        "gathered_row": 2.87e-09,
        "gathered_byte": 3.42e-11,
        "every_second": 8.62e-10,
        "scattered": 5e-10,
        "converted": 7.48e-10,
        "input": 1.71e-09,
        "tile": 1.85e-08,
        "fma": 1.69e-10,
        "output": 2.37e-09,
        "written_row": 2e-10,
        "written_byte": 8.38e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.63e-05,
        "tap": 6.5e-06,
        "loop": 8.56e-10,
        "multiply_add": 3.73e-10,
        "copied": 8.91e-10,
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

"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes: SHIPPED, or what `python -m cyconv tune` has measured on this machine (tuning.py). The kinds are few and physical (a
call, a gathered byte, a vector of multiply-adds), so that calibration.py can fit the seconds of any algorithm to measured
times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

import threading
import warnings
from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# one thread, 1500 problems, seed 5
# chosen / best algorithm for any weights: 1.035 in the geometric mean, 1.33 at the 95th percentile, held-out problems
SOURCE = "Intel(R) Xeon(R) Processor, level v4, 2026-11-27"
SHIPPED = {
    "direct": {
        "call": 1.15e-06,
        "weight": 5.12e-10,
        "split_weight": 2.11e-09,
        "gathered_row": 8.43e-09,
        "gathered_byte": 4.27e-11,
        "every_second": 1.1e-10,
        "scattered": 3.28e-10,
        "converted": 6.7e-11,
        "block": 3.67e-08,
        "tile": 6e-10,
        "fma": 1.17e-10,
        "multiply_add_32": 3.14e-10,
        "multiply_add_64": 5.35e-10,
        "load": 2.26e-10,
        "written_row": 3.39e-09,
        "written_byte": 4.78e-11,
        "far_byte": 7.14e-12,
    },
    "depthwise": {
        "call": 9.88e-07,
        "weight": 5.32e-10,
        "split_weight": 4.42e-09,
        "gathered_row": 1.88e-09,
        "gathered_byte": 2.25e-11,
        "every_second": 5.84e-11,
        "scattered": 2.09e-10,
        "converted": 7.37e-11,
        "short_walk": 2.17e-09,
        "walk": 5.19e-09,
        "tile": 3.68e-09,
        "fma": 8.54e-11,
        "tall_fma": 8.12e-11,
        "multiply_add_32": 2.39e-10,
        "multiply_add_64": 3.67e-10,
        "shuffled": 2.4e-10,
        "row": 8.2e-10,
        "single": 5.18e-10,
        "strip": 1.4e-08,
        "edge": 4.53e-09,
        "converted_row": 3.01e-08,
        "converted_out": 0.0,
        "far_byte": 1.72e-11,
    },
    "channel_lanes": {
        "call": 1.66e-06,
        "weight": 5.33e-09,
        "item": 7.71e-08,
        "turned": 1.71e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.55e-10,
        "far_byte": 4.55e-11,
    },
    "implicit_gemm": {
        "call": 1.11e-06,
        "block": 9.3e-08,
        "weight": 2.75e-10,
        "column_fma": 1.87e-10,
        "weight_byte": 3.65e-11,
        "copied": 1.78e-09,
        "gathered_row": 6.04e-09,
        "gathered_byte": 3.32e-11,
        "fma": 2.15e-10,
        "tile": 3.02e-09,
        "written": 2.57e-10,
        "scattered": 6.58e-10,
        "converted": 5e-10,
        "far_byte": 2.81e-11,
        "far_in_place": 1.92e-11,
    },
    "im2col": {
        "call": 4.61e-06,
        "split_weight": 1.11e-09,
        "gathered_row": 6.16e-09,
        "gathered_byte": 6.93e-12,
        "every_second": 5.62e-11,
        "scattered": 2.28e-10,
        "converted": 2.86e-10,
        "spilled_byte": 1.12e-10,
        "product": 3.92e-08,
        "multiply_add": 2.05e-11,
        "packed": 4.75e-11,
        "sum": 1.2e-10,
        "written_row": 9.59e-09,
        "written_byte": 1.13e-10,
        "far_byte": 1.97e-11,
    },
    "separable": {
        "call": 1.2e-06,
        "weight": 4.43e-10,
        "gathered_row": 6.75e-09,
        "gathered_byte": 2.77e-11,
        "every_second": 5.08e-11,
        "scattered": 2.77e-10,
        "converted": 1.19e-10,
        "block": 2.43e-08,
        "shared": 4.09e-10,
        "near": 3.58e-10,
        "apart": 5.29e-10,
        "row": 8.76e-09,
        "written_byte": 1.14e-11,
        "far_byte": 1.44e-11,
    },
    "fft": {
        "call": 2.73e-05,
        "weight": 6.59e-11,
        "weight_pass": 2.28e-10,
        "tile": 0.0,
        "pass_32": 3.21e-10,
        "pass_64": 4.42e-10,
        "multiply_add_32": 6.92e-11,
        "multiply_add_64": 1.94e-10,
        "converted_byte": 4.06e-11,
        "spilled_byte": 9.07e-12,
        "far_byte": 5.94e-11,
    },
    "winograd": {
        "call": 1.39e-06,
        "split": 5.51e-06,
        "split_weight": 8.32e-10,
        "weight": 5.4e-09,
        "few": 4.99e-09,
        "turned": 1.37e-07,
        "weight_read": 3.4e-09,
        "gathered_row": 5.29e-10,
        "gathered_byte": 3.54e-11,
        "every_second": 7.64e-10,
        "scattered": 5e-10,
        "converted": 0.0,
        "input": 1.55e-09,
        "tile": 1.48e-08,
        "fma": 1.69e-10,
        "output": 2.39e-09,
        "summed_again": 8.88e-08,
        "written_row": 2.79e-10,
        "written_byte": 6.13e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.71e-05,
        "tap": 5.73e-06,
        "loop": 2.12e-09,
        "multiply_add": 3.37e-10,
        "copied": 1.01e-09,
    },
}
# ---- end of the calibrated block ----

CAUTION = {"reference": 4.0}  # factor on predictions that are so uncertain that they should win by far or not at all

VECTOR_BYTES = 64
CACHE_BYTES = 2**20  # of a second-level cache
_SIZES = {"float64": 8, "complex128": 8, "int64": 8, "uint64": 8}  # bytes of a number that is computed with, if not 4
PREPARED = ("weight", "split_weight", "weight_pass")  # kinds of work that a Plan has behind it
CONVERTED = ("float16", "int8", "uint8", "int16", "uint16")  # stored in fewer bytes than they are computed in

_AS_SHIPPED = SHIPPED, f"shipped constants ({SOURCE})"
_in_force = None
_looking = threading.Lock()


def in_force():
    """(the table that choices are made by, where it comes from in words).

    Found out when the first choice is made, so that importing cyconv reads no file, and kept from then on: what is
    remembered about problems stays true.
    """
    global _in_force
    if _in_force is None:
        from . import tuning

        with _looking:
            found, complaint = (_in_force, None) if _in_force else tuning.look(SHIPPED)
            _in_force = found or _AS_SHIPPED
        if complaint:
            warnings.warn(complaint, RuntimeWarning, stacklevel=2)  # where that is an error, the next call goes on
    return _in_force


def use_shipped():
    """Makes choices by SHIPPED whatever was measured here: for what measures anew."""
    global _in_force
    _in_force = _AS_SHIPPED


def __getattr__(name):
    if name == "SECONDS":
        return in_force()[0]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def seconds(name, amounts, table=None):
    """Predicted seconds of algorithm `name` for the whole call, weights prepared anew; by the table in force, or another."""
    each = (in_force()[0] if table is None else table)[name]
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

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
# one thread, 1800 problems, seed 1
# chosen / best algorithm for any weights: 1.032 in the geometric mean, 1.23 at the 95th percentile, held-out problems
# fft: 2026-11-27, 4101 tiles of problems of its own
SOURCE = "Intel(R) Xeon(R) Processor, level v4, 2026-11-26"
SHIPPED = {
    "direct": {
        "call": 9.89e-07,
        "weight": 2.8e-10,
        "split_weight": 1.05e-09,
        "gathered_row": 6.36e-09,
        "gathered_byte": 2.27e-11,
        "every_second": 7.6e-11,
        "scattered": 3.09e-10,
        "converted": 1.46e-10,
        "block": 2.8e-08,
        "tile": 3.89e-09,
        "fma": 9.34e-11,
        "multiply_add_32": 2.95e-10,
        "multiply_add_64": 4.28e-10,
        "load": 1.96e-10,
        "written_row": 2.89e-09,
        "written_byte": 2.73e-11,
        "far_byte": 1.58e-11,
    },
    "depthwise": {
        "call": 9.34e-07,
        "weight": 2.51e-10,
        "split_weight": 1.01e-09,
        "gathered_row": 4.01e-09,
        "gathered_byte": 8.59e-12,
        "every_second": 6.75e-11,
        "scattered": 2.62e-10,
        "converted": 1.7e-10,
        "short_walk": 1.68e-09,
        "walk": 4.71e-09,
        "tile": 2.9e-09,
        "fma": 6.37e-11,
        "tall_fma": 5.34e-11,
        "multiply_add_32": 1.68e-10,
        "multiply_add_64": 2.93e-10,
        "shuffled": 1.5e-10,
        "row": 7.63e-10,
        "single": 4.34e-10,
        "strip": 1.32e-08,
        "edge": 3.63e-09,
        "converted_row": 1.52e-08,
        "converted_out": 9.02e-11,
        "far_byte": 1.27e-11,
    },
    "channel_lanes": {
        "call": 1.32e-06,
        "weight": 1.97e-09,
        "item": 5.12e-08,
        "turned": 1.47e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 1.89e-10,
        "far_byte": 3.3e-11,
    },
    "implicit_gemm": {
        "call": 1.06e-06,
        "block": 8.22e-08,
        "weight": 2.49e-10,
        "column_fma": 1.63e-10,
        "weight_byte": 1.4e-11,
        "copied": 4.13e-09,
        "gathered_row": 4.79e-09,
        "gathered_byte": 2.96e-11,
        "fma": 1.71e-10,
        "tile": 1.43e-09,
        "written": 2.03e-10,
        "scattered": 4.1e-10,
        "converted": 4.11e-10,
        "far_byte": 2.27e-11,
        "far_in_place": 1.59e-11,
    },
    "im2col": {
        "call": 3.09e-06,
        "split_weight": 5.66e-10,
        "gathered_row": 5.31e-09,
        "gathered_byte": 8.95e-12,
        "every_second": 1.59e-11,
        "scattered": 1.82e-10,
        "converted": 1.43e-10,
        "spilled_byte": 9.83e-11,
        "product": 3.14e-08,
        "multiply_add": 1.56e-11,
        "packed": 2.32e-11,
        "sum": 6.28e-11,
        "written_row": 7.33e-09,
        "written_byte": 8.22e-11,
        "far_byte": 2.14e-11,
    },
    "separable": {
        "call": 1.27e-06,
        "weight": 2.76e-10,
        "gathered_row": 6.49e-09,
        "gathered_byte": 1.41e-11,
        "every_second": 3.64e-11,
        "scattered": 2.93e-10,
        "converted": 2.18e-10,
        "block": 2.22e-08,
        "shared": 3.79e-10,
        "near": 2.76e-10,
        "apart": 4.43e-10,
        "row": 6.43e-09,
        "written_byte": 1.03e-11,
        "far_byte": 1.3e-11,
    },
    "fft": {
        "call": 2.1e-05,
        "weight": 5.5e-11,
        "weight_pass": 4e-10,
        "pass_32": 2.44e-10,
        "pass_64": 4.2e-10,
        "multiply_add_32": 1e-10,
        "multiply_add_64": 4.2e-10,
        "converted_byte": 2.2e-11,
        "spilled_byte": 1.1e-11,
        "far_byte": 8e-11,
    },
    "winograd": {
        "call": 1.28e-06,
        "split": 2.2e-06,
        "split_weight": 1.25e-09,
        "weight": 2.7e-09,
        "few": 0.0,
        "turned": 8.07e-08,
        "weight_read": 2.11e-09,
        "gathered_row": 1.89e-09,
        "gathered_byte": 1.49e-11,
        "every_second": 2.59e-10,
        "scattered": 5e-10,
        "converted": 4.22e-10,
        "input": 1.11e-09,
        "tile": 0.0,
        "fma": 1.53e-10,
        "output": 2.55e-09,
        "summed_again": 3.81e-08,
        "written_row": 2.03e-10,
        "written_byte": 3.75e-11,
        "far_byte": 2.84e-12,
    },
    "reference": {
        "call": 9.15e-06,
        "tap": 4.72e-06,
        "loop": 1.07e-09,
        "multiply_add": 2.66e-10,
        "copied": 6.92e-10,
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

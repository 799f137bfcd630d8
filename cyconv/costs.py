"""The cost model: seconds of an algorithm on one thread = amounts of work, each times the seconds that a unit of it takes.

Every algorithm's module offers `amounts(problem)`, {kind of work: amount}, and SECONDS says what a unit of each kind
takes: SHIPPED, or what `python -m cyconv tune` has measured on this machine (tuning.py). The kinds are few and physical (a
call, a gathered byte, a vector of multiply-adds), so that calibration.py can fit the seconds of any algorithm to measured
times without knowing it. An amount never depends on the number of threads,
nor on the level that this process runs: one problem gets one algorithm. Vectors and register tiles are counted as level
v4 has them.
"""

import os
import threading
import warnings
from math import prod

# ---- written by bench/calibrate.py: do not edit by hand ----
# one thread, 1500 problems, seed 8
# dots: 420 gradients with respect to weights, seed 21
# chosen / best algorithm for any weights: 1.044 in the geometric mean, 1.33 at the 95th percentile, held-out problems
SOURCE = "Intel(R) Xeon(R) Processor, level v4, 2026-11-27"
SHIPPED = {
    "direct": {
        "call": 1.12e-06,
        "weight": 4.15e-10,
        "split_weight": 1.15e-09,
        "gathered_row": 7.71e-09,
        "gathered_byte": 3.3e-11,
        "every_second": 9.8e-11,
        "scattered": 3.25e-10,
        "converted": 1.49e-10,
        "block": 2.68e-08,
        "tile": 7.35e-09,
        "fma": 1.01e-10,
        "multiply_add_32": 2.94e-10,
        "multiply_add_64": 5.07e-10,
        "load": 1.96e-10,
        "written_row": 3.41e-09,
        "written_byte": 3.94e-11,
        "far_byte": 6.69e-12,
    },
    "depthwise": {
        "call": 9.39e-07,
        "weight": 5.28e-10,
        "split_weight": 1.01e-09,
        "gathered_row": 3.41e-09,
        "gathered_byte": 1.59e-11,
        "every_second": 5.29e-11,
        "scattered": 2.44e-10,
        "converted": 2.13e-10,
        "short_walk": 2.27e-09,
        "walk": 6.08e-09,
        "tile": 3.73e-09,
        "fma": 6.68e-11,
        "tall_fma": 5.82e-11,
        "multiply_add_32": 1.86e-10,
        "multiply_add_64": 3.24e-10,
        "shuffled": 1.58e-10,
        "row": 8.11e-10,
        "single": 4.83e-10,
        "strip": 1.4e-08,
        "edge": 4.16e-09,
        "converted_row": 1.86e-08,
        "converted_out": 1.5e-10,
        "far_byte": 1.73e-11,
    },
    "channel_lanes": {
        "call": 1.46e-06,
        "cleared": 1.45e-10,
        "weight": 4.34e-09,
        "item": 6.97e-08,
        "turned": 1.63e-09,
        "tile": 0.0,
        "step": 0.0,
        "fma": 2.04e-10,
        "far_byte": 3.73e-11,
    },
    "dots": {
        "call": 1.45e-06,
        "weight": 3.46e-10,
        "gathered_row": 6.38e-09,
        "gathered_byte": 1.6e-11,
        "scattered": 9.32e-11,
        "converted": 4e-10,
        "tile": 0.0,
        "fma": 2.69e-10,
        "load": 8.56e-11,
        "sum": 8.05e-09,
        "far_byte": 2.28e-11,
    },
    "implicit_gemm": {
        "call": 9.8e-07,
        "split": 2.03e-06,
        "split_weight": 6.31e-10,
        "column_sum": 5.48e-09,
        "block": 8.89e-08,
        "weight": 2.61e-10,
        "column_fma": 1.32e-10,
        "weight_byte": 2.84e-11,
        "copied": 2.75e-09,
        "gathered_row": 6.69e-09,
        "gathered_byte": 3.28e-11,
        "fma": 1.84e-10,
        "tile": 3.68e-09,
        "written": 2.4e-10,
        "scattered": 4.67e-10,
        "converted": 4.29e-10,
        "far_byte": 2.78e-11,
        "far_in_place": 1.68e-11,
    },
    "im2col": {
        "call": 4.08e-06,
        "split_weight": 6.2e-10,
        "gathered_row": 6.14e-09,
        "gathered_byte": 4.44e-12,
        "every_second": 3.87e-11,
        "scattered": 2.42e-10,
        "converted": 3.61e-10,
        "spilled_byte": 9.72e-11,
        "product": 4.05e-08,
        "multiply_add": 1.82e-11,
        "packed": 5.2e-11,
        "sum": 1.06e-10,
        "written_row": 6.8e-09,
        "written_byte": 8.97e-11,
        "far_byte": 1.82e-11,
    },
    "separable": {
        "call": 1.08e-06,
        "weight": 3.92e-10,
        "gathered_row": 7.06e-09,
        "gathered_byte": 2.34e-11,
        "every_second": 2.85e-11,
        "scattered": 2.24e-10,
        "converted": 3.86e-10,
        "block": 2.25e-08,
        "shared": 4.01e-10,
        "near": 3.06e-10,
        "apart": 4.87e-10,
        "row": 7.89e-09,
        "written_byte": 1.09e-11,
        "far_byte": 1.59e-11,
    },
    "fft": {
        "call": 2.62e-05,
        "weight": 8.19e-11,
        "weight_pass": 1.51e-10,
        "tile": 7.64e-09,
        "pass_32": 3.06e-10,
        "pass_64": 3.63e-10,
        "multiply_add_32": 6.19e-11,
        "multiply_add_64": 1.22e-10,
        "converted_byte": 3.96e-11,
        "spilled_byte": 9.43e-12,
        "far_byte": 4.38e-11,
    },
    "winograd": {
        "call": 1.36e-06,
        "split": 5.19e-07,
        "split_weight": 2.27e-09,
        "weight": 3.95e-09,
        "few": 0.0,
        "turned": 1.1e-07,
        "weight_read": 2.17e-09,
        "gathered_row": 1.93e-09,
        "gathered_byte": 9.3e-12,
        "every_second": 4.06e-10,
        "scattered": 5e-10,
        "converted": 9e-10,
        "input": 1.24e-09,
        "tile": 1.58e-08,
        "fma": 1.55e-10,
        "output": 2.22e-09,
        "summed_again": 7.55e-08,
        "written_row": 2.34e-10,
        "written_byte": 5.77e-11,
        "far_byte": 0.0,
    },
    "reference": {
        "call": 1.67e-05,
        "tap": 5.73e-06,
        "loop": 2e-09,
        "multiply_add": 3.07e-10,
        "copied": 9.62e-10,
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


def _look_anew():
    """In a forked child, where nobody may be left to open the lock."""
    global _looking
    _looking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_anew)


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


def converted_weights(problem):
    """Bytes of the weights once more, as the real numbers that are computed with; 0 where they are those."""
    parts, size = parts_and_size(problem)
    if parts == 1 and problem.dtype not in CONVERTED:
        return 0
    return problem.groups * problem.out_channels * problem.in_channels * problem.taps * parts * parts * size


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

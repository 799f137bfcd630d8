"""Predicted time of each algorithm on one thread: amounts of work, each times the seconds that a unit of it takes.

For every row of the menu, `features_NAME(problem)` returns {kind of work: amount}, and SECONDS[NAME] says what a unit of
each kind takes. The kinds are few and physical (a call, a gathered byte, a vector of multiply-adds), so that
bench/calibrate.py can fit the seconds of any algorithm to measured times without knowing it. An amount never depends on
the number of threads, nor on the level that this process runs: one problem gets one algorithm. Vectors and tiles are
counted as the level that was calibrated has them.
"""

from functools import lru_cache
from math import gcd, prod

from .problem import CACHED

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
}
# ---- end of the calibrated block ----


CAUTION = {"reference": 4.0}  # factor on predictions that are so uncertain that they should win by far or not at all


def seconds(name, problem, table=SECONDS):
    """Predicted seconds of algorithm `name` for the whole call, weights prepared anew."""
    each = table[name]
    amounts = globals()[f"features_{name}"](problem)
    return CAUTION.get(name, 1.0) * sum([amount * each[kind] for kind, amount in amounts.items()])


@lru_cache(CACHED)
def direct(problem):
    return seconds("direct", problem)


@lru_cache(CACHED)
def im2col(problem):
    return seconds("im2col", problem)


@lru_cache(CACHED)
def reference(problem):
    return seconds("reference", problem)


# ---- blocks of outputs, as blocks.pxd cuts them --------------------------------------------------------------------------

_SIZES = {"float64": 8, "complex128": 8, "int64": 8, "uint64": 8}  # bytes of a number that is computed with, if not 4
_CONVERTED = ("float16", "int8", "uint8", "int16", "uint16")  # stored in fewer bytes than they are computed in


def _blocks(problem, limit, most_outputs):
    """(outputs of a block, blocks, samples of a phase beyond a block's own, phases) along each axis.

    A block's plane has at most `limit` samples and `most_outputs` outputs.
    """
    kernel, stride, dilation = problem.kernel, problem.stride, problem.dilation
    out = [max(o, 1) for o in problem.out_size]
    reach = [(k - 1) * d // s for k, d, s in zip(kernel, dilation, stride)]
    phases = [min(k, s // gcd(s, d)) for k, d, s in zip(kernel, dilation, stride)]
    limit //= prod(phases)
    x = -(-out[2] // -(-out[2] // min(most_outputs, 1024)))
    while x > 64 and (1 + reach[0]) * (1 + reach[1]) * (x + reach[2]) > limit:
        x = (x + 1) // 2
    row = x + reach[2]
    y = max(1, min(out[1], most_outputs // x, limit // ((1 + reach[0]) * row) - reach[1]))
    y = -(-out[1] // -(-out[1] // y))
    z = 1
    if y == out[1]:
        z = max(1, min(out[0], most_outputs // (x * y), limit // ((y + reach[1]) * row) - reach[0]))
        z = -(-out[0] // -(-out[0] // z))
    block = (z, y, x)
    return block, [-(-o // b) for o, b in zip(out, block)], reach, phases


_CACHE_BYTES = 2**20  # of a second-level cache


def _far(problem, size):
    """Bytes of input and output that come from and go to beyond a core's own caches."""
    count = problem.batch * problem.groups * problem.in_channels * prod(problem.size) + problem.outputs
    return max(count * size - _CACHE_BYTES, 0)


def _gathered(problem, kind_of_number, rows, numbers, size, phases):
    """Amounts of a gather of so many numbers of `size` bytes in so many rows."""
    step = problem.stride[2] * (2 if kind_of_number == "c" else 1)
    touched = numbers * size * min(problem.stride[2] / phases, 16)
    return {
        "gathered_row": rows,
        "gathered_byte": touched,
        "every_second": numbers if step == 2 else 0,
        "scattered": numbers if step > 2 else 0,
        "converted": numbers if problem.dtype in _CONVERTED else 0,
    }


# ---- direct ------------------------------------------------------------------------------------------------------------

_VECTOR_BYTES, _ROWS, _VECTORS = 64, 6, 4  # of level v4 (simd.pxd)
_LATENCY = 4  # vector multiply-adds that must be under way to keep the units busy
_BOX_BYTES, _BLOCK_OUTPUTS = 256 * 1024, 2048  # direct.pyx


def features_direct(problem):
    dtype = problem.dtype
    parts = 2 if dtype.startswith("complex") else 1
    size = _SIZES.get(dtype, 4)
    planes = problem.batch * problem.groups
    channels, rows = problem.in_channels * parts, problem.out_channels * parts
    products = channels * problem.taps
    block, count, reach, phases = _blocks(problem, max(_BOX_BYTES // (size * max(channels, 1)), 1), _BLOCK_OUTPUTS)
    out = problem.out_size
    # the gather: boxes overlap by what taps reach
    gathered = [(o + c * r) * p for o, c, r, p in zip(out, count, reach, phases)]
    gathered_rows = planes * channels * gathered[0] * gathered[1] * count[2] * phases[2]
    numbers = planes * channels * prod(gathered)
    # the sums: runs of whole vectors, four to a register tile, and what is left over
    lane = _VECTOR_BYTES // size
    pitch = block[2] + reach[2]
    flat = -(-((block[1] - 1) * pitch + block[2]) // lane)
    single = -(-block[2] // lane)
    if flat < block[1] * single:
        vectors, runs = flat, planes * out[0] * count[2] * out[1] / block[1]
    else:
        vectors, runs = single, planes * out[0] * out[1] * count[2]
    full, tail = divmod(vectors, _VECTORS)
    pieces = -(-rows // _ROWS)
    height = rows / max(pieces, 1)
    steps = runs * pieces * products
    multiply_adds = steps * (full * max(height * _VECTORS, _LATENCY) + (max(height * tail, _LATENCY) if tail else 0))
    kind = "fma" if dtype[0] in "fc" else "multiply_add_64" if size == 8 else "multiply_add_32"
    return {
        "call": 1,
        "split_weight" if parts > 1 else "weight": problem.groups * rows * products,
        **_gathered(problem, dtype[0], gathered_rows, numbers, size, phases[2]),
        "block": planes * prod(count),
        "tile": runs * pieces * (full + (tail > 0)),
        kind: multiply_adds,
        "load": steps * (vectors + height * (full + (tail > 0))),
        "written_row": planes * rows * out[0] * out[1] * count[2],
        "written_byte": problem.outputs * parts * size,
        "far_byte": _far(problem, size * parts),
    }


# ---- im2col ------------------------------------------------------------------------------------------------------------

_COLUMN_BYTES, _LEAST_OUTPUTS, _MOST_OUTPUTS, _SLICE = 2**20, 128, 4096, 256  # im2col.pyx
_UNROLLED_OUTPUTS, _UNROLLED_ROWS = 16, 4  # what BLAS computes at least


def features_im2col(problem):
    dtype = problem.dtype
    parts = 2 if dtype.startswith("complex") else 1
    size = _SIZES.get(dtype, 4)
    planes = problem.batch * problem.groups
    rows, products = problem.out_channels * parts, problem.in_channels * parts * problem.taps
    fitting = _COLUMN_BYTES // (max(products, 1) * size)
    block, count, _, _ = _blocks(problem, 2**60, min(max(fitting, _LEAST_OUTPUTS), _MOST_OUTPUTS))
    out = problem.out_size
    area, blocks, slices = prod(out), planes * prod(count), -(-rows // _SLICE)
    in_one_run = block[2] == out[2] and (block[0] == 1 or block[1] == out[1]) or block[0] == block[1] == 1
    plain = in_one_run and problem.taps == 1 and parts == 1 and dtype not in _CONVERTED and max(problem.stride) == 1 and out == problem.size
    gathered = 0 if plain else planes * slices * products
    outputs = -(-prod(block) // _UNROLLED_OUTPUTS) * _UNROLLED_OUTPUTS * area / max(prod(block) * prod(count), 1)
    scattered = not in_one_run or parts > 1 or dtype in _CONVERTED
    return {
        "call": 1,
        "split_weight": problem.groups * rows * products if parts > 1 or dtype == "float16" else 0,
        **_gathered(problem, dtype[0], gathered * out[0] * out[1] * count[2], gathered * area, size, 1),
        "spilled_byte": gathered * area * size if prod(block) * products * size > 2 * _COLUMN_BYTES else 0,
        "product": blocks * slices,
        "multiply_add": blocks * outputs * -(-rows // _UNROLLED_ROWS) * _UNROLLED_ROWS * products * (size // 4),
        "packed": blocks * products * (outputs * slices + rows),
        "sum": planes * rows * area * (2 if problem.has_bias else 1),
        "written_row": planes * rows * out[0] * out[1] * count[2] if scattered else 0,
        "written_byte": problem.outputs * parts * size if scattered else 0,
        "far_byte": _far(problem, size * parts),
    }


# ---- reference ---------------------------------------------------------------------------------------------------------


def features_reference(problem):
    padded = problem.batch * problem.groups * problem.in_channels
    padded *= prod(n + max(b, 0) + max(a, 0) for n, b, a in zip(problem.size, problem.pad_before, problem.pad_after))
    return {
        "call": 1,
        "tap": problem.taps,
        "loop": problem.multiply_adds / max(problem.out_size[2], 1),
        "multiply_add": problem.multiply_adds,
        "copied": padded + problem.outputs * (problem.taps + 1),
    }

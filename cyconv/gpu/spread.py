"""Gradients of averages of CuPy arrays, spread over the windows that were pooled: a thin launcher of spread.cu."""

from math import prod

import numpy as np

from ..arguments import delivered
from . import costs
from .calls import room
from .launch import INEXACT, REALS, TYPES, blocks, kernel, packed
from .layout import strides
from .places import walk
from .windows import axes, five_axes

THREADS, SAMPLES, COLUMNS, WINDOWS, ROOM_BYTES, UNDER = 256, 4, 256, 256, 9280, 8  # as in spread.cu
DOUBLE = ("float64", "complex128")


def average(problem, grad_output, out):
    """The gradient of the average pool that `problem` describes."""
    p = problem
    with grad_output.device:
        result = room(p.input_shape, p.dtype, out, grad_output)
        if not p.outputs:
            result[...] = 0
        elif result.size and not _alone(p, five_axes(p, grad_output), five_axes(p, result)):
            run(p, _averages(p.dtype, _wide(p)), 0.0, five_axes(p, grad_output), None, five_axes(p, result))
        return delivered(result, out)


def run(problem, name, power, values, samples, out):
    """Writes to `out` what kernel `name` makes of `values`, and for p-norms of `samples`; all are such planes."""
    p = problem
    bits, rows, together, wide, high = tile(p, max(values.itemsize, 4))
    tiles = p.size[0], -(-p.size[1] // rows), -(-p.size[2] >> bits)
    in_all = -(-p.planes // together) * tiles[0] * tiles[1] * tiles[2]
    each = together * max(1, min(64, in_all // (8 * costs.PROCESSORS)))  # planes of a block, for which tables are made once
    groups = -(-p.planes // each)
    joined = all([_joined(a) for a in (values, samples, out)])
    struct = packed(
        p.planes, p.planes if joined else p.channels, *axes(p), *(_strides(a, joined) for a in (values, out, samples)),
        _counting(p), p.divisor_override or 1, _groups(p), groups, tiles, bits, rows, together, each, high, wide,
    )  # fmt: skip
    grid = blocks(groups * tiles[0] * tiles[1] * tiles[2], 1)
    kernel("spread", name)((grid,), (THREADS,), (struct, np.float64(power), values, samples, out))


# ---- windows apart from each other -------------------------------------------------------------------------------------------


def _spans(problem):
    """Along each axis, samples from one window to the next; None if some overlap."""
    p, spans = problem, []
    for n, k, s, out, before, adaptive in zip(p.size, p.kernel, p.stride, p.out_size, p.pad_before, p.adaptive):
        if out == 1:
            s = before + n  # up to what is behind it
        elif adaptive or k > s:
            return None
        spans.append(s)
    return tuple(spans)


def _alone(problem, values, out):
    """Whether kernel `alone` was launched: it is for common sizes."""
    p, spans = problem, _spans(problem)
    if spans is None or p.dtype not in DOUBLE and _wide(p):
        return False
    windows = [-(-(before + n) // span) for before, n, span in zip(p.pad_before, p.size, spans)]
    grid, digits, holder = walk(p.batch, p.channels, windows[0], spans[0], windows[1], -(-spans[1] // UNDER), windows[2], spans[2])
    if holder != "int":
        return False
    divisor = p.divisor_override
    if divisor is None and not any(p.pad_before + p.pad_after) and all([n == k * m for n, k, m in zip(p.size, p.kernel, p.out_size)]):
        divisor = prod(p.kernel)  # all windows are whole
    struct = packed(digits, *axes(p), spans, strides(values), strides(out), 0 if divisor else _counting(p), divisor or 1)
    kernel("spread", _apart(p.dtype))((grid,), (THREADS,), (struct, values, out))
    return True


def _apart(dtype):
    return f"alone<{TYPES[dtype]}, {'double' if dtype in DOUBLE else 'float'}>"


# ---- what kernels are told --------------------------------------------------------------------------------------------------


def _counting(problem):
    if problem.divisor_override is not None:
        return 0
    return 3 if problem.kind == "lp" else 2 if problem.count_include_pad else 1


def _groups(problem):
    """(longer, taps) where the CPU adds up the windows of a column but the first before that (_spread.pyx, result_row), else zeros."""
    k, out = problem.kernel[2], problem.out_size[2]
    s = problem.stride[2] if out > 1 else k
    taps = (k - 1) // s + 1
    return ((k - 1) % s + 1, taps) if s > 1 and 2 < taps <= 2 * out and not problem.adaptive[2] else (0, 0)


def tile(problem, width):
    """(bits, rows, together, wide, high): a tile has 2**bits columns and so many rows of so many planes, and sums of `width` bytes of
    so many windows along x and y at a time."""
    p, room = problem, ROOM_BYTES // width
    most = next(columns for columns, rows in ((32, 32), (64, 16), (128, 8), (COLUMNS, 1)) if p.size[1] >= rows)
    bits = max(3, (min(p.size[2], most) - 1).bit_length())
    rows = THREADS * SAMPLES >> bits
    together, rows = rows // min(rows, p.size[1]), min(rows, p.size[1])
    wide, high = min(_most_windows(p, 2, 1 << bits), WINDOWS), min(_most_windows(p, 1, rows), WINDOWS)
    together = max(1, min(together, p.planes, room // (wide * max(rows, high))))
    wide = min(wide, room // (together * rows))
    return bits, rows, together, wide, min(high, room // (together * wide))


def _most_windows(problem, axis, samples):
    """That so many neighbours can lie in, or a few more."""
    p, a = problem, axis
    if p.adaptive[a]:
        return min(p.out_size[a], samples * p.out_size[a] // p.size[a] + 2)
    return min(p.out_size[a], (samples + p.kernel[a] - 2) // p.stride[a] + 2)


def _joined(array):
    """Whether all planes of an array are one distance apart."""
    if array is None or 1 in array.shape[:2]:
        return True
    return array.strides[0] == array.shape[1] * array.strides[1]


def _strides(array, joined):
    if array is None:
        return (0,) * 5
    batch, *others = strides(array)
    return (0, batch, *others[1:]) if joined and array.shape[1] == 1 else (batch, *others)


def _wide(problem):
    """Whether divisors must be double: those of double precision, and that are no numbers of single precision."""
    p = problem
    return p.dtype in DOUBLE or abs(p.divisor_override or prod(p.kernel)) > 2**24


def _averages(dtype, wide):
    return f"spread<{TYPES[dtype]}, {TYPES[dtype]}, {'double' if wide else 'float'}, false>"


def powers(dtype):
    """The kernel of p-norms."""
    return f"spread<{TYPES[dtype]}, double, double, true>"


def instances():
    """All kernels that may be asked for: (file, expression)."""
    names = [_averages(dtype, wide) for dtype in INEXACT for wide in (True, False) if wide or dtype not in DOUBLE]
    return [("spread", name) for name in [*names, *map(_apart, INEXACT), *map(powers, REALS)]]

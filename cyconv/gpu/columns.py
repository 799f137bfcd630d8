"""unfold and fold of CuPy arrays: a thin launcher of columns.cu."""

from math import gcd, prod

from ..arguments import delivered
from .calls import room
from .launch import ADDED, MOVED, kernel, packed
from .layout import split, strides
from .places import INTEGERS, THREADS, walk

TAPS, CHANNELS = (4, 8), 4  # that a thread has


def unfold(problem, input, out):
    """The windows of `input` as columns."""
    p = problem
    with input.device:
        result = room(p.columns_shape, p.dtype, out, input)
        if result.size:
            z, y, x = _threes(p.kernel, 1)
            taps = TAPS[x > TAPS[0]]
            grid, digits, holder = walk(p.batch, -(-p.channels // CHANNELS), z, y, -(-x // taps), *_threes(p.counts, 1))
            image, columns = _views(p, input, result)
            struct = packed(digits, p.channels, *_windows(p), strides(image), strides(columns))
            kernel("columns", f"unfold<{MOVED[input.itemsize]}, {taps}, {_holder(p, holder)}>")((grid,), (THREADS,), (struct, image, columns))
        return delivered(result, out)


def fold(problem, input, out):
    """The sum of columns at the places of their windows."""
    p = problem
    with input.device:
        result = room(p.image_shape, p.dtype, out, input)
        if result.size:
            image, columns = _views(p, result, input)
            grid, digits, holder = walk(*image.shape)
            _, kernels, stride, dilation, pad = _windows(p)
            lines = [_line(*each) for each in zip(kernels, _threes(p.counts, 1), stride, dilation, pad)]
            struct = packed(digits, *lines, strides(columns), strides(image))
            kernel("columns", f"fold<{ADDED.get(p.dtype, MOVED[input.itemsize])}, {_holder(p, holder)}>")((grid,), (THREADS,), (struct, columns, image))
        return delivered(result, out)


def _holder(problem, of_places):
    """What holds all sizes and coordinates."""
    p = problem
    most = [n + 2 * pad + d * k + s for n, pad, d, k, s in zip(p.size, p.padding, p.dilation, p.kernel, p.stride)]
    return of_places if max(*most, p.channels * prod(p.kernel) + TAPS[1], prod(p.counts)) < 2**31 else INTEGERS[1]


def _views(problem, image, columns):
    """An image as (batch, channels, z, y, x), columns as (batch, rows, windows)."""
    p = problem
    return split(image, len(p.size), (p.batch, p.channels)), columns.reshape(p.batch, p.channels * prod(p.kernel), prod(p.counts))


def _windows(problem):
    p = problem
    return _threes(p.size, 1), _threes(p.kernel, 1), _threes(p.stride, 1), _threes(p.dilation, 1), _threes(p.padding, 0)


def _threes(values, front):
    return (front,) * (3 - len(values)) + tuple(values)


def _line(kernel, count, stride, dilation, pad):
    """What the kernel knows of an axis; a single tap or window has no distance from the next."""
    dilation, stride = dilation if kernel > 1 else 1, stride if count > 1 else 1
    common = gcd(stride, dilation)
    tap_step, step = stride // common, dilation // common
    return kernel, count, stride, dilation, pad, common, tap_step, step, pow(step, -1, tap_step) if tap_step > 1 else 0


def instances():
    """All kernels that may be asked for: (file, expression)."""
    folds = [*ADDED.values(), *(MOVED[size] for size in (1, 2, 4, 8))]
    names = [f"unfold<{each}, {taps}, {holder}>" for each in MOVED.values() for taps in TAPS for holder in INTEGERS]
    return [("columns", name) for name in names + [f"fold<{each}, {holder}>" for each in folds for holder in INTEGERS]]

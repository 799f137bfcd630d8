"""Launches kernels that walk through tiles of an array, or through all of it (tiles.cuh)."""

from math import prod

from . import costs
from .launch import kernel, packed
from .layout import MODES, strides

THREADS, CHUNK = 256, 4096  # as in tiles.cuh


def visit(
    file, expression, array, arguments, *, first=0, planes, group=0, groups, channels, count=(1, 1, 1), advance=(0, 0, 0), box, step=(0, 0, 0),
    whole=0, before=(0, 0, 0), size=(0, 0, 0), end=(0, 0, 0), mode="zeros",
):  # fmt: skip
    """Launches a kernel of <file>.cu, the `Tiles` of `array` before its other arguments."""
    volume = prod(box)
    run = max(1, min(CHUNK // volume, planes // (8 * costs.PROCESSORS)))
    tiles = packed(
        first, planes, group, groups, channels, count, advance, box, step, whole, before, size, end, MODES.index(mode), strides(array), run
    )
    kernel(file, expression)((-(-volume // CHUNK) * -(-planes // run),), (THREADS,), (tiles, *arguments))

"""Sliding filters of dask arrays.

Axes that are at least as long as one and a half blocks are cut. What lies beyond the array becomes samples of the region that a block is made
from then; only where that is a constant, `cval` stands there in each block. Along other axes a block is as long as the array, and its border the
array's. Averages of floats are made block by block, as in pooling.py.
"""

from dataclasses import dataclass, replace
from math import prod

from ..arguments import as_array
from ..devices import namespace, where
from ..filter_problem import Filter, filter_problem
from ..filters import run
from . import blocks
from .arrays import as_dask, check_no_out
from .blocks import Same, Whole, Windows, block_length, lead_lengths
from .graph import Operation, build, check_chunks

MANY = 16  # as blocks.LENGTHS, for more than three axes
_REPEATS = {"reflect": "symmetric", "mirror": "reflect", "nearest": "replicate", "wrap": "circular", "constant": "zeros"}


@dataclass(frozen=True)
class Filtering(Operation):
    filter: Filter = None

    def mode_of(self, axis):
        return _REPEATS[self.filter.border[axis]]

    def run(self, region, reads, ranges, terms):
        with where(region):
            if not self.anywhere and region.ndim:
                region = namespace(region).ascontiguousarray(region)
            region = as_array("input", region, gpu=True)
            border, part = list(self.filter.border), [slice(None)] * region.ndim
            for number, (axis, read, (low, high)) in enumerate(zip(self.axes, reads, ranges)):
                if isinstance(axis, Windows) and axis.repeats:
                    border[number] = ""
                elif isinstance(axis, Windows):
                    part[number] = slice(low - read.start, high - read.start)
            return (run(replace(self.filter, border=tuple(border)), region, None)[tuple(part)],)


def filtered(kind, input, size, footprint, output, mode, cval, origin, axes):
    """The filter that cyconv.maximum_filter and the like document."""
    check_no_out(output, "output")
    input = as_dask("input", input)
    check_chunks("input", input)
    filter = filter_problem(kind, input, size, footprint, output, mode, cval, origin, axes)
    return build(f"{kind}_filter", operation_of(filter, input.shape, input.dtype.newbyteorder("=")), input)[0]


def operation_of(filter, shape, dtype):
    count = sum(size > 1 for size in filter.size)
    most = blocks.LENGTHS.get(count, MANY)
    axes, block, empty = [], [], 0 in shape
    for n, size, border, origin in zip(shape, filter.size, filter.border, filter.origin):
        length = 1 if size == 1 else block_length(n, most, size)
        block.append(length)
        if size == 1 or empty:
            axes.append(Same())
        elif length == n:
            axes.append(Whole(n))
        else:
            before = size // 2 + origin
            axes.append(Windows(n, size, 1, before, size - 1 - before, border != "constant"))
    anywhere = filter.kind != "average" or dtype.kind in "iu"
    if not anywhere:
        others = [axis for axis, size in enumerate(filter.size) if size == 1]
        for axis, length in zip(others, lead_lengths([shape[axis] for axis in others], blocks.OUTPUTS // max(prod(block), 1))):
            block[axis] = length
    return Filtering(shape, (dtype,), tuple(axes), tuple(block), anywhere, filter=filter)

"""How a result that is computed part by part is cut: the parts that take the least time, within the memory that there is.

Large parts read few of their neighbours' samples again, and little parts need little memory; whole rows and planes of a file are quicker to
read than many pieces; and reading, computing and writing can go on at once only if there are several parts.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .. import select
from ..threads import get_num_threads
from .blocks import cuts, spans_of
from .stores import SLAB, Store

grid_of = lru_cache(64)(cuts)  # asked for as often as a batch has items, and as long

RUN = 2**16  # bytes that could be read in the time that it takes to go to another place of a file
PART = 2**20  # and in the time that it takes to begin with another part


@dataclass(frozen=True)
class Cut:
    """One axis, cut into parts of `every` so many marks: what that costs, in samples."""

    every: int
    edges: tuple
    read: int  # of all parts together, whole chunks where there are any
    computed: int  # likewise, outputs
    region: int  # of the largest part
    part: int  # its outputs

    @property
    def count(self):
        return len(self.edges) - 1


@dataclass(frozen=True)
class Plan:
    """How a result is cut into parts, and how many threads compute the blocks of one."""

    operation: object
    source: Store
    target: Store
    cuts: tuple  # a Cut for each axis
    terms: list  # (low, high) of those that are read, and summed, at a time
    workers: int

    @property
    def parts(self):
        return list(product(*[spans_of(each.edges) for each in self.cuts]))


def planned(operation, source, target, max_memory, given=None):
    """The Plan that takes the least time within the memory; or that of `given` numbers of marks to a part."""
    op, axes = operation, range(len(operation.shape))
    terms = [(0, 0)] if op.summed is None else spans_of(cuts(op.terms, op.step))
    marks = [marks_of(op, target.chunks, axis) for axis in axes]
    choices = [[cut_axis(op, source, axis, marks[axis], every, terms) for every in ([given[axis]] if given else multiples(len(marks[axis]) - 1))] for axis in axes]
    size, copies = np.dtype(op.dtype).itemsize, 2 + target.copies + (op.dtype != op.problem.dtype)
    fixed = 2 * SLAB * (source.file is not None or target.file is not None)
    each, most = max(bytes_of_block(op), 1), get_num_threads()
    best, least = None, None
    for cut in product(*choices):
        region = prod([one.region for one in cut]) * np.dtype(op.problem.dtype).itemsize
        need = (2 + source.copies) * region + copies * prod([one.part for one in cut]) * size + fixed
        least = min(need + each, least or need + each)
        if need + each <= max_memory:
            workers = min(most, (max_memory - need) // each)
            cost = cost_of(op, source, target, cut, most, workers)
            if best is None or cost < best[0]:
                best = cost, cut, workers
    if best is None:
        cure = "; out with smaller chunks needs less" if target.chunks else ""
        before = "an earlier call, which is to be resumed, had more: give as much, or start over with resume=False; " if given else ""
        raise ValueError(f"max_memory={max_memory} is too small: {before}the smallest part of the result takes {least} bytes{cure}")
    return Plan(op, source, target, best[1], terms, best[2])


def marks_of(operation, chunks, axis):
    """Where parts may begin and end: at chunks of the result, or at blocks."""
    length = operation.shape[axis]
    return (*range(0, length, chunks[axis]), length) if chunks else operation.grid(axis)


def multiples(count):
    """Numbers of marks to a part that are worth looking at: such that parts are about equal."""
    found, parts = {count}, 1
    while parts < count:
        parts = max(parts + 1, parts * 5 // 4)
        found.add(-(-count // parts))
    return sorted(found)


def cut_axis(operation, source, axis, marks, every, terms):
    edges = (*marks[:-1:every], marks[-1])
    read = computed = region = 0
    length, chunk = source.shape[axis], source.chunks[axis] if source.chunks else 1
    for span in spans_of(edges):
        low, high = covered(operation, axis, *span)
        need = operation.axes[axis].reads(low, high)
        start, stop = max(need.start, 0), min(need.stop, length)
        read += max(min(-(-stop // chunk) * chunk, length) - start // chunk * chunk, 0)
        computed += high - low
        region = max(region, need.stop - need.start)
    if axis == operation.summed:
        region = max([high - low for low, high in terms])
    return Cut(every, edges, read, computed, region, max([high - low for low, high in spans_of(edges)]))


def covered(operation, axis, low, high):
    """The outputs that have to be computed for some: those of whole blocks, unless blocks do not matter."""
    if operation.anywhere and axis != len(operation.shape) - 1 - operation.problem.rank:  # channels of a group are computed together
        return low, high
    grid = grid_of(operation.shape[axis], operation.block[axis])
    return grid[bisect_right(grid, low) - 1], grid[bisect_left(grid, high)]


def within(grid, low, high):
    """Blocks between two places, which may cut the first and the last."""
    return spans_of((low, *grid[bisect_right(grid, low) : bisect_left(grid, high)], high))


def cost_of(operation, source, target, cut, most, workers):
    """Bytes that could be read in the time; a result is read and written while others are computed, but for the first and the last."""

    def runs(counts):  # pieces of a file in which a part lies, of all parts
        inner = next((axis for axis in reversed(range(len(cut))) if cut[axis].count > 1), -1)
        return prod(counts[:inner]) * prod([each.count for each in cut[max(inner, 0) :]])

    size, parts = np.dtype(operation.problem.dtype).itemsize, prod([each.count for each in cut])
    read, computed = [each.read for each in cut], prod([each.computed for each in cut])
    slower = most / workers + most * parts * prod(operation.block) / (2 * computed)  # at the end of a part some wait for the last block
    cost = size * (prod(read) + slower * computed + prod(operation.shape)) + PART * parts
    cost += RUN * (runs(read) * (source.file is not None) + runs(operation.shape) * (target.file is not None))
    return cost * (1 + 2 / parts)


def bytes_of_block(operation):
    """What one thread needs to compute the largest block."""
    op, problem = operation, operation.problem
    ranges = tuple([max(spans_of(op.grid(axis)), key=lambda span: span[1] - span[0]) for axis in range(len(op.shape))])
    channels = ranges[-1 - problem.rank][1] - ranges[-1 - problem.rank][0]
    groups = problem.groups if problem.groups == 1 else max(-(-channels // max(problem.out_channels, 1)), 1)
    terms = max([high - low for low, high in spans_of(cuts(op.terms, op.step))]) if op.step else problem.in_channels
    one = op.of_block(groups, op.reads(ranges), ranges, terms, op.dtype, problem.has_bias)
    said = {each.algorithm.name: each for each in select.verdicts(one)}
    workspace = next((said[name].workspace for name in op.names if said[name].declined is None), 0)
    cast = prod(one.input_shape) * np.dtype(op.dtype).itemsize * (op.dtype != problem.dtype)
    return workspace + prod(one.output_shape) * np.dtype(op.dtype).itemsize + cast

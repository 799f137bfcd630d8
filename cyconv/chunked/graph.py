"""Graphs of dask: one task for each chunk of a result, which gets the samples that it needs from all chunks that hold some."""

import gc
import pickle
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, product
from math import prod
from threading import current_thread, main_thread
from typing import ClassVar

import numpy as np

from .. import memory
from ..devices import is_chunked, on_gpu
from ..threads import get_num_threads, threads
from . import blocks
from .blocks import Reads, Whole, cuts, inside, pieces, refined, snapped, spans_of


@dataclass(frozen=True)
class Operation:
    """What is computed, without arrays: the result's shape, from where each of its axes is made, and how a block is.

    It travels to other machines, and is all that they know of the whole.
    """

    shape: tuple  # of the result
    dtypes: tuple  # of the results, all of that shape
    axes: tuple  # of blocks.Same, Windows, ...: what each axis of the result reads
    block: tuple  # length of the blocks, along each axis
    anywhere: bool  # whether a part of a result has the same bits wherever the blocks are cut, so that they need not be
    mode: str = "zeros"  # the padding's, where it repeats samples
    summed: int | None = None  # the axis of the array that is summed over, if that is done in steps,
    terms: int = 0  # its length, and
    step: int = 0  # the length of a step

    axis_of: ClassVar = None  # the array's axis for an axis of the result, if they are not the same ones

    def grid(self, axis):
        return cuts(self.shape[axis], self.block[axis])

    def reads(self, ranges):
        return tuple([axis.reads(*each) for axis, each in zip(self.axes, ranges)])

    def mode_of(self, axis):
        """How the padding of an axis repeats samples."""
        return self.mode

    def run(self, region, reads, ranges, terms, *operands):
        """The results of a block: `ranges` of its outputs, from a region that `reads` tells, `terms` (low, high) of those summed."""
        raise NotImplementedError

    def add(self, total, more):
        total += more
        return total

    def finish(self, total):
        """What is done when all terms are summed."""
        return total


# ---- in a task ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One chunk of a result, or one step of its sums."""

    operation: Operation = field(repr=False)
    ranges: tuple  # of outputs, along each axis
    terms: tuple  # (low, high) of those that are summed here
    places: tuple  # along each axis of the array: where pieces go in the region

    def __call__(self, before, pieces, *operands):
        with few_threads():
            return self.computed(before, assembled(pieces, self.places), *operands)

    def computed(self, before, region, *operands):
        operation = self.operation
        reads = operation.reads(self.ranges)
        steps = [(0, 0)] if operation.summed is None else inside(cuts(operation.terms, operation.step), *self.terms)
        grids = [[each] if operation.anywhere else inside(operation.grid(axis), *each) or [each] for axis, each in enumerate(self.ranges)]
        blocks = list(product(*grids))
        results = before
        for block in blocks:
            needed = operation.reads(block)
            of_block = tuple([slice(low - first, high - first) for (low, high), (first, _) in zip(block, self.ranges)])
            for step in steps:
                where = [need.within(whole) for need, whole in zip(needed, reads)]
                if operation.summed is not None:
                    where[operation.summed] = slice(step[0] - self.terms[0], step[1] - self.terms[0])
                values = operation.run(region[tuple(where)], needed, block, step, *operands)
                if len(blocks) == 1 and results is None:
                    results = values
                    continue
                if results is None:
                    results = tuple([empty(region, [high - low for low, high in self.ranges], value.dtype) for value in values])
                for result, value in zip(results, values):
                    if operation.summed is None or step[0] == 0:
                        result[of_block] = value
                    else:
                        result[of_block] = operation.add(result[of_block], value)
        if operation.summed is not None and self.terms[1] < operation.terms:
            return results
        results = tuple([operation.finish(result) for result in results])
        return results if len(results) > 1 else results[0]


def assembled(pieces, places):
    """One array of its pieces, which come in the order of their places."""
    shape = [axis[-1].stop for axis in places]
    first = pieces[0]
    if len(pieces) == 1 and list(first.shape) == shape:
        return first
    region = empty(first, shape, first.dtype)
    for piece, place in zip(pieces, product(*places)):
        region[place] = piece
    return region


def empty(like, shape, dtype):
    if not on_gpu(like):
        return memory.empty(tuple(shape), np.dtype(dtype))
    import cupy

    return cupy.empty(tuple(shape), dtype)


def few_threads():
    """As many threads as are left for one task: tasks that run beside each other share them."""
    count = get_num_threads()
    return threads(max(1, count // beside()))


def beside():
    """How many tasks may run at once in this process."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            own = distributed.get_worker()
        except ValueError:  # this is no worker
            pass
        else:
            workers = {own, *getattr(distributed.Worker, "_instances", ())}  # all of this process, if distributed tells
            return max(1, sum(worker.state.nthreads for worker in workers if worker.status == own.status))
    if current_thread() is main_thread():
        return 1
    from dask import config
    from dask.system import CPU_COUNT

    return config.get("num_workers", None) or CPU_COUNT


# ---- making a graph ------------------------------------------------------------------------------------------------------------


@contextmanager
def uncollected():
    """Without the search for cycles of garbage, which would go through all tasks made so far again and again: more than half of the time."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


@uncollected()
def build(name, operation, input, *operands, meta=None, largest=0):
    """The dask arrays that an operation makes of one, lazily: a tuple of them. Operands are handed to every task.

    `largest` is how many samples a chunk of the input had, if it has been cut into smaller ones.
    """
    import dask.array as da
    from dask._task_spec import List, Task, TaskRef
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    check_chunks("input", input)
    token = f"{name}-{tokenize(pickle.dumps(operation), input, *operands)}"
    graph, depends = {}, [input]
    given = [_given(operand, (f"operand-{token}", number), graph, depends) for number, operand in enumerate(operands)]
    edges = [(0, *accumulate(map(int, chunks))) if sum(chunks) else (0, 0) for chunks in input.chunks]
    summed = operation.summed
    axes, grids = list(operation.axes), [operation.grid(axis) for axis in range(len(operation.axes))]
    ends = [snapped(*each) for each in zip(input.chunks, operation.shape, grids)]
    terms = [(0, 0)]
    if summed is not None:
        terms = spans_of(snapped(input.chunks[summed], operation.terms, cuts(operation.terms, operation.step)))
        ends[summed] = grids[summed] = (0, operation.shape[summed])
        axes[summed] = Whole(max(high - low for low, high in terms))
    parts = [spans_of(each) for each in refined(ends, axes, grids, max(blocks.REGION, 2 * max(largest, prod(input.chunksize))))]
    found = [[pieces(axis.reads(*each), edges[number], operation.mode_of(number)) for each in parts[number]] for number, axis in enumerate(operation.axes)]
    found_terms = [pieces(Reads(*each), edges[summed]) if summed is not None else None for each in terms]

    def piece(places):
        """The key of a part of a chunk: that of the chunk itself, if it is all of it."""
        chunk, take = tuple([place[0] for place in places]), tuple([place[1] for place in places])
        if all(each == slice(0, edge[number + 1] - edge[number]) for each, number, edge in zip(take, chunk, edges)):
            return (input.name, *chunk)
        key = (f"piece-{token}", *chunk, *[(each.start, each.stop, each.step) for each in take])
        if key not in graph:
            graph[key] = Task(key, cut, TaskRef((input.name, *chunk)), take)
        return key

    for index in product(*[range(len(each)) for each in parts]):
        ranges = tuple([parts[axis][i] for axis, i in enumerate(index)])
        before = None
        for number, each in enumerate(terms):
            axes = [found[axis][i] for axis, i in enumerate(index)]
            if summed is not None:
                axes[summed] = found_terms[number]
            places = tuple([tuple([place[2] for place in axis]) for axis in axes])
            refs = List(*[TaskRef(piece(one)) for one in product(*axes)])
            part = Part(operation, ranges, each, places)
            key = (f"{token}-sum", number, *index) if number < len(terms) - 1 else (token, *index)
            graph[key] = Task(key, part, before, refs, *given)
            before = TaskRef(key)
    chunks = tuple([tuple([high - low for low, high in each]) for each in parts])
    meta = input._meta if meta is None else meta
    whole = HighLevelGraph.from_collections(token, graph, dependencies=depends)
    if len(operation.dtypes) == 1:
        return (da.Array(whole, token, chunks, meta=meta.astype(operation.dtypes[0])),)
    return tuple([_one_of(whole, token, number, chunks, meta.astype(dtype)) for number, dtype in enumerate(operation.dtypes)])


def _given(operand, key, graph, depends):
    """An operand as tasks get it: an array once for all of them."""
    from dask._task_spec import Task, TaskRef

    if is_chunked(operand):
        operand = operand.rechunk(operand.shape)  # one chunk
        depends.append(operand)
        return TaskRef((operand.name, *(0,) * operand.ndim))
    if not isinstance(operand, np.ndarray) and not on_gpu(operand):
        return operand
    graph[key] = Task(key, held, operand)
    return TaskRef(key)


def _one_of(whole, token, number, chunks, meta):
    """The dask array of one of the results that each task has."""
    import dask.array as da
    from dask._task_spec import Task, TaskRef
    from dask.highlevelgraph import HighLevelGraph

    name = f"{token}-{number}"
    layer = {(name, *index): Task((name, *index), one_of_them, TaskRef((token, *index)), number) for index in np.ndindex(*map(len, chunks))}
    return da.Array(HighLevelGraph({**whole.layers, name: layer}, {**whole.dependencies, name: {token}}), name, chunks, meta=meta)


def held(operand):
    return operand


def cut(chunk, take):
    """Part of a chunk; a copy where it is much smaller, so that the rest can be forgotten."""
    part = chunk[take]
    return part.copy() if 2 * part.size <= chunk.size else part


def one_of_them(results, number):
    return results[number]


def check_chunks(name, array):
    if any(length != length for chunks in array.chunks for length in chunks):
        raise ValueError(f"{name} is a dask array with chunks of unknown size: call its compute_chunk_sizes() first")

"""Convolutions of arrays larger than memory, part by part: one thread reads ahead, some compute, and one writes behind.

Parts are boxes of the result: whole chunks where it has some, else whole blocks of the grid that dask's chunks are cut by (blocks.py).
Each block of a part is computed as it is there, by the same algorithm, so that results are those of cyconv.conv1d, conv2d and conv3d
on dask arrays, bit for bit, however the parts are cut. Where chunks cut through blocks, both sides compute these.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from math import prod
from time import monotonic

import numpy as np

from .. import memory
from .._version import __version__
from ..arguments import Described, as_array, check_cpu_dtype, flag, integer
from ..problem import conv_problem, spatial_rank
from ..threads import threads
from .blocks import Reads, segments
from .convolution import operation_of
from .journal import Journal, sum_of
from .parts import covered, planned, within
from .stores import Store, check_out, check_store

SYNC_BYTES, SYNC_SECONDS = 2**27, 5.0  # after so much a result is synchronised, and the journal says what is finished


def convolve(
    input, weight, out, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, max_memory, progress,
    journal, resume,
):  # fmt: skip
    """What cyconv.convolve_blockwise documents."""
    weight = np.array(as_array("weight", weight))
    bias = None if bias is None else np.array(as_array("bias", bias))
    check_store("input", input)
    max_memory, resume = integer("max_memory", max_memory, 0), flag("resume", resume)
    rank = spatial_rank(weight)
    bare = input.ndim == rank
    whole = Described((1, *input.shape) if bare else tuple(input.shape), np.dtype(input.dtype).newbyteorder("="))
    problem = conv_problem(rank, whole, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace)
    check_cpu_dtype("input", problem.dtype)
    operation = operation_of(problem, algorithm, weight, "cpu")
    shapes = (operation.shape[1:], operation.shape) if bare and operation.shape[0] == 1 else (operation.shape,)
    check_out(out, shapes, np.dtype(problem.dtype), input)
    if not (journal is None or journal is False or isinstance(journal, (str, os.PathLike))):
        raise TypeError(f"journal must be a path, None (beside out, where that is a file) or False (none); got {journal!r}")
    report = reporter(progress)
    with ExitStack() as stack:
        source, target = (Store(name, array, len(operation.shape)) for name, array in (("input", input), ("out", out)))
        stack.callback(source.close)
        stack.callback(target.close)
        if prod(operation.shape):
            plan = planned(operation, source, target, max_memory)
            path = target.beside() if journal is None else journal
            notes = stack.enter_context(Notes(path, plan, weight, bias, resume, max_memory) if path else Nothing())
            run(notes.plan or plan, weight, bias, notes, report)
    return out


# ---- the work ----------------------------------------------------------------------------------------------------------------


def run(plan, weight, bias, notes, report):
    """Computes all parts that are not finished."""
    operation, total = plan.operation, prod(plan.operation.shape)
    sizes = [prod([each.region for each in plan.cuts]), prod([each.part for each in plan.cuts])]
    regions, results = ([memory.empty(size, dtype) for _ in range(2)] for size, dtype in zip(sizes, (operation.problem.dtype, operation.dtype)))
    done = 0
    left = []
    for number, part in enumerate(plan.parts):
        if notes.finished(number, part, results[0]):
            done += outputs(part)
            report(done, total)
        else:
            left.append((number, part))
    jobs = [(number, part, terms) for number, part in left for terms in plan.terms]
    with ExitStack() as stack:
        writer = ThreadPoolExecutor(1, "cyconv-write")
        stack.callback(notes.write_down)  # what has been written when an error or Ctrl-C comes is finished
        stack.callback(stop, writer)
        pools = [ThreadPoolExecutor(1, "cyconv-read"), ThreadPoolExecutor(plan.workers, "cyconv-compute")]
        for pool in pools:
            stack.callback(stop, pool, cancel_futures=True)
        reader, workers = pools
        ahead = reader.submit(read, plan, jobs[0], regions[0]) if jobs else None
        started, writes = 0, []
        for turn, (number, part, terms) in enumerate(jobs):
            region = ahead.result()
            if turn + 1 < len(jobs):
                ahead = reader.submit(read, plan, jobs[turn + 1], regions[(turn + 1) % 2])
            if terms[0] == 0:
                if len(writes) > 1:  # the array that it wrote is needed again
                    done += writes.pop(0).result()
                    report(done, total)
                result = shaped(results[started % 2], [high - low for low, high in part])
                started += 1
            compute(plan, part, terms, region, result, workers, weight, bias)
            if terms == plan.terms[-1]:
                writes.append(writer.submit(write, plan, number, part, result, notes))
        for each in writes:
            done += each.result()
            report(done, total)


def stop(pool, **how):
    """Waits for the threads of a pool even if Ctrl-C comes again: what they use is closed next, and other files get its number."""
    again = None
    while True:
        try:
            pool.shutdown(wait=True, **how)
            break
        except KeyboardInterrupt as error:
            again = error
    if again is not None:
        raise again


def read(plan, job, room):
    """The region that a job needs, in `room`."""
    operation, (_, part, terms) = plan.operation, job
    reads = [axis.reads(*covered(operation, number, *each)) for number, (axis, each) in enumerate(zip(operation.axes, part))]
    if operation.summed is not None:
        reads[operation.summed] = Reads(*terms)
    region = shaped(room, [need.stop - need.start for need in reads])
    fill(region, plan.source, reads, operation.mode)
    return region


def compute(plan, part, terms, region, result, workers, weight, bias):
    """Computes a part, or adds some terms to it, block by block."""
    operation = plan.operation
    whole = [covered(operation, axis, *each) for axis, each in enumerate(part)]
    needed = operation.reads(whole)
    blocks = list(product(*[within(operation.grid(axis), *each) for axis, each in enumerate(whole)]))
    share = max(1, plan.workers // len(blocks))

    def one(block):
        reads = operation.reads(block)
        where = [need.within(each) for need, each in zip(reads, needed)]
        if operation.summed is not None:
            where[operation.summed] = slice(None)
        with threads(share):
            (values,) = operation.run(region[tuple(where)], reads, block, terms, weight, bias)
        place, kept = [], []
        for (low, high), (first, last) in zip(block, part):
            place.append(slice(max(low, first) - first, min(high, last) - first))
            kept.append(slice(max(low, first) - low, min(high, last) - low))
        place, values = tuple(place), values[tuple(kept)]
        result[place] = values if terms[0] == 0 else operation.add(result[place], values)

    list(workers.map(one, blocks))


def write(plan, number, part, result, notes):
    values = np.ascontiguousarray(plan.operation.finish(result))
    plan.target.write(tuple([slice(*each) for each in part]), values)
    notes.note(number, values)
    return values.size


def outputs(part):
    return prod([high - low for low, high in part])


def shaped(room, shape):
    return room[: prod(shape)].reshape(shape)


def fill(region, source, reads, mode):
    """Reads what a region needs of an array; what its padding repeats of that is copied."""
    fetched, copied = [], []
    for axis, (need, length) in enumerate(zip(reads, source.shape)):
        low, high = max(need.start, 0), min(need.stop, length)
        boxes, place = [], 0
        for first, last, copies in segments(need.start, need.stop, length, mode):
            back = -1 if last < first else 1
            start, stop = (last + 1, first + 1) if last < first else (first, last)
            to = slice(place, place + (stop - start) * copies)
            place = to.stop
            if low <= start and stop <= high and to.start != low - need.start:  # the padding's, of samples that are read anyway
                copied.append((axis, to, slice(start - need.start, stop - need.start), back))
            else:
                boxes.append((slice(start, stop), to, back))
        fetched.append(boxes)
    for boxes in product(*fetched):
        target = region[tuple([to for _, to, _ in boxes])]
        target = target[tuple([slice(None, None, back) for _, _, back in boxes])]
        once = target[tuple([slice(0, box.stop - box.start) for box, _, _ in boxes])]
        source.read(tuple([box for box, _, _ in boxes]), once)
        if once.shape != target.shape:
            target[...] = once.copy()
    for axis, to, of, back in copied:
        front = (slice(None),) * axis
        region[(*front, to)] = region[(*front, of)][(*front, slice(None, None, back))]


# ---- what is finished ----------------------------------------------------------------------------------------------------------


class Nothing:
    """In place of Notes, where nothing is kept."""

    plan = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def finished(self, number, part, room):
        return False

    def note(self, number, values):
        pass

    def write_down(self):
        pass


class Notes(Nothing):
    """Keeps the journal of a call; `plan` is the one that an earlier process began with."""

    def __init__(self, path, plan, weight, bias, resume, max_memory):
        (come, taken), (gone, given) = plan.source.place(), plan.target.place()
        digest = hashlib.sha256(repr((__version__, plan.operation, come, taken, given)).encode())
        for each in (weight, bias):
            digest.update(b"" if each is None else each.tobytes())
        cut = {"every": [each.every for each in plan.cuts], "chunks": plan.target.chunks and [int(each) for each in plan.target.chunks]}
        self.journal = Journal(path, {"call": digest.hexdigest(), "input": None if come == gone else plan.source.age(), **cut}, resume)
        self.plan, self.bytes, self.last = plan, 0, monotonic()
        try:
            if self.journal.head["chunks"] != cut["chunks"]:
                raise ValueError(f"journal {self.journal.path!r} is of an out with other chunks: resume=False starts over, as removing the file does")
            if self.journal.head["every"] != cut["every"]:
                self.plan = planned(plan.operation, plan.source, plan.target, max_memory, self.journal.head["every"])
        except BaseException:
            self.journal.close(remove=False)
            raise

    def __exit__(self, kind, error, trace):
        self.journal.close(remove=kind is None)

    def finished(self, number, part, room):
        """Whether a part is, and its bytes are still there."""
        total = self.journal.done.get(number)
        if total is None:
            return False
        found = shaped(room.view(self.plan.operation.problem.dtype), [high - low for low, high in part])
        try:
            self.plan.target.read(tuple([slice(*each) for each in part]), found)
        except Exception:  # noqa: BLE001 - a compressed chunk that a loss of power cut short, say: it is written anew
            return False
        return sum_of(found) == total

    def note(self, number, values):
        self.journal.note(number, sum_of(values))
        self.bytes += values.nbytes
        if self.bytes >= SYNC_BYTES or monotonic() - self.last >= SYNC_SECONDS:
            self.write_down()

    def write_down(self):
        if self.bytes:
            self.plan.target.sync()
            self.journal.write_down()
        self.bytes, self.last = 0, monotonic()


# ---- progress ------------------------------------------------------------------------------------------------------------------


def reporter(progress):
    if progress is None or progress is False:
        return lambda done, total: None
    if progress is True:
        return Bar()
    if not callable(progress):
        raise TypeError(f"progress must be True, a function of (done, total), or None; got {progress!r}")
    return progress


class Bar:
    """A bar on stderr with the time that is left; where that is no terminal, a line for each tenth."""

    def __init__(self):
        self.first, self.tenths = None, -1

    def __call__(self, done, total):
        if self.first is None:
            self.first = monotonic(), done
        (start, before), now = self.first, monotonic()
        left = (now - start) * (total - done) / (done - before) if done > before else 0
        text = f"[{'#' * (40 * done // total):40}] {100 * done // total:3} %" + f"  {left / 60:.0f} min left" * (left >= 90)
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif 10 * done // total > self.tenths:
            self.tenths = 10 * done // total
            print(text, file=sys.stderr, flush=True)

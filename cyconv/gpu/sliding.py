"""Pooling one axis after the other (sliding.cu), for large windows that are all alike.

What passes leave for each other lies as the input does, and is made for as many planes, or rows of them, as the device's cache holds.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from ..problem import MAX_WORKSPACE
from . import costs
from .launch import blocks, kernel, packed, word
from .layout import strides
from .windows import BORDERS, TYPES, division, five_axes, kind, kinds, outside, places, summed, sums

THREADS = 128
ACROSS, ALONG = 8, 9  # results of a thread
FULL = costs.PROCESSORS * costs.THREADS
LINE = 6144  # bytes of shared memory for a warp of `along`
MOST = 2**31
ROOM = 32 * 2**20  # bytes between passes that the second cache of a data centre's GPU holds
BATCH, SPACE = 0, 2  # of five axes: the first one, and the first of z, y, x


def why_not(problem):
    if any(problem.adaptive):
        return "windows differ in size"
    if problem.with_indices and prod(problem.size) >= MOST:
        return "planes have 2**31 samples or more"
    _, _, workspace, results = _pieces(problem)
    if results >= MOST:
        return "a pass makes 2**31 results or more of a plane"
    return f"needs {workspace} bytes of workspace" if workspace > MAX_WORKSPACE else None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("sliding", amounts(problem)), _pieces(problem)[2]


def amounts(problem):
    """The work, as costs.py counts it."""
    p, slid = problem, _slid(problem)
    planes, outputs, *_ = _pieces(p)
    made, step = _made(p, p.out_size[slid[-1]]), 0
    for axis, results in zip(slid, made[-len(slid) :]):
        taps, run = p.kernel[axis], max(min(ACROSS, p.out_size[axis]), 1)
        shared = _apart(p, axis)[1] and taps >= ALONG
        threads = max(p.planes * results / run, 1)
        step += p.planes * results * ((taps + run - 1) / run + 2 if shared else taps) * max(1, FULL / 4 / threads)
    calls = len(made) * -(-p.planes // planes) * -(-p.out_size[slid[-1]] // max(outputs, 1))
    return {"call": calls, "step": step, "byte": costs.pooled_bytes(p) + p.planes * sum(made[:-1]) * _each(p)}


def run(problem, input, out, indices=None):
    """Writes the result to `out` and, where they are asked for, the winners' places to `indices`."""
    p, last = problem, _slid(problem)[-1]
    planes, outputs, *_ = _pieces(p)
    together, channels = max(planes // p.channels, 1), min(planes, p.channels)
    arrays = [None if array is None else five_axes(p, array) for array in (input, out, indices)]
    for n in range(0, p.batch, together):
        for c in range(0, p.channels, channels):
            x, y, found = (None if a is None else a[n : n + together, c : c + channels] for a in arrays)
            for begin in range(0, p.out_size[last], outputs):
                part = (*(slice(None),) * (SPACE + last), slice(begin, begin + outputs))
                _Passes(p, x, begin).run(_Held(y[part], None if found is None else found[part]))


class _Held(NamedTuple):
    """What a pass reads or writes: views of five axes."""

    values: object
    places: object = None  # int32 between passes, the caller's int64 at last

    def steps(self, axis):
        """Of both, in elements."""
        return strides(self.values)[axis], 0 if self.places is None else strides(self.places)[axis]


class _Passes:
    """Some planes, of which the results from `begin` on are made along the axis that is slid along last."""

    def __init__(self, problem, input, begin):
        p = self.problem = problem
        self.input, self.begin, self.kind, self.slid = input, begin, kind(problem), _slid(problem)
        # the axes of arrays between passes, the slowest first, so that they lie as the input does
        self.order = sorted(range(5), key=lambda a: (input.shape[a] > 1, -abs(input.strides[a]) or -np.inf))
        self.low = [0] * 5  # of the current array's axes: which sample of the input is the first one
        self.lanes = self._lanes() if self.order[-1] == SPACE + self.slid[0] else 0  # of a row in `along`; 0 if it is not for this input
        self.staged = self.lanes > 0 and self._span() <= self._room()
        if any(p.border) and not self.staged:
            self.lanes = 0

    def run(self, out):
        """Writes the results to views of the caller's arrays."""
        p, last = self.problem, self.slid[-1]
        reach = {SPACE + a: _reach(p, a, out.values.shape[SPACE + a], self.begin if a == last else 0) for a in self.slid}
        made = _Held(self.input)
        if any(p.border) and not self.staged:  # what lies beyond the input is put there by a pass of its own
            made = self._pass(BATCH, made, self._between(out, reach), reach)
        for axis in self.slid[:-1]:
            del reach[SPACE + axis]
            made = self._pass(SPACE + axis, made, self._between(out, reach), reach)
        self._pass(SPACE + last, made, out, {})

    def _between(self, out, reach):
        """Arrays for a pass: of the results' shape, but for the axes that are still to be slid along."""
        import cupy

        p, shape = self.problem, [reach[a][1] if a in reach else n for a, n in enumerate(out.values.shape)]
        shape, inverse = tuple([shape[a] for a in self.order]), tuple([self.order.index(a) for a in range(5)])
        values = cupy.empty(shape, summed(p.dtype) if sums(self.kind) else p.dtype).transpose(inverse)
        return _Held(values, None if out.places is None else cupy.empty(shape, np.int32).transpose(inverse))

    def _pass(self, axis, source, target, reach):
        """Slides along one of the five axes, of BATCH with windows of one sample; returns the target."""
        p, first, last, given = self.problem, source.values is self.input, axis == SPACE + self.slid[-1], target.places is not None
        others = [a for a in self.order if a != axis]
        sides = [self._side(a, source, target, reach if first else {}) for a in others]
        along = first and self.lanes > 0
        slide = self._slid_axis(axis, source, target, BORDERS.index(p.border[axis - SPACE]) if along else 0)
        argument = packed(*sides, *slide, self.lanes, int(self.staged), int(p.count_include_pad), outside(p), division(p))
        to = (target.values, *((target.places, None) if given and target.places.itemsize == 4 else (None, target.places)))
        # fewer than 2**31 results (_cut): there is a thread for each run of them
        rows, (apart, _) = prod(target.values.shape[a] for a in others), _apart(p, axis - SPACE)
        runs = -(-target.values.shape[axis] // ((ALONG if along else ACROSS) * apart)) * apart
        if along:
            warps = -(-rows // (32 // self.lanes)) * -(-runs // self.lanes)
            run = kernel("sliding", _along(p.dtype, self.kind, last, given))
            run((blocks(warps, THREADS // 32),), (THREADS,), (argument, source.values, *to))
        else:
            run = kernel("sliding", _across(p.dtype, self.kind, first, last, given))
            run((blocks(rows * runs, THREADS),), (THREADS,), (argument, source.values, source.places, *to))
        for a, (low, _) in reach.items():
            self.low[a] = low
        return target

    def _side(self, axis, source, target, reach):
        """The argument `Side`: an axis that stays as it is, or that the first pass brings as far as windows `reach`."""
        p, a, ahead, counted = self.problem, axis - SPACE, 1, (1, 0, 0, 1)
        place = low = border = 0
        if a >= 0:
            if a not in self.slid and source.values is self.input:
                ahead = p.stride[a]  # from one window of one sample to the next
            place, counted = places(p)[a] * ahead, _counted(p, a, 0)
        if axis in reach:
            low, border = reach[axis][0], BORDERS.index(p.border[a])
        from_, (to, found) = source.steps(axis)[0] * ahead, target.steps(axis)
        return target.values.shape[axis], source.values.shape[axis], low, border, from_, to, found, place, *counted

    def _slid_axis(self, axis, source, target, border):
        """What `Slide` says of its axis."""
        p, a = self.problem, axis - SPACE
        sizes, memory = (source.values.shape[axis], target.values.shape[axis]), (source.steps(axis)[0], *target.steps(axis))
        if axis == BATCH:
            return *sizes, 1, 1, 1, 0, 0, *memory, 0, 1, 0, 0, 1, 1, 0
        begin = self.begin if a == self.slid[-1] else 0
        before = p.pad_before[a] + self.low[axis] - begin * p.stride[a]
        return *sizes, p.kernel[a], p.stride[a], p.dilation[a], before, border, *memory, places(p)[a], *_counted(p, a, begin), *_apart(p, a)

    def _lanes(self):
        """Lanes of a warp that share a row in `along`: no more than a row has work for."""
        p, a = self.problem, self.slid[0]
        apart, _ = _apart(p, a)
        runs, lanes = -(-p.out_size[a] // (ALONG * apart)) * apart, 32
        while lanes > 4 and runs <= lanes // 2:
            lanes //= 2
        return lanes

    def _span(self):
        """Samples between the first and the last that these lanes read, at most."""
        p, a = self.problem, self.slid[0]
        apart, _ = _apart(p, a)
        return _most(p, a, -(-(self.lanes - 1) // apart) * apart * ALONG + ALONG * apart)

    def _room(self):
        """Those that shared memory has for a row, as sliding.cu divides it."""
        return LINE // self.input.itemsize // 32 * self.lanes - (self.lanes < 32)


def _slid(p):
    """The axes of z, y, x that windows reach along, in the order of passes."""
    return [a for a in (2, 1, 0) if p.kernel[a] > 1] or [2]


def _apart(p, a):
    """How many results there are from one of a run to the next, and whether their windows are one tap apart."""
    if a < 0 or p.dilation[a] % p.stride[a] or 2 * p.dilation[a] // p.stride[a] > p.out_size[a] and p.dilation[a] > p.stride[a]:
        return 1, 0
    return p.dilation[a] // p.stride[a], 1


def _reach(p, a, outputs, begin):
    """(first, count) of the samples that windows of some outputs reach; beyond the input only if something lies there."""
    low = begin * p.stride[a] - p.pad_before[a]
    high = low + (outputs - 1) * p.stride[a] + (p.kernel[a] - 1) * p.dilation[a] + 1
    if not p.border[a]:
        low, high = max(low, 0), min(high, p.size[a])
    return low, max(high - low, 0)


def _most(p, a, outputs):
    """How many samples windows of some outputs reach, wherever these are."""
    span = (outputs - 1) * p.stride[a] + (p.kernel[a] - 1) * p.dilation[a] + 1
    return span if p.border[a] else min(span, p.size[a])


def _counted(p, a, begin):
    """The argument `Counted`."""
    return p.kernel[a], p.stride[a], p.pad_before[a] - begin * p.stride[a], p.size[a] + (p.pad_after[a] if p.count_include_pad else 0)


def _made(p, outputs):
    """Of one plane: how many results each pass makes, if the last one makes `outputs` along its axis."""
    slid, shape = _slid(p), list(p.out_size)
    shape[slid[-1]] = outputs
    left = {a: _most(p, a, shape[a]) for a in slid}
    made = [prod(left.get(a, shape[a]) for a in range(3))] if any(p.border) else []
    for axis in slid:
        del left[axis]
        made.append(prod(left.get(a, shape[a]) for a in range(3)))
    return made


def _each(p):
    """Bytes of a sample between passes."""
    wide = 16 if p.dtype.startswith("complex") else 8
    return wide if sums(kind(p)) else costs.itemsize(p.dtype) + 4 * p.with_indices


def _pieces(p):
    """(planes, results along the last axis slid along, bytes of workspace, most results of a pass in a plane): what is done at a time."""
    found = p.kept.get("pieces of sliding")
    if found is None:
        found = p.kept["pieces of sliding"] = _cut(p)
    return found


def _cut(p):
    last = _slid(p)[-1]
    outputs = p.out_size[last]
    while True:
        made = _made(p, outputs)
        room, results = sum(made[:-1]) * _each(p), max(made)
        if room <= ROOM and results < MOST or outputs <= p.kernel[last]:
            break
        outputs = -(-outputs // 2)
    planes = 1 if outputs < p.out_size[last] else max(min(p.planes, ROOM // max(room, 1), MOST // max(results, 1)), 1)
    return planes, max(outputs, 1), planes * room, results


# ---- kernels ---------------------------------------------------------------------------------------------------------------


def _along(dtype, kind, last, given):
    return f"along<{TYPES[dtype]}, {kind}, {word(last or not sums(kind))}, {word(given)}>"


def _across(dtype, kind, first, last, given):
    type_ = TYPES[dtype]
    if not sums(kind):
        first, last = first or not given, True
    elif not first and not last:
        type_, kind = {"complex128": "Complex<double>", "uint64": "unsigned long long"}.get(summed(dtype), "double"), "AVERAGE"
    return f"across<{type_}, {kind}, {word(first)}, {word(last)}, {word(given)}>"



def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = []
    for dtype, k in kinds():
        for given in (False, True) if k in ("MAX", "MIN") else (False,):
            found += [_along(dtype, k, last, given) for last in (False, True)]
            found += [_across(dtype, k, first, last, given) for first in (False, True) for last in (False, True)]
    return [("sliding", expression) for expression in dict.fromkeys(found)]

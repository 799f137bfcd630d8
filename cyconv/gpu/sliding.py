"""Pooling one axis after the other (sliding.cu), for large windows that are all alike.

What passes leave for each other lies as the input does, and is made for as many planes, or rows of them, as the device's cache holds.
"""

from math import gcd, prod

import numpy as np

from ..problem import MAX_WORKSPACE
from . import costs
from .launch import blocks, kernel, packed
from .windows import BORDERS, TYPES, division, five_axes, kind, kinds, outside, places, steps, sums

THREADS = 128
ACROSS, ALONG = 8, 9  # results of a thread
FULL = costs.PROCESSORS * costs.THREADS
LINE = 6144  # bytes of shared memory for a warp of `along`
MOST = 2**31
ROOM = 32 * 2**20  # bytes between passes that the second cache of a data centre's GPU holds
_BATCH, _ROWS = 0, 2  # of five axes: the first one, and the first along which windows reach


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
        taps, run = p.kernel[axis], min(ACROSS, p.out_size[axis])
        shared = _apart(p, axis)[1] == 1 and taps >= ALONG
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
                part = (*(slice(None),) * (_ROWS + last), slice(begin, begin + outputs))
                _Passes(p, x, begin).run(y[part], None if found is None else found[part])


class _Passes:
    """Some planes, of which the results from `begin` on are made along the axis that is slid along last."""

    def __init__(self, problem, input, begin):
        p = self.problem = problem
        self.input, self.begin, self.kind, self.slid = input, begin, kind(problem), _slid(problem)
        # the axes of arrays between passes, the slowest first, so that they lie as the input does
        self.order = sorted(range(5), key=lambda a: (input.shape[a] > 1, -abs(input.strides[a]) or -np.inf))
        self.low = [0] * 5  # of the current array's axes: which sample of the input is the first one
        self.lanes = self._lanes() if self.order[-1] == _ROWS + self.slid[0] else 0
        self.staged = self.lanes > 0 and self._span() <= self._room()
        self.extended = any(p.border) and not self.staged  # whether what lies beyond is put there by a pass of its own

    def run(self, out, indices):
        """Writes the results to views of the caller's arrays."""
        p, made, found = self.problem, self.input, None
        extents = {_ROWS + a: _reach(p, a, out.shape[_ROWS + a], self.begin if a == self.slid[-1] else 0) for a in self.slid}
        self.first = True
        if self.extended:
            made = self._pass(_BATCH, made, None, self._between(out, extents), None, None, extents)
            self.first = False
        else:
            extents.pop(_ROWS + self.slid[0])
        for axis in self.slid[:-1]:
            extents.pop(_ROWS + axis, None)
            target = self._between(out, extents)
            places = None if indices is None else self._empty(target.shape, np.int32)
            made, found = self._pass(_ROWS + axis, made, found, target, places, None, extents), places
            self.first = False
        self._pass(_ROWS + self.slid[-1], made, found, out, None, indices, {})

    def _between(self, out, extents):
        """An array for a pass: of the results' shape, but for the axes that are still to be slid along."""
        shape = [extents[a][1] if a in extents else n for a, n in enumerate(out.shape)]
        p = self.problem
        dtype = p.dtype if not sums(self.kind) else "complex128" if p.dtype.startswith("complex") else "float64" if p.dtype[0] not in "iu" else "uint64"
        return self._empty(shape, dtype)

    def _empty(self, shape, dtype):
        import cupy

        inverse = tuple([self.order.index(a) for a in range(5)])
        return cupy.empty(tuple([shape[a] for a in self.order]), dtype).transpose(inverse)

    def _pass(self, axis, source, source_places, target, target_places, indices, extents):
        """Slides along one of the five axes, of _BATCH with windows of one sample; returns the target."""
        p, first, last = self.problem, self.first, not extents and axis >= _ROWS and _ROWS + self.slid[-1] == axis
        along = first and not self.extended and self.lanes > 0
        others = [a for a in self.order if a != axis]
        found = indices if indices is not None else target_places
        sides = [self._side(a, source, target, found, extents, first) for a in others]
        slide = self._slid_axis(axis, source, target, found, first and along)
        lanes = (self.lanes, int(self.staged)) if along else (0, 0)
        argument = packed(*sides, *slide, *lanes, int(p.count_include_pad), outside(p), division(p))
        rows, (apart, _) = prod(target.shape[a] for a in others), _apart(p, axis - _ROWS)
        given, run = target_places is not None or indices is not None, ALONG if along else ACROSS
        runs = -(-target.shape[axis] // (run * apart)) * apart
        for a, (low, _) in extents.items():
            self.low[a] = low
        if along:
            warps = -(-rows // (32 // self.lanes)) * -(-runs // self.lanes)
            kernel("sliding", _along(p.dtype, self.kind, last, given))(
                (blocks(warps, THREADS // 32),), (THREADS,), (argument, source, target, target_places, indices)
            )
        else:
            kernel("sliding", _across(p.dtype, self.kind, first, last, given))(
                (blocks(rows * runs, THREADS),), (THREADS,), (argument, source, source_places, target, target_places, indices)
            )
        return target

    def _side(self, a, source, target, found, extents, first):
        """The argument `Side`: an axis that stays as it is, or is brought as far as windows reach, by the first pass."""
        p, size, space = self.problem, source.shape[a], a - _ROWS
        border, low, taken, place = 0, 0, 1, 0
        counted = (1, 0, 0, 1)
        if space >= 0:
            taken = p.stride[space] if first and space not in self.slid else 1  # of windows of one sample, those alone
            place = places(p)[space] * taken
            counted = _counted(p, space, 0)
            if first and a in extents:
                border, low = BORDERS.index(p.border[space]), extents[a][0]
        return (
            target.shape[a], size, low, border, steps(source)[a] * taken, steps(target)[a], 0 if found is None else steps(found)[a], place, *counted,
        )  # fmt: skip

    def _slid_axis(self, axis, source, target, found, along):
        """What `Slide` says of its axis."""
        p, a = self.problem, axis - _ROWS
        lengths, memory = (source.shape[axis], target.shape[axis]), (steps(source)[axis], steps(target)[axis], 0 if found is None else steps(found)[axis])
        if a < 0:
            return *lengths, 1, 1, 1, 0, 0, *memory, 0, 1, 0, 0, 1, 1, 1
        begin = self.begin if a == self.slid[-1] else 0
        border = BORDERS.index(p.border[a]) if along else 0
        before = p.pad_before[a] + self.low[axis] - begin * p.stride[a]
        return (
            *lengths, p.kernel[a], p.stride[a], p.dilation[a], before, border, *memory, places(p)[a], *_counted(p, a, begin), *_apart(p, a),
        )  # fmt: skip

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
        apart, shift = _apart(p, a)
        far = -(-(self.lanes - 1) // apart) * apart * ALONG + apart - 1
        span = far * p.stride[a] + (p.kernel[a] - 1 + (ALONG - 1) * shift) * p.dilation[a] + 1
        return span if p.border[a] else min(span, p.size[a])

    def _room(self):
        """Those that shared memory has for a row, as sliding.cu divides it."""
        return LINE // self.input.itemsize // 32 * self.lanes - (self.lanes < 32)


def _slid(p):
    """The axes of z, y, x that windows reach along, in the order of passes."""
    return [a for a in (2, 1, 0) if p.kernel[a] > 1] or [2]


def _apart(p, a):
    """Results whose windows are whole taps from each other: so many results, and so many taps."""
    if a < 0:
        return 1, 1
    common = gcd(p.dilation[a], p.stride[a])
    return p.dilation[a] // common, p.stride[a] // common


def _reach(p, a, outputs, begin):
    """(first, count) of the samples that windows of some outputs reach; beyond the input only if something lies there."""
    low = begin * p.stride[a] - p.pad_before[a]
    high = low + (outputs - 1) * p.stride[a] + (p.kernel[a] - 1) * p.dilation[a] + 1
    if not p.border[a]:
        low, high = max(low, 0), min(high, p.size[a])
    return low, max(high - low, 0)


def _counted(p, a, begin):
    """The argument `Counted`."""
    return p.kernel[a], p.stride[a], p.pad_before[a] - begin * p.stride[a], p.size[a] + (p.pad_after[a] if p.count_include_pad else 0)


def _made(p, outputs):
    """Of one plane: how many results each pass makes, if the last one makes `outputs` along its axis."""
    slid, shape = _slid(p), list(p.out_size)
    shape[slid[-1]] = outputs
    left = {a: min(_reach(p, a, shape[a], 0)[1] + (p.pad_before[a] if not p.border[a] else 0), p.size[a] if not p.border[a] else 2**62) for a in slid}
    made = [prod(left.get(a, shape[a]) for a in range(3))] if any(p.border) else []
    for axis in slid:
        del left[axis]
        made.append(prod(left.get(a, shape[a]) for a in range(3)))
    return made


def _each(p):
    """Bytes of a sample between passes."""
    wide = 16 if p.dtype.startswith("complex") else 8
    return wide if sums(kind(p)) else np.dtype(p.dtype).itemsize + 4 * p.with_indices


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
        bytes_, results = sum(made[:-1]) * _each(p), max(made)
        if bytes_ <= ROOM and results < MOST or outputs <= p.kernel[last]:
            break
        outputs = -(-outputs // 2)
    planes = 1 if outputs < p.out_size[last] else max(min(p.planes, ROOM // max(bytes_, 1), MOST // max(results, 1)), 1)
    return planes, max(outputs, 1), planes * bytes_, results


# ---- kernels ---------------------------------------------------------------------------------------------------------------


def _along(dtype, kind, last, given):
    return f"along<{TYPES[dtype]}, {kind}, {_word(last or not sums(kind))}, {_word(given)}>"


def _across(dtype, kind, first, last, given):
    type_ = TYPES[dtype]
    if not sums(kind):
        first, last = first or not given, True
    elif not first and not last:
        type_, kind = "Complex<double>" if dtype.startswith("complex") else "double" if dtype[0] not in "iu" else "long long", "AVERAGE"
    return f"across<{type_}, {kind}, {_word(first)}, {_word(last)}, {_word(given)}>"


def _word(flag):
    return "true" if flag else "false"


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = []
    for dtype, k in kinds():
        for given in (False, True) if k in ("MAX", "MIN") else (False,):
            found += [_along(dtype, k, last, given) for last in (False, True)]
            found += [_across(dtype, k, first, last, given) for first in (False, True) for last in (False, True)]
    return [("sliding", expression) for expression in dict.fromkeys(found)]

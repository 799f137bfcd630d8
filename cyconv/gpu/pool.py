"""Pooling window by window, every problem: small windows, any others, and long ones that several threads share (pool.cu)."""

from math import prod

from ..arguments import INTEGERS
from . import costs
from .launch import MOST_BLOCKS, blocks, divisor, kernel, packed, word
from .layout import strides
from .windows import REALS, TYPES, axes, division, five_axes, kind, kinds, outside, places

THREADS = 256
SMALL = (2, 3)  # kernels with taps unrolled,
SMALL_DTYPES = (*REALS, "uint8")  # of these dtypes
MOST = 2**31
FULL = costs.PROCESSORS * costs.THREADS
SHARED = 32  # samples of a window that threads may share
LONG = 1024  # of one that a block does, if such windows are few
ALONE, WARP, BLOCK, PIXELS = range(4)  # as in pool.cu
WINDOWS = {ALONE: THREADS, WARP: THREADS // 32, BLOCK: 1, PIXELS: 32}  # of a block


def why_not(problem):
    if problem.outputs > MOST_BLOCKS * THREADS:
        return f"has more than {MOST_BLOCKS * THREADS} windows"
    if any(problem.border) and not _fits(problem):
        return "what lies beyond the input is counted in 32 bits"
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("pool", amounts(problem)), 0


def amounts(problem):
    """The work, as costs.py counts it."""
    p = problem
    taps = prod(min(k, n) for k, n in zip(p.kernel, p.size)) if not any(p.border) else prod(p.kernel)
    threads = p.outputs * _members(_team(p, False))
    return {"call": 1, "step": p.outputs * taps * max(1, FULL / max(threads, 1)), "byte": costs.pooled_bytes(p)}


def run(problem, input, out, indices=None):
    """Writes the result to `out` and, where they are asked for, the winners' places to `indices`."""
    p, k, dtype = problem, kind(problem), TYPES[problem.dtype]
    arrays = [five_axes(p, array) for array in (input, out, *(() if indices is None else (indices,)))]
    lead, pixels = _lead(*arrays)
    given = word(indices is not None)
    fits = _fits(p) and _spans(p, arrays[0])
    team, results = _team(p, pixels), 1
    if any(p.border):
        name, each, last = f"bordered<{dtype}, {k}>", THREADS, ()
    elif fits and _small(p, k):
        name, each, last = f"small<{dtype}, {k}, {p.kernel[2]}, {given}>", THREADS, (indices,)
        results = 4 if out.itemsize <= 2 and p.kernel[2] == 2 else 2 if out.itemsize <= 4 else 1  # as in pool.cu
    elif fits and team == ALONE:
        name, each, last = f"windows<{dtype}, {k}, {given}>", THREADS, (indices,)
    else:
        name, each, last = f"together<{dtype}, {k}>", WINDOWS[team], (indices, team)
    rows = -(-p.out_size[1] // results)
    total = p.planes * p.out_size[0] * rows * p.out_size[2]
    kernel("pool", name)((blocks(total, each),), (THREADS,), (_struct(p, total, rows, lead, arrays, pixels), *arrays[:2], *last))


def _struct(problem, total, rows, lead, arrays, pixels):
    """The argument `Pool` of pool.cu."""
    p = problem
    steps = [(lead[0][1 + i], lead[1][1 + i], *strides(array)[2:]) for i, array in enumerate(arrays)]
    steps += [(0,) * 5] * (3 - len(steps))
    return packed(
        total, lead[0][0], *map(divisor, (p.out_size[2], rows, p.out_size[0], lead[1][0])), *axes(p), *steps, places(p),
        int(pixels), int(p.count_include_pad), outside(p), division(p),
    )  # fmt: skip


def _lead(*arrays):
    """Batch and channels as two axes, of which the second one is closer in memory, each (length, its step in each array); and whether that
    is closer than the samples of a plane. If they are one axis in memory, they are made one."""
    sizes, each = arrays[0].shape, [strides(array) for array in arrays]
    lead = sorted(([sizes[a], *(s[a] for s in each)] for a in (0, 1)), key=lambda axis: (axis[0] > 1, -abs(axis[1])))
    (n, *first), (m, *second) = lead
    if n == 1 or all(a == m * b for a, b in zip(first, second)):
        lead = [[1] + [0] * len(each), [n * m, *second]]
    near = [abs(each[0][a]) for a in (2, 3, 4) if sizes[a] > 1]
    return lead, bool(near) and lead[1][0] > 1 and 0 < abs(lead[1][1]) < min(near)


def _small(p, kind):
    return (
        kind in ("MAX", "AVERAGE")
        and p.dtype in SMALL_DTYPES
        and (kind == "MAX" or p.dtype != "uint8")
        and p.size[0] == p.out_size[0] == p.kernel[0] == 1
        and p.kernel[1] == p.kernel[2]
        and p.kernel[2] in SMALL
        and max(p.dilation) == 1
        and not any(p.adaptive)
    )


def _fits(p):
    """Whether sizes, and how far windows reach, are below 2**31."""
    reach = max((o - 1) * s + d * k + b + a + n for o, s, d, k, b, a, n in zip(p.out_size, p.stride, p.dilation, p.kernel, p.pad_before, p.pad_after, p.size))
    return max(reach, prod(p.size), *p.out_size) < MOST


def _spans(p, input):
    """Whether a plane's offsets in memory are."""
    near = strides(input)[2:]
    return sum((n - 1) * abs(s) for n, s in zip(p.size, near)) < MOST and max(d * abs(s) for d, s in zip(p.dilation, near)) < MOST


def _team(p, pixels):
    """How many threads share a window: more where windows are long and few, or their rows are not neighbours in memory."""
    if prod(min(k, n) for k, n in zip(p.kernel, p.size)) < SHARED:
        return ALONE
    if pixels:
        return ALONE if p.outputs >= FULL // 4 else PIXELS
    if p.outputs >= FULL and p.out_size[2] >= 8 or p.outputs > MOST_BLOCKS * WINDOWS[WARP]:
        return ALONE
    return BLOCK if p.outputs * 32 < FULL // 2 and prod(min(k, n) for k, n in zip(p.kernel, p.size)) >= LONG else WARP


def _members(team):
    return {ALONE: 1, WARP: 32, BLOCK: THREADS, PIXELS: 8}[team]


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = []
    for dtype, k in kinds():
        given = ("false", "true") if k in ("MAX", "MIN") else ("false",)
        found += [f"windows<{TYPES[dtype]}, {k}, {each}>" for each in given]
        found += [f"together<{TYPES[dtype]}, {k}>"]
        found += [f"bordered<{TYPES[dtype]}, {k}>"] if k in ("MAX", "MIN", "AVERAGE") and dtype in ("float32", "float64", *INTEGERS) else []
        if k in ("MAX", "AVERAGE") and dtype in SMALL_DTYPES and (k == "MAX" or dtype != "uint8"):
            found += [f"small<{TYPES[dtype]}, {k}, {taps}, {each}>" for taps in SMALL for each in given]
    return [("pool", expression) for expression in found]

"""Overlap-save by tiles: out = F^-1( sum over c of F(tile of x_c) * F(kernel_oc laid out backwards) ), with bias, keeping every s-th.

A circular correlation of T samples with a kernel that spans S is the plain one at its first T - S + 1 positions. The padded input is cut
into tiles of T samples that overlap by S - 1, so each output comes from one tile alone, and what is large in one tile never reaches the
outputs of others. Where that is cheaper one tile holds all, and what it lacks of the zeros around its samples it meets on the way around.
Axes along which the kernel has one tap are not transformed: each position is a tile of its own. Transforms are cuFFT's, in place.

Tiles lie [unit][group][channel][z][y][x], a unit being one tile of one item; spectra of weights [group][out channel][channel][frequency].
As many units are done at once as a pass may take of memory. If the weights' spectra are too large for it, groups are done one part
after the other. What is read and written, and the product of spectra, are kernels of fft.cu.

Half types are computed in float32. A transform rounds all of a tile by the same amount: an output that is small beside its surroundings
loses digits, as the row's bound says. Where sizes in a tile of single precision differ too much (`compare_sizes` in fft.cu), `auto` has the
device compute everything again by another row.
Meant for large kernels: the cost per output grows with log(T), not with the number of taps.
Source: T. G. Stockham, "High-speed convolution and correlation", AFIPS 1966.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, prod

import numpy as np

from . import costs, transforms
from .launch import INEXACT, TYPES, kernel, packed
from .tiles import THREADS, visit

PASS_BYTES = 32 << 20  # of spectra: a pass is then longer than its launches, and stays near the cache that all processors share
LANES, ROWS = 32, 8  # of multiply, as in fft.cu
EACH, ALONE = 64, 256  # samples that a lane of `compare_sizes` looks at, at least, and where one warp does a tile, at most
SHARE = 4  # units and output channels of a thread of multiply, where there are so many
LONGEST = 2**31 - 1  # numbers that one plan of cuFFT counts
ODD = sorted([n for n in (3**a * 5**b * 7**c for a in range(20) for b in range(14) for c in range(12)) if n <= LONGEST])  # without larger prime factors


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a problem is cut into tiles, and how many of them are done at once."""

    axes: tuple  # those transformed
    length: tuple  # of a tile, (z, y, x), as are the four below
    yields: tuple  # outputs of a tile
    count: tuple  # tiles of an item
    real: bool
    size: int  # bytes of a complex number
    frequencies: int  # of a tile
    groups: int  # at once
    units: int  # of a pass
    kernels: int  # transformed at once
    alone: bool  # whether a channel is made from one channel, in place
    bytes: int
    amounts: dict

    @property
    def lengths(self):
        """As the transforms have them."""
        return tuple([self.length[a] for a in self.axes])


def why_not(problem):
    if problem.dtype not in INEXACT:
        return "integers are computed exactly, and a Fourier transform rounds"
    if problem.multiply_adds and isinstance(found := tiling(problem), int):
        return f"needs at least {found} bytes of workspace"
    return transforms.missing()


def points(problem):
    """Points of a transform."""
    if not problem.multiply_adds or isinstance(found := tiling(problem), int):
        return 2
    return prod(found.length)


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("fft", amounts(problem)), tiling(problem).bytes if problem.multiply_adds else 0


def amounts(problem):
    """The work, as costs.py counts it."""
    return tiling(problem).amounts if problem.multiply_adds else {"call": 1}


# ---- the tile --------------------------------------------------------------------------------------------------------------


def transformed_axes(problem):
    return tuple([a for a in range(3) if problem.kernel[a] > 1]) or (2,)


def reach(problem, axis):
    """Positions of the padded input that outputs read."""
    return (problem.out_size[axis] - 1) * problem.stride[axis] + problem.span[axis]


def lone_length(problem, axis):
    """From which length on one tile holds an axis."""
    p, whole = problem, reach(problem, axis)
    if p.padding_mode != "zeros":
        return whole
    # what comes around from the end are the zeros before the first sample
    samples = min(p.pad_before[axis] + p.size[axis], whole)
    return max(samples, whole - max(p.pad_before[axis], 0), whole - p.span[axis] + 1, p.span[axis])


def lengths(problem, axis):
    """Tile lengths worth a look, short to long; the last one holds the whole axis."""
    lone, least = lone_length(problem, axis), max(problem.span[axis], 8)
    found = sorted([n << k for n in (1, 3) for k in range(3, 31) if least <= n << k < lone])
    return [*found, smooth(lone)]


def smooth(least):
    """The next number without prime factors above 7; an even one, and one of whole eights where that adds little."""
    step = 8 if least > 64 else 2
    steps = -(-least // step)
    return step * min([n << (-(-steps // n) - 1).bit_length() for n in ODD[: bisect_right(ODD, 2 * steps)]])


@lru_cache(256)
def tiling(problem):
    """The Tiling of least predicted time; or a number of bytes that even the smallest one needs, if they are too many."""
    p, axes = problem, transformed_axes(problem)
    choices = [lengths(p, a) if a in axes else [1] for a in range(3)]
    best, least, smallest = None, inf, inf

    def consider(length):
        nonlocal best, least, smallest
        found = tiled(p, axes, tuple(length))
        if isinstance(found, int):
            smallest = min(smallest, found)
        elif (seconds := costs.seconds("fft", found.amounts)) < least:
            best, least = found, seconds

    # all axes together from short to long, and from there each axis alone
    for turn in range(max(map(len, choices))):
        consider([each[min(turn, len(each) - 1)] for each in choices])
    for _ in range(2 if best and len(axes) > 1 else 0):
        for a in axes:
            for n in choices[a]:
                consider([n if b == a else best.length[b] for b in range(3)])
    return best or smallest


def tiled(p, axes, length):
    """The Tiling of tiles of this length, or the bytes that it lacks room for."""
    real = not p.dtype.startswith("complex")
    size = 16 if p.dtype in ("float64", "complex128") else 8
    yields = [(length[a] - p.span[a]) // p.stride[a] + 1 if a in axes else 1 for a in range(3)]
    yields = tuple([p.out_size[a] if a in axes and length[a] >= lone_length(p, a) else min(yields[a], p.out_size[a]) for a in range(3)])
    count = tuple([-(-n // m) for n, m in zip(p.out_size, yields)])
    last = length[axes[-1]]
    frequencies = prod(length) // last * (last // 2 + 1 if real else last)
    tile, wide = frequencies * size, max(p.in_channels, p.out_channels)
    alone = p.in_channels == p.out_channels == 1
    each = (1 if alone else p.in_channels + p.out_channels) + wide  # spectra of a unit and group, and cuFFT's work area
    weights, all_units = p.out_channels * p.in_channels, p.batch * prod(count)
    if wide * 2 * frequencies > LONGEST:
        return wide * 2 * frequencies * size  # cuFFT counts no farther
    groups = max(1, min(p.groups, p.max_workspace // (2 * tile * (max(weights, each) + wide)), PASS_BYTES // (tile * wide)))
    room = p.max_workspace // tile - groups * weights - wide * groups  # in spectra; weights may be rounded up
    units = min(room // (groups * each), max(1, PASS_BYTES // (tile * wide * groups)), all_units)
    if units < 1:
        return (weights + wide + each) * tile
    passes = -(-all_units // units)
    units = -(-all_units // passes)
    area = units * groups * wide
    for kernels in (max(area, PASS_BYTES // tile), area):  # the work area may be larger for the weights than for a pass
        times = -(-groups * weights // kernels)
        kernels = -(-groups * weights // times)
        held = (times * kernels + units * groups * (each - wide) + max(area, kernels)) * tile
        if held <= p.max_workspace:
            break
    parts = -(-p.groups // groups)
    amounts = _amounts(p, axes, length, tile, all_units, passes * parts, times * parts)
    return Tiling(axes, length, yields, count, real, size, frequencies, groups, units, kernels, alone, held, amounts)


def _amounts(p, axes, length, tile, units, passes, weight_passes):
    through = 2 * sum([1 + (length[a] > 4096) + (length[a] > 1 << 23) for a in axes])  # a transform reads and writes all so often
    planes, kernels = units * p.groups, p.groups * p.out_channels * p.in_channels
    double = 2 if p.dtype in ("float64", "complex128") else 1
    read, written = planes * p.in_channels * (4 - double + through), planes * p.out_channels * (1 + through)  # sizes of single precision are looked at
    multiplied = planes * (p.in_channels * ceil(p.out_channels / 16) + p.out_channels) + kernels * ceil(units / 8)
    return {
        "call": 1,
        "launch": 6 * passes + 1,  # the last one: a row that is to compute again what is not finite, and finds all finite
        "byte": costs.moved(p) + tile * (read + written + multiplied),
        "weight_launch": 2 * weight_passes,
        "weight_byte": tile * kernels * (1 + through),
        "multiply_add": 4 * double * units * kernels * (tile // (8 * double)),
    }


# ---- running ---------------------------------------------------------------------------------------------------------------


class Spectra:
    """Of the weights of a problem; what `run` takes as its weight."""

    def __init__(self, array):
        self.array = array


def prepare(problem, weight):
    """The weights' spectra. Whether they are finite shows in what `run` makes of them."""
    return Spectra(_spectra(problem, weight, 0, problem.groups, None)) if problem.multiply_adds else weight


def run(problem, input, weight, bias, out, nonfinite=None):
    """Writes the result to `out`. `weight` has six axes, or is what `prepare` returned. If input, weight or result are not finite,
    `nonfinite` (an int32 of the device) becomes 1; it does so, too, if single precision would lose what is small in a tile."""
    import cupy

    p, t = problem, tiling(problem)
    kind = TYPES[p.dtype]
    numbers = t.units * t.groups * t.frequencies
    spectra = cupy.empty(numbers * p.in_channels, f"c{t.size}")
    sums = spectra if t.alone else cupy.empty(numbers * p.out_channels, f"c{t.size}")
    all_units, per_group = p.batch * prod(t.count), p.out_channels * p.in_channels * t.frequencies
    whole, step = _steps(t)
    apart = tuple([n * p.stride[a] if a in t.axes else n for a, n in enumerate(step)])
    for group in range(0, p.groups, t.groups):
        groups = min(t.groups, p.groups - group)
        if isinstance(weight, Spectra):
            by = weight.array[group * per_group :]
        else:
            by = _spectra(p, weight, group, groups, nonfinite)
        for first in range(0, all_units, t.units):
            units = min(t.units, all_units - first)
            part = {"group": group, "groups": groups, "count": t.count, "whole": whole}
            visit(
                "fft", f"gather<{kind}>", input, (input, spectra, nonfinite), first=first * groups * p.in_channels,
                planes=units * groups * p.in_channels, **part, channels=p.in_channels, box=t.length, step=step,
                advance=tuple([m * s for m, s in zip(t.yields, p.stride)]), before=p.pad_before, size=p.size,
                end=tuple([reach(p, a) for a in range(3)]), mode=p.padding_mode,
            )  # fmt: skip
            if nonfinite is not None and t.size == 8:
                _compare_sizes(p, t, units * groups * p.in_channels, spectra, nonfinite)
            transforms.transform(spectra, t.lengths, t.real, t.units * t.groups * p.in_channels, True)
            _multiply(p, t, units, groups, spectra, by, sums)
            transforms.transform(sums, t.lengths, t.real, t.units * t.groups * p.out_channels, False)
            visit(
                "fft", f"scatter<{kind}>", out, (sums, bias, out, nonfinite), first=first * groups * p.out_channels,
                planes=units * groups * p.out_channels, **part, channels=p.out_channels, box=t.yields, step=apart,
                advance=t.yields, end=p.out_size,
            )  # fmt: skip
    transforms.trim()


def _spectra(problem, weight, group, groups, nonfinite):
    """Of the weights of some groups."""
    import cupy

    p, t = problem, tiling(problem)
    whole, step = _steps(t)
    each = p.out_channels * p.in_channels
    array = cupy.empty(-(-groups * each // t.kernels) * t.kernels * t.frequencies, f"c{t.size}")
    for first in range(0, groups * each, t.kernels):
        part = array[first * t.frequencies : (first + t.kernels) * t.frequencies]
        visit(
            "fft", f"place<{TYPES[p.dtype]}>", weight, (weight, part, nonfinite), first=group * each + first, planes=min(t.kernels, groups * each - first),
            groups=p.out_channels, channels=p.in_channels, box=t.length, step=step, whole=whole, before=p.dilation, size=p.kernel,
        )  # fmt: skip
        transforms.transform(part, t.lengths, t.real, t.kernels, True)
    return array


def _steps(t):
    """Numbers from one tile to the next, and from one number of a tile to the next along each axis."""
    last = t.axes[-1]
    rows = [transforms.pitch(n, t.real) if a == last else n for a, n in enumerate(t.length)]
    return prod(rows), (rows[1] * rows[2], rows[2], 1)


def _compare_sizes(p, t, planes, tiles, noted):
    """Half of a window makes a cell, where its samples are neighbours; but four samples do at least, since chance makes tiny ones of
    numbers around zero."""
    import cupy

    whole, step = _steps(t)
    slabs, rows, columns = ((1, 1) + t.lengths)[-3:]
    half = [(p.kernel[a] + 1) // 2 if p.dilation[a] == 1 else 1 for a in t.axes]
    high = min(half[-2], rows) if len(half) > 1 else 1
    wide = max(1, min(half[-1], columns) // 32)
    neighbours = 4 if half[-1] >= 4 or high * wide < 4 else 1
    strips = slabs * (rows // high) * -(-columns // (32 * wide))
    each = strips if strips * high * wide <= ALONE else -(-EACH // (high * wide))
    warps = -(-strips // each)
    seen = cupy.zeros(2 * planes, np.uint32) if warps > 1 else None
    apart = [step[a] for a in t.axes[:-1]]
    cells = packed(planes, whole, slabs, rows, columns, *([0, 0] + apart)[-2:], high, wide, neighbours, strips, each, warps)
    kernel("fft", f"compare_sizes<{1 if t.real else 2}>")((-(-planes * warps // (THREADS // 32)),), (THREADS,), (cells, tiles, seen, noted))


def _multiply(p, t, units, groups, spectra, weights, sums):
    several, outs = (SHARE if units >= SHARE else 1), (SHARE if p.out_channels >= SHARE else 1)
    lanes = 1
    while lanes < ROWS // 2 and lanes * outs < p.out_channels:
        lanes *= 2
    if units <= several:
        while lanes < ROWS and lanes * outs < p.out_channels:
            lanes *= 2
    columns, rows = -(-t.frequencies // LANES), -(-units // (several * (ROWS // lanes)))
    kernel("fft", f"multiply<{'float' if t.size == 8 else 'double'}, {several}, {outs}>")(
        (columns * -(-p.out_channels // (outs * lanes)) * groups * rows,),
        (LANES, ROWS),
        (packed(units, groups, p.in_channels, p.out_channels, t.frequencies, lanes), spectra, weights, sums),
    )


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    visits = [f"{name}<{TYPES[dtype]}>" for name in ("gather", "place", "scatter") for dtype in INEXACT]
    products = [f"multiply<{single}, {units}, {outs}>" for single in ("float", "double") for units in (1, SHARE) for outs in (1, SHARE)]
    return [("fft", expression) for expression in (*visits, "compare_sizes<1>", "compare_sizes<2>", *products)]

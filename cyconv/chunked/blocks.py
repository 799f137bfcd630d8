"""Which samples of an array the parts of a result are made from: arithmetic on Python integers, without any array.

A result is cut into blocks on a grid that depends on the whole problem alone, and never on how the array is chunked. Chunks of the
result are whole blocks, and what rounds differently at other places (tiles of Winograd and Fourier transforms, products by BLAS, sums
of averages) is computed block by block. So the bits of a result do not depend on its chunks.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import prod

# Outputs of a block along each of so many spatial axes: large enough that what neighbours share is little beside it, and
# small enough to lie below the chunks that people make.
LENGTHS = {1: 2**18, 2: 512, 3: 64}
OUTPUTS = 2**18  # of a channel, in a block of several items of a batch
CHANNELS = 256  # input channels that are summed at once; and those of the groups of a block
SAMPLES = 2**26  # of all channels of a block, which is shorter where they are many or strides are long
REGION = 2**26  # that a task reads or makes, if chunks of the input hold half as many at most


@dataclass(frozen=True, slots=True)
class Reads:
    """The samples of one axis that a part of a result needs: [start, stop) of the array, and padding on both sides.

    Where padding repeats samples of the array, `before` and `after` are 0, and `start` and `stop` may lie beyond it.
    """

    start: int
    stop: int
    before: int = 0
    after: int = 0

    def within(self, whole):
        """A slice for these samples of an array that holds those of `whole`."""
        return slice(self.start - whole.start, self.stop - whole.start)


@dataclass(frozen=True, slots=True)
class Same:
    """An axis along which output i is made from input i alone."""

    def reads(self, low, high):
        return Reads(low, high)


@dataclass(frozen=True, slots=True)
class Whole:
    """An axis of which every output needs all samples."""

    samples: int

    def reads(self, low, high):
        return Reads(0, self.samples)


@dataclass(frozen=True, slots=True)
class Grouped:
    """Channels: `inputs` of a group make `outputs` of it."""

    inputs: int
    outputs: int

    def reads(self, low, high):
        outputs = max(self.outputs, 1)
        return Reads(low // outputs * self.inputs, -(-high // outputs) * self.inputs)


@dataclass(frozen=True, slots=True)
class Windows:
    """Output o is made from samples o*stride - before up to, not including, that plus `span`."""

    samples: int
    span: int
    stride: int
    before: int
    after: int
    repeats: bool = False  # whether the padding repeats samples

    def reads(self, low, high):
        start, stop = low * self.stride - self.before, (high - 1) * self.stride - self.before + self.span
        if self.repeats:
            return Reads(start, stop)
        first = min(max(start, 0), self.samples)
        last = max(min(stop, self.samples), first)
        before = min(max(-start, 0), stop - start)
        return Reads(first, last, before, min(stop - start - before - (last - first), self.after))  # ceil_mode may reach beyond the padding


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Output o is made from samples o*samples // outputs up to, not including, ceil((o + 1)*samples / outputs)."""

    samples: int
    outputs: int

    def reads(self, low, high):
        return Reads(low * self.samples // self.outputs, -(-high * self.samples // self.outputs))


@dataclass(frozen=True, slots=True)
class Spread:
    """Of a transposed convolution: sample i goes to outputs i*stride - before up to, not including, that plus `span`."""

    samples: int
    span: int
    stride: int
    before: int

    def reads(self, low, high):
        first = -(-(low + self.before - self.span + 1) // self.stride)
        last = (high - 1 + self.before) // self.stride + 1
        first = min(max(first, 0), self.samples - 1)  # at least one sample, even where none reaches
        return Reads(first, max(min(last, self.samples), first + 1))


# ---- where results are cut ---------------------------------------------------------------------------------------------------


def block_length(length, most, span=1):
    """Outputs of a block along an axis of so many: about `most`, or twice as many as a window is long; all, if hardly more."""
    size = max(most, -(-2 * span // most) * most)
    return length if 2 * length <= 3 * size else size


def most_outputs(channels, size, stride):
    """Outputs of a block along each of these axes, unless windows are longer, where an output has so many channels."""
    most = LENGTHS[len(size)]
    while most > 1 and channels * prod([min(n, most * s) for n, s in zip(size, stride)]) > SAMPLES:
        most //= 2
    return most


def items_of(channels, size, spatial):
    """Items of a batch in a block, each of so many samples and outputs of a channel."""
    return max(1, min(OUTPUTS // max(prod(spatial), 1), SAMPLES // max(channels * prod(size), 1)))


def lead_lengths(lengths, most):
    """Lengths of a block along axes of which each index is computed alone, so that about so many are computed together."""
    found = []
    for length in reversed(lengths):
        found.insert(0, max(1, min(length, most)))
        most //= found[0]
    return tuple(found)


def cuts(length, block):
    """Where blocks of an axis begin, and its end; the last one may be half as long again."""
    if length <= block:
        return (0, length)
    inner = list(range(block, length, block))
    if length - inner[-1] < block // 2:
        inner.pop()
    return (0, *inner, length)


def snapped(chunks, length, grid):
    """Chunks of a result of this length, like those of the array that it is made from, but of whole blocks of the grid."""
    samples = sum(chunks)
    found, place = {0, length}, 0
    for chunk in chunks[:-1] if samples else ():
        place += chunk
        wanted = place * length // samples
        after = min(bisect_right(grid, wanted), len(grid) - 1)
        found.add(min(grid[after - 1], grid[after], key=lambda cut: abs(cut - wanted)))
    return tuple(sorted(found)) if length else (0, 0)


def refined(edges, axes, grids, most):
    """Edges of parts along each axis, with further ones of the grids where a part would read or make more than so many samples, if that helps."""
    edges = list(edges)
    held = [most_held(*each) for each in zip(axes, edges)]
    while most_of(held) > most:
        tries = [halved(*each) for each in zip(edges, grids)]
        after = [[*held[:axis], most_held(axes[axis], each), *held[axis + 1 :]] for axis, each in enumerate(tries)]
        best = min(range(len(edges)), key=lambda axis: most_of(after[axis]))
        if most_of(after[best]) >= most_of(held):
            break
        edges[best], held = tries[best], after[best]
    return edges


def most_held(axis, edges):
    """How many samples of an axis a part reads, and how many it makes."""
    spans = spans_of(edges)
    return max(0, *[read.stop - read.start for read in [axis.reads(*each) for each in spans]]), max([high - low for low, high in spans])


def most_of(held):
    return max([prod(each) for each in zip(*held)], default=0)


def halved(edges, grid):
    """Edges of parts, of which the longer ones are cut where a block begins, next to their middle."""
    found, longest = set(edges), max(high - low for low, high in pairwise(edges))
    for low, high in pairwise(edges):
        at = bisect_left(grid, (low + high) // 2)
        inner = [cut for cut in grid[max(at - 1, 0) : at + 1] if low < cut < high]
        if inner and 2 * (high - low) > longest:
            found.add(min(inner, key=lambda cut: abs(2 * cut - low - high)))
    return tuple(sorted(found))


def spans_of(edges):
    """(low, high) of each part between edges."""
    return list(pairwise(edges))


def inside(grid, low, high):
    """(low, high) of the grid's blocks in a range that is whole blocks."""
    return spans_of([cut for cut in grid if low <= cut <= high]) if high > low else []


# ---- where samples come from ---------------------------------------------------------------------------------------------------


def segments(start, stop, samples, mode):
    """Runs of samples that make up [start, stop) of a padded axis, in order: (first, last, copies) of samples first, first + 1 ... last - 1;
    backwards from first if last < first, with last the one behind the run; or `copies` of one."""
    found = []
    if start < 0:
        here = min(stop, 0)
        if mode == "replicate":
            found.append((0, 1, here - start))
        elif mode == "reflect":
            found.append((-start, -here, 1))  # sample -i is sample i
        elif mode == "symmetric":
            found.append((-start - 1, -here - 1, 1))  # sample -i is sample i - 1
        else:
            found.append((samples + start, samples + here, 1))
    low, high = max(start, 0), min(stop, samples)
    if low < high:
        found.append((low, high, 1))
    if stop > samples:
        here = max(start, samples)
        if mode == "replicate":
            found.append((samples - 1, samples, stop - here))
        elif mode == "reflect":
            found.append((2 * (samples - 1) - here, 2 * (samples - 1) - stop, 1))
        elif mode == "symmetric":
            found.append((2 * samples - 1 - here, 2 * samples - 1 - stop, 1))
        else:
            found.append((here - samples, stop - samples, 1))
    return found


def pieces(reads, edges, mode="zeros"):
    """What chunks with these edges hold of the samples that are read: (chunk, slice of it, slice of the region) for each piece.

    Only with `mode` "replicate" may the slice of the chunk be of one sample, and that of the region longer.
    """
    found, place = [], 0
    for first, last, copies in segments(reads.start, reads.stop, edges[-1], mode):
        backwards = last < first
        low, high = (last + 1, first + 1) if backwards else (first, last)
        parts = []
        chunk = bisect_right(edges, low) - 1
        while low < high:
            end = min(high, edges[chunk + 1])
            if low < end:  # chunks may be empty
                parts.append((chunk, low - edges[chunk], end - edges[chunk]))
            low, chunk = end, chunk + 1
        for chunk, low, high in reversed(parts) if backwards else parts:
            count = (high - low) * copies
            take = slice(high - 1, low - 1 if low else None, -1) if backwards else slice(low, high)
            found.append((chunk, take, slice(place, place + count)))
            place += count
    return found or [(0, slice(0, 0), slice(0, 0))]

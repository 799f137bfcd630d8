"""Convolutions of dask arrays as cyconv.signal has them: along some axes of N-d arrays.

The larger array is the image, from each axis of which that of the result is made; the smaller one is the kernel, in one chunk. What
cyconv/signal/arrangement.py does for whole arrays is done here for each block, of which up to three axes that the kernel slides along are those
of cyconv's convolution. Windows along the others are views, and become channels: any number of axes will do.
"""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..devices import is_chunked
from ..problem import MAX_WORKSPACE
from ..signal.arrangement import parts
from ..signal.operands import is_finite, scipy
from ..signal.scipys_transforms import scipy_is_quicker, transformed
from ..threads import threads
from . import blocks
from .arrays import as_dask
from .blocks import Same, Whole, Windows, block_length
from .convolution import ANYWHERE, Convolution, block_problem, names_for
from .graph import build

_FINE = 4096  # parts that an axis may be cut into where nothing is summed


@dataclass(frozen=True)
class Sliding(Convolution):
    """Axes of the image and the kernel by what they are; `first` is where the result begins in the full convolution."""

    kernel: tuple = ()
    first: tuple = ()
    spatial: tuple = ()  # both are long: the convolution's own
    unrolled: tuple = ()  # and those that become channels
    batch: tuple = ()  # the kernel is 1 long
    groups: tuple = ()  # both are long, and broadcast
    outputs: tuple = ()  # the image is 1 long
    strict: bool = False
    by_scipy: bool = False

    def run(self, region, reads, ranges, terms, kernel):
        region = region.astype(self.dtype, copy=False)
        cut = [slice(None)] * kernel.ndim
        for axis in self.groups + self.outputs:
            cut[axis] = slice(*[self.first[axis] + end for end in ranges[axis]])
        return (self.slid(region, reads, ranges, kernel[tuple(cut)]),)

    def finish(self, total):
        if self.dtypes[0].kind in "iu" and total.dtype.kind == "f":
            total = np.round(total)
        return total.astype(self.dtypes[0], copy=False)

    def slid(self, region, reads, ranges, kernel):
        along = self.spatial + self.unrolled
        if not along:
            with np.errstate(all="ignore"):
                return np.multiply(region, kernel)
        if self.by_scipy:
            result = self.transformed(region, reads, ranges, kernel, along)
            if self.asked == "fft" or is_finite(result):
                return result
        if region.ndim == 1 and (reads[0].before or reads[0].after) and not is_finite(kernel):  # which padding's zeros would be multiplied with
            first = self.first[0] + ranges[0][0] - reads[0].start
            return np.convolve(region, kernel[::-1])[first : first + ranges[0][1] - ranges[0][0]]
        order = (*self.batch, *self.unrolled, *self.groups, *self.outputs, *self.spatial)
        result = self.computed(self.problem_of(reads, ranges), self.input(region, reads), self.weight(kernel), None)
        result = result.reshape([ranges[axis][1] - ranges[axis][0] for axis in order])
        return result.transpose(np.argsort(order))

    def input(self, region, reads):
        """The region as the input of cyconv's convolution."""
        pads = [(reads[axis].before, reads[axis].after) if axis in self.unrolled else (0, 0) for axis in range(region.ndim)]
        if any(map(any, pads)):
            region = np.pad(region, pads)
        taps = tuple([self.kernel[axis] for axis in self.unrolled])
        if taps:
            region = np.lib.stride_tricks.sliding_window_view(region, taps, self.unrolled)
        windows = range(len(self.kernel), region.ndim)
        lead = [prod([region.shape[axis] for axis in axes]) for axes in (self.outputs + self.batch + self.unrolled, (*self.groups, *windows))]
        size = [region.shape[axis] for axis in self.spatial]
        return region.transpose(*self.outputs, *self.batch, *self.unrolled, *self.groups, *windows, *self.spatial).reshape(*lead, *size)

    def weight(self, kernel):
        taps, size = ([self.kernel[axis] for axis in axes] for axes in (self.unrolled, self.spatial))
        return kernel.transpose(*self.batch, *self.groups, *self.outputs, *self.unrolled, *self.spatial).reshape(-1, prod(taps), *size)

    def problem_of(self, reads, ranges):
        """Cyconv's, of a block."""
        lengths = [high - low for low, high in ranges]
        rank = len(self.spatial)
        batch, groups, outputs = (prod([lengths[axis] for axis in axes]) for axes in (self.batch + self.unrolled, self.groups, self.outputs))
        mine = [(reads[axis], self.kernel[axis], lengths[axis]) for axis in self.spatial]
        return block_problem(
            rank, True, self.dtype, batch, groups, prod([self.kernel[axis] for axis in self.unrolled]), outputs,
            tuple([read.stop - read.start for read, _, _ in mine]), tuple([k for _, k, _ in mine]), (1,) * rank, (1,) * rank,
            tuple([read.before for read, _, _ in mine]), tuple([read.after for read, _, _ in mine]), "zeros",
            tuple([length for _, _, length in mine]), False, self.strict, MAX_WORKSPACE,
        )  # fmt: skip

    def transformed(self, region, reads, ranges, kernel, along):
        """The block by SciPy's transforms, on one thread: the lines that share a vector depend on their number."""
        cut = [slice(None)] * region.ndim
        back = list(cut)
        for axis in along:
            first = self.first[axis] + ranges[axis][0] - reads[axis].start
            cut[axis], back[axis] = slice(first, first + ranges[axis][1] - ranges[axis][0]), slice(None, None, -1)
        with threads(1):
            return transformed("fftconvolve", region, kernel[tuple(back)], "full", along)[tuple(cut)]


def convolve(in1, in2, mode, axes, dtype, work=None, algorithm="auto", precision="default"):
    """A part of the convolution of two arrays of as many axes along `axes`, in dtype `work`; shapes and arguments have been checked."""
    if dtype is None:
        raise TypeError(f"in1 and in2 have dtypes {in1.dtype} and {in2.dtype}, which cyconv leaves to scipy.signal, and that takes no dask arrays")
    along = [axis for axis in axes if in1.shape[axis] > 1 and in2.shape[axis] > 1]
    swapped = prod([in2.shape[axis] for axis in along]) > prod([in1.shape[axis] for axis in along])
    image, kernel = (in2, in1) if swapped else (in1, in2)
    work = work if work and along else dtype
    operation = operation_of(image.shape, kernel.shape, parts(in1.shape, in2.shape, mode, axes), along, dtype, work, precision == "strict")
    kernel = kernel.rechunk(kernel.shape) if is_chunked(kernel) else kernel
    kernel = kernel.astype(operation.dtype)[tuple([slice(None, None, -1 if axis in along else 1) for axis in range(kernel.ndim)])]
    return build("convolve", with_algorithms(operation, algorithm, kernel), image if is_chunked(image) else as_dask("in1", image), kernel)[0]


def bordered(name, input, in2, kernel, mode, part, boundary, fillvalue, dtype):
    """The convolution of a plane with a border that cyconv.signal.convolve2d documents; `boundary` is numpy.pad's name of it."""
    import dask.array as da

    axes = (0, 1)
    if dtype is not None and (not input.size or not kernel.size):
        return nothing(name, input, in2, mode, {"constant": "fill", "symmetric": "symm"}.get(boundary, boundary), fillvalue)
    if dtype is not None and mode != "valid" and (boundary != "constant" or fillvalue != 0):
        found = parts(input.shape, kernel.shape, part, axes)
        padding = [(k - 1 - first, first + length - n) for n, k, (first, length) in zip(input.shape, kernel.shape, found)]
        values = {"constant_values": fillvalue} if boundary == "constant" else {}
        input, part = input.astype(dtype), "valid"
        if not is_chunked(input):
            input = np.pad(input, padding, boundary, **values)
        elif all([max(pair) <= n for pair, n in zip(padding, input.shape)]):
            input = da.pad(input, padding, boundary, **values)
        else:  # dask repeats no more than there is
            lengths = [(n + sum(pair),) for n, pair in zip(input.shape, padding)]
            whole = input.rechunk(input.shape)
            input = whole.map_blocks(np.pad, padding, boundary, chunks=lengths, dtype=dtype, meta=input._meta, **values)
    return convolve(input, kernel, part, axes, dtype)


def operation_of(image, kernel, found, along, dtype, work, strict):
    """The convolution of an image and a kernel of these shapes, with blocks that depend on the whole problem alone."""
    shape, first = tuple([length for _, length in found]), tuple([first for first, _ in found])
    others = [axis for axis in range(len(image)) if axis not in along]
    unrolled = sorted(along, key=lambda axis: kernel[axis])[:-3]
    spatial = [axis for axis in along if axis not in unrolled]
    reads, block = [], [0] * len(shape)
    for axis, (n, k) in enumerate(zip(image, kernel)):
        if axis in along or k == 1:
            reads.append(Windows(n, k, 1, k - 1 - first[axis], max(first[axis] + shape[axis] - n, 0)))
        else:
            reads.append(Same() if n > 1 else Whole(1))
    for axis in spatial:
        block[axis] = block_length(shape[axis], blocks.LENGTHS[len(spatial)], kernel[axis])
    left = max(1, blocks.OUTPUTS // prod([block[axis] for axis in spatial]))
    for axis in reversed([axis for axis in range(len(shape)) if axis not in spatial]):
        block[axis] = max(1, min(shape[axis], left)) if along else max(1, shape[axis] // _FINE)
        left //= block[axis]
    return Sliding(
        shape, (np.dtype(dtype),), tuple(reads), tuple(block), not along, dtype=np.dtype(work).name, strict=strict, kernel=kernel, first=first,
        spatial=tuple(spatial), unrolled=tuple(sorted(unrolled)), batch=tuple([axis for axis in others if kernel[axis] == 1]),
        groups=tuple([axis for axis in others if kernel[axis] > 1 and image[axis] > 1]),
        outputs=tuple([axis for axis in others if kernel[axis] > 1 and image[axis] == 1]),
    )  # fmt: skip


def with_algorithms(operation, algorithm, kernel):
    """The operation with the algorithms for its blocks, or SciPy's transforms, by what is quicker for a block of full size."""
    along = operation.spatial + operation.unrolled
    if not along:
        return operation
    ranges = tuple([(0, min(length, size)) for length, size in zip(operation.block, operation.shape)])
    reads = operation.reads(ranges)
    one = operation.problem_of(reads, ranges)
    shapes = [[1 if axis in operation.outputs else read.stop - read.start for axis, read in enumerate(reads)], list(operation.kernel)]
    for axis in operation.groups + operation.outputs:
        shapes[1][axis] = ranges[axis][1]
    by_scipy = not operation.strict and scipy_is_quicker(one, *shapes, along, algorithm, True)
    names = ()
    if not by_scipy or algorithm == "auto":
        known = None
        if isinstance(kernel, np.ndarray) and not (operation.groups or operation.outputs):
            known = operation.weight(kernel)
        row, names = names_for(one, algorithm, known, "cpu")
        by_scipy = by_scipy and not row.weights
    anywhere = not by_scipy and not operation.unrolled and (np.dtype(one.dtype).kind in "iu" or names[0] in ANYWHERE)
    return replace(operation, names=names, asked=algorithm, problem=one, by_scipy=by_scipy, anywhere=anywhere)


def nothing(name, in1, in2, *arguments):
    """What SciPy's function says to arrays of which one has no elements."""
    import dask.array as da

    return da.from_array(np.asarray(getattr(scipy(), name)(np.zeros(in1.shape, in1.dtype), np.zeros(in2.shape, in2.dtype), *arguments)))

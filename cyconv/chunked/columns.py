"""unfold and fold of dask arrays.

Columns are the windows of all spatial axes in row-major order, so chunks of them hold whole rows of windows: those at some places of the first
spatial axis, and at all of the others. Columns are given further axes of length 1, so that they have as many as images. Nothing depends on
where they are cut: unfold copies, and fold adds the numbers of a sample in the order of their taps.
"""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..arguments import as_array, check_cpu_dtype
from ..columns import folded, unfolded
from ..devices import where
from ..fold_problem import FoldProblem, fold_problem, unfold_problem
from . import blocks
from .arrays import as_dask, check_no_out, device_of_chunks, thinner
from .blocks import Grouped, Reads, Same, Whole, Windows
from .graph import Operation, build, check_chunks


@dataclass(frozen=True)
class Rows:
    """An axis of columns, of which each `row` belongs to one place of `windows` along the image's first spatial axis."""

    windows: object
    row: int

    def reads(self, low, high):
        return self.windows.reads(low // self.row, high // self.row)


@dataclass(frozen=True)
class Columns:
    """The image's first spatial axis, whose samples are made from rows of columns."""

    problem: FoldProblem

    def reads(self, low, high):
        p, row = self.problem, prod(self.problem.counts[1:])
        stride, before, most = p.stride[0], p.padding[0], p.counts[0] - 1
        first = -(-(low + before - p.dilation[0] * (p.kernel[0] - 1)) // stride)
        first = min(max(first, 0), (low + before) // stride, most)  # one that begins no later than the first sample, even if it does not reach it
        last = min((high - 1 + before) // stride, most)
        return Reads(first * row, (max(last, first) + 1) * row)


@dataclass(frozen=True)
class Unfolding(Operation):
    problem: FoldProblem = None

    def run(self, region, reads, ranges, terms):
        p, rank = self.problem, len(self.problem.size)
        with where(region):
            region = as_array("input", region, gpu=True)
            size, lead = region.shape[-rank:], region.shape[:-rank]
            rows = (ranges[-rank][1] - ranges[-rank][0]) // prod(p.counts[1:])
            one = replace(
                p, batch=prod(lead[:-1]), channels=lead[-1], size=size, padding=(reads[-rank].before, *p.padding[1:]), counts=(rows, *p.counts[1:])
            )
            columns = unfolded(one, region)
            return (columns.reshape(*columns.shape, *(1,) * (rank - 1)),)


@dataclass(frozen=True)
class Folding(Operation):
    problem: FoldProblem = None

    def run(self, region, reads, ranges, terms):
        p, rank = self.problem, len(self.problem.size)
        with where(region):
            lead, (low, high) = region.shape[: region.ndim - rank - 1], ranges[-rank]
            columns = as_array("input", region, gpu=True).reshape(*lead, *region.shape[len(lead) :][:2])
            first = reads[-rank].start // prod(p.counts[1:])
            one = replace(
                p, batch=prod(lead), channels=columns.shape[-2] // prod(p.kernel), size=(high - low, *p.size[1:]),
                padding=(p.padding[0] + low - first * p.stride[0], *p.padding[1:]), counts=(columns.shape[-1] // prod(p.counts[1:]), *p.counts[1:]),
            )  # fmt: skip
            return (folded(one, columns),)


def unfold(input, kernel_size, dilation, padding, stride, out):
    """The windows of `input` as columns."""
    input = _checked(input, out)
    p = unfold_problem(input, kernel_size, dilation, padding, stride)
    _check_dtype(p, input)
    rank, lead, row, taps = len(p.size), (p.batch,) if p.batched else (), prod(p.counts[1:]), prod(p.kernel)
    windows = Windows(p.size[0], p.dilation[0] * (p.kernel[0] - 1) + 1, p.stride[0], p.padding[0], p.padding[0])
    axes = (*[Same()] * len(lead), Grouped(1, taps), Rows(windows, row), *[Whole(n) for n in p.size[1:]])
    block = (*(1,) * len(lead), taps, row * max(1, blocks.OUTPUTS // (row * taps)), *(1,) * (rank - 1))
    operation = Unfolding((*p.columns_shape, *(1,) * (rank - 1)), (np.dtype(p.dtype),), axes, block, True, problem=p)
    samples = max(input.chunks[-rank]) * prod(p.size[1:]) * taps
    columns = build("unfold", operation, thinner(input, len(lead) + 1, samples))[0]
    return columns[(..., *(0,) * (rank - 1))]


def fold(input, output_size, kernel_size, dilation, padding, stride, out):
    """The sum of columns at the places of their windows."""
    input = _checked(input, out)
    p = fold_problem(input, output_size, kernel_size, dilation, padding, stride)
    _check_dtype(p, input)
    rank, lead, taps = len(p.size), (p.batch,) if p.batched else (), prod(p.kernel)
    axes = (*[Same()] * len(lead), Grouped(taps, 1), Columns(p), *[Whole(1)] * (rank - 1))
    block = (*(1,) * len(lead), 1, max(1, blocks.OUTPUTS // prod(p.size[1:])), *p.size[1:])
    operation = Folding(p.image_shape, (np.dtype(p.dtype),), axes, block, True, problem=p)
    return build("fold", operation, input[(..., *(None,) * (rank - 1))])[0]


def _checked(input, out):
    check_no_out(out)
    input = as_dask("input", input)
    check_chunks("input", input)
    return input


def _check_dtype(problem, input):
    if device_of_chunks(input=input) == "cpu":
        check_cpu_dtype("input", problem.dtype)

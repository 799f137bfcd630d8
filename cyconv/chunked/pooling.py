"""Pools of dask arrays.

Maxima, minima and averages of integers have the same bits wherever a plane is cut. Other sums are made block by block, each from a contiguous
array, since their order depends on how many planes there are and how they lie.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd, prod

import numpy as np

from .. import _calls
from ..arguments import as_array
from ..devices import namespace, on_gpu, where
from ..pool_problem import PoolProblem
from ..select import choose_pool
from . import blocks
from .arrays import as_dask, check_no_out, device_of_chunks, thinner
from .blocks import Adaptive, Same, Windows, block_length, lead_lengths
from .graph import Operation, build, check_chunks

WORTH = 2**12  # samples of a call
_OF_AXIS = ("size", "pad_before", "pad_after", "out_size", "kernel", "stride", "adaptive")


@dataclass(frozen=True)
class Pooling(Operation):
    problem: PoolProblem = None  # of the whole
    algorithm: str = "auto"  # where it computes a block

    def run(self, region, reads, ranges, terms):
        with where(region):
            if not self.anywhere:
                region = namespace(region).ascontiguousarray(region)
            region, problem = as_array("input", region, gpu=True), self.of_block(reads, ranges)
            device = "gpu" if on_gpu(region) else "cpu"
            if device == "gpu":
                from ..gpu.pools import pooled
            else:
                pooled = _calls.pooled
            algorithm = self.algorithm if self.algorithm == "auto" else choose_among(problem, self.algorithm, device)
            results = pooled(problem, region, algorithm, None)
            if not problem.with_indices:
                return (results,)
            return results[0], self.globally(results[1], problem.size, reads)

    def of_block(self, reads, ranges):
        """The problem of a block."""
        p, front, lead = self.problem, 3 - self.problem.rank, 2 if self.problem.batched else 1
        axes = []
        for axis, read, (low, high) in zip(range(front, 3), reads[lead:], ranges[lead:]):
            n, out, kernel, stride = read.stop - read.start, high - low, p.kernel[axis], p.stride[axis]
            adaptive = p.adaptive[axis] and n % max(out, 1) > 0
            if p.adaptive[axis]:
                kernel = stride = min(n, -(-n // max(out, 1)) + adaptive)
            axes.append((n, read.before, read.after, out, kernel, stride if out > 1 and not adaptive else 1, adaptive))
        batch, channels = [high - low for low, high in ((0, 1), *ranges)[-p.rank - 2 :][:2]]
        return block_problem(p, batch, channels, tuple(axes))

    def globally(self, places, size, reads):
        """Places in a plane of the whole, from those in a block."""
        p, (depth, height, width) = self.problem, size
        z, y, x = (0,) * (3 - p.rank) + tuple([read.start for read in reads[-p.rank :]])
        moved = (z * p.size[1] + y) * p.size[2] + x
        if width < p.size[2]:
            moved = moved + places // width * (p.size[2] - width)
        if depth > 1 and height < p.size[1]:
            moved = moved + places // (height * width) * ((p.size[1] - height) * p.size[2])
        return places + moved


@lru_cache(256)
def block_problem(problem, batch, channels, axes):
    """The pool of a part: of each spatial axis, what _OF_AXIS names."""
    values = {name: getattr(problem, name)[: 3 - problem.rank] + each for name, each in zip(_OF_AXIS, zip(*axes))}
    outputs = batch * channels * prod(values["out_size"])
    return replace(problem, batch=batch, channels=channels, steps=outputs * (problem.steps // max(problem.outputs, 1)), kept={}, **values)


def choose_among(problem, algorithm, device):
    """`algorithm`, or "auto" where it declines the problem."""
    try:
        return choose_pool(problem, algorithm, device=device).name
    except ValueError:
        return "auto"


def pool(make, rank, input, arguments, algorithm, out):
    """The pool that cyconv.max_pool1d and the like document: `make(rank, input, *arguments)` is the problem."""
    check_no_out(out)
    device = device_of_chunks(input=input)
    input = as_dask("input", input)
    check_chunks("input", input)
    problem = make(rank, input, *arguments)
    choose_pool(problem, algorithm, device=device)  # raises what it raises for other arrays
    operation = operation_of(problem, algorithm, device)
    lead = input.ndim - rank
    ranges = [(0, max(length, 1)) for length in operation.block]
    read = [max(*chunks, one.stop - one.start) for chunks, one in zip(input.chunks, operation.reads(ranges))]
    results = build(f"{problem.kind}_pool{rank}d", operation, thinner(input, lead, prod(read[lead:])), largest=prod(input.chunksize))
    return results if problem.with_indices else results[0]


def operation_of(problem, algorithm, device):
    p, shape, lead = problem, problem.output_shape, 2 if problem.batched else 1
    axes, block, whole = [], [], True
    together, samples = 1, prod(p.size)  # of a plane, that a task reads at least, and a block
    for axis in range(3 - p.rank, 3):
        n, out, kernel, stride = p.size[axis], p.out_size[axis], p.kernel[axis], p.stride[axis]
        samples //= n
        if p.adaptive[axis]:
            axes.append(Adaptive(n, out))
            block.append(_adaptive_length(n, out, kernel * samples, blocks.LENGTHS[p.rank]))
            whole &= block[-1] == out or block[-1] * n % out == 0
        else:
            span = p.dilation[axis] * (kernel - 1) + 1
            axes.append(Windows(n, span, stride, p.pad_before[axis], p.pad_after[axis]))
            block.append(block_length(out, max(1, blocks.LENGTHS[p.rank] // stride), (span - 1) // stride))
        read = axes[-1].reads(0, max(block[-1], 1))
        samples *= max(read.stop - read.start, 1)
        together *= n if p.adaptive[axis] else max(read.stop - read.start, 1)
    exact = p.kind in ("max", "min") or p.kind == "average" and p.dtype[0] in "iu"
    anywhere = exact and whole  # windows that differ in size are only known where blocks are cut
    leads = (1,) * lead if anywhere else lead_lengths(shape[:lead], blocks.OUTPUTS // together)
    dtypes = (np.dtype(p.dtype), np.dtype(np.int64))[: 1 + p.with_indices]
    operation = Pooling(shape, dtypes, (*[Same()] * lead, *axes), (*leads, *block), anywhere, problem=p, algorithm=algorithm)
    if algorithm == "auto" and not anywhere and p.outputs:
        ranges = [(0, min(each, length)) for each, length in zip(operation.block, shape)]
        one = operation.of_block(operation.reads(ranges), ranges)
        operation = replace(operation, algorithm=choose_pool(one, device=device).name)
    return operation


def _adaptive_length(n, out, samples, most):
    """Outputs of a block: as many as lie evenly in the axis, else one or all of them; `samples` is what a block of one reads."""
    size = out // gcd(n, out)
    if 2 * n <= 3 * most:
        return out
    if size == out:
        return 1 if samples >= WORTH else out
    size *= max(1, most * out // n // size)
    return out if 2 * out <= 3 * size else size

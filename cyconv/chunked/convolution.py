"""Convolutions of dask arrays."""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from .. import _calls, select
from ..arguments import as_array, check_cpu_dtype, flag
from ..devices import is_chunked, on_gpu
from ..problem import ConvProblem, conv_problem, gpu_problem, make_conv_problem, spatial_rank
from . import blocks
from .arrays import check_no_out, operands
from .blocks import Grouped, Same, Windows, block_length
from .graph import Operation, build

# Rows that add an output's products in one order wherever it stands. Others round by the place in a tile, or ask a library.
ANYWHERE = ("direct", "depthwise", "reference")

block_problem = lru_cache(256)(make_conv_problem)


@dataclass(frozen=True)
class Convolution(Operation):
    problem: ConvProblem = None  # of the whole
    names: tuple = ()  # of algorithms, the first of which that computes a block is taken
    asked: str = "auto"
    dtype: str = ""  # that sums are kept in

    def run(self, region, reads, ranges, terms, weight, bias):
        problem, rank = self.problem, self.problem.rank
        low, high = (0, problem.groups) if problem.groups == 1 else tuple(end // max(problem.out_channels, 1) for end in ranges[-1 - rank])
        weight = weight[low * problem.out_channels : high * problem.out_channels]
        if self.summed is not None:
            weight = weight[:, slice(*terms)]
            bias = bias if terms[0] == 0 else None
        elif bias is not None:
            bias = bias[low * problem.out_channels : high * problem.out_channels]
        if self.dtype != region.dtype:
            region, weight, bias = (None if each is None else each.astype(self.dtype) for each in (region, weight, bias))
        one = self.of_block(high - low, reads, ranges, weight.shape[1], self.dtype, bias is not None)
        return (self.computed(one, region, weight, bias),)

    def of_block(self, groups, reads, ranges, in_channels, dtype, has_bias):
        """The problem of a block."""
        problem, rank = self.problem, self.problem.rank
        spatial = reads[-rank:]
        return block_problem(
            rank, problem.batched, dtype, ranges[0][1] - ranges[0][0] if problem.batched else 1, groups, in_channels, problem.out_channels,
            tuple([each.stop - each.start for each in spatial]), problem.kernel[3 - rank :], problem.stride[3 - rank :], problem.dilation[3 - rank :],
            tuple([each.before for each in spatial]), tuple([each.after for each in spatial]), "zeros",
            tuple([high - low for low, high in ranges[-rank:]]), has_bias, problem.strict, problem.max_workspace,
        )  # fmt: skip

    def computed(self, problem, region, weight, bias):
        if on_gpu(region):
            return self.computed_on_gpu(problem, region, weight, bias)
        region, weight = as_array("input", region), as_array("weight", weight)
        bias = None if bias is None else as_array("bias", bias)
        return _calls.run_chosen(self.row(problem, weight, "cpu"), problem, region, weight, bias, self.asked, None)

    def row(self, problem, weight, device):
        said = {v.algorithm.name: v for v in select.verdicts(problem, device)}
        rows = (said[name].algorithm for name in self.names if said[name].declined is None)
        return next(row for row in rows if not row.weights or row.module.suits(problem, weight))

    def computed_on_gpu(self, problem, region, weight, bias):
        import cupy

        from ..gpu import calls
        from ..gpu.layout import views

        with region.device:
            region, weight = as_array("input", region, gpu=True), as_array("weight", weight, gpu=True)
            problem = gpu_problem(problem, problem.dtype, self.problem.allow_tf32)
            result = cupy.empty(problem.output_shape, problem.dtype)
            seen = views(problem, region, weight, result)
            row = self.row(problem, weight, "gpu")
            bias = None if bias is None else cupy.ascontiguousarray(bias)
            calls.compute_by(row, calls.careful(row, problem, seen[1], self.asked), problem, *seen, bias)
        return result

    def finish(self, total):
        return total.astype(self.problem.dtype, copy=False)


def convolve(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
):
    """The convolution that cyconv.conv1d, conv2d and conv3d document."""
    check_no_out(out)
    arguments = stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
    operation, *arrays, _ = prepared(rank, input, weight, bias, *arguments)
    return build(f"conv{rank}d", operation, *arrays)[0]


def prepared(rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32):
    """The operation, its arrays, and the device of their chunks."""
    allow_tf32 = flag("allow_tf32", allow_tf32)
    input, weight, bias, device = operands(input, weight, bias)
    problem = conv_problem(rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace)
    if device == "gpu":
        problem = gpu_problem(problem, problem.dtype, allow_tf32)
    else:
        check_cpu_dtype("input", problem.dtype)
    return operation_of(problem, algorithm, weight, device), input, weight, bias, device


def explain(input, weight, bias, *arguments):
    """What a block gets, as cyconv.explain documents it."""
    weight = weight if is_chunked(weight) else as_array("weight", weight, gpu=True)
    operation, _, _, _, device = prepared(spatial_rank(weight), input, weight, bias, *arguments)
    one, known = first_block(operation, device), known_weight(operation, weight)
    found = select.explained(one, operation.names[0], None, device, one.allow_tf32)
    if known is None:
        unknown = "looks at the weight, of which blocks have parts, or which is not known yet"
        said = tuple([replace(v, declined=unknown) if v.algorithm.weights and not v.declined else v for v in found.verdicts])
    else:
        said = select.verdicts_on(one, known, device)
    return replace(found, verdicts=said, whole=operation.problem)


def operation_of(problem, algorithm, weight, device):
    """A convolution of chunks: blocks, and algorithms for them, that depend on the whole problem alone."""
    rank, lead = problem.rank, 2 if problem.batched else 1
    shape = problem.output_shape
    spatial = shape[lead:]
    repeats = problem.padding_mode != "zeros"
    windows = [
        Windows(n, d * (k - 1) + 1, s, before, after, repeats)
        for n, k, s, d, before, after in zip(
            problem.size, problem.kernel, problem.stride, problem.dilation, problem.pad_before, problem.pad_after
        )
    ][3 - rank :]
    size, wide = [each.samples for each in windows], max(problem.in_channels, problem.out_channels)
    most = blocks.most_outputs(wide, size, [each.stride for each in windows])
    block = [block_length(length, most, -(-each.span // each.stride)) for length, each in zip(spatial, windows)]
    items = [blocks.items_of(wide, size, spatial) if tuple(block) == spatial else 1] if problem.batched else []
    together = max(1, min(problem.groups, blocks.CHANNELS // max(problem.in_channels, 1), blocks.OUTPUTS // max(prod(block), 1)))
    step = blocks.CHANNELS if problem.groups == 1 and problem.in_channels > blocks.CHANNELS else 0
    channels = shape[lead - 1] if problem.groups == 1 else together * problem.out_channels
    channel_axis = Grouped(problem.in_channels, problem.out_channels)
    sums = {"summed": lead - 1, "terms": problem.in_channels, "step": step} if step else {}
    dtype = "float32" if step and problem.dtype in ("float16", "bfloat16") else problem.dtype
    operation = Convolution(
        shape, (np.dtype(problem.dtype),), (*[Same()] * (lead - 1), channel_axis, *windows), (*items, channels, *block), False,
        problem.padding_mode, **sums, problem=problem, asked=algorithm, dtype=dtype,
    )  # fmt: skip
    return with_algorithms(operation, algorithm, weight, device)


def with_algorithms(operation, algorithm, weight, device):
    """The operation with the algorithms for its blocks."""
    problem = operation.problem
    first, names = names_for(first_block(operation, device), algorithm, known_weight(operation, weight), device)
    exact = np.dtype(problem.dtype).kind in "iu" if problem.dtype != "bfloat16" else False
    return replace(operation, names=names, anywhere=exact or first.name in ANYWHERE)


def known_weight(operation, weight):
    """The weight of all blocks, if it is one, and known already."""
    return weight if isinstance(weight, np.ndarray) and operation.summed is None and operation.problem.groups == 1 else None


def first_block(operation, device):
    """The problem of the block that algorithms are chosen for: of full size."""
    problem = operation.problem
    ranges = tuple([(0, min(length, size)) for length, size in zip(operation.block, operation.shape)])
    one = operation.of_block(
        problem.groups if problem.groups == 1 else max(-(-ranges[-1 - problem.rank][1] // max(problem.out_channels, 1)), 1), operation.reads(ranges), ranges,
        operation.step or problem.in_channels, operation.dtype, problem.has_bias,
    )  # fmt: skip
    return gpu_problem(one, one.dtype, problem.allow_tf32) if device == "gpu" else one


def names_for(problem, algorithm, weight, device):
    """The row for a block's problem, and the names of those that compute blocks: the first of them that can."""
    first = select.choose(problem, algorithm, weight, device=device)
    others = sorted([v for v in select.verdicts(problem, device) if v.declined is None and v.algorithm is not first], key=lambda v: v.seconds)
    rest = [row.name for row in select.menu.CONV_ON[device]]
    return first, tuple(dict.fromkeys([first.name, *[v.algorithm.name for v in others], *rest]))

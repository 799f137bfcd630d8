"""Transposed convolutions of dask arrays: a part of a result is that of the samples which reach it, with what sticks out cut off."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ..arguments import as_array, check_cpu_dtype, flag
from ..devices import on_gpu
from ..problem import conv_transpose_problem, transposed_problem
from ..transpose import run_transposed
from . import blocks
from .arrays import check_no_out, operands
from .blocks import Grouped, Same, Spread, block_length
from .graph import Operation, build

block_problem = lru_cache(256)(transposed_problem)


@dataclass(frozen=True)
class Transposed(Operation):
    rank: int = 0
    batched: bool = True
    groups: int = 1
    stride: tuple = ()
    before: tuple = ()  # padding
    dilation: tuple = ()
    kernel: tuple = ()
    inputs: int = 1  # channels of a group
    algorithm: str = "auto"
    strict: bool = False
    max_workspace: int = 0
    allow_tf32: bool = False
    sums: str = ""  # the dtype that sums are kept in

    def run(self, region, reads, ranges, terms, weight, bias):
        rank = self.rank
        if self.summed is not None:
            weight, groups = weight[slice(*terms)], 1
            bias = bias if terms[0] == 0 else None
        else:
            channels, outputs = reads[-1 - rank], ranges[-1 - rank]
            groups = max((outputs[1] - outputs[0]) // max(weight.shape[1], 1), 1)
            weight, bias = weight[channels.start : channels.stop], None if bias is None else bias[slice(*outputs)]
        if self.sums != region.dtype:
            region, weight, bias = (None if each is None else each.astype(self.sums) for each in (region, weight, bias))
        # Output X of the whole is X + before - start*stride of the region's.
        pads = []
        for need, (low, high), s, before, d, k in zip(reads[-rank:], ranges[-rank:], self.stride, self.before, self.dilation, self.kernel):
            first = low + before - need.start * s
            pads.append((first, (need.stop - need.start - 1) * s + d * (k - 1) + 1 - first - (high - low)))
        gpu = on_gpu(region)
        region, weight = as_array("input", region, gpu=gpu), as_array("weight", weight, gpu=gpu)
        whole = block_problem(
            rank, region.shape, weight.shape, None if bias is None else bias.shape, self.sums, self.stride, tuple(pads), (0,) * rank, groups,
            self.dilation, self.strict, self.max_workspace,
        )  # fmt: skip
        if gpu:
            from ..gpu import transpose

            return (transpose.run_transposed(whole, rank, region, weight, bias, self.algorithm, self.allow_tf32, None),)
        return (run_transposed(whole, rank, region, weight, None if bias is None else as_array("bias", bias), self.algorithm, None),)

    def finish(self, total):
        return total.astype(self.dtypes[0], copy=False)


def convolve_transposed(
    rank, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
):
    """The transposed convolution that cyconv.conv_transpose1d, 2d and 3d document."""
    allow_tf32 = flag("allow_tf32", allow_tf32)
    check_no_out(out)
    input, weight, bias, device = operands(input, weight, bias)
    whole = conv_transpose_problem(rank, input, weight, bias, stride, padding, output_padding, groups, dilation, precision, max_workspace)
    if device == "cpu":
        check_cpu_dtype("input", whole.dtype)
    operation = operation_of(whole, rank, input.ndim == rank + 2, weight.shape, algorithm, allow_tf32, precision, max_workspace)
    return build(f"conv_transpose{rank}d", operation, input, weight, bias)[0]


def operation_of(whole, rank, batched, weight_shape, algorithm, allow_tf32, precision, max_workspace):
    """A transposed convolution of chunks, in blocks that depend on the whole problem alone; what algorithms do with a block does, too."""
    shape, lead = whole.output_shape, 2 if batched else 1
    spatial, inputs, outputs = shape[lead:], weight_shape[0] // whole.groups, weight_shape[1]
    spreads = [Spread(n, d * (k - 1) + 1, s, b) for n, k, s, d, b in zip(whole.size, whole.kernel, whole.stride, whole.dilation, whole.pad_before)]
    most = blocks.most_outputs(max(inputs, outputs), spatial, (1,) * rank)
    block = [block_length(length, most, each.span) for length, each in zip(spatial, spreads)]
    items = [blocks.items_of(max(inputs, outputs), spatial, spatial) if tuple(block) == spatial else 1] if batched else []
    together = max(1, min(whole.groups, blocks.CHANNELS // max(inputs, 1), blocks.OUTPUTS // max(prod(block), 1)))
    step = blocks.CHANNELS if whole.groups == 1 and inputs > blocks.CHANNELS else 0
    channels = shape[lead - 1] if whole.groups == 1 else together * outputs
    return Transposed(
        shape, (np.dtype(whole.dtype),), (*[Same()] * (lead - 1), Grouped(inputs, outputs), *spreads), (*items, channels, *block),
        np.dtype(whole.dtype).kind in "iu", **({"summed": lead - 1, "terms": inputs, "step": step} if step else {}),
        rank=rank, batched=batched, stride=whole.stride, before=whole.pad_before, dilation=whole.dilation, kernel=whole.kernel, inputs=inputs,
        algorithm=algorithm, strict=precision == "strict", max_workspace=int(max_workspace), allow_tf32=allow_tf32,
        sums="float32" if step and whole.dtype in ("float16", "bfloat16") else whole.dtype,
    )  # fmt: skip

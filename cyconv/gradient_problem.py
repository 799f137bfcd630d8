"""What the gradients of convolutions are, as plain convolutions: all their checks and shape arithmetic, as in problem.py.

With out[n,o,p] = sum over c, j of weight[o,c,j] * input[n,c, p*s + j*d - b], the gradient with respect to the

    input    is the transposed convolution of grad_output (conv_transpose_problem): the same weight, stride, dilation and
             padding, less the samples that the last window did not reach;
    weight   is  sum over n, p of grad_output[n,o,p] * input[n,c, p*s + j*d - b],  a convolution again: its batch are the
             input channels c, its input channels the batch n, its kernel is grad_output, its outputs are the taps j; stride
             and dilation change places.

A transposed convolution's are these two with the parts of input and grad_output exchanged.

As a product of matrices it may have so few results, of long sums, that several threads would find no work. Then the batch is cut into
slices, which are groups of the convolution, and their results are added up in order. How many there are is a function of the shapes alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from .arguments import GPU_ONLY, Described, dtype_name, integer, integers, one_of, plain_ints
from .problem import (
    CACHED,
    CONV_DTYPES,
    PADDING_MODES,
    PADDING_WORDS,
    PRECISIONS,
    ConvProblem,
    conv_transpose_problem,
    known_conv_problem,
    make_conv_problem,
    padding_pairs,
    transposed_problem,
)

LEAST_PRODUCTS = 4096  # of one sum of a slice
SHARES = 8  # pieces of work that a product of matrices had better fall into
PIXELS, CHANNELS = 448, 32  # of one piece, as implicit_gemm cuts it


@dataclass(frozen=True, slots=True)
class WeightGradient:
    """A weight gradient as a convolution of exchanged axes."""

    problem: ConvProblem
    sliced: ConvProblem  # each group several times, of so much less of the batch

    @property
    def slices(self):
        """Of the batch."""
        return self.sliced.groups // self.problem.groups

    @property
    def shape(self):
        """Of the gradient."""
        p = self.problem
        return (p.groups * p.out_channels, p.batch, *p.out_size[3 - p.rank :])


# ---- of a convolution ----------------------------------------------------------------------------------------------------


def conv_gradient_problem(
    rank, input_size, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, precision, max_workspace
):
    """The convolution itself, told by the shapes of its input and weight; grad_output must be like its result."""
    dtype = grad_output.dtype
    dtype_name("grad_output", dtype, CONV_DTYPES, GPU_ONLY)
    arguments = stride, padding, dilation, groups, padding_mode, precision, max_workspace
    if not all([type(each) in (int, str) or plain_ints(each) for each in arguments]):  # so that True is not found where 1 was
        arguments = (
            integers("stride", stride, rank, 1),
            one_of("padding", padding, PADDING_WORDS) if isinstance(padding, str) else padding_pairs(padding, rank),
            integers("dilation", dilation, rank, 1),
            integer("groups", groups, 1),
            one_of("padding_mode", padding_mode, PADDING_MODES),
            one_of("precision", precision, PRECISIONS),
            integer("max_workspace", max_workspace, 0),
        )
    for name, size, allowed in (("input_size", input_size, (rank + 1, rank + 2)), ("weight_size", weight_size, (rank + 2,))):
        if len(size) not in allowed:
            raise ValueError(f"{name} must have {' or '.join(map(str, allowed))} numbers for {rank} spatial axes, got {size}")
    problem = known_conv_problem(rank, input_size, weight_size, None, dtype, dtype, None, *arguments)
    check_gradient(grad_output, problem.output_shape)
    return problem


def check_gradient(grad_output, shape):
    if grad_output.shape != shape:
        raise ValueError(f"grad_output must have the result's shape {shape}, got {grad_output.shape}")


def input_gradient(problem):
    """The transposed convolution that is the gradient with respect to the input; beyond borders that are not zeros, to the padded input."""
    p, first = problem, 3 - problem.rank
    whole = p.padding_mode != "zeros"
    axes = zip(p.size, p.span, p.stride, p.pad_before, p.pad_after, p.out_size)
    # what the last window does not reach is no padding of the result
    reached = [(before + n + after, (m - 1) * s + span) for n, span, s, before, after, m in axes]
    padding = [
        (0 if whole else before, (0 if whole else after) - (length - end)) for (length, end), before, after in zip(reached, p.pad_before, p.pad_after)
    ]
    return transposed_problem(
        p.rank, p.output_shape, p.weight_shape, None, p.dtype, p.stride[first:], tuple(padding[first:]), (0,) * p.rank, p.groups,
        p.dilation[first:], p.strict, p.max_workspace,
    )  # fmt: skip


@lru_cache(CACHED)
def weight_gradient(problem):
    """Of the convolution `problem` with respect to its weight."""
    p = problem
    return _weight_gradient(
        p.rank, p.dtype, p.batch, p.groups, p.in_channels, p.out_channels, p.size, p.out_size, p.dilation, p.stride,
        p.pad_before, p.padding_mode, p.kernel, p.strict, p.max_workspace,
    )  # fmt: skip


# ---- of a transposed convolution -----------------------------------------------------------------------------------------


def conv_transpose_gradient_problem(
    rank, input_size, weight_size, grad_output, stride, padding, output_padding, groups, dilation, precision, max_workspace
):
    """(the convolution that is the input's gradient, and of the weight's a WeightGradient), of a transposed convolution."""
    dtype_name("grad_output", grad_output.dtype, CONV_DTYPES, GPU_ONLY)
    like = [Described(size, grad_output.dtype) for size in (input_size, weight_size)]
    whole = conv_transpose_problem(
        rank, *like, None, stride, padding, output_padding, groups, dilation, precision, max_workspace
    )
    check_gradient(grad_output, whole.output_shape)
    return _conv_transpose_gradients(
        rank, input_size, weight_size, whole.output_shape, whole.dtype, integers("stride", stride, rank, 1), padding_pairs(padding, rank, ()),
        groups, integers("dilation", dilation, rank, 1), precision == "strict", max_workspace,
    )  # fmt: skip


@lru_cache(CACHED)
def _conv_transpose_gradients(rank, input_size, weight_size, output_shape, dtype, stride, padding, groups, dilation, strict, max_workspace):
    batched = len(input_size) == rank + 2
    batch = input_size[0] if batched else 1
    kernel, size, out_size = weight_size[2:], output_shape[-rank:], input_size[-rank:]
    in_channels, out_channels = weight_size[1], weight_size[0] // groups
    before = [b for b, _ in padding]
    after = _padding_after(out_size, stride, kernel, dilation, size, before)
    gradient = make_conv_problem(
        rank, batched, dtype, batch, groups, in_channels, out_channels, size, kernel, stride, dilation, before, after, "zeros", out_size,
        False, strict, max_workspace,
    )  # fmt: skip
    return gradient, _weight_gradient(
        rank, dtype, batch, groups, in_channels, out_channels, gradient.size, gradient.out_size, gradient.dilation,
        gradient.stride, gradient.pad_before, "zeros", gradient.kernel, strict, max_workspace,
    )  # fmt: skip


# ---- what both share -----------------------------------------------------------------------------------------------------


def _padding_after(out_size, stride, kernel, dilation, size, before):
    """What the last windows read beyond the input; negative where they end before it does."""
    values = zip(out_size, stride, kernel, dilation, size, before)
    return [(m - 1) * s + d * (k - 1) + 1 - n - b for m, s, k, d, n, b in values]


def _weight_gradient(
    rank, dtype, batch, groups, in_channels, out_channels, size, kernel, stride, dilation, before, mode, out_size, strict, max_workspace
):
    first = 3 - rank
    after = _padding_after(out_size, stride, kernel, dilation, size, before)

    def cut(slices):
        return make_conv_problem(
            rank, True, "float32" if dtype in ("float16", "bfloat16") else dtype, in_channels, groups * slices, batch // slices, out_channels,
            size[first:], kernel[first:], stride[first:], dilation[first:], before[first:], after[first:], mode, out_size[first:],
            False, strict, max_workspace,
        )  # fmt: skip

    pieces = -(-in_channels * prod(out_size) // PIXELS) * -(-out_channels // CHANNELS)
    slices = _slices(batch, prod(kernel), pieces) if groups == 1 and pieces else 1
    return WeightGradient(cut(1), cut(slices))


def _slices(batch, outputs, pieces):
    """The largest divisor of the batch that is no more than there is work for."""
    wanted = min(-(-SHARES // pieces), batch * outputs // LEAST_PRODUCTS)
    return max((count for count in range(1, wanted + 1) if batch % count == 0), default=1)

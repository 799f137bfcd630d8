"""What is to be pooled, as frozen, hashable, array-free values: all validation and all shape arithmetic of pooling.

A PoolProblem has three spatial axes (z, y, x); one- and two-dimensional pools get unit axes in front. Along each axis,
with kernel k, dilation d, stride s, and b and a samples of padding before and after n,

    out = (b + n + a - (d*(k - 1) + 1)) // s + 1          rounded up with ceil_mode, but never so far that the last
                                                          window starts beyond the input and its left padding

and window o covers the samples o*s + j*d - b that exist. Of an adaptive axis, window o covers the samples from
o*n // out up to, not including, ceil((o + 1)*n / out).
"""

from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import isnan, prod

import numpy as np

from .arguments import (
    COMPLEX,
    FLOATS,
    GPU_ONLY,
    INTEGERS,
    SIZE_LIMIT,
    check_bytes,
    dtype_name,
    flag,
    integer,
    integers,
    one_of,
    shown,
)
from .problem import CACHED, check_input_shape, padding_pairs, resolve_padding

MAX_DTYPES = FLOATS + INTEGERS + ("bool",)
AVERAGE_DTYPES = FLOATS + COMPLEX + INTEGERS
LP_DTYPES = FLOATS
PADDING_WORDS = ("valid", "same_upper", "same_lower")
BORDERS = ("reflect", "constant", "nearest", "mirror", "wrap")  # scipy.ndimage's words


@dataclass(frozen=True, slots=True)
class PoolProblem:
    """One pooling: out[n,c,o] = maximum, minimum, average or p-norm of input[n,c,window(o)], axes in the order z, y, x."""

    kind: str  # "max", "min", "average" or "lp"
    rank: int  # spatial axes of the caller's arrays: 1, 2 or 3
    batched: bool  # whether the caller's input has a batch axis
    dtype: str  # of input and result
    batch: int
    channels: int
    size: tuple  # of the input, (z, y, x), as are all tuples below
    kernel: tuple  # of an adaptive axis: the longest window
    stride: tuple
    dilation: tuple
    pad_before: tuple
    pad_after: tuple
    adaptive: tuple  # of bools; an axis whose windows are all alike is not adaptive, however it was asked for
    out_size: tuple
    steps: int  # elementary ones of the kernel: it combines whole rows first, then columns, but for indices looks at every tap
    with_indices: bool = False
    count_include_pad: bool = False
    divisor_override: int | None = None
    norm_type: float = 0.0
    border: tuple = ("", "", "")  # what lies beyond each axis: "" nothing that counts, or a name of BORDERS
    cval: float = 0  # what does with "constant"
    kept: dict = field(default_factory=dict, compare=False, repr=False)  # what others have worked out about it

    def __reduce__(self):
        """To another process goes what it is, and nothing that somebody remembers about it."""
        return PoolProblem, tuple([getattr(self, each.name) for each in fields(self) if each.compare])

    @property
    def planes(self):
        return self.batch * self.channels

    @property
    def outputs(self):
        """Output elements."""
        return self.planes * prod(self.out_size)

    @property
    def input_shape(self):
        return self._shape(self.size)

    @property
    def output_shape(self):
        return self._shape(self.out_size)

    def _shape(self, size):
        return (*((self.batch,) if self.batched else ()), self.channels, *size[3 - self.rank :])

    def __str__(self):
        def axes(values):
            return "x".join(map(str, values[3 - self.rank :]))

        extra = [f" stride {axes(self.stride)}"] if max(self.stride) > 1 else []
        extra += [f" dilation {axes(self.dilation)}"] if max(self.dilation) > 1 else []
        pads = [f"{b}+{a}" if b != a else f"{b}" for b, a in zip(self.pad_before, self.pad_after)]
        extra += [f" padding {axes(pads)}"] if any(self.pad_before + self.pad_after) else []
        extra += [" adaptive"] if any(self.adaptive) else []
        extra += [" with indices"] if self.with_indices else []
        return (
            f"{self.kind} pool {self.batch}x{self.channels}x{axes(self.size)} -> {axes(self.out_size)}, "
            f"kernel {axes(self.kernel)}{''.join(extra)}, {self.dtype}"
        )


# ---- windows of one size -------------------------------------------------------------------------------------------------


def max_pool_problem(rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, kind="max"):
    """Checks the arguments of max or min pooling of an array (only its shape and dtype are looked at)."""
    kernel = integers("kernel_size", kernel_size, rank, 1)
    return _pool_problem(
        kind, f"{kind}_pool{rank}d", rank, input.shape, dtype_name("input", input.dtype, MAX_DTYPES, GPU_ONLY), kernel,
        pool_stride(stride, kernel), _padding(padding, rank), integers("dilation", dilation, rank, 1),
        flag("ceil_mode", ceil_mode), with_indices=flag("return_indices", return_indices),
    )  # fmt: skip


def avg_pool_problem(rank, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """Checks the arguments of average pooling."""
    dtype = dtype_name("input", input.dtype, AVERAGE_DTYPES, GPU_ONLY)
    kernel = integers("kernel_size", kernel_size, rank, 1)
    if divisor_override is not None:
        what = "a non-zero int or None"
        divisor_override = integer("divisor_override", divisor_override, -SIZE_LIMIT, what)
        if divisor_override == 0:
            raise ValueError(f"divisor_override must be {what}, got 0")
        if divisor_override < 0 and dtype.startswith("uint"):
            raise ValueError(f"divisor_override must be positive for an input of dtype {dtype}, got {divisor_override}")
    return _pool_problem(
        "average", f"avg_pool{rank}d", rank, input.shape, dtype, kernel, pool_stride(stride, kernel),
        _padding(padding, rank), (1,) * rank, flag("ceil_mode", ceil_mode),
        count_include_pad=flag("count_include_pad", count_include_pad), divisor_override=divisor_override,
    )  # fmt: skip


def lp_pool_problem(rank, input, norm_type, kernel_size, stride, ceil_mode):
    """Checks the arguments of power-average pooling."""
    kernel = integers("kernel_size", kernel_size, rank, 1)
    if isinstance(norm_type, (bool, np.bool_)) or not isinstance(norm_type, (int, float, np.integer, np.floating)):
        raise TypeError(f"norm_type must be a real number other than 0, got {shown(norm_type)}")
    try:
        norm = float(norm_type)
    except OverflowError:
        raise ValueError(f"norm_type must be a number that a float can hold, got {shown(norm_type)}") from None
    if norm == 0 or isnan(norm):
        raise ValueError(f"norm_type must be a real number other than 0, got {norm_type}")
    return _pool_problem(
        "lp", f"lp_pool{rank}d", rank, input.shape, dtype_name("input", input.dtype, LP_DTYPES, GPU_ONLY), kernel, pool_stride(stride, kernel),
        0, (1,) * rank, flag("ceil_mode", ceil_mode), norm_type=norm,
    )  # fmt: skip


def pool_stride(stride, kernel):
    return kernel if stride is None else integers("stride", stride, len(kernel), 1)


def _padding(padding, rank):
    """An int, a word, or pairs; what is left to check depends on the sizes."""
    if type(padding) is int:
        return padding
    return one_of("padding", padding, PADDING_WORDS) if isinstance(padding, str) else padding_pairs(padding, rank, PADDING_WORDS)


@lru_cache(CACHED)
def _pool_problem(kind, name, rank, shape, dtype, kernel, stride, padding, dilation, ceil_mode, **options):
    batched, batch, channels, size = check_input_shape(name, rank, shape, least=1)
    pairs = resolve_padding(padding, rank, size, kernel, stride, dilation, PADDING_WORDS)
    out_size = []
    for axis, (n, k, s, (before, after), d) in enumerate(zip(size, kernel, stride, pairs, dilation)):
        # The words may pad dilated windows with more, since half of what these cover is more.
        most = max(before, after)
        if most > k // 2 and not isinstance(padding, str):
            raise ValueError(f"padding must be at most half the kernel_size; got padding {most} with kernel_size {k} along spatial axis {axis}")
        out_size.append(count_windows(axis, n, k, s, before, after, d, ceil_mode))
    return make_pool_problem(
        kind, rank, batched, dtype, batch, channels, size, kernel,
        [s if o > 1 else 1 for s, o in zip(stride, out_size)],
        [d if k > 1 else 1 for d, k in zip(dilation, kernel)],
        [before for before, _ in pairs], [after for _, after in pairs], (False,) * rank, out_size, **options,
    )  # fmt: skip


def count_windows(axis, n, k, s, before, after, d, ceil_mode):
    """How many windows an axis has; each of them must hold a sample."""
    span, padded = d * (k - 1) + 1, n + before + after
    padding = f"padding {before}" if before == after else f"padding {before} and {after}"
    if span + padded >= SIZE_LIMIT:
        raise ValueError(f"kernel_size {k} with dilation {d} and {padding} makes spatial axis {axis} longer than 2**62")
    rest = padded - span
    out = -(-rest // s) + 1 if ceil_mode else rest // s + 1
    if ceil_mode and (out - 1) * s >= n + before:
        out -= 1
    if out < 1:
        raise ValueError(
            f"kernel_size is larger than the padded input along spatial axis {axis}: kernel_size {k} with dilation {d} covers {span}, "
            f"the padded input has {padded} (size {n}, {padding}), so that no window fits"
        )
    # Only a dilated window can have all its samples in the padding: it begins in the left one and steps over the input.
    # The hole is longer than the input then, so that only the first windows, those that begin in the padding, can do so.
    if d > n:
        start = -before
        while start <= min(-1, (out - 1) * s - before):
            first = start % d  # where the tap lies that is the first one beyond the left padding
            if first >= n:
                raise ValueError(
                    f"kernel_size {k} with dilation {d} and {padding} leaves a window that holds no sample of spatial axis {axis}, "
                    f"whose size is {n}"
                )
            start += -(-(n - first) // s) * s  # the next window for which that tap is no longer a sample
    return out


# ---- adaptive windows ----------------------------------------------------------------------------------------------------


def adaptive_pool_problem(rank, input, kind, output_size, return_indices=False):
    """Checks the arguments of adaptive pooling: `kind` "max" or "average"."""
    name = f"adaptive_{'max' if kind == 'max' else 'avg'}_pool{rank}d"
    dtype = dtype_name("input", input.dtype, MAX_DTYPES if kind == "max" else AVERAGE_DTYPES, GPU_ONLY)
    what = f"an int, None, or a tuple of {rank} of them" if rank > 1 else "an int, None, or a tuple of one of them"
    lengths = output_size if isinstance(output_size, (tuple, list)) or isinstance(output_size, np.ndarray) and output_size.ndim else (output_size,) * rank
    if len(lengths) == 1:
        lengths = tuple(lengths) * rank
    if len(lengths) != rank:
        raise ValueError(f"output_size must be {what}, got {len(lengths)} values: {shown(output_size)}")
    lengths = tuple(length if length is None else integer("output_size", length, 0, what) for length in lengths)
    return _adaptive_problem(kind, name, rank, input.shape, dtype, lengths, flag("return_indices", return_indices))


@lru_cache(CACHED)
def _adaptive_problem(kind, name, rank, shape, dtype, lengths, with_indices):
    batched, batch, channels, size = check_input_shape(name, rank, shape, least=1)
    if max(size) >= SIZE_LIMIT // 2:
        raise ValueError(f"input of {name} must have no spatial axis of 2**61 samples or more, got shape {shape}")
    out_size = [n if length is None else length for n, length in zip(size, lengths)]
    adaptive = [o > 0 and n % o != 0 for n, o in zip(size, out_size)]
    # ceil((o + 1)*n / out) - o*n // out is at most ceil(n / out) + 1
    kernel = [min(n, -(-n // max(o, 1)) + a) for n, o, a in zip(size, out_size, adaptive)]
    stride = [k if o > 1 and not a else 1 for k, o, a in zip(kernel, out_size, adaptive)]
    return make_pool_problem(
        kind, rank, batched, dtype, batch, channels, size, kernel, stride, (1,) * rank, (0,) * rank, (0,) * rank, adaptive,
        out_size, with_indices=with_indices,
    )  # fmt: skip


def make_pool_problem(
    kind, rank, batched, dtype, batch, channels, size, kernel, stride, dilation, pad_before, pad_after, adaptive, out_size,
    **options,
):  # fmt: skip
    ones, zeros = (1,) * (3 - rank), (0,) * (3 - rank)
    z, y, x = ones + tuple(min(k, n) for k, n in zip(kernel, size))
    taps = z * y * x if options.get("with_indices") else z * y * min(stride[-1], x) + x
    problem = PoolProblem(
        kind, rank, batched, dtype, batch, channels,
        ones + tuple(size), ones + tuple(kernel), ones + tuple(stride), ones + tuple(dilation),
        zeros + tuple(pad_before), zeros + tuple(pad_after), (False,) * (3 - rank) + tuple(adaptive), ones + tuple(out_size),
        batch * channels * prod(out_size) * taps, **options,
    )  # fmt: skip
    check_bytes(problem.output_shape, np.dtype(dtype).itemsize, "the result")
    if problem.with_indices:
        check_bytes(problem.output_shape, 8, "the indices")
    return problem

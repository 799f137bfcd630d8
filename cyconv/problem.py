"""What is to be computed, as frozen, hashable, array-free values: all validation and all shape arithmetic stand here.

A ConvProblem has three spatial axes (z, y, x); one- and two-dimensional convolutions get unit axes in front. Every
algorithm sees this canonical form and nothing else, so none of them repeats a check. All arithmetic is done in Python
integers, and a size that cannot exist raises before anything is allocated.

Along each axis, with kernel k, dilation d, stride s, and b and a zeros before and after n samples,

    out = (b + n + a - (d*(k - 1) + 1)) // s + 1

and output o, tap j reads sample o*s + j*d - b. Negative b or a (only transposed convolution makes them) crop.
"""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import product
from math import gcd, prod

import numpy as np

from .arguments import (
    COMPLEX,
    FLOATS,
    GPU_ONLY,
    INTEGERS,
    SIZE_LIMIT,
    check_bytes,
    dtype_name,
    integer,
    integers,
    one_of,
    plain_ints,
    shown,
)

CONV_DTYPES = FLOATS + COMPLEX + INTEGERS
GPU_DTYPES = CONV_DTYPES + GPU_ONLY
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
PADDING_WORDS = ("valid", "same", "same_upper", "same_lower", "full")
PRECISIONS = ("default", "strict")
MAX_WORKSPACE = 256 * 2**20
COLUMN_SAMPLES, COLUMN_CHANNELS = 512, 32  # of a transposed convolution that may be worth columns
CACHED = 1024  # problems remembered; a bound, so that a million different shapes leave nothing behind


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """One cross-correlation: out[n,g,o] = bias[g,o] + sum over c, i, j, k of weight * input, axes in the order z, y, x."""

    rank: int  # spatial axes of the caller's arrays: 1, 2 or 3
    batched: bool  # whether the caller's input has a batch axis
    dtype: str  # of input, weight, bias and result
    batch: int
    groups: int
    in_channels: int  # of one group
    out_channels: int  # of one group
    size: tuple  # of the input, (z, y, x), as are all tuples below
    kernel: tuple
    stride: tuple
    dilation: tuple
    pad_before: tuple
    pad_after: tuple
    padding_mode: str
    out_size: tuple
    has_bias: bool
    strict: bool  # leave out algorithms whose error bound is above the direct sum's
    max_workspace: int  # bytes
    allow_tf32: bool = False  # of float32 on a GPU: whether factors may be rounded to 10 bits

    # What follows from the above, worked out once: a small convolution is mostly its own bookkeeping.
    taps: int = field(init=False, compare=False, repr=False)
    products: int = field(init=False, compare=False, repr=False)  # summed for one output element
    outputs: int = field(init=False, compare=False, repr=False)  # output elements
    multiply_adds: int = field(init=False, compare=False, repr=False)
    input_shape: tuple = field(init=False, compare=False, repr=False)
    weight_shape: tuple = field(init=False, compare=False, repr=False)
    output_shape: tuple = field(init=False, compare=False, repr=False)
    kept: dict = field(init=False, compare=False, repr=False)  # what the front end and the algorithms remember about it
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self):
        def derive(name, value):
            object.__setattr__(self, name, value)

        taps = prod(self.kernel)
        channels = self.groups * self.out_channels
        derive("taps", taps)
        derive("products", self.in_channels * taps)
        derive("outputs", self.batch * channels * prod(self.out_size))
        derive("multiply_adds", self.outputs * self.products)
        derive("input_shape", self._shape(self.groups * self.in_channels, self.size))
        derive("weight_shape", (channels, self.in_channels, *self.kernel[3 - self.rank :]))
        derive("output_shape", self._shape(channels, self.out_size))
        derive("kept", {})
        derive("_hash", hash(tuple([getattr(self, each.name) for each in fields(self) if each.compare])))

    def __hash__(self):
        return self._hash

    def __reduce__(self):
        """To another process goes what it is, and nothing that somebody remembers about it."""
        return ConvProblem, tuple([getattr(self, each.name) for each in fields(self) if each.init])

    @property
    def span(self):
        """Samples that a window covers along each axis, holes included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    def _shape(self, channels, size):
        return (*((self.batch,) if self.batched else ()), channels, *size[3 - self.rank :])

    def __str__(self):
        def axes(values):
            return "x".join(map(str, values[3 - self.rank :]))

        extra = [f" stride {axes(self.stride)}"] if max(self.stride) > 1 else []
        extra += [f" dilation {axes(self.dilation)}"] if max(self.dilation) > 1 else []
        extra += [f" groups {self.groups}"] if self.groups > 1 else []
        pads = [f"{b}+{a}" if b != a else f"{b}" for b, a in zip(self.pad_before, self.pad_after)]
        extra += [f" padding {'x'.join(pads[3 - self.rank :])}"] if any(self.pad_before + self.pad_after) else []
        extra += [f" ({self.padding_mode})"] if self.padding_mode != "zeros" else []
        return (
            f"{self.batch}x{self.groups * self.in_channels}x{axes(self.size)} -> "
            f"{self.groups * self.out_channels}x{axes(self.out_size)}, kernel {axes(self.kernel)}{''.join(extra)}, {self.dtype}"
        )


# ---- dense convolution -------------------------------------------------------------------------------------------------


def conv_problem(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
):
    """Checks the arguments of a convolution of arrays (only their shapes and dtypes are looked at)."""
    # Only plain ints, words and tuples of ints are left, so that what is remembered cannot be found by True or 1.0.
    if isinstance(padding, str):
        padding = one_of("padding", padding, PADDING_WORDS)
    elif type(padding) is not int and not plain_ints(padding):
        padding = padding_pairs(padding, rank)
    stride, dilation = integers("stride", stride, rank, 1), integers("dilation", dilation, rank, 1)
    groups, max_workspace = integer("groups", groups, 1), integer("max_workspace", max_workspace, 0)
    padding_mode, precision = one_of("padding_mode", padding_mode, PADDING_MODES), one_of("precision", precision, PRECISIONS)
    return known_conv_problem(
        rank, input.shape, weight.shape, None if bias is None else bias.shape,
        input.dtype, weight.dtype, None if bias is None else bias.dtype,
        stride, padding, dilation, groups, padding_mode, precision, max_workspace,
    )  # fmt: skip


def check_same_dtype(dtype, weight, bias):
    """Compares dtypes; `bias` may be None."""
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and other != dtype:
            raise TypeError(f"input, weight and bias must have the same dtype; input has {dtype}, {name} has {other}")


@lru_cache(CACHED)
def known_conv_problem(
    rank, input_shape, weight_shape, bias_shape, dtype, weight_dtype, bias_dtype, stride, padding, dilation, groups, mode,
    precision, max_workspace,
):  # fmt: skip
    """The same from shapes, dtypes and arguments that are plain ints, words and tuples of ints; looked up if it was met before."""
    dtype = dtype_name("input", dtype, CONV_DTYPES, GPU_ONLY)
    check_same_dtype(dtype, weight_dtype, bias_dtype)
    stride, dilation = integers("stride", stride, rank, 1), integers("dilation", dilation, rank, 1)
    integer("groups", groups, 1)
    integer("max_workspace", max_workspace, 0)
    one_of("padding_mode", mode, PADDING_MODES)
    strict = one_of("precision", precision, PRECISIONS) == "strict"
    batched, batch, channels, size = check_input_shape(f"conv{rank}d", rank, input_shape)
    check_weight_shape(rank, weight_shape, "(out_channels, in_channels / groups, ...)")
    out_channels, in_channels, *kernel = weight_shape
    if in_channels * groups != channels:
        raise ValueError(
            f"weight of shape {weight_shape} with groups={groups} is for an input of {in_channels * groups} channels; "
            f"input of shape {input_shape} has {channels}"
        )
    if out_channels % groups:
        raise ValueError(f"groups={groups} must divide the weight's {out_channels} output channels")
    check_bias_shape(bias_shape, out_channels)
    pairs = resolve_padding(padding, rank, size, kernel, stride, dilation)
    out_size = []
    for axis, (n, k, s, d, (before, after)) in enumerate(zip(size, kernel, stride, dilation, pairs)):
        _check_mode(mode, n, before, after, axis)
        span, padded = d * (k - 1) + 1, n + before + after
        if span > padded:
            raise ValueError(
                f"kernel is larger than the padded input along spatial axis {axis}: kernel {k} with dilation {d} covers {span}, "
                f"the padded input has {padded} (size {n}, padding {before} and {after})"
            )
        if padded >= SIZE_LIMIT:
            raise ValueError(f"padding {before} and {after} makes spatial axis {axis} longer than 2**62")
        out_size.append((padded - span) // s + 1)
    return make_conv_problem(
        rank, batched, dtype, batch, groups, in_channels, out_channels // groups, size, kernel, stride, dilation,
        [b for b, _ in pairs], [a for _, a in pairs], mode, out_size, bias_shape is not None, strict, max_workspace,
    )  # fmt: skip


def make_conv_problem(
    rank, batched, dtype, batch, groups, in_channels, out_channels, size, kernel, stride, dilation,
    pad_before, pad_after, mode, out_size, has_bias, strict, max_workspace,
):  # fmt: skip
    """A ConvProblem from checked values of `rank` axes: what cannot matter is set to 1, so that equal problems are equal."""
    front = (1,) * (3 - rank)
    zero = (0,) * (3 - rank)
    problem = ConvProblem(
        rank, batched, dtype, batch, groups, in_channels, out_channels,
        front + tuple(size),
        front + tuple(kernel),
        front + tuple(s if o > 1 else 1 for s, o in zip(stride, out_size)),
        front + tuple(d if k > 1 else 1 for d, k in zip(dilation, kernel)),
        zero + tuple(pad_before),
        zero + tuple(pad_after),
        mode if any(pad_before) or any(pad_after) else "zeros",
        front + tuple(out_size),
        has_bias, strict, max_workspace,
    )  # fmt: skip
    check_bytes(problem.output_shape, np.dtype(dtype).itemsize, "the result")
    return problem


def check_input_shape(name, rank, shape, least=0):
    """(batched, batch, channels, size) of an input of `rank` spatial axes, with or without a batch axis."""
    if len(shape) not in (rank + 1, rank + 2):
        axes = ", ".join(("D", "H", "W")[3 - rank :]) if rank > 1 else "L"
        raise ValueError(f"input of {name} must have shape (N, C, {axes}) or (C, {axes}), got {shape}")
    batched = len(shape) == rank + 2
    *batch, channels = shape[: len(shape) - rank]
    size = shape[len(shape) - rank :]
    if min(size) < least:
        raise ValueError(f"input of {name} must have no spatial axis shorter than {least}, got shape {shape}")
    return batched, batch[0] if batched else 1, channels, size


def check_weight_shape(rank, shape, meaning):
    if len(shape) != rank + 2:
        raise ValueError(f"weight must have {rank + 2} axes, {meaning}, got shape {shape}")
    if 0 in shape[2:]:
        raise ValueError(f"weight must have no spatial axis of length 0, got shape {shape}")


def spatial_rank(weight):
    """Spatial axes, told by the weight."""
    if not 3 <= weight.ndim <= 5:
        raise ValueError(f"weight must have 3, 4 or 5 axes (1 to 3 spatial ones), got shape {weight.shape}")
    return weight.ndim - 2


def check_bias_shape(shape, out_channels):
    if shape is not None and shape != (out_channels,):
        raise ValueError(f"bias must have shape ({out_channels},), one value per output channel; got {shape}")


def padding_pairs(padding, rank, words=PADDING_WORDS):
    """A padding that is neither an int nor a word, as a tuple of `rank` (before, after) pairs."""
    what = f"an int, {rank} ints, {rank} (before, after) pairs" + f", or one of {', '.join(map(repr, words))}" * bool(words)
    if not isinstance(padding, (tuple, list, np.ndarray)):
        return ((integer("padding", padding, 0, what),) * 2,) * rank
    if isinstance(padding, np.ndarray):
        padding = padding.tolist()
        if not isinstance(padding, list):
            return ((integer("padding", padding, 0, what),) * 2,) * rank
    items = list(padding)
    if len(items) == 1:
        items *= rank
    if len(items) != rank:
        raise ValueError(f"padding must be {what}; got {shown(padding)}")
    pairs = []
    for item in items:
        pair = tuple(item) if isinstance(item, (tuple, list, np.ndarray)) else (item, item)
        if len(pair) != 2:
            raise ValueError(f"padding must be {what}; got {shown(padding)}")
        pairs.append(tuple(integer("padding", side, 0, what) for side in pair))
    return tuple(pairs)


def resolve_padding(padding, rank, size, kernel, stride, dilation, words=PADDING_WORDS):
    """(before, after) of each axis. 'same_upper' and 'same_lower' are the rules of TensorFlow and ONNX."""
    if isinstance(padding, tuple):
        return padding_pairs(padding, rank, words)
    if isinstance(padding, int):
        return ((integer("padding", padding, 0),) * 2,) * rank
    one_of("padding", padding, words)
    if padding == "same" and max(stride) > 1:
        raise ValueError(f"padding='same' needs stride 1, got stride {stride}; with strides there are 'same_upper' and 'same_lower'")
    pairs = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        rest = d * (k - 1)
        if padding == "full":
            pairs.append((rest, rest))
        elif padding == "valid":
            pairs.append((0, 0))
        else:
            total = max((-(-n // s) - 1) * s + rest + 1 - n, 0)
            less, more = total // 2, total - total // 2
            pairs.append((more, less) if padding == "same_lower" else (less, more))
    return tuple(pairs)


def _check_mode(mode, n, before, after, axis):
    """The modes read each sample at most once per border, as torch.nn.functional.pad does."""
    most = {"zeros": None, "replicate": None, "reflect": n - 1, "circular": n}[mode]
    if most is not None and max(before, after) > max(most, 0):
        raise ValueError(
            f"padding {max(before, after)} is too large for padding_mode={mode!r} along spatial axis {axis} of size {n}: at most {max(most, 0)}"
        )
    if mode == "replicate" and n == 0 and (before or after):
        raise ValueError(f"padding_mode='replicate' has nothing to repeat along spatial axis {axis}, whose size is 0")


@lru_cache(CACHED)
def gpu_problem(problem, dtype, allow_tf32):
    """The problem as it is computed on a GPU: in its own dtype, where that is a half type, and with TF32 where that is allowed."""
    allow_tf32 = allow_tf32 and dtype == "float32"
    return problem if (dtype, allow_tf32) == (problem.dtype, False) else replace(problem, dtype=dtype, allow_tf32=allow_tf32)


# ---- transposed convolution --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Phase:
    """Those outputs of a transposed convolution whose position has one remainder modulo the stride: a plain convolution."""

    out: tuple  # a slice per axis of the caller's output
    taps: tuple  # a slice per axis of the weight, flipped as a correlation needs it
    problem: ConvProblem


@dataclass(frozen=True, slots=True)
class TransposedProblem:
    """A transposed convolution, cut into phases."""

    output_shape: tuple
    groups: int
    stride: tuple  # of `rank` axes
    dtype: str
    phases: tuple  # those that a tap reaches
    everywhere: bool  # whether these are all outputs
    columns: ConvProblem | None  # of few samples by many weights: of the weights as a signal, one output channel for each sample
    size: tuple  # of the input, as are those below of `rank` axes
    kernel: tuple
    dilation: tuple
    pad_before: tuple


def conv_transpose_problem(
    rank, input, weight, bias, stride, padding, output_padding, groups, dilation, precision, max_workspace
):
    """Checks the arguments of a transposed convolution and cuts it into plain ones.

    Output X gets w[j]*x[i] wherever i*s + j*d - p == X, p being the padding before. So the outputs X = r (mod s) meet only the taps with
    j*d = r + p (mod s), every t-th one, t = s/gcd(s, d); and as i falls by e = d/gcd(s, d) from one of them to the
    next, they are the correlation, with dilation e and stride 1, of x with those taps in reverse order.
    """
    dtype = dtype_name("input", input.dtype, CONV_DTYPES, GPU_ONLY)
    check_same_dtype(dtype, weight.dtype, None if bias is None else bias.dtype)
    stride = integers("stride", stride, rank, 1)
    return transposed_problem(
        rank,
        input.shape,
        weight.shape,
        None if bias is None else bias.shape,
        dtype,
        stride,
        padding_pairs(padding, rank, ()),
        integers("output_padding", output_padding, rank, 0),
        integer("groups", groups, 1),
        integers("dilation", dilation, rank, 1),
        one_of("precision", precision, PRECISIONS) == "strict",
        integer("max_workspace", max_workspace, 0),
    )


def transposed_problem(rank, input_shape, weight_shape, bias_shape, dtype, stride, padding, *others):
    """The same from checked arguments; a negative padding adds outputs that no tap reaches, or few."""
    few = prod(min(k, s) for k, s in zip(weight_shape[2:], stride)) <= 64  # phases; more of them would fill the memory
    make = _remembered_transpose if few else _conv_transpose_problem
    return make(rank, input_shape, weight_shape, bias_shape, dtype, stride, padding, *others)


def _conv_transpose_problem(
    rank, input_shape, weight_shape, bias_shape, dtype, stride, padding, output_padding, groups, dilation, strict, max_workspace
):
    name = f"conv_transpose{rank}d"
    batched, batch, channels, size = check_input_shape(name, rank, input_shape, least=1)
    check_weight_shape(rank, weight_shape, "(in_channels, out_channels / groups, ...)")
    in_channels, out_channels, *kernel = weight_shape
    if in_channels != channels:
        raise ValueError(f"weight of shape {weight_shape} is for an input of {in_channels} channels; input of shape {input_shape} has {channels}")
    if in_channels % groups:
        raise ValueError(f"groups={groups} must divide the input's {in_channels} channels")
    check_bias_shape(bias_shape, out_channels * groups)
    out_size = []
    for axis, (n, k, s, p, extra, d) in enumerate(zip(size, kernel, stride, padding, output_padding, dilation)):
        if extra >= max(s, d):
            raise ValueError(f"output_padding must be smaller than stride or dilation; got {extra} with stride {s} and dilation {d}")
        length = (n - 1) * s - sum(p) + d * (k - 1) + extra + 1
        if length < 1:
            raise ValueError(
                f"padding {p[0]} and {p[1]} leaves no output along spatial axis {axis}: its size would be {length} "
                f"(input {n}, kernel {k}, stride {s}, dilation {d}, output_padding {extra})"
            )
        if length + sum(p) >= SIZE_LIMIT:
            raise ValueError(f"spatial axis {axis} of the result would be longer than 2**62")
        out_size.append(length)
    shape = (*((batch,) if batched else ()), out_channels * groups, *out_size)
    check_bytes(shape, np.dtype(dtype).itemsize, "the result")

    def axis_phases(n, k, s, pair, d, length):
        divisor = gcd(s, d)
        step, spread = s // divisor, d // divisor
        for first in range(min(k, step)):
            r = (first * d - pair[0]) % s
            if r >= length:
                continue
            count = -(-(length - r) // s)
            taps = -(-(k - first) // step)
            last = first + (taps - 1) * step
            begin = (r + pair[0] - last * d) // s  # the sample under the first reversed tap of the phase's first output
            after = begin + count - 1 + (taps - 1) * spread + 1 - n
            yield slice(r, None, s), slice(last, first - 1 if first else None, -step), (taps, spread, -begin, after, count)

    phases = []
    choices = [list(axis_phases(*values)) for values in zip(size, kernel, stride, padding, dilation, out_size)]
    for combination in product(*choices):
        taps, spread, before, after, count = zip(*(item[2] for item in combination))
        phases.append(
            Phase(
                tuple(item[0] for item in combination),
                tuple(item[1] for item in combination),
                make_conv_problem(
                    rank, batched, dtype, batch, groups, in_channels // groups, out_channels, size, taps, (1,) * rank, spread,
                    before, after, "zeros", count, bias_shape is not None, strict, max_workspace,
                ),
            )
        )  # fmt: skip
    everywhere = len(phases) == prod(min(s, m) for s, m in zip(stride, out_size))
    columns = None
    few = batch * prod(size) <= COLUMN_SAMPLES and in_channels >= COLUMN_CHANNELS
    few = few and batch * prod(size) * out_channels * prod(kernel) * np.dtype(dtype).itemsize <= max_workspace / 2
    if few and groups == 1 and prod(kernel) > 1 and batch and out_channels and dtype in ("float32", "float64"):
        columns = make_conv_problem(
            1, True, dtype, 1, 1, in_channels, batch * prod(size), (out_channels * prod(kernel),), (1,), (1,), (1,), (0,), (0,), "zeros",
            (out_channels * prod(kernel),), False, strict, max_workspace,
        )  # fmt: skip
    return TransposedProblem(
        shape, groups, stride, dtype, tuple(phases), everywhere, columns, tuple(size), tuple(kernel), dilation, tuple(before for before, _ in padding)
    )


_remembered_transpose = lru_cache(CACHED)(_conv_transpose_problem)


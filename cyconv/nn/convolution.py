"""Convolution layers: cyconv.conv1d, conv_transpose1d and the like with weights, and their gradients from cyconv.grad.

The three of a kind share their code and their docstring; what differs is `_rank` and the functions.
"""

from math import lcm, prod

import numpy as np

from .. import grad, transpose
from ..arguments import as_array, flag, integer, integers, one_of, plain_ints, shown
from ..functional import convolution as functional
from ..functional.documentation import documented
from ..problem import (
    MAX_WORKSPACE,
    PADDING_MODES,
    PADDING_WORDS,
    PRECISIONS,
    conv_problem,
    conv_transpose_problem,
    padding_pairs,
)
from ..select import ALGORITHMS
from .initial import fill_uniform, layer_dtype
from .module import Module
from .parameter import Parameter
from .receptive import pads_of, reaching, windowed, windows

_SHARED = """
dtype : dtype, optional
    Of the parameters, and so of input and output: float16, float32 or float64; bfloat16 (of ml_dtypes),
    in which a layer computes once it is on a GPU.
seed : None, int or numpy.random.Generator, optional
    Of the initial values, see `reset_parameters`.
algorithm : str, optional
    As in `<function><rank>d`, of the forward; gradients choose their own.
precision : {'default', 'strict'}, optional
    As in `<function><rank>d`, also of the gradients.
max_workspace : int, optional
    The same: bytes of memory, beyond arguments and result. Default 256 MiB.
allow_tf32 : bool, optional
    The same: whether a GPU may round factors in float32 to 10 bits, also of the gradients.
"""

_CONV = """<rank>-d convolution with weights of its own, as torch.nn.Conv<rank>d: `conv<rank>d` as a layer.

    Input (N, in_channels, <axes>), or (in_channels, <axes>) without a batch; output (N, out_channels, <axes>) or
    (out_channels, <axes>), each axis as long as `conv<rank>d` says.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or tuple of int
        Taps along each axis.
    stride, padding, dilation, groups
        As in `conv<rank>d`: `padding` may also be a (before, after) pair per axis, or 'valid', 'same', 'same_upper', 'same_lower' or
        'full'.
    bias : bool, optional
        Whether there is one.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}, optional
        What the added samples are.
    <shared>

    Attributes
    ----------
    weight : Parameter
        (out_channels, in_channels / groups, <kernel>)
    bias : Parameter or None
        (out_channels,)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input has another number of channels or another dtype, or is too small.

    Examples
    --------
    <example>
"""

_TRANSPOSED = """<rank>-d transposed convolution with weights of its own, as torch.nn.ConvTranspose<rank>d.

    Input (N, in_channels, <axes>), or (in_channels, <axes>) without a batch; output (N, out_channels, <axes>) or
    (out_channels, <axes>), each axis as long as `conv_transpose<rank>d` says. ``layer(x, output_size=...)`` asks for other lengths in
    place of `output_padding`'s: those of the spatial axes, or the whole shape.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or tuple of int
        Taps along each axis.
    stride, padding, output_padding, groups, dilation
        As in `conv_transpose<rank>d`: `padding` may also be a (before, after) pair per axis.
    bias : bool, optional
        Whether there is one.
    padding_mode : str, optional
        'zeros'; there is no other.
    <shared>

    Attributes
    ----------
    weight : Parameter
        (in_channels, out_channels / groups, <kernel>)
    bias : Parameter or None
        (out_channels,)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input has another number of channels or another dtype, or there is no
        `output_size` like that.

    Examples
    --------
    <example>
"""


def _documented(template, function, rank, example):
    return documented(template, rank, shared=_SHARED.replace("<function>", function), example=example)


class _Layer(Module):
    """What plain and transposed convolutions have in common; `_weight_shape` and `_padding_words` are their own."""

    _parameters = ("weight", "bias")
    output_padding = None  # of transposed ones

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
        dtype, seed, algorithm, precision, max_workspace, allow_tf32,
    ):  # fmt: skip
        rank = self._rank
        self.in_channels, self.out_channels = integer("in_channels", in_channels, 1), integer("out_channels", out_channels, 1)
        self.kernel_size, self.stride = integers("kernel_size", kernel_size, rank, 1), integers("stride", stride, rank, 1)
        self.dilation, self.groups = integers("dilation", dilation, rank, 1), integer("groups", groups, 1)
        self.padding = _checked_padding(padding, rank, self._padding_words)
        self.padding_mode = one_of("padding_mode", padding_mode, PADDING_MODES)
        self.algorithm, self.precision = one_of("algorithm", algorithm, ("auto", *ALGORITHMS)), one_of("precision", precision, PRECISIONS)
        self.max_workspace, self.allow_tf32 = integer("max_workspace", max_workspace, 0), flag("allow_tf32", allow_tf32)
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(f"groups must divide {name}, got groups {self.groups} and {name} {channels}")
        if self.padding == "same" and max(self.stride) > 1:
            raise ValueError(f"padding='same' needs stride 1, got stride {self.stride}; there are 'same_upper' and 'same_lower'")
        dtype = layer_dtype(dtype)
        self.weight = Parameter(np.zeros((*self._weight_shape(), *self.kernel_size), dtype))
        self.bias = Parameter(np.zeros(self.out_channels, dtype)) if flag("bias", bias) else None
        self.reset_parameters(seed)

    def reset_parameters(self, seed=None):
        """Fills weight and bias with numbers uniform within 1 / sqrt(n), with n = the weight's second axis times the taps.

        That is what torch.nn does: Kaiming initialisation (He, Zhang, Ren and Sun, 2015) with a slope of sqrt(5).

        Parameters
        ----------
        seed : None, int or numpy.random.Generator, optional
            The same int gives the same values. A generator is used as it is: it may be shared by layers.
        """
        fill_uniform((self.weight, self.bias), self.weight.shape[1] * prod(self.kernel_size), seed)

    def _accuracy(self):
        """What gradients take over from the forward."""
        return {"precision": self.precision, "max_workspace": self.max_workspace, "allow_tf32": self.allow_tf32}

    def extra_repr(self):
        rank = self._rank
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] if self.padding != (0,) * rank else []
        parts += [f"dilation={self.dilation}"] if self.dilation != (1,) * rank else []
        parts += [f"output_padding={self.output_padding}"] if self.output_padding not in (None, (0,) * rank) else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        parts += [f"algorithm={self.algorithm}"] if self.algorithm != "auto" else []
        parts += [f"precision={self.precision}"] if self.precision != "default" else []
        parts += [f"max_workspace={self.max_workspace}"] if self.max_workspace != MAX_WORKSPACE else []
        parts += ["allow_tf32=True"] if self.allow_tf32 else []
        return ", ".join(parts)


def _checked_padding(padding, rank, words):
    """A word, `rank` ints, or `rank` pairs where these differ."""
    if isinstance(padding, str) and words:
        return one_of("padding", padding, words)
    pairs = padding_pairs(padding, rank, words)
    befores = tuple(before for before, _ in pairs)
    return befores if befores == tuple(after for _, after in pairs) else pairs


class _Conv(_Layer):
    _padding_words = PADDING_WORDS

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode="zeros", *,
        dtype=np.float32, seed=None, algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE,
        allow_tf32=False,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype, seed, algorithm,
            precision, max_workspace, allow_tf32,
        )  # fmt: skip

    def _weight_shape(self):
        return self.out_channels, self.in_channels // self.groups

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        y = self._convolve(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, algorithm=self.algorithm, precision=self.precision, max_workspace=self.max_workspace,
            allow_tf32=self.allow_tf32,
        )  # fmt: skip
        self._keep(y, x)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, x = self._kept(grad_output)
        weight, bias = self.weight, self.bias
        steps = self.stride, self.padding, self.dilation, self.groups
        options = {"padding_mode": self.padding_mode, **self._accuracy()}
        if bias is not None and bias.requires_grad:
            bias.accumulate(self._bias_gradient(grad_output))
        if weight.requires_grad:
            weight.accumulate(self._weight_gradient(x, weight.shape, grad_output, *steps, **options))
        if input_grad:
            return self._input_gradient(x.shape, weight, grad_output, *steps, **options)

    def trace(self, flow):
        steps = self.kernel_size, self.stride, self.dilation
        seen = windowed(windows, *steps, pads_of(flow, self.padding, *steps, PADDING_WORDS), self.in_channels)
        if flow.shape is None:
            return flow.step(self, seen=seen)
        problem = conv_problem(
            self._rank, flow.stand_in, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            self.padding_mode, self.precision, self.max_workspace,
        )  # fmt: skip
        return flow.step(
            self, problem.output_shape, seen, beyond=self.padding_mode, multiply_adds=problem.multiply_adds,
            algorithm=lambda: flow.chosen(problem, self.algorithm, self.weight, self.allow_tf32),
        )  # fmt: skip


class _ConvTranspose(_Layer):
    _padding_words = ()

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1,
        padding_mode="zeros", *, dtype=np.float32, seed=None, algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE,
        allow_tf32=False,
    ):  # fmt: skip
        self.output_padding = integers("output_padding", output_padding, self._rank, 0)
        one_of("padding_mode", padding_mode, ("zeros",))
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, "zeros", dtype, seed, algorithm,
            precision, max_workspace, allow_tf32,
        )  # fmt: skip
        for rest, s, d in zip(self.output_padding, self.stride, self.dilation):
            if rest >= max(s, d):
                raise ValueError(f"output_padding must be smaller than stride or dilation; got {rest} with stride {s} and dilation {d}")

    def _weight_shape(self):
        return self.in_channels, self.out_channels // self.groups

    def forward(self, x, output_size=None):
        x = as_array("input", x, gpu=True)
        rest = self.output_padding if output_size is None else self._rest(x, output_size)
        y = self._convolve(
            x, self.weight, self.bias, self.stride, self.padding, rest, self.groups, self.dilation,
            algorithm=self.algorithm, precision=self.precision, max_workspace=self.max_workspace, allow_tf32=self.allow_tf32,
        )  # fmt: skip
        self._keep(y, x, rest)
        return y

    def _rest(self, x, output_size):
        """The output_padding that makes spatial axes of these lengths."""
        rank = self._rank
        what = f"a sequence of {rank} lengths, or of {rank + 2} or {rank + 1}, the whole shape"
        if not isinstance(output_size, (tuple, list, np.ndarray)):
            raise TypeError(f"output_size must be {what}, got {shown(output_size)}")
        lengths = tuple(integer("output_size", length, 0, what) for length in output_size)
        if len(lengths) not in (rank, x.ndim) or x.ndim < rank:
            raise ValueError(f"output_size must be {what}, got {len(lengths)} values for an input of shape {x.shape}")
        pads = self.padding if not plain_ints(self.padding) else [(p, p) for p in self.padding]
        rests = []
        for length, n, k, s, d, pair in zip(lengths[-rank:], x.shape[-rank:], self.kernel_size, self.stride, self.dilation, pads):
            least, most = (n - 1) * s - sum(pair) + d * (k - 1) + 1, max(s, d) - 1
            if not 0 <= length - least <= most:
                raise ValueError(f"output_size must be from {least} to {least + most} along an axis of {n} samples, got {length}")
            rests.append(length - least)
        return tuple(rests)

    def backward(self, grad_output, *, input_grad=True):
        grad_output, x, rest = self._kept(grad_output)
        weight, bias = self.weight, self.bias
        steps = self.stride, self.padding, rest, self.groups, self.dilation
        options = self._accuracy()
        if bias is not None and bias.requires_grad:
            bias.accumulate(self._bias_gradient(grad_output))
        if weight.requires_grad:
            weight.accumulate(self._weight_gradient(x, weight.shape, grad_output, *steps, **options))
        if input_grad:
            return self._input_gradient(x.shape, weight, grad_output, *steps, **options)

    def trace(self, flow, output_size=None):
        steps, period = (self.kernel_size, self.stride, self.dilation), lcm(*self.stride)
        seen = windowed(reaching, *steps, pads_of(flow, self.padding, *steps, ()), self.in_channels)
        if flow.shape is None:
            return flow.step(self, seen=seen, period=period)
        x = flow.stand_in
        problem = conv_transpose_problem(
            self._rank, x, self.weight, self.bias, self.stride, self.padding,
            self.output_padding if output_size is None else self._rest(x, output_size), self.groups, self.dilation, self.precision,
            self.max_workspace,
        )  # fmt: skip
        return flow.step(
            self, problem.output_shape, seen, period=period, algorithm=lambda: self._algorithms(problem, flow),
            multiply_adds=x.size // self.in_channels * self.weight.size,  # each sample by each tap, where they reach no output, too
        )  # fmt: skip

    def _algorithms(self, problem, flow):
        """The names of those that compute the phases."""
        if flow.device == "gpu":
            return ", ".join(dict.fromkeys(flow.chosen(phase.problem, self.algorithm, None, self.allow_tf32) for phase in problem.phases))
        if problem.columns is not None and self.algorithm == "auto" and transpose.columns_pay(problem):
            return f"{flow.chosen(problem.columns)}, fold"
        weight = self.weight.reshape(self.groups, -1, *self.weight.shape[1:]).swapaxes(1, 2)
        names = {}
        for phase in problem.phases:
            taps = np.ascontiguousarray(weight[(..., *phase.taps)]).reshape(phase.problem.weight_shape)
            names[flow.chosen(phase.problem, self.algorithm, taps)] = None
        return ", ".join(names)


@_documented(
    _CONV,
    "conv",
    1,
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.Conv1d(1, 1, 2, bias=False, seed=0)
    >>> layer.weight[...] = [[[-1, 1]]]
    >>> layer(np.array([[[1, 4, 9]]], np.float32))
    array([[[3., 5.]]], dtype=float32)
    >>> layer.backward(np.array([[[1, 0]]], np.float32))
    array([[[-1.,  1.,  0.]]], dtype=float32)
    >>> layer.weight.grad
    array([[[1., 4.]]], dtype=float32)""",
)
class Conv1d(_Conv):
    _rank = 1
    _convolve, _bias_gradient = staticmethod(functional.conv1d), staticmethod(grad.conv1d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv1d_input), staticmethod(grad.conv1d_weight)


@_documented(
    _CONV,
    "conv",
    2,
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> layer
    Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> layer(np.zeros((10, 3, 32, 32), np.float32)).shape
    (10, 8, 16, 16)""",
)
class Conv2d(_Conv):
    _rank = 2
    _convolve, _bias_gradient = staticmethod(functional.conv2d), staticmethod(grad.conv2d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv2d_input), staticmethod(grad.conv2d_weight)


@_documented(
    _CONV,
    "conv",
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.nn.Conv3d(1, 2, 3, padding='same')(np.zeros((1, 8, 9, 10), np.float32)).shape
    (2, 8, 9, 10)""",
)
class Conv3d(_Conv):
    _rank = 3
    _convolve, _bias_gradient = staticmethod(functional.conv3d), staticmethod(grad.conv3d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv3d_input), staticmethod(grad.conv3d_weight)


@_documented(
    _TRANSPOSED,
    "conv_transpose",
    1,
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.ConvTranspose1d(4, 2, 3, stride=2)
    >>> x = np.zeros((1, 4, 5), np.float32)
    >>> layer(x).shape, layer(x, output_size=(12,)).shape
    ((1, 2, 11), (1, 2, 12))""",
)
class ConvTranspose1d(_ConvTranspose):
    _rank = 1
    _convolve, _bias_gradient = staticmethod(functional.conv_transpose1d), staticmethod(grad.conv_transpose1d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv_transpose1d_input), staticmethod(grad.conv_transpose1d_weight)


@_documented(
    _TRANSPOSED,
    "conv_transpose",
    2,
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)
    >>> layer(np.zeros((1, 4, 5, 6), np.float32)).shape
    (1, 2, 10, 12)""",
)
class ConvTranspose2d(_ConvTranspose):
    _rank = 2
    _convolve, _bias_gradient = staticmethod(functional.conv_transpose2d), staticmethod(grad.conv_transpose2d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv_transpose2d_input), staticmethod(grad.conv_transpose2d_weight)


@_documented(
    _TRANSPOSED,
    "conv_transpose",
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.nn.ConvTranspose3d(4, 2, 2, stride=2)(np.zeros((4, 3, 3, 3), np.float32)).shape
    (2, 6, 6, 6)""",
)
class ConvTranspose3d(_ConvTranspose):
    _rank = 3
    _convolve, _bias_gradient = staticmethod(functional.conv_transpose3d), staticmethod(grad.conv_transpose3d_bias)
    _input_gradient, _weight_gradient = staticmethod(grad.conv_transpose3d_input), staticmethod(grad.conv_transpose3d_weight)

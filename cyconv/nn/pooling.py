"""Pools as layers: the functions of cyconv with their arguments fixed, and their gradients from cyconv.grad.

The three of a kind share their code and their docstring; what differs is `_rank` and the functions.
"""

from functools import partial
from math import lcm

import numpy as np

from .. import grad
from ..arguments import as_array, flag, integer, integers, shown
from ..functional import pooling as functional
from ..functional.documentation import documented
from ..grad.pooling import max_pool_input
from ..pool_problem import PADDING_WORDS, adaptive_pool_problem, avg_pool_problem, lp_pool_problem, max_pool_problem
from ..problem import padding_pairs
from ..select import choose_pool
from .module import Module
from .receptive import pads_of, per_axis, shares, shares_period, windowed, windows

_INPUT = """Input (N, C, <axes>), or (C, <axes>) without a batch; output alike, each axis as long as `<function><rank>d` says."""

_WINDOW = """kernel_size : int or tuple of int
    Samples of a window along each axis.
stride : int or tuple of int, optional
    From one window to the next; `kernel_size` if None."""

_PADDING = """
padding : int, tuple, or {'valid', 'same_upper', 'same_lower'}, optional
    As in `<function><rank>d`."""

_CEIL = """
ceil_mode : bool, optional
    Whether a last window that reaches beyond the padded input is kept."""

_RAISES = """Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input does not fit.

    Examples
    --------
    <example>
"""


def _template(summary, parameters):
    """A docstring with a blank line between its parts; `documented` fills in the rest."""
    return f"""{summary}

    {_INPUT}

    Parameters
    ----------
    {parameters}

    {_RAISES}"""


def _documented(template, function, rank, example):
    return documented(template, rank, window=_WINDOW, padding=_PADDING, ceil=_CEIL, function=function, example=example)


_MAX = _template(
    "The largest sample of each window, as torch.nn.MaxPool<rank>d. Its gradient goes to the sample that won.",
    """<window>
    <padding>
    dilation : int or tuple of int, optional
        Distance between neighbouring samples of a window.
    return_indices : bool, optional
        Whether a call returns (values, indices), as `MaxUnpool<rank>d` takes them; `backward` takes the gradient of the values.
    <ceil>""",
)
_AVERAGE = _template(
    "The average of each window, as torch.nn.AvgPool<rank>d.",
    """<window>
    <padding>
    <ceil>
    count_include_pad : bool, optional
        Whether the zeros of the padding count.
    <override>""",
)
_OVERRIDE = """divisor_override : int, optional
        What sums are divided by instead."""
_AVERAGE_1D, _AVERAGE = _AVERAGE.replace("\n    <override>", ""), _AVERAGE.replace("<override>", _OVERRIDE)
_LP = _template(
    "The p-norm of each window, as torch.nn.LPPool<rank>d.",
    """norm_type : float
        The p of the p-norm, not 0.
    <window>
    <ceil>""",
)
_ADAPTIVE = _template(
    "The <what> of nearly equal windows, as many as asked for, as torch.nn.Adaptive<name>Pool<rank>d.",
    """output_size : int, None, or tuple of them
        Windows along each axis; None for as many as there are samples.
    <indices>""",
)
_ADAPTIVE_MAX = (
    _ADAPTIVE.replace("<what>", "largest sample")
    .replace("<name>", "Max")
    .replace(
        "<indices>",
        """return_indices : bool, optional
        Whether a call returns (values, indices); `backward` takes the gradient of the values.""",
    )
)
_ADAPTIVE_AVERAGE = _ADAPTIVE.replace("<what>", "average").replace("<name>", "Avg").replace("\n    <indices>", "")
_UNPOOL = _template(
    """Puts the values of a max pool back to where they stood, among zeros, as torch.nn.MaxUnpool<rank>d.

    A call takes the values and the indices: ``layer(x, indices, output_size=None)``, with `output_size` as in
    `max_unpool<rank>d`. The gradient of a value is that of the place where it was put; 0 if another one was put there after it.""",
    """<window>
    padding : int or tuple of int, optional
        Of the max pool.""",
)


class _Pool(Module):
    """A pool whose arguments are the attributes named in `_arguments`, in the function's order."""

    _arguments = ()
    _usual = {}  # values of those that the description leaves out

    def _values(self):
        own = vars(self)
        return [own[name] for name in self._arguments]

    def extra_repr(self):
        named = zip(self._arguments, self._values())
        return ", ".join(f"{name}={value!r}" for name, value in named if name not in self._usual or value != self._usual[name])

    def trace(self, flow):
        own = vars(self)
        steps = tuple(integers(name, own.get(name, 1), self._rank, 1) for name in ("kernel_size", "stride", "dilation"))
        return self._step(flow, windowed(windows, *steps, pads_of(flow, own.get("padding", 0), *steps, PADDING_WORDS)))

    def _step(self, flow, seen, period=1):
        if flow.shape is None:
            return flow.step(self, seen=seen, period=period)
        problem = self._problem(flow.stand_in)
        return flow.step(self, problem.output_shape, seen, period=period, algorithm=lambda: choose_pool(problem, device=flow.device).name)

    def _take_window(self, kernel_size, stride):
        self.kernel_size = _sizes("kernel_size", kernel_size, self._rank)
        self.stride = self.kernel_size if stride is None else _sizes("stride", stride, self._rank)

    def _take_padding(self, padding):
        self.padding = padding if isinstance(padding, str) and padding in PADDING_WORDS else _plain_padding(padding, self._rank)


def _sizes(name, value, rank, least=1):
    """Checked; an int stays one."""
    values = integers(name, value, rank, least)
    return values[0] if not isinstance(value, (tuple, list, np.ndarray)) else values


def _plain_padding(padding, rank):
    pairs = padding_pairs(padding, rank, PADDING_WORDS)
    if not isinstance(padding, (tuple, list, np.ndarray)):
        return pairs[0][0]
    befores = tuple(before for before, _ in pairs)
    return befores if befores == tuple(after for _, after in pairs) else pairs


class _MaxPool(_Pool):
    _arguments = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        self._take_window(kernel_size, stride)
        self._take_padding(padding)
        self.dilation = _sizes("dilation", dilation, self._rank)
        self.return_indices, self.ceil_mode = flag("return_indices", return_indices), flag("ceil_mode", ceil_mode)

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        indices = self.return_indices or self._keeping
        found = self._pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, bool(indices))
        if indices:
            self._keep(found[0], x.shape, found[1])
        return found if self.return_indices or not indices else found[0]

    def backward(self, grad_output, *, input_grad=True):
        grad_output, shape, indices = self._kept(grad_output)
        return max_pool_input(self._rank, shape, indices, grad_output, known=True) if input_grad else None

    def _problem(self, x):
        return max_pool_problem(self._rank, x, *self._values(), bool(self.return_indices or self._keeping))


class _AdaptiveMaxPool(_Pool):
    _arguments = ("output_size",)

    def __init__(self, output_size, return_indices=False):
        self.output_size = _output_size(output_size, self._rank)
        self.return_indices = flag("return_indices", return_indices)

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        indices = self.return_indices or self._keeping
        found = self._pool(x, self.output_size, bool(indices))
        if indices:
            self._keep(found[0], x.shape, found[1])
        return found if self.return_indices or not indices else found[0]

    backward = _MaxPool.backward

    def _problem(self, x):
        return adaptive_pool_problem(self._rank, x, "max", self.output_size, bool(self.return_indices or self._keeping))

    def trace(self, flow):
        size = flow.known()[-self._rank :]
        outputs = [max(o, 1) for o in self._problem(flow.stand_in).output_shape[-self._rank :]]  # of no windows, any will do
        axes = [partial(shares, size=n, outputs=o) for n, o in zip(size, outputs)]
        return self._step(flow, per_axis(axes), lcm(*map(shares_period, size, outputs)))


class _AvgPool(_Pool):
    _arguments = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    _usual = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
    divisor_override = None

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        self._take_window(kernel_size, stride)
        self._take_padding(padding)
        self.ceil_mode, self.count_include_pad = flag("ceil_mode", ceil_mode), flag("count_include_pad", count_include_pad)

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        y = self._pool(x, *self._values())
        self._keep(y, x.shape)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, shape = self._kept(grad_output)
        return self._gradient(shape, grad_output, *self._values()) if input_grad else None

    def _problem(self, x):
        return avg_pool_problem(
            self._rank, x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override
        )


class _AvgPoolOverridden(_AvgPool):
    _arguments = (*_AvgPool._arguments, "divisor_override")

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        if divisor_override is not None and integer("divisor_override", divisor_override, -(2**62), "a non-zero int or None") == 0:
            raise ValueError("divisor_override must be a non-zero int or None, got 0")
        self.divisor_override = divisor_override


class _AdaptiveAvgPool(_Pool):
    _arguments = ("output_size",)

    def __init__(self, output_size):
        self.output_size = _output_size(output_size, self._rank)

    forward = _AvgPool.forward

    def backward(self, grad_output, *, input_grad=True):
        grad_output, shape = self._kept(grad_output)
        return self._gradient(shape, grad_output) if input_grad else None

    def _problem(self, x):
        return adaptive_pool_problem(self._rank, x, "average", self.output_size)

    trace = _AdaptiveMaxPool.trace


class _LPPool(_Pool):
    _arguments = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        if isinstance(norm_type, (bool, np.bool_)) or not isinstance(norm_type, (int, float, np.integer, np.floating)):
            raise TypeError(f"norm_type must be a real number other than 0, got {shown(norm_type)}")
        if not norm_type or norm_type != norm_type:
            raise ValueError(f"norm_type must be a real number other than 0, got {norm_type}")
        self.norm_type = norm_type
        self._take_window(kernel_size, stride)
        self.ceil_mode = flag("ceil_mode", ceil_mode)

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        y = self._pool(x, *self._values())
        self._keep(y, x)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, x = self._kept(grad_output)
        return self._gradient(x, grad_output, *self._values()) if input_grad else None

    def _problem(self, x):
        return lp_pool_problem(self._rank, x, *self._values())


class _MaxUnpool(_Pool):
    _arguments = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size, stride=None, padding=0):
        self._take_window(kernel_size, stride)
        self.padding = _sizes("padding", padding, self._rank, least=0)

    def forward(self, x, indices, output_size=None):
        x, indices = as_array("input", x, gpu=True), as_array("indices", indices, gpu=True)
        y = self._pool(x, indices, *self._values(), output_size)
        self._keep(y, indices)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, indices = self._kept(grad_output)
        return self._gradient(grad_output, indices) if input_grad else None

    def trace(self, flow):
        raise ValueError("where its values go is a matter of indices, so that shapes do not tell what a unit sees")


def _output_size(value, rank):
    """Checked; one value stays one."""
    what = f"an int, None, or a tuple of {rank} of them" if rank > 1 else "an int, None, or a tuple of one of them"
    if not isinstance(value, (tuple, list, np.ndarray)):
        return None if value is None else integer("output_size", value, 0, what)
    if len(value) not in (1, rank):
        raise ValueError(f"output_size must be {what}, got {len(value)} values: {shown(value)}")
    return tuple(None if length is None else integer("output_size", length, 0, what) for length in value)


# ---- the layers ----------------------------------------------------------------------------------------------------------


@_documented(
    _MAX,
    "max_pool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.MaxPool1d(2)
    >>> layer(np.array([[[1.0, 5.0, 2.0, 4.0]]]))
    array([[[5., 4.]]])
    >>> layer.backward(np.array([[[1.0, 2.0]]]))
    array([[[0., 1., 0., 2.]]])""",
)
class MaxPool1d(_MaxPool):
    _rank, _pool = 1, staticmethod(functional.max_pool1d)


@_documented(
    _MAX,
    "max_pool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.MaxPool2d(3, stride=2, padding=1)(np.zeros((8, 16, 32, 32), np.float32)).shape
    (8, 16, 16, 16)""",
)
class MaxPool2d(_MaxPool):
    _rank, _pool = 2, staticmethod(functional.max_pool2d)


@_documented(
    _MAX,
    "max_pool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.MaxPool3d(2)(np.zeros((8, 4, 6, 8), np.float32)).shape
    (8, 2, 3, 4)""",
)
class MaxPool3d(_MaxPool):
    _rank, _pool = 3, staticmethod(functional.max_pool3d)


@_documented(
    _AVERAGE_1D,
    "avg_pool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AvgPool1d(2)(np.array([[[1.0, 5.0, 2.0, 4.0]]]))
    array([[[3., 3.]]])""",
)
class AvgPool1d(_AvgPool):
    _rank, _pool, _gradient = 1, staticmethod(functional.avg_pool1d), staticmethod(grad.avg_pool1d_input)


@_documented(
    _AVERAGE,
    "avg_pool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.AvgPool2d(2)
    >>> layer(np.array([[[1.0, 2.0], [3.0, 6.0]]]))
    array([[[3.]]])
    >>> layer.backward(np.array([[[1.0]]]))
    array([[[0.25, 0.25],
            [0.25, 0.25]]])""",
)
class AvgPool2d(_AvgPoolOverridden):
    _rank, _pool, _gradient = 2, staticmethod(functional.avg_pool2d), staticmethod(grad.avg_pool2d_input)


@_documented(
    _AVERAGE,
    "avg_pool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AvgPool3d((1, 2, 2))(np.zeros((8, 4, 6, 8), np.float32)).shape
    (8, 4, 3, 4)""",
)
class AvgPool3d(_AvgPoolOverridden):
    _rank, _pool, _gradient = 3, staticmethod(functional.avg_pool3d), staticmethod(grad.avg_pool3d_input)


@_documented(
    _LP,
    "lp_pool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.LPPool1d(2, 2)(np.array([[[3.0, 4.0, 5.0, 12.0]]]))
    array([[[ 5., 13.]]])""",
)
class LPPool1d(_LPPool):
    _rank, _pool, _gradient = 1, staticmethod(functional.lp_pool1d), staticmethod(grad.lp_pool1d_input)


@_documented(
    _LP,
    "lp_pool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.LPPool2d(1, 2)(np.ones((1, 2, 4)))
    array([[[4., 4.]]])""",
)
class LPPool2d(_LPPool):
    _rank, _pool, _gradient = 2, staticmethod(functional.lp_pool2d), staticmethod(grad.lp_pool2d_input)


@_documented(
    _LP,
    "lp_pool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.LPPool3d(1, 2)(np.ones((1, 2, 2, 2)))
    array([[[[8.]]]])""",
)
class LPPool3d(_LPPool):
    _rank, _pool, _gradient = 3, staticmethod(functional.lp_pool3d), staticmethod(grad.lp_pool3d_input)


@_documented(
    _ADAPTIVE_MAX,
    "adaptive_max_pool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AdaptiveMaxPool1d(2)(np.array([[[1, 5, 2, 4, 3]]]))
    array([[[5, 4]]])""",
)
class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    _rank, _pool = 1, staticmethod(functional.adaptive_max_pool1d)


@_documented(
    _ADAPTIVE_MAX,
    "adaptive_max_pool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AdaptiveMaxPool2d((2, None))(np.zeros((8, 5, 7), np.float32)).shape
    (8, 2, 7)""",
)
class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    _rank, _pool = 2, staticmethod(functional.adaptive_max_pool2d)


@_documented(
    _ADAPTIVE_MAX,
    "adaptive_max_pool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AdaptiveMaxPool3d(1)(np.zeros((8, 5, 7, 6), np.float32)).shape
    (8, 1, 1, 1)""",
)
class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    _rank, _pool = 3, staticmethod(functional.adaptive_max_pool3d)


@_documented(
    _ADAPTIVE_AVERAGE,
    "adaptive_avg_pool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AdaptiveAvgPool1d(2)(np.array([[[1.0, 5.0, 3.0]]]))
    array([[[3., 4.]]])""",
)
class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    _rank, _pool, _gradient = 1, staticmethod(functional.adaptive_avg_pool1d), staticmethod(grad.adaptive_avg_pool1d_input)


@_documented(
    _ADAPTIVE_AVERAGE,
    "adaptive_avg_pool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.AdaptiveAvgPool2d(1)
    >>> layer(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[[[1.5]]]])
    >>> layer.backward(np.array([[[[4.0]]]]))
    array([[[[1., 1.],
             [1., 1.]]]])""",
)
class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    _rank, _pool, _gradient = 2, staticmethod(functional.adaptive_avg_pool2d), staticmethod(grad.adaptive_avg_pool2d_input)


@_documented(
    _ADAPTIVE_AVERAGE,
    "adaptive_avg_pool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> cyconv.nn.AdaptiveAvgPool3d(1)(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[[[3.5]]]])""",
)
class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    _rank, _pool, _gradient = 3, staticmethod(functional.adaptive_avg_pool3d), staticmethod(grad.adaptive_avg_pool3d_input)


@_documented(
    _UNPOOL,
    "max_unpool",
    1,
    """
    >>> import numpy as np, cyconv
    >>> values, indices = cyconv.nn.MaxPool1d(2, return_indices=True)(np.array([[[1.0, 5.0, 2.0, 4.0]]]))
    >>> cyconv.nn.MaxUnpool1d(2)(values, indices)
    array([[[0., 5., 0., 4.]]])""",
)
class MaxUnpool1d(_MaxUnpool):
    _rank, _pool, _gradient = 1, staticmethod(functional.max_unpool1d), staticmethod(grad.max_unpool1d_input)


@_documented(
    _UNPOOL,
    "max_unpool",
    2,
    """
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.MaxUnpool2d(2)
    >>> layer(np.array([[[7.0]]]), np.array([[[2]]]))
    array([[[0., 0.],
            [7., 0.]]])
    >>> layer.backward(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    array([[[3.]]])""",
)
class MaxUnpool2d(_MaxUnpool):
    _rank, _pool, _gradient = 2, staticmethod(functional.max_unpool2d), staticmethod(grad.max_unpool2d_input)


@_documented(
    _UNPOOL,
    "max_unpool",
    3,
    """
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.MaxUnpool3d((1, 1, 2))
    >>> layer(np.array([[[[7]]]]), np.array([[[[1]]]]), output_size=(1, 1, 3))
    array([[[[0, 7, 0]]]])""",
)
class MaxUnpool3d(_MaxUnpool):
    _rank, _pool, _gradient = 3, staticmethod(functional.max_unpool3d), staticmethod(grad.max_unpool3d_input)

"""Linear layers, and what has no parameters but belongs beside them.

The products of a linear layer run as convolutions with kernels of one tap: on the CPU on cyconv's threads, with the same bits at every
number of them.
"""

from math import prod

import numpy as np

from .. import grad
from ..arguments import as_array, flag, integer
from ..functional.network import linear
from ..problem import MAX_WORKSPACE, known_conv_problem
from .initial import fill_uniform, layer_dtype
from .module import Module
from .parameter import Parameter
from .receptive import unravelled, whole


class Linear(Module):
    """Each output is a weighted sum of the inputs, plus a bias: y = x @ weight.T + bias.

    Input (..., in_features), output (..., out_features), of the layer's dtype.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last axis.
    bias : bool, optional
        Whether there is one.
    dtype : dtype, optional
        Of the parameters, and so of input and output: float16, float32 or float64; bfloat16 (of ml_dtypes),
        in which a layer computes once it is on a GPU.
    seed : None, int or numpy.random.Generator, optional
        Of the initial values, see `reset_parameters`.
    allow_tf32 : bool, optional
        As in `conv1d`, also of the gradients.

    Attributes
    ----------
    weight : Parameter
        (out_features, in_features)
    bias : Parameter or None
        (out_features,)

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input has another number of features or another dtype.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.Linear(2, 3, seed=0)
    >>> layer.weight = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> layer.bias = np.array([0.0, 0.0, 10.0])
    >>> layer(np.array([[3, 4]], np.float32))
    array([[ 3.,  4., 17.]], dtype=float32)
    """

    _parameters = ("weight", "bias")

    def __init__(self, in_features, out_features, bias=True, *, dtype=np.float32, seed=None, allow_tf32=False):
        self.in_features, self.out_features = integer("in_features", in_features, 1), integer("out_features", out_features, 1)
        dtype, self.allow_tf32 = layer_dtype(dtype), flag("allow_tf32", allow_tf32)
        self.weight = Parameter(np.zeros((self.out_features, self.in_features), dtype))
        self.bias = Parameter(np.zeros(self.out_features, dtype)) if flag("bias", bias) else None
        self.reset_parameters(seed)

    def reset_parameters(self, seed=None):
        """Fills weight and bias with numbers uniform within 1 / sqrt(in_features), as torch.nn does (Kaiming initialisation)."""
        fill_uniform((self.weight, self.bias), self.in_features, seed)

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        y = linear(x, self.weight, self.bias, allow_tf32=self.allow_tf32)
        self._keep(y, x)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, x = self._kept(grad_output)
        weight, bias = self.weight, self.bias
        rows = prod(x.shape[:-1])
        g, x3 = grad_output.reshape(rows, self.out_features, 1), x.reshape(rows, self.in_features, 1)
        if bias is not None and bias.requires_grad:
            bias.accumulate(grad.conv1d_bias(g))
        if weight.requires_grad:
            weight.accumulate(grad.conv1d_weight(x3, (*weight.shape, 1), g, allow_tf32=self.allow_tf32).reshape(weight.shape))
        if input_grad:
            return grad.conv1d_input(x3.shape, weight[:, :, None], g, allow_tf32=self.allow_tf32).reshape(x.shape)

    def trace(self, flow):
        *lead, features = flow.known()
        if features != self.in_features:
            raise ValueError(f"input must be (..., {self.in_features}), got shape {flow.shape}")
        weight, bias = self.weight[:, :, None], self.bias
        problem = known_conv_problem(
            1, (prod(lead), features, 1), weight.shape, None if bias is None else bias.shape,
            flow.dtype, weight.dtype, None if bias is None else bias.dtype, 1, 0, 1, 1, "zeros", "default", MAX_WORKSPACE,
        )  # fmt: skip
        return flow.step(
            self, (*lead, self.out_features), lambda region: (*region[:-1], whole(features)),
            multiply_adds=problem.multiply_adds, algorithm=lambda: flow.chosen(problem, weight=weight, allow_tf32=self.allow_tf32),
        )  # fmt: skip

    def extra_repr(self):
        text = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{text}, allow_tf32=True" if self.allow_tf32 else text


class Flatten(Module):
    """Makes one axis of several: (N, C, H, W) becomes (N, C*H*W).

    Parameters
    ----------
    start_dim, end_dim : int, optional
        The first and the last of them; negative ones count from the end.

    Raises
    ------
    ValueError, TypeError
        If an argument is no int; in a call, if the input does not have these axes in this order.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.nn.Flatten()(np.zeros((5, 2, 3, 4))).shape
    (5, 24)
    """

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = integer("start_dim", start_dim, -64), integer("end_dim", end_dim, -64)

    def _parts(self, shape):
        """The lengths before, among and after those that become one."""
        rank = len(shape)
        start, end = (dim + rank if dim < 0 else dim for dim in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < rank:
            raise ValueError(f"the input must have axes {self.start_dim} to {self.end_dim}, in this order; got shape {shape}")
        return shape[:start], shape[start : end + 1], shape[end + 1 :]

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        before, among, after = self._parts(x.shape)
        y = x.reshape(*before, prod(among), *after)
        self._keep(y, x.shape)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, shape = self._kept(grad_output)
        return grad_output.reshape(shape) if input_grad else None

    def trace(self, flow):
        before, among, after = self._parts(flow.known())
        place = len(before)
        return flow.step(
            self, (*before, prod(among), *after), lambda region: (*region[:place], *unravelled(region[place], among), *region[place + 1 :])
        )

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Gives back what it gets.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.nn.Identity()([1, 2])
    array([1, 2])
    """

    def forward(self, x):
        x = as_array("input", x, gpu=True)
        self._keep(x)
        return x

    def backward(self, grad_output, *, input_grad=True):
        (grad_output,) = self._kept(grad_output)
        return grad_output if input_grad else None

    def trace(self, flow):
        return flow.step(self)

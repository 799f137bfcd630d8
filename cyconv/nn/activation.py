"""Layers that work on each element alone."""

import numpy as np

from .. import _norms
from ..arguments import as_array, check_out, flag
from ..devices import on_gpu
from ..functional.network import check_floating, check_probability, dropout_key, dropout_mask, relu
from ..memory import empty
from .initial import generator_of
from .module import Module


class ReLU(Module):
    """max(x, 0), element by element; any shape.

    The gradient passes where x is above 0; at 0 it is 0.

    Parameters
    ----------
    inplace : bool, optional
        Whether the result is written over the input, which must be a writable array then.

    Raises
    ------
    ValueError, TypeError
        If `inplace` is no bool; in a call, if the input cannot be written over.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.ReLU()
    >>> layer(np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> layer.backward(np.array([5.0, 5.0]))
    array([0., 5.])
    """

    def __init__(self, inplace=False):
        self.inplace = flag("inplace", inplace)

    def forward(self, x):
        y = relu(x, out=x if self.inplace else None)
        self._keep(y, y)  # which the next layer keeps, too
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, y = self._kept(grad_output)
        if not input_grad:
            return None
        if on_gpu(y):
            from ..gpu import activations

            return activations.passed(grad_output, y)
        result = empty(y.shape, y.dtype)
        if y.dtype in (np.float32, np.float64):
            _norms.passed(np.ascontiguousarray(grad_output), np.ascontiguousarray(y), result)
        else:
            result[...] = np.where(y > 0, grad_output, 0)
        return result

    def trace(self, flow):
        return flow.step(self)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class Dropout(Module):
    """In training, sets each element to 0 with probability `p` and divides the others by 1 - p; does nothing in eval mode.

    Input of any shape and a floating dtype, output alike. (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a
    simple way to prevent neural networks from overfitting", 2014; scaled in training, so that nothing is left to do afterwards.)

    Parameters
    ----------
    p : float, optional
        0 to 1.
    inplace : bool, optional
        Whether the result is written over the input, which must be a writable array then.
    seed : None, int or numpy.random.Generator, optional
        Where the random numbers come from; they are others on the GPU than on the CPU.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input's dtype is not floating.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.Dropout(0.5, seed=0)
    >>> sorted(set(layer(np.ones(100)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p=0.5, inplace=False, *, seed=None):
        self.p, self.inplace = check_probability("p", p), flag("inplace", inplace)
        self._generator = generator_of(seed)

    def forward(self, x):
        given, x = x, as_array("input", x, gpu=True)
        if not self.training or self.p == 0:
            self._keep(x, None)
            return x
        if on_gpu(x):
            return self._forward_on_gpu(x)
        mask = dropout_mask(x, self.p, self._generator)
        if self.inplace:
            check_out(given, x.shape, x.dtype, "input")
        y = np.multiply(x, mask, out=given if self.inplace else empty(x.shape, x.dtype))
        self._keep(y, mask)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, mask = self._kept(grad_output)
        if input_grad and on_gpu(grad_output) and mask is not None:
            from ..gpu import activations

            return activations.dropout(grad_output, self.p, mask)
        if input_grad:
            return grad_output if mask is None else np.multiply(grad_output, mask, out=empty(mask.shape, mask.dtype))

    def _forward_on_gpu(self, x):
        """There a key stands for the mask, which is made from it twice and never stored."""
        from ..gpu import activations

        check_floating(x)
        key = dropout_key(self._generator)
        y = activations.dropout(x, self.p, key, x if self.inplace else None)
        self._keep(y, key)
        return y

    def trace(self, flow):
        return flow.step(self)

    def extra_repr(self):
        return f"p={self.p}, inplace=True" if self.inplace else f"p={self.p}"

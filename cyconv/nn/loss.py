"""Losses: a call gives a number, backward its gradient with respect to the first argument."""

import numpy as np

from ..arguments import FLOATS, GPU_ONLY, INTEGERS, as_array, dtype_name
from ..devices import device_of, on_gpu, where
from ..functional.network import (
    check_class_weight,
    check_floating,
    check_index,
    check_probability,
    check_reduction,
    cross_entropy_backward,
    cross_entropy_forward,
    real,
)
from ..memory import empty
from .module import Module


class _Loss(Module):
    """A module whose output is a float, or on the GPU an array of shape (); `_slope` makes the gradient from what was kept."""

    def backward(self, grad_output=1.0, *, input_grad=True):
        """The gradient with respect to the first argument of the last call.

        Parameters
        ----------
        grad_output : float, optional
            What it is multiplied with, where the loss is a part of another one. Of a loss on the GPU also a CuPy array of shape (), such as
            the loss itself, for whose number nobody waits.
        input_grad : bool, optional
            Whether it is wanted.

        Returns
        -------
        ndarray or None
            Of the first argument's shape and dtype.
        """
        if not self._stack:
            raise ValueError(self._nothing_kept())
        _, dtype, gpu, what = self._stack[-1]
        grad_output = _factor(grad_output) if gpu and on_gpu(grad_output) else real("grad_output", grad_output)
        self._stack.pop()
        vars(self)["_spent"] = True
        if not input_grad:
            return None
        slope = self._slope(grad_output, *what)
        with where(slope):
            return slope.astype(dtype, copy=False)


def _factor(array):
    """An array of the GPU, which must be one number, in double precision."""
    dtype_name("grad_output", array.dtype, FLOATS + INTEGERS, GPU_ONLY)
    if array.shape:
        raise ValueError(f"grad_output must be a number, or an array of shape (), got shape {array.shape}")
    with where(array):
        return array.astype(np.float64)


class CrossEntropyLoss(_Loss):
    """How far softmax(logits) is from the classes that are right: -log of the probability that it gives them.

    A call takes logits, (N, K) or (N, K, ...) of a floating dtype, and targets, (N,) or (N, ...) of an integer dtype with classes from 0
    to K - 1, and returns a float. `backward()` returns the gradient with respect to the logits, of their dtype.

    On the GPU a call returns a CuPy array of shape (), so that nobody waits for it, and a target that is no class makes that NaN.

    Parameters
    ----------
    weight : array_like, optional
        (K,), of any floating dtype: how much each class counts.
    ignore_index : int, optional
        Targets of this number do not count.
    reduction : {"mean", "sum"}, optional
        Over all targets; a mean is divided by what they count together.
    label_smoothing : float, optional
        0 to 1: so much of the target is spread evenly over all classes.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if shapes do not fit, or targets are out of range or no integers.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> loss = cyconv.nn.CrossEntropyLoss()
    >>> round(loss(np.log([[0.25, 0.75]]), np.array([1])), 6)  # -log(0.75)
    0.287682
    >>> loss.backward().round(6)
    array([[ 0.25, -0.25]])
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.reduction, self.label_smoothing = check_reduction(reduction), check_probability("label_smoothing", label_smoothing)
        self.ignore_index = check_index(ignore_index)
        self.register_buffer("weight", check_class_weight(weight))

    def forward(self, logits, target):
        device_of(logits=logits, target=target, weight=self.weight)
        logits = as_array("logits", logits, gpu=True)
        loss, kept = cross_entropy_forward(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
        self._keep(logits, kept)
        return loss

    def _slope(self, scale, kept):
        return cross_entropy_backward(kept, scale, self.label_smoothing)

    def extra_repr(self):
        parts = [f"ignore_index={self.ignore_index}"] if self.ignore_index != -100 else []
        parts += [f"reduction={self.reduction!r}"] if self.reduction != "mean" else []
        parts += [f"label_smoothing={self.label_smoothing}"] if self.label_smoothing else []
        return ", ".join(parts)


class MSELoss(_Loss):
    """The mean, or the sum, of squared differences.

    A call takes two arrays of one shape and one floating dtype and returns a float, summed in double precision, on the GPU a CuPy array of
    shape (). `backward()` returns the gradient with respect to the first.

    Parameters
    ----------
    reduction : {"mean", "sum"}, optional
        Over all elements.

    Raises
    ------
    ValueError, TypeError
        If `reduction` is not as described; in a call, if shapes or dtypes differ or are not floating.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> loss = cyconv.nn.MSELoss()
    >>> loss(np.array([1.0, 5.0]), np.array([1.0, 2.0]))
    4.5
    >>> loss.backward()
    array([0., 3.])
    """

    def __init__(self, reduction="mean"):
        self.reduction = check_reduction(reduction)

    def forward(self, input, target):
        device_of(input=input, target=target)
        input, target = as_array("input", input, gpu=True), as_array("target", target, gpu=True)
        check_floating(input)
        if target.shape != input.shape:
            raise ValueError(f"target must have the input's shape {input.shape}, got {target.shape}")
        if target.dtype != input.dtype:
            raise TypeError(f"target must have the input's dtype {input.dtype}, got {target.dtype}")
        weight = 1.0
        if self.reduction == "mean":
            weight = 1 / input.size if input.size else float("nan")
        if on_gpu(input):
            return self._forward_on_gpu(input, target, weight)
        dtype = np.float32 if input.dtype == np.float16 else input.dtype
        difference = np.subtract(input.astype(dtype, copy=False), target.astype(dtype, copy=False), out=empty(input.shape, dtype))
        flat = difference.reshape(-1)
        self._keep(input, difference, weight)
        return float(np.einsum("i,i->", flat, flat, dtype=np.float64)) * weight

    def _forward_on_gpu(self, input, target, weight):
        with input.device:
            wide = input.dtype if input.dtype == np.float64 else np.dtype(np.float32)
            difference = input.astype(wide, copy=False) - target.astype(wide, copy=False)
            self._keep(input, difference, weight)
            return (difference * difference).sum(dtype=np.float64) * weight

    def _slope(self, factor, difference, weight):
        if on_gpu(factor):
            device_of(input=difference, grad_output=factor)
        with where(difference):
            difference *= 2 * weight * factor
        return difference

    def extra_repr(self):
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"

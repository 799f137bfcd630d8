"""Batch normalisation. What its backward needs again (the layers of cyconv.nn call it) stands behind it, under names that are not exported.

Arrays of the GPU are checked here and computed by norms of cyconv.gpu.
"""

from math import prod

import numpy as np

from .. import _norms, gpu
from ..arguments import GPU_ONLY, flag
from ..devices import device_of, is_chunked, lies_whole, on_gpu
from ..memory import empty
from .network import check_eps, check_floating, check_probability, in_chunks, operand

__all__ = ["batch_norm"]


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Each channel with its mean subtracted, divided by its standard deviation, times a weight, plus a bias.

    Ioffe and Szegedy, "Batch normalization", 2015.

    Parameters
    ----------
    input : array_like
        (N, C) or (N, C, ...); any floating dtype.
    running_mean, running_var : array_like or None
        (C,), of any floating dtype. Used as they are unless `training`; otherwise ndarrays, which are moved towards the batch's own by
        `momentum`, in place. None: the batch's own are used in any case.
    weight, bias : array_like or None
        (C,), of the input's dtype.
    training : bool, optional
        Whether the batch's own mean and variance are used.
    momentum : float, optional
        0 to 1.
    eps : float, optional
        Added to the variance.

    Returns
    -------
    ndarray
        Of the input's shape and dtype. Mean and variance are sums of up to a thousand numbers in the input's precision (half precision:
        in single), added up in double; the running variance is the unbiased one.

    Raises
    ------
    ValueError
        If shapes do not fit, or a batch with one value per channel is to give the variance.
    TypeError
        If dtypes differ or are not floating; if running averages of dask arrays are to be moved.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.normalization import batch_norm
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, momentum=0.5).round(4)
    array([[-1.],
           [ 1.]])
    >>> mean, var
    (array([1.]), array([1.5]))
    """
    device = device_of(input=input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    input = operand("input", input)
    weight, bias = (None if a is None else operand(name, a) for name, a in (("weight", weight), ("bias", bias)))
    momentum, eps, training = check_probability("momentum", momentum), check_eps(eps), flag("training", training)
    if running_mean is None and running_var is None:
        running = []
    else:
        if not training:  # else they are written to, which must not go to a copy
            running_mean, running_var = (None if a is None else operand(name, a) for name, a in (("running_mean", running_mean), ("running_var", running_var)))
        running = [("running_mean", running_mean), ("running_var", running_var)]
    for name, array in running:
        is_array = isinstance(array, np.ndarray) or on_gpu(array) or is_chunked(array)
        if not is_array or array.dtype.kind != "f" and not (on_gpu(array) and array.dtype.name in GPU_ONLY):
            what = f"dtype {array.dtype}" if is_array else type(array).__name__
            raise TypeError(f"{name} must be an ndarray of a floating dtype, or None like the other one; got {what}")
        if on_gpu(array) and not lies_whole(array):
            raise ValueError(f"{name} is written to, and must begin at a whole element; its address is {array.data.ptr:#x}")
    own = training or not running
    check_batch_norm(input, [("weight", weight), ("bias", bias)], running, own)
    if device == "chunks":
        if own and running:
            raise TypeError(
                "running_mean and running_var must be None for dask arrays in training: nothing is computed yet that they could be moved "
                "towards. With None the batch's own mean and variance are used"
            )
        return in_chunks().batch_norm(input, running_mean, running_var, weight, bias, eps)
    output, _ = batch_norm_forward(input, running_mean, running_var, weight, bias, eps, momentum if own and running else None)
    return output


def check_batch_norm(input, parameters, running, own):
    """Raises unless the arrays fit the input's channels; `own`: whether the batch's own statistics are wanted."""
    check_floating(input)
    if input.ndim < 2:
        raise ValueError(f"input must have shape (N, C) or (N, C, ...), got {input.shape}")
    channels = input.shape[1]
    for name, array in parameters + running:
        if array is None:
            continue
        if array.shape != (channels,):
            raise ValueError(f"{name} of shape {array.shape} is for {array.size} channels; input of shape {input.shape} has {channels}")
    for name, array in parameters:
        if array is not None and array.dtype != input.dtype:
            raise TypeError(f"input, weight and bias must have the same dtype; input has {input.dtype}, {name} has {array.dtype}")
    if own:
        check_variance(input)


def check_variance(input):
    """Raises if there is no more than one value per channel."""
    if input.size <= input.shape[1]:
        raise ValueError(f"a variance needs more than one value per channel, got an input of shape {input.shape}")


def batch_norm_forward(input, running_mean, running_var, weight, bias, eps, momentum=None, batches=None):
    """The output, and what the gradient needs.

    Mean and variance are the running ones, but without these, or with a momentum, those of the input, towards which it moves the running
    ones. In place of a momentum there may be a number of batches, an array, whose average the running ones are to be.
    """
    if on_gpu(input):
        return gpu.load("norms").forward(input, running_mean, running_var, weight, bias, eps, momentum, batches)
    x = _planes(input)
    moves = momentum is not None or batches is not None
    own = moves or running_mean is None
    if own:
        mean, var = _norms.statistics(x)
    else:
        mean, var = np.asarray(running_mean, np.float64), np.asarray(running_var, np.float64)
    with np.errstate(all="ignore"):  # a variance may be 0 or, of running ones, whatever the caller passes
        inverse = 1 / np.sqrt(var + eps)
        scale = inverse if weight is None else inverse * weight
        middle = mean.astype(x.dtype).astype(np.float64)  # so that deviations from it are exact, however far it is from 0
        shift = (middle - mean) * scale
        shift = shift if bias is None else shift + bias
    output = empty(x.shape, x.dtype)
    _norms.scaled(x, middle, scale, shift, output)
    with np.errstate(over="ignore"):
        output = output.reshape(input.shape).astype(input.dtype, copy=False)
    if moves:  # last, since they may be arrays that were needed: the weight or the input
        momentum = momentum if batches is None else 1 / int(batches)
        _move_towards(running_mean, mean, momentum)
        count = input.size // input.shape[1]
        _move_towards(running_var, var * (count / (count - 1)), momentum)  # the unbiased estimate
    return output, (x, mean, inverse, own)


def batch_norm_backward(grad_output, kept, weight, input_grad):
    """The gradients with respect to input (None if not wanted), weight and bias.

    With n = (x - mean) / std and g the gradient of n, that of x is (g - mean(g) - n * mean(g * n)) / std if mean and std are the
    batch's own, else g / std.
    """
    x, mean, inverse, own = kept
    if on_gpu(x):
        return gpu.load("norms").backward(grad_output, kept, weight, input_grad)
    g = np.ascontiguousarray(grad_output.reshape(x.shape), x.dtype)
    middle = mean.astype(x.dtype).astype(np.float64)
    bias_gradient, weight_gradient = _norms.products(g, x, middle)
    weight_gradient = (weight_gradient - (mean - middle) * bias_gradient) * inverse
    if not input_grad:
        return None, weight_gradient, bias_gradient
    scale = inverse if weight is None else inverse * weight
    result, zeros = empty(x.shape, x.dtype), np.zeros(len(scale))
    if own:
        count = x.shape[0] * x.shape[2]
        slope = -weight_gradient * inverse * scale / count
        _norms.combined(g, x, middle, scale, slope, (middle - mean) * slope - bias_gradient * scale / count, result)
    else:
        _norms.scaled(g, zeros, scale, zeros, result)
    with np.errstate(over="ignore"):
        return result.reshape(grad_output.shape).astype(grad_output.dtype, copy=False), weight_gradient, bias_gradient


def batch_statistics(input):
    """The mean and the variance of each channel, in double precision."""
    if not on_gpu(input):
        return _norms.statistics(_planes(input))
    import cupy

    mean, var = (cupy.zeros(input.shape[1], np.float64) for _ in range(2))
    count = input.size // input.shape[1]
    batch_norm_forward(input, mean, var, None, None, 1.0, 1.0)
    return mean, var * ((count - 1) / count) if count > 1 else cupy.zeros_like(var)


def _planes(input):
    """(batch, channels, positions), contiguous; half precision is computed in single precision."""
    planes = input.reshape(*input.shape[:2], prod(input.shape[2:]))
    return np.ascontiguousarray(planes, np.float32 if input.dtype == np.float16 else input.dtype)


def _move_towards(running, value, momentum):
    """running = (1 - momentum) * running + momentum * value, in place."""
    with np.errstate(over="ignore", invalid="ignore"):
        running += momentum * (value - running)

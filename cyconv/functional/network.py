"""What networks compute between convolutions and pools: activations, linear layers and losses; normalization.py has the norms.

Parts that a backward needs again (the layers of cyconv.nn call them) stand at the end of each section, under names that are not
exported. Arrays of the GPU are checked here and computed by softmax and activations of cyconv.gpu.
"""

from math import isfinite, prod

import numpy as np

from .. import gpu
from ..arguments import (
    FLOATS,
    GPU_ONLY,
    INTEGERS,
    as_array,
    check_cpu_dtype,
    check_out,
    dtype_name,
    flag,
    integer,
    one_of,
    shown,
)
from ..devices import device_of, is_chunked, on_gpu, where
from ..memory import empty
from .convolution import conv1d

__all__ = ["cross_entropy", "dropout", "linear", "log_softmax", "relu", "softmax"]

REDUCTIONS = ("mean", "sum")


# ---- linear --------------------------------------------------------------------------------------------------------------


def linear(input, weight, bias=None, *, allow_tf32=False):
    """Weighted sums of the last axis: input @ weight.T + bias.

    It runs as a convolution whose kernels have one tap: on the CPU on cyconv's threads, with the same bits at every number of them.

    Parameters
    ----------
    input : array_like
        (..., in_features). float16, float32, float64, complex64, complex128 or any integer type.
    weight : array_like
        (out_features, in_features), of the input's dtype.
    bias : array_like or None
        (out_features,), of the input's dtype.
    allow_tf32 : bool
        As in `conv1d`.

    Returns
    -------
    ndarray
        (..., out_features), of the input's dtype.

    Raises
    ------
    ValueError
        If shapes do not fit.
    TypeError
        If dtypes differ or are not supported.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> from cyconv.functional.network import linear
    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([0.5, 0.0]))
    array([[11.5,  2. ]])
    """
    device = device_of(input=input, weight=weight, bias=bias)
    input, weight = operand("input", input), operand("weight", weight)
    if weight.ndim != 2:
        raise ValueError(f"weight must have 2 axes, (out_features, in_features), got shape {weight.shape}")
    outputs, features = weight.shape
    lead = input.shape[:-1]
    if not input.ndim or input.shape[-1] != features:
        raise ValueError(f"input must be (..., {features}) for a weight of shape {weight.shape}, got shape {input.shape}")
    if device == "chunks":
        return in_chunks().linear(input, weight, bias, allow_tf32)
    return conv1d(input.reshape(prod(lead), features, 1), weight[:, :, None], bias, allow_tf32=allow_tf32).reshape(*lead, outputs)


# ---- activations ---------------------------------------------------------------------------------------------------------


def relu(input, *, out=None):
    """max(x, 0), element by element.

    Parameters
    ----------
    input : array_like
        Any shape; any floating or integer dtype.
    out : ndarray or None
        Where to write the result: its shape and dtype exactly. May be the input.

    Returns
    -------
    ndarray
        Of the input's shape and dtype. NaN stays NaN.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.network import relu
    >>> relu(np.array([-1.5, 0.0, 2.5]))
    array([0. , 0. , 2.5])
    """
    device = device_of(input=input, out=out)
    input = operand("input", input)
    dtype = dtype_name("input", input.dtype, FLOATS + INTEGERS, GPU_ONLY)
    if device == "chunks":
        return in_chunks().relu(input, dtype, out)
    if out is not None:
        check_out(out, input.shape, dtype)
    if device == "gpu":
        return gpu.load("activations").relu(input, out)
    check_cpu_dtype("input", dtype)
    return np.maximum(input, 0, out=empty(input.shape, input.dtype) if out is None else out)


def softmax(input, dim=-1):
    """exp(x) divided by its sum along one axis.

    Parameters
    ----------
    input : array_like
        Any shape but (); any floating dtype.
    dim : int, optional
        The axis.

    Returns
    -------
    ndarray
        Of the input's shape and dtype. float16 is computed in float32.

    Raises
    ------
    ValueError, TypeError
        If there is no such axis or the dtype is not floating.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.network import softmax
    >>> softmax(np.log([1.0, 3.0])).round(12)
    array([0.25, 0.75])
    """
    input, dim = _with_axis(input, dim)
    if is_chunked(input):
        return in_chunks().softmax(input, dim, logarithm=False)
    if on_gpu(input):
        return gpu.load("softmax").softmax(input, dim, logarithm=False)
    _, powers, total = exponentials(input, dim)
    powers /= total
    return powers.astype(input.dtype, copy=False)


def log_softmax(input, dim=-1):
    """The logarithm of `softmax`, without its underflow.

    Parameters
    ----------
    input : array_like
        Any shape but (); any floating dtype.
    dim : int, optional
        The axis.

    Returns
    -------
    ndarray
        Of the input's shape and dtype. float16 is computed in float32.

    Raises
    ------
    ValueError, TypeError
        If there is no such axis or the dtype is not floating.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.network import log_softmax
    >>> log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    input, dim = _with_axis(input, dim)
    if is_chunked(input):
        return in_chunks().softmax(input, dim, logarithm=True)
    if on_gpu(input):
        return gpu.load("softmax").softmax(input, dim, logarithm=True)
    shifted, _, total = exponentials(input, dim)
    with np.errstate(over="ignore", divide="ignore"):  # of half precision; of an axis without elements
        shifted -= np.log(total)
        return shifted.astype(input.dtype, copy=False)


def dropout(input, p=0.5, training=True, *, seed=None):
    """In training, sets each element to 0 with probability `p` and divides the others by 1 - p.

    Parameters
    ----------
    input : array_like
        Any shape; any floating dtype.
    p : float, optional
        0 to 1.
    training : bool, optional
        False: the result is the input.
    seed : None, int or numpy.random.Generator, optional
        Where the random numbers come from. They are others on the GPU than on the CPU, and others for dask arrays, but the same in every
        call with the same int: of the generator, one number is drawn there, by which the device, or each chunk, makes its own.

    Returns
    -------
    ndarray
        Of the input's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.network import dropout
    >>> sorted(set(dropout(np.ones(100), 0.75, seed=0).tolist()))
    [0.0, 4.0]
    """
    input, p = operand("input", input), check_probability("p", p)
    check_floating(input)
    if not flag("training", training):
        return input
    if is_chunked(input):
        return in_chunks().dropout(input, p, dropout_key(generator_of(seed)))
    if on_gpu(input):
        return gpu.load("activations").dropout(input, p, dropout_key(generator_of(seed)))
    mask = dropout_mask(input, p, generator_of(seed))
    with np.errstate(over="ignore", invalid="ignore"):  # infinity times 0
        return np.multiply(input, mask, out=mask)


def generator_of(seed):
    """The random generator that a seed stands for: None, an int, or a generator, which is shared."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(seed if seed is None else integer("seed", seed, 0, "None, an int or a numpy.random.Generator"))


def dropout_mask(input, p, generator):
    """What dropout multiplies an array with: 0 with probability p, else 1 / (1 - p)."""
    check_floating(input)
    dtype = input.dtype
    if p == 1:
        return np.zeros(input.shape, dtype)
    return np.multiply(generator.random(input.shape, dtype=np.float32) >= p, dtype.type(1 / (1 - p)), out=empty(input.shape, dtype))


def dropout_key(generator):
    """What decides which elements of an array on the GPU are dropped."""
    return generator.integers(2**64, dtype=np.uint64)


def operand(name, value):
    """`value` as an array of NumPy's or CuPy's, or as a dask array of such."""
    if not is_chunked(value):
        return as_array(name, value, gpu=True)
    return in_chunks().checked(name, value)


def in_chunks():
    """The functions for dask arrays."""
    from ..chunked import network

    return network


def check_floating(input, name="input"):
    """Raises unless the array has a floating dtype that is computed where it lies."""
    dtype = dtype_name(name, input.dtype, FLOATS, GPU_ONLY)
    if not on_gpu(getattr(input, "_meta", input)):
        check_cpu_dtype(name, dtype)


def check_probability(name, value):
    """`value` as a float from 0 to 1."""
    value = real(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}")
    return value


def check_eps(value):
    """`value` as a float of at least 0."""
    value = real("eps", value)
    if value < 0:
        raise ValueError(f"eps must be at least 0, got {value}")
    return value


def real(name, value):
    """`value` as a finite float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float can hold, got an int of {value.bit_length()} bits") from None
    if not isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}")
    return number


def _with_axis(input, dim):
    """The input as an array that has this axis."""
    input = operand("input", input)
    check_floating(input)
    dim = integer("dim", dim, -64)
    if not -input.ndim <= dim < input.ndim:
        raise ValueError(f"dim must be an axis of the input, got {dim} with shape {input.shape}")
    return input, dim


def exponentials(input, dim):
    """In at least single precision: x - max, exp(x - max) and the sum of that."""
    shifted = empty(input.shape, np.dtype(np.float32) if input.dtype == np.float16 else input.dtype)
    wide = input.astype(shifted.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity - infinity: all of that axis becomes NaN
        np.subtract(wide, wide.max(axis=dim, keepdims=True, initial=-np.inf), out=shifted)
    powers = np.exp(shifted)
    return shifted, powers, powers.sum(axis=dim, keepdims=True)


# ---- cross entropy -------------------------------------------------------------------------------------------------------


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """How far softmax(input) is from the classes that are right: -log of the probability that it gives them.

    Parameters
    ----------
    input : array_like
        Logits, (N, K) or (N, K, ...) for K classes; any floating dtype.
    target : array_like
        (N,) or (N, ...), of any integer dtype: the class of each, from 0 to K - 1.
    weight : array_like, optional
        (K,), of any floating dtype: how much each class counts.
    ignore_index : int, optional
        Targets of this number do not count.
    reduction : {"mean", "sum"}, optional
        Over all of them; a mean is divided by what they count together.
    label_smoothing : float, optional
        0 to 1: so much of the target is spread evenly over all classes (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking
        the Inception architecture", 2016).

    Returns
    -------
    float
        Summed in double precision. The mean of none is NaN. On the GPU a CuPy array of shape (), so that nobody waits for it; of dask
        arrays one of dask's, and a target that is no class raises when that is computed.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described. On the GPU nobody looks at the targets: one that is no class makes the result NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv.functional.network import cross_entropy
    >>> round(cross_entropy(np.log([[0.25, 0.75]]), np.array([1])), 6)  # -log(0.75)
    0.287682
    """
    smoothing = check_probability("label_smoothing", label_smoothing)
    arguments = check_class_weight(weight), check_index(ignore_index), check_reduction(reduction), smoothing
    if device_of(input=input, target=target, weight=weight) == "chunks":
        return in_chunks().cross_entropy(*check_targets(input, target, arguments[0]), *arguments)
    return cross_entropy_forward(input, target, *arguments)[0]


def check_reduction(value):
    return one_of("reduction", value, REDUCTIONS)


def check_index(value):
    return integer("ignore_index", value, -(2**62))


def check_class_weight(value):
    """None, or how much each class counts, in double precision."""
    if value is None:
        return None
    value = operand("weight", value)
    check_floating(value, "weight")
    if value.ndim != 1:
        raise ValueError(f"weight must have shape (K,), one number for each class, got {value.shape}")
    with where(value):
        return value.astype(np.float64)


def check_targets(input, target, weight):
    """Both as arrays; raises unless they and the weight fit."""
    input, target = operand("input", input), operand("target", target)
    if input.ndim < 2:
        raise ValueError(f"input must have shape (N, K) or (N, K, ...), got {input.shape}")
    dtype_name("target", target.dtype, INTEGERS)
    classes, shape = input.shape[1], input.shape[:1] + input.shape[2:]
    if target.shape != shape:
        raise ValueError(f"target must have shape {shape} for an input of shape {input.shape}, got {target.shape}")
    if weight is not None and len(weight) != classes:
        raise ValueError(f"weight must have shape ({classes},) for an input of shape {input.shape}, got {weight.shape}")
    check_floating(input)
    return input, target


def checked_classes(target, counted, classes):
    """The targets that are counted (None: all), and 0 for others, all of which must be classes."""
    if counted is not None:
        target = np.where(counted, target, 0)
    if target.size and not (0 <= target.min() and target.max() < classes):
        wrong = target[(target < 0) | (target >= classes)][0]
        raise ValueError(f"target must be from 0 to {classes - 1}, since the input has {classes} classes; got {wrong}")
    return target


def cross_entropy_forward(input, target, weight, ignore_index, reduction, smoothing):
    """The loss, and what its gradient needs: on the CPU probabilities, targets as indices along axis 1, how much each of them and each
    class counts (None: all the same), and what all is multiplied by."""
    device = device_of(input=input, target=target, weight=weight)
    input, target = check_targets(input, target, weight)
    if device == "gpu":
        return gpu.load("softmax").cross_entropy(input, target, weight, ignore_index, reduction, smoothing)
    classes = input.shape[1]
    counted = target != ignore_index
    if counted.all():
        counted = None
    target = checked_classes(target, counted, classes)
    shifted, powers, total = exponentials(input, 1)
    target = np.expand_dims(target.astype(np.intp, copy=False), 1)
    log_total, right = np.log(total), np.take_along_axis(shifted, target, 1)
    each = None
    if weight is not None or counted is not None:
        counted = np.ones(target.shape) if counted is None else np.expand_dims(counted, 1).astype(np.float64)
        each = counted if weight is None else counted * weight[target]
    each_class = None if weight is None else weight.reshape(classes, *(1,) * (input.ndim - 2))
    if each is None:
        loss = (1 - smoothing) * _difference(log_total, right)
        if smoothing:
            loss += smoothing * (float(log_total.sum(dtype=np.float64)) - float(shifted.sum(dtype=np.float64)) / classes)
    else:
        loss = (1 - smoothing) * float((each * (log_total - right)).sum())
        if smoothing:
            terms = log_total - shifted if weight is None else each_class * (log_total - shifted)
            loss += smoothing / classes * float((counted * terms).sum(dtype=np.float64))
    factor = 1.0
    if reduction == "mean":
        together = target.size if each is None else float(each.sum())
        factor = 1 / together if together else float("nan")
    powers /= total
    return loss * factor, (powers, target, each, counted, each_class, factor)


def _difference(a, b):
    """Of the sums, in double precision."""
    return float(a.sum(dtype=np.float64)) - float(b.sum(dtype=np.float64))


def cross_entropy_backward(kept, scale, smoothing):
    """The gradient with respect to the logits, times `scale`; may overwrite the probabilities."""
    if on_gpu(kept[0]):
        device_of(logits=kept[0], grad_output=scale if on_gpu(scale) else None)
        return gpu.load("softmax").cross_entropy_gradient(*kept, scale)
    probabilities, target, each, counted, each_class, factor = kept
    factor *= scale
    gradient, classes = probabilities, probabilities.shape[1]
    if each is not None:  # each counts differently: what its probabilities, and what its class, are multiplied by
        spread = smoothing / classes * counted
        gradient = probabilities * ((1 - smoothing) * each + spread * (classes if each_class is None else each_class.sum()))
        if smoothing:
            gradient -= spread if each_class is None else spread * each_class
        np.put_along_axis(gradient, target, np.take_along_axis(gradient, target, 1) - (1 - smoothing) * each, 1)
        return gradient * factor
    if smoothing:
        gradient -= smoothing / classes
    np.put_along_axis(gradient, target, np.take_along_axis(gradient, target, 1) - (1 - smoothing), 1)
    gradient *= factor
    return gradient

"""Batch normalisation of CuPy arrays: as batch_norm_forward and batch_norm_backward of functional/normalization.py, with kernels of norms.cu."""

from math import prod

import numpy as np

from ..devices import device_of
from . import costs
from .elements import wide
from .launch import REALS, TYPES, blocks, kernel, packed, word

THREADS, CHUNK = 256, 4096  # as in norms.cu
MOST_PIECES = 1024  # blocks that are enough for any device, and few enough for the warp that adds up what they found
MOST_BLOCKS = 16384  # of what goes over all elements: where one goes on, it need not divide


def forward(input, mean, var, weight, bias, eps, momentum=None, batches=None):
    """The output, and what the gradient needs; the arguments are those of normalization.batch_norm_forward."""
    import cupy

    with input.device:
        moves, x = momentum is not None or batches is not None, _planes(input)
        own = moves or mean is None
        weight, bias = (None if a is None else cupy.ascontiguousarray(a) for a in (weight, bias))
        kept = [cupy.empty(x.shape[1]) for _ in range(2)]
        factors = cupy.empty((3, x.shape[1]), _wide_dtype(x.dtype))
        output = cupy.empty(x.shape, x.dtype)
        running, found, sizes = _running(mean, var, x.dtype), None, _sizes(x)
        if x.size:
            if own:
                found = cupy.empty((3, x.shape[1], _pieces(x)))
                _launch("statistics", x)((blocks(found[0].size, 1),), (THREADS,), (sizes, x, found))
            kernel("norms", f"finish_statistics<{TYPES[x.dtype.name]}, {TYPES['float64' if running is None else running[0].dtype.name]}>")(
                (blocks(x.shape[1], 1),), (32,),
                (sizes, found, *(running or (None, None)), float(momentum or 0), batches, weight, bias, float(eps), *kept, factors),
            )  # fmt: skip
            _scale(x, x, factors, output)
            if moves and running[0] is not mean:
                mean[...], var[...] = running
        return output.reshape(input.shape), (x, *kept, own)


def backward(grad_output, kept, weight, input_grad):
    """The gradients with respect to input (None if not wanted), weight and bias."""
    import cupy

    x, mean, inverse, own = kept
    device_of(grad_output=grad_output, output=x)
    with x.device:
        g = cupy.ascontiguousarray(grad_output.reshape(x.shape))
        weight = None if weight is None else cupy.ascontiguousarray(weight)
        if not x.size:
            zeros = cupy.zeros(x.shape[1], x.dtype)
            return cupy.empty(grad_output.shape, x.dtype) if input_grad else None, zeros, zeros.copy()
        found, sizes = cupy.empty((2, x.shape[1], _pieces(x))), _sizes(x)
        gradients = [cupy.empty(x.shape[1], x.dtype) for _ in range(2)]
        factors = cupy.empty((4, x.shape[1]), _wide_dtype(x.dtype))
        _launch("products", x)((blocks(found[0].size, 1),), (THREADS,), (sizes, g, x, mean, found))
        _launch("finish_products", x)((blocks(x.shape[1], 1),), (32,), (sizes, found, mean, inverse, weight, int(own), *gradients, factors))
        if not input_grad:
            return None, *gradients
        result = cupy.empty(x.shape, x.dtype)
        _scale(g, x if own else g, factors, result, with_g=own)
        return result.reshape(grad_output.shape), *gradients


def _scale(g, x, factors, out, with_g=False):
    width = wide(x.shape[2], g, x, out)
    work = x.size // width
    kernel("norms", f"scaled<{TYPES[x.dtype.name]}, {width}, {word(with_g)}>")(
        (min(blocks(work, THREADS), MOST_BLOCKS),), (THREADS,), (_sizes(x), g, x, factors, out)
    )


def _launch(name, x):
    return kernel("norms", f"{name}<{TYPES[x.dtype.name]}>")


def _planes(input):
    """(batch, channels, positions), contiguous."""
    import cupy

    batch, channels = input.shape[:2]
    return cupy.ascontiguousarray(input.reshape(batch, channels, prod(input.shape[2:])))


def _sizes(x):
    return packed(x.shape, _pieces(x))


def _pieces(x):
    """Into how many parts the sums of a channel are cut."""
    batch, channels, positions = x.shape
    return max(1, min(-(-batch * positions // CHUNK), MOST_PIECES // max(channels, 1)))


def _running(mean, var, dtype):
    """Running averages as the kernel takes them: both of the input's dtype, else copies in double precision."""
    if mean is None:
        return None
    if mean.dtype == var.dtype == dtype and mean.flags.c_contiguous and var.flags.c_contiguous:
        return mean, var
    return mean.astype(np.float64, order="C"), var.astype(np.float64, order="C")


def _wide_dtype(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def instances():
    """All kernels that may be asked for: (file, expression)."""
    found = []
    for dtype in REALS:
        name, most = TYPES[dtype], 16 // costs.itemsize(dtype)
        found += [f"{kind}<{name}>" for kind in ("statistics", "products", "finish_products")]
        found += [f"finish_statistics<{name}, {running}>" for running in dict.fromkeys((name, "double"))]
        found += [f"scaled<{name}, {width}, {word(with_g)}>" for width in (1, most) for with_g in (False, True)]
    return [("norms", expression) for expression in found]

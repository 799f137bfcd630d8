"""ConvInteger and QLinearConv: convolutions of 8-bit integers, exact in 32 bits (modulo 2**32).

Zero points are taken off first, so that padding, which stands for the input's zero point, is zeros.
"""

import numpy as np

from .. import functional
from ..arguments import as_array, dtype_name
from .convolution import CONVOLUTIONS, conv_arguments
from .operator import Weighted

EIGHT_BITS = ("int8", "uint8")


def conv_integer(x, w, x_zero_point=None, w_zero_point=None, **attributes):
    """ONNX's ConvInteger: int32. Attributes as of `conv`."""
    return _convolved("ConvInteger", x, x_zero_point, w, w_zero_point, None, attributes, _unprepared)


def qlinear_conv(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, b=None, **attributes):
    """ONNX's QLinearConv. Attributes as of `conv`. Sums are scaled in float32 and rounded half to even, as in ONNX Runtime."""
    return _quantized(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, b, attributes, _unprepared)


def _unprepared(arrays, key, make):
    return None


def _quantized(x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, b, attributes, prepared):
    with np.errstate(all="ignore"):
        scale = np.float32(x_scale) * np.asarray(w_scale, np.float32) / np.float32(y_scale)
    if not np.isfinite(scale).all():
        raise ValueError(f"x_scale * w_scale / y_scale must be finite, got {scale}")
    sums = _convolved("QLinearConv", x, x_zero_point, w, w_zero_point, b, attributes, prepared)
    scaled = sums.astype(np.float32)
    scaled *= _per_channel("w_scale", scale, w.shape[0]).reshape(-1, *(1,) * (x.ndim - 2))
    zero = as_array("y_zero_point", y_zero_point)
    limits = np.iinfo(dtype_name("y_zero_point", zero.dtype, EIGHT_BITS))
    zero = int(_per_channel("y_zero_point", zero, 1)[0])
    np.rint(np.clip(scaled, limits.min - zero, limits.max - zero, out=scaled), out=scaled)
    scaled += zero
    return scaled.astype(limits.dtype)


def _convolved(operator, x, x_zero, w, w_zero, b, attributes, prepared):
    """The sums, of int32."""
    x, w = as_array("x", x), as_array("w", w)
    dtype_name("x", x.dtype, EIGHT_BITS), dtype_name("w", w.dtype, EIGHT_BITS)

    def make(arrays, shape):
        return functional.plan_conv(shape, *_weights(*arrays), **_arguments(operator, shape, w.shape, attributes))

    plan = prepared((w, w_zero, b), (x.shape,), make)
    x = _centred("x_zero_point", x, x_zero, 1)
    if plan is not None:
        return plan(x)
    arguments = _arguments(operator, x.shape, w.shape, attributes)
    return CONVOLUTIONS[x.ndim - 2](x, *_weights(w, w_zero, b), **arguments)


def _arguments(operator, x_shape, w_shape, attributes):
    defaults = dict.fromkeys(("dilations", "kernel_shape", "pads", "strides")) | {"auto_pad": "NOTSET", "group": 1}
    return conv_arguments(operator, x_shape, w_shape, **defaults | attributes)


def _weights(w, zero, b):
    if b is not None and b.dtype != np.int32:
        raise TypeError(f"B must have dtype int32, got {b.dtype}")
    return _centred("w_zero_point", w, zero, w.shape[0]), b


def _centred(name, x, zero, channels):
    """int32, less the zero point: one, or one for each output channel."""
    wide = x.astype(np.int32)
    if zero is not None:
        zero = as_array(name, zero)
        if zero.dtype != x.dtype:
            raise TypeError(f"{name} must have dtype {x.dtype} as what it belongs to, got {zero.dtype}")
        wide -= _per_channel(name, zero.astype(np.int32), channels).reshape(-1, *(1,) * (x.ndim - 1))
    return wide


def _per_channel(name, values, channels):
    values = np.asarray(values).reshape(-1)
    if values.size not in (1, channels):
        raise ValueError(f"{name} must be one number{f' or {channels}' * (channels > 1)}, got {values.size}")
    return values


class ConvInteger(Weighted):
    __doc__ = Weighted.__doc__

    def results(self, x, w, x_zero_point=None, w_zero_point=None, **attributes):
        return (_convolved("ConvInteger", x, x_zero_point, w, w_zero_point, None, attributes, self.prepared),)


class QLinearConv(Weighted):
    """As the others; `constant` takes the weight, its zero point, and the bias or None."""

    def results(self, x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b=None, **attributes):
        return (_quantized(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, b, attributes, self.prepared),)

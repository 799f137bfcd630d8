"""DeformConv: windows are sampled at places of their own, between the samples by linear interpolation; a product of matrices does the rest.

Beyond the input are zeros. A sample that a place lies on, or whose weight in the interpolation is 0 for another reason, does not meet its
neighbours, so that NaN and infinity stay where they would in Conv.
"""

from itertools import product
from math import prod

import numpy as np

from .. import functional
from ..arguments import FLOATS, as_array, dtype_name, integer
from ..problem import check_same_dtype
from .attributes import check_kernel_shape, ints, rank_of
from .operator import Weighted

BLOCK = 2**26  # bytes of columns at a time


def deform_conv(
    x, w, offset, b=None, mask=None, *, dilations=None, group=1, kernel_shape=None, offset_group=1, pads=None, strides=None
):
    """ONNX's DeformConv."""
    return _deformed(x, w, offset, b, mask, dilations, group, kernel_shape, offset_group, pads, strides, lambda *_: None)


def _deformed(x, w, offset, b, mask, dilations, group, kernel_shape, offset_group, pads, strides, prepared):
    rank = rank_of("DeformConv", x.shape)
    x, w, offset = as_array("X", x), as_array("W", w), as_array("offset", offset)
    check_same_dtype(dtype_name("X", x.dtype, FLOATS), w.dtype, None if b is None else b.dtype)
    kernel, pads = check_kernel_shape(kernel_shape, w.shape), ints("pads", pads, 2 * rank, 0, 0)
    stride, dilation = ints("strides", strides, rank), ints("dilations", dilations, rank)
    batch, channels, *size = x.shape
    if channels % integer("offset_group", offset_group, 1) or w.ndim != x.ndim or w.shape[1] * group != channels:
        raise ValueError(
            f"offset_group must divide the channels of X, and W be for them with group={group}; "
            f"got offset_group={offset_group}, X of shape {x.shape}, W of shape {w.shape}"
        )
    out = [
        (n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, d, b, a in zip(size, kernel, stride, dilation, pads, pads[rank:])
    ]
    taps, windows = prod(kernel), prod(out)
    _check("offset", offset, (batch, offset_group * taps * rank, *out))
    offset = offset.reshape(batch, offset_group, taps, rank, windows)
    if mask is not None:
        mask = _check("mask", as_array("mask", mask), (batch, offset_group * taps, *out)).reshape(batch, offset_group, taps, windows)
    begins = np.indices(out).reshape(rank, 1, windows) * np.array(stride).reshape(-1, 1, 1) - np.array(pads[:rank]).reshape(-1, 1, 1)
    steps = np.indices(kernel).reshape(rank, taps, 1) * np.array(dilation).reshape(-1, 1, 1)
    result = np.empty((batch, len(w), windows), x.dtype)
    computed = np.float64 if x.dtype == np.float64 else np.float32
    matrix, cast = w.reshape(len(w), prod(w.shape[1:]), 1).astype(computed, copy=False), None if b is None else b.astype(computed, copy=False)

    def make(arrays, shape):
        weight, bias = arrays
        return functional.plan_conv(shape, weight.reshape(len(weight), -1, 1), bias, dtype=computed, groups=group)

    def convolve(columns):
        plan = prepared((w, b), (columns.shape,), make)
        return functional.conv1d(columns, matrix, cast, groups=group) if plan is None else plan(columns)

    step = max(BLOCK // (channels * taps * np.dtype(computed).itemsize), 1)
    for n in range(batch):
        planes = x[n].reshape(offset_group, channels // offset_group, prod(size)).astype(computed, copy=False)
        for begin in range(0, windows, step):
            some = slice(begin, min(begin + step, windows))
            columns = np.empty((offset_group, channels // offset_group, taps, some.stop - begin), computed)
            for g in range(offset_group):
                places = begins[..., some] + steps + np.moveaxis(offset[n, g, ..., some], 1, 0)  # float64: rank, taps, windows
                columns[g] = _sampled(planes[g], size, places)
                if mask is not None:
                    columns[g] *= mask[n, g, :, some]
            result[n, :, some] = convolve(columns.reshape(1, channels * taps, -1))[0]
    return result.reshape(batch, len(w), *out)


def _check(name, array, shape):
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array


@np.errstate(invalid="ignore")
def _sampled(planes, size, places):
    """(channels, taps, windows): the planes (channels, samples) at `places`."""
    low = np.floor(places)
    total = np.zeros((len(planes), *places.shape[1:]), planes.dtype)
    for corner in product((0, 1), repeat=len(size)):
        weight, index = 1.0, 0
        for n, place, below, upper in zip(size, places, low, corner):
            sample, part = below + upper, place - below
            inside = (sample >= 0) & (sample < n)
            weight = weight * np.where(inside, part if upper else 1 - part, 0)
            index = index * n + np.where(inside, sample, 0).astype(np.intp)
        weight = weight.astype(planes.dtype)
        read = planes[:, index]
        total += np.multiply(read, weight, out=np.zeros_like(read), where=weight != 0)
    return total


class DeformConv(Weighted):
    __doc__ = Weighted.__doc__

    def results(self, x, w, offset, b=None, mask=None, **attributes):
        return (_deformed(x, w, offset, b, mask, **attributes, prepared=self.prepared),)

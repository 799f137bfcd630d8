"""Col2Im: columns back to an image of any number of axes."""

from math import prod

import numpy as np

from .. import functional
from ..arguments import as_array, integer
from .attributes import ints
from .operator import Operator


def col2im(x, image_shape, block_shape, *, dilations=None, pads=None, strides=None):
    """ONNX's Col2Im."""
    x = as_array("input", x)
    image, block = ([integer(name, n, 1) for n in value] for name, value in (("image_shape", image_shape), ("block_shape", block_shape)))
    rank = len(image)
    if not rank or len(block) != rank:
        raise ValueError(f"image_shape and block_shape must have one int per spatial axis, got {image} and {block}")
    pads = ints("pads", pads, 2 * rank, 0, 0)
    stride, dilation = ints("strides", strides, rank), ints("dilations", dilations, rank)
    before, after = pads[:rank], pads[rank:]
    if x.ndim != 3 or x.shape[1] % prod(block):
        raise ValueError(f"input must be (N, C * {prod(block)}, L), {prod(block)} being the product of block_shape; got shape {x.shape}")
    if rank <= 3 and before == after:
        return functional.fold(x, image, block, dilation, before, stride)
    padded = [n + b + a for n, b, a in zip(image, before, after)]
    folded = _folded(x, padded, block, dilation, stride)
    return folded[(..., *(slice(b, b + n) for n, b in zip(image, before)))]


def _folded(x, image, block, dilation, stride):
    """Without padding. Of more than three axes the last three are folded first, then what are channels to the others."""
    rank = len(image)
    if rank <= 3:
        return functional.fold(x, image, block, dilation, 0, stride)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(image, block, dilation, stride)]
    if min(counts) < 1 or x.shape[2] != prod(counts):
        raise ValueError(f"input must have {prod(max(m, 0) for m in counts)} columns for its padded image {image}, got shape {x.shape}")
    first, last, batch, channels = slice(None, rank - 3), slice(rank - 3, None), len(x), x.shape[1] // prod(block)
    taps, windows = prod(block[first]), prod(counts[first])
    x = x.reshape(batch, channels, taps, prod(block[last]), windows, prod(counts[last])).transpose(0, 1, 2, 4, 3, 5)
    x = x.reshape(batch, channels * taps * windows * x.shape[4], x.shape[5])
    x = functional.fold(x, image[last], block[last], dilation[last], 0, stride[last])
    x = x.reshape(batch, channels, taps, windows, prod(image[last])).transpose(0, 1, 4, 2, 3)
    x = _folded(x.reshape(batch, x.shape[1] * x.shape[2] * taps, windows), image[first], block[first], dilation[first], stride[first])
    return np.moveaxis(x.reshape(batch, channels, prod(image[last]), *image[first]), 2, -1).reshape(batch, channels, *image)


class Col2Im(Operator):
    def results(self, x, image_shape, block_shape, **attributes):
        return (col2im(x, image_shape, block_shape, **attributes),)

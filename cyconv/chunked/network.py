"""What networks compute between convolutions and pools, on dask arrays: activations, linear layers, losses and batch normalisation.

What is summed is summed along a contiguous axis that is all in one chunk, or block by block on a grid that depends on the whole array alone:
the order of additions, and so the bits, do not depend on chunks. Random numbers are functions of an element's place.
"""

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from .. import gpu
from ..arguments import as_array, check_cpu_dtype
from ..devices import namespace, on_gpu
from ..functional import network as functions
from ..functional.normalization import batch_norm_forward, batch_statistics
from ..problem import MAX_WORKSPACE
from .arrays import as_dask, check_no_out, device_of_chunks
from .blocks import Same, Windows
from .convolution import convolve
from .graph import Operation, build, check_chunks, empty, few_threads

SAMPLES = 2**16  # of a channel that are summed in one block,
CHANNELS = 16  # and how many channels are, if they have so many samples
_STEP = 2**18  # random numbers that are made at once
_MIXED = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def checked(name, value):
    """A dask array, of numbers whose bytes are in this machine's order."""
    check_chunks(name, value)
    dtype = as_array(name, value._meta, gpu=True).dtype
    return value if value.dtype == dtype else value.astype(dtype)


def relu(input, dtype, out):
    check_no_out(out)
    if not on_gpu(input._meta):
        check_cpu_dtype("input", dtype)
    return elementwise(functions.relu, input)


def elementwise(function, input, *arguments, **keywords):
    return input.map_blocks(function, *arguments, dtype=input.dtype, meta=input._meta, **keywords)


def linear(input, weight, bias, allow_tf32):
    """As a convolution of one tap; axes between the first and the features are its spatial ones."""
    import dask.array as da

    lead, features = input.shape[:-1], input.shape[-1]
    input = as_dask("input", input)
    if 0 in lead:
        input = da.zeros_like(input._meta, shape=(0, 1, features), chunks=-1)
    elif input.ndim > 5:
        input = input.reshape(-1, *input.shape[-4:])
    while input.ndim < 3:
        input = input[..., None, :]
    rank = input.ndim - 2
    input, weight = transposed(input, (0, rank + 1, *range(1, rank + 1))), weight[(..., *(None,) * rank)]
    result = convolve(rank, input, weight, bias, 1, 0, 1, 1, "zeros", "auto", "default", MAX_WORKSPACE, allow_tf32, None)
    result = transposed(result, (0, *range(2, rank + 2), 1))
    if len(lead) < 2:
        return result[(0,) * (1 - len(lead)) + (slice(None),) * len(lead) + (0,)]
    return result if result.shape[:-1] == lead else result.reshape(*lead, result.shape[-1])


def transposed(x, order):
    """As dask's, which asks NumPy what it makes of CuPy's chunks."""
    import dask.array as da

    return da.blockwise(transposed_block, order, x, tuple(range(x.ndim)), order=order, dtype=x.dtype, meta=x._meta.transpose(order))


def transposed_block(x, order):
    return x.transpose(order)


# ---- softmax and cross entropy -----------------------------------------------------------------------------------------------


def softmax(input, dim, logarithm):
    dim %= input.ndim
    return elementwise(softmax_of_block, input.rechunk({dim: -1}), dim, logarithm)


def softmax_of_block(x, dim, logarithm):
    """Along the last axis, where sums are added up in the same order however many stand beside each other."""
    return (functions.log_softmax if logarithm else functions.softmax)(x.swapaxes(dim, -1), -1).swapaxes(dim, -1)


def contiguous(x):
    if not on_gpu(x):
        return np.ascontiguousarray(x)
    import cupy

    return cupy.ascontiguousarray(x)


def cross_entropy(input, target, weight, ignore_index, reduction, smoothing):
    """The loss, of shape (): that of each place by itself, then their sums."""
    import dask.array as da

    device_of_chunks(input=input, target=target, weight=weight)
    input = as_dask("input", input).rechunk({1: -1})
    axes = tuple(range(input.ndim))
    rest = (axes[0], *axes[2:])
    target = as_dask("target", target).rechunk(tuple([input.chunks[axis] for axis in rest]))
    if weight is not None:
        weight = as_dask("weight", weight).rechunk(weight.shape)
    two = len(axes)
    meta = input._meta.astype(np.float64)
    each = da.blockwise(
        losses, (*rest, two), input, axes, target, rest, weight, None if weight is None else (1,), ignore_index=ignore_index, smoothing=smoothing,
        new_axes={two: 2}, concatenate=True, dtype=np.float64, meta=meta,
    )  # fmt: skip
    lengths = lengths_of(each.shape[:-1], SAMPLES)
    axes = [Windows(n, b, b, 0, -n % b) for n, b in zip(each.shape, lengths)]
    shape = (*[ceil(n / b) for n, b in zip(each.shape, lengths)], 2)
    sums = each
    if all(shape):
        sums = build("cross_entropy", Sums(shape, (np.dtype(np.float64),), (*axes, Same()), (1,) * len(axes) + (2,), False), each)[0]
    return sums.rechunk(sums.shape).map_blocks(loss, reduction, drop_axis=list(range(sums.ndim)), dtype=np.float64, meta=meta.reshape(-1)[:0].sum())


def losses(x, target, weight, ignore_index, smoothing):
    """Along one more axis: what each target adds to the loss, and how much it counts."""
    shape, classes = (*target.shape, 2), x.shape[1]
    x, target = contiguous(namespace(x).moveaxis(x, 1, -1)).reshape(target.size, classes), target.reshape(-1)
    if on_gpu(x):
        return gpu.load("softmax").losses(x, target, weight, ignore_index, smoothing)[0].T.reshape(shape)
    counted = target != ignore_index
    target = functions.checked_classes(target, counted, classes)
    shifted, _, total = functions.exponentials(x, -1)
    log_total, right = np.log(total)[:, 0].astype(np.float64), np.take_along_axis(shifted, target[:, None], 1)[:, 0]
    each = counted.astype(np.float64) if weight is None else counted * weight[target]
    found = each * (1 - smoothing) * (log_total - right)
    if smoothing and weight is None:
        found += counted * smoothing * (log_total - shifted.astype(np.float64).sum(-1) / classes)
    elif smoothing:
        found += counted * (smoothing / classes) * ((np.log(total) - shifted) * weight).sum(-1)
    return np.stack((found, each), -1).reshape(shape)


@dataclass(frozen=True)
class Sums(Operation):
    """Of blocks, for each index of the last axis."""

    def run(self, region, reads, ranges, terms):
        shape = [high - low for low, high in ranges]
        found = empty(region, shape, region.dtype)
        for i in range(shape[-1]):
            found[..., i] = contiguous(region[..., i]).sum()
        return (found,)


def loss(sums, reduction):
    total, together = (contiguous(sums[..., i]).sum() for i in range(2))
    if reduction == "mean":
        with np.errstate(all="ignore"):
            total = total / together
    return total


# ---- batch normalisation ---------------------------------------------------------------------------------------------------------


def batch_norm(input, mean, var, weight, bias, eps):
    """Without a mean and a variance, those of the input."""
    import dask.array as da

    device_of_chunks(input=input, running_mean=mean, running_var=var, weight=weight, bias=bias)
    input, axes = as_dask("input", input), tuple(range(input.ndim))
    if mean is None:
        mean, var = statistics(input)
    each = []
    for name, vector in (("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias)):
        each += [None, None] if vector is None else [as_dask(name, vector).rechunk((input.chunks[1],)), (1,)]
    return da.blockwise(normalised, axes, input, axes, *each, eps=eps, dtype=input.dtype, meta=input._meta)


def normalised(x, mean, var, weight, bias, eps):
    with few_threads():
        return batch_norm_forward(x, mean, var, weight, bias, eps)[0]


def statistics(input):
    """Mean and variance of each channel, both (C,) of double precision."""
    import dask.array as da

    channels, axes = input.shape[1], tuple(range(input.ndim))
    sizes = (input.shape[0], *input.shape[2:])
    lengths = lengths_of(sizes, SAMPLES)
    windows = [Windows(n, b, b, 0, -n % b) for n, b in zip(sizes, lengths)]
    shape = [ceil(n / b) for n, b in zip(sizes, lengths)]
    together = min(channels, max(CHANNELS, CHANNELS * SAMPLES // prod(lengths)))
    reads, block = (windows[0], Same(), *windows[1:]), (1, together, *(1,) * len(shape[1:]))
    operation = Statistics((shape[0], channels, *shape[1:]), (np.dtype(np.float64),) * 2, reads, block, False)
    found = [each.rechunk({axis: -1 for axis in axes if axis != 1}) for each in build("statistics", operation, input)]
    counts = np.ones(())
    for n, b in zip(sizes, lengths):
        counts = np.multiply.outer(counts, np.diff([*range(0, n, b), n]))
    meta = input._meta.reshape(-1)[:0].astype(np.float64)
    places = (0, 1, *range(3, input.ndim + 1))
    joined = da.blockwise(
        together_of, (2, 1), found[0], places, found[1], places, counts=counts.ravel(), new_axes={2: 2}, concatenate=True, dtype=np.float64,
        meta=meta.reshape(0, 1)[:, :0],
    )  # fmt: skip
    return joined[0], joined[1]


@dataclass(frozen=True)
class Statistics(Operation):
    """Mean and variance of blocks."""

    def run(self, region, reads, ranges, terms):
        return [each.reshape([high - low for low, high in ranges]) for each in batch_statistics(region)]


def together_of(means, variances, counts):
    """Mean and variance of all, from those of blocks; in the order of the blocks."""
    xp = namespace(means)
    means, variances = (contiguous(xp.moveaxis(each, 1, 0)).reshape(each.shape[1], -1) for each in (means, variances))
    counts = xp.asarray(counts)
    first = means[:, :1]
    mean = first + ((means - first) * counts).sum(-1)[:, None] / counts.sum()
    return xp.stack((mean[:, 0], ((variances + (means - mean) ** 2) * counts).sum(-1) / counts.sum()))


def lengths_of(shape, most):
    """Of blocks of at most so many elements, each as long as can be along the last axes."""
    found = []
    for length in reversed(shape):
        found.append(max(1, min(length, most)))
        most //= found[-1]
    return tuple(reversed(found))


# ---- dropout ---------------------------------------------------------------------------------------------------------------------


def dropout(input, p, key):
    strides = [prod(input.shape[axis + 1 :]) for axis in range(input.ndim)]
    return elementwise(dropped, input, p, int(key), strides)


def dropped(x, p, key, strides, block_info=None):
    """A block with some elements 0: those whose number, mixed with the key, is a small one.

    The mixture is that of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), whose n-th number needs no
    other one.
    """
    xp, result = namespace(x), empty(x, x.shape, x.dtype)
    places = block_info[0]["array-location"]
    shape = x.shape
    least, kept = np.uint64(ceil(p * 2**53)), x.dtype.type(1 / (1 - p) if p < 1 else 0)
    if not x.ndim:
        x, places, strides, result = x.reshape(1), [(0, 1)], [1], result.reshape(1)
    rows = max(1, _STEP // max(prod(x.shape[1:]), 1))
    for first in range(0, len(x), rows):
        part = x[first : first + rows]
        numbers = xp.full((1,) * x.ndim, key, np.uint64)
        for axis, ((start, stop), stride) in enumerate(zip(places, strides)):
            start, stop = (start + first, start + first + len(part)) if axis == 0 else (start, stop)
            along = xp.arange(start, stop, dtype=np.uint64) * np.uint64(stride) * _MIXED[0]
            numbers = numbers + along.reshape([-1 if each == axis else 1 for each in range(x.ndim)])
        for shift, factor in zip((30, 27), _MIXED[1:]):
            numbers ^= numbers >> np.uint64(shift)
            numbers *= factor
        numbers ^= numbers >> np.uint64(31)
        result[first : first + rows] = part * ((numbers >> np.uint64(11)) >= least).astype(x.dtype) * kept
    return result.reshape(shape)

"""Pools of windows and of whole planes, and MaxUnpool.

They are cyconv's pools with dilation for all kinds, and without torch's limit on padding. A last window of ceil_mode must start inside the input or
its left padding, as torch's. By ONNX's formulas ceil_mode changes nothing of auto_pad VALID and SAME, and SAME reckons with dilated windows;
ONNX Runtime rounds VALID up, and pads SAME as if there were no dilation.
"""

from functools import lru_cache
from math import prod

import numpy as np

from .. import functional
from .._calls import pool
from ..arguments import FLOATS, as_array, dtype_name, integer
from ..pool_problem import MAX_DTYPES, count_windows, make_pool_problem
from ..problem import CACHED, check_input_shape, resolve_padding
from .attributes import ints, padding_of, rank_of
from .operator import Operator

# ---- windows -------------------------------------------------------------------------------------------------------------


def _window_problem(rank, input, kind, kernel, stride, dilation, before, after, ceil_mode, with_indices, count_include_pad, divisor):
    """As pool_problem's, of arguments that have been checked: padding may be as long as every window holds a sample."""
    return _known_problem(
        rank, input.shape, input.dtype.name, kind, kernel, stride, dilation, before, after, ceil_mode,
        with_indices=with_indices, count_include_pad=count_include_pad, divisor_override=divisor,
    )  # fmt: skip


@lru_cache(CACHED)
def _known_problem(rank, shape, dtype, kind, kernel, stride, dilation, before, after, ceil_mode, **options):
    batched, batch, channels, size = check_input_shape(f"{kind} pool", rank, shape, least=1)
    axes = list(zip(range(rank), size, kernel, stride, before, after, dilation))
    out_size = [count_windows(*axis, ceil_mode) for axis in axes]
    for (axis, n, k, s, b, a, d), m in zip(axes, out_size):
        if b > d * (k - 1) or (m - 1) * s - b >= n or not taps_inside(n, k, s, b, 0, d, m).all():
            raise ValueError(f"pads {b} and {a} leave a window that holds no sample of spatial axis {axis}, whose size is {n}")
    stride = [s if m > 1 else 1 for s, m in zip(stride, out_size)]  # which kernels count on, as on no dilation of a single tap
    return make_pool_problem(
        kind, rank, batched, dtype, batch, channels, size, kernel, stride, dilation, before, after, (False,) * rank, out_size, **options
    )


def taps_inside(n, k, s, before, after, d, windows):
    """How many taps of each window of an axis lie in the input and `after` samples behind it, or before it if that is not 0."""
    start = np.arange(windows) * s - before
    first = np.maximum(-(start // d), 0)
    last = np.minimum((n + after - 1 - start) // d, k - 1)
    return np.maximum(last - first + 1, 0)


def _arguments(operator, x, auto_pad, dilations, kernel_shape, pads, strides):
    """Rank, kernel, stride, dilation, padding before and after, of each axis."""
    rank = rank_of(operator, x.shape)
    kernel = ints("kernel_shape", kernel_shape, rank, 1, None)
    if None in kernel:
        raise ValueError(f"kernel_shape must be {rank} ints, got {kernel_shape!r}")
    stride = ints("strides", strides, rank)
    dilation = tuple([d if k > 1 else 1 for d, k in zip(ints("dilations", dilations, rank), kernel)])
    pairs = resolve_padding(padding_of(auto_pad, pads, rank), rank, x.shape[2:], kernel, stride, dilation)
    return rank, kernel, stride, dilation, tuple([b for b, _ in pairs]), tuple([a for _, a in pairs])


def _ceil(ceil_mode, auto_pad):
    return bool(ceil_mode) and auto_pad in ("NOTSET", "", None)


def max_pool(
    x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, dilations=None, pads=None, storage_order=0, strides=None, return_indices=False
):
    """ONNX's MaxPool. Indices count through the whole input, planes of `storage_order` 1 by columns (the first spatial axis varies fastest)."""
    x = as_array("X", x)
    dtype_name("X", x.dtype, MAX_DTYPES)
    rank, *windows = _arguments("MaxPool", x, auto_pad, dilations, kernel_shape, pads, strides)
    result = pool(_window_problem, rank, x, ("max", *windows, _ceil(ceil_mode, auto_pad), bool(return_indices), False, None), "auto", None)
    if not return_indices:
        return result
    values, indices = result
    if storage_order not in (0, 1):
        raise ValueError(f"storage_order must be 0 or 1, got {storage_order!r}")
    size = x.shape[2:]
    if storage_order:
        indices = np.ravel_multi_index(np.unravel_index(indices, size), size, order="F")
    indices += np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * rank) * prod(size)
    return values, indices


def average_pool(
    x, *, kernel_shape, auto_pad="NOTSET", ceil_mode=0, count_include_pad=0, dilations=None, pads=None, strides=None
):
    """ONNX's AveragePool. What a window of ceil_mode has beyond the padding never counts, as in ONNX Runtime."""
    x = as_array("X", x)
    dtype_name("X", x.dtype, FLOATS)
    rank, *windows = _arguments("AveragePool", x, auto_pad, dilations, kernel_shape, pads, strides)
    include, ceil = bool(count_include_pad), _ceil(ceil_mode, auto_pad)
    if max(windows[2]) == 1:
        return _averages(x, rank, windows, ceil, include, None)
    sums = _sums(x.astype(np.float64, copy=False), rank, windows, ceil)
    for axis, (n, k, s, d, b, a, m) in enumerate(zip(x.shape[2:], *windows, sums.shape[2:])):
        # of padding that counts, the input is as much longer
        taps = taps_inside(n + b, k, s, 0, a, d, m) if include else taps_inside(n, k, s, b, 0, d, m)
        sums /= taps.reshape(-1, *(1,) * (rank - 1 - axis))
    return sums.astype(x.dtype, copy=False)


def _sums(x, rank, windows, ceil):
    return _averages(x, rank, windows, ceil, False, 1)


def _averages(x, rank, windows, ceil, include, divisor):
    # `sliding` does not average dilated windows; `pool` adds them up, but counts samples between the taps, too.
    algorithm = "auto" if max(windows[2]) == 1 else "pool"
    return pool(_window_problem, rank, x, ("average", *windows, ceil, False, include, divisor), algorithm, None)


def lp_pool(x, *, kernel_shape, p=2, auto_pad="NOTSET", ceil_mode=0, dilations=None, pads=None, strides=None):
    """ONNX's LpPool: of absolute values, unlike torch's; windows that are cut off are not scaled up. Computed in float64."""
    x = as_array("X", x)
    rank, *windows = _arguments("LpPool", x, auto_pad, dilations, kernel_shape, pads, strides)
    return _norms(x, p, lambda powers: _sums(powers, rank, windows, _ceil(ceil_mode, auto_pad)))


def _norms(x, p, summed):
    """(sum of |x|**p) ** (1/p), where `summed` makes the sums."""
    dtype_name("X", x.dtype, FLOATS)
    if not p >= 1:
        raise ValueError(f"p must be at least 1, got {p!r}")
    powers = x.astype(np.float64)
    with np.errstate(over="ignore"):
        np.square(powers, out=powers) if p == 2 else np.abs(powers, out=powers)
        if p > 2 or 1 < p < 2:
            np.power(powers, p, out=powers)
        sums = summed(powers)
        if p != 1:
            sums = np.sqrt(sums, out=sums) if p == 2 else np.power(sums, 1 / p, out=sums)
        return sums.astype(x.dtype, copy=False)


class MaxPool(Operator):
    def results(self, x, **attributes):
        if len(self.output) > 1 and self.output[1]:
            return max_pool(x, return_indices=True, **attributes)
        return (max_pool(x, **attributes),)


class AveragePool(Operator):
    def results(self, x, **attributes):
        return (average_pool(x, **attributes),)


class LpPool(Operator):
    def results(self, x, **attributes):
        return (lp_pool(x, **attributes),)


# ---- whole planes, of any number of axes ---------------------------------------------------------------------------------

_MAXIMA = {1: functional.adaptive_max_pool1d, 2: functional.adaptive_max_pool2d, 3: functional.adaptive_max_pool3d}
_AVERAGES = {1: functional.adaptive_avg_pool1d, 2: functional.adaptive_avg_pool2d, 3: functional.adaptive_avg_pool3d}


def _whole(x, pools):
    x = as_array("X", x)
    if x.ndim < 2:
        raise ValueError(f"X must be (N, C, ...), got shape {x.shape}")
    planes = x if x.ndim - 2 in pools else x.reshape(*x.shape[:2], prod(x.shape[2:]))
    return pools[planes.ndim - 2](planes, 1).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


def global_max_pool(x):
    """ONNX's GlobalMaxPool."""
    return _whole(x, _MAXIMA)


def global_average_pool(x):
    """ONNX's GlobalAveragePool."""
    return _whole(x, _AVERAGES)


def global_lp_pool(x, *, p=2):
    """ONNX's GlobalLpPool."""
    x = as_array("X", x)
    n = prod(x.shape[2:])
    windows = (n,), (1,), (1,), (0,), (0,)
    return _norms(x, p, lambda powers: _whole(powers, {1: lambda planes, _: _sums(planes, 1, windows, False)}))


class GlobalMaxPool(Operator):
    def results(self, x):
        return (global_max_pool(x),)


class GlobalAveragePool(Operator):
    def results(self, x):
        return (global_average_pool(x),)


class GlobalLpPool(Operator):
    def results(self, x, **attributes):
        return (global_lp_pool(x, **attributes),)


# ---- back ----------------------------------------------------------------------------------------------------------------


def max_unpool(x, indices, output_shape=None, *, kernel_shape, pads=None, strides=None):
    """ONNX's MaxUnpool.

    Indices count through the tensor that kernel, strides and pads lead back to; with another `output_shape`, that tensor stands at its
    beginning (so ONNX's own case; ONNX Runtime lets them count through the output).
    """
    x, indices = as_array("X", x), as_array("I", indices)
    _, kernel, stride, _, before, after = _arguments("MaxUnpool", x, "NOTSET", None, kernel_shape, pads, strides)
    size = [(n - 1) * s + k - b - a for n, k, s, b, a in zip(x.shape[2:], kernel, stride, before, after)]
    if indices.shape != x.shape:
        raise ValueError(f"I must have the shape of X, {x.shape}, got {indices.shape}")
    if min(size) < 1:
        raise ValueError(f"pads {before} and {after} leave nothing of X of shape {x.shape} with kernel_shape {kernel} and strides {stride}")
    shape, total = (*x.shape[:2], *size), prod(x.shape[:2]) * prod(size)
    if total < x.size:
        raise ValueError(f"X of shape {x.shape} has more samples than what it comes from, {shape}")
    if x.size:  # as a single row, in which any index may stand anywhere
        result = functional.max_unpool1d(x.reshape(1, -1), indices.reshape(1, -1), total - x.size + 1, 1).reshape(shape)
    else:
        result = np.zeros(shape, x.dtype)
    if output_shape is None:
        return result
    wanted = tuple([integer("output_shape", n, 0) for n in output_shape])
    if wanted == shape:
        return result
    if len(wanted) != x.ndim or wanted[:2] != shape[:2] or any(a < b for a, b in zip(wanted, shape)):
        raise ValueError(f"output_shape must be at least {shape}, with the same N and C, got {wanted}")
    larger = np.zeros(wanted, x.dtype)
    larger[tuple(map(slice, shape))] = result
    return larger


class MaxUnpool(Operator):
    def results(self, x, indices, output_shape=None, **attributes):
        return (max_unpool(x, indices, output_shape, **attributes),)

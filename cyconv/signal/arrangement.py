"""A part of the full convolution of two arrays, as one call of cyconv's convolution.

Of a full convolution, ``full[p] = sum over j of in1[p - j] * in2[j]``, n1 + n2 - 1 samples long along each axis, the modes are parts:

    'full'     all of it
    'same'     n1 samples from (n2 - 1) // 2 on: centred with respect to the full convolution
    LATER      n1 samples from n2 // 2 on: where scipy.signal.correlate2d centres them, unlike correlate
    'valid'    |n1 - n2| + 1 samples from min(n1, n2) - 1 on: those that see no border

One array becomes the input, the other one, reversed, the weight. Outputs p from `first` to `first + length` read samples
first - (k - 1) to first + length - 1 of an input of n samples: what is not there is padding, and what is not read is cut off.

Not every axis is slid along. Where an array is 1 long, or where an axis only broadcasts, there is nothing to sum, and the axis
becomes one of those that cyconv has for this:

    input long, weight 1         batch
    both long                    groups
    input 1, weight long         output channels

A fourth axis of a convolution becomes input channels: the windows along it are a view (`numpy.lib.stride_tricks`).
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from .. import _calls, select
from ..problem import CACHED, MAX_WORKSPACE, known_conv_problem
from .operands import is_finite
from .scipys_transforms import scipy_is_quicker, transformed

LATER = "same, the middle one sample later if it is between two"
_MOST_AXES = 4
_LARGEST = 16  # bytes of an element


class Arrangement(NamedTuple):  # quicker to import than a dataclass
    """How two arrays of given shapes become the operands of cyconv's convolution, and its result theirs. No arrays in it."""

    swapped: bool  # the second array is the input, the first one the weight
    outer: bool  # there is an axis along which the input is 1 long and the weight is not
    padded: bool  # zeros are multiplied with the weight
    rank: int  # spatial axes of the convolution; 0: nothing is summed, a product is all
    windows: tuple  # (axis, padding, taps) of the fourth axis; empty if there is none
    input_cut: tuple
    weight_cut: tuple
    input_order: tuple
    weight_order: tuple
    input_shape: tuple
    weight_shape: tuple
    padding: tuple  # as cyconv's argument
    groups: int
    result_shape: tuple  # before its axes go back to where they were
    result_order: tuple  # empty if they are there
    mode: str
    axes: tuple  # those to convolve along
    kept: dict  # what is remembered for each dtype


def parts(shape1, shape2, mode, axes):
    """(first, length) of each axis: which part of the full convolution `mode` is. Axes not in `axes` broadcast."""
    found = []
    for axis, (n, k) in enumerate(zip(shape1, shape2)):
        along = axis in axes and n > 1 and k > 1
        full = n + k - 1 if along else max(n, k)
        if mode == "same" or mode == LATER:
            found.append(((full - n + (mode == LATER)) // 2, n))
        elif mode == "valid" and along:
            found.append((min(n, k) - 1, abs(n - k) + 1))
        else:
            found.append((0, full))
    return found


@lru_cache(CACHED)
def arrange(shape1, shape2, mode, axes, swapped=None, plain=False):
    """The Arrangement of a convolution along `axes`, or None if there are too many of them, or windows that are no view and too many
    to be copied. No axis may be 0 long.

    swapped: as in Arrangement; by default the smaller array is the weight, since each of its elements is read for each output.
    plain: slide along all `axes`, since NaN or infinity times the zeros around an array that is 1 long is not nothing.
    """
    spatial = [axis for axis in axes if plain or shape1[axis] > 1 and shape2[axis] > 1]
    if len(spatial) > _MOST_AXES:
        return None
    spatial.sort()
    if swapped is None:
        swapped = prod(shape2[axis] for axis in spatial) > prod(shape1[axis] for axis in spatial)
    size, kernel = (shape2, shape1) if swapped else (shape1, shape2)
    rank = len(size)
    input_cut, weight_cut, padding, length = [], [], {}, {}
    for axis, (first, count) in enumerate(parts(shape1, shape2, mode, axes)):
        n, k = size[axis], kernel[axis]
        length[axis] = count
        if axis in spatial:
            start, stop = first - (k - 1), first + count
            input_cut.append(slice(max(start, 0), min(stop, n)))
            weight_cut.append(slice(None, None, -1))
            padding[axis] = (max(-start, 0), max(stop - n, 0))
        else:
            input_cut.append(slice(first, first + count) if n > 1 else slice(None))
            weight_cut.append(slice(first, first + count) if k > 1 else slice(None))
    others = [axis for axis in range(rank) if axis not in spatial]
    batch = [axis for axis in others if kernel[axis] == 1]
    groups = [axis for axis in others if kernel[axis] > 1 and size[axis] > 1]
    outputs = [axis for axis in others if kernel[axis] > 1 and size[axis] == 1]
    windows, channels = (), 1
    if len(spatial) == _MOST_AXES:
        unrolled = min(spatial, key=lambda axis: kernel[axis])
        spatial.remove(unrolled)
        channels = kernel[unrolled]
        windows = (unrolled, padding.pop(unrolled), channels)
        batch.append(unrolled)
    read = {axis: input_cut[axis].stop - input_cut[axis].start for axis in spatial}
    here = [rank] if windows else []  # sliding_window_view puts the windows' samples last
    taps = [windows[0]] if windows else []
    order = (*batch, *groups, *outputs, *spatial)
    input_shape = (
        prod(length[axis] for axis in batch),
        prod(length[axis] for axis in groups) * channels,
        *(read[axis] for axis in spatial),
    )
    if windows and (len(batch) > 1 or groups) and prod(input_shape) * _LARGEST > MAX_WORKSPACE:
        return None
    return Arrangement(
        swapped=swapped,
        outer=bool(outputs),
        padded=any(sum(pair) for pair in padding.values()) or bool(windows) and any(windows[1]),
        rank=len(spatial),
        windows=windows,
        input_cut=tuple(input_cut),
        weight_cut=tuple(weight_cut),
        # the weight's own axes are 1 long in the input, and the other way round
        input_order=(*outputs, *batch, *groups, *here, *spatial),
        weight_order=(*(axis for axis in batch if axis not in taps), *groups, *outputs, *taps, *spatial),
        input_shape=input_shape,
        weight_shape=(prod(length[axis] for axis in groups + outputs), channels, *(kernel[axis] for axis in spatial)),
        padding=_short([padding[axis] for axis in spatial]),
        groups=prod(length[axis] for axis in groups),
        result_shape=tuple(length[axis] for axis in order),
        result_order=() if order == tuple(range(rank)) else tuple(sorted(range(rank), key=order.__getitem__)),
        mode=mode,
        axes=axes,
        kept={},
    )


def _short(pairs):
    """Padding in one number per axis, where that says it: cyconv looks such calls up faster."""
    return tuple(before for before, _ in pairs) if all(before == after for before, after in pairs) else tuple(pairs)


def arranged(in1, in2, mode, swapped=False):
    """The Arrangement of a convolution along all axes, with NaN and infinity where they are if zeros around one array are data.

    That is if in2 (swapped: in1) is multiplied with them, wherever it stands. Other roles give other NaN, and the same numbers.
    """
    axes = tuple(range(in1.ndim))
    found = arrange(in1.shape, in2.shape, mode, axes)
    if found is None or mode == "valid" or found.swapped == swapped and not found.outer or is_finite(in1) and is_finite(in2):
        return found
    return arrange(in1.shape, in2.shape, mode, axes, swapped, plain=True)


def convolved(arrangement, in1, in2, algorithm="auto", precision="default", padding_mode="zeros", name="fftconvolve"):
    """The part of the convolution of two arrays of one dtype that the arrangement is for; by SciPy's `name` where that is quicker."""
    if not arrangement.rank:
        with np.errstate(all="ignore"):  # as a sum of one product
            return np.multiply(*_cut(arrangement, in1, in2))
    if precision == "default" and padding_mode == "zeros" and left_to_scipy(arrangement, in1, in2, algorithm):
        result = _transformed(name, arrangement, in1, in2)
        if algorithm == "fft" or is_finite(result):
            return result
        weight = _weight(arrangement, in1, in2)  # NaN and infinity are where the sum has them
        algorithm = select.choose(_problem(arrangement, in1.dtype, "zeros"), "auto", weight, finite=False).name
    input, weight = _operands(arrangement, in1, in2)
    result = _calls.convolve(
        arrangement.rank, input, weight, None, 1, arrangement.padding, 1, arrangement.groups,
        padding_mode, algorithm, precision, MAX_WORKSPACE, False, None,
    )  # fmt: skip
    result = result.reshape(arrangement.result_shape)
    return np.ascontiguousarray(result.transpose(arrangement.result_order)) if arrangement.result_order else result


def left_to_scipy(arrangement, in1, in2, algorithm="auto", padding_mode="zeros"):
    """Whether `convolved` takes SciPy's transforms. Only kernels whose values decide whether cyconv is quicker are looked at."""
    key = in1.dtype, algorithm, padding_mode
    known = arrangement.kept.get(key)
    if known is None:
        problem = _problem(arrangement, in1.dtype, padding_mode)
        known = arrangement.kept[key] = [
            scipy_is_quicker(problem, in1.shape, in2.shape, arrangement.axes, algorithm, any_weight) for any_weight in (True, False)
        ]
    if known[0] == known[1]:
        return known[0]
    return not select.choose(_problem(arrangement, in1.dtype, padding_mode), "auto", _weight(arrangement, in1, in2)).weights


def chosen(arrangement, in1, in2):
    """The name of the algorithm that `convolved` would take."""
    if not arrangement.rank:
        return "direct"
    if left_to_scipy(arrangement, in1, in2):
        return "fft"
    return select.choose(_problem(arrangement, in1.dtype, "zeros"), "auto", _weight(arrangement, in1, in2)).name


def _cut(arrangement, in1, in2):
    input, weight = (in2, in1) if arrangement.swapped else (in1, in2)
    return input[arrangement.input_cut], weight[arrangement.weight_cut]


def _operands(arrangement, in1, in2):
    input, weight = _cut(arrangement, in1, in2)
    if arrangement.windows:
        axis, padding, taps = arrangement.windows
        if any(padding):
            input = np.pad(input, [padding if each == axis else (0, 0) for each in range(input.ndim)])
        input = np.lib.stride_tricks.sliding_window_view(input, taps, axis)
    return (
        input.transpose(arrangement.input_order).reshape(arrangement.input_shape),
        weight.transpose(arrangement.weight_order).reshape(arrangement.weight_shape),
    )


def _weight(arrangement, in1, in2):
    return _cut(arrangement, in1, in2)[1].transpose(arrangement.weight_order).reshape(arrangement.weight_shape)


def _transformed(name, arrangement, in1, in2):
    mode, axes = arrangement.mode, arrangement.axes
    if mode != LATER:
        return transformed(name, in1, in2, mode, axes)
    cut = tuple(slice(first, first + length) for first, length in parts(in1.shape, in2.shape, mode, axes))
    return transformed(name, in1, in2, "full", axes)[cut].copy()


def _problem(arrangement, dtype, padding_mode):
    """As the call looks it up."""
    return known_conv_problem(
        arrangement.rank, arrangement.input_shape, arrangement.weight_shape, None, dtype, dtype, None,
        1, arrangement.padding, 1, arrangement.groups, padding_mode, "default", MAX_WORKSPACE,
    )  # fmt: skip

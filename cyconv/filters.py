"""Sliding filters of N-d arrays, by the pools' algorithms: which axes go together, and in which order."""

from dataclasses import replace

import numpy as np

from . import _calls
from .arguments import check_out, delivered
from .devices import on_gpu

_SHORT = 16  # a last axis of fewer samples, along which nothing is done, makes rows that are not worth a loop


def run(filter, input, output):
    """The filtered array: `output`, if that is given."""
    if output is not None:
        check_out(output, input.shape, input.dtype.name, "output")
    if not on_gpu(input):
        return _run(filter, input, output, _calls)
    from .gpu import pools

    with input.device:
        return _run(filter, input, output, pools)


def _run(filter, input, output, device):
    """The same; `device` is the module that makes arrays (`empty`) and pools them (`pooled`) where the input lies."""
    if input.dtype.kind == "c":
        result = device.empty(tuple([n if border else n - k + 1 for n, k, border in zip(input.shape, filter.size, filter.border)]), input.dtype)
        for part, kept, cval in ((input.real, result.real, filter.cval.real), (input.imag, result.imag, filter.cval.imag)):
            kept[...] = _run(replace(filter, cval=cval), part, None, device)
        return delivered(result, output)
    passes = _passes(filter, input)
    result = input
    if len(passes) > 1 and input.dtype == np.float32 and filter.kind == "average":
        result = input.astype(np.float64)  # so that it is rounded once
    for axes in passes:
        result = _along(filter, result, axes, device)
    result = result.astype(input.dtype, copy=False)
    if output is None:
        return result.copy() if result is input or not result.flags.c_contiguous else result
    return delivered(result, output)


def _passes(filter, input):
    """Axes that are filtered together: three at most; of integer averages one, since SciPy rounds after each, in the caller's order."""
    most = 1 if filter.kind == "average" and input.dtype.kind in "iu" else 3
    axes = [axis for axis in (filter.order if most == 1 else range(input.ndim)) if filter.size[axis] > 1]
    return [tuple(axes[i : i + most]) for i in range(0, len(axes), most)] if input.size else []


def _along(filter, input, axes, device):
    """Three axes at the end are what a pool slides along; those before them are its batch and its channels, or are gone through one by one."""
    rank = input.ndim
    if rank <= 3 and (rank - 1 in axes or input.shape[-1] >= _SHORT):
        spatial = tuple(range(rank))  # nothing is done along some of them
    else:
        spatial = axes
    lead = tuple(axis for axis in range(rank) if axis not in spatial)
    moved = input.transpose(lead + spatial)
    made = [n if filter.border[axis] or axis not in axes else n - filter.size[axis] + 1 for axis, n in zip(lead + spatial, moved.shape)]
    result = device.empty(tuple(made), input.dtype)
    sized = filter.of_axes(spatial, axes)
    outer = max(len(lead) - 2, 0)
    for index in np.ndindex(moved.shape[:outer]):
        part, to = (_five_axes(array[index], len(spatial)) for array in (moved, result))
        device.pooled(sized.problem(part.shape, input.dtype.name), part, "auto", to)
    return result.transpose(tuple([(lead + spatial).index(axis) for axis in range(rank)]))


def _five_axes(array, spatial):
    """A view with unit axes before the spatial ones, and before the others."""
    lead = array.ndim - spatial
    return array[(*(None,) * (2 - lead), *(slice(None),) * lead, *(None,) * (3 - spatial))]

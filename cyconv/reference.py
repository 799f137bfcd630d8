"""Obvious NumPy for every operation and option: the oracle of the tests, and the last row of the menu.

Never optimised. Single and half precision are summed in double precision, so that what differs from it is the other's
error. Integers are summed in their own dtype, modulo 2**n.
"""

import itertools

import numpy as np

from . import costs

_WIDER = {"float16": "float64", "float32": "float64", "complex64": "complex128"}
_NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


# ---- convolution -------------------------------------------------------------------------------------------------------


def why_not(problem):
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    padded = problem.batch * problem.groups * problem.in_channels * np.prod(
        [n + b + a for n, b, a in zip(problem.size, problem.pad_before, problem.pad_after)], dtype=object
    )
    return costs.reference(problem), int(2 * 8 * (padded + problem.outputs))


def prepare(problem, weight):
    return weight


def run(problem, input, weight, bias, out):
    """Writes the result to `out`."""
    p = problem
    dtype = _WIDER.get(p.dtype, p.dtype)
    x = input.reshape(p.batch, p.groups, p.in_channels, *p.size).astype(dtype)
    x = pad(x, p.pad_before, p.pad_after, p.padding_mode)
    w = weight.reshape(p.groups, p.out_channels, p.in_channels, *p.kernel).astype(dtype)
    result = np.zeros((p.batch, p.groups, p.out_channels, *p.out_size), dtype)
    for tap in itertools.product(*map(range, p.kernel)):
        begin = [j * d for j, d in zip(tap, p.dilation)]
        window = tuple(slice(b, b + (m - 1) * s + 1, s) for b, m, s in zip(begin, p.out_size, p.stride))
        result += np.einsum("ngczyx,goc->ngozyx", x[(..., *window)], w[(..., *tap)])
    if bias is not None:
        result += bias.astype(dtype).reshape(p.groups, p.out_channels, 1, 1, 1)
    out[...] = result.reshape(out.shape).astype(p.dtype)


def pad(x, before, after, mode):
    """np.pad of the last axes; negative amounts crop."""
    widths = [(0, 0)] * (x.ndim - len(before)) + [(max(b, 0), max(a, 0)) for b, a in zip(before, after)]
    if any(map(any, widths)):
        x = np.pad(x, widths, mode=_NUMPY_MODES[mode])
    crop = tuple(slice(max(-b, 0), x.shape[i - len(before)] - max(-a, 0)) for i, (b, a) in enumerate(zip(before, after)))
    return x[(..., *crop)]


def conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation):
    """Adds weight * input to wherever each input element reaches. Tuples of one int per spatial axis; input (N, C, ...)."""
    dtype = _WIDER.get(input.dtype.name, input.dtype.name)
    rank = weight.ndim - 2
    n, channels, *size = input.shape
    kernel = weight.shape[2:]
    full = [(m - 1) * s + d * (k - 1) + 1 + o for m, s, d, k, o in zip(size, stride, dilation, kernel, output_padding)]
    x = input.reshape(n, groups, channels // groups, *size).astype(dtype)
    w = weight.reshape(groups, channels // groups, weight.shape[1], *kernel).astype(dtype)
    result = np.zeros((n, groups, weight.shape[1], *full), dtype)
    for tap in itertools.product(*map(range, kernel)):
        reached = tuple(slice(j * d, j * d + (m - 1) * s + 1, s) for j, d, m, s in zip(tap, dilation, size, stride))
        result[(..., *reached)] += np.einsum("ngc...,gco->ngo...", x, w[(..., *tap)])
    result = result[(..., *(slice(p, length - p) for p, length in zip(padding, full)))]
    result = result.reshape(n, groups * weight.shape[1], *result.shape[3:])
    if bias is not None:
        result = result + bias.astype(dtype).reshape(-1, *(1,) * rank)
    return result.astype(input.dtype)

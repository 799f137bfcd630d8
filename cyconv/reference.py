"""Obvious NumPy for every operation and option: the oracle of the tests, and the last row of the menu.

Never optimised. Single and half precision are summed in double precision, so that what differs from it is the other's
error. Integers are summed in their own dtype, modulo 2**n.
"""

import itertools
from dataclasses import replace
from fractions import Fraction
from math import log, prod
from types import SimpleNamespace

import numpy as np

from . import costs

_WIDER = {"float16": "float64", "float32": "float64", "complex64": "complex128"}
_NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


# ---- convolution -------------------------------------------------------------------------------------------------------


def why_not(problem):
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    padded = problem.batch * problem.groups * problem.in_channels
    padded *= prod(n + b + a for n, b, a in zip(problem.size, problem.pad_before, problem.pad_after))
    return costs.seconds("reference", amounts(problem)), int(2 * 8 * (padded + problem.outputs))


def amounts(problem):
    """The work, as costs.py counts it."""
    padded = problem.batch * problem.groups * problem.in_channels
    padded *= prod(n + max(b, 0) + max(a, 0) for n, b, a in zip(problem.size, problem.pad_before, problem.pad_after))
    return {
        "call": 1,
        "tap": problem.taps,
        "loop": problem.multiply_adds / max(problem.out_size[2], 1),
        "multiply_add": problem.multiply_adds,
        "copied": padded + problem.outputs * (problem.taps + 1),
    }


def prepare(problem, weight):
    return weight


def run(problem, input, weight, bias, out):
    """Writes the result to `out`."""
    p = problem
    dtype = _WIDER.get(p.dtype, p.dtype)
    x = input.reshape(p.batch, p.groups, p.in_channels, *p.size).astype(dtype, order="C")
    x = pad(x, p.pad_before, p.pad_after, p.padding_mode)
    w = weight.reshape(p.groups, p.out_channels, p.in_channels, *p.kernel).astype(dtype, order="C")
    result = np.zeros((p.batch, p.groups, p.out_channels, *p.out_size), dtype)
    with np.errstate(all="ignore"):
        for (tap, window), (images, channels) in itertools.product(_windows_of_taps(p), _parts(p)):
            result[images, :, channels] += np.einsum("ngczyx,goc->ngozyx", x[(images, ..., *window)], w[:, channels][(..., *tap)])
        if bias is not None:
            result += bias.astype(dtype).reshape(p.groups, p.out_channels, 1, 1, 1)
        out[...] = result.reshape(out.shape).astype(p.dtype)


def _parts(p):
    """Slices of images and of output channels that NumPy multiplies in a tenth of a second or so: between them Python looks at Ctrl-C."""
    each = max(p.groups * p.in_channels * prod(p.out_size), 1)
    channels = min(max(2**26 // each, 1), max(p.out_channels, 1))
    images = min(max(2**26 // (each * channels), 1), max(p.batch, 1))
    cuts = (range(0, p.batch, images), images), (range(0, p.out_channels, channels), channels)
    return itertools.product(*[[slice(begin, begin + step) for begin in starts] for starts, step in cuts])


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


def conv_input_gradient(problem, weight, grad_output):
    """The gradient of a convolution with respect to its input: what comes back through each tap, then through the padding."""
    p = problem
    dtype = _WIDER.get(p.dtype, p.dtype)
    g = grad_output.reshape(p.batch, p.groups, p.out_channels, *p.out_size).astype(dtype)
    w = weight.reshape(p.groups, p.out_channels, p.in_channels, *p.kernel).astype(dtype)
    lengths = [n + b + a for n, b, a in zip(p.size, p.pad_before, p.pad_after)]
    result = np.zeros((p.batch, p.groups, p.in_channels, *lengths), dtype)
    for tap, window in _windows_of_taps(p):
        result[(..., *window)] += np.einsum("ngozyx,goc->ngczyx", g, w[(..., *tap)])
    for axis, (n, before, after) in enumerate(zip(p.size, p.pad_before, p.pad_after), start=3):
        samples = pad(np.arange(n), (before,), (after,), p.padding_mode)
        inside = np.ones(len(samples), bool)
        if p.padding_mode == "zeros":
            inside[:before] = inside[before + n :] = False
        folded = np.zeros((n, *np.moveaxis(result, axis, 0).shape[1:]), dtype)
        np.add.at(folded, samples[inside], np.moveaxis(result, axis, 0)[inside])
        result = np.moveaxis(folded, 0, axis)
    return result.reshape(p.input_shape).astype(p.dtype)


def conv_weight_gradient(problem, input, grad_output):
    """The gradient of a convolution with respect to its weight: the products of grad_output and what each tap reads, added up."""
    p = problem
    dtype = _WIDER.get(p.dtype, p.dtype)
    x = input.reshape(p.batch, p.groups, p.in_channels, *p.size).astype(dtype)
    x = pad(x, p.pad_before, p.pad_after, p.padding_mode)
    g = grad_output.reshape(p.batch, p.groups, p.out_channels, *p.out_size).astype(dtype)
    result = np.zeros((p.groups, p.out_channels, p.in_channels, *p.kernel), dtype)
    for tap, window in _windows_of_taps(p):
        result[(..., *tap)] = np.einsum("ngozyx,ngczyx->goc", g, x[(..., *window)])
    return result.reshape(p.weight_shape).astype(p.dtype)


def _windows_of_taps(p):
    """Each tap, and the samples of the padded input that it reads."""
    for tap in itertools.product(*map(range, p.kernel)):
        begin = [j * d for j, d in zip(tap, p.dilation)]
        yield tap, tuple(slice(b, b + (m - 1) * s + 1, s) for b, m, s in zip(begin, p.out_size, p.stride))


# ---- pooling -----------------------------------------------------------------------------------------------------------


def pool_windows(p, axis):
    """Per output of an axis: a slice of the samples that its window holds, and how many an average counts there."""
    names = ("size", "kernel", "stride", "dilation", "pad_before", "pad_after", "out_size")
    n, k, s, d, before, after, outputs = (getattr(p, name)[axis] for name in names)
    for o in range(outputs):
        if p.adaptive[axis]:
            begin, end = o * n // outputs, -((o + 1) * -n // outputs)
            yield slice(begin, end), end - begin
            continue
        begin = o * s - before
        end = begin + d * (k - 1) + 1
        inside = slice(begin if begin >= 0 else begin % d, min(end, n), d)
        yield inside, min(end, n + after) - begin if p.count_include_pad else len(range(n)[inside])


def pool(problem, input, out, indices=None):
    """Pools window by window, all planes at once, into `out` and `indices`."""
    p = problem
    x = input.reshape(p.planes, *p.size)
    if any(p.border):
        x, p = _with_borders(p, x)
    result = np.empty((p.planes, *p.out_size), p.dtype)
    found = np.empty(result.shape, np.int64) if p.with_indices else None
    axes = [enumerate(pool_windows(p, axis)) for axis in range(3)]
    for (z, (zs, zc)), (y, (ys, yc)), (column, (xs, xc)) in itertools.product(*axes):
        window = x[:, zs, ys, xs].reshape(p.planes, -1)
        if p.kind in ("max", "min"):
            winner = _last_nan_or_first(np.argmax if p.kind == "max" else np.argmin, window)
            result[:, z, y, column] = window[np.arange(p.planes), winner]
            if p.with_indices:
                kept = [range(n)[s] for n, s in zip(p.size, (zs, ys, xs))]  # whose numbers would fill the memory, as an array of the plane
                at = np.unravel_index(winner, tuple(map(len, kept)))
                found[:, z, y, column] = np.ravel_multi_index([k.start + k.step * a for k, a in zip(kept, at)], p.size)
        elif p.kind == "average":
            with np.errstate(all="ignore"):
                result[:, z, y, column] = _average(window, p.divisor_override or zc * yc * xc)
        else:
            result[:, z, y, column] = _norm(window, p.norm_type, prod(p.kernel))
    out[...] = result.reshape(out.shape)
    if p.with_indices:
        indices[...] = found.reshape(indices.shape)


def _with_borders(p, x):
    """The input with what lies beyond it, and the problem that remains."""
    for axis, sides in enumerate(zip(p.pad_before, p.pad_after)):
        widths = [(0, 0)] * (axis + 1) + [sides] + [(0, 0)] * (2 - axis)
        mode = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(p.border[axis], p.border[axis])
        x = np.pad(x, widths, mode=mode, **({"constant_values": p.cval} if mode == "constant" else {}))
    return x, replace(p, size=x.shape[1:], pad_before=(0, 0, 0), pad_after=(0, 0, 0), border=("", "", ""), kept={})


def _last_nan_or_first(extreme, rows):
    nan = np.isnan(rows)
    last_nan = rows.shape[1] - 1 - np.argmax(nan[:, ::-1], axis=1)
    return np.where(nan.any(axis=1), last_nan, extreme(rows, axis=1))


def _average(rows, divisor):
    if rows.dtype.kind == "c":
        return _average(rows.real, divisor) + 1j * _average(rows.imag, divisor)
    if rows.dtype.kind == "f":
        return rows.sum(axis=1, dtype=np.float64) / divisor
    total = rows.sum(axis=1, dtype=np.uint64 if rows.dtype.kind == "u" else np.int64)
    quotients = [abs(int(t)) // abs(divisor) * (1 if (t < 0) == (divisor < 0) else -1) for t in total]
    return np.array([q % 2**64 for q in quotients], np.uint64).astype(rows.dtype)


def _norm(rows, p, full):
    """The average of the p-th powers, times the size of a whole window also where it is cut off, to the power of 1/p."""
    rows = rows.astype(np.float64)
    with np.errstate(all="ignore"):
        if np.isinf(p):
            return np.abs(rows).max(axis=1) if p > 0 else np.abs(rows).min(axis=1)
        return _root(np.power(rows, p).sum(axis=1) * (full / rows.shape[1]), p)


def _root(sums, p):
    """sums ** (1/p), with what 1 / p is rounded by put right."""
    power = 1 / p
    missed = float(1 / Fraction(p) - Fraction(power)) * log(2)
    roots = sums**power
    return np.where(np.isfinite(roots), roots + roots * (missed * np.frexp(sums)[1]), roots)


def _pool_cost(problem):
    samples = problem.outputs * prod(min(k, n) for k, n in zip(problem.kernel, problem.size))
    return 1e-4 + 1e-5 * prod(problem.out_size) + 5e-9 * samples, 2 * 8 * (problem.planes * prod(problem.size) + problem.outputs)  # last of the menu, roughly


pooling = SimpleNamespace(why_not=why_not, cost=_pool_cost, run=pool)  # the menu's row


def max_unpool(input, indices, size):
    """Zeros of spatial size `size`, with each value at its index; the last of several at one place stays."""
    lead = input.shape[: input.ndim - len(size)]
    out = np.zeros((prod(lead), prod(size)), input.dtype)
    for plane, at, values in zip(out, indices.reshape(len(out), -1), input.reshape(len(out), -1)):
        for index, value in zip(at, values):
            plane[index] = value
    return out.reshape(*lead, *size)


def max_pool_input(size, indices, grad_output):
    """The gradient of a max pool with respect to an input of spatial size `size`: what comes to each index, added up in order."""
    lead = grad_output.shape[: grad_output.ndim - len(size)]
    sums = np.zeros((prod(lead), prod(size)), np.float32 if grad_output.dtype == np.float16 else grad_output.dtype)
    for plane, at, values in zip(sums, indices.reshape(len(sums), -1), grad_output.reshape(len(sums), -1)):
        np.add.at(plane, at, values)
    return sums.reshape(*lead, *size).astype(grad_output.dtype)


def avg_pool_input(problem, grad_output):
    """The gradient of an average pool with respect to its input: what comes to each window, divided, to all of its samples."""
    p = problem
    g = grad_output.reshape(p.planes, *p.out_size).astype(_WIDER.get(p.dtype, p.dtype))
    result = np.zeros((p.planes, *p.size), g.dtype)
    axes = [enumerate(pool_windows(p, axis)) for axis in range(3)]
    for (z, (zs, zc)), (y, (ys, yc)), (x, (xs, xc)) in itertools.product(*axes):
        result[:, zs, ys, xs] += (g[:, z, y, x] / (p.divisor_override or zc * yc * xc))[:, None, None, None]
    return result.reshape(p.input_shape).astype(p.dtype)


def lp_pool_input(problem, input, grad_output):
    """The gradient of a power-average pool with respect to its input: each window's derivatives times what comes to it."""
    p, norm = problem, problem.norm_type
    x = input.reshape(p.planes, *p.size).astype(np.float64)
    g = grad_output.reshape(p.planes, *p.out_size).astype(np.float64)
    result = np.zeros(x.shape)
    axes = [enumerate(pool_windows(p, axis)) for axis in range(3)]
    for (z, (zs, _)), (y, (ys, _)), (column, (xs, _)) in itertools.product(*axes):
        window = x[:, zs, ys, xs]
        rows = window.reshape(p.planes, -1)
        if np.isinf(norm):
            winner = np.abs(rows).argmax(axis=1) if norm > 0 else np.abs(rows).argmin(axis=1)
            slopes = np.where(np.arange(rows.shape[1]) == winner[:, None], np.sign(rows), 0)
        elif norm == 1:
            slopes = np.full(rows.shape, prod(p.kernel) / rows.shape[1])
        else:
            with np.errstate(all="ignore"):
                root = _norm(rows, norm, prod(p.kernel))[:, None]
                slopes = prod(p.kernel) / rows.shape[1] * root ** (1 - norm) * rows ** (norm - 1)
            slopes = np.where(root == 0, 0, slopes)
        result[:, zs, ys, xs] += (g[:, z, y, column, None] * slopes).reshape(window.shape)
    return result.reshape(p.input_shape).astype(p.dtype)

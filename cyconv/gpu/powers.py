"""Gradients of power-average pools of CuPy arrays: a thin launcher of powers.cu, and of spread.cu, which sums what that makes of windows."""

from dataclasses import replace
from math import isinf

import numpy as np

from ..arguments import delivered
from ..problem import MAX_WORKSPACE
from .calls import room
from .launch import REALS, TYPES, kernel, packed, word
from .layout import strides
from .places import THREADS, walk
from .spread import powers
from .spread import run as spread_out
from .windows import axes, five_axes


def norm(problem, input, grad_output, out):
    """The gradient of the power-average pool that `problem` describes, a few planes at a time if there are many windows."""
    p = problem
    with input.device:
        result = room(p.input_shape, p.dtype, out, input, grad_output)
        if not p.outputs:
            result[...] = 0
            return delivered(result, out)
        arrays = [five_axes(p, a) for a in (input, grad_output, result)]
        some = max(1, MAX_WORKSPACE // (8 * (p.outputs // p.planes)))
        run = _extremes if isinf(p.norm_type) else _powers
        for block in _blocks(p, some):
            part = [a[block] for a in arrays]
            batch, channels = part[0].shape[:2]
            run(replace(p, batch=batch, channels=channels, kept={}), *part)
        return delivered(result, out)


def _blocks(problem, some):
    """Slices of batch and channels that have so many planes at most."""
    p = problem
    if some >= p.channels:
        return [slice(n, min(n + some // p.channels, p.batch)) for n in range(0, p.batch, some // p.channels)]
    return [(slice(n, n + 1), slice(c, min(c + some, p.channels))) for n in range(p.batch) for c in range(0, p.channels, some)]


def _powers(problem, input, grad_output, out):
    import cupy

    p = problem
    found = cupy.empty((p.batch, p.channels, *p.out_size), np.float64)
    grid, struct = _struct(p, False, input, grad_output, out)
    kernel("powers", _factors(p.dtype))((grid,), (THREADS,), (struct, np.float64(p.norm_type), input, grad_output, found))
    spread_out(p, powers(p.dtype), p.norm_type - 1, found, input, out)


def _extremes(problem, input, grad_output, out):
    import cupy

    p = problem
    won = cupy.empty((p.batch, p.channels, *p.out_size), np.int64)
    grid, struct = _struct(p, False, input, grad_output, out)
    kernel("powers", _winners(p.dtype, p.norm_type > 0))((grid,), (THREADS,), (struct, input, won))
    grid, struct = _struct(p, True, input, grad_output, out)
    kernel("powers", _returned(p.dtype))((grid,), (THREADS,), (struct, input, grad_output, won, out))


def _struct(problem, of_samples, input, grad_output, out):
    p = problem
    outs, samples = (walk(p.batch, p.channels, *size) for size in (p.out_size, p.size))
    struct = packed(outs[1], samples[1], *axes(p), strides(input), strides(grad_output), strides(out))
    return (samples if of_samples else outs)[0], struct


def _factors(dtype):
    return f"factors<{TYPES[dtype]}>"


def _winners(dtype, largest):
    return f"winners<{TYPES[dtype]}, {word(largest)}>"


def _returned(dtype):
    return f"returned<{TYPES[dtype]}>"


def instances():
    """All kernels that may be asked for: (file, expression)."""
    names = [name(dtype) for dtype in REALS for name in (_factors, _returned)]
    return [("powers", name) for name in names + [_winners(dtype, largest) for dtype in REALS for largest in (True, False)]]

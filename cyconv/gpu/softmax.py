"""Softmax, its logarithm and cross entropy of CuPy arrays, with kernels of softmax.cu; the functions are those of functional/network.py."""

from math import prod

import numpy as np

from .launch import REALS, TYPES, blocks, kernel, packed, word

THREADS = 256


def softmax(input, dim, logarithm):
    import cupy

    with input.device:
        x, result = cupy.ascontiguousarray(input), cupy.empty(input.shape, input.dtype)
        _launch("softmax", x, dim % x.ndim, f", {word(logarithm)}", x, result)
        return result


def cross_entropy(input, target, weight, ignore_index, reduction, smoothing):
    """The loss, of shape (), and what its gradient needs."""
    with input.device:
        found, kept = losses(input, target, weight, ignore_index, smoothing)
        loss, all_together = found[0].sum(), None
        if reduction == "mean":
            all_together = found[1].sum()
            loss = loss / all_together  # 0 / 0 of none
        return loss, (*kept, smoothing, ignore_index, all_together)


def losses(input, target, weight, ignore_index, smoothing):
    """(2, targets): what each of them adds to the loss, and how much it counts; and what the gradient needs."""
    import cupy

    with input.device:
        x, target, rows = cupy.ascontiguousarray(input), _classes(target), target.size
        weight = None if weight is None else cupy.ascontiguousarray(weight)
        kept, found = cupy.empty((2, rows), np.float64 if x.dtype == np.float64 else np.float32), cupy.empty((2, rows))
        if rows and not x.size:  # no class is right
            found.fill(np.nan)
        _entropy("cross_entropy", (x, target, weight, kept), smoothing, 1.0, ignore_index, found)
        return found, (x, target, weight, kept)


def cross_entropy_gradient(x, target, weight, kept, smoothing, ignore_index, all_together, scale):
    """The gradient with respect to x, times `scale`, a float or an array of shape (), which nobody waits for."""
    import cupy

    with x.device:
        if isinstance(scale, cupy.ndarray):  # what the kernel divides by
            all_together, scale = (1 if all_together is None else all_together) / scale, 1.0
        result = cupy.empty(x.shape, x.dtype)
        _entropy("cross_entropy_gradient", (x, target, weight, kept), smoothing, scale, ignore_index, all_together, result)
        return result


def _entropy(name, arrays, smoothing, factor, ignore_index, *more):
    numbers = np.array([smoothing, factor], np.float64).view("V16")
    _launch(name, arrays[0], 1, "", numbers, ignore_index, *arrays, *more)


def _launch(name, x, axis, more, *arguments):
    outer, classes, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    if x.size:
        lanes = _lanes(classes, inner)
        kernel("softmax", f"{name}<{TYPES[x.dtype.name]}, {lanes}{more}>")(
            (blocks(outer * inner, THREADS // lanes),), (THREADS,), (packed(outer, classes, inner), *arguments)
        )


def _lanes(classes, inner):
    """Threads that share a row."""
    if inner >= 32 and classes <= 4096:
        return 1
    return 32 if classes <= 1024 else 256


def _classes(target):
    """Targets as contiguous int64; those that are beyond it become what is no class."""
    import cupy

    if target.dtype == np.uint64:
        target = cupy.minimum(target, np.uint64(2**63 - 1))
    return cupy.ascontiguousarray(target, np.int64)


def instances():
    """All kernels that may be asked for: (file, expression)."""
    kinds = [*(("softmax", f", {word(logarithm)}") for logarithm in (False, True)), ("cross_entropy", ""), ("cross_entropy_gradient", "")]
    return [
        ("softmax", f"{name}<{TYPES[dtype]}, {lanes}{more}>") for name, more in kinds for dtype in REALS for lanes in (1, 32, 256)
    ]

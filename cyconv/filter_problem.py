"""Sliding filters of N-d arrays, as scipy.ndimage's maximum_filter, minimum_filter and uniform_filter: all checks.

A filter is a pool of stride 1 whose windows go on beyond the array: output o covers samples o - size // 2 - origin + j for j < size.
"""

import numbers
from dataclasses import dataclass
from math import prod

import numpy as np

from .arguments import INTEGERS, check_bytes, dtype_name, integer, shown
from .devices import on_gpu
from .pool_problem import BORDERS, PoolProblem

EXTREME_DTYPES = ("float32", "float64") + INTEGERS + ("bool",)
UNIFORM_DTYPES = ("float32", "float64", "complex64", "complex128") + INTEGERS
_GRID = {"grid-mirror": "reflect", "grid-constant": "constant", "grid-wrap": "wrap"}  # other names of the same
_WORDS = BORDERS + tuple(_GRID)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is done along each axis of an array, in the array's own order."""

    kind: str  # "max", "min" or "average"
    size: tuple  # 1 where nothing is done
    border: tuple  # of BORDERS; "" where windows stay inside the array, so that the result is shorter
    origin: tuple
    cval: object  # of the array's dtype
    order: tuple = ()  # of the axes that are filtered, as the caller has them

    def of_axes(self, spatial, axes):
        """The filter of three axes, of which the last are `spatial`; something is done only along `axes`."""
        ones = (1,) * (3 - len(spatial))
        return Filter(
            self.kind,
            ones + tuple(self.size[a] if a in axes else 1 for a in spatial),
            ("nearest",) * len(ones) + tuple(self.border[a] for a in spatial),
            (0,) * len(ones) + tuple(self.origin[a] if a in axes else 0 for a in spatial),
            self.cval,
        )

    def problem(self, shape, dtype):
        """The PoolProblem of a filter of three axes and an array (batch, channels, *spatial)."""
        size, spatial = self.size, tuple(shape[2:])
        before = tuple(k // 2 + o if border else 0 for k, o, border in zip(size, self.origin, self.border))
        after = tuple(k - 1 - b if border else 0 for k, b, border in zip(size, before, self.border))
        if self.kind != "average":  # two lengths of the array hold all that there is beyond it
            before, after = (tuple(min(r, 2 * n) for r, n in zip(reach, spatial)) for reach in (before, after))
            size = tuple(b + 1 + a if border else k for b, a, k, border in zip(before, after, size, self.border))
        made = tuple(b + n + a - k + 1 for b, n, a, k in zip(before, spatial, after, size))
        return PoolProblem(
            self.kind, 3, True, dtype, shape[0], shape[1], spatial, size, (1,) * 3, (1,) * 3, before, after, (False,) * 3, made,
            prod(shape) * (prod(size[:2]) + size[2]), count_include_pad=True, border=self.border, cval=self.cval,
        )  # fmt: skip


def filter_problem(kind, input, size, footprint, output, mode, cval, origin, axes):
    """Checks the arguments of a filter of an array (only its shape and dtype are looked at)."""
    dtype = dtype_name("input", input.dtype, UNIFORM_DTYPES if kind == "average" else EXTREME_DTYPES)
    if footprint is not None:
        raise ValueError("footprint is not supported, only size: windows of ones; use scipy.ndimage for others")
    if size is None:
        raise ValueError("size must be given: footprint is not supported")
    if output is not None and not isinstance(output, np.ndarray) and not on_gpu(output):
        raise TypeError(f"output must be None or an array of the input's dtype, not {shown(output)}: results of another dtype are not supported")
    axes = _axes(axes, input.ndim)
    sizes = _each("size", size, axes, _at_least_1)
    words = _each("mode", mode, axes, _border)
    origins = _each("origin", origin, axes, lambda v: integer("origin", v, -(2**62), "an int or a sequence of ints"))
    for k, o in zip(sizes, origins):
        if not 0 <= k // 2 + o < k:
            raise ValueError(f"origin must be at least {-(k // 2)} and at most {(k - 1) // 2} for size {k}, got {o}")
    if kind == "average":
        _check_reach(sizes, axes, input.shape)
    done = dict(zip(axes, zip(sizes, words, origins)))
    per_axis = [done.get(axis, (1, "nearest", 0)) for axis in range(input.ndim)]
    check_bytes(input.shape, np.dtype(dtype).itemsize, "the result")
    return Filter(kind, *(tuple(part) for part in zip(*per_axis)) if per_axis else ((), (), ()), _cval(cval, np.dtype(dtype)), axes)


def _check_reach(sizes, axes, shape):
    """Averages count all samples of a window, also those that lie beyond the array, and so must go through them."""
    for k, axis in zip(sizes, axes):
        if k > max(64 * shape[axis], 1024):
            raise ValueError(f"size of an average must be at most 1024, or 64 times the array's length; got {k} for axis {axis} of length {shape[axis]}")


def _at_least_1(value):
    return integer("size", value, 1, "an int or a sequence of ints, at least 1")


def _border(word):
    if not isinstance(word, str) or word not in _WORDS:
        raise ValueError(f"mode must be one of {', '.join(map(repr, _WORDS))}, or a sequence of them; got {shown(word)}")
    return _GRID.get(word, word)


def _axes(axes, rank):
    if axes is None:
        return tuple(range(rank))
    if isinstance(axes, (tuple, list)) or isinstance(axes, np.ndarray) and axes.ndim == 1:
        given = tuple(axes)
    else:
        given = (axes,)
    found = tuple(integer("axes", axis, -rank, f"None, an int or a tuple of ints of an array of {rank} axes") for axis in given)
    if any(axis >= rank for axis in found):
        raise ValueError(f"axes must be at least {-rank} and below {rank}, got {shown(axes)}")
    found = tuple(axis % rank for axis in found)
    if len(set(found)) != len(found):
        raise ValueError(f"axes must differ, got {shown(axes)}")
    return found


def _each(name, value, axes, check):
    """One checked value per axis."""
    if not (isinstance(value, (tuple, list)) or isinstance(value, np.ndarray) and value.ndim == 1):
        return (check(value),) * len(axes)
    values = tuple(value)
    if len(values) != len(axes):
        raise ValueError(f"{name} must be one value or a sequence of {len(axes)}, one for each axis that is filtered; got {shown(value)}")
    return tuple(map(check, values))


def _cval(cval, dtype):
    """As a number of the dtype, which must be able to hold it."""
    number = cval[()] if isinstance(cval, np.ndarray) and cval.ndim == 0 else cval
    if not isinstance(number, (numbers.Number, np.bool_)) or isinstance(number, numbers.Complex) and number.imag and dtype.kind != "c":
        raise TypeError(f"cval must be a {'' if dtype.kind == 'c' else 'real '}number, got {shown(cval)}")
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(number if dtype.kind == "c" else number.real).astype(dtype)[()]
        held = value == number if dtype.kind in "iub" else np.isfinite(value) or not np.isfinite(number)
    except (TypeError, ValueError, OverflowError):
        held = False
    if not held:
        raise ValueError(f"cval must be a number that {dtype} can hold, got {shown(cval)}")
    return value.item()

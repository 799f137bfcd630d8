"""What unfold and fold are asked for, as frozen values: their validation and shape arithmetic, as in problem.py.

Along each axis, with n samples (unfold's input, fold's output), kernel k, dilation d, stride s and p zeros on either
side, there are m = (n + 2p - d*(k - 1) - 1) // s + 1 windows; sample j of window o is sample o*s + j*d - p of the axis.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .arguments import COMPLEX, FLOATS, GPU_ONLY, INTEGERS, SIZE_LIMIT, check_bytes, dtype_name, integers, shown

UNFOLD_DTYPES = FLOATS + COMPLEX + INTEGERS + ("bool",)
FOLD_DTYPES = FLOATS + COMPLEX + INTEGERS
CACHED = 256  # problems remembered; a bound, so that a million different shapes leave nothing behind


@dataclass(frozen=True, slots=True)
class FoldProblem:
    """Images (batch, channels, *size) on one side, columns (batch, channels * taps, windows) on the other."""

    batched: bool  # whether the caller's input has a batch axis
    dtype: str
    batch: int
    channels: int
    size: tuple  # of an image
    kernel: tuple
    dilation: tuple
    padding: tuple
    stride: tuple
    counts: tuple  # windows along each axis

    @property
    def image_shape(self):
        return self._shape(self.channels, *self.size)

    @property
    def columns_shape(self):
        return self._shape(self.channels * prod(self.kernel), prod(self.counts))

    def _shape(self, *shape):
        return (self.batch, *shape) if self.batched else shape

    def taps(self):
        """For each tap: its index, the windows in which it stands inside the image, and the samples it meets there."""
        along = []
        for n, k, d, p, s, m in zip(self.size, self.kernel, self.dilation, self.padding, self.stride, self.counts):
            along.append([])
            for j in range(k):
                first = max(-((j * d - p) // s), 0)  # ceil((p - j*d) / s)
                last = min((n - 1 + p - j * d) // s, m - 1)
                begin = first * s + j * d - p
                if first <= last:
                    along[-1].append((j, slice(first, last + 1), slice(begin, begin + (last - first) * s + 1, s)))
        for places in product(*along):
            yield tuple(zip(*places))


def unfold_problem(input, kernel_size, dilation, padding, stride):
    """Checks the arguments of `unfold` (only the input's shape and dtype are looked at)."""
    dtype = dtype_name("input", input.dtype, UNFOLD_DTYPES, GPU_ONLY)
    return _unfold_problem(input.shape, dtype, *_windows(kernel_size, dilation, padding, stride))


def fold_problem(input, output_size, kernel_size, dilation, padding, stride):
    """Checks the arguments of `fold` (only the input's shape and dtype are looked at)."""
    dtype = dtype_name("input", input.dtype, FOLD_DTYPES, GPU_ONLY)
    windows = _windows(kernel_size, dilation, padding, stride)
    return _fold_problem(input.shape, dtype, _per_axis("output_size", output_size, len(windows[0]), 1), *windows)


def _windows(kernel_size, dilation, padding, stride):
    """Kernel, dilation, padding and stride as tuples; the kernel's length tells the number of spatial axes."""
    rank = len(kernel_size) if isinstance(kernel_size, (tuple, list)) or isinstance(kernel_size, np.ndarray) and kernel_size.ndim else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"kernel_size must be an int (two spatial axes) or 1 to 3 ints, got {rank} values: {shown(kernel_size)}")
    kernel = integers("kernel_size", kernel_size, rank, 1)
    others = (("dilation", dilation, 1), ("padding", padding, 0), ("stride", stride, 1))
    return kernel, *(_per_axis(name, value, rank, least) for name, value, least in others)


def _per_axis(name, value, rank, least):
    """An int, or exactly one per axis."""
    values = integers(name, value, rank, least)
    if (isinstance(value, (tuple, list)) or isinstance(value, np.ndarray) and value.ndim) and len(value) != rank:
        raise ValueError(f"{name} must be an int or {rank} ints, as many as kernel_size has, got {shown(value)}")
    return values


@lru_cache(CACHED)
def _unfold_problem(shape, dtype, kernel, dilation, padding, stride):
    rank = len(kernel)
    axes = ", ".join(("D", "H", "W")[3 - rank :]) if rank > 1 else "L"
    _check_shape("unfold", shape, rank + 1, f"(N, C, {axes}) or (C, {axes}) for a kernel_size of {rank} ints")
    batched = len(shape) == rank + 2
    size = shape[len(shape) - rank :]
    counts = _counts(size, kernel, dilation, padding, stride, "the input")
    problem = FoldProblem(
        batched, dtype, shape[0] if batched else 1, shape[-rank - 1], size, kernel, dilation, padding, stride, counts
    )
    check_bytes(problem.columns_shape, np.dtype(dtype).itemsize, "the result")
    return problem


@lru_cache(CACHED)
def _fold_problem(shape, dtype, size, kernel, dilation, padding, stride):
    _check_shape("fold", shape, 2, "(N, C * kernel, windows) or (C * kernel, windows)")
    rows, windows = shape[-2:]
    if rows % prod(kernel):
        raise ValueError(
            f"input of fold must have a multiple of {prod(kernel)} rows, the product of kernel_size {kernel}; got shape {shape}"
        )
    counts = _counts(size, kernel, dilation, padding, stride, "output_size")
    if windows != prod(counts):
        raise ValueError(
            f"input of fold must have {prod(counts)} columns ({' * '.join(map(str, counts))} windows of an output_size {size}), "
            f"got shape {shape}"
        )
    batched = len(shape) == 3
    problem = FoldProblem(
        batched, dtype, shape[0] if batched else 1, rows // prod(kernel), size, kernel, dilation, padding, stride, counts
    )
    check_bytes(problem.image_shape, np.dtype(dtype).itemsize, "the result")
    return problem


def _check_shape(name, shape, unbatched, allowed):
    if len(shape) not in (unbatched, unbatched + 1) or 0 in shape[len(shape) - unbatched :]:
        raise ValueError(f"input of {name} must have shape {allowed}, where only N may be 0; got {shape}")


def _counts(size, kernel, dilation, padding, stride, what):
    counts = []
    for axis, (n, k, d, p, s) in enumerate(zip(size, kernel, dilation, padding, stride)):
        span = d * (k - 1) + 1
        if n + 2 * p >= SIZE_LIMIT:
            raise ValueError(f"padding {p} makes spatial axis {axis} longer than 2**62")
        if span > n + 2 * p:
            raise ValueError(
                f"kernel_size {k} with dilation {d} covers {span} samples along spatial axis {axis}; "
                f"{what} with its padding has {n + 2 * p} (size {n}, padding {p})"
            )
        counts.append((n + 2 * p - span) // s + 1)
    return tuple(counts)

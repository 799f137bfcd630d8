"""Lengths that fft_passes.pxd transforms, and what it multiplies with."""

from functools import lru_cache

import numpy as np

LEAST = 16  # rows and columns of what is turned in squares: whole vectors on all instruction sets
# Radices of the forward passes; others measured the same within a few percent.
RADICES = {
    4: (4,), 8: (8,), 12: (3, 4), 16: (2, 8), 24: (3, 8), 32: (4, 8), 48: (6, 8), 64: (8, 8), 96: (3, 4, 8), 128: (4, 4, 8), 192: (3, 8, 8),
    256: (4, 8, 8), 384: (6, 8, 8), 512: (8, 8, 8), 768: (3, 4, 8, 8), 1024: (4, 4, 8, 8), 1536: (3, 8, 8, 8), 2048: (4, 8, 8, 8), 3072: (6, 8, 8, 8), 4096: (8, 8, 8, 8),
}
# A signal's tile as a matrix of about as many rows as columns.
MATRICES = {}
for _columns in RADICES:
    for _rows in RADICES:
        if _rows % LEAST == _columns % LEAST == 0 and _rows <= _columns and (_rows * _columns not in MATRICES or _rows > MATRICES[_rows * _columns][0]):
            MATRICES[_rows * _columns] = _rows, _columns


@lru_cache(128)
def twiddles(length, radix, dtype):
    """w_length ** (j k) for j < length / radix, k = 1 ... radix - 1, as pairs of real and imaginary parts."""
    j, k = np.arange(length // radix)[:, None], np.arange(1, radix)
    w = np.exp(-2j * np.pi * (j * k % length) / length)
    return np.ascontiguousarray(np.stack([w.real, w.imag], -1).ravel(), dtype)


def order(n):
    """The frequency of each row after the forward passes."""
    rows, found, weight, length = np.arange(n), np.zeros(n, np.int64), 1, n
    for radix in RADICES[n]:
        length //= radix
        found += rows // length * weight
        rows, weight = rows % length, weight * radix
    return found


@lru_cache(8)
def twist(rows, columns, lane, dtype):
    """w ** (frequency of a row * column), as panels are: [block of `lane` columns][row][real, imaginary][lane]."""
    n, frequency, found = rows * columns, order(rows), np.empty((columns // lane, rows, 2, lane), dtype)
    at_once = max(2**20 // columns, 1)  # Ctrl-C is looked at in between
    for first in range(0, rows, at_once):
        some = slice(first, first + at_once)
        angle = -2 * np.pi / n * (frequency[some, None] * np.arange(columns) % n)
        for part, function in enumerate((np.cos, np.sin)):
            found[:, some, part] = function(angle).reshape(-1, columns // lane, lane).swapaxes(0, 1)
    return found


@lru_cache(32)
def fold(rows, dtype):
    """The rows-th root of i to the power of each row, as pairs of real and imaginary parts."""
    w = np.exp(0.5j * np.pi * np.arange(rows) / rows)
    return np.ascontiguousarray(np.stack([w.real, w.imag], -1).ravel(), dtype)

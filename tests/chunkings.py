"""Chunkings of arrays at random, for tests that nothing depends on them."""

from math import prod

import numpy as np

from cyconv.chunked import blocks

MOST = 200


def small_blocks(monkeypatch):
    """Blocks so small that small arrays have many, and several steps of channels."""
    monkeypatch.setattr(blocks, "LENGTHS", {1: 64, 2: 16, 3: 6})
    monkeypatch.setattr(blocks, "OUTPUTS", 200)
    monkeypatch.setattr(blocks, "CHANNELS", 4)


def random_chunks(rng, shape):
    """Chunks of an array: along each axis some lengths, of which many are 1; no more than dask takes a moment for."""
    while True:
        found = tuple(_random_chunks(rng, length) for length in shape)
        if prod(map(len, found)) <= MOST:
            return found


def _random_chunks(rng, length):
    if length == 0:
        return (0,)
    most = rng.choice([1, length // 4 + 1, length])
    found = []
    while sum(found) < length:
        found.append(min(int(rng.integers(1, most + 1)), length - sum(found)))
    return tuple(found)


def same(a, b):
    """Whether two results are the same to the last bit, dtype and all; of a NaN only that it is one."""
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


ERRORS = {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "complex64": 1e-6}


def close(a, b):
    """Whether two results are the same but for rounding, if they are floats."""
    if a.dtype.kind not in "fc":
        return same(a, b)
    finite = np.isfinite(b)
    most = np.abs(b[finite]).max(initial=0)
    return a.dtype == b.dtype and same(a[~finite], b[~finite]) and np.allclose(a[finite], b[finite], rtol=0, atol=ERRORS[a.dtype.name] * most)


def brought(lazy, cupy):
    """The numbers of a dask array whose chunks are CuPy's, which is checked; dask does not join those of a stand-in."""
    assert isinstance(lazy._meta, cupy.ndarray)

    def to_host(chunk):
        assert isinstance(chunk, cupy.ndarray)
        return chunk.get()

    return lazy.map_blocks(to_host, dtype=lazy.dtype, meta=np.empty((0,) * lazy.ndim, lazy.dtype)).compute()

"""A volume in a file, and blocks so small that it has many: what the tests of convolve_blockwise share."""

import numpy as np

from cyconv.chunked import blocks, parts, stores

W = np.arange(-13, 14, dtype=np.float32).reshape(1, 1, 3, 3, 3)


def cut_small(monkeypatch):
    """Blocks, and slabs of files, so small that there are many of them."""
    monkeypatch.setattr(blocks, "LENGTHS", {1: 8, 2: 8, 3: 6})
    monkeypatch.setattr(blocks, "OUTPUTS", 64)
    monkeypatch.setattr(blocks, "CHANNELS", 4)
    for module in (stores, parts):
        monkeypatch.setattr(module, "SLAB", 500)


def volume_in(folder):
    """A memmap of small whole numbers."""
    x = np.memmap(folder / "in.raw", np.float32, "w+", shape=(30, 25, 40))
    x[...] = np.random.default_rng(0).integers(-9, 9, x.shape)
    x.flush()
    return x

"""What the test files of cyconv.signal share."""

import numpy as np

MODES = ("full", "same", "valid")


def array(shape, dtype="float64", seed=0, high=50):
    rng = np.random.default_rng([seed, *np.atleast_1d(shape)])
    dtype = np.dtype(dtype)
    if dtype.kind in "iub":
        return rng.integers(0, high, shape).astype(dtype)
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype.kind == "c" else values).astype(dtype)

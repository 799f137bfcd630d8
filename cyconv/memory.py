"""Memory for results and scratch."""

import numpy as np


def empty(shape, dtype):
    """An uninitialised C-contiguous array."""
    return np.empty(shape, dtype)

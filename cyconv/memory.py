"""Memory for results and scratch: arrays of warm memory (see _memory.pyx), and what is kept of it."""

from numpy import dtype as _dtype

from . import threads  # noqa: F401 (prepares the loading of libgomp, so it comes first)
from ._memory import behaved, may_overlap  # noqa: F401
from ._memory import empty as _empty
from ._memory import release as release_memory  # noqa: F401


def empty(shape, dtype):
    """An uninitialised C-contiguous array, as numpy.empty makes it."""
    return _empty(shape if isinstance(shape, tuple) else (shape,), _dtype(dtype))

"""Memory for results and scratch: arrays of warm memory (see _memory.pyx), and what is kept of it."""

from numpy import dtype as _dtype

from . import _memory
from ._memory import behaved, overlaps  # noqa: F401


def empty(shape, dtype):
    """An uninitialised C-contiguous array, as numpy.empty makes it."""
    return _memory.empty(shape if isinstance(shape, tuple) else (shape,), _dtype(dtype))


def release_memory():
    """Gives the memory back to the system that freed results left for later ones.

    Fresh memory is slow to come by, so up to 128 MiB of it are kept when large results and scratch are freed.

    Returns
    -------
    int
        Bytes that were kept.

    Examples
    --------
    >>> import cyconv
    >>> freed = cyconv.release_memory()
    >>> cyconv.release_memory()
    0
    """
    return _memory.release()

"""Memory for results and scratch: arrays of warm memory (see _memory.pyx), and what is kept of it."""

from numpy import broadcast_to
from numpy import dtype as _dtype

from . import _memory
from ._memory import behaved, overlaps  # noqa: F401


def empty(shape, dtype):
    """An uninitialised C-contiguous array, as numpy.empty makes it."""
    return _memory.empty(shape if isinstance(shape, tuple) else (shape,), _dtype(dtype))


AT_ONCE = 2**24  # numbers that NumPy copies in a tenth of a second at most


def assign(to, value):
    """to[...] = value; of large arrays a piece at a time, between which Python looks at Ctrl-C."""
    if to.size <= AT_ONCE:
        to[...] = value
        return
    value, rows = broadcast_to(value, to.shape), AT_ONCE * len(to) // to.size
    for begin in range(0, len(to), max(rows, 1)):
        if rows > 1:
            to[begin : begin + rows] = value[begin : begin + rows]
        else:
            assign(to[begin], value[begin])


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

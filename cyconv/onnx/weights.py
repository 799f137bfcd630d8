"""Which weights of a node are constant, and what has been prepared of them.

Initializers that were stored as raw bytes cannot be written to: it is enough that the same array comes again. Others, which an evaluator
hands over like any input, are compared with a copy. Weights that turn out to be others once are taken to vary from then on.
"""

from threading import Lock

import numpy as np

PLANS, LARGE = 4, 2**20  # for the last so many shapes of input; for two, if weights have that many bytes


class Weights:
    """Those of one node. `constant`: arrays that the caller promises never to change."""

    def __init__(self, constant=None):
        self._promised = constant is not None
        self._kept = _Kept(constant) if self._promised else None
        self._vary = False

    def prepared(self, arrays, key, make):
        """`make(arrays, *key)`, as it was made before if the arrays are constant, or else None."""
        kept = self._kept  # read once: another thread may replace it
        if kept is None:
            if self._vary:
                return None
            kept = self._kept = _Kept(tuple([a if a is None or immutable(a) else a.copy() for a in arrays]))
        elif not kept.holds(arrays, self._promised):
            if not self._promised:
                self._kept, self._vary = None, True
            return None
        return kept.plan(make, *key)


class _Kept:
    def __init__(self, arrays):
        self.arrays = arrays
        self._most = PLANS if sum(a.nbytes for a in arrays if a is not None) < LARGE else 2
        self._plans, self._lock = {}, Lock()

    def holds(self, arrays, identical):
        return len(arrays) == len(self.arrays) and all(
            a is b or (not identical and a is not None and b is not None and same_bits(a, b)) for a, b in zip(arrays, self.arrays)
        )

    def plan(self, make, *key):
        found = self._plans.get(key)
        if found is None:
            found = make(self.arrays, *key)
            with self._lock:
                while len(self._plans) >= self._most:
                    del self._plans[next(iter(self._plans))]
                self._plans[key] = found
        return found


def immutable(array):
    """Whether nobody can write to an array's memory: it is that of a bytes object."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, bytes)


def same_bits(a, b):
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    bits = f"u{a.itemsize}"
    return bool((a.view(bits) == b.view(bits)).all())

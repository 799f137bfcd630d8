"""Arrays between pages that nobody may read or write, and a program that computes calls of kernel_calls.py on such arrays (test_guarded.py):

python guard_pages.py FAMILY=DTYPES ...    DTYPES is "all", "one" or a dtype's name; a touch ends it, and the last line names the call
"""

import ctypes
import faulthandler
import mmap
import sys

import numpy as np

PAGE, LIBC = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
JUNK = 0xFF  # NaN in every floating type


def guarded(array, placement):
    """A copy with the same strides, whose first byte stands behind such a page ("before"), or its last one before one ("after")."""
    if array is None:
        return None
    reach = [(n - 1) * step for n, step in zip(array.shape, array.strides)] if array.size else []
    size, backwards = sum(map(abs, reach)) + array.itemsize * bool(array.size), -sum(r for r in reach if r < 0)
    pages = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, pages + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.memset(start, JUNK, pages + 2 * PAGE)
    for wall in (start, start + PAGE + pages):
        if LIBC.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = PAGE + (pages - size if placement == "after" else 0)
    copy = np.ndarray(array.shape, array.dtype, memory, first + backwards, array.strides)
    copy[...] = array
    return copy


def compute(call, placement):
    """The call with all of its arrays guarded; it must give the bits that it gives without."""
    arrays = call.read()
    expected = call.compute(*arrays)
    print(call, placement, flush=True)
    out = {"out": guarded(np.zeros_like(expected), placement)} if call.takes_out else {}
    got = call.compute(*(guarded(array, placement) for array in arrays), **out)
    assert got is out.get("out", got), "`out` is not what was returned"
    for one, other in zip(*(each if isinstance(each, tuple) else (each,) for each in (got, expected)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), "other bits"


def main(arguments):
    from kernel_calls import FAMILIES

    faulthandler.enable()
    computed = 0
    for family, chosen in (argument.split("=") for argument in arguments):
        for call in FAMILIES[family](chosen):
            for placement in ("after", "before"):
                compute(call, placement)
                computed += 1
    print("computed", computed)


if __name__ == "__main__":
    main(sys.argv[1:])

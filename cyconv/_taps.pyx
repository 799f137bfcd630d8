"""Some taps of every kernel, gathered into weights of their own, with the channels in another order.

A phase of a transposed convolution is a convolution with every s-th tap, in reverse, of weights whose input channels
stand first. NumPy copies such a view kernel by kernel, in loops over a few taps. Here a few input channels at a time are taken through
all output channels, so that what is read and what is written are both runs of some length.
"""
cimport numpy as cnp
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

cdef double CALL = 5e-7                 # seconds,
cdef double COPIED = 5e-10              # and of a weight
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    TOGETHER = 16                       # input channels: their taps fill some cache lines of the copy
    MOST_TAPS = 64                      # of a phase; more are left to NumPy

cdef struct pair:
    uint64_t first, second

ctypedef fused item:
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    pair


cdef struct Gather:
    const char* source
    char* to
    Py_ssize_t[3] step                  # bytes between groups, output channels and input channels
    Py_ssize_t[MOST_TAPS] taps          # bytes from a kernel's beginning to each
    Py_ssize_t count                    # of them
    Py_ssize_t groups, rows, channels   # rows: output channels
    Py_ssize_t blocks                   # of input channels
    int bytes


cdef inline void copy(const Gather* w, Py_ssize_t g, Py_ssize_t first, const item* like) noexcept nogil:
    """A few input channels of a group, through all output channels."""
    cdef Py_ssize_t o, _c, t, count = w.count
    cdef const char* kernel
    cdef item* place
    for o in range(w.rows):
        place = <item*> w.to + ((g * w.rows + o) * w.channels + first) * count
        kernel = w.source + g * w.step[0] + o * w.step[1] + first * w.step[2]
        for _c in range(min(<Py_ssize_t> TOGETHER, w.channels - first)):
            for t in range(count):
                place[t] = (<const item*> (kernel + w.taps[t]))[0]
            place += count
            kernel += w.step[2]


cdef void copy_block(const void* work, Py_ssize_t index, char* room) noexcept nogil:
    cdef const Gather* w = <const Gather*> work
    cdef Py_ssize_t g = index // w.blocks, first = index % w.blocks * TOGETHER
    if w.bytes == 4:
        copy(w, g, first, <const uint32_t*> NULL)
    elif w.bytes == 8:
        copy(w, g, first, <const uint64_t*> NULL)
    elif w.bytes == 2:
        copy(w, g, first, <const uint16_t*> NULL)
    elif w.bytes == 1:
        copy(w, g, first, <const uint8_t*> NULL)
    else:
        copy(w, g, first, <const pair*> NULL)


def gather(cnp.ndarray view, cnp.ndarray weight):
    """Copies `view`, (groups, output channels, input channels, taps...) of any strides, to a contiguous array of as many numbers."""
    cdef Gather w
    cdef Py_ssize_t axis, t, rest, at, items
    cdef double seconds = CALL + COPIED * weight.size
    w.bytes, w.count = <int> cnp.PyArray_ITEMSIZE(view), 1
    for axis in range(3, cnp.PyArray_NDIM(view)):
        w.count *= cnp.PyArray_DIM(view, axis)
    if w.count > MOST_TAPS or w.bytes not in (1, 2, 4, 8, 16):
        (<object> weight).reshape((<object> view).shape)[...] = view
        return
    w.source, w.to = <const char*> cnp.PyArray_DATA(view), <char*> cnp.PyArray_DATA(weight)
    w.groups, w.rows, w.channels = cnp.PyArray_DIM(view, 0), cnp.PyArray_DIM(view, 1), cnp.PyArray_DIM(view, 2)
    for axis in range(3):
        w.step[axis] = cnp.PyArray_STRIDE(view, axis)
    for t in range(w.count):
        at, rest = 0, t
        for axis in range(cnp.PyArray_NDIM(view) - 1, 2, -1):
            at += rest % cnp.PyArray_DIM(view, axis) * cnp.PyArray_STRIDE(view, axis)
            rest //= cnp.PyArray_DIM(view, axis)
        w.taps[t] = at
    w.blocks = (w.channels + TOGETHER - 1) // TOGETHER
    items = w.groups * w.blocks
    if items and w.rows:
        run_items(copy_block, &w, items, seconds * PER_SECOND, min(worth_workers(seconds, 1, MAX_WORKSPACE), items), NULL, 0, True)

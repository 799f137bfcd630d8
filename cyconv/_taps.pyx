"""Some taps of every kernel, gathered into weights of their own, with the channels in another order.

A phase of a transposed convolution is a convolution with every s-th tap, in reverse, of weights whose input channels
stand first. NumPy copies such a view kernel by kernel, in loops over a few taps. Here a few input channels at a time are taken through
all output channels, so that what is read and what is written are both runs of some length.
"""
cimport numpy as cnp
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

cnp.import_array()

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


cdef void copy(const char* source, const Py_ssize_t* step, const Py_ssize_t* taps, Py_ssize_t count, Py_ssize_t groups,
               Py_ssize_t rows, Py_ssize_t channels, item* to) noexcept nogil:
    cdef Py_ssize_t g, o, c, first, t
    cdef const char* kernel
    cdef item* place
    for g in range(groups):
        first = 0
        while first < channels:
            for o in range(rows):
                place = to + ((g * rows + o) * channels + first) * count
                kernel = source + g * step[0] + o * step[1] + first * step[2]
                for c in range(min(<Py_ssize_t> TOGETHER, channels - first)):
                    for t in range(count):
                        place[t] = (<const item*> (kernel + taps[t]))[0]
                    place += count
                    kernel += step[2]
            first += TOGETHER


def gather(cnp.ndarray view, cnp.ndarray weight):
    """Copies `view`, (groups, output channels, input channels, taps...) of any strides, to a contiguous array of as many numbers."""
    cdef Py_ssize_t[MOST_TAPS] taps
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t axis, t, rest, at, count = 1, size = cnp.PyArray_ITEMSIZE(view)
    cdef Py_ssize_t groups = cnp.PyArray_DIM(view, 0), rows = cnp.PyArray_DIM(view, 1), channels = cnp.PyArray_DIM(view, 2)
    cdef const char* source = <const char*> cnp.PyArray_DATA(view)
    cdef void* to = cnp.PyArray_DATA(weight)
    for axis in range(3, cnp.PyArray_NDIM(view)):
        count *= cnp.PyArray_DIM(view, axis)
    if count > MOST_TAPS or size not in (1, 2, 4, 8, 16):
        (<object> weight).reshape((<object> view).shape)[...] = view
        return
    for axis in range(3):
        step[axis] = cnp.PyArray_STRIDE(view, axis)
    for t in range(count):
        at, rest = 0, t
        for axis in range(cnp.PyArray_NDIM(view) - 1, 2, -1):
            at += rest % cnp.PyArray_DIM(view, axis) * cnp.PyArray_STRIDE(view, axis)
            rest //= cnp.PyArray_DIM(view, axis)
        taps[t] = at
    with nogil:
        if size == 4:
            copy(source, step, taps, count, groups, rows, channels, <uint32_t*> to)
        elif size == 8:
            copy(source, step, taps, count, groups, rows, channels, <uint64_t*> to)
        elif size == 2:
            copy(source, step, taps, count, groups, rows, channels, <uint16_t*> to)
        elif size == 1:
            copy(source, step, taps, count, groups, rows, channels, <uint8_t*> to)
        else:
            copy(source, step, taps, count, groups, rows, channels, <pair*> to)

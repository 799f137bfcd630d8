"""Phases of a strided result woven together:  out[plane, q*s + r] = part[r][plane, q], and a number of each channel where there is no part.

A transposed convolution computes those outputs whose places have one remainder modulo the stride as a convolution of its own
(transpose.py). NumPy would put each of them to its places on its own, a number at a time, and meet every line of the result as often as there
are phases along a row. Here a row of the result is written once, from its phases side by side.
"""
cimport numpy as cnp
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcpy

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

cdef double CALL = 1.5e-6               # seconds,
cdef double WRITTEN = 1e-10             # and of a byte
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    MOST_PARTS = 64                     # more are woven one by one by NumPy
    ROWS = 16                           # of each part, of an item of work

cdef struct pair:
    uint64_t first, second

ctypedef fused item:
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    pair

cdef struct Weave:
    const char* part[MOST_PARTS]        # of each remainder, z, y and x; NULL where there is none
    Py_ssize_t[3] stride
    Py_ssize_t[3] size                  # of a plane of the result
    Py_ssize_t planes, channels, blocks  # blocks of rows of a plane
    const char* empty                   # what stands where no part is, one number for each channel
    char* out
    int bytes


cdef inline Py_ssize_t counted(Py_ssize_t size, Py_ssize_t stride, Py_ssize_t remainder) noexcept nogil:
    return (size - remainder + stride - 1) // stride


cdef inline void weave_row(const Weave* w, const item** source, item empty, item* to) noexcept nogil:
    """A row of the result from the rows of its parts along x."""
    cdef Py_ssize_t s = w.stride[2], n = w.size[2], r, i, whole = n // s
    cdef const item* a = source[0]
    cdef const item* b
    if s == 1 and a != NULL:
        memcpy(to, a, n * sizeof(item))
        return
    if s == 2 and a != NULL and source[1] != NULL:
        b = source[1]
        for i in range(whole):          # which GCC turns into vectors
            to[2 * i] = a[i]
            to[2 * i + 1] = b[i]
        if n % 2:
            to[n - 1] = a[whole]
        return
    for r in range(min(s, n)):
        a = source[r]
        for i in range(counted(n, s, r)):
            to[i * s + r] = empty if a == NULL else a[i]


cdef inline void weave_rows(const Weave* w, Py_ssize_t plane, Py_ssize_t z, Py_ssize_t first, Py_ssize_t last, const item* like) noexcept nogil:
    """Rows first*stride to last*stride of one plane along z."""
    cdef const item* source[MOST_PARTS]
    cdef const item* row[MOST_PARTS]
    cdef Py_ssize_t width[MOST_PARTS]
    cdef Py_ssize_t y, ry, r, qz = z // w.stride[0], rz = z % w.stride[0], sx = w.stride[2]
    cdef item empty = (<const item*> w.empty)[plane % w.channels]
    cdef item* to = <item*> w.out + (plane * w.size[0] + z) * w.size[1] * w.size[2]
    for ry in range(min(w.stride[1], w.size[1])):
        for r in range(sx):             # where the rows of each part begin
            width[r] = counted(w.size[2], sx, r)
            source[r] = <const item*> w.part[(rz * w.stride[1] + ry) * sx + r]
            if source[r] != NULL:
                source[r] += ((plane * counted(w.size[0], w.stride[0], rz) + qz) * counted(w.size[1], w.stride[1], ry) + first) * width[r]
        for y in range(first, min(last, counted(w.size[1], w.stride[1], ry))):
            for r in range(sx):
                row[r] = source[r]
                if source[r] != NULL:
                    source[r] += width[r]
            weave_row[item](w, row, empty, to + (y * w.stride[1] + ry) * w.size[2])


cdef void weave_block(const void* work, Py_ssize_t index, char* room) noexcept nogil:
    cdef const Weave* w = <const Weave*> work
    cdef Py_ssize_t first = index % w.blocks * ROWS, plane = index // w.blocks // w.size[0], z = index // w.blocks % w.size[0]
    if w.bytes == 1:
        weave_rows(w, plane, z, first, first + ROWS, <const uint8_t*> NULL)
    elif w.bytes == 2:
        weave_rows(w, plane, z, first, first + ROWS, <const uint16_t*> NULL)
    elif w.bytes == 4:
        weave_rows(w, plane, z, first, first + ROWS, <const uint32_t*> NULL)
    elif w.bytes == 8:
        weave_rows(w, plane, z, first, first + ROWS, <const uint64_t*> NULL)
    else:
        weave_rows(w, plane, z, first, first + ROWS, <const pair*> NULL)


def weaves(tuple stride):
    """Whether there are few enough phases."""
    return stride[0] * stride[1] * stride[2] <= MOST_PARTS


def weave(list parts, tuple stride, cnp.ndarray empty, cnp.ndarray out):
    """To `out`, (planes, z, y, x), contiguous as all arrays here: of each remainder of the three strides, in row-major order, what
    belongs there, or None; `empty` has a number for each channel, planes being batch items of so many."""
    cdef Weave w
    cdef Py_ssize_t i, items
    for i in range(3):
        w.stride[i], w.size[i] = stride[i], cnp.PyArray_DIM(out, <int> i + 1)
    for i in range(w.stride[0] * w.stride[1] * w.stride[2]):
        w.part[i] = NULL if parts[i] is None else <const char*> cnp.PyArray_DATA(<cnp.ndarray?> parts[i])
    w.planes, w.channels, w.bytes = cnp.PyArray_DIM(out, 0), empty.size, <int> cnp.PyArray_ITEMSIZE(out)
    w.empty, w.out = <const char*> cnp.PyArray_DATA(empty), <char*> cnp.PyArray_DATA(out)
    w.blocks = (counted(w.size[1], w.stride[1], 0) + ROWS - 1) // ROWS
    items = w.planes * w.size[0] * w.blocks
    seconds = CALL + WRITTEN * out.nbytes
    run_items(weave_block, &w, items, seconds * PER_SECOND, min(worth_workers(seconds, 1, MAX_WORKSPACE), items), NULL, 0, True)

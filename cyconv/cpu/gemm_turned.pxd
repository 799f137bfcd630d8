"""Turned input of implicit_gemm, where taps in the padding are left out: [lines of channels][z][y][x][channels of a line].

Tiles are short then, and read a pixel's channels in planes far apart for each tap again. Where a line of the cache has sixteen
channels of a pixel, they read sixteen times fewer lines, which lie side by side (2048 channels: 1.3 times as quick).
A box is what a block reads of its item; it has no padding. Of many channels it holds a slice at a time, which all panels read while it
stays in a second-level cache, and their sums go on with the next one (two threads: 1.3 to 1.4 times as quick).
"""
from libc.string cimport memcpy, memset

from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.gemm_work cimport Work, lines_of
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, lanes
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.square cimport turn, turn_some
from cyconv.cpu.tile cimport LINE_BYTES, apart

cdef enum:
    NEXT_SQUARE = 256                   # bytes between a square and the one that is asked for meanwhile


cdef inline void turn_run(const lanes* like, const char* src, Py_ssize_t hop, Py_ssize_t channels, Py_ssize_t pixels, char* to) noexcept nogil:
    """A vector of channels, or those that are left, `hop` bytes apart: so many neighbouring pixels, each to the next line."""
    cdef lanes[LANES_F] t
    cdef lanes[LANES_F] some
    cdef Py_ssize_t p = 0, i, count, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    channels = min(channels, side)
    while p < pixels:
        count = min(pixels - p, side)
        if count < side <= pixels:
            p, count = pixels - side, side      # some pixels twice rather than numbers one by one
        for i in range(channels):
            fetch(src + i * hop + p * size + NEXT_SQUARE)
        if count < side:
            memset(&some, 0, side * VB)
            for i in range(channels):
                memcpy(&some[i], src + i * hop, count * size)
            turn(<const char*> &some, VB, t)
        elif channels < side:
            turn_some(src + p * size, hop, channels, t)
        else:
            turn(src + p * size, hop, t)
        for i in range(count):
            (<lanes*> (to + (p + i) * LINE_BYTES))[0] = t[i]
        p += count


cdef inline void turn_line(const lanes* like, const Work* w, const char* src, const Py_ssize_t* count, Py_ssize_t channels, char* box) noexcept nogil:
    """A line of channels of a box that has `count` samples along z, y, x, the first of them at `src`."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side, rows = count[1], pixels = count[2], z, y, q
    cdef const char* from_
    if pixels == b.box.axis[2].length and b.box.step[1] == pixels * size:       # no gaps between rows: short ones fill squares, too
        rows, pixels = 1, rows * pixels
    for z in range(count[0]):
        for q in range(min(LINE_BYTES // VB, (channels + side - 1) // side)):
            for y in range(rows):
                from_ = src + z * b.box.step[0] + y * b.box.step[1] + q * side * w.input_step[2]
                turn_run(like, from_, w.input_step[2], channels - q * side, pixels,
                         box + (z * b.box.axis[1].length + y) * b.box.axis[2].length * LINE_BYTES + q * VB)


cdef inline Py_ssize_t first_sample(const Work* w, int a, Py_ssize_t origin) noexcept nogil:
    return origin * w.stride[a] - w.blocks.box.axis[a].pad


cdef inline apart turn_boxes(const Work* w, Py_ssize_t g, Py_ssize_t slice, const Py_ssize_t* origin, const Py_ssize_t* extent, char* boxes) noexcept nogil:
    """The boxes of a block, one for each item, with a slice of the channels; origin and extent in items and outputs."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] count
    cdef Py_ssize_t first, last, n, q, start = 0, lines = lines_of(w), each = LINE_BYTES // b.size
    cdef Py_ssize_t channels = b.channels // w.slices
    cdef int a
    cdef const char* src
    cdef char* to
    for a in range(3):
        first = max(first_sample(w, a, origin[a + 1]), <Py_ssize_t> 0)
        last = first_sample(w, a, origin[a + 1] + extent[a + 1] - 1) + (w.taps[a] - 1) * w.dilation[a]
        count[a] = max(min(last + 1, b.box.axis[a].n) - first, <Py_ssize_t> 0)
        start += first * b.box.step[a]
    for n in range(extent[0]):
        for q in range(lines):
            src = w.input + (origin[0] + n) * w.input_step[0] + g * w.input_step[1] + start + (slice * channels + q * each) * w.input_step[2]
            to = boxes + (n * lines + q) * b.plane * LINE_BYTES
            if b.size == 4:
                turn_line(<vf*> NULL, w, src, count, channels - q * each, to)
            else:
                turn_line(<vd*> NULL, w, src, count, channels - q * each, to)


cdef inline Py_ssize_t turned_start(const Work* w, const Py_ssize_t* origin) noexcept nogil:
    """Bytes from a box's beginning to where the first output's first tap would read, were that not in the padding."""
    cdef Py_ssize_t at = 0
    cdef int a
    for a in range(3):
        at = at * w.blocks.box.axis[a].length + min(first_sample(w, a, origin[a + 1]), <Py_ssize_t> 0)
    return at * LINE_BYTES

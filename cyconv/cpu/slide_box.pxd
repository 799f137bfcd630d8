"""Channels that are neighbours in memory: an item's part of some planes, turned into planes of their own.

All that a line of the cache holds of channels is read at once, where reading one channel after the other would fetch each line as often.
"""
from cyconv.cpu.pool_work cimport Axis
from cyconv.cpu.slide_turn cimport Turn, turn_row
from cyconv.cpu.slide_work cimport AHEAD, Room, Work

cdef enum:
    BOX = 512 * 1024                    # bytes of a box, at most, if windows are small enough for it
    LINE_OF_CACHE = 64


cdef inline void span_of(const Axis* a, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* first, Py_ssize_t* count) noexcept nogil:
    """The samples that windows begin .. end - 1 lie between."""
    cdef Py_ssize_t low = begin * a.stride - a.pad, high = (end - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1
    first[0] = max(low, 0)
    count[0] = max(min(high, a.n) - first[0], 0)

cdef inline void fill_box(const Work* w, Room* r, const char* source, Py_ssize_t channels) noexcept nogil:
    """Of the item whose outputs r has. Then r.plane is where the first channel's plane would begin if it were there as a whole."""
    cdef Py_ssize_t first[3]
    cdef Py_ssize_t count[3]
    cdef Py_ssize_t z, y, row = 0
    cdef Turn t
    cdef int a
    for a in range(3):
        span_of(&w.axis[a], r.begin[a], r.end[a], &first[a], &count[a])
    r.step[2] = w.stored_size
    r.step[1] = w.box_row
    r.step[0] = count[1] * w.box_row
    source += first[2] * w.axis[2].step
    t.size, t.step, t.n, t.channels, t.apart = w.stored_size, w.axis[2].step, count[2], channels, w.box_plane
    t.behind, t.ahead_in, t.ahead_out = w.behind, AHEAD, 0
    for z in range(count[0]):
        for y in range(count[1]):
            t.from_ = source + (first[0] + z) * w.axis[0].step + (first[1] + y) * w.axis[1].step
            t.to = r.box + row * w.box_row
            turn_row(&t)
            row += 1
    r.plane = r.box - first[0] * r.step[0] - first[1] * r.step[1] - first[2] * r.step[2]

"""Channels that are neighbours in memory: an item's part of some planes, turned into planes of their own.

All that a line of the cache holds of channels is read at once, where reading one channel after the other would fetch each line as often.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from cyconv.cpu.pool_work cimport Axis, word
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch as ask, lanes, third
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.slide_span cimport load, store
from cyconv.cpu.slide_vectors cimport evens, odds, pooled, vb, vh, vi, vl
from cyconv.cpu.slide_work cimport AHEAD, Room, Work
from cyconv.cpu.square cimport turn

cdef enum:
    BOX = 512 * 1024                    # bytes of a box, at most, if windows are small enough for it
    LINE_OF_CACHE = 64


cdef inline void span_of(const Axis* a, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* first, Py_ssize_t* count) noexcept nogil:
    """The samples that windows begin .. end - 1 lie between."""
    cdef Py_ssize_t low = begin * a.stride - a.pad, high = (end - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1
    first[0] = max(low, 0)
    count[0] = max(min(high, a.n) - first[0], 0)

cdef inline inlined move_words(const char* p, Py_ssize_t step, Py_ssize_t n, Py_ssize_t channels, char* to, Py_ssize_t apart, const word* like) noexcept nogil:
    cdef Py_ssize_t c, i
    for c in range(channels):
        for i in range(n):
            (<word*> (to + c * apart))[i] = (<const word*> (p + i * step))[c]

cdef inline inlined turn_squares(const char* p, Py_ssize_t step, Py_ssize_t n, Py_ssize_t channels, char* to, Py_ssize_t apart, Py_ssize_t side,
                                 bint few, const lanes* like) noexcept nogil:
    """n columns, at least `side`, of at least so many channels; the last squares overlap those before. `few`: of fewer channels, whose
    columns others follow."""
    cdef lanes square[LANES_F]
    cdef Py_ssize_t i = 0, c, j
    while i < n:
        i = min(i, n - side)
        for j in range(side):
            ask(p + (i + j) * step + AHEAD)
        c = 0
        while c < channels:
            c = 0 if few else min(c, channels - side)
            turn(p + i * step + c * (VB // side), step, &square[0])
            for j in range(channels if few else side):
                (<lanes*> (to + (c + j) * apart + i * (VB // side)))[0] = square[j]
            c += side
        i += side

cdef inline inlined part_twos(const char* p, Py_ssize_t n, Py_ssize_t channels, char* to, Py_ssize_t apart, Py_ssize_t side, const pooled* like) noexcept nogil:
    """n columns, at least `side`, of 2 or 4 channels and nothing between them; the last vectors overlap those before."""
    cdef Py_ssize_t i = 0, size = VB // side
    cdef const char* q
    cdef pooled a, b, c, d
    while i < n:
        i = min(i, n - side)
        q = p + i * channels * size
        ask(q + AHEAD)
        ask(q + VB + AHEAD)
        a, b = load(q, like), load(q + VB, like)
        if channels == 4:
            ask(q + 2 * VB + AHEAD)
            ask(q + 3 * VB + AHEAD)
            c, d = load(q + 2 * VB, like), load(q + 3 * VB, like)
            a, b, c, d = evens(a, b), evens(c, d), odds(a, b), odds(c, d)
            store(to + 2 * apart + i * size, odds(a, b))
            store(to + 3 * apart + i * size, odds(c, d))
            a, b = evens(a, b), evens(c, d)
        else:
            a, b = evens(a, b), odds(a, b)
        store(to + i * size, a)
        store(to + apart + i * size, b)
        i += side

cdef inline inlined part_threes(const char* p, Py_ssize_t n, char* to, Py_ssize_t apart, Py_ssize_t side, const lanes* like) noexcept nogil:
    """The same of 3 channels."""
    cdef Py_ssize_t i = 0, j, size = VB // side
    cdef const lanes* q
    while i < n:
        i = min(i, n - side)
        q = <const lanes*> (p + i * 3 * size)
        for j in range(3):
            ask(<const char*> (q + j) + AHEAD)
        (<lanes*> (to + i * size))[0] = third(q[0], q[1], q[2], 0)
        (<lanes*> (to + apart + i * size))[0] = third(q[0], q[1], q[2], 1)
        (<lanes*> (to + 2 * apart + i * size))[0] = third(q[0], q[1], q[2], 2)
        i += side

cdef inline void turn_row(const Work* w, const char* p, Py_ssize_t step, Py_ssize_t n, Py_ssize_t channels, char* to, Py_ssize_t apart) noexcept nogil:
    """n columns of some channels to rows that are `apart`."""
    cdef Py_ssize_t size = w.stored_size, side = VB // size
    cdef bint packed = step == channels * size and n >= side
    # 5 and more are fewer operations as squares whose other columns are left out, unless these may not be read
    cdef bint few = 5 <= channels < side and n >= side and max(p, p + (n - 1) * step) + VB <= w.behind
    if packed and (channels == 2 or channels == 4):
        if size == 1:
            part_twos(p, n, channels, to, apart, VB, <const vb*> NULL)
        elif size == 2:
            part_twos(p, n, channels, to, apart, VB // 2, <const vh*> NULL)
        elif size == 4:
            part_twos(p, n, channels, to, apart, VB // 4, <const vi*> NULL)
        else:
            part_twos(p, n, channels, to, apart, VB // 8, <const vl*> NULL)
    elif packed and channels == 3 and size == 4:
        part_threes(p, n, to, apart, LANES_F, <const vf*> NULL)
    elif packed and channels == 3 and size == 8:
        part_threes(p, n, to, apart, LANES_D, <const vd*> NULL)
    elif size == 4 and few:
        turn_squares(p, step, n, channels, to, apart, LANES_F, True, <const vf*> NULL)
    elif size == 4 and channels >= side and n >= side:
        turn_squares(p, step, n, channels, to, apart, LANES_F, False, <const vf*> NULL)
    elif size == 8 and few:
        turn_squares(p, step, n, channels, to, apart, LANES_D, True, <const vd*> NULL)
    elif size == 8 and channels >= side and n >= side:
        turn_squares(p, step, n, channels, to, apart, LANES_D, False, <const vd*> NULL)
    elif size == 1:
        move_words(p, step, n, channels, to, apart, <const uint8_t*> NULL)
    elif size == 2:
        move_words(p, step, n, channels, to, apart, <const uint16_t*> NULL)
    elif size == 4:
        move_words(p, step, n, channels, to, apart, <const uint32_t*> NULL)
    else:
        move_words(p, step, n, channels, to, apart, <const uint64_t*> NULL)

cdef inline void fill_box(const Work* w, Room* r, const char* source, Py_ssize_t channels) noexcept nogil:
    """Of the item whose outputs r has. Then r.plane is where the first channel's plane would begin if it were there as a whole."""
    cdef Py_ssize_t first[3]
    cdef Py_ssize_t count[3]
    cdef Py_ssize_t z, y, row = 0
    cdef int a
    for a in range(3):
        span_of(&w.axis[a], r.begin[a], r.end[a], &first[a], &count[a])
    r.step[2] = w.stored_size
    r.step[1] = w.box_row
    r.step[0] = count[1] * w.box_row
    source += first[2] * w.axis[2].step
    for z in range(count[0]):
        for y in range(count[1]):
            turn_row(w, source + (first[0] + z) * w.axis[0].step + (first[1] + y) * w.axis[1].step, w.axis[2].step, count[2], channels,
                     r.box + row * w.box_row, w.box_plane)
            row += 1
    r.plane = r.box - first[0] * r.step[0] - first[1] * r.step[1] - first[2] * r.step[2]

"""Rows of pixels, whose channels are neighbours in memory, to a row for each channel.

Squares of numbers are turned in registers; numbers of less than 4 bytes go along as words of 4, and are parted then. Rows of 2, 3 or 4 channels
with nothing between them are parted without squares.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from cyconv.cpu.pool_work cimport ceil_div, word
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch as ask, lanes, own
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.slide_span cimport load, store
from cyconv.cpu.slide_vectors cimport evens, odds, pooled, store_part, thirds, vb, vh, vi, vl
from cyconv.cpu.square cimport turn, turn_some

cdef struct Turn:
    Py_ssize_t size                     # bytes of a number
    const char* from_                   # the first pixel,
    Py_ssize_t step                     # bytes from one to the next,
    Py_ssize_t n, channels              # and how many there are
    char* to                            # the first channel's row,
    Py_ssize_t apart                    # and bytes from one to the next
    const char* behind                  # up to where may be read
    Py_ssize_t ahead_in, ahead_out      # bytes from what is read, and written, to what is asked for meanwhile


cdef inline inlined move_words(const Turn* t, const word* like) noexcept nogil:
    cdef Py_ssize_t c, i
    for c in range(t.channels):
        for i in range(t.n):
            (<word*> (t.to + c * t.apart))[i] = (<const word*> (t.from_ + i * t.step))[c]

cdef inline inlined put_row(const Turn* t, Py_ssize_t channel, Py_ssize_t at, Py_ssize_t bytes, pooled v) noexcept nogil:
    """A vector, or as many bytes of it, to byte `at` of a channel's row."""
    cdef char* to = t.to + channel * t.apart + at
    own(to + t.ahead_out)
    if bytes < VB:
        store_part(to, v, bytes)
    else:
        store(to, v)

cdef inline inlined turn_pixels(const Turn* t, const char* p, Py_ssize_t n, lanes* square) noexcept nogil:
    """A vector of each of n pixels, or of as many as it has lanes."""
    cdef Py_ssize_t i, side = LANES_F if lanes is vf else LANES_D
    for i in range(min(n, side)):
        ask(p + i * t.step + t.ahead_in)
    if n >= side:
        turn(p, t.step, square)
    else:
        turn_some(p, t.step, n, square)

cdef inline inlined turn_squares(const Turn* t, bint few, const lanes* like) noexcept nogil:
    """Numbers of 4 or 8 bytes; at least a vector of channels, unless they are `few`, and others follow them. The last squares overlap those before."""
    cdef lanes square[LANES_F]
    cdef Py_ssize_t i = 0, c, j, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    while i < t.n:
        i = min(i, max(t.n - side, 0))
        c = 0
        while c < t.channels:
            c = 0 if few else min(c, t.channels - side)
            turn_pixels(t, t.from_ + i * t.step + c * size, t.n - i, square)
            for j in range(t.channels if few else side):
                put_lanes(t, c + j, i * size, (t.n - i) * size, square[j])
            c += side
        i += side

cdef inline inlined put_lanes(const Turn* t, Py_ssize_t channel, Py_ssize_t at, Py_ssize_t bytes, lanes v) noexcept nogil:
    if lanes is vf:
        put_row(t, channel, at, bytes, <vi> v)
    else:
        put_row(t, channel, at, bytes, <vl> v)

cdef inline inlined turn_words(const Turn* t, bint few, const pooled* like) noexcept nogil:
    """The same of 1 or 2 bytes, as squares of words, which are parted then."""
    cdef vf square[4][LANES_F]
    cdef Py_ssize_t i = 0, c, j, q, bytes, size = 1 if pooled is vb else 2, each = 4 // size, side = VB // size
    cdef pooled a, b, d, e
    while i < t.n:
        i = min(i, max(t.n - side, 0))
        bytes = (t.n - i) * size
        c = 0
        while c < t.channels:
            c = 0 if few else min(c, t.channels - side)
            for q in range(each):
                turn_pixels(t, t.from_ + (i + q * LANES_F) * t.step + c * size, t.n - i - q * LANES_F, square[q])
            for q in range(ceil_div(min(side, t.channels - c), each)):
                j = c + q * each
                a, b = load(<const char*> &square[0][q], like), load(<const char*> &square[1][q], like)
                a, b = evens(a, b), odds(a, b)
                if pooled is vb:
                    d, e = load(<const char*> &square[2][q], like), load(<const char*> &square[3][q], like)
                    d, e = evens(d, e), odds(d, e)
                    a, d, b, e = evens(a, d), odds(a, d), evens(b, e), odds(b, e)
                    if j + 2 < t.channels:
                        put_row(t, j + 2, i * size, bytes, d)
                    if j + 3 < t.channels:
                        put_row(t, j + 3, i * size, bytes, e)
                put_row(t, j, i * size, bytes, a)
                if j + 1 < t.channels:
                    put_row(t, j + 1, i * size, bytes, b)
            c += side
        i += side

cdef inline inlined part_pixels(const Turn* t, Py_ssize_t channels, const pooled* like) noexcept nogil:
    """2, 3 or 4 channels and nothing between them, at least a vector of pixels; the last vectors overlap those before."""
    cdef Py_ssize_t i = 0, j, side = VB // t.size
    cdef const char* p
    cdef pooled v[4]
    cdef pooled a, b, c, d
    while i < t.n:
        i = min(i, t.n - side)
        p = t.from_ + i * channels * t.size
        for j in range(channels):
            ask(p + j * VB + t.ahead_in)
            v[j] = load(p + j * VB, like)
        if channels == 3:
            thirds(v[0], v[1], v[2], v)
        else:
            a, b = evens(v[0], v[1]), odds(v[0], v[1])
            if channels == 4:
                c, d = evens(v[2], v[3]), odds(v[2], v[3])
                a, b, v[2], v[3] = evens(a, c), evens(b, d), odds(a, c), odds(b, d)
            v[0], v[1] = a, b
        for j in range(channels):
            put_row(t, j, i * t.size, VB, v[j])
        i += side

cdef inline void part_row(const Turn* t, const pooled* like) noexcept nogil:
    if t.channels == 2:
        part_pixels(t, 2, like)
    elif t.channels == 3:
        part_pixels(t, 3, like)
    else:
        part_pixels(t, 4, like)

cdef inline void turn_row(const Turn* t) noexcept nogil:
    cdef Py_ssize_t side = VB // t.size
    # 5 and more are fewer operations as squares whose other columns are left out, unless these may not be read
    cdef bint few = t.channels < side and max(t.from_, t.from_ + (t.n - 1) * t.step) + VB <= t.behind
    if t.step == t.channels * t.size and t.n >= side and 2 <= t.channels <= 4:
        if t.size == 1:
            part_row(t, <const vb*> NULL)
        elif t.size == 2:
            part_row(t, <const vh*> NULL)
        elif t.size == 4:
            part_row(t, <const vi*> NULL)
        else:
            part_row(t, <const vl*> NULL)
    elif few and t.channels >= 5 or t.channels >= side:
        if t.size == 1:
            turn_words(t, few, <const vb*> NULL)
        elif t.size == 2:
            turn_words(t, few, <const vh*> NULL)
        elif t.size == 4:
            turn_squares(t, few, <const vf*> NULL)
        else:
            turn_squares(t, few, <const vd*> NULL)
    elif t.size == 1:
        move_words(t, <const uint8_t*> NULL)
    elif t.size == 2:
        move_words(t, <const uint16_t*> NULL)
    elif t.size == 4:
        move_words(t, <const uint32_t*> NULL)
    else:
        move_words(t, <const uint64_t*> NULL)

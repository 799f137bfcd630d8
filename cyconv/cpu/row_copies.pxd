"""Rows of inputs of `depthwise`, copied with zeros around them, or split into their even and odd columns."""
from cyconv.cpu.pieces cimport PB, clamp, evens, hold, nothing, odds, pd, piece, pq, within
from cyconv.cpu.simd cimport inlined


cdef inline inlined pad_row(const piece* like, const char* row, Py_ssize_t c, Py_ssize_t n, char* to, Py_ssize_t count) noexcept nogil:
    """Columns c .. c+count-1 (or more, up to a whole vector) of a row of n; `row` is where column c would be. Zeros beyond."""
    cdef int size = 8 if piece is pd or piece is pq else 4, lanes = PB // size
    cdef Py_ssize_t i, lo = clamp(-c, count), hi = max(clamp(n - c, count), lo)
    cdef piece zero = hold(nothing(like))                   # held, or else GCC calls memset for a few bytes
    i = 0
    while i < lo:
        (<piece*> (to + i * size))[0] = zero
        i += lanes
    if hi - lo >= lanes:                                    # the last vector overlaps the one before
        i = lo
        while i + lanes < hi:
            (<piece*> (to + i * size))[0] = (<const piece*> (row + i * size))[0]
            i += lanes
        i = hi - lanes
        (<piece*> (to + i * size))[0] = (<const piece*> (row + i * size))[0]
    elif hi > lo:
        (<piece*> (to + lo * size))[0] = within(row + lo * size, 0, hi - lo, like)
    i = hi
    while i < count:
        (<piece*> (to + i * size))[0] = zero
        i += lanes


cdef inline inlined copy_row(const piece* like, const char* row, char* to, Py_ssize_t count) noexcept nogil:
    """`count` numbers; zeros behind them where they are fewer than a vector holds."""
    cdef int size = 8 if piece is pd or piece is pq else 4, lanes = PB // size
    cdef Py_ssize_t i = 0
    if count < lanes:
        (<piece*> to)[0] = within(row, 0, count, like)
        return
    while i + lanes < count:
        (<piece*> (to + i * size))[0] = (<const piece*> (row + i * size))[0]
        i += lanes
    i = count - lanes
    (<piece*> (to + i * size))[0] = (<const piece*> (row + i * size))[0]


cdef inline inlined split_row(const piece* like, const char* row, Py_ssize_t c, Py_ssize_t n, char* to, Py_ssize_t second, Py_ssize_t count) noexcept nogil:
    """Columns c, c + 2, ... (count of them) to `to`, the others to `second` bytes behind it, if that is not 0."""
    cdef int size = 8 if piece is pd or piece is pq else 4, lanes = PB // size
    cdef Py_ssize_t i = 0
    cdef piece a, b
    while i < count:
        if c >= 0 and c + 2 * lanes <= n:
            a = (<const piece*> row)[0]
            b = (<const piece*> (row + PB))[0]
        else:
            a = within(row, clamp(-c, lanes), clamp(n - c, lanes), like)
            b = within(row + PB, clamp(-c - lanes, lanes), clamp(n - c - lanes, lanes), like)
        (<piece*> (to + i * size))[0] = evens(a, b)
        if second:
            (<piece*> (to + second + i * size))[0] = odds(a, b)
        row += 2 * PB
        c += 2 * lanes
        i += lanes

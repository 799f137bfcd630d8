"""Windows of a few numbers along a row, by vectors of neighbouring outputs. Lengths and steps are in bytes, taps are counted.

Results may be written up to the end of the last vector that an output stands in.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from cyconv.cpu.pool_work cimport word
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_span cimport Span, exists, load, store, take
from cyconv.cpu.slide_vectors cimport evens, join, odds, pooled, sd, thirds

cdef enum:
    FEW = 6                             # samples of a window that are joined in one pass


# ---- neighbouring windows ------------------------------------------------------------------------------------------------

cdef inline inlined near(const char* line, Py_ssize_t at, const Span* s, Py_ssize_t taps, Py_ssize_t step, bint inside, bint narrow,
                         pooled* m) noexcept nogil:
    cdef Py_ssize_t j
    cdef pooled v
    take(line, at, s, inside, narrow, m)
    for j in range(1, taps):
        take(line, at + j * step, s, inside, narrow, &v)
        m[0] = join(v, m[0])

cdef inline inlined join_near(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, bint narrow, char* to,
                              const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, at = 0, wide = VB // 2 if narrow else VB
    cdef pooled m
    while o < bytes:
        ask(line + at + s.ahead)
        if exists(s, at, (taps - 1) * step + wide):
            near(line, at, s, taps, step, True, narrow, &m)
        else:
            near(line, at, s, taps, step, False, narrow, &m)
        store(to + o, m)
        o += VB
        at += wide

cdef inline void join_few_near(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, char* to, const pooled* like) noexcept nogil:
    if taps == 2:
        join_near(line, s, bytes, 2, step, False, to, like)
    elif taps == 3:
        join_near(line, s, bytes, 3, step, False, to, like)
    elif taps == 4:
        join_near(line, s, bytes, 4, step, False, to, like)
    else:
        join_near(line, s, bytes, taps, step, False, to, like)


# ---- every second window, and every so many ------------------------------------------------------------------------------

cdef inline inlined pair(const char* line, Py_ssize_t at, const Span* s, Py_ssize_t taps, bint inside, bint narrow, pooled* m) noexcept nogil:
    """Windows of two numbers or more that begin at every second one."""
    cdef Py_ssize_t j = 2, wide = VB // 2 if narrow else VB, size = 4 if narrow else s.size
    cdef pooled a, b
    take(line, at, s, inside, narrow, &a)
    take(line, at + wide, s, inside, narrow, &b)
    m[0] = join(odds(a, b), evens(a, b))
    while j < taps:
        at += 2 * size
        take(line, at, s, inside, narrow, &a)
        take(line, at + wide, s, inside, narrow, &b)
        m[0] = join(evens(a, b), m[0])
        if j + 1 < taps:
            m[0] = join(odds(a, b), m[0])
        j += 2

cdef inline inlined join_pairs(const char* line, const Span* s, Py_ssize_t taps, bint narrow, char* to, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, at = 0, wide = VB // 2 if narrow else VB, size = 4 if narrow else s.size
    cdef pooled m
    while o < s.bytes:
        ask(line + at + s.ahead)
        if not narrow:
            ask(line + at + VB + s.ahead)
        if exists(s, at, (taps - 1) // 2 * 2 * size + 2 * wide):
            pair(line, at, s, taps, True, narrow, &m)
        else:
            pair(line, at, s, taps, False, narrow, &m)
        store(to + o, m)
        o += VB
        at += 2 * wide

cdef inline void every_second(const char* line, const Span* s, Py_ssize_t taps, bint narrow, char* to, const pooled* like) noexcept nogil:
    if narrow:
        if taps == 2:
            join_pairs(line, s, 2, True, to, like)
        else:
            join_pairs(line, s, 3, True, to, like)
    elif taps == 2:
        join_pairs(line, s, 2, False, to, like)
    elif taps == 3:
        join_pairs(line, s, 3, False, to, like)
    else:
        join_pairs(line, s, taps, False, to, like)

cdef inline inlined part(const char* line, Py_ssize_t at, const Span* s, Py_ssize_t stride, bint inside, bint narrow, pooled* first) noexcept nogil:
    """Every third or fourth number, from each of the first ones on."""
    cdef Py_ssize_t wide = VB // 2 if narrow else VB
    cdef pooled a, b, c, d
    take(line, at, s, inside, narrow, &a)
    take(line, at + wide, s, inside, narrow, &b)
    take(line, at + 2 * wide, s, inside, narrow, &c)
    if stride == 3:
        thirds(a, b, c, first)
    else:
        take(line, at + 3 * wide, s, inside, narrow, &d)
        a, b, c, d = evens(a, b), odds(a, b), evens(c, d), odds(c, d)
        first[0], first[1], first[2], first[3] = evens(a, c), evens(b, d), odds(a, c), odds(b, d)

cdef inline inlined join_parts(const char* line, const Span* s, Py_ssize_t stride, Py_ssize_t taps, bint narrow, char* to, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, at = 0, i, bytes = stride * (VB // 2 if narrow else VB)
    cdef pooled first[4]
    while o < s.bytes:
        for i in range(0, bytes, 64):
            ask(line + at + i + s.ahead)
        if exists(s, at, bytes):
            part(line, at, s, stride, True, narrow, first)
        else:
            part(line, at, s, stride, False, narrow, first)
        first[0] = join(first[1], first[0])
        if taps > 2:
            first[0] = join(first[2], first[0])
        if taps > 3:
            first[0] = join(first[3], first[0])
        store(to + o, first[0])
        o += VB
        at += bytes

cdef inline void every_third_or_fourth(const char* line, const Span* s, Py_ssize_t stride, Py_ssize_t taps, bint narrow, char* to, const pooled* like) noexcept nogil:
    """Windows of 2 numbers up to that many: none has a number that another one has."""
    if pooled is sd:
        if narrow:
            if stride == 3:
                join_parts(line, s, 3, taps, True, to, like)
            else:
                join_parts(line, s, 4, taps, True, to, like)
            return
    if stride == 3:
        join_parts(line, s, 3, taps, False, to, like)
    else:
        join_parts(line, s, 4, taps, False, to, like)

cdef inline void pick_fourths(const char* x, Py_ssize_t bytes, char* to, const pooled* like) noexcept nogil:
    """Every fourth number of x, which may be read up to four times the vectors that are written."""
    cdef Py_ssize_t o = 0
    cdef const char* p
    while o < bytes:
        p = x + 4 * o
        store(to + o, evens(evens(load(p, like), load(p + VB, like)), evens(load(p + 2 * VB, like), load(p + 3 * VB, like))))
        o += VB

cdef inline inlined pick_words(const word* x, Py_ssize_t stride, Py_ssize_t n, word* to) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = x[i * stride]

cdef inline void pick(const char* x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t size, char* to) noexcept nogil:
    """n numbers of `size` bytes, every stride-th one of x."""
    if size == 1:
        pick_words(<const uint8_t*> x, stride, n, <uint8_t*> to)
    elif size == 2:
        pick_words(<const uint16_t*> x, stride, n, <uint16_t*> to)
    elif size == 4:
        pick_words(<const uint32_t*> x, stride, n, <uint32_t*> to)
    else:
        pick_words(<const uint64_t*> x, stride, n, <uint64_t*> to)

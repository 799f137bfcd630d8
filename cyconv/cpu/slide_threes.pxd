"""Windows of 3x3 with stride 1 or 2, in one pass over the rows of two rows of outputs where they lie: no ring, no copies of rows.

Padding is what vectors at the ends of rows have in lanes that are not loaded, and a row of it where there are no rows.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_fetch cimport fill
from cyconv.cpu.slide_finish cimport result_row
from cyconv.cpu.slide_span cimport Span, exists, load, open_span, put, take
from cyconv.cpu.slide_vectors cimport evens, flip, join, odds, pooled
from cyconv.cpu.slide_work cimport AHEAD, Room, Work


cdef inline inlined three(const char* line, Py_ssize_t at, int stride, const Span* s, bint inside, bint turned, pooled* m) noexcept nogil:
    """Windows along a row."""
    cdef pooled a, b, c, d
    if stride == 1:
        take(line, at, s, inside, False, &a)
        take(line, at + s.size, s, inside, False, &b)
        take(line, at + 2 * s.size, s, inside, False, &c)
    else:
        take(line, at, s, inside, False, &c)
        take(line, at + VB, s, inside, False, &d)
        a, b = evens(c, d), odds(c, d)
        take(line, at + 2 * s.size, s, inside, False, &c)
        take(line, at + 2 * s.size + VB, s, inside, False, &d)
        c = evens(c, d)
    if turned:
        d = load(s.bits, m)
        a, b, c = flip(a, d), flip(b, d), flip(c, d)
    m[0] = join(c, join(b, a))

cdef inline inlined put_three(char* to, Py_ssize_t o, pooled m, const Span* s, bint turned) noexcept nogil:
    if turned:
        m = flip(m, load(s.bits, <const pooled*> NULL))
    put(to, o, s.bytes, m, AHEAD)

cdef inline inlined join_square(const char** lines, char* to, char* below, Py_ssize_t o, int stride, const Span* s, bint inside, bint turned,
                                const pooled* like) noexcept nogil:
    """One vector of a row of outputs and, unless NULL, of the one below."""
    cdef pooled a, b, c, d
    cdef Py_ssize_t at = stride * o
    three(lines[0], at, stride, s, inside, turned, &a)
    three(lines[1], at, stride, s, inside, turned, &b)
    three(lines[2], at, stride, s, inside, turned, &c)
    ask(lines[2] + at + AHEAD)
    if stride == 2:
        ask(lines[2] + at + VB + AHEAD)
        ask(lines[1] + at + AHEAD)
        ask(lines[1] + at + VB + AHEAD)
    if below == NULL:
        put_three(to, o, join(c, join(b, a)), s, turned)
        return
    three(lines[3], at, stride, s, inside, turned, &d)
    ask(lines[3] + at + AHEAD)
    if stride == 1:
        b = join(c, b)
        put_three(to, o, join(b, a), s, turned)
        put_three(below, o, join(d, b), s, turned)
        return
    put_three(to, o, join(c, join(b, a)), s, turned)
    three(lines[4], at, stride, s, inside, turned, &a)
    ask(lines[3] + at + VB + AHEAD)
    ask(lines[4] + at + AHEAD)
    ask(lines[4] + at + VB + AHEAD)
    put_three(below, o, join(a, join(d, c)), s, turned)

cdef inline inlined join_squares(const char** lines, char* to, char* below, int stride, const Span* s, bint turned, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0
    while o < s.bytes:
        if exists(s, stride * o, stride * VB + 2 * s.size):
            join_square(lines, to, below, o, stride, s, True, turned, like)
        else:
            join_square(lines, to, below, o, stride, s, False, turned, like)
        o += VB

cdef inline inlined join_either(const char** lines, char* to, char* below, int stride, const Span* s, bint turned, const pooled* like) noexcept nogil:
    if turned:
        join_squares(lines, to, below, stride, s, True, like)
    else:
        join_squares(lines, to, below, stride, s, False, like)

cdef inline void walk_threes(const Work* w, const Room* r, const pooled* like) noexcept nogil:
    """All of the item's rows of results."""
    cdef Py_ssize_t oy = r.begin[1], stride = w.axis[1].stride, y, i
    cdef const char* lines[5]
    cdef char* to
    cdef char* below
    cdef const char* plane = r.plane + r.z * r.step[0] + (r.first - r.before) * r.step[2]
    cdef Span s
    open_span(&s, w, r)
    if oy * stride < w.axis[1].pad or (r.end[1] - 1) * stride + 3 - w.axis[1].pad > w.axis[1].n:
        fill(w, w.outside, r.line, w.line_bytes // w.size)
    while oy < r.end[1]:
        y = oy * stride - w.axis[1].pad
        for i in range(5):
            lines[i] = plane + (y + i) * r.step[1] if 0 <= y + i < w.axis[1].n else r.line
        to = result_row(w, r, r.oz, oy)
        below = result_row(w, r, r.oz, oy + 1) if oy + 1 < r.end[1] else NULL
        if stride == 1:
            join_either(lines, to, below, 1, &s, w.turned, like)
        else:
            join_either(lines, to, below, 2, &s, w.turned, like)
        oy += 2

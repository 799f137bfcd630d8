"""Maxima, and averages of floats in short rows, of windows of 3x3 with stride 1 or 2, in one pass over the rows of two rows of outputs where they lie: no ring,
no copies of rows.

Padding is what vectors at the ends of rows have in lanes that are not loaded, and a row of it where there are no rows.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_fetch cimport fill
from cyconv.cpu.slide_finish cimport open_row, row_factor
from cyconv.cpu.slide_span cimport Span, exists, load, open_span, put, put_narrowed, take
from cyconv.cpu.slide_vectors cimport evens, flip, join, odds, pooled, sd, splat_sums
from cyconv.cpu.slide_work cimport AHEAD, Room, Work

cdef struct Rows:                       # of results
    char* row
    char* below                         # NULL if there is none
    double by, by_below                 # what their sums are multiplied with


cdef inline inlined three(const char* line, Py_ssize_t at, int stride, const Span* s, bint inside, bint turned, pooled* m) noexcept nogil:
    """Windows along a row; of floats, if they are added up."""
    cdef bint narrow = pooled is sd
    cdef Py_ssize_t wide = VB // 2 if narrow else VB
    cdef pooled a, b, c, d
    if stride == 1:
        take(line, at, s, inside, narrow, &a)
        take(line, at + s.tap, s, inside, narrow, &b)
        take(line, at + 2 * s.tap, s, inside, narrow, &c)
    else:
        take(line, at, s, inside, narrow, &c)
        take(line, at + wide, s, inside, narrow, &d)
        a, b = evens(c, d), odds(c, d)
        take(line, at + 2 * s.tap, s, inside, narrow, &c)
        take(line, at + 2 * s.tap + wide, s, inside, narrow, &d)
        c = evens(c, d)
    if turned:
        d = load(s.bits, m)
        a, b, c = flip(a, d), flip(b, d), flip(c, d)
    m[0] = join(c, join(b, a))

cdef inline inlined put_three(char* to, Py_ssize_t o, pooled m, double by, const Span* s, bint turned) noexcept nogil:
    if pooled is sd:
        put_narrowed(to, o // 8, s.bytes // 8, m * splat_sums(by), AHEAD)
    else:
        if turned:
            m = flip(m, load(s.bits, <const pooled*> NULL))
        put(to, o, s.bytes, m, AHEAD)

cdef inline inlined join_square(const char** lines, const Rows* to, Py_ssize_t o, int stride, const Span* s, bint inside, bint turned,
                                const pooled* like) noexcept nogil:
    """One vector of a row of outputs and, if there is one, of the row below."""
    cdef pooled a, b, c, d
    cdef Py_ssize_t wide = VB // 2 if pooled is sd else VB, at = stride * (o // 2 if pooled is sd else o)
    three(lines[0], at, stride, s, inside, turned, &a)
    three(lines[1], at, stride, s, inside, turned, &b)
    three(lines[2], at, stride, s, inside, turned, &c)
    ask(lines[2] + at + AHEAD)
    if stride == 2:
        ask(lines[2] + at + wide + AHEAD)
        ask(lines[1] + at + AHEAD)
        ask(lines[1] + at + wide + AHEAD)
    if to.below == NULL:
        put_three(to.row, o, join(c, join(b, a)), to.by, s, turned)
        return
    three(lines[3], at, stride, s, inside, turned, &d)
    ask(lines[3] + at + AHEAD)
    if stride == 1 and pooled is sd:    # sums are in one order, wherever they are made
        put_three(to.row, o, join(c, join(b, a)), to.by, s, turned)
        put_three(to.below, o, join(d, join(c, b)), to.by_below, s, turned)
        return
    if stride == 1:
        b = join(c, b)
        put_three(to.row, o, join(b, a), 1, s, turned)
        put_three(to.below, o, join(d, b), 1, s, turned)
        return
    put_three(to.row, o, join(c, join(b, a)), to.by, s, turned)
    three(lines[4], at, stride, s, inside, turned, &a)
    ask(lines[3] + at + wide + AHEAD)
    ask(lines[4] + at + AHEAD)
    ask(lines[4] + at + wide + AHEAD)
    put_three(to.below, o, join(a, join(d, c)), to.by_below, s, turned)

cdef inline inlined join_squares(const char** lines, const Rows* to, int stride, const Span* s, bint turned, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, wide = VB // 2 if pooled is sd else VB
    while o < s.bytes:
        if exists(s, stride * (o // 2 if pooled is sd else o), stride * wide + 2 * s.tap):
            join_square(lines, to, o, stride, s, True, turned, like)
        else:
            join_square(lines, to, o, stride, s, False, turned, like)
        o += VB

cdef inline inlined join_either(const char** lines, const Rows* to, int stride, const Span* s, bint turned, const pooled* like) noexcept nogil:
    if pooled is not sd:
        if turned:
            join_squares(lines, to, stride, s, True, like)
            return
    join_squares(lines, to, stride, s, False, like)

cdef inline void walk_threes(const Work* w, Room* r, const pooled* like) noexcept nogil:
    """All of the item's rows of results."""
    cdef Py_ssize_t oy = r.begin[1], stride = w.axis[1].stride, y, i
    cdef const char* lines[5]
    cdef const char* plane = r.plane + r.z * r.step[0] + (r.first - r.before) * r.step[2]
    cdef float nothing = -0.0           # a row of it changes no sum, not even a zero's sign
    cdef Rows to
    cdef Span s
    open_span(&s, w, r)
    if oy * stride < w.axis[1].pad or (r.end[1] - 1) * stride + 3 - w.axis[1].pad > w.axis[1].n:
        fill(w, <const char*> &nothing if pooled is sd else w.outside, r.line, w.line_bytes // w.line_size)
    while oy < r.end[1]:
        y = oy * stride - w.axis[1].pad
        for i in range(5):
            lines[i] = plane + (y + i) * r.step[1] if 0 <= y + i < w.axis[1].n else r.line
        to.row = open_row(w, r, r.oz, oy, 1)
        to.below = open_row(w, r, r.oz, oy + 1, 0) if oy + 1 < r.end[1] else NULL
        if pooled is sd:
            to.by, to.by_below = row_factor(w, r, oy), row_factor(w, r, oy + 1) if to.below != NULL else 1
        if stride == 1:
            join_either(lines, &to, 1, &s, w.turned, like)
        else:
            join_either(lines, &to, 2, &s, w.turned, like)
        oy += 2

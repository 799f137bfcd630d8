"""Long windows of neighbours along a row, of numbers of 4 bytes or more: the first runs are joined in registers.

A vector of runs of two numbers is one of numbers joined with the same, one number on; one of runs of four is that, joined with itself two
numbers on; and so on. All stages work at once, each a vector behind the one before, so every number is read once.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_line cimport FEW, join_few, sum_of_runs
from cyconv.cpu.slide_span cimport Span, load, store, take
from cyconv.cpu.slide_vectors cimport after, join, pooled, summed


cdef inline inlined join_runs(const char* line, const Span* s, Py_ssize_t bytes, int levels, char* to, const pooled* like) noexcept nogil:
    """Runs of 4, 8 or 16 numbers, for 2 to 4 levels, that begin at each number."""
    cdef Py_ssize_t at = 0, o = -levels * VB
    cdef pooled x, x1, a, a1, b, b1, c, c1, m
    x1 = a1 = b1 = c1 = take(line, 0, s, False, like)
    while True:
        o += VB
        at += VB
        if o >= bytes:
            return
        ask(line + at + s.ahead)
        x = take(line, at, s, False, like)
        a = join(after(x1, x, 1), x1)
        x1 = x
        m = join(after(a1, a, 2), a1)
        a1 = a
        if levels > 2:
            b, m = m, join(after(b1, m, 4), b1)
            b1 = b
        if levels > 3:
            c, m = m, join(after(c1, m, 8), c1)
            c1 = c
        if o >= 0:
            store(to + o, m)

cdef inline void peak_of_neighbours(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, char* work, char* to, const pooled* like) noexcept nogil:
    cdef Py_ssize_t run = 4
    if k >= 16 and 8 * s.size <= VB:
        run = 16
        join_runs(line, s, bytes + (k - 16) * s.size, 4, work, like)
    elif k >= 8 and 4 * s.size <= VB:
        run = 8
        join_runs(line, s, bytes + (k - 8) * s.size, 3, work, like)
    else:
        join_runs(line, s, bytes + (k - 4) * s.size, 2, work, like)
    while k > FEW * run:
        join_few(work, bytes + (k - 4 * run) * s.size, 4, run * s.size, 3 * run * s.size, NULL, work, 0, like)
        run *= 4
    join_few(work, bytes, (k + run - 1) // run, run * s.size, (k - run) * s.size, NULL, to, 0, like)

cdef inline inlined sum_runs(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t rest, bint narrow, char* to, char* rests,
                             const summed* like) noexcept nogil:
    """Of 8 numbers; and the sums of the first `rest` numbers, fewer than 8, of each run."""
    cdef Py_ssize_t at = 0, o, wide = VB // 2 if narrow else VB
    cdef bint far = 4 * s.size > VB     # whether the fourth number on is two vectors on
    cdef summed x, x1, a, a1, b, b1, b2, p, p1, q, q1, q2, m, none = load(s.outside, like)
    x = take(line, 0, s, narrow, like)
    x1 = a1 = b1 = b2 = x
    p1 = q1 = q2 = none
    o = -4 * VB if far else -3 * VB
    while True:
        o += VB
        at += wide
        if o >= bytes:
            return
        ask(line + at + s.ahead)
        x = take(line, at, s, narrow, like)
        a = x1 + after(x1, x, 1)
        p = x1 if rest & 1 else none
        b = a1 + after(a1, a, 2)
        q = a1 + after(p1, p, 2) if rest & 2 else p1
        m = b2 + b if far else b1 + after(b1, b, 4)
        if o >= 0:
            store(to + o, m)
            if rest:
                if rest & 4:
                    m = b2 + q if far else b1 + after(q1, q, 4)
                else:
                    m = q2 if far else q1
                store(rests + o, m)
        x1, a1, b2, b1, p1, q2, q1 = x, a, b1, b, p, q1, q

cdef inline void sum_of_neighbours(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, bint narrow, char* work, char* sums, char* to,
                                   const summed* like) noexcept nogil:
    cdef Py_ssize_t runs = k // 8, rest = k % 8, step = 8 * s.size
    if narrow:
        sum_runs(line, s, bytes + runs * step, rest, True, work, sums, like)
    else:
        sum_runs(line, s, bytes + runs * step, rest, False, work, sums, like)
    sum_of_runs(work, bytes, runs, step, work, sums, sums + runs * step if rest else NULL, to, 0, like)

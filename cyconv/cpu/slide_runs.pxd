"""Maxima of long windows along a row, made of runs: each pass joins four runs of a length to one of four times that, and at last runs that
overlap. Dilation only changes the steps.

Of numbers of 4 bytes or more that are neighbours, the first runs are joined in registers: a vector of runs of two is one of numbers
joined with the same, one number on; one of runs of four is that, joined with itself two numbers on; and so on. All stages work at once,
each a vector behind the one before, so every number is read once. A stage's vector is named by a letter; with a 1 behind it, it is the
one that the stage had made a step earlier, with a 2, two steps.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_line cimport FEW, join_few_near
from cyconv.cpu.slide_span cimport Span, load, store, take, take_any
from cyconv.cpu.slide_vectors cimport after, join, pooled, vb, vh

# ---- from runs to longer runs --------------------------------------------------------------------------------------------

cdef inline inlined join_taps(const char* x, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t last, const char* before,
                              char* to, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, j
    cdef pooled m
    while o < bytes:
        m = load(x + o, like)
        if before != NULL:
            m = join(m, load(before + o, like))
        for j in range(1, taps - 1):
            m = join(load(x + o + j * step, like), m)
        if taps > 1:
            m = join(load(x + o + last, like), m)
        store(to + o, m)
        o += VB

cdef inline void join_few(const char* x, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t last, const char* before, char* to,
                          const pooled* like) noexcept nogil:
    """What is `before`, if not NULL, x[0], x[step], x[2 step], ... and, for the last of these taps, x[last]. `to` may be x."""
    if before != NULL and taps == 1:
        join_taps(x, bytes, 1, step, last, before, to, like)
    elif before != NULL and taps == 2:
        join_taps(x, bytes, 2, step, last, before, to, like)
    elif before != NULL and taps == 3:
        join_taps(x, bytes, 3, step, last, before, to, like)
    elif before != NULL:
        join_taps(x, bytes, taps, step, last, before, to, like)
    elif taps == 2:
        join_taps(x, bytes, 2, step, last, NULL, to, like)
    elif taps == 3:
        join_taps(x, bytes, 3, step, last, NULL, to, like)
    elif taps == 4:
        join_taps(x, bytes, 4, step, last, NULL, to, like)
    else:
        join_taps(x, bytes, taps, step, last, NULL, to, like)

cdef inline void join_to_peak(char* work, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t run, Py_ssize_t step, char* to, const pooled* like) noexcept nogil:
    """Windows of k numbers that are `step` apart, from the maxima of `run` of them."""
    while k > FEW * run:
        join_few(work, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, NULL, work, like)
        run *= 4
    join_few(work, bytes, (k + run - 1) // run, run * step, (k - run) * step, NULL, to, like)

# ---- from numbers to runs ------------------------------------------------------------------------------------------------

cdef inline inlined join_runs(const char* line, const Span* s, Py_ssize_t bytes, int levels, char* to, const pooled* like) noexcept nogil:
    """Runs of 4, 8 or 16 numbers, for 2 to 4 levels, that begin at each number; of 32 or 64 only if a vector is 16 numbers."""
    cdef Py_ssize_t at = 0, o = (-levels if levels < 6 else -levels - 1) * VB
    cdef pooled x, x1, a, a1, b, b1, c, c1, d, d1, e, e1, e2, m
    take(line, 0, s, False, False, &x1)
    a1 = b1 = c1 = d1 = e1 = e2 = x1
    while True:
        o += VB
        at += VB
        if o >= bytes:
            return
        ask(line + at + s.ahead)
        take_any(line, at, s, False, &x)
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
        if levels > 4:
            d, m = m, join(m, d1)
            d1 = d
        if levels > 5:
            e, m = m, join(m, e2)
            e2 = e1
            e1 = e
        if o >= 0:
            store(to + o, m)

cdef inline void peak_of_row(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t dilation, char* work, char* to,
                             const pooled* like) noexcept nogil:
    cdef Py_ssize_t step = dilation * s.size
    if k <= FEW:
        join_few_near(line, s, bytes, k, step, to, like)
    elif pooled is vb or pooled is vh:
        join_few_near(line, s, bytes + (k - 4) * step, 4, step, work, like)
        join_to_peak(work, bytes, k, 4, step, to, like)
    elif dilation > 1:
        join_few_near(line, s, bytes + (k - 4) * step, 4, step, work, like)
        join_to_peak(work, bytes, k, 4, step, to, like)
    elif k >= 64 and 16 * s.size == VB:
        join_runs(line, s, bytes + (k - 64) * step, 6, work, like)
        join_to_peak(work, bytes, k, 64, step, to, like)
    elif k >= 32 and 16 * s.size == VB:
        join_runs(line, s, bytes + (k - 32) * step, 5, work, like)
        join_to_peak(work, bytes, k, 32, step, to, like)
    elif k >= 16 and 8 * s.size <= VB:
        join_runs(line, s, bytes + (k - 16) * step, 4, work, like)
        join_to_peak(work, bytes, k, 16, step, to, like)
    elif k >= 8 and 4 * s.size <= VB:
        join_runs(line, s, bytes + (k - 8) * step, 3, work, like)
        join_to_peak(work, bytes, k, 8, step, to, like)
    else:
        join_runs(line, s, bytes + (k - 4) * step, 2, work, like)
        join_to_peak(work, bytes, k, 4, step, to, like)

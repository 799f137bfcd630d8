"""Long windows along a row, made of runs: each pass joins four runs of a length to one of four times that. Maxima end with runs that overlap;
dilation only changes the steps. Sums, which are never dilated, end with runs side by side: the window is so many times 8 numbers and a
rest, and there are as many runs of 8, 32, 128 ... as the digits of that multiple to the base of 4 say.

Of numbers of 4 bytes or more that are neighbours, the first runs are joined in registers: a vector of runs of two is one of numbers
joined with the same, one number on; one of runs of four is that, joined with itself two numbers on; and so on. All stages work at once,
each a vector behind the one before, so every number is read once. A stage's vector is named by a letter; with a 1 behind it, it is the
one that the stage had made a step earlier, with a 2, two steps.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_line cimport FEW, join_few_near, join_near
from cyconv.cpu.slide_span cimport Span, load, store, take, take_any
from cyconv.cpu.slide_vectors cimport after, join, pooled, summed, vb, vh

cdef enum Sums:
    RUNS                                # of 8 numbers; and of the first `rest` of them, if there are any
    RESTS                               # the latter alone
    TOGETHER                            # of 8 numbers and the `rest` that follow them


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

cdef inline void join_to_sum(char* work, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, char* sums, const char* before, char* to,
                             const summed* like) noexcept nogil:
    """Sums of k numbers that are `step` apart, and of what is `before`, if not NULL; that may stand in `sums`, where partial sums do."""
    cdef Py_ssize_t run = 1, rest = k, at = 0, digit
    while rest > FEW:
        digit = rest % 4
        if digit:
            join_few(work + at * step, bytes, digit, run * step, (digit - 1) * run * step, before, sums, like)
            before = sums
        at += digit * run
        join_few(work, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, NULL, work, like)
        run *= 4
        rest //= 4
    join_few(work + at * step, bytes, rest, run * step, (rest - 1) * run * step, before, to, like)


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

cdef inline inlined sum_runs(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t rest, Sums sums, bint narrow, char* to, char* rests,
                             const summed* like) noexcept nogil:
    """The sums that `sums` says, from each number on; `rest` is less than 8."""
    cdef Py_ssize_t at = 0, o, wide = VB // 2 if narrow else VB
    cdef bint far = 4 * s.size > VB     # whether the fourth number on is two vectors on
    cdef summed x, x1, a, a1, b, b1, b2, p, p1, q, q1, q2, m, m1, r, none = load(s.outside, like)
    take(line, 0, s, False, narrow, &x1)
    a1 = b1 = b2 = p1 = q1 = q2 = m1 = none
    o = (-4 if far or sums == TOGETHER else -3) * VB
    while True:
        o += VB
        at += wide
        if o >= bytes:
            return
        ask(line + at + s.ahead)
        take_any(line, at, s, narrow, &x)
        a = x1 + after(x1, x, 1)
        p = x1 if rest & 1 else none
        b = a1 + after(a1, a, 2)
        q = a1 + after(p1, p, 2) if rest & 2 else p1
        m = b2 + b if far else b1 + after(b1, b, 4)
        r = q2 if far else q1
        if rest & 4:
            r = b2 + q if far else b1 + after(q1, q, 4)
        if o >= 0:
            if sums == TOGETHER:
                store(to + o, m1 + r)
            else:
                if sums == RUNS:
                    store(to + o, m)
                if rest:
                    store(rests + o, r)
        x1, a1, b2, b1, p1, q2, q1, m1 = x, a, b1, b, p, q1, q, m

cdef inline void sum_of_row(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, bint narrow, char* work, char* sums, char* to,
                            const summed* like) noexcept nogil:
    cdef Py_ssize_t runs = k // 8, rest = k % 8, step = 8 * s.size
    if k <= 3:                          # three conversions of a number take less than the way through all stages
        if not narrow:
            join_few_near(line, s, bytes, k, s.size, to, like)
        elif k == 3:
            join_near(line, s, bytes, 3, 4, True, to, like)
        else:
            join_near(line, s, bytes, k, 4, True, to, like)
    elif runs == 0:
        if narrow:
            sum_runs(line, s, bytes, rest, RESTS, True, NULL, to, like)
        else:
            sum_runs(line, s, bytes, rest, RESTS, False, NULL, to, like)
    elif runs == 1 and step == VB:      # rests stand a vector after their runs
        if narrow:
            sum_runs(line, s, bytes, rest, TOGETHER, True, to, NULL, like)
        else:
            sum_runs(line, s, bytes, rest, TOGETHER, False, to, NULL, like)
    else:
        if narrow:
            sum_runs(line, s, bytes + runs * step, rest, RUNS, True, work, sums, like)
        else:
            sum_runs(line, s, bytes + runs * step, rest, RUNS, False, work, sums, like)
        join_to_sum(work, bytes, runs, step, sums, sums + runs * step if rest else NULL, to, like)

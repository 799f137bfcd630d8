"""Windows along a row, by vectors of neighbouring outputs; lengths, steps and strides are in bytes.

All lines may be read, and results written, up to the end of the last vector that an output stands in.
Long windows are made of runs: each pass joins four runs of a length to one of four times that. Maxima end with runs that overlap,
sums with runs side by side, as many of each length as the window has digits to the base of 4. Dilation only changes the steps.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

from cyconv.cpu.slide_vectors cimport evens, join, odds, pooled, sd, si, sl, summed, widened
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_span cimport load, store
from cyconv.cpu.slide_work cimport AHEAD

cdef enum:
    FEW = 6                             # samples of a window that are joined in one pass



# ---- neighbouring windows ------------------------------------------------------------------------------------------------

cdef inline inlined join_taps(const char* x, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t last, const char* before,
                              char* to, Py_ssize_t ahead, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0, j
    cdef pooled m
    while o < bytes:
        m = load(x + o, like)
        ask(x + o + ahead)
        if before != NULL:
            m = join(m, load(before + o, like))
        for j in range(1, taps - 1):
            m = join(load(x + o + j * step, like), m)
        if taps > 1:
            m = join(load(x + o + last, like), m)
        store(to + o, m)
        o += VB

cdef inline void join_few(const char* x, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t last, const char* before, char* to,
                          Py_ssize_t ahead, const pooled* like) noexcept nogil:
    """What is `before`, if not NULL, x[0], x[step], x[2 step], ... and, for the last of these taps, x[last]. `to` may be x. What lies `ahead` in x is asked for."""
    if before != NULL:
        join_taps(x, bytes, taps, step, last, before, to, ahead, like)
    elif taps == 2:
        join_taps(x, bytes, 2, step, last, NULL, to, ahead, like)
    elif taps == 3:
        join_taps(x, bytes, 3, step, last, NULL, to, ahead, like)
    elif taps == 4:
        join_taps(x, bytes, 4, step, last, NULL, to, ahead, like)
    else:
        join_taps(x, bytes, taps, step, last, NULL, to, ahead, like)

cdef inline void peak_of_runs(const char* x, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, char* work, char* to, Py_ssize_t ahead, const pooled* like) noexcept nogil:
    cdef Py_ssize_t run = 1
    while k > FEW * run:
        join_few(x, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, NULL, work, ahead, like)
        x = work
        ahead = 0
        run *= 4
    join_few(x, bytes, (k + run - 1) // run, run * step, (k - run) * step, NULL, to, ahead, like)

cdef inline void sum_of_runs(const char* x, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, char* work, char* sums, const char* before, char* to,
                             Py_ssize_t ahead, const summed* like) noexcept nogil:
    """`x` may be `work`, and what is `before`, if not NULL, may stand in `sums`."""
    cdef Py_ssize_t run = 1, rest = k, at = 0, digit
    while rest > FEW:
        digit = rest % 4
        if digit == 1 and before == NULL and x != work:
            before = x
        elif digit:
            join_few(x + at * step, bytes, digit, run * step, (digit - 1) * run * step, before, sums, ahead, like)
            before = sums
        at += digit * run
        join_few(x, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, NULL, work, ahead, like)
        x = work
        ahead = 0
        run *= 4
        rest //= 4
    join_few(x + at * step, bytes, rest, run * step, (rest - 1) * run * step, before, to, ahead, like)

cdef inline void neighbouring(const char* x, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, char* work, char* sums, char* to,
                              Py_ssize_t ahead, const pooled* like) noexcept nogil:
    if k <= FEW:
        join_few(x, bytes, k, step, (k - 1) * step, NULL, to, ahead, like)
    elif pooled is sd or pooled is si or pooled is sl:
        sum_of_runs(x, bytes, k, step, work, sums, NULL, to, ahead, like)
    else:
        peak_of_runs(x, bytes, k, step, work, to, ahead, like)


# ---- every second window, and every so many ------------------------------------------------------------------------------

cdef inline inlined join_pairs(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t taps, char* to, const pooled* like) noexcept nogil:
    """Windows of `taps` numbers of `size` bytes that begin at every second one."""
    cdef Py_ssize_t o = 0, j
    cdef const char* p
    cdef pooled a, b, m
    while o < bytes:
        p = x + 2 * o
        ask(p + AHEAD)
        ask(p + VB + AHEAD)
        a, b = load(p, like), load(p + VB, like)
        m = evens(a, b)
        if taps > 1:
            m = join(odds(a, b), m)
        j = 2
        while j < taps:
            a, b = load(p + j * size, like), load(p + j * size + VB, like)
            m = join(evens(a, b), m)
            if j + 1 < taps:
                m = join(odds(a, b), m)
            j += 2
        store(to + o, m)
        o += VB

cdef inline void every_second(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t taps, char* to, const pooled* like) noexcept nogil:
    if taps == 2:
        join_pairs(x, bytes, size, 2, to, like)
    elif taps == 3:
        join_pairs(x, bytes, size, 3, to, like)
    else:
        join_pairs(x, bytes, size, taps, to, like)

cdef inline inlined sum_float_pairs(const char* x, Py_ssize_t bytes, bint third, char* to) noexcept nogil:
    """The same for two or three numbers in single precision, of which each is converted once."""
    cdef Py_ssize_t o = 0
    cdef sd a, b, m
    while o < bytes:
        ask(x + o + AHEAD)
        a, b = widened(x + o), widened(x + o + VB // 2)
        m = evens(a, b) + odds(a, b)
        if third:
            m = m + evens(widened(x + o + 8), widened(x + o + 8 + VB // 2))
        store(to + o, m)
        o += VB

cdef inline void sum_every_second_float(const char* x, Py_ssize_t bytes, Py_ssize_t taps, char* to) noexcept nogil:
    if taps == 2:
        sum_float_pairs(x, bytes, False, to)
    else:
        sum_float_pairs(x, bytes, True, to)

ctypedef fused word:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

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

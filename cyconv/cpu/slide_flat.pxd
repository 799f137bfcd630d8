"""Sums of windows along rows of pixels, whose channels are neighbours: numbers that are added up are `step` bytes apart.

They are added in the order of slide_sums.pxd, so that the layout changes no bit: pairs, runs of 4 and of 8 numbers, what is left of a window behind its
runs, and blocks of runs as rows have blocks of rows.
"""
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_line cimport join_near
from cyconv.cpu.slide_span cimport Span, load, store, take_any
from cyconv.cpu.slide_sums cimport join_to_sum
from cyconv.cpu.slide_vectors cimport lane_bytes, sd, splat_sums, summed

cdef struct Pixels:
    const char* line                    # numbers as they lie,
    const Span* s
    bint narrow
    Py_ssize_t step                     # sums of the next number are so many bytes on,
    const char* pairs                   # as are those of a number and the next one
    Py_ssize_t rest                     # of a window, behind its runs


cdef inline inlined number_at(const Pixels* p, Py_ssize_t o, summed* v) noexcept nogil:
    take_any(p.line, o // 2 if p.narrow else o, p.s, p.narrow, v)

cdef inline inlined four(const char* pairs, Py_ssize_t step, summed* m) noexcept nogil:
    m[0] = load(pairs, m) + load(pairs + 2 * step, m)

cdef inline inlined eight(const char* pairs, Py_ssize_t step, summed* m) noexcept nogil:
    cdef summed later
    four(pairs, step, m)
    four(pairs + 4 * step, step, &later)
    m[0] = m[0] + later

cdef inline inlined rest_at(const Pixels* p, Py_ssize_t o, summed* m) noexcept nogil:
    cdef Py_ssize_t few = p.rest & 3
    cdef summed v, last
    if p.rest & 4:
        four(p.pairs + o, p.step, m)
        o += 4 * p.step
        if few == 0:
            return
    if few == 1:
        number_at(p, o, &v)
    else:
        v = load(p.pairs + o, m)
        if few == 3:
            number_at(p, o + 2 * p.step, &last)
            v = v + last
    m[0] = m[0] + v if p.rest & 4 else v

cdef inline void turn_block(char* runs, Py_ssize_t count, Py_ssize_t step, const summed* like) noexcept nogil:
    """Each run becomes itself and all that follow it."""
    cdef Py_ssize_t o = 0, at
    cdef summed m
    while o < step:
        at = (count - 1) * step + o
        m = load(runs + at, like)
        while at >= step:
            at -= step
            m = m + load(runs + at, like)
            store(runs + at, m)
        o += VB

cdef inline void sum_blocks(const Pixels* p, Py_ssize_t bytes, Py_ssize_t runs, char* eights, char* opening, char* to, const summed* like) noexcept nogil:
    cdef Py_ssize_t j = 0, at = 0, slot, i, o, step = 8 * p.step
    cdef summed m, rest, none = load(p.s.outside, like)
    if summed is sd:
        none = splat_sums(-0.0)
    while at < bytes:
        slot = (p.s.octet + j) % runs
        if j == 0 or slot == 0:
            turn_block(eights + at, runs - slot, step, like)
            o = 0
            while o < step:             # the next block's runs that the row's first windows have
                m = none
                for i in range(slot):
                    m = m + load(eights + at + (runs - slot + i) * step + o, like)
                store(opening + o, m)
                o += VB
        o = 0
        while o < min(step, bytes - at):
            m = load(eights + at + o, like) + load(opening + o, like)
            if p.rest:
                rest_at(p, at + o + runs * step, &rest)
                m = m + rest
            store(to + at + o, m)
            if at + step < bytes:
                store(opening + o, load(opening + o, like) + load(eights + at + runs * step + o, like))
            o += VB
        j += 1
        at += step

cdef inline void sum_of_pixels(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, bint narrow, char* work, char* sums, char* to,
                               const summed* like) noexcept nogil:
    """Windows of k numbers; `sums` has room for a block's opening besides."""
    cdef Pixels p
    cdef Py_ssize_t o = 0, runs = k // 8
    cdef summed m, rest
    if k <= 3:
        if narrow and k == 3:
            join_near(line, s, bytes, 3, step // 2, True, to, like)
        else:
            join_near(line, s, bytes, k, step // 2 if narrow else step, narrow, to, like)
        return
    if lane_bytes(like) == 4:           # integers, whose order does not matter; blocks are not of whole vectors
        join_near(line, s, bytes + (k - 1) * step, 1, step, False, work, like)
        join_to_sum(work, bytes, k, step, sums, NULL, to, like)
        return
    join_near(line, s, bytes + (k - 2) * step, 2, step // 2 if narrow else step, narrow, work, like)
    p.line, p.s, p.narrow, p.step, p.pairs, p.rest = line, s, narrow, step, work, k % 8
    if runs > 1:
        while o < bytes + (runs - 1) * 8 * step:
            eight(work + o, step, &m)
            store(sums + o, m)
            o += VB
        sum_blocks(&p, bytes, runs, sums, sums + bytes + (8 * runs + 8) * step, to, like)
        return
    while o < bytes:
        if runs == 0:
            rest_at(&p, o, &m)
        else:
            eight(work + o, step, &m)
            if p.rest:
                rest_at(&p, o + 8 * step, &rest)
                m = m + rest
        store(to + o, m)
        o += VB

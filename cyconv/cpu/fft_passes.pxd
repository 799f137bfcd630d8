"""Fourier transforms of a column of vectors: one transform in each lane.

Rows are pairs of vectors, [real parts][imaginary parts]. Forward passes split a transform of n rows into R of n / R rows each, natural order in, digits
reversed out; inverse passes are their mirror images. So nothing is ever put in order: a product of spectra does not care.
Passes are after W. M. Gentleman and G. Sande, "Fast Fourier transforms: for fun and profit", AFIPS 1966.
"""
from cyconv.cpu.shuffle cimport keep, lanes
from cyconv.cpu.simd cimport VB, inlined, splat, vf

cdef enum:
    MOST_PASSES = 4
    MOST_RADIX = 8

cdef struct Line:                       # a transform along one axis
    Py_ssize_t n
    int passes
    int[MOST_PASSES] radix              # of each forward pass
    const char* twiddles[MOST_PASSES]   # pass by pass, row by row: w_m ** (j k) for k = 1 ... R - 1, m being the length before the pass


cdef inline inlined constant(double value, lanes* to) noexcept nogil:
    cdef float narrow = <float> value
    to[0] = splat(<const char*> &narrow if lanes is vf else <const char*> &value, <const lanes*> NULL)


# ---- butterflies: forward as written; inverse with real and imaginary parts exchanged ---------------------------------------

cdef inline inlined butterfly_2(lanes* r, lanes* i) noexcept nogil:
    cdef lanes a = r[0] - r[1], b = i[0] - i[1]
    r[0], i[0] = r[0] + r[1], i[0] + i[1]
    r[1], i[1] = a, b

cdef inline inlined butterfly_3(lanes* r, lanes* i) noexcept nogil:
    cdef lanes half, side, sum_r = r[1] + r[2], sum_i = i[1] + i[2], far_r = r[1] - r[2], far_i = i[1] - i[2], mid_r, mid_i
    constant(0.5, &half)
    constant(0.86602540378443865, &side)
    mid_r, mid_i = r[0] - half * sum_r, i[0] - half * sum_i
    r[0], i[0] = r[0] + sum_r, i[0] + sum_i
    r[1], i[1] = mid_r + side * far_i, mid_i - side * far_r
    r[2], i[2] = mid_r - side * far_i, mid_i + side * far_r

cdef inline inlined butterfly_4(lanes* r, lanes* i) noexcept nogil:
    cdef lanes ar0 = r[0] + r[2], ai0 = i[0] + i[2], ar2 = r[0] - r[2], ai2 = i[0] - i[2]
    cdef lanes ar1 = r[1] + r[3], ai1 = i[1] + i[3], ar3 = r[1] - r[3], ai3 = i[1] - i[3]
    r[0], i[0], r[2], i[2] = ar0 + ar1, ai0 + ai1, ar0 - ar1, ai0 - ai1
    r[1], i[1], r[3], i[3] = ar2 + ai3, ai2 - ar3, ar2 - ai3, ai2 + ar3

cdef inline inlined butterfly_6(lanes* r, lanes* i) noexcept nogil:
    """Two of three, then three of two."""
    cdef lanes[3] er
    cdef lanes[3] ei
    cdef lanes[3] odd_r
    cdef lanes[3] odd_i
    cdef lanes half, side, a
    cdef int k
    for k in range(3):
        er[k], ei[k], odd_r[k], odd_i[k] = r[2 * k], i[2 * k], r[2 * k + 1], i[2 * k + 1]
    butterfly_3(er, ei)
    butterfly_3(odd_r, odd_i)
    constant(0.5, &half)
    constant(0.86602540378443865, &side)
    a = half * odd_r[1] + side * odd_i[1]           # times w_6
    odd_i[1] = half * odd_i[1] - side * odd_r[1]
    odd_r[1] = a
    a = side * odd_i[2] - half * odd_r[2]           # times w_6 squared
    odd_i[2] = -half * odd_i[2] - side * odd_r[2]
    odd_r[2] = a
    for k in range(3):
        r[k], i[k], r[k + 3], i[k + 3] = er[k] + odd_r[k], ei[k] + odd_i[k], er[k] - odd_r[k], ei[k] - odd_i[k]

cdef inline inlined butterfly_8(lanes* r, lanes* i) noexcept nogil:
    cdef lanes s, p, q
    cdef lanes ar0 = r[0] + r[4], ai0 = i[0] + i[4], ar4 = r[0] - r[4], ai4 = i[0] - i[4]
    cdef lanes ar1 = r[1] + r[5], ai1 = i[1] + i[5], ar5 = r[1] - r[5], ai5 = i[1] - i[5]
    cdef lanes ar2 = r[2] + r[6], ai2 = i[2] + i[6], ar6 = r[2] - r[6], ai6 = i[2] - i[6]
    cdef lanes ar3 = r[3] + r[7], ai3 = i[3] + i[7], ar7 = r[3] - r[7], ai7 = i[3] - i[7]
    constant(0.70710678118654752, &s)
    p, q, ar0, ai0 = ar0 + ar2, ai0 + ai2, ar0 - ar2, ai0 - ai2             # even outputs: four of the sums
    ar2, ai2, ar1, ai1 = ar1 + ar3, ai1 + ai3, ar1 - ar3, ai1 - ai3
    r[0], i[0], r[4], i[4] = p + ar2, q + ai2, p - ar2, q - ai2
    r[2], i[2], r[6], i[6] = ar0 + ai1, ai0 - ar1, ar0 - ai1, ai0 + ar1
    ar0, ai0, ar2, ai2 = ar4 + ai6, ai4 - ar6, ar4 - ai6, ai4 + ar6         # odd outputs
    ar1, ai1, ar3, ai3 = ar5 + ai7, ai5 - ar7, ar5 - ai7, ai5 + ar7
    p, q = ar1 + ai1, ai1 - ar1                                             # times 1 - i, whose 1 / sqrt(2) goes along with an FMA
    r[1], i[1], r[5], i[5] = ar0 + s * p, ai0 + s * q, ar0 - s * p, ai0 - s * q
    p, q = ai3 - ar3, ar3 + ai3                                             # times -1 - i
    r[3], i[3], r[7], i[7] = ar2 + s * p, ai2 - s * q, ar2 - s * p, ai2 + s * q

cdef inline inlined butterfly(const int R, lanes* r, lanes* i) noexcept nogil:
    if R == 2:
        butterfly_2(r, i)
    elif R == 3:
        butterfly_3(r, i)
    elif R == 4:
        butterfly_4(r, i)
    elif R == 6:
        butterfly_6(r, i)
    else:
        butterfly_8(r, i)


# ---- passes ------------------------------------------------------------------------------------------------------------------

cdef inline inlined turned_by(lanes* r, lanes* i, const char* w, bint back, const lanes* like) noexcept nogil:
    """Times the twiddle at w, or its conjugate."""
    cdef Py_ssize_t size = 4 if lanes is vf else 8
    cdef lanes wr = splat(w, like), wi = splat(w + size, like), a = r[0]
    if back:
        r[0], i[0] = a * wr + i[0] * wi, i[0] * wr - a * wi
    else:
        r[0], i[0] = a * wr - i[0] * wi, a * wi + i[0] * wr

cdef inline inlined twisted(lanes* r, lanes* i, const char* row, bint back, const lanes* like) noexcept nogil:
    """Times the row of a panel, or its conjugate."""
    cdef lanes wr = (<const lanes*> row)[0], wi = (<const lanes*> (row + VB))[0], a = r[0]
    if back:
        r[0], i[0] = a * wr + i[0] * wi, i[0] * wr - a * wi
    else:
        r[0], i[0] = a * wr - i[0] * wi, a * wi + i[0] * wr

cdef inline inlined split(const int R, const char* re, const char* im, Py_ssize_t step, char* to, Py_ssize_t m, const char* w, const char* twist, const lanes* like) noexcept nogil:
    """A forward pass: R * m rows, `step` bytes apart, to as many rows side by side; the last pass, of m = 1, has no twiddles, but may have a twist."""
    cdef Py_ssize_t j, size = 4 if lanes is vf else 8
    cdef int k
    cdef lanes[MOST_RADIX] r
    cdef lanes[MOST_RADIX] i
    cdef lanes* row
    for j in range(m):
        for k in range(R):
            r[k] = keep((<const lanes*> (re + (k * m + j) * step))[0])
            i[k] = keep((<const lanes*> (im + (k * m + j) * step))[0])
        butterfly(R, r, i)
        for k in range(R):
            if k and m > 1:
                turned_by(&r[k], &i[k], w + (k - 1) * 2 * size, False, like)
            if twist != NULL:
                twisted(&r[k], &i[k], twist + k * 2 * VB, False, like)
            row = <lanes*> (to + (k * m + j) * 2 * VB)
            row[0], row[1] = r[k], i[k]
        w += 2 * (R - 1) * size

cdef inline inlined merge(const int R, const char* rows, Py_ssize_t m, const char* w, const char* twist, char* re, char* im, Py_ssize_t step, Py_ssize_t wanted,
                          const lanes* like) noexcept nogil:
    """An inverse pass, of which the first `wanted` rows are written, `step` bytes apart."""
    cdef Py_ssize_t j, size = 4 if lanes is vf else 8
    cdef int k
    cdef lanes[MOST_RADIX] r
    cdef lanes[MOST_RADIX] i
    cdef const lanes* row
    for j in range(m):
        for k in range(R):
            row = <const lanes*> (rows + (k * m + j) * 2 * VB)
            r[k], i[k] = keep(row[0]), keep(row[1])
            if k and m > 1:
                turned_by(&r[k], &i[k], w + (k - 1) * 2 * size, True, like)
            if twist != NULL:
                twisted(&r[k], &i[k], twist + k * 2 * VB, True, like)
        w += 2 * (R - 1) * size
        butterfly(R, i, r)
        for k in range(R):
            if k * m + j < wanted:
                (<lanes*> (re + (k * m + j) * step))[0] = r[k]
                (<lanes*> (im + (k * m + j) * step))[0] = i[k]

cdef inline void split_any(int R, const char* re, const char* im, Py_ssize_t step, char* to, Py_ssize_t m, const char* w, const char* twist, const lanes* like) noexcept nogil:
    if R == 8 and m == 1:
        if twist != NULL:
            split(8, re, im, step, to, 1, w, twist, like)
        else:
            split(8, re, im, step, to, 1, w, NULL, like)
    elif R == 8:
        split(8, re, im, step, to, m, w, NULL, like)
    elif R == 4:
        split(4, re, im, step, to, m, w, NULL, like)
    elif R == 3:
        split(3, re, im, step, to, m, w, NULL, like)
    elif R == 6:
        split(6, re, im, step, to, m, w, NULL, like)
    else:
        split(2, re, im, step, to, m, w, NULL, like)

cdef inline void merge_any(int R, const char* rows, Py_ssize_t m, const char* w, const char* twist, char* re, char* im, Py_ssize_t step, Py_ssize_t wanted,
                           const lanes* like) noexcept nogil:
    if R == 8 and m == 1:
        if twist != NULL:
            merge(8, rows, 1, w, twist, re, im, step, wanted, like)
        else:
            merge(8, rows, 1, w, NULL, re, im, step, wanted, like)
    elif R == 8:
        merge(8, rows, m, w, NULL, re, im, step, wanted, like)
    elif R == 4:
        merge(4, rows, m, w, NULL, re, im, step, wanted, like)
    elif R == 3:
        merge(3, rows, m, w, NULL, re, im, step, wanted, like)
    elif R == 6:
        merge(6, rows, m, w, NULL, re, im, step, wanted, like)
    else:
        merge(2, rows, m, w, NULL, re, im, step, wanted, like)

cdef inline void forward(const Line* line, const char* re, const char* im, Py_ssize_t step, char* panel, int passes, const char* twist, const lanes* like) noexcept nogil:
    """line.n rows from where they lie, `step` bytes apart, to a panel; re and im may be the panel's own. The first `passes` of it.
    With a twist, [row][real, imaginary][lane], the last one ends in a product with it; it is one of 8 then, and not the first."""
    cdef Py_ssize_t m = line.n, length, b
    cdef char* rows
    cdef int p
    for p in range(passes):
        length = m
        m //= line.radix[p]
        if p == 0:
            split_any(line.radix[0], re, im, step, panel, m, line.twiddles[0], NULL, like)
            continue
        for b in range(line.n // length):
            rows = panel + b * length * 2 * VB
            split_any(line.radix[p], rows, rows + VB, 2 * VB, rows, m, line.twiddles[p], twist + b * length * 2 * VB if twist != NULL and m == 1 else NULL, like)

cdef inline void inverse(const Line* line, char* panel, char* re, char* im, Py_ssize_t step, Py_ssize_t wanted, int passes, const char* twist, const lanes* like) noexcept nogil:
    """The mirror image, not divided by line.n; the panel is overwritten. The last `passes` of it."""
    cdef Py_ssize_t m = 1, length, b
    cdef char* rows
    cdef int p
    for p in range(passes, line.passes):
        m *= line.radix[p]
    for p in range(passes - 1, -1, -1):
        length = m * line.radix[p]
        if p == 0:
            merge_any(line.radix[0], panel, m, line.twiddles[0], NULL, re, im, step, wanted, like)
            return
        for b in range(line.n // length):
            rows = panel + b * length * 2 * VB
            merge_any(line.radix[p], rows, m, line.twiddles[p], twist + b * length * 2 * VB if twist != NULL and m == 1 else NULL, rows, rows + VB, 2 * VB, length, like)
        m = length

"""Loops over one row of numbers of any format: read where it lies, whatever its step, and combined with the numbers that stand
there already: set, the larger one, or added. Only these loops know formats.
"""
from libc.math cimport INFINITY, fabs, fma, frexp, pow, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cyconv.cpu.pool_work cimport (
    HALF, How, INT16, INT32, INT64, INT8, PEAK, SET, SINGLE, Stored, UINT16, UINT32, UINT8,
)
from cyconv.cpu.simd cimport float_to_half, half, half_to_float, inlined, outlined

ctypedef fused stored:
    half
    float
    double
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused number:                  # what is computed with
    float
    double
    int32_t
    int64_t
    uint64_t

ctypedef fused place:                   # distance of a winner from the first column of its window's first row
    int32_t
    int64_t


cdef inline bint beats(number v, number m) noexcept nogil:
    """Whether v is larger, or a NaN, which beats everything. Without a branch, so that loops over it are vectorised."""
    if number is float or number is double:
        return (v > m) | (v != v)
    else:
        return v > m

cdef inline number best_of(number v, number m) noexcept nogil:
    return v if beats(v, m) else m

cdef inline inlined combine(const number* x, Py_ssize_t s, Py_ssize_t n, number* to, How how) noexcept nogil:
    cdef Py_ssize_t i
    if how == SET:
        for i in range(n):
            to[i] = x[i * s]
    elif how == PEAK:
        for i in range(n):
            to[i] = best_of(x[i * s], to[i])
    else:
        for i in range(n):
            to[i] = to[i] + x[i * s]

cdef inline void combine_strided(const number* x, Py_ssize_t s, Py_ssize_t n, number* to, How how) noexcept nogil:
    if s == 1:
        combine(x, 1, n, to, how)
    elif s == 2:
        combine(x, 2, n, to, how)
    else:
        combine(x, s, n, to, how)

cdef inline number read(const char* p, const stored* like, const number* target) noexcept nogil:
    """One number of the caller's array. `like` and `target` only name the types, and may be NULL."""
    if stored is half:
        return <number> half_to_float((<const half*> p)[0])
    else:
        return <number> (<const stored*> p)[0]

cdef inline inlined take_steps(const char* p, Py_ssize_t step, Py_ssize_t n, const stored* like, number* to, How how) noexcept nogil:
    cdef Py_ssize_t i
    if how == SET:
        for i in range(n):
            to[i] = read(p + i * step, like, <const number*> to)
    elif how == PEAK:
        for i in range(n):
            to[i] = best_of(read(p + i * step, like, <const number*> to), to[i])
    else:
        for i in range(n):
            to[i] = to[i] + read(p + i * step, like, <const number*> to)

cdef inline void take_as(const char* p, Py_ssize_t step, Py_ssize_t n, const stored* like, number* to, How how) noexcept nogil:
    if step == sizeof(stored):
        take_steps(p, sizeof(stored), n, like, to, how)
    else:
        take_steps(p, step, n, like, to, how)

cdef inline outlined take(Stored kind, const char* p, Py_ssize_t step, Py_ssize_t n, number* to, How how) noexcept nogil:
    """Combines n numbers of the caller's array with those in `to`."""
    if number is float or number is double:
        if kind == HALF:
            take_as(p, step, n, <const half*> NULL, to, how)
        elif kind == SINGLE:
            take_as(p, step, n, <const float*> NULL, to, how)
        elif number is double:
            take_as(p, step, n, <const double*> NULL, to, how)
    else:
        if kind == INT8:
            take_as(p, step, n, <const int8_t*> NULL, to, how)
        elif kind == INT16:
            take_as(p, step, n, <const int16_t*> NULL, to, how)
        elif kind == INT32:
            take_as(p, step, n, <const int32_t*> NULL, to, how)
        elif kind == UINT8:
            take_as(p, step, n, <const uint8_t*> NULL, to, how)
        elif kind == UINT16:
            take_as(p, step, n, <const uint16_t*> NULL, to, how)
        elif number is not int32_t:
            if kind == INT64:
                take_as(p, step, n, <const int64_t*> NULL, to, how)
            elif kind == UINT32:
                take_as(p, step, n, <const uint32_t*> NULL, to, how)
            else:
                take_as(p, step, n, <const uint64_t*> NULL, to, how)

cdef inline float towards_odd(double x) noexcept nogil:
    """x in single precision, its last bit set if anything was lost: then rounding it once more rounds x correctly."""
    cdef float f = <float> x
    cdef uint32_t bits
    memcpy(&bits, &f, 4)
    bits -= fabs(<double> f) > fabs(x)
    bits |= f != x
    memcpy(&f, &bits, 4)
    return f if x == x else <float> x

cdef inline void put_as(const number* x, Py_ssize_t n, Py_ssize_t parts, stored* to) noexcept nogil:
    cdef Py_ssize_t i
    if stored is half:
        for i in range(n):
            to[i] = float_to_half(towards_odd(x[i]) if number is double else <float> x[i])
    elif parts == 1:
        for i in range(n):
            to[i] = <stored> x[i]
    else:
        for i in range(n):
            to[i * parts] = <stored> x[i]

cdef inline outlined put(Stored kind, const number* x, Py_ssize_t n, Py_ssize_t parts, char* to) noexcept nogil:
    """Writes n results into the caller's array."""
    if number is float or number is double:
        if kind == HALF:
            put_as(x, n, parts, <half*> to)
        elif kind == SINGLE:
            put_as(x, n, parts, <float*> to)
        else:
            put_as(x, n, parts, <double*> to)
    else:
        if kind == INT8 or kind == UINT8:
            put_as(x, n, parts, <uint8_t*> to)
        elif kind == INT16 or kind == UINT16:
            put_as(x, n, parts, <uint16_t*> to)
        elif kind == INT32 or kind == UINT32:
            put_as(x, n, parts, <uint32_t*> to)
        else:
            put_as(x, n, parts, <uint64_t*> to)

cdef inline number lowest(const number* like) noexcept nogil:
    if number is float or number is double:
        return -INFINITY
    elif number is int32_t:
        return <int32_t> 0x80000000u
    elif number is int64_t:
        return <int64_t> (<uint64_t> 1 << 63)
    else:
        return 0

cdef inline outlined raise_to(double p, double* x, Py_ssize_t n) noexcept nogil:
    """The terms of a p-norm. The maximum norm's are compared, and so negated for p = -infinity."""
    cdef Py_ssize_t i
    if p == 2:
        for i in range(n):
            x[i] = x[i] * x[i]
    elif p == INFINITY:
        for i in range(n):
            x[i] = fabs(x[i])
    elif p == -INFINITY:
        for i in range(n):
            x[i] = -fabs(x[i])
    elif p == 0.5:
        for i in range(n):
            x[i] = sqrt(x[i])           # pow has another answer for -infinity
    elif p == 3:
        for i in range(n):
            x[i] = x[i] * x[i] * x[i]
    elif p != 1:
        for i in range(n):
            x[i] = pow(x[i], p)

cdef inline outlined take_root(double p, double* x, Py_ssize_t n) noexcept nogil:
    """Of the sums. What 1 / p is rounded by counts once for each power of two in a sum: 350 eps of the largest."""
    cdef Py_ssize_t i
    cdef double power = 1 / p, missed = fma(-power, p, 1) / p * 0.6931471805599453, root
    cdef int twos = 0
    if p == 2:
        for i in range(n):
            x[i] = sqrt(x[i])
    elif p == -INFINITY:
        for i in range(n):
            x[i] = -x[i]
    elif p != 1 and p != INFINITY:
        for i in range(n):
            root = pow(x[i], power)
            frexp(x[i], &twos)
            x[i] = root + root * (missed * twos) if -INFINITY < root < INFINITY else root

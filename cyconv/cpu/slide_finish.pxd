"""Rows of results as the caller's numbers: bits turned back, sums divided, roots taken."""
from libc.stdint cimport int32_t, int64_t, uint64_t

from cyconv.cpu.pool_divide cimport counted, counted_alike, divide, float_divisor
from cyconv.cpu.pool_rows cimport put, take_root
from cyconv.cpu.pool_work cimport ADD, Axis, NORM, SINGLE
from cyconv.cpu.shuffle cimport own
from cyconv.cpu.simd cimport inlined
from cyconv.cpu.slide_fetch cimport turn_words
from cyconv.cpu.slide_work cimport AHEAD, DOUBLES, FLOATS, INTS_32, Room, Work


cdef inline char* result_row(const Work* w, const Room* r, Py_ssize_t oz, Py_ssize_t oy) noexcept nogil:
    """Where the item's first result of a row belongs."""
    cdef Py_ssize_t plane = r.index if w.parts == 1 else r.index >> 1, row = (plane * w.axis[0].out + oz) * w.axis[1].out + oy
    return w.out + ((row * w.axis[2].out + r.begin[2]) * w.parts + (r.index - plane * w.parts)) * w.stored_size

cdef inline void own_row(const Work* w, const Room* r, const char* to) noexcept nogil:
    """What is written AHEAD bytes after this row of results."""
    cdef Py_ssize_t i
    for i in range(0, (r.end[2] - r.begin[2]) * w.stored_size, 64):
        own(to + i + AHEAD)

cdef inline inlined scale_to_floats(const double* x, Py_ssize_t n, double by, float* to) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = <float> (x[i] * by)

cdef inline inlined divide_ints(int32_t* x, Py_ssize_t n, double by) noexcept nogil:
    """Rounded towards zero. Half a one more keeps what the reciprocal is off by from taking a whole one away: |x| < 2**31."""
    cdef Py_ssize_t i
    cdef double each = 1 / by
    for i in range(n):
        x[i] = <int32_t> ((x[i] + (0.5 if x[i] >= 0 else -0.5)) * each)

cdef inline bint counts_alike(const Work* w, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Whether results begin .. end - 1 of a row are divided by the same number."""
    cdef const Axis* x = &w.axis[2]
    return w.divisors.has_override or (counted(&w.divisors, x, begin) == x.kernel and counted(&w.divisors, x, end - 1) == x.kernel)

cdef inline double row_factor(const Work* w, const Room* r, Py_ssize_t oy) noexcept nogil:
    """What the sums of such a row are multiplied with."""
    cdef double yz = <double> counted(&w.divisors, &w.axis[0], r.oz) * <double> counted(&w.divisors, &w.axis[1], oy)
    return 1 / float_divisor(&w.divisors, &w.axis[0], yz, w.axis[2].kernel)

cdef inline void put_sums(const Work* w, char* sums, Py_ssize_t n, Py_ssize_t z, Py_ssize_t y, Py_ssize_t x, char* to) noexcept nogil:
    """n sums that are divided alike. The reciprocal of a divisor is off by less than 2**-53, which single precision does not see."""
    if w.lanes == DOUBLES:
        if w.kind == NORM:
            divide(&w.divisors, &w.axis[0], <double*> sums, n, z, y, x)
            take_root(w.divisors.norm, <double*> sums, n)
        elif w.stored == SINGLE and w.parts == 1:
            scale_to_floats(<double*> sums, n, 1 / float_divisor(&w.divisors, &w.axis[0], <double> z * <double> y, x), <float*> to)
            return
        else:
            divide(&w.divisors, &w.axis[0], <double*> sums, n, z, y, x)
        put(w.stored, <double*> sums, n, w.parts, to)
    elif w.lanes == INTS_32:
        divide_ints(<int32_t*> sums, n, float_divisor(&w.divisors, &w.axis[0], <double> z * <double> y, x))
        put(w.stored, <int32_t*> sums, n, 1, to)
    else:
        divide(&w.divisors, &w.axis[0], <uint64_t*> sums, n, z, y, x)
        put(w.stored, <uint64_t*> sums, n, 1, to)

cdef inline void finish_row(const Work* w, const Room* r, Py_ssize_t oz, Py_ssize_t oy, char* from_) noexcept nogil:
    cdef Py_ssize_t left = r.begin[2], n = r.end[2] - left, o = left, end, x
    cdef char* to = result_row(w, r, oz, oy)
    cdef Py_ssize_t z, y
    own_row(w, r, to)
    if w.how == ADD:
        if w.divisors.has_override:
            put_sums(w, from_, n, 1, 1, 1, to)
            return
        z, y = counted(&w.divisors, &w.axis[0], oz), counted(&w.divisors, &w.axis[1], oy)
        while o < r.end[2]:
            x = counted(&w.divisors, &w.axis[2], o)
            end = counted_alike(&w.divisors, &w.axis[2], o, r.end[2])
            put_sums(w, from_ + (o - left) * w.size, end - o, z, y, x, to + (o - left) * w.parts * w.stored_size)
            o = end
    elif w.plain:
        turn_words(w, from_, w.size, n, to)
    else:
        if w.turned:
            turn_words(w, from_, w.size, n, from_)
        if w.lanes == FLOATS:
            put(w.stored, <float*> from_, n, 1, to)
        elif w.lanes == DOUBLES:                # a maximum norm
            take_root(w.divisors.norm, <double*> from_, n)
            put(w.stored, <double*> from_, n, 1, to)
        elif w.lanes == INTS_32:
            put(w.stored, <int32_t*> from_, n, 1, to)
        else:
            put(w.stored, <int64_t*> from_, n, 1, to)

cdef inline void finish(const Work* w, const Room* r, int axis, Py_ssize_t output, char* from_) noexcept nogil:
    """A row of results, or one for each row of a plane of them."""
    cdef Py_ssize_t y
    if axis == 1:
        finish_row(w, r, r.oz, output, from_)
    else:
        for y in range(r.begin[1], r.end[1]):
            finish_row(w, r, output, y, from_ + (y - r.begin[1]) * w.row_bytes)

"""Rows of results as the caller's numbers: bits turned back, sums divided, roots taken."""
from libc.stdint cimport int32_t, int64_t, uint64_t

from cyconv.cpu.pool_divide cimport counted, counted_alike, divide, float_divisor
from cyconv.cpu.pool_rows cimport put, take_root
from cyconv.cpu.pool_work cimport ADD, Axis, NORM, SINGLE
from cyconv.cpu.shuffle cimport own
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_fetch cimport turn_words
from cyconv.cpu.slide_turn cimport Turn, turn_row
from cyconv.cpu.slide_work cimport AHEAD, DOUBLES, FLOATS, INTS_32, Room, SOON, Work


cdef inline char* result_row(const Work* w, const Room* r, Py_ssize_t oz, Py_ssize_t oy) noexcept nogil:
    """Where the item's first result of a row belongs."""
    cdef Py_ssize_t plane = r.index if w.parts == 1 else r.index >> 1, row = (plane * w.flat * w.axis[0].out + oz) * w.axis[1].out + oy
    return w.out + ((row * w.columns.out + r.left) * w.parts + (r.index - plane * w.parts)) * w.stored_size

cdef inline void spread_rows(const Work* w, Room* r) noexcept nogil:
    """The rows that wait to the planes that they belong to, a vector of channels at a time: planes written at once are few, and a row of each is long."""
    cdef Turn t
    cdef Py_ssize_t c = 0, at, side = VB // w.stored_size
    cdef int i
    t.size, t.step, t.n, t.channels = w.stored_size, w.flat * w.stored_size, (r.end[2] - r.begin[2]) // w.flat, min(w.flat, side)
    t.behind, t.ahead_in, t.ahead_out = r.flat + w.flat_rows * w.flat_bytes, 0, SOON
    t.apart = w.axis[0].out * w.axis[1].out * w.columns.out * w.stored_size
    while c < w.flat:
        at = max(min(c, w.flat - side), 0)
        for i in range(r.waiting):
            t.from_, t.to = r.flat + i * w.flat_bytes + at * w.stored_size, r.goal[i] + at * t.apart
            turn_row(&t)
        c += side
    r.waiting = 0

cdef inline char* open_row(const Work* w, Room* r, Py_ssize_t oz, Py_ssize_t oy, int others) noexcept nogil:
    """Where a row of results is to be made: where it belongs, or where it waits. So many others are opened before it is made."""
    cdef char* to = result_row(w, r, oz, oy)
    if w.flat == 1:
        return to
    if r.waiting + others >= w.flat_rows:
        spread_rows(w, r)
    r.goal[r.waiting] = to
    r.waiting += 1
    return r.flat + (r.waiting - 1) * w.flat_bytes

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
    cdef const Axis* x = &w.columns
    return w.divisors.has_override or (counted(&w.divisors, x, begin // w.flat) == x.kernel and counted(&w.divisors, x, (end - 1) // w.flat) == x.kernel)

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

cdef inline void finish_row(const Work* w, Room* r, Py_ssize_t oz, Py_ssize_t oy, char* from_) noexcept nogil:
    cdef Py_ssize_t left = r.begin[2], n = r.end[2] - left, o = left, end, x
    cdef char* to = open_row(w, r, oz, oy, 0)
    cdef Py_ssize_t z, y
    if w.flat == 1:
        own_row(w, r, to)
    if w.how == ADD:
        if w.divisors.has_override:
            put_sums(w, from_, n, 1, 1, 1, to)
            return
        z, y = counted(&w.divisors, &w.axis[0], oz), counted(&w.divisors, &w.axis[1], oy)
        while o < r.end[2]:
            x = counted(&w.divisors, &w.columns, o // w.flat)
            end = counted_alike(&w.divisors, &w.columns, o // w.flat, r.end[2] // w.flat) * w.flat
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

cdef inline void finish(const Work* w, Room* r, int axis, Py_ssize_t output, char* from_) noexcept nogil:
    """A row of results, or one for each row of a plane of them."""
    cdef Py_ssize_t y
    if axis == 1:
        finish_row(w, r, r.oz, output, from_)
    else:
        for y in range(r.begin[1], r.end[1]):
            finish_row(w, r, output, y, from_ + (y - r.begin[1]) * w.row_bytes)

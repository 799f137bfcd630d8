"""What pooling is made of: the shapes of its work, the windows, and loops over one row of numbers.

A row is read where it lies, whatever its step and number format, and combined with the numbers that stand there already:
set, the larger one, or added. Only these loops know number formats; pool.pyx decides which rows meet.
"""
from libc.math cimport INFINITY, fabs, pow, sqrt
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cyconv.cpu.simd cimport float_to_half, half, half_to_float, inlined

cdef extern from *:
    """
    typedef unsigned __int128 cy_wide;
    """
    ctypedef unsigned long long wide "cy_wide"      # products of two sizes

cdef enum:
    LINE = 2048                         # columns of one piece of a line
    HALF_LINE = LINE // 2
    MOST_OUTPUTS = 1024                 # of one row that are worked on at a time
    LANES = 64                          # planes that are worked on together
    SPOTS = 128                         # outputs of each of them
    BOX = 256                           # samples of the largest plane that is transposed for it
    RING_BYTES = 512 * 1024             # rows kept for the next window, at most
    ITEM = 1 << 16                      # elementary steps of one item of work
    BATCH = 1 << 27                     # elementary steps between two looks at Ctrl-C: about 0.1 s

cdef enum Kind:
    MAX, SUM, NORM

cdef enum Stored:                       # how numbers lie in the caller's arrays; complex ones are pairs of these
    HALF, SINGLE, DOUBLE, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64

cdef enum How:                          # what becomes of the number that stands there
    SET, PEAK, ADD

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

cdef struct Axis:
    Py_ssize_t n, out, kernel, stride, dilation
    Py_ssize_t pad, pad_after           # before the first sample, and after the last
    Py_ssize_t step                     # bytes between neighbours in the input
    bint adaptive

cdef struct Work:
    Kind kind
    Stored stored
    Stored computed                     # SINGLE, DOUBLE, INT32, INT64 or UINT64
    Py_ssize_t stored_size, size        # bytes of one in the caller's arrays, and of one that is computed with
    Py_ssize_t parts                    # 2 for complex: real and imaginary parts are planes of their own
    Axis[3] axis
    Py_ssize_t channels                 # parts counted apart
    Py_ssize_t channel_step, batch_step
    bint channels_last                  # whether neighbours in memory are channels: then items of one place come together
    const char* input
    char* out
    int64_t* indices
    Py_ssize_t index_stride             # between the first columns of neighbouring windows, of the caller's input
    Py_ssize_t row_length               # of the caller's input
    bint in_place                       # whether rows can be read where they lie
    bint straight                       # whether results are made where they belong
    bint by_window                      # whether the columns of each window are reduced on their own
    Py_ssize_t columns, column_blocks   # outputs of one row that are worked on at a time
    Py_ssize_t rows, row_blocks         # output rows (z and y as one axis) of one item
    Py_ssize_t ring_y, ring             # rows of y, and in all, that are kept
    Py_ssize_t pitch                    # numbers from one kept row to the next
    bint count_include_pad
    bint has_override
    Py_ssize_t override
    double norm
    bint signed_sums
    bint by_planes                      # whether the innermost loop runs over planes
    bint boxed                          # whether they are transposed first
    Py_ssize_t spot_blocks, lane_blocks

cdef struct Scratch:
    char* line
    char* result
    char* places
    char* kept                          # ring of rows, or box
    Py_ssize_t* tags                    # which row and piece each of them is
    Py_ssize_t* windows                 # with by_window: first column and count of each window of the item


# ---- windows -------------------------------------------------------------------------------------------------------------

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """For any a and positive b, which is 1 so often that a division, ten times slower, is worth avoiding."""
    if b == 1:
        return a
    return (a + b - 1) // b if a > 0 else -(-a // b)

cdef inline Py_ssize_t floor_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    if b == 1:
        return a
    return a // b if a >= 0 else -((-a + b - 1) // b)

cdef inline void window(const Axis* a, Py_ssize_t o, Py_ssize_t* first, Py_ssize_t* count) noexcept nogil:
    """The samples of window o: `count` of them, from `first` on, a dilation apart."""
    cdef Py_ssize_t start, skipped = 0
    if a.adaptive and (a.n | a.out) < <Py_ssize_t> 1 << 31:
        first[0] = o * a.n // a.out
        count[0] = ((o + 1) * a.n + a.out - 1) // a.out - first[0]
        return
    if a.adaptive:
        first[0] = <Py_ssize_t> (<wide> o * <wide> a.n // <wide> a.out)
        count[0] = <Py_ssize_t> ((<wide> (o + 1) * <wide> a.n + <wide> (a.out - 1)) // <wide> a.out) - first[0]
        return
    start = o * a.stride - a.pad
    if start < 0:
        skipped = ceil_div(-start, a.dilation)
    first[0] = start + skipped * a.dilation
    count[0] = min(a.kernel, ceil_div(a.n - start, a.dilation)) - skipped

cdef inline void columns_of(const Axis* a, Py_ssize_t left, Py_ssize_t right, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    """The samples that windows left .. right - 1 lie in."""
    cdef Py_ssize_t count
    if a.adaptive:
        window(a, left, begin, &count)
        window(a, right - 1, end, &count)
        end[0] += count
    else:
        begin[0] = max(0, left * a.stride - a.pad)
        end[0] = min(a.n, (right - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1)

cdef inline Py_ssize_t counted(const Work* w, const Axis* a, Py_ssize_t o) noexcept nogil:
    """Samples of window o along an axis that an average is divided by."""
    cdef Py_ssize_t start, first, count
    if w.count_include_pad and not a.adaptive:
        start = o * a.stride - a.pad
        return min(a.kernel, a.n + a.pad_after - start)
    window(a, o, &first, &count)
    return count


# ---- one row of numbers --------------------------------------------------------------------------------------------------

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

cdef inline void take(Stored kind, const char* p, Py_ssize_t step, Py_ssize_t n, number* to, How how) noexcept nogil:
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

cdef inline void put(Stored kind, const number* x, Py_ssize_t n, Py_ssize_t parts, char* to) noexcept nogil:
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

cdef inline void raise_to(double p, double* x, Py_ssize_t n) noexcept nogil:
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

cdef inline void take_root(double p, double* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    if p == 2:
        for i in range(n):
            x[i] = sqrt(x[i])
    elif p == -INFINITY:
        for i in range(n):
            x[i] = -x[i]
    elif p != 1 and p != INFINITY:
        for i in range(n):
            x[i] = pow(x[i], 1 / p)


cdef inline const number* fetch(const Work* w, const Scratch* s, const char* plane, Py_ssize_t z, Py_ssize_t y, Py_ssize_t begin,
                                Py_ssize_t n, const number* like) noexcept nogil:
    """Columns begin .. begin + n of row (z, y) as numbers to compute with: where they lie, or from the ring of kept rows."""
    cdef const char* p = plane + z * w.axis[0].step + y * w.axis[1].step + begin * w.axis[2].step
    cdef Py_ssize_t slot, row
    cdef number* kept
    if w.in_place:
        return <const number*> p
    row = z * w.axis[1].n + y
    slot = (z * w.ring_y + y % w.ring_y) % w.ring
    kept = <number*> s.kept + slot * w.pitch
    if s.tags[2 * slot] != row or s.tags[2 * slot + 1] != begin:
        take(w.stored, p, w.axis[2].step, n, kept, SET)
        if number is double:
            if w.kind == NORM:
                raise_to(w.norm, kept, n)
        s.tags[2 * slot], s.tags[2 * slot + 1] = row, begin
    return kept

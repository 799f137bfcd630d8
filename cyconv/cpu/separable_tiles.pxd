"""The register tiles of `separable`: sums down neighbouring rows (`down`), along a row of neighbouring samples (`near`), and over
samples at any constant distances (`apart`). Positions stand on the vector lanes.
"""
from libc.stdint cimport uint64_t
from cyconv.cpu.shuffle cimport shift_in
from cyconv.cpu.simd cimport VB, inlined, splat, vd, vector, vf, vq, vw

cdef extern from *:
    """
    #if CY_VB == 64
      #define CY_MOVING 3               /* one shuffle moves a vector on by a number, and nearly every 64-byte load crosses lines */
      #define CY_ABREAST 4
    #else
      #define CY_MOVING 0
      #define CY_ABREAST 2
    #endif
    """
    enum:
        MOVING "CY_MOVING"              # of LONG vectors along x, those that are moved
        ABREAST "CY_ABREAST"            # vectors of a register tile of TALL rows

cdef enum:
    TALL = 4                            # rows of a register tile
    LONG = 8                            # vectors of a run along x

# Outside of a loop of unknown length GCC would pass the accumulators through the stack: hence the loops over range(once), once = 1.

cdef inline inlined down_of(const int rows, const int vectors, const vector* like, Py_ssize_t taps, const char* weight,
                            const char* src, Py_ssize_t pitch, char* dst, Py_ssize_t to_pitch, Py_ssize_t once) noexcept nogil:
    """rows x vectors sums over `taps` neighbouring rows (at least rows - 1): each is loaded once for all sums that it is in."""
    cdef vector[TALL][ABREAST] acc
    cdef vector[ABREAST] x
    cdef vector w
    cdef const char* p
    cdef Py_ssize_t i, _done
    cdef uint64_t nothing = 0
    cdef int r, v, t, size = 8 if vector is vd or vector is vq else 4
    for _done in range(once):
        p = src
        for r in range(rows):
            for v in range(vectors):
                acc[r][v] = splat(<const char*> &nothing, like)
        for t in range(rows - 1):
            for v in range(vectors):
                x[v] = (<const vector*> (p + v * VB))[0]
            for r in range(rows):
                if r <= t:
                    w = splat(weight + (t - r) * size, like)
                    for v in range(vectors):
                        acc[r][v] = acc[r][v] + w * x[v]
            p += pitch
        for i in range(rows - 1, taps):
            for v in range(vectors):
                x[v] = (<const vector*> (p + v * VB))[0]
            for r in range(rows):
                w = splat(weight + (i - r) * size, like)
                for v in range(vectors):
                    acc[r][v] = acc[r][v] + w * x[v]
            p += pitch
        for t in range(rows - 1):
            for v in range(vectors):
                x[v] = (<const vector*> (p + v * VB))[0]
            for r in range(rows):
                if r > t:
                    w = splat(weight + (taps + t - r) * size, like)
                    for v in range(vectors):
                        acc[r][v] = acc[r][v] + w * x[v]
            p += pitch
        for r in range(rows):
            for v in range(vectors):
                (<vector*> (dst + r * to_pitch + v * VB))[0] = acc[r][v]


cdef inline inlined down_rows(const int vectors, const vector* like, int rows, Py_ssize_t taps, const char* weight, const char* src,
                              Py_ssize_t pitch, char* dst, Py_ssize_t to_pitch) noexcept nogil:
    if rows == 4:
        down_of(4, vectors, like, taps, weight, src, pitch, dst, to_pitch, 1)
    elif rows == 3:
        down_of(3, vectors, like, taps, weight, src, pitch, dst, to_pitch, 1)
    elif rows == 2:
        down_of(2, vectors, like, taps, weight, src, pitch, dst, to_pitch, 1)
    else:
        down_of(1, vectors, like, taps, weight, src, pitch, dst, to_pitch, 1)


cdef inline void down(const vector* like, int rows, Py_ssize_t taps, const char* weight, const char* src, Py_ssize_t pitch, char* dst,
               Py_ssize_t to_pitch, Py_ssize_t length) noexcept nogil:
    """`rows` rows of `length` bytes, rounded up to vectors."""
    cdef Py_ssize_t x = 0
    while x + (ABREAST - 1) * VB < length:
        down_rows(ABREAST, like, rows, taps, weight, src + x, pitch, dst + x, to_pitch)
        x += ABREAST * VB
    while x < length:
        down_rows(1, like, rows, taps, weight, src + x, pitch, dst + x, to_pitch)
        x += VB


cdef inline inlined apart_of(const int vectors, const vector* like, Py_ssize_t taps, const Py_ssize_t* offset, const char* weight,
                             const char* start, const char* src, char* dst, Py_ssize_t once) noexcept nogil:
    """One run of sums start + sum_i weight[i] * src[offset[i]], whatever the distances between taps are."""
    cdef vector[LONG] acc
    cdef vector w
    cdef const char* p
    cdef Py_ssize_t i, _done
    cdef int v, size = 8 if vector is vd or vector is vq else 4
    for _done in range(once):
        w = splat(start, like)
        for v in range(vectors):
            acc[v] = w
        for i in range(taps):
            w = splat(weight + i * size, like)
            p = src + offset[i]
            for v in range(vectors):
                acc[v] = acc[v] + w * (<const vector*> (p + v * VB))[0]
        for v in range(vectors):
            (<vector*> (dst + v * VB))[0] = acc[v]


cdef inline void apart(const vector* like, Py_ssize_t taps, const Py_ssize_t* offset, const char* weight, const char* start, const char* src,
                char* dst, Py_ssize_t length, bint loose) noexcept nogil:
    """A run of `length` bytes, rounded up to vectors; if `loose`, up to LONG of them: a short chain of sums waits for each FMA to end."""
    cdef Py_ssize_t x = 0
    while x + (LONG - 1) * VB < length or loose and x + 4 * VB < length:
        apart_of(LONG, like, taps, offset, weight, start, src + x, dst + x, 1)
        x += LONG * VB
    if x + 3 * VB < length or loose and x + VB < length:
        apart_of(4, like, taps, offset, weight, start, src + x, dst + x, 1)
        x += 4 * VB
    while x < length:
        apart_of(1, like, taps, offset, weight, start, src + x, dst + x, 1)
        x += VB


cdef inline inlined near_of(const int vectors, const int moving, const vector* like, Py_ssize_t channels, Py_ssize_t taps,
                            const char* weight, const char* start, const char* src, Py_ssize_t pitch, char* dst, Py_ssize_t once) noexcept nogil:
    """The same for neighbouring taps of a few channels, `pitch` bytes apart. The first `moving` vectors are loaded once and moved on by
    a number a tap, the others loaded for each tap: shuffles and loads that cross cache lines cost about the same, and go on side by side."""
    cdef vector[LONG] acc
    cdef vector[LONG + 1] x
    cdef vector w
    cdef const char* p
    cdef const char* f
    cdef Py_ssize_t c, i, _j, _done
    cdef int v, size = 8 if vector is vd or vector is vq else 4
    for _done in range(once):
        w = splat(start, like)
        for v in range(vectors):
            acc[v] = w
        f = weight
        for c in range(channels):
            p = src + c * pitch
            i = 0
            while i < taps:
                for v in range(moving + 1):
                    x[v] = (<const vector*> (p + v * VB))[0]
                for _j in range(min(<Py_ssize_t> (VB // size), taps - i)):
                    w = splat(f, like)
                    for v in range(moving):
                        acc[v] = acc[v] + w * x[v]
                    for v in range(moving, vectors):
                        acc[v] = acc[v] + w * (<const vector*> (p + v * VB))[0]
                    for v in range(moving):
                        x[v] = moved(x[v], x[v + 1])
                    x[moving] = moved(x[moving], x[moving])
                    f += size
                    p += size
                i += VB // size
        for v in range(vectors):
            (<vector*> (dst + v * VB))[0] = acc[v]


cdef inline vector moved(vector a, vector b) noexcept nogil:
    if vector is vf or vector is vd:
        return shift_in(a, b)
    else:
        return a                        # integers do not come here


cdef inline void near(const vector* like, Py_ssize_t channels, Py_ssize_t taps, const char* weight, const char* start, const char* src,
               Py_ssize_t pitch, char* dst, Py_ssize_t length) noexcept nogil:
    """A run of `length` bytes, rounded up to as many as LONG vectors."""
    cdef Py_ssize_t x = 0
    while x + 4 * VB < length:
        near_of(LONG, MOVING, like, channels, taps, weight, start, src + x, pitch, dst + x, 1)
        x += LONG * VB
    if x + VB < length:
        if MOVING and taps > 4:
            near_of(4, 1, like, channels, taps, weight, start, src + x, pitch, dst + x, 1)
        else:
            near_of(4, 0, like, channels, taps, weight, start, src + x, pitch, dst + x, 1)
        x += 4 * VB
    while x < length:
        near_of(1, 0, like, channels, taps, weight, start, src + x, pitch, dst + x, 1)
        x += VB

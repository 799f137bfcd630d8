"""Global pools of floats: each plane is one window and one run of memory, which vectors walk along.

Four maxima or sums of every fourth vector do not wait for each other; then lanes are joined. Where a maximum stands is looked for when it
is known. Averages of single precision are summed in double. Threads share out planes.
"""
from libc.math cimport INFINITY

from cyconv.cpu.pool_divide cimport divide
from cyconv.cpu.pool_windows cimport Work
from cyconv.cpu.pool_work cimport MAX, SINGLE
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch as ask
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.slide_vectors cimport after, join, load_within

cdef extern from *:
    """
    /* Eight sums of as many numbers at a time, four times over, in vectors of any length: all levels of instructions add up in the same order. */
    #define CY_LANES_OF_8 (CY_VB / 8)
    #define CY_EIGHT (8 / CY_LANES_OF_8)        /* vectors of it */
    #if defined(__GNUC__) && !defined(__clang__)
      #define CY_UNROLLED _Pragma("GCC unroll 16")
    #else
      #define CY_UNROLLED
    #endif
    #define CY_ADD_UP(sums, count, SIZE, ALL) \\
      CY_UNROLLED for (int k = 0; k < count; k++) sums[k] += ALL(p + (i + k * CY_LANES_OF_8) * SIZE);
    #define CY_SUM_EIGHTS(NAME, SIZE, ALL, SOME) \\
      static inline void NAME(const char *p, Py_ssize_t n, Py_ssize_t ahead, double *sums) { \\
        cy_vd s[4 * CY_EIGHT]; \\
        Py_ssize_t i = 0; \\
        CY_UNROLLED for (int k = 0; k < 4 * CY_EIGHT; k++) s[k] = (cy_vd){0}; \\
        for (; i + 32 <= n; i += 32) { \\
          CY_UNROLLED for (int k = 0; k < 32 * SIZE; k += 64) __builtin_prefetch(p + i * SIZE + k + ahead); \\
          CY_ADD_UP(s, 4 * CY_EIGHT, SIZE, ALL) \\
        } \\
        for (; i + 8 <= n; i += 8) { CY_ADD_UP(s, CY_EIGHT, SIZE, ALL) } \\
        CY_UNROLLED for (int k = 0; k < CY_EIGHT; k++) { \\
          Py_ssize_t bytes = (n - i) * SIZE - k * CY_LANES_OF_8 * SIZE; \\
          if (bytes > 0) s[CY_EIGHT + k] += SOME(p + (i + k * CY_LANES_OF_8) * SIZE, bytes < CY_LANES_OF_8 * SIZE ? bytes : CY_LANES_OF_8 * SIZE); \\
        } \\
        CY_UNROLLED for (int k = 0; k < CY_EIGHT; k++) \\
          ((cy_vd *)sums)[k] = (s[k] + s[CY_EIGHT + k]) + (s[2 * CY_EIGHT + k] + s[3 * CY_EIGHT + k]); \\
      }
    #define CY_WIDE(p)           cy_widened(p)
    #define CY_WIDE_SOME(p, n)   cy_widened_within(p, 0, n)
    #define CY_DOUBLES(p)        (*(const cy_vd *)(p))
    #define CY_DOUBLES_SOME(p, n) cy_within_d(p, 0, n, (cy_vd){0})
    #define CY_ADD_RUN(NAME, SIZE, ALL) \\
      static inline void NAME(const char *p, Py_ssize_t n, double *sums) { \\
        cy_vd s[4 * CY_EIGHT]; \\
        CY_UNROLLED for (int k = 0; k < 4 * CY_EIGHT; k++) s[k] = ((const cy_vd *)sums)[k]; \\
        for (Py_ssize_t i = 0; i < n; i += 32) { CY_ADD_UP(s, 4 * CY_EIGHT, SIZE, ALL) } \\
        CY_UNROLLED for (int k = 0; k < 4 * CY_EIGHT; k++) ((cy_vd *)sums)[k] = s[k]; \\
      }
    CY_ADD_RUN(cy_add_floats, 4, CY_WIDE)
    CY_ADD_RUN(cy_add_doubles, 8, CY_DOUBLES)
    CY_SUM_EIGHTS(cy_sum_floats, 4, CY_WIDE, CY_WIDE_SOME)
    CY_SUM_EIGHTS(cy_sum_doubles, 8, CY_DOUBLES, CY_DOUBLES_SOME)
    """
    void sum_floats "cy_sum_floats"(const char*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil        # of n numbers: eight sums
    void sum_doubles "cy_sum_doubles"(const char*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
    void add_floats "cy_add_floats"(const char*, Py_ssize_t, double*) noexcept nogil    # n numbers, a multiple of 32, to 32 sums
    void add_doubles "cy_add_doubles"(const char*, Py_ssize_t, double*) noexcept nogil

cdef enum:
    SUMS = 32                           # of a plane
    SOUGHT = 64                         # numbers that are compared at once
    AHEAD = 2048                        # bytes by which numbers are asked for ahead

ctypedef fused peak:
    vf
    vd


cdef inline inlined peak_lanes(const char* p, Py_ssize_t bytes, const char* least, char* to, const peak* like) noexcept nogil:
    """A vector whose every lane is the maximum of all numbers, or the NaN among them."""
    cdef Py_ssize_t o = 0
    cdef peak none = (<const peak*> least)[0], a = none, b = none, c = none, d = none
    while o + 4 * VB <= bytes:
        ask(p + o + AHEAD)
        ask(p + o + AHEAD + 64)
        ask(p + o + AHEAD + 128)
        ask(p + o + AHEAD + 192)
        a = join((<const peak*> (p + o))[0], a)
        b = join((<const peak*> (p + o + VB))[0], b)
        c = join((<const peak*> (p + o + 2 * VB))[0], c)
        d = join((<const peak*> (p + o + 3 * VB))[0], d)
        o += 4 * VB
    while o + VB <= bytes:
        a = join((<const peak*> (p + o))[0], a)
        o += VB
    if o < bytes:
        b = join(load_within(p + o, 0, bytes - o, none), b)
    a = join(join(b, a), join(d, c))
    a = join(after(a, a, 8), a)
    a = join(after(a, a, 4), a)
    a = join(after(a, a, 2), a)
    (<peak*> to)[0] = join(after(a, a, 1), a)

cdef inline double whole_average(const Work* w, const char* p, Py_ssize_t samples, bint narrow) noexcept nogil:
    cdef double[8] sums
    cdef int half = 4, i
    if narrow:
        sum_floats(p, samples, AHEAD, sums)
    else:
        sum_doubles(p, samples, AHEAD, sums)
    while half:
        for i in range(half):
            sums[i] += sums[i + half]
        half //= 2
    divide(&w.divisors, &w.axis[0], sums, 1, w.axis[0].n, w.axis[1].n, w.axis[2].n)
    return sums[0]

ctypedef fused real:
    float
    double

cdef inline Py_ssize_t first_of(const real* p, Py_ssize_t samples, real value) noexcept nogil:
    """Where the first number stands that equals `value`, which is one of them. Whole blocks are compared at once."""
    cdef Py_ssize_t at = 0, i
    cdef int found = 0
    while at + SOUGHT <= samples:
        for i in range(SOUGHT):
            found |= p[at + i] == value
        if found:
            break
        at += SOUGHT
    while p[at] != value:
        at += 1
    return at

cdef inline Py_ssize_t winner(const real* p, Py_ssize_t samples, real peak_of_all) noexcept nogil:
    """Of equal numbers the first one wins, of several NaN the last."""
    cdef Py_ssize_t at = samples - 1
    if peak_of_all == peak_of_all:
        return first_of(p, samples, peak_of_all)
    while p[at] == p[at]:
        at -= 1
    return at

cdef inline void put_winner(const Work* w, const real* p, Py_ssize_t samples, Py_ssize_t plane, real peak_of_all) noexcept nogil:
    """A zero's sign is the first one's, too."""
    cdef Py_ssize_t at = -1
    if w.with_indices:
        at = w.indices[plane] = winner(p, samples, peak_of_all)
    elif peak_of_all == 0:
        at = first_of(p, samples, 0)
    (<real*> w.out)[plane] = p[at] if at >= 0 else peak_of_all

cdef inline inlined whole_plane(const Work* w, const char* p, Py_ssize_t samples, Py_ssize_t plane) noexcept nogil:
    cdef float[LANES_F] floats
    cdef double[LANES_D] doubles
    cdef int i
    if w.kind == MAX and w.stored == SINGLE:
        for i in range(LANES_F):
            floats[i] = -INFINITY
        peak_lanes(p, samples * 4, <const char*> &floats, <char*> &floats, <const vf*> NULL)
        put_winner(w, <const float*> p, samples, plane, floats[0])
    elif w.kind == MAX:
        for i in range(LANES_D):
            doubles[i] = -INFINITY
        peak_lanes(p, samples * 8, <const char*> &doubles, <char*> &doubles, <const vd*> NULL)
        put_winner(w, <const double*> p, samples, plane, doubles[0])
    elif w.stored == SINGLE:
        (<float*> w.out)[plane] = <float> whole_average(w, p, samples, True)
    else:
        (<double*> w.out)[plane] = whole_average(w, p, samples, False)

cdef inline void whole_item(const Work* w, Py_ssize_t item) noexcept nogil:
    """Some planes of one item of the batch."""
    cdef Py_ssize_t blocks = (w.channels + w.together - 1) // w.together, batch = item // blocks, first = item % blocks * w.together, channel
    cdef Py_ssize_t samples = w.axis[0].n * w.axis[1].n * w.axis[2].n
    for channel in range(first, min(first + w.together, w.channels)):
        whole_plane(w, w.input + batch * w.batch_step + channel * w.channel_step, samples, batch * w.channels + channel)

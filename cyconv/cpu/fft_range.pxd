"""Whether single precision holds what is small in a tile beside what is large: a transform rounds all of it by the same amount.

A window whose samples are all small must be found wherever it lies. So the tile is cut into cells that fit into every window, of which the largest
sample counts; in larger cells than single samples, chance does not make tiny ones of numbers around zero. Cells with zeros, or subnormal numbers,
do not count: what black borders of pictures become beside the picture is not worth the time, and chance leaves a single tiny
number beside padding or in sparse data.
"""

cdef extern from *:
    """
    #if defined(__SSE4_1__)
      #include <immintrin.h>
    #endif
    #if defined(__AVX512F__)
      #define CY_PART 64
      #define CY_EITHER(which, a, b) (cy_bits)_mm512_##which##_epi32((__m512i)(a), (__m512i)(b))
    #elif defined(__AVX2__)
      #define CY_PART 32
      #define CY_EITHER(which, a, b) (cy_bits)_mm256_##which##_epi32((__m256i)(a), (__m256i)(b))
    #else
      #define CY_PART 16
      #if defined(__SSE4_1__)
        #define CY_EITHER(which, a, b) (cy_bits)_mm_##which##_epi32((__m128i)(a), (__m128i)(b))
      #else
        #define CY_max(a, b) cy_select((a) > (b), a, b)
        #define CY_min(a, b) cy_select((a) < (b), a, b)
        #define CY_EITHER(which, a, b) CY_##which(a, b)
      #endif
    #endif
    typedef int32_t cy_bits __attribute__((vector_size(CY_PART), aligned(4), may_alias));
    static inline cy_bits cy_select(cy_bits mask, cy_bits a, cy_bits b) { return (a & mask) | (b & ~mask); }
    static inline cy_bits cy_larger(cy_bits a, cy_bits b) { return CY_EITHER(max, a, b); }
    static inline cy_bits cy_smaller(cy_bits a, cy_bits b) { return CY_EITHER(min, a, b); }
    static inline cy_bits cy_size(const char *p) { return *(const cy_bits *)p & 0x7fffffff; }

    /* Sizes are compared as the integers that their bits are. A cell is `high` rows of every 16th sample of `wide` lines of 64 bytes,
       on all instruction sets; q: the imaginary parts of the same samples, or NULL. */
    static void cy_sizes(const char *p, const char *q, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t lines, Py_ssize_t high, Py_ssize_t wide,
                         int32_t *least, int32_t *most) {
        cy_bits low = {0}, large = {0};
        low += 0x7f800000;
        for (Py_ssize_t i = 0; i + high <= rows; i += high)
            for (Py_ssize_t j = 0; j + wide <= lines; j += wide)
                for (Py_ssize_t part = 0; part < 64; part += CY_PART) {
                    cy_bits m = {0}, n = {0};                   /* the cell's largest and smallest */
                    n += 0x7f800000;
                    for (Py_ssize_t y = i; y < i + high; y++)
                        for (Py_ssize_t x = j; x < j + wide; x++) {
                            Py_ssize_t at = y * step + x * 64 + part;
                            cy_bits v = cy_size(p + at);
                            if (q) v = cy_larger(v, cy_size(q + at));
                            m = cy_larger(m, v);
                            n = cy_smaller(n, v);
                        }
                    large = cy_larger(m, large);
                    low = cy_smaller(low, cy_select(n < 0x00800000, (cy_bits){0} + 0x7f800000, m));
                }
        for (int i = 0; i < CY_PART / 4; i++) {
            if (low[i] < *least) *least = low[i];
            if (large[i] > *most) *most = large[i];
        }
    }
    """
    void sizes "cy_sizes"(const char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, int*, int*) noexcept nogil

from cyconv.cpu.fft_tile cimport Planes, Tile

cdef enum:
    STEP = 1 << 23                      # between the bits of x and those of 2 x
    HELD = 14                           # steps: what is 2**14 times smaller has about two decimal digits left


cdef inline bint is_wide(const Tile* t, const Planes* p, Py_ssize_t high, Py_ssize_t wide, bint complex_) noexcept nogil:
    """Of single precision; a NaN or infinity is no matter here. high, wide: rows and lines of a cell."""
    cdef Py_ssize_t z, lines = t.n[2] * 4 // 64
    cdef const char* re
    cdef const char* im
    cdef int least = 0x7f800000, most = 0
    for z in range(t.n[0]):
        re, im = p.re + z * p.plane, p.im + z * p.plane
        sizes(re, im if complex_ else NULL, p.row, t.n[1], lines, high, wide, &least, &most)
        if not complex_:
            sizes(im, NULL, p.row, t.n[1], lines, high, wide, &least, &most)
    return most < 0x7f800000 and most - least > HELD * STEP

"""Whether single precision holds what is small in a tile beside what is large: a transform rounds all of it by the same amount."""

cdef extern from *:
    """
    typedef int32_t cy_bits __attribute__((vector_size(CY_VB), aligned(4), may_alias));
    static inline cy_bits cy_select(cy_bits mask, cy_bits a, cy_bits b) { return (a & mask) | (b & ~mask); }

    /* Sizes are compared as the integers that their bits are. Of four samples of a column the largest counts, or chance would
       find tiny ones anywhere; zeros, and subnormal numbers, are not missed. */
    static void cy_sizes(const char *p, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t bytes, int32_t *least, int32_t *most) {
        cy_bits low = {0}, high = {0};
        low += 0x7f800000;
        for (Py_ssize_t i = 0; i + 4 <= rows; i += 4, p += 4 * step)
            for (Py_ssize_t j = 0; j < bytes; j += CY_VB) {
                cy_bits m = {0};
                for (int k = 0; k < 4; k++) {
                    cy_bits v = *(const cy_bits *)(p + k * step + j) & 0x7fffffff;
                    m = cy_select(v > m, v, m);
                }
                high = cy_select(m > high, m, high);
                m = cy_select(m < 0x00800000, (cy_bits){0} + 0x7f800000, m);
                low = cy_select(m < low, m, low);
            }
        for (int i = 0; i < CY_VB / 4; i++) {
            if (low[i] < *least) *least = low[i];
            if (high[i] > *most) *most = high[i];
        }
    }
    """
    void sizes "cy_sizes"(const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, int*, int*) noexcept nogil

from cyconv.cpu.fft_tile cimport Planes, Tile

cdef enum:
    STEP = 1 << 23                      # between the bits of x and those of 2 x
    HELD = 14                           # steps: what is 2**14 times smaller loses three decimal digits more, and has about two


cdef inline bint is_wide(const Tile* t, const Planes* p) noexcept nogil:
    """Of single precision; a NaN or infinity is no matter here."""
    cdef Py_ssize_t z
    cdef int least = 0x7f800000, most = 0
    for z in range(t.n[0]):
        sizes(p.re + z * p.plane, p.row, t.n[1], t.n[2] * t.size, &least, &most)
        sizes(p.im + z * p.plane, p.row, t.n[1], t.n[2] * t.size, &least, &most)
    return most < 0x7f800000 and most - least > HELD * STEP

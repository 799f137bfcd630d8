"""Sums over windows of planes side by side, in the order of pool_windows.pxd: each column from its first row to its last, then the columns one after
the other; or, if `eighths` says so, every eighth column by itself, and the eight sums in pairs. Neither the layout nor the batch has a say in that.

A few vectors of neighbouring planes are summed in registers, window by window.
"""
from libc.math cimport INFINITY, fabs
from libc.string cimport memcpy

from cyconv.cpu.pool_rows cimport raise_to, take
from cyconv.cpu.pool_windows cimport LANES, Scratch, Work, eighths
from cyconv.cpu.pool_work cimport ADD, DOUBLE, MAX, NORM, SET, SINGLE
from cyconv.cpu.simd cimport VB, outlined
from cyconv.cpu.slide_vectors cimport widened       # of which the C below is made, too

cdef extern from *:
    """
    #if defined(__GNUC__) && !defined(__clang__)
      #define CY_EACH(j, n) _Pragma("GCC unroll 16") for (int j = 0; j < n; j++)
    #else
      #define CY_EACH(j, n) for (int j = 0; j < n; j++)
    #endif
    #define CY_READ_SINGLE(p) cy_widened(p)
    #define CY_READ_DOUBLE(p) (*(const cy_vd *)(p))
    #define CY_BLOCK (CY_VB == 64 ? 4 : 8)      /* vectors that are summed side by side */
    /* Of N vectors of planes from p on, whose numbers have so many bytes: a window of n[0] x n[1] x n[2] samples, `step` bytes apart. */
    #define CY_SUM_PLANES(NAME, N, BYTES, READ) \\
      static inline void NAME(const char *p, const Py_ssize_t *n, const Py_ssize_t *step, Py_ssize_t parts, double *to) { \\
        cy_vd part[8][N]; \\
        for (Py_ssize_t i = 0; i < parts; i++) { \\
          cy_vd sum[N], column[N]; \\
          CY_EACH(j, N) sum[j] = (cy_vd){0}; \\
          for (Py_ssize_t x = i; x < n[2]; x += parts) { \\
            const char *top = p + x * step[2]; \\
            CY_EACH(j, N) column[j] = READ(top + j * (CY_VB / 8) * BYTES); \\
            for (Py_ssize_t z = 0; z < n[0]; z++, top += step[0]) { \\
              const char *row = top + (z == 0) * step[1]; \\
              for (Py_ssize_t y = z == 0; y < n[1]; y++, row += step[1]) { \\
                CY_EACH(j, N) column[j] += READ(row + j * (CY_VB / 8) * BYTES); \\
              } \\
            } \\
            CY_EACH(j, N) sum[j] += column[j]; \\
          } \\
          CY_EACH(j, N) part[i][j] = sum[j]; \\
        } \\
        for (Py_ssize_t half = parts / 2; half; half /= 2) \\
          for (Py_ssize_t i = 0; i < half; i++) { CY_EACH(j, N) part[i][j] += part[i + half][j]; } \\
        CY_EACH(j, N) ((cy_vd *)to)[j] = part[0][j]; \\
      }
    static inline void cy_sum_box(const char *p, Py_ssize_t n, Py_ssize_t step, double *to) {
      cy_vd part[32][CY_BLOCK];
      for (int i = 0; i < 32; i++) {
        cy_vd sum[CY_BLOCK];
        CY_EACH(j, CY_BLOCK) sum[j] = (cy_vd){0};
        Py_ssize_t at = i, end = n & -32, every = 32;
        for (int rest = 0; rest <= (i < 16); rest++) {
          for (; at < end; at += every) { CY_EACH(j, CY_BLOCK) sum[j] += CY_READ_DOUBLE(p + at * step + j * CY_VB); }
          at = i < 8 ? (n & -32) + i : (n & -8) + i - 8;
          end = i < 8 ? n & -8 : n;
          every = 8;
        }
        CY_EACH(j, CY_BLOCK) part[i][j] = sum[j];
      }
      for (int i = 0; i < 8; i++) { CY_EACH(j, CY_BLOCK) part[i][j] = (part[i][j] + part[8 + i][j]) + (part[16 + i][j] + part[24 + i][j]); }
      for (int half = 4; half; half /= 2)
        for (int i = 0; i < half; i++) { CY_EACH(j, CY_BLOCK) part[i][j] += part[i + half][j]; }
      CY_EACH(j, CY_BLOCK) ((cy_vd *)to)[j] = part[0][j];
    }
    CY_SUM_PLANES(cy_sum_planes_f, 1, 4, CY_READ_SINGLE)
    CY_SUM_PLANES(cy_sum_planes_d, 1, 8, CY_READ_DOUBLE)
    CY_SUM_PLANES(cy_sum_block_f, CY_BLOCK, 4, CY_READ_SINGLE)
    CY_SUM_PLANES(cy_sum_block_d, CY_BLOCK, 8, CY_READ_DOUBLE)
    """
    enum:
        BLOCK "(CY_BLOCK * CY_VB / 8)"          # planes that are summed side by side
    void sum_planes_f "cy_sum_planes_f"(const char*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t, double*) noexcept nogil
    void sum_planes_d "cy_sum_planes_d"(const char*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t, double*) noexcept nogil
    void sum_block_f "cy_sum_block_f"(const char*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t, double*) noexcept nogil
    void sum_block_d "cy_sum_block_d"(const char*, const Py_ssize_t*, const Py_ssize_t*, Py_ssize_t, double*) noexcept nogil
    void sum_box "cy_sum_box"(const char*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil  # n numbers of each plane, in the order of pool_whole.pxd

cdef enum:
    WIDE = VB // 8                      # planes of a vector


cdef inline bint adds_up(const Work* w) noexcept nogil:
    """Whether floats are added, in an order that matters."""
    return w.computed == DOUBLE and w.kind != MAX and not (w.kind == NORM and fabs(w.divisors.norm) == INFINITY)

cdef inline void sum_some(const char* p, bint narrow, bint block, const Py_ssize_t* count, const Py_ssize_t* step, Py_ssize_t parts, double* to) noexcept nogil:
    if narrow and block:
        sum_block_f(p, count, step, parts, to)
    elif narrow:
        sum_planes_f(p, count, step, parts, to)
    elif block:
        sum_block_d(p, count, step, parts, to)
    else:
        sum_planes_d(p, count, step, parts, to)

cdef inline void sum_neighbours(const char* p, bint narrow, Py_ssize_t planes, const Py_ssize_t* count, const Py_ssize_t* step, Py_ssize_t parts,
                                double* to) noexcept nogil:
    """Of planes whose numbers are neighbours, at least a vector of them. The last ones are summed twice, if that fills a vector."""
    cdef Py_ssize_t size = 4 if narrow else 8, side = BLOCK if planes >= BLOCK else WIDE, i = 0
    while i < planes:
        i = min(i, planes - side)
        sum_some(p + i * size, narrow, side == BLOCK, count, step, parts, to + i)
        i += side

cdef inline void sum_one_by_one(const Work* w, const char* p, Py_ssize_t planes, const Py_ssize_t* count, const Py_ssize_t* step, Py_ssize_t parts,
                                double* room, double* to) noexcept nogil:
    """Of numbers of any format, with room for 10 numbers of each plane."""
    cdef double* sample = room
    cdef double* column = room + LANES
    cdef double* part = room + 2 * LANES
    cdef const char* row
    cdef Py_ssize_t x, y, z, i, half = parts // 2
    for i in range(parts * LANES):
        part[i] = 0
    for x in range(count[2]):
        for z in range(count[0]):
            for y in range(count[1]):
                row = p + z * step[0] + y * step[1] + x * step[2]
                if w.kind == NORM:
                    take(w.stored, row, w.channel_step, planes, sample, SET)
                    raise_to(w.divisors.norm, sample, planes)
                    take(DOUBLE, <const char*> sample, 8, planes, column, ADD if z + y else SET)
                else:
                    take(w.stored, row, w.channel_step, planes, column, ADD if z + y else SET)
        take(DOUBLE, <const char*> column, 8, planes, part + x % parts * LANES, ADD)
    while half:
        take(DOUBLE, <const char*> (part + half * LANES), 8, half * LANES, part, ADD)
        half //= 2
    memcpy(to, part, planes * 8)

cdef inline outlined sum_spot(const Work* w, const Scratch* s, const char* src, Py_ssize_t planes, const Py_ssize_t* first, const Py_ssize_t* count,
                          double* sums) noexcept nogil:
    """The window of each plane that begins at `first`."""
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t a, parts = eighths(w, count[2]), at = (first[0] * w.axis[1].n + first[1]) * w.axis[2].n + first[2]
    cdef const char* p
    if min(count[0], count[1], count[2]) < 1:
        for a in range(planes):
            sums[a] = 0
        return
    if w.boxed:                         # whose rows have room for whole blocks
        step[0] = w.axis[0].dilation * w.axis[1].n * w.axis[2].n * LANES * 8
        step[1] = w.axis[1].dilation * w.axis[2].n * LANES * 8
        step[2] = w.axis[2].dilation * LANES * 8
        p = s.kept + at * LANES * 8
        a = 0
        while a < planes:
            if w.global_sums:
                sum_box(p + a * 8, count[0] * count[1] * count[2], LANES * 8, sums + a)
            else:
                sum_block_d(p + a * 8, count, step, parts, sums + a)
            a += BLOCK
        return
    p = src + first[0] * w.axis[0].step + first[1] * w.axis[1].step + first[2] * w.axis[2].step
    for a in range(3):
        step[a] = w.axis[a].dilation * w.axis[a].step
    if w.kind != NORM and planes >= WIDE and (w.stored == SINGLE or w.stored == DOUBLE):
        sum_neighbours(p, w.stored == SINGLE, planes, count, step, parts, sums)
    else:
        sum_one_by_one(w, p, planes, count, step, parts, <double*> s.line, sums)

"""Squares of as many rows as a vector has numbers, turned while they are loaded: columns become vectors.

Up to 256 bits: parts of rows, 128 bits each, are loaded to where their columns will be; what is left are two rounds of shuffles
within those parts, and few vectors are alive at a time (measured: three times as quick as rounds of a perfect shuffle, which
one port of the processor does alone). 512-bit vectors gain nothing by that, and lose where rows are not in a near cache.
"""
from libc.string cimport memcpy, memset

from cyconv.cpu.shuffle cimport LANES_D, LANES_F, lanes
from cyconv.cpu.simd cimport VB, vd, vf

cdef extern from *:
    """
    static inline cy_vf cy_row(const char *p) {   /* from any address: rows of narrow numbers go along as words */
      cy_vf v;
      memcpy(&v, p, sizeof v);
      return v;
    }
    #if defined(__AVX512F__)
      #define CY_F_LOW  0,16,1,17,2,18,3,19,4,20,5,21,6,22,7,23
      #define CY_F_HIGH 8,24,9,25,10,26,11,27,12,28,13,29,14,30,15,31
      #define CY_D_LOW  0,8,1,9,2,10,3,11
      #define CY_D_HIGH 4,12,5,13,6,14,7,15
      #define CY_TURN(V, N, log)                  /* rounds of a perfect shuffle, in registers */ \\
        V u[1 << log], v[1 << log]; \\
        for (int i = 0; i < 1 << log; i++) v[i] = (V)cy_row(p + i * pitch); \\
        for (int r = 0; r < log; r++) { \\
          for (int i = 0; i < 1 << log; i++) u[i] = v[i]; \\
          for (int i = 0; i < 1 << (log - 1); i++) { \\
            v[2 * i] = __builtin_shufflevector(u[i], u[i + (1 << (log - 1))], CY_##N##_LOW); \\
            v[2 * i + 1] = __builtin_shufflevector(u[i], u[i + (1 << (log - 1))], CY_##N##_HIGH); \\
          } \\
        } \\
        for (int i = 0; i < 1 << log; i++) t[i] = v[i];
      static inline void cy_turn_f(const char *p, Py_ssize_t pitch, cy_vf *t) { CY_TURN(cy_vf, F, 4) }
      static inline void cy_turn_d(const char *p, Py_ssize_t pitch, cy_vd *t) { CY_TURN(cy_vd, D, 3) }
    #else
    #if defined(__AVX2__)
      #include <immintrin.h>
      #define CY_PARTED_F(q, step) \\
        (cy_vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)(q))), _mm_loadu_ps((const float *)((q) + (step))), 1)
      #define CY_PAIRS_LOW  0,8,1,9, 4,12,5,13
      #define CY_PAIRS_HIGH 2,10,3,11, 6,14,7,15
      #define CY_ENDS_LOW   0,1,8,9, 4,5,12,13
      #define CY_ENDS_HIGH  2,3,10,11, 6,7,14,15
      #define CY_D_PAIRS_LOW  0,4,2,6
      #define CY_D_PAIRS_HIGH 1,5,3,7
      #define CY_COUNT 2
    #else
      #define CY_PARTED_F(q, step) cy_row(q)
      #define CY_PAIRS_LOW  0,4,1,5
      #define CY_PAIRS_HIGH 2,6,3,7
      #define CY_ENDS_LOW   0,1,4,5
      #define CY_ENDS_HIGH  2,3,6,7
      #define CY_D_PAIRS_LOW  0,2
      #define CY_D_PAIRS_HIGH 1,3
      #define CY_COUNT 1
    #endif
    #define CY_PARTED_D(q, step) ((cy_vd)CY_PARTED_F(q, step))
    static inline void cy_turn_f(const char *p, Py_ssize_t pitch, cy_vf *t) {
      for (int c = 0; c < CY_COUNT; c++, p += 16, t += 4) {
        cy_vf a = CY_PARTED_F(p, 4 * pitch), b = CY_PARTED_F(p + pitch, 4 * pitch);
        cy_vf d = CY_PARTED_F(p + 2 * pitch, 4 * pitch), e = CY_PARTED_F(p + 3 * pitch, 4 * pitch);
        cy_vf ab = __builtin_shufflevector(a, b, CY_PAIRS_LOW), de = __builtin_shufflevector(d, e, CY_PAIRS_LOW);
        t[0] = __builtin_shufflevector(ab, de, CY_ENDS_LOW);
        t[1] = __builtin_shufflevector(ab, de, CY_ENDS_HIGH);
        ab = __builtin_shufflevector(a, b, CY_PAIRS_HIGH), de = __builtin_shufflevector(d, e, CY_PAIRS_HIGH);
        t[2] = __builtin_shufflevector(ab, de, CY_ENDS_LOW);
        t[3] = __builtin_shufflevector(ab, de, CY_ENDS_HIGH);
      }
    }
    static inline void cy_turn_d(const char *p, Py_ssize_t pitch, cy_vd *t) {
      for (int c = 0; c < CY_COUNT; c++, p += 16, t += 2) {
        cy_vd a = CY_PARTED_D(p, 2 * pitch), b = CY_PARTED_D(p + pitch, 2 * pitch);
        t[0] = __builtin_shufflevector(a, b, CY_D_PAIRS_LOW);
        t[1] = __builtin_shufflevector(a, b, CY_D_PAIRS_HIGH);
      }
    }
    #endif
    """
    void turn_f "cy_turn_f"(const char*, Py_ssize_t, vf*) noexcept nogil
    void turn_d "cy_turn_d"(const char*, Py_ssize_t, vd*) noexcept nogil


cdef inline void turn(const char* rows, Py_ssize_t pitch, lanes* columns) noexcept nogil:
    """columns[j][i] = rows[i][j]; rows are `pitch` bytes apart."""
    if lanes is vf:
        turn_f(rows, pitch, columns)
    else:
        turn_d(rows, pitch, columns)


cdef inline void turn_some(const char* rows, Py_ssize_t pitch, Py_ssize_t count, lanes* columns) noexcept nogil:
    """The same where there are only so many rows, none if `count` is negative: zeros instead of the others."""
    cdef lanes[LANES_F] square
    cdef Py_ssize_t i
    memset(&square, 0, VB * (LANES_F if lanes is vf else LANES_D))
    for i in range(count):
        memcpy(&square[i], rows + i * pitch, VB)
    turn(<const char*> &square, VB, columns)

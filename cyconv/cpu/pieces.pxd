"""Vectors of at most 32 bytes, for kernels whose loads begin anywhere, and loads and stores of some of their lanes.

A load that crosses a cache line costs two. Of loads at any address half as many cross one with 32 bytes as with 64, and
two fit a cycle, so that kernels which load about as often as they multiply (a walk down rows with nine taps) lose nothing by
shorter vectors on v4. Rows that are shorter than a vector fit better, too.
"""
from libc.stdint cimport uint32_t, uint64_t
from cyconv.cpu.simd cimport VB         # its block defines CY_VB and CY_REG, and includes what is used here

cdef extern from *:
    """
    #if CY_VB >= 32
      #define CY_PB 32
      #include <immintrin.h>
      #define CY_PF_EVEN 0,2,4,6,8,10,12,14
      #define CY_PF_ODD  1,3,5,7,9,11,13,15
      #define CY_PD_EVEN 0,2,4,6
      #define CY_PD_ODD  1,3,5,7
    #else
      #define CY_PB 16
      #define CY_PF_EVEN 0,2,4,6
      #define CY_PF_ODD  1,3,5,7
      #define CY_PD_EVEN 0,2
      #define CY_PD_ODD  1,3
    #endif
    #if defined(__AVX512F__)
      #define CY_ACROSS 4                       /* vectors in a tile of four rows, */
      #define CY_WALK 4                         /* and of one that walks down rows with nine weights in registers */
    #elif defined(__AVX2__)
      #define CY_ACROSS 3
      #define CY_WALK 3
    #else
      #define CY_ACROSS 2
      #define CY_WALK 2
    #endif
    #define CY_PIECE(T) __attribute__((vector_size(CY_PB), aligned(sizeof(T)), may_alias))
    typedef float    cy_pf CY_PIECE(float);
    typedef double   cy_pd CY_PIECE(double);
    typedef uint32_t cy_pw CY_PIECE(uint32_t);
    typedef uint64_t cy_pq CY_PIECE(uint64_t);
    #if defined(__x86_64__)
      #define CY_HOLD(v) __asm__("" : CY_REG(v))        /* GCC 12 otherwise reads it from memory again for each use */
    #else
      #define CY_HOLD(v) (void)0
    #endif
    #if defined(__AVX512VL__)
      #define CY_FROM_TO(N, lo, hi) ((unsigned char)(((1u << (hi)) - 1u) & (~0u << (lo))))
      static inline cy_pf cy_within_f(const char *p, long lo, long hi) { return (cy_pf)_mm256_maskz_loadu_ps(CY_FROM_TO(8, lo, hi), p); }
      static inline cy_pd cy_within_d(const char *p, long lo, long hi) { return (cy_pd)_mm256_maskz_loadu_pd(CY_FROM_TO(4, lo, hi), p); }
      static inline cy_pw cy_within_w(const char *p, long lo, long hi) { return (cy_pw)_mm256_maskz_loadu_epi32(CY_FROM_TO(8, lo, hi), p); }
      static inline cy_pq cy_within_q(const char *p, long lo, long hi) { return (cy_pq)_mm256_maskz_loadu_epi64(CY_FROM_TO(4, lo, hi), p); }
      static inline void cy_part_f(char *p, cy_pf v, long n) { _mm256_mask_storeu_ps(p, CY_FROM_TO(8, 0, n), (__m256)v); }
      static inline void cy_part_d(char *p, cy_pd v, long n) { _mm256_mask_storeu_pd(p, CY_FROM_TO(4, 0, n), (__m256d)v); }
      static inline void cy_part_w(char *p, cy_pw v, long n) { _mm256_mask_storeu_epi32(p, CY_FROM_TO(8, 0, n), (__m256i)v); }
      static inline void cy_part_q(char *p, cy_pq v, long n) { _mm256_mask_storeu_epi64(p, CY_FROM_TO(4, 0, n), (__m256i)v); }
    #else
      #if defined(__AVX2__)
        static inline __m256i cy_from_to_4(long lo, long hi) {
            __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)lo), i), _mm256_cmpgt_epi32(_mm256_set1_epi32((int)hi), i));
        }
        static inline __m256i cy_from_to_8(long lo, long hi) {
            __m256i i = _mm256_setr_epi64x(0, 1, 2, 3);
            return _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(lo), i), _mm256_cmpgt_epi64(_mm256_set1_epi64x(hi), i));
        }
        #define CY_SOME(V, S, W, CALL, P) static inline V cy_within_##S(const char *p, long lo, long hi) \\
            { return (V)CALL((P)p, cy_from_to_##W(lo, hi)); }
        CY_SOME(cy_pf, f, 4, _mm256_maskload_ps, const float *)
        CY_SOME(cy_pd, d, 8, _mm256_maskload_pd, const double *)
        CY_SOME(cy_pw, w, 4, _mm256_maskload_epi32, const int *)
        CY_SOME(cy_pq, q, 8, _mm256_maskload_epi64, const long long *)
      #else
        #define CY_SOME(V, S, T) static inline V cy_within_##S(const char *p, long lo, long hi) \\
            { T t[CY_PB / sizeof(T)] = {0}; V v; for (long i = lo; i < hi; i++) memcpy(t + i, p + i * sizeof(T), sizeof(T)); \\
              memcpy(&v, t, CY_PB); return v; }
        CY_SOME(cy_pf, f, float)
        CY_SOME(cy_pd, d, double)
        CY_SOME(cy_pw, w, uint32_t)
        CY_SOME(cy_pq, q, uint64_t)
      #endif
      static inline void cy_part_f(char *p, cy_pf v, long n) { memcpy(p, &v, 4 * n); }
      static inline void cy_part_d(char *p, cy_pd v, long n) { memcpy(p, &v, 8 * n); }
      static inline void cy_part_w(char *p, cy_pw v, long n) { memcpy(p, &v, 4 * n); }
      static inline void cy_part_q(char *p, cy_pq v, long n) { memcpy(p, &v, 8 * n); }
    #endif
    #ifdef CY_HALF_OF_16
      #define CY_PF_HALF(V, a, b, which) CY_HALF_OF_16(V, cy_pd, a, b, CY_FIRST_##which)
      #define CY_FIRST_EVEN 0
      #define CY_FIRST_ODD  1
    #else
      #define CY_PF_HALF(V, a, b, which) return __builtin_shufflevector(a, b, CY_PF_##which);
    #endif
    #define CY_PD_HALF(V, a, b, which) return __builtin_shufflevector(a, b, CY_PD_##which);
    #define CY_PIECES(V, S, T, N) \\
      static inline V cy_all_##S(const char *p) { T x; memcpy(&x, p, sizeof(T)); return x - (V){0}; } \\
      static inline V cy_none_##S(void)         { return (V){0}; } \\
      static inline V cy_pev_##S(V a, V b)      { CY_##N##_HALF(V, a, b, EVEN) } \\
      static inline V cy_pod_##S(V a, V b)      { CY_##N##_HALF(V, a, b, ODD) } \\
      static inline V cy_hold_##S(V v)          { CY_HOLD(v); return v; }
    CY_PIECES(cy_pf, f, float, PF)
    CY_PIECES(cy_pd, d, double, PD)
    CY_PIECES(cy_pw, w, uint32_t, PF)
    CY_PIECES(cy_pq, q, uint64_t, PD)
    """
    enum:
        PB "CY_PB"
        ACROSS "CY_ACROSS"
        WALK "CY_WALK"
    ctypedef float pf "cy_pf"
    ctypedef double pd "cy_pd"
    ctypedef unsigned int pw "cy_pw"
    ctypedef unsigned long long pq "cy_pq"
    pf within_f "cy_within_f"(const char*, long, long) noexcept nogil
    pd within_d "cy_within_d"(const char*, long, long) noexcept nogil
    pw within_w "cy_within_w"(const char*, long, long) noexcept nogil
    pq within_q "cy_within_q"(const char*, long, long) noexcept nogil
    void part_f "cy_part_f"(char*, pf, long) noexcept nogil
    void part_d "cy_part_d"(char*, pd, long) noexcept nogil
    void part_w "cy_part_w"(char*, pw, long) noexcept nogil
    void part_q "cy_part_q"(char*, pq, long) noexcept nogil
    pf all_f "cy_all_f"(const char*) noexcept nogil
    pd all_d "cy_all_d"(const char*) noexcept nogil
    pw all_w "cy_all_w"(const char*) noexcept nogil
    pq all_q "cy_all_q"(const char*) noexcept nogil
    pf none_f "cy_none_f"() noexcept nogil
    pd none_d "cy_none_d"() noexcept nogil
    pw none_w "cy_none_w"() noexcept nogil
    pq none_q "cy_none_q"() noexcept nogil
    pf evens_f "cy_pev_f"(pf, pf) noexcept nogil
    pd evens_d "cy_pev_d"(pd, pd) noexcept nogil
    pw evens_w "cy_pev_w"(pw, pw) noexcept nogil
    pq evens_q "cy_pev_q"(pq, pq) noexcept nogil
    pf odds_f "cy_pod_f"(pf, pf) noexcept nogil
    pd odds_d "cy_pod_d"(pd, pd) noexcept nogil
    pw odds_w "cy_pod_w"(pw, pw) noexcept nogil
    pq odds_q "cy_pod_q"(pq, pq) noexcept nogil
    pf hold_f "cy_hold_f"(pf) noexcept nogil
    pd hold_d "cy_hold_d"(pd) noexcept nogil
    pw hold_w "cy_hold_w"(pw) noexcept nogil
    pq hold_q "cy_hold_q"(pq) noexcept nogil

ctypedef fused piece:
    pf
    pd
    pw
    pq


cdef inline piece spread(const char* p, const piece* like) noexcept nogil:
    """The number at p in every lane. `like` only names the type, and may be NULL."""
    if piece is pf:
        return all_f(p)
    elif piece is pd:
        return all_d(p)
    elif piece is pw:
        return all_w(p)
    else:
        return all_q(p)

cdef inline piece nothing(const piece* like) noexcept nogil:
    """Zeros."""
    if piece is pf:
        return none_f()
    elif piece is pd:
        return none_d()
    elif piece is pw:
        return none_w()
    else:
        return none_q()

cdef inline piece within(const char* p, Py_ssize_t lo, Py_ssize_t hi, const piece* like) noexcept nogil:
    """Lanes lo..hi-1 from memory at p, zeros in the others, whose memory is not read."""
    if piece is pf:
        return within_f(p, lo, hi)
    elif piece is pd:
        return within_d(p, lo, hi)
    elif piece is pw:
        return within_w(p, lo, hi)
    else:
        return within_q(p, lo, hi)

cdef inline void put_part(char* p, piece v, Py_ssize_t n) noexcept nogil:
    """The first n lanes to memory at p."""
    if piece is pf:
        part_f(p, v, n)
    elif piece is pd:
        part_d(p, v, n)
    elif piece is pw:
        part_w(p, v, n)
    else:
        part_q(p, v, n)

cdef inline piece evens(piece a, piece b) noexcept nogil:
    """The numbers at even places of a, then of b."""
    if piece is pf:
        return evens_f(a, b)
    elif piece is pd:
        return evens_d(a, b)
    elif piece is pw:
        return evens_w(a, b)
    else:
        return evens_q(a, b)

cdef inline piece odds(piece a, piece b) noexcept nogil:
    if piece is pf:
        return odds_f(a, b)
    elif piece is pd:
        return odds_d(a, b)
    elif piece is pw:
        return odds_w(a, b)
    else:
        return odds_q(a, b)

cdef inline piece hold(piece v) noexcept nogil:
    """v, held in a register."""
    if piece is pf:
        return hold_f(v)
    elif piece is pd:
        return hold_d(v)
    elif piece is pw:
        return hold_w(v)
    else:
        return hold_q(v)

cdef inline Py_ssize_t clamp(Py_ssize_t a, Py_ssize_t most) noexcept nogil:
    return 0 if a < 0 else most if a > most else a

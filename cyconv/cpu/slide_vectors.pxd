"""Vectors of everything that is pooled: what has no operator.

Six types are enough. Of unsigned integers the highest bit is turned where they are fetched, and turned back where results are
stored; for a minimum all other bits are turned too, of floats the sign's. What remains are maxima of signed integers and floats, and sums.

The rule is torch's: a later number wins if it is larger, or a NaN; so the first of equals wins, and the last NaN. The places of
winners travel in vectors of the same type, whose bits are integers then.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, int8_t

from cyconv.cpu.shuffle cimport third
from cyconv.cpu.simd cimport inlined, vd, vf

cdef extern from *:
    """
    #if defined(__AVX2__)
      #include <immintrin.h>
    #endif
    typedef int8_t  cy_vb CY_VECTOR(int8_t);
    typedef int16_t cy_vh CY_VECTOR(int16_t);
    typedef int32_t cy_vi CY_VECTOR(int32_t);
    typedef int64_t cy_vl CY_VECTOR(int64_t);
    /* sums are modulo 2**32 and 2**64, and those of lanes that hold nothing may be any */
    typedef uint32_t cy_si CY_VECTOR(uint32_t);
    typedef uint64_t cy_sl CY_VECTOR(uint64_t);

    /* m(0), m(1), ... for each lane of so many bytes */
    #define CY_TIMES_2(m, i)   m(i), m((i) + 1)
    #define CY_TIMES_4(m, i)   CY_TIMES_2(m, i), CY_TIMES_2(m, (i) + 2)
    #define CY_TIMES_8(m, i)   CY_TIMES_4(m, i), CY_TIMES_4(m, (i) + 4)
    #define CY_TIMES_16(m, i)  CY_TIMES_8(m, i), CY_TIMES_8(m, (i) + 8)
    #define CY_TIMES_32(m, i)  CY_TIMES_16(m, i), CY_TIMES_16(m, (i) + 16)
    #define CY_TIMES_64(m, i)  CY_TIMES_32(m, i), CY_TIMES_32(m, (i) + 32)
    #if CY_VB == 64
      #define CY_LANES_1(m) CY_TIMES_64(m, 0)
      #define CY_LANES_2(m) CY_TIMES_32(m, 0)
      #define CY_LANES_4(m) CY_TIMES_16(m, 0)
      #define CY_LANES_8(m) CY_TIMES_8(m, 0)
    #elif CY_VB == 32
      #define CY_LANES_1(m) CY_TIMES_32(m, 0)
      #define CY_LANES_2(m) CY_TIMES_16(m, 0)
      #define CY_LANES_4(m) CY_TIMES_8(m, 0)
      #define CY_LANES_8(m) CY_TIMES_4(m, 0)
    #else
      #define CY_LANES_1(m) CY_TIMES_16(m, 0)
      #define CY_LANES_2(m) CY_TIMES_8(m, 0)
      #define CY_LANES_4(m) CY_TIMES_4(m, 0)
      #define CY_LANES_8(m) CY_TIMES_2(m, 0)
    #endif
    #define CY_LANE(i)  (i)
    #define CY_TWICE(i) (2 * (i))
    #define CY_THEN(i)  (2 * (i) + 1)

    /* V: numbers; I: integers as wide as they are */
    #if CY_VB == 64
      #define CY_STORE_PART(p, v, n) _mm512_mask_storeu_epi8(p, ((uint64_t)1 << n) - 1, (__m512i)v)
    #else
      #define CY_STORE_PART(p, v, n) memcpy(p, &v, n)
    #endif
    /* bytes first .. last - 1 from p, of which no others are touched, the rest from `outside` */
    #if CY_VB == 64
      #define CY_WITHIN(V, BYTES) \\
        return (V)_mm512_mask_loadu_epi8((__m512i)outside, _bzhi_u64(~(uint64_t)0, last) & ~_bzhi_u64(~(uint64_t)0, first), p);
    #else
      #define CY_COPY_WITHIN(V, BYTES) \\
        if (last - first == CY_VB) return *(const V *)p; \\
        for (Py_ssize_t i = first; i < last; i += BYTES) memcpy((char *)&outside + i, (const char *)p + i, BYTES); \\
        return outside;
      #if CY_VB == 32
        static const int64_t cy_sides[8] = {0, 0, 0, 0, -1, -1, -1, -1};
        #define CY_FROM(n) _mm256_loadu_si256((const __m256i *)((const char *)cy_sides + 32 - (n)))
        #define CY_WITHIN(V, BYTES) \\
          if (BYTES < 4) { CY_COPY_WITHIN(V, BYTES) } \\
          __m256i mask = _mm256_andnot_si256(CY_FROM(last), CY_FROM(first)); \\
          return (V)_mm256_blendv_epi8((__m256i)outside, _mm256_maskload_epi32((const int *)p, mask), mask);
      #else
        #define CY_WITHIN(V, BYTES) CY_COPY_WITHIN(V, BYTES)
      #endif
    #endif
    #define CY_MOVES(S, V, I, BYTES) \\
      static inline V cy_within_##S(const void *p, Py_ssize_t first, Py_ssize_t last, V outside) { CY_WITHIN(V, BYTES) } \\
      static inline void cy_part_##S(void *p, V v, Py_ssize_t n) { CY_STORE_PART(p, v, n); } \\
      static inline V cy_choose_##S(I s, V a, V b) { return (V)(((I)a & s) | ((I)b & ~s)); } \\
      static inline V cy_flip_##S(V v, V bits)     { return (V)((I)v ^ (I)bits); } \\
      static inline V cy_evens_##S(V a, V b)       { return __builtin_shufflevector(a, b, CY_LANES_##BYTES(CY_TWICE)); } \\
      static inline V cy_odds_##S(V a, V b)        { return __builtin_shufflevector(a, b, CY_LANES_##BYTES(CY_THEN)); }
    #define CY_PLACES(S, V, I, T, BYTES) \\
      static inline V cy_beyond_##S(V at, int64_t n)  { return (V)((I)at + (T)n); } \\
      static inline V cy_counted_##S(int64_t n)       { return (V)((I){CY_LANES_##BYTES(CY_LANE)} * (T)n); }
    /* The numbers n places on in a and, behind it, b; n is 1, 2, 4 or 8, and no more than a vector has. */
    #if CY_VB == 64
      #define CY_SHIFTED(V, BYTES, n) return (V)_mm512_alignr_epi32((__m512i)b, (__m512i)a, (n) * BYTES / 4 % 16)
    #else
      #define CY_ON(i, n, BYTES)  (((i) + n) % (2 * CY_VB / BYTES))
      #define CY_ON_1_4(i)        CY_ON(i, 1, 4)
      #define CY_ON_2_4(i)        CY_ON(i, 2, 4)
      #define CY_ON_4_4(i)        CY_ON(i, 4, 4)
      #define CY_ON_8_4(i)        CY_ON(i, 8, 4)
      #define CY_ON_1_8(i)        CY_ON(i, 1, 8)
      #define CY_ON_2_8(i)        CY_ON(i, 2, 8)
      #define CY_ON_4_8(i)        CY_ON(i, 4, 8)
      #define CY_ON_8_8(i)        CY_ON(i, 8, 8)
      #define CY_SHIFTED(V, BYTES, n) return __builtin_shufflevector(a, b, CY_LANES_##BYTES(CY_ON_##n##_##BYTES))
    #endif
    #define CY_AFTER(S, V, BYTES) \\
      static inline V cy_after_##S(V a, V b, int n) { \\
        if (n * BYTES >= CY_VB) return b; \\
        if (n == 1) CY_SHIFTED(V, BYTES, 1); \\
        if (n == 2) CY_SHIFTED(V, BYTES, 2); \\
        if (n == 4) CY_SHIFTED(V, BYTES, 4); \\
        CY_SHIFTED(V, BYTES, 8); \\
      }
    CY_AFTER(f, cy_vf, 4)
    CY_AFTER(d, cy_vd, 8)
    CY_AFTER(i, cy_vi, 4)
    CY_AFTER(l, cy_vl, 8)
    CY_MOVES(f, cy_vf, cy_vi, 4)
    CY_MOVES(d, cy_vd, cy_vl, 8)
    CY_MOVES(b, cy_vb, cy_vb, 1)
    CY_MOVES(h, cy_vh, cy_vh, 2)
    CY_MOVES(i, cy_vi, cy_vi, 4)
    CY_MOVES(l, cy_vl, cy_vl, 8)
    static inline cy_vh cy_third_h(cy_vh a, cy_vh b, cy_vh c, int j) { CY_THIRD(cy_vh, int16_t, CY_VB / 2, a, b, c, j) }
    /* pairs of bytes: 01 20 12 01 20 12 ... */
    static inline void cy_thirds_b(cy_vb a, cy_vb b, cy_vb c, cy_vb *to) {
      typedef uint16_t words CY_VECTOR(uint16_t);
      words first = (words)cy_third_h((cy_vh)a, (cy_vh)b, (cy_vh)c, 0), second = (words)cy_third_h((cy_vh)a, (cy_vh)b, (cy_vh)c, 1);
      words last = (words)cy_third_h((cy_vh)a, (cy_vh)b, (cy_vh)c, 2);
      to[0] = (cy_vb)((first & 0x00ff) | (second & 0xff00));
      to[1] = (cy_vb)((first >> 8) | (last << 8));
      to[2] = (cy_vb)((second & 0x00ff) | (last & 0xff00));
    }

    /* Maxima of floats by an ordered comparison and a masked maximum: an operation less than with a selection. */
    #if CY_VB == 64
      #define CY_MAX(S, V, M, max, cmp) \\
        static inline V cy_most_##S(V v, V m) { return (V)max((M)v, cmp((M)v, (M)v, _CMP_ORD_Q), (M)v, (M)m); }
      #define CY_MAX_WHOLE(S, V, max) static inline V cy_most_##S(V v, V m) { return (V)max((__m512i)v, (__m512i)m); }
      CY_MAX(f, cy_vf, __m512, _mm512_mask_max_ps, _mm512_cmp_ps_mask)
      CY_MAX(d, cy_vd, __m512d, _mm512_mask_max_pd, _mm512_cmp_pd_mask)
      CY_MAX_WHOLE(b, cy_vb, _mm512_max_epi8)
      CY_MAX_WHOLE(h, cy_vh, _mm512_max_epi16)
      CY_MAX_WHOLE(i, cy_vi, _mm512_max_epi32)
      CY_MAX_WHOLE(l, cy_vl, _mm512_max_epi64)
      #define CY_BEAT(S, V, M, mask, wins, move) \\
        static inline void cy_beat_##S(V v, V at, V *m, V *where) { \\
          mask s = wins; \\
          *m = (V)move((M)*m, s, (M)v); \\
          *where = (V)move((M)*where, s, (M)at); \\
        }
      #define CY_ABOVE(M, cmp) (cmp((M)v, (M)*m, _CMP_GT_OQ) | cmp((M)v, (M)v, _CMP_UNORD_Q))
      CY_BEAT(f, cy_vf, __m512, __mmask16, CY_ABOVE(__m512, _mm512_cmp_ps_mask), _mm512_mask_mov_ps)
      CY_BEAT(d, cy_vd, __m512d, __mmask8, CY_ABOVE(__m512d, _mm512_cmp_pd_mask), _mm512_mask_mov_pd)
      CY_BEAT(i, cy_vi, __m512i, __mmask16, _mm512_cmpgt_epi32_mask((__m512i)v, (__m512i)*m), _mm512_mask_mov_epi32)
      CY_BEAT(l, cy_vl, __m512i, __mmask8, _mm512_cmpgt_epi64_mask((__m512i)v, (__m512i)*m), _mm512_mask_mov_epi64)
    #else
      #if CY_VB == 32
        #define CY_CHOSEN(V, s, a, b) (V)_mm256_blendv_epi8((__m256i)(b), (__m256i)(a), (__m256i)(s))
        static inline cy_vf cy_most_f(cy_vf v, cy_vf m) { return CY_CHOSEN(cy_vf, v != v, v, _mm256_max_ps((__m256)v, (__m256)m)); }
        static inline cy_vd cy_most_d(cy_vd v, cy_vd m) { return CY_CHOSEN(cy_vd, v != v, v, _mm256_max_pd((__m256d)v, (__m256d)m)); }
        static inline cy_vb cy_most_b(cy_vb v, cy_vb m) { return (cy_vb)_mm256_max_epi8((__m256i)v, (__m256i)m); }
        static inline cy_vh cy_most_h(cy_vh v, cy_vh m) { return (cy_vh)_mm256_max_epi16((__m256i)v, (__m256i)m); }
        static inline cy_vi cy_most_i(cy_vi v, cy_vi m) { return (cy_vi)_mm256_max_epi32((__m256i)v, (__m256i)m); }
      #else
        #define CY_CHOSEN(V, s, a, b) (V)(((cy_vl)(a) & (cy_vl)(s)) | ((cy_vl)(b) & ~(cy_vl)(s)))
        static inline cy_vf cy_most_f(cy_vf v, cy_vf m) { return CY_CHOSEN(cy_vf, (v > m) | (v != v), v, m); }
        static inline cy_vd cy_most_d(cy_vd v, cy_vd m) { return CY_CHOSEN(cy_vd, (v > m) | (v != v), v, m); }
        static inline cy_vb cy_most_b(cy_vb v, cy_vb m) { return CY_CHOSEN(cy_vb, v > m, v, m); }
        static inline cy_vh cy_most_h(cy_vh v, cy_vh m) { return CY_CHOSEN(cy_vh, v > m, v, m); }
        static inline cy_vi cy_most_i(cy_vi v, cy_vi m) { return CY_CHOSEN(cy_vi, v > m, v, m); }
      #endif
      static inline cy_vl cy_most_l(cy_vl v, cy_vl m) { return CY_CHOSEN(cy_vl, v > m, v, m); }
      #define CY_BEAT(S, V, wins) \\
        static inline void cy_beat_##S(V v, V at, V *m, V *where) { *where = CY_CHOSEN(V, wins, at, *where); *m = CY_CHOSEN(V, wins, v, *m); }
      CY_BEAT(f, cy_vf, (v > *m) | (v != v))
      CY_BEAT(d, cy_vd, (v > *m) | (v != v))
      CY_BEAT(i, cy_vi, v > *m)
      CY_BEAT(l, cy_vl, v > *m)
    #endif
    #if CY_VB == 64                             /* GCC 12 takes several operations for a conversion of vectors */
      static inline cy_vd cy_widened(const void *p)    { return (cy_vd)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)p)); }
      static inline void cy_narrowed(void *p, cy_vd v) { _mm256_storeu_ps((float *)p, _mm512_cvtpd_ps((__m512d)v)); }
    #elif CY_VB == 32
      static inline cy_vd cy_widened(const void *p)    { return (cy_vd)_mm256_cvtps_pd(_mm_loadu_ps((const float *)p)); }
      static inline void cy_narrowed(void *p, cy_vd v) { _mm_storeu_ps((float *)p, _mm256_cvtpd_ps((__m256d)v)); }
    #else
      typedef float cy_narrow_f __attribute__((vector_size(8), aligned(4), may_alias));
      static inline cy_vd cy_widened(const void *p)    { return __builtin_convertvector(*(const cy_narrow_f *)p, cy_vd); }
      static inline void cy_narrowed(void *p, cy_vd v) { *(cy_narrow_f *)p = __builtin_convertvector(v, cy_narrow_f); }
    #endif
    static inline cy_vd cy_widened_within(const void *p, Py_ssize_t first, Py_ssize_t last) {
      #if CY_VB == 64
        return (cy_vd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)cy_within_f(p, first, last, (cy_vf){0})));
      #else
        float some[CY_VB / 8];
        for (int i = 0; i < CY_VB / 8; i++) some[i] = i * 4 >= first && i * 4 < last ? ((const float *)p)[i] : 0;
        return cy_widened(some);
      #endif
    }
    static inline void cy_narrowed_part(void *p, cy_vd v, Py_ssize_t n) {       /* n of its numbers */
      #if CY_VB == 64
        _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), _mm512_cvtpd_ps((__m512d)v));
      #else
        float some[CY_VB / 8];
        cy_narrowed(some, v);
        memcpy(p, some, n * 4);
      #endif
    }
    static inline void cy_spread_4(int64_t *to, cy_vi at, Py_ssize_t n) {
      #if CY_VB == 64
        __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256((__m512i)at));
        __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64((__m512i)at, 1));
        uint32_t mask = n >= 16 ? 0xffff : (1u << n) - 1;
        _mm512_mask_storeu_epi64(to, (__mmask8)mask, low);
        _mm512_mask_storeu_epi64(to + 8, (__mmask8)(mask >> 8), high);
      #else
        int32_t each[CY_VB / 4];
        memcpy(each, &at, CY_VB);
        for (int i = 0; i < CY_VB / 4 && i < n; i++) to[i] = each[i];
      #endif
    }
    static inline void cy_spread_8(int64_t *to, cy_vl at, Py_ssize_t n) { memcpy(to, &at, n * 8 < CY_VB ? n * 8 : CY_VB); }
    #define cy_spread_f(to, at, n) cy_spread_4(to, (cy_vi)(at), n)
    #define cy_spread_i cy_spread_4
    #define cy_spread_d(to, at, n) cy_spread_8(to, (cy_vl)(at), n)
    #define cy_spread_l cy_spread_8
    CY_PLACES(f, cy_vf, cy_vi, int32_t, 4)
    CY_PLACES(d, cy_vd, cy_vl, int64_t, 8)
    CY_PLACES(i, cy_vi, cy_vi, int32_t, 4)
    CY_PLACES(l, cy_vl, cy_vl, int64_t, 8)
    """
    ctypedef signed char vb "cy_vb"
    ctypedef short vh "cy_vh"
    ctypedef int vi "cy_vi"
    ctypedef long long vl "cy_vl"
    ctypedef long double sd "cy_vd"             # the same, but for sums: other types only to Cython
    ctypedef unsigned int si "cy_si"
    ctypedef unsigned long long sl "cy_sl"
    sd splat_sums "cy_splat_d"(double) noexcept nogil
    sd widened "cy_widened"(const void*) noexcept nogil          # as many floats as there are lanes
    sd widened_within "cy_widened_within"(const void*, Py_ssize_t, Py_ssize_t) noexcept nogil     # bytes first .. last - 1 of them, else 0
    void narrowed "cy_narrowed"(void*, sd) noexcept nogil
    void narrowed_part "cy_narrowed_part"(void*, sd, Py_ssize_t) noexcept nogil
    void spread_f "cy_spread_f"(int64_t*, vf, Py_ssize_t) noexcept nogil
    void spread_d "cy_spread_d"(int64_t*, vd, Py_ssize_t) noexcept nogil
    void spread_i "cy_spread_i"(int64_t*, vi, Py_ssize_t) noexcept nogil
    void spread_l "cy_spread_l"(int64_t*, vl, Py_ssize_t) noexcept nogil
    void part_f "cy_part_f"(void*, vf, Py_ssize_t) noexcept nogil
    void part_d "cy_part_d"(void*, vd, Py_ssize_t) noexcept nogil
    void part_b "cy_part_b"(void*, vb, Py_ssize_t) noexcept nogil
    void part_h "cy_part_h"(void*, vh, Py_ssize_t) noexcept nogil
    void part_i "cy_part_i"(void*, vi, Py_ssize_t) noexcept nogil
    void part_l "cy_part_l"(void*, vl, Py_ssize_t) noexcept nogil
    vf after_f "cy_after_f"(vf, vf, int) noexcept nogil
    vd after_d "cy_after_d"(vd, vd, int) noexcept nogil
    vi after_i "cy_after_i"(vi, vi, int) noexcept nogil
    vl after_l "cy_after_l"(vl, vl, int) noexcept nogil
    vf within_f "cy_within_f"(const void*, Py_ssize_t, Py_ssize_t, vf) noexcept nogil
    vd within_d "cy_within_d"(const void*, Py_ssize_t, Py_ssize_t, vd) noexcept nogil
    vb within_b "cy_within_b"(const void*, Py_ssize_t, Py_ssize_t, vb) noexcept nogil
    vh within_h "cy_within_h"(const void*, Py_ssize_t, Py_ssize_t, vh) noexcept nogil
    vi within_i "cy_within_i"(const void*, Py_ssize_t, Py_ssize_t, vi) noexcept nogil
    vl within_l "cy_within_l"(const void*, Py_ssize_t, Py_ssize_t, vl) noexcept nogil
    vf most_f "cy_most_f"(vf, vf) noexcept nogil
    vd most_d "cy_most_d"(vd, vd) noexcept nogil
    vb most_b "cy_most_b"(vb, vb) noexcept nogil
    vh most_h "cy_most_h"(vh, vh) noexcept nogil
    vi most_i "cy_most_i"(vi, vi) noexcept nogil
    vl most_l "cy_most_l"(vl, vl) noexcept nogil
    vf flip_f "cy_flip_f"(vf, vf) noexcept nogil
    vd flip_d "cy_flip_d"(vd, vd) noexcept nogil
    vb flip_b "cy_flip_b"(vb, vb) noexcept nogil
    vh flip_h "cy_flip_h"(vh, vh) noexcept nogil
    vi flip_i "cy_flip_i"(vi, vi) noexcept nogil
    vl flip_l "cy_flip_l"(vl, vl) noexcept nogil
    vh third_h "cy_third_h"(vh, vh, vh, int) noexcept nogil
    void thirds_b "cy_thirds_b"(vb, vb, vb, vb*) noexcept nogil
    vf evens_f "cy_evens_f"(vf, vf) noexcept nogil
    vd evens_d "cy_evens_d"(vd, vd) noexcept nogil
    vb evens_b "cy_evens_b"(vb, vb) noexcept nogil
    vh evens_h "cy_evens_h"(vh, vh) noexcept nogil
    vi evens_i "cy_evens_i"(vi, vi) noexcept nogil
    vl evens_l "cy_evens_l"(vl, vl) noexcept nogil
    vf odds_f "cy_odds_f"(vf, vf) noexcept nogil
    vd odds_d "cy_odds_d"(vd, vd) noexcept nogil
    vb odds_b "cy_odds_b"(vb, vb) noexcept nogil
    vh odds_h "cy_odds_h"(vh, vh) noexcept nogil
    vi odds_i "cy_odds_i"(vi, vi) noexcept nogil
    vl odds_l "cy_odds_l"(vl, vl) noexcept nogil
    void beat_f "cy_beat_f"(vf, vf, vf*, vf*) noexcept nogil
    void beat_d "cy_beat_d"(vd, vd, vd*, vd*) noexcept nogil
    void beat_i "cy_beat_i"(vi, vi, vi*, vi*) noexcept nogil
    void beat_l "cy_beat_l"(vl, vl, vl*, vl*) noexcept nogil
    vf beyond_f "cy_beyond_f"(vf, int64_t) noexcept nogil
    vd beyond_d "cy_beyond_d"(vd, int64_t) noexcept nogil
    vi beyond_i "cy_beyond_i"(vi, int64_t) noexcept nogil
    vl beyond_l "cy_beyond_l"(vl, int64_t) noexcept nogil
    vf counted_f "cy_counted_f"(int64_t) noexcept nogil
    vd counted_d "cy_counted_d"(int64_t) noexcept nogil
    vi counted_i "cy_counted_i"(int64_t) noexcept nogil
    vl counted_l "cy_counted_l"(int64_t) noexcept nogil

ctypedef fused pooled:
    vf
    vd
    vb
    vh
    vi
    vl
    sd
    si
    sl

ctypedef fused summed:
    sd
    si
    sl

ctypedef fused placed:                          # those that indices are found with
    vf
    vd
    vi
    vl


cdef inline Py_ssize_t lane_bytes(const pooled* like) noexcept nogil:
    if pooled is vb:
        return 1
    elif pooled is vh:
        return 2
    elif pooled is vf or pooled is vi or pooled is si:
        return 4
    else:
        return 8

cdef inline pooled join(pooled v, pooled m) noexcept nogil:
    """The winner of a later number v and an earlier one, or their sum."""
    if pooled is sd or pooled is si or pooled is sl:
        return m + v
    elif pooled is vf:
        return most_f(v, m)
    elif pooled is vd:
        return most_d(v, m)
    elif pooled is vb:
        return most_b(v, m)
    elif pooled is vh:
        return most_h(v, m)
    elif pooled is vi:
        return most_i(v, m)
    else:
        return most_l(v, m)

cdef inline pooled flip(pooled v, pooled bits) noexcept nogil:
    if pooled is vf:
        return flip_f(v, bits)
    elif pooled is vd or pooled is sd:
        return flip_d(v, bits)
    elif pooled is vb:
        return flip_b(v, bits)
    elif pooled is vh:
        return flip_h(v, bits)
    elif pooled is vi or pooled is si:
        return <pooled> flip_i(<vi> v, <vi> bits)
    else:
        return <pooled> flip_l(<vl> v, <vl> bits)

cdef inline pooled evens(pooled a, pooled b) noexcept nogil:
    """The numbers at even places of a, then of b."""
    if pooled is vf:
        return evens_f(a, b)
    elif pooled is vd or pooled is sd:
        return evens_d(a, b)
    elif pooled is vb:
        return evens_b(a, b)
    elif pooled is vh:
        return evens_h(a, b)
    elif pooled is vi or pooled is si:
        return <pooled> evens_i(<vi> a, <vi> b)
    else:
        return <pooled> evens_l(<vl> a, <vl> b)

cdef inline pooled odds(pooled a, pooled b) noexcept nogil:
    if pooled is vf:
        return odds_f(a, b)
    elif pooled is vd or pooled is sd:
        return odds_d(a, b)
    elif pooled is vb:
        return odds_b(a, b)
    elif pooled is vh:
        return odds_h(a, b)
    elif pooled is vi or pooled is si:
        return <pooled> odds_i(<vi> a, <vi> b)
    else:
        return <pooled> odds_l(<vl> a, <vl> b)

cdef inline inlined thirds(pooled a, pooled b, pooled c, pooled* to) noexcept nogil:
    """To each of three vectors every third number of a, then of b, then of c, from the first, second and third one on."""
    cdef int j
    if pooled is vb:
        thirds_b(a, b, c, to)
    else:
        for j in range(3):
            if pooled is vh:
                to[j] = third_h(a, b, c, j)
            elif pooled is vf or pooled is vi or pooled is si:
                to[j] = <pooled> third(<vf> a, <vf> b, <vf> c, j)
            else:
                to[j] = <pooled> third(<vd> a, <vd> b, <vd> c, j)

cdef inline pooled after(pooled a, pooled b, int n) noexcept nogil:
    """The numbers n places on in a and, behind it, b, where n is 1, 2, 4 or 8, but b if a vector has fewer. Not for less than 4 bytes."""
    if pooled is vf:
        return after_f(a, b, n)
    elif pooled is vd or pooled is sd:
        return after_d(a, b, n)
    elif pooled is vi or pooled is si:
        return <pooled> after_i(<vi> a, <vi> b, n)
    elif pooled is vl or pooled is sl:
        return <pooled> after_l(<vl> a, <vl> b, n)
    else:
        return b

cdef inline void store_part(char* p, pooled v, Py_ssize_t bytes) noexcept nogil:
    """Fewer bytes than a vector has; nothing behind them is touched."""
    if pooled is vf:
        part_f(p, v, bytes)
    elif pooled is vd or pooled is sd:
        part_d(p, v, bytes)
    elif pooled is vb:
        part_b(p, v, bytes)
    elif pooled is vh:
        part_h(p, v, bytes)
    elif pooled is vi or pooled is si:
        part_i(p, <vi> v, bytes)
    else:
        part_l(p, <vl> v, bytes)

cdef inline pooled load_within(const char* p, Py_ssize_t first, Py_ssize_t last, pooled outside) noexcept nogil:
    """Bytes first .. last - 1 of the vector at p, no others of which are touched, and the rest of `outside`."""
    if pooled is vf:
        return within_f(p, first, last, outside)
    elif pooled is vd or pooled is sd:
        return within_d(p, first, last, outside)
    elif pooled is vb:
        return within_b(p, first, last, outside)
    elif pooled is vh:
        return within_h(p, first, last, outside)
    elif pooled is vi or pooled is si:
        return <pooled> within_i(p, first, last, <vi> outside)
    else:
        return <pooled> within_l(p, first, last, <vl> outside)

cdef inline void beat(placed v, placed at, placed* m, placed* where) noexcept nogil:
    """A later number v, which stands at `at`, takes the place of m where it wins."""
    if placed is vf:
        beat_f(v, at, m, where)
    elif placed is vd:
        beat_d(v, at, m, where)
    elif placed is vi:
        beat_i(v, at, m, where)
    else:
        beat_l(v, at, m, where)

cdef inline placed beyond(placed at, int64_t n) noexcept nogil:
    """Places n further on."""
    if placed is vf:
        return beyond_f(at, n)
    elif placed is vd:
        return beyond_d(at, n)
    elif placed is vi:
        return beyond_i(at, n)
    else:
        return beyond_l(at, n)

cdef inline void put_places(placed at, Py_ssize_t n, int64_t* to) noexcept nogil:
    """The first n of them, or all, as 64-bit integers."""
    if placed is vf:
        spread_f(to, at, n)
    elif placed is vd:
        spread_d(to, at, n)
    elif placed is vi:
        spread_i(to, at, n)
    else:
        spread_l(to, at, n)

cdef inline placed counted_from_0(int64_t step, const placed* like) noexcept nogil:
    """The places 0, step, 2 step, ..."""
    if placed is vf:
        return counted_f(step)
    elif placed is vd:
        return counted_d(step)
    elif placed is vi:
        return counted_i(step)
    else:
        return counted_l(step)

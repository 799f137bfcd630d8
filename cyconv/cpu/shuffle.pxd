"""Moves of numbers within and between vectors of floats (vf) and doubles (vd), and hints to the caches.

LANES_F and LANES_D say how many of each a vector holds. What GCC has an operator for is not here: see simd.pxd.
"""
from cyconv.cpu.simd cimport VB, inlined, vd, vf

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #include <immintrin.h>
      #define CY_F_EVEN 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30
      #define CY_F_ODD  1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31
      #define CY_F_NEXT 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16
      #define CY_D_EVEN 0,2,4,6,8,10,12,14
      #define CY_D_ODD  1,3,5,7,9,11,13,15
      #define CY_D_NEXT 1,2,3,4,5,6,7,8
    #elif defined(__AVX2__)
      #include <immintrin.h>
      #define CY_F_EVEN 0,2,4,6,8,10,12,14
      #define CY_F_ODD  1,3,5,7,9,11,13,15
      #define CY_F_NEXT 1,2,3,4,5,6,7,8
      #define CY_D_EVEN 0,2,4,6
      #define CY_D_ODD  1,3,5,7
      #define CY_D_NEXT 1,2,3,4
    #else
      #define CY_F_EVEN 0,2,4,6
      #define CY_F_ODD  1,3,5,7
      #define CY_F_NEXT 1,2,3,4
      #define CY_D_EVEN 0,2
      #define CY_D_ODD  1,3
      #define CY_D_NEXT 1,2
    #endif
    #ifdef CY_HALF_OF_16
      #define CY_F_HALF(a, b, which) CY_HALF_OF_16(cy_vf, cy_vd, a, b, CY_FIRST_##which)
      #define CY_FIRST_EVEN 0
      #define CY_FIRST_ODD  1
    #else
      #define CY_F_HALF(a, b, which) return __builtin_shufflevector(a, b, CY_F_##which);
    #endif
    #define CY_D_HALF(a, b, which) return __builtin_shufflevector(a, b, CY_D_##which);
    #define CY_SHUFFLES(V, S, N) \\
      static inline V cy_even_##S(V a, V b)     { CY_##N##_HALF(a, b, EVEN) } \\
      static inline V cy_odd_##S(V a, V b)      { CY_##N##_HALF(a, b, ODD) } \\
      static inline V cy_shift_in_##S(V a, V b) { return __builtin_shufflevector(a, b, CY_##N##_NEXT); } \\
      static inline V cy_keep_##S(V v)          { CY_KEEP(v); return v; } \\
      static inline void cy_use_##S(V v)        { CY_USE(v); }
    #if defined(__GNUC__) && !defined(__clang__)
      #define CY_PICK(V, I, n, v, index) \
        typedef I lanes_of __attribute__((vector_size(CY_VB), aligned(sizeof(I)), may_alias)); \
        return __builtin_shuffle(v, *(const lanes_of *)index);
    #else
      #define CY_PICK(V, I, n, v, index) \
        V picked = v; \
        for (int i = 0; i < n; i++) picked[i] = v[((const I *)index)[i]]; \
        return picked;
    #endif
    #if defined(__x86_64__)
      #define CY_KEEP(v) __asm__("" : CY_REG(v))
      #define CY_USE(v) __asm__("" : : CY_IN_REG(v))
    #else
      #define CY_KEEP(v) (void)0
      #define CY_USE(v) (void)0
    #endif
    CY_SHUFFLES(cy_vf, f, F)
    CY_SHUFFLES(cy_vd, d, D)
    static inline Py_ssize_t cy_unknown(Py_ssize_t n) {
      #if defined(__GNUC__)
      __asm__("" : "+r"(n));
      #endif
      return n;
    }
    #if defined(__GNUC__) && !defined(__clang__)
      #define CY_THIRD(V, I, n, a, b, c, j) \
        typedef I lanes_of __attribute__((vector_size(CY_VB), may_alias)); \
        lanes_of i, k; \
        for (int t = 0; t < n; t++) { int q = 3 * t + j; i[t] = q < 2 * n ? q : 0; k[t] = q < 2 * n ? t : q - n; } \
        return __builtin_shuffle(__builtin_shuffle(a, b, i), c, k);
    #else
      #define CY_THIRD(V, I, n, a, b, c, j) \
        V found = a; \
        for (int t = 0; t < n; t++) { int q = 3 * t + j; found[t] = q < n ? a[q] : q < 2 * n ? b[q - n] : c[q - 2 * n]; } \
        return found;
    #endif
    static inline cy_vf cy_third_f(cy_vf a, cy_vf b, cy_vf c, int j) { CY_THIRD(cy_vf, int32_t, CY_VB / 4, a, b, c, j) }
    static inline cy_vd cy_third_d(cy_vd a, cy_vd b, cy_vd c, int j) { CY_THIRD(cy_vd, int64_t, CY_VB / 8, a, b, c, j) }
    static inline cy_vf cy_pick_f(cy_vf v, const void *index) { CY_PICK(cy_vf, int32_t, CY_VB / 4, v, index) }
    static inline cy_vd cy_pick_d(cy_vd v, const void *index) { CY_PICK(cy_vd, int64_t, CY_VB / 8, v, index) }
    static inline void cy_fetch(const void *p) { __builtin_prefetch(p, 0, 3); }
    static inline void cy_own(const void *p)   { __builtin_prefetch(p, 1, 3); }
    #if defined(__AVX512F__)
      static inline void cy_stream(void *p, cy_vf v) { _mm512_stream_ps((float *)p, (__m512)v); }
      static inline void cy_drain(void) { _mm_sfence(); }
      static inline void cy_some_f(void *p, cy_vf v, Py_ssize_t i, Py_ssize_t n) {
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - (1u << i)), (__m512)v);
      }
      static inline void cy_some_d(void *p, cy_vd v, Py_ssize_t i, Py_ssize_t n) {
        _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - (1u << i)), (__m512d)v);
      }
      static inline cy_vf cy_begin_f(const void *p, Py_ssize_t n) { return (cy_vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p); }
      static inline cy_vd cy_begin_d(const void *p, Py_ssize_t n) { return (cy_vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1u), p); }
      #define CY_STREAMS 1
    #else                                       /* half lines past the caches cost double */
      static inline void cy_stream(void *p, cy_vf v) { *(cy_vf *)p = v; }
      static inline void cy_drain(void) {}
      static inline void cy_some_f(void *p, cy_vf v, Py_ssize_t i, Py_ssize_t n) { memcpy((float *)p + i, (float *)&v + i, (n - i) * sizeof(float)); }
      static inline void cy_some_d(void *p, cy_vd v, Py_ssize_t i, Py_ssize_t n) { memcpy((double *)p + i, (double *)&v + i, (n - i) * sizeof(double)); }
      static inline cy_vf cy_begin_f(const void *p, Py_ssize_t n) { cy_vf v = {0}; memcpy(&v, p, n * sizeof(float)); return v; }
      static inline cy_vd cy_begin_d(const void *p, Py_ssize_t n) { cy_vd v = {0}; memcpy(&v, p, n * sizeof(double)); return v; }
      #define CY_STREAMS 0
    #endif
    """
    enum:
        STREAMS "CY_STREAMS"                    # whether `stream` goes past the caches here
    vf even_f "cy_even_f"(vf, vf) noexcept nogil
    vd even_d "cy_even_d"(vd, vd) noexcept nogil
    vf odd_f "cy_odd_f"(vf, vf) noexcept nogil
    vd odd_d "cy_odd_d"(vd, vd) noexcept nogil
    vf shift_in_f "cy_shift_in_f"(vf, vf) noexcept nogil
    vd shift_in_d "cy_shift_in_d"(vd, vd) noexcept nogil
    vf keep_f "cy_keep_f"(vf) noexcept nogil
    vd keep_d "cy_keep_d"(vd) noexcept nogil
    void use_f "cy_use_f"(vf) noexcept nogil
    void use_d "cy_use_d"(vd) noexcept nogil
    Py_ssize_t unknown "cy_unknown"(Py_ssize_t) noexcept nogil       # n, which the compiler cannot tell
    vf third_f "cy_third_f"(vf, vf, vf, int) noexcept nogil
    vd third_d "cy_third_d"(vd, vd, vd, int) noexcept nogil
    vf pick_f "cy_pick_f"(vf, const void*) noexcept nogil
    vd pick_d "cy_pick_d"(vd, const void*) noexcept nogil
    void fetch "cy_fetch"(const void*) noexcept nogil       # prefetch to read
    void own "cy_own"(const void*) noexcept nogil           # prefetch to write
    void stream "cy_stream"(void*, vf) noexcept nogil       # a whole line past the caches; p a multiple of VB
    void some_f "cy_some_f"(void*, vf, Py_ssize_t, Py_ssize_t) noexcept nogil
    void some_d "cy_some_d"(void*, vd, Py_ssize_t, Py_ssize_t) noexcept nogil
    vf begin_f "cy_begin_f"(const void*, Py_ssize_t) noexcept nogil
    vd begin_d "cy_begin_d"(const void*, Py_ssize_t) noexcept nogil
    void drain "cy_drain"() noexcept nogil                  # after the last stream of a thread

cdef enum:
    LANES_F = VB // 4
    LANES_D = VB // 8

ctypedef fused lanes:                           # vectors that are shuffled
    vf
    vd


cdef inline lanes even(lanes a, lanes b) noexcept nogil:
    """The numbers at even places of a, then of b."""
    if lanes is vf:
        return even_f(a, b)
    else:
        return even_d(a, b)

cdef inline lanes odd(lanes a, lanes b) noexcept nogil:
    if lanes is vf:
        return odd_f(a, b)
    else:
        return odd_d(a, b)

cdef inline lanes shift_in(lanes a, lanes b) noexcept nogil:
    """a less its first number, and the first one of b behind."""
    if lanes is vf:
        return shift_in_f(a, b)
    else:
        return shift_in_d(a, b)

cdef inline lanes third(lanes a, lanes b, lanes c, int j) noexcept nogil:
    """Numbers j, j + 3, j + 6, ... of a, then of b, then of c."""
    if lanes is vf:
        return third_f(a, b, c, j)
    else:
        return third_d(a, b, c, j)

cdef inline lanes pick(lanes v, const char* index) noexcept nogil:
    """Any of v's numbers in any order: index is as many integers as wide as they are."""
    if lanes is vf:
        return pick_f(v, index)
    else:
        return pick_d(v, index)

cdef inline lanes keep(lanes v) noexcept nogil:
    """v, held in a register: GCC 12 otherwise reads it from memory again for each use."""
    if lanes is vf:
        return keep_f(v)
    else:
        return keep_d(v)

cdef inline void put_some(char* p, lanes v, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Numbers i to n of v to their places in the vector at p; nothing else there is touched."""
    if lanes is vf:
        some_f(p, v, i, n)
    else:
        some_d(p, v, i, n)

cdef inline lanes beginning(const char* p, Py_ssize_t n, const lanes* like) noexcept nogil:
    """The n numbers at p, fewer than a vector has, and zeros behind them; nothing else is read."""
    if lanes is vf:
        return begin_f(p, n)
    else:
        return begin_d(p, n)

cdef inline void use(lanes v) noexcept nogil:
    """Nothing; but v is in its register until here. What is summed with it must stay in another one."""
    if lanes is vf:
        use_f(v)
    else:
        use_d(v)

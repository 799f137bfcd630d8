"""Vector types as wide as the instruction set that a module is compiled for, and half precision.

Cython sees vf, vd, vw and vq as plain numbers and emits + and * unchanged; GCC and Clang turn them into vector
instructions, with FMA where there is one. The verbatim C holds only what has no operator. Arrays of these types with
constant bounds stay in registers; arrays of plain floats do so only by luck.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__AVX512F__)
      #define CY_VB 64
      #define CY_ROWS 6                 /* register tile of `direct`: rows x vectors accumulators, */
      #define CY_VECTORS 4              /* plus one row of vectors and a broadcast, fit the registers */
      #define CY_REG "+v"
      #define CY_IN_REG "v"
    #elif defined(__AVX2__)
      #define CY_VB 32
      #define CY_ROWS 4
      #define CY_VECTORS 3
      #define CY_REG "+x"
      #define CY_IN_REG "x"
    #else
      #define CY_VB 16
      #define CY_ROWS 4
      #define CY_VECTORS 2
      #define CY_REG "+x"
      #define CY_IN_REG "x"
    #endif
    #define CY_VECTOR(T) __attribute__((vector_size(CY_VB), aligned(sizeof(T)), may_alias))
    typedef float    cy_vf CY_VECTOR(float);
    typedef double   cy_vd CY_VECTOR(double);
    typedef uint32_t cy_vw CY_VECTOR(uint32_t);
    typedef uint64_t cy_vq CY_VECTOR(uint64_t);
    static inline cy_vf cy_splat_f(float x)    { return x - (cy_vf){0}; }
    static inline cy_vd cy_splat_d(double x)   { return x - (cy_vd){0}; }
    static inline cy_vw cy_splat_w(uint32_t x) { return x - (cy_vw){0}; }
    static inline cy_vq cy_splat_q(uint64_t x) { return x - (cy_vq){0}; }
    #if defined(__AVX2__) && !defined(__AVX512F__)
      /* Every second one of 16 floats in two vectors, D being doubles: GCC 12 would take three operations, two of them on the
         one port that crosses lanes. */
      #define CY_HALF_OF_16(V, D, a, b, i) \\
        D t = (D)__builtin_shufflevector(a, b, i, i + 2, i + 8, i + 10, i + 4, i + 6, i + 12, i + 14); \\
        return (V)__builtin_shufflevector(t, t, 0, 2, 1, 3);
    #endif
    #define CY_INLINED __attribute__((always_inline))
    #define CY_OUTLINED __attribute__((noinline))
    #if defined(__GNUC__) && !defined(__clang__)
      #pragma GCC diagnostic ignored "-Wattributes"     /* Cython calls every function of a .pxd inline */
    #endif

    typedef uint16_t cy_half;
    /* Both are free of branches that GCC cannot turn into selections, so loops over them are vectorised. */
    static inline float cy_half_to_float(cy_half h) {
        uint32_t magnitude = h & 0x7fffu, bits = (magnitude << 13) + 0x38000000u, small = bits + 0x00800000u;
        float f;
        memcpy(&f, &small, 4);
        f -= 0x1p-14f;                                         /* a subnormal half, exactly, without a subnormal float on the way */
        memcpy(&small, &f, 4);
        bits = magnitude < 0x400u ? small : bits;
        bits |= (magnitude >= 0x7c00u ? 0x7f800000u : 0u) | (uint32_t)(h & 0x8000u) << 16;
        memcpy(&f, &bits, 4);
        return f;
    }
    static inline cy_half cy_float_to_half(float f) {          /* to nearest, ties to even */
        uint32_t bits, tiny, normal, result;
        float g;
        memcpy(&bits, &f, 4);
        uint32_t magnitude = bits & 0x7fffffffu;
        memcpy(&g, &magnitude, 4);
        g = (magnitude < 0x38800000u ? g : 0.0f) + 0.5f;       /* the addition rounds at the step of subnormal halves */
        memcpy(&tiny, &g, 4);
        tiny -= 0x3f000000u;
        normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
        result = magnitude < 0x38800000u ? tiny : normal;
        result = magnitude >= 0x47800000u ? 0x7c00u : result;
        result = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : result;
        return (cy_half)(result | (bits >> 16 & 0x8000u));
    }
    """
    enum:
        VB "CY_VB"
        ROWS "CY_ROWS"
        VECTORS "CY_VECTORS"
    ctypedef float vf "cy_vf"
    ctypedef double vd "cy_vd"
    ctypedef unsigned int vw "cy_vw"
    ctypedef unsigned long long vq "cy_vq"
    ctypedef short half "cy_half"       # short only to Cython, which would take it for uint16_t otherwise
    ctypedef void inlined "CY_INLINED void"
    ctypedef void outlined "CY_OUTLINED void"           # long, and called from so many places that copies of it would fill the wheel
    vf splat_f "cy_splat_f"(float) noexcept nogil
    vd splat_d "cy_splat_d"(double) noexcept nogil
    vw splat_w "cy_splat_w"(uint32_t) noexcept nogil
    vq splat_q "cy_splat_q"(uint64_t) noexcept nogil
    float half_to_float "cy_half_to_float"(half) noexcept nogil
    half float_to_half "cy_float_to_half"(float) noexcept nogil

ctypedef fused vector:
    vf
    vd
    vw
    vq


cdef inline vector splat(const char* p, const vector* like) noexcept nogil:
    """The number at p in every lane. `like` only names the type, and may be NULL."""
    if vector is vf:
        return splat_f((<const float*> p)[0])
    elif vector is vd:
        return splat_d((<const double*> p)[0])
    elif vector is vw:
        return splat_w((<const uint32_t*> p)[0])
    else:
        return splat_q((<const uint64_t*> p)[0])

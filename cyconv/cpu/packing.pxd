"""Boxes of the padded input, gathered into cache, and results scattered from it: what all convolutions share.

A `Box` is what a block of outputs reads of one channel, [phase][z][y][x]. Along an axis with stride s, tap j of output
o reads sample (o*s + j*d) - pad = (o + q)*s + r - pad, with j*d = q*s + r. Samples of equal remainder r ("phase") are
stored next to each other, so that outputs o, o+1, ... read neighbours for every tap: inside the box each tap is a
constant distance, and the convolution is one of stride 1 whatever stride, dilation, padding and layout were. Only
the remainders that a tap meets are stored.

The gather also does whatever the input's memory needs: any byte strides, padding modes, half to float, small integers
to 32 bits. Integers are kept unsigned, since only their low bits matter (results are modulo 2**n).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, even_d, even_f
from cyconv.cpu.simd cimport half, half_to_float, float_to_half, vd, vf

cdef enum Mode:
    ZEROS, REFLECT, REPLICATE, CIRCULAR

cdef enum Stored:                       # how numbers lie in the caller's arrays; complex ones are pairs of these
    HALF, SINGLE, DOUBLE, BITS8, BITS16, BITS32, BITS64

ctypedef fused stored:
    half
    float
    double
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused computed:                # what is computed with
    float
    double
    uint32_t
    uint64_t

cdef struct Axis:
    Py_ssize_t n                        # samples of the input
    Py_ssize_t stride
    Py_ssize_t pad
    Py_ssize_t length                   # pitch: stored samples of one phase
    Py_ssize_t phases
    const Py_ssize_t* remainder         # of each phase

cdef struct Box:
    Axis[3] axis                        # z, y, x
    Mode mode
    Py_ssize_t[3] step                  # bytes between neighbours in the input


cdef inline Py_ssize_t source(Py_ssize_t u, Py_ssize_t n, Mode mode) noexcept nogil:
    """Which sample stands at position u of a padded axis; -1 for a zero."""
    if 0 <= u < n:
        return u
    if mode == ZEROS:
        return -1
    if mode == REFLECT:
        u = -u if u < 0 else 2 * (n - 1) - u
    elif mode == REPLICATE:
        u = 0 if u < 0 else n - 1
    else:
        u = u + n if u < 0 else u - n
    return u if 0 <= u < n else -1      # beyond what the mode covers: only samples that no tap reads


cdef inline void copy_run(char* to, const char* from_, Py_ssize_t bytes) noexcept nogil:
    """memcpy for a row of an image: short, so that a call would cost more than the copying. Pieces overlap instead of shrinking;
    `bytes` is a multiple of 4."""
    cdef Py_ssize_t i = 0
    if bytes >= 64:
        while i + 64 <= bytes:
            memcpy(to + i, from_ + i, 64)
            i += 64
        memcpy(to + bytes - 64, from_ + bytes - 64, 64)
    elif bytes >= 32:
        memcpy(to, from_, 32)
        memcpy(to + bytes - 32, from_ + bytes - 32, 32)
    elif bytes >= 16:
        memcpy(to, from_, 16)
        memcpy(to + bytes - 16, from_ + bytes - 16, 16)
    else:
        while i < bytes:
            memcpy(to + i, from_ + i, 4)
            i += 4


cdef inline void convert(const stored* p, computed* to) noexcept nogil:
    if stored is half:
        to[0] = <computed> half_to_float(p[0])
    else:
        to[0] = <computed> p[0]


cdef inline void gather_row(const char* src, Py_ssize_t step, const Axis* axis, Py_ssize_t first, Py_ssize_t filled,
                            Mode mode, const stored* like, computed* dst) noexcept nogil:
    """Samples first, first + stride, ... (`filled` of them, positions in the padded row less its padding)."""
    cdef Py_ssize_t n = axis.n, s = axis.stride, begin = 0, end = filled, q, u, hop = s * step
    cdef const char* p
    cdef const stored* run
    if first < 0:
        begin = min(filled, (s - 1 - first) // s)
    if first + (filled - 1) * s >= n:
        end = 0 if first >= n else (n - 1 - first) // s + 1
    end = max(end, begin)
    for q in range(begin):
        u = source(first + q * s, n, mode)
        if u < 0:
            dst[q] = 0
        else:
            convert[stored, computed](<const stored*> (src + u * step), dst + q)
    p = src + (first + begin * s) * step
    run = <const stored*> p
    if hop == sizeof(stored):
        if sizeof(stored) == sizeof(computed):      # the same bits: half is the one float that is converted, and is smaller
            copy_run(<char*> (dst + begin), p, (end - begin) * sizeof(computed))
        else:
            for q in range(end - begin):
                convert[stored, computed](run + q, dst + begin + q)
    elif hop == 2 * sizeof(stored):
        q = 0
        if stored is float:             # whole vectors, as long as the sample behind the last one is not read
            while q + LANES_F < end - begin:
                (<vf*> (dst + begin + q))[0] = even_f((<const vf*> (run + 2 * q))[0], (<const vf*> (run + 2 * q + LANES_F))[0])
                q += LANES_F
        elif stored is double:
            while q + LANES_D < end - begin:
                (<vd*> (dst + begin + q))[0] = even_d((<const vd*> (run + 2 * q))[0], (<const vd*> (run + 2 * q + LANES_D))[0])
                q += LANES_D
        while q < end - begin:
            convert[stored, computed](run + 2 * q, dst + begin + q)
            q += 1
    else:
        for q in range(end - begin):
            convert[stored, computed](<const stored*> p, dst + begin + q)
            p += hop
    for q in range(end, filled):
        u = source(first + q * s, n, mode)
        if u < 0:
            dst[q] = 0
        else:
            convert[stored, computed](<const stored*> (src + u * step), dst + q)


cdef inline void gather(const char* src, const Box* box, const Py_ssize_t* origin, const Py_ssize_t* filled, const stored* like,
                        computed* dst) noexcept nogil:
    """Fills one channel's box for the block of outputs that begins at origin[0..2]; filled: samples to fill per phase."""
    cdef const Axis* az = &box.axis[0]
    cdef const Axis* ay = &box.axis[1]
    cdef const Axis* ax = &box.axis[2]
    cdef Py_ssize_t pz, py, px, z, y, uz, uy, x0
    cdef computed* to
    for pz in range(az.phases):
        for py in range(ay.phases):
            for px in range(ax.phases):
                x0 = origin[2] * ax.stride + ax.remainder[px] - ax.pad
                for z in range(filled[0]):
                    uz = source((origin[0] + z) * az.stride + az.remainder[pz] - az.pad, az.n, box.mode)
                    for y in range(filled[1]):
                        uy = source((origin[1] + y) * ay.stride + ay.remainder[py] - ay.pad, ay.n, box.mode)
                        to = dst + (z * ay.length + y) * ax.length
                        if uz < 0 or uy < 0:
                            memset(to, 0, filled[2] * sizeof(computed))
                        else:
                            gather_row[stored, computed](src + uz * box.step[0] + uy * box.step[1], box.step[2], ax, x0, filled[2],
                                       box.mode, like, to)
                dst += az.length * ay.length * ax.length


cdef inline void gather_floats(Stored kind, const char* src, const Box* box, const Py_ssize_t* origin,
                               const Py_ssize_t* filled, char* dst) noexcept nogil:
    if kind == SINGLE:
        gather[float, float](src, box, origin, filled, NULL, <float*> dst)
    elif kind == DOUBLE:
        gather[double, double](src, box, origin, filled, NULL, <double*> dst)
    else:
        gather[half, float](src, box, origin, filled, NULL, <float*> dst)


cdef inline void gather_stored(Stored kind, const char* src, const Box* box, const Py_ssize_t* origin,
                               const Py_ssize_t* filled, char* dst) noexcept nogil:
    if kind == SINGLE or kind == DOUBLE or kind == HALF:
        gather_floats(kind, src, box, origin, filled, dst)
    elif kind == BITS8:
        gather[uint8_t, uint32_t](src, box, origin, filled, NULL, <uint32_t*> dst)
    elif kind == BITS16:
        gather[uint16_t, uint32_t](src, box, origin, filled, NULL, <uint32_t*> dst)
    elif kind == BITS32:
        gather[uint32_t, uint32_t](src, box, origin, filled, NULL, <uint32_t*> dst)
    else:
        gather[uint64_t, uint64_t](src, box, origin, filled, NULL, <uint64_t*> dst)


cdef inline void put_run(const computed* src, stored* dst, Py_ssize_t hop, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t q
    if sizeof(stored) == sizeof(computed) and hop == 1:
        copy_run(<char*> dst, <const char*> src, count * sizeof(computed))
    elif hop == 1:
        for q in range(count):
            if stored is half:
                dst[q] = float_to_half(<float> src[q])
            else:
                dst[q] = <stored> src[q]
    else:
        for q in range(count):
            if stored is half:
                dst[q * hop] = float_to_half(<float> src[q])
            else:
                dst[q * hop] = <stored> src[q]


cdef inline void put_floats(Stored kind, char* src, char* dst, Py_ssize_t hop, Py_ssize_t count) noexcept nogil:
    """Writes `count` results, every `hop`-th number of dst (2 for one part of complex numbers)."""
    if kind == SINGLE:
        put_run[float, float](<float*> src, <float*> dst, hop, count)
    elif kind == DOUBLE:
        put_run[double, double](<double*> src, <double*> dst, hop, count)
    else:
        put_run[float, half](<float*> src, <half*> dst, hop, count)


cdef inline void put_stored(Stored kind, char* src, char* dst, Py_ssize_t hop, Py_ssize_t count) noexcept nogil:
    """The same of any numbers."""
    if kind == SINGLE or kind == DOUBLE or kind == HALF:
        put_floats(kind, src, dst, hop, count)
    elif kind == BITS8:
        put_run[uint32_t, uint8_t](<uint32_t*> src, <uint8_t*> dst, hop, count)
    elif kind == BITS16:
        put_run[uint32_t, uint16_t](<uint32_t*> src, <uint16_t*> dst, hop, count)
    elif kind == BITS32:
        put_run[uint32_t, uint32_t](<uint32_t*> src, <uint32_t*> dst, hop, count)
    else:
        put_run[uint64_t, uint64_t](<uint64_t*> src, <uint64_t*> dst, hop, count)

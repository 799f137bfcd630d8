"""Whether numbers are all finite, told by their exponents: loops over integers, which GCC turns into vectors."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef enum:
    PIECE_OF_NUMBERS = 1 << 13          # looked at before the next decision


cdef extern from *:
    """
    /* of numbers that were written as floats, which a compiler may rely on in `dots` (see setup.py) */
    typedef uint16_t __attribute__((may_alias)) cy_bits_16;
    typedef uint32_t __attribute__((may_alias)) cy_bits_32;
    typedef uint64_t __attribute__((may_alias)) cy_bits_64;
    """
    ctypedef uint16_t bits_16 "cy_bits_16"
    ctypedef uint32_t bits_32 "cy_bits_32"
    ctypedef uint64_t bits_64 "cy_bits_64"

ctypedef fused number_bits:
    bits_16
    bits_32
    bits_64


cdef inline bint finite_bits(const number_bits* p, Py_ssize_t count, number_bits exponent) noexcept nogil:
    cdef number_bits found
    cdef Py_ssize_t begin = 0, i, length
    while begin < count:
        length = min(count - begin, <Py_ssize_t> PIECE_OF_NUMBERS)
        found = 0
        for i in range(length):
            found |= <number_bits> ((p[begin + i] & exponent) == exponent)
        if found:
            return False
        begin += length
    return True


cdef inline bint all_finite(const char* p, Py_ssize_t count, int size) noexcept nogil:
    """Of `count` floating-point numbers of `size` bytes."""
    if size == 2:
        return finite_bits[bits_16](<const bits_16*> p, count, 0x7c00)
    if size == 4:
        return finite_bits[bits_32](<const bits_32*> p, count, 0x7f800000)
    return finite_bits[bits_64](<const bits_64*> p, count, 0x7ff0000000000000)

"""Whether numbers are all finite, told by their exponents: loops over integers, which GCC turns into vectors."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef enum:
    PIECE_OF_NUMBERS = 1 << 13          # looked at before the next decision


ctypedef fused number_bits:
    uint16_t
    uint32_t
    uint64_t


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
        return finite_bits[uint16_t](<const uint16_t*> p, count, 0x7c00)
    if size == 4:
        return finite_bits[uint32_t](<const uint32_t*> p, count, 0x7f800000)
    return finite_bits[uint64_t](<const uint64_t*> p, count, 0x7ff0000000000000)

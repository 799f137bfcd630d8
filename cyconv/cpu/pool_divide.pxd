"""What sums are divided by, and p-norms scaled with."""
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int64_t, uint64_t

from cyconv.cpu.pool_rows cimport number
from cyconv.cpu.pool_work cimport Axis, floor_div, wide, window
from cyconv.cpu.simd cimport outlined

cdef struct Divisors:
    bint count_include_pad
    bint has_override
    Py_ssize_t override
    bint norms                          # whether they are those of p-norms
    double norm
    bint signed_sums


cdef inline Py_ssize_t counted(const Divisors* d, const Axis* a, Py_ssize_t o) noexcept nogil:
    """Samples of window o along an axis that an average is divided by."""
    cdef Py_ssize_t start, first, count
    if d.count_include_pad and not a.adaptive:
        start = o * a.stride - a.pad
        return min(a.kernel, a.n + a.pad_after - start)
    window(a, o, &first, &count)
    return count

cdef inline Py_ssize_t counted_alike(const Divisors* d, const Axis* a, Py_ssize_t o, Py_ssize_t end) noexcept nogil:
    """Up to which output, `end` at most, those from o on have as many samples as it, as far as that can be told at once."""
    if a.adaptive or counted(d, a, o) != a.kernel:
        return o + 1
    # whole windows end where the input, with its padding if that counts, does
    return min(max(floor_div(a.n + (a.pad_after if d.count_include_pad else 0) + a.pad - a.kernel, a.stride) + 1, o + 1), end)

cdef inline int64_t quotient(int64_t sum, Py_ssize_t divisor) noexcept nogil:
    """Rounded towards zero. Minus one is apart: the least integer divided by it is an error of the processor."""
    return <int64_t> (0 - <uint64_t> sum) if divisor == -1 else sum // divisor

cdef inline double float_divisor(const Divisors* d, const Axis* axis, double yz, Py_ssize_t x) noexcept nogil:
    if d.norms and fabs(d.norm) == INFINITY:
        return 1
    if d.norms:                         # torch scales the average by the size of a whole window, also where the window is cut off
        return yz * <double> x / (<double> axis[0].kernel * <double> axis[1].kernel * <double> axis[2].kernel)
    return <double> d.override if d.has_override else yz * <double> x

cdef inline outlined divide(const Divisors* d, const Axis* axis, number* sums, Py_ssize_t n, Py_ssize_t z, Py_ssize_t y, Py_ssize_t x) noexcept nogil:
    """Divides n sums by the product of three counts, or by what stands in for it."""
    cdef Py_ssize_t i, divisor
    cdef wide yz
    cdef double by
    if number is double:
        by = float_divisor(d, axis, <double> z * <double> y, x)
        if by != 1:
            for i in range(n):
                sums[i] = sums[i] / by
    elif number is uint64_t:
        yz = <wide> z * <wide> y
        if d.has_override:
            divisor = d.override
        elif yz < <wide> 1 << 62 and yz * <wide> x < <wide> 1 << 62:
            divisor = <Py_ssize_t> (yz * <wide> x)
        else:
            divisor = 0                 # padding counted so often that the quotient is zero
        for i in range(n):
            if divisor == 0:
                sums[i] = 0
            elif d.signed_sums:
                sums[i] = <uint64_t> quotient(<int64_t> sums[i], divisor)
            else:
                sums[i] = sums[i] // <uint64_t> divisor

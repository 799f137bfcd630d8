"""What is pooled: kinds, number formats, axes, and which samples each window holds."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

ctypedef fused word:                    # a number's bits
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef extern from *:
    """
    typedef unsigned __int128 cy_wide;
    """
    ctypedef unsigned long long wide "cy_wide"      # products of two sizes

cdef enum Kind:
    MAX, SUM, NORM

cdef enum Stored:                       # how numbers lie in the caller's arrays; complex ones are pairs of these
    HALF, SINGLE, DOUBLE, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64

cdef enum How:                          # what becomes of the number that stands there
    SET, PEAK, ADD

cdef struct Axis:
    Py_ssize_t n, out, kernel, stride, dilation
    Py_ssize_t pad, pad_after           # before the first sample, and after the last
    Py_ssize_t step                     # bytes between neighbours in the input
    bint adaptive

# ---- windows -------------------------------------------------------------------------------------------------------------

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """For any a and positive b, which is 1 so often that a division, ten times slower, is worth avoiding."""
    if b == 1:
        return a
    return (a + b - 1) // b if a > 0 else -(-a // b)

cdef inline Py_ssize_t floor_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    if b == 1:
        return a
    return a // b if a >= 0 else -((-a + b - 1) // b)

cdef inline void window(const Axis* a, Py_ssize_t o, Py_ssize_t* first, Py_ssize_t* count) noexcept nogil:
    """The samples of window o: `count` of them, from `first` on, a dilation apart."""
    cdef Py_ssize_t start, skipped = 0
    if a.adaptive and (a.n | a.out) < <Py_ssize_t> 1 << 31:
        first[0] = o * a.n // a.out
        count[0] = ((o + 1) * a.n + a.out - 1) // a.out - first[0]
        return
    if a.adaptive:
        first[0] = <Py_ssize_t> (<wide> o * <wide> a.n // <wide> a.out)
        count[0] = <Py_ssize_t> ((<wide> (o + 1) * <wide> a.n + <wide> (a.out - 1)) // <wide> a.out) - first[0]
        return
    start = o * a.stride - a.pad
    if start < 0:
        skipped = ceil_div(-start, a.dilation)
    first[0] = start + skipped * a.dilation
    count[0] = min(a.kernel, ceil_div(a.n - start, a.dilation)) - skipped

cdef inline void columns_of(const Axis* a, Py_ssize_t left, Py_ssize_t right, Py_ssize_t* begin, Py_ssize_t* end) noexcept nogil:
    """The samples that windows left .. right - 1 lie in."""
    cdef Py_ssize_t count
    if a.adaptive:
        window(a, left, begin, &count)
        window(a, right - 1, end, &count)
        end[0] += count
    else:
        begin[0] = max(0, left * a.stride - a.pad)
        end[0] = min(a.n, (right - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1)

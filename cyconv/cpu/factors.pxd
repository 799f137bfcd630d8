"""Vectors whose outer product a kernel is, if it is one: see `factor_real` and `factor_whole`."""
from libc.math cimport fabsl
from libc.stdint cimport int64_t, uint32_t, uint64_t
from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.packing cimport BITS64, DOUBLE, HALF, SINGLE

cdef extern from *:
    """
    static inline long double cy_scaled(long double x, int e) { return __builtin_ldexpl(x, e); }
    static inline int cy_exponent(long double x) { int e; __builtin_frexpl(x, &e); return e; }
    """
    long double scaled "cy_scaled"(long double, int) noexcept nogil     # x * 2**e
    int exponent "cy_exponent"(long double) noexcept nogil              # of the least power of two that is above |x|

cdef enum:
    DIGITS = 30                         # bits of whole numbers whose factors are looked for exactly


ctypedef fused real:
    float
    double


ctypedef fused whole_number:
    uint32_t
    uint64_t


cdef struct Shape:
    Py_ssize_t[3] taps                  # along z, y, x
    int last                            # the axis whose factor has the kernel's scale
    bint plain                          # whether only one axis has more than one tap: then its factor is the kernel itself


cdef inline void shape_of(tuple kernel, Shape* s):
    cdef int a, long_axes = 0
    s.last = 2
    for a in range(3):
        s.taps[a] = kernel[a]
        if s.taps[a] > 1:
            s.last = a
            long_axes += 1
    s.plain = long_axes < 2


cdef inline long double sum_of_last(const Shape* s, const real* to) noexcept nogil:
    """Moduli of the last factor, added."""
    cdef long double moduli = 0
    cdef Py_ssize_t i, first = s.taps[0] + s.taps[1] if s.last == 2 else s.taps[0]
    for i in range(s.taps[s.last]):
        moduli += fabsl(to[first + i])
    return moduli


cdef inline bint rescaled(const Shape* s, const int64_t* whole, int shift, double least, real* to) noexcept nogil:
    """Whole factors of weights * 2**shift as factors of the weights; False if these are no numbers of this precision."""
    cdef int axis, power, last_power = -shift
    cdef Py_ssize_t i, first = 0, last_first = 0
    cdef long double moduli, down, up
    for axis in range(3):
        if axis == s.last:
            last_first = first
        elif s.taps[axis] == 1:
            to[first] = 1
        else:
            moduli = 0
            for i in range(s.taps[axis]):
                moduli += fabsl(<long double> whole[first + i])
            power = exponent(moduli) + 1
            last_power += power
            down, up = scaled(1, -power), scaled(1, power)
            for i in range(s.taps[axis]):
                to[first + i] = <real> (whole[first + i] * down)
                if to[first + i] * up != whole[first + i]:
                    return False
        first += s.taps[axis]
    up, down = scaled(1, last_power), scaled(1, -last_power)
    for i in range(s.taps[s.last]):
        to[last_first + i] = <real> (whole[last_first + i] * up)
        if to[last_first + i] * down != whole[last_first + i] or (whole[last_first + i] and fabsl(to[last_first + i]) < least):
            return False
    return True


cdef inline bint factor_real(const Shape* s, const real* w, double eps, double least, double tolerance, long double* sums, int64_t* digits, real* to) noexcept nogil:
    """Factors of one kernel, [z, y, x]; False if it is no outer product.

    Weights that are small whole numbers, but for a power of two, have factors that are such, and so their sums stay exact. Other
    factors are sums of the kernel over the other axes, terms given the sign that they have beside the largest weight, so
    that nothing cancels and the roundings of weights average out. They are accepted if every weight is the product of the
    rounded factors within `tolerance` * eps of its own size: zeros exactly. Factors but the last are scaled by a power of two
    until their moduli sum to 1/2 at most: no sum of the first passes overflows where the input is finite. Infinities and
    NaNs spread as in the direct sum, for 0 * inf is a NaN in every pass and a product of factors is 0 only where the weight is.
    """
    cdef Py_ssize_t kz = s.taps[0], ky = s.taps[1], kx = s.taps[2], i, j, k, n = kz * ky * kx, at = 0, a, first
    cdef real largest = 0, size, v
    cdef long double* along_z = sums
    cdef long double* along_y = sums + kz
    cdef long double* along_x = sums + kz + ky
    cdef long double total = 0, weight, scale, power, moduli, allowed = <long double> eps * tolerance
    cdef int shift, shifts = 0, axis
    if s.plain:
        for i in range(kz + ky + kx):
            to[i] = 1
        first = 0
        for axis in range(s.last):
            first += s.taps[axis]
        for i in range(n):
            to[first + i] = w[i]
        return True
    for i in range(n):
        v = w[i]
        size = -v if v < 0 else v
        if not size - size == 0:        # an infinity or a NaN
            return False
        if size > largest:
            largest, at = size, i
    if largest == 0:
        for i in range(kz + ky + kx):
            to[i] = 0
        return True
    cdef Py_ssize_t i0 = at // (ky * kx), j0 = at // kx % ky, k0 = at % kx
    # most kernels that are no products show it in their first row
    if kx > 1 and n > kx:
        a = 0 if at >= kx else kx       # the first weight of a row that the largest is not in
        for k in range(min(kx, <Py_ssize_t> 4)):
            weight = <long double> w[a + k0] * w[at - k0 + k] - <long double> w[a + k] * w[at]
            if fabsl(weight) > 1e-3 * fabsl(<long double> w[a + k] * w[at]):
                return False
    shift = DIGITS - exponent(largest)
    scale = scaled(1, shift)            # a product with a power of two is as exact as scaled(), and no call
    for i in range(n):
        weight = w[i] * scale
        digits[i] = <int64_t> weight
        if digits[i] != weight:
            break
    else:
        if factor_whole(s, digits, <uint64_t*> digits + n) and rescaled(s, digits + n, shift, least, to):
            return not sum_of_last(s, to) * eps > 1
    scale = 1
    for i in range(kz + ky + kx):
        sums[i] = 0
    for i in range(kz):
        for j in range(ky):
            for k in range(kx):
                weight = w[(i * ky + j) * kx + k]
                total += fabsl(weight)
                along_z[i] += -weight if w[(i0 * ky + j) * kx + k] < 0 else weight
                along_y[j] += -weight if w[(i * ky + j0) * kx + k] < 0 else weight
                along_x[k] += -weight if w[(i * ky + j) * kx + k0] < 0 else weight
    # weight = +- along_z * along_y * along_x / total**2; an axis of one tap has the sum `total`
    first = 0
    for axis in range(3):
        if axis != s.last:
            if s.taps[axis] == 1:
                to[first] = 1
            else:
                shift = exponent(total) + 2     # moduli that sum to about 1/4: rounding does not bring them to 1/2
                power = scaled(1, -shift)
                moduli = 0
                for i in range(s.taps[axis]):
                    to[first + i] = <real> (sums[first + i] * power)
                    moduli += fabsl(to[first + i])
                    if sums[first + i] != 0 and fabsl(to[first + i]) < least:
                        return False
                if moduli > 0.5:
                    return False        # no outer product: the sums would have added up to `total`
                shifts += shift
                scale = scale / total
        first += s.taps[axis]
    if w[at] < 0:
        scale = -scale
    first = s.taps[0] + s.taps[1] if s.last == 2 else s.taps[0]
    scale = scaled(scale, shifts)
    for i in range(s.taps[s.last]):
        to[first + i] = <real> (sums[first + i] * scale)
        if sums[first + i] != 0 and fabsl(to[first + i]) < least:
            return False
    if sum_of_last(s, to) * eps > 1:    # what the first passes lose below the least normal number must not grow to matter
        return False
    if s.last == 1:
        to[kz + ky] = 1
    for i in range(kz):
        for j in range(ky):
            scale = <long double> to[i] * to[kz + j]
            for k in range(kx):
                weight = w[(i * ky + j) * kx + k]
                if not fabsl(scale * to[kz + ky + k] - weight) <= allowed * fabsl(weight):
                    return False
    return True


cdef inline uint64_t divisor(uint64_t a, uint64_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a


cdef inline bint factor_whole(const Shape* s, const int64_t* w, whole_number* to) noexcept nogil:
    """Integer factors whose products are the weights modulo 2**64; False if there are none. All but the last have no common divisor."""
    cdef Py_ssize_t kz = s.taps[0], ky = s.taps[1], kx = s.taps[2], i, j, k, n = kz * ky * kx, at = 0, first = 0
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t[3] place
    cdef uint64_t common
    cdef int64_t v, product = 1
    cdef int axis
    if s.plain:
        for i in range(kz + ky + kx):
            to[i] = 1
        for axis in range(s.last):
            first += s.taps[axis]
        for i in range(n):
            to[first + i] = <whole_number> w[i]
        return True
    for i in range(n):
        if -w[i] == w[i] and w[i] != 0:
            return False                # -2**63 has no modulus
        if w[i] != 0 and w[at] == 0:
            at = i
    step[0], step[1], step[2] = ky * kx, kx, 1
    place[0], place[1], place[2] = at // (ky * kx), at // kx % ky, at % kx
    for axis in range(3):
        if axis != s.last:
            common = 0
            for i in range(s.taps[axis]):
                v = w[at + (i - place[axis]) * step[axis]]
                common = divisor(common, <uint64_t> (-v if v < 0 else v))
            if common == 0 or s.taps[axis] == 1:
                for i in range(s.taps[axis]):
                    to[first + i] = 1
            else:
                for i in range(s.taps[axis]):
                    to[first + i] = <whole_number> (w[at + (i - place[axis]) * step[axis]] // <int64_t> common)
                product = <int64_t> (<uint64_t> product * <uint64_t> (w[at] // <int64_t> common))
        first += s.taps[axis]
    if product == 0:
        return False
    first = 0 if s.last == 0 else s.taps[0] if s.last == 1 else s.taps[0] + s.taps[1]
    for i in range(s.taps[s.last]):
        v = w[at + (i - place[s.last]) * step[s.last]]
        if v % product != 0:
            return False
        to[first + i] = <whole_number> (v // product)
    for i in range(kz):
        for j in range(ky):
            for k in range(kx):
                if to[i] * to[kz + j] * to[kz + ky + k] != <whole_number> w[(i * ky + j) * kx + k]:
                    return False
    return True


cdef inline bint factor(const Blocks* b, const Shape* s, const char* w, double tolerance, long double* sums, int64_t* digits, char* to) noexcept nogil:
    if b.kind == SINGLE or b.kind == HALF:
        return factor_real(s, <const float*> w, 2.0**-23, 2.0**-126, tolerance, sums, digits, <float*> to)
    if b.kind == DOUBLE:
        return factor_real(s, <const double*> w, 2.0**-52, 2.0**-1022, tolerance, sums, digits, <double*> to)
    if b.kind == BITS64:
        return factor_whole(s, <const int64_t*> w, <uint64_t*> to)
    return factor_whole(s, <const int64_t*> w, <uint32_t*> to)

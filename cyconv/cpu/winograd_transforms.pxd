"""Winograd's transforms of one axis, on vectors: tiles of m outputs, of m + 2 points; m = 1 leaves the axis as it is.

    input_1d: y = B^T d        weight_1d: y = G g        output_1d: y = A^T x

Points are 0, 1, -1, infinity for m = 2; R, -R, S, -S, infinity for m = 3; 0, P, -P, Q, -Q, infinity for m = 4; 0, 1, -1, 2, -2,
1/2, -1/2, infinity for m = 6. R = 3/8, S = 41/32 and P = 21/32, Q = 49/32 have the least bound of errors, within half a percent,
and powers that are floats, so that B and A are exact.
With constant m all of them are a few dozen additions and multiplications without a branch. winograd.pyx has the formulas and
the source.
"""
from cyconv.cpu.shuffle cimport keep, lanes
from cyconv.cpu.simd cimport inlined, splat_d, splat_f, vd, vf

cdef extern from *:
    """
    #define CY_P (21.0 / 32)
    #define CY_Q (49.0 / 32)
    #define CY_R (3.0 / 8)
    #define CY_S (41.0 / 32)
    """
    double P "CY_P"
    double Q "CY_Q"
    double R "CY_R"
    double S "CY_S"


cdef inline lanes number(double x, const lanes* like) noexcept nogil:
    if lanes is vf:
        return splat_f(<float> x)
    else:
        return splat_d(x)


cdef inline inlined pair_of_points(const lanes* d, double p, double qq, lanes* y) noexcept nogil:
    """The rows of points p and -p, where the other ones are the roots of qq."""
    cdef lanes u = d[3] - number(qq, d) * d[1], v = number(p, d) * (d[2] - number(qq, d) * d[0])
    y[0] = u + v
    y[1] = u - v


cdef inline lanes last_point(const lanes* d, double sum, double product) noexcept nogil:
    """The row of infinity, given the sum and the product of the squares of two pairs of points."""
    return (d[4] - number(sum, d) * d[2]) + number(product, d) * d[0]


cdef inline inlined input_1d(const int m, const lanes* d, lanes* y) noexcept nogil:
    """y = B^T d"""
    cdef lanes u, v
    if m == 1:
        y[0] = d[0]
    elif m == 2:
        y[0] = d[2] - d[0]
        y[1] = d[1] + d[2]
        y[2] = d[2] - d[1]
        y[3] = d[3] - d[1]
    elif m == 3:
        pair_of_points(d, R, S * S, y)
        pair_of_points(d, S, R * R, y + 2)
        y[4] = last_point(d, R * R + S * S, R * R * S * S)
    elif m == 4:
        y[0] = last_point(d, P * P + Q * Q, P * P * Q * Q)          # 0 is like infinity, one number before
        pair_of_points(d + 1, P, Q * Q, y + 1)
        pair_of_points(d + 1, Q, P * P, y + 3)
        y[5] = last_point(d + 1, P * P + Q * Q, P * P * Q * Q)
    elif m == 6:
        y[0] = (d[0] - d[6]) + number(5.25, d) * (d[4] - d[2])
        u = (d[2] + d[6]) - number(4.25, d) * d[4]
        v = (d[1] + d[5]) - number(4.25, d) * d[3]
        y[1] = u + v
        y[2] = u - v
        u = (d[6] + number(0.25, d) * d[2]) - number(1.25, d) * d[4]
        v = (number(0.5, d) * d[1] + number(2, d) * d[5]) - number(2.5, d) * d[3]
        y[3] = u + v
        y[4] = u - v
        u = (d[6] + number(4, d) * d[2]) - number(5, d) * d[4]
        v = (number(2, d) * d[1] + number(0.5, d) * d[5]) - number(2.5, d) * d[3]
        y[5] = u + v
        y[6] = u - v
        y[7] = (d[7] - d[1]) + number(5.25, d) * (d[3] - d[5])


cdef inline inlined output_1d(const int m, const lanes* x, lanes* y) noexcept nogil:
    """y = A^T x"""
    cdef lanes a, b, c, e, f, g
    if m == 1:
        y[0] = x[0]
    elif m == 2:
        y[0] = x[0] + (x[1] + x[2])
        y[1] = (x[1] - x[2]) + x[3]
    elif m == 3:
        a = x[0] + x[1]
        b = x[0] - x[1]
        c = x[2] + x[3]
        e = x[2] - x[3]
        y[0] = a + c
        y[1] = keep(number(R, x) * b) + number(S, x) * e            # kept, or else it is left open which product is rounded
        y[2] = (x[4] + number(R * R, x) * a) + number(S * S, x) * c
    elif m == 4:
        a = x[1] + x[2]
        b = x[1] - x[2]
        c = x[3] + x[4]
        e = x[3] - x[4]
        y[0] = (x[0] + a) + c
        y[1] = keep(number(P, x) * b) + number(Q, x) * e
        y[2] = keep(number(P * P, x) * a) + number(Q * Q, x) * c
        y[3] = (x[5] + number(P * P * P, x) * b) + number(Q * Q * Q, x) * e
    elif m == 6:
        a = x[1] + x[2]
        b = x[1] - x[2]
        c = x[3] + x[4]
        e = x[3] - x[4]
        f = x[5] + x[6]
        g = x[5] - x[6]
        y[0] = (x[0] + a) + (c + f)
        y[1] = (b + number(2, x) * e) + number(0.5, x) * g
        y[2] = (a + number(4, x) * c) + number(0.25, x) * f
        y[3] = (b + number(8, x) * e) + number(0.125, x) * g
        y[4] = (a + number(16, x) * c) + number(0.0625, x) * f
        y[5] = ((b + x[7]) + number(32, x) * e) + number(0.03125, x) * g


cdef inline inlined factorless(const lanes* g, lanes* y, lanes p, lanes pp, lanes q, lanes qq) noexcept nogil:
    """weight_1d(4, g, y) without its factors; p, q are P, Q in all lanes, pp and qq their squares."""
    cdef lanes s, t
    y[0] = g[0]
    s = g[0] + pp * g[2]
    t = p * g[1]
    y[1] = s + t
    y[2] = s - t
    s = g[0] + qq * g[2]
    t = q * g[1]
    y[3] = s + t
    y[4] = s - t
    y[5] = g[2]


cdef inline double factor(Py_ssize_t i) noexcept nogil:
    """Of row i of G, for m = 4."""
    if i == 0:
        return 1 / (P * P * Q * Q)
    elif i <= 2:
        return 0.5 / (P * P * (P * P - Q * Q))
    elif i <= 4:
        return 0.5 / (Q * Q * (Q * Q - P * P))
    return 1


cdef inline inlined weight_1d(const int m, const lanes* g, lanes* y) noexcept nogil:
    """y = G g"""
    cdef lanes s, t
    if m == 1:
        y[0] = g[0]
    elif m == 2:
        s = number(0.5, g) * (g[0] + g[2])
        t = number(0.5, g) * g[1]
        y[0] = -g[0]
        y[1] = s + t
        y[2] = s - t
        y[3] = g[2]
    elif m == 3:
        s = number(0.5 / (R * (R * R - S * S)), g) * (g[0] + number(R * R, g) * g[2])
        t = number(0.5 / (R * R - S * S), g) * g[1]
        y[0] = t + s
        y[1] = t - s
        s = number(0.5 / (S * (S * S - R * R)), g) * (g[0] + number(S * S, g) * g[2])
        t = number(0.5 / (S * S - R * R), g) * g[1]
        y[2] = t + s
        y[3] = t - s
        y[4] = g[2]
    elif m == 4:
        factorless(g, y, number(P, g), number(P * P, g), number(Q, g), number(Q * Q, g))
        y[0] = number(factor(0), g) * y[0]          # one by one: GCC unrolls a loop here too late
        y[1] = number(factor(1), g) * y[1]
        y[2] = number(factor(2), g) * y[2]
        y[3] = number(factor(3), g) * y[3]
        y[4] = number(factor(4), g) * y[4]
    elif m == 6:
        s = number(-2.0 / 9, g) * (g[0] + g[2])
        t = number(-2.0 / 9, g) * g[1]
        y[0] = g[0]
        y[1] = s + t
        y[2] = s - t
        s = number(1.0 / 90, g) * (g[0] + number(4, g) * g[2])
        t = number(1.0 / 45, g) * g[1]
        y[3] = s + t
        y[4] = s - t
        s = number(8.0 / 45, g) * (number(4, g) * g[0] + g[2])
        t = number(16.0 / 45, g) * g[1]
        y[5] = s + t
        y[6] = s - t
        y[7] = g[2]

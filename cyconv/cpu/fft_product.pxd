"""Products of spectra, summed over channels."""
from cyconv.cpu.fft_passes cimport butterfly_8
from cyconv.cpu.shuffle cimport keep, lanes
from cyconv.cpu.fft_work cimport Room, Work
from cyconv.cpu.simd cimport VB, inlined, splat

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_UNITS 3                /* 2 * 3 * 3 sums, 2 * 3 spectra of tiles and 2 of weights: 26 of 32 registers */
      #define CY_PIECE 3
    #else
      #define CY_UNITS 2                /* 2 * 2 * 2 sums, 2 * 2 spectra of tiles and 2 of weights: 14 of 16 registers */
      #define CY_PIECE 2
    #endif
    """
    enum:
        UNITS "CY_UNITS"                # pairs of tiles of a register tile
        PIECE "CY_PIECE"                # output channels of a register tile

cdef enum:
    MOST = 3                            # of UNITS and PIECE on any instruction set


cdef inline inlined product_tile(const int units, const int rows, const lanes* like, Py_ssize_t channels, const char* x, Py_ssize_t unit, Py_ssize_t channel,
                                 const char* weight, char* sums, Py_ssize_t sum_unit, Py_ssize_t sum_row) noexcept nogil:
    """A register tile of units x rows complex sums over channels; `units` and `rows` are constants once inlined. Steps are in bytes."""
    cdef lanes[MOST][MOST] re
    cdef lanes[MOST][MOST] im
    cdef lanes[MOST] xr
    cdef lanes[MOST] xi
    cdef lanes wr, wi
    cdef lanes* to
    cdef Py_ssize_t _c
    cdef int u, r
    cdef double zero = 0                # also a float's zero
    for u in range(units):
        for r in range(rows):
            re[u][r] = im[u][r] = splat(<const char*> &zero, like)
    for _c in range(channels):
        for u in range(units):
            xr[u] = (<const lanes*> (x + u * unit))[0]
            xi[u] = (<const lanes*> (x + u * unit + VB))[0]
        for r in range(rows):
            wr = (<const lanes*> (weight + 2 * r * VB))[0]
            wi = (<const lanes*> (weight + (2 * r + 1) * VB))[0]
            for u in range(units):
                re[u][r] = re[u][r] + wr * xr[u] - wi * xi[u]
                im[u][r] = im[u][r] + wr * xi[u] + wi * xr[u]
        x += channel
        weight += 2 * rows * VB
    for u in range(units):
        for r in range(rows):
            to = <lanes*> (sums + u * sum_unit + r * sum_row)
            to[0], to[1] = re[u][r], im[u][r]


cdef inline inlined product_rows(const int units, const lanes* like, const Work* w, const char* x, const char* weight, char* sums, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t unit = w.channels * w.tile.bytes, sum_unit = w.rows * w.tile.bytes
    if rows == 1:
        product_tile(units, 1, like, w.channels, x, unit, w.tile.bytes, weight, sums, sum_unit, w.tile.bytes)
    elif rows == 2:
        product_tile(units, 2, like, w.channels, x, unit, w.tile.bytes, weight, sums, sum_unit, w.tile.bytes)
    elif rows == 3 and PIECE >= 3:
        product_tile(units, 3, like, w.channels, x, unit, w.tile.bytes, weight, sums, sum_unit, w.tile.bytes)


cdef inline void product(const lanes* like, const Work* w, const char* x, const char* weight, char* sums, Py_ssize_t units, Py_ssize_t rows) noexcept nogil:
    if units == 1:
        product_rows(1, like, w, x, weight, sums, rows)
    elif units == 2:
        product_rows(2, like, w, x, weight, sums, rows)
    elif units == 3 and UNITS >= 3:
        product_rows(3, like, w, x, weight, sums, rows)


cdef inline void multiply_panel(const Work* w, const Room* r, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t units, const lanes* like) noexcept nogil:
    """All output channels of some pairs of tiles, at the frequencies of a panel."""
    cdef Py_ssize_t f, u, o, here, rows
    cdef const char* weight
    for f in range(panel * w.tile.rows, (panel + 1) * w.tile.rows):
        weight = w.weight + 2 * (group * w.blocks + f) * w.rows * w.channels * VB
        u = 0
        while u < units:
            here = min(<Py_ssize_t> UNITS, units - u)
            o = 0
            while o < w.rows:
                rows = min(<Py_ssize_t> PIECE, w.rows - o)
                product(like, w, r.spectra + u * w.channels * w.tile.bytes + 2 * f * VB, weight + 2 * o * w.channels * VB,
                        r.sums + (u * w.rows + o) * w.tile.bytes + 2 * f * VB, here, rows)
                o += rows
            u += here


cdef inline void multiply_few(const Work* w, const Room* r, Py_ssize_t group, Py_ssize_t o, Py_ssize_t panel, const lanes* like) noexcept nogil:
    """One output channel at the frequencies of a panel, and the first inverse pass, in registers. Rows in squares all end in a pass of 8."""
    cdef lanes[8] re
    cdef lanes[8] im
    cdef lanes* row
    cdef lanes xr, xi, wr, wi
    cdef Py_ssize_t f = panel * w.tile.rows, _f, c, step = 2 * w.channels * VB
    cdef const char* weight = w.weight + ((group * w.rows + o) * w.blocks + f) * step
    cdef const char* x = r.spectra + 2 * f * VB
    cdef char* to = r.sums + 2 * f * VB
    cdef int k
    cdef double zero = 0                # also a float's zero
    for _f in range(w.tile.rows // 8):
        for k in range(8):
            re[k] = im[k] = splat(<const char*> &zero, like)
        for c in range(w.channels):
            for k in range(8):
                row = <lanes*> (x + c * w.tile.bytes + 2 * k * VB)
                xr, xi = row[0], row[1]
                row = <lanes*> (weight + k * step + 2 * c * VB)
                wr, wi = row[0], row[1]
                re[k] = re[k] + wr * xr - wi * xi
                im[k] = im[k] + wr * xi + wi * xr
        butterfly_8(im, re)
        for k in range(8):
            row = <lanes*> (to + 2 * k * VB)
            row[0], row[1] = re[k], im[k]
        x += 16 * VB
        to += 16 * VB
        weight += 8 * step


cdef inline void multiply_through(const Work* w, char* panel, const char* weight, const lanes* like) noexcept nogil:
    """One channel to one: the last forward pass, the product and the first inverse pass, in registers. Rows in squares all end in a pass of 8."""
    cdef lanes[8] r
    cdef lanes[8] i
    cdef lanes* row
    cdef const lanes* by
    cdef lanes a, b
    cdef Py_ssize_t _f
    cdef int k
    for _f in range(w.tile.rows // 8):
        for k in range(8):
            row = <lanes*> (panel + 2 * k * VB)
            r[k], i[k] = keep(row[0]), keep(row[1])
        butterfly_8(r, i)
        for k in range(8):
            by = <const lanes*> (weight + 2 * k * VB)
            a, b = by[0], by[1]
            r[k], i[k] = a * r[k] - b * i[k], a * i[k] + b * r[k]
        butterfly_8(i, r)
        for k in range(8):
            row = <lanes*> (panel + 2 * k * VB)
            row[0], row[1] = r[k], i[k]
        panel += 16 * VB
        weight += 16 * VB

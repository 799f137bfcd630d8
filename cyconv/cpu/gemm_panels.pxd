"""Weights of implicit_gemm in panels: [group][panel][k][channel], as its register tiles read them.

A panel is two vectors of output channels, the last one a single vector where that is enough; or, where pixels stand on
the lanes, a piece of as many channels as a register tile has rows.
"""
from libc.string cimport memcpy, memset

from cyconv.cpu.gemm_work cimport Work
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, lanes
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.square cimport turn, turn_some
from cyconv.cpu.tile cimport LONE_TILE, TILE_ROWS, ceil_div, cut


cdef struct Panels:                     # how the weights of one group are packed
    Py_ssize_t count
    Py_ssize_t vectors                  # of a panel; the last one of a tile of two vectors may be single
    Py_ssize_t numbers                  # of a group


cdef inline Panels panels_of(const Work* w) noexcept nogil:
    cdef Panels p
    cdef Py_ssize_t lane = VB // w.blocks.size
    p.count = w.panels
    p.vectors = ceil_div(<Py_ssize_t> LONE_TILE if w.lone else <Py_ssize_t> TILE_ROWS, lane) if w.wide else 2
    p.numbers = (w.panels * p.vectors if w.wide else ceil_div(w.rows, lane)) * lane * w.blocks.products
    return p


cdef inline Py_ssize_t first_of(const Work* w, Py_ssize_t panel) noexcept nogil:
    """The first output channel of a panel."""
    return cut(w.rows, panel, w.panels) if w.wide else min(panel * 2 * VB // w.blocks.size, w.rows)


cdef inline Py_ssize_t row_of(Py_ssize_t k, Py_ssize_t taps, Py_ssize_t inner, Py_ssize_t hop) noexcept nogil:
    return k % taps // inner * hop + k // taps * inner + k % inner


cdef inline void pack(const lanes* like, const char* from_, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t products, int vectors,
                      Py_ssize_t taps, Py_ssize_t inner, char* panel) noexcept nogil:
    """panel[k][channel] = from_[channel][k], missing channels become zeros. Rows of from_ are `pitch` bytes apart; their products
    are [channel][tap], in panels [tap // inner][channel][tap % inner]."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t k, d, i, row, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8, hop = products // taps * inner
    cdef Py_ssize_t stay
    for d in range(vectors):
        k = 0
        while products >= side and k < products:
            k = min(k, products - side)
            if (d + 1) * side <= channels:
                turn(from_ + d * side * pitch + k * size, pitch, t)
            else:
                turn_some(from_ + d * side * pitch + k * size, pitch, channels - d * side, t)
            if taps == inner:
                for i in range(side):
                    (<lanes*> (panel + ((k + i) * vectors + d) * VB))[0] = t[i]
                k += side
                continue
            row = row_of(k, taps, inner, hop)
            stay = inner - k % inner
            for i in range(side):
                (<lanes*> (panel + (row * vectors + d) * VB))[0] = t[i]
                row += 1
                stay -= 1
                if stay == 0:
                    stay = inner
                    row += hop - inner
                    if row >= products:     # the next channel
                        row += inner - products
            k += side
        while k < products:             # fewer products than a square has
            row = row_of(k, taps, inner, hop)
            for i in range(side):
                if d * side + i < channels:
                    memcpy(panel + ((row * vectors + d) * side + i) * size, from_ + (d * side + i) * pitch + k * size, size)
                else:
                    memset(panel + ((row * vectors + d) * side + i) * size, 0, size)
            k += 1

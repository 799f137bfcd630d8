"""Weights of implicit_gemm in panels: [group][panel][k][channel], as its register tiles read them.

A panel is two vectors of output channels, the last one a single vector where that is enough; or, where pixels stand on
the lanes, a piece of as many channels as a register tile has rows.
"""
from libc.string cimport memcpy, memset

from cyconv.cpu.gemm_work cimport View, Work
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, lanes
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.square cimport turn, turn_some
from cyconv.cpu.tile cimport LONE_TILE, TILE_ROWS, ceil_div, cut


cdef enum:
    VIEW_AHEAD = 24                     # input channels between the one that is copied and the one that is asked for


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


cdef inline void pack_view(const lanes* like, const View* v, Py_ssize_t first, Py_ssize_t channels, Py_ssize_t k0, Py_ssize_t products,
                           int vectors, char* panel) noexcept nogil:
    """The same from weights that lie anyhow, as the flipped ones of a transposed convolution do: products k0 on, [channel][tap], of
    `channels` output channels from `first` on. A channel's taps are turned together, those that are asked for are kept."""
    cdef lanes[LANES_F] square, t
    cdef Py_ssize_t channel, d, i, k, begin, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8, rows
    cdef const char* from_
    for channel in range(k0 // v.taps, ceil_div(k0 + products, v.taps)):
        for d in range(vectors):
            rows = min(channels - d * side, side)
            if v.taps == 1 and v.row == size:       # output channels lie side by side
                from_ = v.weight + (first + d * side) * size + channel * v.channel
                fetch(from_ + VIEW_AHEAD * v.channel)       # on another page, where the processor expects nothing
                if rows == side:
                    t[0] = (<const lanes*> from_)[0]
                else:
                    memset(&t[0], 0, VB)
                    memcpy(&t[0], from_, max(rows, <Py_ssize_t> 0) * size)
                (<lanes*> (panel + ((channel - k0) * vectors + d) * VB))[0] = t[0]
                continue
            begin = 0
            while begin < v.span:
                from_ = v.weight + (first + d * side) * v.row + channel * v.channel + begin * size
                if rows == side and from_ + (side - 1) * v.row + side * size <= v.limit:
                    turn(from_, v.row, t)
                else:
                    memset(&square, 0, VB * side)
                    for i in range(rows):
                        memcpy(&square[i], from_ + i * v.row, min(side, v.span - begin) * size)
                    turn(<const char*> &square, VB, t)
                for i in range(v.taps):
                    k = channel * v.taps + i - k0
                    if 0 <= k < products and begin <= v.place[i] < begin + side:
                        (<lanes*> (panel + (k * vectors + d) * VB))[0] = t[v.place[i] - begin]
                begin += side

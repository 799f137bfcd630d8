"""Products of so few tiles that their U need not stand anywhere: each is made in registers and used there.

U is four times as large as the kernels, and writing and reading it takes longer than all that few tiles do with it. But six
frequencies of four tiles fit the registers as sums of one vector of output channels (or three, where there are 16 registers).
So for each row of frequencies, kernels that stand in a first-level cache are transformed as far as that row needs, and hardly
anything is computed twice.
"""
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, keep, lanes, unknown
from cyconv.cpu.simd cimport VB, inlined, splat, vf
from cyconv.cpu.tile cimport apart, ceil_div
from cyconv.cpu.winograd_transforms cimport P, Q, factor, factorless, number
from cyconv.cpu.winograd_weights cimport columns_to_lanes
from cyconv.cpu.winograd_work cimport FEW_PLANES, PANEL, Work


cdef struct Few:                        # one vector of output channels, some planes, and up to four tiles
    Py_ssize_t planes
    const char* kernels                 # [plane][tap][lane]
    const char* v                       # their V,
    Py_ssize_t pitch, v_step            # bytes from plane to plane, and from frequency to frequency
    bint begins                         # whether these planes are the first ones
    char* m
    Py_ssize_t m_step
    const char* next                    # kernels that are needed next: `asked` lines for each plane and row of frequencies,
    Py_ssize_t next_step, next_hop      # bytes from plane to plane, and from line to line


cdef inline void take_factors(const Work* w, const lanes* like, char* v) noexcept nogil:
    """Multiplies V by the factors that the weights go without: there are fewer tiles than output channels."""
    cdef Py_ssize_t f, q
    cdef lanes by
    cdef lanes* to
    for f in range(w.frequencies):
        by = number(factor(f // w.nx) * factor(f % w.nx), like)
        to = <lanes*> (v + f * w.v_step)
        for q in range(ceil_div(w.planes * w.pitch * w.b.size, VB)):
            to[q] = to[q] * by


cdef inline inlined row_of(const int tiles, const int row, const int begin, const int count, const int asked, const lanes* like,
                           const Few* few, Py_ssize_t once) noexcept nogil:
    """`count` frequencies of a row, from `begin` on. All but few and once are constants once inlined; `once` is 1."""
    cdef lanes[6][4] acc
    cdef lanes[3] column
    cdef lanes[3] g
    cdef lanes[6] y
    cdef lanes p, pp, q, qq
    cdef const lanes* kernel
    cdef const char* at
    cdef const char* next = few.next + row * asked * few.next_hop
    cdef char* m = few.m + (6 * row + begin) * few.m_step
    cdef Py_ssize_t k, _done, v_step = few.v_step
    cdef int i, j, t, size = 4 if lanes is vf else 8
    for _done in range(unknown(once)):  # see tile_of
        for j in range(count):
            for t in range(tiles):
                acc[j][t] = number(0, like) if few.begins else (<const lanes*> (m + j * few.m_step + t * PANEL))[0]
        for k in range(few.planes):
            kernel = <const lanes*> (few.kernels + 9 * VB * k)
            # kept, or else each column would load them
            p, pp, q, qq = keep(number(P, like)), keep(number(P * P, like)), keep(number(Q, like)), keep(number(Q * Q, like))
            for j in range(3):
                for i in range(3):
                    column[i] = kernel[3 * i + j]
                factorless(column, y, p, pp, q, qq)
                g[j] = y[row]
            factorless(g, y, p, pp, q, qq)
            for i in range(asked):
                fetch(next + i * few.next_hop)
            next += few.next_step
            at = few.v + (6 * row + begin) * v_step + k * few.pitch
            for j in range(count):
                for t in range(tiles):
                    acc[j][t] = acc[j][t] + splat(at + t * size, like) * y[begin + j]
                at = <const char*> unknown(<Py_ssize_t> (at + v_step))
        for j in range(count):
            for t in range(tiles):
                (<lanes*> (m + j * few.m_step + t * PANEL))[0] = acc[j][t]


cdef inline inlined whole_row(const int tiles, const int row, const lanes* like, const Few* few) noexcept nogil:
    if VB == 64:
        row_of(tiles, row, 0, 6, 3 if lanes is vf else 2, like, few, 1)
    else:
        row_of(tiles, row, 0, 3, 2 if lanes is vf else 1, like, few, 1)
        row_of(tiles, row, 3, 3, 0, like, few, 1)


cdef inline inlined all_rows(const int tiles, const lanes* like, const Few* few) noexcept nogil:
    whole_row(tiles, 0, like, few)
    whole_row(tiles, 1, like, few)
    whole_row(tiles, 2, like, few)
    whole_row(tiles, 3, like, few)
    whole_row(tiles, 4, like, few)
    whole_row(tiles, 5, like, few)


cdef inline apart one_tile(const lanes* like, const Few* few) noexcept nogil:
    all_rows(1, like, few)


cdef inline apart two_tiles(const lanes* like, const Few* few) noexcept nogil:
    all_rows(2, like, few)


cdef inline apart four_tiles(const lanes* like, const Few* few) noexcept nogil:
    all_rows(4, like, few)


cdef inline void multiply_few(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t tiles, const char* v,
                              char* room, char* m) noexcept nogil:
    """M of one panel and a block of few tiles. room: for the kernels of FEW_PLANES planes and one vector of output channels."""
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side, pitch = w.planes * w.taps * size
    cdef Py_ssize_t vector, first, rows, k, q, t, columns
    cdef const char* plain
    cdef Few few
    few.pitch, few.v_step, few.m_step = w.pitch * size, w.v_step, w.m_step
    few.next_step = w.taps * (VB if w.packed else size)
    few.next_hop = 64 if w.packed else pitch
    for vector in range(2 * panel, 2 * panel + 2):
        first = vector * side
        rows = min(max(w.rows - first, 0), side)
        k = 0
        while k < w.planes:
            few.planes = min(w.planes - k, <Py_ssize_t> FEW_PLANES)
            if w.packed:
                few.kernels = w.weight + ((group * w.panels * 2 + vector) * w.planes + k) * w.taps * VB
                few.next = few.kernels + few.planes * w.taps * VB
            else:
                few.kernels = room
                plain = w.weight + (group * w.rows + first) * pitch + k * w.taps * size
                few.next = plain + few.planes * w.taps * size if k + few.planes < w.planes else plain + side * pitch - k * w.taps * size
                columns = few.planes * w.taps
                q = 0
                while q < columns:
                    columns_to_lanes(like, plain + q * size, pitch, rows, columns - q, <lanes*> room + q)
                    q += side
            few.begins = k == 0
            t = 0
            while t < tiles:
                few.v = v + k * few.pitch + t * size
                few.m = m + (vector & 1) * VB + t * PANEL
                if tiles - t == 1:
                    one_tile(like, &few)
                elif tiles - t == 2:
                    two_tiles(like, &few)
                else:
                    four_tiles(like, &few)
                t += 4
            k += few.planes

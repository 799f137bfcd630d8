"""From M to the output: sums of a run of tiles, channels on the lanes, then squares of them turned into rows of planes.

Lines of the output are asked for while products are still computed (`own_places`), or written past the caches where they
are so many that no cache would keep them.
"""
from cyconv.cpu.blocks cimport gcd
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.packing cimport put_stored
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, drain, fetch, lanes, own, put_some, stream
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.square cimport turn, turn_some
from cyconv.cpu.tile cimport ceil_div, cut
from cyconv.cpu.winograd_transforms cimport number, output_1d
from cyconv.cpu.winograd_work cimport CHUNK, LARGEST, MOST, PANEL, Segment, Work, segment_of
from libc.string cimport memcpy


cdef inline void own_places(const Work* w, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, Py_ssize_t part,
                     Py_ssize_t parts) noexcept nogil:
    """Asks for part of the lines that this panel's outputs will be written to, while there is still something to compute."""
    cdef Py_ssize_t q, d, i, size = w.b.size, lane = VB // size, area = w.out[0] * w.out[1] * w.out[2]
    cdef Py_ssize_t row = group * w.rows + panel * 2 * lane
    cdef Py_ssize_t channels = min(w.rows - panel * 2 * lane, 2 * lane), total = (last - first) * channels
    cdef Segment g
    cdef const char* to
    part, parts = cut(total, part, parts), cut(total, part + 1, parts)
    while part < parts:
        g = segment_of(w, first + part // channels)
        d = part % channels
        for i in range(g.rows):
            to = w.out_data + ((g.n * w.groups * w.rows + row + d) * area + g.z * w.out_step[0] + (g.y + w.dy * i) * w.out_step[1] + g.x) * size
            for q in range(0, g.columns * size + 63, 64):
                own(to + q)
        part += 1


cdef inline inlined tile_out(const int my, const int mx, const lanes* like, const char* m, Py_ssize_t step, const char* bias,
                             char* to, Py_ssize_t row_step, Py_ssize_t hop, Py_ssize_t rows, Py_ssize_t columns, lanes* spoiled) noexcept nogil:
    """One tile, one vector of channels: M of all frequencies becomes rows x columns sums, `hop` bytes between columns. `spoiled` stays
    0 while they are finite, and becomes NaN if not: a product with 0 is added."""
    cdef lanes[MOST] x
    cdef lanes[MOST][LARGEST] t
    cdef lanes[LARGEST] y
    cdef lanes b = (<const lanes*> bias)[0], bad = spoiled[0]
    cdef int i, j
    cdef int nx = 1 if mx == 1 else mx + 2, ny = 1 if my == 1 else my + 2
    for j in range(nx):
        for i in range(ny):
            x[i] = (<const lanes*> (m + (i * nx + j) * step))[0]
        output_1d(my, x, t[j])
    for i in range(my):
        if i < rows:
            for j in range(nx):
                x[j] = t[j][i]
            output_1d(mx, x, y)
            if columns >= mx:
                for j in range(mx):
                    y[j] = y[j] + b
                    bad = bad + y[j] * number(0, like)
                    (<lanes*> (to + i * row_step + j * hop))[0] = y[j]
            else:
                for j in range(columns):
                    bad = bad + (y[j] + b) * number(0, like)
                    (<lanes*> (to + i * row_step + j * hop))[0] = y[j] + b
    spoiled[0] = bad


cdef inline inlined tiles_out(const int my, const int mx, const lanes* like, const char* m, Py_ssize_t step, const char* bias,
                              char* to, Py_ssize_t dx, Segment* g, char* spoiled) noexcept nogil:
    """All tiles of a segment, strip by strip; `spoiled` becomes 1 if a sum is not finite."""
    cdef Py_ssize_t t, x, p, count
    cdef char* at
    cdef lanes[2] bad
    bad[0] = bad[1] = number(0, like)
    for t in range(ceil_div(g.columns, mx * dx)):
        x = t * mx * dx
        for p in range(min(g.columns - x, dx)):
            count = mx if x + mx * dx <= g.columns else ceil_div(g.columns - x - p, dx)
            at = to + (x + p) * PANEL
            tile_out(my, mx, like, m, step, bias, at, g.columns * PANEL, dx * PANEL, g.rows, count, &bad[0])
            tile_out(my, mx, like, m + VB, step, bias + VB, at + VB, g.columns * PANEL, dx * PANEL, g.rows, count, &bad[1])
            m += PANEL
    if not all_finite(<const char*> &bad, 2 * VB // sizeof(float) if lanes is vf else 2 * VB // sizeof(double), 4 if lanes is vf else 8):
        spoiled[0] = 1


cdef inline void load_pixels(const char* src, Py_ssize_t pixels, lanes* t) noexcept nogil:
    """One vector of channels of at most as many pixels as a vector has lanes, turned: pixels on the lanes."""
    cdef Py_ssize_t i, side = LANES_F if lanes is vf else LANES_D
    if pixels >= side:
        for i in range(side):
            fetch(src + (side + i) * PANEL)
        turn(src, PANEL, t)
    else:
        turn_some(src, PANEL, pixels, t)


cdef inline void put_planes(const lanes* like, const char* sums, Py_ssize_t pixels, Py_ssize_t channels, char* out,
                            Py_ssize_t plane, bint past) noexcept nogil:
    """out[d * plane + p] = sums[p][d] for p < pixels and d < channels; plane in bytes. Whole lines of the cache are written
    at once where planes allow that; if `past`, past the caches, and then nothing else is written to such lines."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t square, p, d, i, count, step, side = LANES_F if lanes is vf else LANES_D, size = VB // side, head = 0
    cdef char* to
    if plane % VB == 0 and <size_t> out % size == 0 and pixels > side:
        head = (VB - <Py_ssize_t> (<size_t> out % VB)) % VB // size
    else:
        past = False
    for square in range(ceil_div(channels, side)):      # few planes at a time: a processor knows where few pages are
        d = square * side
        p = 0
        while p < pixels:
            step = count = min(side, pixels - p)
            if p == 0 and head:
                step = head
                if past:
                    count = head
            elif not past and count < side <= pixels:
                p = pixels - side               # some pixels twice rather than one by one
                step = count = side
            to = out + d * plane + p * size
            load_pixels(sums + p * PANEL + d * size, count, t)
            if count < side:
                for i in range(min(side, channels - d)):
                    put_some(to, t[i], 0, count)
                    to += plane
            elif d + side > channels:
                for i in range(channels - d):
                    (<lanes*> to)[0] = t[i]
                    to += plane
            elif past:
                for i in range(side):
                    stream(to, (<vf*> &t[i])[0])
                    to += plane
            else:
                for i in range(side):
                    (<lanes*> to)[0] = t[i]
                    to += plane
            p += step


cdef inline void write_segment(const Work* w, const lanes* like, Segment* g, Py_ssize_t group, Py_ssize_t panel, const char* sums,
                        char* put) noexcept nogil:
    """The sums of one segment to their places in the output."""
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t area = w.out[0] * w.out[1] * w.out[2], first = panel * 2 * side, channels = min(w.rows - first, 2 * side)
    cdef Py_ssize_t i, d, row = (g.n * w.groups + group) * w.rows + first, place = g.z * w.out_step[0] + g.x
    cdef char* to
    if w.whole and g.columns == w.out[2]:
        put_planes(like, sums, g.rows * g.columns, channels, w.out_data + (row * area + place + g.y * w.out_step[1]) * size, area * size, w.past)
        return
    if w.straight:
        for i in range(g.rows):
            put_planes(like, sums + i * g.columns * PANEL, g.columns, channels,
                       w.out_data + (row * area + place + (g.y + w.dy * i) * w.out_step[1]) * size, area * size, w.past)
        return
    put_planes(like, sums, g.rows * g.columns, channels, put, g.rows * g.columns * size, False)
    for d in range(channels):
        to = w.out_data + ((row + d) // w.b.parts * area * w.b.parts + (row + d) % w.b.parts) * w.b.stored_size
        for i in range(g.rows):
            put_stored(w.b.kind, put + (d * g.rows + i) * g.columns * size,
                       to + (place + (g.y + w.dy * i) * w.out_step[1]) * w.b.parts * w.b.stored_size, w.b.parts, g.columns)


cdef inline Py_ssize_t ahead_of_line(const Work* w, const Segment* g, Py_ssize_t group, Py_ssize_t panel) noexcept nogil:
    """Tiles of a segment before the first one whose outputs begin a line of the cache."""
    cdef Py_ssize_t area = w.out[0] * w.out[1] * w.out[2], lane = VB // w.b.size
    cdef Py_ssize_t row = (g.n * w.groups + group) * w.rows + panel * 2 * lane
    cdef size_t at = <size_t> (w.out_data + (row * area + g.z * w.out_step[0] + g.y * w.out_step[1] + g.x) * w.b.size)
    return (VB - <Py_ssize_t> (at % VB)) % VB // (w.mx * w.b.size)


cdef inline void transform_output(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last,
                           const char* m, char* sums, char* put) noexcept nogil:
    cdef Py_ssize_t s, t, part, parts, next, before, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t line = side // gcd(side, w.mx)                  # tiles whose outputs fill lines of the cache
    cdef Segment g, chunk
    cdef lanes[2] bias
    bias[0] = bias[1] = number(0, like)
    memcpy(&bias, w.bias + (group * w.rows + panel * 2 * side) * size, min(w.rows - panel * 2 * side, 2 * side) * size)
    for s in range(first, last):
        g = segment_of(w, s)
        parts = max(g.tiles // CHUNK, <Py_ssize_t> 1) if w.straight and w.dx == 1 and g.columns >= 4 * side else 1
        chunk = g
        before = ahead_of_line(w, &g, group, panel) if w.past else 0
        next = 0
        for part in range(parts):
            t = next
            next = cut(g.tiles, part + 1, parts)
            if w.past and part < parts - 1 and next > before:   # where a line begins
                next -= (next - before) % line
            chunk.tiles = next - t
            chunk.x = g.x + t * w.mx
            chunk.columns = min(chunk.tiles * w.mx, g.columns - t * w.mx)
            some_tiles_out(w, like, m, <const char*> &bias, sums, &chunk)
            write_segment(w, like, &chunk, group, panel, sums, put)
            m += chunk.tiles * PANEL
    if w.past:
        drain()


cdef inline void some_tiles_out(const Work* w, const lanes* like, const char* m, const char* bias, char* sums, Segment* g) noexcept nogil:
    if w.my == 4 and w.mx == 4:
        tiles_out(4, 4, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 3 and w.mx == 3:
        tiles_out(3, 3, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 2 and w.mx == 2:
        tiles_out(2, 2, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 2 and w.mx == 4:
        tiles_out(2, 4, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 4 and w.mx == 2:
        tiles_out(4, 2, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 1 and w.mx == 2:
        tiles_out(1, 2, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 1 and w.mx == 3:
        tiles_out(1, 3, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 1 and w.mx == 4:
        tiles_out(1, 4, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 2 and w.mx == 1:
        tiles_out(2, 1, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 3 and w.mx == 1:
        tiles_out(3, 1, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 4 and w.mx == 1:
        tiles_out(4, 1, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 1 and w.mx == 6:
        tiles_out(1, 6, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)
    elif w.my == 6 and w.mx == 1:
        tiles_out(6, 1, like, m, w.m_step, bias, sums, w.dx, g, w.spoiled)

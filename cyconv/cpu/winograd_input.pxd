"""From the input to V, a plane at a time: the rows of all segments of a block, side by side.

Along y whole rows are combined: contiguous ones where they lie, others are gathered first. Along x, shuffles (`even`, `odd`,
`third`) bring the columns of as many tiles as a vector has lanes to the same place. Between two segments stands a slot that is
no tile; `pick` closes the gaps. Where x is dilated, neighbours already belong to one tile after the other (`across_of`).
"""
from cyconv.cpu.packing cimport DOUBLE, SINGLE, gather_row, half, source
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, beginning, even, fetch, keep, lanes, odd, pick, put_some, shift_in, third
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.square cimport turn
from cyconv.cpu.tile cimport ceil_div
from cyconv.cpu.winograd_transforms cimport input_1d
from cyconv.cpu.winograd_work cimport MOST, Segment, Work, numbers_of, segment_of
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset


cdef inline Py_ssize_t fill_index(const Work* w, Py_ssize_t first, Py_ssize_t last, char* index, Segment* list) noexcept nogil:
    """Lists the segments of a block, and for each vector of slots: which of its lanes are tiles (one vector), and the first
    one's number (64 bytes on); there are none if x is dilated. Returns the number of tiles."""
    cdef Py_ssize_t s, slot = 0, tiles = 0, t, lane = VB // w.b.size, filled = 0, at, columns, rows, line = 0
    cdef Segment* g
    for s in range(last - first):
        list[s] = segment_of(w, first + s)
        g = list + s
        g.line = line * w.b.size
        at = g.x - w.pad[2]             # used for contiguous rows alone, and padding of zeros
        columns = g.columns + (w.nx - w.mx) * w.dx
        g.begin = min(max(-at, 0), columns)
        g.count = max(min(columns, w.n[2] - at), g.begin) - g.begin
        g.src = w.input + g.n * w.input_step[0] + (at + g.begin) * w.b.size
        g.begin, g.count = g.begin * w.b.size, g.count * w.b.size
        g.row = g.y * (1 if w.ny > 1 else w.stride[1]) - w.pad[1]
        rows = g.rows + w.ny - w.my
        g.first, g.last = 0, rows
        if w.ny > 1:
            g.first = min(ceil_div(max(-g.row, 0), w.dilation[1]), rows)
            g.last = max(min(rows, ceil_div(max(w.n[1] - g.row, 0), w.dilation[1])), g.first)
        if w.dx > 1:
            line += numbers_of(w, g.columns)
            tiles += g.tiles
            continue
        line += (g.tiles + (w.mx > 1)) * w.mx
        for t in range(g.tiles + (w.mx > 1)):
            if slot % lane == 0:
                memset(index, 0, VB)
                (<Py_ssize_t*> (index + VB))[0] = tiles
                filled = 0
            if t < g.tiles:
                if w.b.size == 4:
                    (<int32_t*> index)[filled] = <int32_t> (slot % lane)
                else:
                    (<int64_t*> index)[filled] = slot % lane
                filled += 1
                tiles += 1
            slot += 1
            if slot % lane == 0:
                index += VB + 64
    return tiles


cdef inline void copy(const char* src, char* to, Py_ssize_t count, Py_ssize_t next) noexcept nogil:
    """memcpy without a call, and with stores of whole vectors, so that aligned loads soon after need not wait for two of
    them. What lies `next` bytes on is asked for: too short a run for the hardware to foresee."""
    cdef Py_ssize_t q
    if count < VB:
        memcpy(to, src, count)
        fetch(src + next)
        return
    (<vf*> to)[0] = (<const vf*> src)[0]
    (<vf*> (to + count - VB))[0] = (<const vf*> (src + count - VB))[0]
    fetch(src + next)
    q = VB - <Py_ssize_t> (<size_t> to % VB)
    while q + VB <= count:
        fetch(src + next + q)
        (<vf*> (to + q))[0] = (<const vf*> (src + q))[0]
        q += VB
    fetch(src + next + count)


cdef inline const char* first_row(const Work* w, const Segment* g, Py_ssize_t k, Py_ssize_t plane) noexcept nogil:
    """Where the first of the contiguous rows lies that a segment reads of plane k, were it not padding; NULL if all are."""
    cdef Py_ssize_t jy = k % w.kernel[1], jz = k // w.kernel[1] % w.kernel[0]
    cdef Py_ssize_t uz = g.z * w.stride[0] + jz * w.dilation[0] - w.pad[0], uy = g.row + jy * w.dilation[1]
    if not 0 <= uz < w.n[0] or w.ny == 1 and not 0 <= uy < w.n[1]:
        return NULL
    return g.src + plane + uz * w.step[0] + uy * w.step[1]


cdef inline void gather_near(const Work* w, const Segment* g, Py_ssize_t k, Py_ssize_t plane, char* to) noexcept nogil:
    """The one row of plane k that a segment reads; padding stands there as zeros from the beginning."""
    cdef const char* src = first_row(w, g, k, plane)
    to += g.line + g.begin
    if src == NULL:
        memset(to, 0, g.count)
    else:
        copy(src, to, g.count, w.next)


cdef inline void gather(const Work* w, const Segment* g, Py_ssize_t k, const char* input, char* to) noexcept nogil:
    """The rows of plane k that a segment reads."""
    cdef Py_ssize_t i, c, jz, jy, uz, uy, columns, rows, first, run
    cdef const char* src
    cdef char* row
    jy = k % w.kernel[1]
    jz = k // w.kernel[1] % w.kernel[0]
    c = k // (w.kernel[1] * w.kernel[0])
    uz = source(g.z * w.stride[0] + jz * w.dilation[0] - w.pad[0], w.n[0], w.mode)
    columns = g.columns + (w.nx - w.mx) * w.dx
    run = numbers_of(w, g.columns)
    rows = g.rows + w.ny - w.my
    first = g.x * w.x.stride - w.pad[2]
    src = input + g.n * w.input_step[0] + c // w.b.parts * w.input_step[2] + c % w.b.parts * w.b.stored_size
    for i in range(w.ny):
        row = to + i * w.line
        uy = -1
        if i < rows and uz >= 0:
            if w.ny > 1:
                uy = source(g.y + i * w.dilation[1] - w.pad[1], w.n[1], w.mode)
            else:
                uy = source(g.y * w.stride[1] + jy * w.dilation[1] - w.pad[1], w.n[1], w.mode)
        if uy < 0:
            memset(row, 0, run * w.b.size)
            continue
        if w.b.kind == SINGLE:
            gather_row[float, float](src + uz * w.step[0] + uy * w.step[1], w.step[2], &w.x, first, columns, w.mode, NULL, <float*> row)
        elif w.b.kind == DOUBLE:
            gather_row[double, double](src + uz * w.step[0] + uy * w.step[1], w.step[2], &w.x, first, columns, w.mode, NULL, <double*> row)
        else:
            gather_row[half, float](src + uz * w.step[0] + uy * w.step[1], w.step[2], &w.x, first, columns, w.mode, NULL, <float*> row)
        if columns < run:
            memset(row + columns * w.b.size, 0, (run - columns) * w.b.size)


cdef inline inlined down_of(const int m, const lanes* like, const char* lines, char* to, Py_ssize_t line, Py_ssize_t vectors) noexcept nogil:
    """The transform along y: whole rows, no shuffles."""
    cdef lanes[MOST] d
    cdef lanes[MOST] e
    cdef Py_ssize_t v
    cdef int i
    for v in range(vectors):
        for i in range(m + 2):
            d[i] = keep((<const lanes*> (lines + i * line + v * VB))[0])
        input_1d(m, d, e)
        for i in range(m + 2):
            (<lanes*> (to + i * line + v * VB))[0] = e[i]


cdef inline inlined down_near(const int m, const lanes* like, const Work* w, const Segment* g, const char* src, const char* zeros,
                              char* to) noexcept nogil:
    """The transform along y of the contiguous rows of one segment, where they lie; `src` as first_row returns it."""
    cdef lanes[MOST] d
    cdef lanes[MOST] e
    cdef const char* row[MOST]
    cdef Py_ssize_t q = 0, count = g.count
    cdef int i, size = 4 if lanes is vf else 8
    for i in range(m + 2):
        row[i] = src + i * w.dilation[1] * w.step[1] if src != NULL and g.first <= i < g.last else zeros
    to += g.line + g.begin
    if count < VB:
        for i in range(m + 2):
            d[i] = beginning(row[i], count // size, like)
            fetch(row[i] + w.next)
        input_1d(m, d, e)
        for i in range(m + 2):
            put_some(to + i * w.line, e[i], 0, count // size)
        return
    while True:                         # stores of whole lines, so that aligned loads soon after need not wait for two of them
        for i in range(m + 2):
            d[i] = keep((<const lanes*> (row[i] + q))[0])       # or else GCC loads it once for each sum: across lines, twice the time
            fetch(row[i] + q + w.next)              # too short a run for the hardware to foresee
        input_1d(m, d, e)
        for i in range(m + 2):
            (<lanes*> (to + i * w.line + q))[0] = e[i]
        if q == count - VB:
            break
        q = min(q + VB - <Py_ssize_t> (<size_t> (to + q) % VB), count - VB)


cdef inline inlined along_of(const int m, const bint gaps, const bint last, const lanes* like, const char* row, Py_ssize_t vectors,
                             const char* index, Py_ssize_t pitch, char* to, Py_ssize_t v_step) noexcept nogil:
    """The transform along x of one row of slots, its gaps closed. Each load reads just what one store wrote: one across
    two recent stores would wait for both. Whole vectors are stored: what is too much, the next vector or plane overwrites,
    unless this is the `last` plane."""
    cdef lanes[MOST] d
    cdef lanes[MOST] e
    cdef lanes t0, t1, t2, t3, order
    cdef const lanes* h
    cdef Py_ssize_t v, at
    cdef char* p
    cdef int j, side = LANES_F if lanes is vf else LANES_D, size = VB // side, points = 1 if m == 1 else m + 2
    for v in range(vectors):
        h = <const lanes*> (row + v * m * VB)
        if m == 1:
            d[0] = h[0]
        elif m == 2:
            d[0] = even(h[0], h[1])
            d[1] = odd(h[0], h[1])
            d[2] = shift_in(d[0], h[2])
            d[3] = shift_in(d[1], odd(h[2], h[2]))
        elif m == 3:
            for j in range(3):
                d[j] = third(h[0], h[1], h[2], j)
            d[3] = shift_in(d[0], h[3])
            d[4] = shift_in(d[1], odd(h[3], h[3]))
        elif m == 4 and VB == 32 and lanes is vf:
            turn(<const char*> h, 16, d)        # tiles overlap as rows of a square: columns 4 and 5 are the next tile's first two
        elif m == 4:
            t0 = even(h[0], h[1])
            t1 = odd(h[0], h[1])
            t2 = even(h[2], h[3])
            t3 = odd(h[2], h[3])
            d[0] = even(t0, t2)         # columns 4t, 4t+1, 4t+2, 4t+3 of the tiles
            d[1] = even(t1, t3)
            d[2] = odd(t0, t2)
            d[3] = odd(t1, t3)
            d[4] = shift_in(d[0], h[4])                 # columns 4t+4, 4t+5: the next tile's first two
            d[5] = shift_in(d[1], odd(h[4], h[4]))
        elif m == 6:
            t0, t1, t2 = even(h[0], h[1]), even(h[2], h[3]), even(h[4], h[5])
            for j in range(3):
                d[2 * j] = third(t0, t1, t2, j)
            t0, t1, t2 = odd(h[0], h[1]), odd(h[2], h[3]), odd(h[4], h[5])
            for j in range(3):
                d[2 * j + 1] = third(t0, t1, t2, j)
            d[6] = shift_in(d[0], h[6])
            d[7] = shift_in(d[1], odd(h[6], h[6]))
        input_1d(m, d, e)
        order = (<const lanes*> index)[0]
        at = (<const Py_ssize_t*> (index + VB))[0]
        p = to + at * size
        if last and pitch - at < side:
            for j in range(points):
                t0 = pick(e[j], <const char*> &order) if gaps else e[j]
                put_some(p + j * v_step, t0, 0, pitch - at)
        else:
            for j in range(points):
                t0 = pick(e[j], <const char*> &order) if gaps else e[j]
                (<lanes*> (p + j * v_step))[0] = t0
        index += VB + 64


cdef inline inlined across_of(const int m, const bint last, const lanes* like, const Work* w, const Segment* list, Py_ssize_t segments,
                              const char* row, char* to) noexcept nogil:
    """The transform along x of one row of all segments, where tiles are interleaved: neighbouring lanes from neighbouring numbers.
    What is stored too much, the next vector or plane overwrites, unless this is the `last` plane."""
    cdef lanes[MOST] d
    cdef lanes[MOST] e
    cdef Py_ssize_t s, t, p, x, tiles, at = 0, hop = w.dx * w.b.size
    cdef const char* from_
    cdef char* p_to
    cdef int j, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    for s in range(segments):
        for t in range(ceil_div(list[s].columns, m * w.dx)):
            x = t * m * w.dx
            tiles = min(list[s].columns - x, w.dx)
            p = 0
            while p < tiles:
                from_ = row + list[s].line + (x + p) * size
                p_to = to + (at + p) * size
                for j in range(m + 2):
                    d[j] = (<const lanes*> (from_ + j * hop))[0]
                input_1d(m, d, e)
                if last and w.pitch - at - p < side:
                    for j in range(m + 2):
                        put_some(p_to + j * w.v_step, e[j], 0, w.pitch - at - p)
                else:
                    for j in range(m + 2):
                        (<lanes*> (p_to + j * w.v_step))[0] = e[j]
                p += side
            at += tiles


cdef inline void down_plane(const Work* w, const lanes* like, const Segment* list, Py_ssize_t segments, Py_ssize_t k, Py_ssize_t plane,
                            const char* input, char* spare, char* lines) noexcept nogil:
    """The rows of plane k of all segments side by side, transformed along y. `spare`: zeros as long as rows, or room for others."""
    cdef Py_ssize_t s
    cdef char* rows = lines if w.my == 1 else spare
    for s in range(segments):
        if w.near and w.my == 2:
            down_near(2, like, w, list + s, first_row(w, list + s, k, plane), spare, lines)
        elif w.near and w.my == 3:
            down_near(3, like, w, list + s, first_row(w, list + s, k, plane), spare, lines)
        elif w.near and w.my == 4:
            down_near(4, like, w, list + s, first_row(w, list + s, k, plane), spare, lines)
        elif w.near and w.my == 6:
            down_near(6, like, w, list + s, first_row(w, list + s, k, plane), spare, lines)
        elif w.near:
            gather_near(w, list + s, k, plane, rows)
        else:
            gather(w, list + s, k, input, rows + list[s].line)
    if not w.near and w.my == 2:
        down_of(2, like, rows, lines, w.line, w.line // VB)
    elif not w.near and w.my == 3:
        down_of(3, like, rows, lines, w.line, w.line // VB)
    elif not w.near and w.my == 4:
        down_of(4, like, rows, lines, w.line, w.line // VB)
    elif not w.near and w.my == 6:
        down_of(6, like, rows, lines, w.line, w.line // VB)


cdef inline inlined along_plane(const Work* w, const bint last, const lanes* like, const Segment* list, Py_ssize_t segments,
                             const char* index, Py_ssize_t vectors, const char* lines, char* to) noexcept nogil:
    """V of one plane from its lines."""
    cdef int _i
    for _i in range(w.ny):
        if w.dx > 1 and w.mx == 2:
            across_of(2, last, like, w, list, segments, lines, to)
        elif w.dx > 1 and w.mx == 3:
            across_of(3, last, like, w, list, segments, lines, to)
        elif w.dx > 1 and w.mx == 4:
            across_of(4, last, like, w, list, segments, lines, to)
        elif w.dx > 1:
            across_of(6, last, like, w, list, segments, lines, to)
        elif w.mx == 1:
            along_of(1, True, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        elif w.mx == 2:
            along_of(2, True, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        elif w.mx == 3:
            along_of(3, True, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        elif w.mx == 6:
            along_of(6, True, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        elif segments > 1:
            along_of(4, True, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        else:
            along_of(4, False, last, like, lines, vectors, index, w.pitch, to, w.v_step)
        lines += w.line
        to += w.nx * w.v_step


cdef inline void transform_planes(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t k0, Py_ssize_t k1, const Segment* list,
                                  Py_ssize_t segments, const char* index, char* lines, char* v) noexcept nogil:
    cdef Py_ssize_t k, plane, tiles = list[segments - 1].tiles + (w.mx > 1), lane = VB // w.b.size
    cdef Py_ssize_t vectors = ceil_div(list[segments - 1].line // (w.mx * w.b.size) + tiles, lane)
    cdef Py_ssize_t last = k1 - ceil_div(lane, w.pitch)         # the first plane behind which a whole vector has no room
    cdef char* rows = lines + w.ny * w.line
    for k in range(k0, k1):
        plane = group * w.input_step[1] + k // (w.kernel[0] * w.kernel[1]) * w.input_step[2]
        down_plane(w, like, list, segments, k, plane, w.input + group * w.input_step[1], lines, rows)
        if k < last:
            along_plane(w, False, like, list, segments, index, vectors, rows, v + (k - k0) * w.pitch * w.b.size)
        else:
            along_plane(w, True, like, list, segments, index, vectors, rows, v + (k - k0) * w.pitch * w.b.size)


cdef inline void transform_input(const Work* w, Py_ssize_t group, Py_ssize_t k0, Py_ssize_t k1, const Segment* list, Py_ssize_t segments,
                                 const char* index, char* lines, char* v) noexcept nogil:
    """V of planes k0 to k1 for the listed segments."""
    if w.b.size == 4:
        transform_planes(w, <vf*> NULL, group, k0, k1, list, segments, index, lines, v)
    else:
        transform_planes(w, <vd*> NULL, group, k0, k1, list, segments, index, lines, v)

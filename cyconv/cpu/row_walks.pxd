"""One of the two register tiles of `depthwise`, for kernels of three rows and columns: columns of a few vectors walk down the rows.

A row of inputs is loaded once and goes to the three rows of outputs that it belongs to, all under way at once; the nine
weights stay in registers, where there are enough. Outputs of a row stand on the lanes of vectors. Rows of inputs are read where they lie; lanes
outside of the row are masked off and count as the zeros of the padding.
Products are added one by one, in an order that depends on the problem alone.
"""
from cyconv.cpu.pieces cimport PB, WALK, clamp, evens, hold, nothing, odds, pd, pf, piece, pq, pw, put_part, spread, within
from cyconv.cpu.shuffle cimport fetch, own
from cyconv.cpu.simd cimport inlined

cdef enum:
    MOST_WALK = 4                       # vectors, of any level

cdef struct Plane:                      # rows of inputs, and where a walk begins
    const char* row                     # row 0 of the plane, at the column that the first tap of the first output reads
    const char* zeros                   # the same column in a row of zeros, for rows outside of the plane
    Py_ssize_t pitch                    # bytes between rows
    Py_ssize_t height                   # rows of the plane
    Py_ssize_t y                        # row that the first tap of the first output reads
    Py_ssize_t c                        # its column: lanes at columns 0..width-1 exist
    Py_ssize_t width


cdef inline const char* row_of(const Plane* p, Py_ssize_t y) noexcept nogil:
    return p.row + y * p.pitch if 0 <= y < p.height else p.zeros


cdef inline inlined taps(const int NV, const int s, const int masked, const int j0, const int j1, const piece* like, piece[3][MOST_WALK] x,
                         const char* row, Py_ssize_t last, Py_ssize_t c, Py_ssize_t n) noexcept nogil:
    """What taps j0 to j1 of three read of a row, all three where s is 2; the last of NV vectors lies `last` bytes of outputs behind
    the first."""
    cdef int v, j, size = 8 if piece is pd or piece is pq else 4, lanes = PB // size
    cdef const char* p
    cdef Py_ssize_t u
    cdef piece a, b
    for v in range(NV):
        p = row + s * (last if v == NV - 1 else v * PB)
        u = c + (s * last // size if v == NV - 1 else s * v * lanes)
        if s == 1:
            for j in range(j0, j1):
                if masked and (v == 0 or v == NV - 1):
                    x[j][v] = within(p + j * size, clamp(-u - j, lanes), clamp(n - u - j, lanes), like)
                else:
                    x[j][v] = hold((<const piece*> (p + j * size))[0])
        else:
            if masked and (v == 0 or v == NV - 1):
                a = within(p, clamp(-u, lanes), clamp(n - u, lanes), like)
                b = within(p + PB, clamp(-u - lanes, lanes), clamp(n - u - lanes, lanes), like)
            else:
                a = (<const piece*> p)[0]
                b = (<const piece*> (p + PB))[0]
            x[0][v] = evens(a, b)
            x[1][v] = odds(a, b)
            u += 2
            p += 2 * size
            if masked and (v == 0 or v == NV - 1):
                a = within(p, clamp(-u, lanes), clamp(n - u, lanes), like)
                b = within(p + PB, clamp(-u - lanes, lanes), clamp(n - u - lanes, lanes), like)
            else:
                a = (<const piece*> p)[0]
                b = (<const piece*> (p + PB))[0]
            x[2][v] = evens(a, b)


cdef inline inlined add_tap(const int v, const int j, const bint ends, const bint crosses, const bint begins, piece x, piece[9] w, piece start,
                            piece* above, piece* here, piece* below) noexcept nogil:
    if ends:
        above[v] = above[v] + w[6 + j] * x
    if crosses:
        here[v] = here[v] + w[3 + j] * x
    if begins:
        below[v] = (start if j == 0 else below[v]) + w[j] * x


cdef inline inlined add_row(const int NV, const int s, const int masked, const bint ends, const bint crosses, const bint begins,
                            const piece* like, const char* row, Py_ssize_t last, Py_ssize_t c, Py_ssize_t n, piece[9] w, piece start,
                            piece* above, piece* here, piece* below) noexcept nogil:
    """A row of inputs to the outputs whose window it ends, crosses or begins."""
    cdef piece[3][MOST_WALK] x
    cdef int j, v
    if s == 1 and PB == 32:             # tap by tap, so that a weight which is not in a register is loaded once
        for j in range(3):
            taps(NV, s, masked, j, j + 1, like, x, row, last, c, n)
            for v in range(NV):
                add_tap(v, j, ends, crosses, begins, x[j][v], w, start, above, here, below)
    else:                               # sums would be on the stack while v2 puts together what is masked
        taps(NV, s, masked, 0, 3, like, x, row, last, c, n)
        for v in range(NV):
            for j in range(3):
                add_tap(v, j, ends, crosses, begins, x[j][v], w, start, above, here, below)


cdef inline inlined walk_of(const int NV, const int s, const int masked, const piece* like, const Plane* plane, Py_ssize_t x,
                            Py_ssize_t last, Py_ssize_t lone, const char* weight, const char* bias, char* out, Py_ssize_t pitch,
                            Py_ssize_t rows) noexcept nogil:
    """`rows` rows of outputs in NV vectors from output x on; lone: lanes of the only vector that count, or 0."""
    cdef piece[9] w
    cdef piece[MOST_WALK] ending
    cdef piece[MOST_WALK] crossed
    cdef piece[MOST_WALK] begun
    cdef piece start = spread(bias, like)
    cdef const char* row
    cdef int v, size = 8 if piece is pd or piece is pq else 4
    cdef Py_ssize_t i, y = plane.y, c = plane.c + s * x, n = plane.width, shift = s * x * size, whole = rows
    if lone:                                                # what a whole vector writes too much, later rows write again
        whole = rows - (PB + pitch - 1) // pitch + 1 if pitch == lone * size else 0
    for v in range(9):
        w[v] = spread(weight + v * size, like)
    add_row(NV, s, masked, False, False, True, like, row_of(plane, y) + shift, last, c, n, w, start, NULL, NULL, ending)
    if s == 1:
        y += 1
        add_row(NV, s, masked, False, True, True, like, row_of(plane, y) + shift, last, c, n, w, start, NULL, ending, crossed)
    for i in range(rows):
        y += 1
        if NV == WALK:                                      # what the tile to the right will read and write
            row = row_of(plane, y) + shift + s * NV * PB
            fetch(row)
            if NV * PB > 64:
                fetch(row + 64)
            if s == 2:
                fetch(row + 128)
                fetch(row + 192)
                row = row_of(plane, y + 1) + shift + s * NV * PB
                fetch(row)
                fetch(row + 64)
                fetch(row + 128)
                fetch(row + 192)
            own(out + NV * PB)
            if NV * PB > 64:
                own(out + NV * PB + 64)
        if s == 1:
            add_row(NV, s, masked, True, True, True, like, row_of(plane, y) + shift, last, c, n, w, start, ending, crossed, begun)
        else:
            add_row(NV, s, masked, False, True, False, like, row_of(plane, y) + shift, last, c, n, w, start, NULL, ending, NULL)
            y += 1
            add_row(NV, s, masked, True, False, True, like, row_of(plane, y) + shift, last, c, n, w, start, ending, NULL, crossed)
        for v in range(NV):
            if NV == 1 and i >= whole:
                put_part(out, ending[0], lone)
            else:
                (<piece*> (out + (last if v == NV - 1 else v * PB)))[0] = ending[v]
            ending[v] = crossed[v]
            if s == 1:
                crossed[v] = begun[v]
        out += pitch


cdef inline inlined walk_along(const int s, const piece* like, const Plane* plane, const char* weight, const char* bias, char* out,
                     Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count) noexcept nogil:
    """Rows of `count` outputs each."""
    cdef int size = 8 if piece is pd or piece is pq else 4, lanes = PB // size
    cdef Py_ssize_t x = 0, m, last, lone, c
    cdef bint inside
    cdef char* to
    while x < count:
        m = min((count - x + lanes - 1) // lanes, <Py_ssize_t> WALK)
        if m > 1 and (count - x + lanes - 1) // lanes == WALK + 1:
            m = (WALK + 1) // 2                             # rather than a tile of one vector behind this one
        c = plane.c + s * x
        if m > 2 and (c + s * lanes < 0 or c + s * (m - 1) * lanes + 2 > plane.width):
            m = 1                                           # padding reaches beyond the outer vectors of this tile
        lone = 0
        last = (m - 1) * PB
        if x + m * lanes > count:
            if m == 1 and count < lanes:
                lone = count
            elif m == 1:
                x = count - lanes                           # overlaps the tile before
                c = plane.c + s * x
            else:
                last = (count - x - lanes) * size           # the last vector overlaps the one before
        inside = c >= 0 and c + s * (last // size + lanes) + 2 <= plane.width
        to = out + x * size
        if m == 1:
            if inside:
                walk_of(1, s, 0, like, plane, x, last, lone, weight, bias, to, pitch, rows)
            else:
                walk_of(1, s, 1, like, plane, x, last, lone, weight, bias, to, pitch, rows)
        elif m == 2:
            if inside:
                walk_of(2, s, 0, like, plane, x, last, 0, weight, bias, to, pitch, rows)
            else:
                walk_of(2, s, 1, like, plane, x, last, 0, weight, bias, to, pitch, rows)
        elif m == 3 and WALK >= 3:
            if inside:
                walk_of(3, s, 0, like, plane, x, last, 0, weight, bias, to, pitch, rows)
            else:
                walk_of(3, s, 1, like, plane, x, last, 0, weight, bias, to, pitch, rows)
        elif m == 4 and WALK >= 4:
            if inside:
                walk_of(4, s, 0, like, plane, x, last, 0, weight, bias, to, pitch, rows)
            else:
                walk_of(4, s, 1, like, plane, x, last, 0, weight, bias, to, pitch, rows)
        x += m * lanes


cdef inline inlined walk_planes_of(const int NV, const piece* like, const Plane* plane, Py_ssize_t step, const char* weight,
                                   const char* bias, char* out, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t count) noexcept nogil:
    """`count` neighbouring planes with a filter each, of rows that NV (1 or 2) vectors cover. One row of padding at most."""
    cdef piece[9] w
    cdef piece[MOST_WALK] ending
    cdef piece[MOST_WALK] crossed
    cdef piece[MOST_WALK] begun
    cdef piece start, zero = nothing(like)
    cdef int v, j, size = 8 if piece is pd or piece is pq else 4
    cdef Py_ssize_t q, i, y = plane.y, c = plane.c, n = plane.width, pitch = columns * size, last = pitch - PB, whole
    cdef Py_ssize_t below = rows + 2 + y - plane.height     # rows of padding below
    cdef const char* row
    if NV == 1:
        last = 0
    whole = count * rows - (PB + pitch - 1) // pitch + 1    # rows before the last ones may write more than their own
    for q in range(count):
        for v in range(9):
            w[v] = spread(weight + v * size, like)
        start = spread(bias, like)
        row = plane.row + q * step
        if y < 0:
            for v in range(NV):
                ending[v] = start
                for j in range(3):
                    ending[v] = ending[v] + w[j] * zero
        else:
            add_row(NV, 1, 1, False, False, True, like, row, last, c, n, w, start, NULL, NULL, ending)
            row += plane.pitch
        add_row(NV, 1, 1, False, True, True, like, row, last, c, n, w, start, NULL, ending, crossed)
        row += plane.pitch
        for i in range(rows - below):
            add_row(NV, 1, 1, True, True, True, like, row, last, c, n, w, start, ending, crossed, begun)
            row += plane.pitch
            for v in range(NV):
                if NV == 1 and i >= whole:
                    put_part(out, ending[0], columns)
                else:
                    (<piece*> (out + (last if v == 1 else 0)))[0] = ending[v]
                ending[v] = crossed[v]
                crossed[v] = begun[v]
            out += pitch
        if below:
            for v in range(NV):
                for j in range(3):
                    ending[v] = ending[v] + w[6 + j] * zero
                if NV == 1 and rows > whole:
                    put_part(out, ending[0], columns)
                else:
                    (<piece*> (out + (last if v == 1 else 0)))[0] = ending[v]
            out += pitch
        whole -= rows
        weight += 9 * size
        bias += size


cdef inline inlined walk_planes(const piece* like, const Plane* plane, Py_ssize_t step, const char* weight, const char* bias,
                                char* out, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t count) noexcept nogil:
    cdef int size = 8 if piece is pd or piece is pq else 4
    if columns * size <= PB:
        walk_planes_of(1, like, plane, step, weight, bias, out, rows, columns, count)
    else:
        walk_planes_of(2, like, plane, step, weight, bias, out, rows, columns, count)

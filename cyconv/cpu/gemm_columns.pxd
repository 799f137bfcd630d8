"""The third register tile of implicit_gemm, for few pixels: their columns are copied, and weights read where the caller has them.

    sums[i, p] = bias[i] + sum_k weight[i, k] * column[k, p]        i < rows <= COLUMN_ROWS, p in up to three vectors

Packing weights for so few pixels would take longer than copying their columns does. The order of additions is that of tile.pxd, and
so are the bits; but for pixels that are left behind the last whole vector (`dots`).
columns [vector panel][k][up to three vectors of pixels], then [pixel that is left][k].
weight  [output channel][k], rows `pitch` bytes apart: as many streams as a tile has rows, which the hardware foresees.
dots    lanes run along k, in as many partial sums on every level as a vector of the widest level has: 16 pixels would take as long
        as one.
"""
from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.gemm_work cimport COLUMN_BYTES, Room, Work
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, beginning, even, lanes, put_some, unknown, use
from cyconv.cpu.simd cimport VB, inlined, splat, vd, vf
from cyconv.cpu.tile cimport apart, ceil_div, cut
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_COLUMN_ROWS 9          /* x 3 vectors of sums, 3 of pixels and a weight fit the registers */
    #else
      #define CY_COLUMN_ROWS 4
    #endif
    """
    enum:
        COLUMN_ROWS "CY_COLUMN_ROWS"

cdef enum:
    MOST_ROWS = 9                       # of any level: what is more than COLUMN_ROWS is dead code that must compile
    COLUMN_VECTORS = 3
    PARTS = 64 // VB                    # vectors that make one of the widest level
    TILE_SUMS = 2048                    # bytes of a tile's sums, in whole lines; COLUMN_SUMS has room for as many dots as there can be, too
    DOT_PRODUCTS = 1024                  # between two looks at the same weights: they stay in a first-level cache


cdef struct Run:                        # pixels of a panel that lie `step` bytes apart
    Py_ssize_t first, count, step, place


cdef struct Columns:                    # how the pixels of a block are laid out
    Py_ssize_t vectors                  # in all
    Py_ssize_t panels
    Py_ssize_t left                     # pixels behind them


cdef inline Columns columns_of(Py_ssize_t pixels, Py_ssize_t lane, bint dots) noexcept nogil:
    cdef Columns c
    c.left = pixels % lane if dots and pixels % lane <= lane // 2 else 0
    c.vectors = ceil_div(pixels - c.left, lane)
    c.panels = ceil_div(c.vectors, COLUMN_VECTORS)
    return c


# ---- columns -------------------------------------------------------------------------------------------------------------

cdef inline lanes some_of(const char* src, Py_ssize_t count, const lanes* like) noexcept nogil:
    """The numbers at src, zeros behind the last one."""
    cdef lanes zero
    cdef Py_ssize_t lane = LANES_F if lanes is vf else LANES_D
    if count >= lane:
        return (<const lanes*> src)[0]
    if count > 0:
        return beginning(src, count, like)
    memset(&zero, 0, VB)
    return zero


cdef inline void copy_numbers(const lanes* like, const char* src, Py_ssize_t count, char* to) noexcept nogil:
    """So many numbers; nothing behind them is read or written."""
    cdef Py_ssize_t lane = LANES_F if lanes is vf else LANES_D
    while count >= lane:
        (<lanes*> to)[0] = (<const lanes*> src)[0]
        src += VB
        to += VB
        count -= lane
    if count:
        put_some(to, beginning(src, count, like), 0, count)


cdef inline void copy_columns(const lanes* like, const Work* w, const Room* room, const char* base, Py_ssize_t first, Py_ssize_t count,
                              Py_ssize_t vectors, char* to) noexcept nogil:
    """to[k][p] of so many pixels, zeros behind them."""
    cdef Run[COLUMN_VECTORS * LANES_F] runs
    cdef Py_ssize_t size = w.blocks.size, lane = VB // size, n = 0, p = 0, k, r, i, part
    cdef const char* src
    cdef char* at
    cdef lanes zero
    memset(&zero, 0, VB)
    while p < count:
        runs[n].first, runs[n].place = p * size, room.place[first + p]
        runs[n].count = min(room.neighbours[first + p], count - p)
        runs[n].step = w.step * size
        p += runs[n].count
        n += 1
    for k in range(w.blocks.products):
        for r in range(n):
            src = base + w.blocks.offset[k] + runs[r].place
            at = to + runs[r].first
            part = runs[r].count
            # whole vectors, where what is read behind a run is the thread's own; what is too much the next run overwrites
            if not w.in_place and runs[r].step == size:
                while part > 0:
                    (<lanes*> at)[0] = (<const lanes*> src)[0]
                    src += VB
                    at += VB
                    part -= lane
            elif not w.in_place and part > 1:
                while part > 0:
                    (<lanes*> at)[0] = even((<const lanes*> src)[0], (<const lanes*> (src + VB))[0])
                    src += 2 * VB
                    at += VB
                    part -= lane
            elif runs[r].step == size:
                copy_numbers(like, src, part, at)
            elif part > 1:
                while part > 0:         # every second number
                    i = min(part, lane)
                    put_some(at, even(some_of(src, 2 * i - 1, like), some_of(src + VB, 2 * i - 1 - lane, like)), 0, i)
                    src += 2 * VB
                    at += VB
                    part -= lane
            else:
                memcpy(at, src, 4)
                if lanes is vd:
                    memcpy(at, src, 8)
        if count < vectors * lane:
            put_some(to + (vectors - 1) * VB, zero, count - (vectors - 1) * lane, lane)
        to += vectors * VB


cdef inline void copy_pixel(const Work* w, const char* src, char* to) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(w.blocks.products):
        if w.blocks.size == 4:
            (<float*> to)[k] = (<const float*> (src + w.blocks.offset[k]))[0]
        else:
            (<double*> to)[k] = (<const double*> (src + w.blocks.offset[k]))[0]


# ---- sums ----------------------------------------------------------------------------------------------------------------

cdef inline inlined column_tile_of(const int rows, const int vectors, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                                   const char* column, const char* bias, char* sums, Py_ssize_t once) noexcept nogil:
    """`rows` and `vectors` are constants once inlined; `once` is 1. Without a bias what stands in `sums` goes on."""
    cdef lanes[MOST_ROWS][COLUMN_VECTORS] acc
    cdef lanes[COLUMN_VECTORS] x
    cdef lanes v
    cdef int i, j, size = 4 if lanes is vf else 8
    cdef Py_ssize_t _k, _done
    for _done in range(unknown(once)):
        for i in range(rows):
            if bias != NULL:
                v = splat(bias + i * size, like)
                for j in range(vectors):
                    acc[i][j] = v
            else:
                for j in range(vectors):
                    acc[i][j] = (<const lanes*> (sums + (i * COLUMN_VECTORS + j) * VB))[0]
        for _k in range(products):
            for j in range(vectors):
                x[j] = (<const lanes*> (column + j * VB))[0]
            for i in range(rows):
                v = splat(weight + i * pitch, like)
                for j in range(vectors):
                    acc[i][j] = acc[i][j] + v * x[j]
                use(v)
            weight += size
            column += vectors * VB
        for i in range(rows):
            for j in range(vectors):
                (<lanes*> (sums + (i * COLUMN_VECTORS + j) * VB))[0] = acc[i][j]


cdef inline inlined column_rows(int rows, const int vectors, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                                const char* column, const char* bias, char* sums) noexcept nogil:
    if rows == 1:
        column_tile_of(1, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 2:
        column_tile_of(2, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 3:
        column_tile_of(3, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 4:
        column_tile_of(4, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 5 and COLUMN_ROWS >= 5:
        column_tile_of(5, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 6 and COLUMN_ROWS >= 6:
        column_tile_of(6, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 7 and COLUMN_ROWS >= 7:
        column_tile_of(7, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 8 and COLUMN_ROWS >= 8:
        column_tile_of(8, vectors, like, products, weight, pitch, column, bias, sums, 1)
    elif rows == 9 and COLUMN_ROWS >= 9:
        column_tile_of(9, vectors, like, products, weight, pitch, column, bias, sums, 1)


cdef inline apart column_single(int rows, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                                const char* column, const char* bias, char* sums) noexcept nogil:
    column_rows(rows, 1, like, products, weight, pitch, column, bias, sums)


cdef inline apart column_pair(int rows, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                              const char* column, const char* bias, char* sums) noexcept nogil:
    column_rows(rows, 2, like, products, weight, pitch, column, bias, sums)


cdef inline apart column_triple(int rows, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                                const char* column, const char* bias, char* sums) noexcept nogil:
    column_rows(rows, 3, like, products, weight, pitch, column, bias, sums)


cdef inline void column_tile(int rows, Py_ssize_t vectors, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch,
                             const char* column, const char* bias, char* sums) noexcept nogil:
    if vectors == 3:
        column_triple(rows, like, products, weight, pitch, column, bias, sums)
    elif vectors == 2:
        column_pair(rows, like, products, weight, pitch, column, bias, sums)
    else:
        column_single(rows, like, products, weight, pitch, column, bias, sums)


cdef inline inlined dots_of(const int rows, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch, const char* column,
                            bint first, char* sums) noexcept nogil:
    """`rows` is a constant once inlined: row i's partial sums, PARTS vectors."""
    cdef lanes[MOST_ROWS * 4] acc
    cdef lanes x
    cdef int i, j, lane = LANES_F if lanes is vf else LANES_D, size = VB // lane
    cdef Py_ssize_t k = 0, n
    for i in range(rows * PARTS):
        acc[i] = (<const lanes*> (sums + i * VB))[0]
        if first:
            memset(&acc[i], 0, VB)
    while k + PARTS * lane <= products:
        for j in range(PARTS):
            x = (<const lanes*> (column + k * size + j * VB))[0]
            for i in range(rows):
                acc[i * PARTS + j] = acc[i * PARTS + j] + x * (<const lanes*> (weight + i * pitch + k * size + j * VB))[0]
        k += PARTS * lane
    for j in range(PARTS):              # what is left, some lanes of it nothing
        n = min(products - k - j * lane, lane)
        if n > 0:
            x = some_of(column + k * size + j * VB, n, like)
            for i in range(rows):
                acc[i * PARTS + j] = acc[i * PARTS + j] + x * some_of(weight + i * pitch + k * size + j * VB, n, like)
    for i in range(rows * PARTS):
        (<lanes*> (sums + i * VB))[0] = acc[i]


cdef inline apart dots(int rows, const lanes* like, Py_ssize_t products, const char* weight, Py_ssize_t pitch, const char* column,
                       bint first, char* sums) noexcept nogil:
    """Partial sums of one pixel and so many output channels; they go on unless these are the first products."""
    cdef int i = 0
    if COLUMN_ROWS == 9 and rows == 9:
        dots_of(9, like, products, weight, pitch, column, first, sums)
        return
    if COLUMN_ROWS == 9 and rows == 8:
        dots_of(8, like, products, weight, pitch, column, first, sums)
        return
    while i + 4 <= rows:
        dots_of(4, like, products, weight + i * pitch, pitch, column, first, sums + i * 64)
        i += 4
    while i < rows:
        dots_of(1, like, products, weight + i * pitch, pitch, column, first, sums + i * 64)
        i += 1


cdef inline void close_dot(const lanes* like, const char* sums, const char* bias, char* to) noexcept nogil:
    """One output from its partial sums, halves of them added until one is left."""
    cdef float[16] f
    cdef double[8] d
    cdef int i, n = 8
    if lanes is vf:
        memcpy(f, sums, 64)
        while n:
            for i in range(n):
                f[i] = f[i] + f[i + n]
            n //= 2
        (<float*> to)[0] = f[0] + (<const float*> bias)[0]
    else:
        n = 4
        memcpy(d, sums, 64)
        while n:
            for i in range(n):
                d[i] = d[i] + d[i + n]
            n //= 2
        (<double*> to)[0] = d[0] + (<const double*> bias)[0]


# ---- a block -------------------------------------------------------------------------------------------------------------

cdef inline bint has_dots(const Work* w) noexcept nogil:
    """Whether pixels that no whole vector holds are summed along k, which is another order of additions: not where a batch item's
    would depend on its place."""
    return w.batch == 1


cdef inline Py_ssize_t panels_at_once(const Work* w) noexcept nogil:
    return max(COLUMN_BYTES // (w.blocks.products * COLUMN_VECTORS * VB), <Py_ssize_t> 1)


cdef inline void put_columns(const lanes* like, const Work* w, const char* sums, Py_ssize_t rows, Py_ssize_t first, Py_ssize_t count,
                             Py_ssize_t run, char* to) noexcept nogil:
    """Sums of a tile of neighbouring pixels to the planes of the output."""
    cdef Py_ssize_t size = w.blocks.size, p = first, n, i
    while p < first + count:
        n = min(run - p % run, first + count - p)
        for i in range(rows):
            copy_numbers(like, sums + i * COLUMN_VECTORS * VB + (p - first) * size, n,
                         to + (p // run * w.item + i * w.plane + p % run) * size)
        p += n


cdef inline void do_columns(const lanes* like, const Work* w, Room* room, Py_ssize_t g, Py_ssize_t share, Py_ssize_t block,
                            Py_ssize_t pixels, Py_ssize_t run, const char* base, char* to) noexcept nogil:
    """All pixels of a block and one share of the output channels, columns copied."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, lane = VB // size, products = b.products, pitch = products * size, plane = w.plane * size
    cdef Columns c = columns_of(pixels, lane, has_dots(w))
    cdef Py_ssize_t most = panels_at_once(w), panel, past = 0, first, t, o, p, v, k, part
    cdef int rows, i
    cdef char* left = room.panel
    cdef char* columns = left + ceil_div(c.left * pitch, 64) * 64
    cdef char* column
    cdef char* partial = room.sums + TILE_SUMS
    cdef const char* weight
    cdef const char* bias
    cdef Py_ssize_t begin = cut(w.panels, share, w.shares), end = cut(w.panels, share + 1, w.shares)
    while past < max(c.panels, <Py_ssize_t> 1):
        first = past
        past = min(first + most, max(c.panels, <Py_ssize_t> 1))
        if room.columns != block or c.panels > most:
            for p in range(c.left if first == 0 else 0):
                copy_pixel(w, base + room.place[pixels - c.left + p], left + p * pitch)
            column = columns
            for panel in range(first, min(past, c.panels)):
                v = cut(c.vectors, panel, c.panels)
                t = cut(c.vectors, panel + 1, c.panels) - v
                copy_columns(like, w, room, base, v * lane, min(t * lane, pixels - c.left - v * lane), t, column)
                column += t * VB * products
            room.columns = block
        for t in range(begin, end):
            o = cut(w.rows, t, w.panels)
            rows = <int> (cut(w.rows, t + 1, w.panels) - o)
            weight = w.weight + (g * w.rows + o) * pitch
            bias = w.bias + (g * w.rows + o) * size
            column = columns
            for panel in range(first, past):
                v = cut(c.vectors, panel, c.panels) if c.panels else 0
                part = DOT_PRODUCTS if c.left and panel == past - 1 and past >= c.panels else products
                k = 0
                while k < products:
                    part = min(part, products - k)
                    if c.panels:
                        p = cut(c.vectors, panel + 1, c.panels) - v
                        column_tile(rows, p, like, part, weight + k * size, pitch, column + k * p * VB, bias if k == 0 else NULL, room.sums)
                    if c.left and panel == past - 1 and past >= c.panels:
                        for i in range(c.left):
                            dots(rows, like, part, weight + k * size, pitch, left + i * pitch + k * size, k == 0, partial + i * rows * 64)
                    k += part
                if c.panels:
                    p = cut(c.vectors, panel + 1, c.panels) - v
                    put_columns(like, w, room.sums, rows, v * lane, min(p * lane, pixels - c.left - v * lane), run, to + o * plane)
                    column += p * VB * products
            if past >= c.panels:
                for p in range(c.left):
                    for i in range(rows):
                        close_dot(like, partial + (p * rows + i) * 64, bias + i * size,
                                  to + (o + i) * plane + (pixels - c.left + p) * size)

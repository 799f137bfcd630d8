"""The register tile of implicit_gemm and winograd, and the way from its sums back to planes of outputs.

    sums[i, :] = start[:] + sum_k a[offset[k] + place[i]] * panel[k, :]        i < rows <= TILE_ROWS, rows of two vectors

a       one number per pixel i and product k, broadcast. `offset` is a table of byte distances, so `a` may be the image
        itself: nothing is copied into columns.
step    numbers from one pixel to the next, 1 or 2, if they lie in a row; `a` is the first one's address then. LINE: each stands in
        the next line of the cache, whose other numbers are those of other products.
place   byte distances of the pixels otherwise, where step is 0.
panel   [k][one or two vectors]: the weights of as many output channels, packed.
next    what is asked for meanwhile, `hop` bytes on with each product; of one vector of channels, hop 0: pixels instead; QUIET: nothing.
start   the bias, or zeros; or NULL to go on with the sums that stand there (products may come in several calls).

Pixels sit on the broadcast side and output channels on the vector side: channels usually come in multiples of 32, and
any run of pixels can be cut into nearly equal pieces (`cut`), so that no lane computes something unused. Products are
added one by one in the order of k: the same bits for every tile height and vector width that has FMA.
Places cost a load and an add each beside the broadcast, which a tile's multiply-adds hide (measured: within 1 %).
"""
from libc.stdint cimport int32_t
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, lanes, unknown, use
from cyconv.cpu.simd cimport VB, inlined, splat, vd, vf
from cyconv.cpu.square cimport turn

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_TILE_ROWS 14                   /* x 2 vectors of sums, and the panel's 2, fit the registers */
      #define CY_TOGETHER 1
    #else
      #define CY_TILE_ROWS 6
      #define CY_TOGETHER 2                     /* measured: 1.02 to 1.08; a loop of so few operations is sometimes short of instructions */
    #endif
    #if defined(__GNUC__) && !defined(__clang__)
      #define CY_APART __attribute__((noipa))
    #else
      #define CY_APART
    #endif
    """
    enum:
        TILE_ROWS "CY_TILE_ROWS"
        TOGETHER "CY_TOGETHER"                  # products of a turn of a tile's loop
    ctypedef void apart "CY_APART void"         # a function of its own: inlined, tiles share registers and spill them

cdef enum:
    TALLEST_TILE = 14                           # of any level, and of one vector on every level: what is taller than
                                                # TILE_ROWS is dead code that must compile
    LONE_TILE = 16                              # taller still, of one vector: where that makes one piece of all output channels
    SOON = 16                                   # products between the one being summed and the one whose pixels are asked for
    LINE = 3                                    # a `step`
    LINE_BYTES = 64
    QUIET = -1                                  # a `hop`: everything is in the first-level cache
    AHEAD = 2048                                # bytes between the panel being read and the prefetch: the next panel comes in time


cdef inline inlined add_product(const int rows, const int vectors, const int step, const bint asks, const lanes* like, lanes[2]* acc,
                               Py_ssize_t k, const char* a, const Py_ssize_t* place, const int32_t* offset, const char* panel,
                               const char* next, Py_ssize_t hop) noexcept nogil:
    """acc[i][:] += a[offset[k] + place[i]] * panel[k, :]"""
    cdef lanes b0, b1, av
    cdef const char* ak
    cdef int i, size = 4 if lanes is vf else 8, hop_on = LINE_BYTES if step == LINE else step * size
    b0 = (<const lanes*> (panel + vectors * VB * k))[0]
    if vectors == 2:
        b1 = (<const lanes*> (panel + 2 * VB * k + VB))[0]
        fetch(next + hop * k)
        if VB == 64:
            fetch(next + hop * k + 64)
    elif asks and hop:
        fetch(next + hop * k)
    elif asks:
        fetch(a + offset[k + SOON] + (0 if step else place[0]))
    if step == LINE and vectors == 2:
        fetch(a + offset[k + SOON] + (k & SOON - 1) * LINE_BYTES)     # another pixel's line with each product
    elif VB >= 32 and vectors == 2 and 2 * rows >= TILE_ROWS:   # others have no load to spare
        ak = a + offset[k + SOON]
        fetch(ak + (0 if step else place[0]))
        if VB == 64:
            fetch(ak + ((rows - 1) * hop_on if step else place[rows - 1]))
    # one register, which GCC would not add up by itself; products that take two registers for an address are two operations
    ak = <const char*> unknown(<Py_ssize_t> (a + offset[k]))
    for i in range(rows):
        av = splat(ak + (i * hop_on if step else place[i]), like)
        acc[i][0] = acc[i][0] + av * b0
        if vectors == 2:
            acc[i][1] = acc[i][1] + av * b1
            use(av)             # or else GCC sums into its register, and moves all sums around afterwards
    use(b0)                             # or else GCC sums into these registers, and moves sums around
    if vectors == 2:
        use(b1)


cdef inline inlined tile_of(const int rows, const int vectors, const int step, const bint asks, const lanes* like, Py_ssize_t products,
                            const char* a, const Py_ssize_t* place, const int32_t* offset, const char* panel,
                            const char* start, char* sums, const char* next, Py_ssize_t hop, Py_ssize_t once) noexcept nogil:
    """`rows`, `vectors`, `step` and `asks` are constants once inlined; `once` is 1."""
    cdef lanes[TALLEST_TILE][2] acc
    cdef lanes b0, b1
    cdef Py_ssize_t k, _done
    cdef int i
    # Inside a loop of unknown length GCC unrolls the loops over rows before it replaces arrays by scalars; outside of one,
    # acc would pass through the stack at both ends of the sum.
    for _done in range(unknown(once)):
        if start != NULL:
            b0 = (<const lanes*> start)[0]
            b1 = (<const lanes*> (start + VB))[0]
            for i in range(rows):
                acc[i][0] = b0
                acc[i][1] = b1
        else:
            for i in range(rows):
                acc[i][0] = (<const lanes*> (sums + 2 * VB * i))[0]
                acc[i][1] = (<const lanes*> (sums + 2 * VB * i + VB))[0]
        k = 0
        while k + TOGETHER <= products:
            for i in range(TOGETHER):
                add_product(rows, vectors, step, asks, like, acc, k + i, a, place, offset, panel, next, hop)
            k += TOGETHER
        while k < products:
            add_product(rows, vectors, step, asks, like, acc, k, a, place, offset, panel, next, hop)
            k += 1
        for i in range(rows):
            (<lanes*> (sums + 2 * VB * i))[0] = acc[i][0]
            if vectors == 2:
                (<lanes*> (sums + 2 * VB * i + VB))[0] = acc[i][1]


cdef inline inlined tile_rows(int rows, const int vectors, const int step, const bint asks, const lanes* like, Py_ssize_t products,
                              const char* a, const Py_ssize_t* place, const int32_t* offset, const char* panel,
                              const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    if rows == 1:
        tile_of(1, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 2:
        tile_of(2, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 3:
        tile_of(3, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 4:
        tile_of(4, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 5:
        tile_of(5, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 6:
        tile_of(6, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 7 and (vectors == 1 or TILE_ROWS >= 7):
        tile_of(7, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 8 and (vectors == 1 or TILE_ROWS >= 8):
        tile_of(8, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 9 and (vectors == 1 or TILE_ROWS >= 9):
        tile_of(9, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 10 and (vectors == 1 or TILE_ROWS >= 10):
        tile_of(10, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 11 and (vectors == 1 or TILE_ROWS >= 11):
        tile_of(11, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 12 and (vectors == 1 or TILE_ROWS >= 12):
        tile_of(12, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 13 and (vectors == 1 or TILE_ROWS >= 13):
        tile_of(13, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)
    elif rows == 14 and (vectors == 1 or TILE_ROWS >= 14):
        tile_of(14, vectors, step, asks, like, products, a, place, offset, panel, start, sums, next, hop, 1)


cdef inline apart pair_near(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                            const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 2, 1, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart pair_strided(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                               const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 2, 2, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart pair_line(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                            const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 2, LINE, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart pair_far(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                           const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 2, 0, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart single_near(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                              const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 1, 1, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart single_quiet(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                               const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 1, 1, False, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart single_strided(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                                 const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 1, 2, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart single_line(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                              const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 1, LINE, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline apart single_far(int rows, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place, const int32_t* offset,
                             const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    tile_rows(rows, 1, 0, True, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline void tile(int rows, const lanes* like, Py_ssize_t products, const char* a, const int32_t* offset,
                      const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    """Two vectors of channels, pixels that are neighbours."""
    pair_near(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)


cdef inline void tile_at(int rows, int vectors, int step, const lanes* like, Py_ssize_t products, const char* a, const Py_ssize_t* place,
                         const int32_t* offset, const char* panel, const char* start, char* sums, const char* next, Py_ssize_t hop) noexcept nogil:
    """One or two vectors of channels; sums stay two vectors apart."""
    if vectors == 2:
        if step == 1:
            pair_near(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
        elif step == 2:
            pair_strided(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
        elif step == LINE:
            pair_line(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
        else:
            pair_far(rows, like, products, a, place, offset, panel, start, sums, next, hop)
    elif step == 1 and hop == QUIET:
        single_quiet(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
    elif step == 1:
        single_near(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
    elif step == 2:
        single_strided(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
    elif step == LINE:
        single_line(rows, like, products, a, NULL, offset, panel, start, sums, next, hop)
    else:
        single_far(rows, like, products, a, place, offset, panel, start, sums, next, hop)


cdef inline void ask_next(int32_t* offset, Py_ssize_t products, Py_ssize_t hop) noexcept nogil:
    """The SOON entries behind a table of offsets, which tiles only ask for: the first products of the next tiles, each `hop` bytes behind
    the one before."""
    cdef Py_ssize_t k
    for k in range(SOON):
        offset[products + k] = offset[k] + <int32_t> hop if products else 0


cdef inline Py_ssize_t ceil_div(Py_ssize_t n, Py_ssize_t d) noexcept nogil:
    return (n + d - 1) // d


cdef inline Py_ssize_t cut(Py_ssize_t n, Py_ssize_t piece, Py_ssize_t pieces) noexcept nogil:
    """Where a piece of n rows begins that are cut into nearly equal pieces."""
    return n * piece // pieces


cdef inline void write_back(const lanes* like, const char* sums, Py_ssize_t pixels, Py_ssize_t channels, char* out,
                            Py_ssize_t plane) noexcept nogil:
    """out[d * plane + p] = sums[p][d] for p < pixels and d < channels; plane in bytes, rows of sums two vectors long."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t p = 0, d, i, j, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8
    while p < pixels:
        if pixels >= side:
            p = min(p, pixels - side)           # the last square overlaps the one before
            d = 0
            while d < channels:
                turn(sums + p * 2 * VB + d * size, 2 * VB, t)
                if d + side <= channels:
                    for i in range(side):
                        (<lanes*> (out + (d + i) * plane + p * size))[0] = t[i]
                else:
                    for i in range(side):
                        if d + i < channels:
                            (<lanes*> (out + (d + i) * plane + p * size))[0] = t[i]
                d += side
            p += side
        else:
            for j in range(channels):
                for i in range(pixels):
                    if lanes is vf:
                        (<float*> (out + j * plane + i * size))[0] = (<const float*> (sums + i * 2 * VB + j * size))[0]
                    else:
                        (<double*> (out + j * plane + i * size))[0] = (<const double*> (sums + i * 2 * VB + j * size))[0]
            p = pixels

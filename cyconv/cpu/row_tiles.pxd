"""The other register tile of `depthwise`, for any kernel: a few rows of outputs times a few vectors.

Outputs of a row stand on the lanes of vectors, weights are broadcast. Each loaded vector goes to as many rows of outputs as it
belongs to, each broadcast weight to all vectors. Rows of inputs are read where they lie; a tile that reaches beyond
them reads copies with zeros.
Products are added one by one, in an order that depends on the problem alone.
"""
from cyconv.cpu.pieces cimport ACROSS, pq, pw
from cyconv.cpu.row_copies cimport pad_row
from cyconv.cpu.simd cimport VB, inlined, splat, vd, vector, vf, vq, vw
from cyconv.cpu.tile cimport apart

cdef extern from *:
    """
    #if defined(__AVX512F__)                    /* vectors of a tile of TALLEST rows: its sums, as many of inputs, and a weight fit the registers */
      #define CY_TALL_ACROSS 4
    #else
      #define CY_TALL_ACROSS 2
    #endif
    """
    enum:
        TALL_ACROSS "CY_TALL_ACROSS"

cdef enum:
    DOWN = 4                            # rows of a tile
    TALLEST = 6                         # of one for kernels of several rows
    TALL_KERNEL = 5                     # rows of a kernel which meet so many rows of outputs that loading across lines costs less than more sums bring
    ALONG = 8                           # vectors of a tile of one row, which needs as many sums under way to hide latency


cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_FIRST(V, S, M, CALL, T) static inline void cy_first_##S(char *p, V v, Py_ssize_t n) { CALL((void *)p, (M)((1u << n) - 1u), (T)v); }
      CY_FIRST(cy_vf, f, __mmask16, _mm512_mask_storeu_ps, __m512)
      CY_FIRST(cy_vd, d, __mmask8, _mm512_mask_storeu_pd, __m512d)
      CY_FIRST(cy_vw, w, __mmask16, _mm512_mask_storeu_epi32, __m512i)
      CY_FIRST(cy_vq, q, __mmask8, _mm512_mask_storeu_epi64, __m512i)
    #else
      #define CY_FIRST(V, S, SIZE) static inline void cy_first_##S(char *p, V v, Py_ssize_t n) { memcpy(p, &v, SIZE * n); }
      CY_FIRST(cy_vf, f, 4)
      CY_FIRST(cy_vd, d, 8)
      CY_FIRST(cy_vw, w, 4)
      CY_FIRST(cy_vq, q, 8)
    #endif
    static inline cy_vf cy_held_f(cy_vf v) { CY_HOLD(v); return v; }
    static inline cy_vd cy_held_d(cy_vd v) { CY_HOLD(v); return v; }
    static inline cy_vw cy_held_w(cy_vw v) { CY_HOLD(v); return v; }
    static inline cy_vq cy_held_q(cy_vq v) { CY_HOLD(v); return v; }
    """
    void first_f "cy_first_f"(char*, vf, Py_ssize_t) noexcept nogil
    void first_d "cy_first_d"(char*, vd, Py_ssize_t) noexcept nogil
    void first_w "cy_first_w"(char*, vw, Py_ssize_t) noexcept nogil
    void first_q "cy_first_q"(char*, vq, Py_ssize_t) noexcept nogil
    vf held_f "cy_held_f"(vf) noexcept nogil
    vd held_d "cy_held_d"(vd) noexcept nogil
    vw held_w "cy_held_w"(vw) noexcept nogil
    vq held_q "cy_held_q"(vq) noexcept nogil


cdef inline void put_first(char* p, vector v, Py_ssize_t n) noexcept nogil:
    """The first n lanes of a vector of full width to memory at p."""
    if vector is vf:
        first_f(p, v, n)
    elif vector is vd:
        first_d(p, v, n)
    elif vector is vw:
        first_w(p, v, n)
    else:
        first_q(p, v, n)


cdef inline vector held(vector v) noexcept nogil:
    """v, held in a register."""
    if vector is vf:
        return held_f(v)
    elif vector is vd:
        return held_d(v)
    elif vector is vw:
        return held_w(v)
    else:
        return held_q(v)


cdef struct Taps:                       # a kernel as `tile` sees it
    Py_ssize_t slabs                    # its rows come in slabs: [slab][row][column]
    const Py_ssize_t* rows              # of each slab
    Py_ssize_t columns
    const Py_ssize_t* place             # bytes from an output's own place in a row to what a column reads
    bint near                           # whether these are one number after the other
    Py_ssize_t dilation                 # columns between columns of the kernel
    Py_ssize_t width                    # columns 0..width-1 of rows exist
    Py_ssize_t table                    # rows that a strip reads
    Py_ssize_t edge                     # bytes between two of them, copied


cdef inline inlined input_column(const int first, const int last, const int NV, const vector* like, vector[TALLEST][ALONG] acc,
                                 const char* p, Py_ssize_t columns, const char* w) noexcept nogil:
    """What one column of the kernel reads of a row of inputs, at p."""
    cdef int r, v, size = 8 if vector is vd or vector is vq else 4
    cdef vector[ALONG] x
    cdef vector wv
    for v in range(NV):
        x[v] = held((<const vector*> (p + v * VB))[0])
    for r in range(first, last):
        wv = splat(w - r * columns * size, like)
        for v in range(NV):
            acc[r][v] = acc[r][v] + wv * x[v]


cdef inline inlined input_row(const int first, const int last, const int NV, const int columns, const vector* like, vector[TALLEST][ALONG] acc,
                              const char* row, const Taps* k, const char* w) noexcept nogil:
    """One row of inputs into rows first..last-1 of outputs; w is the kernel row that output row 0 would meet. `columns` of the
    kernel, if that is 5 or 7, lie next to each other: they need no loop."""
    cdef int size = 8 if vector is vd or vector is vq else 4
    cdef Py_ssize_t j
    if columns >= 5:
        input_column(first, last, NV, like, acc, row, columns, w)
        input_column(first, last, NV, like, acc, row + size, columns, w + size)
        input_column(first, last, NV, like, acc, row + 2 * size, columns, w + 2 * size)
        input_column(first, last, NV, like, acc, row + 3 * size, columns, w + 3 * size)
        input_column(first, last, NV, like, acc, row + 4 * size, columns, w + 4 * size)
        if columns == 7:
            input_column(first, last, NV, like, acc, row + 5 * size, columns, w + 5 * size)
            input_column(first, last, NV, like, acc, row + 6 * size, columns, w + 6 * size)
    else:
        for j in range(k.columns):
            input_column(first, last, NV, like, acc, row + k.place[j], k.columns, w + j * size)


cdef inline inlined tile_of(const int R, const int NV, const int columns, const vector* like, const Taps* k, const char** rows, Py_ssize_t x,
                            Py_ssize_t part, const char* weight, const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count,
                            Py_ssize_t once) noexcept nogil:
    """R (TALLEST, DOWN or 1) rows of outputs, `count` of them wanted; part: lanes of the last vector that count, or 0; once: 1."""
    cdef vector[TALLEST][ALONG] acc
    cdef vector start
    cdef Py_ssize_t slab, t, K, _done, hop
    cdef int r, v, size = 8 if vector is vd or vector is vq else 4
    for _done in range(once):
        start = splat(bias, like)
        for r in range(R):
            for v in range(NV):
                acc[r][v] = start
        x *= size
        hop = k.columns * size
        for slab in range(k.slabs):
            K = k.rows[slab]
            # Row t meets output rows t-K+1 .. t: one more at each of the first rows, one fewer at each of the last.
            if R == 1:
                for t in range(K):
                    input_row(0, 1, NV, columns, like, acc, rows[t] + x, k, weight + t * hop)
                rows += K
            elif R == TALLEST:
                input_row(0, 1, NV, columns, like, acc, rows[0] + x, k, weight)
                input_row(0, 2, NV, columns, like, acc, rows[1] + x, k, weight + hop)
                input_row(0, 3, NV, columns, like, acc, rows[2] + x, k, weight + 2 * hop)
                input_row(0, 4, NV, columns, like, acc, rows[3] + x, k, weight + 3 * hop)
                input_row(0, 5, NV, columns, like, acc, rows[4] + x, k, weight + 4 * hop)
                for t in range(5, K):
                    input_row(0, 6, NV, columns, like, acc, rows[t] + x, k, weight + t * hop)
                input_row(1, 6, NV, columns, like, acc, rows[K] + x, k, weight + K * hop)
                input_row(2, 6, NV, columns, like, acc, rows[K + 1] + x, k, weight + (K + 1) * hop)
                input_row(3, 6, NV, columns, like, acc, rows[K + 2] + x, k, weight + (K + 2) * hop)
                input_row(4, 6, NV, columns, like, acc, rows[K + 3] + x, k, weight + (K + 3) * hop)
                input_row(5, 6, NV, columns, like, acc, rows[K + 4] + x, k, weight + (K + 4) * hop)
                rows += K + 5
            elif K >= 3:
                input_row(0, 1, NV, 0, like, acc, rows[0] + x, k, weight)
                input_row(0, 2, NV, 0, like, acc, rows[1] + x, k, weight + hop)
                input_row(0, 3, NV, 0, like, acc, rows[2] + x, k, weight + 2 * hop)
                for t in range(3, K):
                    input_row(0, 4, NV, 0, like, acc, rows[t] + x, k, weight + t * hop)
                input_row(1, 4, NV, 0, like, acc, rows[K] + x, k, weight + K * hop)
                input_row(2, 4, NV, 0, like, acc, rows[K + 1] + x, k, weight + (K + 1) * hop)
                input_row(3, 4, NV, 0, like, acc, rows[K + 2] + x, k, weight + (K + 2) * hop)
                rows += K + 3
            elif K == 2:
                input_row(0, 1, NV, 0, like, acc, rows[0] + x, k, weight)
                input_row(0, 2, NV, 0, like, acc, rows[1] + x, k, weight + hop)
                input_row(1, 3, NV, 0, like, acc, rows[2] + x, k, weight + 2 * hop)
                input_row(2, 4, NV, 0, like, acc, rows[3] + x, k, weight + 3 * hop)
                input_row(3, 4, NV, 0, like, acc, rows[4] + x, k, weight + 4 * hop)
                rows += 5
            else:
                input_row(0, 1, NV, 0, like, acc, rows[0] + x, k, weight)
                input_row(1, 2, NV, 0, like, acc, rows[1] + x, k, weight + hop)
                input_row(2, 3, NV, 0, like, acc, rows[2] + x, k, weight + 2 * hop)
                input_row(3, 4, NV, 0, like, acc, rows[3] + x, k, weight + 3 * hop)
                rows += 4
            weight += K * hop
        for r in range(R):
            if r < count:
                for v in range(NV):
                    if v == NV - 1 and part:
                        put_first(out + r * pitch + v * VB, acc[r][v], part)
                    else:
                        (<vector*> (out + r * pitch + v * VB))[0] = acc[r][v]


cdef inline inlined tiles_of(const int R, const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part,
                             const char* weight, const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t m) noexcept nogil:
    if m == 1:
        tile_of(R, 1, 0, like, k, rows, x, part, weight, bias, out, pitch, count, 1)
    elif m == 2:
        tile_of(R, 2, 0, like, k, rows, x, part, weight, bias, out, pitch, count, 1)
    elif m == 3 and (R == 1 or (TALL_ACROSS if R == TALLEST else ACROSS) >= 3):
        tile_of(R, 3, 0, like, k, rows, x, part, weight, bias, out, pitch, count, 1)
    elif m == 4 and (R == 1 or (TALL_ACROSS if R == TALLEST else ACROSS) >= 4):
        tile_of(R, 4, 0, like, k, rows, x, part, weight, bias, out, pitch, count, 1)
    elif m == 8 and R == 1:
        tile_of(R, 8, 0, like, k, rows, x, part, weight, bias, out, pitch, count, 1)


cdef inline apart tall_five(const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part, const char* weight,
                            const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count) noexcept nogil:
    tile_of(TALLEST, TALL_ACROSS, 5, like, k, rows, x, part, weight, bias, out, pitch, count, 1)


cdef inline apart tall_seven(const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part, const char* weight,
                             const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count) noexcept nogil:
    tile_of(TALLEST, TALL_ACROSS, 7, like, k, rows, x, part, weight, bias, out, pitch, count, 1)


cdef inline apart tall_any(const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part, const char* weight,
                           const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t m) noexcept nogil:
    tiles_of(TALLEST, like, k, rows, x, part, weight, bias, out, pitch, count, m)


cdef inline void tall_tile(const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part, const char* weight,
                           const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t m) noexcept nogil:
    if VB > 16 and m == TALL_ACROSS and k.near and k.columns == 5:
        tall_five(like, k, rows, x, part, weight, bias, out, pitch, count)
    elif VB > 16 and m == TALL_ACROSS and k.near and k.columns == 7:
        tall_seven(like, k, rows, x, part, weight, bias, out, pitch, count)
    else:
        tall_any(like, k, rows, x, part, weight, bias, out, pitch, count, m)


cdef inline apart low_tile(const vector* like, const Taps* k, const char** rows, Py_ssize_t x, Py_ssize_t part, const char* weight,
                           const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t m) noexcept nogil:
    tiles_of(DOWN, like, k, rows, x, part, weight, bias, out, pitch, count, m)


cdef inline inlined tile_along(const vector* like, const Taps* k, const char** rows, Py_ssize_t c, const char** edge_rows, char* edge,
                               const char* weight, const char* bias, char* out, Py_ssize_t pitch, Py_ssize_t strip, Py_ssize_t count,
                               Py_ssize_t length) noexcept nogil:
    """`count` rows of `length` outputs each, in tiles of `strip` rows: TALLEST, DOWN or 1. c: column that the first tap reads.

    What tiles read that reach beyond the rows is copied to `edge`, with zeros, and `edge_rows` are its rows.
    """
    cdef int size = 8 if vector is vd or vector is vq else 4, lanes = VB // size
    cdef Py_ssize_t x = 0, m, across, part, left, reach, t
    cdef const char** at
    cdef Py_ssize_t begin
    while x < length:
        left = (length - x + lanes - 1) // lanes
        if strip == 1:
            m = 8 if left > 4 else left
        else:
            across = TALL_ACROSS if strip == TALLEST else ACROSS
            m = min(left, across)
            if left == across + 1:
                m = (across + 1) // 2
        part = 0
        if x + m * lanes > length:
            if length >= m * lanes:
                x = length - m * lanes                      # overlaps the tile before
            else:
                m = left
                if strip == 1 and m > 4:
                    m = 4
                part = length - x - (m - 1) * lanes
                if part >= lanes:
                    part = 0
        at, begin = rows, x
        reach = (k.columns - 1) * k.dilation + m * lanes
        if c + x < 0 or c + x + reach > k.width:
            for t in range(k.table):
                if size == 4:
                    pad_row(<pw*> NULL, rows[t] + x * size, c + x, k.width, edge + t * k.edge, reach)
                else:
                    pad_row(<pq*> NULL, rows[t] + x * size, c + x, k.width, edge + t * k.edge, reach)
            at, begin = edge_rows, 0
        if strip == 1:
            tiles_of(1, like, k, at, begin, part, weight, bias, out + x * size, pitch, count, m)
        elif strip == TALLEST and (vector is vf or vector is vd):
            tall_tile(like, k, at, begin, part, weight, bias, out + x * size, pitch, count, m)
        else:
            low_tile(like, k, at, begin, part, weight, bias, out + x * size, pitch, count, m)
        x += m * lanes

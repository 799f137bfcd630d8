"""The other register tile of implicit_gemm: neighbouring pixels on the vector lanes, output channels on the rows.

    out[i, p] = bias[i] + sum_k weight[k, i] * a[offset[k] + p]        i < rows, p in one or two vectors

Sums go from the registers to the output's planes, so there is nothing to transpose: pays for few products. It needs
pixels in long runs. The order of additions is that of tile.pxd, and so are the bits.
weight  [k][pitch], the output channels of one piece.
ahead   how many products ahead pixels are asked for; 0: those of the next tile.
next    bytes from a tile's pixels to the next tile's.
copy    where a tile that `copies` leaves its pixels, each product's in room for two vectors: the other output channels read them there,
        side by side, instead of in planes far apart.
way     how sums are written. PAST: past the caches; whole lines only, that is vectors at multiples of VB. A line so written must
        not be written otherwise soon before or after, or else it has to be fetched. So one that two tiles of one vector share is
        first put together in `joint`, rows of two vectors: KEPT puts the lanes from `lo` on there, JOINED the others,
        behind the `lo` kept ones, and writes the line. PARTLY writes lanes `lo` to `hi` where nobody has the others.
"""
from libc.stdint cimport int32_t
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, fetch, lanes, own, put_some, stream, unknown
from cyconv.cpu.simd cimport VB, inlined, splat, vf
from cyconv.cpu.tile cimport LINE_BYTES, LONE_TILE, SOON, TALLEST_TILE, TILE_ROWS, apart


cdef extern from *:
    """
    #define CY_FEWEST_COPY (3 * CY_TILE_ROWS / 4)
    """
    enum:
        FEWEST_COPY "CY_FEWEST_COPY"    # rows of a tile that copies: one of several nearly equal pieces


cdef enum Way:
    PLAINLY
    PAST
    PARTLY
    KEPT
    JOINED


cdef struct Target:                     # where sums go, of so many tiles one behind the other
    Py_ssize_t tiles
    char* out
    Py_ssize_t plane
    Way way
    bint early                          # lines that are not written PAST are asked for before the products are summed
    Py_ssize_t lo, hi
    char* joint
    Py_ssize_t next
    char* copy


cdef inline inlined wide_of(const int rows, const int vectors, const bint copies, const lanes* like, Py_ssize_t products, const char* a,
                            const int32_t* offset, const char* weight, Py_ssize_t pitch, Py_ssize_t ahead, const char* bias,
                            const Target* to) noexcept nogil:
    """`rows`, `vectors` and `copies` are constants once inlined. pitch and plane in bytes."""
    cdef lanes[LONE_TILE][2] acc
    cdef lanes x0, x1, w
    cdef const char* at
    cdef const char* wk
    cdef char* out
    cdef Way way
    cdef Py_ssize_t plane, lo, hi
    cdef char* joint
    cdef char* copy = to.copy
    cdef Py_ssize_t k, done, lane = LANES_F if lanes is vf else LANES_D
    cdef int i, _i, size = 4 if lanes is vf else 8
    cdef const char* soon = a + (0 if ahead else vectors * VB) + VB - size      # a vector may end in the next line
    cdef const int32_t* ask = offset + ahead
    for done in range(unknown(to.tiles)):       # the next tile's first products do not wait for this one's last
        out = to.out + done * vectors * VB
        way, plane = to.way, to.plane
        if to.early and (way == PLAINLY or way == PARTLY):
            for _i in range(rows):
                own(out)
                if vectors == 2:
                    own(out + VB)
                out += plane
        for i in range(rows):
            w = splat(bias + i * size, like)
            acc[i][0] = w
            acc[i][1] = w
        wk = weight
        for k in range(products):
            at = <const char*> unknown(<Py_ssize_t> (a + offset[k]))
            x0 = (<const lanes*> at)[0]
            if vectors == 2:
                x1 = (<const lanes*> (at + VB))[0]
            if copies:
                (<lanes*> copy)[0] = x0
                if vectors == 2:
                    (<lanes*> (copy + VB))[0] = x1
                copy += 2 * VB
            at = soon + ask[k]
            fetch(at)
            if vectors == 2 and VB == 64:
                fetch(at + VB)
            if VB == 64 and rows > 8:           # pixels of many products drive weights out of a first-level cache; others have no load to spare
                fetch(wk + SOON * pitch)
                if rows * size > LINE_BYTES:
                    fetch(wk + SOON * pitch + LINE_BYTES)
            for i in range(rows):
                w = splat(wk + i * size, like)
                acc[i][0] = acc[i][0] + w * x0
                if vectors == 2:
                    acc[i][1] = acc[i][1] + w * x1
            wk += pitch
        to = <const Target*> unknown(<Py_ssize_t> to)   # or else what follows is kept in registers meanwhile, which the loop needs
        out = to.out + done * vectors * VB
        way, plane, lo, hi, joint = to.way, to.plane, to.lo, to.hi, to.joint
        if way == PAST:
            for i in range(rows):
                stream(out + i * plane, <vf> acc[i][0])
                if vectors == 2:
                    stream(out + i * plane + VB, <vf> acc[i][1])
        elif vectors == 1 and way == PARTLY:
            for i in range(rows):
                put_some(out + i * plane, acc[i][0], lo, hi)
        elif vectors == 1 and way == KEPT:
            for i in range(rows):
                put_some(joint + 2 * VB * i - lo * size, acc[i][0], lo, lane)
        elif vectors == 1 and way == JOINED:
            for i in range(rows):
                (<lanes*> (joint + 2 * VB * i + lo * size))[0] = acc[i][0]
                stream(out + i * plane - lo * size, (<const vf*> (joint + 2 * VB * i))[0])
        else:
            for i in range(rows):
                (<lanes*> (out + i * plane))[0] = acc[i][0]
                if vectors == 2:
                    (<lanes*> (out + i * plane + VB))[0] = acc[i][1]
        a += to.next
        soon += to.next


cdef inline inlined wide_rows(int rows, const int vectors, const bint copies, const int least, const lanes* like, Py_ssize_t products,
                              const char* a, const int32_t* offset, const char* weight, Py_ssize_t pitch, Py_ssize_t ahead, const char* bias,
                              const Target* to) noexcept nogil:
    """Tiles of at least so many rows exist. The tallest come first, and in short chains: behind many conditions the compiler takes code
    for rare, and neither unrolls it nor keeps all of its sums in registers (measured: 0.9 to 0.95)."""
    if vectors == 1 and not copies and rows > TALLEST_TILE:
        if rows == 16 and TILE_ROWS == TALLEST_TILE:
            wide_of(16, 1, False, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 15 and TILE_ROWS == TALLEST_TILE:
            wide_of(15, 1, False, like, products, a, offset, weight, pitch, ahead, bias, to)
    elif rows > 7:
        if rows == 14 and least <= 14 and TILE_ROWS >= 14:
            wide_of(14, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 13 and least <= 13 and TILE_ROWS >= 13:
            wide_of(13, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 12 and least <= 12 and TILE_ROWS >= 12:
            wide_of(12, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 11 and least <= 11 and TILE_ROWS >= 11:
            wide_of(11, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 10 and least <= 10 and TILE_ROWS >= 10:
            wide_of(10, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 9 and least <= 9 and TILE_ROWS >= 9:
            wide_of(9, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 8 and least <= 8 and TILE_ROWS >= 8:
            wide_of(8, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
    else:
        if rows == 7 and least <= 7 and TILE_ROWS >= 7:
            wide_of(7, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 6 and least <= 6:
            wide_of(6, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 5 and least <= 5:
            wide_of(5, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 4 and least <= 4:
            wide_of(4, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 3 and least <= 3:
            wide_of(3, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 2 and least <= 2:
            wide_of(2, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)
        elif rows == 1 and least <= 1:
            wide_of(1, vectors, copies, like, products, a, offset, weight, pitch, ahead, bias, to)


cdef inline apart wide_pair(int rows, const lanes* like, Py_ssize_t products, const char* a, const int32_t* offset, const char* weight,
                           Py_ssize_t pitch, Py_ssize_t ahead, const char* bias, const Target* to) noexcept nogil:
    wide_rows(rows, 2, False, 1, like, products, a, offset, weight, pitch, ahead, bias, to)


cdef inline apart wide_single(int rows, const lanes* like, Py_ssize_t products, const char* a, const int32_t* offset, const char* weight,
                             Py_ssize_t pitch, Py_ssize_t ahead, const char* bias, const Target* to) noexcept nogil:
    wide_rows(rows, 1, False, 1, like, products, a, offset, weight, pitch, ahead, bias, to)


cdef inline apart copy_pair(int rows, const lanes* like, Py_ssize_t products, const char* a, const int32_t* offset, const char* weight,
                           Py_ssize_t pitch, Py_ssize_t ahead, const char* bias, const Target* to) noexcept nogil:
    wide_rows(rows, 2, True, FEWEST_COPY, like, products, a, offset, weight, pitch, ahead, bias, to)


cdef inline apart copy_single(int rows, const lanes* like, Py_ssize_t products, const char* a, const int32_t* offset, const char* weight,
                             Py_ssize_t pitch, Py_ssize_t ahead, const char* bias, const Target* to) noexcept nogil:
    wide_rows(rows, 1, True, FEWEST_COPY, like, products, a, offset, weight, pitch, ahead, bias, to)

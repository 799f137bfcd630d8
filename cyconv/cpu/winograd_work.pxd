"""What one call of Winograd's algorithm is to do: which axes it transforms in what tiles, sizes, and where the parts of a thread's scratch begin.

A tile's outputs are `dilation` apart. A strip are the m * dilation outputs along an axis that as many tiles share as the dilation
says, or what is left of them at the end; one tile, if there is no dilation. A segment is a run of strips next to each other
along x, all of one row of tiles of one plane; a block is a run of segments.
"""
from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.packing cimport Axis, Mode
from cyconv.cpu.simd cimport VB
from cyconv.cpu.tile cimport ceil_div, cut
from libc.stdint cimport int32_t


cdef enum:
    MOST = 8                            # points of a tile
    LARGEST = 6                         # outputs of a tile along one axis
    NEAR_BYTES = 3 << 19                # of transformed weights of a group that stay in a second-level cache, or nearly: then one
                                        # panel after the other reads all of V, and its M is soon used; else one frequency
                                        # after the other is computed for all panels, and nothing is read twice
    BLOCK_BYTES = 448 * 1024            # of V and one panel's M, which stay in that cache, too
    WEIGHT_SHARE = 8                    # or this part of the weights, where every block transforms them;
    ALONE_SHARE = 2                     # more if all tiles are one block then, which is the only one to transform them,
    ALONE_BYTES = 11 << 18              # and does not leave that cache by much
    FAR_V_BYTES = 1 << 20               # of a V that does not stay in a second-level cache beside pieces of weights
    READ_SHARE = 2                      # of V and all M: this part of the weights, which every block reads once
    MOST_BLOCK_BYTES = 4 << 20
    FARTHEST_BYTES = 40 << 20           # of transformed weights that may be kept: reading more from memory takes longer than transforming
    KEPT_BYTES = 8 << 20                # of transformed weights that a Plan keeps in any case; more only for
    FEW_TILES = 16                      # so many tiles, whose products take as long as reading them
    FEW_BLOCKS = 2                      # for which weights of a single call are transformed again, rather than written and read
    WEIGHT_TILES = 8                    # whose products take as long as transforming a weight for one more point,
    FEW_WEIGHT_TILES = 2                # and where that takes place in registers;
    SHARED_BYTES = 1 << 20              # of weights of a group, which every thread may well read: a second-level cache holds them;
    SHARED_TILES = 28                   # NEAR_BYTES, with so many tiles for each thread: it computes long between reading them;
    MANY_SHARED_BYTES = 4 << 20         # or this, with twice as many
    FULL_TILE = 14                      # tiles that a block of its own is worth: a register tile of level v4
    PIECE_BYTES = 320 * 1024            # of weights transformed piece by piece
    CHUNK_PLANES = 256                  # of V, where all of them would leave room for too few tiles in a block:
    MANY_PLANES = 768                   # so many at least; in a Plan, which has transformed weights otherwise,
    VERY_MANY_PLANES = 1536             # so many
    CHUNKED_BYTES = 10 << 20            # of a chunk's V, and all M
    FEWEST_TILES = 6                    # of a block, for which U is made in registers (winograd_few.pxd),
    FEW_PLANES = 32                     # from kernels of so many planes, which stay in a first-level cache meanwhile
    KERNELS_AHEAD = 8                   # planes between the weights in use and those that are asked for
    PAST_BYTES = 8 << 20                # of outputs that no cache would keep,
    PAST_PLANES = 24                    # with enough to compute meanwhile
    CHUNK = 16                          # tiles whose outputs stay in a first-level cache until they are written
    PANEL = 2 * VB                      # bytes of one number of each output channel of a panel


cdef struct Work:
    Blocks b                            # kinds and sizes of numbers; its blocks are not used
    Mode mode
    Py_ssize_t batch, groups
    Py_ssize_t planes                   # k: channels, times taps that are not transformed
    Py_ssize_t rows                     # output channels of a group, real and imaginary parts counted apart
    Py_ssize_t panels
    Py_ssize_t taps                     # of a plane: 3 or 9
    int my, mx, ny, nx                  # outputs and points of a tile
    Py_ssize_t frequencies
    int y_axis, z_axis                  # of the problem: a kernel without extent along y is transformed along z instead
    Py_ssize_t[3] n                     # all along z, y, x
    Py_ssize_t[3] out
    Py_ssize_t[3] pad
    Py_ssize_t[3] stride
    Py_ssize_t[3] dilation
    Py_ssize_t[3] kernel                # taps that are not transformed
    Py_ssize_t[3] step                  # bytes between neighbours in the input
    Py_ssize_t[3] out_step              # numbers between neighbours in the output
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    Axis x                              # as gather_row wants it
    Py_ssize_t dy, dx                   # dilation of the axes that are transformed, or 1
    Py_ssize_t y_tiles                  # tiles along y
    Py_ssize_t strips, pieces           # along x, and runs of them
    Py_ssize_t segments                 # runs in all
    Py_ssize_t together                 # segments of a block
    Py_ssize_t blocks
    Py_ssize_t all_tiles                # of a group
    Py_ssize_t longest                  # tiles of the longest segment,
    Py_ssize_t tiles                    # of the largest block
    Py_ssize_t slots                    # its tiles, and those between segments that are none
    Py_ssize_t width                    # outputs of the longest segment
    Py_ssize_t pitch                    # numbers from plane to plane in V
    Py_ssize_t v_step                   # bytes from frequency to frequency in V
    Py_ssize_t m_step                   # and in M
    Py_ssize_t line                     # bytes of one row of all segments of a block
    bint straight                       # outputs of a segment's row are neighbours in memory, and as they are computed
    bint near                           # rows are contiguous, padding is zeros
    Py_ssize_t next                     # bytes to what is read next, if that can be told
    bint whole                          # and so are those of all rows of a segment
    bint past                           # outputs are written past the caches, which they would only fill
    bint by_panel                       # one panel after the other; else one frequency after the other
    bint fused                          # weights are transformed piece by piece,
    bint few                            # or in registers, for the few tiles of a block;
    Py_ssize_t each                     # bytes of the transformed weights of a group
    Py_ssize_t many                     # bytes of all transformed weights, as level v4 has them
    bint packed                         # from plain ones that stand in the order of panels
    bint own                            # each thread transforms all of them, before its first block: another's come from its cache
    Py_ssize_t piece                    # planes of such a piece
    Py_ssize_t chunks                   # of planes, one V after the other
    Py_ssize_t chunk                    # planes of the largest one
    # parts of a thread's scratch: where they begin
    Py_ssize_t at_v, at_index, at_list, at_ready, at_m, at_lines, at_sums, at_put, at_u, room
    const char* input
    const char* weight
    const char* bias
    char* out_data
    const int32_t* offset
    char* spoiled                       # set to 1 where a result is not finite


cdef struct Ready:                      # what stands in a thread's scratch
    bint weights                        # U, where each thread has its own
    Py_ssize_t tiles                    # of the block whose V it is; 0 if there is none


cdef struct Segment:
    Py_ssize_t n, z, y, rows, x, columns, tiles     # batch item, first output, outputs, tiles
    Py_ssize_t line                     # bytes: where it begins in the lines
    Py_ssize_t begin, count             # bytes of a row that are not padding: where they begin, how many
    Py_ssize_t first, last              # rows that are not padding
    Py_ssize_t row                      # of the input: the first of the rows, padding counted
    const char* src                     # of group 0, plane 0: column `begin` of row 0


cdef inline Py_ssize_t u_step(Py_ssize_t planes) noexcept nogil:
    """Bytes from frequency to frequency of a panel of U: never a power of two, or all of them would share a cache's few lines."""
    return planes * PANEL + 64


cdef inline Py_ssize_t tiles_along(Py_ssize_t out, Py_ssize_t dilation, int m) noexcept nogil:
    """Tiles of m outputs along an axis: those of whole strips, and of the one that is left."""
    cdef Py_ssize_t whole = out // (m * dilation)
    return whole * dilation + min(out - whole * m * dilation, dilation)


cdef inline Py_ssize_t numbers_of(const Work* w, Py_ssize_t columns) noexcept nogil:
    """What all tiles of so many columns of outputs read of a row, those included that the last ones have no use for."""
    return (ceil_div(columns, w.mx * w.dx) * w.mx + w.nx - w.mx) * w.dx


cdef inline Segment segment_of(const Work* w, Py_ssize_t s) noexcept nogil:
    cdef Segment g
    cdef Py_ssize_t p = s % w.pieces, t, strip = w.mx * w.dx
    s //= w.pieces
    t = s % w.y_tiles
    s //= w.y_tiles
    g.n, g.z = s // w.out[0], s % w.out[0]
    g.y = t // w.dy * w.my * w.dy + t % w.dy
    g.rows = min(ceil_div(w.out[1] - g.y, w.dy), <Py_ssize_t> w.my)
    g.x = strip * cut(w.strips, p, w.pieces)
    g.columns = min(strip * cut(w.strips, p + 1, w.pieces), w.out[2]) - g.x
    g.tiles = tiles_along(g.columns, w.dx, w.mx)
    return g


cdef inline Py_ssize_t points(Py_ssize_t out, Py_ssize_t dilation, int m) noexcept nogil:
    """Of all tiles of m outputs along an axis."""
    return tiles_along(out, dilation, m) * (m + 2)


cdef inline bint is_few(int my, int mx, double tiles) noexcept nogil:
    """Whether so many tiles are multiplied with U in registers."""
    return my == 4 and mx == 4 and tiles <= FEWEST_TILES


cdef inline void best_tile(Py_ssize_t runs, Py_ssize_t out_y, Py_ssize_t dy, bint ty, Py_ssize_t out_x, Py_ssize_t dx, bint tx, int* best) noexcept nogil:
    """The tile (along y, x) with the least to multiply for so many outputs, of which there are so many runs, and for the weights:
    of equals, the smaller one, whose errors are smaller. Tiles of 6 only for an axis alone: in two axes their errors would
    be seven times those of 4x4, and they would not be quicker. Tiles of 3 only with others of 3: that is code enough."""
    cdef double cost, least = -1
    cdef int my, mx, n, largest = 4 if ty and tx else 6
    best[0] = best[1] = 1
    for my in range(2 if ty else 1, (largest if ty else 1) + 1):
        for mx in range(2 if tx else 1, (largest if tx else 1) + 1):
            if my == 5 or mx == 5 or ty and tx and (my == 3) != (mx == 3):
                continue
            cost = <double> runs * (points(out_y, dy, my) if ty else out_y) * (points(out_x, dx, mx) if tx else out_x)
            n = (my + 2 if ty else 1) * (mx + 2 if tx else 1)
            cost += FEW_WEIGHT_TILES * n if ty and tx and is_few(my, mx, cost // n) else WEIGHT_TILES * n
            if least < 0 or cost < least:
                least = cost
                best[0], best[1] = my, mx


cdef inline bint has_tiles(Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t out) noexcept nogil:
    """Whether an axis can be transformed, and any tile then has more than one output."""
    return kernel == 3 and stride == 1 and (dilation == 1 or dilation < out)


cdef inline bint roles(Work* w, object problem) except -1:
    """Which axes are transformed, and how; False if none can be."""
    cdef tuple kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation, out = problem.out_size
    cdef bint tx = has_tiles(kernel[2], stride[2], dilation[2], out[2]), ty
    cdef int[2] best
    w.y_axis = 0 if kernel[1] == 1 and has_tiles(kernel[0], stride[0], dilation[0], out[0]) else 1
    w.z_axis = 1 - w.y_axis
    ty = has_tiles(kernel[w.y_axis], stride[w.y_axis], dilation[w.y_axis], out[w.y_axis]) and (tx or kernel[2] == 1)
    w.dy = dilation[w.y_axis] if ty else 1
    w.dx = dilation[2] if tx else 1
    best_tile(problem.batch * out[w.z_axis], out[w.y_axis], w.dy, ty, out[2], w.dx, tx, best)
    w.my, w.mx = best[0], best[1]
    w.nx = w.mx + 2 if tx else 1
    w.ny = w.my + 2 if ty else 1
    w.frequencies = w.nx * w.ny
    w.taps = (3 if tx else 1) * (3 if ty else 1)
    return tx or ty

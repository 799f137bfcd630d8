"""Winograd's minimal filtering: kernels of 3 taps and stride 1, in tiles of m outputs along each transformed axis.

    Y = A^T [ sum_k (G g_k G^T) * (B^T x_k B) ] A + bias

k counts input planes: channels, times the taps along axes that are not transformed (3-d kernels; 5x3 kernels; strides).
With points p, A^T[i, j] = p_j**i, row j of B^T holds the coefficients of prod_{q != p_j} (t - q), and G[j, i] =
p_j**i / prod_{q != p_j} (p_j - q); the last point is infinity. Tiles of 2 have points 0, 1, -1, tiles of 4 have 0, 1, -1,
1/2, -2: halves keep the errors of 4x4 tiles about 20 times a plain sum's, for 4 times fewer products.

Layout. Tiles form one list: along rows, over rows, planes and batch items; a block is a run of that list.
    V[f][k][tile]           transformed input, f = frequency; what the register tile broadcasts
    U[panel][f][k][lane]    transformed weights, two vectors of output channels to a panel
    M[f][tile][lane]        the products of one panel
Input rows of a block lie side by side while they are transformed, so that small images fill vectors too: between two
runs of tiles stands a slot that is none, and `pick` closes the gaps. Weights are transformed with output channels on
the lanes: all at once if several blocks read them, else piece by piece, each piece used while it is in the cache.
A dilated axis is as many interleaved ones, each with tiles of its own.
Wins for 3x3 kernels from about 8 channels on. A tile's numbers all share its rounding, so the error bound is one of norms.
Threads share out blocks; where there are few, planes while the input of one block is transformed, then panels. No sum
is ever split.
Source: Winograd, Arithmetic Complexity of Computations, SIAM 1980; Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, CVPR 2016; errors: Barabasz, Anderson, Soodhalter, Gregg, Error Analysis and Improving the Accuracy of
Winograd Convolution for Deep Neural Networks, ACM TOMS 46 (2020).
"""
import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from cyconv.cpu.blocks cimport Blocks, choose_kind, input_steps, real_bias, real_matrix
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.packing cimport (
    CIRCULAR, DOUBLE, HALF, REFLECT, REPLICATE, SINGLE, ZEROS, Axis, Mode, gather_row, half, put_stored, source,
)
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, STREAMS, drain, even, fetch, lanes, odd, own, pick, shift_in, stream, transpose
from cyconv.cpu.simd cimport VB, inlined, splat_d, splat_f, vd, vf
from cyconv.cpu.tile cimport TILE_ROWS, ceil_div, cut, tile

from cyconv import costs
from cyconv.memory import empty
from cyconv.threads import workers as worth_workers

cnp.import_array()

cdef double BATCH = 2.0**31             # multiply-adds of the plain sum between two looks at Ctrl-C
cdef double SECONDS_EACH = 8e-12        # of one of those: enough to tell whether a second thread is worth its start

cdef enum:
    MOST = 8                            # points of a tile
    LARGEST = 6                         # outputs of a tile along one axis
    BLOCK_BYTES = 448 * 1024            # transformed input and products of one block and panel: stay in a second-level cache
    WEIGHT_SHARE = 8                    # or this part of the transformed weights, which every block reads once
    MOST_BLOCK_BYTES = 4 << 20
    KEPT_BYTES = 8 << 20                # of weights so few that they are worth transforming ahead for a single block
    FEW_BLOCKS = 3                      # for which weights of a single call are transformed again, rather than written and read
    PIECE_BYTES = 160 * 1024            # of weights transformed piece by piece
    KERNELS_AHEAD = 8                   # planes between the weights in use and those that are asked for
    PAST_BYTES = 8 << 20                # of outputs that no cache would keep,
    PAST_PLANES = 24                    # with enough to compute meanwhile
    CHUNK = 16                          # tiles whose outputs stay in a first-level cache until they are written
    PANEL = 2 * VB                      # bytes of one number of each output channel of a panel


# ---- the transforms --------------------------------------------------------------------------------------------------

cdef inline lanes number(double x, const lanes* like) noexcept nogil:
    if lanes is vf:
        return splat_f(<float> x)
    else:
        return splat_d(x)


cdef inline inlined input_1d(const int m, const lanes* d, lanes* y) noexcept nogil:
    """y = B^T d"""
    cdef lanes u, v, s, w
    if m == 1:
        y[0] = d[0]
    elif m == 2:
        y[0] = d[2] - d[0]
        y[1] = d[1] + d[2]
        y[2] = d[2] - d[1]
        y[3] = d[3] - d[1]
    elif m == 4:
        u = d[4] - d[2]
        v = d[3] - d[1]
        s = u + number(1.5, d) * d[3]
        w = v + number(1.5, d) * d[2]
        y[0] = (d[0] - d[2]) + u + number(1.5, d) * v
        y[1] = s + w
        y[2] = s - w
        y[3] = u + number(2, d) * v
        y[4] = u - number(0.5, d) * v
        y[5] = (d[5] - d[3]) - v + number(1.5, d) * u


cdef inline inlined output_1d(const int m, const lanes* x, lanes* y) noexcept nogil:
    """y = A^T x"""
    cdef lanes a, b
    if m == 1:
        y[0] = x[0]
    elif m == 2:
        y[0] = x[0] + (x[1] + x[2])
        y[1] = (x[1] - x[2]) + x[3]
    elif m == 4:
        a = x[1] + x[2]
        b = x[1] - x[2]
        y[0] = (x[0] + a) + (x[3] + x[4])
        y[1] = (b + number(0.5, x) * x[3]) - number(2, x) * x[4]
        y[2] = (a + number(0.25, x) * x[3]) + number(4, x) * x[4]
        y[3] = ((b + x[5]) + number(0.125, x) * x[3]) - number(8, x) * x[4]


cdef inline inlined weight_1d(const int m, const lanes* g, lanes* y) noexcept nogil:
    """y = G g"""
    cdef lanes s, t
    if m == 1:
        y[0] = g[0]
    elif m == 2:
        s = number(0.5, g) * (g[0] + g[2])
        t = number(0.5, g) * g[1]
        y[0] = -g[0]
        y[1] = s + t
        y[2] = s - t
        y[3] = g[2]
    elif m == 4:
        s = g[0] + g[2]
        y[0] = g[0]
        y[1] = number(1.0 / 3, g) * (s + g[1])
        y[2] = number(1.0 / 3, g) * (g[1] - s)
        y[3] = number(-16.0 / 15, g) * ((g[0] + number(0.5, g) * g[1]) + number(0.25, g) * g[2])
        y[4] = number(1.0 / 15, g) * ((g[0] - number(2, g) * g[1]) + number(4, g) * g[2])
        y[5] = g[2]


# ---- what is to be done ----------------------------------------------------------------------------------------------

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
    Py_ssize_t y_tiles                  # tiles along y: first output and number of outputs of each
    Py_ssize_t* y_first
    Py_ssize_t* y_count
    Py_ssize_t pieces                   # runs of tiles along x: first output, number of outputs
    Py_ssize_t* x_first
    Py_ssize_t* x_count
    Py_ssize_t segments                 # runs of tiles in all
    Py_ssize_t together                 # segments of a block
    Py_ssize_t blocks
    Py_ssize_t tiles                    # of the largest block
    Py_ssize_t slots
    Py_ssize_t width                    # outputs of the longest segment
    Py_ssize_t pitch                    # numbers from plane to plane in V
    Py_ssize_t v_step                   # bytes from frequency to frequency in V
    Py_ssize_t m_step                   # and in M
    Py_ssize_t line                     # bytes of one row of all segments of a block
    bint straight                       # outputs of a tile's row are neighbours in memory, and as they are computed
    bint near                           # rows are contiguous, padding is zeros
    Py_ssize_t next                     # bytes to what is read next, if that can be told
    bint whole                          # and so are those of all rows of a segment
    bint past                           # outputs are written past the caches, which they would only fill
    bint fused                          # weights are transformed piece by piece,
    Py_ssize_t many                     # bytes of all transformed weights, as level v4 has them
    bint packed                         # from plain ones that stand in the order of panels
    Py_ssize_t piece                    # planes of such a piece
    # parts of a thread's scratch: where they begin
    Py_ssize_t at_v, at_index, at_list, at_m, at_lines, at_sums, at_put, at_u, room
    const char* input
    const char* weight
    const char* bias
    char* out_data
    const int32_t* offset
    char* spoiled                       # set to 1 where a result is not finite


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


cdef int best_tile(Py_ssize_t out, Py_ssize_t dilation) noexcept nogil:
    """The tile with the fewest points for so many outputs; of equals, the smaller one, whose errors are smaller."""
    cdef Py_ssize_t r, two = 0, four = 0
    for r in range(min(dilation, out)):
        two += 4 * ceil_div(ceil_div(out - r, dilation), 2)
        four += 6 * ceil_div(ceil_div(out - r, dilation), 4)
    return 4 if four < two else 2


cdef bint roles(Work* w, object problem) except -1:
    """Which axes are transformed, and how; False if none can be."""
    cdef tuple kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation, out = problem.out_size
    cdef bint tx = kernel[2] == 3 and stride[2] == 1, ty
    w.y_axis = 0 if kernel[1] == 1 and kernel[0] == 3 and stride[0] == 1 else 1
    w.z_axis = 1 - w.y_axis
    ty = kernel[w.y_axis] == 3 and stride[w.y_axis] == 1 and (tx or kernel[2] == 1)
    w.mx = best_tile(out[2], dilation[2]) if tx else 1
    w.my = best_tile(out[w.y_axis], dilation[w.y_axis]) if ty else 1
    w.nx = w.mx + 2 if tx else 1
    w.ny = w.my + 2 if ty else 1
    w.frequencies = w.nx * w.ny
    w.taps = (3 if tx else 1) * (3 if ty else 1)
    return tx or ty


cdef object open_work(Work* w, object problem):
    """Everything but the arrays' places. Returns the array that holds the tables, to be kept while `w` is in use."""
    cdef Py_ssize_t a, q, r, i, count, target, total, dy, dx, lane, tiles, longest
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef str mode = problem.padding_mode
    cdef Py_ssize_t each, weights, room
    cdef Py_ssize_t* table
    choose_kind(&w.b, problem.dtype)
    roles(w, problem)
    w.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    w.batch, w.groups = problem.batch, problem.groups
    for a in range(3):
        q = w.z_axis if a == 0 else w.y_axis if a == 1 else 2
        w.n[a], w.out[a], w.pad[a], w.stride[a], w.dilation[a] = size[q], out[q], pad[q], stride[q], dilation[q]
        w.kernel[a] = kernel[q]
    w.out_step[2] = 1
    w.out_step[1] = out[2] if w.y_axis == 1 else out[2] * out[1]
    w.out_step[0] = out[2] if w.z_axis == 1 else out[2] * out[1]
    if w.ny > 1:
        w.kernel[1] = 1
    if w.nx > 1:
        w.kernel[2] = 1
    w.x.n, w.x.pad = w.n[2], w.pad[2]
    dy = w.dilation[1] if w.ny > 1 else 1
    dx = w.dilation[2] if w.nx > 1 else 1
    w.x.stride = dx if w.nx > 1 else w.stride[2]
    w.planes = problem.in_channels * w.b.parts * w.kernel[0] * w.kernel[1]
    w.rows = problem.out_channels * w.b.parts
    lane = VB // w.b.size
    w.panels = ceil_div(w.rows, 2 * lane)
    # how many tiles make a block; counted as level v4 has vectors, and all levels do the same
    each = w.frequencies * (w.planes * w.b.size + 128)
    weights = w.frequencies * w.planes * ceil_div(w.rows * w.b.size, 128) * 128
    target = max(min(max(weights // WEIGHT_SHARE, <Py_ssize_t> BLOCK_BYTES), <Py_ssize_t> MOST_BLOCK_BYTES) // each, <Py_ssize_t> 14)
    room = problem.max_workspace // 2
    target = max(min(target, room // (each + w.my * w.mx * 256 + 2 * w.ny * w.mx * w.b.size)), <Py_ssize_t> 1)
    # the tables
    w.y_tiles = w.pieces = 0
    for r in range(min(dy, w.out[1])):
        w.y_tiles += ceil_div(ceil_div(w.out[1] - r, dy), w.my)
    for r in range(min(dx, w.out[2])):
        w.pieces += ceil_div(ceil_div(ceil_div(w.out[2] - r, dx), w.mx), target)
    tables = np.empty(2 * (w.y_tiles + w.pieces) + 1, np.intp)
    table = <Py_ssize_t*> cnp.PyArray_DATA(<cnp.ndarray> tables)
    w.y_first, w.y_count = table, table + w.y_tiles
    w.x_first, w.x_count = table + 2 * w.y_tiles, table + 2 * w.y_tiles + w.pieces
    q = 0
    for r in range(min(dy, w.out[1])):
        count = ceil_div(w.out[1] - r, dy)
        for i in range(ceil_div(count, w.my)):
            w.y_first[q], w.y_count[q] = r + dy * w.my * i, min(count - w.my * i, <Py_ssize_t> w.my)
            q += 1
    q = longest = 0
    for r in range(min(dx, w.out[2])):
        count = ceil_div(w.out[2] - r, dx)
        tiles = ceil_div(count, w.mx)
        total = ceil_div(tiles, target)
        for i in range(total):
            w.x_first[q] = r + dx * w.mx * cut(tiles, i, total)
            w.x_count[q] = min(count, w.mx * cut(tiles, i + 1, total)) - w.mx * cut(tiles, i, total)
            longest = max(longest, w.x_count[q])
            q += 1
    w.segments = w.batch * w.out[0] * w.y_tiles * w.pieces
    tiles = ceil_div(longest, w.mx)
    w.together = max(target // max(tiles, 1), <Py_ssize_t> 1)
    w.blocks = ceil_div(w.segments, w.together)
    w.together = ceil_div(w.segments, max(w.blocks, 1))
    w.tiles = w.together * tiles
    w.slots = w.together * (tiles + (w.mx > 1))
    w.width = longest
    w.straight = w.b.parts == 1 and w.b.kind != HALF and dx == 1
    w.whole = w.straight and w.pieces == 1 and dy == 1 and w.out_step[1] == w.out[2]
    # memory: V and its index, of which threads may share one; M, lines, sums, put and U, which each thread has
    q = 64 if w.tiles * w.b.size > 32 else 16
    w.pitch = ceil_div(w.tiles * w.b.size, q) * q // w.b.size
    w.v_step = (ceil_div(w.planes * w.pitch * w.b.size, 64) | 1) * 64
    w.m_step = (w.tiles | 1) * PANEL
    q = ceil_div(w.slots, lane)
    w.line = (q * w.mx + 1) * VB
    w.at_v = 0
    w.at_index = w.frequencies * w.v_step + 64
    w.at_list = w.at_index + q * (VB + 64)
    w.at_m = w.at_list + ceil_div(w.together * sizeof(Segment), 64) * 64
    w.at_lines = w.at_m + w.frequencies * w.m_step
    w.at_sums = w.at_lines + 2 * w.ny * w.line + 64
    w.at_put = w.at_sums + w.my * w.width * PANEL
    w.at_u = w.at_put + (0 if w.straight else 2 * lane * w.my * w.width * w.b.size)
    w.piece = max(PIECE_BYTES // (w.frequencies * PANEL), <Py_ssize_t> 8)
    w.piece = ceil_div(w.planes, max(ceil_div(w.planes, w.piece), 1))
    w.packed = False
    w.past = STREAMS and w.straight and w.planes >= PAST_PLANES and problem.outputs * w.b.size >= PAST_BYTES
    w.many = weights * w.groups
    w.fused = w.blocks <= FEW_BLOCKS or w.many > problem.max_workspace
    w.room = ceil_div(w.at_u + (u_step(w.piece) * w.frequencies if w.fused else 0), 64) * 64 + 64
    return tables


# ---- input -------------------------------------------------------------------------------------------------------------

cdef inline Segment segment_of(const Work* w, Py_ssize_t s) noexcept nogil:
    cdef Segment g
    cdef Py_ssize_t p = s % w.pieces, t
    s //= w.pieces
    t = s % w.y_tiles
    s //= w.y_tiles
    g.n, g.z = s // w.out[0], s % w.out[0]
    g.y, g.rows = w.y_first[t], w.y_count[t]
    g.x, g.columns = w.x_first[p], w.x_count[p]
    g.tiles = ceil_div(g.columns, w.mx)
    return g


cdef Py_ssize_t fill_index(const Work* w, Py_ssize_t first, Py_ssize_t last, char* index, Segment* list) noexcept nogil:
    """Lists the segments of a block, and for each vector of slots: which of its lanes are tiles (one vector), and the first
    one's number (64 bytes on). Returns the number of tiles."""
    cdef Py_ssize_t s, slot = 0, tiles = 0, t, lane = VB // w.b.size, filled = 0, at, columns, rows
    cdef Segment* g
    for s in range(last - first):
        list[s] = segment_of(w, first + s)
        g = list + s
        g.line = slot * w.mx * w.b.size
        at = g.x - w.pad[2]             # used for contiguous rows alone, and padding of zeros
        columns = g.columns + w.nx - w.mx
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


cdef inline void gather_near(const Work* w, const Segment* g, Py_ssize_t k, Py_ssize_t plane, char* to) noexcept nogil:
    """The rows of plane k that a segment reads, of contiguous ones; padding stands there as zeros from the beginning."""
    cdef Py_ssize_t i, jz, jy, uz, uy
    cdef const char* src
    jy = k % w.kernel[1]
    jz = k // w.kernel[1] % w.kernel[0]
    uz = g.z * w.stride[0] + jz * w.dilation[0] - w.pad[0]
    uy = g.row + jy * w.dilation[1]
    to += g.line + g.begin
    if not 0 <= uz < w.n[0] or w.ny == 1 and not 0 <= uy < w.n[1]:
        for i in range(g.first, g.last):
            memset(to + i * w.line, 0, g.count)
        return
    src = g.src + plane + uz * w.step[0] + uy * w.step[1]
    for i in range(g.first, g.last):
        copy(src + i * w.dilation[1] * w.step[1], to + i * w.line, g.count, w.next)


cdef void gather(const Work* w, const Segment* g, Py_ssize_t k, const char* input, char* to) noexcept nogil:
    """The rows of plane k that a segment reads."""
    cdef Py_ssize_t i, c, jz, jy, uz, uy, q, columns, rows, first, run
    cdef const char* src
    cdef char* row
    jy = k % w.kernel[1]
    jz = k // w.kernel[1] % w.kernel[0]
    c = k // (w.kernel[1] * w.kernel[0])
    uz = source(g.z * w.stride[0] + jz * w.dilation[0] - w.pad[0], w.n[0], w.mode)
    columns = g.columns + w.nx - w.mx
    run = g.tiles * w.mx + w.nx - w.mx
    rows = g.rows + w.ny - w.my
    first = g.x * (1 if w.nx > 1 else w.stride[2]) - w.pad[2]
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
            d[i] = (<const lanes*> (lines + i * line + v * VB))[0]
        input_1d(m, d, e)
        for i in range(m + 2):
            (<lanes*> (to + i * line + v * VB))[0] = e[i]


cdef inline inlined along_of(const int m, const bint gaps, const lanes* like, const char* row, Py_ssize_t vectors, const char* index,
                             Py_ssize_t pitch, char* to, Py_ssize_t v_step) noexcept nogil:
    """The transform along x of one row of slots, its gaps closed. Each load reads just what one store wrote: one across
    two recent stores would wait for both."""
    cdef lanes[MOST] d
    cdef lanes[MOST] e
    cdef lanes t0, t1, t2, t3
    cdef const lanes* h
    cdef Py_ssize_t v, i, at, left
    cdef char* p
    cdef int j, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    for v in range(vectors):
        h = <const lanes*> (row + v * m * VB)
        if m == 1:
            d[0] = h[0]
        elif m == 2:
            d[0] = even(h[0], h[1])
            d[1] = odd(h[0], h[1])
            d[2] = shift_in(d[0], h[2])
            d[3] = shift_in(d[1], odd(h[2], h[2]))
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
        input_1d(m, d, e)
        at = (<const Py_ssize_t*> (index + VB))[0]
        left = pitch - at
        p = to + at * size
        if left >= side:                # what is stored beyond the tiles, the next vector overwrites
            for j in range(1 if m == 1 else m + 2):
                (<lanes*> (p + j * v_step))[0] = pick(e[j], index) if gaps else e[j]
        else:
            for j in range(1 if m == 1 else m + 2):
                t0 = pick(e[j], index) if gaps else e[j]
                at = left * size                        # without a call
                for i in range(at // 16):
                    memcpy(p + j * v_step + i * 16, <char*> &t0 + i * 16, 16)
                if at & 8:
                    memcpy(p + j * v_step + at // 16 * 16, <char*> &t0 + at // 16 * 16, 8)
                if at & 4:
                    memcpy(p + j * v_step + at // 8 * 8, <char*> &t0 + at // 8 * 8, 4)
        index += VB + 64


cdef void transform_plane(const Work* w, const lanes* like, Py_ssize_t k, const char* index, Py_ssize_t vectors, char* lines,
                          char* to) noexcept nogil:
    """V of one plane from the gathered lines of all its segments."""
    cdef int i
    if w.my == 2:
        down_of(2, like, lines, lines + w.ny * w.line, w.line, vectors * w.mx + 1)
        lines += w.ny * w.line
    elif w.my == 4:
        down_of(4, like, lines, lines + w.ny * w.line, w.line, vectors * w.mx + 1)
        lines += w.ny * w.line
    to += k * w.pitch * w.b.size
    for i in range(w.ny):
        if w.mx == 1:
            along_of(1, True, like, lines + i * w.line, vectors, index, w.pitch, to, w.v_step)
        elif w.mx == 2:
            along_of(2, True, like, lines + i * w.line, vectors, index, w.pitch, to, w.v_step)
        elif w.together > 1:
            along_of(4, True, like, lines + i * w.line, vectors, index, w.pitch, to, w.v_step)
        else:
            along_of(4, False, like, lines + i * w.line, vectors, index, w.pitch, to, w.v_step)
        to += w.nx * w.v_step


cdef void transform_input(const Work* w, Py_ssize_t group, const Segment* list, Py_ssize_t segments, Py_ssize_t k, const char* index,
                          char* lines, char* v) noexcept nogil:
    """V of plane k for the listed segments."""
    cdef Py_ssize_t s, slots = 0, plane = group * w.input_step[1] + k // (w.kernel[0] * w.kernel[1]) * w.input_step[2]
    for s in range(segments):
        if w.near:
            gather_near(w, list + s, k, plane, lines)
        else:
            gather(w, list + s, k, w.input + group * w.input_step[1], lines + list[s].line)
        slots += list[s].tiles + (w.mx > 1)
    if w.b.size == 4:
        transform_plane(w, <vf*> NULL, k, index, ceil_div(slots, LANES_F), lines, v)
    else:
        transform_plane(w, <vd*> NULL, k, index, ceil_div(slots, LANES_D), lines, v)


# ---- weights -----------------------------------------------------------------------------------------------------------

cdef inline inlined weights_of(const int my, const int mx, const lanes* g, char* to, Py_ssize_t step) noexcept nogil:
    """One plane's kernel, output channels on the lanes: U of all frequencies."""
    cdef lanes[3][MOST] t
    cdef lanes[3] c
    cdef lanes[MOST] y
    cdef int i, j
    cdef int nx = 1 if mx == 1 else mx + 2, ny = 1 if my == 1 else my + 2, kx = 1 if mx == 1 else 3
    for j in range(kx):
        for i in range(1 if my == 1 else 3):
            c[i] = g[i * kx + j]
        weight_1d(my, c, t[j])
    for i in range(ny):
        for j in range(kx):
            c[j] = t[j][i]
        weight_1d(mx, c, y)
        for j in range(nx):
            (<lanes*> (to + (i * nx + j) * step))[0] = y[j]


cdef void transform_kernels(const Work* w, const lanes* g, Py_ssize_t ahead, Py_ssize_t planes, char* to, Py_ssize_t step) noexcept nogil:
    """U of the kernels of some planes, one after the other; those `ahead` are asked for, unless that is 0."""
    cdef Py_ssize_t k, q
    for k in range(planes):
        if ahead:
            for q in range(w.taps):
                fetch(<const char*> (g + ahead * w.taps + q))
        if w.my == 4 and w.mx == 4:
            weights_of(4, 4, g, to, step)
        elif w.my == 2 and w.mx == 2:
            weights_of(2, 2, g, to, step)
        elif w.my == 2 and w.mx == 4:
            weights_of(2, 4, g, to, step)
        elif w.my == 4 and w.mx == 2:
            weights_of(4, 2, g, to, step)
        elif w.my == 1 and w.mx == 2:
            weights_of(1, 2, g, to, step)
        elif w.my == 1 and w.mx == 4:
            weights_of(1, 4, g, to, step)
        elif w.my == 2 and w.mx == 1:
            weights_of(2, 1, g, to, step)
        elif w.my == 4 and w.mx == 1:
            weights_of(4, 1, g, to, step)
        g += w.taps
        to += PANEL


cdef void columns_to_lanes(const lanes* like, const char* src, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t columns, lanes* to) noexcept nogil:
    """to[q][i] = src[i][q] for i < rows; zeros for the lanes that are left. Rows are `pitch` bytes apart."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t part, i, q, left, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    for part in range(ceil_div(columns, side)):
        q = part * side
        left = columns - q
        if rows == side and left >= side:
            for i in range(side):       # rows lie far apart: no hardware foresees where they go on
                t[i] = (<const lanes*> (src + i * pitch + q * size))[0]
                fetch(src + i * pitch + (q + columns) * size)
        else:
            for i in range(side):
                t[i] = number(0, like)
            for i in range(rows):
                memcpy(&t[i], src + i * pitch + q * size, min(left, side) * size)
        transpose(t)
        for i in range(side):
            to[q + i] = t[i]


cdef void transform_weights(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t k0, Py_ssize_t k1,
                            char* to, Py_ssize_t step) noexcept nogil:
    """U of planes k0 to k1 and one panel of output channels; `step` bytes from frequency to frequency."""
    cdef lanes[9 * LANES_F] t
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t half_panel, batch, k, first, rows, pitch = w.planes * w.taps * size
    for half_panel in range(2):
        first = panel * 2 * side + half_panel * side
        rows = min(max(w.rows - first, 0), side)
        if w.packed:
            transform_kernels(w, <const lanes*> (w.weight + (((group * w.panels + panel) * 2 + half_panel) * w.planes + k0) * w.taps * VB),
                              KERNELS_AHEAD, k1 - k0, to + half_panel * VB, step)
            continue
        for batch in range(ceil_div(k1 - k0, side)):
            k = k0 + batch * side
            columns_to_lanes(like, w.weight + (group * w.rows + first) * pitch + k * w.taps * size, pitch, rows,
                             min(k1 - k, side) * w.taps, t)
            transform_kernels(w, t, 0, min(k1 - k, side), to + (k - k0) * PANEL + half_panel * VB, step)


cdef void pack_weights(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, char* to) noexcept nogil:
    """A panel's plain weights as the transform reads them: [half of the panel][plane][tap][lane]."""
    cdef lanes[9 * LANES_F] t
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t half_panel, batch, k, q, first, columns, pitch = w.planes * w.taps * size
    for half_panel in range(2):
        first = panel * 2 * side + half_panel * side
        for batch in range(ceil_div(w.planes, side)):
            k = batch * side
            columns = min(w.planes - k, side) * w.taps
            columns_to_lanes(like, w.weight + (group * w.rows + first) * pitch + k * w.taps * size, pitch,
                             min(max(w.rows - first, 0), side), columns, t)
            for q in range(columns):
                (<lanes*> (to + ((half_panel * w.planes + k) * w.taps + q) * VB))[0] = t[q]


cdef void ask_weights(const Work* w, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t k0, Py_ssize_t k1, Py_ssize_t part,
                      Py_ssize_t parts) noexcept nogil:
    """Asks for part of the plain weights of a piece, while the one before is in use."""
    cdef Py_ssize_t size = w.b.size, lane = VB // size, i, q
    cdef Py_ssize_t count = k1 - k0 if w.packed else min(w.rows - panel * 2 * lane, 2 * lane)
    cdef const char* src
    for i in range(cut(count, part, parts), cut(count, part + 1, parts)):
        if w.packed:
            src = w.weight + ((group * w.panels + panel) * 2 * w.planes + k0 + i) * w.taps * VB
            for q in range(0, w.taps * VB, 64):
                fetch(src + q)
                fetch(src + w.planes * w.taps * VB + q)
        else:
            src = w.weight + ((group * w.rows + panel * 2 * lane + i) * w.planes + k0) * w.taps * size
            for q in range(0, (k1 - k0) * w.taps * size + 63, 64):
                fetch(src + q)


cdef inline void prepare_panel(const Work* w, Py_ssize_t group, Py_ssize_t panel, char* to) noexcept nogil:
    if w.b.size == 4 and w.fused:
        pack_weights(w, <vf*> NULL, group, panel, to)
    elif w.b.size == 4:
        transform_weights(w, <vf*> NULL, group, panel, 0, w.planes, to, u_step(w.planes))
    elif w.fused:
        pack_weights(w, <vd*> NULL, group, panel, to)
    else:
        transform_weights(w, <vd*> NULL, group, panel, 0, w.planes, to, u_step(w.planes))


# ---- products ----------------------------------------------------------------------------------------------------------

cdef void own_places(const Work* w, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, Py_ssize_t part,
                     Py_ssize_t parts) noexcept nogil:
    """Asks for part of the lines that this panel's outputs will be written to, while there is still something to compute."""
    cdef Py_ssize_t s, q, d, i, size = w.b.size, lane = VB // size, area = w.out[0] * w.out[1] * w.out[2]
    cdef Py_ssize_t dy = w.dilation[1] if w.ny > 1 else 1, row = group * w.rows + panel * 2 * lane
    cdef Py_ssize_t channels = min(w.rows - panel * 2 * lane, 2 * lane), total = (last - first) * channels
    cdef Segment g
    cdef const char* to
    part, parts = cut(total, part, parts), cut(total, part + 1, parts)
    while part < parts:
        g = segment_of(w, first + part // channels)
        d = part % channels
        for i in range(g.rows):
            to = w.out_data + ((g.n * w.groups * w.rows + row + d) * area + g.z * w.out_step[0] + (g.y + dy * i) * w.out_step[1] + g.x) * size
            for q in range(0, g.columns * size + 63, 64):
                own(to + q)
        part += 1


cdef void multiply(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first_segment,
                   Py_ssize_t last_segment, Py_ssize_t tiles, Py_ssize_t k0, Py_ssize_t k1, const char* v, const char* u,
                   Py_ssize_t u_step, char* m) noexcept nogil:
    """M (+)= U V, planes k0 to k1."""
    cdef lanes[2] zero
    cdef Py_ssize_t f, s, first, count = ceil_div(tiles, TILE_ROWS)
    zero[0] = zero[1] = number(0, like)
    for f in range(w.frequencies):
        if w.straight and not w.past and k1 == w.planes:
            own_places(w, group, panel, first_segment, last_segment, f, w.frequencies)
        if w.fused and k1 < w.planes:
            ask_weights(w, group, panel, k1, min(k1 + w.piece, w.planes), f, w.frequencies)
        elif w.fused and panel + 1 < w.panels:
            ask_weights(w, group, panel + 1, 0, min(w.piece, w.planes), f, w.frequencies)
        for s in range(count):
            first = cut(tiles, s, count)
            tile(<int> (cut(tiles, s + 1, count) - first), like, k1 - k0, v + f * w.v_step + first * w.b.size, w.offset + k0,
                 u + f * u_step, <const char*> &zero if k0 == 0 else NULL, m + f * w.m_step + first * PANEL)


# ---- output ------------------------------------------------------------------------------------------------------------

cdef inline inlined tile_out(const int my, const int mx, const lanes* like, const char* m, Py_ssize_t step, const char* bias,
                             char* to, Py_ssize_t row_step, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    """One tile, one vector of channels: M of all frequencies becomes rows x columns sums."""
    cdef lanes[MOST] x
    cdef lanes[MOST][LARGEST] t
    cdef lanes[LARGEST] y
    cdef lanes b = (<const lanes*> bias)[0]
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
                    (<lanes*> (to + i * row_step + j * PANEL))[0] = y[j] + b
            else:
                for j in range(columns):
                    (<lanes*> (to + i * row_step + j * PANEL))[0] = y[j] + b


cdef inline inlined tiles_out(const int my, const int mx, const lanes* like, const char* m, Py_ssize_t step, const char* bias,
                              char* to, Segment* g) noexcept nogil:
    """All tiles of a segment, next to each other."""
    cdef Py_ssize_t t
    for t in range(g.tiles):
        tile_out(my, mx, like, m + t * PANEL, step, bias, to + t * mx * PANEL, g.columns * PANEL, g.rows, g.columns - t * mx)
        tile_out(my, mx, like, m + t * PANEL + VB, step, bias + VB, to + t * mx * PANEL + VB, g.columns * PANEL, g.rows, g.columns - t * mx)


cdef void put_planes(const lanes* like, const char* sums, Py_ssize_t pixels, Py_ssize_t channels, char* out,
                     Py_ssize_t plane, bint past) noexcept nogil:
    """out[d * plane + p] = sums[p][d] for p < pixels and d < channels; plane in bytes. Whole lines of the cache are written
    at once where planes allow that, and past the caches if `past`."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t block, p, d, i, side = LANES_F if lanes is vf else LANES_D, size = VB // side, head = 0
    cdef const char* src
    cdef char* to
    if plane % VB == 0 and <size_t> out % size == 0 and pixels > side:
        head = (VB - <Py_ssize_t> (<size_t> out % VB)) % VB // size
    else:
        past = False
    for block in range((head > 0) + ceil_div(pixels - head, side)):
        p = block * side if head == 0 else 0 if block == 0 else head + (block - 1) * side
        if pixels >= side:
            p = min(p, pixels - side)           # some pixels twice rather than one by one
        d = 0
        while d < channels:
            src = sums + p * PANEL + d * size
            to = out + d * plane + p * size
            if pixels < side:
                for i in range(side):
                    t[i] = number(0, like)
                for i in range(pixels):
                    t[i] = (<const lanes*> (src + i * PANEL))[0]
                transpose(t)
                for i in range(min(side, channels - d)):
                    memcpy(to + i * plane, &t[i], pixels * size)
                d += side
                continue
            for i in range(side):
                t[i] = (<const lanes*> (src + i * PANEL))[0]
                fetch(src + (side + i) * PANEL)
            transpose(t)
            if d + side > channels:
                for i in range(channels - d):
                    (<lanes*> (to + i * plane))[0] = t[i]
            elif past and (p - head) % side == 0:
                for i in range(side):
                    stream(to, (<vf*> &t[i])[0])
                    to += plane
            else:
                for i in range(side):
                    (<lanes*> to)[0] = t[i]
                    to += plane
            d += side


cdef void write_segment(const Work* w, const lanes* like, Segment* g, Py_ssize_t group, Py_ssize_t panel, const char* sums,
                        char* put) noexcept nogil:
    """The sums of one segment to their places in the output."""
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Py_ssize_t area = w.out[0] * w.out[1] * w.out[2], first = panel * 2 * side, channels = min(w.rows - first, 2 * side)
    cdef Py_ssize_t dy = w.dilation[1] if w.ny > 1 else 1, dx = w.dilation[2] if w.nx > 1 else 1
    cdef Py_ssize_t i, d, row = (g.n * w.groups + group) * w.rows + first, place = g.z * w.out_step[0] + g.x
    cdef char* to
    if w.whole and g.columns == w.out[2]:
        put_planes(like, sums, g.rows * g.columns, channels, w.out_data + (row * area + place + g.y * w.out_step[1]) * size, area * size, w.past)
        return
    if w.straight:
        for i in range(g.rows):
            put_planes(like, sums + i * g.columns * PANEL, g.columns, channels,
                       w.out_data + (row * area + place + (g.y + dy * i) * w.out_step[1]) * size, area * size, w.past)
        return
    put_planes(like, sums, g.rows * g.columns, channels, put, g.rows * g.columns * size, False)
    for d in range(channels):
        to = w.out_data + ((row + d) // w.b.parts * area * w.b.parts + (row + d) % w.b.parts) * w.b.stored_size
        for i in range(g.rows):
            put_stored(w.b.kind, put + (d * g.rows + i) * g.columns * size,
                       to + (place + (g.y + dy * i) * w.out_step[1]) * w.b.parts * w.b.stored_size, dx * w.b.parts, g.columns)


cdef void transform_output(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last,
                           const char* m, char* sums, char* put) noexcept nogil:
    cdef Py_ssize_t s, t, part, parts, side = LANES_F if lanes is vf else LANES_D, size = VB // side
    cdef Segment g, chunk
    cdef lanes[2] bias
    bias[0] = bias[1] = number(0, like)
    memcpy(&bias, w.bias + (group * w.rows + panel * 2 * side) * size, min(w.rows - panel * 2 * side, 2 * side) * size)
    for s in range(first, last):
        g = segment_of(w, s)
        parts = max(g.tiles // CHUNK, <Py_ssize_t> 1) if w.straight and g.columns >= 4 * side else 1
        chunk = g
        for part in range(parts):
            t = cut(g.tiles, part, parts)
            chunk.tiles = cut(g.tiles, part + 1, parts) - t
            chunk.x = g.x + t * w.mx
            chunk.columns = min(chunk.tiles * w.mx, g.columns - t * w.mx)
            some_tiles_out(w, like, m, <const char*> &bias, sums, &chunk)
            if not all_finite(sums, chunk.rows * chunk.columns * 2 * side, <int> size):
                w.spoiled[0] = 1
            write_segment(w, like, &chunk, group, panel, sums, put)
            m += chunk.tiles * PANEL
    if w.past:
        drain()


cdef inline void some_tiles_out(const Work* w, const lanes* like, const char* m, const char* bias, char* sums, Segment* g) noexcept nogil:
    if w.my == 4 and w.mx == 4:
        tiles_out(4, 4, like, m, w.m_step, bias, sums, g)
    elif w.my == 2 and w.mx == 2:
        tiles_out(2, 2, like, m, w.m_step, bias, sums, g)
    elif w.my == 2 and w.mx == 4:
        tiles_out(2, 4, like, m, w.m_step, bias, sums, g)
    elif w.my == 4 and w.mx == 2:
        tiles_out(4, 2, like, m, w.m_step, bias, sums, g)
    elif w.my == 1 and w.mx == 2:
        tiles_out(1, 2, like, m, w.m_step, bias, sums, g)
    elif w.my == 1 and w.mx == 4:
        tiles_out(1, 4, like, m, w.m_step, bias, sums, g)
    elif w.my == 2 and w.mx == 1:
        tiles_out(2, 1, like, m, w.m_step, bias, sums, g)
    elif w.my == 4 and w.mx == 1:
        tiles_out(4, 1, like, m, w.m_step, bias, sums, g)


# ---- a block -----------------------------------------------------------------------------------------------------------

cdef void do_panel(const Work* w, const lanes* like, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last,
                   Py_ssize_t tiles, const char* v, char* scratch) noexcept nogil:
    """The outputs of one panel of channels, from V."""
    cdef Py_ssize_t piece, k, step
    cdef char* m = scratch + w.at_m
    if w.fused:
        for piece in range(ceil_div(w.planes, w.piece)):
            k = piece * w.piece
            step = u_step(min(w.piece, w.planes - k))
            transform_weights(w, like, group, panel, k, min(k + w.piece, w.planes), scratch + w.at_u, step)
            multiply(w, like, group, panel, first, last, tiles, k, min(k + w.piece, w.planes), v, scratch + w.at_u, step, m)
    else:
        step = u_step(w.planes)
        multiply(w, like, group, panel, first, last, tiles, 0, w.planes, v, w.weight + (group * w.panels + panel) * w.frequencies * step, step, m)
    transform_output(w, like, group, panel, first, last, m, scratch + w.at_sums, scratch + w.at_put)


cdef void do_some_panel(const Work* w, Py_ssize_t item, Py_ssize_t panel, Py_ssize_t tiles, const char* v, char* scratch) noexcept nogil:
    cdef Py_ssize_t group = item // w.blocks, first = item % w.blocks * w.together, last = min(first + w.together, w.segments)
    if w.b.size == 4:
        do_panel(w, <vf*> NULL, group, panel, first, last, tiles, v, scratch)
    else:
        do_panel(w, <vd*> NULL, group, panel, first, last, tiles, v, scratch)


cdef void do_plane(const Work* w, Py_ssize_t item, Py_ssize_t k, const char* shared, char* scratch) noexcept nogil:
    cdef Py_ssize_t group = item // w.blocks, first = item % w.blocks * w.together, last = min(first + w.together, w.segments)
    transform_input(w, group, <const Segment*> (shared + w.at_list), last - first, k, shared + w.at_index, scratch + w.at_lines, <char*> shared)


cdef Py_ssize_t open_block(const Work* w, Py_ssize_t item, char* shared) noexcept nogil:
    """Lists a block's segments; returns its number of tiles."""
    cdef Py_ssize_t first = item % w.blocks * w.together, last = min(first + w.together, w.segments)
    return fill_index(w, first, last, shared + w.at_index, <Segment*> (shared + w.at_list))


cdef void clear_lines(const Work* w, char* scratch) noexcept nogil:
    """Padding, which is not written again; and slots that are no tiles, which are transformed too and should be cheap."""
    memset(scratch + w.at_lines, 0, 2 * w.ny * w.line)


cdef void do_block(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    cdef Py_ssize_t k, tiles = open_block(w, item, scratch)
    clear_lines(w, scratch)
    for k in range(w.planes):
        do_plane(w, item, k, scratch, scratch)
    for k in range(w.panels):
        do_some_panel(w, item, k, tiles, scratch, scratch)


# ---- what every algorithm offers -----------------------------------------------------------------------------------------

def why_not(problem):
    cdef Work w
    if problem.dtype not in ("float16", "float32", "float64", "complex64", "complex128"):
        return f"its transforms divide, which {problem.dtype} cannot"
    if not roles(&w, problem):
        return "it needs 3 taps and stride 1 along the last axis, or kernels of 3 taps along another one alone"
    if problem.products * 64 >= 2**31:
        return f"sums of {problem.products} products are longer than its 32-bit offsets reach"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    cdef Work w
    tables = open_work(&w, problem)
    return costs.seconds("winograd", amounts(problem)), w.room + w.planes * 4


def tile_sizes(problem):
    """Outputs of a tile along the axes that are transformed."""
    cdef Work w
    roles(&w, problem)
    return tuple([m for m, n in ((w.my, w.ny), (w.mx, w.nx)) if n > 1])


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    tables = open_work(&w, problem)
    parts, size = costs.parts_and_size(problem)
    lane = costs.VECTOR_BYTES // size
    panels = -(-w.rows // (2 * lane))
    tiles = w.segments * w.groups * w.tiles / max(w.together, 1)
    width = w.slots * w.mx / max(w.together, 1)
    vectors = -(-w.slots // lane) * w.blocks * w.groups
    weights = w.groups * w.planes * panels
    return {
        "call": 1,
        "split_weight": w.groups * w.rows * w.planes * w.taps if parts > 1 or problem.dtype == "float16" else 0,
        "weight": weights * (w.frequencies + 2 * w.taps) * (w.blocks if w.fused else 1),
        "weight_read": 0 if w.fused else weights * w.frequencies * w.blocks,
        **costs.gathered(problem, w.segments * w.groups * w.planes * w.ny, w.segments * w.groups * w.planes * w.ny * width, size, 1),
        "input": vectors * w.planes * w.frequencies,
        "tile": tiles / max(w.tiles, 1) * -(-w.tiles // 14) * panels * w.frequencies,
        "fma": tiles * w.planes * panels * 2 * w.frequencies,
        "output": tiles * panels * 2 * w.frequencies,
        "written_row": w.segments * w.groups * panels * 2 * lane * (1 if w.whole else w.my) * (1 if w.straight else 8),
        "written_byte": problem.outputs * parts * size,
        "far_byte": costs.far_bytes(problem, size * parts),
    }


def prepare(problem, weight):
    """The transformed weights [group][panel][frequency][plane][lane], a flat array. If `run` transforms them piece by piece:
    the plain ones [group][half panel, plane, tap, lane]."""
    cdef Work w
    tables = open_work(&w, problem)
    w.fused = w.many > problem.max_workspace or w.blocks < FEW_BLOCKS and w.many > KEPT_BYTES
    return prepared(&w, problem, weight)


def prepare_once(problem, weight):
    """For a single call: weights that only one block reads stay as they are, [group][output channel][plane, tap]."""
    cdef Work w
    tables = open_work(&w, problem)
    return real_matrix(&w.b, problem, weight) if w.fused else prepared(&w, problem, weight)


cdef object prepared(Work* w, object problem, object weight):
    matrix = real_matrix(&w.b, problem, weight)
    cdef Py_ssize_t item, each = w.planes * w.taps * PANEL if w.fused else w.frequencies * u_step(w.planes), items = w.groups * w.panels
    array = empty(items * each // w.b.size, np.float32 if w.b.size == 4 else np.float64)
    cdef char* to = <char*> cnp.PyArray_DATA(<cnp.ndarray> array)
    cdef int workers = worth_workers(2e-10 * items * w.frequencies * w.planes, 1, 1 << 30)
    w.weight = <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix)
    if workers == 1:
        with nogil:
            for item in range(items):
                prepare_panel(w, item // w.panels, item % w.panels, to + item * each)
    else:
        for item in prange(items, nogil=True, num_threads=workers, schedule="static"):
            prepare_panel(w, item // w.panels, item % w.panels, to + item * each)
    return array.reshape(w.groups, -1) if w.fused else array


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous); returns whether it is finite. `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Py_ssize_t a, items, item, first, last, batch, k, tiles
    cdef Py_ssize_t[3] step
    cdef int workers, worker = 0
    cdef double work
    cdef char* base
    cdef char* shared
    cdef int32_t* offset
    cdef char spoiled = 0
    tables = open_work(&w, problem)
    w.spoiled = &spoiled
    w.fused, w.packed = weight.ndim > 1, weight.ndim == 2
    input_steps(&w.b, problem, input, w.input_step, step)
    w.step[0], w.step[1], w.step[2] = step[w.z_axis], step[w.y_axis], step[2]
    w.near = w.b.parts == 1 and w.b.kind != HALF and w.step[2] == w.b.size and w.x.stride == 1 and w.mode == ZEROS
    w.next = w.input_step[2] if w.kernel[0] * w.kernel[1] == 1 else 0
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    start = real_bias(&w.b, problem, bias)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> start)
    w.out_data = <char*> cnp.PyArray_DATA(out)
    items = w.groups * w.blocks
    work = problem.multiply_adds
    workers = worth_workers(work * SECONDS_EACH, w.room, problem.max_workspace)
    space = empty(w.room * workers + ceil_div(w.planes * 4, 64) * 64 + 128, np.uint8)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    offset = <int32_t*> (base + w.room * workers)
    for k in range(w.planes):
        offset[k] = <int32_t> (k * w.pitch * w.b.size)
    w.offset = offset
    batch = <Py_ssize_t> max(<double> items * BATCH / max(work, 1.0), 1.0 * workers)
    if workers == 1 or items >= 4 * workers or items % workers == 0 and items > 0:
        first = 0
        while first < items:
            last = min(first + batch, items)
            if workers == 1:
                with nogil:
                    for item in range(first, last):
                        do_block(&w, item, base)
            else:
                with nogil, parallel(num_threads=workers):
                    worker = threadid()
                    for item in prange(first, last, schedule="dynamic", chunksize=1):
                        do_block(&w, item, base + worker * w.room)
            PyErr_CheckSignals()
            first = last
        return not spoiled
    shared = base
    for item in range(items):
        with nogil:
            tiles = open_block(&w, item, shared)
            with parallel(num_threads=workers):
                worker = threadid()
                clear_lines(&w, base + worker * w.room)
                for k in prange(w.planes, schedule="static"):
                    do_plane(&w, item, k, shared, base + worker * w.room)
                for k in prange(w.panels, schedule="dynamic", chunksize=1):
                    do_some_panel(&w, item, k, tiles, shared, base + worker * w.room)
        PyErr_CheckSignals()
    return not spoiled

"""Winograd's minimal filtering: kernels of 3 taps and stride 1, in tiles of m outputs along each transformed axis.

    Y = A^T [ sum_k (G g_k G^T) * (B^T x_k B) ] A + bias

k counts input planes: channels, times the taps along axes that are not transformed (3-d kernels; 5x3 kernels; strides).
With points p, A^T[i, j] = p_j**i, row j of B^T holds the coefficients of prod_{q != p_j} (t - q), and G[j, i] =
p_j**i / prod_{q != p_j} (p_j - q); the last point is infinity. Tiles of 2 have points 0, 1, -1, tiles of 3 have R, -R, S, -S with
R = 3/8 and S = 41/32, tiles of 4 have 0, P, -P, Q, -Q with P = 21/32 and Q = 49/32. These bound the errors of 4x4 tiles, which
take 4 times fewer products, by 0.7 times what the usual 1/2 or 2 beside 1 would, and those of 3x3 tiles by a third of that;
errors of ordinary data are about twice a plain sum's.

An axis that is transformed alone has tiles of up to 6, with points 0, 1, -1, 2, -2, 1/2, -1/2: their bound is below that of 4x4 tiles.
Tiles of 6x6 are no quicker (measured: 0.87 to 0.99 on v4).

Layout. Tiles form one list: along rows, over rows, planes and batch items; a block is a run of that list.
    V[f][k][tile]           transformed input, f = frequency; what the register tile broadcasts
    U[panel][f][k][lane]    transformed weights, two vectors of output channels to a panel
    M[panel][f][tile][lane] the products: of one panel at a time while weights stay in a second-level cache or are transformed
                            piece by piece, else of all panels, one frequency after the other, so that no weight is read twice
Input rows of a block lie side by side while they are transformed, so that small images fill vectors too: between two
runs of tiles stands a slot that is none, and `pick` closes the gaps. Weights are transformed with output channels on
the lanes: all at once if several blocks read them, else piece by piece, each piece used while it is in the cache; for few
tiles of 4x4 in registers, where they are used (winograd_few.pxd). Many planes come in chunks of V then, which go on with the sums in
M of all panels: otherwise a block would have room for few tiles only, and each block takes a look at all weights.
A dilated axis is as many interleaved ones, each with tiles of its own. Tiles next to each other read neighbours in memory then, and
write them: vectors have tiles on their lanes without a shuffle.
Wins for 3x3 kernels from about 8 channels on. A tile's numbers all share its rounding, so the error bound is one of norms.
Threads share out blocks, smaller ones if those are few and every thread may read all weights; else the panels of each block,
or frequencies and then panels. No sum is ever split.
Source: Winograd, Arithmetic Complexity of Computations, SIAM 1980; Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, CVPR 2016; errors: Barabasz, Anderson, Soodhalter, Gregg, Error Analysis and Improving the Accuracy of
Winograd Convolution for Deep Neural Networks, ACM TOMS 46 (2020).
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport (
    close_plain, input_steps, opened_once, opened_work, real_bias, real_matrix, scratch_space, set_layout,
)
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport CIRCULAR, HALF, REFLECT, REPLICATE, ZEROS
from cyconv.cpu.shuffle cimport STREAMS
from cyconv.cpu.simd cimport VB
from cyconv.cpu.tile cimport SOON, TILE_ROWS, ask_next, ceil_div
from cyconv.cpu.winograd_block cimport Shared, do_block, share_chunks, share_frequency, share_output, share_panel
from cyconv.cpu.winograd_weights cimport prepare_panel
from cyconv.cpu.winograd_work cimport (
    ALONE_BYTES, ALONE_SHARE, BLOCK_BYTES, CHUNKED_BYTES, CHUNK_PLANES, FARTHEST_BYTES, FEWEST_TILES, FEW_BLOCKS, FEW_PLANES,
    FEW_TILES, FULL_TILE, KEPT_BYTES, MANY_PLANES, MANY_SHARED_BYTES, MOST_BLOCK_BYTES, NEAR_BYTES, PANEL, PAST_BYTES, PAST_PLANES,
    PIECE_BYTES, READ_SHARE, SHARED_BYTES, SHARED_TILES, VERY_MANY_PLANES, WEIGHT_SHARE, Ready, Segment, Work, is_few, numbers_of,
    roles, tiles_along, u_step,
)

from cyconv import costs
from cyconv.memory import empty

cnp.import_array()

cdef double SECONDS_EACH = 8e-12        # of one of those: enough to tell whether a second thread is worth its start
cdef double WEIGHT_SECONDS = 5e-9       # of a frequency of the weights of one plane and panel


# ---- what is to be done ----------------------------------------------------------------------------------------------

cdef Py_ssize_t tiles_of_block(const Work* w, Py_ssize_t most, bint by_panel) noexcept nogil:
    """How many tiles make a block that takes at most so many bytes; counted as level v4 has vectors, and all levels do the same."""
    cdef Py_ssize_t panel = 2 * 64, each = w.frequencies * (w.chunk * w.b.size + (panel if by_panel else ceil_div(w.rows * w.b.size, panel) * panel))
    cdef Py_ssize_t wanted = max(w.each // WEIGHT_SHARE, <Py_ssize_t> BLOCK_BYTES) if by_panel else w.each // READ_SHARE
    if by_panel and <double> w.all_tiles * each <= min(w.each // ALONE_SHARE, <Py_ssize_t> ALONE_BYTES):
        wanted = max(wanted, w.all_tiles * each)
    wanted = CHUNKED_BYTES // each if w.chunks > 1 else min(wanted, <Py_ssize_t> MOST_BLOCK_BYTES) // each
    wanted = max((wanted + FULL_TILE // 2) // FULL_TILE, <Py_ssize_t> 1) * FULL_TILE
    return max(min(wanted, most // (each + w.my * w.mx * 256 + 2 * w.ny * w.mx * w.b.size)), <Py_ssize_t> 1)


cdef bint is_far(const Work* w, object problem) except -1:
    """Whether transformed weights are too many to be kept: no cache would hold them, or the workspace does not."""
    return w.many > min(<Py_ssize_t> FARTHEST_BYTES, problem.max_workspace // 2)    # blocks have the other half


cdef bint is_chunked(const Work* w) noexcept nogil:
    """Whether planes come in chunks where weights are transformed piece by piece: V of all of them would leave room for few tiles only."""
    return w.planes >= MANY_PLANES and w.all_tiles > FEWEST_TILES and <double> w.all_tiles * w.frequencies * w.planes * w.b.size > MOST_BLOCK_BYTES


cdef int open_work(Work* w, object problem, int fused) except -1:
    """Everything but the arrays' places; `fused`: whether weights are transformed piece by piece, -1: as a single call had better do."""
    cdef Py_ssize_t a, q, target, lane
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef str mode = problem.padding_mode
    set_layout(&w.b, problem)
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
    w.x.n, w.x.pad, w.x.stride = w.n[2], w.pad[2], w.stride[2]
    w.planes = problem.in_channels * w.b.parts * w.kernel[0] * w.kernel[1]
    w.rows = problem.out_channels * w.b.parts
    lane = VB // w.b.size
    w.panels = ceil_div(w.rows, 2 * lane)
    w.each = w.frequencies * w.planes * ceil_div(w.rows * w.b.size, 128) * 128
    w.many = w.each * w.groups
    w.y_tiles = tiles_along(w.out[1], w.dy, w.my)
    w.strips = ceil_div(w.out[2], w.mx * w.dx)
    w.all_tiles = w.batch * w.out[0] * w.y_tiles * tiles_along(w.out[2], w.dx, w.mx)
    w.fused, w.chunks, w.chunk = fused, 1, w.planes
    if fused < 0:
        w.fused = is_far(w, problem) or is_chunked(w) or is_few(w.my, w.mx, w.all_tiles)
        w.fused = w.fused or ceil_div(w.all_tiles, tiles_of_block(w, problem.max_workspace // 2, True)) <= FEW_BLOCKS
    if w.fused and is_chunked(w):
        w.chunks = ceil_div(w.planes, CHUNK_PLANES)
        w.chunk = ceil_div(w.planes, w.chunks)
    w.few = w.fused and is_few(w.my, w.mx, w.all_tiles)
    w.by_panel = (w.fused or w.each <= NEAR_BYTES) and w.chunks == 1
    target = tiles_of_block(w, problem.max_workspace // 2, w.by_panel)
    # strips of one segment: rather a little more than pieces much smaller than a block
    w.pieces = ceil_div(w.strips, max((target + target // 4) // w.dx, <Py_ssize_t> 1))
    w.segments = w.batch * w.out[0] * w.y_tiles * w.pieces
    w.width = min(ceil_div(w.strips, max(w.pieces, 1)) * w.mx * w.dx, w.out[2])
    w.longest = tiles_along(w.width, w.dx, w.mx)
    w.straight = w.b.parts == 1 and w.b.kind != HALF
    w.whole = w.straight and w.pieces == 1 and w.dy == 1 and w.out_step[1] == w.out[2]
    w.packed = w.own = False
    w.past = STREAMS and w.straight and w.planes >= PAST_PLANES and problem.outputs * w.b.size >= PAST_BYTES
    w.blocks = ceil_div(w.segments, max(target // max(w.longest, 1), <Py_ssize_t> 1))
    lay_out(w)
    return 0


cdef Py_ssize_t open_as_fits(void* work, object problem) except -1:
    open_work(<Work*> work, problem, -1)
    return 0


cdef Py_ssize_t open_whole(void* work, object problem) except -1:
    open_work(<Work*> work, problem, False)
    return 0


cdef Py_ssize_t open_fused(void* work, object problem) except -1:
    open_work(<Work*> work, problem, True)
    return 0


cdef int opened(Work* w, object problem, int fused=-1) except -1:
    """open_work, or a copy of what the problem keeps of it."""
    kept = opened_once(problem, "winograd", sizeof(Work), open_as_fits, close_plain)
    w[0] = (<const Work*> opened_work(kept))[0]
    if fused >= 0 and fused != w.fused:
        if fused:
            kept = opened_once(problem, "winograd, fused", sizeof(Work), open_fused, close_plain)
        else:
            kept = opened_once(problem, "winograd, whole", sizeof(Work), open_whole, close_plain)
        w[0] = (<const Work*> opened_work(kept))[0]
    return 0


cdef void lay_out(Work* w) noexcept nogil:
    """The sizes of a block, given how many there are, and where the parts of a thread's scratch begin."""
    cdef Py_ssize_t q, lane = VB // w.b.size
    w.together = ceil_div(w.segments, max(w.blocks, 1))
    w.tiles = w.together * w.longest
    w.slots = w.together * (w.longest + (w.mx > 1))
    q = 64                              # planes begin where a line does, unless many would end with hardly anything in one
    if ceil_div(w.tiles * w.b.size, 64) * 64 > w.tiles * w.b.size * 5 // 4:
        q = 16
    w.pitch = ceil_div(w.tiles * w.b.size, q) * q // w.b.size
    w.v_step = (ceil_div(w.chunk * w.pitch * w.b.size, 64) | 1) * 64
    w.m_step = ((ceil_div(w.tiles, 2) * 2 if w.few else w.tiles) | 1) * PANEL
    q = ceil_div(w.slots, lane)
    w.line = (q * w.mx + 1) * VB if w.dx == 1 else (ceil_div(w.together * numbers_of(w, w.width), lane) + 1) * VB
    w.at_v = 0
    w.at_index = w.frequencies * w.v_step + 64
    w.at_list = w.at_index + q * (VB + 64)
    w.at_ready = w.at_list + ceil_div(w.together * sizeof(Segment), 64) * 64
    w.at_m = w.at_ready + 64
    w.at_lines = w.at_m + (1 if w.by_panel else w.panels) * w.frequencies * w.m_step
    w.at_sums = w.at_lines + 2 * w.ny * w.line + 64
    w.at_put = w.at_sums + w.my * w.width * PANEL
    w.at_u = w.at_put + (0 if w.straight else 2 * lane * w.my * w.width * w.b.size)
    w.piece = max(PIECE_BYTES // (w.frequencies * PANEL), <Py_ssize_t> 8)
    w.piece = ceil_div(w.chunk, max(ceil_div(w.chunk, w.piece), 1)) if w.fused else w.chunk
    w.room = ceil_div(w.at_u + (few_bytes(w) if w.few else u_step(w.piece) * w.frequencies if w.fused else whole_u(w) if w.own else 0), 64) * 64 + 64


cdef Py_ssize_t few_bytes(const Work* w) noexcept nogil:
    """Of the kernels of some planes and one vector of output channels, which come in squares."""
    return ceil_div(FEW_PLANES * w.taps * w.b.size, VB) * VB // w.b.size * VB


cdef Py_ssize_t whole_u(const Work* w) noexcept nogil:
    """Bytes of the transformed weights of a group, as this level has them."""
    return w.panels * w.frequencies * u_step(w.planes)


cdef Py_ssize_t shared_bytes(const Work* w, int workers) noexcept nogil:
    """So many bytes of transformed weights may every thread read."""
    if w.all_tiles >= 2 * workers * SHARED_TILES:
        return MANY_SHARED_BYTES
    return NEAR_BYTES if w.all_tiles >= workers * SHARED_TILES else SHARED_BYTES


cdef bint may_own(const Work* w, int workers) noexcept nogil:
    return not w.few and w.chunks == 1 and w.groups == 1 and w.each <= NEAR_BYTES and whole_u(w) <= shared_bytes(w, workers)


cdef bint divide(Work* w, int workers) noexcept nogil:
    """Smaller blocks, where there are too few for the threads and weights are not worth more than a look each time; returns
    whether threads take blocks, or else share each of them."""
    cdef Py_ssize_t items = w.groups * w.blocks, most
    if workers == 1:
        return True
    if items < 4 * workers and not w.fused and w.each <= shared_bytes(w, workers):
        most = w.segments // ceil_div(<Py_ssize_t> FULL_TILE, max(w.longest, 1))
        most = min(ceil_div(8 * workers, w.groups), most)
        if w.groups == 1:
            most -= most % workers      # as many for each
        w.blocks = max(most, w.blocks)
        lay_out(w)
        items = w.groups * w.blocks
    return items >= 4 * workers or items % workers == 0 and items > 0


# ---- what every algorithm offers -------------------------------------------------------------------------------------

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
    opened(&w, problem)
    alone = w.room + (0 if w.fused else w.many)
    opened(&w, problem, True)
    room = max(alone, w.room)
    opened(&w, problem, False)
    return costs.seconds("winograd", amounts(problem)), max(room, w.room) + (w.planes + SOON) * 4 + costs.converted_weights(problem)


def tile_sizes(problem):
    """Outputs of a tile along the axes that are transformed."""
    cdef Work w
    roles(&w, problem)
    return tuple([m for m, n in ((w.my, w.ny), (w.mx, w.nx)) if n > 1])


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    opened(&w, problem)
    return work_of(&w, problem)


def planned_amounts(problem):
    """That of a Plan's calls."""
    cdef Work w
    opened(&w, problem)
    w.fused = keeps_plain(&w, problem)
    opened(&w, problem, w.fused)
    w.packed = w.fused
    work = work_of(&w, problem)
    if not w.fused:
        work["weight"] = work["split_weight"] = 0
    return work


cdef bint keeps_plain(const Work* w, problem) except -1:
    """Whether a Plan keeps weights as they are, and `run` transforms them piece by piece."""
    if is_far(w, problem) or w.planes >= VERY_MANY_PLANES and is_chunked(w) or w.all_tiles < FEW_TILES and w.many > KEPT_BYTES:
        return True
    return w.many > NEAR_BYTES and is_few(w.my, w.mx, w.all_tiles)


cdef dict work_of(const Work* w, problem):
    parts, size = costs.parts_and_size(problem)
    lane = costs.VECTOR_BYTES // size
    panels = -(-w.rows // (2 * lane))
    tiles = w.segments * w.groups * w.tiles / max(w.together, 1)
    width = w.slots * w.mx / max(w.together, 1)
    vectors = -(-w.slots // lane) * w.blocks * w.groups
    if w.dx > 1:
        width = numbers_of(w, w.width)
        vectors = w.segments * w.groups * ceil_div(w.width, w.mx * w.dx) * -(-w.dx // lane)
    weights = w.groups * w.planes * panels
    if w.few:
        tiles += (w.segments * w.groups / max(w.together, 1)) * (w.tiles % 4 == 3)       # registers hold one, two or four
    split = parts > 1 or problem.dtype == "float16"
    return {
        "call": 1,
        "split": 1 if split else 0,
        "split_weight": w.groups * w.rows * w.planes * w.taps if split else 0,
        "summed_again": tiles * panels * w.frequencies * (w.chunks - 1),
        "weight": 0 if w.few else weights * (w.frequencies + 2 * w.taps) * (w.blocks if w.fused else 1),
        "few": weights * w.blocks * ceil_div(w.tiles, 4) if w.few else 0,
        "turned": weights * w.blocks if w.few and not w.packed else 0,
        "weight_read": 0 if w.fused else weights * w.frequencies * w.blocks,
        **costs.gathered(problem, w.segments * w.groups * w.planes * w.ny, w.segments * w.groups * w.planes * w.ny * width, size, 1),
        "input": vectors * w.planes * w.frequencies,
        "tile": 0 if w.few else tiles / max(w.tiles, 1) * ceil_div(w.tiles, FULL_TILE) * panels * w.frequencies,
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
    opened(&w, problem)
    w.fused = keeps_plain(&w, problem)
    return prepared(&w, real_matrix(&w.b, problem, weight))


def prepare_once(problem, weight):
    """For a single call: weights that `run` transforms itself stay as they are, [group][output channel][plane, tap]."""
    cdef Work w
    opened(&w, problem)
    matrix = real_matrix(&w.b, problem, weight)
    return matrix if w.fused or may_own(&w, 1) else prepared(&w, matrix)


cdef struct Prepared:
    const Work* w
    char* at
    Py_ssize_t each                     # bytes of a panel


cdef void prepare_item(const Prepared* to, Py_ssize_t item, char* scratch) noexcept nogil:
    prepare_panel(to.w, item // to.w.panels, item % to.w.panels, to.at + item * to.each)


cdef object prepared(Work* w, object matrix):
    cdef Py_ssize_t each = w.planes * w.taps * PANEL if w.fused else w.frequencies * u_step(w.planes), items = w.groups * w.panels
    array = empty(items * each // w.b.size, np.float32 if w.b.size == 4 else np.float64)
    cdef Prepared to
    cdef double seconds = WEIGHT_SECONDS * items * w.frequencies * w.planes
    cdef int workers = worth_workers(seconds, 1, 1 << 30)
    w.weight = <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix)
    to.w, to.at, to.each = w, <char*> cnp.PyArray_DATA(<cnp.ndarray> array), each
    run_items(<Item> prepare_item, &to, items, <double> items * each, workers, NULL, 0, False)
    return array.reshape(w.groups, -1) if w.fused else array


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous); returns whether it is finite. `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Shared block
    cdef Py_ssize_t items, k
    cdef Py_ssize_t[3] step
    cdef int workers, worker
    cdef bint apart
    cdef double work
    cdef char* base
    cdef int32_t* offset
    cdef char spoiled = 0
    opened(&w, problem, weight.ndim - 1 if weight.ndim < 3 else -1)
    work = problem.multiply_adds
    kept = costs.converted_weights(problem) + (0 if w.fused else w.many)     # beside what threads need
    workers = worth_workers(work * SECONDS_EACH, w.room, problem.max_workspace - kept)
    if weight.ndim > 2 and workers > 1 and may_own(&w, workers):
        opened(&w, problem, False)
        w.own = workers * (w.room + whole_u(&w) + 64) + kept <= problem.max_workspace
        if w.own:
            lay_out(&w)
        else:
            opened(&w, problem)
    apart = divide(&w, workers)
    if weight.ndim > 2 and not w.fused and not (w.own and apart):
        w.own = False
        weight = prepared(&w, weight)
    w.spoiled = &spoiled
    w.packed = weight.ndim == 2
    input_steps(&w.b, input, w.input_step, step)
    w.step[0], w.step[1], w.step[2] = step[w.z_axis], step[w.y_axis], step[2]
    w.near = w.b.parts == 1 and w.b.kind != HALF and w.step[2] == w.b.size and w.x.stride == 1 and w.mode == ZEROS
    w.next = w.input_step[2] if w.kernel[0] * w.kernel[1] == 1 else 0
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    start = real_bias(&w.b, bias)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> start)
    w.out_data = <char*> cnp.PyArray_DATA(out)
    items = w.groups * w.blocks
    space = scratch_space(w.room * workers + ceil_div((w.planes + SOON) * 4, 64) * 64 + 128)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    offset = <int32_t*> (base + w.room * workers)
    for k in range(w.planes):
        offset[k] = <int32_t> (k * w.pitch * w.b.size)
    ask_next(offset, w.planes, TILE_ROWS * w.b.size)
    w.offset = offset
    for worker in range(workers):
        (<Ready*> (base + worker * w.room + w.at_ready)).weights = False
    if apart:
        run_items(<Item> do_block, &w, items, work, workers, base, w.room, False)
        return not spoiled
    work /= items
    for k in range(items):
        block.w, block.item, block.at, block.parts = &w, k, base, workers
        for worker in range(workers):
            (<Ready*> (base + worker * w.room + w.at_ready)).tiles = 0
        if w.chunks > 1:
            run_items(<Item> share_chunks, &block, workers, work, workers, base, w.room, False)
        elif w.by_panel:
            run_items(<Item> share_panel, &block, w.panels, work, workers, base, w.room, False)
        else:
            run_items(<Item> share_frequency, &block, w.frequencies, work, workers, base, w.room, False)
            run_items(<Item> share_output, &block, w.panels, 0, workers, base, w.room, False)
    return not spoiled

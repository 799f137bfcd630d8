"""A matrix product whose columns are never made:  out[o, p] = bias[o] + sum_k weight[o, k] * input[place[p] + offset[k]],
k = (channel, tap).

Layout: output channels stand on the vector lanes, output positions ("pixels") are broadcast (tile.pxd). Whatever stride
and dilation are, tap k of any pixel lies a constant distance, offset[k], from the pixel's own place, so the tile reads
the input where it is: nothing is copied into columns. Where the input is padded, or stored in another type than it is
computed in, each channel of a block of pixels is first copied into a padded box (packing.pxd). A block is as many pixels as their
input fits a second-level cache: of a row, of whole rows, of whole planes, or of several batch items, so that short
rows, tiny planes and single pixels still make tall tiles. Weights are packed in panels of two vectors of output
channels, [panel][k][channel], the last panel one vector wide where that is enough.
The sums of a tile are transposed into the output's planes while they are in the first-level cache. Long sums are
computed in chunks of products that go on from the stored sums: the same order of additions, whatever the blocks are.
Few products of pixels in long rows are summed the other way round, pixels on the lanes (wide_tile.pxd): no transposition
then, which would take too large a share.
Complex numbers are pairs of real channels, half precision is computed in float32.
Wins wherever there are many output channels and many products: nearly all layers of networks but depthwise ones.
Threads share out blocks, and panels where blocks are few; no sum is split between them.
Source: Chetlur et al., cuDNN: Efficient Primitives for Deep Learning, arXiv:1410.0759 (2014), for the product without columns; Goto and
van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008), for panels and caches.
"""
import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from cyconv.cpu.blocks cimport Blocks, choose_kind, gcd, input_steps, number_type, real_bias, real_matrix
from cyconv.cpu.packing cimport (
    Axis, CIRCULAR, DOUBLE, HALF, REFLECT, REPLICATE, SINGLE, ZEROS, gather_stored, put_stored,
)
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, STREAMS, drain, fetch, lanes, own, transpose
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.tile cimport TALLEST_TILE, TILE_ROWS, ceil_div, cut, tile_at, write_back
from cyconv.cpu.wide_tile cimport wide_pair, wide_single

from cyconv import costs, memory
from cyconv.threads import workers as worth_workers

cnp.import_array()

cdef extern from "Python.h":
    void* PyMem_Malloc(size_t)
    void PyMem_Free(void*)

cdef double BATCH = 2.0**31             # multiply-adds between two looks at Ctrl-C: about 0.1 s; too many for a C enum
cdef double SECONDS_EACH = 2.2e-11      # of a multiply-add: enough to tell whether a second thread is worth its start
cdef double PACK_SECONDS = 3e-10        # of a packed weight

cdef enum:
    BLOCK_BYTES = 400 * 1024            # input of one block: leaves room for weights and sums in a second-level cache
    BLOCK_PIXELS = 448                  # their sums, two vectors each, stay in that cache, too
    LEAST_PIXELS = 96                   # fewer, and weights come from farther than their multiply-adds hide
    WIDE_PIXELS = 1792                  # of a block whose sums are not stored
    WIDE_PRODUCTS = 192                 # up to which transposing sums costs more than unaligned loads of pixels
    CHUNK = 512                         # products of one pass over a block's pixels
    FEW_PIXELS = 512                    # up to which packing weights when they are needed costs less than ahead
    MOST_PHASES = 8                     # of a row: the longest stride with pixels on the lanes
    FEW_WEIGHTS = 4096                  # which are packed before a call of its own has begun
    FAR_BYTES = 8 << 20                 # of an output that is written around the caches
    WIDEST_VECTOR = 64                  # bytes, of any level: workspace is counted alike on all
    TALLEST = 14                        # pixels of a tile, and sums that must be under way at once,
    LATENCY = 8                         # as the cost model counts them

cdef struct Work:
    Blocks blocks                       # numbers, boxes and table of offsets, as `direct` has them
    bint in_place                       # tiles read the caller's input itself
    bint straight                       # sums are the output's numbers
    bint wide                           # pixels on the lanes; then a panel is a piece of at most TILE_ROWS channels
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    bint raw                            # weights as the caller has them, packed by each thread when they are needed
    const char* bias
    char* out
    Py_ssize_t batch, groups
    Py_ssize_t rows                     # output channels of a group, real and imaginary parts counted apart
    Py_ssize_t[3] stride
    bint past                           # the output is written around the caches
    Py_ssize_t items                    # batch items of a block
    Py_ssize_t item_blocks              # blocks along the batch
    Py_ssize_t panels, shares           # panels of a group; how many items of work they are split into
    Py_ssize_t pixels                   # of a block
    Py_ssize_t[MOST_PHASES] remainder   # of the phases into which boxes split rows, for strided pixels on the lanes
    Py_ssize_t chunks
    Py_ssize_t area                     # pixels of a plane of outputs

cdef struct Room:                       # one thread's scratch
    char* boxes
    char* sums
    char* start
    char* panel
    char* planes
    Py_ssize_t* place
    Py_ssize_t* neighbours              # how many pixels from this one on follow each other in memory
    Py_ssize_t gathered                 # the block whose boxes these are, or -1
    Py_ssize_t[4] extent                # of the block whose pixels stand in `place`


# ---- the cut into blocks -------------------------------------------------------------------------------------------------


cdef double block_bytes(const Work* w, double n, double z, double y, double x, const Py_ssize_t* span) noexcept nogil:
    """Bytes of input that a block of so many items and outputs reads."""
    cdef double numbers = ((z - 1) * w.stride[0] + span[0]) * ((y - 1) * w.stride[1] + span[1]) * ((x - 1) * w.stride[2] + span[2])
    if w.in_place:                      # what is stepped over costs no room in a cache
        numbers = min(numbers, z * y * x * w.blocks.products / max(w.blocks.channels, <Py_ssize_t> 1))
    return n * w.blocks.channels * numbers * w.blocks.size


cdef int open_work(Work* w, problem, bint may_read_in_place, Py_ssize_t vector) except -1:
    """Everything that follows from the problem alone, on a level whose vectors have so many bytes."""
    cdef Blocks* b = &w.blocks
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef Py_ssize_t a, m, taps = 1, room = BLOCK_PIXELS
    cdef Py_ssize_t[3] span
    cdef double limit
    cdef str mode = problem.padding_mode
    choose_kind(b, problem.dtype)
    b.memory = NULL
    b.offset = NULL
    b.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    b.channels = <Py_ssize_t> problem.in_channels * b.parts
    w.batch, w.groups = problem.batch, problem.groups
    w.rows = <Py_ssize_t> problem.out_channels * b.parts
    w.panels = ceil_div(w.rows, 2 * vector // b.size)
    w.straight = b.parts == 1 and b.kind != HALF
    w.in_place = b.kind != HALF
    for a in range(3):
        w.stride[a] = stride[a]
        b.out[a] = out[a]
        b.box.axis[a].n, b.box.axis[a].pad = size[a], pad[a]
        taps *= <Py_ssize_t> kernel[a]
        span[a] = (<Py_ssize_t> kernel[a] - 1) * <Py_ssize_t> dilation[a] + 1
        if pad[a] > 0 or (b.out[a] - 1) * w.stride[a] + span[a] - <Py_ssize_t> pad[a] > b.box.axis[a].n:
            w.in_place = False
    b.products = b.channels * taps
    w.area = b.out[0] * b.out[1] * b.out[2]
    w.chunks = max(ceil_div(b.products, CHUNK), <Py_ssize_t> 1)
    limit = min(<double> BLOCK_BYTES, <double> problem.max_workspace / 2)
    w.wide = is_wide(w, span, vector // b.size, limit)
    w.in_place = w.in_place and may_read_in_place       # packed weights know nothing of how the input lies
    for a in range(3):
        b.box.axis[a].stride, b.box.axis[a].phases, b.box.axis[a].remainder = 1, 1, w.remainder
    w.remainder[0] = 0
    if w.wide:
        if w.stride[2] > 1:             # samples that neighbours on the lanes read become neighbours (see packing.pxd)
            w.in_place = False
            b.box.axis[2].stride = w.stride[2]
            b.box.axis[2].phases = min(<Py_ssize_t> kernel[2], w.stride[2] // gcd(w.stride[2], <Py_ssize_t> dilation[2]))
            for a in range(b.box.axis[2].phases):
                w.remainder[a] = a * <Py_ssize_t> dilation[2] % w.stride[2]
        w.panels = ceil_div(w.rows, <Py_ssize_t> TILE_ROWS if vector == VB else <Py_ssize_t> TALLEST_TILE)
        room = WIDE_PIXELS
    # Boxes have to be gathered, and what reaches beyond their own outputs more than once, so they had better be large; and
    # one pass over a block touches one chunk's channels only. What is read in place is read by every panel again.
    if w.in_place:
        limit = max(<double> BLOCK_BYTES, block_bytes(w, 1, 1, 1, LEAST_PIXELS, span))
    else:
        limit = min(<double> BLOCK_BYTES * w.chunks, <double> problem.max_workspace / 2)
    # As many pixels of a row as fit; then rows, planes, batch items, each only if the one before is whole: the outputs of
    # a block are one run of each plane.
    m = ceil_div(b.out[2], ceil_div(b.out[2], room))
    while m > 32 and block_bytes(w, 1, 1, 1, m, span) > limit:
        m = (m + 1) // 2
    b.block[2] = m
    b.block[1] = b.block[0] = w.items = 1
    if m == b.out[2]:
        b.block[1] = b.out[1] if w.wide and m < 2 * vector // b.size else most(w, 1, b.out[1], m, room, limit, span)
        if b.block[1] == b.out[1]:
            b.block[0] = most(w, 0, b.out[0], m * b.out[1], room, limit, span)
            if b.block[0] == b.out[0]:
                w.items = most(w, -1, w.batch, w.area, room, limit, span)
    for a in range(3):
        b.count[a] = ceil_div(b.out[a], b.block[a])
        b.box.axis[a].length = (b.block[a] - 1) * w.stride[a] + span[a]
    if b.box.axis[2].stride > 1:
        b.box.axis[2].length = b.block[2] + (span[2] - 1) // w.stride[2]
    w.item_blocks = ceil_div(w.batch, w.items)
    w.pixels = w.items * b.block[0] * b.block[1] * b.block[2]
    b.plane = 0
    if not w.in_place:
        b.plane = <Py_ssize_t> min(<double> b.box.axis[0].length * b.box.axis[1].length * b.box.axis[2].length * b.box.axis[2].phases, 2.0**62)
    return 0


cdef bint is_wide(const Work* w, const Py_ssize_t* span, Py_ssize_t lane, double limit) noexcept nogil:
    """Whether pixels had better stand on the lanes: few products, and runs of pixels that are nearly whole vectors."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t run = b.out[2]
    if not w.straight or b.products > WIDE_PRODUCTS or w.stride[2] > MOST_PHASES:
        return False
    if w.stride[2] > 1 and w.rows < b.channels * w.stride[0] * w.stride[1] * w.stride[2] * (1 if w.stride[2] == 2 else 4):
        return False                    # splitting rows into phases costs more than transposing the sums
    if w.in_place and w.stride[2] == 1 and w.stride[1] == 1 and span[2] == 1 and b.out[2] == b.box.axis[2].n:
        run *= b.out[1]                 # rows without a gap between them
    if b.out[2] < 2 * lane and (run < 2 * lane or run > WIDE_PIXELS or <double> b.channels * run * b.size > limit):
        return False                    # a block has whole rows, and these are too short
    # measured: transposing costs a sum of K products as much as 16 products more
    return ceil_div(run, lane) * lane * b.products <= run * (b.products + 16)


cdef Py_ssize_t most(Work* w, int axis, Py_ssize_t whole, Py_ssize_t pixels, Py_ssize_t room, double limit,
                     const Py_ssize_t* span) noexcept nogil:
    """How many rows, planes or items a block has, nearly equal blocks; axis -1 is the batch."""
    cdef Py_ssize_t m = 1
    cdef double n, z, y
    while m < whole and (m + 1) * pixels <= room:
        n, z, y = 1, 1, w.blocks.block[1]
        if axis == 1:
            y = m + 1
        elif axis == 0:
            z = m + 1
        else:
            n, z = m + 1, w.blocks.block[0]
        if block_bytes(w, n, z, y, w.blocks.block[2], span) > limit:
            break
        m += 1
    return ceil_div(whole, ceil_div(whole, max(m, <Py_ssize_t> 1))) if whole else 1


cdef double room_bytes(const Work* w, double* parts) noexcept nogil:
    """One thread's scratch: boxes, sums, start, panel, planes, places, in that order."""
    cdef const Blocks* b = &w.blocks
    parts[0] = 0.0 if w.in_place else <double> w.items * b.channels * b.plane * b.size
    parts[1] = 0.0 if w.wide else (w.pixels + 1.0) * 2 * WIDEST_VECTOR
    parts[2] = 2 * WIDEST_VECTOR
    parts[3] = (<double> ceil_div(b.products, w.chunks) + 1) * 2 * WIDEST_VECTOR if w.raw else 0.0
    parts[4] = 0.0 if w.straight else w.pixels * 2.0 * WIDEST_VECTOR
    parts[5] = w.pixels * 2.0 * sizeof(Py_ssize_t)
    cdef double total = 0
    cdef int i
    for i in range(6):
        total += parts[i] + 64
    return total


def scratch(problem):
    """Bytes that one thread needs on any level, the table of offsets among them."""
    cdef Work w
    cdef double[6] parts
    cdef double most = 0
    for vector in (16, 32, WIDEST_VECTOR):
        for in_place in (True, False):
            open_work(&w, problem, in_place, vector)
            w.raw = True
            most = max(most, room_bytes(&w, parts))
    return int(min(most + 4.0 * w.blocks.products, 2.0**62))


def why_not(problem):
    if "int" in problem.dtype:
        return f"its register tiles are for floating point, not {problem.dtype}"
    if scratch(problem) >= 2**31:
        return f"a block reads {scratch(problem)} bytes, more than 32-bit offsets reach"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    return costs.seconds("implicit_gemm", amounts(problem)), scratch(problem)


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    open_work(&w, problem, True, WIDEST_VECTOR)
    dtype = problem.dtype
    parts, size = costs.parts_and_size(problem)
    planes = problem.batch * problem.groups
    rows, lane = problem.out_channels * parts, costs.VECTOR_BYTES // size
    vectors = -(-rows // lane)  # rows, lane: Python ints
    blocks = problem.groups * w.item_blocks * b.count[0] * b.count[1] * b.count[2]
    tiles = max(ceil_div(w.pixels, TALLEST), <Py_ssize_t> 1)
    height = w.pixels / tiles
    pairs, single = divmod(vectors, 2)
    fma = blocks * tiles * b.products * (pairs * max(2 * height, LATENCY) + single * max(height, LATENCY))
    if w.wide:
        fma, tiles, pairs, single = planes * rows * ceil_div(w.area, lane) * b.products, ceil_div(w.pixels, 2 * lane), w.panels, 0
    numbers = 0 if w.in_place else blocks * w.items * b.channels * b.plane
    run = w.pixels // w.items
    read = min(<double> w.area * problem.taps, <double> b.box.axis[0].n * b.box.axis[1].n * b.box.axis[2].n)
    return {
        "call": 1,
        "block": blocks,
        "weight": problem.groups * lane * vectors * b.products,
        "gathered_row": numbers / max(b.box.axis[2].length, 1),
        "gathered_byte": numbers * size,
        "fma": fma,
        "tile": blocks * tiles * (pairs + single),
        "written": planes * rows * w.area if run >= lane and not w.wide else 0,
        "scattered": planes * rows * w.area if run < lane else 0,
        "converted": (planes * rows * w.area if not w.straight else 0) + (numbers if b.kind == HALF else 0),
        "far_byte": costs.far_bytes(problem, size * parts),
        # planes side by side, a short piece of each at a time: the hardware does not foresee that
        "far_in_place": max(planes * b.channels * read * size - costs.CACHE_BYTES, 0) if w.in_place and not w.wide else 0,
    }


# ---- weights -------------------------------------------------------------------------------------------------------------


cdef void pack(const lanes* like, const char* from_, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t products, int vectors,
               char* panel) noexcept nogil:
    """panel[k][channel] = from_[channel][k]; rows of from_ are `pitch` bytes apart, missing channels become zeros."""
    cdef lanes[LANES_F] t
    cdef Py_ssize_t k, d, i, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8
    cdef lanes zero
    for d in range(vectors):
        k = 0
        while products >= side and k < products:
            k = min(k, products - side)
            if (d + 1) * side <= channels:
                for i in range(side):
                    t[i] = (<const lanes*> (from_ + (d * side + i) * pitch + k * size))[0]
            else:
                zero = (<const lanes*> NOTHING)[0]
                for i in range(side):
                    t[i] = zero
                    if d * side + i < channels:
                        t[i] = (<const lanes*> (from_ + (d * side + i) * pitch + k * size))[0]
            transpose(t)
            for i in range(side):
                (<lanes*> (panel + ((k + i) * vectors + d) * VB))[0] = t[i]
            k += side
        while k < products:             # fewer products than a square has
            for i in range(side):
                if d * side + i < channels:
                    memcpy(panel + ((k * vectors + d) * side + i) * size, from_ + (d * side + i) * pitch + k * size, size)
                else:
                    memset(panel + ((k * vectors + d) * side + i) * size, 0, size)
            k += 1

cdef char[64] NOTHING
memset(NOTHING, 0, 64)


cdef struct Panels:                     # how the weights of one group are packed
    Py_ssize_t count
    Py_ssize_t vectors                  # of a panel; the last one of a tile of two vectors may be single
    Py_ssize_t numbers                  # of a group


cdef Panels panels_of(const Work* w) noexcept nogil:
    cdef Panels p
    cdef Py_ssize_t lane = VB // w.blocks.size
    p.count = w.panels
    p.vectors = ceil_div(TILE_ROWS, lane) if w.wide else 2
    p.numbers = (w.panels * p.vectors if w.wide else ceil_div(w.rows, lane)) * lane * w.blocks.products
    return p


cdef inline Py_ssize_t first_of(const Work* w, Py_ssize_t panel) noexcept nogil:
    """The first output channel of a panel."""
    return cut(w.rows, panel, w.panels) if w.wide else min(panel * 2 * VB // w.blocks.size, w.rows)


def prepare(problem, weight):
    """The weights as the register tiles read them: [group][panel][k][channel], one flat array."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    open_work(&w, problem, True, VB)
    cdef Panels panels = panels_of(&w)
    matrix = real_matrix(b, problem, weight)
    packed = memory.empty(w.groups * panels.numbers, number_type(b))
    cdef const char* source = <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix)
    cdef char* to = <char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
    cdef int threads = worth_workers(<double> w.groups * w.rows * b.products * PACK_SECONDS, 1, 1 << 40)
    cdef Py_ssize_t i, first, channels, lane = VB // b.size
    cdef int vectors
    cdef const char* from_
    cdef char* panel
    for i in prange(w.groups * w.panels, nogil=True, num_threads=threads, schedule="static"):
        first = first_of(&w, i % w.panels)
        channels = first_of(&w, i % w.panels + 1) - first
        vectors = <int> panels.vectors if w.wide or channels > lane else 1
        from_ = source + (i // w.panels * w.rows + first) * b.products * b.size
        panel = to + (i // w.panels * panels.numbers + i % w.panels * panels.vectors * lane * b.products) * b.size
        if b.size == 4:
            pack(<vf*> NULL, from_, b.products * 4, channels, b.products, vectors, panel)
        else:
            pack(<vd*> NULL, from_, b.products * 8, channels, b.products, vectors, panel)
    return packed


def prepare_once(problem, weight):
    """The weights as they are where so few pixels use them that `run` had better pack a chunk whenever it needs one."""
    cdef Work w
    open_work(&w, problem, True, VB)
    if not w.straight or w.wide or (w.batch * w.area > FEW_PIXELS and w.rows * w.groups * w.blocks.products > FEW_WEIGHTS):
        return prepare(problem, weight)
    return weight if cnp.PyArray_IS_C_CONTIGUOUS(weight) else np.ascontiguousarray(weight)


# ---- one item of work ------------------------------------------------------------------------------------------------------


cdef inline void copy_run(char* to, const char* from_, Py_ssize_t bytes) noexcept nogil:
    """memcpy for a row of an image: short, so that a call would cost more than the copying. Pieces overlap instead of shrinking."""
    cdef Py_ssize_t i = 0
    if bytes >= 64:
        while i + 64 <= bytes:
            memcpy(to + i, from_ + i, 64)
            i += 64
        memcpy(to + bytes - 64, from_ + bytes - 64, 64)
    elif bytes >= 32:
        memcpy(to, from_, 32)
        memcpy(to + bytes - 32, from_ + bytes - 32, 32)
    elif bytes >= 16:
        memcpy(to, from_, 16)
        memcpy(to + bytes - 16, from_ + bytes - 16, 16)
    else:
        while i < bytes:
            memcpy(to + i, from_ + i, 4)
            i += 4


cdef inline void clear_run(char* to, Py_ssize_t bytes) noexcept nogil:
    cdef Py_ssize_t i = 0
    if bytes >= 64:
        memset(to, 0, bytes)
    else:
        while i < bytes:
            memset(to + i, 0, 4)
            i += 4


cdef void gather_rows(const Work* w, const char* src, const Py_ssize_t* begin, const Py_ssize_t* end, const Py_ssize_t* filled,
                      char* box, Py_ssize_t ahead) noexcept nogil:
    """One channel's box where padding is zeros and the numbers of a row are neighbours. src: the box's first sample, were
    it one of the input; samples begin to end of the box are; ahead: bytes to the next channel."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, pitch = b.box.axis[2].length * size, slab = b.box.axis[1].length * pitch, z, y, i
    cdef Py_ssize_t left = begin[2] * size, length = (end[2] - begin[2]) * size, right = (filled[2] - end[2]) * size
    cdef const char* row
    cdef char* to
    for z in range(filled[0]):
        to = box + z * slab
        if z < begin[0] or z >= end[0]:
            memset(to, 0, slab)
            continue
        if begin[1] > 0:
            memset(to, 0, begin[1] * pitch)
        to += begin[1] * pitch
        row = src + z * b.box.step[0] + begin[1] * b.box.step[1] + left
        for y in range(end[1] - begin[1]):
            i = 0
            while i < length:                   # runs this short are not foreseen by the hardware
                fetch(row + ahead + i)
                i += 64
            clear_run(to, left)
            copy_run(to + left, row, length)
            clear_run(to + left + length, right)
            to += pitch
            row += b.box.step[1]
        if end[1] < filled[1]:
            memset(to, 0, (filled[1] - end[1]) * pitch)


cdef void gather_boxes(const Work* w, Py_ssize_t g, const Py_ssize_t* origin, const Py_ssize_t* extent, char* boxes) noexcept nogil:
    """The padded boxes of a block, [item][channel]; origin and extent in items and outputs."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] filled
    cdef Py_ssize_t[3] begin
    cdef Py_ssize_t[3] end
    cdef Py_ssize_t n, c, start = 0
    cdef int a
    cdef const char* src
    cdef bint plain = b.box.mode == ZEROS and b.kind != HALF and b.box.step[2] == b.size and b.box.axis[2].stride == 1
    for a in range(3):
        first[a] = origin[a + 1] * w.stride[a]
        filled[a] = b.box.axis[a].length - (b.block[a] - extent[a + 1]) * w.stride[a]
    if b.box.axis[2].stride > 1:
        first[2] = origin[3]
        filled[2] = b.box.axis[2].length - (b.block[2] - extent[3])
    for a in range(3):
        begin[a] = min(max(b.box.axis[a].pad - first[a], <Py_ssize_t> 0), filled[a])
        end[a] = min(max(b.box.axis[a].n + b.box.axis[a].pad - first[a], begin[a]), filled[a])
        start += (first[a] - b.box.axis[a].pad) * b.box.step[a]
    for n in range(extent[0]):
        src = w.input + (origin[0] + n) * w.input_step[0] + g * w.input_step[1]
        for c in range(b.channels):
            if plain:
                gather_rows(w, src + start + c // b.parts * w.input_step[2] + c % b.parts * b.stored_size, begin, end, filled,
                            boxes + (n * b.channels + c) * b.plane * b.size, w.input_step[2])
            else:
                gather_stored(b.kind, src + c // b.parts * w.input_step[2] + c % b.parts * b.stored_size, &b.box, first, filled,
                              boxes + (n * b.channels + c) * b.plane * b.size)


cdef void find_pixels(const Work* w, const Py_ssize_t* extent, Room* room) noexcept nogil:
    """The places of a block's pixels, and how many neighbours each has."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[4] step
    cdef Py_ssize_t n, z, y, x, at, p = 0
    cdef int a
    if w.in_place:
        step[0] = w.input_step[0]
        for a in range(3):
            step[a + 1] = w.stride[a] * b.box.step[a]
    else:
        step[0] = b.channels * b.plane * b.size
        step[1] = w.stride[0] * b.box.axis[1].length * b.box.axis[2].length * b.size
        step[2] = w.stride[1] * b.box.axis[2].length * b.size
        step[3] = (w.stride[2] if b.box.axis[2].stride == 1 else 1) * b.size
    for n in range(extent[0]):
        for z in range(extent[1]):
            for y in range(extent[2]):
                at = n * step[0] + z * step[1] + y * step[2]
                for x in range(extent[3]):
                    room.place[p] = at + x * step[3]
                    p += 1
    room.neighbours[p - 1] = 1
    for x in range(p - 2, -1, -1):
        room.neighbours[x] = room.neighbours[x + 1] + 1 if room.place[x + 1] - room.place[x] == b.size else 1
    for a in range(4):
        room.extent[a] = extent[a]


cdef void do_panel(const lanes* like, const Work* w, Room* room, Py_ssize_t g, Py_ssize_t panel, Py_ssize_t pixels, Py_ssize_t run,
                   const char* base, char* to) noexcept nogil:
    """All pixels of a block and one panel of output channels; `to` is the panel's first output of the block's first item."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, lane = VB // size, first = panel * 2 * lane, channels = min(2 * lane, w.rows - first)
    cdef Py_ssize_t chunk, k0, products, p, q, t, rows, at, end, count, d, tiles
    cdef int vectors = 1 if channels <= lane else 2
    cdef const char* weight
    cdef bint last
    cdef Py_ssize_t item_step = w.groups * w.rows * w.area * size, plane = w.area * size
    cdef char* sums
    memset(room.start, 0, 2 * VB)
    memcpy(room.start, w.bias + (g * w.rows + first) * size, channels * size)
    tiles = ceil_div(pixels, <Py_ssize_t> TALLEST_TILE if vectors == 1 else <Py_ssize_t> TILE_ROWS)
    for chunk in range(w.chunks):
        k0 = cut(b.products, chunk, w.chunks)
        products = cut(b.products, chunk + 1, w.chunks) - k0
        if w.raw:
            pack(like, w.weight + ((g * w.rows + first) * b.products + k0) * size, b.products * size, channels, products, vectors,
                 room.panel)
            weight = room.panel
        else:
            weight = w.weight + ((g * ceil_div(w.rows, lane) * lane + first) * b.products + k0 * vectors * lane) * size
        last = chunk == w.chunks - 1
        at = 0
        for t in range(tiles):
            p = cut(pixels, t, tiles)
            q = cut(pixels, t + 1, tiles)
            rows = q - p
            sums = room.sums + p * 2 * VB
            if last and w.straight and run > 1:
                for d in range(channels):       # ask early for the lines that will be written
                    own(to + p // run * item_step + d * plane + p % run * size)
            if room.neighbours[p] >= rows:
                tile_at(<int> rows, vectors, like, products, base + room.place[p], NULL, b.offset + k0, weight,
                        room.start if chunk == 0 else NULL, sums)
            else:
                tile_at(<int> rows, vectors, like, products, base, room.place + p, b.offset + k0, weight,
                        room.start if chunk == 0 else NULL, sums)
            if not last:
                continue
            while at < q:                       # whole squares, and what is left of a run at its end
                end = at // run * run + run
                if q < end:
                    count = (q - at) // lane * lane
                    if count == 0:
                        break
                    put(like, w, room, at, count, run, channels, to, item_step, plane)
                    at += count
                    break
                p = at
                if end - at < lane <= run:      # an incomplete square overlaps the one before
                    p = end - lane
                put(like, w, room, p, end - p, run, channels, to, item_step, plane)
                at = end
    if not w.straight:
        for t in range(pixels // run):
            p = t * run
            for d in range(channels):
                put_stored(b.kind, room.planes + (d * w.pixels + p) * size,
                           to + p // run * w.groups * w.rows * w.area * b.stored_size
                           + (d // b.parts * w.area * b.parts + d % b.parts) * b.stored_size, b.parts, run)


cdef inline void put(const lanes* like, const Work* w, Room* room, Py_ssize_t at, Py_ssize_t count, Py_ssize_t run, Py_ssize_t channels,
                     char* to, Py_ssize_t item_step, Py_ssize_t plane) noexcept nogil:
    """Sums of neighbouring pixels to the output, or to planes that are converted later."""
    cdef Py_ssize_t size = w.blocks.size
    if not w.straight:
        write_back(like, room.sums + at * 2 * VB, count, channels, room.planes + at * size, w.pixels * size)
    elif plane == size:
        memcpy(to + at * item_step, room.sums + at * 2 * VB, channels * size)
    else:
        write_back(like, room.sums + at * 2 * VB, count, channels, to + at // run * item_step + at % run * size, plane)


cdef void do_wide(const lanes* like, const Work* w, Room* room, Py_ssize_t g, Py_ssize_t share, Py_ssize_t pixels, Py_ssize_t run,
                  const char* base, char* to) noexcept nogil:
    """All pixels of a block and one share of the pieces of output channels, pixels on the lanes."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, lane = VB // size, p = 0, x, length, shift, at, piece, first, plane = w.area * size
    cdef Py_ssize_t begin = cut(w.panels, share, w.shares), end = cut(w.panels, share + 1, w.shares)
    cdef Panels panels = panels_of(w)
    cdef Py_ssize_t pitch = panels.vectors * VB
    cdef const char* weight = w.weight + (g * panels.numbers) * size
    cdef const char* bias = w.bias + g * w.rows * size
    cdef char* out
    cdef bint pair, past
    while p < pixels:
        length = min(room.neighbours[p], run - p % run)
        x = 0
        while x < length:
            pair = length - x > lane
            shift = 0
            if x == 0 and length >= 8 * lane and plane % VB == 0:
                # up to the first whole line of the output one short tile, so that the others write whole lines
                shift = (VB - <Py_ssize_t> (<size_t> (to + p // run * w.groups * w.rows * plane + p % run * size) % VB)) % VB // size
                pair = pair and shift == 0
            if pair and x + 2 * lane > length:  # the last tile overlaps the one before
                x = length - 2 * lane
            elif not pair and shift == 0:
                x = length - lane
            at = p + x
            out = to + at // run * w.groups * w.rows * plane + at % run * size
            past = w.past and <size_t> out % VB == 0
            for piece in range(begin, end):
                first = cut(w.rows, piece, w.panels)
                if pair:
                    wide_pair(<int> (cut(w.rows, piece + 1, w.panels) - first), like, b.products, base + room.place[at], b.offset,
                              weight + piece * b.products * pitch, pitch, bias + first * size, out + first * plane, plane, past)
                else:
                    wide_single(<int> (cut(w.rows, piece + 1, w.panels) - first), like, b.products, base + room.place[at], b.offset,
                                weight + piece * b.products * pitch, pitch, bias + first * size, out + first * plane, plane, past)
            x += shift if shift else 2 * lane if pair else lane
        p += length
    if w.past:
        drain()


cdef void do_item(const Work* w, Py_ssize_t item, Room* room) noexcept nogil:
    """One share of the panels of one block: gather, sum, write."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t share = item % w.shares, block = item // w.shares, left = block, g, panel, run
    cdef Py_ssize_t[4] origin
    cdef Py_ssize_t[4] extent
    cdef int a
    cdef const char* base
    cdef char* to
    for a in range(2, -1, -1):
        origin[a + 1] = left % b.count[a] * b.block[a]
        extent[a + 1] = min(b.block[a], b.out[a] - origin[a + 1])
        left //= b.count[a]
        if w.wide and a == 2 and extent[3] < b.block[2]:        # a run as long as two vectors: some outputs are computed twice
            origin[3] = b.out[2] - b.block[2]
            extent[3] = b.block[2]
    g = left % w.groups
    origin[0] = left // w.groups * w.items
    extent[0] = min(w.items, w.batch - origin[0])
    if extent[0] != room.extent[0] or extent[1] != room.extent[1] or extent[2] != room.extent[2] or extent[3] != room.extent[3]:
        find_pixels(w, extent, room)
    if w.in_place:
        base = w.input + origin[0] * w.input_step[0] + g * w.input_step[1]
        for a in range(3):
            base += (origin[a + 1] * w.stride[a] - b.box.axis[a].pad) * b.box.step[a]
    else:
        base = room.boxes
        if room.gathered != block:
            gather_boxes(w, g, origin, extent, room.boxes)
            room.gathered = block
    run = extent[1] * extent[2] * extent[3]
    if w.wide:
        to = w.out + (origin[0] * w.groups + g) * w.rows * w.area * b.size
        to += ((origin[1] * b.out[1] + origin[2]) * b.out[2] + origin[3]) * b.size
        if b.size == 4:
            do_wide(<vf*> NULL, w, room, g, share, extent[0] * run, run, base, to)
        else:
            do_wide(<vd*> NULL, w, room, g, share, extent[0] * run, run, base, to)
        return
    for panel in range(cut(w.panels, share, w.shares), cut(w.panels, share + 1, w.shares)):
        # panels hold an even number of channels, so that parts of one complex number never part
        to = w.out + (((origin[0] * w.groups + g) * w.rows + panel * 2 * VB // b.size) * w.area
                      + ((origin[1] * b.out[1] + origin[2]) * b.out[2] + origin[3]) * b.parts) * b.stored_size
        if b.size == 4:
            do_panel(<vf*> NULL, w, room, g, panel, extent[0] * run, run, base, to)
        else:
            do_panel(<vd*> NULL, w, room, g, panel, extent[0] * run, run, base, to)


cdef bint has_runs(const Work* w) noexcept nogil:
    """Whether the input lies so that pixels which should be neighbours are: in rows, and short rows one behind the other."""
    cdef const Blocks* b = &w.blocks
    if b.box.step[2] != b.size:
        return False
    return b.out[2] >= 2 * VB // b.size or b.box.step[1] == b.out[2] * b.size


cdef bint find_taps(Work* w, problem) except -1:
    """Fills the table of offsets; False if one of them does not fit 32 bits."""
    cdef Blocks* b = &w.blocks
    cdef tuple kernel = problem.kernel, dilation = problem.dilation
    cdef Py_ssize_t[3] k
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t c, z, y, x, at, i = 0, channel, phase
    cdef double farthest = 0
    cdef int a
    for a in range(3):
        k[a] = kernel[a]
        step[a] = <Py_ssize_t> dilation[a]
    if w.in_place:
        for a in range(3):
            step[a] *= b.box.step[a]
            farthest += abs((k[a] - 1.0) * step[a])
        farthest += abs(<double> w.input_step[2] * max(b.channels - 1, <Py_ssize_t> 0)) + 8
        if farthest >= 2.0**31:
            return False
    else:
        step[2] *= b.size
        step[1] *= b.box.axis[2].length * b.size
        step[0] *= b.box.axis[1].length * b.box.axis[2].length * b.size
    if b.offset == NULL:
        b.offset = <int32_t*> PyMem_Malloc((b.products + 1) * sizeof(int32_t))
        if b.offset == NULL:
            raise MemoryError(f"no room for a table of {b.products} offsets")
    for c in range(b.channels):
        channel = c // b.parts * w.input_step[2] + c % b.parts * b.stored_size if w.in_place else c * b.plane * b.size
        for z in range(k[0]):
            for y in range(k[1]):
                at = channel + z * step[0] + y * step[1]
                for x in range(k[2]):
                    if b.box.axis[2].stride > 1:
                        phase = x % b.box.axis[2].phases * b.box.axis[0].length * b.box.axis[1].length * b.box.axis[2].length
                        b.offset[i] = <int32_t> (at + (phase + x * <Py_ssize_t> dilation[2] // w.stride[2]) * b.size)
                    else:
                        b.offset[i] = <int32_t> (at + x * step[2])
                    i += 1
    return True


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t items, item, first, last, batch, room, share
    cdef double[6] parts
    cdef int workers, worker = 0, i
    cdef double work
    cdef char* base
    cdef Room* rooms = NULL
    open_work(&w, problem, True, VB)
    try:
        input_steps(b, problem, input, w.input_step, b.box.step)
        if (w.wide and w.in_place and not has_runs(&w)) or not find_taps(&w, problem):
            open_work(&w, problem, False, VB)
            find_taps(&w, problem)
        w.raw = cnp.PyArray_NDIM(weight) > 1
        w.input = <const char*> cnp.PyArray_DATA(input)
        w.weight = <const char*> cnp.PyArray_DATA(weight)
        sums_from = real_bias(b, problem, bias)
        w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> sums_from)
        w.out = <char*> cnp.PyArray_DATA(out)
        work = <double> w.batch * w.groups * w.rows * w.area * b.products
        items = w.item_blocks * w.groups * b.count[0] * b.count[1] * b.count[2]
        room = <Py_ssize_t> room_bytes(&w, parts) // 64 * 64 + 64
        workers = worth_workers(work * SECONDS_EACH, room, problem.max_workspace)
        w.shares = min(w.panels, ceil_div(8 * workers, items)) if workers > 1 else 1
        items *= w.shares
        workers = min(workers, items)
        # whoever reads so large a result finds none of it in a cache anyway, and its lines need not be read before they are written
        w.past = STREAMS and w.wide and w.area * b.size % VB == 0
        w.past = w.past and <double> w.batch * w.groups * w.rows * w.area * b.size >= FAR_BYTES
        rooms = <Room*> PyMem_Malloc(workers * sizeof(Room))
        if rooms == NULL:
            raise MemoryError("no room for a few pointers")
        space = memory.empty(room * workers + 64, np.uint8)
        base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
        for i in range(workers):
            furnish(rooms + i, base + i * room, parts)
        batch = <Py_ssize_t> max(<double> items * BATCH / max(work, 1.0), 1.0 * workers)
        first = 0
        while first < items:
            last = min(first + batch, items)
            if workers == 1:
                with nogil:
                    for item in range(first, last):
                        do_item(&w, item, rooms)
            else:
                share = max((last - first) // (8 * workers), <Py_ssize_t> 1)
                with nogil, parallel(num_threads=workers):
                    worker = threadid()
                    for item in prange(first, last, schedule="dynamic", chunksize=share):
                        do_item(&w, item, rooms + worker)
            PyErr_CheckSignals()
            first = last
    finally:
        PyMem_Free(rooms)
        PyMem_Free(b.offset)


cdef void furnish(Room* room, char* base, const double* parts) noexcept nogil:
    """Where in a thread's scratch what stands."""
    cdef char* at[6]
    cdef int i
    for i in range(6):
        at[i] = base
        base += ceil_div(<Py_ssize_t> parts[i], 64) * 64
    room.boxes, room.sums, room.start, room.panel, room.planes = at[0], at[1], at[2], at[3], at[4]
    room.place = <Py_ssize_t*> at[5]
    room.neighbours = room.place + <Py_ssize_t> parts[5] // (2 * sizeof(Py_ssize_t))
    room.gathered = -1
    memset(room.extent, 0, sizeof(room.extent))

"""The sum itself, in registers:  out[o, p] = bias[o] + sum_k weight[o, k] * box[offset[k] + p],   k = (channel, tap).

Layout: a block of outputs is read from one gathered box per input channel (packing.pxd), in which every tap is a constant
distance whatever stride, dilation and padding are. Output positions stand on the vector lanes, a few output channels
on the rows of the register tile; weights are packed [piece of channels][k][channel].
Positions of a plane are taken as one run, junk between its rows included, or row by row where that wastes fewer lanes.
Complex numbers are pairs of real channels, integers are computed modulo 2**32 or 2**64, half precision in float32.
Wins for few channels and small kernels, and for every integer dtype. No sum is ever split, so each output is the same
left-to-right sum for every thread count, block size and vector width.
Threads share out blocks, and pieces of channels where blocks are few.
"""
import numpy as np  # no-cython-lint: blocks.pxd's functions look for it here

cimport numpy as cnp
from libc.stdint cimport int32_t, uint32_t, uint64_t

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport (
    Blocks, PyCapsule_GetPointer, PyMem_Free, PyObject, ceil_div, close_blocks, cut_of, gather_block, input_steps, locate,
    new_numbers, number_code, open_blocks, opened_once, opened_work, real_bias, real_matrix, scratch_space, set_layout, table_bytes,
)
from cyconv.cpu.items cimport BRIEF, Item, run_items
from cyconv.cpu.packing cimport BITS64, DOUBLE, SINGLE, HALF, put_stored
from cyconv.cpu.shuffle cimport unknown
from cyconv.cpu.simd cimport ROWS, VB, VECTORS, inlined, splat, vd, vector, vf, vq, vw
from cyconv.cpu.tile cimport apart

from cyconv import costs

cnp.import_array()

cdef double SECONDS_EACH = 3e-11        # of a multiply-add: enough to tell whether a second thread is worth its start
cdef double PACK_SECONDS = 3e-10        # of a packed weight: the same

cdef enum:
    BOX_BYTES = 256 * 1024              # boxes of all channels of one block: stays in a second-level cache
    BLOCK_SUMS = 12 * 1024              # sums of one register tile's rows in one block: stay in a first-level cache
    LEAST_BLOCKS = 8
    TALLEST = 6                       # of any instruction set: tiles above ROWS x VECTORS are dead code that must compile
    MOST_VECTORS = 8
    FEWEST_ROWS = 2 * TALLEST         # whose weights are packed at a time where there is no memory for more,
    MOST_COPIES = 3                   # beside copies in order and in the type that is computed with
    WIDE = 4                            # vectors of a register tile, and multiply-adds that must be under way at once,
    LATENCY = 4                         # as the cost model counts them


cdef inline inlined tile_of(const int rows, const int vectors, const vector* like, Py_ssize_t products, const char* box,
                            const int32_t* offset, const char* weight, const char* bias, char* sums,
                            Py_ssize_t pitch) noexcept nogil:
    """A register tile of rows x vectors sums over all products; `rows` and `vectors` are constants once inlined."""
    cdef vector[TALLEST][MOST_VECTORS] acc
    cdef vector[MOST_VECTORS] x
    cdef vector w
    cdef Py_ssize_t k, _done
    cdef int r, v, size = 8 if vector is vd or vector is vq else 4
    for _done in range(unknown(1)):         # or else acc passes through the stack (see tile.pxd)
        for r in range(rows):
            w = splat(bias + r * size, like)
            for v in range(vectors):
                acc[r][v] = w
        for k in range(products):
            for v in range(vectors):
                x[v] = (<const vector*> (box + offset[k] + v * VB))[0]
            for r in range(rows):
                w = splat(weight + r * size, like)
                for v in range(vectors):
                    acc[r][v] = acc[r][v] + w * x[v]
            weight += rows * size
        for r in range(rows):
            for v in range(vectors):
                (<vector*> (sums + r * pitch + v * VB))[0] = acc[r][v]


cdef inline inlined tile_rows(const int vectors, const vector* like, Py_ssize_t products, const char* box, const int32_t* offset,
                              const char* weight, const char* bias, char* sums, Py_ssize_t pitch, int rows) noexcept nogil:
    if rows == 1:
        tile_of(1, vectors, like, products, box, offset, weight, bias, sums, pitch)
    elif rows == 2:
        tile_of(2, vectors, like, products, box, offset, weight, bias, sums, pitch)
    elif rows == 3:
        tile_of(3, vectors, like, products, box, offset, weight, bias, sums, pitch)
    elif rows == 4:
        tile_of(4, vectors, like, products, box, offset, weight, bias, sums, pitch)
    elif rows == 5 and ROWS >= 5:
        tile_of(5, vectors, like, products, box, offset, weight, bias, sums, pitch)
    elif rows == 6 and ROWS >= 6:
        tile_of(6, vectors, like, products, box, offset, weight, bias, sums, pitch)


cdef apart tile(const vector* like, Py_ssize_t products, const char* box, const int32_t* offset, const char* weight,
               const char* bias, char* sums, Py_ssize_t pitch, int rows, int vectors) noexcept nogil:
    if vectors == 1:
        tile_rows(1, like, products, box, offset, weight, bias, sums, pitch, rows)
    elif vectors == 2 and VECTORS >= 2:
        tile_rows(2, like, products, box, offset, weight, bias, sums, pitch, rows)
    elif vectors == 3 and VECTORS >= 3:
        tile_rows(3, like, products, box, offset, weight, bias, sums, pitch, rows)
    elif vectors == 4 and VECTORS >= 4:
        tile_rows(4, like, products, box, offset, weight, bias, sums, pitch, rows)
    elif vectors == 2 * VECTORS:
        tile_of(1, 2 * VECTORS, like, products, box, offset, weight, bias, sums, pitch)


cdef void tile_of_kind(const Blocks* b, const char* box, const char* weight, const char* bias, char* sums,
                       Py_ssize_t pitch, int rows, int vectors) noexcept nogil:
    if b.kind == SINGLE or b.kind == HALF:
        tile(<vf*> NULL, b.products, box, b.offset, weight, bias, sums, pitch, rows, vectors)
    elif b.kind == DOUBLE:
        tile(<vd*> NULL, b.products, box, b.offset, weight, bias, sums, pitch, rows, vectors)
    elif b.kind == BITS64:
        tile(<vq*> NULL, b.products, box, b.offset, weight, bias, sums, pitch, rows, vectors)
    else:
        tile(<vw*> NULL, b.products, box, b.offset, weight, bias, sums, pitch, rows, vectors)


cdef struct Work:
    Blocks blocks
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    const char* bias
    char* out
    Py_ssize_t groups
    Py_ssize_t rows                     # output channels of a group, real and imaginary parts counted apart
    Py_ssize_t pieces                   # of those rows, each at most ROWS of them
    Py_ssize_t all_rows                 # of all groups; fewer of them are computed at once where packed weights would take too much memory
    Py_ssize_t items                    # blocks of all batch items and groups
    double multiply_adds
    Py_ssize_t shares                   # into which the pieces of one block are split between threads
    bint flat                           # whether a plane of outputs is one run
    Py_ssize_t pitch                    # bytes between two rows of sums


cdef inline Py_ssize_t cut(Py_ssize_t total, Py_ssize_t part, Py_ssize_t parts) noexcept nogil:
    """Where part `part` of nearly equal parts begins."""
    return total * part // parts


cdef void do_block(const Work* w, Py_ssize_t item, char* boxes) noexcept nogil:
    """One share of the output channels of one block: gather, sum, write."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t n, g, share, piece, r, first, rows, z, y, run, runs, length, lanes, x, row, column, y_step, at
    cdef Py_ssize_t area = b.out[0] * b.out[1] * b.out[2], lane = VB // b.size
    cdef char* to
    cdef char* sums = boxes + sums_at(b)
    share = item % w.shares
    item = locate(b, item // w.shares, origin, extent)
    g = item % w.groups
    n = item // w.groups
    gather_block(b, w.input + n * w.input_step[0] + g * w.input_step[1], w.input_step[2], origin, extent, boxes)
    y_step = b.box.axis[2].length
    if w.flat:
        runs, length = extent[0], (extent[1] - 1) * y_step + extent[2]
    else:
        runs, length = extent[0] * extent[1], extent[2]
    for piece in range(cut(w.pieces, share, w.shares), cut(w.pieces, share + 1, w.shares)):
        first = cut(w.rows, piece, w.pieces)
        rows = cut(w.rows, piece + 1, w.pieces) - first
        row = g * w.rows + first
        for run in range(runs):
            if w.flat:
                z, y = run, 0
            else:
                z, y = run // extent[1], run % extent[1]
            at = (z * b.box.axis[1].length + y) * y_step
            x = 0
            while x < length:
                lanes = min(ceil_div(length - x, lane), <Py_ssize_t> VECTORS)
                if rows == 1 and x + 2 * VECTORS * lane <= length:
                    lanes = 2 * VECTORS         # a single row has too few sums under way to hide the latency of FMA
                tile_of_kind(b, boxes + (at + x) * b.size, w.weight + row * b.products * b.size, w.bias + row * b.size,
                             sums + x * b.size, w.pitch, <int> rows, <int> lanes)
                x += lanes * lane
            for r in range(rows):
                # parts of a complex number are neighbours in the output and rows of their own here
                to = w.out + (n * w.all_rows + row + r) // b.parts * area * b.parts * b.stored_size
                to += (row + r) % b.parts * b.stored_size
                for column in range(extent[1] if w.flat else 1):
                    put_stored(b.kind, sums + r * w.pitch + column * y_step * b.size,
                               to + (((origin[0] + z) * b.out[1] + origin[1] + y + column) * b.out[2] + origin[2])
                               * b.parts * b.stored_size, b.parts, extent[2])


cdef int open_direct(Blocks* b, object problem, bint offsets) except -1:
    set_layout(b, problem)
    cdef Py_ssize_t rows = min(max(problem.out_channels, 1) * b.parts, TALLEST)  # the same blocks on every level
    cdef Py_ssize_t quarter = min(problem.max_workspace, 4 * BOX_BYTES) // 4        # boxes, sums, and half of it for packed weights
    return open_blocks(
        b, problem, min(quarter, <Py_ssize_t> BOX_BYTES), max(min(quarter // b.size, <Py_ssize_t> BLOCK_SUMS) // rows, 64),
        LEAST_BLOCKS, offsets,
    )


cdef Py_ssize_t scratch_bytes(const Blocks* b) noexcept nogil:
    """What one thread needs: boxes, sums, room for vectors that reach past the end of a run; and the offsets, for all.
    2**62 for anything beyond that."""
    cdef double numbers = <double> b.channels * b.plane + ROWS * (<double> sums_length(b) + VECTORS * VB // b.size)
    return <Py_ssize_t> min(numbers * b.size + VECTORS * VB + 128 + table_bytes(b), 2.0**62)


cdef Py_ssize_t sums_length(const Blocks* b) noexcept nogil:
    cdef Py_ssize_t tile = VECTORS * VB // b.size
    return ceil_div(b.block[1] * b.box.axis[2].length, tile) * tile


def scratch(problem):
    """Bytes that one thread needs."""
    cdef Blocks b
    open_direct(&b, problem, False)
    close_blocks(&b)
    return scratch_bytes(&b)


cdef Py_ssize_t open_work(void* work, object problem) except -1:
    """Fills a Work but for arrays and threads; returns the bytes of its tables."""
    cdef Work* w = <Work*> work
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t lane
    open_direct(b, problem, True)
    lane = VB // b.size
    w.groups, w.rows = problem.groups, problem.out_channels * b.parts
    w.all_rows = w.groups * w.rows
    w.pieces = ceil_div(w.rows, ROWS)
    w.items = <Py_ssize_t> problem.batch * w.groups * b.count[0] * b.count[1] * b.count[2]
    w.multiply_adds = problem.multiply_adds
    w.flat = ceil_div((b.block[1] - 1) * b.box.axis[2].length + b.block[2], lane) < b.block[1] * ceil_div(b.block[2], lane)
    w.pitch = sums_length(b) * b.size
    return <Py_ssize_t> min(table_bytes(b), 2.0**62)


cdef void close_work(PyObject* capsule) noexcept:
    cdef Work* w = <Work*> PyCapsule_GetPointer(capsule, NULL)
    close_blocks(&w.blocks)
    PyMem_Free(w)


cdef object opened(object problem):
    return opened_once(problem, "direct", sizeof(Work), open_work, close_work)


cdef Py_ssize_t most_rows(const Work* w, object problem, cnp.ndarray weight) except -1:
    """The rows whose weights can be packed at once within max_workspace: all, or some; no fewer than FEWEST_ROWS."""
    cdef const Blocks* b = &w.blocks
    cdef bint as_they_are = b.parts == 1 and cnp.PyArray_TYPE(weight) == number_code(b) and cnp.PyArray_IS_C_CONTIGUOUS(weight)
    cdef double each = <double> b.products * b.size * (1 if as_they_are else MOST_COPIES)
    cdef double left = <double> problem.max_workspace - scratch_bytes(b)
    if each * w.all_rows <= left:
        return w.all_rows
    return max(<Py_ssize_t> (left / each), <Py_ssize_t> FEWEST_ROWS) // b.parts * b.parts


def why_not(problem):
    if scratch(problem) >= 2**31:
        return f"one row of outputs reads {scratch(problem)} bytes, more than its 32-bit offsets reach"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    return costs.seconds("direct", amounts(problem)), workspace(problem)


def workspace(problem):
    """Scratch of one thread, and packed weights; of few output channels at a time where all of them are too many."""
    cdef Blocks b
    open_direct(&b, problem, False)
    close_blocks(&b)
    cdef double of_row = <double> b.products * b.size * (MOST_COPIES if costs.converted_weights(problem) else 1)
    cdef double weights = of_row * problem.groups * problem.out_channels * b.parts
    if scratch_bytes(&b) + weights > problem.max_workspace:
        weights = min(weights, of_row * FEWEST_ROWS)
    return int(min(scratch_bytes(&b) + weights, 2.0**62))


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Blocks b
    open_direct(&b, problem, False)
    block, count, reach, phases = cut_of(&b)
    close_blocks(&b)
    parts, size = costs.parts_and_size(problem)
    planes = problem.batch * problem.groups
    channels, rows = problem.in_channels * parts, problem.out_channels * parts
    out = problem.out_size
    # the gather: boxes overlap by what taps reach; a single one that is the input is copied at once
    z, y, x = [(o + c * r) * p for o, c, r, p in zip(out, count, reach, phases)]
    at_once = count == (1, 1, 1) and problem.size == (z, y, x) and max(problem.stride) == 1 and problem.dtype not in costs.CONVERTED and parts == 1
    copied_rows = planes if at_once else planes * channels * z * y * count[2] * phases[2]
    # the sums: runs of whole vectors, so many to a register tile, and what is left over
    lane = costs.VECTOR_BYTES // size
    flat = -(-((block[1] - 1) * (block[2] + reach[2]) + block[2]) // lane)
    single = -(-block[2] // lane)
    if flat < block[1] * single:
        vectors, runs = flat, planes * out[0] * count[2] * out[1] / max(block[1], 1)
    else:
        vectors, runs = single, planes * out[0] * out[1] * count[2]
    pieces = -(-rows // TALLEST)
    height = rows / max(pieces, 1)
    full, tail = divmod(vectors, WIDE * 2 if rows == 1 else WIDE)
    steps = runs * pieces * channels * problem.taps
    multiply_adds = steps * (
        full * max(height * WIDE * (2 if rows == 1 else 1), LATENCY) + (max(height * tail, LATENCY) if tail else 0)
    )
    kind = "multiply_add_64" if size == 8 else "multiply_add_32"
    return {
        "call": 1,
        "split_weight" if parts > 1 else "weight": problem.groups * rows * channels * problem.taps,
        **costs.gathered(problem, copied_rows, planes * channels * z * y * x, size, phases[2]),
        "block": planes * count[0] * count[1] * count[2],
        "tile": runs * pieces * (full + (tail > 0)),
        kind if "int" in problem.dtype else "fma": multiply_adds,
        "load": steps * (vectors + height * (full + (tail > 0))),
        "written_row": planes * rows * out[0] * out[1] * count[2],
        "written_byte": problem.outputs * parts * size,
        "far_byte": costs.far_bytes(problem, size * parts),
    }


def prepare(problem, weight):
    """The weights as the register tile reads them: [group][piece of output channels][k][channel], one flat array."""
    tables = opened(problem)
    return packed_weights(<const Work*> opened_work(tables), problem, weight)


def prepare_once(problem, weight):
    """For a single call: where packed weights would pass max_workspace, those of the caller, which `run` packs some output channels at a time."""
    tables = opened(problem)
    cdef const Work* w = <const Work*> opened_work(tables)
    return weight if most_rows(w, problem, weight) < w.all_rows else packed_weights(w, problem, weight)


cdef object packed_weights(const Work* w, problem, weight):
    cdef const Blocks* b = &w.blocks
    matrix = real_matrix(b, problem, weight)
    cdef double numbers = <double> w.groups * w.rows * b.products
    cdef Py_ssize_t piece
    cdef Packing packing
    packed = new_numbers(b, w.groups * w.rows * b.products)
    packing.w, packing.source, packing.to = w, <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix), <char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
    if numbers < BRIEF:
        for piece in range(w.groups * w.pieces):
            pack_piece(&packing, piece, NULL)
    else:
        run_items(<Item> pack_piece, &packing, w.groups * w.pieces, numbers, worth_workers(numbers * PACK_SECONDS, 1, 1 << 40), NULL, 0, True)
    return packed


cdef struct Packing:
    const Work* w
    const char* source
    char* to


cdef void pack_piece(const Packing* p, Py_ssize_t piece, char* room) noexcept nogil:
    cdef const Work* w = p.w
    cdef Py_ssize_t products = w.blocks.products
    cdef Py_ssize_t first = piece // w.pieces * w.rows + cut(w.rows, piece % w.pieces, w.pieces)
    cdef Py_ssize_t last = piece // w.pieces * w.rows + cut(w.rows, piece % w.pieces + 1, w.pieces)
    if w.blocks.size == 4:
        transpose(<const uint32_t*> p.source + first * products, <uint32_t*> p.to + first * products, last - first, products)
    else:
        transpose(<const uint64_t*> p.source + first * products, <uint64_t*> p.to + first * products, last - first, products)


ctypedef fused bits:
    uint32_t
    uint64_t


cdef inline inlined transpose_of(const int rows, const bits* a, bits* b, Py_ssize_t columns) noexcept nogil:
    """`rows` is a constant once inlined."""
    cdef Py_ssize_t r, c
    for c in range(columns):
        for r in range(rows):
            b[c * rows + r] = a[r * columns + c]


cdef inline void transpose(const bits* a, bits* b, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    if rows == 1:
        transpose_of(1, a, b, columns)
    elif rows == 2:
        transpose_of(2, a, b, columns)
    elif rows == 3:
        transpose_of(3, a, b, columns)
    elif rows == 4:
        transpose_of(4, a, b, columns)
    elif rows == 5:
        transpose_of(5, a, b, columns)
    elif rows == 6:
        transpose_of(6, a, b, columns)


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Work part
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t g, r, first, groups, rows
    tables = opened(problem)
    w = (<const Work*> opened_work(tables))[0]
    input_steps(b, input, w.input_step, b.box.step)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    sums_from = real_bias(b, bias)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> sums_from)
    w.out = <char*> cnp.PyArray_DATA(out)
    if cnp.PyArray_NDIM(weight) == 1:
        run_work(&w, problem, cnp.PyArray_NBYTES(weight))
        return
    rows = most_rows(&w, problem, weight)
    groups = max(rows // w.rows, <Py_ssize_t> 1)
    # parts of about one size, so that one finds the memory of the one before
    groups, rows = ceil_div(w.groups, ceil_div(w.groups, groups)), ceil_div(w.rows // b.parts, ceil_div(w.rows, min(rows, w.rows))) * b.parts
    for g in range(0, w.groups, groups):
        for r in range(0, w.rows, rows):
            part, first = w, g * w.rows + r
            part.groups, part.rows = min(groups, w.groups - g), min(rows, w.rows - r)
            part.pieces, part.items = ceil_div(part.rows, ROWS), w.items // w.groups * part.groups
            part.multiply_adds = w.multiply_adds * part.groups * part.rows / w.all_rows
            part.input += g * w.input_step[1]
            part.bias += first * b.size
            part.out += first * b.out[0] * b.out[1] * b.out[2] * b.stored_size
            packed = packed_weights(&part, problem, weight[first // b.parts : (first + part.groups * part.rows) // b.parts])
            part.weight = <const char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
            run_work(&part, problem, packed.nbytes)
            packed = None               # before the next ones are packed


cdef int run_work(Work* w, object problem, Py_ssize_t packed_bytes) except -1:
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t room
    cdef char* base
    cdef int workers = worth_workers(w.multiply_adds * SECONDS_EACH, scratch_bytes(b), problem.max_workspace, packed_bytes)
    w.shares = min(w.pieces, ceil_div(2 * workers, w.items)) if workers > 1 else 1
    room = ceil_div(scratch_bytes(b), 64) * 64
    space = scratch_space(room * workers + 64)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    run_items(<Item> do_block, w, w.items * w.shares, w.multiply_adds, workers, base, room, b.exact)
    return 0


cdef inline Py_ssize_t sums_at(const Blocks* b) noexcept nogil:
    """Where the sums stand in a thread's scratch, behind the boxes."""
    return ceil_div(b.channels * b.plane * b.size + VECTORS * VB, 64) * 64

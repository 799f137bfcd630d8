"""Columns and a matrix product:  out[o, p] = bias[o] + sum_k weight[o, k] * column[k, p],   k = (channel, tap).

Layout: for a block of output positions p, row k of the columns holds what that tap reads, gathered straight from the input
(any strides, padding mode and stored type); BLAS multiplies it with the weight matrix. A 1x1 kernel of stride 1 on
contiguous planes needs no columns: the input is the matrix. Complex numbers go through real products, as in `direct`.
Wins for many channels, where BLAS is near the peak and copying each input tap times costs little.
Each sum is one BLAS product over all of k. Threads share out blocks and fixed slices of output channels, and BLAS is
held to one thread meanwhile: two pools of threads in one call are up to 15 times slower than one.
Source: Chellapilla, Puri, Simard, High Performance Convolutional Neural Networks for Document Processing, IWFHR 2006.
"""
import numpy as np  # no-cython-lint: blocks.pxd's functions look for it here

cimport numpy as cnp
from libc.limits cimport INT_MAX
from libc.string cimport memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blas cimport Blas, gemm_d, gemm_f, load_blas
from cyconv.cpu.blocks cimport (
    Blocks, ceil_div, close_blocks, cut_of, input_steps, locate, open_blocks, real_bias, real_matrix, scratch_space, set_layout,
)
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport DOUBLE, HALF, SINGLE, computed, gather_row, half, put_stored, source, stored

from cyconv import costs
from cyconv._platform import hold_blas, release_blas
from cyconv.threads import can_hold_blas

cnp.import_array()

cdef double SECONDS_EACH = 2e-11        # of a multiply-add: enough to tell whether a second thread is worth its start

cdef enum:
    COLUMN_BYTES = 1 << 20              # columns of one block: stay in a second-level cache while BLAS packs them
    LEAST_OUTPUTS = 128                 # fewer columns than this and BLAS falls off its peak
    MOST_OUTPUTS = 4096
    UNROLLED_OUTPUTS = 16               # what BLAS computes at least, whatever it stores
    UNROLLED_ROWS = 4
    SLICE = 256                         # output channels of one product, so that a single block still feeds two threads

cdef struct Work:
    Blocks blocks
    Blas blas
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    const char* bias
    bint has_bias
    char* out
    Py_ssize_t groups
    Py_ssize_t rows                     # output channels of a group, real and imaginary parts counted apart
    Py_ssize_t slices
    Py_ssize_t[3] kernel
    Py_ssize_t[3] dilation
    bint plain                          # the input is the matrix
    bint straight                       # BLAS writes to the output itself, whose planes it can count
    Py_ssize_t sums_at                  # if not: where in a thread's scratch it writes to

cdef Blas blas
cdef bint blas_loaded = False


cdef void columns(const Work* w, const char* src, const Py_ssize_t* origin, const Py_ssize_t* extent, const stored* like,
                  computed* to) noexcept nogil:
    """One row per channel, part and tap; src: the first channel of the batch item's group."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t c, jz, jy, jx, z, y, uz, uy
    cdef const char* plane
    for c in range(b.channels):
        plane = src + c // b.parts * w.input_step[2] + c % b.parts * b.stored_size
        for jz in range(w.kernel[0]):
            for jy in range(w.kernel[1]):
                for jx in range(w.kernel[2]):
                    for z in range(origin[0], origin[0] + extent[0]):
                        uz = source(z * b.box.axis[0].stride + jz * w.dilation[0] - b.box.axis[0].pad, b.box.axis[0].n, b.box.mode)
                        for y in range(origin[1], origin[1] + extent[1]):
                            uy = source(y * b.box.axis[1].stride + jy * w.dilation[1] - b.box.axis[1].pad, b.box.axis[1].n, b.box.mode)
                            if uz < 0 or uy < 0:
                                memset(to, 0, extent[2] * sizeof(computed))
                            else:
                                gather_row[stored, computed](
                                    plane + uz * b.box.step[0] + uy * b.box.step[1], b.box.step[2], &b.box.axis[2],
                                    origin[2] * b.box.axis[2].stride + jx * w.dilation[2] - b.box.axis[2].pad, extent[2],
                                    b.box.mode, like, to)
                            to += extent[2]


cdef void do_block(const Work* w, Py_ssize_t item, char* matrix) noexcept nogil:
    """One slice of the output channels of one block: gather, multiply, write."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t n, g, first, rows, r, row, place, count, q, z, y, ldb, ldc
    cdef Py_ssize_t area = b.out[0] * b.out[1] * b.out[2]
    cdef const char* src
    cdef char* c
    cdef char* to
    cdef char* sums = matrix + w.sums_at
    first = item % w.slices * w.rows // w.slices
    rows = (item % w.slices + 1) * w.rows // w.slices - first
    item = locate(b, item // w.slices, origin, extent)
    g = item % w.groups
    n = item // w.groups
    count = extent[0] * extent[1] * extent[2]
    place = (origin[0] * b.out[1] + origin[1]) * b.out[2] + origin[2]
    src = w.input + n * w.input_step[0] + g * w.input_step[1]
    if w.plain:
        src += place * b.size
        ldb = w.input_step[2] // b.size if b.channels > 1 else count
    else:
        ldb = count
        if b.kind == SINGLE:
            columns[float, float](w, src, origin, extent, NULL, <float*> matrix)
        elif b.kind == DOUBLE:
            columns[double, double](w, src, origin, extent, NULL, <double*> matrix)
        else:
            columns[half, float](w, src, origin, extent, NULL, <float*> matrix)
        src = matrix
    row = g * w.rows + first
    if w.straight:
        c, ldc = w.out + ((n * w.groups * w.rows + row) * area + place) * b.size, area
    else:
        c, ldc = sums, count
    if w.has_bias:
        for r in range(rows):
            if b.size == 4:
                for q in range(count):
                    (<float*> c)[r * ldc + q] = (<const float*> w.bias)[row + r]
            else:
                for q in range(count):
                    (<double*> c)[r * ldc + q] = (<const double*> w.bias)[row + r]
    if b.size == 4:
        gemm_f(&w.blas, <const float*> w.weight + row * b.products, <int> b.products, <const float*> src, <int> ldb,
               1.0 if w.has_bias else 0.0, <float*> c, <int> ldc, <int> rows, <int> count, <int> b.products)
    else:
        gemm_d(&w.blas, <const double*> w.weight + row * b.products, <int> b.products, <const double*> src, <int> ldb,
               1.0 if w.has_bias else 0.0, <double*> c, <int> ldc, <int> rows, <int> count, <int> b.products)
    if w.straight:
        return
    for r in range(rows):
        to = w.out + ((n * w.groups * w.rows + row + r) // b.parts * area * b.parts + (row + r) % b.parts) * b.stored_size
        for z in range(extent[0]):
            for y in range(extent[1]):
                put_stored(b.kind, sums + ((r * extent[0] + z) * extent[1] + y) * extent[2] * b.size,
                           to + (place + (z * b.out[1] + y) * b.out[2]) * b.parts * b.stored_size, b.parts, extent[2])


cdef int open_columns(Blocks* b, object problem) except -1:
    set_layout(b, problem)
    # as many columns as fit, at least LEAST_OUTPUTS; `scratch` tells what memory that takes
    cdef object fitting = COLUMN_BYTES // (max(problem.products, 1) * b.parts * b.size)
    return open_blocks(b, problem, 1 << 40, min(max(fitting, LEAST_OUTPUTS), MOST_OUTPUTS), 1, False)


cdef object scratch_bytes(const Blocks* b, problem):
    """Bytes for columns and sums of one thread, in Python integers: they may be too large for anything else."""
    outputs = b.block[0] * b.block[1] * b.block[2]
    rows = min(problem.out_channels * b.parts, 2 * SLICE)
    return (outputs * (problem.products * b.parts + rows)) * b.size + 256


def scratch(problem):
    """Bytes that one thread needs."""
    cdef Blocks b
    open_columns(&b, problem)
    close_blocks(&b)
    return scratch_bytes(&b, problem)


def why_not(problem):
    if problem.dtype not in ("float16", "float32", "float64", "complex64", "complex128"):
        return f"BLAS has no {problem.dtype}"
    if problem.products * 2 > INT_MAX:
        return f"sums of {problem.products} products are longer than BLAS can count"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    return costs.seconds("im2col", amounts(problem)), scratch(problem) + costs.converted_weights(problem)


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Blocks b
    open_columns(&b, problem)
    block, count, _, _ = cut_of(&b)
    cdef bint one_run = in_one_run(&b)
    close_blocks(&b)
    dtype, out = problem.dtype, problem.out_size
    parts, size = costs.parts_and_size(problem)
    planes = problem.batch * problem.groups
    rows, products = problem.out_channels * parts, problem.in_channels * parts * problem.taps
    area, slices = out[0] * out[1] * out[2], -(-rows // SLICE)
    blocks, width = planes * count[0] * count[1] * count[2], block[0] * block[1] * block[2]
    in_place = one_run and parts == 1 and dtype not in costs.CONVERTED
    straight = in_place and area <= INT_MAX
    plain = in_place and problem.taps == 1 and max(problem.stride) == 1 and out == problem.size and not any(problem.pad_before)
    columns = 0 if plain else planes * slices * products
    summed = -(-width // UNROLLED_OUTPUTS) * UNROLLED_OUTPUTS * area / max(width * count[0] * count[1] * count[2], 1)
    return {
        "call": 1,
        "split_weight": problem.groups * rows * products if parts > 1 or dtype == "float16" else 0,
        **costs.gathered(problem, columns * out[0] * out[1] * count[2], columns * area, size, 1),
        "spilled_byte": columns * area * size if width * products * size > 2 * COLUMN_BYTES else 0,
        "product": blocks * slices,
        "multiply_add": blocks * summed * -(-rows // UNROLLED_ROWS) * UNROLLED_ROWS * products * (size // 4),
        "packed": blocks * products * (summed * slices + rows),
        "sum": planes * rows * area * (2 if problem.has_bias else 1),
        "written_row": 0 if straight else planes * rows * out[0] * out[1] * count[2],
        "written_byte": 0 if straight else problem.outputs * parts * size,
        "far_byte": costs.far_bytes(problem, size * parts),
    }


def prepare(problem, weight):
    """The weights as one real matrix per group."""
    cdef Blocks b
    set_layout(&b, problem)
    return real_matrix(&b, problem, weight)


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` returned."""
    global blas_loaded
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t a, items, room
    cdef int workers
    cdef double work
    cdef char* base
    if not blas_loaded:
        load_blas(&blas)
        blas_loaded = True
    w.blas = blas
    open_columns(b, problem)
    try:
        input_steps(b, input, w.input_step, b.box.step)
        for a in range(3):
            w.kernel[a], w.dilation[a] = problem.kernel[a], problem.dilation[a]
        w.groups = problem.groups
        w.rows = problem.out_channels * b.parts
        w.slices = ceil_div(w.rows, SLICE)
        w.input = <const char*> cnp.PyArray_DATA(input)
        w.weight = <const char*> cnp.PyArray_DATA(weight)
        start = real_bias(b, bias)
        w.has_bias = bias is not None
        w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> start)
        w.out = <char*> cnp.PyArray_DATA(out)
        w.plain = is_plain(&w, problem)
        w.straight = b.parts == 1 and b.kind != HALF and in_one_run(b) and b.out[0] * b.out[1] * b.out[2] <= INT_MAX
        items = problem.batch * w.groups * b.count[0] * b.count[1] * b.count[2] * w.slices
        work = problem.multiply_adds
        workers = 1
        if can_hold_blas():
            workers = worth_workers(work * SECONDS_EACH, scratch_bytes(b, problem), problem.max_workspace - costs.converted_weights(problem))
        room = scratch_bytes(b, problem) // 64 * 64
        w.sums_at = ceil_div(b.block[0] * b.block[1] * b.block[2] * b.products * b.size, 64) * 64
        space = scratch_space((room + 128) * workers + 64)
        base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
        hold_blas()
        try:
            run_items(<Item> do_block, &w, items, work, workers, base, room + 128, problem.strict)
        finally:
            release_blas()
    finally:
        close_blocks(b)


cdef bint in_one_run(const Blocks* b) noexcept nogil:
    """Whether the outputs of a block are neighbours in memory."""
    if b.block[0] == 1 and b.block[1] == 1:
        return True
    return b.block[2] == b.out[2] and (b.block[0] == 1 or b.block[1] == b.out[1])


cdef bint is_plain(const Work* w, problem):
    """Whether each channel's samples, taken in order, are the columns of its one tap."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t a, neighbour = b.size
    if problem.taps > 1 or b.parts > 1 or b.kind == HALF or not in_one_run(b):
        return False
    for a in range(2, -1, -1):
        if b.box.axis[a].stride > 1 or b.box.axis[a].pad or b.out[a] != b.box.axis[a].n:
            return False
        if b.out[a] > 1 and b.box.step[a] != neighbour:
            return False
        neighbour *= b.out[a]
    if b.channels == 1:
        return True
    return w.input_step[2] % b.size == 0 and b.out[0] * b.out[1] * b.out[2] <= w.input_step[2] // b.size <= INT_MAX

"""Depthwise layers with channels on the lanes:  out[g, p] = bias[g] + sum over i, j of weight[g, i, j] * input[g, p*s + (i, j)*d - pad].

As many channels as a vector has lanes are transposed into a box [row][column][channel] that holds the padding too; tiles of
up to 14 neighbouring outputs of a row are summed there, one vector of weights at a time going to all of them; and rows of
outputs are transposed back. Every load is a whole aligned line whatever kernel, stride and dilation are, no lane is lost
at an edge, and a plane of few numbers is as good as a large one.
Planes are transposed as one run of numbers where their rows are neighbours in memory, else number by number.
Weights are packed [block of channels][tap][channel], and behind each block a byte that tells whether all are finite: rows of
padding are left out of the sums then. For one batch item each block is packed by the thread that needs it: packed by another,
it would come from that one's cache. Products are added in the order [i][j] onto the bias.
Wins for kernels larger than 3 x 3 or stepped, where the sums outweigh both transpositions. Threads share out blocks of
channels, and strips of large planes; the cut depends on the problem alone and splits no sum.

The layout is that of Georganas et al., Anatomy of high-performance deep learning convolutions on SIMD architectures, SC 2018.
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport ceil_div, scratch_space
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, keep, lanes
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.square cimport turn

from cyconv import costs
from cyconv.memory import empty

cnp.import_array()

cdef double SECONDS_EACH = 2.2e-11      # of a multiply-add,
cdef double SECONDS_TURNED = 1.5e-10    # of a number of input, weight or output: enough to tell whether a second thread is worth its start

cdef enum:
    LINE = 64                           # bytes of the widest vector: the cut is the same on every level
    ALONG = 14                          # outputs of a tile: with a vector of weights they fit 16 registers
    BOX_BYTES = 256 * 1024              # of one block: stays in a second-level cache
    MOST_BYTES = 4 * 1024 * 1024        # of the box of one row of outputs
    SUMS_BYTES = 12 * 1024              # of sums before they are transposed: stay in a first-level cache
    LEAST_ITEMS = 8
    LEAST_STRIP = 8                     # rows of outputs, in shares for threads

cdef struct Work:
    Py_ssize_t size                     # bytes of a number
    Py_ssize_t lane                     # numbers in a vector
    Py_ssize_t batch
    Py_ssize_t groups
    Py_ssize_t blocks                   # of channels
    Py_ssize_t[2] n                     # sizes along y, x, as are all of the following
    Py_ssize_t[2] k
    Py_ssize_t[2] s
    Py_ssize_t[2] d
    Py_ssize_t[2] pad
    Py_ssize_t[2] out
    Py_ssize_t strip                    # rows of outputs of an item
    Py_ssize_t strips
    Py_ssize_t height                   # rows of its box
    Py_ssize_t width                    # and columns
    Py_ssize_t tile                     # outputs
    Py_ssize_t few                      # rows of outputs that are summed before they are transposed
    Py_ssize_t sums                     # bytes from the start of a thread's scratch to its sums
    Py_ssize_t packed                   # and to the weights of a block
    Py_ssize_t filled                   # and to two numbers: the first row of the box that holds input, and the first one behind
    Py_ssize_t room                     # bytes of it
    bint flat                           # whether planes are runs
    bint raw                            # whether weights are yet to be packed
    const char* input
    Py_ssize_t[4] step                  # bytes to the next batch item, group, y, x
    const char* weight
    const char* bias
    char* result


cdef int open_work(Work* w, object problem, Py_ssize_t vector) except -1:
    """Fills `w` but for arrays, for vectors of so many bytes. Numbers of a box stay below 2**62 / LINE where `why_not` has no objection."""
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef Py_ssize_t a, m, wanted
    w.size = 4 if problem.dtype == "float32" else 8
    w.lane = vector // w.size
    w.batch, w.groups = problem.batch, problem.groups
    w.blocks = ceil_div(w.groups, w.lane)
    for a in range(2):
        w.n[a], w.k[a], w.s[a], w.d[a], w.pad[a], w.out[a] = size[a + 1], kernel[a + 1], stride[a + 1], dilation[a + 1], pad[a + 1], out[a + 1]
    w.width = max((w.out[1] - 1) * w.s[1] + (w.k[1] - 1) * w.d[1] + 1, w.pad[1] + w.n[1])
    m = 1
    while m < w.out[0] and (m * w.s[0] + (w.k[0] - 1.0) * w.d[0] + 1) * w.width * LINE <= BOX_BYTES:
        m += 1
    wanted = ceil_div(LEAST_ITEMS, max(w.batch * ceil_div(w.groups, LINE // w.size), 1))
    m = min(m, max(ceil_div(w.out[0], wanted), <Py_ssize_t> LEAST_STRIP))
    w.strip = max(ceil_div(w.out[0], ceil_div(max(w.out[0], 1), m)), 1)
    w.strips = ceil_div(w.out[0], w.strip)
    w.height = (w.strip - 1) * w.s[0] + (w.k[0] - 1) * w.d[0] + 1
    w.tile = ceil_div(w.out[1], max(ceil_div(w.out[1], ALONG), 1))
    w.few = min(max(SUMS_BYTES // (LINE * max(w.out[1], 1)), 1), w.strip)
    w.sums = w.height * w.width * vector
    w.packed = w.sums + w.few * w.out[1] * vector
    w.filled = w.packed + (w.k[0] * w.k[1] + 1) * vector
    w.room = w.filled + vector
    return 0


cdef inline double least_box(object problem):
    """Bytes of the box of one row of outputs; in floating point, where nothing overflows."""
    rows, columns = [
        max((out - 1.0) * s + (k - 1.0) * d + 1, 0.0 + before + n)
        for out, s, k, d, before, n in zip(
            (1, problem.out_size[2]), problem.stride[1:], problem.kernel[1:], problem.dilation[1:],
            (0, problem.pad_before[2]), (0, problem.size[2]),
        )
    ]
    return LINE * (rows * columns + problem.out_size[2])


cdef inline inlined turn_in(const lanes* like, const char* first, Py_ssize_t plane, Py_ssize_t planes, Py_ssize_t count, char* to,
                            Py_ssize_t columns, Py_ssize_t gap) noexcept nogil:
    """Numbers 0..count-1 of so many planes, which lie `plane` bytes apart, to vectors; lanes without a plane get the last one's.
    `gap` bytes are skipped after so many columns."""
    cdef lanes[LANES_F] t
    cdef lanes[LANES_F] some
    cdef int l, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8
    cdef Py_ssize_t p = 0, x
    cdef char* at
    if count < side:
        for p in range(count):
            at = to + p * VB + p // columns * gap
            for l in range(side):
                if lanes is vf:
                    (<float*> at)[l] = (<const float*> (first + min(l, planes - 1) * plane))[p]
                else:
                    (<double*> at)[l] = (<const double*> (first + min(l, planes - 1) * plane))[p]
        return
    while p < count:
        p = min(p, count - side)                            # the last vectors overlap those before
        if planes == side:
            turn(first + p * size, plane, t)
        else:
            for l in range(side):
                some[l] = (<const lanes*> (first + min(l, planes - 1) * plane + p * size))[0]
            turn(<const char*> &some, VB, t)
        at = to + p * VB + p // columns * gap
        x = p % columns
        if x + side <= columns:
            for l in range(side):
                (<lanes*> (at + l * VB))[0] = t[l]
        else:
            for l in range(side):
                (<lanes*> at)[0] = t[l]
                at += VB
                x += 1
                if x == columns:
                    x = 0
                    at += gap
        p += side


cdef inline inlined turn_out(const lanes* like, const char* sums, Py_ssize_t count, char* to, Py_ssize_t plane, Py_ssize_t planes) noexcept nogil:
    """Vectors 0..count-1 to so many planes, which lie `plane` bytes apart."""
    cdef lanes[LANES_F] t
    cdef int l, side = LANES_F if lanes is vf else LANES_D, size = 4 if lanes is vf else 8
    cdef Py_ssize_t p = 0, c
    if count < side:
        for c in range(planes):
            for p in range(count):
                if lanes is vf:
                    (<float*> (to + c * plane))[p] = (<const float*> (sums + p * VB))[c]
                else:
                    (<double*> (to + c * plane))[p] = (<const double*> (sums + p * VB))[c]
        return
    while p < count:
        p = min(p, count - side)
        turn(sums + p * VB, VB, t)
        for l in range(side):
            if l < planes:
                (<lanes*> (to + l * plane + p * size))[0] = t[l]
        p += side


cdef inline inlined rows_of(const int R, const int s, const lanes* like, const Work* w, const char* box, const char* weight,
                            const char* bias, char* sums, Py_ssize_t rows, Py_ssize_t top) noexcept nogil:
    """Rows of outputs in tiles of R; s: the stride along x, or 0 if it is only known in `w`; top: row of the input that the first one begins with."""
    cdef bint skips = (weight + w.k[0] * w.k[1] * VB)[0]    # rows of padding, which add nothing: no weight is infinite or NaN
    cdef lanes[ALONG] acc
    cdef lanes start = (<const lanes*> bias)[0], v
    cdef Py_ssize_t _y, x, _i, _j, row = w.width * VB, step = (s if s else w.s[1]) * VB, hop = w.d[1] * VB, down = w.d[0] * row
    cdef const char* first
    cdef const char* p
    cdef const char* q
    cdef int r
    cdef Py_ssize_t begin, end                              # rows of the kernel that count
    cdef Py_ssize_t at                                      # row of the input that row y begins with
    cdef const char* corner
    cdef char* to
    x = 0
    while x < w.out[1]:                                     # down the rows, so that what tiles share is in the first-level cache
        x = min(x, w.out[1] - R)                            # the last tile overlaps the one before
        corner = box + x * step
        to = sums + x * VB
        at = top
        for _y in range(rows):
            if skips and (at < 0 or at + (w.k[0] - 1) * w.d[0] >= w.n[0]):
                begin = min(ceil_div(max(-at, <Py_ssize_t> 0), w.d[0]), w.k[0])
                end = min(ceil_div(max(w.n[0] - at, <Py_ssize_t> 0), w.d[0]), w.k[0])
            else:
                begin, end = 0, w.k[0]
            first = corner + begin * down
            for r in range(R):
                acc[r] = start
            q = weight + begin * w.k[1] * VB
            for _i in range(begin, end):
                p = first
                for _j in range(w.k[1]):
                    v = keep((<const lanes*> q)[0])
                    for r in range(R):
                        acc[r] = acc[r] + v * (<const lanes*> (p + r * step))[0]
                    p += hop
                    q += VB
                first += down
            for r in range(R):
                (<lanes*> (to + r * VB))[0] = acc[r]
            at += w.s[0]
            corner += w.s[0] * row
            to += w.out[1] * VB
        x += R


cdef inline inlined rows_by(const int s, const lanes* like, const Work* w, const char* box, const char* weight, const char* bias,
                            char* sums, Py_ssize_t rows, Py_ssize_t top) noexcept nogil:
    if w.tile == 1:
        rows_of(1, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 2:
        rows_of(2, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 3:
        rows_of(3, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 4:
        rows_of(4, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 5:
        rows_of(5, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 6:
        rows_of(6, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 7:
        rows_of(7, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 8:
        rows_of(8, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 9:
        rows_of(9, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 10:
        rows_of(10, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 11:
        rows_of(11, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 12:
        rows_of(12, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 13:
        rows_of(13, s, like, w, box, weight, bias, sums, rows, top)
    elif w.tile == 14:
        rows_of(14, s, like, w, box, weight, bias, sums, rows, top)


cdef void fill(const Work* w, const char* source, Py_ssize_t planes, Py_ssize_t corner, char* box, Py_ssize_t* filled) noexcept nogil:
    """The box of so many channels, from row `corner` (of the padded input) on. Padding is zeros, but for rows that were filled before."""
    cdef Py_ssize_t l, y, x, begin, end, first = max(corner - w.pad[0], <Py_ssize_t> 0), last = min(corner + w.height - w.pad[0], w.n[0])
    cdef Py_ssize_t count = (last - first) * w.n[1], row = w.width * VB
    cdef const char* p
    cdef char* to = box + (first + w.pad[0] - corner) * row + w.pad[1] * VB
    begin = first + w.pad[0] - corner if last > first else 0
    end = last + w.pad[0] - corner if last > first else 0
    for y in range(filled[0], filled[1]):
        if y < begin or y >= end:
            memset(box + y * row, 0, row)
    filled[0], filled[1] = begin, end
    if last <= first or w.n[1] == 0:
        return
    if w.flat:
        source += first * w.step[2]
        if w.size == 4:
            turn_in(<vf*> NULL, source, w.step[1], planes, count, to, w.n[1], row - w.n[1] * VB)
        else:
            turn_in(<vd*> NULL, source, w.step[1], planes, count, to, w.n[1], row - w.n[1] * VB)
        return
    for y in range(first, last):
        for x in range(max(-w.pad[1], <Py_ssize_t> 0), w.n[1]):
            p = source + y * w.step[2] + x * w.step[3]
            for l in range(planes):
                if w.size == 4:
                    (<uint32_t*> (to + x * VB))[l] = (<const uint32_t*> (p + l * w.step[1]))[0]
                else:
                    (<uint64_t*> (to + x * VB))[l] = (<const uint64_t*> (p + l * w.step[1]))[0]
        to += row


cdef void few_rows(const Work* w, const char* box, const char* weight, const char* bias, char* sums, Py_ssize_t rows, Py_ssize_t top) noexcept nogil:
    if w.size == 4:
        if w.s[1] == 1:
            rows_by(1, <vf*> NULL, w, box, weight, bias, sums, rows, top)
        elif w.s[1] == 2:
            rows_by(2, <vf*> NULL, w, box, weight, bias, sums, rows, top)
        else:
            rows_by(0, <vf*> NULL, w, box, weight, bias, sums, rows, top)
    elif w.s[1] == 1:
        rows_by(1, <vd*> NULL, w, box, weight, bias, sums, rows, top)
    elif w.s[1] == 2:
        rows_by(2, <vd*> NULL, w, box, weight, bias, sums, rows, top)
    else:
        rows_by(0, <vd*> NULL, w, box, weight, bias, sums, rows, top)


cdef inline Py_ssize_t block_bytes(Py_ssize_t taps) noexcept nogil:
    """Of the packed weights of a block of channels."""
    return (taps + 1) * VB


cdef void pack_block(const char* weight, Py_ssize_t taps, Py_ssize_t channels, Py_ssize_t size, char* to) noexcept nogil:
    """The weights [channel][tap] of a block to [tap][channel], and whether all are finite. Lanes without a channel get others' weights."""
    if size == 4:
        turn_in(<vf*> NULL, weight, taps * size, channels, taps, to, taps, 0)
    else:
        turn_in(<vd*> NULL, weight, taps * size, channels, taps, to, taps, 0)
    (to + taps * VB)[0] = all_finite(weight, channels * taps, <int> size)


cdef void do_item(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    """One strip of one block of channels."""
    cdef Py_ssize_t y0 = item % w.strips * w.strip, block = item // w.strips % w.blocks, n = item // w.strips // w.blocks
    cdef Py_ssize_t g = block * w.lane, planes = min(w.lane, w.groups - g), y = 0, area = w.out[0] * w.out[1], rows
    cdef Py_ssize_t last = min(w.strip, w.out[0] - y0), taps = w.k[0] * w.k[1]
    cdef const char* weight = w.weight + block * block_bytes(taps)
    cdef char* to
    if w.raw:
        weight = scratch + w.packed
        pack_block(w.weight + g * taps * w.size, taps, planes, w.size, scratch + w.packed)
    fill(w, w.input + n * w.step[0] + g * w.step[1], planes, y0 * w.s[0], scratch, <Py_ssize_t*> (scratch + w.filled))
    while y < last:
        rows = min(w.few, last - y)
        few_rows(w, scratch + y * w.s[0] * w.width * VB, weight, w.bias + block * VB,
                 scratch + w.sums, rows, (y0 + y) * w.s[0] - w.pad[0])
        to = w.result + ((n * w.groups + g) * area + (y0 + y) * w.out[1]) * w.size
        if w.size == 4:
            turn_out(<vf*> NULL, scratch + w.sums, rows * w.out[1], to, area * 4, planes)
        else:
            turn_out(<vd*> NULL, scratch + w.sums, rows * w.out[1], to, area * 8, planes)
        y += rows


def why_not(problem):
    if problem.in_channels != 1 or problem.out_channels != 1:
        return "made for one input and one output channel in a group"
    if problem.dtype not in ("float32", "float64"):
        return f"made for float32 and float64, not {problem.dtype}"
    if problem.padding_mode != "zeros":
        return f"made for padding by zeros, not {problem.padding_mode!r}"
    if problem.rank > 2:
        return "made for one and two axes"
    if least_box(problem) > MOST_BYTES:
        return f"one row of outputs reads {least_box(problem):.3g} bytes, more than a cache holds"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    cdef Work w
    open_work(&w, problem, LINE)
    return costs.seconds("channel_lanes", amounts(problem)), w.room + LINE


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    open_work(&w, problem, LINE)
    blocks = w.batch * w.blocks
    tiles = blocks * w.out[0] * ceil_div(w.out[1], max(w.tile, 1))
    steps = tiles * w.k[0] * w.k[1]
    read = min(w.strips * w.height, w.n[0] * w.strips) * w.n[1] * (1 if w.pad[1] >= 0 else 4)   # number by number if cropped
    return {
        "call": 1,
        "weight": w.blocks * w.k[0] * w.k[1],
        "cleared": w.width * (w.height + (blocks * w.strips * min(w.height, w.n[0]) if w.strips > 1 else 0)),
        "item": blocks * w.strips,
        "turned": blocks * (read + w.out[0] * w.out[1]),
        "tile": tiles,
        "step": steps,
        "fma": steps * w.tile,
        "far_byte": costs.far_bytes(problem, w.size),
    }


def prepare(problem, weight):
    """The weights as [block of channels][tap][channel], a flat array."""
    cdef Py_ssize_t groups = problem.groups, taps = problem.taps, size = 4 if problem.dtype == "float32" else 8, lane = VB // size
    cdef Py_ssize_t blocks = ceil_div(groups, lane), b
    matrix = np.ascontiguousarray(weight, problem.dtype)
    packed = empty((blocks * block_bytes(taps) + 2 * LINE) // size, matrix.dtype)
    cdef const char* source = <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix)
    cdef char* to = <char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
    with nogil:
        to += -<Py_ssize_t> to & (LINE - 1)
        for b in range(blocks):
            pack_block(source + b * lane * taps * size, taps, min(lane, groups - b * lane), size, to + b * block_bytes(taps))
    return packed


def prepare_once(problem, weight):
    """For a single call: weights as they are, in C order, where each block of them is used once."""
    return prepare(problem, weight) if problem.batch > 1 else np.ascontiguousarray(weight, problem.dtype)


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Py_ssize_t items, a, batched, rank
    cdef int workers, worker = 0
    cdef double work, seconds
    cdef char* base
    open_work(&w, problem, VB)
    rank, batched = problem.rank, problem.batched
    w.step[0] = cnp.PyArray_STRIDE(input, 0) if batched else 0
    w.step[1] = cnp.PyArray_STRIDE(input, batched)
    for a in range(2):
        w.step[2 + a] = cnp.PyArray_STRIDE(input, batched + 1 + a - (2 - rank)) if a >= 2 - rank else 0
    w.flat = w.pad[1] >= 0 and (w.step[3] == w.size or w.n[1] == 1) and (w.step[2] == w.n[1] * w.size or w.n[0] == 1)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    w.raw = weight.ndim > 1
    if not w.raw:
        w.weight += -<Py_ssize_t> w.weight & (LINE - 1)
    starts = np.zeros(w.blocks * w.lane, problem.dtype)
    if bias is not None:
        starts[:w.groups] = bias
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> starts)
    w.result = <char*> cnp.PyArray_DATA(out)

    work = <double> w.batch * w.groups * w.out[0] * w.out[1] * w.k[0] * w.k[1]
    items = w.batch * w.blocks * w.strips if w.out[1] else 0
    seconds = work * SECONDS_EACH + SECONDS_TURNED * w.groups * (
        <double> w.batch * (<double> w.n[0] * w.n[1] + w.out[0] * w.out[1]) + w.k[0] * w.k[1])
    workers = worth_workers(seconds, w.room, problem.max_workspace)
    space = scratch_space(w.room * workers + LINE)
    base = <char*> cnp.PyArray_DATA(<cnp.ndarray> space)
    base += -<Py_ssize_t> base & (LINE - 1)
    for worker in range(workers):                           # the zeros of the padding
        memset(base + worker * w.room, 0, w.sums)
        memset(base + worker * w.room + w.filled, 0, VB)
    run_items(<Item> do_item, &w, items, work, workers, base, w.room, problem.strict)

"""Sums along the lanes:  out[n, o, j] = bias[o] + sum over c, p of weight[o, c, p] * input[n, c, j*s + p*d - pad], p on the lanes.

For few outputs of long kernels and few channels: a template that fits at a few places, and above all gradients of depthwise convolutions,
and of those with few channels, with respect to their weights (gradient_problem.py: there outputs are taps, channels the batch, and the kernel
is the gradient of the result). Everything else would leave most lanes, or most rows of a register tile, without work.

Layout: samples that the kernel reads side by side are gathered into boxes as packing.pxd describes them, with the parts of outputs and taps
exchanged: the kernel's dilation is what packing calls a stride, and output j of the result reads from a constant place in the box on. The
kernel's rows lie as far apart as the box's, with zeros between them, so that all rows of a channel are one run, and no row's end leaves lanes
empty. A tile holds a vector of sums for each of a few output channels and outputs; at its end the lanes are added up, halves by
halves. A piece is a cut through channels, planes, rows or columns of the kernel whose box fits the caches near a core; its sums are added to the
others' in order. Sixteen floats (eight doubles) go along side by side on every level, one, two or four vectors of them: the same order of
additions on all.
The zeros between rows meet samples of other windows. If one of these is not finite, neither is a sum, and another algorithm does it again.
Threads share out pieces, groups and batch items.
"""
import numpy as np

cimport numpy as cnp
from libc.string cimport memcpy, memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport (
    Blocks, PyCapsule_GetPointer, PyMem_Free, PyMem_Malloc, PyObject, ceil_div, gcd, input_steps, new_numbers, number_type, opened_once,
    opened_work, real_bias, scratch_space, set_layout,
)
from cyconv.cpu.finite cimport all_finite, bits_32, bits_64
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport CIRCULAR, REFLECT, REPLICATE, ZEROS, copy_run, gather_floats, put_floats
from cyconv.cpu.shuffle cimport lanes, unknown
from cyconv.cpu.simd cimport VB, inlined, splat_d, splat_f, vd, vf

from cyconv import costs

cnp.import_array()

EXCHANGES = True                        # see menu.Algorithm

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_ONE 9
      #define CY_TWO 6
      #define CY_FOUR 5
    #else
      #define CY_ONE 9
      #define CY_TWO 5
      #define CY_FOUR 2
    #endif
    """
    enum:                               # outputs of a tile of so many output channels: sums, weights and a vector of samples fit the registers
        ONE "CY_ONE"
        TWO "CY_TWO"
        FOUR "CY_FOUR"

cdef double SECONDS_EACH = 1.3e-10      # of a vector of multiply-adds,
cdef double BYTE_SECONDS = 5e-11        # of a byte that is gathered or packed: enough to tell whether a second thread is worth its start

cdef enum:
    LINE = 64                           # bytes that go along side by side on every level
    MOST_OUTPUTS = 1024                 # of a channel
    BOX_BYTES = 48 * 1024               # of a piece, which every tile reads
    MOST_BYTES = 1 << 20                # of the box for one row of the kernel
    TALLEST = 4                         # output channels of a tile,
    MOST_AT_ONCE = 9
    MOST_APART = 3                      # weights that stand so far apart, at most, in rows of so many,
    SHORT_ROW = 32                      # take less time than splitting the samples' rows (measured: 0.88 -> 0.55 ms for rows of 14)

cdef struct Work:
    Blocks blocks                       # numbers and boxes; `out` are outputs, `block` and `count` cut the kernel
    Py_ssize_t batch, groups, rows      # rows: output channels of a group
    Py_ssize_t outputs                  # of a channel
    Py_ssize_t[3] kernel
    Py_ssize_t apart                    # a row's weights stand so many numbers apart, zeros between them, instead of splitting short rows
    Py_ssize_t channels, channel_blocks  # of a piece, and how many times so many
    Py_ssize_t pieces
    Py_ssize_t runs, run                # of a piece; bytes of one, in whole lines
    Py_ssize_t* place                   # of each output: bytes from the beginning of a box to its first sample,
    Py_ssize_t* start                   # and of each run to its
    const char* input
    Py_ssize_t[3] input_step
    const char* raw                     # the caller's weights, or NULL if they are packed already:
    const char* weight                  # [group][piece][output channel][run]
    Py_ssize_t[5] raw_step              # bytes between output channels, input channels, planes, rows, columns
    char* sums                          # [batch item][group][output channel][piece][output]


# ---- the cut ---------------------------------------------------------------------------------------------------------------


cdef inline double box_bytes(const Blocks* b, double z, double y, double x) noexcept nogil:
    """Of one channel, for so many planes, rows and columns of the kernel."""
    cdef double numbers = (z + b.reach[0]) * (y + b.reach[1]) * (x + b.reach[2])
    return numbers * b.box.axis[0].phases * b.box.axis[1].phases * b.box.axis[2].phases * b.size


cdef inline Py_ssize_t even(Py_ssize_t whole, Py_ssize_t most) noexcept nogil:
    """Pieces of at most so many, nearly equal ones."""
    return ceil_div(whole, max(ceil_div(whole, most), <Py_ssize_t> 1))


cdef Py_ssize_t open_plainly(Work* w, object problem) except -1:
    """All but the tables of places."""
    cdef Blocks* b = &w.blocks
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef Py_ssize_t a, m, period, d
    cdef str mode = problem.padding_mode
    set_layout(b, problem)
    b.memory = NULL
    b.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    b.channels = b.in_channels
    w.batch, w.groups, w.rows = problem.batch, problem.groups, problem.out_channels
    w.outputs = 1
    for a in range(3):
        w.kernel[a], b.out[a] = kernel[a], out[a]
        w.outputs *= b.out[a]
        b.box.axis[a].n, b.box.axis[a].pad = size[a], pad[a]
        d = dilation[a]
        if a == 2:
            w.apart = d if d <= MOST_APART and w.kernel[2] <= SHORT_ROW else 1
            d //= w.apart
        b.box.axis[a].stride = d
        period = d // gcd(d, stride[a])
        b.box.axis[a].phases = min(b.out[a], period)
        b.reach[a] = (b.out[a] - 1) * <Py_ssize_t> stride[a] // d
    b.reach[2] += (w.kernel[2] - 1) * (w.apart - 1)
    m = w.kernel[2]
    while m > LINE and box_bytes(b, 1, 1, m) > BOX_BYTES:
        m = (m + 1) // 2
    b.block[2] = even(w.kernel[2], m)
    b.block[1] = b.block[0] = w.channels = m = 1
    if b.block[2] == w.kernel[2]:
        while m < w.kernel[1] and box_bytes(b, 1, m + 1, w.kernel[2]) <= BOX_BYTES:
            m += 1
        b.block[1] = even(w.kernel[1], m)
        if b.block[1] == w.kernel[1]:
            m = 1
            while m < w.kernel[0] and box_bytes(b, m + 1, w.kernel[1], w.kernel[2]) <= BOX_BYTES:
                m += 1
            b.block[0] = even(w.kernel[0], m)
            if b.block[0] == w.kernel[0]:
                m = <Py_ssize_t> (BOX_BYTES / box_bytes(b, b.block[0], b.block[1], b.block[2]))
                w.channels = max(even(b.channels, max(min(m, b.channels), <Py_ssize_t> 1)), <Py_ssize_t> 1)
    b.plane = 1
    w.pieces = w.channel_blocks = ceil_div(b.channels, w.channels)
    for a in range(3):
        b.count[a] = ceil_div(w.kernel[a], b.block[a])
        w.pieces *= b.count[a]
        b.box.axis[a].length = b.block[a] + b.reach[a]
    b.plane = <Py_ssize_t> min(box_bytes(b, b.block[0], b.block[1], b.block[2]), 2.0**62) // b.size
    w.runs = w.channels * b.block[0]
    m = (b.block[1] - 1) * b.box.axis[2].length + (b.block[2] - 1) * w.apart + 1
    w.run = ceil_div(m * b.size, LINE) * LINE
    return 0


cdef Py_ssize_t open_work(void* work, object problem) except -1:
    """Everything that follows from the problem alone; returns the bytes of its tables."""
    cdef Work* w = <Work*> work
    cdef Blocks* b = &w.blocks
    cdef tuple stride = problem.stride
    cdef Py_ssize_t[3] j
    cdef Py_ssize_t[3] s
    cdef Py_ssize_t[3] d
    cdef Py_ssize_t a, i, numbers, phase, at, rest
    cdef Py_ssize_t* remainder
    open_plainly(w, problem)
    numbers = w.outputs + w.runs + b.box.axis[0].phases + b.box.axis[1].phases + b.box.axis[2].phases
    b.memory = <Py_ssize_t*> PyMem_Malloc(numbers * sizeof(Py_ssize_t))
    if b.memory == NULL:
        raise MemoryError(f"no room for the places of {w.outputs} outputs")
    w.place, w.start = b.memory, b.memory + w.outputs
    remainder = w.start + w.runs
    for a in range(3):
        s[a], d[a] = stride[a], b.box.axis[a].stride
        b.box.axis[a].remainder = remainder
        for i in range(b.box.axis[a].phases):
            remainder[i] = i * s[a] % d[a]
        remainder += b.box.axis[a].phases
    for i in range(w.outputs):
        rest, phase, at = i, 0, 0
        for a in range(2, -1, -1):
            j[a] = rest % b.out[a]
            rest //= b.out[a]
        for a in range(3):              # outputs whose samples have one remainder take turns
            phase = phase * b.box.axis[a].phases + j[a] % (d[a] // gcd(d[a], s[a]))
            at = at * b.box.axis[a].length + j[a] * s[a] // d[a]
        w.place[i] = (phase * b.box.axis[0].length * b.box.axis[1].length * b.box.axis[2].length + at) * b.size
    for i in range(w.runs):
        w.start[i] = (i // b.block[0] * b.plane + i % b.block[0] * b.box.axis[1].length * b.box.axis[2].length) * b.size
    return numbers * sizeof(Py_ssize_t)


cdef void close_work(PyObject* capsule) noexcept:
    cdef Work* w = <Work*> PyCapsule_GetPointer(capsule, NULL)
    PyMem_Free(w.blocks.memory)
    PyMem_Free(w)


cdef inline double room_bytes(const Work* w) noexcept nogil:
    """One thread's scratch: boxes, a line behind them, a tile's sums, and a piece's weights."""
    cdef double boxes = ceil_div(w.channels * w.blocks.plane * w.blocks.size, LINE) * LINE + LINE
    return boxes + TALLEST * MOST_AT_ONCE * LINE + <double> w.rows * w.runs * w.run


cdef inline double sums_bytes(const Work* w) noexcept nogil:
    return <double> w.batch * w.groups * w.rows * w.pieces * w.outputs * w.blocks.size


cdef inline double packed_bytes(const Work* w) noexcept nogil:
    return <double> w.groups * w.pieces * w.rows * w.runs * w.run


# ---- what the menu asks ----------------------------------------------------------------------------------------------------


def why_not(problem):
    cdef Work w
    if problem.dtype not in ("float16", "float32", "float64"):
        return f"made for real floating point, not {problem.dtype}"
    open_plainly(&w, problem)
    if w.outputs > MOST_OUTPUTS:
        return f"made for at most {MOST_OUTPUTS} outputs of a channel, not {w.outputs}"
    if box_bytes(&w.blocks, 1, 1, w.blocks.block[2]) > MOST_BYTES:
        return f"one row of the kernel reads {box_bytes(&w.blocks, 1, 1, w.blocks.block[2]):.3g} bytes, more than a cache holds"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    cdef Work w
    open_plainly(&w, problem)
    return costs.seconds("dots", amounts(problem)), int(min(room_bytes(&w) + sums_bytes(&w) + packed_bytes(&w), 2.0**62))


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    open_plainly(&w, problem)
    size = b.size
    items = <double> w.groups * w.pieces * w.batch
    rows = w.channels * (b.block[0] + b.reach[0]) * (b.block[1] + b.reach[1]) * b.box.axis[0].phases * b.box.axis[1].phases * b.box.axis[2].phases
    fours, rest = divmod(w.rows, 4)     # as level v4 has them
    tiles = fours * -(-w.outputs // 5) + rest // 2 * -(-w.outputs // 6) + rest % 2 * -(-w.outputs // 9)
    lines = w.runs * w.run // LINE
    return {
        "call": 1,
        "weight": packed_bytes(&w) / size,
        "gathered_row": items * rows,
        "gathered_byte": items * w.channels * b.plane * size,
        "scattered": items * w.channels * b.plane if b.box.axis[2].stride > 1 else 0,
        "converted": items * w.channels * b.plane if problem.dtype == "float16" else 0,
        "tile": items * tiles,
        "fma": items * lines * w.rows * w.outputs,
        "load": items * lines * (w.outputs * (fours + rest // 2 + rest % 2)),
        "sum": items * w.rows * w.outputs,
        "far_byte": costs.far_bytes(problem, size),
    }


# ---- weights ---------------------------------------------------------------------------------------------------------------


cdef inline void cut_piece(const Work* w, Py_ssize_t piece, Py_ssize_t* origin, Py_ssize_t* first, Py_ssize_t* channels) noexcept nogil:
    """Where in the kernel a piece begins; its first channel, and how many it has."""
    cdef const Blocks* b = &w.blocks
    cdef int a
    for a in range(2, -1, -1):
        origin[a] = piece % b.count[a] * b.block[a]
        piece //= b.count[a]
    first[0] = piece * w.channels
    channels[0] = min(w.channels, b.channels - first[0])


cdef inline void pack_piece(const Work* w, Py_ssize_t g, Py_ssize_t piece, char* to) noexcept nogil:
    """The weights of one group and piece, rows as far apart as those of boxes, zeros between them."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t first, channels, o, c, z, y, x, columns, size = b.size, pitch = b.box.axis[2].length * size
    cdef const char* row
    cdef char* place
    cut_piece(w, piece, origin, &first, &channels)
    columns = min(b.block[2], w.kernel[2] - origin[2])
    memset(to, 0, w.rows * w.runs * w.run)
    for o in range(w.rows):
        for c in range(channels):
            for z in range(min(b.block[0], w.kernel[0] - origin[0])):
                for y in range(min(b.block[1], w.kernel[1] - origin[1])):
                    row = w.raw + (g * w.rows + o) * w.raw_step[0] + (first + c) * w.raw_step[1]
                    row += (origin[0] + z) * w.raw_step[2] + (origin[1] + y) * w.raw_step[3] + origin[2] * w.raw_step[4]
                    if w.raw_step[4] == size and w.apart == 1:
                        copy_run(to + (c * b.block[0] + z) * w.run + y * pitch, row, columns * size)
                        continue
                    place = to + (c * b.block[0] + z) * w.run + y * pitch
                    if size == 4:
                        for x in range(columns):
                            (<bits_32*> place)[x * w.apart] = (<const bits_32*> (row + x * w.raw_step[4]))[0]
                    else:
                        for x in range(columns):
                            (<bits_64*> place)[x * w.apart] = (<const bits_64*> (row + x * w.raw_step[4]))[0]
        to += w.runs * w.run


cdef void pack_item(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    pack_piece(w, item // w.pieces, item % w.pieces, <char*> w.weight + item * w.rows * w.runs * w.run)


cdef object read_raw(Work* w, problem, weight):
    """The caller's weights as (output channels, input channels, planes, rows, columns) of what is computed with, of any strides."""
    cdef int a
    whole = weight.reshape(w.groups * w.rows, problem.in_channels, *problem.kernel).astype(number_type(&w.blocks), copy=False)
    w.raw = <const char*> cnp.PyArray_DATA(<cnp.ndarray> whole)
    for a in range(5):
        w.raw_step[a] = cnp.PyArray_STRIDE(<cnp.ndarray> whole, a)
    return whole


def prepare(problem, weight):
    """The weights as tiles read them: [group][piece][output channel][run], one flat array."""
    cdef Work w
    cdef double bytes
    kept = opened_once(problem, "dots", sizeof(Work), open_work, close_work)
    w = (<const Work*> opened_work(kept))[0]
    _whole = read_raw(&w, problem, weight)  # which holds what w.raw points to
    bytes = packed_bytes(&w)
    packed = new_numbers(&w.blocks, <Py_ssize_t> (bytes / w.blocks.size))
    w.weight = <const char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
    threads = min(worth_workers(bytes * BYTE_SECONDS, 1, problem.max_workspace), w.groups * w.pieces)
    run_items(<Item> pack_item, &w, w.groups * w.pieces, bytes / 4, threads, NULL, 0, False)
    return packed


def prepare_once(problem, weight):
    """The weights as they are where each piece is used once: it is packed then."""
    return prepare(problem, weight) if problem.batch > 1 else weight


# ---- sums ------------------------------------------------------------------------------------------------------------------


cdef inline inlined dots_of(const int rows, const int count, const lanes* like, const Work* w, Py_ssize_t runs, const char* weight,
                            const char* box, const Py_ssize_t* place, char* sums, Py_ssize_t once) noexcept nogil:
    """sums[o][i] = weight[o, :] . box[place[i] + :] lane by lane, over all runs of a piece. `rows` and `count` are constants once inlined;
    `once` is 1, and keeps GCC from unrolling before it has put `acc` into registers."""
    cdef lanes[TALLEST][MOST_AT_ONCE] acc
    cdef lanes[TALLEST] each
    cdef lanes sample
    cdef Py_ssize_t part, r, at, step = w.runs * w.run
    cdef const char* x
    cdef const char* row
    cdef int o, i
    for part in range(unknown(LINE // VB * once)):
        for o in range(rows):
            for i in range(count):
                if lanes is vf:
                    acc[o][i] = splat_f(0)
                else:
                    acc[o][i] = splat_d(0)
        for r in range(runs):
            x = box + w.start[r] + part * VB
            row = weight + r * w.run + part * VB
            at = 0
            while at < w.run:
                for o in range(rows):
                    each[o] = (<const lanes*> (row + o * step + at))[0]
                for i in range(count):
                    sample = (<const lanes*> (x + place[i] + at))[0]
                    for o in range(rows):
                        acc[o][i] = acc[o][i] + each[o] * sample
                at += LINE
        for o in range(rows):
            for i in range(count):
                (<lanes*> (sums + (o * count + i) * LINE + part * VB))[0] = acc[o][i]


cdef inline void dots(int rows, int count, const lanes* like, const Work* w, Py_ssize_t runs, const char* weight, const char* box,
                      const Py_ssize_t* place, char* sums) noexcept nogil:
    if rows == 1 and count == 1:
        dots_of(1, 1, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 2:
        dots_of(1, 2, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 3:
        dots_of(1, 3, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 4:
        dots_of(1, 4, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 5:
        dots_of(1, 5, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 6:
        dots_of(1, 6, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 7:
        dots_of(1, 7, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 8:
        dots_of(1, 8, like, w, runs, weight, box, place, sums, 1)
    elif rows == 1 and count == 9:
        dots_of(1, 9, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 1:
        dots_of(2, 1, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 2:
        dots_of(2, 2, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 3:
        dots_of(2, 3, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 4:
        dots_of(2, 4, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 5:
        dots_of(2, 5, like, w, runs, weight, box, place, sums, 1)
    elif rows == 2 and count == 6 and 6 <= TWO:
        dots_of(2, 6, like, w, runs, weight, box, place, sums, 1)
    elif rows == 4 and count == 1:
        dots_of(4, 1, like, w, runs, weight, box, place, sums, 1)
    elif rows == 4 and count == 2:
        dots_of(4, 2, like, w, runs, weight, box, place, sums, 1)
    elif rows == 4 and count == 3 and 3 <= FOUR:
        dots_of(4, 3, like, w, runs, weight, box, place, sums, 1)
    elif rows == 4 and count == 4 and 4 <= FOUR:
        dots_of(4, 4, like, w, runs, weight, box, place, sums, 1)
    elif rows == 4 and count == 5 and 5 <= FOUR:
        dots_of(4, 5, like, w, runs, weight, box, place, sums, 1)


cdef inline void add_lanes(const lanes* like, char* sums, Py_ssize_t count, char* to, Py_ssize_t step) noexcept nogil:
    """The sum of each of `count` lines, halves by halves, to every `step`-th byte of `to`."""
    cdef Py_ssize_t _i, lane, half
    for _i in range(count):
        half = LINE // (2 * (4 if lanes is vf else 8))
        while half:
            for lane in range(half):
                if lanes is vf:
                    (<float*> sums)[lane] += (<float*> sums)[lane + half]
                else:
                    (<double*> sums)[lane] += (<double*> sums)[lane + half]
            half //= 2
        memcpy(to, sums, 4 if lanes is vf else 8)
        to += step
        sums += LINE


cdef inline void sum_piece(const lanes* like, const Work* w, Py_ssize_t runs, const char* weight, const char* box, char* sums, char* to) noexcept nogil:
    """All output channels and outputs; `to` is the piece's place in Work.sums, of the first channel."""
    cdef Py_ssize_t o = 0, i, j, tiles, most, size = w.blocks.size
    cdef int rows, count, row
    while o < w.rows:
        rows = 4 if w.rows - o >= 4 else 2 if w.rows - o >= 2 else 1
        most = FOUR if rows == 4 else TWO if rows == 2 else ONE
        tiles = ceil_div(w.outputs, most)
        for j in range(tiles):
            i = w.outputs * j // tiles
            count = <int> (w.outputs * (j + 1) // tiles - i)
            dots(rows, count, like, w, runs, weight, box, w.place + i, sums)
            for row in range(rows):
                add_lanes(like, sums + row * count * LINE, count, to + (row * w.pieces * w.outputs + i) * size, size)
        weight += rows * w.runs * w.run
        to += rows * w.pieces * w.outputs * size
        o += rows


cdef void do_item(const Work* w, Py_ssize_t item, char* room) noexcept nogil:
    """One piece of one group of one batch item."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t n = item % w.batch, piece = item // w.batch % w.pieces, g = item // w.batch // w.pieces
    cdef Py_ssize_t first, channels, c, size = b.size
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t[3] filled
    cdef const char* input = w.input + n * w.input_step[0] + g * w.input_step[1]
    cdef const char* weight
    cdef char* to = w.sums + ((n * w.groups + g) * w.rows * w.pieces + piece) * w.outputs * size
    cdef char* sums = room + ceil_div(w.channels * b.plane * size, LINE) * LINE + LINE
    if w.raw == NULL:
        weight = w.weight + (g * w.pieces + piece) * w.rows * w.runs * w.run
    else:
        weight = sums + TALLEST * MOST_AT_ONCE * LINE
        pack_piece(w, g, piece, <char*> weight)
    cut_piece(w, piece, origin, &first, &channels)
    for c in range(3):
        filled[c] = b.box.axis[c].length
    for c in range(channels):
        gather_floats(b.kind, input + (first + c) * w.input_step[2], &b.box, origin, filled, room + c * b.plane * size)
    memset(room + channels * b.plane * size, 0, LINE)       # which the last run's last line reaches
    if size == 4:
        sum_piece(<vf*> NULL, w, channels * b.block[0], weight, room, sums, to)
    else:
        sum_piece(<vd*> NULL, w, channels * b.block[0], weight, room, sums, to)


cdef inline void add_pieces(const Work* w, char* bias, const lanes* like) noexcept nogil:
    """Each channel's pieces, in order, to the first of them, which is moved to where the channel's outputs belong."""
    cdef Py_ssize_t channel, piece, i, size = w.blocks.size
    cdef char* sums = w.sums
    cdef char* to = w.sums
    for channel in range(w.batch * w.groups * w.rows):
        for i in range(w.outputs):
            if lanes is vf:
                (<float*> to)[i] = (<float*> sums)[i] + (<float*> bias)[channel % (w.groups * w.rows)]
            else:
                (<double*> to)[i] = (<double*> sums)[i] + (<double*> bias)[channel % (w.groups * w.rows)]
        for piece in range(1, w.pieces):
            for i in range(w.outputs):
                if lanes is vf:
                    (<float*> to)[i] += (<float*> sums)[piece * w.outputs + i]
                else:
                    (<double*> to)[i] += (<double*> sums)[piece * w.outputs + i]
        sums += w.pieces * w.outputs * size
        to += w.outputs * size


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous, or so with its first two axes exchanged); returns whether all of it is finite. `weight` is what `prepare` or `prepare_once`
    returned."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t items, room
    cdef double seconds, work
    cdef int workers
    cdef char* base
    kept = opened_once(problem, "dots", sizeof(Work), open_work, close_work)
    w = (<const Work*> opened_work(kept))[0]
    input_steps(b, input, w.input_step, b.box.step)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.raw = NULL
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    _whole = read_raw(&w, problem, weight) if cnp.PyArray_NDIM(weight) > 1 else weight
    found = new_numbers(b, <Py_ssize_t> (sums_bytes(&w) / b.size))
    w.sums = <char*> cnp.PyArray_DATA(<cnp.ndarray> found)
    start = real_bias(b, bias)
    items = w.groups * w.pieces * w.batch
    work = <double> items * w.runs * w.run / b.size * w.rows * w.outputs
    seconds = work * b.size / LINE * SECONDS_EACH + items * w.channels * b.plane * b.size * BYTE_SECONDS
    room = <Py_ssize_t> room_bytes(&w)
    workers = min(worth_workers(seconds, room, problem.max_workspace - sums_bytes(&w) - packed_bytes(&w)), items)
    space = scratch_space(room * workers + LINE)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + LINE - 1) & ~<size_t> (LINE - 1))
    run_items(<Item> do_item, &w, items, work, workers, base, room, b.exact)
    if b.size == 4:
        add_pieces(&w, <char*> cnp.PyArray_DATA(<cnp.ndarray> start), <vf*> NULL)
    else:
        add_pieces(&w, <char*> cnp.PyArray_DATA(<cnp.ndarray> start), <vd*> NULL)
    result = out if cnp.PyArray_IS_C_CONTIGUOUS(out) else np.empty(problem.output_shape, problem.dtype)
    put_floats(b.kind, w.sums, <char*> cnp.PyArray_DATA(<cnp.ndarray> result), 1, out.size)
    if result is not out:
        out[...] = result
    return all_finite(w.sums, out.size, <int> b.size)

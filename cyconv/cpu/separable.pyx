"""A kernel that is an outer product, one axis after the other:

    weight[o, c, i, j, k] = along_z[i] * along_y[j] * along_x[k]
    out[y, x] = bias + sum_c sum_k along_x[k] * column[y, x + k],    column[y, x] = sum_j along_y[j] * input[y + j, x]

kz + ky + kx products an output instead of kz*ky*kx: Gaussians, Sobel and box filters. Wins from 5x5 on, and wherever one
kernel covers one axis. Whether a kernel is such a product is a matter of its values: `suits` decides, `factor` says how closely.

Layout: a block of outputs is gathered into a box per input channel (packing.pxd), in which every tap is a constant
distance whatever stride, dilation and padding are; rows of the box begin on cache lines. Positions along x stand on the vector lanes.
A block's planes are summed along z, then a few rows at a time along y into rows that stay in the first-level cache,
and those along x into the output. Along y, the rows of a register tile share what is loaded; along x, vectors are moved on by
one number a tap where that is quicker than loads that cross cache lines.
Threads share out blocks. No sum is ever split, so no bit depends on their number or on the place in the batch.
Half precision is computed in float32; integers modulo 2**32 or 2**64, with factors that are integers.
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp, memcpy

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport (
    Blocks, PyCapsule_GetPointer, PyMem_Free, PyMem_Malloc, PyObject, ceil_div, close_blocks, cut_of, gather_block, input_steps,
    locate, number_type, open_blocks, opened_once, opened_work, real_bias, scratch_space, set_layout, table_bytes,
)
from cyconv.cpu.factors cimport Shape, factor, shape_of
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport (
    Axis, BITS64, DOUBLE, HALF, SINGLE, put_stored,
)
from cyconv.cpu.separable_tiles cimport LONG, TALL, apart, down, near
from cyconv.cpu.simd cimport VB, vd, vector, vf, vq, vw

from cyconv import costs
from cyconv.memory import empty

cnp.import_array()

cdef double SECONDS_EACH = 4e-11        # of a multiply-add: enough to tell whether a second thread is worth its start

cdef enum:
    BOX_BYTES = 512 * 1024              # boxes of one block: half of a second-level cache
    BLOCK_OUTPUTS = 128 * 1024
    LEAST_BLOCKS = 8
    MOST_CHANNELS = 4
    KEPT_BYTES = 16 * 1024              # of weights whose factors a problem remembers


# ---- blocks --------------------------------------------------------------------------------------------------------------

cdef struct Room:
    Py_ssize_t boxes, planes, strips, sums, whole


cdef struct Work:
    Blocks blocks
    Room room
    Py_ssize_t[3] taps
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* factors                 # [group][output channel][input channel][z, y, x] as `prepare` makes them: see `factor`
    const char* along_x                 # [group][output channel][input channel, tap]
    const char* bias
    char* out
    Py_ssize_t groups
    Py_ssize_t rows                     # output channels of a group
    Py_ssize_t area                     # bytes of one phase of a plane: what the sums along y and x are taken of
    Py_ssize_t line                     # bytes of a row of the box
    Py_ssize_t strip                    # bytes of a row of all phases of all channels, summed along y
    Py_ssize_t channel_step             # bytes between the channels of what is summed along x
    Py_ssize_t items                    # blocks of all batch items and groups
    double multiply_adds
    Py_ssize_t* offset_z                # bytes, of each tap; what to free
    Py_ssize_t* offset_y
    Py_ssize_t* offset_x                # of each channel and tap
    bint near_y                   # whether the taps along y are neighbouring rows
    bint near_x                         # whether those along x are neighbours
    bint in_place                       # whether sums are written to the output as they are


cdef inline void do_block_of(const vector* like, const Work* w, Py_ssize_t item, char* boxes, char* planes, char* strips, char* sums) noexcept nogil:
    """One block: gather; for every output channel and plane, sums along z, then along y a few rows at a time, then along x."""
    cdef const Blocks* b = &w.blocks
    cdef const Axis* axis = b.box.axis
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t n, g, o, c, z, y, r, phase, rows, phases = axis[1].phases * axis[2].phases, whole, rest
    cdef Py_ssize_t kz = w.taps[0], ky = w.taps[1], kx = w.taps[2], size = b.size, area = b.out[0] * b.out[1] * b.out[2]
    cdef Py_ssize_t pitch = kz + ky + kx, used_rows, used
    cdef const char* f
    cdef const char* source
    cdef const char* row
    cdef char* to
    cdef uint64_t nothing = 0
    item = locate(b, item, origin, extent)
    g = item % w.groups
    n = item // w.groups
    gather_block(b, w.input + n * w.input_step[0] + g * w.input_step[1], w.input_step[2], origin, extent, boxes)
    used_rows = (extent[1] + b.reach[1]) * w.line
    used = (extent[2] + b.reach[2]) * size
    whole = extent[2] * size // (LONG * VB) * (LONG * VB) if w.in_place else 0
    rest = extent[2] * size - whole
    for o in range(g * w.rows, (g + 1) * w.rows):
        f = w.factors + o * b.channels * pitch * size
        for z in range(extent[0]):
            to = w.out + ((n * w.groups * w.rows + o) * area + ((origin[0] + z) * b.out[1] + origin[1]) * b.out[2] + origin[2]) * b.stored_size
            if kz > 1:
                for c in range(b.channels):
                    for phase in range(phases):
                        apart(like, kz, w.offset_z, f + c * pitch * size, <const char*> &nothing,
                              boxes + c * b.plane * size + phase * axis[0].length * w.area + z * w.area,
                              planes + (c * phases + phase) * w.area, used_rows, True)
            y = 0
            while y < extent[1]:
                rows = min(<Py_ssize_t> TALL, extent[1] - y)
                if ky == 2:
                    rows = min(rows, 3)
                if ky > 1:
                    for c in range(b.channels):
                        for phase in range(axis[2].phases):
                            if kz > 1:
                                source = planes + (c * phases + phase) * w.area + y * w.line
                            else:
                                source = boxes + c * b.plane * size + phase * axis[0].length * w.area + z * w.area + y * w.line
                            if w.near_y:
                                down(like, <int> rows, ky, f + (c * pitch + kz) * size, source, w.line,
                                     strips + (c * axis[2].phases + phase) * w.line, w.strip, used)
                            else:
                                for r in range(rows):
                                    apart(like, ky, w.offset_y, f + (c * pitch + kz) * size, <const char*> &nothing, source + r * w.line,
                                          strips + (c * axis[2].phases + phase) * w.line + r * w.strip, used, False)
                for r in range(rows):
                    if ky > 1:
                        row = strips + r * w.strip
                    elif kz > 1:
                        row = planes + (y + r) * w.line
                    else:
                        row = boxes + z * w.area + (y + r) * w.line
                    across(like, w, o, row, to if w.in_place else sums, whole)
                    if rest:
                        across(like, w, o, row + whole, sums + whole, rest)
                        put_stored(b.kind, sums + whole, to + whole // size * b.stored_size, 1, rest // size)
                    to += b.out[2] * b.stored_size
                y += rows


cdef inline void across(const vector* like, const Work* w, Py_ssize_t o, const char* row, char* to, Py_ssize_t length) noexcept nogil:
    """A row of outputs of channel o from what was summed along the other axes."""
    cdef Py_ssize_t size = w.blocks.size, channels = w.blocks.channels
    cdef const char* weight = w.along_x + o * channels * w.taps[2] * size
    if w.near_x:
        near(like, channels, w.taps[2], weight, w.bias + o * size, row, w.channel_step, to, length)
    else:
        apart(like, channels * w.taps[2], w.offset_x, weight, w.bias + o * size, row, to, length, True)


cdef void do_block(const Work* w, Py_ssize_t item, char* boxes) noexcept nogil:
    cdef char* planes = boxes + w.room.boxes
    cdef char* strips = planes + w.room.planes
    cdef char* sums = strips + w.room.strips
    if w.blocks.kind == SINGLE or w.blocks.kind == HALF:
        do_block_of(<vf*> NULL, w, item, boxes, planes, strips, sums)
    elif w.blocks.kind == DOUBLE:
        do_block_of(<vd*> NULL, w, item, boxes, planes, strips, sums)
    elif w.blocks.kind == BITS64:
        do_block_of(<vq*> NULL, w, item, boxes, planes, strips, sums)
    else:
        do_block_of(<vw*> NULL, w, item, boxes, planes, strips, sums)


cdef int open_separable(Blocks* b, object problem, bint offsets) except -1:
    set_layout(b, problem)
    cdef Py_ssize_t half_of_it = min(problem.max_workspace // 2, <Py_ssize_t> BOX_BYTES)
    open_blocks(b, problem, half_of_it, <Py_ssize_t> BLOCK_OUTPUTS, LEAST_BLOCKS, offsets)
    # Rows on cache lines, and an odd number of lines apart: as a power of two they would all fall into the same few sets of a cache.
    cdef Py_ssize_t line = 64 // b.size
    cdef Axis* axis = b.box.axis
    axis[2].length = (ceil_div(axis[2].length, line) | 1) * line
    cdef double plane = 1.0
    cdef int a
    for a in range(3):
        plane *= <double> axis[a].length * axis[a].phases
    b.plane = <Py_ssize_t> min(plane, 2.0**62)
    return 0


cdef void measure(const Blocks* b, Py_ssize_t kz, Room* room) noexcept nogil:
    """Bytes of the parts of one thread's scratch; `whole` is 2**62 or more for what cannot be."""
    cdef const Axis* axis = b.box.axis
    cdef double lines = <double> b.channels * axis[2].phases * axis[2].length * b.size
    cdef double boxes = <double> b.channels * b.plane * b.size + (LONG + 1) * VB
    cdef double planes = lines * axis[1].phases * axis[1].length + (LONG + 1) * VB if kz > 1 else 0.0
    cdef double strips = TALL * lines + (LONG + 1) * VB
    cdef double sums = <double> b.block[2] * b.size + (LONG + 1) * VB
    room.boxes = lines_of(boxes)
    room.planes = lines_of(planes)
    room.strips = lines_of(strips)
    room.sums = lines_of(sums)
    room.whole = lines_of(boxes + planes + strips + sums + 256 + table_bytes(b))


cdef inline Py_ssize_t lines_of(double bytes) noexcept nogil:
    return ceil_div(<Py_ssize_t> min(bytes, 2.0**61), 64) * 64


cdef Py_ssize_t open_work(void* work, object problem) except -1:
    """Fills a Work but for arrays and threads; returns the bytes of its tables."""
    cdef Work* w = <Work*> work
    cdef Blocks* b = &w.blocks
    cdef Axis* axis = b.box.axis
    cdef Py_ssize_t* place
    cdef Py_ssize_t a, c, i, k, entries
    cdef tuple kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    open_separable(b, problem, True)
    for a in range(3):
        w.taps[a] = kernel[a]
    w.groups, w.rows = problem.groups, problem.out_channels
    w.items = <Py_ssize_t> problem.batch * w.groups * b.count[0] * b.count[1] * b.count[2]
    w.multiply_adds = <double> problem.outputs * b.channels * (w.taps[0] + w.taps[1] + w.taps[2])
    w.line = axis[2].length * b.size
    w.area = axis[1].length * w.line
    w.strip = b.channels * axis[2].phases * w.line
    w.in_place = b.size == b.stored_size
    w.near_y = stride[1] == 1 and dilation[1] == 1
    w.near_x = w.taps[2] > 1 and stride[2] == 1 and dilation[2] == 1 and (b.kind == SINGLE or b.kind == HALF or b.kind == DOUBLE)
    measure(b, w.taps[0], &w.room)
    # where taps read: phases of an axis apart, and neighbours inside of one
    entries = w.taps[0] + w.taps[1] + b.channels * w.taps[2]
    w.offset_z = <Py_ssize_t*> PyMem_Malloc(entries * sizeof(Py_ssize_t))
    if w.offset_z == NULL:
        close_blocks(b)
        raise MemoryError(f"no room for a table of {entries} taps")
    w.offset_y = w.offset_z + w.taps[0]
    w.offset_x = w.offset_y + w.taps[1]
    place = <Py_ssize_t*> axis[0].remainder + w.taps[0]
    for i in range(w.taps[0]):
        w.offset_z[i] = (place[2 * i] * axis[1].phases * axis[2].phases * axis[0].length + place[2 * i + 1]) * w.area
    place = <Py_ssize_t*> axis[1].remainder + w.taps[1]
    a = axis[2].phases * w.area * (axis[0].length if w.taps[0] == 1 else 1)
    for i in range(w.taps[1]):
        w.offset_y[i] = place[2 * i] * a + place[2 * i + 1] * w.line
    place = <Py_ssize_t*> axis[2].remainder + w.taps[2]
    # phases and channels of what is summed along x: strips, or planes or boxes where there was nothing to sum before
    if w.taps[1] > 1:
        a, c = w.line, axis[2].phases * w.line
    elif w.taps[0] > 1:
        a, c = w.area, axis[1].phases * axis[2].phases * w.area
    else:
        a, c = axis[0].length * w.area, b.plane * b.size
    for k in range(b.channels):
        for i in range(w.taps[2]):
            w.offset_x[k * w.taps[2] + i] = k * c + place[2 * i] * a + place[2 * i + 1] * b.size
    w.channel_step = c
    return <Py_ssize_t> min(table_bytes(b), 2.0**61) + entries * sizeof(Py_ssize_t)


cdef void close_work(PyObject* capsule) noexcept:
    cdef Work* w = <Work*> PyCapsule_GetPointer(capsule, NULL)
    close_blocks(&w.blocks)
    PyMem_Free(w.offset_z)
    PyMem_Free(w)


def scratch(problem):
    """Bytes that one thread needs."""
    cdef Blocks b
    cdef Room room
    open_separable(&b, problem, False)
    close_blocks(&b)
    measure(&b, problem.kernel[0], &room)
    return room.whole


# ---- what the menu asks --------------------------------------------------------------------------------------------------

def why_not(problem):
    if problem.dtype.startswith("complex"):
        return "not made for complex numbers"
    if problem.in_channels > MOST_CHANNELS:
        return f"each input channel of a group costs passes of its own: at most {MOST_CHANNELS}, not {problem.in_channels}"
    if scratch(problem) >= 2**31:
        return f"one row of outputs reads {scratch(problem)} bytes"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    return costs.seconds("separable", amounts(problem)), scratch(problem)


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Blocks b
    open_separable(&b, problem, False)
    block, count, reach, phases = cut_of(&b)
    close_blocks(&b)
    _, size = costs.parts_and_size(problem)
    channels, rows = problem.in_channels, problem.out_channels
    planes = problem.batch * problem.groups
    out, (kz, ky, kx) = problem.out_size, problem.kernel
    z, y, x = [(o + c * r) * p for o, c, r, p in zip(out, count, reach, phases)]
    lane = costs.VECTOR_BYTES // size
    lines = phases[2] * count[2] * -(-(block[2] + reach[2]) // lane)  # vectors of a row along y, all phases
    along_z = kz * phases[1] * count[1] * (block[1] + reach[1]) * out[0] * lines * channels if kz > 1 else 0
    along_y = ky * out[0] * out[1] * lines * channels if ky > 1 else 0
    full, tail = divmod(-(-block[2] // lane), LONG)
    along_x = kx * channels * out[0] * out[1] * count[2] * (full * LONG + (0 if tail == 0 else 4 if tail <= 4 else LONG))
    neighbours = problem.stride[1] == problem.dilation[1] == 1
    kind = "near" if "int" not in problem.dtype and problem.stride[2] == problem.dilation[2] == 1 and kx > 1 else "apart"
    work = {"shared": 0, "apart": 0, "near": 0}
    work["apart"] += planes * rows * along_z
    work["shared" if neighbours else "apart"] += planes * rows * along_y
    work[kind] += planes * rows * along_x
    return {
        "call": 1,
        "weight": problem.groups * rows * channels * problem.taps,
        **costs.gathered(problem, planes * channels * z * y * count[2] * phases[2], planes * channels * z * y * x, size, phases[2]),
        "block": planes * count[0] * count[1] * count[2],
        **work,
        "row": planes * rows * out[0] * out[1] * count[2] * (1 + channels * phases[2] / TALL),
        "written_byte": problem.outputs * size,
        "far_byte": costs.far_bytes(problem, size),
    }


# ---- factors -------------------------------------------------------------------------------------------------------------


def error_bound(problem):
    """Multiples of eps * sum |weight| |input| + |bias|: the roundings of the passes, and what `factor` may be off by."""
    return (_roundings(problem) + 1) / 2 + _tolerance(problem)


def _roundings(problem):
    """Half eps each: as many as taps along z and y, and along x as many as products; a factor of 1 rounds nothing."""
    kz, ky, kx = problem.kernel
    return (kz if kz > 1 else 0) + (ky if ky > 1 else 0) + (problem.in_channels * kx if kx > 1 else problem.in_channels - 1)


def _tolerance(problem):
    """How many eps the product of factors may be off from each weight: so few that the bound is never above the direct sum's."""
    return max(0.0, min((problem.products - _roundings(problem)) / 2, 8.0))


cdef object kernels_of(const Blocks* b, object weight):
    """The weights, C-contiguous, as numbers that `factor` reads: what is computed with, or int64."""
    if b.kind == SINGLE or b.kind == HALF:
        return np.ascontiguousarray(weight, np.float32)
    if b.kind == DOUBLE:
        return np.ascontiguousarray(weight, np.float64)
    return np.ascontiguousarray(weight).astype(np.int64, copy=False)


cdef bint same(object weight, cnp.ndarray kept):
    """Whether weights are, byte for byte, those whose factors are known; if not, they may still be once `kernels_of` has them."""
    if not isinstance(weight, cnp.ndarray) or not cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> weight):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray> weight) != cnp.PyArray_TYPE(kept) or cnp.PyArray_SIZE(<cnp.ndarray> weight) != cnp.PyArray_SIZE(kept):
        return False
    return memcmp(cnp.PyArray_DATA(<cnp.ndarray> weight), cnp.PyArray_DATA(kept), cnp.PyArray_NBYTES(kept)) == 0


cdef object factors_of(object problem, object weight):
    """What `prepare` returns, or None if a kernel is no outer product. The problem remembers those of a few weights: a plain call
    asks twice, and images are often filtered alike."""
    cdef Blocks b
    cdef Shape s
    cdef Py_ssize_t i, taps, pitch, number, bytes, kx = problem.kernel[2]
    cdef double tolerance = _tolerance(problem)
    cdef long double* sums
    cdef int64_t* digits
    cdef const char* w
    cdef char* to
    cdef bint done = True
    kept = (<dict> problem.kept).get("separable, factors")
    if kept is not None and same(weight, <cnp.ndarray> (<tuple> kept)[0]):
        return (<tuple> kept)[1]
    set_layout(&b, problem)
    kernels = kernels_of(&b, weight)
    if kept is not None and same(kernels, <cnp.ndarray> (<tuple> kept)[0]):
        return (<tuple> kept)[1]
    w = <const char*> cnp.PyArray_DATA(<cnp.ndarray> kernels)
    bytes = cnp.PyArray_NBYTES(<cnp.ndarray> kernels)
    shape_of(problem.kernel, &s)
    taps, pitch = s.taps[0] * s.taps[1] * s.taps[2], s.taps[0] + s.taps[1] + s.taps[2]
    number = cnp.PyArray_SIZE(<cnp.ndarray> kernels) // taps
    factors = empty(number * (pitch + kx), number_type(&b))
    to = <char*> cnp.PyArray_DATA(<cnp.ndarray> factors)
    sums = <long double*> PyMem_Malloc(pitch * sizeof(long double) + (taps + pitch) * sizeof(int64_t))
    if sums == NULL:
        raise MemoryError(f"no room for {pitch} factors")
    digits = <int64_t*> (sums + pitch)
    with nogil:
        for i in range(number):
            if i > 0 and memcmp(w + (i - 1) * bytes // number, w + i * bytes // number, bytes // number) == 0:
                memcpy(to + i * pitch * b.size, to + (i - 1) * pitch * b.size, pitch * b.size)      # the same filter for many channels
            elif not factor(&b, &s, w + i * bytes // number, tolerance, sums, digits, to + i * pitch * b.size):
                done = False
                break
        if done:
            for i in range(number):
                memcpy(to + (number * pitch + i * kx) * b.size, to + ((i + 1) * pitch - kx) * b.size, kx * b.size)
    PyMem_Free(sums)
    if not done:
        factors = None
    if bytes <= KEPT_BYTES:
        problem.kept["separable, factors"] = (kernels.copy(), factors)
    return factors


def suits(problem, weight):
    """Whether every kernel is an outer product of one vector per axis, so nearly that `error_bound` holds."""
    cdef Shape s
    shape_of(problem.kernel, &s)
    return s.plain or factors_of(problem, weight) is not None


def prepare(problem, weight):
    """The factors, [group, output channel, input channel][z, y, x], and once more those along x alone: one flat array."""
    factors = factors_of(problem, weight)
    if factors is None:
        raise ValueError("the kernel is not an outer product")
    return factors


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` returned."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef int workers
    cdef char* base
    tables = opened_once(problem, "separable", sizeof(Work), open_work, close_work)
    w = (<const Work*> opened_work(tables))[0]
    input_steps(b, input, w.input_step, b.box.step)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.factors = <const char*> cnp.PyArray_DATA(weight)
    w.along_x = w.factors + w.groups * w.rows * b.channels * (w.taps[0] + w.taps[1] + w.taps[2]) * b.size
    sums_from = real_bias(b, bias)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> sums_from)
    w.out = <char*> cnp.PyArray_DATA(out)
    workers = worth_workers(w.multiply_adds * SECONDS_EACH, w.room.whole, problem.max_workspace)
    space = scratch_space(w.room.whole * workers + 64)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    run_items(<Item> do_block, &w, w.items, w.multiply_adds, workers, base, w.room.whole, b.exact)

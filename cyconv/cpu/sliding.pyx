"""Windows that slide:  out[plane, o] = max, min, average or p-norm of input[plane, i] over the samples i of window o.

A window is a product of intervals, so rows are joined along themselves, then with each other, then planes; all of it by vectors of
neighbouring outputs of a row. Rows that several windows share are joined along themselves once and kept in a ring; windows of more than a few
rows are joined from blocks (slide_steps.pxd), long ones along a row from runs (slide_runs.pxd, slide_sums.pxd), so that the time hardly depends on how
large windows are. The smallest, 2x2, 2x2x2 and 3x3, have ways of their own (slide_pairs.pxd, slide_threes.pxd). Where channels are neighbours in
memory, a row is one of all channels' columns, along which windows are dilated, and results are turned into planes (columns_as_pixels in slide_cut.pxd,
slide_flat.pxd); strided windows that share few samples are joined with channels on the lanes (slide_channels.pxd); for the rest, with indices or with long
sums, some planes are turned into boxes first (slide_box.pxd).

Maxima are of the caller's numbers; a minimum is a maximum of numbers whose bits are turned. Half and single precision are averaged in double
precision, integers of up to 16 bits in 32 if no sum can be larger, else in 64. Padding is a line's beginning and end; rows beyond
the input are left out. With indices, the places of winners go along with the numbers (slide_places.pxd).

Threads share out pieces of planes (slide_cut.pxd). More threads get smaller ones; no result depends on that, and no output is shared.
"""
import numpy as np

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items
from cyconv.cpu.pool_work cimport (
    ADD, Axis, DOUBLE, HALF, INT16, INT32, INT64, INT8, MAX, NORM, PEAK, SINGLE, SUM, UINT16, UINT32, UINT64, UINT8, ceil_div,
)
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.slide_box cimport fill_box
from cyconv.cpu.slide_channels cimport walk_channels
from cyconv.cpu.slide_cut cimport cut, cut_boxes, cut_further, kept_bytes, part_bytes, planes_as_rows, room_bytes, single_rows
from cyconv.cpu.slide_fetch cimport fetch, open_line
from cyconv.cpu.slide_finish cimport counts_alike, spread_rows
from cyconv.cpu.slide_line cimport FEW
from cyconv.cpu.slide_places cimport find
from cyconv.cpu.slide_values cimport MOST_ROWS, walk
from cyconv.cpu.slide_vectors cimport sd, si, sl, vb, vh, vi, vl
from cyconv.cpu.slide_work cimport (
    AHEAD, CONSTANT, DOUBLES, FLOATS, INTS_16, INTS_32, INTS_64, INTS_8, MIRROR, NEAREST, NOTHING, REFLECT, Room, WRAP, Work,
)

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

# Seconds, measured on a Xeon at 512 bits for planes of 4x4 to 224x224 that lie in the caches:
cdef double CALL = 2e-6
cdef double ITEM = 2e-8
cdef double ROW_READ = 8e-9             # a row that is fetched
cdef double PASS = 2e-9                 # and joined once along itself,
cdef double VECTOR = 7e-10              # each of its vectors
cdef double SPARED = 2.5                # so many times that, if only every third window or fewer are asked for
cdef double PICKED = 6e-10              # each of these, by no vector
cdef double ROW_MADE = 6e-9             # a row of results
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    SHORT = 64                          # outputs of a row

cdef tuple KEPT = ("work of sliding",)  # a key that no name of an algorithm is
STORED = {"float16": HALF, "float32": SINGLE, "float64": DOUBLE, "complex64": SINGLE, "complex128": DOUBLE, "bool": INT8,
          "int8": INT8, "int16": INT16, "int32": INT32, "int64": INT64,
          "uint8": UINT8, "uint16": UINT16, "uint32": UINT32, "uint64": UINT64}
SIZES = {FLOATS: 4, DOUBLES: 8, INTS_8: 1, INTS_16: 2, INTS_32: 4, INTS_64: 8}
BORDERS = {"": NOTHING, "constant": CONSTANT, "nearest": NEAREST, "reflect": REFLECT, "mirror": MIRROR, "wrap": WRAP}
WHOLE = {1: INTS_8, 2: INTS_16, 4: INTS_32, 8: INTS_64}


def _lanes(problem):
    """What is computed with."""
    dtype = np.dtype(problem.dtype)
    z, y, x = problem.kernel
    if problem.kind == "lp" or problem.kind == "average" and dtype.kind in "fc":
        return DOUBLES
    if problem.kind == "average":
        return INTS_32 if dtype.itemsize <= 2 and z * y * x < 2 ** (31 - 8 * dtype.itemsize) else INTS_64
    if dtype.kind == "f":
        return DOUBLES if dtype.itemsize == 8 else FLOATS
    return WHOLE[max(dtype.itemsize, 4) if problem.with_indices else dtype.itemsize]


cdef void turn_bits(Work* w, object problem, object dtype) except *:
    """Which bits make a maximum of signed numbers of what is asked for; and what never wins it."""
    cdef uint64_t all_bits = <uint64_t> -1, highest = <uint64_t> 1 << (8 * w.size - 1), bits = 0, lowest = 0
    cdef float low_float = -INFINITY
    cdef double low_double = -INFINITY
    cdef Py_ssize_t i
    if w.kind == MAX:
        if dtype.kind == "u" and w.plain:
            bits = highest
        if problem.kind == "min":
            bits ^= highest if dtype.kind == "f" else all_bits
    for i in range(0, VB, w.size):
        memcpy(&w.bits[i], &bits, w.size)
    w.turned = bits != 0
    if w.how == PEAK:
        lowest = highest
        if w.lanes == FLOATS:
            memcpy(&lowest, &low_float, 4)
        elif w.lanes == DOUBLES:
            memcpy(&lowest, &low_double, 8)
    memcpy(&w.lowest[0], &lowest, 8)
    lowest ^= bits                          # as the caller has it: it is turned with all that is read
    for i in range(0, VB, w.size):
        memcpy(&w.outside[i], &lowest, w.size)


cdef int open_border(Work* w, object problem, object dtype) except -1:
    """What lies beyond the input becomes rows and planes like others."""
    cdef Py_ssize_t a
    w.bordered = any(problem.border)
    if not w.bordered:
        return 0
    for a in range(3):
        w.border[a] = BORDERS[problem.border[a]]
    for a in range(2):
        w.real[a], w.before[a] = w.axis[a].n, w.axis[a].pad
        w.axis[a].n += w.axis[a].pad + w.axis[a].pad_after
        w.axis[a].pad = w.axis[a].pad_after = 0
    one = np.array([problem.cval.real], dtype if dtype.kind != "c" else np.dtype(f"f{w.stored_size}"))
    fetch(w, <const char*> cnp.PyArray_DATA(<cnp.ndarray> one), w.stored_size, 1, &w.cval[0])
    return 0


cdef int open_work(Work* w, object problem) except -1:
    """All that depends on the problem alone, but for the axes' steps."""
    cdef Py_ssize_t a
    cdef const Axis* x = &w.axis[2]
    dtype = np.dtype(problem.dtype)
    memset(w, 0, sizeof(Work))
    w.kind = MAX if problem.kind in ("max", "min") else SUM if problem.kind == "average" else NORM
    w.how = PEAK if w.kind == MAX or w.kind == NORM and fabs(problem.norm_type) == INFINITY else ADD
    w.lanes, w.stored = _lanes(problem), STORED[problem.dtype]
    w.parts = 2 if dtype.kind == "c" else 1
    w.stored_size, w.size = dtype.itemsize // w.parts, SIZES[w.lanes]
    w.plain = w.stored_size == w.size and w.kind != NORM
    w.straight = w.plain and w.kind == MAX
    turn_bits(w, problem, dtype)
    for a in range(3):
        w.axis[a].n, w.axis[a].out, w.axis[a].kernel = problem.size[a], max(problem.out_size[a], 1), problem.kernel[a]
        w.axis[a].stride, w.axis[a].dilation = problem.stride[a], problem.dilation[a]
        w.axis[a].pad, w.axis[a].pad_after = problem.pad_before[a], problem.pad_after[a]
    w.batch, w.channels = problem.batch, problem.channels * w.parts
    w.spatial = problem.rank
    w.rank = w.spatial + 1 + problem.batched
    w.together = 1
    w.divisors.count_include_pad = problem.count_include_pad
    w.divisors.has_override = problem.divisor_override is not None
    w.divisors.override = problem.divisor_override or 0
    w.divisors.norms, w.divisors.norm = w.kind == NORM, problem.norm_type
    w.divisors.signed_sums = problem.dtype[0] == "i"
    w.sparse = x.kernel == 1 and x.stride > 1 or x.kernel <= MOST_ROWS and x.stride > 2 * ((x.kernel - 1) * x.dilation + 1)
    w.pairs = x.stride == 2 and x.dilation == 1 and x.kernel <= FEW and not w.sparse
    w.parted = 2 <= x.kernel <= x.stride and x.dilation == 1 and not problem.with_indices and 3 <= x.stride <= 4
    w.squares = w.pairs and x.kernel == 2 and w.axis[1].kernel == 2 and w.axis[1].stride == 2 and w.axis[1].dilation == 1
    for a in range(3):
        w.squares &= w.axis[a].pad == 0 and w.axis[a].pad_after == 0 and (w.axis[a].out - 1) * w.axis[a].stride + w.axis[a].kernel <= w.axis[a].n
    w.narrow = w.kind == SUM and w.lanes == DOUBLES and w.stored != DOUBLE and not w.sparse and (x.kernel <= 3 or not w.pairs)
    w.line_size = 4 if w.narrow else w.size
    w.as_stored = w.plain and not w.turned or w.narrow and w.stored == SINGLE
    open_border(w, problem, dtype)
    w.with_indices = problem.with_indices
    w.cubes = w.squares and w.axis[0].kernel == 2 and w.axis[0].stride == 2 and w.axis[0].dilation == 1 and not w.with_indices
    # Sums of rows are kept where rows are long, since a sum is two operations more than a maximum.
    w.threes = w.straight or w.narrow and w.stored == SINGLE and w.parts == 1 and x.out <= SHORT
    w.threes &= not w.with_indices and not w.bordered and w.axis[0].kernel == 1 and x.stride <= 2
    for a in range(1, 3):
        w.threes &= w.axis[a].kernel == 3 and w.axis[a].dilation == 1 and w.axis[a].stride == x.stride
    w.columns, w.flat = w.axis[2], 1
    cut(w)
    w.seconds = predicted(w)
    return 0


# ---- items ---------------------------------------------------------------------------------------------------------------

cdef void open_room(const Work* w, Room* r, char* room) noexcept nogil:
    cdef int axis
    room += 64 - (<size_t> room & 63)
    r.box = room
    r.line = r.box + w.box_bytes
    r.constant = r.line + w.line_bytes
    r.work = r.constant + (w.line_bytes if w.bordered else 0)
    r.sums = r.work + w.work_bytes
    r.result = r.sums + w.work_bytes
    r.flat = r.result + part_bytes(w, 0 if w.slots[0] else 1)
    r.places = r.flat + w.flat_rows * w.flat_bytes
    room = r.places + (r.flat - r.result if w.with_indices else 0)
    for axis in range(2):
        r.ring[axis] = room
        r.opening[axis] = room + w.slots[axis] * part_bytes(w, axis)
        room += kept_bytes(w, axis) + w.apart[axis]

cdef void do_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Work* w = <const Work*> work
    cdef Room r
    cdef int axis
    cdef Py_ssize_t piece, channel, _channel, group, rows
    cdef const char* batch
    open_room(w, &r, room)
    for axis in range(2, -1, -1):
        piece = item % w.pieces[axis]
        item //= w.pieces[axis]
        r.begin[axis] = piece * w.outputs[axis]
        r.end[axis] = min(r.begin[axis] + w.outputs[axis], w.axis[axis].out)
    r.left = r.begin[2] // w.flat
    open_line(w, &r)
    r.alike = w.kind == SUM and w.stored == SINGLE and w.parts == 1 and counts_alike(w, r.begin[2], r.end[2])
    r.ahead_in = r.ahead_out = AHEAD
    if w.together == 1:
        r.index = item
        channel = item % w.channels
        r.plane = w.input + item // w.channels * w.batch_step + channel // w.parts * w.channel_step + channel % w.parts * w.stored_size
        for axis in range(3):
            r.step[axis] = w.axis[axis].step
        if w.pieces[2] > 1 and w.axis[1].out > 1:   # what comes next stands in the rows below
            rows = max(AHEAD // 2 // (w.outputs[2] * w.stored_size), <Py_ssize_t> 1)
            r.ahead_in, r.ahead_out = rows * r.step[1], rows * w.axis[2].out * w.stored_size * w.parts
        r.readable, r.behind = w.as_stored and r.step[2] == w.line_size, w.behind
        r.waiting = 0
        work_plane(w, &r)
        if r.waiting:
            spread_rows(w, &r)
        return
    group = item % ceil_div(w.channels, w.together) * w.together
    item //= ceil_div(w.channels, w.together)
    batch = w.input + item * w.batch_step + group * w.stored_size
    channel = min(w.together, w.channels - group)
    if w.on_lanes:
        r.index = item * w.channels + group
        walk_channel_lanes(w, &r, batch, channel)
        return
    fill_box(w, &r, batch, channel)
    r.readable, r.behind = w.as_stored, r.box + w.box_bytes
    r.index = item * w.channels + group
    for _channel in range(channel):
        work_plane(w, &r)
        r.plane += w.box_plane
        r.index += 1

cdef void walk_channel_lanes(const Work* w, Room* r, const char* source, Py_ssize_t channels) noexcept nogil:
    if w.kind == SUM:
        walk_channels(w, r, source, channels, <const sd*> NULL)
    elif w.lanes == FLOATS:
        walk_channels(w, r, source, channels, <const vf*> NULL)
    elif w.lanes == DOUBLES:
        walk_channels(w, r, source, channels, <const vd*> NULL)
    elif w.lanes == INTS_32:
        walk_channels(w, r, source, channels, <const vi*> NULL)
    else:
        walk_channels(w, r, source, channels, <const vl*> NULL)

cdef void work_plane(const Work* w, Room* r) noexcept nogil:
    cdef Py_ssize_t z
    if w.slots[0]:
        walk_lanes(w, r, 0)
    else:
        for z in range(r.begin[0], r.end[0]):
            r.oz, r.z = z, z * w.axis[0].stride
            walk_lanes(w, r, 1)

cdef inline void walk_lanes(const Work* w, Room* r, int axis) noexcept nogil:
    if w.with_indices:
        if w.lanes == FLOATS:
            find(w, r, axis, NULL, NULL, <const vf*> NULL)
        elif w.lanes == DOUBLES:
            find(w, r, axis, NULL, NULL, <const vd*> NULL)
        elif w.lanes == INTS_32:
            find(w, r, axis, NULL, NULL, <const vi*> NULL)
        else:
            find(w, r, axis, NULL, NULL, <const vl*> NULL)
    elif w.how == ADD:
        if w.lanes == DOUBLES:
            walk(w, r, axis, NULL, <const sd*> NULL)
        elif w.lanes == INTS_32:
            walk(w, r, axis, NULL, <const si*> NULL)
        else:
            walk(w, r, axis, NULL, <const sl*> NULL)
    elif w.lanes == FLOATS:
        walk(w, r, axis, NULL, <const vf*> NULL)
    elif w.lanes == DOUBLES:
        walk(w, r, axis, NULL, <const vd*> NULL)
    elif w.lanes == INTS_8:
        walk(w, r, axis, NULL, <const vb*> NULL)
    elif w.lanes == INTS_16:
        walk(w, r, axis, NULL, <const vh*> NULL)
    elif w.lanes == INTS_32:
        walk(w, r, axis, NULL, <const vi*> NULL)
    else:
        walk(w, r, axis, NULL, <const vl*> NULL)


# ---- the algorithm -------------------------------------------------------------------------------------------------------

def why_not(problem):
    cdef Work w
    if any(problem.adaptive):
        return "windows differ in size"
    if problem.with_indices and problem.size[0] * problem.size[1] * problem.size[2] + problem.pad_before[2] >= 2**31:
        return "planes have 2**31 samples or more"
    if max(d * (k - 1) for k, d in zip(problem.kernel, problem.dilation)) + max(problem.stride) >= 2**31:
        return "windows reach over 2**31 samples or more"
    open_work(&w, problem)
    if room_bytes(&w) > MAX_WORKSPACE:
        return f"needs {room_bytes(&w)} bytes of workspace"
    return None


cdef double predicted(const Work* w) noexcept:
    """Seconds on one thread, with vectors of 64 bytes: the choice must be the same for all levels of instructions."""
    cdef const Axis* x = &w.axis[2]
    cdef double planes = w.batch * w.channels, read = planes, made = planes, passes = 1, k = x.kernel, seconds, seconds_of_planes = 0, picked = 0, line, row = x.out * w.size / 64.0
    cdef int axis
    for axis in range(2):
        read *= w.axis[axis].out * min(w.axis[axis].stride, w.axis[axis].kernel) if w.axis[axis].out > 1 else min(w.axis[axis].kernel, w.axis[axis].n)
        made *= w.axis[axis].out
    while k > FEW:
        k /= 4
        passes += 1
    line = row * x.kernel if w.sparse else ((x.out - 1) * x.stride + (x.kernel - 1) * x.dilation + 1) * w.size / 64.0 + 1
    if x.stride > 1 and not w.pairs and not w.sparse and not w.parted:
        line *= SPARED                  # windows that are not asked for are made, too, and the others picked out:
        picked = PICKED * x.out * (2 if w.with_indices else 1) if x.stride != 4 else 0
    seconds = read * (ROW_READ + passes * (PASS + line * VECTOR) + picked)
    seconds += made * (ROW_MADE + (row + 1) * VECTOR * (3 if w.blocks[1] or w.blocks[0] else 1.5))
    if not single_rows(w):              # else they are rows of one plane, mostly
        seconds_of_planes = planes * ITEM
    seconds = seconds_of_planes + seconds * (0.35 if w.squares else 0.55 if w.threes else 1)
    return CALL + seconds * (1.4 if w.with_indices else 1)


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    cdef Work w
    open_work(&w, problem)
    return w.seconds, room_bytes(&w)


def run(problem, cnp.ndarray input, cnp.ndarray out, cnp.ndarray indices=None):
    """Writes the result to `out` and, where they are asked for, the winners' places to `indices` (both C-contiguous)."""
    cdef Work w
    cdef Py_ssize_t items, room, batch
    cdef cnp.npy_intp bytes
    cdef int workers, a, first
    cdef cnp.ndarray space
    kept = (<dict> problem.kept).get(KEPT)
    if kept is None:
        open_work(&w, problem)
        kept = problem.kept[KEPT] = PyBytes_FromStringAndSize(<char*> &w, sizeof(Work))
    memcpy(&w, PyBytes_AS_STRING(kept), sizeof(Work))
    first = w.rank - w.spatial
    for a in range(w.spatial):
        w.axis[3 - w.spatial + a].step = cnp.PyArray_STRIDE(input, first + a)
    w.channel_step = cnp.PyArray_STRIDE(input, first - 1)
    w.batch_step = cnp.PyArray_STRIDE(input, 0) if first > 1 else 0
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.behind = w.input + w.stored_size * w.parts
    for a in range(w.rank):
        w.behind += max(0, (cnp.PyArray_DIM(input, a) - 1) * cnp.PyArray_STRIDE(input, a))
    w.out = <char*> cnp.PyArray_DATA(out)
    w.indices = NULL if indices is None else <int64_t*> cnp.PyArray_DATA(indices)
    batch = planes_as_rows(&w, problem.batch)
    cut_boxes(&w)
    items = batch * ceil_div(w.channels, w.together) * w.pieces[0] * w.pieces[1] * w.pieces[2]
    room = room_bytes(&w)
    workers = worth_workers(w.seconds, room, MAX_WORKSPACE)
    if workers > 1:
        items = cut_further(&w, items, workers)
    workers = min(workers, items)
    bytes = workers * room
    space = new_array(1, &bytes, cnp.NPY_UINT8)
    run_items(do_item, &w, items, w.seconds * PER_SECOND, workers, <char*> cnp.PyArray_DATA(space), room, True)

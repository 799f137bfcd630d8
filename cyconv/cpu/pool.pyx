"""Pooling:  out[plane, o] = max, average or p-norm of input[plane, i] over the samples i of window o.

The input is read where it lies, with any strides; outputs are C-contiguous. Along an axis, window o covers the samples
first, first + d, ... that exist; padding is never read, so it costs nothing and cannot win.

What wins where windows are few or differ in size: they are worked off one by one (pool_windows.pxd). Where planes are neighbours in memory
(channels last), and where rows are too short to be worth a loop, the innermost loop runs over planes instead (pool_planes.pxd). Planes that are one window each
have ways of their own (pool_whole.pxd, pool_pixels.pxd, pool_gathered.pxd).

Half and single precision are averaged in double precision, integers in 64 bits; sums are never taken apart again. Each way adds a window's samples in the
same order, each column by itself and then the columns; of planes that are one window, every 32nd sample and then those 32 sums.
Threads share out blocks of output rows; the cut depends on the problem alone, and no thread shares an output.
"""
import numpy as np

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items
from cyconv.cpu.pool_gathered cimport MOST_TOGETHER, gathered_item
from cyconv.cpu.pool_pixels cimport GROUP, PIXELS, pixels_item
from cyconv.cpu.pool_planes cimport planes_item
from cyconv.cpu.pool_rows cimport number, place
from cyconv.cpu.pool_sums cimport adds_up
from cyconv.cpu.pool_whole cimport whole_item
from cyconv.cpu.pool_windows cimport (
    BOX, BOX_OF_MAXIMA, BOX_WITH_INDICES, ITEM, LANES, LINE, MOST_OUTPUTS, RING_BYTES, SPOTS, Scratch, Work, pool_item,
)
from cyconv.cpu.pool_work cimport (
    Axis, DOUBLE, HALF, INT16, INT32, INT64, INT8, MAX, NORM, SINGLE, SUM, UINT16, UINT32, UINT64, UINT8, ceil_div, window,
)

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

# Seconds, measured on a Xeon at 512 bits for planes of 4x4 to 224x224 that lie in the caches:
cdef double CALL = 1.5e-6
cdef double ROW_READ = 5e-9             # a row that is combined with others,
cdef double SAMPLE = 1.5e-10            # each of its samples,
cdef double ROW_MADE = 3e-8             # a row of results,
cdef double COLUMN = 6e-10              # each column of a window of the line that rows make; a fifth of it in long ones
cdef double WAITING = 5                 # times as long where a maximum waits for the one before
cdef double COMPARED = 1.5e-9            # a sample of a window that is compared with its place
cdef double COMPARED_ROW = 8e-9         # each of its rows
cdef double BOXED = 3.6e-10             # a sample that is transposed into a box, with its results,
cdef double WHOLE = 6e-9                # a plane of floats that is one window,
cdef double WHOLE_SOUGHT = 4e-8         # if its maximum is looked for, too,
cdef double WHOLE_SAMPLE = 1e-10        # and each of its samples
cdef double TAP = 1.6e-10               # and each sample of a window there; with indices twice as long
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    LARGE_PLANE = 1 << 17               # bytes that are an item's worth
    FEW = 8                             # channels, or planes, that are worth a loop over them

cdef inline void some_item(const Work* w, Py_ssize_t item, Scratch* s, const number* like, const place* like_place) noexcept nogil:
    if w.pixels:
        pixels_item(w, item, <number*> s.kept, <number*> s.line)
    elif w.by_planes:
        planes_item(w, item, s, like, like_place)
    else:
        pool_item(w, item, s, like, like_place)

cdef inline Py_ssize_t _results(const Work* w) noexcept nogil:
    return LANES * SPOTS if w.by_planes else MOST_OUTPUTS

cdef void do_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Work* w = <const Work*> work
    cdef Scratch s
    if w.whole:
        whole_item(w, item)
        return
    s.line = room + 64 - (<size_t> room & 63)
    s.result = s.line + LINE * 8
    s.places = s.result + _results(w) * 8
    s.tags = <Py_ssize_t*> (s.places + _results(w) * 8)
    s.windows = s.tags + 2 * w.ring
    s.firsts = <int32_t*> (s.windows + 2 * MOST_OUTPUTS)
    s.counts = s.firsts + MOST_OUTPUTS
    s.picked = <char*> (s.counts + MOST_OUTPUTS)
    s.part = s.picked + MOST_OUTPUTS * 8
    s.kept = s.part + 64
    s.most = 0
    if w.gathered:
        gathered_item(w, item, <double*> s.line, <double*> s.result)
    elif w.computed == SINGLE:
        some_item(w, item, &s, <const float*> NULL, <const int32_t*> NULL)
    elif w.computed == DOUBLE:
        some_item(w, item, &s, <const double*> NULL, <const int64_t*> NULL)
    elif w.computed == INT32:
        some_item(w, item, &s, <const int32_t*> NULL, <const int32_t*> NULL)
    elif w.computed == INT64:
        some_item(w, item, &s, <const int64_t*> NULL, <const int64_t*> NULL)
    else:
        some_item(w, item, &s, <const uint64_t*> NULL, <const int64_t*> NULL)


cdef tuple KEPT = ("work of pool",)     # a key that no name of an algorithm is
STORED = {"float16": HALF, "float32": SINGLE, "float64": DOUBLE, "complex64": SINGLE, "complex128": DOUBLE, "bool": UINT8,
          "int8": INT8, "int16": INT16, "int32": INT32, "int64": INT64,
          "uint8": UINT8, "uint16": UINT16, "uint32": UINT32, "uint64": UINT64}


def _computed(problem):
    """What is computed with: the least type that holds the input, and sums or places in the plane."""
    z, y, x = problem.size
    if problem.kind != "max":
        return UINT64 if problem.dtype[0] in "iu" else DOUBLE
    far = problem.with_indices and z * y * x + problem.pad_before[2] >= 2**31  # places count from a window's first column
    if problem.dtype in ("float16", "float32", "float64"):
        return DOUBLE if far or problem.dtype == "float64" else SINGLE
    if problem.dtype in ("int64", "uint32", "uint64"):
        return UINT64 if problem.dtype == "uint64" else INT64
    return INT64 if far else INT32


cdef void cut_columns(Work* w) noexcept:
    """How many outputs of a row are worked on at a time, so that what they read is one piece of a line if possible."""
    cdef Axis* x = &w.axis[2]
    cdef Py_ssize_t span = (x.kernel - 1) * x.dilation + 1
    if x.adaptive:
        w.columns = max(1, min(<Py_ssize_t> MOST_OUTPUTS, <Py_ssize_t> LINE // span))
    elif x.kernel > 1 and x.stride > 8 * span:
        w.columns = 1                   # most columns between the windows are not worth reading
    else:
        w.columns = max(1, min(<Py_ssize_t> MOST_OUTPUTS, (LINE - min(span, <Py_ssize_t> LINE)) // (1 if x.kernel == 1 else x.stride) + 1))
    w.column_blocks = max(1, ceil_div(x.out, w.columns))    # an adaptive pool may have no outputs
    w.columns = max(1, ceil_div(x.out, w.column_blocks))


cdef int open_work(Work* w, object problem) except -1:
    """All that depends on the problem alone, but for the axes' steps."""
    cdef Py_ssize_t a, whole
    cdef Axis* x = &w.axis[2]
    cdef Axis* y = &w.axis[1]
    w.kind = MAX if problem.kind == "max" else SUM if problem.kind == "average" else NORM
    w.stored, w.computed = STORED[problem.dtype], _computed(problem)
    w.parts = 2 if problem.dtype.startswith("complex") else 1
    w.stored_size = np.dtype(problem.dtype).itemsize // w.parts
    w.size = 4 if w.computed == SINGLE or w.computed == INT32 else 8
    for a in range(3):
        w.axis[a].n, w.axis[a].out, w.axis[a].kernel = problem.size[a], problem.out_size[a], problem.kernel[a]
        w.axis[a].stride, w.axis[a].dilation = problem.stride[a], problem.dilation[a]
        w.axis[a].pad, w.axis[a].pad_after = problem.pad_before[a], problem.pad_after[a]
        w.axis[a].adaptive = problem.adaptive[a]
    w.row_length = x.n
    w.with_indices = problem.with_indices
    w.index_stride = x.stride
    w.channels = problem.channels * w.parts
    w.divisors.count_include_pad = problem.count_include_pad
    w.divisors.has_override = problem.divisor_override is not None
    w.divisors.override = problem.divisor_override or 0
    w.divisors.norms, w.divisors.norm = w.kind == NORM, problem.norm_type
    w.divisors.signed_sums = problem.dtype[0] == "i"
    w.by_window = x.adaptive or x.kernel > 2 * x.out or (x.stride > 2 and x.kernel >= 8 and x.dilation == 1)

    cut_columns(w)
    whole = w.axis[0].out * y.out
    w.rows = <Py_ssize_t> max(1, min(whole, ITEM * (problem.planes * whole * w.column_blocks) // max(problem.steps, 1)))
    w.row_blocks = ceil_div(whole, w.rows)
    return 0


cdef bint one_window(const Work* w) noexcept:
    """Whether each plane is one window."""
    cdef int a
    for a in range(3):
        if w.axis[a].out > 1 or w.axis[a].kernel != w.axis[a].n or w.axis[a].pad or w.axis[a].pad_after or w.axis[a].dilation > 1:
            return False
    return True


cdef bint whole_windows(const Work* w) noexcept:
    """The same of floats' maxima and averages, which pool_whole.pxd makes."""
    return one_window(w) and w.kind != NORM and w.parts == 1 and (w.stored == SINGLE or w.stored == DOUBLE)


cdef Py_ssize_t run_of(const Work* w, Py_ssize_t bytes) noexcept:
    """The bytes of a plane whose columns of so many bytes are one run of memory, else 0."""
    cdef Py_ssize_t a
    for a in range(2, -1, -1):
        if w.axis[a].n > 1 and w.axis[a].step != bytes:
            return 0
        bytes *= w.axis[a].n
    return bytes


cdef bint whole_runs(Work* w) noexcept:
    """Those, if a plane is one run of memory. No two threads share one, not even a large one, since that would be another order of sums."""
    cdef Py_ssize_t bytes = run_of(w, w.stored_size)
    if not whole_windows(w) or bytes == 0:
        return False
    w.together = min(max(LARGE_PLANE // bytes, <Py_ssize_t> 1), w.channels)
    return True


cdef bint whole_pixels(Work* w) noexcept:
    """Whether each plane is one window, and channels are neighbours: in one run of memory, or several that are worth it."""
    if not one_window(w) or w.parts > 1 or w.with_indices or w.channels < 2 or w.channel_step != w.stored_size:
        return False
    w.gapless = run_of(w, w.channels * w.stored_size) > 0
    if not (w.gapless and w.kind != NORM or w.global_sums and w.channels >= FEW):
        return False
    w.together = ceil_div(w.channels, ceil_div(w.channels, GROUP))
    return True


cdef bint gathered(Work* w) noexcept:
    """Any other sums of whole planes, but for boxes of them."""
    cdef Py_ssize_t samples = w.axis[0].n * w.axis[1].n * w.axis[2].n
    if not w.global_sums:
        return False
    w.lines = w.parts == 1 and samples <= LINE and run_of(w, w.stored_size) > 0 and w.channel_step == samples * w.stored_size
    w.together = min(max(LARGE_PLANE // (samples * 8), <Py_ssize_t> 1), w.channels, <Py_ssize_t> MOST_TOGETHER)
    return w.lines or not w.boxed


cdef bint whole_planes(Work* w) noexcept:
    """If each plane is one window and all of them are one run of memory: makes them windows of a single row."""
    cdef Py_ssize_t a, samples = 1
    cdef Axis* axis
    if not one_window(w):
        return False
    for a in range(2, -1, -1):
        axis = &w.axis[a]
        if axis.n > 1 and axis.step != samples * w.stored_size:
            return False
        samples *= axis.n
    if w.channels > 1 and w.channel_step != samples * w.stored_size:
        return False
    for a in range(2):
        w.axis[a].n = w.axis[a].kernel = 1
    axis = &w.axis[2]
    axis.kernel, axis.stride, axis.out, axis.n = samples, samples, w.channels, samples * w.channels
    axis.step = w.stored_size
    w.channels = w.rows = w.row_blocks = 1
    w.channels_last = False
    w.index_stride = 0                  # places count from the beginning of a plane
    w.by_window = True
    cut_columns(w)
    return True


cdef Py_ssize_t most_samples(const Work* w) noexcept nogil:
    """Of a plane that is transposed."""
    if w.kind != MAX or not w.axis[2].adaptive:
        return BOX
    return BOX_WITH_INDICES if w.with_indices else BOX_OF_MAXIMA if w.computed == SINGLE else BOX


cdef int choose_planes(Work* w, Py_ssize_t* batch) except -1:
    """Whether the innermost loop runs over planes, which it does if they are neighbours or rows are short."""
    cdef Py_ssize_t samples = 1, outputs = 1, most = most_samples(w), a
    for a in range(3):
        samples = min(samples * min(w.axis[a].n, most + 1), most + 1)
        outputs *= w.axis[a].out
    if w.parts > 1:
        return 0
    if batch[0] > 1 and w.batch_step == w.channels * w.channel_step:
        w.channels, batch[0] = w.channels * batch[0], 1
    if batch[0] == 1 and samples <= BOX and not w.global_sums and whole_planes(w):
        return 0
    w.boxed = samples <= most and w.axis[2].out <= 16 and w.channels >= 16
    w.by_planes = w.boxed or (w.channel_step == w.stored_size and w.channels >= FEW and w.axis[2].step != w.stored_size)
    w.lane_blocks = ceil_div(w.channels, LANES)
    w.spot_blocks = ceil_div(outputs, SPOTS)
    return 0


cdef int open_rows(Work* w) except -1:
    """How rows are read; the axes' steps are known by now."""
    cdef Axis* x = &w.axis[2]
    cdef Axis* a
    cdef Py_ssize_t span, most
    cdef Py_ssize_t[2] kept
    w.straight = w.stored == w.computed and w.parts == 1 or w.stored == INT64 and w.computed == UINT64
    w.ring = w.ring_y = 1
    if w.by_planes:
        w.in_place = w.straight and w.kind != NORM and w.channel_step == w.stored_size
        return 0
    if x.kernel == 1 and not x.adaptive:  # one sample of each window: a view of those alone
        x.step *= x.stride
        x.n, x.stride = x.out, 1
    w.in_place = w.straight and w.kind != NORM and x.step == w.stored_size
    w.pitch = LINE
    if not x.adaptive:
        span = (x.kernel - 1) * x.dilation + 1
        w.pitch = min(<Py_ssize_t> LINE, x.n, (w.columns - 1) * x.stride + span)
    if not w.in_place and (w.kind == NORM or w.indices != NULL or w.stored == HALF or x.step != w.stored_size):
        most = RING_BYTES // (w.pitch * w.size)
        for i in range(2):
            a = &w.axis[i]
            span = min(a.n, (a.kernel - 1) * a.dilation + 1)
            kept[i] = span if a.out > 1 and (a.adaptive or span > a.stride) else 1
        w.ring_y = min(kept[1], most)
        w.ring = w.ring_y * max(1, min(kept[0], most // w.ring_y))
    return 0


cdef Py_ssize_t scratch_bytes(const Work* w) noexcept nogil:
    """What one thread needs, as do_item divides it."""
    cdef Py_ssize_t kept = PIXELS * GROUP * 8 if w.pixels else most_samples(w) * LANES * 8 if w.boxed else w.ring * w.pitch * w.size
    return (LINE + 2 * _results(w) + 2 * w.ring + 4 * MOST_OUTPUTS + 8) * 8 + ceil_div(kept, 64) * 64 + 128


def why_not(problem):
    if problem.kind == "min":
        return "made for maxima, averages and norms"
    if any(problem.border):
        return "windows go on beyond the input"
    reach = max(d * (k - 1) for k, d in zip(problem.kernel, problem.dilation))
    if reach >= 2**31:
        return f"windows reach over {reach} samples, and all between their taps are walked over"
    return None


cdef Py_ssize_t samples_of_windows(const Axis* a) noexcept:
    """Of all windows along a short axis."""
    cdef Py_ssize_t o, first, count, samples = 0
    for o in range(a.out):
        window(a, o, &first, &count)
        samples += count
    return samples


cdef double predicted(const Work* w, double planes) noexcept:
    """Seconds on one thread, whatever the layout."""
    cdef double outputs = planes, rows = planes, made = planes, samples = planes, taps = 1, column
    cdef const Axis* x = &w.axis[2]
    cdef int a
    cdef bint whole = whole_windows(w)
    for a in range(3):
        taps *= min(w.axis[a].kernel, w.axis[a].n)
        samples *= w.axis[a].n
        outputs *= w.axis[a].out
        if a < 2:
            rows *= w.axis[a].out * min(w.axis[a].kernel, w.axis[a].n)
            made *= w.axis[a].out
    if whole:
        return CALL + planes * (WHOLE_SOUGHT if w.with_indices else WHOLE) + WHOLE_SAMPLE * samples
    if samples <= planes * BOX and x.out <= 16 and planes >= 16:
        taps = planes                   # of all windows, as far as they exist
        for a in range(3):
            taps *= samples_of_windows(&w.axis[a])
        return CALL + BOXED * samples + TAP * taps * (2 if w.with_indices else 1)
    if w.with_indices:
        return CALL + outputs * (COMPARED * taps + COMPARED_ROW * taps / min(x.kernel, x.n))
    column = COLUMN * (0.2 if x.kernel >= 32 else WAITING if w.by_window and w.kind == MAX else 1)
    return CALL + rows * (ROW_READ + SAMPLE * x.n) + made * ROW_MADE + column * outputs * min(x.kernel, x.n)


def cost(problem):
    """(predicted seconds on one thread, most bytes of workspace on one thread)."""
    cdef Work w
    open_work(&w, problem)
    return predicted(&w, problem.planes), max(<Py_ssize_t> 2 * RING_BYTES, (most_samples(&w) + 4 * LANES) * LANES * 8)


def run(problem, cnp.ndarray input, cnp.ndarray out, cnp.ndarray indices=None):
    """Writes the result to `out` and, where they are asked for, the winners' places to `indices` (both C-contiguous)."""
    cdef Work w
    cdef Py_ssize_t a, n, items, room, rank = problem.rank
    cdef cnp.npy_intp bytes
    cdef int workers
    cdef bint batched = problem.batched
    cdef cnp.ndarray space
    memset(&w, 0, sizeof(Work))
    kept = problem.kept.get(KEPT)
    if kept is None:
        open_work(&w, problem)
        kept = problem.kept[KEPT] = PyBytes_FromStringAndSize(<char*> &w, sizeof(Work))
    memcpy(&w, PyBytes_AS_STRING(kept), sizeof(Work))
    for a in range(3 - rank, 3):
        w.axis[a].step = cnp.PyArray_STRIDE(input, <int> (a - 3 + rank + 1 + batched))
    w.batch_step = cnp.PyArray_STRIDE(input, 0) if batched else 0
    w.channel_step = cnp.PyArray_STRIDE(input, batched)
    w.channels_last = w.channels > 1 and abs(w.channel_step) < abs(w.axis[2].step)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.out = <char*> cnp.PyArray_DATA(out)
    w.indices = NULL if indices is None else <int64_t*> cnp.PyArray_DATA(indices)
    n = problem.batch
    seconds = predicted(&w, problem.planes)
    w.global_sums = one_window(&w) and adds_up(&w)
    w.whole = whole_runs(&w)
    w.pixels = not w.whole and whole_pixels(&w)
    if not w.whole and not w.pixels:
        choose_planes(&w, &n)
        w.gathered = gathered(&w)
    if w.whole or w.pixels or w.gathered:
        items = n * ceil_div(w.channels, w.together)
    else:
        open_rows(&w)
        items = n * (w.lane_blocks * w.spot_blocks if w.by_planes else w.channels * w.row_blocks * w.column_blocks)
    room = scratch_bytes(&w)
    workers = min(worth_workers(seconds, room, MAX_WORKSPACE), items)
    bytes = workers * room
    space = new_array(1, &bytes, cnp.NPY_UINT8)
    run_items(do_item, &w, items, seconds * PER_SECOND, workers, <char*> cnp.PyArray_DATA(space), room, True)

"""Values spread over the windows of a pool:  out[plane, i] = sum of values[plane, o] / divisor(o) over the windows o that sample i lies in.

What an average took goes back so. The windows of a sample are neighbours along each axis, and the sum over them is a sum of sums, axis
after axis: large windows cost their length along each axis, not their volume. Each number of the result is written once, and none is zeroed
before:

    quotients    values / divisor, added up along z, of the rows that a band of result rows lies in; they stay in a core's second cache
    sums         of those along y: one row for each run of result rows that lie in the same windows
    result       rows made of such sums along x, and copied to all rows of the run, and to all planes of a run along z

Along x, a stride of s makes groups of s samples. The first few samples of group q lie in windows q - m + 1 .. q, the others not in the
first of these. So a group needs two sums of neighbours at most, and these are made for all groups at once, in whole vectors. Adaptive
windows, which differ in length, have a table of their runs instead.

Planes are apart from each other; large ones are cut into bands of rows, and rows into pieces. No number is written by two threads, and no
cut changes how one is added up: along z, y and x, each from the first window to the last, but that of a group's two sums along x the
longer is the shorter one and the first window. Where kz * ky * kx windows meet, the error is at most (kz + ky + kx - 2) / 2 eps of the sum
of absolute quotients; where there is one, its value is divided as NumPy does it.
"""
cimport numpy as cnp
from libc.string cimport memcpy, memset

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items
from cyconv.cpu.pool_work cimport Axis, ceil_div, wide, window

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

# Seconds, measured on a Xeon for planes of 8x8 to 1024x1024 and windows of 2x2 to 15x15:
cdef double CALL = 2e-6
cdef double ROW = 1e-8                  # a row that is made,
cdef double DIVIDED = 5e-10             # a quotient,
cdef double ADDED = 8e-11               # one that is added to others along y or x,
cdef double WRITTEN = 6e-11             # and a byte of the result
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    PIECE = 2048                        # columns of a result row that are made together: what they are made of stays in the first cache
    BAND = 1 << 17                      # bytes of quotients that are kept for a band of rows
    ITEM = 1 << 12                      # numbers of a result that are worth an item
    LINE = 64

cdef enum Counting:                     # what an axis gives to the divisor of a window:
    NOTHING, INSIDE, PADDED, SHARE      # nothing, its samples, these and padding, what part they are of a whole window's

ctypedef fused number:
    float
    double

cdef struct Spread:
    const char* values
    char* out
    Axis[3] axis
    Counting counting
    double divisor                      # of all windows, besides what is counted
    Py_ssize_t whole, whole_end         # windows along x
    double whole_count                  # that count so much
    Py_ssize_t taps, longer             # windows of the first `longer` samples of a group along x; no taps: there are no groups
    Py_ssize_t planes, together         # all, and those of an item; of each
    Py_ssize_t depth, band, piece       # so many samples along z, y and x,
    Py_ssize_t depths, bands, pieces    # and into how many such parts it is cut
    Py_ssize_t rows, pitch              # of quotients that an item keeps, and numbers of one
    Py_ssize_t size                     # bytes of a number

cdef struct Part:                       # of a plane: what is the same for all planes, and found once
    Py_ssize_t number                   # which it is, plus 1
    Py_ssize_t y, y_end, x, x_end       # its rows and columns
    Py_ssize_t top, bottom              # the windows that these lie in,
    Py_ssize_t left, right
    Py_ssize_t first, width             # and those that sums along x take, besides zeros
    Py_ssize_t begin                    # samples of the first group that are not in the piece,
    Py_ssize_t head, groups             # those that are if it is not whole, and whole groups

cdef struct Run:                        # of samples that lie in the same windows
    Py_ssize_t end, low, high           # windows from low on, up to but not including high

cdef struct Room:                       # a thread's own
    Part* part
    double* counted_y                   # of the part's windows, from the first one on
    double* counted_x
    Run* runs_y
    Run* runs_x                         # if there are no groups
    char* quotients
    char* sums                          # a row along y,
    char* first                         # and two along x
    char* other


# ---- rows ----------------------------------------------------------------------------------------------------------------

cdef inline void divide(number* to, const number* values, number divisor, Py_ssize_t n, bint adds) noexcept nogil:
    cdef Py_ssize_t i
    if adds:
        for i in range(n):
            to[i] = to[i] + values[i] / divisor
    else:
        for i in range(n):
            to[i] = values[i] / divisor

cdef inline void divide_each(number* to, const number* values, double divisor, const double* more, Py_ssize_t n, bint adds) noexcept nogil:
    """By products that differ, or are no numbers of single precision. Quotients of double precision round to those of single."""
    cdef Py_ssize_t i
    if adds:
        for i in range(n):
            to[i] = to[i] + <number> (<double> values[i] / (divisor * more[i]))
    else:
        for i in range(n):
            to[i] = <number> (<double> values[i] / (divisor * more[i]))

cdef inline void add_up(number* to, const number* a, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    """to[i] = a[i] + a[pitch + i] + ..., from the first of `count` to the last."""
    cdef Py_ssize_t i, done = (count - 1) % 4 + 1
    cdef const number* b = a + pitch
    cdef const number* c = b + pitch
    cdef const number* d = c + pitch
    if done == 1:
        memcpy(to, a, n * sizeof(number))
    elif done == 2:
        for i in range(n):
            to[i] = a[i] + b[i]
    elif done == 3:
        for i in range(n):
            to[i] = a[i] + b[i] + c[i]
    else:
        for i in range(n):
            to[i] = a[i] + b[i] + c[i] + d[i]
    a += done * pitch
    while done < count:
        b = a + pitch
        c = b + pitch
        d = c + pitch
        for i in range(n):
            to[i] = to[i] + a[i] + b[i] + c[i] + d[i]
        a, done = d + pitch, done + 4

cdef inline void fill(number* to, number value, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = value

cdef inline void part_of_group(number* to, number first, number other, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t longer) noexcept nogil:
    """The samples from `begin` up to `end` of a group."""
    cdef Py_ssize_t change = min(max(longer, begin), end)
    fill(to, first, change - begin)
    fill(to + change - begin, other, end - change)

cdef inline void fill_groups(number* to, const number* first, const number* other, const Part* p, Py_ssize_t stride,
                             Py_ssize_t longer) noexcept nogil:
    """A part's columns."""
    cdef Py_ssize_t n = p.x_end - p.x, groups = p.groups, i, j
    if p.head:
        part_of_group(to, first[0], other[0], p.begin, p.begin + p.head, longer)
        to, n, first, other = to + p.head, n - p.head, first + 1, other + 1
    if stride == 2:
        if longer == 2:
            other = first
        for i in range(groups):
            to[2 * i] = first[i]
            to[2 * i + 1] = other[i]
    elif stride == 3 and longer == 3:
        for i in range(groups):
            to[3 * i] = first[i]
            to[3 * i + 1] = first[i]
            to[3 * i + 2] = first[i]
    else:
        for i in range(groups):
            for j in range(longer):
                to[i * stride + j] = first[i]
            for j in range(longer, stride):
                to[i * stride + j] = other[i]
    n -= groups * stride
    if n:
        part_of_group(to + groups * stride, first[groups], other[groups], 0, n, longer)


cdef inline Py_ssize_t whole_vectors(Py_ssize_t n) noexcept nogil:
    """Of a row that has room for them: what is left over would take as long as a few more."""
    return (n + 3) // 4 * 4


# ---- windows -------------------------------------------------------------------------------------------------------------

cdef inline Py_ssize_t windows_of(const Axis* a, Py_ssize_t i, Py_ssize_t* low, Py_ssize_t* high) noexcept nogil:
    """Those that sample i lies in, from `low` up to but not including `high`; returns the next sample that lies in others."""
    cdef Py_ssize_t end = a.n, at = i + a.pad, begin, count
    if a.adaptive:
        low[0] = <Py_ssize_t> (<wide> i * <wide> a.out // <wide> a.n)
        high[0] = <Py_ssize_t> ((<wide> (i + 1) * <wide> a.out + <wide> (a.n - 1)) // <wide> a.n)
        window(a, low[0], &begin, &count)
        end = begin + count
        if high[0] < a.out:
            window(a, high[0], &begin, &count)
            end = min(end, begin)
        return end
    low[0] = min(ceil_div(at - a.kernel + 1, a.stride) if at >= a.kernel else 0, a.out)
    high[0] = min(at + 1 if a.stride == 1 else at // a.stride + 1, a.out)
    if low[0] < a.out:
        end = min(end, low[0] * a.stride + a.kernel - a.pad)
    if high[0] < a.out:
        end = min(end, high[0] * a.stride - a.pad)
    return end

cdef inline Py_ssize_t most_windows(const Axis* a, Py_ssize_t samples) noexcept nogil:
    """That so many neighbours can lie in, or a few more."""
    if a.adaptive:
        return min(a.out, <Py_ssize_t> (<wide> samples * <wide> a.out // <wide> a.n) + 2)
    return min(a.out, (samples + a.kernel - 2) // a.stride + 2)

cdef inline double counted(const Spread* s, const Axis* a, Py_ssize_t o) noexcept nogil:
    cdef Py_ssize_t first, count
    if s.counting == NOTHING:
        return 1
    if s.counting == PADDED and not a.adaptive:
        return min(a.kernel, a.n + a.pad_after + a.pad - o * a.stride)
    window(a, o, &first, &count)
    return <double> count / <double> a.kernel if s.counting == SHARE else count


# ---- parts of planes -----------------------------------------------------------------------------------------------------

cdef inline void open_part(const Spread* s, const Room* r, Py_ssize_t number) noexcept nogil:
    cdef const Axis* y = &s.axis[1]
    cdef const Axis* x = &s.axis[2]
    cdef Part* p = r.part
    cdef Py_ssize_t o, low, high
    cdef Run* run = r.runs_y
    p.number = number + 1
    p.y, p.x = number // s.pieces * s.band, number % s.pieces * s.piece
    p.y_end, p.x_end = min(p.y + s.band, y.n), min(p.x + s.piece, x.n)
    o = p.y
    while o < p.y_end:
        run.end = min(windows_of(y, o, &run.low, &run.high), p.y_end)
        o, run = run.end, run + 1
    windows_of(y, p.y, &p.top, &high)
    windows_of(y, p.y_end - 1, &low, &p.bottom)
    for o in range(p.top, p.bottom):
        r.counted_y[o - p.top] = counted(s, y, o)
    if s.taps:                          # zeros stand for windows that would be before the first and after the last one
        p.first = (p.x + x.pad) // x.stride - s.taps + 1
        p.width = (p.x_end - 1 + x.pad) // x.stride + 1 - p.first
        p.begin = (p.x + x.pad) % x.stride
        p.head = min(x.stride - p.begin, p.x_end - p.x) if p.begin else 0
        p.groups = (p.x_end - p.x - p.head) // x.stride
    else:
        windows_of(x, p.x, &p.first, &high)
        windows_of(x, p.x_end - 1, &low, &high)
        p.width = high - p.first
        o, run = p.x, r.runs_x
        while o < p.x_end:
            run.end = min(windows_of(x, o, &run.low, &run.high), p.x_end)
            o, run = run.end, run + 1
    p.right = min(p.first + p.width, x.out)
    p.left = min(max(p.first, 0), p.right)
    for o in range(p.left, p.right):
        r.counted_x[o - p.left] = counted(s, x, o)
    for o in range(s.rows):             # what is before and after a row's quotients stays zero
        memset(r.quotients + o * s.pitch * s.size, 0, max(p.left - p.first, 0) * s.size)
        low = max(p.right - p.first, 0)
        memset(r.quotients + (o * s.pitch + low) * s.size, 0, (s.pitch - low) * s.size)

cdef inline void row_of_quotients(const Spread* s, const Room* r, Py_ssize_t plane, Py_ssize_t z, Py_ssize_t z_end, Py_ssize_t y,
                                  number* to) noexcept nogil:
    """Of the part's columns, added up along z."""
    cdef const Part* p = r.part
    cdef Py_ssize_t x = p.left, x_end = p.right, left = min(max(s.whole, x), x_end), right = max(min(s.whole_end, x_end), left), o
    cdef const number* values
    cdef double divisor, whole
    to += x - p.first
    for o in range(z, z_end):
        values = <const number*> s.values + ((plane * s.axis[0].out + o) * s.axis[1].out + y) * s.axis[2].out
        divisor = s.divisor * counted(s, &s.axis[0], o) * r.counted_y[y - p.top]
        whole = divisor * s.whole_count
        if <double> <number> whole != whole:    # above 2**24, and no number of single precision
            divide_each(to, values + x, divisor, r.counted_x, x_end - x, o > z)
            continue
        divide(to + left - x, values + left, <number> whole, right - left, o > z)
        if right - left < x_end - x:
            divide_each(to, values + x, divisor, r.counted_x, left - x, o > z)
            divide_each(to + right - x, values + right, divisor, r.counted_x + right - x, x_end - right, o > z)

cdef inline void result_row(const Spread* s, const Room* r, const number* sums, number* to) noexcept nogil:
    """From sums along z and y."""
    cdef const Part* p = r.part
    cdef const Run* run = r.runs_x
    cdef Py_ssize_t x = p.x, groups = whole_vectors(p.width - s.taps + 1), i
    cdef number* first = <number*> r.first
    cdef number* other = <number*> r.other
    cdef number sum
    if s.taps == 0:
        while x < p.x_end:
            sum = 0
            for i in range(run.low - p.first, run.high - p.first):
                sum = sum + sums[i]
            for i in range(run.end - x):
                to[i] = sum
            to, x, run = to + (run.end - x), run.end, run + 1
    elif s.axis[2].stride == 1:
        add_up(to, sums, 1, s.taps, p.x_end - p.x)
    elif s.taps == 1:
        if s.longer < s.axis[2].stride:
            memset(other, 0, groups * sizeof(number))
        fill_groups(to, sums, other, p, s.axis[2].stride, s.longer)
    elif s.taps == 2:
        add_up(first, sums, 1, 2, groups)
        fill_groups(to, first, sums + 1, p, s.axis[2].stride, s.longer)
    else:
        add_up(other, sums + 1, 1, s.taps - 1, groups)
        for i in range(groups):
            first[i] = sums[i] + other[i]
        fill_groups(to, first, other, p, s.axis[2].stride, s.longer)

cdef inline void spread_part(const Spread* s, const Room* r, Py_ssize_t plane, Py_ssize_t z, Py_ssize_t z_end,
                             const number* like) noexcept nogil:
    cdef const Part* p = r.part
    cdef const Run* run
    cdef Py_ssize_t length = s.axis[2].n, area = s.axis[1].n * length, front, back, next_z, y, i, j
    cdef size_t bytes = (p.x_end - p.x) * sizeof(number)
    cdef number* quotients = <number*> r.quotients
    cdef number* row
    while z < z_end:
        next_z = min(windows_of(&s.axis[0], z, &front, &back), z_end)
        for i in range(p.top, p.bottom if front < back else p.top):
            row_of_quotients(s, r, plane, front, back, i, quotients + (i - p.top) * s.pitch)
        y, run = p.y, r.runs_y
        while y < p.y_end:
            row = <number*> s.out + (plane * s.axis[0].n + z) * area + y * length + p.x
            if front == back or run.low == run.high:
                memset(row, 0, bytes)
            elif run.high - run.low == 1:
                result_row(s, r, quotients + (run.low - p.top) * s.pitch, row)
            else:
                add_up(<number*> r.sums, quotients + (run.low - p.top) * s.pitch, s.pitch, run.high - run.low, whole_vectors(p.width))
                result_row(s, r, <number*> r.sums, row)
            for i in range(next_z - z):
                for j in range(run.end - y):
                    if i or j:
                        memcpy(row + i * area + j * length, row, bytes)
            y, run = run.end, run + 1
        z = next_z

cdef inline Room room_at(const Spread* s, char* memory) noexcept nogil:
    """How a thread's memory is divided."""
    cdef Room r
    cdef Py_ssize_t row = s.pitch * s.size
    r.part = <Part*> (memory + LINE - (<size_t> memory & (LINE - 1)))
    r.counted_x = <double*> (<char*> r.part + 2 * LINE)
    r.quotients = <char*> (r.counted_x + s.pitch)
    r.sums = r.quotients + s.rows * row
    r.first = r.sums + row
    r.other = r.first + row
    r.runs_y = <Run*> (r.other + row)
    r.runs_x = r.runs_y + most_runs(&s.axis[1], s.band)
    r.counted_y = <double*> (r.runs_x + (0 if s.taps else most_runs(&s.axis[2], s.piece)))
    return r

cdef inline Py_ssize_t room_of(const Spread* s) noexcept nogil:
    """Its bytes."""
    cdef Room r = room_at(s, NULL)
    return <char*> (r.counted_y + s.rows) - <char*> NULL

cdef inline Py_ssize_t most_runs(const Axis* a, Py_ssize_t samples) noexcept nogil:
    return min(samples, 2 * most_windows(a, samples) + 1)

cdef void spread_item(const void* work, Py_ssize_t item, char* memory) noexcept nogil:
    cdef const Spread* s = <const Spread*> work
    cdef Room r = room_at(s, memory)
    cdef Py_ssize_t part = item % (s.bands * s.pieces), deep = item // (s.bands * s.pieces), depth = deep % s.depths
    cdef Py_ssize_t z = depth * s.depth - s.axis[0].pad % s.depth       # where a window begins, if they do not overlap
    cdef Py_ssize_t z_end = min(z + s.depth, s.axis[0].n), plane = deep // s.depths * s.together
    if r.part.number != part + 1:
        open_part(s, &r, part)
    for plane in range(plane, min(plane + s.together, s.planes)):
        if s.size == sizeof(float):
            spread_part(s, &r, plane, max(z, 0), z_end, <const float*> NULL)
        else:
            spread_part(s, &r, plane, max(z, 0), z_end, <const double*> NULL)


# ---- a call --------------------------------------------------------------------------------------------------------------

def spread(problem, cnp.ndarray values, cnp.ndarray out):
    """From C-contiguous planes of values, as a pool returns them, to such ones of `out`, as it takes them: single or double precision."""
    cdef Spread s
    cdef Py_ssize_t items, room, a
    cdef cnp.npy_intp bytes
    cdef cnp.ndarray rooms
    cdef int workers, worker
    cdef double seconds
    memset(&s, 0, sizeof(Spread))
    s.values, s.out, s.size = <const char*> cnp.PyArray_DATA(values), <char*> cnp.PyArray_DATA(out), values.itemsize
    for a in range(3):
        s.axis[a].n, s.axis[a].out, s.axis[a].kernel = problem.size[a], problem.out_size[a], problem.kernel[a]
        s.axis[a].stride = problem.stride[a] if s.axis[a].out > 1 else s.axis[a].kernel
        s.axis[a].pad, s.axis[a].pad_after = problem.pad_before[a], problem.pad_after[a]
        s.axis[a].adaptive, s.axis[a].dilation = problem.adaptive[a], 1
    s.divisor = 1
    s.counting = SHARE if problem.kind == "lp" else PADDED if problem.count_include_pad else INSIDE
    if problem.divisor_override is not None:
        s.divisor, s.counting = problem.divisor_override, NOTHING
    s.planes = problem.planes
    if one_window(&s):
        join_planes(&s)
    open_columns(&s)
    cut(&s)
    seconds = predicted(&s)
    items = ceil_div(s.planes, s.together) * s.depths * s.bands * s.pieces
    room = room_of(&s)
    workers = min(worth_workers(seconds, room, MAX_WORKSPACE), items)
    bytes = workers * room
    rooms = new_array(1, &bytes, cnp.NPY_UINT8)
    for worker in range(workers):
        room_at(&s, <char*> cnp.PyArray_DATA(rooms) + worker * room).part.number = 0
    run_items(spread_item, &s, items, seconds * PER_SECOND, workers, <char*> cnp.PyArray_DATA(rooms), room, True)


cdef bint one_window(const Spread* s) noexcept:
    """Whether each plane is one."""
    cdef Py_ssize_t a, first, count
    for a in range(3):
        window(&s.axis[a], 0, &first, &count)
        if s.axis[a].out > 1 or count < s.axis[a].n:
            return False
    return True


cdef void join_planes(Spread* s) noexcept:
    """Makes them windows of a single row."""
    cdef Py_ssize_t a, samples = 1
    for a in range(3):
        s.divisor *= counted(s, &s.axis[a], 0)
        samples *= s.axis[a].n
        s.axis[a].n = s.axis[a].out = s.axis[a].kernel = s.axis[a].stride = 1
        s.axis[a].pad = s.axis[a].pad_after = 0
    s.axis[2].n, s.axis[2].out, s.axis[2].kernel, s.axis[2].stride = samples * s.planes, s.planes, samples, samples
    s.planes, s.counting = 1, NOTHING


cdef void open_columns(Spread* s) noexcept:
    """The windows along x that count alike, and whether columns are groups."""
    cdef Axis* x = &s.axis[2]
    s.whole_count = x.kernel if s.counting == INSIDE or s.counting == PADDED else 1
    if s.counting == NOTHING:
        s.whole_end = x.out
    elif not x.adaptive:
        s.whole = 0 if s.counting == PADDED else min(ceil_div(x.pad, x.stride), x.out)
        s.whole_end = max(s.whole, min(x.out, windows_in(x, x.n + x.pad + (x.pad_after if s.counting == PADDED else 0))))
    s.taps, s.longer = (x.kernel - 1) // x.stride + 1, (x.kernel - 1) % x.stride + 1
    if x.adaptive or s.taps > 2 * x.out:        # a few long windows would be mostly zeros
        s.taps = 0


cdef Py_ssize_t windows_in(const Axis* a, Py_ssize_t samples) noexcept:
    """Whole ones."""
    return (samples - a.kernel) // a.stride + 1 if samples >= a.kernel else 0


cdef void cut(Spread* s) noexcept:
    cdef Axis* x = &s.axis[2]
    cdef Axis* y = &s.axis[1]
    cdef Axis* z = &s.axis[0]
    cdef Py_ssize_t overlap = (y.kernel - 1) // y.stride * y.stride
    s.pieces = ceil_div(x.n, max(<Py_ssize_t> PIECE, 4 * s.taps * x.stride if s.taps > 1 else 0))
    s.piece = ceil_div(x.n, s.pieces)
    s.pitch = (s.piece - 2 + x.stride) // x.stride + s.taps if s.taps else most_windows(x, s.piece)
    s.pitch = ceil_div(whole_vectors(s.pitch) + 3, 16) * 16
    if s.pitch * s.size % 4096 == 0:    # rows would share the first cache's few lines of an address
        s.pitch += 16
    s.depth = min(z.n, ceil_div(z.n, z.out) if z.adaptive else z.stride)
    s.depths = ceil_div(z.n + z.pad % s.depth, s.depth)
    s.band = min(max(BAND // (s.piece * s.size), 2 * overlap, <Py_ssize_t> 1), y.n)
    s.bands = ceil_div(y.n, s.band)
    s.band = ceil_div(y.n, s.bands)
    s.rows = most_windows(y, s.band)
    s.together = max(1, ITEM // (s.depth * s.band * s.piece)) if s.bands * s.pieces == 1 else 1


cdef double predicted(const Spread* s) noexcept:
    """Seconds on one thread."""
    cdef const Axis* x = &s.axis[2]
    cdef const Axis* y = &s.axis[1]
    cdef const Axis* z = &s.axis[0]
    cdef double planes = s.planes, rows = planes * min(z.n, 2 * z.out) * min(y.n, 2 * y.out)
    return (
        CALL + ROW * rows + DIVIDED * planes * z.out * y.out * x.out * most_windows(z, 1)
        + ADDED * rows * x.out * most_windows(y, 1) + ADDED * rows * min(x.n, 2 * x.out) * most_windows(x, 1)
        + WRITTEN * planes * z.n * y.n * x.n * s.size
    )

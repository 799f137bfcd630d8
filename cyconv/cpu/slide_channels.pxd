"""Strided windows where neighbours in memory are channels: channels on the lanes, and results are turned, which are fewer than samples.

Samples are joined, or added up, in the order in which rows are where columns are neighbours, so that the layout changes no bit.
"""
from cyconv.cpu.pool_work cimport SINGLE, SUM, floor_div, window
from cyconv.cpu.shuffle cimport LANES_F, lanes
from cyconv.cpu.simd cimport VB, inlined, vd, vf
from cyconv.cpu.slide_finish cimport counts_alike, result_row, row_factor
from cyconv.cpu.slide_span cimport load, put, store
from cyconv.cpu.slide_vectors cimport join, narrowed, pooled, sd, splat_sums, widened
from cyconv.cpu.slide_work cimport Room, SOON, Work
from cyconv.cpu.square cimport turn

cdef enum:
    LARGE = 1024                        # bytes of results of a plane


cdef inline bint joined_on_lanes(const Work* w) noexcept:
    """Whether windows share few samples, so that joining each anew costs less than turning all of them."""
    cdef Py_ssize_t taps = 1, apart = 1, a
    for a in range(3):
        if w.kind == SUM and w.axis[a].kernel > 3:
            return False                # sums of longer rows are taken in another order
        taps *= min(w.axis[a].kernel, w.axis[a].n)
        apart *= min(w.axis[a].stride, w.axis[a].kernel) if w.axis[a].out > 1 else w.axis[a].kernel
    if w.kind == SUM and not (w.stored == SINGLE and w.parts == 1 and counts_alike(w, 0, w.axis[2].out)):
        return False
    if w.kind != SUM and not (w.as_stored and w.straight) or w.stored_size < 4 or w.with_indices or w.channels * w.stored_size < VB:
        return False
    return taps <= 9 * apart


cdef struct Samples:                    # of one window
    const char* first
    Py_ssize_t[3] count
    Py_ssize_t[3] step
    bint cut                            # whether columns are missing, which count as zeros in a sum


cdef inline inlined join_samples(const Samples* s, Py_ssize_t rows, Py_ssize_t columns, double each, char* to, const pooled* like) noexcept nogil:
    """The window of a vector of channels; of averages, two vectors of doubles for one of floats."""
    cdef Py_ssize_t z, i, _j
    cdef const char* p
    cdef pooled m, n, rm, rn, pm, pn, none
    if pooled is sd:
        none = splat_sums(0)
        for z in range(s.count[0]):
            for i in range(rows):
                p = s.first + z * s.step[0] + i * s.step[1]
                rm, rn = widened(p), widened(p + VB // 2)
                for _j in range(1, columns):
                    p += s.step[2]
                    rm, rn = rm + widened(p), rn + widened(p + VB // 2)
                if s.cut:
                    rm, rn = rm + none, rn + none
                pm, pn = (pm + rm, pn + rn) if i else (rm, rn)
            m, n = (m + pm, n + pn) if z else (pm, pn)
        narrowed(to, m * splat_sums(each))
        narrowed(to + VB // 2, n * splat_sums(each))
    else:
        m = load(s.first, like)
        for z in range(s.count[0]):
            for i in range(rows):
                p = s.first + z * s.step[0] + i * s.step[1]
                for _j in range(columns):
                    m = join(load(p, like), m)
                    p += s.step[2]
        store(to, m)

cdef inline inlined join_windows(Samples* s, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t count, Py_ssize_t apart, double each, char* to, const pooled* like) noexcept nogil:
    """So many windows, `apart` bytes from each other."""
    cdef Py_ssize_t o
    for o in range(count):
        join_samples(s, rows, columns, each, to + o * VB, like)
        s.first += apart

cdef inline inlined join_some_windows(Samples* s, Py_ssize_t count, Py_ssize_t apart, double each, char* to, const pooled* like) noexcept nogil:
    if s.count[1] == 2 and s.count[2] == 2:
        join_windows(s, 2, 2, count, apart, each, to, like)
    elif s.count[1] == 3 and s.count[2] == 3:
        join_windows(s, 3, 3, count, apart, each, to, like)
    else:
        join_windows(s, s.count[1], s.count[2], count, apart, each, to, like)

cdef inline inlined put_square(const char* square, Py_ssize_t count, char* to, Py_ssize_t apart, Py_ssize_t side, const lanes* like) noexcept nogil:
    """`count` results of `side` channels each, to planes that are `apart`."""
    cdef lanes turned[LANES_F]
    cdef Py_ssize_t i
    turn(square, VB, &turned[0])
    for i in range(side):
        put(to + i * apart, 0, count * (VB // side), turned[i], SOON)

cdef inline void walk_channels(const Work* w, Room* r, const char* source, Py_ssize_t channels, const pooled* like) noexcept nogil:
    """All outputs of the item; there are at least as many channels as a vector has lanes, and the last vectors of them overlap."""
    cdef Samples s
    cdef char[LANES_F * VB] square
    cdef Py_ssize_t side = VB // w.stored_size, apart = w.axis[0].out * w.axis[1].out * w.axis[2].out * w.stored_size
    cdef Py_ssize_t z, y, oz, oy, x, first, count, o, c, at, some
    # windows before this one do not end behind the input
    cdef Py_ssize_t whole = floor_div(w.axis[2].n + w.axis[2].pad - (w.axis[2].kernel - 1) * w.axis[2].dilation - 1, w.axis[2].stride) + 1
    cdef const char* row
    cdef char* to
    cdef double each = 1
    cdef Py_ssize_t begin = 0, each_time = channels
    for a in range(3):
        s.step[a] = w.axis[a].step * w.axis[a].dilation
    # Rows of many planes written at once take half as long again as those of a few, unless planes are small.
    if (r.end[0] - r.begin[0]) * (r.end[1] - r.begin[1]) * (r.end[2] - r.begin[2]) * w.stored_size >= LARGE:
        each_time = side
    while begin < channels:
        for oz in range(r.begin[0], r.end[0]):
            window(&w.axis[0], oz, &z, &s.count[0])
            r.oz = oz
            for oy in range(r.begin[1], r.end[1]):
                window(&w.axis[1], oy, &y, &s.count[1])
                row = source + z * w.axis[0].step + y * w.axis[1].step
                to = result_row(w, r, oz, oy)
                if pooled is sd:
                    each = row_factor(w, r, oy)
                x = r.begin[2]
                while x < r.end[2]:
                    count = min(side, r.end[2] - x)
                    c = begin
                    while c < min(begin + each_time, channels):
                        at = min(c, channels - side)
                        o = 0
                        while o < count:        # windows that are cut off one at a time
                            window(&w.axis[2], x + o, &first, &s.count[2])
                            s.first = row + first * w.axis[2].step + at * w.stored_size
                            s.cut = s.count[2] < w.axis[2].kernel
                            some = 1 if s.cut else max(min(x + count, whole) - (x + o), 1)
                            join_some_windows(&s, some, w.axis[2].stride * w.axis[2].step, each, square + o * VB, like)
                            o += some
                        if w.stored_size == 4:
                            put_square(square, count, to + at * apart, apart, VB // 4, <const vf*> NULL)
                        else:
                            put_square(square, count, to + at * apart, apart, VB // 8, <const vd*> NULL)
                        c += side
                    to += count * w.stored_size
                    x += count
        begin += each_time

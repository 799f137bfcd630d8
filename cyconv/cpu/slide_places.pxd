"""The same as slide_line, slide_runs and slide_values, for maxima with the places where they stand.

A place is counted in the plane, without padding, in integers as wide as the numbers; it is carried along from the row on. Windows that
begin in the padding before a row begin at a place before it; if nothing in them is above the lowest number, that place has won and
becomes that of the window's first sample.
"""
from libc.stdint cimport int32_t, int64_t

from cyconv.cpu.pool_rows cimport place
from cyconv.cpu.pool_work cimport Axis, window
from cyconv.cpu.shuffle cimport own
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_fetch cimport line_of
from cyconv.cpu.slide_finish cimport finish
from cyconv.cpu.slide_line cimport FEW, pick
from cyconv.cpu.slide_span cimport load, store
from cyconv.cpu.slide_pairs cimport find_pairs_of_rows
from cyconv.cpu.slide_steps cimport ADVANCE, EMIT, MAKE, Step, Steps, TURN, moved_on, next_step, open_steps
from cyconv.cpu.slide_values cimport MOST_ROWS
from cyconv.cpu.slide_vectors cimport beat, beyond, counted_from_0, evens, odds, placed
from cyconv.cpu.slide_work cimport AHEAD, Room, Work


# ---- along a row ---------------------------------------------------------------------------------------------------------

cdef inline inlined find_taps(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t taps, Py_ssize_t step, int64_t at, Py_ssize_t lane_step,
                              Py_ssize_t tap_step, char* to, char* where, const placed* like) noexcept nogil:
    """x[0], x[step], x[2 step], ...: outputs are lane_step places apart, taps tap_step."""
    cdef Py_ssize_t o = 0, j
    cdef placed m, here, found
    here = beyond(counted_from_0(lane_step, like), at)
    while o < bytes:
        m, found = load(x + o, like), here
        for j in range(1, taps):
            beat(load(x + o + j * step, like), beyond(here, j * tap_step), &m, &found)
        store(to + o, m)
        store(where + o, found)
        here = beyond(here, VB // size * lane_step)
        o += VB

cdef inline void find_few(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t taps, Py_ssize_t step, int64_t at, Py_ssize_t lane_step,
                          Py_ssize_t tap_step, char* to, char* where, const placed* like) noexcept nogil:
    if taps == 2:
        find_taps(x, bytes, size, 2, step, at, lane_step, tap_step, to, where, like)
    elif taps == 3:
        find_taps(x, bytes, size, 3, step, at, lane_step, tap_step, to, where, like)
    elif taps == 4:
        find_taps(x, bytes, size, 4, step, at, lane_step, tap_step, to, where, like)
    else:
        find_taps(x, bytes, size, taps, step, at, lane_step, tap_step, to, where, like)

cdef inline inlined find_pairs(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t taps, int64_t at, char* to, char* where, const placed* like) noexcept nogil:
    """Windows that begin at every second number."""
    cdef Py_ssize_t o = 0, j
    cdef const char* p
    cdef placed m, a, b, here, found
    here = beyond(counted_from_0(2, like), at)
    while o < bytes:
        p = x + 2 * o
        a, b, found = load(p, like), load(p + VB, like), here
        m = evens(a, b)
        if taps > 1:
            beat(odds(a, b), beyond(here, 1), &m, &found)
        j = 2
        while j < taps:
            a, b = load(p + j * size, like), load(p + j * size + VB, like)
            beat(evens(a, b), beyond(here, j), &m, &found)
            if j + 1 < taps:
                beat(odds(a, b), beyond(here, j + 1), &m, &found)
            j += 2
        store(to + o, m)
        store(where + o, found)
        here = beyond(here, 2 * (VB // size))
        o += VB

cdef inline void find_in_runs(char* x, char* places, Py_ssize_t bytes, Py_ssize_t taps, Py_ssize_t step, Py_ssize_t last, char* to, char* where,
                              const placed* like) noexcept nogil:
    """The winners of runs, which are winners with their places themselves. `to` and `where` may be x and `places`."""
    cdef Py_ssize_t o = 0, j
    cdef placed m, found
    while o < bytes:
        m, found = load(x + o, like), load(places + o, like)
        for j in range(1, taps - 1):
            beat(load(x + o + j * step, like), load(places + o + j * step, like), &m, &found)
        beat(load(x + o + last, like), load(places + o + last, like), &m, &found)
        store(to + o, m)
        store(where + o, found)
        o += VB

cdef inline void find_neighbouring(const char* x, Py_ssize_t bytes, Py_ssize_t size, Py_ssize_t k, Py_ssize_t dilation, int64_t at, char* work,
                                   char* work_places, char* to, char* where, const placed* like) noexcept nogil:
    cdef Py_ssize_t run = 4, step = dilation * size
    if k <= FEW:
        find_few(x, bytes, size, k, step, at, 1, dilation, to, where, like)
        return
    find_few(x, bytes + (k - 4) * step, size, 4, step, at, 1, dilation, work, work_places, like)
    while k > FEW * run:
        find_in_runs(work, work_places, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, work, work_places, like)
        run *= 4
    find_in_runs(work, work_places, bytes, (k + run - 1) // run, run * step, (k - run) * step, to, where, like)

cdef inline void start_inside(const Work* w, const Room* r, int64_t row, place* where) noexcept nogil:
    """Of windows that begin before the row, which begins at place `row`."""
    cdef Py_ssize_t o, first, count
    for o in range(r.begin[2], r.end[2]):
        if o * w.axis[2].stride >= w.axis[2].pad:
            return
        if where[o - r.begin[2]] < row:
            window(&w.axis[2], o, &first, &count)
            where[o - r.begin[2]] = <place> (row + first)

cdef inline void find_row(const Work* w, Room* r, Py_ssize_t y, char* to, char* where, const placed* like) noexcept nogil:
    cdef const char* line = line_of(w, r, y)
    cdef const Axis* x = &w.axis[2]
    cdef Py_ssize_t n = r.end[2] - r.begin[2]
    cdef int64_t row = (r.z * w.axis[1].n + y) * x.n, at = row + r.begin[2] * x.stride - x.pad
    if w.sparse:
        find_few(line, n * w.size, w.size, x.kernel, w.row_bytes, at, x.stride, x.dilation, to, where, like)
    elif x.stride == 1:
        find_neighbouring(line, n * w.size, w.size, x.kernel, x.dilation, at, r.work, r.sums, to, where, like)
    elif w.pairs:
        if x.kernel == 2:
            find_pairs(line, n * w.size, w.size, 2, at, to, where, like)
        elif x.kernel == 3:
            find_pairs(line, n * w.size, w.size, 3, at, to, where, like)
        else:
            find_pairs(line, n * w.size, w.size, x.kernel, at, to, where, like)
    else:
        find_neighbouring(line, ((n - 1) * x.stride + 1) * w.size, w.size, x.kernel, x.dilation, at, r.work, r.sums, r.work, r.sums, like)
        pick(r.work, x.stride, n, w.size, to)
        pick(r.sums, x.stride, n, w.size, where)
    if w.size == 4:
        start_inside(w, r, row, <int32_t*> where)
    else:
        start_inside(w, r, row, <int64_t*> where)


# ---- rows, or planes of them ---------------------------------------------------------------------------------------------

cdef inline inlined find_some(const char** rows, Py_ssize_t apart, Py_ssize_t count, Py_ssize_t bytes, char* to, char* where, const placed* like) noexcept nogil:
    """The places of each row stand `apart` bytes after it."""
    cdef Py_ssize_t o = 0, i
    cdef placed m, found
    while o < bytes:
        m, found = load(rows[0] + o, like), load(rows[0] + apart + o, like)
        for i in range(1, count):
            beat(load(rows[i] + o, like), load(rows[i] + apart + o, like), &m, &found)
        store(to + o, m)
        store(where + o, found)
        o += VB

cdef inline void find_in_rows(const char** rows, Py_ssize_t apart, Py_ssize_t count, Py_ssize_t bytes, char* to, char* where, const placed* like) noexcept nogil:
    if count == 2:
        find_some(rows, apart, 2, bytes, to, where, like)
    elif count == 3:
        find_some(rows, apart, 3, bytes, to, where, like)
    else:
        find_some(rows, apart, count, bytes, to, where, like)

cdef inline void find_backwards(char* ring, Py_ssize_t apart, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, const placed* like) noexcept nogil:
    """Each row becomes itself joined with those that follow it: winners among these are the later ones."""
    cdef Py_ssize_t o = 0, _i
    cdef char* p
    cdef placed m, found, v, at
    while o < part:
        p = ring + (first + count - 1) * part + o
        v, at = load(p, like), load(p + apart, like)
        for _i in range(count - 1):
            p -= part
            m, found = load(p, like), load(p + apart, like)
            beat(v, at, &m, &found)
            store(p, m)
            store(p + apart, found)
            v, at = m, found
        o += VB

cdef inline void find_on(const char* row, Py_ssize_t apart, Py_ssize_t bytes, bint fresh, char* opening, const placed* like) noexcept nogil:
    cdef const char* rows[2]
    rows[0], rows[1] = row if fresh else opening, row
    find_some(rows, apart, 1 if fresh else 2, bytes, opening, opening + apart, like)

cdef inline void put_rows(const Work* w, const Room* r, int axis, Py_ssize_t output, const char* places) noexcept nogil:
    cdef Py_ssize_t oy
    if axis == 0:
        for oy in range(r.begin[1], r.end[1]):
            put_row(w, r, output, oy, places + (oy - r.begin[1]) * w.row_bytes)
    else:
        put_row(w, r, r.oz, output, places)

cdef inline void put_row(const Work* w, const Room* r, Py_ssize_t oz, Py_ssize_t oy, const char* places) noexcept nogil:
    cdef Py_ssize_t i, n = r.end[2] - r.begin[2]
    cdef int64_t* to = w.indices + ((r.index * w.axis[0].out + oz) * w.axis[1].out + oy) * w.axis[2].out + r.begin[2]
    for i in range(0, n, 8):
        own(to + i + AHEAD // 8)
    if w.size == 4:
        for i in range(n):
            to[i] = (<const int32_t*> places)[i]
    else:
        for i in range(n):
            to[i] = (<const int64_t*> places)[i]


# ---- the walk --------------------------------------------------------------------------------------------------------------

cdef inline void find(const Work* w, Room* r, int axis, char* to, char* where, const placed* like) noexcept nogil:
    """As slide_values.walk."""
    cdef Steps s
    cdef Step step
    cdef Py_ssize_t part = w.row_bytes if axis == 1 else (r.end[1] - r.begin[1]) * w.row_bytes, apart = w.apart[axis], o, i
    cdef const char* rows[MOST_ROWS]
    cdef char* ring = r.ring[axis]
    cdef char* values
    cdef char* places
    if w.axis[axis].kernel == 1:
        for o in range(r.begin[axis], r.end[axis]):
            values, places = (r.result, r.places) if to == NULL else (to + (o - r.begin[axis]) * part, where + (o - r.begin[axis]) * part)
            find_part(w, r, axis, o * w.axis[axis].stride, values, places, like)
            if to == NULL:
                finish(w, r, axis, o, values)
                put_rows(w, r, axis, o, places)
        return
    o = r.begin[axis]
    if axis == 1 and to == NULL and w.squares and r.readable and r.whole and w.straight:
        o = find_pairs_of_rows(w, r, like)
        if o == r.end[axis]:
            return
    open_steps(&s, &w.axis[axis], o, r.end[axis], w.blocks[axis])
    while True:
        step = next_step(&s)
        if step == MAKE:
            find_part(w, r, axis, s.row, ring + s.slot * part, ring + apart + s.slot * part, like)
        elif step == TURN:
            find_backwards(ring, apart, part, s.first_slot, s.count, like)
        elif step == ADVANCE:
            find_on(ring + s.slot * part, apart, part, s.fresh, r.opening[axis], like)
        elif step == EMIT:
            for i in range(s.count):
                rows[i] = ring + moved_on(s.first_slot, i, w.axis[axis].kernel) * part
            if w.blocks[axis] and s.beginning:
                rows[s.count] = r.opening[axis]
                s.count += 1
            values, places = (r.result, r.places) if to == NULL else (to + (s.output - r.begin[axis]) * part, where + (s.output - r.begin[axis]) * part)
            find_in_rows(rows, apart, s.count, part, values, places, like)
            if to == NULL:
                finish(w, r, axis, s.output, values)
                put_rows(w, r, axis, s.output, places)
        else:
            return

cdef inline void find_part(const Work* w, Room* r, int axis, Py_ssize_t at, char* to, char* where, const placed* like) noexcept nogil:
    if axis == 1:
        find_row(w, r, at, to, where, like)
    else:
        r.z = at
        find(w, r, 1, to, where, like)

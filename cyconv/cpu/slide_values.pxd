"""Maxima or sums of one item: rows first, each joined along itself, then what they make, then planes of that.

The order is row-major at each step, so that of equal numbers the first one's bits stay, a zero's sign among them.
"""
from libc.string cimport memcpy

from cyconv.cpu.shuffle cimport own
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_fetch cimport line_of, row_of
from cyconv.cpu.slide_finish cimport finish, open_row, row_factor
from cyconv.cpu.slide_flat cimport sum_of_pixels
from cyconv.cpu.slide_line cimport every_second, every_third_or_fourth, pick, pick_fourths
from cyconv.cpu.slide_runs cimport join_few, peak_of_row
from cyconv.cpu.slide_span cimport Span, load, put, put_narrowed, store
from cyconv.cpu.slide_pairs cimport walk_cubes, walk_pairs
from cyconv.cpu.slide_threes cimport walk_threes
from cyconv.cpu.slide_steps cimport ADVANCE, EMIT, MAKE, Step, Steps, TURN, moved_on, next_step, open_steps
from cyconv.cpu.slide_sums cimport sum_of_row
from cyconv.cpu.slide_vectors cimport flip, join, narrowed, pooled, sd, si, sl, splat_sums
from cyconv.cpu.slide_work cimport Room, Work

cdef enum:
    MOST_ROWS = 16                      # that a window is joined from in one pass


cdef inline void join_neighbours(const Work* w, Room* r, const char* line, const Span* s, Py_ssize_t bytes, char* to, const pooled* like) noexcept nogil:
    if pooled is sd or pooled is si or pooled is sl:
        if w.flat > 1:
            sum_of_pixels(line, s, bytes, w.axis[2].kernel, w.flat * w.size, w.narrow, r.work, r.sums, to, like)
        else:
            sum_of_row(line, s, bytes, w.axis[2].kernel, w.narrow, r.work, r.sums, to, like)
    else:
        peak_of_row(line, s, bytes, w.axis[2].kernel, w.axis[2].dilation, r.work, to, like)

cdef inline void make_row(const Work* w, Room* r, Py_ssize_t y, char* to, const pooled* like) noexcept nogil:
    cdef Py_ssize_t n = r.end[2] - r.begin[2], k = w.axis[2].kernel
    cdef const char* line
    cdef Span span
    if w.sparse:
        join_few(line_of(w, r, y), n * w.size, k, w.row_bytes, (k - 1) * w.row_bytes, NULL, to, like)
        return
    line = row_of(w, r, y, &span)
    if w.pairs:
        every_second(line, &span, k, w.narrow, to, like)
    elif w.parted:
        every_third_or_fourth(line, &span, w.axis[2].stride, k, w.narrow, to, like)
    elif w.axis[2].stride == 1:
        join_neighbours(w, r, line, &span, n * w.size, to, like)
    else:
        join_neighbours(w, r, line, &span, ((n - 1) * w.axis[2].stride + 1) * w.size, r.work, like)
        if w.axis[2].stride == 4:
            pick_fourths(r.work, n * w.size, to, like)
        else:
            pick(r.work, w.axis[2].stride, n, w.size, to)


# ---- rows, or planes of them, as long vectors ----------------------------------------------------------------------------

cdef inline inlined join_some(const char** rows, Py_ssize_t count, const char* next_row, Py_ssize_t bytes, char* to, const char* bits,
                              Py_ssize_t ahead, const pooled* like) noexcept nogil:
    """To whole vectors; or with `bits`, which are turned, to just so many bytes. Unless NULL, next_row is joined to the last one before."""
    cdef Py_ssize_t o = 0, i
    cdef pooled m, v
    while o < bytes:
        m = load(rows[0] + o, like)
        for i in range(1, count):
            v = load(rows[i] + o, like)
            if next_row != NULL:
                v = join(load(next_row + o, like), v)
                store(<char*> rows[i] + o, v)
            m = join(v, m)
        if bits == NULL:
            store(to + o, m)
        else:
            put(to, o, bytes, flip(m, load(bits, like)), ahead)
        o += VB

cdef inline void join_rows(const char** rows, Py_ssize_t count, const char* next_row, Py_ssize_t bytes, char* to, const char* bits,
                           Py_ssize_t ahead, const pooled* like) noexcept nogil:
    if next_row != NULL:
        join_some(rows, 2, next_row, bytes, to, bits, ahead, like)
    elif count == 1:
        join_some(rows, 1, NULL, bytes, to, bits, ahead, like)
    elif count == 2:
        join_some(rows, 2, NULL, bytes, to, bits, ahead, like)
    elif count == 3:
        join_some(rows, 3, NULL, bytes, to, bits, ahead, like)
    else:
        join_some(rows, count, NULL, bytes, to, bits, ahead, like)

cdef inline inlined sum_some(const char** rows, Py_ssize_t count, const char* next_row, Py_ssize_t at, sd* m) noexcept nogil:
    cdef Py_ssize_t i
    cdef sd v
    m[0] = load(rows[0] + at, m)
    for i in range(1, count):
        v = load(rows[i] + at, m)
        if next_row != NULL:
            v = load(next_row + at, m) + v
            store(<char*> rows[i] + at, v)
        m[0] = m[0] + v

cdef inline inlined average_some(const char** rows, Py_ssize_t count, const char* next_row, Py_ssize_t n, double by, char* to, Py_ssize_t ahead) noexcept nogil:
    cdef Py_ssize_t o = 0, lanes = VB // 8
    cdef sd m, m1, each = splat_sums(by)
    while o + 2 * lanes <= n:
        own(to + 4 * o + ahead)
        sum_some(rows, count, next_row, o * 8, &m)
        sum_some(rows, count, next_row, o * 8 + VB, &m1)
        narrowed(to + 4 * o, m * each)
        narrowed(to + 4 * (o + lanes), m1 * each)
        o += 2 * lanes
    while o < n:
        sum_some(rows, count, next_row, o * 8, &m)
        put_narrowed(to, o, n, m * each, ahead)
        o += lanes

cdef inline void average_rows(const char** rows, Py_ssize_t count, const char* next_row, Py_ssize_t n, double by, char* to, Py_ssize_t ahead) noexcept nogil:
    """n sums of doubles, times `by`, as floats; otherwise as join_rows."""
    if next_row != NULL:
        average_some(rows, 2, next_row, n, by, to, ahead)
    elif count == 2:
        average_some(rows, 2, NULL, n, by, to, ahead)
    elif count == 3:
        average_some(rows, 3, NULL, n, by, to, ahead)
    elif count == 4:
        average_some(rows, 4, NULL, n, by, to, ahead)
    elif count == 5:
        average_some(rows, 5, NULL, n, by, to, ahead)
    else:
        average_some(rows, count, NULL, n, by, to, ahead)

cdef inline void turn_rows(char* ring, Py_ssize_t part, Py_ssize_t first, Py_ssize_t count, const pooled* like) noexcept nogil:
    """Each of these rows becomes itself joined with those that follow it. Eight vectors at once do not wait for each other."""
    cdef Py_ssize_t o = 0, _i
    cdef char* p
    cdef pooled a, b, c, d, e, f, g, h
    while o + 8 * VB <= part:
        p = ring + (first + count - 1) * part + o
        a, b, c, d = load(p, like), load(p + VB, like), load(p + 2 * VB, like), load(p + 3 * VB, like)
        e, f, g, h = load(p + 4 * VB, like), load(p + 5 * VB, like), load(p + 6 * VB, like), load(p + 7 * VB, like)
        for _i in range(count - 1):
            p -= part
            a, b, c, d = join(a, load(p, like)), join(b, load(p + VB, like)), join(c, load(p + 2 * VB, like)), join(d, load(p + 3 * VB, like))
            store(p, a)
            store(p + VB, b)
            store(p + 2 * VB, c)
            store(p + 3 * VB, d)
            e, f = join(e, load(p + 4 * VB, like)), join(f, load(p + 5 * VB, like))
            g, h = join(g, load(p + 6 * VB, like)), join(h, load(p + 7 * VB, like))
            store(p + 4 * VB, e)
            store(p + 5 * VB, f)
            store(p + 6 * VB, g)
            store(p + 7 * VB, h)
        o += 8 * VB
    while o < part:
        p = ring + (first + count - 1) * part + o
        a = load(p, like)
        for _i in range(count - 1):
            p -= part
            a = join(a, load(p, like))
            store(p, a)
        o += VB

cdef inline void advance(const char* row, Py_ssize_t bytes, char* opening, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0
    while o < bytes:
        store(opening + o, join(load(row + o, like), load(opening + o, like)))
        o += VB


# ---- the walk --------------------------------------------------------------------------------------------------------------

cdef inline void walk(const Work* w, Room* r, int axis, char* to, const pooled* like) noexcept nogil:
    """All outputs of the item along one axis, one after the other from `to` on; or, if that is NULL, to the caller's array."""
    cdef Steps s
    cdef Step step
    cdef Py_ssize_t part = w.row_bytes if axis == 1 else (r.end[1] - r.begin[1]) * w.row_bytes, n = r.end[2] - r.begin[2], o, i
    cdef const char* rows[MOST_ROWS]
    cdef const char* row = NULL             # that is to be joined to the opening yet, if not NULL
    cdef char* ring = r.ring[axis]
    cdef char* opening = r.opening[axis]
    if w.axis[axis].kernel == 1:            # nothing to join
        for o in range(r.begin[axis], r.end[axis]):
            make(w, r, axis, o * w.axis[axis].stride, to if to != NULL else r.result, like)
            if to != NULL:
                to += part
            else:
                finish(w, r, axis, o, r.result)
        return
    o = r.begin[axis]
    if to == NULL and w.squares and r.readable and r.whole and (axis == 1 or w.cubes):
        if pooled is sd:
            if r.alike and w.narrow:
                o = walk_pairs(w, r, like) if axis == 1 else walk_cubes(w, r, like)
        elif pooled is not si and pooled is not sl:
            if w.straight:
                o = walk_pairs(w, r, like) if axis == 1 else walk_cubes(w, r, like)
        if o == r.end[axis]:
            return
    # Without AVX2 vectors are so short that rows joined anew for each row of outputs cost more than a ring.
    if VB > 16 and axis == 1 and to == NULL and w.threes and r.step[2] == w.line_size:
        if pooled is not si and pooled is not sl:
            if pooled is not sd or r.alike:
                walk_threes(w, r, like)
                return
    open_steps(&s, &w.axis[axis], o, r.end[axis], w.blocks[axis])
    while True:
        step = next_step(&s)
        if row != NULL and (step != EMIT or s.count == 0):
            advance(row, part, opening, like)
            row = NULL
        if step == MAKE:
            make(w, r, axis, s.row, ring + s.slot * part, like)
        elif step == TURN:
            turn_rows(ring, part, s.first_slot, s.count, like)
        elif step == ADVANCE:
            row = ring + s.slot * part
            if s.fresh:
                memcpy(opening, row, part)
                row = NULL
        elif step == EMIT:
            for i in range(s.count):
                rows[i] = ring + moved_on(s.first_slot, i, w.axis[axis].kernel) * part
            if w.blocks[axis] and s.beginning:
                rows[s.count] = opening
                s.count += 1
            # Two rows: the end of a block and the beginning of the next one, which `row` still has to join.
            if to != NULL:
                join_rows(rows, s.count, row, part, to + (s.output - r.begin[axis]) * part, NULL, 0, like)
            elif axis == 1 and w.straight:
                join_rows(rows, s.count, row, n * w.size, open_row(w, r, r.oz, s.output, 0), &w.bits[0], r.ahead_out, like)
            elif axis == 1 and r.alike:
                average_rows(rows, s.count, row, n, row_factor(w, r, s.output), open_row(w, r, r.oz, s.output, 0), r.ahead_out)
            else:
                join_rows(rows, s.count, row, part, r.result, NULL, 0, like)
                finish(w, r, axis, s.output, r.result)
            row = NULL
        else:
            return

cdef inline void make(const Work* w, Room* r, int axis, Py_ssize_t at, char* to, const pooled* like) noexcept nogil:
    """Row `at`, or what the rows of plane `at` make."""
    if axis == 1:
        make_row(w, r, at, to, like)
    else:
        r.z = at
        walk(w, r, 1, to, like)

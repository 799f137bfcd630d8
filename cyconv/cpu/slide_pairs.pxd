"""The commonest pool, 2x2 or 2x2x2 with stride 2, in one pass: all rows of a window where they lie, results to where they belong.

That saves the ring of rows, which costs more than the work itself where rows are short.
"""
from libc.stdint cimport int64_t

from cyconv.cpu.shuffle cimport fetch as ask, own
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_finish cimport result_row, row_factor
from cyconv.cpu.slide_span cimport load, put, put_narrowed, store
from cyconv.cpu.slide_vectors cimport (
    beat, beyond, counted_from_0, evens, flip, join, odds, placed, pooled, put_places, sd, splat_sums, store_part, widened,
)
from cyconv.cpu.slide_work cimport AHEAD, Room, Work


cdef inline const char* pair_of(const Work* w, const Room* r, Py_ssize_t oy) noexcept nogil:
    """The first row of output row oy, from where its first window begins, or NULL if vectors would be read beyond the array."""
    cdef const char* a = r.plane + r.z * r.step[0] + 2 * oy * r.step[1] + r.first * r.step[2]
    cdef Py_ssize_t o = 0, bytes = r.columns * w.line_size, behind = r.step[0] if w.cubes else 0
    if a + max(r.step[1], <Py_ssize_t> 0) + max(behind, <Py_ssize_t> 0) + w.line_bytes > r.behind:
        return NULL
    while o < bytes:
        ask(a + o + AHEAD)
        ask(a + r.step[1] + o + AHEAD)
        if w.cubes:
            ask(a + behind + o + AHEAD)
            ask(a + behind + r.step[1] + o + AHEAD)
        o += 64
    return a

cdef inline inlined join_square(const char* a, Py_ssize_t below, Py_ssize_t o, pooled* m) noexcept nogil:
    cdef pooled u, v, q
    u, v = load(a + 2 * o, m), load(a + 2 * o + VB, m)
    m[0] = join(odds(u, v), evens(u, v))
    u, v = load(a + below + 2 * o, m), load(a + below + 2 * o + VB, m)
    q = join(odds(u, v), evens(u, v))
    m[0] = join(q, m[0])

cdef inline inlined join_squares(const char* a, Py_ssize_t below, Py_ssize_t behind, bint deep, Py_ssize_t bytes, char* to, const char* bits,
                                 const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0
    cdef pooled m, q
    while o < bytes:
        join_square(a, below, o, &m)
        if deep:
            join_square(a + behind, below, o, &q)
            m = join(q, m)
        m = flip(m, load(bits, like))
        put(to, o, bytes, m, AHEAD)
        o += VB

cdef inline inlined add_square(const char* a, Py_ssize_t below, Py_ssize_t o, sd* m) noexcept nogil:
    cdef sd u, v
    u, v = widened(a + 8 * o), widened(a + 8 * o + VB // 2)
    m[0] = evens(u, v) + odds(u, v)
    u, v = widened(a + below + 8 * o), widened(a + below + 8 * o + VB // 2)
    m[0] = m[0] + (evens(u, v) + odds(u, v))

cdef inline inlined average_squares(const char* a, Py_ssize_t below, Py_ssize_t behind, bint deep, Py_ssize_t n, double by, char* to) noexcept nogil:
    """Of floats, in double precision."""
    cdef Py_ssize_t o = 0, lanes = VB // 8
    cdef sd m, q, each = splat_sums(by)
    while o < n:
        add_square(a, below, o, &m)
        if deep:
            add_square(a + behind, below, o, &q)
            m = m + q
        put_narrowed(to, o, n, m * each, AHEAD)
        o += lanes

cdef inline Py_ssize_t walk_pairs(const Work* w, const Room* r, const pooled* like) noexcept nogil:
    """As many of the item's rows of results as can be made so; returns the first other one."""
    cdef Py_ssize_t oy = r.begin[1], n = r.end[2] - r.begin[2]
    cdef const char* a
    while oy < r.end[1]:
        a = pair_of(w, r, oy)
        if a == NULL:
            break
        if pooled is sd:
            if w.cubes:
                average_squares(a, r.step[1], r.step[0], True, n, row_factor(w, r, oy), result_row(w, r, r.oz, oy))
            else:
                average_squares(a, r.step[1], 0, False, n, row_factor(w, r, oy), result_row(w, r, r.oz, oy))
        elif w.cubes:
            join_squares(a, r.step[1], r.step[0], True, n * w.size, result_row(w, r, r.oz, oy), &w.bits[0], like)
        else:
            join_squares(a, r.step[1], 0, False, n * w.size, result_row(w, r, r.oz, oy), &w.bits[0], like)
        oy += 1
    return oy

cdef inline Py_ssize_t walk_cubes(const Work* w, Room* r, const pooled* like) noexcept nogil:
    """As many of the item's planes of results; returns the first other one, some of whose rows may have been made."""
    cdef Py_ssize_t oz = r.begin[0]
    while oz < r.end[0]:
        r.oz, r.z = oz, 2 * oz
        if walk_pairs(w, r, like) < r.end[1]:
            break
        oz += 1
    return oz

cdef inline inlined find_pair(const char* a, const char* b, Py_ssize_t bytes, Py_ssize_t lanes, int64_t at, int64_t below, char* to,
                              int64_t* where, const placed* like) noexcept nogil:
    """`below`: from a place to the one in the next row."""
    cdef Py_ssize_t o = 0
    cdef placed u, v, m, here, found
    here = beyond(counted_from_0(2, like), at)
    while o < bytes:
        u, v, found = load(a + 2 * o, like), load(a + 2 * o + VB, like), here
        m = evens(u, v)
        beat(odds(u, v), beyond(here, 1), &m, &found)
        u, v = load(b + 2 * o, like), load(b + 2 * o + VB, like)
        beat(evens(u, v), beyond(here, below), &m, &found)
        beat(odds(u, v), beyond(here, below + 1), &m, &found)
        own(to + o + AHEAD)
        own(where + AHEAD // 8)
        own(where + AHEAD // 8 + 8)
        if o + VB > bytes:
            store_part(to + o, m, bytes - o)
            put_places(found, (bytes - o) * lanes // VB, where)
            return
        store(to + o, m)
        put_places(found, lanes, where)
        where += lanes
        here = beyond(here, 2 * lanes)
        o += VB

cdef inline Py_ssize_t find_pairs_of_rows(const Work* w, const Room* r, const placed* like) noexcept nogil:
    """The same with indices."""
    cdef Py_ssize_t oy = r.begin[1], n = r.end[2] - r.begin[2], width = w.axis[2].n
    cdef int64_t* where
    cdef const char* a
    while oy < r.end[1]:
        a = pair_of(w, r, oy)
        if a == NULL:
            break
        where = w.indices + ((r.index * w.axis[0].out + r.oz) * w.axis[1].out + oy) * w.axis[2].out + r.begin[2]
        find_pair(a, a + r.step[1], n * w.size, VB // w.size, (r.z * w.axis[1].n + 2 * oy) * width + r.first, width,
                  result_row(w, r, r.oz, oy), where, like)
        oy += 1
    return oy

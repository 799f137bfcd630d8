"""The commonest pool, 2x2 with stride 2, in one pass: both rows of a window where they lie, results to where they belong.

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
    cdef const char* lower = a if r.step[1] < 0 else a + r.step[1]
    cdef Py_ssize_t o = 0, bytes = r.columns * w.line_size
    if lower + w.line_bytes > r.behind or a + w.line_bytes > r.behind:
        return NULL
    while o < bytes:
        ask(a + o + AHEAD)
        ask(a + r.step[1] + o + AHEAD)
        o += 64
    return a

cdef inline inlined join_pair(const char* a, const char* b, Py_ssize_t bytes, char* to, const char* bits, const pooled* like) noexcept nogil:
    cdef Py_ssize_t o = 0
    cdef pooled u, v, m, q
    while o < bytes:
        u, v = load(a + 2 * o, like), load(a + 2 * o + VB, like)
        m = join(odds(u, v), evens(u, v))
        u, v = load(b + 2 * o, like), load(b + 2 * o + VB, like)
        q = join(odds(u, v), evens(u, v))
        m = flip(join(q, m), load(bits, like))
        put(to, o, bytes, m, AHEAD)
        o += VB

cdef inline inlined average_pair(const char* a, const char* b, Py_ssize_t n, double by, char* to) noexcept nogil:
    """Of floats, in double precision."""
    cdef Py_ssize_t o = 0, lanes = VB // 8
    cdef sd u, v, m, each = splat_sums(by)
    while o < n:
        u, v = widened(a + 8 * o), widened(a + 8 * o + VB // 2)
        m = evens(u, v) + odds(u, v)
        u, v = widened(b + 8 * o), widened(b + 8 * o + VB // 2)
        m = (m + (evens(u, v) + odds(u, v))) * each
        put_narrowed(to, o, n, m, AHEAD)
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
            average_pair(a, a + r.step[1], n, row_factor(w, r, oy), result_row(w, r, r.oz, oy))
        else:
            join_pair(a, a + r.step[1], n * w.size, result_row(w, r, r.oz, oy), &w.bits[0], like)
        oy += 1
    return oy

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

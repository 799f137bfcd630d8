"""Pooling of many planes side by side: the innermost loop runs over planes that are neighbours in memory (channels last), or that were
transposed into a box [sample][plane] because their rows are too short to be worth a loop.

Results are worked out as [output][plane] and then transposed.
"""
from libc.math cimport INFINITY, fabs

from cyconv.cpu.pool_divide cimport counted, divide
from cyconv.cpu.pool_rows cimport combine, lowest, number, place, put, raise_to, take, take_root
from cyconv.cpu.pool_windows cimport LANES, SPOTS, Scratch, Work, compare
from cyconv.cpu.pool_work cimport ADD, How, MAX, NORM, PEAK, SET, window


cdef inline void fill_box(const Work* w, const char* src, Py_ssize_t lanes, number* box) noexcept nogil:
    """The samples of all planes as [sample][plane]."""
    cdef Py_ssize_t z, y, x
    for z in range(w.axis[0].n):
        for y in range(w.axis[1].n):
            for x in range(w.axis[2].n):
                take(w.stored, src + z * w.axis[0].step + y * w.axis[1].step + x * w.axis[2].step, w.channel_step, lanes, box, SET)
                if number is double:
                    if w.kind == NORM:
                        raise_to(w.divisors.norm, box, lanes)
                box += LANES

cdef inline void pool_spot(const Work* w, const Scratch* s, const char* src, Py_ssize_t lanes, Py_ssize_t spot, number* best,
                    place* where) noexcept nogil:
    """One output of each plane. `where` is NULL, or gets the winners' places relative to the spot's first sample."""
    cdef Py_ssize_t[3] o
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] count
    cdef Py_ssize_t i, j, k, z, y, x, a
    cdef const number* samples
    cdef const char* p
    cdef How how = PEAK if w.kind == MAX or (w.kind == NORM and fabs(w.divisors.norm) == INFINITY) else ADD
    o[2] = spot % w.axis[2].out
    o[1] = spot // w.axis[2].out % w.axis[1].out
    o[0] = spot // w.axis[2].out // w.axis[1].out
    for a in range(3):
        window(&w.axis[a], o[a], &first[a], &count[a])
    for i in range(lanes):
        best[i] = lowest(<const number*> NULL) if how == PEAK else 0
    if where != NULL:
        for i in range(lanes):
            where[i] = 0
    for i in range(count[0]):
        z = first[0] + i * w.axis[0].dilation
        for j in range(count[1]):
            y = first[1] + j * w.axis[1].dilation
            for k in range(count[2]):
                x = first[2] + k * w.axis[2].dilation
                p = src + z * w.axis[0].step + y * w.axis[1].step + x * w.axis[2].step
                if w.boxed:
                    samples = <const number*> s.kept + ((z * w.axis[1].n + y) * w.axis[2].n + x) * LANES
                elif w.in_place:
                    samples = <const number*> p
                elif where != NULL or w.kind == NORM:
                    take(w.stored, p, w.channel_step, lanes, <number*> s.line, SET)
                    if number is double:
                        if w.kind == NORM:
                            raise_to(w.divisors.norm, <number*> s.line, lanes)
                    samples = <const number*> s.line
                else:
                    take(w.stored, p, w.channel_step, lanes, best, how)
                    continue
                if where != NULL:
                    a = (i * w.axis[0].dilation * w.axis[1].n + j * w.axis[1].dilation) * w.row_length + k * w.axis[2].dilation
                    compare(samples, 1, lanes, <place> a, best, where)
                else:
                    combine(samples, 1, lanes, best, how)
    if w.kind != MAX:
        divide(&w.divisors, &w.axis[0], best, lanes, counted(&w.divisors, &w.axis[0], o[0]), counted(&w.divisors, &w.axis[1], o[1]),
               counted(&w.divisors, &w.axis[2], o[2]))
        if number is double:
            if w.kind == NORM:
                take_root(w.divisors.norm, best, lanes)

cdef inline void planes_item(const Work* w, Py_ssize_t item, const Scratch* s, const number* like, const place* like_place) noexcept nogil:
    """A run of outputs of some neighbouring planes."""
    cdef Py_ssize_t lane = item % w.lane_blocks * LANES, lanes = min(<Py_ssize_t> LANES, w.channels - lane), begin, spots, n, i, j, at
    cdef Py_ssize_t outputs = w.axis[0].out * w.axis[1].out * w.axis[2].out
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t a, count
    cdef const char* src
    cdef number* line = <number*> s.line
    cdef number* results = <number*> s.result
    cdef place* places = <place*> s.places
    item //= w.lane_blocks
    begin = item % w.spot_blocks * SPOTS
    spots = min(<Py_ssize_t> SPOTS, outputs - begin)
    n = item // w.spot_blocks
    src = w.input + n * w.batch_step + lane * w.channel_step
    if w.boxed:
        fill_box(w, src, lanes, <number*> s.kept)
    for i in range(spots):
        pool_spot(w, s, src, lanes, begin + i, results + i * LANES, places + i * LANES if w.indices != NULL else NULL)
    for j in range(lanes):
        at = (n * w.channels + lane + j) * outputs + begin
        for i in range(spots):
            line[i] = results[i * LANES + j]
        put(w.stored, <const number*> line, spots, 1, w.out + at * w.stored_size)
    if w.indices != NULL:
        for i in range(spots):
            window(&w.axis[0], (begin + i) // w.axis[2].out // w.axis[1].out, &first[0], &count)
            window(&w.axis[1], (begin + i) // w.axis[2].out % w.axis[1].out, &first[1], &count)
            window(&w.axis[2], (begin + i) % w.axis[2].out, &first[2], &count)
            a = (first[0] * w.axis[1].n + first[1]) * w.row_length + first[2]
            for j in range(lanes):
                w.indices[(n * w.channels + lane + j) * outputs + begin + i] = a + places[i * LANES + j]

"""Pooling of many planes side by side: the innermost loop runs over planes that are neighbours in memory (channels last), or that were
transposed into a box [sample][plane] because their rows are too short to be worth a loop.

Results are worked out as [output][plane] and then transposed.
"""
from libc.math cimport INFINITY, fabs

from cyconv.cpu.pool_divide cimport counted, divide
from cyconv.cpu.pool_rows cimport combine, lowest, number, place, put, raise_to, take, take_root
from cyconv.cpu.pool_sums cimport adds_up, sum_spot
from cyconv.cpu.pool_windows cimport LANES, SPOTS, Scratch, Work, compare
from cyconv.cpu.pool_work cimport ADD, Axis, DOUBLE, How, MAX, NORM, PEAK, SET, SINGLE, window
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, lanes
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.square cimport turn


cdef inline Py_ssize_t used(const Axis* a) noexcept nogil:
    """Samples up to where the last window would end."""
    return a.n if a.adaptive else min(a.n, (a.out - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1)

cdef inline Py_ssize_t turn_planes(const char* src, Py_ssize_t step, Py_ssize_t count, Py_ssize_t samples, number* box, const lanes* like) noexcept nogil:
    """Planes that are runs of at least `samples` numbers, by squares of as many of them as a vector has numbers; how many planes that were."""
    cdef lanes square[LANES_F]
    cdef Py_ssize_t side = LANES_F if lanes is vf else LANES_D, size = VB // side, plane = 0, i, j, k
    cdef number* to
    while plane + side <= count:
        i = 0
        while i < samples:
            i = min(i, samples - side)
            turn(src + plane * step + i * size, step, &square[0])
            for j in range(side):
                to = box + (i + j) * LANES + plane
                for k in range(side):
                    if lanes is vf:
                        to[k] = <number> (<const float*> &square[j])[k]
                    else:
                        to[k] = <number> (<const double*> &square[j])[k]
            i += side
        plane += side
    return plane

cdef inline Py_ssize_t turn_box(const Work* w, const char* src, Py_ssize_t count, number* box) noexcept nogil:
    """As many planes of the box as can be turned so: of floats that are one run of memory."""
    cdef Py_ssize_t total = 1, samples = 0
    cdef int a
    if number is float or number is double:
        if w.kind == NORM or w.axis[2].step != w.stored_size:
            return 0
        for a in range(3):
            total *= w.axis[a].n
            samples = samples * w.axis[a].n + used(&w.axis[a]) - 1
            if a < 2 and w.axis[a].n > 1 and w.axis[a].step != (w.axis[2].n if a == 1 else w.axis[1].n * w.axis[2].n) * w.stored_size:
                return 0
        samples += 1
        if w.stored == SINGLE and total >= LANES_F:
            return turn_planes(src, w.channel_step, count, max(samples, <Py_ssize_t> LANES_F), box, <const vf*> NULL)
        if w.stored == DOUBLE and total >= LANES_D:
            return turn_planes(src, w.channel_step, count, max(samples, <Py_ssize_t> LANES_D), box, <const vd*> NULL)
    return 0

cdef inline void fill_box(const Work* w, const char* src, Py_ssize_t filled, number* box) noexcept nogil:
    """The samples of all planes as [sample][plane]; those behind the last window are left out."""
    cdef Py_ssize_t turned = turn_box(w, src, filled, box), z, y, x
    cdef number* to
    if turned == filled:
        return
    box += turned
    src += turned * w.channel_step
    filled -= turned
    for z in range(used(&w.axis[0])):
        for y in range(used(&w.axis[1])):
            to = box + (z * w.axis[1].n + y) * w.axis[2].n * LANES
            for x in range(used(&w.axis[2])):
                take(w.stored, src + z * w.axis[0].step + y * w.axis[1].step + x * w.axis[2].step, w.channel_step, filled, to, SET)
                if number is double:
                    if w.kind == NORM:
                        raise_to(w.divisors.norm, to, filled)
                to += LANES

cdef inline void combine_spot(const Work* w, const Scratch* s, const char* src, Py_ssize_t filled, const Py_ssize_t* first, const Py_ssize_t* count,
                              number* best, place* where) noexcept nogil:
    """Maxima, or sums of integers, of the window of each plane that begins at `first`."""
    cdef Py_ssize_t i, j, k, z, y, x, a
    cdef const number* samples
    cdef const char* p
    cdef How how = PEAK if w.kind == MAX or (w.kind == NORM and fabs(w.divisors.norm) == INFINITY) else ADD
    for i in range(filled):
        best[i] = lowest(<const number*> NULL) if how == PEAK else 0
    if where != NULL:
        for i in range(filled):
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
                    take(w.stored, p, w.channel_step, filled, <number*> s.line, SET)
                    if number is double:
                        if w.kind == NORM:
                            raise_to(w.divisors.norm, <number*> s.line, filled)
                    samples = <const number*> s.line
                else:
                    take(w.stored, p, w.channel_step, filled, best, how)
                    continue
                if where != NULL:
                    a = (i * w.axis[0].dilation * w.axis[1].n + j * w.axis[1].dilation) * w.row_length + k * w.axis[2].dilation
                    compare(samples, 1, filled, <place> a, best, where)
                else:
                    combine(samples, 1, filled, best, how)

cdef inline void pool_spot(const Work* w, const Scratch* s, const char* src, Py_ssize_t filled, Py_ssize_t spot, number* best,
                    place* where) noexcept nogil:
    """One output of each plane. `where` is NULL, or gets the winners' places relative to the spot's first sample."""
    cdef Py_ssize_t[3] o
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] count
    cdef Py_ssize_t a
    cdef bint summed = False
    o[2] = spot % w.axis[2].out
    o[1] = spot // w.axis[2].out % w.axis[1].out
    o[0] = spot // w.axis[2].out // w.axis[1].out
    for a in range(3):
        window(&w.axis[a], o[a], &first[a], &count[a])
    if number is double:
        summed = adds_up(w)
        if summed:
            sum_spot(w, s, src, filled, first, count, best)
    if not summed:
        combine_spot(w, s, src, filled, first, count, best, where)
    if w.kind != MAX:
        divide(&w.divisors, &w.axis[0], best, filled, counted(&w.divisors, &w.axis[0], o[0]), counted(&w.divisors, &w.axis[1], o[1]),
               counted(&w.divisors, &w.axis[2], o[2]))
        if number is double:
            if w.kind == NORM:
                take_root(w.divisors.norm, best, filled)

cdef inline void planes_item(const Work* w, Py_ssize_t item, const Scratch* s, const number* like, const place* like_place) noexcept nogil:
    """A run of outputs of some neighbouring planes."""
    cdef Py_ssize_t lane = item % w.lane_blocks * LANES, filled = min(<Py_ssize_t> LANES, w.channels - lane), begin, spots, n, i, j, at
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
        fill_box(w, src, filled, <number*> s.kept)
    for i in range(spots):
        pool_spot(w, s, src, filled, begin + i, results + i * LANES, places + i * LANES if w.indices != NULL else NULL)
    if outputs == 1:                    # then those of the planes are neighbours
        put(w.stored, results, filled, 1, w.out + (n * w.channels + lane) * w.stored_size)
    else:
        for j in range(filled):
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
            for j in range(filled):
                w.indices[(n * w.channels + lane + j) * outputs + begin + i] = a + places[i * LANES + j]

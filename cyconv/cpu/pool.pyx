"""Pooling:  out[plane, o] = max, average or p-norm of input[plane, i] over the samples i of window o.

The input is read where it lies, with any strides; outputs are C-contiguous. Along an axis, window o covers the samples
first, first + d, ... that exist; padding is never read, so it costs nothing and cannot win.

Values alone are separable: the rows of a window (over z and y) are combined into one line, then the line's columns. With
indices every tap is compared in row-major order, since only that order breaks ties as promised. Either way the loop
over neighbouring outputs is innermost, so that it is vectorised. Where windows are irregular (adaptive) or few, the line
is reduced window by window. Lines are cut into pieces that stay in a first-level cache. Rows that overlapping windows
read again, and that are costly to read (half precision, strided), are kept in a small ring.

Where planes are neighbours in memory (channels last), and where rows are too short to be worth a loop, the innermost loop
runs over planes instead, which all have the same windows: [output][plane] is worked out and then transposed. Small
planes are first transposed into a box [sample][plane] for it.

Half and single precision are averaged in double precision, integers in 64 bits; sums are never taken apart again.
Threads share out blocks of output rows; the cut depends on the problem alone, and no thread shares an output.
"""
import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, prange, threadid
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.pool_rows cimport (
    ADD, Axis, BATCH, BOX, DOUBLE, HALF, HALF_LINE, How, INT16, INT32, INT64, INT8, ITEM, LANES, LINE, MAX,
    MOST_OUTPUTS, NORM, PEAK, RING_BYTES, SET, SINGLE, SPOTS, SUM, Scratch, UINT16, UINT32, UINT64, UINT8, Work,
    beats, best_of, ceil_div, columns_of, combine, combine_strided, counted, fetch, floor_div, lowest, number, place,
    put, raise_to, read, stored, take, take_root, wide, window,
)
from cyconv.cpu.simd cimport half, inlined

from cyconv.problem import MAX_WORKSPACE
from cyconv.memory import empty

cnp.import_array()

cdef double CALL = 5e-6                 # seconds of a call and of an elementary step: enough to tell whether a second thread
cdef double SECONDS_EACH = 2e-10        # is worth its start

# ---- values --------------------------------------------------------------------------------------------------------------

cdef inline inlined add_steps(const number* x, Py_ssize_t d, Py_ssize_t n, number* part) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef int j
    while i + 8 <= n:
        for j in range(8):
            part[j] = part[j] + x[(i + j) * d]
        i += 8
    for j in range(<int> (n - i)):
        part[j] = part[j] + x[(i + j) * d]

cdef inline number add_window(const number* x, Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Eight running sums, because one alone waits for itself at every step."""
    cdef number[8] part
    cdef number total = x[0]
    cdef Py_ssize_t i
    if n < 8:
        for i in range(1, n):
            total = total + x[i * d]
        return total
    for i in range(8):
        part[i] = 0
    if d == 1:
        add_steps(x, 1, n, &part[0])
    else:
        add_steps(x, d, n, &part[0])
    return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]))

cdef inline number peak_window(const number* x, Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    """Long windows are halved until they are short: one half compared with the other is a loop that is vectorised."""
    cdef number[HALF_LINE] shorter
    cdef number total = x[0]
    cdef Py_ssize_t i, h
    if d == 1 and 16 <= n <= LINE:
        h = n // 2
        total = x[n - 1]                # the one that is left over, if n is odd
        for i in range(h):
            shorter[i] = best_of(x[h + i], x[i])
        n = h
        while n >= 16:
            h = n // 2
            total = best_of(shorter[n - 1], total)
            combine(shorter + h, 1, h, shorter, PEAK)
            n = h
        x = shorter
    for i in range(n):
        total = best_of(x[i * d], total)
    return total

cdef inline number reduce_window(const number* x, Py_ssize_t d, Py_ssize_t n, How how) noexcept nogil:
    return peak_window(x, d, n) if how == PEAK else add_window(x, d, n)

cdef inline void taps_between(const Axis* a, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t left, Py_ssize_t right,
                              Py_ssize_t* first, Py_ssize_t* last) noexcept nogil:
    """Taps first .. last - 1 are those by which an output of left .. right - 1 meets a column of begin .. end - 1."""
    first[0] = max(0, ceil_div(begin + a.pad - (right - 1) * a.stride, a.dilation))
    last[0] = min(a.kernel, floor_div(end - 1 + a.pad - left * a.stride, a.dilation) + 1)

cdef inline void outputs_between(const Axis* a, Py_ssize_t tap, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* left,
                                 Py_ssize_t* right) noexcept nogil:
    """Narrows left .. right - 1 to the outputs whose tap meets a column of begin .. end - 1."""
    cdef Py_ssize_t shift = tap * a.dilation - a.pad
    left[0] = max(left[0], ceil_div(begin - shift, a.stride))
    right[0] = min(right[0], floor_div(end - 1 - shift, a.stride) + 1)

cdef void combine_columns(const Work* w, const Scratch* s, const number* line, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t left,
                          Py_ssize_t right, number* result, How how) noexcept nogil:
    """Adds what columns begin .. end - 1, which `line` holds, bring to outputs left .. right - 1 of a row."""
    cdef const Axis* a = &w.axis[2]
    cdef Py_ssize_t o, tap, last, first, count, skipped, lo, hi
    cdef number v
    if not w.by_window:
        taps_between(a, begin, end, left, right, &tap, &last)
        while tap < last:
            lo, hi = left, right
            outputs_between(a, tap, begin, end, &lo, &hi)
            if lo < hi:
                combine_strided(line + lo * a.stride + tap * a.dilation - a.pad - begin, a.stride, hi - lo, result + lo - left, how)
            tap += 1
        return
    for o in range(left, right):
        first, count = s.windows[2 * (o - left)], s.windows[2 * (o - left) + 1]
        if first < begin:
            skipped = ceil_div(begin - first, a.dilation)
            first += skipped * a.dilation
            count -= skipped
        count = min(count, ceil_div(end - first, a.dilation))
        if count > 0:
            v = reduce_window(line + first - begin, a.dilation, count, how)
            result[o - left] = best_of(v, result[o - left]) if how == PEAK else result[o - left] + v

cdef void pool_row(const Work* w, const Scratch* s, const char* plane, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left,
                   Py_ssize_t right, number* result) noexcept nogil:
    """Maxima or sums of outputs left .. right - 1 of one row."""
    cdef Py_ssize_t z, y, first_z, count_z, first_y, count_y, i, j, begin, end, piece, n
    cdef number* line = <number*> s.line
    cdef const number* row
    cdef const number* combined
    cdef bint kept = w.in_place or w.ring > 1 or w.kind == NORM
    cdef How how = PEAK if w.kind == MAX or (w.kind == NORM and fabs(w.norm) == INFINITY) else ADD
    cdef number empty = lowest(<const number*> NULL) if how == PEAK else 0
    window(&w.axis[0], oz, &first_z, &count_z)
    window(&w.axis[1], oy, &first_y, &count_y)
    columns_of(&w.axis[2], left, right, &begin, &end)
    for i in range(right - left):
        result[i] = empty
    piece = begin
    while piece < end:
        n = min(<Py_ssize_t> LINE, end - piece)
        combined = line
        for i in range(count_z):
            z = first_z + i * w.axis[0].dilation
            for j in range(count_y):
                y = first_y + j * w.axis[1].dilation
                if kept:
                    row = fetch(w, s, plane, z, y, piece, n, <const number*> NULL)
                    if count_z * count_y == 1:
                        combined = row
                    elif i + j == 0:
                        memcpy(line, row, n * sizeof(number))
                    else:
                        combine_strided(row, 1, n, line, how)
                else:
                    take(w.stored, plane + z * w.axis[0].step + y * w.axis[1].step + piece * w.axis[2].step, w.axis[2].step, n,
                         line, SET if i + j == 0 else how)
        combine_columns(w, s, combined, piece, piece + n, left, right, result, how)
        piece += n


# ---- maxima and where they stand -----------------------------------------------------------------------------------------

cdef inline inlined compare(const number* x, Py_ssize_t s, Py_ssize_t n, place at, number* best, place* where) noexcept nogil:
    """A later equal number does not win, a later NaN does."""
    cdef Py_ssize_t i
    cdef number v, m
    cdef bint wins
    for i in range(n):
        v = x[i * s]
        m = best[i]
        wins = beats(v, m)
        best[i] = v if wins else m
        where[i] = at if wins else where[i]

cdef void compare_strided(const number* x, Py_ssize_t s, Py_ssize_t n, place at, number* best, place* where) noexcept nogil:
    if s == 1:
        compare(x, 1, n, at, best, where)
    elif s == 2:
        compare(x, 2, n, at, best, where)
    else:
        compare(x, s, n, at, best, where)

cdef void compare_row(const Work* w, const Scratch* s, const number* row, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t left,
                      Py_ssize_t right, place above, number* best, place* where) noexcept nogil:
    """Compares columns begin .. end - 1 of a row, which starts `above` after the window's first row."""
    cdef const Axis* a = &w.axis[2]
    cdef Py_ssize_t o, tap, last, first, count, column, lo, hi, i, origin
    cdef number v
    if not w.by_window:
        taps_between(a, begin, end, left, right, &tap, &last)
        while tap < last:
            lo, hi = left, right
            outputs_between(a, tap, begin, end, &lo, &hi)
            if lo < hi:
                compare_strided(row + lo * a.stride + tap * a.dilation - a.pad - begin, a.stride, hi - lo,
                                <place> (above + tap * a.dilation), best + lo - left, where + lo - left)
            tap += 1
        return
    for o in range(left, right):
        first, count = s.windows[2 * (o - left)], s.windows[2 * (o - left) + 1]
        origin = 0 if a.adaptive else o * a.stride - a.pad
        for i in range(max(0, ceil_div(begin - first, a.dilation)), min(count, ceil_div(end - first, a.dilation))):
            column = first + i * a.dilation
            v = row[column - begin]
            if beats(v, best[o - left]):
                best[o - left] = v
                where[o - left] = <place> (above + column - origin)

cdef inline void find_row(const Work* w, const Scratch* s, const char* plane, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left,
                   Py_ssize_t right, number* best, place* where, int64_t* indices) noexcept nogil:
    """Maxima of outputs left .. right - 1 of one row, and their places in the plane."""
    cdef const Axis* a = &w.axis[2]
    cdef Py_ssize_t z, y, first_z, count_z, first_y, count_y, i, j, begin, end, count, piece, n, o, first, origin
    cdef Py_ssize_t height = w.axis[1].n, top
    window(&w.axis[0], oz, &first_z, &count_z)
    window(&w.axis[1], oy, &first_y, &count_y)
    columns_of(a, left, right, &begin, &end)
    top = first_z * height + first_y
    for i in range(right - left):
        best[i] = lowest(<const number*> NULL)
        where[i] = 0
    # Where nothing is above the lowest number, the window's first sample stays the winner.
    for o in range(left, right):
        origin = 0 if a.adaptive else o * a.stride - a.pad
        if origin >= 0 and not a.adaptive:
            break
        window(a, o, &first, &count)
        where[o - left] = <place> (first - origin)
    for i in range(count_z):
        z = first_z + i * w.axis[0].dilation
        for j in range(count_y):
            y = first_y + j * w.axis[1].dilation
            piece = begin
            while piece < end:
                n = min(<Py_ssize_t> LINE, end - piece)
                compare_row(w, s, fetch(w, s, plane, z, y, piece, n, <const number*> NULL), piece, piece + n, left, right,
                            <place> ((z * height + y - top) * w.row_length), best, where)
                piece += n
    # Columns of a strided view of single samples are index_stride apart in the caller's rows.
    origin = top * w.row_length - (0 if a.adaptive else a.pad)
    count = 0 if a.adaptive else w.index_stride
    for i in range(right - left):
        indices[i] = origin + (left + i) * count + where[i]


# ---- averages and norms --------------------------------------------------------------------------------------------------

cdef inline int64_t quotient(int64_t sum, Py_ssize_t divisor) noexcept nogil:
    """Rounded towards zero. Minus one is apart: the least integer divided by it is an error of the processor."""
    return <int64_t> (0 - <uint64_t> sum) if divisor == -1 else sum // divisor

cdef void divide(const Work* w, number* sums, Py_ssize_t n, wide yz, Py_ssize_t x) noexcept nogil:
    """Divides n sums by the product of two counts, or by what stands in for it."""
    cdef Py_ssize_t i, divisor
    cdef double by
    if number is double:
        if w.kind == NORM:
            if fabs(w.norm) != INFINITY:
                # torch scales the average by the size of a whole window, also where the window is cut off
                by = <double> w.axis[0].kernel * <double> w.axis[1].kernel * <double> w.axis[2].kernel / (<double> yz * <double> x)
                if by != 1:
                    for i in range(n):
                        sums[i] = sums[i] * by
            return
        by = <double> w.override if w.has_override else <double> yz * <double> x
        for i in range(n):
            sums[i] = sums[i] / by
    elif number is uint64_t:
        if w.has_override:
            divisor = w.override
        elif yz < <wide> 1 << 62 and yz * <wide> x < <wide> 1 << 62:
            divisor = <Py_ssize_t> (yz * <wide> x)
        else:
            divisor = 0                 # padding counted so often that the quotient is zero
        for i in range(n):
            if divisor == 0:
                sums[i] = 0
            elif w.signed_sums:
                sums[i] = <uint64_t> quotient(<int64_t> sums[i], divisor)
            else:
                sums[i] = sums[i] // <uint64_t> divisor

cdef void finish_sums(const Work* w, const Scratch* s, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left, Py_ssize_t right, number* sums) noexcept nogil:
    """Runs of outputs that are divided by the same count are divided together."""
    cdef Py_ssize_t o = left, x, end
    cdef const Axis* a = &w.axis[2]
    cdef wide yz = 1
    if w.has_override:
        divide(w, sums, right - left, 1, 1)
        return
    yz = <wide> counted(w, &w.axis[0], oz) * <wide> counted(w, &w.axis[1], oy)
    while o < right:
        x = s.windows[2 * (o - left) + 1] if a.adaptive else counted(w, a, o)
        end = o + 1
        if a.adaptive:
            while end < right and s.windows[2 * (end - left) + 1] == x:
                end += 1
        elif x == a.kernel:
            # whole windows end where the input, with its padding if that counts, does
            end = floor_div(a.n + (a.pad_after if w.count_include_pad else 0) + a.pad - a.kernel, a.stride) + 1
            end = min(max(end, o + 1), right)
        divide(w, sums + o - left, end - o, yz, x)
        o = end


# ---- the work ------------------------------------------------------------------------------------------------------------

cdef inline void pool_item(const Work* w, Py_ssize_t item, const Scratch* s, const number* like, const place* like_place) noexcept nogil:
    """One block of output rows of one plane."""
    cdef Py_ssize_t channel, plane, block, left, right, row, oz, oy, at, i
    cdef const char* src
    cdef char* to
    cdef number* result
    if w.channels_last:
        channel = item % w.channels
        item //= w.channels
        left = item % w.column_blocks
        item //= w.column_blocks
        block = item % w.row_blocks
        plane = item // w.row_blocks
    else:
        left = item % w.column_blocks
        item //= w.column_blocks
        block = item % w.row_blocks
        item //= w.row_blocks
        channel = item % w.channels
        plane = item // w.channels
    src = w.input + plane * w.batch_step + channel // w.parts * w.channel_step + channel % w.parts * w.stored_size
    plane = plane * w.channels + channel
    left *= w.columns
    right = min(left + w.columns, w.axis[2].out)
    for i in range(w.ring):
        s.tags[2 * i] = -1
    if w.by_window:
        for i in range(right - left):
            window(&w.axis[2], left + i, &s.windows[2 * i], &s.windows[2 * i + 1])
    for row in range(block * w.rows, min((block + 1) * w.rows, w.axis[0].out * w.axis[1].out)):
        oz, oy = row // w.axis[1].out, row % w.axis[1].out
        at = (plane // w.parts * w.axis[0].out * w.axis[1].out + row) * w.axis[2].out + left
        to = w.out + (at * w.parts + plane % w.parts) * w.stored_size
        result = <number*> to if w.straight else <number*> s.result
        if w.indices != NULL:
            find_row(w, s, src, oz, oy, left, right, result, <place*> s.places, w.indices + at)
        else:
            pool_row(w, s, src, oz, oy, left, right, result)
            if w.kind != MAX:
                finish_sums(w, s, oz, oy, left, right, result)
                if number is double:
                    if w.kind == NORM:
                        take_root(w.norm, result, right - left)
        if not w.straight:
            put(w.stored, result, right - left, w.parts, to)

# ---- planes side by side -------------------------------------------------------------------------------------------------

cdef void fill_box(const Work* w, const char* src, Py_ssize_t lanes, number* box) noexcept nogil:
    """The samples of all planes as [sample][plane]."""
    cdef Py_ssize_t z, y, x
    for z in range(w.axis[0].n):
        for y in range(w.axis[1].n):
            for x in range(w.axis[2].n):
                take(w.stored, src + z * w.axis[0].step + y * w.axis[1].step + x * w.axis[2].step, w.channel_step, lanes, box, SET)
                if number is double:
                    if w.kind == NORM:
                        raise_to(w.norm, box, lanes)
                box += LANES

cdef void pool_spot(const Work* w, const Scratch* s, const char* src, Py_ssize_t lanes, Py_ssize_t spot, number* best,
                    place* where) noexcept nogil:
    """One output of each plane. `where` is NULL, or gets the winners' places relative to the spot's first sample."""
    cdef Py_ssize_t[3] o
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] count
    cdef Py_ssize_t i, j, k, z, y, x, a
    cdef const number* samples
    cdef const char* p
    cdef How how = PEAK if w.kind == MAX or (w.kind == NORM and fabs(w.norm) == INFINITY) else ADD
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
                            raise_to(w.norm, <number*> s.line, lanes)
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
        divide(w, best, lanes, <wide> counted(w, &w.axis[0], o[0]) * <wide> counted(w, &w.axis[1], o[1]), counted(w, &w.axis[2], o[2]))
        if number is double:
            if w.kind == NORM:
                take_root(w.norm, best, lanes)

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


cdef inline void some_item(const Work* w, Py_ssize_t item, const Scratch* s, const number* like, const place* like_place) noexcept nogil:
    if w.by_planes:
        planes_item(w, item, s, like, like_place)
    else:
        pool_item(w, item, s, like, like_place)

cdef inline Py_ssize_t _results(const Work* w) noexcept nogil:
    return LANES * SPOTS if w.by_planes else MOST_OUTPUTS

cdef void do_item(const Work* w, Py_ssize_t item, char* base) noexcept nogil:
    cdef Scratch s
    s.line = base
    s.result = s.line + LINE * 8
    s.places = s.result + _results(w) * 8
    s.tags = <Py_ssize_t*> (s.places + _results(w) * 8)
    s.windows = s.tags + 2 * w.ring
    s.kept = <char*> (s.windows + 2 * MOST_OUTPUTS)
    if w.computed == SINGLE:
        some_item(w, item, &s, <const float*> NULL, <const int32_t*> NULL)
    elif w.computed == DOUBLE:
        some_item(w, item, &s, <const double*> NULL, <const int64_t*> NULL)
    elif w.computed == INT32:
        some_item(w, item, &s, <const int32_t*> NULL, <const int32_t*> NULL)
    elif w.computed == INT64:
        some_item(w, item, &s, <const int64_t*> NULL, <const int64_t*> NULL)
    else:
        some_item(w, item, &s, <const uint64_t*> NULL, <const int64_t*> NULL)


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
    w.column_blocks = ceil_div(x.out, w.columns)
    w.columns = ceil_div(x.out, w.column_blocks)


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
    w.index_stride = x.stride
    w.channels = problem.channels * w.parts
    w.count_include_pad = problem.count_include_pad
    w.has_override = problem.divisor_override is not None
    w.override = problem.divisor_override or 0
    w.norm = problem.norm_type
    w.signed_sums = problem.dtype[0] == "i"
    w.by_window = x.adaptive or x.kernel > 2 * x.out or (x.stride > 2 and x.kernel >= 8 and x.dilation == 1)

    cut_columns(w)
    whole = w.axis[0].out * y.out
    w.rows = <Py_ssize_t> max(1, min(whole, ITEM * (problem.planes * whole * w.column_blocks) // max(problem.steps, 1)))
    w.row_blocks = ceil_div(whole, w.rows)
    return 0


cdef bint whole_planes(Work* w) noexcept:
    """If each plane is one window and all of them are one run of memory: makes them windows of a single row."""
    cdef Py_ssize_t a, samples = 1
    cdef Axis* axis
    for a in range(2, -1, -1):
        axis = &w.axis[a]
        if axis.out > 1 or axis.kernel != axis.n or axis.pad or (axis.n > 1 and axis.step != samples * w.stored_size):
            return False
        if axis.dilation > 1:
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


cdef int choose_planes(Work* w, Py_ssize_t* batch) except -1:
    """Whether the innermost loop runs over planes, which it does if they are neighbours or rows are short."""
    cdef Py_ssize_t samples = 1, outputs = 1, a
    for a in range(3):
        samples = min(samples * min(w.axis[a].n, <Py_ssize_t> BOX + 1), <Py_ssize_t> BOX + 1)
        outputs *= w.axis[a].out
    if w.parts > 1:
        return 0
    if batch[0] > 1 and w.batch_step == w.channels * w.channel_step:
        w.channels, batch[0] = w.channels * batch[0], 1
    if batch[0] == 1 and samples <= BOX and whole_planes(w):
        return 0
    w.boxed = samples <= BOX and w.axis[2].out <= 16 and w.channels >= 16
    w.by_planes = w.boxed or (w.channel_step == w.stored_size and w.channels >= 8 and w.axis[2].step != w.stored_size)
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
    return (LINE + 2 * _results(w) + 2 * w.ring + 2 * MOST_OUTPUTS) * 8 + ceil_div(BOX * LANES * 8 if w.boxed else w.ring * w.pitch * w.size, 64) * 64


def why_not(problem):
    reach = max(d * (k - 1) for k, d in zip(problem.kernel, problem.dilation))
    if reach >= 2**31:
        return f"windows reach over {reach} samples, and all between their taps are walked over"
    return None


def cost(problem):
    """(predicted seconds on one thread, most bytes of workspace on one thread)."""
    return CALL + SECONDS_EACH * problem.steps, 2 * RING_BYTES


def run(problem, cnp.ndarray input, cnp.ndarray out, cnp.ndarray indices=None):
    """Writes the result to `out` and, where they are asked for, the winners' places to `indices` (both C-contiguous)."""
    cdef Work w
    cdef Py_ssize_t a, n, items, item, first, last, batch, room, chunk, rank = problem.rank
    cdef int workers, worker = 0
    cdef char* base
    cdef bint batched = problem.batched
    memset(&w, 0, sizeof(Work))
    open_work(&w, problem)
    for a in range(3 - rank, 3):
        w.axis[a].step = cnp.PyArray_STRIDE(input, <int> (a - 3 + rank + 1 + batched))
    w.batch_step = cnp.PyArray_STRIDE(input, 0) if batched else 0
    w.channel_step = cnp.PyArray_STRIDE(input, batched)
    w.channels_last = w.channels > 1 and abs(w.channel_step) < abs(w.axis[2].step)
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.out = <char*> cnp.PyArray_DATA(out)
    w.indices = NULL if indices is None else <int64_t*> cnp.PyArray_DATA(indices)
    n = problem.batch
    choose_planes(&w, &n)
    open_rows(&w)

    items = n * (w.lane_blocks * w.spot_blocks if w.by_planes else w.channels * w.row_blocks * w.column_blocks)
    seconds = CALL + SECONDS_EACH * problem.steps
    workers = min(worth_workers(seconds, scratch_bytes(&w), MAX_WORKSPACE), items)
    room = scratch_bytes(&w)
    space = empty(room * workers + 64, np.uint8)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    batch = max(<Py_ssize_t> (items * (BATCH / max(<double> problem.steps, 1.0))), workers)
    chunk = max(1, min(items // (8 * workers), 64))
    first = 0
    while first < items:
        last = min(first + min(batch, items), items)
        if workers == 1:
            with nogil:
                for item in range(first, last):
                    do_item(&w, item, base)
        else:
            with nogil, parallel(num_threads=workers):
                worker = threadid()
                for item in prange(first, last, schedule="dynamic", chunksize=chunk):
                    do_item(&w, item, base + worker * room)
        PyErr_CheckSignals()
        first = last


# ---- max unpooling -------------------------------------------------------------------------------------------------------

ctypedef fused element:                 # numbers are only moved
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    double complex

cdef Py_ssize_t scatter(const element* values, const int64_t* indices, Py_ssize_t planes, Py_ssize_t count, Py_ssize_t plane,
                        element* out) noexcept nogil:
    """Writes each value to its place; returns the position of a place that does not exist, or -1."""
    cdef Py_ssize_t p, i
    for p in range(planes):
        for i in range(p * count, (p + 1) * count):
            if not 0 <= indices[i] < plane:
                return i
            out[p * plane + indices[i]] = values[i]
    return -1


def unpool(Py_ssize_t planes, Py_ssize_t plane, cnp.ndarray values, cnp.ndarray indices, cnp.ndarray out):
    """Scatters C-contiguous planes into `out`, which holds zeros; returns the first impossible index, or None."""
    cdef Py_ssize_t count = values.size // planes, bad
    cdef const void* source = cnp.PyArray_DATA(values)
    cdef void* to = cnp.PyArray_DATA(out)
    cdef const int64_t* at = <const int64_t*> cnp.PyArray_DATA(indices)
    cdef int size = values.itemsize
    with nogil:
        if size == 1:
            bad = scatter(<const uint8_t*> source, at, planes, count, plane, <uint8_t*> to)
        elif size == 2:
            bad = scatter(<const uint16_t*> source, at, planes, count, plane, <uint16_t*> to)
        elif size == 4:
            bad = scatter(<const uint32_t*> source, at, planes, count, plane, <uint32_t*> to)
        elif size == 8:
            bad = scatter(<const uint64_t*> source, at, planes, count, plane, <uint64_t*> to)
        else:
            bad = scatter(<const double complex*> source, at, planes, count, plane, <double complex*> to)
    return None if bad < 0 else at[bad]

"""Rows of the caller's arrays as lines of vectors, with their padding."""
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t, uint8_t

from cyconv.cpu.pool_rows cimport raise_to, take
from cyconv.cpu.pool_work cimport Axis, NORM, SET, SINGLE, ceil_div, floor_div, word
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport inlined
from cyconv.cpu.slide_span cimport Span, open_span
from cyconv.cpu.slide_work cimport (
    Border, CONSTANT, DOUBLES, FLOATS, INTS_32, NEAREST, REFLECT, Room, WRAP, Work,
)


cdef inline inlined fill_words(word* to, Py_ssize_t n, word value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = value

cdef inline Py_ssize_t mirrored(Border border, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """The place of 0 .. n - 1 that place `at` beyond them repeats, or -1 if it is constant."""
    cdef Py_ssize_t period
    if 0 <= at < n:
        return at
    if border == CONSTANT:
        return -1
    if border == NEAREST or n == 1:
        return 0 if at < 0 else n - 1
    period = n if border == WRAP else 2 * n if border == REFLECT else 2 * n - 2
    at %= period
    if at < 0:
        at += period
    if at < n:
        return at
    return period - 1 - at if border == REFLECT else period - at

cdef inline void fill(const Work* w, const char* value, char* to, Py_ssize_t n) noexcept nogil:
    if w.line_size == 1:
        fill_words(<uint8_t*> to, n, (<const uint8_t*> value)[0])
    elif w.line_size == 2:
        fill_words(<uint16_t*> to, n, (<const uint16_t*> value)[0])
    elif w.line_size == 4:
        fill_words(<uint32_t*> to, n, (<const uint32_t*> value)[0])
    else:
        fill_words(<uint64_t*> to, n, (<const uint64_t*> value)[0])

cdef inline inlined turned_words(const char* p, Py_ssize_t step, Py_ssize_t n, word bits, word* to) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = (<const word*> (p + i * step))[0] ^ bits

cdef inline void copy_words(const char* p, Py_ssize_t step, Py_ssize_t n, word bits, word* to) noexcept nogil:
    if step == sizeof(word):
        turned_words(p, sizeof(word), n, bits, to)
    else:
        turned_words(p, step, n, bits, to)

cdef inline void turn_words(const Work* w, const char* p, Py_ssize_t step, Py_ssize_t n, char* to) noexcept nogil:
    """Copies n lanes, their bits turned."""
    if w.size == 1:
        copy_words(p, step, n, (<const uint8_t*> w.bits)[0], <uint8_t*> to)
    elif w.size == 2:
        copy_words(p, step, n, (<const uint16_t*> w.bits)[0], <uint16_t*> to)
    elif w.size == 4:
        copy_words(p, step, n, (<const uint32_t*> w.bits)[0], <uint32_t*> to)
    else:
        copy_words(p, step, n, (<const uint64_t*> w.bits)[0], <uint64_t*> to)

cdef inline void fetch(const Work* w, const char* p, Py_ssize_t step, Py_ssize_t n, char* to) noexcept nogil:
    """n numbers that lie `step` bytes apart, as they are computed with."""
    if w.plain:
        turn_words(w, p, step, n, to)
        return
    if w.narrow and w.stored == SINGLE:
        copy_words(p, step, n, 0, <uint32_t*> to)
    elif w.lanes == FLOATS or w.narrow:
        take(w.stored, p, step, n, <float*> to, SET)
    elif w.lanes == DOUBLES:
        take(w.stored, p, step, n, <double*> to, SET)
        if w.kind == NORM:
            raise_to(w.divisors.norm, <double*> to, n)
    elif w.lanes == INTS_32:
        take(w.stored, p, step, n, <int32_t*> to, SET)
    else:
        take(w.stored, p, step, n, <int64_t*> to, SET)
    if w.turned:
        turn_words(w, to, w.size, n, to)

cdef inline void tap_range(const Axis* x, Py_ssize_t tap, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t* first, Py_ssize_t* last) noexcept nogil:
    """The outputs of begin .. end - 1 whose tap is a column that exists."""
    cdef Py_ssize_t shift = tap * x.dilation - x.pad
    first[0] = max(begin, ceil_div(-shift, x.stride))
    last[0] = max(first[0], min(end, floor_div(x.n - 1 - shift, x.stride) + 1))

cdef inline void open_line(const Work* w, Room* r) noexcept nogil:
    """What all rows of an item share: which columns they are read from, and their padding."""
    cdef const Axis* x = &w.axis[2]
    cdef Py_ssize_t begin = r.begin[2] * x.stride - x.pad, length = (r.end[2] - r.begin[2] - 1) * x.stride + (x.kernel - 1) * x.dilation + 1
    cdef Py_ssize_t i, first, last, n = r.end[2] - r.begin[2]
    cdef char* p
    cdef const char* value
    if w.sparse:
        for i in range(x.kernel):
            tap_range(x, i, r.begin[2], r.end[2], &first, &last)
            p = r.line + i * w.row_bytes
            fill(w, w.lowest, p, min(first - r.begin[2], n))
            if last < r.end[2]:
                fill(w, w.lowest, p + (last - r.begin[2]) * w.line_size, r.end[2] - last)
        return
    r.before = min(max(-begin, 0), length)
    r.first = max(begin, 0)
    r.columns = max(min(begin + length, x.n) - r.first, 0)
    r.after = length - r.before - r.columns
    p = r.line + (r.before + r.columns) * w.line_size
    value = &w.cval[0] if w.border[2] == CONSTANT else &w.lowest[0]
    fill(w, value, r.line, r.before)
    fill(w, value, p, r.after)
    r.whole = r.columns == length

cdef inline const char* line_with_border(const Work* w, const Room* r, Py_ssize_t y) noexcept nogil:
    """The same where something lies beyond the input."""
    cdef const Axis* x = &w.axis[2]
    cdef const char* row
    cdef Py_ssize_t z = mirrored(w.border[0], r.z - w.before[0], w.real[0]), i, at
    y = mirrored(w.border[1], y - w.before[1], w.real[1])
    if z < 0 or y < 0:
        fill(w, w.cval, r.constant, r.before + r.columns + r.after)
        return r.constant
    row = r.plane + z * r.step[0] + y * r.step[1]
    fetch(w, row + r.first * r.step[2], r.step[2], r.columns, r.line + r.before * w.line_size)
    if w.border[2] != CONSTANT:
        for i in range(r.before):
            at = mirrored(w.border[2], r.first - r.before + i, x.n)
            fetch(w, row + at * r.step[2], r.step[2], 1, r.line + i * w.line_size)
        for i in range(r.before + r.columns, r.before + r.columns + r.after):
            at = mirrored(w.border[2], r.first - r.before + i, x.n)
            fetch(w, row + at * r.step[2], r.step[2], 1, r.line + i * w.line_size)
    return r.line

cdef inline const char* line_of(const Work* w, const Room* r, Py_ssize_t y) noexcept nogil:
    """Row y of plane r.z, from where the item's first window begins: where it lies, or copied."""
    cdef const Axis* x = &w.axis[2]
    cdef const char* row = r.plane + r.z * r.step[0] + y * r.step[1]
    cdef Py_ssize_t i, first, last
    if w.bordered:
        return line_with_border(w, r, y)
    if not w.sparse:
        row += r.first * r.step[2]
        if r.step[2] == w.stored_size:
            for i in range(0, r.columns * r.step[2], 64):
                ask(row + i + r.ahead_in)
        if r.readable and r.whole and row + w.line_bytes <= r.behind:
            return row
        fetch(w, row, r.step[2], r.columns, r.line + r.before * w.line_size)
        return r.line
    for i in range(x.kernel):               # one line of outputs for each tap
        tap_range(x, i, r.begin[2], r.end[2], &first, &last)
        fetch(w, row + (first * x.stride - x.pad + i * x.dilation) * r.step[2], x.stride * r.step[2], last - first,
              r.line + i * w.row_bytes + (first - r.begin[2]) * w.line_size)
    return r.line

cdef inline const char* row_of(const Work* w, const Room* r, Py_ssize_t y, Span* s) noexcept nogil:
    """The same for those that read within a span: a row may stay where it lies although there is padding beside it."""
    cdef const char* line
    open_span(s, w, r)
    if r.readable and not w.bordered:
        line = r.plane + r.z * r.step[0] + y * r.step[1] + (r.first - r.before) * r.step[2]
        if r.after == 0:                    # whatever stands in lanes beyond the last output does not matter
            s.high = r.behind - line
        return line
    s.ahead = 0                             # line_of asks
    s.low, s.high = 0, (r.before + r.columns + r.after) * w.line_size
    return line_of(w, r, y)

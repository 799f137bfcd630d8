"""Pooling window by window: the rows of a window are combined into one line, then the line's columns.

With indices every tap is compared in row-major order, since only that order breaks ties as promised. Lines are cut into pieces that
stay in a first-level cache. Rows that overlapping windows read again, and that are costly to read (half precision, strided), are
kept in a small ring.
"""
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cyconv.cpu.pool_divide cimport Divisors, counted, counted_alike, divide
from cyconv.cpu.pool_rows cimport (
    beats, best_of, combine, combine_strided, lowest, number, place, put, raise_to, take, take_root,
)
from cyconv.cpu.pool_work cimport (
    ADD, Axis, How, Kind, MAX, NORM, PEAK, SET, Stored, ceil_div, columns_of, floor_div, wide, window, word,
)
from cyconv.cpu.simd cimport inlined, outlined

cdef enum:
    LINE = 2048                         # columns of one piece of a line
    HALF_LINE = LINE // 2
    SHORT = 16                          # columns of a window whose taps are taken one after the other
    SHORT_SUM = 7                       # of one whose columns are added one after the other
    MOST_OUTPUTS = 1024                 # of one row that are worked on at a time
    LANES = 64                          # planes that are worked on together
    SPOTS = 128                         # outputs of each of them
    BOX = 256                           # samples of the largest plane that is transposed for it;
    BOX_OF_MAXIMA = 1024                # where windows differ in size, for single precision,
    BOX_WITH_INDICES = 4096             # and with indices
    RING_BYTES = 512 * 1024             # rows kept for the next window, at most
    ITEM = 1 << 16                      # elementary steps of one item of work

cdef struct Work:
    Kind kind
    Stored stored
    Stored computed                     # SINGLE, DOUBLE, INT32, INT64 or UINT64
    Py_ssize_t stored_size, size        # bytes of one in the caller's arrays, and of one that is computed with
    Py_ssize_t parts                    # 2 for complex: real and imaginary parts are planes of their own
    Axis[3] axis
    Py_ssize_t channels                 # parts counted apart
    Py_ssize_t channel_step, batch_step
    bint channels_last                  # whether neighbours in memory are channels: then items of one place come together
    const char* input
    char* out
    int64_t* indices
    bint with_indices
    Py_ssize_t index_stride             # between the first columns of neighbouring windows, of the caller's input
    Py_ssize_t row_length               # of the caller's input
    bint in_place                       # whether rows can be read where they lie
    bint straight                       # whether results are made where they belong
    bint by_window                      # whether the columns of each window are reduced on their own
    Py_ssize_t columns, column_blocks   # outputs of one row that are worked on at a time
    Py_ssize_t rows, row_blocks         # output rows (z and y as one axis) of one item
    Py_ssize_t ring_y, ring             # rows of y, and in all, that are kept
    Py_ssize_t pitch                    # numbers from one kept row to the next
    Divisors divisors
    bint by_planes                      # whether the innermost loop runs over planes
    bint boxed                          # whether they are transposed first
    Py_ssize_t spot_blocks, lane_blocks
    bint whole, pixels                  # whether each plane is one window, and one run of memory, or all channels are one run of pixels,
    bint gapless                        # whether those pixels are one run,
    bint global_sums                    # whether each plane is one window whose floats are added,
    bint gathered, lines                # wherever they lie, or all planes are one run, and short,
    Py_ssize_t together                 # and how many planes an item has

cdef struct Scratch:
    char* line
    char* result
    char* places
    char* kept                          # ring of rows, or box
    Py_ssize_t* tags                    # which row and piece each of them is
    Py_ssize_t* windows                 # with by_window: first column and count of each window of the item;
    int32_t* firsts                     # and in fewer bits, those columns counted from the first window's,
    int32_t* counts
    char* picked                        # a tap of each,
    char* part                          # eight sums of a window that goes on in the next piece of a line
    Py_ssize_t least, most              # and how large the counts are, if windows are so short that a tap of all of them is taken at a time; else 0

cdef inline const number* fetch(const Work* w, const Scratch* s, const char* plane, Py_ssize_t z, Py_ssize_t y, Py_ssize_t begin,
                                Py_ssize_t n, const number* like) noexcept nogil:
    """Columns begin .. begin + n of row (z, y) as numbers to compute with: where they lie, or from the ring of kept rows."""
    cdef const char* p = plane + z * w.axis[0].step + y * w.axis[1].step + begin * w.axis[2].step
    cdef Py_ssize_t slot, row
    cdef number* kept
    if w.in_place:
        return <const number*> p
    row = z * w.axis[1].n + y
    slot = (z * w.ring_y + y % w.ring_y) % w.ring
    kept = <number*> s.kept + slot * w.pitch
    if s.tags[2 * slot] != row or s.tags[2 * slot + 1] != begin:
        take(w.stored, p, w.axis[2].step, n, kept, SET)
        if number is double:
            if w.kind == NORM:
                raise_to(w.divisors.norm, kept, n)
        s.tags[2 * slot], s.tags[2 * slot + 1] = row, begin
    return kept


# ---- values --------------------------------------------------------------------------------------------------------------

cdef inline number total_of(const number* part) noexcept nogil:
    return ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))

cdef inline inlined add_steps(const number* x, Py_ssize_t d, Py_ssize_t n, number* part) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef int j
    while i + 8 <= n:
        for j in range(8):
            part[j] = part[j] + x[(i + j) * d]
        i += 8
    for j in range(<int> (n - i)):
        part[j] = part[j] + x[(i + j) * d]

cdef inline inlined add_some(const number* x, Py_ssize_t d, Py_ssize_t n, number* part) noexcept nogil:
    if d == 1:
        add_steps(x, 1, n, part)
    else:
        add_steps(x, d, n, part)

cdef inline Py_ssize_t eighths(const Work* w, Py_ssize_t n) noexcept nogil:
    """In how many running sums a window's n columns are added: eight, because one alone waits for itself at every step, or one."""
    return 8 if w.by_window and n > SHORT_SUM else 1

cdef inline number add_window(const number* x, Py_ssize_t d, Py_ssize_t n) noexcept nogil:
    cdef number[8] part
    cdef Py_ssize_t i
    for i in range(8):
        part[i] = 0
    add_some(x, d, n, &part[0])
    return total_of(&part[0])

cdef inline number add_piece(const number* x, Py_ssize_t d, Py_ssize_t at, Py_ssize_t n, Py_ssize_t whole, number* part) noexcept nogil:
    """Columns at .. at + n - 1 of a window that one piece of a line does not hold. Its sum once it is complete, else zero."""
    cdef Py_ssize_t i, end = at + n
    cdef number[8] sums
    for i in range(8):
        sums[i] = part[i] if at else 0
    while at % 8 and at < end:
        sums[at % 8] = sums[at % 8] + x[0]
        x += d
        at += 1
    add_some(x, d, end - at, &sums[0])
    for i in range(8):
        part[i] = sums[i]
    return total_of(&sums[0]) if end == whole else 0

cdef inline number add_columns(const Scratch* s, const number* x, Py_ssize_t d, Py_ssize_t at, Py_ssize_t n, Py_ssize_t whole, number sum) noexcept nogil:
    """The same of any window, added to `sum`: an order of sums that only the window has a say in. Of integers any order will do."""
    cdef Py_ssize_t i
    if number is double:
        if whole > SHORT_SUM and n < whole:
            return sum + add_piece(x, d, at, n, whole, <number*> s.part)
    if number is double or number is uint64_t:          # nothing else is added
        if whole > SHORT_SUM and n > SHORT_SUM:
            return sum + add_window(x, d, n)
        for i in range(n):
            sum = sum + x[i * d]
    return sum

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

cdef inline void open_windows(const Axis* a, Py_ssize_t left, Py_ssize_t n, Py_ssize_t* windows) noexcept nogil:
    """First column and count of n windows; of those that differ in size without a division for each."""
    cdef Py_ssize_t i, whole, rest, at, over
    if not a.adaptive:
        for i in range(n):
            window(a, left + i, &windows[2 * i], &windows[2 * i + 1])
        return
    window(a, left, &at, &i)
    over = <Py_ssize_t> (<wide> left * <wide> a.n % <wide> a.out)
    whole, rest = a.n // a.out, a.n % a.out
    for i in range(n):
        windows[2 * i] = at
        at += whole
        over += rest
        if over >= a.out:
            over -= a.out
            at += 1
        windows[2 * i + 1] = at + (over > 0) - windows[2 * i]

cdef inline void open_taps(const Work* w, Scratch* s, Py_ssize_t n) noexcept nogil:
    """The columns of a row's n windows, which differ in size, as the loops over them want these, if they are short."""
    cdef Py_ssize_t i, begin = s.windows[0], end = s.windows[2 * n - 2] + s.windows[2 * n - 1]
    s.least, s.most = SHORT, 0
    for i in range(n):
        s.firsts[i], s.counts[i] = <int32_t> (s.windows[2 * i] - begin), <int32_t> s.windows[2 * i + 1]
        s.least, s.most = min(s.least, s.windows[2 * i + 1]), max(s.most, s.windows[2 * i + 1])
    if s.most > (SHORT if w.kind == MAX else SHORT_SUM) or end - begin > LINE or not w.axis[2].adaptive:
        s.most = 0

cdef inline void pick_taps(const Scratch* s, const number* line, int32_t tap, Py_ssize_t n, number none, number* picked) noexcept nogil:
    """This tap of n short windows, or `none` where they have fewer. Picked first and joined then, so that joining is vectorised."""
    cdef Py_ssize_t o
    cdef const int32_t* firsts = s.firsts
    cdef const int32_t* counts = s.counts
    if tap < s.least:
        for o in range(n):
            picked[o] = line[firsts[o] + tap]
        return
    for o in range(n):
        picked[o] = line[firsts[o] + min(tap, counts[o] - 1)]
    for o in range(n):
        picked[o] = picked[o] if tap < counts[o] else none

cdef inline void combine_taps(const Scratch* s, const number* line, Py_ssize_t n, number* result, How how) noexcept nogil:
    cdef int32_t tap
    for tap in range(<int32_t> s.most):
        pick_taps(s, line, tap, n, lowest(<const number*> NULL) if how == PEAK else 0, <number*> s.picked)
        combine(<const number*> s.picked, 1, n, result, how)

cdef inline void combine_columns(const Work* w, const Scratch* s, const number* line, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t left,
                          Py_ssize_t right, number* result, How how) noexcept nogil:
    """Adds what columns begin .. end - 1, which `line` holds, bring to outputs left .. right - 1 of a row."""
    cdef const Axis* a = &w.axis[2]
    cdef Py_ssize_t o, tap, last, first, count, skipped, lo, hi
    cdef const number* x
    if not w.by_window:
        taps_between(a, begin, end, left, right, &tap, &last)
        while tap < last:
            lo, hi = left, right
            outputs_between(a, tap, begin, end, &lo, &hi)
            if lo < hi:
                combine_strided(line + lo * a.stride + tap * a.dilation - a.pad - begin, a.stride, hi - lo, result + lo - left, how)
            tap += 1
        return
    if s.most:
        if how == PEAK:
            combine_taps(s, line, right - left, result, PEAK)
        else:
            combine_taps(s, line, right - left, result, ADD)
        return
    for o in range(left, right):
        first, count = s.windows[2 * (o - left)], s.windows[2 * (o - left) + 1]
        skipped = ceil_div(begin - first, a.dilation) if first < begin else 0
        first += skipped * a.dilation
        count = min(count - skipped, ceil_div(end - first, a.dilation))
        if count > 0:
            x = line + first - begin
            if how == PEAK:
                result[o - left] = best_of(peak_window(x, a.dilation, count), result[o - left])
            else:
                result[o - left] = add_columns(s, x, a.dilation, skipped, count, s.windows[2 * (o - left) + 1], result[o - left])

cdef inline outlined pool_row(const Work* w, const Scratch* s, const char* plane, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left,
                   Py_ssize_t right, number* result) noexcept nogil:
    """Maxima or sums of outputs left .. right - 1 of one row."""
    cdef Py_ssize_t z, y, first_z, count_z, first_y, count_y, i, j, begin, end, piece, n
    cdef number* line = <number*> s.line
    cdef const number* row
    cdef const number* combined
    cdef bint kept = w.in_place or w.ring > 1 or w.kind == NORM
    cdef How how = PEAK if w.kind == MAX or (w.kind == NORM and fabs(w.divisors.norm) == INFINITY) else ADD
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


cdef inline uint64_t magnitude(const char* p, Py_ssize_t size, bint* negative) noexcept nogil:
    """The bits of a float but for its sign."""
    cdef uint64_t bits = (<const uint16_t*> p)[0] if size == 2 else (<const uint32_t*> p)[0] if size == 4 else (<const uint64_t*> p)[0]
    negative[0] = bits >> (8 * size - 1)
    return bits & ~(<uint64_t> 1 << (8 * size - 1))

cdef inline inlined any_zero(const word* p, Py_ssize_t n, bint* found) noexcept nogil:
    cdef Py_ssize_t i
    cdef word some = 0
    for i in range(n):
        some |= <word> (<word> (p[i] << 1) == 0)
    found[0] = some

cdef inline bint has_zero(const Work* w, const char* row, Py_ssize_t n) noexcept nogil:
    """Whether there may be one among n samples of a row."""
    cdef bint found = True
    if w.axis[2].dilation == 1 and w.axis[2].step == w.stored_size:
        if w.stored_size == 2:
            any_zero(<const uint16_t*> row, n, &found)
        elif w.stored_size == 4:
            any_zero(<const uint32_t*> row, n, &found)
        else:
            any_zero(<const uint64_t*> row, n, &found)
    return found

cdef inline bint first_is_negative(const Work* w, const char* p, const Py_ssize_t* count) noexcept nogil:
    """The sign of the first zero of a window, which begins at p and has one."""
    cdef Py_ssize_t i, j, k
    cdef const char* row
    cdef bint negative = False
    if magnitude(p, w.stored_size, &negative) == 0:
        return negative                 # as in most windows of zeros
    for i in range(count[0]):
        for j in range(count[1]):
            row = p + i * w.axis[0].dilation * w.axis[0].step + j * w.axis[1].dilation * w.axis[1].step
            if not has_zero(w, row, count[2]):
                continue
            for k in range(count[2]):
                if magnitude(row + k * w.axis[2].dilation * w.axis[2].step, w.stored_size, &negative) == 0:
                    return negative
    return negative

cdef inline void sign_zeros(const Work* w, const char* plane, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left, Py_ssize_t right, number* result) noexcept nogil:
    """Of equal numbers the first one in row-major order is the maximum. Rows were not combined in that order, which only a zero's sign shows."""
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] count
    cdef Py_ssize_t o
    window(&w.axis[0], oz, &first[0], &count[0])
    window(&w.axis[1], oy, &first[1], &count[1])
    plane += first[0] * w.axis[0].step + first[1] * w.axis[1].step
    for o in range(left, right):
        if result[o - left] == 0:
            window(&w.axis[2], o, &first[2], &count[2])
            result[o - left] = <number> (-0.0 if first_is_negative(w, plane + first[2] * w.axis[2].step, count) else 0.0)


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

cdef inline void compare_strided(const number* x, Py_ssize_t s, Py_ssize_t n, place at, number* best, place* where) noexcept nogil:
    if s == 1:
        compare(x, 1, n, at, best, where)
    elif s == 2:
        compare(x, 2, n, at, best, where)
    else:
        compare(x, s, n, at, best, where)

cdef inline void compare_taps(const Scratch* s, const number* row, Py_ssize_t n, place above, number* best, place* where) noexcept nogil:
    """combine_taps with places."""
    cdef Py_ssize_t o
    cdef int32_t tap
    cdef number v, m
    cdef const number* picked = <const number*> s.picked
    cdef const int32_t* firsts = s.firsts
    cdef bint wins
    for tap in range(<int32_t> s.most):
        pick_taps(s, row, tap, n, lowest(<const number*> NULL), <number*> s.picked)
        for o in range(n):
            v = picked[o]
            m = best[o]
            wins = beats(v, m)
            best[o] = v if wins else m
            where[o] = above + firsts[o] + tap if wins else where[o]

cdef inline void compare_row(const Work* w, const Scratch* s, const number* row, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t left,
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
    if s.most:
        compare_taps(s, row, right - left, <place> (above + begin), best, where)
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

cdef inline outlined find_row(const Work* w, const Scratch* s, const char* plane, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left,
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


cdef inline void finish_sums(const Work* w, const Scratch* s, Py_ssize_t oz, Py_ssize_t oy, Py_ssize_t left, Py_ssize_t right, number* sums) noexcept nogil:
    """Runs of outputs that are divided by the same count are divided together."""
    cdef Py_ssize_t o = left, x, end
    cdef const Axis* a = &w.axis[2]
    cdef Py_ssize_t z, y
    if w.divisors.has_override:
        divide(&w.divisors, &w.axis[0], sums, right - left, 1, 1, 1)
        return
    z, y = counted(&w.divisors, &w.axis[0], oz), counted(&w.divisors, &w.axis[1], oy)
    while o < right:
        x = s.windows[2 * (o - left) + 1] if a.adaptive else counted(&w.divisors, a, o)
        end = counted_alike(&w.divisors, a, o, right)
        while a.adaptive and end < right and s.windows[2 * (end - left) + 1] == x:
            end += 1
        divide(&w.divisors, &w.axis[0], sums + o - left, end - o, z, y, x)
        o = end


cdef inline void pool_item(const Work* w, Py_ssize_t item, Scratch* s, const number* like, const place* like_place) noexcept nogil:
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
        open_windows(&w.axis[2], left, right - left, s.windows)
        open_taps(w, s, right - left)
    for row in range(block * w.rows, min((block + 1) * w.rows, w.axis[0].out * w.axis[1].out)):
        oz, oy = row // w.axis[1].out, row % w.axis[1].out
        at = (plane // w.parts * w.axis[0].out * w.axis[1].out + row) * w.axis[2].out + left
        to = w.out + (at * w.parts + plane % w.parts) * w.stored_size
        result = <number*> to if w.straight else <number*> s.result
        if w.indices != NULL:
            find_row(w, s, src, oz, oy, left, right, result, <place*> s.places, w.indices + at)
        else:
            pool_row(w, s, src, oz, oy, left, right, result)
            if w.kind == MAX:
                if number is float or number is double:
                    sign_zeros(w, src, oz, oy, left, right, result)
            else:
                finish_sums(w, s, oz, oy, left, right, result)
                if number is double:
                    if w.kind == NORM:
                        take_root(w.divisors.norm, result, right - left)
        if not w.straight:
            put(w.stored, result, right - left, w.parts, to)

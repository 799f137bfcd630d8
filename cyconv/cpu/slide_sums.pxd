"""Sums of long windows along a row. A window is so many runs of 8 numbers, side by side, and a rest.

Runs are made in registers, as those of maxima are (slide_runs.pxd): all stages work at once, each a vector behind the one before. Of numbers
of 8 bytes, a run is a whole number of vectors, so windows along a row are windows along a column of runs, and joined from blocks as rows are
(slide_steps.pxd): of so many runs as a window has. Where blocks begin is counted along the whole row, so that no sum depends on which piece
of the row it is made with. Of smaller numbers, which are integers, each pass joins four runs of a length to one of four times that; there are as
many runs of 8, 32, 128 ... as the digits of that multiple to the base of 4 say.
"""
from cyconv.cpu.shuffle cimport fetch as ask
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_line cimport FEW, join_few_near, join_near
from cyconv.cpu.slide_runs cimport join_few
from cyconv.cpu.slide_span cimport Span, exists, load, store, take, take_any
from cyconv.cpu.slide_vectors cimport after, lane_bytes, sd, splat_sums, summed

cdef enum Sums:
    RUNS                                # of 8 numbers; and of the first `rest` of them, if there are any
    RESTS                               # the latter alone
    TOGETHER                            # of 8 numbers and the `rest` that follow them
    BLOCKS                              # of so many times 8 numbers and the `rest` that follow them

cdef enum:                              # stages: what each has made last, or (BEFORE) the one before
    ONES, TWOS, FOURS, FOURS_BEFORE, EIGHTS
    FIRST, FIRST_THREE, FIRST_THREE_BEFORE      # of the rest: its first number, if it is odd, and with the two that follow, if it has these
    STAGES

cdef struct Block:                      # that is made:
    char* runs                          # its runs, and behind them what is left of the block before: each run joined with all that follow it
    Py_ssize_t at                       # bytes of it that are made,
    Py_ssize_t begin, end               # and those that are


# ---- from numbers to runs ------------------------------------------------------------------------------------------------

cdef inline inlined make_runs(const char* line, Py_ssize_t at, const Span* s, bint inside, bint narrow, Py_ssize_t rest, summed none,
                              summed* last, summed* run, summed* part) noexcept nogil:
    """All stages by a vector: sums of 8 numbers, and of the first `rest` of them, which is less than 8."""
    cdef bint far = 4 * lane_bytes(last) > VB   # whether the fourth number on is two vectors on
    cdef summed x, twos, fours, first, three
    if inside:
        take(line, at, s, True, narrow, &x)
    else:
        take_any(line, at, s, narrow, &x)
    twos = last[ONES] + after(last[ONES], x, 1)
    first = last[ONES] if rest & 1 else none
    fours = last[TWOS] + after(last[TWOS], twos, 2)
    three = last[TWOS] + after(last[FIRST], first, 2) if rest & 2 else last[FIRST]
    run[0] = last[FOURS_BEFORE] + fours if far else last[FOURS] + after(last[FOURS], fours, 4)
    part[0] = last[FIRST_THREE_BEFORE] if far else last[FIRST_THREE]
    if rest & 4:
        part[0] = last[FOURS_BEFORE] + three if far else last[FOURS] + after(last[FIRST_THREE], three, 4)
    last[FOURS_BEFORE], last[FIRST_THREE_BEFORE] = last[FOURS], last[FIRST_THREE]
    last[ONES], last[TWOS], last[FOURS], last[FIRST], last[FIRST_THREE] = x, twos, fours, first, three

cdef inline void turn_runs(Block* b, Py_ssize_t step, const summed* like) noexcept nogil:
    """Each run becomes itself joined with all that follow it."""
    cdef Py_ssize_t phase = 0, at
    cdef summed m
    while phase < step:
        at = b.end - step + phase
        m = load(b.runs + at, like)
        while at > b.begin + phase:
            at -= step
            m = m + load(b.runs + at, like)
            store(b.runs + at, m)
        phase += VB

cdef inline inlined put_window(bint complete, summed run, summed part, summed none, char* to, Block* b, summed* opening) noexcept nogil:
    """A vector of windows, if they are complete, from the end of a block and the opening of the next one, which the run is part of from now on."""
    cdef size_t step = 8 * lane_bytes(opening), phase = <size_t> b.at // VB % (step // VB)
    if complete:
        store(to, load(b.runs + b.at, opening) + opening[phase] + part)
    opening[phase] = opening[phase] + run
    store(b.runs + b.at, run)
    b.at += VB
    if b.at == b.end:
        turn_runs(b, step, opening)
        b.at = b.begin = 0
        opening[0] = opening[1] = opening[2] = opening[3] = none

cdef inline inlined put_vector(Sums sums, bint complete, summed run, summed part, bint has_rest, summed none, char* to, char* rests, summed* last,
                             Block* b, summed* opening) noexcept nogil:
    """A vector of results; with BLOCKS, if windows are `complete`."""
    if sums == RUNS:
        store(to, run)
        if has_rest:
            store(rests, part)
    elif sums == RESTS:
        store(to, part)
    elif sums == TOGETHER:
        store(to, last[EIGHTS] + part)
        last[EIGHTS] = run
    else:
        put_window(complete, run, part, none, to, b, opening)

cdef inline inlined sum_runs_as(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t runs, Py_ssize_t rest, Sums sums, bint narrow,
                                char* to, char* rests, const summed* like) noexcept nogil:
    cdef Py_ssize_t wide = VB // 2 if narrow else VB, at = wide, size = lane_bytes(like)
    cdef Py_ssize_t delay = (3 if 4 * size > VB or sums == TOGETHER else 2) * VB, open_ = 0, o = -delay
    cdef summed last[STAGES]
    cdef summed opening[4]
    cdef summed run, part, none = load(s.outside, like)
    cdef Block block
    if summed is sd:
        none = splat_sums(-0.0)         # the number that changes no other, not even a zero's sign, if it is added
    last[TWOS] = last[FOURS] = last[FOURS_BEFORE] = last[EIGHTS] = last[FIRST] = last[FIRST_THREE] = last[FIRST_THREE_BEFORE] = none
    take(line, 0, s, False, narrow, &last[ONES])
    if sums == BLOCKS:
        opening[0] = opening[1] = opening[2] = opening[3] = none
        block.runs, block.begin, block.end = rests, s.octet % runs * 8 * size, runs * 8 * size
        block.at = block.begin
        open_ = block.end
        bytes += open_
        to -= open_
    while o < bytes:
        if o >= 0 and o + VB < bytes and exists(s, at, 2 * wide):
            ask(line + at + s.ahead)
            make_runs(line, at, s, True, narrow, rest, none, last, &run, &part)
            put_vector(sums, o >= open_, run, part, rest != 0, none, to + o, rests + o, last, &block, opening)
            make_runs(line, at + wide, s, True, narrow, rest, none, last, &run, &part)
            put_vector(sums, o + VB >= open_, run, part, rest != 0, none, to + o + VB, rests + o + VB, last, &block, opening)
            o += 2 * VB
            at += 2 * wide
        else:
            make_runs(line, at, s, False, narrow, rest, none, last, &run, &part)
            if o >= 0:
                put_vector(sums, o >= open_, run, part, rest != 0, none, to + o, rests + o, last, &block, opening)
            elif sums == TOGETHER:
                last[EIGHTS] = run
            o += VB
            at += wide

cdef inline inlined sum_runs(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t runs, Py_ssize_t rest, Sums sums, bint narrow,
                             char* to, char* rests, const summed* like) noexcept nogil:
    """The sums that `sums` says, from each number on. BLOCKS needs room in `rests` for a window."""
    if summed is sd:
        if narrow and sums == BLOCKS:   # a tenth less with a rest that the compiler knows
            if rest == 0:
                sum_runs_as(line, s, bytes, runs, 0, sums, True, to, rests, like)
            elif rest == 1:
                sum_runs_as(line, s, bytes, runs, 1, sums, True, to, rests, like)
            elif rest == 2:
                sum_runs_as(line, s, bytes, runs, 2, sums, True, to, rests, like)
            elif rest == 3:
                sum_runs_as(line, s, bytes, runs, 3, sums, True, to, rests, like)
            elif rest == 4:
                sum_runs_as(line, s, bytes, runs, 4, sums, True, to, rests, like)
            elif rest == 5:
                sum_runs_as(line, s, bytes, runs, 5, sums, True, to, rests, like)
            elif rest == 6:
                sum_runs_as(line, s, bytes, runs, 6, sums, True, to, rests, like)
            else:
                sum_runs_as(line, s, bytes, runs, 7, sums, True, to, rests, like)
            return
        if narrow:
            sum_runs_as(line, s, bytes, runs, rest, sums, True, to, rests, like)
            return
    sum_runs_as(line, s, bytes, runs, rest, sums, False, to, rests, like)


# ---- from runs to windows ------------------------------------------------------------------------------------------------

cdef inline void join_to_sum(char* work, Py_ssize_t bytes, Py_ssize_t k, Py_ssize_t step, char* sums, const char* before, char* to,
                             const summed* like) noexcept nogil:
    """Sums of k numbers that are `step` apart, and of what is `before`, if not NULL; that may stand in `sums`, where partial sums do."""
    cdef Py_ssize_t run = 1, rest = k, at = 0, digit
    while rest > FEW:
        digit = rest % 4
        if digit:
            join_few(work + at * step, bytes, digit, run * step, (digit - 1) * run * step, before, sums, like)
            before = sums
        at += digit * run
        join_few(work, bytes + (k - 4 * run) * step, 4, run * step, 3 * run * step, NULL, work, like)
        run *= 4
        rest //= 4
    join_few(work + at * step, bytes, rest, run * step, (rest - 1) * run * step, before, to, like)

cdef inline void sum_of_row(const char* line, const Span* s, Py_ssize_t bytes, Py_ssize_t k, bint narrow, char* work, char* sums, char* to,
                            const summed* like) noexcept nogil:
    cdef Py_ssize_t runs = k // 8, rest = k % 8, step = 8 * lane_bytes(like)
    if k <= 3:                          # three loads, and conversions, of a number take less than the way through all stages
        if not narrow:
            join_few_near(line, s, bytes, k, s.size, to, like)
        elif k == 3:
            join_near(line, s, bytes, 3, 4, True, to, like)
        else:
            join_near(line, s, bytes, k, 4, True, to, like)
    elif runs == 0:
        sum_runs(line, s, bytes, runs, rest, RESTS, narrow, to, NULL, like)
    elif runs == 1 and step == VB:      # rests stand a vector after their runs
        sum_runs(line, s, bytes, runs, rest, TOGETHER, narrow, to, NULL, like)
    elif lane_bytes(like) == 8:
        sum_runs(line, s, bytes, runs, rest, BLOCKS, narrow, to, sums, like)
    else:
        sum_runs(line, s, bytes + runs * step, runs, rest, RUNS, narrow, work, sums, like)
        join_to_sum(work, bytes, runs, step, sums, sums + runs * step if rest else NULL, to, like)

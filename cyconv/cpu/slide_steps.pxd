"""In which order the windows of one axis are worked off, whatever it is made of: rows, or planes of them.

Output o covers rows o*stride - pad + i*dilation, i < kernel, as far as they exist. Dilated windows are taken apart: those that begin
at rows of one remainder modulo the dilation see a sequence of rows of their own, in which they are not dilated. Row r of a sequence is
kept at place r % kernel of a ring, and made only once for all windows (of one piece of work) that overlap.

Short windows are joined from their rows. Long ones cost the same whatever their length, after van Herk (Pattern Recognition
Letters 13, 1992) and Gil and Werman (IEEE PAMI 15, 1993): the sequence is cut into blocks of `kernel` rows; a window is the end of one
block joined with the beginning of the next. In the ring, each row of a complete block is joined with all that follow in it (TURN); the
beginning of the next block is one row, to which others are joined as they are made. Nothing is ever taken away again: a sum has no
trace of rows that have left, and is rounded as often as any sum of that many numbers, or less.
"""
from cyconv.cpu.pool_work cimport Axis, floor_div

cdef enum Step:
    MAKE                                # row `row` is to be made, at place `slot`
    TURN                                # rows first .. first + count - 1 of the sequence, joined from the last one down
    ADVANCE                             # the row at `slot` is joined to the beginning of a block, or begins it, if `fresh`
    EMIT                                # output `output` is complete: see below
    DONE

cdef struct Steps:
    const Axis* axis
    Py_ssize_t end                      # outputs up to, not including, this one
    bint blocks                         # whether windows are joined from blocks, not from rows
    Py_ssize_t sequences                # that are left
    Py_ssize_t next_begin               # the first output of the next one
    Py_ssize_t output_step, start_step  # from one output of a sequence to the next, and from its window's first row to the next one's
    Py_ssize_t o, start                 # the output that is worked on; where its window begins, counted in rows of the sequence
    Py_ssize_t phase, length            # the sequence's first row and number of rows
    Py_ssize_t made                     # its rows up to here are made, or are not needed
    Py_ssize_t block, border            # that the window begins in; where the next one begins
    Py_ssize_t turned                   # the block that is turned
    Py_ssize_t reach                    # the beginning of the next block goes up to here
    Py_ssize_t row, slot
    Py_ssize_t first, first_slot, count             # EMIT from rows: those of the sequence; from blocks: count is 0 if there is no end of a block at `first`
    Py_ssize_t slot_row, first_row      # the rows whose places are in `slot` and `first_slot`
    bint fresh, beginning               # EMIT from blocks: whether there is a beginning of one
    Py_ssize_t output


cdef inline Py_ssize_t common_divisor(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a

cdef inline void open_sequence(Steps* s) noexcept nogil:
    cdef const Axis* a = s.axis
    cdef Py_ssize_t at = s.next_begin * a.stride - a.pad
    s.o = s.next_begin
    s.start = floor_div(at, a.dilation)
    s.phase = at - s.start * a.dilation
    s.length = (a.n - s.phase + a.dilation - 1) // a.dilation if s.phase < a.n else 0
    s.made = 0
    s.turned = -2                       # no window begins in such a block
    s.border = -1                       # unknown
    s.slot = s.slot_row = s.first_slot = s.first_row = 0
    s.next_begin += 1
    s.sequences -= 1

cdef inline void open_steps(Steps* s, const Axis* a, Py_ssize_t begin, Py_ssize_t end, bint blocks) noexcept nogil:
    cdef Py_ssize_t shared = common_divisor(a.stride, a.dilation)
    s.axis, s.end, s.blocks, s.next_begin = a, end, blocks, begin
    s.output_step, s.start_step = a.dilation // shared, a.stride // shared
    s.sequences = min(s.output_step, end - begin)
    open_sequence(s)

cdef inline Py_ssize_t moved_on(Py_ssize_t slot, Py_ssize_t by, Py_ssize_t k) noexcept nogil:
    """The place of a row that comes `by` rows later, mostly without a division."""
    if 0 <= by < k:
        slot += by
        return slot - k if slot >= k else slot
    slot = (slot + by) % k
    return slot + k if slot < 0 else slot

cdef inline void find_slot(Steps* s, Py_ssize_t r) noexcept nogil:
    s.slot = moved_on(s.slot, r - s.slot_row, s.axis.kernel)
    s.slot_row = r

cdef inline void find_first(Steps* s, Py_ssize_t r, Py_ssize_t count) noexcept nogil:
    s.first_slot = moved_on(s.first_slot, r - s.first_row, s.axis.kernel)
    s.first_row = s.first = r
    s.count = count

cdef inline Step make(Steps* s, Py_ssize_t r) noexcept nogil:
    s.made = r + 1
    s.row = s.phase + r * s.axis.dilation
    find_slot(s, r)
    return MAKE

cdef inline Step next_step(Steps* s) noexcept nogil:
    cdef Py_ssize_t k = s.axis.kernel, first, last
    if s.o >= s.end:
        if s.sequences == 0:
            return DONE
        open_sequence(s)
    first, last = max(s.start, 0), min(s.start + k, s.length)
    if not s.blocks:
        if s.made < last:
            return make(s, max(s.made, first))
        find_first(s, first, last - first)
    else:
        if not s.border - k <= s.start < s.border or s.border < 0:
            s.block = floor_div(s.start, k)
            s.border = (s.block + 1) * k
        if s.turned != s.block:
            if first < min(s.border, s.length):
                if s.made < min(s.border, s.length):
                    return make(s, max(s.made, first))
                s.turned, s.reach = s.block, s.border
                find_first(s, first, min(s.border, s.length) - first)
                return TURN
            s.turned, s.reach = s.block, s.border
        if s.reach < last:
            if s.made <= s.reach:
                return make(s, s.reach)
            find_slot(s, s.reach)
            s.fresh = s.reach == s.border
            s.reach += 1
            return ADVANCE
        find_first(s, first, 1 if first < min(s.border, s.length) else 0)
        s.beginning = s.reach > s.border
    s.output = s.o
    s.o += s.output_step
    s.start += s.start_step
    return EMIT

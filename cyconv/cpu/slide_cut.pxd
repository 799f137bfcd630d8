"""How a pool is cut into items of work: outputs along each axis, what is kept of rows and planes for them, and which planes go together.

Pieces are such that what is kept stays in the caches, and that neighbouring pieces make few rows twice.
"""
from cyconv.cpu.pool_work cimport ADD, Axis, ceil_div
from cyconv.cpu.simd cimport VB
from cyconv.cpu.slide_box cimport BOX, LINE_OF_CACHE, span_of
from cyconv.cpu.slide_channels cimport joined_on_lanes
from cyconv.cpu.slide_line cimport FEW
from cyconv.cpu.slide_steps cimport common_divisor
from cyconv.cpu.slide_values cimport MOST_ROWS
from cyconv.cpu.slide_work cimport MOST_WAITING, Work

cdef enum:
    ROW = 16 * 1024                     # bytes of a row of results, at most, unless windows are longer
    SHORT_ROW = 4 * 1024                # at least, as shorter ones take longer than rows from a second-level cache; twice that, with indices
    FIRST_LEVEL = 32 * 1024             # bytes of rows that are kept, if windows are short enough for it
    OCTET = 8                           # numbers that runs of sums have: pieces of a row begin with one (slide_sums.pxd)
    FLAT_ROW = 64 * 1024                # bytes of a row of results of all channels
    WAITING = 256 * 1024                # and of all rows that wait to be turned
    SHORT_PIXELS = 48                   # results of a row up to which long windows are joined so: boxes of long rows are quicker for them
    MOST_FLAT = 4 * 1024                # bytes of a pixel, at most, for that
    RING = 512 * 1024                   # bytes of planes that are kept, at most, but for long windows of rows
    LARGE_RING = 32 * 1024 * 1024
    PIECE = 512 * 1024                  # bytes of input that an item is worth
    LARGE_BOX = 8 * 1024 * 1024         # bytes of a box for windows that overlap, or of few channels,
    LONG_BOX = 16 * 1024 * 1024         # for long windows,
    MOST_BOX = 32 * 1024 * 1024         # and at most; also of all that is kept of rows of pixels
    WINDOWS = 3                         # that pieces are at least as long as: shorter ones make most rows more than once
    MOST_LINES = 8                      # of the cache that are read together, of channels that are neighbours
    LONG_PIECE = 24                     # so many windows' rows are worth it, too, since pieces make those anew that both need;
    SHORT_PIECE = 12                    # so many, where there are
    EACH = 4                            # items for each thread


cdef inline Py_ssize_t whole_vectors(Py_ssize_t bytes) noexcept nogil:
    return (bytes + VB - 1) // VB * VB


cdef inline Py_ssize_t part_bytes(const Work* w, int axis) noexcept nogil:
    return w.row_bytes if axis == 1 else w.outputs[1] * w.row_bytes

cdef inline Py_ssize_t kept_bytes(const Work* w, int axis) noexcept nogil:
    return (w.slots[axis] + w.blocks[axis]) * part_bytes(w, axis)

cdef inline void place_kept(Work* w) noexcept:
    """What follows from the size of pieces."""
    w.apart[0] = kept_bytes(w, 0) if w.with_indices else 0
    w.apart[1] = kept_bytes(w, 1) if w.with_indices else 0


cdef inline Py_ssize_t apart_in_caches(Py_ssize_t bytes) noexcept nogil:
    """At least so many, for lines that are worked on at the same time. Whole pages between them would put the same column of each into one place
    of a first-level cache, and a little more than whole pages would make loads from one wait for stores to the other."""
    return whole_vectors(bytes) + (VB if whole_vectors(bytes) // VB % 2 == 0 else 0)


cdef inline void cut(Work* w) noexcept:
    """The outputs of one item along each axis, and what is kept of them."""
    cdef Axis* x = &w.axis[2]
    cdef Axis* a
    cdef Py_ssize_t span = (x.kernel - 1) * x.dilation + 1, room, n, i, least, most
    for i in range(2):
        a = &w.axis[i]
        w.slots[i] = min(a.kernel, a.n) if a.kernel > 1 else 0
        n = a.stride // common_divisor(a.stride, a.dilation)
        w.blocks[i] = a.kernel > FEW and (a.kernel > MOST_ROWS or a.kernel > 4 * n)
    room = ROW
    if w.flat > 1:
        room = FLAT_ROW
    elif w.slots[1]:
        # That the rows stay in a first-level cache is worth a few more columns that neighbouring pieces both read.
        room = min(room, max(FIRST_LEVEL // w.slots[1], 8 * span * w.size, <Py_ssize_t> (2 * SHORT_ROW if w.with_indices else SHORT_ROW)))
    if w.sparse:
        n = max(room // x.kernel, <Py_ssize_t> VB) // w.size
    else:
        n = max(room // w.size // x.stride, 2 * span // x.stride, VB // w.size)
    w.pieces[2] = ceil_div(x.out, n)
    n = max(VB // w.size, OCTET) if w.flat == 1 else w.flat * max(VB // w.stored_size, OCTET)
    w.outputs[2] = ceil_div(ceil_div(x.out, w.pieces[2]), n) * n
    if w.outputs[2] > x.out:
        w.outputs[2] = x.out
    w.pieces[2] = ceil_div(x.out, w.outputs[2])
    w.row_bytes = apart_in_caches(w.outputs[2] * w.size)
    if w.sparse:
        w.line_bytes = x.kernel * w.row_bytes
        w.work_bytes = w.row_bytes
    else:
        w.line_bytes = w.work_bytes = apart_in_caches(((w.outputs[2] - 1) * x.stride + span) * w.size + 2 * w.row_bytes * w.pairs + 4 * VB)
        if w.flat > 1 and w.how == ADD:         # a run beyond the last window, and the opening of a block
            w.work_bytes += whole_vectors(3 * OCTET * w.flat * w.size)
        if w.narrow:
            w.line_bytes = apart_in_caches(w.line_bytes // 2)

    w.flat_bytes = w.flat_rows = 0
    if w.flat > 1:
        w.flat_bytes = whole_vectors(w.outputs[2] * w.stored_size) + VB
        w.flat_rows = min(max(WAITING // w.flat_bytes, <Py_ssize_t> 2), <Py_ssize_t> MOST_WAITING)

    # Along the other axes, the rows that neighbouring pieces both need are to be few.
    room = PIECE
    for i in range(1, -1, -1):
        a = &w.axis[i]
        n = max(<Py_ssize_t> 1, room // max(w.line_bytes * a.stride * (w.outputs[1] if i == 0 else 1), <Py_ssize_t> 1))
        least = LONG_PIECE * a.kernel // a.stride if a.kernel > a.stride else 1
        n = max(n, least)
        if i == 1 and w.slots[0]:
            # Pieces need each other's rows: as many as a window has are worth more memory.
            most = w.slots[0] * w.row_bytes
            n = min(n, max(RING // most, min(2 * a.kernel // a.stride, LARGE_RING // most), <Py_ssize_t> 1))
        w.pieces[i] = ceil_div(a.out, n)
        w.outputs[i] = ceil_div(a.out, w.pieces[i])
        w.pieces[i] = ceil_div(a.out, w.outputs[i])
    place_kept(w)


cdef inline Py_ssize_t cut_further(Work* w, Py_ssize_t items, Py_ssize_t workers) noexcept:
    """More items, for that many threads to share. Results are the same: blocks of rows begin at the same ones wherever pieces do."""
    cdef Py_ssize_t i, n, least
    cdef const Axis* a
    for i in range(1, -1, -1):
        a = &w.axis[i]
        least = (SHORT_PIECE if items >= workers else SHORT_PIECE // 3) * a.kernel // a.stride
        n = max(ceil_div(w.outputs[i] * items, EACH * workers), least)
        if items < EACH * workers and n < w.outputs[i]:
            items //= w.pieces[i]
            w.outputs[i] = ceil_div(a.out, ceil_div(a.out, n))
            w.pieces[i] = ceil_div(a.out, w.outputs[i])
            items *= w.pieces[i]
    place_kept(w)
    return items


cdef inline Py_ssize_t room_bytes(const Work* w) noexcept nogil:
    cdef Py_ssize_t kept = part_bytes(w, 0 if w.slots[0] else 1) + kept_bytes(w, 0) + kept_bytes(w, 1)
    return w.box_bytes + w.flat_rows * w.flat_bytes + w.line_bytes * (2 if w.bordered else 1) + 2 * w.work_bytes + kept * (2 if w.with_indices else 1) + 128


# ---- by how the caller's array lies --------------------------------------------------------------------------------------

cdef inline bint single_rows(const Work* w) noexcept nogil:
    """Whether planes, and windows across their rows, are single rows: a window that reaches over more may do so where only one exists."""
    cdef int a
    for a in range(2):
        if w.axis[a].n > 1 or w.axis[a].kernel > 1 or w.axis[a].pad or w.axis[a].pad_after:
            return False
    return w.channels * w.batch > 1 and w.parts == 1 and not w.with_indices and not w.bordered

cdef inline Py_ssize_t planes_as_rows(Work* w, Py_ssize_t batch) noexcept:
    """Then these are rows of one plane, since each plane costs more than a row does. What is left of the batch."""
    if not single_rows(w) or w.axis[2].step != w.stored_size:
        return batch
    if batch == 1 or w.batch_step == w.channels * w.channel_step:
        w.channels, batch = w.channels * batch, 1
    w.axis[1].n = w.axis[1].out = w.channels
    w.axis[1].step, w.channel_step, w.channels = w.channel_step, 0, 1
    cut(w)
    return batch


cdef inline bint columns_as_pixels(Work* w) noexcept:
    """Then a row has all channels of its columns beside each other, and windows along it are dilated; whether that is so."""
    cdef Axis* x = &w.axis[2]
    cdef Py_ssize_t channels = w.channels
    cdef Work before
    if x.step != channels * w.stored_size or x.stride > 1 or w.parts > 1 or w.with_indices or w.sparse or channels * w.stored_size > MOST_FLAT:
        return False
    if x.out > SHORT_PIXELS and (w.how == ADD and x.kernel > 3 or x.kernel > FEW and channels * w.stored_size >= LINE_OF_CACHE):
        return False
    before = w[0]
    x.n, x.out, x.pad, x.pad_after, x.dilation = x.n * channels, x.out * channels, x.pad * channels, x.pad_after * channels, x.dilation * channels
    x.step = w.stored_size
    w.flat, w.channels, w.channel_step = channels, 1, 0
    cut(w)
    if room_bytes(w) > MOST_BOX:        # windows of many long rows
        w[0] = before
        return False
    return True

cdef inline void cut_boxes(Work* w) noexcept:
    """The same where neighbours in memory are channels: smaller pieces of some planes together, if windows are not too large for that.

    Lines of the cache that are read one after the other take half of the time of every second or fourth one; but pieces of many planes are
    small, and planes that stay in a first-level cache are worth more.
    """
    cdef Py_ssize_t lines = 1, side = LINE_OF_CACHE // w.stored_size
    cdef Py_ssize_t most = BOX, i
    if w.axis[2].step == w.stored_size or w.channel_step != w.parts * w.stored_size or w.channels < 2 or w.bordered:
        return
    if columns_as_pixels(w):
        return
    w.on_lanes = joined_on_lanes(w)
    if w.on_lanes:
        w.together = min(w.channels, MOST_LINES * side)
        while 0 < w.channels % w.together * w.stored_size < VB:
            w.together += 1             # so that the last ones fill a vector, too
        cut_box(w, BOX // 2)            # of as much input as a box would hold
        w.box_bytes = 0
        place_kept(w)
        return
    # Pieces make anew what their neighbours do, too, which costs more than boxes beyond a second-level cache.
    for i in range(3):
        if w.axis[i].out > 1 and (w.axis[i].kernel > w.axis[i].stride or w.channels < side):
            most = max(most, <Py_ssize_t> (LONG_BOX if w.axis[i].kernel > FEW else LARGE_BOX))
    while lines < MOST_LINES and lines * side < w.channels:
        lines *= 2
    if min(side, w.channels) * w.axis[0].n * w.axis[1].n * w.axis[2].n * w.stored_size <= FIRST_LEVEL:
        lines = 1
    while True:
        w.together = ceil_div(w.channels, ceil_div(w.channels, lines * side))
        if w.together > side:
            w.together = ceil_div(w.together, side) * side
        if cut_box(w, most) or lines == 1:
            break
        lines //= 2
        cut(w)
    if w.box_bytes > most:              # windows are so long that a box beyond the caches is the lesser evil
        cut(w)
        cut_box(w, MOST_BOX)
    if w.box_bytes > MOST_BOX:
        w.together, w.box_bytes = 1, 0
        cut(w)
    place_kept(w)


cdef inline bint cut_box(Work* w, Py_ssize_t most) noexcept:
    """Of so many bytes at most, if windows are not too long for that, for the planes that are worked on together; whether the rows that pieces have in
    common are few."""
    cdef Py_ssize_t count[3]
    cdef Py_ssize_t first, times, share, a, largest
    cdef bint few = True
    while True:
        share, largest = 0, -1
        for a in range(3):
            # the first piece has the padding, so a later one may span more
            span_of(&w.axis[a], 0, w.outputs[a], &first, &count[a])
            count[a] = min(count[a] + w.axis[a].pad, w.axis[a].n)
            # rows are shortened last
            times = count[a] * 4 // ((w.axis[a].kernel - 1) * w.axis[a].dilation + 1) // (1 if a < 2 else 4)
            if w.outputs[a] > (OCTET if a == 2 else 1) and w.outputs[a] * w.axis[a].stride > WINDOWS * (w.axis[a].kernel - 1) * w.axis[a].dilation and times > share:
                share, largest = times, a
        w.box_row = whole_vectors(count[2] * w.stored_size)
        w.box_plane = apart_in_caches(count[0] * count[1] * w.box_row)
        w.box_bytes = whole_vectors(w.together * w.box_plane + w.line_bytes)
        if w.box_bytes <= most or largest < 0:
            break
        w.outputs[largest] = ceil_div(w.outputs[largest], 2)
        if largest == 2:
            w.outputs[2] = ceil_div(w.outputs[2], OCTET) * OCTET
    for a in range(3):
        w.pieces[a] = ceil_div(w.axis[a].out, w.outputs[a])
        few &= w.pieces[a] == 1 or count[a] >= 4 * ((w.axis[a].kernel - 1) * w.axis[a].dilation + 1)
    return few and w.box_bytes <= most

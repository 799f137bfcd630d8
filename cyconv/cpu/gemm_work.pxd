"""What implicit_gemm does a convolution with: the cut into blocks of pixels and panels of output channels, and a thread's scratch.

A block is a run of outputs of one row, of whole rows, whole planes or whole batch items: one run of each output plane.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memset

from cyconv.cpu.blocks cimport Blocks, close_plain, gcd, opened_once, opened_work, set_layout
from cyconv.cpu.packing cimport CIRCULAR, HALF, REFLECT, REPLICATE, ZEROS
from cyconv.cpu.simd cimport VB
from cyconv.cpu.tile cimport LINE, LINE_BYTES, LONE_TILE, TALLEST_TILE, TILE_ROWS, ceil_div

cdef enum:
    BLOCK_BYTES = 400 * 1024            # input of one block: leaves room for weights and sums in a second-level cache
    BLOCK_PIXELS = 448                  # their sums, two vectors each, stay in that cache, too
    LEAST_PIXELS = 96                   # fewer, and weights come from farther than their multiply-adds hide
    WIDE_PIXELS = 1792                  # of a block whose sums are not stored
    PAGE = 4096                         # bytes that numbers at the same place of a first-level cache lie apart
    COPIED_PRODUCTS = 24                # that are worth copying pixels for,
    MOST_COPIED = 2048                  # unless a piece's weights leave them no room in a second-level cache,
    FEW_PIECES = 5                      # for so many pieces of output channels, from planes whole pages apart,
    PIECES = 9                          # and from others;
    FEW_STRIDED = 96                    # products whose pixels, where strides lie between them, are soon gathered for few pieces
    LONE_PRODUCTS = 32                  # up to which one piece is better than two that read the same input again
    LONE_BYTES = 4 << 20                # of a group's input and output: much more than a second-level cache holds
    LEAST_PIECES = 3                    # or so many, where channels would otherwise not fill the lanes
    SHORT_TILE = 6                      # rows of a register tile where vectors are not the widest
    WIDE_PRODUCTS = 320                 # up to which transposing sums costs more than unaligned loads of pixels
    CHUNK = 512                         # products of one pass over a block's pixels;
    RAW_CHUNK = 128                     # of weights that are packed then: they stay in a first-level cache
    COLUMN_PIXELS = 64                  # whose columns may be copied sooner than weights are packed,
    COLUMN_ROWS_EACH = 32               # where each run of a column is for so many output channels, and there are at least
    COLUMN_LEAST = 96
    COLUMN_BYTES = 1 << 20              # of copied columns: leaves room in a second-level cache for the weights of a tile
    COLUMN_PRODUCTS = 8192              # more, and not even one panel of them would stay there
    COLUMN_SUMS = 8192                  # bytes of a tile's sums, and of those of pixels that no vector holds
    BY_TAP_CHANNELS = 32                # that make passes over a block's pixels long enough for each tap to have one of its own,
    BY_TAP_BLOCK = 150                  # pixels of such a block: some leave out more taps than others, and threads share small ones better
    SLICED_BYTES = 8 << 20              # of turned input that is better cut into slices:
    SLICE_BYTES = 1200 * 1024           # so much stays in a second-level cache while all panels read it,
    SLICE_LINES = 8                     # if that are at least so many lines of channels, and sums are not fetched all the time
    TURNED_BLOCK = 4608                 # if they are turned, which for several blocks is done again and again;
    BY_TAP_RUN = 6                      # if so many pixels of a row, on average, have the same taps in the padding
    MOST_INSIDE = 97                    # percents of products with samples: if more are, leaving out the others is worth nothing
    MOST_PHASES = 8                     # of a row: the longest stride with pixels on the lanes
    QUIET_BYTES = 32 * 1024             # of input of a block, and of a panel
    FEW_WEIGHTS = 4096                  # which each thread packs when it begins, if it uses them
    OFTEN = 8                           # for so many blocks,
    OWN_BYTES = 5 << 20                 # or bytes of weights for pixels on the lanes: sooner than another core's cache hands them over,
    OWN_ONCE_BYTES = 512 * 1024         # which it need not where the input is hardly more than a block;
    OWN_TAPS_BYTES = 768 * 1024         # or tap by tap, which are not packed a chunk at a time
    ROOM = 192                          # bytes of a Room, in whole lines of a cache
    MOST_VIEWED = 32                    # taps of weights that are packed from where they lie, whatever their strides,
    VIEWED_SPAN = 64                    # if they are not farther apart
    WIDEST_VECTOR = 64                  # bytes, of any level: workspace is counted alike on all

cdef struct View:                       # weights of one group that lie anyhow: bytes from one
    const char* weight                  # (the lowest tap of the first kernel)
    const char* limit                   # (behind the last number)
    Py_ssize_t row, channel             # output channel, input channel to the next
    Py_ssize_t taps, span               # of a kernel; numbers from its lowest tap to behind its highest
    Py_ssize_t[MOST_VIEWED] place       # of each tap, numbers from the lowest

cdef struct Work:
    Blocks blocks                       # numbers, boxes and table of offsets, as `direct` has them
    bint in_place                       # tiles read the caller's input itself
    bint turned                         # or boxes without padding that have a line of the cache for each pixel and so many channels
    bint straight                       # sums are the output's numbers
    bint by_tap                         # products come tap by tap, [tap][channel], so that taps in the padding can be left out
    bint skips                          # and they are: the weights are finite
    bint by_frame                       # a block has outputs of one frame (along z), which leave out the same run of products; if weights are finite
    bint reordered                      # products come [slice of channels][tap // inner][channel][tap % inner]; otherwise [channel][tap]
    Py_ssize_t inner                    # taps that stay together then
    Py_ssize_t slices                   # each meets all panels before the next one: what a block reads of one stays in a cache
    Py_ssize_t[3] taps
    Py_ssize_t[3] dilation
    bint wide                           # pixels on the lanes; then a panel is a piece of at most TILE_ROWS channels, or LONE_TILE
    bint lone                           # all of them are one piece, taller than other tiles and one vector wide
    bint joined                         # and each plane is taken for one row, in the output and in the input,
    Py_ssize_t[2] side                  # although it has so many outputs along y and x
    bint copyable                       # and a block's pixels may be copied, side by side:
    bint copies_pixels                  # they are, by the block's first piece for the others,
    bint gathers                        # or for all, where outputs are not all samples, or these stand in no run
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    bint copies                         # columns of pixels are copied, and weights stay as the caller has them (gemm_columns.pxd),
    bint raw                            # if they come like that; else each thread packs them when they are needed,
    bint own                            # or as soon as it begins: so few that they stay in its cache
    bint viewed                         # not in order, but as `view` says
    View view
    const char* bias
    char* out
    Py_ssize_t batch, groups
    Py_ssize_t rows                     # output channels of a group, real and imaginary parts counted apart
    Py_ssize_t[3] stride
    bint past                           # the output is written around the caches
    bint quiet                          # a block's input and a panel stay in a first-level cache: nothing is asked for
    bint aligned                        # pixels on the lanes are loaded in whole lines of a cache
    Py_ssize_t lead                     # so many pixels stand before the first whole line; blocks end where lines end
    Py_ssize_t items                    # batch items of a block
    Py_ssize_t item_blocks              # blocks along the batch
    Py_ssize_t panels, shares           # panels of a group; how many items of work they are split into
    Py_ssize_t pixels                   # of a block
    int step                            # numbers from one pixel of a row to the next, if tiles can be told: 1, 2, LINE; else 0
    Py_ssize_t[MOST_PHASES] remainder   # of the phases into which boxes split rows, for strided pixels on the lanes
    Py_ssize_t chunks
    Py_ssize_t area                     # pixels of a plane of outputs
    Py_ssize_t plane, item              # numbers from a plane of the output to that of the next channel, and of the next batch item
    bint exchanged                      # the output lies as if its batch items were the channels: those of a block are one run

cdef struct Room:                       # one thread's scratch; its parts stand behind it
    char* boxes
    char* sums                          # of a panel, among those of all panels that meet a slice
    char* all_sums
    char* start
    char* panel
    char* planes
    Py_ssize_t* place
    Py_ssize_t* neighbours              # how many pixels from this one on follow each other in memory, `step` numbers apart
    uint64_t* inside                    # which taps of a pixel are not in the padding
    bint packed                         # whether all weights stand in `panel`
    Py_ssize_t columns                  # the block whose columns stand there, or -1
    Py_ssize_t slice                    # of the channels, whose products are being summed
    Py_ssize_t first, end               # of these products, less those that a frame leaves out
    Py_ssize_t pixel                    # the block's first output of a plane, where pixels are gathered
    Py_ssize_t copied                   # the block whose pixels a piece copied to `boxes`, tile by tile, or -1
    Py_ssize_t gathered                 # the block whose boxes, or taps inside, these are, or -1
    Py_ssize_t[4] extent                # of the block whose pixels stand in `place`


cdef inline double reach(const Work* w, int a, double outputs, const Py_ssize_t* span) noexcept nogil:
    """Samples along an axis that so many outputs read, padding among them unless no tap reads it."""
    cdef double samples = (outputs - 1) * w.stride[a] + span[a]
    return min(samples, <double> w.blocks.box.axis[a].n) if w.turned else samples


cdef inline double block_bytes(const Work* w, double n, double z, double y, double x, const Py_ssize_t* span) noexcept nogil:
    """Bytes of input that a block of so many items and outputs reads."""
    cdef double numbers = reach(w, 0, z, span) * reach(w, 1, y, span) * reach(w, 2, x, span)
    if w.in_place or w.turned:          # what is stepped over costs no room in a cache
        numbers = min(numbers, z * y * x * w.blocks.products / max(w.blocks.channels, <Py_ssize_t> 1))
    return n * w.blocks.channels * numbers * w.blocks.size


cdef inline int open_work(Work* w, problem, bint may_read_in_place, bint may_turn, Py_ssize_t vector) except -1:
    """Everything that follows from the problem alone, on a level whose vectors have so many bytes; and from whether the input lies so that
    it may be read in place, or turned."""
    cdef Blocks* b = &w.blocks
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef Py_ssize_t a, m, pieces, most_own, taps = 1, room = BLOCK_PIXELS
    cdef Py_ssize_t[3] span
    cdef double limit
    cdef bint covers                    # whether outputs are all samples, so that a plane may be one run
    cdef str mode = problem.padding_mode
    set_layout(b, problem)
    b.memory = NULL
    b.offset = NULL
    w.viewed = False
    b.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    b.channels = b.in_channels * b.parts
    w.batch, w.groups = problem.batch, problem.groups
    w.rows = <Py_ssize_t> problem.out_channels * b.parts
    w.panels = ceil_div(w.rows, 2 * vector // b.size)
    w.straight = b.parts == 1 and b.kind != HALF
    w.in_place = b.kind != HALF
    for a in range(3):
        w.stride[a], w.taps[a], w.dilation[a] = stride[a], kernel[a], dilation[a]
        b.out[a] = out[a]
        b.box.axis[a].n, b.box.axis[a].pad = size[a], pad[a]
        taps *= <Py_ssize_t> kernel[a]
        span[a] = (<Py_ssize_t> kernel[a] - 1) * <Py_ssize_t> dilation[a] + 1
        if pad[a] > 0 or (b.out[a] - 1) * w.stride[a] + span[a] - <Py_ssize_t> pad[a] > b.box.axis[a].n:
            w.in_place = False
    b.products = b.channels * taps
    w.area = b.out[0] * b.out[1] * b.out[2]
    w.chunks = max(ceil_div(b.products, CHUNK), <Py_ssize_t> 1)
    w.step = 2 if w.stride[2] == 2 else 1
    limit = min(<double> BLOCK_BYTES, <double> problem.max_workspace / 2)
    pieces = ceil_div(w.rows, <Py_ssize_t> TALLEST_TILE if vector == WIDEST_VECTOR else <Py_ssize_t> SHORT_TILE)
    covers = taps == 1 and stride == (1, 1, 1)
    for a in range(3):
        covers = covers and pad[a] == 0 and b.out[a] == b.box.axis[a].n
    w.joined = w.in_place and taps == 1 and (covers or pieces >= (FEW_PIECES if b.products <= FEW_STRIDED else PIECES))
    w.side[0], w.side[1] = b.out[1], b.out[2]
    w.copyable = w.joined and w.straight and b.products <= MOST_COPIED
    w.copyable = w.copyable and 4.0 * BLOCK_BYTES + 192.0 * b.channels * b.size <= problem.max_workspace / 4
    w.joined = w.joined and (covers or w.copyable)
    w.gathers = w.joined and not covers
    w.copies_pixels = False
    w.wide = is_wide(w, span, vector // b.size, limit)
    w.copies_pixels = w.gathers or w.copyable and copying_pays(w, pieces, vector // b.size)
    w.wide = w.wide or w.copies_pixels and is_wide(w, span, vector // b.size, limit)
    w.by_tap = w.skips = w.by_frame = w.lone = False
    w.lead = 0
    if not w.in_place and b.kind != HALF and b.box.mode == ZEROS and not w.wide:
        w.by_tap = w.in_place = w.skips = is_by_tap(w, taps)
    w.slices = 1
    if w.by_tap:
        w.slices = slices_of(w, problem.max_workspace)
        w.chunks = taps * w.slices * ceil_div(b.channels // w.slices, CHUNK)
    w.copies = is_copied(w, taps)
    w.by_frame = is_by_frame(w)
    w.reordered = w.by_tap or w.by_frame
    w.inner = 1 if w.by_tap else taps // w.taps[0] if w.by_frame else taps
    w.in_place = w.in_place and may_read_in_place       # packed weights know nothing of how the input lies
    w.skips = w.skips and w.in_place
    w.joined = w.joined and w.wide and w.in_place
    w.copyable, w.copies_pixels, w.gathers = w.copyable and w.joined, w.copies_pixels and w.joined, w.gathers and w.joined
    w.turned = may_turn and w.skips and is_turned(w, problem.max_workspace)
    if w.turned:
        w.in_place = False
        w.step = LINE
    for a in range(3):
        b.box.axis[a].stride, b.box.axis[a].phases, b.box.axis[a].remainder = 1, 1, w.remainder
    w.remainder[0] = 0
    if w.wide:
        if w.stride[2] > 1 and not w.gathers:   # samples that neighbours on the lanes read become neighbours (see packing.pxd)
            w.in_place = False
            w.step = 1
            b.box.axis[2].stride = w.stride[2]
            b.box.axis[2].phases = min(<Py_ssize_t> kernel[2], w.stride[2] // gcd(w.stride[2], <Py_ssize_t> dilation[2]))
            for a in range(b.box.axis[2].phases):
                w.remainder[a] = a * <Py_ssize_t> dilation[2] % w.stride[2]
        w.lone = covers and is_lone(w, vector)          # whatever way the input lies: packed weights do not know
        w.panels = 1 if w.lone else pieces
        room = BLOCK_PIXELS if w.gathers else WIDE_PIXELS
        if w.joined:
            b.out[0] = b.out[1] = 1
            b.out[2] = w.area
            room = max(min(room, <Py_ssize_t> (limit / max(b.channels * b.size, <Py_ssize_t> 1))), LEAST_PIXELS)
    if w.by_tap:
        room = TURNED_BLOCK if w.turned else BY_TAP_BLOCK
    # Boxes have to be gathered, and what reaches beyond their own outputs more than once, so they had better be large; and
    # one pass over a block touches one chunk's channels only. What is read in place is read by every panel again.
    if w.turned:
        limit = <double> problem.max_workspace / 8
    elif w.in_place:
        limit = max(<double> BLOCK_BYTES, block_bytes(w, 1, 1, 1, LEAST_PIXELS, span))
    else:
        limit = min(<double> BLOCK_BYTES * w.chunks, <double> problem.max_workspace / 2)
    # As many pixels of a row as fit; then rows, planes, batch items, each only if the one before is whole: the outputs of
    # a block are one run of each plane.
    m = ceil_div(b.out[2], ceil_div(b.out[2], room))
    while m > 32 and block_bytes(w, 1, 1, 1, m, span) > limit:
        m = (m + 1) // 2
    if w.wide and m < b.out[2]:
        m = min(ceil_div(m, 2 * vector // b.size) * 2 * vector // b.size, b.out[2])
    b.block[2] = m
    b.block[1] = b.block[0] = w.items = 1
    if m == b.out[2]:
        b.block[1] = b.out[1] if w.wide and m < 2 * vector // b.size else most(w, 1, b.out[1], m, room, limit, span)
        if b.block[1] == b.out[1] and not w.by_frame:
            b.block[0] = most(w, 0, b.out[0], m * b.out[1], room, limit, span)
        if b.block[1] == b.out[1] and b.block[0] == b.out[0]:
            w.items = most(w, -1, w.batch, w.area, room, limit, span)
    while w.copyable and w.items > 1 and copied_bytes(w) > 4.0 * BLOCK_BYTES:       # tiles at the ends of short runs take room, too
        w.items = ceil_div(w.items, 2)
    for a in range(3):
        b.count[a] = ceil_div(b.out[a], b.block[a])
        b.box.axis[a].length = <Py_ssize_t> reach(w, <int> a, b.block[a], span)
    if b.box.axis[2].stride > 1:
        b.box.axis[2].length = b.block[2] + (span[2] - 1) // w.stride[2]
    w.quiet = block_bytes(w, w.items, b.block[0], b.block[1], b.block[2], span) + <double> b.products * vector <= QUIET_BYTES
    w.item_blocks = ceil_div(w.batch, w.items)
    # packed or plain weights know nothing of how the input lies: what `own` says of pixels on the lanes depends on nothing else, too
    most_own = OWN_BYTES if <double> w.batch * w.area * b.channels * b.size > BLOCK_BYTES else OWN_ONCE_BYTES
    w.own = w.wide and own_bytes(w) <= min(<double> most_own, <double> problem.max_workspace / 4)
    w.own = w.own or w.reordered and blocks_of(w) > 1 and own_bytes(w) <= min(<double> OWN_TAPS_BYTES, <double> problem.max_workspace / 4)
    w.own = w.own or not w.wide and w.rows * w.groups * b.products <= FEW_WEIGHTS and blocks_of(w) >= OFTEN
    w.pixels = w.items * b.block[0] * b.block[1] * b.block[2]
    b.plane = 0
    if not w.in_place:
        b.plane = <Py_ssize_t> min(<double> b.box.axis[0].length * b.box.axis[1].length * b.box.axis[2].length * b.box.axis[2].phases, 2.0**62)
    return 0


cdef inline Py_ssize_t open_in_place(void* work, object problem) except -1:
    open_work(<Work*> work, problem, True, True, VB)
    return 0


cdef inline int reopen_work(Work* w, object problem) except -1:
    """open_work for input that may be read in place, and this level: a copy of what the problem keeps."""
    cdef int a
    kept = opened_once(problem, "implicit_gemm", sizeof(Work), open_in_place, close_plain)
    w[0] = (<const Work*> opened_work(kept))[0]
    for a in range(3):
        w.blocks.box.axis[a].remainder = w.remainder
    return 0


cdef inline Py_ssize_t valid(const Work* w, int a, Py_ssize_t tap, Py_ssize_t* first) noexcept nogil:
    """How many outputs along an axis read a sample with this tap, not padding; and the first of them."""
    cdef Py_ssize_t at = tap * w.dilation[a] - w.blocks.box.axis[a].pad, s = w.stride[a], last
    first[0] = max(ceil_div(-at, s), <Py_ssize_t> 0) if at < 0 else 0
    last = (w.blocks.box.axis[a].n - 1 - at) // s if w.blocks.box.axis[a].n > at else -1
    return max(min(last + 1, w.blocks.out[a]) - first[0], <Py_ssize_t> 0)


cdef inline double inside_along(const Work* w, int a, Py_ssize_t* longest) noexcept nogil:
    """Which part of the products of outputs and taps along an axis are not with padding; longest: outputs with the same taps, on average."""
    cdef double met = 0
    cdef Py_ssize_t tap, first, count, seams = 0
    for tap in range(w.taps[a]):
        count = valid(w, a, tap, &first)
        met += count
        seams += (0 < first < w.blocks.out[a]) + (0 < first + count < w.blocks.out[a])
    longest[0] = w.blocks.out[a] // (seams + 1)
    return met / (<double> w.taps[a] * max(w.blocks.out[a], <Py_ssize_t> 1))


cdef inline double inside(const Work* w, Py_ssize_t* longest) noexcept nogil:
    """The same along all axes; longest: pixels of a row."""
    cdef double part = inside_along(w, 0, longest) * inside_along(w, 1, longest)
    return part * inside_along(w, 2, longest)


cdef inline bint is_copied(const Work* w, Py_ssize_t taps) noexcept nogil:
    """Whether copying the columns of all pixels takes less time than packing weights: few pixels, in few runs, for many channels,
    and hardly a lane that is none."""
    cdef Py_ssize_t pixels = w.batch * w.area, lane = WIDEST_VECTOR // w.blocks.size, runs = w.batch * w.area, left
    if not w.straight or w.wide or w.by_tap or w.blocks.products > COLUMN_PRODUCTS or not 0 < pixels <= COLUMN_PIXELS:
        return False
    if taps == 1 and w.stride[0] == w.stride[1] == w.stride[2] == 1:
        runs = w.batch
    elif w.stride[2] <= 2:
        runs = w.batch * w.blocks.out[0] * w.blocks.out[1]
    left = pixels % lane
    if left and (left > lane // 2 or w.batch > 1) and 3 * left < 2 * lane and pixels < 3 * lane:
        return False
    return w.rows >= max(COLUMN_ROWS_EACH * runs, <Py_ssize_t> COLUMN_LEAST)


cdef inline Py_ssize_t lines_of(const Work* w) noexcept nogil:
    """Of a pixel in turned boxes: each has a number of so many channels."""
    return ceil_div(w.blocks.channels // w.slices * w.blocks.size, LINE_BYTES)


cdef inline Py_ssize_t pixel_bytes(const Work* w) noexcept nogil:
    """From a pixel of a box to its neighbour."""
    return LINE_BYTES if w.turned else w.blocks.size


cdef inline bint is_turned(const Work* w, double workspace) noexcept nogil:
    """Whether a pixel's channels had better be brought together where taps in the padding are left out: if they fill lines of the cache."""
    cdef const Blocks* b = &w.blocks
    cdef double line = ceil_div(b.channels * b.size, LINE_BYTES) * LINE_BYTES
    return w.straight and 4 * b.channels * b.size >= 3 * line and <double> b.box.axis[0].n * b.box.axis[1].n * b.box.axis[2].n * line <= workspace / 8


cdef inline Py_ssize_t slices_of(const Work* w, double workspace) noexcept nogil:
    """Into how many equal slices the channels of turned input fall."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t slices, lines = b.channels * b.size // LINE_BYTES
    cdef double bytes = <double> b.box.axis[0].n * b.box.axis[1].n * b.box.axis[2].n * b.channels * b.size
    if bytes < SLICED_BYTES or b.channels * b.size % LINE_BYTES or not is_turned(w, workspace):
        return 1
    if <double> min(w.area, <Py_ssize_t> TURNED_BLOCK) * w.rows * b.size > workspace / 8:      # sums of all panels
        return 1
    for slices in range(1, lines // SLICE_LINES + 1):
        if lines % slices == 0 and bytes / slices <= SLICE_BYTES:
            return slices
    return 1


cdef inline bint is_by_tap(const Work* w, Py_ssize_t taps) noexcept nogil:
    """Whether enough taps lie in the padding (a large dilation), and so that tiles of pixels with the same taps are tall enough."""
    cdef Py_ssize_t longest
    if not 2 <= taps <= 64 or w.blocks.channels < BY_TAP_CHANNELS or w.stride[2] > 1:
        return False
    return inside(w, &longest) < 0.85 and longest >= BY_TAP_RUN


cdef inline bint is_by_frame(const Work* w) noexcept nogil:
    """Whether enough taps lie in the padding along z, in frames large enough for blocks of one."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t longest
    if w.wide or w.by_tap or w.copies or not 1 < w.taps[0] < 64 or b.box.mode != ZEROS or b.out[1] * b.out[2] < LEAST_PIXELS:
        return False
    return 100 * inside_along(w, 0, &longest) < MOST_INSIDE


cdef inline bint copying_pays(const Work* w, Py_ssize_t pieces, Py_ssize_t lane) noexcept nogil:
    """Whether so many pieces of output channels had better read copies of a block's pixels (measured: 1.0 to 1.2, otherwise 0.9): many
    pieces, or planes whole pages apart, whose lines share few places of the caches. Or fewer, if that lets pixels stand on the lanes where
    output channels would not fill pairs of vectors (1.1 to 1.4)."""
    cdef const Blocks* b = &w.blocks
    if b.products < COPIED_PRODUCTS:
        return False
    if not w.wide and w.rows % (2 * lane) and pieces >= LEAST_PIECES:
        return True
    return pieces >= (FEW_PIECES if w.area * b.size % PAGE == 0 else PIECES)


cdef inline bint is_lone(const Work* w, Py_ssize_t vector) noexcept nogil:
    """Whether one tile of all output channels reads large input once, where tiles of two vectors would read it twice."""
    cdef const Blocks* b = &w.blocks
    cdef bint fits = vector == WIDEST_VECTOR and TALLEST_TILE < w.rows <= LONE_TILE
    return fits and b.products <= LONE_PRODUCTS and <double> w.batch * (b.channels + w.rows) * w.area * b.size > LONE_BYTES


cdef inline bint is_wide(const Work* w, const Py_ssize_t* span, Py_ssize_t lane, double limit) noexcept nogil:
    """Whether pixels had better stand on the lanes: few products, and runs of pixels that are nearly whole vectors."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t run = b.out[2]
    if not w.straight or b.products > WIDE_PRODUCTS and not w.copies_pixels or w.stride[2] > MOST_PHASES:
        return False
    if w.stride[2] > 1 and not w.gathers and w.rows < b.channels * w.stride[0] * w.stride[1] * w.stride[2] * (1 if w.stride[2] == 2 else 4):
        return False                    # splitting rows into phases costs more than transposing the sums
    if w.copyable:
        run = w.area
    elif w.in_place and w.stride[2] == 1 and w.stride[1] == 1 and span[2] == 1 and b.out[2] == b.box.axis[2].n:
        run *= b.out[1]                 # rows without a gap between them
    if b.out[2] < 2 * lane and (run < 2 * lane or not w.copyable and (run > WIDE_PIXELS or <double> b.channels * run * b.size > limit)):
        return False                    # a block has whole rows, and these are too short; in copies, planes are one row
    # measured: transposing costs a sum of K products as much as 16 products more
    return ceil_div(run, lane) * lane * b.products <= run * (b.products + 16)


cdef inline Py_ssize_t most(Work* w, int axis, Py_ssize_t whole, Py_ssize_t pixels, Py_ssize_t room, double limit,
                     const Py_ssize_t* span) noexcept nogil:
    """How many rows, planes or items a block has, nearly equal blocks; axis -1 is the batch."""
    cdef Py_ssize_t m = 1
    cdef double n, z, y
    while m < whole and (m + 1) * pixels <= room:
        n, z, y = 1, 1, w.blocks.block[1]
        if axis == 1:
            y = m + 1
        elif axis == 0:
            z = m + 1
        else:
            n, z = m + 1, w.blocks.block[0]
        if block_bytes(w, n, z, y, w.blocks.block[2], span) > limit:
            break
        m += 1
    return ceil_div(whole, ceil_div(whole, max(m, <Py_ssize_t> 1))) if whole else 1


cdef inline Py_ssize_t blocks_of(const Work* w) noexcept nogil:
    """Of one group."""
    return w.item_blocks * w.blocks.count[0] * w.blocks.count[1] * w.blocks.count[2]


cdef inline double own_bytes(const Work* w) noexcept nogil:
    """Room for all weights: pixels on the lanes, a piece is as long as the longest, in whole vectors of any level."""
    return (2.0 if w.wide else 1.0) * w.groups * (w.rows + 16) * w.blocks.products * w.blocks.size


cdef inline double packed_bytes(const Work* w) noexcept nogil:
    """Of weights packed for all threads, on any level; parts of complex numbers and half precision pass through a copy in another type, and maybe one in order."""
    return own_bytes(w) * (1 if w.straight else 3)


cdef inline bint must_pack(const Work* w) noexcept nogil:
    """Whether no thread can pack weights for itself."""
    return not w.straight or w.wide and not w.own


cdef inline double copied_bytes(const Work* w) noexcept nogil:
    """Room for the pixels of a block in tiles of two vectors, and for those of three tiles more, at the ends of a run."""
    return w.items * (w.blocks.block[2] * w.blocks.size + 3.0 * 2 * WIDEST_VECTOR) * w.blocks.products


cdef inline double column_bytes(const Work* w) noexcept nogil:
    """Room for the columns of a block, or for so many panels of them as are copied at once, and for pixels that no vector holds."""
    cdef double each = <double> w.blocks.products * WIDEST_VECTOR
    return min(each * (w.pixels * w.blocks.size / WIDEST_VECTOR + 1.0), max(3 * each, <double> COLUMN_BYTES)) + each / 2 + 128


cdef inline double room_bytes(const Work* w, double* parts) noexcept nogil:
    """One thread's scratch: a Room, then boxes, sums, start, panel, planes, places, in that order."""
    cdef const Blocks* b = &w.blocks
    parts[0] = 0.0 if w.in_place else <double> w.items * b.channels * b.plane * b.size
    if w.copies_pixels:
        parts[0] = copied_bytes(w)
    if w.turned:
        parts[0] = <double> w.items * lines_of(w) * b.plane * LINE_BYTES
    parts[1] = (LONE_TILE if w.wide else w.pixels + 1.0) * (2 * WIDEST_VECTOR if w.slices == 1 else w.rows * b.size + 2.0 * WIDEST_VECTOR)
    parts[2] = 2 * WIDEST_VECTOR
    parts[3] = 0.0
    if w.raw:
        parts[3] = own_bytes(w) if w.own else (<double> ceil_div(b.products, w.slices if w.reordered else w.chunks) + 1) * 2 * WIDEST_VECTOR
    if w.copies:
        parts[3] = max(parts[3], column_bytes(w))
        parts[1] = max(parts[1], <double> COLUMN_SUMS)
    parts[4] = 0.0 if w.straight else w.pixels * 2.0 * WIDEST_VECTOR
    parts[5] = 0.0 if w.joined else (w.pixels + WIDEST_VECTOR / 4.0) * (2.0 * sizeof(Py_ssize_t) + sizeof(uint64_t))
    cdef double total = ROOM
    cdef int i
    for i in range(6):
        total += parts[i] + 64
    return total


cdef inline void furnish(Room* room, const double* parts) noexcept nogil:
    """Where in a thread's scratch what stands."""
    cdef char* base = <char*> room + ROOM
    cdef char* at[6]
    cdef int i
    for i in range(6):
        at[i] = base
        base += ceil_div(<Py_ssize_t> parts[i], 64) * 64
    room.all_sums = at[1]
    room.boxes, room.sums, room.start, room.panel, room.planes = at[0], at[1], at[2], at[3], at[4]
    room.place = <Py_ssize_t*> at[5]
    room.neighbours = room.place + <Py_ssize_t> parts[5] // (2 * sizeof(Py_ssize_t) + sizeof(uint64_t))
    room.inside = <uint64_t*> (room.neighbours + (room.neighbours - room.place))
    room.packed = False
    room.columns = room.gathered = room.copied = -1
    memset(room.extent, 0, sizeof(room.extent))

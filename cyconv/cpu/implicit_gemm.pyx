"""A matrix product whose columns are never made:  out[o, p] = bias[o] + sum_k weight[o, k] * input[place[p] + offset[k]],
k = (channel, tap).

Layout: output channels stand on the vector lanes, output positions ("pixels") are broadcast (tile.pxd). Whatever stride
and dilation are, tap k of any pixel lies a constant distance, offset[k], from the pixel's own place, so the tile reads
the input where it is: nothing is copied into columns. Where the input is padded, or stored in another type than it is
computed in, each channel of a block of pixels is first copied into a padded box (gemm_pixels.pxd). A block is as many pixels
as their input fits a second-level cache: of a row, of whole rows, of whole planes, or of several batch items, so that short
rows, tiny planes and single pixels still make tall tiles (gemm_work.pxd). Weights are packed in panels of two vectors of
output channels, the last panel one vector wide where that is enough (gemm_panels.pxd).
The sums of a tile are transposed into the output's planes while they are in the first-level cache. Long sums are
computed in chunks of products that go on from the stored sums: the same order of additions, whatever the blocks are.
Where a large dilation puts many taps in the padding, products come tap by tap, tiles are cut where the taps of their pixels change,
and taps in the padding are left out, if all weights are finite: infinity times padding is no number. Input whose channels fill lines
of the cache is turned for that (gemm_turned.pxd). Outputs of one frame of a volume leave out the same taps along z: there a block is
of one frame, and products come frame by frame of the kernel.
Few pixels of many channels are not worth packing weights for: their columns are copied then, and weights stay as the caller has them
(gemm_columns.pxd). Few products of pixels in long rows are summed the other way round, pixels on the lanes (wide_tile.pxd): no transposition
then, which would take too large a share. So are any products of 1x1 layers with many output channels: the first of these copy the pixels of
a block while they read them, so that the others do not meet planes far apart, whose lines and pages caches have few places for. Where strides
or the input's layout (channels last, say) leave no runs of pixels, they are gathered to such copies.
Complex numbers are pairs of real channels, half precision is computed in float32.
Weights that are not in order, as those of transposed convolutions are not, are packed from where they lie. For weight gradients, whose batch are
the input channels, results are written with batch and output channels exchanged: the pixels of all batch items are one run then.
Wins wherever there are many output channels and many products: nearly all layers of networks but depthwise ones.
Threads share out blocks, and panels where blocks are few; no sum is split between them.
Source: Chetlur et al., cuDNN: Efficient Primitives for Deep Learning, arXiv:1410.0759 (2014), for the product without columns; Goto and
van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008), for panels and caches.
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy, memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport Blocks, input_steps, number_type, real_bias, real_matrix, scratch_space
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.gemm_columns cimport COLUMN_ROWS, columns_of, do_columns, has_dots, panels_at_once
from cyconv.cpu.gemm_panels cimport Panels, first_of, pack, pack_view, panels_of
from cyconv.cpu.gemm_pixels cimport far_apart, find_inside, find_pixels, find_taps, frame_products, gather_boxes, has_runs
from cyconv.cpu.gemm_turned cimport turn_boxes, turned_start
from cyconv.cpu.gemm_wide cimport do_wide
from cyconv.cpu.gemm_work cimport (
    CHUNK, FEW_WEIGHTS, MOST_VIEWED, PAGE, RAW_CHUNK, VIEWED_SPAN, WIDEST_VECTOR, Room, View, Work, blocks_of, furnish, inside, inside_along, must_pack, open_work,
    packed_bytes, reopen_work, room_bytes,
)
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport HALF, put_stored
from cyconv.cpu.shuffle cimport STREAMS, lanes, own
from cyconv.cpu.simd cimport VB, vd, vf
from cyconv.cpu.tile cimport AHEAD, QUIET, SOON, TALLEST_TILE, TILE_ROWS, ceil_div, cut, tile_at, write_back

from cyconv import costs, memory

cnp.import_array()

cdef extern from "Python.h":
    void PyMem_Free(void*)

cdef double SECONDS_EACH = 2.2e-11      # of a multiply-add,
cdef double BYTE_SECONDS = 4e-11        # of a byte of weights, for single pixels: enough to tell whether a second thread is worth its start
cdef double PACK_SECONDS = 3e-10        # of a packed weight

EXCHANGES = SLICES = PACKS_VIEWS = True  # see menu.Algorithm

cdef enum:
    FEW_PIXELS = 512                    # up to which packing weights when they are needed costs less than ahead,
    SHARED_PIXELS = 1568                # or less than having them from another core's cache
    MANY_PLANES = 256                   # so many planes whole pages apart find no room in a second-level cache,
    PLANE_USES = 512                    # if each is read for so many bytes of output channels
    MANY_PIXELS = 256                   # of a block, whose products take longer than bringing its input and a panel near
    NEAR_PIXELS = 6                     # of a run that make a tile of their own, where a tile is one vector wide
    FAR_BYTES = 8 << 20                 # of an output that is written around the caches, where boxes are read in whole lines,
    VERY_FAR_BYTES = 32 << 20           # and where the caller's input has to be read across lines then
    TALLEST = 14                        # pixels of a tile, and sums that must be under way at once,
    LATENCY = 8                         # as the cost model counts them


def scratch(problem):
    """Bytes that one thread needs on any level, the table of offsets among them."""
    cdef Work w
    cdef double[6] parts
    cdef double most = 0
    cdef bint copyable = False
    for vector in (16, 32, WIDEST_VECTOR):
        for in_place, turned in ((True, True), (True, False), (False, False)):
            open_work(&w, problem, in_place, turned, vector)
            w.raw = True
            w.copies_pixels = w.copyable
            if not in_place and copyable:       # such input is gathered, not copied to boxes
                continue
            copyable = w.copyable
            most = max(most, room_bytes(&w, parts) + 4.0 * (w.blocks.products + SOON) * (1 + w.copies_pixels))
    return int(min(most, 2.0**62))


def why_not(problem):
    if "int" in problem.dtype:
        return f"its register tiles are for floating point, not {problem.dtype}"
    if scratch(problem) >= 2**31:
        return f"a block reads {scratch(problem)} bytes, more than 32-bit offsets reach"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    return costs.seconds("implicit_gemm", amounts(problem)), workspace(problem)


def workspace(problem):
    """Scratch of one thread, and packed weights: those that it cannot do without, and those of a single call, if there is memory for them."""
    cdef Work w
    cdef double least = scratch(problem), packed = 0
    for vector in (16, 32, WIDEST_VECTOR):
        open_work(&w, problem, True, True, vector)
        if must_pack(&w) or packs_ahead(&w) and least + packed_bytes(&w) <= problem.max_workspace:
            packed = max(packed, packed_bytes(&w))
    return int(min(least + packed, 2.0**62))


def amounts(problem):
    """The work, as costs.py counts it."""
    return work_amounts(problem, True)


def planned_amounts(problem):
    """That of a Plan's calls."""
    work = work_amounts(problem, False)
    work["weight"] = work["split"] = work["split_weight"] = 0
    return work


cdef dict work_amounts(problem, bint copies):
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t longest
    open_work(&w, problem, True, True, WIDEST_VECTOR)
    parts, size = costs.parts_and_size(problem)
    planes = problem.batch * problem.groups
    rows, lane = problem.out_channels * parts, costs.VECTOR_BYTES // size
    vectors = -(-rows // lane)  # rows, lane: Python ints
    blocks = problem.groups * blocks_of(&w)
    tiles = max(ceil_div(w.pixels, TALLEST), <Py_ssize_t> 1)
    height = w.pixels / tiles
    pairs, single = divmod(vectors, 2)
    fma = blocks * tiles * b.products * (pairs * max(2 * height, LATENCY) + single * max(height, LATENCY))
    if w.reordered:
        fma *= inside(&w, &longest) if w.by_tap else inside_along(&w, 0, &longest)
    if w.wide:
        height = rows / max(w.panels, <Py_ssize_t> 1)
        fma = planes * w.panels * ceil_div(w.area, 2 * lane) * b.products * max(2 * height, LATENCY)
        tiles, pairs, single = ceil_div(w.pixels, 2 * lane), w.panels, 0
    numbers = planes * b.channels * w.area if w.gathers else 0 if w.in_place else blocks * w.items * b.channels * b.plane
    run = w.pixels // w.items
    weights = problem.groups * rows * b.products
    packed, copied, column_fma, column_sums, read_in_place = problem.groups * lane * vectors * b.products, 0, 0, 0, 0
    if w.copies and copies:
        columns = columns_of(w.pixels, lane, has_dots(&w))
        column_fma = weights * (columns.vectors + columns.left / lane)
        column_sums = problem.groups * rows * (columns.vectors + columns.left)
        copied = problem.groups * b.products * (columns.left + ceil_div(b.out[2], lane) * (w.pixels // b.out[2]))
        read_in_place = weights * size
        packed = fma = 0
    read = min(<double> w.area * problem.taps, <double> b.box.axis[0].n * b.box.axis[1].n * b.box.axis[2].n)
    return {
        "call": 1,
        "block": blocks,
        "weight": packed,
        "split": 1 if parts > 1 or b.kind == HALF else 0,
        "split_weight": weights if parts > 1 or b.kind == HALF else 0,
        "copied": copied,
        "column_fma": column_fma,
        "column_sum": column_sums,
        "weight_byte": read_in_place,
        "gathered_row": numbers / max(b.box.axis[2].length, 1),
        "gathered_byte": numbers * size,
        "fma": fma,
        "tile": blocks * tiles * (pairs + single),
        "written": planes * rows * w.area if run >= lane and not w.wide else 0,
        "scattered": planes * rows * w.area if run < lane else 0,
        "converted": (planes * rows * w.area if not w.straight else 0) + (numbers if b.kind == HALF else 0),
        "far_byte": costs.far_bytes(problem, size * parts),
        # planes side by side, a short piece of each at a time: the hardware does not foresee that
        "far_in_place": max(planes * b.channels * read * size - costs.CACHE_BYTES, 0) if w.in_place and not w.wide else 0,
    }


# ---- weights -------------------------------------------------------------------------------------------------------------


def prepare(problem, weight):
    """The weights as the register tiles read them: [group][panel][k][channel], one flat array."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    reopen_work(&w, problem)
    cdef Panels panels = panels_of(&w)
    matrix = weight if look_at_view(&w, problem, weight) else real_matrix(b, problem, weight)
    packed = memory.empty(w.groups * panels.numbers + w.reordered, number_type(b))
    if w.reordered:                     # behind the panels stands whether taps may be left out
        packed[w.groups * panels.numbers] = all_finite(<const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix), matrix.size, <int> b.size)
    cdef Packing packing
    cdef double seconds = <double> w.groups * w.rows * b.products * PACK_SECONDS
    cdef int threads = worth_workers(seconds, 1, 1 << 40)
    packing.w, packing.panels = &w, panels
    packing.source = <const char*> cnp.PyArray_DATA(<cnp.ndarray> matrix)
    packing.to = <char*> cnp.PyArray_DATA(<cnp.ndarray> packed)
    run_items(<Item> pack_panel, &packing, w.groups * w.panels, <double> w.groups * w.rows * b.products, threads, NULL, 0, False)
    return packed


cdef struct Packing:
    const Work* w
    Panels panels
    const char* source
    char* to


cdef void pack_panel(const Packing* p, Py_ssize_t item, char* scratch) noexcept nogil:
    cdef const Work* w = p.w
    cdef Py_ssize_t size = w.blocks.size, products = w.blocks.products, lane = VB // size
    cdef Py_ssize_t group = item // w.panels, panel = item % w.panels, first = first_of(w, panel), channels = first_of(w, panel + 1) - first
    cdef int vectors = <int> p.panels.vectors if w.wide or channels > lane else 1
    cdef Py_ssize_t taps = w.taps[0] * w.taps[1] * w.taps[2]
    cdef const char* source = p.source + (group * w.rows + first) * products * size
    cdef char* to = p.to + (group * p.panels.numbers + panel * p.panels.vectors * lane * products) * size
    cdef Py_ssize_t slice, each = products // w.slices
    if w.viewed and size == 4:
        pack_view(<vf*> NULL, &w.view, first, channels, 0, products, vectors, to)
        return
    if w.viewed:
        pack_view(<vd*> NULL, &w.view, first, channels, 0, products, vectors, to)
        return
    for slice in range(w.slices):
        if size == 4:
            pack(<vf*> NULL, source + slice * each * size, products * size, channels, each, vectors, taps, w.inner, to)
        else:
            pack(<vd*> NULL, source + slice * each * size, products * size, channels, each, vectors, taps, w.inner, to)
        to += each * vectors * VB


cdef void pack_own(const Work* w, Room* room) noexcept nogil:
    """All weights to a thread's own room."""
    cdef Packing packing
    cdef Py_ssize_t item
    packing.w, packing.panels, packing.source, packing.to = w, panels_of(w), w.weight, room.panel
    for item in range(w.groups * w.panels):
        pack_panel(&packing, item, NULL)
    room.packed = True


cdef bint look_at_view(Work* w, problem, cnp.ndarray weight) except -1:
    """Whether weights that are not in order are packed from where they lie; fills w.view then."""
    cdef View* v = &w.view
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t[MOST_VIEWED] at
    cdef Py_ssize_t a, i, rest, rank = w.blocks.rank, lowest = 0, highest = 0, size = w.blocks.size
    w.viewed = False
    if cnp.PyArray_IS_C_CONTIGUOUS(weight) or not w.straight or w.groups != 1 or w.wide or w.reordered or not 0 < problem.taps <= MOST_VIEWED:
        return False
    v.row, v.channel, v.taps = cnp.PyArray_STRIDE(weight, 0), cnp.PyArray_STRIDE(weight, 1), problem.taps
    for a in range(3):
        step[a] = cnp.PyArray_STRIDE(weight, a - 3 + rank + 2) if a >= 3 - rank else 0
        if step[a] % size:
            return False
    for i in range(v.taps):
        at[i], rest = 0, i
        for a in range(2, -1, -1):
            at[i] += rest % w.taps[a] * step[a]
            rest //= w.taps[a]
        lowest, highest = min(lowest, at[i]), max(highest, at[i])
    v.span = (highest - lowest) // size + 1
    if v.span > VIEWED_SPAN:
        return False
    for i in range(v.taps):
        v.place[i] = (at[i] - lowest) // size
    v.weight = <const char*> cnp.PyArray_DATA(weight) + lowest
    v.limit = v.weight + (w.rows - 1) * v.row + (w.blocks.channels - 1) * v.channel + v.span * size
    w.viewed = v.row >= 0 and v.channel >= 0
    return w.viewed


cdef bint packs_ahead(const Work* w) noexcept nogil:
    """Whether weights had better be packed at once for all threads."""
    if w.reordered:
        return blocks_of(w) > 1 and not w.own
    return not w.own and w.rows * w.groups * w.blocks.products > FEW_WEIGHTS and w.batch * w.area > FEW_PIXELS


cdef bint has_memory(const Work* w, object problem) except -1:
    """Whether max_workspace lets a single call keep packed weights, too."""
    if "implicit_gemm scratch" not in problem.kept:
        problem.kept["implicit_gemm scratch"] = scratch(problem)
    return packed_bytes(w) + <double> problem.kept["implicit_gemm scratch"] <= problem.max_workspace


def prepare_once(problem, weight):
    """The weights as they are where they need no packing, or each thread had better pack them for itself: all of them where they
    are few, or a panel that one block alone uses, or where few pixels use them a chunk whenever it is needed."""
    cdef Work w
    reopen_work(&w, problem)
    if must_pack(&w):
        return prepare(problem, weight)
    if look_at_view(&w, problem, weight):
        return weight if w.own or w.batch * w.area <= FEW_PIXELS or not has_memory(&w, problem) else prepare(problem, weight)
    if w.reordered and blocks_of(&w) > 1 and (not w.own or threads_of(&w, 0, problem) == 1) and has_memory(&w, problem):
        return prepare(problem, weight)
    if not w.reordered and packs_ahead(&w) and has_memory(&w, problem):
        if w.batch * w.area > SHARED_PIXELS or threads_of(&w, 0, problem) == 1:
            return prepare(problem, weight)
    return weight if cnp.PyArray_IS_C_CONTIGUOUS(weight) else np.ascontiguousarray(weight)


# ---- one item of work ------------------------------------------------------------------------------------------------------


cdef void do_panel(const lanes* like, const Work* w, Room* room, Py_ssize_t g, Py_ssize_t panel, Py_ssize_t pixels, Py_ssize_t run,
                   const char* base, char* to) noexcept nogil:
    """All pixels of a block and one panel of output channels; `to` is the panel's first output of the block's first item."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, lane = VB // size, first = panel * 2 * lane, channels = min(2 * lane, w.rows - first)
    cdef Py_ssize_t chunk, k0, products, p, q, t, rows, at, end, count, d, tiles, length, passes = 1, hop = 0, chunks = w.chunks // w.slices
    cdef Py_ssize_t each = b.products // w.slices
    cdef Py_ssize_t taps = w.taps[0] * w.taps[1] * w.taps[2]
    cdef uint64_t tap = 0
    cdef int vectors = 1 if channels <= lane else 2
    cdef const char* weight
    cdef const char* start
    cdef bint last, row                 # row: whether a tile's pixels lie in one
    cdef bint begins = room.slice == 0, ends = room.slice == w.slices - 1
    cdef Py_ssize_t item_step = w.item * size, plane = w.plane * size
    cdef char* sums
    memset(room.start, 0, 2 * VB)
    memcpy(room.start, w.bias + (g * w.rows + first) * size, channels * size)
    if vectors == 2 or not w.in_place:  # one vector's products are soon done, and leave room to ask for either weights or pixels
        hop = vectors * VB
    if vectors == 1 and w.quiet and pixels >= MANY_PIXELS:
        hop = QUIET
    tiles = ceil_div(pixels, <Py_ssize_t> TALLEST_TILE if vectors == 1 else <Py_ssize_t> TILE_ROWS)
    if w.raw and w.reordered and not w.own:
        pack(like, w.weight + ((g * w.rows + first) * b.products + room.slice * each) * size, b.products * size, channels, each, vectors,
             taps, w.inner, room.panel)
    if w.skips:
        passes = chunks // taps
    if w.by_frame:
        chunks = max(ceil_div(room.end - room.first, CHUNK), <Py_ssize_t> 1)
    for chunk in range(chunks):
        if w.skips:
            tap = <uint64_t> 1 << chunk // passes
        k0 = room.first + cut(room.end - room.first, chunk, chunks)
        products = room.first + cut(room.end - room.first, chunk + 1, chunks) - k0
        if w.raw and w.reordered and not w.own:
            weight = room.panel + (k0 - room.slice * each) * vectors * VB
        elif w.viewed and not w.own:
            pack_view(like, &w.view, first, channels, k0, products, vectors, room.panel)
            weight = room.panel
        elif w.raw and not w.own:
            pack(like, w.weight + ((g * w.rows + first) * b.products + k0) * size, b.products * size, channels, products, vectors,
                 1, 1, room.panel)
            weight = room.panel
        else:
            weight = (room.panel if w.raw else w.weight) + ((g * ceil_div(w.rows, lane) * lane + first) * b.products + k0 * vectors * lane) * size
        last = ends and chunk == chunks - 1
        at = 0
        t = q = 0
        while q < pixels:
            p = q
            length = room.neighbours[p]
            if vectors == 1 and NEAR_PIXELS <= length < pixels or w.skips:
                # one vector's multiply-adds do not hide the places: tiles of neighbours, nearly equal pieces of a run
                q = p + ceil_div(length, ceil_div(length, <Py_ssize_t> TALLEST_TILE if vectors == 1 else <Py_ssize_t> TILE_ROWS))
            else:
                while q <= p:
                    t += 1
                    q = cut(pixels, t, tiles)
            rows = q - p
            sums = room.sums + p * 2 * VB
            if last and w.straight and run > 1:
                for d in range(channels):       # ask early for the lines that will be written
                    own(to + p // run * item_step + d * plane + p % run * size)
            start = room.start if begins and chunk == 0 else NULL
            if w.skips:
                start = room.start if begins and chunk % passes == 0 and room.inside[p] & (tap - 1) == 0 else NULL
            if w.skips and not room.inside[p] & tap:
                if last and not room.inside[p]:
                    for d in range(rows):
                        memcpy(sums + d * 2 * VB, room.start, 2 * VB)
            else:
                row = room.neighbours[p] >= rows
                tile_at(<int> rows, vectors, w.step if row else 0, like, products, base + (room.place[p] if row else 0), room.place + p,
                        b.offset + k0, weight, start, sums, weight + AHEAD, hop)
            if not last:
                continue
            while at < q:                       # whole squares, and what is left of a run at its end
                end = at // run * run + run
                if q < end:
                    count = (q - at) // lane * lane
                    if count == 0:
                        break
                    put(like, w, room, at, count, run, channels, to, item_step, plane)
                    at += count
                    break
                p = at
                if end - at < lane <= run:      # an incomplete square overlaps the one before
                    p = end - lane
                put(like, w, room, p, end - p, run, channels, to, item_step, plane)
                at = end
    if not w.straight:
        for t in range(pixels // run):
            p = t * run
            for d in range(channels):
                put_stored(b.kind, room.planes + (d * w.pixels + p) * size,
                           to + (p // run * w.item + d // b.parts * w.plane * b.parts + d % b.parts) * b.stored_size, b.parts, run)


cdef inline void put(const lanes* like, const Work* w, Room* room, Py_ssize_t at, Py_ssize_t count, Py_ssize_t run, Py_ssize_t channels,
                     char* to, Py_ssize_t item_step, Py_ssize_t plane) noexcept nogil:
    """Sums of neighbouring pixels to the output, or to planes that are converted later."""
    cdef Py_ssize_t size = w.blocks.size
    if not w.straight:
        write_back(like, room.sums + at * 2 * VB, count, channels, room.planes + at * size, w.pixels * size)
    elif plane == size:
        memcpy(to + at * item_step, room.sums + at * 2 * VB, channels * size)
    else:
        write_back(like, room.sums + at * 2 * VB, count, channels, to + at // run * item_step + at % run * size, plane)


cdef void do_item(const Work* w, Py_ssize_t item, Room* room) noexcept nogil:
    """One share of the panels of one block: gather, sum, write."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t share = item % w.shares, block = item // w.shares, left = block, g, panel, run, pixels, least = min(b.block[2], 2 * VB // b.size)
    cdef Py_ssize_t begin = cut(w.panels, share, w.shares), end = cut(w.panels, share + 1, w.shares), slice
    cdef bint found = room.gathered == block
    cdef Py_ssize_t[4] origin
    cdef Py_ssize_t[4] extent
    cdef int a
    cdef const char* base
    cdef char* to
    for a in range(2, -1, -1):
        origin[a + 1] = left % b.count[a] * b.block[a]
        extent[a + 1] = b.block[a]
        if a == 2 and origin[3] == 0:
            extent[3] += w.lead
        elif a == 2:
            origin[3] += w.lead
        extent[a + 1] = min(extent[a + 1], b.out[a] - origin[a + 1])
        left //= b.count[a]
        if w.wide and a == 2 and extent[3] < least:     # a run as long as two vectors: some outputs are computed twice
            extent[3] = least
            origin[3] = b.out[2] - least
    g = left % w.groups
    origin[0] = left // w.groups * w.items
    extent[0] = min(w.items, w.batch - origin[0])
    if w.skips and not found:
        find_pixels(w, extent, room)
        find_inside(w, origin, extent, room)
    elif not w.joined and memcmp(extent, room.extent, sizeof(extent)) != 0:
        find_pixels(w, extent, room)
    room.first, room.end, room.slice = 0, b.products, 0
    if w.by_frame:
        frame_products(w, origin[1], room)
    if w.in_place:
        base = w.input + origin[0] * w.input_step[0] + g * w.input_step[1]
        room.pixel = origin[3]
        for a in range(3):
            base += ((0 if w.gathers else origin[a + 1] * w.stride[a]) - b.box.axis[a].pad) * b.box.step[a]
    else:
        base = room.boxes + (turned_start(w, origin) if w.turned else 0)
        if not found and not w.turned:
            gather_boxes(w, g, origin, extent, room.boxes)
    room.gathered = block
    run = extent[1] * extent[2] * extent[3]
    if w.raw and w.own and not room.packed:
        pack_own(w, room)
    if w.wide:
        to = w.out + (origin[0] * w.item + g * w.rows * w.plane) * b.size
        to += ((origin[1] * b.out[1] + origin[2]) * b.out[2] + origin[3]) * b.size
        if b.size == 4:
            do_wide(<vf*> NULL, w, room, g, share, extent[0] * run, run, base, to)
        else:
            do_wide(<vd*> NULL, w, room, g, share, extent[0] * run, run, base, to)
        return
    if w.copies:
        to = w.out + (origin[0] * w.item + g * w.rows * w.plane + (origin[1] * b.out[1] + origin[2]) * b.out[2] + origin[3]) * b.size
        if b.size == 4:
            do_columns(<vf*> NULL, w, room, g, share, block, extent[0] * run, run, base, to)
        else:
            do_columns(<vd*> NULL, w, room, g, share, block, extent[0] * run, run, base, to)
        return
    pixels = extent[0] * run
    if w.exchanged and run == w.area:
        run = pixels
    for slice in range(w.slices):
        if w.slices > 1:
            room.slice, room.first = slice, slice * (b.products // w.slices)
            room.end = room.first + b.products // w.slices
        if w.turned and (not found or w.slices > 1):
            turn_boxes(w, g, slice, origin, extent, room.boxes)
        for panel in range(begin, end):
            # panels hold an even number of channels, so that parts of one complex number never part
            to = w.out + (origin[0] * w.item + (g * w.rows + panel * 2 * VB // b.size) * w.plane
                          + ((origin[1] * b.out[1] + origin[2]) * b.out[2] + origin[3]) * b.parts) * b.stored_size
            if w.slices > 1:
                room.sums = room.all_sums + (panel - begin) * w.pixels * 2 * VB
            if b.size == 4:
                do_panel(<vf*> NULL, w, room, g, panel, pixels, run, base, to)
            else:
                do_panel(<vd*> NULL, w, room, g, panel, pixels, run, base, to)


cdef inline double work_of(const Work* w) noexcept nogil:
    """Multiply-adds."""
    return <double> w.batch * w.groups * w.rows * w.area * w.blocks.products


cdef bint finite_weights(const Work* w, cnp.ndarray weight) except -1:
    """Whether taps in the padding may be left out: behind packed weights stands a number that tells."""
    if cnp.PyArray_NDIM(weight) == 1:
        return weight[weight.size - 1] != 0
    return all_finite(<const char*> cnp.PyArray_DATA(weight), weight.size, <int> w.blocks.size)


cdef int threads_of(const Work* w, Py_ssize_t room, problem, double packed=0) except -1:
    """How many threads are worth it that need so many bytes of room each beside packed weights."""
    cdef double seconds = work_of(w) * SECONDS_EACH + <double> w.groups * w.rows * w.blocks.products * w.blocks.size * BYTE_SECONDS
    return worth_workers(seconds, room, problem.max_workspace, packed)


cdef bint collides(const Work* w) noexcept nogil:
    """Whether lines of so many planes would share the few places that caches have for numbers whole pages apart, so often that copies
    to boxes take less time (measured: 1.1 to 1.6; pixels on the lanes meet each line once, and lose)."""
    return not w.wide and w.input_step[2] % PAGE == 0 and w.blocks.channels >= MANY_PLANES and w.rows * w.blocks.size >= PLANE_USES


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous, or so with its first two axes exchanged). `weight` is what `prepare` or `prepare_once` returned."""
    cdef Work w
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t items, room
    cdef double[6] parts
    cdef int workers, i
    cdef char* base
    cdef bint viewed
    reopen_work(&w, problem)
    try:
        input_steps(b, input, w.input_step, b.box.step)
        w.raw = cnp.PyArray_NDIM(weight) > 1
        viewed = w.raw and look_at_view(&w, problem, weight)
        w.copies = w.copies and not viewed
        if w.in_place and not w.by_tap and not (w.copies and w.raw) and collides(&w):
            open_work(&w, problem, False, False, VB)
        if w.turned and (b.box.step[2] != b.size or w.copies and w.raw):
            open_work(&w, problem, True, False, VB)
        if w.by_tap:                    # pixels that are no neighbours would make tiles of one
            w.skips = b.box.step[2] == b.size and finite_weights(&w, weight)
        w.by_frame = w.by_frame and finite_weights(&w, weight)
        if w.copyable and (w.gathers or not has_runs(&w) or far_apart(&w)):
            w.gathers = w.copies_pixels = True
            find_taps(&w)
        elif (w.wide and w.in_place and not has_runs(&w)) or (w.by_tap and not w.skips) or not find_taps(&w):
            open_work(&w, problem, False, False, VB)
            find_taps(&w)
        w.copies = w.copies and w.raw and not viewed
        if viewed:                      # another opening forgot it
            look_at_view(&w, problem, weight)
        if w.copies:
            w.panels = ceil_div(w.rows, COLUMN_ROWS)
        elif w.raw and not w.own and not w.reordered:
            w.chunks = max(ceil_div(b.products, RAW_CHUNK), <Py_ssize_t> 1)
        w.input = <const char*> cnp.PyArray_DATA(input)
        w.weight = <const char*> cnp.PyArray_DATA(weight)
        sums_from = real_bias(b, bias)
        w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> sums_from)
        w.out = <char*> cnp.PyArray_DATA(out)
        w.exchanged = not cnp.PyArray_IS_C_CONTIGUOUS(out)
        w.plane = w.batch * w.area if w.exchanged else w.area
        w.item = w.area * b.parts if w.exchanged else w.groups * w.rows * w.area
        items = w.groups * blocks_of(&w)
        room = <Py_ssize_t> room_bytes(&w, parts) // 64 * 64 + 64
        workers = threads_of(&w, room, problem, 0 if w.raw else <double> cnp.PyArray_NBYTES(weight))
        w.shares = min(w.panels, ceil_div((5 if w.gathers else 8) * workers, items)) if workers > 1 else 1
        if workers > 1 and (w.slices > 1 or w.copies and columns_of(w.pixels, VB // b.size, False).panels > panels_at_once(&w)):
            w.shares = min(w.panels, ceil_div(workers, items))      # each of them turns all input, or copies all columns
        items *= w.shares               # those of a block one after the other: the thread that has them gathers it once
        workers = min(workers, items)
        # Many channels had better be loaded in whole lines, if all of them can be: loads across lines were measured to take up to
        # 1.25 of a call's time, stores across lines nothing.
        w.aligned = w.wide and w.in_place and not w.copies_pixels and b.products == b.channels >= 2 * TILE_ROWS and w.input_step[2] % VB == 0
        if w.aligned and w.joined and b.count[2] > 1:
            w.lead = (VB - <Py_ssize_t> (<size_t> w.input % VB)) % VB // b.size
        # whoever reads so large a result finds none of it in a cache anyway, and its lines need not be read before they are written
        w.past = STREAMS and w.wide and not w.aligned and not w.exchanged and w.area * b.size % VB == 0
        w.past = w.past and <double> w.batch * w.groups * w.rows * w.area * b.size >= (VERY_FAR_BYTES if w.in_place else FAR_BYTES)
        space = scratch_space(room * workers + 64)
        base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
        for i in range(workers):
            furnish(<Room*> (base + i * room), parts)
        run_items(<Item> do_item, &w, items, work_of(&w), workers, base, room, b.exact)
    finally:
        PyMem_Free(b.offset)

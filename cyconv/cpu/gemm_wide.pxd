"""Blocks of implicit_gemm with pixels on the lanes: pieces of output channels that read a block's pixels in place, or copies of them that
the first piece made (wide_tile.pxd), or that were gathered here.
"""
from libc.stdint cimport int32_t

from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.gemm_panels cimport Panels, panels_of
from cyconv.cpu.gemm_pixels cimport gather_tile
from cyconv.cpu.gemm_work cimport PAGE, Room, Work
from cyconv.cpu.shuffle cimport drain, lanes
from cyconv.cpu.simd cimport VB
from cyconv.cpu.tile cimport SOON, cut
from cyconv.cpu.wide_tile cimport FEWEST_COPY, JOINED, KEPT, PARTLY, PAST, PLAINLY, Target, copy_pair, copy_single, wide_pair, wide_single

cdef enum:
    MANY_PRODUCTS = 48                  # of planes, so far apart that few of their lines fit a first-level cache at once,
    LEAST_PLANES = 12                   # or so many planes whole pages apart, whose lines share few places there: of few products those a few
    FEW_PRODUCTS = 24                   # ahead are asked for, and of the output no line, which they would drive out again
    PAGE_SOON = 6


cdef inline void do_wide(const lanes* like, const Work* w, Room* room, Py_ssize_t g, Py_ssize_t share, Py_ssize_t pixels, Py_ssize_t run,
                         const char* base, char* to) noexcept nogil:
    """All pixels of a block and one share of the pieces of output channels, pixels on the lanes."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, lane = VB // size, p, x, length, shift, step, piece, first, rows, plane = w.plane * size
    cdef Py_ssize_t begin = cut(w.panels, share, w.shares), end = cut(w.panels, share + 1, w.shares)
    cdef Panels panels = panels_of(w)
    cdef Py_ssize_t pitch = panels.vectors * VB
    cdef const char* weight = (room.panel if w.raw else w.weight) + g * panels.numbers * size
    cdef const char* bias = w.bias + g * w.rows * size
    cdef bint past, kept
    cdef char* out
    cdef Target target
    cdef Py_ssize_t tile
    cdef int soon = 0                           # the next tile's come soon enough
    cdef const int32_t* offset = b.offset
    cdef const char* start
    cdef const char* from_
    cdef const char* row
    cdef char* packed
    cdef bint copies, copied = w.copies_pixels and room.gathered == room.copied     # pixels of this block, all tiles one behind the other
    if w.in_place and b.products >= MANY_PRODUCTS:
        soon = SOON
    elif w.in_place and b.channels >= LEAST_PLANES and b.products <= FEW_PRODUCTS and w.input_step[2] % PAGE == 0:
        soon = PAGE_SOON
    target.plane, target.joint, target.early = plane, room.sums, soon != PAGE_SOON
    # A block's input stays in a cache and meets one piece after the other: few planes are written at a time, in long runs.
    for piece in range(begin, end):
        first = cut(w.rows, piece, w.panels)
        rows = cut(w.rows, piece + 1, w.panels) - first
        row = weight + piece * b.products * pitch
        packed = room.boxes
        if copied or w.gathers:
            offset = b.offset + b.products + SOON
        copies = w.copies_pixels and not copied and not w.gathers and rows >= FEWEST_COPY
        p = 0
        kept = False                            # whether the beginning of the next line stands in the joint
        while p < pixels:
            length = run if w.joined else min(room.neighbours[p], run - p % run)
            start = base + (p // run * w.input_step[0] if w.joined else room.place[p])
            out = to + (p // run * w.item + p % run) * size + first * plane
            shift = 0
            if length >= 8 * lane and (plane % VB == 0 and not w.copies_pixels or w.aligned):
                # up to the first whole line one short tile, so that the others write whole lines, or read them; copies stand in whole ones
                shift = (VB - <Py_ssize_t> (<size_t> (start if w.aligned else out) % VB)) % VB // size
            past = w.past and (length >= 8 * lane or length % lane == 0 and <size_t> out % VB == 0)
            x = 0
            while x < length:
                step = lane if shift or w.lone or length - x <= lane else 2 * lane
                target.way, target.lo, target.hi = PLAINLY, 0, lane
                if past:
                    if shift and kept:
                        target.way, target.lo = JOINED, lane - shift
                    elif shift:
                        target.way, target.hi = PARTLY, shift
                    elif <size_t> (out + x * size) % VB == 0:
                        target.way = PAST
                        step = min(step, (length - x) // lane * lane)
                        if step == 0:           # less than a line is left
                            step = lane
                            target.lo = x + step - length
                            target.way = KEPT if p % run + length < run else PARTLY
                    kept = target.way == KEPT
                target.tiles = 1
                if not shift and (target.way == PAST or target.way == PLAINLY) and not (w.lone and w.gathers):
                    target.tiles = max((length - x) // step, <Py_ssize_t> 1)
                x = min(x, length - step)       # the last tile overlaps the one before
                target.out = out + x * size
                target.next = b.products * 2 * VB if copied else step * size
                target.copy = packed
                from_ = packed if copied else start + x * size
                if w.gathers and not copied:
                    for tile in range(target.tiles):
                        gather_tile(like, w, start, room.pixel + x + tile * step, step // lane, packed + tile * b.products * 2 * VB)
                    from_, target.next = packed, b.products * 2 * VB
                if copies and step == lane:
                    copy_single(<int> rows, like, b.products, from_, offset, row, pitch, soon, bias + first * size, &target)
                elif copies:
                    copy_pair(<int> rows, like, b.products, from_, offset, row, pitch, soon, bias + first * size, &target)
                elif step == lane:
                    wide_single(<int> rows, like, b.products, from_, offset, row, pitch, soon, bias + first * size, &target)
                else:
                    wide_pair(<int> rows, like, b.products, from_, offset, row, pitch, soon, bias + first * size, &target)
                if not w.lone:                  # which nobody else reads
                    packed += target.tiles * b.products * 2 * VB
                x += shift if shift else step * target.tiles
                shift = 0
            p += length
        copied = copied or copies or w.gathers
    if copied and not w.lone:
        room.copied = room.gathered
    if w.past:
        drain()

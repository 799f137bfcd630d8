"""The pixels of a block of implicit_gemm: where they stand, and how far each product of a pixel lies from it.

Either in the caller's input itself or in padded boxes, one per batch item and channel, which are gathered here.
"""
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset

from cyconv.cpu.blocks cimport Blocks
from cyconv.cpu.gemm_work cimport Room, Work, lines_of, pixel_bytes
from cyconv.cpu.packing cimport HALF, ZEROS, copy_run, gather_stored
from cyconv.cpu.shuffle cimport LANES_D, LANES_F, even, fetch, lanes
from cyconv.cpu.simd cimport VB, vf
from cyconv.cpu.square cimport turn
from cyconv.cpu.tile cimport LINE, LINE_BYTES, SOON, TILE_ROWS, apart, ask_next

cdef extern from "Python.h":
    void* PyMem_Malloc(size_t)


cdef inline bint has_runs(const Work* w) noexcept nogil:
    """Whether the input lies so that pixels which should be neighbours are: in rows, and short rows one behind the other."""
    cdef const Blocks* b = &w.blocks
    if b.box.step[2] != b.size:
        return False
    if w.joined:
        return (b.box.axis[1].n == 1 or b.box.step[1] == b.box.axis[2].n * b.size) and (
            b.box.axis[0].n == 1 or b.box.step[0] == b.box.axis[1].n * b.box.axis[2].n * b.size)
    return b.out[2] >= 2 * VB // b.size or b.box.step[1] == b.out[2] * b.size


cdef inline bint far_apart(const Work* w) noexcept nogil:
    """Whether offsets of products from a pixel of the input do not fit 32 bits."""
    cdef double farthest = abs(<double> w.input_step[2] * max(w.blocks.channels - 1, <Py_ssize_t> 0)) + 8
    cdef int a
    for a in range(3):
        farthest += abs((w.taps[a] - 1.0) * w.dilation[a] * w.blocks.box.step[a])
    return farthest >= 2.0**31


cdef inline Py_ssize_t place_of(const Work* w, Py_ssize_t c) noexcept nogil:
    """Bytes from channel 0 to channel c of a pixel."""
    cdef const Blocks* b = &w.blocks
    if w.turned:
        c %= b.channels // w.slices
        return c * b.size // LINE_BYTES * b.plane * LINE_BYTES + c * b.size % LINE_BYTES
    if w.in_place:
        return c // b.parts * w.input_step[2] + c % b.parts * b.stored_size
    return c * b.plane * b.size


cdef inline bint find_taps(Work* w) except -1:
    """Fills the table of offsets, and behind it the one for copied pixels; False if an offset does not fit 32 bits."""
    cdef Blocks* b = &w.blocks
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t c, z, y, x, at, i, tap, channel, phase
    cdef Py_ssize_t slice = max(b.channels // w.slices, <Py_ssize_t> 1), outer
    cdef int a
    outer = w.taps[0] * w.taps[1] * w.taps[2] // w.inner
    for a in range(3):
        step[a] = w.dilation[a]
    if w.in_place:
        for a in range(3):
            step[a] *= b.box.step[a]
        if far_apart(w) and not w.gathers:
            return False
    else:
        step[2] *= pixel_bytes(w)
        step[1] *= b.box.axis[2].length * pixel_bytes(w)
        step[0] *= b.box.axis[1].length * b.box.axis[2].length * pixel_bytes(w)
    if b.offset == NULL:
        b.offset = <int32_t*> PyMem_Malloc((b.products + SOON) * (1 + w.copies_pixels) * sizeof(int32_t))
        if b.offset == NULL:
            raise MemoryError(f"no room for a table of {b.products} offsets")
    if w.copies_pixels:
        for i in range(b.products + SOON):
            b.offset[b.products + SOON + i] = <int32_t> (i * 2 * VB)
    for c in range(b.channels):
        channel = place_of(w, c)
        tap = 0
        for z in range(w.taps[0]):
            for y in range(w.taps[1]):
                at = channel + z * step[0] + y * step[1]
                for x in range(w.taps[2]):
                    i = (c // slice * outer + tap // w.inner) * slice + c % slice
                    i = i * w.inner + tap % w.inner
                    tap += 1
                    if b.box.axis[2].stride > 1:
                        phase = x % b.box.axis[2].phases * b.box.axis[0].length * b.box.axis[1].length * b.box.axis[2].length
                        b.offset[i] = <int32_t> (at + (phase + x * w.dilation[2] // w.stride[2]) * b.size)
                    else:
                        b.offset[i] = <int32_t> (at + x * step[2])
    ask_next(b.offset, b.products, 2 * VB if w.wide else TILE_ROWS * b.size)
    return True


cdef inline void clear_run(char* to, Py_ssize_t bytes) noexcept nogil:
    cdef Py_ssize_t i = 0
    if bytes >= 64:
        memset(to, 0, bytes)
    else:
        while i < bytes:
            memset(to + i, 0, 4)
            i += 4


cdef inline void gather_rows(const Work* w, const char* src, const Py_ssize_t* begin, const Py_ssize_t* end, const Py_ssize_t* filled,
                      char* box, Py_ssize_t ahead) noexcept nogil:
    """One channel's box where padding is zeros and the numbers of a row are neighbours. src: the box's first sample, were
    it one of the input; samples begin to end of the box are; ahead: bytes to the next channel."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t size = b.size, pitch = b.box.axis[2].length * size, slab = b.box.axis[1].length * pitch, z, _y, i
    cdef Py_ssize_t left = begin[2] * size, length = (end[2] - begin[2]) * size, right = (filled[2] - end[2]) * size
    cdef const char* row
    cdef char* to
    for z in range(filled[0]):
        to = box + z * slab
        if z < begin[0] or z >= end[0]:
            memset(to, 0, slab)
            continue
        if begin[1] > 0:
            memset(to, 0, begin[1] * pitch)
        to += begin[1] * pitch
        row = src + z * b.box.step[0] + begin[1] * b.box.step[1] + left
        for _y in range(end[1] - begin[1]):
            i = 0
            while i < length:                   # runs this short are not foreseen by the hardware
                fetch(row + ahead + i)
                i += 64
            clear_run(to, left)
            copy_run(to + left, row, length)
            clear_run(to + left + length, right)
            to += pitch
            row += b.box.step[1]
        if end[1] < filled[1]:
            memset(to, 0, (filled[1] - end[1]) * pitch)


cdef inline apart gather_boxes(const Work* w, Py_ssize_t g, const Py_ssize_t* origin, const Py_ssize_t* extent, char* boxes) noexcept nogil:
    """The padded boxes of a block, [item][channel]; origin and extent in items and outputs."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] filled
    cdef Py_ssize_t[3] begin
    cdef Py_ssize_t[3] end
    cdef Py_ssize_t n, c, start = 0
    cdef int a
    cdef const char* src
    cdef bint plain = b.box.mode == ZEROS and b.kind != HALF and b.box.step[2] == b.size and b.box.axis[2].stride == 1
    for a in range(3):
        first[a] = origin[a + 1] * w.stride[a]
        filled[a] = b.box.axis[a].length - (b.block[a] - extent[a + 1]) * w.stride[a]
    if b.box.axis[2].stride > 1:
        first[2] = origin[3]
        filled[2] = b.box.axis[2].length - (b.block[2] - extent[3])
    for a in range(3):
        begin[a] = min(max(b.box.axis[a].pad - first[a], <Py_ssize_t> 0), filled[a])
        end[a] = min(max(b.box.axis[a].n + b.box.axis[a].pad - first[a], begin[a]), filled[a])
        start += (first[a] - b.box.axis[a].pad) * b.box.step[a]
    for n in range(extent[0]):
        src = w.input + (origin[0] + n) * w.input_step[0] + g * w.input_step[1]
        for c in range(b.channels):
            if plain:
                gather_rows(w, src + start + c // b.parts * w.input_step[2] + c % b.parts * b.stored_size, begin, end, filled,
                            boxes + (n * b.channels + c) * b.plane * b.size, w.input_step[2])
            else:
                gather_stored(b.kind, src + c // b.parts * w.input_step[2] + c % b.parts * b.stored_size, &b.box, first, filled,
                              boxes + (n * b.channels + c) * b.plane * b.size)


cdef inline apart find_inside(const Work* w, const Py_ssize_t* origin, const Py_ssize_t* extent, Room* room) noexcept nogil:
    """Which taps of a block's pixels are not in the padding; where these change, a run of neighbours ends."""
    cdef Py_ssize_t z, y, x, i, j, _n, p = 0
    cdef uint64_t rows
    cdef uint64_t[3] axis
    for _n in range(extent[0]):
        for z in range(extent[1]):
            axis[0] = taps_inside(w, 0, origin[1] + z)
            for y in range(extent[2]):
                axis[1] = taps_inside(w, 1, origin[2] + y)
                for x in range(extent[3]):
                    axis[2] = taps_inside(w, 2, origin[3] + x)
                    rows = 0
                    for i in range(w.taps[0]):
                        for j in range(w.taps[1]):
                            if axis[0] >> i & 1 and axis[1] >> j & 1:
                                rows |= axis[2] << (i * w.taps[1] + j) * w.taps[2]
                    room.inside[p] = rows
                    p += 1
    for x in range(p - 2, -1, -1):
        if room.inside[x] != room.inside[x + 1]:
            room.neighbours[x] = 1
        elif room.neighbours[x] > 1:
            room.neighbours[x] = room.neighbours[x + 1] + 1


cdef inline void frame_products(const Work* w, Py_ssize_t z, Room* room) noexcept nogil:
    """Which products outputs of frame z have with samples, not with padding along z."""
    cdef uint64_t taps = taps_inside(w, 0, z)
    cdef Py_ssize_t tap = 0, each = w.blocks.products // w.taps[0]
    while tap < w.taps[0] and not taps >> tap & 1:
        tap += 1
    room.first = tap * each
    while taps >> tap & 1:
        tap += 1
    room.end = tap * each


cdef inline uint64_t taps_inside(const Work* w, int a, Py_ssize_t at) noexcept nogil:
    """The taps along one axis with which an output reads a sample."""
    cdef uint64_t taps = 0
    cdef Py_ssize_t tap, u = at * w.stride[a] - w.blocks.box.axis[a].pad
    for tap in range(w.taps[a]):
        taps |= <uint64_t> (0 <= u + tap * w.dilation[a] < w.blocks.box.axis[a].n) << tap
    return taps


cdef inline apart gather_tile(const lanes* like, const Work* w, const char* plane, Py_ssize_t first, Py_ssize_t vectors, char* to) noexcept nogil:
    """Pixels of outputs that stand in no run: to[k][pixel], two vectors for each product. plane: what output 0 reads."""
    cdef const Blocks* b = &w.blocks
    cdef lanes[LANES_F] t
    cdef Py_ssize_t[LANES_F] at
    cdef Py_ssize_t v, i, k, x, y, hop, side = LANES_F if lanes is vf else LANES_D, size = b.size, channel = w.input_step[2]
    cdef const lanes* row
    cdef bint spaced, halves
    for v in range(vectors):
        spaced = True
        for i in range(side):
            y, x = (first + v * side + i) // w.side[1], (first + v * side + i) % w.side[1]
            at[i] = y // w.side[0] * w.stride[0] * b.box.step[0] + y % w.side[0] * w.stride[1] * b.box.step[1] + x * w.stride[2] * b.box.step[2]
            hop = at[1] - at[0] if i else 0
            spaced = spaced and at[i] == at[0] + i * hop
        # every other number of two vectors, if the last row goes on so far
        halves = w.stride[2] == 2 and b.box.step[2] == size and hop == 2 * size and 2 * x - b.box.axis[2].pad + 1 < b.box.axis[2].n
        k = 0
        while spaced and (channel == size or hop == size or halves) and b.products >= side and k < b.products:
            k = min(k, b.products - side)
            if channel == size:
                turn(plane + at[0] + k * size, hop, t)
            for i in range(side):
                if channel != size:
                    row = <const lanes*> (plane + at[0] + (k + i) * channel)
                    fetch(<const char*> row + SOON * channel)
                    if halves:
                        fetch(<const char*> row + SOON * channel + VB)
                    t[i] = even(row[0], row[1]) if halves else row[0]
                (<lanes*> (to + (k + i) * 2 * VB + v * VB))[0] = t[i]
            k += side
        while k < b.products:
            for i in range(side):
                if lanes is vf:
                    (<float*> (to + k * 2 * VB + v * VB))[i] = (<const float*> (plane + at[i] + k * channel))[0]
                else:
                    (<double*> (to + k * 2 * VB + v * VB))[i] = (<const double*> (plane + at[i] + k * channel))[0]
            k += 1


cdef inline apart find_pixels(const Work* w, const Py_ssize_t* extent, Room* room) noexcept nogil:
    """The places of a block's pixels, and how many neighbours each has. Nobody needs either where an item's pixels are one run."""
    cdef const Blocks* b = &w.blocks
    cdef Py_ssize_t[4] step
    cdef Py_ssize_t n, z, y, x, at, p = 0, further = 0, hop = LINE_BYTES if w.step == LINE else w.step * b.size
    cdef int a
    if w.in_place:
        step[0] = w.input_step[0]
        for a in range(3):
            step[a + 1] = w.stride[a] * b.box.step[a]
    else:
        step[3] = pixel_bytes(w)
        step[0] = (lines_of(w) if w.turned else b.channels) * b.plane * step[3]
        step[1] = w.stride[0] * b.box.axis[1].length * b.box.axis[2].length * step[3]
        step[2] = w.stride[1] * b.box.axis[2].length * step[3]
        step[3] *= w.stride[2] if b.box.axis[2].stride == 1 else 1
    for n in range(extent[0]):
        for z in range(extent[1]):
            for y in range(extent[2]):
                at = n * step[0] + z * step[1] + y * step[2]
                for x in range(extent[3]):
                    room.place[p] = at + x * step[3]
                    p += 1
    while p > 0:                        # row by row, from the last one
        n = p - extent[3]
        for x in range(extent[3]):
            room.neighbours[n + x] = extent[3] - x + further if step[3] == hop else 1
        room.neighbours[p - 1] = 1 + further
        further = room.neighbours[n] if n > 0 and room.place[n] - room.place[n - 1] == hop else 0
        p = n
    for a in range(4):
        room.extent[a] = extent[a]

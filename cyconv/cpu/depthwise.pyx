"""Few channels to a sum:  out[g, o, p] = bias[g, o] + sum over c <= 4, i, j, k of weight[g, o, c, i, j, k] * input[g, c, p*s + (i, j, k)*d - pad].

Depthwise layers, plain images, signals and volumes. Outputs of a row stand on the lanes of vectors. Rows are read where
they lie if they are contiguous floats (or integers of the width computed with) and need neither other padding than zeros nor a stride
along x; else those that a block of outputs reads are first gathered, padded, into a box (packing.pxd), columns of equal remainder modulo the
stride side by side. Either way the register tiles (row_walks.pxd, row_tiles.pxd) see a table of rows.

A row of inputs belongs to several rows of outputs. With stride s and dilation d along y, rows i of the kernel with equal
i*d mod s, every (s/gcd)-th of them, meet rows of outputs d/gcd apart as a kernel of stride 1 and dilation 1 meets neighbours: such
kernel rows make up a slab, such rows of outputs a strip. Products are added in the order [c][i][slab][j][k]; where s is 1, that of the weights. Kernels of 3 x 3 with
stride 1 or 2 sum their second and third rows apart and then add them, so that no sum waits for another.

Complex numbers are pairs of real planes, integers are computed modulo 2**32 or 2**64, half precision in float32.
Wins where a sum has few products, so that reading and writing cost as much as they do. Threads share out blocks of
outputs, several planes to a block where they are small; the cut depends on the problem alone and splits no sum.
"""
import numpy as np  # no-cython-lint: blocks.pxd's functions look for it here

cimport numpy as cnp
from libc.string cimport memcpy

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport ceil_div, input_steps, opened_work, real_bias, real_matrix, scratch_space
from cyconv.cpu.depthwise_cut cimport FEW_WALK_ROWS, WALK_ROWS, WAY_BYTES, Work, open_work, opened
from cyconv.cpu.items cimport Item, run_items
from cyconv.cpu.packing cimport Axis, BITS64, DOUBLE, HALF, SINGLE, ZEROS, gather_stored, put_stored
from cyconv.cpu.pieces cimport PB, pd, pf, pq, pw
from cyconv.cpu.row_copies cimport copy_row, pad_row, split_row
from cyconv.cpu.row_tiles cimport ALONG, TALLEST, tile_along
from cyconv.cpu.row_walks cimport Plane, walk_along, walk_planes
from cyconv.cpu.simd cimport VB, vd, vf, vq, vw

from cyconv import costs

cnp.import_array()

cdef double SECONDS_EACH = 3e-11        # of a multiply-add, and
cdef double SECONDS_OUT = 2e-10         # of an output: enough to tell whether a second thread is worth its start

cdef enum:
    WIDEST_VECTOR = 64                  # bytes, of any level, and
    WIDE = 4                            # of them in a tile of several rows, as the cost model counts them
    WALK_BYTES = 24 * 1024              # of a plane that is walked down at once
    MOST_CHANNELS = 4                   # of one sum; with more, tiles that also share inputs between output channels win


cdef void tiles(const Work* w, const char** rows, Py_ssize_t c, char* edge, Py_ssize_t o, char* out, Py_ssize_t pitch, Py_ssize_t count,
                Py_ssize_t length) noexcept nogil:
    """One strip of output channel o (of all groups)."""
    cdef const char* weight = w.weight + o * w.channels * w.k[0] * w.k[1] * w.k[2] * w.caller.size
    cdef const char* bias = w.bias + o * w.caller.size
    if w.caller.kind == SINGLE or w.caller.kind == HALF:
        tile_along(<vf*> NULL, &w.taps, rows, c, rows + w.taps.table, edge, weight, bias, out, pitch, w.strip, count, length)
    elif w.caller.kind == DOUBLE:
        tile_along(<vd*> NULL, &w.taps, rows, c, rows + w.taps.table, edge, weight, bias, out, pitch, w.strip, count, length)
    elif w.caller.kind == BITS64:
        tile_along(<vq*> NULL, &w.taps, rows, c, rows + w.taps.table, edge, weight, bias, out, pitch, w.strip, count, length)
    else:
        tile_along(<vw*> NULL, &w.taps, rows, c, rows + w.taps.table, edge, weight, bias, out, pitch, w.strip, count, length)


cdef void walk(const Work* w, const Plane* plane, Py_ssize_t o, char* out, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t count) noexcept nogil:
    cdef const char* weight = w.weight + o * 9 * w.caller.size
    cdef const char* bias = w.bias + o * w.caller.size
    if w.caller.kind == SINGLE or w.caller.kind == HALF:
        if w.s[1] == 1:
            walk_along(1, <pf*> NULL, plane, weight, bias, out, pitch, rows, count)
        else:
            walk_along(2, <pf*> NULL, plane, weight, bias, out, pitch, rows, count)
    elif w.caller.kind == DOUBLE:
        if w.s[1] == 1:
            walk_along(1, <pd*> NULL, plane, weight, bias, out, pitch, rows, count)
        else:
            walk_along(2, <pd*> NULL, plane, weight, bias, out, pitch, rows, count)
    elif w.caller.kind == BITS64:
        if w.s[1] == 1:
            walk_along(1, <pq*> NULL, plane, weight, bias, out, pitch, rows, count)
        else:
            walk_along(2, <pq*> NULL, plane, weight, bias, out, pitch, rows, count)
    elif w.s[1] == 1:
        walk_along(1, <pw*> NULL, plane, weight, bias, out, pitch, rows, count)
    else:
        walk_along(2, <pw*> NULL, plane, weight, bias, out, pitch, rows, count)


cdef void convert(const Work* w, char* sums, Py_ssize_t n, Py_ssize_t row, Py_ssize_t z, Py_ssize_t y, Py_ssize_t apart, Py_ssize_t x,
                  Py_ssize_t count, Py_ssize_t length) noexcept nogil:
    """Rows of sums to the result: rows y, y + apart, ... of output channel `row` (of all groups) of batch item n."""
    cdef Py_ssize_t r, area = w.out[0] * w.out[1] * w.out[2]
    cdef char* to = w.result + (n * w.groups * w.rows + row) // w.caller.parts * area * w.caller.parts * w.caller.stored_size + row % w.caller.parts * w.caller.stored_size
    for r in range(count):
        put_stored(w.caller.kind, sums + r * w.sums * w.caller.size, to + ((z * w.out[1] + y + r * apart) * w.out[2] + x) * w.caller.parts * w.caller.stored_size,
                   w.caller.parts, length)


cdef void do_walks(const Work* w, const char* source, Py_ssize_t n, Py_ssize_t g, const Py_ssize_t* origin, const Py_ssize_t* extent,
                   char* scratch) noexcept nogil:
    """A block of a plane at `source`, or in the box if that does not stay."""
    cdef Plane plane
    cdef Py_ssize_t o, row, y, z, rows, strip = extent[1], area = w.out[0] * w.out[1] * w.out[2]
    cdef char* to
    plane.width = w.n[2]
    plane.height = w.n[1]
    plane.pitch = w.step[1]
    plane.c = origin[2] * w.s[2] - w.pad[2]
    plane.zeros = scratch + w.at[0] + (plane.c - max(plane.c, <Py_ssize_t> 0)) * w.caller.size
    if not w.stays:
        plane.height = w.box.axis[1].length
        plane.width = w.box.axis[2].length
        plane.pitch = plane.width * w.caller.size
        plane.c = 0
    if w.sums or strip * extent[2] * w.caller.size * w.s[1] * w.s[1] > WALK_BYTES:
        strip = WALK_ROWS if plane.pitch % WAY_BYTES else FEW_WALK_ROWS
    for z in range(extent[0]):
        y = -strip
        while y + strip < extent[1]:
            y += strip
            rows = min(strip, extent[1] - y)
            if w.stays:
                # a kernel of one plane: plane z - pad of the input, or nothing but padding
                plane.row = source + ((origin[0] + z) * w.s[0] - w.pad[0]) * w.step[0] + plane.c * w.caller.size
                plane.y = (origin[1] + y) * w.s[1] - w.pad[1]
                if not 0 <= (origin[0] + z) * w.s[0] - w.pad[0] < w.n[0]:
                    plane.height = 0
                else:
                    plane.height = w.n[1]
            else:
                plane.row = scratch + z * w.s[0] * w.box.axis[1].length * plane.pitch
                plane.y = y * w.s[1]
            for o in range(w.rows):
                row = g * w.rows + o
                if w.sums:
                    walk(w, &plane, row, scratch + w.at[1], w.sums * w.caller.size, rows, extent[2])
                    convert(w, scratch + w.at[1], n, row, origin[0] + z, origin[1] + y, 1, origin[2], rows, extent[2])
                else:
                    to = w.result + ((n * w.groups * w.rows + row) * area
                                     + ((origin[0] + z) * w.out[1] + origin[1] + y) * w.out[2] + origin[2]) * w.caller.size
                    walk(w, &plane, row, to, w.out[2] * w.caller.size, rows, extent[2])


cdef void do_tiles(const Work* w, const char* source, Py_ssize_t n, Py_ssize_t g, const Py_ssize_t* origin, const Py_ssize_t* extent,
                   char* scratch) noexcept nogil:
    """The same for any kernel, with the rows of all its channels."""
    cdef const char** table = <const char**> (scratch + w.at[2])
    cdef const char** entry
    cdef const char* zeros
    cdef Py_ssize_t c0 = origin[2] * w.s[2] - w.pad[2] if w.stays else 0, height = w.box.axis[1].length
    cdef Py_ssize_t pitch = w.box.axis[2].length * w.caller.size, area = w.out[0] * w.out[1] * w.out[2]
    cdef Py_ssize_t o, row, z, y, r, u, c, i, p, t, uz, uy, count, wanted, hop
    cdef const char* deep
    cdef char* to
    if w.stays:
        for t in range(w.taps.table):
            table[w.taps.table + t] = scratch + w.at[3] + t * w.taps.edge
    zeros = scratch + w.at[0] + (c0 - max(c0, <Py_ssize_t> 0)) * w.caller.size
    for z in range(extent[0]):
        for r in range(min(w.apart, extent[1])):
            count = ceil_div(extent[1] - r, w.apart)
            u = -w.strip
            while u + w.strip < count:
                u += w.strip
                wanted = min(w.strip, count - u)
                y = r + u * w.apart
                entry = table
                hop = w.period * w.d[1]
                for c in range(w.channels):
                    for i in range(w.k[0]):
                        uz = z * w.s[0] + i * w.d[0]
                        if w.stays:
                            uz += origin[0] * w.s[0] - w.pad[0]
                            deep = source + c * w.input_step[2] + uz * w.step[0] + c0 * w.caller.size
                        else:
                            deep = scratch + c * w.plane * w.caller.size + uz * height * pitch
                        for p in range(w.classes):
                            uy = y * w.s[1] + p * w.d[1]
                            t = w.taps.rows[p] + w.strip - 1
                            if w.stays:
                                uy += origin[1] * w.s[1] - w.pad[1]
                                while t > 0:
                                    entry[0] = deep + uy * w.step[1] if 0 <= uy < w.n[1] and 0 <= uz < w.n[0] else zeros
                                    entry += 1
                                    uy += hop
                                    t -= 1
                            else:                           # rows below the block: only rows of outputs that are not wanted read them
                                while t > 0:
                                    entry[0] = deep + min(uy, height - 1) * pitch
                                    entry += 1
                                    uy += hop
                                    t -= 1
                for o in range(w.rows):
                    row = g * w.rows + o
                    if w.sums:
                        tiles(w, table, c0, scratch + w.at[3], row, scratch + w.at[1], w.sums * w.caller.size, wanted, extent[2])
                        convert(w, scratch + w.at[1], n, row, origin[0] + z, origin[1] + y, w.apart, origin[2], wanted, extent[2])
                    else:
                        to = w.result + ((n * w.groups * w.rows + row) * area
                                         + ((origin[0] + z) * w.out[1] + origin[1] + y) * w.out[2] + origin[2]) * w.caller.size
                        tiles(w, table, c0, scratch + w.at[3], row, to, w.apart * w.out[2] * w.caller.size, wanted, extent[2])


cdef void pad_plane(const Work* w, const char* source, const Py_ssize_t* corner, const Py_ssize_t* filled, char* box) noexcept nogil:
    """The box of one channel, from contiguous rows."""
    cdef const Axis* axis = w.box.axis
    cdef Py_ssize_t z, y, uz, uy, pitch = axis[2].length * w.caller.size, second = 0, c, n
    cdef const char* row
    cdef char* to
    if axis[2].phases == 2:
        second = axis[0].length * axis[1].length * pitch
    for z in range(filled[0]):
        uz = corner[0] + z - w.pad[0]
        for y in range(filled[1]):
            uy = corner[1] + y - w.pad[1]
            to = box + (z * axis[1].length + y) * pitch
            c, n = corner[2] * axis[2].stride - w.pad[2], w.n[2]
            row = source + uz * w.step[0] + uy * w.step[1] + c * w.caller.size
            if not (0 <= uz < w.n[0] and 0 <= uy < w.n[1]):
                n = 0
            if axis[2].stride == 1:
                if w.caller.size == 4:
                    pad_row(<pw*> NULL, row, c, n, to, filled[2])
                else:
                    pad_row(<pq*> NULL, row, c, n, to, filled[2])
            elif w.caller.size == 4:
                split_row(<pw*> NULL, row, c, n, to, second, filled[2])
            else:
                split_row(<pq*> NULL, row, c, n, to, second, filled[2])


cdef void fill_plane(const Work* w, const char* source, char* box) noexcept nogil:
    """The same for a whole plane in a box that held another one before: its zeros are there."""
    cdef const Axis* axis = w.box.axis
    cdef Py_ssize_t z, y, pitch = axis[2].length * w.caller.size, crop = max(-w.pad[2], <Py_ssize_t> 0)
    cdef Py_ssize_t count = min(w.n[2] - crop, axis[2].length - PB // w.caller.size - max(w.pad[2], <Py_ssize_t> 0))
    cdef const char* row
    cdef char* to
    for z in range(max(-w.pad[0], <Py_ssize_t> 0), min(w.n[0], axis[0].length - w.pad[0])):
        for y in range(max(-w.pad[1], <Py_ssize_t> 0), min(w.n[1], axis[1].length - w.pad[1])):
            row = source + z * w.step[0] + y * w.step[1] + crop * w.caller.size
            to = box + ((z + w.pad[0]) * axis[1].length + y + w.pad[1]) * pitch + (crop + w.pad[2]) * w.caller.size
            if count > 0:
                if w.caller.size == 4:
                    copy_row(<pw*> NULL, row, to, count)
                else:
                    copy_row(<pq*> NULL, row, to, count)


cdef void do_short_planes(const Work* w, const char* source, Py_ssize_t at, Py_ssize_t g, Py_ssize_t count) noexcept nogil:
    """Whole planes of groups g, g + 1, ... of one batch item."""
    cdef Plane plane
    cdef char* to = w.result + at * w.out[1] * w.out[2] * w.caller.size
    plane.width, plane.height, plane.pitch = w.n[2], w.n[1], w.step[1]
    plane.c, plane.y = -w.pad[2], -w.pad[1]
    plane.row = source - w.pad[2] * w.caller.size
    if w.caller.kind == SINGLE:
        walk_planes(<pf*> NULL, &plane, w.input_step[1], w.weight + 9 * g * w.caller.size, w.bias + g * w.caller.size, to, w.out[1], w.out[2], count)
    else:
        walk_planes(<pd*> NULL, &plane, w.input_step[1], w.weight + 9 * g * w.caller.size, w.bias + g * w.caller.size, to, w.out[1], w.out[2], count)


cdef void do_item(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    """One block of outputs of one plane, or several planes."""
    cdef Py_ssize_t[3] origin
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t[3] corner
    cdef Py_ssize_t[3] filled
    cdef Py_ssize_t plane, n, g, c, a
    cdef const char* source
    for a in range(2, -1, -1):
        origin[a] = item % w.count[a] * w.block[a]
        extent[a] = min(w.block[a], w.out[a] - origin[a])
        item //= w.count[a]
    for a in range(2):
        corner[a] = origin[a] * w.s[a]
        filled[a] = (extent[a] - 1) * w.s[a] + (w.k[a] - 1) * w.d[a] + 1
    corner[2] = origin[2]
    filled[2] = ceil_div(extent[2], VB // w.caller.size) * (VB // w.caller.size) + (w.k[2] - 1) * w.d[2] // w.s[2]
    if w.walks:
        corner[2], filled[2] = origin[2] * w.s[2], w.box.axis[2].length - PB // w.caller.size
    n, g = item * w.planes // w.groups, item * w.planes % w.groups
    if w.short_planes and w.stays:
        plane = item * w.planes
        while plane < min((item + 1) * w.planes, w.batch * w.groups):
            c = min((item + 1) * w.planes - plane, w.groups - g)
            do_short_planes(w, w.input + n * w.input_step[0] + g * w.input_step[1], plane, g, c)
            plane += c
            n, g = n + 1, 0
        return
    for plane in range(item * w.planes, min((item + 1) * w.planes, w.batch * w.groups)):
        if g == w.groups:
            n, g = n + 1, 0
        source = w.input + n * w.input_step[0] + g * w.input_step[1]
        if w.plain:
            for c in range(w.channels):
                if plane > item * w.planes and w.box.axis[2].stride == 1:
                    fill_plane(w, source + c * w.input_step[2], scratch + c * w.plane * w.caller.size)
                    continue
                pad_plane(w, source + c * w.input_step[2], corner, filled, scratch + c * w.plane * w.caller.size)
        elif not w.stays:
            for c in range(w.channels):
                gather_stored(w.caller.kind, source + c // w.caller.parts * w.input_step[2] + c % w.caller.parts * w.caller.stored_size, &w.box, corner, filled,
                              scratch + c * w.plane * w.caller.size)
        if w.walks:
            do_walks(w, source, n, g, origin, extent, scratch)
        else:
            do_tiles(w, source, n, g, origin, extent, scratch)
        g += 1


def why_not(problem):
    if problem.in_channels > MOST_CHANNELS:
        return f"{problem.in_channels} input channels in a group: made for at most {MOST_CHANNELS}"
    if problem.taps > 65536:
        return f"{problem.taps} taps: its tables are made for at most 65536"
    return None


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    cdef Work w
    open_work(&w, problem, False)
    return costs.seconds("depthwise", amounts(problem)), w.at[4]


cdef Py_ssize_t edges(const Work* w) noexcept nogil:
    """Tiles of a row that stays which reach beyond it, and so have to copy what they read."""
    cdef Py_ssize_t lane = WIDEST_VECTOR // w.caller.size, after = w.out[2] + (w.k[2] - 1) * w.d[2] - w.n[2] - w.pad[2]
    if w.out[2] <= (ALONG if w.strip == 1 else WIDE) * lane:
        return w.pad[2] > 0 or after > 0 or w.out[2] % lane > 0
    return (w.pad[2] > 0) + (after > 0)


def amounts(problem):
    """The work, as costs.py counts it."""
    cdef Work w
    open_work(&w, problem, False)
    parts, size = costs.parts_and_size(problem)
    lanes = 32 // size
    strip = TALLEST if w.tall else w.strip                  # as level v4 has it
    planes = problem.batch * problem.groups
    area = w.out[0] * w.out[1]
    runs = planes * w.rows * area * w.count[2]              # rows of outputs of a block
    vectors = -(-w.block[2] // lanes)
    work = {"call": 1, "split_weight" if parts > 1 else "weight": problem.groups * w.rows * w.channels * problem.taps}
    if not w.could_stay:
        rows = planes * w.channels * (w.count[0] * w.box.axis[0].length) * (w.count[1] * w.box.axis[1].length) * w.count[2]
        rows *= w.box.axis[2].phases
        work |= costs.gathered(problem, rows, rows * w.box.axis[2].length, size, w.box.axis[2].phases)
    kind = "multiply_add_64" if size == 8 else "multiply_add_32"
    kind = kind if "int" in problem.dtype else "fma"
    if w.walks:
        work["short_walk" if w.short_planes and w.could_stay else "walk"] = runs * -(-vectors // 4)
        work[kind] = runs * vectors * 9
        work["shuffled"] = runs * vectors * 9 if w.s[1] == 2 else 0
    else:
        height = area / max(ceil_div(w.out[1], strip) * strip * w.out[0], 1)
        steps = runs / max(height, 0.25) * w.channels * problem.taps
        work["tile"] = runs / strip * -(-vectors // 4)
        work["tall_fma" if w.tall else kind] = steps * vectors
        strips = planes * w.rows * w.out[0] * ceil_div(w.out[1], strip) * w.count[2]
        work["strip"] = strips
        table = w.channels * w.k[0] * (w.k[1] + w.classes * (strip - 1))
        work["edge"] = strips * table * edges(&w) if w.could_stay else 0
        work["single" if strip == 1 else "row"] = runs / strip * -(-vectors // 4) * w.taps.slabs * (w.k[1] / w.classes + strip - 1) * w.k[2]
    if parts > 1 or problem.dtype in costs.CONVERTED:
        work["converted_row"] = planes * w.rows * area * w.count[2]
        work["converted_out"] = problem.outputs * parts
    work["far_byte"] = costs.far_bytes(problem, size * parts)
    return work


def prepare(problem, weight):
    """The weights as `tile` reads them: [output channel][input channel][z][slab][row][column], in the dtype that is computed with."""
    tables = opened(problem)
    cdef const Work* w = <const Work*> opened_work(tables)
    cdef cnp.ndarray matrix = real_matrix(&w.caller, problem, weight)
    if w.walks or w.classes == 1:
        return matrix
    cdef cnp.npy_intp size = cnp.PyArray_NBYTES(matrix)
    cdef cnp.ndarray ordered = new_array(1, &size, cnp.NPY_UINT8)       # NumPy would take as long for it as a small convolution does in all
    cdef Py_ssize_t row = w.k[2] * w.caller.size, first, i, p
    cdef const char* from_ = <const char*> cnp.PyArray_DATA(matrix)
    cdef char* to = <char*> cnp.PyArray_DATA(ordered)
    for first in range(size // max(w.k[1] * row, <Py_ssize_t> 1)):
        for p in range(w.classes):
            i = p
            while i < w.k[1]:
                memcpy(to, from_ + (first * w.k[1] + i) * row, row)
                to += row
                i += w.period
    return ordered


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` returned."""
    cdef Work w
    cdef Py_ssize_t items, room, first
    cdef int workers, worker = 0
    cdef double work, seconds
    cdef char* base
    tables = opened(problem)
    w = (<const Work*> opened_work(tables))[0]
    input_steps(&w.caller, input, w.input_step, w.step)
    for first in range(3):
        w.box.step[first] = w.step[first]
    w.stays = w.could_stay and (w.step[2] == w.caller.size or w.n[2] == 1)
    w.plain = (
        not w.stays and w.box.mode == ZEROS and w.caller.parts == 1 and w.caller.size == w.caller.stored_size and (w.step[2] == w.caller.size or w.n[2] == 1)
        and (w.box.axis[2].stride == 1 or w.box.axis[2].stride == 2 and w.d[2] % 2 == 1)
    )
    w.taps.place = w.stay_place if w.stays else w.box_place
    w.taps.near = w.d[2] == 1 and (w.stays or w.s[2] == 1)
    w.taps.width = w.n[2] if w.stays else <Py_ssize_t> 1 << 60
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    sums_from = real_bias(&w.caller, bias)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> sums_from)
    w.result = <char*> cnp.PyArray_DATA(out)

    work = <double> w.batch * w.groups * w.rows * w.out[0] * w.out[1] * w.out[2]
    items = ceil_div(w.batch * w.groups, w.planes) * w.count[0] * w.count[1] * w.count[2]
    seconds = work * SECONDS_OUT + work * w.channels * w.k[0] * w.k[1] * w.k[2] * SECONDS_EACH
    workers = worth_workers(seconds, w.at[4], problem.max_workspace)
    work *= <double> w.channels * w.k[0] * w.k[1] * w.k[2] + 8
    room = w.at[4]
    space = scratch_space(room * workers + 64)
    base = <char*> ((<size_t> cnp.PyArray_DATA(<cnp.ndarray> space) + 63) & ~<size_t> 63)
    if w.stays:                                         # rows of zeros
        for worker in range(workers):
            clear(base + worker * room + w.at[0], w.at[1] - w.at[0])
    run_items(<Item> do_item, &w, items, work, workers, base, room, w.caller.exact)


cdef inline void clear(char* p, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        p[i] = 0

"""Overlap-save by tiles: out = F^-1( sum_c F(tile of x_c) * F(kernel_oc laid out backwards) ), then bias and stride.

A circular correlation of T samples with a kernel that spans S is the plain one at its first T - S + 1 positions. The padded input is cut into tiles
of T samples that overlap by S - 1, so each output comes from one tile alone, and what is large in one tile never reaches the outputs of tiles
far from it. Kernels are real, so two neighbouring tiles of a real input are the real and the imaginary part of one transform: what rounding, or a
NaN, brings from one to the other stays between these two. Where one tile would hold all rows, these two are its halves, and do not overlap (fft_tile.pxd).
Transforms are our own (fft_passes.pxd, fft_tile.pxd): of some sizes, a tile in each lane, frequencies in the order that they happen to come in. Axes along
which the kernel has one tap are not transformed: their tiles are short, and strided from the start. Tiles inside the input are read where they lie, and whole
vectors of results are written as they come, past the caches if the result is large; what touches a border, is strided, complex or of half precision is
copied (fft_work.pxd). That results are finite is seen while they are near.
Spectra of weights are packed [group][frequency][piece of output channels][channel][channel of the piece][real, imaginary], a vector of frequencies per
entry; where channels are few, [group][output channel][frequency][channel][real, imaginary], the order in which they are read. There are three ways to
multiply them, between the last forward and the first inverse pass (fft_product.pxd): one channel to one in place, in registers; few channels to one output
channel after the other; many in a register tile of a few pairs of tiles x a few output channels, panel by panel.
Stride subsamples the inverse transform; dilation sets the taps apart. Half precision is computed in float32. A transform rounds all of a tile by the same
amount, so where sizes in a tile of single precision differ too much (fft_range.pxd), `auto` has everything computed again in double precision.
Wins for large kernels: the cost per output grows with log(T), not with the number of taps.
Threads share out runs of tiles. The tile depends on the problem alone, and each sum over channels runs in order.
Sources: overlap-save is T. G. Stockham, "High-speed convolution and correlation", AFIPS 1966.
"""
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

cimport numpy as cnp
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY
from libc.string cimport memcpy, memset

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport Blocks, ceil_div, set_layout
from cyconv.cpu.fft_price cimport ALONE, FEW, MANY, Price, Sizes, Way, outputs_of, price
from cyconv.cpu.fft_product cimport PIECE, multiply_few, multiply_panel, multiply_through
from cyconv.cpu.fft_range cimport is_wide
from cyconv.cpu.fft_tile cimport Ending, Planes, Tile, ask, close_panels, open_panels, panel_forward, panel_inverse
from cyconv.cpu.fft_work cimport Room, Work, add_bias, channel_of, find_source, find_target, gather_tile, open_room, real, scatter_tile
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.items cimport run_items
from cyconv.cpu.packing cimport CIRCULAR, HALF, REFLECT, REPLICATE, ZEROS
from cyconv.cpu.shuffle cimport STREAMS, drain, lanes
from cyconv.cpu.simd cimport VB, splat, vd, vf

from cyconv import costs
from cyconv.cpu.fft_tables import LEAST, MATRICES, RADICES, fold, twiddles, twist
from cyconv.memory import empty

cnp.import_array()

cdef enum:
    EACH = 4                            # runs for each thread
    KEPT_BYTES = 1 << 16                # of tables that a problem keeps; larger ones are looked for again
    MOST_OF_FEW = 4                     # channels: more are worth a register tile of several transforms and output channels
    BESIDE = 8                          # channels whose spectra are packed together
    PAST_BYTES = 4 << 20                # of results, twice a second-level cache: in cold memory calls take up to a fifth less, and what reads a result
                                        # that the third level would have kept, up to a twelfth more

cdef Py_ssize_t LONGEST = 1 << 50       # no tile is so long
cdef double PER_SECOND = 1e11           # multiply-adds, as run_items counts work: how often it looks at Ctrl-C


# ---- the tile --------------------------------------------------------------------------------------------------------


@lru_cache(256)
def layout(problem):
    """(work, bytes, tile, transforms of a run, whether it is folded); or a number of bytes that even the smallest tile needs, if they are too many."""
    cdef Sizes p
    cdef Price now
    cdef Py_ssize_t[3] tile
    cdef Py_ssize_t[3] best
    cdef int a, turn, _turn
    cdef double least = INFINITY, smallest = INFINITY
    cdef bint folded = False
    cdef Blocks b
    set_layout(&b, problem)
    p.size, p.parts = b.size, b.parts
    bits = 8 * b.size
    p.converted = b.kind == HALF
    p.batch, p.groups, p.channels, p.rows = problem.batch, problem.groups, problem.in_channels, problem.out_channels
    p.memory, p.folded = problem.max_workspace, False
    transformed = transformed_axes(problem)
    p.way = _way(problem)
    p.spectra = _spectra(problem)
    choices = []
    for a in range(3):
        p.out[a], p.span[a] = problem.out_size[a], problem.span[a]
        p.stride[a], p.lone[a] = (problem.stride[a], lone_length(problem, a)) if a in transformed else (1, LONGEST)
        choices.append(_lengths(problem, a, transformed))
        if not choices[a]:
            return problem.span[a] * b.size
        best[a] = choices[a][0]

    def consider(lengths):
        nonlocal least, smallest, folded
        for a in range(3):
            tile[a] = lengths[a]
        p.passes = _passes(lengths, transformed) + p.folded
        price(&p, tile, &now)
        smallest = min(smallest, now.weights + now.scratch)
        if now.seconds < least:
            least, folded = now.seconds, p.folded  # no-cython-lint: it is `layout`'s
            for a in range(3):
                best[a] = tile[a]

    # All axes together from short to long, and from there each axis alone.
    for turn in range(max(map(len, choices))):
        consider([lengths[min(turn, len(lengths) - 1)] for lengths in choices])
    for _turn in range(2):
        for a in range(3):
            if len(choices[a]) > 1:
                for length in choices[a]:
                    around = [best[0], best[1], best[2]]
                    around[a] = length
                    consider(around)
    if p.parts == 1 and 1 in transformed and 2 in transformed and problem.stride[1] == 1:
        p.folded = True
        halves = [n for n in RADICES if n % LEAST == 0 and 2 * n >= p.lone[1] and n < (p.out[1] - 1) + p.span[1]]
        for lengths in product(choices[0], halves[:2], [n for n in choices[2] if n >= p.lone[2]]):
            consider(lengths)
    if least == INFINITY:
        return int(smallest)
    p.folded = folded
    p.passes = _passes(best, transformed) + folded
    price(&p, best, &now)
    work = {
        "call": 1, "weight": now.weights, "weight_pass": now.weight_passes, "tile": now.tiles, f"pass_{bits}": now.passes, f"multiply_add_{bits}": now.products,
        "converted_byte": now.converted, "spilled_byte": now.spilled, "far_byte": costs.far_bytes(problem, b.size * b.parts),
    }
    return work, int(now.weights + now.scratch), (best[0], best[1], best[2]), int(now.run), folded


cdef Way _way(object problem):
    if 2 not in transformed_axes(problem):
        return MANY                     # what is not in squares may end in other passes
    return ALONE if problem.in_channels == problem.out_channels == 1 else FEW if problem.in_channels <= MOST_OF_FEW else MANY


cdef Py_ssize_t _spectra(object problem):
    """For so many, a transform of each channel needs room; also for a piece of output channels when weights are packed."""
    cdef Way way = _way(problem)
    if way == ALONE:
        return 1
    return problem.in_channels + problem.out_channels if way == MANY else problem.in_channels + 1


def _passes(lengths, transformed):
    """That each point of a tile goes through."""
    return sum(len(RADICES[n]) for n in (MATRICES[lengths[2]] if transformed == [2] else [lengths[a] for a in transformed]))


def lone_length(problem, axis):
    """From which length on one tile holds a transformed axis: what it lacks of the padding are its own zeros, which it meets on the way around."""
    whole = (problem.out_size[axis] - 1) * problem.stride[axis] + problem.span[axis]
    if problem.padding_mode != "zeros":
        return whole
    before = max(problem.pad_before[axis], 0)
    return max(before + problem.size[axis], whole - before, whole - problem.span[axis] + 1, problem.span[axis])


def _lengths(problem, axis, transformed):
    """Tile lengths worth a look along an axis, short to long; the last one holds the whole axis, if there is one so long."""
    span = problem.span[axis]
    if axis not in transformed:         # a vector of columns, which touches each line of the cache once, or a few
        return [length for length in (16, 32, 64) if length < 2 * problem.out_size[2] or length == LEAST] if axis == 2 else [1]
    turned = 2 in transformed and (axis == 2 or axis == 1 or 1 not in transformed)  # in squares
    lengths = [n for n in (sorted(MATRICES) if transformed == [2] else RADICES) if n >= span and (n % LEAST == 0 or not turned)]
    for i, n in enumerate(lengths):
        if n >= lone_length(problem, axis):
            return lengths[: i + 1]
    return lengths


def why_not(problem):
    if problem.dtype.startswith(("int", "uint")):
        return "integers are computed exactly, and a Fourier transform rounds"
    if problem.products == 0 or problem.outputs == 0:
        return None
    plan = layout(problem)
    if isinstance(plan, int):
        return f"needs at least {plan} bytes of workspace"
    return None


def points(problem):
    """Points of a tile, along the axes that are transformed; 2 if there is none."""
    if problem.products == 0 or problem.outputs == 0 or isinstance(plan := layout(problem), int):
        return 2
    return prod([plan[2][a] for a in transformed_axes(problem)]) * (2 if plan[4] else 1)


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    nothing = problem.products == 0 or problem.outputs == 0
    return costs.seconds("fft", amounts(problem)), 0 if nothing else layout(problem)[1]


def amounts(problem):
    """The work, as costs.py counts it."""
    return layout(problem)[0] if problem.products and problem.outputs else {"call": 1}


# ---- the kernels -----------------------------------------------------------------------------------------------------


cdef inline bint source_of(const Work* w, Py_ssize_t item, Py_ssize_t index, Planes* source) noexcept nogil:
    """Where transform `index` of a run finds its tiles, channel after channel; beyond the last one is the next run."""
    cdef Py_ssize_t unit = item % w.runs * w.run + index // w.channels
    source.re = NULL
    return unit < w.units and find_source(w, unit // w.pairs, item // w.runs, index % w.channels, unit % w.pairs * w.together, source)


cdef inline void read_tiles(const Work* w, Py_ssize_t item, Py_ssize_t index, Room* r, const lanes* like) noexcept nogil:
    """The transform of two tiles of a channel."""
    cdef Py_ssize_t group = item // w.runs, unit = item % w.runs * w.run + index // w.channels, tile = unit % w.pairs * w.together
    cdef const char* channel = channel_of(w, unit // w.pairs, group, index % w.channels)
    cdef Planes here, next_
    if not source_of(w, item, index, &here):
        here = r.planes
        gather_tile(w, channel, tile, 0, here.re)
        if w.parts == 2 or tile + 1 < w.tiles:
            gather_tile(w, channel, tile if w.parts == 2 else tile + 1, w.parts == 2, here.im)
        else:
            memset(here.im, 0, w.bytes)
    if lanes is vf and is_wide(&w.tile, &here, w.high, w.wide, w.parts == 2):
        w.doubtful[0] = True
    source_of(w, item, index + 1, &next_)
    open_panels(&w.tile, &here, &r.planes, r.panel, r.spectra + index * w.tile.bytes, &next_, like)


cdef inline bint target_of(const Work* w, Py_ssize_t item, Py_ssize_t index, Planes* target, Py_ssize_t* wanted) noexcept nogil:
    """Where inverse transform `index` of a run leaves its outputs, channel after channel."""
    cdef Py_ssize_t unit = item % w.runs * w.run + index // w.rows
    target.re = NULL
    return unit < w.units and find_target(w, unit // w.pairs, item // w.runs, index % w.rows, unit % w.pairs * w.together, target, wanted)


cdef inline void write_tiles(const Work* w, Py_ssize_t item, Py_ssize_t index, Room* r, char* panels, const Ending* end, const lanes* like) noexcept nogil:
    """Two tiles of an output channel."""
    cdef Py_ssize_t group = item // w.runs, unit = item % w.runs * w.run + index // w.rows, tile = unit % w.pairs * w.together
    cdef Py_ssize_t n = unit // w.pairs, o = index % w.rows
    cdef Py_ssize_t[3] wanted
    cdef Py_ssize_t[3] ignored
    cdef Planes here, next_
    cdef bint there = target_of(w, item, index, &here, wanted)
    next_.re = NULL
    if not w.past and index + 1 < w.run * w.rows:
        target_of(w, item, index + 1, &next_, ignored)
    close_panels(&w.tile, panels, r.panel, &r.planes, &here if there else &r.planes, wanted, &next_, end if there else NULL, like)
    if there and w.biased:
        add_bias(w, group * w.rows + o, &here, wanted)
    elif not there:
        scatter_tile(w, n, group, o, tile, 0, r.planes.re)
        if w.parts == 2:
            scatter_tile(w, n, group, o, tile, 1, r.planes.im)
        elif tile + 1 < w.tiles:
            scatter_tile(w, n, group, o, tile + 1, 0, r.planes.im)


cdef inline void do_run(const Work* w, Py_ssize_t item, Room* r, const lanes* like) noexcept nogil:
    """All channels of a run of transforms of one group."""
    cdef Py_ssize_t group = item // w.runs, units = min(w.run, w.units - item % w.runs * w.run), i, k, panel = w.tile.rows * 2 * VB
    cdef Py_ssize_t[3] ignored
    cdef Planes target
    cdef Ending end
    cdef lanes[2] seen
    memset(seen, 0, 2 * VB)
    end.seen, end.past, target.re = <char*> seen, w.past, NULL
    for i in range(units * w.channels):
        read_tiles(w, item, i, r, like)
    if not w.past:
        target_of(w, item, 0, &target, ignored)
    for k in range(w.tile.panels):
        ask(&w.tile, &target, k, w.tile.panels, True)
        for i in range(units * w.channels):
            panel_forward(&w.tile, r.spectra + i * w.tile.bytes + k * panel, w.way == ALONE, like)
            if w.way == ALONE:
                multiply_through(w, r.spectra + i * w.tile.bytes + k * panel, w.weight + (group * w.tile.panels + k) * panel, like)
        if w.way == MANY:
            multiply_panel(w, r, group, k, units, like)
        if w.way != FEW:
            for i in range(units * w.rows):
                panel_inverse(&w.tile, r.sums + i * w.tile.bytes + k * panel, w.way == ALONE, like)
    for i in range(units * w.rows):
        if w.way == FEW:                # one unit; sums are of one output channel at a time
            for k in range(w.tile.panels):
                multiply_few(w, r, group, i, k, like)
                panel_inverse(&w.tile, r.sums + k * panel, 1, like)
        write_tiles(w, item, i, r, r.sums if w.way == FEW else r.sums + i * w.tile.bytes, &end, like)
    if w.past:
        drain()
    if not all_finite(<const char*> seen, 2 * VB // w.size, <int> w.size):
        w.spoiled[0] = True


cdef void do_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Work* w = <const Work*> work
    cdef Room r
    open_room(w, &r, room)
    if w.size == 4:
        do_run(w, item, &r, <const vf*> NULL)
    else:
        do_run(w, item, &r, <const vd*> NULL)


# ---- what the menu calls ---------------------------------------------------------------------------------------------


cdef Py_ssize_t NO_REMAINDER = 0
cdef tuple KEPT = ("work of fft",), DOUBLED = ("work of fft in double precision",)     # keys that no name of an algorithm is


def transformed_axes(problem):
    return [a for a in range(3) if problem.kernel[a] > 1] or [2]


cdef list open_tile(Tile* t, object problem, tuple length, Py_ssize_t size, bint folded):
    """The tables, which must live as long as the tile does."""
    cdef Py_ssize_t a, k, n
    cdef cnp.ndarray table
    axes = transformed_axes(problem)
    dtype = "float64" if size == 8 else "float32"
    t.size, t.squares, t.twist, t.fold = size, 2 in axes, NULL, NULL
    kept = []
    if folded:
        table = fold(length[1], dtype)
        kept.append(table)
        t.fold = <const char*> cnp.PyArray_DATA(table)
    sizes = list(length)
    if axes == [2]:                     # a signal
        sizes = [1, *MATRICES[length[2]]]
    elif 1 not in axes:                 # planes of one row each are rows of one plane
        sizes = [1, length[0], length[2]]
    t.deep = sizes[0] > 1
    t.points = 1
    for a in range(3):
        t.n[a] = n = sizes[a]
        t.points *= n
        t.line[a].n = n
        t.line[a].passes = 0
        if n > 1 and (a < 2 or t.squares):
            for k, radix in enumerate(RADICES[n]):
                table = twiddles(n, radix, dtype)
                kept.append(table)
                t.line[a].radix[k], t.line[a].twiddles[k] = radix, <const char*> cnp.PyArray_DATA(table)
                n //= radix
            t.line[a].passes = len(RADICES[sizes[a]])
    if axes == [2]:
        table = twist(sizes[1], sizes[2], VB // size, dtype)
        kept.append(table)
        t.twist = <const char*> cnp.PyArray_DATA(table)
    t.rows = t.n[2] if t.squares else t.n[1]
    t.panels = t.points * size // VB // t.rows
    t.bytes = 2 * t.points * size + 2 * VB
    return kept


cdef void set_cells(Work* w, object problem):
    """Half of a window, where its samples are neighbours; but four samples at least."""
    cdef Py_ssize_t[3] half
    cdef Py_ssize_t a, lines = max(w.tile.n[2] // 16, <Py_ssize_t> 1)
    for a in range(3):
        half[a] = (problem.kernel[a] + 1) // 2 if problem.dilation[a] == 1 else 1
    w.high = min(half[w.row] if w.row < 2 else max(half[2] // w.tile.n[2], <Py_ssize_t> 1), w.tile.n[1])    # rows of a signal's matrix lie side by side
    w.wide = min(max(half[2] // 16, <Py_ssize_t> 1), lines)
    while w.high * w.wide < 4 and w.high < w.tile.n[1]:
        w.high += 1


cdef list open_work(Work* w, object problem, Py_ssize_t run, bint doubled):
    """Everything that the problem and the tile say; returns what must live as long."""
    cdef Blocks b
    cdef Py_ssize_t a
    cdef str mode = problem.padding_mode
    _, _, length, _, folded = layout(problem)
    axes = transformed_axes(problem)
    set_layout(&b, problem)
    w.kind, w.size, w.stored_size, w.parts = b.kind, 8 if doubled else b.size, b.stored_size, b.parts
    w.groups, w.channels, w.rows = problem.groups, problem.in_channels, problem.out_channels
    w.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    w.tiles = 1
    for a in range(3):
        w.length[a], w.span[a], w.out[a] = length[a], problem.span[a], problem.out_size[a]
        w.box.axis[a].stride = 1 if a in axes else problem.stride[a]
        w.stride[a] = problem.stride[a] if a in axes else 1
        if folded and a == 1:           # the second half may have no outputs
            w.yields[a], w.count[a] = w.length[a], 2
        else:
            w.yields[a] = outputs_of(w.length[a], a, w.out[a], w.span[a], w.stride[a], lone_length(problem, a) if a in axes else LONGEST)
            w.count[a] = ceil_div(w.out[a], w.yields[a])
        w.tiles *= w.count[a]
        w.box.axis[a].n, w.box.axis[a].pad, w.box.axis[a].length = problem.size[a], problem.pad_before[a], w.length[a]
        w.box.axis[a].phases = 1
        w.box.axis[a].remainder = &NO_REMAINDER
    kept = open_tile(&w.tile, problem, length, w.size, folded)
    w.together = 1 if w.parts == 2 else 2
    w.pairs = ceil_div(w.tiles, w.together)
    w.units = problem.batch * w.pairs
    w.run = run
    w.bytes = w.tile.points * w.size
    w.panel = max(w.tile.n[0], w.tile.n[1]) * 2 * VB
    w.blocks = w.bytes // VB
    w.row = 2 if axes == [2] else 1 if 1 in axes else 0
    w.way = _way(problem)
    set_cells(w, problem)
    w.plain = w.parts == 1 and w.size == w.stored_size and w.stride[0] == w.stride[1] == w.stride[2] == 1
    return kept


cdef struct Packing:
    Work w
    const char* taps                    # [kernel][z][y][x], complex numbers if there are any
    Py_ssize_t[3] kernel, dilation
    char* packed
    Py_ssize_t channels                 # of an item: entries of a frequency that are written side by side,
    Py_ssize_t piece                    # for each of so many output channels


cdef inline void place_taps(const Packing* p, Py_ssize_t kernel, Py_ssize_t part, const Room* r, const real* number) noexcept nogil:
    """Tap j stands at -j, so that the product of spectra is a correlation. In a folded tile it has come round once, with another sign."""
    cdef const Work* w = &p.w
    cdef const real* taps = <const real*> p.taps + kernel * p.kernel[0] * p.kernel[1] * p.kernel[2] * w.parts + part
    cdef real* to
    cdef real sign
    cdef Py_ssize_t z, y, x, zz, yy, xx, copy, copies = w.length[2] if not w.tile.squares else 1, rows = w.length[1] * (2 if w.tile.fold != NULL else 1)
    for z in range(p.kernel[0]):
        zz = (w.length[0] - z * p.dilation[0]) % w.length[0]
        for y in range(p.kernel[1]):
            yy = (rows - y * p.dilation[1]) % rows
            sign = -1 if w.tile.fold != NULL and yy > 0 else 1
            to = <real*> (r.planes.im if part or yy >= w.length[1] else r.planes.re)
            for x in range(p.kernel[2]):
                for copy in range(copies):      # columns that are not transformed have all the same kernel
                    xx = copy if copies > 1 else (w.length[2] - x * p.dilation[2]) % w.length[2]
                    to[(zz * w.length[1] + yy % w.length[1]) * w.length[2] + xx] = sign * taps[0]
                taps += w.parts


cdef inline void spectrum_of(const Packing* p, Py_ssize_t kernel, const Room* r, char* spectrum, const real* number, const lanes* like) noexcept nogil:
    cdef Py_ssize_t k
    cdef Planes none
    memset(r.planes.re, 0, p.w.bytes)
    memset(r.planes.im, 0, p.w.bytes)
    for k in range(p.w.parts):
        place_taps(p, kernel, k, r, number)
    none.re = NULL
    open_panels(&p.w.tile, &r.planes, &r.planes, r.panel, spectrum, &none, like)
    for k in range(p.w.tile.panels):
        panel_forward(&p.w.tile, spectrum + k * p.w.tile.rows * 2 * VB, 0, like)


cdef inline void pack(const Packing* p, Py_ssize_t item, const Room* r, const real* number, const lanes* like) noexcept nogil:
    """Some channels of a piece of output channels."""
    cdef const Work* w = &p.w
    cdef Py_ssize_t blocks = ceil_div(w.channels, p.channels), pieces = ceil_div(w.rows, p.piece), c, o, f, count, i = 0
    cdef Py_ssize_t first = item % blocks * p.channels, begin = item // blocks % pieces * p.piece, group = item // blocks // pieces
    cdef Py_ssize_t rows = min(p.piece, w.rows - begin)
    cdef double wide = 1.0 / (w.tile.points if w.tile.squares else w.tile.n[0] * w.tile.n[1])
    cdef float narrow = <float> wide
    cdef lanes scale = splat(<const char*> &narrow if lanes is vf else <const char*> &wide, like)
    cdef const lanes* from_
    cdef lanes* entry
    for c in range(first, min(first + p.channels, w.channels)):
        for o in range(begin, begin + rows):
            spectrum_of(p, (group * w.rows + o) * w.channels + c, r, r.spectra + i * w.tile.bytes, number, like)
            i += 1
    count = i
    for f in range(w.blocks):
        i = (group * w.rows + begin) * w.blocks + f if w.way == FEW else (group * w.blocks + f) * w.rows + begin
        entry = <lanes*> (p.packed + 2 * (i * w.channels + first * rows) * VB)
        for o in range(count):
            from_ = <const lanes*> (r.spectra + o * w.tile.bytes + 2 * f * VB)
            entry[0], entry[1] = from_[0] * scale, from_[1] * scale
            entry += 2


cdef void pack_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Packing* p = <const Packing*> work
    cdef Room r
    open_room(&p.w, &r, room)
    if p.w.size == 4:
        pack(p, item, &r, <const float*> NULL, <const vf*> NULL)
    else:
        pack(p, item, &r, <const double*> NULL, <const vd*> NULL)


cdef Py_ssize_t room_bytes(const Work* w, Py_ssize_t spectra) noexcept:
    return ceil_div(2 * w.bytes + w.panel + w.run * spectra * w.tile.bytes + 128, 64) * 64


cdef object spectra(object problem, object weight, bint doubled):
    cdef Packing p
    cdef Py_ssize_t a, kernels, items, room
    cdef cnp.npy_intp bytes
    cdef int workers
    cdef cnp.ndarray taps, result, space
    if problem.products == 0 or problem.outputs == 0:
        return weight                   # `run` is not called
    _kept = open_work(&p.w, problem, 1, doubled)  # which holds what p.w points to
    taps = np.ascontiguousarray(weight, ("complex128" if p.w.size == 8 else "complex64") if p.w.parts == 2 else "float64" if p.w.size == 8 else "float32")
    kernels = p.w.groups * p.w.rows * p.w.channels
    result = empty(2 * kernels * p.w.blocks * (VB // p.w.size), np.float64 if p.w.size == 8 else np.float32)
    p.taps, p.packed = <const char*> cnp.PyArray_DATA(taps), <char*> cnp.PyArray_DATA(result)
    for a in range(3):
        p.kernel[a], p.dilation[a] = problem.kernel[a], problem.dilation[a]
    room = room_bytes(&p.w, _spectra(problem))
    p.piece = PIECE if p.w.way == MANY else 1
    p.channels = max(min(min(p.w.channels, _spectra(problem) // p.piece), <Py_ssize_t> BESIDE), <Py_ssize_t> 1)
    items = p.w.groups * ceil_div(p.w.rows, p.piece) * ceil_div(p.w.channels, p.channels)
    # beside the result are the spectra in single precision, if there are any
    workers = min(worth_workers(cost(problem)[0], room, max(<Py_ssize_t> problem.max_workspace - result.nbytes * (3 if doubled else 2) // 2, room)), items)
    bytes = workers * room
    space = new_array(1, &bytes, cnp.NPY_UINT8)
    run_items(pack_item, &p, items, <double> kernels * p.w.tile.points * 40, workers, <char*> cnp.PyArray_DATA(space), room, False)
    return result


cdef object work_off(object problem, cnp.ndarray input, cnp.ndarray weight, object bias, cnp.ndarray out, bint doubled):
    cdef Work w
    cdef int wide = False, spoiled = False
    cdef Py_ssize_t a, room, items, rank = problem.rank
    cdef cnp.npy_intp bytes
    cdef int workers
    cdef bint batched = problem.batched
    cdef cnp.ndarray added, space
    key = DOUBLED if doubled else KEPT
    kept = (<dict> problem.kept).get(key)
    if kept is None:
        tables = open_work(&w, problem, 1 if doubled else layout(problem)[3], doubled)
        kept = PyBytes_FromStringAndSize(<char*> &w, sizeof(Work)), tables
        if sum([table.nbytes for table in tables]) <= KEPT_BYTES:
            problem.kept[key] = kept
    memcpy(&w, PyBytes_AS_STRING((<tuple> kept)[0]), sizeof(Work))
    w.doubtful, w.spoiled = &wide, &spoiled
    for a in range(3):
        w.box.step[a] = cnp.PyArray_STRIDE(input, a - 3 + rank + 1 + batched) if a >= 3 - rank else 0
    w.input_step[0] = cnp.PyArray_STRIDE(input, 0) if batched else 0
    w.input_step[2] = cnp.PyArray_STRIDE(input, batched)
    w.input_step[1] = w.input_step[2] * w.channels
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    w.out_data = <char*> cnp.PyArray_DATA(out)
    dtype = ("complex128" if w.size == 8 else "complex64") if w.parts == 2 else "float64" if w.size == 8 else "float32"
    added = np.zeros(w.groups * w.rows, dtype) if bias is None else np.ascontiguousarray(bias, dtype)
    w.bias, w.biased = <const char*> cnp.PyArray_DATA(added), bias is not None
    w.past = STREAMS and w.plain and not w.biased and out.nbytes >= PAST_BYTES
    w.past = w.past and w.tile.squares and not w.tile.deep and w.tile.fold == NULL
    w.past = w.past and not (<size_t> w.out_data | <size_t> (w.out[2] * w.size) | <size_t> (w.yields[2] * w.size)) % VB
    w.read = w.parts == 1 and w.size == w.stored_size and w.box.step[2] == w.size
    for a in range(3):
        w.read = w.read and w.box.axis[a].stride == 1
    room = room_bytes(&w, _spectra(problem))
    workers = worth_workers(cost(problem)[0], room, max(<Py_ssize_t> problem.max_workspace - weight.nbytes * (3 if doubled else 2) // 2, room))
    if workers > 1:                     # enough runs for all of them
        w.run = max(min(w.run, w.groups * w.units // (EACH * workers)), <Py_ssize_t> 1)
    w.runs = ceil_div(w.units, w.run)
    items = w.groups * w.runs
    workers = min(workers, items)
    bytes = workers * room
    space = new_array(1, &bytes, cnp.NPY_UINT8)
    run_items(do_item, &w, items, cost(problem)[0] * PER_SECOND, workers, <char*> cnp.PyArray_DATA(space), room, False)
    if spoiled or not wide:
        return not spoiled
    return _DOUBLES if 3 * weight.nbytes + 2 * room <= problem.max_workspace else False


def prepare(problem, weight):
    """The spectra of the weights as the register tile reads them, one flat array of real numbers."""
    return spectra(problem, weight, False)


def run(problem, input, weight, bias, out):
    """Writes the result to `out` (C-contiguous). `weight` is what `prepare` returned.

    Returns True, or False if the result is not finite; of single precision, what does better where tiles hold so large and so
    small numbers that the small ones are lost.
    """
    return work_off(problem, input, weight, bias, out, False)


class _DOUBLES:
    """The same in double precision, for data in single precision."""

    @staticmethod
    def prepare(problem, weight):
        return spectra(problem, weight, True)

    @staticmethod
    def run(problem, input, weight, bias, out):
        return work_off(problem, input, weight, bias, out, True)

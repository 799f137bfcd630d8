"""Overlap-save by tiles: out = F^-1( sum_c F(tile of x_c) * F(kernel_oc laid out backwards) ), then bias and stride.

A circular correlation of T samples with a kernel that spans S is the plain one at its first T - S + 1 positions. The
padded input is cut into tiles of T samples that overlap by S - 1, so each output comes from one tile alone, and what
is large, or NaN, in one tile never reaches the outputs of another; two real tiles are never one complex transform.
Layout: tiles [unit][channel][z][y][x], a unit being one tile of one batch item and group; spectra [unit][channel][f],
complex. Axes along which the kernel has one tap are not transformed: their tiles are short, and strided from the start.
Spectra of weights are packed [group][block of f][piece of output channels][c][channel][real, imaginary], one vector of
frequencies per entry, and multiplied in a register tile of a few units x a few output channels.
Stride subsamples the inverse transform; dilation sets the taps apart. Half precision is computed in float32, real data
in real transforms, float32 in complex64.
Wins for large kernels: the cost per output grows with log(T), not with the number of taps.
Threads share the gathers, the products and the scatters here, and the transforms inside scipy.fft, which takes a whole
batch of tiles per call. The tile and the batch depend on the problem alone, and each sum over channels runs in order.
Sources: overlap-save is T. G. Stockham, "High-speed convolution and correlation", AFIPS 1966.
"""
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

cimport numpy as cnp
from cython.parallel cimport parallel, prange
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, log2
from libc.string cimport memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.blocks cimport Blocks, ceil_div, set_layout
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.items cimport Item, flushing, mode, run_items, set_mode
from cyconv.cpu.packing cimport (
    CIRCULAR, REFLECT, REPLICATE, ZEROS, Box, Stored, gather_stored, put_stored,
)
from cyconv.cpu.simd cimport VB, inlined, splat, vd, vf

from cyconv import costs
from cyconv.memory import empty

cnp.import_array()

cdef extern from *:
    """
    #if defined(__AVX512F__)
      #define CY_UNITS 3                /* 2 * 3 * 3 sums, 2 * 3 spectra of tiles and 2 of weights: 26 of 32 registers */
      #define CY_PIECE 3
    #else
      #define CY_UNITS 2                /* 2 * 2 * 2 sums, 2 * 2 spectra of tiles and 2 of weights: 14 of 16 registers */
      #define CY_PIECE 2
    #endif
    """
    enum:
        UNITS "CY_UNITS"                # units of a register tile
        PIECE "CY_PIECE"                # output channels of a register tile

cdef enum:
    MOST = 3                            # of UNITS and PIECE on any instruction set
    RUN = 8 * UNITS                     # units that one thread multiplies with the same spectra of weights
    CACHE_BYTES = 2 << 20               # of one batch; more only where spectra of weights should be read less often
    FAR_BYTES = 1 << 20                 # tiles above this leave the second-level cache while they are transformed

cdef Py_ssize_t LONGEST = 1 << 50       # tiles are shorter, so that no arithmetic on their lengths overflows

ctypedef fused lanes:
    vf
    vd

ctypedef fused real:
    float
    double


# ---- the tile --------------------------------------------------------------------------------------------------------


cdef struct Sizes:
    Py_ssize_t[3] out
    Py_ssize_t[3] stride
    Py_ssize_t[3] span
    bint[3] transformed
    double size, parts, batch, groups, channels, rows, memory
    double per_transform, per_product, per_byte, per_call


cdef struct Price:
    double seconds                      # by the work below; infinite if it does not fit
    double calls                        # of scipy.fft, and what goes with them
    double transforms                   # real numbers transformed, times log2 of the points
    double products                     # complex, over all channels and frequencies
    double bytes                        # gathered, scattered or packed
    double weights                      # bytes: spectra of all weights
    double unit                         # bytes: everything that one unit needs at once
    double scratch                      # bytes: of one thread
    double units
    double batch                        # units transformed by one call


cdef Py_ssize_t smooth(Py_ssize_t n) noexcept nogil:
    """The least number from n on that has no prime factor above 5."""
    cdef Py_ssize_t best = 1, five = 1, three, number
    while best < n:
        best *= 2
    while five < best:
        three = five
        while three < best:
            number = three
            while number < n:
                number *= 2
            best = min(best, number)
            three *= 3
        five *= 5
    return best


cdef inline Py_ssize_t outputs_of(const Sizes* p, const Py_ssize_t* tile, int a) noexcept nogil:
    """Outputs that a tile yields along an axis."""
    return (tile[a] - p.span[a]) // p.stride[a] + 1


cdef void price(const Sizes* p, const Py_ssize_t* tile, Price* result) noexcept nogil:
    """What a tile costs, infinite if it does not fit."""
    cdef double points = 1, mixed = 1, tiles = 1, vector = 16 / p.size, frequencies, padded, transforms, kernels, slow, staged
    cdef int a, axes = 0, last = 2
    for a in range(3):
        points *= tile[a]
        tiles *= ceil_div(p.out[a], outputs_of(p, tile, a))
        if p.transformed[a]:
            mixed *= tile[a]
            axes += 1
            last = a
    frequencies = points if p.parts == 2 else points / tile[last] * (tile[last] // 2 + 1)
    padded = frequencies + 15           # vectors of frequencies are at most 16 long: the same count for all instruction sets
    kernels = p.groups * p.rows * p.channels
    result.units = p.batch * p.groups * tiles
    result.weights = kernels * padded * 2 * p.size
    staged = points * p.parts * p.size
    # the tiles, their spectra, the sums of products, the copy that an inverse transform makes of them, the results
    result.unit = p.channels * (staged + 2 * frequencies * p.size) + p.rows * (4 * frequencies * p.size + staged)
    result.scratch = 2 * 64 * MOST * (p.channels + MOST) + (staged if p.parts == 2 else 0)
    if result.weights + result.unit + result.scratch > p.memory:
        result.seconds = INFINITY
        return
    transforms = result.units * (p.channels + p.rows) + kernels
    # A batch fills the cache, but scipy.fft is slow unless it has as many transforms as its 16-byte vectors have lanes.
    result.batch = min(max(<double> CACHE_BYTES, result.weights), p.memory - result.weights - result.scratch) // result.unit
    result.batch = max(result.batch, min(vector, (p.memory - result.weights - result.scratch) // result.unit))
    if result.batch > vector:
        result.batch = result.batch // vector * vector
    result.batch = min(result.batch, result.units)
    slow = 1.7 if staged > FAR_BYTES else 1
    if axes == 1 and result.batch * min(p.channels, p.rows) * points / mixed < vector:
        slow *= 2.2
    result.calls = 4 + 2 * result.units / result.batch
    result.transforms = slow * p.parts * transforms * points * log2(max(mixed, 2.0))
    result.products = result.units * p.channels * p.rows * frequencies
    result.bytes = result.units * result.unit + 2 * result.weights
    if not p.transformed[2]:            # a column touches a cache line for a number
        result.bytes += 7 * result.units * (p.channels + p.rows) * staged / tile[2]
    result.seconds = (
        p.per_call * result.calls + p.per_transform * result.transforms + p.per_product * result.products + p.per_byte * result.bytes
    )


@lru_cache(256)
def layout(problem):
    """(work, bytes, tile, units of a batch); or a number of bytes that even the smallest tile needs, if they are too many."""
    cdef Sizes p
    cdef Price now
    cdef Py_ssize_t[3] tile
    cdef Py_ssize_t[3] best
    cdef int a, turn
    cdef double least = INFINITY, smallest = INFINITY
    cdef Blocks b
    set_layout(&b, problem)
    p.size, p.parts = b.size, b.parts
    each, bits = costs.SECONDS["fft"], 8 * b.size
    p.per_call, p.per_byte = each["call"], each["byte"]
    p.per_transform, p.per_product = each[f"transform_{bits}"], each[f"multiply_add_{bits}"]
    p.batch, p.groups, p.channels, p.rows = problem.batch, problem.groups, problem.in_channels, problem.out_channels
    p.memory = problem.max_workspace
    least_bytes = max(problem.span) * b.size
    if least_bytes > min(problem.max_workspace, LONGEST):
        return least_bytes
    transformed = transformed_axes(problem)
    choices = []
    for a in range(3):
        p.out[a], p.span[a], p.transformed[a] = problem.out_size[a], problem.span[a], a in transformed
        p.stride[a] = problem.stride[a] if p.transformed[a] else 1
        if p.transformed[a]:
            choices.append(_lengths(problem, a))
        else:  # columns are read a few at a time, which touches a cache line once
            choices.append([1, min(p.out[a], 16)] if a == 2 else [1])
        best[a] = choices[a][0]

    def consider(lengths):
        nonlocal least, smallest
        for a in range(3):
            tile[a] = lengths[a]
        price(&p, tile, &now)
        smallest = min(smallest, now.weights + now.unit + now.scratch)
        if now.seconds < least:
            least = now.seconds
            for a in range(3):
                best[a] = tile[a]

    # All axes together from short to long, and from there each axis alone.
    for turn in range(max(map(len, choices))):
        consider([lengths[min(turn, len(lengths) - 1)] for lengths in choices])
    for turn in range(2):
        for a in range(3):
            if len(choices[a]) > 1:
                for length in choices[a]:
                    around = [best[0], best[1], best[2]]
                    around[a] = length
                    consider(around)
    if least == INFINITY:
        return int(smallest)
    price(&p, best, &now)
    work = {
        "call": now.calls,
        f"transform_{bits}": now.transforms,
        f"multiply_add_{bits}": now.products,
        "byte": now.bytes,
    }
    return work, int(now.weights + now.scratch + now.batch * now.unit), (best[0], best[1], best[2]), int(now.batch)


def _lengths(problem, axis):
    """Tile lengths worth a look along an axis, short to long; the last one holds the whole axis, if memory may hold it."""
    span = problem.span[axis]
    whole = (problem.out_size[axis] - 1) * problem.stride[axis] + span
    lengths, length = [], max(1.25 * span, 8.0)
    while length < 0.8 * whole and length * 4 <= problem.max_workspace:
        lengths.append(smooth(int(length)))
        length *= 1.5
    if whole * 4 <= problem.max_workspace or not lengths:
        lengths.append(max(smooth(min(whole, LONGEST)), 2))
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


def cost(problem):
    """(predicted seconds on one thread, bytes of workspace on one thread)."""
    nothing = problem.products == 0 or problem.outputs == 0
    return costs.seconds("fft", amounts(problem)), 0 if nothing else layout(problem)[1]


def amounts(problem):
    """The work, as costs.py counts it."""
    return layout(problem)[0] if problem.products and problem.outputs else {"call": 1}


# ---- the kernels -----------------------------------------------------------------------------------------------------


cdef struct Work:
    Box box
    Stored kind
    Py_ssize_t size                     # bytes of a real number that is computed with
    Py_ssize_t stored_size              # bytes of a real number in the caller's arrays
    Py_ssize_t parts                    # 2 for complex data
    Py_ssize_t groups, channels, rows   # input and output channels of a group
    Py_ssize_t[3] tile
    Py_ssize_t[3] span
    Py_ssize_t[3] stride
    Py_ssize_t[3] out
    Py_ssize_t[3] yields                # outputs of one tile
    Py_ssize_t[3] count                 # tiles
    Py_ssize_t per_group                # units of one group
    Py_ssize_t tile_bytes
    Py_ssize_t frequencies
    Py_ssize_t blocks                   # vectors of frequencies
    Py_ssize_t first                    # unit of the batch
    Py_ssize_t units                    # of the batch
    Py_ssize_t run                      # vectors of frequencies that one thread multiplies in turn
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    const char* bias
    char* out_data
    char* tiles
    char* spectra
    char* sums
    char* results


cdef inline void locate(const Work* w, Py_ssize_t unit, Py_ssize_t* group, Py_ssize_t* item, Py_ssize_t* place,
                        Py_ssize_t* extent) noexcept nogil:
    """The group, batch item, first output and number of outputs of a unit."""
    cdef int a
    group[0] = unit // w.per_group
    unit = unit % w.per_group
    for a in range(2, -1, -1):
        place[a] = unit % w.count[a] * w.yields[a]
        extent[a] = min(w.yields[a], w.out[a] - place[a])
        unit //= w.count[a]
    item[0] = unit


cdef void interleave(const Work* w, const char* re, const char* im, char* to, Py_ssize_t count) noexcept nogil:
    if w.size == 4:
        merge[float](<const float*> re, <const float*> im, <float*> to, count)
    else:
        merge[double](<const double*> re, <const double*> im, <double*> to, count)


cdef inline void merge(const real* re, const real* im, real* to, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(count):
        to[2 * q] = re[q]
        to[2 * q + 1] = im[q]


cdef inline void split(const real* src, real* re, real* im, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(count):
        re[q] = src[2 * q]
        im[q] = src[2 * q + 1]


cdef void deinterleave(Py_ssize_t size, const char* src, char* to, Py_ssize_t count) noexcept nogil:
    """One vector of real parts and one of imaginary parts; zeros behind `count` numbers."""
    if count * size < VB:
        memset(to, 0, 2 * VB)
    if size == 4:
        split[float](<const float*> src, <float*> to, <float*> (to + VB), count)
    else:
        split[double](<const double*> src, <double*> to, <double*> (to + VB), count)


cdef void gather_tile(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    """One channel of one unit. Samples that none of its outputs read are zero, not the neighbouring tile's."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t slot = item // w.channels, c = item % w.channels, g, n, points = w.tile_bytes // (w.size * w.parts)
    cdef char* to = w.tiles + item * w.tile_bytes
    cdef const char* src
    cdef bint whole = True
    cdef int a
    locate(w, w.first + slot, &g, &n, place, extent)
    for a in range(3):
        extent[a] = (extent[a] - 1) * w.stride[a] + w.span[a]
        place[a] *= w.stride[a]
        whole = whole and extent[a] == w.tile[a]
    src = w.input + n * w.input_step[0] + g * w.input_step[1] + c * w.input_step[2]
    if w.parts == 1:
        if not whole:
            memset(to, 0, w.tile_bytes)
        gather_stored(w.kind, src, &w.box, place, extent, to)
    else:
        if not whole:
            memset(scratch, 0, w.tile_bytes)
        gather_stored(w.kind, src, &w.box, place, extent, scratch)
        gather_stored(w.kind, src + w.stored_size, &w.box, place, extent, scratch + points * w.size)
        interleave(w, scratch, scratch + points * w.size, to, points)


cdef inline inlined product_tile(const int units, const int rows, const lanes* like, Py_ssize_t channels, const char* x,
                                 const char* weight, char* sums) noexcept nogil:
    """A register tile of units x rows complex sums over channels; `units` and `rows` are constants once inlined."""
    cdef lanes[MOST][MOST] re
    cdef lanes[MOST][MOST] im
    cdef lanes[MOST] xr
    cdef lanes[MOST] xi
    cdef lanes wr, wi
    cdef Py_ssize_t c
    cdef int u, r
    cdef double zero = 0                # also a float's zero
    for u in range(units):
        for r in range(rows):
            re[u][r] = im[u][r] = splat(<const char*> &zero, like)
    for c in range(channels):
        for u in range(units):
            xr[u] = (<const lanes*> (x + 2 * u * VB))[0]
            xi[u] = (<const lanes*> (x + (2 * u + 1) * VB))[0]
        for r in range(rows):
            wr = (<const lanes*> (weight + 2 * r * VB))[0]
            wi = (<const lanes*> (weight + (2 * r + 1) * VB))[0]
            for u in range(units):
                re[u][r] = re[u][r] + wr * xr[u] - wi * xi[u]
                im[u][r] = im[u][r] + wr * xi[u] + wi * xr[u]
        x += 2 * units * VB
        weight += 2 * rows * VB
    for u in range(units):
        for r in range(rows):
            (<lanes*> (sums + 2 * (u * rows + r) * VB))[0] = re[u][r]
            (<lanes*> (sums + (2 * (u * rows + r) + 1) * VB))[0] = im[u][r]


cdef inline inlined product_rows(const int units, const lanes* like, Py_ssize_t channels, const char* x, const char* weight,
                                 char* sums, Py_ssize_t rows) noexcept nogil:
    if rows == 1:
        product_tile(units, 1, like, channels, x, weight, sums)
    elif rows == 2:
        product_tile(units, 2, like, channels, x, weight, sums)
    elif rows == 3 and PIECE >= 3:
        product_tile(units, 3, like, channels, x, weight, sums)


cdef void product(const lanes* like, Py_ssize_t channels, const char* x, const char* weight, char* sums, Py_ssize_t units,
                  Py_ssize_t rows) noexcept nogil:
    if units == 1:
        product_rows(1, like, channels, x, weight, sums, rows)
    elif units == 2:
        product_rows(2, like, channels, x, weight, sums, rows)
    elif units == 3 and UNITS >= 3:
        product_rows(3, like, channels, x, weight, sums, rows)


cdef void multiply(const Work* w, Py_ssize_t item, char* scratch) noexcept nogil:
    """All output channels of a run of units, at a run of frequencies."""
    cdef Py_ssize_t runs = ceil_div(w.units, RUN), spectrum = 2 * w.frequencies * w.size, lane = VB // w.size
    cdef Py_ssize_t f, u, c, r, g, o, rows, units, here, begin, end = min((item % runs + 1) * RUN, w.units)
    cdef char* sums = scratch + 2 * UNITS * w.channels * VB
    cdef const char* weight
    cdef const char* sum
    begin = item % runs * RUN
    for f in range(item // runs * w.run, min((item // runs + 1) * w.run, w.blocks)):
        here = min(lane, w.frequencies - f * lane)
        u = begin
        while u < end:
            g = (w.first + u) // w.per_group
            units = min(min(<Py_ssize_t> UNITS, end - u), (g + 1) * w.per_group - w.first - u)
            for c in range(w.channels):
                for r in range(units):
                    deinterleave(w.size, w.spectra + ((u + r) * w.channels + c) * spectrum + 2 * f * VB,
                                 scratch + 2 * (c * units + r) * VB, here)
            weight = w.weight + 2 * (g * w.blocks + f) * w.rows * w.channels * VB
            o = 0
            while o < w.rows:
                rows = min(<Py_ssize_t> PIECE, w.rows - o)
                if w.size == 4:
                    product(<vf*> NULL, w.channels, scratch, weight + 2 * o * w.channels * VB, sums, units, rows)
                else:
                    product(<vd*> NULL, w.channels, scratch, weight + 2 * o * w.channels * VB, sums, units, rows)
                for r in range(units * rows):
                    sum = sums + 2 * r * VB
                    interleave(w, sum, sum + VB, w.sums + ((u + r // rows) * w.rows + o + r % rows) * spectrum + 2 * f * VB, here)
                o += rows
            u += units


cdef inline void pick(const real* src, real* to, Py_ssize_t parts, Py_ssize_t stride, Py_ssize_t count,
                      const real* bias) noexcept nogil:
    """Every stride-th number plus bias; `to` may be `src`."""
    cdef Py_ssize_t q
    if parts == 2:
        for q in range(count):
            to[2 * q] = src[2 * q * stride] + bias[0]
            to[2 * q + 1] = src[2 * q * stride + 1] + bias[1]
    elif stride == 1:
        for q in range(count):
            to[q] = src[q] + bias[0]
    else:
        for q in range(count):
            to[q] = src[q * stride] + bias[0]


cdef void scatter_tile(const Work* w, Py_ssize_t item) noexcept nogil:
    """One output channel of one unit: stride, bias, the caller's number format."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t slot = item // w.rows, o = item % w.rows, g, n, z, y, at, number = w.parts * w.size
    cdef char* row
    cdef const char* bias
    locate(w, w.first + slot, &g, &n, place, extent)
    o += g * w.rows
    bias = w.bias + o * number
    at = (n * w.groups * w.rows + o) * w.out[0]
    for z in range(extent[0]):
        for y in range(extent[1]):
            row = w.results + item * w.tile_bytes + (z * w.stride[0] * w.tile[1] + y * w.stride[1]) * w.tile[2] * number
            if w.size == 4:
                pick[float](<const float*> row, <float*> row, w.parts, w.stride[2], extent[2], <const float*> bias)
            else:
                pick[double](<const double*> row, <double*> row, w.parts, w.stride[2], extent[2], <const double*> bias)
            put_stored(w.kind, row,
                       w.out_data + (((at + place[0] + z) * w.out[1] + place[1] + y) * w.out[2] + place[2]) * w.parts * w.stored_size,
                       1, extent[2] * w.parts)


# ---- what the menu calls ---------------------------------------------------------------------------------------------


cdef int open_work(Work* w, object problem, tuple tile) except -1:
    """Everything that the problem and the tile say."""
    cdef Blocks b
    cdef Py_ssize_t a, points = 1
    cdef str mode = problem.padding_mode
    cdef Py_ssize_t* zero = <Py_ssize_t*> &NO_REMAINDER
    axes = transformed_axes(problem)
    set_layout(&b, problem)
    w.kind, w.size, w.stored_size, w.parts = b.kind, b.size, b.stored_size, b.parts
    w.groups, w.channels, w.rows = problem.groups, problem.in_channels, problem.out_channels
    w.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    w.per_group = problem.batch
    for a in range(3):
        w.tile[a], w.span[a], w.out[a] = tile[a], problem.span[a], problem.out_size[a]
        w.box.axis[a].stride = 1 if a in axes else problem.stride[a]
        w.stride[a] = problem.stride[a] if a in axes else 1
        w.yields[a] = (w.tile[a] - w.span[a]) // w.stride[a] + 1
        w.count[a] = ceil_div(w.out[a], w.yields[a])
        w.per_group *= w.count[a]
        w.box.axis[a].n, w.box.axis[a].pad, w.box.axis[a].length = problem.size[a], problem.pad_before[a], w.tile[a]
        w.box.axis[a].phases = 1
        w.box.axis[a].remainder = zero
        points *= w.tile[a]
    a = max(axes)
    w.frequencies = points if w.parts == 2 else points // w.tile[a] * (w.tile[a] // 2 + 1)
    w.blocks = ceil_div(w.frequencies * w.size, VB)
    w.run = max(64 // (w.channels * w.rows), 1)
    w.tile_bytes = points * w.parts * w.size
    return 0


cdef Py_ssize_t NO_REMAINDER = 0


def transformed_axes(problem):
    return [a for a in range(3) if problem.kernel[a] > 1] or [2]


def numbers(problem):
    """(dtype of tiles, dtype of spectra)."""
    double = problem.dtype in ("float64", "complex128")
    spectra = np.complex128 if double else np.complex64
    return (spectra if problem.dtype.startswith("complex") else np.float64 if double else np.float32), spectra


@contextmanager
def flushed():
    """Subnormal numbers count as zeros here, where they would take long (items.pxd); in SciPy's own threads they do not."""
    cdef unsigned own = mode()
    set_mode(own | flushing())
    try:
        yield
    finally:
        set_mode(own)


def forward(tiles, axes, workers):
    from scipy import fft  # here, since importing scipy.fft takes longer than importing cyconv

    axes = [a - 3 for a in axes]
    with flushed():
        if tiles.dtype.kind == "c":
            return np.ascontiguousarray(fft.fftn(tiles, axes=axes, workers=workers, overwrite_x=True), tiles.dtype)
        return np.ascontiguousarray(fft.rfftn(tiles, axes=axes, workers=workers), np.result_type(tiles, np.complex64))


def backward(spectra, tile, axes, dtype, workers):
    from scipy import fft

    lengths, axes = [tile[a] for a in axes], [a - 3 for a in axes]
    with flushed():
        if dtype is spectra.dtype.type:
            return np.ascontiguousarray(fft.ifftn(spectra, axes=axes, workers=workers, overwrite_x=True), dtype)
        return np.ascontiguousarray(fft.irfftn(spectra, s=lengths, axes=axes, workers=workers, overwrite_x=True), dtype)


def spectrum_shape(tile, axes, dtype):
    if dtype in (np.complex64, np.complex128):
        return tuple(tile)
    return tuple(tile[a] // 2 + 1 if a == max(axes) else tile[a] for a in range(3))


def prepare(problem, weight):
    """The spectra of the weights as the register tile reads them, one flat array of real numbers."""
    cdef Work w
    cdef Py_ssize_t first, count, batch, item
    cdef int workers
    cdef char* packed
    cdef const char* src
    if problem.products == 0 or problem.outputs == 0:
        return weight                   # `run` is not called
    tile = layout(problem)[2]
    open_work(&w, problem, tile)
    axes = transformed_axes(problem)
    dtype, spectra = numbers(problem)
    kernels = np.ascontiguousarray(weight, dtype).reshape(-1, *problem.kernel)
    total = len(kernels)
    result = empty(2 * total * w.blocks * (VB // w.size), np.float64 if w.size == 8 else np.float32)
    packed = <char*> cnp.PyArray_DATA(result)
    workers = worth_workers(cost(problem)[0], 1, problem.max_workspace)
    # Staged in no more room than `run` has for its batches.
    room = min(<Py_ssize_t> CACHE_BYTES, problem.max_workspace - result.nbytes)
    batch = min(max(room // (w.tile_bytes + 2 * w.frequencies * w.size), 1), total)
    staged = empty((batch, *tile), dtype)
    # Tap j stands at -j, so that the product of spectra is a correlation.
    where = np.ix_(*(
        -problem.dilation[a] * np.arange(problem.kernel[a]) % tile[a] if a in axes else np.arange(tile[a]) for a in range(3)
    ))
    first = 0
    while first < total:
        count = min(batch, total - first)
        staged[...] = 0
        staged[:count][(slice(None), *where)] = kernels[first : first + count]
        transformed = forward(staged[:count], axes, workers)
        src = <const char*> cnp.PyArray_DATA(<cnp.ndarray> transformed)
        with nogil, parallel(num_threads=workers):
            for item in prange(count):
                pack_kernel(&w, first + item, src + item * 2 * w.frequencies * w.size, packed)
        del transformed                 # before the next one is made
        PyErr_CheckSignals()
        first += count
    return result


cdef void pack_kernel(const Work* w, Py_ssize_t kernel, const char* spectrum, char* packed) noexcept nogil:
    cdef Py_ssize_t c = kernel % w.channels, o = kernel // w.channels % w.rows, g = kernel // w.channels // w.rows, f
    cdef Py_ssize_t lane = VB // w.size, begin = o // PIECE * PIECE, rows = min(<Py_ssize_t> PIECE, w.rows - begin), at
    for f in range(w.blocks):
        at = ((g * w.blocks + f) * w.rows + begin) * w.channels + c * rows + o - begin
        deinterleave(w.size, spectrum + 2 * f * VB, packed + 2 * at * VB, min(lane, w.frequencies - f * lane))


def run(problem, cnp.ndarray input, cnp.ndarray weight, bias, cnp.ndarray out):
    """Writes the result to `out` (C-contiguous); returns whether it is finite. `weight` is what `prepare` returned."""
    cdef Work w
    cdef Py_ssize_t a, item, items, total, batch, room, rank = problem.rank
    cdef int workers, size, bad
    cdef Py_ssize_t parts, pieces
    cdef char* scratch
    cdef bint batched = problem.batched
    _, workspace, tile, batch = layout(problem)
    open_work(&w, problem, tile)
    axes = transformed_axes(problem)
    dtype, spectra_dtype = numbers(problem)
    shape = spectrum_shape(tile, axes, dtype)
    for a in range(3):
        w.box.step[a] = cnp.PyArray_STRIDE(input, a - 3 + rank + 1 + batched) if a >= 3 - rank else 0
    w.input_step[0] = cnp.PyArray_STRIDE(input, 0) if batched else 0
    w.input_step[2] = cnp.PyArray_STRIDE(input, batched)
    w.input_step[1] = w.input_step[2] * w.channels
    w.input = <const char*> cnp.PyArray_DATA(input)
    w.weight = <const char*> cnp.PyArray_DATA(weight)
    w.out_data = <char*> cnp.PyArray_DATA(out)
    added = np.zeros(w.groups * w.rows, dtype) if bias is None else np.ascontiguousarray(bias, dtype)
    w.bias = <const char*> cnp.PyArray_DATA(<cnp.ndarray> added)

    room = ceil_div(2 * UNITS * (w.channels + PIECE) * VB + (w.tile_bytes if w.parts == 2 else 0), 64) * 64
    workers = worth_workers(cost(problem)[0], room, problem.max_workspace - workspace + room)
    space = empty(room * workers, np.uint8)
    scratch = <char*> cnp.PyArray_DATA(<cnp.ndarray> space)
    total = problem.groups * w.per_group
    tiles = empty((batch, w.channels, *tile), dtype)
    sums = empty((batch, w.rows, *shape), spectra_dtype)
    w.tiles = <char*> cnp.PyArray_DATA(<cnp.ndarray> tiles)
    w.sums = <char*> cnp.PyArray_DATA(<cnp.ndarray> sums)
    w.first = 0
    while w.first < total:
        w.units = min(batch, total - w.first)
        items = w.units * w.channels
        run_items(<Item> gather_tile, &w, items, 0, workers, scratch, room, False)
        spectra = forward(tiles[: w.units], axes, workers)
        w.spectra = <char*> cnp.PyArray_DATA(<cnp.ndarray> spectra)
        items = ceil_div(w.units, RUN) * ceil_div(w.blocks, w.run)
        run_items(<Item> multiply, &w, items, 0, workers, scratch, room, False)
        del spectra
        results = backward(sums[: w.units], tile, axes, dtype, workers)
        w.results = <char*> cnp.PyArray_DATA(<cnp.ndarray> results)
        items = w.units * w.rows
        with nogil, parallel(num_threads=workers):
            for item in prange(items):
                scatter_tile(&w, item)
        del results
        PyErr_CheckSignals()
        w.first += w.units
    pieces, parts = workers, 2 * out.size if out.dtype.kind == "c" else out.size
    size = out.nbytes // parts
    bad = 0
    with nogil, parallel(num_threads=workers):
        for item in prange(pieces):
            if not all_finite(w.out_data + item * parts // pieces * size, (item + 1) * parts // pieces - item * parts // pieces, size):
                bad += 1
    return bad == 0

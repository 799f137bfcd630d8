"""The work of `fft`, and tiles: from the caller's array, and back to it."""
from libc.string cimport memset

from cyconv.cpu.fft_price cimport ALONE, Way
from cyconv.cpu.fft_tile cimport Planes, Tile
from cyconv.cpu.finite cimport all_finite
from cyconv.cpu.packing cimport DOUBLE, Box, Stored, gather_floats, put_floats
from cyconv.cpu.simd cimport VB, inlined, outlined

ctypedef fused real:
    float
    double


cdef struct Work:
    Box box
    Stored kind
    Tile tile
    Py_ssize_t size                     # bytes of a real number that is computed with; 8 for numbers of 4, too, if need be
    Py_ssize_t stored_size              # bytes of a real number in the caller's arrays
    Py_ssize_t parts                    # 2 for complex data
    Py_ssize_t groups, channels, rows   # input and output channels of a group
    Py_ssize_t[3] length                # of a tile
    Py_ssize_t[3] span
    Py_ssize_t[3] stride
    Py_ssize_t[3] out
    Py_ssize_t[3] yields                # outputs of one tile
    Py_ssize_t[3] count                 # tiles
    Py_ssize_t tiles                    # of one item of the batch
    Py_ssize_t together                 # tiles of a transform: 2 of real data,
    Py_ssize_t pairs                    # and transforms of a channel of one item
    Py_ssize_t units                    # of all items,
    Py_ssize_t run, runs                # so many of which are an item, and how many items that makes
    Py_ssize_t bytes, panel             # of a tile's plane, and of the panel that it is turned in
    Py_ssize_t blocks                   # vectors of frequencies
    int row                             # the axis of the caller's arrays that rows of a tile are apart along; 2 for a signal
    Way way
    bint plain                          # whether results are written as they come
    bint read                           # whether input is read where it lies: numbers as they are computed with, side by side
    bint biased
    bint past                           # whether results are written past the caches
    int* spoiled                        # set where results are not finite
    int* doubtful                       # set where tiles of single precision need double precision
    Py_ssize_t high, wide               # rows and lines of a cell, see fft_range.pxd
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    const char* bias
    char* out_data


cdef struct Room:                       # of one thread
    Planes planes                       # scratch
    char* panel
    char* spectra
    char* sums


cdef inline void open_room(const Work* w, Room* r, char* room) noexcept nogil:
    room += 64 - (<size_t> room & 63)
    r.planes.re = room
    r.planes.im = r.planes.re + w.bytes
    r.planes.row, r.planes.plane = w.tile.n[2] * w.size, w.tile.n[1] * w.tile.n[2] * w.size
    r.panel = r.planes.im + w.bytes
    r.spectra = r.panel + w.panel
    r.sums = r.spectra + w.run * w.channels * w.tile.bytes if w.way != ALONE else r.spectra


cdef inline void locate(const Work* w, Py_ssize_t tile, Py_ssize_t* place, Py_ssize_t* extent) noexcept nogil:
    """The first output and number of outputs of a tile."""
    cdef int a
    for a in range(2, -1, -1):
        place[a] = tile % w.count[a] * w.yields[a]
        extent[a] = min(w.yields[a], w.out[a] - place[a])
        tile //= w.count[a]


cdef inline const char* channel_of(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t channel) noexcept nogil:
    return w.input + n * w.input_step[0] + group * w.input_step[1] + channel * w.input_step[2]


cdef inline Py_ssize_t samples(const Work* w, int a, Py_ssize_t place) noexcept nogil:
    """Of a tile that begins at output `place` of an axis: not those behind the last window. An inner tile has whole rows, even if its outputs need less."""
    return min((w.out[a] - 1 - place) * w.stride[a] + w.span[a], w.length[a])


cdef inline outlined gather_tile(const Work* w, const char* channel, Py_ssize_t tile, Py_ssize_t part, char* to) noexcept nogil:
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef bint whole = True, narrow = w.size == 8 and w.kind != DOUBLE
    cdef char* target = to + w.bytes // 2 if narrow else to
    cdef Py_ssize_t i
    cdef int a
    locate(w, tile, place, extent)
    for a in range(3):
        extent[a] = samples(w, a, place[a])
        place[a] *= w.stride[a]
        whole = whole and extent[a] == w.length[a]
    if not whole:
        memset(to, 0, w.bytes)
    gather_floats(w.kind, channel + part * w.stored_size, &w.box, place, extent, target)
    if narrow:
        for i in range(w.tile.points):
            (<double*> to)[i] = (<float*> target)[i]


cdef inline const char* inside(const Work* w, const char* channel, Py_ssize_t tile) noexcept nogil:
    """Where the tile begins, if all of it lies in the array, else NULL."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t first
    cdef int a
    locate(w, tile, place, extent)
    for a in range(3):
        first = place[a] * w.stride[a] - w.box.axis[a].pad
        if first < 0 or first + w.length[a] > w.box.axis[a].n or samples(w, a, place[a]) < w.length[a]:
            return NULL
        channel += first * w.box.step[a]
    return channel


cdef inline bint find_source(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t channel, Py_ssize_t tile, Planes* source) noexcept nogil:
    """Whether the tiles of a transform can be read where they lie; if so, where."""
    cdef const char* from_ = channel_of(w, n, group, channel)
    source.re = NULL
    if not w.read or tile + 1 >= w.tiles:
        return False
    source.re, source.im = <char*> inside(w, from_, tile), <char*> inside(w, from_, tile + 1)
    source.row, source.plane = w.tile.n[2] * w.size if w.row == 2 else w.box.step[w.row], w.box.step[0]
    if source.im == NULL:
        source.re = NULL
    return source.re != NULL


cdef inline bint find_target(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t row, Py_ssize_t tile, Planes* target, Py_ssize_t* wanted) noexcept nogil:
    """Whether the tiles' outputs can be written to the result at once, whole vectors of them; if so, where. `wanted`: samples of a tile that outputs need."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] beside
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t at, other
    cdef const Py_ssize_t* out = w.out
    cdef bint whole = w.plain and tile + 1 < w.tiles
    cdef int a
    target.re = NULL
    locate(w, tile, place, extent)
    locate(w, tile + w.together - 1 if tile + 1 < w.tiles else tile, beside, wanted)
    for a in range(3):
        whole = whole and wanted[a] == extent[a]
        wanted[a] = (max(wanted[a], extent[a]) - 1) * w.stride[a] + 1
    if w.row == 0:                      # whose planes have one row each
        wanted[1], wanted[0] = wanted[0], 1
    if not whole or extent[2] * w.size % VB:
        return False
    at = ((n * w.groups + group) * w.rows + row) * out[0]
    other = ((at + beside[0]) * out[1] + beside[1]) * out[2] + beside[2]
    at = ((at + place[0]) * out[1] + place[1]) * out[2] + place[2]
    target.re, target.im = w.out_data + at * w.size, w.out_data + other * w.size
    target.row = (w.tile.n[2] if w.row == 2 else out[2] if w.row == 1 else out[1] * out[2]) * w.size
    target.plane = out[1] * out[2] * w.size
    return True


cdef inline inlined add_to(real* row, Py_ssize_t count, real bias) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(count):
        row[q] = row[q] + bias


cdef inline void add_bias(const Work* w, Py_ssize_t o, const Planes* target, const Py_ssize_t* wanted) noexcept nogil:
    """To what has been written to the result, while it is in the caches."""
    cdef Py_ssize_t z, y, at
    cdef int part
    for z in range(wanted[0]):
        for y in range(wanted[1]):
            for part in range(2):
                at = z * target.plane + y * target.row
                if w.size == 4:
                    add_to(<float*> ((target.im if part else target.re) + at), wanted[2], (<const float*> w.bias)[o])
                else:
                    add_to(<double*> ((target.im if part else target.re) + at), wanted[2], (<const double*> w.bias)[o])


cdef inline inlined pick(const real* src, real* to, Py_ssize_t stride, Py_ssize_t count, const real* bias) noexcept nogil:
    """Every stride-th number plus bias, if any; `to` may be `src`. A zero that is added would take the sign of another."""
    cdef Py_ssize_t q
    if bias == NULL:
        if stride > 1:
            for q in range(count):
                to[q] = src[q * stride]
    elif stride == 1:
        for q in range(count):
            to[q] = src[q] + bias[0]
    else:
        for q in range(count):
            to[q] = src[q * stride] + bias[0]


cdef inline outlined scatter_tile(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t row, Py_ssize_t tile, Py_ssize_t part, char* from_) noexcept nogil:
    """One output channel of one tile: stride, bias, the caller's number format."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t o = group * w.rows + row, z, y, i, at
    cdef char* line
    cdef char* to
    cdef const char* bias = w.bias + (o * w.parts + part) * w.size if w.biased else NULL
    locate(w, tile, place, extent)
    at = (n * w.groups * w.rows + o) * w.out[0]
    for z in range(extent[0]):
        for y in range(extent[1]):
            line = from_ + (z * w.stride[0] * w.length[1] + y * w.stride[1]) * w.length[2] * w.size
            if w.size == 4:
                pick[float](<const float*> line, <float*> line, w.stride[2], extent[2], <const float*> bias)
            else:
                pick[double](<const double*> line, <double*> line, w.stride[2], extent[2], <const double*> bias)
                if w.kind != DOUBLE:
                    for i in range(extent[2]):
                        (<float*> line)[i] = <float> (<double*> line)[i]
            to = w.out_data + ((((at + place[0] + z) * w.out[1] + place[1] + y) * w.out[2] + place[2]) * w.parts + part) * w.stored_size
            put_floats(w.kind, line, to, w.parts, extent[2])
            if not all_finite(to if w.parts == 1 else line, extent[2], <int> w.stored_size):
                w.spoiled[0] = True

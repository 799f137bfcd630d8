"""The work of `fft`, and tiles: from the caller's array, and back to it."""
from libc.string cimport memset

from cyconv.cpu.fft_tile cimport Tile
from cyconv.cpu.packing cimport Box, Stored, gather_floats, put_floats
from cyconv.cpu.simd cimport inlined, outlined

ctypedef fused real:
    float
    double


cdef struct Work:
    Box box
    Stored kind
    Tile tile
    Py_ssize_t size                     # bytes of a real number that is computed with
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
    Py_ssize_t plane, panel             # bytes of a tile's plane, and of the panel that it is turned in
    Py_ssize_t blocks                   # vectors of frequencies
    Py_ssize_t wanted                   # rows of a tile that have outputs
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    const char* weight
    const char* bias
    char* out_data


cdef struct Room:                       # of one thread
    char* re
    char* im
    char* panel
    char* spectra
    char* sums


cdef inline void open_room(const Work* w, Room* r, char* room) noexcept nogil:
    room += 64 - (<size_t> room & 63)
    r.re = room
    r.im = r.re + w.plane
    r.panel = r.im + w.plane
    r.spectra = r.panel + w.panel
    r.sums = r.spectra + w.run * w.channels * w.tile.bytes


cdef inline void locate(const Work* w, Py_ssize_t tile, Py_ssize_t* place, Py_ssize_t* extent) noexcept nogil:
    """The first output and number of outputs of a tile."""
    cdef int a
    for a in range(2, -1, -1):
        place[a] = tile % w.count[a] * w.yields[a]
        extent[a] = min(w.yields[a], w.out[a] - place[a])
        tile //= w.count[a]


cdef inline outlined gather_tile(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t channel, Py_ssize_t tile, Py_ssize_t part, char* to) noexcept nogil:
    """Samples that none of a tile's outputs read are zero, not the neighbouring tile's."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef bint whole = True
    cdef int a
    locate(w, tile, place, extent)
    for a in range(3):
        extent[a] = min((extent[a] - 1) * w.stride[a] + w.span[a], w.length[a])
        place[a] *= w.stride[a]
        whole = whole and extent[a] == w.length[a]
    if not whole:
        memset(to, 0, w.plane)
    gather_floats(w.kind, w.input + n * w.input_step[0] + group * w.input_step[1] + channel * w.input_step[2] + part * w.stored_size, &w.box, place, extent, to)


cdef inline inlined pick(const real* src, real* to, Py_ssize_t stride, Py_ssize_t count, const real* bias) noexcept nogil:
    """Every stride-th number plus bias; `to` may be `src`."""
    cdef Py_ssize_t q
    if stride == 1:
        for q in range(count):
            to[q] = src[q] + bias[0]
    else:
        for q in range(count):
            to[q] = src[q * stride] + bias[0]


cdef inline outlined scatter_tile(const Work* w, Py_ssize_t n, Py_ssize_t group, Py_ssize_t row, Py_ssize_t tile, Py_ssize_t part, char* from_) noexcept nogil:
    """One output channel of one tile: stride, bias, the caller's number format."""
    cdef Py_ssize_t[3] place
    cdef Py_ssize_t[3] extent
    cdef Py_ssize_t o = group * w.rows + row, z, y, at
    cdef char* line
    cdef const char* bias = w.bias + (o * w.parts + part) * w.size
    locate(w, tile, place, extent)
    at = (n * w.groups * w.rows + o) * w.out[0]
    for z in range(extent[0]):
        for y in range(extent[1]):
            line = from_ + (z * w.stride[0] * w.length[1] + y * w.stride[1]) * w.length[2] * w.size
            if w.size == 4:
                pick[float](<const float*> line, <float*> line, w.stride[2], extent[2], <const float*> bias)
            else:
                pick[double](<const double*> line, <double*> line, w.stride[2], extent[2], <const double*> bias)
            put_floats(w.kind, line,
                       w.out_data + ((((at + place[0] + z) * w.out[1] + place[1] + y) * w.out[2] + place[2]) * w.parts + part) * w.stored_size,
                       w.parts, extent[2])

"""What a tile of an overlap-save convolution costs.

The seconds of each kind of work here choose a tile, and no more: they were fitted to 4101 tiles of 1300 problems, small and large, several to each
problem, on the machine of costs.py. What the convolution as a whole takes is predicted by costs.py, which is fitted to chosen tiles only and cannot
tell what others would have taken. So a tile, and with it the last bits, depends on the problem alone, whatever `tune` measures.
"""
from libc.math cimport INFINITY, ceil, log2, sqrt

from cyconv.cpu.blocks cimport ceil_div

cdef enum:
    RUN = 12                            # pairs of tiles that a thread multiplies with the same spectra of weights, at most,
    RUN_BYTES = 1 << 20                 # and what these may take
    CACHE = 1 << 19                     # bytes of a second-level cache
    WHOLE = 16                          # outputs: whole vectors on all instruction sets
    LONG = 256                          # outputs of a row beside which WHOLE are few


cdef enum Way:                          # to multiply spectra
    ALONE                               # one channel to one: in place, within a pass
    FEW                                 # to one output channel after the other, and back at once
    MANY                                # to all output channels of several transforms


cdef struct Sizes:
    Py_ssize_t[3] out
    Py_ssize_t[3] stride
    Py_ssize_t[3] span
    Py_ssize_t[3] lone                  # from which length on one tile is enough
    double size, parts, batch, groups, channels, rows, memory
    Way way
    double spectra                      # that a transform of each channel, of input and of output, needs room for
    bint converted                      # whether they are numbers of another size
    double passes                       # that each point of the tile goes through, along all axes
    bint folded                         # whether the tile is half of all rows, see fft_tile.pxd


cdef struct Price:
    double seconds                      # as far as they depend on the tile; infinite if it does not fit
    double passes                       # complex numbers, times the passes that each goes through
    double weight_passes                # the same of weights, in units of single precision
    double products                     # complex, over all channels and frequencies
    double tiles                        # transforms of tiles, of input and of output
    double converted                    # bytes whose numbers are
    double spilled                      # bytes, times the doublings that take them out of the second-level cache; after three they come from memory anyway
    double weights                      # bytes: spectra of all weights
    double run                          # transforms of each channel that a thread works on together
    double scratch                      # bytes: of one thread


cdef inline Py_ssize_t outputs_of(Py_ssize_t length, int axis, Py_ssize_t out, Py_ssize_t span, Py_ssize_t stride, Py_ssize_t lone) noexcept nogil:
    """Outputs that a tile yields along an axis; whole vectors of them, which are written as they come, where that costs nothing."""
    cdef Py_ssize_t most, whole
    if length >= lone:
        return out
    most = (length - span) // stride + 1
    whole = most // WHOLE * WHOLE
    if axis == 2 and stride == 1 and whole and (most >= LONG or ceil_div(out, whole) == ceil_div(out, most)):
        return whole
    return most


cdef inline double room_of(const Sizes* p, double points, double longest, double run) noexcept nogil:
    """Bytes of one thread: two planes of a tile, a panel, spectra; the same for all instruction sets."""
    return 2 * points * p.size + longest * 128 + run * p.spectra * (2 * points * p.size + 128) + 128


cdef inline void price(const Sizes* p, const Py_ssize_t* tile, Price* result) noexcept nogil:
    """What a tile costs, infinite if it does not fit."""
    cdef double points = 1, tiles = 1, units, kernels, transforms, room, longest = 0
    cdef int a
    for a in range(3):
        points *= tile[a]
        longest = max(longest, <double> tile[a] if a < 2 else 0.0)
        tiles *= 2 if a == 1 and p.folded else ceil_div(p.out[a], outputs_of(tile[a], a, p.out[a], p.span[a], p.stride[a], p.lone[a]))
    kernels = p.groups * p.rows * p.channels
    units = p.groups * p.batch * (tiles if p.parts == 2 else (tiles + 1) // 2)
    result.weights = kernels * points * 2 * p.size
    if longest == 1:
        longest = sqrt(points)          # rows of the matrix that a signal is, at most
    result.scratch = room_of(p, points, longest, 1)
    if result.weights + result.scratch > p.memory:
        result.seconds = INFINITY
        return
    result.run = min(p.memory - result.weights - room_of(p, points, longest, 0), <double> RUN_BYTES)
    result.run = max(min(min(result.run // room_of(p, points, 0, 1), <double> RUN), units), 1.0) if p.way == MANY else 1.0
    result.scratch = room_of(p, points, longest, result.run)
    transforms = units * (p.channels + p.rows) * points
    result.passes = transforms * (p.passes - 1 if p.way == ALONE else p.passes)
    result.weight_passes = kernels * points * p.passes * p.size / 4
    result.tiles = units * (p.channels + p.rows)
    result.products = units * p.channels * p.rows * points
    result.converted = transforms * 2 * p.size if p.converted else 0.0
    room = result.weights + result.scratch
    result.spilled = min(max(log2(room / CACHE), 0.0), 3.0) * (result.weights + transforms * 4 * p.size + ceil(units / result.run) * result.weights / p.groups)
    result.seconds = (5.5e-11 * result.weights + 4e-10 * result.weight_passes + (2.44e-10 if p.size == 4 else 4.2e-10) * result.passes
                      + 1.5e-7 * result.tiles + (1e-10 if p.size == 4 else 4.2e-10) * result.products + 2.2e-11 * result.converted + 1.1e-11 * result.spilled)

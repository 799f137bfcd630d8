"""What a tile of an overlap-save convolution costs."""
from libc.math cimport INFINITY, log2, sqrt

from cyconv.cpu.blocks cimport ceil_div

cdef enum:
    RUN = 12                            # pairs of tiles that a thread multiplies with the same spectra of weights, at most,
    RUN_BYTES = 1 << 20                 # and what these may take
    WHOLE = 16                          # outputs: whole vectors on all instruction sets
    MANY = 256                          # outputs of a row beside which WHOLE are few


cdef struct Sizes:
    Py_ssize_t[3] out
    Py_ssize_t[3] stride
    Py_ssize_t[3] span
    Py_ssize_t[3] lone                  # from which length on one tile is enough
    bint[3] transformed
    double size, parts, batch, groups, channels, rows, memory
    double spectra                      # that a transform of each channel, of input and of output, needs room for
    double per_weight, per_transform, per_product, per_byte, per_call


cdef struct Price:
    double seconds                      # by the work below; infinite if it does not fit
    double transforms                   # complex numbers transformed, times log2 of the points
    double products                     # complex, over all channels and frequencies
    double bytes                        # gathered, scattered or packed
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
    if axis == 2 and stride == 1 and whole and (most >= MANY or ceil_div(out, whole) == ceil_div(out, most)):
        return whole
    return most


cdef inline double room_of(const Sizes* p, double points, double longest, double run) noexcept nogil:
    """Bytes of one thread: two planes of a tile, a panel, spectra; the same for all instruction sets."""
    return 2 * points * p.size + longest * 128 + run * p.spectra * (2 * points * p.size + 128) + 128


cdef inline void price(const Sizes* p, const Py_ssize_t* tile, Price* result) noexcept nogil:
    """What a tile costs, infinite if it does not fit."""
    cdef double points = 1, mixed = 1, tiles = 1, units, kernels, longest = 0
    cdef int a
    for a in range(3):
        points *= tile[a]
        longest = max(longest, <double> tile[a] if a < 2 else 0.0)
        tiles *= ceil_div(p.out[a], outputs_of(tile[a], a, p.out[a], p.span[a], p.stride[a], p.lone[a]))
        if p.transformed[a]:
            mixed *= tile[a]
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
    result.run = max(min(min(result.run // room_of(p, points, 0, 1), <double> RUN), units), 1.0)
    result.scratch = room_of(p, points, longest, result.run)
    result.transforms = (units * (p.channels + p.rows) + kernels) * points * log2(mixed)
    result.products = units * p.channels * p.rows * points
    result.bytes = units * (p.channels + p.rows) * 2 * points * p.size
    result.seconds = p.per_call + p.per_weight * result.weights + p.per_transform * result.transforms + p.per_product * result.products + p.per_byte * result.bytes

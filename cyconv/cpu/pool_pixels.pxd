"""Global pools where channels are neighbours in memory, pixel after pixel: the innermost loop runs over the channels of as many pixels as lie side by side.

As many sums, or maxima, are kept as pool_whole.pxd has lanes in all, each of them of every 32nd pixel, so that the layout of floats changes no bit.
Threads share out groups of channels.
"""
from cyconv.cpu.pool_divide cimport divide
from cyconv.cpu.pool_rows cimport combine, lowest, number, put, raise_to, take, take_root
from cyconv.cpu.pool_windows cimport Work
from cyconv.cpu.pool_work cimport ADD, DOUBLE, HALF, How, MAX, NORM, PEAK, SET, SINGLE, ceil_div

cdef enum:
    PIXELS = 32                         # that are worked on side by side
    GROUP = 128                         # channels, at most, so that what is kept stays in a first-level cache


cdef inline void join_some(const Work* w, const char* p, Py_ssize_t n, How how, number* to, number* room) noexcept nogil:
    """Numbers that are neighbours; for p-norms there is room for as many."""
    if number is double:
        if w.kind == NORM:
            take(w.stored, p, w.stored_size, n, room, SET)
            raise_to(w.divisors.norm, room, n)
            take(DOUBLE, <const char*> room, 8, n, to, how)
            return
        if w.stored == DOUBLE and how == ADD:
            combine(<const double*> p, 1, n, to, ADD)
            return
    take(w.stored, p, w.stored_size, n, to, how)

cdef inline void join_pixels(const Work* w, const char* p, Py_ssize_t pixels, Py_ssize_t channels, How how, number* kept, number* room) noexcept nogil:
    """Of all pixels, numbers of each of these channels."""
    cdef Py_ssize_t step = w.channels * w.stored_size if w.gapless else w.axis[2].step, length = pixels if w.gapless else w.axis[2].n
    cdef Py_ssize_t side = PIXELS if w.gapless and w.channels == channels and w.kind != NORM else 1, i = 0, row = 0, end = length
    cdef Py_ssize_t main = pixels - pixels % PIXELS
    cdef const char* at = p
    cdef Py_ssize_t sum
    if main == 0:
        for i in range(PIXELS * channels):
            kept[i] = lowest(<const number*> NULL) if how == PEAK else 0
        i = 0
    while i < pixels:
        if i == end:                    # of a row
            row += 1
            end += length
            at = p + row // w.axis[1].n * w.axis[0].step + row % w.axis[1].n * w.axis[1].step
        sum = i % PIXELS
        if i >= main:                   # eights of pixels, and then what is left of one, as in pool_whole.pxd
            sum, side = i % 8 + (8 if i >= pixels - pixels % 8 else 0), 1
        join_some(w, at, side * channels, SET if i < min(main, <Py_ssize_t> PIXELS) else how, kept + sum * channels, room)
        i += side
        at += side * step

cdef inline void fold(Py_ssize_t channels, How how, number* kept) noexcept nogil:
    """What is kept to one number for each channel."""
    cdef Py_ssize_t eight = 8 * channels, n = 4 * channels
    combine(kept + eight, 1, eight, kept, how)
    combine(kept + 3 * eight, 1, eight, kept + 2 * eight, how)
    combine(kept + 2 * eight, 1, eight, kept, how)
    while n >= channels:
        combine(kept + n, 1, n, kept, how)
        n //= 2

cdef inline void first_zeros(const Work* w, const char* p, Py_ssize_t pixels, Py_ssize_t channels, number* peaks) noexcept nogil:
    """Maxima that are zero get the sign of the first zero. Behind them is room for a pixel, and for what is sought yet."""
    cdef Py_ssize_t c, i = 0, left = 0
    cdef number* pixel = peaks + channels
    cdef number* sought = pixel + channels
    for c in range(channels):
        sought[c] = peaks[c] == 0
        left += peaks[c] == 0
    while left and i < pixels:
        take(w.stored, p + i * w.channels * w.stored_size, w.stored_size, channels, pixel, SET)
        for c in range(channels):
            if sought[c] and pixel[c] == 0:
                peaks[c] = pixel[c]
                sought[c] = 0
                left -= 1
        i += 1

cdef inline void pixels_item(const Work* w, Py_ssize_t item, number* kept, number* room) noexcept nogil:
    """Some channels of one item of the batch."""
    cdef Py_ssize_t groups = ceil_div(w.channels, w.together), batch = item // groups, first = item % groups * w.together
    cdef Py_ssize_t channels = min(w.together, w.channels - first), i, pixels = w.axis[0].n * w.axis[1].n * w.axis[2].n
    cdef const char* p = w.input + batch * w.batch_step + first * w.stored_size
    cdef How how = PEAK if w.kind == MAX else ADD
    join_pixels(w, p, pixels, channels, how, kept, room)
    fold(channels, how, kept)
    if how == ADD:
        for i in range(channels):
            kept[i] = kept[i] + 0       # a sum of negative zeros is positive, as it is where it begins with zero
        divide(&w.divisors, &w.axis[0], kept, channels, w.axis[0].n, w.axis[1].n, w.axis[2].n)
        if number is double:
            if w.kind == NORM:
                take_root(w.divisors.norm, kept, channels)
    elif w.stored == SINGLE or w.stored == DOUBLE or w.stored == HALF:
        first_zeros(w, p, pixels, channels, kept)
    put(w.stored, kept, channels, 1, w.out + (batch * w.channels + first) * w.stored_size)

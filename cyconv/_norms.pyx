"""What batch normalisation does to each channel of (batch, channels, positions), and what a rectifier lets back.

A channel is normalised by itself, in a few passes over numbers that stay in a core's caches meanwhile, so channels are what threads share
out. Sums are those of single lanes over about CHUNK numbers in the arrays' own precision, added up in double precision: the same order at
every number of threads. Deviations are taken from a mean that is rounded to the arrays' precision, and what the rounding left out is
added where the sums are: no digit is lost however far the mean is from 0.
"""
import numpy as np

cimport numpy as cnp
from libc.string cimport memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items
from cyconv.cpu.shuffle cimport lanes
from cyconv.cpu.simd cimport VB, splat, vd, vf

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

cdef double CALL = 1e-6                 # seconds,
cdef double TOUCHED = 1.5e-10           # and of a number in one pass
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    FOUR = 4                            # vectors that are added up side by side, since an addition takes as many turns
    CHUNK = 1024
    PIECE = 1 << 14                     # numbers that a thread lets through at a time

ctypedef fused number:
    float
    double

cdef enum Task:
    STATISTICS, SCALED, PRODUCTS, COMBINED

cdef struct Work:
    Task task
    bint single                         # precision
    Py_ssize_t batch, channels, count   # count: positions
    const char* x
    const char* g
    char* out
    const double* middle                # what deviations are taken from, exactly a number of the arrays' precision
    const double* a
    const double* b
    const double* c
    double* first                       # results, one for each channel
    double* second


# ---- sums ------------------------------------------------------------------------------------------------------------------


cdef inline void add_row(const number* x, const number* g, const lanes* like, double middle, Py_ssize_t count, lanes[2][FOUR]* sums,
                         double* first, double* second) noexcept nogil:
    """Adds, lane by lane, g and g * (x - middle); where g is NULL, x - middle stands for it. What fills no vector goes to first and second."""
    cdef lanes[FOUR] once
    cdef lanes[FOUR] twice
    cdef lanes m, d
    cdef Py_ssize_t i, j, side = VB // sizeof(number), whole = count - count % (FOUR * side)
    cdef number single = <number> middle, e
    m = splat(<const char*> &single, like)
    for j in range(FOUR):
        once[j], twice[j] = sums[0][0][j], sums[0][1][j]
    for i in range(whole // (FOUR * side)):
        for j in range(FOUR):
            d = (<const lanes*> (x + (i * FOUR + j) * side))[0] - m
            if g == NULL:
                once[j] = once[j] + d
                twice[j] = twice[j] + d * d
            else:
                once[j] = once[j] + (<const lanes*> (g + (i * FOUR + j) * side))[0]
                twice[j] = twice[j] + d * (<const lanes*> (g + (i * FOUR + j) * side))[0]
    while whole + side <= count:        # single vectors
        d = (<const lanes*> (x + whole))[0] - m
        if g == NULL:
            once[0] = once[0] + d
            twice[0] = twice[0] + d * d
        else:
            once[0] = once[0] + (<const lanes*> (g + whole))[0]
            twice[0] = twice[0] + d * (<const lanes*> (g + whole))[0]
        whole += side
    for j in range(FOUR):
        sums[0][0][j], sums[0][1][j] = once[j], twice[j]
    for i in range(whole, count):
        e = x[i] - single
        first[0] += e if g == NULL else g[i]
        second[0] += e * (e if g == NULL else g[i])


cdef inline void add_up(const Work* w, Py_ssize_t channel, double middle, bint products, const number* like, const lanes* alike,
                        double* first, double* second) noexcept nogil:
    """The sums of all rows of a channel: of x - middle and its square, or of g and its product with x - middle."""
    cdef lanes[2][FOUR] sums
    cdef Py_ssize_t n, at, begin, length, lane, added = 0
    first[0] = second[0] = 0
    memset(&sums, 0, sizeof(sums))
    for n in range(w.batch):
        at = (n * w.channels + channel) * w.count
        begin = 0
        while begin < w.count:
            length = min(w.count - begin, <Py_ssize_t> CHUNK)
            add_row(<const number*> w.x + at + begin, <const number*> w.g + at + begin if products else <const number*> NULL, alike, middle, length, &sums,
                    first, second)
            begin += length
            added += length
            if added >= CHUNK or n == w.batch - 1:
                added = 0
                for lane in range(FOUR * VB // <Py_ssize_t> sizeof(number)):
                    first[0] += (<number*> &sums)[lane]
                    second[0] += (<number*> &sums)[FOUR * VB // sizeof(number) + lane]
                memset(&sums, 0, sizeof(sums))


# ---- one channel -----------------------------------------------------------------------------------------------------------


cdef inline void do_channel(const Work* w, Py_ssize_t channel, const number* like, const lanes* alike) noexcept nogil:
    cdef Py_ssize_t n, i, at, numbers = w.batch * w.count
    cdef const number* x
    cdef const number* g
    cdef number* out
    cdef number middle, a, b, c
    cdef double first = 0, second = 0
    if w.task == STATISTICS:
        add_up(w, channel, 0, False, like, alike, &first, &second)
        middle = <number> (first / numbers)
        add_up(w, channel, middle, False, like, alike, &first, &second)
        w.first[channel] = middle + first / numbers
        w.second[channel] = max(second / numbers - first / numbers * (first / numbers), 0.0)
        return
    middle = <number> w.middle[channel]
    if w.task == PRODUCTS:
        add_up(w, channel, middle, True, like, alike, &first, &second)
        w.first[channel], w.second[channel] = first, second
        return
    a, b, c = <number> w.a[channel], <number> w.b[channel], <number> w.c[channel]
    for n in range(w.batch):
        at = (n * w.channels + channel) * w.count
        x, out = <const number*> w.x + at, <number*> w.out + at
        if w.task == SCALED:
            for i in range(w.count):
                out[i] = (x[i] - middle) * a + b
        else:
            g = <const number*> w.g + at
            for i in range(w.count):
                out[i] = g[i] * a + (x[i] - middle) * b + c


cdef void do_item(const void* work, Py_ssize_t channel, char* room) noexcept nogil:
    cdef const Work* w = <const Work*> work
    if w.single:
        do_channel(w, channel, <const float*> NULL, <const vf*> NULL)
    else:
        do_channel(w, channel, <const double*> NULL, <const vd*> NULL)


cdef int run(Work* w, cnp.ndarray x, double passes) except -1:
    """Over all channels of x, (batch, channels, positions), contiguous as all arrays here."""
    cdef double seconds = CALL + TOUCHED * passes * x.size
    w.single = cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT32
    w.batch, w.channels, w.count = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), cnp.PyArray_DIM(x, 2)
    w.x = <const char*> cnp.PyArray_DATA(x)
    run_items(do_item, w, w.channels, seconds * PER_SECOND, max(min(worth_workers(seconds, 1, MAX_WORKSPACE), w.channels), <Py_ssize_t> 1), NULL, 0, True)
    return 0


cdef inline double* doubles(cnp.ndarray array):
    return <double*> cnp.PyArray_DATA(array)


# ---- what batch_norm.py calls ----------------------------------------------------------------------------------------------


def statistics(cnp.ndarray x):
    """Mean and variance of each channel, in double precision."""
    cdef Work w
    cdef cnp.ndarray found = np.empty((2, x.shape[1]))
    w.task, w.first = STATISTICS, doubles(found)
    w.second = w.first + <Py_ssize_t> x.shape[1]
    run(&w, x, 2)
    return found


def scaled(cnp.ndarray x, cnp.ndarray middle, cnp.ndarray scale, cnp.ndarray shift, cnp.ndarray out):
    """out = (x - middle) * scale + shift, these three of double precision, for each channel."""
    cdef Work w
    w.task, w.middle, w.a, w.b, w.c = SCALED, doubles(middle), doubles(scale), doubles(shift), doubles(shift)
    w.out = <char*> cnp.PyArray_DATA(out)
    run(&w, x, 1)


def products(cnp.ndarray g, cnp.ndarray x, cnp.ndarray middle):
    """Sums of g and of g * (x - middle), of each channel, in double precision."""
    cdef Work w
    cdef cnp.ndarray found = np.empty((2, x.shape[1]))
    w.task, w.middle, w.g, w.first = PRODUCTS, doubles(middle), <const char*> cnp.PyArray_DATA(g), doubles(found)
    w.second = w.first + <Py_ssize_t> x.shape[1]
    run(&w, x, 1.5)
    return found


def combined(cnp.ndarray g, cnp.ndarray x, cnp.ndarray middle, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c, cnp.ndarray out):
    """out = g * a + (x - middle) * b + c for each channel."""
    cdef Work w
    w.task, w.middle, w.g, w.out = COMBINED, doubles(middle), <const char*> cnp.PyArray_DATA(g), <char*> cnp.PyArray_DATA(out)
    w.a, w.b, w.c = doubles(a), doubles(b), doubles(c)
    run(&w, x, 2)


# ---- rectifiers ------------------------------------------------------------------------------------------------------------


cdef struct Passing:
    const char* g
    const char* y
    char* out
    Py_ssize_t count
    bint single


cdef inline void pass_some(const number* g, const number* y, number* out, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef number kept
    for i in range(count):              # read in any case, so that there is nothing to branch for
        kept = g[i]
        out[i] = kept if y[i] > 0 else <number> 0


cdef void pass_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Passing* p = <const Passing*> work
    cdef Py_ssize_t first = item * PIECE, count = min(p.count - first, <Py_ssize_t> PIECE)
    if p.single:
        pass_some[float](<const float*> p.g + first, <const float*> p.y + first, <float*> p.out + first, count)
    else:
        pass_some[double](<const double*> p.g + first, <const double*> p.y + first, <double*> p.out + first, count)


def passed(cnp.ndarray g, cnp.ndarray y, cnp.ndarray out):
    """out = g where y > 0, else 0; all of single or all of double precision."""
    cdef Passing p
    cdef double seconds = CALL + TOUCHED * g.size
    cdef Py_ssize_t items = (g.size + PIECE - 1) // PIECE
    p.g, p.y, p.out = <const char*> cnp.PyArray_DATA(g), <const char*> cnp.PyArray_DATA(y), <char*> cnp.PyArray_DATA(out)
    p.count, p.single = g.size, cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT32
    if items:
        run_items(pass_item, &p, items, seconds * PER_SECOND, min(worth_workers(seconds, 1, MAX_WORKSPACE), items), NULL, 0, True)


# ---- what stands between the convolutions of a network ------------------------------------------------------------------------


cdef struct Bounded:
    const float* x
    const float* y                      # NULL: nothing is added
    float* out
    float low, high
    Py_ssize_t count


cdef void bound_item(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Bounded* b = <const Bounded*> work
    cdef Py_ssize_t i, first = item * PIECE, count = min(b.count - first, <Py_ssize_t> PIECE)
    cdef const float* x = b.x + first
    cdef const float* y
    cdef float* out = b.out + first
    cdef float v, low = b.low, high = b.high
    if b.y == NULL:
        for i in range(count):          # compared in this order, NaN stays
            v = low if x[i] < low else x[i]
            out[i] = high if v > high else v
    else:
        y = b.y + first
        for i in range(count):
            v = x[i] + y[i]
            v = low if v < low else v
            out[i] = high if v > high else v


def bounded(cnp.ndarray x, cnp.ndarray y, double low, double high, cnp.ndarray out):
    """out = min(max(x + y, low), high), where y may be None and out may be x or y; all contiguous, of one shape and of single precision."""
    cdef Bounded b
    cdef double seconds = CALL + TOUCHED * x.size
    cdef Py_ssize_t items = (x.size + PIECE - 1) // PIECE
    b.x, b.out, b.y = <const float*> cnp.PyArray_DATA(x), <float*> cnp.PyArray_DATA(out), NULL
    if y is not None:
        b.y = <const float*> cnp.PyArray_DATA(y)
    b.low, b.high, b.count = low, high, x.size
    if items:
        run_items(bound_item, &b, items, seconds * PER_SECOND, min(worth_workers(seconds, 1, MAX_WORKSPACE), items), NULL, 0, True)

"""Global sums of floats of any format, wherever they lie: planes with gaps, half precision, complex numbers, p-norms.

Row after row is added in the order of pool_whole.pxd: each of 32 sums is of every 32nd number of the plane. What can't be read as it lies is gathered
in a line first. Threads share out planes.
"""
from cyconv.cpu.pool_divide cimport divide
from cyconv.cpu.pool_pixels cimport fold
from cyconv.cpu.pool_rows cimport put, raise_to, take, take_root
from cyconv.cpu.pool_whole cimport SUMS, add_doubles, add_floats, real, sum_doubles
from cyconv.cpu.pool_windows cimport LINE, MOST_OUTPUTS, Work
from cyconv.cpu.pool_work cimport ADD, DOUBLE, NORM, SET, SINGLE, ceil_div

cdef enum:
    MOST_TOGETHER = MOST_OUTPUTS        # planes of an item


cdef inline void add_run(const real* x, Py_ssize_t n, Py_ssize_t at, Py_ssize_t samples, double* sums) noexcept nogil:
    """Numbers at .. at + n - 1 of a plane. Its last ones, fewer than 32, go to the first eight sums, and what is left of eight to the next."""
    cdef Py_ssize_t main = samples & -SUMS, some, sum, j
    while n:
        if at < main and at % SUMS == 0 and n >= SUMS:
            some = min(n, main - at) & -SUMS
            if real is float:
                add_floats(<const char*> x, some, sums)
            else:
                add_doubles(<const char*> x, some, sums)
        else:
            sum = at % SUMS if at < main else at % 8
            some = min(n, SUMS - sum if at < main else 8 - sum)
            if at >= samples - samples % 8:
                sum += 8
            for j in range(some):
                sums[sum + j] = sums[sum + j] + x[j]
        x += some
        at += some
        n -= some

cdef inline double sum_plane(const Work* w, const char* p, double* line) noexcept nogil:
    cdef double[SUMS] sums
    cdef Py_ssize_t[3] n
    cdef Py_ssize_t[3] step
    cdef Py_ssize_t samples = w.axis[0].n * w.axis[1].n * w.axis[2].n, a, z, y, x, some, at = 0
    cdef const char* row
    cdef bint here
    for a in range(3):
        n[a], step[a] = w.axis[a].n, w.axis[a].step
    for a in range(1, -1, -1):          # rows that one step leads through are one row
        if n[a] == 1 or step[a] == n[2] * step[2]:
            n[2] *= n[a]
            n[a] = 1
        else:
            break
    here = w.kind != NORM and (w.stored == SINGLE or w.stored == DOUBLE) and step[2] == w.stored_size
    for a in range(SUMS):
        sums[a] = 0
    for z in range(n[0]):
        for y in range(n[1]):
            row = p + z * step[0] + y * step[1]
            if here and w.stored == SINGLE:
                add_run(<const float*> row, n[2], at, samples, sums)
            elif here:
                add_run(<const double*> row, n[2], at, samples, sums)
            else:
                x = 0
                while x < n[2]:
                    some = min(n[2] - x, <Py_ssize_t> LINE)
                    take(w.stored, row + x * step[2], step[2], some, line, SET)
                    if w.kind == NORM:
                        raise_to(w.divisors.norm, line, some)
                    add_run(<const double*> line, some, at + x, samples, sums)
                    x += some
            at += n[2]
    fold(1, ADD, sums)
    return sums[0]

cdef inline void sum_lines(const Work* w, const char* p, Py_ssize_t planes, double* line, double* results) noexcept nogil:
    """Of planes that are one run, as many as a line holds at a time."""
    cdef Py_ssize_t samples = w.axis[0].n * w.axis[1].n * w.axis[2].n, i = 0, j, k, many
    cdef double[8] sums
    while i < planes:
        many = min(planes - i, LINE // samples)
        take(w.stored, p + i * w.channel_step, w.stored_size, many * samples, line, SET)
        if w.kind == NORM:
            raise_to(w.divisors.norm, line, many * samples)
        for j in range(many):
            sum_doubles(<const char*> (line + j * samples), samples, 0, sums)
            for k in range(4):
                sums[k] = sums[k] + sums[k + 4]
            results[i + j] = (sums[0] + sums[2]) + (sums[1] + sums[3])
        i += many

cdef inline void gathered_item(const Work* w, Py_ssize_t item, double* line, double* results) noexcept nogil:
    """Some planes of one item of the batch."""
    cdef Py_ssize_t blocks = ceil_div(w.channels, w.together), batch = item // blocks, first = item % blocks * w.together, channel
    cdef Py_ssize_t planes = min(w.together, w.channels - first)
    if w.lines:
        sum_lines(w, w.input + batch * w.batch_step + first * w.channel_step, planes, line, results)
    for channel in range(first, first if w.lines else first + planes):
        results[channel - first] = sum_plane(w, w.input + batch * w.batch_step + channel // w.parts * w.channel_step
                                             + channel % w.parts * w.stored_size, line)
    divide(&w.divisors, &w.axis[0], results, planes, w.axis[0].n, w.axis[1].n, w.axis[2].n)
    if w.kind == NORM:
        take_root(w.divisors.norm, results, planes)
    put(w.stored, results, planes, 1, w.out + (batch * w.channels + first) * w.stored_size)

"""Values to places of a plane, put there or added up, and zeros everywhere else:  out[plane, indices[plane, i]] = or += values[plane, i].

What a max pool took comes back so. Planes are apart from each other. A large one is cut into bands besides, each of which takes from
all values of the plane those that are its own, in their order. Blocks of indices are looked through before anything is written: none may be
outside the plane, and those of a max pool are nearly in order, so that a band meets few blocks. No number is written by two threads, and
none depends on how many there are. A band is zeroed and filled while it is in a core's cache.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from cyconv._memory cimport new_array
from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

cdef double CALL = 1.5e-6               # seconds,
cdef double SCATTERED = 1e-9            # of a number that is put to its place,
cdef double CLEARED = 1e-10             # and of a byte that is zero before
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

cdef enum:
    BLOCK = 2048                        # indices that are looked at together: 16 KB
    LANES = 8
    BAND = 1 << 18                      # bytes that stay in a core's second cache beside what is read

ctypedef fused number:                  # integers wrap around, signed or not
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    float
    double
    float complex
    double complex

cdef struct Scatter:
    const char* values
    const int64_t* indices
    char* out
    int64_t* least                      # of each block of indices
    int64_t* most
    Py_ssize_t count, plane             # numbers of a plane of values, and of one of the result
    Py_ssize_t blocks, bands, band      # of a plane; numbers of a band
    bint adds, looked                   # whether the blocks have been looked at
    bint* impossible                    # else set if an index is outside its plane
    char kind                           # NumPy's letter of a float's dtype, or the bytes of what is only moved or wraps around


cdef void look_at_block(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Scatter* s = <const Scatter*> work
    cdef Py_ssize_t first = item % s.blocks * BLOCK, count = min(<Py_ssize_t> BLOCK, s.count - first), i, lane
    cdef const int64_t* indices = s.indices + item // s.blocks * s.count + first
    cdef int64_t[LANES] least, most     # of every so manieth index: none waits for the one before
    for lane in range(LANES):
        least[lane] = most[lane] = indices[0]
    for i in range(count // LANES):
        for lane in range(LANES):
            least[lane] = min(least[lane], indices[i * LANES + lane])
            most[lane] = max(most[lane], indices[i * LANES + lane])
    for i in range(count - count % LANES, count):
        least[0], most[0] = min(least[0], indices[i]), max(most[0], indices[i])
    for lane in range(1, LANES):
        least[0], most[0] = min(least[0], least[lane]), max(most[0], most[lane])
    s.least[item], s.most[item] = least[0], most[0]

cdef inline void fill(const Scatter* s, Py_ssize_t plane, Py_ssize_t first, Py_ssize_t count, const number* like) noexcept nogil:
    """A band, the numbers from `first` on of a plane."""
    cdef const number* values = <const number*> s.values + plane * s.count
    cdef const int64_t* indices = s.indices + plane * s.count
    cdef number* out = <number*> s.out + plane * s.plane + first
    cdef size_t at                      # of what lies before the band: more than any count
    cdef Py_ssize_t block, i, left_out = 0
    cdef bint adds = s.adds             # a copy, since a result might lie at it for all that a compiler knows
    memset(out, 0, count * sizeof(number))
    for block in range(s.blocks):
        if s.looked and (s.most[plane * s.blocks + block] < first or s.least[plane * s.blocks + block] >= first + count):
            continue
        for i in range(block * BLOCK, min((block + 1) * <Py_ssize_t> BLOCK, s.count)):
            at = <size_t> indices[i] - <size_t> first
            if at < <size_t> count:
                out[at] = out[at] + values[i] if adds else values[i]
            else:
                left_out += 1
    if left_out and not s.looked:
        s.impossible[0] = True

cdef void fill_band(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Scatter* s = <const Scatter*> work
    cdef Py_ssize_t plane = item // s.bands, first = item % s.bands * s.band
    cdef Py_ssize_t count = min(s.band, s.plane - first)
    if s.kind == 1:
        fill(s, plane, first, count, <const uint8_t*> NULL)
    elif s.kind == 2:
        fill(s, plane, first, count, <const uint16_t*> NULL)
    elif s.kind == 4:
        fill(s, plane, first, count, <const uint32_t*> NULL)
    elif s.kind == 8:
        fill(s, plane, first, count, <const uint64_t*> NULL)
    elif s.kind == c"f":
        fill(s, plane, first, count, <const float*> NULL)
    elif s.kind == c"d":
        fill(s, plane, first, count, <const double*> NULL)
    elif s.kind == c"F":
        fill(s, plane, first, count, <const float complex*> NULL)
    else:
        fill(s, plane, first, count, <const double complex*> NULL)


def scatter(Py_ssize_t planes, Py_ssize_t plane, cnp.ndarray values, cnp.ndarray indices, cnp.ndarray out, bint adds, bint unharmed):
    """From C-contiguous planes of values to such ones of `out`; whether all indices were possible. unharmed: if they are not, `out` is
    left as it was. Half precision is moved only."""
    cdef Scatter s
    cdef Py_ssize_t i
    cdef bint impossible = False
    cdef cnp.npy_intp blocks
    cdef cnp.ndarray bounds
    cdef int workers
    cdef str kind = values.dtype.char
    s.values, s.indices, s.out = <const char*> cnp.PyArray_DATA(values), <const int64_t*> cnp.PyArray_DATA(indices), <char*> cnp.PyArray_DATA(out)
    s.count, s.plane, s.adds = values.size // planes, plane, adds
    s.kind = <char> ord(kind) if kind in "fdFD" else <char> values.itemsize
    s.impossible = &impossible
    s.blocks = (s.count + BLOCK - 1) // BLOCK
    s.bands = max(1, (plane * values.itemsize + BAND - 1) // BAND)
    s.looked = unharmed or s.bands > 1
    seconds = CALL + SCATTERED * values.size + CLEARED * out.nbytes
    workers = worth_workers(seconds, 1, MAX_WORKSPACE)
    if s.looked:
        blocks = 2 * planes * s.blocks
        bounds = new_array(1, &blocks, cnp.NPY_INT64)
        s.least = <int64_t*> cnp.PyArray_DATA(bounds)
        s.most = s.least + planes * s.blocks
        run_items(look_at_block, &s, planes * s.blocks, 0.1 * seconds * PER_SECOND, min(workers, planes * s.blocks), NULL, 0, True)
        for i in range(planes * s.blocks):
            if s.least[i] < 0 or s.most[i] >= s.plane:
                return False
        s.bands = worthwhile_bands(&s, planes)
    s.band = (plane + s.bands - 1) // s.bands
    run_items(fill_band, &s, planes * s.bands, seconds * PER_SECOND, min(workers, planes * s.bands), NULL, 0, True)
    return not impossible


cdef Py_ssize_t worthwhile_bands(const Scatter* s, Py_ssize_t planes) noexcept:
    """1 if indices are so far from order that each block would be gone through for many bands."""
    cdef Py_ssize_t i, band = (s.plane + s.bands - 1) // s.bands, met = 0
    for i in range(planes * s.blocks):
        met += s.most[i] // band - s.least[i] // band
    return s.bands if met <= 2 * planes * (s.blocks + s.bands) else 1

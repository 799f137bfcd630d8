"""Values to places of a plane, and zeros everywhere else; one plane after the other, so that no two threads write to the same one."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset

ctypedef fused element:                 # numbers are only moved
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    double complex

cdef struct Scatter:
    const char* values
    const int64_t* indices
    char* out
    Py_ssize_t size, count, plane       # bytes of a number; numbers of a plane, and of one of the result
    Py_ssize_t* impossible              # of each plane: the position of an index that is outside it, or -1


cdef inline Py_ssize_t scatter(const element* values, const int64_t* indices, Py_ssize_t count, Py_ssize_t plane, element* out) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if not 0 <= indices[i] < plane:
            return i
        out[indices[i]] = values[i]
    return -1

cdef inline void scatter_plane(const void* work, Py_ssize_t item, char* room) noexcept nogil:
    cdef const Scatter* s = <const Scatter*> work
    cdef const char* values = s.values + item * s.count * s.size
    cdef const int64_t* indices = s.indices + item * s.count
    cdef char* out = s.out + item * s.plane * s.size
    cdef Py_ssize_t bad
    memset(out, 0, s.plane * s.size)
    if s.size == 1:
        bad = scatter(<const uint8_t*> values, indices, s.count, s.plane, <uint8_t*> out)
    elif s.size == 2:
        bad = scatter(<const uint16_t*> values, indices, s.count, s.plane, <uint16_t*> out)
    elif s.size == 4:
        bad = scatter(<const uint32_t*> values, indices, s.count, s.plane, <uint32_t*> out)
    elif s.size == 8:
        bad = scatter(<const uint64_t*> values, indices, s.count, s.plane, <uint64_t*> out)
    else:
        bad = scatter(<const double complex*> values, indices, s.count, s.plane, <double complex*> out)
    s.impossible[item] = bad if bad < 0 else item * s.count + bad

"""Values to places of a plane, and nothing anywhere else."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

ctypedef fused element:                 # numbers are only moved
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    double complex

cdef inline Py_ssize_t scatter(const element* values, const int64_t* indices, Py_ssize_t planes, Py_ssize_t count, Py_ssize_t plane,
                        element* out) noexcept nogil:
    """Writes each value to its place; returns the position of a place that does not exist, or -1."""
    cdef Py_ssize_t p, i
    for p in range(planes):
        for i in range(p * count, (p + 1) * count):
            if not 0 <= indices[i] < plane:
                return i
            out[p * plane + indices[i]] = values[i]
    return -1

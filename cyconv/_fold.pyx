"""Columns added up at the places of their windows:  image[n, c, o*s + j*d - p] += columns[n, c, j, o], zeros to begin with.

What `fold` does, and what a transposed convolution of few samples by many weights ends with. A plane is filled by one thread, tap by tap, so
that each number is added up in the order of its taps, whatever the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from cyconv._threads cimport workers as worth_workers
from cyconv.cpu.items cimport run_items

from cyconv.problem import MAX_WORKSPACE

cnp.import_array()

cdef double CALL = 1.5e-6               # seconds,
cdef double ADDED = 4e-10               # of a number of the columns,
cdef double CLEARED = 1e-10             # and of a byte of the images
cdef double PER_SECOND = 2e10           # multiply-adds, as run_items counts work

ctypedef fused number:                  # integers wrap around, signed or not
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    float
    double
    float complex
    double complex

cdef struct Fold:                       # axes z, y, x
    Py_ssize_t[3] size, kernel, count, stride, dilation, pad
    Py_ssize_t channels, plane          # of an image; numbers of a plane
    Py_ssize_t[4] step                  # numbers between neighbours of the columns: batch items, channels, taps, windows
    const char* columns
    char* images
    char kind                           # NumPy's letter of a float's dtype, or the bytes of what wraps around


cdef inline void inside(const Fold* f, int a, Py_ssize_t tap, Py_ssize_t* first, Py_ssize_t* last, Py_ssize_t* at) noexcept nogil:
    """Along an axis, the windows whose tap is no padding, and where that of the first of them is."""
    cdef Py_ssize_t begin = tap * f.dilation[a] - f.pad[a], s = f.stride[a]
    first[0] = (s - 1 - begin) // s if begin < 0 else 0
    last[0] = min((f.size[a] - 1 - begin) // s + 1, f.count[a]) if begin < f.size[a] else 0
    at[0] = begin + first[0] * s


cdef inline void fold_plane(const Fold* f, Py_ssize_t plane, const number* like) noexcept nogil:
    cdef number* image = <number*> f.images + plane * f.plane
    cdef const number* column = <const number*> f.columns + plane // f.channels * f.step[0] + plane % f.channels * f.step[1]
    cdef const number* row
    cdef number* to
    cdef Py_ssize_t near = f.step[3], step = f.stride[2], z, y, x, jz, jy, jx, n
    cdef Py_ssize_t[3] first
    cdef Py_ssize_t[3] last
    cdef Py_ssize_t[3] at
    memset(image, 0, f.plane * sizeof(number))
    for jz in range(f.kernel[0]):
        inside(f, 0, jz, &first[0], &last[0], &at[0])
        for jy in range(f.kernel[1]):
            inside(f, 1, jy, &first[1], &last[1], &at[1])
            for jx in range(f.kernel[2]):
                inside(f, 2, jx, &first[2], &last[2], &at[2])
                n = last[2] - first[2]
                for z in range(last[0] - first[0]):
                    for y in range(last[1] - first[1]):
                        row = column + (((first[0] + z) * f.count[1] + first[1] + y) * f.count[2] + first[2]) * near
                        to = image + ((at[0] + z * f.stride[0]) * f.size[1] + at[1] + y * f.stride[1]) * f.size[2] + at[2]
                        if step == near == 1:
                            for x in range(n):
                                to[x] = to[x] + row[x]
                        else:
                            for x in range(n):
                                to[x * step] = to[x * step] + row[x * near]
                column += f.step[2]


cdef void fold_item(const void* work, Py_ssize_t plane, char* room) noexcept nogil:
    cdef const Fold* f = <const Fold*> work
    if f.kind == 1:
        fold_plane(f, plane, <const uint8_t*> NULL)
    elif f.kind == 2:
        fold_plane(f, plane, <const uint16_t*> NULL)
    elif f.kind == 4:
        fold_plane(f, plane, <const uint32_t*> NULL)
    elif f.kind == 8:
        fold_plane(f, plane, <const uint64_t*> NULL)
    elif f.kind == c"f":
        fold_plane(f, plane, <const float*> NULL)
    elif f.kind == c"d":
        fold_plane(f, plane, <const double*> NULL)
    elif f.kind == c"F":
        fold_plane(f, plane, <const float complex*> NULL)
    else:
        fold_plane(f, plane, <const double complex*> NULL)


def fold(cnp.ndarray columns, cnp.ndarray images, Py_ssize_t batch, Py_ssize_t channels, tuple size, tuple kernel, tuple count, tuple stride,
         tuple dilation, tuple pad, tuple step):
    """The tuples have three axes each; `step` as in Fold. Images are contiguous, both of one dtype, no half precision."""
    cdef Fold f
    cdef Py_ssize_t a, planes = batch * channels
    cdef str letter = columns.dtype.char
    f.plane, f.channels = 1, channels
    for a in range(3):
        f.size[a], f.kernel[a], f.count[a], f.stride[a], f.dilation[a], f.pad[a] = size[a], kernel[a], count[a], stride[a], dilation[a], pad[a]
        f.plane *= f.size[a]
    for a in range(4):
        f.step[a] = step[a]
    f.columns, f.images = <const char*> cnp.PyArray_DATA(columns), <char*> cnp.PyArray_DATA(images)
    f.kind = <char> ord(letter) if letter in "fdFD" else <char> columns.itemsize
    seconds = CALL + ADDED * columns.size + CLEARED * images.nbytes
    if planes:
        run_items(fold_item, &f, planes, seconds * PER_SECOND, min(worth_workers(seconds, 1, MAX_WORKSPACE), planes), NULL, 0, True)

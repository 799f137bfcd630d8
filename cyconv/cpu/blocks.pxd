"""How direct and im2col cut a convolution into blocks of outputs, and how both see its numbers.

The cut depends on the problem alone and never splits a sum, so the number of threads changes no bit. Numbers are seen as
real ones: a complex channel is two planes, and complex weights become a real matrix (`real_matrix`).
"""
import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t
from libc.string cimport memcpy
from cyconv._memory cimport new_array, zeros
from cyconv.cpu.packing cimport (
    Axis, Box, Stored, ZEROS, REFLECT, REPLICATE, CIRCULAR, HALF, SINGLE, DOUBLE, BITS8, BITS16, BITS32, BITS64,
    gather_stored,
)
from cyconv.cpu.simd cimport half, half_to_float

cdef extern from "Python.h":
    ctypedef struct PyObject
    void* PyMem_Malloc(size_t)
    void PyMem_Free(void*)
    object PyCapsule_New(void*, const char*, void (*)(PyObject*))
    void* PyCapsule_GetPointer(PyObject*, const char*)

cdef enum:
    LEAST_ROWS = 6                      # fewer rows in a block, and most of its box is what the next block gathers again
    LEAST_PLANE = 256                   # and with fewer outputs, too many lanes of the last vectors compute nothing
    KEPT_BYTES = 32 * 1024              # tables up to this size are remembered with the problem

cdef struct Blocks:
    Box box
    Stored kind
    Py_ssize_t size                     # bytes of a number that is computed with
    Py_ssize_t stored_size              # bytes of a number in the caller's arrays (of a part, if complex)
    Py_ssize_t parts                    # 2 for complex: real and imaginary parts are planes of their own
    Py_ssize_t rank                     # spatial axes of the caller's arrays
    Py_ssize_t batched                  # 1 if the caller's input has a batch axis
    Py_ssize_t in_channels              # of one group
    Py_ssize_t out_planes               # output channels * parts, of all groups
    bint exact                          # whether subnormal numbers count
    Py_ssize_t channels                 # planes of one group's input: in_channels * parts
    Py_ssize_t[3] out                   # outputs along z, y, x
    Py_ssize_t[3] block                 # outputs of one block
    Py_ssize_t[3] count                 # blocks along each axis
    Py_ssize_t[3] reach                 # samples of a phase that a block reads beyond its own
    Py_ssize_t plane                    # numbers in the box of one channel
    Py_ssize_t products                 # channels * taps
    Py_ssize_t taps_along               # the kernel's lengths, added
    int32_t* offset                     # [products]: bytes from an output's own place in the boxes to what a tap reads
    Py_ssize_t* memory                  # what to free

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b

cdef inline Py_ssize_t gcd(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a

cdef inline double box_plane(const Blocks* b, Py_ssize_t z, Py_ssize_t y, Py_ssize_t x) noexcept nogil:
    """Numbers in one channel's box for a block of z * y * x outputs; in floating point, where nothing overflows."""
    cdef const Axis* axis = b.box.axis
    cdef double rows = (<double> z + b.reach[0]) * (<double> y + b.reach[1])
    return rows * (<double> x + b.reach[2]) * axis[0].phases * axis[1].phases * axis[2].phases

cdef inline double table_bytes(const Blocks* b) noexcept nogil:
    """What the tables of taps and offsets take."""
    return 3.0 * b.taps_along * sizeof(Py_ssize_t) + (<double> b.products + 1) * sizeof(int32_t)

cdef inline int set_layout(Blocks* b, object problem) except -1:
    """Fills what the problem says of the caller's numbers and arrays."""
    cdef str dtype = problem.dtype
    b.parts = 1
    if dtype == "float32":
        b.kind, b.size, b.stored_size = SINGLE, 4, 4
    elif dtype == "float64":
        b.kind, b.size, b.stored_size = DOUBLE, 8, 8
    elif dtype == "float16":
        b.kind, b.size, b.stored_size = HALF, 4, 2
    elif dtype == "complex64":
        b.kind, b.size, b.stored_size, b.parts = SINGLE, 4, 4, 2
    elif dtype == "complex128":
        b.kind, b.size, b.stored_size, b.parts = DOUBLE, 8, 8, 2
    elif dtype in ("int8", "uint8"):
        b.kind, b.size, b.stored_size = BITS8, 4, 1
    elif dtype in ("int16", "uint16"):
        b.kind, b.size, b.stored_size = BITS16, 4, 2
    elif dtype in ("int32", "uint32"):
        b.kind, b.size, b.stored_size = BITS32, 4, 4
    elif dtype in ("int64", "uint64"):
        b.kind, b.size, b.stored_size = BITS64, 8, 8
    else:
        raise TypeError(f"no kernel for dtype {dtype}")
    b.rank, b.batched, b.in_channels, b.exact = problem.rank, problem.batched, problem.in_channels, problem.strict
    b.out_planes = <Py_ssize_t> problem.groups * <Py_ssize_t> problem.out_channels * b.parts
    return 0

cdef inline int open_blocks(Blocks* b, object problem, Py_ssize_t box_bytes, Py_ssize_t block_outputs,
                            Py_ssize_t least_blocks, bint offsets) except -1:
    """Fills the rest of `b`, whose layout is set; `close_blocks` afterwards.

    A block's boxes take about box_bytes (more only if one short row does), its plane at most block_outputs outputs.
    If need be, blocks are cut down to LEAST_ROWS and LEAST_PLANE to make least_blocks of them, for threads to share.
    Without `offsets`, the table of tap offsets is left out.
    """
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef Py_ssize_t[3] k
    cdef Py_ssize_t[3] d
    cdef Py_ssize_t a, j, s, i, m, period, half_way, taps = 1, wanted
    cdef Axis* axis
    cdef Py_ssize_t* remainder
    cdef Py_ssize_t* place              # of a tap along an axis: phase and quotient
    cdef Py_ssize_t jz, jy, jx, c, base, area
    cdef str mode = problem.padding_mode
    b.offset = NULL
    b.memory = NULL
    b.channels = b.in_channels * b.parts
    b.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    b.taps_along = 0
    for a in range(3):
        k[a] = kernel[a]
        d[a] = dilation[a]
        taps *= k[a]
        b.taps_along += k[a]
    b.products = b.channels * taps
    if offsets:
        if table_bytes(b) < 2.0**40:
            b.memory = <Py_ssize_t*> PyMem_Malloc(<size_t> table_bytes(b))
        if b.memory == NULL:
            raise MemoryError(f"no room for tables of {table_bytes(b):.3g} bytes")
    remainder = b.memory
    for a in range(3):
        axis = &b.box.axis[a]
        axis.n, axis.stride, axis.pad = size[a], stride[a], pad[a]
        b.out[a] = out[a]
        s = axis.stride
        period = s // gcd(s, d[a])      # j*d % s begins anew after so many taps
        axis.phases = min(k[a], period)
        if offsets:
            axis.remainder = remainder
            place = remainder + k[a]
            for j in range(k[a]):
                if j < period:
                    remainder[j] = j * d[a] % s
                place[2 * j] = j % period
                place[2 * j + 1] = j * d[a] // s
            remainder += 3 * k[a]
        b.reach[a] = (k[a] - 1) * d[a] // s
    # Rows first, as long as they fit; then more rows; then more planes.
    cdef double limit = max(<double> box_bytes / (<double> b.size * max(b.channels, 1)), 1.0)
    m = ceil_div(b.out[2], ceil_div(b.out[2], min(block_outputs, 1024)))
    while m > 64 and box_plane(b, 1, 1, m) > limit:
        m = (m + 1) // 2
    b.block[2] = m
    m = 1
    while m < b.out[1] and box_plane(b, 1, m + 1, b.block[2]) <= limit and (m + 1) * b.block[2] <= block_outputs:
        m += 1
    wanted = ceil_div(least_blocks, max(<Py_ssize_t> problem.batch * <Py_ssize_t> problem.groups * ceil_div(b.out[2], b.block[2]), 1))
    m = min(m, max(ceil_div(b.out[1], wanted), <Py_ssize_t> LEAST_ROWS, ceil_div(LEAST_PLANE, b.block[2])))
    b.block[1] = ceil_div(b.out[1], ceil_div(b.out[1], m))
    m = 1
    if b.block[1] == b.out[1]:
        while m < b.out[0] and box_plane(b, m + 1, b.out[1], b.block[2]) <= limit and (m + 1) * b.out[1] * b.block[2] <= block_outputs:
            m += 1
    b.block[0] = ceil_div(b.out[0], ceil_div(b.out[0], m))
    for a in range(3):
        b.count[a] = ceil_div(b.out[a], b.block[a])
        b.box.axis[a].length = b.block[a] + b.reach[a]
    b.plane = <Py_ssize_t> min(box_plane(b, b.block[0], b.block[1], b.block[2]), 2.0**62)
    if not offsets:
        return 0
    if <double> b.channels * b.plane * b.size >= 2.0**31:
        raise MemoryError("the boxes of one block are longer than 32-bit offsets reach")
    axis = b.box.axis
    b.offset = <int32_t*> remainder
    area = axis[0].length * axis[1].length * axis[2].length
    i = 0
    for c in range(b.channels):
        for jz in range(k[0]):
            place = <Py_ssize_t*> axis[0].remainder + k[0] + 2 * jz
            base = c * b.plane + place[0] * axis[1].phases * axis[2].phases * area + place[1] * axis[1].length * axis[2].length
            for jy in range(k[1]):
                place = <Py_ssize_t*> axis[1].remainder + k[1] + 2 * jy
                half_way = base + place[0] * axis[2].phases * area + place[1] * axis[2].length
                for jx in range(k[2]):
                    place = <Py_ssize_t*> axis[2].remainder + k[2] + 2 * jx
                    b.offset[i] = <int32_t> ((half_way + place[0] * area + place[1]) * b.size)
                    i += 1
    return 0

cdef inline tuple cut_of(const Blocks* b):
    """(outputs of a block, blocks, samples of a phase beyond a block's own, phases), each along z, y and x."""
    cdef const Axis* axis = b.box.axis
    return (
        (b.block[0], b.block[1], b.block[2]), (b.count[0], b.count[1], b.count[2]),
        (b.reach[0], b.reach[1], b.reach[2]), (axis[0].phases, axis[1].phases, axis[2].phases),
    )

cdef inline Py_ssize_t locate(const Blocks* b, Py_ssize_t item, Py_ssize_t* origin, Py_ssize_t* extent) noexcept nogil:
    """First output and number of outputs of a block along each axis; returns batch item * groups + group."""
    cdef int a
    for a in range(2, -1, -1):
        origin[a] = item % b.count[a] * b.block[a]
        extent[a] = min(b.block[a], b.out[a] - origin[a])
        item //= b.count[a]
    return item

cdef inline void close_blocks(Blocks* b) noexcept:
    PyMem_Free(b.memory)

ctypedef Py_ssize_t (*Opener)(void* work, object problem) except -1     # returns the bytes of its tables
ctypedef void (*Closer)(PyObject* capsule) noexcept

cdef inline object opened_once(object problem, str name, size_t size, Opener open_it, Closer close):
    """What an algorithm keeps of a problem: a struct of so many bytes in a capsule that closes it. The problem remembers it if its
    tables are small."""
    cdef void* work
    cdef Py_ssize_t bytes
    capsule = (<dict> problem.kept).get(name)
    if capsule is None:
        work = PyMem_Malloc(size)
        if work == NULL:
            raise MemoryError()
        try:
            bytes = open_it(work, problem)
            capsule = PyCapsule_New(work, NULL, close)
        except:
            PyMem_Free(work)
            raise
        if bytes <= KEPT_BYTES:
            problem.kept[name] = capsule
    return capsule

cdef inline void close_plain(PyObject* capsule) noexcept:
    """The Closer of a struct without tables."""
    PyMem_Free(PyCapsule_GetPointer(capsule, NULL))

cdef inline void* opened_work(object capsule):
    """What stands in the capsule; valid as long as that is held."""
    return PyCapsule_GetPointer(<PyObject*> capsule, NULL)

cdef inline void gather_block(const Blocks* b, const char* src, Py_ssize_t channel_step, const Py_ssize_t* origin,
                              const Py_ssize_t* extent, char* boxes) noexcept nogil:
    """The boxes of all channels of one group for the block of `extent` outputs that begins at `origin`."""
    cdef Py_ssize_t a, c, whole = b.size
    cdef Py_ssize_t[3] filled
    cdef bint alike = b.parts == 1 and b.size == b.stored_size and channel_step == b.plane * b.size
    for a in range(2, -1, -1):
        filled[a] = extent[a] + b.reach[a]
        alike = alike and origin[a] == 0 and b.box.axis[a].pad == 0 and b.box.axis[a].stride == 1
        alike = alike and filled[a] == b.box.axis[a].length == b.box.axis[a].n and (b.box.step[a] == whole or filled[a] == 1)
        whole *= filled[a]
    if alike:                           # the boxes are the input
        memcpy(boxes, src, b.channels * b.plane * b.size)
        return
    for c in range(b.channels):
        gather_stored(b.kind, src + c // b.parts * channel_step + c % b.parts * b.stored_size, &b.box, origin, filled,
                      boxes + c * b.plane * b.size)

cdef inline int number_code(const Blocks* b) noexcept nogil:
    """NumPy's number for the type that is computed with."""
    if b.kind == SINGLE or b.kind == HALF:
        return cnp.NPY_FLOAT32
    if b.kind == DOUBLE:
        return cnp.NPY_FLOAT64
    return cnp.NPY_UINT64 if b.kind == BITS64 else cnp.NPY_UINT32

cdef inline object scratch_space(Py_ssize_t bytes):
    """Uninitialised memory."""
    cdef cnp.npy_intp count = bytes
    return new_array(1, &count, cnp.NPY_UINT8)

cdef inline object new_numbers(const Blocks* b, Py_ssize_t count):
    """So many uninitialised numbers as are computed with."""
    cdef cnp.npy_intp numbers = count
    return new_array(1, &numbers, number_code(b))

cdef inline object number_type(const Blocks* b):
    """The NumPy type that is computed with."""
    if b.kind == SINGLE or b.kind == HALF:
        return np.float32
    if b.kind == DOUBLE:
        return np.float64
    return np.uint64 if b.kind == BITS64 else np.uint32

cdef inline object real_matrix(const Blocks* b, object problem, cnp.ndarray weight):
    """The weights, or those of some output channels, as one real matrix per group, [group][output channel and part][input channel and part, tap];
    of any shape."""
    if b.parts == 1 and cnp.PyArray_TYPE(weight) == number_code(b) and cnp.PyArray_IS_C_CONTIGUOUS(weight):
        return weight
    if b.parts == 2:
        # (a + bi)(x + yi): the real row is [a, -b], the imaginary row [b, a], against the planes x and y
        whole = np.ascontiguousarray(weight).reshape(weight.shape[0], problem.in_channels, problem.taps)
        split = np.empty((whole.shape[0], 2, problem.in_channels, 2, problem.taps), number_type(b))
        split[:, 0, :, 0] = split[:, 1, :, 1] = whole.real
        split[:, 1, :, 0] = whole.imag
        np.negative(whole.imag, out=split[:, 0, :, 1])
        return split
    if b.kind == HALF:                  # NumPy converts them one by one
        whole = np.ascontiguousarray(weight)
        split = new_numbers(b, whole.size)
        widen(<const half*> cnp.PyArray_DATA(<cnp.ndarray> whole), <float*> cnp.PyArray_DATA(<cnp.ndarray> split), whole.size)
        return split.reshape(whole.shape)
    return np.ascontiguousarray(weight, number_type(b))

cdef inline void widen(const half* halves, float* to, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        to[i] = half_to_float(halves[i])

cdef inline object real_bias(const Blocks* b, object bias):
    """The bias as one real vector, zeros if there is none; an array to read from."""
    if bias is None:
        return zeros(b.out_planes * b.size)
    bias = np.ascontiguousarray(bias)
    return bias.view(number_type(b)) if b.parts == 2 else bias.astype(number_type(b), copy=False)

cdef inline void input_steps(const Blocks* b, cnp.ndarray input, Py_ssize_t* step, Py_ssize_t* axis_step):
    """Bytes from one batch item, group and channel to the next, and between neighbours along z, y and x. An input with an axis more
    has its groups and channels on two of them, and a batch."""
    cdef Py_ssize_t a, rank = b.rank, apart = cnp.PyArray_NDIM(input) > rank + 1 + b.batched
    step[0] = cnp.PyArray_STRIDE(input, 0) if b.batched else 0
    step[2] = cnp.PyArray_STRIDE(input, b.batched + apart)
    step[1] = cnp.PyArray_STRIDE(input, 1) if apart else step[2] * b.in_channels
    for a in range(3):
        axis_step[a] = cnp.PyArray_STRIDE(input, b.batched + apart + 1 + a - (3 - rank)) if a >= 3 - rank else 0

"""How depthwise cuts a convolution into blocks, what the scratch of a thread holds, and its tables, which the problem keeps.

The cut depends on the problem alone. A plain kernel row reads a box or rows that stay: both tables of columns are made.
"""
from cyconv.cpu.blocks cimport (
    Blocks, PyCapsule_GetPointer, PyMem_Free, PyMem_Malloc, PyObject, ceil_div, gcd, opened_once, set_layout,
)
from cyconv.cpu.packing cimport Axis, Box, CIRCULAR, DOUBLE, REFLECT, REPLICATE, SINGLE, ZEROS
from cyconv.cpu.pieces cimport PB
from cyconv.cpu.row_tiles cimport ALONG, DOWN, TALLEST, TALL_KERNEL, Taps
from cyconv.cpu.simd cimport VB

cdef enum:
    BOX_BYTES = 256 * 1024              # of one block: stays in a second-level cache
    BLOCK_OUTPUTS = 32 * 1024
    ITEM_OUTPUTS = 4 * 1024             # several planes are worked on as one item up to here
    LEAST_ITEMS = 16
    WIDE_BLOCK = 8192                   # outputs of a row that is not cut
    WALK_ROWS = 16                      # rows that a walk over wide rows goes down, so that what it leaves in the caches is used;
    FEW_WALK_ROWS = 4                   # where they all lie multiples of so many bytes apart, and so have the same few lines of a
    WAY_BYTES = 4096                    # first-level cache

cdef struct Work:
    Blocks caller                       # kinds and sizes of numbers, and how the caller's arrays lie; its blocks are not used
    Py_ssize_t batch
    Py_ssize_t groups
    Py_ssize_t channels                 # of a sum, parts counted apart
    Py_ssize_t rows                     # output channels of a group, parts counted apart
    Py_ssize_t[3] n                     # sizes along z, y, x, as are all of the following
    Py_ssize_t[3] k
    Py_ssize_t[3] s
    Py_ssize_t[3] d
    Py_ssize_t[3] pad
    Py_ssize_t[3] out
    Py_ssize_t[3] block                 # outputs of one block
    Py_ssize_t[3] count                 # blocks along each axis
    Py_ssize_t planes                   # of one item: groups and batch items
    bint walks                          # kernel 3 x 3 over one channel, with stride 1 or 2
    bint could_stay                     # whether rows can be read where they lie, if they are contiguous
    bint stays                          # whether they are
    bint short_planes                   # whether they, and whole planes, fit two vectors
    bint plain                          # if not, whether they are gathered by whole vectors
    Py_ssize_t period                   # every so many-th row of the kernel makes up a slab
    Py_ssize_t classes                  # slabs of one channel and z
    Py_ssize_t apart                    # rows between the rows of outputs of a strip
    bint tall                           # whether it had better have TALLEST rows, where a level can
    Py_ssize_t strip                    # rows of outputs of a tile
    Box box
    Py_ssize_t plane                    # numbers in the box of one channel
    Py_ssize_t zeros                    # numbers in a row of zeros
    Py_ssize_t sums                     # pitch in numbers of rows of sums that are converted on the way out; 0: none are
    Py_ssize_t[5] at                    # bytes from the start of a thread's scratch to its zeros, sums, table, edge; in all
    Taps taps
    Py_ssize_t* box_place               # where columns of the kernel lie in a row of the box,
    Py_ssize_t* stay_place              # and in one that stays
    Py_ssize_t* memory                  # of tables; what to free
    const char* input
    Py_ssize_t[3] input_step            # bytes to the next batch item, group, channel
    Py_ssize_t[3] step                  # and to the next z, y, x
    const char* weight
    const char* bias
    char* result


cdef inline Py_ssize_t line(double bytes) noexcept nogil:
    """Rounded up to whole lines; no more than 2**61."""
    return (<Py_ssize_t> min(bytes, 2.0**61) + 63) // 64 * 64


cdef inline double box_numbers(const Work* w, Py_ssize_t z, Py_ssize_t y, Py_ssize_t x) noexcept nogil:
    """Of the boxes of all channels for a block of z * y * x outputs; in floating point, where nothing overflows."""
    cdef double planes = (z - 1.0) * w.s[0] + (w.k[0] - 1.0) * w.d[0] + 1
    cdef double rows = (y - 1.0) * w.s[1] + (w.k[1] - 1.0) * w.d[1] + 1
    return planes * rows * row_numbers(w, x) * w.channels


cdef inline double row_numbers(const Work* w, Py_ssize_t x) noexcept nogil:
    """Of a row of the box, all its phases."""
    if w.walks:
        return (x + 3.0 * PB) * w.s[2] + 16
    return (x + VB + <double> ((w.k[2] - 1) * w.d[2] // w.s[2])) * w.box.axis[2].phases


cdef inline size_t table_bytes(const Work* w) noexcept nogil:
    return (w.taps.slabs + 3 * w.k[2] + 1) * sizeof(Py_ssize_t)


cdef inline int open_work(Work* w, object problem, bint tables) except -1:
    """Fills `w` but for arrays. With `tables`, w.memory is to be freed."""
    cdef const Blocks* b = &w.caller
    cdef tuple size = problem.size, kernel = problem.kernel, stride = problem.stride, dilation = problem.dilation
    cdef tuple pad = problem.pad_before, out = problem.out_size
    cdef str mode = problem.padding_mode
    cdef Py_ssize_t a, m, j, g, limit, wanted, pieces
    cdef Axis* axis
    cdef double numbers
    set_layout(&w.caller, problem)
    w.batch, w.groups = problem.batch, problem.groups
    w.channels = b.in_channels * w.caller.parts
    w.rows = <Py_ssize_t> problem.out_channels * w.caller.parts
    for a in range(3):
        w.n[a], w.k[a], w.s[a], w.d[a], w.pad[a], w.out[a] = size[a], kernel[a], stride[a], dilation[a], pad[a], out[a]
    w.memory = NULL
    w.walks = (
        w.channels == 1 and w.k[0] == 1 and w.k[1] == 3 and w.k[2] == 3 and w.s[1] == w.s[2] and w.s[1] <= 2
        and w.d[1] == 1 and w.d[2] == 1
    )
    w.could_stay = mode == "zeros" and w.caller.parts == 1 and w.caller.size == w.caller.stored_size and (w.walks or w.s[2] == 1)
    if not w.walks and w.k[2] > 3 and w.out[2] < 128:
        w.could_stay = False                                # most tiles would lie at an edge, and mask every load
    g = gcd(w.s[1], w.d[1])
    w.period, w.apart = w.s[1] // g, w.d[1] // g
    w.classes = min(w.k[1], w.period)
    w.taps.slabs = w.channels * w.k[0] * w.classes
    w.taps.columns, w.taps.dilation = w.k[2], w.d[2]

    w.box.mode = ZEROS if mode == "zeros" else REFLECT if mode == "reflect" else REPLICATE if mode == "replicate" else CIRCULAR
    for a in range(3):
        axis = &w.box.axis[a]
        axis.n, axis.stride, axis.pad, axis.phases = w.n[a], 1, w.pad[a], 1
    if not w.walks:
        axis.stride = w.s[2]
        axis.phases = min(w.k[2], w.s[2] // gcd(w.s[2], w.d[2]))

    # Rows first, as long as they fit; then more rows; then more planes.
    limit = max(min(<Py_ssize_t> problem.max_workspace // 4, <Py_ssize_t> BOX_BYTES) // w.caller.size, 1)
    m = ceil_div(w.out[2], ceil_div(w.out[2], WIDE_BLOCK))
    while m > 64 and box_numbers(w, 1, 1, m) > limit:
        m = (m + 1) // 2
    w.block[2] = m
    m = 1
    while m < w.out[1] and box_numbers(w, 1, m + 1, w.block[2]) <= limit and (m + 1) * w.block[2] <= BLOCK_OUTPUTS:
        m += 1
    pieces = w.batch * w.groups * ceil_div(w.out[2], w.block[2]) * w.out[0]
    if pieces < LEAST_ITEMS and m * w.block[2] > ITEM_OUTPUTS:
        wanted = ceil_div(LEAST_ITEMS, max(pieces, 1))
        m = min(m, max(ceil_div(w.out[1], wanted), ceil_div(ITEM_OUTPUTS, w.block[2])))
    w.block[1] = ceil_div(w.out[1], ceil_div(w.out[1], m))
    w.strip = 1 if w.k[1] == 1 or w.out[1] == 1 else DOWN
    w.tall = False
    if w.caller.kind <= DOUBLE and w.s[1] == 1 and w.d[1] == 1 and w.k[1] >= TALL_KERNEL and m >= TALLEST:
        if m < w.out[1]:
            w.block[1] = m // 12 * 12 if m >= 12 else TALLEST       # whole strips, of any level
        # 6 rows take as long as 5 1/2 of them in tiles of 4
        w.tall = 11 * ceil_div(w.block[1], TALLEST) * TALLEST <= 12 * ceil_div(w.block[1], DOWN) * DOWN
    if w.tall:
        w.strip = TALLEST
    w.taps.table = w.channels * w.k[0] * (w.k[1] + w.classes * (w.strip - 1))
    m = 1
    if w.block[1] == w.out[1]:
        while m < w.out[0] and box_numbers(w, m + 1, w.out[1], w.block[2]) <= limit and (m + 1) * w.out[1] * w.block[2] <= BLOCK_OUTPUTS:
            m += 1
    w.block[0] = ceil_div(w.out[0], ceil_div(w.out[0], m))
    w.planes = 1
    for a in range(3):
        w.count[a] = ceil_div(w.out[a], w.block[a])
    if w.count[0] * w.count[1] * w.count[2] == 1:
        pieces = w.out[0] * w.out[1] * w.out[2] * w.rows
        w.planes = max(min(ITEM_OUTPUTS // max(pieces, 1), w.batch * w.groups // LEAST_ITEMS), <Py_ssize_t> 1)

    w.short_planes = (
        w.walks and w.s[1] == 1 and w.rows == 1 and w.out[2] <= 2 * PB // w.caller.size and w.count[0] * w.count[1] * w.count[2] == 1
        and w.out[0] == 1 and w.n[0] == 1 and w.out[1] > 1 and 0 <= w.pad[1] <= 1 and 0 <= w.out[1] + 2 - w.pad[1] - w.n[1] <= 1
        and (w.caller.kind == SINGLE or w.caller.kind == DOUBLE)
    )

    # the scratch of one thread
    axis = w.box.axis
    axis[0].length = (w.block[0] - 1) * w.s[0] + (w.k[0] - 1) * w.d[0] + 1
    axis[1].length = (w.block[1] - 1) * w.s[1] + (w.k[1] - 1) * w.d[1] + 1
    if w.walks:
        axis[2].length = (w.block[2] + PB // w.caller.size) * w.s[2] + 2
    else:
        axis[2].length = ceil_div(w.block[2], VB // w.caller.size) * (VB // w.caller.size) + (w.k[2] - 1) * w.d[2] // w.s[2]
    axis[2].length = ceil_div(axis[2].length, 16) * 16 + 16     # whole lines, seldom a power of two
    numbers = <double> axis[0].length * axis[1].length * axis[2].length * axis[2].phases
    w.plane = <Py_ssize_t> min(numbers, 2.0**60)
    w.zeros = (w.block[2] + VB) * w.s[2] + (w.k[2] - 1) * w.d[2] + 1
    w.sums = 0
    if w.caller.parts > 1 or w.caller.size != w.caller.stored_size:
        w.sums = ceil_div(w.block[2], PB // w.caller.size) * (PB // w.caller.size)
    w.at[0] = line(numbers * w.channels * w.caller.size)
    w.at[1] = w.at[0] + line(<double> w.zeros * w.caller.size)
    w.at[2] = w.at[1] + line(<double> w.sums * w.caller.size * max(WALK_ROWS, TALLEST))
    w.at[3] = w.at[2] + line(2.0 * w.taps.table * sizeof(void*))
    w.taps.edge = (ALONG * VB + (w.k[2] - 1) * w.d[2] * w.caller.size + 2 * PB) // 64 * 64 + 64
    w.at[4] = w.at[3] + (line(<double> w.taps.table * w.taps.edge) if w.could_stay else 0)
    if not tables:
        return 0
    if numbers * w.channels * w.caller.size >= 2.0**60:
        raise MemoryError("the box of one block is larger than any memory")
    w.memory = <Py_ssize_t*> PyMem_Malloc(table_bytes(w))
    if w.memory == NULL:
        raise MemoryError("no room for tables")
    for m in range(w.taps.slabs):
        w.memory[m] = ceil_div(w.k[1] - m % w.classes, w.period)
    w.taps.rows = w.memory
    w.stay_place = w.memory + w.taps.slabs
    w.box_place = w.stay_place + w.k[2]
    w.box.axis[2].remainder = w.box_place + w.k[2]
    w.memory[w.taps.slabs + 3 * w.k[2]] = 0
    for a in range(2):
        w.box.axis[a].remainder = w.memory + w.taps.slabs + 3 * w.k[2]
    m = axis[0].length * axis[1].length * axis[2].length
    for j in range(w.k[2]):
        w.stay_place[j] = j * w.d[2] * w.caller.size
        w.box_place[j] = (j % axis[2].phases * m + j * w.d[2] // w.s[2]) * w.caller.size
        w.box_place[w.k[2] + j] = 0 if w.walks else j * w.d[2] % w.s[2]
    return 0


cdef inline Py_ssize_t open_tables(void* work, object problem) except -1:
    open_work(<Work*> work, problem, True)
    return table_bytes(<Work*> work)


cdef inline void close_work(PyObject* capsule) noexcept:
    cdef Work* w = <Work*> PyCapsule_GetPointer(capsule, NULL)
    PyMem_Free(w.memory)
    PyMem_Free(w)


cdef inline object opened(object problem):
    """Opened work with its tables, in a capsule."""
    return opened_once(problem, "depthwise", sizeof(Work), open_tables, close_work)

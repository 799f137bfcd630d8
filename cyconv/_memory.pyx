"""Arrays of warm memory: results and scratch take what earlier ones gave back.

Fresh memory is slow: the system hands it out page by page and zeroes it, which for a 4 MB result took 2 ms, longer than
many a convolution. Large arrays made by `empty` therefore come from a small store of freed blocks, and return to it when
NumPy frees them, through NumPy's own allocator interface (NEP 49): they own their memory as any array does. Arrays begin
at a cache line, those of a huge page or more at a page of that size: weights and results across lines made small layers 1 to
6 % slower.

The store never holds more than KEEP_BYTES in KEEP blocks; the longest unused go first. It never waits for its lock: a call
that finds it taken, by another thread or by a thread that did not survive a fork, does without the store.
"""
cimport numpy as cnp
from libc.stdint cimport uint8_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset, strcpy

cnp.import_array()

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #if defined(__linux__)
      #include <sys/mman.h>
      #define cy_prefer_huge(p, n) ((void) madvise((p), (n), MADV_HUGEPAGE))
    #else
      #define cy_prefer_huge(p, n) ((void) 0)
    #endif
    #define CY_LINE 64
    #ifdef CY_CHECKED                   /* for those who look for faults (tests/builds): each array is new, and ends where its memory does */
      #define CY_ALIGNED 0
      #define CY_STORED ((size_t) -1)
      static inline void *cy_base(size_t size, size_t front) { void *p; (void) front; return posix_memalign(&p, CY_LINE, CY_LINE + size) ? NULL : p; }
    #else
      #define CY_ALIGNED 1024
      #define CY_STORED ((size_t) 65536)
      static inline void *cy_base(size_t size, size_t front) { return malloc(size + front + CY_LINE - 1); }
    #endif
    static inline int cy_try_lock(char *lock) { return !__atomic_test_and_set(lock, __ATOMIC_ACQUIRE); }
    static inline void cy_unlock(char *lock)  { __atomic_clear(lock, __ATOMIC_RELEASE); }
    """
    const Py_ssize_t ALIGNED "CY_ALIGNED"       # bytes from which arrays begin at a line; NumPy has smaller ones ready
    const size_t STORED "CY_STORED"             # bytes from which arrays are worth storing; smaller ones malloc keeps warm by itself
    const size_t LINE "CY_LINE"
    void* new_base "cy_base"(size_t, size_t)    # room for so many bytes from a line's beginning, with some in front
    int posix_memalign(void**, size_t, size_t)
    void prefer_huge "cy_prefer_huge"(void*, size_t)
    bint try_lock "cy_try_lock"(char*)
    void unlock "cy_unlock"(char*)

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void* ctx
        void* (*malloc)(void*, size_t) noexcept nogil
        void* (*calloc)(void*, size_t, size_t) noexcept nogil
        void* (*realloc)(void*, void*, size_t) noexcept nogil
        void (*free)(void*, void*, size_t) noexcept nogil
    ctypedef struct PyDataMem_Handler:
        char[127] name
        uint8_t version
        PyDataMemAllocator allocator
    ctypedef struct Fields "PyArrayObject_fields":
        void* mem_handler

cdef extern from "Python.h":
    object PyCapsule_New(void*, const char*, void*)
    void* hold "Py_NewRef"(object)
    int trace "PyTraceMalloc_Track"(unsigned int, size_t, size_t) nogil

cdef enum:
    KEEP = 32                           # blocks
    HUGE = 2 * 1024 * 1024              # bytes of a huge page
    NUMPY_DOMAIN = 389047               # of arrays, to tracemalloc
cdef Py_ssize_t KEEP_BYTES = 128 * 1024 * 1024

cdef struct Block:                      # in front of an array's memory
    size_t room                         # bytes of that memory
    void* base                          # what to free

cdef char lock = 0
cdef char* kept[KEEP]                      # oldest first
cdef int count = 0
cdef size_t kept_bytes = 0


cdef inline Block* block_of(void* memory) noexcept nogil:
    return <Block*> (<char*> memory - sizeof(Block))


cdef void drop(int at) noexcept nogil:
    """Takes a block out of the store, whose lock is held."""
    global count, kept_bytes
    cdef int i
    kept_bytes -= block_of(kept[at]).room
    count -= 1
    for i in range(at, count):
        kept[i] = kept[i + 1]


cdef void* allocate(void* ctx, size_t size) noexcept nogil:
    cdef char* memory = NULL
    cdef void* base = NULL
    cdef size_t align, room = (size + 4095) & ~<size_t> 4095
    cdef int i, best = -1
    if size < STORED:
        base = new_base(size, sizeof(Block))
        if base == NULL:
            return NULL
        memory = <char*> ((<size_t> base + sizeof(Block) + LINE - 1) & ~(LINE - 1))
        block_of(memory).room = size
        block_of(memory).base = base
        return memory
    if try_lock(&lock):
        for i in range(count):          # the smallest that fits, if not much larger
            if size <= block_of(kept[i]).room <= room + room // 4 and (
                best < 0 or block_of(kept[i]).room <= block_of(kept[best]).room
            ):
                best = i
        if best >= 0:
            memory = kept[best]
            drop(best)
        unlock(&lock)
        if memory != NULL:
            return memory
    align = HUGE if room >= HUGE else LINE
    if room < size or posix_memalign(&base, align, room + align) != 0:
        return NULL
    memory = <char*> base + align
    if align == HUGE:
        prefer_huge(memory, room)
    block_of(memory).room = room
    block_of(memory).base = base
    return memory


cdef void give_back(void* ctx, void* memory, size_t size) noexcept nogil:
    global count, kept_bytes
    cdef void* old[KEEP]
    cdef int dropped = 0
    cdef size_t room
    if memory == NULL:
        return
    room = block_of(memory).room
    if room < STORED or room > <size_t> KEEP_BYTES or not try_lock(&lock):
        free(block_of(memory).base)
        return
    while count == KEEP or kept_bytes + room > <size_t> KEEP_BYTES:
        old[dropped] = block_of(kept[0]).base
        dropped += 1
        drop(0)
    kept[count] = <char*> memory
    count += 1
    kept_bytes += room
    unlock(&lock)
    for i in range(dropped):
        free(old[i])


cdef void* allocate_zeros(void* ctx, size_t number, size_t size) noexcept nogil:
    cdef void* memory
    if size and number > (<size_t> -1) // size:
        return NULL
    memory = allocate(ctx, number * size)
    if memory != NULL:
        memset(memory, 0, number * size)
    return memory


cdef void* reallocate(void* ctx, void* memory, size_t size) noexcept nogil:
    cdef void* larger
    if memory != NULL and size <= block_of(memory).room:
        return memory
    larger = allocate(ctx, size)
    if larger != NULL and memory != NULL:
        memcpy(larger, memory, block_of(memory).room)
        give_back(ctx, memory, 0)
    return larger


cdef PyDataMem_Handler handler
strcpy(handler.name, "cyconv")
handler.version = 1
handler.allocator.ctx = NULL
handler.allocator.malloc = allocate
handler.allocator.calloc = allocate_zeros
handler.allocator.realloc = reallocate
handler.allocator.free = give_back
cdef object capsule = PyCapsule_New(&handler, "mem_handler", NULL)


def empty(tuple shape, cnp.dtype dtype):
    """An uninitialised C-contiguous array, which begins at a cache line unless it is very small."""
    cdef cnp.npy_intp[cnp.NPY_MAXDIMS] lengths
    cdef Py_ssize_t i, rank = len(shape)
    if rank > cnp.NPY_MAXDIMS:
        raise ValueError(f"an array has at most {cnp.NPY_MAXDIMS} axes")
    for i in range(rank):
        lengths[i] = shape[i]
    return new_array(<int> rank, lengths, dtype.num)


cdef cnp.ndarray new_array(int rank, cnp.npy_intp* lengths, int type):
    """The same, of NumPy's number for a type."""
    cdef double size = cnp.PyArray_DescrFromType(type).itemsize
    cdef cnp.ndarray array
    cdef void* memory
    cdef int i
    for i in range(rank):
        size *= lengths[i]
    if size < ALIGNED or size >= 2.0**62 or type == cnp.NPY_OBJECT:     # NumPy says what is wrong, or fills in objects
        return cnp.PyArray_EMPTY(rank, lengths, type, 0)
    memory = allocate(NULL, <size_t> size)
    if memory == NULL:
        return cnp.PyArray_EMPTY(rank, lengths, type, 0)
    # As NumPy does it, but without a change of its current handler and back, which took longer than all else (0.2 us).
    try:
        array = cnp.PyArray_New(cnp.ndarray, rank, lengths, type, NULL, memory, 0, cnp.NPY_ARRAY_CARRAY, <object> NULL)
    except:
        give_back(NULL, memory, 0)
        raise
    (<Fields*> array).mem_handler = hold(capsule)
    cnp.PyArray_ENABLEFLAGS(array, cnp.NPY_ARRAY_OWNDATA)
    trace(NUMPY_DOMAIN, <size_t> memory, cnp.PyArray_NBYTES(array))
    return array


cdef cnp.ndarray nothing = empty((0,), cnp.PyArray_DescrFromType(cnp.NPY_UINT8))


cdef cnp.ndarray zeros(Py_ssize_t bytes):
    """At least so many zeros, which nobody writes to: callers share them."""
    global nothing
    cdef cnp.npy_intp count = bytes
    if nothing.size < bytes:
        nothing = cnp.PyArray_ZEROS(1, &count, cnp.NPY_UINT8, 0)
    return nothing


def release():
    """Gives the stored blocks back to the system; returns their bytes."""
    cdef size_t freed = 0
    cdef void* old[KEEP]
    cdef int dropped = 0, i
    if try_lock(&lock):
        freed = kept_bytes
        while count:
            old[dropped] = block_of(kept[0]).base
            dropped += 1
            drop(0)
        unlock(&lock)
    for i in range(dropped):
        free(old[i])
    return freed


def behaved(cnp.ndarray array):
    """Whether an array's numbers are aligned and in the machine's byte order."""
    return cnp.PyArray_ISBEHAVED_RO(array)


cdef void extent(cnp.ndarray array, char** begin, char** end) noexcept:
    cdef int axis
    cdef Py_ssize_t reach
    begin[0] = end[0] = <char*> cnp.PyArray_DATA(array)
    end[0] += cnp.PyArray_ITEMSIZE(array)
    for axis in range(cnp.PyArray_NDIM(array)):
        reach = cnp.PyArray_STRIDE(array, axis) * (cnp.PyArray_DIM(array, axis) - 1)
        if reach < 0:
            begin[0] += reach
        else:
            end[0] += reach


def overlaps(out, *others):
    """Whether the memory from the first to the last number of `out` meets that of one of `others`, as far as they are arrays that
    hold numbers."""
    cdef char* begin
    cdef char* end
    cdef char* other_begin
    cdef char* other_end
    if not holds_numbers(out):
        return False
    extent(out, &begin, &end)
    for other in others:
        if holds_numbers(other):
            extent(other, &other_begin, &other_end)
            if begin < other_end and other_begin < end:
                return True
    return False


cdef inline bint holds_numbers(object array):
    return isinstance(array, cnp.ndarray) and cnp.PyArray_SIZE(<cnp.ndarray> array) > 0

"""How the items of work of an algorithm are run: by one thread or several, in batches between which Ctrl-C is looked at.

An item is a piece of the result that depends on no other. Each thread has a run of them, so that it finds in its own caches what
the items next to each other share, and what it wrote there the last time; it takes a few at a time, and when it has no more,
takes those of the others. So what a thread computes is not determined, but what an item is.

Intel's processors take a hundred times as long for a product with a subnormal number in it (measured: test_subnormal.py). There
such numbers count as zeros while items run, unless the caller wants them exact. The floating-point mode of each thread is put
back after its items.
"""
from cython.parallel cimport prange
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc

cdef extern from *:
    """
    #define CY_BATCH 2147483648.0
    #define CY_BRIEF 65536.0
    #if defined(__SSE__)
      #include <xmmintrin.h>
      static inline unsigned cy_mode(void)         { return _mm_getcsr(); }
      static inline void cy_set_mode(unsigned m)   { _mm_setcsr(m); }
      #if defined(__GNUC__)
        #include <cpuid.h>
        static inline unsigned cy_flushing(void) { /* __builtin_cpu_is would link a list of all processors into every module: 70 KB of the wheel */
          static int known = -1;
          if (known < 0) {                         /* a virtual machine takes long to answer */
            unsigned a, b, c, d;
            __cpuid(0, a, b, c, d);
            known = b == signature_INTEL_ebx ? 0x8040 : 0;                   /* FTZ and DAZ */
          }
          return known;
        }
      #else
        static inline unsigned cy_flushing(void)   { return 0; }
      #endif
    #else
      static inline unsigned cy_flushing(void)     { return 0; }
      static inline unsigned cy_mode(void)         { return 0; }
      static inline void cy_set_mode(unsigned m)   { (void)m; }
    #endif
    static inline Py_ssize_t cy_take(Py_ssize_t *next, Py_ssize_t n) {
      Py_ssize_t taken;
      #ifdef _OPENMP
      #pragma omp atomic capture
      #endif
      { taken = *next; *next += n; }
      return taken;
    }
    """
    Py_ssize_t take "cy_take"(Py_ssize_t*, Py_ssize_t) noexcept nogil       # the next n of a run, by one thread alone
    unsigned mode "cy_mode"() noexcept nogil                # rounding, and whether subnormal numbers count as zeros
    unsigned flushing "cy_flushing"() noexcept nogil        # what to add to it for them to; 0 where they cost nothing
    const double BRIEF "CY_BRIEF"                           # multiply-adds that are done before another Python thread could have begun
    const double BATCH "CY_BATCH"                           # multiply-adds between two looks at Ctrl-C: about 0.1 s
    void set_mode "cy_set_mode"(unsigned) noexcept nogil

cdef enum:
    SHARES = 16                         # of a batch that each thread takes one after the other

ctypedef void (*Item)(const void* work, Py_ssize_t item, char* room) noexcept nogil


cdef inline void run_some(Item do_item, const void* work, Py_ssize_t first, Py_ssize_t last, char* room, unsigned wanted) noexcept nogil:
    cdef Py_ssize_t item
    cdef unsigned own = mode()
    if own != wanted:
        set_mode(wanted)
    for item in range(first, last):
        do_item(work, item, room)
    if own != wanted:
        set_mode(own)


cdef struct Run:                        # of items, one thread's at first
    Py_ssize_t next, last
    char[48] apart                      # a line of the cache for each: threads write them


cdef inline void run_own_first(Item do_item, const void* work, Run* runs, int worker, int workers, Py_ssize_t share, char* room,
                               unsigned wanted) noexcept nogil:
    cdef Py_ssize_t item
    cdef Run* r
    cdef int i
    for i in range(workers):
        r = runs + (worker + i) % workers
        item = take(&r.next, share)
        while item < r.last:
            run_some(do_item, work, item, min(item + share, r.last), room, wanted)
            item = take(&r.next, share)


cdef inline int run_items(Item do_item, const void* work, Py_ssize_t items, double multiply_adds, int workers, char* rooms,
                          Py_ssize_t room, bint exact) except -1:
    """do_item(work, item, scratch) for all items, which take so many multiply-adds together; `rooms` are the workers' scratch.
    exact: also in subnormal numbers."""
    cdef Py_ssize_t first = 0, last, share, batch = <Py_ssize_t> max(items * BATCH / max(multiply_adds, 1.0), 1.0 * workers)
    cdef int worker
    cdef unsigned wanted = mode() if exact else mode() | flushing()
    cdef Run* runs = NULL
    if workers > 1:
        runs = <Run*> PyMem_Malloc(workers * sizeof(Run))
        if runs == NULL:
            raise MemoryError(f"no room for the runs of {workers} threads")
    try:
        while first < items:
            last = min(first + batch, items)
            if workers == 1 and multiply_adds < BRIEF:
                run_some(do_item, work, first, last, rooms, wanted)
            elif workers == 1:
                with nogil:
                    run_some(do_item, work, first, last, rooms, wanted)
            else:
                share = max((last - first) // (SHARES * workers), <Py_ssize_t> 1)
                for worker in range(workers):
                    runs[worker].next = first + (last - first) * worker // workers
                    runs[worker].last = first + (last - first) * (worker + 1) // workers
                for worker in prange(workers, num_threads=workers, schedule="static", chunksize=1, nogil=True):
                    run_own_first(do_item, work, runs, worker, workers, share, rooms + worker * room, wanted)
            PyErr_CheckSignals()
            first = last
    finally:
        PyMem_Free(runs)
    return 0

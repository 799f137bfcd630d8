"""How the items of work of an algorithm are run: by one thread or several, which look at Ctrl-C ten times a second.

An item is a piece of the result that depends on no other. Each thread has a run of them, so that it finds in its own caches what
the items next to each other share, and what it wrote there the last time; it takes a few at a time, and when it has no more,
takes those of the others. So what a thread computes is not determined, but what an item is. When the time for a look has come, all
threads leave what they have not taken for later; no estimate of what an item takes is needed for that.

Intel's processors take a hundred times as long for a product with a subnormal number in it (measured: test_subnormal.py). There
such numbers count as zeros while items run, unless the caller wants them exact. The floating-point mode of each thread is put
back after its items.
"""
from cython.parallel cimport prange
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc

cdef extern from *:
    """
    #include <time.h>
    #define CY_BETWEEN_LOOKS 0.1
    #define CY_BRIEF 65536.0
    #define CY_SOON 16777216.0
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
    static inline double cy_seconds(void) {
      struct timespec now;
    #ifdef CLOCK_MONOTONIC
      clock_gettime(CLOCK_MONOTONIC, &now);        /* which nobody sets */
    #else
      timespec_get(&now, TIME_UTC);
    #endif
      return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
    }
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
    const double SOON "CY_SOON"                             # and between two looks at the clock: 0.2 ms or longer
    const double BETWEEN_LOOKS "CY_BETWEEN_LOOKS"           # seconds between two looks at Ctrl-C, if no item takes longer
    double clock "cy_seconds"() noexcept nogil
    void set_mode "cy_set_mode"(unsigned) noexcept nogil

cdef enum:
    SHARES = 16                         # of a run at least that each thread takes one after the other

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


cdef inline void run_own_first(Item do_item, const void* work, Run* runs, int worker, int workers, Py_ssize_t share, double until, char* room,
                               unsigned wanted) noexcept nogil:
    """until: the clock's time at which no more are taken; 0 for never."""
    cdef Py_ssize_t item
    cdef Run* r
    cdef int i
    for i in range(workers):
        r = runs + (worker + i) % workers
        item = take(&r.next, share)
        while item < r.last:
            run_some(do_item, work, item, min(item + share, r.last), room, wanted)
            if until > 0 and clock() > until:
                return
            item = take(&r.next, share)


cdef inline bint any_left(const Run* runs, int workers) noexcept nogil:
    cdef int worker
    for worker in range(workers):
        if runs[worker].next < runs[worker].last:
            return True
    return False


cdef inline int run_items(Item do_item, const void* work, Py_ssize_t items, double multiply_adds, int workers, char* rooms,
                          Py_ssize_t room, bint exact) except -1:
    """do_item(work, item, scratch) for all items, which take about so many multiply-adds together; `rooms` are the workers' scratch.
    exact: also in subnormal numbers."""
    cdef Run one
    cdef Run* runs = &one
    cdef double until = 0
    cdef int worker
    cdef unsigned wanted = mode() if exact else mode() | flushing()
    cdef bint long_enough = multiply_adds > SOON            # for anybody to miss an answer to Ctrl-C
    cdef Py_ssize_t share = items // (SHARES * max(workers, 1)) if workers > 1 or long_enough else items
    if long_enough:
        share = min(share, <Py_ssize_t> (items * SOON / multiply_adds))
    share = max(share, <Py_ssize_t> 1)
    if workers > 1:
        runs = <Run*> PyMem_Malloc(workers * sizeof(Run))
        if runs == NULL:
            raise MemoryError(f"no room for the runs of {workers} threads")
    try:
        for worker in range(workers):
            runs[worker].next = items * worker // workers
            runs[worker].last = items * (worker + 1) // workers
        while any_left(runs, workers):
            if long_enough:
                until = clock() + BETWEEN_LOOKS
            if workers > 1:
                for worker in prange(workers, num_threads=workers, schedule="static", chunksize=1, nogil=True):
                    run_own_first(do_item, work, runs, worker, workers, share, until, rooms + worker * room, wanted)
            elif multiply_adds < BRIEF:
                run_some(do_item, work, 0, items, rooms, wanted)
                one.next = items
            else:
                with nogil:
                    run_own_first(do_item, work, runs, 0, 1, share, until, rooms, wanted)
            PyErr_CheckSignals()
    finally:
        if workers > 1:
            PyMem_Free(runs)
    return 0

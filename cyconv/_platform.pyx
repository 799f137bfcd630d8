"""What the machine is, asked once, from a module built with baseline flags so that any processor can import it.

Three jobs that must be done outside the kernels: name the processor's x86-64 level, keep OpenMP alive across fork, and
hold the BLAS that scipy.linalg.cython_blas uses to one thread while our own loops run.
"""
import os

from libc.stdint cimport uintptr_t

from cyconv.cpu.items cimport flushing

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    /* The psABI levels spelled out as features, because older compilers do not know the levels by name. */
    static const char *cy_cpu_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt")))
            return "v1";
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
              && __builtin_cpu_supports("bmi2")))
            return "v2";
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
              && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")))
            return "v3";
        return "v4";
    }
    #else
    static const char *cy_cpu_level(void) { return "base"; }
    #endif

    #ifdef _OPENMP
      #include <omp.h>
      #define CY_OPENMP 1
      #ifndef _WIN32
        #include <dlfcn.h>
        #include <pthread.h>
        #include <stdlib.h>
        #include <string.h>
        #include <strings.h>
        /* libgomp's threads do not survive fork, and its pool in the child waits for them for ever. Dropping the pool of
           the forking thread just before the fork makes both sides start a fresh one.
           A wheel brings a libgomp of its own. Modules that are loaded once another library has made its libgomp everybody's
           (PyTorch does) use that one in its place, so that there are two such pools. */
        static int cy_survives;
        static int (*cy_others_inside)(void);
        static int (*cy_others_pause)(omp_pause_resource_t);
        /* LLVM's library looks after itself, with locks that it holds while the process forks: to pause it then would be to wait for them for
           ever, and before, while other threads compute, it ends under their feet. Clang's code uses it, and GCC's finds it in libgomp's place
           where somebody has put it there (conda's packages may). If KMP_INIT_AT_FORK said no when it was loaded, as joblib has it say, it
           does not: then children must do without. */
        static int cy_is_llvms(void *function) {
            Dl_info of;
            void *library = dladdr(function, &of) ? dlopen(of.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
            int is = library && dlsym(library, "__kmpc_fork_call");
            if (library) dlclose(library);
            return is;
        }
        static int cy_left_alone, cy_lost;
        static int cy_is_left_alone(void) {
            const char *asked = getenv("KMP_INIT_AT_FORK");
            return asked && *asked && (strchr("fFnN0dD", *asked) || strncasecmp(asked, "off", 3) == 0 || strncasecmp(asked, ".f", 2) == 0);
        }
        static void cy_look_around(void) {
            cy_others_inside = (int (*)(void)) dlsym(RTLD_DEFAULT, "omp_in_parallel");
            cy_others_pause = (int (*)(omp_pause_resource_t)) dlsym(RTLD_DEFAULT, "omp_pause_resource_all");
            cy_lost = cy_survives && cy_left_alone;
            if (cy_others_pause == omp_pause_resource_all) cy_others_pause = NULL;
            if (cy_others_pause && cy_is_llvms((void *) cy_others_pause)) {
                cy_lost = cy_lost || cy_is_left_alone();
                cy_others_pause = NULL;
            }
        }
        static void cy_before_fork(void) {
            if (!cy_survives && !omp_in_parallel()) omp_pause_resource_all(omp_pause_hard);
            if (cy_others_inside && cy_others_pause && !cy_others_inside()) cy_others_pause(omp_pause_hard);
        }
        static int cy_survive_fork(void) {
            omp_get_max_threads();              /* see threads.py */
            cy_survives = cy_is_llvms((void *) omp_pause_resource_all);
            cy_left_alone = cy_is_left_alone();
            return pthread_atfork(cy_before_fork, NULL, NULL);
        }
      #else
        static int cy_lost;
        static void cy_look_around(void) {}
        static int cy_survive_fork(void) { return 0; }
      #endif
    #else
      #define CY_OPENMP 0
      static int cy_lost;
      static void cy_look_around(void) {}
      static int cy_survive_fork(void) { return 0; }
    #endif
    """
    const char* cy_cpu_level()
    int cy_survive_fork()
    void cy_look_around()
    bint CY_OPENMP, cy_lost

ctypedef void (*set_threads_t)(int) noexcept nogil
ctypedef int (*get_threads_t)() noexcept nogil

cdef set_threads_t blas_set = NULL
cdef get_threads_t blas_get = NULL
cdef int blas_users = 0                 # how many calls hold BLAS to one thread just now; changed under the GIL
cdef int blas_before = 1                # what the first of them found

if cy_survive_fork():
    raise ImportError("cyconv: pthread_atfork failed, so a forked child could hang")


def cpu_level():
    """"v1" to "v4" on x86-64, "base" elsewhere."""
    return cy_cpu_level().decode()


def flushes_subnormals():
    """Whether subnormal numbers count as zeros here, since the processor is slow with them."""
    return flushing() != 0


def has_openmp():
    """Whether this build can use more than one thread."""
    return bool(CY_OPENMP)


def bind_blas(uintptr_t set_threads, uintptr_t get_threads):
    """Names the two functions of the BLAS library behind scipy.linalg.cython_blas."""
    global blas_set, blas_get
    blas_set = <set_threads_t> set_threads
    blas_get = <get_threads_t> get_threads


def hold_blas():
    """Holds BLAS to one thread until release_blas; calls nest and may come from several Python threads at once."""
    global blas_users, blas_before
    if blas_set == NULL:
        return
    if blas_users == 0:
        blas_before = blas_get()
        blas_set(1)
    blas_users += 1


def release_blas():
    """Ends one hold_blas; the last one gives BLAS its threads back."""
    global blas_users
    if blas_users == 0:
        return
    blas_users -= 1
    if blas_users == 0:
        blas_set(blas_before)


def look_around():
    """Finds the OpenMP that modules loaded by now may use. Not in the handler: glibc's loader and its fork could wait for each other there."""
    cy_look_around()


def lost_threads():
    """Whether a child that was forked just now must not use OpenMP."""
    return bool(cy_lost)


def let_blas_go():
    """In a forked child, which has none of the threads that hold it."""
    global blas_users
    if blas_users:
        blas_users = 0
        blas_set(blas_before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=look_around, after_in_child=let_blas_go)

"""How many threads a call gets (see threads.py, which is how users say it)."""
from contextvars import ContextVar

cdef extern from "Python.h":
    int PyContextVar_Get(object, object, PyObject**) except -1
    ctypedef struct PyObject
    void Py_DECREF(PyObject*)

cdef extern from *:
    """
    #ifdef CY_CHECKED                   /* for those who look for faults (tests/builds): the smallest calls use several threads, too */
      #define CY_WORTH_A_THREAD 1e-12
    #else
      #define CY_WORTH_A_THREAD 25e-6
    #endif
    """
    const double WORTH_A_THREAD "CY_WORTH_A_THREAD"     # seconds of work below which another one costs more than it brings: a call of 50 us gains 10 %

inner = ContextVar("cyconv_threads", default=None)  # of the innermost `with threads(n)`
cdef int chosen = 0                     # by set_num_threads; 0: it was not called
cdef int default = 0                    # once it is known
cdef object find_default = None         # what finds it; None where there is but one thread


def open_threads(find):
    """`find` returns the default; None: this build has one thread."""
    global find_default
    find_default = find


def choose(int n):
    global chosen
    chosen = n


cpdef int count() except -1:
    """How many threads the next call from here may use."""
    global default
    cdef PyObject* found
    if find_default is None:
        return 1
    PyContextVar_Get(inner, None, &found)
    mine = <object> found
    Py_DECREF(found)
    if mine is not None:
        return mine
    if chosen:
        return chosen
    if default == 0:
        default = find_default()
    return default


cpdef int workers(double seconds, double scratch, double max_workspace, double packed=0) except -1:
    """Threads for a call of so many (predicted) seconds, each of them needing `scratch` bytes beside packed weights.

    Packed weights that are more than max_workspace are a Plan's, which has them in any case: they leave threads what there is.
    """
    if seconds < 2 * WORTH_A_THREAD:
        return 1
    cdef double left = max_workspace - packed if packed <= max_workspace else max_workspace
    return <int> max(1.0, min(min(<double> count(), seconds / WORTH_A_THREAD), left / max(scratch, 1.0)))

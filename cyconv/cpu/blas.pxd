"""Row-major matrix products on the BLAS that SciPy carries.

The functions are taken out of scipy.linalg.cython_blas when the first product is due, not cimported: importing
scipy.linalg takes longer than all the rest of `import cyconv`.
"""
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

ctypedef void (*sgemm_t)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*, int*) noexcept nogil
ctypedef void (*dgemm_t)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil

cdef struct Blas:
    sgemm_t sgemm
    dgemm_t dgemm

cdef inline void* blas_function(str name) except NULL:
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))

cdef inline int load_blas(Blas* blas) except -1:
    blas.sgemm = <sgemm_t> blas_function("sgemm")
    blas.dgemm = <dgemm_t> blas_function("dgemm")
    return 0

# BLAS is column-major: it sees each row-major matrix transposed, and C^T = B^T A^T.
cdef inline void gemm_f(const Blas* blas, const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc,
                        int rows, int columns, int depth) noexcept nogil:
    """c[rows, columns] = a[rows, depth] b[depth, columns] + beta c; ld: numbers from one row to the next."""
    cdef float one = 1
    blas.sgemm("N", "N", &columns, &rows, &depth, &one, <float*> b, &ldb, <float*> a, &lda, &beta, c, &ldc)

cdef inline void gemm_d(const Blas* blas, const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc,
                        int rows, int columns, int depth) noexcept nogil:
    """The same in double precision."""
    cdef double one = 1
    blas.dgemm("N", "N", &columns, &rows, &depth, &one, <double*> b, &ldb, <double*> a, &lda, &beta, c, &ldc)

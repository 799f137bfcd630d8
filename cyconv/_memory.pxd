"""For kernels, whose scratch and results come from here on every call."""
cimport numpy as cnp

cdef cnp.ndarray new_array(int rank, cnp.npy_intp* lengths, int type)
cdef cnp.ndarray zeros(Py_ssize_t bytes)

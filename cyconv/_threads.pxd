"""For kernels, which ask this on every call: when the caller's data have driven modules and interpreter out of the caches, a Python
function took 5 us."""

cpdef int workers(double seconds, double scratch, double max_workspace, double packed=*) except -1

"""A CuPy for tests on machines without a GPU: its arrays lie in host memory, its kernels are the .cu files behind shim.h.

It is as strict as CuPy where that matters: NumPy takes none of its arrays by mistake, its arrays take no NumPy array, memory is
handed out full of junk, and bytes around every allocation tell of a kernel that wrote beyond it.
"""

"""The GPU path: the same functions on CuPy arrays. Nothing here imports CuPy before an array of it was passed.

    calls.py           one call of a convolution on CuPy arrays, from checked arguments to the result
    pools.py           one call of a pool
    windows.py, .cuh   pools as their kernels see them, and how samples are joined
    transpose.py, gradients.py, plans.py    transposed convolutions, gradients, convolutions prepared once
    layout.py          arrays as the kernels see them: six axes and their strides, so that no view is ever copied
    launch.py          .cu files, compiled when first called, launched on CuPy's current stream
    costs.py           the cost model's constants
    <algorithm>.py     why_not, cost and run of one row of the menu: a thin launcher of
    <algorithm>.cu     CUDA C++, templates over dtype and tile
    products.py        products of matrices by cuBLAS, in the precision that was asked for
    transforms.py      Fourier transforms by cuFFT, with plans of our own
    tiles.py, .cuh     kernels that walk through tiles of an array
    scatter.py         max unpooling, its gradient, and that of max pools
    spread.py          gradients of averages; powers.py those of p-norms
    columns.py         unfold and fold
    places.py, .cuh    threads that walk through places of an array
    reach.cuh          which windows a sample lies in
    norms, softmax, activations, optimizers    what networks compute between convolutions and pools, each .py and .cu
    groups.cuh         sums and maxima over threads that work on one thing together
    elements.py, .cuh  arrays gone through element by element, 16 bytes at once where that fits
    numbers.cuh        what numbers are computed in, and how they are loaded and stored
    divisor.cuh        division by what is known at the launch
    conv.cuh           the problem as kernels get it, and what lies beyond borders
    gather.cuh         how implicit_gemm reads the matrices that it multiplies
    tensor_gemm.py, .cu, tensor_cores.cuh    what implicit_gemm has tensor cores do, and their instructions, the only PTX

Every kernel takes sizes and strides as 64-bit integers. Nothing synchronises, but that scatter.py hears whether indices
of callers are possible: work goes to the current stream, and where a result must be computed again because something was not finite, the device
finds out by itself (`only_if`).
"""

import importlib


def load(name):
    """A module of this folder; imported on first use."""
    return importlib.import_module(f"{__name__}.{name}")

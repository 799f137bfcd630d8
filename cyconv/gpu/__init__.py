"""The GPU path: the same functions on CuPy arrays. Nothing here imports CuPy before an array of it was passed.

    calls.py           one call of a convolution or a pool on CuPy arrays, from checked arguments to the result
    layout.py          arrays as the kernels see them: six axes and their strides, so that no view is ever copied
    launch.py          .cu files, compiled when first called, launched on CuPy's current stream
    costs.py           the cost model's constants
    <algorithm>.py     why_not, cost and run of one row of the menu: a thin launcher of
    <algorithm>.cu     CUDA C++, templates over dtype and tile
    numbers.cuh        what numbers are computed in, and how they are loaded and stored
    conv.cuh           the problem as kernels get it, and what lies beyond borders

Every kernel takes sizes and strides as 64-bit integers. Nothing synchronises: work goes to the current stream, and where a result
must be computed again because something was not finite, the device finds out by itself (`only_if`).
"""

import importlib


def load(name):
    """The module of algorithm `name`; imported on first use."""
    return importlib.import_module(f"{__name__}.{name}")

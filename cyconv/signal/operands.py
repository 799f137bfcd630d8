"""What a caller passed, as arrays of one dtype; what is wrong with it; what is left to SciPy."""

import operator

import numpy as np

from ..arguments import check_on_cpu, shown, viewed
from ..devices import is_chunked
from ..problem import CONV_DTYPES

MODES = ("full", "valid", "same")
METHODS = ("auto", "direct", "fft")
_DTYPES = {np.dtype(name) for name in CONV_DTYPES}


def scipy():
    """scipy.signal, imported only where it is needed, since that takes longer than importing NumPy and cyconv."""
    import scipy.signal

    return scipy.signal


def as_operands(in1, in2):
    """Both as NumPy arrays, or dask's, and whether one is dask's."""
    chunked = is_chunked(in1) or is_chunked(in2)
    for name, array in (("in1", in1), ("in2", in2)):
        check_on_cpu(**{name: array._meta if is_chunked(array) else array})
        if is_chunked(array):
            from ..chunked.graph import check_chunks

            check_chunks(name, array)
    return *(array if is_chunked(array) else as_numpy(name, array) for name, array in (("in1", in1), ("in2", in2))), chunked


def as_numpy(name, array):
    """The array as NumPy's, of whatever it holds: SciPy takes more than cyconv does."""
    return array if type(array) is np.ndarray else viewed(name, array)


def check_not_chunked(**values):
    """Raises if one of them is a dask array."""
    for name, value in values.items():
        if is_chunked(value):
            raise TypeError(f"{name} is a dask array, and this works on whole arrays alone: {name}.compute() makes it one")


def in_chunks():
    """The functions for dask arrays."""
    from ..chunked import signal

    return signal


def common_dtype(first, second):
    """The dtype of sums of products of elements of two dtypes if cyconv computes in it, else None."""
    if first is second and first.isnative and first in _DTYPES:
        return first
    if first.kind not in "biufc" or second.kind not in "biufc":
        return None
    dtype = np.result_type(first, second).newbyteorder("=")
    return dtype if dtype in _DTYPES else None


def in_floating_point(dtype):
    """The dtype that SciPy transforms arrays of `dtype` in."""
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 2 else dtype


def check_mode(mode):
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"acceptable mode flags are 'valid', 'same', or 'full'; got mode={shown(mode)}")


def check_method(method):
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"acceptable method flags are 'auto', 'direct', or 'fft'; got method={shown(method)}")


def check_valid(shape1, shape2, axes):
    """In mode 'valid', one shape must be at least as large as the other along all axes. Whether it is the second one alone."""
    if all(shape1[axis] >= shape2[axis] for axis in axes):
        return False
    if all(shape1[axis] <= shape2[axis] for axis in axes):
        return True
    raise ValueError(f"For 'valid' mode, one must be at least as large as the other in every dimension; got shapes {shape1} and {shape2}")


def as_axes(axes, rank):
    """`axes` (an int, or several; None: all) as a tuple of ints from 0 on."""
    if axes is None:
        return tuple(range(rank))
    try:
        axes = tuple(operator.index(axis) for axis in (axes if np.iterable(axes) else (axes,)))
    except TypeError:
        raise ValueError(f"axes must be a scalar or iterable of integers; got {shown(axes)}") from None
    if not axes:
        raise ValueError("when provided, axes cannot be empty")
    if not all(-rank <= axis < rank for axis in axes):
        raise ValueError(f"axes exceeds dimensionality of input: {axes}, of {rank} axes")
    axes = tuple(axis % rank for axis in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"all axes must be unique; got {axes}")
    return axes


def reversed_conjugate(array):
    """What turns a correlation into a convolution."""
    array = array[(slice(None, None, -1),) * array.ndim]
    return array.conj() if array.dtype.kind == "c" else array


def is_finite(array):
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())

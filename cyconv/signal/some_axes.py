"""Convolution along the axes that are named; along the others the arrays broadcast, as operands of a product do."""

import numpy as np

from .arrangement import arrange, convolved
from .operands import as_axes, as_operands, check_mode, check_valid, common_dtype, in_chunks, in_floating_point, scipy


def fftconvolve(in1, in2, mode="full", axes=None):
    """The convolution of two N-d arrays along some axes, in floating point, as scipy.signal.fftconvolve.

    ``out[p] = sum over j of in1[p - j] * in2[j]`` along `axes`. SciPy always takes Fourier transforms of the whole arrays; here
    the algorithm is cyconv's choice, which for large arrays is a transform of tiles, for small ones a plain sum, and for two large ones of
    about one size what SciPy does.

    Parameters
    ----------
    in1, in2 : array_like
        Arrays of as many axes. Along axes that are not in `axes`, and where one of them is 1 long, they broadcast.
    mode : {'full', 'valid', 'same'}
        'full': each overlap, n1 + n2 - 1 samples along an axis. 'valid': the max(n1, n2) - min(n1, n2) + 1 samples that need no
        padding; one array must be at least as large as the other along each of the axes. 'same': as long as `in1`, centred with
        respect to 'full'.
    axes : int, sequence of int or None
        The axes to convolve along. Default: all.

    Returns
    -------
    ndarray
        Of the arrays' common dtype, where integers and bool count as float64 and float16 as float32; if there is no axis along
        which both arrays are longer than 1, their product, in its own dtype. An empty array if one of them has no elements.

    Raises
    ------
    ValueError
        If the arrays have different numbers of axes, do not broadcast or, in mode 'valid', are each larger than the other; if
        `mode` or `axes` make no sense.

    Notes
    -----
    Where a sample is NaN or infinite, only the results that it belongs to are. SciPy's transform carries it to all others.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.fftconvolve(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, -1.0]]), axes=1)
    array([[ 1.,  1., -2.],
           [ 3.,  1., -4.]])
    """
    return along_axes("fftconvolve", in1, in2, mode, axes)


def oaconvolve(in1, in2, mode="full", axes=None):
    """The convolution of two N-d arrays of unlike lengths along some axes, in floating point, as scipy.signal.oaconvolve.

    The overlap-add method cuts the longer array into blocks. cyconv cuts every large array (by its sister, overlap-save), so that
    this is `fftconvolve` under another name.

    Parameters
    ----------
    in1, in2, mode, axes
        As in `fftconvolve`.

    Returns
    -------
    ndarray
        As of `fftconvolve`.

    Raises
    ------
    ValueError
        As `fftconvolve`.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.oaconvolve(np.arange(6.0), np.array([1.0, 1.0]), mode="valid")
    array([1., 3., 5., 7., 9.])
    """
    return along_axes("oaconvolve", in1, in2, mode, axes)


def along_axes(name, in1, in2, mode, axes, algorithm="auto"):
    """What both are, by any algorithm; what cyconv cannot compute goes to SciPy's function of that name."""
    in1, in2, chunked = as_operands(in1, in2)
    if in1.ndim == in2.ndim == 0:
        return in1 * in2
    if in1.ndim != in2.ndim:
        raise ValueError(f"in1 and in2 should have the same dimensionality; got {in1.ndim} and {in2.ndim} axes")
    if not in1.size or not in2.size:
        return np.array([]) if not chunked else in_chunks().nothing(name, in1, in2, mode, axes)
    along = tuple(axis for axis in as_axes(axes, in1.ndim) if in1.shape[axis] != 1 and in2.shape[axis] != 1)
    for axis, (n, k) in enumerate(zip(in1.shape, in2.shape)):
        if axis not in along and n != k and n != 1 and k != 1:
            raise ValueError(f"incompatible shapes for in1 and in2: {in1.shape} and {in2.shape}")
    if mode == "valid":
        check_valid(in1.shape, in2.shape, along)
    check_mode(mode)
    dtypes = (in1.dtype, in2.dtype)
    dtype = common_dtype(*(map(in_floating_point, dtypes) if along else dtypes))
    if chunked:
        return in_chunks().convolve(in1, in2, mode, along, dtype, algorithm=algorithm)
    arrangement = arrange(in1.shape, in2.shape, mode, along)
    if dtype is None or arrangement is None:
        return getattr(scipy(), name)(in1, in2, mode, axes)
    return convolved(arrangement, in1.astype(dtype, copy=False), in2.astype(dtype, copy=False), algorithm, name=name)

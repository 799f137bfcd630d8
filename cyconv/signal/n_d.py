"""Correlation and convolution of N-d arrays along all axes."""

import timeit
import warnings

import numpy as np

from ..arguments import check_on_cpu, integer
from .arrangement import arrange, arranged, chosen, convolved, parts
from .operands import (
    as_numpy,
    as_operands,
    check_method,
    check_mode,
    check_not_chunked,
    check_valid,
    common_dtype,
    in_chunks,
    in_floating_point,
    is_finite,
    reversed_conjugate,
    scipy,
)
from .some_axes import along_axes

_SECONDS = 5e-3  # one measurement of a method takes no less


def correlate(in1, in2, mode="full", method="auto"):
    """The cross-correlation of two N-d arrays, as scipy.signal.correlate.

    ``out[p] = sum over l of in1[l] * conj(in2[l - p + n2 - 1])`` in mode 'full': the lag of out[p] is p - (n2 - 1),
    see `correlation_lags`.

    Parameters
    ----------
    in1, in2 : array_like
        Arrays of as many axes: any floating, complex or integer dtypes, which may differ; any memory layout. Dask arrays make the
        result one, see `convolve`.
    mode : {'full', 'valid', 'same'}
        'full': each overlap, n1 + n2 - 1 samples along an axis. 'valid': the max(n1, n2) - min(n1, n2) + 1 samples that need no
        padding; one array must be at least as large as the other along each axis. 'same': as large as `in1`, centred with respect
        to 'full'.
    method : {'auto', 'direct', 'fft'}
        'auto': the algorithm that cyconv predicts to be quickest, of its own and SciPy's transforms. 'direct': one as exact as the
        sum itself. 'fft': Fourier transforms, of integers too, whose results are rounded.

    Returns
    -------
    ndarray
        Of the arrays' common dtype. Integers are exact modulo 2**n (not with 'fft').

    Raises
    ------
    ValueError
        If the arrays have different numbers of axes or, in mode 'valid', are each larger than the other; if `mode` or `method`
        make no sense.

    See Also
    --------
    convolve : The same with `in2` reversed and not conjugated.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.correlate(np.array([1, 2, 3, 4]), np.array([1, 0, -1]), mode="valid")
    array([-2, -2])
    """
    in1, in2, chunked = as_operands(in1, in2)
    if in1.ndim == in2.ndim == 0:
        return in1 * (in2.conj() if in2.dtype.kind == "c" else in2)
    _check_dimensions(in1, in2)
    check_mode(mode)
    check_method(method)
    if not in1.size or not in2.size:
        return (in_chunks().nothing if chunked else _scipys)("correlate", in1, in2, mode, method)
    return convolve(in1, reversed_conjugate(in2), mode, method)


def convolve(in1, in2, mode="full", method="auto"):
    """The convolution of two N-d arrays, as scipy.signal.convolve.

    ``out[p] = sum over j of in1[p - j] * in2[j]`` in mode 'full'.

    Parameters
    ----------
    in1, in2, mode, method
        As in `correlate`; `choose_conv_method` tells what 'auto' is.

    Returns
    -------
    ndarray
        Of the arrays' common dtype. Integers are exact modulo 2**n (not with 'fft').

    Raises
    ------
    ValueError
        If the arrays have different numbers of axes or, in mode 'valid', are each larger than the other; if `mode` or `method`
        make no sense; if an array has no elements, as a rule.

    Warns
    -----
    RuntimeWarning
        If `method` is 'fft' and there is a NaN or infinity in the result: transforms carry them to samples around. The other
        methods leave them where the sum has them.

    Notes
    -----
    In one dimension sums end where the overlap does. In more, and in mode 'same' if `in2` is longer than `in1`, SciPy multiplies
    `in2` (in mode 'full' the smaller array) with zeros around the other one, so that a NaN in it is in every result; so does this.

    Of dask arrays the result is computed in blocks, later, and its bits do not depend on chunks (its last digits may be others than those
    of NumPy arrays). The smaller array becomes one chunk, which every task holds, beside a part of the other one that is some times as
    large: two large arrays take the memory that they take as NumPy arrays. The zeros are around the larger one, in every mode; nobody
    warns of NaN; dtypes that are left to SciPy raise TypeError.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.convolve(np.array([1, 2, 3]), np.array([1, 10]))
    array([ 1, 12, 23, 30])
    >>> signal.convolve(np.ones((2, 3)), np.ones((2, 2)), mode="same")
    array([[1., 2., 2.],
           [2., 4., 4.]])
    """
    in1, in2, chunked = as_operands(in1, in2)
    if in1.ndim == in2.ndim == 0:
        return in1 * in2
    _check_dimensions(in1, in2)
    check_mode(mode)
    check_method(method)
    axes = tuple(range(in1.ndim))
    if mode == "valid":
        check_valid(in1.shape, in2.shape, axes)
    dtype = common_dtype(in1.dtype, in2.dtype)
    if chunked and in1.size and in2.size:
        work = common_dtype(*map(in_floating_point, (in1.dtype, in2.dtype))) if method == "fft" else dtype
        algorithm, precision = "fft" if method == "fft" else "auto", "strict" if method == "direct" else "default"
        return in_chunks().convolve(in1, in2, mode, axes, dtype, work, algorithm, precision)
    if dtype is None or not in1.size or not in2.size:
        return (in_chunks().nothing if chunked else _scipys)("convolve", in1, in2, mode, method)
    if method == "fft":
        return _by_fft(in1, in2, mode, axes, dtype)
    in1, in2 = in1.astype(dtype, copy=False), in2.astype(dtype, copy=False)
    if in1.ndim > 1 or mode == "same" and in2.size > in1.size:
        arrangement = arranged(in1, in2, mode, swapped=mode == "full" and in2.size > in1.size)
        if arrangement is None:
            return _scipys("convolve", in1, in2, mode, method)
    else:
        arrangement = arrange(in1.shape, in2.shape, mode, axes)
        if arrangement.padded and not is_finite(in1 if arrangement.swapped else in2):  # which cyconv would multiply with zeros
            first, length = parts(in1.shape, in2.shape, mode, axes)[0]
            return np.convolve(in1, in2)[first : first + length]
    return convolved(arrangement, in1, in2, precision="strict" if method == "direct" else "default")


def choose_conv_method(in1, in2, mode="full", measure=False):
    """Whether a convolution of these arrays is quicker as a sum or by Fourier transforms, as scipy.signal.choose_conv_method.

    Parameters
    ----------
    in1, in2 : array_like
        The arrays, as in `convolve`.
    mode : {'full', 'valid', 'same'}
        As in `convolve`.
    measure : bool
        Time both methods; else cyconv's cost model tells, see `cyconv.explain`.

    Returns
    -------
    method : {'direct', 'fft'}
        'fft' where `convolve` takes transforms; 'direct' where it takes any other algorithm. Of integers, it never transforms.
    times : dict of str to float
        Seconds by method; only if `measure` is true.

    Raises
    ------
    ValueError
        If `mode` makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.choose_conv_method(np.ones(8), np.ones(3))
    'direct'
    >>> signal.choose_conv_method(np.ones((512, 512)), np.ones((511, 511)))
    'fft'
    """
    check_not_chunked(in1=in1, in2=in2)
    check_on_cpu(in1=in1, in2=in2)
    in1, in2 = as_numpy("in1", in1), as_numpy("in2", in2)
    check_mode(mode)
    if measure:
        times = {method: _seconds(lambda: convolve(in1, in2, mode, method)) for method in ("fft", "direct")}  # noqa: B023
        return ("fft" if times["fft"] < times["direct"] else "direct"), times
    dtype = common_dtype(in1.dtype, in2.dtype)
    if dtype is None or dtype.kind not in "fc" or not in1.size or not in2.size or not in1.ndim or in1.ndim != in2.ndim:
        return "direct"
    arrangement = arrange(in1.shape, in2.shape, mode, tuple(range(in1.ndim)))
    if arrangement is None:
        return scipy().choose_conv_method(in1, in2, mode)
    return "fft" if chosen(arrangement, in1.astype(dtype, copy=False), in2.astype(dtype, copy=False)) == "fft" else "direct"


def correlation_lags(in1_len, in2_len, mode="full"):
    """The lags of a one-dimensional cross-correlation, as scipy.signal.correlation_lags.

    Parameters
    ----------
    in1_len, in2_len : int
        The arrays' lengths.
    mode : {'full', 'valid', 'same'}
        The mode of `correlate`.

    Returns
    -------
    ndarray
        int64: by how many samples `in2` is behind, for each sample of `correlate`'s result.

    Raises
    ------
    ValueError
        If `mode` makes no sense, or a length is negative.
    TypeError
        If a length is not an int.

    Notes
    -----
    In mode 'same' these are in1_len lags around the middle of the full correlation, as SciPy has them. If `in1_len` is odd and
    `in2_len` even, `correlate` starts a sample earlier than that.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> x = np.array([0.0, 1.0, 3.0, 2.0, 0.0])
    >>> y = x[1:]  # ahead by one sample
    >>> lags = signal.correlation_lags(x.size, y.size)
    >>> print(lags, lags[np.argmax(signal.correlate(x, y))])
    [-3 -2 -1  0  1  2  3  4] 1
    """
    in1_len, in2_len = integer("in1_len", in1_len, 0), integer("in2_len", in2_len, 0)
    if mode == "full":
        return np.arange(1 - in2_len, in1_len)
    if mode == "same":
        lags = np.arange(1 - in2_len, in1_len)
        first = lags.size // 2 - in1_len // 2
        return lags[first : first + in1_len]
    if mode == "valid":
        lag = in1_len - in2_len
        return np.arange(min(lag, 0), max(lag, 0) + 1)
    raise ValueError(f"Mode {mode} is invalid")


def _scipys(name, *arguments):
    try:
        return getattr(scipy(), name)(*arguments)
    except IndexError as error:  # its transforms, of arrays without elements
        raise ValueError(f"in1 and in2 must have elements for method='fft': {error}") from error


def _check_dimensions(in1, in2):
    if in1.ndim != in2.ndim:
        raise ValueError(f"in1 and in2 should have the same dimensionality; got {in1.ndim} and {in2.ndim} axes")


def _by_fft(in1, in2, mode, axes, dtype):
    """By transforms in floating point, rounded for integers; they give way only where cyconv has none."""
    result = along_axes("fftconvolve", in1, in2, mode, axes, "fft")
    if dtype.kind in "iu":
        return np.round(result).astype(dtype)
    if not is_finite(result):
        warnings.warn(
            "Use of fft convolution on input with NAN or inf results in NAN or inf output. Consider using method='direct' instead.",
            RuntimeWarning,
            stacklevel=3,
        )
    return result.astype(dtype, copy=False)


def _seconds(call):
    """The least of three averages; each of as many calls as `_SECONDS` needs."""
    timer, number = timeit.Timer(call), 1
    while (spent := timer.timeit(number)) < _SECONDS / 10:
        number *= 10
    if spent > _SECONDS * 10:
        return spent / number  # long enough to count
    number *= 10
    return min(timer.repeat(3, number)) / number

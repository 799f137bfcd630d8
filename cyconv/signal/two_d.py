"""Correlation and convolution of planes, with borders that are filled, wrapped or mirrored."""

import numpy as np

from ..arguments import shown
from ..devices import is_chunked
from .arrangement import LATER, arrange, arranged, convolved, left_to_scipy, parts
from .operands import as_operands, check_mode, check_valid, common_dtype, in_chunks, reversed_conjugate, scipy

_BOUNDARIES = {
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
}  # to numpy.pad's names
_BOTH = (0, 1)


def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """The convolution of two planes, as scipy.signal.convolve2d.

    ``out[y, x] = sum over i, j of in1[y - i, x - j] * in2[i, j]`` in mode 'full', where what lies outside `in1` is set by `boundary`.

    Parameters
    ----------
    in1, in2 : array_like
        Arrays of two axes: any floating, complex or integer dtypes, which may differ; any memory layout.
    mode : {'full', 'valid', 'same'}
        'full': each overlap, n1 + n2 - 1 samples along an axis. 'valid': the max(n1, n2) - min(n1, n2) + 1 samples that need no
        border; one array must be at least as large as the other along both axes, and the smaller one is the kernel. 'same': as
        large as `in1`, centred with respect to 'full'.
    boundary : {'fill', 'wrap', 'symm'}
        What is around `in1`: `fillvalue`; its other end, as on a ring ('circular' is the same); its mirror image, with the
        outermost samples twice ('symmetric' is the same).
    fillvalue : scalar
        A number that the result's dtype can hold.

    Returns
    -------
    ndarray
        Of the arrays' common dtype. Integers are exact modulo 2**n.

    Raises
    ------
    ValueError
        If an array has not two axes; if in mode 'valid' each is larger than the other; if `mode`, `boundary` or `fillvalue` make
        no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.convolve2d(np.array([[1, 2, 3]]), np.array([[1, 1, 1]]), mode="same", boundary="wrap")
    array([[6, 6, 6]])
    >>> signal.convolve2d(np.array([[1, 2, 3]]), np.array([[1, 1, 1]]), mode="same", boundary="symm")
    array([[4, 6, 8]])
    """
    in1, in2 = _planes("convolve2d", in1, in2)
    if mode == "valid" and check_valid(in1.shape, in2.shape, _BOTH):
        in1, in2 = in2, in1
    return _bordered("convolve2d", in1, in2, in2, mode, mode, boundary, fillvalue)


def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """The cross-correlation of two planes, as scipy.signal.correlate2d.

    ``out[y, x] = sum over i, j of in1[y + i - (m2 - 1), x + j - (n2 - 1)] * conj(in2[i, j])`` in mode 'full', for `in2` of m2 rows
    and n2 columns.

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue
        As in `convolve2d`.

    Returns
    -------
    ndarray
        As of `convolve2d`, but for two things that SciPy has. In mode 'same', where `in2` has an even length, the middle of 'full'
        is taken one sample later. In mode 'valid', if `in2` is the larger one, it is `in1` that is conjugated.

    Raises
    ------
    ValueError
        As `convolve2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> signal.correlate2d(np.array([[1, 2, 4], [0, 1, 3]]), np.array([[-1, 1]]), mode="valid")
    array([[1, 2],
           [1, 2]])
    """
    in1, in2 = _planes("correlate2d", in1, in2)
    if mode == "valid" and check_valid(in1.shape, in2.shape, _BOTH):
        return _bordered("correlate2d", in2, in1, reversed_conjugate(in1), mode, mode, boundary, fillvalue)[::-1, ::-1]
    part = LATER if isinstance(mode, str) and mode == "same" else mode
    return _bordered("correlate2d", in1, in2, reversed_conjugate(in2), mode, part, boundary, fillvalue)


def _planes(name, in1, in2):
    in1, in2, _ = as_operands(in1, in2)
    if in1.ndim != 2 or in2.ndim != 2:
        raise ValueError(f"{name} inputs must both be 2-D arrays; got shapes {in1.shape} and {in2.shape}")
    return in1, in2


def _bordered(name, input, in2, kernel, mode, part, boundary, fillvalue):
    """The part of the convolution of a plane with `kernel`, which `in2` has become; what cyconv cannot compute goes to SciPy's `name`."""
    check_mode(mode)
    if not isinstance(boundary, str) or boundary not in _BOUNDARIES:
        raise ValueError(
            f"Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm'); got boundary={boundary!r}"
        )
    dtype = common_dtype(input.dtype, kernel.dtype)
    if is_chunked(input) or is_chunked(kernel):
        boundary = _BOUNDARIES[boundary]
        return in_chunks().bordered(name, input, in2, kernel, mode, part, boundary, dtype and _as_fillvalue(fillvalue, dtype), dtype)
    if dtype is None:
        return getattr(scipy(), name)(input, in2, mode, boundary, fillvalue)
    fillvalue = _as_fillvalue(fillvalue, dtype)
    if not input.size or not kernel.size:
        return _nothing(input, kernel, mode, boundary, fillvalue, dtype)
    input, kernel = input.astype(dtype, copy=False), kernel.astype(dtype, copy=False)
    boundary = _BOUNDARIES[boundary]
    if mode == "valid" or boundary == "constant" and fillvalue == 0:
        return convolved(arranged(input, kernel, part), input, kernel)
    padding = [
        (k - 1 - first, first + length - n)
        for n, k, (first, length) in zip(input.shape, kernel.shape, parts(input.shape, kernel.shape, part, _BOTH))
    ]
    most = max(map(max, padding))
    if boundary == "wrap" and most <= min(input.shape) or boundary == "symmetric" and most <= 1:
        arrangement = arrange(input.shape, kernel.shape, part, _BOTH, swapped=False, plain=True)
        padding_mode = "circular" if boundary == "wrap" else "replicate"
        if not left_to_scipy(arrangement, input, kernel, padding_mode=padding_mode):
            return convolved(arrangement, input, kernel, padding_mode=padding_mode)
    values = {"constant_values": fillvalue} if boundary == "constant" else {}
    input = np.pad(input, padding, boundary, **values)
    return convolved(arrange(input.shape, kernel.shape, "valid", _BOTH), input, kernel)


def _as_fillvalue(fillvalue, dtype):
    if type(fillvalue) is int and fillvalue == 0:
        return 0
    value = np.asarray(fillvalue)
    if value.size != 1:
        raise ValueError(f"`fillvalue` must be scalar or an array with one element; got {shown(fillvalue)}")
    value = value.reshape(())
    value = value[()] if value.dtype.kind in "biufc" else value
    if value.dtype.kind == "c" and dtype.kind != "c" and value.imag == 0:
        value = value.real
    if (
        value.dtype.kind not in "biufc"
        or value.dtype.kind == "c" and dtype.kind != "c"
        or dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    ):  # fmt: skip
        raise ValueError(f"could not cast `fillvalue` directly to the output type {dtype}; got {shown(fillvalue)}")
    with np.errstate(over="ignore"):
        return dtype.type(value)


def _nothing(input, kernel, mode, boundary, fillvalue, dtype):
    """What is left of an operand without elements: sums of nothing, or of nothing but border."""
    shape = tuple(
        n if mode == "same" else n + k - 1 if mode == "full" else n - k + 1 for n, k in zip(input.shape, kernel.shape)
    )
    result = np.zeros(shape, dtype)
    if result.size and kernel.size:
        if _BOUNDARIES[boundary] != "constant":
            raise ValueError(f"boundary={boundary!r} has nothing to repeat: in1 has shape {input.shape}")
        result[...] = fillvalue * kernel.sum(dtype=dtype)
    return result

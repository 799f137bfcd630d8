"""Public signatures and docstrings of the sliding filters, with the names and arguments of scipy.ndimage; one call each, no logic."""

from .. import filters
from ..arguments import as_array
from ..devices import device_of
from ..filter_problem import filter_problem

_TEXT = """<what>

    Along each axis, output o covers samples o - size // 2 - origin up to, not including, o - size // 2 - origin + size. A size
    of 101 takes about twice the time of 5.

    Parameters
    ----------
    input : array_like
        Any number of axes; <dtypes>.
    size : int or sequence of int<default>
        Samples of a window, for all axes or for each one that is filtered.
<footprint>    output : ndarray, optional
        Where the result is written: an array of the input's shape and dtype. It may overlap the input.
    mode : str or sequence of str, optional
        What lies beyond the array: "reflect" (d c b a | a b c d | d c b a), "mirror" (d c b | a b c d | c b a), "nearest"
        (a a a | a b c d | d d d), "wrap" (b c d | a b c d | a b c), or "constant": `cval`. "grid-mirror", "grid-wrap" and
        "grid-constant" are the same as "reflect", "wrap" and "constant".
    cval : scalar, optional
        What lies beyond with mode "constant"; a number that the input's dtype can hold.
    origin : int or sequence of int, optional
        By how much the window lies before the output; so that the output stays in it.
    axes : int, sequence of int, or None, optional
        Which axes are filtered; all if None.

    Returns
    -------
    ndarray
        Of the input's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message names it.

    Notes
    -----
    <notes>

    Examples
    --------
    <examples>
    """
_FOOTPRINT = """    footprint : None
        Windows are blocks of `size`; others raise ValueError.
"""
_MOST = {
    "dtypes": "float32, float64, any integer dtype or bool; as in scipy.ndimage, no half type",
    "default": "",
    "footprint": _FOOTPRINT,
    "notes": "Where scipy.ndimage lets neighbours of a NaN hide it, a NaN is the result of each window that it is in.",
}


def _documented(**words):
    def decorate(function):
        text = _TEXT
        for word, value in words.items():
            text = text.replace(f"<{word}>", value)
        function.__doc__ = text
        return function

    return decorate


@_documented(
    what="The largest sample of each window around a sample.",
    examples=""">>> import numpy as np, cyconv
    >>> cyconv.maximum_filter(np.array([3, 1, 4, 1, 5, 9, 2, 6]), 3)
    array([3, 4, 4, 5, 9, 9, 9, 6])""",
    **_MOST,
)
def maximum_filter(input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    return _filtered("max", input, size, footprint, output, mode, cval, origin, axes)


@_documented(
    what="The smallest sample of each window around a sample.",
    examples=""">>> import numpy as np, cyconv
    >>> cyconv.minimum_filter(np.array([3, 1, 4, 1, 5, 9, 2, 6]), 3)
    array([1, 1, 1, 1, 1, 2, 2, 2])""",
    **_MOST,
)
def minimum_filter(input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    return _filtered("min", input, size, footprint, output, mode, cval, origin, axes)


@_documented(
    what="The average of each window around a sample.",
    dtypes="float32, float64, complex64, complex128 or any integer dtype; as in scipy.ndimage, no half type",
    default=", optional",
    footprint="",
    notes="""Floats are summed in double precision and rounded once. Integers are averaged along one axis after the other, each
    rounded towards zero, as scipy.ndimage does it; sums are made in 64 bits, and wrap round where they are larger.""",
    examples=""">>> import numpy as np, cyconv
    >>> cyconv.uniform_filter(np.array([3.0, 0.0, 6.0, 0.0]), 3)
    array([2., 3., 2., 2.])""",
)
def uniform_filter(input, size=3, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    return _filtered("average", input, size, None, output, mode, cval, origin, axes)


def _filtered(kind, input, size, footprint, output, mode, cval, origin, axes):
    if device_of(input=input, output=output) == "chunks":
        from ..chunked.filters import filtered

        return filtered(kind, input, size, footprint, output, mode, cval, origin, axes)
    input = as_array("input", input, gpu=True)
    return filters.run(filter_problem(kind, input, size, footprint, output, mode, cval, origin, axes), input, output)

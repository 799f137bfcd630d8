"""Public signatures and docstrings of the pools; one call each, no logic.

The functions of one, two and three dimensions share a docstring, in which <...> stands for what differs.
"""

import re

import numpy as np

from .. import scatter
from .._calls import pool
from ..arguments import as_array
from ..devices import device_of, is_chunked, where
from ..pool_problem import adaptive_pool_problem, avg_pool_problem, lp_pool_problem, max_pool_problem
from ..scatter_problem import unpool_problem

_WORDS = {
    1: {"d": "1", "axes": "L", "tuple": "tuple of 1 int", "pairs": "tuple of 1 pair", "space": "a signal"},
    2: {"d": "2", "axes": "H, W", "tuple": "tuple of 2 ints", "pairs": "tuple of 2 pairs", "space": "an image"},
    3: {"d": "3", "axes": "D, H, W", "tuple": "tuple of 3 ints", "pairs": "tuple of 3 pairs", "space": "a volume"},
}

_COMMON = {
    "out": """out : ndarray, optional
        Where <values> are written: an array of the result's shape and of the input's dtype. It may overlap the input.
    algorithm : {"auto", "sliding", "pool", "reference"}, optional
        Which implementation computes it. Averages may differ in how they are rounded; "sliding" is for windows of one size.""",
    "window": """kernel_size : int or <tuple>
        Samples of a window along each axis.
    stride : int or <tuple>, optional
        From one window to the next; `kernel_size` if None.""",
    "words": """Of the words, "valid" adds none; the others add what n samples need to make ceil(n / stride) windows,
        an odd one after the input ("same_upper") or before it ("same_lower").""",
    "ceil": """ceil_mode : bool, optional
        Whether a last window that reaches beyond the padded input is kept, as far as it lies inside. It must start inside
        the input or its left padding.""",
    "raises": """ValueError, TypeError
        If an argument is not as described; the message names it.""",
}


def _documented(rank, text, examples):
    """Gives a function the docstring `text` with the words for `rank` filled in, and its own example."""

    def fill(match):
        return {**_WORDS[rank], **_COMMON, "values": "the values", "examples": examples[rank].strip()}[match[1]]

    def decorate(function):
        finished = text
        while re.search("<[a-z]+>", finished):
            finished = re.sub("<([a-z]+)>", fill, finished)
        function.__doc__ = finished
        return function

    return decorate


# ---- maximum and minimum -------------------------------------------------------------------------------------------------

_EXTREME = """The <extreme> sample of each window of <space>, and optionally where it stands.

    Padding never wins. A NaN does, whatever else is in the window. Of equal samples the first in row-major order wins, of
    several NaN the last.

    Parameters
    ----------
    input : array_like
        Shape (N, C, <axes>) or (C, <axes>); any integer or floating dtype, or bool.
    <window>
    padding : int, <tuple>, <pairs>, or {"valid", "same_upper", "same_lower"}, optional
        Samples of padding on either side, or a (before, after) pair per axis, at most half of `kernel_size` each.
        <words>
    dilation : int or <tuple>, optional
        Distance between neighbouring samples of a window. Each window must hold a sample of the input.
    <ceil>
    return_indices : bool, optional
        Whether to return the places of the <plural>, too.
    <out>

    Returns
    -------
    values : ndarray
        Of the input's dtype, shape (N, C, ...) or (C, ...).
    indices : ndarray of int64
        Only with `return_indices`: where each of them stands in its plane, counted in row-major order without padding.

    Raises
    ------
    <raises>

    Examples
    --------
    <examples>
    """

_MAX = _EXTREME.replace("<extreme>", "largest").replace("<plural>", "maxima")
_MIN = _EXTREME.replace("<extreme>", "smallest").replace("<plural>", "minima")

_MAX_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool1d(np.array([[1, 5, 2, 4]]), 2)
    array([[5, 4]])
    >>> cyconv.max_pool1d(np.array([[1, 5, 2, 4]]), 2, padding=[(1, 0)])
    array([[1, 5]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool2d(np.arange(9).reshape(1, 3, 3), 2, stride=1)
    array([[[4, 5],
            [7, 8]]])
    >>> values, indices = cyconv.max_pool2d(np.array([[[3, 9], [9, 1]]]), 2, return_indices=True)
    >>> values.item(), indices.item()
    (9, 1)""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool3d(np.arange(8).reshape(1, 2, 2, 2), (2, 2, 1))
    array([[[[6, 7]]]])""",
}


_MIN_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.min_pool1d(np.array([[3, 1, 2, 4]]), 2)
    array([[1, 2]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> values, indices = cyconv.min_pool2d(np.array([[[3, 1], [1, 9]]]), 2, return_indices=True)
    >>> values.item(), indices.item()
    (1, 1)""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.min_pool3d(np.arange(8).reshape(1, 2, 2, 2), (2, 2, 1))
    array([[[[0, 1]]]])""",
}


@_documented(1, _MAX, _MAX_EXAMPLES)
def max_pool1d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 1, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices), algorithm, out)


@_documented(2, _MAX, _MAX_EXAMPLES)
def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 2, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices), algorithm, out)


@_documented(3, _MAX, _MAX_EXAMPLES)
def max_pool3d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 3, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices), algorithm, out)


@_documented(1, _MIN, _MIN_EXAMPLES)
def min_pool1d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 1, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices, "min"), algorithm, out)


@_documented(2, _MIN, _MIN_EXAMPLES)
def min_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 2, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices, "min"), algorithm, out)


@_documented(3, _MIN, _MIN_EXAMPLES)
def min_pool3d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, *, out=None, algorithm="auto"
):
    return pool(max_pool_problem, 3, input, (kernel_size, stride, padding, dilation, ceil_mode, return_indices, "min"), algorithm, out)


# ---- average -------------------------------------------------------------------------------------------------------------

_AVERAGE = """The average of each window of <space>.

    Half and single precision are summed in double precision. Integers are summed in 64 bits and divided rounding towards
    zero; the quotient is stored modulo 2**n.

    Parameters
    ----------
    input : array_like
        Shape (N, C, <axes>) or (C, <axes>); any integer, floating or complex dtype.
    <window>
    padding : int, <tuple>, <pairs>, or {"valid", "same_upper", "same_lower"}, optional
        Zeros on either side, or a (before, after) pair per axis, at most half of `kernel_size` each.
        <words>
    <ceil>
    count_include_pad : bool, optional
        Whether the zeros of the padding count. What a window of `ceil_mode` has beyond the padding never does.
    <override>
    <out>

    Returns
    -------
    ndarray
        Of the input's dtype, shape (N, C, ...) or (C, ...).

    Raises
    ------
    <raises>

    Examples
    --------
    <examples>
    """
_OVERRIDE = """divisor_override : int, optional
        What sums are divided by instead; not 0, and for unsigned integers not negative."""
_AVERAGE_1D = _AVERAGE.replace("    <override>\n", "")
_AVERAGE = _AVERAGE.replace("<override>", _OVERRIDE)

_AVERAGE_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool1d(np.array([[1.0, 5.0, 2.0, 4.0]]), 2)
    array([[3., 3.]])
    >>> cyconv.avg_pool1d(np.array([[1.0, 5.0, 3.0]]), 2, padding="same_upper", count_include_pad=False)
    array([[3., 3.]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> x = np.ones((1, 2, 2))
    >>> cyconv.avg_pool2d(x, 2, stride=1, padding=1)[0, 0]
    array([0.25, 0.5 , 0.25])
    >>> cyconv.avg_pool2d(x, 2, stride=1, padding=1, count_include_pad=False)[0, 0]
    array([1., 1., 1.])""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 2)
    array([[[[3.5]]]])""",
}


@_documented(1, _AVERAGE_1D, _AVERAGE_EXAMPLES)
def avg_pool1d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, *, out=None, algorithm="auto"
):
    return pool(avg_pool_problem, 1, input, (kernel_size, stride, padding, ceil_mode, count_include_pad, None), algorithm, out)


@_documented(2, _AVERAGE, _AVERAGE_EXAMPLES)
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *,
    out=None, algorithm="auto",
):  # fmt: skip
    return pool(avg_pool_problem, 2, input, (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override), algorithm, out)


@_documented(3, _AVERAGE, _AVERAGE_EXAMPLES)
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *,
    out=None, algorithm="auto",
):  # fmt: skip
    return pool(avg_pool_problem, 3, input, (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override), algorithm, out)


# ---- p-norm --------------------------------------------------------------------------------------------------------------

_LP = """The p-norm of each window of <space>: (sum of x**p) ** (1/p), with p = `norm_type`.

    Signs are kept: with an odd p a negative sum is possible, and its root is NaN unless p is 1. With `ceil_mode`, a window
    that is cut off counts as much as a whole one: its sum is scaled up. Infinity gives the largest absolute value,
    minus infinity the least. Everything is computed in double precision.

    Parameters
    ----------
    input : array_like
        Shape (N, C, <axes>) or (C, <axes>); any integer dtype, float16, float32 or float64. Integers become float64 first, all of them,
        as a norm of integers is none.
    norm_type : float
        The p of the p-norm, not 0.
    <window>
    <ceil>
    <out>

    Returns
    -------
    ndarray
        Of the input's dtype, float64 for integers; shape (N, C, ...) or (C, ...).

    Raises
    ------
    <raises>

    Examples
    --------
    <examples>
    """

_LP_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.lp_pool1d(np.array([[3.0, 4.0, 5.0, 12.0]]), 2, 2)
    array([[ 5., 13.]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> cyconv.lp_pool2d(np.ones((1, 2, 4)), 2, 2)
    array([[[2., 2.]]])""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.lp_pool3d(np.ones((1, 2, 2, 2)), 1, 2)
    array([[[[8.]]]])""",
}


def _lp_pool(rank, input, arguments, algorithm, out):
    input = input if is_chunked(input) else as_array("input", input, gpu=True)
    if input.dtype.kind in "iu":
        with where(input):
            input = input.astype(np.float64)
    return pool(lp_pool_problem, rank, input, arguments, algorithm, out)


@_documented(1, _LP, _LP_EXAMPLES)
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None, algorithm="auto"):
    return _lp_pool(1, input, (norm_type, kernel_size, stride, ceil_mode), algorithm, out)


@_documented(2, _LP, _LP_EXAMPLES)
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None, algorithm="auto"):
    return _lp_pool(2, input, (norm_type, kernel_size, stride, ceil_mode), algorithm, out)


@_documented(3, _LP, _LP_EXAMPLES)
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None, algorithm="auto"):
    return _lp_pool(3, input, (norm_type, kernel_size, stride, ceil_mode), algorithm, out)


# ---- adaptive ------------------------------------------------------------------------------------------------------------

_ADAPTIVE = """The <what> of nearly equal windows of <space>, as many as asked for.

    Of n samples, window o of m covers those from o*n // m up to, not including, ceil((o + 1)*n / m); neighbours may share
    a sample.

    Parameters
    ----------
    input : array_like
        Shape (N, C, <axes>) or (C, <axes>); any integer or floating dtype, or <more>.
    output_size : int, None, or <tuple>
        Windows along each axis; None, also in the tuple, for as many as there are samples.
    <indices>
    <out>

    Returns
    -------
    <result>

    Raises
    ------
    <raises>

    Examples
    --------
    <examples>
    """
_ADAPTIVE_MAX = (
    _ADAPTIVE.replace("<what>", "largest sample, and optionally its place,")
    .replace("<more>", "bool")
    .replace(
        "<indices>",
        """return_indices : bool, optional
        Whether to return the places of the maxima, too.""",
    )
    .replace(
        "<result>",
        """values : ndarray
        Of the input's dtype, shape (N, C, ...) or (C, ...).
    indices : ndarray of int64
        Only with `return_indices`: where each maximum stands in its plane, counted in row-major order.""",
    )
)
_ADAPTIVE_AVERAGE = (
    _ADAPTIVE.replace("<what>", "average")
    .replace("<more>", "a complex one")
    .replace("    <indices>\n", "")
    .replace("<result>", "ndarray\n        Of the input's dtype, shape (N, C, ...) or (C, ...).")
)

_ADAPTIVE_MAX_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_max_pool1d(np.array([[1, 5, 2, 4, 3]]), 2)
    array([[5, 4]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> values, indices = cyconv.adaptive_max_pool2d(np.arange(6).reshape(1, 2, 3), (1, None), return_indices=True)
    >>> values, indices
    (array([[[3, 4, 5]]]), array([[[3, 4, 5]]]))""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_max_pool3d(np.arange(8).reshape(1, 2, 2, 2), 1)
    array([[[[7]]]])""",
}
_ADAPTIVE_AVERAGE_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_avg_pool1d(np.array([[1.0, 5.0, 3.0]]), 2)
    array([[3., 4.]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_avg_pool2d(np.arange(6.0).reshape(1, 2, 3), (1, None))
    array([[[1.5, 2.5, 3.5]]])""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_avg_pool3d(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    array([[[[3.5]]]])""",
}


@_documented(1, _ADAPTIVE_MAX, _ADAPTIVE_MAX_EXAMPLES)
def adaptive_max_pool1d(input, output_size, return_indices=False, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 1, input, ("max", output_size, return_indices), algorithm, out)


@_documented(2, _ADAPTIVE_MAX, _ADAPTIVE_MAX_EXAMPLES)
def adaptive_max_pool2d(input, output_size, return_indices=False, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 2, input, ("max", output_size, return_indices), algorithm, out)


@_documented(3, _ADAPTIVE_MAX, _ADAPTIVE_MAX_EXAMPLES)
def adaptive_max_pool3d(input, output_size, return_indices=False, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 3, input, ("max", output_size, return_indices), algorithm, out)


@_documented(1, _ADAPTIVE_AVERAGE, _ADAPTIVE_AVERAGE_EXAMPLES)
def adaptive_avg_pool1d(input, output_size, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 1, input, ("average", output_size), algorithm, out)


@_documented(2, _ADAPTIVE_AVERAGE, _ADAPTIVE_AVERAGE_EXAMPLES)
def adaptive_avg_pool2d(input, output_size, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 2, input, ("average", output_size), algorithm, out)


@_documented(3, _ADAPTIVE_AVERAGE, _ADAPTIVE_AVERAGE_EXAMPLES)
def adaptive_avg_pool3d(input, output_size, *, out=None, algorithm="auto"):
    return pool(adaptive_pool_problem, 3, input, ("average", output_size), algorithm, out)


# ---- back to where the maxima were ---------------------------------------------------------------------------------------

_UNPOOL = """Puts the values of a max pool back to where they stood in <space>, among zeros.

    Of several values with one index, the last in row-major order stays.

    Parameters
    ----------
    input : array_like
        Shape (N, C, <axes>) or (C, <axes>); any integer, floating or complex dtype, or bool.
    indices : array_like
        Of the input's shape and any integer dtype: where each value goes in its plane, counted in row-major order.
    <window>
    padding : int or <tuple>, optional
        Of the max pool.
    output_size : sequence of int, optional
        Shape of the result, or of its spatial axes, which may differ from (size - 1)*stride - 2*padding + kernel_size by
        less than the stride.
    out : ndarray, optional
        Where the result is written: an array of its shape and of the input's dtype. It may overlap the input.

    Returns
    -------
    ndarray
        Of the input's dtype, shape (N, C, <axes>) or (C, <axes>).

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, or an index is outside its plane.

    Notes
    -----
    On CuPy arrays the indices are looked at by the device, and the call waits until that says that all of them are possible.

    Examples
    --------
    <examples>
    """

_UNPOOL_EXAMPLES = {
    1: """
    >>> import numpy as np, cyconv
    >>> values, indices = cyconv.max_pool1d(np.array([[1, 5, 2, 4]]), 2, return_indices=True)
    >>> cyconv.max_unpool1d(values, indices, 2)
    array([[0, 5, 0, 4]])""",
    2: """
    >>> import numpy as np, cyconv
    >>> cyconv.max_unpool2d(np.array([[[7]]]), np.array([[[2]]]), 2)
    array([[[0, 0],
            [7, 0]]])""",
    3: """
    >>> import numpy as np, cyconv
    >>> cyconv.max_unpool3d(np.array([[[[7]]]]), np.array([[[[1]]]]), (1, 1, 2), output_size=(1, 1, 3))
    array([[[[0, 7, 0]]]])""",
}


@_documented(1, _UNPOOL, _UNPOOL_EXAMPLES)
def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None, *, out=None):
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size, out)


@_documented(2, _UNPOOL, _UNPOOL_EXAMPLES)
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None, *, out=None):
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size, out)


@_documented(3, _UNPOOL, _UNPOOL_EXAMPLES)
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None, *, out=None):
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size, out)


def _max_unpool(rank, input, indices, kernel_size, stride, padding, output_size, out):
    if device_of(input=input, indices=indices, out=out) == "chunks":
        from ..chunked.scatter import unpool

        return unpool(rank, input, indices, kernel_size, stride, padding, output_size, out)
    input, indices = as_array("input", input, gpu=True), as_array("indices", indices, gpu=True)
    problem = unpool_problem(rank, input, indices, kernel_size, stride, padding, output_size)
    return scatter.run(problem, input, indices, out)

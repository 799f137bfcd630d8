"""Gradients of pools: names like torch.nn.grad's, the arguments of the pools; one call each, no logic.

The gradient of a maximum is 1 at the sample that won and 0 at all others: what flows back to a sample is the sum over the
windows that it won. That of an average is the same at all samples of its window.
"""

from .. import scatter, spread
from ..arguments import as_array
from ..devices import device_of, where
from ..functional.documentation import documented
from ..scatter_problem import max_pool_input_problem
from ..spread_problem import (
    adaptive_avg_pool_input_problem,
    avg_pool_input_problem,
    lp_pool_input_problem,
    max_unpool_input_problem,
)

# ---- maximum ---------------------------------------------------------------------------------------------------------------

_MAX_POOL_INPUT = """The gradient of a max pool with respect to its input.

    Serves every pool that returns indices: `max_pool<rank>d`, `min_pool<rank>d` and `adaptive_max_pool<rank>d`, whatever its windows were.

    Parameters
    ----------
    input_size : sequence of int
        The shape of the pool's input, (N, C, <axes>) or (C, <axes>).
    indices : array_like
        The indices that the pool returned: where each maximum stood in its plane, counted in row-major order.
    grad_output : array_like
        Of the indices' shape; any floating, complex or integer dtype: the gradient with respect to the pool's result.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    ndarray
        Of shape `input_size` and of grad_output's dtype: for each sample, the sum over the windows in which it was the maximum,
        in row-major order; 0 for others. float16 is added up in float32.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, or an index is outside its plane.

    Notes
    -----
    On CuPy arrays the indices are looked at by the device, and the call waits until that says that all of them are possible.

    Examples
    --------
    <example>
"""


@documented(
    _MAX_POOL_INPUT,
    1,
    example="""
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 5.0, 2.0, 4.0]])
    >>> maxima, indices = cyconv.max_pool1d(x, 2, stride=1, return_indices=True)
    >>> cyconv.grad.max_pool1d_input(x.shape, indices, np.ones_like(maxima))  # 5 is the maximum of two windows
    array([[0., 2., 0., 1.]])""",
)
def max_pool1d_input(input_size, indices, grad_output, *, out=None):
    return max_pool_input(1, input_size, indices, grad_output, out)


@documented(
    _MAX_POOL_INPUT,
    2,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_pool2d_input((1, 2, 2), np.array([[[2]]]), np.array([[[0.5]]]))
    array([[[0. , 0. ],
            [0.5, 0. ]]])""",
)
def max_pool2d_input(input_size, indices, grad_output, *, out=None):
    return max_pool_input(2, input_size, indices, grad_output, out)


@documented(
    _MAX_POOL_INPUT,
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_pool3d_input((1, 1, 1, 3), np.array([[[[1]]]]), np.array([[[[0.5]]]]))
    array([[[[0. , 0.5, 0. ]]]])""",
)
def max_pool3d_input(input_size, indices, grad_output, *, out=None):
    return max_pool_input(3, input_size, indices, grad_output, out)


def max_pool_input(rank, input_size, indices, grad_output, out=None, known=False):
    """Of any rank; `known`: that a pool made the indices, so that nobody waits for the GPU to have looked at them."""
    device_of(indices=indices, grad_output=grad_output, out=out)
    indices, grad_output = as_array("indices", indices, gpu=True), as_array("grad_output", grad_output, gpu=True)
    return scatter.run(max_pool_input_problem(rank, input_size, indices, grad_output), grad_output, indices, out, known)


# ---- max unpooling ---------------------------------------------------------------------------------------------------------

_MAX_UNPOOL_INPUT = """The gradient of `max_unpool<rank>d` with respect to its input: what stands at each index.

    Of several values with one index only the last stayed: it alone gets what stands there, the others 0.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the unpooled result, (N, C, <axes>) or (C, <axes>); any floating, complex or integer dtype.
    indices : array_like
        Those that the values were put to, of the input's shape and any integer dtype.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    ndarray
        Of indices' shape and grad_output's dtype.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, or an index is outside its plane.

    Notes
    -----
    On CuPy arrays the indices are looked at by the device, and the call waits until that says that all of them are possible.

    Examples
    --------
    <example>
"""


@documented(
    _MAX_UNPOOL_INPUT,
    1,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_unpool1d_input(np.array([[0.5, 1.5, 2.5, 3.5]]), np.array([[3, 1, 1]]))
    array([[3.5, 0. , 1.5]])""",
)
def max_unpool1d_input(grad_output, indices, *, out=None):
    return _max_unpool_input(1, grad_output, indices, out)


@documented(
    _MAX_UNPOOL_INPUT,
    2,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_unpool2d_input(np.arange(4.0).reshape(1, 2, 2), np.array([[[2]]]))
    array([[[2.]]])""",
)
def max_unpool2d_input(grad_output, indices, *, out=None):
    return _max_unpool_input(2, grad_output, indices, out)


@documented(
    _MAX_UNPOOL_INPUT,
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_unpool3d_input(np.arange(8.0).reshape(1, 2, 2, 2), np.array([[[[5]]]]))
    array([[[[5.]]]])""",
)
def max_unpool3d_input(grad_output, indices, *, out=None):
    return _max_unpool_input(3, grad_output, indices, out)


def _max_unpool_input(rank, grad_output, indices, out):
    device_of(grad_output=grad_output, indices=indices, out=out)
    grad_output, indices = as_array("grad_output", grad_output, gpu=True), as_array("indices", indices, gpu=True)
    return spread.taken(max_unpool_input_problem(rank, grad_output, indices), grad_output, indices, out)


# ---- average ---------------------------------------------------------------------------------------------------------------

_AVERAGED = """
ndarray
    Of shape `input_size` and of grad_output's dtype: for each sample, the sum over the windows that it lies in of gradient / divisor.
    They are added up in grad_output's precision, float16 in float32. Where kD, kH and kW windows meet along the axes, the error is at
    most (kD + kH + kW - 2) / 2 eps of the sum of what is added up, absolutely; axes that there are not count 1."""

_AVG_POOL_INPUT = """The gradient of `avg_pool<rank>d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        The shape of the pool's input, (N, C, <axes>) or (C, <axes>).
    grad_output : array_like
        The gradient with respect to the pool's result, of its shape; any floating or complex dtype.
    kernel_size, stride, padding, ceil_mode, count_include_pad<override>
        As they were given to `avg_pool<rank>d`.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    <averaged>

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, or grad_output's shape is not that of the pool's result; the message names it.

    Examples
    --------
    <example>
"""


@documented(
    _AVG_POOL_INPUT,
    1,
    override="",
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.avg_pool1d_input((1, 4), np.array([[1.0, 2.0, 4.0]]), 2, stride=1)
    array([[0.5, 1.5, 3. , 2. ]])""",
)
def avg_pool1d_input(
    input_size, grad_output, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, *, out=None
):
    return _avg_pool_input(1, input_size, grad_output, out, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@documented(
    _AVG_POOL_INPUT,
    2,
    override=", divisor_override",
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.avg_pool2d_input((1, 2, 4), np.array([[[4.0, 8.0]]]), 2)
    array([[[1., 1., 2., 2.],
            [1., 1., 2., 2.]]])""",
)
def avg_pool2d_input(
    input_size, grad_output, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *,
    out=None,
):  # fmt: skip
    return _avg_pool_input(
        2, input_size, grad_output, out, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@documented(
    _AVG_POOL_INPUT,
    3,
    override=", divisor_override",
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.avg_pool3d_input((1, 1, 2, 2), np.array([[[[4.0]]]]), (1, 2, 2), divisor_override=2)
    array([[[[2., 2.],
             [2., 2.]]]])""",
)
def avg_pool3d_input(
    input_size, grad_output, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, *,
    out=None,
):  # fmt: skip
    return _avg_pool_input(
        3, input_size, grad_output, out, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _avg_pool_input(rank, input_size, grad_output, out, *arguments):
    device_of(grad_output=grad_output, out=out)
    grad_output = as_array("grad_output", grad_output, gpu=True)
    return spread.average(avg_pool_input_problem(rank, input_size, grad_output, *arguments), grad_output, out)


_ADAPTIVE_AVG_POOL_INPUT = """The gradient of `adaptive_avg_pool<rank>d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        The shape of the pool's input, (N, C, <axes>) or (C, <axes>).
    grad_output : array_like
        The gradient with respect to the pool's result, of its shape, from which the windows follow; any floating or complex dtype.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    <averaged>

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message names it.

    Examples
    --------
    <example>
"""


@documented(
    _ADAPTIVE_AVG_POOL_INPUT,
    1,
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.adaptive_avg_pool1d_input((1, 3), np.array([[2.0, 4.0]]))  # windows 0, 1 and 1, 2
    array([[1., 3., 2.]])""",
)
def adaptive_avg_pool1d_input(input_size, grad_output, *, out=None):
    return _adaptive_avg_pool_input(1, input_size, grad_output, out)


@documented(
    _ADAPTIVE_AVG_POOL_INPUT,
    2,
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.adaptive_avg_pool2d_input((1, 2, 2), np.array([[[4.0]]]))
    array([[[1., 1.],
            [1., 1.]]])""",
)
def adaptive_avg_pool2d_input(input_size, grad_output, *, out=None):
    return _adaptive_avg_pool_input(2, input_size, grad_output, out)


@documented(
    _ADAPTIVE_AVG_POOL_INPUT,
    3,
    averaged=_AVERAGED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.adaptive_avg_pool3d_input((1, 2, 1, 2), np.array([[[[4.0]]]]))
    array([[[[1., 1.]],
    <BLANKLINE>
            [[1., 1.]]]])""",
)
def adaptive_avg_pool3d_input(input_size, grad_output, *, out=None):
    return _adaptive_avg_pool_input(3, input_size, grad_output, out)


def _adaptive_avg_pool_input(rank, input_size, grad_output, out):
    device_of(grad_output=grad_output, out=out)
    grad_output = as_array("grad_output", grad_output, gpu=True)
    return spread.average(adaptive_avg_pool_input_problem(rank, input_size, grad_output), grad_output, out)


# ---- p-norm ----------------------------------------------------------------------------------------------------------------

_LP_POOL_INPUT = """The gradient of `lp_pool<rank>d` with respect to its input.

    With p = `norm_type` and a window's norm y, that of a sample x is y**(1 - p) * x**(p - 1) times the window's; where `ceil_mode` has
    cut off a window, it is scaled up as the pool scales its sum. Of p = 1 it is that of a plain sum; else a window whose norm is 0
    gives 0, although the norm has a kink there. Of infinity and minus infinity it is the sign of the first sample that has the largest or
    the least absolute value, and 0 for the others.

    Parameters
    ----------
    input : array_like
        The pool's input, (N, C, <axes>) or (C, <axes>); any integer dtype, float16, float32 or float64. Integers become float64 first.
    grad_output : array_like
        The gradient with respect to the pool's result, of its shape and dtype, which is the input's, or float64 for integers.
    norm_type, kernel_size, stride, ceil_mode
        As they were given to `lp_pool<rank>d`.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap the others.

    Returns
    -------
    ndarray
        Of the input's shape and grad_output's dtype, computed in double precision, but that an infinite norm's are added up as
        `max_pool<rank>d_input` does it. Where powers in double precision are beyond its range, so is the norm, or it is 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; the message names it.

    Examples
    --------
    <example>
"""


@documented(
    _LP_POOL_INPUT,
    1,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.lp_pool1d_input(np.array([[3.0, 4.0, 6.0, 8.0]]), np.array([[1.0, 10.0]]), 2, 2)
    array([[0.6, 0.8, 6. , 8. ]])""",
)
def lp_pool1d_input(input, grad_output, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None):
    return _lp_pool_input(1, input, grad_output, out, norm_type, kernel_size, stride, ceil_mode)


@documented(
    _LP_POOL_INPUT,
    2,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.lp_pool2d_input(np.array([[[1.0, -3.0], [3.0, 2.0]]]), np.array([[[0.5]]]), np.inf, 2)
    array([[[ 0. , -0.5],
            [ 0. ,  0. ]]])""",
)
def lp_pool2d_input(input, grad_output, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None):
    return _lp_pool_input(2, input, grad_output, out, norm_type, kernel_size, stride, ceil_mode)


@documented(
    _LP_POOL_INPUT,
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.lp_pool3d_input(np.ones((1, 1, 1, 3)), np.array([[[[5.0]]]]), 1, (1, 1, 2))
    array([[[[5., 5., 0.]]]])""",
)
def lp_pool3d_input(input, grad_output, norm_type, kernel_size, stride=None, ceil_mode=False, *, out=None):
    return _lp_pool_input(3, input, grad_output, out, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool_input(rank, input, grad_output, out, *arguments):
    device_of(input=input, grad_output=grad_output, out=out)
    input, grad_output = as_array("input", input, gpu=True), as_array("grad_output", grad_output, gpu=True)
    if input.dtype.kind in "iu":
        with where(input):
            input = input.astype("float64")
    return spread.norm(lp_pool_input_problem(rank, input, grad_output, *arguments), input, grad_output, out)

"""Gradients: the names and arguments of torch.nn.grad, and their like for pooling; one call each, no logic.

The gradient of a maximum is 1 at the sample that won and 0 at all others: what flows back to a sample is the sum over the
windows that it won.
"""

from . import scatter
from .arguments import as_array
from .functional.documentation import documented
from .scatter_problem import max_pool_input_problem

__all__ = ["max_pool1d_input", "max_pool2d_input", "max_pool3d_input"]

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
    return _max_pool_input(1, input_size, indices, grad_output, out)


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
    return _max_pool_input(2, input_size, indices, grad_output, out)


@documented(
    _MAX_POOL_INPUT,
    3,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.max_pool3d_input((1, 1, 1, 3), np.array([[[[1]]]]), np.array([[[[0.5]]]]))
    array([[[[0. , 0.5, 0. ]]]])""",
)
def max_pool3d_input(input_size, indices, grad_output, *, out=None):
    return _max_pool_input(3, input_size, indices, grad_output, out)


def _max_pool_input(rank, input_size, indices, grad_output, out):
    indices, grad_output = as_array("indices", indices), as_array("grad_output", grad_output)
    return scatter.run(max_pool_input_problem(rank, input_size, indices, grad_output), grad_output, indices, out)

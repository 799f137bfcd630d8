"""Public signatures of the gradients of unfold and fold, each of which is the other; no logic."""

from .. import columns
from ..arguments import as_array
from ..devices import device_of
from ..spread_problem import check_fold_input, unfold_input_problem


def unfold_input(input_size, grad_output, kernel_size, dilation=1, padding=0, stride=1, *, out=None):
    """The gradient of `unfold` with respect to its input: the sum of columns at the places of their windows, as `fold` makes it.

    Parameters
    ----------
    input_size : sequence of int
        The shape of unfold's input: (N, C, H, W), or unbatched (C, H, W); with a `kernel_size` of one or three ints (N, C, L) or
        (N, C, D, H, W).
    grad_output : array_like
        The gradient with respect to the columns, (N, C * product of kernel_size, windows), or without N. Any float, complex or
        integer dtype of NumPy up to 64 bits a part.
    kernel_size, dilation, padding, stride
        As they were given to `unfold`.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    ndarray
        Of shape `input_size` and of grad_output's dtype. Half precision is summed in single, integers modulo 2**n.

    Raises
    ------
    ValueError
        If grad_output's shape is not that of the columns, or a window is larger than the padded input.
    TypeError
        If the dtype is not supported, or an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.grad.unfold_input((1, 3, 3), np.ones((4, 4)), 2)  # how many windows each sample lies in
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    device_of(grad_output=grad_output, out=out)
    grad_output = as_array("grad_output", grad_output, gpu=True)
    problem = unfold_input_problem(input_size, grad_output, kernel_size, dilation, padding, stride)
    return columns.fold(grad_output, problem.size, kernel_size, dilation, padding, stride, out)


def fold_input(grad_output, kernel_size, dilation=1, padding=0, stride=1, *, out=None):
    """The gradient of `fold` with respect to its input: the windows as columns, as `unfold` makes them.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the folded result: (N, C, H, W), or unbatched (C, H, W); with a `kernel_size` of one or three ints
        (N, C, L) or (N, C, D, H, W). Any float, complex or integer dtype of NumPy up to 64 bits a part.
    kernel_size, dilation, padding, stride
        As they were given to `fold`.
    out : ndarray, optional
        Where the gradient is written: an array of its shape and of grad_output's dtype. It may overlap `grad_output`.

    Returns
    -------
    ndarray
        (N, C * product of kernel_size, windows), or without N, of grad_output's dtype.

    Raises
    ------
    ValueError
        If a window is larger than grad_output with its padding.
    TypeError
        If the dtype is not supported, or an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.grad.fold_input(np.arange(6.0).reshape(1, 2, 3), (2, 2))
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    """
    device_of(grad_output=grad_output, out=out)
    grad_output = as_array("grad_output", grad_output, gpu=True)
    check_fold_input(grad_output, kernel_size)
    return columns.unfold(grad_output, kernel_size, dilation, padding, stride, out)

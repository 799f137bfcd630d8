"""Public signatures of unfold and fold; one call each, no logic."""

from .. import columns


def unfold(input, kernel_size, dilation=1, padding=0, stride=1, *, out=None):
    """The windows of an image as columns, as torch.nn.functional.unfold.

    Row (c, i, j) of the result, in row-major order, is what tap (i, j) of channel c reads at each window, so a
    convolution is ``weight.reshape(out_channels, -1) @ unfold(input, kernel_size)``.

    Parameters
    ----------
    input : array_like
        (N, C, H, W), or unbatched (C, H, W); with a `kernel_size` of one or three ints (N, C, L) or (N, C, D, H, W). Any
        memory layout; never written to. Any float, complex or integer dtype of NumPy up to 64 bits a part, or bool.
    kernel_size : int or tuple of int
        Samples of a window along each axis. An int is a square on two axes.
    dilation : int or tuple of int
        Distance of neighbouring samples of a window.
    padding : int or tuple of int
        Zeros added on both sides of each spatial axis.
    stride : int or tuple of int
        Distance of neighbouring windows.
    out : ndarray or None
        Where to write the result: its shape and dtype exactly. May overlap the input.

    Returns
    -------
    ndarray
        (N, C * product of kernel_size, windows), or without N, of the input's dtype. Along an axis of n samples stand
        ``(n + 2*padding - dilation*(kernel_size - 1) - 1) // stride + 1`` windows; the last axis of the image varies fastest.

    Raises
    ------
    ValueError
        If shapes and sizes do not fit, or a window is larger than the padded input.
    TypeError
        If the dtype is not supported, or an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(9).reshape(1, 1, 3, 3)
    >>> cyconv.unfold(x, 2)
    array([[[0, 1, 3, 4],
            [1, 2, 4, 5],
            [3, 4, 6, 7],
            [4, 5, 7, 8]]])
    """
    return columns.unfold(input, kernel_size, dilation, padding, stride, out)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1, *, out=None):
    """The sum of columns at the places of their windows, as torch.nn.functional.fold.

    It is the gradient of `unfold`, not its inverse: a sample that stands in several windows is their sum.

    Parameters
    ----------
    input : array_like
        (N, C * product of kernel_size, windows), or without N. Any memory layout; never written to. Any float, complex or
        integer dtype of NumPy up to 64 bits a part.
    output_size : int or tuple of int
        Spatial shape of the result.
    kernel_size : int or tuple of int
        Samples of a window along each axis. An int is a square on two axes; one or three ints fold to as many axes.
    dilation : int or tuple of int
        Distance of neighbouring samples of a window.
    padding : int or tuple of int
        Samples by which windows reach beyond the result on both sides; what falls there is dropped.
    stride : int or tuple of int
        Distance of neighbouring windows.
    out : ndarray or None
        Where to write the result: its shape and dtype exactly. May overlap the input.

    Returns
    -------
    ndarray
        ``(N, C, *output_size)``, or without N, of the input's dtype. Half precision is summed in single, integers modulo 2**n.

    Raises
    ------
    ValueError
        If the input has not one row per channel and tap, or not one column per window.
    TypeError
        If the dtype is not supported, or an argument is of the wrong kind.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.fold(np.ones((1, 4, 4)), 3, 2)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return columns.fold(input, output_size, kernel_size, dilation, padding, stride, out)

"""Public signatures of the convolutions' gradients; one call each, no logic."""

from .. import gradients
from ..functional.documentation import documented
from ..problem import MAX_WORKSPACE

_SHARED = """
algorithm, precision : str
    As in `conv<rank>d`, of the convolution that the gradient is.
max_workspace : int
    Bytes that its algorithm may take, beyond copies of the arguments. Default 256 MiB.
allow_tf32 : bool
    As in `conv<rank>d`.
out : ndarray or None
    Where to write the result: its shape and dtype exactly.
"""

_STEPS = """
stride, padding, dilation, groups, padding_mode
    As they were given to `conv<rank>d`."""

_TRANSPOSED_STEPS = """
stride, padding, output_padding, groups, dilation
    As they were given to `conv_transpose<rank>d`."""

_RAISES = """
ValueError
    If shapes do not fit, or `algorithm` cannot compute the problem.
TypeError
    If dtypes differ or are not supported, or an argument is of the wrong kind."""

_INPUT = """The gradient of `<name><rank>d` with respect to its input.

    <what>

    Parameters
    ----------
    input_size : sequence of int
        The shape of the input, (N, C, <axes>) or (C, <axes>).
    weight : array_like
        The weight, <weight>.
    grad_output : array_like
        The gradient with respect to the result, of its shape and the weight's dtype.
    <steps>
    <shared>

    Returns
    -------
    ndarray
        Of shape `input_size` and grad_output's dtype.

    Raises
    ------
    <raises>

    Examples
    --------
    <example>
"""

_WEIGHT = """The gradient of `<name><rank>d` with respect to its weight.

    <what> The batch is summed in slices, the slices in
    order, so that the result has the same bits at every number of threads.

    Parameters
    ----------
    input : array_like
        The input, (N, C, <axes>) or (C, <axes>).
    weight_size : sequence of int
        The shape of the weight, <weight>.
    grad_output : array_like
        The gradient with respect to the result, of its shape and the input's dtype.
    <steps>
    <shared>

    Returns
    -------
    ndarray
        Of shape `weight_size` and grad_output's dtype. Half precision is summed in single.

    Raises
    ------
    <raises>

    Examples
    --------
    <example>
"""

_BIAS = """The gradient of `<name><rank>d` with respect to its bias: the sum over batch and positions.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the result, (N, out_channels, <axes>) or (out_channels, <axes>); dtypes as in `conv<rank>d`.
    out : ndarray or None
        Where to write the result: its shape and dtype exactly.

    Returns
    -------
    ndarray
        (out_channels,), of grad_output's dtype. Half precision is summed in single, integers modulo 2**n.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.grad.<name><rank>d_bias(np.ones((2, 3, <ones>)))
    array([2., 2., 2.])
"""

_WORDS = {
    "conv": {
        "weight": "(out_channels, C / groups, <kernel>)",
        "steps": _STEPS,
    },
    "conv_transpose": {
        "weight": "(C, out_channels / groups, <kernel>)",
        "steps": _TRANSPOSED_STEPS,
    },
}
_INPUT_IS = {
    "conv": "It is the transposed convolution of `grad_output`, and runs on the same algorithms, `winograd` and `fft` among them.",
    "conv_transpose": "It is the convolution of `grad_output`.",
}
_WEIGHT_IS = {
    "conv": "It is a convolution of the input by `grad_output`, whose channels are the batch, and runs on the same algorithms.",
    "conv_transpose": "It is a convolution of `grad_output` by the input, whose channels are the batch, and runs on the same algorithms.",
}


def _documented(template, name, rank, what="", example=""):
    words = {"name": name, "what": what, "example": example, "ones": ", ".join("1" * rank), "shared": _SHARED, "raises": _RAISES}
    return documented(template, rank, **words, **_WORDS[name])


@_documented(
    _INPUT,
    "conv",
    1,
    what=_INPUT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> w = np.array([[[1.0, 2.0, 3.0]]])
    >>> cyconv.grad.conv1d_input((1, 1, 5), w, np.array([[[1.0, 0.0, 10.0]]]))
    array([[[ 1.,  2., 13., 20., 30.]]])""",
)
def conv1d_input(
    input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_input(
        1, input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _INPUT,
    "conv",
    2,
    what=_INPUT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv2d_input((1, 4, 4), np.ones((1, 1, 2, 2)), np.ones((1, 2, 2)), stride=2)
    array([[[1., 1., 1., 1.],
            [1., 1., 1., 1.],
            [1., 1., 1., 1.],
            [1., 1., 1., 1.]]])""",
)
def conv2d_input(
    input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_input(
        2, input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _INPUT,
    "conv",
    3,
    what=_INPUT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv3d_input((1, 1, 2, 3), np.ones((1, 1, 1, 1, 2)), np.ones((1, 1, 2, 2)))
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])""",
)
def conv3d_input(
    input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_input(
        3, input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv",
    1,
    what=_WEIGHT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0]])
    >>> cyconv.grad.conv1d_weight(x, (1, 1, 2), np.array([[1.0, 0.0, 10.0]]))  # 1*1 + 3*10 and 2*1 + 4*10
    array([[[31., 42.]]])""",
)
def conv1d_weight(
    input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_weight(
        1, input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv",
    2,
    what=_WEIGHT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv2d_weight(np.ones((1, 3, 3)), (1, 1, 3, 3), np.ones((1, 3, 3)), padding=1)[0, 0]
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])""",
)
def conv2d_weight(
    input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_weight(
        2, input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv",
    3,
    what=_WEIGHT_IS["conv"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv3d_weight(np.ones((2, 1, 1, 1, 4)), (1, 1, 1, 1, 2), np.ones((2, 1, 1, 1, 3)))
    array([[[[[6., 6.]]]]])""",
)
def conv3d_weight(
    input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_weight(
        3, input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(_BIAS, "conv", 1)
def conv1d_bias(grad_output, *, out=None):
    return gradients.bias(1, grad_output, out)


@_documented(_BIAS, "conv", 2)
def conv2d_bias(grad_output, *, out=None):
    return gradients.bias(2, grad_output, out)


@_documented(_BIAS, "conv", 3)
def conv3d_bias(grad_output, *, out=None):
    return gradients.bias(3, grad_output, out)


@_documented(
    _INPUT,
    "conv_transpose",
    1,
    what=_INPUT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> w = np.array([[[1.0, 2.0, 3.0]]])
    >>> cyconv.grad.conv_transpose1d_input((1, 2), w, np.ones((1, 5)), stride=2)
    array([[6., 6.]])""",
)
def conv_transpose1d_input(
    input_size, weight, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_input(
        1, input_size, weight, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _INPUT,
    "conv_transpose",
    2,
    what=_INPUT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv_transpose2d_input((1, 1, 2), np.ones((1, 1, 2, 2)), np.ones((1, 2, 4)), stride=2)
    array([[[4., 4.]]])""",
)
def conv_transpose2d_input(
    input_size, weight, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_input(
        2, input_size, weight, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _INPUT,
    "conv_transpose",
    3,
    what=_INPUT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv_transpose3d_input((2, 1, 1, 1), np.ones((2, 1, 1, 1, 3)), np.ones((1, 1, 1, 1)), padding=(0, 0, 1))
    array([[[[1.]]],
    <BLANKLINE>
    <BLANKLINE>
           [[[1.]]]])""",
)
def conv_transpose3d_input(
    input_size, weight, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_input(
        3, input_size, weight, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv_transpose",
    1,
    what=_WEIGHT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 10.0]])
    >>> cyconv.grad.conv_transpose1d_weight(x, (1, 1, 3), np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), stride=2)
    array([[[31., 42., 53.]]])""",
)
def conv_transpose1d_weight(
    input, weight_size, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_weight(
        1, input, weight_size, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv_transpose",
    2,
    what=_WEIGHT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv_transpose2d_weight(np.ones((1, 1, 2)), (1, 1, 2, 2), np.ones((1, 2, 4)), stride=2)
    array([[[[2., 2.],
             [2., 2.]]]])""",
)
def conv_transpose2d_weight(
    input, weight_size, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_weight(
        2, input, weight_size, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(
    _WEIGHT,
    "conv_transpose",
    3,
    what=_WEIGHT_IS["conv_transpose"],
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.grad.conv_transpose3d_weight(np.ones((1, 1, 1, 2)), (1, 1, 1, 1, 1), np.ones((1, 1, 1, 2)))
    array([[[[[2.]]]]])""",
)
def conv_transpose3d_weight(
    input, weight_size, grad_output, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return gradients.conv_transpose_weight(
        3, input, weight_size, grad_output, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@_documented(_BIAS, "conv_transpose", 1)
def conv_transpose1d_bias(grad_output, *, out=None):
    return gradients.bias(1, grad_output, out)


@_documented(_BIAS, "conv_transpose", 2)
def conv_transpose2d_bias(grad_output, *, out=None):
    return gradients.bias(2, grad_output, out)


@_documented(_BIAS, "conv_transpose", 3)
def conv_transpose3d_bias(grad_output, *, out=None):
    return gradients.bias(3, grad_output, out)

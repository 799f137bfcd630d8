"""Public signatures of the convolutions; one call each, no logic."""

from .. import _calls, plans, select, transpose
from ..problem import MAX_WORKSPACE
from .documentation import documented

_SHARED = """
algorithm : str
    'auto' (default) takes the cheapest by a cost model, see `explain`; a name of the menu overrules it. 'fft', 'winograd'
    and 'dots', forced, may spread a NaN or infinity to other outputs; 'auto' never does.
precision : {'default', 'strict'}
    'strict' leaves out algorithms whose error bound is above the direct sum's, and computes with subnormal numbers even where the
    processor is slow with them: on Intel's they count as zeros otherwise. On GPUs those of float32 and bfloat16 always do.
max_workspace : int
    Bytes of memory, beyond input and result, that the call may take. Default 256 MiB.
allow_tf32 : bool
    Whether tensor cores of a GPU, which multiply more in the same time, may round float32 factors to 10 bits. Nothing to a CPU.
out : ndarray or None
    Where to write the result: its shape and dtype exactly. May overlap the input. Results beyond the caches are written up to a
    fifth slower to an array that does not begin at a cache line (64 bytes), as results of cyconv do.
"""

_CONV = """<rank>-d cross-correlation of a batch of multi-channel arrays, as torch.nn.functional.conv<rank>d.

    ``out[n, d, p] = bias[d] + sum over c, j of weight[d, c, j] * input[n, c, p*stride + j*dilation - padding]``,
    where p and j run over positions and taps along the spatial axes. Padding counts as zeros that are multiplied.

    Parameters
    ----------
    input : array_like
        (N, C, <axes>), or unbatched (C, <axes>). Any memory layout; never written to. float16, float32, float64,
        complex64, complex128 or any integer type.
    weight : array_like
        (out_channels, C / groups, <kernel>), of the input's dtype.
    bias : array_like or None
        (out_channels,), of the input's dtype.
    stride : int or tuple of int
        Samples between neighbouring outputs.
    padding : int, tuple or str
        Samples added on both sides of each spatial axis: one int, one per axis, or a (before, after) pair per axis.
        'valid': none. 'same': output as long as the input (stride 1). 'same_upper', 'same_lower': ceil(length / stride)
        outputs, the odd sample after or before (the rule of TensorFlow and ONNX). 'full': every overlap.
    dilation : int or tuple of int
        Samples between neighbouring taps.
    groups : int
        Input and output channels are cut into so many groups that do not meet.
    padding_mode : {'zeros', 'reflect', 'replicate', 'circular'}
        What the added samples are.
    <shared>

    Returns
    -------
    ndarray
        (N, out_channels, <axes>), of the input's dtype, each spatial axis
        ``(length + padding before and after - dilation*(kernel - 1) - 1) // stride + 1`` long. Half precision is computed in single,
        integers exactly modulo 2**n.

    Raises
    ------
    ValueError
        If shapes, groups, padding or sizes do not fit, or `algorithm` cannot compute the problem.
    TypeError
        If dtypes differ or are not supported, or an argument is of the wrong kind.

    Examples
    --------
    <example>
"""

_TRANSPOSED = """<rank>-d transposed convolution, as torch.nn.functional.conv_transpose<rank>d: each input sample adds the whole weight, scaled.

    It is the gradient of `conv<rank>d` with respect to its input, and runs as plain convolutions, one per phase of the stride.

    Parameters
    ----------
    input : array_like
        (N, C, <axes>), or unbatched (C, <axes>); dtypes as in `conv<rank>d`.
    weight : array_like
        (C, out_channels / groups, <kernel>), of the input's dtype.
    bias : array_like or None
        (out_channels,), of the input's dtype.
    stride : int or tuple of int
        Outputs between the places of neighbouring input samples.
    padding : int or tuple
        Outputs cut off on both sides of each spatial axis: one int, one per axis, or a (before, after) pair per axis.
    output_padding : int or tuple of int
        Outputs added after each spatial axis; less than stride or dilation.
    groups : int
        Input and output channels are cut into so many groups that do not meet.
    dilation : int or tuple of int
        Outputs between neighbouring taps.
    <shared>

    Returns
    -------
    ndarray
        (N, out_channels, <axes>), of the input's dtype, each spatial axis
        ``(length - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1`` long.

    Raises
    ------
    ValueError
        If shapes, groups, padding or sizes do not fit, or `algorithm` cannot compute the problem.
    TypeError
        If dtypes differ or are not supported, or an argument is of the wrong kind.

    Examples
    --------
    <example>
"""


@documented(
    _CONV,
    rank=1,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d(np.array([[[1., 2., 3., 4.]]]), np.array([[[3., 2.]]]))
    array([[[ 7., 12., 17.]]])
    """,
)
def conv1d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return _calls.convolve(
        1, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@documented(
    _CONV,
    rank=2,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> step = np.zeros((1, 3, 5), np.float32)
    >>> step[:, :, 3:] = 1
    >>> cyconv.conv2d(step, np.array([[[[-1, 0, 1]]]], np.float32))  # the difference finds the edge
    array([[[0., 1., 1.],
            [0., 1., 1.],
            [0., 1., 1.]]], dtype=float32)
    >>> x, w = np.zeros((117, 4, 10, 3)), np.zeros((5, 4, 2, 3))
    >>> cyconv.conv2d(x, w).shape
    (117, 5, 9, 1)
    """,
)
def conv2d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return _calls.convolve(
        2, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@documented(
    _CONV,
    rank=3,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.conv3d(np.ones((1, 4, 4, 4)), np.ones((1, 1, 3, 3, 3)), padding='same')[0, 0]
    array([[ 8., 12., 12.,  8.],
           [12., 18., 18., 12.],
           [12., 18., 18., 12.],
           [ 8., 12., 12.,  8.]])
    """,
)
def conv3d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return _calls.convolve(
        3, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
    )


@documented(
    _TRANSPOSED,
    rank=1,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.conv_transpose1d(np.array([[1., 10.]]), np.array([[[1., 2., 3.]]]), stride=2)
    array([[ 1.,  2., 13., 20., 30.]])
    """,
)
def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@documented(
    _TRANSPOSED,
    rank=2,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.conv_transpose2d(np.array([[[1, 2]]]), np.ones((1, 1, 2, 2), int), stride=2)
    array([[[1, 1, 2, 2],
            [1, 1, 2, 2]]])
    """,
)
def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


@documented(
    _TRANSPOSED,
    rank=3,
    shared=_SHARED,
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.conv_transpose3d(np.ones((2, 1, 1, 1)), np.ones((2, 1, 1, 1, 3)), padding=(0, 0, 1))
    array([[[[2.]]]])
    """,
)
def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, allow_tf32, out
    )


def explain(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False,
):  # fmt: skip
    """Which algorithm a convolution with these arguments gets, and what every other one says to it.

    Parameters
    ----------
    input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
        As in `conv1d`, `conv2d` or `conv3d`; the number of the weight's axes tells which. Nothing is computed. Of dask arrays, what is
        explained are the blocks that their chunks are computed in.

    Returns
    -------
    Explanation
        Prints as a table: each algorithm of the menu with its predicted time and workspace (on a CPU those of one thread) and its
        error bound, or the reason why it declines. Attributes: `problem`, `chosen` (a name), `verdicts`, `times` (where what is
        predicted comes from: of a CPU measured by the makers of the package, or on this machine by `python -m cyconv tune`; of a
        GPU the `times` say whether anything was measured).

    Raises
    ------
    ValueError, TypeError
        As the convolution itself.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> why = cyconv.explain(np.zeros((1, 64, 64), np.int32), np.zeros((1, 1, 3, 3), np.int32))
    >>> why.chosen
    'depthwise'
    >>> print(why)  # doctest: +ELLIPSIS
    1x1x64x64 -> 1x62x62, kernel 3x3, int32
    ...
    depthwise ... exact...chosen: the least predicted time
    dots ... no: made for real floating point, not int32
    channel_lanes ... no: made for float32 and float64, not int32
    implicit_gemm ... no: its register tiles are for floating point, not int32
    im2col ... no: BLAS has no int32
    ...
    """
    return select.explain(
        input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
    )


def plan_conv(
    input_shape, weight, bias=None, *, dtype=None, stride=1, padding=0, dilation=1, groups=1,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, allow_tf32=False,
):  # fmt: skip
    """A convolution prepared once, to be called on many inputs of one shape.

    The algorithm is chosen for calls whose weights are prepared. It may be another one than the convolution itself takes, or add
    in another order, so that the last digits differ; all calls of a plan give the same ones.

    Parameters
    ----------
    input_shape : tuple of int
        (N, C, ...) or (C, ...), with as many spatial axes as the weight has.
    weight, bias : array_like
        As in `conv2d`. They are copied or transformed now (dask arrays computed); changing them afterwards does not change the plan.
    dtype : dtype or None
        Of the inputs; weight and bias are converted to it. Default: the weight's.
    stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
        As in `conv2d`.

    Returns
    -------
    Plan
        Call it: ``plan(x, out=None)``. Attributes: `algorithm`, `output_shape`, `workspace_bytes`, `problem`.

    Raises
    ------
    ValueError, TypeError
        As the convolution itself.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> plan = cyconv.plan_conv((1, 1, 4), np.array([[[1., -1.]]]))
    >>> plan.output_shape
    (1, 1, 3)
    >>> plan(np.array([[[1., 4., 9., 16.]]]))
    array([[[-3., -5., -7.]]])
    """
    return plans.plan(
        input_shape, weight, bias, dtype, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
    )

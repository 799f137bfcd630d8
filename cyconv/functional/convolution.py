"""Public signatures of the convolutions; one call each, no logic."""

from ..problem import MAX_WORKSPACE, conv_problem
from ..arguments import as_array
from .. import select, transpose


def conv1d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return select.convolve(
        1, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, out
    )


def conv2d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return select.convolve(
        2, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, out
    )


def conv3d(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return select.convolve(
        3, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, out
    )


def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, out
    )


def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, out
    )


def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, *,
    algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE, out=None,
):  # fmt: skip
    return transpose.convolve_transposed(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, algorithm, precision, max_workspace, out
    )


def explain(
    input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE,
):  # fmt: skip
    return select.explain(
        input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace
    )


def plan_conv(
    input_shape, weight, bias=None, *, dtype=None, stride=1, padding=0, dilation=1, groups=1,
    padding_mode="zeros", algorithm="auto", precision="default", max_workspace=MAX_WORKSPACE,
):  # fmt: skip
    return select.plan(
        input_shape, weight, bias, dtype, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace
    )

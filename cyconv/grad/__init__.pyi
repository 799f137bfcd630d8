"""Types of the gradients; what they do stands in the sources beside this."""

from typing import Any, overload

from numpy.typing import NDArray

from .._types import Int, Ints, Operand, Padding, PaddingMode, Pairs, PoolPadding, Precision, S, Shape

@overload
def conv1d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv1d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv1d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv1d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv1d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv1d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def conv2d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv2d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv2d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv2d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv2d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv2d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def conv3d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv3d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv3d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv3d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1,
    groups: Int = 1, *, padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv3d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv3d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def conv_transpose1d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose1d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose1d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose1d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose1d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv_transpose1d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def conv_transpose2d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose2d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose2d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose2d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose2d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv_transpose2d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def conv_transpose3d_input(
    input_size: Shape, weight: Operand, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose3d_input(
    input_size: Shape, weight: Operand, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose3d_weight(
    input: Operand, weight_size: Shape, grad_output: NDArray[S], stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def conv_transpose3d_weight(
    input: Operand, weight_size: Shape, grad_output: Operand, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def conv_transpose3d_bias(grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def conv_transpose3d_bias(grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def max_pool1d_input(input_size: Shape, indices: Operand, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_pool1d_input(input_size: Shape, indices: Operand, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def max_pool2d_input(input_size: Shape, indices: Operand, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_pool2d_input(input_size: Shape, indices: Operand, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def max_pool3d_input(input_size: Shape, indices: Operand, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_pool3d_input(input_size: Shape, indices: Operand, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def avg_pool1d_input(
    input_size: Shape, grad_output: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def avg_pool1d_input(
    input_size: Shape, grad_output: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def avg_pool2d_input(
    input_size: Shape, grad_output: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def avg_pool2d_input(
    input_size: Shape, grad_output: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def avg_pool3d_input(
    input_size: Shape, grad_output: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def avg_pool3d_input(
    input_size: Shape, grad_output: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def adaptive_avg_pool1d_input(input_size: Shape, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def adaptive_avg_pool1d_input(input_size: Shape, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def adaptive_avg_pool2d_input(input_size: Shape, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def adaptive_avg_pool2d_input(input_size: Shape, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def adaptive_avg_pool3d_input(input_size: Shape, grad_output: NDArray[S], *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def adaptive_avg_pool3d_input(input_size: Shape, grad_output: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def lp_pool1d_input(
    input: Operand, grad_output: NDArray[S], norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def lp_pool1d_input(
    input: Operand, grad_output: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def lp_pool2d_input(
    input: Operand, grad_output: NDArray[S], norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def lp_pool2d_input(
    input: Operand, grad_output: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def lp_pool3d_input(
    input: Operand, grad_output: NDArray[S], norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def lp_pool3d_input(
    input: Operand, grad_output: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def max_unpool1d_input(grad_output: NDArray[S], indices: Operand, *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_unpool1d_input(grad_output: Operand, indices: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def max_unpool2d_input(grad_output: NDArray[S], indices: Operand, *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_unpool2d_input(grad_output: Operand, indices: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def max_unpool3d_input(grad_output: NDArray[S], indices: Operand, *, out: NDArray[S] | None = None) -> NDArray[S]: ...
@overload
def max_unpool3d_input(grad_output: Operand, indices: Operand, *, out: NDArray[Any] | None = None) -> Any: ...
@overload
def unfold_input(
    input_size: Shape, grad_output: NDArray[S], kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *,
    out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def unfold_input(
    input_size: Shape, grad_output: Operand, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *,
    out: NDArray[Any] | None = None,
) -> Any: ...
@overload
def fold_input(
    grad_output: NDArray[S], kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *,
    out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def fold_input(
    grad_output: Operand, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *,
    out: NDArray[Any] | None = None,
) -> Any: ...

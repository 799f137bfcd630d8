"""Types of the functions; what they do stands in the sources beside this."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._types import (
    A,
    Border,
    C,
    Chunked,
    F,
    Int,
    Ints,
    Operand,
    Other,
    OutputSize,
    Padding,
    PaddingMode,
    Pairs,
    PoolPadding,
    Precision,
    Reduction,
    S,
    Seed,
    Shape,
    T,
)
from ..plans import Plan
from ..select import Explanation

# ---- convolutions ----------------------------------------------------------------------------------------------------------

@overload
def conv1d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv1d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def conv2d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv2d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def conv3d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv3d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def conv_transpose1d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv_transpose1d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def conv_transpose2d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv_transpose2d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def conv_transpose3d(
    input: A, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: A | None = None,
) -> A: ...
@overload
def conv_transpose3d(
    input: Other, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Ints | Pairs = 0, output_padding: Ints = 0,
    groups: Int = 1, dilation: Ints = 1, *, algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
def explain(
    input: Operand, weight: Operand, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default", max_workspace: Int = 268435456,
    allow_tf32: bool = False,
) -> Explanation: ...
def plan_conv(
    input_shape: Sequence[Int], weight: Operand, bias: Operand | None = None, *, dtype: DTypeLike | None = None, stride: Ints = 1,
    padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, padding_mode: PaddingMode = "zeros", algorithm: str = "auto",
    precision: Precision = "default", max_workspace: Int = 268435456, allow_tf32: bool = False,
) -> Plan: ...
def convolve_blockwise(
    input: Any, weight: Operand, out: T, bias: Operand | None = None, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1, groups: Int = 1, *,
    padding_mode: PaddingMode = "zeros", algorithm: str = "auto", precision: Precision = "default",
    max_workspace: Int = 268435456, max_memory: Int = 1073741824, progress: bool | Callable[[int, int], object] | None = None,
    journal: str | PathLike[str] | Literal[False] | None = None, resume: bool = True,
) -> T: ...

# ---- pools ---------------------------------------------------------------------------------------------------------------

@overload
def max_pool1d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def max_pool1d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def max_pool1d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def max_pool2d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def max_pool2d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def max_pool2d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def max_pool3d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def max_pool3d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def max_pool3d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def min_pool1d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def min_pool1d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def min_pool1d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def min_pool2d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def min_pool2d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def min_pool2d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def min_pool3d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def min_pool3d(
    input: NDArray[S], kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, *, return_indices: Literal[True], out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def min_pool3d(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, dilation: Ints = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def avg_pool1d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def avg_pool1d(
    input: Other, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def avg_pool2d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def avg_pool2d(
    input: Other, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def avg_pool3d(
    input: A, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def avg_pool3d(
    input: Other, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Int | None = None, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def lp_pool1d(
    input: F, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: F | None = None, algorithm: str = "auto",
) -> F: ...
@overload
def lp_pool1d(
    input: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def lp_pool2d(
    input: F, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: F | None = None, algorithm: str = "auto",
) -> F: ...
@overload
def lp_pool2d(
    input: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def lp_pool3d(
    input: F, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: F | None = None, algorithm: str = "auto",
) -> F: ...
@overload
def lp_pool3d(
    input: Operand, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *,
    out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def adaptive_max_pool1d(
    input: A, output_size: OutputSize, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_max_pool1d(
    input: NDArray[S], output_size: OutputSize, return_indices: Literal[True], *, out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def adaptive_max_pool1d(
    input: Operand, output_size: OutputSize, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def adaptive_max_pool2d(
    input: A, output_size: OutputSize, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_max_pool2d(
    input: NDArray[S], output_size: OutputSize, return_indices: Literal[True], *, out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def adaptive_max_pool2d(
    input: Operand, output_size: OutputSize, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def adaptive_max_pool3d(
    input: A, output_size: OutputSize, return_indices: Literal[False] = False, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_max_pool3d(
    input: NDArray[S], output_size: OutputSize, return_indices: Literal[True], *, out: NDArray[S] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[S], NDArray[np.int64]]: ...
@overload
def adaptive_max_pool3d(
    input: Operand, output_size: OutputSize, return_indices: bool = False, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> Any: ...
@overload
def adaptive_avg_pool1d(
    input: A, output_size: OutputSize, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_avg_pool1d(
    input: Other, output_size: OutputSize, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def adaptive_avg_pool2d(
    input: A, output_size: OutputSize, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_avg_pool2d(
    input: Other, output_size: OutputSize, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def adaptive_avg_pool3d(
    input: A, output_size: OutputSize, *, out: A | None = None, algorithm: str = "auto",
) -> A: ...
@overload
def adaptive_avg_pool3d(
    input: Other, output_size: OutputSize, *, out: NDArray[Any] | None = None, algorithm: str = "auto",
) -> NDArray[Any]: ...
@overload
def max_unpool1d(
    input: A, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: A | None = None,
) -> A: ...
@overload
def max_unpool1d(
    input: Other, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def max_unpool2d(
    input: A, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: A | None = None,
) -> A: ...
@overload
def max_unpool2d(
    input: Other, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def max_unpool3d(
    input: A, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: A | None = None,
) -> A: ...
@overload
def max_unpool3d(
    input: Other, indices: Operand, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0, output_size: Shape | None = None, *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...

# ---- filters and windows ---------------------------------------------------------------------------------------------------

@overload
def maximum_filter(
    input: A, size: Ints | None = None, footprint: None = None, output: A | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> A: ...
@overload
def maximum_filter(
    input: Other, size: Ints | None = None, footprint: None = None, output: NDArray[Any] | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> NDArray[Any]: ...
@overload
def minimum_filter(
    input: A, size: Ints | None = None, footprint: None = None, output: A | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> A: ...
@overload
def minimum_filter(
    input: Other, size: Ints | None = None, footprint: None = None, output: NDArray[Any] | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> NDArray[Any]: ...
@overload
def uniform_filter(
    input: A, size: Ints = 3, output: A | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> A: ...
@overload
def uniform_filter(
    input: Other, size: Ints = 3, output: NDArray[Any] | None = None, mode: Border | Sequence[Border] = "reflect",
    cval: complex = 0.0, origin: Ints = 0, *, axes: Ints | None = None,
) -> NDArray[Any]: ...
@overload
def unfold(
    input: NDArray[S], kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def unfold(
    input: C, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: C | None = None,
) -> C: ...
@overload
def unfold(
    input: Other, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
@overload
def fold(
    input: NDArray[S], output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: NDArray[S] | None = None,
) -> NDArray[S]: ...
@overload
def fold(
    input: C, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: C | None = None,
) -> C: ...
@overload
def fold(
    input: Other, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints | Pairs = 0, stride: Ints = 1, *, out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...

# ---- layers ----------------------------------------------------------------------------------------------------------------

@overload
def linear(
    input: A, weight: Operand, bias: Operand | None = None, *, allow_tf32: bool = False,
) -> A: ...
@overload
def linear(
    input: Other, weight: Operand, bias: Operand | None = None, *, allow_tf32: bool = False,
) -> NDArray[Any]: ...
@overload
def relu(input: A, *, out: A | None = None) -> A: ...
@overload
def relu(input: Other, *, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
@overload
def softmax(input: A, dim: Int = -1) -> A: ...
@overload
def softmax(input: Other, dim: Int = -1) -> NDArray[Any]: ...
@overload
def log_softmax(input: A, dim: Int = -1) -> A: ...
@overload
def log_softmax(input: Other, dim: Int = -1) -> NDArray[Any]: ...
@overload
def dropout(input: A, p: float = 0.5, training: bool = True, *, seed: Seed = None) -> A: ...
@overload
def dropout(input: Other, p: float = 0.5, training: bool = True, *, seed: Seed = None) -> NDArray[Any]: ...
@overload
def batch_norm(
    input: A, running_mean: Operand | None, running_var: Operand | None, weight: Operand | None = None, bias: Operand | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-05,
) -> A: ...
@overload
def batch_norm(
    input: Other, running_mean: Operand | None, running_var: Operand | None, weight: Operand | None = None, bias: Operand | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-05,
) -> NDArray[Any]: ...
@overload
def cross_entropy(
    input: Chunked, target: Operand, weight: Operand | None = None, ignore_index: Int = -100, reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Any: ...
@overload
def cross_entropy(
    input: Other, target: Operand, weight: Operand | None = None, ignore_index: Int = -100, reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> float: ...

"""Types of Plan, which cyconv.plan_conv makes."""

from collections.abc import Sequence
from typing import Any, overload

from numpy.typing import DTypeLike, NDArray

from ._types import Int, Ints, N, Operand, Other, Padding, PaddingMode, Precision
from .problem import ConvProblem

def plan(
    input_shape: Sequence[Int], weight: Operand, bias: Operand | None, dtype: DTypeLike | None, stride: Ints, padding: Padding, dilation: Ints,
    groups: Int, padding_mode: PaddingMode, algorithm: str, precision: Precision, max_workspace: Int, allow_tf32: bool,
) -> Plan: ...

class Plan:
    problem: ConvProblem
    algorithm: str
    output_shape: tuple[int, ...]
    workspace_bytes: int
    def __init__(self, problem: ConvProblem, weight: NDArray[Any], bias: NDArray[Any] | None, algorithm: str) -> None: ...
    @overload
    def __call__(self, input: N, out: N | None = None) -> N: ...
    @overload
    def __call__(self, input: Other, out: NDArray[Any] | None = None) -> NDArray[Any]: ...

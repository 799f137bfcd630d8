"""Types of cyconv.plot; what its functions do stands in the sources beside this."""

from collections.abc import Mapping, Sequence
from typing import TypeVar, overload

from matplotlib.figure import Figure, FigureBase
from numpy.typing import ArrayLike

from .._types import Int, Ints, Operand, PoolPadding
from ..nn import Module

_G = TypeVar("_G", bound=FigureBase)

@overload
def activation_maps(maps: Operand, *, columns: Int | None = None, most: Int = 64, figure: None = None) -> Figure: ...
@overload
def activation_maps(maps: Operand, *, columns: Int | None = None, most: Int = 64, figure: _G) -> _G: ...
@overload
def filters(
    weight: Operand | Module, *, columns: Int | None = None, titles: Sequence[str] | None = None, most: Int = 64, rgb: bool = False,
    figure: None = None,
) -> Figure: ...
@overload
def filters(
    weight: Operand | Module, *, columns: Int | None = None, titles: Sequence[str] | None = None, most: Int = 64, rgb: bool = False, figure: _G
) -> _G: ...
@overload
def learning_curve(history: Mapping[str, ArrayLike], *, figure: None = None) -> Figure: ...
@overload
def learning_curve(history: Mapping[str, ArrayLike], *, figure: _G) -> _G: ...
@overload
def pooled(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, *, dilation: Ints = 1, ceil_mode: bool = False,
    figure: None = None,
) -> Figure: ...
@overload
def pooled(
    input: Operand, kernel_size: Ints, stride: Ints | None = None, padding: PoolPadding = 0, *, dilation: Ints = 1, ceil_mode: bool = False,
    figure: _G,
) -> _G: ...
@overload
def receptive_field(model: Module, position: Ints, input: Operand, *, figure: None = None) -> Figure: ...
@overload
def receptive_field(model: Module, position: Ints, input: Operand, *, figure: _G) -> _G: ...

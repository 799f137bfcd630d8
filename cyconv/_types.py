"""The types in public signatures, for the stubs (*.pyi) of this package; nothing imports this while a program runs.

A stub stands beside the `__init__.py` of each public package and has all that the package exports: names, defaults and types. Sources have
none. `python -m mypy.stubtest` says where both differ (tests/test_typing.py).

Arrays keep their type: where a result has the dtype and the number of axes of an argument, that is said; elsewhere the dtype alone. For
CuPy's arrays, which have no types, and wherever dask's or NumPy's may come back, it is Any.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Chunked(Protocol):
    """An array of dask."""

    def __dask_graph__(self) -> Any: ...


class SupportsDLPack(Protocol):
    """An array of any library that follows Python's array API."""

    @property
    def __dlpack__(self) -> Callable[..., Any]: ...

    def __dlpack_device__(self) -> tuple[Any, Any]: ...


Other: TypeAlias = ArrayLike | SupportsDLPack  # what becomes an array of NumPy's
Operand: TypeAlias = Other | Chunked
A = TypeVar("A", bound=NDArray[Any] | Chunked)
N = TypeVar("N", bound=NDArray[Any])
F = TypeVar("F", bound=NDArray[np.inexact[Any]] | Chunked)
C = TypeVar("C", bound=Chunked)
S = TypeVar("S", bound=np.generic)
I = TypeVar("I", bound=np.inexact[Any])  # noqa: E741
W = TypeVar("W", np.float32, np.float64, np.complex64, np.complex128)  # SciPy's transforms make these of themselves
T = TypeVar("T")

Int: TypeAlias = SupportsIndex  # NumPy's integers, too
Ints: TypeAlias = Int | Sequence[Int] | NDArray[np.integer[Any]]  # one for all axes, or one for each
Shape: TypeAlias = Sequence[Int] | NDArray[np.integer[Any]]
Pairs: TypeAlias = Sequence[Sequence[Int]]
OutputSize: TypeAlias = Int | Sequence[Int | None] | None
Padding: TypeAlias = Ints | Pairs | Literal["valid", "same", "same_upper", "same_lower", "full"]
PoolPadding: TypeAlias = Ints | Pairs | Literal["valid", "same_upper", "same_lower"]
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
Precision: TypeAlias = Literal["default", "strict"]
Reduction: TypeAlias = Literal["mean", "sum"]
Border: TypeAlias = Literal["reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-constant", "grid-wrap"]
Mode: TypeAlias = Literal["full", "valid", "same"]
Method: TypeAlias = Literal["auto", "direct", "fft"]
Boundary: TypeAlias = Literal["fill", "pad", "wrap", "circular", "symm", "symmetric"]
Device: TypeAlias = Literal["cpu", "gpu"]
Seed: TypeAlias = int | np.random.Generator | None

"""Pools as their kernels see them (windows.cuh): five axes, (batch, channel, z, y, x), told by strides, and what is joined how."""

from math import isinf, prod

import numpy as np

from ..arguments import COMPLEX, INTEGERS
from ..pool_problem import BORDERS as WORDS
from .launch import REALS, TYPES

TYPES = TYPES | {"bool": "unsigned char"}  # which compare alike
_KINDS = {"max": "MAX", "min": "MIN", "average": "AVERAGE", "lp": "LP"}
BORDERS = ("", *WORDS)  # their numbers in windows.cuh


def kind(problem):
    """The word of windows.cuh for what samples are joined to."""
    if problem.kind == "lp" and isinf(problem.norm_type):
        return "MAX_NORM" if problem.norm_type > 0 else "MIN_NORM"
    return "MAX" if _turned(problem) else _KINDS[problem.kind]


def _turned(problem):
    """Whether maxima of turned bits are sought."""
    return problem.kind == "min" and problem.dtype not in REALS


def kinds():
    """All (dtype, kind) that there are."""
    return [
        *((dtype, kind) for dtype in REALS + INTEGERS for kind in ("MAX", "AVERAGE")),
        *((dtype, kind) for dtype in REALS for kind in ("MIN", "LP", "MAX_NORM", "MIN_NORM")),
        *((dtype, "AVERAGE") for dtype in COMPLEX),
    ]


def sums(kind):
    """Whether samples, or powers of them, are added up."""
    return kind in ("AVERAGE", "LP")


def summed(dtype):
    """The dtype of sums."""
    return "uint64" if dtype in INTEGERS else "complex128" if dtype in COMPLEX else "float64"


def five_axes(problem, array):
    """A view (batch, channel, z, y, x)."""
    return array[(*(None,) * (not problem.batched), *(slice(None),) * (1 + problem.batched), *(None,) * (3 - problem.rank))]


def axes(problem):
    """The arguments `Axis` of z, y and x."""
    p = problem
    numbers = (p.size, p.out_size, p.kernel, p.stride, p.dilation, p.pad_before, p.pad_after, p.adaptive)
    return [(*(int(each[a]) for each in numbers), BORDERS.index(p.border[a])) for a in range(3)]


def places(problem):
    """From one sample to the next along each axis, as indices count them."""
    return problem.size[1] * problem.size[2], problem.size[2], 1


def division(problem):
    """The argument `Division`."""
    divisor, whole = problem.divisor_override or 0, float(prod(problem.kernel))
    by = float(divisor or whole)
    # the reciprocal of a power of two is exact; what another's is off by is more than half and double precision can bear
    good = abs(np.frexp(by)[0]) == 0.5 or problem.dtype in ("float32", "complex64")
    return divisor, bits(whole), bits(1 / by if good else 0.0), bits(problem.norm_type), -_turned(problem)


def bits(value, dtype="float64"):
    """A number's bits as an integer of 64."""
    return int.from_bytes(np.array(value, dtype).tobytes().ljust(8, b"\0"), "little", signed=True)


def outside(problem):
    """The bits of what lies beyond borders named "constant"."""
    return bits(problem.cval, problem.dtype) if any(problem.border) else 0

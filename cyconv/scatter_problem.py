"""What is to be put back to where maxima were found, as frozen, array-free values: all checks but those of the indices' values.

Both ways back take values and flat indices into planes, zeros everywhere else: max unpooling puts values there, the gradient of
a max pool adds them up, since windows share samples.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from .arguments import COMPLEX, FLOATS, GPU_ONLY, INTEGERS, check_bytes, dtype_name, integers, shape_of
from .pool_problem import MAX_DTYPES, pool_stride
from .problem import CACHED, check_input_shape


@dataclass(frozen=True, slots=True)
class ScatterProblem:
    """Values put back to where their maxima were found, or added up there."""

    planes: int
    plane: int  # elements of one plane of the result
    dtype: str
    output_shape: tuple
    adds: bool


# ---- max unpooling -------------------------------------------------------------------------------------------------------


def unpool_problem(rank, input, indices, kernel_size, stride, padding, output_size):
    """Of max unpooling."""
    dtype = dtype_name("input", input.dtype, MAX_DTYPES + COMPLEX, GPU_ONLY)
    _check_indices(indices, input, "the input's")
    kernel = integers("kernel_size", kernel_size, rank, 1)
    if output_size is not None:
        what = f"None or a sequence of {rank} or {rank + 2} ints"
        output_size = shape_of("output_size", output_size, what)
        if len(output_size) not in (rank, rank + 2):
            raise ValueError(f"output_size must be {what}, got {len(output_size)} values")
        output_size = output_size[-rank:]
    return _unpool_problem(
        rank, input.shape, dtype, kernel, pool_stride(stride, kernel), integers("padding", padding, rank, 0), output_size
    )


@lru_cache(CACHED)
def _unpool_problem(rank, shape, dtype, kernel, stride, padding, output_size):
    batched, batch, channels, size = check_input_shape(f"max_unpool{rank}d", rank, shape, least=1)
    lengths = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding)]
    if output_size is not None:
        for axis, (given, length, s) in enumerate(zip(output_size, lengths, stride)):
            if not length - s < given < length + s:
                raise ValueError(f"output_size must be above {length - s} and below {length + s} along spatial axis {axis}, got {given}")
        lengths = output_size
    if min(lengths) < 1:
        raise ValueError(
            f"the result would have spatial size {tuple(lengths)}, which must be positive (input {tuple(size)}, kernel_size {kernel}, "
            f"stride {stride}, padding {padding}, output_size {output_size})"
        )
    return _problem((*((batch,) if batched else ()), channels), tuple(lengths), dtype, False)


# ---- the gradient of a max pool -------------------------------------------------------------------------------------------


def max_pool_input_problem(rank, input_size, indices, grad_output):
    """Of the gradient with respect to the input of any pool that returns indices."""
    dtype = dtype_name("grad_output", grad_output.dtype, FLOATS + COMPLEX + INTEGERS, GPU_ONLY)
    _check_indices(indices, grad_output, "grad_output's")
    what = f"a sequence of {rank + 1} or {rank + 2} ints, the shape of the pool's input"
    input_size = shape_of("input_size", input_size, what)
    if len(input_size) != grad_output.ndim:
        raise ValueError(f"input_size must be {what}, with as many axes as grad_output, {grad_output.ndim}; got {len(input_size)} values")
    check_input_shape(f"max_pool{rank}d_input", rank, grad_output.shape, least=0)
    lead = input_size[:-rank]
    if lead != grad_output.shape[:-rank]:
        raise ValueError(f"input_size must begin with grad_output's batch and channels {grad_output.shape[:-rank]}, got {lead}")
    return _problem(lead, input_size[-rank:], dtype, True)


# ---- what both share -----------------------------------------------------------------------------------------------------


def outside(problem, index):
    """What is raised about an index that is none of the plane."""
    return ValueError(f"indices must be at least 0 and below {problem.plane}, the size of one plane of the result; got {index}")


def _check_indices(indices, values, whose):
    dtype_name("indices", indices.dtype, INTEGERS)
    if indices.shape != values.shape:
        raise ValueError(f"indices must have {whose} shape {values.shape}, got {indices.shape}")


def _problem(lead, size, dtype, adds):
    check_bytes(lead + size, np.dtype(dtype).itemsize, "the result")
    return ScatterProblem(prod(lead), prod(size), dtype, lead + size, adds)

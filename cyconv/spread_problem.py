"""What gradients of pools, and of unfold and fold, are asked for: all checks but those of the indices' values.

A gradient that is spread over windows is described by the pool that took its input from them: a PoolProblem of the same shapes, only that
values come from where that puts results, and go to where its input is.
"""

from math import prod

import numpy as np

from .arguments import COMPLEX, FLOATS, GPU_ONLY, INTEGERS, Described, check_bytes, dtype_name, shape_of
from .fold_problem import FOLD_DTYPES, unfold_problem
from .pool_problem import LP_DTYPES, adaptive_pool_problem, avg_pool_problem, lp_pool_problem
from .problem import check_input_shape
from .scatter_problem import ScatterProblem

# ---- averages and norms --------------------------------------------------------------------------------------------------


def avg_pool_input_problem(rank, input_size, grad_output, *arguments):
    """Of the gradient of an average pool; `arguments` are the pool's."""
    input = _described_input(rank, input_size, grad_output)
    problem = avg_pool_problem(rank, input, *arguments)
    _check_grad(problem, grad_output)
    return problem


def adaptive_avg_pool_input_problem(rank, input_size, grad_output):
    """Of the gradient of an adaptive average pool, whose windows are told by the two shapes."""
    input = _described_input(rank, input_size, grad_output)
    problem = adaptive_pool_problem(rank, input, "average", grad_output.shape[-rank:])
    _check_grad(problem, grad_output)
    return problem


def lp_pool_input_problem(rank, input, grad_output, *arguments):
    """Of the gradient of a power-average pool; `arguments` are the pool's."""
    dtype = dtype_name("input", input.dtype, LP_DTYPES, GPU_ONLY)
    if grad_output.dtype != input.dtype:
        raise TypeError(f"grad_output must have the dtype of the pool's result, {dtype}; got {grad_output.dtype}")
    check_input_shape(f"lp_pool{rank}d_input", rank, input.shape, least=1)
    problem = lp_pool_problem(rank, input, *arguments)
    _check_grad(problem, grad_output)
    return problem


def _described_input(rank, input_size, grad_output):
    dtype_name("grad_output", grad_output.dtype, FLOATS + COMPLEX, GPU_ONLY)
    shape = _input_size(rank, input_size, grad_output.ndim)
    check_bytes(shape, grad_output.dtype.itemsize, "the result")
    return Described(shape, grad_output.dtype)


def _input_size(rank, input_size, ndim):
    what = f"a sequence of {rank + 1} or {rank + 2} ints, the shape of the forward function's input"
    shape = shape_of("input_size", input_size, what)
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(f"input_size must be {what}; got {len(shape)} values")
    if ndim is not None and len(shape) != ndim:
        raise ValueError(f"input_size must have as many values as grad_output has axes, {ndim}; got {len(shape)}")
    if 0 in shape[-rank:]:
        raise ValueError(f"input_size must have no spatial axis shorter than 1, got {shape}")
    return shape


def _check_grad(problem, grad_output):
    if grad_output.shape != problem.output_shape:
        raise ValueError(
            f"grad_output must have shape {problem.output_shape}, that of the pool's result for an input of shape {problem.input_shape}; "
            f"got {grad_output.shape}"
        )


# ---- max unpooling ---------------------------------------------------------------------------------------------------------


def max_unpool_input_problem(rank, grad_output, indices):
    """The max unpooling whose gradient is asked for."""
    dtype = dtype_name("grad_output", grad_output.dtype, FLOATS + COMPLEX + INTEGERS, GPU_ONLY)
    dtype_name("indices", indices.dtype, INTEGERS)
    for name, array in (("grad_output", grad_output), ("indices", indices)):
        if array.ndim not in (rank + 1, rank + 2):
            raise ValueError(f"{name} must have {rank + 1} or {rank + 2} axes, got shape {array.shape}")
    lead = grad_output.shape[:-rank]
    if indices.shape[:-rank] != lead:
        raise ValueError(f"indices must begin with grad_output's batch and channels {lead}, got shape {indices.shape}")
    return ScatterProblem(prod(lead), prod(grad_output.shape[-rank:]), dtype, grad_output.shape, False)


# ---- unfold and fold -------------------------------------------------------------------------------------------------------


def unfold_input_problem(input_size, grad_output, kernel_size, dilation, padding, stride):
    """The unfold whose gradient is asked for."""
    dtype_name("grad_output", grad_output.dtype, FOLD_DTYPES, GPU_ONLY)
    rank = _axes(kernel_size)
    shape = _input_size(rank, input_size, None)
    if 0 in shape[-rank - 1 :]:
        raise ValueError(f"input_size must be above 0 but for the batch, got {shape}")
    problem = unfold_problem(Described(shape, grad_output.dtype), kernel_size, dilation, padding, stride)
    if grad_output.shape != problem.columns_shape:
        raise ValueError(
            f"grad_output must have shape {problem.columns_shape}, that of the columns of an input of shape {shape}; "
            f"got {grad_output.shape}"
        )
    return problem


def check_fold_input(grad_output, kernel_size):
    """Before unfold looks at the rest."""
    dtype_name("grad_output", grad_output.dtype, FOLD_DTYPES, GPU_ONLY)
    rank, shape = _axes(kernel_size), grad_output.shape
    if len(shape) not in (rank + 1, rank + 2) or 0 in shape[-rank - 1 :]:
        raise ValueError(
            f"grad_output must have {rank + 1} axes of at least 1 for a kernel_size of {rank} axes, and may have a batch axis before them; "
            f"got shape {shape}"
        )


def _axes(kernel_size):
    """How many spatial axes a kernel has, 2 if it is an int; what is neither is refused later."""
    sequence = isinstance(kernel_size, (tuple, list)) or isinstance(kernel_size, np.ndarray) and kernel_size.ndim
    return len(kernel_size) if sequence and 1 <= len(kernel_size) <= 3 else 2

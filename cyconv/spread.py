"""Gradients of average and power-average pools, spread over the windows that were pooled, and of max unpooling, taken from there."""

from dataclasses import replace
from math import isinf, prod

import numpy as np

from . import _spread, scatter
from ._calls import pooled
from .arguments import check_cpu_dtype, check_out, delivered
from .devices import on_gpu
from .memory import empty, overlaps
from .scatter_problem import ScatterProblem

_BLOCK = 1 << 17  # numbers of the planes that are worked on together where several arrays of them are needed


# ---- averages ------------------------------------------------------------------------------------------------------------


def average(problem, grad_output, out):
    """The gradient of the average pool that `problem` describes."""
    if on_gpu(grad_output):
        from .gpu import spread as on_device

        return on_device.average(problem, grad_output, out)
    check_cpu_dtype("grad_output", problem.dtype)
    if out is not None:
        check_out(out, problem.input_shape, problem.dtype)
    native = grad_output.size and problem.dtype in ("float32", "float64")
    if native and out is not None and out.flags.carray and not overlaps(out, grad_output):
        _spread.spread(problem, np.ascontiguousarray(grad_output), out)
        return out
    if problem.dtype == "float16":  # sums are rounded to it once
        with np.errstate(over="ignore"):
            result = _spread_out(problem, grad_output.astype(np.float32)).astype(np.float16)
    elif problem.dtype.startswith("complex"):
        result = empty(problem.input_shape, problem.dtype)
        result.real, result.imag = _spread_out(problem, grad_output.real), _spread_out(problem, grad_output.imag)
    else:
        result = _spread_out(problem, grad_output)
    return delivered(result, out)


def _spread_out(problem, values):
    """Of single or double precision."""
    if not values.size:
        return np.zeros(problem.input_shape, values.dtype)
    result = empty(problem.input_shape, values.dtype)
    _spread.spread(problem, np.ascontiguousarray(values), result)
    return result



# ---- norms ---------------------------------------------------------------------------------------------------------------


def norm(problem, input, grad_output, out):
    """The gradient of the power-average pool that `problem` describes."""
    if on_gpu(input):
        from .gpu import powers

        return powers.norm(problem, input, grad_output, out)
    check_cpu_dtype("input", problem.dtype)
    if out is not None:
        check_out(out, problem.input_shape, problem.dtype)
    if not grad_output.size:
        result = np.zeros(problem.input_shape, problem.dtype)
    elif isinf(problem.norm_type):
        result = _of_extremes(problem, input, grad_output)
    else:
        result = _of_powers(problem, input, grad_output)
    return delivered(result, out)


def _of_powers(problem, input, grad_output):
    """y = (c * sum of x**p)**(1/p) has the derivatives c * y**(1 - p) * x**(p - 1), whose last factor does not depend on the window."""
    p, rank, planes = problem.norm_type, problem.rank, problem.planes
    size, out_size = problem.size[3 - rank :], problem.out_size[3 - rank :]
    x, g = input.reshape(planes, *size), grad_output.reshape(planes, *out_size)
    result = empty(problem.input_shape, problem.dtype)
    parts = result.reshape(planes, *size)
    some = max(1, _BLOCK // prod(size))
    for first in range(0, planes, some):
        block = slice(first, min(first + some, planes))
        count = block.stop - first
        described = replace(
            problem, batched=False, batch=1, channels=count, dtype="float64", steps=problem.steps // planes * count, kept={}
        )
        with np.errstate(all="ignore"):
            parts[block] = _block_of_powers(described, p, x[block].astype(np.float64), g[block].astype(np.float64))
    return result


def _block_of_powers(problem, p, x, g):
    if p == 1:
        return _spread_out(problem, g)
    y = pooled(problem, x, "auto", None)
    result = _spread_out(problem, np.where(y == 0, 0, g * y ** (1 - p)))
    if p < 1:
        none = (result == 0) & (x == 0)  # whose power is infinite
    result *= x ** (p - 1)
    if p < 1:
        result[none] = 0
    for axis, beyond in enumerate(_in_no_window(problem)):
        result[(slice(None), *(slice(None),) * axis, beyond)] = 0  # also where the sample is NaN
    return result


def _in_no_window(problem):
    """Along each of the caller's axes, the samples between windows and after the last one."""
    for n, k, s, m in list(zip(problem.size, problem.kernel, problem.stride, problem.out_size))[3 - problem.rank :]:
        samples = np.arange(n)
        yield (samples % s >= k) | (samples >= (m - 1) * s + k) if s > k or (m - 1) * s + k < n else slice(0, 0)


def _of_extremes(problem, input, grad_output):
    kind = "max" if problem.norm_type > 0 else "min"
    described = replace(problem, kind=kind, with_indices=True, norm_type=0.0, kept={})
    _, indices = pooled(described, np.abs(input), "auto", None)
    winners = ScatterProblem(problem.planes, prod(problem.size), problem.dtype, problem.input_shape, True)
    result = scatter.run(winners, grad_output, indices, None)
    with np.errstate(invalid="ignore"):
        return np.where(result == 0, result, result * np.sign(input))  # a NaN that lost is no part of it


# ---- max unpooling -------------------------------------------------------------------------------------------------------


def taken(problem, grad_output, indices, out):
    """The gradient of max unpooling: what stands where the last of all values with an index was put."""
    if on_gpu(grad_output):
        from .gpu import scatter as on_device

        return on_device.taken(problem, grad_output, indices, out)
    check_cpu_dtype("grad_output", problem.dtype)
    if out is not None:
        check_out(out, indices.shape, problem.dtype)
    result = np.zeros(indices.shape, problem.dtype)
    if indices.size:
        at, g = indices.astype(np.int64).reshape(problem.planes, -1), grad_output.reshape(problem.planes, -1)
        parts, order = result.reshape(at.shape), np.arange(1, at.shape[1] + 1)
        some = max(1, _BLOCK // max(problem.plane, at.shape[1]))
        for first in range(0, problem.planes, some):
            block = slice(first, min(first + some, problem.planes))
            count = block.stop - first
            places = ScatterProblem(count, problem.plane, "int64", (count, problem.plane), False)
            last = scatter.run(places, np.broadcast_to(order, (count, order.size)), at[block], None)
            stayed = np.take_along_axis(last, at[block], -1) == order
            np.copyto(parts[block], np.take_along_axis(g[block], at[block], -1), where=stayed)
    return delivered(result, out)

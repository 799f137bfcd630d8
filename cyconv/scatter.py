"""Values back to where maxima were found: max unpooling, and gradients of max pools."""

import numpy as np

from . import _scatter
from .arguments import check_cpu_dtype, check_out
from .devices import on_gpu
from .memory import empty, overlaps
from .scatter_problem import outside


def run(problem, values, indices, out, known=False):
    """Zeros, with the values where the indices say: of several at one place the last one, or their sum. `known`: that these are possible."""
    if on_gpu(values):
        from .gpu import scatter as on_device

        return on_device.run(problem, values, indices, out, known)
    check_cpu_dtype("grad_output" if problem.adds else "input", problem.dtype)
    if out is not None:
        check_out(out, problem.output_shape, problem.dtype)
    result = _scattered(problem, values, indices, out)
    if out is None or result is out:
        return result
    out[...] = result
    return out


def _scattered(problem, values, indices, out):
    if problem.adds and problem.dtype == "float16":  # sums are rounded to it once
        values, out = values.astype(np.float32), None
    direct = out is not None and out.flags.carray and not overlaps(out, values) and not overlaps(out, indices)
    if not values.size:
        return np.zeros(problem.output_shape, problem.dtype)
    result = out if direct else empty(problem.output_shape, values.dtype)
    given, values, indices = indices, np.ascontiguousarray(values), np.ascontiguousarray(_as_int64(indices))
    if not _scatter.scatter(problem.planes, problem.plane, values, indices, result, problem.adds, direct):
        raise outside(problem, given[(indices < 0) | (indices >= problem.plane)][0])
    with np.errstate(over="ignore"):
        return result.astype(problem.dtype, copy=False)


def _as_int64(indices):
    """Indices of any integer dtype; those of uint64 that int64 cannot hold become negative, so that they are refused."""
    return indices.astype(np.int64, copy=False)

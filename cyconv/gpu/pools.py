"""One pooling of a CuPy array, from any arguments to the result: as _calls.pyx for NumPy's."""

import numpy as np

from ..arguments import as_array, delivered
from ..select import choose_pool
from .calls import room


def pool(make, rank, input, arguments, algorithm, out):
    """The pool that cyconv.max_pool1d and the like document: `make(rank, input, *arguments)` is the problem."""
    input = as_array("input", input, gpu=True)
    return pooled(make(rank, input, *arguments), input, algorithm, out)


def pooled(problem, input, algorithm, out):
    """One pooling of an array that `problem` describes: the values, with the winners' places if they are asked for."""
    row = choose_pool(problem, algorithm, device="gpu")
    with input.device:
        result = room(problem.output_shape, problem.dtype, out, input)
        indices = empty(problem.output_shape, np.int64) if problem.with_indices else None
        if result.size:
            row.run(problem, input, result, indices)
        values = delivered(result, out)
    return values if indices is None else (values, indices)


def empty(shape, dtype):
    """An array whose numbers are still to be made, on the current device."""
    import cupy

    return cupy.empty(shape, dtype)

"""Max unpooling of dask arrays.

An index may be anywhere in its plane, and of several values with one index the last stays, so that a task has whole planes: as few as hold no
more than a chunk of the input does.
"""

from dataclasses import replace
from math import prod

import numpy as np

from ..arguments import as_array, check_cpu_dtype
from ..devices import where
from ..scatter import run
from ..scatter_problem import unpool_problem
from .arrays import as_dask, check_no_out, device_of_chunks, thinner
from .graph import check_chunks, few_threads


def unpool(rank, input, indices, kernel_size, stride, padding, output_size, out):
    """The unpooling that cyconv.max_unpool1d and the like document."""
    import dask.array as da

    check_no_out(out)
    device = device_of_chunks(input=input, indices=indices)
    input, indices = as_dask("input", input), as_dask("indices", indices)
    check_chunks("input", input)
    check_chunks("indices", indices)
    problem = unpool_problem(rank, input, indices, kernel_size, stride, padding, output_size)
    if device == "cpu":
        check_cpu_dtype("input", problem.dtype)
    lead = input.ndim - rank
    input = thinner(input, lead, problem.plane)
    input = input.rechunk(dict.fromkeys(range(lead, input.ndim), -1))
    chunks = input.chunks[:lead] + tuple([(length,) for length in problem.output_shape[lead:]])
    return da.map_blocks(
        _scattered, input, indices.rechunk(input.chunks), problem, lead, chunks=chunks, dtype=np.dtype(problem.dtype), meta=input._meta
    )


def _scattered(input, indices, problem, lead):
    """Some planes."""
    shape = input.shape[:lead] + problem.output_shape[lead:]
    some = replace(problem, planes=prod(shape[:lead]), output_shape=shape)
    with few_threads(), where(input):
        return run(some, as_array("input", input, gpu=True), as_array("indices", indices, gpu=True), None)

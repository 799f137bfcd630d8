"""What a caller passed, where some of it is dask's."""

from math import prod

import numpy as np

from ..arguments import as_array
from ..devices import device_of, is_chunked
from .graph import check_chunks

MOST = 2**24  # samples that a task reads, where no chunk of the input holds more


def device_of_chunks(**arrays):
    """ "gpu" if the arrays, or their chunks, are CuPy's, "cpu" if they are NumPy's."""
    return device_of(**{name: array._meta if is_chunked(array) else array for name, array in arrays.items()})


def as_dask(name, value):
    """`value` as a dask array; what is none yet becomes one of a single chunk."""
    if is_chunked(value):
        as_array(name, value._meta, gpu=True)  # raises what it raises for arrays like its chunks
        return value
    import dask.array as da

    value = as_array(name, value, gpu=True)
    return da.from_array(value, chunks=-1, asarray=isinstance(value, np.ndarray))


def operands(input, weight, bias):
    """A convolution's arrays, the input as a dask array, and the device of their chunks."""
    device = device_of_chunks(input=input, weight=weight, bias=bias)
    input = as_dask("input", input)
    check_chunks("input", input)
    weight = weight if is_chunked(weight) else as_array("weight", weight, gpu=True)
    return input, weight, bias if bias is None or is_chunked(bias) else as_array("bias", bias, gpu=True), device


def check_no_out(out, name="out"):
    if out is not None:
        raise TypeError(f"{name} must be None for dask arrays, whose results are computed later; dask.array.store writes them somewhere")


def thinner(array, lead, samples):
    """The array with chunks of fewer planes along its first `lead` axes, where a task that reads `samples` of each would read too much."""
    planes = max(MOST, prod(array.chunksize)) // max(samples, 1)
    chunks = {}
    for axis in reversed(range(lead)):
        most = max(1, planes)
        found = [min(most, length - at) for length in array.chunks[axis] for at in range(0, length, most)]
        if len(found) > len(array.chunks[axis]):
            chunks[axis] = tuple(found)
        planes //= max(1, min(most, array.chunksize[axis]))
    return array.rechunk(chunks) if chunks else array

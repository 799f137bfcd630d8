"""Rectifiers and dropout on CuPy arrays."""

from ..arguments import delivered
from ..devices import device_of, lies_whole
from . import costs
from .elements import wide
from .launch import REALS, TYPES, blocks, kernel

THREADS = 256


def relu(input, out):
    """max(x, 0), written to `out` if that is not None."""
    import cupy

    with input.device:
        return delivered(cupy.maximum(input, 0, out=out if out is not None and lies_whole(out) else cupy.empty(input.shape, input.dtype)), out)


def passed(grad_output, output):
    """grad_output where output > 0, else 0."""
    import cupy

    device_of(grad_output=grad_output, output=output)
    with output.device:
        g, y, result = cupy.ascontiguousarray(grad_output), cupy.ascontiguousarray(output), cupy.empty(output.shape, output.dtype)
        if y.size:
            width = wide(y.size, g, y, result)
            kernel("activations", f"passed<{TYPES[y.dtype.name]}, {width}>")(
                (blocks(y.size // width, THREADS),), (THREADS,), (y.size, g, y, result)
            )
        return result


def dropout(input, p, key, out=None):
    """`input` with some elements made 0; the same ones for the same key, a uint64."""
    import cupy

    with input.device:
        x = cupy.ascontiguousarray(input)
        result = out if out is not None and out.flags.c_contiguous and lies_whole(out) else cupy.empty(input.shape, input.dtype)
        if x.size:
            kernel("activations", f"dropout<{TYPES[x.dtype.name]}>")(
                (blocks(-(-x.size // 4), THREADS),), (THREADS,), (x.size, key, float(p), 1 / (1 - p) if p < 1 else 0.0, x, result)
            )
        return delivered(result, out)


def instances():
    """All kernels that may be asked for: (file, expression)."""
    found = [f"dropout<{TYPES[dtype]}>" for dtype in REALS]
    found += [f"passed<{TYPES[dtype]}, {width}>" for dtype in REALS for width in (1, 16 // costs.itemsize(dtype))]
    return [("activations", expression) for expression in found]

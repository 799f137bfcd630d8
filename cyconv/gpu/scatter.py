"""Values of CuPy arrays put back to where maxima were found, or added up there: max unpooling, its gradient, and that of max pools.

Indices are looked at before anything is written. Whether one is outside of its plane is read back from the device: one of the few places
that wait for it.
"""

from dataclasses import replace

import numpy as np

from ..arguments import delivered
from ..problem import MAX_WORKSPACE
from ..scatter_problem import outside
from . import costs
from .calls import room
from .launch import ADDED, MOVED, blocks, kernel, packed

LANES, WARPS, BAND_BYTES, RANGES = 32, 4, 4096, 2  # as in scatter.cu
THREADS = 256  # of what looks at indices
FAR = 64  # times that bands may look at each value, on average, before it pays to sort them
SORTING = 48  # bytes that sorting takes for a value


def run(problem, values, indices, out, known=False):
    """Zeros, with the values where the indices say: of several at one place the last one, or their sum. `known`: that a pool made them."""
    p, width = problem, values.itemsize
    with values.device:
        result = _contiguous_room(p.output_shape, p.dtype, out, values, indices)
        if p.adds:
            _scatter(p, f"put<{ADDED.get(p.dtype, MOVED[width])}, Added>", max(width, 4), values, indices, result, known)
        else:
            _scatter(p, f"put<{MOVED[width]}, Last>", width, values, indices, result, known)
        return delivered(result, out)


def taken(problem, grad_output, indices, out):
    """The gradient of max unpooling: what stands where the last of all values with an index was put."""
    import cupy

    with grad_output.device:
        indices = cupy.ascontiguousarray(indices, np.int64)
        result = _contiguous_room(indices.shape, problem.dtype, out, grad_output, indices)
        _scatter(problem, f"take<{MOVED[grad_output.itemsize]}>", 8, grad_output, indices, result)
        return delivered(result, out)


def _contiguous_room(shape, dtype, out, *read):
    import cupy

    result = room(shape, dtype, out, *read)
    return result if result.flags.c_contiguous else cupy.empty(shape, dtype)


def _scatter(problem, name, width, source, indices, result, known=False):
    """By a kernel of scatter.cu, whose bands hold numbers of `width` bytes, from contiguous planes to such."""
    import cupy

    p, values = problem, indices.size
    if not values:
        result[...] = 0
        return
    source, places = cupy.ascontiguousarray(source), cupy.ascontiguousarray(indices, np.int64)
    arguments = look(p, width, places)
    if known:  # then they are possible, and near enough to order: nobody waits to hear of it
        _in_bands(p, name, width, source, places, result, *arguments)
        return
    impossible, scanned = map(int, arguments[1][:RANGES].get())
    if impossible:
        raise outside(p, indices.ravel()[values - impossible].item())
    if scanned <= FAR * -(-values // LANES):
        _in_bands(p, name, width, source, places, result, *arguments)
        return
    some = max(1, MAX_WORKSPACE // (SORTING * (values // p.planes)))  # planes that are sorted together
    bits = f"u{source.itemsize}" if source.itemsize < 16 else source.dtype  # of numbers that are only moved
    source, places, result = (a.reshape(p.planes, -1) for a in (source.view(bits), places, result.view(bits)))
    for first in range(0, p.planes, some):
        block = slice(first, min(first + some, p.planes))
        _sorted(p, name, width, source[block].ravel(), places[block], result[block].ravel())


def look(problem, width, places):
    """The kernels' struct, and what kernels `look` and `sum_ranges` note about the places."""
    import cupy

    p, values, positions = problem, places.size, problem.planes * problem.plane
    count, bits = values // p.planes, (BAND_BYTES // width).bit_length() - 1
    bands = -(-positions >> bits)
    noted = cupy.zeros(RANGES + 2 * bands, np.uint64)
    grid = min(blocks(values, THREADS), 32 * costs.PROCESSORS)
    struct = packed(count, p.plane, values, positions, bits, divmod(LANES, count), divmod(grid * THREADS, count))
    kernel("scatter", "look")((grid,), (THREADS,), (struct, places, noted))
    if p.plane > FAR << bits:
        kernel("scatter", "sum_ranges")((min(blocks(bands, THREADS), 4 * costs.PROCESSORS),), (THREADS,), (struct, noted))
    return struct, noted


def _in_bands(problem, name, width, source, places, result, struct, noted):
    bands = -(-problem.planes * problem.plane // (BAND_BYTES // width))
    kernel("scatter", name)((blocks(bands, WARPS),), (LANES * WARPS,), (struct, source, places, noted, result))


def _sorted(problem, name, width, source, places, result):
    """Of values that are far from order: sorted by their places, those of one place in order, as if all planes were one."""
    import cupy

    planes, plane = len(places), problem.plane
    places = (places + plane * cupy.arange(planes, dtype=np.int64).reshape(planes, 1)).ravel()
    order = cupy.argsort(places, kind="stable")
    p, places = replace(problem, planes=1, plane=planes * plane), places[order]
    if name.startswith("take"):
        taken = cupy.empty(places.shape, result.dtype)
        _in_bands(p, name, width, source, places, taken, *look(p, width, places))
        result[order] = taken
    else:
        _in_bands(p, name, width, source[order], places, result, *look(p, width, places))


def instances():
    """All kernels that may be asked for: (file, expression)."""
    added = [*ADDED.values(), *(MOVED[width] for width in (1, 2, 4, 8))]
    names = ["look", "sum_ranges", *(f"put<{each}, Added>" for each in added)]
    return [("scatter", name) for name in [*names, *(f"{what}>" for each in MOVED.values() for what in (f"put<{each}, Last", f"take<{each}"))]]

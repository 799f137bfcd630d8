"""Columns and cuBLAS: windows of the input are written side by side, and one product of matrices makes all outputs of a pass.

    columns[k, column] = the sample under tap k = (channel, tz, ty, tx) of output column = (n, z, y, x)
    out[o, column]     = bias[o] + sum over k of weight[o, k] * columns[k, column]                         of each group

The plain way that leaves the multiplying to NVIDIA (products.py). A pass takes as many columns as stay near the cache that all processors
share, or more where those would leave processors idle, within max_workspace. Where items have many pixels the matrices of a pass are
(item, group), where they have few a pass is one long matrix for each group. Passes are all of one size, since sums of another one may
be ordered otherwise: the last begins a little earlier, and computes some outputs twice.

Kernels of one tap, without strides and padding, need no columns: there the input is the matrix, if it lies so that cuBLAS can read it, and
items have many pixels. Products go straight to `out` where it lies so that cuBLAS can write it, and are added to the bias that is put
there before; else, and for half types with a bias, which are rounded once, to a buffer first. Weights that cuBLAS cannot read where they
lie are copied: there is always room for that, so that passes hang on the problem alone. Meant for where cuBLAS's products are so much
faster than implicit_gemm's that columns pay, and for kernels of one tap.

It cannot leave out its work because of a number on the device, so it is not asked to compute again what another row spread a NaN in.
"""

from math import prod
from typing import NamedTuple

from . import costs, products
from .launch import INEXACT, MOVED, SUMS, TYPES, kernel, packed, word
from .layout import struct, too_long

THREADS = 256  # as in im2col.cu
PASS_BYTES = 32 << 20  # of columns and results
FEW_PIXELS = 1024  # of an item: then matrices of several items are one
TILE = 128 * 128  # outputs of a block of a large product
BLOCKS = 8 * costs.PROCESSORS  # of a kernel, at least, if there is so much to do


class Cut(NamedTuple):
    """The columns of a pass."""

    items: int
    pixels: int  # of each item
    passes: int
    merged: bool  # whether items are neighbours in one matrix
    bytes: int  # of columns, results and copied weights


def why_not(problem):
    p = problem
    if p.dtype not in INEXACT:
        return "for floating point and complex numbers only; direct computes integers"
    if reason := too_long(p):
        return reason
    if max(p.products, p.out_channels, prod(p.out_size)) > products.LONGEST:
        return "cuBLAS counts in 32 bits"
    if p.multiply_adds and isinstance(found := cut(p), int):
        return f"needs at least {found} bytes of workspace"
    return products.missing()


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("im2col", amounts(problem)), cut(problem).bytes if problem.multiply_adds else 0


def amounts(problem):
    """The work, as costs.py counts it."""
    p = problem
    if not p.multiply_adds:
        return {"call": 1}
    c = cut(p)
    gathered, delivered = not _without_columns(p, c), c.merged or p.dtype != SUMS[p.dtype] and p.has_bias
    columns, size = c.items * c.pixels * c.passes, costs.itemsize(p.dtype)
    matrices = [p.groups] if c.merged else sorted([c.items, p.groups])
    loops = 1 if c.merged else matrices[0]
    work = products.multiply_adds(p.out_channels, c.pixels * (c.items if c.merged else 1), p.products, matrices[-1]) * loops * c.passes
    work *= 4 if p.dtype.startswith("complex") else 2 if p.allow_tf32 else 1
    written = 2 * delivered * costs.itemsize(SUMS[p.dtype]) + p.has_bias * size  # results are read once more to have the bias added
    return {
        "call": 1,
        "launch": c.passes * (gathered + loops + (delivered or p.has_bias)),
        "byte": costs.moved(p) + p.groups * columns * (2 * gathered * p.products * size + written * p.out_channels),
        "tensor_multiply_add" if products.on_tensor_cores(p) else "multiply_add": work,
    }


def cut(problem):
    """The Cut of a problem, which alone decides it; or the bytes that one column and the weights need, if they are too many."""
    if "gpu im2col" not in problem.kept:
        problem.kept["gpu im2col"] = _cut(problem)
    return problem.kept["gpu im2col"]


def _cut(p):
    pixels = prod(p.out_size)
    each = p.groups * (p.products * costs.itemsize(p.dtype) + p.out_channels * costs.itemsize(SUMS[p.dtype]))
    columns = max(PASS_BYTES // each, 2 * costs.PROCESSORS * TILE // (p.groups * p.out_channels))
    weights = prod(p.weight_shape) * costs.itemsize(p.dtype)
    columns = min((p.max_workspace - weights) // each, columns, products.LONGEST)
    if columns < 1:
        return weights + each
    if columns >= pixels:
        passes = -(-p.batch // min(columns // pixels, p.batch))
        items = -(-p.batch // passes)
        return Cut(items, pixels, passes, p.batch > 1 and pixels < FEW_PIXELS, weights + items * pixels * each)
    passes = -(-pixels // columns)
    part = -(-pixels // passes)
    part = min(-(-part // 32) * 32, columns)  # so that most passes begin where memory is aligned
    return Cut(1, part, p.batch * -(-pixels // part), False, weights + part * each)


def _without_columns(problem, cut):
    p = problem
    return p.taps == 1 and max(p.stride) == 1 and not any(p.pad_before + p.pad_after) and not cut.merged


# ---- running ---------------------------------------------------------------------------------------------------------------


def run(problem, input, weight, bias, out):
    """Writes the result to `out`."""
    import cupy

    p, c = problem, cut(problem)
    taps = _flat(weight, 2)
    if taps is None or products.lies(taps) is None:
        taps = cupy.ascontiguousarray(weight).reshape(p.groups, p.out_channels, p.products)
    matrices, width = (1, c.items * c.pixels) if c.merged else (c.items, c.pixels)
    made, buffer = None, None
    for item in range(0, p.batch, c.items):
        item = min(item, p.batch - c.items)
        for pixel in range(0, prod(p.out_size), c.pixels):
            pixel = min(pixel, prod(p.out_size) - c.pixels)
            columns = _part_of(input, c, item, pixel) if _without_columns(p, c) else None
            if columns is None:
                made = cupy.empty((matrices, p.groups, p.products, width), p.dtype) if made is None else made
                columns = _gathered(p, c, item, pixel, input, weight, out, made)
            target = _part_of(out, c, item, pixel) if matrices == c.items and (bias is None or p.dtype == SUMS[p.dtype]) else None
            if target is None:
                buffer = cupy.empty((matrices, p.groups, p.out_channels, width), SUMS[p.dtype]) if buffer is None else buffer
                _multiply(p, taps, columns, buffer, False)
                _deliver(p, c, item, pixel, input, weight, buffer, bias, out)
            else:
                if bias is not None:
                    target[...] = bias.reshape(p.groups, p.out_channels, 1)
                _multiply(p, taps, columns, target, bias is not None)


def _flat(array, axis):
    """A view whose axes from `axis` on are one, or None if there is none."""
    run = None
    for n, step in zip(array.shape[: axis - 1 : -1], array.strides[: axis - 1 : -1]):
        if n > 1:
            if run is not None and step != run:
                return None
            run = n * step
    return array.reshape(*array.shape[:axis], -1)


def _part_of(array, cut, item, pixel):
    """The pixels of a pass as matrices (item, group, channel, pixel) where they lie, or None if cuBLAS cannot take them there."""
    pixels = _flat(array[item : item + cut.items], 3)
    if pixels is None:
        return None
    part = pixels[..., pixel : pixel + cut.pixels]
    return part if products.lies(part[0]) and products.lies(part[:, 0]) else None


def _multiply(p, taps, columns, target, add):
    """Products of all items and groups: cuBLAS counts along one of these axes."""
    items, groups = target.shape[:2]
    if items <= groups:
        for item in range(items):
            products.multiply(taps, columns[item], target[item], add, p.allow_tf32)
    else:
        for g in range(groups):
            products.multiply(taps[g : g + 1], columns[:, g], target[:, g], add, p.allow_tf32)


def _gathered(p, c, item, pixel, input, weight, out, made):
    grid, part = _launch(c, item, pixel, p.groups, p.in_channels, made, p.products)
    borders = word(p.padding_mode != "zeros")
    kernel("im2col", f"columns<{MOVED[input.itemsize]}, {borders}>")((grid,), (THREADS,), (struct(p, input, weight, out), part, input, made))
    return made


def _deliver(p, c, item, pixel, input, weight, buffer, bias, out):
    grid, part = _launch(c, item, pixel, p.groups, p.out_channels, buffer, p.out_channels)
    kernel("im2col", f"deliver<{TYPES[p.dtype]}>")((grid,), (THREADS,), (struct(p, input, weight, out), part, buffer, bias, out))


def _launch(c, item, pixel, groups, channels, matrices, rows):
    """(blocks, the argument Part): enough blocks for all processors, and as much as that leaves for each thread to do."""
    across, width = -(-c.items * c.pixels // THREADS), matrices.shape[3]
    each = -(-channels // min(channels, max(1, BLOCKS // (across * groups))))
    item_step = c.pixels if c.merged else groups * rows * width
    return across * groups * -(-channels // each), packed(item, c.items, pixel, c.pixels, item_step, rows * width, width, each)


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    gathers = [f"columns<{MOVED[size]}, {borders}>" for size in sorted({costs.itemsize(dtype) for dtype in INEXACT}) for borders in ("false", "true")]
    return [("im2col", expression) for expression in (*gathers, *(f"deliver<{TYPES[dtype]}>" for dtype in INEXACT))]

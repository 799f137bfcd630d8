"""Dense convolution as a matrix product whose second matrix, a window of the input in each column, is never stored.

The shape of a block's tile and the slices that k is cut into are a function of the problem alone, since a sum's order hangs on them; how
numbers are read is told by the arrays' strides. What tensor_gemm takes is handed over to it.
"""

from math import prod
from typing import NamedTuple

from . import costs, tensor_gemm
from .launch import INEXACT, MOST_BLOCKS, SUMS, TYPES, blocks, kernel, packed
from .layout import struct, too_long

STEP = 8  # rows of k at a time, as in gather.cuh
GATHERS = ("PANEL", "QUADS", "MASKED", "BOUNDED", "BORDERS")
FMA_SLOTS = {"float64": 2, "complex64": 4, "complex128": 8}  # of a scheduler, for one multiply-add of a warp; float64 has half the units
SLICES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
STEPS_OF_SLICE = 8  # at least: a block has to begin and to end
MASK_BITS = 31

# Instructions of a thread beside multiply-adds, counted in the machine code (nvdisasm): of a number of the input, of weights, of a
# step, and of all that is done once.
OF_INPUT, OF_WEIGHTS, OF_STEP, ONCE = 5.0, 3.5, 26, 900
WAITING = 2.5  # warps of a processor are held up as if so many more had to be served (a guess: 4 of them reach three fifths, 16 nearly all)


class Shape(NamedTuple):
    """Outputs of a block, channels by columns, and of a thread."""

    height: int
    width: int
    tall: int
    wide: int

    @property
    def threads(self):
        return self.height * self.width // (self.tall * self.wide)


class Cut(NamedTuple):
    """How a problem is cut into blocks."""

    shape: Shape
    tiles_o: int
    tiles_columns: int
    slices: int
    rows_of_slice: int
    slots: float  # of the processor that has most to do


_HALF = (Shape(64, 64, 8, 4), Shape(16, 256, 4, 8))  # tensor_gemm takes what is large
_EIGHT_BYTES = (Shape(64, 64, 8, 4), Shape(64, 32, 4, 4), Shape(16, 128, 4, 4))
SHAPES = {
    "float32": (Shape(128, 128, 8, 8), Shape(64, 128, 8, 8), Shape(64, 64, 8, 4), Shape(32, 128, 4, 8), Shape(16, 256, 4, 8), Shape(128, 32, 8, 4)),
    "float16": _HALF, "bfloat16": _HALF, "float64": _EIGHT_BYTES, "complex64": _EIGHT_BYTES,
    "complex128": (Shape(64, 32, 4, 4), Shape(16, 128, 4, 4)),
}  # fmt: skip


def why_not(problem):
    p = problem
    if p.dtype not in INEXACT:
        return "for floating point and complex numbers only; direct computes integers"
    if tensor_gemm.takes(p):
        return None
    if reason := too_long(p):
        return reason
    if max(p.products, prod(p.out_size)) >= 2**31:
        return "an output is the sum of more than 2**31 products, or an item has more than 2**31 pixels"
    if cut(p) is None:
        return "more tiles than one launch can have"
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("implicit_gemm", amounts(problem)), workspace(problem)


def amounts(problem):
    """The work, as costs.py counts it."""
    if tensor_gemm.takes(problem):
        return tensor_gemm.amounts(problem)
    c = cut(problem)
    return {"call": 1, "launch": 1 + (c.slices > 1), "slot": c.slots, "byte": costs.moved(problem) + 2 * workspace(problem)}


def workspace(problem):
    """Bytes of all slices' sums."""
    if tensor_gemm.takes(problem):
        return tensor_gemm.workspace(problem)
    return _partial_bytes(problem, cut(problem).slices)


def cut(problem):
    """The Cut that is likely to be quickest; a function of the problem alone. None if there is none."""
    if "gpu implicit_gemm" not in problem.kept:
        problem.kept["gpu implicit_gemm"] = min(_cuts(problem), key=lambda c: _seconds(problem, c), default=None)
    return problem.kept["gpu implicit_gemm"]


def _cuts(p):
    columns, steps = p.batch * prod(p.out_size), max(1, -(-p.products // STEP))
    for shape in SHAPES[p.dtype]:
        tiles_o, tiles_columns = max(1, -(-p.out_channels // shape.height)), max(1, -(-columns // shape.width))
        for slices in SLICES:
            steps_of_slice = -(-steps // slices)
            if slices > 1 and (steps_of_slice < STEPS_OF_SLICE or _partial_bytes(p, slices) > p.max_workspace):
                break
            slices = -(-steps // steps_of_slice)  # none is empty
            if (count := tiles_o * tiles_columns * p.groups * slices) <= MOST_BLOCKS:
                slots = _slots(p.dtype, shape, steps_of_slice, count)
                yield Cut(shape, tiles_o, tiles_columns, slices, steps_of_slice * STEP, slots)


def _slots(dtype, shape, steps, count):
    """Instructions of warps on the busiest processor, with what it waits where it has few warps."""
    fma = STEP * shape.tall * shape.wide * FMA_SLOTS.get(dtype, 1)
    shared = STEP * (shape.tall + shape.wide) * costs.itemsize(SUMS[dtype]) / 16
    gathered = STEP * (shape.width * OF_INPUT + shape.height * OF_WEIGHTS) / shape.threads
    warps, most = shape.threads // 32, -(-count // costs.PROCESSORS)
    waiting = 1 + WAITING / (min(most, blocks_of_processor(shape, dtype)) * warps)
    return most * warps * (steps * (fma + shared + gathered + OF_STEP) + ONCE) * waiting


def blocks_of_processor(shape, dtype):
    """As blocks_of in the .cu file has it."""
    size = costs.itemsize(SUMS[dtype])
    return 2 if size == 16 else 3 if shape.threads == 128 and shape.tall * shape.wide * size == 256 else 512 // shape.threads


def _partial_bytes(p, slices):
    return slices * p.outputs * costs.itemsize(SUMS[p.dtype]) if slices > 1 else 0


def _seconds(p, c):
    return costs.seconds("implicit_gemm", {"launch": 1 + (c.slices > 1), "slot": c.slots, "byte": 2 * _partial_bytes(p, c.slices)})


# ---- launching -------------------------------------------------------------------------------------------------------------


def run(problem, input, weight, bias, out, only_if=None):
    """Writes the result to `out`; with `only_if`, an int32 of the device, only where that is not 0."""
    import cupy

    if tensor_gemm.takes(problem):
        return tensor_gemm.run(problem, input, weight, bias, out, only_if)
    p, c = problem, cut(problem)
    arguments = struct(p, input, weight, out)
    partial = cupy.empty(c.slices * p.outputs, SUMS[p.dtype]) if c.slices > 1 else None
    cuts = packed(c.tiles_o, c.tiles_columns, c.rows_of_slice, p.products, in_fours(p, weight, (1, 1, 1)))
    kernel("implicit_gemm", expression(p.dtype, c.shape, gather(p, input)))(
        (c.tiles_o * c.tiles_columns * p.groups * c.slices,), (c.shape.threads,), (arguments, cuts, input, weight, bias, out, partial, only_if)
    )
    if partial is not None:
        kernel("implicit_gemm", f"reduced<{TYPES[p.dtype]}>")((blocks(p.outputs, 256),), (256,), (arguments, c.slices, partial, bias, out, only_if))


def prepare(problem, weight):
    """What a plan keeps; `run` takes it as its weight."""
    return tensor_gemm.prepare(problem, weight) if tensor_gemm.takes(problem) else weight


def gather(problem, input):
    """How the kernel reads the input: see gather.cuh."""
    p, size = problem, input.itemsize
    axes = list(zip(p.size, p.out_size, p.kernel, p.stride, p.dilation, p.pad_before))
    inside = all(b <= 0 and (o - 1) * s + (k - 1) * d - b < n for n, o, k, s, d, b in axes)
    first = sum(-b * step for b, step in zip(p.pad_before, input.strides[3:]))
    if inside and prod(p.out_size) == 1 and in_fours(p, input, p.dilation, first):
        return "PANEL"
    if inside and p.taps == 1 and p.out_size == p.size and _planes_in_fours(input):
        return "QUADS"
    if p.padding_mode != "zeros":
        return "BORDERS"
    steps = (input.strides[2], *(step * d for step, d in zip(input.strides[3:], p.dilation)))
    reach = sum((n - 1) * abs(step) for n, step in zip((p.in_channels, *p.kernel), steps)) + size
    return "MASKED" if sum(p.kernel) <= MASK_BITS and reach < 2**31 else "BOUNDED"


def in_fours(problem, array, dilation, offset=0):
    """Whether numbers k to k+3, k a multiple of four of (channel, z, y, x), are neighbours in memory, and can be read at once.

    Taps are `dilation` apart, the first is `offset` bytes from the array's beginning.
    """
    lengths = [problem.in_channels, *problem.kernel]
    steps = [array.strides[2], *(step * d for step, d in zip(array.strides[3:], dilation))]
    run = 1
    while lengths and (lengths[-1] == 1 or steps[-1] == run * array.itemsize):
        run *= lengths.pop()
        steps.pop()
    others = [step for n, step in zip(lengths, steps) if n > 1] + [array.strides[axis] for axis in (0, 1) if array.shape[axis] > 1]
    return run % 4 == 0 and _aligned(array, others, offset)


def _planes_in_fours(array):
    """Whether pixels in fours are neighbours in memory, and can be read at once."""
    run = 1
    for n, step in zip(array.shape[:2:-1], array.strides[:2:-1]):
        if n > 1 and step != run * array.itemsize:
            return False
        run *= n
    return run % 4 == 0 and _aligned(array, [array.strides[axis] for axis in range(3) if array.shape[axis] > 1])


def _aligned(array, strides, offset=0):
    four = 4 * array.itemsize
    return all(step % four == 0 for step in strides) and (array.data.ptr + offset) % min(four, 16) == 0


def expression(dtype, shape, gather):
    return f"implicit_gemm<{TYPES[dtype]}, {', '.join(map(str, shape))}, {gather}>"


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = [expression(dtype, shape, gather) for dtype, shapes in SHAPES.items() for shape in shapes for gather in GATHERS]
    return [("implicit_gemm", each) for each in found + [f"reduced<{TYPES[dtype]}>" for dtype in SHAPES]]

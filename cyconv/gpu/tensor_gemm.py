"""Dense convolution on tensor cores, for half types, and for float32 where it may be rounded to TF32.

No row of the menu: implicit_gemm asks whether this way takes a problem, and hands it over then; its costs count both. Devices before
sm_80 have no such instructions.
"""

import functools
from math import prod
from typing import NamedTuple

from ..devices import cupy_with_device
from . import costs
from .launch import TYPES, blocks, kernel, packed, word
from .layout import struct

STEP, PIECE = 64, 16  # bytes, as in tensor_gemm.cu
GATHERED, CHANNELS, PIXELS = "GATHERED", "CHANNELS", "PIXELS"  # ways to read the input
LIMIT = 2**30  # of what the kernel counts in 32 bits
FEWEST_CHANNELS, MOST_WASTE = 3, 3.0  # products made for each that is asked for (guessed, not measured)
COPIES = 64 << 20  # bytes of a copy of the input; more stays in no cache until it is read
SLICES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
STEPS_OF_SLICE, BEGIN_AND_END = 4, 4  # the least of a slice, and as many as take as long as a block's first loads and its stores


class Tile(NamedTuple):
    """Outputs of a block, and if the input is gathered or not those of a warp, and speeds relative to the best (guessed, not measured)."""

    height: int
    width: int
    warps: tuple
    speeds: tuple


TILES = (
    Tile(128, 128, ((64, 32), (64, 64)), (0.6, 1.0)),
    Tile(64, 128, ((32, 64), (32, 64)), (0.5, 0.8)),
    Tile(64, 64, ((32, 32), (32, 32)), (0.4, 0.55)),
)


class Cut(NamedTuple):
    """How a problem is cut into blocks."""

    tile: Tile
    granule: int  # channels that are read together
    padded: int  # channels, in whole granules
    depth: int  # products of one output, with those of padding, in whole pieces
    steps: int
    slices: int
    steps_of_slice: int
    items: int  # of the input, that are copied with channels last at a time; 0: none
    work: float  # steps of the best tile that one processor does
    launches: int


class Weights(NamedTuple):
    """Weights in the kernel's order."""

    array: object  # of six axes
    row: int  # from one output channel to the next, in elements
    group: int


# ---- the problem -----------------------------------------------------------------------------------------------------------


def takes(problem):
    """Whether tensor cores compute it, and are likely to be quicker than the plain ones."""
    return cut(problem) is not None


def error_bound(problem):
    """Multiples of eps, of the problems it takes.

    Tensor cores cut off what is too small for the sum so far, each time less than its last bit, where others round to half of it. Both factors
    rounded to ten bits are off by 2**-11, which is 2**12 eps.
    """
    sums = problem.products + 1
    return sums if problem.dtype != "float32" else 1.001 * sums + 2 * 2**12 + 2


def workspace(problem):
    """Bytes, at most."""
    return _bytes(problem, cut(problem))


def amounts(problem):
    """The work, as costs.py counts it."""
    c = cut(problem)
    return {"call": 1, "launch": c.launches, "step": c.work, "byte": costs.moved(problem) + 2 * _bytes(problem, c, whole=True)}


def cut(problem):
    """The Cut, or None where the problem is not for tensor cores; a function of the problem alone."""
    if "tensor_gemm" not in problem.kept:
        problem.kept["tensor_gemm"] = _best_cut(problem) if _possible(problem) else None
    return problem.kept["tensor_gemm"]


def _possible(p):
    if p.strict or p.dtype not in ("float16", "bfloat16") and not p.allow_tf32:
        return False
    if not p.multiply_adds or p.in_channels < FEWEST_CHANNELS:
        return False
    height = -(-p.out_channels // 64) * 64
    padded = _granules(p)[1]
    made = height * -(-padded * p.taps * _size(p) // STEP) * STEP // _size(p)
    if made > MOST_WASTE * p.out_channels * p.products:
        return False
    reach = [n + abs(b) + abs(a) + d * (k + 64) for n, b, a, d, k in zip(p.size, p.pad_before, p.pad_after, p.dilation, p.kernel)]
    most_blocks = height // 64 * -(-p.outputs // p.out_channels // 64) * SLICES[-1]
    return max(*reach, padded * (p.taps + 64), most_blocks) < LIMIT and not _old_devices()


def _granules(p):
    """Channels that are read together, and all of them in such granules."""
    granule = 8 if p.dtype != "float32" and (p.in_channels > 4 or _borders(p)) else 4
    return granule, -(-p.in_channels // granule) * granule


def _old_devices():
    """Whether CuPy finds a device that has no such tensor cores; without it nobody asks."""
    cupy = cupy_with_device()
    return cupy is not None and _has_old_devices(cupy)


@functools.cache
def _has_old_devices(cupy):
    return any(int(cupy.cuda.Device(device).compute_capability) < 80 for device in range(cupy.cuda.runtime.getDeviceCount()))


def _best_cut(p):
    granule, padded = _granules(p)
    depth = -(-padded * p.taps * _size(p) // PIECE) * PIECE // _size(p)
    steps = -(-depth * _size(p) // STEP)
    columns = p.outputs // (p.groups * p.out_channels)
    item = p.groups * padded * prod(p.size) * _size(p)
    copies = granule * _size(p) == PIECE and not _borders(p) and not _pixels(p) and item > 0
    room = p.max_workspace - p.groups * p.out_channels * depth * _size(p)
    if room < 0:
        return None
    found = []
    for tile in TILES:
        tiles = p.groups * -(-p.out_channels // tile.height) * -(-columns // tile.width)
        for items in {0, min(min(room, COPIES) // item, p.batch) if copies else 0}:
            launches = -(-p.batch // items) if items else 1
            items = -(-p.batch // launches) if items else 0  # all copies alike
            free = room - items * item
            for slices in SLICES if launches == 1 else (1,):
                steps_of_slice = -(-steps // slices)
                if slices > 1 and (steps_of_slice < STEPS_OF_SLICE or 4 * slices * p.outputs > free):
                    break
                slices = -(-steps // steps_of_slice)  # none is empty
                turns = launches * max(-(-tiles * slices // launches) / costs.PROCESSORS, 1.5)  # a block alone is slow: nobody works while it waits
                work = turns * (steps_of_slice + BEGIN_AND_END) * tile.height * tile.width / (128 * 128) / tile.speeds[items > 0 or _pixels(p)]
                count = 1 + launches * (2 if items else 1) + (slices > 1)
                one = Cut(tile, granule, padded, depth, steps, slices, steps_of_slice, items, work, count)
                found.append((_seconds(p, one), len(found), one))
    return min(found)[2]


def _seconds(p, c):
    return costs.seconds("implicit_gemm", {"launch": c.launches, "step": c.work, "byte": 2 * _bytes(p, c, whole=True)})


def _bytes(p, c, whole=False):
    """Of packed weights, of a copy of the input (or of the whole one), and of the sums of slices."""
    copied = (p.batch if whole and c.items else c.items) * p.groups * c.padded * prod(p.size)
    sums = 4 * c.slices * p.outputs if c.slices > 1 else 0
    return (p.groups * p.out_channels * c.depth + copied) * _size(p) + sums


def _borders(problem):
    """Whether padding repeats samples; then the input is gathered."""
    return problem.padding_mode != "zeros"


def _pixels(problem):
    """Whether columns may be read in pieces, if they are neighbours in memory."""
    p = problem
    return p.dtype != "float32" and p.taps == 1 and p.size == p.out_size and prod(p.size) % 8 == 0 and max(p.stride) == 1 and not any(p.pad_before)


def _size(problem):
    return 4 if problem.dtype == "float32" else 2


# ---- arrays ----------------------------------------------------------------------------------------------------------------


def run(problem, input, weight, bias, out, only_if=None):
    """Writes the result to `out`; with `only_if`, an int32 of the device, only where that is not 0. `weight` may be prepared."""
    p, items, way = problem, cut(problem).items, _way(problem, input)
    if not isinstance(weight, Weights):
        weight = _weights(p, weight, only_if)
    if not items or way != GATHERED:
        _multiply(p, input, weight, bias, out, only_if, way)
        return
    for first in range(0, p.batch, items):
        part = slice(first, first + items)
        _multiply(p, _channels_last(p, input[part], weight, out, only_if), weight, bias, out[part], only_if, CHANNELS)


def prepare(problem, weight):
    """What a plan keeps; `run` takes it as its weight."""
    return _weights(problem, weight, None)


def _weights(p, weight, only_if):
    import cupy

    c = cut(p)
    runs = [1, *(p.in_channels * prod(p.kernel[axis + 1 :]) for axis in range(3))]
    lie = [step // weight.itemsize for step in weight.strides]
    in_order = all(n == 1 or step == run for n, step, run in zip(weight.shape[2:], lie[2:], runs))
    if p.dtype != "float32" and c.padded == p.in_channels and in_order and _aligned(weight, axes=(0, 1)):
        return Weights(weight, lie[1], lie[0])
    made = cupy.empty((p.groups, p.out_channels, c.depth, 1, 1, 1), weight.dtype)
    kernel("tensor_gemm", f"packed<{TYPES[p.dtype]}>")(
        (blocks(p.groups * p.out_channels, 1),), (128,), (struct(p, weight, weight, weight), c.padded, c.depth, weight, made, only_if)
    )
    return Weights(made, c.depth, p.out_channels * c.depth)


def _channels_last(p, input, weight, out, only_if):
    """A copy of these items, channels in whole pieces."""
    import cupy

    c, items = cut(p), input.shape[0]
    made = cupy.empty((items, p.groups, *p.size, c.padded), input.dtype).transpose(0, 1, 5, 2, 3, 4)
    warps = items * p.groups * -(-c.padded * _size(p) // (2 * PIECE)) * -(-prod(p.size) // 16)
    kernel("tensor_gemm", f"channels_last<{TYPES[p.dtype]}>")(
        (blocks(warps, 8),), (256,), (struct(p, input, weight.array, out), items, c.padded, input, made, only_if)
    )
    return made


def _way(p, input):
    """How the input can be read as it lies. Float32 must be rounded on the way, and borders looked at."""
    if p.dtype == "float32" or _borders(p):
        return GATHERED
    if cut(p).padded == p.in_channels and input.strides[2] == input.itemsize and _aligned(input, axes=(0, 1, 3, 4, 5)):
        return CHANNELS
    runs = [prod(p.size[axis + 1 :]) * input.itemsize for axis in range(3)]
    in_order = all(n == 1 or step == run for n, step, run in zip(p.size, input.strides[3:], runs))
    return PIXELS if _pixels(p) and in_order and _aligned(input, axes=(0, 1, 2)) else GATHERED


def _aligned(array, axes):
    return array.data.ptr % PIECE == 0 and all(array.strides[axis] % PIECE == 0 for axis in axes if array.shape[axis] > 1)


def _multiply(p, input, weight, bias, out, only_if, way):
    import cupy

    c = cut(p)
    columns = out.shape[0] * prod(p.out_size)
    tiles_o, tiles_columns = -(-p.out_channels // c.tile.height), -(-columns // c.tile.width)
    arguments = struct(p, input, weight.array, out)
    partial = cupy.empty((c.slices, p.groups, p.out_channels, columns), "float32") if c.slices > 1 else None
    product = packed(
        tiles_o, tiles_columns, columns, c.padded, c.depth, weight.row, weight.group, c.steps, c.steps_of_slice,
        tuple([n * input.strides[2] for n in range(9)]),
    )  # fmt: skip
    added = bias if partial is None else None
    expression = _expression(TYPES[p.dtype], c.tile, c.granule, way, _borders(p))
    kernel("tensor_gemm", expression)(
        (tiles_o * tiles_columns * p.groups * c.slices,),
        (_threads(c.tile, way),),
        (arguments, product, input, weight.array, added, out, partial, only_if),
    )
    if partial is not None:
        kernel("implicit_gemm", f"reduced<{TYPES[p.dtype]}>")(
            (blocks(p.outputs, 256),), (256,), (arguments, c.slices, partial, bias, out, only_if)
        )


def _threads(tile, way):
    height, width = tile.warps[way != GATHERED]
    return tile.height // height * (tile.width // width) * 32


def _expression(type, tile, granule, way, borders):
    values = (type, tile.height, tile.width, *tile.warps[way != GATHERED], granule, way, word(borders))
    return f"tensor_gemm<{', '.join(map(str, values))}>"


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = []
    for dtype in ("float16", "bfloat16", "float32"):
        type, whole = TYPES[dtype], 4 if dtype == "float32" else 8
        found += [f"packed<{type}>", f"channels_last<{type}>"]
        for tile in TILES:
            ways = {(whole, CHANNELS, False), (whole, GATHERED, False), (whole, GATHERED, True)}
            ways |= {(whole, PIXELS, False), (4, GATHERED, False)} if whole == 8 else set()
            found += [_expression(type, tile, *way) for way in sorted(ways)]
    return [("tensor_gemm", expression) for expression in found]

"""Winograd's minimal filtering of 3x3 kernels of stride 1, in tiles of m x m outputs, m = 2 or 4:

    Y = A^T [ sum_k (G g_k G^T) * (B^T x_k B) ] A + bias

k counts planes: channels, times the taps along z. The matrices are those of the CPU's row (cpu/winograd.pyx), and so is the bound of errors.
Tiles form one list: along rows, over rows, planes of outputs, and items.

    U[frequency][group][out channel][plane]   transformed weights
    V[frequency][group][plane][tile]          transformed input of a pass
    M[frequency][group][out channel][tile]    = U V, a product of matrices for each frequency and group, by cuBLAS (products.py)

A pass takes as many tiles as keep V and M near the cache that all processors share, since they are 36 / m^2 or 16 / m^2 times as large as what
they are made of; all passes multiply matrices of one size. Half types are transformed and multiplied in float32, and float32 never as TF32,
which would lose as many digits more as the transforms grow. What is not finite shows in the results of each tile that it is in.
Expected to win where there are so many channels that 4 times (m = 4) fewer products outweigh reading and writing V and M; tiles of 2 where few
outputs would leave tiles of 4 half empty.
Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from math import prod
from typing import NamedTuple

from . import costs, products
from .launch import MOST_BLOCKS, REALS, SUMS, TYPES, blocks, kernel, packed
from .layout import struct, too_long

TILES = (4, 2)
THREADS = 128  # as in winograd.cu
PASS_BYTES = 32 << 20  # of V and M
FEWEST = 128  # tiles of a pass, if there are so many: U is read once in each
BLOCKS = 16 * costs.PROCESSORS  # of a kernel, at least, if there is so much to do


class Cut(NamedTuple):
    """Tiles of m x m outputs, and how many of them are done at once."""

    m: int
    high: int  # tiles along y
    wide: int  # and along x
    tiles: int  # in all
    pitch: int  # of a pass
    bytes: int  # of U, V and M
    amounts: dict


def why_not(problem):
    p = problem
    if p.dtype not in REALS:
        return f"for real floating point numbers only, not for {p.dtype}"
    if p.kernel[1:] != (3, 3) or p.stride[1:] != (1, 1) or p.dilation[1:] != (1, 1):
        return "it needs 3x3 taps, stride 1 and dilation 1 along the last two axes"
    if reason := too_long(p):
        return reason
    if max(prod(p.out_size), planes(p), p.out_channels) > products.LONGEST:
        return "an item has more than 2**31 pixels, or an output is the sum of more than 2**31 products"
    if p.multiply_adds and isinstance(found := cut(p), int):
        return f"needs at least {found} bytes of workspace"
    return products.missing()


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("winograd", amounts(problem)), cut(problem).bytes if problem.multiply_adds else 0


def amounts(problem):
    """The work, as costs.py counts it."""
    return cut(problem).amounts if problem.multiply_adds else {"call": 1}


def tile_of(problem):
    """m, for tiles of m x m outputs."""
    return cut(problem).m if problem.multiply_adds else 2


def planes(problem):
    """Of a group; products that are summed for each frequency."""
    return problem.in_channels * problem.kernel[0]


def cut(problem):
    """The Cut that is likely to be quickest; or the bytes that the smallest one needs, if they are too many. The problem alone decides."""
    if "gpu winograd" not in problem.kept:
        found = [_cut(problem, m) for m in TILES]
        problem.kept["gpu winograd"] = min(
            [each for each in found if not isinstance(each, int)], key=lambda each: costs.seconds("winograd", each.amounts), default=None
        ) or min(found)
    return problem.kept["gpu winograd"]


def _cut(p, m):
    size, frequencies = 8 if p.dtype == "float64" else 4, (m + 2) ** 2
    high, wide = (-(-n // m) for n in p.out_size[1:])
    tiles = p.batch * p.out_size[0] * high * wide
    whole = frequencies * p.groups * size  # of a number of each frequency and group
    weights, each = whole * p.out_channels * _pitch(planes(p)), whole * (planes(p) + p.out_channels)
    room = (p.max_workspace - weights) // (32 * each)  # in warps
    most = MOST_BLOCKS * THREADS // (p.groups * max(planes(p), p.out_channels))  # each in a block of its own
    if room < 1 or most < 32:
        return weights + 32 * each
    wanted = max(PASS_BYTES // each, FEWEST)
    passes = -(-tiles // min(wanted, room * 32, most))
    pitch = min(-(-tiles // (32 * passes)), room) * 32
    passes = -(-tiles // pitch)
    amounts = {
        "call": 1,
        "launch": 3 * passes + 1,  # the last one: a row that is to compute again what is not finite, and finds all finite
        "byte": costs.moved(p) + weights * passes,
        "weight_launch": 1,
        "weight_byte": weights,
        "near_byte": 2 * passes * pitch * each,
        "multiply_add": passes * products.multiply_adds(p.out_channels, pitch, planes(p), frequencies * p.groups),
    }
    return Cut(m, high, wide, tiles, pitch, weights + pitch * each, amounts)


def _pitch(planes):
    """Numbers from one row of U to the next: pieces of 16 bytes."""
    return -(-planes // 4) * 4


# ---- running ---------------------------------------------------------------------------------------------------------------


class Weights:
    """Transformed weights of a problem; what `run` takes as its weight."""

    def __init__(self, array):
        self.array = array


def prepare(problem, weight):
    """The transformed weights. Whether they are finite shows in what `run` makes of them."""
    return Weights(_weights(problem, weight)) if problem.multiply_adds else weight


def run(problem, input, weight, bias, out, nonfinite=None):
    """Writes the result to `out`. `weight` has six axes, or is what `prepare` returned. If input, weight or what is made of them are not
    finite, `nonfinite` (an int32 of the device) becomes 1."""
    import cupy

    p, c = problem, cut(problem)
    kind = f"<{TYPES[p.dtype]}, {c.m}>"
    u = weight.array if isinstance(weight, Weights) else _weights(p, weight)
    matrices = (c.m + 2) ** 2 * p.groups
    v = cupy.empty((matrices, planes(p), c.pitch), u.dtype)
    sums = cupy.empty((matrices, p.out_channels, c.pitch), u.dtype)
    arguments = struct(p, input, input, out)  # the weights are not told of
    for first in range(0, c.tiles, c.pitch):
        grid, part = _pass(p, c, first, planes(p))
        kernel("winograd", f"transformed_input{kind}")((grid,), (THREADS,), (arguments, part, input, v))
        products.multiply(u[:, :, : planes(p)], v, sums)
        grid, part = _pass(p, c, first, p.out_channels)
        kernel("winograd", f"output{kind}")((grid,), (THREADS,), (arguments, part, sums, bias, out, nonfinite))


def _weights(p, weight):
    """U, (frequency and group, out channel, plane)."""
    import cupy

    m, channels = cut(p).m, p.groups * p.out_channels
    u = cupy.empty(((m + 2) ** 2 * p.groups, p.out_channels, _pitch(planes(p))), SUMS[p.dtype])
    kernel("winograd", f"transformed_weight<{TYPES[p.dtype]}, {m}>")(
        (blocks(channels * planes(p), THREADS),), (THREADS,), (struct(p, weight, weight, weight), planes(p), u.shape[2], weight, u)
    )
    return u


def _pass(p, c, first, rows):
    """(blocks, the argument Pass); a thread does `rows` of each group for its tile, or some of them if there are few tiles."""
    across, rows = -(-c.pitch // THREADS), rows * p.groups
    each = -(-rows // min(rows, max(1, BLOCKS // across)))
    return across * -(-rows // each), packed(first, c.tiles, c.pitch, c.high, c.wide, planes(p), each)


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    names = ("transformed_input", "transformed_weight", "output")
    return [("winograd", f"{name}<{TYPES[dtype]}, {m}>") for name in names for dtype in REALS for m in TILES]

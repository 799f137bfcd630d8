"""Few channels to a sum: tiles of outputs of one plane, their samples in shared memory (depthwise.cu tells how)."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

from ..problem import GPU_DTYPES
from . import costs
from .launch import MOST_BLOCKS, REALS, TYPES, divisor, kernel, packed
from .layout import struct

FARTHEST = 2**30  # samples from one to another within a tile, and of padding: their distances are ints
LONE = 256  # threads of a processor below which they no longer hide each other's waiting
TILES_OF_A_BLOCK = 64  # as many as a block may have threads along z
SIZES = {"float64": 8, "complex64": 8, "int64": 8, "uint64": 8, "complex128": 16}  # bytes of a sum; others have 4
PRODUCTS = {"float64": 2, "complex64": 4, "complex128": 8, "int64": 6, "uint64": 6} | dict.fromkeys(
    ("int8", "uint8", "int16", "uint16", "int32", "uint32"), 2
)  # what a multiply-add takes, that of float32 being 1


@dataclass(frozen=True, slots=True)
class Kind:
    """One instance of the kernel's template, but for the dtype."""

    quads: int  # of 16 bytes: outputs of a thread that are neighbours along x
    rows: int  # of them
    kernel: int  # taps along y and x of one that is unrolled; 0: any
    stride: int
    threads: int  # of a block, at most
    bytes: int  # of shared memory

    def expression(self, dtype):
        return f"depthwise<{TYPES[dtype]}, {self.quads}, {self.rows}, {self.kernel}, {self.stride}, {self.bytes}>"


# Shared memory is as much as lets a processor have as many threads as the kernels' registers do.
UNROLLED = [Kind(1, rows, k, s, 256, 24576) for k, s, rows in ((3, 1, 8), (3, 2, 4), (5, 1, 4), (5, 2, 4), (7, 1, 4), (7, 2, 2))]
ANY = [Kind(2, 4, 0, 0, 128, 49152), Kind(4, 1, 0, 0, 128, 24576), Kind(1, 1, 0, 0, 128, 24576)]


def why_not(problem):
    p = problem
    if max(map(abs, p.pad_before + p.pad_after)) >= FARTHEST or max(p.kernel) >= FARTHEST or p.products >= 2**31:
        return "padding or kernel is too large"
    if p.outputs and tiling(p) is None:
        return "stride or dilation is too large for a tile that fits into shared memory, or there are too many tiles"
    return None


def cost(problem):
    """(predicted seconds, bytes of workspace)."""
    return costs.seconds("depthwise", amounts(problem)), 0


def amounts(problem):
    """The work, as costs.py counts it."""
    if not problem.outputs:
        return {"call": 1}
    t = tiling(problem)
    return {
        "call": 1, "byte": costs.moved(problem), "load": t.lanes * t.loads, "multiply_add": t.lanes * t.multiply_adds, "quad": t.lanes * t.quads,
    }  # fmt: skip


def run(problem, input, weight, bias, out, only_if=None):
    """Writes the result to `out`; with `only_if`, an int32 of the device, only where that is not 0."""
    t = tiling(problem)
    kernel("depthwise", t.kind.expression(problem.dtype))(
        (t.blocks,), (*t.threads, t.together), (struct(problem, input, weight, out), t.struct(out), input, weight, bias, out, only_if)
    )


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    found = [kind.expression(dtype) for dtype in GPU_DTYPES for kind in ANY]
    found += [kind.expression(dtype) for dtype in REALS for kind in UNROLLED]
    return [("depthwise", expression) for expression in found]


# ---- tiles -----------------------------------------------------------------------------------------------------------------


def tiling(problem):
    """How a problem is cut into tiles; None if none fits."""
    kept = problem.kept
    if "depthwise tiles" not in kept:
        kept["depthwise tiles"] = min(tilings(problem), key=lambda t: t.work, default=None)
    return kept["depthwise tiles"]


def tilings(problem):
    """All that are worth comparing: of kinds, and of how many threads stand along x and y."""
    for kind in kinds(problem):
        axes = [Axis.of(problem, axis, kind) for axis in (1, 2)]
        outs = (kind.rows, kind.quads * 16 // size_of_sum(problem))
        choices = [axis.choices(each, kind.threads, least) for axis, each, least in zip(axes, outs, (1, 8))]  # short rows load badly
        for threads in [(x, y) for y in choices[0] for x in choices[1] if x * y <= kind.threads]:
            if (found := Tiling.of(problem, kind, axes, threads)) is not None:
                yield found


def kinds(problem):
    p = problem
    if p.dtype in REALS and p.in_channels == p.kernel[0] == 1 and p.dilation == (1, 1, 1):
        strides = {s for s, o in zip(p.stride[1:], p.out_size[1:]) if o > 1} or {1}
        for kind in UNROLLED:
            if p.kernel[1:] == (kind.kernel, kind.kernel) and strides == {kind.stride}:
                return [kind]
    return ANY


def size_of_sum(problem):
    return SIZES.get(problem.dtype, 4)


def _up(number, multiple):
    return -(-number // multiple) * multiple


@dataclass(frozen=True, slots=True)
class Axis:
    """One of y and x: its stride and dilation without what they have in common, which is the step."""

    outs: int
    kernel: int
    stride: int
    dilation: int
    step: int
    runs: int  # sets of outputs that share no samples if rows or runs are of one set

    @classmethod
    def of(cls, problem, axis, kind):
        k, s, d, o = (values[axis] for values in (problem.kernel, problem.stride, problem.dilation, problem.out_size))
        if kind.kernel:
            return cls(o, k, kind.stride, 1, 1, 1)
        s, d = (d, d) if o == 1 else (s, s) if k == 1 else (s, d)  # of one output no stride matters, and of one tap no dilation
        common = gcd(s, d)
        return cls(o, k, s // common, d // common, common, d // common if axis == 2 or kind.rows > 1 else 1)

    def choices(self, each, most, least):
        """Numbers of threads along it, of `each` outputs."""
        every = -(-self.outs // (each * self.runs))
        found = {1 << n for n in range(8)} | {-(-every // n) for n in (1, 2, 3, 4)}
        found = {min(max(n, -(-least // self.runs)), every) * self.runs for n in found}
        return sorted([n for n in found if n <= most])


@dataclass(frozen=True)
class Tiling:
    """How a problem is cut into tiles, and what the threads of one do: numbers of depthwise.cu."""

    problem: object
    kind: Kind
    axes: list
    threads: tuple  # of a tile, along x and y
    piece: tuple  # taps that are staged at a time, along y and x, as are all pairs below
    rows: int
    run: int
    arrays: int
    array: int
    row: int
    taps: int
    room: int
    together: int  # tiles of a block

    @classmethod
    def of(cls, problem, kind, axes, threads):
        """None if it does not fit."""
        p, (y, x) = problem, axes
        quad = 16 // size_of_sum(p)
        each, most = kind.quads * quad, kind.bytes // size_of_sum(p)
        pitch = (kind.quads | 1) * quad
        height, runs = kind.rows * threads[1], threads[0] // x.runs
        across = x.kernel
        while True:
            arrays, count = min(x.stride, across), -(-across // x.stride)  # count: taps that one array meets
            run = _up(runs * each + count - 1, threads[0] * (each + 1 if kind.kernel else 1))
            array = -(-max(run, runs * each + _up(count, each)) // each) * pitch
            row, taps = x.runs * arrays * array, _up(count, each if kind.kernel else quad)
            first = (y.stride * (height - 1) + 1 - y.dilation) * row  # without any taps
            down = min((most - first) // (y.dilation * row + arrays * taps), y.kernel)
            if down >= min(y.stride, y.kernel):
                break
            if across <= x.stride or kind.kernel:
                return None
            across = _up(-(-across // 2), x.stride)
        if down < y.kernel:  # pieces of equal height, of whole sets of taps
            if kind.kernel:
                return None
            down = down // y.stride * y.stride
            down = _up(-(-y.kernel // -(-y.kernel // down)), y.stride)
        rows = y.stride * (height - 1) + y.dilation * (down - 1) + 1
        room = rows * row + down * arrays * taps
        together = min(kind.threads // prod(threads), most // room, TILES_OF_A_BLOCK)
        made = cls(p, kind, axes, threads, (down, across), rows, run, arrays, array, row, taps, room, together)
        return made if made.count < 2**31 and made.stages < 2**31 and max(made.reach) < FARTHEST and made.blocks <= MOST_BLOCKS else None

    @cached_property
    def outputs(self):
        """Of a tile."""
        return self.kind.rows * self.threads[1], self.kind.quads * 16 // size_of_sum(self.problem) * self.threads[0]

    @cached_property
    def tiles(self):
        """Of a plane."""
        return tuple([-(-axis.outs // n) for axis, n in zip(self.axes, self.outputs)])

    @cached_property
    def pieces(self):
        return tuple([-(-axis.kernel // n) for axis, n in zip(self.axes, self.piece)])

    @cached_property
    def stages(self):
        return self.problem.in_channels * self.problem.kernel[0] * prod(self.pieces)

    @cached_property
    def count(self):
        p = self.problem
        return p.batch * p.groups * p.out_channels * p.out_size[0] * prod(self.tiles)

    @cached_property
    def blocks(self):
        return -(-self.count // self.together)

    @cached_property
    def reach(self):
        """Samples from the first to the last that a tile has to do with."""
        each = zip(self.axes, self.outputs, self.piece)
        return tuple([a.step * (a.stride * (n - 1) + a.dilation * (k - 1)) + 1 for a, n, k in each])

    def struct(self, out):
        """The argument `Tiles` of depthwise.cu."""
        p, (y, x) = self.problem, self.axes
        end = [s * (o - 1) + d * (k - 1) + 1 - b for s, o, d, k, b in zip(p.stride, p.out_size, p.dilation, p.kernel, p.pad_before)]
        return packed(
            self.count, *map(divisor, (p.out_channels, self.tiles[1], self.tiles[0], p.out_size[0], p.groups)),
            *map(divisor, (*self.pieces, p.kernel[0])), self.stages,
            (y.stride, x.stride), (y.dilation, x.dilation), (y.step, x.step), self.piece,
            tuple([n * s for n, s in zip(self.outputs, p.stride[1:])]), tuple(end[1:]), self.reach,
            self.rows, self.run, self.arrays, self.array, self.row, self.taps, self.room, int(self.whole(out)),
        )  # fmt: skip

    def whole(self, out):
        """Whether a thread's outputs may be written in one piece, or in pieces of 16 bytes."""
        each = self.kind.quads * 16 // size_of_sum(self.problem)
        part = min(16, each * out.itemsize)
        if self.axes[1].runs > 1 or out.strides[5] != out.itemsize or out.shape[5] % each or out.data.ptr % part:
            return False
        return not any([step % part for step, n in zip(out.strides[:5], out.shape) if n > 1])

    # ---- work of a thread, and of how many: counted in what takes a thread of 128 of a processor one turn ----

    @cached_property
    def lanes(self):
        """Threads, idle ones among them; as many at least as it takes until none waits."""
        warps = -(-prod(self.threads) * self.together // 32)
        return max(self.blocks * warps * 32, costs.PROCESSORS * LONE)

    @cached_property
    def loads(self):
        """Of samples from global memory."""
        x, y = self.threads
        return self.stages * -(-self.rows // y) * self.axes[1].runs * self.arrays * -(-self.run // x)

    @cached_property
    def multiply_adds(self):
        """As if all were float32's."""
        outs = self.kind.rows * self.outputs[1] // self.threads[0]
        return outs * self.problem.products * PRODUCTS.get(self.problem.dtype, 1)

    @cached_property
    def quads(self):
        """Read from shared memory; a quarter, if all threads read the same."""
        kind, (y, x) = self.kind, self.axes
        quad = 16 // size_of_sum(self.problem)
        each = kind.quads * quad
        counts = [-(-(self.piece[1] - a) // x.stride) for a in range(self.arrays)]
        samples = sum([n // each * 2 * kind.quads + -(-(each + n % each - 1) // quad) * (n % each > 0) for n in counts])
        taps = kind.rows * self.piece[0] * sum([-(-n // quad) for n in counts])
        if kind.kernel:
            samples = sum([-(-(each + n - 1) // quad) for n in counts])
            rows = (kind.rows - 1) * kind.stride + kind.kernel
            taps = kind.kernel * sum([-(-n // quad) for n in counts])
        else:
            rows = self.piece[0] + (kind.rows - 1) * min(y.stride, self.piece[0])
        return self.stages * (rows * samples + taps / 4)

    @cached_property
    def work(self):
        """Of all threads: issued instructions, or what shared memory takes if that is longer."""
        lines = min(32, -(-32 // self.threads[0]))  # of memory that a warp's threads load from together
        staged = self.loads * max(9, 4 * lines) + self.stages * (100 + 12 * -(-self.rows // self.threads[1]))
        staged += self.stages * 25 * -(-prod(self.piece) // prod(self.threads))
        staged += self.stages * 2 * self.rows * self.reach[1] / prod(self.threads)  # what the second-level cache has to do
        outs = self.kind.rows * self.outputs[1] // self.threads[0]
        summed = max(self.multiply_adds + self.quads, 16 * self.quads)
        if not self.kind.kernel:
            summed += self.stages * self.arrays * (self.kind.rows + self.piece[0]) * (25 + 12 * self.kind.rows)
        return self.lanes * (250 + staged + summed + 4 * outs)

"""Arrays of more than 2**31 elements, each operation in a process of its own: input, output and one plane above 2**31, and rows above 2**31.

    python tests/limits/huge.py                 all of them; a table of seconds and peak memory
    python tests/limits/huge.py conv_plane_int8 one of them, in this process

Inputs are zeros, whose pages take no memory until somebody writes to them, but for a few numbers: near the start, at element 2**31 (and 2**32),
and at the end. Around these, results are compared with the reference's of a piece that is cut out there; everywhere else they must be zeros, which
is counted. `test_limits_huge.py` runs these cases as slow tests.
"""

import argparse
import resource
import subprocess
import sys
import time
from math import prod

import numpy as np

import cyconv
from cyconv import grad, signal

SIDE = 46400  # of a plane of more than 2**31 samples
PLANE = (1, 1, SIDE, SIDE)
ROW = (1, 1, 2**31 + 4099)
LONGER = (1, 1, 2**32 + 2**20)
VOLUME = (1, 1, 1300, 1300, 1300)
BATCH = (33000, 1, 256, 256)
CHANNELS = (1, 33000, 256, 256)
REACH = (48, 48, 12)  # samples of a piece on each side of what was planted, for one, two and three axes
SECONDS = 600
CASES = {}  # name: (function, GiB of memory that it takes)


def case(name, gigabytes):
    def keep(function):
        CASES[name] = function, gigabytes
        return function

    return keep


# ---- arrays ------------------------------------------------------------------------------------------------------------------


def places(shape):
    """The index of what is planted, far apart: near the start, at 2**31 and 2**32, at the end."""
    size = prod(shape)
    flat = [5, 2**31 - 1, size - 1] + [2**32] * (size > 2**32 + 10**6)
    return [tuple(map(int, np.unravel_index(f, shape))) for f in flat]


def planted(shape, dtype, values=(3, 2, 1), spots=None):
    """Zeros, but for some numbers at `places` and beside them; and the places."""
    x = np.zeros(shape, dtype)
    spots = places(shape) if spots is None else spots
    for spot in spots:
        for shift, value in zip((0, 1, 2), values):
            x[*spot[:-1], max(spot[-1] - shift, 0)] = value
        if x.ndim > 3:
            x[*spot[:-2], max(spot[-2] - 1, 0), spot[-1]] = values[0]
    return x, spots


def count(array, least=0.0):
    """How many numbers are not zero, or larger than that; a piece at a time."""
    flat, found = array.reshape(-1), 0
    for first in range(0, flat.size, 2**26):
        piece = flat[first : first + 2**26]
        if least or piece.dtype.kind == "c":
            found += int(np.count_nonzero(np.abs(piece) > least))
        elif piece.dtype.kind == "f":
            found += int(np.count_nonzero(piece.view(f"u{piece.itemsize}") << 1))  # of both signs
        else:
            found += int(np.count_nonzero(piece))
    return found


def check(out, x, spots, oracle, stride, margin, tolerance=0.0):
    """Compares `out` with the oracle's results of pieces around the spots, and all else with zero.

    Pieces begin at a multiple of the stride; `margin` results at a side where a piece ends and the array does not are not looked at.
    """
    rank = len(stride)
    expected = 0
    one = x.shape[1] > 64  # of so many channels, only the spot's own
    for n, c, *spot in spots:
        channels = slice(c, c + 1) if one else slice(None)
        low = [max(0, a - REACH[rank - 1]) // s * s for a, s in zip(spot, stride)]
        high = [min(size, a + REACH[rank - 1]) for a, size in zip(spot, x.shape[-rank:])]
        piece = x[(n, channels, *map(slice, low, high))]
        want = oracle(np.ascontiguousarray(piece)[None])[0]
        to = [lo // s for lo, s in zip(low, stride)]
        inner = [slice(margin if lo else 0, None if hi == size else -margin) for lo, hi, size in zip(low, high, x.shape[-rank:])]
        got = out[(n, channels, *(slice(t, t + m) for t, m in zip(to, want.shape[-rank:])))][(slice(None), *inner)]
        want = want[(slice(None), *inner)]
        assert got.shape == want.shape, (got.shape, want.shape)
        assert np.count_nonzero(want), "nothing was planted here"
        if tolerance:
            assert np.abs(got.astype(float) - want).max() <= tolerance, (got, want)
        else:
            np.testing.assert_array_equal(got, want)
        expected += count(np.ascontiguousarray(want), tolerance)
    found = count(out, tolerance)
    assert found == expected, f"{found} results are not zero, and not {expected}"


# ---- convolution -------------------------------------------------------------------------------------------------------------


def convolution(name, gigabytes, shape, weight, dtype, algorithm, tolerance=0.0, separable=False, **options):
    @case(name, gigabytes)
    def run():
        rank = len(shape) - 2
        x, spots = planted(shape, dtype)
        w = np.ones(weight, dtype) if separable else np.random.default_rng(0).integers(1, 3, weight).astype(dtype)
        function, stride = getattr(cyconv, f"conv{rank}d"), options.get("stride", 1)
        out = function(x, w, algorithm=algorithm, **options)

        def oracle(piece):
            return function(piece, w, algorithm="reference", **options)

        check(out, x, spots, oracle, (stride,) * rank, max(weight[2:]) // 2 + 2, tolerance)


ONE, THREE = (1, 1, 1, 1), (1, 1, 3, 3)
convolution("conv_plane_int8_direct", 2.5, PLANE, THREE, "int8", "direct", padding=1)
convolution("conv_plane_int8_depthwise", 2.5, PLANE, THREE, "int8", "depthwise", padding=1, padding_mode="reflect")
convolution("conv_plane_int8_separable", 2.5, PLANE, (1, 1, 5, 5), "int8", "separable", separable=True, padding=2)
convolution("conv_plane_int8_auto_stride", 1, PLANE, THREE, "int8", "auto", padding=1, stride=3)
convolution("conv_plane_float16_direct", 5, PLANE, THREE, "float16", "direct", padding=1)
convolution("conv_plane_float16_depthwise", 5, PLANE, THREE, "float16", "depthwise", padding=1)
convolution("conv_plane_float16_separable", 5, PLANE, THREE, "float16", "separable", separable=True, padding=1)
convolution("conv_plane_float16_implicit_gemm", 5, PLANE, THREE, "float16", "implicit_gemm", padding=1)
convolution("conv_plane_float16_im2col", 5, PLANE, THREE, "float16", "im2col", padding=1)
convolution("conv_plane_float16_winograd", 5, PLANE, THREE, "float16", "winograd", 0.25, padding=1)
convolution("conv_plane_float16_fft", 5, PLANE, (1, 1, 9, 9), "float16", "fft", 0.25, padding=4)
convolution("conv_one_by_one_float32_im2col", 9.5, (1, 2, SIDE, SIDE), (1, 2, 1, 1), "float32", "im2col")
convolution("conv_row_int8_direct", 2.5, ROW, (1, 1, 5), "int8", "direct", padding=2)
convolution("conv_row_int8_depthwise", 2.5, ROW, (1, 1, 5), "int8", "depthwise", padding=2, padding_mode="replicate")
convolution("conv_row_float16_fft", 5, ROW, (1, 1, 33), "float16", "fft", 0.25, padding=16)
convolution("conv_row_float16_im2col", 5, ROW, (2, 1, 5), "float16", "im2col", padding=2, stride=2)
convolution("conv_row_float16_implicit_gemm", 5, ROW, (2, 1, 5), "float16", "implicit_gemm", padding=2, stride=2)
convolution("conv_row_float16_winograd", 5, ROW, (1, 1, 3), "float16", "winograd", 0.25, padding=1)
convolution("conv_row_int8_above_2_32", 2.5, LONGER, (1, 1, 5), "int8", "auto", padding=2, stride=2)
convolution("conv_volume_int8_direct", 2.5, VOLUME, (1, 1, 3, 3, 3), "int8", "direct", padding=1)
convolution("conv_volume_int8_depthwise", 2.5, VOLUME, (1, 1, 3, 3, 3), "int8", "depthwise", padding=1)
convolution("conv_batch_int8", 2.5, BATCH, THREE, "int8", "auto", padding=1)
convolution("conv_batch_float16_winograd", 5, BATCH, THREE, "float16", "winograd", 0.25, padding=1)


def channels(name, gigabytes, shape, dtype, algorithm):
    @case(name, gigabytes)
    def run():
        x, spots = planted(shape, dtype)
        w = np.ones((shape[1], 1, 3, 3), dtype)
        out = cyconv.conv2d(x, w, padding=1, groups=shape[1], algorithm=algorithm)
        check(out, x, spots, lambda piece: cyconv.conv2d(piece, w[:1], padding=1, algorithm="reference"), (1, 1), 3)


channels("conv_channels_int8_depthwise", 2.5, CHANNELS, "int8", "depthwise")
channels("conv_channels_float32_channel_lanes", 9.5, (1, 66000, 256, 128), "float32", "channel_lanes")


@case("conv_channels_int8_sum", 1)
def conv_channels_sum():
    """Sums over all channels of one item."""
    x, _spots = planted(CHANNELS, "int8")
    w = np.ones((1, CHANNELS[1], 1, 1), "int8")
    out = cyconv.conv2d(x, w)
    np.testing.assert_array_equal(out[0, 0], x.sum(axis=(0, 1), dtype="int8"))
    assert count(out) > 3


@case("conv_dots_float32", 10)
def conv_dots():
    """A kernel of more than 2**31 numbers, nearly as large as the image."""
    x, _ = planted(PLANE, "float32")
    w, spots = planted((1, 1, SIDE - 2, SIDE - 2), "float32")
    out = cyconv.conv2d(x, w, algorithm="dots", max_workspace=2**36)
    np.testing.assert_array_equal(out, shifted_products(x, w, spots, 3))


def shifted_products(x, w, spots, side):
    """sum over w's elements of w * x, shifted; only what stands around the spots is not zero."""
    want = np.zeros((1, 1, side, side), x.dtype)
    for i in range(side):
        for j in range(side):
            for spot in spots:
                y, z = (max(0, a - 4) for a in spot[2:])
                piece = w[0, 0, y : spot[2] + 1, z : spot[3] + 1]
                want[0, 0, i, j] += (piece * x[0, 0, y + i : y + i + piece.shape[0], z + j : z + j + piece.shape[1]]).sum()
    return want


@case("plan_plane_int8", 2.5)
def plan():
    x, spots = planted(PLANE, "int8")
    w = np.ones(THREE, "int8")
    out = cyconv.plan_conv(PLANE, w, padding=1)(x)
    check(out, x, spots, lambda piece: cyconv.conv2d(piece, w, padding=1, algorithm="reference"), (1, 1), 5)


@case("blockwise_plane_int8", 3)
def blockwise():
    x, spots = planted(PLANE, "int8")
    out, w = np.zeros(PLANE[1:], "int8"), np.ones(THREE, "int8")
    cyconv.convolve_blockwise(x[0], w, out, padding=1, max_memory=2**28)
    check(out[None], x, spots, lambda piece: cyconv.conv2d(piece, w, padding=1, algorithm="reference"), (1, 1), 5)


def transposed(name, gigabytes, dtype, kernel, stride, padding):
    @case(name, gigabytes)
    def run():
        side = SIDE // stride
        x, spots = planted((1, 1, side, side), dtype, spots=[(0, 0, 0, 5), (0, 0, side // 2, 9), (0, 0, side - 1, side - 1)])
        w = np.random.default_rng(0).integers(1, 3, (1, 1, kernel, kernel)).astype(dtype)
        out = cyconv.conv_transpose2d(x, w, stride=stride, padding=padding)
        assert out.size > 2**31
        expected = 0
        for _, _, y, z in spots:
            low = [max(0, a - 9) for a in (y, z)]
            high = [min(side, a + 9) for a in (y, z)]
            want = cyconv.conv_transpose2d(x[:, :, low[0] : high[0], low[1] : high[1]], w, stride=stride, padding=padding, algorithm="reference")[0, 0]
            got = out[0, 0, low[0] * stride :, low[1] * stride :][: want.shape[0], : want.shape[1]]
            inner = tuple(slice(6 if lo else 0, None if hi == side else -6) for lo, hi in zip(low, high))
            np.testing.assert_array_equal(got[inner], want[inner])
            expected += np.count_nonzero(want[inner])
        assert expected and count(out) == expected


transposed("conv_transpose_int8", 5, "int8", 2, 2, 0)
transposed("conv_transpose_int8_overlapping", 5, "int8", 4, 2, 1)
transposed("conv_transpose_float16", 8, "float16", 3, 1, 1)


# ---- gradients ---------------------------------------------------------------------------------------------------------------


@case("grad_conv_input_int8", 5)
def conv_input():
    g, spots = planted(PLANE, "int8")
    w = np.arange(1, 10).reshape(THREE).astype("int8")
    out = grad.conv2d_input(PLANE, w, g, padding=1)
    check(out, g, spots, lambda piece: cyconv.conv2d(piece, w[:, :, ::-1, ::-1], padding=1, algorithm="reference"), (1, 1), 5)


@case("grad_conv_weight_float32", 10)
def conv_weight():
    """Sums over more than 2**31 places."""
    x, _ = planted(PLANE, "float32")
    g, spots = planted((1, 1, SIDE - 2, SIDE - 2), "float32")
    out = grad.conv2d_weight(x, THREE, g, max_workspace=2**36)
    np.testing.assert_array_equal(out, shifted_products(x, g, spots, 3))


@case("grad_conv_bias_int8", 1)
def conv_bias():
    g, _ = planted(PLANE, "int8")
    assert grad.conv2d_bias(g).tolist() == [int(g.sum(dtype="int8"))] != [0]


def scattered():
    """Values of 100 x 100 windows of 464 x 464 samples, and the place of one sample in each."""
    rng = np.random.default_rng(0)
    y, z = (np.arange(100) * 464 + rng.integers(0, 464, (100, 100)) for _ in range(2))
    indices = (y.T * SIDE + z)[None, None]
    return rng.integers(1, 100, indices.shape).astype("int8"), indices


@case("unpool_int8", 2.5)
def unpool():
    values, indices = scattered()
    out = cyconv.max_unpool2d(values, indices, 464)
    assert out.shape == PLANE
    np.testing.assert_array_equal(out.reshape(-1)[indices], values)
    assert count(out) == values.size


@case("grad_max_unpool_int8", 19)
def max_unpool_input():
    """Takes 8 bytes for each number of a plane."""
    values, indices = scattered()
    g = np.zeros(PLANE, "int8")
    g.reshape(-1)[indices] = values
    np.testing.assert_array_equal(grad.max_unpool2d_input(g, indices), values)


@case("grad_max_pool_int8", 2.5)
def max_pool_input():
    values, indices = scattered()
    out = grad.max_pool2d_input(PLANE, indices, values)
    np.testing.assert_array_equal(out.reshape(-1)[indices], values)
    assert count(out) == values.size


@case("grad_avg_pool_float16", 13)
def avg_pool_input():
    g = np.zeros((1, 1, 100, 100), "float16")
    g[0, 0, [0, 99, 99, 50], [0, 99, 50, 99]] = 1, 2, 3, 4
    out = grad.avg_pool2d_input(PLANE, g, 464, divisor_override=1)
    for y, z in ((0, 0), (99, 99), (99, 50), (50, 99)):
        assert (out[0, 0, y * 464 : y * 464 + 464, z * 464 : z * 464 + 464] == g[0, 0, y, z]).all()
    assert count(out) == 4 * 464**2


@case("grad_adaptive_avg_pool_float16", 13)
def adaptive_avg_pool_input():
    g = np.zeros((1, 1, 100, 100), "float16")
    g[0, 0, [0, 99], [0, 99]] = 60000, 30000
    out = grad.adaptive_avg_pool2d_input(PLANE, g)
    for y in (0, 99):
        np.testing.assert_allclose(out[0, 0, y * 464 : y * 464 + 464, y * 464 : y * 464 + 464].astype(float), float(g[0, 0, y, y]) / 464**2, rtol=1e-3)
    assert count(out) == 2 * 464**2


# ---- pools -------------------------------------------------------------------------------------------------------------------


def pool(name, gigabytes, function, shape, dtype, kernel, stride, padding=0, values=(3, 2, 1), tolerance=0.0, algorithm="auto"):
    @case(name, gigabytes)
    def run():
        rank = len(shape) - 2
        x, spots = planted(shape, dtype, values)
        pooled = getattr(cyconv, f"{function}{rank}d")
        first = (2, kernel, stride) if function == "lp_pool" else (kernel, stride, padding)
        out = pooled(x, *first, algorithm=algorithm)

        def oracle(piece):
            return pooled(piece, *first, algorithm="reference")

        check(out, x, spots, oracle, (stride,) * rank, kernel // 2 + 2, tolerance)


pool("max_pool_plane_int8", 3, "max_pool", PLANE, "int8", 3, 1, 1)
pool("max_pool_plane_int8_stride", 1, "max_pool", PLANE, "int8", 2, 2)
pool("min_pool_plane_int8", 3, "min_pool", PLANE, "int8", 3, 1, 1, (-3, -2, -1))
pool("max_pool_plane_float16", 5, "max_pool", PLANE, "float16", 3, 1, 1)
pool("max_pool_plane_int8_pool", 1, "max_pool", PLANE, "int8", 4, 4, algorithm="pool")
pool("avg_pool_plane_int8", 3, "avg_pool", PLANE, "int8", 3, 1, 1, (90, 80, 70))
pool("avg_pool_plane_float16", 5, "avg_pool", PLANE, "float16", 3, 1, 1, (90, 80, 70))
pool("avg_pool_plane_float16_pool", 2, "avg_pool", PLANE, "float16", 4, 4, 0, (90, 80, 70), algorithm="pool")
pool("lp_pool_plane_float16", 2, "lp_pool", PLANE, "float16", 4, 4, 0, (90, 80, 70), 0.05)
pool("max_pool_row_int8", 3, "max_pool", ROW, "int8", 5, 1, 2)
pool("max_pool_row_int8_above_2_32", 3, "max_pool", LONGER, "int8", 3, 2, 1)
pool("avg_pool_row_int8", 3, "avg_pool", ROW, "int8", 5, 1, 2, (90, 80, 70))
pool("avg_pool_row_float16_pool", 3, "avg_pool", ROW, "float16", 5, 5, 0, (90, 80, 70), algorithm="pool")
pool("max_pool_volume_int8", 3, "max_pool", VOLUME, "int8", 3, 1, 1)
pool("avg_pool_volume_int8", 3, "avg_pool", VOLUME, "int8", 3, 1, 1, (90, 80, 70))
pool("max_pool_batch_int8", 3, "max_pool", BATCH, "int8", 3, 1, 1)
pool("avg_pool_batch_int8", 3, "avg_pool", BATCH, "int8", 3, 1, 1, (90, 80, 70))
pool("max_pool_channels_int8", 3, "max_pool", CHANNELS, "int8", 3, 1, 1)


def with_indices(name, gigabytes, function, shape, dtype, kernel, stride, values=(3, 2, 1), spots=None):
    """Where all is zero, the first sample of each window is its winner."""

    @case(name, gigabytes)
    def run():
        x, at = planted(shape, dtype, values, spots)
        rank, size = len(shape) - 2, shape[2:]
        out, indices = getattr(cyconv, f"{function}{rank}d")(x, kernel, stride, return_indices=True)
        assert indices.dtype == np.int64
        found = np.flatnonzero(out)  # which windows see what was planted
        assert len(found)
        np.testing.assert_array_equal(x.reshape(-1)[indices.reshape(-1)[found]], out.reshape(-1)[found])
        best = {}
        for place in np.argwhere(out)[:, 2:]:
            window = tuple(slice(o * stride, o * stride + kernel) for o in place)
            piece = x[(0, 0, *window)]
            winner = np.unravel_index(np.argmax(piece) if function[:3] == "max" else np.argmin(piece), piece.shape)
            best[tuple(place)] = int(np.ravel_multi_index([int(p + s.start) for p, s in zip(winner, window)], size))
            assert indices[(0, 0, *place)] == best[tuple(place)]
        seen = {tuple(a // stride for a in spot[2:]) for spot in at if all(a // stride < m and a % stride < kernel for a, m in zip(spot[2:], out.shape[2:]))}
        assert seen <= set(best)
        firsts = [np.arange(m, dtype=np.int64) * stride for m in out.shape[2:]]
        others = 0
        for first in range(0, out.shape[2], 512):
            rows = firsts[0][first : first + 512]
            want = rows if rank == 1 else (rows[:, None] * size[1] + firsts[1])
            others += int(np.count_nonzero(indices[0, 0, first : first + 512] != want))
        assert others <= len(found)
        assert max(best.values()) >= 2**31 - 2**17


with_indices("max_pool_indices_plane_int8", 3, "max_pool", PLANE, "int8", 3, 3)
with_indices("max_pool_indices_plane_float16", 3, "max_pool", PLANE, "float16", 3, 4)
with_indices("max_pool_indices_row_int8", 3, "max_pool", ROW, "int8", 16, 16)
with_indices("min_pool_indices_plane_int8", 3, "min_pool", PLANE, "int8", 3, 1007, (-3, -2, -1), [(0, 0, 1, 2), (0, 0, 46 * 1007 + 1, 46 * 1007 + 1)])


@case("global_pools", 2)
def global_pools():
    """Windows of more than 2**31 samples, of one size and of several."""
    x, spots = planted(PLANE, "int8", (100, 90, 80))  # noqa: RUF059
    for values, indices in (cyconv.max_pool2d(x, SIDE, return_indices=True), cyconv.adaptive_max_pool2d(x, 1, return_indices=True)):
        assert (values.item(), indices.item()) == (100, int(np.argmax(x)))
    values, indices = cyconv.adaptive_max_pool2d(x, 3, return_indices=True)
    edges = [(o * SIDE // 3, -((o + 1) * -SIDE // 3)) for o in range(3)]
    for i, (top, bottom) in enumerate(edges):
        for j, (left, right) in enumerate(edges):
            piece = x[0, 0, top:bottom, left:right]
            y, z = np.unravel_index(np.argmax(piece), piece.shape)
            assert values[0, 0, i, j] == piece[y, z] and indices[0, 0, i, j] == (top + y) * SIDE + left + z
    f, _spots = planted(PLANE, "float32", (2.0**24, 2.0**23, 2.0**22))
    total = f.sum(dtype=np.float64)
    for got in (cyconv.avg_pool2d(f, SIDE), cyconv.adaptive_avg_pool2d(f, 1)):
        assert got.item() == np.float32(total / SIDE**2)
    got = cyconv.adaptive_avg_pool2d(f, 3)
    for i, (top, bottom) in enumerate(edges):
        for j, (left, right) in enumerate(edges):
            piece = f[0, 0, top:bottom, left:right]
            assert got[0, 0, i, j] == np.float32(piece.sum(dtype=np.float64) / piece.size)
    assert cyconv.lp_pool2d(f, 1, SIDE).item() == np.float32(total)


# ---- windows, filters, signals ------------------------------------------------------------------------------------------------


@case("unfold_int8", 3)
def unfold_and_fold():
    """A result of more than 2**31 elements, and back."""
    side, corners = 16000, [(0, 0), (8000, 15999), (15999, 15999), (7, 9000)]
    x = np.zeros((1, 1, side, side), "int8")
    for value, at in enumerate(corners, 1):
        x[0, 0, *at] = value
    out = cyconv.unfold(x, 3, padding=1)
    assert out.size > 2**31
    expected, times = 0, []
    for value, (y, z) in enumerate(corners, 1):
        seen = 0
        for i in range(3):
            for j in range(3):
                oy, oz = y + 1 - i, z + 1 - j
                if 0 <= oy < side and 0 <= oz < side:
                    assert out[0, 3 * i + j, oy * side + oz] == value
                    seen += 1
        expected += seen
        times.append(seen)
    assert count(out) == expected
    back = cyconv.fold(out, (side, side), 3, padding=1)
    assert [int(back[0, 0, *at]) for at in corners] == [value * seen for value, seen in enumerate(times, 1)]
    assert count(back) == 4
    np.testing.assert_array_equal(grad.unfold_input(x.shape, out, 3, padding=1)[0, 0, 8000:, 15900:], back[0, 0, 8000:, 15900:])


@case("unfold_plane_int8", 2)
def unfold_of_a_plane():
    x, _spots = planted(PLANE, "int8")
    out = cyconv.unfold(x, 2, stride=9)
    m = (SIDE - 2) // 9 + 1
    want = np.stack([x[0, 0, i : i + 9 * m - 8 : 9, j : j + 9 * m - 8 : 9].reshape(-1) for i in range(2) for j in range(2)])
    np.testing.assert_array_equal(out[0], want)


@case("fold_plane_int8", 5)
def fold_to_a_plane():
    columns, _ = planted((1, 4, (SIDE // 2) ** 2), "int8")
    out = cyconv.fold(columns, (SIDE, SIDE), 2, stride=2)
    assert count(out) == count(columns) > 5
    for tap, window in zip(*np.nonzero(columns[0])):
        y, z = divmod(int(window), SIDE // 2)
        assert out[0, 0, 2 * y + tap // 2, 2 * z + tap % 2] == columns[0, tap, window]


def filtered(name, gigabytes, function, shape, dtype, size, values, mode="reflect"):
    @case(name, gigabytes)
    def run():
        import scipy.ndimage

        x, spots = planted((1, 1, *shape), dtype, values)
        out = getattr(cyconv, function)(x[0, 0], size, mode=mode)
        oracle = getattr(scipy.ndimage, function)
        check(out[None, None], x, spots, lambda piece: oracle(piece[0, 0], size, mode=mode)[None, None], (1,) * len(shape), size + 2)


filtered("maximum_filter_plane_int8", 3, "maximum_filter", PLANE[2:], "int8", 5, (3, 2, 1))
filtered("minimum_filter_row_int8", 3, "minimum_filter", ROW[2:], "int8", 9, (-3, -2, -1))
filtered("uniform_filter_plane_int8", 5, "uniform_filter", PLANE[2:], "int8", 3, (90, 80, 70))
filtered("maximum_filter_volume_int8", 3, "maximum_filter", VOLUME[2:], "int8", 3, (3, 2, 1), "nearest")


def signals(name, gigabytes, function, shape, dtype, kernel, tolerance=0.0, *more):
    @case(name, gigabytes)
    def run():
        import scipy.signal

        x, spots = planted((1, 1, *shape), dtype)
        k = np.random.default_rng(0).integers(1, 4, kernel).astype(dtype)
        out = getattr(signal, function)(x[0, 0], k, "same", *more)
        oracle = getattr(scipy.signal, function)
        check(out[None, None], x, spots, lambda piece: oracle(piece[0, 0], k, "same", *more)[None, None], (1,) * len(shape), max(kernel) // 2 + 2, tolerance)


signals("signal_correlate_plane_int8", 3, "correlate", PLANE[2:], "int8", (3, 3))
signals("signal_convolve_row_int8", 3, "convolve", ROW[2:], "int8", (5,))
signals("signal_convolve2d_symm_int8", 3, "convolve2d", PLANE[2:], "int8", (3, 3), 0.0, "symm")
signals("signal_fftconvolve_row_float32", 10, "fftconvolve", ROW[2:], "float32", (33,), 0.25)


@case("relu_float16", 5)
def relu():
    x, spots = planted((1, 2, SIDE // 2 + 1, SIDE), "float16", (3, -2, 1))
    out = cyconv.relu(x)
    assert count(out) == sum(int((x[n, c, max(y - 1, 0) : y + 1, max(z - 2, 0) : z + 1] > 0).sum()) for n, c, y, z in spots)


@case("batch_norm_float16", 21)
def batch_norm():
    x, _ = planted((1, 2, SIDE // 2 + 1, SIDE), "float16", (3, -2, 1))
    out = cyconv.batch_norm(x, np.zeros(2, "float16"), np.ones(2, "float16"), eps=0)
    assert count(out) == count(x) and out[0, 1, -1, -1] == x[0, 1, -1, -1] == 3


# ---- all of them -------------------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if len(options.names) == 1:
        begun = time.perf_counter()
        CASES[options.names[0]][0]()
        seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"| {options.names[0]} | {seconds:.1f} s | {peak / 2**20:.2f} GiB |")
        return 0
    failed = 0
    for name in options.names or CASES:
        try:
            done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, timeout=SECONDS)
            code, text = done.returncode, done.stdout + done.stderr[-2000:]
        except subprocess.TimeoutExpired:
            code, text = "late", f"no answer in {SECONDS} s"
        failed += code != 0
        print(text.strip() if code == 0 else f"| {name} | FAILED ({code}) |\n{text}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Tiles of one plane on the GPU: every kind of tile, every remainder of strides, and what stands at the tiles' edges."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from cases import Case, assert_within_bound, exact, problem_of

import cyconv
from cyconv import menu, select
from cyconv.gpu import depthwise
from cyconv.gpu.layout import views
from cyconv.problem import GPU_DTYPES, gpu_problem, make_conv_problem

ROW = next(row for row in menu.GPU_CONV if row.name == "depthwise")


def data(shape, dtype="float32", seed=0):
    """Small integers, on which sums are exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0 if dtype.startswith("u") else -3, 4, shape)
    return (x + 1j * rng.integers(-3, 4, shape) if dtype.startswith("complex") else x).astype(dtype)


def tiled(problem, tiling):
    """The same problem, cut in that way."""
    made = replace(problem)
    made.kept["depthwise tiles"] = replace(tiling, problem=made)
    return made


def computed(cupy, problem, x, w, bias=None, out=None, **options):
    """By the kernel itself."""
    out = cupy.full(problem.output_shape, 77, x.dtype) if out is None else out
    x, w, bias = (None if a is None else cupy.asarray(a) for a in (x, w, bias))
    depthwise.run(problem, *views(problem, x, w, out)[:2], bias, views(problem, x, w, out)[2], **options)
    return out.get()


def check(cupy, x, w, bias=None, **options):
    rank = w.ndim - 2
    want = getattr(cyconv, f"conv{rank}d")(x, w, bias, algorithm="reference", **options)
    arrays = [None if a is None else cupy.asarray(a) for a in (x, w, bias)]
    got = getattr(cyconv, f"conv{rank}d")(*arrays, algorithm="depthwise", **options).get()
    np.testing.assert_array_equal(got, want, err_msg=f"{x.shape} {w.shape} {options}")


def problem(x, w, bias=None, **options):
    return problem_of(Case("", x.shape, w.shape, options), x.dtype, bias)


def some(tilings, most, seed=0):
    """A few of them, of each kind."""
    found = []
    for _, group in itertools.groupby(tilings, key=lambda t: t.kind):
        group = list(group)
        found += random.Random(seed).sample(group, min(most, len(group)))
    return found


# ---- unrolled kernels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("kind", depthwise.UNROLLED, ids=lambda kind: f"{kind.kernel}x{kind.kernel}s{kind.stride}")
def test_unrolled_kernels_at_edges_of_tiles(kind, dtype, cupy):
    k, s = kind.kernel, kind.stride
    for height, width in [(1, 1), (1, 9), (kind.rows - 1, 3), (kind.rows, 4), (kind.rows + 1, 5), (19, 67), (40, 31)]:
        x = data((2, 3, (height - 1) * s + k - 2, (width - 1) * s + k - 2), dtype)
        w, bias = data((6, 1, k, k), dtype, 1), data((6,), dtype, 2)
        p = problem(x, w, bias, groups=3, stride=s, padding=1)
        assert {t.kind for t in depthwise.tilings(p)} == {kind} or height == width == 1
        want = exact(p, x, w, bias).astype(dtype)
        for t in some(depthwise.tilings(p), 3):
            np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w, bias), want, err_msg=f"{p} {t.threads}")


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("kernel, stride", [(3, 1), (5, 2), (7, 1)])
def test_unrolled_kernels_in_every_padding_mode(kernel, stride, mode, cupy):
    for shape in [(1, 2, 8, 9), (1, 2, 33, 70)]:
        x, w = data(shape), data((2, 1, kernel, kernel), seed=1)
        for padding in (kernel // 2, ((7, 0), (1, 8)), ((0, 7), (7, 2))):
            check(cupy, x, w, groups=2, stride=stride, padding=padding, padding_mode=mode)


def test_small_planes_share_a_block(cupy):
    for planes, size in [(1, 7), (31, 7), (100, 7), (33, 14), (7, 28), (5, 2)]:
        x, w = data((2, planes, size, size)), data((planes, 1, 3, 3), seed=planes)
        p = problem(x, w, groups=planes, padding=1)
        assert planes < 30 or depthwise.tiling(p).together > 8
        check(cupy, x, w, data((planes,)), groups=planes, padding=1)


# ---- any kernel --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3, 4, (4, 6)], ids=str)
@pytest.mark.parametrize("dilation", [1, 2, 3, (6, 4)], ids=str)
def test_every_remainder_of_strides_and_dilations(stride, dilation, cupy):
    x = data((1, 2, 50, 61))
    for kernel in [(1, 1), (2, 3), (4, 1), (3, 9), (5, 4)]:
        w, bias = data((2, 1, *kernel), seed=1), data((2,))
        p = problem(x, w, bias, groups=2, stride=stride, dilation=dilation, padding=(3, 5))
        want = exact(p, x, w, bias)
        for t in some(depthwise.tilings(p), 2, seed=kernel[0]):
            np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w, bias), want, err_msg=f"{p} {t.kind} {t.threads}")


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33])
def test_signals(taps, cupy):
    for length in (taps, taps + 1, 127 + taps, 1029):
        x, w = data((2, 2, length)), data((3, 2, taps), seed=1)
        p = problem(x, w, padding=2)
        for t in some(depthwise.tilings(p), 2, seed=length):
            np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w), exact(p, x, w, None), err_msg=f"{p} {t.kind} {t.threads}")


@pytest.mark.parametrize("size, kernel, options", [
    ((40, 90), (31, 31), {"padding": 15}),
    ((90, 150), (33, 40), {"stride": 2}),
    ((150, 40), (70, 5), {"stride": (3, 1), "padding": 4}),
    ((1, 7000), (1, 3000), {}),
    ((2, 16000), (1, 5001), {"stride": 3}),
    ((3, 9000), (2, 800), {"dilation": (1, 7), "padding": (0, 30)}),
    ((100, 100), (20, 20), {"dilation": 4, "stride": 3, "padding": 20}),
], ids=str)  # fmt: skip
def test_large_kernels_are_cut(size, kernel, options, cupy):
    x, w = data((1, 1, *size)), data((1, 1, *kernel), seed=1)
    p = problem(x, w, **options)
    cut = [t for t in depthwise.tilings(p) if max(t.pieces) > 1]
    whole = [t for t in depthwise.tilings(p) if max(t.pieces) == 1]
    assert cut
    want = exact(p, x, w, None)
    for t in some(cut, 2) + some(whole, 1):
        assert t.room * 4 <= t.kind.bytes
        np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w), want, err_msg=f"{t.kind} {t.threads} {t.piece}")


def test_both_axes_of_a_kernel_are_cut(cupy):
    x, w = data((1, 1, 4, 6011)), data((1, 1, 3, 6000), seed=1)
    p = problem(x, w)
    cut = [t for t in depthwise.tilings(p) if min(t.pieces) > 1]
    assert cut
    for t in some(cut, 1):
        np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w), exact(p, x, w, None))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_every_padding_mode(mode, cupy):
    for size, kernel, padding, options in [
        ((20, 21), (6, 9), ((5, 0), (0, 8)), {}),
        ((20, 21), (6, 2), ((0, 7), (9, 1)), {"stride": (3, 2), "dilation": 2}),
        ((40,), (11,), ((10, 3),), {"stride": 2}),
        ((5, 6, 7), (3, 2, 4), ((2, 0), (1, 3), (0, 5)), {"dilation": (2, 1, 1)}),
    ]:
        x, w = data((2, 2, *size)), data((4, 1, *kernel), seed=1)
        check(cupy, x, w, data((4,)), groups=2, padding=padding, padding_mode=mode, **options)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 5, 5), (2, 1, 7)])
def test_volumes_and_channels(kernel, cupy):
    for groups, channels, outs in [(1, 1, 1), (2, 1, 3), (1, 3, 2), (2, 2, 1)]:
        x, w = data((2, groups * channels, 6, 9, 17)), data((groups * outs, channels, *kernel), seed=1)
        check(cupy, x, w, data((groups * outs,)), groups=groups, padding=1)
        check(cupy, x, w, groups=groups, stride=(2, 1, 2))


def test_cropped(cupy):
    """Negative padding, which only transposed convolutions make."""
    x, w = data((2, 3, 12, 30)), data((3, 1, 3, 3), seed=1)
    p = make_conv_problem(2, True, "float32", 2, 3, 1, 1, (12, 30), (3, 3), (1, 1), (1, 1), (-2, -5), (1, -7), "zeros", (9, 16), False, False, 2**28)
    inside = np.pad(x[:, :, 2:, 5:-7], ((0, 0), (0, 0), (0, 1), (0, 0)))
    want = cyconv.conv2d(inside, w, groups=3)
    np.testing.assert_array_equal(computed(cupy, p, x, w), want)
    for kernel in (3, 4, 6):
        x, w = data((1, 2, 5, 9)), data((2, 2, kernel, kernel), seed=1)
        options = {"stride": 2, "padding": 1, "groups": 2, "output_padding": 1}
        w = w[:, :1]
        got = cyconv.conv_transpose2d(cupy.asarray(x), cupy.asarray(w), algorithm="depthwise", **options).get()
        np.testing.assert_array_equal(got, cyconv.conv_transpose2d(x, w, **options))


# ---- dtypes, layouts, special values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", GPU_DTYPES)
def test_every_dtype(dtype, cupy):
    wide = dtype
    if dtype == "bfloat16":
        dtype, wide = pytest.importorskip("ml_dtypes").bfloat16, "float32"
    for size, kernel, options in [((19, 37), (3, 3), {"padding": 1}), ((9, 20), (4, 5), {"stride": (1, 2)}), ((1, 300), (1, 30), {})]:
        x, w, bias = (data(shape, wide) for shape in ((2, 2, *size), (2, 1, *kernel), (2,)))
        p = problem(x, w, bias, groups=2, **options)
        want = exact(p, x, w, bias).astype(dtype)
        p = gpu_problem(p, np.dtype(dtype).name, False)
        for t in some(depthwise.tilings(p), 1):
            np.testing.assert_array_equal(computed(cupy, tiled(p, t), *(a.astype(dtype) for a in (x, w, bias))), want, err_msg=f"{p} {t.kind}")


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128"])
def test_error_bound(dtype, cupy):
    rng = np.random.default_rng(3)
    for size, kernel in [((25, 41), (3, 3)), ((40, 60), (17, 19))]:
        x, w, bias = (rng.standard_normal(s).astype(dtype) for s in ((1, 2, *size), (2, 1, *kernel), (2,)))
        p = problem(x, w, bias, groups=2, padding=1)
        assert_within_bound(ROW, p, x, w, bias, computed(cupy, p, x, w, bias))


@pytest.mark.parametrize("kernel", [3, 6])
def test_arrays_of_any_strides(kernel, cupy):
    x, w = data((2, 20, 41, 3)), data((kernel, kernel, 1, 3), seed=1)
    want = cyconv.conv2d(x.transpose(0, 3, 1, 2)[:, :, ::-1, ::2], w.transpose(3, 2, 0, 1)[::-1, :, :, ::-1], groups=3, padding=1)
    x, w = (cupy.asarray(a) for a in (x, w))
    views = x.transpose(0, 3, 1, 2)[:, :, ::-1, ::2], w.transpose(3, 2, 0, 1)[::-1, :, :, ::-1]
    for shape, axes, part in [
        (want.shape, (0, 1, 2, 3), ...),
        (want.shape[::-1], (3, 2, 1, 0), ...),
        ((2, 3, want.shape[2], want.shape[3] + 1), (0, 1, 2, 3), (..., slice(1, None))),
        ((2, 3, want.shape[2] * 2, want.shape[3]), (0, 1, 2, 3), (..., slice(None, None, -2), slice(None, None, -1))),
    ]:
        room = cupy.full(shape, 77, np.float32)
        out = room.transpose(*axes)[part]
        assert cyconv.conv2d(*views, groups=3, padding=1, algorithm="depthwise", out=out) is out
        np.testing.assert_array_equal(out.get(), want)
        assert (room.get() == 77).sum() >= room.size - out.size


def test_one_sample_may_stand_for_all(cupy):
    x, w = cupy.broadcast_to(cupy.full((1, 1, 1, 1), 3, np.float32), (2, 4, 30, 30)), data((4, 1, 3, 3))
    got = cyconv.conv2d(x, cupy.asarray(w), groups=4, algorithm="depthwise").get()
    np.testing.assert_array_equal(got, np.broadcast_to(3 * w.sum((1, 2, 3)).reshape(1, 4, 1, 1), got.shape))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "complex64"])
@pytest.mark.parametrize("width", [7, 8, 12, 16, 64])
def test_results_are_written_whole_only_where_they_may_be(width, dtype, cupy):
    x, w = data((1, 1, 9, width), dtype), data((1, 1, 3, 3), dtype, 1)
    p = problem(x, w, padding=1)
    want = exact(p, x, w, None).astype(dtype)
    for t in some(depthwise.tilings(p), 2):
        out = cupy.full((9 * width + 3,), 77, dtype)
        for first in range(4):
            out.fill(77)
            plane = out[first : first + 9 * width].reshape(1, 1, 9, width)
            computed(cupy, tiled(p, t), x, w, out=plane)
            np.testing.assert_array_equal(plane.get(), want)
            assert (np.delete(out.get(), np.s_[first : first + 9 * width]) == 77).all()
        assert t.whole(cupy.empty((1, 1, 1, 1, 9, width), dtype)) or width % 8 or t.kind.quads > 1
        assert not t.whole(cupy.empty((1, 1, 1, 1, 9, width + 1), dtype)[..., 1:])


@pytest.mark.parametrize("kernel", [(3, 3), (5, 9), (1, 17)], ids=str)
def test_what_is_not_finite_stays_in_its_window(kernel, cupy):
    x = data((1, 1, 21, 40))
    x[0, 0, 3, 4], x[0, 0, 20, 39], x[0, 0, 11, 20] = np.inf, np.nan, -np.inf
    w = data((1, 1, *kernel), seed=1)
    with np.errstate(all="ignore"):
        p = problem(x, w, padding=1)
        for t in some(depthwise.tilings(p), 3):
            np.testing.assert_array_equal(computed(cupy, tiled(p, t), x, w), exact(p, x, w, None))
        w[0, 0, 0, 0] = np.inf  # times a zero of the padding it is NaN
        np.testing.assert_array_equal(computed(cupy, p, x, w), exact(p, x, w, None))


def test_only_if(cupy):
    x, w = data((1, 2, 9, 9)), data((2, 1, 3, 3))
    p = problem(x, w, groups=2)
    for flag in (0, 1):
        got = computed(cupy, p, x, w, only_if=cupy.full((1,), flag, np.int32))
        np.testing.assert_array_equal(got, exact(p, x, w, None) if flag else np.full(p.output_shape, 77))


# ---- the launcher ------------------------------------------------------------------------------------------------------------


def test_tiles_cover_every_output_and_fit():
    for x, w, options in [
        ((3, 8, 57, 101), (16, 1, 3, 3), {"groups": 8, "padding": 1}),
        ((1, 1, 300, 300), (2, 1, 25, 31), {"stride": (1, 3)}),
        ((1, 1, 9, 90000), (1, 1, 2, 700), {"dilation": (1, 5)}),
        ((2, 3, 9, 20, 20), (3, 1, 3, 4, 5), {"groups": 3, "dilation": (1, 2, 3), "stride": (1, 3, 2)}),
    ]:
        for dtype in ("float32", "complex128", "uint8"):
            p = problem_of(Case("", x, w, options), dtype, None)
            found = list(depthwise.tilings(p))
            assert found
            for t in found:
                threads = t.threads[0] * t.threads[1] * t.together
                assert threads <= t.kind.threads and t.together <= 64
                assert t.room * t.together * depthwise.size_of_sum(p) <= t.kind.bytes
                assert all(n * tiles >= o > n * (tiles - 1) for n, tiles, o in zip(t.outputs, t.tiles, p.out_size[1:]))
                assert all(n * pieces >= k > n * (pieces - 1) for n, pieces, k in zip(t.piece, t.pieces, p.kernel[1:]))
                assert t.blocks * t.together >= t.count


def test_what_is_declined(cupy):
    for x, w, options in [
        ((1, 1, 9000), (1, 1, 3), {"dilation": 4000}),
        ((1, 1, 9000, 3), (1, 1, 2, 1), {"stride": (7000, 1), "dilation": (1999, 1)}),
        ((1, 1, 3), (1, 1, 3), {"padding": 2**30}),
    ]:
        p = problem_of(Case("", x, w, options), "float32", None)
        assert "too large" in depthwise.why_not(p)
        with pytest.raises(ValueError, match="algorithm='depthwise' cannot compute"):
            select.choose(p, "depthwise", device="gpu")
        assert select.choose(p, device="gpu").name != "depthwise"


@pytest.mark.parametrize("x, w, options, chosen", [
    ((32, 128, 56, 56), (128, 1, 3, 3), {"groups": 128, "padding": 1}, True),
    ((32, 64, 112, 112), (64, 1, 3, 3), {"groups": 64, "padding": 1, "stride": 2}, True),
    ((32, 1024, 7, 7), (1024, 1, 3, 3), {"groups": 1024, "padding": 1}, True),
    ((1, 1, 4096, 4096), (1, 1, 7, 7), {"padding": 3}, True),
    ((1, 1, 4096, 4096), (1, 1, 11, 11), {"padding": 5}, True),
    ((1, 1, 10**6), (1, 1, 129), {}, True),
    ((1, 1, 256, 256, 256), (1, 1, 3, 3, 3), {"padding": 1}, True),
    ((32, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}, False),
    ((32, 256, 56, 56), (64, 256, 1, 1), {}, False),
    ((1, 1, 10**6), (1, 1, 50001), {}, False),
], ids=str)  # fmt: skip
def test_what_it_is_chosen_for(x, w, options, chosen):
    p = problem_of(Case("", x, w, options), "float32", None)
    assert (select.choose(p, device="gpu").name == "depthwise") == chosen

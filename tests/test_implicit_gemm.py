"""What is special about implicit_gemm: tiles of any height, pixels from anywhere, panels of one or two vectors, chunks of products."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest
from cases import ROWS, conv

import cyconv
from cyconv import select
from cyconv.problem import conv_problem

NAME = "implicit_gemm"


def whole(rng, shape, dtype="float32"):
    """Small integers, on which sums are exact."""
    return rng.integers(-2, 3, shape).astype(dtype)


def both(x, w, bias=None, **options):
    rank = w.ndim - 2
    got = conv(rank)(x, w, bias, algorithm=NAME, **options)
    np.testing.assert_array_equal(got, conv(rank)(x, w, bias, algorithm="reference", **options))
    plan = cyconv.plan_conv(x.shape, w, bias, dtype=x.dtype, algorithm=NAME, **options)
    np.testing.assert_array_equal(plan(x), got)  # weights packed ahead, and while running
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 64, 65])
def test_every_remainder_of_output_channels(channels, dtype):
    rng = np.random.default_rng(channels)
    both(whole(rng, (2, 3, 5, 6), dtype), whole(rng, (channels, 3, 2, 3), dtype), whole(rng, channels, dtype), padding=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_of_pixels(dtype):
    rng = np.random.default_rng(0)
    w1, w2 = whole(rng, (18, 3, 4), dtype), whole(rng, (40, 3, 4), dtype)
    for width in (*range(4, 70), 451, 452, 453, 900, 2000):
        x = whole(rng, (1, 3, width), dtype)
        for w in (w1, w2):
            both(x, w)
            both(x, w, padding=2, stride=3)


@pytest.mark.parametrize("channels", [3, 16, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_that_keep_to_runs_of_pixels(channels, dtype):
    # one vector of output channels: short runs share a tile, longer ones make tiles of their own, and last ones are cut anywhere
    rng = np.random.default_rng(channels)
    w = whole(rng, (channels, 5, 4, 4), dtype)
    for width in (*range(4, 22), 31, 32, 33, 46):
        x = whole(rng, (3, 5, 9, width), dtype)
        both(x, w)
        both(x, w, padding=1, stride=(2, 1))
        both(x, w, stride=(1, 2))


@pytest.mark.parametrize("channels", [1, 13, 14, 15, 29, 60])
def test_pieces_of_output_channels_one_after_the_other(channels):
    rng = np.random.default_rng(channels)
    for shape, kernel in (((2, 3, 40, 70), (5, 5)), ((1, 2, 9, 2000), (1, 3)), ((3, 20, 8, 16), (1, 1))):
        both(whole(rng, shape), whole(rng, (channels, shape[1], *kernel)), whole(rng, channels))


def test_every_row_length_of_a_plane():
    # tiles that span rows, planes and batch items, in place and from boxes
    rng = np.random.default_rng(1)
    w = whole(rng, (35, 4, 3, 3))
    for width in (3, 4, 5, 7, 9, 16, 17, 30, 33):
        for batch in (1, 2, 11, 60):
            x = whole(rng, (batch, 4, 7, width))
            both(x, w)
            both(x, w, padding=1)
            both(x, w, padding=(0, 1), stride=2)


@pytest.mark.parametrize("products", [1, 2, 15, 16, 17, 511, 512, 513, 1023, 1024, 1025, 1537, 5000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_seams_between_chunks_of_products(products, dtype):
    rng = np.random.default_rng(products)
    both(whole(rng, (1, products, 21), dtype), whole(rng, (37, products, 1), dtype), whole(rng, 37, dtype))


def test_outputs_that_are_single_pixels():
    rng = np.random.default_rng(2)
    for batch in (1, 3, 14, 15, 64, 500):
        both(whole(rng, (batch, 6, 3, 3)), whole(rng, (50, 6, 3, 3)), whole(rng, 50))
        both(whole(rng, (batch, 6, 3, 3)), whole(rng, (50, 3, 3, 3)), groups=2)
        both(whole(rng, (batch, 6, 1, 1)), whole(rng, (50, 6, 3, 3)), padding=1)


@pytest.mark.parametrize("groups", [2, 3, 8])
@pytest.mark.parametrize("each", [1, 3, 4, 16, 20, 33])
def test_groups(groups, each):
    rng = np.random.default_rng(3)
    x, w = whole(rng, (2, 2 * groups, 9, 10)), whole(rng, (each * groups, 2, 3, 3))
    both(x, w, whole(rng, each * groups), groups=groups, padding=1)
    both(x, w, groups=groups, stride=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_groups_with_pixels_on_the_lanes(kernel, threads):
    # each thread packs the weights of all groups for itself
    rng = np.random.default_rng(15)
    x, w, bias = whole(rng, (2, 90, 40, 48)), whole(rng, (51, 30, kernel, kernel)), whole(rng, 51)
    with cyconv.threads(threads):
        both(x, w, bias, groups=3, padding=kernel // 2)


def test_two_threads_that_pack_weights_when_they_need_them():
    rng = np.random.default_rng(16)
    x, w, bias = whole(rng, (1, 200, 28, 28)), whole(rng, (70, 200, 3, 3)), whole(rng, 70)
    with cyconv.threads(2):
        both(x, w, bias, padding=1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_input_is_read_in_place_whatever_its_layout(dtype):
    rng = np.random.default_rng(4)
    x, w = whole(rng, (3, 5, 8, 9), dtype), whole(rng, (20, 5, 3, 2), dtype)
    layouts = [
        np.asfortranarray(x),
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        np.ascontiguousarray(x[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1],
        np.repeat(x, 3, axis=3)[..., ::3],
        np.pad(x, ((0, 1), (2, 3), (1, 1), (5, 6)))[:-1, 2:-3, 1:-1, 5:-6],
    ]
    for options in ({}, {"stride": 2}, {"dilation": (2, 3)}, {"padding": 1}, {"padding": (2, 1), "padding_mode": "reflect"}):
        want = conv(2)(x, w, algorithm=NAME, **options)
        for layout in layouts:
            assert layout.shape == x.shape
            np.testing.assert_array_equal(conv(2)(layout, w, algorithm=NAME, **options), want)
    one = np.broadcast_to(x[:1, :1], x.shape)
    np.testing.assert_array_equal(conv(2)(one, w, algorithm=NAME), conv(2)(one.copy(), w, algorithm=NAME))


@pytest.mark.parametrize("channels", [3, 40, 100, 130, 200])
@pytest.mark.parametrize("side", [5, 6, 7, 14, 17, 56])
def test_planes_as_one_run_and_layouts_that_are_none(channels, side):
    # the weights are packed before the input's layout is known
    rng = np.random.default_rng(12)
    x, w = whole(rng, (2, channels, side, side)), whole(rng, (29, channels, 1, 1))
    plan = cyconv.plan_conv(x.shape, w, dtype="float32", algorithm=NAME)
    want = conv(2)(x, w, algorithm="reference")
    for layout in (
        x,
        np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))[:, :, 1:-1],
        np.pad(x, ((0, 0), (0, 0), (0, 0), (2, 1)))[..., 2:-1],
        np.asfortranarray(x),
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1],
    ):
        np.testing.assert_array_equal(plan(layout), want)
        np.testing.assert_array_equal(conv(2)(layout, w, algorithm=NAME), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at", [0, 1, 4, 15])
def test_planes_in_several_blocks_wherever_they_begin(at, dtype):
    # blocks end where lines of a cache do, and the last one is shorter than a vector
    rng = np.random.default_rng(14)
    bias = whole(rng, 17, dtype)
    for channels in (64, 300):
        w = whole(rng, (17, channels, 1), dtype)
        for length in (3136, 3152, 3168):
            space = whole(rng, 2 * channels * length + 64, dtype)
            begin = (-space.ctypes.data % 64) // space.itemsize + at
            x = space[begin : begin + 2 * channels * length].reshape(2, channels, length)
            want = np.einsum("oc,ncp->nop", w[..., 0], x) + bias[:, None]
            for cut, kernel in (((length,), (1,)), ((16, length // 16), (1, 1)), ((2, 8, length // 16), (1, 1, 1))):
                rank = len(cut)
                got = conv(rank)(x.reshape(2, channels, *cut), w.reshape(17, channels, *kernel), bias, algorithm=NAME)
                np.testing.assert_array_equal(got.reshape(want.shape), want)
    every_other = np.repeat(x.reshape(2, channels, 2, 8, -1), 2, axis=2)[:, :, ::2]     # slabs that are no neighbours
    np.testing.assert_array_equal(conv(3)(every_other, w.reshape(17, channels, 1, 1, 1), bias, algorithm=NAME).reshape(want.shape), want)


def test_places_are_neighbours_only_if_all_are():
    # pixels 0, 2 and 1 of memory: as far apart at their ends as neighbours are
    rng = np.random.default_rng(5)
    memory = whole(rng, 64)
    x = np.lib.stride_tricks.as_strided(memory[8:], (1, 1, 3, 2), (0, 0, 4, 8))
    both(x, whole(rng, (3, 1, 1, 1)))
    x = np.lib.stride_tricks.as_strided(memory[30:], (1, 1, 4, 3), (0, 0, 12, -4))
    both(x, whole(rng, (40, 1, 1, 1)))


def test_channels_farther_apart_than_32_bits_reach():
    memory = np.zeros(2**30 + 100, np.float32)  # 4 GiB of addresses, hardly any of memory
    x = np.lib.stride_tricks.as_strided(memory, (1, 3, 20), (0, 2**31, 4))
    x[...] = whole(np.random.default_rng(6), x.shape)
    both(x, whole(np.random.default_rng(7), (33, 3, 4)))


@pytest.mark.parametrize("dtype", ["float32", "complex128", "float16"])
def test_threads_change_no_bit(dtype):
    rng = np.random.default_rng(8)
    for shape, kernel, options in (
        ((1, 64, 14, 14), (200, 64, 3, 3), {"padding": 1}),
        ((3, 600, 7, 7), (96, 600, 1, 1), {}),
        ((1, 8, 3000), (70, 4, 9), {"groups": 2, "stride": 2}),
        ((1, 16, 60, 60), (33, 16, 3, 3), {"padding": 2, "dilation": 2}),
    ):
        x, w = (rng.standard_normal(s).astype(dtype) for s in (shape, kernel))
        results = []
        for count in (1, 2, 3, 8):
            with cyconv.threads(count):
                results.append(conv(len(kernel) - 2)(x, w, algorithm=NAME, **options))
        for other in results[1:]:
            np.testing.assert_array_equal(other, results[0])


def test_integers_are_declined():
    x, w = np.ones((1, 1, 5), np.int32), np.ones((1, 1, 3), np.int32)
    with pytest.raises(ValueError, match="cannot compute this problem .* floating point, not int32"):
        cyconv.conv1d(x, w, algorithm=NAME)


def test_workspace_is_bounded():
    rng = np.random.default_rng(9)
    x, w = whole(rng, (1, 40, 50, 60)), whole(rng, (30, 40, 3, 3))
    want = cyconv.conv2d(x, w, padding=1, algorithm="reference")
    ran = 0
    for room in (2**14, 2**16, 2**17, 2**18, 2**20, 2**28):
        problem = conv_problem(2, x, w, None, 1, 1, 1, 1, "zeros", "default", room)
        verdict = next(v for v in select.verdicts(problem) if v.algorithm is ROWS[NAME])
        if verdict.declined is None:
            ran += 1
            assert verdict.workspace <= room
            np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=1, algorithm=NAME, max_workspace=room), want)
    assert ran >= 2


@pytest.mark.parametrize("shape", [(1, 64, 20000, 8), (1, 1024, 28, 28), (300, 64, 6, 8), (1, 64, 4000, 3, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_planes_of_short_rows_take_room_for_a_block(shape, stride):
    """However the input lies: a block of copies, not a whole plane."""
    rank = len(shape) - 2
    stand_in = np.broadcast_to(np.zeros((), np.float32), shape)
    w = np.ones((140, shape[1]) + (1,) * rank, np.float32)
    problem = conv_problem(rank, stand_in, w, None, stride, 0, 1, 1, "zeros", "default", 2**28)
    verdict = next(v for v in select.verdicts(problem) if v.algorithm is ROWS[NAME])
    packed = 4 * 2 * (140 + 16) * shape[1]
    assert verdict.workspace <= 2 * 2**20 + packed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_outputs_wherever_they_begin(dtype):
    # with pixels on the lanes, whole lines go around the caches; what is left over at both ends of a run does not
    rng = np.random.default_rng(10)
    x, w = whole(rng, (1, 3, 64, 1040), dtype), whole(rng, (33, 3, 3, 3), dtype)
    want = cyconv.conv2d(x, w, padding=1, algorithm="reference")
    room = np.zeros(want.size + 200, dtype)
    for shift in (0, 1, 7, 16):
        out = room[100 + shift : 100 + shift + want.size].reshape(want.shape)
        cyconv.conv2d(x, w, padding=1, algorithm=NAME, out=out)
        np.testing.assert_array_equal(out, want)
        out[...] = 0
        assert not room.any()  # nothing was written outside


@pytest.mark.parametrize("stride", [2, 3, 5, 8, 9])
def test_strided_rows_with_pixels_on_the_lanes(stride):
    rng = np.random.default_rng(11)
    for width in (320, 333, 2000):
        x, w = whole(rng, (2, 1, 5, width)), whole(rng, (120, 1, 1, 7))
        both(x, w, stride=(1, stride))
        both(x, w, stride=(2, stride), padding=(0, 4), dilation=(1, 2))
        both(x, w, stride=(1, stride), padding=(1, 3), padding_mode="reflect")


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_planes_whole_pages_apart(dtype):
    """Such input is copied before tiles read it; a view that begins elsewhere is not."""
    rng = np.random.default_rng(12)
    for shape, kernel, options in (
        ((1, 256, 32, 32), (128, 256, 1, 1), {"stride": 2}),
        ((1, 330, 16, 64), (130, 330, 1, 1), {}),
        ((2, 512, 1024), (140, 256, 2), {"groups": 2, "dilation": 3}),
    ):
        x, w = whole(rng, shape, dtype), whole(rng, kernel, dtype)
        want = both(x, w, **options)
        wide = np.zeros((*shape[:-1], shape[-1] + 1), dtype)
        wide[..., 1:] = x
        np.testing.assert_array_equal(conv(len(shape) - 2)(wide[..., 1:], w, algorithm=NAME, **options), want)


DILATED = {  # taps that lie in the padding are left out
    "wide": ((2, 40, 30, 31), (20, 40, 3, 3), {"padding": 12, "dilation": 12}),
    "rows only": ((1, 33, 40, 9), (50, 33, 5, 1), {"padding": (16, 0), "dilation": (8, 1)}),
    "outputs in nothing but padding": ((1, 32, 16, 20), (35, 32, 3, 3), {"padding": 34, "dilation": 8}),
    "one side": ((1, 64, 400), (18, 64, 2), {"padding": ((200, 0),), "dilation": 200}),
    "many products": ((1, 700, 20, 24), (17, 700, 3, 3), {"padding": 8, "dilation": 8}),
    "volume": ((1, 32, 9, 14, 21), (16, 32, 3, 3, 3), {"padding": (3, 7, 7), "dilation": (3, 7, 7)}),
    "fewer pixels than a vector": ((1, 48, 2, 7), (20, 48, 1, 3), {"padding": (0, 8), "dilation": (1, 8)}),
    "rows in several blocks": ((1, 32, 80, 70), (18, 32, 3, 3), {"padding": 30, "dilation": 30}),
    "channels that fill no line": ((2, 37, 20, 22), (18, 37, 3, 3), {"padding": 9, "dilation": 9}),
    "strides down": ((2, 32, 40, 26), (34, 32, 3, 3), {"padding": 13, "dilation": 13, "stride": (2, 1)}),
    "groups": ((1, 64, 33, 33), (48, 32, 3, 3), {"padding": 11, "dilation": 11, "groups": 2}),
    "slices of channels": ((2, 1280, 41, 41), (34, 1280, 3, 1), {"padding": (30, 0), "dilation": (30, 1)}),
    "frames": ((2, 6, 5, 30, 31), (20, 6, 3, 5, 5), {"padding": (1, 2, 2), "stride": (1, 2, 2)}),
    "frames of nothing but padding": ((1, 8, 3, 13, 14), (35, 8, 2, 3, 3), {"padding": (5, 1, 1), "dilation": (2, 1, 1)}),
    "frames with many products": ((1, 70, 4, 12, 12), (17, 70, 3, 3, 3), {"padding": 1, "stride": (2, 1, 1)}),
    "frames of long kernels": ((1, 6, 70, 13, 12), (17, 6, 64, 1, 1), {"padding": (40, 0, 0)}),
    "frames and groups": ((1, 24, 3, 20, 27), (27, 8, 5, 3, 2), {"padding": (4, 1, 1), "groups": 3}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize("name", DILATED)
def test_taps_in_the_padding(name, dtype):
    rng = np.random.default_rng(5)
    shape, kernel, options = DILATED[name]
    x, w = whole(rng, shape, dtype), whole(rng, kernel, dtype)
    want = both(x, w, whole(rng, kernel[0], dtype), **options)
    flipped = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    with cyconv.threads(2):
        got = conv(len(kernel) - 2)(flipped, w, whole(np.random.default_rng(5), kernel[0], dtype), algorithm=NAME, **options)
    assert got.shape == want.shape
    both(flipped, w, **options)


@pytest.mark.parametrize("name", DILATED)
def test_padding_times_infinity_is_no_number(name):
    rng = np.random.default_rng(6)
    shape, kernel, options = DILATED[name]
    x, w = whole(rng, shape), whole(rng, kernel)
    w[3, 5] = np.inf
    with np.errstate(invalid="ignore"):
        both(x, w, **options)
        assert np.isnan(conv(len(kernel) - 2)(x, w, algorithm=NAME, **options)).any()


def test_channels_farther_apart_than_offsets_reach_with_taps_in_the_padding():
    # padded boxes then, but with the same order of products
    memory = np.zeros(10 * 2**27, np.float32)  # 5 GiB of addresses, hardly any of memory
    x = np.lib.stride_tricks.as_strided(memory, (1, 40, 400), (0, 2**27, 4))
    rng = np.random.default_rng(7)
    x[...] = whole(rng, x.shape)
    both(x, whole(rng, (18, 40, 2)), padding=((200, 0),), dilation=200)


COPIED = {  # the first output channels of a block copy its pixels for the others
    "pages": ((1, 100, 32, 64), (131, 100)),
    "pages, many products": ((1, 330, 32, 32), (60, 330)),
    "many output channels": ((1, 97, 17, 19), (395, 97)),
    "several blocks": ((1, 260, 31, 33), (400, 260)),
    "small planes of a batch": ((5, 120, 6, 7), (400, 120)),
    "a run and a half": ((1, 128, 48), (393, 128)),
    "volume and groups": ((2, 200, 4, 16, 16), (262, 100)),
    "one block unless read in place": ((1, 600, 13, 16), (130, 600)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", COPIED)
def test_copied_pixels(name, dtype):
    rng = np.random.default_rng(8)
    shape, kernel = COPIED[name]
    x, w = whole(rng, shape, dtype), whole(rng, kernel, dtype).reshape(kernel + (1,) * (len(shape) - 2))
    bias, groups = whole(rng, kernel[0], dtype), shape[1] // kernel[1]
    want = both(x, w, bias, groups=groups)
    area = x[0, 0].size
    for first in (1, 3):  # elsewhere in lines and pages, and the planes apart
        memory = np.zeros((*shape[:2], area + 4 * first), dtype)
        moved = memory[..., first : first + area].reshape(shape)
        moved[...] = x
        for threads in (1, 2):
            with cyconv.threads(threads):
                np.testing.assert_array_equal(conv(len(shape) - 2)(moved, w, bias, groups=groups, algorithm=NAME), want)
    wide = np.repeat(x, 2, -1)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    swapped = np.swapaxes(np.ascontiguousarray(np.swapaxes(x, 1, -1)), 1, -1)
    backwards = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for view in (wide[..., ::2], last, swapped, backwards, np.pad(x, [(0, 0)] * (len(shape) - 1) + [(1, 2)])[..., 1:-2]):
        np.testing.assert_array_equal(view, x)
        both(view, w, bias, groups=groups)  # gathered then, and the same weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes, stride", [((83,), 2), ((70,), 3), ((29, 28), 2), ((29, 31), 2), ((26, 64), (1, 2)), ((30, 21), (2, 1)), ((5, 9, 12), 2), ((4, 7, 8), (2, 1, 3))]
)
def test_pixels_with_strides_between_them(sizes, stride, dtype):
    """Gathered to copies, too: from rows, every other number of two vectors where a row has so many."""
    rng = np.random.default_rng(3)
    x, w = whole(rng, (2, 30, *sizes), dtype), whole(rng, (150, 15) + (1,) * len(sizes), dtype)
    bias, options = whole(rng, 150, dtype), {"stride": stride, "groups": 2}
    want = both(x, w, bias, **options)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for view in (last, np.repeat(x, 2, -1)[..., ::2], np.pad(x, [(0, 0)] * (len(sizes) + 1) + [(1, 2)])[..., 1:-2], before_a_wall(x)):
        for threads in (1, 2):
            with cyconv.threads(threads):
                np.testing.assert_array_equal(conv(len(sizes))(view, w, bias, algorithm=NAME, **options), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(7, 15, 1, 2, 131, 191), (24, 16, 1, 1, 9400, 14), (32, 16, 1, 1, 30001), (12, 16, 2, 1, 200, 190)])
def test_one_tile_of_all_output_channels(sizes, dtype):
    """Large input with few channels, however it lies; weights are packed before that is known."""
    inside, outside, groups, batch, *space = sizes
    rng = np.random.default_rng(16)
    x, w = whole(rng, (batch, groups * inside, *space), dtype), whole(rng, (groups * outside, inside) + (1,) * len(space), dtype)
    bias = whole(rng, groups * outside, dtype)
    assert batch * (inside + outside) * x[0, 0].nbytes > 4 * 2**20
    want = (w.reshape(groups, outside, inside) @ x.reshape(batch, groups, inside, -1)).reshape(batch, groups * outside, *space)
    want += bias.reshape(groups * outside, *(1,) * len(space))
    for options in ({"groups": groups}, {"groups": groups, "max_workspace": 400_000}):
        plan = cyconv.plan_conv(x.shape, w, bias, dtype=dtype, algorithm=NAME, **options)
        for layout in (
            x,
            np.repeat(x, 2, axis=-1)[..., ::2],
            np.pad(x, ((0, 0),) * (x.ndim - 1) + ((2, 3),))[..., 2:-3],
            np.ascontiguousarray(np.moveaxis(x, 1, -1)[..., ::-1])[..., ::-1].transpose(0, -1, *range(1, x.ndim - 1)),
        ):
            np.testing.assert_array_equal(plan(layout), want)
            np.testing.assert_array_equal(conv(len(space))(layout, w, bias, algorithm=NAME, **options), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [20, 64, 140])
def test_outputs_that_are_not_all_samples(channels, dtype):
    """One row of each plane, or less, with strides that count for nothing; and phases of a transposed convolution that leave samples out."""
    rng = np.random.default_rng(5)
    for sizes, stride in (((3, 64), (3, 1)), ((8, 14, 14), (1, 14, 1)), ((64, 3), (1, 3)), ((4, 9, 40), (4, 1, 1)), ((2, 50), (2, 1))):
        x, w = whole(rng, (2, 64, *sizes), dtype), whole(rng, (channels, 64) + (1,) * len(sizes), dtype)
        last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        np.testing.assert_array_equal(both(x, w, stride=stride), both(last, w, stride=stride))
    for sizes in ((200,), (14, 14), (7, 30)):
        rank = len(sizes)
        x, w = whole(rng, (2, 64, *sizes), dtype), whole(rng, (64, channels) + (2,) * rank, dtype)
        last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        transposed = getattr(cyconv, f"conv_transpose{rank}d")
        want = transposed(x, w, stride=2, padding=1, algorithm="reference")
        for view in (x, last):
            np.testing.assert_array_equal(transposed(view, w, stride=2, padding=1, algorithm=NAME), want)


@pytest.mark.parametrize("at", [0, 1, 4, 5, 15])
@pytest.mark.parametrize("width", [16, 31, 100, 128, 131, 224, 420])
def test_large_results_at_any_address(width, at):
    """Written past the caches, in whole lines: what two rows share of one is put together first."""
    rng = np.random.default_rng(width)
    rows = -(-(9 << 20) // (64 * 4 * width))
    rows += -rows % 16
    x, w, bias = whole(rng, (1, 3, rows, width)), whole(rng, (64, 3, 3, 3)), whole(rng, 64)
    space = np.full(64 * rows * width + 64, 7, np.float32)
    begin = (-space.ctypes.data % 64) // 4 + at
    out = space[begin : begin + 64 * rows * width].reshape(1, 64, rows, width)
    for name in (NAME, "winograd"):
        out[...] = 7
        cyconv.conv2d(x, w, bias, padding=1, out=out, algorithm=name)
        assert (space[:begin] == 7).all() and (space[begin + out.size :] == 7).all()
        want = cyconv.conv2d(x, w, bias, padding=1, algorithm="direct")
        if name == NAME:
            np.testing.assert_array_equal(out, want)
        else:
            np.testing.assert_allclose(out, want, rtol=0, atol=1e-3)


# few pixels of many channels: columns are copied, weights read where the caller has them


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copied_columns_of_every_number_of_pixels(dtype):
    rng = np.random.default_rng(0)
    w, bias = whole(rng, (101, 9, 3), dtype), whole(rng, 101, dtype)
    for pixels in range(1, 68):
        both(whole(rng, (1, 9, pixels + 2), dtype), w, bias)
        both(whole(rng, (1, 9, 2 * pixels), dtype), w, stride=2, padding=1)
        both(whole(rng, (1, 9, 3 * pixels), dtype), w, bias, stride=3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape, weight, options",
    [
        ((1, 20, 7, 7), (230, 20, 3, 3), {"padding": 1}),
        ((1, 20, 14, 14), (230, 20, 3, 3), {"padding": 1, "stride": 2}),
        ((1, 40, 13, 13), (450, 20, 1, 1), {"stride": 2, "groups": 2}),
        ((3, 40, 4, 4), (200, 20, 1, 1), {"groups": 2}),
        ((1, 30, 3, 4, 4), (120, 30, 1, 1, 1), {}),
        ((1, 30, 3, 4, 4), (270, 30, 1, 2, 3), {"padding": (0, 0, 1), "padding_mode": "circular"}),
        ((1, 300, 1, 1), (97, 300, 1, 1), {}),
        ((1, 4096, 1, 49), (96, 4096, 1, 1), {}),  # more products than are looked at at once, and a pixel that no vector holds
        ((1, 3000, 1, 64), (99, 3000, 1, 2), {"padding": (0, 1), "stride": (1, 2)}),  # one panel of columns after the other
        ((1, 9000, 1, 3), (96, 9000, 1, 1), {}),  # too many products
    ],
)
def test_copied_columns(shape, weight, options, dtype):
    rng = np.random.default_rng(0)
    x, w, bias = whole(rng, shape, dtype), whole(rng, weight, dtype), whole(rng, weight[0], dtype)
    got = both(x, w, bias, **options)
    for threads in (2, 3):
        with cyconv.threads(threads):
            np.testing.assert_array_equal(conv(len(shape) - 2)(x, w, bias, algorithm=NAME, **options), got)


def test_copied_columns_are_the_same_bits_for_every_thread_count_and_layout():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 512, 7, 7), np.float32), rng.standard_normal((301, 512, 3, 3), np.float32)
    one = cyconv.conv2d(x, w, padding=1, algorithm=NAME)
    moved = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for threads in (1, 2, 3):
        with cyconv.threads(threads):
            np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=1, algorithm=NAME), one)
            np.testing.assert_array_equal(cyconv.conv2d(moved, w, padding=1, algorithm=NAME), one)
    batch = cyconv.conv1d(np.concatenate([x.reshape(1, 512, 49)[..., :17]] * 3), w[..., 0, :1], algorithm=NAME)
    np.testing.assert_array_equal(batch, np.concatenate([batch[:1]] * 3))


def before_a_wall(array):
    """A copy that ends where a page begins which nobody may read."""
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + size), ctypes.c_size_t(page), 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "pixels, stride", [((1, 1), 1), ((1, 14), 1), ((1, 17), 1), ((5, 6), 1), ((7, 7), 2), ((1, 27), 2), ((3, 31), 2), ((1, 59), 2), ((4, 12), 3)]
)
def test_nothing_behind_few_pixels_and_their_weights_is_read(pixels, stride, dtype):
    rng = np.random.default_rng(0)
    for channels in (17, 64):
        x, w = whole(rng, (1, channels, *pixels), dtype), whole(rng, (260, channels, 1, 1), dtype)
        got = cyconv.conv2d(before_a_wall(x), before_a_wall(w), stride=stride, algorithm=NAME)
        np.testing.assert_array_equal(got, cyconv.conv2d(x, w, stride=stride, algorithm="reference"))


# ---- weights that lie anyhow ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("taps", [(1, 1), (3, 3), (2, 5), (1, 7)])
def test_weights_are_packed_from_where_they_lie(taps, dtype):
    """Flipped, exchanged and stepped over, in few and many pixels and channels: exactly as in order."""
    rng = np.random.default_rng(sum(taps))
    for rows, channels, side in itertools.product((1, 15, 33, 70), (6, 40), (9, 30)):
        base = rng.integers(-2, 3, (channels, rows, *(2 * k for k in taps))).astype(dtype)
        x = rng.integers(-2, 3, (2, channels, side, side)).astype(dtype)
        views = {
            "flipped": base.swapaxes(0, 1)[:, :, taps[0] - 1 :: -1, taps[1] - 1 :: -1],
            "every_second": base.swapaxes(0, 1)[:, :, ::2, 1::2],
            "in_order": base.swapaxes(0, 1)[:, :, : taps[0], : taps[1]],
            "channels_backwards": base.swapaxes(0, 1)[:, ::-1, : taps[0], : taps[1]],
            "taps_last": np.ascontiguousarray(base.swapaxes(0, 1)[:, :, : taps[0], : taps[1]].transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1),
        }
        for name, w in views.items():
            want = cyconv.conv2d(x, np.ascontiguousarray(w), algorithm="implicit_gemm")
            np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="implicit_gemm"), want, err_msg=name)
            np.testing.assert_array_equal(cyconv.plan_conv(x.shape, w, algorithm="implicit_gemm")(x), want, err_msg=name)


@pytest.mark.parametrize("shape", [(32, 8, 3, 3), (32, 200, 3, 3), (7, 40, 2, 2)])
def test_kernels_of_one_number_each(shape):
    """Views whose taps are all the same number, of strides 0."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (1, shape[1], 9, 8)).astype("float64")
    for w in (
        np.broadcast_to(rng.integers(-3, 4, (shape[0], 1, 1, 1)).astype("float64"), shape),
        np.broadcast_to(np.asfortranarray(rng.integers(-3, 4, shape[:2]).astype("float64"))[:, :, None, None], shape),
        np.broadcast_to(rng.integers(-3, 4, (1, 1, *shape[2:])).astype("float64"), shape),
    ):
        want = cyconv.conv2d(x, np.ascontiguousarray(w), algorithm="reference")
        for _ in range(5):
            np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="implicit_gemm"), want)

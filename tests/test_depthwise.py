"""Depthwise convolution: both register tiles, every way to read rows, every remainder, and the seams between blocks."""

import itertools

import numpy as np
import pytest

import cyconv
from cyconv import menu
from cyconv.problem import MAX_WORKSPACE, conv_problem

MODULE = next(row for row in menu.CONV if row.name == "depthwise").module
CONV = {1: cyconv.conv1d, 2: cyconv.conv2d, 3: cyconv.conv3d}
DTYPES = ("float32", "float64", "float16", "complex64", "int32", "int64", "uint8")


def data(shape, dtype="float32", seed=0):
    """Small integers, on which sums are exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0 if np.dtype(dtype).kind == "u" else -3, 4, shape)
    return (x + 1j * rng.integers(-3, 4, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def check(x, w, bias=None, **options):
    conv = CONV[w.ndim - 2]
    want = conv(x, w, bias, algorithm="reference", **options)
    got = conv(x, w, bias, algorithm="depthwise", **options)
    np.testing.assert_array_equal(got, want, err_msg=f"{x.shape} {w.shape} {options}")
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("stride", [1, 2])
def test_walks_of_every_width_and_padding(stride, dtype):
    # one to five vectors, whole or not, the last one overlapping; edges inside the first and the last vector, or beyond
    for width in range(1, 45):
        height = 1 + width % 7
        x, w = data((2, 3, height + 2, width + 2), dtype, width), data((3, 1, 3, 3), dtype, width)
        for padding in (0, 1, ((2, 0), (0, 3)), ((0, 1), (1, 0)), (1, 11)):
            check(x, w, data((3,), dtype), groups=3, stride=stride, padding=padding)


@pytest.mark.parametrize("planes", [1, 2, 31, 70])
def test_small_planes(planes):
    # rows of planes that are written in whole vectors reach into the next row, but never beyond the last
    for height, width in itertools.product((2, 3, 7, 8), (1, 2, 3, 7, 8, 9, 14, 16)):
        x, w = data((2, planes, height, width)), data((planes, 1, 3, 3))
        for padding in (1, ((1, 0), (1, 1)), ((0, 1), (1, 1))):
            if height == 2 and padding != 1:
                continue
            options = {"groups": planes, "padding": padding}
            want = cyconv.conv2d(x, w, algorithm="reference", **options)
            room = np.full(want.size + 64, 77, "float32")
            out = room[32 : 32 + want.size].reshape(want.shape)
            cyconv.conv2d(x, w, out=out, algorithm="depthwise", **options)
            np.testing.assert_array_equal(out, want)
            assert (room[:32] == 77).all() and (room[32 + want.size :] == 77).all()


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7, 15, 31])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_tiles_of_every_kernel(kernel, stride):
    # rows of outputs from one to more than two strips; rows that are read where they lie, and rows from the box
    for width in (kernel, kernel + 5, 140 + kernel, 131):
        for rows in (1, 2, 3, 4, 5, 9):
            x, w = data((1, 2, (rows - 1) * stride + kernel, max(width, kernel)), seed=rows), data((4, 1, kernel, kernel), seed=width)
            check(x, w, groups=2, stride=stride)
            check(x, w, groups=2, stride=stride, padding=kernel // 2)


@pytest.mark.parametrize("stride, dilation", [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2), (4, 2), (2, 4), (6, 4), (5, 1)])
def test_strips_apart_and_slabs(stride, dilation):
    # gcd(stride, dilation) and what it leaves: slabs of the kernel, and rows of outputs that share rows of inputs
    x, w, bias = data((2, 3, 41, 150)), data((3, 1, 5, 4)), data((3,))
    for kernel in (w, w[:, :, :3, :3], w[:, :, :1], w[..., :1]):
        check(x, kernel, bias, groups=3, stride=stride, dilation=dilation, padding=3)
        check(x, kernel, bias, groups=3, stride=(stride, 1), dilation=(dilation, 1), padding=2)
        check(x, kernel, bias, groups=3, stride=(1, stride), dilation=(1, dilation), padding=(0, 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels, outputs", [(1, 1), (1, 4), (2, 3), (3, 1), (3, 8), (4, 2)])
def test_channels_and_dtypes(channels, outputs, dtype):
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (4, 2)):
        x, w = data((2, 2 * channels, 19, 37), dtype), data((2 * outputs, channels, kernel, kernel), dtype)
        check(x, w, data((2 * outputs,), dtype), groups=2, stride=stride, padding=1)
    check(data((1, channels, 7, 8, 21), dtype), data((outputs, channels, 3, 2, 3), dtype), padding=1, stride=(2, 1, 1))
    check(data((2, channels, 300), dtype), data((outputs, channels, 31), dtype), padding=15)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_modes(mode, kernel):
    for shape, stride in (((1, 2, 13, 20), 1), ((1, 2, 13, 200), 1), ((2, 2, 14, 30), 2)):
        check(data(shape), data((2, 1, kernel, kernel)), groups=2, padding=((3, 1), (2, 4)), padding_mode=mode, stride=stride)


@pytest.mark.parametrize("kernel, stride", [(3, 1), (3, 2), (5, 1), (7, 2), (9, 1)])
def test_the_way_rows_are_read_changes_no_bit(kernel, stride):
    # contiguous rows are read where they lie, others through the box: inexact sums tell whether the order of products differs
    rng = np.random.default_rng(1)
    for shape in ((2, 6, 17, 23), (1, 3, 40, 300), (1, 20, 7, 7)):
        x = rng.standard_normal(shape).astype("float32")
        w = rng.standard_normal((shape[1], 1, kernel, kernel)).astype("float32")
        options = {"groups": shape[1], "stride": stride, "padding": kernel // 2, "algorithm": "depthwise"}
        want = cyconv.conv2d(x, w, **options)
        spaced = np.zeros((*shape[:-1], 2 * shape[-1]), "float32")
        spaced[..., ::2] = x
        for other in (np.asfortranarray(x), spaced[..., ::2], x[..., ::-1].copy()[..., ::-1], x[:, :, ::-1].copy()[:, :, ::-1]):
            np.testing.assert_array_equal(cyconv.conv2d(other, w, **options), want)
        for count in (2, 3):
            with cyconv.threads(count):
                np.testing.assert_array_equal(cyconv.conv2d(x, w, **options), want)
        apart = [cyconv.conv2d(x[:1, c : c + 1], w[c : c + 1], **options | {"groups": 1}) for c in range(shape[1])]
        np.testing.assert_array_equal(np.concatenate(apart, 1), want[:1])


@pytest.mark.parametrize("kernel", [3, 4])
def test_infinite_weights_meet_the_zeros_of_the_padding(kernel):
    for shape in ((1, 5, 7, 7), (1, 2, 9, 40), (1, 1, 6, 300)):
        x, w = data(shape), data((shape[1], 1, kernel, kernel))
        w[:, 0, 0, 0] = np.inf
        w[:, 0, -1, -1] = np.nan
        with np.errstate(invalid="ignore"):
            want = cyconv.conv2d(x, w, groups=shape[1], padding=1, algorithm="reference")
        np.testing.assert_array_equal(cyconv.conv2d(x, w, groups=shape[1], padding=1, algorithm="depthwise"), want)


def test_nothing_outside_of_the_input_is_read():
    # what surrounds the rows is NaN: a masked lane must not be multiplied
    for kernel, stride, width in itertools.product((3, 5), (1, 2), (7, 14, 33, 200)):
        surrounding = np.full((3, 12, width + 20), np.nan, "float32")
        inner = surrounding[:, 1:10, 10:-10]
        inner[...] = data(inner.shape)
        check(inner[None], data((3, 1, kernel, kernel)), groups=3, stride=stride, padding=kernel // 2)


def test_blocks_meet():
    # rows longer than a block, planes of several blocks, and signals cut into pieces
    for rank, shape, kernel, options in (
        (1, (1, 2, 40000), (2, 1, 9), {"padding": 4}),
        (1, (1, 1, 70001), (3, 1, 2), {"stride": 3}),
        (2, (1, 1, 9, 20011), (1, 1, 3, 3), {"padding": 1}),
        (2, (1, 1, 300, 500), (2, 1, 5, 7), {"padding": 2}),
        (2, (1, 1, 301, 501), (1, 1, 3, 3), {"padding": 1, "stride": 2}),
        (3, (1, 1, 40, 50, 60), (1, 1, 3, 3, 3), {"padding": 1}),
    ):
        options = options | {"groups": shape[1]}
        x, w = data(shape), data(kernel)
        got = CONV[rank](x, w, algorithm="depthwise", **options)
        np.testing.assert_array_equal(got, CONV[rank](x, w, algorithm="direct", **options))


def test_workspace_is_what_it_says_and_shrinks_with_the_limit():
    x, w = np.zeros((1, 1, 400, 3000), "float32"), np.zeros((1, 1, 9, 9), "float32")
    for limit in (MAX_WORKSPACE, 2**18, 2**17):
        problem = conv_problem(2, x, w, None, 1, 4, 1, 1, "reflect", "default", limit)
        assert 0 < MODULE.cost(problem)[1] <= limit
    assert "input channels" in MODULE.why_not(conv_problem(1, data((1, 9, 5)), data((1, 9, 2)), None, 1, 0, 1, 1, "zeros", "default", 0))


def test_amounts_are_known_kinds():
    from cyconv.costs import SECONDS

    for shape, kernel, dtype in (((1, 4, 9, 9), (4, 1, 3, 3), "float32"), ((2, 4, 30), (4, 1, 5), "complex64"), ((1, 4, 5, 6, 7), (8, 1, 2, 2, 2), "uint8")):
        for stride in (1, 2):
            problem = conv_problem(len(shape) - 2, data(shape, dtype), data(kernel, dtype), None, stride, 1, 1, 4, "zeros", "default", MAX_WORKSPACE)
            amounts = MODULE.amounts(problem)
            assert amounts.keys() <= SECONDS["depthwise"].keys()
            assert min(amounts.values()) >= 0


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_in_columns_of_their_own(dtype):
    """Rows of one number are contiguous whatever lies between their parts."""
    rng = np.random.default_rng(5)
    x, w = (rng.integers(-4, 5, (*shape, 2)) for shape in ((2, 3, 11, 1), (3, 1, 3, 1)))
    x, w = ((a[..., 0] + 1j * a[..., 1]).astype(dtype) for a in (x, w))
    for stride in (1, 2):
        want = cyconv.conv2d(x, w, groups=3, stride=(stride, 1), algorithm="reference")
        np.testing.assert_array_equal(cyconv.conv2d(x, w, groups=3, stride=(stride, 1), algorithm="depthwise"), want)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int16"])
@pytest.mark.parametrize("columns", [3, 5, 7, 8])
def test_tall_tiles(columns, dtype):
    # kernels of five rows and more, whose columns are next to each other or not, in rows that stay or are gathered
    rng = np.random.default_rng(columns)

    def whole(*shape):
        return rng.integers(-2, 3, shape).astype(dtype)

    for rows, height, width in ((5, 10, 140), (6, 17, 65), (7, 29, 129), (11, 22, 300)):
        x, w = whole(2, 2, height, width), whole(4, 1, rows, columns)
        for options in ({}, {"padding": (rows // 2, 3)}, {"dilation": (1, 2), "padding": 2}, {"stride": (1, 2)}, {"padding": 1, "padding_mode": "reflect"}):
            want = cyconv.conv2d(x, w, groups=2, algorithm="reference", **options)
            for input in (x, np.ascontiguousarray(x[..., ::-1])[..., ::-1]):
                np.testing.assert_array_equal(cyconv.conv2d(input, w, groups=2, algorithm="depthwise", **options), want)

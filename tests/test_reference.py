"""The oracle itself, against scipy.signal and values worked by hand."""

import numpy as np
import pytest
import scipy.signal

import cyconv

rng = np.random.default_rng(1)


def by_reference(function, *arguments, **options):
    return function(*arguments, algorithm="reference", **options)


def test_lecture_signal():
    x, w = np.array([[[1, 2, 3, 4]]]), np.array([[[3, 2]]])
    assert by_reference(cyconv.conv1d, x, w).tolist() == [[[7, 12, 17]]]


def test_lecture_differential_operator():
    # the second difference of squares is constant, and of a straight line zero
    squares = np.arange(7.0)[None, None] ** 2
    assert by_reference(cyconv.conv1d, squares, np.array([[[1.0, -2.0, 1.0]]])).tolist() == [[[2.0] * 5]]
    assert by_reference(cyconv.conv1d, np.sqrt(squares), np.array([[[1.0, -2.0, 1.0]]])).tolist() == [[[0.0] * 5]]
    edge = np.zeros((1, 4, 6))
    edge[:, :, 3:] = 1
    horizontal = np.array([[[[-1.0, 1.0]]]])
    assert by_reference(cyconv.conv2d, edge, horizontal)[0].tolist() == [[0, 0, 1, 0, 0]] * 4
    assert not by_reference(cyconv.conv2d, edge, horizontal.swapaxes(2, 3)).any()


@pytest.mark.parametrize(
    "function, input, weight, options, result",
    [
        ("conv2d", (117, 4, 10, 3), (5, 4, 2, 3), {}, (117, 5, 9, 1)),
        ("conv2d", (1, 3, 5), (1, 1, 3, 3), {"padding": (2, 1), "stride": 2}, (1, 3, 3)),
        ("conv2d", (3, 3, 5), (3, 1, 3, 3), {"padding": (2, 1), "stride": 2, "groups": 3}, (3, 3, 3)),
        ("conv2d", (1, 3, 256, 256), (8, 3, 7, 7), {"padding": "same"}, (1, 8, 256, 256)),
        ("conv3d", (2, 1, 8, 9, 10), (4, 1, 3, 3, 3), {"stride": 2, "dilation": 2}, (2, 4, 2, 3, 3)),
        ("conv_transpose2d", (1, 4, 5, 5), (4, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (1, 2, 10, 10)),
    ],
)
def test_shapes_worked_by_hand(function, input, weight, options, result):
    assert getattr(cyconv, function)(np.zeros(input), np.zeros(weight), **options).shape == result


@pytest.mark.parametrize("shape, kernel", [((9,), (4,)), ((30,), (30,)), ((7, 8), (3, 2)), ((4, 5, 6), (2, 3, 4))])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
@pytest.mark.parametrize("mode", ["valid", "full"])
def test_against_scipy_correlate(shape, kernel, dtype, mode):
    x, w = rng.integers(-9, 10, shape).astype(dtype), rng.integers(-9, 10, kernel).astype(dtype)
    if dtype == "complex128":
        x, w = x + 1j * rng.integers(-9, 10, shape), w - 1j * rng.integers(-9, 10, kernel)
    got = by_reference(getattr(cyconv, f"conv{len(shape)}d"), x[None, None], w[None, None], padding=mode)
    # scipy.signal.correlate conjugates the second array; a convolutional layer does not
    np.testing.assert_array_equal(got[0, 0], scipy.signal.correlate(x, w.conj(), mode, method="direct"))


@pytest.mark.parametrize("boundary, mode", [("fill", "zeros"), ("wrap", "circular")])
def test_against_scipy_correlate2d(boundary, mode):
    x, w = rng.integers(-9, 10, (8, 9)), rng.integers(-9, 10, (5, 3))
    got = by_reference(cyconv.conv2d, x[None, None], w[None, None], padding=(2, 1), padding_mode=mode)
    np.testing.assert_array_equal(got[0, 0], scipy.signal.correlate2d(x, w, "same", boundary))


def test_channels_and_groups_are_sums_of_scipy_correlations():
    x, w = rng.integers(-9, 10, (2, 6, 8, 7)), rng.integers(-9, 10, (4, 3, 3, 2))
    bias = np.array([10, 20, 30, 40])
    got = by_reference(cyconv.conv2d, x, w, bias, groups=2)
    for n in range(2):
        for o in range(4):
            want = bias[o] + sum(scipy.signal.correlate2d(x[n, 3 * (o // 2) + c], w[o, c], "valid") for c in range(3))
            np.testing.assert_array_equal(got[n, o], want)


def test_stride_and_dilation_are_subsampling_and_holes():
    x, w = rng.integers(-9, 10, (20,)), rng.integers(-9, 10, (3,))
    holes = np.zeros(9, int)
    holes[::4] = w
    got = by_reference(cyconv.conv1d, x[None, None], w[None, None], stride=3, dilation=4)
    np.testing.assert_array_equal(got[0, 0], scipy.signal.correlate(x, holes, "valid")[::3])


@pytest.mark.parametrize("mode, numpy_mode", [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_padding_modes_are_those_of_numpy_pad(mode, numpy_mode):
    x, w = rng.integers(-9, 10, (1, 1, 6, 5)), rng.integers(-9, 10, (1, 1, 3, 3))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 3), (2, 0)], mode=numpy_mode)
    got = by_reference(cyconv.conv2d, x, w, padding=((1, 3), (2, 0)), padding_mode=mode)
    np.testing.assert_array_equal(got, by_reference(cyconv.conv2d, padded, w))


def test_transposed_is_the_adjoint():
    # <conv(x), y> = <x, conv_transpose(y)>, the defining property
    x, w = rng.integers(-9, 10, (2, 3, 9, 8)), rng.integers(-9, 10, (4, 3, 3, 2))
    for options in ({}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"stride": (2, 3), "dilation": (3, 2)}):
        forward = by_reference(cyconv.conv2d, x, w, **options)
        y = rng.integers(-9, 10, forward.shape)
        spans = [d * (k - 1) + 1 for d, k in zip(np.broadcast_to(options.get("dilation", 1), 2), (3, 2))]
        strides, pad = np.broadcast_to(options.get("stride", 1), 2), options.get("padding", 0)
        rest = [(n + 2 * pad - span) % s for n, span, s in zip((9, 8), spans, strides)]
        back = by_reference(cyconv.conv_transpose2d, y, w, output_padding=tuple(map(int, rest)), **options)
        assert back.shape == x.shape
        assert (forward * y).sum() == (x * back).sum()

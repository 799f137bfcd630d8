"""cyconv.onnx.OPS against ONNX Runtime, and against the formulas of ONNX's operators."""

import itertools
import subprocess
import sys
from math import prod
from threading import Thread

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402
from onnx_cases import evaluator, in_runtime, model, run  # noqa: E402

import cyconv  # noqa: E402
import cyconv.onnx.attributes  # noqa: E402
import cyconv.onnx.weights  # noqa: E402
from cyconv.onnx.causal import causal_conv_with_state  # noqa: E402
from cyconv.onnx.columns import col2im  # noqa: E402
from cyconv.onnx.convolution import Conv, conv, conv_transpose  # noqa: E402
from cyconv.onnx.deformable import deform_conv  # noqa: E402
from cyconv.onnx.pooling import average_pool, lp_pool, max_pool  # noqa: E402
from cyconv.onnx.quantized import conv_integer  # noqa: E402


class Chance:
    """Random attributes and small integers."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def ints(self, low, high, count):
        return [int(v) for v in self.rng.integers(low, high, count)]

    def one(self, *values):
        return values[self.rng.integers(len(values))]

    def array(self, shape, dtype=np.float32, low=-4, high=5):
        return self.rng.integers(low, high, shape).astype(dtype)

    def bytes(self, shape, dtype):
        limits = np.iinfo(dtype)
        return np.array(self.rng.integers(limits.min, limits.max + 1, shape), dtype)

    def windows(self, kernel, most, words=True):
        """strides, dilations and pads; SAME only without dilation, which ONNX Runtime leaves out of account."""
        rank, found = len(kernel), {}
        if self.one(True, False):
            found["strides"] = self.ints(1, 4, rank)
        if self.one(True, False):
            found["dilations"] = self.ints(1, 4, rank)
        if self.one(True, False):
            found["pads"] = [self.ints(0, m + 1, 1)[0] for m in list(most) * 2]
        elif words and "dilations" not in found:
            found["auto_pad"] = self.one("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")
        return found

    def conv(self, dtype):
        """Input, weight, bias and attributes."""
        rank, groups = self.one(1, 2, 3), self.one(1, 2, 3)
        kernel = self.ints(1, 4, rank)
        c, o = self.ints(1, 4, 2)
        attributes = {"group": groups} | self.windows(kernel, [3] * rank)
        if self.one(True, False):
            attributes["kernel_shape"] = kernel
        x = self.array((self.one(1, 2), c * groups, *self.ints(7, 11, rank)), dtype)
        return x, self.array((o * groups, c, *kernel), dtype), self.one(None, self.array((o * groups,), dtype)), attributes


def compare(operator, inputs, attributes, got, runtime, tolerance=0.0):
    """Whether ONNX Runtime had an answer; if so, it was the same."""
    wants = in_runtime(runtime, operator, inputs, attributes, len(got))
    for a, b in zip(got, wants or []):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), attributes
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=f"{operator} {attributes}")
    return wants is not None


@pytest.fixture
def runtime():
    return pytest.importorskip("onnxruntime")


# ---- convolutions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [(), (1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_conv_as_in_onnxruntime(runtime, dtype, constant):
    chance, compared = Chance(1), 0
    for _ in range(40):
        x, w, b, attributes = chance.conv(dtype)
        compared += compare("Conv", [x, w, b], attributes, [run("Conv", [x, w, b], attributes, constant=constant)], runtime)
    assert compared > 30


@pytest.mark.parametrize("constant", [(), (1, 2)])
def test_conv_transpose_as_in_onnxruntime(runtime, constant):
    chance, compared = Chance(2), 0
    for _ in range(60):
        x, w, b, attributes = chance.conv(np.float32)
        rank, groups = x.ndim - 2, attributes["group"]
        w = chance.array((x.shape[1], len(w) // groups, *w.shape[2:]))
        stride = attributes.get("strides", [1] * rank)
        if "auto_pad" in attributes and any(k < s for k, s in zip(w.shape[2:], stride)):
            continue  # where ONNX Runtime makes less than ONNX asks for
        extra = [chance.ints(0, s, 1)[0] for s in stride] if "auto_pad" not in attributes and chance.one(True, False) else [0] * rank
        attributes["output_padding"] = extra
        if attributes.get("auto_pad", "") != "VALID" and chance.one(True, False, False):
            dilation = attributes.get("dilations", [1] * rank)
            full = [(n - 1) * s + e + (k - 1) * d + 1 for n, s, e, k, d in zip(x.shape[2:], stride, extra, w.shape[2:], dilation)]
            attributes["output_shape"] = [max(1, n - chance.ints(-2, 4, 1)[0]) for n in full]
            attributes.pop("pads", None)
        compared += compare("ConvTranspose", [x, w, b], attributes, [run("ConvTranspose", [x, w, b], attributes, constant=constant)], runtime)
    assert compared > 30


def test_same_of_a_transposed_convolution_gives_input_times_stride():
    x, w = np.ones((1, 1, 3)), np.full((1, 1, 1), 2.0)
    assert conv_transpose(x, w, np.ones(1), strides=[3], auto_pad="SAME_UPPER").tolist() == [[[3, 1, 1] * 3]]
    wide = np.arange(1.0, 5)[None, None]  # one output too many: before the others, or after them
    assert conv_transpose(np.ones((1, 1, 1)), wide, strides=[3], auto_pad="SAME_UPPER").tolist() == [[[1, 2, 3]]]
    assert conv_transpose(np.ones((1, 1, 1)), wide, strides=[3], auto_pad="SAME_LOWER").tolist() == [[[2, 3, 4]]]
    assert conv_transpose(np.ones((1, 1, 1)), wide, strides=[3], output_shape=[3]).tolist() == [[[2, 3, 4]]]
    ignored = conv_transpose(np.ones((1, 1, 1)), wide, strides=[3], output_shape=[3], pads=[9, 9], auto_pad="SAME_UPPER")
    assert ignored.tolist() == [[[1, 2, 3]]]


def test_outputs_of_a_transposed_convolution_that_no_tap_reaches_are_the_bias():
    x, w, b = np.ones((1, 1, 2), np.float32), np.ones((1, 1, 1), np.float32), np.full(1, 7, np.float32)
    assert run("ConvTranspose", [x, w, b], {"strides": [3], "pads": [1, 1]}, constant=(1, 2)).tolist() == [[[7, 7]]]


def integer_sums(x, w, x_zero, w_zero, attributes):
    """By int64: zero points are taken off, then it is a convolution."""
    w_zero = np.reshape(0 if w_zero is None else w_zero, (-1, *(1,) * (w.ndim - 1))).astype(int)
    return conv(x.astype(int) - (0 if x_zero is None else int(x_zero)), w.astype(int) - w_zero, **attributes)


@pytest.mark.parametrize("constant", [(), (1, 3)])
def test_conv_integer_is_exact(runtime, constant):
    chance, compared = Chance(3), 0
    for _ in range(60):
        x, w, _, attributes = chance.conv(np.float32)
        x, w = chance.bytes(x.shape, chance.one(np.uint8, np.int8)), chance.bytes(w.shape, chance.one(np.uint8, np.int8))
        x_zero = chance.one(None, chance.bytes((), x.dtype))
        w_zero = chance.one(None, chance.bytes((), w.dtype), chance.bytes((len(w),), w.dtype))
        inputs = [x, w, x_zero, w_zero]
        while inputs[-1] is None:
            inputs.pop()
        got = run("ConvInteger", inputs, attributes, opset=10, constant=constant if w_zero is not None else constant[:1])
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, integer_sums(x, w, x_zero, w_zero, attributes))
        compared += compare("ConvInteger", inputs, attributes, [got], runtime)
    assert compared > 30


@pytest.mark.parametrize("constant", [(), (3, 5, 8)])
def test_qlinear_conv_is_exact(runtime, constant):
    chance, compared = Chance(4), 0
    for _ in range(60):
        x, w, b, attributes = chance.conv(np.float32)
        kind = chance.one(np.uint8, np.int8)
        x, w = chance.bytes(x.shape, kind), chance.bytes(w.shape, np.int8)
        channels = chance.one((), (len(w),))
        scales = [np.array(chance.rng.random(shape) * 0.02 + 0.001, np.float32) for shape in ((), channels, ())]
        b = None if b is None else chance.array(b.shape, np.int32, -5000, 5000)
        inputs = [
            x, scales[0], chance.bytes((), kind), w, scales[1], chance.one(chance.bytes(channels, np.int8), np.zeros(channels, np.int8)),
            scales[2], chance.bytes((), kind), *([] if b is None else [b]),
        ]  # fmt: skip
        got = run("QLinearConv", inputs, attributes, opset=10, constant=constant if b is not None else constant[:2])
        sums = integer_sums(x, w, inputs[2], inputs[5], attributes)
        column = (-1, *(1,) * (x.ndim - 2))
        sums = sums + (0 if b is None else b.reshape(column))
        scaled = sums.astype(np.float32) * (scales[0] * scales[1] / scales[2]).reshape(column)
        limits = np.iinfo(kind)
        np.testing.assert_array_equal(got, np.clip(np.rint(scaled) + int(inputs[7]), limits.min, limits.max).astype(kind))
        compared += compare("QLinearConv", inputs, attributes, [got], runtime)
    assert compared > 15  # it wants one zero point for all channels


def test_rounding_is_half_to_even():
    one, zero = np.array(1, np.float32), np.array(0, np.int8)
    x = np.array([[[1, 3, 5, -1, -3, 127, -128]]], np.int8)
    got = run("QLinearConv", [x, np.array(0.5, np.float32), zero, np.ones((1, 1, 1), np.int8), one, zero, one, zero], opset=10)
    assert got.tolist() == [[[0, 2, 2, 0, -2, 64, -64]]]
    got = run("QLinearConv", [x, np.array(3, np.float32), zero, np.ones((1, 1, 1), np.int8), one, zero, one, np.array(2, np.uint8)], opset=10)
    assert got.tolist() == [[[5, 11, 17, 0, 0, 255, 0]]]


# ---- pools ---------------------------------------------------------------------------------------------------------------


def taps(n, kernel, stride, dilation, before, after, ceil):
    """The places of each window's taps along an axis, also those in the padding; by ONNX's formula."""
    rest = n + before + after - dilation * (kernel - 1) - 1
    windows = -(-rest // stride) + 1 if ceil else rest // stride + 1
    if ceil and (windows - 1) * stride >= n + before:
        windows -= 1
    return [[o * stride - before + j * dilation for j in range(kernel)] for o in range(windows)]


def pooled(x, attributes, combine):
    """`combine(samples, taps in the padded input, places)` of each window; None if a window has no sample, or there is none."""
    size, kernel = x.shape[2:], attributes["kernel_shape"]
    rank = len(kernel)
    stride, dilation = (attributes.get(name, [1] * rank) for name in ("strides", "dilations"))
    pads, ceil, word = attributes.get("pads", [0] * 2 * rank), attributes.get("ceil_mode", 0), attributes.get("auto_pad", "NOTSET")
    if word.startswith("SAME"):
        total = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, s, d, k in zip(size, stride, dilation, kernel)]
        pads = [t // 2 for t in total] + [-(-t // 2) for t in total]
        pads = pads if word == "SAME_UPPER" else pads[rank:] + pads[:rank]
    ceil = ceil and word == "NOTSET"
    axes = [taps(*one, ceil) for one in zip(size, kernel, stride, dilation, pads[:rank], pads[rank:])]
    inside = [[[t for t in window if 0 <= t < n] for window in axis] for axis, n in zip(axes, size)]
    if not all(axes) or not all(window for axis in inside for window in axis):
        return None
    padded = [[sum(-b <= t < n + a for t in window) for window in axis] for axis, n, b, a in zip(axes, size, pads[:rank], pads[rank:])]
    places = np.arange(prod(x.shape)).reshape(x.shape)
    results = []
    for window, counts in zip(itertools.product(*inside), itertools.product(*padded)):
        here = (slice(None), slice(None), *np.ix_(*window))
        results.append(combine(x[here].reshape(*x.shape[:2], -1), prod(counts), places[here].reshape(*x.shape[:2], -1)))
    return np.stack(results, -1).reshape(*x.shape[:2], *map(len, axes))


def pools(seed, count, most):
    """Random attributes of windows that fit an input of random size; pads up to `most(kernel, dilation)`."""
    chance = Chance(seed)
    while count:
        rank = chance.one(1, 2, 3)
        kernel = chance.ints(1, 5, rank)
        dilation = chance.ints(1, 4, rank)
        attributes = {"kernel_shape": kernel, "ceil_mode": chance.one(0, 1)} | chance.windows(kernel, [0] * rank)
        if "dilations" in attributes:
            attributes["dilations"] = dilation
        else:
            dilation = [1] * rank
        if "pads" in attributes:
            attributes["pads"] = [chance.ints(0, most(k, d) + 1, 1)[0] for k, d in list(zip(kernel, dilation)) * 2]
        shape = (2, 3, *chance.ints(2, 9, rank))
        if pooled(np.zeros(shape), attributes, lambda samples, *_: samples.sum(-1)) is not None:
            count -= 1
            yield chance, shape, attributes


def window_span(k, d):
    return d * (k - 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
def test_max_pool_by_the_formula(dtype):
    for chance, shape, attributes in pools(5, 60, window_span):
        x = chance.array(shape, dtype, 0, 4)  # ties: the first wins
        attributes["storage_order"] = chance.one(0, 1)
        values, indices = run("MaxPool", [x], attributes, outputs=2)
        assert values.dtype == x.dtype and indices.dtype == np.int64
        np.testing.assert_array_equal(values, pooled(x, attributes, lambda samples, *_: samples.max(-1)))
        np.testing.assert_array_equal(values, run("MaxPool", [x], attributes))
        want = pooled(x, attributes, lambda s, _, places: np.take_along_axis(places, s.argmax(-1)[..., None], -1)[..., 0])
        if attributes["storage_order"]:
            n, c, *place = np.unravel_index(want, shape)
            want = (n * shape[1] + c) * prod(shape[2:]) + np.ravel_multi_index(place, shape[2:], order="F")
        np.testing.assert_array_equal(indices, want)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("include", [0, 1])
def test_average_pool_by_the_formula(dtype, include):
    for chance, shape, attributes in pools(6, 60, window_span):
        x = chance.array(shape, dtype, -9, 10)
        want = pooled(x.astype(float), attributes, lambda s, padded, _: s.sum(-1) / (padded if include else s.shape[-1]))
        got = run("AveragePool", [x], attributes | {"count_include_pad": include})
        np.testing.assert_allclose(got, want.astype(dtype), rtol=0 if dtype != "float64" else 1e-15, atol=0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lp_pool_by_the_formula(dtype):
    for chance, shape, attributes in pools(7, 60, window_span):
        x, p = chance.array(shape, dtype), chance.one(1, 2, 3)
        want = pooled(x.astype(float), attributes, lambda s, *_: (np.abs(s) ** p).sum(-1) ** (1 / p))
        got = run("LpPool", [x], attributes | {"p": p})
        assert got.dtype == x.dtype
        np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "LpPool"])
def test_pools_as_in_onnxruntime(runtime, operator):
    compared = 0
    for chance, shape, attributes in pools(8, 60, lambda k, _: k - 1):
        if attributes.get("auto_pad") == "VALID":
            attributes["ceil_mode"] = 0  # it rounds up, which ONNX's formula does not
        attributes |= {"MaxPool": {"storage_order": chance.one(0, 1)}, "AveragePool": {"count_include_pad": chance.one(0, 1)}, "LpPool": {"p": 3}}[operator]
        x = chance.rng.permutation(prod(shape)).reshape(shape).astype(np.float32)
        got = run(operator, [x], attributes, outputs=2) if operator == "MaxPool" else [run(operator, [x], attributes)]
        compared += compare(operator, [x], attributes, got, runtime, 0 if operator == "MaxPool" else 1e-6)
    assert compared > 50


def test_valid_with_ceil_mode_is_what_onnx_writes():
    x = np.arange(10.0)[None, None]
    for pool in (max_pool, average_pool, lp_pool):
        assert pool(x, kernel_shape=[2], strides=[3], auto_pad="VALID", ceil_mode=1).shape == (1, 1, 3)
        assert pool(x, kernel_shape=[2], strides=[3], ceil_mode=1).shape == (1, 1, 4)


@pytest.mark.parametrize("dilations", [[1, 1], [2, 1]])
def test_not_a_number_stays_in_its_windows(dilations):
    x = np.ones((1, 1, 9, 9), np.float32)
    x[0, 0, 4, 4] = np.nan
    attributes = {"kernel_shape": [3, 3], "dilations": dilations}
    met = pooled(np.isnan(x), attributes, lambda s, *_: s.any(-1))
    assert 0 < met.sum() < met.size
    for operator in ("MaxPool", "AveragePool", "LpPool"):
        np.testing.assert_array_equal(np.isnan(run(operator, [x], attributes)), met)


def test_a_single_row_of_windows_whatever_the_stride_of_rows():
    for channels, n, kernel, stride in itertools.product((1, 12, 40), (7, 40, 1000), (1, 2, 5), (1, 2, 3)):
        x = np.arange(channels * n, dtype=np.float32).reshape(1, channels, 1, n)
        for pool, ours in ((average_pool, cyconv.avg_pool2d), (max_pool, cyconv.max_pool2d)):
            want = ours(x, (1, kernel), (1, stride))
            np.testing.assert_array_equal(pool(x, kernel_shape=[1, kernel], strides=[3, stride]), want)


def test_long_padding_of_large_planes():
    chance = Chance(21)
    for size in [(400,), (3000,), (60, 70), (9, 300), (10, 20, 30)] * 4:
        rank = len(size)
        kernel, dilation = chance.ints(1, 12, rank), chance.ints(1, 3, rank)
        attributes = {"kernel_shape": kernel, "strides": chance.ints(1, 4, rank), "dilations": dilation}
        pads = [chance.ints(0, window_span(k, d) + 1, 1)[0] for k, d in list(zip(kernel, dilation)) * 2]
        if any(window_span(k, d) >= n for k, d, n in zip(kernel, dilation, size)):
            continue
        x = chance.array((2, 5, *size), np.float32, -99, 100)
        widths = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])]
        low, zero = (np.pad(x, widths, constant_values=value) for value in (-np.inf, 0))
        np.testing.assert_array_equal(max_pool(x, pads=pads, **attributes), max_pool(low, **attributes))
        np.testing.assert_array_equal(max_pool(x, pads=pads, **attributes, return_indices=True)[0], max_pool(low, **attributes))
        np.testing.assert_array_equal(average_pool(x, pads=pads, count_include_pad=1, **attributes), average_pool(zero, **attributes))


def test_dilated_averages_are_rounded_once():
    x = np.full((1, 1, 7), 2.0**24, np.float32)
    x[..., 2], x[..., 4] = 1, -(2.0**24)
    assert run("AveragePool", [x], {"kernel_shape": [3], "dilations": [2]})[0, 0, 0] == np.float32(1 / 3)


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4, 5])
def test_global_pools(rank):
    x = Chance(9).array((2, 3, *(2, 3, 4, 2, 1)[:rank]))
    rows = x.reshape(2, 3, -1).astype(float)
    shape = (2, 3, *(1,) * rank)
    np.testing.assert_array_equal(run("GlobalMaxPool", [x]), rows.max(-1).reshape(shape))
    np.testing.assert_array_equal(run("GlobalAveragePool", [x]), rows.mean(-1).reshape(shape).astype(np.float32))
    for p in (1, 2, 3):
        want = (np.abs(rows) ** p).sum(-1).reshape(shape) ** (1 / p)
        np.testing.assert_allclose(run("GlobalLpPool", [x], {"p": p}), want, rtol=1e-6)


# ---- the way back --------------------------------------------------------------------------------------------------------


def test_max_unpool_as_in_onnxruntime(runtime):
    chance, compared = Chance(10), 0
    for _ in range(40):
        rank = chance.one(1, 2, 3)
        kernel, stride, size = chance.ints(2, 4, rank), chance.ints(2, 4, rank), chance.ints(1, 5, rank)
        pads = [chance.ints(0, min(k, 2), 1)[0] for k in kernel * 2]
        back = [(n - 1) * s + k - p - q for n, s, k, p, q in zip(size, stride, kernel, pads, pads[rank:])]
        if 6 * prod(back) < 6 * prod(size) or min(back) < 1:
            continue
        x = chance.array((2, 3, *size))
        indices = chance.rng.permutation(6 * prod(back))[: x.size].reshape(x.shape)  # anywhere in the tensor
        inputs = [x, indices, chance.one(None, np.array([2, 3, *back]))]
        inputs = inputs if inputs[2] is not None else inputs[:2]
        attributes = {"kernel_shape": kernel, "strides": stride, "pads": pads}
        got = run("MaxUnpool", inputs, attributes)
        assert got.reshape(-1)[indices.reshape(-1)].tolist() == x.reshape(-1).tolist() and np.count_nonzero(got) == np.count_nonzero(x)
        compared += compare("MaxUnpool", inputs, attributes, [got], runtime)
    assert compared > 20


def test_unpooling_brings_maxima_back():
    x = Chance(11).rng.permutation(2 * 3 * 8 * 6).reshape(2, 3, 8, 6).astype(np.float32)
    windows = {"kernel_shape": [2, 2], "strides": [2, 2]}
    values, indices = run("MaxPool", [x], windows, outputs=2)
    back = run("MaxUnpool", [values, indices], windows)
    assert set(back.reshape(-1)) == {0, *values.reshape(-1)}
    np.testing.assert_array_equal(back[back != 0], x[back != 0])


def test_col2im_of_any_number_of_axes():
    chance = Chance(12)
    for _ in range(60):
        rank = chance.one(1, 2, 3, 4, 5)
        size, kernel = chance.ints(3, 6, rank), chance.ints(1, 3, rank)
        attributes = {"strides": chance.ints(1, 4, rank), "dilations": chance.ints(1, 3, rank), "pads": chance.ints(0, 2, 2 * rank)}
        if chance.one(True, False):
            attributes["pads"][rank:] = attributes["pads"][:rank]
        pads = attributes["pads"]
        axes = [
            taps(n, k, s, d, b, a, False)
            for n, k, s, d, b, a in zip(size, kernel, attributes["strides"], attributes["dilations"], pads, pads[rank:])
        ]
        windows = list(itertools.product(*axes))
        x = chance.array((2, 3 * prod(kernel), len(windows)))
        want = np.zeros((2, 3, *size), np.float32)
        for o, window in enumerate(windows):
            for j, place in enumerate(itertools.product(*window)):
                if all(0 <= t < n for t, n in zip(place, size)):
                    want[(..., *place)] += x[:, j :: prod(kernel), o]
        np.testing.assert_array_equal(run("Col2Im", [x, np.array(size), np.array(kernel)], attributes, opset=18), want)


# ---- deformed and causal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [(), (1, 3)])
def test_deform_conv_as_in_onnxruntime(runtime, constant, monkeypatch):
    monkeypatch.setattr("cyconv.onnx.deformable.BLOCK", 2000)  # several blocks of each
    chance, compared = Chance(13), 0
    while compared < 30:
        x, w, b, attributes = chance.conv(np.float32)
        if x.ndim != 4 or attributes.pop("auto_pad", ""):
            continue
        groups = attributes["offset_group"] = chance.one(*[g for g in range(1, 7) if x.shape[1] % g == 0])
        pads, stride, dilation = (attributes.get(name, [d] * 4) for name, d in (("pads", 0), ("strides", 1), ("dilations", 1)))
        out = [len(taps(n, k, s, d, p, q, False)) for n, k, s, d, p, q in zip(x.shape[2:], w.shape[2:], stride, dilation, pads, pads[2:])]
        count = groups * prod(w.shape[2:])
        offset = chance.array((len(x), 2 * count, *out), np.float32, -12, 13) / 4
        mask = chance.one(None, chance.array((len(x), count, *out), np.float32, 0, 5) / 4)
        inputs = [x, w, offset, b, mask] if mask is not None else [x, w, offset, b] if b is not None else [x, w, offset]
        got = run("DeformConv", inputs, attributes, constant=constant if b is not None else constant[:1])
        compared += compare("DeformConv", inputs, attributes, [got], runtime)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_without_offsets_it_is_conv_also_where_numbers_are_none(rank, dtype):
    chance = Chance(14)
    x, w = chance.array((2, 4, *(6, 5, 4)[:rank]), dtype), chance.array((4, 2, *(3, 2, 2)[:rank]), dtype)
    x[(0, 0, *(2,) * rank)], x[(1, 3, *(1,) * rank)] = np.nan, np.inf
    attributes = {"pads": [1] * 2 * rank, "group": 2}
    want = conv(x, w, **attributes)
    offset = np.zeros((2, 2 * prod(w.shape[2:]) * rank, *want.shape[2:]), dtype)
    got = deform_conv(x, w, offset, offset_group=2, **attributes)
    assert got.dtype == dtype and np.isnan(got).any()
    np.testing.assert_array_equal(got, want)
    # a whole sample along the last axis: the samples beyond are zeros
    offset.reshape(2, 2, -1, rank, *want.shape[2:])[:, :, :, -1] = 1
    pads = [1] * 2 * rank
    pads[rank - 1], pads[-1] = 0, 2
    np.testing.assert_array_equal(deform_conv(x, w, offset, offset_group=2, **attributes), conv(x, w, pads=pads, group=2))


def test_half_precision_is_rounded_once():
    rng = np.random.default_rng(0)
    x, w, offset = (rng.standard_normal(shape).astype(np.float16) for shape in ((2, 3, 6, 6), (2, 3, 3, 3), (2, 18, 4, 4)))
    single = deform_conv(x.astype(np.float32), w.astype(np.float32), offset.astype(np.float32))
    np.testing.assert_array_equal(deform_conv(x, w, offset), single.astype(np.float16))


def test_places_between_samples_and_places_that_are_none():
    x, w = np.array([[[1.0, 3.0]]]), np.ones((1, 1, 1))

    def at(*places):
        offset = np.array(places).reshape(1, 1, -1) - np.arange(len(places))
        pads = [0, len(places) - 2]
        return deform_conv(x, w, offset, pads=pads).reshape(-1).tolist()

    assert at(0.5, 0.25, 1.5, -0.5, -1, 2) == [2, 1.5, 1.5, 0.5, 0, 0]
    assert at(np.nan, np.inf, -np.inf, 1e300) == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("activation", ["none", "silu", "swish"])
def test_causal_conv_piece_by_piece_is_the_whole(dtype, activation):
    chance = Chance(15)
    x, w, b = chance.array((2, 5, 20), dtype), chance.array((5, 1, 4), dtype, -2, 3), chance.array((5,), dtype)
    whole, last = causal_conv_with_state(x, w, b, activation=activation)
    want = conv(x.astype(float), w.astype(float), b.astype(float), pads=[3, 0], group=5)
    if activation != "none":
        want = want / (1 + np.exp(-want))
    assert whole.dtype == last.dtype == dtype
    np.testing.assert_allclose(whole, want, rtol=4 * np.finfo(dtype).eps, atol=float(np.finfo(dtype).smallest_subnormal))
    np.testing.assert_array_equal(last, x[..., -3:])
    state, pieces = None, []
    for begin, end in itertools.pairwise([0, 1, 3, 3, 10, 20]):
        y, state = causal_conv_with_state(x[..., begin:end], w, b, state, activation=activation)
        pieces.append(y)
    np.testing.assert_array_equal(np.concatenate(pieces, -1), whole)
    np.testing.assert_array_equal(state, last)


# ---- weights -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plans(monkeypatch):
    """Every plan that is made."""
    made, make = [], cyconv.plans.Plan.__init__

    def counted(self, *arguments):
        made.append(self)
        make(self, *arguments)

    monkeypatch.setattr(cyconv.plans.Plan, "__init__", counted)
    return made


WEIGHTED = [("Conv", (2, 4, 3, 3)), ("ConvTranspose", (4, 2, 3, 3)), ("ConvInteger", (2, 4, 3, 3))]


@pytest.mark.parametrize(("operator", "shape"), WEIGHTED)
def test_weights_of_a_model_are_prepared_once(operator, shape, plans):
    chance, dtype = Chance(16), np.int8 if operator == "ConvInteger" else np.float32
    x, w = chance.array((1, 4, 9, 9), dtype), chance.array(shape, dtype)
    of, fed = model(operator, [x, w], opset=10 if dtype is np.int8 else 22, constant=(1,))
    session = evaluator(of)
    node = session.rt_nodes_[0]
    assert node.algorithm is None
    for _ in range(5):
        session.run(None, fed)
    assert len(plans) == 1 and node.algorithm == plans[0].algorithm


@pytest.mark.parametrize("raw", [True, False])
def test_initializers_of_both_kinds(raw, plans):
    w = Chance(17).array((2, 1, 3))
    of, fed = model("Conv", [np.ones((1, 1, 8), np.float32), w], constant=(1,))
    if not raw:  # lists of numbers, which the evaluator makes arrays that may be written to
        of.graph.initializer[0].CopyFrom(helper.make_tensor("input1", 1, w.shape, w.reshape(-1).tolist()))
    session = evaluator(of)
    assert cyconv.onnx.weights.immutable(session.rt_inits_["input1"]) == raw
    for _ in range(4):
        np.testing.assert_array_equal(session.run(None, fed)[0], conv(fed["input0"], w))
    assert len(plans) == 1
    if not raw:
        session.rt_inits_["input1"][...] = 1
        assert (session.run(None, fed)[0] == 3).all()


@pytest.mark.parametrize(("operator", "shape"), WEIGHTED)
def test_weights_that_are_fed_and_changed_in_place_are_never_stale(operator, shape, plans):
    chance, dtype = Chance(18), np.int8 if operator == "ConvInteger" else np.float32
    x, w = chance.array((1, 4, 9, 9), dtype), chance.array(shape, dtype)
    of, fed = model(operator, [x, w], opset=10 if dtype is np.int8 else 22)
    session = evaluator(of)
    for i in range(6):
        w.reshape(-1)[i] += 1
        want = run(operator, [x, w.copy()], opset=10 if dtype is np.int8 else 22)
        plans.clear()
        np.testing.assert_array_equal(session.run(None, fed)[0], want)
        assert bool(plans) == (i == 0)  # then it is known that they vary
    assert session.rt_nodes_[0].algorithm is None and session.rt_nodes_[0]._weights._kept is None


def test_a_read_only_view_of_weights_that_change(plans):
    w = np.ones((1, 1, 3), np.float32)
    view = w.view()
    view.flags.writeable = False
    of, fed = model("Conv", [np.ones((1, 1, 5), np.float32), view])
    session = evaluator(of)
    assert session.run(None, fed)[0].tolist() == [[[3, 3, 3]]]
    w += 1
    assert session.run(None, fed)[0].tolist() == [[[6, 6, 6]]]
    b = np.array([np.nan], np.float32)  # and a bias that comes in later
    of, fed = model("Conv", [np.ones((1, 1, 3), np.float32), w, b])
    session = evaluator(of)
    assert np.isnan(session.run(None, fed)[0]).all()
    b[0] = 1
    assert session.run(None, fed)[0].item() == 7
    assert session.run(None, fed | {"input2": None})[0].item() == 6


def test_plans_are_kept_for_few_shapes(plans):
    w = np.ones((1, 1, 3), np.float32)
    of, _ = model("Conv", [np.ones((1, 1, 5), np.float32), w], constant=(1,))
    session = evaluator(of)
    for _ in range(2):
        for n in range(5, 9):
            session.run(None, {"input0": np.ones((1, 1, n), np.float32)})
    assert len(plans) == 4 == cyconv.onnx.weights.PLANS
    for n in range(9, 30):
        session.run(None, {"input0": np.ones((1, 1, n), np.float32)})
    assert len(session.rt_nodes_[0]._weights._kept._plans) == 4


def test_large_weights_keep_fewer_plans():
    w = np.ones((64, 64, 8, 8), np.float32)
    session = evaluator(model("Conv", [np.ones((1, 64, 8, 8), np.float32), w], constant=(1,))[0])
    for n in range(8, 12):
        session.run(None, {"input0": np.ones((1, 64, 8, n), np.float32)})
    assert len(session.rt_nodes_[0]._weights._kept._plans) == 2


def test_what_is_promised_to_be_constant_is_not_looked_at(plans):
    x, w, b = np.ones((1, 1, 5), np.float32), np.ones((1, 1, 3), np.float32), np.ones(1, np.float32)
    node = evaluator(model("Conv", [x, w, b])[0]).rt_nodes_[0]
    node.constant(w, b)
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]]
    w[...] = 2  # a broken promise shows that nothing is compared
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]]
    assert len(plans) == 1 and node.algorithm == plans[0].algorithm
    assert node.compute(x, w.copy(), b)[0].tolist() == [[[7, 7, 7]]] and node.algorithm is None
    assert node.compute(x, w, b)[0].tolist() == [[[4, 4, 4]]] and len(plans) == 1
    node.constant(w)
    assert node.compute(x, w)[0].tolist() == [[[6, 6, 6]]] and len(plans) == 2 and node.algorithm


def test_attributes_of_a_function_may_differ_from_call_to_call(plans):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    node.attribute.append(onnx.AttributeProto(name="strides", ref_attr_name="steps", type=onnx.AttributeProto.INTS))
    session = evaluator(helper.make_function("own", "f", ["x", "w"], ["y"], [node], [helper.make_opsetid("", 22)], ["steps"]))
    feed = {"x": np.ones((1, 1, 9), np.float32), "w": np.ones((1, 1, 1), np.float32)}
    assert [session.run(None, feed, attributes={"steps": [s]})[0].shape[2] for s in (1, 2, 4)] == [9, 5, 3]
    assert not plans


def test_threads_share_a_node():
    x, w = Chance(19).array((1, 8, 20, 20)), Chance(20).array((8, 8, 3, 3))
    session = evaluator(model("Conv", [x, w], constant=(1,))[0])
    wrong = []

    def work():
        for n in range(4, 20):
            if not np.array_equal(session.run(None, {"input0": x[..., :n]})[0], conv(x[..., :n], w)):
                wrong.append(n)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- all operators -------------------------------------------------------------------------------------------------------

ONES = np.ones((2, 2, 6), np.float32)
INDICES = np.arange(24).reshape(2, 2, 6)
EACH = {
    "Conv": ([ONES, np.ones((1, 2, 3), np.float32)], {}),
    "ConvTranspose": ([ONES, np.ones((2, 1, 3), np.float32)], {"strides": [2]}),
    "MaxPool": ([ONES], {"kernel_shape": [3]}),
    "AveragePool": ([ONES], {"kernel_shape": [3], "dilations": [2]}),
    "LpPool": ([ONES], {"kernel_shape": [3]}),
    "GlobalMaxPool": ([ONES], {}),
    "GlobalAveragePool": ([ONES], {}),
    "GlobalLpPool": ([ONES], {}),
    "MaxUnpool": ([ONES, INDICES], {"kernel_shape": [1]}),
    "Col2Im": ([ONES, np.array([7]), np.array([2])], {}),
    "DeformConv": ([ONES, np.ones((1, 2, 3), np.float32), np.zeros((2, 3, 4), np.float32)], {}),
    "CausalConvWithState": ([ONES, np.ones((2, 1, 3), np.float32)], {}),
    "ConvInteger": ([ONES.astype(np.int8), np.ones((1, 2, 3), np.int8)], {}),
    "QLinearConv": (
        [ONES.astype(np.int8), np.float32([1]), np.int8([0]), np.ones((1, 2, 3), np.int8), np.float32([1]), np.int8([0]),
         np.float32([1]), np.int8([0])], {},
    ),
}  # fmt: skip
FLOATING = [name for name, (inputs, _) in EACH.items() if inputs[0].dtype == np.float32]


def test_every_operator_stands_here():
    assert set(EACH) == {operator.__name__ for operator in cyconv.onnx.OPS}


def of_each(operator, change):
    """What an operator gives, with `change` done to its arrays, and how many results it has."""
    inputs, attributes = EACH[operator]
    outputs = 2 if operator == "CausalConvWithState" else 1
    session = evaluator(model(operator, [change(i, a) for i, a in enumerate(inputs)], attributes, outputs)[0])
    fed = {f"input{i}": change(i, a) for i, a in enumerate(inputs)}
    return session.run(None, fed)


@pytest.mark.parametrize("operator", EACH)
def test_an_empty_batch_gives_an_empty_result(operator):
    whole = of_each(operator, lambda i, a: a)
    empty = of_each(operator, lambda i, a: a[:0] if a.ndim == 3 and len(a) == 2 and a.shape[1] != 1 else a)
    for a, b in zip(whole, empty):
        assert (a.shape[1:], a.dtype) == (b.shape[1:], b.dtype) and len(a) == 2 and len(b) == 0


@pytest.mark.parametrize("operator", FLOATING)
@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_every_floating_dtype(operator, dtype):
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype)
    single = of_each(operator, lambda i, a: a)
    for a, b in zip(single, of_each(operator, lambda i, a: a.astype(dtype) if a.dtype == np.float32 else a)):
        assert b.dtype == dtype
        np.testing.assert_allclose(a.astype(dtype).astype(float), b.astype(float), rtol=1e-7 if dtype == "float64" else 0)  # roots


@pytest.mark.parametrize(("operator", "opset"), [("Conv", 1), ("Conv", 11), ("ConvTranspose", 1), ("MaxPool", 1), ("MaxPool", 8), ("MaxPool", 12),
                                                 ("AveragePool", 1), ("AveragePool", 7), ("AveragePool", 11), ("LpPool", 2), ("LpPool", 11),
                                                 ("GlobalLpPool", 2), ("MaxUnpool", 9), ("DeformConv", 19)])  # fmt: skip
def test_older_versions(operator, opset):
    inputs, attributes = EACH[operator]
    attributes = {name: value for name, value in attributes.items() if name != "dilations"}
    np.testing.assert_array_equal(run(operator, inputs, attributes, opset=opset), run(operator, inputs, attributes))


def test_a_norm_of_the_first_version_has_a_float_for_p():
    x = np.array([[[3, 4]]], np.float32)
    assert run("LpPool", [x], {"kernel_shape": [2], "p": 2.0}, opset=1).item() == 5
    assert run("GlobalLpPool", [x], {"p": 2.0}, opset=1).item() == 5
    assert run("LpPool", [x], {"kernel_shape": [2], "p": 1.5}, opset=1).item() == pytest.approx((3**1.5 + 4**1.5) ** (2 / 3))


F, B = np.float32, np.int8
SQUARE = np.ones((1, 1, 5, 5), F)
REFUSED = [
    ("Conv", [np.ones((1, 1, 2, 2, 2, 2), F), np.ones((1, 1, 1, 1, 1, 1), F)], {}, "1 to 3 spatial axes"),
    ("Conv", [np.ones((1, 1), F), np.ones((1, 1), F)], {}, "1 to 3 spatial axes"),
    ("Conv", [SQUARE, np.ones((1, 1, 3), F)], {}, "W must have as many axes as X"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"pads": [1, 1]}, r"pads must be 4 ints, got \[1, 1\]"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"pads": [1, 1, -1, 1]}, "pads must be at least 0, got -1"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"strides": [0, 1]}, "strides must be at least 1, got 0"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"dilations": [1, 1, 1]}, "dilations must be 2 ints"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"kernel_shape": [3, 2]}, r"kernel_shape must be that of W, \[3, 3\], got \[3, 2\]"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"auto_pad": "SAME"}, "auto_pad must be one of 'NOTSET', 'VALID', .*; got 'SAME'"),
    ("Conv", [SQUARE, np.ones((1, 1, 3, 3), F)], {"auto_pad": "VALID", "pads": [1, 0, 0, 0]}, "exclude each other"),
    ("Conv", [SQUARE, np.ones((2, 1, 3, 3), F)], {"group": 2}, "groups=2 is for an input of 2 channels"),
    ("ConvTranspose", [SQUARE, np.ones((1, 1, 3), F)], {}, "W must have as many axes as X"),
    ("ConvTranspose", [SQUARE, np.ones((1, 1, 3, 3), F)], {"output_shape": [1, 1, 6, 6]}, "output_shape must be 2 ints"),
    ("ConvTranspose", [SQUARE, np.ones((1, 1, 3, 3), F)], {"output_padding": [1, 0]}, "output_padding must be smaller"),
    ("MaxPool", [SQUARE], {"kernel_shape": [3]}, "kernel_shape must be 2 ints"),
    ("MaxPool", [SQUARE], {"kernel_shape": [3, 3], "pads": [3, 0, 0, 0]}, "pads 3 and 0 leave a window that holds no sample of spatial axis 0"),
    ("MaxPool", [SQUARE], {"kernel_shape": [3, 3], "pads": [0, 2**60, 0, 2**60]}, "holds no sample of spatial axis 1"),
    ("MaxPool", [SQUARE], {"kernel_shape": [3, 3], "pads": [0, 2**60, 0, 0]}, "holds no sample of spatial axis 1"),
    ("MaxPool", [SQUARE], {"kernel_shape": [3, 3], "pads": [0, 0, 0, 2**60]}, "holds no sample of spatial axis 1"),
    ("MaxPool", [SQUARE[..., :2]], {"kernel_shape": [1, 2], "dilations": [1, 4], "pads": [0, 2, 0, 1]}, "holds no sample of spatial axis 1"),
    ("MaxPool", [SQUARE], {"kernel_shape": [6, 3]}, "larger than the padded input"),
    ("LpPool", [SQUARE], {"kernel_shape": [3, 3], "p": 0}, "p must be at least 1, got 0"),
    ("GlobalMaxPool", [np.ones(3, F)], {}, r"X must be \(N, C, ...\), got shape \(3,\)"),
    ("MaxUnpool", [SQUARE, np.zeros((1, 1, 5, 4), np.int64)], {"kernel_shape": [1, 1]}, "I must have the shape of X"),
    ("MaxUnpool", [SQUARE, np.full(SQUARE.shape, 25)], {"kernel_shape": [1, 1]}, "25"),
    ("MaxUnpool", [SQUARE, np.zeros(SQUARE.shape, np.int64), np.array([1, 1, 4, 5])], {"kernel_shape": [1, 1]}, "output_shape must be at least"),
    ("MaxUnpool", [SQUARE, np.zeros(SQUARE.shape, np.int64)], {"kernel_shape": [1, 1], "pads": [1, 1, 1, 1]}, "more samples than what it comes from"),
    ("MaxUnpool", [SQUARE, np.zeros(SQUARE.shape, np.int64)], {"kernel_shape": [1, 1], "pads": [3, 1, 3, 1]}, "leave nothing of X"),
    ("Col2Im", [ONES, np.array([7]), np.array([2, 1])], {}, "one int per spatial axis"),
    ("Col2Im", [ONES, np.array([7]), np.array([3])], {}, r"input must be \(N, C \* 3, L\)"),
    ("Col2Im", [ONES, np.array([1, 1, 1, 6]), np.array([1, 1, 1, 2])], {}, "input must have 5 columns"),
    ("DeformConv", [ONES, np.ones((1, 2, 3), F), np.zeros((2, 3, 5), F)], {}, r"offset must have shape \(2, 3, 4\), got \(2, 3, 5\)"),
    ("DeformConv", [ONES, np.ones((1, 2, 3), F), np.zeros((2, 3, 4), F), None, np.ones((2, 6, 4), F)], {}, r"mask must have shape \(2, 3, 4\)"),
    ("DeformConv", [ONES, np.ones((1, 2, 3), F), np.zeros((2, 9, 4), F)], {"offset_group": 3}, "offset_group must divide"),
    ("CausalConvWithState", [ONES, np.ones((2, 2, 3), F)], {}, r"weight \(C, 1, k\)"),
    ("CausalConvWithState", [ONES, np.ones((2, 1, 3), F), None, np.ones((2, 2, 3), F)], {}, "past_state must have shape"),
    ("CausalConvWithState", [ONES, np.ones((2, 1, 3), F)], {"activation": "relu"}, "activation must be one of 'none', .*; got 'relu'"),
    ("ConvInteger", [ONES.astype(B), np.ones((1, 2, 3), B), None, np.zeros(3, B)], {}, "w_zero_point must be one number, got 3"),
    ("ConvInteger", [ONES.astype(B), np.ones((1, 2, 3), B), np.zeros(2, B)], {}, "x_zero_point must be one number, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "inputs", "attributes", "message"), REFUSED)
@pytest.mark.parametrize("constant", [(), (1,)])
def test_what_is_wrong_is_named(operator, inputs, attributes, message, constant):
    outputs = 2 if operator == "CausalConvWithState" else 1
    of, fed = model(operator, inputs, attributes, outputs, constant=constant if len(inputs) > 1 else ())
    session = evaluator(of)
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            session.run(None, fed)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: conv(np.ones((1, 1, 3), F), np.ones((1, 1, 3))), "same dtype"),
    (lambda: conv_transpose(np.ones((1, 1, 3), F), np.ones((1, 1, 3))), "same dtype"),
    (lambda: conv_integer(np.ones((1, 1, 3), F), np.ones((1, 1, 3), B)), "x has dtype float32"),
    (lambda: conv_integer(np.ones((1, 1, 3), B), np.ones((1, 1, 3), B), np.uint8(1)), "x_zero_point must have dtype int8"),
    (lambda: average_pool(np.ones((1, 1, 3), B), kernel_shape=[2]), "X has dtype int8"),
    (lambda: lp_pool(np.ones((1, 1, 3), B), kernel_shape=[2]), "X has dtype int8"),
    (lambda: deform_conv(np.ones((1, 1, 3), F), np.ones((1, 1, 3)), np.zeros((1, 3, 1))), "same dtype"),
    (lambda: col2im(np.ones((1, 2, 6), bool), [7], [2]), "dtype bool"),
])  # fmt: skip
def test_dtypes_that_do_not_fit(call, message):
    with pytest.raises(TypeError, match=message):
        call()


# ---- the package ---------------------------------------------------------------------------------------------------------


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_onnx_is_imported_at_first_use():
    found = python("import sys, cyconv; assert 'onnx' not in sys.modules; cyconv.onnx.OPS; assert 'onnx' in sys.modules")
    assert found.returncode == 0, found.stderr


def test_without_onnx_one_line_says_what_to_install():
    found = python("import sys; sys.modules['onnx'] = None; import cyconv; assert not hasattr(cyconv, 'onnxx'); cyconv.onnx")
    assert found.stderr.strip().endswith('ImportError: cyconv.onnx needs onnx: pip install "cyconv[onnx]"')


def test_classes_are_those_of_the_reference_evaluator():
    assert all(issubclass(operator, onnx.reference.op_run.OpRun) for operator in cyconv.onnx.OPS) and Conv in cyconv.onnx.OPS

"""Pools of cyconv.onnx.OPS against ONNX Runtime, and against the formulas of ONNX's operators."""

import itertools
from math import prod

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx_cases import Chance, compare, run, taps  # noqa: E402

import cyconv  # noqa: E402
import cyconv.onnx.attributes  # noqa: E402
import cyconv.onnx.weights  # noqa: E402
from cyconv.onnx.pooling import average_pool, lp_pool, max_pool  # noqa: E402


@pytest.fixture
def runtime():
    return pytest.importorskip("onnxruntime")


# ---- pools ---------------------------------------------------------------------------------------------------------------


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

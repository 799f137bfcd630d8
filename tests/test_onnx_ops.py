"""cyconv.onnx.OPS against ONNX Runtime, and against the formulas of ONNX's operators."""

import itertools
import subprocess
import sys
from math import prod

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx_cases import Chance, compare, evaluator, model, run, taps  # noqa: E402

import cyconv  # noqa: E402
import cyconv.onnx.attributes  # noqa: E402
import cyconv.onnx.weights  # noqa: E402
from cyconv.onnx.causal import causal_conv_with_state  # noqa: E402
from cyconv.onnx.columns import col2im  # noqa: E402
from cyconv.onnx.convolution import Conv, conv, conv_transpose  # noqa: E402
from cyconv.onnx.deformable import deform_conv  # noqa: E402
from cyconv.onnx.pooling import average_pool, lp_pool  # noqa: E402
from cyconv.onnx.quantized import conv_integer  # noqa: E402


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

"""Transposed convolutions, gradients and plans of CuPy arrays, against the same on NumPy arrays."""

import numpy as np
import pytest
from cases import CASES, Case, arrays, conv, problem_of

import cyconv

SOME = [case for case in CASES if 0 not in case.input + case.weight]
TRANSPOSED = [
    Case("plain", (2, 3, 5, 6), (3, 4, 3, 2)),
    Case("stride", (2, 4, 5, 6), (4, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    Case("stride_above_kernel", (1, 2, 4, 5), (2, 3, 2, 2), {"stride": (3, 4)}),
    Case("groups", (2, 6, 4, 5), (6, 2, 3, 3), {"groups": 3, "stride": (1, 2)}),
    Case("dilation", (1, 2, 6, 7), (2, 3, 3, 2), {"dilation": (2, 3), "stride": 2, "padding": 1}),
    Case("cropped", (1, 2, 3, 4), (2, 3, 3, 3), {"padding": ((4, 0), (1, 3))}),
    Case("signal", (2, 3, 9), (3, 2, 4), {"stride": 3}),
    Case("volume", (1, 2, 3, 4, 3), (2, 3, 2, 3, 2), {"stride": (2, 1, 2), "padding": (1, 0, 1)}),
    Case("few_samples_many_weights", (2, 64, 2, 2), (64, 8, 3, 3)),
]
DTYPES = ["float32", "float64", "complex64", "int8", "uint32"]


def on(cupy, *values):
    return [cupy.asarray(v) if isinstance(v, np.ndarray) else v for v in values]


def same(got, want):
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.get(), want)


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_transposed(case, dtype, cupy):
    x, w, _ = arrays(case, dtype)
    b = np.arange(w.shape[1] * case.arguments.get("groups", 1)).astype(dtype)
    function = getattr(cyconv, f"conv_transpose{case.rank}d")
    for bias in (None, b):
        want = function(x, w, bias, **case.arguments)
        same(function(*on(cupy, x, w, bias), **case.arguments), want)
    out = cupy.empty(want.shape[::-1], dtype).T
    assert function(*on(cupy, x, w, b), **case.arguments, out=out) is out
    same(out, want)


@pytest.mark.parametrize("case", SOME, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(case, dtype, cupy):
    x, w, _ = arrays(case, dtype)
    options = dict(case.arguments)
    g = arrays(Case("", problem_of(case, dtype, None).output_shape, w.shape), dtype, seed=1)[0]
    grad = cyconv.grad
    input, weight = (getattr(grad, f"conv{case.rank}d_{what}") for what in ("input", "weight"))
    same(input(x.shape, *on(cupy, w, g), **options), input(x.shape, w, g, **options))
    same(weight(cupy.asarray(x), w.shape, cupy.asarray(g), **options), weight(x, w.shape, g, **options))
    bias = getattr(grad, f"conv{case.rank}d_bias")
    same(bias(cupy.asarray(g)), bias(g))


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_gradients_of_transposed(case, cupy):
    x, w, _ = arrays(case, "float32")
    g = np.rint(3 * np.sin(np.arange(np.prod(getattr(cyconv, f"conv_transpose{case.rank}d")(x, w, **case.arguments).shape))))
    g = g.astype(np.float32).reshape(getattr(cyconv, f"conv_transpose{case.rank}d")(x, w, **case.arguments).shape)
    input, weight = (getattr(cyconv.grad, f"conv_transpose{case.rank}d_{what}") for what in ("input", "weight"))
    same(input(x.shape, *on(cupy, w, g), **case.arguments), input(x.shape, w, g, **case.arguments))
    same(weight(cupy.asarray(x), w.shape, cupy.asarray(g), **case.arguments), weight(x, w.shape, g, **case.arguments))


def test_views_are_read_and_written_where_they_lie(cupy):
    x, w = np.arange(2 * 8 * 9 * 4).reshape(2, 8, 9, 4).astype(np.float32) % 7, np.arange(9 * 4 * 5).reshape(3, 3, 4, 5).astype(np.float32) % 5
    views = [(a.transpose(0, 3, 1, 2)[:, :, ::-1, ::2], b.transpose(3, 2, 0, 1)[::-1, :, ::-1]) for a, b in [(x, w), on(cupy, x, w)]]
    want = cyconv.conv2d(*views[0], padding=1)
    same(cyconv.conv2d(*views[1], padding=1), want)
    out = cupy.zeros((2, want.shape[2], want.shape[3], 10), np.float32)
    part = out.transpose(0, 3, 1, 2)[:, ::2]
    assert cyconv.conv2d(*views[1], padding=1, out=part) is part
    same(part, want)
    assert not out.get()[..., 1::2].any()


def test_out_may_overlap_the_input(cupy):
    x = np.arange(50, dtype=np.float32).reshape(1, 2, 5, 5)
    w = np.ones((2, 2, 3, 3), np.float32)
    want, y = cyconv.conv2d(x, w, padding=1), cupy.asarray(x)
    assert cyconv.conv2d(y, cupy.asarray(w), padding=1, out=y) is y
    same(y, want)


@pytest.mark.parametrize("case", SOME[:12], ids=str)
def test_plans(case, cupy):
    x, w, b = arrays(case, "float32")
    plan = cyconv.plan_conv(x.shape, *on(cupy, w, b), **case.arguments)
    want = conv(case.rank)(x, w, b, **case.arguments)
    assert plan.output_shape == want.shape
    if dict(vars(plan))["_row"].scale == "terms":
        same(plan(cupy.asarray(x)), want)
    else:
        np.testing.assert_allclose(plan(cupy.asarray(x)).get(), want, atol=1e-3)
    with pytest.raises(TypeError, match="input must be a CuPy array"):
        plan(x)
    with pytest.raises(ValueError, match="the plan's shape"):
        plan(cupy.asarray(x)[..., :-1])


def test_one_device(cupy):
    x, w = np.zeros((1, 2, 5, 5), np.float32), np.zeros((3, 2, 3, 3), np.float32)
    gx, gw = on(cupy, x, w)
    for call in (
        lambda: cyconv.conv2d(gx, w),
        lambda: cyconv.conv2d(x, gw),
        lambda: cyconv.conv2d(x, w, cupy.zeros(3, np.float32)),
        lambda: cyconv.conv2d(gx, gw, out=np.zeros((1, 3, 3, 3), np.float32)),
        lambda: cyconv.conv2d(x, w, out=cupy.zeros((1, 3, 3, 3), np.float32)),
        lambda: cyconv.conv_transpose2d(gx, w),
        lambda: cyconv.grad.conv2d_weight(gx, (3, 2, 3, 3), np.zeros((1, 3, 3, 3), np.float32)),
        lambda: cyconv.explain(gx, w),
    ):
        with pytest.raises(TypeError, match=r"\w+ is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\)"):
            call()
    with pytest.raises(TypeError, match="a list .on the CPU."):
        cyconv.conv2d(gx, [[[[1.0]]]])


def test_bfloat16_is_the_gpus_alone(cupy):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x, w = (np.ones(shape, ml_dtypes.bfloat16) for shape in ((1, 2, 5, 5), (3, 2, 3, 3)))
    assert (cyconv.conv2d(*on(cupy, x, w)).get() == 18).all()
    with pytest.raises(TypeError, match="input has dtype bfloat16, which is computed on the GPU only"):
        cyconv.conv2d(x, w)


def test_importing_cyconv_imports_no_cupy(cupy):
    import subprocess
    import sys

    assert subprocess.check_output([sys.executable, "-c", "import sys, cyconv; print('cupy' in sys.modules)"], text=True) == "False\n"

"""Gradients of convolutions: exactly the obvious NumPy of cyconv.reference on small integers, by every algorithm and option; central
differences; PyTorch where it is installed; and the same bits whatever does not matter."""

import itertools

import numpy as np
import pytest
from cases import CASES, FAST, FLOATS, INTEGERS, ROWS, Case, arrays, conv, problem_of, suited

import cyconv
from cyconv import gradient_problem, reference
from cyconv.gradient_problem import weight_gradient

pytestmark = pytest.mark.backends

TERMS = [name for name in FAST if ROWS[name].scale == "terms"]


def gradients(case, x, w, g, **more):
    """With respect to input and weight."""
    of_input = getattr(cyconv.grad, f"conv{case.rank}d_input")(x.shape, w, g, **case.arguments, **more)
    return of_input, getattr(cyconv.grad, f"conv{case.rank}d_weight")(x, w.shape, g, **case.arguments, **more)


def grad_output_of(case, x, w, seed=3):
    rng = np.random.default_rng(seed)
    shape = problem_of(case, x.dtype, None).output_shape
    values = rng.integers(0 if x.dtype.kind == "u" else -2, 3, shape).astype(x.dtype)
    return values + (1j * rng.integers(-2, 3, shape)).astype(x.dtype) if x.dtype.kind == "c" else values


def assert_exact(case, x, w, g, **more):
    problem = problem_of(case, x.dtype, None)
    got = gradients(case, x, w, g, **more)
    for found, like, want in zip(
        got, (x, w), (reference.conv_input_gradient(problem, w, g), reference.conv_weight_gradient(problem, x, g))
    ):
        assert found.shape == like.shape and found.dtype == like.dtype and found.flags.c_contiguous
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("dtype", ["float32", "complex128", "int16"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case(case, dtype):
    x, w, _ = arrays(case, dtype)
    more = {} if np.dtype(dtype).kind in "iu" else {"precision": "strict"}  # sums of products, exact on small integers
    assert_exact(case, x, w, grad_output_of(case, x, w), **more)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dtypes(rank, dtype):
    case = Case("", (2, 4, *(7, 6, 5)[:rank]), (6, 2, *(3, 2, 2)[:rank]), {"stride": 2, "padding": 1, "groups": 2})
    x, w, _ = arrays(case, dtype)
    assert_exact(case, x, w, grad_output_of(case, x, w))


@pytest.mark.long
def test_strides_dilations_and_paddings_in_1d():
    """All of them, with what a last window leaves over, and with single windows, whose stride is no matter."""
    rng = np.random.default_rng(0)
    ran = 0
    for n, k, s, d in itertools.product((1, 2, 3, 4, 6), (1, 2, 3), (1, 2, 3, 5), (1, 2, 3)):
        for pads in itertools.product((0, 1, 3), (0, 1, 2)):
            if n + sum(pads) < d * (k - 1) + 1:
                continue
            case = Case("", (1, 2, n), (3, 2, k), {"stride": s, "dilation": d, "padding": (pads,)})
            x, w = rng.integers(-3, 4, (1, 2, n)), rng.integers(-3, 4, (3, 2, k))
            assert_exact(case, x, w, grad_output_of(case, x, w))
            mode = ("replicate", "circular", "reflect")[ran % 3]
            if mode == "replicate" or max(pads) < n:
                case = Case("", case.input, case.weight, case.arguments | {"padding_mode": mode})
                assert_exact(case, x, w, grad_output_of(case, x, w))
            ran += 1
    assert ran > 1000


OPTIONS = [
    case
    for case in CASES
    if case.name in "three_by_three stem atrous stride_and_dilation depthwise grouped reflect replicate circular signal volume_stride causal".split()
]


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("case", OPTIONS, ids=str)
def test_every_algorithm(name, case):
    """What computes the weight's gradient, forced; an algorithm may decline, but each takes some case."""
    x, w, _ = arrays(case, "float32")
    g = grad_output_of(case, x, w)
    problem = problem_of(case, "float32", None)
    kernel = g if not ROWS[name].weights else suited(name, g.swapaxes(0, 1)).swapaxes(0, 1)
    try:
        found = getattr(cyconv.grad, f"conv{case.rank}d_weight")(x, w.shape, kernel, algorithm=name, **case.arguments)
    except ValueError as error:
        assert "cannot compute" in str(error)
        pytest.skip(f"{name} declines")
    np.testing.assert_array_equal(found, reference.conv_weight_gradient(problem, x, kernel))


@pytest.mark.parametrize("name", ["winograd", "fft"])
def test_input_gradients_on_fast_algorithms(name):
    case = Case("", (2, 16, 20, 22), (24, 16, 3, 3), {"padding": 1})
    x, w, _ = arrays(case, "float32", small=False)
    g = np.random.default_rng(1).standard_normal((2, 24, 20, 22)).astype("float32")
    found = cyconv.grad.conv2d_input(x.shape, w, g, padding=1, algorithm=name)
    np.testing.assert_allclose(found, reference.conv_input_gradient(problem_of(case, "float32", None), w, g), atol=2e-3)


def test_long_kernels_have_gradients_by_fft():
    case = Case("", (1, 1, 300, 310), (2, 1, 31, 33), {"padding": (15, 16)})
    x, w, _ = arrays(case, "float64", small=False)
    g = np.random.default_rng(2).standard_normal((1, 2, 300, 310))
    problem = problem_of(case, "float64", None)
    assert cyconv.select.choose(weight_gradient(problem).problem).name == "fft"
    of_input, of_weight = gradients(case, x, w, g)
    np.testing.assert_allclose(of_weight, reference.conv_weight_gradient(problem, x, g), atol=1e-9)
    np.testing.assert_allclose(of_input, reference.conv_input_gradient(problem, w, g), atol=1e-9)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_central_differences(rank, mode):
    rng = np.random.default_rng(rank)
    x, w = rng.standard_normal((2, 4, *(6, 5, 4)[:rank])), rng.standard_normal((4, 2, *(3, 2, 2)[:rank]))
    options = {"stride": (2, 1, 1)[:rank], "dilation": (1, 2, 2)[:rank], "padding": ((2, 1), (0, 2), (1, 1))[:rank], "groups": 2, "padding_mode": mode}
    y = conv(rank)(x, w, None, **options)
    g = rng.standard_normal(y.shape)
    for found, at in zip(gradients(Case("", x.shape, w.shape, options), x, w, g), (x, w)):
        for place in rng.choice(at.size, 12, replace=False):
            step = np.zeros(at.size)
            step[place] = 1e-5
            step = step.reshape(at.shape)
            ends = [conv(rank)(x + s * step if at is x else x, w + s * step if at is w else w, None, **options) for s in (1, -1)]
            np.testing.assert_allclose(found.flat[place], ((ends[0] - ends[1]) * g).sum() / 2e-5, rtol=1e-7, atol=1e-8)
    bias = getattr(cyconv.grad, f"conv{rank}d_bias")(g)
    np.testing.assert_allclose(bias, np.moveaxis(g, 1, 0).reshape(4, -1).sum(1), rtol=1e-13)


# ---- transposed convolution ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "float32", "complex64"])
def test_transposed_gradients_are_adjoint(dtype):
    """<conv_transpose(x, w), g> is linear in x and in w: its gradients are what multiplies them, exactly on small integers."""
    rng = np.random.default_rng(5)
    ran = 0
    for rank, k, s, d, p in itertools.product((1, 2, 3), (1, 3), (1, 2, 3), (1, 2, 4), (0, 1)):
        if rank == 3 and (k, d) == (3, 4):
            continue
        for extra in range(0, max(s, d), 2):
            size = (4, 3, 2)[:rank]
            if any((n - 1) * s - 2 * p + d * (k - 1) + extra + 1 < 1 for n in size):
                continue
            x, w = (rng.integers(-2, 3, shape).astype(dtype) for shape in ((2, 4, *size), (4, 3, *(k,) * rank)))
            run, of_input, of_weight = (
                getattr(module, f"conv_transpose{rank}d{what}")
                for module, what in ((cyconv, ""), (cyconv.grad, "_input"), (cyconv.grad, "_weight"))
            )
            options = (s, p, extra, 2, d)
            y = run(x, w, None, *options, precision="strict")
            g = rng.integers(-2, 3, y.shape).astype(dtype)
            gx, gw = of_input(x.shape, w, g, *options, precision="strict"), of_weight(x, w.shape, g, *options, precision="strict")
            assert gx.shape == x.shape and gw.shape == w.shape and gx.dtype == gw.dtype == x.dtype
            for _ in range(2):
                dx, dw = (rng.integers(-2, 3, a.shape).astype(dtype) for a in (x, w))
                assert (run(dx, w, None, *options, precision="strict") * g).sum() == (dx * gx).sum()
                assert (run(x, dw, None, *options, precision="strict") * g).sum() == (dw * gw).sum()
            ran += 1
    assert ran > 80


# ---- PyTorch -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_as_torch(rank):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10 + rank)
    for trial in range(12):
        groups, stride, dilation, padding = (int(v) for v in (rng.integers(1, 3), rng.integers(1, 4), rng.integers(1, 3), rng.integers(0, 3)))
        x = rng.standard_normal((3, 4, *(9, 8, 7)[:rank]))
        w = rng.standard_normal((6, 4 // groups, *(3, 2, 3)[:rank]))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        g = rng.standard_normal(conv(rank)(x, w, None, **options).shape)
        tx, tw, tg = map(torch.from_numpy, (x, w, g))
        for what, first, second in (("input", x.shape, w), ("weight", x, w.shape)):
            name = f"conv{rank}d_{what}"
            want = getattr(torch.nn.grad, name)(*((x.shape, tw) if what == "input" else (tx, w.shape)), tg, **options).numpy()
            np.testing.assert_allclose(getattr(cyconv.grad, name)(first, second, g, **options), want, rtol=1e-10, atol=1e-11)
        mode = ["reflect", "replicate", "circular"][trial % 3]
        tx.requires_grad_(True), tw.requires_grad_(True)
        tw.grad = tx.grad = None
        pads = [1] * (2 * rank)
        padded = torch.nn.functional.pad(tx, pads, mode=mode)
        result = getattr(torch.nn.functional, f"conv{rank}d")(padded, tw, None, stride, 0, dilation, groups)
        g = rng.standard_normal(tuple(result.shape))
        result.backward(torch.from_numpy(g))
        case = Case("", x.shape, w.shape, options | {"padding": 1, "padding_mode": mode})
        for found, want in zip(gradients(case, x, w, g), (tx.grad, tw.grad)):
            np.testing.assert_allclose(found, want.numpy(), rtol=1e-10, atol=1e-11)


# ---- what must not matter ------------------------------------------------------------------------------------------------

BITS = [
    Case("gemm_in_slices", (64, 1, 28, 28), (40, 1, 5, 5), {"padding": 2}),
    Case("few_channels", (8, 3, 40, 41), (5, 3, 3, 3)),
    Case("dense", (4, 32, 16, 17), (48, 32, 3, 3), {"padding": 1}),
    Case("depthwise", (4, 48, 20, 20), (48, 1, 3, 3), {"padding": 1, "groups": 48}),
    Case("long", (1, 1, 20000), (1, 1, 301), {"padding": 150}),
    Case("strided", (2, 6, 30, 31), (8, 3, 5, 5), {"stride": 2, "padding": 2, "groups": 2}),
]


@pytest.mark.cpu  # threads
@pytest.mark.parametrize("case", BITS, ids=str)
def test_threads_and_layout_change_no_bit(case):
    rng = np.random.default_rng(8)
    x, w = (rng.standard_normal(shape).astype("float32") for shape in (case.input, case.weight))
    g = rng.standard_normal(problem_of(case, "float32", None).output_shape).astype("float32")
    bias = getattr(cyconv.grad, f"conv{case.rank}d_bias")
    with cyconv.threads(1):
        expected = [a.tobytes() for a in (*gradients(case, x, w, g), bias(g))]
    for count in (2, 3, 5):
        with cyconv.threads(count):
            assert [a.tobytes() for a in (*gradients(case, x, w, g), bias(g))] == expected
    for lay in (np.asfortranarray, lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1), lambda a: a.astype(">f4")):
        assert [a.tobytes() for a in (*gradients(case, lay(x), lay(w), lay(g)), bias(lay(g)))] == expected


@pytest.mark.cpu  # slices are the CPU's way to occupy threads
@pytest.mark.parametrize("algorithm, groups", [("implicit_gemm", 4), ("direct", 1)])
def test_slices_are_for_products_of_matrices(algorithm, groups, monkeypatch):
    case, met = BITS[0], []
    real = cyconv.gradients._exchanged
    monkeypatch.setattr(cyconv.gradients, "_exchanged", lambda problem, *rest: met.append(problem.groups) or real(problem, *rest))
    x, w, _ = arrays(case, "float32", small=False)
    cyconv.grad.conv2d_weight(x, w.shape, np.ones((64, 40, 28, 28), "float32"), padding=2, algorithm=algorithm)
    assert met == [groups]


@pytest.mark.cpu  # the same
def test_slices_are_used_and_close():
    case = BITS[0]
    x, w, _ = arrays(case, "float32", small=False)
    g = np.random.default_rng(1).standard_normal((64, 40, 28, 28)).astype("float32")
    problem = problem_of(case, "float32", None)
    found = weight_gradient(problem)
    assert found.slices > 1 and found.problem.in_channels == found.slices * found.sliced.in_channels == 64
    got = cyconv.grad.conv2d_weight(x, w.shape, g, padding=2, algorithm="implicit_gemm")
    np.testing.assert_allclose(got, reference.conv_weight_gradient(problem, x, g), atol=1e-2)


@pytest.mark.parametrize("batch, outputs, pieces, slices", [(64, 576, 2, 4), (64, 576, 8, 1), (6, 10**5, 1, 6), (7, 10**5, 2, 1), (64, 4, 1, 1), (0, 9, 1, 1)])
def test_number_of_slices(batch, outputs, pieces, slices):
    assert gradient_problem._slices(batch, outputs, pieces) == slices


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_reaches_the_taps_that_read_it_only(value):
    """Also where `dots` is taken, whose zeros between rows meet samples of the next row."""
    case = Case("", (4, 48, 20, 20), (48, 1, 3, 3), {"padding": 1, "groups": 48})
    x, _, _ = arrays(case, "float32", small=False)
    g = np.random.default_rng(0).standard_normal(x.shape).astype("float32")
    problem = problem_of(case, "float32", None)
    assert cyconv.select.choose(weight_gradient(problem).problem).name == "dots"
    x[1, 2, 3, 0] = value  # in the first column, which the last taps of a row never read
    got = cyconv.grad.conv2d_weight(x, case.weight, g, **case.arguments)
    want = np.zeros(case.weight, bool)
    want[2, :, :, :2] = True
    np.testing.assert_array_equal(~np.isfinite(got), want)
    np.testing.assert_allclose(got[~want], reference.conv_weight_gradient(problem, x, g)[~want], rtol=1e-5, atol=1e-3)


def test_unbatched_out_and_half():
    rng = np.random.default_rng(9)
    x, w, g = rng.standard_normal((3, 8, 9)), rng.standard_normal((4, 3, 3, 3)), rng.standard_normal((4, 6, 7))
    for kind, first, second in (("input", x.shape, w), ("weight", x, w.shape)):
        function = getattr(cyconv.grad, f"conv2d_{kind}")
        want = function((1, *x.shape), w, g[None])[0] if kind == "input" else function(x[None], w.shape, g[None])
        out = np.asfortranarray(np.empty(want.shape))
        assert function(first, second, g, out=out) is out
        np.testing.assert_array_equal(out, want)
        half = function(first if kind == "input" else x.astype("float16"), w.astype("float16") if kind == "input" else second, g.astype("float16"))
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, want, atol=0.05)
        with pytest.raises(ValueError, match="out must have shape"):
            function(first, second, g, out=out[:-1])
    out = np.empty(4)
    assert cyconv.grad.conv2d_bias(g, out=out) is out
    np.testing.assert_allclose(out, g.sum((1, 2)))
    many = np.ones((1, 2, 5000), "float16")  # 5000 ones in half precision would stop at 2048
    np.testing.assert_array_equal(cyconv.grad.conv1d_bias(many), [5000, 5000])


def test_half_with_borders_is_rounded_once():
    rng = np.random.default_rng(4)
    w, g = rng.standard_normal((2, 2, 5)).astype("float16"), rng.standard_normal((1, 2, 12)).astype("float16")
    got = cyconv.grad.conv1d_input((1, 2, 12), w, g, padding=2, padding_mode="circular")
    want = cyconv.grad.conv1d_input((1, 2, 12), w.astype("float64"), g.astype("float64"), padding=2, padding_mode="circular")
    np.testing.assert_array_equal(got, want.astype("float16"))


# ---- what is refused -----------------------------------------------------------------------------------------------------

X, W, G = np.zeros((2, 3, 8, 8)), np.zeros((4, 3, 3, 3)), np.zeros((2, 4, 6, 6))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: cyconv.grad.conv2d_input(X.shape, W, G[:, :, 1:]), ValueError, r"grad_output must have the result's shape \(2, 4, 6, 6\), got"),
        (lambda: cyconv.grad.conv2d_weight(X, W.shape, G[:1]), ValueError, r"grad_output must have the result's shape"),
        (lambda: cyconv.grad.conv2d_input((2, 5, 8, 8), W, G), ValueError, r"is for an input of 3 channels; input of shape \(2, 5, 8, 8\) has 5"),
        (lambda: cyconv.grad.conv2d_weight(X, (4, 3, 3), G), ValueError, r"weight_size must have 4 numbers for 2 spatial axes"),
        (lambda: cyconv.grad.conv2d_weight(X, W, G), TypeError, r"weight_size must be an? .*int"),
        (lambda: cyconv.grad.conv2d_weight(X, 3, G), TypeError, r"weight_size must be a sequence of ints, the shape of an array, got 3"),
        (lambda: cyconv.grad.conv2d_input((2, 3, 8, 8.5), W, G), TypeError, r"input_size must be a sequence of ints"),
        (lambda: cyconv.grad.conv2d_input((2, 3, 8, -8), W, G), ValueError, r"input_size must be at least 0"),
        (lambda: cyconv.grad.conv2d_weight(X.astype("float32"), W.shape, G), TypeError, r"input and grad_output must have the same dtype"),
        (lambda: cyconv.grad.conv2d_input(X.shape, W.astype("float32"), G), TypeError, r"weight and grad_output must have the same dtype"),
        (lambda: cyconv.grad.conv2d_weight(X > 0, W.shape, G > 0), TypeError, r"grad_output has dtype bool, which is not supported"),
        (lambda: cyconv.grad.conv2d_weight(X, W.shape, G, algorithm="fastest"), ValueError, r"algorithm must be one of"),
        (lambda: cyconv.grad.conv2d_weight(X, W.shape, G, stride=0), ValueError, r"stride must be at least 1"),
        (lambda: cyconv.grad.conv2d_bias(np.zeros(3)), ValueError, r"grad_output must have 2 spatial axes behind"),
        (lambda: cyconv.grad.conv_transpose2d_input((2, 4, 6, 6), W, X[:, :, 1:]), ValueError, r"grad_output must have the result's shape \(2, 3, 8, 8\)"),
        (lambda: cyconv.grad.conv_transpose2d_weight(G, (5, 3, 3, 3), X), ValueError, r"is for an input of 5 channels"),
        (lambda: cyconv.grad.conv_transpose2d_weight(G, W.shape, X, output_padding=1), ValueError, r"output_padding must be smaller"),
    ],
)  # fmt: skip
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.cpu  # the GPU has an algorithm that needs none
def test_more_than_the_workspace_is_refused():
    with pytest.raises(ValueError, match="max_workspace=10 is too small"):
        cyconv.grad.conv2d_weight(X, W.shape, G, max_workspace=10)

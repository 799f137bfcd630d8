"""Columns and cuBLAS on the GPU: products of matrices that lie anyhow, true float32, passes, and where results go straight to."""

from dataclasses import replace

import numpy as np
import pytest
from cases import CASES, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import menu, select
from cyconv.gpu import im2col, products
from cyconv.gpu.layout import views
from cyconv.problem import gpu_problem

ROW = next(row for row in menu.GPU_CONV if row.name == "im2col")
SOME = [case for case in CASES if 0 not in case.input + case.weight]
TF32 = 3  # a mode that a user may leave cuBLAS in


@pytest.fixture
def cublas(cupy):
    """The stand-in's list of products."""
    library = cupy.cuda.cublas
    if not hasattr(library, "calls"):
        pytest.skip("a device does not tell what was asked of cuBLAS")
    library.calls.clear()
    return library


def result(cupy, problem, x, w, bias=None, out=None):
    x, w, bias = (None if a is None else cupy.asarray(a) for a in (x, w, bias))
    out = cupy.empty(problem.output_shape, x.dtype) if out is None else out
    seen = views(problem, x, w, out)
    im2col.run(problem, *seen[:2], bias, seen[2])
    return out.get()


def check(cupy, case, dtype="float32", **more):
    x, w, bias = arrays(case, dtype)
    problem = replace(problem_of(case, dtype, bias, **more))  # which remembers nothing
    np.testing.assert_array_equal(result(cupy, problem, x, w, bias), conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments))
    return problem


# ---- products --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_products_of_matrices_that_lie_anyhow(dtype, cupy):
    rng = np.random.default_rng(0)
    for count, m, n, k in ((1, 1, 1, 1), (3, 4, 5, 6), (2, 1, 7, 3), (2, 7, 1, 3), (4, 3, 2, 1)):
        a, b, c = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((count, m, k), (count, k, n), (count, m, n)))
        for a_by, b_by, c_by in np.ndindex(4, 4, 4):
            held = [lay(cupy, array, by) for array, by in ((a, a_by), (b, b_by), (c, c_by))]
            products.multiply(*held)
            np.testing.assert_array_equal(held[2].get(), a @ b)
            products.multiply(*held, add=True)
            np.testing.assert_array_equal(held[2].get(), 2 * (a @ b))


def lay(cupy, array, by):
    """A copy whose rows (0, 1) or columns (2, 3) are runs of memory, in order or as part of a larger array."""
    turned = array.swapaxes(1, 2) if by > 1 else array
    count, rows, columns = turned.shape
    room = cupy.zeros((count + 1, rows + 2, columns + 3) if by % 2 else turned.shape, array.dtype)
    part = room[:count, :rows, :columns]
    part[...] = cupy.asarray(turned)
    return part.swapaxes(1, 2) if by > 1 else part


def test_what_cublas_cannot_read_is_told(cupy):
    x = cupy.zeros((2, 6, 8), np.float32)
    assert products.lies(x) == (True, 8, 48)
    assert products.lies(x.swapaxes(1, 2)) == (False, 8, 48)
    assert products.lies(x[:1]) == (True, 8, 0)
    assert products.lies(x[:, :1, ::2]) == (False, 2, 48)  # columns of one number
    assert products.lies(x[:, :, ::2]) is None
    assert products.lies(x[:, ::2, :3]) == (True, 16, 48)
    assert products.lies(x[:, ::-1]) is None
    assert products.lies(x[::-1]) is None
    assert products.lies(cupy.broadcast_to(x[:, :1], (2, 6, 8))) is None
    assert products.lies(x[:, :, :1]) == (True, 8, 48)


def test_one_matrix_stands_for_any_count_and_counts_are_split(cupy, cublas, monkeypatch):
    monkeypatch.setattr(products, "MOST", 3)
    rng = np.random.default_rng(0)
    a, b = rng.integers(-4, 5, (1, 4, 5)).astype("f4"), rng.integers(-4, 5, (8, 5, 6)).astype("f4")
    out = cupy.empty((8, 4, 6), np.float32)
    products.multiply(cupy.asarray(a), cupy.asarray(b), out)
    np.testing.assert_array_equal(out.get(), a @ b)
    assert [call[3] for call in cublas.calls] == [3, 3, 2]


def test_float32_is_float32_whatever_mode_cublas_was_left_in(cupy):
    x = np.array([[[1 + 2.0**-20]]], np.float32)
    cublas, handle = cupy.cuda.cublas, cupy.cuda.get_cublas_handle()
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, TF32)
    try:
        out = cupy.empty((1, 64, 64), np.float32)
        operands = cupy.asarray(np.full((1, 64, 64), x[0, 0, 0])), cupy.asarray(np.eye(64, dtype=np.float32)[None])
        products.multiply(*operands, out)
        assert (out.get() == x).all()
        assert cublas.getMathMode(handle) == TF32
        products.multiply(*operands, out, tf32=True)
        assert (out.get() == 1).all()
    finally:
        cublas.setMathMode(handle, before)


def test_tf32_where_it_is_allowed(cupy):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 8, 20, 20)).astype("f4"), rng.standard_normal((8, 8, 3, 3)).astype("f4")
    case = Case("", x.shape, w.shape)
    problem = problem_of(case, "float32", None)
    got = {tf32: result(cupy, gpu_problem(problem, "float32", tf32), x, w) for tf32 in (False, True)}
    assert_within_bound(ROW, problem, x, w, None, got[False])
    allowed = gpu_problem(problem, "float32", True)
    assert_within_bound(ROW, allowed, x, w, None, got[True])
    assert not np.array_equal(got[False], got[True])
    assert ROW.bound(allowed) > 2**14 > ROW.bound(problem)


# ---- passes ----------------------------------------------------------------------------------------------------------------

SHAPES = {
    "pixels of one item": Case("", (2, 3, 11, 40), (5, 3, 3, 2), {"padding": 1, "stride": (1, 2)}),
    "items": Case("", (7, 3, 33, 40), (4, 3, 2, 2)),
    "items in one matrix": Case("", (7, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    "groups": Case("", (5, 6, 33, 34), (4, 3, 2, 2), {"groups": 2}),
    "more groups than items": Case("", (2, 12, 33, 34), (8, 3, 2, 2), {"groups": 4}),
    "groups in one matrix": Case("", (5, 6, 4, 5), (4, 3, 2, 2), {"groups": 2}),
    "one tap": Case("", (5, 6, 33, 34), (4, 6, 1, 1)),
    "one tap, few pixels": Case("", (5, 6, 5, 6), (4, 6, 1, 1)),
    "one tap, groups": Case("", (5, 6, 33, 34), (4, 3, 1, 1), {"groups": 2}),
    "borders": Case("", (2, 2, 6, 7, 8), (3, 2, 3, 2, 3), {"padding": 2, "padding_mode": "reflect"}),
    "volume": Case("", (2, 2, 6, 17, 18), (3, 2, 3, 2, 3), {"padding": (1, 0, 2), "dilation": (2, 1, 2), "stride": (1, 2, 1)}),
}


@pytest.mark.parametrize("columns", [1, 33, 300, 4000])
@pytest.mark.parametrize("name", SHAPES)
def test_seams_between_passes(name, columns, cupy, cublas):
    case = SHAPES[name]
    p = problem_of(case, "float32", None)
    each = 4 * p.groups * (p.products + p.out_channels)
    p = check(cupy, case, max_workspace=columns * each + 4 * p.groups * p.out_channels * p.products + 7)
    c = im2col.cut(p)
    assert c.bytes <= p.max_workspace and c.items * c.pixels <= columns
    assert len(set(cublas.calls)) == 1, "all passes are of one size"
    assert len(cublas.calls) == c.passes * (1 if c.merged else min(c.items, p.groups))


def test_threads_that_do_many_channels(cupy, monkeypatch):
    for blocks in (1, 2, 5):
        monkeypatch.setattr(im2col, "BLOCKS", blocks)
        for case in SHAPES.values():
            check(cupy, case)


def test_what_one_column_needs(cupy):
    """And room for the weights, which cuBLAS may not be able to read where they lie."""
    needed = 4 * (36 + 3) + 4 * 36 * 3
    p = replace(problem_of(SHAPES["volume"], "float32", None, max_workspace=needed - 1))
    assert im2col.why_not(p) == f"needs at least {needed} bytes of workspace"
    assert im2col.why_not(replace(p, max_workspace=needed)) is None


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", SHAPES)
def test_dtypes(name, dtype, cupy):
    check(cupy, SHAPES[name], dtype)
    check(cupy, replace(SHAPES[name], bias=False), dtype)


def test_bfloat16(cupy):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x, w, bias = arrays(SHAPES["groups"], "float32")
    problem = replace(problem_of(SHAPES["groups"], "float32", bias), dtype="bfloat16")
    want = cyconv.conv2d(x, w, bias, groups=2, algorithm="reference").astype(bfloat16)
    for b in (bias, None):
        got = result(cupy, problem, *(None if a is None else a.astype(bfloat16) for a in (x, w, b)))
        np.testing.assert_array_equal(got, want if b is not None else cyconv.conv2d(x, w, groups=2, algorithm="reference").astype(bfloat16))


@pytest.mark.parametrize("bias", [False, True])
def test_half_types_are_rounded_once(bias, cupy):
    """And never summed in less than float32, or stored before the bias is added."""
    x, w = np.full((2, 40, 32, 32), 51.3125, "f2"), np.full((3, 40, 1, 1), 3.171875, "f2")
    b = np.full(3, -6500, "f2") if bias else None
    want = 40 * x[0, 0, 0, 0].astype("f4") * w[0, 0, 0, 0].astype("f4") + (b[0].astype("f4") if bias else 0)
    got = result(cupy, problem_of(Case("", x.shape, w.shape), "float16", b), x, w, b)
    assert (got == want.astype("f2")).all()


@pytest.mark.parametrize("lies", ["in order", "backwards", "input channels first", "every second tap"])
def test_no_memory_beyond_what_is_told(lies, stand_in, monkeypatch):
    from test_gpu_fft import Counted

    cupy = stand_in
    for name, case in SHAPES.items():
        for dtype in ("float16", "float32"):
            for limit in (20000, 10**6, 10**9):
                x, w, bias = arrays(case, dtype)
                problem = replace(problem_of(case, dtype, bias, max_workspace=limit))
                x, w, bias = [cupy.asarray(a) for a in (x, w, bias)]
                if lies == "backwards":
                    w = w[..., ::-1].copy()[..., ::-1]
                elif lies == "input channels first":  # as phases of a transposed convolution have them
                    w = w.swapaxes(0, 1).copy().swapaxes(0, 1)
                elif lies == "every second tap":
                    wide = cupy.zeros((*w.shape[:-1], 2 * w.shape[-1]), dtype)
                    wide[..., ::2] = w
                    w = wide[..., ::2]
                out = cupy.zeros(problem.output_shape, dtype)
                seen = views(problem, x, w, out)
                with monkeypatch.context() as patched:
                    counted = Counted(patched)
                    im2col.run(problem, *seen[:2], bias, seen[2])
                assert counted.most <= im2col.cost(problem)[1] <= limit, (name, dtype, limit)


# ---- where things lie ------------------------------------------------------------------------------------------------------


@pytest.fixture
def launched(monkeypatch):
    """Names of the kernels that im2col launches."""
    names, kernel = [], im2col.kernel
    monkeypatch.setattr(im2col, "kernel", lambda file, name: names.append(name.split("<")[0]) or kernel(file, name))
    return names


def test_no_copies_where_none_are_needed(cupy, launched):
    case = Case("", (2, 6, 32, 33), (4, 6, 1, 1))
    check(cupy, case)
    assert launched == []
    x, w, bias = arrays(case, "float32")
    want = cyconv.conv2d(x, w, bias, algorithm="reference")
    last = cupy.asarray(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)  # channels last
    out = cupy.empty((2, 32, 33, 4), np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(result(cupy, problem_of(case, "float32", bias), last, w, bias, out), want)
    assert launched == []
    check(cupy, Case("", (2, 6, 33, 33), (4, 6, 2, 1)))
    assert launched == ["columns"]
    check(cupy, Case("", (2, 6, 3, 33), (4, 6, 2, 1)))
    assert launched == ["columns", "columns", "deliver"]


@pytest.mark.parametrize("size", [5, 33])
@pytest.mark.parametrize("kernel", [1, 3])
def test_views(size, kernel, cupy):
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (3, size, size, 2 * 6)).astype("f4")
    w = rng.integers(-3, 4, (kernel, kernel, 6, 5)).astype("f4")
    of = [lambda a: a.transpose(0, 3, 1, 2)[:, ::2], lambda a: a.transpose(0, 3, 2, 1)[::-1, 1::2, ::-1]]
    weights = [lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(3, 2, 1, 0)[::-1, :, ::-1]]
    for view in of:
        for taps in weights:
            want = cyconv.conv2d(view(x), taps(w), algorithm="reference")
            problem = problem_of(Case("", view(x).shape, taps(w).shape), "float32", None)
            for layout in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3)):
                room = cupy.zeros([2 * want.shape[a] for a in layout], np.float32)
                out = room.transpose(np.argsort(layout))[::2, ::2, ::2, ::2]
                np.testing.assert_array_equal(result(cupy, problem, view(cupy.asarray(x)), taps(cupy.asarray(w)), out=out), want)
                assert np.count_nonzero(room.get()) == np.count_nonzero(want)


@pytest.mark.parametrize("case", SOME[:24], ids=str)
def test_gradients_and_transposed(case, cupy):
    x, w, _ = arrays(case, "float32")
    g = arrays(Case("", problem_of(case, "float32", None).output_shape, w.shape), "float32", seed=1)[0]
    input, weight = (getattr(cyconv.grad, f"conv{case.rank}d_{what}") for what in ("input", "weight"))
    dx, dw = cupy.asarray(x), cupy.asarray(w)
    options = dict(case.arguments)
    np.testing.assert_array_equal(weight(dx, w.shape, cupy.asarray(g), **options, algorithm="im2col").get(), weight(x, w.shape, g, **options))
    np.testing.assert_array_equal(input(x.shape, dw, cupy.asarray(g), **options, algorithm="im2col").get(), input(x.shape, w, g, **options))


# ---- choosing --------------------------------------------------------------------------------------------------------------


def test_it_never_computes_again_what_another_row_spread(monkeypatch):
    problem = replace(problem_of(Case("", (64, 64, 56, 56), (64, 64, 1, 1)), "float32", None))
    monkeypatch.setattr(im2col, "cost", lambda problem: (0.0, 0))
    assert select.choose(problem, device="gpu").name == "im2col"
    assert select.choose(problem, finite=False, device="gpu").name != "im2col"


def test_a_zero_of_the_padding_times_infinity_is_nan(cupy):
    x, w = np.ones((1, 2, 5, 6), np.float32), np.ones((3, 2, 3, 3), np.float32)
    w[1, 0, 0, 1] = np.inf
    for padding in (0, 1):
        want = cyconv.conv2d(x, w, padding=padding, algorithm="reference")
        np.testing.assert_array_equal(cyconv.conv2d(cupy.asarray(x), cupy.asarray(w), padding=padding, algorithm="im2col").get(), want)


def test_what_it_declines(cupy, monkeypatch):
    case = Case("", (1, 2, 5, 6), (3, 2, 3, 3))
    assert "integers" in im2col.why_not(problem_of(case, "int32", None))
    assert "more than" in im2col.why_not(problem_of(Case("", (1, 1, 2), (1, 1, 2**20)), "float32", None, padding=2**29))
    monkeypatch.setattr(products, "missing", lambda: "cuBLAS is not installed")
    assert im2col.why_not(problem_of(case, "float32", None)) == "cuBLAS is not installed"

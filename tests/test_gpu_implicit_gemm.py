"""What is special about implicit_gemm on the GPU: tiles of every shape, five ways to read the input, slices of sums, arrays of any strides."""

from dataclasses import replace

import numpy as np
import pytest
from cases import Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import menu, select
from cyconv.gpu import calls, costs, launch
from cyconv.gpu import implicit_gemm as gemm
from cyconv.gpu.layout import split, views
from cyconv.problem import make_conv_problem

ROW = next(row for row in menu.GPU_CONV if row.name == "implicit_gemm")
SOME_BYTES = 64 << 20


def shape_id(shape):
    return f"{shape.height}x{shape.width}"


def forced(problem, shape, slices=1):
    """The problem, to be cut this way."""
    steps = max(1, -(-problem.products // gemm.STEP))
    steps_of_slice = -(-steps // slices)
    columns = problem.outputs // (problem.groups * problem.out_channels)
    p = replace(problem)  # which remembers nothing
    p.kept["tensor_gemm"] = None
    p.kept["gpu implicit_gemm"] = gemm.Cut(
        shape, -(-p.out_channels // shape.height), -(-columns // shape.width), -(-steps // steps_of_slice), steps_of_slice * gemm.STEP, 0.0
    )
    return p


def result(cupy, problem, x, w, bias=None, only_if=None, out=None, reads=None):
    """Of NumPy arrays, by the problem's own cut; `reads` is how the input must be read."""
    x, w, bias = (None if a is None else cupy.asarray(a) for a in (x, w, bias))
    out = cupy.empty(problem.output_shape, problem.dtype) if out is None else out
    seen = views(problem, x, w, out)
    assert reads in (None, gemm.gather(problem, seen[0]))
    gemm.run(problem, *seen[:2], bias, seen[2], only_if=only_if)
    return out.get()


def case_of(reads, channels, width, dense=False):
    """A case whose input is read this way, with so many output channels and about so many columns."""
    return {
        "PANEL": Case("", (width, 3, 2, 4), (channels, 3, 2, 4)),
        "QUADS": Case("", (2, 5, 3, -(-width // 8) * 4), (channels, 5, 1, 1)),
        "MASKED": Case("", (2, 3, 3, -(-width // 6)), (channels, 3, 2, 3), {"padding": ((1, 0), (1, 1)), "dilation": (2, 1)}),
        "BOUNDED": Case("", (1, 2, width), (channels, 2, 33), {"padding": ((20, 12),)}),
        "BORDERS": Case("", (1, 2, 4, -(-width // 4)), (channels, 2, 3, 3), {"padding": 1, "padding_mode": "circular"}),
    }[reads]


def check(cupy, case, dtype, shape, slices=1, reads=None):
    x, w, bias = arrays(case, dtype)
    problem = problem_of(case, dtype, bias)
    want = conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments)
    np.testing.assert_array_equal(result(cupy, forced(problem, shape, slices), x, w, bias, reads=reads), want, err_msg=str(problem))


# ---- tiles -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", gemm.GATHERS)
@pytest.mark.parametrize("shape", gemm.SHAPES["float32"], ids=shape_id)
def test_sizes_around_the_edges_of_tiles(shape, reads, cupy):
    for channels in (shape.height - 1, shape.height + 1):
        for width in (3, shape.width - 3, shape.width, shape.width + 1):
            check(cupy, case_of(reads, channels, width), "float32", shape, reads=reads)
    check(cupy, case_of(reads, 1, 1 if reads not in ("QUADS", "BORDERS") else 4), "float32", shape, reads=reads)


@pytest.mark.parametrize("dtype", [dtype for dtype in gemm.SHAPES if dtype not in ("float32", "bfloat16")])
def test_tiles_of_other_dtypes(dtype, cupy):
    for shape in gemm.SHAPES[dtype]:
        for reads in ("PANEL", "QUADS", "MASKED", "BOUNDED") if shape == gemm.SHAPES[dtype][0] else ("MASKED",):
            check(cupy, case_of(reads, shape.height + 1, shape.width + 1), dtype, shape, reads=reads)


def test_bfloat16(cupy):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((2, 3, 9, 9), (17, 3, 3, 3)))
    want = cyconv.conv2d(x, w, padding=1)
    problem = replace(problem_of(Case("", x.shape, w.shape, {"padding": 1}), "float32", None), dtype="bfloat16")
    for shape in gemm.SHAPES["bfloat16"]:
        got = result(cupy, forced(problem, shape), x.astype(bfloat16), w.astype(bfloat16))
        np.testing.assert_array_equal(got.astype(np.float32), want)


@pytest.mark.parametrize("products", [1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 360, 384, 520, 744, 1100])
def test_every_seam_of_the_ring_of_rows(products, cupy):  # 360 and 744 in three: a slice begins with the last step of a set of rows
    for shape in gemm.SHAPES["float32"][:3]:
        for slices in (1, 2, 3, 7):
            check(cupy, Case("", (1, products, 10), (9, products, 1)), "float32", shape, slices)


@pytest.mark.parametrize("groups", [2, 5])
def test_groups(groups, cupy):
    for shape in gemm.SHAPES["float32"][2:]:
        check(cupy, Case("", (2, 3 * groups, 5, 6), (7 * groups, 3, 3, 2), {"groups": groups, "stride": (1, 2)}), "float32", shape, 2)
        check(cupy, Case("", (2, 4 * groups, 4, 6), (5 * groups, 4, 1, 1), {"groups": groups}), "float32", shape, reads="QUADS")


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_borders_that_repeat_samples(mode, cupy):
    shape = gemm.SHAPES["float32"][2]
    for rank, options in ((1, {"padding": ((3, 2),)}), (2, {"padding": ((3, 0), (1, 4)), "stride": (2, 1), "dilation": (1, 2)}), (3, {"padding": 2})):
        case = Case("", (2, 3, 6, 5, 7)[: rank + 2], (9, 3, 3, 2, 3)[: rank + 2], options | {"padding_mode": mode})
        check(cupy, case, "float32", shape, 2, reads="BORDERS")


def test_bounds_of_volumes(cupy):
    options = {"padding": ((2, 3), (9, 1), (0, 12)), "stride": (1, 2, 1), "dilation": (2, 1, 1)}
    check(cupy, Case("", (2, 2, 5, 11, 9), (6, 2, 3, 14, 15), options), "float32", gemm.SHAPES["float32"][2], 3, reads="BOUNDED")


def test_negative_padding(cupy):
    x, w = (np.random.default_rng(1).integers(-2, 3, shape).astype(np.float32) for shape in ((2, 3, 9, 11), (5, 3, 2, 3)))
    for shape in gemm.SHAPES["float32"][2:4]:
        for (top, bottom), (left, right) in [((-2, -1), (-1, -3)), ((-3, 2), (1, -4)), ((-7, 0), (0, -8))]:
            size = (9 + top + bottom - 1, 11 + left + right - 2)
            p = make_conv_problem(
                2, True, "float32", 2, 1, 3, 5, (9, 11), (2, 3), (1, 1), (1, 1), (top, left), (bottom, right), "zeros", size, False, False, SOME_BYTES
            )
            padded = np.pad(x, ((0, 0), (0, 0), *[(max(a, 0), max(b, 0)) for a, b in ((top, bottom), (left, right))]))
            rows, columns = (slice(max(-a, 0), n - max(-b, 0) or None) for a, b, n in ((top, bottom, padded.shape[2]), (left, right, padded.shape[3])))
            np.testing.assert_array_equal(result(cupy, forced(p, shape), x, w), cyconv.conv2d(padded[:, :, rows, columns], w, algorithm="reference"))
    x, w = np.arange(72, dtype=np.float32).reshape(3, 4, 6) % 5, np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    p = make_conv_problem(1, True, "float32", 3, 1, 4, 2, (6,), (4,), (1,), (1,), (-2,), (0,), "zeros", (1,), False, False, SOME_BYTES)
    want = cyconv.conv1d(x[..., 2:], w, algorithm="reference")
    np.testing.assert_array_equal(result(cupy, forced(p, gemm.SHAPES["float32"][5]), x, w, reads="MASKED"), want)  # 8 bytes on: no four
    x = np.pad(x, ((0, 0), (0, 0), (2, 0)))
    p = make_conv_problem(1, True, "float32", 3, 1, 4, 2, (8,), (4,), (1,), (1,), (-4,), (0,), "zeros", (1,), False, False, SOME_BYTES)
    np.testing.assert_array_equal(result(cupy, forced(p, gemm.SHAPES["float32"][5]), x, w, reads="PANEL"), want)


# ---- slices ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_slices_are_added_in_order(dtype, cupy):
    case = Case("", (2, 40, 5, 6), (11, 40, 3, 3), {"padding": 1})
    x, w, bias = arrays(case, dtype, small=False)
    problem = problem_of(case, dtype, bias)
    for slices in (2, 5):
        p = forced(problem, gemm.SHAPES[dtype][1], slices)
        got = result(cupy, p, x, w, bias)
        assert_within_bound(ROW, problem, x, w, bias, got)
        np.testing.assert_array_equal(result(cupy, p, x, w, bias), got)
        check(cupy, case, dtype, gemm.SHAPES[dtype][1], slices)


def test_slices_where_there_are_few_tiles(cupy):
    few = problem_of(Case("", (1, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}), "float32", None)
    c = gemm.cut(few)
    assert c.slices > 1 and c.tiles_o * c.tiles_columns * c.slices >= 100
    assert gemm.cost(few)[1] == gemm.workspace(few) == 4 * c.slices * few.outputs
    many = problem_of(Case("", (32, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}), "float32", None)
    assert gemm.cut(many).slices == 1 and gemm.cost(many)[1] == 0
    for most in (0, 4 * few.outputs, 9 * few.outputs, 10**6):
        p = replace(few, max_workspace=most)
        assert gemm.workspace(p) <= most and gemm.cut(p).slices <= max(1, most // (4 * few.outputs))
    x, w, _ = arrays(Case("", (1, 512, 3, 3), (20, 512, 3, 3)), "float32")
    p = problem_of(Case("", x.shape, w.shape, {"padding": 1}), "float32", None)
    assert gemm.cut(p).slices > 1
    got = cyconv.conv2d(cupy.asarray(x), cupy.asarray(w), padding=1, algorithm="implicit_gemm")
    np.testing.assert_array_equal(got.get(), cyconv.conv2d(x, w, padding=1, algorithm="reference"))


# ---- arrays ----------------------------------------------------------------------------------------------------------------


def layouts(cupy, a):
    """The same values in other places."""
    b = cupy.asarray(a)
    yield b.transpose(*range(b.ndim)[::-1]).copy().transpose(*range(b.ndim)[::-1])
    turned = (slice(None, None, -1),) * b.ndim
    yield cupy.asarray(np.ascontiguousarray(a[::-1, ::-1, ::-1, ::-1]))[turned]
    yield cupy.asarray(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    yield cupy.asarray(np.ascontiguousarray(a.transpose(1, 0, 2, 3))).swapaxes(0, 1)
    yield cupy.asarray(np.pad(a, ((0, 1), (1, 0), (1, 1), (0, 1))))[:-1, 1:, 1:-1, :-1]
    yield cupy.asarray(np.repeat(a, 2, axis=3))[..., ::2]


@pytest.mark.parametrize("kernel, options", [((3, 2), {"padding": 1}), ((1, 1), {}), ((4, 8), {}), ((2, 2), {"padding": 1, "padding_mode": "reflect"})])
def test_arrays_of_any_strides(kernel, options, cupy):
    shape = gemm.SHAPES["float32"][2]
    x, w, bias = arrays(Case("", (3, 5, 4, 8), (11, 5, *kernel)), "float32")
    problem = forced(problem_of(Case("", x.shape, w.shape, options), "float32", bias), shape)
    want = cyconv.conv2d(x, w, bias, algorithm="reference", **options)
    for a in layouts(cupy, x):
        np.testing.assert_array_equal(result(cupy, problem, a, w, bias), want)
    for a in layouts(cupy, w):
        np.testing.assert_array_equal(result(cupy, problem, x, a, bias), want)
    for out in layouts(cupy, np.zeros(want.shape, np.float32)):
        for slices in (1, 2):
            out.fill(9)
            np.testing.assert_array_equal(result(cupy, forced(problem, shape, slices), x, w, bias, out=out), want)


def test_how_the_input_is_read(cupy):
    def reads(x, kernel, view=lambda x: x, **options):
        x, w = cupy.zeros(x, "float32"), cupy.zeros((4, x[1], *kernel), "float32")
        p = problem_of(Case("", x.shape, w.shape, options), "float32", None)
        return gemm.gather(p, split(view(x), p.rank, (p.batch, p.groups, p.in_channels)))

    assert reads((2, 8, 4, 6), (1, 1)) == "QUADS"
    assert reads((2, 8, 3, 6), (1, 1)) == "MASKED"  # 18 pixels
    assert reads((2, 8, 4, 6), (1, 1), stride=2) == "MASKED"
    assert reads((2, 8, 4, 6), (1, 1), padding=1) == "MASKED"
    assert reads((2, 8, 4, 6), (1, 1), view=lambda x: x[..., ::-1]) == "MASKED"
    moved = lambda x: cupy.zeros(x.size + 1, "float32")[1:].reshape(x.shape)  # noqa: E731
    assert reads((2, 8, 4, 6), (1, 1), view=moved) == reads((2, 8, 4, 6), (4, 6), view=moved) == "MASKED"
    assert reads((2, 8, 4, 6), (4, 6)) == "PANEL"
    assert reads((2, 8, 3, 3), (3, 3)) == "PANEL"  # all channels are one run
    assert reads((2, 9, 3, 3), (3, 3)) == "MASKED"
    assert reads((2, 8, 3, 3), (3, 3), view=lambda x: x.swapaxes(2, 3)) == "MASKED"
    assert reads((2, 8, 4, 8), (4, 6)) == "MASKED"
    assert reads((2, 8, 30, 30), (15, 15), padding=7) == "MASKED"
    assert reads((2, 8, 30, 30), (15, 16), padding=7) == "BOUNDED"
    assert reads((2, 8, 9, 9), (3, 3), padding=1, padding_mode="reflect") == "BORDERS"

    class Far:  # channels lie a gigabyte apart
        itemsize, shape = 4, (1, 1, 8, 1, 9, 9)
        strides = (2**33, 2**33, 2**30, 2**9, 2**6, 4)

    p = problem_of(Case("", (1, 8, 9, 9), (4, 8, 3, 3), {"padding": 1}), "float32", None)
    assert gemm.gather(p, Far) == "BOUNDED"


@pytest.mark.parametrize("size, kernel, options", [((8, 8), (3, 3), {"padding": 1}), ((8, 8), (1, 1), {}), ((7, 9), (2, 3), {"stride": 2}), ((40, 24), (3, 3), {})])
def test_exchanged_axes(size, kernel, options, cupy):
    # a weight gradient: channels are the batch, the batch channels, and pixels of the result taps
    rng = np.random.default_rng(3)
    x, w = rng.integers(-2, 3, (4, 6, *size)).astype(np.float32), np.zeros((10, 6, *kernel), np.float32)
    g = rng.integers(-2, 3, cyconv.conv2d(x, w, **options).shape).astype(np.float32)
    want = cyconv.grad.conv2d_weight(x, w.shape, g, algorithm="reference", **options)
    got = cyconv.grad.conv2d_weight(cupy.asarray(x), w.shape, cupy.asarray(g), algorithm="implicit_gemm", **options)
    np.testing.assert_array_equal(got.get(), want)
    want = cyconv.grad.conv2d_input(x.shape, w, g, algorithm="reference", **options)
    got = cyconv.grad.conv2d_input(x.shape, cupy.asarray(w), cupy.asarray(g), algorithm="implicit_gemm", **options)
    np.testing.assert_array_equal(got.get(), want)


def test_exchanged_axes_of_a_pointwise_layer_are_runs_of_memory(cupy):
    x, g = np.arange(4 * 8 * 32, dtype=np.float32).reshape(4, 8, 32) % 5, np.arange(4 * 12 * 32, dtype=np.float32).reshape(4, 12, 32) % 7
    p = problem_of(Case("", (8, 4, 32), (12, 4, 32)), "float32", None)
    seen = split(cupy.asarray(x), 1, (4, 1, 8)).swapaxes(0, 2), split(cupy.asarray(g), 1, (4, 1, 12)).transpose(1, 2, 0, 3, 4, 5)
    assert gemm.gather(p, seen[0]) == "PANEL" and gemm.in_fours(p, seen[1], (1, 1, 1))
    out = cupy.empty((12, 8, 1), "float32")
    calls.compute(p, *seen, split(out, 1, (1, 12, 8)).transpose(2, 0, 1, 3, 4, 5), None, "implicit_gemm")
    np.testing.assert_array_equal(out.get()[..., 0], np.einsum("ncx,nox->oc", x, g))


def test_transposed_and_cropped(cupy):
    x, w = (np.random.default_rng(5).integers(-2, 3, shape).astype(np.float32) for shape in ((2, 5, 4, 6), (5, 3, 4, 3)))
    for options in ({"stride": 2, "padding": 1}, {"stride": (3, 1), "padding": ((4, 0), (1, 3))}):
        got = cyconv.conv_transpose2d(cupy.asarray(x), cupy.asarray(w), algorithm="implicit_gemm", **options)
        np.testing.assert_array_equal(got.get(), cyconv.conv_transpose2d(x, w, **options))


# ---- what must not happen --------------------------------------------------------------------------------------------------


def test_zeros_of_the_padding_are_multiplied_and_no_others(cupy):
    # rows of a tile behind the last, and columns and channels beyond, are no products: infinity times them must not be seen
    cases = {
        "MASKED": Case("", (2, 5, 4, 4), (9, 5, 3, 3), {"padding": 1}),
        "QUADS": Case("", (2, 12, 4, 4), (9, 12, 1, 1)),
        "PANEL": Case("", (2, 5, 2, 2), (9, 5, 2, 2)),
        "BOUNDED": Case("", (2, 1, 40), (9, 1, 33)),
        "BORDERS": Case("", (2, 5, 4, 4), (9, 5, 3, 3), {"padding": 1, "padding_mode": "replicate"}),
    }
    for reads, case in cases.items():
        for of_input, place in ((True, 0), (True, -1), (False, 0), (False, -1)):
            x, w, bias = arrays(case, "float32")
            (x if of_input else w).flat[place] = np.inf
            problem = problem_of(case, "float32", bias)
            want = conv(case.rank)(x, w, bias, algorithm="direct", **case.arguments)
            for slices in (1, 2):
                got = result(cupy, forced(problem, gemm.SHAPES["float32"][2], slices), x, w, bias, reads=reads)
                np.testing.assert_array_equal(got, want, err_msg=f"{reads} {of_input} {place}")


@pytest.mark.parametrize("slices", [1, 3])
def test_only_if(slices, cupy):
    case = Case("", (2, 9, 5, 6), (7, 9, 3, 3))
    x, w, bias = arrays(case, "float32")
    problem = forced(problem_of(case, "float32", bias), gemm.SHAPES["float32"][2], slices)
    out = cupy.full(problem.output_shape, 5, np.float32)
    assert (result(cupy, problem, x, w, bias, cupy.zeros(1, np.int32), out) == 5).all()
    want = cyconv.conv2d(x, w, bias, algorithm="reference")
    np.testing.assert_array_equal(result(cupy, problem, x, w, bias, cupy.full(1, 3, np.int32), out), want)


def test_what_it_declines(cupy):
    def problem(dtype="float32", size=(8,), kernel=(3,), channels=2, batch=1):
        out = tuple(n - k + 1 for n, k in zip(size, kernel))
        return make_conv_problem(
            len(size), True, dtype, batch, 1, channels, 2, size, kernel, (1,) * len(size), (1,) * len(size), (0,) * len(size), (0,) * len(size),
            "zeros", out, False, False, SOME_BYTES,
        )  # fmt: skip

    assert gemm.why_not(problem()) is None
    assert "integers" in gemm.why_not(problem("int32"))
    assert "samples" in gemm.why_not(problem(size=(2**29,)))
    assert "2**31" in gemm.why_not(problem(size=(2**16, 2**16), kernel=(1, 1)))
    assert "2**31" in gemm.why_not(problem(size=(2**16, 2**16), kernel=(2**16, 2**16)))
    with pytest.raises(ValueError, match="implicit_gemm.*integers"):
        cyconv.conv1d(cupy.zeros((1, 1, 4), np.int32), cupy.zeros((1, 1, 2), np.int32), algorithm="implicit_gemm")


def test_grids_that_a_device_launches():
    for batch, groups, out_channels, size in ((2**20, 1, 1, 2**20), (1, 2**31, 1, 1), (2**28, 1, 2**10, 1), (2, 2**20, 2**10, 100), (1, 1, 2**31, 2)):
        p = make_conv_problem(
            1, True, "float32", batch, groups, 3, out_channels, (size,), (1,), (1,), (1,), (0,), (0,), "zeros", (size,), False, False, 10**15
        )
        c = gemm.cut(p)
        if c is None:
            assert gemm.why_not(p)
        else:
            assert c.tiles_o * c.tiles_columns * groups * c.slices <= launch.MOST_BLOCKS


# ---- choice ----------------------------------------------------------------------------------------------------------------


def test_every_shape_is_chosen_for_some_problem():
    found = set()
    for channels in (4, 16, 24, 32, 64, 128, 256, 512):
        for batch, size in ((1, 1), (1, 7), (1, 28), (1, 112), (4, 7), (32, 7), (32, 28), (32, 112)):
            p = problem_of(Case("", (batch, 256, size, size), (channels, 256, 3, 3), {"padding": 1}), "float32", None)
            found.add(gemm.cut(p).shape)
    assert found == set(gemm.SHAPES["float32"])


def test_large_layers_are_implicit_gemm_and_single_channels_are_not():
    dense = problem_of(Case("", (32, 256, 56, 56), (256, 256, 3, 3), {"padding": 1}), "float32", None)
    image = problem_of(Case("", (1, 1, 1024, 1024), (1, 1, 3, 3), {"padding": 1}), "float32", None)
    said = {v.algorithm.name: v.seconds for v in select.verdicts(dense, "gpu")}
    assert said["implicit_gemm"] < said["direct"] / 4
    said = {v.algorithm.name: v.seconds for v in select.verdicts(image, "gpu")}
    assert said["direct"] < said["implicit_gemm"]
    assert gemm.cut(dense).shape == gemm.Shape(128, 128, 8, 8)
    assert costs.seconds("implicit_gemm", gemm.amounts(dense)) == gemm.cost(dense)[0]


def test_blocks_of_a_processor_are_what_the_kernel_is_compiled_for(cupy):
    every = [(shape, dtype) for dtype, shapes in gemm.SHAPES.items() for shape in shapes]
    told = "".join(
        f"y[{i}] = blocks_of({s.threads}, {s.tall * s.wide}, {costs.itemsize(launch.SUMS[dtype])}); y[{len(every) + i}] = threads_of({', '.join(map(str, s))});\n"
        for i, (s, dtype) in enumerate(every)
    )
    code = f"{launch.source('implicit_gemm')}\ntemplate <typename T> __global__ void told(T *y) {{ {told} }}"
    y = cupy.zeros(2 * len(every), np.int32)
    cupy.RawModule(code=code, options=launch.options(""), name_expressions=("told<int>",)).get_function("told<int>")((1,), (1,), (y,))
    assert y.get().tolist() == [gemm.blocks_of_processor(s, dtype) for s, dtype in every] + [s.threads for s, _ in every]

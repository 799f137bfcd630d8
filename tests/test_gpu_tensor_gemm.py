"""Convolution on tensor cores, and the emulation of their instructions that it runs on where there is no device."""

import re
from dataclasses import replace

import numpy as np
import pytest
from host_gpu import kernels

import cyconv
from cyconv import menu, reference, select
from cyconv.gpu import implicit_gemm, launch, tensor_gemm
from cyconv.gpu.layout import views
from cyconv.problem import MAX_WORKSPACE, conv_problem, gpu_problem

bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
TYPES = {"float16": np.float16, "bfloat16": bfloat16, "float32": np.float32}
EPS = 2.0**-23


# ---- the instructions --------------------------------------------------------------------------------------------------------

PRODUCT = """
#include "tensor_cores.cuh"
__global__ void product(const uint4 *a, const uint4 *b, float *sums)  // 16 rows and 8 columns of 32 bytes
{
    alignas(16) __shared__ uint4 rows[16 * 2], columns[16 * 2];
    const int lane = threadIdx.x;
    copy_async<16>(rows + lane, a + lane, true);
    copy_async<16>(columns + lane, b + lane % 16, lane < 16);
    copies_sent();
    copies_awaited<0>();
    __syncwarp();
    unsigned m[4], n[4];
    load_matrices(m, rows + lane % 16 * 2 + lane / 16);
    load_matrices(n, columns + (lane / 16 * 8 + lane % 8) * 2 + lane / 8 % 2);
    float sum[4] = {1, 2, 3, 4};
    MULTIPLY(sum, m, n[0], n[1]);
    MULTIPLY(sum, m, n[2], n[3]);  // zeros
    for (int i = 0; i < 4; i++) sums[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sum[i];
}
"""


@pytest.fixture
def module(cupy):
    """Compiles code that includes headers of the folder."""

    def made(code, name):
        text = launch._INCLUDE.sub(lambda match: (launch.FOLDER / match[1]).read_text(), code)
        return cupy.RawModule(code=text, options=("--std=c++17",), name_expressions=(name,)).get_function(name)

    return made


@pytest.mark.parametrize("dtype", TYPES)
def test_fragments_are_matrices(dtype, cupy, module):
    """In both orders of copies that the emulation has, one after the other."""
    kernel = module(PRODUCT.replace("MULTIPLY", {"float32": "multiply_tf32"}.get(dtype, f"multiply_{dtype}")), "product")
    rng = np.random.default_rng(3)
    depth = 32 // np.dtype(TYPES[dtype]).itemsize
    for _ in range(2):
        a, b = rng.integers(-40, 41, (16, depth)), rng.integers(-40, 41, (8, depth))
        sums = cupy.empty((16, 8), np.float32)
        kernel((1,), (32,), (cupy.asarray(a.astype(TYPES[dtype])), cupy.asarray(b.astype(TYPES[dtype])), sums))
        begun = np.tile([[1, 2]], (16, 4)) + np.repeat([0, 2], 8)[:, None]
        np.testing.assert_array_equal(sums.get(), a @ b.T + begun)


def test_rounding_to_tf32(cupy, module):
    code = '#include "tensor_cores.cuh"\n__global__ void rounded(const float *x, unsigned *y) { y[threadIdx.x] = to_tf32(x[threadIdx.x]); }'
    x = np.array([1, 1 + 2**-11, 1 + 2**-11 - 2**-23, -1 - 2**-11, -1 - 3 * 2**-11, 3.4028235e38, np.inf, -np.inf, 0, -0.0, 2.0**-149], "float32")
    want = np.array([1, 1 + 2**-10, 1, -1 - 2**-10, -1 - 2**-9, np.inf, np.inf, -np.inf, 0, -0.0, 0], "float32")
    y = cupy.empty(x.size + 1, np.uint32)
    module(code, "rounded")((1,), (x.size + 1,), (cupy.asarray(np.append(x, np.float32("nan"))), y))
    np.testing.assert_array_equal(y.get()[:-1], want.view(np.uint32))
    assert np.isnan(y.get().view("float32")[-1])


@pytest.mark.parametrize("bytes", [4, 8, 16])
def test_copies(bytes, cupy, module):
    code = f"""
    #include "tensor_cores.cuh"
    __global__ void copied(const unsigned *x, unsigned *y)
    {{
        alignas(16) __shared__ unsigned all[64 * 4];
        for (int set = 0; set < 2; set++) {{
            copy_async<{bytes}>(all + (set * 32 + threadIdx.x) * {bytes // 4}, x + (set * 32 + threadIdx.x) * {bytes // 4}, threadIdx.x % 3 != 0);
            copies_sent();
        }}
        copies_awaited<1>();
        __syncthreads();
        for (int i = 0; i < {bytes // 4}; i++) y[threadIdx.x * {bytes // 4} + i] = all[(31 - threadIdx.x) * {bytes // 4} + i];
        copies_awaited<0>();
        __syncthreads();
        for (int i = 0; i < {bytes // 4}; i++) y[(32 + threadIdx.x) * {bytes // 4} + i] = all[(63 - threadIdx.x) * {bytes // 4} + i];
    }}""".replace("    #include", "#include")
    x = np.arange(1, 64 * bytes // 4 + 1, dtype=np.uint32)
    y = cupy.empty(x.size, np.uint32)
    kernel = module(code, "copied")
    want = (x.reshape(2, 32, -1) * (np.arange(32) % 3 != 0)[:, None])[:, ::-1].ravel()
    for _ in range(2):
        y.fill(0)
        kernel((1,), (32,), (cupy.asarray(x), y))
        np.testing.assert_array_equal(y.get(), want)


needs_emulation = pytest.mark.skipif(kernels.COMPILER is None, reason="no C++ compiler")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_transposed_fragments(dtype, cupy, module):
    """The columns as rows of k, one below the other."""
    code = PRODUCT.replace("MULTIPLY", f"multiply_{dtype}")
    code = code.replace("load_matrices(n, columns + (lane / 16 * 8 + lane % 8) * 2 + lane / 8 % 2)", "load_transposed(n, columns + lane)")
    rng = np.random.default_rng(4)
    a, b = rng.integers(-40, 41, (16, 16)), rng.integers(-40, 41, (16, 8))
    sums = cupy.empty((16, 8), np.float32)
    module(code, "product")((1,), (32,), (cupy.asarray(a.astype(TYPES[dtype])), cupy.asarray(b.astype(TYPES[dtype])), sums))
    begun = np.tile([[1, 2]], (16, 4)) + np.repeat([0, 2], 8)[:, None]
    np.testing.assert_array_equal(sums.get(), a @ b + begun)


@needs_emulation
@pytest.mark.parametrize(
    "statement, said",
    [
        ("load_matrices(w, all + threadIdx.x);", "multiple of its size"),
        ("copy_async<16>(all, all + 1, true);", "multiple of its size"),
        ("float sum[4] = {}; multiply_tf32(sum, w, 0x3f800001u, 0);", "not rounded"),
    ],
)
def test_the_emulation_reports_what_a_device_refuses(statement, said):
    from host_gpu import cupy

    text = (launch.FOLDER / "tensor_cores.cuh").read_text()
    text += "__global__ void wrong() { alignas(16) __shared__ unsigned all[64]; unsigned w[4] = {}; " + statement + " }"
    with pytest.raises(RuntimeError, match=said):
        cupy.RawModule(code=text, name_expressions=("wrong",)).get_function("wrong")((1,), (32,), ())


@needs_emulation
@pytest.mark.parametrize("missing", ["copies_awaited<0>();", "__syncwarp();"])
def test_the_emulation_shows_a_missing_wait(missing):
    from host_gpu import cupy

    text = (launch.FOLDER / "tensor_cores.cuh").read_text() + """
    __global__ void turned(const unsigned *x, unsigned *y)
    {
        __shared__ unsigned all[32];
        copy_async<4>(all + threadIdx.x, x + threadIdx.x, true);
        copies_sent();
        copies_awaited<0>();
        __syncwarp();
        y[threadIdx.x] = all[31 - threadIdx.x];
    }"""
    for code, right in ((text, True), (text.replace(missing, "", 1), False)):
        kernel = cupy.RawModule(code=code, name_expressions=("turned",)).get_function("turned")
        same = []
        for turn in range(2):
            x = np.arange(32, dtype=np.uint32) + 100 * (turn + 1)
            y = cupy.empty(32, np.uint32)
            kernel((1,), (32,), (cupy.asarray(x), y))
            same.append(np.array_equal(y.get(), x[::-1]))
        assert all(same) is right


# ---- the convolution ---------------------------------------------------------------------------------------------------------


def problem_of(dtype, input, weight, *, max_workspace=MAX_WORKSPACE, precision="default", bias=True, padding=0, stride=1, dilation=1, groups=1, padding_mode="zeros", tf32=True):
    rank = len(weight) - 2
    x, w = (np.broadcast_to(np.zeros((), TYPES[dtype]), shape) for shape in (input, weight))
    b = np.zeros(weight[0], TYPES[dtype]) if bias else None
    found = conv_problem(rank, x, w, b, stride, padding, dilation, groups, padding_mode, precision, max_workspace)
    return replace(gpu_problem(found, dtype, tf32))  # one of its own, whose `kept` a test may change


def integers(problem, seed=0):
    """Arrays whose sums are exact."""
    rng = np.random.default_rng(seed)
    shapes = (problem.input_shape, problem.weight_shape, (problem.groups * problem.out_channels,))
    x, w, b = (rng.integers(-3, 4, shape).astype(TYPES[problem.dtype]) for shape in shapes)
    return x, w, b if problem.has_bias else None


def exact(problem, x, w, b):
    wide = replace(problem, dtype="float64", allow_tf32=False)
    out = np.empty(problem.output_shape)
    reference.run(wide, x.astype("float64"), w.astype("float64"), None if b is None else b.astype("float64"), out)
    return out


def computed(cupy, problem, x, w, b, cut=None, only_if=None, into=None):
    """By tensor_gemm alone; `cut` are changes to how it cuts the problem."""
    p = replace(problem)
    if cut:
        p.kept["tensor_gemm"] = tensor_gemm.cut(problem)._replace(**cut)
    on_device = [a if a is None or isinstance(a, cupy.ndarray) else cupy.asarray(a) for a in (x, w, b)]
    out = cupy.empty(p.output_shape, TYPES[p.dtype]) if into is None else into
    x6, w6, out6 = views(p, *on_device[:2], out)
    tensor_gemm.run(p, x6, w6, on_device[2], out6, only_if=only_if)
    return out.get()


def sliced(problem, slices):
    steps = tensor_gemm.cut(problem).steps
    each = -(-steps // slices)
    return {"slices": -(-steps // each), "steps_of_slice": each}


def whole(problem, items):
    """One slice, `items` of the input copied at a time."""
    return {"items": items, "slices": 1, "steps_of_slice": tensor_gemm.cut(problem).steps}


def copies(problem):
    """Whether the input may be copied with channels last."""
    granule = tensor_gemm._granules(problem)[0]
    return granule * np.dtype(TYPES[problem.dtype]).itemsize == 16 and problem.padding_mode == "zeros" and 0 not in problem.size


def way(expression):
    return re.search("GATHERED|CHANNELS|PIXELS", expression)[0]


def expressions(monkeypatch):
    """Names of kernels, as they are launched from now on; all are among those that are compiled for devices."""
    ran, known = [], {*tensor_gemm.instances(), *implicit_gemm.instances()}

    def kernel(file, expression):
        assert (file, expression) in known
        ran.append(expression)
        return launch.kernel(file, expression)

    monkeypatch.setattr(tensor_gemm, "kernel", kernel)
    return ran


SHAPES = {
    "square": ((2, 16, 9, 10), (40, 16, 3, 3), {"padding": 1}),
    "ragged": ((3, 11, 7, 9), (67, 11, 3, 2), {"padding": ((1, 0), (2, 1))}),
    "one_tap": ((2, 48, 13, 5), (130, 48, 1, 1), {}),
    "stem": ((2, 3, 20, 19), (50, 3, 7, 7), {"stride": 2, "padding": 3}),
    "stride_dilation": ((2, 9, 17, 19), (45, 9, 3, 3), {"stride": (2, 3), "dilation": (3, 2), "padding": 4}),
    "groups": ((2, 36, 8, 9), (120, 12, 3, 3), {"groups": 3, "padding": 1}),
    "signal": ((3, 8, 90), (35, 8, 7), {"stride": 2, "padding": 5}),
    "volume": ((1, 10, 6, 5, 7), (44, 10, 3, 2, 3), {"padding": (1, 0, 2)}),
    "volume_stride": ((2, 8, 9, 8, 10), (64, 8, 3, 3, 3), {"stride": (2, 1, 3), "padding": 1, "dilation": (1, 2, 1)}),
    "reflect": ((2, 12, 8, 9), (48, 12, 5, 4), {"padding": ((3, 2), (1, 4)), "padding_mode": "reflect"}),
    "replicate": ((2, 12, 6, 7), (48, 12, 5, 4), {"padding": ((9, 2), (1, 8)), "padding_mode": "replicate", "stride": 2}),
    "circular": ((2, 12, 6, 7), (48, 12, 5, 4), {"padding": ((6, 2), (1, 7)), "padding_mode": "circular", "dilation": 2}),
    "full": ((2, 24, 4, 5), (33, 24, 3, 2), {"padding": "full", "dilation": 2}),
    "no_samples_but_padding": ((2, 16, 0, 4), (48, 16, 2, 2), {"padding": 2}),
    "unbatched": ((8, 12, 11), (60, 8, 4, 4), {"bias": False}),
    "kernel_fills_input": ((5, 16, 7, 6), (64, 16, 7, 6), {}),
}


CASES = [(dtype, name) for dtype in TYPES for name in SHAPES if dtype != "bfloat16" or name in ("square", "stem", "reflect")]
LARGE, WIDE, SMALL = tensor_gemm.TILES


@pytest.mark.parametrize("dtype, name", CASES)
def test_small_integers_are_exact(dtype, name, cupy):
    """Gathered, and copied with channels last, all or one item at a time."""
    input, weight, more = SHAPES[name]
    problem = problem_of(dtype, input, weight, **more)
    x, w, b = integers(problem)
    want = exact(problem, x, w, b).astype(TYPES[dtype])
    for items in (0, 1, problem.batch) if copies(problem) else (0,):
        np.testing.assert_array_equal(computed(cupy, problem, x, w, b, whole(problem, items)), want, err_msg=f"{items} items copied")


@pytest.mark.parametrize("tile", (LARGE, WIDE), ids=["large", "wide"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_tile_in_slices(dtype, tile, cupy):
    problem = problem_of(dtype, (2, 20, 9, 11), (150, 20, 3, 2), padding=1)
    x, w, b = integers(problem)
    want = exact(problem, x, w, b).astype(TYPES[dtype])
    for items in (0, 2):
        for slices in (1, 3, tensor_gemm.cut(problem).steps):
            got = computed(cupy, problem, x, w, b, whole(problem, items) | sliced(problem, slices) | {"tile": tile})
            np.testing.assert_array_equal(got, want, err_msg=f"{items} items copied, {slices} slices")


@pytest.mark.parametrize("dtype", TYPES)
def test_errors_are_within_the_bound(dtype, cupy):
    problem = problem_of(dtype, (2, 32, 9, 8), (48, 32, 3, 3), padding=1)
    rng = np.random.default_rng(5)
    x, w, b = (rng.standard_normal(each.shape).astype(TYPES[dtype]) for each in integers(problem))
    got, want = computed(cupy, problem, x, w, b).astype("float64"), exact(problem, x, w, b)
    sizes = exact(problem, *(np.abs(each.astype("float64")) for each in (x, w, b)))
    error, stored = np.abs(got - want), {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 0.0}[dtype]
    assert (error <= tensor_gemm.error_bound(problem) * EPS * sizes + stored * np.abs(want)).all()
    if dtype == "float32":
        assert error.max() > 100 * EPS * sizes.max()  # it was rounded
        shorter = [(each.view(np.uint32) + 0x1000 & 0xFFFFE000).view(np.float32) for each in (x, w)]
        want = exact(problem, *shorter, b)  # and to nearest: of factors that are, the sums are as good as any
        assert (np.abs(got - want) <= (problem.products + 1) * EPS * sizes).all()


# ---- layouts -----------------------------------------------------------------------------------------------------------------


def test_no_bit_depends_on_how_arrays_lie(cupy, monkeypatch):
    problem = problem_of("float16", (3, 16, 9, 8), (40, 16, 3, 3), padding=1)
    rng = np.random.default_rng(6)
    x, w, b = (rng.standard_normal(each.shape).astype("float16") for each in integers(problem))
    want = computed(cupy, problem, x, w, b, whole(problem, 0))
    ran = expressions(monkeypatch)

    def lay(array, axes, step=1, shift=0):
        """On the device, axes from the outermost to the innermost, each number `step` from the next."""
        shape = [array.shape[axis] for axis in axes]
        room = cupy.zeros(int(np.prod(shape)) * step + shift, array.dtype)[shift::step].reshape(shape)
        view = room.transpose(*np.argsort(axes).tolist())
        view[...] = cupy.asarray(array)
        return view

    def run(x, w, **cut):
        ran.clear()
        assert computed(cupy, problem, x, w, b, whole(problem, 0) | cut).tobytes() == want.tobytes()
        return way(ran[-1]), any("packed" in each for each in ran), any("channels_last" in each for each in ran)

    lie = {"plain": (0, 1, 2, 3), "last": (0, 2, 3, 1), "first": (1, 0, 3, 2)}
    assert run(lay(x, lie["plain"]), lay(w, lie["plain"])) == ("GATHERED", True, False)
    assert run(lay(x, lie["last"]), lay(w, lie["plain"])) == ("CHANNELS", True, False)
    assert run(lay(x, lie["last"]), lay(w, lie["last"])) == ("CHANNELS", False, False)
    assert run(lay(x, lie["last"]), lay(w, lie["last"]), items=2) == ("CHANNELS", False, False)
    assert run(lay(x, lie["plain"]), lay(w, lie["last"]), items=2) == ("CHANNELS", False, True)
    assert run(lay(x, lie["last"], shift=1), lay(w, lie["last"], shift=4)) == ("GATHERED", True, False)
    assert run(lay(x, lie["last"], step=2), lay(w, lie["last"], step=3)) == ("GATHERED", True, False)
    assert run(lay(x, lie["first"]), lay(w, lie["first"])) == ("GATHERED", True, False)
    assert run(lay(x[:, ::-1], lie["plain"])[:, ::-1], lay(w[..., ::-1], lie["plain"])[..., ::-1]) == ("GATHERED", True, False)
    assert run(lay(x[:, :, ::-1], lie["last"])[:, :, ::-1], lay(w[::-1], lie["last"])[::-1]) == ("CHANNELS", False, False)


def test_pixels_in_pieces(cupy, monkeypatch):
    """Of one tap, eight columns at a time, of several groups and items, in slices; no bit differs from gathered ones."""
    ran = expressions(monkeypatch)
    for tile in tensor_gemm.TILES:
        problem = problem_of("float16", (3, 2 * 76, 4, 6), (2 * 70, 76, 1, 1), groups=2)
        rng = np.random.default_rng(8)
        x, w, b = (rng.standard_normal(each.shape).astype("float16") for each in integers(problem))
        apart = cupy.empty((*x.shape, 2), np.float16)[..., 0]
        apart[...] = cupy.asarray(x)
        for slices in (1, 2):
            cut = whole(problem, 0) | sliced(problem, slices) | {"tile": tile}
            got, ways = [], []
            for each in (x, apart):
                ran.clear()
                got.append(computed(cupy, problem, each, w, b, cut))
                ways += [way(each) for each in ran if each.startswith("tensor_gemm")]
            assert ways == ["PIXELS", "GATHERED"]
            assert got[0].tobytes() == got[1].tobytes()
            np.testing.assert_allclose(got[0], exact(problem, x, w, b), rtol=2e-3, atol=2e-3)


def test_results_go_to_any_view(cupy):
    problem = problem_of("float32", (2, 8, 7, 6), (40, 8, 3, 2))
    x, w, b = integers(problem)
    n, o, y, width = problem.output_shape
    for slices in (1, 2):
        room = cupy.zeros((o, n, 2 * y + 1, width + 2), np.float32)
        into = room[:, :, 1::2, width:0:-1].swapaxes(0, 1)
        computed(cupy, problem, x, w, b, whole(problem, 0) | sliced(problem, slices), into=into)
        np.testing.assert_array_equal(into.get(), exact(problem, x, w, b))
        into[...] = 0
        assert not room.get().any()


def test_an_item_is_the_same_wherever_it_stands_in_the_batch(cupy):
    problem = problem_of("float16", (5, 16, 9, 9), (48, 16, 3, 3))
    rng = np.random.default_rng(7)
    x, w, b = (rng.standard_normal(each.shape).astype("float16") for each in integers(problem))
    x[:] = x[0]
    for items in (0, 2):
        got = computed(cupy, problem, x, w, b, whole(problem, items))
        assert (got == got[0]).all()


def test_weights_of_a_plan_are_prepared_once(cupy, monkeypatch):
    for weight in ((60, 16, 3, 3), (60, 16, 1, 1)):
        problem = problem_of("float16", (2, 16, 6, 6), weight)
        x, w, b = integers(problem)
        out = cupy.empty(problem.output_shape, np.float16)
        x6, w6, out6 = views(problem, cupy.asarray(x), cupy.asarray(w), out)
        prepared = tensor_gemm.prepare(problem, w6)
        assert (prepared.array is w6) == (weight[2] == 1)  # they lie right as they are
        ran = expressions(monkeypatch)
        tensor_gemm.run(problem, x6, prepared, cupy.asarray(b), out6)
        np.testing.assert_array_equal(out.get(), exact(problem, x, w, b))
        assert not [each for each in ran if "packed" in each]


@pytest.mark.parametrize("cut", [{"items": 0}, {"items": 1}, {"slices": 2}], ids=str)
def test_only_if(cut, cupy):
    problem = problem_of("float32", (2, 16, 6, 6), (40, 16, 3, 3))
    x, w, b = integers(problem)
    cut = whole(problem, cut.get("items", 0)) | sliced(problem, cut.get("slices", 1))
    for flag in (0, 1):
        into = cupy.full(problem.output_shape, 7, np.float32)
        computed(cupy, problem, x, w, b, cut, cupy.full(1, flag, np.int32), into)
        np.testing.assert_array_equal(into.get(), exact(problem, x, w, b) if flag else 7)


@pytest.mark.parametrize("dtype, channels", [("float16", 11), ("float32", 7), ("float16", 3)])
def test_what_is_not_finite_stays_where_it_belongs(dtype, channels, cupy):
    """Channels are padded with zeros, which meet zeros alone; the zeros of the border meet infinite weights."""
    problem = problem_of(dtype, (2, channels, 6, 6), (64, channels, 3, 3), padding=1)
    x, w, b = integers(problem)
    x[0, -1, 2, 3], x[1, 0, 4, 1], w[5, -1, 0, 0], w[6, 0, 1, 1], b[7] = np.inf, np.nan, np.inf, np.nan, -np.inf
    with np.errstate(invalid="ignore"):
        want = exact(problem, x, w, b).astype(TYPES[dtype])
    for items in (0, 2) if copies(problem) else (0,):
        np.testing.assert_array_equal(computed(cupy, problem, x, w, b, whole(problem, items)), want)


def test_behind_the_last_tap_nothing_is_read(cupy):
    """Its weights are zeros, but infinity times zero is none."""
    problem = problem_of("float16", (1, 8, 6, 3, 3), (64, 8, 2, 1, 1))
    x, w, b = integers(problem)
    x[0, :, 2:4] = np.inf
    w[...] = np.abs(w) + 1
    for items in (0, 1):
        np.testing.assert_array_equal(computed(cupy, problem, x, w, b, whole(problem, items)), exact(problem, x, w, b))


# ---- what it takes -----------------------------------------------------------------------------------------------------------


def test_what_it_takes():
    shape = (2, 32, 9, 9), (64, 32, 3, 3)
    assert tensor_gemm.takes(problem_of("float32", *shape)) and not tensor_gemm.takes(problem_of("float32", *shape, tf32=False))
    for dtype in ("float16", "float32"):
        assert tensor_gemm.takes(problem_of(dtype, *shape)) and not tensor_gemm.takes(problem_of(dtype, *shape, precision="strict"))
        assert not tensor_gemm.takes(problem_of(dtype, (2, 1, 9, 9), (64, 1, 3, 3)))  # plain kernels multiply no zeros
        assert not tensor_gemm.takes(problem_of(dtype, (2, 32, 9, 9), (8, 32, 3, 3)))
        assert not tensor_gemm.takes(problem_of(dtype, (2, 32, 9, 9), (64, 1, 3, 3), groups=32))
        assert not tensor_gemm.takes(problem_of(dtype, (2, 32, 9, 2**30), (64, 32, 3, 3)))
        assert not tensor_gemm.takes(problem_of(dtype, (0, 32, 9, 9), (64, 32, 3, 3)))
    assert not tensor_gemm.takes(replace(problem_of("float32", *shape, tf32=False), dtype="float64"))


def test_workspace_is_bounded():
    for room in (0, 30_000, 40_000, 200_000, 10**6, MAX_WORKSPACE):
        problem = problem_of("float16", (64, 32, 19, 19), (64, 32, 3, 3), max_workspace=room)
        if room < 64 * 32 * 9 * 2:
            assert not tensor_gemm.takes(problem)
        else:
            assert tensor_gemm.workspace(problem) <= room
    large = problem_of("float16", (256, 64, 56, 56), (256, 64, 3, 3))
    cut = tensor_gemm.cut(large)
    assert cut.tile is LARGE and cut.slices == 1 and 1 <= cut.items < 256  # copied in parts
    few = problem_of("float16", (1, 512, 7, 7), (512, 512, 3, 3))
    assert tensor_gemm.cut(few).slices > 4
    assert tensor_gemm.amounts(few).keys() <= tensor_gemm.costs.SECONDS["implicit_gemm"].keys()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_it_is_what_implicit_gemm_does(dtype, cupy, monkeypatch):
    problem = problem_of(dtype, (2, 32, 9, 9), (64, 32, 3, 3), padding=1)
    rng = np.random.default_rng(9)
    x, w, b = (rng.standard_normal(each.shape).astype(dtype) for each in integers(problem))
    on_device = [cupy.asarray(each) for each in (x, w, b)]
    want = computed(cupy, problem, x, w, b)
    ran = expressions(monkeypatch)
    options = {"padding": 1, "algorithm": "implicit_gemm"}
    got = [cyconv.conv2d(*on_device, allow_tf32=tf32, **options).get() for tf32 in (True, False)]
    plain = cyconv.conv2d(*on_device, allow_tf32=True, precision="strict", **options).get()
    plan = cyconv.plan_conv(x.shape, on_device[1], on_device[2], allow_tf32=True, **options)
    assert got[0].tobytes() == plan(on_device[0]).get().tobytes() == want.tobytes()
    assert (got[1].tobytes() == want.tobytes()) == (dtype == "float16")
    assert plain.tobytes() != want.tobytes()
    assert sum("packed" in each for each in ran) == (3 if dtype == "float16" else 2)
    row = next(row for row in menu.GPU_CONV if row.name == "implicit_gemm")
    strict = problem_of(dtype, (2, 32, 9, 9), (64, 32, 3, 3), padding=1, precision="strict")
    assert row.bound(problem) == tensor_gemm.error_bound(problem) > 1.9 * row.bound(strict)
    assert select.choose(strict, "implicit_gemm", device="gpu") is row


def test_old_devices_have_no_such_cores(stand_in, monkeypatch):
    tensor_gemm._has_old_devices.cache_clear()
    monkeypatch.setattr(stand_in.cuda.Device, "compute_capability", "75")
    try:
        assert not tensor_gemm.takes(problem_of("float16", (2, 32, 9, 9), (64, 32, 3, 3)))
    finally:
        tensor_gemm._has_old_devices.cache_clear()

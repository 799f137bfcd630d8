"""Kernels touch nothing but their arrays and what they have written to shared memory: the stand-in is as strict as a device, and more.

The second part runs some of the other files' tests again, each allocation next to memory that may not be touched and with all that the
compiler checks (host_gpu/arrays.py and kernels.py). All of them run so with CYCONV_TEST_GUARD=after, vectors or before, and pass, but for
cuDNN's and two others that need aligned arrays, with "after".
"""

import numpy as np
import pytest
import test_gpu_conv
import test_gpu_depthwise
import test_gpu_implicit_gemm
import test_gpu_network
import test_gpu_pool_gradients
import test_gpu_pools
import test_gpu_tensor_gemm
import test_gpu_windows
from host_gpu import kernels


@pytest.fixture
def made(monkeypatch):
    """Kernels of a text, with guards where a placement is told; and the stand-in for CuPy."""
    if kernels.COMPILER is None:
        pytest.skip("no C++ compiler")
    from host_gpu import cupy

    def made(code, name, guard=None):
        if guard:
            monkeypatch.setenv("CYCONV_TEST_GUARD", guard)
        else:
            monkeypatch.delenv("CYCONV_TEST_GUARD", raising=False)
        return cupy.RawModule(code=code, name_expressions=(name,)).get_function(name), cupy

    return made


# ---- shared memory -----------------------------------------------------------------------------------------------------------

UNWRITTEN = """
template <typename T> struct Two {
    T a, b;
    __device__ Two() {}
};
template <typename T> __device__ T sum_of_warps()
{
    __shared__ Two<T> each[4];
    if (threadIdx.x == 0) each[blockIdx.x].a = each[blockIdx.x].b = 1;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < 4; i++) sum += each[i].a;
    return sum;
}
template <typename T> __global__ void sums(T *y) { y[blockIdx.x] = sum_of_warps<T>(); }
"""


def test_shared_memory_that_nobody_wrote_is_nan_in_each_block(made):
    for dtype, name in (("float32", "float"), ("float64", "double")):
        kernel, cupy = made(UNWRITTEN, f"sums<{name}>")
        y = cupy.empty(4, dtype)
        for _ in range(2):
            kernel((4,), (32,), (y,))  # together the blocks write all of it
            assert np.isnan(y.get()).all()


# ---- warps -------------------------------------------------------------------------------------------------------------------


def test_lanes_that_are_not_there_give_nan(made):
    kernel, cupy = made(
        "__global__ void next(float *y) { y[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 1); if (threadIdx.x < 30) __syncwarp(); }", "next"
    )
    y = cupy.empty(40, np.float32)
    kernel((1,), (40,), (y,))
    assert np.flatnonzero(np.isnan(y.get())).tolist() == [39]


@pytest.mark.parametrize(
    "line", ["if (threadIdx.x % 2) __syncwarp(); else x = __shfl_sync(0xffffffffu, x, 0);", "x = __shfl_sync(0x0000ffffu, x, 0);"]
)
def test_lanes_that_part_are_reported(line, made):
    kernel, cupy = made(f"__global__ void part(float *y) {{ float x = 1; {line} y[threadIdx.x] = x; }}", "part")
    with pytest.raises(RuntimeError, match="part: a barrier that not all threads"):
        kernel((1,), (32,), (cupy.empty(32, np.float32),))


# ---- arrays ------------------------------------------------------------------------------------------------------------------

MOVE = "__global__ void move(const float *x, float *y, long long n) { y[0] = x[n] + threadIdx.x; }"


@pytest.mark.parametrize(("guard", "at", "where"), [("after", 5, "0 bytes after the end of"), ("vectors", 8, "12 bytes after the end of"), ("before", -1, "4 bytes before")])
def test_reads_beyond_arrays_are_reported(guard, at, where, made):
    kernel, cupy = made(MOVE, "move", guard)
    x, y = cupy.asarray(np.arange(5, dtype=np.float32)), cupy.empty(1, np.float32)
    with pytest.raises(RuntimeError, match=rf"move: memory .* in block \(0, 0, 0\), thread \(0, 0, 0\); {where} the array of argument 0"):
        kernel((1,), (2,), (x, y, at))
    kernel((1,), (1,), (x, y, 4))  # all is well again
    assert y.get()[0] == 4


def test_what_follows_within_a_vector_is_nan(made):
    kernel, cupy = made(MOVE, "move", "vectors")
    x, y = cupy.asarray(np.arange(5, dtype=np.float32)), cupy.empty(1, np.float32)
    kernel((1,), (1,), (x, y, 5))
    assert np.isnan(y.get()[0])


def test_writes_beyond_arrays_are_reported(made):
    for guard in ("after", "vectors", "before"):
        kernel, cupy = made("__global__ void fill(float *y, long long n) { y[n] = 1; }", "fill", guard)
        y = cupy.empty(5, np.float32)
        with pytest.raises(RuntimeError, match="fill: memory that is no array's|a kernel wrote beyond an array"):
            kernel((1,), (1,), (y, 5))
            y.get()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("y[0] = reinterpret_cast<const float4 *>(x + n)->y;", "an address that is no multiple"),
        ("y[0] = reinterpret_cast<const float2 *>(x + n)->y;", "an address that is no multiple"),
        ("float some[2] = {x[0], x[1]}; y[0] = some[n + 1];", "an index beyond its array"),
        ("y[0] = x[(1 << (n + 31)) != 0];", "a shift by too many bits"),
        ("y[0] = x[2147483647 + static_cast<int>(n) < 0];", "a sum beyond its type"),
        ("y[0] = x[4 / (n - 1)];", "a division by zero"),
    ],
)
def test_what_the_compiler_checks_is_reported_with_its_line(line, what, made):
    kernel, cupy = made(f'#line 7 "some.cu"\n__global__ void wrong(const float *x, float *y, long long n) {{ {line} }}', "wrong", "before")
    x, y = cupy.zeros(8, np.float32), cupy.empty(1, np.float32)
    with pytest.raises(RuntimeError, match=rf"wrong: {what}.* at some.cu:7:\d+ in block \(0, 0, 0\), thread"):
        kernel((1,), (1,), (x, y, 1))


@pytest.mark.parametrize(("x", "y", "refused"), [("const float *__restrict__", "float *", True), ("const float *", "float *", False), ("float *", "float *__restrict__", True)])
def test_restricted_arrays_that_are_written_elsewhere_are_reported(x, y, refused, made):
    kernel, cupy = made(f"template <typename T, int N> __global__ void __launch_bounds__(32 * (N > 1 ? 2 : 1)) add({x} x, {y} y) {{ *y += *x; }}", "add<float, 1>")
    a = cupy.zeros(2, np.float32)
    kernel((1,), (1,), (a[:1], a[1:]))
    if not refused:
        kernel((1,), (1,), (a, a))
        return
    with pytest.raises(RuntimeError, match="arguments 0 and 1 share memory"):
        kernel((1,), (1,), (a, a))


def test_signals_are_reported(made):
    kernel, cupy = made("__global__ void wrong(int *y, long long n) { y[0] = 4 / static_cast<int>(n); }", "wrong")
    with pytest.raises(RuntimeError, match="wrong: a division by zero in block"):
        kernel((1,), (1,), (cupy.empty(1, np.int32), 0))


# ---- the kernels of cyconv ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", ["after", "vectors", "before"])
def test_a_sample_of_all_kernels_touches_nothing_else(guard, stand_in, monkeypatch):
    cupy = stand_in  # a device has tools of its own for that: compute-sanitizer
    monkeypatch.setenv("CYCONV_TEST_GUARD", guard)
    cases = {case.name: case for case in test_gpu_conv.CASES}
    test_gpu_conv.test_every_algorithm_on_small_integers(cases["three_by_three"], "float16", cupy)
    test_gpu_conv.test_every_algorithm_on_small_integers(cases["volume_reflect"], "float32", cupy)
    test_gpu_implicit_gemm.test_every_seam_of_the_ring_of_rows(257, cupy)
    test_gpu_tensor_gemm.test_behind_the_last_tap_nothing_is_read(cupy)
    test_gpu_depthwise.test_cropped(cupy)
    test_gpu_pools.test_views_with_gaps(cupy)
    test_gpu_pool_gradients.test_samples_in_no_window_get_zeros(cupy)
    with monkeypatch.context() as changed:
        test_gpu_pool_gradients.test_shuffled_indices(cupy, changed)
    with monkeypatch.context() as changed:
        test_gpu_windows.test_threads_that_walk_on(cupy, changed)
    test_gpu_network.test_batch_norm_where_arrays_lie_anyhow(cupy)

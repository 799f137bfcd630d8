"""Every kernel of the GPU compiles for the architectures that matter, whether or not there is a device."""

import importlib
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from host_gpu import kernels, nvrtc

from cyconv.gpu import launch

FILES = sorted(file.stem for file in launch.FOLDER.glob("*.cu"))


def instances(name):
    """All that the launcher of a .cu file may ask for."""
    found = importlib.import_module(f"cyconv.gpu.{name}").instances()
    assert {file for file, _ in found} == {name}
    return [expression for _, expression in found]


@pytest.mark.skipif(nvrtc.library() is None, reason="NVIDIA's runtime compiler is not installed (pip install nvidia-cuda-nvrtc)")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", FILES)
def test_every_kernel_compiles(name, architecture):
    """With CYCONV_TEST_KERNELS=all each instance for each architecture; else such as use every template's every argument, for sm_80 every template."""
    chosen = instances(name)
    if os.environ.get("CYCONV_TEST_KERNELS") != "all":
        chosen = covering(chosen, every_argument=architecture == "sm_90")
    halves = [e for e in chosen if launch.options(e) != launch.options("float")]
    others, with_headers = [e for e in chosen if e not in halves], nvrtc.headers() is not None
    parts = [part for some in (halves if with_headers else [], others) for part in (some[::2], some[1::2]) if part]
    with ThreadPoolExecutor(2) as pool:
        for code in pool.map(lambda part: nvrtc.compile_(launch.source(name), part, launch.options(part[0]), architecture), parts):
            assert len(code) > 1000
    if halves and not with_headers:
        pytest.skip("CUDA's headers, which half types need, are not installed (pip install nvidia-cuda-runtime nvidia-cuda-cccl)")


def covering(expressions, every_argument):
    """Some of the instances, so that each template, and each of its arguments at its place, is in one of them."""
    missing, chosen = {part for e in expressions for part in parts_of(e, every_argument)}, []
    while missing:
        chosen.append(max(expressions, key=lambda e: len(missing & parts_of(e, every_argument))))
        missing -= parts_of(chosen[-1], every_argument)
    return chosen


def parts_of(expression, every_argument):
    template, _, arguments = expression.rstrip(">").partition("<")
    return {template, *((template, place, each) for place, each in enumerate(arguments.split(", ")) if every_argument)}


@pytest.mark.skipif(nvrtc.library() is None, reason="NVIDIA's runtime compiler is not installed")
def test_what_does_not_compile_is_noticed():
    with pytest.raises(RuntimeError, match="kernel.cu.*error"):
        nvrtc.compile_("template <typename T> __global__ void f(T *x) { x = 1; }", ["f<float>"], (), "sm_90")


def test_a_source_is_one_text():
    """CuPy's cache of compiled kernels looks at the text alone; a header that it includes would change unnoticed."""
    for name in FILES:
        text = launch.source(name)
        assert not re.search(r'#include "', text)
        assert text.count("struct Number<float>") <= 1


@pytest.mark.skipif(nvrtc.library() is None, reason="NVIDIA's runtime compiler is not installed")
def test_errors_name_file_and_line():
    wrong = (launch.FOLDER / "direct.cu").read_text().splitlines()
    at = next(n for n, line in enumerate(wrong) if "using Sum" in line)
    text = launch.source("direct").replace(wrong[at], wrong[at] + " wrong;", 1)
    with pytest.raises(RuntimeError, match=rf"direct.cu\({at + 1}\): error"):
        nvrtc.compile_(text, ["direct<float, 1>"], (), "sm_90")


# ---- the stand-in is as strict as a device -----------------------------------------------------------------------------------


@pytest.fixture
def module():
    if kernels.COMPILER is None:
        pytest.skip("no C++ compiler")
    from host_gpu import cupy

    def made(code, name):
        return cupy.RawModule(code=code, name_expressions=(name,)).get_function(name), cupy

    return made


def test_barriers_and_shared_memory(module):
    code = """
    template <typename T> __global__ void reversed(const T *x, T *y)
    {
        __shared__ T all[64];
        all[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
        __syncthreads();
        y[blockIdx.x * 64 + threadIdx.x] = all[63 - threadIdx.x];
    }"""
    kernel, cupy = module(code, "reversed<float>")
    x = np.arange(128, dtype=np.float32)
    y = cupy.empty(128, np.float32)
    kernel((2,), (64,), (cupy.asarray(x), y))
    np.testing.assert_array_equal(y.get(), x.reshape(2, 64)[:, ::-1].ravel())


def test_a_missing_barrier_gives_wrong_results(module):
    code = """
    __global__ void reversed(const float *x, float *y)
    {
        __shared__ float all[64];
        __syncthreads();
        all[threadIdx.x] = x[threadIdx.x];
        y[threadIdx.x] = all[63 - threadIdx.x];
    }"""
    kernel, cupy = module(code, "reversed")
    x, y = np.arange(64, dtype=np.float32), cupy.empty(64, np.float32)
    kernel((1,), (64,), (cupy.asarray(x), y))
    assert not np.array_equal(y.get(), x[::-1])


def test_a_barrier_that_some_threads_miss_is_reported(module):
    kernel, _ = module("__global__ void split() { if (threadIdx.x) __syncthreads(); else __syncwarp(); }", "split")
    with pytest.raises(RuntimeError, match="a barrier that not all threads"):
        kernel((1,), (64,), ())


def test_shuffles(module):
    code = """
    __global__ void sums(const float *x, float *y)
    {
        float sum = x[threadIdx.x];
        for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
        y[threadIdx.x] = sum + __shfl_down_sync(0xffffffff, x[threadIdx.x], 1);
    }"""
    kernel, cupy = module(code, "sums")
    x, y = np.arange(64, dtype=np.float32), cupy.empty(64, np.float32)
    kernel((1,), (64,), (cupy.asarray(x), y))
    below = np.where(np.arange(64) % 32 == 31, x, x + 1)
    np.testing.assert_array_equal(y.get(), np.repeat(x.reshape(2, 32).sum(1), 32) + below)


def test_arguments_of_the_wrong_size_and_writes_beyond_an_array_are_reported(module):
    kernel, cupy = module("__global__ void fill(float *y, long long n) { y[n] = 1; }", "fill")
    y = cupy.empty(4, np.float32)
    with pytest.raises(TypeError, match="argument 1"):
        kernel((1,), (1,), (y, np.int32(0)))
    with pytest.raises(TypeError, match="argument 1"):
        kernel((1,), (1,), (y,))
    kernel((1,), (1,), (y, 4))
    with pytest.raises(RuntimeError, match="wrote beyond"):
        y.get()


def test_launches_beyond_a_device_are_refused(module):
    kernel, _ = module("__global__ void nothing() {}", "nothing")
    for grid, block in [((1,), (2048,)), ((1, 70000), (1,)), ((0,), (1,)), ((1,), (1, 1, 65))]:
        with pytest.raises(ValueError, match="beyond what a device launches"):
            kernel(grid, block, ())


def test_numpy_takes_no_array_of_the_device(module):
    from host_gpu import cupy

    x = cupy.zeros(3)
    for use in (lambda: np.asarray(x), lambda: np.concatenate([x, x]), lambda: x + np.zeros(3), lambda: np.add(x, np.zeros(3))):
        with pytest.raises(TypeError):
            use()


# ---- what launchers tell kernels -------------------------------------------------------------------------------------------


def test_division_by_multiplication():
    rng = random.Random(0)
    for by in [1, 2, 3, 5, 7, 641, 2**16 - 1, 2**30, 2**30 + 1, 2**31 - 1, *(rng.randrange(1, 2**31) for _ in range(300))]:
        same, factor, shift = launch.divisor(by)
        assert same == by and factor < 2**32
        for n in [0, 1, by - 1, by, by + 1, 2**31 - 1, 2**31 // by * by - 1, *(rng.randrange(2**31) for _ in range(20))]:
            if n < 2**31:
                assert n * factor >> shift == n // by

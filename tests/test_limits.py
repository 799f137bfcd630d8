"""Limits: sizes that cannot be, memory that runs out, the bound of scratch memory, and what many calls leave behind.

The quick part. The scripts in tests/limits do the same at length (their docstrings say how), and test_limits_huge.py has arrays of more than 2**31 elements.
"""

import functools
import gc
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from limits import faults, sizes, workspace

import cyconv
from cyconv import grad, nn, select, signal

HERE = Path(__file__).parent / "limits"
DTYPES = sizes.DTYPES[:-1]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def view(*shape):
    """An array of any size, of one number."""
    return lambda dtype: np.broadcast_to(np.ones((), dtype), shape)


def real(dtype):
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def floating(dtype):
    return dtype if dtype.startswith("float") else "float32"


ROW, PLANE, MANY = view(1, 1, 2**40), view(1, 1, 2**29, 2**28), view(2**30, 2**10, 3, 3)
K1, K2 = view(1, 1, 3), view(1, 1, 3, 3)
IMPOSSIBLE = {  # what has more bytes than memory has addresses, or than there is memory
    "conv: padding": lambda t: cyconv.conv2d(view(1, 1, 5, 5)(t), K2(t), padding=2**40),
    "conv: padding of one axis": lambda t: cyconv.conv1d(view(1, 1, 5)(t), K1(t), padding=2**62 - 1),
    "conv: padding below 2**63": lambda t: cyconv.conv1d(view(1, 1, 5)(t), K1(t), padding=2**61 - 3),
    "conv: full": lambda t: cyconv.conv1d(ROW(t), ROW(t), padding="full"),
    "conv: full, dilated": lambda t: cyconv.conv2d(PLANE(t), K2(t), padding="full", dilation=2**61),
    "conv: batch by channels": lambda t: cyconv.conv2d(view(2**40, 1, 5, 5)(t), view(2**40, 1, 3, 3)(t)),
    "conv: large": lambda t: cyconv.conv2d(PLANE(t), K2(t)),
    "conv: circular": lambda t: cyconv.conv1d(ROW(t), K1(t), padding=2**39, padding_mode="circular"),
    "conv: out channels": lambda t: cyconv.conv1d(view(1, 1, 2**20)(t), view(2**42, 1, 1)(t)),
    "conv: volume": lambda t: cyconv.conv3d(view(1, 1, 2**20, 2**20, 2**20)(t), view(1, 1, 1, 1, 1)(t)),
    "explain": lambda t: cyconv.explain(view(1, 1, 5, 5)(t), K2(t), padding=2**40),
    "plan": lambda t: cyconv.plan_conv((2**40, 1, 2**20, 2**20), K2(t)),
    "plan: result": lambda t: cyconv.plan_conv((1, 1, 5, 5), K2(t), padding=2**40),
    "transposed: stride": lambda t: cyconv.conv_transpose2d(view(1, 1, 3, 3)(t), K2(t), stride=2**40),
    "transposed: stride of one axis": lambda t: cyconv.conv_transpose1d(view(1, 1, 3)(t), K1(t), stride=2**61),
    "transposed: dilation": lambda t: cyconv.conv_transpose2d(view(1, 1, 3, 3)(t), K2(t), dilation=2**61),
    "transposed: batch": lambda t: cyconv.conv_transpose2d(view(2**40, 1, 3, 3)(t), view(1, 2**40, 3, 3)(t)),
    "max_pool": lambda t: cyconv.max_pool2d(PLANE(real(t)), 1),
    "max_pool: indices": lambda t: cyconv.max_pool2d(view(1, 2**30, 2**15, 2**15)(real(t)), 1, return_indices=True),
    "avg_pool: padding": lambda t: cyconv.avg_pool2d(view(1, 1, 3, 3)(t), 2**61, 1, 2**60),
    "avg_pool": lambda t: cyconv.avg_pool2d(MANY(t), 1),
    "adaptive_avg_pool": lambda t: cyconv.adaptive_avg_pool2d(view(1, 1, 3, 3)(t), 2**40),
    "adaptive_avg_pool: one axis": lambda t: cyconv.adaptive_avg_pool1d(view(1, 1, 3)(t), 2**62 - 1),
    "max_unpool": lambda t: cyconv.max_unpool2d(view(1, 1, 3, 3)(t), view(1, 1, 3, 3)("int64"), 2**40),
    "max_unpool: stride": lambda t: cyconv.max_unpool1d(view(1, 1, 3)(t), view(1, 1, 3)("int64"), 2, 2**61),
    "unfold": lambda t: cyconv.unfold(PLANE(t), 3),
    "unfold: padding": lambda t: cyconv.unfold(view(1, 1, 3, 3)(t), 3, padding=2**40),
    "fold": lambda t: cyconv.fold(view(1, 4, 1)(t), (2**40, 2**40), 2, stride=2**40),
    "maximum_filter": lambda t: cyconv.maximum_filter(PLANE(real(t) if t != "float16" else "float32"), 3),
    "uniform_filter": lambda t: cyconv.uniform_filter(PLANE(t.replace("float16", "float32")), 3),
    "correlate": lambda t: signal.correlate(ROW(t)[0, 0], K1(t)[0, 0]),
    "convolve, planes": lambda t: signal.convolve(PLANE(t)[0, 0], PLANE(t)[0, 0]),
    "fftconvolve": lambda t: signal.fftconvolve(ROW(t)[0, 0], K1(t)[0, 0]),
    "convolve2d": lambda t: signal.convolve2d(PLANE(t)[0, 0], K2(t)[0, 0], boundary="wrap"),
    "gradient of the input": lambda t: grad.conv2d_input((1, 1, 2**40, 2**40), K2(t), view(1, 1, 2**20, 2**20)(t)),
    "gradient of the weight": lambda t: grad.conv1d_weight(view(1, 2**30, 3)(t), (2**40, 2**30, 3), view(1, 2**40, 1)(t)),
    "gradient of an average": lambda t: grad.avg_pool2d_input((1, 1, 2**40, 2**40), view(1, 1, 3, 3)(floating(t)), 2),
    "gradient of a maximum": lambda t: grad.max_pool2d_input((1, 1, 2**40, 2**40), view(1, 1, 3, 3)("int64"), view(1, 1, 3, 3)(t)),
    "gradient of unfold": lambda t: grad.unfold_input((1, 1, 2**40, 2**40), view(1, 9, 1)(t), 3, stride=2**40),
    "relu": lambda t: cyconv.relu(PLANE(real(t))),
    "linear": lambda t: cyconv.linear(view(2**30, 3)(floating(t)), view(2**30, 3)(floating(t))),
}  # fmt: skip


@pytest.fixture
def little_memory():
    """A gigabyte more than the process has, so that a mistake does not take all that there is."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@linux
@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_that_cannot_be(dtype, little_memory):
    """At once, and never as a smaller size that the product of some numbers is modulo 2**64."""
    for name, call in IMPOSSIBLE.items():
        with pytest.raises((ValueError, MemoryError)):
            call(dtype)
            pytest.fail(f"{name} of {dtype} returned")


@linux
def test_layers_that_cannot_be(little_memory):
    for make in (lambda: nn.Conv2d(2**40, 2**40, 3), lambda: nn.Linear(2**40, 2**40), lambda: nn.BatchNorm2d(2**61), lambda: nn.ConvTranspose1d(2**33, 2**33, 1)):
        with pytest.raises((ValueError, MemoryError)):
            make()


@linux
def test_random_sizes():
    counts, wrong = sizes.watch(seed=7, calls=100, seconds=60)
    assert not wrong
    assert {"ValueError", "MemoryError", "TypeError", "returned"} <= set(counts)


# ---- GEMM --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "weight"), [((1, 2, 46400, 46400), (1, 2, 1, 1)), ((1, 2, 46400, 46400), (3, 2, 3, 3)), ((1, 1, 2**32), (1, 1, 3))])
def test_blas_is_given_what_it_can_count(shape, weight):
    """Planes of 2**31 results and more are cut into blocks (test_limits_huge.py computes them)."""
    x, w = view(*shape)("float32"), view(*weight)("float32")
    found = {v.algorithm.name: v for v in cyconv.explain(x, w).verdicts}["im2col"]
    assert found.declined is None and found.workspace < 2**24
    x = view(1, 2**30, 1)("float32")
    long = {v.algorithm.name: v for v in cyconv.explain(x, x, max_workspace=2**50).verdicts}["im2col"]
    assert "longer than BLAS can count" in long.declined


# ---- memory that runs out ----------------------------------------------------------------------------------------------------


@linux
def test_allocations_that_fail():
    lines, deaths = faults.injected(["direct float32", "im2col float32", "fft float32", "winograd float16", "max_pool indices", "transposed", "unfold"], most=2, threads=2)
    if lines is None:
        pytest.skip("no C compiler here")
    assert not deaths
    assert not [line for line in lines if line.startswith("WRONG")]
    rows = [list(map(int, line.split("|")[2:6])) for line in lines if line.startswith("|")]
    injected, raised, fine, others = map(sum, zip(*rows))
    assert injected == raised + fine + others > 80 and raised > 40


# ---- the bound of scratch memory ---------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(("problem", "algorithm", "bound"), [("signal", "fft", 16), ("wide layer", "im2col", 8), ("wide layer", "auto", 1)])
def test_peak_memory_stays_below_max_workspace(problem, algorithm, bound):
    found = workspace.child(problem, algorithm, bound, 2, "float32")
    assert algorithm in ("auto", found["algorithm"])
    assert found["peak"] <= bound * workspace.MIB + workspace.ALLOWED
    assert found["first"] <= found["peak"] + workspace.ONCE


@pytest.mark.parametrize(("problem", "algorithm", "bound", "dtype"), [(p, a, b, d) for p, a, b, _, d in workspace.TIGHT if p != "far planes"])
def test_all_that_packed_weights_take_is_counted(problem, algorithm, bound, dtype):
    """The copies that converted weights pass through, and transformed weights: with them these exceed the bound (workspace.py measures the others)."""
    shape, kernel, options = workspace.PROBLEMS[problem]
    for mib, fits in ((bound, False), (4 * bound, True)):
        said = cyconv.explain(view(*shape)(dtype), view(*kernel)(dtype), max_workspace=int(mib * workspace.MIB), **options).verdicts
        (found,) = (v for v in said if v.algorithm.name == algorithm)
        assert (found.declined is None) is fits, found
        assert fits or found.workspace > mib * workspace.MIB


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128", "int8", "int64"])
@pytest.mark.parametrize("groups", [1, 2, 60])
@pytest.mark.parametrize("algorithm", ["direct", "implicit_gemm"])
def test_weights_that_cannot_be_packed_at_once(algorithm, groups, dtype):
    if algorithm == "implicit_gemm" and "int" in dtype:
        pytest.skip("for floating point alone")
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, (2, 60, 9, 8)).astype(dtype)
    weight = rng.integers(-1, 2, (240, 60 // groups, 3, 3)).astype(dtype)
    bias = rng.integers(-3, 4, 240).astype(dtype)
    if "complex" in dtype:
        weight.imag, x.imag = weight.real[:, ::-1], x.real[:, ::-1]
    expected = cyconv.conv2d(x, weight, bias, padding=1, groups=groups, algorithm="reference")
    module = select.choose(cyconv.explain(x, weight, bias, padding=1, groups=groups).problem, algorithm).module
    for view in (weight, np.ascontiguousarray(weight[::-1])[::-1]):
        with pytest.raises(ValueError) as refused:
            cyconv.conv2d(x, view, bias, padding=1, groups=groups, algorithm=algorithm, max_workspace=1)
        least = 2 * int(re.search(r"needs (\d+) bytes of workspace", str(refused.value))[1])
        if algorithm == "direct" and groups < 60:
            problem = cyconv.explain(x, view, bias, padding=1, groups=groups, max_workspace=least).problem
            assert module.prepare_once(problem, view) is view
        got = cyconv.conv2d(x, view, bias, padding=1, groups=groups, algorithm=algorithm, max_workspace=least)
        np.testing.assert_array_equal(got, expected)


# ---- what is left behind -----------------------------------------------------------------------------------------------------


@linux
def test_many_calls_leave_nothing_behind():
    done = subprocess.run([sys.executable, HERE / "leaks.py", "--share", "0.005", "same calls", "refused calls", "plans"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


ANY_LENGTH = {"_class_of"}  # of a class: as many entries as there are


def test_every_cache_has_a_bound():
    cyconv.conv2d(np.ones((1, 2, 9, 9)), np.ones((1, 2, 3, 3)), algorithm="fft")
    found = [each for each in gc.get_objects() if type(each) is functools._lru_cache_wrapper and str(each.__module__).startswith("cyconv")]
    assert len(found) > 10
    for each in found:
        assert (each.cache_info().maxsize or 0) <= 1024
        if each.cache_info().maxsize is None and each.__name__ not in ANY_LENGTH and "gpu" not in each.__module__:
            assert not inspect.signature(each).parameters  # it holds one answer


def test_a_thousand_shapes_are_forgotten():
    for n in range(1000):
        x = np.ones((1, 1, 20 + n), np.float32)
        cyconv.conv1d(x, x[:, :, :3])
        cyconv.max_pool1d(x, 2)
        cyconv.avg_pool1d(x, [2])
    problems = [d for d in gc.get_objects() if type(d) is dict and len(d) > 100 and type(next(iter(d.values()))).__module__.startswith("cyconv")]
    assert all(len(d) <= 1024 for d in problems)
    assert select.ALGORITHMS  # nothing of cyconv's own was lost

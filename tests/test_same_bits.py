"""Nothing but numbers and arguments has a say in the bits of a result: neither threads, nor the place in a batch, nor how arrays lie in memory,
nor chunks, nor where the result is written, nor the process. The slow part draws many more problems (`pytest -m slow tests/test_same_bits.py`: a minute).
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from cases import FAST, FLOATS, ROWS, conv, suited
from number_cases import drawn_problems, same_bits

import cyconv


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def lying(rng, a):
    """The same numbers, lying in memory in some other way."""
    how = rng.integers(8)
    if how == 0:
        return np.asfortranarray(a)
    if how == 1 and a.ndim > 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)  # channels last
    if how == 2:
        return np.ascontiguousarray(np.flip(a))[tuple(slice(None, None, -1) for _ in a.shape)]
    if how == 3:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 1), a.dtype)
        wide[..., 1::2] = a
        return wide[..., 1::2]
    if how == 4:
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[...] = a
        return raw
    if how == 5:
        return a.astype(a.dtype.newbyteorder())
    if how == 6:
        order = rng.permutation(a.ndim)
        return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))
    return a.copy()


def inexact(rng, shape, dtype):
    """Of many sizes, zeros of both signs among them."""
    def part():
        values = rng.standard_normal(shape) * 2.0 ** rng.integers(-8, 8, shape)
        return np.where(rng.random(shape) < 0.1, rng.choice([0.0, -0.0], shape), values)

    return (part() + 1j * part() if np.dtype(dtype).kind == "c" else part()).astype(dtype)


def check_bits(rng, name, case, what):
    x, w, b = (inexact(rng, shape, what.dtype) for shape in (case.input, case.weight, case.weight[:1]))
    w, row, function = suited(name, w), ROWS[name], conv(case.rank)
    if row.weights and not row.module.suits(what, w):
        return
    with cyconv.threads(1):
        want = function(x, w, b, **case.arguments, algorithm=name)
        planned = cyconv.plan_conv(x.shape, w, b, **case.arguments, algorithm=name)(x)
    if name != "winograd":  # of a few tiles it takes factors out of weights that are transformed in each call
        same_bits(planned, want, what)
    message = f"{name}, {what}, {case.arguments}"
    for _ in range(3):
        order = rng.permutation(len(x))
        with cyconv.threads(int(rng.integers(1, 9))):
            got = function(lying(rng, x[order]), lying(rng, w), lying(rng, b), **case.arguments, algorithm=name)
            same_bits(got, want[order], message)
            out = lying(rng, np.zeros_like(want)).astype(want.dtype, copy=False)
            same_bits(np.ascontiguousarray(function(x, w, b, **case.arguments, algorithm=name, out=out)), want, f"out, {message}")
            plan = cyconv.plan_conv(x.shape, lying(rng, w), b, dtype=what.dtype, **case.arguments, algorithm=name)
            same_bits(plan(lying(rng, x[order])), planned[order], f"plan, {message}")
    one = np.broadcast_to(x[:1, :1], x.shape)
    same_bits(function(one, w, b, **case.arguments, algorithm=name), function(one.copy(), w, b, **case.arguments, algorithm=name), message)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_bits_depend_on_numbers_and_arguments_alone(name, dtype):
    rng = np.random.default_rng(19)
    for case, what in drawn_problems(rng, name, dtype, 4):
        check_bits(rng, name, case, what)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_bits_of_many_problems(name):
    rng, count = np.random.default_rng(20), 0
    for dtype in FLOATS:
        for case, what in drawn_problems(rng, name, dtype, 0, seconds=1.5):
            check_bits(rng, name, case, what)
            count += 1
    assert count > 50


@pytest.mark.parametrize("algorithm", ["sliding", "pool"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_bits_of_pools(algorithm, dtype):
    """Planes of few samples and many, windows of few columns and many, whole planes; sums that are exact in no precision."""
    rng = np.random.default_rng(21)
    shapes = ((1, (3, 5, 90)), (2, (3, 17, 20, 23)), (2, (4, 3, 5, 6)), (2, (3, 20, 7, 7)), (2, (2, 66, 12, 9)), (3, (3, 2, 7, 8, 9)), (3, (2, 9, 5, 5, 10)))
    for rank, shape in shapes:
        x = inexact(rng, shape, dtype)
        if dtype != "float16":          # halves add up exactly in double precision
            x = (x * 2.0 ** rng.integers(-30, 30, shape)).astype(dtype)
        calls = [("avg_pool", (3, 1, 1)), ("avg_pool", (5, 2)), ("avg_pool", (shape[2:],))]
        if np.dtype(dtype).kind == "f":
            calls += [("max_pool", (3, 2, 1)), ("lp_pool", (2, 3)), ("lp_pool", (3, 2)), ("lp_pool", (2, shape[2:]))] + [("min_pool", (2,))] * (algorithm == "sliding")
        if algorithm == "pool":
            calls += [("adaptive_avg_pool", (n,)) for n in (1, 2, 4)] + [("adaptive_max_pool", (4,))] * (np.dtype(dtype).kind == "f")
        for function, arguments in calls:
            check_pool(rng, f"{function}{rank}d", arguments, algorithm, x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_bits_of_pools_that_are_chosen(dtype):
    """By the problem alone: `pool` for some of these windows, `sliding` for others, whose sums are of another order."""
    rng = np.random.default_rng(26)
    for shape, kernel, stride in (
        ((2, 8, 64, 64), 60, 1), ((2, 3, 64, 64), 8, 8), ((2, 3, 64, 64), 2, 2), ((2, 20, 16, 16), 7, 3), ((3, 3, 20, 20), (20, 3), 1), ((2, 5, 40, 9), (40, 9), 1),
    ):
        x = inexact(rng, shape, dtype)
        if dtype != "float16":
            x = (x * 2.0 ** rng.integers(-30, 30, shape)).astype(dtype)
        check_pool(rng, "avg_pool2d", (kernel, stride), "auto", x)
        if np.dtype(dtype).kind == "f":
            check_pool(rng, "lp_pool2d", (3, kernel, stride), "auto", x)
            check_pool(rng, "lp_pool2d", (np.inf, kernel, stride), "auto", x)


def test_bits_of_long_windows():
    """That go on in another piece of a line; and of planes that are longer than a line, or some in one."""
    rng = np.random.default_rng(24)
    for dtype in ("float16", "float64"):
        for shape, calls in (
            ((2, 9, 5003), [("avg_pool1d", (2500, 300, 1000)), ("adaptive_avg_pool1d", (3,)), ("adaptive_avg_pool1d", (1,)), ("lp_pool1d", (2, 5003))]),
            ((2, 12, 30, 41), [("avg_pool2d", (30, 41)), ("adaptive_avg_pool2d", (1,)), ("lp_pool2d", (3, (30, 41))), ("adaptive_avg_pool2d", (3,))]),
        ):
            for function, arguments in calls:
                check_pool(rng, function, arguments if function != "avg_pool2d" else (arguments,), "pool", inexact(rng, shape, dtype))


def check_pool(rng, function, arguments, algorithm, x):
    pool = getattr(cyconv, function)
    with cyconv.threads(1):
        want = pool(x, *arguments, algorithm=algorithm)
    for _ in range(5):
        some = rng.permutation(len(x))[: rng.integers(1, len(x) + 1)]
        with cyconv.threads(int(rng.integers(1, 9))):
            same_bits(pool(lying(rng, x[some]), *arguments, algorithm=algorithm), want[some], (function, x.shape, x.dtype, arguments))


@pytest.mark.slow
def test_bits_of_many_pools():
    rng, count, end = np.random.default_rng(25), 0, time.monotonic() + 20
    while time.monotonic() < end:
        rank, dtype = int(rng.integers(1, 4)), str(rng.choice(FLOATS))
        size = tuple(int(n) for n in rng.integers(1, (5000 if rng.random() < 0.1 else 90, 26, 10)[rank - 1], rank))
        x = inexact(rng, (int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 8, 9, 16, 20, 40, 66])), *size), dtype)
        if x.size > 300_000:
            continue
        kernel, stride = tuple(int(rng.integers(1, n + 1)) for n in size), tuple(int(n) for n in rng.integers(1, 9, rank))
        padding = tuple(int(rng.integers(0, n // 2 + 1)) for n in kernel)
        calls = [("avg_pool", (kernel, stride, padding)), ("avg_pool", (size,)), ("adaptive_avg_pool", (kernel,)), ("adaptive_avg_pool", (1,))]
        if np.dtype(dtype).kind == "f":
            calls += [("lp_pool", (float(rng.choice([0.5, 1, 2, 3, np.inf])), kernel, stride)), ("lp_pool", (2, size)), ("max_pool", (kernel, stride))]
        function, arguments = calls[rng.integers(len(calls))]
        check_pool(rng, f"{function}{rank}d", arguments, "pool", x)
        count += 1
    assert count > 100


@pytest.mark.parametrize("name", FAST)
def test_bits_of_chunks(name):
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(22)
    shape, kernel, arguments = ((1, 17, 40, 41), (17, 1, 3, 3), {"groups": 17}) if name == "channel_lanes" else ((2, 3, 30, 31), (4, 3, 3, 3), {})
    x, w = inexact(rng, shape, "float32"), suited(name, inexact(rng, kernel, "float32"))
    found = []
    for chunks in (shape, (1, shape[1], 7, -1), (2, shape[1], 13, 20), (1, 1, 16, 16)):
        lazy = da.from_array(x, chunks=chunks)
        found.append(cyconv.conv2d(lazy, w, padding=1, **arguments, algorithm=name).compute())
        same_bits(found[-1], found[0], chunks)


PROGRAM = """
import hashlib, sys
import numpy as np
import cyconv
digest = hashlib.sha256()
rng = np.random.default_rng(23)
for dtype in ("float16", "float32", "float64", "complex64", "complex128"):
    for shape, kernel in (((2, 3, 40), (4, 3, 5)), ((1, 16, 15, 16), (16, 16, 3, 3)), ((1, 1, 90, 91), (1, 1, 40, 41)), ((1, 64, 9, 9), (64, 64, 1, 1)),
                          ((1, 2, 6, 7, 8), (3, 2, 3, 3, 3))):
        x, w = rng.standard_normal(shape).astype(dtype), rng.standard_normal(kernel).astype(dtype)
        rank = len(shape) - 2
        y = getattr(cyconv, f"conv{rank}d")(x, w, padding=1)
        digest.update(y.tobytes())
        digest.update(getattr(cyconv.grad, f"conv{rank}d_input")(x.shape, w, y, padding=1).tobytes())
        digest.update(getattr(cyconv.grad, f"conv{rank}d_weight")(x, w.shape, y, padding=1).tobytes())
        digest.update(getattr(cyconv, f"avg_pool{rank}d")(y, 2).tobytes())
print(digest.hexdigest())
"""


def test_another_process_has_the_same_bits():
    found = set()
    for threads, seed in (("1", "0"), ("3", "1")):
        environment = os.environ | {"CYCONV_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        found.add(subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=100).stdout)
    here = []
    exec(compile(PROGRAM, "PROGRAM", "exec"), {"print": here.append})
    assert found == {here[0] + "\n"} and len(here[0]) == 64

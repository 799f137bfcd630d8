"""Numbers below the smallest normal one cost about as much as all others; where that means to count them as zeros, strict precision does not."""

import time

import numpy as np
import pytest
from cases import FAST, ROWS, conv, suited, takes

import cyconv
from cyconv import _platform

KINDS = [("float32", 1e-40), ("float64", 1e-310)]
PROBLEMS = [
    (2, (1, 8, 12, 13), (16, 8, 3, 3), 1),
    (2, (1, 6, 12, 13), (6, 1, 3, 3), 6),
    (1, (1, 1, 400), (1, 1, 3), 1),
    (2, (2, 8, 80, 80), (16, 8, 3, 3), 1),  # enough for two threads
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_becomes_of_them(name, dtype, threads):
    rng = np.random.default_rng(0)
    least = np.finfo(dtype).smallest_subnormal
    for rank, shape, kernel, groups in PROBLEMS:
        x, w = rng.integers(-3, 4, shape).astype(dtype), rng.integers(-3, 4, kernel).astype(dtype)
        w = suited(name, w)
        options = {"padding": 1, "groups": groups}
        if not takes(name, x, w, **options):
            continue
        want = conv(rank)(x, w, **options, algorithm="reference") * least
        strict = takes(name, x, w, **options, precision="strict")
        with cyconv.threads(threads):
            default = conv(rank)(x * least, w, **options, algorithm=name)
            exact = conv(rank)(x * least, w, **options, algorithm=name, precision="strict") if strict else None
        # the processor's mode is as it was; told by bits, since a mode that takes subnormal numbers for zeros compares them so, too
        assert (least * np.ones(1, dtype)).tobytes() == np.array([least], dtype).tobytes()
        if _platform.flushes_subnormals():
            assert np.all((default == 0) | (default == want) if strict else np.abs(default) < np.finfo(dtype).smallest_normal)
        else:
            assert_nearly(default, want, name, w, least)
        if strict:
            assert_nearly(exact, want, name, w, least)


def assert_nearly(got, want, name, w, least):
    if ROWS[name].weights:  # the first factors are small, so that no sum overflows: what is lost there, the last one makes larger
        assert np.abs(got - want).max() <= 4 * w[0, 0].size * np.abs(w).max() * least
    elif ROWS[name].scale == "terms":
        np.testing.assert_array_equal(got, want)
    else:  # transforms have factors that no integer holds: each rounding may cost one of the least numbers
        assert np.abs(got - want).max() <= 4e3 * least


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_are_exact_whatever_becomes_of_others(dtype):
    """Small normal numbers, whose products with small weights are normal, too: nothing may be lost of them."""
    rng = np.random.default_rng(2)
    x, w = rng.integers(-3, 4, (1, 8, 12, 13)).astype(dtype), rng.integers(-3, 4, (16, 8, 3, 3)).astype(dtype)
    small = 4 * np.finfo(dtype).smallest_normal
    want = cyconv.conv2d(x, w, algorithm="reference") * small
    for name in ("direct", "implicit_gemm", "im2col"):
        np.testing.assert_array_equal(cyconv.conv2d(x * small, w, algorithm=name), want)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("dtype, tiny", KINDS)
def test_they_cost_less_than_twice(name, dtype, tiny):
    rng = np.random.default_rng(1)
    groups = 32 if name in ("depthwise", "channel_lanes", "separable") else 1
    x, w = rng.standard_normal((1, 32, 40, 40)).astype(dtype), rng.standard_normal((32, 32 // groups, 3, 3)).astype(dtype)
    w = suited(name, w)
    if not takes(name, x, w, padding=1, groups=groups):
        pytest.skip(f"{name} does not take {dtype}")
    tiny = np.dtype(dtype).type(tiny)
    out = np.empty((1, 32, 40, 40), dtype)
    kinds = {"normal": (x, w), "input": (x * tiny, w), "weight": (x, suited(name, w * tiny))}
    plans = {kind: cyconv.plan_conv(x.shape, weight, padding=1, groups=groups, algorithm=name) for kind, (_, weight) in kinds.items()}
    for attempt in range(5):  # a busy machine may need several
        seconds = dict.fromkeys(kinds, np.inf)
        with cyconv.threads(1):
            for _ in range(12):
                for kind, (image, _) in kinds.items():
                    begin = time.thread_time()
                    plans[kind](image, out=out)
                    seconds[kind] = min(seconds[kind], time.thread_time() - begin)
        if max(seconds["input"], seconds["weight"]) < 2 * seconds["normal"]:
            return
    pytest.fail(f"{name}, {dtype}: {seconds}")

"""Every algorithm runs every case that it accepts, in every dtype, against the reference."""

import numpy as np
import pytest
from cases import (
    CASES,
    FAST,
    FLOATS,
    INTEGERS,
    ROWS,
    Case,
    arrays,
    assert_within_bound,
    conv,
    problem_of,
    runs,
    suited,
    takes,
)

import cyconv


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_every_algorithm_on_small_integers(case, dtype):
    x, w, bias = arrays(case, dtype)
    problem = problem_of(case, dtype, bias)
    want_any = conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments)
    ran, any_weight = 0, w
    for name in FAST:
        w, want = any_weight, want_any
        if ROWS[name].weights:
            w = suited(name, w)
            want = conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments)
        if not runs(name, problem):
            with pytest.raises(ValueError, match=f"algorithm='{name}' cannot compute"):
                conv(case.rank)(x, w, bias, algorithm=name, **case.arguments)
            continue
        got = conv(case.rank)(x, w, bias, algorithm=name, **case.arguments)
        ran += 1
        assert got.dtype == want.dtype
        if ROWS[name].scale == "terms":
            np.testing.assert_array_equal(got, want, err_msg=name)
        else:
            assert_within_bound(ROWS[name], problem, x, w, bias, got)
    assert ran, "no algorithm but the reference took this case"


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_algorithm_holds_its_error_bound(case, dtype):
    x, w, bias = arrays(case, dtype, small=False)
    problem = problem_of(case, dtype, bias)
    for name in ROWS:
        if runs(name, problem):
            weight = suited(name, w)
            got = conv(case.rank)(x, weight, bias, algorithm=name, **case.arguments)
            assert_within_bound(ROWS[name], problem, x, weight, bias, got)


@pytest.mark.backends
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_error_bound_on_cancelling_sums(name, dtype):
    # large terms that cancel: the result is small, the rounding is that of the terms
    rng = np.random.default_rng(3)
    x = np.repeat(rng.standard_normal((1, 8, 12, 12)), 2, axis=1).astype(dtype) * 10 ** rng.uniform(-3, 3, (1, 16, 1, 1)).astype(dtype)
    w = rng.standard_normal((4, 16, 3, 3)).astype(dtype)
    w[:, 1::2] = -w[:, ::2]
    x[:, 1::2] = x[:, ::2] * (1 + 1e-3)
    case = Case("cancel", x.shape, w.shape, {"padding": 1}, bias=False)
    problem = problem_of(case, dtype, None)
    if not runs(name, problem):
        pytest.skip(f"{name} declines")
    assert_within_bound(ROWS[name], problem, x, w, None, cyconv.conv2d(x, w, padding=1, algorithm=name))


@pytest.mark.parametrize("name", FAST)
def test_many_blocks(name):
    # larger than one block in every direction, so that all seams between blocks are crossed
    rng = np.random.default_rng(4)
    for rank, shape, kernel, options in (
        (1, (2, 3, 5000), (7, 3, 5), {"stride": 2, "padding": 2}),
        (2, (1, 40, 70, 1500), (9, 40, 3, 3), {"padding": 1}),
        (2, (1, 300, 40, 33), (300, 300, 1, 1), {}),
        (3, (1, 16, 30, 20, 40), (5, 16, 3, 3, 3), {"padding": 1, "stride": (1, 2, 1)}),
        (2, (1, 6, 300, 700), (12, 1, 3, 3), {"groups": 6, "padding": 1, "stride": 2}),
        (3, (1, 2, 50, 60, 90), (2, 1, 3, 2, 5), {"groups": 2, "padding": 1}),
    ):
        x, w = (rng.integers(-2, 3, s).astype("float32") for s in (shape, kernel))
        w = suited(name, w)
        if not takes(name, x, w, **options):
            continue
        got = conv(rank)(x, w, algorithm=name, **options)
        want = conv(rank)(x, w, algorithm="reference", **options)
        if ROWS[name].scale == "terms":
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, atol=2e-2)


@pytest.mark.backends
def test_integers_wrap_as_numpys_do():
    rng = np.random.default_rng(5)
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (1, 2, 30), dtype, endpoint=True)
        w = rng.integers(info.min, info.max, (3, 2, 4), dtype, endpoint=True)
        got = cyconv.conv1d(x, w)
        want = [sum(np.correlate(x[0, c], w[o, c], "valid") for c in range(2)) for o in range(3)]
        np.testing.assert_array_equal(got[0], np.array(want, dtype))


@pytest.mark.backends
def test_halves_round_as_numpys_do():
    # all finite halves through a 1x1 convolution with 1: stored, widened, rounded back
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)][None, None]
    one = np.ones((1, 1, 1), np.float16)
    np.testing.assert_array_equal(cyconv.conv1d(halves, one), halves)
    # sums that need rounding, ties, overflow to infinity and subnormal results
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.standard_normal(3000), rng.uniform(-6e4, 6e4, 3000), rng.uniform(-1e-6, 1e-6, 3000), [65504, 65504, 65488, 32]])
    x = x.astype(np.float16)
    with np.errstate(over="ignore"):
        want = (x[:-1].astype(np.float32) + x[1:].astype(np.float32)).astype(np.float16)
    np.testing.assert_array_equal(cyconv.conv1d(x[None, None], np.ones((1, 1, 2), np.float16))[0, 0], want)


@pytest.mark.backends
@pytest.mark.parametrize("name", FAST)
def test_non_finite_halves(name):
    x = np.array([1, np.inf, 2, -np.inf, 3, np.nan, 4], np.float16)[None, None]
    if ROWS[name].spreads_nonfinite:
        pytest.skip("spreads them, as its docstring says")
    if not runs(name, problem_of(Case("", (1, 1, 7), (1, 1, 1)), "float16", None)):
        pytest.skip(f"{name} declines")
    got = cyconv.conv1d(x, np.ones((1, 1, 1), np.float16), algorithm=name)
    np.testing.assert_array_equal(got, x)


# ---- bugs that were met ------------------------------------------------------------------------------------------------


@pytest.mark.backends
@pytest.mark.parametrize("name", FAST)
def test_one_tap_with_cropping_and_padding(name):
    # a phase of a transposed convolution has one tap, as many outputs as inputs, and yet they are shifted
    if not runs(name, problem_of(Case("", (1, 1, 3), (1, 1, 1)), "float64", None)):
        pytest.skip(f"{name} declines")
    x, w = np.array([[[1.0, 2, 3]]]), np.array([[[1.0, 10, 100]]])
    got = cyconv.conv_transpose1d(x, w, stride=3, padding=1, output_padding=2, algorithm=name)
    np.testing.assert_allclose(got, [[[10, 100, 2, 20, 200, 3, 30, 300, 0]]], atol=1e-10)


@pytest.mark.backends
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("channel_stride", [1, 0, -1])
def test_one_channel_whose_stride_means_nothing(name, channel_stride):
    if not runs(name, problem_of(Case("", (8, 1, 20, 21), (8, 1, 1, 1)), "float32", None)):
        pytest.skip(f"{name} declines")
    x = np.random.default_rng(7).integers(-3, 4, (8, 1, 20, 21)).astype("float32")
    strides = (x.strides[0], 4 * channel_stride, *x.strides[2:])
    odd = np.lib.stride_tricks.as_strided(x, x.shape, strides)
    w = np.arange(8, dtype="float32").reshape(8, 1, 1, 1)
    np.testing.assert_allclose(cyconv.conv2d(odd, w, algorithm=name), x * w[:, 0], atol=1e-4)


@pytest.mark.long
def test_long_calls_are_not_cut_into_one_item_a_region():
    # how many multiply-adds lie between two looks at Ctrl-C was a negative C int once: every item was a region of its own
    import time

    x, w = np.ones((20000, 1, 6, 6), np.float32), np.ones((8, 1, 3, 3), np.float32)
    seconds = {}
    for count in (1, 2):
        with cyconv.threads(count):
            runs = []
            for _ in range(9):
                begin = time.perf_counter()
                cyconv.conv2d(x, w, algorithm="direct")
                runs.append(time.perf_counter() - begin)
            seconds[count] = min(runs)
    assert seconds[2] < 1.5 * seconds[1]

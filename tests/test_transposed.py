"""Transposed convolution against the scatter-add oracle, over every mix of stride, dilation, padding and groups."""

import itertools
import tracemalloc

import numpy as np
import pytest
from cases import FAST, FLOATS, INTEGERS, ROWS, suited

import cyconv
from cyconv import reference, transpose
from cyconv.problem import conv_transpose_problem

pytestmark = pytest.mark.backends


def check(rank, x, w, bias, stride, padding, output_padding, groups, dilation, **more):
    got = getattr(cyconv, f"conv_transpose{rank}d")(x, w, bias, stride, padding, output_padding, groups, dilation, **more)
    want = reference.conv_transpose(x, w, bias, stride, padding, output_padding, groups, dilation)
    assert got.shape == want.shape and got.dtype == x.dtype
    if ROWS.get(more.get("algorithm", "direct"), ROWS["direct"]).scale == "terms":
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(got, want, atol=1e-3)


@pytest.mark.long
def test_every_stride_dilation_kernel_and_padding_in_1d():
    rng = np.random.default_rng(0)
    ran = 0
    for n, k, s, d, p in itertools.product((1, 2, 5), (1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), (0, 1, 3)):
        for extra in range(max(s, d)):
            if (n - 1) * s - 2 * p + d * (k - 1) + extra + 1 < 1:
                continue
            x, w, b = rng.integers(-3, 4, (2, 2, n)), rng.integers(-3, 4, (2, 3, k)), rng.integers(-3, 4, 3)
            check(1, x, w, b, (s,), (p,), (extra,), 1, (d,), algorithm="direct")
            ran += 1
    assert ran > 900


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dtypes_and_groups(rank, dtype):
    rng = np.random.default_rng(rank)
    x = rng.integers(0, 4, (2, 4, *range(4, 4 + rank))).astype(dtype)
    w = rng.integers(0, 4, (4, 3, *(3, 2, 4)[:rank])).astype(dtype)
    b = rng.integers(0, 4, 6).astype(dtype)
    check(rank, x, w, b, (2, 1, 3)[:rank], (1, 0, 2)[:rank], (1, 0, 1)[:rank], 2, (1, 2, 1)[:rank], algorithm="auto")


@pytest.mark.parametrize("name", FAST)
def test_every_algorithm(name):
    rng = np.random.default_rng(7)
    x, w = rng.integers(-3, 4, (1, 6, 9, 8)).astype("float32"), rng.integers(-3, 4, (6, 4, 4, 5)).astype("float32")
    try:
        check(2, x, suited(name, w), None, (2, 3), (1, 2), (0, 1), 2, (1, 2), algorithm=name)
    except ValueError as error:
        if "cannot compute" not in str(error):
            raise
        pytest.skip(f"{name} declines")


def test_unbatched_and_out():
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((3, 5, 6)), rng.standard_normal((3, 2, 3, 3))
    want = cyconv.conv_transpose2d(x[None], w, stride=2)[0]
    out = np.empty(want.shape)
    assert cyconv.conv_transpose2d(x, w, stride=2, out=out) is out
    np.testing.assert_array_equal(out, want)
    with pytest.raises(ValueError, match="out"):
        cyconv.conv_transpose2d(x, w, stride=2, out=out[:, :-1])


def test_empty_batch():
    assert cyconv.conv_transpose1d(np.zeros((0, 2, 4)), np.zeros((2, 3, 3)), stride=2).shape == (0, 3, 9)


def test_padding_per_side_cuts_the_result():
    rng = np.random.default_rng(9)
    x, w = rng.integers(-3, 4, (1, 2, 5, 6)), rng.integers(-3, 4, (2, 3, 3, 4))
    whole = cyconv.conv_transpose2d(x, w, stride=(2, 3))
    got = cyconv.conv_transpose2d(x, w, stride=(2, 3), padding=((1, 0), (2, 4)))
    np.testing.assert_array_equal(got, whole[:, :, 1:, 2:-4])


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64", "complex128"])
def test_gathered_taps_are_numpys(dtype):
    from cyconv._taps import gather

    rng = np.random.default_rng(8)
    for shape, taps in (
        ((3, 5, 2, 7, 8), np.s_[..., ::-3, 6::-2]),
        ((1, 40, 33, 4, 4), np.s_[..., 2::-2, 3::-2]),
        ((2, 3, 4, 9, 20), np.s_[..., ::-1, ::-1]),  # more taps than are listed
        ((2, 17, 3, 5), np.s_[..., 1:2]),
    ):
        view = rng.integers(-99, 99, shape).astype(dtype).swapaxes(1, 2)[taps]
        weight = np.empty((view.shape[0] * view.shape[1], *view.shape[2:]), dtype)
        gather(view, weight)
        np.testing.assert_array_equal(weight.reshape(view.shape), view)


# ---- the two ways of computing it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["columns", "phases"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_columns_and_phases(rank, dtype, way, monkeypatch):
    """Of few samples by many weights either may be quicker; both are exact on small integers."""
    monkeypatch.setattr(transpose, "columns_pay", lambda whole: way == "columns")
    rng = np.random.default_rng(rank)
    for stride, dilation, padding, extra in [(1, 1, 1, 0), (2, 1, 0, 1), (3, 1, 1, 2), (2, 3, 2, 2), (1, 2, (1,) * rank, 0)]:
        size, kernel = (3, 2, 2)[:rank], (3, 2, 3)[:rank]
        x, w, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((2, 40, *size), (40, 5, *kernel), (5,)))
        steps = (stride,) * rank, padding if isinstance(padding, tuple) else (padding,) * rank, (extra,) * rank, 1, (dilation,) * rank
        whole = conv_transpose_problem(rank, x, w, b, *steps, "default", 2**28)
        assert whole.columns is not None
        for bias in (b, None):
            check(rank, x, w, bias, *steps)
        check(rank, np.asfortranarray(x), np.asfortranarray(w), b, *steps)
        with cyconv.threads(3):
            check(rank, x, w, b, *steps)


def test_columns_are_for_few_samples_by_many_weights():
    def ways(*shapes, groups=1, dtype="float32"):
        x, w = (np.zeros(shape, dtype) for shape in shapes)
        whole = conv_transpose_problem(2, x, w, None, 1, 1, 0, groups, 1, "default", 2**28)
        return whole.columns is not None and transpose.columns_pay(whole)

    assert ways((8, 512, 2, 2), (512, 512, 3, 3))
    assert not ways((8, 256, 4, 4), (256, 256, 3, 3))  # winograd
    assert not ways((8, 64, 16, 16), (64, 64, 3, 3))
    assert not ways((8, 512, 2, 2), (512, 256, 3, 3), groups=2)
    assert not ways((8, 512, 2, 2), (512, 512, 3, 3), dtype="complex64")


@pytest.mark.parametrize("stride", [(1, 1, 3), (2, 2, 2), (3, 1, 2), (5, 4, 4), (9, 9, 1)])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64", "complex128"])
def test_phases_are_woven_in_any_dtype(stride, dtype):
    """Kernels shorter than a stride leave outputs that no tap reaches; more phases than can be woven are put there one by one."""
    rng = np.random.default_rng(4)
    x, w, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((2, 2, 3, 4, 5), (2, 3, 2, 3, 2), (3,)))
    for bias in (b, None):
        check(3, x, w, bias, stride, (0, 1, 0), (0, 0, 0), 1, (1, 1, 1), algorithm="direct")


def test_threads_weave_as_one_does():
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((4, 8, 90, 91), dtype="float32"), rng.standard_normal((8, 6, 4, 4), dtype="float32")
    with cyconv.threads(1):
        expected = cyconv.conv_transpose2d(x, w, stride=2, padding=1).tobytes()
    for count in (2, 3):
        with cyconv.threads(count):
            assert cyconv.conv_transpose2d(x, w, stride=2, padding=1).tobytes() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value):
    """Where a sample is none, a zero is multiplied by the weight, whichever way is taken."""
    x, w = np.ones((1, 64, 4), "float32"), np.ones((64, 8, 3), "float32")
    assert transpose.columns_pay(conv_transpose_problem(1, x, w, None, 1, 0, 0, 1, 1, "default", 2**28))
    w[0, 0, 0] = value
    want = np.isfinite(cyconv.conv_transpose1d(x, w, algorithm="reference"))
    np.testing.assert_array_equal(np.isfinite(cyconv.conv_transpose1d(x, w)), want)
    x[0, 3, 1], w[0, 0, 0] = value, 1
    want = np.isfinite(cyconv.conv_transpose1d(x, w, algorithm="reference"))
    np.testing.assert_array_equal(np.isfinite(cyconv.conv_transpose1d(x, w)), want)


@pytest.mark.parametrize("bytes", [300_000, 2_000_000, 2**28])
def test_little_workspace(bytes):
    """Neither columns nor phases that wait to be woven take more than they may."""
    rng = np.random.default_rng(6)
    for shape, weight, stride in [((2, 64, 6, 6), (64, 64, 3, 3), 1), ((2, 64, 6, 6), (64, 64, 3, 3), 2), ((1, 4, 150, 150), (4, 4, 3, 3), 2)]:
        x, w = rng.integers(-2, 3, shape).astype("float32"), rng.integers(-2, 3, weight).astype("float32")
        check(2, x, w, None, (stride,) * 2, (1, 1), (0, 0), 1, (1, 1), max_workspace=bytes, precision="strict")


@pytest.mark.cpu  # phases wait for nothing on the GPU
def test_phases_that_wait_count_as_workspace():
    """Woven together, all phases are there at once; with less room each goes to its places on its own."""
    x, w = np.ones((1, 8, 300, 300), "float32"), np.ones((8, 8, 4, 4), "float32")
    peaks = {}
    for room in (2**21, 2**28):
        cyconv.release_memory()
        tracemalloc.start()
        result = cyconv.conv_transpose2d(x, w, stride=2, max_workspace=room)
        peaks[room] = tracemalloc.get_traced_memory()[1] - result.nbytes
        tracemalloc.stop()
    assert peaks[2**21] < 2**21 + result.nbytes / 4 * 1.1 < result.nbytes < peaks[2**28]


@pytest.mark.cpu  # tracemalloc does not see the memory of a device
def test_out_is_written_where_it_lies():
    """Not twice: with phases, too, unless it overlaps an argument or is not in order."""
    rng = np.random.default_rng(8)
    x, w = rng.integers(-4, 5, (1, 2, 300, 300)).astype("float32"), rng.integers(-4, 5, (2, 3, 3, 3)).astype("float32")
    want = cyconv.conv_transpose2d(x, w, stride=2)
    out = np.full_like(want, np.nan)
    peaks = []
    for to in (out, np.full((*want.shape[:-1], 2 * want.shape[-1]), np.nan, "float32")[..., ::2]):
        cyconv.release_memory()
        tracemalloc.start()
        assert cyconv.conv_transpose2d(x, w, stride=2, out=to) is to
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        np.testing.assert_array_equal(to, want)
    assert peaks[0] < peaks[1] - want.nbytes // 2, peaks
    whole = np.zeros(want.size + x.size, "float32")
    input = whole[want.size - x.size // 2 :][: x.size].reshape(x.shape)
    input[...] = x
    np.testing.assert_array_equal(cyconv.conv_transpose2d(input, w, stride=2, out=whole[: want.size].reshape(want.shape)), want)

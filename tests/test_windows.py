"""Unfold and fold: by hand, against each other, against convolution, and against PyTorch where it is installed."""

import doctest
import itertools

import numpy as np
import pytest

import cyconv
from cyconv.functional import windows

pytestmark = pytest.mark.backends

REAL = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
ARGUMENTS = {  # image, kernel, and the rest
    "plain": ((2, 3, 6, 7), (3, 2), {}),
    "int kernel": ((2, 3, 6, 7), 3, {}),
    "unbatched": ((3, 6, 7), (3, 2), {}),
    "everything": ((2, 3, 9, 11), (3, 2), {"dilation": (2, 3), "padding": (1, 4), "stride": (3, 2)}),
    "padding beyond the kernel": ((1, 2, 3, 4), (2, 2), {"padding": (5, 4), "stride": 3}),
    "dilation beyond the image": ((1, 1, 3, 3), (2, 2), {"dilation": 4, "padding": 2}),
    "stride above the kernel": ((1, 2, 20, 21), (2, 3), {"stride": (7, 5)}),
    "whole image": ((1, 2, 5, 6), (5, 6), {}),
    "empty batch": ((0, 2, 5, 6), (2, 2), {}),
    "signal": ((2, 3, 12), (4,), {"padding": 2, "stride": 3}),
    "unbatched signal": ((3, 12), (4,), {"dilation": 2}),
    "volume": ((2, 2, 5, 6, 7), (2, 3, 2), {"padding": (1, 0, 1), "stride": (2, 1, 3), "dilation": (1, 2, 1)}),
}


def data(shape, dtype, seed=0):
    """Small integers: every sum is exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.integers(-3, 4, shape)
    return x.astype(dtype)


def spatial(shape, kernel):
    return shape[-(len(kernel) if isinstance(kernel, tuple) else 2) :]


def brute(x, kernel, dilation=1, padding=0, stride=1):
    """One window after the other, from a padded copy."""
    kernel = kernel if isinstance(kernel, tuple) else (kernel,) * 2
    rank = len(kernel)
    dilation, padding, stride = (v if isinstance(v, tuple) else (v,) * rank for v in (dilation, padding, stride))
    lead = x.shape[:-rank]
    x = np.pad(x, [(0, 0)] * len(lead) + [(p, p) for p in padding])
    starts = [range(0, n - d * (k - 1), s) for n, d, k, s in zip(x.shape[-rank:], dilation, kernel, stride)]
    columns = []
    for start in itertools.product(*starts):
        window = x[(..., *(slice(b, b + d * (k - 1) + 1, d) for b, d, k in zip(start, dilation, kernel)))]
        columns.append(window.reshape(*lead[:-1], -1) if x.size else np.empty((*lead[:-1], lead[-1] * int(np.prod(kernel)))))
    return np.stack(columns, axis=-1).astype(x.dtype)


@pytest.mark.parametrize("dtype", (*REAL, *COMPLEX, "bool"))
@pytest.mark.parametrize("name", ARGUMENTS)
def test_unfold_takes_every_window(name, dtype):
    shape, kernel, options = ARGUMENTS[name]
    x = data(shape, dtype)
    got = cyconv.unfold(x, kernel, **options)
    want = brute(x, kernel, **options)
    assert got.dtype == x.dtype
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", (*REAL, *COMPLEX))
@pytest.mark.parametrize("name", ARGUMENTS)
def test_fold_is_the_adjoint_of_unfold(name, dtype):
    """<fold(c), x> = <c, unfold(x)> for every x: checked with x one at a single sample, each in turn."""
    shape, kernel, options = ARGUMENTS[name]
    size = spatial(shape, kernel)
    columns = data(cyconv.unfold(np.zeros(shape), kernel, **options).shape, dtype)
    got = cyconv.fold(columns, size, kernel, **options)
    assert got.dtype == columns.dtype
    assert got.shape == shape
    lead = shape[: len(shape) - len(size)]
    places = cyconv.unfold(np.arange(1, np.prod(size) + 1).reshape(1, *size), kernel, **options)
    want = np.zeros((*lead, int(np.prod(size)) + 1), "complex128" if dtype in COMPLEX else "float64")
    by_channel = columns.reshape(*lead, *places.shape)
    for tap, window in np.ndindex(places.shape):
        want[..., places[tap, window]] += by_channel[..., tap, window]
    np.testing.assert_array_equal(got, want[..., 1:].reshape(shape).astype(dtype))


def test_by_hand():
    x = np.array([[1, 2, 3], [4, 5, 6]])[None]
    np.testing.assert_array_equal(cyconv.unfold(x, (2, 2)), [[1, 2], [2, 3], [4, 5], [5, 6]])
    np.testing.assert_array_equal(cyconv.unfold(x, (1, 2), padding=(0, 1), stride=(1, 2)), [[0, 2, 0, 5], [1, 3, 4, 6]])
    np.testing.assert_array_equal(cyconv.fold(np.array([[1, 2], [3, 4], [5, 6], [7, 8]]), (2, 3), (2, 2)), [[[1, 5, 4], [5, 13, 8]]])
    np.testing.assert_array_equal(cyconv.fold(np.array([[1, 2, 3], [10, 20, 30]]), (4,), (2,)), [[1, 12, 23, 30]])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_fold_of_unfold_counts_windows(name):
    shape, kernel, options = ARGUMENTS[name]
    x = data(shape, "int64", seed=1)
    size = spatial(shape, kernel)
    counts = cyconv.fold(cyconv.unfold(np.ones(shape, "int64"), kernel, **options), size, kernel, **options)
    np.testing.assert_array_equal(cyconv.fold(cyconv.unfold(x, kernel, **options), size, kernel, **options), x * counts)


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if ARGUMENTS[name][0][0]])
def test_matrix_times_columns_is_convolution(name):
    shape, kernel, options = ARGUMENTS[name]
    kernel = kernel if isinstance(kernel, tuple) else (kernel,) * 2
    x, w = data(shape, "float32"), data((4, shape[-len(kernel) - 1], *kernel), "float32", seed=2)
    want = getattr(cyconv, f"conv{len(kernel)}d")(x, w, algorithm="direct", **options)
    np.testing.assert_array_equal((w.reshape(4, -1) @ cyconv.unfold(x, kernel, **options)).reshape(want.shape), want)


def test_half_precision_is_summed_in_single():
    columns = np.zeros((9, 9), "float16")
    columns[[0, 1, 2], [8, 7, 6]] = 2048, 1, 1  # taps (0, 0), (0, 1), (0, 2), where they all meet sample (2, 2)
    assert cyconv.fold(columns, 5, 3)[0, 2, 2] == 2050


def test_integers_wrap_and_floats_overflow_silently():
    assert cyconv.fold(np.full((2, 2), 200, "uint8"), (3,), (2,))[0, 1] == 400 - 256
    assert np.isinf(cyconv.fold(np.full((2, 2), 3e38, "float32"), (3,), (2,))[0, 1])
    assert np.isinf(cyconv.fold(np.full((2, 2), 60000, "float16"), (3,), (2,))[0, 1])


def test_memory_layout_does_not_matter():
    base = data((7, 2, 12, 3), "float32")
    x = base.transpose(1, 3, 0, 2)[..., ::-1, ::2]
    read_only = np.ascontiguousarray(x)
    read_only.flags.writeable = False
    columns = cyconv.unfold(read_only, (3, 2), padding=1)
    for same in (x, np.asfortranarray(x), x.astype(">f4"), x.tolist()):
        np.testing.assert_array_equal(cyconv.unfold(same, (3, 2), padding=1), columns)
    folded = cyconv.fold(columns, (7, 6), (3, 2), padding=1)
    for same in (np.asfortranarray(columns), columns.astype(">f4"), np.repeat(columns, 2, axis=-1)[..., ::2]):
        np.testing.assert_array_equal(cyconv.fold(same, (7, 6), (3, 2), padding=1), folded)
    stretched = np.broadcast_to(np.float32(3), (2, 3, 7, 6))
    np.testing.assert_array_equal(cyconv.unfold(stretched, 2), 3)


def test_out():
    x = data((2, 3, 6, 7), "float32")
    columns = cyconv.unfold(x, 3, padding=1)
    for out in (np.full(columns.shape, 7, "float32"), np.full((*columns.shape, 2), 7, "float32")[..., 1]):
        assert cyconv.unfold(x, 3, padding=1, out=out) is out
        np.testing.assert_array_equal(out, columns)
    folded = cyconv.fold(columns, (6, 7), 3, padding=1)
    for out in (np.full(folded.shape, 7, "float32"), np.full((*folded.shape, 2), 7, "float32")[..., 1]):
        assert cyconv.fold(columns, (6, 7), 3, padding=1, out=out) is out
        np.testing.assert_array_equal(out, folded)
    shared = np.zeros(columns.size, "float32")
    image = shared[: x.size].reshape(x.shape)
    image[...] = x
    np.testing.assert_array_equal(cyconv.unfold(image, 3, padding=1, out=shared.reshape(columns.shape)), columns)
    with pytest.raises(ValueError, match="out must have shape"):
        cyconv.unfold(x, 3, out=np.empty((2, 27, 21), "float32"))
    with pytest.raises(TypeError, match="out must have dtype float32"):
        cyconv.fold(columns, (6, 7), 3, padding=1, out=np.empty((2, 3, 6, 7)))


X = np.ones((1, 2, 5, 5), "float32")
COLUMNS = np.ones((1, 18, 9), "float32")


@pytest.mark.parametrize("call, error, match", [
    (lambda: cyconv.unfold(X[0, 0], 3), ValueError, r"input of unfold must have shape .*got \(5, 5\)"),
    (lambda: cyconv.unfold(X, (3,)), ValueError, r"input of unfold must have shape \(N, C, L\)"),
    (lambda: cyconv.unfold(X[:, :0], 3), ValueError, r"only N may be 0; got \(1, 0, 5, 5\)"),
    (lambda: cyconv.unfold(X[:, :, :0], 3, padding=3), ValueError, r"only N may be 0"),
    (lambda: cyconv.unfold(X, 6), ValueError, "kernel_size 6 with dilation 1 covers 6 samples along spatial axis 0"),
    (lambda: cyconv.unfold(X, 3, dilation=3), ValueError, "covers 7 samples"),
    (lambda: cyconv.unfold(X, 0), ValueError, "kernel_size must be at least 1, got 0"),
    (lambda: cyconv.unfold(X, 3, dilation=0), ValueError, "dilation must be at least 1, got 0"),
    (lambda: cyconv.unfold(X, 3, stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: cyconv.unfold(X, 3, padding=-1), ValueError, "padding must be at least 0, got -1"),
    (lambda: cyconv.unfold(X, 3, stride=(1,)), ValueError, "stride must be an int or 2 ints"),
    (lambda: cyconv.unfold(X, 3, padding=(1, 1, 1)), ValueError, "padding must be an int or a tuple of 2 ints, got 3 values"),
    (lambda: cyconv.unfold(X, ()), ValueError, "kernel_size must be an int .* or 1 to 3 ints, got 0 values"),
    (lambda: cyconv.unfold(X, (1, 1, 1, 1)), ValueError, "kernel_size must be .* got 4 values"),
    (lambda: cyconv.unfold(X, 2.0), TypeError, "kernel_size must be an int"),
    (lambda: cyconv.unfold(X, True), TypeError, "kernel_size must be an int"),
    (lambda: cyconv.unfold(X, 3, padding="same"), TypeError, "padding must be an int"),
    (lambda: cyconv.unfold(X.astype(object), 3), TypeError, "input has dtype object"),
    (lambda: cyconv.unfold(X, 3, padding=2**61), ValueError, "longer than 2..62"),
    (lambda: cyconv.unfold(X, 3, padding=2**40), ValueError, "the result would have shape"),
    (lambda: cyconv.unfold(X, 3, stride=2**62), ValueError, "stride must be below 2..62"),
    (lambda: cyconv.fold(COLUMNS[0, 0], 5, 3), ValueError, r"input of fold must have shape .*got \(9,\)"),
    (lambda: cyconv.fold(COLUMNS[:, :0], 5, 3), ValueError, "only N may be 0"),
    (lambda: cyconv.fold(COLUMNS[..., :0], 2, 3), ValueError, "only N may be 0"),
    (lambda: cyconv.fold(COLUMNS[:, :17], 5, 3), ValueError, "a multiple of 9 rows"),
    (lambda: cyconv.fold(COLUMNS[..., :8], 5, 3), ValueError, r"must have 9 columns \(3 \* 3 windows"),
    (lambda: cyconv.fold(COLUMNS, (5,), 3), ValueError, "output_size must be an int or 2 ints"),
    (lambda: cyconv.fold(COLUMNS, 0, 3), ValueError, "output_size must be at least 1"),
    (lambda: cyconv.fold(COLUMNS, 2, 3), ValueError, "output_size with its padding has 2"),
    (lambda: cyconv.fold(COLUMNS, 5, 3, padding=-1), ValueError, "padding must be at least 0"),
    (lambda: cyconv.fold(COLUMNS.astype(bool), 5, 3), TypeError, "input has dtype bool"),
    (lambda: cyconv.fold(np.ones((1, 9, 1), "float32"), 2**61, 3, stride=2**61), ValueError, "the result would have shape"),
])  # fmt: skip
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    compared = 0
    for shape, kernel, dilation, padding, stride in itertools.product(
        ((2, 3, 5, 6), (3, 5, 6)), (1, 2, (3, 2), (5, 6), 6), (1, (2, 3)), (0, 1, (2, 0)), (1, (2, 3), 4)
    ):
        x = rng.standard_normal(shape)
        options = {"dilation": dilation, "padding": padding, "stride": stride}
        try:
            want = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **options).numpy()
        except RuntimeError:
            with pytest.raises(ValueError):
                cyconv.unfold(x, kernel, **options)
            continue
        columns = cyconv.unfold(x, kernel, **options)
        np.testing.assert_array_equal(columns, want)
        folded = torch.nn.functional.fold(torch.from_numpy(want), shape[-2:], kernel, **options).numpy()
        np.testing.assert_allclose(cyconv.fold(columns, shape[-2:], kernel, **options), folded, rtol=1e-14, atol=1e-14)
        compared += 1
    assert compared > 60


def test_docstrings():
    result = doctest.testmod(windows)
    assert result.attempted > 4
    assert result.failed == 0

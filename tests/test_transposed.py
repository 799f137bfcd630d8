"""Transposed convolution against the scatter-add oracle, over every mix of stride, dilation, padding and groups."""

import itertools

import numpy as np
import pytest
from cases import FAST, FLOATS, INTEGERS, ROWS, suited

import cyconv
from cyconv import reference


def check(rank, x, w, bias, stride, padding, output_padding, groups, dilation, **more):
    got = getattr(cyconv, f"conv_transpose{rank}d")(x, w, bias, stride, padding, output_padding, groups, dilation, **more)
    want = reference.conv_transpose(x, w, bias, stride, padding, output_padding, groups, dilation)
    assert got.shape == want.shape and got.dtype == x.dtype
    if ROWS.get(more.get("algorithm", "direct"), ROWS["direct"]).scale == "terms":
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(got, want, atol=1e-3)


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

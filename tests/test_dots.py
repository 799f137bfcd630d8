"""The algorithm that sums along the lanes: however a kernel is cut into pieces, whatever lies between its rows."""

import numpy as np
import pytest
from cases import ROWS, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import cpu

CUT = [
    Case("volume", (1, 2, 40, 30, 31), (2, 2, 38, 27, 30), {"padding": 1}),  # of planes
    Case("long_strided_signal", (1, 1, 50000), (2, 1, 24000), {"dilation": 2, "padding": 7, "stride": 3}),
    Case("tall_image", (1, 2, 400, 60), (5, 2, 391, 57), {"padding": (1, 0)}),  # of rows
    Case("wide_rows", (1, 1, 5, 30000), (1, 1, 3, 29990)),
    Case("long_signal", (2, 2, 70001), (3, 2, 69990)),  # pieces of a row
    Case("many_channels", (2, 300, 12, 11), (6, 300, 10, 9)),  # of channels
    Case("groups", (2, 24, 9, 9), (48, 1, 7, 7), {"groups": 24, "padding": 1}),
    Case("many_outputs", (1, 2, 60, 61), (7, 2, 40, 50)),
    Case("more_remainders_than_outputs", (1, 1, 90, 91), (3, 1, 12, 13), {"dilation": 7, "stride": 3}),
    Case("reflected", (1, 1, 40, 41), (2, 1, 45, 43), {"padding": ((4, 3), (2, 5)), "padding_mode": "reflect"}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("case", CUT, ids=str)
def test_pieces(case, dtype):
    x, w, b = arrays(case, dtype, small=False)
    if dtype == "float16":
        x, w = x / 64, w / 64  # sums stay within the dtype
    got = conv(case.rank)(x, w, b, algorithm="dots", **case.arguments)
    assert_within_bound(ROWS["dots"], problem_of(case, dtype, b), x, w, b, got)
    small = [a[..., ::1] if a is None else a for a in arrays(case, "float32")]
    if case.weight[1] * np.prod(case.weight[2:]) * 4 < 2**24:
        exact = conv(case.rank)(*small, algorithm="direct" if case.rank > 1 else "auto", precision="strict", **case.arguments)
        np.testing.assert_array_equal(conv(case.rank)(*small, algorithm="dots", **case.arguments), exact)


@pytest.mark.parametrize("case", CUT, ids=str)
def test_threads_and_layout_change_no_bit(case):
    x, w, b = arrays(case, "float32", small=False)
    with cyconv.threads(1):
        expected = conv(case.rank)(x, w, b, algorithm="dots", **case.arguments).tobytes()
    for count in (2, 3):
        with cyconv.threads(count):
            assert conv(case.rank)(x, w, b, algorithm="dots", **case.arguments).tobytes() == expected
    plan = cyconv.plan_conv(x.shape, w, b, algorithm="dots", **case.arguments)
    assert plan(x).tobytes() == expected
    for other in (np.asfortranarray(w), w[..., ::-1].copy()[..., ::-1]):
        assert conv(case.rank)(np.asfortranarray(x), other, b, algorithm="dots", **case.arguments).tobytes() == expected


def test_levels_add_in_one_order():
    """Sixteen floats go along side by side on every level; without FMA products are rounded, too."""
    assert cpu.load("dots").EXCHANGES
    x, w = np.full((1, 1, 4, 100), 2.0**-12, np.float32), np.ones((1, 1, 3, 99), np.float32)
    x[..., ::16] = 1.0  # one lane's sum is large, the others' small: any other order loses digits otherwise
    exact = cyconv.conv2d(x.astype("float64"), w.astype("float64"))
    np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="dots"), exact.astype(np.float32))


def test_what_is_not_finite_stays_where_it_belongs():
    """Zeros between the kernel's rows meet samples of other windows; what is not finite then is computed by others."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 64, 80)).astype("float32"), rng.standard_normal((1, 1, 62, 70)).astype("float32")
    x[0, 0, 10, 79], x[0, 0, 30, 0] = np.inf, np.nan
    assert cyconv.select.choose(problem_of(Case("", x.shape, w.shape), "float32", None), "auto", w).name == "dots"
    got = cyconv.conv2d(x, w)
    want = np.zeros(got.shape, bool)
    want[..., 10] = want[..., 0] = True  # each is in the windows of one column
    np.testing.assert_array_equal(~np.isfinite(got), want)
    assert np.isinf(got[0, 0, :, 10]).all() and np.isnan(got[0, 0, :, 0]).all()


def test_declines():
    for shape, kernel, dtype, reason in [
        ((1, 1, 50, 50), (1, 1, 3, 3), "float32", "at most 1024 outputs of a channel, not 2304"),
        ((1, 1, 9, 9), (1, 1, 7, 7), "complex64", "real floating point, not complex64"),
        ((1, 1, 9, 9), (1, 1, 7, 7), "int32", "real floating point, not int32"),
        ((1, 1, 1020000, 9), (1, 1, 1019000, 9), "float32", None),
        ((1, 1, 3, 9), (1, 1, 1, 1), "float32", None),
    ]:
        x, w = np.broadcast_to(np.zeros((), dtype), shape), np.broadcast_to(np.zeros((), dtype), kernel)
        found = next(v.declined for v in cyconv.explain(x, w).verdicts if v.algorithm.name == "dots")
        assert found is None if reason is None else reason in found
    far = cyconv.explain(np.broadcast_to(np.float32(0), (1, 1, 700000)), np.broadcast_to(np.float32(0), (1, 1, 64)), stride=1200)
    assert "one row of the kernel reads" in next(v.declined for v in far.verdicts if v.algorithm.name == "dots")

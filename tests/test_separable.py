"""The algorithm for outer products: which kernels it takes, and that its passes add up to the direct sum."""

import itertools

import numpy as np
import pytest
from cases import ROWS, Case, arrays, assert_within_bound, conv, problem_of, takes

import cyconv
from cyconv import select

ROW = ROWS["separable"]
rng = np.random.default_rng(31)


def outer(*vectors):
    product = np.ones(())
    for vector in vectors:
        product = product[..., None] * np.asarray(vector)
    return product


def gaussian(k, sigma, rank=2):
    curve = np.exp(-((np.arange(k) - (k - 1) / 2) ** 2) / (2 * sigma**2))
    return outer(*[curve / curve.sum()] * rank)


def suits(kernel, dtype="float32", channels=1):
    w = np.asarray(kernel).astype(dtype)
    w = np.broadcast_to(w, (channels, 1, *w.shape)).copy()
    shape = (1, channels, *(40 for _ in w.shape[2:]))
    return ROW.module.suits(problem_of(Case("", shape, w.shape, {"groups": channels}), dtype, None), w)


def whole(shape, low=-4, high=5):
    return rng.integers(low, high, shape)


# ---- which kernels -----------------------------------------------------------------------------------------------------

SOBEL = outer([1, 2, 1], [-1, 0, 1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "int64"])
def test_kernels_of_whole_numbers(dtype):
    for kernel in (SOBEL, SOBEL.T, -SOBEL, outer([1, 4, 6, 4, 1], [1, 2, 0, -2, -1]), np.ones((5, 7)), outer([3, 5], [7, 0], [0, 2])):
        assert suits(kernel, dtype)
        changed = kernel.copy()
        changed.flat[0] += 1
        assert not suits(changed, dtype) or np.linalg.matrix_rank(changed.reshape(len(changed), -1)) == 1
    assert not suits([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype)
    assert not suits(np.eye(3), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rank", [2, 3])
def test_gaussians_however_they_were_rounded(dtype, rank):
    for k, sigma in ((5, 1.0), (7, 1.3), (9, 2.0), (15, 2.5)):
        curve = np.exp(-((np.arange(k, dtype=dtype) - dtype_of(dtype, k // 2)) ** 2) / dtype_of(dtype, 2 * sigma**2))
        assert suits(gaussian(k, sigma, rank).astype(dtype), dtype)
        assert suits(outer(*[curve] * rank), dtype)
        product = outer(*[curve] * rank).astype(dtype)
        assert suits(product / product.sum(dtype=dtype), dtype)
        product.flat[k] *= dtype_of(dtype, 1 + 1e-4 if dtype == "float32" else 1 + 1e-13)
        assert not suits(product, dtype)


def dtype_of(dtype, value):
    return np.dtype(dtype).type(value)


def test_zeros_must_be_zeros():
    kernel = outer([1, 0, 3], [2, 1, 0.5])
    assert suits(kernel)
    kernel[1, 1] = 1e-30
    assert not suits(kernel)
    kernel = gaussian(5, 1.0)
    kernel[2, 2] = 0
    assert not suits(kernel)
    assert suits(np.zeros((3, 3)))


def test_numbers_that_are_out_of_reach():
    tiny, huge = np.float32(1e-41), np.float32(1e30)
    for bad in (np.nan, np.inf):
        kernel = gaussian(5, 1.0)
        kernel[0, 0] = bad
        assert not suits(kernel)
    assert not suits(outer([1, 1.1, 1.3], [1, 1.7, 1.9]) * tiny)  # factors would lose digits below the least normal number
    assert not suits(outer([1, 1.1, 1.3], [1, 1.7, 1.9]) * huge)  # and the input would
    assert suits(outer([1, 1.1, 1.3, 1.7], [1, 1.7, 1.9, 2.3]) * 1e4)


def test_one_axis_is_always_a_product():
    for shape in ((1, 9), (9, 1), (1, 1)):
        w = rng.standard_normal(shape)
        w.flat[0] = np.inf
        assert suits(w)


def test_every_kernel_counts():
    w = np.broadcast_to(SOBEL, (6, 1, 3, 3)).astype("float32").copy()
    x = rng.standard_normal((1, 6, 9, 9)).astype("float32")
    cyconv.conv2d(x, w, groups=6, algorithm="separable")
    w[5, 0, 2, 2] += 1
    with pytest.raises(ValueError, match="algorithm='separable' cannot compute.*not an outer product"):
        cyconv.conv2d(x, w, groups=6, algorithm="separable")


# ---- the choice --------------------------------------------------------------------------------------------------------


def test_auto_looks_at_the_weights():
    x = rng.standard_normal((1, 1, 200, 210)).astype("float32")
    product, other = gaussian(15, 2.5)[None, None].astype("float32"), rng.standard_normal((1, 1, 15, 15)).astype("float32")
    why = cyconv.explain(x, product, padding=7)
    assert why.chosen == "separable" == cyconv.plan_conv(x.shape, product, padding=7).algorithm
    why = cyconv.explain(x, other, padding=7)
    assert why.chosen not in ("separable", "reference")
    assert why.chosen == cyconv.plan_conv(x.shape, other, padding=7).algorithm
    assert "no: the kernel is not an outer product" in str(why)
    for w in (product, other):
        np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=7), cyconv.plan_conv(x.shape, w, padding=7)(x))
        np.testing.assert_allclose(cyconv.conv2d(x, w, padding=7), cyconv.conv2d(x, w, padding=7, algorithm="direct"), atol=1e-4)
    strict = cyconv.explain(x, product, padding=7, precision="strict")
    assert strict.chosen == "separable"
    np.testing.assert_array_equal(cyconv.conv2d(x, product, padding=7), cyconv.conv2d(x, product, padding=7, algorithm="separable"))


def test_plans_and_explanations_refuse_other_kernels():
    x, w = np.zeros((1, 1, 9, 9)), rng.standard_normal((1, 1, 3, 3))
    for call in (
        lambda: cyconv.plan_conv(x.shape, w, algorithm="separable"),
        lambda: cyconv.explain(x, w, algorithm="separable"),
        lambda: cyconv.conv_transpose2d(x, w, algorithm="separable"),
    ):
        with pytest.raises(ValueError, match="separable.*not an outer product"):
            call()


def test_the_weights_are_not_looked_at_where_another_is_cheaper(monkeypatch):
    module = ROW.module

    class Watched:
        def __getattr__(self, name):
            assert name != "suits"
            return getattr(module, name)

    monkeypatch.setitem(ROW.__dict__, "module", Watched())
    x, w = np.ones((1, 64, 20, 20), np.float32), np.ones((64, 64, 3, 3), np.float32)
    cyconv.conv2d(x, w)
    cyconv.plan_conv(x.shape, w)


def test_transposed_convolution_phase_by_phase():
    x, w = whole((1, 2, 9, 8)).astype("float32"), outer([1, 3, 3, 1], [1, -2, 0, 2, 1])[None, None].repeat(2, 0).astype("float32")
    for options in ({"stride": 2}, {"stride": (2, 3), "padding": 1, "dilation": (1, 2)}):
        want = cyconv.conv_transpose2d(x, w, groups=2, algorithm="reference", **options)
        np.testing.assert_array_equal(cyconv.conv_transpose2d(x, w, groups=2, algorithm="separable", **options), want)


# ---- the sums ----------------------------------------------------------------------------------------------------------


def check(x, w, bias=None, **options):
    function = conv(w.ndim - 2)
    got = function(x, w, bias, algorithm="separable", **options)
    np.testing.assert_array_equal(got, function(x, w, bias, algorithm="reference", **options))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int16", "uint64"])
def test_every_remainder_of_rows_and_columns(dtype):
    # runs of 1, 4 and 8 vectors with their tails, register tiles of 1 to 4 rows
    for width in (1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 128, 129, 143, 200, 257):
        for height, ky, kx in ((1, 2, 1), (2, 2, 3), (3, 3, 2), (4, 4, 5), (5, 5, 17), (7, 3, 3), (6, 1, 4), (9, 4, 1)):
            x = whole((1, 1, height + ky - 1, width + kx - 1), 0, 5).astype(dtype)
            check(x, outer(whole(ky, 0, 3), whole(kx, 0, 3))[None, None].astype(dtype), np.array([3], dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_every_stride_dilation_and_padding(dtype):
    for ky, kx, sy, sx, dy, dx in itertools.product((1, 2, 5), (1, 3, 4), (1, 2, 3), (1, 2, 3), (1, 2), (1, 3)):
        x, w = whole((1, 1, 24, 26)).astype(dtype), outer(whole(ky), whole(kx))[None, None].astype(dtype)
        check(x, w, stride=(sy, sx), dilation=(dy, dx), padding=((1, 2), (0, 3)))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_channels_groups_and_modes(mode):
    for channels, groups, outputs in ((3, 1, 5), (4, 2, 6), (8, 8, 16), (6, 2, 2)):
        each = channels // groups
        x = whole((2, channels, 11, 37)).astype("float32")
        w = np.stack([outer(whole(4), whole(3)) for _ in range(outputs * each)]).reshape(outputs, each, 4, 3).astype("float32")
        check(x, w, whole(outputs).astype("float32"), groups=groups, padding=(2, 1), padding_mode=mode)


def test_three_axes_and_pairs_of_them():
    for kz, ky, kx in itertools.product((1, 2, 4), (1, 3), (1, 2, 5)):
        x = whole((1, 2, 9, 10, 21), -2, 3).astype("float32")
        for stride, dilation in ((1, 1), (2, 1), (1, 2), ((2, 1, 3), (1, 2, 2))):
            w = np.stack([outer(whole(kz, -2, 3), whole(ky, -2, 3), whole(kx, -2, 3)) for _ in range(4)])
            check(x, w.reshape(2, 2, kz, ky, kx).astype("float32"), stride=stride, dilation=dilation, padding=1)


def test_seams_between_blocks():
    for shape, kernel in (((1, 1, 300, 2100), (7, 9)), ((1, 1, 1500, 90), (31, 3)), ((1, 1, 40, 50, 60), (5, 3, 4))):
        w = outer(*[whole(k, -1, 3) for k in kernel])[None, None].astype("float32")
        check(whole(shape, -3, 4).astype("float32"), w, padding=1)
        x, w = (a.astype("float64") for a in (whole(shape, -3, 4), w))
        np.testing.assert_array_equal(
            conv(len(kernel))(x, w, padding=1, algorithm="separable", max_workspace=2**18),
            conv(len(kernel))(x, w, padding=1, algorithm="direct"),
        )


def test_threads_and_batches_change_no_bit():
    x = rng.standard_normal((3, 2, 260, 300)).astype("float32")
    w = np.stack([gaussian(9, 1.5), gaussian(9, 2.1)])[:, None].astype("float32")
    results = []
    for count in (1, 2, 5):
        with cyconv.threads(count):
            results.append(cyconv.conv2d(x, w, groups=2, padding=4, algorithm="separable"))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
    for item in range(3):
        np.testing.assert_array_equal(cyconv.conv2d(x[item], w, groups=2, padding=4, algorithm="separable"), results[0][item])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_error_bound_of_gaussians_and_never_above_the_direct_sums(dtype):
    for k, sigma, rank in ((3, 0.8, 2), (7, 1.2, 2), (31, 5.0, 2), (5, 1.0, 3)):
        case = Case("", (1, 3, *[40, 37, 35][:rank]), (2, 3, *[k] * rank), {"padding": k // 2})
        x, _, bias = arrays(case, dtype, small=False)
        w = (gaussian(k, sigma, rank) * rng.choice([-1, 1, 3], (2, 3, *[1] * rank))).astype(dtype)
        problem = problem_of(case, dtype, bias)
        assert ROW.bound(problem) <= ROWS["direct"].bound(problem)
        got = conv(rank)(x, w, bias, algorithm="separable", padding=k // 2)
        assert_within_bound(ROW, problem, x, w, bias, got)


def test_non_finite_values_reach_what_the_direct_sum_lets_them_reach():
    w = outer([1, 0, -2, 3], [0, 2, -1, 0, 5])[None, None].astype("float32")
    for value in (np.nan, np.inf, -np.inf, 3e38):
        x = rng.standard_normal((1, 1, 30, 70)).astype("float32")
        x[0, 0, 12, 33], x[0, 0, 20, 40], x[0, 0, 21, 41] = value, value, -value
        with np.errstate(all="ignore"):
            got = cyconv.conv2d(x, w, padding=2, algorithm="separable")
            want = cyconv.conv2d(x, w, padding=2, algorithm="direct")
        for kind in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(kind(got), kind(want))


def test_no_pass_overflows_where_the_direct_sum_does_not():
    largest = np.finfo(np.float32).max
    x = np.full((1, 1, 12, 40), largest / 2, np.float32)
    x[..., ::2, :] *= -1
    w = outer([1, 1], [1 / 4, 1 / 4, 1 / 4, 1 / 4])[None, None].astype("float32")
    np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="separable"), 0)
    w = outer([1e-3, 1.0, 1e-3], [0.3, 0.3, 0.3])[None, None].astype("float32")
    x = np.zeros((1, 1, 9, 40), np.float32)
    x[..., 4, :] = largest
    assert np.isfinite(cyconv.conv2d(x, w, algorithm="separable")).all()
    w = outer([7.0, 1 / 64], [1.0, 2.0, 3.0])[None, None].astype("float32")  # a row that only a small factor meets
    x = np.zeros((1, 1, 2, 40), np.float32)
    x[0, 0, 1] = largest
    np.testing.assert_allclose(cyconv.conv2d(x, w, algorithm="separable"), largest * (6 / 64), rtol=1e-6)


def test_integers_wrap():
    for dtype in ("int8", "uint16", "int32", "int64"):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (1, 1, 20, 33), dtype, endpoint=True)
        check(x, outer(whole(3, 0, 6), whole(3, 0, 6))[None, None].astype(dtype))
        check(x, np.full((1, 1, 1, 2), info.min, dtype))


def test_too_many_channels_and_complex_numbers_are_declined():
    assert not takes("separable", np.zeros((1, 5, 9, 9)), np.zeros((1, 5, 3, 3)))
    assert not takes("separable", np.zeros((1, 1, 9, 9), complex), np.zeros((1, 1, 3, 3), complex))
    assert any(v.algorithm is ROW and v.declined for v in select.verdicts(problem_of(Case("", (1, 5, 9, 9), (1, 5, 3, 3)), "float32", None)))


def test_weights_that_change_between_calls():
    """The factors of the last weights are remembered, not those of an array."""
    rng = np.random.default_rng(8)
    x = rng.integers(-3, 4, (1, 1, 40, 50)).astype(np.float32)
    w = np.ones((1, 1, 5, 5), np.float32)
    for value in (1, 2, -3, 2):
        w[0, 0, 2] = value  # a row; still an outer product
        want = cyconv.conv2d(x, w, padding=2, algorithm="reference")
        for algorithm in ("separable", "auto"):
            np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=2, algorithm=algorithm), want)
    w[0, 0, 1, 1] = 7
    with pytest.raises(ValueError, match="outer product"):
        cyconv.conv2d(x, w, padding=2, algorithm="separable")
    want = cyconv.conv2d(x, w, padding=2, algorithm="reference")
    np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=2), want)
    w[0, 0, 1, 1] = 1
    got = cyconv.conv2d(x, w, padding=2, algorithm="separable")
    np.testing.assert_array_equal(got, cyconv.conv2d(x, w, padding=2, algorithm="reference"))


def test_the_same_bytes_in_another_order_are_other_weights():
    x = np.arange(2000, dtype=np.float32).reshape(1, 1, 40, 50) % 7
    w = np.multiply.outer(np.arange(1, 6), [2, 0, -1, 3, 1]).astype(np.float32)[None, None]
    for weight in (w, w.transpose(0, 1, 3, 2), w[..., ::-1], w):
        got = cyconv.conv2d(x, weight, padding=2, algorithm="separable")
        np.testing.assert_array_equal(got, cyconv.conv2d(x, weight, padding=2, algorithm="reference"))

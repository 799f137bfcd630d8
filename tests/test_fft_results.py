"""Results of `fft` as they are written: past the caches or not, and seen to be finite while they are near."""

import numpy as np
import pytest
from fft_cases import CONV, ROW, data, problem_of, wide

import cyconv


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("shape, kernel", [
    ((1, 1, 1500, 1408), (1, 1, 9, 9)),
    ((1, 2, 600, 608), (6, 2, 9, 7)),
    ((1, 6, 600, 608), (6, 6, 9, 7)),
    ((2, 1, 1_100_000), (1, 1, 201)),
    ((1, 1, 50, 160, 304), (1, 1, 5, 7, 5)),
    ((2, 2, 70, 90, 96), (2, 2, 9, 9, 9)),
])  # fmt: skip
def test_large_results_have_the_bits_of_others(shape, kernel, dtype):
    """Whole lines of a large result go past the caches; those of an array that does not begin at a line cannot."""
    rng = np.random.default_rng(4)
    x, w = data(rng, shape, dtype), data(rng, kernel, dtype)
    options = {"padding": tuple(k // 2 for k in kernel[2:]), "algorithm": "fft"}
    got = CONV[w.ndim - 2](x, w, **options)
    assert got.nbytes >= 8 << 20
    shifted = np.empty(got.size + 1, dtype)[1:].reshape(got.shape)
    for threads in (1, 2):
        with cyconv.threads(threads):
            CONV[w.ndim - 2](x, w, out=shifted, **options)
            assert shifted.tobytes() == got.tobytes()
    inner = tuple(slice(n // 2, n // 2 + 20) for n in got.shape[2:])
    cut = x[(..., *(slice(s.start - k // 2, s.stop + k // 2) for s, k in zip(inner, kernel[2:])))]
    want = CONV[w.ndim - 2](wide(cut), wide(w), algorithm="reference")
    np.testing.assert_allclose(got[(..., *inner)], want, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(want).max())


@pytest.mark.parametrize("dtype", ("float16", "float32", "float64", "complex64"))
@pytest.mark.parametrize("shape, kernel, options", [
    ((1, 1, 300, 304), (1, 1, 9, 9), {"padding": 4}),
    ((1, 1, 1500, 1408), (1, 1, 9, 9), {"padding": 4}),
    ((1, 1, 100, 700), (1, 1, 31, 31), {"padding": 15}),
    ((1, 8, 200, 208), (9, 8, 9, 9), {}),
    ((1, 3, 200, 208), (2, 3, 9, 9), {"stride": 2}),
    ((1, 1, 500, 64), (1, 1, 41, 1), {}),
    ((1, 1, 40_000), (1, 1, 201), {}),
    ((1, 1, 60, 64, 64), (1, 1, 5, 5, 5), {}),
])  # fmt: skip
def test_results_that_are_not_finite_are_seen(shape, kernel, options, dtype):
    rng = np.random.default_rng(5)
    x, w = data(rng, shape, dtype), data(rng, kernel, dtype)
    problem = problem_of(x, w, **options)
    spectra = ROW.module.prepare(problem, w)
    out = np.empty(problem.output_shape, dtype)
    assert ROW.module.run(problem, x, spectra, None, out) is True
    middle = tuple(n // 2 for n in shape)
    for place in (middle, (0,) * len(shape), tuple(n - 2 for n in shape)):
        for value in (np.nan, -np.inf):
            bad = x.copy()
            bad[(0, 0, *place[2:])] = value
            assert ROW.module.run(problem, bad, spectra, None, out) is False
            assert not np.isfinite(out).all()


def test_a_half_that_overflows_is_seen():
    x, w = np.full((1, 1, 300, 304), 6, "float16"), np.ones((1, 1, 9, 9), "float16")
    problem = problem_of(x, w)
    out = np.empty(problem.output_shape, "float16")
    assert ROW.module.run(problem, x, ROW.module.prepare(problem, w), None, out) is True
    x[0, 0, 150, 150] = 65504
    assert ROW.module.run(problem, x, ROW.module.prepare(problem, w), None, out) is not True


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("shape", ((1, 1, 300, 304), (1, 1, 60, 64, 64), (1, 1, 40_000)))
def test_a_single_result_that_overflows_is_seen(shape, dtype):
    """Spectra are finite then, and the tiles of a transform are not both spoiled."""
    w = np.full((1, 1, *(9,) * (len(shape) - 2)), 5, dtype)
    problem = problem_of(np.zeros(shape, dtype), w)
    spectra = ROW.module.prepare(problem, w)
    out = np.empty(problem.output_shape, dtype)
    for place in range(17):
        x = np.zeros(shape, dtype)
        x[(0, 0, *(9 + (n - 18) * place // 16 - 1 for n in shape[2:]))] = np.finfo(dtype).max / 4
        assert ROW.module.run(problem, x, spectra, None, out) is False


@pytest.mark.parametrize("dtype", ("float32", "complex64"))
def test_an_overflow_on_the_way_back_from_doubles_is_seen(dtype):
    w = np.zeros((1, 1, 1, 9), dtype)
    w[..., 4] = 5
    problem = problem_of(np.zeros((1, 1, 40, 304), dtype), w)
    doubles = ROW.module._DOUBLES
    spectra = doubles.prepare(problem, w)
    out = np.empty(problem.output_shape, dtype)
    for place in range(100, 104):
        x = np.zeros((1, 1, 40, 304), dtype)
        assert doubles.run(problem, x, spectra, None, out) is True
        x[0, 0, 20, place] = np.finfo(np.float32).max / 4
        assert doubles.run(problem, x, spectra, None, out) is False
        assert np.isinf(out.real).sum() == 1


def test_weights_that_the_result_is_written_over_are_needed_twice():
    """What is not finite is computed again, by the weights as they were."""
    rng = np.random.default_rng(0)
    memory = rng.standard_normal(170 * 170).astype("float32")
    x, w, out = rng.standard_normal((1, 1, 200, 200)).astype("float32"), memory[:961].reshape(1, 1, 31, 31), memory.reshape(1, 1, 170, 170)
    x[0, 0, 3, 4] = np.nan
    assert cyconv.explain(x, w).chosen == "fft"
    want = cyconv.conv2d(x, w.copy(), algorithm="direct")
    np.testing.assert_allclose(cyconv.conv2d(x, w, out=out), want, atol=1e-3)

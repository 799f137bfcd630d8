"""What is small beside what is large, on the GPU: where a transform of single precision would lose it, it is computed again."""

import numpy as np
import pytest
from cases import Case, arrays, problem_of
from fft_cases import CONV, wide

import cyconv
from cyconv import select
from cyconv.gpu import fft
from cyconv.gpu.layout import views

LOUD = {
    "signal": ((1, 1, 9000), (1, 1, 301), {}),
    "image": ((2, 1, 70, 90), (1, 1, 31, 33), {"padding": 5}),
    "channels": ((1, 3, 60, 48), (2, 3, 41, 17), {"padding_mode": "reflect", "padding": 4}),
    "volume": ((1, 1, 20, 22, 34), (2, 1, 9, 9, 9), {}),
}  # fmt: skip


@pytest.mark.parametrize("planned", (False, True))
@pytest.mark.parametrize("dtype", ("float16", "float32", "complex64"))
@pytest.mark.parametrize("case", LOUD)
def test_auto_keeps_what_is_small_beside_what_is_large(case, dtype, planned, cupy, monkeypatch):
    """A burst in a tile: in single precision its rounding errors are larger than all the rest."""
    x_shape, w_shape, options = LOUD[case]
    x, w, b = arrays(Case("", x_shape, w_shape, options), dtype, small=False)
    if dtype == "float16":
        x, w, b = x / 1000, w / 8, b / 1000
    loud = x.copy()
    loud[..., -3:] = 6e4 if dtype == "float16" else 1e7
    conv, far = CONV[w.ndim - 2], np.s_[..., : -w_shape[-1] - 8]  # outputs that no sample of the burst reaches
    want = conv(wide(loud), wide(w), wide(b), algorithm="reference", **options)[far]
    bound = conv(abs(wide(x)), abs(wide(w)), abs(wide(b)), algorithm="reference", **options)[far] * np.finfo(dtype).eps * 8

    only_fft(monkeypatch)
    there = [cupy.asarray(a) for a in (loud, w, b)]
    got = cyconv.plan_conv(x_shape, *there[1:], **options)(there[0]) if planned else conv(*there, **options)
    assert got.dtype == dtype and np.all(np.abs(wide(got.get())[far] - want) <= bound)
    forced = conv(*there, algorithm="fft", **options)
    assert np.any(np.abs(wide(forced.get())[far] - want) > bound)
    plain = [cupy.asarray(a) for a in (x, w, b)]
    np.testing.assert_array_equal(conv(*plain, **options).get(), conv(*plain, algorithm="fft", **options).get())


def only_fft(monkeypatch):
    """Leaves `auto` nothing else to choose, unless something must be computed again."""
    real = select.choose

    def choose(problem, algorithm, finite=True, **more):
        return real(problem, "fft" if finite and algorithm == "auto" else algorithm, finite=finite, **more)

    monkeypatch.setattr("cyconv.select.choose", choose)
    monkeypatch.setattr("cyconv.gpu.plans.choose", choose)


def noted(cupy, x, w_shape, **options):
    """Whether the sizes in some tile of the input differ too much."""
    problem = problem_of(Case("", x.shape, w_shape, options), x.dtype.name, None)
    noted = cupy.zeros(1, np.int32)
    w = cupy.ones(w_shape, x.dtype)
    six = views(problem, cupy.asarray(x), w, cupy.empty(problem.output_shape, x.dtype))
    fft.run(problem, *six[:2], None, six[2], nonfinite=noted)
    return bool(noted.get()[0])


def test_small_windows_between_large_ones_are_found(cupy):
    rng = np.random.default_rng(14)
    for loud in (1e7, 1):
        x = rng.standard_normal((1, 1, 2**14)).astype("float32")
        x[..., np.arange(2**14) % 192 < 48] *= loud
        assert noted(cupy, x, (1, 1, 129)) == (loud > 1)
        x = rng.standard_normal((1, 1, 198, 190)).astype("float32")
        x[..., ::4, :] *= loud
        assert noted(cupy, x, (1, 1, 3, 101)) == (loud > 1)
        x = rng.standard_normal((1, 1, 190, 198)).astype("float32")
        x[..., ::4] *= loud
        assert noted(cupy, x, (1, 1, 101, 3)) == (loud > 1)
        x = rng.standard_normal((1, 1, 40, 20, 32)).astype("float32")
        x[..., :3, :, :] *= loud
        assert noted(cupy, x, (1, 1, 9, 9, 9)) == (loud > 1)
        x = rng.standard_normal((1, 1, 20, 5, 64)).astype("complex64")
        x[..., 16:24] *= loud
        assert noted(cupy, x, (1, 1, 9, 1, 17)) == (loud > 1)
        x = rng.standard_normal((1, 1, 150, 60)).astype("float32")
        x[..., ::2, :] *= loud
        assert noted(cupy, x, (1, 1, 31, 31), dilation=(2, 1)) == (loud > 1)


def test_numbers_around_zero_are_not_small(cupy):
    rng = np.random.default_rng(15)
    x = rng.standard_normal((2, 2, 100, 100)).astype("float32")
    for shape in ((2, 2, 25, 25), (1, 2, 3, 41)):
        assert not noted(cupy, np.maximum(x, 0), shape)
        assert not noted(cupy, x * rng.integers(0, 2, x.shape).astype("float32"), shape)
        assert not noted(cupy, x, shape, padding=shape[-1] // 2, stride=2)  # cells of padding and a few numbers
    x = rng.standard_normal((1, 1, 50_000)).astype("float32")
    assert not noted(cupy, x, (1, 1, 31)) and not noted(cupy, x, (1, 1, 9), dilation=5) and not noted(cupy, x, (1, 1, 3), dilation=100)
    assert not noted(cupy, x + 1e-8j * x[..., ::-1].astype("complex64"), (1, 1, 401))
    gap = np.ones_like(x)
    for size in (2e-3, 1e-40):  # of which single precision holds enough; what black borders become beside the picture
        gap[..., 10_000:10_100] = size
        assert not noted(cupy, x * gap, (1, 1, 31))
    gap[..., 10_000:10_100] = 1e-6
    assert noted(cupy, x * gap, (1, 1, 31))
    assert not noted(cupy, x * gap + 1j * x.astype("complex64"), (1, 1, 31))  # its moduli are not small

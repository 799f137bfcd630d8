"""cyconv.signal.match_template against scikit-image and its formula."""

import importlib.util
import tracemalloc

import numpy as np
import pytest
from signal_cases import array

import cyconv
from cyconv import signal


def coefficients(image, template):
    """The formula, window by window, in long double."""
    image, template = image.astype(np.longdouble), template.astype(np.longdouble)
    windows = np.lib.stride_tricks.sliding_window_view(image, template.shape)
    axes = tuple(range(image.ndim, 2 * image.ndim))
    windows = windows - windows.mean(axes, keepdims=True)
    template = template - template.mean()
    squares = (windows * windows).sum(axes) * (template * template).sum()
    with np.errstate(all="ignore"):
        return np.where(squares > 0, (windows * template).sum(axes) / np.sqrt(squares), 0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "float16", "bool"])
@pytest.mark.parametrize(("shape", "kernel"), [((20, 23), (5, 4)), ((9, 9), (9, 9)), ((7, 30), (1, 6)), ((8, 9, 10), (3, 2, 4)), ((100, 90), (40, 31))])
def test_templates_as_in_scikit_image(shape, kernel, dtype):
    match_template = pytest.importorskip("skimage.feature").match_template
    image = (array(shape) * 40 + 100).astype(dtype) if dtype != "bool" else array(shape) > 0
    template = image[tuple(slice(n - k, n) for n, k in zip(shape, kernel))]
    for pad_input in (False, True):
        want = match_template(*(a.astype("float32") if dtype == "float16" else a for a in (image, template)), pad_input)  # whose sums overflow
        got = signal.match_template(image, template, pad_input)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, atol=1e-2 if dtype in ("float32", "float16") else 1e-10)  # it sums squares in float32
    got = signal.match_template(image, template)
    assert got[-1, -1] == got.max() if image.ndim == 2 else got[-1, -1, -1] == got.max()
    assert got.max() == pytest.approx(1)


@pytest.mark.parametrize(("shape", "kernel"), [((500, 300), (20, 31)), ((90, 40, 41), (5, 6, 7))])
def test_templates_strip_by_strip(shape, kernel, monkeypatch):
    image, template = array(shape), array(kernel, seed=1)
    most, whole = [], {}
    for pixels in (2 * image.size, image.size // 4):
        monkeypatch.setattr("cyconv.signal.template._PIXELS", pixels)
        for pad_input in (False, True):
            cyconv.release_memory()
            tracemalloc.start()
            got = signal.match_template(image, template, pad_input)
            most.append((tracemalloc.get_traced_memory()[1] - got.nbytes) / image.nbytes)
            tracemalloc.stop()
            np.testing.assert_allclose(got, whole.setdefault(pad_input, got), atol=1e-12)
    assert max(most[2:]) < 4 < 5 < min(most[:2])  # times the image: it is copied to float64, and once more with its border


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap", "symmetric", "mean", "linear_ramp", "maximum"])
def test_templates_beyond_the_border(mode):
    match_template = pytest.importorskip("skimage.feature").match_template
    for shape, kernel in (((12, 15), (4, 5)), ((12, 15), (5, 4)), ((6, 7, 8), (2, 3, 4)), ((5, 5), (5, 2)), ((5, 6), (1, 3))):
        image, template = array(shape), array(kernel, seed=1)
        for value in (0, 1.5) if mode == "constant" else (0,):
            want = match_template(image, template, True, mode, value)
            np.testing.assert_allclose(signal.match_template(image, template, True, mode, value), want, atol=1e-10)


@pytest.mark.parametrize("level", [0, 1e3, 1e6, 1e9])
def test_templates_on_a_high_level(level):
    texture = np.random.default_rng(3).integers(-20, 20, (60, 50)).astype(float)
    image, template = texture + level, texture[20:29, 10:21]
    np.testing.assert_allclose(signal.match_template(image, template), coefficients(image, template), rtol=0, atol=1e-12)
    np.testing.assert_allclose(signal.match_template(image, template + level), coefficients(image, template), rtol=0, atol=1e-12)
    slope = image + 1e6 * np.arange(50.0)  # far from the mean nearly everywhere, and all windows unlike
    np.testing.assert_allclose(signal.match_template(slope, template), coefficients(slope, template), rtol=0, atol=1e-7)
    step = texture + level * (np.arange(50) > 25)
    np.testing.assert_allclose(signal.match_template(step, template), coefficients(step, template), rtol=0, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1.0, 1e20, 1e150])
def test_templates_of_any_scale(scale):
    image, template = array((20, 20)), array((4, 3), seed=1)
    want = signal.match_template(image, template)
    np.testing.assert_allclose(signal.match_template(image * scale, template), want, atol=1e-12)
    np.testing.assert_allclose(signal.match_template(image, template * scale), want, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 255.0])
def test_no_contrast_is_no_match(value):
    image = np.full((30, 30), value)
    image[20:] += array((10, 30))
    template = array((3, 4), seed=1)
    got = signal.match_template(image, template)
    assert (got[:18] == 0).all() and (got[18:] != 0).all() and np.abs(got).max() <= 1
    assert (signal.match_template(image, np.full((3, 4), value)) == 0).all()
    assert (signal.match_template(np.full((9, 9), value), template, True, "edge") == 0).all()


def test_a_nan_in_an_image_spoils_its_windows_only():
    image, template = array((30, 30)), array((4, 5), seed=1)
    want = signal.match_template(image, template)
    image[10, 20] = np.nan
    got = signal.match_template(image, template)
    spoilt = np.zeros(got.shape, bool)
    spoilt[7:11, 16:21] = True
    assert (np.isnan(got) == spoilt).all()
    np.testing.assert_allclose(got[~spoilt], want[~spoilt], atol=1e-12)


@pytest.mark.parametrize(
    ("image", "template", "kwargs"),
    [
        (np.ones(5), np.ones(2), {}),
        (np.ones((2, 2, 2, 2)), np.ones((1, 1, 1, 1)), {}),
        (np.ones((5, 5)), np.ones((5, 6)), {}),
        (np.ones((5, 5)), np.ones((2, 2, 2)), {}),
        (np.ones((5, 5, 5)), np.ones((2, 2)), {}),
        (np.ones((5, 0)), np.ones((2, 0)), {}),
        (np.ones((5, 5), complex), np.ones((2, 2)), {}),
        (array((5, 5)), array((2, 2)), {"pad_input": True, "mode": "some"}),
    ],
)
def test_template_errors(image, template, kwargs):
    with pytest.raises(ValueError):
        signal.match_template(image, template, **kwargs)
    if importlib.util.find_spec("skimage"):
        from skimage.feature import match_template

        with pytest.raises(ValueError):
            match_template(image, template, **kwargs)

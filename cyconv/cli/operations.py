"""What the demo computes: each operation by cyconv and, to the same result, by SciPy.

All pictures are float32 between 0 and 1, shaped (1, C, H, W).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage, signal

from ..functional import conv2d, explain, max_pool2d
from ..menu import POOL
from ..pool_problem import max_pool_problem
from ..select import choose_pool, seconds_text
from .kernels import LAPLACIAN

DIRECT_TAPS = 128  # scipy.signal's direct sums take minutes for large kernels; its Fourier transforms do not


@dataclass
class Convolution:
    """One conv2d call, and the ways in which SciPy gets the same result."""

    name: str
    input: np.ndarray
    weight: np.ndarray
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        self.pads = [(k // 2, k // 2) if self.options.get("padding") == "same" else (0, 0) for k in self.weight.shape[2:]]
        self.one_plane_each = self.weight.shape[1] == 1  # each output reads one channel; else one output reads all

    def __call__(self):
        return conv2d(self.input, self.weight, **self.options)

    @property
    def shapes(self):
        return f"{_by(self.input.shape)} * {_by(self.weight.shape)}"

    @property
    def choice(self):
        """(algorithm, why it was chosen)."""
        told = explain(self.input, self.weight, **self.options)
        return told.chosen, _why(told.chosen, {v.algorithm.name: v.seconds for v in told.verdicts if v.declined is None})

    def scipy_ways(self):
        """Callables by name, each returning the result of this call."""
        ways = {"signal.fftconvolve": lambda: self._by_fourier(signal.fftconvolve)}
        ways["signal.oaconvolve"] = lambda: self._by_fourier(signal.oaconvolve)
        if self.weight[0].size <= DIRECT_TAPS and self.one_plane_each:
            ways["signal.correlate2d"] = lambda: self._by_sums(signal.correlate2d)
            ways["signal.correlate"] = lambda: self._by_sums(signal.correlate, method="direct")
        return ways

    def _padded(self):
        return np.pad(self.input, [(0, 0), (0, 0), *self.pads], mode=self.options.get("padding_mode", "constant"))

    def _by_fourier(self, convolve):
        padded = self._padded()
        weight = self.weight[:, 0] if self.one_plane_each else self.weight[0]
        result = convolve(padded, weight[None, :, ::-1, ::-1], mode="valid", axes=(2, 3))
        return result if self.one_plane_each else result.sum(axis=1, keepdims=True)

    def _by_sums(self, correlate, **options):
        planes = self._padded()[0]
        planes = planes if len(planes) > 1 else [planes[0]] * len(self.weight)
        return np.stack([correlate(plane, weight[0], mode="valid", **options) for plane, weight in zip(planes, self.weight)])[None]


@dataclass
class Pooling:
    """Max pooling with return_indices; SciPy's maximum filter gives the values alone, one for every pixel."""

    name: str
    input: np.ndarray
    window: int

    def __call__(self):
        return max_pool2d(self.input, self.window, return_indices=True)

    @property
    def shapes(self):
        return f"{_by(self.input.shape)}, window {self.window}x{self.window}"

    @property
    def choice(self):
        problem = max_pool_problem(2, self.input, self.window, None, 0, 1, False, True)
        chosen = choose_pool(problem).name
        return chosen, _why(chosen, {r.name: r.module.cost(problem)[0] for r in POOL if r.module.why_not(problem) is None})

    def scipy_ways(self):
        return {"ndimage.maximum_filter": self._by_filter}

    def _by_filter(self):
        k = self.window
        rows, columns = (n // k for n in self.input.shape[2:])
        return ndimage.maximum_filter(self.input, size=(1, 1, k, k))[..., k // 2 :: k, k // 2 :: k][..., :rows, :columns]


def window_sums(planes, height, width):
    """Two convolutions that together sum every height x width window of each plane: first the columns, then the rows."""

    def ones(kernel):
        return np.ones((planes.shape[1], 1, *kernel), np.float32)

    columns = Convolution("match: window sums, columns", planes, ones((height, 1)), {"groups": planes.shape[1]})
    rows = Convolution("match: window sums, rows", columns(), ones((1, width)), {"groups": planes.shape[1]})
    return columns, rows


def centred(picture):
    """The picture less its mean: what is left of a sum of squares is then variance, not brightness."""
    return picture - picture.mean(dtype=np.float64).astype(np.float32)


def detail(sums, count):
    """Sum of squared deviations in each window, from (sum of squares, sum) over its `count` samples."""
    squares, total = sums[0].astype(np.float64)
    return squares - total**2 / count


def sums_of(picture):
    """(1, 2, H, W): over the channels of each pixel, the sum of squares and the sum."""
    picture = centred(picture)
    return np.stack([np.square(picture).sum(axis=1), picture.sum(axis=1)], axis=1)


def sharpest(picture, height, width):
    """(row, column) of the corner of the window in which the Laplacian is largest: most often what one looks at first."""
    channels = picture.shape[1]
    weight = np.tile(LAPLACIAN.astype(np.float32), (channels, 1, 1, 1))
    edges = conv2d(picture, weight, padding="same", groups=channels, padding_mode="reflect")
    _, rows = window_sums(np.square(edges).sum(axis=1, keepdims=True), height, width)
    found = rows()[0, 0]
    return tuple(map(int, np.unravel_index(found.argmax(), found.shape)))


class Match:
    """Template matching by normalised cross-correlation, made of three convolutions.

    score(y, x) = sum (patch - its mean) * window  /  sqrt(sum (patch - its mean)^2 * sum (window - its mean)^2)

    is 1 exactly where the window is the patch, up to brightness and contrast, and less everywhere else.
    """

    def __init__(self, picture, row, column, height, width):
        self.place = row, column
        patch = centred(picture)[:, :, row : row + height, column : column + width]
        patch = patch - patch.mean(dtype=np.float64).astype(np.float32)
        patch = patch / max(float(np.sqrt(np.square(patch, dtype=np.float64).sum())), 1e-12)
        self.correlation = Convolution("match: patch over picture", centred(picture), patch.astype(np.float32))
        self.columns, self.rows = window_sums(sums_of(picture), height, width)
        energy = detail(self.rows(), patch.size)
        flat = 1e-3 * energy.max() + 1e-9  # a window this flat resembles nothing; dividing by its rounding errors would not tell
        self.score = self.correlation()[0, 0] / np.sqrt(np.maximum(energy, flat))
        self.found = tuple(map(int, np.unravel_index(self.score.argmax(), self.score.shape)))


def _why(chosen, predicted):
    """The choice in words, from the predicted seconds of every algorithm that could be used."""
    others = sorted((seconds, name) for name, seconds in predicted.items() if name != chosen)
    next_best = f"; next {others[0][1]} {seconds_text(others[0][0])}" if others else ""
    return f"predicted {seconds_text(predicted[chosen])}{next_best}"


def _by(shape):
    return "x".join(map(str, shape))

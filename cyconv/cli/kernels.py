"""The kernels that the command line knows by name, and those that it reads from a .npy file.

Each is a correlation kernel: its rows are drawn as they lie on the picture. A name may be followed by a width in pixels,
as in ``gaussian:31``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import CommandError
from .pictures import is_npy, load_npy

IDENTITY = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float64)
BOX = np.ones((3, 3)) / 9
HORIZONTAL_DIFFERENCE = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], np.float64)
VERTICAL_DIFFERENCE = HORIZONTAL_DIFFERENCE.T
LAPLACIAN = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float64)
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64) / 4  # a step from 0 to 255 gives 255
WIDEST = 4095


@dataclass(frozen=True)
class Kernel:
    """What a filter computes: the correlations with each of `weights`, combined by the root of their squares if several."""

    name: str
    weights: tuple  # of 2-d arrays of one shape
    offset: float = 0.0  # added when the result becomes a picture, so that what is negative shows

    @property
    def smooths(self):
        """Whether each result is a weighted mean of pixels."""
        first = self.weights[0]
        return len(self.weights) == 1 and first.min() >= 0 and abs(first.sum() - 1) < 1e-6


def gaussian(width):
    """A Gaussian bell of standard deviation width/6, cut off at three of them, with sum 1."""
    distance = np.arange(width) - (width - 1) / 2
    bell = np.exp(-0.5 * (distance / (width / 6)) ** 2)
    return np.outer(bell, bell) / bell.sum() ** 2


@dataclass(frozen=True)
class Named:
    make: Callable  # of a width, if `width` is not None
    what: str
    width: int | None = None  # the width if none is given
    offset: float = 0.0


NAMED = {
    "identity": Named(lambda: [IDENTITY], "the picture as it is"),
    "box": Named(lambda n: [np.full((n, n), 1 / n**2)], "mean of N x N pixels", 3),
    "gaussian": Named(lambda n: [gaussian(n)], "blur; the standard deviation is N/6", 9),
    "motion": Named(lambda n: [np.full((1, n), 1 / n)], "blur of N pixels to the side, as of a moving camera", 9),
    "sharpen": Named(lambda: [IDENTITY + LAPLACIAN], "the picture plus its Laplacian"),
    "emboss": Named(lambda: [np.array([[-2.0, -1, 0], [-1, 0, 1], [0, 1, 2]])], "relief lit from one corner; 0 becomes mid-grey", None, 128),
    "horizontal": Named(lambda: [HORIZONTAL_DIFFERENCE / 3], "difference from left to right; 0 becomes mid-grey", None, 128),
    "vertical": Named(lambda: [VERTICAL_DIFFERENCE / 3], "difference from top to bottom; 0 becomes mid-grey", None, 128),
    "laplacian": Named(lambda: [LAPLACIAN], "4 times a pixel minus its four neighbours; 0 becomes mid-grey", None, 128),
    "sobel": Named(lambda: [SOBEL, SOBEL.T], "length of the gradient; a step from black to white becomes white"),
}


def names_text():
    """One line for each named kernel."""
    labels = {name + (":N" if row.width else ""): row for name, row in NAMED.items()}
    wide = max(map(len, labels))
    lines = [f"  {label:{wide}}  {row.what}{f' (N = {row.width})' if row.width else ''}" for label, row in labels.items()]
    return "\n".join([*lines, f"  {'FILE.npy':{wide}}  your own, two axes, drawn as it lies on the picture"])


def parse(text):
    """The kernel that `text` names; ValueError if there is none, CommandError if its file cannot be used."""
    if is_npy(text):
        return _from_file(text)
    name, colon, width = text.partition(":")
    row = NAMED.get(name)
    if row is None:
        raise ValueError(f"there is no kernel {name!r}; known: {', '.join(NAMED)}, or a .npy file")
    if row.width is None:
        if colon:
            raise ValueError(f"kernel {name!r} takes no width, got {text!r}")
        return Kernel(name, tuple(row.make()), row.offset)
    width = width if colon else str(row.width)
    if not (width.isascii() and width.isdecimal() and 1 <= int(width) <= WIDEST and int(width) % 2):
        raise ValueError(f"the width of kernel {name!r} must be an odd number from 1 to {WIDEST}, got {width!r}")
    return Kernel(f"{name}:{int(width)}", tuple(row.make(int(width))), row.offset)


def _from_file(path):
    array = load_npy(path)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "fiub":
        raise CommandError(f"{path} holds {array.dtype} of shape {array.shape}; a kernel has two axes of real numbers")
    weight = array.astype(np.float64)
    if not np.isfinite(weight).all():
        raise CommandError(f"{path} holds NaN or infinity; a kernel has finite numbers")
    return Kernel(path, (weight,))

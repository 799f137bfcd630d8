"""`python -m cyconv demo`: convolves and pools a photograph; prints a table and writes a picture.

The table's times are medians of runs in which cyconv and SciPy take turns. For convolutions, SciPy's is the fastest way that
scipy.signal has to the same result: Fourier transforms for every kernel, direct sums for small ones. For pooling, which
scipy.signal lacks, it is scipy.ndimage's maximum filter.
"""

import os
import time
from dataclasses import dataclass

import numpy as np

from .. import __version__, cpu, get_num_threads
from ..select import seconds_text
from . import CommandError, check_target, measure, pictures
from .kernels import BOX, HORIZONTAL_DIFFERENCE, IDENTITY, LAPLACIAN, VERTICAL_DIFFERENCE, gaussian
from .operations import Convolution, Match, Pooling, sharpest

FILTERS = {
    "Identity": IDENTITY,
    "Box": BOX,
    "Horizontal difference": HORIZONTAL_DIFFERENCE,
    "Vertical difference": VERTICAL_DIFFERENCE,
    "Laplacian": LAPLACIAN,
}
BLUR = 31  # pixels
SMALLEST, LARGEST = 32, 1200  # pixels along a side; larger photographs are reduced
LONGEST = 2  # times the shorter side; what is longer is cropped
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass
class Row:
    """What the table says of one operation."""

    operation: object
    algorithm: str
    why: str
    seconds: float
    scipy_seconds: float
    scipy_name: str
    difference: float  # the largest one, divided by the largest value


def run(photo, target, runs):
    """Works on the picture in file `photo` (None: matplotlib's portrait) and writes a picture to file `target`."""
    poster = _poster()
    check_target(target)
    pictures.encode(target, np.zeros((3, 16, 16)))  # what cannot be written is refused before the work, not after it
    source = _portrait() if photo is None else photo
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise CommandError(f"{target} is the photograph itself; name another file with -o")
    picture, size = load(source)
    height, width = picture.shape[2:]
    used = "" if size == (height, width) else f" (cropped or reduced from {size[1]} x {size[0]})"
    name = os.path.basename(source)
    print(f"cyconv {__version__} on {name}, {width} x {height} pixels{used}; kernels {cpu.level}, threads: cyconv {get_num_threads()}, SciPy 1\n")

    grey = np.tensordot(LUMINANCE, picture[0], 1)[None, None]
    weights = np.stack(list(FILTERS.values()))[:, None].astype(np.float32)
    reflected = {"padding": "same", "padding_mode": "reflect"}
    filters = Convolution("five 3x3 filters", grey, weights, reflected)
    bell = np.tile(gaussian(BLUR).astype(np.float32), (3, 1, 1, 1))
    blur = Convolution(f"Gaussian blur {BLUR}x{BLUR}", picture, bell, {**reflected, "groups": 3})
    patch = round(0.165 * min(height, width)), round(0.28 * min(height, width))
    match = Match(picture, *sharpest(picture, *patch), *patch)
    window = max(2, round(max(height, width) / 100))
    pool = Pooling(f"max pooling {window}x{window}", grey, window)

    rows = [compare(operation, runs) for operation in (filters, blur, match.correlation, match.columns, match.rows, pool)]
    print(table(rows))
    times = "of one run each" if runs == 1 else f"medians of {runs} runs in turn"
    print(f"\nTimes are {times}; 'difference' is the largest one, as part of the largest value.")
    place, found = (f"row {y}, column {x}" for y, x in (match.place, match.found))
    where = "where it was cut out" if match.place == match.found else f"but it was cut out at {place}"
    print(f"The patch of {patch[1]} x {patch[0]} pixels was found at {found}, {where}; score {match.score.max():.3f}.")

    side = max(16, round(0.55 * min(height, width)))
    poster.write(target, name, picture, FILTERS, filters(), sharpest(picture, side, side), side, blur(), match, pool(), pool, rows)
    print(f"Picture: {target}")


def _poster():
    try:
        import matplotlib  # noqa: F401  (asked for before `poster` needs it)
    except ImportError:
        raise CommandError('the demo needs matplotlib: pip install "cyconv[demo]"') from None
    from . import poster

    return poster


def _portrait():
    from matplotlib.cbook import get_sample_data

    return str(get_sample_data("grace_hopper.jpg", asfileobj=False))


def load(path):
    """(the picture as float32 (1, 3, H, W) from 0 to 1, its (height, width) in the file)."""
    read = pictures.read(path)
    if read.planes.dtype != np.uint8:
        raise CommandError(f"{path} is no photograph of 8 bits per sample but has dtype {read.planes.dtype}")
    planes = read.planes[:-1] if read.has_alpha else read.planes
    if len(planes) not in (1, 3):
        raise CommandError(f"{path} has {len(planes)} channels; a photograph has 1 or 3")
    planes = np.repeat(planes, 3, axis=0) if len(planes) == 1 else planes
    height, width = size = planes.shape[1:]
    if min(size) < SMALLEST:
        raise CommandError(f"{path} has {width} x {height} pixels; the demo needs at least {SMALLEST} along each side")
    rows, columns = min(height, LONGEST * width), min(width, LONGEST * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    planes = planes[:, top : top + rows, left : left + columns]
    if max(rows, columns) > LARGEST:
        Image = pictures.pillow()
        factor = LARGEST / max(rows, columns)
        image = Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))
        planes = np.asarray(image.resize((round(columns * factor), round(rows * factor)), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    return np.ascontiguousarray(planes[None], np.float32) / 255, size


def compare(operation, runs):
    """Checks the operation against every way that SciPy has, and times it beside the fastest of them."""
    result = values(operation())
    found = []
    for name, way in operation.scipy_ways().items():
        way()
        begin = time.perf_counter()
        other = way()
        found.append((time.perf_counter() - begin, name, way, float(np.abs(result - other).max() / max(np.abs(result).max(), 1e-30))))
    _, name, way, difference = min(found, key=lambda one: one[0])
    seconds, scipy_seconds = measure.medians([operation, way], runs)
    return Row(operation, *operation.choice, seconds, scipy_seconds, name, difference)


def values(result):
    """A result without the indices of its maxima."""
    return result[0] if isinstance(result, tuple) else result


def table(rows):
    """The rows as text."""
    lines = [("operation", "shapes", "algorithm", "why", "cyconv", "scipy", "with", "difference")]
    for row in rows:
        times = seconds_text(row.seconds), seconds_text(row.scipy_seconds)
        lines.append((row.operation.name, row.operation.shapes, row.algorithm, row.why, *times, row.scipy_name, f"{row.difference:.1g}"))
    wide = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, wide)).rstrip() for line in lines)

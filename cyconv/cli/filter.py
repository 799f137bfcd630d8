"""`python -m cyconv filter`: one kernel over every channel of a picture."""

import os
import time

import numpy as np

from ..functional import conv2d, explain
from ..select import seconds_text
from . import CommandError, pictures


def run(source, target, kernel, padding_mode, algorithm, force):
    """Filters the picture in file `source` into file `target`; returns the line that says what was done."""
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target) and not force:
        raise CommandError(f"{target} is the input itself; give --force to overwrite it")
    picture = pictures.read(source)
    begin = time.perf_counter()
    result, chosen = apply(kernel, picture, padding_mode, algorithm)
    seconds = time.perf_counter() - begin
    if pictures.is_npy(target):
        pictures.save_npy(target, result, picture.flat or len(result) == 1 and not pictures.is_npy(source))
    else:
        colours = len(result) - picture.has_alpha
        result[:colours] += kernel.offset
        pictures.save_picture(target, result)
    sizes = "x".join(map(str, picture.planes.shape))
    window = "x".join(map(str, kernel.weights[0].shape))
    return f"{target}: {sizes}, kernel {kernel.name} ({window}, padding {padding_mode}), algorithm {chosen}, {seconds_text(seconds)}"


def apply(kernel, picture, padding_mode, algorithm):
    """(filtered planes as floats, the algorithm's name).

    A kernel that takes means weights each pixel's colour by its opacity, lest the colour that a file keeps under
    transparent pixels come out at the edges; all other kernels leave the opacity as it is.
    """
    planes = picture.planes
    dtype = np.float64 if planes.dtype.itemsize > 2 and planes.dtype != np.float32 else np.float32
    planes = planes.astype(dtype)
    if not picture.has_alpha:
        return _correlate(kernel, planes, padding_mode, algorithm)
    colour, alpha = planes[:-1], planes[-1:]
    if not kernel.smooths:
        result, chosen = _correlate(kernel, colour, padding_mode, algorithm)
        return np.concatenate([result, alpha]), chosen
    result, chosen = _correlate(kernel, np.concatenate([colour * (alpha / 255), alpha]), padding_mode, algorithm)
    opacity = result[-1:] / 255
    result[:-1] = np.divide(result[:-1], opacity, out=np.zeros_like(result[:-1]), where=opacity > 1e-6)
    return result, chosen


def _correlate(kernel, planes, padding_mode, algorithm):
    """Every weight of the kernel over every plane, each plane a group of its own."""
    channels, each = len(planes), len(kernel.weights)
    for n, k in zip(planes.shape[1:], kernel.weights[0].shape):
        if padding_mode in ("reflect", "circular") and k // 2 > n - (padding_mode == "reflect"):
            raise CommandError(
                f"--padding-mode {padding_mode} cannot pad {n} pixels by {k // 2}, as kernel {kernel.name} needs; "
                "use --padding-mode replicate, or a smaller kernel"
            )
    weight = np.tile(np.stack(kernel.weights)[:, None], (channels, 1, 1, 1)).astype(planes.dtype)
    options = {"padding": "same", "groups": channels, "padding_mode": padding_mode, "algorithm": algorithm}
    result = conv2d(planes, weight, **options)
    if each > 1:
        result = np.sqrt(np.square(result.reshape(channels, each, *result.shape[1:])).sum(axis=1))
    return result, explain(planes, weight, **options).chosen

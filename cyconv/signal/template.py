"""Normalised cross-correlation of a template with every window of an image or a volume.

    out[p] = sum over j of (f[p + j] - mean of f in the window) * (t[j] - mean of t) / sqrt(sum of squares of the first * of the second)

J. P. Lewis, "Fast Normalized Cross-Correlation", Vision Interface 1995, pp. 120-123, an expanded version of which was distributed
by Industrial Light & Magic. The deviations of t sum to 0, so that the numerator is a plain cross-correlation of f with them, whatever is
subtracted from f. The sum of squares of the first factor is count * (mean of f**2 - (mean of f)**2), from two average pools. That
cancels where the window's mean is far from 0: f is taken relative to the image's mean, in float64. Where it cancels all the
same, the few windows that do not repeat a single value are looked at one by one.
"""

from math import prod

import numpy as np

from ..arguments import check_on_cpu
from ..functional import avg_pool2d, avg_pool3d, max_pool2d, max_pool3d, min_pool2d, min_pool3d
from ..memory import assign
from .n_d import correlate
from .operands import as_numpy, check_not_chunked

_CANCELLED = 2.0**-28  # a variance that is so much less than the mean square has lost 28 of 53 bits, or more
_AT_ONCE = 2**20  # elements of windows that are looked at one by one
_PIXELS = 2**22  # of a strip of the image; each takes about 60 bytes of scratch memory
_FLAT = 4 * np.finfo(np.float64).eps  # relative deviations of a template that has one value, rounded


def match_template(image, template, pad_input=False, mode="constant", constant_values=0):
    """Correlation coefficients of a template with all windows of an image or volume, as skimage.feature.match_template.

    Parameters
    ----------
    image : array_like
        (M, N) or (L, M, N); any real dtype.
    template : array_like
        As many axes, none longer than the image's; any real dtype.
    pad_input : bool
        Whether the result is as large as the image, with coefficients of the windows centred at each pixel: of a template n
        samples long, n // 2 samples before it and (n - 1) // 2 after it. Otherwise there is one for each window inside the image.
    mode : str or function
        What lies outside the image: a mode of numpy.pad.
    constant_values : scalar or sequence
        As in numpy.pad, for mode 'constant'.

    Returns
    -------
    ndarray
        Coefficients from -1 to 1, 0 where window or template has no contrast. float32 of an image of float32 or float16,
        else float64; computed in float64.

    Raises
    ------
    ValueError
        If the image has not two or three axes, the template has others or is larger, one is complex, or `mode` makes no sense.

    Notes
    -----
    The formula is Lewis's [1]_. scikit-image sums squares of the image as it is; here its mean is taken away before, so that
    images of little contrast on a high level are matched as well as others. scikit-image gives 0 where the denominator is
    below the dtype's eps; here an image may have any scale.

    References
    ----------
    .. [1] J. P. Lewis, "Fast Normalized Cross-Correlation", Vision Interface (1995), pp. 120-123.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import signal
    >>> image = np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 1, 0], [0, 0, 0, 0]])
    >>> found = signal.match_template(image, image[1:3, 1:3])
    >>> found.round(2)
    array([[-0.52, -0.09,  0.87],
           [-0.49,  1.  , -0.09],
           [ 0.17, -0.49, -0.52]])
    >>> [int(axis) for axis in np.unravel_index(found.argmax(), found.shape)]
    [1, 1]
    """
    check_not_chunked(image=image, template=template)
    check_on_cpu(image=image, template=template)
    image, template = as_numpy("image", image), as_numpy("template", template)
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"image must be a 2- or 3-dimensional array with elements; got shape {image.shape}")
    if template.ndim != image.ndim or not template.size or any(n < k for n, k in zip(image.shape, template.shape)):
        raise ValueError(f"template must have as many axes as the image, none longer and none empty; got {template.shape} and {image.shape}")
    for name, array in (("image", image), ("template", template)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be real; got dtype {array.dtype}")
    dtype = np.float32 if image.dtype.kind == "f" and image.dtype.itemsize <= 4 else np.float64
    image, template = _doubles(image), _doubles(template)
    if pad_input:
        image = _padded(image, template.shape, mode, constant_values)
    with np.errstate(all="ignore"):
        deviations = _centred(template)
        if deviations is None:
            return np.zeros([n - k + 1 for n, k in zip(image.shape, template.shape)], dtype)
        image = _levelled(_scaled(image))
        result = np.empty([n - k + 1 for n, k in zip(image.shape, template.shape)], dtype)
        rows = max(_PIXELS // prod(image.shape[1:]) - len(template), len(template))  # fewer would be looked at again and again
        for first in range(0, len(result), rows):
            result[first : first + rows] = _coefficients(image[first : first + rows + len(template) - 1], deviations)
        return result


def _padded(image, lengths, mode, constant_values):
    """Borders for a result as large as the image; made by numpy.pad for whole templates, as scikit-image does, since ramps depend on that."""
    values = {"constant_values": constant_values} if mode == "constant" else {}
    image = np.pad(image, [(k, k) for k in lengths], mode, **values)
    return image[tuple(slice(k - k // 2, n - (k - (k - 1) // 2)) for n, k in zip(image.shape, lengths))]


def _centred(template):
    """The template's deviations from its mean, scaled to a sum of squares of 1; None if they are but rounding."""
    template = _scaled(template)
    level = np.abs(template).max()
    template = template - template.mean()
    template = template - template.mean()  # again: the first mean was rounded to the digits of a high level
    if np.abs(template).max() <= _FLAT * level:
        return None
    template = _scaled(template)
    return template / np.sqrt((template * template).sum())


def _levelled(image):
    """The image relative to its mean, at most 1 in size, in its own place. What is not finite does not count."""
    total, count = 0.0, 0
    for rows in _pieces(image):
        finite = np.isfinite(rows)
        total, count = total + rows.sum(where=finite), count + np.count_nonzero(finite)
    for rows in _pieces(image):
        rows -= total / max(count, 1)
    return _scaled(image)


def _scaled(array):
    """Times a power of two that makes it at most 1 in size, so that no square overflows or vanishes; in its own place."""
    largest = 0.0
    for rows in _pieces(array):
        finite = np.isfinite(rows)
        largest = max(largest, rows.max(initial=0, where=finite), -rows.min(initial=0, where=finite))
    exponent = int(np.frexp(largest)[1])
    for rows in _pieces(array):
        np.ldexp(rows, -exponent, out=rows)
    return array


def _doubles(array):
    """A copy in double precision."""
    result = np.empty(array.shape)
    assign(result, array)
    return result


def _pieces(array):
    """Rows of an array, some at a time: between them Python looks at Ctrl-C."""
    step = max(_PIXELS // max(prod(array.shape[1:]), 1), 1)
    return (array[first : first + step] for first in range(0, len(array), step))


def _coefficients(image, template):
    """For an image around 0, and deviations of a template whose squares sum to 1."""
    count, lengths = prod(template.shape), template.shape
    average, largest, smallest = (avg_pool2d, max_pool2d, min_pool2d) if image.ndim == 2 else (avg_pool3d, max_pool3d, min_pool3d)
    numerator = correlate(image, template, mode="valid")
    mean = average(image[None], lengths, 1)[0]
    square = average((image * image)[None], lengths, 1)[0]
    variance = square - mean * mean
    result = numerator / np.sqrt(count * np.maximum(variance, 0))
    cancelled = variance <= _CANCELLED * square
    if cancelled.any():
        flat = cancelled & (largest(image[None], lengths, 1)[0] == smallest(image[None], lengths, 1)[0])
        result[flat] = 0
        _one_by_one(image, template, np.nonzero(cancelled & ~flat), result)
    return np.clip(result, -1, 1)


def _one_by_one(image, template, places, result):
    """The formula itself at some places."""
    windows, axes = np.lib.stride_tricks.sliding_window_view(image, template.shape), tuple(range(1, 1 + template.ndim))
    step = max(_AT_ONCE // template.size, 1)
    for first in range(0, len(places[0]), step):
        some = tuple(axis[first : first + step] for axis in places)
        deviations = windows[some]
        deviations = deviations - deviations.mean(axes, keepdims=True)
        squares = (deviations * deviations).sum(axes)
        result[some] = (deviations * template).sum(axes) / np.sqrt(squares)

"""Convolution under the names, with the arguments and to the results of scipy.signal: ``import cyconv.signal as signal``.

    n_d.py           correlate, convolve, choose_conv_method, correlation_lags: all axes of N-d arrays
    some_axes.py     fftconvolve, oaconvolve: the axes that are named; the others broadcast
    two_d.py         correlate2d, convolve2d: planes, whose borders may be filled, wrapped or mirrored
    template.py      match_template: normalised cross-correlation, as in skimage.feature
    arrangement.py   which one convolution of cyconv gives the wanted part of the full convolution of two arrays
    scipys_transforms.py  which of them SciPy's Fourier transforms are quicker for
    operands.py      what a caller passed, as arrays of one dtype; what is left to SciPy

cyconv's own algorithms do the work, within MAX_WORKSPACE, and its cost model chooses between them. Two large arrays of about one size,
for which SciPy's transforms are predicted to be quicker, and arrays that cyconv has no kernels for (object, longdouble, bool, more than
four axes along which both arrays are longer than 1) are passed on to scipy.signal, which is imported only then.

All but match_template and choose_conv_method take dask arrays: cyconv/chunked/signal.py.
"""

from .n_d import choose_conv_method, convolve, correlate, correlation_lags
from .some_axes import fftconvolve, oaconvolve
from .template import match_template
from .two_d import convolve2d, correlate2d

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "match_template",
    "oaconvolve",
]

"""What is left to scipy.signal's Fourier transforms, which take as much memory as they need.

cyconv transforms tiles, within MAX_WORKSPACE. For two large arrays of about one size one tile must hold both, which may be too large, or
slower than SciPy. Both are predicted from shapes and dtype: cyconv by its cost model, SciPy by

    seconds = CALL + LINE * (three times, unless batches broadcast) points * log2(points)

of n + k - 1 points along each axis. Both slow down by a power of how much larger the memory that they work in is than a core's caches.
"""

from math import inf, log2, prod

import numpy as np

from .. import select
from ..costs import CACHE_BYTES
from ..threads import get_num_threads
from .operands import scipy

# By `python -m bench.beside_scipy --constants`, rounded; to be renewed with fft's costs
_CALL = 5e-5
_LINE = {"float32": 5.0e-10, "float64": 6.9e-10, "complex64": 7.4e-10, "complex128": 1.24e-9}  # one line alone: a signal
_LINES = {"float32": 2.4e-10, "float64": 4.1e-10, "complex64": 4.1e-10, "complex128": 7.4e-10}  # pocketfft does several at once
_FAR = 0.13
_OWN = 1.58  # cyconv's seconds in the same measurement, over those that the cost model predicts
_DOUBT = 1.1  # both predictions are right to about a sixth: SciPy's is taken where there is next to nothing to be gained
_SOON = 1e-3  # seconds of cyconv's in which it does not matter: importing scipy.signal takes hundreds of times as long


def scipy_is_quicker(problem, shape1, shape2, axes, algorithm, any_weight):
    """Whether SciPy transforms two arrays sooner than cyconv's best algorithm, or `algorithm`, computes the problem that they make.

    any_weight: without those that compute some weights only.
    """
    if problem.dtype.startswith(("int", "uint")):  # exact
        return False
    own = min(
        (
            v.seconds * _far(v.workspace)
            for v in select.verdicts(problem)
            if v.declined is None and algorithm in ("auto", v.algorithm.name) and not (any_weight and v.algorithm.weights)
        ),
        default=inf,
    )
    return own > _SOON and own * _OWN * _DOUBT > scipys_seconds(shape1, shape2, axes, problem.dtype)


def scipys_seconds(shape1, shape2, axes, dtype):
    """Predicted seconds of scipy.signal.fftconvolve on one thread."""
    along = [axis for axis in axes if shape1[axis] > 1 and shape2[axis] > 1]
    if not along:
        return inf  # there is nothing to transform
    each = prod(shape1[axis] + shape2[axis] - 1 for axis in along)  # the next length that is quickly transformed is hardly longer
    shapes = (shape1, shape2, map(max, shape1, shape2))
    lines = [prod(length for axis, length in enumerate(shape) if axis not in along) for shape in shapes]
    dtype = "float32" if dtype == "float16" else dtype
    unit = _LINE[dtype] if len(along) == 1 and lines[2] == 1 else _LINES[dtype]
    return _CALL + sum(lines) * each * log2(each) * unit * _far(lines[2] * each * np.dtype(dtype).itemsize)


def transformed(name, in1, in2, mode, axes):
    """The result of scipy.signal's function of that name, on as many threads as cyconv may use."""
    dtype = in1.dtype
    if dtype == np.float16:
        in1, in2 = in1.astype(np.float32), in2.astype(np.float32)
    function = getattr(scipy(), name)
    from scipy.fft import set_workers

    with set_workers(get_num_threads()):
        return function(in1, in2, mode, axes).astype(dtype, copy=False)


def _far(size):
    return max(size / CACHE_BYTES, 1) ** _FAR

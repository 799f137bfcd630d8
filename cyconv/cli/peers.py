"""Other libraries' ways to a convolution padded to the same size; what is not installed is left out."""

import importlib
from contextlib import ExitStack, contextmanager

import numpy as np
from scipy import fft, signal

from .. import threads as own_threads

NAMES = {"numpy": "NumPy", "scipy": "SciPy", "torch": "torch", "cv2": "OpenCV"}


def installed(name):
    """The module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def versions(names):
    """{library: version} of those modules of `names` (module: library) that are installed."""
    return {shown: module.__version__ for name, shown in names.items() if (module := installed(name))}


@contextmanager
def threads(count):
    """Every library's thread count, cyconv's among them."""
    with ExitStack() as stack:
        stack.enter_context(own_threads(count))
        if torch := installed("torch"):
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        if cv2 := installed("cv2"):
            stack.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(count)
        if pools := installed("threadpoolctl"):  # NumPy's BLAS, in `reference`, knows no other way
            stack.enter_context(pools.threadpool_limits(count, "blas"))
        stack.enter_context(fft.set_workers(count))
        yield


def ways(x, weight):
    """{name: callable} for float arrays (1, C, ...) and (O, C, odd kernel ...)."""
    found, rank = {}, x.ndim - 2
    if torch := installed("torch"):
        function, tensors = getattr(torch.nn.functional, f"conv{rank}d"), (torch.from_numpy(x), torch.from_numpy(weight))
        padding = tuple(k // 2 for k in weight.shape[2:])
        found["torch"] = lambda: function(*tensors, padding=padding)
    if x.shape[1] > 1 or len(weight) > 1:
        return found
    samples, kernel = x[0, 0], weight[0, 0]
    cv2 = installed("cv2")
    if cv2 and rank == 2:
        found["OpenCV filter2D"] = lambda: cv2.filter2D(samples, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    flipped = np.ascontiguousarray(np.flip(kernel))  # convolution turns the kernel round
    found["SciPy oaconvolve"] = lambda: signal.oaconvolve(samples, flipped, "same")
    found["SciPy fftconvolve"] = lambda: signal.fftconvolve(samples, flipped, "same")
    found["SciPy correlate"] = lambda: signal.correlate(samples, kernel, "same", "direct")
    return found

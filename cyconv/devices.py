"""On which device arrays lie, and how they are moved. CuPy is imported by nobody but who asks for it: who has a CuPy array has done so."""

import sys
from contextlib import nullcontext

import numpy as np

DEVICES = ("cpu", "gpu")
_HERE = nullcontext()
_MISSING = (
    "cyconv's GPU path needs CuPy, which cannot be imported ({}): pip install 'cyconv[gpu]', or the package of CuPy that fits your CUDA "
    "(https://docs.cupy.dev/en/stable/install.html)"
)


def on_gpu(value):
    """Whether `value` is a CuPy array."""
    if type(value) is np.ndarray:
        return False
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, getattr(cupy, "ndarray", ()))


def is_chunked(value):
    """Whether `value` is a dask array."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(value, getattr(dask, "Array", ()))


def device_of(**arrays):
    """ "gpu" if all of the arrays are CuPy's, "cpu" if none is; None counts as neither. Nothing is ever copied from one to the other.
    "chunks" if one is dask's, whatever its chunks are.

    Arrays of two GPUs are refused: a kernel of one that reads the other's memory stops all that is computed there.
    """
    for value in arrays.values():
        if type(value) is not np.ndarray and value is not None:
            break
    else:
        return "cpu"  # which takes less than it does to look for CuPy
    if any([is_chunked(value) for value in arrays.values()]):
        return "chunks"
    found = {}
    for name, value in arrays.items():
        if value is not None:
            found.setdefault("gpu" if on_gpu(value) else "cpu", (name, value))
    if len(found) == 2:
        (first, a), (second, b) = found["gpu"], found["cpu"]
        module = ", a module's to() the module" if hasattr(a, "requires_grad") or hasattr(b, "requires_grad") else ""
        raise TypeError(
            f"{first} is a CuPy array (on the GPU), {second} a {_kind(b)} (on the CPU); they must lie on one device: "
            f"cupy.asarray({second}) or cupy.asnumpy({first}) moves one{module}"
        )
    if "gpu" not in found:
        return "cpu"
    _check_on_one_gpu({name: value for name, value in arrays.items() if value is not None})
    return "gpu"


def _check_on_one_gpu(arrays):
    """Raises if CuPy's arrays lie on several devices, or if their numbers' bytes are in an order that no device knows."""
    first = None
    for name, each in arrays.items():
        gpu = each.data.device_id
        if first is None:
            first, lies = name, gpu
        elif gpu != lies:
            raise ValueError(
                f"{first} lies on GPU {lies}, {name} on GPU {gpu}; they must lie on one device: "
                f"cupy.array({name}), with {first}.device as the current device, copies one"
            )
        check_order_of_bytes(name, each)


def check_order_of_bytes(name, array):
    if not array.dtype.isnative:
        raise TypeError(f"{name} has dtype {array.dtype.str}, whose bytes are in another order than the device's")


def _kind(value):
    return "NumPy array" if isinstance(value, np.ndarray) else type(value).__name__


def cupy_with_device():
    """CuPy, if somebody has imported it and it finds a device; else None."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and cupy.cuda.is_available() else None


def namespace(array):
    """The module whose functions take the array: numpy or cupy."""
    return sys.modules["cupy"] if on_gpu(array) else np


def where(array):
    """A context in which CuPy's functions compute where the array lies; nothing for NumPy's."""
    return array.device if on_gpu(array) else _HERE


def lies_whole(array):
    """Whether a CuPy array begins at a whole element and has strides of whole elements: kernels, CuPy's too, stop at any other."""
    size = array.itemsize
    part = min(size, 8)  # complex128 needs no more than its parts do
    return array.data.ptr % part == 0 and all([step % size == 0 for step in array.strides])


def aligned(array):
    """A CuPy array, or where it does not lie so, a contiguous copy."""
    if lies_whole(array):
        return array
    with array.device:
        return _by_bytes(array).copy().view(array.dtype).reshape(array.shape)


def written(array, values):
    """Writes values to an array of the same shape, dtype and device, wherever its elements begin."""
    if type(array) is np.ndarray or not on_gpu(array) or lies_whole(array):
        array[...] = values
    else:
        _by_bytes(array)[...] = _by_bytes(values)


def _by_bytes(array):
    """The bytes of a CuPy array, those of an element along one more axis."""
    return sys.modules["cupy"].ndarray((*array.shape, array.itemsize), np.uint8, array.data, (*array.strides, 1))


# ---- moving ----------------------------------------------------------------------------------------------------------------


def require_cupy():
    """CuPy, if it has a device; else one line says what is missing."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError(_MISSING.format(_line(error))) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # of CuPy's own kind
        raise RuntimeError(f"CuPy finds no CUDA device: {_line(error)}") from error
    if not count:
        raise RuntimeError("CuPy finds no CUDA device: there is none")
    return cupy


def _line(error):
    return " ".join(str(error).split())


def moved(array, device):
    """The array, or where it lies elsewhere a copy, on "cpu" or "gpu", which is CuPy's current one. Waits for the device."""
    if on_gpu(array) == (device == "gpu"):
        return array
    return require_cupy().asarray(array) if device == "gpu" else array.get()


def assign(array, values):
    """Writes values, which may lie elsewhere, to all of an array. What its dtype cannot hold becomes infinite."""
    if on_gpu(array):
        with array.device:
            array[...] = require_cupy().asarray(values)  # another GPU's are copied to this one first
    else:
        with np.errstate(over="ignore"):
            np.copyto(array, moved(values, "cpu"), casting="unsafe")


def copied(array):
    """A plain array with the same values on the same device."""
    if on_gpu(array):
        with array.device:
            return array.copy()
    return np.array(array, subok=False)

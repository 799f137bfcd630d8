"""On which device arrays lie. CuPy is never imported here: who has a CuPy array has imported it."""

import sys

import numpy as np

_WORDS = {"cpu": "on the CPU", "gpu": "on the GPU"}


def on_gpu(value):
    """Whether `value` is a CuPy array."""
    if type(value) is np.ndarray:
        return False
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, getattr(cupy, "ndarray", ()))


def device_of(**arrays):
    """ "gpu" if all of the arrays are CuPy's, "cpu" if none is; None counts as neither. Nothing is ever copied from one to the other."""
    found = {}
    for name, value in arrays.items():
        if value is not None:
            found.setdefault("gpu" if on_gpu(value) else "cpu", (name, value))
    if len(found) == 2:
        (first, _), (second, b) = found["gpu"], found["cpu"]
        raise TypeError(
            f"{first} is a CuPy array (on the GPU), {second} a {_kind(b)} (on the CPU); they must lie on one device: "
            f"cupy.asarray({second}) or cupy.asnumpy({first}) moves one"
        )
    return "gpu" if "gpu" in found else "cpu"


def _kind(value):
    return "NumPy array" if isinstance(value, np.ndarray) else type(value).__name__

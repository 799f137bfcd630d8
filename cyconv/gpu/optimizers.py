"""Steps of SGD and Adam on the GPU: one launch for each parameter."""

import numpy as np

from .launch import REALS, TYPES, blocks, kernel

THREADS = 256


def sgd(parameter, gradient, velocity, first, lr, momentum, dampening, weight_decay, nesterov):
    """Changes `parameter` and `velocity` (None without momentum), whose first step it may be."""
    _step("sgd", parameter, gradient, _doubles(lr, momentum, dampening, weight_decay), int(nesterov), int(first), (velocity,))


def adam(parameter, gradient, first_moment, second_moment, rate, betas, eps, weight_decay):
    """Changes `parameter` and both moments."""
    _step("adam", parameter, gradient, _doubles(rate, *betas, eps, weight_decay), (first_moment, second_moment))


def _step(name, parameter, gradient, *arguments):
    import cupy

    *numbers, arrays = arguments
    if parameter.size:
        with parameter.device:
            gradient = cupy.ascontiguousarray(gradient, parameter.dtype)
            kernel("optimizers", f"{name}<{TYPES[parameter.dtype.name]}>")(
                (blocks(parameter.size, THREADS),), (THREADS,), (parameter.size, *numbers, gradient, *arrays, parameter)
            )


def _doubles(*values):
    """A struct of them, passed by value."""
    numbers = np.array(values, np.float64)
    return numbers.view(f"V{numbers.nbytes}")


def instances():
    """All kernels that may be asked for: (file, expression)."""
    return [("optimizers", f"{name}<{TYPES[dtype]}>") for name in ("sgd", "adam") for dtype in REALS]

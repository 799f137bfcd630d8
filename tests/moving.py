"""The functions of cyconv with a GPU between: arrays are moved there, the function is called, and what it returns is moved back.

So a test of NumPy arrays is one of CuPy arrays, too (the fixture `backend`, the mark `backends`).
"""

import functools
import inspect

import numpy as np

import cyconv

ARRAYS = {  # parameters that take arrays
    "input", "weight", "bias", "grad_output", "indices", "target", "running_mean", "running_var", "out", "output",
}  # fmt: skip
WRITTEN = {"out", "output", "running_mean", "running_var"}  # those whose numbers a function changes
HERE = {"explain", "plan_conv", "dropout", "cross_entropy"}  # what they return, or draw, is not what the CPU does
ON_CPU = {"reference", "channel_lanes", "dots", "separable"}  # algorithms that the GPU has not: there the CPU computes


def move_functions(monkeypatch, cupy):
    """Replaces the public functions, until the test is over."""
    for module in (cyconv.functional, cyconv.grad):
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and name not in HERE:
                moved = through(cupy, function)
                for place in (module, cyconv) if module is cyconv.functional else (module,):
                    monkeypatch.setattr(place, name, moved)


def through(cupy, function):
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*arguments, **options):
        try:
            bound = signature.bind(*arguments, **options)
        except TypeError:
            return function(*arguments, **options)  # which says the same
        out = bound.arguments.get("out", bound.arguments.get("output"))
        read_only = isinstance(out, np.ndarray) and not out.flags.writeable  # CuPy's arrays are never
        to_write = [value for name, value in bound.arguments.items() if name in WRITTEN and value is not None]
        no_array = not all([isinstance(value, np.ndarray) for value in to_write])  # which is refused, wherever the others lie
        algorithm = bound.arguments.get("algorithm")
        movable = all([is_movable(value) for name, value in bound.arguments.items() if name in ARRAYS])
        if isinstance(algorithm, str) and str(algorithm) in ON_CPU or read_only or no_array or not movable:
            return function(*arguments, **options)
        moved = {}
        for name, value in bound.arguments.items():
            if name in ARRAYS:
                bound.arguments[name] = moved[name] = there(cupy, value)
        result = back(cupy, function(*bound.args, **bound.kwargs))
        asked = signature.bind(*arguments, **options).arguments
        for name in WRITTEN & moved.keys():
            if isinstance(asked[name], np.ndarray):
                asked[name][...] = moved[name].get()
        if isinstance(out, np.ndarray):
            return (out, *result[1:]) if isinstance(result, tuple) else out
        return result

    return call


def is_movable(value):
    """Not so are arrays with a mask, and lists that are no array."""
    if isinstance(value, (list, tuple)):
        try:
            np.array(value)
        except ValueError:
            return False
    return not isinstance(value, np.ma.MaskedArray)


def there(cupy, value):
    """On the device; what is no array that CuPy knows is left to the function to complain about."""
    if isinstance(value, (list, tuple)):
        value = np.array(value)
    if type(value) is np.ndarray and value.dtype.kind in "biufcV" and value.dtype.names is None:
        if value.size and 0 in value.strides:  # one number for all of an axis, which may be longer than any memory
            once = value[tuple([slice(1) if step == 0 else slice(None) for step in value.strides])]
            return cupy.broadcast_to(cupy.asarray(once.copy()), value.shape)
        return cupy.asarray(value)
    return value


def back(cupy, value):
    if isinstance(value, tuple):
        return tuple(back(cupy, each) for each in value)
    return value.get() if isinstance(value, cupy.ndarray) else value

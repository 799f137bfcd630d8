"""What a layer learns: an array with its gradient beside it.

On the CPU that is a class derived from NumPy's arrays, on the GPU one from CuPy's, made when it is needed; both have the same attributes.
CuPy gives a derived class to whatever is computed from one, so that of those only what was made as a parameter counts as one.
"""

import functools
import sys

import numpy as np

from ..arguments import FLOATS, GPU_ONLY, INTEGERS, as_array, dtype_name, flag
from ..devices import copied, device_of, on_gpu, where


class _Learnt:
    """What parameters have wherever they lie."""

    requires_grad = True
    _grad = None
    _successor = None  # the same parameter on another device, where a module has put one (moving.py)

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            if on_gpu(value) or on_gpu(self):
                device_of(grad=value, parameter=self)
            value = as_array("grad", value, gpu=True)
            dtype_name("grad", value.dtype, FLOATS + INTEGERS, GPU_ONLY)
            if value.shape != self.shape:
                raise ValueError(f"grad must have the parameter's shape {self.shape}, got {value.shape}")
        self._grad = value

    def accumulate(self, gradient):
        """Adds to `grad`; nothing happens if `requires_grad` is False.

        Parameters
        ----------
        gradient : ndarray
            Of the parameter's shape. The first one is taken over, not copied.
        """
        if not self.requires_grad:
            return
        if self._grad is None:
            self.grad = gradient
        else:
            with where(self):
                self._grad += gradient

    # ---- copies keep the gradient ----------------------------------------------------------------------------------------

    def __reduce__(self):
        return _made, (self._public, self.view(self._array), self._grad, self.requires_grad)

    def __copy__(self):
        return _made(self._public, self, None if self._grad is None else copied(self._grad), self.requires_grad)

    def __deepcopy__(self, memo):
        return self.__copy__()


class _EitherDevice(type):
    """So that parameters on the GPU are instances of Parameter, too."""

    def __instancecheck__(cls, value):
        return type.__instancecheck__(cls, value) or cls is Parameter and isinstance(value, _Learnt) and value._is_parameter


class Parameter(_Learnt, np.ndarray, metaclass=_EitherDevice):
    """An array that a layer learns, with its gradient beside it.

    It is a NumPy array wherever one is expected, or a CuPy array if it is made of one or a module moves it to the GPU, and may be
    written to in place. What is computed from it (views, too) is a plain array: a gradient belongs to a parameter alone. (On the GPU
    such results are arrays of the same class, as CuPy has it, but no parameters all the same: ``isinstance`` says so.)

    Parameters
    ----------
    data : array_like
        float16, float32 or float64, any shape. Copied; a CuPy array stays on the GPU. Also bfloat16 (of ml_dtypes), which a NumPy array may
        hold until a module moves it to the GPU, where alone it is computed.
    requires_grad : bool, optional
        Whether layers compute its gradient.

    Attributes
    ----------
    grad : ndarray or None
        The gradient, of the parameter's shape and on its device. Every backward adds to it, until `zero_grad` of a module or an optimizer
        makes it None.
    requires_grad : bool
        May be changed at any time.

    Raises
    ------
    ValueError, TypeError
        If `data` is no array of a floating dtype, or `grad` is set to what does not have the parameter's shape or lies elsewhere.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> w = cyconv.nn.Parameter(np.array([1.0, 2.0]))
    >>> w.accumulate(np.array([0.5, 0.0]))
    >>> w -= 0.1 * w.grad
    >>> w
    Parameter([0.95, 2.  ])
    >>> type(w + 1).__name__
    'ndarray'
    """

    _is_parameter = True
    _array = np.ndarray

    def __new__(cls, data, requires_grad=True):
        data = as_array("data", data, gpu=True)
        dtype_name("data", data.dtype, FLOATS, GPU_ONLY)
        self = _of_cupy(data) if on_gpu(data) else np.array(data, order="C", subok=False).view(cls)
        self.requires_grad = flag("requires_grad", requires_grad)
        return self

    @property
    def _public(self):
        return type(self)

    # ---- what is computed from it is a plain array ---------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if out is not None:
            options["out"] = tuple([_plain(each) for each in out])
        result = getattr(ufunc, method)(*map(_plain, inputs), **_plain(options))
        if out is None:
            return result
        return out[0] if len(out) == 1 else tuple(given if given is not None else new for given, new in zip(out, result))

    def __array_function__(self, function, types, arguments, options):
        return function(*_plain(arguments), **_plain(options))

    def __getitem__(self, key):
        return self.view(np.ndarray)[key]


def _made(cls, data, grad, requires_grad):
    parameter = cls(data, requires_grad)
    parameter.grad = grad
    return parameter


def _plain(value):
    """`value` with plain arrays for parameters, also inside what NumPy's functions take arrays in."""
    if isinstance(value, _Learnt):
        return value.view(value._array)
    if type(value) in (tuple, list):
        return type(value)([_plain(each) for each in value])
    if type(value) is dict:
        return {name: _plain(each) for name, each in value.items()}
    return value


def _plain_method(name):
    inherited = getattr(np.ndarray, name)

    def method(self, *arguments, **options):
        return inherited(self.view(np.ndarray), *arguments, **options)

    method.__name__, method.__doc__ = name, f"As ndarray.{name}; the result is a plain array."
    return method


def _plain_property(name):
    return property(lambda self: getattr(self.view(np.ndarray), name))


# Those of ndarray's methods and properties that neither call a ufunc nor copy what the class says of itself.
for _name in (
    "argmax", "argmin", "argpartition", "argsort", "astype", "byteswap", "choose", "clip", "compress", "conj", "conjugate", "copy",
    "cumprod", "cumsum", "diagonal", "dot", "flatten", "ravel", "repeat", "reshape", "round", "squeeze", "swapaxes", "take", "trace",
    "transpose",
):  # fmt: skip
    setattr(Parameter, _name, _plain_method(_name))
for _name in ("T", "imag", "mT", "real"):
    if hasattr(np.ndarray, _name):  # mT is NumPy 2's
        setattr(Parameter, _name, _plain_property(_name))


# ---- on the GPU ------------------------------------------------------------------------------------------------------------


def _of_cupy(data):
    with data.device:
        return worn(sys.modules["cupy"].array(data, order="C"))


def worn(array):
    """A plain array, not copied, as a parameter."""
    if not on_gpu(array):
        return array.view(Parameter)
    self = array.view(_class_of(sys.modules["cupy"].ndarray))
    self._is_parameter = True
    return self


@functools.cache
def _class_of(array):
    """The class of parameters that are CuPy arrays."""

    class CuPyParameter(_Learnt, array):
        """A Parameter on the GPU, or what CuPy has computed from one."""

        _is_parameter = False
        _array = array
        _public = Parameter

        def __repr__(self):
            return repr(Parameter(self.get()) if self._is_parameter else self.get())

    return CuPyParameter


def check_fit(name, present, value):
    """Raises unless an array can be written to a parameter or buffer: floats to floats, integers to integers."""
    if value.shape != present.shape:
        raise ValueError(f"{name} must have shape {present.shape}, got {value.shape}")
    kinds, what = ("f", "a floating") if _floating(present) else ("iu", "an integer")
    if value.dtype.kind not in kinds and not (kinds == "f" and _floating(value)):
        raise TypeError(f"{name} must have {what} dtype, got {value.dtype}")
    with where(value):
        if kinds == "iu" and value.size and int(value.max()) > np.iinfo(present.dtype).max:
            raise ValueError(f"{name} must be at most {np.iinfo(present.dtype).max}, got {value.max()}")
    if not on_gpu(present) and not present.flags.writeable:
        raise ValueError(f"{name} is read-only in the module")


def _floating(array):
    return array.dtype.kind == "f" or array.dtype.name in GPU_ONLY

"""What a layer learns: an array with its gradient beside it."""

import numpy as np

from ..arguments import FLOATS, INTEGERS, as_array, dtype_name, flag


class Parameter(np.ndarray):
    """An array that a layer learns, with its gradient beside it.

    It is a NumPy array wherever one is expected, and may be written to in place. What is computed from it (views, too) is a
    plain array: a gradient belongs to a parameter alone.

    Parameters
    ----------
    data : array_like
        float16, float32 or float64, any shape. Copied.
    requires_grad : bool, optional
        Whether layers compute its gradient.

    Attributes
    ----------
    grad : ndarray or None
        The gradient, of the parameter's shape. Every backward adds to it, until `zero_grad` of a module or an optimizer makes it None.
    requires_grad : bool
        May be changed at any time.

    Raises
    ------
    ValueError, TypeError
        If `data` is no array of a floating dtype, or `grad` is set to what does not have the parameter's shape.

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

    def __new__(cls, data, requires_grad=True):
        data = as_array("data", data)
        dtype_name("data", data.dtype, FLOATS)
        self = np.array(data, order="C", subok=False).view(cls)
        self.requires_grad = flag("requires_grad", requires_grad)
        return self

    def __array_finalize__(self, source):
        self._grad = None
        self.requires_grad = True

    @property
    def grad(self):
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            value = as_array("grad", value)
            dtype_name("grad", value.dtype, FLOATS + INTEGERS)
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
            self._grad += gradient

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

    # ---- copies keep the gradient ----------------------------------------------------------------------------------------

    def __reduce__(self):
        return _made, (type(self), self.view(np.ndarray), self._grad, self.requires_grad)

    def __copy__(self):
        return _made(type(self), self, None if self._grad is None else self._grad.copy(), self.requires_grad)

    def __deepcopy__(self, memo):
        return self.__copy__()


def _made(cls, data, grad, requires_grad):
    parameter = cls(data, requires_grad)
    parameter.grad = grad
    return parameter


def _plain(value):
    """`value` with plain arrays for parameters, also inside what NumPy's functions take arrays in."""
    if isinstance(value, Parameter):
        return value.view(np.ndarray)
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

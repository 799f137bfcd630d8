"""What stands in sys.modules as "cupy"."""

import contextlib
import functools
import time

import numpy as np

from . import cublas as _cublas
from . import cufft as _cufft
from . import kernels
from .arrays import Device, Unowned, _wrapped, host, moved, ndarray, of_class

__version__ = "0 (host)"


class RawModule(kernels.RawModule):
    """As cupy.RawModule, which takes tuples and nothing else where it says so."""

    def __init__(self, *, code, options=(), name_expressions=()):
        assert type(code) is str and type(options) is tuple
        super().__init__(code=code, options=options, name_expressions=name_expressions)

    def get_function(self, name):
        return functools.partial(_launched, super().get_function(name))


def _launched(kernel, grid, block, arguments):
    """A launch on the current device, whose kernels read no other's memory, and get 4096 bytes of arguments at most."""
    assert type(grid) is type(block) is tuple
    for number, each in enumerate(arguments):
        if isinstance(each, ndarray):
            host(each, f"argument {number} of {kernel.name}")
    if np.sum([each.nbytes if isinstance(each, np.ndarray) else 8 for each in arguments]) > 4096:
        raise RuntimeError(f"{kernel.name} has too many arguments")
    kernel(grid, block, arguments)


def asarray(value, dtype=None):
    if isinstance(value, ndarray):
        value = value if value.device == Device() else value.copy()
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    value = np.asarray(value, dtype)
    return moved(value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("=")))


def array(value, dtype=None, copy=True, order="K"):
    if isinstance(value, ndarray):
        value = value if value.device == Device() else value.copy()
        return value.astype(dtype or value.dtype, order)
    return moved(np.array(value, dtype, order=order))


def asnumpy(value):
    return value.get() if isinstance(value, ndarray) else np.asarray(value)


def empty(shape, dtype=float):
    return ndarray(shape, dtype)


def zeros(shape, dtype=float):
    made = ndarray(shape, dtype)
    made.fill(0)
    return made


def ones(shape, dtype=float):
    made = ndarray(shape, dtype)
    made.fill(1)
    return made


def full(shape, value, dtype=None):
    made = ndarray(shape, dtype or np.asarray(value).dtype)
    made.fill(value)
    return made


def empty_like(array, dtype=None):
    return ndarray(array.shape, dtype or array.dtype)


def zeros_like(array, dtype=None):
    return zeros(array.shape, dtype or array.dtype)


def ones_like(array, dtype=None):
    return ones(array.shape, dtype or array.dtype)


def ascontiguousarray(array, dtype=None):
    if array.flags.c_contiguous and dtype in (None, array.dtype):
        return array if array.ndim else array.ravel()
    return moved(np.ascontiguousarray(host(array), dtype))


def may_share_memory(a, b):
    """As CuPy's: what does not come from one allocation is taken to be apart."""
    return a.data.mem is b.data.mem and np.may_share_memory(a._host, b._host)


shares_memory = may_share_memory


def arange(*arguments, dtype=None):
    return moved(np.arange(*arguments, dtype=dtype))


def broadcast_to(array, shape):
    return ndarray._view(np.broadcast_to(array._host, shape), array._memory)


def matmul(a, b, out=None):
    return _through(np.matmul, a, b, out=out)


def _through(function, *arguments, **options):
    """NumPy's function of the arrays behind CuPy's."""
    out = options.pop("out", None)
    with np.errstate(all="ignore"):
        found = function(*[host(a, function.__name__) for a in arguments], **{k: host(v) for k, v in options.items()})
    if out is not None:
        out[...] = moved(found)
        return out
    return of_class(_wrapped(found), arguments) if isinstance(function, np.ufunc) else _wrapped(found)


# functions that are NumPy's on the arrays behind
_SAME = (
    "abs", "add", "argsort", "concatenate", "conj", "copysign", "cumsum", "divide", "equal", "exp", "expand_dims", "flip", "greater",
    "isfinite", "isnan", "less", "log", "logical_and", "logical_not", "logical_or", "max", "maximum", "mean", "min", "minimum", "moveaxis",
    "multiply", "negative", "not_equal", "pad", "power", "prod", "repeat", "rint", "sign", "sort", "sqrt", "square", "stack", "subtract",
    "sum", "swapaxes", "take_along_axis", "tensordot", "transpose", "where",
)  # fmt: skip
for _name in _SAME:
    globals()[_name] = lambda *a, f=getattr(np, _name), **o: _through(f, *a, **o)


class cuda:
    """As cupy.cuda."""

    Device = Device
    UnownedMemory = Unowned

    class MemoryPointer:
        """As cupy.cuda.MemoryPointer."""

        def __init__(self, mem, offset):
            self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id

    @staticmethod
    def is_available():
        return True

    class Event:
        """As cupy.cuda.Event: here nothing is asynchronous."""

        def record(self, stream=None):
            self._at = time.perf_counter()

        def synchronize(self):
            pass

    @staticmethod
    def get_elapsed_time(begin, end):
        return (end._at - begin._at) * 1e3

    cufft = _cufft
    cublas = _cublas
    get_cublas_handle = staticmethod(_cublas.get_cublas_handle)

    class Stream:
        """As cupy.cuda.Stream: here all of them wait for each other."""

        current = []

        def __init__(self, null=False, non_blocking=False):
            self.ptr = 0 if null else id(self)

        def __enter__(self):
            self.current.append(self)
            return self

        def __exit__(self, *raised):
            self.current.pop()

        def synchronize(self):
            pass

    @staticmethod
    def get_current_stream():
        return cuda.Stream.current[-1] if cuda.Stream.current else cuda.Stream(null=True)

    allocators = [lambda size: ndarray(size, np.uint8).data]

    @staticmethod
    def alloc(size):
        return cuda.get_allocator()(size)

    @staticmethod
    def get_allocator():
        return cuda.allocators[-1]

    @staticmethod
    @contextlib.contextmanager
    def using_allocator(allocator):
        cuda.allocators.append(allocator)
        yield
        cuda.allocators.pop()

    class runtime:
        @staticmethod
        def getDevice():
            return Device.current[-1]

        @staticmethod
        def getDeviceCount():
            return 1

        @staticmethod
        def getDeviceProperties(device):
            return {"name": b"the host"}

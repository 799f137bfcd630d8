"""Arrays that stand for CuPy's: NumPy arrays in a wrapping that NumPy itself does not take.

CYCONV_TEST_GUARD puts each allocation next to memory that may not be touched, so that reads beyond it are noticed, too:

after    it ends where that begins, at multiples of its elements alone: what asks how arrays are aligned, as cuDNN does, finds none that are
vectors  the same, but for the bytes by which it begins at a multiple of 16, as most kernels need for loads of several numbers
before   it begins where that ends, and at a multiple of all that matters, as CuPy's allocations do
"""

import ctypes
import mmap
import operator
import os
from types import SimpleNamespace

import numpy as np

GUARD = 256  # bytes before and after an allocation
JUNK = 0xFF  # NaN in every floating type
PAGE = mmap.PAGESIZE


class Memory:
    """An allocation full of junk, with bytes around it that nobody may write to, or even touch."""

    def __init__(self, nbytes):
        self.device_id = Device.current[-1]
        placement = os.environ.get("CYCONV_TEST_GUARD")
        if placement:
            pages = -(-nbytes // PAGE) * PAGE
            self._bytes = np.frombuffer(mmap.mmap(-1, pages + 2 * PAGE), np.uint8)
            begins = {"after": pages - nbytes, "vectors": (pages - nbytes) // 16 * 16, "before": 0}
            self._first, self._guards = PAGE + begins[placement], (0, PAGE + pages)
        else:
            self._bytes = np.empty(nbytes + 2 * GUARD + 64, np.uint8)
            self._first, self._guards = GUARD + -(self._bytes.ctypes.data + GUARD) % 64, ()
        self._last = self._first + nbytes
        self._bytes.fill(JUNK)
        for at in self._guards:
            if ctypes.CDLL(None).mprotect(ctypes.c_void_p(self._bytes.ctypes.data + at), ctypes.c_size_t(PAGE), 0):
                raise OSError("mprotect fails")

    def span(self):
        """Where it begins and ends."""
        return self._bytes.ctypes.data + self._first, self._bytes.ctypes.data + self._last

    def array(self, shape, dtype):
        return self._bytes[self._first : self._last].view(dtype).reshape(shape)

    def check(self):
        around = [self._bytes[: self._first], self._bytes[self._last :]]
        if self._guards:
            around = [self._bytes[PAGE : self._first], self._bytes[self._last : self._guards[1]]]
        if any((each != JUNK).any() for each in around):
            raise RuntimeError("a kernel wrote beyond an array")


class Unowned:
    """As cupy.cuda.UnownedMemory: memory that somebody else has allocated."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = Device.current[-1] if device_id < 0 else device_id

    def span(self):
        return self.ptr, self.ptr + self.size

    def check(self):
        pass


class Device:
    """As cupy.cuda.Device. Any number names one; what lies on one is no operand on another."""

    compute_capability = "90"
    attributes = {"MultiProcessorCount": 132}
    current = [0]

    def __init__(self, device=None):
        self.id = self.current[-1] if device is None else int(device)

    def __int__(self):
        return self.id

    def __enter__(self):
        self.current.append(self.id)
        return self

    def __exit__(self, *raised):
        self.current.pop()

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def synchronize(self):
        pass


def host(value, why="an operation"):
    """The NumPy array or scalar behind a value; NumPy arrays are refused, as CuPy does, and those of another device, which costs much there."""
    if isinstance(value, ndarray):
        if value._memory.device_id != Device.current[-1]:
            raise RuntimeError(f"{why} on GPU {Device.current[-1]} of an array that lies on GPU {value._memory.device_id}")
        return _at_whole_elements(value._host)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)} in {why} with a CuPy array")
    if isinstance(value, (tuple, list)):
        return type(value)(host(each, why) for each in value)
    return value


def _at_whole_elements(array):
    """The array, if a kernel of CuPy's can read it."""
    if not array.flags.aligned:
        raise RuntimeError("cudaErrorMisalignedAddress: misaligned address")
    return array


class ndarray:
    """As cupy.ndarray."""

    __array_priority__ = 100

    def __init__(self, shape, dtype=float, memptr=None, strides=None):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        if memptr is not None:
            self._memory = memptr.mem
            first, last = self._memory.span()
            self._host = np.ndarray(shape, dtype, (ctypes.c_char * (last - first)).from_address(first), memptr.ptr - first, strides)
            return
        self._memory = Memory(int(np.prod(shape, dtype=object)) * dtype.itemsize)
        self._host = self._memory.array(shape, dtype)

    @classmethod
    def _view(cls, array, memory):
        self = object.__new__(ndarray if cls is ndarray else cls)
        self._host, self._memory = array, memory
        return self

    def _like(self, array):
        """A result: a view stays in this memory, anything else gets memory of its own; NumPy's scalars become arrays, as CuPy's are."""
        if isinstance(array, np.ndarray) and np.shares_memory(array, self._host) or array.size == 0 and isinstance(array, np.ndarray):
            return type(self)._view(array, self._memory)  # CuPy's views are of the array's class
        return moved(array)

    # ---- what it is ----------------------------------------------------------------------------------------------------

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    flags = property(lambda self: SimpleNamespace(c_contiguous=self._host.flags.c_contiguous, f_contiguous=self._host.flags.f_contiguous))
    T = property(lambda self: self._like(self._host.T))
    real = property(lambda self: self._like(self._host.real))
    imag = property(lambda self: self._like(self._host.imag))
    device = property(lambda self: Device(self._memory.device_id))
    data = property(lambda self: SimpleNamespace(ptr=self._host.__array_interface__["data"][0], mem=self._memory, device_id=self._memory.device_id))

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        arrays = host(inputs, f"numpy.{ufunc.__name__}")
        if out is not None:
            getattr(ufunc, method)(*arrays, out=tuple(host(out)), **options)
            return out[0]
        return of_class(_wrapped(getattr(ufunc, method)(*arrays, **options)), inputs)

    def __array_function__(self, function, types, arguments, options):
        raise TypeError(f"numpy.{function.__name__} was called on a CuPy array; cupy has functions of its own")

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self._host)

    def __int__(self):
        return int(self._host)

    def __float__(self):
        return float(self._host)

    def __index__(self):
        return operator.index(self._host)

    def __repr__(self):
        return repr(self._host)

    def __format__(self, spec):
        return format(self._host, spec)

    def __reduce__(self):
        return moved, (self._host.copy(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # ---- moving --------------------------------------------------------------------------------------------------------

    def get(self):
        self._memory.check()
        return self._host.copy()

    def set(self, array):
        self._host[...] = array

    def item(self):
        return self._host.item()

    def tolist(self):
        return self._host.tolist()

    # ---- views and copies ----------------------------------------------------------------------------------------------

    def __getitem__(self, key):
        return self._like(np.asarray(self._host[_key(key)])) if not _fancy(key) else moved(host(self, "an index")[_key(key)])

    def __setitem__(self, key, value):
        host(self, "an assignment")[_key(key)] = host(value, "an assignment")

    def astype(self, dtype, order="K", *, copy=True):
        if not copy and self.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return moved(host(self, "astype").astype(dtype, order=order))

    def copy(self, order="C"):
        return moved(_at_whole_elements(self._host).copy(order))

    def view(self, dtype):
        if isinstance(dtype, type) and issubclass(dtype, ndarray):
            made = dtype._view(self._host, self._memory)
            if hasattr(made, "__array_finalize__"):
                made.__array_finalize__(self)
            return made
        return self._like(self._host.view(dtype))

    def fill(self, value):
        host(self, "fill").fill(host(value))

    def reshape(self, *shape, order="C"):
        return self._like(self._host.reshape(*shape, order=order))

    def transpose(self, *axes):
        return self._like(self._host.transpose(*axes))

    def swapaxes(self, first, second):
        return self._like(self._host.swapaxes(first, second))

    def ravel(self, order="C"):
        return self._like(self._host.ravel(order))

    def squeeze(self, axis=None):
        return self._like(self._host.squeeze(axis))

    # ---- arithmetic ----------------------------------------------------------------------------------------------------

    def dot(self, other):
        return moved(host(self).dot(host(other)))

    def put(self, indices, values):
        host(self).put(host(indices), host(values))

    def take(self, indices, axis=None):
        return moved(host(self).take(host(indices), axis))


def _key(key):
    return tuple(map(_key, key)) if isinstance(key, tuple) else host(key, "an index")


def _fancy(key):
    return any(isinstance(each, (ndarray, np.ndarray, list)) for each in (key if isinstance(key, tuple) else (key,)))


def _wrapped(value):
    if isinstance(value, tuple):
        return tuple(map(_wrapped, value))
    return moved(value) if isinstance(value, (np.ndarray, np.generic)) else value


def moved(array):
    """An array of its own memory with these values."""
    array = np.asarray(array)
    made = ndarray(array.shape, array.dtype)
    made._host[...] = array
    if array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous:
        made = ndarray(array.shape[::-1], array.dtype).T
        made._host[...] = array
    return made


def of_class(made, inputs):
    """What an elementwise function has made, in the class of the first input that is of a derived one, as CuPy has it."""
    for each in inputs:
        if isinstance(each, ndarray) and type(each) is not ndarray and isinstance(made, ndarray):
            return made.view(type(each))
    return made


def _operator(name):
    function = getattr(operator, name.strip("_").removeprefix("r") if name in _REFLECTED else name.strip("_"), None)

    def method(self, other):
        with np.errstate(all="ignore"):
            pair = (host(other, name), host(self)) if name in _REFLECTED else (host(self), host(other, name))
            return of_class(moved(function(*pair)), (self, other))

    return method


_BINARY = (
    "__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__matmul__", "__lt__", "__le__",
    "__gt__", "__ge__", "__eq__", "__ne__", "__lshift__", "__rshift__",
)  # fmt: skip
_REFLECTED = {"__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rpow__", "__rfloordiv__"}
for _name in (*_BINARY, *_REFLECTED):
    setattr(ndarray, _name, _operator(_name))
for _name, _function in (("__and__", np.bitwise_and), ("__or__", np.bitwise_or), ("__xor__", np.bitwise_xor)):
    setattr(ndarray, _name, lambda self, other, f=_function: of_class(moved(f(host(self), host(other))), (self, other)))
for _name in ("__neg__", "__invert__", "__abs__"):
    setattr(ndarray, _name, lambda self, f=getattr(operator, _name): of_class(moved(f(host(self))), (self,)))
for _name in ("iadd", "isub", "imul", "itruediv", "ior", "iand"):

    def _in_place(self, other, f=getattr(operator, _name)):
        with np.errstate(all="ignore"):
            f(host(self), host(other))
        return self

    setattr(ndarray, f"__{_name}__", _in_place)
for _name in ("sum", "max", "min", "mean", "prod", "any", "all", "argmax", "argmin", "cumsum", "var"):

    def _reduce(self, axis=None, dtype=None, out=None, keepdims=False, f=getattr(np, _name), **options):
        options |= {"axis": axis} | ({"keepdims": True} if keepdims else {}) | ({} if dtype is None else {"dtype": dtype})
        with np.errstate(all="ignore"):
            return moved(f(host(self), **options))

    setattr(ndarray, _name, _reduce)
ndarray.__hash__ = None

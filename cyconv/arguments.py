"""Turns what a caller passed into plain Python values, or says in one sentence what was wrong with it.

Nothing here knows what a convolution is; `problem` does. Every message names the argument, what came, and what is
allowed.
"""

import operator
from typing import NamedTuple

import numpy as np

from .devices import aligned, check_order_of_bytes, is_chunked, on_gpu, written
from .memory import behaved

FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
GPU_ONLY = ("bfloat16",)  # NumPy has no such dtype of its own; CuPy takes that of ml_dtypes
SIZE_LIMIT = 2**62  # sizes and offsets stay below this, so that sums of two of them fit the kernels' Py_ssize_t
BYTE_LIMIT = 2**63 - 1
SHOWN = 1000  # characters of a value in a message
_JUST_INTS = {int}
_HOST = (1, 3, 11, 13)  # DLPack's numbers of devices whose memory the CPU sees: its own, pinned for CUDA or ROCm, managed by CUDA
_DEVICES = {2: "a CUDA GPU", 8: "a Metal GPU", 10: "a ROCm GPU", 14: "a oneAPI device"}

_names = {}  # dtype -> its name; np.dtype.name takes a microsecond. As many entries as NumPy has dtypes with a name below.


def shown(value):
    """What was passed, as a message shows it: its repr, of a long one the beginning."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} in which too much is nested"
    except ValueError:  # an int of more digits than Python writes, or what holds one
        return f"an int of {value.bit_length()} bits" if isinstance(value, int) else f"a {type(value).__name__} that cannot be written out"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def as_array(name, value, gpu=False):
    """`value` as an aligned, native ndarray: a view wherever NumPy has one. With `gpu`, a CuPy array stays one."""
    if type(value) is not np.ndarray:
        if gpu and on_gpu(value):
            check_order_of_bytes(name, value)
            return aligned(value)
        check_on_cpu(**{name: value})
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{name} is a masked array, whose mask would be lost; fill it first (numpy.ma.filled)")
        if value is None:
            raise TypeError(f"{name} must be an array, got None")
        value = viewed(name, value)
    if not behaved(value):
        value = value.astype(value.dtype.newbyteorder("="), order="C")
    return value


def viewed(name, value):
    """`value` as an ndarray over the same memory, if it offers that in any of the ways that NumPy knows; else a copy."""
    kind = type(value)
    if hasattr(kind, "__dlpack_device__") and not isinstance(value, np.ndarray):
        _check_within_reach(name, value)
    try:
        if hasattr(kind, "__dlpack__") and not hasattr(kind, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from None
    except (TypeError, RuntimeError, BufferError, AttributeError) as error:  # what libraries say of tensors that NumPy cannot look at
        raise TypeError(f"{name}, of type {kind.__name__}, cannot be made an array: {error}") from error


def _check_within_reach(name, value):
    """Raises if an array of another library lies in a device's own memory: some libraries would quietly copy it to the CPU."""
    try:
        device = int(value.__dlpack_device__()[0])
    except Exception:  # noqa: BLE001 - of a kind that DLPack has no number for; why NumPy cannot look at it is said there
        return
    if device not in _HOST:
        where = _DEVICES.get(device, f"a device of DLPack's kind {device}")
        raise TypeError(
            f"{name}, of type {type(value).__name__}, lies on {where}, and nothing is copied from there unasked: bring it to the CPU "
            f"(.cpu(), or as its library calls that), or to functions that run on a GPU as cupy.from_dlpack({name})"
        )


def check_on_cpu(**values):
    """Raises if one of them is a CuPy array, or dask's, which nobody who has not asked for it should compute."""
    for name, value in values.items():
        if on_gpu(value):
            raise TypeError(f"{name} is a CuPy array, and this works on NumPy arrays alone: cupy.asnumpy({name}) brings it to the CPU")
        if is_chunked(value):
            raise TypeError(f"{name} is a dask array, and this works on NumPy arrays alone: {name}.compute() makes one")


def dtype_name(name, dtype, allowed, gpu_only=()):
    """The name of a dtype, which must be one of `allowed`, or of those that only algorithms of the GPU compute."""
    found = _names.get(dtype)
    if found is None:
        found = dtype.name
        if found in FLOATS + COMPLEX + INTEGERS + ("bool",) + GPU_ONLY:
            _names[dtype] = found
    if found not in allowed and found not in gpu_only:
        raise TypeError(f"{name} has dtype {found}, which is not supported here; allowed: {', '.join(allowed)}")
    return found


def check_cpu_dtype(name, dtype):
    """Raises if only algorithms of the GPU compute `dtype`, the name of one."""
    if dtype in GPU_ONLY:
        raise TypeError(f"{name} has dtype {dtype}, which is computed on the GPU only")


def integer(name, value, least, what="an int"):
    """`value` as a Python int of at least `least`."""
    if type(value) is not int:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be {what}, got {shown(value)}")
        try:
            value = operator.index(value)
        except TypeError:
            raise TypeError(f"{name} must be {what}, got {shown(value)}") from None
    if not least <= value < SIZE_LIMIT:
        allowed = f"at least {least}" if value < least else "below 2**62"
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return value


def plain_ints(value):
    """Whether `value` is a tuple of nothing but Python ints."""
    return type(value) is tuple and set(map(type, value)) == _JUST_INTS


def integers(name, value, rank, least):
    """`value` (an int, or a sequence of 1 or `rank` ints) as a tuple of `rank` ints of at least `least`."""
    if type(value) is int:
        return (integer(name, value, least),) * rank
    what = f"an int or a tuple of {rank} ints" if rank > 1 else "an int or a tuple of 1 int"
    if isinstance(value, (tuple, list, np.ndarray)):
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        else:
            items = tuple(integer(name, item, least, what) for item in value)
            if len(items) == 1:
                return items * rank
            if len(items) != rank:
                raise ValueError(f"{name} must be {what}, got {len(items)} values: {shown(value)}")
            return items
    return (integer(name, value, least, what),) * rank


class Described(NamedTuple):
    """All that a problem wants to know about an array."""

    shape: tuple
    dtype: np.dtype


def shape_of(name, value, what):
    """`value`, the shape of an array, as a tuple of ints."""
    if plain_ints(value) and min(value) >= 0:
        return value
    if not isinstance(value, (tuple, list, np.ndarray)):
        raise TypeError(f"{name} must be {what}, got {shown(value)}")
    return tuple([integer(name, length, 0, what) for length in value])


def flag(name, value):
    """`value` as a bool; only bools, so that a misplaced argument is noticed."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {shown(value)}")


def one_of(name, value, allowed):
    """`value`, a string that must be one of `allowed`, as a plain str: of a subclass, NumPy's or an enum's, nothing is kept."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, one of {', '.join(map(repr, allowed))}; got {shown(value)}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {shown(value)}")
    return allowed[allowed.index(value)]


def check_bytes(shape, itemsize, what):
    """Raises unless an array of this shape can exist at all."""
    count = itemsize
    for length in shape:
        count *= length
    if count > BYTE_LIMIT:
        raise ValueError(f"{what} would have shape {shape}, {count} bytes; an array holds at most 2**63 - 1")


def check_out(out, shape, dtype, name="out"):
    """Raises unless `out` is an array that a result of this shape and dtype can be written to."""
    gpu = type(out) is not np.ndarray and on_gpu(out)  # then that the result lies there, too, has been checked (devices.device_of)
    if type(out) is not np.ndarray and not gpu and (not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray)):
        hint = f"; numpy.asarray({name}) may be one over its memory" if hasattr(type(out), "__array__") else ""
        raise TypeError(f"{name} must be a plain numpy array or None, got {type(out).__name__}{hint}")
    if out.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {out.shape}")
    if _names.get(out.dtype) != dtype and out.dtype != dtype:
        raise TypeError(f"{name} must have dtype {dtype}, got {out.dtype}")
    if not gpu and not out.flags.writeable:
        raise ValueError(f"{name} must be writable, got a read-only array")


def delivered(result, out):
    """`result`, or `out` with its values."""
    if out is None or out is result:
        return result
    written(out, result)
    return out

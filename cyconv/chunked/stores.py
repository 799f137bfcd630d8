"""Arrays that lie in files, read and written by boxes: NumPy's memmaps, and whatever has a shape, a dtype and slices (zarr, h5py).

What a program touches of a memmap counts as its memory, and fresh pages are slow to write through a mapping. So where an array turns
out to be a mapping of a file, that file is read and written; both see the same bytes.
"""

import os
from math import prod

import numpy as np

from ..devices import is_chunked, on_gpu

SLAB = 16 * 2**20  # bytes that are copied at a time
SUFFIX = ".cyconv-progress"


class Store:
    """An array of a caller, to which axes of length 1 that it lacks in front are added."""

    def __init__(self, name, array, axes):
        self.array, self.missing = array, axes - array.ndim
        self.shape = (*(1,) * self.missing, *array.shape)
        self.file = mapped_file(array, name == "out") if isinstance(array, np.ndarray) else None
        self.copies = not isinstance(array, np.ndarray)  # whether what is read is an array of its own first
        self.chunks = self._chunks()

    def _chunks(self):
        """What has to be written at once, if anything has: a shard of zarr's is a file."""
        chunks = getattr(self.array, "shards", None) or getattr(self.array, "chunks", None)
        return chunks and (*(1,) * self.missing, *chunks)

    def read(self, box, target):
        """Fills `target` with the array's samples in a box of slices."""
        box = box[self.missing :]
        if self.file is None:
            target[...] = self.array[box]
        else:
            self.file.read(box, target[(0,) * self.missing])

    def write(self, box, values):
        box, values = box[self.missing :], values[(0,) * self.missing]
        if self.file is None:
            self.array[box] = values
        else:
            self.file.write(box, values)

    def sync(self):
        """Returns when what was written will be found after a loss of power, as far as the array knows how."""
        if self.file is not None:
            os.fsync(self.file.descriptor)
        elif flush := getattr(self.array, "flush", None):
            flush()

    def close(self):
        if self.file is not None:
            os.close(self.file.descriptor)

    def place(self):
        """The file or folder, or None, and which of its samples these are."""
        if not isinstance(self.array, np.ndarray):
            path, name = folder_of(self.array) or (getattr(getattr(self.array, "file", None), "filename", None), getattr(self.array, "name", None))
            return isinstance(path, (str, os.PathLike)) and os.path.realpath(path) or None, name
        root, kind = self.array, self.array.dtype.str
        while isinstance(root.base, np.ndarray):
            root = root.base
        if self.file is not None:
            return os.path.realpath(self.file.path), (self.file.offset, self.file.strides, kind)
        if getattr(root, "filename", None) is None:
            return None, kind
        first, low = (each.__array_interface__["data"][0] for each in (self.array, root))
        return os.path.realpath(root.filename), (first - low + root.offset, self.array.strides, kind)

    def age(self):
        """Size and time of the last change of the file, if it is one."""
        path = self.place()[0]
        try:
            found = path and os.path.isfile(path) and os.stat(path)
        except OSError:
            found = None
        return [found.st_size, found.st_mtime_ns] if found else None

    def beside(self):
        """A path beside the array's file or folder for a journal, or None."""
        if isinstance(self.array, np.ndarray):
            path = getattr(self.array, "filename", None) or self.file and self.file.path
            return path and f"{path}{SUFFIX}"
        folder = folder_of(self.array)
        return folder and os.path.isdir(folder[0]) and f"{'.'.join([folder[0], *filter(None, folder[1].split('/'))])}{SUFFIX}"


def folder_of(array):
    """(folder, path in it) of an array of zarr's on a disk, or None."""
    store = getattr(array, "store", None)
    root = getattr(store, "root", None) or getattr(store, "path", None)
    return (os.path.realpath(root), array.path) if isinstance(root, (str, os.PathLike)) else None


def check_store(name, array):
    if is_chunked(array):
        raise TypeError(f"{name} must not be a dask array: cyconv.conv1d, conv2d and conv3d take those")
    if on_gpu(array) or isinstance(array, np.ma.MaskedArray) or not all([hasattr(array, each) for each in ("shape", "dtype", "ndim", "__getitem__")]):
        raise TypeError(f"{name} must be an array of NumPy, a memmap, or one of zarr, h5py or the like; got {type(array).__name__}")


def check_out(out, shapes, dtype, input):
    """Raises unless results of one of these shapes can be written to `out` while `input` is read."""
    check_store("out", out)
    if out.shape not in shapes:
        raise ValueError(f"out must have shape {' or '.join(map(str, shapes))}, got {out.shape}")
    if np.dtype(out.dtype).newbyteorder("=") != dtype:
        raise TypeError(f"out must have dtype {dtype}, got {out.dtype}")
    if isinstance(out, np.ndarray) and not out.flags.writeable or getattr(out, "read_only", False):
        raise ValueError("out must be writable, got a read-only array")
    if input is out or same_place(input, out):
        raise ValueError("out must not be input, nor overlap it: neighbouring blocks still have to be read where results would be written")


def same_place(a, b):
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b) or meet(mapping_of(a), mapping_of(b))
    places = [folder_of(each) or (getattr(getattr(each, "file", None), "filename", None), getattr(each, "name", None)) for each in (a, b)]
    return places[0] == places[1] and places[0][0] is not None


def meet(a, b):
    return bool(a and b) and os.path.samefile(a[0], b[0]) and a[1] < b[2] and b[1] < a[2]


# ---- mappings of files -------------------------------------------------------------------------------------------------------


def mapping_of(array):
    """(path, first byte, end) in the file that an array is a shared mapping of, or None. Linux tells; elsewhere nothing is known."""
    if not array.size:
        return None
    reach = [(n - 1) * step for n, step in zip(array.shape, array.strides)]
    low = array.__array_interface__["data"][0] + sum([min(each, 0) for each in reach])
    high = low + sum(map(abs, reach)) + array.itemsize
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                addresses, rights, offset, _, inode, *path = line.rstrip("\n").split(maxsplit=5)
                start, end = (int(each, 16) for each in addresses.split("-"))
                if start <= low and high <= end:
                    first = low - start + int(offset, 16)
                    known = rights.endswith("s") and path and os.stat(path[0]).st_ino == int(inode)
                    return (path[0], first, first + high - low) if known else None
    except OSError:  # or the file has been removed
        pass
    return None


def mapped_file(array, writable):
    found = mapping_of(array) if hasattr(os, "preadv") and array.ndim and array.strides[-1] == array.itemsize and min(array.strides) >= 0 else None
    try:
        return MappedFile(found[0], found[1], array, writable) if found else None
    except OSError:
        return None


class MappedFile:
    """The bytes of an array in a file."""

    def __init__(self, path, offset, array, writable):
        self.path, self.offset, self.dtype, self.strides = path, offset, array.dtype, array.strides
        self.descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)

    def read(self, box, target):
        if target.flags.c_contiguous and target.dtype == self.dtype:
            return self._move(os.preadv, box, target)
        for slab, part in slabs(box, target.shape, target.itemsize):
            values = np.empty(target[slab].shape, self.dtype)
            self._move(os.preadv, part, values)
            target[slab] = values

    def write(self, box, values):
        for slab, part in slabs(box, values.shape, values.itemsize):
            self._move(os.pwritev, part, np.ascontiguousarray(values[slab], self.dtype))

    def _move(self, how, box, values):
        """Reads or writes all runs of bytes that lie one behind the other in the file, and so in `values`."""
        if not values.size:
            return
        axis, run = values.ndim, values.itemsize
        while axis and (values.shape[axis - 1] == 1 or self.strides[axis - 1] == run):
            axis -= 1
            run *= values.shape[axis]
        first = self.offset + sum([each.start * step for each, step in zip(box, self.strides)])
        rest, place = memoryview(values.reshape(-1).view(np.uint8)), 0
        for index in np.ndindex(*values.shape[:axis]):
            at, end = first + sum([i * step for i, step in zip(index, self.strides)]), place + run
            while place < end:
                moved = how(self.descriptor, [rest[place:end]], at)
                if not moved:
                    raise EOFError(f"{self.path} is shorter than the array that it holds")
                place, at = place + moved, at + moved


def slabs(box, shape, itemsize):
    """Cuts a box into slabs of few bytes: (slices of an array of this shape, the slab's box) for each."""
    axis = next(i for i in range(len(shape)) if prod(shape[i + 1 :]) * itemsize <= SLAB)
    step = max(1, SLAB // max(prod(shape[axis + 1 :]) * itemsize, 1))
    for index in np.ndindex(*shape[:axis]):
        for low in range(0, shape[axis], step):
            inner = (*[slice(i, i + 1) for i in index], slice(low, min(low + step, shape[axis])))
            moved = [slice(whole.start + part.start, whole.start + part.stop) for whole, part in zip(box, inner)]
            yield inner, (*moved, *box[axis + 1 :])

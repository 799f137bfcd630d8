"""As cupy.cuda.cufft: SciPy's transforms of what lies where a plan says, with cuFFT's arguments and none of its speed."""

import ctypes

import numpy as np
import scipy.fft

from .arrays import JUNK

CUFFT_C2C, CUFFT_R2C, CUFFT_C2R, CUFFT_Z2Z, CUFFT_D2Z, CUFFT_Z2D = 0x29, 0x2A, 0x2C, 0x69, 0x6A, 0x6C
CUFFT_FORWARD, CUFFT_INVERSE = -1, 1
_TYPES = {CUFFT_C2C: "FF", CUFFT_R2C: "fF", CUFFT_C2R: "Ff", CUFFT_Z2Z: "DD", CUFFT_D2Z: "dD", CUFFT_Z2D: "Dd"}


class PlanNd:
    """As cupy.cuda.cufft.PlanNd. Its work area is as large as its data, and full of junk after each transform."""

    made = 0

    def __init__(
        self, shape, inembed, istride, idist, onembed, ostride, odist, fft_type, batch, order, last_axis, last_size, *, prealloc_plan=0
    ):
        import cupy

        for number in (*shape, *inembed, istride, idist, *onembed, ostride, odist, batch):
            if not 0 < number < 2**31:
                raise OverflowError("cuFFT counts in ints")
        if not 1 <= len(shape) <= 3 or fft_type not in _TYPES:
            raise ValueError("CUFFT_INVALID_VALUE")
        PlanNd.made += 1
        self.shape, self.fft_type, self.order = tuple(shape), fft_type, order
        self.last_axis, self.last_size = last_axis, last_size
        self._batch = batch
        self._ends = [(tuple(inembed), istride, idist), (tuple(onembed), ostride, odist)]
        self._bytes = batch * max(idist * np.dtype(_TYPES[fft_type][0]).itemsize, odist * np.dtype(_TYPES[fft_type][1]).itemsize)
        self.work_area = cupy.cuda.alloc(self._bytes)

    def fft(self, a, out, direction):
        kinds = _TYPES[self.fft_type]
        real = kinds[0] != kinds[1]
        half = (*self.shape[:-1], self.shape[-1] // 2 + 1)
        shapes = [half if real and kind in "FD" else self.shape for kind in kinds]
        from_ = self._view(a, kinds[0], *self._ends[0], shapes[0])
        to = self._view(out, kinds[1], *self._ends[1], shapes[1])
        axes = tuple(range(1, 1 + len(self.shape)))
        with np.errstate(all="ignore"):
            if not real:
                f = scipy.fft.fftn if direction == CUFFT_FORWARD else scipy.fft.ifftn
                found = f(from_, axes=axes, norm="backward" if direction == CUFFT_FORWARD else "forward")
            elif kinds[0] in "fd":
                found = scipy.fft.rfftn(from_.copy(), axes=axes)
            else:
                found = scipy.fft.irfftn(from_.copy(), s=self.shape, axes=axes, norm="forward")
        if real:  # what lies between rows is lost, and a transform back destroys what it was made from
            ctypes.memset(out.data.ptr, JUNK, self._extent(kinds[1], *self._ends[1]))
            if kinds[0] in "FD":
                ctypes.memset(a.data.ptr, JUNK, self._extent(kinds[0], *self._ends[0]))
        to[...] = found
        ctypes.memset(self.work_area.ptr, JUNK, self._bytes)

    def _extent(self, kind, embed, stride, distance):
        return self._batch * distance * np.dtype(kind).itemsize

    def _view(self, array, kind, embed, stride, distance, shape):
        """The numbers that a transform reads or writes, with the batch first."""
        if array.nbytes < self._extent(kind, embed, stride, distance):
            raise RuntimeError(f"a transform goes beyond an array: {array.nbytes} bytes of {self._extent(kind, embed, stride, distance)}")
        size = np.dtype(kind).itemsize
        steps = [stride * int(np.prod(embed[a + 1 :])) * size for a in range(len(embed))]
        flat = np.frombuffer((ctypes.c_char * array.nbytes).from_address(array.data.ptr), kind)
        return np.lib.stride_tricks.as_strided(flat, (self._batch, *shape), (distance * size, *steps))

"""A convolution on the GPU whose algorithm is chosen and whose weights are prepared once, for many inputs."""

import numpy as np

from ..arguments import delivered
from ..devices import aligned, device_of
from ..plans import Plan
from ..select import choose, verdict
from .calls import careful, compute_by, room
from .layout import split


class GPUPlan(Plan):
    """As Plan, for CuPy arrays. Work goes to the stream that is current when it is called.

    Weights are prepared on the stream that is current when the plan is made, and CuPy makes no stream wait for another: who calls the plan on
    another one must make that wait first (`Stream.wait_event`), as with every array that another stream computes.
    """

    def __init__(self, problem, weight, bias, algorithm):
        import cupy

        p = self.problem = problem
        self._dtype, self._device = np.dtype(p.dtype), weight.device
        with self._device:
            self._row = choose(p, algorithm, planned=True, device="gpu")
            self.algorithm, self.output_shape = self._row.name, p.output_shape
            self.workspace_bytes = verdict(p, self._row).workspace
            self._bias = None if bias is None else cupy.array(bias)
            weight = split(weight.copy(), p.rank, (p.groups, p.out_channels, p.in_channels))
            self._prepared = self._row.prepare(p, weight)
            self._careful = careful(self._row, p, weight, algorithm)

    def __call__(self, input, out=None):
        """The convolution of `input`, whose shape and dtype are the plan's; written to `out` if given."""
        p = self.problem
        if device_of(input=input, out=out) != "gpu":
            raise TypeError(f"input must be a CuPy array, as the plan's weight is; got {type(input).__name__}")
        if input.device != self._device:
            raise ValueError(f"input must lie on GPU {self._device.id}, as the plan's weight does; it lies on GPU {input.device.id}")
        if input.shape != p.input_shape:
            raise ValueError(f"input must have the plan's shape {p.input_shape}, got {input.shape}")
        if input.dtype != self._dtype:
            raise TypeError(f"input must have the plan's dtype {p.dtype}, got {input.dtype}")
        with self._device:
            result = room(p.output_shape, p.dtype, out, input)
            views = [split(a, p.rank, (p.batch, p.groups, n)) for a, n in ((aligned(input), p.in_channels), (result, p.out_channels))]
            compute_by(self._row, self._careful, p, views[0], self._prepared, views[1], self._bias)
            return delivered(result, out)

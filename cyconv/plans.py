"""A convolution whose algorithm is chosen and whose weights are prepared once, for many inputs."""

from functools import cache

import numpy as np

from ._calls import another, planned
from .arguments import Described, as_array, check_bytes, flag, integer, shown
from .devices import device_of, is_chunked, where
from .memory import overlaps
from .problem import CONV_DTYPES, conv_problem, gpu_problem, spatial_rank
from .select import choose, verdicts


def plan(
    input_shape, weight, bias, dtype, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
):
    allow_tf32 = flag("allow_tf32", allow_tf32)
    weight, bias = (each.compute() if is_chunked(each) else each for each in (weight, bias))
    device = device_of(weight=weight, bias=bias)
    weight = as_array("weight", weight, gpu=True)
    if dtype is not None:
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype must be one of {', '.join(CONV_DTYPES)}, got {shown(dtype)}") from None
        with where(weight):
            weight = as_array("weight", _converted("weight", weight, dtype), gpu=True)
    bias = None if bias is None else as_array("bias", bias, gpu=True)
    if dtype is not None and bias is not None:
        with where(bias):
            bias = as_array("bias", _converted("bias", bias, dtype), gpu=True)
    if not isinstance(input_shape, (tuple, list)):
        raise TypeError(f"input_shape must be a tuple of ints, got {shown(input_shape)}")
    shape = tuple(integer("input_shape", length, 0, "a tuple of ints") for length in input_shape)
    check_bytes(shape, weight.itemsize, "input_shape is too large: the input")
    if len(shape) - spatial_rank(weight) not in (1, 2):
        raise ValueError(f"input_shape must be (N, C, ...) or (C, ...) with {spatial_rank(weight)} spatial axes, got {shape}")
    problem = conv_problem(
        spatial_rank(weight), Described(shape, weight.dtype), weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    if device == "gpu":
        from .gpu.plans import GPUPlan

        return GPUPlan(gpu_problem(problem, problem.dtype, allow_tf32), weight, bias, algorithm)
    return Plan(problem, weight, bias, algorithm)


def _converted(name, array, dtype):
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(f"{name} is complex, and dtype={dtype} is not")
    try:
        with np.errstate(over="ignore", invalid="raise"):
            return array.astype(dtype, copy=False)
    except (OverflowError, FloatingPointError) as error:  # Python's own ints; NaN as an integer
        raise ValueError(f"{name} holds what {dtype} cannot hold: {error}") from None


class Plan:
    """A convolution whose algorithm is chosen and whose weights are prepared: call it on arrays.

    Made by `plan_conv`. Safe to call from several threads at once.

    Attributes
    ----------
    problem : ConvProblem
    algorithm : str
    output_shape : tuple of int
    workspace_bytes : int
        Scratch memory while it runs, with what a single call would take for packed weights; on a CPU for each thread, on a GPU for
        all together. The packed weights that the plan keeps are its own, and not bound by `max_workspace`.
    """

    def __init__(self, problem, weight, bias, algorithm):
        self.problem = problem
        self._row = choose(problem, algorithm, weight, planned=True)
        self.algorithm = self._row.name
        self.output_shape = problem.output_shape
        self._dtype = np.dtype(problem.dtype)
        self._bias = None if bias is None else bias.copy()
        if self._row.spreads_nonfinite and algorithm == "auto":
            weight = weight.copy()
            if not np.isfinite(weight).all():
                self._row = choose(problem, "auto", weight, finite=False, planned=True)
                self.algorithm = self._row.name
        redo = another(self._row, problem, algorithm, weight)
        self._another = None if redo is None else cache(redo)
        self.workspace_bytes = next(v.workspace for v in verdicts(problem) if v.algorithm is self._row)
        prepared = self._row.prepare(problem, weight)
        self._prepared = prepared.copy() if overlaps(weight, prepared) else prepared

    def __call__(self, input, out=None):
        """The convolution of `input`, whose shape and dtype are the plan's; written to `out` if given."""
        return planned(self, input, out)

    def __repr__(self):
        return f"<cyconv.Plan {self.algorithm}: {self.problem}>"



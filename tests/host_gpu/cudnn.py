"""As NVIDIA's cudnn (nvidia-cudnn-frontend), as far as cyconv asks it: a graph of one convolution, computed by the reference.

It is as strict as cuDNN about the order of calls, sizes, strides, and what pointers may be.
"""

import ctypes
import enum
from dataclasses import dataclass

import numpy as np

from cyconv import conv2d, conv3d

data_type = enum.Enum("data_type", "FLOAT HALF BFLOAT16 NOT_SET")
heur_mode = enum.Enum("heur_mode", "A B FALLBACK OPENSOURCE")
numerical_note = enum.Enum(
    "numerical_note",
    "TENSOR_CORE DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION FFT NONDETERMINISTIC WINOGRAD WINOGRAD_TILE_4x4 WINOGRAD_TILE_6x6 "
    "WINOGRAD_TILE_13x13 STRICT_NAN_PROP",
)
WORKSPACE = 1000  # bytes that a plan needs
graphs = []  # all that were made
skips_padding = False  # whether taps on the padding are left out, so that an infinity may leave no trace
refuses_strides = False  # whether there is no plan but for contiguous arrays
fails = None  # an error that comes up where plans are built


class cudnnGraphNotSupportedError(Exception):
    pass


@dataclass
class Handle:
    stream: int = 0
    made: int = 0


def backend_version():
    return 91900


def create_handle():
    Handle.made += 1
    return Handle()


def set_stream(handle, stream):
    handle.stream = stream


class Tensor:
    def __init__(self, **what):
        self.uid, self.output = None, False
        self.__dict__.update(what)

    def __getattr__(self, name):
        if not name.startswith("set_"):
            raise AttributeError(name)

        def setter(value):
            setattr(self, name.removeprefix("set_"), value)
            return self

        return setter


class pygraph:
    def __init__(self, *, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert intermediate_data_type is compute_data_type is data_type.FLOAT and isinstance(handle, Handle)
        self.steps, self.notes, self.tensors, self.bias, self.executed, self.limit = [], [], [], None, 0, None
        graphs.append(self)

    def tensor(self, *, name, dim, stride, data_type):
        assert type(dim) is list and type(stride) is list and len(dim) == len(stride)
        if min(stride) < 1:
            raise RuntimeError("CUDNN_STATUS_BAD_PARAM: a stride is not positive")
        if min(dim) < 1:
            raise ValueError("dimensions must be positive")
        self.tensors.append(Tensor(name=name, dim=dim, stride=stride, data_type=data_type))
        return self.tensors[-1]

    def conv_fprop(self, *, image, weight, pre_padding, post_padding, stride, dilation):
        if min(pre_padding + post_padding) < 0:
            raise RuntimeError("CUDNN_STATUS_BAD_PARAM: padding is negative")
        self.image, self.weight = image, weight
        self.options = {"padding": tuple(zip(pre_padding, post_padding)), "stride": tuple(stride), "dilation": tuple(dilation)}
        self.convolved = self.result = Tensor()
        return self.result

    def add(self, *, a, b):
        assert a is self.convolved and a.data_type is data_type.FLOAT
        self.bias, self.result = b, Tensor()
        return self.result

    def validate(self):
        x, w, y = self.image, self.weight, self.result
        assert y.output and len({t.uid for t in (*self.tensors, y)}) == len(self.tensors) + 1 and None not in {t.uid for t in (*self.tensors, y)}
        groups = x.dim[1] // w.dim[1]
        assert groups * w.dim[1] == x.dim[1] and w.dim[0] % groups == 0
        wanted = [x.dim[0], w.dim[0]]
        for a, (pads, s, d) in enumerate(zip(*self.options.values())):
            wanted.append((x.dim[a + 2] + sum(pads) - d * (w.dim[a + 2] - 1) - 1) // s + 1)
        if y.dim != wanted or len(y.dim) not in (4, 5):
            raise RuntimeError(f"CUDNN_STATUS_BAD_PARAM: the result is {y.dim}, not {wanted}")
        if self.bias is not None:
            assert self.bias.dim == [1, y.dim[1]] + [1] * (len(y.dim) - 2) and self.bias.stride[1] == 1
        self.groups = groups
        self._next("validate")

    def build_operation_graph(self):
        self._next("build_operation_graph")

    def create_execution_plans(self, modes):
        assert all(isinstance(mode, heur_mode) for mode in modes)
        self._next("create_execution_plans")

    def deselect_numeric_notes(self, notes):
        assert self.steps[-1] == "create_execution_plans"
        self.notes = [note.name for note in notes]

    def deselect_workspace_greater_than(self, limit):
        assert self.steps[-1] == "create_execution_plans"
        self.limit = limit

    def build_plans(self):
        if fails is not None:
            raise fails
        if self.limit is not None and self.limit < WORKSPACE:
            raise cudnnGraphNotSupportedError("no plan in the list could be built:\nof so little workspace")
        if refuses_strides and not all(_contiguous(t) for t in (self.image, self.weight, self.result)):
            raise cudnnGraphNotSupportedError("no plan for these strides")
        self._next("build_plans")

    def get_workspace_size(self):
        return WORKSPACE

    def _next(self, step):
        order = ["validate", "build_operation_graph", "create_execution_plans", "build_plans"]
        self.steps.append(step)
        assert self.steps == order[: len(self.steps)]

    def execute(self, pointers, workspace, *, handle):
        assert self.steps[-1] == "build_plans" and isinstance(handle, Handle) and type(workspace) is int and workspace
        ctypes.memset(workspace, 0xA7, WORKSPACE)
        self.stream, self.executed = handle.stream, self.executed + 1
        by_uid = {t.uid: t for t in (*self.tensors, self.result)}
        assert set(pointers) == set(by_uid)
        arrays = {uid: _array(by_uid[uid], pointer) for uid, pointer in pointers.items()}
        x, w, y = (arrays[t.uid] for t in (self.image, self.weight, self.result))
        wide = [a.astype(np.float32) for a in (x, w)]
        conv = conv2d if x.ndim == 4 else conv3d
        bias = None if self.bias is None else arrays[self.bias.uid].ravel().astype(np.float32)
        if skips_padding:
            wide = [np.nan_to_num(a, posinf=0, neginf=0) for a in wide]
        y[...] = conv(*wide, bias, groups=self.groups, algorithm="reference", **self.options).astype(y.dtype)


def _contiguous(tensor):
    return tensor.stride == [int(np.prod(tensor.dim[a + 1 :])) for a in range(len(tensor.dim))]


def _array(tensor, pointer):
    if type(pointer) is not int or pointer % 16:
        raise RuntimeError("CUDNN_STATUS_BAD_PARAM: a pointer is not aligned")
    if tensor.data_type is data_type.BFLOAT16:
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype({data_type.FLOAT: np.float32, data_type.HALF: np.float16}[tensor.data_type])
    extent = 1 + sum((n - 1) * s for n, s in zip(tensor.dim, tensor.stride))
    flat = np.frombuffer((ctypes.c_char * (extent * dtype.itemsize)).from_address(pointer), dtype)
    return np.lib.stride_tricks.as_strided(flat, tensor.dim, [s * dtype.itemsize for s in tensor.stride])

"""Types of cyconv.onnx; what it has stands in the sources beside this."""

from os import PathLike

from onnx import ModelProto
from onnx.reference.op_run import OpRun

from .network import Network

OPS: list[type[OpRun]]

def load(model: ModelProto | bytes | bytearray | memoryview | str | PathLike[str]) -> Network: ...

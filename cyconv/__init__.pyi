"""Types of what the package exports; __init__.py is the map of the sources."""

from contextlib import AbstractContextManager

from . import functional as functional
from . import grad as grad
from . import nn as nn
from . import onnx as onnx
from . import signal as signal
from ._types import Int
from ._version import __version__ as __version__
from .functional import *  # noqa: F403

def get_num_threads() -> int: ...
def set_num_threads(n: Int) -> None: ...
def threads(n: Int) -> AbstractContextManager[None]: ...
def release_memory() -> int: ...

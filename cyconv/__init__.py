"""Convolution and pooling for NumPy arrays.

    problem   what is to be computed: all validation and shape arithmetic
    menu      the list of algorithms, each with its error bound
    select    which of them a problem gets, and why; Plan
    cpu/      the algorithms, compiled once per x86-64 level
"""

from . import functional
from ._version import __version__
from .functional import *  # noqa: F403
from .threads import get_num_threads, set_num_threads, threads

__all__ = [*functional.__all__, "__version__", "get_num_threads", "set_num_threads", "threads"]

"""Convolution and pooling for NumPy, CuPy and dask arrays: the names, arguments and results of torch.nn.functional.

What a call goes through, from top to bottom; imports point the same way:

    functional/        public signatures and docstrings, one call each
    grad/              the same for gradients: cyconv.grad
    nn/                layers with parameters, forward and backward, losses and optimizers: cyconv.nn
    signal/            the names and results of scipy.signal: cyconv.signal
    _calls.pyx         one call, from any arguments to the result
    plans.py           the same with what does not change done once
    transpose.py       a transposed convolution, cut into plain ones (_weave.pyx joins what they give)
    gradients.py       gradients of convolutions, as convolutions (gradient_problem.py)
    select.py          which algorithm a problem gets, and why
    menu.py            the list of algorithms, each with its error bound
    devices.py         on which device arrays lie
    gpu/               the same functions on CuPy arrays
    cpu/               the algorithms, one per .pyx; compiled once per processor level
    reference.py       obvious NumPy for everything: the last row of the menu, and the oracle of the tests
    problem.py         what is to be computed (pool_problem.py, filter_problem.py, fold_problem.py): all checks, all shape arithmetic
    arguments.py       what a caller passed, as plain Python values
    costs.py           the cost model's constants, measured by bench/calibrate.py
    tuning.py          the same of the user's machine, in a file that `python -m cyconv tune` writes
    calibration.py     how both are measured
    threads.py         how many threads; peace with BLAS and with fork
    memory.py          arrays of warm memory, for results and scratch
    columns.py         unfold and fold
    scatter.py         max unpooling, and gradients of max pools (scatter_problem.py)
    spread.py          gradients of other pools (spread_problem.py)
    filters.py         sliding filters, as pools of a few axes at a time
    chunked/           dask arrays, and arrays larger than memory
    plot/              pictures of what layers do, by matplotlib: import cyconv.plot
    onnx/              operators of ONNX and whole networks: cyconv.onnx
    cli/               the commands of `python -m cyconv`
    *.pyi, _types.py   the types of what is exported, for editors and type checkers

README.md says how to add an algorithm.
"""

import importlib

from . import functional, grad, nn, signal
from ._version import __version__
from .functional import *  # noqa: F403
from .memory import release_memory
from .threads import get_num_threads, set_num_threads, threads

__all__ = ["__version__", "get_num_threads", "grad", "nn", "release_memory", "set_num_threads", "signal", "threads"]
__all__ += functional.__all__


def __getattr__(name):
    """cyconv.onnx, which imports onnx, at its first use."""
    if name == "onnx":
        return importlib.import_module(".onnx", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

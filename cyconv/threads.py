"""How many threads the kernels use, and peace with the other thread pools of the process.

The count is, in this order: the innermost ``with threads(n)``, ``set_num_threads(n)``, ``CYCONV_NUM_THREADS``,
``OMP_NUM_THREADS``, the CPUs that this process may use (its affinity mask and its cgroup's quota).
No result depends on it.
"""

import contextlib
import ctypes
import math
import operator
import os
from functools import cache
from pathlib import Path

# An idle libgomp thread spins, and takes the core away from NumPy's BLAS: a 0.6 ms product took 9.6 ms. A spin of about 40 us
# (here 10 to 20 ns each) lasts from one call to the next: shorter, and waking threads costs each call 30 to 60 us; with 10,000, a product
# of 45 us after a call took 180. libgomp reads the variable once, while it is being loaded.
# LLVM's library, which Clang's code uses, spins for 200 ms, and reads its variable when it is first asked something, which _platform does.
_quiet = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0"}
_quiet = {} if "OMP_WAIT_POLICY" in os.environ else {name: value for name, value in _quiet.items() if name not in os.environ}
os.environ.update(_quiet)
try:
    from . import _platform, _threads  # the first extension modules: _platform loads libgomp
except ImportError as error:
    raise ImportError(
        f"cyconv's compiled modules cannot be loaded from {Path(__file__).parent}. If that is the source tree: run from another "
        "folder, or run the command `cyconv` in place of `python -m cyconv`, or build here with `pip install -e .`"
    ) from error

for name in _quiet:
    del os.environ[name]

VARIABLES = ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS")  # of the environment; the first that is set counts
_LIMIT = 1024  # more threads than this is a slip of the keyboard


def _checked(name, value):
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {type(value).__name__}") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if not 1 <= count <= _LIMIT:
        raise ValueError(f"{name} must be between 1 and {_LIMIT}, got {value!r}")
    return count


def set_num_threads(n):
    """Sets how many threads each call uses from now on, in every Python thread.

    Parameters
    ----------
    n : int
        1 to 1024. Results do not depend on it.

    Raises
    ------
    ValueError, TypeError
        If `n` is out of range or not an int.

    Examples
    --------
    >>> import cyconv
    >>> before = cyconv.get_num_threads()
    >>> cyconv.set_num_threads(1)
    >>> cyconv.get_num_threads()
    1
    >>> cyconv.set_num_threads(before)
    """
    _threads.choose(_checked("n", n))


def get_num_threads():
    """How many threads the next call from here may use.

    Returns
    -------
    int
        1 in a build without OpenMP.

    Examples
    --------
    >>> import cyconv
    >>> with cyconv.threads(1):
    ...     cyconv.get_num_threads()
    1
    """
    return _threads.count()


@contextlib.contextmanager
def threads(n):
    """Uses `n` threads inside a ``with`` block, in this Python thread (or task) alone.

    Parameters
    ----------
    n : int
        1 to 1024.

    Raises
    ------
    ValueError, TypeError
        If `n` is out of range or not an int.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.ones((1, 1, 5), np.float32)
    >>> with cyconv.threads(1):
    ...     cyconv.conv1d(x, np.ones((1, 1, 3), np.float32))
    array([[[3., 3., 3.]]], dtype=float32)
    """
    count, before = _checked("n", n), _threads.inner.get()
    try:
        _threads.inner.set(count)  # here, since Ctrl-C is noticed right behind a call
        yield
    finally:
        _threads.inner.set(before)


def _default():
    for variable in VARIABLES:
        text = os.environ.get(variable, "").strip()
        if text:
            first = text.split(",")[0].strip()  # OpenMP allows one number per nesting level
            if not first.isdecimal() or not 1 <= int(first) <= _LIMIT:
                raise ValueError(f"the environment variable {variable} must be a number from 1 to {_LIMIT}, got {text!r}")
            return int(first)
    return available_cpus()


_threads.open_threads(_default if _platform.has_openmp() else None)


def _in_child():
    if _platform.lost_threads():
        _threads.open_threads(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def available_cpus():
    """The CPUs that this process may use: its affinity mask, less if its cgroup has a quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(count, math.ceil(quota)) if quota else count)


def _cgroup_quota(root=Path("/sys/fs/cgroup"), own=Path("/proc/self/cgroup")):
    """CPUs' worth of time that the process's cgroup allows, or None; both versions of cgroups."""
    paths = [root]
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "cpu,cpuacct", "cpu"):
                base = root / controllers if controllers else root
                group = Path(path.strip("/"))
                paths += [base / folder for folder in (group, *group.parents)]
    quotas = []
    for folder in paths:
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
            if quota.strip() != "max" and float(quota) > 0:
                quotas.append(float(quota) / float(period))
    return min(quotas, default=None)


# ---- the BLAS of scipy.linalg.cython_blas --------------------------------------------------------------------------

_SETTERS = (  # (set, get) of the BLAS libraries that SciPy is built with, plainest first
    ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
    ("openblas_set_num_threads", "openblas_get_num_threads"),
    ("bli_thread_set_num_threads", "bli_thread_get_num_threads"),
)


@cache
def can_hold_blas():
    """Whether BLAS can be held to one thread. If not, loops around it stay serial: nested pools are 15 times slower."""
    from scipy.linalg import cython_blas

    library = ctypes.CDLL(cython_blas.__file__)  # looks in the libraries that this module is linked with, too
    for setter, getter in _SETTERS:
        try:
            set_, get = (ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in (setter, getter))
        except AttributeError:
            continue
        _platform.bind_blas(set_, get)  # no lock: several threads bind the same, and a fork would leave a lock closed
        return True
    return False


@contextlib.contextmanager
def one_blas_thread():
    """Holds the BLAS of cython_blas to one thread inside a ``with`` block."""
    try:
        _platform.hold_blas()  # here, since Ctrl-C is noticed right behind a call
        yield
    finally:
        _platform.release_blas()

"""`python -m cyconv info`: what this installation found on this machine."""

import importlib.util
import os
import platform

import numpy as np
import scipy

from .. import __version__, _platform, costs, cpu, get_num_threads, tuning
from ..gpu import costs as gpu_costs
from ..threads import VARIABLES, available_cpus, can_hold_blas


def run():
    """The report as text, one fact per line."""
    facts = {
        "cyconv": __version__,
        "kernels": _level(),
        "threads": _threads(),
        "BLAS": _blas(),
        "times": costs.in_force()[1] + (f" ({tuning.VARIABLE}=off)" if tuning.off() else ""),
        "GPU's times": gpu_costs.SOURCE,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}",
        "machine": f"{tuning.processor()}, {platform.machine()}, {platform.system()}",
        "GPU": _gpu(),
    }
    wide = max(map(len, facts))
    return "\n".join(f"{name:{wide}}  {fact}" for name, fact in facts.items())


def _level():
    text = f"{cpu.level} in use, the processor has {_platform.cpu_level()}"
    asked = os.environ.get("CYCONV_ISA")
    return f"{text} (CYCONV_ISA={asked})" if asked else text


def _threads():
    count = get_num_threads()
    if not _platform.has_openmp():
        return f"{count}: built without OpenMP"
    named = next((name for name in VARIABLES if os.environ.get(name, "").strip()), None)
    source = f"from {named}" if named else "the CPUs that this process may use"
    return f"{count} ({source}; {available_cpus()} of {os.cpu_count()} CPUs available), OpenMP"


def _blas():
    found = scipy.__config__.show(mode="dicts")["Build Dependencies"]["blas"]
    held = "its threads can be held" if can_hold_blas() else "its threads cannot be held, so loops around it stay serial"
    return f"{found.get('name', 'unknown')} {found.get('version', '')} behind scipy.linalg.cython_blas; {held}"


def _gpu():
    if importlib.util.find_spec("cupy") is None:
        return "none: cupy is not installed"
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception as error:  # noqa: BLE001 - a missing driver, a missing library, no device: each has its own exception
        return f"none: cupy is installed but finds no device ({' '.join(str(error).split())})"
    return f"{name}{f' and {count - 1} more' if count > 1 else ''}, cupy {cupy.__version__}"

"""Clocks of the GPU and what it reaches at most; errors that end a race; kernels that are compiled before anybody is timed."""

import shutil
import statistics
import subprocess
import time
from contextlib import contextmanager

import numpy as np

import cyconv
from cyconv.gpu import launch, products

MODES = ("float32", "tf32", "float16")
TURN = 3e-3  # seconds of a turn, at least


def timed(cupy, call, times):
    """Seconds of one call, the mean of `times`, as the device's clock has it."""
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    for _ in range(times):
        call()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(begin, end) * 1e-3 / times


def interleaved(cupy, calls, budget, failed):
    """{name: median seconds} of calls that take turns until the budget is over; three turns at least.

    What takes longer than the budget is timed once. Why a call failed is written to `failed`, and it has no more turns.
    """
    times, taken, turning = {}, {name: [] for name in calls}, dict(calls)

    def turn(name, warm, count):
        try:
            if warm:
                timed(cupy, calls[name], warm)
            return timed(cupy, calls[name], count)
        except Exception as error:
            failed[name] = said(error)
            del turning[name], taken[name]
            raise_if_lost(cupy, error)

    for name in calls:
        seconds = turn(name, 1, 1)
        if seconds is not None and seconds > budget:
            taken[name].append(seconds)
            del turning[name]
        elif seconds is not None and (seconds := turn(name, 0, 2)) is not None:
            times[name] = max(1, int(TURN / max(seconds, 1e-6)))
    end, turns = time.perf_counter() + budget, 0
    while turning and (turns < 3 or time.perf_counter() < end):
        for name in list(turning):
            if (seconds := turn(name, max(1, times[name] // 4), times[name])) is not None:
                taken[name].append(seconds)
        turns += 1
    return {name: statistics.median(each) for name, each in taken.items()}


def said(error):
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


class Lost(RuntimeError):
    """After an error that the device does not get over: nothing more can be computed in this process."""


def raise_if_lost(cupy, error):
    try:
        cupy.cuda.get_current_stream().synchronize()
    except Exception:
        raise Lost(said(error)) from error


def ceilings(cupy, side=8192, copied=2**30):
    """What the device reaches: {mode: FLOP/s of a large product of matrices, "bytes": bytes/s of copies}."""
    found = {}
    for mode in MODES:
        a = cupy.ones((1, side, side), np.float16 if mode == "float16" else np.float32)
        out = cupy.empty_like(a)
        seconds = min(timed(cupy, lambda: products.multiply(a, a, out, tf32=mode == "tf32"), 3) for _ in range(3))
        found[mode] = 2 * side**3 / seconds
    source, target = cupy.zeros(copied // 4, np.float32), cupy.empty(copied // 4, np.float32)

    def copy():
        target[...] = source

    found["bytes"] = 2 * copied / min(timed(cupy, copy, 3) for _ in range(3))
    return found


def about(cupy):
    """What the figures hang on: {word: text} of the device, its clocks and of versions."""
    found = {"cyconv": cyconv.__version__, "CuPy": cupy.__version__, "device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()}
    for word, version in (("CUDA runtime", "runtimeGetVersion"), ("CUDA driver", "driverGetVersion")):
        if hasattr(cupy.cuda.runtime, version):
            found[word] = str(getattr(cupy.cuda.runtime, version)())
    try:
        import torch

        found |= {"torch": f"{torch.__version__}, CUDA {torch.version.cuda}", "cuDNN": str(torch.backends.cudnn.version())}
    except ImportError:
        found["torch"] = "is not installed"
    return found | clocks()


def clocks():
    """Of the device now, as nvidia-smi tells them."""
    asked = "clocks.sm,clocks.max.sm,clocks.mem,power.draw,temperature.gpu"
    if not shutil.which("nvidia-smi"):
        return {}
    done = subprocess.run(["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader", "-i", "0"], capture_output=True, text=True)
    return {asked: done.stdout.strip()} if not done.returncode else {}


@contextmanager
def nothing_launched(cupy):
    """Kernels are compiled, to CuPy's cache on disk, when they are asked for, and not run: one that is wrong must not end a race before it begins."""
    module = cupy.RawModule

    class Compiled:
        def __init__(self, **words):
            self.module = module(**words)

        def get_function(self, name):
            self.module.get_function(name)
            return lambda *arguments, **options: None

    launch.kernel.cache_clear()
    cupy.RawModule = Compiled
    try:
        yield
    finally:
        cupy.RawModule = module
        launch.kernel.cache_clear()

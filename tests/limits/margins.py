"""Calls with too little address space: RLIMIT_AS at many margins above what the process has, so that each large allocation in turn finds none.

    python tests/limits/margins.py              each function at 20 margins, with one thread and with two; a table

Unlike faults.py this is the system that says no, to malloc and mmap, in the middle of whatever asks. Threads, and what libraries make once, are there
before. A call raises MemoryError, or returns the right bits; afterwards, with room again, it has the right bits, and no more address space is taken.
"""

import argparse
import ctypes
import functools
import hashlib
import resource
import sys
from pathlib import Path

import numpy as np

import cyconv
from cyconv import grad, signal

STEPS = 20
LIBC = ctypes.CDLL(None)
LEFT = 8 * 2**20  # address space that may be taken afterwards: an arena of malloc's


def cases():
    rng = np.random.default_rng(0)

    def a(*shape, dtype="float32"):
        return rng.integers(-3, 4, shape).astype(dtype)

    x, w, image = a(2, 16, 400, 400), a(16, 16, 3, 3), a(1, 1, 2000, 2000)
    values, indices = cyconv.max_pool2d(image, 2, return_indices=True)
    kernel, g, columns = a(1, 1, 151, 151), a(2, 16, 398, 398), a(1, 9, 1998 * 1998)
    found = {f"conv2d {name}": functools.partial(cyconv.conv2d, x, w, algorithm=name) for name in ("auto", "direct", "im2col", "implicit_gemm", "winograd", "fft")}
    found |= {
        "conv2d reference": lambda: cyconv.conv2d(x[:, :, :200], w, algorithm="reference"),
        "conv2d float16": lambda: cyconv.conv2d(x.astype("float16"), w.astype("float16")),
        "conv2d complex64": lambda: cyconv.conv2d(x.astype("complex64"), w.astype("complex64")),
        "conv2d int8": lambda: cyconv.conv2d(x.astype("int8"), w.astype("int8")),
        "conv2d depthwise": lambda: cyconv.conv2d(x, w[:, :1], groups=16, algorithm="depthwise"),
        "conv2d channel_lanes": lambda: cyconv.conv2d(x, w[:, :1], groups=16, algorithm="channel_lanes"),
        "conv2d separable": lambda: cyconv.conv2d(image, np.ones((1, 1, 9, 9), "float32"), algorithm="separable"),
        "conv2d large kernel": lambda: cyconv.conv2d(image, kernel, algorithm="fft"),
        "conv_transpose2d": lambda: cyconv.conv_transpose2d(x, w, stride=2),
        "conv2d_input": lambda: grad.conv2d_input(x.shape, w, g),
        "conv2d_weight": lambda: grad.conv2d_weight(x, w.shape, g),
        "max_pool2d": lambda: cyconv.max_pool2d(x, 3, 1, 1),
        "max_pool2d indices": lambda: cyconv.max_pool2d(x, 3, 1, 1, return_indices=True),
        "avg_pool2d": lambda: cyconv.avg_pool2d(x, 3, 1, 1),
        "avg_pool2d pool": lambda: cyconv.avg_pool2d(x, 3, 1, 1, algorithm="pool"),
        "lp_pool2d": lambda: cyconv.lp_pool2d(x, 2, 2),
        "adaptive_avg_pool2d": lambda: cyconv.adaptive_avg_pool2d(x, 333),
        "max_unpool2d": lambda: cyconv.max_unpool2d(values, indices, 2),
        "max_pool2d_input": lambda: grad.max_pool2d_input(image.shape, indices, values),
        "avg_pool2d_input": lambda: grad.avg_pool2d_input(image.shape, values, 2),
        "unfold": lambda: cyconv.unfold(image, 3),
        "fold": lambda: cyconv.fold(columns, (2000, 2000), 3),
        "maximum_filter": lambda: cyconv.maximum_filter(image, 5),
        "uniform_filter": lambda: cyconv.uniform_filter(image[0, 0].astype("int32"), 5),
        "softmax": lambda: cyconv.softmax(x),
        "batch_norm": lambda: cyconv.batch_norm(x, np.zeros(16, "float32"), np.ones(16, "float32"), training=True),
        "fftconvolve": lambda: signal.fftconvolve(image.reshape(-1), image.reshape(-1)[:5000]),
        "convolve2d": lambda: signal.convolve2d(image[0, 0], image[0, 0, :9, :9], "same", "wrap"),
    }
    return found


def digest(result):
    return [hashlib.blake2b(memoryview(each).cast("B")).digest() for each in (result if isinstance(result, tuple) else (result,))]


def addresses():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limited(function, margin):
    """The result, or the exception, within so many bytes more than there are now."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (addresses() + margin, hard))
    try:
        return function()
    except Exception as error:
        return error.with_traceback(None)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def given_back():
    """All free memory goes back to the system, or the next call would find it there."""
    cyconv.release_memory()
    LIBC.malloc_trim(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="beginnings of names")
    options = parser.parse_args()
    total = raised = wrong = 0
    print("| function | threads | needs, MiB | calls | MemoryError | left, KiB |\n|---|---|---|---|---|---|")
    LIBC.mallopt(-3, 2**16)  # M_MMAP_THRESHOLD: blocks of this size are the system's, each for itself
    found = cases()
    for name, function in found.items():
        if options.names and not any(name.startswith(each) for each in options.names):
            continue
        for threads in (1, 2):
            cyconv.set_num_threads(threads)
            want = digest(function())
            given_back()
            need = 2**20
            while isinstance(limited(function, need), Exception):
                need *= 2
                given_back()
            before, errors = addresses(), 0
            for step in range(STEPS):
                given_back()
                result = limited(function, need * step // STEPS)
                if isinstance(result, MemoryError):
                    errors += 1
                elif isinstance(result, Exception) or digest(result) != want:
                    wrong += 1
                    print(f"WRONG {name}, margin {need * step // STEPS}: {result!r}"[:300])
                del result
            given_back()
            left = addresses() - before
            bad = digest(function()) != want or left > LEFT
            wrong, total, raised = wrong + bad, total + STEPS, raised + errors
            print(f"| {name} | {threads} | {need / 2**20:.0f} | {STEPS} | {errors} | {left / 1024:.0f}{' WRONG' * bad} |", flush=True)
    print(f"{total} calls with too little address space, or just enough: {raised} MemoryErrors, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

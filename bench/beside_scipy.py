"""python -m bench.beside_scipy: cyconv.signal's functions and scipy.signal's take turns on the same arrays.

Printed is SciPy's time over cyconv's: above 1, cyconv is quicker. With --constants the numbers of cyconv/signal/scipys_transforms.py
are fitted instead: how long SciPy's transforms take, and how long cyconv's take beside their predictions. On one thread, time is that
of the thread alone: whatever else runs on the machine counts less.
"""

import argparse
import math
import statistics
import time

import numpy as np

from .installation import import_cyconv

import_cyconv()

import scipy.signal

import cyconv
from cyconv import costs, select
from cyconv.problem import MAX_WORKSPACE, conv_problem

DTYPES = ("float32", "float64", "complex64", "complex128")
MODES = ("full", "same", "valid")
ND, PLANES = ("convolve", "correlate", "fftconvolve", "oaconvolve"), ("convolve2d", "correlate2d")
SIZES = {
    1: [((n,), (k,)) for n in (100, 1000, 10**4, 10**5, 10**6) for k in (3, 33, 501, 8193, n // 2 + 1, n) if k <= n],
    2: [((n, n), (k, k)) for n in (32, 128, 512, 1024, 2048) for k in (3, 9, 33, 129, 513, n // 2 + 1, n) if k <= n and k < 2000]
    + [((500, 400), (1, 150)), ((4000, 30), (500, 7)), ((700, 900), (450, 333))],
    3: [((n,) * 3, (k,) * 3) for n in (16, 48, 100, 160) for k in (3, 7, 15, 33, n // 2 + 1, n) if k <= n and k < 150],
}
LARGE = [((2500, 2500), (2500, 2500)), ((6000, 6000), (3000, 3000)), ((200,) * 3, (100,) * 3), ((10**7,), (10**6,))]
MOST_SUMS = 1e9  # multiply-adds of SciPy's sums, of planes
TURN = 5e-4  # seconds: shorter calls are repeated


def interleaved(calls, budget, clock):
    """Median seconds of each call."""
    taken = [[] for _ in calls]
    end = time.monotonic() + budget
    for call in calls:
        call()
    while len(taken[0]) < 3 or time.monotonic() < end and len(taken[0]) < 50:
        for call, seconds in zip(calls, taken):
            begin, times = clock(), 0
            while not times or clock() - begin < TURN:
                call()
                times += 1
            seconds.append((clock() - begin) / times)
    return [statistics.median(seconds) for seconds in taken]


def arrays(shape, kernel, dtype):
    rng = np.random.default_rng(0)
    found = [rng.standard_normal(size) + (1j * rng.standard_normal(size) if dtype.startswith("c") else 0) for size in (shape, kernel)]
    return [array.astype(dtype) for array in found]


def compare(function, shape, kernel, dtype, mode, budget, clock):
    """(SciPy's seconds, cyconv's), of answers that agree."""
    a, b = arrays(shape, kernel, dtype)
    calls = [lambda module=module: getattr(module, function)(a, b, mode) for module in (scipy.signal, cyconv.signal)]
    theirs, ours = calls[0](), calls[1]()
    error = np.abs(ours - theirs).max() / (np.linalg.norm(a) * np.linalg.norm(b))
    if not error < 32 * np.finfo(dtype).eps or ours.dtype != theirs.dtype:
        raise SystemExit(f"WRONG: {function} of {shape} and {kernel}, {dtype}, {mode}: {error}")
    return interleaved(calls, budget, clock)


def predicted_fft(shape, kernel, dtype):
    """cyconv's Verdict on the full convolution by `fft`."""
    input, weight = np.broadcast_to(np.zeros((), dtype), (1, 1, *shape)), np.broadcast_to(np.zeros((), dtype), (1, 1, *kernel))
    problem = conv_problem(len(shape), input, weight, None, 1, "full", 1, 1, "zeros", "default", MAX_WORKSPACE)
    return next(v for v in select.verdicts(problem) if v.algorithm.name == "fft")


def constants(budget):
    """Least squares of logarithms: SciPy's seconds per unit of work for each dtype, and what memory adds to both."""
    of_scipy, own = [], []
    groups = [(dtype, several) for dtype in DTYPES for several in (False, True)]
    for (shape, kernel), dtype in [(pair, dtype) for pairs in SIZES.values() for pair in pairs for dtype in DTYPES]:
        points = math.prod(n + k - 1 for n, k in zip(shape, kernel))
        verdict = predicted_fft(shape, kernel, dtype)
        if not 2000 < points < 2**23 or verdict.declined:
            continue
        a, b = arrays(shape, kernel, dtype)
        x, w = a[None, None], b[None, None]
        function, padding = (cyconv.conv1d, cyconv.conv2d, cyconv.conv3d)[len(shape) - 1], tuple(k - 1 for k in kernel)
        calls = [lambda: scipy.signal.fftconvolve(a, b), lambda: function(x, w, padding=padding, algorithm="fft")]
        theirs, ours = interleaved(calls, budget, time.thread_time)
        far = [math.log(max(size / costs.CACHE_BYTES, 1)) for size in (points * a.itemsize, verdict.workspace)]
        is_group = [float(group == (dtype, len(shape) > 1)) for group in groups]
        of_scipy.append((*is_group, far[0], math.log((theirs - 5e-5) / (3 * points * math.log2(points)))))
        own.append((1.0, far[1], math.log(ours / verdict.seconds)))
    for name, rows in (("SciPy", of_scipy), ("cyconv / predicted", own)):
        rows = np.array(rows)
        found = np.linalg.lstsq(rows[:, :-1], rows[:, -1])[0]
        rest = np.std(rows[:, :-1] @ found - rows[:, -1])
        units = " ".join(f"{math.exp(value):.3g}" for value in found[:-1])
        print(f"{name}: {units}, far {found[-1]:.3f}, right to {rest:.2f}, {len(rows)} rows")
    print("SciPy's are of", ", ".join(f"{dtype} {'lines' if several else 'line'}" for dtype, several in groups))


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.beside_scipy", description=__doc__.partition("\n")[0])
    parser.add_argument("--functions", nargs="+", default=ND + PLANES, choices=ND + PLANES)
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 3], choices=(1, 2, 3))
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.1, help="seconds for each row")
    parser.add_argument("--large", action="store_true", help="the largest pairs instead, which take seconds a call")
    parser.add_argument("--constants", action="store_true", help="fit the constants")
    options = parser.parse_args()
    with cyconv.threads(options.threads):
        if options.constants:
            return constants(options.budget)
        clock = time.thread_time if options.threads == 1 else time.perf_counter
        pairs = LARGE if options.large else [pair for rank in options.ranks for pair in SIZES[rank]]
        ratios = []
        for shape, kernel in pairs:
            for function, dtype, mode in [(f, d, m) for f in options.functions for d in options.dtypes for m in options.modes]:
                if function in PLANES and (len(shape) != 2 or math.prod(shape) * math.prod(kernel) > MOST_SUMS):
                    continue
                theirs, ours = compare(function, shape, kernel, dtype, mode, options.budget, clock)
                ratios.append(theirs / ours)
                sizes = f"{'x'.join(map(str, shape))} {'x'.join(map(str, kernel))}"
                print(f"{theirs / ours:8.2f}  {function:12} {dtype:10} {mode:5} {sizes:28} {theirs * 1e3:9.3f} {ours * 1e3:9.3f} ms", flush=True)
    behind = sum(ratio < 0.9 for ratio in ratios)
    average = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"{average:.2f} in the geometric mean of {len(ratios)}, {min(ratios):.2f} at least, {behind} below 0.9")


if __name__ == "__main__":
    main()

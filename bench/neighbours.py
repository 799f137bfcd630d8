"""Whether NumPy's matmul, and PyTorch, are as quick right after a call of cyconv on several threads as they are alone: `python -m bench.neighbours`.

Threads that wait for more work can take the cores from the next library's. Each turn times one product of matrices three ways: alone, right
after a call on one thread (which leaves other numbers in the caches, and nobody waiting), and right after the same call on several. Ways take
turns in random order, with a pause in front of each, since after a product NumPy's own threads look for work for a while, too. The
medians' ratios are printed; the goal is 1.1 for the last over the first. The exit status is 1 if the geometric mean misses it.
"""

import argparse
import math
import random
import statistics
import sys
import time

import numpy as np

from .installation import import_cyconv

GOAL = 1.1
SIZES = (128, 384, 768)  # of products: 20 us to 10 ms
PAUSE = 0.005  # seconds until nobody looks for work any more


def our_calls():
    import cyconv

    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 32, 56, 56), np.float32), rng.standard_normal((32, 32, 3, 3), np.float32)
    picture, kernel = rng.standard_normal((1, 1, 500, 500), np.float32), rng.standard_normal((1, 1, 31, 31), np.float32)
    return {
        "winograd": lambda: cyconv.conv2d(x, w, algorithm="winograd"),
        "implicit_gemm": lambda: cyconv.conv2d(x, w, algorithm="implicit_gemm"),
        "im2col": lambda: cyconv.conv2d(x, w, algorithm="im2col"),
        "fft": lambda: cyconv.conv2d(picture, kernel, algorithm="fft"),
        "max_pool": lambda: cyconv.max_pool2d(x, 3, 2),
    }


def their_calls(threads):
    """Their name, and the call: NumPy's products, one of SciPy's BLAS, and a convolution of PyTorch if it is installed."""
    from scipy.linalg import blas

    calls = {}
    for n in SIZES:
        a = np.ones((n, n), np.float32)
        calls[f"numpy {n}"] = lambda a=a: a @ a
    a = np.ones((384, 384), np.float32, order="F")
    calls["scipy 384"] = lambda: blas.sgemm(1, a, a)
    try:
        import torch
    except ImportError:
        return calls
    torch.set_num_threads(threads)
    x, w = torch.ones(4, 32, 56, 56), torch.ones(32, 32, 3, 3)
    calls["torch conv2d"] = lambda: torch.nn.functional.conv2d(x, w)
    calls["torch matmul 384"] = lambda y=torch.ones(384, 384): y @ y
    return calls


def timed(ours, theirs, threads):
    """Seconds of `theirs` after `ours` on so many threads; alone for 0."""
    import cyconv

    wake = time.perf_counter() + PAUSE
    while time.perf_counter() < wake:  # not asleep: a core that slept is slow for a while
        pass
    if threads:
        with cyconv.threads(threads):
            ours()
    begin = time.perf_counter()
    theirs()
    return time.perf_counter() - begin


def medians(ours, theirs, threads, turns):
    ways = [0, 1, threads]
    taken, shuffled = {way: [] for way in ways}, random.Random(0)
    for turn in range(turns + 2):
        for way in shuffled.sample(ways, len(ways)):
            seconds = timed(ours, theirs, way)
            if turn > 1:
                taken[way].append(seconds)
    return [statistics.median(taken[way]) for way in ways]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2, help="of cyconv's and PyTorch's calls; NumPy takes what its BLAS takes")
    parser.add_argument("--turns", type=int, default=101)
    options = parser.parse_args(arguments)
    import_cyconv()
    print(f"{'right after':15}{'theirs':>18}{'alone':>12}{'one thread':>12}{f'{options.threads} threads':>12}{'ratio':>8}{'to one':>8}")
    ratios = []
    for name, ours in our_calls().items():
        for what, theirs in their_calls(options.threads).items():
            alone, one, several = medians(ours, theirs, options.threads, options.turns)
            ratios.append(several / alone)
            print(f"{name:15}{what:>18}{alone * 1e6:9.0f} us{one * 1e6:9.0f} us{several * 1e6:9.0f} us{several / alone:8.2f}{several / one:8.2f}", flush=True)
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"geometric mean {mean:.3f}, worst {max(ratios):.2f} (goal: {GOAL})")
    return int(mean > GOAL)


if __name__ == "__main__":
    sys.exit(main())

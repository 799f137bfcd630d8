"""Clocks: interleaved medians, and what the machine can do at most."""

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .apart import Apart

TURN = 1e-3  # seconds that a contender's turn lasts at least: short calls are repeated
SLOW = 50  # times slower than the quickest, and longer than the budget: timed once
PAUSE = 0.004  # seconds after which other libraries' idle threads have stopped spinning


def once(call):
    return repeated(call, 1)


def repeated(call, times):
    """Seconds of one call, the mean of `times` of them. A contender in another process has a clock of its own."""
    if isinstance(call, Apart):
        return call.repeated(times)
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def interleaved(calls, budget, pause=0.0):
    """Median seconds of each of the calls (a dict), which take turns until `budget` seconds are over; at least three turns.

    A turn begins with one call more than are timed afterwards, so that nobody pays for what the one before left in the caches or
    for cores that fell asleep.
    """
    first = {name: min(once(call), once(call)) for name, call in calls.items()}
    quickest = min(first.values(), default=0)
    samples = {name: [seconds] for name, seconds in first.items() if seconds > max(SLOW * quickest, budget)}
    turning = [name for name in calls if name not in samples]
    taken = {name: [] for name in turning}
    shuffled = random.Random(0)  # nobody always comes after the one that leaves the caches the coldest
    end = time.perf_counter() + budget
    turns = 0
    while turning and (turns < 3 or (time.perf_counter() < end and turns < 1000)):
        for name in shuffled.sample(turning, len(turning)):
            wake = time.perf_counter() + pause
            while time.perf_counter() < wake:  # not asleep: a core that slept is slow for a while
                pass
            times = max(1, int(TURN / max(first[name], 1e-7)))
            repeated(calls[name], times + 1)
            taken[name].append(repeated(calls[name], times))
        turns += 1
    return {name: statistics.median((taken | samples)[name]) for name in calls}


def peak_flops(dtype, seconds=0.3):
    """Floating-point operations per second of one core, as a large product of matrices reaches them."""
    from scipy.linalg import blas, cython_blas  # noqa: F401  (the BLAS that is held to one thread)

    from cyconv.threads import can_hold_blas, one_blas_thread

    n = 1024
    a = np.ones((n, n), dtype, order="F")
    multiply = blas.dgemm if a.dtype == np.float64 else blas.sgemm
    best, end = float("inf"), time.perf_counter() + seconds
    can_hold_blas()
    with one_blas_thread():
        while time.perf_counter() < end or best == float("inf"):
            best = min(best, once(lambda: multiply(1, a, a)))
    return 2 * n**3 / best


def copy_bytes(threads, seconds=0.3):
    """Bytes per second, read and written, of copies between arrays that no cache holds."""
    size = 2**26
    pairs = [(np.zeros(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]
    best, end = float("inf"), time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:

        def copy_all():
            for done in [pool.submit(np.copyto, *pair) for pair in pairs]:
                done.result()

        copy_all()  # the first one meets pages that the system has yet to provide
        while time.perf_counter() < end or best == float("inf"):
            best = min(best, once(copy_all))
    return 2 * size * threads / best

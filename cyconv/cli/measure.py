"""Times of several ways to the same result."""

import statistics
import time


def medians(ways, runs):
    """Median seconds of each callable. They take turns, so that whatever slows the machine down slows all of them."""
    for way in ways:
        way()  # warm-up: first imports, first use of memory
    seconds = [[] for _ in ways]
    for _ in range(runs):
        for way, found in zip(ways, seconds):
            begin = time.perf_counter()
            way()
            found.append(time.perf_counter() - begin)
    return [statistics.median(found) for found in seconds]

"""Times of several ways to the same result."""

import statistics
import time

TURN = 1e-3  # seconds that a turn lasts at least: short calls are repeated
LONG = 1e-2  # seconds; the first of shorter calls is not counted, which pays for what others left in the caches
PAUSE = 4e-3  # seconds after which other libraries' idle threads have stopped spinning


def medians(ways, runs):
    """Median seconds of each callable. They take turns, so that whatever slows the machine down slows all of them."""
    for way in ways:
        way()  # warm-up: first imports, first use of memory
    seconds = [[] for _ in ways]
    for _ in range(runs):
        for way, found in zip(ways, seconds):
            found.append(_seconds(way))
    return [statistics.median(found) for found in seconds]


def in_turn(ways, budget, pause=0.0):
    """{name: (median seconds, runs)} of the callables {name: way}, which were called before, in about `budget` seconds.

    The next turn is that of the one whose turns took the least time so far: all get the same time, and the quick ones, whose
    ratios matter most, the most runs. At least one run each.
    """
    end = time.perf_counter() + budget
    spent, found = dict.fromkeys(ways, 0.0), {name: [] for name in ways}
    while not all(found.values()) or time.perf_counter() < end:
        name = min(spent, key=spent.get)
        begin = time.perf_counter()
        while time.perf_counter() < begin + pause:  # not asleep: a core that slept is slow for a while
            pass
        seconds = _seconds(ways[name])
        if seconds < LONG:
            seconds = _seconds(ways[name], max(1, int(TURN / max(seconds, 1e-7))))
        found[name].append(seconds)
        spent[name] += time.perf_counter() - begin
    return {name: (statistics.median(seconds), len(seconds)) for name, seconds in found.items()}


def _seconds(way, times=1):
    """Seconds of one call, the mean of `times` of them."""
    begin = time.perf_counter()
    for _ in range(times):
        way()
    return (time.perf_counter() - begin) / times

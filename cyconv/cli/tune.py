"""`python -m cyconv tune`: measures the cost model's seconds on this machine and keeps them in the user's configuration folder.

A minute is enough for a few hundred problems, and the shipped table is of thousands. So each kind of work is held to its
shipped seconds, times how much slower this machine is on the whole. Every quarter of the problems is held out once, and
says what a table fitted to the others is worth. Where it predicts or chooses worse than the shipped one does, or where
problems are too few to tell, the shipped one is kept but for the speed, which leaves its choices as they were.
"""

import math
import os
import time

import numpy as np

from .. import calibration, costs, cpu, tuning
from ..threads import threads
from . import CommandError

LIMITS = {"most": 0.05, "spent": 0.004, "farthest": 8}  # of calibration.times: less of each problem, for more of them
MOST_PROBLEMS = 1000
FEW = 40  # problems are too few to fit to
PULL = 1.0  # with 0.3 or less, machines like the one of the shipped table choose worse than by it; with 3, others gain less
PARTS = 4


def run(seconds):
    """Measures for so long and writes the file; returns what is to be said about it."""
    file, off = _file(), tuning.off()
    try:  # what cannot be written is refused before the work, not after it
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error.strerror}") from None
    if not os.access(file.parent, os.W_OK):
        raise CommandError(f"cannot write {file}: no permission")
    costs.use_shipped()
    begin = time.perf_counter()
    problems = calibration.random_problems(MOST_PROBLEMS, seed=2)  # others than the shipped table was fitted to
    with threads(1):
        measured = calibration.measure(problems, seconds, **LIMITS)
    table, before, after, fitted = choose(measured)
    tuning.write(file, table)
    lines = [
        f"{len(measured)} problems in {time.perf_counter() - begin:.0f} s, one thread, level {cpu.level}, {tuning.processor()}",
        "",
        "of problems not fitted to         shipped  tuned",
        f"predicted times, off by a factor  {before[0]:<7.2f}  {after[0]:.2f}",
        f"chosen / best algorithm           {before[1]:<7.3f}  {after[1]:.3f}",
        "",
    ]
    if not fitted:
        why = "fitted times did no better" if len(measured) >= FEW else f"fewer than {FEW} problems are too few to fit to"
        lines.append(f"{why}: the shipped constants are kept, times {speed(measured):.2f}; they choose as before")
    return "\n".join([*lines, f"written to {tuning.shown(file)}{f', which {tuning.VARIABLE}=off ignores' if off else ''}"])


def reset():
    """Removes the file; returns what is to be said about it."""
    file = _file()
    try:
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return f"there is no {tuning.shown(file)}"
    return f"removed {tuning.shown(file)}"


def _file():
    file = tuning.path()
    if file is None:
        raise CommandError("there is no home folder to keep a file in: set XDG_CONFIG_HOME")
    return file


def choose(measured):
    """(table, quality of the shipped one, quality of this one, whether it is fitted) from {problem: {algorithm: seconds}}."""
    before = quality([(costs.SHIPPED, measured)])
    if len(measured) >= FEW:
        trials = []
        for part in range(PARTS):
            held_out = set(list(measured)[part::PARTS])
            others = {problem: found for problem, found in measured.items() if problem not in held_out}
            trials.append((fit(others), {problem: measured[problem] for problem in held_out}))
        after = quality(trials)
        if after[0] <= before[0] and after[1] <= before[1]:
            return fit(measured), before, after, True
    table = scaled(measured)
    return table, before, quality([(table, measured)]), False


def speed(measured):
    """How many times as long as by the shipped table everything takes here."""
    ratios = [s / calibration.predicted(costs.SHIPPED, name, p) for p, found in measured.items() for name, s in found.items()]
    return float(np.median(ratios))


def scaled(measured):
    """The shipped table for a machine of this speed."""
    slower = speed(measured)
    return {name: {kind: value * slower for kind, value in each.items()} for name, each in costs.SHIPPED.items()}


def fit(measured):
    """A table for this machine."""
    return {name: calibration.fit(name, measured, each, PULL) for name, each in scaled(measured).items()}


def quality(trials):
    """(factor by which predictions are off in the median, chosen / best algorithm in the geometric mean) of [(table, times)]."""
    off, lost = [], []
    for table, measured in trials:
        off += [
            abs(math.log(s / max(calibration.predicted(table, name, p), 1e-9)))  # a fit may take an algorithm to be free
            for p, found in measured.items()
            for name, s in found.items()
        ]
        for times in (calibration.for_any_weights(measured), measured):
            lost += [math.log(ratio) for ratio, *_ in calibration.regrets(table, times)]
    return float(np.exp(np.median(off))), float(np.exp(np.mean(lost)))

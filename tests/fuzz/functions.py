"""Calls every public function with arguments of all kinds, right ones and nonsense, and judges what becomes of it.

    python tests/fuzz/functions.py --seconds 600 --seed 1 --processes 1 [--each] [--only conv2d,max_pool2d] [--calls 1000] [--case 123456]

A call with right arguments must give the reference's result, one with others that or ValueError, TypeError or MemoryError. Nothing else may be
raised, no warning either, and no argument may be changed. Each call is made from its number alone, which child processes note down before it:
a crash or a hang is told with it, and the next child goes on behind it. `--case` makes one call again.
"""

import argparse
import collections
import mmap
import multiprocessing
import os
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2]))  # last: an installed cyconv comes before the source tree

HANGS = 120.0  # seconds that no call takes
MEMORY = 3 * 2**30  # bytes of address space that a child may take; beyond that MemoryError is the answer
EXAMPLES = 3  # of each kind of failure that are shown


def make_case(number, names):
    """The call of this number, and the dice that it was made with."""
    from fuzz.calls import spoil
    from fuzz.table import TABLE
    from fuzz.values import Dice

    dice = Dice(number)
    call = TABLE[dice.choice(names)](dice)
    if dice.chance(0.5):
        call = spoil(dice, call)
    return dice, call


def run_case(number, names):
    """(function, what became of it, None or why that must not be)."""
    from fuzz.calls import Failure, judge

    dice, call = make_case(number, names)
    try:
        return call.name, judge(dice, call), None
    except Failure as failure:
        return call.name, "FAILED", f"{failure}\n    {call}"


# ---- a child ---------------------------------------------------------------------------------------------------------------


def prepare(limit=MEMORY):
    warnings.simplefilter("error")
    for kind in (DeprecationWarning, PendingDeprecationWarning):
        warnings.simplefilter("ignore", kind)  # of NumPy, about what it was given
    os.environ["CYCONV_TUNING"] = "off"
    import fuzz.table  # noqa: F401  what is imported later takes no memory of the limit

    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def work(first, step, until, last, names, note, pipe):
    """Calls number first, first + step, ... until the time is over, or the last one; sends what became of them now and then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    outcomes, failures, sent, number = collections.Counter(), [], time.monotonic(), first
    while time.time() < until and number < last:
        note[:16] = struct.pack("<qd", number, time.time())
        try:
            name, outcome, failure = run_case(number, names)
        except Exception:
            name, outcome, failure = "the fuzzer", "FAILED", traceback.format_exc()
        outcomes[name, outcome] += 1
        if failure:
            failures.append((number, failure))
        number += step
        if time.monotonic() - sent > 0.5 or failures:
            pipe.send((outcomes, failures))
            outcomes, failures, sent = collections.Counter(), [], time.monotonic()
    pipe.send((outcomes, failures))


# ---- the parent ------------------------------------------------------------------------------------------------------------


class Worker:
    """A child process, and the next one when it dies."""

    def __init__(self, first, step, until, last, names):
        self.step, self.until, self.last, self.names = step, until, last, names
        self.note, self.done = mmap.mmap(-1, 16), False
        self.start(first)

    def start(self, number):
        self.note[:16] = struct.pack("<qd", number, time.time() + 60)  # importing takes a while
        self.pipe, end = multiprocessing.Pipe(duplex=False)
        arguments = (number, self.step, self.until, self.last, self.names, self.note, end)
        self.process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        self.process.start()
        end.close()

    def look(self):
        """(outcomes, failures) since the last look; starts another child where this one died or hangs."""
        outcomes, failures = collections.Counter(), []
        try:
            while self.pipe.poll():
                more, others = self.pipe.recv()
                outcomes += more
                failures += others
        except EOFError:
            self.process.join()
        number, since = struct.unpack("<qd", self.note[:16])
        hangs = self.process.is_alive() and time.time() - since > HANGS
        if hangs:
            self.process.kill()
            self.process.join()
        if not self.process.is_alive() and self.process.exitcode:
            what = f"took more than {HANGS:.0f} s" if hangs else f"ended the process (exit code {self.process.exitcode})"
            failures.append((number, f"{what}: --case {number}"))
            outcomes["the process", "ended"] += 1
            if time.time() < self.until:
                self.start(number + self.step)
                return outcomes, failures
        self.done = not self.process.is_alive()
        return outcomes, failures


def fuzz(seconds, seed, processes, names, calls=10**11):
    """(outcomes, failures) of all calls of so many seconds, and so many at most."""
    until, begin = time.time() + seconds, seed * 10**12
    workers = [Worker(begin + place, processes, until, begin + calls, names) for place in range(processes)]
    outcomes, failures, told = collections.Counter(), [], 0.0
    while not all(worker.done for worker in workers):
        for worker in workers:
            more, others = worker.look()
            outcomes += more
            for number, text in others:
                kind = " ".join(text.split("\n")[0].split()[:5])
                if sum(known == kind for known, _, _ in failures) < EXAMPLES:
                    print(f"FAILED case {number}: {text}", flush=True)
                failures.append((kind, number, text))
        if time.time() - told > 60:
            told = time.time()
            print(f"{sum(outcomes.values())} calls, {len(failures)} failures, {max(until - told, 0):.0f} s left", flush=True)
        time.sleep(0.2)
    return outcomes, failures


def report(outcomes, failures, each):
    total = collections.Counter()
    functions = collections.defaultdict(collections.Counter)
    for (name, outcome), count in outcomes.items():
        total[outcome] += count
        functions[name][outcome] += count
    if each:
        for name in sorted(functions):
            print(f"{name:32} {sum(functions[name].values()):9}  {', '.join(f'{count} {what}' for what, count in functions[name].most_common())}")
    print(f"{sum(outcomes.values())} calls of {len(functions)} functions: {', '.join(f'{count} {what}' for what, count in total.most_common())}")
    print(f"{len(failures)} failures")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--calls", type=int, default=10**11, help="how many at most")
    parser.add_argument("--only", default="", help="functions, with commas between them")
    parser.add_argument("--case", type=int, help="the number of one call, which is made in this process")
    parser.add_argument("--each", action="store_true", help="a line for each function")
    options = parser.parse_args()
    os.environ.setdefault("CYCONV_TUNING", "off")
    from fuzz.table import TABLE

    names = options.only.split(",") if options.only else sorted(TABLE)
    if options.case is not None:
        prepare()
        _, call = make_case(options.case, names)
        print(call, flush=True)
        _, outcome, failure = run_case(options.case, names)
        print(outcome, failure or "")
        return 1 if failure else 0
    outcomes, failures = fuzz(options.seconds, options.seed, options.processes, names, options.calls)
    report(outcomes, failures, options.each)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

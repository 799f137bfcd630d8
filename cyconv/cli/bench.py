"""`python -m cyconv bench`: time against kernel size, of every algorithm, of other libraries and of the automatic choice.

There are three families of problems: a signal, an image, and a layer of a network; kernels are random and the result is as
large as the input. Every answer is compared with the automatic choice's before it is timed, and a wrong one ends the command.
What would take too long is left out: algorithms by their prediction, other libraries after the first kernel that took them
so long.
"""

import csv
import io
import math
import sys
import time
from dataclasses import dataclass

import numpy as np

from .. import __version__, cpu, functional
from ..select import ALGORITHMS
from ..tuning import processor
from . import CommandError, check_target, measure, peers, pictures

AUTO = "auto"
SLOW = 50  # algorithms predicted to take so many times the quickest one's time are not run
SHARE = 0.1  # of a kernel's time: nobody whose single call takes longer is run
MARGIN = 1.05  # times that differ by less are equal: the noise of a good machine
TOLERANCE = 256  # eps of the largest value: several times what roundings make of sums that are as long as these


@dataclass(frozen=True)
class Family:
    """Problems that differ in their kernel alone."""

    name: str
    title: str
    shape: tuple  # of the input
    out_channels: int
    kernels: tuple  # taps along each axis; odd, rising

    def weight_shape(self, kernel):
        return self.out_channels, self.shape[1], *(kernel,) * (len(self.shape) - 2)


@dataclass(frozen=True)
class Point:
    """What was measured of one kernel."""

    kernel: int
    chosen: str
    times: dict  # contender: (median seconds, runs)

    def seconds(self, kind):
        """{contender: seconds} of one kind."""
        return {name: seconds for name, (seconds, _) in self.times.items() if kind_of(name) == kind}

    def best(self, kind):
        """(seconds, contender) of the quickest one, or None."""
        return min(((seconds, name) for name, seconds in self.seconds(kind).items()), default=None)

    @property
    def auto(self):
        return self.times[AUTO][0]


FAMILIES = (
    Family("signal", "A signal of 200,000 samples", (1, 1, 200_000), 1, (1, 3, 5, 9, 17, 33, 65, 129, 257, 513, 1025, 2049, 4097)),
    Family("image", "An image of 512 x 512 pixels", (1, 1, 512, 512), 1, (1, 3, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129)),
    Family("layer", "A layer from 32 to 32 channels of 56 x 56", (1, 32, 56, 56), 32, (1, 3, 5, 7, 9, 11, 13, 15, 19, 23, 27, 31)),
)


def kind_of(contender):
    return "auto" if contender == AUTO else "algorithm" if contender in ALGORITHMS else "peer"


def run(csv_target, plot_target, seconds, threads, dtype):
    """Measures for about `seconds`, prints a table of each family, and writes the files that are asked for."""
    curves = plot_target and _curves()
    for target in filter(None, (csv_target, plot_target)):
        check_target(target)
    if plot_target:
        pictures.encode(plot_target, np.zeros((3, 16, 16)))  # a format that pillow lacks is refused now, not after the work
    about = facts(threads, dtype)
    print("\n".join(about), flush=True)
    series, sizes = [], sum(len(family.kernels) for family in FAMILIES)
    with peers.threads(threads):
        begin, left = time.perf_counter(), sizes
        for family in FAMILIES:
            points, late = [], set()
            try:
                for kernel in family.kernels:
                    taken = time.perf_counter() - begin
                    _progress(f"[{'#' * round(30 * min(1, taken / seconds)):30}] {family.name}, kernel {kernel}")
                    budget = max((seconds - taken) / left, seconds / sizes / 2)
                    points.append(measured(family, kernel, dtype, budget, late, threads > 1))
                    left -= 1
            finally:
                _progress("")
            changes = choice_changes(family.kernels, lambda kernel: _verdicts(family, kernel, dtype).chosen)  # noqa: B023
            series.append((family, points, changes))
            print(f"\n{report(family, points, changes)}", flush=True)
    if csv_target:
        pictures.write_bytes(csv_target, io.BytesIO(csv_text(about, series, threads, dtype).encode()))
    if plot_target:
        curves.write(plot_target, about, series)
    for target in filter(None, (csv_target, plot_target)):
        print(f"\nWritten: {target}")


def _curves():
    try:
        from . import curves
    except ImportError:
        raise CommandError('--plot needs matplotlib: pip install "cyconv[demo]"') from None
    return curves


def _progress(text):
    if sys.stderr and sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def facts(threads, dtype):
    """Lines that say what was measured where."""
    libraries = ", ".join(f"{name} {version}" for name, version in peers.versions(peers.NAMES).items())
    threads = f"{threads} thread{'s' if threads > 1 else ''}"
    return [f"{processor()}, {threads}, {dtype}", f"cyconv {__version__}, kernels {cpu.level}; {libraries}"]


# ---- measuring -----------------------------------------------------------------------------------------------------------


def _arrays(family, kernel, dtype):
    generator = np.random.default_rng(kernel)
    return [generator.standard_normal(shape).astype(dtype) for shape in (family.shape, family.weight_shape(kernel))]


def _verdicts(family, kernel, dtype):
    return functional.explain(*_arrays(family, kernel, dtype), padding="same")


def measured(family, kernel, dtype, budget, late, pause=False):
    """The Point of one kernel. `late` are the peers that are too slow; those that turn out to be are added."""
    begin = time.perf_counter()
    x, weight = _arrays(family, kernel, dtype)
    convolve = getattr(functional, f"conv{x.ndim - 2}d")
    told = _verdicts(family, kernel, dtype)
    longest = min(SHARE * budget, SLOW * min(v.seconds for v in told.verdicts))
    calls = {AUTO: lambda: convolve(x, weight, padding="same")}
    for v in told.verdicts:
        name = v.algorithm.name
        if v.declined is None and (v.seconds <= longest or name == told.chosen):
            calls[name] = lambda name=name: convolve(x, weight, padding="same", algorithm=name)
    calls |= {name: way for name, way in peers.ways(x, weight).items() if name not in late}
    expected = calls[AUTO]()
    for name, call in calls.items():
        _check(f"{name}, {family.name}, kernel {kernel}", np.asarray(call()).reshape(expected.shape), expected)
    left = begin + budget - time.perf_counter()
    point = Point(kernel, told.chosen, measure.in_turn(calls, left, measure.PAUSE if pause else 0.0))
    late |= {name for name, seconds in point.seconds("peer").items() if seconds > SHARE / 2 * budget}  # the next kernel is larger
    return point


def _check(what, answer, expected):
    difference = np.abs(answer - expected).max() / np.abs(expected).max()
    if not difference <= TOLERANCE * np.finfo(expected.dtype).eps:  # a NaN is wrong, too
        raise CommandError(f"wrong result: {what}: it differs from the automatic choice's by {difference:.1e} of the largest value")


# ---- crossovers ----------------------------------------------------------------------------------------------------------


def choice_changes(kernels, choose):
    """[(last kernel with the old choice, first with the new, old, new)], searched among all odd kernels between those given."""
    found, first = [], kernels[0]
    for last in kernels[1:]:
        while choose(first) != choose(last):
            low, high = first, last
            while high - low > 2:
                middle = low + (high - low) // 4 * 2
                low, high = (middle, high) if choose(middle) == choose(first) else (low, middle)
            found.append((low, high, choose(first), choose(high)))
            first = high
        first = last
    return found


def crossovers(kernels, times):
    """[(where, old, new)]: where another algorithm becomes the quickest. `times`: for each kernel {name: seconds}.

    Between two kernels times are taken to lie on a straight line in logarithms; one that is not timed at both counts as
    changing in the middle.
    """
    old, found = min(times[0], key=times[0].get), []
    for low, high, before, after in zip(kernels, kernels[1:], times, times[1:]):
        new = min(after, key=after.get)
        if old in after and after[old] <= MARGIN * after[new]:
            continue
        part = 0.5
        if new in before and old in after:
            lead, loss = max(0, math.log(before[new] / before[old])), math.log(after[old] / after[new])
            part = lead / (lead + loss)
        found.append((low * (high / low) ** part, old, new))
        old = new
    return found


# ---- reports -------------------------------------------------------------------------------------------------------------


def report(family, points, changes):
    """The table of a family, and below it where algorithms change."""
    names = [name for name in ALGORITHMS if any(name in point.times for point in points)]
    lines = [["kernel", *names, "best peer", "", "automatic", "choice", "auto / best", "peer / auto"]]
    for point in points:
        own, peer = point.best("algorithm"), point.best("peer")
        cells = [_ms(point.times[name][0]) if name in point.times else "-" for name in names]
        lines.append(
            [
                str(point.kernel), *cells, *((peer[1], _ms(peer[0])) if peer else ("-", "-")), point.chosen, _ms(point.auto),
                f"{point.auto / own[0]:.2f}", f"{peer[0] / point.auto:.2f}" if peer else "-",
            ]
        )  # fmt: skip
    quickest = crossovers(family.kernels, [point.seconds("algorithm") for point in points])
    first = points[0].best("algorithm")[1]
    weight = "x".join([*map(str, family.weight_shape(0)[:2]), *"k" * (len(family.shape) - 2)])
    return "\n".join(
        [
            f"{family.title}: {'x'.join(map(str, family.shape))} * {weight}, medians in milliseconds", _aligned(lines),
            f"quickest: {', '.join([first, *(f'{new} from about {where:.3g}' for where, _, new in quickest)])}",
            f"choice:   {', '.join([points[0].chosen, *(f'{new} from {kernel}' for _, kernel, _, new in changes)])}",
        ]
    )  # fmt: skip


def _ms(seconds):
    milliseconds = seconds * 1e3
    return f"{milliseconds:.3g}" if milliseconds < 999.5 else f"{milliseconds:.0f}"


def _aligned(lines):
    """Figures to the right, words to the left."""
    wide = [max(map(len, column)) for column in zip(*lines)]
    sides = [str.ljust if any(cell[:1].isalpha() for cell in column) else str.rjust for column in zip(*lines[1:])]
    return "\n".join("  ".join(side(cell, w) for side, cell, w in zip(sides, line, wide)).rstrip() for line in lines)


def csv_text(about, series, threads, dtype):
    """One line for each contender of each kernel, below lines with # that say where."""
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in about)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("family,input,weight,kernel,dtype,threads,contender,kind,chosen,seconds,runs".split(","))
    for family, points, _ in series:
        for point in points:
            shapes = ("x".join(map(str, shape)) for shape in (family.shape, family.weight_shape(point.kernel)))
            where = (family.name, *shapes, point.kernel, dtype, threads)
            for name, (seconds, runs) in point.times.items():
                writer.writerow((*where, name, kind_of(name), point.chosen if name == AUTO else "", f"{seconds:.6g}", runs))
    return text.getvalue()

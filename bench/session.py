"""Checks, then times, every contender of every row, and prints the table."""

import csv
import math
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import cyconv
from cyconv import cpu
from cyconv.tuning import processor

from . import data, peers, timing
from .contenders import PLAIN, PLAN, cyconv_contenders

FARTHEST = 8  # rows listed at the end
BEHIND = 0.97  # of rows with a goal, all that are below this are listed


@dataclass
class Result:
    """What was measured of one row at one thread count."""

    row: object
    threads: int
    chosen: str = ""  # algorithm
    seconds: dict = field(default_factory=dict)  # contender: median seconds
    wrong: dict = field(default_factory=dict)  # contender: what is wrong with its answer
    left_out: dict = field(default_factory=dict)  # contender or algorithm: why it was not run
    library: dict = field(default_factory=dict)  # contender: library
    work: float = 0.0  # floating-point operations of a convolution, bytes of a pooling

    @property
    def best_peer(self):
        """(name, seconds) of the quickest peer, or None."""
        found = [(s, name) for name, s in self.seconds.items() if self.library[name] != "cyconv"]
        return min(found)[::-1] if found else None

    def ratio(self, name):
        """Time of the best peer over the time of `name`: above 1, cyconv is quicker."""
        peer = self.best_peer
        return peer[1] / self.seconds[name] if peer and name in self.seconds else None

    @property
    def regret(self):
        """Time of the chosen algorithm over the time of the best one."""
        own = [s for name, s in self.seconds.items() if self.library[name] == "cyconv" and name not in (PLAIN, PLAN)]
        return self.seconds[self.chosen] / min(own) if self.chosen in self.seconds else None


def measure(row, threads, budget, more=()):
    """The Result of a row; `more` are further contenders."""
    x, weight, bias = data.arrays(row)
    result = Result(row, threads)
    exact = data.exact(row, x, weight, bias)
    with peers.threads(threads), ExitStack() as stack:
        own, result.chosen, result.left_out = cyconv_contenders(row, x, weight, bias)
        contenders = [*own, *peers.peer_contenders(row, x, weight, bias, threads), *more]
        calls = {}
        for contender in contenders:
            if close := getattr(contender.call, "close", None):  # a process of its own
                stack.callback(close)
        for contender in contenders:
            try:
                answer = contender.call()
            except (RuntimeError, NotImplementedError) as error:  # another library that lacks this case
                if contender.library == "cyconv":
                    raise
                result.left_out[contender.name] = str(error).partition("\n")[0]
                continue
            if problem := exact.error(answer, contender.bound, contender.scale):
                result.wrong[contender.name] = problem
            else:
                calls[contender.name] = contender.call
                result.library[contender.name] = contender.library
        result.seconds = timing.interleaved(calls, budget, timing.PAUSE if threads > 1 else 0.0)
    problem = row.problem()
    if problem is not None:
        result.work = problem.multiply_adds * (8 if np.dtype(row.dtype).kind == "c" else 2)
    else:
        outputs = math.prod(exact.answer[0].shape) * (x.itemsize + 8 * (len(exact.answer) - 1))
        result.work = x.nbytes + outputs
    return result


# ---- the table ---------------------------------------------------------------------------------------------------------

_COLUMNS = (
    ("row", "", "<"), ("plain", "ms", ">"), ("plan", "ms", ">"), ("algorithm", "", "<"), ("rate", "", ">"), ("%", "peak", ">"),
    ("best peer", "", "<"), ("peer", "ms", ">"), ("peer/", "plain", ">"), ("peer/", "plan", ">"), ("goal", "", ">"), ("chosen", "/best", ">"),
)  # fmt: skip
_WIDTHS = (18, 8, 8, 13, 11, 5, 18, 8, 6, 6, 5, 6)


def _line(cells):
    return " ".join(f"{cell:{how}{width}}" for cell, (_, _, how), width in zip(cells, _COLUMNS, _WIDTHS)).rstrip()


def _ms(seconds):
    return "-" if seconds is None else f"{seconds * 1e3:.4f}" if seconds < 1e-3 else f"{seconds * 1e3:.4g}"


def _times(ratio):
    return "-" if ratio is None else f"{ratio:.2f}"


def table_line(result, limits):
    """One line of the table. `limits` is what the machine can do: {dtype: flop/s of one core, "copy": bytes/s}."""
    plain = result.seconds.get(PLAIN)
    rate, percent = "-", "-"
    if plain:
        per_second = result.work / plain
        if not result.row.is_conv:
            rate, limit = f"{per_second / 1e9:.1f} GB/s", limits["copy"]
        else:
            rate, limit = f"{per_second / 1e9:.1f} GF/s", limits.get(result.row.dtype, 0) * result.threads
        percent = f"{100 * per_second / limit:.0f}" if limit else "-"
    peer = result.best_peer
    return _line(
        (
            result.row.name, _ms(plain), _ms(result.seconds.get(PLAN)), result.chosen, rate, percent, peer[0] if peer else "-",
            _ms(peer[1] if peer else None), _times(result.ratio(PLAIN)), _times(result.ratio(PLAN)),
            "-" if result.row.goal is None else f"{result.row.goal:g}", _times(result.regret),
        )
    )  # fmt: skip


def mean(ratios):
    """The geometric mean, or None of nothing."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def summary(results):
    """The lines below the table."""
    lines = []
    for name, what in ((PLAIN, "plain call"), (PLAN, "plan")):
        ratios = [r.ratio(name) for r in results if r.ratio(name)]
        if ratios:
            lines.append(f"best peer / cyconv, {what}: {mean(ratios):.2f} in the geometric mean of {len(ratios)} rows")
    for name, what in ((PLAIN, "plain call"), (PLAN, "plan")):
        aimed = [(r.ratio(name), r.row) for r in results if r.row.goal and r.ratio(name)]
        if aimed:
            reached = sum(ratio >= row.goal for ratio, row in aimed)
            below = [f"{row.name} {ratio:.2f}" for ratio, row in sorted(aimed, key=lambda pair: pair[0]) if ratio < BEHIND]
            lines.append(f"{what} at or above goal: {reached} of {len(aimed)}; below {BEHIND}: {', '.join(below) or 'none'}")
    regrets = [r.regret for r in results if r.regret]
    if regrets:
        lines.append(f"chosen / best algorithm: {mean(regrets):.3f} in the geometric mean, {max(regrets):.2f} at worst")
    behind = sorted((r.ratio(PLAIN), r.row.name) for r in results if r.ratio(PLAIN) and r.ratio(PLAIN) < 1)
    if behind:
        lines.append("farthest behind: " + ", ".join(f"{name} {ratio:.2f}" for ratio, name in behind[:FARTHEST]))
    else:
        lines.append("no row is behind its best peer" if any(r.best_peer for r in results) else "no peer is installed")
    return lines


def header(threads):
    """Machine, level, versions."""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(peers.versions(peers.NAMES).items()))
    noun = "thread" if threads == [1] else "threads"
    return [
        f"cyconv {cyconv.__version__} from {Path(cyconv.__file__).parent}, level {cpu.level}",
        f"{processor()}, {'  and  '.join(map(str, threads))} {noun}; {versions}",
    ]


def run(rows, threads, budget, csv_path=None, details=False):
    """Measures and prints everything; the exit status: 1 if an answer was wrong or a row could not be computed."""
    for line in header(threads):
        print(line)
    dtypes = {row.dtype for row in rows if row.is_conv} & {"float32", "float64"}
    limits = {dtype: timing.peak_flops(dtype) for dtype in sorted(dtypes)}
    for real, complex_ in (("float32", "complex64"), ("float64", "complex128")):
        limits[complex_] = limits.get(real, 0)
    status, everything = 0, []
    for count in threads:
        limits["copy"] = timing.copy_bytes(count)
        peaks = [f"{limits[dtype] * count / 1e9:.0f} GFLOP/s in {dtype}" for dtype in sorted(dtypes)]
        peaks.append(f"{limits['copy'] / 1e9:.0f} GB/s in copies")
        print(f"\n{count} thread{'s' if count > 1 else ''}; at most {', '.join(peaks)}")
        print(_line([first for first, _, _ in _COLUMNS]))
        print(_line([second for _, second, _ in _COLUMNS]))
        results = []
        for row in rows:
            try:
                result = measure(row, count, budget)
            except (ValueError, TypeError, NotImplementedError) as error:
                print(f"{row.name:{_WIDTHS[0]}} not run: {error}", flush=True)
                status = 1
                continue
            results.append(result)
            print(table_line(result, limits), flush=True)
            if details:
                for name, seconds in sorted(result.seconds.items(), key=lambda item: item[1]):
                    print(f"    {name:26} {_ms(seconds):>9} ms")
                for name, why in result.left_out.items():
                    print(f"    {name:26} not run: {why}")
            for name, why in result.wrong.items():
                print(
                    f"    WRONG, not timed: {name}: {why}",
                    file=sys.stderr if name not in result.library else sys.stdout,
                )
                status = 1
        print()
        for line in summary(results):
            print(line)
        everything += results
    if csv_path:
        write_csv(csv_path, everything)
    return status


def write_csv(path, results):
    """One line for each contender of each row."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "problem", "threads", "level", "contender", "milliseconds", "chosen", "note"))
        for result in results:
            about = (result.row.name, result.row.line, result.threads, cpu.level)
            for name, seconds in result.seconds.items():
                writer.writerow((*about, name, f"{seconds * 1e3:.6g}", result.chosen, ""))
            for name, why in result.wrong.items():
                writer.writerow((*about, name, "", result.chosen, f"wrong: {why}"))
            for name, why in result.left_out.items():
                writer.writerow((*about, name, "", result.chosen, f"not run: {why}"))

"""python -m bench.calibrate: measures the seconds of every kind of work in cyconv/costs.py, and rewrites its table.

Random problems of every shape are computed by every algorithm that accepts them, weights prepared anew as in a plain call,
on one thread. The seconds of each algorithm are then the non-negative numbers with which its amounts of work
(`amounts` of its module) predict those times best, in relative error. Other problems, not fitted to, say how well times
are predicted and what it costs that the algorithm predicted to be the quickest is not always the quickest.
"""

import argparse
import datetime
import math
import os
import sys
import time

import numpy as np

from .installation import CHECKOUT, import_cyconv

import_cyconv()

from cyconv._calls import execute

import cyconv
from cyconv import costs, cpu, menu, select
from cyconv.problem import MAX_WORKSPACE, conv_problem

from .session import mean, processor

BEGIN = "# ---- written by bench/calibrate.py: do not edit by hand ----\n"
END = "# ---- end of the calibrated block ----\n"
MOST_WORK = 4e9  # multiply-adds of a problem
MOST_NUMBERS = 6e6  # of input, weight and output together
MOST_SECONDS = 0.3  # algorithms predicted (by the old table) to take longer are not timed
PASSES = 2  # over all problems, so that what disturbs the machine for a while disturbs only one of them
SPENT = 0.015  # seconds for the timing of one algorithm on one problem in one pass
ROUNDS = 5  # at most
TURN = 3e-4  # seconds: shorter calls are repeated
DOUBT = 0.3  # times further from the prediction than this (as a logarithm) count for less: something disturbed them


def random_problem(rng):
    """A problem of any kind, each size drawn evenly on a logarithmic scale; None if it is too large or cannot exist."""

    def size(least, most):
        return int(math.exp(rng.uniform(math.log(least), math.log(most + 1))))

    rank = int(rng.choice(3, p=[0.3, 0.5, 0.2])) + 1
    dtype = str(
        rng.choice(
            ["float32", "float64", "float16", "complex64", "int8", "int32", "int64"],
            p=[0.64, 0.12, 0.04, 0.06, 0.04, 0.05, 0.05],
        )
    )
    most = {1: 2048, 2: 64, 3: 16}[rank]
    cube = size(1, most) if rng.random() < 0.5 else int(rng.choice([1, 3, 5, 7], p=[0.2, 0.5, 0.15, 0.15]))
    kernel = [cube] * rank if rng.random() < 0.85 else [size(1, most) for _ in range(rank)]
    style = rng.random()
    small = 0.20 < style < 0.30  # planes of the size that networks have where channels are filtered one by one
    side = size(4, {1: 2048, 2: 64, 3: 24}[rank] if small else {1: 10**6, 2: 1024, 3: 128}[rank])
    shape = [side] * rank if rng.random() < 0.7 else [max(1, int(side * rng.uniform(0.3, 1.5))) for _ in range(rank)]
    stride = int(rng.choice([1, 2, 3, 4], p=[0.75, 0.17, 0.04, 0.04]))
    dilation = int(rng.choice([1, 2, 4, 6, 12, 18], p=[0.82, 0.07, 0.04, 0.03, 0.02, 0.02]))
    batch = 1 if rng.random() < 0.7 else size(2, 64)
    if style < 0.15:  # plain filters
        groups, in_channels, out_channels = 1, 1, 1
    elif style < 0.30:  # a filter per channel
        groups, in_channels, out_channels = size(16, 1024) if small else size(2, 512), 1, 1
    else:
        groups = size(2, 16) if style < 0.38 else 1
        in_channels, out_channels = size(1, 1024 // groups), size(1, 1024 // groups)
    padding = [k // 2 * dilation for k in kernel] if rng.random() < 0.6 else 0

    def stand_in(dims):
        return np.broadcast_to(np.zeros((), dtype), dims)

    try:
        problem = conv_problem(
            rank, stand_in((batch, groups * in_channels, *shape)), stand_in((groups * out_channels, in_channels, *kernel)), None,
            stride, padding, dilation, groups, "zeros", "default", MAX_WORKSPACE,
        )  # fmt: skip
    except ValueError:  # a kernel larger than its input
        return None
    numbers = math.prod(problem.input_shape) + math.prod(problem.weight_shape) + problem.outputs
    return problem if problem.multiply_adds <= MOST_WORK and numbers <= MOST_NUMBERS else None


def random_problems(count, seed):
    """`count` different problems."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < count:
        problem = random_problem(rng)
        if problem is not None and any(v.declined is None for v in select.verdicts(problem)):  # some would need too much memory by any way
            found[problem] = None
    return list(found)


def amounts(name, problem):
    """{kind of work: amount} of algorithm `name`."""
    return next(row for row in menu.CONV if row.name == name).module.amounts(problem)


def times(problem):
    """{algorithm: least measured seconds} of those that accept the problem and are not predicted to take for ever."""
    rng = np.random.default_rng(0)

    def fill(shape):
        return rng.integers(-4, 5, shape).astype(problem.dtype)

    x = fill(problem.input_shape)
    weight = np.ones(problem.weight_shape, problem.dtype)  # an outer product, so that every algorithm computes it
    out = np.empty(problem.output_shape, problem.dtype)

    def seconds_of(row, calls):
        begin = time.thread_time()  # leaves out the time that other processes take
        for _ in range(calls):
            execute(row, problem, x, row.prepare_once(problem, weight), None, out)
        return (time.thread_time() - begin) / calls

    usable = [v for v in select.verdicts(problem) if v.declined is None]
    least = min(v.seconds for v in usable)
    rows = [v.algorithm for v in usable if v.seconds < max(MOST_SECONDS, 2 * least)]
    found = {row.name: max(seconds_of(row, 1), 1e-6) for row in rows}
    calls = {name: max(1, int(TURN / seconds)) for name, seconds in found.items()}
    for turn in range(ROUNDS):
        for row in rows:
            if turn == 0 or found[row.name] * turn * calls[row.name] < SPENT:
                found[row.name] = min(found[row.name], seconds_of(row, calls[row.name]))
    return found


def fit(name, measured):
    """The seconds of each kind of work of algorithm `name`, from {problem: {algorithm: seconds}}."""
    from scipy.optimize import nnls

    pairs = [(amounts(name, problem), found[name]) for problem, found in measured.items() if name in found]
    old = costs.SECONDS[name]
    kinds = [kind for kind in old if any(work.get(kind) for work, _ in pairs)]
    if not kinds:
        return dict(old)
    matrix = np.array([[work.get(kind, 0) for kind in kinds] for work, _ in pairs], float)
    took = np.array([seconds for _, seconds in pairs])
    unit = (matrix / took[:, None]).max(0)  # of the columns, so that all are of a size
    scale = 1 / took
    for _ in range(12):
        # Scaled by the geometric mean of measured and predicted time, twice too long counts like twice too short.
        solution, _ = nnls(matrix / unit * scale[:, None], took * scale)
        estimate = np.maximum(matrix / unit @ solution, took * 1e-3)
        trust = np.minimum(1, DOUBT / np.maximum(abs(np.log(estimate / took)), 1e-9))
        scale = np.sqrt(trust / (took * estimate))
    return old | {kind: float(f"{value:.3g}") for kind, value in zip(kinds, solution / unit)}


def predicted(table, name, problem):
    """Seconds, without the caution that the choice adds."""
    return costs.seconds(name, amounts(name, problem), table) / costs.CAUTION.get(name, 1.0)


def report(table, measured):
    """Lines about a table of seconds: how well it predicts, and what its choices cost."""
    lines = ["algorithm      problems   predicted/measured: 5 %   median   95 %"]
    for row in menu.CONV:
        ratios = [predicted(table, row.name, p) / found[row.name] for p, found in measured.items() if row.name in found]
        if ratios:
            low, middle, high = np.percentile(ratios, [5, 50, 95])
            lines.append(f"{row.name:14} {len(ratios):8}   {low:25.2f} {middle:8.2f} {high:6.2f}")
    for_some = {row.name for row in menu.CONV if row.weights}
    any_weights = {problem: {name: s for name, s in found.items() if name not in for_some} for problem, found in measured.items()}
    any_weights = {problem: found for problem, found in any_weights.items() if found}  # others are not timed where all took too long
    return lines + regret(table, any_weights, "for any weights") + regret(table, measured, "for outer products")


def regret(table, measured, remark):
    """Lines about what the choices by a table of seconds cost."""
    regrets = []
    for problem, found in measured.items():
        chosen = min(found, key=lambda name: costs.seconds(name, amounts(name, problem), table))
        best = min(found, key=found.get)
        regrets.append((found[chosen] / found[best], str(problem), chosen, best))
    ratios = [each[0] for each in regrets]
    lines = [
        f"chosen / best algorithm {remark}: {mean(ratios):.3f} in the geometric mean, {np.percentile(ratios, 95):.2f} at the 95th percentile; the worst:"
    ]
    worst = [each for each in sorted(regrets, reverse=True)[:5] if each[2] != each[3]]
    return lines + [f"    {ratio:5.2f}  {chosen} instead of {best}: {text}" for ratio, text, chosen, best in worst]


def block(table, remarks):
    """The text between the marks."""
    lines = [BEGIN, *(f"# {remark}\n" for remark in remarks), "SECONDS = {\n"]
    for name, each in table.items():
        lines.append(f'    "{name}": {{\n')
        lines += [f'        "{kind}": {value!r},\n' for kind, value in each.items()]
        lines.append("    },\n")
    return "".join([*lines, "}\n", END])


def rewritten(text, table, remarks):
    """The text of costs.py with another table."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("cyconv/costs.py has no marked block to write to")
    return before + block(table, remarks) + after


def measure(problems):
    """{problem: {algorithm: seconds}}."""
    found = {problem: {} for problem in problems}
    for turn in range(PASSES):
        for number, problem in enumerate(problems, 1):
            before = found[problem]
            found[problem] = {name: min(seconds, before.get(name, seconds)) for name, seconds in times(problem).items()}
            if sys.stderr.isatty():
                print(f"\rpass {turn + 1} of {PASSES}: {number} of {len(problems)}", end="", file=sys.stderr)
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m bench.calibrate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--problems", type=int, default=400, metavar="N", help="problems to fit to; a third as many are held out"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print the table, write nothing")
    options = parser.parse_args(arguments)
    if options.problems < 1:
        parser.error("--problems must be positive")
    target = CHECKOUT / "cyconv" / "costs.py"
    source = target.read_text()
    with open(costs.__file__) as file:
        if not options.dry_run and file.read() != source:
            raise SystemExit(
                f"the cyconv in use ({os.path.dirname(cyconv.__file__)}) has another costs.py than {target}: install this checkout first"
            )
    begin = time.perf_counter()
    problems = random_problems(options.problems + max(1, options.problems // 3), options.seed)
    with cyconv.threads(1):
        measured = measure(problems)
    fitted = {problem: measured[problem] for problem in problems[: options.problems]}
    held_out = {problem: measured[problem] for problem in problems[options.problems :]}
    table = {row.name: fit(row.name, fitted) for row in menu.CONV}
    print(
        f"{options.problems} problems in {time.perf_counter() - begin:.0f} s, one thread, level {cpu.level}, {processor()}"
    )
    print("\nold table, held-out problems:", *report(costs.SECONDS, held_out), sep="\n")
    print("\nnew table, problems it was fitted to:", *report(table, fitted), sep="\n")
    print("\nnew table, held-out problems:", *report(table, held_out), sep="\n")
    remarks = [
        f"{processor()}, level {cpu.level}, one thread, {datetime.date.today()}, {options.problems} problems, seed {options.seed}",
        next(line for line in report(table, held_out) if line.startswith("chosen / best")).split(";")[0] + ", held-out problems",
    ]
    new = rewritten(source, table, remarks)
    if options.dry_run:
        print("\n" + block(table, remarks), end="")
    else:
        target.write_text(new)
        print(f"\nwritten to {target}; reinstall cyconv to use it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

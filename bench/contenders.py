"""cyconv's ways to compute a row."""

from dataclasses import dataclass
from math import prod

import cyconv
from cyconv import menu, select
from cyconv.pool_problem import adaptive_pool_problem, avg_pool_problem, max_pool_problem

from .data import keywords, windows

TOO_SLOW = 50  # algorithms predicted to take so many times the quickest one's time are not run
MOST_REFERENCE = 10**6  # samples times window that the reference of pooling gets
PLAIN, PLAN = "cyconv", "cyconv plan"


@dataclass
class Contender:
    """A way to compute a row, and how exact its answer has to be."""

    name: str
    call: object  # of no arguments; returns the result, and the indices where the row asks for them
    bound: float | None = None  # of its error, in multiples of eps times the scale; None: the tolerance of peers
    scale: str = "terms"
    library: str = "cyconv"


def cyconv_contenders(row, x, weight, bias):
    """(contenders, name of the chosen algorithm, {what was left out: why}). The plain call comes first."""
    return _conv(row, x, weight, bias) if row.is_conv else _pool(row, x)


def _conv(row, x, weight, bias):
    function = getattr(cyconv, row.function)
    words = keywords(row) | {"padding_mode": row.options.get("padding_mode", "zeros")}
    problem = row.problem()

    def contender(name, call, algorithm):
        return Contender(name, call, algorithm.bound(problem), algorithm.scale)

    chosen = select.choose(problem, weight=weight)
    plan = cyconv.plan_conv(x.shape, weight, bias, **words)
    out = plan(x)  # as its users would: the last result is written over
    found = [
        contender(PLAIN, lambda: function(x, weight, bias, **words), chosen),
        contender(PLAN, lambda: plan(x, out), chosen),
    ]
    left_out = {}
    verdicts = select.verdicts_on(problem, weight)
    quickest = min(v.seconds for v in verdicts)
    for v in verdicts:
        name = v.algorithm.name
        if v.declined:
            left_out[name] = v.declined
        elif v.seconds > TOO_SLOW * quickest and v.algorithm is not chosen:
            left_out[name] = f"predicted to take {v.seconds / quickest:.0f} times as long as the quickest"
        else:
            found.append(
                contender(name, lambda name=name: function(x, weight, bias, algorithm=name, **words), v.algorithm)
            )
    return found, chosen.name, left_out


def _pool(row, x):
    function = getattr(cyconv, row.function)
    words = keywords(row)
    summed = prod(max(stop - first for first, stop, _ in windows(row, axis)) for axis in range(row.rank))
    bound = (summed + 3) / 2 if row.dtype == "float64" else 1.0  # of menu.POOL

    def contender(name, **more):
        return Contender(name, lambda: function(x, **words, **more), bound)

    found = [contender(PLAIN)]
    if not row.options.get("indices"):
        found.append(contender(PLAN, out=function(x, **words)))
    left_out = {}
    problem = pool_problem(row, x)
    for algorithm in menu.POOL:
        if declined := algorithm.module.why_not(problem):
            left_out[algorithm.name] = declined
        elif algorithm.name == "reference" and x.size * summed > MOST_REFERENCE:
            left_out[algorithm.name] = "it would take too long"
        else:
            found.append(contender(algorithm.name, algorithm=algorithm.name))
    return found, select.choose_pool(problem).name, left_out


def pool_problem(row, x):
    """What the pool's call makes of its arguments."""
    get = row.options.get
    if "output" in row.options:
        kind = "max" if "max" in row.kind else "average"
        return adaptive_pool_problem(row.rank, x, kind, get("output"), get("indices", False))
    windows = get("kernel"), get("stride"), get("padding", 0)
    if row.kind == "max_pool":
        return max_pool_problem(row.rank, x, *windows, get("dilation", 1), get("ceil_mode", False), get("indices", False))
    return avg_pool_problem(row.rank, x, *windows, get("ceil_mode", False), not get("exclude_pad", False), get("divisor"))

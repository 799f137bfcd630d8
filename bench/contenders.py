"""cyconv's ways to compute a row."""

import inspect
from dataclasses import dataclass

import numpy as np

import cyconv
from cyconv import select

from .data import keywords

TOO_SLOW = 50  # algorithms predicted to take so many times the quickest one's time are not run
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

    chosen = select.choose(problem)
    plan = cyconv.plan_conv(x.shape, weight, bias, **words)
    out = np.empty(plan.output_shape, row.dtype)
    found = [
        contender(PLAIN, lambda: function(x, weight, bias, **words), chosen),
        contender(PLAN, lambda: plan(x, out), chosen),
    ]
    left_out = {}
    verdicts = select.verdicts(problem)
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
    function = getattr(cyconv, row.function, None)
    if function is None:
        raise ValueError(f"this cyconv has no {row.function}")
    words = keywords(row)
    found = [Contender(PLAIN, lambda: function(x, **words), bound=1.0)]
    if "out" in inspect.signature(function).parameters and not row.options.get("indices"):
        out = function(x, **words)
        found.append(Contender(PLAN, lambda: function(x, **words, out=out), bound=1.0))
    return found, "pool", {}

"""Which algorithm computes a problem, and why.

The choice is a function of the problem alone: of shapes, dtype and arguments, never of the number of threads or of what
ran before, as long as the process lives (another one may find another table of costs); and of whether weights are prepared ahead. It is
the cheapest row of the menu, by the cost model of costs.py, among those that do not decline. A row may be for some weights only; then they
are looked at, but only where that row would be the cheapest.
"""

from dataclasses import dataclass, replace
from math import isfinite, prod

from . import costs, menu
from .arguments import COMPLEX, FLOATS, INTEGERS, as_array, check_cpu_dtype, flag, one_of
from .devices import device_of, where
from .gpu import costs as gpu_costs
from .problem import ConvProblem, conv_problem, gpu_problem, spatial_rank

ALGORITHMS = tuple(dict.fromkeys([row.name for rows in menu.CONV_ON.values() for row in rows]))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of `explain`: what the menu's algorithm says to a problem."""

    algorithm: menu.Algorithm
    declined: str | None  # why it is not used; None if it could be
    seconds: float  # predicted; of a CPU's on one thread
    workspace: int  # bytes, likewise
    bound: float  # multiples of eps


def verdicts(problem, device="cpu"):
    """What every algorithm of a device says to the problem, in the order of the menu."""
    said = _at_first(problem, device)
    return said if device == "cpu" else tuple([_asked(v, problem) for v in said])


def verdict(problem, row):
    """What one row of the menu says."""
    return _asked(next(v for v in _at_first(problem, row.device) if v.algorithm is row), problem)


def _at_first(problem, device):
    """Verdicts before libraries are asked."""
    found = problem.kept.get(("verdicts", device))
    if found is None:
        if device == "cpu":
            check_cpu_dtype("input", problem.dtype)
        found = problem.kept["verdicts", device] = tuple(_verdict(row, problem) for row in menu.CONV_ON[device])
    return found


def verdicts_on(problem, weight, device="cpu"):
    """The same, and what they say to these weights."""
    return tuple(
        replace(v, declined=v.algorithm.weights, seconds=float("inf"), workspace=0)
        if v.algorithm.weights and v.declined is None and not v.algorithm.module.suits(problem, weight)
        else v
        for v in verdicts(problem, device)
    )


def _asked(verdict, problem):
    """A verdict after a library was asked, if there is one; that remembers what it answers on each GPU."""
    if not verdict.algorithm.asks or verdict.declined:
        return verdict
    declined, workspace = verdict.algorithm.module.answer(problem)
    return replace(verdict, declined=declined, seconds=float("inf") if declined else verdict.seconds, workspace=workspace)


def _verdict(row, problem):
    declined = row.module.at_first(problem) if row.asks else row.module.why_not(problem)
    if declined is None and problem.strict and _less_exact(row, problem):
        declined = f"precision='strict': its error bound is above the direct sum's ({row.formula})"
    seconds, workspace = row.module.cost(problem) if declined is None else (float("inf"), 0)
    if declined is None and workspace > problem.max_workspace:
        declined = f"needs {workspace} bytes of workspace"
    return Verdict(row, declined, seconds, workspace, row.bound(problem))


def _less_exact(row, problem):
    return row.scale != "terms" or row.bound(problem) > menu.CONV[0].bound(problem)


def choose(problem, algorithm="auto", weight=None, finite=True, planned=False, device="cpu"):
    """The row of the menu to use; without a weight, one that computes any. With finite=False, one that keeps a NaN where it belongs; beyond
    max_workspace, if none makes do with that.
    Planned: for a Plan, which prepares weights once; what that takes does not count."""
    row = _remembered(problem, algorithm, finite, weight is None, planned, device)
    if row.weights and weight is not None and not row.module.suits(problem, weight):
        if algorithm != "auto":
            raise ValueError(f"algorithm={algorithm!r} cannot compute this problem ({problem}): {row.weights}")
        return _remembered(problem, algorithm, finite, True, planned, device)
    return row


def _remembered(problem, algorithm, finite, any_weight, planned, device):
    algorithm = one_of("algorithm", algorithm, ("auto", *ALGORITHMS))
    key = (algorithm, finite, any_weight, True) if planned else (algorithm, finite, any_weight)
    key = key if device == "cpu" else (device, *key)
    row = problem.kept.get(key)
    if row is None:
        row = problem.kept[key] = _choose(problem, algorithm, finite, any_weight, planned, device, _at_first(problem, device))
    if device == "cpu" or not row.asks or row.module.answer(problem)[0] is None:
        return row
    key = (*key, "asked")
    row = problem.kept.get(key)
    if row is None:
        row = problem.kept[key] = _choose(problem, algorithm, finite, any_weight, planned, device, verdicts(problem, device))
    return row


def _choose(problem, algorithm, finite, any_weight, planned, device, said):
    if algorithm != "auto":
        verdict = next((v for v in said if v.algorithm.name == algorithm), None)
        if verdict is None:
            raise ValueError(f"algorithm={algorithm!r} does not run on the {device.upper()}; there are {', '.join(v.algorithm.name for v in said)}")
        if verdict.declined:
            raise ValueError(f"algorithm={algorithm!r} cannot compute this problem ({problem}): {verdict.declined}")
        return verdict.algorithm
    able = [v for v in said if finite or v.algorithm.takes_only_if and not v.algorithm.spreads_nonfinite]
    able = [v for v in able if not (any_weight and v.algorithm.weights)]
    usable = [v for v in able if v.declined is None]
    if not usable and not finite:  # without the NaN there was a result: there is one now, too, with as little memory as can be
        usable = sorted((v for v in able if v.workspace > problem.max_workspace), key=lambda v: v.workspace)[:1]
    if not usable:
        reasons = "; ".join(f"{v.algorithm.name} {v.declined or 'would spread a NaN'}" for v in said)
        raise ValueError(f"max_workspace={problem.max_workspace} is too small for every algorithm ({problem}): {reasons}")
    if planned:
        model = costs if device == "cpu" else gpu_costs
        return min((v.algorithm for v in usable), key=lambda row: model.planned_seconds(row, problem))
    return min(usable, key=lambda v: v.seconds).algorithm


# ---- explain -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an algorithm was chosen: print it, or look at `chosen`, `verdicts` and `times`."""

    problem: ConvProblem
    chosen: str
    verdicts: tuple[Verdict, ...]
    times: str  # where the predicted times come from
    whole: ConvProblem | None = None  # of dask arrays, which are computed by blocks of that problem

    def __str__(self):
        p = self.problem
        set_here = ", TF32 allowed" * p.allow_tf32 + ", strict" * p.strict
        lines = [] if self.whole is None else [f"{self.whole}, in blocks:"]
        lines += [f"{p}{set_here}", f"{p.multiply_adds:.3g} multiply-adds, result {p.output_shape}", ""]
        rows = [("algorithm", "device", "predicted", "workspace", "error bound", "")]
        for v in self.verdicts:
            if v.declined:
                rows.append((v.algorithm.name, v.algorithm.device, "-", "-", "-", f"no: {v.declined}"))
            else:
                note = "chosen: the least predicted time" if v.algorithm.name == self.chosen else ""
                bound = f"{v.bound:.3g} eps ({v.algorithm.scale})" if self.problem.dtype not in INTEGERS else "exact"
                rows.append((v.algorithm.name, v.algorithm.device, seconds_text(v.seconds), bytes_text(v.workspace), bound, note))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[5]]).rstrip() for row in rows]
        return "\n".join([*lines, "", f"times: {self.times}"])


def seconds_text(seconds):
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= factor:
            break
    return f"{_three_digits(seconds / factor)} {unit}"


def bytes_text(count):
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{_three_digits(count / size)} {unit}"
    return f"{count} B"


def _three_digits(value):
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def explain(
    input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32
):
    allow_tf32 = flag("allow_tf32", allow_tf32)
    device = device_of(input=input, weight=weight, bias=bias)
    if device == "chunks":
        from .chunked.convolution import explain

        return explain(input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32)
    input, weight = as_array("input", input, gpu=True), as_array("weight", weight, gpu=True)
    problem = conv_problem(
        spatial_rank(weight), input, weight, bias if bias is None else as_array("bias", bias, gpu=True), stride, padding, dilation, groups,
        padding_mode, precision, max_workspace,
    )  # fmt: skip
    with where(weight):
        return explained(problem, algorithm, weight, device, allow_tf32)


def explained(problem, algorithm, weight, device, allow_tf32):
    """The Explanation of a problem; its `weight` may be None where it does not matter which it is."""
    if device == "gpu":
        problem = gpu_problem(problem, problem.dtype, allow_tf32)
    chosen = choose(problem, algorithm, weight, device=device).name
    times = costs.in_force()[1] if device == "cpu" else f"constants of the GPU ({gpu_costs.SOURCE})"
    return Explanation(problem, chosen, verdicts(problem, device) if weight is None else verdicts_on(problem, weight, device), times)


# ---- pooling -------------------------------------------------------------------------------------------------------------


PIXELS = ("auto", "pixels")  # a key that no name of an algorithm is


def choose_pool(problem, algorithm="auto", pixels=False, device="cpu"):
    """The row of the menu that pools; of `pixels`, whose channels are neighbours in memory, it may be another one with the same results."""
    if type(algorithm) is not str or algorithm != "auto":
        algorithm = one_of("algorithm", algorithm, ("auto", *(row.name for row in menu.POOL)))
    key = PIXELS if pixels and algorithm == "auto" else algorithm
    key = key if device == "cpu" else (device, algorithm)
    found = problem.kept.get(key)
    if found is None:
        found = problem.kept[key] = _choose_pool(problem, algorithm, pixels, device)
    return found


def _rounds_sums(problem):
    """Whether the order of sums, which is the algorithm's own, is to be seen in results: the layout must not decide on it."""
    return problem.kind == "lp" and isfinite(problem.norm_type) or problem.kind == "average" and problem.dtype in FLOATS + COMPLEX


def _choose_pool(problem, algorithm, pixels, device):
    if device == "cpu":
        check_cpu_dtype("input", problem.dtype)
    rows = menu.POOL_ON[device]
    if algorithm != "auto":
        row = next((row for row in rows if row.name == algorithm), None)
        if row is None:
            raise ValueError(f"algorithm={algorithm!r} does not run on the {device.upper()}; there are {', '.join(row.name for row in rows)}")
        if declined := row.module.why_not(problem):
            raise ValueError(f"algorithm={algorithm!r} cannot compute this problem ({problem}): {declined}")
        return row
    usable = [row for row in rows if row.module.why_not(problem) is None]
    if not usable:
        raise ValueError(f"no algorithm computes this problem ({problem}): {'; '.join(f'{row.name} {row.module.why_not(problem)}' for row in rows)}")
    few_or_long = problem.channels < 16 or prod(problem.kernel) > 25
    if pixels and few_or_long and problem.kernel != problem.size and usable[0].name == "sliding" and not _rounds_sums(problem):
        return usable[0]  # the costs are those of rows; of such pixels, `pool` takes up to 40 times as long
    return min(usable, key=lambda row: row.module.cost(problem)[0])

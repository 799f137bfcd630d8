"""Which algorithm computes a problem, and why; and the calls that do it.

The choice is a function of the problem alone: of shapes, dtype and arguments, never of the number of threads or of what
ran before. It is the cheapest row of the menu, by the cost model of costs.py, among those that do not decline. A row may be
for some weights only; then they are looked at, but only where that row would be the cheapest.
"""

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from . import cpu, menu
from .arguments import as_array, check_bytes, check_out, integer, one_of
from .memory import empty, may_overlap
from .problem import CACHED, CONV_DTYPES, ConvProblem, conv_problem

ALGORITHMS = tuple(row.name for row in menu.CONV)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of `explain`: what the menu's algorithm says to a problem."""

    algorithm: menu.Algorithm
    declined: str | None  # why it is not used; None if it could be
    seconds: float  # predicted, on one thread
    workspace: int  # bytes, on one thread
    bound: float  # multiples of eps


def verdicts(problem):
    """What every algorithm says to the problem, in the order of the menu."""
    found = problem.kept.get("verdicts")
    if found is None:
        found = problem.kept["verdicts"] = tuple(_verdict(row, problem) for row in menu.CONV)
    return found


def verdicts_on(problem, weight):
    """The same, and what they say to these weights."""
    return tuple(
        replace(v, declined=v.algorithm.weights, seconds=float("inf"), workspace=0)
        if v.algorithm.weights and v.declined is None and not v.algorithm.module.suits(problem, weight)
        else v
        for v in verdicts(problem)
    )


def _verdict(row, problem):
    declined = row.module.why_not(problem)
    if declined is None and problem.strict and _less_exact(row, problem):
        declined = f"precision='strict': its error bound is above the direct sum's ({row.formula})"
    seconds, workspace = row.module.cost(problem) if declined is None else (float("inf"), 0)
    if declined is None and workspace > problem.max_workspace:
        declined = f"needs {workspace} bytes of workspace"
    return Verdict(row, declined, seconds, workspace, row.bound(problem))


def _less_exact(row, problem):
    return row.scale != "terms" or row.bound(problem) > menu.CONV[0].bound(problem)


def choose(problem, algorithm="auto", weight=None, finite=True):
    """The row of the menu to use; without a weight, one that computes any. With finite=False, one that keeps a NaN where it belongs."""
    row = _remembered(problem, algorithm, finite, weight is None)
    if row.weights and weight is not None and not row.module.suits(problem, weight):
        if algorithm != "auto":
            raise ValueError(f"algorithm={algorithm!r} cannot compute this problem ({problem}): {row.weights}")
        return _remembered(problem, algorithm, finite, True)
    return row


def _remembered(problem, algorithm, finite, any_weight):
    row = problem.kept.get((algorithm, finite, any_weight)) if type(algorithm) is str else None
    if row is None:
        algorithm = one_of("algorithm", algorithm, ("auto", *ALGORITHMS))
        row = problem.kept[algorithm, finite, any_weight] = _choose(problem, algorithm, finite, any_weight)
    return row


def _choose(problem, algorithm, finite, any_weight):
    if algorithm != "auto":
        verdict = next(v for v in verdicts(problem) if v.algorithm.name == algorithm)
        if verdict.declined:
            raise ValueError(f"algorithm={algorithm!r} cannot compute this problem ({problem}): {verdict.declined}")
        return verdict.algorithm
    usable = [v for v in verdicts(problem) if v.declined is None and (finite or not v.algorithm.spreads_nonfinite)]
    usable = [v for v in usable if not (any_weight and v.algorithm.weights)]
    if not usable:
        reasons = "; ".join(f"{v.algorithm.name} {v.declined or 'would spread a NaN'}" for v in verdicts(problem))
        raise ValueError(f"max_workspace={problem.max_workspace} is too small for every algorithm ({problem}): {reasons}")
    return min(usable, key=lambda v: v.seconds).algorithm


def convolve(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, out
):
    """One convolution call, from any arguments to the result."""
    input, weight = as_array("input", input), as_array("weight", weight)
    bias = None if bias is None else as_array("bias", bias)
    problem = conv_problem(
        rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    row = choose(problem, algorithm, weight)
    if row.spreads_nonfinite and isinstance(out, np.ndarray) and _overlaps(out, weight, None, None):
        weight = weight.copy()  # `another` may need it after `out` is written
    return execute(row, problem, input, row.prepare_once(problem, weight), bias, out, another(row, problem, algorithm, weight))


def another(row, problem, algorithm, weight):
    """What `execute` calls if the chosen row may have carried a NaN or infinity too far: another row and its weights."""
    if not row.spreads_nonfinite or algorithm != "auto":
        return None

    def prepared():
        careful = choose(problem, "auto", weight, finite=False)
        return careful, careful.prepare_once(problem, weight)

    return prepared


def execute(row, problem, input, prepared, bias, out, another=None, private=False):
    """Runs a chosen algorithm into `out`, or into a new array; private: nobody else has `prepared` and `bias`.

    A row that carries a NaN or infinity to outputs whose window it is not in leaves at least one output that is not finite,
    and says so. Then `another` row computes everything again: finite arguments cost no look at them.
    """
    if out is None:
        result = empty(problem.output_shape, problem.dtype)
    else:
        check_out(out, problem.output_shape, problem.dtype)
        direct = out.flags.carray and not (out.size and input.size and may_overlap(out, input) if private else _overlaps(out, input, prepared, bias))
        result = out if direct else empty(problem.output_shape, problem.dtype)
    if problem.multiply_adds:
        finite = row.run(problem, input, prepared, bias, result)
        if another is not None and not finite:
            row, prepared = another()
            row.run(problem, input, prepared, bias, result)
    elif problem.outputs:
        result[...] = 0 if bias is None else bias.reshape(-1, *(1,) * problem.rank)
    if out is not None and result is not out:
        out[...] = result
        return out
    return result


def _overlaps(out, input, prepared, bias):
    if not out.size:
        return False
    return any([type(a) is np.ndarray and a.size and may_overlap(out, a) for a in (input, prepared, bias)])


# ---- explain -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an algorithm was chosen: print it, or look at `chosen` and `verdicts`."""

    problem: ConvProblem
    chosen: str
    verdicts: tuple

    def __str__(self):
        lines = [str(self.problem), f"{self.problem.multiply_adds:.3g} multiply-adds, result {self.problem.output_shape}", ""]
        rows = [("algorithm", "device", "predicted", "workspace", "error bound", "")]
        for v in self.verdicts:
            if v.declined:
                rows.append((v.algorithm.name, v.algorithm.device, "-", "-", "-", f"no: {v.declined}"))
            else:
                note = "chosen: the least predicted time" if v.algorithm.name == self.chosen else ""
                bound = f"{v.bound:.3g} eps ({v.algorithm.scale})" if np.dtype(self.problem.dtype).kind in "fc" else "exact"
                rows.append((v.algorithm.name, v.algorithm.device, seconds_text(v.seconds), bytes_text(v.workspace), bound, note))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        lines += ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths)), row[5]]).rstrip() for row in rows]
        return "\n".join(lines)


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
    input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace
):
    input, weight = as_array("input", input), as_array("weight", weight)
    problem = conv_problem(
        _rank(weight), input, weight, bias if bias is None else as_array("bias", bias), stride, padding, dilation, groups,
        padding_mode, precision, max_workspace,
    )  # fmt: skip
    return Explanation(problem, choose(problem, algorithm, weight).name, verdicts_on(problem, weight))


def _rank(weight):
    """Spatial axes, told by the weight."""
    if not 3 <= weight.ndim <= 5:
        raise ValueError(f"weight must have 3, 4 or 5 axes (1 to 3 spatial ones), got shape {weight.shape}")
    return weight.ndim - 2


# ---- plans ---------------------------------------------------------------------------------------------------------------


def plan(
    input_shape, weight, bias, dtype, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace
):
    weight = as_array("weight", weight)
    if dtype is not None:
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype must be one of {', '.join(CONV_DTYPES)}, got {dtype!r}") from None
        weight = as_array("weight", weight.astype(dtype, copy=False))
    bias = None if bias is None else as_array("bias", bias)
    if dtype is not None and bias is not None:
        bias = as_array("bias", bias.astype(dtype, copy=False))
    if not isinstance(input_shape, (tuple, list)):
        raise TypeError(f"input_shape must be a tuple of ints, got {input_shape!r}")
    shape = tuple(integer("input_shape", length, 0, "a tuple of ints") for length in input_shape)
    check_bytes(shape, weight.itemsize, "input_shape is too large: the input")
    if len(shape) - _rank(weight) not in (1, 2):
        raise ValueError(f"input_shape must be (N, C, ...) or (C, ...) with {_rank(weight)} spatial axes, got {shape}")
    stand_in = np.broadcast_to(np.zeros((), weight.dtype), shape)  # only its shape and dtype are looked at
    problem = conv_problem(
        _rank(weight), stand_in, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
    )
    return Plan(problem, weight, bias, algorithm)


class Plan:
    """A convolution whose algorithm is chosen and whose weights are prepared: call it on arrays.

    Made by `plan_conv`. Safe to call from several threads at once.

    Attributes
    ----------
    problem : ConvProblem
    algorithm : str
    output_shape : tuple of int
    workspace_bytes : int
        What one thread needs while the plan runs.
    """

    def __init__(self, problem, weight, bias, algorithm):
        self.problem = problem
        self._row = choose(problem, algorithm, weight)
        self.algorithm = self._row.name
        self.output_shape = problem.output_shape
        self._dtype = np.dtype(problem.dtype)
        self._bias = None if bias is None else bias.copy()
        if self._row.spreads_nonfinite and algorithm == "auto":
            weight = weight.copy()
            if not np.isfinite(weight).all():
                self._row = choose(problem, "auto", weight, finite=False)
                self.algorithm = self._row.name
        redo = another(self._row, problem, algorithm, weight)
        self._another = None if redo is None else cache(redo)
        self.workspace_bytes = next(v.workspace for v in verdicts(problem) if v.algorithm is self._row)
        prepared = self._row.prepare(problem, weight)
        self._prepared = prepared.copy() if _overlaps(weight, prepared, None, None) else prepared

    def __call__(self, input, out=None):
        """The convolution of `input`, whose shape and dtype are the plan's; written to `out` if given."""
        input, problem = as_array("input", input), self.problem
        if input.shape != problem.input_shape:
            raise ValueError(f"input must have the plan's shape {problem.input_shape}, got {input.shape}")
        if input.dtype is not self._dtype and input.dtype != self._dtype:
            raise TypeError(f"input must have the plan's dtype {problem.dtype}, got {input.dtype}")
        return execute(self._row, problem, input, self._prepared, self._bias, out, self._another, private=True)

    def __repr__(self):
        return f"<cyconv.Plan {self.algorithm}: {self.problem}>"


# ---- pooling -------------------------------------------------------------------------------------------------------------


def choose_pool(problem, algorithm="auto"):
    """The row of the menu that pools."""
    if type(algorithm) is not str or algorithm != "auto":
        algorithm = one_of("algorithm", algorithm, ("auto", *(row.name for row in menu.POOL)))
    return _choose_pool(problem, algorithm)


@lru_cache(CACHED)
def _choose_pool(problem, algorithm):
    if algorithm != "auto":
        return next(row for row in menu.POOL if row.name == algorithm)
    usable = [row for row in menu.POOL if row.module.why_not(problem) is None]
    return min(usable, key=lambda row: row.module.cost(problem)[0])


def pool(problem, input, algorithm, out):
    """One pooling of an array that `problem` describes: the values, with the winners' places if they are asked for."""
    row = choose_pool(problem, algorithm)
    if out is not None:
        check_out(out, problem.output_shape, problem.dtype)
    direct_to_out = out is not None and out.flags.carray and not _overlaps(out, input, None, None)
    result = out if direct_to_out else empty(problem.output_shape, problem.dtype)
    indices = empty(problem.output_shape, np.int64) if problem.with_indices else None
    if result.size:
        row.module.run(problem, input, result, indices)
    if out is not None and not direct_to_out:
        out[...] = result
    result = result if out is None else out
    return (result, indices) if problem.with_indices else result


def unpool(problem, input, indices, out):
    """Max unpooling: zeros, with the values where the indices say. Of several at one place, the last one stays."""
    if out is not None:
        check_out(out, problem.output_shape, problem.dtype)
    indices = _as_int64(indices)
    result = np.zeros(problem.output_shape, problem.dtype)
    if input.size:
        values = np.ascontiguousarray(input)
        impossible = cpu.load("pool").unpool(problem.planes, problem.plane, values, np.ascontiguousarray(indices), result)
        if impossible is not None:
            raise ValueError(
                f"indices must be at least 0 and below {problem.plane}, the size of one plane of the result; got {impossible}"
            )
    if out is None:
        return result
    out[...] = result
    return out


def _as_int64(indices):
    """Indices of any integer dtype; those of uint64 that int64 cannot hold become negative, so that they are refused."""
    return indices.astype(np.int64, copy=False)

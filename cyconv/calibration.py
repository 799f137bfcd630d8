"""Measures the seconds of every kind of work in costs.py: for `python -m cyconv tune` and for bench/calibrate.py.

Random problems of every shape are computed by every algorithm that accepts them, weights prepared anew as in a plain call,
on one thread. bench/calibrate_gpu.py draws larger ones for the GPU, and pools, and fits them by what is here. The seconds of each
algorithm are then the non-negative numbers with which its amounts of work (`amounts` of its module) predict those times best, in relative
error. Other problems, not fitted to, say how well times are predicted and what it costs that the algorithm predicted to be the quickest is
not always the quickest.
"""

import math
import sys
import time

import numpy as np

from . import costs, menu, select
from ._calls import execute
from .gradient_problem import weight_gradient
from .pool_problem import PoolProblem
from .problem import MAX_WORKSPACE, conv_problem, gpu_problem

MOST_WORK = 4e9  # multiply-adds of a problem
MOST_NUMBERS = 6e6  # of input, weight and output together
DTYPES = {"float32": 0.64, "float64": 0.12, "float16": 0.04, "complex64": 0.06, "int8": 0.04, "int32": 0.05, "int64": 0.05}  # their shares
ALONE, MOST_ITEMS = 0.7, 64  # the share of problems of one item, and the most items of others
MOST_SECONDS = 0.3  # algorithms predicted (by the table in force) to take longer are not timed
GRADIENTS = 0.15  # of all problems: gradients with respect to weights, whose kernels are as large as other convolutions' results
PASSES = 2  # over all problems, so that what disturbs the machine for a while disturbs only one of them
SPENT = 0.015  # seconds for the timing of one algorithm on one problem in one pass
ROUNDS = 5  # at most
TURN = 3e-4  # seconds: shorter calls are repeated
DOUBT = 0.3  # times further from the prediction than this (as a logarithm) count for less: something disturbed them


def random_problem(rng, most_work=None, most_numbers=None, dtypes=DTYPES, alone=ALONE, most_items=MOST_ITEMS):
    """A problem of any kind, each size drawn evenly on a logarithmic scale; None if it is too large or cannot exist.

    Without limits of its own, those of the CPU. Of `dtypes`, {dtype: share}, "tf32" is float32 that may be rounded to it.
    """

    def size(least, most):
        return int(math.exp(rng.uniform(math.log(least), math.log(most + 1))))

    rank = int(rng.choice(3, p=[0.3, 0.5, 0.2])) + 1
    drawn = str(rng.choice(list(dtypes), p=list(dtypes.values())))
    dtype = {"tf32": "float32", "bfloat16": "float16"}.get(drawn, drawn)  # NumPy has no such dtypes
    most = {1: 2048, 2: 64, 3: 16}[rank]
    cube = size(1, most) if rng.random() < 0.5 else int(rng.choice([1, 3, 5, 7], p=[0.2, 0.5, 0.15, 0.15]))
    kernel = [cube] * rank if rng.random() < 0.85 else [size(1, most) for _ in range(rank)]
    style = rng.random()
    small = 0.20 < style < 0.30  # planes of the size that networks have where channels are filtered one by one
    side = size(4, {1: 2048, 2: 64, 3: 24}[rank] if small else {1: 10**6, 2: 1024, 3: 128}[rank])
    shape = [side] * rank if rng.random() < 0.7 else [max(1, int(side * rng.uniform(0.3, 1.5))) for _ in range(rank)]
    stride = int(rng.choice([1, 2, 3, 4], p=[0.75, 0.17, 0.04, 0.04]))
    dilation = int(rng.choice([1, 2, 4, 6, 12, 18], p=[0.82, 0.07, 0.04, 0.03, 0.02, 0.02]))
    batch = 1 if rng.random() < alone else size(2, most_items)
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
    if problem.multiply_adds > (most_work or MOST_WORK) or numbers > (most_numbers or MOST_NUMBERS):
        return None
    problem = weight_gradient(problem).problem if rng.random() < GRADIENTS else problem
    return problem if drawn == dtype else gpu_problem(problem, drawn if drawn != "tf32" else dtype, drawn == "tf32")


def random_problems(count, seed):
    """`count` different problems."""
    rng = np.random.default_rng(seed)
    found = {}
    while len(found) < count:
        problem = random_problem(rng)
        if problem is not None and any(v.declined is None for v in select.verdicts(problem)):  # some would need too much memory by any way
            found[problem] = None
    return list(found)


def amounts(name, problem, device="cpu"):
    """{kind of work: amount} of algorithm `name`."""
    rows = menu.POOL_ON if isinstance(problem, PoolProblem) else menu.CONV_ON
    return next(row for row in rows[device] if row.name == name).module.amounts(problem)


def times(problem, most=MOST_SECONDS, spent=SPENT, farthest=math.inf):
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
    rows = [v.algorithm for v in usable if v.seconds < min(max(most, 2 * least), farthest * least)]
    found = {row.name: max(seconds_of(row, 1), 1e-6) for row in rows}
    calls = {name: max(1, int(TURN / seconds)) for name, seconds in found.items()}
    for turn in range(ROUNDS):
        for row in rows:
            if turn == 0 or found[row.name] * turn * calls[row.name] < spent:
                found[row.name] = min(found[row.name], seconds_of(row, calls[row.name]))
    return found


def fit(name, measured, old, pull=0.0, device="cpu"):
    """The seconds of each kind of work of algorithm `name`, from {problem: {algorithm: seconds}}.

    What was not seen stays as in `old`, {kind: seconds}. What was hardly seen stays near it, if there is a pull: then each
    kind's old seconds count as so many measured problems.
    """
    from scipy.optimize import nnls

    pairs = [(amounts(name, problem, device), found[name], 1.0) for problem, found in measured.items() if name in found]
    kinds = [kind for kind in old if any(work.get(kind) for work, *_ in pairs) and (old[kind] or not pull)]
    if not kinds:
        return dict(old)
    pairs += [({kind: 1}, old[kind], pull) for kind in kinds if pull]
    matrix = np.array([[work.get(kind, 0) for kind in kinds] for work, *_ in pairs], float)
    took, weight = np.array([pair[1:] for pair in pairs]).T
    unit = (matrix / took[:, None]).max(0)  # of the columns, so that all are of a size
    scale = np.sqrt(weight) / took
    for _ in range(12):
        # Scaled by the geometric mean of measured and predicted time, twice too long counts like twice too short.
        solution, _ = nnls(matrix / unit * scale[:, None], took * scale)
        estimate = np.maximum(matrix / unit @ solution, took * 1e-3)
        trust = np.minimum(1, DOUBT / np.maximum(abs(np.log(estimate / took)), 1e-9))
        scale = np.sqrt(weight * trust / (took * estimate))
    return old | {kind: float(f"{value:.3g}") for kind, value in zip(kinds, solution / unit)}


def predicted(table, name, problem):
    """Seconds, without the caution that the choice adds."""
    return costs.seconds(name, amounts(name, problem), table) / costs.CAUTION.get(name, 1.0)


def measure(problems, seconds=math.inf, **limits):
    """{problem: {algorithm: seconds}} of all problems, or of the first ones, as many as so many seconds are enough for."""
    found, begin = {}, time.perf_counter()
    try:
        for turn in range(PASSES):
            for number, problem in enumerate(list(found) if turn else problems):
                gone = (time.perf_counter() - begin) / seconds
                if found and gone > (turn + 1) / PASSES:
                    break
                progress(min(max(gone, (turn + number / len(problems)) / PASSES), 1))
                before = found.get(problem, {})
                found[problem] = {name: min(took, before.get(name, took)) for name, took in times(problem, **limits).items()}
        progress(1)
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # what comes next, an error as well, has a line of its own
    return found


def progress(done):
    """A bar on the terminal that stderr is, if it is one; `done` of 1."""
    if sys.stderr.isatty():
        print(f"\r[{'#' * int(40 * done):40}] {100 * done:3.0f} %", end="", file=sys.stderr, flush=True)


# ---- how good a table is -------------------------------------------------------------------------------------------------


def for_any_weights(measured):
    """The same times without algorithms that compute some weights only."""
    for_some = {row.name for row in menu.CONV if row.weights}
    found = {problem: {name: s for name, s in found.items() if name not in for_some} for problem, found in measured.items()}
    return {problem: found for problem, found in found.items() if found}  # others are not timed where all took too long


def regrets(table, measured):
    """[(time of the algorithm that a table chooses / of the best one, problem, chosen, best)]."""
    result = []
    for problem, found in measured.items():
        chosen = min(found, key=lambda name: costs.seconds(name, amounts(name, problem), table))
        best = min(found, key=found.get)
        result.append((found[chosen] / found[best], str(problem), chosen, best))
    return result

"""python -m bench.calibrate_gpu: measures the seconds of every kind of work in cyconv/gpu/costs.py on the GPU, and rewrites its table.

Random convolutions and pools, as large as a GPU has to do with and as small as any, are computed by every row of the menu that accepts them, as
`auto` has them computed: what may spread a NaN or infinity looks for them, and the row that would compute again is launched. The device's clock
times them; cyconv/calibration.py finds the seconds, as for the CPU. Problems that nothing was fitted to say how well the table chooses.

Kernels are compiled ahead, by several threads, on no more than a part of the time; CuPy keeps what it has compiled. When the time is over, what was
measured by then is fitted. What fails, for lack of memory or whatever, is told and left out; kinds of work that no problem had, of cuDNN where it is
not installed, keep their seconds, and the table says so.
"""

import argparse
import datetime
import json
import math
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from .installation import CHECKOUT, import_cyconv

import_cyconv()

from cyconv import menu, select
from cyconv.arguments import GPU_ONLY, Described
from cyconv.calibration import GRADIENTS, amounts, fit, random_problem
from cyconv.gpu import costs
from cyconv.gpu.calls import careful, compute_by
from cyconv.gpu.layout import views
from cyconv.gradient_problem import weight_gradient
from cyconv.pool_problem import PoolProblem, adaptive_pool_problem, avg_pool_problem, lp_pool_problem, max_pool_problem
from cyconv.problem import MAX_WORKSPACE, conv_problem, gpu_problem

from .gpu import free
from .gpu_timing import Lost, nothing_launched, raise_if_lost, said, timed
from .session import mean

BEGIN = "# ---- written by bench/calibrate_gpu.py: do not edit by hand ----\n"
END = "# ---- end of the calibrated block ----\n"
LEAST_WORK, MOST_WORK = 1e4, 2e11  # multiply-adds of a convolution; of a pool, samples of all windows
LEAST_NUMBERS, MOST_NUMBERS = 1e4, 3e8  # of a problem's arrays together
DTYPES = {
    "float32": 0.24, "tf32": 0.20, "float16": 0.20, "bfloat16": 0.16, "float64": 0.06, "complex64": 0.05, "complex128": 0.03, "int8": 0.03, "int32": 0.02,
    "int64": 0.01,
}  # fmt: skip
POOL_DTYPES = {"float32": 0.45, "float16": 0.25, "bfloat16": 0.15, "float64": 0.08, "int32": 0.04, "uint8": 0.03}
LAYER_DTYPES = ("float32", "tf32", "float16", "bfloat16")
ALONE, MOST_ITEMS = 0.3, 256  # as in calibration.py
LAYERS = 0.35  # of all convolutions, such as networks of images have
POOLS = 1 / 3  # as many as convolutions
NEAR = 3.0  # a problem is taken if it is so many times larger or smaller than the size drawn for it,
TRIES = 2000  # or another size is drawn
MOST_SECONDS = 0.03  # rows predicted to take longer, and over twice as long as the best, are not timed
CALLS = 3e-3  # seconds of calls that are timed together
AHEAD = 0.3  # of all the time, at most, to compile ahead
PULL = 0.3  # problems that a kind's old seconds count for, so that what hardly any problem has does not become 0


# ---- problems ----------------------------------------------------------------------------------------------------------------


def random_convolution(rng):
    """A convolution, or None if it is too large or cannot exist."""
    if rng.random() < LAYERS:
        return random_layer(rng)
    return random_problem(rng, MOST_WORK, MOST_NUMBERS, DTYPES, ALONE, MOST_ITEMS)


def random_layer(rng):
    """A convolution of images and many channels, or None if it is too large."""
    dtype, side, k = str(rng.choice(LAYER_DTYPES)), size(rng, 7, 224), int(rng.choice([1, 3, 5], p=[0.3, 0.6, 0.1]))
    channels, outs, stride = size(rng, 16, 1024), size(rng, 16, 1024), int(rng.choice([1, 2], p=[0.8, 0.2]))
    arrays = [Described(shape, np.dtype("float32")) for shape in ((size(rng, 1, MOST_ITEMS), channels, side, side), (outs, channels, k, k))]
    problem = conv_problem(2, *arrays, None, stride, k // 2, 1, 1, "zeros", "default", MAX_WORKSPACE)
    if problem.multiply_adds > MOST_WORK or math.prod(problem.input_shape) + math.prod(problem.weight_shape) + problem.outputs > MOST_NUMBERS:
        return None
    problem = weight_gradient(problem).problem if rng.random() < GRADIENTS else problem
    return gpu_problem(problem, "float32" if dtype == "tf32" else dtype, dtype == "tf32")


def size(rng, least, most):
    return int(math.exp(rng.uniform(math.log(least), math.log(most + 1))))


def random_pool(rng):
    """A pool, or None: maxima with and without indices, averages, norms; windows of two samples to whole planes."""
    rank = int(rng.choice(3, p=[0.2, 0.6, 0.2])) + 1
    dtype = str(rng.choice(list(POOL_DTYPES), p=list(POOL_DTYPES.values())))
    side = size(rng, 2, {1: 10**6, 2: 1024, 3: 128}[rank])
    shape = [side] * rank if rng.random() < 0.7 else [max(1, int(side * rng.uniform(0.3, 1.5))) for _ in range(rank)]
    k = int(rng.choice([2, 3])) if rng.random() < 0.45 else size(rng, 2, {1: 4096, 2: 128, 3: 24}[rank])
    kernel = tuple([min(k, n) for n in shape]) if rng.random() < 0.9 else tuple(shape)
    style, step, pad, indices, many = rng.random(), rng.random(), rng.random() < 0.4, bool(rng.random() < 0.5), rng.random() < 0.1
    stride = None if step < 0.4 else 1 if step < 0.7 else 2
    padding = tuple([(each // 2,) * 2 for each in kernel]) if pad else 0
    image = Described((size(rng, 1, MOST_ITEMS), size(rng, 1, 1024), *shape), np.dtype({"bfloat16": "float16"}.get(dtype, dtype)))
    try:
        if many:
            problem = adaptive_pool_problem(rank, image, "max" if style < 0.5 else "average", size(rng, 1, min(shape)), indices and style < 0.5)
        elif style < 0.45 or dtype in ("int32", "uint8") and style > 0.85:
            problem = max_pool_problem(rank, image, kernel, stride, padding, 2 if rng.random() < 0.1 else 1, False, indices)
        elif style < 0.85:
            problem = avg_pool_problem(rank, image, kernel, stride, padding, False, True, None)
        else:
            problem = lp_pool_problem(rank, image, 2.0 if style < 0.97 else 3.0, kernel, stride, False)
    except (ValueError, MemoryError):  # a window larger than its input, or a result beyond all memory
        return None
    if numbers_of(problem) > MOST_NUMBERS or problem.outputs * math.prod(problem.kernel) > MOST_WORK:
        return None
    return problem if problem.dtype == dtype else replace(problem, dtype=dtype, kept={})


def numbers_of(pool):
    return math.prod(pool.input_shape) + pool.outputs * (1 + 2 * pool.with_indices)


def evenly(draw, size_of, least, most, count, rng):
    """`count` different problems, or fewer where there are not so many, their sizes drawn evenly on a logarithmic scale."""
    found = {}
    for _ in range(10 * count):
        if len(found) == count:
            break
        wanted = math.exp(rng.uniform(math.log(least), math.log(most)))
        for problem in (draw(rng) for _ in range(TRIES)):
            if problem is not None and wanted / NEAR <= size_of(problem) <= wanted * NEAR:
                found[problem] = None
                break
    return list(found)


def random_problems(count, seed):
    """`count` convolutions, with pools between them."""
    rng = np.random.default_rng(seed)
    convolutions = evenly(random_convolution, lambda p: p.multiply_adds, LEAST_WORK, MOST_WORK, count, rng)
    pools = evenly(random_pool, numbers_of, LEAST_NUMBERS, MOST_NUMBERS, math.ceil(count * POOLS), rng)
    both = [((i + 0.5) / len(each), p) for each in (convolutions, pools) for i, p in enumerate(each)]
    return [problem for _, problem in sorted(both, key=lambda pair: pair[0])]


# ---- times -------------------------------------------------------------------------------------------------------------------


def rows_for(problem):
    """{row of the menu: predicted seconds} of those that accept the problem and are not predicted to take for ever."""
    if isinstance(problem, PoolProblem):
        found = {row: row.module.cost(problem)[0] for row in menu.GPU_POOL if row.module.why_not(problem) is None}
    else:
        found = {v.algorithm: v.seconds for v in select.verdicts(problem, "gpu") if v.declined is None}
    limit = max(MOST_SECONDS, 2 * min(found.values(), default=0))
    return {row: seconds for row, seconds in found.items() if seconds <= limit}


def dtype_of(problem):
    if problem.dtype not in GPU_ONLY:
        return np.dtype(problem.dtype)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, problem.dtype))


def filled(cupy, shape, dtype, period):
    """An array of numbers from 0.5 to 1 of either sign, or of integers from 0 to 4, that repeat: nothing overflows, and nothing is lost beside
    others, so that no row computes again what another one did."""
    rng = np.random.default_rng(period)
    few = rng.integers(0, 5, period) if dtype.kind in "iu" else rng.uniform(0.5, 1, period) * rng.choice([-1, 1], period)
    few = few.astype(dtype)
    array = cupy.empty(shape, dtype)
    flat, few = array.reshape(-1), cupy.asarray(few)
    whole = flat.size // few.size * few.size
    flat[:whole].reshape(-1, few.size)[...] = few
    flat[whole:] = few[: flat.size - whole]
    return array


def calls(cupy, problem, made):
    """{name: a call by this row}, of arrays that `made(cupy, shape, dtype, period)` makes."""
    rows, p, dtype = rows_for(problem), problem, dtype_of(problem)
    x, out = made(cupy, p.input_shape, dtype, 4093), cupy.empty(p.output_shape, dtype)
    if isinstance(p, PoolProblem):
        indices = cupy.empty(p.output_shape, np.int64) if p.with_indices else None
        return {row.name: lambda row=row: row.run(p, x, out, indices) for row in rows}
    x, weight, out = views(p, x, made(cupy, p.weight_shape, dtype, 8191), out)  # of another period, so that sums stay small
    return {row.name: lambda row=row, again=careful(row, p, weight, "auto"): compute_by(row, again, p, x, weight, out, None) for row in rows}


def times(cupy, problem, failed):
    """{name: least seconds}; why rows could not be timed is told to `failed`."""
    found = {}
    for name, call in calls(cupy, problem, filled).items():
        try:
            timed(cupy, call, 1)  # compiles
            count = max(1, min(1000, int(CALLS / max(timed(cupy, call, 1), 1e-6))))
            found[name] = max(min(timed(cupy, call, count) for _ in range(3)), 1e-7)
        except Exception as error:
            failed(problem, name, error)
            raise_if_lost(cupy, error)
            free(cupy)
    return found


def measure(cupy, problems, end, failed):
    """({problem: {name: seconds}} of as many problems as there is time for, at least one; whether the device was lost)."""
    measured = {}
    for problem in problems:
        if measured and time.perf_counter() > end:
            break
        try:
            found = times(cupy, problem, failed)
        except Lost:
            return measured, True
        except Exception as error:  # there are no arrays
            failed(problem, "", error)
            try:
                raise_if_lost(cupy, error)
            except Lost:
                return measured, True
            found = {}
        free(cupy)
        if found:
            measured[problem] = found
    return measured, False


def ahead(cupy, problems, end, threads):
    """Has kernels compiled, until it is time to stop."""

    def compiled(problem):
        if time.perf_counter() < end:
            try:
                for call in calls(cupy, problem, lambda cupy, shape, dtype, period: cupy.empty(shape, dtype)).values():
                    call()
            except Exception:  # is told when its turn comes
                pass

    with nothing_launched(cupy), ThreadPoolExecutor(threads) as pool:
        for problem in problems:
            pool.submit(compiled, problem)
    cupy.cuda.get_current_stream().synchronize()
    free(cupy)


# ---- how good a table is -------------------------------------------------------------------------------------------------------


def report(table, measured):
    """Lines about how well a table predicts, and what its choices cost."""
    lines = ["algorithm      problems   predicted/measured: 5 %   median   95 %"]
    for what, rows in (("convolutions", menu.GPU_CONV), ("pools", menu.GPU_POOL)):
        some = {p: found for p, found in measured.items() if isinstance(p, PoolProblem) == (what == "pools")}
        for row in rows:
            ratios = [costs.seconds(row.name, amounts(row.name, p, "gpu"), table) / found[row.name] for p, found in some.items() if row.name in found]
            if ratios:
                low, middle, high = np.percentile(ratios, [5, 50, 95])
                lines.append(f"{row.name:14} {len(ratios):8}   {low:25.2f} {middle:8.2f} {high:6.2f}")
        found = sorted(regrets(table, some), reverse=True)
        ratios = [each[0] for each in found]
        if ratios:
            lines.append(f"{what}: {chosen_by_best(ratios)}, {np.percentile(ratios, 95):.2f} at the 95th percentile; the worst:")
            lines += [f"    {ratio:5.2f}  {chosen} instead of {best}: {text}" for ratio, text, chosen, best in found[:5] if chosen != best]
    return lines


def chosen_by_best(ratios):
    return f"chosen / best {mean(ratios):.3f} in the geometric mean of {len(ratios)}"


def regrets(table, measured):
    """[(time of the chosen algorithm / of the best one, problem, chosen, best)]."""
    result = []
    for problem, found in measured.items():
        chosen = min(found, key=lambda name: costs.seconds(name, amounts(name, problem, "gpu"), table))
        best = min(found, key=found.get)
        result.append((found[chosen] / found[best], str(problem), chosen, best))
    return result


def not_seen(measured):
    """{name: kinds of its work that no measured problem had}."""
    seen = {name: set() for name in costs.SECONDS}
    for problem, found in measured.items():
        for name in found:
            seen[name] |= {kind for kind, amount in amounts(name, problem, "gpu").items() if amount}
    return {name: missing for name, kinds in costs.SECONDS.items() if (missing := [kind for kind in kinds if kind not in seen[name]])}


def rewritten(text, table, source, remarks):
    """The text of costs.py with another table."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("cyconv/gpu/costs.py has no marked block to write to")
    lines = [*(f"# {remark}\n" for remark in remarks), f"SOURCE = {json.dumps(source)}\n", "SECONDS = {\n"]
    for name, each in table.items():
        lines.append(f'    "{name}": {{{", ".join(f"{json.dumps(kind)}: {value!r}" for kind, value in each.items())}}},\n')
    return "".join([before, begin, *lines, "}\n", end, after])


# ---- the command ---------------------------------------------------------------------------------------------------------------


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate_gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", type=int, default=300, metavar="N", help="convolutions to fit to; a third as many are held out (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further problem is measured (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1), help="that compile ahead (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    import cupy

    begin, failures = time.perf_counter(), []

    def failed(problem, name, error):
        failures.append(problem)
        print(f"not timed: {name + ', ' if name else ''}{problem}: {said(error)}", flush=True)

    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    problems = random_problems(options.problems + max(1, options.problems // 3), options.seed)
    ahead(cupy, problems, begin + 60 * options.minutes * AHEAD, options.threads)
    compiled = time.perf_counter() - begin
    measured, lost = measure(cupy, problems, begin + 60 * options.minutes, failed)
    held_out = {p: measured[p] for part in apart(measured) for p in part[3::4]}
    fitted = {p: found for p, found in measured.items() if p not in held_out}
    pools = sum(isinstance(p, PoolProblem) for p in measured)
    print(
        f"{len(measured)} of {len(problems)} problems, {pools} of them pools, in {time.perf_counter() - begin:.0f} s ({compiled:.0f} s to compile ahead) on {device}"
        + " until an error that it does not get over" * lost
    )
    if not fitted:
        print("nothing was measured, and nothing is written")
        return 1
    table = {name: fit(name, fitted, each, PULL, "gpu") for name, each in costs.SECONDS.items()}
    remarks = [f"{len(fitted)} problems, {sum(isinstance(p, PoolProblem) for p in fitted)} of them pools, seed {options.seed}"]
    if held_out:
        print("\nold table, held-out problems:", *report(costs.SECONDS, held_out), sep="\n")
        lines = report(table, held_out)
        print("\nnew table, held-out problems:", *lines, sep="\n")
        remarks += [line.partition(",")[0] + ", held-out problems" for line in lines if ": chosen / best" in line]
    source = f"{device}, {datetime.date.today()}"
    if missing := not_seen(fitted):
        kept = ", ".join(name if len(kinds) == len(costs.SECONDS[name]) else f"{name} ({', '.join(kinds)})" for name, kinds in missing.items())
        print(f"\nas before, since no problem had such work: {kept}")
        source += f"; not measured: {kept}"
    target = CHECKOUT / "cyconv" / "gpu" / "costs.py"
    text = rewritten(target.read_text(), table, source, remarks)
    if options.dry_run:
        print("\n" + text.partition(BEGIN)[2].partition(END)[0], end="")
    else:
        target.write_text(text)
        print(f"\nwritten to {target}; reinstall cyconv to use it")
    return int(lost)


def apart(measured):
    """Convolutions and pools, each in their order."""
    return [[p for p in measured if isinstance(p, PoolProblem) == pools] for pools in (False, True)]


if __name__ == "__main__":
    sys.exit(main())

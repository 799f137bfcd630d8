"""python -m bench.gpu: cyconv on CuPy arrays beside PyTorch (cuDNN) and cupyx.scipy, on one GPU, in one call of a few minutes.

The rows are those of problem files, their batch replaced by each of --batches (images and signals of one channel keep theirs). Three
modes: float32 with TF32 off, float32 with TF32 allowed, float16. PyTorch has cudnn.benchmark on, so that it uses its quickest algorithm, and works on the
same memory. Every answer is checked first: the first and the last item of a batch are one item, whose exact answer is known.

A contender's time is the median over turns of the time between two events around as many calls as take a few milliseconds, after as many that are not
timed; contenders take turns. Calls are made as users make them, so that small ones are bound by the processor that launches them.
"""

import argparse
import csv
import statistics
import sys
import time
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from .installation import import_cyconv

import_cyconv()

import cyconv
from cyconv import menu, select
from cyconv.gpu import products
from cyconv.problem import gpu_problem

from . import data
from .session import mean

MODES = ("float32", "tf32", "float16")
TURN = 3e-3  # seconds of a turn, at least
TOO_SLOW = 20  # algorithms predicted to take so many times the chosen one's time are not run
TOLERANCE = {"float32": 1e-4, "tf32": 5e-3, "float16": 1e-2}  # of the largest number, for other libraries


@dataclass
class Result:
    """What was measured of one row, batch and mode."""

    row: object
    mode: str
    chosen: str = ""
    seconds: dict = field(default_factory=dict)  # contender: median seconds; "cyconv", "cyconv plan", algorithms, peers
    wrong: dict = field(default_factory=dict)
    left_out: dict = field(default_factory=dict)

    @property
    def batch(self):
        return self.row.input_shape[0]

    @property
    def best_peer(self):
        found = [(s, name) for name, s in self.seconds.items() if name.partition(" ")[0] in ("torch", "cupyx")]
        return min(found)[::-1] if found else None

    @property
    def ratio(self):
        """Time of the best peer over ours: above 1, cyconv is quicker."""
        own = self.seconds.get("cyconv")
        return self.best_peer[1] / own if own and self.best_peer else None


# ---- clocks and ceilings ---------------------------------------------------------------------------------------------------


def timed(cupy, call, times):
    """Seconds of one call, the mean of `times`, as the device's clock has it."""
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    for _ in range(times):
        call()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(begin, end) * 1e-3 / times


def interleaved(cupy, calls, budget):
    """{name: median seconds} of calls that take turns until the budget is over; three turns at least."""
    times = {}
    for name, call in calls.items():
        timed(cupy, call, 1)  # compiles
        times[name] = max(1, int(TURN / max(timed(cupy, call, 2), 1e-6)))
    taken = {name: [] for name in calls}
    end = time.perf_counter() + budget
    while len(next(iter(taken.values()), [0] * 3)) < 3 or time.perf_counter() < end:
        for name, call in calls.items():
            timed(cupy, call, max(1, times[name] // 4))
            taken[name].append(timed(cupy, call, times[name]))
    return {name: statistics.median(each) for name, each in taken.items()}


def ceilings(cupy, side=8192, copied=2**30):
    """What the device reaches: {mode: FLOP/s of a large product of matrices, "bytes": bytes/s of copies}."""
    found = {}
    for mode in MODES:
        a = cupy.ones((1, side, side), np.float16 if mode == "float16" else np.float32)
        out = cupy.empty_like(a)
        seconds = min(timed(cupy, lambda: products.multiply(a, a, out, tf32=mode == "tf32"), 3) for _ in range(3))
        found[mode] = 2 * side**3 / seconds
    source, target = cupy.zeros(copied // 4, np.float32), cupy.empty(copied // 4, np.float32)

    def copy():
        target[...] = source

    found["bytes"] = 2 * copied / min(timed(cupy, copy, 3) for _ in range(3))
    return found


# ---- contenders ------------------------------------------------------------------------------------------------------------


def batched(row, batch):
    """The row with another batch; images and signals of one channel are what they are."""
    alone = row.input_shape[1] == 1 and row.is_conv
    return row if alone else replace(row, input_shape=(batch, *row.input_shape[1:]))


def one_item(row):
    return replace(row, input_shape=(1, *row.input_shape[1:]))


def arrays_on(cupy, row, dtype):
    """(input, weight) on the device; first and last item are those of `data.arrays(one_item(row))`."""
    x, weight, _ = data.arrays(one_item(row))
    batch = row.input_shape[0]
    item = cupy.asarray(x.astype(dtype))
    whole = cupy.empty(row.input_shape, item.dtype)
    for n in range(batch):
        whole[n] = item[0] if n in (0, batch - 1) else item[0, ..., ::-1]
    return whole, None if weight is None else cupy.asarray(weight.astype(dtype))


def own_calls(row, mode, x, weight):
    """(calls by name, chosen algorithm, what was left out)."""
    function, words = getattr(cyconv, row.function), data.keywords(row)
    if not row.is_conv:
        return {"cyconv": lambda: function(x, **words)}, "", {}
    tf32 = mode == "tf32"
    problem = gpu_problem(row.problem(), x.dtype.name, tf32)
    chosen = select.choose(problem, device="gpu")
    plan = cyconv.plan_conv(x.shape, weight, allow_tf32=tf32, **words)
    out = plan(x)
    calls = {"cyconv": lambda: function(x, weight, allow_tf32=tf32, **words), "cyconv plan": lambda: plan(x, out)}
    left_out = {}
    said = select.verdicts(problem, "gpu")
    limit = TOO_SLOW * next(v.seconds for v in said if v.algorithm is chosen)
    for v in said:
        name = v.algorithm.name
        if v.declined or v.seconds > limit:
            left_out[name] = v.declined or f"predicted to take {v.seconds:.1e} s"
        else:
            calls[name] = lambda name=name: function(x, weight, algorithm=name, allow_tf32=tf32, **words)
    return calls, chosen.name, left_out


def torch_calls(row, mode, x, weight):
    import torch

    function, words = getattr(torch.nn.functional, row.function), data.keywords(row)
    if "output_size" in words and isinstance(words["output_size"], int):
        words["output_size"] = (words["output_size"],) * row.rank
    tensors = [torch.from_dlpack(a) for a in (x, weight) if a is not None]

    def call():  # on the null stream, as CuPy's calls are
        torch.backends.cudnn.allow_tf32 = mode == "tf32"
        with torch.no_grad():
            return function(*tensors, **words)

    return {"torch": call}


def cupyx_calls(row, mode, x, weight):
    """Of one channel, SciPy's functions on CuPy arrays."""
    if not row.is_conv or row.input_shape[:2] != (1, 1) or row.weight_shape[0] != 1 or row.per_axis("stride", 1) != (1,) * row.rank:
        return {}
    import cupyx.scipy.ndimage
    import cupyx.scipy.signal

    plane, kernel = x[0, 0], weight[0, 0]
    padding = row.per_axis("padding", 0)
    same = all(2 * p == k - 1 for p, k in zip(padding, kernel.shape))
    flipped = kernel[(slice(None, None, -1),) * row.rank]
    calls = {}
    if same:
        calls["cupyx ndimage.correlate"] = lambda: cupyx.scipy.ndimage.correlate(plane, kernel, mode="constant")[None, None]
    if same or not any(padding):
        mode_word = "same" if same else "valid"
        for name in ("fftconvolve", "oaconvolve"):
            calls[f"cupyx {name}"] = lambda f=getattr(cupyx.scipy.signal, name): f(plane, flipped, mode_word)[None, None]
    return calls


# ---- one row ---------------------------------------------------------------------------------------------------------------


def measure(cupy, row, mode, budget, exact):
    """The Result of a row in a mode; `exact` is the Exact of one item."""
    dtype = "float16" if mode == "float16" else "float32"
    x, weight = arrays_on(cupy, row, dtype)
    result = Result(row, mode)
    calls, result.chosen, result.left_out = own_calls(row, mode, x, weight)
    bounds = {row.name: row for row in menu.GPU_CONV} if row.is_conv else {}
    for make in (torch_calls, cupyx_calls):
        try:
            if make is torch_calls or mode == "float32":
                calls |= make(row, mode, x, weight)
        except ImportError as error:
            result.left_out[make.__name__.partition("_")[0]] = str(error)
    good = {}
    for name, call in calls.items():
        try:
            answer = call()
        except (RuntimeError, NotImplementedError) as error:  # another library that lacks this case
            if name.partition(" ")[0] not in ("torch", "cupyx"):
                raise
            result.left_out[name] = str(error).partition("\n")[0]
            continue
        problem = check(row, mode, name, answer, exact, bounds, result.chosen)
        if problem:
            result.wrong[name] = problem
        else:
            good[name] = call
    del answer
    result.seconds = interleaved(cupy, good, budget)
    return result


def check(row, mode, name, answer, exact, bounds, chosen):
    """None, or what is wrong with the first or last item of an answer."""
    parts = answer if isinstance(answer, (tuple, list)) else (answer,)
    for n in (0, row.input_shape[0] - 1):
        found = tuple(host(part[n : n + 1]) for part in parts)
        algorithm = bounds.get({"cyconv": chosen, "cyconv plan": chosen}.get(name, name))
        if mode == "float32" and algorithm is not None:
            wrong = exact.error(found, algorithm.bound(row.problem()), algorithm.scale)
        else:
            wrong = far_off(found, exact.answer, TOLERANCE[mode] if row.is_conv else (0.0 if "max" in row.kind else 1e-3), mode)
        if wrong:
            return f"item {n}: {wrong}"
    return None


def host(array):
    return array.get() if hasattr(array, "get") else array.cpu().numpy()


def far_off(found, exact, tolerance, mode):
    got, want = found[0].astype(np.float64), exact[0]
    if mode == "float16":
        tolerance = max(tolerance, 1e-2)  # also of maxima: the input was rounded
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    error = np.abs(got - want).max()
    allowed = tolerance * np.abs(want).max()
    return None if error <= allowed else f"off by {error:.2g}, where {allowed:.2g} is allowed"


# ---- everything ------------------------------------------------------------------------------------------------------------


def work_of(result):
    """(floating-point operations, bytes)."""
    row = result.row
    size = 2 if result.mode == "float16" else 4
    if row.is_conv:
        p = row.problem()
        return 2 * p.multiply_adds, size * (prod(p.input_shape) + prod(p.weight_shape) + p.outputs)
    x = np.broadcast_to(np.zeros((), np.float32), row.input_shape)
    from .contenders import pool_problem

    p = pool_problem(row, x)
    return 0, size * (prod(row.input_shape) + p.outputs) + (8 * p.outputs if p.with_indices else 0)


def line(result, limits):
    flops, moved = work_of(result)
    own = result.seconds.get("cyconv")
    peer = result.best_peer

    def ms(seconds):
        return "-" if seconds is None else f"{seconds * 1e3:.4g}"

    share = "-"
    if own:
        share = f"{100 * flops / own / limits[result.mode]:.0f} / {100 * moved / own / limits['bytes']:.0f}"
    others = [s for name, s in result.seconds.items() if name in {row.name for row in menu.GPU_CONV}]
    regret = f"{result.seconds[result.chosen] / min(others):.2f}" if result.chosen in result.seconds else "-"
    ratio = f"{result.ratio:.2f}" if result.ratio else "-"
    return (
        f"{result.row.name:18} {result.batch:5} {result.mode:8} {ms(own):>9} {ms(result.seconds.get('cyconv plan')):>9} {result.chosen:14} "
        f"{share:>9} {peer[0] if peer else '-':24} {ms(peer[1] if peer else None):>9} {ratio:>6} {regret:>6}"
    )


HEADER = (
    f"{'row':18} {'batch':>5} {'mode':8} {'ms':>9} {'plan ms':>9} {'algorithm':14} {'% F / B':>9} {'best peer':24} {'ms':>9} {'ratio':>6} {'regret':>6}"
)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", nargs="+", default=["peers"], metavar="FILE")
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help="rows, by name or pattern")
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 1, 256], metavar="N")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--seconds", type=float, default=0.15, help="for each line of the table (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=7.0, help="after which no further line is begun (default: %(default)s)")
    parser.add_argument("--csv", metavar="PATH", help="also write every figure there")
    options = parser.parse_args(arguments)
    import cupy

    from .__main__ import chosen_rows

    rows = list({(row.function, row.input_shape[1:], row.weight_shape, str(row.options)): row for row in chosen_rows(options)}.values())  # whatever their batch
    try:
        import torch

        torch.backends.cudnn.benchmark = True
        peer = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    except ImportError:
        peer = "torch is not installed"
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"cyconv {cyconv.__version__}, CuPy {cupy.__version__}, {peer}; {name}")
    limits = ceilings(cupy)
    print(
        f"at most {limits['float32'] / 1e12:.1f} TFLOP/s in float32, {limits['float16'] / 1e12:.0f} in float16 (products of matrices), "
        f"{limits['bytes'] / 1e12:.2f} TB/s (copies); % F / B: of these\n{HEADER}"
    )
    begin, results, status, exacts, skipped = time.perf_counter(), [], 0, {}, 0
    for mode, batch, row in [(mode, batch, row) for mode in options.modes for batch in options.batches for row in rows]:
        whole = batched(row, batch)
        if whole is row and batch != options.batches[0]:
            continue  # has one batch only
        if time.perf_counter() - begin > 60 * options.minutes:
            skipped += 1
            continue
        if row.name not in exacts:
            exacts[row.name] = data.exact(one_item(row), *data.arrays(one_item(row)))
        try:
            result = measure(cupy, whole, mode, options.seconds, exacts[row.name])
        except (ValueError, TypeError, NotImplementedError, MemoryError) as error:
            print(f"{row.name:18} {batch:5} {mode:8} not run: {error}")
            status = 1
            continue
        results.append(result)
        print(line(result, limits), flush=True)
        for wrong, why in result.wrong.items():
            print(f"    WRONG, not timed: {wrong}: {why}")
            status = 1
    for mode in options.modes:
        ratios = [r.ratio for r in results if r.ratio and r.mode == mode]
        if ratios:
            print(f"{mode}: best peer / cyconv {mean(ratios):.2f} in the geometric mean of {len(ratios)}, least {min(ratios):.2f}")
    if skipped:
        print(f"{skipped} lines were not begun: {options.minutes:g} minutes were over")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("row", "problem", "batch", "mode", "contender", "milliseconds", "chosen", "note"))
            for r in results:
                about = (r.row.name, r.row.line, r.batch, r.mode)
                writer.writerows((*about, name, f"{s * 1e3:.6g}", r.chosen, "") for name, s in r.seconds.items())
                writer.writerows((*about, name, "", r.chosen, f"wrong: {why}") for name, why in r.wrong.items())
                writer.writerows((*about, name, "", r.chosen, f"not run: {why}") for name, why in r.left_out.items())
    return status


if __name__ == "__main__":
    sys.exit(main())

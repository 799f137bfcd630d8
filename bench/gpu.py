"""python -m bench.gpu: cyconv on CuPy arrays beside PyTorch (cuDNN) and cupyx.scipy, on one GPU, in one call of a few minutes.

The rows are those of problem files, their batch replaced by each of --batches (images and signals of one channel keep theirs), and
gradients of the pools, unfold, fold and filters (gpu_gradients.py). Three modes: float32 with TF32 off, float32 with TF32 allowed (of
convolutions), float16. PyTorch has cudnn.benchmark on, so that it uses its quickest algorithm, and works on the same memory; it also gets arrays with
channels last. cupyx.scipy gets what is done to one channel in float32. Every answer is checked first: the first and the last item of a batch
are one item, whose exact answer is known.

A contender's time is the median over turns of the time between two events around as many calls as take a few milliseconds, after some that
are not timed; contenders take turns. Calls are made as users make them, so that small ones are bound by the processor that launches them.
Kernels are compiled ahead, by several threads. What fails is told, and the others go on. Every line is printed, and written down, when it is known.
"""

import argparse
import csv
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from .installation import import_cyconv

import_cyconv()

import cyconv
from cyconv import menu, select
from cyconv.problem import gpu_problem

from . import data, gpu_gradients
from .gpu_gradients import Derived
from .gpu_timing import MODES, Lost, about, ceilings, clocks, interleaved, nothing_launched, raise_if_lost, said
from .peers import keeps_size
from .session import mean

TOO_SLOW = 20  # algorithms predicted to take so many times the chosen one's time are not run
AHEAD = 0.25  # of all the time, at most, to compile ahead
PEERS = ("torch", "cupyx")
TOLERANCE = {"float32": 1e-4, "tf32": 5e-3, "float16": 1e-2}  # of the largest number, for other libraries and Derived rows


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
        found = [(s, name) for name, s in self.seconds.items() if is_peer(name)]
        return min(found)[::-1] if found else None

    @property
    def ratio(self):
        """Time of the best peer over ours: above 1, cyconv is quicker."""
        own = self.seconds.get("cyconv")
        return self.best_peer[1] / own if own and self.best_peer else None


def is_peer(name):
    return name.partition(" ")[0] in PEERS


# ---- contenders ------------------------------------------------------------------------------------------------------------


def batched(row, batch):
    """The row with another batch; images and signals of one channel are what they are."""
    return row if row.input_shape[1] == 1 else replace(row, input_shape=(batch, *row.input_shape[1:]))


def one_item(row, dtype="float32"):
    return replace(row, input_shape=(1, *row.input_shape[1:]), options=row.options | {"dtype": dtype})


def whole_batch(cupy, item, batch):
    """An array on the device of so many items, the first and the last of which are `item`."""
    item = cupy.asarray(item)
    whole = cupy.empty((batch, *item.shape[1:]), item.dtype)
    for n in range(batch):
        whole[n] = item[0] if n in (0, batch - 1) else item[0, ..., ::-1]
    return whole


def arrays_on(cupy, row, dtype):
    """(input, weight) on the device; or (input, gradient or columns), None where a row has none."""
    if isinstance(row, Derived):
        return [None if each is None else whole_batch(cupy, each, row.input_shape[0]) for each in gpu_gradients.item(row, dtype)]
    x, weight, _ = data.arrays(one_item(row, dtype))
    return whole_batch(cupy, x, row.input_shape[0]), None if weight is None else cupy.asarray(weight)


def exact_answer(row, mode):
    """The Exact of one item, which is rounded first; of a Derived row the answer alone."""
    if isinstance(row, Derived):
        return gpu_gradients.exact(row, dtype_of(mode))
    one = one_item(row, dtype_of(mode))
    return data.exact(one, *data.arrays(one))


def exact_key(row, mode):
    return row.name, dtype_of(mode)


def dtype_of(mode):
    return "float16" if mode == "float16" else "float32"


def own_calls(row, mode, x, weight):
    """(calls by name, chosen algorithm, what was left out, places of maxima)."""
    if isinstance(row, Derived):
        call, places = gpu_gradients.own_call(row, x, weight)
        out = call()
        return {"cyconv": call, "cyconv plan": lambda: call(out=out)}, "", {}, places
    function, words = getattr(cyconv, row.function), data.keywords(row)
    if not row.is_conv:
        calls = {"cyconv": lambda: function(x, **words)}
        if not row.options.get("indices"):
            out = function(x, **words)
            calls["cyconv plan"] = lambda: function(x, **words, out=out)
        return calls, "", {}, None
    tf32 = mode == "tf32"
    problem = gpu_problem(row.problem(), x.dtype.name, tf32)
    chosen = select.choose(problem, device="gpu")
    plan = cyconv.plan_conv(x.shape, weight, allow_tf32=tf32, **words)
    out = plan(x)
    calls = {"cyconv": lambda: function(x, weight, allow_tf32=tf32, **words), "cyconv plan": lambda: plan(x, out)}
    left_out = {}
    verdicts = select.verdicts(problem, "gpu")
    limit = TOO_SLOW * next(v.seconds for v in verdicts if v.algorithm is chosen)
    for v in verdicts:
        name = v.algorithm.name
        if v.declined or v.seconds > limit:
            left_out[name] = v.declined or f"predicted to take {v.seconds:.1e} s"
        else:
            calls[name] = lambda name=name: function(x, weight, algorithm=name, allow_tf32=tf32, **words)
    return calls, chosen.name, left_out, None


def torch_calls(row, mode, x, weight, places=None):
    """On the null stream, as CuPy's calls are, and on the same memory; with channels last on a copy."""
    import torch

    set_precision(torch, mode == "tf32")
    tensors = [None if a is None else tensor(torch, a) for a in (x, weight, places)]
    if isinstance(row, Derived):
        return {} if row.what == "filter" else {"torch": gpu_gradients.torch_call(row, *tensors)}
    function, words = getattr(torch.nn.functional, row.function), data.keywords(row)
    if "output_size" in words and isinstance(words["output_size"], int):
        words["output_size"] = (words["output_size"],) * row.rank
    tensors = [each for each in tensors if each is not None]
    calls = {"torch": lambda: function(*tensors, **words)}
    if row.rank > 1 and row.input_shape[1] > 1:
        layout = torch.channels_last if row.rank == 2 else torch.channels_last_3d
        last = [each.contiguous(memory_format=layout) for each in tensors]
        calls["torch channels_last"] = lambda: function(*last, **words)
    return calls


def tensor(torch, array):
    return torch.from_dlpack(array)


def set_precision(torch, tf32):
    """Of cuDNN's convolutions and cuBLAS' products in float32. (Newer words for it leave these ones as they were, which PyTorch then complains of.)"""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def cupyx_calls(row, mode, x, weight, places=None):
    """Of one channel, SciPy's functions on CuPy arrays."""
    if mode != "float32" or row.input_shape[:2] != (1, 1):
        return {}
    if not row.is_conv:
        return cupyx_filters(row, x)
    if row.weight_shape[0] != 1 or row.per_axis("stride", 1) != (1,) * row.rank:
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


def cupyx_filters(row, x):
    """Of a pool whose results are those of a filter, borders included, and of filters."""
    plain = not isinstance(row, Derived)
    if not (keeps_size(row) if plain else row.what == "filter"):
        return {}
    import cupyx.scipy.ndimage

    name, plane, size = gpu_gradients.filter_name(row), x[0, 0], row.per_axis("kernel", None)
    function = getattr(cupyx.scipy.ndimage, name)
    words = {"mode": "constant", "cval": -np.inf if gpu_gradients.is_max(row) else 0.0} if plain else {}
    return {f"cupyx {name}": lambda: function(plane, size, **words)[None, None]}


# ---- one row ---------------------------------------------------------------------------------------------------------------


def measure(cupy, row, mode, budget, exact):
    """The Result of a row in a mode; `exact` is what exact_answer gives."""
    x, weight = arrays_on(cupy, row, dtype_of(mode))
    result = Result(row, mode)
    calls, result.chosen, result.left_out, places = own_calls(row, mode, x, weight)
    bounds = own_bounds(row, mode, result.chosen)
    for make in (torch_calls, cupyx_calls):
        try:
            calls |= make(row, mode, x, weight, places)
        except Exception as error:  # one that is not installed, or lacks this case, or finds no memory
            raise_if_lost(cupy, error)
            result.left_out[make.__name__.partition("_")[0]] = said(error)
    good, failed = {}, {}
    for name, call in calls.items():
        try:
            problem = check(row, mode, name, call(), exact, bounds)
        except Exception as error:
            raise_if_lost(cupy, error)
            failed[name] = said(error)
            continue
        if problem:
            result.wrong[name] = problem
        else:
            good[name] = call
    result.seconds = interleaved(cupy, good, budget, failed)
    for name, why in failed.items():
        (result.left_out if is_peer(name) else result.wrong)[name] = why
    return result


def own_bounds(row, mode, chosen):
    """{contender: (bound, scale)} of those of cyconv, as the menu states them; of Derived rows it states none."""
    if isinstance(row, Derived):
        return {}
    if not row.is_conv:
        from .contenders import pool_problem

        bound = menu.GPU_POOL[0].bound(pool_problem(row, np.broadcast_to(np.zeros((), dtype_of(mode)), row.input_shape)))  # of either row
        return dict.fromkeys(("cyconv", "cyconv plan"), (bound, "terms"))
    problem = gpu_problem(row.problem(), dtype_of(mode), mode == "tf32")
    found = {each.name: (each.bound(problem), each.scale) for each in menu.GPU_CONV}
    return found | dict.fromkeys(("cyconv", "cyconv plan"), found[chosen])


def check(row, mode, name, answer, exact, bounds):
    """None, or what is wrong with the first or last item of an answer."""
    parts = answer if isinstance(answer, (tuple, list)) else (answer,)
    for n in (0, row.input_shape[0] - 1):
        found = tuple(host(part[n : n + 1]) for part in parts)
        if name in bounds:
            wrong = exact.error(found, *bounds[name])
        else:
            summed = row.is_conv or isinstance(row, Derived)
            answer = (exact,) if isinstance(row, Derived) else exact.answer
            wrong = far_off(found, answer, TOLERANCE[mode] if summed else (0.0 if "max" in row.kind else 1e-3), mode)
        if wrong:
            return f"item {n}: {wrong}"
    return None


def host(array):
    return array.get() if hasattr(array, "get") else array.cpu().numpy()


def far_off(found, exact, tolerance, mode):
    got, want = found[0].astype(np.float64), exact[0]
    if mode == "float16":
        tolerance = max(tolerance, 1e-2)  # also of averages
    if got.shape != want.shape:
        return f"shape {got.shape} instead of {want.shape}"
    error = np.abs(got - want).max()
    allowed = tolerance * np.abs(want).max()
    if not error <= allowed:  # a NaN is wrong, too
        return f"off by {error:.2g}, where {allowed:.2g} is allowed"
    if len(exact) > 1 and mode != "float16":  # where rounding makes numbers equal, others may take another one
        different = np.count_nonzero(found[1] != exact[1])
        return f"{different} of {exact[1].size} places differ" if different else None
    return None


# ---- everything ------------------------------------------------------------------------------------------------------------


def work_of(result):
    """(floating-point operations, bytes)."""
    row = result.row
    size = 2 if result.mode == "float16" else 4
    if isinstance(row, Derived):
        return 0, gpu_gradients.bytes_moved(row, size)
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


def record(result, limits):
    """One line of the JSON file."""
    flops, moved = work_of(result)
    own = result.seconds.get("cyconv")
    return {
        "row": result.row.name, "problem": result.row.line, "batch": result.batch, "mode": result.mode, "chosen": result.chosen,
        "milliseconds": {name: float(f"{s * 1e3:.6g}") for name, s in result.seconds.items()},
        "best peer": result.best_peer and result.best_peer[0], "ratio": result.ratio,
        "of the ceiling": {"FLOP/s": flops / own / limits[result.mode], "bytes/s": moved / own / limits["bytes"]} if own else None,
        "wrong": result.wrong, "not run": result.left_out,
    }  # fmt: skip


class Files:
    """What the options ask to be written, whole lines at any moment."""

    def __init__(self, options):
        self.open = {what: open(path, "w", newline="") for what in ("csv", "json") if (path := getattr(options, what))}  # noqa: SIM115
        if "csv" in self.open:
            self.csv = csv.writer(self.open["csv"])
            self.csv.writerow(("row", "problem", "batch", "mode", "contender", "milliseconds", "chosen", "note"))

    def write(self, line):
        if "json" in self.open:
            print(json.dumps(line), file=self.open["json"], flush=True)

    def add(self, r, limits):
        self.write(record(r, limits))
        if "csv" in self.open:
            about = (r.row.name, r.row.line, r.batch, r.mode)
            self.csv.writerows((*about, name, f"{s * 1e3:.6g}", r.chosen, "") for name, s in r.seconds.items())
            self.csv.writerows((*about, name, "", r.chosen, f"wrong: {why}") for name, why in r.wrong.items())
            self.csv.writerows((*about, name, "", r.chosen, f"not run: {why}") for name, why in r.left_out.items())
            self.open["csv"].flush()

    def close(self):
        for file in self.open.values():
            file.close()


def chosen_lines(options):
    """[(row with its batch, mode)], the first batch in all modes first."""
    from .__main__ import chosen_rows

    asked = chosen_rows(options)
    rows = [row for row in asked if not row.options.keys() & {"bias", "padding_mode", "dtype", "gaussian"}]
    rows = list({(row.function, row.input_shape[1:], row.weight_shape, str(row.options)): row for row in rows}.values())  # whatever their batch
    if "derived" not in options.without:
        rows += gpu_gradients.derived(rows)
    lines = []
    for batch in options.batches:
        for mode in options.modes:
            for row in rows:
                whole = batched(row, batch)
                if (whole is not row or batch == options.batches[0]) and takes(row, mode, options.modes):
                    lines.append((whole, mode))
    return lines


def takes(row, mode, modes):
    """Whether the row has a line in this mode: TF32 is nothing to what is no convolution, and filters are not computed in half types."""
    if row.is_conv:
        return True
    if isinstance(row, Derived) and row.what == "filter":
        return mode == "float32"
    return mode != "tf32" or "float32" not in modes


def ahead(cupy, lines, seconds, threads):
    """Has all kernels of cyconv's compiled, by several threads; {key: exact answer, or why there is none} of the rows."""
    end, exacts = time.perf_counter() + seconds, {}

    def compile_kernels(row, mode):
        if time.perf_counter() > end:
            return
        try:
            if isinstance(row, Derived):
                x, weight = (None if a is None else cupy.empty((row.input_shape[0], *a.shape[1:]), a.dtype) for a in gpu_gradients.item(row, dtype_of(mode)))
            else:
                x, weight = (None if shape is None else cupy.empty(shape, dtype_of(mode)) for shape in (row.input_shape, row.weight_shape))
            for call in own_calls(row, mode, x, weight)[0].values():
                call()
        except Exception:  # is told when its turn comes
            pass

    with nothing_launched(cupy), ThreadPoolExecutor(threads) as pool:
        unknown = {exact_key(row, mode): (row, mode) for row, mode in lines}
        known = {key: pool.submit(exact_answer, *each) for key, each in unknown.items()}
        for each in lines:
            pool.submit(compile_kernels, *each)
        for key, each in known.items():
            try:
                exacts[key] = each.result()
            except Exception as error:
                exacts[key] = error
    cupy.cuda.get_current_stream().synchronize()
    return exacts


def free(cupy):
    """Gives the memory of both libraries' pools back, so that none lacks what another keeps."""
    if hasattr(cupy, "get_default_memory_pool"):
        cupy.get_default_memory_pool().free_all_blocks()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()


def main(arguments=None):
    begin = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", nargs="+", default=["peers"], metavar="FILE")
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="NAME", help="rows, by name or pattern")
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 1, 256], metavar="N")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--without", nargs="+", default=[], choices=["derived"], help="leaves out gradients of pools, unfold, fold and filters")
    parser.add_argument("--seconds", type=float, default=0.15, help="for each line of the table (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=7.0, help="after which no further line is begun, all counted (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=min(12, os.cpu_count() or 1), help="that compile ahead (default: %(default)s)")
    parser.add_argument("--csv", metavar="PATH", help="also write every figure there")
    parser.add_argument("--json", metavar="PATH", help="also write there, a line for each line of the table, after one about the device")
    options = parser.parse_args(arguments)
    end = begin + 60 * options.minutes
    import cupy

    lines = chosen_lines(options)
    try:
        import torch

        torch.backends.cudnn.benchmark = True
    except ImportError:
        pass
    device, limits = about(cupy), ceilings(cupy)
    device["clocks after large products"] = clocks()
    print("; ".join(f"{word} {text}" for word, text in device.items()))
    print(
        f"at most {limits['float32'] / 1e12:.1f} TFLOP/s in float32, {limits['tf32'] / 1e12:.0f} with TF32, {limits['float16'] / 1e12:.0f} in float16 "
        f"(products of matrices), {limits['bytes'] / 1e12:.2f} TB/s (copies); % F / B: of these",
        flush=True,
    )
    files = Files(options)
    try:
        files.write({"about": device, "ceilings": limits})
        exacts = ahead(cupy, lines, AHEAD * 60 * options.minutes, options.threads)
        print(f"compiled ahead; {time.perf_counter() - begin:.0f} s are over\n{HEADER}", flush=True)
        results, status = race(cupy, lines, options.seconds, end, exacts, limits, files)
        for mode in options.modes:
            ratios = [r.ratio for r in results if r.ratio and r.mode == mode]
            if ratios:
                print(f"{mode}: best peer / cyconv {mean(ratios):.2f} in the geometric mean of {len(ratios)}, least {min(ratios):.2f}")
        files.write({"clocks at the end": clocks(), "seconds": time.perf_counter() - begin})
    finally:
        files.close()
    return status


def race(cupy, lines, budget, end, exacts, limits, files):
    """(Results of all lines that can be begun, and as far as one can tell be done, before the end; exit status)."""
    results, status, took, skipped = [], 0, [0.0], 0
    for row, mode in lines:
        begin = time.perf_counter()
        if begin + statistics.mean(took[-10:]) > end:
            skipped += 1
            continue
        free(cupy)
        try:
            exact = exacts[exact_key(row, mode)]
            if isinstance(exact, Exception):
                raise exact
            result = measure(cupy, row, mode, budget, exact)
        except Exception as error:
            print(f"{row.name:18} {row.input_shape[0]:5} {mode:8} not run: {said(error)}", flush=True)
            files.write({"row": row.name, "batch": row.input_shape[0], "mode": mode, "not run": said(error)})
            status = 1
            if isinstance(error, Lost):
                print("the device does not get over this: no further line is begun")
                break
            continue
        finally:
            took.append(time.perf_counter() - begin)
        results.append(result)
        print(line(result, limits), flush=True)
        files.add(result, limits)
        for wrong, why in result.wrong.items():
            print(f"    WRONG, not timed: {wrong}: {why}", flush=True)
            status = 1
    if skipped:
        print(f"{skipped} lines were not begun: the time was over")
    return results, status


if __name__ == "__main__":
    sys.exit(main())

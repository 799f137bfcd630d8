"""Whether `max_workspace` holds: the memory that a call takes at its height, beside its arguments and its result.

    python tests/limits/workspace.py            a grid of large problems, algorithms, bounds and threads; a table
    python tests/limits/workspace.py --quick    a part of it

Each row is a child: it makes the arrays, writes to the result's pages, makes one small call, so that libraries are loaded and threads are there, sets
the kernel's mark of peak memory back (/proc/self/clear_refs) and makes the call with out=; then, after all memory was given back, the same again. What
the first call takes more is what is made once and kept: tables of the Fourier transform, and what NumPy needs to make them. ALLOWED is what may come
on top of the bound, ONCE what the first call may take besides: tables, weights in another type, pages of libraries, stacks, what malloc rounds up.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ALLOWED, ONCE = 2 * 2**20, 16 * 2**20
MIB = 2**20
SECONDS = 3  # predicted, on one thread
BOUNDS = (1, 16, 64, 256)
PROBLEMS = {  # input, weight, options
    "image": ((1, 3, 3000, 3000), (8, 3, 5, 5), {"padding": 2}),
    "layer": ((8, 64, 224, 224), (64, 64, 3, 3), {"padding": 1}),
    "wide layer": ((2, 512, 60, 60), (512, 512, 3, 3), {"padding": 1}),
    "one by one": ((4, 256, 112, 112), (256, 256, 1, 1), {}),
    "depthwise": ((4, 128, 224, 224), (128, 1, 5, 5), {"padding": 2, "groups": 128}),
    "large kernel": ((1, 1, 3000, 3000), (1, 1, 151, 151), {"padding": 75}),
    "signal": ((1, 1, 8_000_000), (1, 1, 20_001), {"padding": 10_000}),
    "volume": ((1, 8, 96, 160, 160), (8, 8, 3, 3, 3), {"padding": 1}),
    "reflected": ((1, 4, 2000, 2000), (4, 4, 31, 31), {"padding": 15, "padding_mode": "reflect"}),
    "gradient": ((64, 16, 96, 96), (16, 64, 94, 94), {}),
    "few of many": ((1, 16384, 3, 3), (6, 16384, 3, 3), {}),
    "far planes": ((1, 2048, 64, 64), (512, 2048, 3, 3), {}),
    "many of few": ((1, 8, 402, 42), (14000, 8, 3, 3), {}),
}
TIGHT = [  # with a bound just above the packed weights
    ("few of many", "direct", 16, 2, "complex64"), ("few of many", "direct", 6, 2, "float16"), ("far planes", "implicit_gemm", 37.4, 2, "float32"),
    ("many of few", "winograd", 31, 2, "float32"),
]  # fmt: skip
QUICK = [
    ("image", "direct", 1), ("wide layer", "auto", 1), ("wide layer", "direct", 16), ("wide layer", "winograd", 64), ("layer", "winograd", 16),
    ("layer", "im2col", 1), ("large kernel", "fft", 64), ("signal", "fft", 16), ("depthwise", "channel_lanes", 1),
]  # fmt: skip
ALGORITHMS = ("auto", "direct", "depthwise", "dots", "channel_lanes", "implicit_gemm", "im2col", "separable", "fft", "winograd", "reference")


def status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024


def measure(problem, algorithm, bound, threads, dtype):
    """{"peak": bytes, "algorithm": name}, or {"declined": why}."""
    import numpy as np

    import cyconv

    shape, kernel, options = PROBLEMS[problem]
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, shape, dtype=np.int8).astype(dtype)
    line = rng.integers(1, 4, kernel[-1])
    w = np.broadcast_to(line, kernel).astype(dtype) if algorithm == "separable" else rng.integers(-4, 5, kernel).astype(dtype)
    function = getattr(cyconv, f"conv{len(shape) - 2}d")
    cyconv.set_num_threads(threads)
    try:
        explained = cyconv.explain(x, w, algorithm=algorithm, max_workspace=bound, **options)
    except ValueError as error:
        return {"declined": str(error)}
    if explained.chosen == "reference" and algorithm == "auto":
        return {"declined": "nothing but the reference"}
    if next(v.seconds for v in explained.verdicts if v.algorithm.name == explained.chosen) > SECONDS:
        return {"declined": f"takes more than {SECONDS} seconds"}
    out = np.zeros(explained.problem.output_shape, dtype)
    out[...] = 1
    small = [slice(0, 1), slice(None)] + [slice(0, min(n, k + 40)) for n, k in zip(shape[2:], kernel[2:])]
    function(np.ascontiguousarray(x[tuple(small)]), w, algorithm=explained.chosen, **options)
    peaks = []
    for _ in range(2):
        cyconv.release_memory()
        trim()
        before = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        function(x, w, algorithm=algorithm, max_workspace=bound, out=out, **options)
        peaks.append(status("VmHWM") - before)
    return {"first": peaks[0], "peak": peaks[1], "algorithm": explained.chosen}


def trim():
    """malloc gives back what is free, so that it is not filled unseen."""
    import ctypes

    ctypes.CDLL(None).malloc_trim(0)


def child(*arguments):
    done = subprocess.run([sys.executable, __file__, "--child", json.dumps(arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


def grid(quick):
    if quick:
        return [(problem, algorithm, bound, threads, "float32") for problem, algorithm, bound in QUICK for threads in (1, 2)]
    usual = [problem for problem in PROBLEMS if problem not in {row[0] for row in TIGHT}]
    rows = [(p, a, b, 2, "float32") for p in usual for a in ALGORITHMS for b in BOUNDS]
    rows += [(p, "auto", b, 1, "float32") for p in usual for b in BOUNDS]
    rows += [(p, "auto", b, 2, dtype) for p in usual for dtype in ("float16", "complex64", "int16") for b in (4, 64)]
    rows += TIGHT
    return rows + [("wide layer", a, b, 2, dtype) for a in ALGORITHMS[1:-1] for dtype in ("float16", "complex64") for b in (16, 64)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="problems that begin so")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        problem, algorithm, bound, threads, dtype = json.loads(options.child)
        print(json.dumps(measure(problem, algorithm, int(bound * MIB), threads, dtype)))
        return 0
    print("| problem | algorithm | bound, MiB | threads | peak, MiB | first call, MiB |\n|---|---|---|---|---|---|")
    above = measured = declined = 0
    worst = worst_first = -(10**12)
    for row in grid(options.quick):
        if options.only and not row[0].startswith(options.only):
            continue
        problem, algorithm, bound, threads, dtype = row
        found = child(*row)
        if "declined" in found:
            declined += 1
            continue
        measured += 1
        over, first = found["peak"] - bound * MIB, found["first"] - bound * MIB
        worst, worst_first = max(worst, over), max(worst_first, first)
        wrong = over > ALLOWED or first > ALLOWED + ONCE
        above += wrong
        name = found["algorithm"] if algorithm == found["algorithm"] else f"{algorithm}: {found['algorithm']}"
        print(f"| {problem} {dtype} | {name} | {bound} | {threads} | {found['peak'] / MIB:.2f} | {found['first'] / MIB:.2f}{' ABOVE' * wrong} |", flush=True)
    print(f"{measured} problems, {declined} declined; most above a bound: {worst / MIB:.2f} MiB, allowed {ALLOWED / MIB:.0f}; "
          f"by first calls {worst_first / MIB:.2f}, allowed {(ALLOWED + ONCE) / MIB:.0f}; {above} above that")  # fmt: skip
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())

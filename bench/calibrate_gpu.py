"""python -m bench.calibrate_gpu: measures the seconds of every kind of work in cyconv/gpu/costs.py on the GPU, and rewrites its table.

As bench.calibrate does it for the CPU (cyconv/calibration.py finds the seconds), with the device's own clock. Most of the time goes into
compiling; CuPy keeps what it has compiled.
"""

import argparse
import datetime
import json
import sys
import time

import numpy as np

from .installation import CHECKOUT, import_cyconv

import_cyconv()

from cyconv import menu, select
from cyconv.calibration import amounts, fit, random_problems
from cyconv.gpu import costs
from cyconv.gpu.calls import compute
from cyconv.gpu.layout import views

from .gpu_timing import timed
from .session import mean

BEGIN = "# ---- written by bench/calibrate_gpu.py: do not edit by hand ----\n"
END = "# ---- end of the calibrated block ----\n"
MOST_SECONDS = 0.05  # algorithms predicted to take longer, and over twice as long as the best, are not timed
CALLS = 3e-3  # seconds of calls that are timed together


def times(cupy, problem):
    """{algorithm: least seconds} of those that accept the problem."""
    x, weight, out = (
        cupy.ones(shape, problem.dtype) for shape in (problem.input_shape, problem.weight_shape, problem.output_shape)
    )
    arrays = views(problem, x, weight, out)
    usable = [v for v in select.verdicts(problem, "gpu") if v.declined is None]
    limit = max(MOST_SECONDS, 2 * min(v.seconds for v in usable))
    found = {}
    for name in [v.algorithm.name for v in usable if v.seconds <= limit]:

        def call(name=name):
            compute(problem, *arrays, None, name)

        timed(cupy, call, 1)  # compiles
        count = max(1, min(1000, int(CALLS / max(timed(cupy, call, 1), 1e-6))))
        found[name] = max(min(timed(cupy, call, count) for _ in range(3)), 1e-7)
    return found


def report(table, measured):
    """Lines about how well a table predicts, and what its choices cost."""
    lines = ["algorithm      problems   predicted/measured: 5 %   median   95 %"]
    for row in menu.GPU_CONV:
        ratios = [
            costs.seconds(row.name, amounts(row.name, p, "gpu"), table) / found[row.name] for p, found in measured.items() if row.name in found
        ]
        if ratios:
            low, middle, high = np.percentile(ratios, [5, 50, 95])
            lines.append(f"{row.name:14} {len(ratios):8}   {low:25.2f} {middle:8.2f} {high:6.2f}")
    found = sorted(regrets(table, measured), reverse=True)
    ratios = [each[0] for each in found]
    lines.append(f"chosen / best: {mean(ratios):.3f} in the geometric mean, {np.percentile(ratios, 95):.2f} at the 95th percentile; the worst:")
    return lines + [f"    {ratio:5.2f}  {chosen} instead of {best}: {text}" for ratio, text, chosen, best in found[:5] if chosen != best]


def regrets(table, measured):
    """[(time of the chosen algorithm / of the best one, problem, chosen, best)]."""
    result = []
    for problem, found in measured.items():
        chosen = min(found, key=lambda name: costs.seconds(name, amounts(name, problem, "gpu"), table))
        best = min(found, key=found.get)
        result.append((found[chosen] / found[best], str(problem), chosen, best))
    return result


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


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate_gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--problems", type=int, default=150, metavar="N", help="problems to fit to; a third as many are held out")
    parser.add_argument("--minutes", type=float, default=4.0, help="after which no further problem is measured (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    import cupy

    begin, measured = time.perf_counter(), {}
    for problem in random_problems(options.problems + max(1, options.problems // 3), options.seed):
        if measured and time.perf_counter() - begin > 60 * options.minutes:
            break
        measured[problem] = times(cupy, problem)
    problems = list(measured)
    held_out = {p: measured[p] for p in problems[3::4]}
    fitted = {p: measured[p] for p in problems if p not in held_out} or measured
    table = {name: fit(name, fitted, each, device="gpu") if name in {row.name for row in menu.GPU_CONV} else each for name, each in costs.SECONDS.items()}
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{len(problems)} problems in {time.perf_counter() - begin:.0f} s on {name}")
    if held_out:
        print("\nold table, held-out problems:", *report(costs.SECONDS, held_out), sep="\n")
        print("\nnew table, held-out problems:", *report(table, held_out), sep="\n")
    target = CHECKOUT / "cyconv" / "gpu" / "costs.py"
    text = rewritten(target.read_text(), table, f"{name}, {datetime.date.today()}", [f"{len(fitted)} problems, seed {options.seed}"])
    if options.dry_run:
        print("\n" + text.partition(BEGIN)[2].partition(END)[0], end="")
    else:
        target.write_text(text)
        print(f"\nwritten to {target}; reinstall cyconv to use it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

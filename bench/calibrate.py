"""python -m bench.calibrate: measures the seconds of every kind of work in cyconv/costs.py, and rewrites its table.

cyconv/calibration.py says how they are measured and found; what is here prints how good they are, and writes them.
"""

import argparse
import datetime
import json
import os
import sys
import time

import numpy as np

from .installation import CHECKOUT, import_cyconv

import_cyconv()

import cyconv
from cyconv import costs, cpu, menu
from cyconv.calibration import fit, for_any_weights, measure, predicted, random_problems, regrets
from cyconv.tuning import processor

from .session import mean

BEGIN = "# ---- written by bench/calibrate.py: do not edit by hand ----\n"
END = "# ---- end of the calibrated block ----\n"


def report(table, measured):
    """Lines about a table of seconds: how well it predicts, and what its choices cost."""
    lines = ["algorithm      problems   predicted/measured: 5 %   median   95 %"]
    for row in menu.CONV:
        ratios = [predicted(table, row.name, p) / found[row.name] for p, found in measured.items() if row.name in found]
        if ratios:
            low, middle, high = np.percentile(ratios, [5, 50, 95])
            lines.append(f"{row.name:14} {len(ratios):8}   {low:25.2f} {middle:8.2f} {high:6.2f}")
    return lines + regret(table, for_any_weights(measured), "for any weights") + regret(table, measured, "for outer products")


def regret(table, measured, remark):
    """Lines about what the choices by a table of seconds cost."""
    found = regrets(table, measured)
    ratios = [each[0] for each in found]
    lines = [
        f"chosen / best algorithm {remark}: {mean(ratios):.3f} in the geometric mean, {np.percentile(ratios, 95):.2f} at the 95th percentile; the worst:"
    ]
    worst = [each for each in sorted(found, reverse=True)[:5] if each[2] != each[3]]
    return lines + [f"    {ratio:5.2f}  {chosen} instead of {best}: {text}" for ratio, text, chosen, best in worst]


def block(table, source, remarks):
    """The text between the marks."""
    lines = [BEGIN, *(f"# {remark}\n" for remark in remarks), f"SOURCE = {json.dumps(source)}\n", "SHIPPED = {\n"]
    for name, each in table.items():
        lines.append(f'    "{name}": {{\n')
        lines += [f'        "{kind}": {value!r},\n' for kind, value in each.items()]
        lines.append("    },\n")
    return "".join([*lines, "}\n", END])


def rewritten(text, table, source, remarks):
    """The text of costs.py with another table."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit("cyconv/costs.py has no marked block to write to")
    return before + block(table, source, remarks) + after


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m bench.calibrate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--problems", type=int, default=400, metavar="N", help="problems to fit to; a third as many are held out"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="print the table, write nothing")
    options = parser.parse_args(arguments)
    if options.problems < 1:
        parser.error("--problems must be positive")
    target = CHECKOUT / "cyconv" / "costs.py"
    text = target.read_text()
    with open(costs.__file__) as file:
        if not options.dry_run and file.read() != text:
            raise SystemExit(
                f"the cyconv in use ({os.path.dirname(cyconv.__file__)}) has another costs.py than {target}: install this checkout first"
            )
    costs.use_shipped()
    begin = time.perf_counter()
    problems = random_problems(options.problems + max(1, options.problems // 3), options.seed)
    with cyconv.threads(1):
        measured = measure(problems)
    fitted = {problem: measured[problem] for problem in problems[: options.problems]}
    held_out = {problem: measured[problem] for problem in problems[options.problems :]}
    table = {name: fit(name, fitted, each) for name, each in costs.SHIPPED.items()}
    print(
        f"{options.problems} problems in {time.perf_counter() - begin:.0f} s, one thread, level {cpu.level}, {processor()}"
    )
    print("\nold table, held-out problems:", *report(costs.SHIPPED, held_out), sep="\n")
    print("\nnew table, problems it was fitted to:", *report(table, fitted), sep="\n")
    print("\nnew table, held-out problems:", *report(table, held_out), sep="\n")
    source = f"{processor()}, level {cpu.level}, {datetime.date.today()}"
    remarks = [
        f"one thread, {options.problems} problems, seed {options.seed}",
        next(line for line in report(table, held_out) if line.startswith("chosen / best")).split(";")[0] + ", held-out problems",
    ]
    new = rewritten(text, table, source, remarks)
    if options.dry_run:
        print("\n" + block(table, source, remarks), end="")
    else:
        target.write_text(new)
        print(f"\nwritten to {target}; reinstall cyconv to use it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

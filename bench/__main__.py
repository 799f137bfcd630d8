"""python -m bench: see README.md beside this file."""

import argparse
import os
import sys
from fnmatch import fnmatchcase

from . import rows as problem_rows
from .installation import import_cyconv


def parser():
    found = argparse.ArgumentParser(
        prog="python -m bench", description="Checks, then times cyconv and the installed peers."
    )
    found.add_argument(
        "--files", nargs="+", default=["peers"], metavar="FILE", help="problem files, by name or path (default: peers)"
    )
    found.add_argument(
        "--rows",
        nargs="+",
        default=["*"],
        metavar="NAME",
        help="rows, by name or pattern ('vgg*'); of every file if --files is not given",
    )
    found.add_argument(
        "--threads",
        nargs="+",
        type=int,
        default=[1],
        metavar="N",
        help="thread counts, the same for everybody (default: 1)",
    )
    found.add_argument("--seconds", type=float, default=3.0, help="time for each row (default: 3)")
    found.add_argument("--quick", action="store_true", help="a tenth of the time")
    found.add_argument("--details", action="store_true", help="every contender below its row")
    found.add_argument("--isa", choices=("v2", "v3", "v4"), help="a lower level than the processor's")
    found.add_argument("--csv", metavar="PATH", help="also write every figure there")
    found.add_argument("--list", action="store_true", help="print the rows and stop")
    return found


def chosen_rows(options):
    """The rows that the options name."""
    files = options.files
    if options.rows != ["*"] and options.files == ["peers"]:
        files = sorted(path.stem for path in problem_rows.PROBLEMS.glob("*.txt"))
    found = {row.line: row for row in problem_rows.read(files) if any(fnmatchcase(row.name, p) for p in options.rows)}
    if not found:
        raise ValueError(f"no row is named {' or '.join(options.rows)} in {', '.join(files)}")
    return list(found.values())


def main(arguments=None):
    options = parser().parse_args(arguments)
    if min(options.threads) < 1 or options.seconds <= 0:
        raise SystemExit("python -m bench: --threads and --seconds must be positive")
    if options.isa:
        os.environ["CYCONV_ISA"] = options.isa
    import_cyconv()
    try:
        rows = chosen_rows(options)
    except ValueError as error:
        raise SystemExit(f"python -m bench: {error}") from None
    if options.list:
        for row in rows:
            print(row.line)
        return 0
    from . import session

    budget = options.seconds / 10 if options.quick else options.seconds
    return session.run(rows, options.threads, budget, options.csv, options.details)


if __name__ == "__main__":
    sys.exit(main())

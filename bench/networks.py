"""python -m bench.networks: whole networks of bench/models.py through cyconv.onnx.load, beside ONNX Runtime with all its optimisations.

Answers are compared before anything is timed. ONNX Runtime runs in a child process, which is stopped between its turns (apart.py). Printed is its time
over cyconv's: above 1, cyconv is quicker.
"""

import argparse
import csv
import sys
from dataclasses import astuple, dataclass

import numpy as np

from .installation import import_cyconv

import_cyconv()

import cyconv
from cyconv import onnx

from . import models, session, timing
from .apart import Apart

TOLERANCE = 1e-4  # of the largest number of an answer
GOALS = {"vgg16": 1.0, "resnet50": 1.0}


@dataclass
class Figure:
    """One row of the table; seconds are medians of calls."""

    model: str
    batch: int
    threads: int
    theirs: float
    ours: float
    error: float  # of the largest number

    @property
    def ratio(self):
        return self.theirs / self.ours


def race(name, model, network, batch, threads, budget):
    """A Figure, and the input that it is of."""
    channels = network.inputs[0].shape[1]
    size = models.SIZES[name]
    x = np.random.default_rng(batch).standard_normal((batch, channels, size, size), dtype=np.float32)
    with cyconv.threads(threads):
        theirs = Apart(model, {network.inputs[0].name: x}, threads)
        try:
            (exact,), answer = theirs(), network(x)
            error = float(np.abs(answer - exact).max() / np.abs(exact).max())
            if not error <= TOLERANCE:
                raise SystemExit(f"python -m bench.networks: {name}, batch {batch}: the answers differ by {error:.1e} of the largest number")
            calls = {"theirs": theirs, "ours": lambda: network(x)}
            seconds = timing.interleaved(calls, budget, timing.PAUSE if threads > 1 else 0.0)
        finally:
            theirs.close()
    return Figure(name, batch, threads, seconds["theirs"], seconds["ours"], error), x


def show(figure):
    goal = GOALS.get(figure.model)
    print(
        f"{figure.model:14} {figure.batch:5} {figure.threads:7} {figure.theirs * 1e3:10.4g} {figure.ours * 1e3:10.4g} {figure.ratio:6.2f} "
        f"{'-' if goal is None else f'{goal:g}':>5} {figure.error:8.1e}",
        flush=True,
    )
    return figure


def parser():
    found = argparse.ArgumentParser(prog="python -m bench.networks", description="Whole networks, beside ONNX Runtime.")
    found.add_argument("--models", nargs="+", choices=models.MODELS, default=list(models.MODELS), metavar="NAME", help=", ".join(models.MODELS))
    found.add_argument("--batches", nargs="+", type=int, default=[1, 16], metavar="N", help="images at once (default: 1 16)")
    found.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="the same for both (default: 1 2)")
    found.add_argument("--seconds", type=float, default=10.0, help="time for each row, and three turns at least (default: 10)")
    found.add_argument("--profile", action="store_true", help="the time of each node below its row")
    found.add_argument("--csv", metavar="PATH", help="also write every figure there")
    return found


def main(arguments=None):
    options = parser().parse_args(arguments)
    if min(*options.batches, *options.threads) < 1 or options.seconds <= 0:
        raise SystemExit("python -m bench.networks: --batches, --threads and --seconds must be positive")
    for line in session.header(options.threads):
        print(line)
    print(f"{'model':14} {'batch':>5} {'threads':>7} {'theirs ms':>10} {'ours ms':>10} {'ratio':>6} {'goal':>5} {'error':>8}")
    figures = []
    for name in options.models:
        made = models.MODELS[name]("batch")
        network, model = onnx.load(made), made.SerializeToString()
        del made
        for batch in options.batches:
            for threads in options.threads:
                figure, x = race(name, model, network, batch, threads, options.seconds)
                figures.append(show(figure))
                if options.profile:
                    with cyconv.threads(threads):
                        print(network.profile(x))
    aimed = [figure for figure in figures if figure.model in GOALS]
    print(f"at or above goal: {sum(figure.ratio >= GOALS[figure.model] for figure in aimed)} of {len(aimed)}")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("model", "batch", "threads", "onnxruntime seconds", "cyconv seconds", "error", "ratio"))
            writer.writerows((*astuple(figure), figure.ratio) for figure in figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())

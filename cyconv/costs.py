"""Predicted time of each algorithm on one thread; the constants are written by bench/calibrate.py.

Measured on: not yet calibrated (guesses).
"""

from math import prod

SECONDS = {
    "direct": {"call": 5e-6, "multiply_add": 2e-11},
    "im2col": {"call": 2e-5, "multiply_add": 1.2e-11, "copied": 1e-10},
    "pool": {"call": 5e-6, "step": 2e-10},
    "reference": {"call": 1e-4, "multiply_add": 1e-8, "window": 2e-5, "sample": 5e-9},
}


def direct(problem):
    c = SECONDS["direct"]
    return c["call"] + c["multiply_add"] * problem.multiply_adds


def im2col(problem):
    c = SECONDS["im2col"]
    copied = problem.multiply_adds // max(problem.out_channels, 1) if problem.taps > 1 else 0
    return c["call"] + c["multiply_add"] * problem.multiply_adds + c["copied"] * 4 * copied


def reference(problem):
    c = SECONDS["reference"]
    return c["call"] * problem.taps + c["multiply_add"] * problem.multiply_adds


def pool(problem):
    c = SECONDS["pool"]
    return c["call"] + c["step"] * problem.steps


def reference_pool(problem):
    c = SECONDS["reference"]
    windows = problem.outputs // max(problem.planes, 1)
    samples = problem.outputs * prod(min(k, n) for k, n in zip(problem.kernel, problem.size))
    return c["call"] + c["window"] * windows + c["sample"] * samples

"""Predicted time of each algorithm on one thread; the constants are written by bench/calibrate.py.

Measured on: not yet calibrated (guesses).
"""

SECONDS = {
    "direct": {"call": 5e-6, "multiply_add": 2e-11},
    "im2col": {"call": 2e-5, "multiply_add": 1.2e-11, "copied": 1e-10},
    "reference": {"call": 1e-4, "multiply_add": 1e-8},
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

"""Predicted time of each algorithm on one thread; the constants are written by bench/calibrate.py.

Measured on: not yet calibrated (guesses).
"""

SECONDS = {
    "direct": {"call": 5e-6, "multiply_add": 2e-11},
    "reference": {"call": 1e-4, "multiply_add": 1e-8},
}


def direct(problem):
    c = SECONDS["direct"]
    return c["call"] + c["multiply_add"] * problem.multiply_adds


def reference(problem):
    c = SECONDS["reference"]
    return c["call"] * problem.taps + c["multiply_add"] * problem.multiply_adds

"""Convolutions drawn at random, and comparisons to the last bit or to what is not finite, for the tests of what the README promises about numbers."""

import itertools
import time

import numpy as np
import pytest
from cases import ROWS, Case, problem_of


def drawn_case(rng, most=24):
    """A small convolution of any rank, stride, dilation, padding and groups, which may not be possible."""
    rank = int(rng.integers(1, 4))
    groups, each, out = [(1, 1, 1), (1, 2, 3), (1, 4, 2), (1, 9, 5), (2, 3, 2), (17, 1, 1)][rng.integers(6)]
    kernel = [int(k) for k in rng.choice([1, 2, 3, 3, 3, 5, 9] if rank < 3 else [1, 2, 3, 3], rank)]
    size = [int(rng.integers(max(k - 1, 1), most if rank < 3 else 9)) for k in kernel]
    arguments = {
        "groups": groups,
        "stride": tuple(int(s) for s in rng.choice([1, 1, 1, 2, 3], rank)),
        "dilation": tuple(int(d) for d in rng.choice([1, 1, 1, 2], rank)),
        "padding": tuple((int(b), int(a)) for b, a in rng.integers(0, 4, (rank, 2))),
        "padding_mode": str(rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])),
    }
    return Case("drawn", (int(rng.integers(1, 4)), groups * each, *size), (groups * out, each, *kernel), arguments)


def drawn_problems(rng, name, dtype, count, seconds=None):
    """(case, problem) that the row takes: so many, or as many as there is time for."""
    end = time.monotonic() + (seconds or 0)
    found = 0
    for draw in itertools.count():
        if found >= count if seconds is None else time.monotonic() > end:
            return
        if draw == 100 and not found:
            if seconds is None:
                pytest.skip(f"{name} does not take {dtype}")
            return
        case = drawn_case(rng)
        try:
            what = problem_of(case, dtype, np.zeros(case.weight[0], dtype))
        except ValueError:
            continue
        if ROWS[name].module.why_not(what) is None:
            found += 1
            yield case, what


def numbers(rng, shape, dtype):
    """Small ones with few digits, zeros among them."""
    values = rng.integers(-2, 3, shape) / 4
    return (values + 1j * rng.integers(-2, 3, shape) / 4).astype(dtype) if np.dtype(dtype).kind == "c" else values.astype(dtype)


def spoiled(rng, array, count):
    """A copy with so many numbers that are not finite: at its ends, or anywhere."""
    array = array.copy()
    for _ in range(count if array.size else 0):
        part = array if array.dtype.kind != "c" else array.real if rng.random() < 0.5 else array.imag
        part.flat[rng.choice([0, array.size - 1, rng.integers(array.size)])] = rng.choice([np.nan, np.inf, -np.inf])
    return array


def footprint(array):
    """What is NaN, what is infinite with which sign, of each part of complex numbers."""
    parts = (array.real, array.imag) if array.dtype.kind == "c" else (array,)
    return np.stack([np.select([np.isnan(part), np.isposinf(part), np.isneginf(part)], [2, 1, -1], 0) for part in parts])


def same_footprint(got, want, message=""):
    np.testing.assert_array_equal(footprint(got), footprint(want), err_msg=str(message))


def same_bits(got, want, message=""):
    assert got.shape == want.shape and got.dtype == want.dtype and got.tobytes() == want.tobytes(), message

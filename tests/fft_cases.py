"""What the test files of `fft` share."""

import numpy as np

import cyconv
from cyconv import menu
from cyconv.problem import MAX_WORKSPACE, conv_problem

ROW = next(row for row in menu.CONV if row.name == "fft")
CONV = {1: cyconv.conv1d, 2: cyconv.conv2d, 3: cyconv.conv3d}


def data(rng, shape, dtype):
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return x.astype(dtype)


def problem_of(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros", max_workspace=MAX_WORKSPACE
):  # fmt: skip
    return conv_problem(w.ndim - 2, x, w, b, stride, padding, dilation, groups, padding_mode, "default", max_workspace)


def wide(array):
    return None if array is None else array.astype("complex128" if array.dtype.kind == "c" else "float64")

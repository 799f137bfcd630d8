"""Parity of the convolutions with torch.nn.functional, where PyTorch is installed."""

import itertools

import numpy as np
import pytest
from cases import CASES, arrays

import cyconv

pytestmark = pytest.mark.backends

torch = pytest.importorskip("torch")
F = torch.nn.functional


def tensors(*values):
    return [None if v is None else torch.from_numpy(v) for v in values]


@pytest.mark.parametrize("case", [c for c in CASES if 0 not in c.input and 0 not in c.weight], ids=str)
def test_cases(case):
    options = dict(case.arguments)
    padding = options.get("padding", 0)
    if options.pop("padding_mode", "zeros") != "zeros" or padding in ("same_upper", "same_lower", "full"):
        pytest.skip("torch.nn.functional has no such padding")
    if not isinstance(padding, (int, str)) and any(isinstance(p, tuple) for p in padding):
        pytest.skip("torch.nn.functional has no such padding")
    if padding == "same":
        import warnings

        warnings.simplefilter("ignore")  # torch warns that an even kernel costs it a copy
    x, w, b = arrays(case, "float64")
    want = getattr(F, f"conv{case.rank}d")(*tensors(x, w, b), **options).numpy()
    np.testing.assert_array_equal(getattr(cyconv, f"conv{case.rank}d")(x, w, b, **case.arguments), want)


def test_grid_of_arguments_in_2d():
    rng = np.random.default_rng(0)
    for k, s, p, d, g in itertools.product(((1, 2), (3, 3)), (1, (2, 3)), (0, (2, 1), "valid"), (1, (2, 1)), (1, 2)):
        x, w = rng.integers(-3, 4, (2, 4, 8, 9)).astype("float32"), rng.integers(-3, 4, (6, 4 // g, *k)).astype("float32")
        b = rng.integers(-3, 4, 6).astype("float32")
        want = F.conv2d(*tensors(x, w, b), s, p, d, g).numpy()
        np.testing.assert_array_equal(cyconv.conv2d(x, w, b, s, p, d, g), want)


def test_positional_order_of_the_transposed():
    rng = np.random.default_rng(1)
    for s, p, o, g, d in itertools.product((1, (3, 2)), (0, (1, 2)), (0, 1), (1, 2), (1, (2, 3))):
        if o >= min(max(a, b) for a, b in zip(np.broadcast_to(s, 2), np.broadcast_to(d, 2))):
            continue
        x, w = rng.integers(-3, 4, (2, 4, 5, 6)).astype("float32"), rng.integers(-3, 4, (4, 3, 3, 2)).astype("float32")
        b = rng.integers(-3, 4, 3 * g).astype("float32")
        want = F.conv_transpose2d(*tensors(x, w, b), s, p, o, g, d).numpy()
        np.testing.assert_array_equal(cyconv.conv_transpose2d(x, w, b, s, p, o, g, d), want)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_are_those_of_torch_pad(mode):
    rng = np.random.default_rng(2)
    x, w = rng.integers(-3, 4, (1, 2, 6, 7)).astype("float32"), rng.integers(-3, 4, (3, 2, 3, 3)).astype("float32")
    want = F.conv2d(F.pad(torch.from_numpy(x), (3, 1, 2, 4), mode=mode), torch.from_numpy(w)).numpy()
    np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=((2, 4), (3, 1)), padding_mode=mode), want)


def test_tensors_are_arrays():
    x, w = torch.ones(1, 2, 5), torch.ones(3, 2, 2)
    np.testing.assert_array_equal(cyconv.conv1d(x, w), F.conv1d(x, w).numpy())

"""No error is above the bound that the menu states for its row, on data that is made to be bad. `python -m bench.bounds` looks longer, at more
problems, and prints the table; `pytest -m slow tests/test_error_bounds.py` has it print one in about five minutes.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import ROWS

from cyconv import menu

ROOT = Path(__file__).parent.parent
if "bench" not in sys.modules:  # the checkout's, while cyconv may be the installed one
    _spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["bench"])
from bench import bounds  # noqa: E402

QUICK = {name: bounds.CONVOLUTIONS[name] for name in ("signal of three taps", "3x3", "depthwise")}
QUICK_POOLS = {name: bounds.POOLS[name] for name in ("3x3, padded", "whole planes", "adaptive", "of norm 2", "of norm 3, ragged")}


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("name", ROWS)
def test_convolutions(name):
    for dtype in bounds.DTYPES:
        found = bounds.convolution_worst(ROWS[name], dtype, np.random.default_rng(17), 0, QUICK, tries=1)
        assert found.ratio <= 1, found
        assert not found.outputs or found.ratio > 0.001 or dtype == "float16"


@pytest.mark.parametrize("name", ROWS)
def test_gradients(name):
    for dtype in ("float16", "float64", "complex64"):
        found = bounds.gradient_worst(ROWS[name], dtype, np.random.default_rng(18), 0, {"3x3": bounds.CONVOLUTIONS["3x3"]}, tries=1)
        assert found.ratio <= 1, found


@pytest.mark.parametrize("row", menu.POOL, ids=lambda row: row.name)
def test_pools(row):
    for dtype in bounds.DTYPES:
        found = bounds.pool_worst(row, dtype, np.random.default_rng(18), 0, QUICK_POOLS, tries=1)
        assert found.ratio <= 1, found


def test_a_bound_that_is_too_small_is_found_out(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    row = ROWS["winograd"]
    monkeypatch.setattr(bounds.menu, "CONV", (bounds.replace(row, bound=lambda problem: row.bound(problem) / 1000),))
    monkeypatch.setattr(bounds.menu, "POOL", ())
    assert bounds.main(["--dtypes", "float32", "--seconds", "0", "--tries", "1"]) == 1
    assert "BROKEN" in capsys.readouterr().out
    assert list(tmp_path.glob("broken_conv_winograd_float32.npz"))


@pytest.mark.slow
def test_the_table_of_bounds(capsys):
    assert bounds.main(["--seconds", "1", "--seed", "5"]) == 0
    with capsys.disabled():
        print()

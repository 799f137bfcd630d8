"""The benchmark of the GPU does what it says, on tiny rows and without a peer; its figures mean nothing here."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS = """
dense   conv2d      1x3x9x8      5x3x3x3  padding=1
image   conv2d      1x1x12x12    1x1x5x5  padding=2
signal  conv1d      1x1x300      1x1x31
pool    max_pool2d  2x3x8x8      kernel=2 stride=2 indices
"""


@pytest.fixture
def bench(cupy, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    monkeypatch.setattr(gpu, "ceilings", lambda cupy: {"float32": 1e12, "tf32": 1e12, "float16": 1e12, "bytes": 1e12})
    monkeypatch.setitem(sys.modules, "torch", None)  # not to be imported
    monkeypatch.setattr(gpu, "cupyx_calls", lambda *arguments: {})
    file = tmp_path / "rows.txt"
    file.write_text(ROWS)
    monkeypatch.setattr(gpu, "TURN", 1e-6)
    return gpu, ["--files", str(file), "--seconds", "0.001", "--batches", "2", "1"]


def test_every_row_is_checked_and_timed(bench, capsys, tmp_path):
    gpu, arguments = bench
    assert gpu.main([*arguments, "--csv", str(tmp_path / "figures.csv")]) == 0
    printed = capsys.readouterr().out
    assert "WRONG" not in printed and "torch is not installed" in printed
    with open(tmp_path / "figures.csv") as file:
        rows = list(csv.DictReader(file))
    timed = {(r["row"], r["batch"], r["mode"]) for r in rows if r["contender"] == "cyconv" and float(r["milliseconds"]) > 0}
    several = {(row, batch, mode) for row in ("dense", "pool") for batch in "12" for mode in gpu.MODES}
    assert timed == several | {(row, "1", mode) for row in ("image", "signal") for mode in gpu.MODES}
    assert {r["contender"] for r in rows if r["row"] == "dense"} >= {"cyconv", "cyconv plan", "direct", "implicit_gemm"}


def test_a_wrong_answer_is_not_timed(bench, capsys, monkeypatch):
    gpu, arguments = bench
    own_calls = gpu.own_calls

    def wrong(row, mode, x, weight):
        calls, chosen, left_out = own_calls(row, mode, x, weight)
        first = calls["cyconv"]
        return calls | {"cyconv": lambda: first() * 1.01 if row.is_conv else first()}, chosen, left_out

    monkeypatch.setattr(gpu, "own_calls", wrong)
    assert gpu.main([*arguments, "--rows", "dense", "--modes", "float32"]) == 1
    assert "WRONG, not timed: cyconv: item 0: off by" in capsys.readouterr().out


def test_ceilings(cupy, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    found = gpu.ceilings(cupy, side=32, copied=4096)
    assert set(found) == {*gpu.MODES, "bytes"} and all(value > 0 for value in found.values())


def test_it_stops_when_its_time_is_over(bench, capsys):
    gpu, arguments = bench
    assert gpu.main([*arguments, "--minutes", "0"]) == 0
    assert "lines were not begun" in capsys.readouterr().out


def test_calibration_fits_the_table(cupy, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    calibrate = importlib.import_module("bench.calibrate_gpu")
    from cyconv.gpu import costs
    from cyconv.problem import MAX_WORKSPACE, known_conv_problem

    def problems(count, seed):
        for n in range(count):
            yield known_conv_problem(
                2, (1, 2 + n, 6, 6 + n), (4, 2 + n, 3, 3), None, *[np.dtype("float32")] * 2, None, (1, 1), (1, 1), (1, 1), 1, "zeros", "default", MAX_WORKSPACE
            )

    monkeypatch.setattr(calibrate, "random_problems", problems)
    monkeypatch.setattr(calibrate, "CALLS", 1e-6)
    before = dict(costs.SECONDS)
    assert calibrate.main(["--problems", "6", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "SECONDS = {" in printed and "chosen / best" in printed and '"direct": {"call":' in printed
    assert costs.SECONDS == before

"""The benchmark of the GPU does what it says, on tiny rows and with PyTorch on the CPU as a peer; its figures mean nothing here."""

import csv
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS = """
dense   conv2d      1x3x9x8      5x3x3x3  padding=1
image   conv2d      1x1x12x12    1x1x5x5  padding=2
signal  conv1d      1x1x300      1x1x31
pool    max_pool2d  2x3x8x8      kernel=2 stride=2 indices
mean    avg_pool2d  2x3x8x9      kernel=3 stride=2 padding=1
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
    monkeypatch.setattr(importlib.import_module("bench.gpu_timing"), "TURN", 1e-6)
    return gpu, ["--files", str(file), "--seconds", "0.001", "--batches", "2", "1", "--threads", "2"]


def test_every_row_is_checked_and_timed(bench, capsys, tmp_path):
    gpu, arguments = bench
    assert gpu.main([*arguments, "--csv", str(tmp_path / "figures.csv"), "--json", str(tmp_path / "figures.json")]) == 0
    printed = capsys.readouterr().out
    assert "WRONG" not in printed and "torch is not installed" in printed
    with open(tmp_path / "figures.csv") as file:
        rows = list(csv.DictReader(file))
    timed = {(r["row"], r["batch"], r["mode"]) for r in rows if r["contender"] == "cyconv" and float(r["milliseconds"]) > 0}
    pools = ("pool", "mean", "pool'", "mean'", "dense unfold", "dense fold")
    several = {("dense", batch, mode) for batch in "12" for mode in gpu.MODES}
    several |= {(row, batch, mode) for row in pools for batch in "12" for mode in ("float32", "float16")}  # TF32 is nothing to them
    assert timed == several | {(row, "1", mode) for row in ("image", "signal") for mode in gpu.MODES}
    assert {r["contender"] for r in rows if r["row"] == "dense"} >= {"cyconv", "cyconv plan", "direct", "implicit_gemm"}
    first, *lines, last = map(json.loads, (tmp_path / "figures.json").read_text().splitlines())
    assert first["about"]["device"] and set(first["ceilings"]) == {*gpu.MODES, "bytes"} and last["seconds"] > 0
    assert {(r["row"], str(r["batch"]), r["mode"]) for r in lines} == timed
    for r in lines:
        assert r["of the ceiling"]["bytes/s"] > 0 and (r["of the ceiling"]["FLOP/s"] > 0) == (r["row"] in ("dense", "image", "signal"))


def test_a_wrong_answer_is_not_timed(bench, capsys, monkeypatch):
    gpu, arguments = bench
    own_calls = gpu.own_calls

    def wrong(row, mode, x, weight):
        calls, *others = own_calls(row, mode, x, weight)
        first = calls["cyconv"]
        return calls | {"cyconv": lambda: first() * 1.01}, *others

    monkeypatch.setattr(gpu, "own_calls", wrong)
    assert gpu.main([*arguments, "--rows", "dense", "mean", "--modes", "float32"]) == 1
    printed = capsys.readouterr().out.splitlines()
    rows = [before.split(" " * 3)[0].strip() for before, after in zip(printed, printed[1:]) if "WRONG, not timed: cyconv: item 0: off by" in after]
    assert set(rows) == {"dense", "dense unfold", "dense fold", "mean", "mean'"}


def test_places_of_maxima_are_checked(bench):
    gpu, _ = bench
    values, places = np.ones((1, 1, 2)), np.array([[[0, 3]]])
    assert gpu.far_off((values, places), (values, places), 0.0, "float32") is None
    assert gpu.far_off((values, places + 1), (values, places), 0.0, "float32") == "2 of 2 places differ"
    assert "off by nan" in gpu.far_off((values * np.nan, places), (values, places), 0.0, "float32")


@pytest.mark.parametrize("name", ["cyconv", "direct", "torch"])
@pytest.mark.parametrize("calls", [1, 4])
def test_what_fails_is_told_and_others_go_on(name, calls, bench, capsys, monkeypatch, tmp_path):
    """At once, or when it is timed."""
    gpu, arguments = bench
    own_calls = gpu.own_calls

    def failing(row, mode, x, weight):
        found, *others = own_calls(row, mode, x, weight)
        working, called = found.get(name, found["cyconv"]), []

        def call(**out):
            called.append(1)
            if row.name == "dense" and len(called) >= calls:
                raise MemoryError("no more")
            return working(**out)

        return found | {name: call}, *others

    monkeypatch.setattr(gpu, "own_calls", failing)
    path = tmp_path / "figures.json"
    assert gpu.main([*arguments, "--rows", "dense", "image", "--without", "derived", "--modes", "float32", "--json", str(path)]) == (name != "torch")
    printed = capsys.readouterr().out
    assert ("WRONG, not timed: " + name + ": MemoryError: no more" in printed) == (name != "torch")
    _, *lines, _ = map(json.loads, path.read_text().splitlines())
    assert [(r["row"], r["batch"]) for r in lines] == [("dense", 2), ("image", 1), ("dense", 1)]
    for r in lines:
        assert (name in r["milliseconds"]) == (r["row"] == "image") and {"cyconv plan", "implicit_gemm"} <= r["milliseconds"].keys()
        if r["row"] == "dense":
            assert r["not run" if name == "torch" else "wrong"][name] == "MemoryError: no more"


def test_a_row_that_fails_and_a_device_that_is_lost(bench, capsys, stand_in, monkeypatch):
    (gpu, arguments), cupy = bench, stand_in
    arrays_on, arguments = gpu.arrays_on, [*arguments, "--without", "derived", "--modes", "float32"]

    def failing(cupy, row, dtype):
        if row.name == "image":
            raise MemoryError("too large")
        return arrays_on(cupy, row, dtype)

    monkeypatch.setattr(gpu, "arrays_on", failing)
    assert gpu.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "not run: MemoryError: too large" in printed and "\npool " in printed

    def lost():
        raise RuntimeError("an illegal memory access")

    def losing(row, mode, x, weight):
        if type(x) is cupy.ndarray and row.name == "image" and not ahead:
            monkeypatch.setattr(cupy.cuda.Stream, "synchronize", lambda self: lost())
            return {"cyconv": lost}, "", {}, None
        return own_calls(row, mode, x, weight)

    own_calls, ahead, all_ahead = gpu.own_calls, [], gpu.ahead

    def told(*arguments):
        ahead.append(1)
        found = all_ahead(*arguments)
        ahead.clear()
        return found

    monkeypatch.setattr(gpu, "arrays_on", arrays_on)
    monkeypatch.setattr(gpu, "own_calls", losing)
    monkeypatch.setattr(gpu, "ahead", told)
    assert gpu.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "not run: Lost: " in printed and "does not get over this" in printed
    assert "\ndense " in printed and "\npool " not in printed


def test_kernels_are_compiled_ahead_and_none_is_run(bench, stand_in, monkeypatch):
    (gpu, arguments), cupy = bench, stand_in
    from host_gpu import kernels

    asked, launch = set(), importlib.import_module("cyconv.gpu.launch")
    get_function = kernels.RawModule.get_function
    monkeypatch.setattr(kernels.RawModule, "get_function", lambda self, name: asked.add(name) or get_function(self, name))

    def not_here(*arguments, **options):
        raise AssertionError("a kernel was run")

    options = [("dense", "float32"), ("pool'", "float32"), ("dense fold", "float16")]
    parsed = type("Options", (), dict(files=[arguments[1]], rows=["*"], batches=[2], modes=list(gpu.MODES), without=[]))
    lines = [(row, mode) for row, mode in gpu.chosen_lines(parsed) if (row.name, mode) in options]
    assert len(lines) == 3
    with monkeypatch.context() as patched:
        patched.setattr(kernels.Kernel, "__call__", not_here)
        exacts = gpu.ahead(cupy, lines, 60, 2)
    assert len(exacts) == 3 and not any(isinstance(each, Exception) for each in exacts.values()) and len(asked) > 4
    compiled = set(asked)
    asked.clear()
    launch.kernel.cache_clear()
    for row, mode in lines:
        for call in gpu.own_calls(row, mode, *gpu.arrays_on(cupy, row, gpu.dtype_of(mode)))[0].values():
            call()
    assert asked and asked <= compiled


PEERS = """
dense   conv2d             2x3x9x8    5x3x3x3  padding=1
strided conv2d             2x4x9x10   5x4x3x2  stride=2x1 padding=1 dilation=1x2
solid   conv3d             2x3x5x6x7  4x3x3x2x3
signal  conv1d             1x1x300    1x1x31
max     max_pool2d         2x3x9x8    kernel=3 stride=2 padding=1 indices
wide    max_pool2d         2x3x9x8    kernel=2x3 dilation=2x1 ceil_mode
line    max_pool1d         2x3x19     kernel=3 stride=2
cube    max_pool3d         2x3x5x6x7  kernel=2
mean    avg_pool2d         2x3x9x8    kernel=3 stride=2 padding=1 ceil_mode exclude_pad
sums    avg_pool3d         2x3x5x6x7  kernel=2 divisor=3
means   avg_pool1d         2x3x19     kernel=3 stride=2 padding=1
some    adaptive_avg_pool2d 2x3x9x8   output=4x3
most    adaptive_max_pool2d 2x3x9x8   output=3
"""


def test_pytorch_gives_the_same_answers(cupy, torch, monkeypatch):
    """By the very calls that are made on a GPU."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu, gradients, rows = (importlib.import_module(f"bench.{name}") for name in ("gpu", "gpu_gradients", "rows"))
    monkeypatch.setattr(gpu, "tensor", lambda torch, array: torch.from_numpy(array.get()))
    plain = rows.parse(PEERS, "here")
    everything = [*plain, *gradients.derived(plain)]
    assert len([row for row in everything if isinstance(row, gradients.Derived)]) == 9 + 4
    for row in everything:
        arrays = gpu.arrays_on(cupy, row, "float32")
        exact = gpu.exact_answer(row, "float32")
        _, chosen, _, places = gpu.own_calls(row, "float32", *arrays)
        calls = gpu.torch_calls(row, "float32", *arrays, places)
        assert ("torch channels_last" in calls) == (row in plain and row.rank > 1)
        for name, call in calls.items():
            assert gpu.check(row, "float32", name, call(), exact, {}, chosen) is None, (row.name, name)


def test_tf32_is_what_is_asked_for(torch, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    gpu = importlib.import_module("bench.gpu")
    for tf32 in (True, False):
        gpu.set_precision(torch, tf32)
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == tf32
        if hasattr(torch.backends.cudnn, "conv"):  # versions with newer words
            assert {torch.backends.cudnn.conv.fp32_precision == "tf32", torch.backends.cuda.matmul.fp32_precision == "tf32"} == {tf32}


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

"""The command `bench`: what it measures, its crossovers, its table, its CSV file and its picture."""

import csv
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest

import cyconv
from cyconv.__main__ import main
from cyconv.cli import CommandError, bench, measure, peers

SMALL = (
    bench.Family("signal", "A short signal", (1, 1, 3000), 1, (1, 3, 301)),
    bench.Family("image", "A small image", (1, 1, 40, 50), 1, (1, 5, 31)),
    bench.Family("layer", "A small layer", (1, 8, 16, 16), 8, (1, 3)),
)


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Runs one command line on small problems, here: (exit status, stdout, stderr)."""
    monkeypatch.setattr(bench, "FAMILIES", SMALL)
    monkeypatch.chdir(tmp_path)

    def cyconv_command(*arguments):
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code
        return (status, *capsys.readouterr())

    return cyconv_command


@pytest.fixture
def no_work(monkeypatch):
    """Whoever measures fails."""
    monkeypatch.setattr(bench, "measured", lambda *_: pytest.fail("measured"))


def weight_of(family, kernel, dtype=np.float32):
    return np.random.default_rng(0).standard_normal(family.weight_shape(kernel)).astype(dtype)


# ---- the command -------------------------------------------------------------------------------------------------------


def test_it_prints_tables_and_writes_what_it_measured(run_here, tmp_path):
    status, told, errors = run_here("bench", "--seconds", 1, "--csv", "out.csv")
    assert (status, errors) == (0, "")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    about = [line for line in lines if line.startswith("#")]
    assert about == lines[: len(about)] and told.startswith("\n".join(line[2:] for line in about))
    assert cyconv.__version__ in about[1] and np.__version__ in about[1] and "1 thread, float32" in about[0]
    rows = list(csv.DictReader(lines[len(about) :]))
    assert all(float(row["seconds"]) > 0 and int(row["runs"]) >= 1 for row in rows)
    assert {(row["dtype"], row["threads"]) for row in rows} == {("float32", "1")}
    for family, section in zip(SMALL, told.split("\n\n")[1:]):
        title, head, *table = section.splitlines()
        assert title.startswith(f"{family.title}: {'x'.join(map(str, family.shape))} * ")
        x = np.zeros(family.shape, np.float32)
        for kernel, line in zip(family.kernels, table):
            explained = cyconv.explain(x, weight_of(family, kernel), padding="same")
            mine = [row for row in rows if row["family"] == family.name and int(row["kernel"]) == kernel]
            assert {row["weight"] for row in mine} == {"x".join(map(str, family.weight_shape(kernel)))}
            (auto,) = (row for row in mine if row["kind"] == "auto")
            assert (auto["contender"], auto["chosen"]) == ("auto", explained.chosen)
            named = {row["contender"]: row["chosen"] for row in mine if row["kind"] == "algorithm"}
            usable = {v.algorithm.name for v in explained.verdicts if v.declined is None}
            assert explained.chosen in named and set(named) <= usable and set(named.values()) == {""}
            cells = line.split()
            assert cells[0] == str(kernel) and explained.chosen in cells
            assert head.split()[1 : head.split().index("best")] == [
                name for name in bench.ALGORITHMS if any(r["contender"] == name and r["family"] == family.name for r in rows)
            ]
    libraries = {row["contender"] for row in rows if row["kind"] == "peer" and row["family"] == "signal"}
    assert {"SciPy oaconvolve", "SciPy fftconvolve", "SciPy correlate"} <= libraries
    assert ("torch" in libraries) == (peers.installed("torch") is not None)


def test_dtype_and_threads_reach_everybody(run_here, monkeypatch):
    seen = set()
    real = peers.ways

    def ways(x, weight):
        seen.add((x.dtype.name, weight.dtype.name, cyconv.get_num_threads()))
        return real(x, weight)

    monkeypatch.setattr(peers, "ways", ways)
    monkeypatch.setattr(bench, "FAMILIES", SMALL[2:])
    before = cyconv.get_num_threads()
    status, told, _ = run_here("bench", "--seconds", 0.2, "--threads", 2, "--dtype", "float64")
    assert status == 0 and "2 threads, float64" in told
    assert seen == {("float64", "float64", 2)} and cyconv.get_num_threads() == before


def test_the_picture_shows_every_family(run_here, tmp_path):
    pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    from PIL import Image

    from cyconv.cli import curves

    status, told, errors = run_here("bench", "--seconds", 0.5, "--plot", "out.png")
    assert (status, errors) == (0, "") and told.endswith("Written: out.png\n")
    with Image.open(tmp_path / "out.png") as picture:
        panel = curves.TITLE + curves.BAND + curves.PANEL + curves.FOOT
        assert (picture.format, picture.size) == ("PNG", (curves.WIDTH, curves.HEADER + 3 * panel))
        pixels = np.asarray(picture.convert("RGB"))
    paper = pixels[5, 5]
    for row in range(3):
        top = curves.HEADER + row * panel + curves.TITLE + curves.BAND
        shown = pixels[top : top + curves.PANEL, curves.LEFT : curves.WIDTH - curves.RIGHT]
        assert 0.01 < (shown != paper).any(axis=2).mean() < 0.5


def test_names_do_not_cover_one_another():
    pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from cyconv.cli import curves

    figure = Figure(figsize=(17, 6), dpi=100)
    FigureCanvasAgg(figure)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, 1700), ylim=(600, 0))
    place = (curves.LEFT / 1700, 0.1, (1700 - curves.LEFT - curves.RIGHT) / 1700, curves.PANEL / 600)
    axes = figure.add_axes(place, xscale="log", yscale="log", xlim=(1, 64), ylim=(1, 100))
    lines = {name: [(1, 2), (64, 10)] for name in ("direct", "fft", "im2col", "torch")}  # all end at one place
    lines |= {f"line {i}": [(1, 2), (8, 10)] for i in range(4)}
    curves._names(page, axes, lines, 64, 600 * 0.9 - curves.PANEL)
    boxes = [text.get_window_extent() for text in page.texts]
    assert len(boxes) == 8
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert box.x1 < 1700 and 60 <= box.y0 and box.y1 <= 60 + curves.PANEL


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["--csv", "none/out.csv"], 1, ["none/out.csv", "no folder none"]),
        (["--plot", "none/out.png"], 1, ["none/out.png", "no folder none"]),
        (["--csv", "."], 1, ["it is a folder"]),
        (["--plot", "out.what"], 1, ["out.what", "picture format"]),
        (["--seconds", "0"], 2, ["--seconds", "above 0"]),
        (["--seconds", "soon"], 2, ["soon"]),
        (["--threads", "0"], 2, ["--threads"]),
        (["--dtype", "int8"], 2, ["int8", "float64"]),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(run_here, no_work, tmp_path, arguments, status, words):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    found, told, errors = run_here("bench", *arguments)
    assert (found, told) == (status, "")
    assert errors.count("\n") == 1 and all(word in errors for word in words), errors
    assert list(tmp_path.iterdir()) == []


def test_what_may_not_be_written_is_refused_before_the_work(run_here, no_work, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (".", os.W_OK))  # root may write everywhere
    assert run_here("bench", "--csv", "out.csv") == (1, "", "cyconv: cannot write out.csv: permission denied\n")


def test_a_wrong_answer_ends_the_command(run_here, monkeypatch, tmp_path):
    def ways(x, weight):
        expected = cyconv.conv1d(x, weight, padding="same")
        wrong = expected.copy()
        wrong[0, 0, -1] += 1e-3 * np.abs(expected).max()
        return {"right": lambda: expected, "wrong": lambda: wrong}

    monkeypatch.setattr(peers, "ways", ways)
    status, _, errors = run_here("bench", "--seconds", 0.2, "--csv", "out.csv")
    assert status == 1 and errors.startswith("cyconv: wrong result: wrong, signal, kernel 1: ") and "1.0e-03" in errors
    assert list(tmp_path.iterdir()) == []


def test_nan_is_wrong_and_rounding_is_not():
    expected = np.array([1, 2, 4], np.float32)
    bench._check("", expected + np.float32(1e-6), expected)
    with pytest.raises(CommandError, match="wrong result: x"):
        bench._check("x", expected + np.float32([0, np.nan, 0]), expected)


def test_progress_is_for_terminals_alone(run_here, monkeypatch):
    monkeypatch.setattr(bench, "FAMILIES", SMALL[2:])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, told, errors = run_here("bench", "--seconds", 0.1)
    assert status == 0 and "\r" not in told
    steps = errors.split("\r\x1b[K")[1:]
    assert [step[33:] for step in steps] == ["layer, kernel 1", "layer, kernel 3", ""] and steps[-1] == ""
    assert steps[0].startswith(f"[{' ' * 30}]") and 10 <= steps[1].count("#") <= 30


def test_missing_matplotlib_names_the_extra(run_here, no_work, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "cyconv.cli.curves", raising=False)
    monkeypatch.delattr("cyconv.cli.curves", raising=False)
    monkeypatch.delitem(sys.modules, "cyconv.cli.poster", raising=False)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    assert run_here("bench", "--plot", "out.png") == (1, "", 'cyconv: --plot needs matplotlib: pip install "cyconv[demo]"\n')


def test_interrupt_is_one_line(tmp_path):
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from cyconv.__main__ import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "bench", "--csv", "out.csv"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout.readline()  # the first line is printed when the work begins
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (130, "cyconv: interrupted\n")
    assert list(tmp_path.iterdir()) == []


# ---- the parts ---------------------------------------------------------------------------------------------------------


def test_families_have_odd_rising_kernels():
    for family in bench.FAMILIES:
        assert all(kernel % 2 for kernel in family.kernels) and all(a < b for a, b in pairwise(family.kernels))
        assert family.kernels[-1] <= family.shape[-1]


def test_crossovers_lie_where_straight_lines_meet():
    times = [{"a": 1.0, "b": 4.0}, {"a": 4.0, "b": 4.0}, {"a": 16.0, "b": 4.0}]
    assert bench.crossovers((1, 4, 16), times) == [(4.0, "a", "b")]
    times = [{"a": 1.0, "b": 2.0}, {"a": 16.0, "b": 2.0}]  # a grows by 16 from 1 to 16: a quarter of the way on both logarithms
    ((where, old, new),) = bench.crossovers((1, 16), times)
    assert where == pytest.approx(2) and (old, new) == ("a", "b")


def test_crossovers_of_what_is_not_timed_lie_in_the_middle():
    times = [{"a": 1.0}, {"b": 1.0, "c": 3.0}, {"a": 5.0, "b": 9.0, "c": 3.0}]
    found = bench.crossovers((1, 9, 81), times)
    assert [change[1:] for change in found] == [("a", "b"), ("b", "c")]
    assert found[0][0] == pytest.approx(3) and found[1][0] == pytest.approx(27)  # 9 sqrt(9): three times ahead, three behind


def test_crossovers_leave_out_the_noise():
    assert bench.crossovers((1, 3, 5), [{"a": 1.0, "b": 1.01}, {"a": 1.04, "b": 1.0}, {"a": 1.0, "b": 1.02}]) == []
    times = [{"a": 1.0, "b": 1.5}, {"a": 1.04, "b": 1.0}, {"a": 2.0, "b": 1.0}]  # b is ahead at 3 already, but by too little
    assert bench.crossovers((1, 3, 5), times) == [(3, "a", "b")]


def test_changes_of_the_choice_are_found_among_all_odd_kernels():
    def choose(kernel):
        return "a" if kernel < 11 else "b" if kernel < 13 else "c" if kernel < 200 else "a"

    found = bench.choice_changes((1, 9, 65, 1025), choose)
    assert found == [(9, 11, "a", "b"), (11, 13, "b", "c"), (199, 201, "c", "a")]
    assert bench.choice_changes((1, 3, 5), lambda _: "a") == []


def test_the_report_holds_ratios_and_crossovers():
    family = bench.Family("x", "An x", (1, 1, 99), 1, (1, 3))
    points = [
        bench.Point(1, "fft", {"auto": (2e-3, 5), "direct": (1e-3, 5), "fft": (4e-3, 5), "torch": (5e-3, 5), "SciPy": (8e-3, 5)}),
        bench.Point(3, "fft", {"auto": (1.2345, 5), "direct": (2, 5), "fft": (1, 5)}),
    ]
    lines = bench.report(family, points, [(1, 3, "fft", "winograd")]).splitlines()
    assert lines[0] == "An x: 1x1x99 * 1x1xk, medians in milliseconds"
    assert lines[2].split() == ["1", "1", "4", "torch", "5", "fft", "2", "2.00", "2.50"]
    assert lines[3].split() == ["3", "2000", "1000", "-", "-", "fft", "1234", "1.23", "-"]
    assert lines[4:] == ["quickest: direct, fft from about 2.08", "choice:   fft, winograd from 3"]  # 3^(log 4 / (log 4 + log 2))


def test_slow_contenders_are_left_out(monkeypatch):
    family, late = SMALL[0], set()
    slow = cyconv.conv1d(*bench._arrays(family, 3, "float32"), padding="same")
    monkeypatch.setattr(peers, "ways", lambda x, weight: {"slow": lambda: time.sleep(0.02) or slow})
    point = bench.measured(family, 3, "float32", 0.1, late)
    assert late == {"slow"} and point.times["slow"][0] > 0.02
    assert "slow" not in bench.measured(family, 3, "float32", 0.1, late).times
    hurried = bench.measured(family, 3, "float32", 1e-9, late)  # no algorithm is quick enough but the choice
    assert set(hurried.times) == {"auto", hurried.chosen}


def test_turns_share_the_time():
    calls = dict.fromkeys(("quick", "slow"), 0)

    def way(name, seconds):
        def call():
            calls[name] += 1
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass

        return call

    begin = time.perf_counter()
    found = measure.in_turn({"quick": way("quick", 1e-4), "slow": way("slow", 0.02)}, 0.3)
    assert 0.3 <= time.perf_counter() - begin < 1
    assert 1e-4 <= found["quick"][0] < 5e-3 and 0.02 <= found["slow"][0] < 0.2
    assert found["quick"][1] > 3 * found["slow"][1] >= 3 and calls["slow"] == found["slow"][1]
    assert calls["quick"] >= 5 * found["quick"][1]  # short calls are repeated


@pytest.mark.parametrize("family", SMALL, ids=lambda family: family.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_peers_have_the_result_of_the_reference(family, dtype):
    kernel = family.kernels[1]
    x, weight = bench._arrays(family, kernel, dtype)
    function = getattr(cyconv, f"conv{x.ndim - 2}d")
    expected = function(x, weight, padding="same", algorithm="reference")
    ways = peers.ways(x, weight)
    assert len(ways) >= (3 if family.shape[1] == 1 else 0)
    for way in ways.values():
        answer = np.asarray(way()).reshape(expected.shape)
        np.testing.assert_allclose(answer, expected, atol=200 * np.finfo(dtype).eps * np.abs(expected).max())

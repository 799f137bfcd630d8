"""The benchmark: its problem files, its checks (a wrong answer must not be timed), its table, and the calibration."""

import ast
import csv
import importlib.util
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, arrays, problem_of

import cyconv
from cyconv import calibration, costs, menu

ROOT = Path(__file__).parent.parent
if (
    "bench" not in sys.modules
):  # without putting the checkout on the path, where its cyconv would hide the installed one
    _spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["bench"])

from bench import apart, calibrate, contenders, data, peers, rows, session, timing  # noqa: E402
from bench.__main__ import chosen_rows, main, parser  # noqa: E402

FILES = sorted(path.stem for path in rows.PROBLEMS.glob("*.txt"))


# ---- problem files -----------------------------------------------------------------------------------------------------


def test_a_line_says_what_it_seems_to_say():
    row = rows.parse_line("x conv2d 2x6x9x8 4x3x3x1 stride=2x1 padding=1x0 groups=2 dtype=float64 bias  # why")
    problem = row.problem()
    assert (row.name, row.function, row.dtype) == ("x", "conv2d", "float64")
    assert problem.input_shape == (2, 6, 9, 8)
    assert problem.weight_shape == (4, 3, 3, 1)
    assert (problem.stride, problem.pad_before, problem.groups, problem.has_bias) == ((1, 2, 1), (0, 1, 0), 2, True)
    pool = rows.parse_line("p max_pool2d 1x4x8x8 kernel=3x2 stride=2 indices")
    assert pool.problem() is None
    assert data.keywords(pool) == {"kernel_size": (3, 2), "stride": 2, "return_indices": True}
    aimed = rows.parse_line("p conv1d 1x1x8 1x1x3 goal=1.05 padding=1")
    assert (aimed.goal, aimed.options, pool.goal) == (1.05, {"padding": 1}, None)
    assert "goal" not in aimed.line  # which tells whether two files name the same problem


@pytest.mark.parametrize("name", FILES)
def test_every_file_names_legal_problems(name):
    found = rows.read([name])
    assert found
    for row in found:
        if row.is_conv:
            assert row.problem().outputs > 0
        else:
            assert all(data.windows(row, axis) for axis in range(row.rank))


def test_the_peers_file_has_the_rows_that_were_measured_before():
    names = {row.name for row in rows.read(["peers"])}
    assert {
        "vgg1_2",
        "r50_stem",
        "mbn_dw7",
        "img1_31",
        "sig_1k",
        "pool_max_2x2_idx",
        "pool_avg_global",
        "tiny_conv",
    } <= names
    assert len(names) == 30
    assert all(row.goal for row in rows.read(["peers"]))


@pytest.mark.parametrize(
    "line, message",
    [
        ("x conv2d", "too short"),
        ("x blur2d 1x1x4x4 kernel=3", "'blur2d' is no function"),
        ("x conv4d 1x1x4x4 1x1x3x3", "'conv4d' is no function"),
        ("x conv2d 1x1x4x4", "needs the weight's shape"),
        ("x conv2d 1x1x4 1x1x3x3", "has 3 axes, not 4"),
        ("x conv2d 1x1x4x4 1x1x3xx3", "the weight's shape '1x1x3xx3' is no shape"),
        ("x conv2d 1x1x0x4 1x1x3x3", "is empty"),
        ("x conv2d 1x1x4x4 1x1x3x3 kernel=3", "'kernel' is not for conv2d"),
        ("x conv2d 1x1x4x4 1x1x3x3 padding=1 padding=1", "'padding' is given twice"),
        ("x conv2d 1x1x4x4 1x1x3x3 padding", "written as padding=VALUE"),
        ("x conv2d 1x1x4x4 1x1x3x3 bias=1", "takes no value"),
        ("x conv2d 1x1x4x4 1x1x3x3 stride=1x1x1", "has 3 values"),
        ("x conv2d 1x1x4x4 1x1x3x3 groups=two", "'two' is no number"),
        ("x conv2d 1x1x4x4 1x1x3x3 dtype=float8", "dtype 'float8' is none of"),
        ("x conv2d 1x1x4x4 1x1x3x3 goal=much", "goal is a number"),
        ("x conv2d 1x1x4x4 1x1x3x3 goal=1 goal=2", "given once"),
        ("x conv2d 1x1x4x4 1x1x9x9", "kernel is larger than the padded input"),
        ("x max_pool2d 1x1x4x4 stride=2", "needs kernel="),
        ("x max_pool2d 1x1x4x4 kernel=2 padding=2", "more than half of kernel"),
        ("x avg_pool2d 1x1x4x4 kernel=5", "larger than the padded input"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(line, message):
    with pytest.raises(ValueError, match="f.txt, line 2: .*" + message):
        rows.parse(f"# comment\n{line}\n", "f.txt")


def test_names_are_taken_once():
    with pytest.raises(ValueError, match="line 2: the name 'x' is taken"):
        rows.parse("x conv1d 1x1x4 1x1x2\nx conv1d 1x1x4 1x1x3", "f.txt")


def test_unknown_files_and_rows():
    with pytest.raises(ValueError, match="no problem file 'pears'.*peers"):
        rows.read(["pears"])
    with pytest.raises(ValueError, match="no row is named nobody"):
        chosen_rows(parser().parse_args(["--rows", "nobody"]))
    assert [row.name for row in chosen_rows(parser().parse_args(["--rows", "vgg1_?"]))] == ["vgg1_1", "vgg1_2"]


# ---- answers -----------------------------------------------------------------------------------------------------------

CHECKED = [
    "a conv2d 2x4x9x8 6x2x3x3 padding=1 stride=2 groups=2 bias",
    "b conv1d 1x3x50 4x3x5 dilation=2 dtype=float64",
    "c conv3d 1x2x5x6x7 3x2x2x2x2 padding=1 dtype=int32",
    "d conv2d 1x2x8x8 3x2x3x3 padding=1 padding_mode=reflect dtype=float16",
    "e conv1d 1x2x30 2x2x4 dtype=complex64",
]


@pytest.mark.parametrize("line", CHECKED)
def test_every_algorithm_passes_and_a_small_error_does_not(line):
    row = rows.parse_line(line)
    x, weight, bias = data.arrays(row)
    exact = data.exact(row, x, weight, bias)
    found, _, left_out = contenders.cyconv_contenders(row, x, weight, bias)
    assert {c.name for c in found} | left_out.keys() == {"cyconv", "cyconv plan"} | {a.name for a in menu.CONV}
    for contender in found:
        answer = contender.call().copy()
        assert exact.error(answer, contender.bound, contender.scale) is None, contender.name
        answer[(-1,) * answer.ndim] += {"float16": 0.5, "int32": 1}.get(row.dtype, 1e-3)
        assert "off by" in str(exact.error(answer, contender.bound, contender.scale)) or "differ" in str(
            exact.error(answer, contender.bound, contender.scale)
        )
        answer[(0,) * answer.ndim] = np.nan if answer.dtype.kind in "fc" else 99
        assert exact.error(answer, contender.bound, contender.scale) is not None
        assert "shape" in exact.error(answer[:, :1], contender.bound, contender.scale)


@pytest.mark.parametrize(
    "line", ["a conv1d 1x1x300 1x1x90 stride=2 padding=7", "b conv2d 2x1x40x50 1x1x9x11 padding=4x5 stride=1x3 bias"]
)
def test_transforms_check_long_filters_as_well_as_sums(line, monkeypatch):
    row = rows.parse_line(line)
    x, weight, bias = data.arrays(row)
    quick = data.exact(row, x, weight, bias)
    monkeypatch.setattr(data, "_LONG", 1000)
    slow = data.exact(row, x, weight, bias)
    np.testing.assert_allclose(quick.answer[0], slow.answer[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(quick.terms, slow.terms, rtol=1e-12)
    assert slow.error(cyconv_call(row, x, weight, bias), menu.CONV[0].bound(row.problem())) is None


def cyconv_call(row, x, weight, bias):
    return getattr(cyconv, row.function)(x, weight, bias, **data.keywords(row))


POOLS = [
    "a max_pool2d 2x3x9x8 kernel=3 stride=2 padding=1 indices",
    "b max_pool2d 2x3x9x8 kernel=2x3 stride=2x1 dilation=2 indices",
    "c max_pool1d 1x2x11 kernel=3 stride=2 ceil_mode indices",
    "d avg_pool2d 2x3x9x8 kernel=3 stride=2 padding=1",
    "e avg_pool2d 2x3x9x8 kernel=3x2 stride=2 padding=1 exclude_pad",
    "f avg_pool3d 1x2x5x6x7 kernel=2 ceil_mode padding=1 divisor=3",
    "g avg_pool2d 1x2x10x9 kernel=3 stride=2 padding=1 ceil_mode",
    "h adaptive_avg_pool2d 1x2x10x9 output=4x3",
    "i adaptive_max_pool2d 1x2x10x9 output=4x3 indices",
]


@pytest.mark.parametrize("line", POOLS)
def test_the_exact_answer_of_pooling_is_torch_s(line):
    torch = pytest.importorskip("torch")
    row = rows.parse_line(line)
    x, _, _ = data.arrays(row)
    answer = getattr(torch.nn.functional, row.function)(torch.from_numpy(x), **data.keywords(row))
    exact = data.exact(row, x, None, None)
    assert exact.error(answer) is None
    for part in data.as_answer(answer):
        part[(-1,) * part.ndim] += 1
        assert exact.error(answer) is not None
        part[(-1,) * part.ndim] -= 1


def test_maxima_and_averages_by_hand():
    row = rows.parse_line("x max_pool1d 1x1x4 kernel=2 indices")
    exact = data.exact(row, np.array([[[1, 3, 2, 2]]], np.float32), None, None)
    np.testing.assert_array_equal(exact.answer, [[[[3, 2]]], [[[1, 2]]]])
    row = rows.parse_line("x avg_pool1d 1x1x3 kernel=2 padding=1 stride=1")
    exact = data.exact(row, np.array([[[2, 4, 8]]], np.float32), None, None)
    np.testing.assert_array_equal(exact.answer[0], [[[1, 3, 6, 4]]])


# ---- timing and table --------------------------------------------------------------------------------------------------


def test_a_wrong_answer_is_reported_and_not_timed(monkeypatch, capsys):
    row = rows.parse_line("small conv2d 1x2x8x8 3x2x3x3")
    x, weight, _ = data.arrays(row)
    calls = []

    def faulty():
        calls.append(1)
        return cyconv.conv2d(x, weight) + np.float32(1e-3)

    result = session.measure(row, 1, 0.01, more=[contenders.Contender("faulty", faulty, library="faulty", bound=10.0)])
    assert "off by 0.001" in result.wrong["faulty"]
    assert "faulty" not in result.seconds
    assert len(calls) == 1
    assert {"cyconv", "cyconv plan", result.chosen} <= result.seconds.keys()
    monkeypatch.setattr(session, "measure", lambda *arguments: result)
    monkeypatch.setattr(session.timing, "peak_flops", lambda dtype: 1e11)
    monkeypatch.setattr(session.timing, "copy_bytes", lambda threads: 1e10)
    assert session.run([row], [1], 0.01) == 1
    assert "WRONG, not timed: faulty" in "".join(capsys.readouterr())


def test_figures_of_the_table():
    row = rows.parse_line("small conv2d 1x2x8x8 3x2x3x3 goal=2.5")
    result = session.Result(row, 1, "direct", work=4e6)
    result.seconds = {"cyconv": 2e-3, "cyconv plan": 1e-3, "direct": 2e-3, "fft": 1e-3, "torch": 3e-3, "other": 5e-3}
    result.library = dict.fromkeys(("cyconv", "cyconv plan", "direct", "fft"), "cyconv") | {
        "torch": "torch",
        "other": "other",
    }
    assert result.best_peer == ("torch", 3e-3)
    assert (result.ratio("cyconv"), result.ratio("cyconv plan"), result.regret) == pytest.approx((1.5, 3.0, 2.0))
    line = session.table_line(result, {"float32": 4e9, "copy": 1e9})
    assert " ".join(line.split()) == "small 2 1 direct 2.0 GF/s 50 torch 3 1.50 3.00 2.5 2.00"
    behind = session.Result(
        row, 1, "direct", {"cyconv": 1.0, "torch": 0.5}, library={"cyconv": "cyconv", "torch": "torch"}
    )
    text = "\n".join(session.summary([result, behind]))
    assert f"plain call: {math.sqrt(1.5 * 0.5):.2f} in the geometric mean of 2 rows" in text
    assert "farthest behind: small 0.50" in text
    assert "plain call at or above goal: 0 of 2; below 0.97: small 0.50" in text
    assert "plan at or above goal: 1 of 1; below 0.97: none" in text


def test_turns_are_taken_and_medians_reported():
    order = []
    seconds = timing.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 0.0)
    assert seconds.keys() == {"a", "b"}
    assert all(s >= 0 for s in seconds.values())
    turns = [a for a, b in zip(order, [None, *order]) if a != b]
    assert len(turns) >= 4  # three turns each, however short the budget, in any order: two may follow each other


@pytest.fixture
def session_apart(monkeypatch):
    """What Apart takes for a small row, and the row's exact answer."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    row = rows.parse_line("small conv2d 1x2x8x8 3x2x3x3 padding=1")
    x, weight, bias = data.arrays(row)
    with monkeypatch.context() as patch:
        patch.setattr(peers, "Apart", lambda *arguments: arguments)
        (contender,) = peers._onnxruntime(row, x, weight, bias, 2)
    return contender.call, data.exact(row, x, weight, bias)


def state(process):
    """R, S, T (stopped) ..., or None if there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return None


def test_a_process_apart_answers_and_stands_still_between_its_turns(session_apart):
    arguments, exact = session_apart
    call = apart.Apart(*arguments)
    assert exact.error(call()) is None
    assert 0 < timing.repeated(call, 3) < 1
    process = call._process.pid
    assert state(process) == "T"
    call.close()
    assert state(process) is None  # no zombie either
    call.close()


def test_a_process_apart_that_fails_or_ends_says_so(session_apart):
    arguments, _ = session_apart
    with pytest.raises(RuntimeError, match="(?i)model|protobuf"):
        apart.Apart(b"no model", *arguments[1:])
    call = apart.Apart(*arguments)
    os.kill(call._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="process has ended"):
        call()
    call.close()


def test_a_process_apart_may_end_before_it_is_stopped(session_apart, monkeypatch):
    arguments, _ = session_apart
    call = apart.Apart(*arguments)
    send = call._process.send_signal

    def late(number):
        if number == signal.SIGSTOP:
            call._process.kill()
            call._process.wait()
        send(number)

    monkeypatch.setattr(call._process, "send_signal", late)
    assert call() is not None
    with pytest.raises(RuntimeError, match="process has ended"):
        call()
    call.close()


def test_no_process_apart_is_left_by_an_interrupted_measurement(session_apart, monkeypatch):
    started = []

    class Recorded(peers.Apart):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self._process.pid)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(peers, "Apart", Recorded)
    monkeypatch.setattr(timing, "interleaved", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.measure(rows.parse_line("small conv2d 1x2x8x8 3x2x3x3"), 1, 0.01)
    assert len(started) == 1
    assert state(started[0]) is None


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_process_apart_ends_with_its_parent(session_apart, name):
    program = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "import pickle, apart\n"
        "contender = apart.Apart(*pickle.load(sys.stdin.buffer))\n"
        "print(contender._process.pid, flush=True)\n"
        "os.kill(os.getpid(), getattr(signal, sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "bench"), name],
        input=pickle.dumps(session_apart[0]), capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    child = int(done.stdout)
    end = time.monotonic() + 10
    while state(child) not in (None, "Z") and time.monotonic() < end:
        time.sleep(0.01)
    assert state(child) in (None, "Z"), done.stderr


def test_the_command(tmp_path):
    target = tmp_path / "figures.csv"
    command = [
        sys.executable,
        "-m",
        "bench",
        "--quick",
        "--seconds",
        "0.1",
        "--rows",
        "tiny_conv",
        "tiny_int",
        "lecture_1d",
        "--csv",
        str(target),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # bench is found in ROOT
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "level v" in done.stdout or "level base" in done.stdout
    lines = {
        line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith(("tiny_", "lecture_"))
    }
    assert lines.keys() == {"tiny_conv", "tiny_int", "lecture_1d"}
    assert float(lines["tiny_conv"][1]) > 0
    assert "chosen / best algorithm" in done.stdout
    with open(target) as file:
        figures = list(csv.DictReader(file))
    assert {f["contender"] for f in figures if f["row"] == "tiny_conv"} >= {
        "cyconv",
        "cyconv plan",
        "direct",
        "reference",
    }


def test_a_source_tree_that_is_not_built_never_hides_the_installed_cyconv(tmp_path):
    (tmp_path / "checkout" / "bench").mkdir(parents=True)
    for name in ("__init__.py", "installation.py"):
        (tmp_path / "checkout" / "bench" / name).write_text((ROOT / "bench" / name).read_text())
    for place in ("checkout", "installed"):
        (tmp_path / place / "cyconv").mkdir(parents=True)
        (tmp_path / place / "cyconv" / "__init__.py").write_text(f"place = {place!r}")
    program = "import sys; sys.path[:0] = sys.argv[1:]; from bench.installation import import_cyconv; import_cyconv(); import cyconv; print(cyconv.place)"

    def outcome(*places):
        command = [sys.executable, "-S", "-E", "-c", program, *(str(tmp_path / place) for place in places)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert outcome("checkout", "installed").stdout == "installed\n"
    alone = outcome("checkout")
    assert alone.returncode == 1
    assert "is not built; run `pip install .`" in alone.stderr
    (tmp_path / "checkout" / "cyconv" / "_platform.some-abi.so").touch()
    assert outcome("checkout", "installed").stdout == "checkout\n"


def test_bad_options():
    with pytest.raises(SystemExit, match="must be positive"):
        main(["--threads", "0"])
    with pytest.raises(SystemExit, match="no row is named nobody"):
        main(["--rows", "nobody"])


# ---- calibration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [row.name for row in menu.CONV])
def test_the_cost_model_is_amounts_times_seconds(name):
    for case in CASES:
        _, _, bias = arrays(case, "float32")
        problem = problem_of(case, "float32", bias)
        amounts = calibration.amounts(name, problem)
        assert amounts.keys() <= costs.SECONDS[name].keys()
        assert all(amount >= 0 for amount in amounts.values())
        seconds = sum(amount * costs.SECONDS[name][kind] for kind, amount in amounts.items())
        assert calibration.predicted(costs.SECONDS, name, problem) == pytest.approx(seconds)
        assert costs.seconds(name, amounts) == pytest.approx(seconds * costs.CAUTION.get(name, 1))


def test_the_fit_finds_the_seconds_that_times_were_made_of():
    problems = calibration.random_problems(60, seed=3)
    true = {kind: 10.0 ** -(6 + i % 4) for i, kind in enumerate(costs.SECONDS["direct"])}
    measured = {p: {"direct": calibration.predicted({"direct": true}, "direct", p)} for p in problems}
    measured[problems[0]]["direct"] *= 20  # disturbed
    table = {"direct": calibration.fit("direct", measured, costs.SHIPPED["direct"])}
    ratios = [calibration.predicted(table, "direct", p) / measured[p]["direct"] for p in problems[1:]]
    assert np.percentile(ratios, [5, 50, 95]) == pytest.approx([1, 1, 1], rel=0.02)


def test_only_the_marked_block_is_rewritten():
    text = (ROOT / "cyconv" / "costs.py").read_text()
    table = {name: dict.fromkeys(each, 1.5) for name, each in costs.SECONDS.items()}
    new = calibrate.rewritten(text, table, 'a "machine"', ["a remark"])
    block = new.partition(calibrate.BEGIN)[2].partition(calibrate.END)[0]
    assert ast.literal_eval(block.partition("SHIPPED = ")[2]) == table
    assert ast.literal_eval(block.partition("SOURCE = ")[2].partition("\n")[0]) == 'a "machine"'
    assert "# a remark" in new
    assert calibrate.rewritten(new, costs.SHIPPED, "", []).count("SHIPPED = {") == 1
    assert new.partition(calibrate.END)[2] == text.partition(calibrate.END)[2]
    with pytest.raises(SystemExit, match="no marked block"):
        calibrate.rewritten("nothing", table, "", [])


def test_calibrate_dry_run(capsys, monkeypatch):
    before = (ROOT / "cyconv" / "costs.py").read_text()
    monkeypatch.setattr(calibration, "MOST_WORK", 1e6)
    assert calibrate.main(["--problems", "6", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "new table, held-out problems:" in text
    assert "chosen / best algorithm" in text
    assert all(f'"{row.name}": {{' in text for row in menu.CONV)
    assert (ROOT / "cyconv" / "costs.py").read_text() == before

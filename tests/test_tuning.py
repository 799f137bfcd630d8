"""`python -m cyconv tune`, and the file that it leaves: used where it is for this machine, else ignored with one warning."""

import io
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from cyconv import calibration, costs, menu, tuning
from cyconv.cli import CommandError, tune

NAMES = {row.name for row in menu.CONV}
NO_SECONDS = (math.nan, math.inf, -1e-9, 2.0, 10**400, True, "1e-9", [1e-9])


def scaled(factor):
    return {name: {kind: value * factor for kind, value in each.items()} for name, each in costs.SHIPPED.items()}


def content(**changes):
    """What a good file holds, but for changes; None leaves a name out."""
    found = tuning.origin() | {"date": "2026-01-31", "seconds": scaled(2)} | changes
    return {name: value for name, value in found.items() if value is not None}


def with_seconds(name, **changes):
    """The same with another row of the table."""
    each = {kind: value for kind, value in (costs.SHIPPED[name] | changes).items() if value is not None}
    return content(seconds=costs.SHIPPED | {name: each})


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where a file would lie, in a process that has not looked for it yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CYCONV_TUNING")
    monkeypatch.setattr(costs, "_in_force", None)
    (tmp_path / "cyconv").mkdir()
    return tmp_path / "cyconv" / "tuning.json"


def run(*arguments, **environment):
    """A Python process of its own, in the environment that the test has made."""
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | environment, text=True, capture_output=True, timeout=100, check=False
    )  # fmt: skip


# ---- a good file -------------------------------------------------------------------------------------------------------

PREDICT = """
import numpy as np, cyconv
for shape, kernel, options in (
    ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}), ((1, 1, 5000), (1, 1, 700), {}), ((1, 8, 30, 30), (8, 1, 3, 3), {"groups": 8}),
):
    why = cyconv.explain(np.zeros(shape, "f4"), np.zeros(kernel, "f4"), **options)
    print(why.chosen, *(v.seconds.hex() for v in why.verdicts))
print(why.times)
"""


def test_every_algorithm_predicts_by_the_file(file):
    shipped = run("-c", PREDICT).stdout.splitlines()
    file.write_text(json.dumps(content()))
    *lines, times = run("-W", "error", "-c", PREDICT).stdout.splitlines()
    assert times == f"tuned on this machine, 2026-01-31 ({file})"
    assert shipped[-1] == f"shipped constants ({costs.SOURCE})"
    seen = set()
    for line, before in zip(lines, shipped[:-1], strict=True):
        (chosen, *found), (expected, *old) = line.split(), before.split()
        assert chosen == expected
        assert [float.fromhex(each) for each in found] == [2 * float.fromhex(each) for each in old]
        seen |= {row.name for row, each in zip(menu.CONV, old) if each != "inf"}
    assert seen == NAMES


def test_the_file_changes_choices(file):
    program = "import cyconv, numpy as np; x, w = np.ones((1, 64, 56, 56), 'f4'), np.ones((64, 64, 3, 3), 'f4')\n"
    program += "print(cyconv.explain(x, w).chosen, cyconv.plan_conv(x.shape, w).algorithm)"
    assert run("-c", program).stdout == "winograd winograd\n"
    file.write_text(json.dumps(content(seconds=costs.SHIPPED | {"im2col": dict.fromkeys(costs.SHIPPED["im2col"], 0.0)})))
    assert run("-c", program).stdout == "im2col im2col\n"


def test_tiles_of_fft_do_not_depend_on_the_file(file):
    """Or the last bits of its results would."""
    program = "import cyconv, numpy as np; from cyconv import cpu\n"
    program += "print(cpu.load('fft').layout(cyconv.plan_conv((1, 1, 90000), np.ones((1, 1, 50), 'f4')).problem)[2][2])"
    before = int(run("-c", program).stdout)
    file.write_text(json.dumps(with_seconds("fft", weight=1e-12, weight_pass=1e-12)))
    assert int(run("-c", program).stdout) == before


def test_the_command_line_says_where_times_come_from(file):
    file.write_text(json.dumps(content()))
    last = run("-m", "cyconv", "explain", "1x1x9", "1x1x3", HOME=str(file.parent.parent)).stdout.splitlines()[-1]
    assert last == "times: tuned on this machine, 2026-01-31 (~/cyconv/tuning.json)"
    assert re.search(rf"^times +tuned on this machine, 2026-01-31 \({re.escape(str(file))}\)$", run("-m", "cyconv", "info").stdout, re.MULTILINE)
    assert ") (CYCONV_TUNING=off)\n" in run("-m", "cyconv", "info", CYCONV_TUNING="off").stdout


def test_importing_cyconv_looks_for_no_file(file):
    file.write_text("damaged")
    program = "import sys, cyconv, cyconv.select; print('cyconv.tuning' in sys.modules)\n"
    program += "import numpy as np; cyconv.max_pool1d(np.ones((1, 1, 4)), 2)"
    result = run("-W", "error", "-c", program)
    assert (result.stdout, result.stderr) == ("False\n", "")


# ---- files that are ignored --------------------------------------------------------------------------------------------


def is_ignored_with_one_warning(file, *words):
    with pytest.warns(RuntimeWarning) as caught:
        for _ in range(3):
            assert costs.SECONDS is costs.SHIPPED
    assert len(caught) == 1
    for word in (str(file), "python -m cyconv tune", *words):
        assert word in str(caught[0].message)
    assert costs.in_force()[1] == f"shipped constants ({costs.SOURCE})"


@pytest.mark.parametrize(
    "written, word",
    [
        ("", "not JSON"),
        ('{"format": 1', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        pytest.param("[" * 10**5, "not JSON", id="deep"),
        pytest.param(json.dumps(content()) + " " * 2**20 + "}", None, id="long"),  # what lies beyond is not read
        ("[1, 2]", "not a JSON object"),
        *((content(**{name: None}), name) for name in content()),
        (content(date=20260131), "date"),
        (content(date="yesterday"), "date"),
        (content(seconds=[1, 2]), "seconds"),
        (content(seconds=scaled(1) | {"fft": 1e-9}), "seconds"),
        (content(seconds=scaled(1) | {"fft": list(costs.SHIPPED["fft"])}), "kinds of work"),
        (content(seconds=scaled(1) | {"magic": {"call": 1e-6}}), "algorithms"),
        (content(seconds={name: each for name, each in scaled(1).items() if name != "fft"}), "algorithms"),
        (with_seconds("direct", fma=None), "kinds of work"),
        (with_seconds("direct", magic=1e-9), "kinds of work"),
        *((with_seconds("direct", fma=value), "'fma' of 'direct'") for value in NO_SECONDS),
    ],
)
def test_damaged_files(file, written, word):
    written = json.dumps(written) if isinstance(written, dict) else written
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    if word is None:
        assert costs.SECONDS == scaled(2)
    else:
        is_ignored_with_one_warning(file, "damaged", word)


@pytest.mark.parametrize(
    "name, value",
    [("format", 2), ("cyconv", "0.0.9"), ("processor", "Abacus"), ("level", "v1"), ("level", ["v4"]), pytest.param("level", "v" * 10**5, id="long")],
)
def test_foreign_files(file, name, value):
    file.write_text(json.dumps(content(**{name: value})))
    is_ignored_with_one_warning(file, f"another {name}", repr(value)[:50], repr(tuning.origin()[name]))
    assert len(tuning.look(costs.SHIPPED)[1]) < 500 + len(str(file))


def test_a_folder_in_its_place(file):
    file.mkdir()
    is_ignored_with_one_warning(file, "cannot be read")


def test_a_file_without_permission(file, monkeypatch):
    file.write_text(json.dumps(content()))

    def forbidden(name, mode="r"):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(tuning, "open", forbidden, raising=False)  # whom chmod stops depends on who runs the tests
    is_ignored_with_one_warning(file, "cannot be read", "Permission denied")


def test_calls_go_on_after_the_warning(file):
    file.write_text("damaged")
    program = "import cyconv, numpy as np\n"
    program += "for n in range(9, 20): x = np.ones((1, 1, n)); cyconv.conv1d(x, x[..., :3]); cyconv.explain(x, x[..., :2])\n"
    result = run("-W", "always", "-c", program)
    assert (result.returncode, result.stderr.count("RuntimeWarning")) == (0, 1), result.stderr
    with pytest.raises(RuntimeWarning):  # as pytest.ini says of all warnings
        costs.in_force()
    assert costs.SECONDS is costs.SHIPPED


def test_all_threads_find_the_same_table(file):
    file.write_text("damaged")
    together, found = threading.Barrier(8), []

    def ask():
        together.wait()
        found.append(costs.SECONDS)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 8 and all(table is costs.SHIPPED for table in found)
    assert len(caught) == 1


# ---- no file, or none wanted -------------------------------------------------------------------------------------------


def test_no_file_is_no_matter(file, monkeypatch):
    assert costs.SECONDS is costs.SHIPPED
    monkeypatch.setenv("XDG_CONFIG_HOME", os.devnull)
    assert tuning.look(costs.SHIPPED) == (None, None)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda name: name)  # as where a user has no home
    monkeypatch.chdir(file.parent)
    assert tuning.path() is None
    assert tuning.look(costs.SHIPPED) == (None, None)
    with pytest.raises(CommandError, match="XDG_CONFIG_HOME"):
        tune.run(1)


@pytest.mark.parametrize("written", ["damaged", json.dumps(content())])
def test_off(file, monkeypatch, written):
    file.write_text(written)
    monkeypatch.setenv("CYCONV_TUNING", "off")
    assert costs.SECONDS is costs.SHIPPED


def test_other_values_of_the_variable(file, monkeypatch):
    file.write_text(json.dumps(content()))
    monkeypatch.setenv("CYCONV_TUNING", "of")
    for _ in range(2):
        with pytest.raises(ValueError, match="CYCONV_TUNING must be 'off'.*'of'"):
            costs.in_force()
    monkeypatch.setenv("CYCONV_TUNING", "")
    assert costs.SECONDS == scaled(2)
    result = run("-m", "cyconv", "tune", CYCONV_TUNING="of")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "CYCONV_TUNING" in result.stderr


@pytest.mark.parametrize(
    "platform, variable, value, expected",
    [
        ("linux", "XDG_CONFIG_HOME", "/somewhere", "/somewhere/cyconv/tuning.json"),
        ("linux", "XDG_CONFIG_HOME", "some/where", "/home/me/.config/cyconv/tuning.json"),
        ("linux", "XDG_CONFIG_HOME", "", "/home/me/.config/cyconv/tuning.json"),
        ("darwin", "XDG_CONFIG_HOME", "/somewhere", "/home/me/Library/Application Support/cyconv/tuning.json"),
        ("win32", "APPDATA", "/somewhere", "/somewhere/cyconv/tuning.json"),
        ("win32", "APPDATA", "", "/home/me/AppData/Roaming/cyconv/tuning.json"),
    ],
)
def test_the_configuration_folder(monkeypatch, platform, variable, value, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv(variable, value)
    assert str(tuning.path()) == expected


# ---- writing -----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(file):
    tuning.write(file, scaled(2))
    assert costs.SECONDS == scaled(2)
    assert list(costs.SECONDS["fft"]) == list(costs.SHIPPED["fft"])
    tuning.write(file, scaled(3))
    assert tuning.look(costs.SHIPPED)[0][0] == scaled(3)
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_cannot_be_finished_leaves_the_old_one(file, monkeypatch):
    tuning.write(file, scaled(2))
    with pytest.raises(TypeError):
        tuning.write(file, scaled(3) | {"fft": object()})  # fails when half of it is written

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        tuning.write(file, scaled(3))
    assert costs.SECONDS == scaled(2)
    assert os.listdir(file.parent) == [file.name]


# ---- the command -------------------------------------------------------------------------------------------------------


def test_tune_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "not" / "yet"))
    monkeypatch.delenv("CYCONV_TUNING")
    result = run("-W", "error", "-m", "cyconv", "tune", "--seconds", "1")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    file = tmp_path / "not" / "yet" / "cyconv" / "tuning.json"
    assert f"written to {file}\n" in result.stdout and "problems in" in result.stdout
    assert os.listdir(file.parent) == [file.name]
    told = run("-W", "error", "-c", PREDICT)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1].startswith("tuned on this machine, ")
    assert run("-m", "cyconv", "tune", "--reset").stdout == f"removed {file}\n"
    assert not file.exists()
    again = run("-m", "cyconv", "tune", "--reset")
    assert (again.returncode, again.stdout) == (0, f"there is no {file}\n")


def test_what_cannot_be_written_is_refused_before_the_work(file, monkeypatch):
    monkeypatch.setattr(calibration, "measure", lambda *_, **__: pytest.fail("measured"))
    file.parent.rmdir()
    file.parent.write_text("")
    with pytest.raises(CommandError, match="cannot write .*tuning.json"):
        tune.run(1)
    file.parent.unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CommandError, match="cannot write .*tuning.json"):
        tune.run(1)


def test_tune_measures_by_the_shipped_table_and_says_what_came_out(file, monkeypatch):
    file.write_text(json.dumps(content()))
    some = problems(80)
    monkeypatch.setattr(calibration, "random_problems", lambda count, seed: some)

    def measured(found, seconds, **limits):
        assert costs.SECONDS is costs.SHIPPED
        return made_of(elsewhere(), found)

    monkeypatch.setattr(calibration, "measure", measured)
    text = tune.run(1)
    assert text.startswith("80 problems in ") and "are kept" not in text
    lines = dict(line.rsplit("  ", 1) for line in text.splitlines() if line.count("  ") > 1)
    table = json.loads(file.read_text())["seconds"]
    assert {name: set(each) for name, each in table.items()} == {name: set(each) for name, each in costs.SHIPPED.items()}
    after = float(next(figure for name, figure in lines.items() if name.startswith("chosen")))
    assert 1 <= after < tune.quality([(costs.SHIPPED, measured(some, 1))])[1]
    assert costs.SECONDS is costs.SHIPPED  # what this process remembers about problems stays true
    monkeypatch.setenv("CYCONV_TUNING", "off")
    assert "CYCONV_TUNING=off ignores" in tune.run(1)


# ---- what is fitted ----------------------------------------------------------------------------------------------------


def problems(count):
    return calibration.random_problems(count, seed=4)


def made_of(table, found):
    """{problem: {algorithm: seconds}} as if this table were the truth."""
    usable = {p: [v.algorithm.name for v in calibration.select.verdicts(p) if v.declined is None] for p in found}
    return {p: {name: calibration.predicted(table, name, p) for name in names} for p, names in usable.items()}


def elsewhere():
    """The table of another machine: each kind of work takes about three times as long, but some ten times another."""
    rng = np.random.default_rng(2)

    def other(each):
        return {kind: value * 3 * math.exp(rng.normal(0, 0.8)) for kind, value in each.items()}

    return {name: other(each) for name, each in costs.SHIPPED.items()}


def test_kinds_that_are_hardly_seen_stay_near_the_old_ones():
    found = problems(40)
    old = scaled(2)["direct"]
    measured = made_of(scaled(6), found)
    few = dict(list(measured.items())[:3])

    def ratios(times, pull):
        return {kind: value / old[kind] for kind, value in calibration.fit("direct", times, old, pull).items()}

    def off(times, pull):
        table = {"direct": calibration.fit("direct", times, old, pull)}
        ratios = [calibration.predicted(table, "direct", p) / each["direct"] for p, each in measured.items()]
        return np.median(abs(np.log(ratios)))

    unseen = [kind for kind in old if not any(calibration.amounts("direct", p).get(kind) for p in few)]
    assert unseen and all(ratios(few, pull)[kind] == 1 for kind in unseen for pull in (0, 1))
    assert min(ratios(few, 0).values()) == 0  # three problems cannot tell so many kinds apart
    assert all(0.99 < ratio < 1.5 for ratio in ratios(few, 1).values())
    assert off(measured, 0) < 0.01 and off(measured, 1) < 0.15 < off(few, 1)  # forty can


def test_everything_is_as_much_slower_as_the_machine_is():
    measured = made_of(scaled(3), problems(60))
    assert tune.speed(measured) == pytest.approx(3)
    for name, each in tune.fit(measured).items():
        assert each == pytest.approx({kind: 3 * value for kind, value in costs.SHIPPED[name].items()}, rel=0.01)


def test_another_machine_gets_better_choices():
    truth = elsewhere()
    measured = made_of(truth, problems(160))
    table, before, after, fitted = tune.choose(measured)
    assert fitted
    assert 1 <= after[0] < before[0] and 1 <= after[1] < before[1]
    unseen = made_of(truth, calibration.random_problems(60, seed=6))
    before, after = tune.quality([(costs.SHIPPED, unseen)]), tune.quality([(table, unseen)])
    assert after[0] < before[0] and after[1] < before[1]


@pytest.mark.parametrize("worse", ["choices", "predictions"])
def test_a_fit_that_does_worse_is_not_kept(monkeypatch, worse):
    measured = made_of(scaled(3), problems(50))
    bad = scaled(100) if worse == "predictions" else scaled(3) | {"reference": dict.fromkeys(costs.SHIPPED["reference"], 0.0)}
    assert (tune.quality([(bad, measured)])[0] > 3) == (worse == "predictions")
    assert (tune.quality([(bad, measured)])[1] > 1) == (worse == "choices")
    monkeypatch.setattr(tune, "fit", lambda _: bad)
    table, before, after, fitted = tune.choose(measured)
    assert not fitted and all(table[name] == pytest.approx(each) for name, each in scaled(3).items())
    assert after[1] == before[1] and after[0] < before[0]


def test_few_problems_give_the_speed_alone():
    table, before, after, fitted = tune.choose(made_of(elsewhere(), problems(tune.FEW - 1)))
    assert not fitted and after[1] == before[1]
    factors = {table[name][kind] / value for name, each in costs.SHIPPED.items() for kind, value in each.items() if value}
    assert max(factors) == pytest.approx(min(factors))


# ---- the time that it takes --------------------------------------------------------------------------------------------


def test_measuring_ends_in_time_and_takes_turns(monkeypatch):
    asked = []

    def times(problem, **limits):
        asked.append(problem)
        time.sleep(0.01)
        return {"direct": len(asked)}

    monkeypatch.setattr(calibration, "times", times)
    begin = time.perf_counter()
    found = calibration.measure(range(1000), 0.4)
    assert time.perf_counter() - begin < 5
    count = len(found)
    assert 1 <= count <= 21 and asked[:count] == list(range(count)) == list(found)
    assert asked[count:] == list(range(len(asked) - count))
    assert found[0] == {"direct": 1}  # the least of both passes
    asked.clear()
    assert len(calibration.measure(range(7))) == 7 and asked == 2 * list(range(7))
    assert len(calibration.measure(range(7), 1e-9)) == 1


def test_a_bar_where_somebody_looks(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(calibration, "times", lambda problem: {})
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        calibration.measure(range(4))
        if stream.isatty():
            steps = stream.getvalue().split("\r")
            assert [step.split("]")[1].strip() for step in steps[1:]] == [f"{p} %" for p in (0, 12, 25, 38, 50, 62, 75, 88, 100)]
            assert steps[5].startswith("[" + 20 * "#" + 20 * " " + "]")
            assert steps[-1].endswith("\n") and "\n" not in "".join(steps[:-1])
        else:
            assert stream.getvalue() == ""

"""What README.md says is so: its first example runs, its table names every function, its commands test and show."""

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

import cyconv
from cyconv import cpu, functional, grad, menu, nn
from cyconv.__main__ import main
from cyconv.cli import kernels

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_first_example_runs_as_pasted(text, capsys):
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    names = {}
    exec(example, names)
    assert names["features"].shape == (1, 8, 600, 512)
    assert names["pooled"].shape == names["where"].shape == (1, 8, 300, 256)
    assert "chosen" in capsys.readouterr().out


def test_the_network_learns_as_pasted(text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "nn.Sequential" in code)
    names = {}
    exec(example, names)
    assert names["losses"][-1] < names["losses"][0] / 2
    *table, field = capsys.readouterr().out.strip().splitlines()
    assert any("Conv2d" in line for line in table)
    assert field in example


def test_the_volume_in_chunks_is_computed_as_pasted(text, capsys):
    pytest.importorskip("dask.array")
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "dask.array" in code)
    exec(example, {})
    assert 0.5 < float(capsys.readouterr().out) < 0.9  # maxima of averages


def test_the_network_of_a_file_runs_as_pasted(text, capsys, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([onnx.helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1, 1])], "one", value[:1], value[1:])), "model.onnx")
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "cyconv.onnx.load" in code)
    names = {"pictures": np.ones((1, 3, 8, 8), np.float32)}
    exec(example, names)
    assert np.array_equal(names["answer"], names["pictures"]) and "MaxPool" in capsys.readouterr().out
    assert np.array_equal(names["evaluator"].run(None, {"x": names["pictures"]})[0], names["answer"])


def test_every_layer_is_named(text):
    section = text.split("## Gradients and networks")[1].split("## Choosing")[0]
    named = set()
    for name, more in re.findall(r"`(\w+?)((?:/\dd)*)`", section):
        named |= {name} | {name[:-2] + rank for rank in more.split("/")[1:]}
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)} - {"Module", "Parameter", "Identity", "Summary"}
    assert {name for name in layers - named if "Pool" not in name} == set()


def test_table_names_every_function(text):
    table = text.split("## Functions")[1].split("Input is")[0]
    named = set()
    for name, more in re.findall(r"`(\w+?)((?:/\dd)*)`", table):  # `conv1d/2d/3d` is three names
        named |= {name} | {name[:-2] + rank for rank in more.split("/")[1:]}
    assert named == set(functional.__all__)
    gradients = set(re.findall(r"`grad\.(\w+)`", table))
    for name, what in re.findall(r"`grad\.(\w+)1d/2d/3d(\w+)`", table):
        gradients |= {f"{name}{rank}d{what}" for rank in (1, 2, 3)}
    assert gradients == set(grad.__all__)


def without_figures(text):
    """Words of each line, without figures and names of the machine that times were fitted on, and of the level of instructions."""
    text = re.sub(r"^(times: shipped constants) \(.+\)$", r"\1 (MACHINE)", text, flags=re.MULTILINE)
    return [re.sub(r"[\d.e+]+ (s|ms|us|KiB|MiB)\b", "FIGURE", " ".join(line.split())) for line in text.strip().splitlines()]


def test_explain_says_what_is_shown(text, capsys):
    command, shown = re.search(r"`cyconv (explain .*?)` prints.*?```\n(.*?)```", text, re.DOTALL).groups()
    assert main(command.split()) == 0
    assert without_figures(capsys.readouterr().out) == without_figures(shown)


def test_the_plan_is_what_its_comments_say(text, capsys):
    example = next(code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "plan_conv" in code)
    names = {"np": np, "cyconv": cyconv}
    exec(example, names)
    printed, attributes = re.findall(r"  # (.*)", example)
    assert capsys.readouterr().out.strip() == printed
    *found, workspace = eval(example.splitlines()[-1], names)
    *expected, figure = ast.literal_eval(attributes)
    assert found == expected
    assert workspace == figure or cpu.level != "v4"


def test_table_names_every_algorithm(text):
    table = text.split("## The algorithms")[1].split("## Promises")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [row.name for row in menu.CONV]
    spreading = re.search(r"where (.*?) leaves a\s+result that is not finite", text)[1]
    assert set(re.findall(r"`(\w+)`", spreading)) == {row.name for row in menu.CONV if row.spreads_nonfinite}


def test_table_names_every_algorithm_of_the_gpu(text):
    section = text.split("## On a GPU")[1].split("## Threads")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == [row.name for row in menu.GPU_CONV]
    spreading = re.search(r"device itself where (.*?) was\s+chosen", section)[1]
    assert set(re.findall(r"`(\w+)`", spreading)) == {row.name for row in menu.GPU_CONV if row.spreads_nonfinite}
    missing = re.search(r"and (`dots`.*?) are for NumPy arrays alone", section)[1]
    assert re.findall(r"`(\w+)`", missing) == [row.name for row in menu.CONV if row.name not in {gpu.name for gpu in menu.GPU_CONV}]


def test_two_commands_do_all_the_set_up(text):
    commands = [line for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("/cyconv demo") and commands[1].endswith("/pytest -q -n 2 tests")


def test_named_kernels_are_listed(text):
    listed = re.search(r"`filter` knows (.*?) by\s", text, re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", listed) == list(kernels.NAMED)


def test_layout_lists_what_exists(text):
    layout = text.split("## The house")[1].split("```")[1]
    package = Path(cyconv.__file__).parent
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+(?:\.py\b|/))", layout, re.MULTILINE)) == modules | packages
    for compiled in re.findall(r"^  (\w+)\.pyx", layout, re.MULTILINE):
        assert list(package.glob(f"{compiled}.*.so")) or list(package.glob(f"{compiled}.*.pyd"))


def test_layout_names_every_header(text):
    lines = re.search(r"  cpu/ .*?\n((?: {10,}.*\n)*)", text)[1]
    named = re.findall(r"[\w*]+", re.sub(r"\(.*?\)|: .*?(;|\n)", " ", lines))
    headers = {path.stem for path in (README.parent / "cyconv" / "cpu").glob("*.pxd")}
    assert {header for header in headers if not any(fnmatchcase(header, name) for name in named)} == set()
    assert [name for name in named if not any(fnmatchcase(header, name) for header in headers)] == []

"""What README.md says is so: its first example runs, its table names every function, its commands test and show."""

import re
from pathlib import Path

import pytest

import cyconv
from cyconv import functional
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


def test_table_names_every_function(text):
    table = text.split("## Functions")[1].split("Input is")[0]
    named = set()
    for name, more in re.findall(r"`(\w+?)((?:/\dd)*)`", table):  # `conv1d/2d/3d` is three names
        named |= {name} | {name[:-2] + rank for rank in more.split("/")[1:]}
    assert named == set(functional.__all__)


def test_two_commands_do_all_the_set_up(text):
    commands = [line for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("/cyconv demo") and commands[1].endswith("/pytest -q tests")


def test_named_kernels_are_listed(text):
    listed = re.search(r"`filter` knows (.*?) by\s", text, re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", listed) == list(kernels.NAMED)


def test_layout_lists_what_exists(text):
    layout = text.split("## The house")[1].split("```")[1]
    package = Path(cyconv.__file__).parent
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+(?:\.py|/))", layout, re.MULTILINE)) == modules | packages

"""The guide in docs/: its examples run, every public name has a place in the reference, and Sphinx has nothing to complain of.

The examples of docs/large_arrays.md run in test_blockwise.py.
"""

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
from test_readme import without_figures

import cyconv
import cyconv.plot
from cyconv import costs, menu, problem, select
from cyconv.__main__ import _parser, main

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CHAPTERS = sorted(path.stem for path in DOCS.glob("*.md"))
MODULES = ["cyconv", "cyconv.grad", "cyconv.nn", "cyconv.signal", "cyconv.plot", "cyconv.onnx"]


def read(chapter):
    return (DOCS / f"{chapter}.md").read_text()


def blocks(text, *languages):
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


# ---- the chapters ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", [name for name in CHAPTERS if name != "large_arrays"])
def test_examples_run_and_print_what_is_shown(chapter, tmp_path, monkeypatch):
    if "onnx" in "".join(blocks(read(chapter), "pycon")):
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    text = "\n".join(blocks(read(chapter), "pycon"))
    examples = doctest.DocTestParser().get_doctest(text, {}, chapter, f"{chapter}.md", 0)
    complaints = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(examples, out=complaints.append)
    assert not complaints, "".join(complaints)


def test_the_first_page_runs():
    names = {}
    exec(blocks(read("index"), "python")[0], names)
    assert names["features"].shape == (1, 8, 600, 512)
    assert names["pooled"].shape == names["where"].shape == (1, 8, 300, 256)


def test_no_example_is_left_out():
    """Blocks are in languages that some test looks at; scripts are in chapters that have tests of their own."""
    for chapter in CHAPTERS:
        languages = set(re.findall(r"^```([^\n]+)$", read(chapter), re.MULTILINE)) - {"pycon", "sh", "text"}
        languages -= {language for language in languages if language.startswith("{")}
        assert languages <= ({"python"} if chapter in ("index", "contributing", "large_arrays") else set()), chapter


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_commands_exist(chapter):
    for line in "\n".join(blocks(read(chapter), "sh")).splitlines():
        if command := re.fullmatch(r"(?:python -m )?cyconv (.*)", line):
            _parser().parse_args(command[1].split())
        elif command := re.fullmatch(r"python -m (bench\S*)(.*)", line):
            module = ROOT.joinpath(*command[1].split("."))
            file = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
            for option in re.findall(r"--[\w-]+", command[2]):
                assert option in file.read_text(), line


def test_the_table_of_explain_is_what_it_prints(capsys):
    command = next(line for line in blocks(read("algorithms"), "sh") if "explain" in line)
    shown = next(text for text in blocks(read("algorithms"), "text") if "predicted" in text)
    assert main(command.split()[1:]) == 0
    assert without_figures(capsys.readouterr().out) == without_figures(shown)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_names_are_public(chapter):
    for name in re.findall(r"`(cyconv(?:\.\w+)+)", re.sub(r"^```.*?^```$", "", read(chapter), flags=re.DOTALL | re.MULTILINE)):
        if name == "cyconv.onnx" or name.startswith("cyconv.onnx."):
            pytest.importorskip("onnx")
        found = cyconv
        for part in name.split(".")[1:]:
            found = getattr(found, part)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_included_is_there(chapter):
    for file, options in re.findall(r"```{include} (\S+)\n(.*?)```", read(chapter), re.DOTALL):
        rest = (DOCS / file).read_text()
        for option in ("start-after", "end-before"):
            if mark := re.search(rf':{option}: "(.*)"', options):
                assert mark[1] in rest, f"{file} has no {mark[1]!r}"
                rest = rest.split(mark[1], 1)[1]


def test_promises_are_numbered_as_the_tests_cite_them():
    promised = [int(number) for number in re.findall(r"^## (\d+)\. ", read("semantics"), re.MULTILINE)]
    assert promised == list(range(1, 14))
    cited = {int(number) for file in ROOT.glob("tests/test_*.py") for number in re.findall(r"def test_rule_(\d+)_", file.read_text())}
    assert cited and cited <= set(promised)


# ---- the worked example: an algorithm of one's own -------------------------------------------------------------------------------


@pytest.fixture
def shifts(monkeypatch):
    """The menu with the algorithm that the chapter on contributing adds, made of what is printed there."""
    code, row, seconds = blocks(read("contributing"), "python")
    module = types.ModuleType("cyconv.shifts")
    exec(code, vars(module))
    monkeypatch.setitem(sys.modules, "cyconv.shifts", module)
    (row,) = eval(row, vars(menu) | {"importlib": importlib})
    for rows in (menu.CONV, menu.CONV_ON["cpu"]):
        assert row.name not in [other.name for other in rows]
    monkeypatch.setattr(menu, "CONV", (*menu.CONV, row))
    monkeypatch.setitem(menu.CONV_ON, "cpu", menu.CONV)
    monkeypatch.setattr(select, "ALGORITHMS", (*select.ALGORITHMS, row.name))
    for name, units in ast.literal_eval(f"{{{seconds}}}").items():
        monkeypatch.setitem(costs.in_force()[0], name, units)
    problem.known_conv_problem.cache_clear()
    yield row
    problem.known_conv_problem.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "complex128", "int8"])
@pytest.mark.parametrize("rank, groups, arguments", [(1, 1, {}), (2, 2, {"stride": (1, 2)}), (2, 1, {"dilation": 2, "bias": True}), (3, 4, {})])
def test_the_worked_algorithm_is_right(shifts, rank, groups, arguments, dtype):
    rng = np.random.default_rng(rank)
    x = rng.integers(-9, 9, (2, 4, 7, 8, 9)[: rank + 2]).astype(dtype)
    w = rng.integers(-9, 9, (8, 4 // groups, 1, 2, 2)[: rank + 2]).astype(dtype)
    bias = rng.integers(-9, 9, 8).astype(dtype) if arguments.pop("bias", False) else None
    conv = getattr(cyconv, f"conv{rank}d")
    expected = conv(x, w, bias, groups=groups, algorithm="reference", **arguments)
    np.testing.assert_array_equal(conv(x, w, bias, groups=groups, algorithm="shifts", **arguments), expected)


def test_the_worked_algorithm_is_listed_declines_and_is_chosen(shifts, monkeypatch):
    x, w = np.ones((1, 1, 17), np.float32), np.ones((1, 1, 2), np.float32)
    text = str(cyconv.explain(x, w))
    assert re.search(r"^shifts +cpu +[\d.]+ us +\d+ B +1.5 eps \(terms\)$", text, re.MULTILINE), text
    assert "chosen" in text
    with pytest.raises(ValueError, match="made for convolutions without padding"):
        cyconv.conv1d(x, w, padding=1, algorithm="shifts")
    monkeypatch.setitem(costs.in_force()[0], "shifts", {"call": 1e-9, "multiply_add": 0})
    problem.known_conv_problem.cache_clear()
    assert cyconv.explain(x, w).chosen == "shifts"
    np.testing.assert_array_equal(cyconv.conv1d(x, w), np.full((1, 1, 16), 2))


# ---- the reference ---------------------------------------------------------------------------------------------------------------


def on_pages():
    found = {}
    for page in DOCS.glob("api/*.rst"):
        for module, names in re.findall(r"^\.\. api:: (\S+)\n\n((?:   \S+\n)+)", page.read_text(), re.MULTILINE):
            for name in names.split():
                found.setdefault(f"{module}.{name}", []).append(page.stem)
        for name, module in re.findall(r"^\.\. py:data:: (\S+)\n   :module: (\S+)$", page.read_text(), re.MULTILINE):
            found.setdefault(f"{module}.{name}", []).append(page.stem)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_a_page(module):
    pytest.importorskip("onnx") if module == "cyconv.onnx" else None
    module = importlib.import_module(module)
    names = {name for name in module.__all__ if name != "__version__" and not inspect.ismodule(getattr(module, name))}
    assert names
    pages = on_pages()
    assert {name: pages.get(f"{module.__name__}.{name}", []) for name in names if len(pages.get(f"{module.__name__}.{name}", [])) != 1} == {}


def test_pages_name_what_exists_and_are_in_the_contents():
    contents = read("index")
    for page in DOCS.glob("api/*.rst"):
        assert re.search(rf"^api/{page.stem}$", contents, re.MULTILINE), page
    for name in on_pages():
        module, _, name = name.rpartition(".")
        pytest.importorskip("onnx") if module.startswith("cyconv.onnx") else None
        assert hasattr(importlib.import_module(module), name)


def test_every_command_is_on_its_page():
    page = (DOCS / "api" / "command_line.rst").read_text()
    commands = next(action.choices for action in _parser()._actions if action.dest == "command")
    assert set(re.findall(r"^\.\. command-help:: (\w+)$", page, re.MULTILINE)) == set(commands)


# What numpydoc would like to be otherwise, and is not: extended summaries everywhere, "Sum" for "The sum", a type and a description for each
# parameter that is "as in `conv2d`", sections "See Also", the closing quotes of filled-in texts on lines of their own.
NOT_ASKED = {"ES01", "GL01", "GL02", "PR03", "PR04", "PR07", "PR08", "RT03", "RT04", "SA01", "SS02", "SS05"}


@pytest.mark.parametrize("module", MODULES)
def test_docstrings_are_valid(module):
    validate = pytest.importorskip("numpydoc.validate").validate
    pytest.importorskip("onnx") if module == "cyconv.onnx" else None
    public = importlib.import_module(module)
    wrong = []
    for name in public.__all__:
        if callable(getattr(public, name)):
            plain = "*arguments" in str(inspect.signature(getattr(public, name)))  # of Module.__new__, which passes on what others take
            errors = validate(f"{module}.{name}")["errors"]
            wrong += [(name, *error) for error in errors if error[0] not in NOT_ASKED and not (plain and error[0] == "PR01")]
    assert wrong == []


def test_sphinx_builds_without_warnings(tmp_path):
    for module in ("sphinx", "myst_parser", "numpydoc", "onnx", "matplotlib"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "trees", DOCS, tmp_path / "html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    page = (tmp_path / "html" / "algorithms.html").read_text()
    assert 'href="api/choice.html#cyconv.explain"' in page and "overlap-save" in page


# ---- what stands beside the guide ------------------------------------------------------------------------------------------------


def test_versions_and_licences_agree():
    citation = dict(re.findall(r"^([\w-]+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert citation["version"] == cyconv.__version__
    latest = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert latest == cyconv.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["license"] == project["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")

"""The types in the stubs: what stubtest says of them, and mypy of a user's program."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

import cyconv
from cyconv import _types, devices, filter_problem, pool_problem, problem
from cyconv.functional import network
from cyconv.signal import operands, two_d

HERE = Path(__file__).parent
PROGRAM = HERE / "typed_program.py"
COMMANDS = {
    "stubtest": ["mypy.stubtest", "cyconv", "--mypy-config-file", HERE.parent / "pyproject.toml", "--allowlist", HERE / "stubtest_allowlist.txt"],
    "program": ["mypy", "--config-file=", "--strict", "--follow-imports=silent", "--no-error-summary", "--no-incremental", PROGRAM],
}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command exits with and prints; both run at once, since each takes ten seconds."""
    for needed in ("mypy", "dask", "matplotlib", "onnx"):
        pytest.importorskip(needed)
    environment, folder = dict(os.environ), Path(cyconv.__file__).parent.parent
    if "site-packages" not in folder.parts:
        environment["MYPYPATH"] = str(folder)
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment, cwd=tmp_path_factory.mktemp(name),
        )
        for name, command in COMMANDS.items()
    }  # fmt: skip
    try:
        printed = {name: process.communicate(timeout=300)[0] for name, process in started.items()}
    finally:
        for process in started.values():
            process.kill()
    return {name: (started[name].returncode, text) for name, text in printed.items()}


def test_stubs_are_what_the_package_exports(said):
    code, printed = said["stubtest"]
    assert code == 0, printed
    assert re.search(r"no issues found in \d+ modules", printed), printed


def test_a_users_program(said):
    _, printed = said["program"]
    found = {}
    for line in printed.splitlines():
        if match := re.fullmatch(rf".*{PROGRAM.name}:(\d+): error: (.*)", line):
            found.setdefault(int(match[1]), []).append(match[2])
        else:
            assert ": note: " in line, printed
    expected = {number: line.partition("  # E: ")[2] for number, line in enumerate(PROGRAM.read_text().splitlines(), 1) if "  # E: " in line}
    assert found.keys() == expected.keys(), {number: found.get(number) for number in found.keys() ^ expected.keys()}
    for number, what in expected.items():
        assert any(what in message for message in found[number]), (number, found[number])


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("Border", filter_problem._WORDS), ("Boundary", two_d._BOUNDARIES), ("Device", devices.DEVICES), ("Method", operands.METHODS),
        ("Mode", operands.MODES), ("Padding", problem.PADDING_WORDS), ("PaddingMode", problem.PADDING_MODES),
        ("PoolPadding", pool_problem.PADDING_WORDS), ("Precision", problem.PRECISIONS), ("Reduction", network.REDUCTIONS),
    ],
)  # fmt: skip
def test_words_are_those_that_are_allowed(name, allowed):
    kind = getattr(_types, name)
    parts = get_args(kind)
    words = parts if all(isinstance(each, str) for each in parts) else get_args(parts[-1])
    assert set(words) == set(allowed) and len(words) == len(allowed)


TOLD_APART = {"figure", "measure", "mode", "return_indices"}  # arguments that some overloads must be given
STUBS = ("functional", "grad", "nn", "onnx", "plot", "signal")


@pytest.mark.parametrize("name", STUBS)
def test_every_overload_has_the_names_and_defaults_of_the_function(name):
    """Which editors show; stubtest looks at the overloads of a function together."""
    if name == "onnx":
        pytest.importorskip("onnx")
    module = importlib.import_module(f"cyconv.{name}")
    looked_at = set()
    for node in ast.walk(ast.parse(Path(module.__file__).with_suffix(".pyi").read_text())):
        if isinstance(node, ast.ClassDef) and hasattr(module, node.name):
            pairs = [(each, getattr(getattr(module, node.name), each.name)) for each in node.body if isinstance(each, ast.FunctionDef)]
        elif isinstance(node, ast.FunctionDef) and hasattr(module, node.name):
            pairs = [(node, getattr(module, node.name))]
        else:
            continue
        for stub, function in pairs:
            ours = inspect.signature(inspect.unwrap(function)).parameters
            theirs = signature_of(stub)
            if any(each.kind is each.VAR_POSITIONAL for each in ours.values()):
                continue
            assert list(theirs) == [each for each in ours if each in theirs] and len(theirs) == len(ours), (stub.name, list(theirs), list(ours))
            for argument, default in theirs.items():
                wanted = ours[argument].default
                assert default in (wanted, "...") or default is inspect.Parameter.empty and argument in TOLD_APART, (stub.name, argument, default, wanted)
            looked_at.add(node.name)
    assert looked_at >= {each for each in module.__all__ if inspect.isfunction(getattr(module, each))}


def signature_of(stub):
    """The parameters of a function in a stub, with their defaults."""
    a, empty = stub.args, inspect.Parameter.empty
    places = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(places) - len(a.defaults)) + a.defaults + a.kw_defaults
    named = zip([*places, *a.kwonlyargs], defaults, strict=True)
    return {each.arg: empty if default is None else "..." if getattr(default, "value", 0) is ... else ast.literal_eval(default) for each, default in named}


def test_nothing_of_this_is_imported():
    code = "import sys, cyconv; print('cyconv._types' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_package_says_that_it_has_types():
    files = {path.name for path in Path(cyconv.__file__).parent.iterdir()}
    assert {"py.typed", "__init__.pyi", "plans.pyi"} <= files
    for name in STUBS:
        assert Path(find_spec(f"cyconv.{name}").origin).with_suffix(".pyi").exists(), name

"""The examples in the docstrings run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import cyconv

MODULES = [name for _, name, _ in pkgutil.walk_packages(cyconv.__path__, "cyconv.") if not name.split(".")[-1].startswith("__")]


@pytest.mark.parametrize("name", [m for m in MODULES if ".cpu.v" not in m and ".cpu.base" not in m])
def test_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed


@pytest.mark.parametrize("name", [n for n in cyconv.__all__ if inspect.isfunction(getattr(cyconv, n))])
def test_public_functions_are_documented(name):
    function = getattr(cyconv, name)
    sections = ["Examples", ">>>"]
    if inspect.signature(function).parameters:
        sections.append("Parameters")
    if name not in ("set_num_threads", "threads"):
        sections.append("Returns")
    for section in sections:
        assert section in inspect.getdoc(function), f"{name} has no {section}"

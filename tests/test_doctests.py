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


PUBLIC = {name: getattr(module, name) for module in (cyconv, cyconv.grad, cyconv.nn, cyconv.signal) for name in module.__all__}


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isfunction(value)])
def test_public_functions_are_documented(name):
    function = PUBLIC[name]
    sections = ["Examples", ">>>"]
    if inspect.signature(function).parameters:
        sections.append("Parameters")
    if name not in ("save", "set_num_threads", "threads"):
        sections.append("Returns")
    for section in sections:
        assert section in inspect.getdoc(function), f"{name} has no {section}"


@pytest.mark.parametrize("name", [name for name in cyconv.nn.__all__ if inspect.isclass(getattr(cyconv.nn, name))])
def test_layers_are_documented(name):
    text = inspect.getdoc(getattr(cyconv.nn, name))
    assert "Examples" in text and ">>>" in text, f"nn.{name} has no example"

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
    text = inspect.getdoc(getattr(cyconv, name))
    for section in ("Parameters", "Returns", "Examples", ">>>"):
        if not (section == "Returns" and name in ("set_num_threads", "threads")) and not (section == "Parameters" and name == "get_num_threads"):
            assert section in text, f"{name} has no {section}"

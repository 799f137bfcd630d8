"""The examples in the docstrings run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import cyconv
import cyconv.plot
from cyconv import plans, select
from cyconv.nn.parameter import _Learnt
from cyconv.nn.receptive import Flow
from cyconv.nn.summary import Field, Row, Summary

MODULES = [name for _, name, _ in pkgutil.walk_packages(cyconv.__path__, "cyconv.") if not name.split(".")[-1].startswith("__")]


@pytest.mark.parametrize("name", [m for m in MODULES if ".cpu.v" not in m and ".cpu.base" not in m])
def test_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed


FUNCTIONS = {
    f"{module.__name__.removeprefix('cyconv.')}.{name}": getattr(module, name)
    for module in (cyconv, cyconv.grad, cyconv.nn, cyconv.plot, cyconv.signal)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_documented(name):
    function, text = FUNCTIONS[name], inspect.getdoc(FUNCTIONS[name])
    arguments = inspect.signature(function).parameters
    sections = ["Examples", ">>>", *(["Parameters", "Raises"] if arguments else [])]
    if name not in ("nn.save", "cyconv.set_num_threads", "cyconv.threads"):
        sections.append("Returns")
    for section in sections:
        assert section in text, f"{name} has no {section}"
    described = text.partition("Parameters")[2].partition("Raises")[0]
    missing = [argument for argument in arguments if not re.search(rf"\b{argument}\b", described)]
    assert not missing, f"{name} says nothing of {', '.join(missing)}"


@pytest.mark.parametrize("name", [name for name in cyconv.nn.__all__ if inspect.isclass(getattr(cyconv.nn, name))])
def test_layers_are_documented(name):
    text = inspect.getdoc(getattr(cyconv.nn, name))
    assert "Examples" in text and ">>>" in text, f"nn.{name} has no example"


OTHER_CLASSES = (plans.Plan, select.Explanation, select.Verdict, Flow, Summary, Row, Field)
CLASSES = {value.__name__: value for value in (*map(cyconv.nn.__dict__.get, cyconv.nn.__all__), *OTHER_CLASSES) if inspect.isclass(value)}
OF_ARRAYS = ("T", "imag", "mT", "real")


@pytest.mark.parametrize("name", CLASSES)
def test_what_classes_have_is_documented(name):
    """Each method and property where it is defined first; those that stand in its place do the same."""
    assert inspect.getdoc(CLASSES[name])
    for attribute in dir(CLASSES[name]):
        homes = [each for each in CLASSES[name].__mro__ if attribute in vars(each)]
        value = vars(homes[-1])[attribute]
        function = value.fget if isinstance(value, property) else value
        if not attribute.startswith("_") and inspect.isfunction(function) and attribute not in OF_ARRAYS and homes[-1].__module__.startswith("cyconv"):
            assert function.__doc__ or homes[-1] is _Learnt and "grad :" in inspect.getdoc(CLASSES[name]), f"{name}.{attribute}"

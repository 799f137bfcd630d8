"""A pytest plugin that puts cyconv.signal's functions in the place of scipy.signal's, in SciPy's own tests, and counts their calls.

scipy.signal itself stays as it is: cyconv passes some arrays on to it.
"""

import collections
import functools
import types

import scipy.signal

import cyconv.signal

calls = collections.Counter()


def counted(name):
    function = getattr(cyconv.signal, name)

    @functools.wraps(function)
    def call(*args, **kwargs):
        calls[name] += 1
        return function(*args, **kwargs)

    return call


OURS = {getattr(scipy.signal, name): counted(name) for name in cyconv.signal.__all__ if hasattr(scipy.signal, name)}


def ours(value):
    return OURS.get(value, value) if isinstance(value, types.FunctionType) else value


def pytest_collection_modifyitems(items):
    signal = types.ModuleType("scipy.signal")
    signal.__dict__.update({name: ours(value) for name, value in vars(scipy.signal).items()})
    for module in {item.module for item in items}:
        vars(module).update({name: ours(value) for name, value in vars(module).items()}, signal=signal)
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        parameters.update({name: ours(value) for name, value in parameters.items()})


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line("cyconv calls: " + " ".join(f"{name}={count}" for name, count in sorted(calls.items())))

"""`python -m cyconv run`: an ONNX model on .npy files, with the time of each of its nodes."""

import sys
import time
import zipfile
from contextlib import nullcontext

import numpy as np

from ..select import seconds_text
from ..threads import threads
from . import CommandError, check_target

WIDE, OFTEN = 40, 0.05  # characters of the progress bar, and seconds between two of its states


def run(model, inputs, targets, profile, count):
    """Returns the report. `inputs`: files, each perhaps with NAME= before it; `targets`: likewise, of outputs; `count`: threads, or None."""
    from .. import onnx

    network = onnx.load(model)
    feeds = _feeds(network, inputs)
    places = _places(network, targets)
    with nullcontext() if count is None else threads(count), Progress() as progress:
        begin = time.perf_counter()
        found = network.profile(feeds, progress=progress)
        seconds = time.perf_counter() - begin
        if profile:  # once more, with weights prepared
            found = network.profile(feeds, progress=progress)
    results = found.results if isinstance(found.results, tuple) else (found.results,)
    named = dict(zip([value.name for value in network.outputs], results))
    for path, names in places.items():
        _write(path, {name: named[name] for name in names})
    lines = [str(found)] if profile else []
    wrote = {name: path for path, names in places.items() for name in names}
    for name, value in named.items():
        lines.append(f"{name}: {_described(value)}{f', in {wrote[name]}' if name in wrote else ''}")
    return "\n".join([*lines, f"{len(found.layers)} nodes, {seconds_text(seconds)} with weights to prepare"])


# ---- files -------------------------------------------------------------------------------------------------------------------


def _feeds(network, inputs):
    """{input: array} of what the command line names."""
    known = [value.name for value in network.every_input]
    plain = [value.name for value in network.inputs]
    feeds = {}
    for text in inputs:
        name, equals, path = text.partition("=")
        if not equals or name not in known:
            name, path = None, text
        loaded = _read(path)
        if isinstance(loaded, dict):
            feeds |= loaded
            continue
        name = name or next((name for name in plain if name not in feeds), None)
        if name is None:
            raise CommandError(f"--input {text}: the model has no further input; it has {', '.join(plain) or 'none'}")
        feeds[name] = loaded
    return feeds


def _read(path):
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CommandError(f"{path} is no .npy or .npz file of numbers: {error}") from None


def _places(network, targets):
    """{file: names of outputs}."""
    names = [value.name for value in network.outputs]
    places, free = {}, list(names)
    for text in targets:
        name, equals, path = text.partition("=")
        if not equals or name not in names:
            name, path = None, text
        if not path.endswith((".npy", ".npz")):
            raise CommandError(f"-o {text}: a result goes to a .npy file, or to a .npz file with all of them")
        if path in places:
            raise CommandError(f"-o {text}: {path} is named twice")
        check_target(path)
        if path.endswith(".npz"):
            places[path] = [name] if name else names
        elif name is None and not free:
            raise CommandError(f"-o {text}: the model has no further output; it has {', '.join(names)}")
        else:
            name = name or free[0]
            places[path] = [name]
            free = [other for other in free if other != name]
    return places


def _write(path, results):
    for name, value in results.items():
        if not isinstance(value, np.ndarray) or value.dtype == object:
            raise CommandError(f"output {name} is no array of numbers, and cannot be written to {path}")
    with open(path, "wb") as file:
        if path.endswith(".npz"):
            np.savez(file, **results)
        else:
            np.save(file, *results.values())


def _described(value):
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return f"{value.dtype} {'x'.join(map(str, value.shape)) or 'scalar'}"


# ---- the progress bar --------------------------------------------------------------------------------------------------------


class Progress:
    """A bar on stderr, if that is a terminal, which is gone at the end."""

    def __init__(self):
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, done, total):
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + OFTEN
            full = WIDE * done // max(total, 1)
            print(f"\r[{'#' * full}{' ' * (WIDE - full)}] {done} of {total} nodes", end="", file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._shown and self._next:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

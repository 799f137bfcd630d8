"""Whole models: what the nodes of a Graph do one after another, on images a few at a time."""

import os
from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

from ..arguments import as_array
from .corrected import CORRECTED
from .folding import read, shorten
from .resizing import fresh
from .running import Watch, link, run, step_of
from .slices import images_at_once, of_one_image

SHAPES = 16  # of images, whose widest results are remembered
OVERRIDDEN = 2  # networks with initializers given by the caller that are kept


class Value(NamedTuple):
    """An input or output: `shape` has names or None for lengths that are not fixed, and is None if the rank is not known."""

    name: str
    shape: tuple | None
    dtype: np.dtype | None  # None: not an array

    def __str__(self):
        shape = "?" if self.shape is None else " x ".join("?" if n is None else str(n) for n in self.shape)
        return "?" if self.dtype is None else f"{self.dtype} {shape}"

    def checked(self, array):
        """What was passed for this input."""
        if self.dtype is None:
            return array
        array = as_array(f"input {self.name!r}", array) if self.dtype.kind in "fiucb" else np.asarray(array)
        if array.dtype != self.dtype and self.dtype != object:
            raise TypeError(f"input {self.name!r} must have dtype {self.dtype}, got {array.dtype}")
        if self.shape is None:
            return array
        if len(array.shape) != len(self.shape) or any(isinstance(n, int) and n != m for n, m in zip(self.shape, array.shape)):
            raise ValueError(f"input {self.name!r} must have shape {tuple(self.shape)}, got {array.shape}")
        return array


class Profile(NamedTuple):
    """What a call returned, and where its time went; printed, a table."""

    results: Any
    layers: list

    def __str__(self):
        total = sum(layer.seconds for layer in self.layers)
        rows = [("operator", "name", "output", "algorithm", "ms", "%")]
        for layer in self.layers:
            part = 100 * layer.seconds / max(total, 1e-30)
            rows.append((layer.operator, layer.name, "x".join(map(str, layer.shape)), layer.algorithm, f"{layer.seconds * 1e3:.3f}", f"{part:.1f}"))
        rows.append(("total", "", "", "", f"{total * 1e3:.3f}", "100"))
        wide = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(f"{cell:{'>' if at > 3 else '<'}{w}}" for at, (cell, w) in enumerate(zip(row, wide))) for row in rows)


def load(model):
    """Reads an ONNX model, for calling it.

    Convolutions and pools run on cyconv's functions; what stands between them, and products with constant matrices, on cyconv's as well, all other
    operators on onnx's reference evaluator. Before, batch normalisation is folded into convolutions, and what depends on
    constants alone is computed. Weights are prepared when a shape of inputs is seen first, for the last few shapes.

    Parameters
    ----------
    model : onnx.ModelProto, bytes or path
        A path's external data are read, too.

    Returns
    -------
    Network

    Raises
    ------
    ValueError, TypeError
        If it is no model, or has an operator that nobody has.

    Examples
    --------
    >>> import numpy as np, onnx, cyconv.onnx
    >>> from onnx import helper
    >>> value = lambda name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, 4, 4])
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", [value("x")], [value("y")])
    >>> net = cyconv.onnx.load(helper.make_model(graph))
    >>> net
    <cyconv.onnx.Network (x: float32 n x 1 x 4 x 4) -> (y: float32 n x 1 x 4 x 4), 1 node>
    >>> net(np.full((2, 1, 4, 4), -1, np.float32)).max()
    np.float32(0.0)
    """
    if isinstance(model, (str, os.PathLike)):
        model = _parsed(onnx.load, os.fspath(model))
    elif isinstance(model, (bytes, bytearray, memoryview)):
        model = _parsed(onnx.load_from_string, bytes(model))
    elif not isinstance(model, onnx.ModelProto):
        raise TypeError(f"model must be an onnx.ModelProto, bytes or a path, got {type(model).__name__}")
    if not model.graph.node and not model.graph.output:
        raise ValueError("model has no graph: it is empty, or no ONNX model")
    return Network(model)


def _parsed(read, source):
    try:
        return read(source)
    except OSError:
        raise
    except Exception as error:  # protobuf's own
        raise ValueError(f"model {'' if isinstance(source, bytes) else source + ' '}is no ONNX model: {error}") from error


class Network:
    """A model that can be called: `net(x)`, `net(x, y)`, `net(name=x)` or `net({"name": x})`.

    An array is returned, or a tuple of them in the order of `outputs`; they are the caller's. Safe to call from several threads at once. Inputs
    that the model has values for (initializers that are inputs, too) may be given by name.

    Attributes
    ----------
    inputs, outputs : tuple of Value
        Each with `name`, `shape` and `dtype`.
    """

    def __init__(self, model, given=()):
        from . import OPS

        graph = read(model, OPS + CORRECTED, given)
        self.inputs, self._defaults, self.outputs = (tuple([_value(*entry[:2]) for entry in part]) for part in (graph.inputs, graph.defaults, graph.outputs))
        self._model = model if self._defaults else None  # others have no need of it
        self._others, self._lock = {}, Lock()
        shorten(graph)
        self._constants = graph.constants | {"": None}  # what is left out
        self._results = [value for *_, value in graph.outputs]
        steps = {node: step_of(node, graph) for node in graph.nodes}
        self._steps = link(graph.nodes, steps, set(self._results), graph.constants)
        first, self._cut = of_one_image(graph, self.inputs)
        chosen = set(first)
        rest = [node for node in graph.nodes if node not in chosen]
        self._joined = {name for node in first for name in node.outputs} & ({name for node in rest for name in node.read} | set(self._results))
        self._sliced = link(first, steps, self._joined, graph.constants), link(rest, steps, set(self._results), graph.constants)
        self._new = {name for step in self._steps if step.teller is not False for name in step.node.outputs}  # others may be views of something
        self._widest = {}

    def __repr__(self):
        def listed(values):
            return ", ".join(f"{v.name}: {v}" for v in values)

        count = len(self._steps)
        return f"<cyconv.onnx.Network ({listed(self.inputs)}) -> ({listed(self.outputs)}), {count} node{'s' * (count != 1)}>"

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        return self._called(arrays, named, None)

    def profile(self, *arrays: Any, progress: Callable[[int, int], object] | None = None, **named: Any) -> Profile:
        """Times each node of a call.

        Parameters
        ----------
        arrays, named
            As in a call.
        progress : callable or None
            Called with how many nodes are done, and of how many, after each.

        Returns
        -------
        Profile
            `results`, as a call returns them, and `layers`, a list of Layer.
        """
        watch = Watch(progress)
        results = self._called(arrays, named, watch)
        return Profile(results, watch.layers())

    def _called(self, arrays, named, watch):
        feeds = self._fed(arrays, named)
        given = tuple(sorted(feeds.keys() - {value.name for value in self.inputs}))
        if given:
            return self._with(given)._called((feeds,), {}, watch)
        values = self._constants | feeds
        at_once = self._images_at_once(feeds)
        if at_once:
            self._run_slices(values, at_once, watch)
        else:
            if watch:
                watch.total = len(self._steps)
            run(self._steps, values, watch)
        own = self._results
        results = tuple([values[value] if value in self._new and value not in own[:at] else _copy(values[value]) for at, value in enumerate(own)])
        return results[0] if len(results) == 1 else results

    # ---- a few images at a time ----------------------------------------------------------------------------------------------

    def _images_at_once(self, feeds):
        """0: all."""
        counts = {feeds[name].shape[0] for name in self._cut}
        if len(counts) != 1 or (count := counts.pop()) < 2:
            return 0
        shapes = tuple([(feeds[name].shape[1:], feeds[name].dtype) for name in self._cut])
        widest = self._widest.get(shapes)
        if widest is None:  # found out by the first image
            sizes = []
            run(self._sliced[0], self._constants | {name: feeds[name][:1] for name in self._cut}, None, sizes)
            with self._lock:
                while len(self._widest) >= SHAPES:
                    del self._widest[next(iter(self._widest))]
                widest = self._widest[shapes] = max(sizes)
        at_once = images_at_once(count, widest)
        return at_once if at_once < count else 0

    def _run_slices(self, values, at_once, watch):
        first, rest = self._sliced
        count = values[self._cut[0]].shape[0]
        if watch:
            watch.total = -(-count // at_once) * len(first) + len(rest)
        joined = {}
        for begin in range(0, count, at_once):
            part = self._constants | {name: values[name][begin : begin + at_once] for name in self._cut}
            run(first, part, watch)
            for name in self._joined:
                if name not in joined:
                    joined[name] = fresh((count, *part[name].shape[1:]), part[name].dtype)
                joined[name][begin : begin + at_once] = part[name]
        values |= joined
        run(rest, values, watch)

    def _with(self, given):
        """The network that takes these initializers from the caller."""
        with self._lock:
            if given not in self._others:
                while len(self._others) >= OVERRIDDEN:
                    del self._others[next(iter(self._others))]
                self._others[given] = Network(self._model, given)
            return self._others[given]

    @property
    def every_input(self):
        """`inputs`, and those that the model has values for."""
        return (*self.inputs, *self._defaults)

    # ---- arguments -----------------------------------------------------------------------------------------------------------

    def _fed(self, arrays, named):
        """{name: array} of what was passed."""
        if len(arrays) == 1 and isinstance(arrays[0], dict):
            if twice := arrays[0].keys() & named.keys():
                raise TypeError(f"input {min(twice)!r} was passed twice")
            named, arrays = arrays[0] | named, ()
        names = [value.name for value in self.inputs]
        if len(arrays) > len(names):
            raise TypeError(f"the model has {len(names)} input{'s' * (len(names) != 1)} ({', '.join(names)}), got {len(arrays)} arrays")
        feeds = dict(zip(names, arrays))
        known = {value.name: value for value in self.every_input}
        for name, array in named.items():
            if name not in known:
                raise TypeError(f"the model has no input {name!r}; it has {', '.join(known) or 'none'}")
            if name in feeds:
                raise TypeError(f"input {name!r} was passed twice")
            feeds[name] = array
        if missing := [name for name in names if name not in feeds]:
            raise TypeError(f"input{'s' * (len(missing) != 1)} {', '.join(missing)} must be passed")
        return {name: known[name].checked(array) for name, array in feeds.items()}


def _copy(value):
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _value(name, of):
    """The Value of an input or output of this type."""
    if not of.HasField("tensor_type"):
        return Value(name, None, None)
    tensor = of.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple([d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim])
    return Value(name, shape, np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else None)

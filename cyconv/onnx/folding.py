"""A model as a list of nodes, made shorter once, before anything runs.

What depends on constants alone is computed; identities and dropouts go; a batch normalisation, or a product or sum with one number a channel, goes into the
weights of the convolution before it; a sum and the rectifier after it become one pass. Values are known by their names throughout.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import external_data_helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
BOUNDS = {"Relu", "Clip"}
LARGEST = 2**30  # bytes of a constant that is computed


@dataclass(eq=False)
class Node:
    """One operator between named values; "" stands for one that is left out."""

    kind: str
    name: str
    inputs: list
    outputs: list
    operator: object  # onnx's, with attributes as attributes
    captured: dict  # what its subgraphs read besides: {name there: value}
    then: object = None  # the Relu or Clip that follows a sum and is done with it

    def attribute(self, name, default=None):
        found = getattr(self.operator, name, None)
        return default if found is None else found

    @property
    def label(self):
        return self.kind if self.then is None else f"{self.kind}, {self.then.kind}"

    @property
    def read(self):
        return [name for name in (*self.inputs, *(() if self.then is None else self.then.inputs[1:]), *self.captured.values()) if name]


@dataclass(eq=False)
class Graph:
    """Nodes in an order in which they can run."""

    nodes: list
    constants: dict
    inputs: list  # (name, type) of what has to be given
    defaults: list  # the same of what may be given in place of a constant
    outputs: list  # (name, type, the value's name)
    opset: int
    renamed: dict  # value: the one that stands for it

    def now(self, name):
        while name in self.renamed:
            name = self.renamed[name]
        return name

    def readers(self):
        """{value: the nodes that read it}, with None for the caller."""
        found = {}
        for node in self.nodes:
            for name in node.read:
                found.setdefault(name, []).append(node)
        for *_, value in self.outputs:
            found.setdefault(value, []).append(None)
        return found


# ---- reading -----------------------------------------------------------------------------------------------------------------


def read(model, operators, given=()):
    """The Graph of a ModelProto; `given`: initializers that the caller gives, although the model has them."""
    source, constants = model.graph, {}
    for tensor in source.initializer:
        if external_data_helper.uses_external_data(tensor):
            raise ValueError(f"model has {tensor.name!r} in the file of external data {external_data_helper.ExternalDataInfo(tensor).location!r}: load it by its path")
        constants[tensor.name] = numpy_helper.to_array(tensor)
    for tensor in source.sparse_initializer:
        constants[tensor.values.name] = _dense(tensor)
    light = _without_weights(model)
    try:
        evaluator = ReferenceEvaluator(light, new_ops=operators)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"model cannot be run: {error}") from error
    types = {value.name: value.type for value in light.graph.input}
    inputs = [(name, of) for name, of in types.items() if name not in constants or name in given]
    defaults = [(name, of) for name, of in types.items() if name in constants and name not in given]
    for name in given:
        constants.pop(name)
    nodes = [_node(proto, operator) for proto, operator in zip(light.graph.node, evaluator.rt_nodes_)]
    outputs = [(value.name, value.type, value.name) for value in source.output]
    opset = max((entry.version for entry in light.opset_import if entry.domain == ""), default=1)
    graph = Graph(nodes, constants, inputs, defaults, outputs, opset, {})
    _check_names(graph)
    for node in nodes if opset < 7 else ():
        if node.kind == "PRelu" or node.attribute("broadcast") and node.attribute("axis") is not None:
            raise ValueError(f"model has a {node.kind} node {node.name!r} that broadcasts as before opset 7; convert it by onnx.version_converter")
    return graph


def _without_weights(model):
    """A copy of the model that does not hold on to its weights, with local functions written out."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    light.graph.name = model.graph.name or "graph"
    for entry in (*light.opset_import, *light.graph.node):
        if entry.domain == "ai.onnx":
            entry.domain = ""
    if light.functions:
        for tensor in model.graph.initializer:  # so that their names are not taken
            light.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=[0])
        light = inliner.inline_local_functions(light)
        del light.graph.initializer[:]
    return light


def _dense(tensor):
    values, places = numpy_helper.to_array(tensor.values), numpy_helper.to_array(tensor.indices)
    found = np.zeros(tuple(tensor.dims), values.dtype)
    found[tuple(places.T) if places.ndim == 2 else np.unravel_index(places, found.shape)] = values
    return found


def _node(proto, operator):
    graphs = [g for attribute in proto.attribute for g in ((attribute.g,) if attribute.HasField("g") else attribute.graphs)]
    captured = {name: name for graph in graphs for name in sorted(_reads(graph))}
    return Node(proto.op_type, proto.name, list(proto.input), list(proto.output), operator, captured)


def _reads(graph):
    """Names that a subgraph reads and does not make."""
    made = {value.name for value in (*graph.input, *graph.initializer)} | {name for node in graph.node for name in node.output}
    found = {value.name for value in graph.output}
    for node in graph.node:
        found.update(node.input)
        for attribute in node.attribute:
            for inner in (attribute.g,) if attribute.HasField("g") else attribute.graphs:
                found |= _reads(inner)
    return found - made - {""}


def _check_names(graph):
    known = {name for name, _ in graph.inputs} | set(graph.constants)
    for node in graph.nodes:
        for name in node.read:
            if name not in known:
                raise ValueError(f"model has a {node.kind} node {node.name!r} that reads {name!r}, which is neither given nor made before it")
        known.update(node.outputs)
    for name, *_ in graph.outputs:
        if name not in known:
            raise ValueError(f"model has an output {name!r} that nothing makes")


# ---- making it shorter -------------------------------------------------------------------------------------------------------


def shorten(graph):
    """All of this module's steps; the graph is changed."""
    _compute_constants(graph)
    _pass_on(graph)
    _fold_scales(graph)
    _join_bounds(graph)
    _drop_unread(graph)


def _compute_constants(graph):
    kept = []
    for node in graph.nodes:
        if node.captured or node.operator.need_context() or node.kind in RANDOM or node.operator.domain or not all(i in graph.constants or not i for i in node.inputs):
            kept.append(node)
            continue
        try:
            results = node.operator.run(*[graph.constants[i] if i else None for i in node.inputs])
        except Exception:  # noqa: BLE001 (whatever it is, it is said when the network runs, if it comes to that)
            kept.append(node)
            continue
        if sum(getattr(result, "nbytes", 0) for result in results) > LARGEST:
            kept.append(node)
        else:
            graph.constants.update(zip(node.outputs, results))
    graph.nodes = kept


def _pass_on(graph):
    """Leaves out what hands its input on: readers read that."""
    readers, kept = graph.readers(), []
    for node in graph.nodes:
        node.inputs = [graph.now(name) for name in node.inputs]
        node.captured = {name: graph.now(value) for name, value in node.captured.items()}
        if node.kind == "Identity" or node.kind == "Dropout" and _does_nothing(graph, node, readers):
            graph.renamed[node.outputs[0]] = node.inputs[0]
        else:
            kept.append(node)
    graph.nodes = kept
    graph.outputs = [(name, of, graph.now(value)) for name, of, value in graph.outputs]


def _does_nothing(graph, node, readers):
    if any(readers.get(name) for name in node.outputs[1:] if name):
        return False
    if len(node.inputs) > 2 and node.inputs[2]:
        training = graph.constants.get(node.inputs[2])
        return training is not None and not training.any()
    return graph.opset >= 7 or bool(node.attribute("is_test", 0))


def _fold_scales(graph):
    readers = graph.readers()
    maker = {name: node for node in graph.nodes for name in node.outputs}
    gone = set()
    for node in graph.nodes:
        found = _scale(graph, node)
        conv = maker.get(found[0]) if found else None
        if conv is None or conv.kind not in ("Conv", "ConvTranspose") or readers[found[0]] != [node] or len(conv.outputs) > 1:
            continue
        constants = [graph.constants.get(name) for name in conv.inputs[1:] if name]
        if None in [None if c is None else 0 for c in constants] or constants[0].dtype.kind != "f":
            continue
        if (folded := _folded(conv, constants, *found[1:])) is None:
            continue
        conv.inputs[1:] = [f"{node.outputs[0]}: {what}" for what in ("weight", "bias")]  # no model can have such names, since it has the first half
        graph.constants.update(zip(conv.inputs[1:], folded))
        conv.outputs = node.outputs[:1]
        maker[node.outputs[0]] = conv
        gone.add(node)
    graph.nodes = [node for node in graph.nodes if node not in gone]


def _scale(graph, node):
    """(value, scale, shift) of what multiplies each channel by a constant and adds one, else None."""
    get = graph.constants.get
    if node.kind == "BatchNormalization":
        parameters = [get(name) for name in node.inputs[1:5]]
        if any(p is None for p in parameters) or node.attribute("training_mode", 0) or not node.attribute("spatial", 1) or any(node.outputs[1:]):
            return None
        return node.inputs[0], *norm_scale(parameters, node.attribute("epsilon", 1e-5))
    if node.kind in ("Add", "Mul"):
        for value, other in (node.inputs, node.inputs[::-1]):
            c = get(other)
            if c is not None and value not in graph.constants and c.dtype.kind == "f":
                return value, *((c, None) if node.kind == "Mul" else (None, c)), c.shape
    return None


def norm_scale(parameters, epsilon):
    """(scale, shift) of a batch normalisation, in double precision."""
    scale, shift, mean, var = (np.asarray(p, np.float64) for p in parameters)
    with np.errstate(all="ignore"):
        scale = scale / np.sqrt(var + epsilon)
        return scale, shift - mean * scale


def _folded(conv, constants, scale, shift, shape=None):
    """Weight and bias of the convolution and what follows it; None if that is not possible. `shape`: that of a number for each channel, if not (C,)."""
    weight, bias = constants[0], constants[1] if len(constants) > 1 else None
    groups = conv.attribute("group", 1)
    outputs = weight.shape[0] if conv.kind == "Conv" else weight.shape[1] * groups
    spatial = weight.ndim - 2
    if shape is not None:
        axis = len(shape) - spatial - 1  # of channels
        if axis not in (0, 1) or any(length != 1 for at, length in enumerate(shape) if at != axis):
            return None

    def each(c, default):
        c = np.full(outputs, default) if c is None else np.asarray(c, np.float64).ravel()
        return np.broadcast_to(c, (outputs,)) if c.size in (1, outputs) else None

    scale, shift = each(scale, 1.0), each(shift, 0.0)
    if scale is None or shift is None or not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return None
    ones = (1,) * spatial
    if conv.kind == "Conv":
        scaled = weight * scale.reshape(-1, 1, *ones)
    else:  # (inputs, outputs of a group, ...)
        scaled = (weight.reshape(groups, -1, *weight.shape[1:]) * scale.reshape(groups, 1, -1, *ones)).reshape(weight.shape)
    shift = shift if bias is None else shift + bias * scale
    with np.errstate(over="ignore"):
        folded = scaled.astype(weight.dtype), shift.astype(weight.dtype)
    return folded if all(np.isfinite(f).all() for f in folded) else None


def _join_bounds(graph):
    """A sum and the Relu or Clip that alone reads it."""
    readers = graph.readers()
    maker = {name: node for node in graph.nodes for name in node.outputs}
    gone = set()
    for node in graph.nodes:
        add = maker.get(node.inputs[0]) if node.kind in BOUNDS else None
        if add is None or add.kind != "Add" or readers[node.inputs[0]] != [node] or not all(i in graph.constants or not i for i in node.inputs[1:]):
            continue
        add.then, add.outputs = node, node.outputs
        gone.add(node)
    graph.nodes = [node for node in graph.nodes if node not in gone]


def _drop_unread(graph):
    wanted = {value for *_, value in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.read)
    graph.nodes = kept[::-1]
    graph.constants = {name: value for name, value in graph.constants.items() if name in wanted}

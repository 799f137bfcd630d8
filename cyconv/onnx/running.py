"""The nodes of a Graph as steps, and how they run: each result is let go after its last reader, and may give its memory to a result."""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from .elementary import kernel
from .operator import Operator


class Layer(NamedTuple):
    """What a profile says of one node; `algorithm` is that of a convolution, else ""."""

    operator: str
    name: str
    shape: tuple
    algorithm: str
    seconds: float


@dataclass(eq=False)
class Step:
    """A node, and how it is computed."""

    node: object
    compute: object  # (inputs, which of them nobody reads any longer) -> the results
    teller: object  # whose `algorithm` is that of the last call, or None
    context: bool = False  # whether it also takes values by name
    inputs: tuple = ()
    outputs: tuple = ()  # (place, name) of those that have one
    free: tuple = ()
    last: tuple = ()  # values that nobody reads after it


def link(nodes, steps, kept, constants):
    """The Steps of some nodes, with what may be let go after each: all but `kept`."""
    found = [replace(steps[node]) for node in nodes]
    made = {name for step in found if step.teller is not False for name in step.node.outputs}
    readers = {}
    for step in found:
        for name in step.node.read:
            readers.setdefault(name, []).append(step)
    for step in found:
        read = step.node.read
        step.inputs = tuple(step.node.inputs)
        step.outputs = tuple([(at, name) for at, name in enumerate(step.node.outputs) if name])
        last = {name for name in read if readers[name][-1] is step and name not in kept and name not in constants}
        step.free = tuple([
            name in last and name in made and read.count(name) == 1 and all(reader.teller is not False for reader in readers[name])
            for name in step.node.inputs
        ])  # fmt: skip
        step.last = (*last, *[name for _, name in step.outputs if name not in readers and name not in kept])
    return found


def step_of(node, graph):
    """`teller` is False where results may be views of inputs, or inputs may be kept."""
    operator = node.operator
    if node.captured or operator.need_context():
        return Step(node, None, False, True)
    if quick := kernel(node, graph):
        return Step(node, lambda inputs, free: (quick(inputs, free),), quick)
    if isinstance(operator, Operator):
        if node.kind == "ConvTranspose":
            weights = [graph.constants.get(name) for name in (*node.inputs, "")[1:3]]
            if weights[0] is not None and (weights[1] is not None or not any(node.inputs[2:])):
                operator.constant(*weights)
        return Step(node, lambda inputs, free: operator.compute(*inputs), operator)
    return Step(node, lambda inputs, free: operator.run(*inputs), False)


def run(steps, values, watch=None, sizes=None):
    """Runs steps on values by name, to which results are added; their bytes to `sizes`."""
    for step in steps:
        inputs = [values[name] for name in step.inputs]
        begin = time.perf_counter() if watch else 0
        try:
            if step.context:
                results = step.node.operator.run(*inputs, context={name: values[value] for name, value in step.node.captured.items()})
            else:
                results = step.compute(inputs, step.free)
        except MemoryError:
            raise
        except Exception as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            node = step.node
            raise kind(f"{node.kind} node {node.name or node.outputs[0]!r}: {error}") from error
        if watch:
            watch.saw(step, results, time.perf_counter() - begin)
        if sizes is not None:
            sizes.append(results[0].nbytes)
        for at, name in step.outputs:
            values[name] = results[at]
        del inputs, results
        for name in step.last:
            del values[name]


class Watch:
    """What a profile keeps of a call."""

    def __init__(self, progress):
        self._progress, self._found, self._seen, self.total = progress, {}, 0, 0

    def saw(self, step, results, seconds):
        shape, algorithm = tuple(getattr(results[0], "shape", ())), getattr(step.teller, "algorithm", None) or ""
        before = self._found.get(step.node)
        if before:  # further images
            shape, seconds = (before[0][0] + shape[0], *shape[1:]), before[2] + seconds
        self._found[step.node] = shape, algorithm, seconds
        self._seen += 1
        if self._progress:
            self._progress(self._seen, self.total)

    def layers(self):
        return [Layer(node.label, node.name, *found) for node, found in self._found.items()]

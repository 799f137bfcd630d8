"""What stands between convolutions, where onnx's reference evaluator is so slow that it would hide them.

`kernel(node, constants)` is a function of a node's inputs and of which of them nobody reads any longer, so that their memory may take the result;
None where the reference evaluator (or cyconv.onnx's own operator) is to do it.
"""

from threading import Lock

import numpy as np
from scipy import special

from .. import _norms
from ..functional import plan_conv
from ..memory import empty
from .convolution import conv_arguments
from .folding import norm_scale
from .resizing import fresh, resize
from .weights import LARGE, PLANS

INFINITY = float("inf")
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def kernel(node, graph):
    make = KERNELS.get(node.kind) if not node.operator.domain else None
    return make and make(node, graph)


# ---- sums and bounds ---------------------------------------------------------------------------------------------------------


def _plain(x):
    return x.dtype == np.float32 and x.flags.c_contiguous and x.flags.aligned and x.flags.writeable


def _room(shape, dtype, inputs, free):
    """Memory for a result: that of an input which nobody reads any longer, or new."""
    for x, unread in zip(inputs, free):
        if unread and x.shape == shape and x.dtype == dtype and x.flags.c_contiguous:
            return x
    return empty(shape, dtype)


def bounds(node, graph):
    """(low, high) of a Relu or Clip; None if they are not constants, or no numbers."""
    if node.kind == "Relu":
        return 0.0, INFINITY
    found = []
    for place, name, default in ((1, "min", -INFINITY), (2, "max", INFINITY)):
        value = node.inputs[place] if len(node.inputs) > place else ""
        if value and value not in graph.constants:
            return None
        value = np.asarray(graph.constants[value] if value else node.attribute(name, default))
        if value.size != 1 or np.isnan(value):
            return None
        found.append(float(value.reshape(())))
    return tuple(found)


def _bound(node, graph):
    limits = bounds(node, graph)
    if limits is None:
        return None

    def run(inputs, free):
        x = inputs[0]
        if not _plain(x):
            return _reference(node, inputs)
        out = _room(x.shape, x.dtype, inputs[:1], free)
        _norms.bounded(x, None, *limits, out)
        return out

    return run


def _reference(node, inputs):
    """By onnx's evaluator; a new array in any case."""
    found = node.operator.run(*inputs)[0]
    return found.copy() if any(found is x for x in inputs) else found


def _add(node, graph):
    then = node.then
    limits = (-INFINITY, INFINITY) if then is None else bounds(then, graph)
    more = [] if then is None else [graph.constants[name] if name else None for name in then.inputs[1:]]

    def run(inputs, free):
        x, y = inputs
        if limits and x.shape == y.shape and _plain(x) and _plain(y):
            out = _room(x.shape, x.dtype, inputs, free)
            _norms.bounded(x, y, *limits, out)
            return out
        total = _apply(np.add, inputs, free)
        return total if then is None else _reference(then, [total, *more])

    return run


def _apply(function, inputs, free):
    x, y = inputs
    with np.errstate(all="ignore"):
        if x.dtype not in FLOATS or x.dtype != y.dtype:
            return np.asarray(function(x, y))
        return function(x, y, out=_room(np.broadcast_shapes(x.shape, y.shape), x.dtype, inputs, free))


def _arithmetic(function):
    return lambda node, graph: lambda inputs, free: _apply(function, inputs, free)


def _divide(node, graph):
    def run(inputs, free):
        if inputs[0].dtype not in FLOATS:  # integers are rounded towards 0
            return _reference(node, inputs)
        return _apply(np.divide, inputs, free)

    return run


# ---- curves ------------------------------------------------------------------------------------------------------------------


def _of_floats(function):
    """`function(x, out)` for single and double precision."""

    def make(node, graph):
        def run(inputs, free):
            x = inputs[0]
            if x.dtype not in FLOATS:
                return _reference(node, inputs)
            with np.errstate(all="ignore"):
                return function(node, x, _room(x.shape, x.dtype, inputs[:1], free))

        return run

    return make


def _sigmoid(node, x, out):
    np.negative(x, out=out)
    np.exp(out, out=out)  # beyond the largest number it is infinite, and the result 0
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def _leaky_relu(node, x, out):
    alpha = x.dtype.type(node.attribute("alpha", 0.01))
    return np.maximum(x, x * alpha, out=out) if 0 < alpha <= 1 else np.multiply(x, np.where(x < 0, alpha, x.dtype.type(1)), out=out)


def _erf(node, x, out):
    return special.erf(x, out=out)


# ---- normalisation, concatenation --------------------------------------------------------------------------------------------


def _norm(node, graph):
    parameters = [graph.constants.get(name) for name in node.inputs[1:5]]
    if any(p is None for p in parameters) or node.attribute("training_mode", 0) or not node.attribute("spatial", 1) or any(node.outputs[1:]):
        return None
    scale, shift = norm_scale(parameters, node.attribute("epsilon", 1e-5))
    zeros = np.zeros_like(scale)

    def run(inputs, free):
        x = inputs[0]
        if x.dtype not in FLOATS or not x.flags.c_contiguous or x.ndim < 2 or x.shape[1] != scale.size or not x.size:
            return _reference(node, inputs)
        out = _room(x.shape, x.dtype, inputs[:1], free)
        flat = (*x.shape[:2], -1)
        _norms.scaled(x.reshape(flat), zeros, scale, shift, out.reshape(flat))
        return out

    return run


def _concat(node, graph):
    axis = node.attribute("axis", 1)

    def run(inputs, free):
        first = inputs[0]
        if not -first.ndim <= axis < first.ndim or any(x.dtype != first.dtype for x in inputs):
            return np.concatenate(inputs, axis)
        shape = list(first.shape)
        shape[axis] = sum(x.shape[axis] for x in inputs)
        return np.concatenate(inputs, axis, out=fresh(tuple(shape), first.dtype))

    return run


# ---- products of matrices ----------------------------------------------------------------------------------------------------


class Planned:
    """A convolution with constant weights: a plan for each of the last few shapes of input."""

    def __init__(self, weight, bias, arguments):
        self._weights, self._arguments = (weight, bias), arguments
        self._plans, self._lock, self._most = {}, Lock(), PLANS if weight.nbytes < LARGE else 2

    def __getitem__(self, shape):
        plan = self._plans.get(shape)
        if plan is None:
            plan = plan_conv(shape, *self._weights, **self._arguments(shape))
            with self._lock:
                while len(self._plans) >= self._most:
                    del self._plans[next(iter(self._plans))]
                self._plans[shape] = plan
        return plan


class Convolution:
    """Conv with constant weights; `algorithm` is that of the last call."""

    algorithm = None

    def __init__(self, weight, bias, arguments):
        self._plans = Planned(weight, bias, arguments)

    def __call__(self, inputs, free):
        x = inputs[0]
        plan = self._plans[x.shape]
        self.algorithm = plan.algorithm
        return plan(x)


def _conv(node, graph):
    weight, bias = (graph.constants.get(name) for name in (*node.inputs, "")[1:3])
    if weight is None or weight.dtype not in FLOATS or bias is None and any(node.inputs[2:]):
        return None
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    attributes = {name: getattr(node.operator, name, None) for name in names}
    return Convolution(weight, bias, lambda shape: conv_arguments("Conv", shape, weight.shape, **attributes))


class Product:
    """x @ w + b for constant w and b, as a convolution whose kernels have one tap."""

    algorithm = None

    def __init__(self, weight, bias):
        self._features, self._outputs = weight.shape
        self._plans = Planned(np.ascontiguousarray(weight.T)[:, :, None], bias, lambda shape: {})

    def __call__(self, inputs, free):
        x = inputs[0]
        if not x.ndim or x.shape[-1] != self._features:
            raise ValueError(f"A must have {self._features} columns, got shape {x.shape}")
        rows = x.reshape(-1, self._features, 1)
        plan = self._plans[rows.shape]
        self.algorithm = plan.algorithm
        return plan(rows).reshape(*x.shape[:-1], self._outputs)


def _gemm(node, graph):
    weight = graph.constants.get(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    if weight is None or weight.ndim != 2 or not weight.size or weight.dtype not in FLOATS or node.attribute("transA", 0) or bias and bias not in graph.constants:
        return None
    alpha, beta = (weight.dtype.type(node.attribute(name, 1.0)) for name in ("alpha", "beta"))
    weight = weight.T if node.attribute("transB", 0) else weight
    weight = weight if alpha == 1 else weight * alpha
    if bias:
        bias = graph.constants[bias]
        if bias.size not in (1, weight.shape[1]) or bias.ndim and bias.shape[-1] not in (1, weight.shape[1]) or bias.ndim > 1 and bias.shape[0] != 1:
            return None
        bias = np.broadcast_to(beta * bias.ravel(), weight.shape[1:]).copy()
    return Product(weight, bias if len(node.inputs) > 2 and node.inputs[2] else None)


def _matmul(node, graph):
    weight = graph.constants.get(node.inputs[1])
    return None if weight is None or weight.ndim != 2 or not weight.size or weight.dtype not in FLOATS else Product(weight, None)


def _resize(node, graph):
    return resize(node, graph.constants, graph.opset)


KERNELS = {
    "Conv": _conv, "Relu": _bound, "Clip": _bound, "Add": _add, "Sub": _arithmetic(np.subtract), "Mul": _arithmetic(np.multiply), "Div": _divide,
    "Sigmoid": _of_floats(_sigmoid), "LeakyRelu": _of_floats(_leaky_relu), "Erf": _of_floats(_erf), "BatchNormalization": _norm, "Concat": _concat,
    "Gemm": _gemm, "MatMul": _matmul, "Resize": _resize, "Upsample": _resize,
}  # fmt: skip

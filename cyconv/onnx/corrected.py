"""Operators for whole models that onnx's reference evaluator has, but not right: the old Softmax, LogSoftmax that underflows, Flatten of nothing."""

from math import prod

import numpy as np
from onnx.reference.op_run import OpRun


def _flat(x, axis):
    """The matrix of the axes before one, and of those from it on."""
    axis += x.ndim * (axis < 0)
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


class Softmax(OpRun):
    """Along one axis; before version 13 along all from `axis` on as if they were one, by default from the second on."""

    op_domain = ""

    def _run(self, x, axis=None):
        if not x.size:
            return (x,)
        if self.run_params["opsets"][""] >= 13:
            return (self._along(x, axis),)
        given = any(attribute.name == "axis" for attribute in self.onnx_node.attribute)
        return (self._along(_flat(x, axis if given else 1), 1).reshape(x.shape),)

    def _along(self, x, axis):
        y = x - x.max(axis, keepdims=True)
        np.exp(y, out=y)
        y /= y.sum(axis, keepdims=True)
        return y


class LogSoftmax(Softmax):
    def _along(self, x, axis):
        y = x - x.max(axis, keepdims=True)
        y -= np.log(np.exp(y).sum(axis, keepdims=True))
        return y


class Hardmax(Softmax):
    def _along(self, x, axis):
        y = np.zeros_like(x)
        np.put_along_axis(y, x.argmax(axis, keepdims=True), 1, axis)
        return y


class Flatten(OpRun):
    op_domain = ""

    def _run(self, x, axis=1):
        return (_flat(x, axis),)


CORRECTED = [Softmax, LogSoftmax, Hardmax, Flatten]

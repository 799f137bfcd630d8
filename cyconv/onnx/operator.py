"""What all operator classes have in common."""

import numpy as np
from onnx.reference.op_run import OpRun

from .weights import Weights


class Operator(OpRun):
    """An operator of ONNX's default domain. A subclass defines `results(*inputs, **attributes)`, a tuple of arrays.

    bfloat16, for which NumPy has no arithmetic, is computed in float32 and rounded once.
    """

    op_domain = ""
    algorithm = None

    def _run(self, *inputs, **attributes):
        narrow = next((x.dtype for x in inputs if x is not None and x.dtype.name == "bfloat16"), None)
        if narrow is None:
            return self.results(*inputs, **attributes)
        wide = [x.astype(np.float32) if x is not None and x.dtype == narrow else x for x in inputs]
        return tuple([y.astype(narrow) if y.dtype == np.float32 else y for y in self.results(*wide, **attributes)])

    def compute(self, *inputs):
        """The tuple of results with the node's own attributes, without what `run` checks and logs."""
        return self._run(*inputs, **{name: getattr(self, name) for name in self.attributes_names_})


class Weighted(Operator):
    """An operator with weights, which are prepared once where they are constant (weights.py).

    `constant(weight, bias)` promises that these very arrays never change, so that nothing is compared; what is passed beside them is computed
    plainly. `algorithm` is the name of the algorithm that the last call with prepared weights took, None if there was none.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._weights = Weights()

    def constant(self, weight, *others):
        self._weights = Weights((weight, *(others or (None,))))

    def prepared(self, weights, key, make):
        """What `make(weights, *key)` prepared, or None if the weights vary, or attributes do, as those of functions may."""
        plan = None if self.has_linked_attribute else self._weights.prepared(weights, key, make)
        self.algorithm = getattr(plan, "algorithm", None)
        return plan

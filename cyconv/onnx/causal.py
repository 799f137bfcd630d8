"""CausalConvWithState: a depthwise convolution of a signal that comes in pieces, with the end of what came before."""

import numpy as np

from .. import functional
from ..arguments import FLOATS, as_array, dtype_name
from ..problem import check_same_dtype
from .operator import Weighted

ACTIVATIONS = ("none", "silu", "swish")


def causal_conv_with_state(x, w, b=None, past_state=None, *, activation="none"):
    """ONNX's CausalConvWithState: the output, and the state for the next piece."""
    return _causal(x, w, b, past_state, lambda *_: None, activation)


def _causal(x, w, b, past, prepared, activation="none"):
    x, w = as_array("input", x), as_array("weight", w)
    check_same_dtype(dtype_name("input", x.dtype, FLOATS), w.dtype, None if b is None else b.dtype)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}; got {activation!r}")
    if x.ndim != 3 or w.ndim != 3 or w.shape[:2] != (x.shape[1], 1):
        raise ValueError(f"input must be (N, C, length) and weight (C, 1, k), got shapes {x.shape} and {w.shape}")
    before = w.shape[2] - 1
    kept = (*x.shape[:2], before)
    if past is not None and (past.shape != kept or past.dtype != x.dtype):
        raise ValueError(f"past_state must have shape {kept} and dtype {x.dtype}, got {past.shape} and {past.dtype}")
    if past is None and x.shape[2] < before:
        past = np.zeros(kept, x.dtype)
    piece = x if past is None else np.concatenate([past, x], axis=2)
    present = piece[..., piece.shape[2] - before :].copy()
    # of half precision, what goes into the activation is not rounded
    computed = np.float32 if x.dtype == np.float16 else x.dtype
    arguments = {"padding": [(before if past is None else 0, 0)], "groups": max(len(w), 1)}

    def make(arrays, shape, _):
        return functional.plan_conv(shape, *arrays, dtype=computed, **arguments)

    plan = prepared((w, b), (piece.shape, past is None), make) if x.shape[2] else None
    piece = piece.astype(computed, copy=False)
    if not x.shape[2]:
        y = piece[..., :0]
    elif plan is not None:
        y = plan(piece)
    else:
        y = functional.conv1d(piece, w.astype(computed, copy=False), None if b is None else b.astype(computed, copy=False), **arguments)
    if activation != "none":
        with np.errstate(over="ignore"):
            y /= 1 + np.exp(-y)
    return y.astype(x.dtype, copy=False), present


class CausalConvWithState(Weighted):
    __doc__ = Weighted.__doc__

    def results(self, x, w, b=None, past_state=None, **attributes):
        return _causal(x, w, b, past_state, self.prepared, **attributes)

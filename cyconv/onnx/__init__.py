"""ONNX's operators of convolution and pooling on cyconv, and whole networks.

    OPS              classes for onnx.reference.ReferenceEvaluator(model, new_ops=cyconv.onnx.OPS)
    attributes.py    ONNX's attributes as cyconv's arguments
    operator.py      what the classes have in common
    weights.py       which weights are constant, and what has been prepared of them
    convolution.py   Conv, ConvTranspose; quantized.py, deformable.py, causal.py: the others that have weights
    pooling.py       pools of windows and whole planes, MaxUnpool; columns.py: Col2Im
    network.py       load: whole models, with folding.py, running.py, slices.py, elementary.py, resizing.py, corrected.py

Beside each class stands a function of arrays with the operator's attributes as keywords.
"""

try:
    import onnx  # noqa: F401
except ImportError:
    raise ImportError('cyconv.onnx needs onnx: pip install "cyconv[onnx]"') from None

from .network import load
from .operators import OPS

__all__ = ["OPS", "load"]

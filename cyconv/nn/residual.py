"""The basic block of residual networks, and an example of a module that writes its own backward and trace."""

import numpy as np

from ..devices import on_gpu
from ..memory import empty
from .activation import ReLU
from .containers import Sequential
from .convolution import Conv2d
from .initial import generator_of
from .module import Module
from .normalization import BatchNorm2d


class BasicBlock(Module):
    """Two 3×3 convolutions with batch normalisation whose result is added to the input: relu(x + f(x)).

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016. Where the shape changes, the input goes through a
    1×1 convolution and a batch normalisation first. The attributes are named as in torchvision's ResNet, so that its weights fit.

    Input (N, in_channels, H, W), output (N, out_channels, ceil(H / stride), ceil(W / stride)), of the layers' dtype.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    stride : int or tuple of int, optional
        Of the first convolution.
    dtype : dtype, optional
        float16, float32 or float64; bfloat16 (of ml_dtypes),
        in which a layer computes once it is on a GPU.
    seed : None, int or numpy.random.Generator, optional
        Of the initial weights.

    Attributes
    ----------
    conv1, bn1, relu, conv2, bn2 : Module
    downsample : Sequential or None

    Raises
    ------
    ValueError, TypeError
        As the layers.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> block = cyconv.nn.BasicBlock(8, 16, stride=2)
    >>> block(np.zeros((2, 8, 14, 14), np.float32)).shape
    (2, 16, 7, 7)
    """

    def __init__(self, in_channels, out_channels, stride=1, *, dtype=np.float32, seed=None):
        options = {"bias": False, "dtype": dtype, "seed": generator_of(seed)}
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, 1, **options)
        self.bn1 = BatchNorm2d(out_channels, dtype=dtype)
        self.relu = ReLU()
        self.conv2 = Conv2d(out_channels, out_channels, 3, 1, 1, **options)
        self.bn2 = BatchNorm2d(out_channels, dtype=dtype)
        self.downsample = None
        if max(self.conv1.stride) > 1 or in_channels != out_channels:
            self.downsample = Sequential(Conv2d(in_channels, out_channels, 1, stride, **options), BatchNorm2d(out_channels, dtype=dtype))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(_sum(y, shortcut))

    def backward(self, grad_output, *, input_grad=True):
        grad_output = self.relu.backward(grad_output)
        g = self.conv2.backward(self.bn2.backward(grad_output))
        g = self.conv1.backward(self.bn1.backward(self.relu.backward(g)), input_grad=input_grad)
        if self.downsample is not None:
            grad_output = self.downsample.backward(grad_output, input_grad=input_grad)
        return _sum(g, grad_output) if input_grad else None

    def trace(self, flow):
        y = self.relu.trace(self.bn1.trace(self.conv1.trace(flow)))
        y = self.bn2.trace(self.conv2.trace(y))
        shortcut = flow if self.downsample is None else self.downsample.trace(flow)
        return self.relu.trace(y + shortcut)


def _sum(a, b):
    """On the CPU in memory that is kept."""
    if on_gpu(a):
        with a.device:
            return a + b
    return np.add(a, b, out=empty(a.shape, a.dtype))

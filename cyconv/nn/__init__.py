"""Layers with parameters, forward and backward, on NumPy and CuPy arrays; the names, arguments and results of torch.nn.

    parameter.py       Parameter: an array with its gradient beside it
    module.py          Module: what all layers have in common
    moving.py          how modules move to the GPU and back
    convolution.py     Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
    pooling.py         MaxPool, AvgPool, LPPool, AdaptiveMaxPool, AdaptiveAvgPool, MaxUnpool; each 1d, 2d, 3d
    linear.py          Linear, Flatten, Identity
    activation.py      ReLU, Dropout
    normalization.py   BatchNorm1d, BatchNorm2d, BatchNorm3d
    containers.py      Sequential
    residual.py        BasicBlock, and how to write a backward and a trace of one's own
    summary.py         summary: a network in a table
    receptive.py       receptive_field: what a unit sees of the input
    loss.py            CrossEntropyLoss, MSELoss
    optimizers.py      SGD, Adam
    saving.py          save, load: .npz and .safetensors
    initial.py         how parameters begin

What they compute is in cyconv.functional and cyconv.grad. A step of training:

    loss(net(images), labels)                        # a float
    net.backward(loss.backward(), input_grad=False)  # adds to every parameter's grad
    optimizer.step()
    optimizer.zero_grad()

Calls in training mode remember what backward needs, until it takes it or the next call. After ``net.eval()`` nothing is
remembered, and many threads may call at once.

Modules begin on the CPU. After ``net.to("gpu")`` and ``loss.to("gpu")`` the same step is one of the GPU: it takes and gives CuPy arrays,
also as the loss, and nothing waits for the device, but for MaxUnpool, which looks at the indices that it gets.
"""

from .activation import Dropout, ReLU
from .containers import Sequential
from .convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Flatten, Identity, Linear
from .loss import CrossEntropyLoss, MSELoss
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .optimizers import SGD, Adam
from .parameter import Parameter
from .pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    LPPool1d,
    LPPool2d,
    LPPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    MaxUnpool1d,
    MaxUnpool2d,
    MaxUnpool3d,
)
from .receptive import receptive_field
from .residual import BasicBlock
from .saving import load, save
from .summary import summary

__all__ = [
    "SGD",
    "Adam",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BasicBlock",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "Linear",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "load",
    "receptive_field",
    "save",
    "summary",
]

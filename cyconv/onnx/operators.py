"""The operator classes."""

from .causal import CausalConvWithState
from .columns import Col2Im
from .convolution import Conv, ConvTranspose
from .deformable import DeformConv
from .pooling import AveragePool, GlobalAveragePool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool, MaxUnpool
from .quantized import ConvInteger, QLinearConv

OPS = [
    Conv, ConvTranspose, ConvInteger, QLinearConv, MaxPool, AveragePool, LpPool, GlobalMaxPool, GlobalAveragePool, GlobalLpPool, MaxUnpool,
    Col2Im, DeformConv, CausalConvWithState,
]  # fmt: skip

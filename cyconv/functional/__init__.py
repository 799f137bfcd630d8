"""The functions, with the names, argument order and results of torch.nn.functional, on NumPy, CuPy and dask arrays.

Where a docstring says ndarray, it is one of the kind that the arguments are.
"""

from .convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    explain,
    plan_conv,
)
from .filters import maximum_filter, minimum_filter, uniform_filter
from .network import cross_entropy, dropout, linear, log_softmax, relu, softmax
from .normalization import batch_norm
from .pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
    min_pool1d,
    min_pool2d,
    min_pool3d,
)
from .streaming import convolve_blockwise
from .windows import fold, unfold

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve_blockwise",
    "cross_entropy",
    "dropout",
    "explain",
    "fold",
    "linear",
    "log_softmax",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "maximum_filter",
    "min_pool1d",
    "min_pool2d",
    "min_pool3d",
    "minimum_filter",
    "plan_conv",
    "relu",
    "softmax",
    "unfold",
    "uniform_filter",
]

"""Batch normalisation; its arithmetic stands in functional/normalization.py."""

import numpy as np

from ..arguments import as_array, flag, integer
from ..devices import device_of, where
from ..functional.documentation import documented
from ..functional.network import check_eps, check_floating, check_probability
from ..functional.normalization import batch_norm_backward, batch_norm_forward, check_variance
from .initial import layer_dtype
from .module import Module
from .parameter import Parameter

_BATCH_NORM = """Each channel with its mean subtracted, divided by its standard deviation, times a weight, plus a bias.

    In training mean and variance are those of the batch, and running averages of both are kept, which are used in eval mode. Of a
    layer in eval mode inside of a network in training the gradients take the averages for constants.
    (Ioffe and Szegedy, "Batch normalization", 2015.)

    Input <shapes>, output alike, of the layer's dtype.

    Parameters
    ----------
    num_features : int
        C, the channels.
    eps : float, optional
        Added to the variance.
    momentum : float or None, optional
        How far a batch moves the running averages, 0 to 1. None: they are the averages of all batches.
    affine : bool, optional
        Whether there are weight and bias.
    track_running_stats : bool, optional
        Whether there are running averages. Without, those of the batch are used in eval mode, too.
    bias : bool, optional
        Whether there is a bias, if `affine`.
    dtype : dtype, optional
        Of parameters, running averages, input and output: float16, float32 or float64; bfloat16 (of ml_dtypes), in which a layer
        computes once it is on a GPU. Sums are those of up to a thousand numbers in the layer's precision (half precision: in single),
        added up in double.

    Attributes
    ----------
    weight, bias : Parameter or None
        (C,), ones and zeros at first.
    running_mean, running_var : ndarray or None
        (C,), zeros and ones at first. The variance is the unbiased one.
    num_batches_tracked : ndarray or None
        Of shape () and dtype int64.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; in a call, if the input has another shape, number of channels or dtype, or a batch has one
        value per channel only, which has no variance.

    Examples
    --------
    <example>
    """


class _BatchNorm(Module):
    _parameters = ("weight", "bias")
    _optional_state = ("num_batches_tracked",)

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, *, bias=True, dtype=np.float32):
        self.num_features = integer("num_features", num_features, 1)
        self.eps, self.momentum = check_eps(eps), None if momentum is None else check_probability("momentum", momentum)
        self.affine, self.track_running_stats = flag("affine", affine), flag("track_running_stats", track_running_stats)
        self._dtype = layer_dtype(dtype)
        ones, zeros = np.ones(self.num_features, self._dtype), np.zeros(self.num_features, self._dtype)
        self.weight = Parameter(ones) if self.affine else None
        self.bias = Parameter(zeros) if flag("bias", bias) and self.affine else None
        tracked = self.track_running_stats
        for name, value in (("running_mean", zeros), ("running_var", ones), ("num_batches_tracked", np.array(0, np.int64))):
            self.register_buffer(name, value if tracked else None)

    def _check(self, x):
        if x.ndim not in self._ranks:
            raise ValueError(f"input must have shape {self._shapes}, got {x.shape}")
        if x.shape[1] != self.num_features:
            raise ValueError(f"input must have shape {self._shapes} with {self.num_features} channels, got {x.shape}")
        if x.dtype != self._dtype:
            raise TypeError(f"input must have the layer's dtype {self._dtype}, got {x.dtype}")

    def forward(self, x):
        running = self.running_mean, self.running_var
        device_of(input=x, weight=self.weight, bias=self.bias, running_mean=running[0], running_var=running[1])
        x = as_array("input", x, gpu=True)
        self._check(x)
        check_floating(x)
        if self.training or running[0] is None:
            check_variance(x)
        moves = ()
        if self.training and running[0] is not None:
            with where(x):
                self.num_batches_tracked += 1
            moves = (None, self.num_batches_tracked) if self.momentum is None else (self.momentum,)
        y, kept = batch_norm_forward(x, *running, self.weight, self.bias, self.eps, *moves)
        self._keep(y, kept)
        return y

    def backward(self, grad_output, *, input_grad=True):
        grad_output, kept = self._kept(grad_output)
        weight, bias = self.weight, self.bias
        result, weight_gradient, bias_gradient = batch_norm_backward(grad_output, kept, weight, input_grad)
        if weight is not None:
            weight.accumulate(weight_gradient.astype(weight.dtype, copy=False))
        if bias is not None:
            bias.accumulate(bias_gradient.astype(bias.dtype, copy=False))
        return result

    def trace(self, flow):
        if flow.shape is not None:
            self._check(flow.stand_in)
        return flow.step(self)

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


@documented(
    _BATCH_NORM,
    rank=1,
    shapes="(N, C) or (N, C, L)",
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.BatchNorm1d(1, momentum=0.5)
    >>> layer(np.array([[1], [3]], np.float32)).round(4)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> layer.running_mean, layer.running_var
    (array([1.], dtype=float32), array([1.5], dtype=float32))""",
)
class BatchNorm1d(_BatchNorm):
    _ranks, _shapes = (2, 3), "(N, C) or (N, C, L)"


@documented(
    _BATCH_NORM,
    rank=2,
    shapes="(N, C, H, W)",
    example="""
    >>> import numpy as np, cyconv
    >>> layer = cyconv.nn.BatchNorm2d(3)
    >>> y = layer(np.random.default_rng(0).random((2, 3, 4, 4), dtype=np.float32))
    >>> bool(abs(y.mean()) < 1e-6), y.std().round(3)
    (True, np.float32(1.0))""",
)
class BatchNorm2d(_BatchNorm):
    _rank, _ranks, _shapes = 2, (4,), "(N, C, H, W)"


@documented(
    _BATCH_NORM,
    rank=3,
    shapes="(N, C, D, H, W)",
    example="""
    >>> import numpy as np, cyconv
    >>> cyconv.nn.BatchNorm3d(2).eval()(np.zeros((1, 2, 3, 4, 5), np.float32)).shape
    (1, 2, 3, 4, 5)""",
)
class BatchNorm3d(_BatchNorm):
    _rank, _ranks, _shapes = 3, (5,), "(N, C, D, H, W)"

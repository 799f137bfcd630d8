"""Conv and ConvTranspose."""

from .. import functional
from ..arguments import FLOATS, as_array, dtype_name, integer
from ..memory import empty
from ..plans import Plan
from ..problem import MAX_WORKSPACE, check_same_dtype, transposed_problem
from ..transpose import join_phases, run_transposed
from .attributes import check_kernel_shape, ints, padding_of, rank_of
from .operator import Weighted

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def conv(
    x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None, strides=None
):
    """ONNX's Conv."""
    arguments = conv_arguments("Conv", x.shape, w.shape, auto_pad, dilations, group, kernel_shape, pads, strides)
    return CONVOLUTIONS[x.ndim - 2](x, w, b, **arguments)


def conv_arguments(operator, x_shape, w_shape, auto_pad, dilations, group, kernel_shape, pads, strides):
    """The attributes of a convolution as cyconv's arguments."""
    rank = rank_of(operator, x_shape)
    if len(w_shape) != rank + 2:
        raise ValueError(f"W must have as many axes as X, {rank + 2}, got shape {tuple(w_shape)}")
    check_kernel_shape(kernel_shape, w_shape)
    return {
        "stride": ints("strides", strides, rank), "padding": padding_of(auto_pad, pads, rank),
        "dilation": ints("dilations", dilations, rank), "groups": group,
    }  # fmt: skip


class Conv(Weighted):
    __doc__ = Weighted.__doc__

    def results(self, x, w, b=None, **attributes):
        def make(arrays, shape):
            return functional.plan_conv(shape, *arrays, **conv_arguments("Conv", shape, w.shape, **attributes))

        plan = self.prepared((w, b), (x.shape,), make)
        return (conv(x, w, b, **attributes) if plan is None else plan(x),)


def conv_transpose(
    x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, output_padding=None, output_shape=None, pads=None,
    strides=None,
):  # fmt: skip
    """ONNX's ConvTranspose.

    Where more outputs are asked for than weights reach, by `output_shape` or by SAME with a stride larger than the kernel, they come after the
    others and are the bias. So does ONNX Runtime for `output_shape`; its SAME makes no more than weights reach.
    """
    return _transposed(x, w, b, (auto_pad, dilations, group, kernel_shape, output_padding, output_shape, pads, strides))


def _transposed(x, w, b, attributes):
    x, w, b = as_array("X", x), as_array("W", w), None if b is None else as_array("B", b)
    check_same_dtype(dtype_name("X", x.dtype, FLOATS), w.dtype, None if b is None else b.dtype)
    return run_transposed(_transposed_problem(x.shape, w, b, *attributes), x.ndim - 2, x, w, b, "auto", None)


def _transposed_problem(shape, w, b, auto_pad, dilations, group, kernel_shape, output_padding, output_shape, pads, strides):
    rank = rank_of("ConvTranspose", shape)
    if w.ndim != rank + 2:
        raise ValueError(f"W must have as many axes as X, {rank + 2}, got shape {w.shape}")
    size, kernel, stride = shape[2:], check_kernel_shape(kernel_shape, w.shape), ints("strides", strides, rank)
    dilation, extra = ints("dilations", dilations, rank), ints("output_padding", output_padding, rank, 0, 0)
    padding = padding_of(auto_pad, None if output_shape else pads, rank)
    upper = padding == "same_upper"
    full = [(n - 1) * s + e + (k - 1) * d + 1 for n, s, e, k, d in zip(size, stride, extra, kernel, dilation)]
    wanted = None
    if output_shape:
        wanted = ints("output_shape", output_shape, rank)
    elif isinstance(padding, str):
        wanted = full if padding == "valid" else [n * s for n, s in zip(size, stride)]
    if wanted is not None:
        padding = tuple([_cut(most - length, upper) for most, length in zip(full, wanted)])
    return transposed_problem(
        rank, tuple(shape), w.shape, None if b is None else b.shape, w.dtype.name, stride, padding, extra, integer("group", group, 1),
        dilation, False, MAX_WORKSPACE,
    )  # fmt: skip


def _cut(total, upper):
    """How many outputs are cut off before and after, the odd one after if `upper`."""
    if total < 0:
        return 0, total
    less = total // 2
    return (less, total - less) if upper else (total - less, less)


class _TransposedPlan:
    """A transposed convolution whose phases are planned."""

    def __init__(self, whole, w, b):
        self.whole, self.rank, self.bias = whole, w.ndim - 2, b
        taps = w.reshape(whole.groups, -1, *w.shape[1:]).swapaxes(1, 2)
        self.plans = {
            id(phase): Plan(phase.problem, taps[(..., *phase.taps)].reshape(phase.problem.weight_shape), b, "auto") for phase in whole.phases
        }
        self.algorithm = next((plan.algorithm for plan in self.plans.values()), None)

    def __call__(self, x):
        def computed(phase, to):
            return self.plans[id(phase)](x, to)

        whole = self.whole
        if len(whole.phases) == 1 and whole.everywhere:
            return computed(whole.phases[0], None)
        result = empty(whole.output_shape, whole.dtype)
        join_phases(whole, self.rank, computed, self.bias, result)
        return result


class ConvTranspose(Weighted):
    __doc__ = Weighted.__doc__

    def results(self, x, w, b=None, **attributes):
        def make(arrays, shape):
            weight, bias = arrays
            whole = _transposed_problem(shape, weight, bias, **attributes)
            return _TransposedPlan(whole, weight, bias)

        plan = self.prepared((w, b), (x.shape,), make)
        return (conv_transpose(x, w, b, **attributes) if plan is None else plan(x),)

"""A program of a user, for mypy, which test_typing.py runs; nobody else does.

Where types are asserted, results have them. Lines with an error end with a comment: E, and some of what mypy says.
"""

from collections.abc import Iterator
from typing import Any, Literal, assert_type

import dask.array as da
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

import cyconv
import cyconv.onnx
import cyconv.plot
from cyconv import grad, nn, signal

Single = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def convolutions(x: Single, w: Single, anything: npt.ArrayLike, lazy: da.Array) -> Single:
    assert_type(cyconv.conv2d(x, w), Single)
    assert_type(cyconv.conv1d([[1.0, 2.0]], [[[1.0]]]), npt.NDArray[Any])
    assert_type(cyconv.conv3d(anything, w, padding="same_upper"), npt.NDArray[Any])
    assert_type(cyconv.conv_transpose2d(x, w, None, 2, padding=((1, 0), (0, 1)), output_padding=(1, 0)), Single)
    assert_type(cyconv.conv2d(lazy, w), da.Array)
    cyconv.conv2d(x, w, stride=(1, np.int64(2)), dilation=[2, 2], groups=2, padding=[(1, 2), (0, 0)], padding_mode="reflect", precision="strict")
    cyconv.conv2d(x, w, stride="2")  # E: "stride" to "conv2d" has incompatible type "str"
    cyconv.conv2d(x, w, stride=1.5)  # E: No overload variant
    cyconv.conv2d(x, w, padding="ful")  # E: "padding" to "conv2d" has incompatible type
    cyconv.conv2d(x, w, padding_mode="constant")  # E: No overload variant
    cyconv.conv2d(x, w, precision=3)  # E: No overload variant
    cyconv.conv2d(x, w, None, 1, 0, 1, 1, "reflect")  # E: No overload variant
    cyconv.conv2d(x, w, padding_modes="zeros")  # E: did you mean "padding_mode"?
    cyconv.conv2d(x)  # E: No overload variant
    cyconv.conv_transpose1d(x, w, padding="same")  # E: "padding" to "conv_transpose1d" has
    cyconv.con2d(x, w)  # E: has no attribute "con2d"
    wrong: str = cyconv.conv2d(x, w)  # E: Incompatible types in assignment
    why = cyconv.explain(x, w)
    assert_type(why.chosen, str)
    y = np.zeros((2, 3, 8, 8))  # whose type has the number of axes
    y = cyconv.conv2d(y, y)
    first, second, third, fourth = y.shape
    return cyconv.conv2d(x, w, out=x)


def plans(x: Single, w: Single) -> Single:
    plan = cyconv.plan_conv((1, 3, 8, 8), w, dtype=np.float32, padding=1)
    assert_type(plan.algorithm, str)
    assert_type(plan.output_shape, tuple[int, ...])
    cyconv.plan_conv("1x3x8x8", w)  # E: Argument 1 to "plan_conv" has
    return plan(x, out=x)


def pools(x: Single, integers: npt.NDArray[np.int8], lazy: da.Array, flag: bool) -> tuple[Single, Indices]:
    assert_type(cyconv.max_pool2d(x, 2), Single)
    assert_type(cyconv.max_pool2d(x, 2, return_indices=True), tuple[Single, Indices])
    assert_type(cyconv.min_pool1d(integers, 2, return_indices=False), npt.NDArray[np.int8])
    assert_type(cyconv.adaptive_max_pool2d(x, (3, None), True), tuple[Single, Indices])
    assert_type(cyconv.adaptive_avg_pool2d(x, 3), Single)
    assert_type(cyconv.max_pool3d(lazy, 2), da.Array)
    assert_type(cyconv.max_pool3d(x, 2, return_indices=flag), Any)
    assert_type(cyconv.lp_pool2d(x, 2.0, 2), Single)
    assert_type(cyconv.lp_pool2d(integers, 2, 2), Any)
    cyconv.avg_pool2d(x, 2, padding="same")  # E: "padding" to "avg_pool2d" has
    cyconv.avg_pool2d(x, kernel_size="2")  # E: "kernel_size" to "avg_pool2d" has
    cyconv.avg_pool1d(x, 2, divisor_override=3)  # E: Unexpected keyword argument "divisor_override"
    cyconv.max_pool2d(x, 2, return_indices=True).shape  # E: has no attribute "shape"
    values, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    assert_type(cyconv.max_unpool2d(values, indices, 2), Single)
    return cyconv.max_pool1d(x, 2, return_indices=True, out=x)


def everything_else(x: Single, lazy: da.Array) -> None:
    assert_type(cyconv.maximum_filter(x, 3, mode=("reflect", "wrap"), axes=(0, 1)), Single)
    cyconv.uniform_filter(x, 3, mode="reflected")  # E: "mode" to "uniform_filter" has
    assert_type(cyconv.unfold(x, 2), Single)
    assert_type(cyconv.fold(lazy, (4, 4), 2), da.Array)
    assert_type(cyconv.relu(x, out=x), Single)
    assert_type(cyconv.softmax([0.0, 1.0]), npt.NDArray[Any])
    assert_type(cyconv.cross_entropy(x, [1, 2], reduction="sum"), float)
    cyconv.cross_entropy(x, [1, 2], reduction="none")  # E: No overload variant
    cyconv.dropout(x, seed="0")  # E: No overload variant
    assert_type(cyconv.get_num_threads(), int)
    with cyconv.threads(2):
        cyconv.set_num_threads(1)
    cyconv.set_num_threads("1")  # E: "set_num_threads" has incompatible type
    assert_type(cyconv.release_memory(), int)
    assert_type(grad.conv2d_input(x.shape, x, x), Single)
    assert_type(grad.conv2d_weight(x, (1, 1, 2, 2), x, padding="same"), Single)
    grad.conv2d_weight(x, 4, x)  # E: No overload variant
    assert_type(signal.fftconvolve(x, x, mode="same"), Single)
    assert_type(signal.choose_conv_method(x, x), Literal["direct", "fft"])
    method, times = signal.choose_conv_method(x, x, measure=True)
    assert_type(times, dict[str, float])
    signal.convolve2d(x, x, boundary="mirror")  # E: No overload variant
    assert_type(cyconv.plot.pooled(x, 2), Figure)
    print(cyconv.onnx.load("model.onnx").profile(x))


class Scaled(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Conv2d(1, 6, 5, padding=2, seed=0)

    def forward(self, x: Single) -> Single:
        result: Single = 2 * self.inner(x)
        return result


def networks(x: Single) -> Iterator[nn.Parameter]:
    net = nn.Sequential(Scaled(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 14 * 14, 10, seed=1))
    nn.Sequential({"only": nn.BatchNorm2d(3)})
    nn.Sequential(3)  # E: No overload variant
    nn.Conv2d(1, 6, 5, padding="sam")  # E: "padding" to "Conv2d" has
    nn.Conv2d(1, 6)  # E: Missing positional argument "kernel_size"
    nn.MaxPool2d(kernel=2)  # E: "kernel"
    optimizer = nn.SGD(net.parameters(), lr=0.1, momentum=0.9)
    nn.Adam(net, lr=0.1)  # E: to "Adam" has
    optimizer.step()
    assert_type(net.train(False), nn.Sequential)
    assert_type(net[0], nn.Module)
    assert_type(net[1:], nn.Sequential)
    assert_type(nn.load("net.npz"), dict[str, npt.NDArray[Any]])
    net.load_state_dict(nn.load("net.npz")).missing_keys.append("name")
    net.to("tpu")  # E: "to" of "Module" has
    print(nn.summary(net, x.shape).multiply_adds, nn.receptive_field(net[:3], (0, 0))[0].start)
    weight = Scaled().inner.weight
    assert_type(weight.grad, npt.NDArray[np.floating[Any]] | None)
    assert_type(weight.requires_grad, bool)
    return net.parameters()

"""Four networks as ONNX models with random weights: what the tests run small, and `python -m bench.networks` races whole.

Weights are scaled (He et al., Delving deep into rectifiers, 2015) and batch normalisation has statistics that fit, so that numbers neither die out nor
grow: an answer that agrees at the end agrees all the way. `width` divides channels, `size` is that of the picture, `batch` a number or a name.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and weights as they come, layer after layer; values are names, and how many channels each has is remembered."""

    def __init__(self, seed=0):
        self.nodes, self.weights, self.channels = [], [], {}
        self._rng = np.random.default_rng(seed)

    def node(self, kind, *inputs, channels=None, **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        self.channels[name] = channels or self.channels.get(inputs[0])
        return name

    def constant(self, value, dtype=np.float32):
        name = f"w_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def normal(self, *shape, scale):
        return self.constant(self._rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))

    def uniform(self, low, high, count):
        return self.constant(self._rng.uniform(low, high, count))

    def conv(self, x, channels, kernel, stride=1, groups=1, bias=True, gain=2.0):
        """Keeps the size, but for the stride; gain: 2 where a rectifier follows, which takes half of the squares away."""
        each = self.channels[x] // groups
        weight = self.normal(channels, each, kernel, kernel, scale=(gain / (each * kernel**2)) ** 0.5)
        more = (self.uniform(-0.1, 0.1, channels),) if bias else ()
        pads = [kernel // 2] * 4
        return self.node("Conv", x, weight, *more, channels=channels, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=groups)

    def norm(self, x, scale=1.0):
        """Batch normalisation whose statistics are about those of what comes."""
        count = self.channels[x]
        parameters = (self.uniform(0.8 * scale, 1.2 * scale, count), self.uniform(-0.1, 0.1, count), self.uniform(-0.1, 0.1, count), self.uniform(0.8, 1.2, count))
        return self.node("BatchNormalization", x, *parameters)

    def dense(self, x, inputs, outputs, gain=2.0):
        weight = self.normal(outputs, inputs, scale=(gain / inputs) ** 0.5)
        return self.node("Gemm", x, weight, self.uniform(-0.1, 0.1, outputs), channels=outputs, transB=1)

    def model(self, batch, channels, size, output):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, size, size])
        nodes = [*self.nodes, helper.make_node("Identity", [output], ["y"])]
        graph = helper.make_graph(nodes, "network", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model) if model.ByteSize() < 2**28 else model

    def image(self, channels=3):
        self.channels["x"] = channels
        return "x"


def vgg16(batch=1, size=224, width=1):
    """Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition (2014): 16 layers with weights."""
    g = Graph()
    x = g.image()
    for channels, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            x = g.node("Relu", g.conv(x, channels // width, 3))
        x = g.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x, features = g.node("Flatten", x), 512 // width * (size // 32) ** 2
    for outputs in (4096 // width, 4096 // width):
        x, features = g.node("Dropout", g.node("Relu", g.dense(x, features, outputs))), outputs
    return g.model(batch, 3, size, g.dense(x, features, 1000 // width, gain=1.0))


def resnet50(batch=1, size=224, width=1):
    """He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015), with strides at the 3x3 layers, as libraries have it."""
    g = Graph()

    def layer(x, *shape, **more):
        return g.node("Relu", g.norm(g.conv(x, *shape, bias=False, **more)))

    x = g.node("MaxPool", layer(g.image(), 64 // width, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for channels, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            step, wide = stride if block == 0 else 1, 4 * channels // width
            inner = layer(layer(x, channels // width, 1), channels // width, 3, step)
            inner = g.norm(g.conv(inner, wide, 1, bias=False, gain=1.0), scale=0.3)  # blocks add up
            if block == 0:
                x = g.norm(g.conv(x, wide, 1, step, bias=False, gain=1.0))
            x = g.node("Relu", g.node("Add", inner, x))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    return g.model(batch, 3, size, g.dense(x, 2048 // width, 1000 // width, gain=1.0))


def mobilenet_v2(batch=1, size=224, width=1):
    """Sandler and others, MobileNetV2: inverted residuals and linear bottlenecks (2018)."""
    g = Graph()
    low, high = g.constant(0.0), g.constant(6.0)

    def layer(x, *shape, **more):
        return g.node("Clip", g.norm(g.conv(x, *shape, bias=False, **more)), low, high)

    def thin(channels):
        return max(channels // width, 4)

    x = layer(g.image(), thin(32), 3, 2)
    for wider, channels, blocks, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(blocks):
            before, step = x, stride if block == 0 else 1
            inner = wider * g.channels[x]
            if wider > 1:
                x = layer(x, inner, 1)
            x = g.norm(g.conv(layer(x, inner, 3, step, inner), thin(channels), 1, bias=False, gain=1.0))
            if g.channels[before] == g.channels[x] and step == 1:
                x = g.node("Add", before, x)
    x = g.node("Flatten", g.node("GlobalAveragePool", layer(x, thin(1280), 1)))
    return g.model(batch, 3, size, g.dense(x, thin(1280), thin(1000), gain=1.0))


def unet(batch=1, size=256, width=2):
    """Ronneberger, Fischer and Brox, U-Net (2015), with padding, batch normalisation and half as many channels: as many pixels out as in."""
    g = Graph()

    def twice(x, channels):
        for _ in range(2):
            x = g.node("Relu", g.norm(g.conv(x, channels, 3)))
        return x

    x, down = g.image(1), []
    for channels in (64, 128, 256, 512):
        down.append(twice(x, channels // width))
        x = g.node("MaxPool", down[-1], kernel_shape=[2, 2], strides=[2, 2])
    x = twice(x, 1024 // width)
    for across in reversed(down):
        channels, before = g.channels[across], g.channels[x]
        weight = g.normal(before, channels, 2, 2, scale=before**-0.5)
        x = g.node("ConvTranspose", x, weight, g.uniform(-0.1, 0.1, channels), channels=channels, kernel_shape=[2, 2], strides=[2, 2])
        x = twice(g.node("Concat", across, x, channels=2 * channels, axis=1), channels)
    return g.model(batch, 1, size, g.node("Sigmoid", g.conv(x, 2, 1, gain=1.0)))


MODELS = {"vgg16": vgg16, "resnet50": resnet50, "mobilenet_v2": mobilenet_v2, "unet": unet}
SIZES = {"vgg16": 224, "resnet50": 224, "mobilenet_v2": 224, "unet": 256}

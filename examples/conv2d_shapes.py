"""Shapes: what goes into a two-dimensional convolution, what comes out, and how many parameters that takes.

Prints the size of a result for a batch of 117 arrays of 4 channels, the formula for sizes beside what comes out, the parameters
of a layer, and how many more of them a fully connected layer would need.
"""

import numpy as np

import cyconv.functional as F
import cyconv.nn as nn

rng = np.random.default_rng(0)
x = rng.standard_normal((117, 4, 10, 3))  # 117 samples of 4 channels, 10 rows, 3 columns
weight = rng.standard_normal((5, 4, 2, 3))  # 5 filters; each looks at all 4 channels, 2 rows and 3 columns at a time
y = F.conv2d(x, weight)
print(f"input  {x.shape}\nweight {weight.shape}\nresult {y.shape}: 10 - 2 + 1 = 9 rows, 3 - 3 + 1 = 1 column\n")

print("A filter fits into (n + 2*padding - dilation*(kernel - 1) - 1) // stride + 1 places:")
print("  n  kernel  stride  padding  dilation   formula  result")
for n, k, s, p, d in [(28, 5, 1, 0, 1), (28, 5, 1, 2, 1), (28, 5, 2, 0, 1), (28, 5, 2, 2, 1), (28, 3, 1, 0, 4), (28, 3, 3, 4, 4)]:
    formula = (n + 2 * p - d * (k - 1) - 1) // s + 1
    result = F.conv2d(np.zeros((1, n, n)), np.zeros((1, 1, k, k)), stride=s, padding=p, dilation=d)
    print(f" {n:2}  {k:6}  {s:6}  {p:7}  {d:8}  {formula:8}  {result.shape[1]:6}")
    assert result.shape == (1, formula, formula)

layer = nn.Conv2d(in_channels=4, out_channels=5, kernel_size=(2, 3), seed=0)
print(f"\nA layer keeps its weight and its bias:\n  {layer}")
for name, parameter in layer.named_parameters():
    print(f"  {name:6}  {parameter.shape}")
assert layer(x.astype(np.float32)).shape == y.shape  # layers compute in single precision unless they are told otherwise

# From an image of 3 x 256 x 256 to another one of this size: a fully connected layer multiplies every input with every output.
size = 3 * 256 * 256
small = nn.summary(nn.Conv2d(3, 3, 5, padding=2), (3, 256, 256))
assert small.layers[0].dense == size**2
print("\nFrom 3 x 256 x 256 to 3 x 256 x 256:")
print(f"  fully connected  {size**2:.3g} weights, {4 * size**2 / 1e9:.0f} GB in single precision")
print(f"  convolution      {small.parameters} weights and biases with kernels of 5 x 5, whatever the size of the image")

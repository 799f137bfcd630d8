"""How the part of the input that a unit sees grows from layer to layer.

Prints the size, the stride and the offset of the receptive fields of a small network, worked out by hand and by nn.summary, and checks
one of them: the gradient of one unit is 0 for every sample that the unit does not see. Draws what units of three layers see.
"""

import argparse
import copy

import numpy as np
from matplotlib.figure import Figure

import cyconv.nn as nn
from cyconv import plot

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="receptive_fields.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

net = nn.Sequential(
    nn.Conv2d(3, 8, 5, padding=2, seed=0), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(8, 16, 3, padding=1, seed=1), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(16, 16, 3, padding=1, seed=2), nn.ReLU(),
)  # fmt: skip

# A step of one unit in a layer is a step of `stride` samples of the input. A kernel of k taps reaches k - 1 such steps further,
# and begins `padding` of them earlier.
print("by hand\n  kernel  stride  padding    field  stride  offset")
size, stride, offset = 1, 1, 0
for kernel, step, padding in [(5, 1, 2), (2, 2, 0), (3, 1, 1), (2, 2, 0), (3, 1, 1)]:
    size, offset = size + (kernel - 1) * stride, offset - padding * stride
    stride *= step
    print(f"  {kernel:6}  {step:6}  {padding:7}  {size:7}  {stride:6}  {offset:6}")
summary = nn.summary(net, (3, 64, 96))
print(f"\nnn.summary\n{summary}\n")
assert (size, stride, offset) == (summary.layers[-1].field[0].size, summary.layers[-1].field[0].stride, summary.layers[-1].field[0].offset)

unit = (6, 15)
rows, columns = nn.receptive_field(net, unit, (3, 64, 96))
print(f"Unit {unit} of the last layer sees rows {rows.start} to {rows.stop - 1} and columns {columns.start} to {columns.stop - 1}.")

# Weights of 1 and a positive input: nothing cancels, and no ReLU is in the way of the gradient.
ones = copy.deepcopy(net)
for parameter in ones.parameters():
    parameter[...] = 1
y = ones(np.ones((1, 3, 64, 96), np.float32))
one_unit = np.zeros_like(y)
one_unit[0, 0, *unit] = 1
seen = np.argwhere(ones.backward(one_unit)[0, 0])
(top, left), (bottom, right) = seen.min(axis=0), seen.max(axis=0)
print(f"Its gradient is not 0 in rows {top} to {bottom} and columns {left} to {right}.")
assert (top, bottom + 1, left, right + 1) == (rows.start, rows.stop, columns.start, columns.stop)

# A picture to look at: dots on a ground that changes its colour from corner to corner.
y, x = np.mgrid[:64, :96] / 64
dots = np.sin(14 * np.pi * x) * np.sin(14 * np.pi * y) > 0.25
image = np.stack([0.3 + 0.45 * x, 0.75 - 0.5 * y, 0.85 - 0.5 * x + 0.1 * y]) + 0.25 * dots
image = image.clip(0, 1).astype(np.float32)
figure = Figure(figsize=(8.4, 9.4), dpi=120, layout="constrained")
for part, name, layers, place in zip(figure.subfigures(3, 1), ("first", "second", "third"), (1, 4, 7), ((26, 62), (13, 31), unit)):
    plot.receptive_field(net[:layers], place, image, figure=part)
    part.suptitle(f"after the {name} convolution", fontsize=11)
figure.savefig(output)
print(f"Picture: {output}")

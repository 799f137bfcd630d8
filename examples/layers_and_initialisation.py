"""How the weights of layers begin, and why their size matters in a deep network.

Prints the least and the largest weight of new layers beside their bound, 1 / sqrt(fan_in), and the size of the activations, layer
by layer, in a stack of 20 convolutions whose weights begin too small, well, or too large. Draws both.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import cyconv.nn as nn

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="layers_and_initialisation.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

rng = np.random.default_rng(0)
layers = [nn.Conv2d(3, 64, 7, seed=rng), nn.Conv2d(64, 64, 3, seed=rng), nn.Linear(1024, 100, seed=rng)]
print("fan_in: how many products are added up for one output")
for layer in layers:
    fan_in = layer.weight[0].size
    print(f"  fan_in {fan_in:4}, bound {fan_in**-0.5:.4f}: weights from {layer.weight.min():.4f} to {layer.weight.max():.4f},"
          f" standard deviation {layer.weight.std():.4f} (bound / sqrt(3) = {(3 * fan_in) ** -0.5:.4f})   {layer}")  # fmt: skip

# Each output is a sum of fan_in products. If the weights have the variance v, the variance of the sum is fan_in * v times the mean
# square of the inputs, and ReLU takes half of it away: with v = 2 / fan_in (He and others, 2015) the size stays what it is.
DEPTH, CHANNELS = 20, 32
SCALES = {"1 / sqrt(3 fan_in), the default": 1 / 3, "sqrt(2 / fan_in)": 2.0, "sqrt(6 / fan_in)": 6.0}


def sizes(gain):
    """The root mean square of the activations after each of DEPTH layers."""
    x = np.random.default_rng(1).standard_normal((4, CHANNELS, 24, 24)).astype(np.float32)
    found = []
    for _ in range(DEPTH):
        # Circular padding: there is no border, where zeros would make the sums smaller.
        layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode="circular", bias=False)
        layer.weight[...] = rng.standard_normal(layer.weight.shape) * np.sqrt(gain / layer.weight[0].size)
        x = nn.ReLU()(layer(x))
        found.append(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    return found


curves = {name: sizes(gain) for name, gain in SCALES.items()}
print(f"\nroot mean square of the activations, by the standard deviation of the weights\n  layer  {'   '.join(curves)}")
for number in (1, 2, 5, 10, 20):
    row = "   ".join(f"{curve[number - 1]:<{len(name)}.2e}" for name, curve in curves.items())
    print(f"  {number:5}  {row}")

figure = Figure(figsize=(11, 4.2), layout="constrained")
left, right = figure.subplots(1, 2)
bound = layers[1].weight[0].size ** -0.5
left.hist(layers[1].weight.ravel(), bins=60, color="#1f6fb2")
for edge in (-bound, bound):
    left.axvline(edge, color="#e8710a", linewidth=2)
left.set_title(f"weights of Conv2d(64, 64, 3), within ±1/sqrt(576) = ±{bound:.4f}", fontsize=10)
for (name, curve), colour in zip(curves.items(), ("#1f6fb2", "#0b8a6a", "#e8710a")):
    right.semilogy(range(1, DEPTH + 1), curve, color=colour, linewidth=2, label=name)
right.set_xticks([1, 5, 10, 15, 20])
right.set_xlabel("layer")
right.legend(title="standard deviation of the weights", frameon=False, fontsize=9, loc="lower left")
right.set_title("root mean square of the activations", fontsize=10)
figure.savefig(output, dpi=120)
print(f"\nPicture: {output}")

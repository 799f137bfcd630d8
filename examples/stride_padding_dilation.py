"""Stride, padding and dilation: which samples each output looks at.

Prints, for several settings, a line for each output that marks the samples of its window (p is padding, a dot a sample that is not
looked at), and a small image with what comes out. Draws the first two windows of each setting in two dimensions.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import cyconv.functional as F

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="stride_padding_dilation.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

N, K = 7, 3
SETTINGS = [  # stride, padding, dilation
    (1, 0, 1),
    (2, 0, 1),
    (1, 1, 1),
    (2, 1, 1),
    (1, 0, 2),
    (2, 2, 2),
]


def windows(stride, padding, dilation):
    """For each output, the samples it looks at; those from -padding to -1 and from N on are padding."""
    outputs = (N + 2 * padding - dilation * (K - 1) - 1) // stride + 1
    return [[o * stride + j * dilation - padding for j in range(K)] for o in range(outputs)]


print(f"A signal of {N} samples, a kernel of {K} taps")
for stride, padding, dilation in SETTINGS:
    print(f"\nstride {stride}, padding {padding}, dilation {dilation}: {len(windows(stride, padding, dilation))} outputs")
    for o, window in enumerate(windows(stride, padding, dilation)):
        marks = ["#" if i in window else "." if 0 <= i < N else "p" for i in range(-padding, N + padding)]
        print(f"  output {o}:  {'  ' * (2 - padding)}{' '.join(marks)}")
    # The same from conv1d: an input that is 1 at one sample only is seen by the outputs whose window holds that sample.
    seen = F.conv1d(np.eye(N)[:, None], np.ones((1, 1, K)), None, stride, padding, dilation)[:, 0].T
    assert all(list(np.flatnonzero(row)) == [i for i in w if 0 <= i < N] for row, w in zip(seen, windows(stride, padding, dilation)))

image = np.arange(25).reshape(1, 5, 5)
print(f"\nAn image, and the sums of its 3 x 3 windows:\n{image[0]}")
for options in ({}, {"stride": 2}, {"padding": 1}, {"stride": 2, "padding": 1}, {"dilation": 2}):
    said = ", ".join(f"{name} {value}" for name, value in options.items()) or "stride 1, no padding"
    print(f"{said}:\n{F.conv2d(image, np.ones((1, 1, 3, 3), int), **options)[0]}")

figure = Figure(figsize=(10, 7.5), layout="constrained")
figure.suptitle("grey: the input, white: padding; blue: the first window, orange: the next one", fontsize=12)
for axes, (stride, padding, dilation) in zip(figure.subplots(2, 3).flat, SETTINGS):
    along = windows(stride, padding, dilation)
    for row, column in np.ndindex(N + 2 * padding, N + 2 * padding):
        inside = padding <= row < N + padding and padding <= column < N + padding
        colour = "#eef1f4" if inside else "white"
        axes.add_patch(Rectangle((column - padding, row - padding), 1, 1, facecolor=colour, edgecolor="#c3cad3", linewidth=0.8))
    for o, inset, colour in ((0, 0.12, "#1f6fb2"), (1, 0.24, "#e8710a")):  # the first two windows beside each other
        side = 1 - 2 * inset
        for row in along[0]:
            for column in along[o]:
                axes.add_patch(Rectangle((column + inset, row + inset), side, side, fill=False, edgecolor=colour, linewidth=2))
    axes.set_xlim(-padding - 0.1, N + padding + 0.1)
    axes.set_ylim(N + padding + 0.1, -padding - 0.1)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"stride {stride}, padding {padding}, dilation {dilation}: {len(along)} × {len(along)}", fontsize=11)
figure.savefig(output, dpi=120)
print(f"\nPicture: {output}")

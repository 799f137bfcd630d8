"""Finding all copies of a small picture in a large one: why the correlation has to be normalised.

Hides copies of a pattern, darker or paler ones among them, in an image with noise that is brighter at one side. Prints where each was
hidden and found, and what plain correlation finds instead. Draws image, template and both scores.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import cyconv
from cyconv import signal

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="template_matching.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

SIDE = 25
y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
template = np.where(np.hypot(y, x) < 11, np.sign(x * y), 0.0)  # a disc of four quarters, two of them bright and two dark

rng = np.random.default_rng(1)
image = np.tile(np.linspace(0, 3, 320), (200, 1))  # brighter to the right
image += 0.4 * signal.fftconvolve(rng.standard_normal((204, 324)), np.ones((5, 5)) / 5, mode="valid")  # clouds of noise
hidden = {(20, 30): 1.0, (110, 64): 1.5, (60, 150): 0.8, (140, 190): 1.2, (30, 255): 1.0}  # (row, column): contrast
for (row, column), contrast in hidden.items():
    image[row : row + SIDE, column : column + SIDE] += contrast * template

# The correlation coefficient of the template with every window: from -1 to 1, whatever the window's brightness and contrast.
score = signal.match_template(image, template)
# A peak is the largest score around it: a sliding maximum leaves it as it is.
peaks = np.argwhere((score == cyconv.maximum_filter(score, SIDE)) & (score > 0.6))
found = {(int(row), int(column)) for row, column in peaks}
for place, contrast in hidden.items():
    print(f"hidden at row {place[0]:3}, column {place[1]:3} with contrast {contrast}: score {score[place]:.2f}", end=", ")
    print("found" if place in found else "not found")
print(f"found elsewhere: {len(found - set(hidden))}")

# Without that, windows win that are bright, here for a template without negative numbers.
plain = signal.correlate(image, template + 1, mode="valid", method="auto")
row, column = np.unravel_index(plain.argmax(), plain.shape)
print(f"plain correlation is largest at row {row}, column {column}: {'a copy' if (row, column) in hidden else 'no copy, but bright'}")

figure = Figure(figsize=(11, 6.6), layout="constrained")
panels = figure.subplots(2, 2).flat
for axes, title, plane, colours in [
    (panels[0], "the image, and what was found", image, "gray"),
    (panels[1], "the template", template, "gray"),
    (panels[2], "correlation coefficient", score, "magma"),
    (panels[3], "plain correlation", plain, "magma"),
]:
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()
    axes.imshow(plane, cmap=colours)
for row, column in found:
    panels[0].add_patch(Rectangle((column - 0.5, row - 0.5), SIDE, SIDE, fill=False, edgecolor="#e8710a", linewidth=2))
panels[3].plot(*np.unravel_index(plain.argmax(), plain.shape)[::-1], "o", markersize=12, markerfacecolor="none", color="#2f9be8")
figure.savefig(output, dpi=120)
print(f"Picture: {output}")

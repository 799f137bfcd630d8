"""Derivatives of an image are convolutions: Sobel's filters, the gradient that they make, and the Laplacian.

Prints the kernels, what they answer to a constant, to a slope and to an edge, and that the gradient of a disc points to its centre.
Draws the results for a picture of rings and shapes.
"""

import argparse

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

import cyconv.functional as F

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="differential_operators.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8  # a difference along the rows, averaged over three of them
SOBEL_Y = SOBEL_X.T
LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).astype(float)  # the neighbours, minus four times the middle
OPERATORS = np.stack([SOBEL_X, SOBEL_Y, LAPLACIAN])[:, None]  # three filters for one input channel


def shapes(height=240, width=320):
    """Rings that get narrower, a disc, a square and a triangle; from 0 to 1, with soft edges."""
    y, x = np.mgrid[:height, :width].astype(float)
    image = np.full((height, width), 0.25)
    r = np.hypot(y - 120, x - 95)
    image = np.where(r < 88, 0.5 + 0.5 * np.cos(r**2 / 260), image)
    image = np.where(np.hypot(y - 65, x - 252) < 42, 0.9, image)
    image = np.where((np.abs(y - 180) < 34) & (np.abs(x - 218) < 30), 0.7, image)
    image = np.where((y > 146) & (y < 214) & (np.abs(x - 286) < (y - 146) * 0.42), 0.0, image)
    soft = np.outer([1, 2, 1], [1, 2, 1]) / 16
    return F.conv2d(image[None], soft[None, None], padding="same", padding_mode="reflect")[0]


for name, (kernel,) in zip(("Sobel, along x", "Sobel, along y", "Laplacian"), OPERATORS):
    constant, slope = np.full((1, 3, 3), 7.0), np.tile([0.0, 2.0, 4.0], (3, 1))[None]
    answers = [F.conv2d(patch, kernel[None, None]).item() for patch in (constant, slope)]
    print(f"{name}:\n{kernel}\n  to a constant: {answers[0]:g}; to a slope of 2 per sample along x: {answers[1]:g}\n")

image = shapes()
gradient_x, gradient_y, laplacian = F.conv2d(image[None], OPERATORS, padding="same", padding_mode="reflect")
magnitude = np.hypot(gradient_x, gradient_y)
direction = np.arctan2(gradient_y, gradient_x)

print(f"Where the image is constant, all answers are 0: {np.mean(magnitude < 1e-12):.0%} of the picture.")
print(f"The steepest slope is {magnitude.max():.2f} per sample.")
y, x = np.mgrid[: image.shape[0], : image.shape[1]]
edge = (np.abs(np.hypot(y - 65, x - 252) - 42) < 1.5) & (magnitude > 0.1)
towards = np.arctan2(65 - y, 252 - x)  # the centre of the disc
off = np.abs(np.angle(np.exp(1j * (direction - towards))))[edge]
print(f"On the edge of the disc the gradient points to its centre, to within {np.degrees(np.median(off)):.0f} degrees (median).")

colours = hsv_to_rgb(np.stack([direction / (2 * np.pi) % 1, np.ones_like(direction), (magnitude / magnitude.max()) ** 0.7], axis=-1))
figure = Figure(figsize=(11, 6.2), layout="constrained")
panels = figure.subplots(2, 3).flat
limit = np.abs(gradient_x).max()
for axes, title, plane, style in [
    (next(panels), "the picture", image, {"cmap": "gray"}),
    (next(panels), "Sobel, along x", gradient_x, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}),
    (next(panels), "Sobel, along y", gradient_y, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}),
    (next(panels), "size of the gradient", magnitude, {"cmap": "magma"}),
    (next(panels), "its direction as hue", colours, {}),
    (next(panels), "Laplacian", laplacian, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}),
]:
    axes.imshow(plane, **style)
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()
figure.savefig(output, dpi=120)
print(f"Picture: {output}")

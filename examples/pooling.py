"""Pooling: the largest sample of each window or their average, where the largest stands, and what a shift of the image changes.

Prints max and average pooling of a signal and of an image, the indices of the maxima, and how much less a pooled image changes than
the image itself when everything moves by one sample. Draws the image with its windows and maxima.
"""

import argparse

import numpy as np

import cyconv.functional as F
from cyconv import plot

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="pooling.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

signal = np.array([[1.0, 5.0, 2.0, 2.0, 8.0, 4.0, 0.0, 3.0, 7.0, 6.0]])
print("a signal              ", signal[0])
print("max_pool1d, 2 samples ", F.max_pool1d(signal, 2)[0])
print("avg_pool1d, 2 samples ", F.avg_pool1d(signal, 2)[0])
print("max_pool1d, 3, stride 2", F.max_pool1d(signal, 3, stride=2)[0], "\n")

rng = np.random.default_rng(5)
image = rng.integers(0, 10, (1, 6, 8))
largest, indices = F.max_pool2d(image, 2, return_indices=True)
print(f"an image:\n{image[0]}\nmax_pool2d, 2 x 2:\n{largest[0]}\navg_pool2d, 2 x 2:\n{F.avg_pool2d(image.astype(float), 2)[0]}")
print(f"indices, row * {image.shape[2]} + column:\n{indices[0]}")
assert (image.ravel()[indices] == largest).all()  # an index finds its maximum again

# Bright spots, and the same ones a sample further right: every pixel that is lit changes, but the larger the windows, the fewer maxima
# do, since most spots stay in theirs.
spots = np.zeros((1, 64, 64))
spots[0, rng.integers(0, 64, 40), rng.integers(0, 63, 40)] = rng.uniform(0.5, 1, 40)
moved = np.roll(spots, 1, axis=2)


def change(before, after):
    """The share of what is lit, before or after, that differs."""
    lit = (before != 0) | (after != 0)
    return np.mean(before[lit] != after[lit])


print("\nEverything moves by one sample; so much of what is lit is different then:")
print(f"  image              {change(spots, moved):4.0%}")
for size in (2, 4, 8, 16):
    print(f"  max_pool2d, {size:2} x {size:2} {change(F.max_pool2d(spots, size), F.max_pool2d(moved, size)):4.0%}")

plot.pooled(image, 2).savefig(output)
print(f"\nPicture: {output}")

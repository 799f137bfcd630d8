"""Cross-correlation in one dimension, step by step, and two things that it is good for.

Prints every sum of products while a kernel of three weights moves along a signal, the edges that a difference finds in a signal
made of steps, and where a known pattern stands in noise. Draws the last two.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

import cyconv.functional as F

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("-o", "--output", default="cross_correlation_1d.png", help="the picture (default: %(default)s)")
output = options.parse_args().output

print("The kernel moves along the signal; each place gives one sum of products.")
x = np.array([2, 0, 1, 3, 5, 4, 1, 0])
w = np.array([1, 2, -1])
for p in range(len(x) - len(w) + 1):  # as many places as the kernel fits in
    products = " + ".join(f"{a}*({b:2})" for a, b in zip(x[p : p + len(w)], w))
    print(f"  place {p}:  {products}  = {x[p : p + len(w)] @ w:3}")
y = F.conv1d(x[None], w[None, None])[0]  # arrays are (channels, samples), kernels (output channels, input channels, taps)
print("  F.conv1d:", y, "\n")

print("The kernel (-1, 1) subtracts each sample from the next one: it is 0 but at edges.")
steps = np.repeat([0, 0, 3, 3, 1, 2], 8)
difference = F.conv1d(steps[None], np.array([[[-1, 1]]]))[0]
for p in np.flatnonzero(difference):
    print(f"  between samples {p} and {p + 1}: {difference[p]:+}")

print("\nA pattern fits best where its correlation with the signal is largest.")
rng = np.random.default_rng(0)
pattern = np.sin(np.linspace(0, 4 * np.pi, 40)) * np.hanning(40)
hidden = 137
noisy = 0.35 * rng.standard_normal(256)
noisy[hidden : hidden + 40] += pattern
score = F.conv1d(noisy[None], pattern[None, None])[0]
print(f"  hidden at sample {hidden}, found at sample {score.argmax()}; "
      f"score {score.max():.1f}, where there is nothing {np.abs(score[:90]).max():.1f} at most")  # fmt: skip

figure = Figure(figsize=(10, 5.6), layout="constrained")
(top_left, top_right), (left, right) = figure.subplots(2, 2)
top_left.step(np.arange(len(steps)), steps, where="mid", color="#1f6fb2")
top_left.set_title("a signal of steps")
top_right.vlines(np.arange(len(difference)) + 0.5, 0, difference, color="#e8710a", linewidth=2.5)
top_right.axhline(0, color="gray", linewidth=0.8)
top_right.set_title("its correlation with (−1, 1): the edges")
left.plot(noisy, color="#1f6fb2", linewidth=1)
left.plot(np.arange(hidden, hidden + 40), pattern, color="#e8710a", linewidth=2, label="the pattern hidden in it")
left.legend(loc="upper left", frameon=False)
left.set_title("a signal with noise")
right.plot(score, color="#e8710a", linewidth=1)
right.plot(score.argmax(), score.max(), "o", color="#1f2328", markersize=5)
right.annotate(f"sample {score.argmax()}", (score.argmax(), score.max()), (8, -4), textcoords="offset points")
right.set_title("its correlation with the pattern")
figure.savefig(output, dpi=120)
print(f"\nPicture: {output}")

"""Trains a small convolutional network, from scratch, to read handwritten digits.

The data are the 1797 digits of 8 x 8 pixels that come with scikit-learn. A fifth of each class is held out: the network never learns
from these, and they do not decide when it stops. Prints the loss and both accuracies after every epoch, then the accuracy after
the last one, and the seconds that all of it took. Draws the filters of the first layer, what they make of a digit, the curves of
learning, and the held-out digits that were the hardest. The exit status is 1 below 98 % of held-out digits.
"""

import argparse
import sys
import time

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import cyconv.functional as F
import cyconv.nn as nn
from cyconv import plot

BATCH, LEARNING_RATE, HELD_OUT, GOAL = 32, 0.002, 0.2, 0.98


def network(rng):
    """Two convolutions with 8 x 8 places each, a pool that leaves 4 x 4, and two linear layers; `rng` makes the first weights."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2, seed=rng), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, seed=rng), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 4 * 4, 128, seed=rng), nn.ReLU(), nn.Linear(128, 10, seed=rng),
    )  # fmt: skip


def split(labels, share, rng):
    """Indices to learn from, and indices of a share of each class that is held out."""
    held_out = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out.extend(members[: round(share * len(members))])
    return np.setdiff1d(np.arange(len(labels)), held_out), np.sort(held_out)


def shifted(images, rng, most=0.5):
    """Each image moved by a random part of a pixel, up or down and left or right: no two epochs see the same images."""
    paper = images.min()  # comes in at the border
    for axis in (2, 3):
        before, after = np.roll(images, 1, axis), np.roll(images, -1, axis)
        np.moveaxis(before, axis, 0)[0] = np.moveaxis(after, axis, 0)[-1] = paper
        part = rng.uniform(-most, most, (len(images), 1, 1, 1)).astype(images.dtype)
        images = (1 - np.abs(part)) * images + np.abs(part) * np.where(part > 0, before, after)
    return images


def learn(net, images, labels, learning, held_out, epochs, rng):
    """Trains the network; returns the history of losses and accuracies."""
    steps = -(-len(learning) // BATCH)
    loss = nn.CrossEntropyLoss()
    optimizer = nn.Adam(net.parameters(), lr=LEARNING_RATE)
    history = {"loss": [], "training accuracy": [], "held-out accuracy": []}
    bar = progress_bar(epochs * steps)
    for epoch in range(epochs):
        total, right = 0.0, 0
        for step, batch in enumerate(np.array_split(rng.permutation(learning), steps)):
            # Half of a cosine: long steps at first, ever smaller ones at the end.
            optimizer.lr = 0.5 * LEARNING_RATE * (1 + np.cos(np.pi * (epoch + step / steps) / epochs))
            logits = net(shifted(images[batch], rng))
            total += loss(logits, labels[batch]) * len(batch)
            right += np.count_nonzero(logits.argmax(axis=1) == labels[batch])
            net.backward(loss.backward(), input_grad=False)
            optimizer.step()
            optimizer.zero_grad()
            bar.update()
        history["loss"].append(total / len(learning))
        history["training accuracy"].append(right / len(learning))  # while it learnt, on images that were moved
        history["held-out accuracy"].append(np.mean(predict(net, images[held_out]).argmax(axis=1) == labels[held_out]))
        bar.write(f"epoch {epoch + 1:2}  " + "  ".join(f"{name} {values[-1]:.4f}" for name, values in history.items()))
    bar.close()
    return history


def predict(net, images):
    """Probabilities of the ten digits, in eval mode: batch normalisation with the averages of training, nothing remembered."""
    net.eval()
    probabilities = F.softmax(net(images), 1)
    net.train()
    return probabilities


class PlainBar:
    """A bar in one line of the terminal, where tqdm is not installed."""

    def __init__(self, total):
        self.total, self.done, self.shown = total, 0, sys.stderr.isatty()

    def update(self):
        self.done += 1
        part = 40 * self.done // self.total
        if self.shown and part > 40 * (self.done - 1) // self.total:
            sys.stderr.write(f"\r[{'#' * part}{' ' * (40 - part)}]")

    def write(self, line):
        self.close()
        print(line, flush=True)

    def close(self):
        if self.shown:
            sys.stderr.write("\r" + " " * 42 + "\r")


def progress_bar(total):
    try:
        from tqdm import tqdm
    except ImportError:
        return PlainBar(total)
    return tqdm(total=total, unit="step", leave=False, disable=None)  # None: only in a terminal


def draw(path, net, history, images, labels, held_out, brightness):
    """The filters, what they make of a digit, the curves, and the held-out digits to whose right label the network gave the least."""
    figure = Figure(figsize=(13, 8.6), dpi=120, layout="constrained", facecolor="white")
    (filters, maps), (curve, hardest) = figure.subfigures(2, 2, wspace=0.03, hspace=0.05)
    plot.filters(net[0], columns=8, figure=filters)
    filters.suptitle("filters of the first layer")
    net.eval()
    plot.activation_maps(net[:3](images[held_out[:1]]), columns=8, figure=maps)
    maps.suptitle(f"what they make of a {labels[held_out[0]]}")
    plot.learning_curve(history, figure=curve)
    probabilities = predict(net, images[held_out])
    guesses, truth = probabilities.argmax(axis=1), labels[held_out]
    order = np.argsort(probabilities[np.arange(len(truth)), truth])[:10]
    for axes, i in zip(hardest.subplots(2, 5).flat, order):
        axes.imshow(brightness[held_out[i]], cmap="gray_r")
        axes.set_axis_off()
        right = guesses[i] == truth[i]
        title = f"{truth[i]}, right" if right else f"{truth[i]} read as {guesses[i]}"
        axes.set_title(title, color="#68707c" if right else "#c2410c", fontsize=10)
    hardest.suptitle(f"{np.count_nonzero(guesses != truth)} of {len(truth)} held-out digits misread; the hardest ten")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40, help="how often all images are learnt from (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the first weights and the order (default: %(default)s)")
    parser.add_argument("-o", "--output", default="digits.png", help="the picture (default: %(default)s)")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")

    begin = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    digits = load_digits()
    learning, held_out = split(digits.target, HELD_OUT, rng)
    ink = digits.images[learning]  # mean and spread come from what is learnt from, too
    images = ((digits.images - ink.mean()) / ink.std()).astype(np.float32)[:, None]
    net = network(rng)
    print(nn.summary(net, images[:1].shape), f"\n\n{len(learning)} digits to learn from, {len(held_out)} held out")
    history = learn(net, images, digits.target, learning, held_out, options.epochs, rng)
    draw(options.output, net, history, images, digits.target, held_out, digits.images)
    accuracy = history["held-out accuracy"][-1]
    print(f"held-out accuracy after the last epoch: {accuracy:.2%}, in {time.perf_counter() - begin:.1f} seconds")
    print(f"Picture: {options.output}")
    return 0 if accuracy >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

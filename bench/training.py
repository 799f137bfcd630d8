"""python -m bench.training: gradients of layers, and whole training steps, beside PyTorch on the same numbers.

For each layer three rows: the convolution, its gradient with respect to the input, and that with respect to the weight. A step is
forward, loss and backward of a network whose parameters are the same in both libraries; the first layer's input has no gradient.
Printed are PyTorch's time over cyconv's: above 1, cyconv is quicker. Answers are compared before anything is timed.
"""

import argparse
import math
import sys
from dataclasses import dataclass

import numpy as np

from .installation import import_cyconv

import_cyconv()

import cyconv
from cyconv import nn

from . import rows as problem_rows
from . import timing

TOLERANCE = 1e-3  # of the largest number of an answer: PyTorch's own errors


@dataclass
class Figure:
    """One row of the table."""

    name: str
    what: str
    theirs: float  # seconds
    ours: float

    @property
    def ratio(self):
        return self.theirs / self.ours


def compare(name, what, theirs, ours, budget, pause):
    """A Figure of two calls with the same results."""
    for a, b in zip(theirs(), ours()):
        a, b = np.asarray(a), np.asarray(b)
        error = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
        if not error < TOLERANCE:
            raise SystemExit(f"python -m bench.training: {name}, {what}: the answers differ by {error:.1e} of the largest number")
    seconds = timing.interleaved({"theirs": theirs, "ours": ours}, budget, pause)
    return Figure(name, what, seconds["theirs"], seconds["ours"])


# ---- layers ----------------------------------------------------------------------------------------------------------------


def layer(row, torch, budget, pause):
    """The Figures of a convolution and its gradients."""
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in (row.input_shape, row.weight_shape))
    stride, padding, dilation = (row.per_axis(key, default) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
    groups = row.options.get("groups", 1)
    steps = stride, padding, dilation, groups
    forward, of_input, of_weight = (
        getattr(module, f"{row.function}{what}") for module, what in ((cyconv, ""), (cyconv.grad, "_input"), (cyconv.grad, "_weight"))
    )
    g = rng.standard_normal(forward(x, w, None, *steps).shape, dtype=np.float32)
    tx, tw, tg = map(torch.from_numpy, (x, w, g))

    def back(wanted):
        nothing = [0] * row.rank
        return torch.ops.aten.convolution_backward(tg, tx, tw, None, stride, padding, dilation, False, nothing, groups, [*wanted, False])

    calls = {
        "forward": (lambda: [getattr(torch.nn.functional, row.function)(tx, tw, None, *steps)], lambda: [forward(x, w, None, *steps)]),
        "input": (lambda: [back([True, False])[0]], lambda: [of_input(x.shape, w, g, *steps)]),
        "weight": (lambda: [back([False, True])[1]], lambda: [of_weight(x, w.shape, g, *steps)]),
    }
    return [compare(row.name, what, *pair, budget, pause) for what, pair in calls.items()]


# ---- networks --------------------------------------------------------------------------------------------------------------


def lenet(library):
    """LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition (1998), with rectifiers and maxima."""
    n = library
    return n.Sequential(
        n.Conv2d(1, 6, 5, padding=2), n.ReLU(), n.MaxPool2d(2), n.Conv2d(6, 16, 5), n.ReLU(), n.MaxPool2d(2), n.Flatten(),
        n.Linear(400, 120), n.ReLU(), n.Linear(120, 84), n.ReLU(), n.Linear(84, 10),
    )  # fmt: skip


def resnet18(library, block):
    """He, Zhang, Ren and Sun, Deep residual learning for image recognition (2015): 18 layers, 1000 classes."""
    n = library
    layers = [n.Conv2d(3, 64, 7, 2, 3, bias=False), n.BatchNorm2d(64), n.ReLU(), n.MaxPool2d(3, 2, 1)]
    channels = 64
    for wider, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers.append(n.Sequential(block(channels, wider, stride), block(wider, wider, 1)))
        channels = wider
    return n.Sequential(*layers, n.AdaptiveAvgPool2d(1), n.Flatten(), n.Linear(512, 1000))


def torch_block(torch):
    """The residual block of cyconv.nn.BasicBlock, in PyTorch."""
    tn = torch.nn

    class Block(tn.Module):
        def __init__(self, channels, wider, stride):
            super().__init__()
            self.conv1, self.bn1 = tn.Conv2d(channels, wider, 3, stride, 1, bias=False), tn.BatchNorm2d(wider)
            self.conv2, self.bn2 = tn.Conv2d(wider, wider, 3, 1, 1, bias=False), tn.BatchNorm2d(wider)
            self.downsample = None
            if stride > 1 or channels != wider:
                self.downsample = tn.Sequential(tn.Conv2d(channels, wider, 1, stride, bias=False), tn.BatchNorm2d(wider))

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    return Block


def step(name, theirs, ours, shape, classes, torch, budget, pause):
    """The Figure of one training step. Losses are compared, gradients are not: where a rectifier's input is next to 0, rounding decides
    what it lets back, and both libraries' gradients are percents away from exact ones then."""
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape, dtype=np.float32), rng.integers(0, classes, shape[0])
    ours.load_state_dict(theirs.state_dict())
    tx, tt = torch.from_numpy(x), torch.from_numpy(target)
    their_loss, our_loss = torch.nn.CrossEntropyLoss(), nn.CrossEntropyLoss()

    def their_step():
        theirs.zero_grad()
        loss = their_loss(theirs(tx), tt)
        loss.backward()
        return [loss.detach()]

    def our_step():
        ours.zero_grad()
        loss = our_loss(ours(x), target)
        ours.backward(our_loss.backward(), input_grad=False)
        return [loss]

    return compare(name, "step", their_step, our_step, budget, pause)


def steps(torch, budget, pause):
    yield step("lenet, batch 64", lenet(torch.nn), lenet(nn), (64, 1, 28, 28), 10, torch, budget, pause)
    theirs, ours = resnet18(torch.nn, torch_block(torch)), resnet18(nn, nn.BasicBlock)
    yield step("resnet18, batch 8", theirs, ours, (8, 3, 64, 64), 1000, torch, budget, pause)


# ---- the table -------------------------------------------------------------------------------------------------------------


def parser():
    found = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__.partition("\n")[0])
    found.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N", help="thread counts, the same for both (default: 1)")
    found.add_argument("--seconds", type=float, default=2.0, help="time for each row (default: 2)")
    found.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="layers of the problem file, by name; default: all")
    found.add_argument("--file", default="training", help="problem file, of convolutions (default: training)")
    found.add_argument("--steps-only", action="store_true", help="networks alone")
    return found


def main(arguments=None):
    options = parser().parse_args(arguments)
    try:
        import torch
    except ImportError:
        raise SystemExit("python -m bench.training: PyTorch is not installed") from None
    layers = [row for row in problem_rows.read([options.file]) if row.is_conv and (not options.rows or row.name in options.rows)]
    for threads in options.threads:
        torch.set_num_threads(threads)
        pause = timing.PAUSE if threads > 1 else 0.0
        figures = []
        print(f"\n{threads} thread{'s' if threads > 1 else ''}, PyTorch {torch.__version__}\n{'':20} {'':8} {'torch ms':>9} {'cyconv ms':>9} {'ratio':>6}")
        with cyconv.threads(threads):
            for row in [] if options.steps_only else layers:
                figures += [show(figure) for figure in layer(row, torch, options.seconds, pause)]
            for what in ("forward", "input", "weight"):
                ratios = [figure.ratio for figure in figures if figure.what == what]
                if ratios:
                    print(f"{what}: {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f} in the geometric mean, {min(ratios):.2f} at least")
            for figure in [] if options.rows else steps(torch, options.seconds, pause):
                show(figure)
    return 0


def show(figure):
    print(f"{figure.name:20} {figure.what:8} {figure.theirs * 1e3:9.4g} {figure.ours * 1e3:9.4g} {figure.ratio:6.2f}", flush=True)
    return figure


if __name__ == "__main__":
    sys.exit(main())

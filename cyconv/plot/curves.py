"""Curves of learning."""

import numpy as np

from ..arguments import as_array
from .drawing import BLUE, FAINT, INK, MIDDLE, ORANGE, floats, new_figure, ticks

LINES = (BLUE, ORANGE, "#0b8a6a", "#b5468b", "#8a6d1d", "#5b5bd6")  # one for each curve; told apart by the colour-blind


def learning_curve(history, *, figure=None):
    """Losses, and accuracies or whatever else was noted, after each epoch.

    Parameters
    ----------
    history : mapping of str to sequence of float
        A value for each epoch, under the name of the curve. Those with "loss" in their names belong to the axis at the left, all
        others to the axis at the right.
    figure : Figure or SubFigure, optional
        Where to draw; a new Figure if None.

    Returns
    -------
    Figure or SubFigure

    Raises
    ------
    ValueError, TypeError
        If `history` is not as described.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from cyconv import plot
    >>> figure = plot.learning_curve({"loss": [2.1, 0.9, 0.4], "accuracy": [0.5, 0.8, 0.9]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    curves = _curves(history)
    losses = [name for name in curves if "loss" in name.lower()]
    others = [name for name in curves if name not in losses]
    figure = new_figure(figure, 6, 3.6)
    axes = figure.subplots()
    pairs = [(axes, losses), (axes.twinx() if losses else axes, others)] if others else [(axes, losses)]
    handles = []
    for number, (name, values) in enumerate(curves.items()):
        own = next(one for one, names in pairs if name in names)
        style = {"linestyle": (0, (4, 1.6))} if name in losses and others else {}
        mark = "o" if len(values) == 1 else None
        handles += own.plot(
            np.arange(1, len(values) + 1), values, color=LINES[number % len(LINES)], label=name, linewidth=1.8, marker=mark, **style
        )
    longest = max(map(len, curves.values()))
    for one, names in pairs:
        if names:
            one.set_ylabel(names[0] if len(names) == 1 else _common(names), fontsize=MIDDLE, color=INK)
            ticks(one, MIDDLE - 0.5)
    if losses and min(curves[name].min() for name in losses) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlim(1 - max(0.02 * longest, 0.1), longest + max(0.02 * longest, 0.1))
    if longest == 1:
        axes.set_xticks([1])
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch", fontsize=MIDDLE, color=INK)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(4, len(handles)), frameon=False, fontsize=MIDDLE,
        labelcolor=INK, borderaxespad=0.2, handlelength=1.8,
    )  # fmt: skip
    return figure


def _curves(history):
    if not hasattr(history, "items"):
        raise TypeError(f"history must be a mapping of names to lists of numbers, got {type(history).__name__}")
    curves = {}
    for name, values in history.items():
        if not isinstance(name, str):
            raise TypeError(f"names in history must be strings, got {name!r}")
        values = as_array(f"history[{name!r}]", values)
        if values.dtype.kind not in "fiub" or values.ndim != 1:
            raise TypeError(f"history[{name!r}] must be a list of numbers, one for each epoch")
        if values.size:
            curves[name] = floats(values)
    if not curves:
        raise ValueError("history must hold at least one curve of at least one value, got none")
    return curves


def _common(names):
    """The last word of all the names, if they share it: 'accuracy' of 'train accuracy' and 'test accuracy'."""
    last = {name.split()[-1] for name in names if name.split()}
    return last.pop() if len(last) == 1 else ", ".join(names)

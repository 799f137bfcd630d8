"""Panels beside each other: filters, and the maps that they make."""

import functools
from math import ceil, sqrt

import numpy as np

from ..arguments import flag, integer
from .drawing import (
    BLUE,
    FAINT,
    MIDDLE,
    MUTED,
    SMALL,
    draw_image,
    largest,
    new_figure,
    panel_size,
    range_of,
    real_numbers,
    ticks,
)

SIGNED = ((0, "#0d3559"), (0.25, "#4b9bd5"), (0.5, "#ffffff"), (0.75, "#f59a4a"), (1, "#7a2c05"))


def filters(weight, *, columns=None, titles=None, most=64, rgb=False, figure=None):
    """The weights of a convolution, one panel per filter.

    Those of images are shown in colours of one scale, in which 0 is white, blue negative and orange positive; those of signals as stems
    of one scale. With several input channels, each output channel has a row, and each input channel a column.

    Parameters
    ----------
    weight : array_like or Module
        (out_channels, in_channels, kH, kW) or (out_channels, in_channels, kL), real; or a layer whose `weight` is of that kind.
    columns : int, optional
        Panels beside each other. With several input channels, so many of these are shown: at most 16 if None.
    titles : sequence of str, optional
        One for each output channel; their numbers if None.
    most : int, optional
        Panels at most, or one row of them. What is left out, is told above the panels.
    rgb : bool, optional
        Whether three input channels are the red, green and blue of one panel, in which 0 is grey.
    figure : Figure or SubFigure, optional
        Where to draw; a new Figure if None.

    Returns
    -------
    Figure or SubFigure

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import nn, plot
    >>> figure = plot.filters(nn.Conv2d(1, 6, 5, seed=0))
    >>> [axes.get_title() for axes in figure.axes[:6]]
    ['0', '1', '2', '3', '4', '5']
    >>> figure = plot.filters(np.array([[[1, -1]], [[1, 1]]]), titles=["difference", "sum"])
    """
    weight = getattr(weight, "weight", weight)
    weight = real_numbers("weight", weight, (3, 4), "(out_channels, in_channels, kH, kW) or (out_channels, in_channels, kL)")
    outputs, inputs = weight.shape[:2]
    most = integer("most", most, 1)
    if titles is not None:
        titles = _titles(titles, outputs)
    if flag("rgb", rgb) and (weight.ndim != 4 or inputs != 3):
        raise ValueError(f"rgb needs a weight of shape (out_channels, 3, kH, kW), got {weight.shape}")
    size = (1.55, 1.25) if weight.ndim == 3 else panel_size(weight.shape[2:], 0.95)
    if inputs == 1 or rgb:
        shown = min(outputs, most)
        columns = _columns(columns, shown)
        rows, note = ceil(shown / columns), "" if shown == outputs else f"{shown} of {outputs} filters"
        panels, titled = [(i, 0) for i in range(shown)], rows
    else:
        columns = min(inputs, most, 16 if columns is None else integer("columns", columns, 1))
        rows = min(outputs, max(1, most // columns))
        panels, titled = [(o, i) for o in range(rows) for i in range(columns)], 1
        cut = [f"{n} of {all} {what} channels" for n, all, what in ((rows, outputs, "output"), (columns, inputs, "input")) if n < all]
        note = ", ".join(cut)
    bar = weight.ndim == 4 and not rgb
    figure, grid = _grid(figure, rows, columns, size, titled, note, compressed=weight.ndim == 4, bar=bar)
    limit = largest(weight) or 1.0
    for axes, (o, i) in zip(grid.flat, panels):
        if weight.ndim == 3:
            _stems(axes, weight[o, i], limit, (weight < 0).any())
        elif rgb:
            draw_image(axes, np.moveaxis(np.clip(0.5 + weight[o] / (2 * limit), 0, 1), 0, -1))
        else:
            image = draw_image(axes, weight[o, i], cmap=_signed(), vmin=-limit, vmax=limit)
        name = str(o) if titles is None else titles[o]
        if inputs == 1 or rgb:
            axes.set_title(name, fontsize=SMALL, color=MUTED, pad=3)
        else:
            if o == 0:
                axes.set_title(f"input {i}", fontsize=SMALL, color=MUTED, pad=3)
            if i == 0:
                axes.set_ylabel(f"output {o}" if titles is None else name, fontsize=SMALL, color=MUTED)
    if weight.ndim == 3:
        _outer_labels(grid, len(panels))
    if bar:
        _bar(figure, image, grid)
    return figure


def activation_maps(maps, *, columns=None, most=64, figure=None):
    """What the channels of a layer answer to one input, one panel per channel, all on one scale.

    Parameters
    ----------
    maps : array_like
        (C, H, W) or (1, C, H, W), or of signals (C, L); real. Maps of images are shown in grey, the largest value white.
    columns : int, optional
        Panels beside each other.
    most : int, optional
        Panels at most. What is left out, is told above the panels.
    figure : Figure or SubFigure, optional
        Where to draw; a new Figure if None.

    Returns
    -------
    Figure or SubFigure

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from cyconv import nn, plot
    >>> image = np.zeros((1, 12, 12), np.float32)
    >>> image[:, 3:9, 3:9] = 1
    >>> figure = plot.activation_maps(nn.Conv2d(1, 6, 3, seed=0)(image), columns=3)
    >>> figure.axes[0].images[0].get_array().shape
    (10, 10)
    """
    maps = real_numbers("maps", maps, (2, 3, 4), "(C, H, W), (1, C, H, W) or (C, L)")
    if maps.ndim == 4:
        if len(maps) != 1:
            raise ValueError(f"maps must be those of one input, (C, H, W) or (1, C, H, W), got shape {maps.shape}")
        maps = maps[0]
    shown = min(len(maps), integer("most", most, 1))
    signals = maps.ndim == 2
    columns = _columns(columns, shown, ceil(shown / 8) if signals else None)
    rows = ceil(shown / columns)
    note = "" if shown == len(maps) else f"{shown} of {len(maps)} channels"
    size = (4.2, 1.0) if signals else panel_size(maps.shape[1:], 1.3)
    figure, grid = _grid(figure, rows, columns, size, rows, note, compressed=not signals, bar=not signals)
    low, high = range_of(maps)
    for axes, plane, c in zip(grid.flat, maps, range(shown)):
        if signals:
            margin = 0.06 * (high - low)
            axes.plot(plane, color=BLUE, linewidth=1.2)
            axes.set_xlim(-0.5, plane.size - 0.5)
            axes.set_ylim(low - margin, high + margin)
            ticks(axes)
        else:
            image = draw_image(axes, plane, cmap="gray", vmin=low, vmax=high)
        axes.set_title(str(c), fontsize=SMALL, color=MUTED, pad=3)
    if signals:
        _outer_labels(grid, shown)
    else:
        _bar(figure, image, grid)
    return figure


def _titles(titles, count):
    if isinstance(titles, str) or not hasattr(titles, "__len__"):
        raise TypeError(f"titles must be a sequence of {count} strings, got {titles!r}")
    if len(titles) != count:
        raise ValueError(f"titles must be {count} strings, one for each output channel, got {len(titles)}")
    return [str(title) for title in titles]


def _columns(columns, panels, default=None):
    """So many beside each other, by default somewhat more than below each other."""
    if columns is None:
        columns = default or (panels if panels <= 6 else ceil(sqrt(1.6 * panels)))
        columns = ceil(panels / ceil(panels / columns))  # the fewest that need as few rows
    return min(integer("columns", columns, 1), panels)


def _grid(figure, rows, columns, size, titled, note, compressed, bar):
    """A figure with panels of a size in inches, of which the rows `titled` have titles, and maybe a colour bar beside them."""
    width = columns * (size[0] + 0.05) + 0.3 + (0.75 if bar else 0)
    height = rows * (size[1] + 0.05) + titled * 0.18 + 0.15 + (0.3 if note else 0)
    figure = new_figure(figure, max(width, 2.2), max(height, 1.2), "compressed" if compressed else "constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()  # until something is drawn in it
    if note:
        figure.suptitle(note, fontsize=MIDDLE, color=MUTED)
    return figure, grid


@functools.cache
def _signed():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", SIGNED)


def _stems(axes, taps, limit, signed):
    axes.set_axis_on()
    places = np.arange(taps.size)
    axes.vlines(places, 0, taps, color=BLUE, linewidth=1.4)
    axes.plot(places, taps, "o", color=BLUE, markersize=3.5)
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_xlim(-0.6, taps.size - 0.4)
    axes.set_ylim(-1.12 * limit if signed else -0.12 * limit, 1.12 * limit)
    ticks(axes)


def _outer_labels(grid, shown):
    """Numbers along the axes where no other panel with the same numbers is at the left or below."""
    columns = grid.shape[1]
    for number, axes in enumerate(grid.flat):
        axes.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= shown)


def _bar(figure, image, grid):
    """What the colours of all panels mean: beside them, or below them if they are strips."""
    from matplotlib.ticker import MaxNLocator

    rows, (height, width) = len(grid), image.get_array().shape
    strips = rows == 1 and width > 2.5 * height
    bar = figure.colorbar(
        image, ax=grid, location="bottom" if strips else "right", shrink=1.0 if rows == 1 else 0.55 + 0.45 / rows,
        aspect=60 if strips else 12 + 4 * min(rows, 3), pad=0.02,
    )  # fmt: skip
    bar.locator = MaxNLocator(3 if rows == 1 else 7)
    bar.update_ticks()
    bar.ax.tick_params(colors=MUTED, labelsize=SMALL, length=2.5, width=0.7)
    bar.outline.set(edgecolor=FAINT, linewidth=0.8)

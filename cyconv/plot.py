"""Pictures of what convolution and pooling do: filters, maps, windows, receptive fields and curves of learning.

Each function returns a matplotlib Figure, or draws into one that it is given. pyplot has no part in it: no window opens, no display
is needed, nothing has to be closed. A notebook shows the figure that a cell ends with; ``figure.savefig("name.png")`` writes it.
matplotlib is imported by the first call, not with this module.

Several pictures in one: make ``Figure(layout="constrained")``, cut it by its ``subfigures()``, and pass one of these as ``figure`` to
each call. Colours are the same everywhere: blue is negative, orange positive or what is pointed at.
"""

import functools
import io
from math import ceil, sqrt

import numpy as np

from .arguments import as_array, flag, integer
from .functional import max_pool2d
from .pool_problem import max_pool_problem

__all__ = ["activation_maps", "filters", "learning_curve", "pooled", "receptive_field"]

INK, MUTED, FAINT, BLUE, ORANGE = "#1f2328", "#68707c", "#d5dae0", "#1f6fb2", "#e8710a"
LINES = (BLUE, ORANGE, "#0b8a6a", "#b5468b", "#8a6d1d", "#5b5bd6")  # one for each curve; told apart by the colour-blind
SIGNED = ((0, "#0d3559"), (0.25, "#4b9bd5"), (0.5, "#ffffff"), (0.75, "#f59a4a"), (1, "#7a2c05"))
WINDOW = "#2f9be8"  # a blue for outlines on any grey
SMALL, MIDDLE, LARGE = 7.5, 9, 11  # sizes of letters, in points
WINDOWS = 400  # with more of them, their outlines are left out
NUMBERS = 12  # samples along an axis; the values of smaller pictures are written in them


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
    weight = _real("weight", weight, (3, 4), "(out_channels, in_channels, kH, kW) or (out_channels, in_channels, kL)")
    outputs, inputs = weight.shape[:2]
    most = integer("most", most, 1)
    if titles is not None:
        titles = _titles(titles, outputs)
    if flag("rgb", rgb) and (weight.ndim != 4 or inputs != 3):
        raise ValueError(f"rgb needs a weight of shape (out_channels, 3, kH, kW), got {weight.shape}")
    size = (1.55, 1.25) if weight.ndim == 3 else _panel_size(weight.shape[2:], 0.95)
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
    limit = _largest(weight) or 1.0
    for axes, (o, i) in zip(grid.flat, panels):
        if weight.ndim == 3:
            _stems(axes, weight[o, i], limit, (weight < 0).any())
        elif rgb:
            _image(axes, np.moveaxis(np.clip(0.5 + weight[o] / (2 * limit), 0, 1), 0, -1))
        else:
            image = _image(axes, weight[o, i], cmap=_signed(), vmin=-limit, vmax=limit)
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
    maps = _real("maps", maps, (2, 3, 4), "(C, H, W), (1, C, H, W) or (C, L)")
    if maps.ndim == 4:
        if len(maps) != 1:
            raise ValueError(f"maps must be those of one input, (C, H, W) or (1, C, H, W), got shape {maps.shape}")
        maps = maps[0]
    shown = min(len(maps), integer("most", most, 1))
    signals = maps.ndim == 2
    columns = _columns(columns, shown, ceil(shown / 8) if signals else None)
    rows = ceil(shown / columns)
    note = "" if shown == len(maps) else f"{shown} of {len(maps)} channels"
    size = (4.2, 1.0) if signals else _panel_size(maps.shape[1:], 1.3)
    figure, grid = _grid(figure, rows, columns, size, rows, note, compressed=not signals, bar=not signals)
    low, high = _range(maps)
    for axes, plane, c in zip(grid.flat, maps, range(shown)):
        if signals:
            margin = 0.06 * (high - low)
            axes.plot(plane, color=BLUE, linewidth=1.2)
            axes.set_xlim(-0.5, plane.size - 0.5)
            axes.set_ylim(low - margin, high + margin)
            _ticks(axes)
        else:
            image = _image(axes, plane, cmap="gray", vmin=low, vmax=high)
        axes.set_title(str(c), fontsize=SMALL, color=MUTED, pad=3)
    if signals:
        _outer_labels(grid, shown)
    else:
        _bar(figure, image, grid)
    return figure


def pooled(input, kernel_size, stride=None, padding=0, *, dilation=1, ceil_mode=False, figure=None):
    """Max pooling of an image: at the left the input with its windows and the places of their maxima, at the right the result.

    Arguments are those of `cyconv.max_pool2d`. Both panels have one scale of grey. The values of small images are written in them; the
    outlines of more than 400 windows are left out. Of windows that overlap, one is drawn stronger, and its maximum is framed, too; of
    dilated ones, the samples of that one have dots.

    Parameters
    ----------
    input : array_like
        (H, W) or (1, H, W); any integer or floating dtype, or bool.
    kernel_size : int or tuple of 2 ints
        Samples of a window along each axis.
    stride : int or tuple of 2 ints, optional
        From one window to the next; `kernel_size` if None.
    padding : int, tuple of 2 ints, tuple of 2 pairs, or {"valid", "same_upper", "same_lower"}, optional
        Samples of padding on either side.
    dilation : int or tuple of 2 ints, optional
        Distance between neighbouring samples of a window, whose outline then goes around all of them.
    ceil_mode : bool, optional
        Whether a last window that reaches beyond the padded input is kept.
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
    >>> from cyconv import plot
    >>> figure = plot.pooled(np.array([[1, 5, 2, 0], [3, 4, 8, 1]]), 2)
    >>> left, right = figure.axes
    >>> left.collections[-1].get_offsets().tolist()  # (column, row) of the maxima
    [[1.0, 0.0], [2.0, 1.0]]
    >>> right.images[0].get_array().tolist()
    [[5.0, 8.0]]
    """
    plane = as_array("input", input)
    if plane.ndim == 2:
        plane = plane[None]
    if plane.ndim != 3 or len(plane) != 1 or not plane.size:
        raise ValueError(f"input must have shape (H, W) or (1, H, W), none of them 0, got {np.shape(input)}")
    values, indices = max_pool2d(plane, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)
    problem = max_pool_problem(2, plane, kernel_size, stride, padding, dilation, ceil_mode, True)
    plane, values = (_floats(each[0]) for each in (plane, values))
    if not values.size:
        raise ValueError(f"input of shape {plane.shape} has no window of kernel_size {kernel_size}")
    low, high = _range(plane)
    figure, (left, right), width = _two_panels(figure, plane.shape)
    images = [_image(axes, each, cmap="gray", vmin=low, vmax=high) for axes, each in ((left, plane), (right, values))]
    if values.size <= WINDOWS:
        _draw_windows(left, right, problem)
    for axes, image, each, title in zip((left, right), images, (plane, values), ("input", "maxima")):
        axes.set_title(f"{title}, {each.shape[0]} × {each.shape[1]}", fontsize=MIDDLE, color=INK)
        if max(each.shape) <= NUMBERS:
            _write_values(axes, each, image, _cell(axes, width))
    rows, columns = np.divmod(indices.ravel(), plane.shape[1])
    cell, numbers = _cell(left, width), max(plane.shape) <= NUMBERS
    side = 0.82 * cell if numbers else min(max(0.8 * cell, 2.5), 9)  # points
    style = {"marker": "s" if numbers else "o", "linewidths": min(1.8, side / 3)}
    left.scatter(columns, rows, s=side**2, facecolors="none", edgecolors=ORANGE, zorder=5, **style)
    return figure


def receptive_field(model, position, input, *, figure=None):
    """Which part of an input a unit of the output sees: that in its colours, the rest dimmed.

    If the output has two spatial axes, it is shown beside the input, averaged over its channels, and the unit is marked in it. The
    model is called in eval mode; its modules are left in the mode that they were in.

    Parameters
    ----------
    model : Module
        A layer or a network.
    position : int or tuple of int
        Which unit, as in `cyconv.nn.receptive_field`: its place along each spatial axis of the output.
    input : array_like
        The picture, (C, H, W) or (1, C, H, W), as the model takes it. Three channels are shown as red, green and blue if they are
        from 0 to 1, or of dtype uint8; others as their mean, in grey.
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
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))
    >>> figure = plot.receptive_field(net, (2, 2), np.zeros((1, 16, 16), np.float32))
    >>> [axes.get_title() for axes in figure.axes]
    ['sees 8 × 8 of 16 × 16 samples', 'unit in row 2, column 2 of 5 × 5']
    """
    from . import nn

    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a cyconv.nn.Module, got {type(model).__name__}")
    picture = as_array("input", input)
    if picture.ndim == 4 and len(picture) == 1:
        picture = picture[0]
    if picture.ndim != 3 or not picture.size:
        raise ValueError(f"input must be one picture, (C, H, W) or (1, C, H, W), got shape {np.shape(input)}")
    region = nn.receptive_field(model, position, (1, *picture.shape))
    output = _in_eval_mode(model, picture[None])
    figure, panels, width = _two_panels(figure, picture.shape[1:], 2 if output.ndim == 4 else 1)
    colours = _colours(picture)
    dim = 0.6 + 0.4 * colours if colours.mean() > 0.5 else 0.35 * colours  # towards what the picture is mostly like
    dim = dim.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    dim[region] = colours[region]
    _image(panels[0], dim)
    high, wide = (each.stop - each.start for each in region)
    if high and wide:
        _outline(panels[0], region[1].start, region[0].start, wide, high)
    seen = f"sees {high} × {wide} of {picture.shape[1]} × {picture.shape[2]} samples" if high and wide else "sees nothing but padding"
    panels[0].set_title(seen, fontsize=MIDDLE, color=INK)
    if output.ndim == 4:
        _draw_unit(panels[1], output[0], position, width)
    return figure


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
    figure = _begin(figure, 6, 3.6)
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
            _ticks(one, MIDDLE - 0.5)
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


# ---- what came -----------------------------------------------------------------------------------------------------------


def _real(name, value, ranks, shape):
    """`value` as an array of floats of one of these ranks that holds something."""
    value = as_array(name, value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got dtype {value.dtype}")
    if value.ndim not in ranks or not value.size:
        raise ValueError(f"{name} must have shape {shape}, none of them 0, got {value.shape}")
    return _floats(value)


def _floats(array):
    return np.asarray(array, np.float64)


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
            curves[name] = _floats(values)
    if not curves:
        raise ValueError("history must hold at least one curve of at least one value, got none")
    return curves


def _common(names):
    """The last word of all the names, if they share it: 'accuracy' of 'train accuracy' and 'test accuracy'."""
    last = {name.split()[-1] for name in names if name.split()}
    return last.pop() if len(last) == 1 else ", ".join(names)


def _in_eval_mode(model, x):
    """model(x), of several results the first, with nothing remembered and no running average moved."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        output = model(x)
        return np.asarray(output[0] if isinstance(output, tuple) else output)
    finally:
        for module, training in modes:
            module.training = training


def _largest(values):
    """The largest size of what is finite."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def _range(values):
    """The least and the largest of what is finite; a little apart if they are the same."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _colours(picture):
    """(C, H, W) as (H, W, 3) from 0 to 1."""
    colours = _floats(picture) / (255 if picture.dtype == np.uint8 else 1)
    low, high = _range(colours)
    if len(picture) != 3 or low < 0 or high > 1:
        colours = colours.mean(axis=0, keepdims=True).repeat(3, axis=0)
        low, high = _range(colours)
        if low < 0 or high > 1:
            colours = (colours - low) / (high - low)
    return np.nan_to_num(np.moveaxis(colours, 0, -1)).clip(0, 1)


# ---- drawing -------------------------------------------------------------------------------------------------------------


def _figure_classes():
    """matplotlib's Figure, and what it has in common with SubFigure."""
    try:
        from matplotlib.figure import Figure, FigureBase
    except ImportError:
        raise ImportError("cyconv.plot needs matplotlib: pip install 'cyconv[plot]'") from None
    return Figure, FigureBase


def _begin(figure, width, height, layout="constrained"):
    """The caller's Figure or SubFigure, or a new Figure of so many inches."""
    Figure, FigureBase = _figure_classes()
    if figure is None:
        figure = Figure(figsize=(width, height), dpi=120, layout=layout, facecolor="white")
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)
        figure._repr_png_ = functools.partial(_png, figure)  # notebooks ask for it where pyplot has not told them what a Figure is
    elif not isinstance(figure, FigureBase):
        raise TypeError(f"figure must be a matplotlib Figure or SubFigure, or None, got {type(figure).__name__}")
    return figure


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _grid(figure, rows, columns, size, titled, note, compressed, bar):
    """A figure with panels of a size in inches, of which the rows `titled` have titles, and maybe a colour bar beside them."""
    width = columns * (size[0] + 0.05) + 0.3 + (0.75 if bar else 0)
    height = rows * (size[1] + 0.05) + titled * 0.18 + 0.15 + (0.3 if note else 0)
    figure = _begin(figure, max(width, 2.2), max(height, 1.2), "compressed" if compressed else "constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()  # until something is drawn in it
    if note:
        figure.suptitle(note, fontsize=MIDDLE, color=MUTED)
    return figure, grid


def _two_panels(figure, shape, count=2):
    """A figure with one or two panels for pictures like one of this shape, beside each other or below, and their width in inches."""
    below = shape[1] > 2.2 * shape[0]
    width, height = _panel_size(shape, 6.5 if below else 4.0, 0.1)
    rows, columns = (count, 1) if below else (1, count)
    figure = _begin(figure, columns * width + 0.35, rows * (height + 0.3) + 0.1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_anchor("N")
    return figure, panels, width


def _panel_size(shape, longest, least=0.25):
    """Width and height in inches of a picture of this (height, width) in samples; the shorter side is so much of the longer at least."""
    height, width = (max(n / max(shape), least) for n in shape)
    return width * longest, height * longest


@functools.cache
def _signed():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", SIGNED)


def _image(axes, plane, **style):
    """A picture without ticks, its samples squares."""
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.8)
    return axes.imshow(plane, interpolation="nearest" if max(plane.shape[:2]) <= 256 else "antialiased", **style)


def _stems(axes, taps, limit, signed):
    axes.set_axis_on()
    places = np.arange(taps.size)
    axes.vlines(places, 0, taps, color=BLUE, linewidth=1.4)
    axes.plot(places, taps, "o", color=BLUE, markersize=3.5)
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_xlim(-0.6, taps.size - 0.4)
    axes.set_ylim(-1.12 * limit if signed else -0.12 * limit, 1.12 * limit)
    _ticks(axes)


def _outer_labels(grid, shown):
    """Numbers along the axes where no other panel with the same numbers is at the left or below."""
    columns = grid.shape[1]
    for number, axes in enumerate(grid.flat):
        axes.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= shown)


def _ticks(axes, size=SMALL):
    axes.set_axis_on()
    axes.tick_params(colors=MUTED, labelsize=size, length=2.5, width=0.7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=FAINT, linewidth=0.8)


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


def _cell(axes, width):
    """How many points wide a sample is, in axes so many inches wide."""
    return 72 * width / np.ptp(axes.get_xlim())


def _write_values(axes, plane, image, cell):
    """Each sample's value in it, in black or white, whichever stands out, if there is room for letters of a size to be read."""
    short = all(float(value).is_integer() for value in plane.flat if np.isfinite(value))
    words = [f"{value:.0f}" if short else f"{value:.2g}" for value in plane.flat]
    words = [word.replace("-", "\N{MINUS SIGN}") for word in words]
    size = min(LARGE, 0.42 * cell, 1.3 * cell / max(map(len, words)))
    if size < 5:  # points
        return
    for (row, column), word in zip(np.ndindex(plane.shape), words):
        dark = np.isfinite(plane[row, column]) and image.norm(plane[row, column]) < 0.5
        axes.text(column, row, word, color="white" if dark else INK, fontsize=size, ha="center", va="center")


def _draw_windows(left, right, problem):
    """Outlines of the windows of a pool."""
    high, wide = (d * (k - 1) + 1 for d, k in zip(problem.dilation[1:], problem.kernel[1:]))
    (_, down, across), (_, rows, columns) = problem.size, problem.out_size
    tops = np.arange(rows) * problem.stride[1] - problem.pad_before[1]
    lefts = np.arange(columns) * problem.stride[2] - problem.pad_before[2]
    overlap = (rows > 1 and high > problem.stride[1]) or (columns > 1 and wide > problem.stride[2])
    corners = [(x - 0.5, y - 0.5) for y in tops for x in lefts]
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    style = {"alpha": 0.55, "linewidths": 0.8} if overlap else {"linewidths": 2.0 if max(down, across) <= NUMBERS else 0.8}
    patches = [Rectangle(corner, wide, high) for corner in corners]
    left.add_collection(PatchCollection(patches, facecolors="none", edgecolors=WINDOW, zorder=2.5, **style))
    left.spines[:].set_visible(False)
    left.set_xlim(min(lefts[0], 0) - 0.6, max(lefts[-1] + wide, across) - 0.4)
    left.set_ylim(max(tops[-1] + high, down) - 0.4, min(tops[0], 0) - 0.6)
    if min(tops[0], lefts[0]) < 0 or tops[-1] + high > down or lefts[-1] + wide > across:
        left.set_facecolor("#e6ebf0")  # beyond the input
    if overlap:
        row, column = np.searchsorted(tops, 0), np.searchsorted(lefts, 0)  # the first that begins inside
        row, column = min(row, rows - 1), min(column, columns - 1)
        _outline(left, lefts[column], tops[row], wide, high, WINDOW)
        _outline(right, column, row, 1, 1, WINDOW)
        if max(problem.dilation) > 1:
            y, x = np.mgrid[: high : problem.dilation[1], : wide : problem.dilation[2]]
            places = lefts[column] + x.ravel() + 0.36, tops[row] + y.ravel() - 0.36
            left.plot(*places, "o", color=WINDOW, markersize=4 if max(down, across) <= NUMBERS else 1.5, zorder=6)


def _outline(axes, left, top, width, height, colour=ORANGE, line=2.2):
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=line, zorder=4))


def _draw_unit(axes, maps, position, width):
    """The output averaged over its channels, with the unit marked, in axes so many inches wide."""
    plane = _floats(maps).mean(axis=0)
    low, high = _range(plane)
    _image(axes, plane, cmap="gray", vmin=low, vmax=high)
    row, column = map(int, position)
    cell = _cell(axes, width)
    _outline(axes, column, row, 1, 1, line=min(2.2, max(0.8, 0.25 * cell)))
    if cell < 9:  # too small to be noticed
        axes.scatter([column], [row], s=200, facecolors="none", edgecolors=ORANGE, linewidths=1.8, zorder=4)
    axes.set_title(f"unit in row {row}, column {column} of {plane.shape[0]} × {plane.shape[1]}", fontsize=MIDDLE, color=INK)

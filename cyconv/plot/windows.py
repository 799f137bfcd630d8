"""What single windows see: a pool with its winners, and the receptive field of a unit."""

import numpy as np

from ..arguments import as_array
from ..functional import max_pool2d
from ..pool_problem import max_pool_problem
from .drawing import INK, LARGE, MIDDLE, ORANGE, draw_image, floats, new_figure, outline, panel_size, range_of

WINDOW = "#2f9be8"  # a blue for outlines on any grey
WINDOWS = 400  # with more of them, their outlines are left out
NUMBERS = 12  # samples along an axis; the values of smaller pictures are written in them


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
    plane, values = (floats(each[0]) for each in (plane, values))
    if not values.size:
        raise ValueError(f"input of shape {plane.shape} has no window of kernel_size {kernel_size}")
    low, high = range_of(plane)
    figure, (left, right), width = _two_panels(figure, plane.shape)
    images = [draw_image(axes, each, cmap="gray", vmin=low, vmax=high) for axes, each in ((left, plane), (right, values))]
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
    from .. import nn

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
    draw_image(panels[0], dim)
    high, wide = (each.stop - each.start for each in region)
    if high and wide:
        outline(panels[0], region[1].start, region[0].start, wide, high)
    seen = f"sees {high} × {wide} of {picture.shape[1]} × {picture.shape[2]} samples" if high and wide else "sees nothing but padding"
    panels[0].set_title(seen, fontsize=MIDDLE, color=INK)
    if output.ndim == 4:
        _draw_unit(panels[1], output[0], position, width)
    return figure


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


def _colours(picture):
    """(C, H, W) as (H, W, 3) from 0 to 1."""
    colours = floats(picture) / (255 if picture.dtype == np.uint8 else 1)
    low, high = range_of(colours)
    if len(picture) != 3 or low < 0 or high > 1:
        colours = colours.mean(axis=0, keepdims=True).repeat(3, axis=0)
        low, high = range_of(colours)
        if low < 0 or high > 1:
            colours = (colours - low) / (high - low)
    return np.nan_to_num(np.moveaxis(colours, 0, -1)).clip(0, 1)


def _two_panels(figure, shape, count=2):
    """A figure with one or two panels for pictures like one of this shape, beside each other or below, and their width in inches."""
    below = shape[1] > 2.2 * shape[0]
    width, height = panel_size(shape, 6.5 if below else 4.0, 0.1)
    rows, columns = (count, 1) if below else (1, count)
    figure = new_figure(figure, columns * width + 0.35, rows * (height + 0.3) + 0.1)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_anchor("N")
    return figure, panels, width


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
        outline(left, lefts[column], tops[row], wide, high, WINDOW)
        outline(right, column, row, 1, 1, WINDOW)
        if max(problem.dilation) > 1:
            y, x = np.mgrid[: high : problem.dilation[1], : wide : problem.dilation[2]]
            places = lefts[column] + x.ravel() + 0.36, tops[row] + y.ravel() - 0.36
            left.plot(*places, "o", color=WINDOW, markersize=4 if max(down, across) <= NUMBERS else 1.5, zorder=6)


def _draw_unit(axes, maps, position, width):
    """The output averaged over its channels, with the unit marked, in axes so many inches wide."""
    plane = floats(maps).mean(axis=0)
    low, high = range_of(plane)
    draw_image(axes, plane, cmap="gray", vmin=low, vmax=high)
    row, column = map(int, position)
    cell = _cell(axes, width)
    outline(axes, column, row, 1, 1, line=min(2.2, max(0.8, 0.25 * cell)))
    if cell < 9:  # too small to be noticed
        axes.scatter([column], [row], s=200, facecolors="none", edgecolors=ORANGE, linewidths=1.8, zorder=4)
    axes.set_title(f"unit in row {row}, column {column} of {plane.shape[0]} × {plane.shape[1]}", fontsize=MIDDLE, color=INK)

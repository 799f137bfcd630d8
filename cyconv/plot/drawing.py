"""What all pictures share: colours, sizes of letters, figures, images, and what came as an argument."""

import functools
import io

import numpy as np

from ..arguments import as_array

INK, MUTED, FAINT, BLUE, ORANGE = "#1f2328", "#68707c", "#d5dae0", "#1f6fb2", "#e8710a"
SMALL, MIDDLE, LARGE = 7.5, 9, 11  # sizes of letters, in points


def real_numbers(name, value, ranks, shape):
    """`value` as an array of floats of one of these ranks that holds something."""
    value = as_array(name, value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, got dtype {value.dtype}")
    if value.ndim not in ranks or not value.size:
        raise ValueError(f"{name} must have shape {shape}, none of them 0, got {value.shape}")
    return floats(value)


def floats(array):
    return np.asarray(array, np.float64)


def largest(values):
    """The largest size of what is finite."""
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def range_of(values):
    """The least and the largest of what is finite; a little apart if they are the same."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _figure_classes():
    """matplotlib's Figure, and what it has in common with SubFigure."""
    try:
        from matplotlib.figure import Figure, FigureBase
    except ImportError:
        raise ImportError("cyconv.plot needs matplotlib: pip install 'cyconv[plot]'") from None
    return Figure, FigureBase


def new_figure(figure, width, height, layout="constrained"):
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


def panel_size(shape, longest, least=0.25):
    """Width and height in inches of a picture of this (height, width) in samples; the shorter side is so much of the longer at least."""
    height, width = (max(n / max(shape), least) for n in shape)
    return width * longest, height * longest


def draw_image(axes, plane, **style):
    """A picture without ticks, its samples squares."""
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=FAINT, linewidth=0.8)
    return axes.imshow(plane, interpolation="nearest" if max(plane.shape[:2]) <= 256 else "antialiased", **style)


def ticks(axes, size=SMALL):
    axes.set_axis_on()
    axes.tick_params(colors=MUTED, labelsize=size, length=2.5, width=0.7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=FAINT, linewidth=0.8)


def outline(axes, left, top, width, height, colour=ORANGE, line=2.2):
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=line, zorder=4))

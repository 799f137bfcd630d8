"""The demo's picture: the five filters in a row, below them the maxima as a portrait in dots, and six panels beside it.

Every place is computed in pixels of the finished picture, so that panels keep the photograph's shape and line up.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from ..select import seconds_text
from . import pictures

WIDTH, MARGIN, GAP = 1800, 40, 18
HEADER, TITLE, CAPTION = 104, 34, 44  # heights of the heading, of the line above each panel, and of the line below the filters
DPI = 100
PAPER, INK, MUTED, ACCENT = "#0e1116", "#eef1f5", "#8b95a3", "#ffb454"
# Diverging, and as dark as the paper around the middle: zero and what a JPEG file makes of it recede, both signs stand out alike.
SIGNED = LinearSegmentedColormap.from_list(
    "signed",
    [(0, "#d9f0ff"), (0.17, "#58b4f0"), (0.34, "#1d5f99"), (0.47, "#10151c")]
    + [(0.53, "#10151c"), (0.66, "#a8481a"), (0.83, "#f59a4a"), (1, "#fff0d4")],
)
OUTLINE = [withStroke(linewidth=3.2, foreground=PAPER)]  # a dark edge, without which bright marks vanish on bright ground
ROBUST = 0.995  # of the values in a panel have colours of their own; the largest few share the last one
FAINT = 0.1  # differences below this stay dark in a picture that has no larger ones


def write(target, name, picture, kernels, filtered, corner, side, blurred, match, pooled, pool, rows):
    """Draws everything and saves it as picture file `target`."""
    colours = picture[0].transpose(1, 2, 0)
    values, indices = pooled
    filters_row, blur_row, match_row, _, _, pool_row = rows
    page = _Page(colours.shape[0] / colours.shape[1])
    height, width = colours.shape[:2]
    page.heading("cyconv", f"{name}, {width} x {height} pixels, convolved and pooled")

    top, left = corner
    crop = filtered[0, :, top : top + side, left : left + side]
    limits = _limits(kernels.values(), crop)
    for place, (title, kernel), plane, limit in zip(page.squares, kernels.items(), crop, limits):
        axes = page.panel(place, title)
        if limit:
            axes.imshow(plane, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="antialiased")
        else:
            axes.imshow(plane, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        _draw_kernel(axes, kernel)
    page.caption(f"One conv2d call gives all five: {_done(filters_row)}")

    dots = page.panel(page.hero, f"Max pooling: one dot per {pool.window} x {pool.window} window", _done(pool_row))
    soft = blurred[0].transpose(1, 2, 0).clip(0, 1)
    _draw_winners(dots, colours, soft, indices[0, 0], pool.window)
    photo, blur, coarse, score, found, close = page.small
    page.panel(photo, "The photograph").imshow(colours, interpolation="antialiased")
    page.panel(blur, blur_row.operation.name, _done(blur_row)).imshow(soft, interpolation="antialiased")
    axes = page.panel(coarse, f"Maxima of {pool.window} x {pool.window}")
    axes.imshow(values[0, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _draw_score(page.panel(score, "How well the patch fits", _done(match_row)), colours, match)
    _draw_found(page.panel(found, "Found: the best fit"), colours, match)
    _draw_close_up(page.panel(close, "Windows and their maxima"), colours, indices[0, 0], pool.window, match)
    page.save(target)


def _done(row):
    return f"{row.algorithm}, {seconds_text(row.seconds)}"


def _limits(kernels, planes):
    """For each kernel with signs, the value whose colour is full; None for the others.

    Kernels that are one another's transpose get one limit, so that their panels compare. The limit has a floor, below which
    lies what rounding to 8 bits makes of a smooth gradient.
    """
    kernels = list(kernels)
    largest = [float(np.quantile(np.abs(plane), ROBUST)) for plane in planes]

    def limit(kernel):
        alike = [(other == kernel).all() or (other == kernel.T).all() for other in kernels]
        return max(FAINT, *(value for value, one in zip(largest, alike) if one))

    return [limit(kernel) if kernel.min() < 0 else None for kernel in kernels]


class _Page:
    """The paper, and rectangles (left, top, width, height) on it in pixels."""

    def __init__(self, aspect):
        inner = WIDTH - 2 * MARGIN
        square = (inner - 4 * GAP) / 5
        self.under_squares = HEADER + TITLE + square
        below = self.under_squares + CAPTION + TITLE
        # The large panel is as high as two small ones with what lies between them: one linear equation for the width.
        small = (inner - 3 * GAP - (GAP + TITLE) / aspect) / 5
        large = 2 * small + (GAP + TITLE) / aspect
        self.squares = [(MARGIN + i * (square + GAP), HEADER + TITLE, square, square) for i in range(5)]
        self.hero = (MARGIN, below, large, large * aspect)
        left = MARGIN + large + GAP
        rows = (below, below + small * aspect + GAP + TITLE)
        self.small = [(left + i * (small + GAP), top, small, small * aspect) for top in rows for i in range(3)]
        self.height = round(below + large * aspect + MARGIN)
        self.figure = Figure(figsize=(WIDTH / DPI, self.height / DPI), dpi=DPI, facecolor=PAPER)
        self.canvas = FigureCanvasAgg(self.figure)

    def text(self, x, y, text, pixels, **style):
        """Text whose baseline starts (or ends) at pixel (x, y)."""
        self.figure.text(x / WIDTH, 1 - y / self.height, text, fontsize=pixels * 72 / DPI, **style)

    def heading(self, title, subtitle):
        self.text(MARGIN, 72, title, 44, color=INK, fontweight="bold")
        self.text(WIDTH - MARGIN, 72, subtitle, 19, color=MUTED, ha="right")

    def caption(self, text):
        """Below the row of filters: what holds for all of them, and at the right what their colours mean."""
        baseline = self.under_squares + 26
        self.text(MARGIN, baseline, text, 15, color=MUTED)
        right = WIDTH - MARGIN
        self.text(right, baseline, "positive", 15, color=MUTED, ha="right")
        bar = self._axes((right - 70 - 160, baseline - 11, 160, 12))
        bar.imshow(np.linspace(-1, 1, 160)[None], cmap=SIGNED, aspect="auto")
        self.text(right - 70 - 160 - 10, baseline, "negative", 15, color=MUTED, ha="right")

    def panel(self, place, title, note=""):
        """Axes without ticks, with a title above and a note at its right end."""
        left, top, width, height = (round(value) for value in place)
        axes = self._axes((left, top, width, height))
        self.text(left, top - 10, title, 17, color=INK)
        if note:
            self.text(left + width, top - 10, note, 14, color=MUTED, ha="right")
        return axes

    def _axes(self, place):
        left, top, width, height = place
        axes = self.figure.add_axes((left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height))
        axes.set_axis_off()
        return axes

    def save(self, target):
        self.canvas.draw()
        pixels = np.asarray(self.canvas.buffer_rgba())[..., :3]
        pictures.save_picture(target, pixels.transpose(2, 0, 1))


def _draw_kernel(axes, kernel):
    """The kernel's numbers in a corner of its panel."""
    inset = axes.inset_axes((0.03, 0.03, 0.31, 0.31))
    inset.set_xlim(0, 3)
    inset.set_ylim(3, 0)
    inset.set_axis_off()
    inset.add_patch(Rectangle((0, 0), 3, 3, facecolor=PAPER, alpha=0.82))
    for (i, j), weight in np.ndenumerate(kernel):
        text = "1/9" if 0 < weight < 1 else f"{weight:.0f}".replace("-", "\N{MINUS SIGN}")
        inset.text(j + 0.5, i + 0.52, text, color=INK if weight else MUTED, fontsize=11, ha="center", va="center")


def _draw_winners(axes, colours, blurred, indices, window):
    """A dot for each window, at the pixel that holds its maximum and in that pixel's colour, on the blurred picture, dimmed."""
    height, width = colours.shape[:2]
    y, x = np.divmod(indices.ravel(), width)
    size = np.full(len(y), 1.05 * window)
    dots = EllipseCollection(
        size, size, np.zeros(len(y)), units="xy", offsets=np.column_stack([x + 0.5, y + 0.5]),
        offset_transform=axes.transData, facecolors=colours[y, x], linewidths=0,
    )  # fmt: skip
    axes.imshow(0.45 * blurred, extent=(0, width, height, 0), interpolation="antialiased")
    axes.add_collection(dots)


def _draw_score(axes, colours, match):
    """The score of every position of the patch, with the patch in the corner farthest from the peak."""
    height, width = colours.shape[:2]
    rows, columns = (n - m + 1 for n, m in zip((height, width), match.score.shape))
    y, x = match.found
    # The largest part of the map that has the panel's shape and holds the peak.
    high, wide = match.score.shape
    shown = min(wide, high * width / height)
    radius = 0.042 * shown
    left = _window_start(wide, shown, x + 0.5, 1.15 * radius)
    top = _window_start(high, shown * height / width, y + 0.5, 1.15 * radius)
    lowest = float(np.quantile(match.score, 0.02))
    # The peak is at 1; a map that is nearly constant must not spread its rounding errors over all colours.
    colour_map = colormaps["magma"]
    axes.add_patch(Rectangle((left, top), shown, shown * height / width, facecolor=colour_map(0.0), zorder=-1))
    # An exponent below 1 lightens what is far below the peak, as most scores are.
    colours_of = PowerNorm(0.65, lowest, max(1, lowest + 0.25), clip=True)
    axes.imshow(match.score, cmap=colour_map, norm=colours_of, extent=(0, wide, high, 0), interpolation="antialiased")
    axes.set_xlim(left, left + shown)
    axes.set_ylim(top + shown * height / width, top)
    axes.add_patch(Circle((x + 0.5, y + 0.5), radius, fill=False, edgecolor="white", linewidth=1.8, path_effects=OUTLINE))
    on_the_left = x + 0.5 < left + shown / 2
    axes.text(
        x + 0.5 + (1.5 if on_the_left else -1.5) * radius, y + 0.5, f"{match.score.max():.3f}", color="white", fontsize=12,
        fontweight="bold", ha="left" if on_the_left else "right", va="center", path_effects=OUTLINE,
    )  # fmt: skip

    row, column = match.place
    inset_width = 0.36 * min(1, height / width)
    inset_height = inset_width * rows / columns * width / height
    bottom = 0.04 if y + 0.5 < top + 0.5 * shown * height / width else 0.96 - inset_height
    inset = axes.inset_axes((0.04 if not on_the_left else 0.96 - inset_width, bottom, inset_width, inset_height))
    inset.imshow(colours[row : row + rows, column : column + columns], interpolation="antialiased", aspect="auto")
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set(color=ACCENT, linewidth=1.6)


def _window_start(whole, part, centre, margin):
    """Where `part` of `whole` starts that lies in its middle, but for what it takes to keep `margin` around `centre`."""
    return min(max((whole - part) / 2, centre + margin - part), centre - margin)


def _draw_found(axes, colours, match):
    """The photograph, dim but for the place that was found."""
    height, width = colours.shape[:2]
    rows, columns = (n - m + 1 for n, m in zip((height, width), match.score.shape))
    y, x = match.found
    dim = colours * 0.3
    dim[y : y + rows, x : x + columns] = colours[y : y + rows, x : x + columns]
    axes.imshow(dim, interpolation="antialiased")
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), columns, rows, fill=False, edgecolor=ACCENT, linewidth=2))


def _draw_close_up(axes, colours, indices, window, match):
    """Windows so large that each pixel is seen, with a ring on each winner."""
    height, width = colours.shape[:2]
    across = min(13, indices.shape[1])
    down = min(max(1, int(across * height / width)), indices.shape[0])
    rows, columns = (n - m + 1 for n, m in zip((height, width), match.score.shape))
    first_row = min(max(0, (match.place[0] + rows // 2) // window - down // 2), indices.shape[0] - down)
    first_column = min(max(0, (match.place[1] + columns // 2) // window - across // 2), indices.shape[1] - across)
    top, left = first_row * window, first_column * window
    shown_height = across * window * height / width  # the panel's shape; a part of a window may show at the bottom
    axes.imshow(colours, interpolation="nearest")
    lines = {"color": PAPER, "linewidth": 0.9, "alpha": 0.7}
    for row in range(down + 2):
        axes.axhline(top + row * window - 0.5, **lines)
    for column in range(across + 1):
        axes.axvline(left + column * window - 0.5, **lines)
    y, x = np.divmod(indices[first_row : first_row + down + 1, first_column : first_column + across].ravel(), width)
    axes.scatter(x, y, s=34, facecolors="none", edgecolors=ACCENT, linewidths=1.5, path_effects=OUTLINE)
    axes.set_xlim(left - 0.5, left + across * window - 0.5)
    axes.set_ylim(top + shown_height - 0.5, top - 0.5)

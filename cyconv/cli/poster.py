"""The demo's picture: the five filters in a row, below them the maxima as a portrait in dots, and six panels beside it.

Every place is computed in pixels of the finished picture, so that panels keep the photograph's shape and line up.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..select import seconds_text
from . import pictures

WIDTH, MARGIN, GAP = 1800, 40, 18
HEADER, TITLE = 104, 34  # heights of the heading, and of the line above each panel
DPI = 100
PAPER, INK, MUTED, ACCENT = "#0e1116", "#eef1f5", "#8b95a3", "#ffb454"
# Diverging, and as dark as the paper in the middle: what is zero recedes, both signs stand out alike.
SIGNED = LinearSegmentedColormap.from_list("signed", ["#d9f0ff", "#58b4f0", "#1d5f99", "#10151c", "#a8481a", "#f59a4a", "#fff0d4"])


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
    notes = [f"all five: {_done(filters_row)}", "", "blue \N{MINUS SIGN}, orange +", "", ""]
    for place, (title, kernel), plane, note in zip(page.squares, kernels.items(), crop, notes):
        axes = page.panel(place, title, note)
        if kernel.min() < 0:
            limit = max(float(np.quantile(np.abs(plane), 0.995)), 1e-6)
            axes.imshow(plane, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="antialiased")
        else:
            axes.imshow(plane, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        _draw_kernel(axes, kernel)

    dots = page.panel(page.hero, "Max pooling: where the maxima are", _done(pool_row))
    soft = blurred[0].transpose(1, 2, 0).clip(0, 1)
    _draw_winners(dots, colours, soft, indices[0, 0], pool.window)
    photo, blur, coarse, score, found, close = page.small
    page.panel(photo, "The photograph").imshow(colours, interpolation="antialiased")
    page.panel(blur, blur_row.operation.name, _done(blur_row)).imshow(soft, interpolation="antialiased")
    axes = page.panel(coarse, f"Maxima of {pool.window} x {pool.window}")
    axes.imshow(values[0, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _draw_score(page.panel(score, "How well the patch fits", _done(match_row)), colours, match)
    _draw_found(page.panel(found, f"Found: score {match.score.max():.3f}"), colours, match)
    _draw_close_up(page.panel(close, "Windows and their maxima"), colours, indices[0, 0], pool.window, match)
    page.save(target)


def _done(row):
    return f"{row.algorithm}, {seconds_text(row.seconds)}"


class _Page:
    """The paper, and rectangles (left, top, width, height) on it in pixels."""

    def __init__(self, aspect):
        inner = WIDTH - 2 * MARGIN
        square = (inner - 4 * GAP) / 5
        below = HEADER + TITLE + square + GAP + TITLE
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

    def panel(self, place, title, note=""):
        """Axes without ticks, with a title above and a note at its right end."""
        left, top, width, height = (round(value) for value in place)
        axes = self.figure.add_axes((left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height))
        axes.set_axis_off()
        self.text(left, top - 10, title, 17, color=INK)
        if note:
            self.text(left + width, top - 10, note, 14, color=MUTED, ha="right")
        return axes

    def save(self, target):
        self.canvas.draw()
        pixels = np.asarray(self.canvas.buffer_rgba())[..., :3]
        pictures.save_picture(target, pixels.transpose(2, 0, 1))


def _draw_kernel(axes, kernel):
    """The kernel's numbers in a corner of its panel."""
    inset = axes.inset_axes((0.03, 0.03, 0.27, 0.27))
    inset.set_xlim(0, 3)
    inset.set_ylim(3, 0)
    inset.set_axis_off()
    inset.add_patch(Rectangle((0, 0), 3, 3, facecolor=PAPER, alpha=0.82))
    for (i, j), weight in np.ndenumerate(kernel):
        text = "1/9" if 0 < weight < 1 else f"{weight:.0f}".replace("-", "\N{MINUS SIGN}")
        inset.text(j + 0.5, i + 0.52, text, color=INK if weight else MUTED, fontsize=9.5, ha="center", va="center")


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
    """The score at the middle of every window, with the patch in the corner farthest from the peak."""
    height, width = colours.shape[:2]
    rows, columns = (n - m + 1 for n, m in zip((height, width), match.score.shape))
    left, top = columns / 2 - 0.5, rows / 2 - 0.5
    axes.add_patch(Rectangle((0, 0), width, height, facecolor="#10151c", zorder=-1))
    extent = (left, left + match.score.shape[1], top + match.score.shape[0], top)
    axes.imshow(match.score, cmap=SIGNED, vmin=-1, vmax=1, extent=extent, interpolation="antialiased")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    y, x = match.found
    x, y = x + columns / 2, y + rows / 2
    axes.plot([x], [y], "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.6)
    row, column = match.place
    top = 0.03 * height if y > height / 2 else 0.97 * height - 0.75 * rows
    inset = axes.inset_axes((0.97 * width - 0.75 * columns, top, 0.75 * columns, 0.75 * rows), transform=axes.transData)
    inset.imshow(colours[row : row + rows, column : column + columns], interpolation="antialiased", aspect="auto")
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set(color=ACCENT, linewidth=1.6)


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
    axes.scatter(x, y, s=20, facecolors="none", edgecolors=ACCENT, linewidths=1.4)
    axes.set_xlim(left - 0.5, left + across * window - 0.5)
    axes.set_ylim(top + shown_height - 0.5, top - 0.5)

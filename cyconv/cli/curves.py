"""The benchmark's picture: one panel for each family of problems, time against kernel size.

As in the demo's picture, every place is computed in pixels, here so that no name covers another one.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..select import ALGORITHMS
from . import pictures
from .bench import AUTO, kind_of
from .poster import DPI, INK, MUTED, OUTLINE, PAPER

WIDTH, LEFT, RIGHT = 1700, 130, 290  # beside the panels: times at the left, names at the right
HEADER, TITLE, BAND, PANEL, FOOT, LINE = 226, 46, 38, 430, 72, 30  # heights; BAND names the choice, LINE is one name's
# Okabe and Ito's colours, which the colour-blind tell apart; the two darkest of them lightened for dark paper.
PALETTE = ("#e69f00", "#56b4e9", "#c9a27e", "#00b487", "#f0e442", "#ffffff", "#f28ac3", "#ff6b35", "#a9a3ff")
GRID = "#232a34"
COLOURS = 256  # in the file, which is a third as large so


def write(target, about, series):
    """Draws the (family, points, changes) of `series` and saves them as picture file `target`."""
    height = HEADER + len(series) * (TITLE + BAND + PANEL + FOOT)
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    page.set_axis_off()
    _text(page, 40, 66, "Which algorithm when", 44, INK, fontweight="bold")
    _text(page, WIDTH - 40, 66, "time of one call against the size of the kernel", 25, MUTED, ha="right")
    for row, line in enumerate(about):
        _text(page, 40, 112 + 32 * row, line, 23, MUTED)
    _legend(page, 198)
    for row, (family, points, changes) in enumerate(series):
        top = HEADER + row * (TITLE + BAND + PANEL + FOOT)
        _text(page, LEFT, top + 34, family.title, 28, INK, fontweight="bold")
        below = top + TITLE + BAND
        place = (LEFT / WIDTH, 1 - (below + PANEL) / height, (WIDTH - LEFT - RIGHT) / WIDTH, PANEL / height)
        axes = figure.add_axes(place, facecolor=PAPER, xscale="log", yscale="log", zorder=-1)
        _panel(page, axes, family, points, changes, below)
    canvas.draw()
    pictures.save_picture(target, np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1), COLOURS)


def _text(page, x, y, text, pixels, color, **style):
    return page.text(x, y, text, fontsize=pixels * 72 / DPI, color=color, **style)


def _style(name):
    """How the line of a contender looks."""
    kind = kind_of(name)
    if kind == "auto":
        return {"color": INK, "linewidth": 13, "alpha": 0.33, "solid_capstyle": "round", "zorder": 4}
    if kind == "peer":
        return {"color": MUTED, "linewidth": 2, "dashes": (4, 2.5), "zorder": 2}
    return {"color": _colour(name), "linewidth": 2.6, "zorder": 3}


def _colour(name):
    return PALETTE[ALGORITHMS.index(name) % len(PALETTE)]


def _legend(page, y):
    x = 40
    for name, text in ((AUTO, "the automatic choice"), (ALGORITHMS[0], "one algorithm"), ("", "another library")):
        page.plot([x + 6, x + 64], [y - 8, y - 8], **_style(name))
        x = _end(_text(page, x + 80, y, text, 23, INK)) + 44
    page.add_patch(Rectangle((x, y - 23), 58, 28, facecolor=_colour(ALGORITHMS[0]), alpha=0.36))
    _text(page, x + 74, y, "which one is chosen", 23, INK)


def _end(text):
    return text.get_window_extent().x1


def _panel(page, axes, family, points, changes, top):
    kernels = family.kernels
    axes.set_xlim(kernels[0] / (kernels[-1] / kernels[0]) ** 0.012, kernels[-1])
    axes.set_xticks(kernels, map(str, kernels), fontsize=22 * 72 / DPI)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda seconds, _: _time(seconds))
    axes.tick_params(colors=MUTED, labelsize=22 * 72 / DPI, length=0, pad=8)
    axes.grid(color=GRID, linewidth=1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    lines = {}
    for name in dict.fromkeys(name for point in points for name in point.times):
        found = [(point.kernel, point.times[name][0]) for point in points if name in point.times]
        lines[name] = found
        axes.plot(*zip(*found), marker="o" if len(found) == 1 else None, markersize=7, **_style(name))
    dots = {"c": [_colour(point.chosen) for point in points], "edgecolors": PAPER, "linewidths": 1.2}
    axes.scatter(kernels, [point.auto for point in points], s=52, clip_on=False, zorder=5, **dots)
    _band(page, axes, points, changes, top)
    del lines[AUTO]
    _names(page, axes, lines, kernels[-1], top)
    _text(page, WIDTH - RIGHT + 50, top + PANEL + 29, "taps" if len(family.shape) == 3 else "taps along an axis", 22, MUTED)


def _time(seconds):
    for unit, factor in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.999 * factor:
            break
    return f"{seconds / factor:g} {unit}"


def _pixel(axes, x, y):
    """Where on the page a point of a panel lies."""
    across, down = axes.transData.transform((x, y))
    return across, axes.figure.bbox.height - down


def _band(page, axes, points, changes, top):
    """Above the panel: the choice, from change to change."""
    edges = [LEFT, *(_pixel(axes, (low * high) ** 0.5, 1)[0] for low, high, _, _ in changes), WIDTH - RIGHT]
    names = [points[0].chosen, *(new for _, _, _, new in changes)]
    for name, left, right in zip(names, edges, edges[1:]):
        page.add_patch(Rectangle((left, top - BAND), right - left, BAND - 6, facecolor=_colour(name), alpha=0.36))
        text = _text(page, (left + right) / 2, top - BAND / 2 - 3, name, 23, INK, ha="center", va="center")
        if _end(text) > right - 4:
            text.remove()
    for x in edges[1:-1]:
        page.plot([x, x], [top - BAND, top + PANEL], color=INK, linewidth=1.3, alpha=0.6)


def _names(page, axes, lines, last, top):
    """A name where each line ends: in the panel, where it crosses the fewest lines, or beside it, in the order of the ends."""
    ends = {name: _pixel(axes, *found[-1]) for name, found in lines.items()}
    texts = {name: _text(page, x + 14, y, name, 23, _style(name)["color"], va="center", zorder=9) for name, (x, y) in ends.items()}
    beside = [name for name in lines if lines[name][-1][0] == last or _end(texts[name]) > WIDTH - RIGHT]
    beside.sort(key=lambda name: ends[name][1])
    places = [ends[name][1] for name in beside]
    for _ in range(200):  # names that are too close push each other apart
        for i in range(len(places) - 1):
            short = max(0, LINE - (places[i + 1] - places[i])) / 2
            places[i], places[i + 1] = places[i] - short, places[i + 1] + short
        places = [min(max(y, top + LINE / 2), top + PANEL - LINE / 2) for y in places]
    edge = WIDTH - RIGHT
    for name, y in zip(beside, places):
        (x, end), text = ends[name], texts.pop(name)
        page.plot([x + 5, edge + 12, edge + 26], [end, end, y], color=text.get_color(), linewidth=1)
        text.set_position((edge + 32, y))
    points = np.concatenate([_along(axes, found) for found in lines.values()])
    taken = []
    for name, text in texts.items():
        x, y = ends[name]
        wide = _end(text) - text.get_window_extent().x0
        tried = []
        for step in range(-4, 5):
            for left in (x + 14, x - wide / 2, x - 14 - wide):
                middle = y + step * 0.8 * LINE
                inside = LEFT < left < edge - wide and top + LINE / 2 < middle < top + PANEL - LINE / 2
                near = np.abs(points - (left + wide / 2, middle)) < (wide / 2 + 4, LINE / 2)
                apart = all(abs(middle - b) >= LINE or left > a + w or a > left + wide for a, b, w in taken)
                cost = near.all(axis=1).sum() + 3 * abs(step) + 2 * (left < x) + 1e4 * (not inside or not apart)
                tried.append((cost, left, middle, wide))
        best = min(tried)[1:]
        taken.append(best)
        text.set(position=best[:2], path_effects=OUTLINE)


def _along(axes, found):
    """Pixels all along a line."""
    corners = np.array([_pixel(axes, *point) for point in found])
    steps = np.linspace(0, 1, 40)[:, None, None]
    return np.concatenate([corners, (corners[:-1] + steps * np.diff(corners, axis=0)).reshape(-1, 2)])

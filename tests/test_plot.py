"""cyconv.plot: the figures hold what was passed and what cyconv computes of it, and their letters are where they can be read."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import cyconv
from cyconv import nn, plot

pytest.importorskip("matplotlib")
from matplotlib.collections import LineCollection, PatchCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def panels(figure):
    """Axes with pictures, without colour bars."""
    return [axes for axes in figure.axes if axes.images and not hasattr(axes, "_colorbar")]


def pictures(figure):
    return [np.asarray(axes.images[0].get_array()) for axes in panels(figure)]


def bars(figure):
    return [axes for axes in figure.axes if hasattr(axes, "_colorbar")]


def stems(axes):
    """(places, values) of an axes with stems, both from their lines and from their ends."""
    lines = next(each for each in axes.collections if isinstance(each, LineCollection)).get_segments()
    ends = axes.lines[0].get_xydata()
    np.testing.assert_array_equal([line[1] for line in lines], ends)
    np.testing.assert_array_equal([line[0][1] for line in lines], 0)
    return ends[:, 0], ends[:, 1]


def small_net(*more):
    return nn.Sequential(nn.Conv2d(2, 4, 3, seed=0), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 3, padding=1, seed=1), *more)


# One of each kind, for what holds for all.
FIGURES = {
    "filters": lambda **to: plot.filters(random(6, 1, 5, 5), **to),
    "filters in rows": lambda **to: plot.filters(random(3, 4, 3, 3), titles=["one", "two", "three"], **to),
    "many filters": lambda **to: plot.filters(random(40, 1, 3, 3), most=32, **to),
    "a wide filter": lambda **to: plot.filters(random(1, 1, 1, 9), **to),
    "strips": lambda **to: plot.filters(random(4, 1, 1, 9), **to),
    "columns": lambda **to: plot.filters(random(4, 1, 9, 1), **to),
    "colour filters": lambda **to: plot.filters(random(7, 3, 5, 5), rgb=True, **to),
    "filters of signals": lambda **to: plot.filters(random(5, 1, 9), **to),
    "filters of signals in rows": lambda **to: plot.filters(random(3, 2, 9), **to),
    "maps": lambda **to: plot.activation_maps(random(10, 12, 9), **to),
    "a few of many maps": lambda **to: plot.activation_maps(random(10, 12, 9), most=3, **to),
    "maps of signals": lambda **to: plot.activation_maps(random(3, 80), **to),
    "pooled": lambda **to: plot.pooled(np.arange(48).reshape(6, 8), 2, **to),
    "pooled, overlapping": lambda **to: plot.pooled(random(7, 7), 3, 2, 1, **to),
    "pooled, large": lambda **to: plot.pooled(random(60, 80), 2, **to),
    "pooled, wide": lambda **to: plot.pooled(random(4, 30), 2, **to),
    "pooled, tall": lambda **to: plot.pooled(random(12, 4), 3, 1, 1, **to),
    "receptive field": lambda **to: plot.receptive_field(small_net(), (3, 4), random(2, 20, 24).astype(np.float32), **to),
    "curve": lambda **to: plot.learning_curve(
        {"loss": [3, 2, 1], "training accuracy": [0.1, 0.5, 1], "test accuracy": [0.1, 0.4, 0.8]}, **to
    ),
    "one epoch": lambda **to: plot.learning_curve({"loss": [3]}, **to),
}


# ---- all figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIGURES)
def test_letters_can_be_read(name, monkeypatch):
    """No text sticks out, and no two texts cover each other."""
    figure, drawn, draw = FIGURES[name](), {}, Text.draw

    def noticed(text, renderer):
        if text.get_visible() and text.get_text():
            drawn[text] = text.get_window_extent(renderer)
        draw(text, renderer)

    monkeypatch.setattr(Text, "draw", noticed)
    figure.canvas.draw()
    assert drawn
    boxes = list(drawn.items())
    width, height = figure.bbox.size
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
        for other, another in boxes[:i]:
            apart = box.x0 >= another.x1 or another.x0 >= box.x1 or box.y0 >= another.y1 or another.y0 >= box.y1
            assert apart, (text, other)


@pytest.mark.parametrize("name", FIGURES)
def test_is_a_figure_that_can_be_saved(name, tmp_path):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (tmp_path / "picture.png").stat().st_size > 1500
    figure.savefig(tmp_path / "picture.svg")


@pytest.mark.parametrize("name", FIGURES)
def test_draws_into_a_part_of_a_figure(name):
    whole = Figure(figsize=(10, 6), layout="constrained")
    left, right = whole.subfigures(1, 2)
    assert FIGURES[name](figure=left) is left
    assert left.axes and not right.axes
    alone = FIGURES[name]()
    assert len(alone.axes) == len(left.axes)
    for ours, theirs in zip(pictures(left), pictures(alone)):
        np.testing.assert_array_equal(ours, theirs)
    whole.canvas.draw()


@pytest.mark.parametrize("name", ["filters", "maps", "pooled", "receptive field", "curve"])
@pytest.mark.parametrize("figure", ["new", 3, np.zeros(2)], ids=str)
def test_figure_must_be_one(name, figure):
    with pytest.raises(TypeError, match="figure must be a matplotlib Figure or SubFigure, or None, got (str|int|ndarray)"):
        FIGURES[name](figure=figure)


def test_notebooks_show_it_and_pickle_keeps_it():
    figure = FIGURES["curve"]()
    assert figure._repr_png_().startswith(b"\x89PNG\r\n")
    assert pickle.loads(pickle.dumps(figure))._repr_png_().startswith(b"\x89PNG\r\n")


def test_needs_neither_display_nor_pyplot(tmp_path):
    program = """
import sys
import numpy as np
from cyconv import plot
assert not any(name.split(".")[0] == "matplotlib" for name in sys.modules), "importing cyconv.plot imports matplotlib"
plot.filters(np.ones((2, 1, 3, 3))).savefig("picture.png")
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["MPLBACKEND"] = "TkAgg"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "picture.png").exists()


@pytest.mark.parametrize("name", ["filters", "maps", "pooled", "receptive field", "curve"])
def test_without_matplotlib_one_line_says_so(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as raised:
        FIGURES[name]()
    assert str(raised.value) == "cyconv.plot needs matplotlib: pip install 'cyconv[plot]'"


def test_all_is_public_and_documented():
    assert sorted(plot.__all__) == plot.__all__
    for name in plot.__all__:
        docstring = getattr(plot, name).__doc__
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert section in docstring


# ---- filters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "bool"])
def test_filters_have_a_panel_each(dtype):
    weight = (3 * random(6, 1, 5, 4)).astype(dtype)
    figure = plot.filters(weight)
    assert len(panels(figure)) == 6 and len(bars(figure)) == 1
    for i, (axes, picture) in enumerate(zip(panels(figure), pictures(figure))):
        np.testing.assert_array_equal(picture, weight[i, 0])
        assert axes.get_title() == str(i)
        limit = float(np.abs(weight.astype(float)).max())
        assert axes.images[0].get_clim() == (-limit, limit)  # 0 in the middle
    white = panels(figure)[0].images[0].to_rgba(np.zeros((1, 1)))[0, 0]
    np.testing.assert_allclose(white, 1, atol=0.02)


def test_filters_of_a_layer():
    layer = nn.Conv2d(1, 6, 5, seed=0)
    for ours, weight in zip(pictures(plot.filters(layer)), layer.weight):
        np.testing.assert_array_equal(ours, weight[0])
    assert layer.weight.grad is None
    np.testing.assert_array_equal(pictures(plot.filters(layer.weight)), pictures(plot.filters(np.asarray(layer.weight))))


def test_filters_with_input_channels_are_in_rows():
    weight = random(3, 4, 3, 3)
    figure = plot.filters(weight, titles=["a", "b", "c"])
    np.testing.assert_array_equal(pictures(figure), weight.reshape(12, 3, 3))
    where = [(axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start) for axes in panels(figure)]
    assert where == [(o, i) for o in range(3) for i in range(4)]
    assert [axes.get_title() for axes in panels(figure)] == ["input 0", "input 1", "input 2", "input 3"] + 8 * [""]
    assert [axes.get_ylabel() for axes in panels(figure)] == ["a", "", "", "", "b", "", "", "", "c", "", "", ""]


@pytest.mark.parametrize(
    "shape, options, shown, note",
    [
        ((9, 1, 3, 3), {"most": 4}, [(o, 0) for o in range(4)], "4 of 9 filters"),
        ((9, 1, 3, 3), {}, [(o, 0) for o in range(9)], None),
        ((9, 4, 3, 3), {"most": 10}, [(o, i) for o in range(2) for i in range(4)], "2 of 9 output channels"),
        ((9, 4, 3, 3), {"most": 3}, [(0, i) for i in range(3)], "1 of 9 output channels, 3 of 4 input channels"),
        ((2, 4, 3, 3), {"columns": 3}, [(o, i) for o in range(2) for i in range(3)], "3 of 4 input channels"),
        ((100, 40, 3, 3), {}, [(o, i) for o in range(4) for i in range(16)], "4 of 100 output channels, 16 of 40 input channels"),
    ],
)
def test_filters_left_out_are_told(shape, options, shown, note):
    weight = random(*shape)
    figure = plot.filters(weight, **options)
    np.testing.assert_array_equal(pictures(figure), [weight[place] for place in shown])
    assert (figure.get_suptitle() or None) == note


def test_filters_columns():
    figure = plot.filters(random(5, 1, 3, 3), columns=2)
    assert [axes.get_subplotspec().colspan.start for axes in panels(figure)] == [0, 1, 0, 1, 0]
    assert sum(not axes.axison for axes in figure.axes) == 1  # the empty place


def test_filters_in_colour():
    weight = random(4, 3, 5, 6)
    weight[1] = 0
    figure = plot.filters(weight, rgb=True)
    limit = np.abs(weight).max()
    assert len(panels(figure)) == 4 and not bars(figure)
    for picture, one in zip(pictures(figure), weight):
        np.testing.assert_allclose(picture, 0.5 + one.transpose(1, 2, 0) / (2 * limit))


@pytest.mark.parametrize("inputs", [1, 2])
def test_filters_of_signals_are_stems(inputs):
    weight = random(3, inputs, 7)
    figure = plot.filters(weight)
    assert len(figure.axes) == 3 * inputs
    for axes, taps in zip(figure.axes, weight.reshape(-1, 7)):
        places, values = stems(axes)
        np.testing.assert_array_equal(places, np.arange(7))
        np.testing.assert_array_equal(values, taps)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    low, high = figure.axes[0].get_ylim()
    assert low < weight.min() and high > weight.max()


def test_filters_of_nothing_but_zeros_or_with_gaps():
    assert panels(plot.filters(np.zeros((2, 1, 3, 3))))[0].images[0].get_clim() == (-1, 1)
    weight = random(2, 1, 3, 3)
    weight[0, 0, 0, 0], weight[0, 0, 0, 1] = np.nan, np.inf
    figure = plot.filters(weight)
    limit = np.abs(weight[np.isfinite(weight)]).max()
    assert panels(figure)[0].images[0].get_clim() == (-limit, limit)
    figure.canvas.draw()


@pytest.mark.parametrize(
    "arguments, options, kind, words",
    [
        ((np.zeros((3, 3)),), {}, ValueError, r"weight must have shape \(out_channels, .*, none of them 0, got \(3, 3\)"),
        ((np.zeros((1, 1, 3, 3, 3)),), {}, ValueError, "weight must have shape"),
        ((np.zeros((0, 1, 3, 3)),), {}, ValueError, "none of them 0"),
        ((np.zeros((1, 1, 3, 3), complex),), {}, TypeError, "weight must be real numbers, got dtype complex128"),
        ((nn.ReLU(),), {}, TypeError, "weight must be real numbers, got dtype object"),
        ((nn.Linear(3, 2),), {}, ValueError, "weight must have shape"),
        ((np.zeros((2, 1, 3, 3)),), {"titles": ["a"]}, ValueError, "titles must be 2 strings, one for each output channel, got 1"),
        ((np.zeros((2, 1, 3, 3)),), {"titles": "ab"}, TypeError, "titles must be a sequence of 2 strings, got 'ab'"),
        ((np.zeros((2, 1, 3, 3)),), {"columns": 0}, ValueError, "columns must be at least 1, got 0"),
        ((np.zeros((2, 2, 3, 3)),), {"columns": 1.5}, TypeError, "columns must be an int, got 1.5"),
        ((np.zeros((2, 1, 3, 3)),), {"most": 0}, ValueError, "most must be at least 1, got 0"),
        ((np.zeros((2, 1, 3, 3)),), {"rgb": 1}, TypeError, "rgb must be True or False, got 1"),
        ((np.zeros((2, 1, 3, 3)),), {"rgb": True}, ValueError, r"rgb needs a weight of shape \(out.*, 3, kH, kW\), got \(2, 1, 3, 3\)"),
        ((np.zeros((2, 3, 3)),), {"rgb": True}, ValueError, "rgb needs a weight"),
    ],
)
def test_filters_refuse(arguments, options, kind, words):
    with pytest.raises(kind, match=words):
        plot.filters(*arguments, **options)


# ---- activation maps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [False, True])
def test_maps_share_one_scale(batched):
    maps = random(7, 6, 9)
    figure = plot.activation_maps(maps[None] if batched else maps, columns=4)
    np.testing.assert_array_equal(pictures(figure), maps)
    assert {axes.images[0].get_clim() for axes in panels(figure)} == {(maps.min(), maps.max())}
    assert {axes.images[0].get_cmap().name for axes in panels(figure)} == {"gray"}
    assert len(bars(figure)) == 1
    assert [axes.get_title() for axes in panels(figure)] == list("0123456")
    assert [axes.get_subplotspec().colspan.start for axes in panels(figure)] == [0, 1, 2, 3, 0, 1, 2]


def test_maps_of_signals():
    maps = random(3, 40)
    figure = plot.activation_maps(maps)
    assert len(figure.axes) == 3
    for axes, signal in zip(figure.axes, maps):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), signal)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_maps_left_out_are_told():
    maps = random(70, 3, 3)
    assert len(panels(plot.activation_maps(maps))) == 64 and plot.activation_maps(maps).get_suptitle() == "64 of 70 channels"
    np.testing.assert_array_equal(pictures(plot.activation_maps(maps, most=2)), maps[:2])


def test_maps_that_are_constant_or_not_finite():
    low, high = panels(plot.activation_maps(np.full((2, 3, 3), 5)))[0].images[0].get_clim()
    assert low < 5 < high
    maps = np.ones((1, 3, 3))
    maps[0, 0], maps[0, 1] = [np.nan, np.inf, -np.inf], 0
    figure = plot.activation_maps(maps)
    assert panels(figure)[0].images[0].get_clim() == (0, 1)
    figure.canvas.draw()
    plot.activation_maps(np.full((1, 3, 3), np.nan)).canvas.draw()


@pytest.mark.parametrize(
    "maps, options, kind, words",
    [
        (np.zeros((2, 3, 4, 4)), {}, ValueError, r"maps must be those of one input, .*, got shape \(2, 3, 4, 4\)"),
        (np.zeros(4), {}, ValueError, r"maps must have shape \(C, H, W\), \(1, C, H, W\) or \(C, L\)"),
        (np.zeros((3, 0, 4)), {}, ValueError, "none of them 0"),
        (np.zeros((3, 4, 4), complex), {}, TypeError, "maps must be real numbers"),
        (None, {}, TypeError, "maps must be an array, got None"),
        (np.zeros((3, 4, 4)), {"most": -1}, ValueError, "most must be at least 1"),
        (np.zeros((3, 4, 4)), {"columns": "2"}, TypeError, "columns must be an int"),
    ],
)
def test_maps_refuse(maps, options, kind, words):
    with pytest.raises(kind, match=words):
        plot.activation_maps(maps, **options)


# ---- pooling -------------------------------------------------------------------------------------------------------------


def marks(axes):
    """(row, column) of the marks on the maxima."""
    return next(each for each in axes.collections if isinstance(each, PathCollection)).get_offsets()[:, ::-1]


def outlines(axes):
    """(left, top, width, height) of every window, in samples."""
    boxes = [path.get_extents().bounds for each in axes.collections if isinstance(each, PatchCollection) for path in each.get_paths()]
    return [(x + 0.5, y + 0.5, width, height) for x, y, width, height in boxes]


@pytest.mark.parametrize(
    "shape, kernel, options",
    [
        ((6, 8), 2, {}),
        ((7, 9), 2, {"ceil_mode": True}),
        ((7, 9), (3, 2), {"stride": (2, 1), "padding": (1, 0)}),
        ((9, 8), 2, {"dilation": 3}),
        ((9, 8), 3, {"stride": 2, "padding": [(1, 0), (0, 1)], "dilation": (2, 1)}),
        ((9, 8), 3, {"stride": 2, "padding": "same_upper"}),
        ((50, 70), 5, {}),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "int8"])
def test_pooled_marks_the_maxima(shape, kernel, options, dtype):
    image = (30 * random(*shape)).astype(dtype)
    values, indices = cyconv.max_pool2d(image[None], kernel, return_indices=True, **options)
    figure = plot.pooled(image, kernel, **options)
    left, right = panels(figure)
    np.testing.assert_array_equal(pictures(figure)[0], image)
    np.testing.assert_array_equal(pictures(figure)[1], values[0])
    assert left.images[0].get_clim() == right.images[0].get_clim() == (image.min(), image.max())
    np.testing.assert_array_equal(marks(left), np.stack(np.unravel_index(indices.ravel(), shape), axis=1))
    assert len(outlines(left)) == values.size
    # The maximum is in its window's outline, and the outline is seen.
    for (row, column), (x, y, width, height) in zip(marks(left), outlines(left)):
        assert x <= column < x + width and y <= row < y + height
        assert left.get_xlim()[0] < x and x + width - 1 < left.get_xlim()[1]
        assert left.get_ylim()[1] < y and y + height - 1 < left.get_ylim()[0]


def test_pooled_outlines_are_the_windows():
    figure = plot.pooled(random(5, 6), (2, 3), stride=(2, 2), padding=(1, 0), dilation=(2, 1))
    assert outlines(panels(figure)[0]) == [(x, y, 3, 3) for y in (-1, 1, 3) for x in (0, 2)]
    assert len(panels(figure)[0].patches) == 1 and len(panels(figure)[1].patches) == 1  # one of them drawn stronger, with its maximum
    assert panels(figure)[0].patches[0].get_bbox().bounds == (-0.5, 0.5, 3, 3)
    assert panels(figure)[1].patches[0].get_bbox().bounds == (-0.5, 0.5, 1, 1)
    dots = panels(figure)[0].lines[0].get_xydata()
    assert [(round(y), round(x)) for x, y in dots + [-0.36, 0.36]] == [(y, x) for y in (1, 3) for x in (0, 1, 2)]


def test_pooled_writes_values_of_small_images_and_outlines_of_few_windows():
    small, large = plot.pooled(np.arange(36).reshape(6, 6), 2), plot.pooled(random(50, 50), 2)
    assert [text.get_text() for text in panels(small)[0].texts] == [str(n) for n in range(36)]
    assert [text.get_text() for text in panels(small)[1].texts] == ["7", "9", "11", "19", "21", "23", "31", "33", "35"]
    assert not panels(large)[0].texts and not outlines(panels(large)[0]) and len(marks(panels(large)[0])) == 625
    assert panels(plot.pooled(np.array([[-1.5, 2.25]]), 1))[0].texts[0].get_text() == "\N{MINUS SIGN}1.5"


def test_pooled_of_one_channel_and_other_kinds():
    image = random(1, 6, 6)
    np.testing.assert_array_equal(pictures(plot.pooled(image, 2))[0], image[0])
    np.testing.assert_array_equal(pictures(plot.pooled(image > 0, 2))[1], cyconv.max_pool2d(image > 0, 2)[0])
    image[0, 2, 3] = np.nan
    figure = plot.pooled(image, 2)
    assert (2, 3) in [tuple(place) for place in marks(panels(figure)[0])]
    figure.canvas.draw()


@pytest.mark.parametrize(
    "arguments, options, kind, words",
    [
        ((np.zeros((3, 4, 4)), 2), {}, ValueError, r"input must have shape \(H, W\) or \(1, H, W\), none of them 0, got \(3, 4, 4\)"),
        ((np.zeros(4), 2), {}, ValueError, "input must have shape"),
        ((np.zeros((0, 4)), 2), {}, ValueError, "input must have shape"),
        ((np.zeros((4, 4), complex), 2), {}, TypeError, "input has dtype complex128"),
        ((np.zeros((4, 4)), 0), {}, ValueError, "kernel_size must be at least 1, got 0"),
        ((np.zeros((4, 4)), 2), {"stride": 0}, ValueError, "stride must be at least 1"),
        ((np.zeros((4, 4)), 2), {"padding": 2}, ValueError, "padding"),
        ((np.zeros((4, 4)), 2), {"ceil_mode": 1}, TypeError, "ceil_mode must be True or False"),
        ((np.zeros((4, 4)), 5), {}, ValueError, "kernel_size"),
    ],
)
def test_pooled_refuses(arguments, options, kind, words):
    with pytest.raises(kind, match=words):
        plot.pooled(*arguments, **options)


# ---- receptive fields ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [(0, 0), (3, 4), (8, 10)])
@pytest.mark.parametrize("batched", [False, True])
def test_field_is_in_colour_and_the_rest_dimmed(position, batched):
    net, picture = small_net(), random(2, 20, 24).astype(np.float32)
    figure = plot.receptive_field(net, position, picture[None] if batched else picture)
    rows, columns = region = nn.receptive_field(net, position, (2, 20, 24))
    left, right = panels(figure)
    outline = left.patches[0].get_bbox().bounds
    assert outline == (columns.start - 0.5, rows.start - 0.5, columns.stop - columns.start, rows.stop - rows.start)
    shown, grey = pictures(figure)[0], picture.astype(float).mean(axis=0)
    grey = (grey - grey.min()) / (grey.max() - grey.min())
    np.testing.assert_allclose(shown[region], np.repeat(grey[region][..., None], 3, axis=2), atol=1e-6)
    outside = np.ones((20, 24), bool)
    outside[region] = False
    assert np.ptp(shown[outside]) < 0.5 < np.ptp(grey)
    np.testing.assert_allclose(pictures(figure)[1], net(picture[None])[0].mean(axis=0), rtol=1e-4, atol=1e-6)
    assert right.patches[0].get_bbox().bounds == (position[1] - 0.5, position[0] - 0.5, 1, 1)
    assert f"row {position[0]}, column {position[1]} of 9 × 11" in right.get_title()


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_field_of_a_colour_picture(dtype):
    picture = np.random.default_rng(0).random((3, 12, 12))
    picture = (255 * picture).astype(dtype) if dtype == "uint8" else picture.astype(dtype)
    figure = plot.receptive_field(nn.MaxPool2d(4), (1, 1), picture)
    colours = np.moveaxis(picture, 0, -1) / (255 if dtype == "uint8" else 1)
    shown = pictures(figure)[0]
    np.testing.assert_allclose(shown[4:8, 4:8], colours[4:8, 4:8], atol=1e-6)
    np.testing.assert_allclose(np.ptp(shown[:4], axis=2), 0, atol=1e-9)  # dimmed to grey


@pytest.mark.parametrize("more, position", [((nn.Flatten(),), 5), ((nn.Flatten(), nn.Linear(297, 7)), 3)])
def test_field_of_a_unit_without_a_place(more, position):
    figure = plot.receptive_field(small_net(*more), position, random(2, 20, 24).astype(np.float32))
    assert len(figure.axes) == 1


def test_field_that_is_all_padding():
    figure = plot.receptive_field(nn.Conv2d(1, 1, 1, padding=2), (0, 0), random(1, 6, 6).astype(np.float32))
    assert panels(figure)[0].get_title() == "sees nothing but padding" and not panels(figure)[0].patches


def test_field_of_a_pool_that_returns_indices():
    assert len(panels(plot.receptive_field(nn.MaxPool2d(2, return_indices=True), (1, 1), random(1, 6, 6)))) == 2


def test_field_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, seed=0), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.ReLU())
    net[1].eval()
    x = random(1, 1, 8, 8).astype(np.float32)
    y = net(x)
    before, modes = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    first, second = (pictures(plot.receptive_field(net, (2, 2), x))[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)  # no dropout
    assert [module.training for module in net.modules()] == modes
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert net.backward(np.ones_like(y)).shape == x.shape  # what the call before remembered is still there
    with pytest.raises(ValueError):
        plot.receptive_field(net, (2, 2), np.zeros((2, 8, 8), np.float32))
    assert [module.training for module in net.modules()] == modes


@pytest.mark.parametrize(
    "model, position, picture, kind, words",
    [
        (print, (0, 0), np.zeros((1, 8, 8), np.float32), TypeError, "model must be a cyconv.nn.Module, got builtin_function_or_method"),
        (nn.Conv2d(1, 1, 3), (0, 0), np.zeros((8, 8), np.float32), ValueError, r"input must be one picture, .*, got shape \(8, 8\)"),
        (nn.Conv2d(1, 1, 3), (0, 0), np.zeros((2, 1, 8, 8), np.float32), ValueError, "input must be one picture"),
        (nn.Conv2d(1, 1, 3), (0, 6), np.zeros((1, 8, 8), np.float32), ValueError, r"\(0, 6\) is not within the output"),
        (nn.Conv2d(1, 1, 3), 2, np.zeros((1, 8, 8), np.float32), ValueError, "position must have 2 ints"),
        (nn.Conv2d(1, 1, 3), "ab", np.zeros((1, 8, 8), np.float32), TypeError, "position must be"),
        (nn.Conv2d(1, 1, 3), (0, 0), np.zeros((1, 8, 8)), TypeError, "dtype"),
    ],
)
def test_field_refuses(model, position, picture, kind, words):
    with pytest.raises(kind, match=words):
        plot.receptive_field(model, position, picture)


# ---- learning curves -----------------------------------------------------------------------------------------------------


def curves(axes):
    return {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.lines}


def test_losses_at_the_left_accuracies_at_the_right():
    history = {"loss": [2.0, 1.0, 0.5], "Validation Loss": np.array([2.5, 2.0])}
    history |= {"train accuracy": [1, 2, 3], "test accuracy": [0.5, 0.75, 0.875]}
    figure = plot.learning_curve(history)
    left, right = figure.axes
    assert curves(left) == {"loss": ([1, 2, 3], [2.0, 1.0, 0.5]), "Validation Loss": ([1, 2], [2.5, 2.0])}
    assert curves(right) == {"train accuracy": ([1, 2, 3], [1, 2, 3]), "test accuracy": ([1, 2, 3], [0.5, 0.75, 0.875])}
    assert (left.get_ylabel(), right.get_ylabel(), left.get_xlabel()) == ("loss, Validation Loss", "accuracy", "epoch")
    assert left.get_ylim()[0] == 0
    assert [text.get_text() for text in left.get_legend().get_texts()] == list(history)
    colours = [line.get_color() for axes in figure.axes for line in axes.lines]
    assert len(set(colours)) == 4


@pytest.mark.parametrize("name, label", [("loss", "loss"), ("accuracy", "accuracy")])
def test_one_axis_is_enough_for_one_kind(name, label):
    figure = plot.learning_curve({name: [1.0, 2.0], "empty": []})
    assert len(figure.axes) == 1 and figure.axes[0].get_ylabel() == label and list(curves(figure.axes[0])) == [name]


def test_values_that_are_not_finite_or_below_zero():
    figure = plot.learning_curve({"loss": [-3.0, -4.0, np.nan], "accuracy": [np.nan, 0.5, np.inf]})
    figure.canvas.draw()
    assert figure.axes[0].get_ylim()[0] < -4


@pytest.mark.parametrize(
    "history, kind, words",
    [
        ([1, 2], TypeError, "history must be a mapping of names to lists of numbers, got list"),
        ({}, ValueError, "history must hold at least one curve of at least one value, got none"),
        ({"loss": []}, ValueError, "at least one value"),
        ({3: [1.0]}, TypeError, "names in history must be strings, got 3"),
        ({"loss": 1.0}, TypeError, r"history\['loss'\] must be a list of numbers, one for each epoch"),
        ({"loss": [[1.0]]}, TypeError, "must be a list of numbers"),
        ({"loss": ["a"]}, TypeError, "must be a list of numbers"),
        ({"loss": [[1.0], [1.0, 2.0]]}, ValueError, r"history\['loss'\] cannot be made an array"),
    ],
)
def test_curve_refuses(history, kind, words):
    with pytest.raises(kind, match=words):
        plot.learning_curve(history)

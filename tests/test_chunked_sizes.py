"""Chunks that are odd, and what tasks hold: no more than a few chunks of the input, however channels, planes and strides lie."""

from math import prod

import numpy as np
import pytest

import cyconv
from cyconv.chunked import blocks

da = pytest.importorskip("dask.array")


def most_held(result):
    """Samples of the largest region, and of the largest result, of a task."""
    from cyconv.chunked.graph import Part

    parts = [task.func for task in dict(result.dask).values() if isinstance(getattr(task, "func", None), Part)]
    return max(prod(axis[-1].stop for axis in part.places) for part in parts), max(prod(high - low for low, high in part.ranges) for part in parts)


def zeros(shape, chunks):
    return da.zeros(shape, chunks=chunks, dtype=np.float32)


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cyconv.conv2d(zeros((1, 256, 4000, 4000), (1, 1, 4000, 4000)), ones(256, 1, 3, 3), groups=256),
        lambda: cyconv.conv_transpose2d(zeros((1, 256, 4000, 4000), (1, 1, 4000, 4000)), ones(256, 1, 3, 3), groups=256),
        lambda: cyconv.conv2d(zeros((1, 512, 2000, 2000), (1, 8, 2000, 2000)), ones(4, 512, 3, 3)),
        lambda: cyconv.conv2d(zeros((4, 512, 1000, 1000), (4, 512, 50, 50)), ones(4, 512, 3, 3)),
        lambda: cyconv.conv2d(zeros((1, 1, 10**6, 1024), (1, 1, 10**6, 16)), ones(1, 1, 3, 3)),
        lambda: cyconv.conv2d(zeros((1, 1, 20000, 20000), (1, 1, 2000, 2000)), ones(1, 1, 3, 3), stride=50),
        lambda: cyconv.conv2d(zeros((1, 3, 4000, 4000), (1, 3, 2000, 4000)), ones(64, 3, 3, 3)),
        lambda: cyconv.conv3d(zeros((1, 1, 500, 2000, 2000), (1, 1, 1, 2000, 2000)), ones(1, 1, 9, 9, 9)),
        lambda: cyconv.uniform_filter(zeros((1000, 2000, 2000), (1, 2000, 2000)), (9, 1, 1)),
        lambda: cyconv.linear(zeros((10**6, 1000), (1000, 1000)), ones(1000, 1000)),
        lambda: cyconv.unfold(zeros((1, 1, 20000, 20000), (1, 1, 2000, 2000)), 5),
    ],
)
def test_tasks_hold_little(make):
    assert max(most_held(make())) <= 1.5 * blocks.REGION


@pytest.mark.parametrize("whole", [False, True])
def test_bits_stay_where_parts_are_cut_further(monkeypatch, whole):
    monkeypatch.setattr(blocks, "LENGTHS", {1: 64, 2: 16, 3: 6})
    monkeypatch.setattr(blocks, "CHANNELS", 4)
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 9, 70, 90), np.float32), rng.standard_normal((3, 9, 5, 5), np.float32)
    chunked = da.from_array(x, chunks=-1 if whole else (1, 2, 70, 5))
    want = cyconv.conv2d(chunked, weight, padding=2, padding_mode="reflect", algorithm="fft")
    monkeypatch.setattr(blocks, "REGION", 1)
    chunked = da.from_array(x, chunks=(1, 2, 7, 9))
    found = cyconv.conv2d(chunked, weight, padding=2, padding_mode="reflect", algorithm="fft")
    assert found.npartitions > want.npartitions
    np.testing.assert_array_equal(found.compute(), want.compute())


def test_channels_by_themselves_stay_in_their_chunks():
    for function in (cyconv.conv2d, cyconv.conv_transpose2d):
        result = function(zeros((1, 256, 1024, 1024), (1, 1, 1024, 1024)), ones(256, 1, 3, 3), padding=1, groups=256)
        assert result.chunksize == (1, 1, 1024, 1024)


def test_wide_blocks_are_shorter():
    assert blocks.most_outputs(64, (4000, 4000), (1, 1)) == 512
    assert blocks.most_outputs(512, (4000, 4000), (1, 1)) == 256
    assert blocks.most_outputs(1, (20000, 20000), (50, 50)) == 128
    assert blocks.items_of(1000, (1,), (1,)) == blocks.SAMPLES // 1000


def test_empty_chunks_hold_no_piece():
    chunks = [np.arange(0, 4), np.arange(0), np.arange(4, 9), np.arange(0)]
    for low, high in ((-3, 9), (0, 12), (3, 5)):
        found = blocks.pieces(blocks.Reads(low, high), (0, 4, 4, 9, 9), "reflect")
        assert {chunk for chunk, _, _ in found} == {0, 2}
        np.testing.assert_array_equal(np.concatenate([chunks[chunk][take] for chunk, take, _ in found]), np.pad(np.arange(9), 4, "reflect")[low + 4 : high + 4])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: cyconv.conv2d(x, ones(2, 3, 3, 3), padding=1, padding_mode="circular"),
        lambda x: cyconv.conv_transpose2d(x, ones(3, 2, 3, 3), stride=2),
        lambda x: cyconv.max_pool2d(x, 2),
        lambda x: cyconv.maximum_filter(x, 3, mode="mirror"),
        lambda x: cyconv.unfold(x, 3),
    ],
)
def test_chunks_may_be_empty(function):
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 30, 33)).astype(np.float32)
    chunked = da.from_array(x, chunks=((0, 2, 0), (3, 0), (0, 10, 0, 0, 20), (33, 0)))
    np.testing.assert_array_equal(function(chunked).compute(), function(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: cyconv.conv2d(x, ones(2, 3, 3, 3)),
        lambda x: cyconv.conv_transpose2d(x, ones(3, 2, 3, 3)),
        lambda x: cyconv.avg_pool2d(x, 2),
        lambda x: cyconv.uniform_filter(x, 3),
        lambda x: cyconv.unfold(x, 3),
    ],
)
def test_no_mask_is_lost(function):
    masked = da.ma.masked_greater(da.from_array(np.zeros((2, 3, 30, 33), np.float32), chunks=15), 0.5)
    with pytest.raises(TypeError, match="input is a masked array, whose mask would be lost"):
        function(masked)

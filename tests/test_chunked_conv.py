"""Convolutions of dask arrays: the bits of a result do not depend on the chunks, and nothing is computed before somebody asks for it."""

import pickle
from itertools import product

import numpy as np
import pytest
from chunkings import random_chunks, same, small_blocks

import cyconv
from cyconv.chunked import blocks, graph
from cyconv.select import ALGORITHMS

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

MODES = ("zeros", "reflect", "replicate", "circular")
PADDERS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
ERRORS = {"float64": 1e-12, "float32": 2e-4, "complex64": 2e-4, "float16": 4e-3}


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    with dask.config.set(scheduler="synchronous"):
        yield


def arguments_of(rng, transposed, dtype=None):
    """(rank, input, weight, bias, keywords) of a convolution at random."""
    rank = int(rng.choice([1, 2, 2, 3]))
    groups, inputs, outputs = int(rng.choice([1, 1, 1, 2, 5])), int(rng.choice([1, 3, 5, 9])), int(rng.choice([1, 3]))
    longest = {1: 150, 2: 30, 3: 9}[rank] if transposed else {1: 300, 2: 50, 3: 15}[rank]
    size = rng.integers(3, longest, rank)
    kernel, stride, dilation = rng.integers(1, 6, rank), rng.integers(1, 4, rank), rng.integers(1, 3, rank)
    batch = [(), (1,), (3,), (7,), (0,)][rng.integers(5)]
    dtype = dtype or rng.choice(["float32", "float32", "float64", "float16", "int32", "complex64"])
    x, w = rng.standard_normal((*batch, groups * inputs, *size)), rng.standard_normal((groups * inputs, outputs, *kernel))
    if not transposed:
        w = rng.standard_normal((groups * outputs, inputs, *kernel))
    x, w = (each * 5 if dtype == "int32" else each for each in (x, w))
    x, w = x.astype(dtype), w.astype(dtype)
    bias = rng.integers(-5, 6, groups * outputs).astype(dtype) if rng.random() < 0.5 else None
    keywords = {"stride": tuple(stride), "dilation": tuple(dilation), "groups": groups, "padding": tuple((int(b), int(a)) for b, a in rng.integers(0, 3, (rank, 2)))}
    if transposed:
        keywords["output_padding"] = tuple(rng.integers(0, np.maximum(stride, dilation)))
    else:
        keywords["padding_mode"] = MODES[rng.integers(4)]
    return rank, x, w, bias, keywords


def check(function, x, w, bias, keywords, rng, chunkings=2):
    """Compares chunked calls with one on the whole, and among themselves; False if that call is not allowed."""
    try:
        whole = function(x, w, bias, **keywords)
    except ValueError:
        return False
    alone = function(da.from_array(x, chunks=-1), w, bias, **keywords)
    assert (alone.shape, alone.dtype) == (whole.shape, whole.dtype)
    first = alone.compute()
    assert (first.shape, first.dtype) == (whole.shape, whole.dtype)
    if whole.dtype.kind == "i":
        assert same(first, whole)
    elif whole.size:
        most = np.abs(whole).max() + 1e-9
        assert np.abs(first.astype(complex) - whole.astype(complex)).max() <= ERRORS[whole.dtype.name] * most
    for _ in range(chunkings):
        chunked = function(da.from_array(x, chunks=random_chunks(rng, x.shape)), w, bias, **keywords)
        assert tuple(map(sum, chunked.chunks)) == whole.shape
        assert same(chunked.compute(), first)
    return True


@pytest.mark.parametrize("name, seed", [*product(["conv"], range(4)), *product(["conv_transpose"], range(2))])
def test_no_result_depends_on_chunks(name, seed):
    rng = np.random.default_rng(seed)
    done = 0
    for _ in range(40):
        rank, *arguments = arguments_of(rng, transposed=name == "conv_transpose")
        done += check(getattr(cyconv, f"{name}{rank}d"), *arguments, rng)
    assert done > 20


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(algorithm):
    if algorithm == "cudnn":
        pytest.skip("runs on a GPU alone")
    rng = np.random.default_rng(5)
    done = 0
    for channels, dtype, mode in product((1, 6), ("float32", "float64"), MODES):
        one = algorithm == "channel_lanes"
        size = (31, 33) if algorithm == "dots" else (43, 50)
        x = rng.standard_normal((2, channels, *size)).astype(dtype)
        w = rng.standard_normal((channels if one else 4, 1 if one else channels, 3, 3)).astype(dtype)
        if algorithm == "separable":
            w[...] = np.outer([1, 2, 1], [1, 4, 2])
        keywords = {"padding": 1, "padding_mode": mode, "algorithm": algorithm, "groups": channels if one else 1}
        done += check(cyconv.conv2d, x, w, None, keywords, rng)
    assert done


@pytest.mark.parametrize("mode", MODES)
def test_padding_acts_on_the_border_of_the_whole(mode):
    """Of small integers, which are exact: the sum is what NumPy's padding of the whole gives."""
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 10, (1, 1, 40, 33))
    w = rng.integers(-9, 10, (1, 1, 5, 3))
    padded = np.pad(x, [(0, 0), (0, 0), (7, 6), (8, 9)], mode=PADDERS[mode])
    chunked = cyconv.conv2d(da.from_array(x, chunks=(1, 1, 9, 9)), w, padding=((7, 6), (8, 9)), padding_mode=mode)
    assert same(chunked.compute(), cyconv.conv2d(padded, w))


def test_channels_in_chunks_are_added_up():
    rng = np.random.default_rng(2)
    x, w = rng.integers(-3, 4, (2, 13, 30, 30)).astype(np.float32), rng.integers(-3, 4, (5, 13, 3, 3)).astype(np.float32)
    chunked = cyconv.conv2d(da.from_array(x, chunks=(1, 3, 16, 16)), w, np.ones(5, np.float32))
    assert same(chunked.compute(), cyconv.conv2d(x, w, np.ones(5, np.float32)))
    assert any("sum" in str(key) for key in dict(chunked.dask))


def test_half_precision_of_channels_in_chunks_is_rounded_once():
    x, w = np.full((1, 8, 20), 1, np.float16), np.full((1, 8, 1), 1, np.float16)
    x[:, 0], x[:, 5] = 2048, 0.5
    chunked = cyconv.conv1d(da.from_array(x, chunks=(1, 2, 20)), w)
    assert same(chunked.compute(), cyconv.conv1d(x, w))


def test_nothing_is_computed_before_it_is_asked_for():
    def never(*_):
        raise AssertionError("computed")

    x = da.from_array(np.ones((1, 1, 40, 40)), chunks=20).map_blocks(never, dtype=np.float64, meta=np.empty((0,) * 4))
    w = da.from_array(np.ones((1, 1, 3, 3)), chunks=1)
    assert cyconv.conv2d(x, w).shape == (1, 1, 38, 38)
    assert cyconv.conv_transpose2d(x, w).shape == (1, 1, 42, 42)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_weight_and_bias_may_be_chunked(name):
    rng = np.random.default_rng(3)
    x, w, b = rng.standard_normal((1, 3, 40, 40)), rng.standard_normal((3, 3, 3, 3)), rng.standard_normal(3)
    function = getattr(cyconv, name)
    expected = function(da.from_array(x, chunks=11), w, b).compute()
    assert same(function(da.from_array(x, chunks=11), da.from_array(w, chunks=2), da.from_array(b, chunks=1)).compute(), expected)
    assert same(function(x, da.from_array(w, chunks=2), b).compute(), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kernel", [3, 13])
def test_what_is_not_finite_stays_in_its_windows(value, kernel):
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((1, 2, 60, 60)).astype(np.float32), rng.standard_normal((8, 2, kernel, kernel)).astype(np.float32)
    x[0, 1, 20, 31] = value
    expected = np.isfinite(cyconv.conv2d(x, w, padding="same", algorithm="direct"))
    results = [cyconv.conv2d(da.from_array(x, chunks=chunks), w, padding="same").compute() for chunks in (-1, 17, (1, 1, 33, 60))]
    assert np.array_equal(np.isfinite(results[0]), expected)
    assert same(results[0], results[1]) and same(results[0], results[2])


def test_threads_of_dask_and_of_this_library(monkeypatch):
    """Tasks that run at once share the threads, and their results are the same."""
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((1, 3, 90, 90)).astype(np.float32), rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    lazy = cyconv.conv2d(da.from_array(x, chunks=20), w)
    counts = []
    run = graph.Part.computed

    def recorded(self, *arguments):
        counts.append(cyconv.get_num_threads())
        return run(self, *arguments)

    monkeypatch.setattr(graph.Part, "computed", recorded)
    with cyconv.threads(3):
        assert same(lazy.compute(), lazy.compute(scheduler="threads", num_workers=4))
    assert set(counts[: lazy.npartitions]) == {3}
    counts.clear()
    before = cyconv.get_num_threads()
    try:
        cyconv.set_num_threads(8)
        with dask.config.set(num_workers=4):
            lazy.compute(scheduler="threads")
    finally:
        cyconv.set_num_threads(before)
    assert set(counts) == {2}


def test_tasks_travel():
    """All tasks can be pickled, and the weights are held once."""
    x, w = np.ones((1, 3, 90, 90)), np.ones((100, 3, 3, 3))
    lazy = cyconv.conv2d(da.from_array(x, chunks=20), w)
    tasks = [task for key, task in dict(lazy.dask).items() if not str(key).startswith("('array")]
    assert sum(len(pickle.dumps(task)) > w.nbytes for task in tasks) == 1


def test_equal_calls_have_equal_names():
    x, w = da.ones((1, 1, 50, 50), chunks=20), np.ones((1, 1, 3, 3))
    first = cyconv.conv2d(x, w)
    first.compute()
    assert cyconv.conv2d(x, w).name == first.name
    assert cyconv.conv2d(x, 2 * w).name != first.name and cyconv.conv2d(x, w, padding=1).name != first.name


@pytest.mark.parametrize(
    "arguments, keywords, error",
    [
        ((np.ones((1, 2, 3, 3)),), {}, ValueError),
        ((np.ones((1, 1, 3, 3), np.float32),), {}, TypeError),
        ((np.ones((1, 1, 3, 3)),), {"stride": 0}, ValueError),
        ((np.ones((1, 1, 3, 3)),), {"padding": 60, "padding_mode": "reflect"}, ValueError),
        ((np.ones((1, 1, 3, 3)),), {"algorithm": "winograd", "stride": 2}, ValueError),
        ((np.ones((1, 1, 3, 3)),), {"algorithm": "fastest"}, ValueError),
        ((np.ones((1, 1, 3, 3)),), {"max_workspace": 0, "algorithm": "fft"}, ValueError),
    ],
)
def test_bad_arguments_are_told_at_once_as_for_numpy(arguments, keywords, error):
    x = np.ones((1, 1, 50, 50))
    with pytest.raises(error) as plain:
        cyconv.conv2d(x, *arguments, **keywords)
    with pytest.raises(error) as chunked:
        cyconv.conv2d(da.from_array(x, chunks=20), *arguments, **keywords)
    assert str(chunked.value)[:20] == str(plain.value)[:20]


def test_what_dask_arrays_cannot_have():
    x, w = da.ones((1, 1, 50, 50), chunks=20), np.ones((1, 1, 3, 3))
    with pytest.raises(TypeError, match="out must be None"):
        cyconv.conv2d(x, w, out=np.empty((1, 1, 48, 48)))
    with pytest.raises(TypeError, match="dask"):
        cyconv.plan_conv((1, 1, 50, 50), w)(x)
    for call in (lambda: cyconv.grad.conv2d_input((1, 1, 50, 50), w, x[..., 1:-1, 1:-1]), lambda: cyconv.nn.Conv2d(1, 2, 3)(x), lambda: cyconv.signal.match_template(x, w)):
        with pytest.raises(TypeError, match=r"is a dask array.*compute\(\)"):
            call()
    unknown = x[:, :, x[0, 0, :, 0] > 0]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        cyconv.conv2d(unknown, w)


def test_chunks_of_cupys_arrays_go_to_the_gpu(stand_in):
    rng = np.random.default_rng(7)
    x, w = rng.integers(-3, 4, (2, 6, 40, 40)).astype(np.float32), rng.integers(-3, 4, (4, 6, 3, 3)).astype(np.float32)
    chunked = da.from_array(stand_in.asarray(x), chunks=(1, 3, 17, 40), asarray=False)
    for function in (cyconv.conv2d, cyconv.conv_transpose2d):
        weight = w if function is cyconv.conv2d else w.swapaxes(0, 1).copy()
        lazy = function(chunked, stand_in.asarray(weight), padding=1)
        assert isinstance(lazy._meta, stand_in.ndarray)
        expected, edges = function(x, weight, padding=1), [np.cumsum((0, *each)) for each in lazy.chunks]
        for index in np.ndindex(lazy.numblocks):
            result = lazy.blocks[index].compute()  # dask would not know how to join arrays of the stand-in
            assert isinstance(result, stand_in.ndarray)
            assert same(result.get(), expected[tuple(slice(*each[i : i + 2]) for each, i in zip(edges, index))])
        with pytest.raises(TypeError, match="CuPy"):
            function(chunked, weight)


# ---- arithmetic ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES[1:])
def test_pieces_make_up_a_padded_axis(mode):
    rng = np.random.default_rng(8)
    for _ in range(300):
        n = int(rng.integers(1, 18))
        x, most = np.arange(n), {"reflect": n - 1, "replicate": 9, "circular": n}[mode]
        edges = (0, *np.cumsum(random_chunks(rng, (n,))[0]).tolist())
        padded = np.pad(x, most, mode=PADDERS[mode])
        start = int(rng.integers(-most, n + most))
        stop = int(rng.integers(start + 1, n + most + 1))
        found = np.full(stop - start, -1)
        for chunk, take, place in blocks.pieces(blocks.Reads(start, stop), edges, mode):
            found[place] = x[edges[chunk] : edges[chunk + 1]][take]
        assert np.array_equal(found, padded[start + most : stop + most])


def test_windows_and_spreads_read_what_they_need():
    rng = np.random.default_rng(9)
    for _ in range(300):
        n, span, stride, before, after = (int(value) for value in rng.integers([1, 1, 1, 0, 0], [18, 7, 6, 9, 9]))
        outputs = (n + before + after - span) // stride + 1
        if outputs < 1:
            continue
        low = int(rng.integers(outputs))
        high = int(rng.integers(low + 1, outputs + 1))
        reads = blocks.Windows(n, span, stride, before, after).reads(low, high)
        samples = np.arange(1, n + 1)
        region = np.pad(samples[reads.start : reads.stop], (reads.before, reads.after))
        assert np.array_equal(region, np.pad(samples, (before, after))[low * stride : (high - 1) * stride + span])
        spread = blocks.Spread(n, span, stride, before).reads(low, high)
        reached = [i for i in range(n) if i * stride - before < high and i * stride - before + span > low]
        assert set(reached) <= set(range(spread.start, spread.stop)) and 0 <= spread.start < spread.stop <= n


@pytest.mark.parametrize("length, block", [(0, 4), (5, 4), (8, 4), (9, 4), (10, 4), (100, 16), (1, 1)])
def test_chunks_are_whole_blocks(length, block):
    grid = blocks.cuts(length, block)
    assert all(block // 2 <= high - low <= block + block // 2 for low, high in blocks.spans_of(grid)) or length < block
    for chunks in ((length,), (1,) * length, (length // 2, length - length // 2)):
        found = blocks.snapped(chunks or (0,), length, grid)
        assert set(found) <= set(grid) and found[0] == 0 and found[-1] == length


def test_blocks_are_longer_than_windows():
    """So that what neighbours share is not most of the work; and an axis that is hardly longer than one is one."""
    assert [blocks.block_length(10**6, 512, span) for span in (1, 256, 257, 700)] == [512, 512, 1024, 1536]
    assert [blocks.block_length(length, 512) for length in (100, 768, 769)] == [100, 768, 512]


def test_small_parts_of_chunks_do_not_keep_the_rest():
    chunk = np.ones((100, 100))
    assert graph.cut(chunk, (slice(3), slice(None))).base is None
    assert graph.cut(chunk, (slice(90), slice(None))).base is chunk

"""unfold and fold of dask arrays: NumPy's bits, whatever the chunks."""

import numpy as np
import pytest
from chunkings import brought, random_chunks, same, small_blocks

import cyconv

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    with dask.config.set({"scheduler": "synchronous", "optimization.fuse.active": False}):
        yield


def arguments_of(rng):
    """(image's shape, window) at random, and how many columns of how many rows these are."""
    rank = int(rng.choice([1, 2, 2, 3]))
    lead = (*[(), (1,), (3,), (0,)][rng.choice(4, p=[0.3, 0.3, 0.35, 0.05])], int(rng.integers(1, 4)))
    size = rng.integers(1, {1: 200, 2: 30, 3: 12}[rank], rank).tolist()
    kernel, dilation, padding, stride = (rng.integers(low, high, rank).tolist() for low, high in ((1, 5), (1, 4), (0, 4), (1, 6)))
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, kernel, dilation, padding, stride)]
    return (*lead, *size), (kernel, dilation, padding, stride), (*lead[:-1], lead[-1] * int(np.prod(kernel)), int(np.prod(counts)) if min(counts) > 0 else 0)


def check(function, x, *arguments, rng):
    whole = function(x, *arguments)
    for chunks in (-1, random_chunks(rng, x.shape), random_chunks(rng, x.shape)):
        lazy = function(da.from_array(x, chunks=chunks), *arguments)
        assert lazy.shape == tuple(map(sum, lazy.chunks)) == whole.shape and lazy.dtype == lazy._meta.dtype == whole.dtype
        assert same(lazy.compute(), whole), (x.shape, x.dtype, chunks, arguments)


def test_no_result_depends_on_chunks(seed=0, count=60):
    rng = np.random.default_rng(seed)
    done = 0
    for _ in range(count):
        shape, window, of_columns = arguments_of(rng)
        if of_columns[-1]:
            done += 1
            dtype = rng.choice(["float32", "float64", "float16", "int8", "complex64", "uint64"])
            x, columns = ((10 * rng.standard_normal(each)).astype("int64" if dtype == "uint64" else dtype).astype(dtype) for each in (shape, of_columns))
            check(cyconv.unfold, x, *window, rng=rng)
            check(cyconv.fold, columns, shape[-len(window[0]) :], *window, rng=rng)
    assert done > count // 3


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise RuntimeError("somebody computes")

    x = da.ones((2, 12, 30, 20), chunks=(1, 5, 7, 9)).map_blocks(never, dtype=float, meta=np.empty((0,) * 4))
    for lazy in (cyconv.unfold(x, 3, padding=1), cyconv.fold(x.reshape(2, 12, 600), (31, 21), 2)):
        assert isinstance(lazy, da.Array)
        with pytest.raises(RuntimeError, match="somebody computes"):
            lazy.compute()


WRONG = (
    ("unfold", (50,)), ("unfold", (3, 0)), ("unfold", (3, 1, -1)), ("unfold", ((1, 2, 3, 4),)), ("fold", ((40, 5), 4)), ("fold", ((16, 31), 2)), ("fold", (16, "2")),
)  # fmt: skip


@pytest.mark.parametrize("name, arguments", WRONG)
def test_errors_are_those_of_numpys_arrays(name, arguments):
    x, function = np.zeros((2, 3, 40, 30)[: 4 if name == "unfold" else 3], np.float32), getattr(cyconv, name)
    with pytest.raises((ValueError, TypeError)) as expected:
        function(x, *arguments)
    with pytest.raises(expected.type) as found:
        function(da.from_array(x, chunks=17), *arguments)
    assert str(found.value) == str(expected.value)


def test_no_out_and_no_unknown_chunks():
    x = da.ones((2, 12, 225), chunks=(1, 5, 7))
    with pytest.raises(TypeError, match="out must be None for dask arrays"):
        cyconv.fold(x, 16, 2, out=np.empty((2, 3, 16, 16)))
    with pytest.raises(TypeError, match="out must be None for dask arrays"):
        cyconv.unfold(x, 2, out=x)
    unknown = x[x[:, 0, 0] > 0]
    for call in (lambda: cyconv.fold(unknown, 16, 2), lambda: cyconv.unfold(unknown, 2)):
        with pytest.raises(ValueError, match="input is a dask array with chunks of unknown size"):
            call()


def test_chunks_are_whole_rows_of_windows():
    x = da.zeros((2, 6, 40, 30), chunks=((1, 1), (2, 4), (10, 30), (7, 23)), dtype=np.float32)
    columns = cyconv.unfold(x, 3, padding=1)
    assert columns.chunks == ((1, 1), (18, 36), (300, 900))
    assert cyconv.fold(columns, (40, 30), 3, padding=1).chunks == ((1, 1), (2, 4), (12, 28), (30,))


def test_a_task_reads_no_chunk_that_it_does_not_need():
    def first(block, block_info):
        assert block_info[0]["chunk-location"][2] == 0
        return block

    x = da.ones((1, 1, 120, 20), chunks=(1, 1, (63, 57), 20)).map_blocks(first, dtype=float, meta=np.empty((0,) * 4))
    columns = da.ones((1, 9, 40 * 7), chunks=(1, 9, 140)).map_blocks(first, dtype=float, meta=np.empty((0,) * 3))
    for lazy in (cyconv.unfold(x, 3, stride=3, padding=(0, 1)), cyconv.fold(columns, (120, 19), 3, padding=(0, 1), stride=3)):
        assert lazy.numblocks[2] == 2
        lazy.blocks[:, :, 0].compute()
        with pytest.raises(AssertionError):
            lazy.compute()


def test_chunks_of_cupys_arrays_go_to_the_gpu(stand_in):
    rng = np.random.default_rng(2)
    x, columns = rng.integers(-9, 10, (2, 3, 30, 17)).astype(np.float32), rng.integers(-9, 10, (2, 12, 13 * 8)).astype(np.float32)
    apart = rng.integers(-9, 10, (2, 12, 8 * 4)).astype(np.float32)  # windows with samples between them that are in none
    calls = [(cyconv.unfold, x, ((3, 2), 2, (3, 0), 2)), (cyconv.fold, columns, ((30, 17), (3, 4), 2, (0, 2), 2)), (cyconv.fold, apart, ((62, 17), (2, 3), 1, 0, (8, 4)))]
    for function, array, arguments in calls:
        whole = function(array, *arguments)
        lazy = function(da.from_array(stand_in.asarray(array), chunks=(1, 5, *array.shape[2:-1], 7), asarray=False), *arguments)
        assert same(brought(lazy, stand_in), whole)

"""Pools of dask arrays: what they are of NumPy's, whatever the chunks."""

import numpy as np
import pytest
from chunkings import brought, close, random_chunks, same, small_blocks

import cyconv
from cyconv.chunked import arrays, blocks, pooling

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

KINDS = ("max", "min", "avg", "lp", "adaptive_max", "adaptive_avg")


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(pooling, "WORTH", 30)
    monkeypatch.setattr(arrays, "MOST", 300)
    with dask.config.set({"scheduler": "synchronous", "optimization.fuse.active": False}):
        yield


def array_of(rng, shape, dtype):
    """Numbers, and in many arrays of floats some that are none."""
    x = rng.integers(-9, 10, shape) if np.dtype(dtype).kind in "iub" else 3 * rng.standard_normal(shape)
    if dtype == "bool":
        return x > 6
    x = x.astype(dtype)
    if x.dtype.kind == "f" and rng.random() < 0.5:
        x[rng.random(shape) < 0.03] = rng.choice([np.nan, -np.inf, np.inf, -0.0])
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1) if rng.random() < 0.3 else x  # channels, or rows, last in memory


def arguments_of(rng, kind):
    """(function, input, arguments, keywords) of a pool at random."""
    rank = int(rng.choice([1, 2, 2, 3]))
    shape = (*[(), (1,), (2,), (0,)][rng.choice(4, p=[0.3, 0.3, 0.35, 0.05])], int(rng.integers(1, 4)), *rng.integers(2, {1: 200, 2: 34, 3: 12}[rank], rank).tolist())
    dtypes = ["float32", "float64", "float16", "int8", "uint8", "int32", "uint64"]
    dtypes += ["bool"] * 3 if "max" in kind or kind == "min" else ["complex64"] if "avg" in kind else []
    x = array_of(rng, shape, rng.choice(dtypes))
    size, kernel, stride = shape[-rank:], rng.integers(1, 6, rank).tolist(), rng.integers(1, 5, rank).tolist()
    keywords = {}
    if kind.startswith("adaptive"):
        arguments = (tuple(None if rng.random() < 0.1 else int(rng.integers(rng.random() > 0.1 or axis == rank - 1, n + 3)) for axis, n in enumerate(size)),)
    elif kind == "lp":
        arguments = (float(rng.choice([1, 2, 2.5, np.inf, -np.inf])), kernel, None if rng.random() < 0.2 else stride)
    else:
        arguments = (kernel, None if rng.random() < 0.2 else stride)
        if rng.random() < 0.2:
            keywords["padding"] = str(rng.choice(["valid", "same_upper"]))
        else:
            keywords["padding"] = tuple((int(rng.integers(0, k // 2 + 1)), int(rng.integers(0, k // 2 + 1))) for k in kernel)
    if not kind.startswith("adaptive"):
        keywords["ceil_mode"] = bool(rng.integers(2))
    if kind in ("max", "min"):
        keywords["dilation"] = rng.integers(1, 4, rank).tolist()
    if kind == "avg":
        keywords["count_include_pad"] = bool(rng.integers(2))
        keywords.update({} if rank == 1 else {"divisor_override": [None, None, 7][rng.integers(3)]})
    if "max" in kind or kind == "min":
        keywords["return_indices"] = bool(rng.integers(2))
    return getattr(cyconv, f"{kind}_pool{rank}d"), x, arguments, keywords


@pytest.mark.parametrize("kind", KINDS)
def test_no_result_depends_on_chunks(kind, seed=0, count=25):
    rng = np.random.default_rng([KINDS.index(kind), seed])
    done = 0
    for _ in range(count):
        function, x, arguments, keywords = arguments_of(rng, kind)
        try:
            with np.errstate(all="ignore"):
                whole = function(x, *arguments, **keywords)
        except ValueError:
            continue
        done += 1
        whole = whole if type(whole) is tuple else (whole,)
        first = None
        for chunks in (-1, random_chunks(rng, x.shape), random_chunks(rng, x.shape)):
            lazy = function(da.from_array(x, chunks=chunks), *arguments, **keywords)
            lazy = lazy if type(lazy) is tuple else (lazy,)
            assert [each.shape for each in lazy] == [tuple(map(sum, each.chunks)) for each in lazy] == [each.shape for each in whole]
            assert [each.dtype for each in lazy] == [each._meta.dtype for each in lazy] == [each.dtype for each in whole]
            results = dask.compute(*lazy)
            first = first or results
            assert all(map(same, results, first)), (x.shape, x.dtype, chunks, arguments, keywords)
        assert all(map(same if kind in ("max", "min", "adaptive_max") else close, results, whole)), (x.shape, x.dtype, arguments, keywords)
    assert done > count // 2


# ---- max unpooling ---------------------------------------------------------------------------------------------------------------


def test_no_unpooling_depends_on_chunks(seed=0, count=30):
    """Of values whose indices are anywhere, some of them twice."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rank = int(rng.choice([1, 2, 3]))
        shape = (*[(), (3,), (0,)][rng.choice(3, p=[0.45, 0.5, 0.05])], int(rng.integers(1, 6)), *rng.integers(1, {1: 40, 2: 9, 3: 5}[rank], rank).tolist())
        x = array_of(rng, shape, rng.choice(["float32", "float16", "int8", "bool", "complex64"]))
        plane = int(np.prod([2 * n for n in shape[-rank:]]))
        indices = rng.integers(0, plane, shape).astype(rng.choice(["int64", "uint8" if plane < 256 else "int32"]))
        function = getattr(cyconv, f"max_unpool{rank}d")
        whole = function(x, indices, 2)
        for _ in range(3):
            given = [da.from_array(each, chunks=random_chunks(rng, shape)) for each in (x, indices)]
            keep = rng.integers(3)
            if keep < 2:
                given[keep] = (x, indices)[keep]
            lazy = function(*given, 2)
            assert lazy.shape == tuple(map(sum, lazy.chunks)) == whole.shape and lazy.dtype == lazy._meta.dtype == whole.dtype
            assert same(lazy.compute(), whole)


def test_an_impossible_index_is_found_when_it_is_computed():
    x = da.ones((2, 3, 4, 4), chunks=(1, 1, 2, 2))
    for bad in (-1, 64):
        indices = np.zeros(x.shape, np.int64)
        indices[1, 2, 3, 3] = bad
        lazy = cyconv.max_unpool2d(x, da.from_array(indices, chunks=(2, 2, 1, 4)), 2)
        lazy[0].compute()
        with pytest.raises(ValueError, match=f"indices must be at least 0 and below 64, the size of one plane of the result; got {bad}"):
            lazy.compute()


# ---- what a call does, and does not do ---------------------------------------------------------------------------------------------


def never(block):
    raise RuntimeError("somebody computes")


CALLS = (
    ("max_pool2d", (3,)), ("max_pool2d", (3, 2, 1, 2, True, True)), ("min_pool2d", (2,)), ("avg_pool2d", (3, 1)), ("lp_pool2d", (2, 3)),
    ("adaptive_max_pool2d", (5, True)), ("adaptive_avg_pool2d", ((1, None),)), ("max_unpool2d", (2,)),
)  # fmt: skip


@pytest.mark.parametrize("name, arguments", CALLS)
@pytest.mark.parametrize("dtype", ("float32", "int8"))
def test_nothing_is_computed_before_it_is_asked_for(name, arguments, dtype):
    x = da.ones((2, 3, 60, 50), chunks=(1, 2, 20, 21), dtype=dtype).map_blocks(never, dtype=dtype, meta=np.empty((0,) * 4, dtype))
    if name == "max_unpool2d":
        arguments = (x.astype(np.int64), *arguments)
    results = getattr(cyconv, name)(x, *arguments)
    for result in results if type(results) is tuple else (results,):
        assert isinstance(result, da.Array)
        with pytest.raises(RuntimeError, match="somebody computes"):
            result.compute()


WRONG = (
    ("max_pool2d", (7, 1, 4), {}), ("max_pool2d", (90,), {}), ("max_pool2d", ("3",), {}), ("max_pool2d", (3,), {"algorithm": "fast"}), ("max_pool2d", (3,), {"algorithm": 3}),
    ("max_pool1d", (3,), {}), ("min_pool2d", (3,), {"algorithm": "pool"}), ("avg_pool2d", (3,), {"divisor_override": 0}), ("avg_pool1d", (3, -1), {}),
    ("lp_pool2d", (0, 3), {}), ("lp_pool2d", (2, 3), {"ceil_mode": 1}), ("adaptive_avg_pool2d", (-1,), {}), ("adaptive_avg_pool2d", (7,), {"algorithm": "sliding"}),
    ("max_unpool2d", (np.ones((2, 3, 40, 3), int), 2), {}), ("max_unpool2d", (np.ones((2, 3, 40, 30)), 2), {}), ("max_unpool2d", (np.ones((2, 3, 40, 30), int), 0), {}),
)  # fmt: skip


@pytest.mark.parametrize("name, arguments, keywords", WRONG)
def test_errors_are_those_of_numpys_arrays(name, arguments, keywords):
    x = np.zeros((2, 3, 40, 30), np.float32)
    with pytest.raises((ValueError, TypeError)) as expected:
        getattr(cyconv, name)(x, *arguments, **keywords)
    with pytest.raises(expected.type) as found:
        getattr(cyconv, name)(da.from_array(x, chunks=(1, 3, 17, 30)), *arguments, **keywords)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("name, arguments", CALLS)
def test_no_out_and_no_unknown_chunks(name, arguments):
    function, x = getattr(cyconv, name), da.ones((2, 3, 20, 20), chunks=(1, 3, 9, 20), dtype=np.float32)
    more = (x.astype(int), *arguments) if name == "max_unpool2d" else arguments
    for out in (np.empty((2, 3, 20, 20), np.float32), x):
        with pytest.raises(TypeError, match="out must be None for dask arrays"):
            function(x, *more, out=out)
    unknown = x[x[:, 0, 0, 0] > 0]
    more = (unknown.astype(int), *arguments) if name == "max_unpool2d" else arguments
    with pytest.raises(ValueError, match="input is a dask array with chunks of unknown size"):
        function(unknown, *more)
    if name == "max_unpool2d":
        with pytest.raises(ValueError, match="indices is a dask array with chunks of unknown size"):
            function(x, *more)


def test_a_task_reads_no_chunk_that_it_does_not_need():
    def first(block, block_info):
        assert block_info[0]["chunk-location"][2] == 0
        return block

    x = da.ones((1, 1, 120, 60), chunks=(1, 1, 60, 60)).map_blocks(first, dtype=float, meta=np.empty((0,) * 4))
    for lazy in (cyconv.max_pool2d(x, 3), cyconv.avg_pool2d(x, 3), cyconv.adaptive_avg_pool2d(x, 2)):
        assert lazy.numblocks[2] == 2
        lazy.blocks[:, :, 0].compute()
        with pytest.raises(AssertionError):
            lazy.compute()


def test_planes_are_spread_over_tasks_where_each_is_read_whole(monkeypatch):
    x = da.zeros((1, 64, 40, 40), chunks=(1, 64, 10, 10), dtype=np.int16)
    assert cyconv.adaptive_max_pool2d(x, 1).chunks[:2] == ((1,), (4,) * 16)  # as many samples as in a chunk
    assert cyconv.max_unpool2d(x, x, 1).chunks[:2] == ((1,), (4,) * 16)
    batch = da.zeros((5, 6, 40, 40), chunks=(5, 2, 40, 10), dtype=np.int16)
    assert cyconv.adaptive_max_pool2d(batch, 1).chunks[:2] == ((1,) * 5, (2, 2, 2))
    monkeypatch.setattr(arrays, "MOST", 32 * 1600)
    assert cyconv.adaptive_max_pool2d(x, 1).chunks[:2] == ((1,), (32, 32))


def test_chunks_of_many_planes_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(blocks, "OUTPUTS", 10**9)
    x = da.zeros((5, 7, 300, 64), chunks=((2, 3), (3, 4), (100, 200), 64), dtype=np.int16)
    assert cyconv.max_pool2d(x, 2).chunks == ((2, 3), (3, 4), (48, 102), (32,))
    assert cyconv.max_pool2d(x, 3, 1, 1).chunks == ((2, 3), (3, 4), (96, 204), (64,))
    assert cyconv.avg_pool2d(x.astype(float), 2).chunks[:2] == ((5,), (7,))  # whose bits might depend on it


def test_planes_of_a_block():
    assert [blocks.lead_lengths((10, 3), most) for most in (0, 2, 7, 99)] == [(1, 1), (1, 2), (2, 3), (10, 3)]


@pytest.mark.parametrize("algorithm", ("sliding", "reference"))
def test_places_in_a_volume_that_is_cut_along_all_axes(algorithm):
    x = np.random.default_rng(6).integers(0, 99, (1, 2, 17, 19, 23))
    lazy = cyconv.max_pool3d(da.from_array(x, chunks=(1, 1, 9, 5, 11)), 2, 1, return_indices=True, algorithm=algorithm)
    assert min(map(len, lazy[1].chunks[2:])) > 1
    assert all(map(same, dask.compute(*lazy), cyconv.max_pool3d(x, 2, 1, return_indices=True)))


def test_sums_do_not_depend_on_how_chunks_lie_in_memory():
    x = np.random.default_rng(0).standard_normal((2, 3, 50, 60))
    results = []
    for array in (x, np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)):
        for chunks in (-1, (1, 3, 9, 9), (2, 1, -1, 10)):
            results.append(cyconv.adaptive_avg_pool2d(da.from_array(array, chunks=chunks), 5).compute())
    assert all(same(each, results[0]) for each in results)


def test_small_windows_that_differ_in_size_are_cut_along_one_axis():
    """Along the other one, each would be a call of its own."""
    x = np.random.default_rng(7).integers(0, 99, (1, 1, 41, 43))
    lazy = cyconv.adaptive_max_pool2d(da.from_array(x, chunks=10), (23, 29))
    assert len(lazy.chunks[2]) > 2 and lazy.chunks[3] == (29,)
    assert same(lazy.compute(), cyconv.adaptive_max_pool2d(x, (23, 29)))


@pytest.mark.parametrize("algorithm", ("sliding", "pool", "reference"))
def test_algorithms_by_name(algorithm, monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 50, 40)).astype(np.float32)
    monkeypatch.setattr(pooling, "choose_among", lambda problem, name, device, choose=pooling.choose_among: names.append((name, choose(problem, name, device))) or names[-1][1])
    names = []
    whole = cyconv.avg_pool2d(x, 3, 2, 1, algorithm=algorithm)
    assert close(cyconv.avg_pool2d(da.from_array(x, chunks=(1, 2, 30, 17)), 3, 2, 1, algorithm=algorithm).compute(), whole)
    assert set(names) == {(algorithm, algorithm)}


def test_all_blocks_are_computed_by_one_algorithm(monkeypatch):
    names = []
    pooled = pooling._calls.pooled
    monkeypatch.setattr(pooling, "_calls", type("Calls", (), {"pooled": lambda problem, input, algorithm, out: names.append(algorithm) or pooled(problem, input, algorithm, out)}))
    cyconv.avg_pool2d(da.ones((2, 3, 50, 41), chunks=(1, 3, 9, 9), dtype=np.float32), 5, 3).compute()
    assert len(names) > 4 and set(names) < {"sliding", "pool", "reference"} and len(set(names)) == 1


def test_norms_of_integers_and_bytes_in_another_order():
    x = np.arange(2 * 40 * 30).reshape(2, 40, 30)
    assert same(cyconv.lp_pool2d(da.from_array(x, chunks=(1, 11, 30)), 1, 2).compute(), cyconv.lp_pool2d(x, 1, 2))
    swapped = x.astype(np.dtype("f4").newbyteorder())
    chunked = da.from_array(swapped, chunks=(1, 11, 30))
    assert same(cyconv.max_pool2d(chunked, 2).compute(), cyconv.max_pool2d(swapped, 2))
    assert same(cyconv.avg_pool2d(chunked, 2).compute(), cyconv.avg_pool2d(swapped, 2))


def test_tasks_in_many_threads():
    x = np.random.default_rng(4).standard_normal((3, 5, 60, 60)).astype(np.float32)
    chunked = da.from_array(x, chunks=(1, 2, 20, 25))
    with dask.config.set(scheduler="threads", num_workers=4):
        for _ in range(3):
            values, indices = dask.compute(*cyconv.max_pool2d(chunked, 3, 2, 1, return_indices=True))
            average = cyconv.avg_pool2d(chunked, 3, 2, 1).compute()
    expected = cyconv.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert same(values, expected[0]) and same(indices, expected[1])
    assert close(average, cyconv.avg_pool2d(x, 3, 2, 1))


def test_chunks_of_cupys_arrays_go_to_the_gpu(stand_in):
    x = np.random.default_rng(5).integers(-9, 10, (2, 3, 40, 37)).astype(np.float32)
    chunked = da.from_array(stand_in.asarray(x), chunks=(1, 2, 17, 37), asarray=False)
    for name, arguments in CALLS[:-1]:
        x_, chunked_ = (abs(x), abs(chunked)) if name == "lp_pool2d" else (x, chunked)
        whole, results = getattr(cyconv, name)(x_, *arguments), getattr(cyconv, name)(chunked_, *arguments)
        for each, lazy in zip(whole if type(whole) is tuple else (whole,), results if type(results) is tuple else (results,)):
            assert close(brought(lazy, stand_in), each)
    values, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    given = [da.from_array(stand_in.asarray(each), chunks=(1, 2, 20, 18), asarray=False) for each in (values, indices)]
    assert same(brought(cyconv.max_unpool2d(*given, 2, output_size=(40, 37)), stand_in), cyconv.max_unpool2d(values, indices, 2, output_size=(40, 37)))
    with pytest.raises(TypeError, match="CuPy"):
        cyconv.max_unpool2d(given[0], indices, 2)

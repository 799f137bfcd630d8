"""Sliding filters of dask arrays: what they are of NumPy's, whatever the chunks."""

import numpy as np
import pytest
from chunkings import brought, close, random_chunks, same, small_blocks

import cyconv
from cyconv.chunked import filters

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
SHAPES = ((300,), (70,), (40, 50), (5, 60), (3, 2, 70), (20, 3, 22), (14, 25, 18), (5, 3, 6, 40), (2, 20, 3, 2, 18), ())


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(filters, "MANY", 5)
    with dask.config.set({"scheduler": "synchronous", "optimization.fuse.active": False}):
        yield


def arguments_of(rng, average):
    """(input, keywords) of a filter at random."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    shape = tuple(0 if rng.random() < 0.01 else n + int(rng.integers(0, 5)) for n in shape)
    dtype = rng.choice(["float32", "float64", "int8", "uint16", "int64", "complex64" if average else "bool"])
    x = rng.integers(0 if dtype == "uint16" else -90, 100, shape)
    x = x > 70 if dtype == "bool" else x.astype(dtype)
    if x.dtype.kind == "f" and rng.random() < 0.5:
        x = np.asarray(x + rng.standard_normal(shape), dtype)
        x[rng.random(shape) < 0.01] = rng.choice([np.nan, -np.inf, -0.0])
    x = np.asfortranarray(x) if rng.random() < 0.3 else x
    axes = None if rng.random() < 0.5 else tuple(rng.choice(len(shape), int(rng.integers(0, len(shape) + 1)), replace=False).tolist())
    count = len(shape) if axes is None else len(axes)
    most = 300 if rng.random() < 0.2 and count < 3 else 9
    sizes = [int(rng.integers(1, most)) for _ in range(count)]
    keywords = {"size": sizes, "mode": [str(rng.choice(MODES)) for _ in sizes], "axes": axes, "cval": True if dtype == "bool" else int(rng.integers(1, 100))}
    return x, keywords | {"origin": [int(rng.integers(-(k // 2), (k - 1) // 2 + 1)) for k in sizes]}


@pytest.mark.parametrize("name", ("maximum", "minimum", "uniform"))
def test_no_result_depends_on_chunks(name, seed=0, count=50):
    rng = np.random.default_rng([len(name), seed])
    function = getattr(cyconv, f"{name}_filter")
    for _ in range(count):
        x, keywords = arguments_of(rng, name == "uniform")
        try:
            with np.errstate(all="ignore"):
                whole = function(x, **keywords)
        except ValueError:
            continue
        first = None
        for chunks in (-1, random_chunks(rng, x.shape), random_chunks(rng, x.shape)):
            lazy = function(da.from_array(x, chunks=chunks), **keywords)
            assert lazy.shape == tuple(map(sum, lazy.chunks)) == whole.shape and lazy.dtype == lazy._meta.dtype == whole.dtype
            result = np.asarray(lazy.compute())
            first = result if first is None else first
            assert same(result, first), (x.shape, x.dtype, chunks, keywords)
            assert (close if name == "uniform" else same)(result, whole), (x.shape, x.dtype, chunks, keywords)


@pytest.mark.parametrize("mode", MODES)
def test_modes_act_on_the_border_of_the_whole(mode):
    """Of an axis that is cut, and of one that windows reach over several times."""
    x = np.random.default_rng(1).integers(0, 1000, (90, 4))
    lazy = cyconv.maximum_filter(da.from_array(x, chunks=(7, 1)), (7, 31), mode=mode, cval=500, origin=(2, -3))
    assert len(lazy.chunks[0]) > 2 and lazy.chunks[1] == (4,)
    assert same(lazy.compute(), cyconv.maximum_filter(x, (7, 31), mode=mode, cval=500, origin=(2, -3)))


def test_sums_of_floats_are_made_block_by_block():
    x = np.random.default_rng(3).standard_normal((60, 70))
    for size in (9, 15):
        results = [cyconv.uniform_filter(da.from_array(x, chunks=chunks), size).compute() for chunks in (-1, (60, 20), (7, 70), 16)]
        assert close(results[0], cyconv.uniform_filter(x, size))
        assert all(same(each, results[0]) for each in results)


def test_empty_arrays_are_filtered():
    for function in (cyconv.maximum_filter, cyconv.uniform_filter):
        assert function(da.zeros((0, 100), chunks=(1, 7)), (3, 5), mode="wrap").compute().shape == (0, 100)


def test_nothing_is_computed_before_it_is_asked_for():
    def never(block):
        raise RuntimeError("somebody computes")

    x = da.ones((60, 50), chunks=(20, 21)).map_blocks(never, dtype=float, meta=np.empty((0, 0)))
    for name in ("maximum", "minimum", "uniform"):
        lazy = getattr(cyconv, f"{name}_filter")(x, 3)
        assert isinstance(lazy, da.Array)
        with pytest.raises(RuntimeError, match="somebody computes"):
            lazy.compute()


WRONG = (
    {"size": 0}, {"size": (1, 2, 3)}, {"size": 3, "mode": "even"}, {"size": 3, "origin": 2}, {"size": 3, "axes": 2}, {"size": 3, "cval": "a"}, {"size": 3, "cval": 1j},
)  # fmt: skip


@pytest.mark.parametrize("keywords", WRONG)
@pytest.mark.parametrize("name", ("maximum", "uniform"))
def test_errors_are_those_of_numpys_arrays(name, keywords):
    x, function = np.zeros((40, 30), np.float32), getattr(cyconv, f"{name}_filter")
    with pytest.raises((ValueError, TypeError)) as expected:
        function(x, **keywords)
    with pytest.raises(expected.type) as found:
        function(da.from_array(x, chunks=17), **keywords)
    assert str(found.value) == str(expected.value)


def test_no_output_no_half_and_no_unknown_chunks():
    x = da.ones((40, 30), chunks=17)
    with pytest.raises(TypeError, match="output must be None for dask arrays"):
        cyconv.maximum_filter(x, 3, output=np.empty((40, 30)))
    with pytest.raises(TypeError, match="input has dtype float16"):
        cyconv.maximum_filter(x.astype(np.float16), 3)
    with pytest.raises(ValueError, match="input is a dask array with chunks of unknown size"):
        cyconv.uniform_filter(x[x[:, 0] > 0], 3)


def test_axes_that_nothing_is_done_along_keep_their_chunks():
    x = da.zeros((30, 300, 10), chunks=((10, 20), (100, 200), (4, 6)), dtype=np.uint8)
    assert cyconv.maximum_filter(x, 3, axes=1).chunks == ((10, 20), (128, 172), (4, 6))
    assert cyconv.uniform_filter(x.astype(float)[:, :40], 3, axes=1).chunks == ((10, 20), (40,), (5, 5))  # 200 samples to a block


def test_chunks_of_cupys_arrays_go_to_the_gpu(stand_in):
    x = np.random.default_rng(2).integers(-9, 10, (3, 50, 37)).astype(np.float32)
    chunked = da.from_array(stand_in.asarray(x), chunks=(2, 17, 37), asarray=False)
    for name, mode in zip(("maximum", "minimum", "uniform", "maximum"), MODES[1:]):
        keywords = {"size": (5, 4), "mode": mode, "cval": 3, "axes": (1, 2)}
        lazy = getattr(cyconv, f"{name}_filter")(chunked, **keywords)
        assert close(brought(lazy, stand_in), getattr(cyconv, f"{name}_filter")(x, **keywords))

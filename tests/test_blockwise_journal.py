"""cyconv.convolve_blockwise goes on only with what is that of the same call, whatever lies in one file, and ends in order."""

import os
import threading
import time

import numpy as np
import pytest
from blockwise_cases import W, cut_small, volume_in

import cyconv
from cyconv.chunked import stores, streaming


@pytest.fixture(autouse=True)
def small(monkeypatch):
    cut_small(monkeypatch)


@pytest.fixture
def volume(tmp_path):
    return volume_in(tmp_path)


@pytest.fixture
def computed(monkeypatch):
    """The parts that are computed."""
    seen, compute = [], streaming.compute
    monkeypatch.setattr(streaming, "compute", lambda plan, part, *rest: (seen.append(part), compute(plan, part, *rest)))
    return seen


def new_out(volume):
    return np.memmap(os.path.join(os.path.dirname(volume.filename), "out.raw"), np.float32, "w+", shape=volume.shape)


def blockwise(x, out, **more):
    return cyconv.convolve_blockwise(x, W, out, padding=1, **{"max_memory": 100_000, **more})


def expected(x):
    return cyconv.conv3d(np.asarray(x)[None], W, padding=1)[0]


def half_done(x, out, **more):
    with pytest.raises(KeyboardInterrupt):
        blockwise(x, out, progress=interrupted_after(out.size // 2), **more)


def interrupted_after(count):
    def progress(done, total):
        if done > count:
            raise KeyboardInterrupt

    return progress


def test_another_part_of_the_inputs_file_is_noticed(tmp_path):
    both = np.memmap(tmp_path / "both.raw", np.float32, "w+", shape=(2, 30, 30, 30))
    both[...] = np.random.default_rng(0).integers(-9, 9, both.shape)
    both.flush()
    for number, (first, then) in enumerate([(both[0], both[1]), (both[0], both[0].T), (both[0].T, both[0]), (both[0], both[0].view(">f4"))]):
        out = np.memmap(tmp_path / f"{number}.raw", np.float32, "w+", shape=first.shape)
        half_done(first, out)
        with pytest.raises(ValueError, match="another call"):
            blockwise(then, out)
        blockwise(first, out)
        np.testing.assert_array_equal(out, expected(first))


def test_another_part_is_noticed_where_the_system_tells_no_mappings(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "mapping_of", lambda array: None)
    test_another_part_of_the_inputs_file_is_noticed(tmp_path)


def test_another_zarr_input_is_noticed(tmp_path):
    zarr = pytest.importorskip("zarr")
    first, then = (zarr.create_array(tmp_path / name, shape=(30, 30, 30), chunks=(10, 10, 10), dtype="f4") for name in ("x.zarr", "y.zarr"))
    out = np.memmap(tmp_path / "out.raw", np.float32, "w+", shape=first.shape)
    half_done(first, out)
    with pytest.raises(ValueError, match="another call"):
        blockwise(then, out)
    blockwise(zarr.open_array(tmp_path / "x.zarr"), out)


def test_input_and_result_in_one_file_are_resumed(volume, tmp_path, computed):
    both = np.memmap(tmp_path / "both.raw", np.float32, "w+", shape=(2, *volume.shape))
    both[0] = volume
    half_done(both[0], both[1])
    once = len(computed)
    computed.clear()
    blockwise(both[0], both[1])
    assert len(computed) < once
    np.testing.assert_array_equal(both[1], expected(volume))


def test_a_damaged_chunk_is_computed_again(volume, tmp_path):
    zarr = pytest.importorskip("zarr")
    out = zarr.create_array(tmp_path / "z.zarr", shape=volume.shape, chunks=(10, 10, 10), dtype="f4")
    half_done(volume, out, max_memory=250_000)
    os.truncate(next(each for each in sorted((tmp_path / "z.zarr" / "c").rglob("*")) if each.is_file()), 0)
    blockwise(volume, out, max_memory=250_000)
    np.testing.assert_array_equal(out[...], expected(volume))


def test_no_journal_beside_what_is_no_folder(volume):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("fsspec")
    out = zarr.create_array(zarr.storage.FsspecStore.from_url("memory://bucket/q.zarr"), shape=volume.shape, chunks=(10, 10, 10), dtype="f4")
    blockwise(volume, out, max_memory=250_000)
    np.testing.assert_array_equal(out[...], expected(volume))


def test_a_file_system_without_locks(volume, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unknown(*given):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    blockwise(volume, new_out(volume))


def test_ctrl_c_again_waits_for_what_is_written(volume, monkeypatch):
    out, write, shutdown, seen, wrong = new_out(volume), stores.Store.write, streaming.ThreadPoolExecutor.shutdown, set(), []

    def slow(self, box, values):
        time.sleep(0.02)
        try:
            os.fstat(self.file.descriptor)  # still open
        except OSError as error:
            wrong.append(error)
        write(self, box, values)

    def interrupted(self, **how):
        if self not in seen:
            seen.add(self)
            raise KeyboardInterrupt
        shutdown(self, **how)

    monkeypatch.setattr(stores.Store, "write", slow)
    monkeypatch.setattr(streaming.ThreadPoolExecutor, "shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt):
        blockwise(volume, out, progress=interrupted_after(volume.size // 3))
    assert len(seen) == 3 and not wrong
    assert not [each for each in threading.enumerate() if each.name.startswith("cyconv-")]


class Empty:
    dtype, ndim = np.dtype(np.float32), 3

    def __init__(self, shape):
        self.shape = shape

    def __getitem__(self, box):
        raise InterruptedError("enough")

    __setitem__ = None


def test_a_batch_of_many_items_is_cut_quickly():
    x, started = Empty((10_000, 1, 64)), time.perf_counter()
    with pytest.raises(InterruptedError, match="enough"):
        cyconv.convolve_blockwise(x, W[:, :, 0, 0], Empty(x.shape), padding=1, algorithm="im2col", max_memory=2**28)
    assert time.perf_counter() - started < 3  # cutting the axis anew for each part took longer

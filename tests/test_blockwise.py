"""cyconv.convolve_blockwise: results of arrays in files and in chunks are those of whole arrays, within the memory that was given, and a
process that dies loses nothing that it had finished.
"""

import importlib.util
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from blockwise_cases import W, cut_small, volume_in

import cyconv
from cyconv.chunked import stores, streaming

ROOT = Path(__file__).parent.parent
if "bench" not in sys.modules:  # without putting the checkout on the path, where its cyconv would hide the installed one
    _spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    sys.modules["bench"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["bench"])

from bench import petavoxel  # noqa: E402
from bench import volume as bench_volume  # noqa: E402

GUIDE = ROOT / "docs" / "large_arrays.md"

@pytest.fixture(autouse=True)
def small(monkeypatch):
    cut_small(monkeypatch)


@pytest.fixture
def volume(tmp_path):
    return volume_in(tmp_path)


def new_out(volume, name="out.raw"):
    return np.memmap(os.path.join(os.path.dirname(volume.filename), name), np.float32, "w+", shape=volume.shape)


def journal_of(out):
    return out.filename + ".cyconv-progress"


MEMORY = 100_000  # makes dozens of parts of `volume`


def blockwise(x, out, **more):
    return cyconv.convolve_blockwise(x, W, out, padding=1, **{"max_memory": MEMORY, **more})


def expected(x):
    return cyconv.conv3d(np.asarray(x)[None], W, padding=1)[0]


@pytest.fixture
def computed(monkeypatch):
    """The parts that are computed."""
    seen, compute = [], streaming.compute
    monkeypatch.setattr(streaming, "compute", lambda plan, part, *rest: (seen.append(part), compute(plan, part, *rest)))
    return seen


# ---- results -------------------------------------------------------------------------------------------------------------------


def stored(kind, array, tmp_path, rng):
    """The array as one of this kind."""
    if kind == "memory":
        return array.copy()
    if kind == "file":
        m = np.memmap(tmp_path / f"{rng.random()}", array.dtype, "w+", offset=rng.choice([0, 5, 4097]), shape=array.shape)
    elif kind == "part of a file":
        m = np.memmap(tmp_path / f"{rng.random()}", array.dtype, "w+", shape=tuple([n + 3 for n in array.shape]))
        m = np.asarray(m)[tuple([slice(2, 2 + n) for n in array.shape])]
    else:
        zarr = pytest.importorskip("zarr")
        chunks = tuple([rng.randint(1, n + 1) for n in array.shape])
        shards = tuple([n * rng.randint(1, 3) for n in chunks]) if kind == "shards" else None
        m = zarr.create_array(store=tmp_path / f"{rng.random()}.zarr", shape=array.shape, chunks=chunks, shards=shards, dtype=array.dtype)
    m[...] = array
    return m


@pytest.mark.parametrize("kind", ["memory", "file", "part of a file", "zarr", "shards"])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_whole_arrays_results(kind, mode, tmp_path):
    """Exact sums, so whatever the algorithm."""
    rng, values = random.Random(f"{kind}{mode}"), np.random.default_rng(0)
    for rank in (1, 2, 2, 3, 3):
        groups, inputs, outputs = rng.choice([1, 1, 2]), rng.choice([1, 2, 9]), rng.choice([1, 3])
        kernel, dilation, stride = ([rng.randint(1, most) for _ in range(rank)] for most in (4, 2, 3))
        size = [rng.randint(d * (k - 1) + 2, d * (k - 1) + 20) for k, d in zip(kernel, dilation)]
        padding = [tuple([rng.randint(0, min(n - 1, 7)) for _ in range(2)]) for n in size]
        bare = groups * inputs == 1
        dtype = rng.choice(["f4", "f8", ">f4", "f2", "i4", "u1", "c8"])
        x = values.integers(0, 5, (*(2,) * rng.choice([not bare, False]), groups * inputs, *size)).astype(dtype)
        weight = values.integers(0, 3, (groups * outputs, inputs, *kernel)).astype(x.dtype.newbyteorder("="))
        bias = rng.choice([None, np.arange(groups * outputs).astype(weight.dtype)])
        options = {"stride": tuple(stride), "padding": padding, "dilation": tuple(dilation), "groups": groups, "padding_mode": mode, "algorithm": "direct"}
        wanted = getattr(cyconv, f"conv{rank}d")(x, weight, bias, **options)
        out = stored(kind, np.full(wanted.shape, 77, dtype), tmp_path, rng)
        source = stored(kind, x[0] if bare else x, tmp_path, rng)
        with pytest.raises(ValueError, match="too small") as least:
            cyconv.convolve_blockwise(source, weight, out, bias, max_memory=10, **options)
        memory = int(re.search("takes ([0-9]+) bytes", str(least.value))[1]) * rng.choice([1, 2, 100])
        assert cyconv.convolve_blockwise(source, weight, out, bias, max_memory=memory, **options) is out
        np.testing.assert_array_equal(out[...], wanted)


@pytest.mark.parametrize("algorithm", ["fft", "winograd", "direct", "im2col"])
def test_bits_do_not_depend_on_parts(algorithm, volume):
    da = pytest.importorskip("dask.array")
    values = np.random.default_rng(1).standard_normal(volume.shape, dtype=np.float32)
    volume[...] = values
    weight = np.random.default_rng(2).standard_normal((2, 1, 3, 3, 3), dtype=np.float32)
    wanted = cyconv.conv3d(da.from_array(values[None], chunks=13), weight, padding=1, padding_mode="reflect", algorithm=algorithm).compute()
    for memory, chunks in ((2**20, None), (2**20, (1, 7, 5, 11)), (2**30, (2, 6, 6, 6))):
        out = Recorder(wanted.shape, chunks)
        cyconv.convolve_blockwise(volume, weight, out, padding=1, padding_mode="reflect", algorithm=algorithm, max_memory=memory)
        assert (out.values == wanted).all()


class Recorder:
    """An array with chunks that remembers what was written."""

    def __init__(self, shape, chunks, dtype=np.float32):
        self.values, self.chunks, self.written = np.full(shape, np.nan, dtype), chunks, []
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(dtype)

    def __getitem__(self, box):
        return self.values[box].copy()

    def __setitem__(self, box, values):
        self.written.append(box)
        self.values[box] = values


@pytest.mark.parametrize("chunks", [(7, 25, 11), (1, 3, 40), (6, 6, 6), (30, 4, 4)])
def test_chunks_are_written_whole_and_once(chunks, volume):
    out = Recorder(volume.shape, chunks)
    blockwise(volume, out, max_memory=200_000)
    assert len(out.written) > 3
    for box in out.written:
        for each, chunk, length in zip(box, chunks, out.shape):
            assert each.start % chunk == 0 and (each.stop % chunk == 0 or each.stop == length)
    assert sum(np.prod([each.stop - each.start for each in box]) for box in out.written) == out.values.size
    np.testing.assert_array_equal(out.values, expected(volume))


def test_shards_are_written_whole_and_once(volume):
    out = Recorder(volume.shape, (5, 5, 5))
    out.shards = (10, 15, 20)
    blockwise(volume, out, max_memory=150_000)
    assert {(box[0].start % 10, box[1].start % 15, box[2].start % 20) for box in out.written} == {(0, 0, 0)}
    np.testing.assert_array_equal(out.values, expected(volume))


@pytest.mark.parametrize("groups", [1, 2])
def test_chunks_of_channels(groups):
    """Channels of a group are computed together, wherever chunks cut them."""
    rng = np.random.default_rng(3)
    x, weight = rng.integers(0, 9, (2 * groups, 12, 11)).astype("f4"), rng.integers(0, 9, (3 * groups, 2, 3, 3)).astype("f4")
    out = Recorder((3 * groups, 10, 9), (2, 10, 9))
    with pytest.raises(ValueError, match="too small") as least:
        cyconv.convolve_blockwise(x, weight, out, groups=groups, algorithm="direct", max_memory=0)
    memory = int(re.search("takes ([0-9]+) bytes", str(least.value))[1])
    cyconv.convolve_blockwise(x, weight, out, groups=groups, algorithm="direct", max_memory=memory)
    assert len(out.written) == -(-3 * groups // 2)
    np.testing.assert_array_equal(out.values, cyconv.conv2d(x, weight, groups=groups))


def test_a_private_mapping_is_memory(volume, tmp_path):
    """What is changed in it is not in the file."""
    x = np.memmap(volume.filename, np.float32, "c", shape=volume.shape)
    x[3, 4] = 7
    out = new_out(volume)
    private = np.memmap(out.filename, np.float32, "c", shape=volume.shape)
    blockwise(x, private, journal=False)
    np.testing.assert_array_equal(private, expected(x))
    assert not out.any()


def test_several_outputs_of_a_bare_volume(volume):
    out = np.empty((2, *volume.shape), np.float32)
    cyconv.convolve_blockwise(volume, np.concatenate([W, -W]), out, padding=1)
    np.testing.assert_array_equal(out, np.stack([expected(volume), -expected(volume)]))


def test_an_empty_result():
    out = np.empty((0, 1, 4), np.float32)
    assert cyconv.convolve_blockwise(np.empty((0, 1, 4), np.float32), np.ones((1, 1, 1), np.float32), out) is out


# ---- memory --------------------------------------------------------------------------------------------------------------------

MEASURE = """
import sys
import numpy as np
import cyconv

def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

shape = (1, 320, 400, 400)
cyconv.conv3d(np.ones((1, 70, 70, 70), np.float32), np.ones((1, 1, 3, 3, 3), np.float32))
x = np.memmap(sys.argv[1] + "/x", np.float32, "w+", shape=shape)  # 205 MB, of holes
out = np.memmap(sys.argv[1] + "/y", np.float32, "w+", shape=shape)
before = most()
cyconv.convolve_blockwise(x, np.ones((1, 1, 3, 3, 3), np.float32), out, np.ones(1, np.float32), padding=1, max_memory=80 * 2**20)
print(most() - before)
assert (out[0, ::50, 0, 0] == 1).all()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="memory is bounded where the system tells which file an array is a mapping of")
def test_memory_is_bounded(tmp_path):
    done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert 2**22 < int(done.stdout) < 100 * 2**20


def test_too_little_memory_is_said(volume):
    with pytest.raises(ValueError, match="max_memory=1000 is too small.*takes [0-9]+ bytes"):
        blockwise(volume, new_out(volume), max_memory=1000)


# ---- interruptions -------------------------------------------------------------------------------------------------------------

KILLED = """
import sys, time
import numpy as np
import cyconv
from cyconv.chunked import blocks, parts, stores, streaming
blocks.LENGTHS[3], blocks.OUTPUTS, blocks.CHANNELS, stores.SLAB, parts.SLAB = 6, 64, 4, 500, 500
streaming.SYNC_BYTES = 0
x = np.memmap(sys.argv[1], np.float32, "r", shape=(30, 25, 40))
out = np.memmap(sys.argv[2], np.float32, "r+", shape=x.shape)
weight = np.arange(-13, 14, dtype=np.float32).reshape(1, 1, 3, 3, 3)
cyconv.convolve_blockwise(x, weight, out, padding=1, max_memory=100_000, progress=lambda done, total: time.sleep(0.02))
"""


def lines_of(path):
    with open(path, "rb") as file:
        return file.read().split(b"\n")[1:-1]


def test_a_killed_process_loses_nothing(volume, computed):
    whole = new_out(volume, "whole.raw")
    blockwise(volume, whole)
    parts, out = list(computed), new_out(volume)
    computed.clear()
    child = subprocess.Popen([sys.executable, "-c", KILLED, volume.filename, out.filename])
    while child.poll() is None and not (os.path.exists(journal_of(out)) and len(lines_of(journal_of(out))) > 5):
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    finished = [parts[int(line.split()[0], 16)] for line in lines_of(journal_of(out))]
    assert 5 < len(finished) < len(parts)
    with open(out.filename, "rb") as a, open(whole.filename, "rb") as b:
        assert a.read() != b.read()
    blockwise(volume, out)
    assert sorted(finished + computed) == sorted(parts)  # each once
    with open(out.filename, "rb") as a, open(whole.filename, "rb") as b:
        assert a.read() == b.read()
    assert not os.path.exists(journal_of(out))


@pytest.fixture
def interrupted(volume, monkeypatch, computed):
    """A result after half of the parts were noted, one more written and not noted, and an error."""
    out, note = new_out(volume), streaming.Notes.note
    blockwise(volume, new_out(volume, "other.raw"))
    half = len(computed) // 2
    computed.clear()

    def fails(self, number, values):
        if number == half:
            raise OSError("no space left")
        note(self, number, values)

    monkeypatch.setattr(streaming.Notes, "note", fails)
    with pytest.raises(OSError, match="no space left"):
        blockwise(volume, out)
    monkeypatch.setattr(streaming.Notes, "note", note)
    computed.clear()
    return out


def finish(volume, out, computed, **more):
    """Goes on, and returns how many parts that took."""
    blockwise(volume, out, **more)
    np.testing.assert_array_equal(out, expected(volume))
    assert not os.path.exists(journal_of(out))
    return len(computed)


def count_of_parts(volume):
    seen = []
    blockwise(volume, new_out(volume, "count.raw"), progress=lambda done, total: seen.append(done))
    return len(seen)


def test_what_was_written_but_not_noted_is_computed_again(volume, interrupted, computed):
    noted = len(lines_of(journal_of(interrupted)))
    total = count_of_parts(volume)
    computed.clear()
    assert 2 < noted < total
    assert finish(volume, interrupted, computed) == total - noted


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data[:-10] + b"7" + data[-9:], lambda data: data + b"torn"])
def test_a_torn_line_is_not_believed(damage, volume, interrupted, computed):
    path, total = journal_of(interrupted), count_of_parts(volume)
    noted = len(lines_of(path))
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(damage(data))
    computed.clear()
    assert finish(volume, interrupted, computed) == total - noted + (not damage(data).startswith(data))


def test_a_torn_first_line_starts_over(volume, interrupted, computed):
    total = count_of_parts(volume)
    os.truncate(journal_of(interrupted), 30)
    computed.clear()
    assert finish(volume, interrupted, computed) == total


def test_a_result_that_was_made_anew_is_noticed(volume, interrupted, computed):
    total = count_of_parts(volume)
    out = new_out(volume)
    computed.clear()
    assert finish(volume, out, computed) == total


def test_going_on_with_other_memory_keeps_the_parts(volume, interrupted, computed):
    noted, total = len(lines_of(journal_of(interrupted))), count_of_parts(volume)
    computed.clear()
    with pytest.raises(ValueError, match="earlier call.*resume=False"):
        blockwise(volume, interrupted, max_memory=30_000)
    assert finish(volume, interrupted, computed, max_memory=10**7) == total - noted


def test_progress_counts_what_was_finished_before(volume, interrupted, capfd):
    seen = []
    noted = len(lines_of(journal_of(interrupted)))
    blockwise(volume, interrupted, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (volume.size, volume.size) and len(seen) > noted
    assert sorted(seen) == seen


def test_another_calls_journal_is_refused(volume, interrupted, computed):
    with pytest.raises(ValueError, match="another call.*resume=False starts over"):
        blockwise(volume, interrupted, padding_mode="reflect")
    with pytest.raises(ValueError, match="another call"):
        cyconv.convolve_blockwise(volume, W + 1, interrupted, padding=1, max_memory=MEMORY)
    total = count_of_parts(volume)
    computed.clear()
    assert finish(volume, interrupted, computed, resume=False) == total


def test_a_changed_input_is_noticed(volume, interrupted):
    os.utime(volume.filename, ns=(0, 10**9))
    with pytest.raises(ValueError, match="input, which has changed.*resume=False"):
        blockwise(volume, interrupted)


def test_a_strange_file_is_left_alone(volume, tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader,\n")
    for resume in (True, False):
        with pytest.raises(ValueError, match="did not write"):
            blockwise(volume, new_out(volume), journal=letter, resume=resume)
    assert letter.read_text() == "Dear reader,\n"


def test_two_processes_do_not_write_one_result(volume):
    out = new_out(volume)

    def again(done, total):
        with pytest.raises(ValueError, match="in use"):
            blockwise(volume, out)

    blockwise(volume, out, progress=again)


def test_ctrl_c_stops_all_threads_and_keeps_what_is_finished(volume, computed):
    out = new_out(volume)
    total = count_of_parts(volume)
    computed.clear()

    def interrupt(done, total):
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blockwise(volume, out, progress=interrupt)
    assert not [each for each in threading.enumerate() if each.name.startswith("cyconv-")]
    noted = len(lines_of(journal_of(out)))
    assert total // 3 <= noted < total
    computed.clear()
    assert finish(volume, out, computed) == total - noted


def test_an_error_of_reading_comes_out(volume):
    class Broken(Recorder):
        def __getitem__(self, box):
            if box[0].start > 10:
                raise OSError("the disk is gone")
            return super().__getitem__(box)

    with pytest.raises(OSError, match="disk is gone"):
        blockwise(Broken(volume.shape, None), new_out(volume))
    assert not [each for each in threading.enumerate() if each.name.startswith("cyconv-")]


def test_a_zarr_array_is_resumed(volume, tmp_path, computed):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "results.zarr", mode="w")
    out = group.create_array("a/b", shape=volume.shape, chunks=(10, 10, 10), dtype="f4")

    def interrupt(done, total):
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blockwise(volume, out, progress=interrupt, max_memory=250_000)
    path = tmp_path / "results.zarr.a.b.cyconv-progress"
    noted = len(lines_of(path))
    computed.clear()
    blockwise(volume, out, max_memory=250_000)
    assert noted and not path.exists()
    seen = []
    blockwise(volume, out, max_memory=250_000, progress=lambda done, total: seen.append(done))
    assert len(seen) == noted + len(computed) - len(seen)
    np.testing.assert_array_equal(out[...], expected(volume))


def test_a_part_is_noted_when_its_bytes_are_on_the_disk(volume, monkeypatch):
    events = []

    def watch(where, name, what):
        method = getattr(where, name)
        monkeypatch.setattr(where, name, lambda *given: (method(*given), events.append(what))[0])

    watch(stores.Store, "write", "written")
    watch(os, "fsync", "synchronised")
    watch(streaming.Journal, "write_down", "noted")
    monkeypatch.setattr(streaming, "SYNC_BYTES", 0)
    blockwise(volume, new_out(volume))
    text = " ".join(events)
    assert text.count("written synchronised synchronised noted") == events.count("written") > 5  # the second is the journal's own


def test_no_journal_where_none_is_wanted(volume, monkeypatch):
    monkeypatch.setattr(streaming, "Notes", None)
    blockwise(volume, new_out(volume), journal=False)
    blockwise(volume, np.empty_like(volume, subok=False))


# ---- what is refused -----------------------------------------------------------------------------------------------------------


def test_overlapping_arrays_are_refused(volume, tmp_path):
    again = np.memmap(volume.filename, np.float32, "r+", shape=volume.shape)
    longer = np.memmap(tmp_path / "both.raw", np.float32, "w+", shape=(60, 25, 40))
    longer[:30] = volume
    for x, out in ((volume, volume), (volume, again), (again, np.asarray(volume)), (longer[:30], longer[29:59]), (volume[::-1], again)):
        with pytest.raises(ValueError, match="out must not be input, nor overlap"):
            blockwise(x, out)
    second = np.memmap(tmp_path / "both.raw", np.float32, "r+", offset=longer.nbytes // 2, shape=volume.shape)
    np.testing.assert_array_equal(blockwise(longer[:30], second), expected(volume))


def test_one_zarr_array_is_refused(tmp_path):
    zarr = pytest.importorskip("zarr")
    x = zarr.create_array(store=tmp_path / "x.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="f4")
    with pytest.raises(ValueError, match="overlap"):
        blockwise(x, zarr.open_array(tmp_path / "x.zarr"))
    with pytest.raises(ValueError, match="read-only"):
        blockwise(np.ones((8, 8, 8), np.float32), zarr.open_array(tmp_path / "x.zarr", mode="r"))
    other = zarr.create_array(store=tmp_path / "y.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="f4")
    blockwise(x, other)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"input": [[1.0]]}, TypeError, "input must be an array of NumPy, a memmap, or one of zarr"),
        ({"out": None}, TypeError, "out must be an array"),
        ({"out": np.empty((8, 8, 7), np.float32)}, ValueError, r"out must have shape \(8, 8, 8\) or \(1, 8, 8, 8\), got \(8, 8, 7\)"),
        ({"out": np.empty((8, 8, 8))}, TypeError, "out must have dtype float32, got float64"),
        ({"out": np.broadcast_to(np.float32(0), (8, 8, 8))}, ValueError, "out must be writable"),
        ({"weight": np.ones((1, 1, 3, 3, 3))}, TypeError, "same dtype"),
        ({"weight": np.ones((1, 2, 3, 3, 3), np.float32)}, ValueError, "for an input of 2 channels"),
        ({"padding": "sme"}, ValueError, "padding"),
        ({"algorithm": "quick"}, ValueError, "algorithm"),
        ({"max_memory": 1.5}, TypeError, "max_memory must be an int"),
        ({"progress": 3}, TypeError, "progress must be True, a function"),
        ({"journal": 3}, TypeError, "journal must be a path"),
        ({"resume": 1}, TypeError, "resume must be True or False"),
    ],
)
def test_bad_arguments(change, error, message):
    arguments = {"input": np.ones((8, 8, 8), np.float32), "weight": W, "out": np.empty((8, 8, 8), np.float32), "padding": 1} | change
    with pytest.raises(error, match=message):
        cyconv.convolve_blockwise(**arguments)


def test_dask_arrays_are_refused():
    da = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="input must not be a dask array"):
        blockwise(da.ones((8, 8, 8), dtype="f4"), np.empty((8, 8, 8), np.float32))


# ---- progress ------------------------------------------------------------------------------------------------------------------


def test_a_bar_on_stderr(volume, capsys, monkeypatch):
    blockwise(volume, new_out(volume), progress=True)
    said = capsys.readouterr()
    assert said.out == "" and said.err.endswith(f"[{'#' * 40}] 100 %\n") and 2 < said.err.count("\n") <= 11
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    blockwise(volume, new_out(volume), progress=True)
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.count("\r") == count_of_parts(volume)


# ---- the user guide, and what it is made with -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_the_guides_examples_run(number, tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    pytest.importorskip("dask.array")
    monkeypatch.undo()  # blocks of the usual size
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(examples) == 3
    names = {}
    exec(examples[number], names)
    if "out" not in names and "smooth" in names and number:
        inner = np.asarray(names["volume"])[50:55, 50:55, 50:55].astype(float).mean()
        assert abs(names["smooth"][52, 52, 52] - inner) < 1e-5


def test_the_guides_table_is_what_the_script_prints(capsys):
    assert petavoxel.main([]) == 0
    table = capsys.readouterr().out
    assert petavoxel.with_table(GUIDE.read_text(), table) == GUIDE.read_text()
    assert "100,000 along each axis" in table and table.count("**") == 4


def test_tasks_of_a_chunk():
    """The number in the petavoxel's arithmetic is that of the graphs."""
    da = pytest.importorskip("dask.array")

    def count(chunks):
        x = da.zeros((1, *(12 * chunks,) * 3), chunks=(1, 12, 12, 12), dtype="f4")
        made = da.store(cyconv.conv3d(x, W, padding=1), Recorder(x.shape, None), lock=False, compute=False)
        return len(made.__dask_graph__())

    four, five, six, seven = map(count, (4, 5, 6, 7))
    assert seven - 3 * six + 3 * five - four == 6 * petavoxel.TASKS  # what grows with the third power


def test_bench_of_a_small_volume(tmp_path, capsys):
    assert bench_volume.main(["--gigabytes", "0.004", "--folder", str(tmp_path), "--scaling", "0"]) == 0
    said = capsys.readouterr().out
    assert "copied:" in said and "box 3" in said and "gauss 9" in said
    assert not list(tmp_path.iterdir())

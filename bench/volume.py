"""python -m bench.volume: a volume larger than memory, filtered from one file into another, beside what the disk and the kernels allow.

The disk's limit is a plain copy of the file: one thread reads while another writes, and what is written is synchronised every 128 MiB. The kernels' limit
is the same call on a piece that lies in memory. Files are dropped from the system's page cache before each run. Every run is a process of its own,
whose peak of resident memory is printed, libraries and code included. Results are compared with sums in double precision at random places.

Scaling is told twice: threads of one process, and workers of dask.distributed on this machine, of one thread each, which read and write
the same files.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .installation import CHECKOUT, import_cyconv

import_cyconv()

import cyconv
from cyconv.chunked.streaming import SYNC_BYTES

SLAB = 2**24  # bytes that are read or written at once
FILTERS = ("box 3", "gauss 9")  # kernels of 3 x 3 x 3 and 9 x 9 x 9
SCALED = ("gauss 9", "noise 9")  # the last one is no product of three, and takes the longest
TOLERANCE = 1e-5  # of the largest number
RESERVE = 200 * 10**6  # bytes of the process that are not buffers: Python, NumPy, SciPy, the code


def weight(name):
    kind, length = name.split()
    place = np.arange(int(length)) - int(length) // 2.0
    line = {"box": place * 0 + 1, "gauss": np.exp(-place * place / 8), "noise": place * 0 + 1}[kind]
    found = line[:, None, None] * line[:, None] * line
    if kind == "noise":
        found *= np.random.default_rng(0).random(found.shape)
    return (found / found.sum()).astype(np.float32)[None, None]


# ---- files ---------------------------------------------------------------------------------------------------------------------


def drop(path):
    """Has the system forget what it remembers of a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def create(path, size):
    """Seconds to write a file of so many bytes: noise, that differs from slab to slab."""
    noise = np.random.default_rng(0).random(SLAB // 4, dtype=np.float32)
    started = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for slab, place in enumerate(range(0, size, SLAB)):  # noqa: FURB122
            file.write(memoryview(np.roll(noise, slab * 12345)).cast("B")[: min(SLAB, size - place)])
        os.fsync(file.fileno())
    return time.perf_counter() - started


def read(path):
    """Seconds to read a file."""
    drop(path)
    room = bytearray(SLAB)
    started = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(room):
            pass
    return time.perf_counter() - started


def copy(path, to):
    """Seconds to copy a file, the new one being synchronised now and then as results are: of two copies the quicker one."""
    return min(copied(path, to), copied(path, to))


def copied(path, to):
    drop(path)
    rooms = [bytearray(SLAB) for _ in range(3)]
    started = time.perf_counter()
    with open(path, "rb", buffering=0) as source, open(to, "w+b", buffering=0) as target, ThreadPoolExecutor(1) as writer:
        os.ftruncate(target.fileno(), os.path.getsize(path))

        def write(turn, count):
            target.write(memoryview(rooms[turn % 3])[:count])
            if turn * SLAB % SYNC_BYTES == 0:
                os.fsync(target.fileno())

        written = [None] * 3
        for turn in range(10**9):
            if written[turn % 3] is not None:
                written[turn % 3].result()
            if not (count := source.readinto(rooms[turn % 3])):
                break
            written[turn % 3] = writer.submit(write, turn, count)
        writer.shutdown()
        os.fsync(target.fileno())
    seconds = time.perf_counter() - started
    os.remove(to)
    return seconds


@dataclass(frozen=True)
class OnDisk:
    """A volume in a file, for dask: it travels to workers as its name, and they read and write the file themselves."""

    path: str
    shape: tuple
    dtype = np.dtype(np.float32)
    ndim = 4

    def __getitem__(self, box):
        return np.array(np.memmap(self.path, self.dtype, "r", shape=self.shape)[box])

    def __setitem__(self, box, values):
        np.memmap(self.path, self.dtype, "r+", shape=self.shape)[box] = values


# ---- what is measured, in processes of their own -------------------------------------------------------------------------------


def peak():
    """Bytes of resident memory, at most."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def blockwise(path, to, side, planes, kernel, threads, memory):
    """convolve_blockwise from file to file."""
    shape = (planes, side, side)
    x = np.memmap(path, np.float32, "r", shape=shape)
    out = np.memmap(to, np.float32, "w+", shape=shape)
    drop(path)
    with cyconv.threads(threads):
        started = time.perf_counter()
        cyconv.convolve_blockwise(x, weight(kernel), out, padding="same", max_memory=memory - RESERVE, progress=True if sys.stderr.isatty() else None)
        drop(to)  # and so written to the disk
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": peak()}


def from_memory(side, planes, kernel, threads, memory):
    """convolve_blockwise of a piece in memory."""
    x = np.random.default_rng(0).random((planes, side, side), dtype=np.float32)
    out = np.zeros_like(x)
    with cyconv.threads(threads):
        found = []
        for _ in range(3):
            started = time.perf_counter()
            cyconv.convolve_blockwise(x, weight(kernel), out, padding="same", max_memory=memory - RESERVE)
            found.append(time.perf_counter() - started)
    return {"seconds": min(found), "peak": peak()}


def distributed(path, to, side, planes, kernel, workers):
    """The same by dask, from file to file."""
    import dask.array as da
    from dask.distributed import Client, LocalCluster

    os.environ["CYCONV_NUM_THREADS"] = "1"
    shape = (1, planes, side, side)
    np.memmap(to, np.float32, "w+", shape=shape)
    with LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        client.run(cyconv.conv3d, np.ones((1, 9, 9, 9), np.float32), weight(kernel))  # workers import what they need
        drop(path)
        started = time.perf_counter()
        x = da.from_array(OnDisk(path, shape), chunks=(1, 64, 128, side), meta=np.empty(0, np.float32))
        da.store(cyconv.conv3d(x, weight(kernel), padding="same"), OnDisk(to, shape), lock=False)
        drop(to)
        seconds = time.perf_counter() - started
        peaks = client.run(peak)
    return {"seconds": seconds, "peak": max(peaks.values())}


def child(name, **arguments):
    """What one of the above returns in a process of its own."""
    program = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('bench.volume', run_name='__main__', alter_sys=True)"
    call = [sys.executable, "-c", program, str(CHECKOUT), "--child", json.dumps([name, arguments])]  # from whatever folder
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"python -m bench.volume: {name} failed")
    return json.loads(done.stdout.splitlines()[-1])


def worst(path, to, side, planes, kernel):
    """The largest error at random places, as a part of the largest number."""
    rng, w = np.random.default_rng(1), weight(kernel)[0, 0].astype(np.float64)
    half = w.shape[0] // 2
    x, y = (np.memmap(each, np.float32, "r", shape=(planes, side, side)) for each in (path, to))
    places = [(0, 0, 0), (planes - 1, side - 1, side - 1), *rng.integers(0, (planes, side, side), (300, 3)).tolist()]
    wanted, found = [], []
    for z, y0, x0 in places:
        low = [max(each - half, 0) for each in (z, y0, x0)]
        box = x[tuple([slice(a, each + half + 1) for a, each in zip(low, (z, y0, x0))])].astype(np.float64)
        taps = w[tuple([slice(a - each + half, a - each + half + n) for a, each, n in zip(low, (z, y0, x0), box.shape)])]
        wanted.append((box * taps).sum())
        found.append(y[z, y0, x0])
    return float(np.abs(np.subtract(wanted, found)).max() / np.abs(wanted).max())


# ---- the table -------------------------------------------------------------------------------------------------------------


def parser():
    found = argparse.ArgumentParser(prog="python -m bench.volume", description=__doc__.partition("\n")[0])
    found.add_argument("--gigabytes", type=float, default=16.4, help="of the volume, 10**9 bytes (default: 16.4, of 1600 x 1600 x 1600)")
    found.add_argument("--memory", type=float, default=2.0, help="gigabytes of the process that filters (default: 2)")
    found.add_argument("--folder", help="where two files of that size go for a while (default: the system's folder for such)")
    found.add_argument("--threads", type=int, default=cyconv.get_num_threads(), help="that compute (default: all)")
    found.add_argument("--scaling", type=float, default=1.0, help="gigabytes on which scaling is measured; 0: not at all (default: 1)")
    found.add_argument("--child", help=argparse.SUPPRESS)
    return found


def main(arguments=None):
    options = parser().parse_args(arguments)
    if options.child:
        name, given = json.loads(options.child)
        print(json.dumps({"blockwise": blockwise, "from_memory": from_memory, "distributed": distributed}[name](**given)))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        return measure(options, str(Path(folder) / "volume.raw"), str(Path(folder) / "result.raw"))


def measure(options, path, to):
    side = min(1600, round((options.gigabytes * 1e9 / 4) ** (1 / 3)))
    planes = round(options.gigabytes * 1e9 / 4 / side**2)
    size, voxels, memory = planes * side**2 * 4, planes * side**2, round(options.memory * 1e9)
    print(f"{planes} x {side} x {side} float32, {size / 1e9:.4g} GB; {options.threads} threads; {memory / 1e9:.4g} GB of memory\n")
    print(f"written: {size / 1e6 / create(path, size):.0f} MB/s", flush=True)
    print(f"read: {size / 1e6 / read(path):.0f} MB/s", flush=True)
    disk = copy(path, to)
    print(f"copied: {size / 1e6 / disk:.0f} MB/s: the disk's limit\n", flush=True)
    print(f"{'filter':9} {'seconds':>8} {'MB/s':>6} {'of disk':>8} {'of kernel':>10} {'of slower':>10} {'kernel Mvoxel/s':>16} {'peak GB':>8} {'error':>8}")
    wrong = False
    for kernel in FILTERS:
        piece = max(1, min(planes, round(1e9 / 4 / side**2)))
        rate = piece * side**2 / child("from_memory", side=side, planes=piece, kernel=kernel, threads=options.threads, memory=memory)["seconds"]
        found = child("blockwise", path=path, to=to, side=side, planes=planes, kernel=kernel, threads=options.threads, memory=memory)
        error = worst(path, to, side, planes, kernel)
        seconds, limits = found["seconds"], (disk, voxels / rate)
        shares = [f"{100 * each / seconds:.0f} %" for each in (*limits, max(limits))]
        print(
            f"{kernel:9} {seconds:8.1f} {size / 1e6 / seconds:6.0f} {shares[0]:>8} {shares[1]:>10} {shares[2]:>10} {rate / 1e6:16.0f} {found['peak'] / 1e9:8.2f} "
            f"{error:8.1e}", flush=True,
        )  # fmt: skip
        wrong = wrong or not error < TOLERANCE or found["peak"] > memory
        os.remove(to)
    if options.scaling:
        scaling(min(planes, max(1, round(options.scaling * 1e9 / 4 / side**2))), side, path, to, memory)
    if wrong:
        print("a result is wrong, or took more memory than it may")
    return int(wrong)


def scaling(planes, side, path, to, memory):
    print(f"\nfrom one to two, on {planes * side**2 * 4 / 1e9:.3g} GB: {'kernel':9} {'one, s':>8} {'two, s':>8} {'gain':>6} {'peak GB':>8}")
    given = {"path": path, "to": to, "side": side, "planes": planes}
    for kernel in SCALED:
        for what, calls in (
            ("threads of convolve_blockwise", [("blockwise", {"threads": n, "memory": memory}) for n in (1, 2)]),
            ("dask workers of one thread", [("distributed", {"workers": n}) for n in (1, 2)]),
        ):
            one, two = (child(name, kernel=kernel, **given, **more) for name, more in calls)
            print(f"  {what:31} {kernel:9} {one['seconds']:8.1f} {two['seconds']:8.1f} {one['seconds'] / two['seconds']:5.2f}x {two['peak'] / 1e9:8.2f}", flush=True)
            os.remove(to)


if __name__ == "__main__":
    sys.exit(main())

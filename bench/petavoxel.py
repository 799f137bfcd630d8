"""python -m bench.petavoxel: what a volume of 10**15 voxels costs on a thousand workers, on paper, from what one machine does.

Two ways to bring a chunk the neighbours' samples that its windows reach, its halo:

- a graph of dask arrays: each chunk is read once, and workers send each other pieces. A chunk takes TASKS tasks of the scheduler, which is one
  process;
- reading again: a task for each chunk of the result reads all that it needs from storage, whole chunks of which are read. Parts of
  convolve_blockwise do so on one machine.

With chunks of c samples along an axis and a halo of h on both sides, ((c + 2h) / c)**3 samples are needed for one that is written. Reading, computing,
sending and writing go on at once, so the slowest of them takes the time; the last chunks leave some workers idle. Computed is each output once:
blocks of 64**3 outputs take their own halo from a worker's memory, and the measured speed of the kernel has that in it.

    python -m bench.petavoxel                          # the table of the user guide
    python -m bench.petavoxel --kernel 3 --workers 100 --storage 1000 --network 1000
    python -m bench.petavoxel --measure FOLDER         # what this machine does, in place of CONSTANTS
    python -m bench.petavoxel --guide docs/large_arrays.md    # writes the table there
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# Of one machine, as `python -m bench.petavoxel --measure FOLDER` printed it: two cores of a virtual AMD EPYC with AVX-512, a virtual
# disk, Python 3.11, dask 2026.8, on 2026-11-28, with nothing beside it. Rates are millions per second.
CONSTANTS = {
    "kernel": 261.0,  # voxels of a 9 x 9 x 9 Gaussian in float32, two threads, from memory
    "storage": 1820.0,  # bytes read and written, together, while a file is copied on the local disk: of 16.4 GB, by bench.volume (2 GB: 2850)
    "network": 973.0,  # bytes from one worker of dask to another through the loopback address
    "task": 1.52,  # milliseconds of the scheduler for a task that does nothing
}
TASKS = 29  # of a chunk: one reads it, 26 cut off what neighbours need, one computes, one writes; tests count them
BYTES = 4  # of a voxel
CHUNKS = (128, 256, 512, 768, 1024, 1536, 2048)
HELD = 6  # arrays of about a chunk's size that a worker holds: read ahead, computed, written, and copies on the way
START, END = "<!-- table: python -m bench.petavoxel -->\n", "<!-- end of the table -->\n"


@dataclass(frozen=True)
class Way:
    """What one way of bringing neighbours' samples costs."""

    read: float  # PB from storage
    moved: float  # PB between workers
    tasks: int
    hours: dict  # of kernel, storage, network and scheduler, which go on at once

    @property
    def total(self):
        return max(self.hours.values())

    @property
    def slowest(self):
        return max(self.hours, key=self.hours.get)


def ways(options, edge):
    """By a graph, and by reading again, with chunks of `edge` samples along each axis."""
    halo, side = options.kernel_length // 2, round(options.voxels ** (1 / 3))
    count = (-(-side // edge)) ** 3
    petabytes = options.voxels * BYTES / 1e15
    touched = ((edge + 2 * -(-halo // options.stored) * options.stored) / edge) ** 3
    return (
        way(options, petabytes, petabytes * overhead(options, edge), TASKS, count, petabytes),
        way(options, petabytes * touched, 0.0, 1, count, petabytes),
    )


def overhead(options, edge):
    """Samples needed for one that is written, less one."""
    return ((edge + options.kernel_length // 2 * 2) / edge) ** 3 - 1


def way(options, read, moved, tasks, count, written):
    idle = -(-count // options.workers) * options.workers / count
    share = 1e9 / options.workers / 3600 * idle  # a PB, in units of 10**6 bytes that one worker moves for an hour at one in a second
    hours = {
        "kernel": options.voxels / 1e6 / options.workers / options.kernel / 3600 * idle,
        "storage": (read + written) * share / options.storage,
        "network": moved * share / options.network,
        "scheduler": tasks * count * options.task / 1e3 / 3600,
    }
    return Way(read, moved, tasks * count, hours)


def memory(options, edge):
    """GB of a worker."""
    return HELD * (edge + options.kernel_length // 2 * 2) ** 3 * BYTES / 1e9


# ---- the table -------------------------------------------------------------------------------------------------------------


def table(options):
    """Lines of Markdown."""
    petabytes, kernel = options.voxels * BYTES / 1e15, options.voxels / 1e6 / options.workers / options.kernel / 3600
    once = 2 * petabytes * 1e9 / options.workers / 3600 / options.storage
    lines = [
        (f"{options.voxels:.0e} voxels, {round(options.voxels ** (1 / 3)):,} along each axis, in float32: {petabytes:.3g} PB in and as much out. A kernel of "
         f"{' x '.join([str(options.kernel_length)] * 3)}. {options.workers} workers, of which each"),
        (f"computes {options.kernel:.0f} million voxels, reads or writes {options.storage:.0f} MB and receives {options.network:.0f} MB in a second; "
         f"{options.task:.3g} ms of the scheduler for a task; chunks of {options.stored}³ in storage."),
        f"The kernel alone takes {kernel:.1f} h, reading and writing everything once {once:.1f} h.",
        "",
        "| chunk | GB | halo | memory of a worker, GB | graph: moved, PB | million tasks | hours | slowest | reading again: read, PB | million tasks | hours | slowest |",
        "|" + "---|" * 12,
    ]
    found = {edge: ways(options, edge) for edge in CHUNKS}
    fitting = [edge for edge in CHUNKS if memory(options, edge) <= options.memory] or CHUNKS[:1]
    best = [min(fitting, key=lambda edge: (round(found[edge][way].total, 1), edge)) for way in (0, 1)]
    for edge, (graph, again) in found.items():
        cells = [f"{edge}³", digits(edge**3 * BYTES / 1e9), f"{100 * overhead(options, edge):.1f} %", digits(memory(options, edge))]
        for way, moved, chosen in ((graph, graph.moved, edge == best[0]), (again, again.read, edge == best[1])):
            cells += [f"{moved:.2f}", digits(way.tasks / 1e6), f"**{way.total:.1f}**" if chosen else f"{way.total:,.1f}", way.slowest]
        lines.append("| " + " | ".join(cells) + " |")
    chosen = [f"{edge}³ {how}" for edge, how in zip(best, ("for a graph", "for reading again"))]
    return "\n".join([*lines, "", f"Chosen, as the quickest with which a worker gets by on {options.memory:.0f} GB: {', '.join(chosen)}.", ""])


def digits(value):
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def with_table(text, lines):
    """The guide with this table in place of the one that it has."""
    before, rest = text.split(START)
    return before + START + "\n" + lines + "\n" + END + rest.split(END)[1]


# ---- what one machine does -------------------------------------------------------------------------------------------------


def nothing(number):
    return number


def measure(folder):
    """What CONSTANTS has, of this machine."""
    from dask.distributed import Client, LocalCluster, wait

    from . import volume

    with tempfile.TemporaryDirectory(dir=folder) as place:
        path, size = os.path.join(place, "file"), 2 * 10**9
        volume.create(path, size)
        storage = 2 * size / 1e6 / volume.copy(path, path + "2")
    piece = volume.child("from_memory", side=700, planes=512, kernel="gauss 9", threads=2, memory=2 * 10**9)
    found = {"kernel": 512 * 700**2 / 1e6 / piece["seconds"], "storage": storage}
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=logging.CRITICAL) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        first, second = client.scheduler_info()["workers"]
        times = []
        for turn in range(4):
            data = client.submit(bytes, 2**28 + turn, workers=[first], pure=False)
            wait(data)
            started = time.perf_counter()
            wait(client.submit(len, data, workers=[second], pure=False))
            times.append(time.perf_counter() - started)
        found["network"] = 2**28 / 1e6 / min(times)
        times = []
        for turn in range(3):
            started = time.perf_counter()
            wait(client.map(nothing, range(turn * 5000, turn * 5000 + 5000)))
            times.append((time.perf_counter() - started) / 5000)
        found["task"] = min(times) * 1e3
    return found


def parser():
    found = argparse.ArgumentParser(prog="python -m bench.petavoxel", description=__doc__.partition("\n")[0])
    found.add_argument("--voxels", type=float, default=1e15)
    found.add_argument("--workers", type=int, default=1000)
    found.add_argument("--kernel-length", type=int, default=9, help="taps along each axis (default: 9)")
    found.add_argument("--stored", type=int, default=64, help="samples along each axis of a chunk in storage (default: 64)")
    found.add_argument("--memory", type=float, default=32, help="GB of a worker (default: 32)")
    for name, what in (
        ("kernel", "millions of voxels a worker computes in a second"), ("storage", "MB that a worker reads or writes in a second"),
        ("network", "MB that a worker receives in a second"), ("task", "milliseconds of the scheduler for a task"),
    ):  # fmt: skip
        found.add_argument(f"--{name}", type=float, default=CONSTANTS[name], help=f"{what} (default: {CONSTANTS[name]:g})")
    found.add_argument("--measure", metavar="FOLDER", help="measure these four, with 2 GB in a folder")
    found.add_argument("--guide", metavar="FILE", type=Path, help="write the table into the user guide")
    return found


def main(arguments=None):
    options = parser().parse_args(arguments)
    if options.measure:
        for name, value in measure(options.measure).items():
            print(f'    "{name}": {value:.3g},')
    elif options.guide:
        options.guide.write_text(with_table(options.guide.read_text(), table(options)))
    else:
        print(table(options), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

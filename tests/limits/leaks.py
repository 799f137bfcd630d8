"""What many calls leave behind: different shapes, the same calls again and again, refused calls, plans and networks made and thrown away.

    python tests/limits/leaks.py                16,000 shapes, 100,000 calls, 100,000 refusals ...: some minutes
    python tests/limits/leaks.py --share 0.02   a fiftieth of that

In the second half of the calls the blocks that Python has handed out and the bytes that the C library has must not be more than in the first, and no
dictionary, list or cache of cyconv's may be larger than its bound. tracemalloc tells what grew, if something did.
"""

import argparse
import ctypes
import functools
import gc
import itertools
import random
import sys
from pathlib import Path

import numpy as np

import cyconv
from cyconv import grad, nn, signal

BYTES_PER_CALL = 1.0  # that may be left: noise of lists and arenas; a leak of one object a call is 16 at least
BLOCKS_PER_CALL = 0.01
LOOKS = 40, 4  # at the memory, in each half; of a share of the calls
MOST_KEPT = 1100  # entries of a cache of cyconv's: CACHED, 1024, is the largest bound


class Heap(ctypes.Structure):
    """mallinfo2 of the C library."""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


def state():
    """(blocks of Python's, bytes of the C library's, resident bytes)."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    cyconv.release_memory()
    gc.collect()
    heap = libc.mallinfo2()
    resident = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return sys.getallocatedblocks(), heap.uordblks + heap.hblkhd, resident * 1024


# ---- what is called ----------------------------------------------------------------------------------------------------------


def shapes():
    """A new shape each time, through every kind of function."""
    sizes = list(itertools.product(range(8, 48), range(8, 48), range(1, 5), range(1, 5)))
    random.Random(0).shuffle(sizes)  # what is kept of a large one may be larger

    def call(i):
        h, w, c, n = sizes[i]
        x = np.ones((n, c, h, w), np.float32)
        k = np.ones((2, c, 3, 3), np.float32)
        y = cyconv.conv2d(x, k, padding=1)
        (cyconv.max_pool2d, cyconv.avg_pool2d, cyconv.min_pool2d)[i % 3](x, 2)
        if i % 3 == 0:
            cyconv.conv_transpose2d(y, np.ones((2, 1, 2, 2), np.float32), stride=2)
            cyconv.adaptive_avg_pool2d(x, (3, 2))
            cyconv.unfold(x, 3)
        elif i % 3 == 1:
            grad.conv2d_weight(x, k.shape, y, padding=1)
            cyconv.maximum_filter(x, 3)
            signal.correlate(x[0, 0], k[0, 0])
        else:
            cyconv.conv2d(x, k, algorithm="fft")
            values, indices = cyconv.max_pool2d(x, 2, return_indices=True)
            cyconv.max_unpool2d(values, indices, 2, output_size=(h, w))
            grad.max_pool2d_input(x.shape, indices, values)
            grad.avg_pool2d_input(x.shape, values, 2)

    return call


def lengths():
    """Signals of ever new lengths, whose transforms want ever new tables."""

    counts = list(range(300, 300 + 7 * 4000, 7))
    random.Random(0).shuffle(counts)

    def call(i):
        x = np.ones((1, 1, counts[i]), np.float32)
        cyconv.conv1d(x, x[:, :, : 60 + i % 200], algorithm="fft")
        signal.fftconvolve(x[0, 0], x[0, 0, : 31 + i % 50])
        cyconv.uniform_filter(x[0, 0], 5)

    return call


def same():
    """The same few calls."""
    rng = np.random.default_rng(0)
    x, k, deep = (rng.random(shape, dtype=np.float32) for shape in ((1, 4, 16, 16), (4, 4, 3, 3), (1, 1, 16, 16)))
    ints = (x * 9).astype(np.int16)
    values, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    calls = [
        *(functools.partial(cyconv.conv2d, x, k, padding=1, algorithm=name) for name in ("auto", "direct", "im2col", "implicit_gemm", "winograd", "fft")),
        lambda: cyconv.conv2d(x, k, np.zeros(4, np.float32), padding_mode="reflect", padding=1),
        lambda: cyconv.conv2d(ints, ints[:, :, :3, :3]),
        lambda: cyconv.conv2d(deep, np.ones((1, 1, 5, 5), np.float32), algorithm="separable"),
        lambda: cyconv.conv2d(x, k, out=np.empty((1, 4, 14, 14), np.float32)),
        lambda: cyconv.conv2d(x.astype(np.float16), k.astype(np.float16)),
        lambda: cyconv.conv2d(x + 1j * x, k + 1j * k),
        lambda: cyconv.conv_transpose2d(x, k, stride=2),
        lambda: grad.conv2d_weight(x, k.shape, x, padding=1),
        lambda: grad.conv2d_input(x.shape, k, x, padding=1),
        lambda: cyconv.max_pool2d(x, [2, 2], return_indices=True),
        lambda: cyconv.max_pool2d(x, 2),
        lambda: cyconv.avg_pool2d(x, 3, 1, 1),
        lambda: cyconv.lp_pool2d(x, 2, 2),
        lambda: cyconv.adaptive_avg_pool2d(x, 3),
        lambda: cyconv.max_unpool2d(values, indices, 2),
        lambda: grad.max_pool2d_input(x.shape, indices, values),
        lambda: cyconv.unfold(x, 3),
        lambda: cyconv.maximum_filter(x, 3),
        lambda: signal.convolve(x[0, 0], k[0, 0]),
        lambda: signal.convolve2d(x[0, 0], k[0, 0], "same", "symm"),
        lambda: cyconv.softmax(x),
        lambda: cyconv.relu(x),
        lambda: cyconv.explain(x, k),
    ]
    for call in calls:
        call()
    return lambda i: calls[i % len(calls)]()


def refused():
    """Calls that raise."""
    x, k = np.ones((1, 4, 16, 16), np.float32), np.ones((4, 4, 3, 3), np.float32)
    huge = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**20))
    calls = [
        lambda: cyconv.conv2d(x, k[:, :3]),
        lambda: cyconv.conv2d(x, k, stride=0),
        lambda: cyconv.conv2d(x, k.astype(int)),
        lambda: cyconv.conv2d(x, k, padding="nothing"),
        lambda: cyconv.conv2d(x, k, algorithm="channel_lanes"),
        lambda: cyconv.conv2d(x, k, max_workspace=1, algorithm="winograd"),
        lambda: cyconv.conv2d(x, k, out=np.ones(3)),
        lambda: cyconv.conv2d(huge, k[:1, :1], padding=2**61),
        lambda: cyconv.conv_transpose2d(x, k, stride=2**61),
        lambda: cyconv.max_pool2d(x, 99),
        lambda: cyconv.max_pool2d(None, 2),
        lambda: cyconv.avg_pool2d(x, 2, divisor_override=0),
        lambda: cyconv.max_unpool2d(x, np.full(x.shape, 10**6), 2),
        lambda: cyconv.unfold(x, 99),
        lambda: cyconv.fold(x[0], 9, 2),
        lambda: cyconv.maximum_filter(x, 0),
        lambda: signal.convolve(x, k[0]),
        lambda: grad.conv2d_weight(x, (1, 2, 3), x),
        lambda: cyconv.set_num_threads(0),
    ]

    def call(i):
        try:
            calls[i % len(calls)]()
        except (ValueError, TypeError, MemoryError):
            return
        raise AssertionError(f"call {i % len(calls)} was not refused")

    return call


def plans():
    """Plans made, used once, and thrown away."""
    x, k = np.ones((1, 8, 16, 16), np.float32), np.ones((8, 8, 3, 3), np.float32)
    algorithms = "direct", "im2col", "implicit_gemm", "winograd", "fft"

    def call(i):
        plan = cyconv.plan_conv((1, 8, 16 + i % 7, 16 + i % 11), k, padding=1, algorithm=algorithms[i % 5])
        if i % 77 == 0:
            plan(x)

    return call


def networks():
    """Networks made, trained a step, and thrown away."""
    x, labels = np.ones((2, 3, 12, 12), np.float32), np.array([0, 1])

    def call(i):
        net = nn.Sequential(nn.Conv2d(3, 4, 3, seed=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 2, seed=0))
        loss, optimizer = nn.CrossEntropyLoss(), nn.SGD(net.parameters(), lr=0.1)
        loss(net(x), labels)
        net.backward(loss.backward())
        optimizer.step()

    return call


ROWS = {"shapes": (shapes, 8000), "lengths": (lengths, 2000), "same calls": (same, 50_000), "refused calls": (refused, 50_000), "plans": (plans, 5000), "networks": (networks, 1000)}  # noqa: E501
LEAST = {"shapes": 6000, "lengths": 1500, "plans": 500}  # by then all caches are full


# ---- caches ------------------------------------------------------------------------------------------------------------------


def caches():
    """{name: (entries, bound or None)} of all functools caches and of all dictionaries, lists and sets in modules of cyconv's."""
    found = {}
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith("cyconv"):
            info = each.cache_info()
            found[f"{each.__module__}.{each.__qualname__}()"] = info.currsize, info.maxsize
    for name, module in list(sys.modules.items()):
        if name.startswith("cyconv"):
            for key, value in vars(module).items():
                if isinstance(value, (dict, list, set)) and not key.startswith("__"):
                    found[f"{name}.{key}"] = len(value), None
    return found


def largest_of_others():
    """The largest dictionary that holds problems: those which compiled modules keep to themselves are seen by the garbage collector alone."""
    return max((len(d) for d in gc.get_objects() if type(d) is dict and any(type(v).__module__.startswith("cyconv.") for v in itertools.islice(d.values(), 3))), default=0)


def measured(make, count, looks=LOOKS[0]):
    """What the second half took more than the first, each at its height: (blocks, bytes of the C library, resident bytes). Some caches are
    emptied when they are full, so that a single look may find them full or empty."""
    call, halves = make(), []
    for half in range(2):
        seen = []
        for i in range(half * count, (half + 1) * count):
            call(i)
            if i % max(count // looks, 1) == 0 and i % count >= count // 4:  # the first calls fill what is kept
                seen.append(state())
        seen.append(state())
        halves.append([max(each) for each in zip(*seen)])
    return tuple(b - a for a, b in zip(*halves))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}")
    options = parser.parse_args()
    wrong = 0
    print("| | calls | blocks of Python's | C library, bytes | resident, KiB | bytes a call |\n|---|---|---|---|---|---|")
    for name, (make, count) in ROWS.items():
        if options.rows and name not in options.rows:
            continue
        count = max(int(count * options.share), LEAST.get(name, 60))
        blocks, heap, resident = measured(make, count, LOOKS[options.share < 1])
        each = heap / count
        bad = each > BYTES_PER_CALL + 4096 / count or blocks / count > BLOCKS_PER_CALL + 200 / count
        wrong += bad
        print(f"| {name} | 2 x {count} | {blocks:+d} | {heap:+d} | {resident / 1024:+.0f} | {each:+.3f}{' GREW' * bad} |", flush=True)
    all_caches = caches()
    unbounded = {name: size for name, (size, bound) in all_caches.items() if bound is None and name.endswith("()")}
    largest = max(all_caches.items(), key=lambda item: item[1][0])
    print(f"{len(all_caches)} caches, dictionaries, lists and sets; the largest is {largest[0]} with {largest[1][0]} entries (bound {largest[1][1]})")
    print(f"the largest dictionary of problems, wherever it is: {largest_of_others()}")
    print("without a bound:", ", ".join(f"{name} ({size})" for name, size in unbounded.items()) or "none")
    wrong += largest[1][0] > MOST_KEPT or largest_of_others() > MOST_KEPT or any(size > 8 for size in unbounded.values())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

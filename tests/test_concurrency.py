"""Many Python threads at once: the bits of a serial run, from the very first call on, and time for others meanwhile.

Nothing here asks for the GIL: on an interpreter without one the same tests are the stress test of what cyconv shares between threads.
"""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import FAST, ROWS, Case, arrays, conv, problem_of, runs, suited

import cyconv
from cyconv import nn
from cyconv.threads import available_cpus

RNG = np.random.default_rng(0)
THREADS = 8


# ---- calls of everything that has a kernel ---------------------------------------------------------------------------------------

LAYERS = [  # large enough for several threads to be worth their start
    Case("layer", (2, 16, 40, 41), (24, 16, 3, 3), {"padding": 1}),
    Case("picture", (1, 1, 200, 210), (1, 1, 9, 7), {"padding": (4, 3), "padding_mode": "reflect"}),
    Case("depthwise", (2, 32, 30, 31), (32, 1, 5, 5), {"padding": 2, "groups": 32}),
    Case("signal", (1, 1, 30_000), (1, 1, 301)),
    Case("few_outputs", (1, 8, 70, 70), (4, 8, 66, 66)),
    Case("strided_volume", (1, 4, 16, 18, 20), (8, 4, 3, 3, 3), {"stride": 2, "padding": 1}),
]


def convolutions():
    for seed, case in enumerate(LAYERS):
        for dtype in ("float32", "float64", "complex64", "int16"):
            x, w, bias = arrays(case, dtype, seed, small=False)
            for name in (*FAST, "auto"):
                weight = w if name == "auto" else suited(name, w)
                if name == "auto" or computes(name, problem_of(case, dtype, bias), weight):
                    yield f"{case} {dtype} {name}", lambda x=x, w=weight, b=bias, c=case, a=name: conv(c.rank)(x, w, b, algorithm=a, **c.arguments)


def computes(name, problem, weight):
    return runs(name, problem) and (not ROWS[name].weights or ROWS[name].module.suits(problem, weight))


def pools():
    x, volume = RNG.standard_normal((2, 8, 60, 61), np.float32), RNG.standard_normal((1, 2, 20, 21, 22), np.float32)
    for algorithm in ("sliding", "pool"):
        for kernel in (2, 5):
            yield f"max {kernel} {algorithm}", lambda k=kernel, a=algorithm: cyconv.max_pool2d(x, k, 2, return_indices=True, algorithm=a)
            yield f"avg {kernel} {algorithm}", lambda k=kernel, a=algorithm: cyconv.avg_pool2d(x, k, 1, k // 2, algorithm=a)
            yield f"lp {kernel} {algorithm}", lambda k=kernel, a=algorithm: cyconv.lp_pool2d(x, 3, k, algorithm=a)
            yield f"max3d {kernel} {algorithm}", lambda k=kernel, a=algorithm: cyconv.max_pool3d(volume, k, 1, algorithm=a)
    yield "adaptive", lambda: (cyconv.adaptive_avg_pool2d(x, (7, 9)), cyconv.adaptive_max_pool3d(volume, 3, return_indices=True))
    yield "global", lambda: (cyconv.adaptive_avg_pool2d(x, 1), cyconv.adaptive_max_pool2d(x, 1))
    pooled, where = cyconv.max_pool2d(x, 2, return_indices=True)
    yield "unpool", lambda: cyconv.max_unpool2d(pooled, where, 2, output_size=x.shape[2:])
    yield "minima", lambda: cyconv.min_pool3d(volume, 3, 1)
    yield "avg_input", lambda: cyconv.grad.avg_pool2d_input(x.shape, pooled, 2)
    yield "filters", lambda: (cyconv.maximum_filter(x[0, 0], 7), cyconv.minimum_filter(volume[0, 0], 5), cyconv.uniform_filter(x[0, 0], 9))


def others():
    x, w = RNG.standard_normal((2, 8, 30, 31), np.float32), RNG.standard_normal((8, 6, 4, 4), np.float32)
    y, back = RNG.standard_normal((2, 12, 30, 31), np.float32), RNG.standard_normal((12, 8, 3, 3), np.float32)
    for stride in (1, 2, 3):
        yield f"transposed {stride}", lambda s=stride: cyconv.conv_transpose2d(x, w, stride=s, padding=1)
    yield "grad weight", lambda: cyconv.grad.conv2d_weight(x, back.shape, y, padding=1)
    yield "grad input", lambda: cyconv.grad.conv2d_input(x.shape, back, y, padding=1)
    yield "grad bias", lambda: cyconv.grad.conv2d_bias(y)
    yield "unfold", lambda: cyconv.unfold(x, 3, padding=1)
    columns = cyconv.unfold(x, 3, padding=1)
    yield "fold", lambda: cyconv.fold(columns, (30, 31), 3, padding=1)
    image, kernel = RNG.standard_normal((150, 160)), RNG.standard_normal((21, 19))
    yield "signal", lambda: (
        cyconv.signal.fftconvolve(image, kernel), cyconv.signal.correlate2d(image, kernel, boundary="symm"),
        cyconv.signal.oaconvolve(image[0], kernel[0]), cyconv.signal.match_template(image, kernel),
    )  # fmt: skip
    yield "network", lambda: (
        cyconv.relu(x), cyconv.softmax(x, 1), cyconv.batch_norm(x, None, None, training=True), cyconv.linear(x, y[0, 0]),
        cyconv.dropout(x, 0.5, seed=3),
    )  # fmt: skip


def shared():
    """Plans and layers that all threads use at once."""
    x = RNG.standard_normal((2, 16, 40, 41), np.float32)
    w = RNG.standard_normal((24, 16, 3, 3), np.float32)
    spoiled = x.copy()
    spoiled[0, 0, 0, 0] = np.nan  # computed again by another algorithm, whose weights the plan prepares then
    for name in ("direct", "implicit_gemm", "im2col", "winograd", "fft", "auto"):
        plan = cyconv.plan_conv(x.shape, w, padding=1, algorithm=name)
        yield f"plan {name}", lambda p=plan: p(x)
    plan = cyconv.plan_conv(x.shape, w, padding=1)
    yield "plan that computes again", lambda: plan(spoiled)
    net = nn.Sequential(nn.Conv2d(16, 8, 3, seed=0), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 19 * 19, 10, seed=1)).eval()
    yield "network of layers", lambda: net(x)


def bits(results):
    return b"".join(np.ascontiguousarray(each).tobytes() for each in (results if isinstance(results, tuple) else (results,)))


def differing(calls, rounds=1):
    """The names of calls that gave other bits than a serial run, when eight threads of different `cyconv.threads` made all of them at once."""
    with cyconv.threads(1):
        want = {name: bits(call()) for name, call in calls}
    wrong, start = [], threading.Barrier(THREADS)

    def work(number):
        start.wait()
        for i in range(rounds * len(calls)):
            name, call = calls[(i + number * len(calls) // THREADS) % len(calls)]
            try:
                with cyconv.threads(1 + (number + i) % 4):
                    if bits(call()) != want[name]:
                        wrong.append(name)
            except BaseException as error:
                wrong.append(f"{name}: {error!r}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


@pytest.fixture
def hasty():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("make", [convolutions, pools, others, shared])
def test_eight_threads_give_the_bits_of_one(make, hasty):
    calls = list(make())
    if make is convolutions:
        calls = calls[::3]
    assert differing(calls) == []


@pytest.mark.slow
def test_eight_threads_give_the_bits_of_one_again_and_again(hasty):
    calls = [call for make in (convolutions, pools, others, shared) for call in make()]
    assert differing(calls, rounds=20) == []


@pytest.mark.slow
def test_eight_threads_release_memory_and_set_threads_meanwhile(hasty):
    """What is common to all threads changes all the time; no result does."""
    over, before = threading.Event(), cyconv.get_num_threads()

    def disturb():
        while not over.is_set():
            cyconv.release_memory()
            cyconv.set_num_threads(1 + int(time.monotonic() * 1000) % 4)
            for size in range(1, 40):  # problems that nobody has met
                cyconv.conv1d(np.ones((1, 1, 60 + size)), np.ones((1, 1, size)))

    other = threading.Thread(target=disturb)
    other.start()
    try:
        assert differing([call for make in (convolutions, pools, others) for call in make()], rounds=5) == []
    finally:
        over.set()
        other.join()
        cyconv.set_num_threads(before)


# ---- the very first calls ----------------------------------------------------------------------------------------------------------

COLD = """
import sys, threading
import numpy as np
sys.setswitchinterval(1e-6)
import cyconv
x, w = np.random.default_rng(0).standard_normal((2, 4, 24, 25)), np.random.default_rng(1).standard_normal((4, 4, 3, 3))
calls = [lambda a=a: cyconv.conv2d(x, w, algorithm=a) for a in ("direct", "implicit_gemm", "im2col", "winograd", "fft", "auto", "depthwise")]
calls += [
    lambda: cyconv.conv2d(x, w[:, :1], groups=4, algorithm="channel_lanes"), lambda: cyconv.conv2d(x, np.resize(w, (2, 4, 20, 20)), algorithm="dots"),
    lambda: cyconv.conv2d(x, np.ones((1, 4, 5, 5)), algorithm="separable"),
    lambda: cyconv.max_pool2d(x, 3, 2), lambda: cyconv.avg_pool2d(x, 5, 1), lambda: cyconv.lp_pool2d(x, 2, 3), lambda: cyconv.adaptive_avg_pool2d(x, 5),
    lambda: cyconv.maximum_filter(x[0, 0], 5), lambda: cyconv.conv_transpose2d(x, w, stride=2),
    lambda: cyconv.grad.conv2d_weight(x, w.shape, np.ones((2, 4, 22, 23))),
    lambda: cyconv.unfold(x, 3), lambda: cyconv.signal.fftconvolve(x[0, 0], x[0, 1]), lambda: cyconv.signal.correlate2d(x[0, 0], w[0, 0]),
    lambda: cyconv.batch_norm(x, None, None, training=True), lambda: cyconv.softmax(x, 1), lambda: cyconv.nn.Conv2d(4, 3, 3, seed=0)(x.astype("float32")),
]
start, found = threading.Barrier(8), {}
def work(number):
    try:
        start.wait()
        for i in range(len(calls)):
            which = i if ALIKE else (i + 3 * number) % len(calls)
            found[number, which] = calls[which]().tobytes()
    except BaseException as error:
        found[number, "error"] = error
        raise
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
wrong = [key for key, got in found.items() if key[1] == "error" or got != calls[key[1]]().tobytes()]
assert len(found) == 8 * len(calls) and not wrong, (len(found), wrong)
print("right")
"""


def cold(alike):
    done = subprocess.run(
        [sys.executable, "-c", COLD.replace("ALIKE", str(alike))], env=os.environ | {"CYCONV_NUM_THREADS": "2"}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "right", done.stderr


@pytest.mark.parametrize("alike", [True, False])
def test_the_first_calls_come_at_once(alike):
    """Modules that are loaded late, choices, tables of roots and whatever else is made once."""
    cold(alike)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [True, False])
def test_the_first_calls_come_at_once_again_and_again(alike):
    for _ in range(30):
        cold(alike)


# ---- others go on meanwhile ---------------------------------------------------------------------------------------------------------

PLANE, BATCH = np.ones((1500, 1600), np.float32), np.ones((1, 16, 800, 800), np.float32)
LONG_CALLS = {  # 10 to 100 ms on one idle core; convolutions by each algorithm: test_contract.py
    "max_pool": lambda: cyconv.max_pool2d(BATCH, 31, 1),
    "pool": lambda: cyconv.max_pool2d(PLANE[None, None], 11, 1, algorithm="pool"),
    "lp_pool": lambda: cyconv.lp_pool2d(PLANE[None, None, :600], 3, 15, 1),
    "uniform_filter": lambda: cyconv.uniform_filter(BATCH[0, :2], 41),
    "transposed": lambda: cyconv.conv_transpose2d(BATCH[:, :, :400, :400].reshape(1, 64, 200, 200), np.ones((64, 32, 4, 4), np.float32), stride=2),
    "weight_gradient": lambda: cyconv.grad.conv2d_weight(BATCH[:, :, :504, :504], (16, 16, 5, 5), BATCH[:, :, :500, :500]),
    "unfold": lambda: cyconv.unfold(PLANE[None, None, :300], 7),
    "signal": lambda: cyconv.signal.correlate2d(PLANE, PLANE[:50, :50]),
    "template": lambda: cyconv.signal.match_template(PLANE, PLANE[:12, :12] * np.arange(12, dtype=np.float32)),
}


class Counter(threading.Thread):
    """A loop of pure Python, which needs the GIL where there is one."""

    def __init__(self):
        super().__init__(daemon=True)
        self.count, self.over = 0, False

    def run(self):
        while not self.over:
            self.count += 1

    def during(self, call):
        """(steps, seconds) of a call."""
        before, begin = self.count, time.perf_counter()
        call()
        return self.count - before, time.perf_counter() - begin


@pytest.mark.parametrize("name", LONG_CALLS)
def test_python_goes_on_meanwhile(name, hasty):
    counter = Counter()
    counter.start()
    try:
        steps, seconds = counter.during(lambda: time.sleep(0.05))
        alone = steps / seconds
        with cyconv.threads(1):
            shares = []
            while len(shares) < 5 and max(shares, default=0) < 0.2:  # a busy machine may not let another thread run for a while
                steps, seconds = counter.during(LONG_CALLS[name])
                shares.append(steps / seconds / alone)
        assert max(shares) >= 0.2, f"of the steps that the loop makes alone: {shares}"
    finally:
        counter.over = True
        counter.join()


@pytest.mark.slow
@pytest.mark.skipif(available_cpus() < 2, reason="needs two CPUs")
def test_two_threads_overlap(capsys):
    """Medians of interleaved turns; on two idle cores."""
    x, w = np.ones((4, 64, 112, 112), np.float32), np.ones((64, 64, 3, 3), np.float32)
    calls = LONG_CALLS | {name: lambda a=name: cyconv.conv2d(x, w, padding=1, algorithm=a) for name in ("direct", "implicit_gemm", "im2col", "winograd", "fft")}
    ratios = {}
    for name, call in calls.items():
        turns = []
        for _ in range(7):
            begin = time.perf_counter()
            serially(call)
            serially(call)
            middle = time.perf_counter()
            at_once(call)
            turns.append((middle - begin) / (time.perf_counter() - middle))
        ratios[name] = sorted(turns)[3]
    with capsys.disabled():
        print("\ntwo calls one after the other / at once in two Python threads:", ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    assert np.median(list(ratios.values())) >= 1.6  # what moves memory rather than computes is bounded by that


def serially(call):
    with cyconv.threads(1):
        call()


def at_once(call):
    workers = [threading.Thread(target=serially, args=(call,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

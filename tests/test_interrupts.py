"""Ctrl-C during a call of ten seconds: the answer comes within half a second, and everything works as before (rule 13 of docs/semantics.md).

Two ways to look at it. A child process sends SIGINT to a call that would take ten seconds more. And a signal every 10 ms, whose handler
writes down when it ran, tells the longest silence of a whole call: in no phase would Ctrl-C have waited longer.
"""

import contextlib
import ctypes
import dis
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cyconv
from cyconv import grad, gradients, memory
from cyconv import signal as signals
from cyconv.threads import can_hold_blas

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")

ANSWER = 0.5  # seconds


def some(*shape, dtype="float32"):
    """Numbers without long sums in common; large arrays repeat themselves, since random numbers take long."""
    numbers = np.random.default_rng(0).standard_normal(min(np.prod(shape), 2**18))
    return np.resize(numbers.astype(dtype), shape)


def spoiled(*shape):
    """The same with a NaN, which keeps algorithms from using what spreads it."""
    numbers = some(*shape)
    numbers[..., 3] = np.nan
    return numbers


def many(n, *shape, dtype="float32"):
    """A batch of n times the same, which takes no more memory than one."""
    return np.broadcast_to(some(1, *shape, dtype=dtype), (n, *shape))


def convolution(algorithm, shape, kernel, dtype="float32", **options):
    def make(n):
        x, w = many(n, *shape, dtype=dtype), np.ones(kernel, dtype) if algorithm == "separable" else some(*kernel, dtype=dtype)
        function = getattr(cyconv, f"conv{len(kernel) - 2}d")
        return lambda out=None: function(x, w, algorithm=algorithm, out=out, **options)

    return make


# What takes as long as one likes: `make(n)` is a call on n images, or on something n times as long.
LONG = {
    "direct": convolution("direct", (64, 56, 56), (128, 64, 3, 3), padding=1),
    "direct int64": convolution("direct", (16, 56, 56), (32, 16, 3, 3), "int64", padding=1),
    "direct complex128": convolution("direct", (32, 56, 56), (64, 32, 3, 3), "complex128", padding=1),
    "depthwise": convolution("depthwise", (1, 400, 400), (1, 1, 31, 31)),
    "dots": convolution("dots", (8, 300, 300), (8, 8, 290, 290), max_workspace=2**33),
    "channel_lanes": convolution("channel_lanes", (64, 56, 56), (64, 1, 15, 15), groups=64),
    "implicit_gemm": convolution("implicit_gemm", (256, 28, 28), (512, 256, 3, 3), padding=1),
    "im2col": convolution("im2col", (256, 28, 28), (512, 256, 3, 3), padding=1),
    "im2col complex128": convolution("im2col", (64, 28, 28), (64, 64, 3, 3), "complex128", padding=1),
    "separable": convolution("separable", (1, 1200, 1200), (1, 1, 601, 601)),
    "fft": convolution("fft", (64, 128, 128), (4, 64, 31, 31)),
    "winograd": convolution("winograd", (256, 28, 28), (512, 256, 3, 3), padding=1),
    "reference": convolution("reference", (32, 56, 56), (32, 32, 3, 3), padding=1, max_workspace=2**33),
    "reference 1x1": convolution("reference", (512, 28, 28), (512, 512, 1, 1), max_workspace=2**33),
    "auto with a NaN": lambda n: lambda x=np.broadcast_to(spoiled(1, 256, 28, 28), (n, 256, 28, 28)), w=some(512, 256, 3, 3): cyconv.conv2d(x, w),
    "one long signal": lambda n: lambda x=some(1, 1, 50_000 * n), w=some(1, 1, 8191): cyconv.conv1d(x, w, algorithm="depthwise"),
    "one large plane": lambda n: lambda x=some(1, 1, 100 * n, 3000), w=some(1, 1, 63, 63): cyconv.conv2d(x, w, padding=31, algorithm="direct"),
    "one volume": lambda n: lambda x=some(1, 4, 4 * n, 100, 100), w=some(8, 4, 7, 7, 7): cyconv.conv3d(x, w, padding=3, algorithm="implicit_gemm"),
    "many channels": lambda n: lambda x=many(n, 4096, 1, 1), w=some(4096, 4096, 1, 1): cyconv.conv2d(x, w),
    "transposed": lambda n: lambda x=many(n, 256, 28, 28), w=some(256, 64, 6, 6): cyconv.conv_transpose2d(x, w, stride=2, padding=2),
    "gradient of input": lambda n: lambda y=many(n, 128, 28, 28), w=some(128, 128, 3, 3): grad.conv2d_input((n, 128, 28, 28), w, y, padding=1),
    "gradient of weight": lambda n: lambda x=some(n, 64, 56, 56), y=some(n, 256, 50, 50): grad.conv2d_weight(x, (256, 64, 7, 7), y),
    "sliding": lambda n: lambda x=many(n, 1, 1000, 1000): cyconv.max_pool2d(x, 101, 25),
    "sliding with indices": lambda n: lambda x=many(n, 1, 500, 500): cyconv.max_pool2d(x, 101, 25, return_indices=True),
    "sliding averages": lambda n: lambda x=many(n, 1, 1000, 1000, dtype="float64"): cyconv.avg_pool2d(x, 101, 25),
    "pool": lambda n: lambda x=many(n, 1, 300, 300): cyconv.max_pool2d(x, 51, 5, algorithm="pool"),
    "lp_pool": lambda n: lambda x=many(n, 1, 200, 200): cyconv.lp_pool2d(x, 3.5, 21, 2),
    "adaptive": lambda n: lambda x=many(n, 8, 500, 500): cyconv.adaptive_avg_pool2d(x, 7),
    "signal.correlate2d": lambda n: lambda x=some(100 * n, 300, dtype="i8"), w=some(63, 63, dtype="i8"): signals.correlate2d(x, w, boundary="symm"),
    "signal.oaconvolve": lambda n: lambda x=some(n, 200_000), w=some(1, 150_001): signals.oaconvolve(x, w, axes=1, mode="same"),
    "signal.convolve": lambda n: lambda x=some(20_000 * n), w=some(20_001): signals.convolve(x, w, method="direct", mode="same"),
    "match_template": lambda n: lambda x=some(200 * n, 1000), w=some(60, 60): signals.match_template(x, w),
}  # fmt: skip
QUICK = ("direct int64", "im2col complex128", "dots", "fft", "winograd", "sliding", "pool")


def lasting(make, wanted=12):
    """`make(n)` with an n for which the call takes so many seconds, by how long some take."""
    n, seconds = 1, 0.0
    make(1)()
    while seconds < 0.04:
        n, call = (n, make(n)) if seconds == 0 else (2 * n, make(2 * n))
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
    return make(int(n * wanted / seconds) + 1)


@contextlib.contextmanager
def handling(handler, number=signal.SIGINT):
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


# perf_counter is the machine's clock, the same in all processes
SENDER = "import os, signal, sys, time; time.sleep(float(sys.argv[2])); print(time.perf_counter()); os.kill(int(sys.argv[1]), signal.SIGINT)"


def answer(call, error=KeyboardInterrupt, after=0.2):
    """Seconds from a SIGINT, which a child process sends after a while, to the end of the call by an exception."""
    with subprocess.Popen([sys.executable, "-S", "-c", SENDER, str(os.getpid()), str(after)], stdout=subprocess.PIPE, text=True) as sender:
        try:
            with pytest.raises(error):
                call()
                time.sleep(10)  # it was over too soon: the test fails with what comes next
                raise AssertionError("no signal came")
            end = time.perf_counter()
        finally:
            with contextlib.suppress(KeyboardInterrupt):
                sent = float(sender.communicate()[0])
    return end - sent


def soonest(call, error=KeyboardInterrupt):
    """The best of three answers: other programs may have taken the CPUs in the others."""
    seconds = []
    while len(seconds) < 3 and min(seconds, default=ANSWER) >= ANSWER:
        seconds.append(answer(call, error))
    return min(seconds)


def blas_threads():
    """Of the BLAS that im2col holds to one thread, or None."""
    from scipy.linalg import cython_blas

    from cyconv.threads import _SETTERS

    library = ctypes.CDLL(cython_blas.__file__)
    return next((getattr(library, getter)() for _, getter in _SETTERS if hasattr(library, getter)), None) if can_hold_blas() else None


@pytest.fixture
def as_before():
    """What must be the same before and after a test: threads, and the bits of every algorithm's results."""

    x, w = some(2, 16, 20, 21), some(16, 16, 3, 3)

    def state():
        results = [cyconv.conv2d(x, w, algorithm=name) for name in ("direct", "implicit_gemm", "im2col", "winograd", "fft")]
        return cyconv.get_num_threads(), blas_threads(), [each.tobytes() for each in (*results, cyconv.max_pool2d(x, 5, 1))]

    before = state()
    yield
    assert state() == before


@pytest.mark.parametrize("name", QUICK)
def test_ctrl_c_is_answered_at_once(name, as_before):
    want = bits(LONG[name](1)())
    call = lasting(LONG[name])
    with handling(signal.default_int_handler):
        assert soonest(call) < ANSWER
    assert bits(LONG[name](1)()) == want


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_to_ctrl_c(threads, as_before, capsys):
    """The table of the longest of three."""
    late = {}
    for name, make in LONG.items():
        with cyconv.threads(threads):
            want = bits(make(1)())
            call = lasting(make)
            with handling(signal.default_int_handler):
                longest = max(answer(call, after=after) for after in (0.3, 1.0, 1.37))
            assert bits(make(1)()) == want, name
        with capsys.disabled():
            print(f"\n{name:22} {threads} thread{'s' * (threads > 1)}: answers after {longest:.3f} s", end="")
        if longest >= ANSWER:
            late[name] = longest
    assert not late


def bits(results):
    return b"".join(each.tobytes() for each in (results if isinstance(results, tuple) else (results,)))


# ---- no long silence in any phase ------------------------------------------------------------------------------------------------


def looks(call):
    """When handlers of a signal every 10 ms ran, in seconds of the clock and of this thread's processor time, the begin and the end among them."""
    seen = []

    def note(*_):
        seen.append((time.perf_counter(), time.thread_time()))

    with handling(note, signal.SIGALRM):
        note()
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        try:
            call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        note()
    return np.array(seen)


# Phases of other lengths than the loop over items: weights that are brought to another order, kernels that are transformed, huge windows,
# single results, copies. Two gigabytes at most.
SILENCES = {
    "direct, 3x3 pixels of 4096 channels": lambda: lambda x=some(1, 4096, 3, 3), w=some(4096, 4096, 3, 3): cyconv.conv2d(x, w, padding=1, algorithm="direct"),
    "implicit_gemm, the same": lambda: lambda x=some(1, 4096, 3, 3), w=some(4096, 4096, 3, 3): cyconv.conv2d(x, w, padding=1, algorithm="implicit_gemm"),
    "im2col, the same": lambda: lambda x=some(1, 4096, 3, 3), w=some(4096, 4096, 3, 3): cyconv.conv2d(x, w, padding=1, algorithm="im2col"),
    "winograd, the same": lambda: lambda x=some(1, 4096, 3, 3), w=some(4096, 4096, 3, 3): cyconv.conv2d(x, w, padding=1, algorithm="winograd"),
    "plan of winograd": lambda: lambda w=some(4096, 4096, 3, 3): cyconv.plan_conv((1, 4096, 6, 6), w, padding=1, algorithm="winograd"),
    "plan of implicit_gemm": lambda: lambda w=some(4096, 4096, 3, 3): cyconv.plan_conv((1, 4096, 6, 6), w, padding=1, algorithm="implicit_gemm"),
    "direct complex128": lambda: lambda x=some(2, 64, 112, 112, dtype="c16"), w=some(128, 64, 3, 3, dtype="c16"): cyconv.conv2d(x, w, algorithm="direct"),
    "im2col complex128": lambda: lambda x=some(2, 64, 112, 112, dtype="c16"), w=some(128, 64, 3, 3, dtype="c16"): cyconv.conv2d(x, w, algorithm="im2col"),
    "direct, huge kernels": lambda: lambda x=some(1, 64, 100, 300), w=some(64, 64, 99, 297): cyconv.conv2d(x, w, algorithm="direct"),
    "dots, a template of the image's size": lambda: lambda x=some(1, 1, 6000, 6000), w=some(1, 1, 5990, 5990): cyconv.conv2d(x, w, algorithm="dots"),
    "depthwise, dilated": lambda: lambda x=some(1, 1, 4000, 4000), w=some(1, 1, 31, 31): cyconv.conv2d(x, w, dilation=100, algorithm="depthwise"),
    "separable, a volume": lambda: lambda x=some(1, 1, 160, 160, 160), w=np.ones((1, 1, 51, 51, 51), "f"): cyconv.conv3d(x, w, algorithm="separable"),
    "separable, a signal": lambda: lambda x=some(1, 1, 1_000_000), w=some(1, 1, 10_001): cyconv.conv1d(x, w, algorithm="separable"),
    "fft, a kernel of 10 million": lambda: lambda x=some(1, 1, 20_000_000), w=some(1, 1, 5_000_001): cyconv.conv1d(x, w, algorithm="fft"),
    "fft, a large plane and kernel": lambda: lambda x=some(1, 1, 6000, 6000), w=some(1, 1, 2001, 2001): cyconv.conv2d(x, w, algorithm="fft"),
    "fft, many kernels": lambda: lambda x=some(1, 32, 128, 128), w=some(512, 32, 31, 31): cyconv.conv2d(x, w, algorithm="fft"),
    "fft, a wide range of sizes": lambda: lambda x=some(1, 1, 4000, 4000) * np.logspace(-9, 9, 4000, dtype="f"), w=some(1, 1, 301, 301): cyconv.conv2d(x, w),
    "winograd, then again for a NaN": lambda: lambda x=spoiled(8, 64, 112, 112), w=some(128, 64, 3, 3): cyconv.conv2d(x, w),
    "reference 1x1": lambda: lambda x=some(1, 2048, 32, 32), w=some(2048, 2048, 1, 1): cyconv.conv2d(x, w, algorithm="reference"),
    "bytes in the other order": lambda: lambda x=some(16, 64, 224, 224).astype(">f4"), w=some(32, 64, 3, 3): cyconv.conv2d(x, w),
    "one maximum of a long signal": lambda: lambda x=some(1, 1, 200_000_000): cyconv.max_pool1d(x, 200_000_000, return_indices=True),
    "long windows of a signal": lambda: lambda x=some(1, 1, 100_000_000): cyconv.max_pool1d(x, 50_000_000, 5_000_000),
    "such by pool": lambda: lambda x=some(1, 1, 40_000_000): cyconv.max_pool1d(x, 20_000_000, 5_000_000, algorithm="pool"),
    "averages of huge windows": lambda: lambda x=some(1, 1, 8000, 8000): cyconv.avg_pool2d(x, (4000, 4000), 1000),
    "maxima of all windows of 201x201": lambda: lambda x=some(1, 1, 5000, 5000): cyconv.max_pool2d(x, 201, 1, 100, return_indices=True),
    "one average of a plane": lambda: lambda x=some(1, 1, 14000, 14000): cyconv.adaptive_avg_pool2d(x, 1),
    "one norm of a plane": lambda: lambda x=some(1, 1, 5000, 5000): cyconv.lp_pool2d(x, 3.5, 5000),
    "maximum_filter": lambda: lambda x=some(8000, 8000): cyconv.maximum_filter(x, 501),
    "uniform_filter float64": lambda: lambda x=some(5000, 5000, dtype="f8"): cyconv.uniform_filter(x, 1001),
    "uniform_filter, five axes": lambda: lambda x=some(30, 30, 30, 30, 30): cyconv.uniform_filter(x, 7),
    "transposed, stride 1": lambda: lambda x=some(8, 128, 56, 56), w=some(128, 128, 3, 3): cyconv.conv_transpose2d(x, w),
    "transposed, few samples": lambda: lambda x=some(1, 4096, 4, 4), w=some(4096, 4096, 3, 3): cyconv.conv_transpose2d(x, w, stride=2),
    "transposed, a plane": lambda: lambda x=some(1, 1, 2000, 2000), w=some(1, 1, 31, 31): cyconv.conv_transpose2d(x, w, stride=3),
    "gradient of one weight": lambda: lambda x=some(16, 1, 500, 500), y=some(16, 1, 490, 490): grad.conv2d_weight(x, (1, 1, 11, 11), y),
    "gradient of a signal's weight": lambda: lambda x=some(1, 1, 5_000_000), y=some(1, 1, 4_999_700): grad.conv1d_weight(x, (1, 1, 301), y),
    "gradient of bias": lambda: lambda y=some(64, 256, 112, 112): grad.conv2d_bias(y),
    "gradient of averages": lambda: lambda y=some(1, 1, 5800, 5800): grad.avg_pool2d_input((1, 1, 6000, 6000), y, 201, 1),
    "signal.correlate2d": lambda: lambda x=some(1500, 1500), w=some(63, 63): signals.correlate2d(x, w, boundary="wrap"),
    "signal.convolve of int64": lambda: lambda x=some(60_000, dtype="i8"): signals.convolve(x, x),
    "match_template": lambda: lambda x=some(4000, 4000), w=some(401, 401): signals.match_template(x, w),
    "unfold": lambda: lambda x=some(1, 16, 800, 800): cyconv.unfold(x, 7, padding=3),
    "fold": lambda: lambda x=some(1, 16 * 49, 640_000): cyconv.fold(x, (800, 800), 7, padding=3),
    "max_unpool": lambda: lambda p=cyconv.max_pool2d(some(1, 1, 10000, 10000), 2, return_indices=True): cyconv.max_unpool2d(*p, 2),
    "batch_norm": lambda: lambda x=some(64, 64, 224, 224): cyconv.batch_norm(x, None, None, training=True),
}  # fmt: skip


# Single calls of NumPy, of its BLAS or of SciPy's transforms, which nothing can interrupt: told, but not judged.
THEIRS = {
    "signal.fftconvolve of equal sizes": lambda: lambda x=some(5000, 5000): signals.fftconvolve(x, x),
    "softmax": lambda: lambda x=some(2000, 100_000): cyconv.softmax(x, 1),
    "linear": lambda: lambda x=some(2048, 8192), w=some(8192, 8192): cyconv.linear(x, w),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_no_phase_is_silent_for_long(threads, capsys):
    """The longest silence of each call; of one thread its processor time is what counts, which no other program adds to."""
    late = {}
    for name, make in (SILENCES | THEIRS).items():
        call = make()
        with cyconv.threads(threads):
            seen = looks(call)
        del call
        steps = np.diff(seen, axis=0).max(axis=0)
        with capsys.disabled():
            whole = seen[-1, 0] - seen[0, 0]
            print(f"\n{name:38} {threads} thread{'s' * (threads > 1):1} {whole:6.2f} s, silent for {steps[0]:.3f} s ({steps[1]:.3f} s of processor time)", end="")
        if steps[1] >= ANSWER and name not in THEIRS:
            late[name] = float(steps[1])
        cyconv.release_memory()
    assert not late


def test_long_gradients_of_weights_are_sums_of_parts(monkeypatch):
    rng = np.random.default_rng(0)
    for dtype, groups, algorithm in (("float32", 1, "auto"), ("float64", 2, "auto"), ("float16", 1, "auto"), ("int32", 1, "auto"), ("float32", 1, "implicit_gemm")):
        x, y = rng.integers(-2, 3, (7, 8, 12, 13)).astype(dtype), rng.integers(-2, 3, (7, 6, 12, 13)).astype(dtype)
        size = (6, 8 // groups, 3, 3)
        monkeypatch.undo()
        want = grad.conv2d_weight(x, size, y, padding=1, groups=groups, algorithm=algorithm)
        for most in (1, 6 * 8 * 9 * 156 * 3):  # one image, or a few, at a time
            monkeypatch.setattr(gradients, "LONGEST", most)
            np.testing.assert_array_equal(grad.conv2d_weight(x, size, y, padding=1, groups=groups, algorithm=algorithm), want)


def test_large_arrays_are_copied_in_pieces(monkeypatch):
    monkeypatch.setattr(memory, "AT_ONCE", 10)
    for shape in ((100,), (7, 13), (1, 1, 50), (2, 1, 3, 9), (3,), (0, 5)):
        to, value = np.zeros(shape), np.arange(np.prod(shape), dtype=float).reshape(shape)
        memory.assign(to, value)
        np.testing.assert_array_equal(to, value)
        memory.assign(to[..., ::-1], value[..., :1] if to.size else 0)
        np.testing.assert_array_equal(to, np.broadcast_to(value[..., :1], shape))


# ---- handlers -----------------------------------------------------------------------------------------------------------------------


class Stop(Exception):
    """What a program's own handler raises."""


def test_a_handler_raises_its_own_exception(as_before):
    def stop(*_):
        raise Stop

    with handling(stop):
        assert soonest(lasting(LONG["winograd"]), Stop) < ANSWER


@pytest.mark.parametrize("threads", [1, 2])
def test_a_handler_that_only_counts_lets_the_call_go_on(threads):
    make, results, seen, n = convolution("direct", (32, 30, 30), (32, 32, 9, 9)), [], [], 40
    with cyconv.threads(threads):
        want = make(1)()
        while len(seen) < 5:  # the begin, the end, and three looks in between: how long a call that takes depends on the machine
            n, results = 2 * n, []
            call = make(n)
            seen = looks(lambda: results.append(call()))
    assert len(results[0]) == n and (results[0] == want).all()


def test_another_thread_computes_on_while_the_main_one_stops_waiting():
    make, over, found = convolution("direct", (32, 56, 56), (32, 32, 3, 3), stride=2), threading.Event(), []
    call, want = lasting(make, 2), make(1)()

    def compute():
        found.append(call())
        over.set()

    other = threading.Thread(target=compute)
    with handling(signal.default_int_handler):
        other.start()
        seconds = answer(over.wait)  # not join, which an interrupted one ends for good in some versions of Python
    early = over.is_set()
    over.wait()
    other.join()
    assert seconds < ANSWER and not early
    assert (found[0] == want).all()


def test_out_may_be_used_again(as_before):
    x, w = many(3, 64, 56, 56), some(128, 64, 3, 3)
    want = cyconv.conv2d(x, w, algorithm="direct")
    n = 3 * 2000
    whole, copy = np.empty((n, *want.shape[1:]), np.float32), x[:1].copy()
    with handling(signal.default_int_handler):
        assert soonest(lambda: [cyconv.conv2d(np.broadcast_to(x[:1], (n, *x.shape[1:])), w, out=whole, algorithm="direct") for _ in range(9)]) < ANSWER
    np.testing.assert_array_equal(x[:1], copy)
    again = whole[-3:]
    assert cyconv.conv2d(x, w, out=again, algorithm="direct") is again
    np.testing.assert_array_equal(again, want)


def resident():
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["fft", "im2col complex128", pytest.param("winograd", marks=pytest.mark.slow)])
def test_interrupted_calls_leave_no_memory_behind(name):
    make = LONG[name]
    call, result = lasting(make), make(1)()
    sizes = []

    def stop(*_):
        raise Stop

    with handling(stop, signal.SIGALRM):
        for _ in range(6):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Stop):
                call()
            cyconv.release_memory()
            sizes.append(resident())
    assert max(sizes[2:]) - sizes[1] < max(result.nbytes, 2**22), sizes


# ---- between any two steps of Python ------------------------------------------------------------------------------------------------


def interrupted_everywhere(call):
    """Makes the call again and again, with an exception at the first, second, ... of the places in cyconv's own Python where the interpreter
    looks at signals: behind calls, at the begin of functions, where loops go back. Yields after each."""
    places, wanted, behind = 0, 0, {}

    def trace(frame, event, argument):
        nonlocal places
        code = frame.f_code
        if "cyconv" not in code.co_filename.replace("tests", "") and "contextlib" not in code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            last, behind[frame] = behind.get(frame, "RESUME"), dis.opname[code.co_code[frame.f_lasti]]
            places += last.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
            if places == wanted:
                raise Stop
        return trace

    before = sys.gettrace()
    while True:
        places, wanted, stopped = 0, wanted + 1, False
        sys.settrace(trace)
        try:
            call()
        except Stop:
            stopped = True
        finally:
            sys.settrace(before)
            behind.clear()
        if not stopped:
            break
        yield  # when nobody holds the exception's frames any more


def test_threads_are_counted_right_after_an_interruption_at_any_step():
    x, w = some(1, 2, 9, 9), some(3, 2, 3, 3)
    count, blas = cyconv.get_num_threads(), blas_threads()
    want = cyconv.conv2d(x, w, algorithm="im2col")

    def call():
        with cyconv.threads(count + 1):
            cyconv.conv2d(x, w, algorithm="im2col")

    tried = 0
    for _ in interrupted_everywhere(call):
        tried += 1
        assert (cyconv.get_num_threads(), blas_threads()) == (count, blas)
    assert tried > 10
    np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="im2col"), want)

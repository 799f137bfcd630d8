"""Memory that runs out anywhere: every allocation of every function fails once, alone and with all that follow it.

    python tests/limits/faults.py               all functions; a table, and the number of faults injected
    python tests/limits/faults.py --every       of Python's small objects, too (PYTHONMALLOC=malloc): about 20 times as many
    python tests/limits/faults.py direct fft    some

ALLOCATOR, compiled and preloaded, refuses the n-th allocation. Then a call raises MemoryError, or it did without that allocation and its result
has the right bits. (NumPy's functions may raise a SystemError without a word, its generators RuntimeError, "can't allocate lock": these are counted
apart, as others'. The buffers of NumPy's iterators are spared: ALLOCATOR says why.) After each: the same call has the right bits, BLAS has its threads,
the store of warm memory is not locked and holds what it says; and at the end no memory has been left behind. A child that dies is reported with the
function and the n that did it.
"""

import argparse
import ctypes
import functools
import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np

ALL = 2**62
LEFT, EACH = 64 * 1024, 512  # bytes that all faults, and each, may leave behind: lists that grew, and what Python loses where a frame finds no memory
CASES = {}

# ---- an allocator that refuses --------------------------------------------------------------------------------------------

ALLOCATOR = """
/* fault_arm(n, m): the n-th allocation from now on fails, and all others up to the m-th, until fault_armed is 0 again.

   The code from fault_spare to fault_spare_end always gets what it asks for: NumPy's npyiter_allocate_buffers. Without them NumPy 2.4 raises
   SystemError or, where it has let the GIL go, crashes, which is no matter of cyconv's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long asked, failed, first, last;
atomic_int fault_armed;
const char *fault_spare, *fault_spare_end;

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static char early[65536]; /* dlsym allocates before it has found calloc */
static size_t early_used;

__attribute__((constructor)) static void find(void) {
  real_malloc = dlsym(RTLD_NEXT, "malloc");
  real_calloc = dlsym(RTLD_NEXT, "calloc");
  real_realloc = dlsym(RTLD_NEXT, "realloc");
  real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
  real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
  real_mmap = dlsym(RTLD_NEXT, "mmap");
}

static int refused(void) {
  long now;
  if (!fault_armed) return 0;
  now = ++asked;
  if (now < first || now > last) return 0;
  failed++;
  errno = ENOMEM;
  return 1;
}

void fault_arm(long from, long to) { asked = 0, failed = 0, first = from, last = to, fault_armed = 1; }
long fault_asked(void) { return asked; }
long fault_failed(void) { return failed; }

void *malloc(size_t n) {
  const char *caller = __builtin_return_address(0);
  if ((caller < fault_spare || caller >= fault_spare_end) && refused()) return NULL;
  if (!real_malloc) find();
  return real_malloc(n);
}
void *calloc(size_t n, size_t m) {
  void *p;
  if (refused()) return NULL;
  if (!real_calloc) { /* in dlsym */
    p = early + early_used;
    early_used += (n * m + 63) & ~(size_t)63;
    return early_used <= sizeof early ? p : NULL;
  }
  return real_calloc(n, m);
}
void *realloc(void *p, size_t n) { return refused() ? NULL : real_realloc(p, n); }
int posix_memalign(void **p, size_t a, size_t n) { return refused() ? ENOMEM : real_posix_memalign(p, a, n); }
void *aligned_alloc(size_t a, size_t n) { return refused() ? NULL : real_aligned_alloc(a, n); }
void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  if (!real_mmap) find();
  return refused() ? MAP_FAILED : real_mmap(p, n, prot, flags, fd, at);
}
"""


# ---- what is called ----------------------------------------------------------------------------------------------------------


def cases():
    """Functions by name, each without arguments."""
    import cyconv
    from cyconv import grad, nn, signal

    rng = np.random.default_rng(0)

    def a(*shape, dtype="float32"):
        values = rng.integers(-3, 4, shape)
        return (values + (1j * rng.integers(-3, 4, shape) if np.dtype(dtype).kind == "c" else 0)).astype(dtype)

    found = {}

    def convolutions(name, x, w, *dtypes, **options):
        for dtype in dtypes:
            args = [each.astype(dtype) for each in (x, w, a(len(w)))]
            for padding in ({"padding": 1}, {"padding": 1, "padding_mode": "reflect"}):
                if name == "channel_lanes" and len(padding) > 1:
                    continue
                found[f"{name} {dtype}{' reflect' * (len(padding) > 1)}"] = functools.partial(
                    getattr(cyconv, f"conv{x.ndim - 2}d"), *args, algorithm=name, **padding, **options
                )

    x, w = a(2, 8, 40, 42), a(16, 8, 3, 3)
    for name in ("direct", "im2col", "implicit_gemm", "fft", "winograd", "reference"):
        convolutions(name, x, w, "float32", "float16", "complex64")
    convolutions("direct", x, w, "int8", "int32", "int64")
    convolutions("depthwise", x, a(8, 1, 3, 3), "float32", "float16", "int16", groups=8)
    convolutions("channel_lanes", a(2, 64, 40, 42), a(64, 1, 5, 5), "float32", "float64", groups=64)
    convolutions("separable", x, np.ones((8, 1, 5, 5)), "float32", "int32", groups=8)
    convolutions("dots", a(2, 3, 60, 60), a(4, 3, 56, 57), "float32", "float16")
    convolutions("auto", x[:1], w, "float32", "int32")
    convolutions("auto", a(1, 2, 9, 10, 11), a(4, 2, 3, 3, 3), "float32")
    convolutions("auto", a(1, 2, 3000), a(4, 2, 31), "float64")
    f, image, signal_ = a(2, 8, 40, 42), a(1, 3, 60, 61), a(5000)
    found |= {
        "out": lambda: cyconv.conv2d(x, w, out=np.zeros((2, 40, 38, 16), "float32").transpose(0, 3, 2, 1)),
        "nan": lambda: cyconv.conv2d(np.where(np.arange(42) == 9, np.float32(np.nan), x), w, padding=1),
        "plan": lambda: cyconv.plan_conv(x.shape, w, padding=1)(x),
        "explain": lambda: np.frombuffer(str(cyconv.explain(x, w)).encode(), np.uint8),
        "transposed": lambda: cyconv.conv_transpose2d(f, a_weight, stride=2, padding=1),
        "transposed by columns": lambda: cyconv.conv_transpose2d(small, deep, stride=2),
        "gradient of the input": lambda: grad.conv2d_input(x.shape, w, g),
        "gradient of the weight": lambda: grad.conv2d_weight(x, w.shape, g),
        "gradient of the bias": lambda: grad.conv2d_bias(g),
        "unfold": lambda: cyconv.unfold(image, 3, padding=1),
        "fold": lambda: cyconv.fold(columns, (60, 61), 3, padding=1),
        "fold float16": lambda: cyconv.fold(columns.astype("float16"), (60, 61), 3, padding=1),
        "maximum_filter": lambda: cyconv.maximum_filter(image, 5),
        "uniform_filter": lambda: cyconv.uniform_filter(image.astype("complex64"), 5),
        "uniform_filter int": lambda: cyconv.uniform_filter(image.astype("int32"), 5),
        "correlate": lambda: signal.correlate(signal_, signal_[:100]),
        "fftconvolve": lambda: signal.fftconvolve(signal_, signal_[:2000]),
        "convolve2d": lambda: signal.convolve2d(image[0, 0], image[0, 1, :5, :5], "same", "symm"),
        "match_template": lambda: signal.match_template(image[0, 0].astype(float), image[0, 0, :7, :9].astype(float)),
        "linear": lambda: cyconv.linear(f.reshape(80, -1), f.reshape(80, -1)),
        "softmax": lambda: cyconv.softmax(f),
        "batch_norm": lambda: cyconv.batch_norm(f, np.zeros(8, "float32"), np.ones(8, "float32"), training=True),
        "relu": lambda: cyconv.relu(f),
    }
    a_weight, small, deep, g = a(8, 4, 4, 4), a(1, 64, 2, 2), a(64, 64, 3, 3), cyconv.conv2d(x, w)
    columns = cyconv.unfold(image, 3, padding=1)

    def training_step():
        net = nn.Sequential(nn.Conv2d(3, 4, 3, seed=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 29 * 29, 5, seed=1))
        loss, optimizer = nn.CrossEntropyLoss(), nn.Adam(net.parameters())
        value = loss(net(image), np.array([1]))
        net.backward(loss.backward(), input_grad=False)
        optimizer.step()
        return np.array([value]), *map(np.array, net.parameters())

    found["training"] = training_step
    for kind in ("max", "min", "avg"):
        for algorithm in ("sliding", "pool", "reference"):
            if (kind, algorithm) != ("min", "pool"):
                found[f"{kind}_pool {algorithm}"] = functools.partial(getattr(cyconv, f"{kind}_pool2d"), image, [3, 5], 2, 1, algorithm=algorithm)
    found["max_pool indices"] = functools.partial(cyconv.max_pool2d, image, [3, 5], 2, 1, return_indices=True)
    found["max_pool indices pool"] = functools.partial(cyconv.max_pool2d, image, [3, 5], 2, 1, return_indices=True, algorithm="pool")
    found["lp_pool"] = functools.partial(cyconv.lp_pool2d, image, 2, [3, 5])
    found["adaptive_avg_pool"] = functools.partial(cyconv.adaptive_avg_pool2d, image, [7, 9])
    found["adaptive_max_pool"] = functools.partial(cyconv.adaptive_max_pool2d, image, [7, 9], return_indices=True)
    values, indices = cyconv.max_pool2d(image, 4, return_indices=True)
    found["max_unpool"] = lambda: cyconv.max_unpool2d(values, indices, 4, output_size=(60, 61))
    found["gradient of a maximum"] = lambda: grad.max_pool2d_input(image.shape, indices, values)
    found["gradient of an average"] = lambda: grad.avg_pool2d_input(image.shape, values, 4)
    found["gradient of a norm"] = lambda: grad.lp_pool2d_input(image, values, 2, 4)
    return found


# ---- the child ---------------------------------------------------------------------------------------------------------------


class Heap(ctypes.Structure):
    """mallinfo2 of the C library."""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]


def bytes_in_use(libc=ctypes.CDLL(None)):
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    return heap.uordblks + heap.hblkhd


def forget():
    """Empties all caches of cyconv."""
    for cache in CACHES:
        cache.cache_clear()


CACHES = []


def bits(result):
    return b"".join(np.ascontiguousarray(each).tobytes() for each in (result if isinstance(result, tuple) else (result,)))


def blas_threads():
    """Of the BLAS that im2col uses; None if it has not been loaded."""
    from cyconv.threads import _SETTERS

    library = ctypes.CDLL(sys.modules["scipy.linalg.cython_blas"].__file__)
    for _, name in _SETTERS:
        try:
            return getattr(library, name)()
        except AttributeError:
            continue
    return None


def check_store():
    """Whether the store of warm memory takes and gives."""
    from cyconv import memory

    memory.release_memory()
    block = memory.empty((1 << 20,), np.uint8)
    del block
    kept = memory.release_memory()
    return kept == 1 << 20


def numpys_buffers():
    """Where in memory the function is that makes buffers for NumPy's iterators; nowhere, if `nm` does not tell."""
    file = np._core._multiarray_umath.__file__
    try:
        symbols = subprocess.run(["nm", "-S", file], env=os.environ | {"LD_PRELOAD": ""}, capture_output=True, text=True).stdout
    except OSError:
        return ()
    base = min(int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(file))
    for line in symbols.splitlines():
        if line.endswith(" npyiter_allocate_buffers"):
            first, length = (int(text, 16) for text in line.split()[:2])
            return base + first, base + first + length
    return ()


class Faults:
    def __init__(self, most, fatal):
        self.library = ctypes.CDLL(os.environ["CYCONV_FAULTS"])
        self.library.fault_arm.argtypes = [ctypes.c_long, ctypes.c_long]
        self.armed = ctypes.c_int.in_dll(self.library, "fault_armed")
        for name, address in zip(("fault_spare", "fault_spare_end"), numpys_buffers()):
            ctypes.c_void_p.in_dll(self.library, name).value = address
        self.most = most
        self.fatal = fatal  # what NumPy does not survive
        self.others = set()  # where NumPy returned without a result or an exception, or Python itself raised RuntimeError

    def asked(self, function):
        self.library.fault_arm(ALL, ALL)
        try:
            function()
        finally:
            self.armed.value = 0
        return self.library.fault_asked()

    def call(self, function, first, last):
        """What the call did: its bits, "MemoryError", "others" or what else it raised."""
        result = error = None
        self.library.fault_arm(first, last)
        try:
            result = function()
            self.armed.value = 0
        except MemoryError:
            self.armed.value = 0
            return "MemoryError"
        except BaseException as other:
            self.armed.value = 0
            error = other
        if error is None:
            return bits(result)
        frame = (traceback.extract_tb(error.__traceback__) or [traceback.FrameSummary("nowhere", 0, "")])[-1]
        if isinstance(error, SystemError) and not frame.filename.endswith(".pyx") or str(error) == "can't allocate lock":
            self.others.add(f"{Path(frame.filename).name}:{frame.lineno} {frame.line}")
            return "others"
        return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"

    def series(self, name, function, cold):
        """Faults of one function: (injected, MemoryErrors, results, errors of others, bytes left behind, what was wrong)."""
        from cyconv import memory

        want = bits(function())

        def prepared():
            if cold:
                forget()
                memory.release_memory()

        for _ in range(2):
            prepared()
            function()
        prepared()
        count = self.asked(function)
        numbers = sorted({int(n) for n in np.linspace(1, count, min(self.most, count))})
        injected = raised = fine = others = 0
        wrong, threads = [], blas_threads()
        for first_of_all in (True, False):  # the first time what grows once may grow
            gc.collect()
            memory.release_memory()
            before = bytes_in_use()
            for last in (0, ALL) if not first_of_all else (0,):
                for n in numbers if not first_of_all else numbers[:: max(1, len(numbers) // 20)]:
                    step = f"{name}{', nothing remembered' * cold}: fault {n}{' and all later' * bool(last)}"
                    if step in self.fatal:
                        continue
                    print("begun", step, file=sys.stderr, flush=True)
                    prepared()
                    got = self.call(function, n, last or n)
                    injected += self.library.fault_failed() > 0
                    if got == "MemoryError":
                        raised += 1
                    elif got == "others":
                        others += 1
                    elif got == want:
                        fine += 1
                    else:
                        wrong.append(f"{step}: {got if isinstance(got, str) else 'other bits'}")
                    got = None
                    if not check_store():
                        wrong.append(f"{step}: the store is locked, or lost count")
                    if blas_threads() != threads:
                        wrong.append(f"{step}: BLAS is left with {blas_threads()} threads, not {threads}")
                    if n % 16 == 1 and bits(function()) != want:
                        wrong.append(f"{step}: afterwards the call has other bits")
            prepared()
            if bits(function()) != want:
                wrong.append(f"{name}: afterwards the call has other bits")
        gc.collect()
        memory.release_memory()
        left = bytes_in_use() - before
        if left > LEFT + EACH * injected * (os.environ.get("PYTHONMALLOC") == "malloc"):
            wrong.append(f"{name}: {left} bytes are left behind")
        return injected, raised, fine, others, left, wrong


def inject(names, most, threads, begin, fatal):
    import scipy.linalg.cython_blas  # noqa: F401  which the first call of im2col would load

    import cyconv

    cyconv.set_num_threads(threads)
    found = cases()
    for function in found.values():
        function()
    CACHES.extend(
        each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith("cyconv") and each.cache_info().maxsize
    )
    faults = Faults(most, fatal)
    for name, function in found.items():
        if names and not any(name.startswith(each) for each in names):
            continue
        for cold in (False, True):
            row = f"{name}{', nothing remembered' * cold}"
            if begin and row != begin:
                continue
            begin = None
            *counts, wrong = faults.series(name, function, cold)
            print(f"| {row} | {' | '.join(map(str, counts))} |", flush=True)
            for each in wrong[:20]:
                print("WRONG", each, flush=True)
    for each in sorted(faults.others):
        print("others:", each)


# ---- the parent --------------------------------------------------------------------------------------------------------------


def compiled():
    """The library to preload; None without a compiler."""
    library = Path(tempfile.mkdtemp()) / "allocator.so"
    try:
        command = ["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
        subprocess.run(command, input=ALLOCATOR, text=True, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return library


def injected(names=(), most=10**9, threads=1, every=False, timeout=3600):
    """Lines of the table, and what killed a child: (what, where). A new child goes on behind that."""
    library = compiled()
    if library is None:
        return None, None
    more = {"LD_PRELOAD": str(library), "CYCONV_FAULTS": str(library), "CYCONV_TUNING": "off", **({"PYTHONMALLOC": "malloc"} if every else {})}
    lines, deaths, begin = [], {}, None
    while True:
        told = json.dumps({"names": list(names), "most": most, "threads": threads, "begin": begin, "fatal": list(deaths)})
        command = [sys.executable, "-X", "faulthandler", __file__, "--child", told]
        done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, timeout=timeout)
        lines += done.stdout.splitlines()
        if done.returncode == 0:
            return lines, deaths
        begun = [line for line in done.stderr.splitlines() if line.startswith("begun")]
        if not begun or done.returncode > 0:
            raise RuntimeError(f"the child ended with {done.returncode}: {done.stderr[-3000:]}")
        step, frames = begun[-1][len("begun ") :], [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("File")]
        deaths[step] = f"signal {-done.returncode} in {frames[0] if frames else 'no Python at all'}"
        begin = step.split(": fault")[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="beginnings of names")
    parser.add_argument("--every", action="store_true", help="small objects, too")
    parser.add_argument("--most", type=int, default=400, help="faults of one kind and function")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        inject(**json.loads(options.child))
        return 0
    lines, deaths = injected(options.names, options.most, options.threads, options.every)
    print("| function | faults | MemoryError | did without | others | bytes left |\n|---|---|---|---|---|---|")
    print(*lines, sep="\n")
    injected_, raised, fine, others = map(sum, zip(*(map(int, line.split("|")[2:6]) for line in lines if line.startswith("|"))))
    wrong = sum(line.startswith("WRONG") for line in lines)
    print(f"{injected_} faults injected: {raised} MemoryErrors, {fine} right results, {others} errors of NumPy's and Python's own, {wrong} wrong")
    for step, where in deaths.items():
        print(f"DIED {step}: {where}")
    return 1 if wrong or deaths else 0


if __name__ == "__main__":
    sys.exit(main())

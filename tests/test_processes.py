"""Processes: forked, spawned and pooled children compute what the parent does, on several threads, whatever ran in the parent before.

Every program runs in a process of its own with a time limit, so that a hang is a failure.
"""

import contextlib
import ctypes
import importlib.util
import os
import signal
import subprocess
import sys

import pytest

from cyconv import _platform
from cyconv.threads import available_cpus, can_hold_blas

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.skipif(not _platform.has_openmp(), reason="built without OpenMP"),
]

# What parents and children share. `work` returns the bits of some results, and how many threads computed one of them.
PRELUDE = """
import os, sys, threading, time, zlib
import numpy as np
import cyconv

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 4, 64, 64), np.float32), RNG.standard_normal((32, 4, 3, 3), np.float32)
LAYER = RNG.standard_normal((8, 32, 64, 64), np.float32), RNG.standard_normal((64, 32, 3, 3), np.float32)

def running_times():
    times = {}
    for task in os.listdir("/proc/self/task"):
        try:
            times[task] = int(open(f"/proc/self/task/{task}/schedstat").read().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            pass
    return times

def threads_used(call):
    "How many threads of this process ran for a quarter of the busiest one's time or longer."
    before = running_times()
    call()
    spent = [after - before.get(task, 0) for task, after in running_times().items()]
    return sum(4 * each >= max(spent) for each in spent)

def layer():
    for _ in range(4):
        cyconv.conv2d(*LAYER, algorithm="implicit_gemm")

def work(threads=2, _=None):
    with cyconv.threads(threads):
        bits = 0
        for algorithm in ("direct", "implicit_gemm", "im2col", "winograd", "fft", "depthwise"):
            result = cyconv.conv2d(X, W, padding=1, algorithm=algorithm)
            bits = zlib.crc32(result, bits)
        bits = zlib.crc32(cyconv.max_pool2d(X, 3, 2), bits)
        bits = zlib.crc32(cyconv.uniform_filter(X[0, 0], 5), bits)
        bits = zlib.crc32(cyconv.grad.conv2d_weight(X, W.shape, cyconv.conv2d(X, W)), bits)
        bits = zlib.crc32(np.ascontiguousarray(cyconv.signal.fftconvolve(X[0, 0], X[0, 1])), bits)
        used = 0
        for _ in range(5):  # on a busy machine one thread may have done all the work before another one got a CPU
            used = used if used == threads else threads_used(layer)
        return bits, used

def right(answers, count):
    "Whether so many children gave the parent's bits, on two threads each."
    answers = list(answers)
    assert answers == [WANT] * count, (answers, WANT)

def child_of_fork(job):
    "Forks; the child does the job. Returns its process id; `joined` waits for it."
    child = os.fork()
    if child == 0:
        status = 1
        try:
            job()
            status = 7
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child

def joined(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""

MAIN = """
if __name__ == "__main__":
    WANT = work(1)[0], 2  # serially; in children on two threads
    right([work()], 1)
    BODY
    right([work()], 1)
    print("alive")
"""


def run(body, folder, limit=60, prelude=PRELUDE, **environment):
    """Runs a program whose main part is `body` after the parent has computed; it must end well within `limit` seconds."""
    program = folder / "program.py"
    program.write_text(prelude + MAIN.replace("BODY", body.strip().replace("\n", "\n    ")))
    process = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "KMP_INIT_AT_FORK"} | {"CYCONV_NUM_THREADS": "2"} | environment,
    )  # fmt: skip
    with process:
        try:
            out, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            pytest.fail(f"hangs: not over after {limit} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and children that are still there
    assert out.splitlines()[-1:] == ["alive"], errors
    return out.splitlines()


LLVMS = hasattr(ctypes.CDLL(_platform.__file__), "__kmpc_fork_call")  # whose OpenMP it is

needs_schedstat = pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this system does not tell the time of each thread")
pytestmark.append(needs_schedstat)

FORKS = """
children = [child_of_fork(lambda: right([work()], 1)) for _ in range(2)]
right([work()], 1)
for child in children:
    joined(child)

def parent():
    right([work()], 1)
    joined(child_of_fork(lambda: right([work()], 1)))
    right([work()], 1)
joined(child_of_fork(parent))
"""

FORKS_WHILE_OTHERS_COMPUTE = """
over, wrong, rounds = threading.Event(), [], []
def compute():
    while not over.is_set():
        if work()[0] != WANT[0]:
            wrong.append("a thread of the parent")
        rounds.append(1)
def fork():
    for _ in range(COUNT):
        joined(child_of_fork(lambda: right([work()], 1)))
busy = [threading.Thread(target=compute, daemon=True) for _ in range(2)]
forking = [threading.Thread(target=fork)]
for thread in busy + forking:
    thread.start()
fork()
forking[0].join()
over.set()
for thread in busy:
    thread.join()
assert rounds and not wrong
"""

MULTIPROCESSING = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
context = multiprocessing.get_context("METHOD")
with context.Pool(2) as pool:
    right(pool.map(work, [2] * 2, chunksize=1), 2)
with ProcessPoolExecutor(2, mp_context=context) as pool:
    right(pool.map(work, [2] * 2), 2)
"""

NESTED = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("METHOD")) as pool:
    right([pool.submit(pooled, "METHOD").result()], 1)
"""
POOLED = """
def pooled(method):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    mine = work()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(work).result() == mine
    return work()
"""

THREAD_POOL = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    assert {bits for bits, _ in pool.map(work, [1, 2, 3, 4] * 2)} == {WANT[0]}
"""


def test_forks_and_forks_of_forks(tmp_path):
    run(FORKS, tmp_path)


def test_forks_while_other_threads_compute(tmp_path):
    run(FORKS_WHILE_OTHERS_COMPUTE.replace("COUNT", "2"), tmp_path)


@pytest.mark.slow
def test_many_forks_while_other_threads_compute(tmp_path):
    run(FORKS_WHILE_OTHERS_COMPUTE.replace("COUNT", "100"), tmp_path, limit=300)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow), pytest.param("forkserver", marks=pytest.mark.slow)])
def test_multiprocessing_and_process_pools(method, tmp_path):
    run(MULTIPROCESSING.replace("METHOD", method) + THREAD_POOL, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_in_pools(method, tmp_path):
    run(NESTED.replace("METHOD", method), tmp_path, prelude=PRELUDE + POOLED)


# ---- other libraries with thread pools of their own ----------------------------------------------------------------------------

JOBLIB = """
import joblib
with joblib.parallel_config(backend="BACKEND", n_jobs=2, **({"inner_max_num_threads": 2} if "BACKEND" == "loky" else {})):
    answers = joblib.Parallel()(joblib.delayed(work)() for _ in range(2))
if "BACKEND" == "threading":  # which count each other's threads
    answers = [(bits, 2) for bits, _ in answers]
right(answers, 2)
"""


@pytest.mark.parametrize("backend", ["loky", pytest.param("threading", marks=pytest.mark.slow), pytest.param("multiprocessing", marks=pytest.mark.slow)])
def test_joblib(backend, tmp_path):
    pytest.importorskip("joblib")
    run(JOBLIB.replace("BACKEND", backend), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "after"])
def test_beside_pytorch(order, tmp_path):
    """Its OpenMP is another one, or the same, according to who came first."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    theirs = "import torch\n"
    use = "torch.set_num_threads(2)\nprint(float(torch.nn.functional.conv2d(torch.ones(8, 8, 64, 64), torch.ones(8, 8, 3, 3)).sum()))\n"
    prelude = theirs + PRELUDE if order == "before" else PRELUDE + theirs
    run(use + FORKS + MULTIPROCESSING.replace("METHOD", "fork") + use, tmp_path, limit=120, prelude=prelude)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "after"])
def test_beside_scikit_learn(order, tmp_path):
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    if LLVMS and order == "before":
        pytest.skip("children compute on one thread then (test_threads.py)")
    theirs = "from sklearn.cluster import KMeans\nfrom sklearn.metrics import pairwise_distances_argmin\n"
    use = "KMeans(3, n_init=1).fit(X.reshape(-1, 8))\npairwise_distances_argmin(X.reshape(-1, 64), X.reshape(-1, 64))\n"
    prelude = theirs + PRELUDE if order == "before" else PRELUDE + theirs
    run(use + FORKS + MULTIPROCESSING.replace("METHOD", "fork") + use, tmp_path, limit=120, prelude=prelude)


# ---- what a child inherits -----------------------------------------------------------------------------------------------------

CHILD_OF_A_BUSY_BLAS = """
import ctypes
from scipy.linalg import cython_blas
from cyconv.threads import _SETTERS, can_hold_blas
assert can_hold_blas()
library = ctypes.CDLL(cython_blas.__file__)
setter, getter = next((getattr(library, s), getattr(library, g)) for s, g in _SETTERS if hasattr(library, s))
setter(2)
over = threading.Event()
def compute():
    while not over.is_set():
        cyconv.conv2d(*LAYER, algorithm="im2col")
busy = threading.Thread(target=compute, daemon=True)
busy.start()
def look():
    assert getter() == 2, getter()
    work()
    assert getter() == 2, getter()
children = 0
while children < 5:
    if getter() == 1:  # a call holds it
        joined(child_of_fork(look))
        children += 1
over.set()
busy.join()
assert getter() == 2
"""


FIRST_CHOICE = """
import os, signal, threading
import numpy as np
import cyconv
from cyconv import costs
looking, over = threading.Event(), threading.Event()
def look():
    with costs._looking:  # as a thread does that makes the first choice
        looking.set()
        over.wait()
other = threading.Thread(target=look)
other.start()
looking.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(int(cyconv.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 3))).sum()))
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
over.set()
other.join()
print(status)
"""


def test_a_child_of_a_first_choice_makes_its_own():
    done = subprocess.run([sys.executable, "-c", FIRST_CHOICE], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "9", done.stdout + done.stderr


def test_a_child_does_not_inherit_that_blas_is_held(tmp_path):
    if not can_hold_blas():
        pytest.skip("this BLAS offers no thread count")
    run(CHILD_OF_A_BUSY_BLAS, tmp_path)




# ---- no more threads than there are CPUs for ----------------------------------------------------------------------------------

COUNTED = """
def counted(_=None):
    "Threads that a call would use, and those that did the work of one."
    used = threads_used(layer)
    for _ in range(4):  # a spare one shows at some time if there is one
        used = max(used, threads_used(layer))
    return cyconv.get_num_threads(), used
"""


def counts(body, folder, **environment):
    """What a program with no more of an environment prints."""
    program = folder / "program.py"
    program.write_text(PRELUDE + COUNTED + f"if __name__ == '__main__':\n    {body}\n")
    clean = {k: v for k, v in os.environ.items() if k not in ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run([sys.executable, str(program)], env=clean | environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(available_cpus() < 2 or not hasattr(os, "sched_setaffinity"), reason="needs two CPUs")
def test_affinity_bounds_the_threads_that_run(tmp_path):
    assert counts("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(counted())", tmp_path) == "(1, 1)"


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", pytest.param("CYCONV_NUM_THREADS", marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_environment_bounds_the_threads_that_run(variable, count, tmp_path):
    assert counts("print(counted())", tmp_path, **{variable: count}) == f"({count}, {count})"


@pytest.mark.slow
@pytest.mark.parametrize("inner", [1, 2])
def test_workers_of_loky_share_the_cpus(inner, tmp_path):
    """joblib says by OMP_NUM_THREADS how many threads each worker gets."""
    pytest.importorskip("joblib")
    body = f"import joblib; parallel = joblib.parallel_config('loky', n_jobs=2, inner_max_num_threads={inner}); parallel.__enter__(); "
    body += "print(joblib.Parallel()(joblib.delayed(counted)() for _ in range(2)))"
    assert counts(body, tmp_path) == str([(inner, inner)] * 2)


@pytest.mark.slow
def test_workers_of_loky_share_the_cpus_unasked(tmp_path):
    pytest.importorskip("joblib")
    body = "import joblib; print(set(joblib.Parallel(n_jobs=joblib.cpu_count())(joblib.delayed(counted)() for _ in range(4))))"
    assert counts(body, tmp_path) == "{(1, 1)}"


@pytest.mark.slow
@pytest.mark.parametrize("nthreads", [1, 2])
def test_workers_of_dask_share_the_cpus(nthreads, tmp_path):
    """Threads of cyconv in all of a cluster's tasks together, while each computes."""
    pytest.importorskip("distributed")
    body = "import dask, distributed, dask.array as da; dask.config.set({'distributed.worker.daemon': False}); "
    body += f"cluster = distributed.LocalCluster(n_workers=2, threads_per_worker={nthreads}, host='127.0.0.1', dashboard_address=None, memory_limit=0); "
    body += "client = distributed.Client(cluster); print(*set(client.run(counted).values())); client.close(); cluster.close()"
    assert counts(body, tmp_path).splitlines()[-1] == "(1, 1)"

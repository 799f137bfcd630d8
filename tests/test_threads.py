"""Thread counts, where they come from, and life after fork."""

import os
import signal
import subprocess
import sys
import threading
import time
from ctypes.util import find_library

import numpy as np
import pytest
from cyconv._threads import workers

import cyconv
from cyconv import _platform
from cyconv.threads import _cgroup_quota, available_cpus, can_hold_blas, one_blas_thread

needs_openmp = pytest.mark.skipif(not _platform.has_openmp(), reason="built without OpenMP")


@needs_openmp
def test_set_and_nested():
    before = cyconv.get_num_threads()
    try:
        cyconv.set_num_threads(3)
        assert cyconv.get_num_threads() == 3
        with cyconv.threads(2):
            assert cyconv.get_num_threads() == 2
            with cyconv.threads(5):
                assert cyconv.get_num_threads() == 5
            cyconv.set_num_threads(4)
            assert cyconv.get_num_threads() == 2
        assert cyconv.get_num_threads() == 4
    finally:
        cyconv.set_num_threads(before)


@needs_openmp
def test_with_block_is_the_python_threads_own():
    seen = []
    with cyconv.threads(7):
        other = threading.Thread(target=lambda: seen.append(cyconv.get_num_threads()))
        other.start()
        other.join()
    assert seen != [7]


@pytest.mark.parametrize("wrong, error", [(0, ValueError), (-1, ValueError), (10**6, ValueError), (1.5, TypeError), ("2", TypeError), (None, TypeError), (True, TypeError)])
def test_rejected(wrong, error):
    with pytest.raises(error, match="n must be"):
        cyconv.set_num_threads(wrong)
    with pytest.raises(error, match="n must be"), cyconv.threads(wrong):
        pass


@needs_openmp
@pytest.mark.parametrize(
    "variables, count",
    [
        ({"CYCONV_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"OMP_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "4,2"}, "4"),
        ({"CYCONV_NUM_THREADS": ""}, str(available_cpus())),
        ({}, str(available_cpus())),
    ],
)
def test_environment(variables, count):
    clean = {k: v for k, v in os.environ.items() if k not in ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", "import cyconv; print(cyconv.get_num_threads())"], env=clean | variables, capture_output=True, text=True
    )
    assert done.stdout.strip() == count, done.stderr


def test_environment_that_is_no_number():
    done = subprocess.run(
        [sys.executable, "-c", "import cyconv; cyconv.get_num_threads()"],
        env=os.environ | {"CYCONV_NUM_THREADS": "many"}, capture_output=True, text=True,
    )  # fmt: skip
    assert not _platform.has_openmp() or "CYCONV_NUM_THREADS must be a number" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or available_cpus() < 2, reason="needs two CPUs")
def test_affinity_is_respected():
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import cyconv; print(cyconv.get_num_threads())"
    clean = {k: v for k, v in os.environ.items() if k not in ("CYCONV_NUM_THREADS", "OMP_NUM_THREADS")}
    assert subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True).stdout.strip() == "1"


def test_cgroup_quota(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert _cgroup_quota(tmp_path, own) is None
    (tmp_path / "a" / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert _cgroup_quota(tmp_path, own) == 1.5
    own.write_text("4:cpu,cpuacct:/job\n")
    (tmp_path / "cpu,cpuacct" / "job").mkdir(parents=True)
    (tmp_path / "cpu,cpuacct" / "job" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu,cpuacct" / "job" / "cpu.cfs_period_us").write_text("100000")
    assert _cgroup_quota(tmp_path, own) == 2.0
    (tmp_path / "cpu,cpuacct" / "job" / "cpu.cfs_quota_us").write_text("-1")
    assert _cgroup_quota(tmp_path, own) is None
    assert _cgroup_quota(tmp_path / "nothing", tmp_path / "nothing") is None


def test_workers_are_bounded_by_work_and_memory():
    with cyconv.threads(8):
        assert workers(1e-6, 100, 2**28) == 1
        assert workers(10.0, 100, 2**28) == (8 if _platform.has_openmp() else 1)
        assert workers(10.0, 2**27, 2**28) == (2 if _platform.has_openmp() else 1)
        assert workers(10.0, 2**30, 2**28) == 1


def test_blas_gets_its_threads_back():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    if not can_hold_blas():
        pytest.skip("this BLAS offers no thread count")

    def count():
        found = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas" and "scipy.libs" in p["filepath"]]
        return found[0]["num_threads"] if found else pytest.skip("SciPy's BLAS is not its own")

    before = count()
    with one_blas_thread():
        assert count() == 1
        with one_blas_thread():
            assert count() == 1
        assert count() == 1
    assert count() == before
    cyconv.conv2d(np.ones((1, 8, 9, 9)), np.ones((8, 8, 3, 3)), algorithm="im2col")
    assert count() == before


FORK = """
import os, sys, time
import numpy as np
import cyconv
x, w = np.ones((4, 4, 64, 64), np.float32), np.ones((32, 4, 3, 3), np.float32)
def work():
    for algorithm in {algorithms!r}:
        groups = 4 if algorithm == "channel_lanes" else 1
        weight = w if groups == 1 else w[:4, :1]
        if algorithm == "dots":
            weight = np.ones((32, 4, 40, 40), np.float32)
        with cyconv.threads(2):
            got = cyconv.conv2d(x, weight, groups=groups, algorithm=algorithm)
            np.testing.assert_allclose(got, weight[0].sum(), rtol=1e-4)
    with cyconv.threads(2):
        assert cyconv.max_pool2d(x, 2).sum() == 4 * 4 * 32 * 32
work()
os.environ.update({late!r})
import threading
over = threading.Event()
def compute():
    while not over.is_set():
        work()
busy = threading.Thread(target=compute)
busy.start()
for _ in range(3):
    child = os.fork()
    if child == 0:
        work()
        os._exit(7)
    work()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
over.set()
busy.join()
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
for method in ("fork", "spawn", "forkserver"):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        assert list(pool.map(abs, [-1, 2])) == [1, 2]
print("alive")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("openmp", ["its own", "LLVM's", "LLVM's after scikit-learn", "LLVM's before scikit-learn"])
def test_fork_after_use_works_in_parent_and_child(openmp, tmp_path):
    from cases import FAST

    environment = dict(os.environ)
    environment.pop("KMP_INIT_AT_FORK", None)
    imported = {"KMP_INIT_AT_FORK": "FALSE"}  # by scikit-learn: a libomp that is loaded then leaves fork to others
    if openmp.endswith("after scikit-learn"):
        environment |= imported
    late = imported if openmp.endswith("before scikit-learn") else {}
    if openmp.startswith("LLVM's"):  # in the place of GCC's
        library = find_library("omp") if sys.platform == "linux" else None
        environment["LD_PRELOAD"] = library or pytest.skip("LLVM's OpenMP is not installed")
    program = tmp_path / "forks.py"
    program.write_text("if __name__ == '__main__':\n" + "\n".join("    " + line for line in FORK.format(algorithms=FAST, late=late).splitlines()))
    command = [sys.executable, str(program)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("hangs after fork")
    assert out.strip() == "alive", err


@needs_openmp
def test_idle_threads_do_not_spin():
    # libgomp's idle threads spin by default, and take the core from NumPy's BLAS; the import shortens their spinning
    program = """
import time
import numpy as np, cyconv
x, w = np.ones((1, 16, 64, 64), np.float32), np.ones((32, 16, 3, 3), np.float32)
spent = []
with cyconv.threads(2):
    for _ in range(41):
        cyconv.conv2d(x, w)
        begin = time.process_time()         # of all threads: no other process adds to it
        time.sleep(0.01)
        spent.append(time.process_time() - begin)
print(sorted(spent)[20])
"""
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)
    spent = float(done.stdout)
    assert spent < 1e-3, f"{spent * 1e3:.2f} ms of processor time while asleep for 10 ms"


@needs_openmp
def test_libgomp_is_loaded_with_a_short_spin():
    # libgomp reads the variable once, while the first extension module loads it
    program = """
import importlib.abc, os, sys
class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "cyconv._platform":
            print(os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
import {module}
"""
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    for module in ("cyconv", "cyconv.cpu", "cyconv.select"):
        for theirs, seen in (({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "None")):
            done = subprocess.run(
                [sys.executable, "-c", program.format(module=module)], env=clean | theirs, capture_output=True, text=True
            )
            assert done.stdout.strip() == seen, done.stderr


def test_the_import_leaves_the_environment_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", "import os; before = dict(os.environ); import cyconv; assert dict(os.environ) == before"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_import_is_light(tmp_path):
    program = "import sys, cyconv; print([m for m in sys.modules if m.startswith(('scipy.', 'cupy', 'torch', 'matplotlib'))])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as what is installed was
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numpy"], check=True, env=environment)
        middle = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numpy, cyconv"], check=True, env=environment)
        times.append(time.perf_counter() - middle - (middle - begin))
    assert min(times) < 0.15  # others may be computing

"""No two threads write to, or write to and read from, one place: by ThreadSanitizer, and by many threads whose results must be those of one.

python tests/builds/races.py tsan [--folder a copy that is built already] [--families ...]
python tests/builds/races.py stress [--seconds 60] [--seed 0]

tsan     builds a copy with Clang, in which the smallest calls use several threads, too, and computes the calls of kernel_calls.py on 2, 3 and 8.
         GCC's libgomp says nothing of its barriers to ThreadSanitizer; LLVM's libomp does through Archer. (Debian: clang, libomp-dev, and libtsan of gcc,
         since the one of Clang 14 cannot be preloaded.)
stress   computes, with the cyconv that is installed, random calls in 16 Python threads at once, each on 1 to 16 threads, in pieces that end
         unevenly; most of them share their arrays. Every result must have the bits of the serial one.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from copied import ROOT, built, environment

COUNTS = (1, 2, 3, 5, 8, 16)  # of threads
CALLERS = 16
FLAGS = ["-O1", "-g1", "-fsanitize=thread"]

# ---- ThreadSanitizer ---------------------------------------------------------------------------------------------------------

RACY = """
static long sum;
long racy(long n) {
  #pragma omp parallel for num_threads(4)
  for (long i = 0; i < n; i++) sum += i;
  return sum;
}
long fine(long n) {
  static long each[1000];
  #pragma omp parallel for num_threads(4)
  for (long i = 0; i < n; i++) each[i] = i;
  #pragma omp parallel for num_threads(4)
  for (long i = 0; i < n; i++) each[n - 1 - i] += i;
  return each[0];
}
"""


def asked(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def sanitizer():
    """Variables of the environment that load ThreadSanitizer into an interpreter, and libomp's reports to it."""
    archer = asked("clang", "-print-file-name=libarcher.so")
    if not Path(archer).is_absolute():
        folders = [Path(asked("clang", "-print-resource-dir")).parents[2], *Path("/usr/lib").glob("llvm-*/lib")]
        archer = next((str(found) for folder in folders for found in folder.glob("**/libarcher.so")), None)
    runtime = asked("gcc", "-print-file-name=libtsan.so")
    if archer is None or not Path(runtime).is_absolute():
        raise SystemExit("needs libarcher.so (Debian: libomp-dev) and libtsan.so (gcc)")
    # Python's own modules are not compiled for it, nor is NumPy; what happens in them, it takes no notice of.
    return {"LD_PRELOAD": runtime, "OMP_TOOL_LIBRARIES": archer, "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 exitcode=66 history_size=4"}


def is_noticed(name, variables):
    """Whether a race of a few lines is reported."""
    with tempfile.TemporaryDirectory() as place:
        source, library = Path(place, "race.c"), Path(place, "race.so")
        source.write_text(RACY)
        subprocess.run(["clang", *FLAGS, "-fopenmp", "-fPIC", "-shared", str(source), "-o", str(library)], check=True)
        program = f"import ctypes; ctypes.CDLL({str(library)!r}).{name}(1000)"
        return "data race" in subprocess.run([sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True).stderr


def compute_all(families, chosen):
    from kernel_calls import FAMILIES, SMALL

    import cyconv

    for family in families or SMALL:
        calls = 0
        for call in FAMILIES[family](chosen):
            arrays = call.read()
            for count in (2, 3, 8):
                print(f"call: {call}, on {count} threads", file=sys.stderr, flush=True)
                with cyconv.threads(count):
                    call.compute(*arrays)
                calls += 1
        print(f"{family}: {calls} calls", flush=True)


def by_sanitizer(options):
    variables = sanitizer()
    seen = is_noticed("racy", variables), is_noticed("fine", variables)
    print(f"planted race is reported: {seen[0]}; loops without one are: {seen[1]}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(options.folder).resolve() if options.folder else built(Path(folder), ["base"], FLAGS, compiler="clang")
        begin = time.perf_counter()
        command = [sys.executable, str(Path(__file__).resolve()), "compute", "--dtypes", options.dtypes, "--families", *(options.families or [])]
        done = subprocess.run(command, env=environment(folder, **variables), stderr=subprocess.PIPE, text=True)
        reports = done.stderr.count("WARNING: ThreadSanitizer")
        print(f"{reports} reports, status {done.returncode}, {time.perf_counter() - begin:.0f} s")
        if reports or done.returncode:
            lines = done.stderr.splitlines()
            print(*(line for i, line in enumerate(lines) if not line.startswith("call: ") or lines[i + 1 : i + 2] == ["=" * 18]), sep="\n")
    return seen == (True, False) and not reports and done.returncode == 0


# ---- stress ------------------------------------------------------------------------------------------------------------------


def bits(results):
    import numpy as np

    return tuple(np.asarray(each).tobytes() for each in (results if isinstance(results, tuple) else (results,)))


class Stress:
    def __init__(self, families, chosen):
        from kernel_calls import FAMILIES

        import cyconv

        self.calls = []  # of each family: (call, its arrays, the bits of its results)
        with cyconv.threads(1):
            for family in families:
                self.calls.append([])
                for call in FAMILIES[family](chosen):
                    arrays = call.read()
                    self.calls[-1].append((call, arrays, bits(call.compute(*arrays))))
        self.done, self.wrong = Counter(), []

    def run(self, seconds, seed):
        end = time.monotonic() + seconds
        callers = [threading.Thread(target=self.call_on, args=(end, random.Random(f"{seed} {number}"))) for number in range(CALLERS)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        sys.setswitchinterval(interval)

    def call_on(self, end, rng):
        import cyconv

        while time.monotonic() < end and not self.wrong:
            call, arrays, expected = rng.choice(rng.choice(self.calls))
            count = rng.choice(COUNTS)
            own = arrays if rng.random() < 0.7 else tuple(None if a is None else a.copy(order="K") for a in arrays)
            try:
                with cyconv.threads(count):
                    got = bits(call.compute(*own))
            except Exception as error:
                self.wrong.append(f"{call} on {count} threads: {type(error).__name__}: {error}")
                return
            if got != expected:
                self.wrong.append(f"{call} on {count} threads")
            self.done[" ".join(call.name.split()[:2])] += 1
            if rng.random() < 0.01:
                cyconv.release_memory()


def planted(scratch=[]):  # noqa: B006
    """A call whose callers all use one scratch array."""
    import numpy as np
    from kernel_calls import Call

    import cyconv

    scratch.append(np.empty((1, 4, 64, 64), np.float32))

    def compute(x):
        cyconv.conv2d(x, np.ones((4, 4, 3, 3), np.float32), padding=1, out=scratch[0])
        return cyconv.max_pool2d(scratch[0], 2)

    return [Call(f"planted {i}", lambda i=i: (np.full((1, 4, 64, 64), i, np.float32),), compute, False) for i in range(4)]


def by_stress(options):
    from kernel_calls import FAMILIES

    FAMILIES["planted"] = lambda chosen: planted()
    stress = Stress(["planted"], "one")
    stress.run(20, options.seed)
    noticed = bool(stress.wrong)
    print(f"scratch that callers share is noticed: {noticed}, after {stress.done.total()} calls")
    del FAMILIES["planted"]
    begin = time.perf_counter()
    stress = Stress(options.families or list(FAMILIES), options.dtypes)
    print(f"{sum(map(len, stress.calls))} calls computed by one thread, {time.perf_counter() - begin:.0f} s", flush=True)
    begin = time.perf_counter()
    stress.run(options.seconds, options.seed)
    print(f"{stress.done.total()} calls by {CALLERS} Python threads on up to {max(COUNTS)} threads each, {len(stress.wrong)} wrong, {time.perf_counter() - begin:.0f} s")
    print(f"{len(stress.done)} kinds of calls; least often {', '.join(f'{name} {number}' for name, number in stress.done.most_common()[-5:])}")
    print(*stress.wrong[:20], sep="\n")
    return noticed and not stress.wrong


def main():
    sys.path.append(str(ROOT / "tests"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("how", choices=["tsan", "stress", "compute"])
    parser.add_argument("--folder", help="a copy that is built already")
    parser.add_argument("--families", nargs="*", help="of kernel_calls.py")
    parser.add_argument("--dtypes", default="one", help="one, all, or a dtype's name")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.how == "compute":
        compute_all(options.families, options.dtypes)
    elif not (by_sanitizer if options.how == "tsan" else by_stress)(options):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

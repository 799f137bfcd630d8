"""AddressSanitizer and UndefinedBehaviorSanitizer over the suite's short part and the calls of kernel_calls.py.

python tests/builds/sanitizers.py [--levels v2,v3,v4] [--folder a copy that is built already]

A copy is built whose arrays and scratch are new ones, each with its end where its memory's is, and whose smallest calls use several threads, too
(CY_CHECKED in _memory.pyx and _threads.pyx). With one thread the end of scratch is that of the thread's own, which is why all runs twice. Leaks are
not asked for here: an interpreter leaves much behind when it ends (tests/limits counts bytes over many calls instead).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from copied import built, environment

FLAGS = ["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
LINK = ["-fsanitize=address,undefined"]

COMPUTE = """
import sys
from kernel_calls import FAMILIES
number = 0
for family in FAMILIES:
    for call in FAMILIES[family]("all" if sys.argv[1] == "all" and not family.startswith("large") else "one"):
        print(call, flush=True)
        call.compute(*call.read())
        number += 1
print("computed", number)
"""
PLANTED = {  # what must be found, in compiled code of cyconv; each with what is said
    "heap-buffer-overflow": """
import numpy as np
from numpy.lib.stride_tricks import as_strided
import cyconv
from cyconv.memory import empty
x = empty((1, 1, 700), np.float32)
x[...] = 0
cyconv.max_pool1d(as_strided(x, (1, 1, 701), x.strides), 2, 1, algorithm="pool")
""",
    "load of misaligned address": """
import numpy as np
from cyconv import _norms
x = np.zeros(4 * 9 + 1, np.uint8)[1:].view(np.float32)
_norms.bounded(x, None, -1.0, 1.0, np.empty(9, np.float32))
""",
}


def environment_of(folder, level, threads):
    runtimes = [subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip() for name in ("libasan.so", "libubsan.so")]
    return environment(
        folder,
        CYCONV_ISA=level,
        CYCONV_NUM_THREADS=str(threads),
        LD_PRELOAD=" ".join(runtimes),
        # detect_stack_use_after_return is off, as it is by default: GCC 12 then puts vectors of 64 bytes where they do not belong, and crashes.
        ASAN_OPTIONS="detect_leaks=0:strict_string_checks=1",
        UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
    )


def run(name, command, folder, variables):
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = done.stdout.splitlines()
    found = [line for line in lines if "runtime error:" in line or "ERROR: AddressSanitizer" in line]
    print(f"{name}: {lines[-1] if lines else ''}; status {done.returncode}, {len(found)} findings, {time.perf_counter() - begin:.0f} s", flush=True)
    if done.returncode or found:
        print(done.stdout[-6000:])
    return done.returncode == 0 and not found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", default="v2,v3,v4")
    parser.add_argument("--folder", help="a copy that is built already")
    parser.add_argument("--dtypes", default="one", choices=["one", "all"])
    options = parser.parse_args()
    levels = options.levels.split(",")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(options.folder).resolve() if options.folder else built(Path(folder), levels, FLAGS, LINK)
        well = True
        for words, program in PLANTED.items():
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, cwd=folder, env=environment_of(folder, levels[0], 1), capture_output=True, text=True, errors="replace")
            noticed = done.returncode != 0 and words in done.stderr
            print(f"planted, {words}: {'found' if noticed else done.stderr[-2000:] or 'not found'}", flush=True)
            well &= noticed
        for level in levels:
            for threads in (1, 3):
                variables = environment_of(folder, level, threads)
                where = f"{level}, {threads} threads"
                well &= run(f"calls, {where}", [sys.executable, "-c", COMPUTE, options.dtypes], folder, variables)
                well &= run(f"suite, {where}", [sys.executable, "-m", "pytest", "-q", "--short", "--capture=sys", "-p", "no:cacheprovider", "tests"], folder, variables)
    raise SystemExit(not well)


if __name__ == "__main__":
    main()

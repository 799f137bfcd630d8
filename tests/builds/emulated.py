"""Runs tests of an installed cyconv on processors that are not there, by QEMU: python emulated.py [PROCESSOR ...] [--smoke | --files test_conv.py ...]

An instruction that a processor lacks ends the process, so this shows that the kernels of each level start and compute right where nothing newer
is: on a Nehalem of 2008 those of v2, on a Haswell of 2013 those of v3. (QEMU 7 has no AVX-512.) Without --smoke it runs `pytest --short`, which
takes about 15 minutes for each processor (children that tests start run on the processor that is there); with it every algorithm and pool once, in
some seconds. It needs qemu-x86_64 (Debian's qemu-user).
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
LACKING = "-pcid,-x2apic,-tsc-deadline,-hle,-rtm,-invpcid"  # what QEMU would warn that it does not emulate
LEVELS = {"Nehalem": "v2", "Westmere": "v2", "SandyBridge": "v2", "IvyBridge": "v2", "Haswell": "v3", "Broadwell": "v3", "EPYC": "v3"}

# Every algorithm on a case that it takes, every pool, and what else is compiled, against the reference or itself.
SMOKE = """
import sys
import numpy as np
from cases import CASES, FAST, arrays, assert_within_bound, conv, problem_of, ROWS, runs, suited
import cyconv
from cyconv import cpu

assert cpu.level == sys.argv[1], f"level {cpu.level} is in use instead of {sys.argv[1]}"
calls = 0
for name in FAST:
    for dtype in ("float32", "float64", "complex64", "float16", "int16"):
        for case in [case for case in CASES if runs(name, problem_of(case, dtype, None))][::12]:
            x, w, bias = arrays(case, dtype)
            w = suited(name, w)
            result = conv(case.rank)(x, w, bias, algorithm=name, **case.arguments)
            assert_within_bound(ROWS[name], problem_of(case, dtype, bias), x, w, bias, result)
            calls += 1
for dtype in ("float32", "float64", "float16", "uint8"):
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 19, 21)).astype(dtype)
    for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": (5, 1), "stride": 2}):
        for function in (cyconv.max_pool2d, cyconv.min_pool2d, cyconv.avg_pool2d):
            if function is cyconv.avg_pool2d and dtype == "uint8":
                continue
            want = function(x, **options, algorithm="reference")
            for algorithm in ("sliding", "pool") if function is not cyconv.min_pool2d else ("sliding",):
                np.testing.assert_allclose(function(x, **options, algorithm=algorithm), want, rtol=1e-3 if dtype == "float16" else 1e-6)
                calls += 1
x = np.random.default_rng(0).integers(0, 9, (2, 4, 12, 12)).astype("float32")
pooled, where = cyconv.max_pool2d(x, 2, return_indices=True)
assert cyconv.max_unpool2d(pooled, where, 2).sum() == pooled.sum()
assert (cyconv.fold(cyconv.unfold(x, 2, stride=2), (12, 12), 2, stride=2) == x).all()
assert (cyconv.relu(-x) == 0).all()
assert cyconv.grad.conv2d_input(x.shape, np.ones((3, 4, 2, 2), "float32"), np.ones((2, 3, 11, 11), "float32"))[0, 0, 1, 1] == 12
with cyconv.threads(2):
    assert (cyconv.uniform_filter(np.ones((40, 50)), 5) == 1).all()
print(f"{calls} calls on {cpu.level}")
"""


def main():
    parser = argparse.ArgumentParser(description="Runs tests of an installed cyconv on emulated processors.")
    parser.add_argument("processors", nargs="*", default=["Nehalem", "Haswell"], help="as qemu-x86_64 -cpu help names them")
    parser.add_argument("--smoke", action="store_true", help="every algorithm and pool once, in place of pytest --short")
    parser.add_argument("--files", nargs="+", default=[""], help="of tests/, in place of all in the short part")
    options = parser.parse_args()
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        sys.exit("emulated.py needs qemu-x86_64 (on Debian: apt-get install qemu-user)")
    failed = []
    for processor in options.processors:
        level = LEVELS.get(processor)
        if level is None:
            sys.exit(f"emulated.py does not know which level {processor} has; it knows {', '.join(LEVELS)}")
        files = [str(TESTS / file) for file in options.files]
        what = ["-c", SMOKE, level] if options.smoke else ["-m", "pytest", "-q", "--short", "-p", "no:cacheprovider", *files]
        environment = os.environ | {"CYCONV_NUM_THREADS": "2", "CYCONV_TUNING": "off"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), environment.get("PYTHONPATH")]))
        environment.pop("CYCONV_ISA", None)
        begin = time.monotonic()
        done = subprocess.run([emulator, "-cpu", f"{processor},{LACKING}", sys.executable, "-P", *what], env=environment)
        print(f"{processor} ({level}): exit status {done.returncode} after {time.monotonic() - begin:.0f} s", flush=True)
        failed += [processor] * (done.returncode != 0)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

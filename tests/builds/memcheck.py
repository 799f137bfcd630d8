"""valgrind's memcheck over every kernel: nothing is read that nobody wrote, nothing beside arrays and scratch is touched.

python tests/builds/memcheck.py [--levels v2,v3] [--dtypes one] [--folder a copy that is built already]

A copy is built whose arrays and scratch end where their memory does, each of it new (CY_CHECKED in _memory.pyx). Every byte of every result goes to
a system call, so that memcheck asks whether it was written. Errors count whose stack is in cyconv before it reaches the interpreter, and those of
that system call; of the interpreter's own there are many, since it is not made for memcheck. valgrind 3.19 knows no AVX-512: v4 is for sanitizers.py.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from copied import built, environment

SHARES = (  # families of kernel_calls.py that take about as long
    ("convolutions",),
    ("pools",),
    ("plans", "transposed", "gradients of pools", "filters", "windows", "layers", "signals"),
)


# ---- the child, under valgrind -----------------------------------------------------------------------------------------------


def compute(log, families, chosen):
    """Names the calls during which valgrind wrote to its log."""
    import numpy as np
    from kernel_calls import FAMILIES

    sink = os.open(os.devnull, os.O_WRONLY)
    calls, written = 0, os.path.getsize(log)
    for family in families:
        if family == "planted":
            planted(sink)
            continue
        for call in FAMILIES[family](chosen):
            results = call.compute(*call.read())
            for result in results if isinstance(results, tuple) else (results,):
                os.write(sink, np.asarray(result).tobytes())
            calls += 1
            if os.path.getsize(log) != written:
                written = os.path.getsize(log)
                print(f"    written meanwhile: {call}")
    print("computed", calls)


def planted(sink):
    """What must be found: a result that nobody wrote, and a kernel that reads beyond its array."""
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    import cyconv
    from cyconv.memory import empty

    os.write(sink, empty((3, 700), np.float32).tobytes())
    x = empty((1, 1, 700), np.float32)
    x[...] = 0
    os.write(sink, cyconv.max_pool1d(as_strided(x, (1, 1, 701), x.strides), 2, 1, algorithm="sliding").tobytes())


# ---- the parent --------------------------------------------------------------------------------------------------------------


def watch(folder, level, families, chosen, valgrind):
    """(calls, errors as text, output) of a child."""
    with tempfile.TemporaryDirectory() as place:
        log = Path(place, "log.xml")
        log.touch()
        command = [valgrind, "--tool=memcheck", "--xml=yes", f"--xml-file={log}", "--num-callers=30", "--error-limit=no", "--track-origins=yes"]
        command += [sys.executable, str(Path(__file__).resolve()), "--child", str(log), "--dtypes", chosen, "--families", *families]
        variables = environment(folder, CYCONV_ISA=level, OPENBLAS_NUM_THREADS="1", CYCONV_NUM_THREADS="2")
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
        last = done.stdout.splitlines()[-1:]
        if done.returncode or not last or not last[0].startswith("computed "):
            raise SystemExit(f"{level} {families}: ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        text = log.read_text(errors="replace")
        errors = [told(error) for error in ElementTree.fromstring(text).iter("error") if is_ours(error, folder)]
        return int(last[0].split()[1]), errors, done.stdout


def is_ours(error, folder):
    if (error.findtext("kind") or "").startswith("Leak"):
        return False
    if error.findtext("kind") == "SyscallParam":
        return "write" in (error.findtext("what") or "")
    for frame in error.find("stack").iter("frame"):
        where = frame.findtext("obj") or ""
        if where.startswith(f"{folder}/cyconv/"):
            return True
        if "python3" in Path(where).name and "site-packages" not in where:
            return False
    return False


def told(error):
    what = error.findtext("what") or error.findtext("xwhat/text") or error.findtext("kind")
    lines = [what]
    for part in error:
        if part.tag == "auxwhat":
            lines.append(f"  {part.text}")
        elif part.tag == "stack":
            for frame in list(part.iter("frame"))[:12]:
                line = f"{frame.findtext('file')}:{frame.findtext('line')}" if frame.findtext("file") else frame.findtext("obj")
                lines.append(f"    {frame.findtext('fn')} ({line})")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", default="v2,v3")
    parser.add_argument("--dtypes", default="one", help="one, all, or a dtype's name")
    parser.add_argument("--folder", help="a copy that is built already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--families", nargs="*", help="of kernel_calls.py; all but the large ones")
    options = parser.parse_args()
    if options.child:
        compute(options.child, options.families, options.dtypes)
        return
    valgrind = shutil.which("valgrind") or parser.error("valgrind is not installed")
    levels, shares = options.levels.split(","), [(f,) for f in options.families] if options.families else SHARES
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(options.folder).resolve() if options.folder else built(Path(folder), levels, ["-g"])
        found = watch(folder, levels[0], ["planted"], options.dtypes, valgrind)[1]
        print(f"planted: {len(found)} errors of 2 or more are found")
        failed = len(found) < 2
        begin, jobs = time.perf_counter(), [(folder, level, share, options.dtypes, valgrind) for level in levels for share in shares]
        with ThreadPoolExecutor(options.jobs) as pool:
            for job, (calls, errors, output) in zip(jobs, pool.map(lambda job: watch(*job), jobs)):
                print(f"{job[1]}, {', '.join(job[2])}: {calls} calls, {len(errors)} errors", flush=True)
                if errors:
                    failed = True
                    print(output, *errors, sep="\n\n")
        print(f"{time.perf_counter() - begin:.0f} s")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()

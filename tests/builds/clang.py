"""cyconv built by another compiler than GCC: python clang.py [--compiler clang] [--levels v3] [--folder a copy that is built already]

By itself such a compiler gets no flags of any processor, since the register use of the kernels was looked at in GCC's output alone; --levels asks for them.
OpenMP is LLVM's libomp then (Debian: clang libomp-dev), whose threads must survive a fork as those of GCC's libgomp do. What is run: the tests of
threads and processes, `pytest --short`, and a look at what `cyconv info` says.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def build(folder, compiler, levels):
    from copied import compiled

    begin = time.monotonic()
    variables = {"CC": compiler, "CYCONV_BUILD_LEVELS": levels}
    warnings = [line for line in compiled(folder, variables).splitlines() if " warning: " in line]
    modules = list((folder / "cyconv").rglob("*.so"))
    print(f"{len(modules)} modules after {time.monotonic() - begin:.0f} s, {len(warnings)} warnings", *warnings, sep="\n", flush=True)


def run(folder, what):
    """What Python prints with these arguments, if it succeeds; else it is printed, and the answer is None."""
    from copied import environment

    variables = environment(folder)
    del variables["PYTHONMALLOC"]
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-P", *what], env=variables, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    last = (done.stdout.splitlines() or [""])[-1]
    print(f"{' '.join(what)}: {last}; status {done.returncode} after {time.monotonic() - begin:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout[-6000:])
    return None if done.returncode else done.stdout


def main():
    parser = argparse.ArgumentParser(description="Builds cyconv by another compiler than GCC, and tests it.")
    parser.add_argument("--compiler", default="clang")
    parser.add_argument("--levels", default="", help="v2,v3,v4; no flags of any processor")
    parser.add_argument("--folder", help="a copy that is built already")
    options = parser.parse_args()
    if shutil.which(options.compiler) is None:
        sys.exit(f"clang.py needs {options.compiler} (on Debian: apt-get install clang libomp-dev)")
    from copied import copied

    with tempfile.TemporaryDirectory() as apart:
        folder = Path(options.folder or apart).resolve()
        if not options.folder:
            build(copied(folder), options.compiler, options.levels)
        information = run(folder, ["-m", "cyconv", "info"]) or ""
        print(information)
        well = "OpenMP" in information
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
        well &= run(folder, [*pytest, *(f"tests/test_{name}.py" for name in ("threads", "processes"))]) is not None
        well &= run(folder, [*pytest, "--short", "tests"]) is not None
    return not well


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())

"""cyconv on several Pythons: python interpreters.py [--levels v3] [PYTHON ...]

For each of them, by default those of python3.11 to python3.14 that are on the PATH, a fresh environment: a wheel is built from the checkout (which takes
minutes; --levels builds a part), installed, and tested by `pytest --short`. The wheels stay in --keep, from where a later run takes them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
TAG = "import sys; print(f'cp{sys.version_info[0]}{sys.version_info[1]}')"


def tested(python, folder, kept, levels):
    """Builds a wheel, unless `kept` has one, and tests it; returns how that ended, in a word."""
    from copied import copied

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CYCONV_", "PYTHON"))} | {"CYCONV_TUNING": "off"}
    run = {"check": True, "env": environment}
    subprocess.run([python, "-m", "venv", folder / "venv"], **run)
    own = folder / "venv" / "bin" / "python"
    tag = subprocess.run([own, "-c", TAG], **run, capture_output=True, text=True).stdout.strip()
    begin = time.monotonic()
    if not list(kept.glob(f"cyconv-*-{tag}-*.whl")):
        (folder / "checkout").mkdir()
        copied(folder / "checkout")
        build = [own, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", kept, folder / "checkout"]
        subprocess.run(build, check=True, env=environment | ({"CYCONV_BUILD_LEVELS": levels} if levels else {}))
    (wheel,) = kept.glob(f"cyconv-*-{tag}-*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size} bytes, after {time.monotonic() - begin:.0f} s", flush=True)
    subprocess.run([own, "-m", "pip", "install", "-q", wheel, "pytest>=8", "hypothesis>=6.100"], **run)
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run([own, "-P", "-m", "pytest", "-q", "--short", "-p", "no:cacheprovider", tests], env=environment, cwd=folder, capture_output=True, text=True)
    last = (done.stdout.splitlines() or [""])[-1]
    version = subprocess.run([own, "-c", "import sys, numpy, scipy; print(sys.version.split()[0], numpy.__version__, scipy.__version__)"], **run, capture_output=True, text=True)
    python, numpy, scipy = version.stdout.split()
    print(f"Python {python}, NumPy {numpy}, SciPy {scipy}: {last}", flush=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-1000:])
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description="Builds a wheel of cyconv for each Python, and tests it.")
    parser.add_argument("pythons", nargs="*", help="as they are called; python3.11 to python3.14 of the PATH")
    parser.add_argument("--levels", default="", help="v2,v3,v4; all of them")
    parser.add_argument("--keep", type=Path, help="where wheels are, and are left")
    options = parser.parse_args()
    found = options.pythons or [name for version in VERSIONS if shutil.which(name := f"python{version}")]
    if not found:
        sys.exit(f"interpreters.py found none of python{', python'.join(VERSIONS)}")
    failed = []
    for python in found:
        with tempfile.TemporaryDirectory() as folder:
            kept = (options.keep or Path(folder, "wheels")).resolve()
            kept.mkdir(exist_ok=True)
            if not tested(python, Path(folder), kept, options.levels):
                failed.append(python)
    if failed:
        print(f"interpreters.py: it fails with {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())

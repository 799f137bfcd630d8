"""cyconv for 64-bit ARM, built where there is none: python aarch64.py [--root FOLDER] [--smoke | --short] [--folder a copy that is built already]

Vectors are NEON's of 128 bits there, `char` has no sign, and products and sums are contracted to fused ones, so it is the build that is the least like the
others. The cross compiler (Debian: gcc-aarch64-linux-gnu) takes Python's headers, and NumPy's, from FOLDER, into which Debian's packages of
Python and wheels of NumPy and SciPy are unpacked if it is not there yet (apt-get, dpkg-deb and pip; nothing is installed). With --smoke the
Python in it runs every algorithm and pool once by QEMU (Debian: qemu-user), in half a minute; with --short `pytest --short`, which takes about 20.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
DEBIAN = "libc6 libgcc-s1 libstdc++6 libgomp1 libexpat1 zlib1g libssl3 libffi8 libbz2-1.0 liblzma5 libsqlite3-0 libuuid1".split()
WHEELS = "numpy scipy pytest iniconfig packaging pluggy pygments hypothesis sortedcontainers".split()
VERSION = "3.11"  # of the Python in Debian 12; the one that runs this may be another
MACHINE = 183  # aarch64, in the head of an ELF file


def unpack_root(root):
    """Debian's Python for ARM, what it is linked with, and wheels for it (in root/site)."""
    names = [*DEBIAN, *(f"{part}{VERSION}{rest}" for part, rest in [("python", ""), ("python", "-minimal")])]
    names += [f"libpython{VERSION}-{part}" for part in ("minimal", "stdlib", "dev")]
    with tempfile.TemporaryDirectory() as apart:
        for folder in ("state/lists/partial", "cache/archives/partial", "packages", "wheels"):
            Path(apart, folder).mkdir(parents=True)
        Path(apart, "status").touch()
        settings = {"APT::Architecture": "arm64", "APT::Architectures::": "arm64", "APT::Sandbox::User": "root", "Dir::State": f"{apart}/state"}
        settings |= {"Dir::State::status": f"{apart}/status", "Dir::Cache": f"{apart}/cache"}
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", *names], check=True, cwd=f"{apart}/packages")
        for package in Path(apart, "packages").iterdir():
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
        platforms = [f"--platform=manylinux_2_{libc}_aarch64" for libc in (17, 27, 28)]
        download = ["-m", "pip", "download", "-q", "--only-binary=:all:", "--no-deps", f"--python-version={VERSION}", *platforms, "-d", f"{apart}/wheels", *WHEELS]
        subprocess.run([sys.executable, *download], check=True)
        for wheel in Path(apart, "wheels").glob("*.whl"):
            shutil.unpack_archive(wheel, root / "site", "zip")


def build(folder, root):
    """Builds a copy in place; returns its modules."""
    from copied import compiled

    headers = [root / "site/numpy/_core/include", root / f"usr/include/python{VERSION}", root / "usr/include"]
    begin = time.monotonic()
    variables = {
        "CC": COMPILER,
        "CFLAGS": " ".join(f"-I{header}" for header in headers),
        "CYCONV_BUILD_LEVELS": "base",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{VERSION.replace('.', '')}-aarch64-linux-gnu.so",
    }
    warnings = [line for line in compiled(folder, variables).splitlines() if " warning: " in line]
    modules = sorted((folder / "cyconv").rglob("*.so"))
    print(f"{len(modules)} modules after {time.monotonic() - begin:.0f} s, {len(warnings)} warnings", *warnings, sep="\n", flush=True)
    strange = [module.name for module in modules if int.from_bytes(module.read_bytes()[18:20], "little") != MACHINE]
    if strange or not modules:
        sys.exit(f"not for ARM: {', '.join(strange) or 'nothing was built'}")


def run(folder, root, what):
    """Whether Python runs these arguments by QEMU, with the copy in its path."""
    from copied import environment

    variables = environment(folder, CYCONV_NUM_THREADS="2")
    variables["PYTHONPATH"] += os.pathsep + str(root / "site")
    begin = time.monotonic()
    done = subprocess.run([EMULATOR, "-L", str(root), str(root / f"usr/bin/python{VERSION}"), "-P", *what], env=variables, cwd=folder)
    print(f"exit status {done.returncode} after {time.monotonic() - begin:.0f} s", flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description="Builds cyconv for 64-bit ARM, and runs it by QEMU.")
    parser.add_argument("--root", help="Python, NumPy and SciPy for ARM; a folder that is not there is filled with them, and kept")
    parser.add_argument("--folder", help="a copy that is built already")
    parser.add_argument("--smoke", action="store_true", help="run every algorithm and pool once")
    parser.add_argument("--short", action="store_true", help="run pytest --short")
    options = parser.parse_args()
    for tool in (COMPILER, *[EMULATOR] * (options.smoke or options.short)):
        if shutil.which(tool) is None:
            sys.exit(f"aarch64.py needs {tool} (on Debian: apt-get install gcc-aarch64-linux-gnu qemu-user)")
    from copied import copied
    from emulated import SMOKE

    with tempfile.TemporaryDirectory() as apart:
        root = Path(options.root or Path(apart, "root")).resolve()
        if not root.exists():
            root.mkdir(parents=True)
            unpack_root(root)
        if options.folder:
            folder = Path(options.folder).resolve()
        else:
            folder = Path(apart, "copy")
            folder.mkdir()
            build(copied(folder), root)
        well = not options.smoke or run(folder, root, ["-c", SMOKE, "base"])
        if options.short:
            well &= run(folder, root, ["-m", "pytest", "-q", "--short", "-p", "no:cacheprovider", str(folder / "tests")])
    return not well


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())

"""The source distribution: python sdist.py [--wheel WHEEL]

It must hold every file of the checkout that git knows, byte for byte, and nothing that is made from them. With --wheel a wheel is built from it, in a
folder and an environment of their own, and must hold the same files, byte for byte, as the one that is given, which was built from the checkout by the
same compiler, Python and Cython. That takes as long as any build; CYCONV_BUILD_LEVELS=v2 in the environment builds a third of it, and compares that.
It needs `build` (`pip install "cyconv[wheel]"`).
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "cyconv", "docs", "examples", "tests")
FILES = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
MADE = ("PKG-INFO", "setup.cfg")  # by setuptools, and all of cyconv.egg-info


def sources():
    """The files that the checkout has of those that belong in it: by git, or, in a copy without it, all that nothing makes."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.split("\0")[:-1]
    else:
        made = {".so", ".pyc"}
        names = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix not in made]
        names += FILES
    names = {name for name in names if name in FILES or name.partition("/")[0] in FOLDERS}
    return {name for name in names if (ROOT / name).is_file()}


def faults_of_contents(archive):
    """What the archive lacks, has too much, or has otherwise than the checkout."""
    top = archive.name.rpartition("/")[2].removesuffix(".tar.gz")
    inside = {member.name.removeprefix(f"{top}/"): member for member in archive.getmembers() if member.isfile()}
    wanted = sources()
    made = {name for name in inside if name in MADE or name.startswith("cyconv.egg-info/")}
    print(f"{top}.tar.gz: {Path(archive.name).stat().st_size} bytes, {len(inside)} files; the checkout has {len(wanted)}")
    if lacking := wanted - set(inside):
        yield f"the source distribution lacks {', '.join(sorted(lacking))}"
    if surplus := set(inside) - wanted - made:
        yield f"the source distribution has what git does not know: {', '.join(sorted(surplus))}"
    for name in sorted(wanted & set(inside)):
        if archive.extractfile(inside[name]).read() != (ROOT / name).read_bytes():
            yield f"{name} is not the checkout's"


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def faults_of_wheel(got, want):
    """How one wheel differs from another; modules of levels that the first was not built for do not count."""
    got, want = contents(got), contents(want)
    levels = {name.split("/")[2] for name in got if name.startswith("cyconv/cpu/") and name.endswith(".so")}
    compared = {name for name in want if not (name.startswith("cyconv/cpu/") and name.endswith(".so")) or name.split("/")[2] in levels}
    if len(compared) < len(want):  # whose list of contents must be shorter
        compared = {name for name in compared if not name.endswith("/RECORD")}
        got = {name: data for name, data in got.items() if not name.endswith("/RECORD")}
    print(f"the wheel built from it has {len(got)} files ({', '.join(sorted(levels))}); {len(compared)} of the other one's {len(want)} are compared")
    if set(got) != compared:
        yield f"only one of the wheels has {', '.join(sorted(set(got) ^ compared))}"
    if differing := [name for name in sorted(set(got) & compared) if got[name] != want[name]]:
        yield f"other bytes: {', '.join(differing)}"


def main():
    parser = argparse.ArgumentParser(description="Looks into the source distribution, and builds a wheel from it.")
    parser.add_argument("--wheel", type=Path, help="built from the checkout; the one built from the source distribution must be the same")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
        (path,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(path) as archive:
            wrong = list(faults_of_contents(archive))
            archive.extractall(folder, filter="data")
        if options.wheel:
            unpacked = Path(folder, path.name.removesuffix(".tar.gz"))
            subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, unpacked], check=True)
            (built,) = Path(folder).glob("*.whl")
            wrong += faults_of_wheel(built, options.wheel)
    for fault in wrong:
        print(f"sdist.py: {fault}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

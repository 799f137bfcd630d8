"""A copy of this checkout, built otherwise than the wheel is: what the scripts beside this one have in common."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copied(folder):
    """What git knows or would take, in a folder that is empty."""
    folder = Path(folder)
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True).stdout
    packed = subprocess.run(["tar", "--null", "-T", "-", "--ignore-failed-read", "-cf", "-"], cwd=ROOT, check=True, input=listed, capture_output=True)
    subprocess.run(["tar", "-xf", "-"], cwd=folder, check=True, input=packed.stdout)
    return folder


def compiled(folder, variables):
    """Builds a copy in place, with these variables in the environment; returns what the compiler said."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(done.stdout[-5000:])
    return done.stdout


def built(folder, levels, flags, link=(), compiler="gcc"):
    """A copy in which these levels are built in place; with flags behind those of setup.py that look for faults, and exact arrays (_memory.pyx)."""
    copied(folder)
    variables = {"CYCONV_BUILD": "debug", "CYCONV_BUILD_LEVELS": ",".join(levels), "CC": compiler}
    variables |= {"CFLAGS": " ".join(["-DCY_CHECKED", *flags]), "LDFLAGS": " ".join(link)}
    print(f"building {', '.join(levels)} with {compiler} {variables['CFLAGS']}", flush=True)
    compiled(folder, variables)
    return Path(folder)


def environment(folder, **variables):
    """In which the copy is imported, and tests/ beside it."""
    paths = [str(folder), str(folder / "tests"), str(folder / "tests" / "builds")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CYCONV_TUNING": "off", "PYTHONMALLOC": "malloc"} | variables

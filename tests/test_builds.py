"""What is built: forks beside another OpenMP, the variables that setup.py reads, and that the scripts in tests/builds notice what they look for."""

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import cyconv
from cyconv import _platform

ROOT = Path(__file__).resolve().parent.parent


def script(name):
    """A module of tests/builds."""
    spec = importlib.util.spec_from_file_location(f"builds_{name}", ROOT / "tests" / "builds" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- two libraries of OpenMP in one process ------------------------------------------------------------------------------

BESIDE = """
import ctypes, os, shutil, signal, sys, tempfile
import numpy as np
import cyconv

x, w = np.random.default_rng(0).random((4, 16, 64, 64), np.float32), np.ones((16, 16, 3, 3), np.float32)
cyconv.set_num_threads(2)
if sys.argv[1] == "late":
    cyconv.max_pool2d(x, 3)  # a kernel that is loaded before
library = next(line.split()[-1] for line in open("/proc/self/maps") if "gomp" in line)
with tempfile.TemporaryDirectory() as folder:
    ctypes.CDLL(shutil.copy(library, folder + "/libgomp-other.so"), ctypes.RTLD_GLOBAL)
want = cyconv.max_pool2d(x, 3).sum(), cyconv.conv2d(x, w).sum()
child = os.fork()
if not child:
    signal.alarm(30)
    os._exit((cyconv.max_pool2d(x, 3).sum(), cyconv.conv2d(x, w).sum()) != want)
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc here")
@pytest.mark.skipif(not _platform.has_openmp(), reason="built without OpenMP")
@pytest.mark.parametrize("when", ["early", "late"])
def test_a_fork_where_another_library_has_made_its_openmp_everybodys(when, tmp_path):
    """As PyTorch does: kernels that are loaded afterwards use that one, whose threads do not survive a fork either."""
    if "gomp" not in Path("/proc/self/maps").read_text():
        pytest.skip("another OpenMP than GCC's")
    done = subprocess.run([sys.executable, "-c", BESIDE, when], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"


# ---- setup.py ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variable, value, message",
    [
        ("CYCONV_BUILD_LEVELS", "v3,v9", "CYCONV_BUILD_LEVELS must name some of v2, v3, v4, base; got v9"),
        ("CYCONV_BUILD", "fast", "CYCONV_BUILD must be 'debug' or not set; got 'fast'"),
    ],
)
def test_setup_does_not_take_any_variable(variable, value, message):
    pytest.importorskip("Cython")
    done = subprocess.run([sys.executable, "setup.py", "--version"], cwd=ROOT, env=os.environ | {variable: value}, capture_output=True, text=True)
    assert done.returncode and message in done.stderr


def test_wheels_are_built_for_every_python_that_is_promised():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["requires-python"] == ">=3.11"
    assert settings["tool"]["cibuildwheel"]["build"] == [f"cp3{minor}-*" for minor in (11, 12, 13, 14)]
    assert "--short" in settings["tool"]["cibuildwheel"]["test-command"]


# ---- the scripts notice --------------------------------------------------------------------------------------------------


def packed(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_wheel_that_differs_is_noticed(tmp_path):
    faults = script("sdist").faults_of_wheel
    files = {"cyconv/a.py": b"1", "cyconv/cpu/v2/x.so": b"2", "cyconv/cpu/v3/x.so": b"3", "cyconv-1.dist-info/RECORD": b"4"}
    whole = packed(tmp_path / "whole.whl", files)
    assert not list(faults(whole, whole))
    part = packed(tmp_path / "part.whl", {name: data for name, data in files.items() if "v3" not in name} | {"cyconv-1.dist-info/RECORD": b"5"})
    assert not list(faults(part, whole))  # one level of two
    assert len(list(faults(packed(tmp_path / "other.whl", files | {"cyconv/a.py": b"2"}), whole))) == 1
    assert len(list(faults(packed(tmp_path / "more.whl", files | {"cyconv/a.c": b"2"}), whole))) == 1
    assert len(list(faults(packed(tmp_path / "level.whl", files | {"cyconv/cpu/v3/x.so": b"2"}), whole))) == 1


def test_a_source_distribution_that_lacks_something_is_noticed(tmp_path, monkeypatch):
    sdist = script("sdist")
    assert {"LICENSE", "cyconv/cpu/pool.pyx", "cyconv/cpu/simd.pxd", "cyconv/gpu/pool.cu", "tests/cases.py"} <= sdist.sources()
    files = {name: (ROOT / name).read_bytes() for name in ("LICENSE", "setup.py", "cyconv/cpu/simd.pxd")}
    monkeypatch.setattr(sdist, "sources", lambda: set(files))

    def faults(files):
        with tarfile.open(tmp_path / "cyconv-1.tar.gz", "w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(f"cyconv-1/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        with tarfile.open(tmp_path / "cyconv-1.tar.gz") as archive:
            return list(sdist.faults_of_contents(archive))

    assert not faults(files | {"PKG-INFO": b""})
    assert "LICENSE" in faults({name: data for name, data in files.items() if name != "LICENSE"})[0]
    assert "build/c/cyconv/pool.c" in faults(files | {"build/c/cyconv/pool.c": b""})[0]
    assert "setup.py" in faults(files | {"setup.py": b""})[0]


def test_a_wheel_for_one_machine_is_noticed(tmp_path):
    pytest.importorskip("elftools")
    module = Path(_platform.__file__).read_bytes()
    faults = "\n".join(script("wheels").faults(packed(tmp_path / "cyconv-1-cp311-cp311-linux_x86_64.whl", {"cyconv/_platform.so": module})))
    assert "its tag is linux_x86_64" in faults
    if b"libgomp.so.1" in module:  # else it is of a wheel that brings its own
        assert "needs libgomp.so.1" in faults


def test_every_module_forgets_where_python_stood():
    """No folder of the machine where it was built, in which the loader would look for libraries."""
    elffile = pytest.importorskip("elftools.elf.elffile")
    for path in Path(cyconv.__file__).parent.rglob("*.so"):
        with path.open("rb") as file:
            tags = elffile.ELFFile(file).get_section_by_name(".dynamic").iter_tags()
            places = [tag.rpath if tag.entry.d_tag == "DT_RPATH" else tag.runpath for tag in tags if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")]
        assert all(place.startswith("$ORIGIN") for place in places), path


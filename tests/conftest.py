"""Child processes import the very cyconv that the tests import, and nothing depends on what `tune` has kept on this machine.

Python would look in the current folder first. In a clone that is the source tree, which may hold no compiled modules while
the tests run against an installed package.
"""

import contextlib
import functools
import importlib.util
import os
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cyconv

# What `--short` runs: a few cases of each test of these files, which are those of compiled code. Made for builds that are ten times slower
# (emulated processors, sanitizers); half a minute on a machine as it is.
SHORT = "arguments channel_lanes contract conv depthwise dots fft filters global_pools grad_conv grad_pools implicit_gemm nn_functions "
SHORT += "pool pool_calls pool_padding reference scatter separable signal sliding subnormal templates transposed windows winograd"
SHORT_FILES = {f"test_{name}.py" for name in SHORT.split()}


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="run a few cases of each test of compiled code, for slow builds and machines")


def pytest_ignore_collect(collection_path, config):
    if config.option.short and collection_path.name.startswith("test_") and collection_path.name not in SHORT_FILES:
        return True


def pytest_collection_modifyitems(config, items):
    if not config.option.short:
        return
    tests = {}
    for item in items:
        if not is_for_the_gpu(item) and not item.get_closest_marker("long"):
            tests.setdefault((item.path, item.originalname), []).append(item)
    kept = {case for cases in tests.values() for case in (cases[0], cases[len(cases) // 2], cases[-1])}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def is_for_the_gpu(item):
    return hasattr(item, "callspec") and item.callspec.params.get("backend") == "gpu"


def pytest_configure(config):
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["CYCONV_TUNING"] = "off"
    folders = [str(Path(cyconv.__file__).parent.parent), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))


@pytest.fixture
def torch():
    """PyTorch; tests that ask for it are left out where it is not installed."""
    return pytest.importorskip("torch")


@pytest.fixture
def cupy(monkeypatch):
    """CuPy, where it finds a device; elsewhere its stand-in, which runs the same kernels on the CPU (host_gpu)."""
    if has_gpu():
        import cupy

        return cupy
    import host_gpu.cupy
    from host_gpu import kernels

    from cyconv.gpu import launch

    if kernels.COMPILER is None:
        pytest.skip("no CUDA device, and no C++ compiler to run kernels on the CPU")
    monkeypatch.setitem(sys.modules, "cupy", host_gpu.cupy)
    monkeypatch.setitem(sys.modules, "cupyx", types.ModuleType("cupyx"))  # a real one would look for more in it
    launch.kernel.cache_clear()
    yield host_gpu.cupy
    launch.kernel.cache_clear()


@pytest.fixture
def stand_in(cupy):
    """The stand-in for CuPy; tests that need to look into it are left out on a device."""
    if has_gpu():
        pytest.skip("a device has a CuPy that nobody can look into")
    return cupy


@functools.cache
def has_gpu():
    """Whether there is a CUDA device, and CuPy to use it."""
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    return cupy.cuda.is_available()


MANY = 500  # tests on a device; fewer compile what they need


def pytest_collection_finish(session):
    """Has several threads compile all kernels where many tests on a device will ask for them: one after the other that takes longer than the tests."""
    if sum(map(asks_for_a_device, session.items)) >= MANY and has_gpu() and not session.config.option.collectonly:
        compile_all(os.cpu_count())


def asks_for_a_device(item):
    return "cupy" in item.fixturenames or hasattr(item, "callspec") and item.callspec.params.get("backend") == "gpu"


def compile_all(threads):
    from cyconv.gpu import launch

    def compile_one(name):
        with contextlib.suppress(Exception):  # which the test that asks for it will tell
            launch.kernel(*name)

    files = [file.stem for file in launch.FOLDER.glob("*.cu")]
    names = [name for file in files for name in importlib.import_module(f"cyconv.gpu.{file}").instances()]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(compile_one, names))


# ---- one suite, two backends ---------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc):
    """Tests with the mark `backends` run on the CPU and on the GPU, but for those with the mark `cpu`."""
    marked = metafunc.definition.get_closest_marker
    if marked("backends") and not marked("cpu"):
        metafunc.parametrize("backend", ["cpu", "gpu"], indirect=True)


@pytest.fixture(autouse=True)
def backend(request):
    """Where the functions of cyconv compute in this test; "gpu" moves the arrays that they get and what they return (moving.py)."""
    where = getattr(request, "param", "cpu")
    if where == "gpu":
        if not has_gpu() and os.environ.get("CYCONV_TEST_GPU") != "host":
            pytest.skip("no CUDA device; CYCONV_TEST_GPU=host runs the kernels on the CPU")
        from moving import ON_CPU, move_functions

        if lacking := ON_CPU & {each for each in request.node.callspec.params.values() if isinstance(each, str)}:
            pytest.skip(f"the GPU has no {', '.join(lacking)}")

        if "torch" in request.fixturenames:
            request.getfixturevalue("torch")  # which looks for CuPy when it is imported, and would not know the stand-in
        move_functions(request.getfixturevalue("monkeypatch"), request.getfixturevalue("cupy"))
    return where

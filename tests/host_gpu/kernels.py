"""CUDA kernels compiled by the host's C++ compiler behind shim.h, and launched with CuPy's arguments.

With CYCONV_TEST_GUARD (see arrays.py) the compiler checks what it can, too: alignment, indices of arrays, shifts, integers. And it
makes one rounding of a product and a sum, where it can, as a device's compiler does.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
BUILT = Path(tempfile.gettempdir(), f"cyconv-host-kernels-{os.getuid()}")
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
FAULTS = {-1: "a piece of memory that does not lie at a multiple of its size", -2: "tensor cores got floats that are not rounded to TF32"}
CHECKS = [
    "-fsanitize=alignment,bounds,bounds-strict,shift,signed-integer-overflow,integer-divide-by-zero", "-fno-sanitize-recover=all",
    "-DSHIM_CHECKED", "-ffp-contract=fast", *(["-mfma"] if Path("/proc/cpuinfo").exists() and " fma " in Path("/proc/cpuinfo").read_text() else []),
]  # fmt: skip
_ENTRY = """
extern "C" const char *shim_stopped(unsigned long long *at)
{{
    *at = shim::bad_address;
    return shim::stopped;
}}
extern "C" int shim_launch(const unsigned *grid, const unsigned *block, void **arguments, const int *sizes, int count)
{{
    return shim::launch(&{expression}, grid, block, arguments, sizes, count);
}}
"""


class RawModule:
    """As cupy.RawModule, as far as cyconv uses it."""

    def __init__(self, *, code, options=(), name_expressions=()):
        self._code, self._options, self._names = code, options, name_expressions

    def get_function(self, name):
        if name not in self._names:
            raise ValueError(f"{name} is none of {self._names}")
        library = _compiled(self._code, self._options, name, bool(os.environ.get("CYCONV_TEST_GUARD")))
        return Kernel(name, library, _pointers(self._code, name.partition("<")[0]))


class Kernel:
    """Call it with (grid, block, arguments), tuples."""

    max_dynamic_shared_size_bytes = 0

    def __init__(self, name, library, pointers):
        self.name, self._function, self._stopped, self._pointers = name, library.shim_launch, library.shim_stopped, pointers
        self._stopped.restype = ctypes.c_char_p

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        grid, block = ((*each, 1, 1)[:3] for each in (grid, block))
        _check_launch(self.name, grid, block, shared_mem)
        _check_apart(self.name, arguments, self._pointers)
        held = [_argument(each) for each in arguments]
        pointers = (ctypes.c_void_p * len(held))(*[each.ctypes.data for each in held])
        sizes = (ctypes.c_int * len(held))(*[each.nbytes for each in held])
        found = self._function((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), pointers, sizes, len(held))
        if found == -3:
            at = ctypes.c_ulonglong()
            what = self._stopped(ctypes.byref(at)).decode()
            raise RuntimeError(f"{self.name}: {what}{_whose(at.value, arguments) if at.value else ''}")
        if found < 0:
            raise RuntimeError(f"{self.name}: {FAULTS[found]}")
        if found == 1:
            raise RuntimeError(f"{self.name}: a barrier that not all threads of a block come to")
        if found:
            raise TypeError(f"{self.name}: argument {found - 2} is missing, too many, or of another size than the kernel's")


def _check_launch(name, grid, block, shared_mem):
    """What a device refuses."""
    threads = block[0] * block[1] * block[2]
    if min(*grid, *block) < 1 or grid[0] >= 2**31 or max(grid[1:]) > 65535 or threads > 1024 or block[2] > 64:
        raise ValueError(f"{name}: grid {grid} and block {block} are beyond what a device launches")
    if shared_mem:
        raise ValueError(f"{name}: the shim has no dynamic shared memory")


@functools.cache
def _pointers(code, name):
    """(number, whether it is const, whether it is restricted) of a kernel's pointers."""
    text = re.sub(r"//[^\n]*", "", code)
    begin = next(found.end() for found in re.finditer(rf"\b{name}\s*\(", text) if "__global__" in re.split(r"[;}]", text[: found.start()])[-1])
    arguments = text[begin : text.index(")", begin)]
    while "<" in arguments:
        arguments = re.sub(r"<[^<>]*>", "", arguments)
    arguments = enumerate(arguments.split(","))
    return [(n, each.split()[0] == "const", "__restrict__" in each) for n, each in arguments if "*" in each]


def _check_apart(name, arguments, pointers):
    """What is promised to be nobody else's (__restrict__) shares no memory with what is written: a device may read it before or after."""
    from .arrays import ndarray

    given = [(n, arguments[n]._host, *of) for n, *of in pointers if n < len(arguments) and isinstance(arguments[n], ndarray)]
    for place, (n, a, constant, restricted) in enumerate(given):
        for m, b, other_constant, other_restricted in given[:place]:
            if (restricted or other_restricted) and not (constant and other_constant) and np.may_share_memory(a, b):
                raise RuntimeError(f"{name}: arguments {m} and {n} share memory, one of them __restrict__ and one written to")


def _whose(address, arguments):
    """Which argument's memory is next to an address."""
    from .arrays import ndarray

    places = []
    for number, each in enumerate(arguments):
        if isinstance(each, ndarray):
            first, last = each._memory.span()
            where = f"{first - address} bytes before" if address < first else f"{address - last} bytes after the end of"
            places.append((abs(address - (first if address < first else last)), f"; {where} the array of argument {number}"))
    return min(places, default=(0, ""))[1]


def _argument(value):
    """The bytes of a kernel's argument, as CuPy passes it."""
    from .arrays import ndarray

    if value is None:
        return np.zeros(1, np.uint64)
    if isinstance(value, ndarray):
        return np.array([value.data.ptr], np.uint64)
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise TypeError(f"a NumPy array of {value.size} elements cannot be passed by value")
        return value
    if isinstance(value, (bool, np.bool_)):
        return np.array([value], bool)
    if isinstance(value, int):
        return np.array([value], np.int64)
    if isinstance(value, (np.generic, float)):
        return np.array([value])
    raise TypeError(f"a kernel takes no {type(value).__name__}")


@functools.cache
def _compiled(code, options, expression, checked):
    barriers = re.search(r"__sync|__shfl|tensor_cores", code) is not None
    flags = ["-std=c++17", "-O1", "-fPIC", "-w", "-fno-strict-aliasing", "-ffp-contract=off"]
    flags += [] if barriers else ["-DSHIM_WITHOUT_BARRIERS"]
    flags += CHECKS if checked else []
    flags += [each for each in options if each.startswith("-D")]
    header = _header(tuple(flags))
    text = code + _ENTRY.format(expression=expression)
    library = BUILT / f"{header.parent.name}-{_key(text)}.so"
    if not library.exists():
        _build(library, [*flags, "-shared", "-include", header, "-I", FOLDER / "include", "-x", "c++", "-"], text, expression)
    return ctypes.PyDLL(str(library))  # which keeps the GIL: blocks that run have one place each in memory that all see


@functools.cache
def _header(flags):
    """shim.h, compiled ahead: it takes longer than most kernels."""
    files = [FOLDER / "shim.h", *sorted((FOLDER / "include").iterdir())]
    folder = BUILT / _key(*flags, *(file.read_text() for file in files))
    folder.mkdir(parents=True, exist_ok=True)
    if not (compiled := folder / "shim.h.gch").exists():
        _build(compiled, [*flags, "-I", FOLDER / "include", "-x", "c++-header", FOLDER / "shim.h"], None, "shim.h")
    return folder / "shim.h"


def _key(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:24]


def _build(target, arguments, text, name):
    """Whole at any moment, since several processes may want it."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder, "made")
        done = subprocess.run([COMPILER, *arguments, "-o", made], input=text, text=True, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{name} does not compile:\n{done.stderr}")
        made.replace(target)

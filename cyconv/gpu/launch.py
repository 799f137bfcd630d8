"""Kernels of this folder's .cu files, compiled when first called and launched on CuPy's current stream.

CuPy keeps compiled kernels on disk (those of templates from CuPy 14.2 on; before, each process compiles its own) under a key made of their
text. So that a changed header is never missed, lines ``#include "name.cuh"`` are replaced by that file's text before CuPy sees it, each once.

CuPy adds options of its own, the last one -ftz=true, which nobody can take back: in float32, and in bfloat16, which is computed in that,
numbers below the smallest normal one count as zeros, as in all kernels that CuPy compiles.

A kernel is one instance of a template, named as C++ does: kernel("direct", "direct<float, 4>").
"""

import functools
import re
from pathlib import Path

import numpy as np

from ..arguments import COMPLEX, FLOATS, GPU_ONLY
from ..devices import cupy_with_device

FOLDER = Path(__file__).parent
REALS = FLOATS + GPU_ONLY
INEXACT = REALS + COMPLEX
SUMS = {name: name if name not in ("float16", "bfloat16") else "float32" for name in INEXACT}  # what they are summed in, as numbers.cuh has it
TYPES = {
    "float16": "__half", "bfloat16": "__nv_bfloat16", "float32": "float", "float64": "double",
    "complex64": "Complex<float>", "complex128": "Complex<double>", "bool": "bool",
    "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long",
}  # fmt: skip
MOVED = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long", 16: "Complex<double>"}  # by their bytes
ADDED = {name: TYPES[name] for name in INEXACT}  # integers by their bytes
MOST_BLOCKS = 2**31 - 1  # along x; along y and z 65535
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"\n', re.MULTILINE)


@functools.cache
def source(name):
    """The text of <name>.cu with the headers of this folder in it."""
    seen = set()

    def text_of(file):
        text = (FOLDER / file).read_text()

        def included(match):
            if match[1] in seen:
                return "\n"
            seen.add(match[1])
            return f'#line 1 "{match[1]}"\n{text_of(match[1])}#line {text.count(chr(10), 0, match.end()) + 1} "{file}"\n'

        return _INCLUDE.sub(included, text)

    return text_of(f"{name}.cu")


def options(expression):
    """Of the compiler; the headers of half types are read only where they are needed, since that takes longer than our own text."""
    half = "__half" in expression or "__nv_bfloat16" in expression
    return ("--std=c++17", *(("-DCYCONV_HALF_TYPES",) if half else ()))


@functools.cache
def kernel(file, expression):
    """The kernel that a C++ expression names, of <file>.cu; compiled on first use, once per process and device."""
    import cupy

    module = cupy.RawModule(code=source(file), options=options(expression), name_expressions=(expression,))
    return module.get_function(expression)


def missing_library(name):
    """Why CuPy cannot call one of NVIDIA's libraries, or None. Without a device nobody asks."""
    cupy = cupy_with_device()
    return None if cupy is None else _missing_library(cupy, name)


@functools.cache
def _missing_library(cupy, name):
    try:
        getattr(cupy.cuda, name.lower())  # imported when it is first asked for
    except ImportError:
        return f"{name} is not installed"
    return None


def word(flag):
    """A bool in C++."""
    return "true" if flag else "false"


def packed(*values):
    """Integers, or tuples of them, as a struct of 64-bit ones, passed by value."""
    flat = []
    for value in values:
        flat.extend(value) if isinstance(value, tuple) else flat.append(value)
    numbers = np.array(flat, np.int64)
    return numbers.view(f"V{numbers.nbytes}")


def divisor(n):
    """The argument `Divisor` of divisor.cuh: n, what to multiply numbers below 2**31 with, and by how far to shift then, to divide them by n."""
    bits = (n - 1).bit_length()
    return n, 2 ** (31 + bits) // n + 1, 31 + bits


def blocks(work, threads):
    """Blocks along x for so much work, for kernels that go on with what is beyond them."""
    return max(1, min(-(-work // threads), MOST_BLOCKS))

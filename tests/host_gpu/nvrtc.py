"""NVIDIA's runtime compiler, which needs no device: does a kernel compile, and what does it need?"""

import ctypes
import functools
import importlib.util
import os
import shutil
from pathlib import Path


def _folders():
    """Where CUDA may be: PyPI's packages and the toolkit."""
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations if spec else ():
        yield from sorted(Path(root).glob("cu*"))
        yield from sorted(Path(root).glob("cuda_*"))
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
    yield Path("/usr/local/cuda")


@functools.cache
def library():
    """libnvrtc, or None where it is not installed."""
    for folder in _folders():
        for file in sorted([*folder.glob("lib/libnvrtc.so*"), *folder.glob("lib64/libnvrtc.so*")]):
            try:
                return ctypes.CDLL(str(file))
            except OSError:
                continue
    return None


@functools.cache
def headers():
    """The folder of cuda_fp16.h, or None."""
    found = [folder / "include" for folder in _folders() if (folder / "include" / "cuda_fp16.h").exists()]
    if not found and (nvcc := shutil.which("nvcc")):
        found = [path for path in [Path(nvcc).resolve().parent.parent / "include"] if (path / "cuda_fp16.h").exists()]
    return found[0] if found else None


def of_cupy():
    """Folders of headers that CuPy has the compiler look in first, if it is installed."""
    spec = importlib.util.find_spec("cupy")
    folders = [Path(root, "_core/include", part) for root in (spec.submodule_search_locations or () if spec else ()) for part in _PARTS]
    return [folder for folder in folders if folder.exists()]


_PARTS = ("cupy/_cccl/cub", "cupy/_cccl/thrust", "cupy/_cccl/libcudacxx", "")


def compile_(code, expressions, options, architecture):
    """The machine code of some instances for an architecture such as "sm_90", compiled as CuPy does. RuntimeError says what does not compile."""
    nvrtc, program = library(), ctypes.c_void_p()
    flags = [*(f"-I{folder}" for folder in of_cupy()), *options, *([f"-I{headers()}"] if headers() else [])]
    flags += ["-ftz=true", f"-arch={architecture}", "--device-as-default-execution-space"]
    _call(nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None))
    try:
        for expression in expressions:
            _call(nvrtc.nvrtcAddNameExpression(program, expression.encode()))
        if nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*[flag.encode() for flag in flags])):
            raise RuntimeError(_text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode())
        for expression in expressions:  # under these names kernels are asked for
            _call(nvrtc.nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(ctypes.c_char_p())))
        return _text(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _call(code):
    if code:
        raise RuntimeError(f"NVRTC says {code}")


def _text(size, content, program):
    count = ctypes.c_size_t()
    _call(size(program, ctypes.byref(count)))
    buffer = ctypes.create_string_buffer(count.value)
    _call(content(program, buffer))
    return buffer.raw

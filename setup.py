"""Builds every cyconv/cpu/*.pyx once per x86-64 level from one source; everything else stands in pyproject.toml.

Each source is translated to C once, and that C file is compiled once per level into cyconv/cpu/<level>/. At import
cyconv/cpu/__init__.py picks the best level that the processor has. cyconv/_*.pyx are built with the baseline's flags
only: _platform asks the processor, and importing it is safe everywhere.

Two variables of the environment change what is built, for those who look for faults:

CYCONV_BUILD_LEVELS=v2,v3   some of the levels (v2, v3, v4, base), from any compiler. All three are built where GCC builds for x86-64,
                            elsewhere `base`: no flags of any processor.
CYCONV_BUILD=debug          symbols, tables for unwinding and C's start files stay in, nothing is done for size alone, and CFLAGS and LDFLAGS
                            come after the flags of this file instead of before them, so that they win:
                            CFLAGS="-O1 -fsanitize=address" LDFLAGS="-fsanitize=address"
"""

import copy
import functools
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path
from zipfile import ZipInfo

import numpy as np
from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command import bdist_wheel
from setuptools.command.build_ext import build_ext

# GCC splits 512-bit loops into 256-bit ones unless told otherwise.
LEVELS = {
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
BASELINE = "base"  # the one level of every other architecture, and of compilers other than GCC
COMMON = ["-O3", "-g0", "-fno-math-errno", "-Wno-discarded-qualifiers"]  # Cython drops const from locals
# Bytes are read as whatever they stand for: a zero of eight bytes is also one of four. By the letter of C nobody does that, and GCC 16 relies on it,
# as it may: `separable` was wrong. On average it costs nothing.
ALIASED = "-fno-strict-aliasing"
COMMON.append(ALIASED)
# Reads what was written as another type through vectors or bits_32 and bits_64 (finite.pxd) alone, which may be anything; 7 to 11 % slower, if compiled
# like the others.
STRICT = {"dots"}
# Nothing is ever thrown through C; the tables for that were a fortieth of the wheel.
COMMON += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
# Together a twenty-fifth more: no table for functions of other libraries, equal constants once, no number of the build, and nothing but
# loops begins at round addresses.
COMMON += ["-fno-plt", "-fmerge-all-constants", "-fno-align-functions", "-fno-align-jumps", "-fno-align-labels"]
# A branch that Cython calls unlikely (a failed call, an operand that is no int) is as good as never taken, so that it is made small and stands
# apart: 2 to 7 % of a module. Loops over numbers hold none, and come out as they were but for a few registers.
COMMON += ["--param=builtin-expect-probability=100", "-fno-ident"]
# What CYCONV_BUILD=debug is compiled with in place of all the above.
DEBUG = ["-O3", "-g", ALIASED, "-fno-math-errno", "-Wno-discarded-qualifiers"]
LINKED = ["-s", "-Wl,--build-id=none"] if sys.platform.startswith("linux") else ["-s"]
# Kernels have nothing that must be called when they are loaded or left, so that they need no start files of C: with the gaps between
# segments 0.5 KB of each, 20 KB of the wheel.
KERNELS_LINKED = ["-nostartfiles", "-Wl,-z,noseparate-code"] if sys.platform.startswith("linux") else []
# Sources whose results must not depend on whether the processor has FMA: contraction is switched off for them. `direct` and `separable`
# keep it, because there FMA is the whole speed; their results on v2 (no FMA) differ in the last bits for inexact data.
UNCONTRACTED = {"im2col", "pool", "sliding"}
# What -O3 unrolls and unswitches is a quarter to a third of these, since their loops are there for many types, and makes them no faster on average.
# Where loops begin in a line of the instruction cache made up to 10 % of difference between builds.
SMALLER = {"im2col", "pool", "sliding", "_calls", "_fold", "_norms", "_scatter", "_spread", "_taps", "_weave"}
SMALL = ["-O2", "-ftree-vectorize", "-fpeel-loops", "-falign-loops=64"]
# All of the level that processors from before 2013 have: 10 to 20 % smaller, up to 10 % slower there (separable, fft), and the wheel is for everybody.
SMALL_LEVEL = "v2"
# Fewer copies of blocks of code: 2 % slower and 6 % smaller where it is most (sliding). Not for the level of the newest processors.
FEWER_COPIES = ["-freorder-blocks-algorithm=simple", "-fno-tree-pre"]
# What compilers other than GCC do not know, or warn about.
GCCS_OWN = {"-Wno-discarded-qualifiers", "-fno-align-jumps", "-fno-align-labels", "--param=builtin-expect-probability=100", "-fpeel-loops", *FEWER_COPIES}
OTHERS = ["-Wno-incompatible-pointer-types-discards-qualifiers", "-Wno-unused-function"]
# Of the oldest level as small as can be: columns are gathered half as long again at worst, most of the time is the product's.
SMALLEST_OF_SMALL_LEVEL = {"im2col"}
# Of what Cython puts into every module: names packed twice make the wheel no smaller, and the code that unpacks them is in it too;
# docstrings of private functions stand in the sources.
MACROS = [("NPY_NO_DEPRECATED_API", "NPY_1_22_API_VERSION"), ("CYTHON_COMPRESS_STRINGS", "0")]
Options.docstrings = False
# May be imported before cyconv/threads.py has prepared the loading of OpenMP's library, and so must not load it.
UNTHREADED = {"_calls", "_cython", "_memory", "_threads"}
# What Cython gives to every module that it compiles, once instead of 40 times: 0.2 MB of the wheel.
SHARED = "cyconv._cython"
SMALLEST = {"_cython", "_platform", "_threads"}  # where speed does not matter at all


def source_name(extension):
    return extension.name.rpartition(".")[2]


class BuildPerLevel(build_ext):
    """build_ext that asks the compiler what it can do and compiles the kernels once per level."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1

    def build_extensions(self):
        self.require_compiler()
        self.openmp = ["-fopenmp"] if self.accepts("-fopenmp", "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }") else []
        if not self.openmp:
            print("cyconv: this compiler has no OpenMP; building a single-threaded cyconv", file=sys.stderr)
        self.forget_this_machine()
        super().build_extensions()

    def forget_this_machine(self):
        """No module looks for libraries where this Python has its own: it needs none of them, and is the same whatever folder Python stands in."""
        own = set((sysconfig.get_config_var("LDSHARED") or "").split()) - set(os.environ.get("LDFLAGS", "").split())
        places = {word for word in own if word.startswith(("-Wl,-rpath,", "-Wl,-rpath="))}
        self.compiler.linker_so = [word for word in self.compiler.linker_so if word not in places]

    def require_compiler(self):
        if not self.accepts("-O1", "#include <Python.h>\nint main(void) { return 0; }"):
            raise SystemExit(
                "cyconv: building needs a C compiler and Python's header files (on Debian: apt-get install gcc python3-dev); "
                f"{self.compiler.compiler[0]!r} could not compile a one-line program that includes Python.h"
            )

    def accepts(self, flag, program="int main(void) { return 0; }"):
        """Whether the compiler builds `program` with `flag`."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program + "\n")
            include = [f"-I{path}" for path in self.compiler.include_dirs]
            command = [*self.compiler.compiler, flag, *include, str(source), "-o", str(Path(folder, "probe"))]
            try:
                return subprocess.run(command, capture_output=True).returncode == 0
            except OSError:
                return False

    def copy_extensions_to_source(self):
        for extension in self.extensions:  # an editable install: the folders of the levels are not in git
            Path(*extension.name.split(".")[:-1]).mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()

    def build_extension(self, extension):
        openmp = [] if source_name(extension) in UNTHREADED else self.openmp
        extension.extra_compile_args = (DEBUG if debug() else COMMON) + LEVELS.get(extension.level, []) + openmp
        if source_name(extension) in UNCONTRACTED:
            extension.extra_compile_args.append("-ffp-contract=off")
        if source_name(extension) in STRICT:
            extension.extra_compile_args.remove(ALIASED)
        extension.extra_link_args = list(openmp)
        if debug():
            extension.extra_compile_args += os.environ.get("CFLAGS", "").split()
            extension.extra_link_args += os.environ.get("LDFLAGS", "").split()
        else:
            self.make_small(extension)
        if not is_gcc():
            extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag not in GCCS_OWN] + OTHERS
        command = copy.copy(self)  # of its own, since extensions are built side by side
        command.build_temp = os.path.join(self.build_temp, extension.level)  # one object file per level, not one overwriting the other
        build_ext.build_extension(command, extension)

    def make_small(self, extension):
        oldest = extension.name.startswith(f"cyconv.cpu.{SMALL_LEVEL}.")
        if source_name(extension) in SMALLEST:
            extension.extra_compile_args.append("-Os")
        elif oldest and source_name(extension) in SMALLEST_OF_SMALL_LEVEL:
            extension.extra_compile_args.append("-Os")
        elif source_name(extension) in SMALLER:
            extension.extra_compile_args += SMALL
        elif oldest:
            extension.extra_compile_args += SMALL[:-1]
        if oldest or extension.level == "v3" and source_name(extension) in SMALLER:
            extension.extra_compile_args += FEWER_COPIES
        extension.extra_link_args += LINKED + (KERNELS_LINKED if extension.name.startswith("cyconv.cpu.") else [])


@functools.cache
def is_gcc():
    """GCC alone builds the levels above the baseline: the tiles' register use was checked in its output."""
    compiler = os.environ.get("CC", "cc").split()
    try:
        text = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
    except OSError:
        return False
    return "Free Software Foundation" in text


def debug():
    build = os.environ.get("CYCONV_BUILD", "")
    if build not in ("", "debug"):
        raise SystemExit(f"cyconv: CYCONV_BUILD must be 'debug' or not set; got {build!r}")
    return build == "debug"


def levels_to_build():
    wanted = [level.strip() for level in os.environ.get("CYCONV_BUILD_LEVELS", "").split(",") if level.strip()]
    if unknown := set(wanted) - {*LEVELS, BASELINE}:
        raise SystemExit(f"cyconv: CYCONV_BUILD_LEVELS must name some of {', '.join(LEVELS)}, {BASELINE}; got {', '.join(sorted(unknown))}")
    if wanted:
        return wanted
    return list(LEVELS) if platform.machine().lower() in ("x86_64", "amd64") and is_gcc() else [BASELINE]


def extensions():
    debug()  # a slip in it is told before anything is translated
    levels = levels_to_build()
    directives = {
        "language_level": "3",
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": False,
        "always_allow_keywords": False,  # functions of one argument take it by its place: 0.8 KB a module
        "binding": False,  # functions like those of C modules, without what Python's own have besides: 3 KB a module
    }
    headers = glob("cyconv/*.pxd") + glob("cyconv/cpu/*.pxd")
    sources = sorted(glob("cyconv/cpu/*.pyx") + glob("cyconv/_*.pyx"))
    one_each = [
        Extension(
            ".".join(Path(source).with_suffix("").parts), [source], include_dirs=[np.get_include()], define_macros=MACROS, depends=headers
        )
        for source in sources
    ]
    one_each.append(Extension(SHARED, ["build/c/cyconv/_cython.c"]))
    modules = cythonize(
        one_each, build_dir="build/c", compiler_directives=directives, include_path=["."], shared_utility_qualified_name=SHARED
    )
    fanned = []
    for kernel in modules:
        if kernel.name.startswith("cyconv._"):
            kernel.level = BASELINE if levels == [BASELINE] else min(LEVELS)
            fanned.append(kernel)
            continue
        for level in levels:
            copy = Extension(
                f"cyconv.cpu.{level}.{source_name(kernel)}",
                list(kernel.sources),
                include_dirs=kernel.include_dirs,
                define_macros=MACROS,
                depends=headers,
            )
            copy.level = level
            fanned.append(copy)
    return fanned


class WellPacked(bdist_wheel.WheelFile):
    """A wheel whose files are packed as small as zlib can: 20 KB."""

    def writestr(self, zinfo_or_arcname, data, compress_type=None):
        if isinstance(zinfo_or_arcname, ZipInfo):
            zinfo_or_arcname._compresslevel = 9
        super().writestr(zinfo_or_arcname, data, compress_type)


bdist_wheel.WheelFile = WellPacked
# One wheel for each Python. One for all of them (abi3: Py_LIMITED_API of 3.11) is a few percent smaller, but calls into Python take longer in it:
# tiny_conv and tiny_1d of bench/problems/tiny.txt 19 and 31 % longer, 19 and 22 % more instructions.
setup(ext_modules=extensions(), cmdclass={"build_ext": BuildPerLevel})

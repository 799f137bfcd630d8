"""Kernels touch nothing beside their arrays, which stand between pages that nobody may read or write (guard_pages.py).

Scratch memory is watched by builds/sanitizers.py and builds/memcheck.py.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_calls import FAMILIES, SMALL

from cyconv import _platform
from cyconv.problem import CONV_DTYPES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it")
FOLDER = Path(__file__).parent
LEVELS = ("v2", "v3", "v4")
HAVE = LEVELS[: LEVELS.index(_platform.cpu_level()) + 1] if _platform.cpu_level() in LEVELS else ()


def run(*command, **variables):
    path = os.pathsep.join([str(FOLDER), os.environ["PYTHONPATH"]])
    return subprocess.run([sys.executable, *command], env=os.environ | {"PYTHONPATH": path} | variables, capture_output=True, text=True, timeout=1800)


def check(*families, at_least, **variables):
    done = run(str(FOLDER / "guard_pages.py"), *families, **variables)
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"{last} ended with {done.returncode}\n{done.stderr[-3000:]}"
    assert last[0].startswith("computed ") and int(last[0].split()[1]) >= at_least


def test_kernels_touch_nothing_beside_their_arrays():
    check(*(f"{family}=one" for family in SMALL), at_least=3000)


@pytest.mark.slow
@pytest.mark.parametrize("level", HAVE)
def test_in_every_dtype_and_in_many_blocks(level):
    check(*(f"{family}={'all' if family in SMALL else 'one'}" for family in FAMILIES), at_least=30000, CYCONV_ISA=level)


@pytest.mark.slow
def test_one_dtype_for_each_case_is_every_dtype_for_each_kernel():
    for family, dtypes in (("convolutions", CONV_DTYPES), ("pools", (*CONV_DTYPES, "bool"))):

        def met(chosen):
            names = [call.name.split() for call in FAMILIES[family](chosen) if not call.name.startswith("adaptive")]
            return {(words[0][:-2], words[1], next(word for word in words if word in dtypes)) for words in names}  # without the rank

        assert met("one") == met("all")
        assert len(met("all")) > 60


TOUCH = """
import faulthandler, sys
import cyconv
import numpy as np
from guard_pages import guarded
from numpy.lib.stride_tricks import as_strided

faulthandler.enable()
placement, where, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
x = guarded(np.arange(8, dtype=np.float32), placement)
assert x.sum() == 28
x[:] = 2
print("before", flush=True)
beside = as_strided(x, (2,), (where * x.itemsize,))
longer = as_strided(x, (1, 1, where + 1), (32, 32, 4)) if where > 0 else None
if what == "reads":
    beside.sum()
elif what == "writes":
    beside[1] = 1
elif what == "a kernel reads":
    cyconv.max_pool1d(longer, 2, 1)
else:
    cyconv.relu(np.ones(longer.shape, np.float32), out=longer)
print("untouched")
"""


@pytest.mark.parametrize(
    ("placement", "where", "what", "noticed"),
    [
        ("after", 7, "writes", False),
        ("before", 7, "writes", False),
        ("after", 8, "reads", True),
        ("after", 8, "writes", True),
        ("before", -1, "reads", True),
        ("before", -1, "writes", True),
        ("after", 7, "a kernel writes", False),
        ("after", 8, "a kernel reads", True),
        ("after", 8, "a kernel writes", True),
    ],
)
def test_a_touch_is_noticed(placement, where, what, noticed):
    done = run("-c", TOUCH, placement, str(where), what)
    assert done.stdout.split() == (["before"] if noticed else ["before", "untouched"])
    assert ("Segmentation fault" in done.stderr) == noticed and (done.returncode < 0) == noticed

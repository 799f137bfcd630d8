"""More than 2**31 elements in input, output and one plane: the cases of tests/limits/huge.py, each in a process of its own.

pytest -m slow tests/test_limits_huge.py     takes about half an hour and up to 13 GB (two cases: 19 and 21)
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from limits import huge

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", huge.CASES)
def test_huge(name):
    needed = huge.CASES[name][1] * 2**30
    if needed > os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.95 + cached():
        pytest.skip(f"takes {needed / 2**30:.1f} GiB")
    done = subprocess.run([sys.executable, huge.__file__, name], capture_output=True, text=True, timeout=huge.SECONDS)
    print(done.stdout)
    assert done.returncode == 0, done.stderr


def cached():
    """Bytes that files hold in memory, and would give up."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Cached"):
            return int(line.split()[1]) * 1024 // 2
    return 0

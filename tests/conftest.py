"""Child processes import the very cyconv that the tests import, and nothing depends on what `tune` has kept on this machine.

Python would look in the current folder first. In a clone that is the source tree, which may hold no compiled modules while
the tests run against an installed package.
"""

import os
from pathlib import Path

import pytest

import cyconv


def pytest_configure(config):
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ["CYCONV_TUNING"] = "off"
    folders = [str(Path(cyconv.__file__).parent.parent), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))


@pytest.fixture
def torch():
    """PyTorch; tests that ask for it are left out where it is not installed."""
    return pytest.importorskip("torch")

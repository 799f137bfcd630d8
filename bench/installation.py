"""Finds a cyconv that works: `python -m` puts the checkout first on the path, where the extensions may not be built."""

import importlib
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def import_cyconv():
    """Imports the checkout's cyconv if it is built in place, else the installed one."""
    if "cyconv" in sys.modules:
        return
    path = list(sys.path)
    if not [*CHECKOUT.glob("cyconv/_platform.*.so"), *CHECKOUT.glob("cyconv/_platform.*.pyd")]:
        sys.path = [entry for entry in path if Path(entry or ".").resolve() != CHECKOUT]
    try:
        importlib.import_module("cyconv")
    except ModuleNotFoundError as error:
        if error.name != "cyconv":
            raise
        raise SystemExit(
            f"cyconv is not installed, and the source tree at {CHECKOUT} is not built; "
            "run `pip install .` there, or `python setup.py build_ext --inplace`"
        ) from None
    finally:
        sys.path = path

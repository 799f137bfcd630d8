"""The CPU algorithms: one per .pyx, compiled once per x86-64 level; this module picks the level and loads them.

``CYCONV_ISA`` (v2, v3 or v4) picks a lower level than the processor's; a higher one would crash and is an error.
"""

import importlib
import os
from pathlib import Path

from ..threads import _platform  # threads prepares the loading of libgomp, so it comes first

_ORDER = ("v2", "v3", "v4")


def _pick():
    """The name of the sub-folder whose modules this process uses."""
    built = {folder.name for folder in Path(__file__).parent.iterdir() if folder.name in (*_ORDER, "base") and folder.is_dir()}
    wanted = os.environ.get("CYCONV_ISA") or None
    if wanted not in (None, *_ORDER):
        raise ImportError(f"CYCONV_ISA must be one of {', '.join(_ORDER)}; got {wanted!r}")
    has = _platform.cpu_level()
    if has == "base" or built == {"base"}:
        return "base"
    if has not in _ORDER:
        raise ImportError("this build of cyconv needs an x86-64-v2 processor (SSE4.2, from about 2009); build it from source here")
    if wanted is not None and _ORDER.index(wanted) > _ORDER.index(has):
        raise ImportError(f"CYCONV_ISA={wanted} asks for more than this processor has ({has})")
    usable = [level for level in _ORDER[: _ORDER.index(wanted or has) + 1] if level in built]
    if not usable:
        raise ImportError(f"no kernels are built for this processor's level {has}; built: {', '.join(sorted(built)) or 'none'}")
    return usable[-1]


level = _pick()


def load(name):
    """The module of algorithm `name`, built for this processor; imported on first use."""
    return importlib.import_module(f"{__name__}.{level}.{name}")

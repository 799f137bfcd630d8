"""Every public function, with the maker of its calls; tests/test_fuzz.py sees that none is missing."""

from fuzz import convolutions, networks, pools, signals

import cyconv

TABLE = {**convolutions.TABLE, **pools.TABLE, **networks.TABLE, **signals.TABLE}


def public():
    """The names of all that may be called."""
    found = {name for name in cyconv.__all__ if callable(getattr(cyconv, name))}
    for module in ("grad", "signal", "nn"):
        found |= {f"{module}.{name}" for name in getattr(cyconv, module).__all__}
    return found

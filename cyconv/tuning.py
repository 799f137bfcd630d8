"""The file in which `python -m cyconv tune` keeps what it measured: seconds of each kind of work on this machine (costs.py).

It lies in the user's configuration folder and is for one processor, level and version of cyconv. Nothing of it is believed
but numbers: whatever else is odd about a file, it is ignored as a whole. `CYCONV_TUNING=off` ignores any.
"""

import datetime
import os
import platform
import sys
from pathlib import Path

from . import cpu
from ._version import __version__

VARIABLE = "CYCONV_TUNING"
FORMAT = 1  # of the file
_MOST_BYTES = 2**20
_MOST_SECONDS = 1.0  # that a unit of any kind of work takes


def path():
    """Where the file lies, or would; None if nobody knows where this user's files are."""
    if sys.platform == "win32":
        folder = os.environ.get("APPDATA") or "~/AppData/Roaming"
    elif sys.platform == "darwin":
        folder = "~/Library/Application Support"
    else:
        folder = os.environ.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(folder):  # then it does not count, says the XDG Base Directory Specification
            folder = "~/.config"
    file = Path(os.path.expanduser(folder), "cyconv", "tuning.json")
    return file if file.is_absolute() else None


def processor():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.processor() or platform.machine()


def origin():
    """What a file must say that it is from, to be used here."""
    return {"format": FORMAT, "cyconv": __version__, "processor": processor(), "level": cpu.level}


def off():
    """Whether the environment says that files are ignored."""
    asked = os.environ.get(VARIABLE) or None
    if asked not in (None, "off"):
        raise ValueError(f"the environment variable {VARIABLE} must be 'off', or not be set; got {asked!r}")
    return asked == "off"


def look(shipped):
    """((table, where it is from), None) of the file, or (None, why it is ignored); twice None where there is none, or none is wanted."""
    file = None if off() else path()
    if file is None:
        return None, None
    try:
        with open(file, "rb") as content:
            table, date = _checked(content.read(_MOST_BYTES), shipped)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        return None, _complaint(file, f"it cannot be read ({error.strerror or error})")
    except (ValueError, RecursionError) as error:
        return None, _complaint(file, error)
    return (table, f"tuned on this machine, {date} ({shown(file)})"), None


def shown(file):
    """A file's name as people write it."""
    home = os.path.expanduser("~")
    return f"~{str(file)[len(home) :]}" if str(file).startswith(home + os.sep) else str(file)


def _complaint(file, what):
    return f"{file} is ignored: {what}. `python -m cyconv tune` measures anew; with --reset it removes the file"


def _checked(content, shipped):
    """(table, date) of a file's bytes. ValueError says what is wrong."""
    import json

    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is damaged: not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is damaged: not a JSON object")  # noqa: TRY004 - as of all that is wrong with a file
    for name, here in origin().items():
        if name not in found:
            raise ValueError(f"it is damaged: {name!r} is missing")
        if found[name] != here:
            raise ValueError(f"it is for another {name} ({found[name]!r:.80}; here is {here!r})")
    try:
        table, date = found["seconds"], datetime.date.fromisoformat(found["date"])
        kinds = {name: set(each) for name, each in table.items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError("it is damaged: 'date' or 'seconds' is missing or odd") from None
    if kinds != {name: set(each) for name, each in shipped.items()} or not all(isinstance(each, dict) for each in table.values()):
        raise ValueError("it is damaged: it has other algorithms or kinds of work than this cyconv")
    for name, each in table.items():
        for kind, value in each.items():
            if type(value) not in (int, float) or not 0 <= value <= _MOST_SECONDS:
                raise ValueError(f"it is damaged: {kind!r} of {name!r} is {value!r:.80}, not a number of seconds")
    # in the order of the shipped one, so that nothing depends on the file's
    return {name: {kind: float(table[name][kind]) for kind in each} for name, each in shipped.items()}, date


def write(file, table):
    """Keeps a table for the processes that start from now on. The file is whole at any moment, the old or the new one."""
    import json
    import tempfile

    content = origin() | {"date": str(datetime.date.today()), "seconds": table}
    handle, part = tempfile.mkstemp(dir=file.parent, prefix="tuning.", suffix=".part")
    try:
        with open(handle, "w") as target:
            json.dump(content, target, indent=1)
        os.replace(part, file)
    except BaseException:
        os.unlink(part)
        raise

"""State dicts in files: NumPy's .npz, and .safetensors, which other libraries read, too."""

import os
from pathlib import Path

import numpy as np

from ..arguments import as_array
from ..devices import moved
from .module import Module, detached

_SUFFIXES = (".npz", ".safetensors")


def save(state, path):
    """Writes parameters and buffers to a file.

    It is written beside its place and moved there when complete: whatever happens, there is the old file or the new one.

    Parameters
    ----------
    state : Module, or mapping of str to array_like
        What is saved; of a module its `state_dict`. Arrays of the GPU are brought to the CPU; `Module.load_state_dict` takes them back.
    path : str or os.PathLike
        Ending in .npz, or in .safetensors, which takes the package of that name.

    Raises
    ------
    ValueError
        If `path` ends otherwise, or .safetensors has no such dtype.
    TypeError
        If `state` is no mapping of names to arrays of numbers, or has some in bfloat16, which neither kind of file takes from NumPy.
    ImportError
        If the package safetensors is wanted and not there.

    Examples
    --------
    >>> import os, tempfile, cyconv
    >>> net = cyconv.nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     cyconv.nn.save(net, path)
    ...     net.load_state_dict(cyconv.nn.load(path))
    Incompatible(missing_keys=[], unexpected_keys=[])
    """
    path = _checked(path)
    state = state.state_dict() if isinstance(state, Module) else state
    if not hasattr(state, "items"):
        raise TypeError(f"state must be a Module or a mapping of names to arrays, got {type(state).__name__}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise TypeError(f"names in a state must be strings, got {name!r}")
        arrays[name] = np.asarray(as_array(name, moved(detached(value), "cpu")), order="C")
        if arrays[name].dtype.kind not in "fiubc":
            raise TypeError(f"{name} must be an array of numbers, got dtype {arrays[name].dtype}")
    write = _write_npz if path.suffix == ".npz" else _safetensors("save_file")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        write(arrays, str(unfinished))
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path):
    """Reads what `save` has written, or another library.

    Parameters
    ----------
    path : str or os.PathLike
        Ending in .npz or .safetensors. Nothing in it is executed.

    Returns
    -------
    dict of str to ndarray
        For `Module.load_state_dict`.

    Raises
    ------
    ValueError
        If `path` ends otherwise, or the file is damaged, or holds what NumPy has no numbers for.
    ImportError
        If the package safetensors is wanted and not there.
    OSError
        If there is no such file.

    Examples
    --------
    See `save`.

    >>> import cyconv
    >>> cyconv.nn.load("weights.pt")
    Traceback (most recent call last):
        ...
    ValueError: path must end in .npz or .safetensors, got 'weights.pt'
    """
    path = _checked(path)
    if path.suffix == ".npz":
        import tokenize  # in use only: they would make importing cyconv slower
        import zipfile
        import zlib

        with open(path, "rb") as file:  # here, since np.load leaves damaged ones open
            if not zipfile.is_zipfile(file):
                raise ValueError(f"{path} is no .npz file, or not all of one")
            file.seek(0)
            try:
                with np.load(file, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}
            except _DAMAGE + (zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
                raise ValueError(f"{path} is damaged: {error}") from error
    return _safetensors("load_file")(path)


_DAMAGE = (OSError, SyntaxError, EOFError, KeyError, NotImplementedError)


def _checked(path):
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"path must end in {' or '.join(_SUFFIXES)}, got {str(path)!r}")
    return path


def _safetensors(name):
    """A function of the library, whose errors become ValueErrors."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("files that end in .safetensors need the package safetensors: pip install 'cyconv[safetensors]'") from error

    def call(*arguments):
        try:
            return getattr(safetensors.numpy, name)(*arguments)
        except (safetensors.SafetensorError, TypeError) as error:  # a TypeError of a dtype that NumPy does not have, such as bfloat16
            raise ValueError(f"{arguments[-1]} as .safetensors: {error}") from error

    return call


def _write_npz(arrays, path):
    """As numpy.savez, which cannot have an array of the name "file"."""
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)

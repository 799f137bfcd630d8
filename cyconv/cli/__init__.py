"""What `python -m cyconv` does, one command per file.

    demo      convolves and pools a photograph: a table and a picture
    filter    one kernel over a picture file
    info      what this installation found: processor, threads, BLAS, GPU
    explain   every algorithm's verdict on a convolution of given shapes
    tune      measures this machine, so that choices suit it
    run       an ONNX model on .npy files, and the time of its nodes
    bench     every algorithm's time against kernel size, beside other libraries': tables, CSV and a picture

    kernels   the kernels that `filter` and `demo` know by name
    pictures  picture files and .npy files to arrays and back
    measure   times of several ways to the same result
    peers     other libraries' ways to a convolution
    poster    the demo's picture
    curves    the benchmark's

The command line itself is read in cyconv/__main__.py, which imports a command when it is asked for.
"""

import os


class CommandError(Exception):
    """An error that is the user's to mend: `python -m cyconv` prints it as one line and exits with status 1."""


def check_target(path):
    """Refuses, before the work, a file that cannot be written after it."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise CommandError(f"cannot write {path}: there is no folder {folder}")
    if os.path.isdir(path):
        raise CommandError(f"cannot write {path}: it is a folder")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise CommandError(f"cannot write {path}: permission denied")

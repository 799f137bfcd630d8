"""What `python -m cyconv` does, one command per file.

    demo      convolves and pools a photograph: a table and a picture
    filter    one kernel over a picture file
    info      what this installation found: processor, threads, BLAS, GPU
    explain   every algorithm's verdict on a convolution of given shapes
    tune      measures this machine, so that choices suit it

    kernels   the kernels that `filter` and `demo` know by name
    pictures  picture files and .npy files to arrays and back
    measure   times of several ways to the same result
    poster    the demo's picture

The command line itself is read in cyconv/__main__.py, which imports a command when it is asked for.
"""


class CommandError(Exception):
    """An error that is the user's to mend: `python -m cyconv` prints it as one line and exits with status 1."""

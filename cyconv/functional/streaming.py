"""Public signature of the convolution of arrays larger than memory."""

from ..problem import MAX_WORKSPACE


def convolve_blockwise(
    input, weight, out, bias=None, stride=1, padding=0, dilation=1, groups=1, *, padding_mode="zeros", algorithm="auto",
    precision="default", max_workspace=MAX_WORKSPACE, max_memory=2**30, progress=None, journal=None, resume=True,
):  # fmt: skip
    """Cross-correlation of an array larger than memory into another one, part by part, as `conv1d`, `conv2d` or `conv3d` by the weight's axes.

    One thread reads ahead, some compute, and one writes behind. Results do not depend on `max_memory`, threads or the chunks of `out`: they
    are, to the last bit, those of `conv1d/2d/3d` on dask arrays, which may round otherwise than those on NumPy arrays do. A call whose process
    died goes on, when made again, behind what it had finished.

    Parameters
    ----------
    input : array
        ``(N, C, *spatial)``, ``(C, *spatial)``, or of a single channel ``(*spatial)``. A numpy.memmap, an array of zarr, or anything with shape, dtype
        and slices.
    weight, bias : array_like
        As in `conv1d`, `conv2d`, `conv3d`: ``(out_channels, C / groups, *kernel)``, even for a single channel, and (out_channels,).
    out : array
        Where results go: like `input`, of its dtype and the result's shape (spatial axes alone are enough where input has no others and there
        is one output channel). Whole chunks, or shards, are written, each once.
    stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace
        As in `conv1d`, `conv2d`, `conv3d`. Padding lies around the whole array.
    max_memory : int
        Bytes for all parts in memory, including those that are read, written and computed with. Default 1 GiB.
    progress : True, callable or None
        True: a bar on stderr. A callable gets (done, total), in output samples.
    journal : path, False or None
        The file that tells what is finished, until all is. Default: beside out's file or folder, with ``.cyconv-progress`` behind its name, if
        out is a memmap or a zarr array in a folder. False, and in all other cases: none.
    resume : bool
        Whether to go on with what the journal tells. It notices another call, another size or time of change of an input's file, and parts of
        `out` that have been changed, which are computed again; but not other samples in an input that is no memmap.

    Returns
    -------
    array
        `out`.

    Raises
    ------
    ValueError
        As `conv1d`; if `out` is or overlaps `input`, if `max_memory` is too small, or if the journal is that of another call.
    TypeError
        As `conv1d`; or if `input` or `out` cannot be read or written by slices.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> volume = np.ones((4, 5, 6), np.float32)  # or np.memmap("volume.raw", np.float32, "r", shape=(1600, 1600, 1600))
    >>> out = np.empty_like(volume)  # or np.memmap("smooth.raw", np.float32, "w+", shape=volume.shape)
    >>> cyconv.convolve_blockwise(volume, np.ones((1, 1, 3, 3, 3), np.float32), out, padding=1)[1]
    array([[12., 18., 18., 18., 18., 12.],
           [18., 27., 27., 27., 27., 18.],
           [18., 27., 27., 27., 27., 18.],
           [18., 27., 27., 27., 27., 18.],
           [12., 18., 18., 18., 18., 12.]], dtype=float32)
    """
    from ..chunked import streaming  # what it takes is not needed before

    return streaming.convolve(
        input, weight, out, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, max_memory, progress,
        journal, resume,
    )  # fmt: skip

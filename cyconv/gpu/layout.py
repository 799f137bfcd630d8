"""Arrays as the convolution kernels see them: views of six axes, told by strides, so that no caller's view is copied.

    input   (batch, group, channel, z, y, x)
    weight  (group, out channel, channel, z, y, x)
    out     (batch, group, out channel, z, y, x)

A gradient with respect to weights is a convolution whose input has batch and channels exchanged, a phase of a transposed one writes
every second output: here both are other strides.
"""

from .launch import packed

MODES = ("zeros", "reflect", "replicate", "circular")  # their numbers in conv.cuh
LONGEST = 2**29  # of an axis, where positions are 32-bit numbers


def views(problem, input, weight, out):
    """The three arrays of a plain convolution as it was called."""
    p = problem
    return (
        split(input, p.rank, (p.batch, p.groups, p.in_channels)),
        split(weight, p.rank, (p.groups, p.out_channels, p.in_channels)),
        split(out, p.rank, (p.batch, p.groups, p.out_channels)),
    )


def split(array, rank, lead):
    """`array` with what is before its `rank` spatial axes made three axes, and unit axes before those."""
    space = array.shape[array.ndim - rank :]
    return array.reshape(*lead, *(1,) * (3 - rank), *space)


def struct(problem, input, weight, out):
    """The argument `Conv` of conv.cuh."""
    p = problem
    return packed(
        p.batch, p.groups, p.in_channels, p.out_channels, p.size, p.kernel, p.stride, p.dilation, p.pad_before, p.out_size,
        MODES.index(p.padding_mode), strides(input), strides(weight), strides(out),
    )  # fmt: skip


def too_long(problem):
    """Why positions along an axis are no 32-bit numbers; None if they are."""
    p = problem
    if max(n + abs(b) + abs(a) + d * k for n, b, a, d, k in zip(p.size, p.pad_before, p.pad_after, p.dilation, p.kernel)) >= LONGEST:
        return f"an axis has more than {LONGEST} samples, with its padding"
    return None


def strides(array):
    """In elements."""
    size = array.itemsize
    return tuple([step // size for step in array.strides])

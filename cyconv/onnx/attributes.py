"""ONNX's attributes as cyconv's arguments, or one sentence about what is wrong with them."""

from ..arguments import integer

RANKS = (1, 2, 3)
_WORDS = {"VALID": "valid", "SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower"}


def rank_of(operator, shape):
    """The number of spatial axes of an input (N, C, ...)."""
    rank = len(shape) - 2
    if rank not in RANKS:
        raise ValueError(f"{operator} takes 1 to 3 spatial axes, X must be (N, C, ...) with so many; got shape {tuple(shape)}")
    return rank


def ints(name, values, count, least=1, default=1):
    """An attribute of one int per spatial axis, or two of `pads`."""
    if values is None or not len(values):
        return (default,) * count
    if len(values) != count:
        raise ValueError(f"{name} must be {count} ints, got {list(values)}")
    return tuple([integer(name, value, least) for value in values])


def padding_of(auto_pad, pads, rank):
    """One of cyconv's words, or a (before, after) pair per axis."""
    pads = ints("pads", pads, 2 * rank, 0, 0)
    if auto_pad in ("NOTSET", "", None):
        return tuple(zip(pads[:rank], pads[rank:]))
    if auto_pad not in _WORDS:
        raise ValueError(f"auto_pad must be one of 'NOTSET', {', '.join(map(repr, _WORDS))}; got {auto_pad!r}")
    if any(pads):
        raise ValueError(f"auto_pad={auto_pad!r} and pads={list(pads)} exclude each other")
    return _WORDS[auto_pad]


def check_kernel_shape(kernel_shape, shape):
    """The kernel of a weight; `kernel_shape`, if given, must be the same."""
    kernel = tuple(shape[2:])
    if ints("kernel_shape", kernel_shape, len(kernel), 0, None) not in (kernel, (None,) * len(kernel)):
        raise ValueError(f"kernel_shape must be that of W, {list(kernel)}, got {list(kernel_shape)}")
    return kernel

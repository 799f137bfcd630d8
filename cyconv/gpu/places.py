"""Launches whose threads walk through places of row-major arrays (places.cuh)."""

from math import prod

from . import costs
from .launch import blocks

THREADS = 256
_BLOCKS = 16 * costs.PROCESSORS  # each of which walks on, since the first place of a thread takes some divisions


INTEGERS = ("int", "long long")


def walk(*sizes):
    """(blocks, the argument Digits, what holds them): of an array of these sizes, none of them 0."""
    grid = min(blocks(prod(sizes), THREADS), _BLOCKS)
    steps = _digits(grid * THREADS, sizes)
    return grid, (*sizes, *steps), INTEGERS[max([size + step for size, step in zip(sizes, steps)]) >= 2**31]


def _digits(number, sizes):
    """Places that one `number` places on is away along each axis."""
    found = []
    for size in sizes[:0:-1]:
        number, digit = divmod(number, size)
        found.insert(0, digit)
    return (number, *found)

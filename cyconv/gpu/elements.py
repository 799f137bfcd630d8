"""What kernels that go through arrays element by element (elements.cuh) have in common."""


def wide(length, *arrays):
    """How many elements are loaded at once: 16 bytes of them, where runs of `length` and all arrays are aligned to that; else 1."""
    width = 16 // arrays[0].itemsize
    return width if length % width == 0 and all([a.data.ptr % 16 == 0 for a in arrays]) else 1

"""Fourier transforms by cuFFT, with plans of our own: CuPy's cache of plans is the user's, and stays as it was.

Plans are few, and kept for each thread, device and stream: a plan must not run on two streams at once, nor be set up by two threads. The
work areas of plans of one stream are one and the same memory, since they run one after the other; up to 64 MiB of them stay.
"""

import atexit
import threading
from collections import OrderedDict
from math import prod

from .launch import missing_library

KEPT = 16  # plans of a thread
KEPT_BYTES = 64 << 20  # of their work areas; a plan that needs more is made for each call


class _Plans(threading.local):
    def __init__(self):
        self.made = OrderedDict()  # (device, stream, what): (plan, work area, its bytes); the last used one last


_plans = _Plans()
atexit.register(lambda: _plans.made.clear())  # while there is a driver to give them back to


def missing():
    """Why there are no transforms, or None."""
    return missing_library("cuFFT")


def pitch(length, real):
    """Numbers from one row of a tile to the next: a row of real ones becomes one of half as many complex ones, and one more."""
    return 2 * (length // 2 + 1) if real else length


def transform(array, lengths, real, count, there):
    """Transforms `count` tiles in place, one after the other in `array` (complex), or back, times the number of points."""
    import cupy

    cufft = cupy.cuda.cufft
    single = array.dtype.char == "F"
    if not real:
        kind = cufft.CUFFT_C2C if single else cufft.CUFFT_Z2Z
    elif there:
        kind = cufft.CUFFT_R2C if single else cufft.CUFFT_D2Z
    else:
        kind = cufft.CUFFT_C2R if single else cufft.CUFFT_Z2D
    plan = _plan(lengths, real, there, kind, count)
    plan.fft(array, array, cufft.CUFFT_FORWARD if there else cufft.CUFFT_INVERSE)


def _plan(lengths, real, there, kind, count):
    import cupy

    cuda, made = cupy.cuda, _plans.made
    place = (cuda.runtime.getDevice(), cuda.get_current_stream().ptr)
    key = (*place, lengths, kind, count)
    if key in made:
        made.move_to_end(key)
        return made[key][0]
    allocate = cuda.get_allocator()
    found = []

    def work_area(size):
        """What another plan of this stream has. Where all are too small, those plans go, and so does what they have."""
        others = [each for each in made if each[:2] == place]
        if enough := [each for each in others if made[each][2] >= size]:
            found.append(made[enough[0]][1:])
        else:
            for each in others:
                if (made[each][2] > KEPT_BYTES) == (size > KEPT_BYTES):
                    del made[each]
            found.append((allocate(size), size))
        return found[-1][0]

    samples = (*lengths[:-1], pitch(lengths[-1], real))
    spectrum = (*lengths[:-1], samples[-1] // 2) if real else lengths
    ends = [(each, 1, prod(each)) for each in ((samples, spectrum) if there else (spectrum, samples))]
    with cuda.using_allocator(work_area):
        plan = cuda.cufft.PlanNd(lengths, *ends[0], *ends[1], kind, count, "C", len(lengths), None)
    made[key] = (plan, *(found[-1] if found else (None, 0)))
    return plan


def trim():
    """Lets go of plans beyond what is kept, the longest unused first."""
    made = _plans.made
    for key in [key for key, (_, _, size) in made.items() if size > KEPT_BYTES]:
        del made[key]
    while len(made) > KEPT or sum({id(area): size for _, area, size in made.values()}.values()) > KEPT_BYTES:
        made.popitem(last=False)

"""Fourier transforms by cuFFT, with plans of our own: CuPy's cache of plans is the user's, and stays as it was.

Plans are few, and kept for each thread, device and stream: a plan must not run on two streams at once, nor be set up by two threads. The
work areas of plans of one stream are one and the same memory, since they run one after the other. What the last call used stays, however
large, as making plans takes long and giving up memory may wait for the device; of all others up to 256 MiB stay. A work area is about as
large as what is transformed at once: 32 MiB (PASS_BYTES of fft.py), or where a single tile with all its channels is larger, as much as that.
"""

import atexit
import threading
from collections import OrderedDict
from math import prod
from typing import NamedTuple

from .launch import missing_library

KEPT = 64  # plans of a thread; a layer has up to three
KEPT_BYTES = 256 << 20  # of their work areas


class _Made(NamedTuple):
    plan: object
    area: object
    bytes: int  # of the area
    needs: int  # of which the plan needs so many


class _Plans(threading.local):
    def __init__(self):
        self.made = OrderedDict()  # (device, stream, what): _Made; the last used one last
        self.used = set()  # keys of this call


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
    _plans.used.add(key)
    if key in made:
        made.move_to_end(key)
        return made[key].plan
    allocate = cuda.get_allocator()
    found = []

    def work_area(size):
        """What another plan of this stream has. Where all are too small, those plans go, and so does what they have. Areas that are not kept
        are shared among their like: the others stay."""
        others = [each for each in made if each[:2] == place and (made[each].bytes > KEPT_BYTES) == (size > KEPT_BYTES)]
        if enough := [each for each in others if made[each].bytes >= size]:
            found.append((made[enough[0]].area, made[enough[0]].bytes, size))
        else:
            for each in others:
                del made[each]
            found.append((allocate(size), size, size))
        return found[-1][0]

    samples = (*lengths[:-1], pitch(lengths[-1], real))
    spectrum = (*lengths[:-1], samples[-1] // 2) if real else lengths
    ends = [(each, 1, prod(each)) for each in ((samples, spectrum) if there else (spectrum, samples))]
    with cuda.using_allocator(work_area):
        plan = cuda.cufft.PlanNd(lengths, *ends[0], *ends[1], kind, count, "C", len(lengths), None)
    made[key] = _Made(plan, *(found[-1] if found else (None, 0, 0)))
    return plan


def trim():
    """At the end of a call: lets go of plans beyond what is kept, the longest unused first."""
    made, used = _plans.made, _plans.used & set(_plans.made)
    _plans.used = set()
    needed = max([made[key].needs for key in used], default=0)
    for key in list(used):  # what was made for something far larger
        if KEPT_BYTES < made[key].bytes > 2 * needed:
            used.remove(key)
            del made[key]
    for key in sorted(made, key=lambda key: made[key].bytes <= KEPT_BYTES):  # the largest ones first, since they alone are too much
        if len(made) <= KEPT and _held(but_for=used) <= KEPT_BYTES:
            break
        if key not in used:
            del made[key]


def _held(but_for=()):
    """Bytes of all work areas but for those of some plans."""
    areas = {id(each.area): each.bytes for each in _plans.made.values()}
    return sum(areas.values()) - sum([areas[area] for area in {id(_plans.made[key].area) for key in but_for}])

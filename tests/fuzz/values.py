"""Values to call functions with: arrays of any layout and dtype, options in all the forms that are taken, and what nobody should pass."""

import decimal
import enum
import fractions
import random

import numpy as np

FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = FLOATS + COMPLEX + INTEGERS
EVERY_DTYPE = NUMBERS + ("bool", "longdouble", "clongdouble", "object", "U3", "S3", "M8[s]", "m8[ms]", "V5", "f4,i8", ">f4", ">i2")


class Own(Exception):
    """Raised by objects of this file: passing it on is right."""


class Dice(random.Random):
    """All that is random in one call: the same number, the same call."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number
        self._generator = None

    @property
    def numpy(self):
        if self._generator is None:
            self._generator = np.random.Generator(np.random.PCG64(self.number))
        return self._generator

    def chance(self, probability):
        return self.random() < probability

    def ints(self, rank, low, high):
        return tuple([self.randint(low, high) for _ in range(rank)])


# ---- arrays ----------------------------------------------------------------------------------------------------------------


def filled(dice, shape, dtype, special=False):
    """Mostly small integers, whose sums are exact; with `special` some are not finite."""
    dtype, rng = np.dtype(dtype), dice.numpy
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        if dice.chance(0.2):
            return rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]
        return rng.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(dtype)
    if dice.chance(0.6):
        values = rng.integers(-3, 4, shape).astype(dtype)
    else:
        values = rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "c":
        values += (1j * rng.integers(-3, 4, shape)).astype(dtype)
    if special and values.size:
        for _ in range(dice.randint(1, 3)):
            values.reshape(-1)[dice.randrange(values.size)] = np.nan if dtype.kind == "c" else dice.choice([np.nan, np.inf, -np.inf])
    return values


def array(dice, shape, dtype, special=False):
    """An array of random values in a random layout."""
    return laid_out(dice, filled(dice, shape, dtype, special))


def laid_out(dice, values):
    """The same values (with a stride of zero: some of them), elsewhere in memory."""
    while dice.chance(0.45):
        values = dice.choice(_LAYOUTS)(dice, values)
    if dice.chance(0.04):
        return dice.choice(_FORMS)(values)
    return values


def _ordered(dice, a):
    order = list(range(a.ndim))
    dice.shuffle(order)
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order)) if order else a


def _stepped(dice, a):
    if not a.ndim:
        return a
    steps = [dice.choice([1, 2, 3, -1, -2]) for _ in a.shape]
    whole = np.zeros([n * abs(s) for n, s in zip(a.shape, steps)], a.dtype)
    view = whole[tuple(slice(None, None, s) for s in steps)]
    view[...] = a
    return view


def _one_for_all(dice, a):
    if not a.ndim or 0 in a.shape:
        return a
    axis = dice.randrange(a.ndim)
    return np.broadcast_to(a[(slice(None),) * axis + (slice(0, 1),)], a.shape)


def _unaligned(dice, a):
    room = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    room[...] = a
    return room


def _read_only(dice, a):
    a = a.view()
    a.flags.writeable = False
    return a


_LAYOUTS = (
    _ordered,
    _ordered,
    _stepped,
    _stepped,
    _one_for_all,
    _unaligned,
    _read_only,
    lambda dice, a: np.asfortranarray(a),
    lambda dice, a: a.astype(a.dtype.newbyteorder()),
)


class Subclass(np.ndarray):
    pass


class Arrayable:
    """What turns into an array when it is asked to."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


_FORMS = (lambda a: a.view(Subclass), Arrayable, lambda a: a.tolist() if a.dtype in (np.float64, np.int64) and a.size else a)


def native(value):
    """A copy of an array, plain and contiguous, or what is no array as it is."""
    if isinstance(value, Arrayable):
        value = value.values
    if type(value) is list and value and not isinstance(value[0], (int, tuple)):
        try:
            value = np.array(value)
        except (ValueError, Own):
            return value
    if isinstance(value, np.ndarray) and value.nbytes <= 2**24:
        return np.array(value, value.dtype.newbyteorder("="), order="C", subok=False)
    return value


# ---- options ---------------------------------------------------------------------------------------------------------------


def said(dice, numbers):
    """One number per axis, in one of the ways in which that can be said."""
    numbers = tuple(numbers)
    if len(set(numbers)) == 1 and dice.chance(0.5):
        return dice.choice([lambda n: n, lambda n: (n,), np.int64, lambda n: np.array(n), lambda n: [n], Number])(numbers[0])
    way = dice.choice([tuple, tuple, tuple, list, np.array, lambda v: tuple(map(np.int16, v)), lambda v: np.array(v, np.uint8)])
    return way(numbers)


class Number(int):
    pass


class Word(enum.StrEnum):
    AUTO, SAME, FULL, VALID, ZEROS, REFLECT = "auto", "same", "full", "valid", "zeros", "reflect"


class Text(str):
    __hash__ = None


# ---- nonsense --------------------------------------------------------------------------------------------------------------


class Raising:
    """Raises whatever is asked of it."""

    def _raise(self, *arguments, **options):
        raise Own

    __index__ = __int__ = __float__ = __len__ = __iter__ = __getitem__ = __array__ = __bool__ = __repr__ = __hash__ = _raise
    __eq__ = __lt__ = __contains__ = __call__ = __enter__ = _raise


class Pretending:
    """Looks like an array to those who look at attributes."""

    ndim, shape, dtype, size = 3, (1, 1, 5), np.dtype("float32"), 5


class NoArray:
    def __array__(self, dtype=None, copy=None):
        return "no array"


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def _endless():
    value = []
    value.append(value)
    return value


NUMBERS_OF_NOBODY = (
    0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30,
    -2, -(2**31), -(2**62), -(2**63), -(2**64), 0.0, -0.0, 0.5, 1.0, 2.0, -1.5, 1e300, float("nan"), float("inf"), float("-inf"), 1j, 10**400,
)  # fmt: skip
_PLAIN = (
    None, True, False, *NUMBERS_OF_NOBODY, "", "1", "auto", "same", "valid", "full", "zeros", "reflect", "constant", "mean", "\0", "\ud800", "x" * 100,
    b"", b"same", (), (0,), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (2, -1), (-1,), (2**63, 1), (1.0, 2.0), (True, True), (None,), (None, None), ("a", "b"),
    ((1, 2),), ((1, 2), (3, 4)), ((1, 2), (3, 4), (5, 6)), ((1,), (2,)), ((1, 2, 3), (1, 2, 3)), (((1, 2),),), ((0, -1), (0, 0)), (1, (2, 3)), ((), ()),
    ((None, 1), (1, 1)), (float("nan"),), (2**31, 2**31), (2**62, 2**62, 2**62), range(3), frozenset(), Ellipsis, slice(None), NotImplemented, int, len, np,
    np.float32, "float32", "float99", np.True_, np.int8(-1), np.uint8(200), np.int64(2), np.uint64(2**64 - 1), np.float32(1), np.float64("nan"),
    np.complex64(1j), np.str_("same"), np.bytes_(b"a"), np.datetime64("2020-01-01"), np.timedelta64(1), decimal.Decimal("1.5"), fractions.Fraction(1, 2),
    Word.AUTO, Word.SAME, Text("auto"), Number(2), 10**5000,
)  # fmt: skip
_MADE = (
    list, lambda: [1], lambda: [1, 2], lambda: [1, 2, 3], lambda: [[1, 2], [3, 4]], lambda: [[]], lambda: [1, [2, 3]], lambda: [None], dict, lambda: {1: 2}, set,
    lambda: bytearray(b"same"), lambda: memoryview(b"abc"), lambda: iter([1, 2]), lambda: (n for n in (1, 2)), object, Raising, lambda: [Raising()],
    lambda: (Raising(), Raising()), Pretending, NoArray, _endless, lambda: _nested(70), lambda: lambda *a, **k: None,
    lambda: np.random.default_rng(0),
    lambda: np.array(2), lambda: np.array(-1), lambda: np.array(1.5), lambda: np.array(None), lambda: np.array("a"), lambda: np.array([1, 2]),
    lambda: np.array([1, 2, 3]), lambda: np.array([1.5, 2]), lambda: np.array([[1, 2], [3, 4]]), lambda: np.array([True, False]), lambda: np.array([], int),
    lambda: np.array([1, None]), lambda: np.zeros(0), lambda: np.zeros((1,) * 64, np.float32), lambda: np.zeros((1, 1, 0), np.float32),
    lambda: np.zeros((0, 1, 3, 3)), lambda: np.zeros((1, 0, 3)), lambda: np.ones((1, 1, 5), np.float32), lambda: np.ones((1, 1, 4, 5), np.float32),
    lambda: np.ones((2, 1, 4, 5, 3), np.float32), lambda: np.ma.masked_equal(np.arange(5.0).reshape(1, 1, 5), 2), lambda: np.asmatrix(np.ones((2, 2))),
    lambda: np.ones((1, 1, 5), "f4").view(np.recarray),
    lambda: np.broadcast_to(np.int8(1), (2**62, 1, 0)),
    lambda: np.zeros((2, 3), "f4,i8"), lambda: np.array(["2020-01-01"], "M8[D]"), lambda: np.zeros((1, 1, 5), np.longdouble), lambda: np.zeros((1, 1, 5), object),
)  # fmt: skip


def nonsense(dice):
    if dice.chance(0.12):
        shape = [dice.choice([0, 1, 1, 2, 3, 5]) for _ in range(dice.randint(0, 5))]
        return np.zeros(shape, dice.choice(EVERY_DTYPE))
    return dice.choice(_PLAIN) if dice.chance(0.6) else dice.choice(_MADE)()


def spoiled(dice, value):
    """What is nearly right: another dtype or shape, a number more or less, or nonsense."""
    if isinstance(value, np.ndarray) and max(value.size, *value.shape, 0) < 10**6 and dice.chance(0.6):
        return _another_array(dice, value)
    if type(value) is int and dice.chance(0.5):
        return value + dice.choice([-2, -1, 1, 2, 5])
    if type(value) is tuple and value and dice.chance(0.4):
        place = dice.randrange(len(value))
        return dice.choice([value[:-1], value + value[:1], value[::-1], list(value), (*value[:place], spoiled(dice, value[place]), *value[place + 1 :])])
    return nonsense(dice)


def _another_array(dice, a):
    what = dice.randrange(8)
    if what == 0:
        with np.errstate(all="ignore"):
            try:
                return np.zeros(a.shape, dice.choice(EVERY_DTYPE)) if a.dtype.kind in "cOV" else a.astype(dice.choice(NUMBERS + ("bool", ">f8")))
            except (TypeError, ValueError):
                return None
    if what == 1:
        return a[None] if a.ndim < 64 else None
    if what == 2 and a.ndim:
        return a[0] if len(a) else a.reshape(-1)
    if what == 3 and a.ndim:
        axis = dice.randrange(a.ndim)
        return a[(slice(None),) * axis + (slice(dice.randint(0, 2), dice.randint(0, 5)),)]
    if what == 4:
        return a.swapaxes(0, -1) if a.ndim else a
    if what == 5:
        return np.ma.masked_array(a)
    if what == 6:
        return a.reshape(-1)
    return np.concatenate([a, a], dice.randrange(a.ndim)) if a.ndim and a.size else a

"""A call, and the judgement of what became of it."""

import inspect
import warnings
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace

import numpy as np
from fuzz.values import Own, Pretending, laid_out, native, nonsense, spoiled

ALLOWED = (ValueError, TypeError, MemoryError)
LARGE = 2**21  # results of more elements, and sums of more products, are not computed a second time


class Failure(AssertionError):
    """What cyconv must not do."""


class Unchecked(Exception):
    """The answer is too large to be computed again, or nobody says what it should be."""


@dataclass
class Call:
    """A function with its arguments. `check(arguments, result)` raises AssertionError for a wrong result."""

    name: str
    function: object
    arguments: dict
    check: object
    right: bool = True  # whether it must be answered
    repeats: bool = True  # whether the same call gives the same bits again
    changes: tuple = field(default=())  # arguments that it writes to

    def __str__(self):
        shown = ", ".join(f"{name}={described(value)}" for name, value in self.arguments.items())
        return f"cyconv.{self.name}({shown})"


@cache
def parameters(function):
    """(name: default) of all parameters of a function; of a class, of its constructor."""
    return {name: p.default for name, p in inspect.signature(function).parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def described(value):
    """A value on one line, an array by its looks."""
    if isinstance(value, np.ndarray) and value.size > 8:
        layout = "" if value.flags.c_contiguous else f", strides={value.strides}"
        return f"<{type(value).__name__} {value.shape} {value.dtype.str}{layout}{'' if value.flags.aligned else ', unaligned'}>"
    if type(value) is dict:
        return "{" + ", ".join(f"{key}: {described(each)}" for key, each in value.items()) + "}"
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) < 200 else f"{text[:100]}..."


# ---- spoiling --------------------------------------------------------------------------------------------------------------


def spoil(dice, call):
    """The same call with up to three arguments that are not, or not quite, what they should be."""
    call.right = call.repeats = False
    names = list(parameters(call.function))
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        name = dice.choice(names or ["nobodys_argument"])
        what = dice.random()
        if what < 0.05:
            call.arguments.pop(name, None)
        elif what < 0.08:
            call.arguments["nobodys_argument"] = 1
        elif what < 0.15 and call.arguments:
            call.arguments[name] = call.arguments[dice.choice(list(call.arguments))]
        elif what < 0.6 and name in call.arguments:
            call.arguments[name] = spoiled(dice, call.arguments[name])
        else:
            call.arguments[name] = nonsense(dice)
    call.changes = tuple(call.changes) + ("out", "output")
    return call


# ---- judging ---------------------------------------------------------------------------------------------------------------


def judge(dice, call):
    """What became of the call, in a word; raises Failure for what must not be."""
    before = {name: native(value) for name, value in call.arguments.items()}
    written = [call.arguments[name] for name in call.changes if isinstance(call.arguments.get(name), np.ndarray)]
    marks = {name: _mark(value) for name, value in call.arguments.items() if name not in call.changes}
    marks = {name: mark for name, mark in marks.items() if not any(_meet(call.arguments[name], out) for out in written)}
    try:
        result = call.function(**call.arguments)
    except ALLOWED as error:
        _check_unchanged(call, marks)
        if call.right:
            raise Failure(f"refused what is right: {type(error).__name__}: {error}") from error
        if not str(error) and not isinstance(error, MemoryError):
            raise Failure(f"{type(error).__name__} without a word") from error
        return next(kind.__name__ for kind in ALLOWED if isinstance(error, kind))
    except Own:
        return "Own"
    except (RuntimeWarning, OverflowError) as warning:
        if call.name.startswith("signal.") and all(np.ndim(call.arguments.get(name, 0)) == 0 for name in ("in1", "in2")):
            return type(warning).__name__  # a product of two numbers or other objects, which is theirs
        fft = call.name == "signal.choose_conv_method" or call.name.startswith("signal.") and str(call.arguments.get("method")) == "fft"
        if fft and isinstance(warning, RuntimeWarning):  # as SciPy's
            return "RuntimeWarning"
        raise Failure(f"{type(warning).__name__}: {warning}") from warning
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    _check_unchanged(call, marks)
    outcome = _compared(call, before, result)
    if call.right and call.repeats:
        if dice.chance(0.15) and ("out" in parameters(call.function) or "output" in parameters(call.function)):
            check_out(dice, call, result)
            outcome = "compared with out="
        elif dice.chance(0.06):
            _check_threads(dice, call, result)
    return outcome


def _compared(call, before, result):
    if call.check is None:
        return "returned"
    given = SimpleNamespace(**{name: default for name, default in parameters(call.function).items() if default is not inspect.Parameter.empty} | before)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            call.check(given, result)
    except AssertionError as error:
        raise Failure(f"wrong: {error}") from error
    except Unchecked:
        return "returned"
    except Exception as error:
        if call.right:
            raise Failure(f"the check itself: {type(error).__name__}: {error}") from error
        return "returned"
    return "compared"


def _mark(value):
    """What must be the same after the call."""
    if isinstance(value, np.ndarray) and value.nbytes <= 2**20 and value.dtype.kind != "O":
        return value.shape, value.strides, value.dtype, value.tobytes()
    if type(value) is list and len(value) < 100 and all(type(each) in (int, float, tuple) for each in value):
        return list(value)
    return None


def _meet(value, out):
    return isinstance(value, np.ndarray) and np.may_share_memory(value, out)


def _check_unchanged(call, marks):
    for name, mark in marks.items():
        if mark is not None and _mark(call.arguments[name]) != mark:
            raise Failure(f"{name} was written to")


def _check_threads(dice, call, result):
    import cyconv

    with cyconv.threads(dice.randint(1, 4)):
        again = call.function(**call.arguments)
    for first, second in zip(parts(result), parts(again), strict=True):
        if isinstance(first, np.ndarray) and first.tobytes() != second.tobytes():
            raise Failure("other bits with another number of threads")


def parts(result):
    return result if isinstance(result, tuple) else (result,)


def check_out(dice, call, result):
    """Writes the result to an array that fits, wherever it lies, and has arrays refused that do not fit."""
    name = "out" if "out" in parameters(call.function) else "output"
    values = parts(result)[0]
    what = dice.randrange(5)
    if what == 0:
        out = _overlapping(call, values)
    elif what == 1:
        out = np.empty_like(values)
    else:
        out = np.array(laid_out(dice, np.zeros_like(values)), subok=False, copy=None) if what < 4 else None
    if out is not None and (out.dtype != values.dtype or not out.dtype.isnative or not out.flags.writeable or out.size and 0 in out.strides):
        out = None
    if out is None:
        return _check_refused(dice, call, name, values)
    with_out = {**call.arguments, name: out}
    if what == 0:
        values = parts(call.function(**call.arguments))[0]  # the input has moved, and averages in float64 depend on its layout
    given = call.function(**with_out)
    if parts(given)[0] is not out and name == "out":
        raise Failure("out= is not what was returned")
    if out.tobytes() != values.tobytes():
        raise Failure(f"other bits in out={described(out)}")
    return None


def _overlapping(call, values):
    """An array of the result's shape in the memory of one of the arguments, which is put elsewhere for that."""
    for name in ("input", "grad_output", "weight"):
        given = call.arguments.get(name)
        if isinstance(given, np.ndarray) and given.dtype == values.dtype and given.size and values.size and given.dtype.isnative:
            room = np.zeros(given.size + values.size, given.dtype)
            moved = room[: given.size].reshape(given.shape)
            moved[...] = given
            call.arguments[name] = moved
            start = min(given.size // 2, given.size + values.size - values.size)
            return room[start : start + values.size].reshape(values.shape)
    return None


def _check_refused(dice, call, name, values):
    wrong = dice.choice(
        [
            lambda: np.zeros((*values.shape, 1), values.dtype),
            lambda: np.zeros(values.shape[1:] if values.ndim and values.shape[0] != 1 else (3, *values.shape), values.dtype),
            lambda: np.zeros(values.shape, "float32" if values.dtype != np.float32 else "float64"),
            lambda: np.zeros(values.shape, values.dtype.newbyteorder()) if values.dtype.itemsize > 1 else np.zeros(values.shape, "m8[s]"),
            lambda: np.broadcast_to(values[:1].copy(), values.shape) if values.ndim else 3,
            lambda: values.tolist() if values.ndim else "no",
            lambda: np.ma.masked_array(np.zeros_like(values)),
            lambda: 5,
            Pretending,
        ]
    )()
    try:
        call.function(**{**call.arguments, name: wrong})
    except ALLOWED:
        return
    except Exception as error:
        raise Failure(f"{name}={described(wrong)}: {type(error).__name__}: {error}") from error
    raise Failure(f"{name}={described(wrong)} was taken")


# ---- comparing -------------------------------------------------------------------------------------------------------------


def same(got, want):
    """Exactly, NaN where NaN is."""
    assert isinstance(got, np.ndarray), f"a {type(got).__name__}"
    assert got.dtype == want.dtype, f"dtype {got.dtype}, not {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    if got.tobytes() == want.tobytes():
        return
    np.testing.assert_array_equal(got, want)


def close(got, want, allowed):
    """To within `allowed` where both are finite; elsewhere the same. Integers exactly."""
    assert isinstance(got, np.ndarray), f"a {type(got).__name__}"
    assert got.dtype == want.dtype, f"dtype {got.dtype}, not {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape}, not {want.shape}"
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.isfinite(want)
    if not finite.all():
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        if want.dtype.kind == "f":
            np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    got, want, allowed = got.astype(wide), want.astype(wide), np.broadcast_to(allowed, want.shape)
    wrong = finite & ~(np.abs(got - want) <= allowed)
    assert not wrong.any(), f"{wrong.sum()} of {want.size} wrong: {got[wrong][0]}, not {want[wrong][0]} (+-{allowed[wrong][0]:.3g})"


def eps(dtype):
    """The spacing of 1 in a real or complex dtype."""
    dtype = np.dtype(dtype)
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


def rounding(want):
    """Of results that are rounded once."""
    return (np.abs(want.astype(np.complex128)) * 2 * eps(want.dtype) + float(np.finfo(want.dtype).smallest_subnormal)) if want.dtype.kind in "fc" else 0

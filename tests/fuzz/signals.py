"""Calls of cyconv.signal, whose oracle is scipy.signal; of match_template, the formula at each place."""

import numpy as np
import scipy.signal
from fuzz.calls import Call, Unchecked, close
from fuzz.values import NUMBERS, array, native

import cyconv

MODES, METHODS = ("full", "same", "valid"), ("auto", "direct", "fft")
BOUNDARIES = ("fill", "wrap", "symm", "pad", "circular", "symmetric")


def _shapes(dice, rank, mode):
    most = {1: 40, 2: 10, 3: 5, 4: 4, 5: 3}[rank]
    first, second = dice.ints(rank, 1, most), dice.ints(rank, 1, max(most // 2, 1))
    if mode == "valid":
        first = tuple(max(pair) for pair in zip(first, second))
    return (second, first) if dice.chance(0.25) else (first, second)


def _allowed(a, want):
    """As tests/test_signal.py: of results of floating point the norms of both arrays."""
    if want.dtype.kind not in "fc":
        return 0
    arrays = [a.in1, a.in2]
    coarse = min((x.dtype for x in (*arrays, want) if x.dtype.kind in "fc"), key=lambda d: np.finfo(d).precision)
    norms = [np.linalg.norm(np.nan_to_num(np.asarray(x).astype("complex128"), nan=1, posinf=1, neginf=1).ravel()) for x in arrays]
    fill = abs(np.asarray(getattr(a, "fillvalue", 0)).ravel()[0])
    return 16 * float(np.finfo(coarse).eps) * norms[0] * norms[1] * max(1, fill) + float(np.finfo(want.dtype).smallest_subnormal)


def _check(name):
    theirs = getattr(scipy.signal, name)

    def check(a, got):
        a.in1, a.in2 = np.asarray(a.in1), np.asarray(a.in2)
        if max(a.in1.size, a.in2.size) > 5000:
            raise Unchecked
        if not all(x.dtype.kind in "biu" or np.isfinite(x).all() for x in (a.in1, a.in2)):
            raise Unchecked  # SciPy carries them elsewhere; tests/test_signal.py has what is right
        options = vars(a).copy()
        halves = {key: options[key].astype(np.float32) for key in ("in1", "in2") if options[key].dtype == np.float16}
        want = theirs(**{**options, **halves})  # which has no half precision
        got, want = np.asarray(got), np.asarray(want)
        if halves and got.dtype == np.float16:
            want = want.astype(np.float16)
        close(got, want, _allowed(a, want))

    return check


def _dtypes(dice):
    first = dice.choice(NUMBERS)
    return first, first if dice.chance(0.6) else dice.choice(NUMBERS)


def n_d(dice, name):
    rank, mode = dice.choice([1, 1, 2, 2, 3, 4, 5]), dice.choice(MODES)
    a = {key: array(dice, shape, dtype) for key, shape, dtype in zip(("in1", "in2"), _shapes(dice, rank, mode), _dtypes(dice))}
    a |= {"mode": mode, "method": dice.choice(METHODS)}
    return Call(f"signal.{name}", getattr(cyconv.signal, name), a, _check(name))


def some_axes(dice, name):
    rank, mode = dice.choice([1, 2, 2, 3]), dice.choice(MODES)
    first, second = map(list, _shapes(dice, rank, mode))
    axes = None
    if dice.chance(0.5):
        axes = dice.sample(range(rank), dice.randint(1, rank))
        for axis in set(range(rank)) - set(axes):
            second[axis] = dice.choice([1, first[axis]])
        axes = axes[0] if len(axes) == 1 and dice.chance(0.5) else dice.choice([tuple, list])(axes)
        if mode == "valid":
            second = [min(pair) for pair in zip(first, second)]
    a = {key: array(dice, shape, dtype) for key, shape, dtype in zip(("in1", "in2"), (first, second), _dtypes(dice))}
    return Call(f"signal.{name}", getattr(cyconv.signal, name), a | {"mode": mode, "axes": axes}, _check(name))


def two_d(dice, name):
    mode = dice.choice(MODES)
    dtypes = [dtype if dtype != "float16" else "float32" for dtype in _dtypes(dice)]
    a = {key: array(dice, shape, dtype) for key, shape, dtype in zip(("in1", "in2"), _shapes(dice, 2, mode), dtypes)}
    a |= {"mode": mode, "boundary": dice.choice(BOUNDARIES)}
    if dice.chance(0.3):
        a["fillvalue"] = dice.choice([0, 1, 3, np.int8(2)])
    return Call(f"signal.{name}", getattr(cyconv.signal, name), a, _check(name))


def choose_conv_method(dice):
    call = n_d(dice, "convolve")
    del call.arguments["method"]

    def check(a, got):
        assert got in ("direct", "fft") or isinstance(got, tuple) and got[0] in got[1]

    return Call("signal.choose_conv_method", cyconv.signal.choose_conv_method, call.arguments, check)


def correlation_lags(dice):
    a = {"in1_len": dice.randint(1, 30), "in2_len": dice.randint(1, 30), "mode": dice.choice(MODES)}

    def check(a, got):
        if max(abs(a.in1_len), abs(a.in2_len)) > 10**6:
            raise Unchecked
        want = scipy.signal.correlation_lags(int(a.in1_len), int(a.in2_len), a.mode)
        close(got, want, 0)

    return Call("signal.correlation_lags", cyconv.signal.correlation_lags, a, check)


def match_template(dice):
    rank = dice.choice([2, 2, 3])
    shape = dice.ints(rank, 1, 8 if rank == 2 else 5)
    template = tuple(dice.randint(1, n) for n in shape)
    dtypes = [dtype for dtype in NUMBERS if not dtype.startswith("complex")] + ["bool"]
    a = {"image": array(dice, shape, dice.choice(dtypes)), "template": array(dice, template, dice.choice(dtypes))}
    if dice.chance(0.4):
        a["pad_input"] = True
        a["mode"] = dice.choice(["constant", "edge", "reflect", "symmetric", "wrap"] if min(shape) > 1 else ["constant", "edge"])

    def check(a, got):
        image, template = (np.asarray(x).astype(np.float64) for x in (a.image, a.template))
        if image.size > 5000 or not np.isfinite(image).all() or not np.isfinite(template).all():
            raise Unchecked
        if np.abs(image).max() > 1e6 or np.abs(template).max() > 1e6:
            raise Unchecked  # what is cancelled there is no matter of this
        if np.abs(a.constant_values).max() > 1e6:
            raise Unchecked
        if a.pad_input:
            values = {"constant_values": a.constant_values} if a.mode == "constant" else {}
            image = np.pad(image, [(k // 2, (k - 1) // 2) for k in template.shape], a.mode, **values)
        seen = np.lib.stride_tricks.sliding_window_view(image, template.shape)
        axes = tuple(range(-template.ndim, 0))
        seen = seen - seen.mean(axes, keepdims=True)
        template = template - template.mean()
        sizes = np.sqrt((seen**2).sum(axes) * (template**2).sum())
        flat = sizes < 1e-9
        want = np.where(flat, 0, (seen * template).sum(axes) / np.where(flat, 1, sizes))
        close(got, want.astype(got.dtype), 1e-6 if got.dtype == np.float32 else 1e-9)

    return Call("signal.match_template", cyconv.signal.match_template, {k: native(v) if dice.chance(0.5) else v for k, v in a.items()}, check)


TABLE = {
    "signal.choose_conv_method": choose_conv_method,
    "signal.correlation_lags": correlation_lags,
    "signal.match_template": match_template,
}
for _names, _make in ((("convolve", "correlate"), n_d), (("fftconvolve", "oaconvolve"), some_axes), (("convolve2d", "correlate2d"), two_d)):
    for _name in _names:
        TABLE[f"signal.{_name}"] = lambda dice, make=_make, name=_name: make(dice, name)

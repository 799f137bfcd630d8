"""Numbers that are bad for algorithms: sums that cancel, roundings that all go one way, sizes from 2**-60 to 2**60, single spikes, and the vectors
that transforms magnify most. For `python -m bench.bounds` and tests/test_numbers.py.
"""

import math

import numpy as np

POWERS = {"float16": 4, "float32": 60, "float64": 450}  # of two, between which sizes are spread


# Functions of (rng, shape of the input, shape of the weight, the greatest power of two): two arrays of float64.


def _normal(rng, x, w, power):
    return rng.standard_normal(x), rng.standard_normal(w)


def _one_sign(rng, x, w, power):
    return 1 + rng.random(x), 1 + rng.random(w)


def _alike(rng, x, w, power):
    """Each sum adds one number again and again: all roundings of a binade go one way."""
    return np.full(x, 1 + rng.random()), np.full(w, 1 + rng.random())


def _just_above_one(rng, x, w, power):
    return 1 + rng.integers(0, 4, x) * 2.0**-11, 1 + rng.integers(0, 4, w) * 2.0**-11 * (1 + rng.random())


def _cancelling(rng, x, w, power):
    """Sums of large numbers that leave next to nothing."""
    signs = 1 - 2 * (np.indices(x).sum(axis=0) % 2)
    return signs * (1 + 1e-3 * rng.random(x)), 1 + 1e-3 * rng.random(w)


def _large_first(rng, x, w, power):
    """A large first product in each window, and small ones of one sign after it."""
    weight = 1 + rng.random(w)
    weight.reshape(len(weight), -1)[:, 0] = 2.0 ** rng.integers(5, 12)
    return 1 + rng.random(x), weight


def _heavy_tails(rng, x, w, power):
    draw = [np.clip(rng.standard_cauchy(shape), -60, 60) * rng.random() for shape in (x, w)]
    return [np.sign(d) * np.exp2(np.clip(np.abs(d), 0, power)) for d in draw]


def _geometric(rng, x, w, power):
    return [rng.choice([-1.0, 1.0], shape) * np.exp2(rng.uniform(-power, power, shape)) for shape in (x, w)]


def _spike(rng, x, w, power):
    """One number of the input 2**power, all others beside it 2**-power."""
    values = rng.standard_normal(x) * 2.0**-power
    values.flat[rng.integers(values.size)] = 2.0**power
    return values, rng.standard_normal(w)


def _spiky_weight(rng, x, w, power):
    weight = rng.standard_normal(w) * 2.0**-power
    weight.reshape(len(weight), -1)[:, rng.integers(weight[0].size)] = 1.9
    return rng.standard_normal(x), weight


def _powers(rng, x, w, power):
    """What `winograd` evaluates polynomials at, as far as a tile goes: the rows of its matrices, and their signs."""
    point, period = rng.choice([1.0, -1.0, 2.0, -2.0, 0.5, -0.5]), rng.integers(2, 9)
    sizes = np.ones(x), np.ones(w)
    for axis in range(2, len(x)):
        for values, length in zip(sizes, (period, 3)):
            n = values.shape[axis]
            line = point ** ((np.arange(n) + rng.integers(3)) % length)
            values *= np.expand_dims(line, [a for a in range(len(x)) if a != axis])
    return [values * (1 + rng.random(values.shape) / 8) for values in sizes]


def _signs(rng, x, w, power):
    """Signs that repeat with a tile."""
    period = rng.integers(2, 7)
    tile = rng.choice([-1.0, 1.0], (x[0], x[1], *(period for _ in x[2:])))
    values = np.tile(tile, (1, 1, *(n // period + 1 for n in x[2:])))[tuple(slice(n) for n in x)]
    return values * (1 + rng.random(x) / 8), rng.choice([-1.0, 1.0], w) * (1 + rng.random(w) / 8)


def _waves(rng, x, w, power):
    """One frequency in input and weight: all of their spectra is in one place."""
    found = []
    frequencies = rng.integers(1, 17, len(x) - 2) / 32
    for shape in (x, w):
        places = np.indices(shape[2:]).reshape(len(shape) - 2, -1)
        wave = np.cos(2 * np.pi * (frequencies @ places) + rng.random()).reshape(shape[2:])
        found.append(np.broadcast_to(wave, shape) * (1 + rng.random(shape) / 64))
    return found


DATA = {
    "normal": _normal, "one sign": _one_sign, "all alike": _alike, "just above one": _just_above_one, "cancelling": _cancelling,
    "large first": _large_first, "heavy tails": _heavy_tails, "geometric": _geometric, "a spike": _spike, "a spiky weight": _spiky_weight,
    "powers": _powers, "signs": _signs, "waves": _waves,
}  # fmt: skip


def drawn(kind, rng, x_shape, w_shape, dtype):
    """Input, weight and bias of a kind of data, in `dtype`."""
    power = POWERS[np.zeros(0, dtype).real.dtype.name]
    x, w = DATA[kind](rng, x_shape, w_shape, power)
    if np.dtype(dtype).kind == "c":
        more_x, more_w = DATA[kind](rng, x_shape, w_shape, power)
        x, w = x + 1j * more_x, w + 1j * more_w
    b = rng.choice([0, 1], w_shape[0]) * np.abs(w).max() * np.abs(x).max() * rng.standard_normal(w_shape[0])
    if dtype == "float16":  # so that no sum overflows
        x, b = _fitting(x, w, b)
    with np.errstate(under="ignore"):
        return x.astype(dtype), w.astype(dtype), b.astype(dtype)


def _fitting(x, w, b):
    most = np.abs(w).reshape(len(w), -1).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
    down = 2.0 ** min(0, -math.ceil(math.log2(most / 2.0**14)))
    return x * down, b * down


def as_outer_products(w):
    """The weights whose lines through the first tap have w's numbers, rounded to few digits so that the product is exact."""
    product = np.ones((*w.shape[:2], *(1,) * (w.ndim - 2)))
    digits = {2: 2, 4: 6, 8: 15}[w.itemsize]
    for axis in range(2, w.ndim):
        line = w[(..., *(slice(None) if a == axis else slice(1) for a in range(2, w.ndim)))].astype("float64")
        fraction, exponent = np.frexp(line)
        product = product * np.ldexp(np.round(fraction * 2.0**digits), np.clip(exponent, -20, 20) - digits)
    return product.astype(w.dtype)


def changed(array, rng):
    """A copy in which some numbers have another sign, size or last digits."""
    found = array.copy()
    if not found.size or rng.random() < 0.3:
        return found
    places = rng.integers(found.size, size=max(1, int(found.size * rng.choice([0, 0.01, 0.1]))))
    values = found.reshape(-1)[places]
    how = rng.integers(3)
    if how == 0:
        values = -values
    elif how == 1:
        values = values * np.where(rng.random(len(values)) < 0.5, 0.5, 2.0 if array.dtype != np.float16 else 1.0)
    else:
        values = values * (1 + (rng.random(len(values)) - 0.5) * rng.choice([1e-6, 1e-3, 0.5]))
    found.reshape(-1)[places] = values
    return found

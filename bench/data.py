"""The arrays of a row, its exact answer, and how far another answer may be from it.

Convolutions are checked against sums in double precision, one product of matrices per tap (or, for long filters of one
channel, SciPy's transforms), pooling against plain NumPy: nothing of cyconv, and little memory.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from cyconv import reference

_LONG = 64  # taps from which transforms are the quicker check
_TOLERANCE = {"float16": 1e-2, "float32": 1e-4, "complex64": 1e-4, "float64": 1e-11, "complex128": 1e-11}


def arrays(row):
    """(input, weight, bias) with fixed random numbers; weight and bias may be None."""
    rng = np.random.default_rng(0)

    def fill(shape):
        dtype = np.dtype(row.dtype)
        if dtype.kind in "iu":  # small enough for exact sums in double precision
            return rng.integers(0 if dtype.kind == "u" else -8, 9, shape).astype(dtype)
        values = rng.standard_normal(shape)
        return (values + 1j * rng.standard_normal(shape) if dtype.kind == "c" else values).astype(dtype)

    x = fill(row.input_shape)
    if not row.is_conv:
        return x, None, None
    weight = gaussian(row) if row.options.get("gaussian") else fill(row.weight_shape)
    return x, weight, fill(row.weight_shape[:1]) if row.options.get("bias") else None


def gaussians(row):
    """One vector per spatial axis, whose outer product is the kernel: three standard deviations wide to each side, sums 1."""
    curves = [np.exp(-((np.arange(k) - (k - 1) / 2) ** 2) / (2 * max(k / 6, 0.5) ** 2)) for k in row.weight_shape[2:]]
    return [curve / curve.sum() for curve in curves]


def gaussian(row):
    """The same Gaussian for every pair of channels."""
    kernel = np.ones(())
    for curve in gaussians(row):
        kernel = kernel[..., None] * curve
    return np.ascontiguousarray(np.broadcast_to(kernel, row.weight_shape)).astype(row.dtype)


def keywords(row):
    """The keyword arguments of the row's function, as torch.nn.functional and cyconv both name them."""
    get = row.options.get
    if row.is_conv:
        words = {key: get(key) for key in ("stride", "padding", "dilation", "groups")}
    else:
        words = {
            "kernel_size": get("kernel"), "stride": get("stride"), "padding": get("padding"), "dilation": get("dilation"),
            "ceil_mode": get("ceil_mode"), "count_include_pad": False if get("exclude_pad") else None,
            "divisor_override": get("divisor"), "output_size": get("output"), "return_indices": get("indices"),
        }  # fmt: skip
    return {key: value for key, value in words.items() if value is not None}


def as_answer(result):
    """What a contender returned, as a tuple of arrays."""
    return tuple(map(np.asarray, result)) if isinstance(result, (tuple, list)) else (np.asarray(result),)


@dataclass
class Exact:
    """The exact answer of a row, and what is needed to judge others."""

    answer: tuple  # arrays: the result, and indices where the row asks for them
    terms: np.ndarray | float  # sum |weight| * |input| + |bias| of each output; of an average, the average of |input|
    norms: np.ndarray | float  # Euclidean norms of weight and input, multiplied and summed over channels
    rounding: float  # what the answer itself may be wrong by, in multiples of eps * terms
    eps: float  # of the dtype that is computed in; 0 if nothing is rounded
    stored: float  # relative rounding of a result that is stored in fewer bits

    def error(self, result, bound=None, scale="terms"):
        """None if the result is close enough, else a sentence.

        Errors up to bound * eps * scale are allowed; without a bound (other libraries state none), up to a fixed part
        of the largest number. Integers, indices and maxima must be the same.
        """
        found = as_answer(result)
        if len(found) != len(self.answer):
            return f"{len(found)} results instead of {len(self.answer)}"
        for what, got, exact in zip(("result", "indices"), found, self.answer):
            if got.shape != exact.shape:
                return f"the {what} has shape {got.shape} instead of {exact.shape}"
            if what == "indices" or self.eps == 0:
                different = int(np.count_nonzero(got != exact))
                if different:
                    return f"{different} of {exact.size} {what if what == 'indices' else 'numbers'} differ"
                continue
            if bound is None:
                allowed = _TOLERANCE[got.dtype.name] * abs(exact).max()
            else:
                allowed = self.eps * (bound * getattr(self, scale) + self.rounding * self.terms) + self.stored * abs(
                    exact
                )
            excess = np.abs(got - exact) - allowed
            if not (excess <= 0).all():  # a NaN is wrong, too
                worst = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), excess.shape)
                limit = np.broadcast_to(allowed, excess.shape)[worst]
                place = tuple(map(int, worst))
                return f"off by {abs(got[worst] - exact[worst]):.2g} at {place}, where {limit:.2g} is allowed"
        return None


def exact(row, x, weight, bias):
    """The Exact of a row."""
    return _exact_conv(row.problem(), x, weight, bias) if row.is_conv else _exact_pool(row, x)


# ---- convolution -------------------------------------------------------------------------------------------------------


def _exact_conv(problem, x, weight, bias):
    p = problem
    kind = np.dtype(p.dtype).kind
    wide = "complex128" if kind == "c" else "float64"
    before, after = p.pad_before[3 - p.rank :], p.pad_after[3 - p.rank :]
    padded = reference.pad(x.astype(wide), before, after, p.padding_mode)
    weight = weight.astype(wide)
    bias = np.zeros(len(weight), wide) if bias is None else bias.astype(wide)
    computed = "float64" if p.dtype in ("float64", "complex128") else "float32"
    transform = kind not in "iu" and computed == "float32"
    answer = _double(p, padded, weight, bias, transform)
    if kind in "iu":
        return Exact((answer.astype(p.dtype),), 0.0, 0.0, 0, 0.0, 0.0)
    terms = _double(p, abs(padded), abs(weight), abs(bias), transform)
    of_input = np.sqrt(np.sum(abs(padded) ** 2, axis=tuple(range(2, padded.ndim))))
    of_weight = np.sqrt(np.sum(abs(weight) ** 2, axis=tuple(range(2, weight.ndim))))
    of_input = of_input.reshape(p.batch, p.groups, 1, p.in_channels)
    of_weight = of_weight.reshape(p.groups, p.out_channels, p.in_channels)
    norms = (of_input * of_weight).sum(-1).reshape(p.batch, -1, *(1,) * p.rank) + abs(bias).reshape(-1, *(1,) * p.rank)
    doubled = p.products + 1 if computed == "float64" else 0
    stored = 2.0**-11 if p.dtype == "float16" else 0.0
    return Exact((answer,), terms, norms, doubled, float(np.finfo(computed).eps), stored)


def _double(problem, padded, weight, bias, transform):
    """The convolution of arrays in double precision, their padding already in place."""
    p = problem
    x = padded.reshape(p.batch, p.groups, p.in_channels, *(1,) * (3 - p.rank), *padded.shape[2:])
    w = weight.reshape(p.groups, p.out_channels, p.in_channels, *p.kernel)
    if (
        transform
        and p.groups == p.products // p.taps == p.out_channels == 1
        and p.taps > _LONG
        and max(p.dilation) == 1
    ):
        from scipy.signal import oaconvolve

        found = oaconvolve(x[:, 0, 0], np.flip(w[:, 0, 0], (1, 2, 3)), mode="valid", axes=(1, 2, 3))
        found = found[(slice(None), *(slice(None, None, s) for s in p.stride))][:, None, None]
    else:
        found = np.zeros((p.batch, p.groups, p.out_channels, int(np.prod(p.out_size))), x.dtype)
        for tap in itertools.product(*map(range, p.kernel)):
            begin = [j * d for j, d in zip(tap, p.dilation)]
            window = tuple(slice(b, b + (m - 1) * s + 1, s) for b, m, s in zip(begin, p.out_size, p.stride))
            samples = x[(..., *window)].reshape(p.batch, p.groups, p.in_channels, -1)
            found += w[(..., *tap)] @ samples if p.in_channels > 1 else w[(..., *tap)] * samples
    shape = (p.batch, p.groups * p.out_channels, *p.out_size[3 - p.rank :])
    return found.reshape(shape) + bias.reshape(-1, *(1,) * p.rank)


# ---- pooling -----------------------------------------------------------------------------------------------------------


def windows(row, axis):
    """(first sample, one past the last, samples that an average counts) of each window along a spatial axis."""
    n = row.input_shape[2 + axis]
    if "output" in row.options:
        count = row.per_axis("output", None)[axis]
        return [
            (i * n // count, -(-(i + 1) * n // count), -(-(i + 1) * n // count) - i * n // count) for i in range(count)
        ]
    k, d = row.per_axis("kernel", None)[axis], row.per_axis("dilation", 1)[axis]
    s, p = row.per_axis("stride", row.options["kernel"])[axis], row.per_axis("padding", 0)[axis]
    reach = d * (k - 1) + 1
    rest = n + 2 * p - reach
    count = (-(-rest // s) if row.options.get("ceil_mode") else rest // s) + 1
    if (count - 1) * s >= n + p:  # a last window must start inside the input or the padding before it
        count -= 1
    found = []
    for o in range(count):
        begin = o * s - p
        first = begin if begin >= 0 else begin + -(begin // d) * d
        stop = min(begin + reach, n)
        counted = min(begin + reach, n + p) - begin if not row.options.get("exclude_pad") else stop - first
        found.append((first, stop, counted))
    return found


def _exact_pool(row, x):
    """Windows are products of intervals, so maxima and sums are taken along one axis after the other."""
    if row.kind.endswith("max_pool"):
        values, index = x, np.zeros(x.shape, np.int64)
        unit = 1
        for axis in reversed(range(row.rank)):
            values, index = _maxima(row, axis, values, index, unit)
            unit *= x.shape[2 + axis]
        answer = (values, index) if row.options.get("indices") else (values,)
        return Exact(answer, 0.0, 0.0, 0, 0.0, 0.0)
    values = _averages(row, x.astype(np.float64))
    scale = _averages(row, abs(x).astype(np.float64))
    return Exact((values,), scale, scale, 0, float(np.finfo(x.dtype).eps), 0.0)


def _averages(row, values):
    counted = np.ones(())
    for axis in range(row.rank):
        along = windows(row, axis)
        values = np.moveaxis(values, 2 + axis, -1)
        values = np.moveaxis(np.stack([values[..., a:b].sum(-1) for a, b, _ in along], -1), -1, 2 + axis)
        counted = counted[..., None] * np.array([c for _, _, c in along])
    return values / row.options.get("divisor", counted)


def _maxima(row, axis, values, index, unit):
    """Maxima along an axis, and where in the plane they stand: the first, in row-major order, of those that are equal."""
    step = row.per_axis("dilation", 1)[axis]
    values, index = np.moveaxis(values, 2 + axis, -1), np.moveaxis(index, 2 + axis, -1)
    best, where = [], []
    for first, stop, _ in windows(row, axis):
        winner = first + step * values[..., first:stop:step].argmax(-1)[..., None]
        best.append(np.take_along_axis(values, winner, -1))
        where.append(np.take_along_axis(index, winner, -1) + winner * unit)
    return (np.moveaxis(np.concatenate(parts, -1), -1, 2 + axis) for parts in (best, where))

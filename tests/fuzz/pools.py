"""Calls of pools, adaptive pools, max unpooling, their gradients, and sliding filters."""

from math import prod

import numpy as np
from fuzz.calls import LARGE, Call, Unchecked, close, eps, rounding, same
from fuzz.convolutions import arrays_of, per_axis
from fuzz.values import COMPLEX, FLOATS, INTEGERS, array, native, said
from scipy import ndimage

import cyconv
from cyconv import reference
from cyconv.pool_problem import adaptive_pool_problem, avg_pool_problem, lp_pool_problem, max_pool_problem
from cyconv.scatter_problem import max_pool_input_problem, unpool_problem
from cyconv.spread_problem import avg_pool_input_problem, lp_pool_input_problem, max_unpool_input_problem

MAX_DTYPES, AVERAGE_DTYPES = FLOATS + INTEGERS + ("bool",), FLOATS + COMPLEX + INTEGERS
MOST = {1: 30, 2: 9, 3: 5}
OUTPUTS = 600  # that the reference computes one by one


def _planes(dice):
    channels = dice.choice([1, 1, 2, 3, 3, 17])
    return (channels,) if dice.chance(0.25) else (dice.choice([0, 1, 2]), channels)


def _windows(dice, rank, dilated=True):
    """Arguments that fit each other: (options, spatial size)."""
    kernel, stride = dice.ints(rank, 1, 5), dice.ints(rank, 1, 4)
    dilation = dice.ints(rank, 1, 3) if dilated and dice.chance(0.3) else (1,) * rank
    before = [dice.randint(0, k // 2) for k in kernel]
    pairs = [(b, b if dice.chance(0.7) else dice.randint(0, k // 2)) for b, k in zip(before, kernel)]
    if any(d > 1 for d in dilation):
        pairs = [(0, 0)] * rank  # so that no window lies in padding alone
    size = [max(1, dice.randint(0, MOST[rank]), d * (k - 1) + 1 - b - a) for k, d, (b, a) in zip(kernel, dilation, pairs)]
    options = {"kernel_size": said(dice, kernel)}
    if dice.chance(0.7):
        options["stride"] = said(dice, stride)
    if dice.chance(0.15):
        options["padding"] = dice.choice(["valid", "same_upper", "same_lower"])
        size = [max(n, d * (k - 1) + 1) for n, k, d in zip(size, kernel, dilation)]
    elif any(map(any, pairs)):
        options["padding"] = said(dice, [b for b, _ in pairs]) if all(b == a for b, a in pairs) else tuple(pairs)
    if dilated and any(d > 1 for d in dilation):
        options["dilation"] = said(dice, dilation)
    if dice.chance(0.4):
        options["ceil_mode"] = dice.choice([True, False, np.True_])
    return options, size


def _pooled(problem, x):
    """The reference's values, and indices if there are any."""
    if problem.outputs > OUTPUTS * max(problem.planes, 1) or x.size > LARGE or problem.outputs > LARGE:
        raise Unchecked
    want = np.empty(problem.output_shape, problem.dtype)
    if not problem.planes:
        return want, np.empty(want.shape, np.int64)
    found = np.empty(problem.output_shape, np.int64) if problem.with_indices else None
    reference.pool(problem, x, want, found)
    return want, found


# ---- maxima and minima -----------------------------------------------------------------------------------------------------


def max_pool(dice, rank, kind="max"):
    options, size = _windows(dice, rank)
    x = array(dice, (*_planes(dice), *size), dice.choice(MAX_DTYPES), special=dice.chance(0.1))
    a = {"input": x, **options}
    if dice.chance(0.5):
        a["return_indices"] = True
    if dice.chance(0.2):
        a["algorithm"] = dice.choice(["auto", "sliding", "pool", "reference"])

    def check(a, got):
        arrays_of(a, "input")
        p = max_pool_problem(rank, a.input, a.kernel_size, a.stride, a.padding, a.dilation, a.ceil_mode, a.return_indices, kind)
        want, found = _pooled(p, a.input)
        same(got[0] if a.return_indices else got, want)
        if a.return_indices:
            same(got[1], found)

    name = f"{kind}_pool{rank}d"
    return Call(name, getattr(cyconv, name), a, check, right="algorithm" not in a)


def max_pool_input(dice, rank):
    lead, size = _planes(dice), dice.ints(rank, 1, 6)
    outputs = dice.ints(rank, 1, 4)
    shape = (*lead, *outputs)
    indices = dice.numpy.integers(0, prod(size), shape).astype(dice.choice(INTEGERS[1:4]))
    indices, right = _spoiled_places(dice, indices, prod(size))
    a = {"input_size": (*lead, *size), "indices": indices, "grad_output": array(dice, shape, dice.choice(AVERAGE_DTYPES))}

    def check(a, got):
        arrays_of(a, "indices", "grad_output")
        p = max_pool_input_problem(rank, a.input_size, a.indices, a.grad_output)
        if prod(p.output_shape) > LARGE:
            raise Unchecked
        want = reference.max_pool_input(p.output_shape[-rank:], a.indices, a.grad_output) if got.size else np.empty(p.output_shape, p.dtype)
        close(got, want, 16 * eps(want.dtype) * np.abs(a.grad_output).astype(float).sum())

    name = f"max_pool{rank}d_input"
    return Call(f"grad.{name}", getattr(cyconv.grad, name), a, check, right)


def _spoiled_places(dice, indices, plane):
    """The indices, sometimes with one that is none of the plane, and whether they are right."""
    if dice.chance(0.8) or not indices.size:
        return indices, True
    wrong = dice.choice([-1, plane, plane + 1, np.iinfo(indices.dtype).max])
    indices.reshape(-1)[dice.randrange(indices.size)] = wrong
    return indices, 0 <= wrong < plane


def max_unpool(dice, rank):
    kernel, stride, size = dice.ints(rank, 1, 4), dice.ints(rank, 1, 4), dice.ints(rank, 1, 4)
    padding = tuple(min(dice.randint(0, 1), k // 2) for k in kernel)
    lengths = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding)]
    if min(lengths) < 1:
        padding, lengths = (0,) * rank, [(n - 1) * s + k for n, k, s in zip(size, kernel, stride)]
    shape = (*_planes(dice), *size)
    x = array(dice, shape, dice.choice(MAX_DTYPES + COMPLEX))
    indices, right = _spoiled_places(dice, dice.numpy.integers(0, prod(lengths), shape).astype(dice.choice(INTEGERS[1:4])), prod(lengths))
    a = {"input": x, "indices": indices}
    a |= {"kernel_size": said(dice, kernel), "stride": said(dice, stride), "padding": said(dice, padding)}
    if right and dice.chance(0.3):
        longer = [n + dice.randint(0, s - 1) for n, s in zip(lengths, stride)]
        a["output_size"] = dice.choice([tuple, list])([*dice.choice([(), (1, 1)]), *longer])

    def check(a, got):
        arrays_of(a, "input", "indices")
        p = unpool_problem(rank, a.input, a.indices, a.kernel_size, a.stride, a.padding, a.output_size)
        if prod(p.output_shape) > LARGE:
            raise Unchecked
        same(got, reference.max_unpool(a.input, a.indices, p.output_shape[-rank:]) if got.size else np.empty(p.output_shape, p.dtype))

    return Call(f"max_unpool{rank}d", getattr(cyconv, f"max_unpool{rank}d"), a, check, right)


def max_unpool_input(dice, rank):
    lead, size = _planes(dice), dice.ints(rank, 1, 6)
    indices = dice.numpy.integers(0, prod(size), (*lead, *dice.ints(rank, 1, 3))).astype(dice.choice(INTEGERS[1:4]))
    indices, right = _spoiled_places(dice, indices, prod(size))
    a = {"grad_output": array(dice, (*lead, *size), dice.choice(AVERAGE_DTYPES)), "indices": indices}

    def check(a, got):
        arrays_of(a, "grad_output", "indices")
        max_unpool_input_problem(rank, a.grad_output, a.indices)
        planes = prod(a.indices.shape[:-rank])
        want = np.zeros(a.indices.shape, a.grad_output.dtype)
        for values, to, at in zip() if not want.size else zip(a.grad_output.reshape(planes, -1), want.reshape(planes, -1), a.indices.reshape(planes, -1)):
            last = {int(index): place for place, index in enumerate(at)}
            for index, place in last.items():
                to[place] = values[index]
        same(got, want)

    name = f"max_unpool{rank}d_input"
    return Call(f"grad.{name}", getattr(cyconv.grad, name), a, check, right)


# ---- averages and norms ----------------------------------------------------------------------------------------------------


def _allowed(problem, x, want):
    """Of averages: each of the terms, summed in double precision (complex single: in single), may be rounded at the size of the largest."""
    if want.dtype.kind not in "fc":
        return 0
    biggest = float(np.abs(np.nan_to_num(x, nan=0, posinf=0, neginf=0)).max(initial=0))
    taps = max(prod(problem.kernel), 1)
    return rounding(want) + biggest * taps * taps * 2.0**-52


def avg_pool(dice, rank):
    options, size = _windows(dice, rank, dilated=False)
    dtype = dice.choice(AVERAGE_DTYPES)
    a = {"input": array(dice, (*_planes(dice), *size), dtype, special=dice.chance(0.1)), **options}
    if dice.chance(0.5):
        a["count_include_pad"] = dice.chance(0.5)
    if rank > 1 and dice.chance(0.3):
        a["divisor_override"] = dice.choice([1, 2, 7, 2**40] + [-3] * (dtype[0] != "u"))
    if dice.chance(0.2):
        a["algorithm"] = dice.choice(["auto", "sliding", "pool", "reference"])

    def check(a, got):
        arrays_of(a, "input")
        p = avg_pool_problem(rank, a.input, a.kernel_size, a.stride, a.padding, a.ceil_mode, a.count_include_pad, getattr(a, "divisor_override", None))
        want, _ = _pooled(p, a.input)
        close(got, want, _allowed(p, a.input, want))

    return Call(f"avg_pool{rank}d", getattr(cyconv, f"avg_pool{rank}d"), a, check, right="algorithm" not in a)


def avg_pool_input(dice, rank):
    options, size = _windows(dice, rank, dilated=False)
    shape, dtype = (*_planes(dice), *size), dice.choice(FLOATS + COMPLEX)
    if dice.chance(0.5):
        options["count_include_pad"] = dice.chance(0.5)
    whole = {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True} | options
    p = avg_pool_problem(rank, np.broadcast_to(np.zeros((), dtype), shape), *[whole[k] for k in _AVERAGE], None)
    a = {"input_size": shape, "grad_output": array(dice, p.output_shape, dtype), **options}

    def check(a, got):
        arrays_of(a, "grad_output")
        more = [getattr(a, name) for name in _AVERAGE] + [getattr(a, "divisor_override", None)]
        p = avg_pool_input_problem(rank, a.input_size, a.grad_output, *more)
        _spread(p, a, got, reference.avg_pool_input)

    name = f"avg_pool{rank}d_input"
    return Call(f"grad.{name}", getattr(cyconv.grad, name), a, check)


_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")


def _spread(problem, a, got, by):
    if problem.outputs > LARGE or prod(problem.input_shape) > LARGE or prod(problem.out_size) > OUTPUTS:
        raise Unchecked
    want = by(problem, a.grad_output) if got.size else np.empty(problem.input_shape, problem.dtype)
    biggest = float(np.abs(np.nan_to_num(a.grad_output, nan=0, posinf=0, neginf=0)).max(initial=0))
    close(got, want, rounding(want) + biggest * eps(want.dtype if want.itemsize > 2 else np.float32) * 16 * prod(problem.kernel))


def lp_pool(dice, rank):
    options, size = _windows(dice, rank, dilated=False)
    options.pop("padding", None)
    kernel = per_axis(options["kernel_size"], rank)
    size = [max(n, k) for n, k in zip(size, kernel)]
    norm = dice.choice([1, 2, 2.0, 3, 0.5, np.inf, np.float32(2), 4, -1])
    x = array(dice, (*_planes(dice), *size), dice.choice(FLOATS + INTEGERS))
    if norm != 2 and np.asarray(x).dtype.kind in "fi":
        x = np.abs(native(np.asarray(x)))
    a = {"input": x, "norm_type": norm, **options}

    def check(a, got):
        arrays_of(a, "input")
        x = a.input.astype(np.float64) if a.input.dtype.kind in "iu" else a.input
        p = lp_pool_problem(rank, x, a.norm_type, a.kernel_size, a.stride, a.ceil_mode)
        want, _ = _pooled(p, x)
        close(got, want, 4 * rounding(want) + 1e-12 * max(1, min(abs(float(a.norm_type)), 1e6)) * np.abs(want.astype(float)))

    return Call(f"lp_pool{rank}d", getattr(cyconv, f"lp_pool{rank}d"), a, _positive(check))


def _positive(check):
    """Sums of odd powers of both signs cancel, and may come to anything."""

    def checked(a, got):
        if a.norm_type != 2 and (np.asarray(a.input) < 0).any():
            raise Unchecked
        check(a, got)

    return checked


def lp_pool_input(dice, rank):
    call = lp_pool(dice, rank)
    a = call.arguments
    x = native(np.asarray(a["input"]))
    x = x.astype(np.float64) if x.dtype.kind in "iu" else x
    p = lp_pool_problem(rank, x, a["norm_type"], a["kernel_size"], a.get("stride"), a.get("ceil_mode", False))
    a["input"], a["grad_output"] = x, array(dice, p.output_shape, x.dtype)
    if np.asarray(a["grad_output"]).dtype.newbyteorder("=") != x.dtype:
        a["grad_output"] = native(np.asarray(a["grad_output"])).astype(x.dtype)

    def check(a, got):
        arrays_of(a, "input", "grad_output")
        x = a.input.astype(np.float64) if a.input.dtype.kind in "iu" else a.input
        p = lp_pool_input_problem(rank, x, a.grad_output, a.norm_type, a.kernel_size, a.stride, a.ceil_mode)
        if p.outputs > LARGE or prod(p.out_size) > OUTPUTS or a.norm_type < 1 and not x.all():
            raise Unchecked  # of powers below 1 the slope at 0 is infinite, and what 0 times that counts is nobody's matter
        if not got.size:
            return same(got, np.empty(p.input_shape, p.dtype))
        want = reference.lp_pool_input(p, x, a.grad_output)
        parts = reference.lp_pool_input(p, x, np.abs(a.grad_output))  # slopes may be as large as these add up to
        close(got, want, 64 * max(1, min(abs(float(a.norm_type)), 1e6)) * eps(want.dtype) * np.abs(parts.astype(float)) + 8 * rounding(want))

    name = f"lp_pool{rank}d_input"
    return Call(f"grad.{name}", getattr(cyconv.grad, name), a, _positive(check))


# ---- adaptive --------------------------------------------------------------------------------------------------------------


def _output_size(dice, rank):
    lengths = [dice.choice([None, 0, 1, 1, 2, 3, 4, 7]) for _ in range(rank)]
    return lengths[0] if dice.chance(0.3) else dice.choice([tuple, list])(lengths)


def adaptive(dice, rank, kind):
    name = f"adaptive_{'max' if kind == 'max' else 'avg'}_pool{rank}d"
    shape = (*_planes(dice), *dice.ints(rank, 1, MOST[rank]))
    x = array(dice, shape, dice.choice(MAX_DTYPES if kind == "max" else AVERAGE_DTYPES), special=dice.chance(0.1))
    a = {"input": x, "output_size": _output_size(dice, rank)}
    if kind == "max" and dice.chance(0.5):
        a["return_indices"] = True

    def check(a, got):
        arrays_of(a, "input")
        indices = kind == "max" and a.return_indices
        p = adaptive_pool_problem(rank, a.input, kind, a.output_size, indices)
        want, found = _pooled(p, a.input)
        close(got[0] if indices else got, want, _allowed(p, a.input, want) if kind == "average" else 0)
        if indices:
            same(got[1], found)

    return Call(name, getattr(cyconv, name), a, check)


def adaptive_avg_pool_input(dice, rank):
    lead, dtype = _planes(dice), dice.choice(FLOATS + COMPLEX)
    size = (*lead, *dice.ints(rank, 1, MOST[rank]))
    a = {"input_size": size, "grad_output": array(dice, (*lead, *dice.ints(rank, 0, 5)), dtype)}

    def check(a, got):
        arrays_of(a, "grad_output")
        image = np.broadcast_to(np.zeros((), a.grad_output.dtype), tuple(map(int, a.input_size)))
        p = adaptive_pool_problem(rank, image, "average", a.grad_output.shape[-rank:])
        _spread(p, a, got, reference.avg_pool_input)

    name = f"adaptive_avg_pool{rank}d_input"
    return Call(f"grad.{name}", getattr(cyconv.grad, name), a, check)


# ---- filters ---------------------------------------------------------------------------------------------------------------

BORDERS = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-wrap", "grid-mirror", "grid-constant")


def filter_of(dice, name):
    rank = dice.randint(1, 4)
    shape = dice.ints(rank, 1, {1: 40, 2: 12, 3: 7, 4: 4}[rank])
    if dice.chance(0.05):
        shape = (0, *shape[1:])
    dtypes = ("float32", "float64", *COMPLEX) if name == "uniform_filter" else ("float32", "float64", "bool")
    x = array(dice, shape, dice.choice(dtypes + INTEGERS))
    axes = sorted(dice.sample(range(rank), dice.randint(1, rank))) if dice.chance(0.3) else None
    count = rank if axes is None else len(axes)
    size = dice.ints(count, 1, 6)
    a = {"input": x, "size": size[0] if len(set(size)) == 1 else tuple(size)}
    a["mode"] = dice.choice(BORDERS) if dice.chance(0.7) else [dice.choice(BORDERS) for _ in range(count)]
    a["origin"] = tuple(dice.randint(-(k // 2), (k - 1) // 2) if dice.chance(0.3) else 0 for k in size)
    a["cval"] = dice.choice([0, 1, 1.0, True])
    if axes is not None:
        a["axes"] = tuple(axis - rank if dice.chance(0.3) else axis for axis in axes)

    def check(a, got):
        if a.output is not None:
            raise Unchecked
        arrays_of(a, "input")
        if a.input.size > 10**5 or np.max(a.size) > 10**4 or not np.isfinite(complex(a.cval)):
            raise Unchecked  # SciPy takes what has left a window out of its sum again, and lets neighbours hide a NaN
        if a.input.dtype.kind in "iu" and max(np.abs(a.input.astype(float)).max(initial=0), abs(complex(a.cval))) > 2**40:
            raise Unchecked  # SciPy sums in float64, cyconv in 64 bits
        options = {"mode": a.mode, "cval": a.cval, "origin": a.origin}
        if a.axes is not None:
            options["axes"] = a.axes
        want = getattr(ndimage, name)(a.input, a.size, **options)
        if name != "uniform_filter" or want.dtype.kind not in "fc":
            same(got, want)
        else:  # SciPy rounds after each axis
            biggest = float(max(np.abs(np.nan_to_num(a.input)).max(initial=0), abs(a.cval)))
            close(got, want, eps(want.dtype) * 16 * (biggest + 1) * max(np.ravel(a.size)))

    return Call(name, getattr(cyconv, name), a, check)


# ---- the table -------------------------------------------------------------------------------------------------------------

TABLE = {name: lambda dice, name=name: filter_of(dice, name) for name in ("maximum_filter", "minimum_filter", "uniform_filter")}
for _rank in (1, 2, 3):
    for _name, _make in {
        f"max_pool{_rank}d": max_pool,
        f"min_pool{_rank}d": lambda dice, rank: max_pool(dice, rank, "min"),
        f"avg_pool{_rank}d": avg_pool,
        f"lp_pool{_rank}d": lp_pool,
        f"adaptive_max_pool{_rank}d": lambda dice, rank: adaptive(dice, rank, "max"),
        f"adaptive_avg_pool{_rank}d": lambda dice, rank: adaptive(dice, rank, "average"),
        f"max_unpool{_rank}d": max_unpool,
        f"grad.max_pool{_rank}d_input": max_pool_input,
        f"grad.avg_pool{_rank}d_input": avg_pool_input,
        f"grad.adaptive_avg_pool{_rank}d_input": adaptive_avg_pool_input,
        f"grad.lp_pool{_rank}d_input": lp_pool_input,
        f"grad.max_unpool{_rank}d_input": max_unpool_input,
    }.items():
        TABLE[_name] = lambda dice, make=_make, rank=_rank: make(dice, rank)

"""python -m bench.bounds: how near the worst errors come to the bounds that cyconv/menu.py states, of every row in every dtype.

Each row computes its problems from data that is made to be bad: sums that cancel, roundings that all go one way, numbers from 2**-60 to 2**60, single
spikes, the vectors that the transforms of `winograd` and `fft` magnify most. Then the worst of them is changed a little, again and again, as long as
that makes its error grow against the bound. What is exact is summed in the next wider type: float64 for float32 and float16, long double for float64.

A ratio above 1 breaks the promise: it is marked, its data is saved, and the exit status is 1. Results below the least normal number are given that number's
size for each product, which is what may be lost where subnormal numbers count as zeros; halves the half unit in the last place of their rounding.
"""

import argparse
import math
import time
from dataclasses import dataclass, replace

import numpy as np

from .bad_data import DATA, as_outer_products, changed, drawn
from .installation import import_cyconv

import_cyconv()

import cyconv
from cyconv import menu, reference
from cyconv.gradient_problem import input_gradient, weight_gradient
from cyconv.pool_problem import adaptive_pool_problem, avg_pool_problem, lp_pool_problem
from cyconv.problem import MAX_WORKSPACE, conv_problem

DTYPES = ("float16", "float32", "float64", "complex64", "complex128")
COMPUTED = {"float16": "float32", "complex64": "float32", "complex128": "float64"}
WIDER = {"float16": "float64", "float32": "float64", "float64": "longdouble", "complex64": "complex128", "complex128": "clongdouble"}
TRIES = 1  # draws of each kind of data


# ---- problems ------------------------------------------------------------------------------------------------------------

CONVOLUTIONS = {  # input, weight, arguments
    "one tap": ((1, 3, 5, 7), (4, 3, 1, 1), {}),
    "a tap and 300 channels": ((1, 300, 2, 3), (5, 300, 1, 1), {}),
    "signal": ((2, 1, 90), (1, 1, 17), {"padding": 8}),
    "signal of three taps": ((1, 4, 60), (6, 4, 3), {"padding": 1}),
    "long signal of three taps": ((3, 2, 120), (17, 2, 3), {}),
    "signal, 400 taps": ((1, 1, 500), (2, 1, 400), {}),
    "filter bank": ((1, 2, 70), (9, 2, 5), {"stride": 3, "padding": 4, "dilation": 2}),
    "3x3": ((1, 3, 9, 11), (8, 3, 3, 3), {"padding": 1}),
    "3x3, tiles of three": ((20, 2, 6, 6), (4, 2, 3, 3), {"padding": 1}),
    "3x3, one channel": ((1, 1, 18, 19), (1, 1, 3, 3), {}),
    "3x3, 64 channels": ((1, 64, 7, 8), (16, 64, 3, 3), {"padding": 1}),
    "5x3, reflected": ((1, 2, 12, 13), (4, 2, 5, 3), {"padding": (2, 1), "padding_mode": "reflect"}),
    "5x5, groups": ((1, 6, 11, 12), (9, 2, 5, 5), {"groups": 3, "padding": 2}),
    "depthwise": ((1, 18, 12, 11), (18, 1, 3, 3), {"groups": 18, "padding": 1}),
    "depthwise, strided": ((1, 20, 15, 16), (20, 1, 5, 5), {"groups": 20, "stride": 2, "padding": 2}),
    "strided and dilated": ((1, 2, 19, 18), (3, 2, 3, 4), {"stride": (2, 3), "dilation": (3, 2), "padding": 2}),
    "15x15, circular": ((1, 1, 30, 31), (2, 1, 15, 15), {"padding": 7, "padding_mode": "circular"}),
    "21x17, replicated": ((1, 2, 24, 25), (1, 2, 21, 17), {"padding": (3, 9), "padding_mode": "replicate"}),
    "template": ((1, 1, 40, 41), (1, 1, 37, 38), {}),
    "volume": ((1, 2, 6, 7, 8), (3, 2, 3, 3, 3), {"padding": 1}),
    "volume, 5x5x5": ((1, 1, 9, 10, 11), (2, 1, 5, 5, 5), {"padding": 2, "stride": (1, 2, 1)}),
}

POOLS = {  # input, function that makes the problem, function, arguments
    "pairs": ((2, 3, 50), "avg_pool1d", (2,)),
    "long windows": ((2, 700), "avg_pool1d", (333, 7, 100)),
    "2x2": ((1, 3, 12, 14), "avg_pool2d", (2,)),
    "3x3, padded": ((1, 3, 12, 14), "avg_pool2d", (3, 1, 1, False, False)),
    "7x9, divided by 5": ((1, 2, 20, 30), "avg_pool2d", ((7, 9), 3, 2, True, True, 5)),
    "whole planes": ((2, 9, 17, 19), "adaptive_avg_pool2d", (1,)),
    "adaptive": ((2, 3, 17, 23), "adaptive_avg_pool2d", ((5, 7),)),
    "small planes": ((2, 40, 5, 6), "avg_pool2d", (3, 2, 1)),
    "volume": ((1, 2, 7, 8, 9), "avg_pool3d", (3, 2, 1)),
    "of norm 1": ((1, 3, 12, 14), "lp_pool2d", (1, 3)),
    "of norm 2": ((1, 3, 12, 14), "lp_pool2d", (2, 3, 2)),
    "of norm 3, ragged": ((1, 3, 13, 15), "lp_pool2d", (3, (2, 4), 3, True)),
    "of norm 7.5": ((1, 300), "lp_pool1d", (7.5, 40, 3)),
    "of norm 0.5": ((1, 300), "lp_pool1d", (0.5, 4, 3)),
}


def problem_of(x_shape, w_shape, dtype, options, with_bias):
    x, w, b = (np.broadcast_to(np.zeros((), dtype), shape) for shape in (x_shape, w_shape, w_shape[:1]))
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"} | options
    return conv_problem(len(w_shape) - 2, x, w, b if with_bias else None, **given, precision="default", max_workspace=MAX_WORKSPACE)


def pool_problem_of(x_shape, function, arguments, dtype):
    x = np.broadcast_to(np.zeros((), dtype), x_shape)
    rank = int(function[-2])
    if function.startswith("adaptive"):
        return adaptive_pool_problem(rank, x, "average", *arguments)
    if function.startswith("lp"):
        return lp_pool_problem(rank, x, *arguments, *(None, False)[len(arguments) - 2 :])
    return avg_pool_problem(rank, x, *arguments, *(None, 0, False, True, None)[len(arguments) - 1 :])


# ---- convolutions ----------------------------------------------------------------------------------------------------------


def exact_convolution(problem, x, w, b, dtype):
    wide = replace(problem, dtype=dtype)
    out = np.empty(problem.output_shape, dtype)
    reference.run(wide, x, w, b, out)
    return out


def scale_of(row, problem, x, w, b):
    """What the row's bound multiplies, for each output."""
    x, w, b = (None if a is None else np.abs(a).astype("float64") for a in (x, w, b))
    if row.scale == "terms":
        return exact_convolution(problem, x, w, b, "float64")
    p = problem
    padded = reference.pad(x.reshape(p.batch, p.groups, 1, p.in_channels, *p.size), p.pad_before, p.pad_after, p.padding_mode)
    taps = w.reshape(1, p.groups, p.out_channels, p.in_channels, p.taps)
    norms = np.linalg.norm(padded.reshape(*padded.shape[:4], -1), axis=-1) * np.linalg.norm(taps, axis=-1)
    scale = norms.sum(axis=-1).reshape(p.batch, -1) + (0 if b is None else b)
    return scale.reshape(*p.output_shape[: -p.rank], *(1,) * p.rank)


def excess(got, exact, bound, products, dtype, power=1):
    """Errors over what the bound allows; power: of both before they are compared. What is too large for `dtype` is left out."""
    kind = np.finfo(COMPUTED.get(dtype, dtype))
    most = float(np.finfo(dtype).max)
    fits = (np.abs(exact) <= most * (1 - 2.0**-11)) & (bound <= float(kind.max) / 4)
    got, exact, bound = got[fits].astype(exact.dtype), exact[fits], np.broadcast_to(bound, fits.shape)[fits]
    if dtype == "float16":
        half = np.spacing(np.abs(got.astype(dtype))).astype("float64") / 2
        got = np.clip(exact, got - half, got + half)
    if power != 1:
        got, exact = got**power, exact**power
    error = np.abs(got - exact).astype("float64")
    return error / (bound * float(kind.eps) + (2 * products + 2) * float(kind.smallest_normal))


def convolution_ratios(row, problem, arrays, options):
    """Errors over bounds of all outputs; None if the row does not compute these weights."""
    x, w, b = arrays
    if row.weights and not row.module.suits(problem, w):
        return None
    conv = getattr(cyconv, f"conv{problem.rank}d")
    got = conv(x, w, b, **options, algorithm=row.name)
    exact = exact_convolution(problem, x, w, b, WIDER[problem.dtype])
    return excess(got, exact, row.bound(problem) * scale_of(row, problem, x, w, b), problem.products, problem.dtype)


# ---- their gradients -------------------------------------------------------------------------------------------------------


def gradient_ratios(row, problem, arrays, options, of_input):
    """Of the gradient with respect to the input, or else to the weight, which are convolutions again."""
    p = problem
    other, g = arrays
    what, function = ("input", reference.conv_input_gradient) if of_input else ("weight", reference.conv_weight_gradient)
    call = getattr(cyconv.grad, f"conv{p.rank}d_{what}")
    first = (p.input_shape, other) if of_input else (other, p.weight_shape)
    got = call(*first, g, **options, algorithm=row.name)
    exact = function(replace(p, dtype=WIDER[p.dtype]), other, g)
    inner = [phase.problem for phase in input_gradient(p).phases] if of_input else [weight_gradient(p).problem]
    bound = max(row.bound(each) for each in inner) * gradient_scale(row, p, other, g, of_input, function)
    return excess(got, exact, bound, max(each.products for each in inner), p.dtype)


def gradient_scale(row, problem, other, g, of_input, function):
    p = problem
    other, g = np.abs(other).astype("float64"), np.abs(g).astype("float64")
    if row.scale == "terms":
        return function(replace(p, dtype="float64"), other, g)
    g_norms = np.linalg.norm(g.reshape(p.batch, p.groups, p.out_channels, -1), axis=-1)
    if of_input:
        w_norms = np.linalg.norm(other.reshape(p.groups, p.out_channels, p.in_channels, -1), axis=-1)
        return np.einsum("ngo,goc->ngc", g_norms, w_norms).reshape(*p.input_shape[: -p.rank], *(1,) * p.rank)
    padded = reference.pad(other.reshape(p.batch, p.groups, p.in_channels, *p.size), p.pad_before, p.pad_after, p.padding_mode)
    x_norms = np.linalg.norm(padded.reshape(*padded.shape[:3], -1), axis=-1)
    return np.einsum("ngc,ngo->goc", x_norms, g_norms).reshape(*p.weight_shape[: -p.rank], *(1,) * p.rank)


# ---- pools -----------------------------------------------------------------------------------------------------------------


def exact_pool(problem, x, of_moduli=False):
    """The average, or the sum of powers of a norm, in the wider type; of_moduli: what the bound multiplies."""
    p = problem
    dtype = "float64" if of_moduli else WIDER[p.dtype]
    x = np.abs(x).astype("float64") if of_moduli else x.astype(dtype)
    x = x.reshape(p.planes, *p.size)
    if p.kind == "lp":
        x = (np.abs(x) if of_moduli else x) ** x.real.dtype.type(p.norm_type)
    out = np.empty((p.planes, *p.out_size), dtype)
    axes = [list(enumerate(reference.pool_windows(p, axis))) for axis in range(3)]
    for z, (zs, zc) in axes[0]:
        for y, (ys, yc) in axes[1]:
            for column, (xs, xc) in axes[2]:
                window = x[:, zs, ys, xs].reshape(p.planes, -1)
                by = abs(p.divisor_override or zc * yc * xc) if p.kind == "average" else window.shape[1] / math.prod(p.kernel)
                out[:, z, y, column] = window.sum(axis=1) / out.dtype.type(by)
    return out.reshape(p.output_shape)


def pool_ratios(row, problem, x, function, arguments):
    got = getattr(cyconv, function)(x, *arguments, algorithm=row.name)
    exact, scale = exact_pool(problem, x), exact_pool(problem, x, of_moduli=True)
    if problem.kind != "lp":
        return excess(got, exact, row.bound(problem) * scale, 1, problem.dtype)
    power, bound = exact.dtype.type(problem.norm_type), row.bound(problem) * scale
    exact = np.where(exact > bound * np.finfo(COMPUTED.get(problem.dtype, problem.dtype)).eps, exact, np.nan)  # of signs that cancel, the root may be none
    return excess(got, exact ** (1 / power), bound, 1, problem.dtype, power)


# ---- search ----------------------------------------------------------------------------------------------------------------


@dataclass
class Worst:
    """The largest ratio so far."""

    ratio: float = 0.0
    outputs: int = 0  # looked at
    data: str = "-"
    problem: str = "-"
    again: object = None  # of arrays: the ratios that they have
    arrays: tuple = ()

    def look(self, ratios, data, problem, again, arrays):
        """Takes note of the ratios; tells whether one is the worst so far."""
        if ratios is None:
            return False
        self.outputs += ratios.size
        largest = float(ratios.max(initial=0))
        if math.isnan(largest):
            largest = math.inf
        if not largest > self.ratio:
            return False
        self.ratio, self.data, self.problem, self.again, self.arrays = largest, data, problem, again, arrays
        return True


def convolution_worst(row, dtype, rng, seconds, problems=CONVOLUTIONS, kinds=DATA, tries=TRIES):
    worst = Worst()
    for name, (x_shape, w_shape, options) in problems.items():
        for with_bias in (False, True):
            problem = problem_of(x_shape, w_shape, dtype, options, with_bias)
            if row.module.why_not(problem) is not None:
                continue

            def again(x, w, b, row=row, problem=problem, options=options):
                return convolution_ratios(row, problem, (x, w, b), options)

            for kind in kinds:
                for _ in range(tries):
                    x, w, b = drawn(kind, rng, x_shape, w_shape, dtype)
                    w = as_outer_products(w) if row.weights else w
                    arrays = x, w, b if with_bias else None
                    worst.look(again(*arrays), kind, name, again, arrays)
    climb(worst, rng, seconds)
    return worst


def gradient_worst(row, dtype, rng, seconds, problems=CONVOLUTIONS, kinds=DATA, tries=TRIES):
    worst = Worst()
    if row.weights:
        return worst
    for name, (x_shape, w_shape, options) in problems.items():
        problem = problem_of(x_shape, w_shape, dtype, options, False)
        g_shape = problem.output_shape
        for of_input in (False, True) if problem.padding_mode == "zeros" else (False,):

            def again(other, g, row=row, problem=problem, options=options, of_input=of_input):
                return gradient_ratios(row, problem, (other, g), options, of_input)

            try:
                again(np.zeros(w_shape if of_input else x_shape, dtype), np.zeros(g_shape, dtype))
            except ValueError:  # the row declines
                continue
            for kind in kinds:
                for _ in range(tries):
                    if of_input:
                        g, other, _ = drawn(kind, rng, g_shape, w_shape, dtype)
                    else:
                        other, g, _ = drawn(kind, rng, x_shape, (g_shape[1], g_shape[0], *g_shape[2:]), dtype)
                        g = g.swapaxes(0, 1).copy()
                    worst.look(again(other, g), kind, f"{'input' if of_input else 'weight'} of {name}", again, (other, g))
    climb(worst, rng, seconds)
    return worst


def pool_worst(row, dtype, rng, seconds, problems=POOLS, kinds=DATA, tries=TRIES):
    worst = Worst()
    for name, (shape, function, arguments) in problems.items():
        if function.startswith("lp") and dtype.startswith("complex"):
            continue
        problem = pool_problem_of(shape, function, arguments, dtype)
        if row.module.why_not(problem) is not None:
            continue

        def again(x, row=row, problem=problem, function=function, arguments=arguments):
            return pool_ratios(row, problem, x, function, arguments)

        for kind in kinds:
            for _ in range(tries):
                x = drawn(kind, rng, (1, *shape)[-max(len(shape), 3) :], (1, 1, *(1 for _ in shape[-int(function[-2]) :])), dtype)[0].reshape(shape)
                x = _tamed(x, problem) if problem.kind == "lp" else x
                worst.look(again(x), kind, name, again, (x,))
    climb(worst, rng, seconds)
    return worst


def _tamed(x, problem):
    """Moduli whose powers neither overflow nor vanish."""
    most = {"float16": 3, "float32": 100, "float64": 900}[x.dtype.name] / max(problem.norm_type, 1 / problem.norm_type)
    with np.errstate(divide="ignore"):
        return np.exp2(np.clip(np.log2(np.abs(x).astype("float64")), -most, most)).astype(x.dtype)


def climb(worst, rng, seconds):
    """Changes some numbers of the worst data as long as that makes it worse."""
    end = time.monotonic() + seconds
    while worst.again is not None and time.monotonic() < end:
        arrays = tuple(None if a is None else changed(a, rng) for a in worst.arrays)
        if worst.look(worst.again(*arrays), worst.data, worst.problem, worst.again, arrays) and not worst.data.endswith("climbed"):
            worst.data += ", climbed"


# ---- the table -------------------------------------------------------------------------------------------------------------


def rows():
    """(what, row, function that finds its worst ratio)."""
    yield from (("conv", row, convolution_worst) for row in menu.CONV)
    yield from (("grad", row, gradient_worst) for row in menu.CONV)
    yield from (("pool", row, pool_worst) for row in menu.POOL)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m bench.bounds", description="The worst errors over their bounds.")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="rows of the menu (default: all)")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--seconds", type=float, default=2.0, help="of the search of each row and dtype (default: 2)")
    parser.add_argument("--tries", type=int, default=TRIES, help=f"draws of each kind of data (default: {TRIES})")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if np.finfo(np.longdouble).eps > 2.0**-60:
        raise SystemExit("this machine's long double is no wider than float64: nothing tells what is exact")
    broken = 0
    print(f"{'':4}  {'row':13}  {'dtype':10}  {'worst / bound':>13}  {'outputs':>9}  data, problem")
    for what, row, search in rows():
        if options.rows and row.name not in options.rows:
            continue
        for dtype in options.dtypes:
            rng = np.random.default_rng(options.seed)
            with np.errstate(all="ignore"):
                worst = search(row, dtype, rng, options.seconds, tries=options.tries)
            if not worst.outputs:
                continue
            mark = "  BROKEN" if worst.ratio > 1 else ""
            print(f"{what}  {row.name:13}  {dtype:10}  {worst.ratio:13.3g}  {worst.outputs:9.2g}  {worst.data}; {worst.problem}{mark}", flush=True)
            if mark:
                broken += 1
                file = f"broken_{what}_{row.name}_{dtype}.npz"
                np.savez(file, *[a for a in worst.arrays if a is not None])
                print(f"      saved in {file}")
    print("no bound is broken" if not broken else f"{broken} bounds are broken")
    return bool(broken)


if __name__ == "__main__":
    raise SystemExit(main())

"""Calls that lead through every kernel of the CPU, for those who watch memory and threads meanwhile: test_guarded.py and builds/.

The convolutions are CASES; what stands here besides makes each of the pools' ways run at least once, and everything that is computed
around convolutions and pools. `algorithm="reference"` is left out.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from cases import CASES, FAST, Case, arrays, conv, problem_of, runs, suited
from pool_cases import sample

import cyconv
from cyconv import menu, nn, signal
from cyconv.filter_problem import EXTREME_DTYPES, UNIFORM_DTYPES
from cyconv.fold_problem import FOLD_DTYPES
from cyconv.pool_problem import AVERAGE_DTYPES, LP_DTYPES, MAX_DTYPES
from cyconv.problem import CONV_DTYPES

REAL = ("float16", "float32", "float64")
POOLERS = [row.name for row in menu.POOL if row.name != "reference"]


@dataclass(frozen=True)
class Call:
    name: str
    read: Callable  # returns the arrays that the call reads; None stands for one that is left out
    compute: Callable  # of these, and of `out`: returns what is computed, an array or a tuple of them
    takes_out: bool = True

    def __str__(self):
        return self.name


def dtypes_of(turn, dtypes, chosen, taken=lambda dtype: True):
    """Those of them that are taken: all, or one, another one for each turn. chosen is "all", "one", or the name of one."""
    turned = dtypes[turn % len(dtypes) :] + dtypes[: turn % len(dtypes)]
    found = (dtype for dtype in turned if chosen in ("all", "one", dtype) and taken(dtype))
    return itertools.islice(found, 1 if chosen == "one" else None)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


# ---- convolutions ------------------------------------------------------------------------------------------------------------

TILES = [Case(f"tiles_of_{side}", (1, 5, side, 3 * side), (6, 5, 3, 3), {"padding": 1}) for side in (6, 7, 8, 9, 13)]  # of winograd
LARGE = [  # several blocks in every direction
    Case("many_blocks_signal", (2, 3, 5000), (7, 3, 5), {"stride": 2, "padding": 2}),
    Case("many_blocks_image", (1, 40, 30, 700), (9, 40, 3, 3), {"padding": 1}),
    Case("many_blocks_channels", (1, 300, 20, 33), (300, 300, 1, 1)),
    Case("many_blocks_volume", (1, 16, 14, 20, 40), (5, 16, 3, 3, 3), {"padding": 1, "stride": (1, 2, 1)}),
    Case("many_blocks_depthwise", (1, 6, 100, 700), (12, 1, 3, 3), {"groups": 6, "padding": 1, "stride": 2}),
    Case("many_blocks_large_kernel", (1, 2, 90, 160), (2, 2, 21, 23), {"padding": 10}),
    Case("many_blocks_few_results", (2, 30, 40, 41), (7, 30, 33, 34)),
]


def convolutions(chosen, cases=(*TILES, *CASES)):
    for number, case in enumerate(cases):
        for name in FAST:
            for dtype in dtypes_of(3 * number, CONV_DTYPES, chosen, partial(_runs, name, case)):  # so that each algorithm meets all of its dtypes
                for last in (False, True) if len(case.input) == case.rank + 2 and case.input[1] > 1 else (False,):
                    yield Call(
                        f"conv{case.rank}d {name} {case.name} {dtype}{' channels last' * last}",
                        partial(_convolved, case, name, dtype, last),
                        partial(conv(case.rank), algorithm=name, **case.arguments),
                    )


def _runs(name, case, dtype):
    return runs(name, problem_of(case, dtype, None))


def _convolved(case, name, dtype, last):
    x, w, bias = arrays(case, dtype, small=False)
    return channels_last(x) if last else x, suited(name, w), bias


def transposed(chosen):
    """And gradients, which are convolutions too, of weights that lie otherwise."""
    number = 0
    for rank, shape, kernel, more in [
        (1, (2, 3, 17), (3, 4, 5), {"stride": 3}),
        (1, (1, 2, 40), (2, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
        (2, (2, 4, 7, 9), (4, 3, 3, 3), {"stride": 2, "padding": 1}),
        (2, (1, 6, 8, 5), (6, 2, 2, 4), {"stride": (1, 3), "groups": 3}),
        (2, (1, 5, 6, 7), (5, 6, 3, 2), {"dilation": (2, 1)}),
        (2, (1, 20, 9, 9), (20, 18, 4, 4), {"stride": 2, "padding": 1}),
        (3, (1, 2, 4, 5, 3), (2, 3, 3, 2, 3), {"stride": (2, 1, 2), "padding": (1, 0, 1)}),
    ]:
        function = getattr(cyconv, f"conv_transpose{rank}d")
        of_input, of_weight = (getattr(cyconv.grad, f"conv_transpose{rank}d_{what}") for what in ("input", "weight"))
        for dtype in dtypes_of(number, CONV_DTYPES, chosen):
            x, w = sample(shape, dtype), sample(kernel, dtype, 1)
            grad = np.array(function(x, w, **more))
            name = f"conv_transpose{rank}d {'x'.join(map(str, kernel))} {dtype}"
            yield Call(name, partial(_copies, x, w), partial(function, **more))
            yield Call(f"{name} input's gradient", partial(_copies, w, grad), partial(of_input, shape, **more))
            yield Call(f"{name} weight's gradient", partial(_copies, x, grad), _between(of_weight, kernel, **more))
        number += 1
    for rank, shape, kernel, more in [
        (1, (2, 3, 40), (4, 3, 5), {"stride": 2, "padding": 2}),
        (2, (3, 4, 11, 9), (6, 4, 3, 3), {"padding": 1}),
        (2, (1, 6, 12, 13), (6, 1, 3, 2), {"groups": 6, "stride": 2}),
        (2, (2, 3, 9, 8), (2, 3, 3, 3), {"padding": 2, "padding_mode": "reflect"}),
        (3, (2, 2, 5, 6, 7), (3, 2, 2, 3, 2), {"dilation": (1, 2, 1)}),
    ]:
        of_input, of_weight = (getattr(cyconv.grad, f"conv{rank}d_{what}") for what in ("input", "weight"))
        of_bias = getattr(cyconv.grad, f"conv{rank}d_bias")
        for dtype in dtypes_of(number, CONV_DTYPES, chosen):
            x, w = sample(shape, dtype), sample(kernel, dtype, 1)
            grad = np.array(conv(rank)(x, w, **more))
            name = f"conv{rank}d {'x'.join(map(str, kernel))} {dtype}"
            yield Call(f"{name} input's gradient", partial(_copies, w, grad), partial(of_input, shape, **more))
            yield Call(f"{name} weight's gradient", partial(_copies, x, grad), _between(of_weight, kernel, **more))
            yield Call(f"{name} bias' gradient", partial(_copies, grad), of_bias)
        number += 1


def _copies(*arrays):
    return tuple(a.copy(order="K") for a in arrays)


def _given(function, *arguments, **options):
    """function(array, ..., *arguments)"""
    return lambda *arrays, **out: function(*arrays, *arguments, **options, **out)


def _sized(function, size, *arguments, **options):
    """function(size, array, *arguments)"""
    return lambda array, **out: function(size, array, *arguments, **options, **out)


def _between(function, size, **options):
    """function(array, size, array)"""
    return lambda first, second, **out: function(first, size, second, **options, **out)


# ---- pools -------------------------------------------------------------------------------------------------------------------

WINDOWS = [  # shape, kernel_size, stride, padding, dilation
    ((2, 3, 9, 11), 1, 1, 0, 1),
    ((2, 3, 9, 11), 2, 2, 0, 1),
    ((1, 3, 37, 70), 2, 2, 1, 1),
    ((2, 3, 9, 11), 2, 1, 1, 1),
    ((2, 3, 9, 11), 3, 2, 1, 1),
    ((1, 2, 21, 83), 3, 2, 1, 1),
    ((2, 3, 19, 41), 3, 1, 1, 1),
    ((2, 3, 9, 31), 3, 1, 1, 2),
    ((2, 4, 9, 131), (2, 3), (1, 3), (1, 0), 1),
    ((2, 3, 9, 131), (2, 3), (3, 4), 0, (3, 1)),
    ((1, 2, 20, 101), (9, 11), 1, (4, 5), 1),
    ((1, 2, 33, 150), (17, 101), (2, 1), 0, 1),
    ((1, 2, 20, 101), (5, 40), (5, 7), 0, 1),
    ((1, 3, 40, 7), (31, 3), 1, (15, 1), 1),
    ((3, 37, 4, 5), 2, 2, 0, 1),
    ((3, 37, 4, 5), 3, 1, 1, 1),
    ((2, 17, 6, 6), (6, 6), 1, 0, 1),
    ((1, 40, 7, 9), (7, 9), 1, 0, 1),
    ((2, 3, 70), 4, 3, 2, 1),
    ((1, 3, 1001), 29, 1, 14, 1),
    ((2, 3, 6, 7, 21), 2, 2, 0, 1),
    ((1, 5, 6, 7, 21), 3, 1, 1, 1),
    ((1, 2, 9, 7, 8), (5, 2, 3), (2, 1, 3), (2, 1, 1), 1),
]
LARGE_WINDOWS = [  # enough work for several threads
    ((3, 7, 120, 131), 2, 2, 0, 1),
    ((3, 7, 120, 131), 3, 2, 1, 1),
    ((2, 5, 100, 301), (9, 31), 1, (4, 15), 1),
    ((16, 40, 14, 13), 3, 1, 1, 1),
    ((9, 65, 21, 20), (21, 20), 1, 0, 1),
    ((2, 3, 21, 30, 41), 3, 1, 1, 1),
    ((3, 5, 30001), 101, 7, 0, 1),
]
ADAPTIVE = [((2, 3, 11, 13), (5, 4)), ((1, 20, 7, 7), 1), ((2, 3, 50), 7), ((1, 2, 5, 6, 7), (2, 4, 3)), ((3, 18, 5, 4), (3, 3))]


def pools(chosen, windows=WINDOWS):
    turns = Counter()  # of each way of each pool, so that each meets every dtype
    for shape, kernel, stride, padding, dilation in windows:
        rank = len(shape) - 2
        dilated, plain = (kernel, stride, padding, dilation, True), (kernel, stride, padding, True)
        for way in [
            ("max_pool", MAX_DTYPES, dilated, {}),
            ("max_pool", MAX_DTYPES, dilated, {"return_indices": True}),
            ("min_pool", MAX_DTYPES, dilated, {}),
            ("min_pool", MAX_DTYPES, dilated, {"return_indices": True}),
            ("avg_pool", AVERAGE_DTYPES, plain, {}),
            ("avg_pool", AVERAGE_DTYPES, plain, {"count_include_pad": False}),
            ("lp_pool", LP_DTYPES, (2, kernel, stride, True), {}),
            ("lp_pool", LP_DTYPES, (3.5, kernel, stride, True), {}),
        ]:
            yield from _pooled(turns, rank, shape, *way, chosen)
    for shape, size in ADAPTIVE if windows is WINDOWS else ():
        for way in [
            ("adaptive_max_pool", MAX_DTYPES, (size,), {}),
            ("adaptive_max_pool", MAX_DTYPES, (size,), {"return_indices": True}),
            ("adaptive_avg_pool", AVERAGE_DTYPES, (size,), {}),
        ]:
            yield from _pooled(turns, len(shape) - 2, shape, *way, chosen)


def _pooled(turns, rank, shape, name, dtypes, arguments, more, chosen):
    function = getattr(cyconv, f"{name}{rank}d")
    for algorithm, layout in itertools.product(POOLERS, ("in order", "channels last", "every second")):
        for dtype in dtypes_of(turns[name, algorithm, *more], dtypes, chosen):
            call = Call(
                f"{name}{rank}d {algorithm} {'x'.join(map(str, shape))} {arguments} {more or ''} {dtype} {layout}",
                partial(_laid, shape, dtype, layout),
                _given(function, *arguments, algorithm=algorithm, **more),
                takes_out="return_indices" not in more,
            )
            if takes(call):
                turns[name, algorithm, *more] += 1
                yield call


def _laid(shape, dtype, layout):
    x = sample(shape, dtype)
    if layout == "channels last":
        x = channels_last(x)
    elif layout == "every second":  # with the last number at the very end of its memory
        wide = np.zeros((*shape[:-1], 2 * shape[-1] - 1), dtype)
        wide[..., ::2] = x
        x = wide[..., ::2]
    return (x,)


def takes(call):
    """Whether the algorithm takes the problem."""
    try:
        call.compute(*call.read())
    except ValueError as error:
        if "cannot compute this problem" not in str(error):
            raise
        return False
    return True


def gradients_of_pools(chosen, windows=WINDOWS):
    for turn, (shape, kernel, stride, padding, dilation) in enumerate(windows):
        rank = len(shape) - 2
        max_pool, avg_pool, lp_pool, unpool = (getattr(cyconv, f"{kind}{rank}d") for kind in ("max_pool", "avg_pool", "lp_pool", "max_unpool"))
        of_max, of_avg, of_lp, of_unpool = (
            getattr(cyconv.grad, f"{kind}{rank}d_input") for kind in ("max_pool", "avg_pool", "lp_pool", "max_unpool")
        )
        name = f"{'x'.join(map(str, shape))} {kernel} {stride}"
        for dtype in dtypes_of(turn, tuple(d for d in MAX_DTYPES if d != "bool"), chosen):
            x = sample(shape, dtype)
            maxima, indices = max_pool(x, kernel, stride, padding, dilation, return_indices=True)
            yield Call(f"max_pool{rank}d's gradient {name} {dtype}", partial(_copies, indices, maxima), partial(of_max, shape))
            yield Call(f"max_unpool{rank}d's gradient {name} {dtype}", partial(_copies, x, indices), of_unpool)
            if kernel == stride == 2 and padding == 0:
                yield Call(f"max_unpool{rank}d {name} {dtype}", partial(_copies, maxima, indices), _given(unpool, 2, output_size=shape))
        for dtype in dtypes_of(turn, REAL + ("complex64", "complex128"), chosen):
            x = sample(shape, dtype)
            averages = avg_pool(x, kernel, stride, padding, True)
            for counted in (True, False):
                yield Call(
                    f"avg_pool{rank}d's gradient {name} {counted} {dtype}",
                    partial(_copies, averages),
                    _sized(of_avg, shape, kernel, stride, padding, True, counted),
                )
            if dtype in LP_DTYPES:
                yield Call(
                    f"lp_pool{rank}d's gradient {name} {dtype}",
                    partial(_copies, x, lp_pool(x, 2, kernel, stride)),
                    _given(of_lp, 2, kernel, stride),
                )
    for turn, (shape, size) in enumerate(ADAPTIVE):
        rank = len(shape) - 2
        of_adaptive = getattr(cyconv.grad, f"adaptive_avg_pool{rank}d_input")
        for dtype in dtypes_of(turn, REAL, chosen):
            averages = getattr(cyconv, f"adaptive_avg_pool{rank}d")(sample(shape, dtype), size)
            yield Call(f"adaptive_avg_pool{rank}d's gradient {shape} {size} {dtype}", partial(_copies, averages), partial(of_adaptive, shape))


def filters(chosen):
    turn = 0
    for shape, size, axes in [((9, 70), 3, None), ((13, 37), (4, 9), None), ((5, 6, 40), (3, 2, 31), None), ((150,), 101, None), ((6, 5, 33), 5, (2,))]:
        for mode in ("reflect", "constant", "nearest", "mirror", "wrap"):
            for name, dtypes in (("maximum", EXTREME_DTYPES), ("minimum", EXTREME_DTYPES), ("uniform", UNIFORM_DTYPES)):
                function = getattr(cyconv, f"{name}_filter")
                for dtype in dtypes_of(turn, dtypes, chosen):
                    yield Call(
                        f"{name}_filter {shape} {size} {mode} {dtype}",
                        partial(_copies, sample(shape, dtype)),
                        partial(_filtered, function, size, mode, axes),
                    )
                turn += 1


def _filtered(function, size, mode, axes, x, out=None):
    result = function(x, size, output=out, mode=mode, axes=axes)
    return out if result is None else result


# ---- around convolutions and pools -------------------------------------------------------------------------------------------


def windows(chosen):
    turn = 0
    for shape, kernel, more in [
        ((2, 3, 9, 11), 3, {"padding": 1}),
        ((1, 2, 8, 19), (2, 5), {"stride": (1, 3), "dilation": 2}),
        ((3, 7, 8), 1, {"stride": 2}),
    ]:
        for dtype in dtypes_of(turn, FOLD_DTYPES, chosen):
            x = sample(shape, dtype)
            columns, name = cyconv.unfold(x, kernel, **more), f"{shape} {kernel} {dtype}"
            yield Call(f"unfold {name}", partial(_copies, x), _given(cyconv.unfold, kernel, **more))
            yield Call(f"fold {name}", partial(_copies, columns), _given(cyconv.fold, shape[-2:], kernel, **more))
            yield Call(f"unfold's gradient {name}", partial(_copies, columns), _sized(cyconv.grad.unfold_input, shape, kernel, **more))
            yield Call(f"fold's gradient {name}", partial(_copies, x), _given(cyconv.grad.fold_input, kernel, **more))
        turn += 1  # noqa: SIM113


def layers(chosen):
    for turn, shape in enumerate([(3, 5), (2, 7, 33), (4, 3, 5, 7), (1, 2, 3, 4, 5)]):
        for dtype in dtypes_of(turn, REAL, chosen):
            x, each = sample(shape, dtype), [sample(shape[1:2], dtype, seed) for seed in range(4)]
            name = f"{shape} {dtype}"
            for training in (True, False):
                yield Call(f"batch_norm {name} {training}", partial(_copies, x, each[0], abs(each[1]), *each[2:]), _given(cyconv.batch_norm, training), False)
            yield Call(f"a layer's batch_norm and relu {name}", partial(_copies, x, sample(shape, dtype, 1)), partial(_trained, shape, dtype), False)
            yield Call(f"relu {name}", partial(_copies, x), cyconv.relu)
            yield Call(f"softmax {name}", partial(_copies, x), cyconv.softmax, False)
            yield Call(f"log_softmax {name}", partial(_copies, x), partial(cyconv.log_softmax, dim=1), False)
            yield Call(f"dropout {name}", partial(_copies, x), partial(cyconv.dropout, seed=0), False)
            weight, bias = sample((4, shape[-1]), dtype, 1), sample((4,), dtype, 2)
            yield Call(f"linear {name}", partial(_copies, x, weight, bias), cyconv.linear, False)
            labels = np.arange(shape[0] * int(np.prod(shape[2:]))).reshape(shape[0], *shape[2:]) % shape[1]
            yield Call(f"cross_entropy {name}", partial(_copies, x, labels), cyconv.cross_entropy, False)
    if chosen in ("all", "one", "float32"):
        x, y = sample((3, 5, 7), "float32"), sample((3, 5, 7), "float32", 1)
        yield Call("bounded", partial(_copies, x, y), partial(_bounded, True))
        yield Call("bounded, alone", partial(_copies, x), partial(_bounded, False))


def _trained(shape, dtype, x, grad):
    norm, relu = getattr(nn, f"BatchNorm{max(len(shape) - 2, 1)}d")(shape[1], dtype=dtype), nn.ReLU()
    return relu(norm(x)), norm.backward(relu.backward(grad))


def _bounded(added, x, y=None, out=None):
    from cyconv import _norms

    out = np.empty_like(x) if out is None else out
    _norms.bounded(x, y if added else None, -1.0, 2.0, out)
    return out


def signals(chosen):
    for turn, (shape, kernel) in enumerate([((70,), (9,)), ((13, 31), (4, 5)), ((6, 7, 20), (2, 3, 4))]):
        for dtype in dtypes_of(turn, ("float32", "float64", "complex64", "complex128", "int16"), chosen):
            x, w = sample(shape, dtype), sample(kernel, dtype, 1)
            for name in ("convolve", "correlate", "fftconvolve", "oaconvolve"):
                yield Call(f"signal.{name} {shape} {kernel} {dtype}", partial(_copies, x, w), partial(getattr(signal, name), mode="same"), False)
            if len(shape) == 2:
                for boundary in ("fill", "wrap", "symm"):
                    yield Call(f"signal.convolve2d {shape} {boundary} {dtype}", partial(_copies, x, w), partial(signal.convolve2d, boundary=boundary), False)
            if dtype in REAL and len(shape) > 1:
                yield Call(f"signal.match_template {shape} {kernel} {dtype}", partial(_copies, x, w), signal.match_template, False)


def prepared(chosen):
    """Plans, which keep weights prepared."""
    for number, case in enumerate(CASES[2:24:3]):
        for name in FAST:
            for dtype in dtypes_of(number, CONV_DTYPES, chosen, partial(_runs, name, case)):
                yield Call(f"plan_conv {name} {case.name} {dtype}", partial(_convolved, case, name, dtype, False), partial(_planned, case, name))


def _planned(case, name, x, w, bias, **out):
    return cyconv.plan_conv(x.shape, w, bias, algorithm=name, **case.arguments)(x, **out)


FAMILIES = {
    "convolutions": convolutions,
    "plans": prepared,
    "transposed": transposed,
    "pools": pools,
    "gradients of pools": gradients_of_pools,
    "filters": filters,
    "windows": windows,
    "layers": layers,
    "signals": signals,
    "large convolutions": partial(convolutions, cases=LARGE),
    "large pools": partial(pools, windows=LARGE_WINDOWS),
    "large gradients of pools": partial(gradients_of_pools, windows=LARGE_WINDOWS),
}
SMALL = [family for family in FAMILIES if not family.startswith("large")]

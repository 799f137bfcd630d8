"""Calls of convolutions, their gradients, plans, `explain`, `convolve_blockwise`, `unfold` and `fold`."""

import itertools
from dataclasses import replace
from math import prod

import numpy as np
from cases import ROWS, assert_within_bound, runs, suited
from fuzz.calls import LARGE, Call, Unchecked, close, eps, rounding, same
from fuzz.values import NUMBERS, array, native, said

import cyconv
from cyconv import reference, select
from cyconv.fold_problem import fold_problem, unfold_problem
from cyconv.gradient_problem import conv_gradient_problem
from cyconv.problem import PADDING_MODES, conv_problem, conv_transpose_problem

MOST = {1: 40, 2: 12, 3: 6}  # samples along an axis
KERNEL = {1: 9, 2: 5, 3: 3}


# ---- plain convolution -----------------------------------------------------------------------------------------------------


def windows(dice, rank):
    """Arguments that fit: kernel, stride, dilation, padding (and what it comes to), its mode, and sizes, of `rank` axes."""
    kernel, stride, dilation = dice.ints(rank, 1, KERNEL[rank]), dice.ints(rank, 1, 3), dice.ints(rank, 1, 3)
    if dice.chance(0.4):
        stride = dilation = (1,) * rank
    mode = dice.choice(PADDING_MODES) if dice.chance(0.4) else "zeros"
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    words = ["valid", "full", "same_upper", "same_lower"] + ["same"] * (max(stride) == 1)
    if mode == "zeros" and dice.chance(0.3):
        padding = dice.choice(words)
        least = [s if padding == "valid" else 1 for s in span]
        pairs = None
    else:
        pairs = [(before, before if dice.chance(0.6) else dice.randint(0, 4)) for before in dice.ints(rank, 0, 3)]
        padding = said(dice, [b for b, _ in pairs]) if all(b == a for b, a in pairs) else dice.choice([tuple, list])(pairs)
        least = [max(s - b - a, 0 if mode == "zeros" else max(b, a) + 1, 0) for s, (b, a) in zip(span, pairs)]
    size = [dice.randint(low, max(low, MOST[rank])) for low in least]
    if isinstance(padding, str) and padding == "full":
        size = [max(n, 1) for n in size]
    return kernel, stride, dilation, padding, mode, size


def convolution(dice, rank, special=0.06):
    """The arguments of a convolution that is right."""
    kernel, stride, dilation, padding, mode, size = windows(dice, rank)
    dtype = dice.choice(NUMBERS) if dice.chance(0.6) else dice.choice(["float32", "float64"])
    groups = dice.choice([1, 1, 1, 2, 3, 5])
    channels, outputs = dice.randint(1, 4), dice.randint(1, 5)
    if dice.chance(0.1):
        channels, outputs = dice.choice([(0, 2), (2, 0), (17, 9), (33, 34)])
    batch = () if dice.chance(0.25) else (dice.choice([0, 1, 1, 2, 3]),)
    bad = dice.chance(special)
    arguments = {
        "input": array(dice, (*batch, groups * channels, *size), dtype, bad),
        "weight": array(dice, (groups * outputs, channels, *kernel), dtype, bad and dice.chance(0.3)),
        "stride": said(dice, stride),
        "padding": padding,
        "dilation": said(dice, dilation),
        "groups": groups,
        "padding_mode": mode,
    }
    if dice.chance(0.5):
        arguments["bias"] = array(dice, (groups * outputs,), dtype)
    _leave_out(dice, arguments, stride=(1,) * rank, dilation=(1,) * rank, padding=(0,) * rank, groups=1, padding_mode="zeros")
    if not _one_dtype(arguments, "input", "weight", "bias"):
        for name in ("input", "weight", "bias"):
            if name in arguments:
                arguments[name] = native(np.asarray(arguments[name])).astype(dtype)
    return arguments


def _leave_out(dice, arguments, **defaults):
    for name, default in defaults.items():
        given = arguments.get(name)
        if isinstance(given, (int, str)) and given in (default, np.ravel(default)[0]) and dice.chance(0.5):
            del arguments[name]


def _one_dtype(arguments, *names):
    return len({np.asarray(arguments[name]).dtype.newbyteorder("=") for name in names if name in arguments}) == 1


def _problem(rank, a):
    problem = conv_problem(
        rank, a.input, a.weight, a.bias, a.stride, a.padding, a.dilation, a.groups, a.padding_mode, a.precision, a.max_workspace
    )
    if problem.multiply_adds > LARGE or problem.outputs > LARGE or a.input.size > LARGE:
        raise Unchecked
    return problem


def arrays_of(a, *names):
    """Has the named arguments be arrays, if they are anything else that is taken."""
    for name in names:
        if getattr(a, name) is not None:
            setattr(a, name, native(np.asarray(getattr(a, name))))


def check_conv(rank):
    def check(a, got):
        arrays_of(a, "input", "weight", "bias")
        problem = _problem(rank, a)
        row = ROWS[str(a.algorithm)] if a.algorithm != "auto" else select.choose(problem, "auto", a.weight)
        compare(problem, row, a.input, a.weight, a.bias, got, forced=a.algorithm != "auto")

    return check


def compare(problem, row, x, w, b, got, forced=False):
    want = np.empty(problem.output_shape, problem.dtype)
    reference.run(problem, x, w, b, want)
    assert got.shape == want.shape and got.dtype == want.dtype, f"{got.shape} {got.dtype}, not {want.shape} {want.dtype}"
    if got.tobytes() == want.tobytes() or np.array_equal(got, want, equal_nan=want.dtype.kind in "fc"):
        return
    if all(np.isfinite(each).all() for each in (x, w, want) if each is not None) and (b is None or np.isfinite(b).all()):
        assert_within_bound(row, problem, x, w, b, got)
    elif not (forced and row.spreads_nonfinite):
        biggest = [float(np.abs(np.nan_to_num(each, nan=0, posinf=0, neginf=0)).max(initial=1)) for each in (x, w)]
        close(got, want, row.bound(problem) * max(eps(problem.dtype), 1e-7) * biggest[0] * biggest[1] * max(problem.products, 1) * 100)


def conv(dice, rank):
    a = convolution(dice, rank)
    if dice.chance(0.25):
        _force(dice, rank, a)
    if dice.chance(0.1):
        a["precision"] = "strict"
    if dice.chance(0.1):
        a["max_workspace"] = 2 ** dice.randint(22, 40)
    function = getattr(cyconv, f"conv{rank}d")
    right = a.get("precision") != "strict" or "algorithm" not in a
    return Call(f"conv{rank}d", function, a, check_conv(rank), right)


def _force(dice, rank, a):
    """Names an algorithm that computes this; for one that takes some weights only, with such."""
    name = dice.choice(list(ROWS))
    x, w = (native(np.asarray(a[each])) for each in ("input", "weight"))
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"} | {k: v for k, v in a.items() if k in _OPTIONS}
    problem = conv_problem(rank, x, w, None if "bias" not in a else native(np.asarray(a["bias"])), precision="default", max_workspace=2**28, **options)
    if not runs(name, problem):
        return
    if ROWS[name].weights:
        a["weight"] = suited(name, w)
        if not ROWS[name].module.suits(problem, a["weight"]):
            return
    a["algorithm"] = name


_OPTIONS = ("stride", "padding", "dilation", "groups", "padding_mode")


def loose(dice, rank):
    """Arguments of which nobody knows whether they fit."""
    a = convolution(dice, rank)
    pick = lambda: dice.choice([0, 1, 1, 2, 3, 5, 9, -1])  # noqa: E731
    for name in dice.sample(_OPTIONS[:4], dice.randint(1, 3)):
        a[name] = pick() if name == "groups" or dice.chance(0.4) else tuple(pick() for _ in range(dice.choice([rank, rank, rank, 1, 2, 3])))
    a["algorithm"] = dice.choice(["auto", "auto", *ROWS])
    a["padding_mode"] = dice.choice(PADDING_MODES)
    a["precision"] = dice.choice(["default", "strict"])
    a["max_workspace"] = dice.choice([0, 1, 1000, 10**5, 2**20, 2**28])
    return Call(f"conv{rank}d", getattr(cyconv, f"conv{rank}d"), a, check_conv(rank), right=False)


# ---- explain, plans, blockwise ---------------------------------------------------------------------------------------------


def explain(dice):
    rank = dice.randint(1, 3)

    def check(a, got):
        arrays_of(a, "input", "weight", "bias")
        problem = _problem(a.weight.ndim - 2, a)
        assert got.problem == problem and got.chosen in str(got) and len(str(got).splitlines()) > len(got.verdicts)

    return Call("explain", cyconv.explain, convolution(dice, rank, special=0), check, repeats=False)


def plan_conv(dice):
    rank = dice.randint(1, 3)
    a = convolution(dice, rank, special=0)
    x = a.pop("input")
    a["input_shape"] = np.asarray(x).shape

    def check(a, plan):
        arrays_of(a, "weight", "bias")
        dtype = a.weight.dtype if a.dtype is None else np.dtype(a.dtype)
        if prod(a.input_shape) > LARGE:
            raise Unchecked
        a.weight, a.bias = a.weight.astype(dtype), None if a.bias is None else np.asarray(a.bias).astype(dtype)
        shaped = native(np.asarray(x)).astype(dtype) if np.shape(x) == tuple(a.input_shape) else np.ones(a.input_shape, dtype)
        a.input = shaped
        problem = _problem(a.weight.ndim - 2, a)
        got = plan(shaped)
        assert plan.output_shape == got.shape and plan.algorithm in str(plan)
        row = ROWS[plan.algorithm]
        compare(problem, row, shaped, a.weight, a.bias, got, forced=a.algorithm != "auto")

    if dice.chance(0.2):
        a["dtype"] = np.asarray(a["weight"]).dtype.newbyteorder("=")
    return Call("plan_conv", cyconv.plan_conv, a, check, repeats=False)


def convolve_blockwise(dice):
    rank = dice.randint(1, 3)
    a = convolution(dice, rank, special=0)
    x, w = native(np.asarray(a["input"])), native(np.asarray(a["weight"]))
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"} | {k: v for k, v in a.items() if k in _OPTIONS}
    problem = conv_problem(rank, x, w, None, precision="default", max_workspace=2**28, **options)
    a["input"] = x
    a["out"] = np.empty(problem.output_shape, problem.dtype)
    if dice.chance(0.3):
        a["journal"] = False
    if dice.chance(0.1):
        a["progress"] = lambda done, total: None

    def check(a, got):
        arrays_of(a, "weight", "bias")
        a.input = native(np.asarray(a.input))
        if a.input.ndim == a.weight.ndim - 2:
            a.input = a.input[None]
        problem = _problem(a.weight.ndim - 2, a)
        loosest = max((v.algorithm for v in select.verdicts(problem) if v.declined is None), key=lambda row: row.bound(problem))
        compare(problem, loosest, a.input, a.weight, a.bias, np.asarray(got).reshape(problem.output_shape))

    return Call("convolve_blockwise", cyconv.convolve_blockwise, a, check, repeats=False, changes=("out",))


# ---- transposed convolution ------------------------------------------------------------------------------------------------


def transposed(dice, rank):
    """The arguments of a transposed convolution that is right, as native tuples of ints, and its arrays."""
    while True:
        stride, dilation, kernel = dice.ints(rank, 1, 4), dice.ints(rank, 1, 3), dice.ints(rank, 1, 4)
        padding, size = dice.ints(rank, 0, 3), dice.ints(rank, 1, 5)
        extra = tuple(dice.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation))
        lengths = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, p, d, k, e in zip(size, stride, padding, dilation, kernel, extra)]
        if min(lengths) > 0:
            break
    groups, channels, outputs = dice.choice([1, 1, 2, 3]), dice.randint(1, 3), dice.randint(1, 3)
    dtype = dice.choice(NUMBERS) if dice.chance(0.6) else dice.choice(["float32", "float64"])
    batch = () if dice.chance(0.25) else (dice.choice([0, 1, 2, 3]),)
    arrays = [array(dice, (*batch, groups * channels, *size), dtype), array(dice, (groups * channels, outputs, *kernel), dtype)]
    arrays += [array(dice, (groups * outputs,), dtype)] if dice.chance(0.4) else [None]
    if len({np.asarray(each).dtype.newbyteorder("=") for each in arrays if each is not None}) > 1:
        arrays = [None if each is None else native(np.asarray(each)).astype(dtype) for each in arrays]
    result = (*batch, groups * outputs, *lengths)
    return arrays, {"stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation}, result


def conv_transpose(dice, rank):
    (x, w, b), options, _ = transposed(dice, rank)
    a = {"input": x, "weight": w, **{k: v if k == "groups" else said(dice, v) for k, v in options.items()}}
    if b is not None:
        a["bias"] = b

    def check(a, got):
        arrays_of(a, "input", "weight", "bias")
        whole = conv_transpose_problem(
            rank, a.input, a.weight, a.bias, a.stride, a.padding, a.output_padding, a.groups, a.dilation, a.precision, a.max_workspace
        )
        extra, stride, dilation = (per_axis(v, rank) for v in (a.output_padding, a.stride, a.dilation))
        if prod(whole.output_shape) > LARGE or a.input.size * a.weight.size > LARGE:
            raise Unchecked
        pairs = pairs_of(a.padding, rank)
        batched = a.input if a.input.ndim == rank + 2 else a.input[None]
        full = reference.conv_transpose(batched, a.weight, a.bias, stride, (0,) * rank, extra, int(a.groups), dilation)
        want = full[(..., *(slice(b, n - e) for (b, e), n in zip(pairs, full.shape[2:])))]
        want = np.ascontiguousarray(want if a.input.ndim == rank + 2 else want[0])
        close(got, want, spread(a.input, a.weight, want) + (0 if a.bias is None else np.max(rounding(a.bias), initial=0)))

    return Call(f"conv_transpose{rank}d", getattr(cyconv, f"conv_transpose{rank}d"), a, check)


def per_axis(value, rank):
    values = tuple(int(v) for v in np.ravel(value))
    return values * rank if len(values) == 1 else values


def pairs_of(padding, rank):
    values = [padding] * rank if np.ndim(padding) == 0 else list(padding)
    values = values * rank if len(values) == 1 else values
    return [tuple(map(int, v)) if np.ndim(v) else (int(v), int(v)) for v in values]


def spread(x, w, want):
    """By how much results of any algorithm may differ: the products of the norms of all of both arrays, and rounding."""
    if want.dtype.kind not in "fc":
        return 0
    single = max(eps(want.dtype), 0) if want.dtype.itemsize > 2 else eps(np.float32)
    norms = [np.sqrt((np.abs(np.nan_to_num(each, nan=0, posinf=0, neginf=0).astype(np.complex128)) ** 2).sum()) for each in (x, w)]
    return single * 2000 * norms[0] * norms[1] + rounding(want)


# ---- gradients of convolutions ---------------------------------------------------------------------------------------------


def conv_input(dice, rank):
    a, problem = _forward(dice, rank)
    x = a.pop("input")
    a["input_size"] = np.asarray(x).shape
    a["grad_output"] = array(dice, problem.output_shape, problem.dtype)
    _equal_dtypes(a, "weight", "grad_output")

    def check(a, got):
        arrays_of(a, "weight", "grad_output")
        p = _gradient_problem(rank, a, tuple(map(int, a.input_size)), a.weight.shape)
        close(got, reference.conv_input_gradient(p, a.weight, a.grad_output), spread(a.weight, a.grad_output, got) * _folded(p))

    return Call(f"grad.conv{rank}d_input", getattr(cyconv.grad, f"conv{rank}d_input"), a, check)


def _folded(problem):
    return prod(1 + b + e for b, e in zip(problem.pad_before, problem.pad_after)) if problem.padding_mode != "zeros" else 1


def conv_weight(dice, rank):
    a, problem = _forward(dice, rank)
    w = a.pop("weight")
    a["weight_size"] = np.asarray(w).shape
    a["grad_output"] = array(dice, problem.output_shape, problem.dtype)
    _equal_dtypes(a, "input", "grad_output")

    def check(a, got):
        arrays_of(a, "input", "grad_output")
        p = _gradient_problem(rank, a, a.input.shape, tuple(map(int, a.weight_size)))
        close(got, reference.conv_weight_gradient(p, a.input, a.grad_output), spread(a.input, a.grad_output, got) * _folded(p))

    return Call(f"grad.conv{rank}d_weight", getattr(cyconv.grad, f"conv{rank}d_weight"), a, check)


def _forward(dice, rank):
    a = convolution(dice, rank, special=0)
    a.pop("bias", None)
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"} | {k: v for k, v in a.items() if k in _OPTIONS}
    x, w = (native(np.asarray(a[name])) for name in ("input", "weight"))
    return a, conv_problem(rank, x, w, None, precision="default", max_workspace=2**28, **options)


def _equal_dtypes(a, *names):
    if not _one_dtype(a, *names):
        for name in names:
            a[name] = native(np.asarray(a[name])).astype("float32")


def _gradient_problem(rank, a, input_size, weight_size):
    p = conv_gradient_problem(
        rank, input_size, weight_size, a.grad_output, a.stride, a.padding, a.dilation, a.groups, a.padding_mode, a.precision, a.max_workspace
    )
    if p.multiply_adds > LARGE or prod(p.input_shape) > LARGE or prod(p.weight_shape) > LARGE:
        raise Unchecked
    return p


def conv_transpose_input(dice, rank):
    (x, w, _), options, result = transposed(dice, rank)
    a = {"input_size": np.asarray(x).shape, "weight": w, "grad_output": array(dice, result, np.asarray(w).dtype.newbyteorder("=")), **options}
    _equal_dtypes(a, "weight", "grad_output")

    def check(a, got):
        arrays_of(a, "weight", "grad_output")
        p = _transposed_as_plain(rank, a, tuple(map(int, a.input_size)), a.weight.shape)
        want = np.empty(p.output_shape, p.dtype)
        reference.run(p, a.grad_output, a.weight, None, want)
        close(got, want, spread(a.weight, a.grad_output, want))

    return Call(f"grad.conv_transpose{rank}d_input", getattr(cyconv.grad, f"conv_transpose{rank}d_input"), a, check)


def conv_transpose_weight(dice, rank):
    (x, w, _), options, result = transposed(dice, rank)
    a = {"input": x, "weight_size": np.asarray(w).shape, "grad_output": array(dice, result, np.asarray(x).dtype.newbyteorder("=")), **options}
    _equal_dtypes(a, "input", "grad_output")

    def check(a, got):
        arrays_of(a, "input", "grad_output")
        p = _transposed_as_plain(rank, a, a.input.shape, tuple(map(int, a.weight_size)))
        close(got, reference.conv_weight_gradient(p, a.grad_output, a.input), spread(a.input, a.grad_output, got))

    return Call(f"grad.conv_transpose{rank}d_weight", getattr(cyconv.grad, f"conv_transpose{rank}d_weight"), a, check)


def _transposed_as_plain(rank, a, input_size, weight_size):
    """The convolution from the result of a transposed one to its input."""
    if prod(a.grad_output.shape) > LARGE or prod(input_size) * prod(weight_size) > LARGE:
        raise Unchecked
    image = np.broadcast_to(np.zeros((), a.grad_output.dtype), a.grad_output.shape)
    kernel = np.broadcast_to(np.zeros((), a.grad_output.dtype), weight_size)
    p = conv_problem(rank, image, kernel, None, a.stride, a.padding, a.dilation, a.groups, "zeros", "default", 2**28)
    first = 3 - rank
    out_size = (1,) * first + tuple(input_size[-rank:])  # output_padding may leave room for one more
    after = [(m - 1) * s + d * (k - 1) + 1 - n - b for m, s, d, k, n, b in zip(out_size, p.stride, p.dilation, p.kernel, p.size, p.pad_before)]
    stride = (1,) * first + per_axis(a.stride, rank)
    after = [(m - 1) * s + d * (k - 1) + 1 - n - b for m, s, d, k, n, b in zip(out_size, stride, p.dilation, p.kernel, p.size, p.pad_before)]
    return replace(p, stride=stride, out_size=out_size, pad_after=tuple(after))


def conv_bias(dice, rank, transposed=False):
    shape = [dice.choice([0, 1, 2, 3, 7]) for _ in range(dice.choice([rank + 1, rank + 2]))]
    name = f"conv{'_transpose' * transposed}{rank}d_bias"

    def check(a, got):
        arrays_of(a, "grad_output")
        g = a.grad_output
        wide = {"float16": "float64", "float32": "float64"}.get(g.dtype.name, g.dtype)
        axes = tuple(axis for axis in range(g.ndim) if axis != g.ndim - rank - 1)
        close(got, g.sum(axis=axes, dtype=wide).astype(g.dtype), spread(g, np.ones(1), got))

    return Call(f"grad.{name}", getattr(cyconv.grad, name), {"grad_output": array(dice, shape, dice.choice(NUMBERS))}, check)


# ---- unfold and fold -------------------------------------------------------------------------------------------------------


def _window_options(dice, rank):
    kernel, dilation, stride, padding = dice.ints(rank, 1, 3), dice.ints(rank, 1, 3), dice.ints(rank, 1, 3), dice.ints(rank, 0, 2)
    size = [dice.randint(max(1, d * (k - 1) + 1 - 2 * p), 9) for k, d, p in zip(kernel, dilation, padding)]
    options = {"kernel_size": dice.choice([tuple, list])(kernel), "dilation": dilation, "padding": padding, "stride": stride}
    if rank == 2 and len(set(kernel)) == 1 and dice.chance(0.3):
        options["kernel_size"] = kernel[0]
    return options, size


def _columns(p, image):
    """Each tap of each window, one by one."""
    if not image.size:
        return np.empty(p.columns_shape, image.dtype)
    padded = np.pad(image, [(0, 0)] * 2 + [(q, q) for q in p.padding])
    rows = []
    for tap in itertools.product(*map(range, p.kernel)):
        at = [slice(j * d, j * d + (m - 1) * s + 1, s) for j, d, m, s in zip(tap, p.dilation, p.counts, p.stride)]
        rows.append(padded[(..., *at)].reshape(*image.shape[:2], -1))
    return np.stack(rows, 2).reshape(p.columns_shape)


def _image(p, columns):
    wide = {"float16": "float64", "float32": "float64"}.get(p.dtype, p.dtype)
    columns = columns.reshape(p.batch, p.channels, prod(p.kernel), *p.counts)
    padded = np.zeros((p.batch, p.channels, *(n + 2 * q for n, q in zip(p.size, p.padding))), wide)
    for row, tap in enumerate(itertools.product(*map(range, p.kernel))):
        at = [slice(j * d, j * d + (m - 1) * s + 1, s) for j, d, m, s in zip(tap, p.dilation, p.counts, p.stride)]
        padded[(..., *at)] += columns[:, :, row]
    return padded[(..., *(slice(q, q + n) for n, q in zip(p.size, p.padding)))].astype(p.dtype).reshape(p.image_shape)


def _small(p):
    if prod(p.columns_shape) > LARGE or prod(p.image_shape) > LARGE:
        raise Unchecked
    return p


def unfold(dice, gradient=False):
    """`unfold`, or the gradient of `fold`, which is the same."""
    options, size = _window_options(dice, dice.randint(1, 3))
    batch = () if dice.chance(0.3) else (dice.choice([0, 1, 2]),)
    x = array(dice, (*batch, dice.randint(1, 3), *size), dice.choice(NUMBERS if gradient else (*NUMBERS, "bool")))
    name, array_name = ("fold_input", "grad_output") if gradient else ("unfold", "input")

    def check(a, got):
        arrays_of(a, array_name)
        x = getattr(a, array_name)
        p = _small(unfold_problem(x, a.kernel_size, a.dilation, a.padding, a.stride))
        same(got, np.ascontiguousarray(_columns(p, x.reshape(p.batch, p.channels, *p.size))))

    module = cyconv.grad if gradient else cyconv
    return Call(f"grad.{name}" if gradient else name, getattr(module, name), {array_name: x, **options}, check)


def fold(dice, gradient=False):
    """`fold`, or the gradient of `unfold`, which is the same."""
    options, size = _window_options(dice, dice.randint(1, 3))
    batch = () if dice.chance(0.3) else (dice.choice([0, 1, 2]),)
    dtype, channels = dice.choice(NUMBERS), dice.randint(1, 3)
    shape = (*batch, channels, *size)
    p = unfold_problem(np.broadcast_to(np.zeros((), dtype), shape), **options)
    name, array_name = ("unfold_input", "grad_output") if gradient else ("fold", "input")
    a = {array_name: array(dice, p.columns_shape, dtype), **options}
    a |= {"input_size": shape} if gradient else {"output_size": tuple(size)}

    def check(a, got):
        arrays_of(a, array_name)
        columns = getattr(a, array_name)
        size = a.input_size[-len(p.kernel) :] if gradient else a.output_size
        q = _small(fold_problem(columns, size, a.kernel_size, a.dilation, a.padding, a.stride))
        want = _image(q, columns)
        close(got, want, spread(columns, np.ones(1), want))

    module = cyconv.grad if gradient else cyconv
    return Call(f"grad.{name}" if gradient else name, getattr(module, name), a, check)


# ---- the table -------------------------------------------------------------------------------------------------------------


def _conv(dice, rank):
    return loose(dice, rank) if dice.chance(0.25) else conv(dice, rank)


TABLE = {"explain": explain, "plan_conv": plan_conv, "convolve_blockwise": convolve_blockwise, "unfold": unfold, "fold": fold}
TABLE["grad.fold_input"] = lambda dice: unfold(dice, gradient=True)
TABLE["grad.unfold_input"] = lambda dice: fold(dice, gradient=True)
for _rank in (1, 2, 3):
    for _name, _make in {
        f"conv{_rank}d": _conv,
        f"conv_transpose{_rank}d": conv_transpose,
        f"grad.conv{_rank}d_input": conv_input,
        f"grad.conv{_rank}d_weight": conv_weight,
        f"grad.conv{_rank}d_bias": conv_bias,
        f"grad.conv_transpose{_rank}d_input": conv_transpose_input,
        f"grad.conv_transpose{_rank}d_weight": conv_transpose_weight,
        f"grad.conv_transpose{_rank}d_bias": lambda dice, rank: conv_bias(dice, rank, transposed=True),
    }.items():
        TABLE[_name] = lambda dice, make=_make, rank=_rank: make(dice, rank)

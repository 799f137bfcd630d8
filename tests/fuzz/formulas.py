"""What the argument layer must make of its arguments, once more, by the obvious formulas: axis by axis, window by window.

Each function gets the arguments of one of cyconv's problems and its result, or None where they were refused, and raises AssertionError if
these do not fit each other. Numbers beyond LARGE may also be refused because nothing so large can exist.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
from fuzz.values import COMPLEX, FLOATS, INTEGERS

LARGE = 2**40
FEW = 200  # samples of an axis whose windows are compared one by one
CONV, MAX, LP = FLOATS + COMPLEX + INTEGERS, FLOATS + INTEGERS + ("bool",), FLOATS


class Refused(Exception):
    """The arguments make no sense."""


def need(condition):
    if not condition:
        raise Refused


# ---- arguments -------------------------------------------------------------------------------------------------------------


def is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def an_int(value, least):
    value = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    need(is_int(value) and value >= least)
    return int(value)


def ints(value, rank, least):
    """An int for all axes, or a sequence of one, or of one per axis."""
    if not isinstance(value, (tuple, list)):
        return (an_int(value, least),) * rank
    need(len(value) in (1, rank))
    need(all(is_int(each) and each >= least for each in value))
    return tuple(map(int, value)) * (rank if len(value) == 1 else 1)


def pairs(value, rank):
    """The same, where each may be (before, after)."""
    if not isinstance(value, (tuple, list)):
        return ((an_int(value, 0),) * 2,) * rank
    need(len(value) in (1, rank))
    found = []
    for each in value:
        pair = tuple(each) if isinstance(each, (tuple, list)) else (each, each)
        need(len(pair) == 2 and all(is_int(side) and side >= 0 for side in pair))
        found.append(tuple(map(int, pair)))
    return tuple(found) * (rank if len(found) == 1 else 1)


def a_bool(value):
    need(isinstance(value, (bool, np.bool_)))
    return bool(value)


def huge(*values):
    """Whether a number is there that may be refused for its size alone."""
    for value in values:
        if isinstance(value, (tuple, list)):
            if huge(*value):
                return True
        elif is_int(value) and abs(int(value)) >= LARGE:
            return True
    return False


def compared(problem, wanted, *values):
    """Whether what was made is worth a look: `wanted()` raises Refused if it should not have been made."""
    try:
        want = wanted()
    except Refused:
        assert problem is None, f"{problem} was made of arguments that make no sense"
        return None
    if problem is None:
        assert huge(*values, *want[0]) or math.prod(want[0]) >= LARGE, f"refused, though the result would have shape {want[0]}"
        return None
    return want


# ---- windows ---------------------------------------------------------------------------------------------------------------


def spatial(shape, rank, least=0):
    need(len(shape) in (rank + 1, rank + 2))
    need(all(n >= least for n in shape[-rank:]))
    return shape[:-rank], shape[-rank:]


def padding_of(padding, rank, size, kernel, stride, dilation, words):
    if not isinstance(padding, str):
        return pairs(padding, rank)
    need(padding in words)
    found = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        rest = d * (k - 1)
        if padding == "same":
            need(max(stride) == 1)
        if padding in ("valid", "full"):
            found.append((rest, rest) if padding == "full" else (0, 0))
            continue
        total = max((math.ceil(Fraction(n, s)) - 1) * s + rest + 1 - n, 0)  # so that ceil(n / s) windows fit
        found.append((total - total // 2, total // 2) if padding == "same_lower" else (total // 2, total - total // 2))
    return tuple(found)


def places(outputs, kernel, stride, dilation, before):
    return [[o * stride + j * dilation - before for j in range(kernel)] for o in range(outputs)]


def same_windows(problem, out, size, kernel, stride, dilation, before):
    """Whether the problem's windows read the same samples."""
    p, first = problem, 3 - problem.rank
    for axis, (m, n, k, s, d, b) in enumerate(zip(out, size, kernel, stride, dilation, before), first):
        assert (p.out_size[axis], p.size[axis], p.kernel[axis]) == (m, n, k)
        if m <= FEW and k <= FEW:
            assert places(m, k, p.stride[axis], p.dilation[axis], p.pad_before[axis]) == places(m, k, s, d, b)


# ---- convolution -----------------------------------------------------------------------------------------------------------


def conv(problem, rank, input, weight, bias, stride, padding, dilation, groups, mode, precision, workspace):
    def wanted():
        need(input.dtype.name in CONV and weight.dtype == input.dtype and (bias is None or bias.dtype == input.dtype))
        lead, size = spatial(input.shape, rank)
        need(weight.ndim == rank + 2 and 0 not in weight.shape[2:])
        s, d, g = ints(stride, rank, 1), ints(dilation, rank, 1), an_int(groups, 1)
        need(weight.shape[1] * g == lead[-1] and weight.shape[0] % g == 0)
        need(bias is None or bias.shape == weight.shape[:1])
        need(isinstance(mode, str) and mode in ("zeros", "reflect", "replicate", "circular"))
        need(isinstance(precision, str) and precision in ("default", "strict"))
        an_int(workspace, 0)
        kernel = weight.shape[2:]
        pads = padding_of(padding, rank, size, kernel, s, d, ("valid", "same", "same_upper", "same_lower", "full"))
        out = []
        for n, k, t, e, (b, a) in zip(size, kernel, s, d, pads):
            need(mode != "reflect" or max(b, a) <= max(n - 1, 0))
            need(mode != "circular" or max(b, a) <= n)
            need(mode != "replicate" or n or not max(b, a))
            need(e * (k - 1) + 1 <= n + b + a)
            out.append(math.floor(Fraction(n + b + a - (e * (k - 1) + 1), t)) + 1)
        return (*lead[:-1], weight.shape[0], *out), out, size, kernel, s, d, [b for b, _ in pads], [a for _, a in pads]

    if want := compared(problem, wanted, input.shape, stride, padding, dilation, groups, workspace):
        assert problem.output_shape == want[0] and problem.input_shape == input.shape and problem.weight_shape == weight.shape
        same_windows(problem, *want[1:-1])
        assert problem.pad_after == (0,) * (3 - rank) + tuple(want[-1])


def conv_transpose(problem, rank, input, weight, bias, stride, padding, output_padding, groups, dilation, precision, workspace):
    def wanted():
        need(input.dtype.name in CONV and weight.dtype == input.dtype and (bias is None or bias.dtype == input.dtype))
        lead, size = spatial(input.shape, rank, 1)
        need(weight.ndim == rank + 2 and 0 not in weight.shape[2:])
        s, d, g, extra = ints(stride, rank, 1), ints(dilation, rank, 1), an_int(groups, 1), ints(output_padding, rank, 0)
        need(not isinstance(padding, str))
        pads = pairs(padding, rank)
        need(weight.shape[0] == lead[-1] and lead[-1] % g == 0)
        need(bias is None or bias.shape == (weight.shape[1] * g,))
        need(isinstance(precision, str) and precision in ("default", "strict"))
        an_int(workspace, 0)
        need(all(e < max(t, u) for e, t, u in zip(extra, s, d)))
        out = [(n - 1) * t + u * (k - 1) + 1 + e - b - a for n, k, t, u, e, (b, a) in zip(size, weight.shape[2:], s, d, extra, pads)]
        need(min(out) >= 1)
        return (*lead[:-1], weight.shape[1] * g, *out), size, weight.shape[2:], s, d, [b for b, _ in pads]

    if want := compared(problem, wanted, input.shape, stride, padding, dilation, groups, workspace, output_padding):
        assert problem.output_shape == want[0]
        if rank == 1 and max(want[0][-1], want[1][0], want[2][0]) <= FEW:
            n, k, s, d, b = (each[0] for each in want[1:])
            once = {(i * s + j * d - b, i, j) for i in range(n) for j in range(k) if 0 <= i * s + j * d - b < want[0][-1]}
            found = [each for phase in problem.phases for each in _contributions(phase, want[0][-1], n, k)]
            assert len(found) == len(set(found)) and set(found) == once, "phases do not add up to a transposed convolution"


def _contributions(phase, length, n, k):
    """(output, sample, tap) of all products of one phase."""
    p, outputs, taps = phase.problem, range(length)[phase.out[0]], range(k)[phase.taps[0]]
    assert p.out_size[2] == len(outputs) and p.kernel[2] == len(taps)
    for (o, output), (j, tap) in product(enumerate(outputs), enumerate(taps)):
        sample = o * p.stride[2] + j * p.dilation[2] - p.pad_before[2]
        if 0 <= sample < n:
            yield output, sample, tap


# ---- pools -----------------------------------------------------------------------------------------------------------------


def pool(problem, rank, input, dtypes, kernel_size, stride, padding, dilation, ceil_mode, also=lambda: None):
    def wanted():
        need(input.dtype.name in dtypes)
        kernel = ints(kernel_size, rank, 1)
        s = kernel if stride is None else ints(stride, rank, 1)
        d, up = ints(dilation, rank, 1), a_bool(ceil_mode)
        also()
        lead, size = spatial(input.shape, rank, 1)
        pads = padding_of(padding, rank, size, kernel, s, d, ("valid", "same_upper", "same_lower"))
        out = []
        for n, k, t, e, (b, a) in zip(size, kernel, s, d, pads):
            need(isinstance(padding, str) or max(b, a) <= k // 2)
            rest = Fraction(b + n + a - (e * (k - 1) + 1), t)
            count = (math.ceil(rest) if up else math.floor(rest)) + 1
            if up and (count - 1) * t >= b + n:
                count -= 1
            need(count >= 1)
            if count <= FEW and k <= FEW:
                need(all(any(0 <= sample < n for sample in window) for window in places(count, k, t, e, b)))
            elif e > 1:
                raise Unknown
            out.append(count)
        return (*lead, *out), out, size, kernel, s, d, [b for b, _ in pads]

    try:
        want = compared(problem, wanted, input.shape, kernel_size, stride, padding, dilation)
    except Unknown:
        return
    if want:
        assert problem.output_shape == want[0] and problem.input_shape == input.shape
        same_windows(problem, *want[1:])


class Unknown(Exception):
    pass


def max_pool(problem, rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    pool(problem, rank, input, MAX, kernel_size, stride, padding, dilation, ceil_mode, lambda: a_bool(return_indices))


def avg_pool(problem, rank, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    def also():
        a_bool(count_include_pad)
        if divisor_override is not None:
            divisor = an_int(divisor_override, -(2**70))
            need(divisor and (divisor > 0 or input.dtype.kind != "u"))
            if abs(divisor) >= LARGE:
                raise Unknown

    pool(problem, rank, input, CONV, kernel_size, stride, padding, 1, ceil_mode, also)


def lp_pool(problem, rank, input, norm_type, kernel_size, stride, ceil_mode):
    def also():
        need(isinstance(norm_type, (int, float, np.integer, np.floating)) and not isinstance(norm_type, (bool, np.bool_)))
        need(norm_type == norm_type and norm_type != 0)
        if huge(norm_type):
            raise Unknown

    pool(problem, rank, input, LP, kernel_size, stride, 0, 1, ceil_mode, also)


def adaptive(problem, rank, input, kind, output_size, return_indices):
    def wanted():
        need(input.dtype.name in (MAX if kind == "max" else CONV))
        alone = output_size[()] if isinstance(output_size, np.ndarray) else output_size
        lengths = alone if isinstance(alone, (tuple, list)) else (alone,)
        need(len(lengths) in (1, rank))
        lengths = tuple(lengths) * (rank if len(lengths) == 1 else 1)
        need(all(each is None or is_int(each) and each >= 0 for each in lengths))
        a_bool(return_indices)
        lead, size = spatial(input.shape, rank, 1)
        return (*lead, *(n if each is None else int(each) for n, each in zip(size, lengths))), size

    if want := compared(problem, wanted, input.shape, output_size):
        assert problem.output_shape == want[0]
        for axis, (n, m) in enumerate(zip(want[1], want[0][-rank:]), 3 - rank):
            if m <= FEW and n <= FEW:
                windows = [range(math.floor(Fraction(o * n, m)), math.ceil(Fraction((o + 1) * n, m))) for o in range(m)]
                p = problem
                even = [range(o * p.stride[axis], o * p.stride[axis] + p.kernel[axis]) for o in range(m)]
                assert windows == even or p.adaptive[axis]
                assert max(map(len, windows), default=0) <= p.kernel[axis]


# ---- windows as columns ----------------------------------------------------------------------------------------------------


def unfold(problem, input, kernel_size, dilation, padding, stride):
    def wanted():
        need(input.dtype.name in CONV + ("bool",))
        rank = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else 2
        need(1 <= rank <= 3)
        kernel = ints(kernel_size, rank, 1)
        others = []
        for value, least in ((dilation, 1), (padding, 0), (stride, 1)):
            need(not isinstance(value, (tuple, list)) or len(value) == rank)
            others.append(ints(value, rank, least))
        lead, size = spatial(input.shape, rank, 1)
        need(lead[-1] >= 1)
        counts = [math.floor(Fraction(n + 2 * p - (d * (k - 1) + 1), s)) + 1 for n, k, d, p, s in zip(size, kernel, *others)]
        need(min(counts) >= 1)
        return (*lead[:-1], lead[-1] * math.prod(kernel), math.prod(counts)), tuple(counts), kernel, *others, size

    if want := compared(problem, wanted, input.shape, kernel_size, dilation, padding, stride):
        assert problem.columns_shape == want[0] and problem.counts == want[1]
        kernel, dilations, paddings, strides, size = want[2:]
        if math.prod(kernel) <= 30 and max(want[1]) <= FEW:
            seen = {tap: (windows, samples) for tap, windows, samples in (each for each in problem.taps() if each)}
            for tap in product(*map(range, kernel)):
                for axis, j in enumerate(tap):
                    read = {o: o * strides[axis] + j * dilations[axis] - paddings[axis] for o in range(want[1][axis])}
                    inside = {o: sample for o, sample in read.items() if 0 <= sample < size[axis]}
                    if tap in seen:
                        windows, samples = seen[tap][0][axis], seen[tap][1][axis]
                        assert dict(zip(range(want[1][axis])[windows], range(size[axis])[samples], strict=True)) == inside
                if tap not in seen:
                    assert any(not _meets(size[a], want[1][a], strides[a], j * dilations[a] - paddings[a]) for a, j in enumerate(tap))


def _meets(n, outputs, stride, offset):
    return any(0 <= o * stride + offset < n for o in range(outputs))

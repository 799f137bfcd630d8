"""Convolution cases that the test files share, and the comparison that a menu row's own error bound demands."""

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

import cyconv
from cyconv import menu, reference, select
from cyconv.problem import CONV_DTYPES, MAX_WORKSPACE, conv_problem

ROWS = {row.name: row for row in menu.CONV}
FAST = [name for name in ROWS if name != "reference"]
FLOATS = [d for d in CONV_DTYPES if np.dtype(d).kind in "fc"]
INTEGERS = [d for d in CONV_DTYPES if np.dtype(d).kind in "iu"]


@dataclass(frozen=True)
class Case:
    name: str
    input: tuple
    weight: tuple
    arguments: dict = field(default_factory=dict)
    bias: bool = True

    @property
    def rank(self):
        return len(self.weight) - 2

    def __str__(self):
        return self.name


CASES = [
    Case("lecture_shape", (117, 4, 10, 3), (5, 4, 2, 3)),
    Case("lecture_stride", (1, 3, 5), (1, 1, 3, 3), {"padding": (2, 1), "stride": 2}),
    Case("one_by_one", (2, 5, 6, 7), (7, 5, 1, 1)),
    Case("one_by_one_stride", (2, 5, 6, 7), (7, 5, 1, 1), {"stride": 2}),
    Case("one_by_one_groups", (2, 6, 5, 5), (9, 2, 1, 1), {"groups": 3}, bias=False),
    Case("three_by_three", (2, 3, 9, 11), (8, 3, 3, 3), {"padding": 1}),
    Case("wide_rows", (1, 2, 3, 301), (5, 2, 2, 4), {"padding": (1, 2)}),
    Case("many_rows", (1, 2, 150, 5), (3, 2, 3, 2)),
    Case("stem", (1, 3, 23, 22), (13, 3, 7, 7), {"stride": 2, "padding": 3}),
    Case("stride_above_kernel", (1, 2, 20, 21), (4, 2, 2, 3), {"stride": (5, 4)}),
    Case("atrous", (1, 4, 17, 15), (6, 4, 3, 3), {"dilation": (3, 2), "padding": 3}),
    Case("stride_and_dilation", (2, 2, 19, 18), (3, 2, 3, 4), {"stride": (2, 3), "dilation": (3, 2), "padding": 2}),
    Case("stride_divides_dilation", (1, 2, 25, 26), (3, 2, 3, 3), {"stride": 2, "dilation": 4, "padding": 4}),
    Case("depthwise", (2, 6, 9, 8), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    Case("depthwise_multiplier", (2, 3, 9, 8), (6, 1, 3, 3), {"groups": 3, "stride": 2}),
    Case("grouped", (1, 8, 7, 9), (12, 4, 3, 2), {"groups": 2}),
    Case("unbatched", (4, 8, 9), (5, 4, 3, 3)),
    Case("one_sided_padding", (1, 2, 8, 9), (3, 2, 3, 3), {"padding": ((2, 0), (0, 3))}),
    Case("same_even_kernel", (1, 2, 8, 9), (3, 2, 4, 2), {"padding": "same"}),
    Case("same_upper", (1, 2, 8, 9), (3, 2, 3, 2), {"padding": "same_upper", "stride": (3, 2)}),
    Case("same_lower", (1, 2, 8, 9), (3, 2, 3, 2), {"padding": "same_lower", "stride": (3, 2)}),
    Case("full", (1, 2, 4, 5), (3, 2, 3, 2), {"padding": "full", "dilation": 2}),
    Case("reflect", (1, 2, 8, 9), (3, 2, 5, 4), {"padding": ((3, 2), (1, 4)), "padding_mode": "reflect"}),
    Case("replicate", (1, 2, 6, 7), (3, 2, 5, 4), {"padding": ((9, 2), (1, 8)), "padding_mode": "replicate", "stride": 2}),
    Case("circular", (1, 2, 6, 7), (3, 2, 5, 4), {"padding": ((6, 2), (1, 7)), "padding_mode": "circular", "dilation": 2}),
    Case("kernel_fills_input", (2, 3, 7, 6), (4, 3, 7, 6)),
    Case("padding_beyond_kernel", (1, 2, 3, 4), (2, 2, 2, 2), {"padding": (5, 6)}),
    Case("one_channel_large_kernel", (1, 1, 30, 31), (1, 1, 11, 13), {"padding": (5, 6)}),
    Case("signal", (3, 1, 100), (1, 1, 17)),
    Case("signal_bank", (1, 2, 70), (9, 2, 5), {"stride": 3, "padding": 4}),
    Case("causal", (2, 4, 40), (4, 4, 2), {"dilation": 8, "padding": ((8, 0),)}),
    Case("long_kernel", (1, 1, 300), (2, 1, 129), {"padding": 64}),
    Case("signal_circular", (1, 2, 33), (4, 2, 8), {"padding": ((7, 0),), "padding_mode": "circular"}),
    Case("signal_unbatched_same", (2, 31), (3, 2, 4), {"padding": "same", "dilation": 3}),
    Case("volume", (2, 3, 5, 6, 7), (4, 3, 3, 2, 3), {"padding": (1, 0, 1)}),
    Case("volume_stride", (1, 2, 9, 8, 10), (3, 2, 3, 3, 3), {"stride": (2, 1, 3), "padding": 1, "dilation": (1, 2, 1)}),
    Case("volume_depthwise", (1, 4, 6, 5, 5), (4, 1, 2, 3, 3), {"groups": 4, "padding": ((1, 0), (1, 1), (0, 2))}),
    Case("volume_reflect", (1, 1, 6, 5, 7), (2, 1, 3, 3, 3), {"padding": 2, "padding_mode": "reflect"}),
    Case("volume_many_planes", (1, 1, 40, 4, 3), (2, 1, 2, 2, 2)),
    Case("empty_batch", (0, 3, 8, 8), (4, 3, 3, 3)),
    Case("no_input_channels", (2, 0, 5, 5), (3, 0, 2, 2)),
    Case("no_output_channels", (2, 3, 5, 5), (0, 3, 2, 2)),
    Case("no_samples_but_padding", (1, 2, 0, 4), (3, 2, 2, 2), {"padding": 2}),
]


def arrays(case, dtype, seed=0, small=True):
    """Input, weight and bias: small integers, on which sums are exact, or normal floats."""
    rng = np.random.default_rng(seed)

    def make(shape):
        kind = np.dtype(dtype).kind
        if small or kind in "iu":
            low = 0 if kind == "u" else -2
            values = rng.integers(low, 3, shape).astype(dtype)
            return values + (1j * rng.integers(-2, 3, shape)).astype(dtype) if kind == "c" else values
        values = rng.standard_normal(shape)
        return (values + 1j * rng.standard_normal(shape)).astype(dtype) if kind == "c" else values.astype(dtype)

    out_channels = case.weight[0]
    return make(case.input), make(case.weight), make((out_channels,)) if case.bias else None


def suited(name, w):
    """w, or for an algorithm that computes outer products only, one of its lines through the first tap, in few digits."""
    if not ROWS[name].weights or w.dtype.kind == "c":
        return w
    native = w.astype(w.dtype.newbyteorder("="))
    lines = np.round(4 * native.astype("float64")) / 4 if w.dtype.kind == "f" else native
    product = np.ones((*w.shape[:2], *(1,) * (w.ndim - 2)), lines.dtype)
    for axis in range(2, w.ndim):
        product = product * lines[(..., *(slice(None if a == axis else 1) for a in range(2, w.ndim)))]
    return product.astype(w.dtype)


def runs(name, problem, backend="cpu"):
    """Whether the algorithm takes the problem, given suited weights; where the GPU has none of this name, the CPU's does."""
    verdicts = {v.algorithm.name: v for device in ("cpu", backend) for v in select.verdicts(problem, device)}
    return verdicts[name].declined is None


def takes(name, x, w, backend="cpu", **options):
    return runs(name, problem_of(Case("", x.shape, w.shape, options), x.dtype, None), backend)


def conv(rank):
    return getattr(cyconv, f"conv{rank}d")


def problem_of(case, dtype, bias, **more):
    x, w = (np.broadcast_to(np.zeros((), dtype), shape) for shape in (case.input, case.weight))
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros", "precision": "default"}
    options |= {"max_workspace": MAX_WORKSPACE} | case.arguments | more
    return conv_problem(case.rank, x, w, bias, **options)


def exact(problem, x, w, bias):
    """The reference's result, in its wider dtype where the problem has one."""
    wide = reference._WIDER.get(problem.dtype, problem.dtype)
    out = np.empty(problem.output_shape, wide)
    wider = problem if wide == problem.dtype else replace(problem, dtype=wide)
    reference.run(wider, x.astype(wide), w.astype(wide), None if bias is None else bias.astype(wide), out)
    return out


def allowed_error(row, problem, x, w, bias):
    """The menu row's error bound for each output, as the menu defines it."""
    computed_in = {"float16": "float32", "complex64": "float32", "complex128": "float64"}.get(problem.dtype, problem.dtype)
    eps = float(np.finfo(computed_in).eps)
    real = replace(problem, dtype="float64")
    sizes = [np.abs(a).astype("float64") for a in (x, w)]
    added = None if bias is None else np.abs(bias).astype("float64")
    if row.scale == "terms":
        scale = exact(real, *sizes, added)
    else:
        batch = (problem.batch, problem.groups, 1, problem.in_channels)
        norms_x = np.sqrt((sizes[0].reshape(*batch, prod(problem.size)) ** 2).sum(-1))
        norms_x = norms_x * _repeats(problem)
        taps = (1, problem.groups, problem.out_channels, problem.in_channels, problem.taps)
        norms_w = np.sqrt((sizes[1].reshape(taps) ** 2).sum(-1))
        scale = (norms_x * norms_w).sum(-1).reshape(problem.batch, problem.groups * problem.out_channels)
        scale = scale if added is None else scale + added
        scale = scale.reshape(*problem.output_shape[: -problem.rank], *(1,) * problem.rank)
    return row.bound(problem) * eps * scale


def _repeats(problem):
    """How often padding can repeat a sample: the norm of the padded input is at most so many times the input's."""
    if problem.padding_mode == "zeros":
        return 1.0
    largest = [1 + max(b, 0) + max(a, 0) for b, a in zip(problem.pad_before, problem.pad_after)]
    return float(np.sqrt(np.prod(largest if problem.padding_mode == "replicate" else [3, 3, 3])))


def assert_within_bound(row, problem, x, w, bias, got):
    """Exact for integers; for floats |got - exact| <= the row's bound, plus rounding to a stored half."""
    want = exact(problem, x, w, bias)
    assert got.shape == want.shape
    assert got.dtype == problem.dtype
    if np.dtype(problem.dtype).kind in "iu":
        np.testing.assert_array_equal(got, want)
        return
    error = np.abs(got.astype(want.dtype) - want)
    allowed = np.broadcast_to(allowed_error(row, problem, x, w, bias), error.shape)
    if problem.dtype == "float16":
        allowed = allowed + 0.5 * np.spacing(np.abs(got)).astype("float64")
    worst = error - allowed
    assert (worst <= 0).all(), f"{row.name}: error {error.max()} above its bound {allowed.flat[worst.argmax()]} for {problem}"

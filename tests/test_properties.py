"""Property tests: any shapes, arguments and memory layouts give the reference's result."""

import numpy as np
import pytest
from cases import assert_within_bound, suited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cyconv
from cyconv import select
from cyconv.problem import CONV_DTYPES, MAX_WORKSPACE, PADDING_MODES, conv_problem

pytestmark = pytest.mark.backends

UNCHECKED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]  # `backend` is the same for all examples
SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=UNCHECKED, derandomize=True)


@st.composite
def layouts(draw, shape, dtype):
    """An array of small integers whose axes lie in memory in any order, step and direction, perhaps unaligned or swapped."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -2, 0])) for _ in shape]
    padded = [max(n * max(abs(s), 1), 1) for n, s in zip(shape, steps)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low = 0 if np.dtype(dtype).kind == "u" else -2
    big = rng.integers(low, 3, [padded[i] for i in order]).astype(dtype)
    if np.dtype(dtype).kind == "c":
        big += (1j * rng.integers(-2, 3, big.shape)).astype(dtype)
    if draw(st.booleans()):
        raw = np.zeros(big.nbytes + 1, np.uint8)
        unaligned = raw[1:].view(dtype).reshape(big.shape)
        unaligned[...] = big
        big = unaligned
    view = big.transpose(np.argsort(order))
    view = view[tuple(slice(None, None, s) if s else slice(0, 1) for s in steps)][tuple(slice(0, n) for n in shape)]
    view = np.broadcast_to(view, shape)
    if draw(st.integers(0, 9)) == 0:
        view = view.astype(view.dtype.newbyteorder())
    view.flags.writeable = False
    return view


@st.composite
def convolutions(draw):
    rank = draw(st.integers(1, 3))
    most = {1: 40, 2: 14, 3: 7}[rank]
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, outputs = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 8))
    kernel = [draw(st.integers(1, {1: 9, 2: 5, 3: 3}[rank])) for _ in range(rank)]
    size = [draw(st.integers(1, most)) for _ in range(rank)]
    dtype = draw(st.sampled_from(CONV_DTYPES))
    options = {
        "stride": draw(st.one_of(st.integers(1, 4), st.tuples(*[st.integers(1, 4)] * rank))),
        "dilation": draw(st.one_of(st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * rank))),
        "padding": draw(
            st.one_of(
                st.integers(0, 5),
                st.tuples(*[st.tuples(st.integers(0, 5), st.integers(0, 5))] * rank),
                st.sampled_from(["valid", "full", "same", "same_upper", "same_lower"]),
            )
        ),
        "groups": groups,
        "padding_mode": draw(st.sampled_from(PADDING_MODES)),
    }
    batch = () if draw(st.booleans()) else (draw(st.integers(0, 3)),)
    x = draw(layouts((*batch, channels, *size), dtype))
    w = draw(layouts((outputs, channels // groups, *kernel), dtype))
    b = draw(st.one_of(st.none(), layouts((outputs,), dtype)))
    return rank, x, w, b, options


@SETTINGS
@given(call=convolutions(), count=st.integers(1, 4))
def test_any_convolution(call, count, backend):
    rank, x, w, b, options = call
    function = getattr(cyconv, f"conv{rank}d")
    try:
        native = [None if a is None else a.astype(a.dtype.newbyteorder("=")) for a in (x, w, b)]
        problem = conv_problem(rank, *native, precision="default", max_workspace=MAX_WORKSPACE, **options)
    except ValueError as error:
        for name in ("auto", "direct"):  # the same sentence, whatever the algorithm
            try:
                function(x, w, b, algorithm=name, **options)
            except ValueError as again:
                assert str(again) == str(error)
            else:
                raise AssertionError("rejected by conv_problem alone") from None
        return
    with cyconv.threads(count):
        for verdict in select.verdicts(problem, backend):
            if verdict.declined is None:
                row = verdict.algorithm
                weight, plain = (suited(row.name, each) if row.weights else each for each in (w, native[1]))
                got = function(x, weight, b, algorithm=row.name, **options)
                assert_within_bound(row, problem, native[0], plain, native[2], got)
                if row.scale == "terms" and row.name != "reference":
                    np.testing.assert_array_equal(got, function(x, weight, b, algorithm="reference", **options))


@SETTINGS
@given(st.data())
def test_any_transposed_convolution(data):
    from cyconv import reference

    rank = data.draw(st.integers(1, 3))
    ints = lambda low, high: data.draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    groups = data.draw(st.integers(1, 2))
    stride, dilation, padding, extra, kernel = ints(1, 4), ints(1, 4), ints(0, 3), ints(0, 3), ints(1, 4)
    x = data.draw(layouts((2, 2 * groups, *ints(1, 5)), "float32"))
    w = data.draw(layouts((2 * groups, data.draw(st.integers(1, 3)), *kernel), "float32"))
    function = getattr(cyconv, f"conv_transpose{rank}d")
    lengths = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, kernel, extra)]
    legal = min(lengths) > 0 and all(e < max(s, d) for e, s, d in zip(extra, stride, dilation))
    try:
        got = function(x, w, None, stride, padding, extra, groups, dilation)
    except ValueError:
        assert not legal
        return
    assert legal
    native = x.astype("float32"), w.astype("float32")
    want = reference.conv_transpose(*native, None, stride, padding, extra, groups, dilation)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=1e-3)

"""Every public function takes CuPy arrays, returns CuPy arrays with the CPU's numbers, and refuses arrays of both devices."""

import inspect
import re

import numpy as np
import pytest

import cyconv

RNG = np.random.default_rng(0)
SIZES = {1: (8,), 2: (6, 8), 3: (4, 6, 8)}


def whole(*shape):
    return RNG.integers(-3, 4, shape).astype(np.float32)


def arguments_of(module, name):
    """Arguments for a call of the function."""
    rank = int(match[1]) if (match := re.search(r"(\d)d", name)) else 2
    size = SIZES[rank]
    x, half = whole(2, 4, *size), tuple(n // 2 for n in size)
    kernel = (3,) * rank
    if module is cyconv.functional:
        kind = re.sub(r"\dd$", "", name)
        if kind == "max_unpool":
            values, indices = getattr(cyconv, f"max_pool{rank}d")(x, 2, return_indices=True)
            return (values, indices, 2)
        known = {
            "conv": (x, whole(6, 4, *kernel), whole(6)),
            "conv_transpose": (x, whole(4, 3, *kernel), whole(3)),
            "lp_pool": (np.abs(x), 2, 2),
            "adaptive_max_pool": (x, 3), "adaptive_avg_pool": (x, 3),
            "unfold": (x, 2), "fold": (whole(2, 16, 35), (6, 8), 2),
            "relu": (x,), "softmax": (x,), "log_softmax": (x,), "dropout": (x, 0.5, False),
            "linear": (whole(5, 4), whole(3, 4), whole(3)),
            "cross_entropy": (whole(5, 3), np.array([0, 2, 1, 1, 0])),
            "batch_norm": (x, np.zeros(4, np.float32), np.ones(4, np.float32), whole(4), whole(4)),
            "explain": (x, whole(6, 4, *kernel)), "plan_conv": (x.shape, whole(6, 4, *kernel), whole(6)),
        }  # fmt: skip
        if kind.endswith("_filter"):
            return (x, 3)
        return known.get(kind, (x, 2))  # the other pools
    kind = re.sub(r"\dd_", "_", name)
    w, y = whole(6, 4, *kernel), whole(2, 6, *(n - 2 for n in size))
    pooled = whole(2, 4, *half)
    up = whole(2, 3, *(n + 2 for n in size))
    _, indices = getattr(cyconv, f"max_pool{rank}d")(x, 2, return_indices=True)
    return {
        "conv_input": (x.shape, w, y), "conv_weight": (x, w.shape, y), "conv_bias": (y,),
        "conv_transpose_input": (x.shape, whole(4, 3, *kernel), up), "conv_transpose_weight": (x, (4, 3, *kernel), up), "conv_transpose_bias": (up,),
        "max_pool_input": (x.shape, indices, pooled), "avg_pool_input": (x.shape, pooled, 2),
        "adaptive_avg_pool_input": (x.shape, pooled), "lp_pool_input": (np.abs(x), pooled, 2, 2),
        "max_unpool_input": (x, indices), "unfold_input": (x.shape, whole(2, 16, 35), 2), "fold_input": (x, 2),
    }[kind]  # fmt: skip


CPU_ALONE = {"convolve_blockwise"}  # from array to array on disk
CALLS = [
    (module, name)
    for module in (cyconv.functional, cyconv.grad)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name)) and name not in CPU_ALONE
]


@pytest.mark.parametrize(("module", "name"), CALLS, ids=[f"{module.__name__}.{name}" for module, name in CALLS])
def test_every_function(module, name, cupy):
    function, arguments = getattr(module, name), arguments_of(module, name)
    want = function(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    moved = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    got = function(*moved)
    if name == "plan_conv":
        x = whole(*arguments[0])
        got, want = got(cupy.asarray(x)), want(x)
    if name != "explain":
        pairs = list(zip(got, want)) if isinstance(want, tuple) else [(got, want)]
        for one, other in pairs:
            assert isinstance(one, cupy.ndarray) and one.shape == np.shape(other)
            assert isinstance(other, float) or one.dtype == other.dtype
            np.testing.assert_allclose(one.get(), other, 1e-5, 1e-5)
    for i, each in enumerate(arguments):
        if isinstance(each, np.ndarray) and sum(isinstance(a, np.ndarray) for a in arguments) > 1:
            with pytest.raises(TypeError, match=r"(\w+) is a CuPy array \(on the GPU\), (\w+) a NumPy array \(on the CPU\)"):
                function(*moved[:i], each, *moved[i + 1 :])
    if "out" in inspect.signature(function).parameters:
        with pytest.raises(TypeError, match=r"is a CuPy array \(on the GPU\), out a NumPy array|out must be"):
            function(*moved, out=np.zeros(np.shape(want[0] if isinstance(want, tuple) else want), np.float32))


@pytest.mark.parametrize(("module", "name"), CALLS, ids=[f"{module.__name__}.{name}" for module, name in CALLS])
def test_bfloat16_on_the_cpu(module, name):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    arguments = [a.astype(bfloat16) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a for a in arguments_of(module, name)]
    text = "is not supported here" if name.endswith("_filter") else "must be an ndarray of a floating" if name == "batch_norm" else "computed on the GPU only"
    with pytest.raises(TypeError, match=text):
        getattr(module, name)(*arguments)


def test_what_is_for_numpy_arrays_alone(cupy):
    x, w = whole(2, 3, 8), whole(4, 3, 3)
    plan = cyconv.plan_conv(x.shape, w)
    for options in ({"input": cupy.asarray(x)}, {"input": x, "out": cupy.asarray(plan(x))}):
        with pytest.raises(TypeError, match="input must be a NumPy array, as the plan's weight is|out is a CuPy array .* input a NumPy array"):
            plan(**options)
    with pytest.raises(TypeError, match="input must be an array of NumPy, a memmap"):
        cyconv.convolve_blockwise(cupy.asarray(x), w, np.empty((2, 4, 6), np.float32))
    for name in set(cyconv.signal.__all__) - {"choose_conv_method", "correlation_lags"}:
        with pytest.raises(TypeError, match="(in2|template) is a CuPy array, and this works on NumPy arrays alone"):
            getattr(cyconv.signal, name)(whole(8, 8), cupy.asarray(whole(3, 3)))


def test_explain_states_bounds_of_bfloat16(cupy):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    text = str(cyconv.explain(cupy.asarray(whole(2, 3, 8).astype(bfloat16)), cupy.asarray(whole(4, 3, 3).astype(bfloat16))))
    assert "eps" in text and "exact" not in text

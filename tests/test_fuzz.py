"""A short slice of the fuzzers in tests/fuzz, that they notice what they are for, and what they found."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzz import arguments, calls, functions
from fuzz.table import TABLE, public
from fuzz.values import Dice, Own

import cyconv
from cyconv import pool_problem, select, signal

FUZZERS = Path(__file__).with_name("fuzz")


# ---- the fuzzers -----------------------------------------------------------------------------------------------------------


def test_every_public_function_is_fuzzed():
    assert set(TABLE) == public()


def test_some_calls_of_all_functions():
    """Each in a process of its own, whose memory is limited; always the same calls."""
    done = subprocess.run([sys.executable, FUZZERS / "functions.py", "--calls", "1000", "--each"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, total, failures = done.stdout.splitlines()
    assert total.startswith("1000 calls of ") and failures == "0 failures"
    counts = {what: int(count) for count, what in (part.split(" ", 1) for part in total.split(": ")[1].split(", "))}
    assert counts["compared"] > 400 and counts["TypeError"] > 150 and counts["ValueError"] > 50


def test_the_same_number_is_the_same_call():
    for number in range(30):
        first, second = (str(functions.make_case(number, sorted(TABLE))[1]) for _ in range(2))
        assert first.split(" at 0x")[0] == second.split(" at 0x")[0]


def test_some_problems_of_the_argument_layer():
    arguments.load()
    dice = Dice(1)
    before = arguments.found["compared"]
    for _ in range(3000):
        arguments.target(dice.randbytes(arguments.LENGTH))
    assert arguments.found["compared"] - before > 1000


def test_a_wrong_formula_is_noticed(monkeypatch):
    right = pool_problem.count_windows
    monkeypatch.setattr(pool_problem, "count_windows", lambda *values: right(*values) + 1)
    pool_problem._pool_problem.cache_clear()
    arguments.load()
    dice = Dice(2)
    with pytest.raises(AssertionError):
        for _ in range(20000):
            arguments.target(dice.randbytes(arguments.LENGTH))
    pool_problem._pool_problem.cache_clear()


def raising(error):
    def function(x):
        raise error

    return function


def writing(x):
    x[...] = 7
    return x


def warning(x):
    warnings.warn("so large", RuntimeWarning, stacklevel=1)
    return x


def with_out(x, out=None):
    return x + 1  # and takes no notice of out


FAULTS = [  # (what it says, the function, whether the call was right)
    ("AttributeError", raising(AttributeError("shape")), False),
    ("IndexError", raising(IndexError("4")), False),
    ("RecursionError", raising(RecursionError("deep")), False),
    ("without a word", raising(ValueError()), False),
    ("refused what is right", raising(ValueError("x must be ...")), True),
    ("x was written to", writing, False),
    ("RuntimeWarning", warning, False),
    ("wrong", lambda x: x + 2, True),
    ("wrong", lambda x: (x + 1).astype("float32"), True),
    ("wrong", lambda x: (x + 1)[None], True),
    ("out", with_out, True),
]


@pytest.mark.parametrize("what, function, right", FAULTS, ids=[f"{i}_{each[0]}" for i, each in enumerate(FAULTS)])
def test_faults_are_noticed(what, function, right):
    with pytest.raises(calls.Failure, match=what), warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(60):
            call = calls.Call("function", function, {"x": np.arange(3.0)}, lambda a, got: calls.same(got, np.arange(3.0) + 1), right)
            calls.judge(Dice(number), call)


def test_what_is_allowed_is_no_fault():
    for error, outcome in ((ValueError("x"), "ValueError"), (TypeError("x"), "TypeError"), (MemoryError(), "MemoryError"), (Own(), "Own")):
        assert calls.judge(Dice(0), calls.Call("function", raising(error), {"x": 1}, None, False)) == outcome


CRASHES = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from fuzz import calls, functions, table
functions.HANGS = 0.5
table.TABLE.clear()
table.TABLE["crash"] = lambda dice: calls.Call("crash", {"abort": lambda **k: os.abort(), "sleep": lambda **k: time.sleep(9), "fine": lambda **k: 1}[what(dice.number)], {}, None)
what = lambda number: {5: "abort", 8: "sleep"}.get(number % 10**12, "fine")
outcomes, failures = functions.fuzz(20, 1, 1, ["crash"], calls=12)
print(sorted((number, "took" in text) for _, number, text in failures), outcomes["crash", "returned"] > 0)
"""


def test_crashes_and_hangs_are_told_by_their_number():
    done = subprocess.run([sys.executable, "-c", CRASHES, str(Path(__file__).parent)], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[(1000000000005, False), (1000000000008, True)] True", done.stdout + done.stderr


# ---- what they found -------------------------------------------------------------------------------------------------------


def test_softmax_of_numbers_far_apart_warns_of_nothing():
    for dtype in ("float16", "float32", "float64"):
        largest = np.finfo(dtype).max
        x = np.array([largest, -largest], dtype)
        assert cyconv.softmax(x).tolist() == [1, 0]
        assert cyconv.log_softmax(x).tolist() == [0, -np.inf]
    assert cyconv.log_softmax(np.zeros((2, 0))).shape == (2, 0)


def test_the_reference_warns_of_nothing():
    x = np.array([[[np.inf, -np.inf, 3e38, 3e38]]], np.float32)
    assert np.isnan(cyconv.avg_pool1d(x, 2, algorithm="reference")[0, 0, 0])
    assert np.isnan(cyconv.conv1d(x, np.ones((1, 1, 2), np.float32), algorithm="reference")[0, 0, 0])
    assert np.isinf(cyconv.conv1d(x, np.full((1, 1, 1), 10, np.float32), algorithm="reference")).all()


def test_dropout_of_infinity_and_of_one_number():
    x = np.full(100, np.inf, np.float32)
    assert set(np.unique(cyconv.dropout(x, 0.5, seed=0)).astype(str)) == {"inf", "nan"}
    single = cyconv.dropout(np.array(3.0), 0.0)
    assert type(single) is np.ndarray and single.tolist() == 3
    with pytest.raises(ValueError, match="p must be a number that a float can hold"):
        cyconv.dropout(x, 10**400)


def test_batch_norm_reads_what_it_moves_first():
    x, shared = np.random.default_rng(0).standard_normal((5, 3)), np.array([1.0, 2.0, 3.0])
    wanted = cyconv.batch_norm(x, shared.copy(), np.ones(3), shared.copy(), training=True)
    np.testing.assert_array_equal(cyconv.batch_norm(x, shared, np.ones(3), shared, training=True), wanted)


def test_batch_norm_of_variances_that_are_none():
    got = cyconv.batch_norm(np.ones((2, 2)), np.zeros(2), np.array([-1.0, 4.0]), eps=0)
    assert np.isnan(got[:, 0]).all() and got[:, 1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("batch", [0, 2])
def test_convolutions_without_output_channels(groups, batch):
    for dtype, kernel in (("float32", (3, 3)), ("float64", (1, 1)), ("complex64", (1, 3))):
        x, w = np.zeros((batch, 2 * groups, 7, 9), dtype), np.zeros((0, 2, *kernel), dtype)
        shape = cyconv.conv2d(x, w, groups=groups).shape
        assert cyconv.explain(x, w, groups=groups).problem.output_shape == shape == (batch, 0, 8 - kernel[0], 10 - kernel[1])
        assert cyconv.plan_conv(x.shape, w, groups=groups)(x).shape == shape
        assert cyconv.convolve_blockwise(x, w, np.zeros(shape, dtype), groups=groups).shape == shape


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_of_chunks_without_output_channels(groups):
    dask = pytest.importorskip("dask.array")
    x = dask.zeros((2, 2 * groups, 9), chunks=(1, 2, 4))
    assert cyconv.conv1d(x, np.zeros((0, 2, 3)), groups=groups).compute().shape == (2, 0, 7)
    assert cyconv.conv_transpose1d(x, np.zeros((2 * groups, 0, 3)), groups=groups).compute().shape == (2, 0, 11)


def test_many_small_windows_are_not_pooled_by_the_reference():
    """It takes a few microseconds for each of them: minutes for what `pool` does in a second."""
    for rank, lengths in ((1, 10**6), (2, 1000), (3, 100)):
        x = np.broadcast_to(np.float32(1), (1, 3, *(5,) * rank))
        problem = pool_problem.adaptive_pool_problem(rank, x, "max", lengths, True)
        assert select.choose_pool(problem).name == "pool"


def test_signal_refuses_what_scipy_stumbles_over():
    for name in ("convolve", "correlate"):
        with pytest.raises(ValueError, match="elements"):
            getattr(signal, name)(np.ones(3), [], method="fft")
    for wrong in (10**400, np.random.default_rng(0), "0", None):
        with pytest.raises(ValueError, match="fillvalue"):
            signal.convolve2d(np.ones((2, 2)), np.ones((2, 2)), fillvalue=wrong)
    assert np.isinf(signal.convolve2d(np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), fillvalue=1e300)[0, 0])
    assert signal.correlation_lags(np.uint8(2), np.uint64(3), "same").tolist() == [-1, 0]
    for wrong in (-1, 1.5, 1j, "3", 2**64):
        with pytest.raises((ValueError, TypeError), match="in2_len"):
            signal.correlation_lags(3, wrong)


def test_plans_of_numbers_that_the_dtype_cannot_hold():
    with pytest.raises(ValueError, match="weight holds what uint32 cannot hold"):
        cyconv.plan_conv((1, 1, 9), np.array([[[10**30]]], object), dtype="uint32")
    with pytest.raises(ValueError, match="bias holds what int8 cannot hold"):
        cyconv.plan_conv((1, 1, 9), np.ones((1, 1, 3), np.int8), np.array([np.nan]), dtype="int8")
    with pytest.raises(TypeError, match="weight is complex"):
        cyconv.plan_conv((1, 1, 9), np.ones((1, 1, 3), complex), dtype="float32")

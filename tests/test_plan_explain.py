"""Plans, explain, and the choice itself."""

import math

import numpy as np
import pytest
from cases import CASES, ROWS, arrays, conv, problem_of, suited

import cyconv
from cyconv import costs, menu, select

rng = np.random.default_rng(21)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_plan_gives_the_bits_of_the_plain_call_by_its_algorithm(case):
    for dtype in ("float32", "int16", "complex64"):
        x, w, bias = arrays(case, dtype, small=False)
        plan = cyconv.plan_conv(x.shape, w, bias, **case.arguments)
        want = conv(case.rank)(x, w, bias, algorithm=plan.algorithm, **case.arguments)
        assert plan.output_shape == want.shape
        assert plan.algorithm in ROWS
        out = np.empty_like(want)
        for _ in range(2):
            np.testing.assert_array_equal(plan(x), want)
            assert plan(x, out) is out
            np.testing.assert_array_equal(out, want)


def test_plan_keeps_its_own_weights():
    x = rng.standard_normal((1, 4, 9, 9))
    for name in ("auto", *ROWS):
        groups = 4 if name == "channel_lanes" else 1
        weight, bias = rng.standard_normal((4, 4 // groups, 3, 3)), rng.standard_normal(4)
        weight = weight if name == "auto" else suited(name, weight)
        plan = cyconv.plan_conv(x.shape, weight, bias, groups=groups, algorithm=name)
        want = plan(x)
        weight[...], bias[...] = np.nan, np.nan
        np.testing.assert_array_equal(plan(x), want)


def test_plan_with_weights_that_fft_would_spread():
    w = np.full((1, 1, 1501), 1e30, np.float32)
    w[..., 7] = np.inf
    plan = cyconv.plan_conv((1, 1, 20000), w)
    verdict = next(v for v in cyconv.explain(np.zeros((1, 1, 20000), np.float32), w).verdicts if v.algorithm.name == plan.algorithm)
    assert plan.algorithm != "fft" and plan.workspace_bytes == verdict.workspace


def test_plan_dtype_converts_the_weights():
    plan = cyconv.plan_conv((1, 1, 4), [[[1, -1]]], dtype=np.float32)
    assert plan(np.ones((1, 1, 4), np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    "error, words, call",
    [
        (ValueError, "shape", lambda plan: plan(np.zeros((1, 1, 6)))),
        (TypeError, "dtype", lambda plan: plan(np.zeros((1, 1, 5), np.float32))),
        (ValueError, "out", lambda plan: plan(np.zeros((1, 1, 5)), np.zeros((1, 1, 5)))),
        (TypeError, "input_shape", lambda plan: cyconv.plan_conv(5, np.zeros((1, 1, 3)))),
        (TypeError, "input_shape", lambda plan: cyconv.plan_conv((1, 1, 5.0), np.zeros((1, 1, 3)))),
        (ValueError, "input_shape", lambda plan: cyconv.plan_conv((1, 1, -5), np.zeros((1, 1, 3)))),
        (ValueError, "weight", lambda plan: cyconv.plan_conv((1, 1, 5), np.zeros((1, 3)))),
        (TypeError, "dtype", lambda plan: cyconv.plan_conv((1, 1, 5), np.zeros((1, 1, 3)), dtype="bool")),
        (TypeError, "float33", lambda plan: cyconv.plan_conv((1, 1, 5), np.zeros((1, 1, 3)), dtype="float33")),
    ],
)
def test_plan_rejects(error, words, call):
    plan = cyconv.plan_conv((1, 1, 5), np.ones((1, 1, 3)))
    with pytest.raises(error, match=words):
        call(plan)


def test_explain_lists_every_row_with_a_reason_or_a_prediction():
    for case in CASES:
        x, w, bias = arrays(case, "float32")
        why = cyconv.explain(x, w, bias, **case.arguments)
        assert [v.algorithm.name for v in why.verdicts] == list(ROWS)
        for verdict in why.verdicts:
            assert (verdict.declined is None) == math.isfinite(verdict.seconds)
            assert verdict.declined is None or len(verdict.declined) > 5
        text = str(why)
        assert all(name in text for name in ROWS) and text.count("chosen") == 1
        assert why.chosen == select.choose(problem_of(case, "float32", bias), weight=w).name


def test_a_forced_algorithm_is_used_or_refused():
    x, w = np.zeros((1, 1, 9)), np.zeros((1, 1, 3))
    for name in ROWS:
        assert cyconv.plan_conv(x.shape, w, algorithm=name).algorithm == name
        assert cyconv.explain(x, w, algorithm=name).chosen == name
    with pytest.raises(ValueError, match="im2col.*BLAS has no int32"):
        cyconv.conv1d(x.astype("int32"), w.astype("int32"), algorithm="im2col")


def test_a_plan_is_chosen_for_calls_whose_weights_are_prepared():
    plan = cyconv.plan_conv((1, 256, 10, 10), np.zeros((256, 256, 3, 3), np.float32), padding=1)
    usable = [v for v in select.verdicts(plan.problem) if v.declined is None and not v.algorithm.weights]
    seconds = {v.algorithm.name: costs.planned_seconds(v.algorithm, plan.problem) for v in usable}
    assert plan.algorithm == min(seconds, key=seconds.get)
    assert seconds["winograd"] < 0.9 * next(v.seconds for v in usable if v.algorithm.name == "winograd")
    assert all(seconds[v.algorithm.name] <= 1.001 * v.seconds for v in usable if v.algorithm.name != "implicit_gemm")


def test_the_menu_is_complete():
    assert [row.name for row in menu.CONV][-1] == "reference"
    for row in menu.CONV:
        assert row.device in ("cpu", "gpu") and row.scale in ("terms", "norms") and row.formula
        for function in ("why_not", "cost", "run"):
            assert callable(getattr(row.module, function))


def test_costs_are_finite_and_grow_with_the_problem():
    small, large = (
        problem_of(case, "float32", None)
        for case in (CASES[5], type(CASES[5])("big", (8, 64, 64, 64), (64, 64, 3, 3), {"padding": 1}))
    )
    for row in menu.CONV:
        (a, _), (b, _) = row.module.cost(small), row.module.cost(large)
        assert 0 < a < b < 1e4

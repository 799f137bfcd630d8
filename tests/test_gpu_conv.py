"""Every algorithm of the GPU runs every case that it accepts, in every dtype, against the reference."""

import numpy as np
import pytest
from cases import CASES, FLOATS, INTEGERS, Case, arrays, assert_within_bound, conv, problem_of

import cyconv
from cyconv import menu, select
from cyconv.gpu import direct, implicit_gemm


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_every_algorithm_on_small_integers(case, dtype, cupy):
    x, w, bias = arrays(case, dtype)
    want = conv(case.rank)(x, w, bias, algorithm="reference", **case.arguments)
    problem = problem_of(case, dtype, bias)
    on_gpu = [None if a is None else cupy.asarray(a) for a in (x, w, bias)]
    for verdict in select.verdicts(problem, "gpu"):
        row = verdict.algorithm
        if verdict.declined:
            with pytest.raises(ValueError, match=f"algorithm='{row.name}' cannot compute"):
                conv(case.rank)(*on_gpu, algorithm=row.name, **case.arguments)
            continue
        got = conv(case.rank)(*on_gpu, algorithm=row.name, **case.arguments)
        assert isinstance(got, cupy.ndarray)
        if row.scale == "terms":
            np.testing.assert_array_equal(got.get(), want, err_msg=row.name)
        assert_within_bound(row, problem, x, w, bias, got.get())


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_algorithm_holds_its_error_bound(case, dtype, cupy):
    x, w, bias = arrays(case, dtype, small=False)
    problem = problem_of(case, dtype, bias)
    on_gpu = [None if a is None else cupy.asarray(a) for a in (x, w, bias)]
    for row in menu.GPU_CONV:
        if row.module.why_not(problem) is None:
            got = conv(case.rank)(*on_gpu, algorithm=row.name, **case.arguments)
            assert_within_bound(row, problem, x, w, bias, got.get())


def test_threads_that_go_on(cupy, monkeypatch):
    """Of so many results that they are more than threads."""
    for module in (direct, implicit_gemm):
        monkeypatch.setattr(module, "blocks", lambda work, threads: 2)
    case = Case("", (1, 256, 9, 9), (64, 256, 3, 3), {"padding": 1})
    x, w, bias = arrays(case, "float32")
    problem = problem_of(case, "float32", bias)
    assert implicit_gemm.cut(problem).slices > 1 and problem.outputs > 2 * 256 * 4
    want = cyconv.conv2d(x, w, bias, padding=1, algorithm="direct")
    for name in ("direct", "implicit_gemm"):
        np.testing.assert_array_equal(cyconv.conv2d(*map(cupy.asarray, (x, w, bias)), padding=1, algorithm=name).get(), want)

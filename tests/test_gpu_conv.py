"""Every algorithm of the GPU runs every case that it accepts, in every dtype, against the reference."""

import numpy as np
import pytest
from cases import CASES, FLOATS, INTEGERS, arrays, assert_within_bound, conv, problem_of

from cyconv import menu, select


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

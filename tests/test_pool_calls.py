"""What calls of pools remember, and how it is found again."""

import tracemalloc

import numpy as np
import pytest

import cyconv

pytestmark = pytest.mark.backends


def test_what_is_remembered_is_found_by_the_same_types_alone():
    """1 == True == 1.0, but these arguments mean different things, or nothing."""
    assert cyconv.max_pool1d(np.ones((1, 4)), 2, 1).shape == (1, 3)
    for wrong in ({"stride": True}, {"stride": 1.0}, {"ceil_mode": 0}, {"return_indices": 0}, {"dilation": True}):
        with pytest.raises(TypeError, match=f"{next(iter(wrong))} must be"):
            cyconv.max_pool1d(np.ones((1, 4)), 2, **({"stride": 1} | wrong))
    assert cyconv.lp_pool1d(np.ones((1, 4)), 1, 2).tolist() == cyconv.lp_pool1d(np.ones((1, 4)), 1.0, 2).tolist()
    with pytest.raises(TypeError, match="norm_type must be"):
        cyconv.lp_pool1d(np.ones((1, 4)), True, 2)
    with pytest.raises(TypeError, match="kernel_size must be"):
        cyconv.lp_pool1d(np.ones((1, 4)), 1, 2.0)


@pytest.mark.parametrize("word", ["output shape", "work of pool", "work of sliding", "winograd", ""])
def test_what_is_kept_of_problems_is_no_algorithm(word):
    cyconv.max_pool2d(np.ones((1, 4, 6, 6)), 2)
    with pytest.raises(ValueError, match="algorithm must be one of"):
        cyconv.max_pool2d(np.ones((1, 4, 6, 6)), 2, algorithm=word)


@pytest.mark.long
@pytest.mark.cpu  # 7000 arrays that are moved leave more
def test_pools_of_many_shapes_leave_nothing_behind():
    def pools(first, count):
        for n in range(first, first + count):
            cyconv.max_pool1d(np.ones((1, n), np.int8), 2)

    pools(2, 3000)
    tracemalloc.start()
    pools(4000, 1000)
    before = tracemalloc.get_traced_memory()[0]
    pools(6000, 3000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < before, f"{before} bytes for 1000 shapes, {grown} more for 3000 others"

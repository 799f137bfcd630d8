"""Pools whose windows are whole planes."""

import numpy as np
import pytest

import cyconv

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "complex64"])
@pytest.mark.parametrize("size", [(1,), (2,), (3,), (7, 7), (15,), (16,), (17,), (5, 13), (64,), (127,), (8, 8, 9), (33, 40), (513,), (2, 3, 300)])
def test_whole_planes(dtype, size):
    """Global pools: planes shorter than a vector, of some vectors and a rest, with and without gaps between planes."""
    rank, values = len(size), np.random.default_rng(1).integers(-9, 9, (3, 5, *size))
    for function in ("max", "avg"):
        pool = getattr(cyconv, f"{function}_pool{rank}d")
        x = values.astype(dtype) * (1 + 1j if dtype == "complex64" else 1)
        if dtype == "complex64" and function == "max":
            continue
        gaps = np.repeat(x, 2, 1)[:, ::2]
        for z in (x, gaps, x[:, ::-1], np.asfortranarray(x), x[0]):
            np.testing.assert_array_equal(pool(z, size, algorithm="pool"), pool(z, size, algorithm="reference"))
        if dtype in ("float32", "float64"):
            for value in (np.nan, -np.inf, np.inf, -0.0):
                holed = np.minimum(x, 0) if value == 0 else x.copy()
                holed.reshape(3, 5, -1)[1, :, -1:] = value
                holed.reshape(3, 5, -1)[2, :, 0] = value
                got, expected = pool(holed, size, algorithm="pool"), pool(holed, size, algorithm="reference")
                np.testing.assert_array_equal(got, expected)
                if function == "max":
                    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]))
                    for several in (holed, np.where(holed < -3, np.float32(value).astype(dtype), holed), np.zeros_like(holed)):
                        results = [pool(several, size, return_indices=True, algorithm=name) for name in ("pool", "reference")]
                        np.testing.assert_array_equal(*(found for found, _ in results))
                        np.testing.assert_array_equal(*(indices for _, indices in results))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("channels", [2, 3, 8, 17, 100, 130, 300])
def test_whole_planes_of_channels_last(dtype, channels):
    """Fewer pixels than are worked on side by side, some times as many, and rests of all kinds; of a plane's zeros, the first one's sign."""
    for size in ((1, 1), (1, 5), (2, 4), (3, 5), (4, 8), (3, 11), (8, 8), (7, 10), (9, 14)):
        x = np.random.default_rng(3).integers(-9, 9, (2, *size, channels)).astype(dtype)
        if np.dtype(dtype).kind == "f":
            x[1, -1] = np.where(x[1, -1] > 0, -0.0, x[1, -1])
            x[0] = np.where(x[0] < 0, x[0], np.random.default_rng(4).choice([-0.0, 0.0], x[0].shape))
            x[1, 0, 0, :2] = np.nan, np.inf
        y, same = np.moveaxis(x, -1, 1), np.ascontiguousarray(np.moveaxis(x, -1, 1))
        for function in (cyconv.max_pool2d, cyconv.avg_pool2d):
            got, expected = function(y, size, algorithm="pool"), function(same, size, algorithm="reference")
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layout_of_whole_planes_changes_no_bit(dtype):
    for size, channels in (((1, 3), 70), ((5, 7), 70), ((8, 8), 70), ((31, 33), 70), ((300, 301), 2), ((700, 400), 3)):
        x = np.random.default_rng(5).standard_normal((2, channels, *size)).astype(dtype)
        y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        assert cyconv.avg_pool2d(x, size, algorithm="pool").tobytes() == cyconv.avg_pool2d(y, size, algorithm="pool").tobytes()
        zeros = np.full_like(x, -0.0)
        assert cyconv.avg_pool2d(zeros, size).tobytes() == cyconv.avg_pool2d(np.moveaxis(np.moveaxis(zeros, 1, -1).copy(), -1, 1), size).tobytes()


def test_whole_planes_on_threads_sum_alike():
    x = np.random.default_rng(2).standard_normal((4, 100, 50, 60))
    with cyconv.threads(1):
        expected = cyconv.avg_pool2d(x, (50, 60))
    for count in (2, 3):
        with cyconv.threads(count):
            assert cyconv.avg_pool2d(x, (50, 60)).tobytes() == expected.tobytes()
    assert cyconv.avg_pool2d(x[3:, 40:41], (50, 60)).tobytes() == expected[3:, 40:41].tobytes()

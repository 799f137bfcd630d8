"""The store of warm memory: arrays from it are ordinary arrays, it is bounded, and nothing waits for it."""

import concurrent.futures
import os
import pickle
import tracemalloc

import numpy as np
import pytest

import cyconv
from cyconv import memory

KEPT = 128 * 2**20


@pytest.fixture(autouse=True)
def nothing_kept():
    memory.release_memory()
    yield
    memory.release_memory()


def address(array):
    return array.ctypes.data


def test_memory_is_used_again():
    a = memory.empty((1000, 1000), np.float32)
    where = address(a)
    del a
    b = memory.empty((500, 1900), np.float32)  # a little smaller
    assert address(b) == where
    c = memory.empty((1000, 1000), np.float32)
    assert address(c) != where


def test_much_larger_blocks_are_left_for_others():
    a = memory.empty((8 << 20,), np.uint8)
    where = address(a)
    del a
    assert address(memory.empty((1 << 20,), np.uint8)) != where


@pytest.mark.parametrize("length", [0, 1, 63, 1024, 40000, 65535, 65536, 65537, 1 << 21, (1 << 21) + 4097])
def test_arrays_are_ordinary(length):
    a = memory.empty((length,), np.uint8)
    assert a.shape == (length,) and a.flags.owndata and a.flags.carray and a.base is None
    if length >= 1024:
        assert address(a) % 64 == 0
    a[...] = 7
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(a)), a)
    a.resize((2 * length + 5,), refcheck=False)
    np.testing.assert_array_equal(a[:length], 7)
    np.testing.assert_array_equal(a[length:], 0)
    a.resize((length,), refcheck=False)
    np.testing.assert_array_equal(a, 7)


def test_small_arrays_are_not_kept():
    a = memory.empty((60_000,), np.uint8)
    del a
    assert memory.release_memory() == 0


def test_objects_are_there_from_the_beginning():
    assert memory.empty((200,), np.dtype(object))[0] is None


@pytest.mark.parametrize("length", [4096, 1 << 20])
def test_tracemalloc_sees_them(length):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        a = memory.empty((length,), np.uint8)
        assert length <= tracemalloc.get_traced_memory()[0] - before < length + 2000
        del a
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


def test_arrays_that_cannot_be():
    with pytest.raises(MemoryError):
        memory.empty((1 << 50,), np.uint8)
    with pytest.raises(ValueError, match="too big"):
        memory.empty((1 << 40, 1 << 40), np.float64)
    with pytest.raises(ValueError, match="negative"):
        memory.empty((-1, 5000), np.float64)
    with pytest.raises(ValueError, match="negative"):
        memory.empty((-2000, -2000), np.float64)


def test_numpys_own_arrays_do_not_come_from_the_store():
    def handler():
        return np._core.multiarray.get_handler_name()

    before = handler()
    memory.empty((1 << 20,), np.uint8)
    assert handler() == before
    with pytest.raises((MemoryError, ValueError)):
        memory.empty((1 << 46,), np.float64)
    assert handler() == before


def test_the_store_is_bounded():
    arrays = [memory.empty((3 << 20,), np.uint8) for _ in range(100)]
    del arrays
    assert 0 < memory.release_memory() <= min(KEPT, 32 * (3 << 20))
    arrays = [memory.empty((50 << 20,), np.uint8) for _ in range(4)]
    del arrays
    assert memory.release_memory() == 100 << 20
    del_at_once = memory.empty((KEPT + 1,), np.uint8)
    del del_at_once
    assert memory.release_memory() == 0


def test_results_are_never_shared():
    x, w = np.ones((1, 1, 300, 300), np.float32), np.ones((1, 1, 3, 3), np.float32)
    first = cyconv.conv2d(x, w)
    second = cyconv.conv2d(2 * x, w)
    assert not np.may_share_memory(first, second)
    assert (first == 9).all() and (second == 18).all()


def test_many_threads():
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            a = memory.empty((int(rng.integers(60_000, 300_000)),), np.uint8)
            a[:] = seed
            b = memory.empty((int(rng.integers(60_000, 300_000)),), np.uint8)
            b[:] = seed + 1
            assert (a == seed).all() and (b == seed + 1).all()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert memory.release_memory() <= KEPT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_store_too():
    a = memory.empty((1 << 20,), np.uint8)
    a[...] = 1
    child = os.fork()
    if child == 0:
        copy = memory.empty(a.shape, a.dtype)
        copy[...] = a
        del a
        os._exit(7 if copy.sum() == 1 << 20 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_overlap_agrees_with_numpy():
    whole = np.zeros((40, 50), np.int16)
    rng = np.random.default_rng(0)

    def view():
        a, b, c, d = rng.integers(0, 40, 2), rng.integers(0, 50, 2), rng.integers(1, 4, 2), rng.choice([1, -1], 2)
        piece = whole[min(a) : max(a) + 1 : c[0], min(b) : max(b) + 1 : c[1]]
        return piece[:: d[0], :: d[1]]

    for _ in range(1000):
        a, b = view(), view()
        assert memory.overlaps(a, b) == np.may_share_memory(a, b)
    assert not memory.overlaps(whole, np.zeros(3))
    row = whole[0]
    for first, second in ((row[:10], row[9:]), (row[9:], row[:10]), (row[9::-1], row[9:])):  # one number in common
        assert memory.overlaps(first, second)
    for first, second in ((row[:10], row[10:]), (row[10:], row[:10])):
        assert not memory.overlaps(first, second)
    assert memory.overlaps(row[:10], None, row[20:], row[9:])
    assert not memory.overlaps(row[:10], None, row[20:], row[3:3])
    assert not memory.overlaps(row[3:3], row)

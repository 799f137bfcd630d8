"""Activations, linear layers, losses and batch normalisation of dask arrays; cyconv.explain and plan_conv."""

import itertools
import math

import numpy as np
import pytest
from chunkings import random_chunks, same, small_blocks

import cyconv
from cyconv import functional
from cyconv.chunked import network

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")

ERRORS = {"float64": 1e-12, "float32": 2e-5, "float16": 4e-3}
NAMES = ("relu", "softmax", "log_softmax", "dropout", "linear", "batch_norm", "cross_entropy")


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(network, "SAMPLES", 32)
    monkeypatch.setattr(network, "CHANNELS", 2)
    monkeypatch.setattr(network, "_STEP", 50)
    with dask.config.set(scheduler="synchronous"):
        yield


def random_input(rng, rank):
    shape = [int(rng.integers(1, {1: 150, 2: 50, 3: 12, 4: 7, 5: 5, 6: 3}[rank] + 1)) for _ in range(rank)]
    if rng.random() < 0.05:
        shape[rng.integers(rank)] = 0
    x = (rng.standard_normal(shape) * 3 + rng.choice([0, 30])).astype(rng.choice(list(ERRORS)))
    if x.size and rng.random() < 0.2:
        x.flat[rng.integers(x.size)] = rng.choice([np.nan, np.inf, -np.inf, -0.0])
    return np.asfortranarray(x) if rng.random() < 0.3 else x


def arguments_of(name, x, rng):
    """More arguments for a function of x, by position and by name; None if it is none for that."""
    if name in ("softmax", "log_softmax"):
        return [int(rng.integers(-x.ndim, x.ndim))], {}
    if name == "dropout":
        return [float(rng.choice([0, 0.3, 0.5, 1]))], {"seed": 5}
    if name == "linear":
        weight = rng.standard_normal((int(rng.integers(1, 9)), x.shape[-1])).astype(x.dtype)
        return [weight, weight[:, 0].copy() if weight.size and rng.random() < 0.5 else None], {}
    if name == "relu":
        return [], {}
    if x.ndim < 2:
        return None
    channels = x.shape[1]
    if name == "batch_norm":
        running = [rng.standard_normal(channels), rng.random(channels)] if rng.random() < 0.5 else [None, None]
        return running + [rng.standard_normal(channels).astype(x.dtype) if rng.random() < 0.5 else None for _ in range(2)], {}
    if not channels:
        return None
    target = rng.integers(0, channels, x.shape[:1] + x.shape[2:])
    if rng.random() < 0.5:
        target = np.where(rng.random(target.shape) < 0.3, -100, target)
    weight = rng.random(channels) if rng.random() < 0.5 else None
    return [target, weight], {"reduction": str(rng.choice(["mean", "sum"])), "label_smoothing": float(rng.choice([0, 0.2]))}


def chunked(values, taken, chunks):
    return [da.from_array(value, chunks=chunks(value.shape)) if take and isinstance(value, np.ndarray) else value for value, take in zip(values, taken)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinity
def test_bits_do_not_depend_on_chunks(name, seed):
    rng, function, done = np.random.default_rng([seed, NAMES.index(name)]), getattr(functional, name), 0
    for number in range(30):
        x = random_input(rng, 1 + number % 6)
        if (found := arguments_of(name, x, rng)) is None:
            continue
        values, keywords = [x, *found[0]], found[1]
        taken = [True, *(rng.random(len(found[0])) < 0.6)]
        try:
            expected = np.asarray(function(*values, **keywords))
        except ValueError as error:
            with pytest.raises(ValueError) as raised:
                function(*chunked(values, taken, lambda shape: -1), **keywords)
            assert str(raised.value) == str(error)
            continue
        lazy = function(*chunked(values, taken, lambda shape: -1), **keywords)
        whole = lazy.compute()
        assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype) == (expected.shape, expected.dtype)
        if name in ("relu", "softmax", "log_softmax") and x.flags.c_contiguous and (name == "relu" or found[0][0] in (-1, x.ndim - 1)):
            assert same(whole, expected)
        elif name != "dropout":
            error = max(ERRORS[x.dtype.name], ERRORS[expected.dtype.name])
            finite = np.where(np.isfinite(expected), expected, 0)
            np.testing.assert_allclose(whole.astype(float), expected.astype(float), error, error * np.abs(finite).max(initial=1))
        lazy = function(*chunked(values, taken, lambda shape: random_chunks(rng, shape)), **keywords)
        assert lazy.shape == expected.shape and same(lazy.compute(), whole)
        done += 1
    assert done > 15


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_computed_before_it_is_asked_for(name):
    def never(block):
        raise AssertionError

    x = da.zeros((6, 5, 4), chunks=2).map_blocks(never, dtype=np.float32)
    arguments = {"linear": [np.ones((3, 4), np.float32)], "batch_norm": [None, None], "cross_entropy": [da.zeros((6, 4), dtype=int)]}
    lazy = getattr(functional, name)(x, *arguments.get(name, []))
    assert type(lazy) is da.Array and not math.isnan(lazy.size)
    with pytest.raises(AssertionError):
        lazy.compute()


def test_chunks_stay_where_elements_stand_by_themselves():
    x = da.zeros((6, 5, 4), chunks=(2, 3, 3))
    for lazy in (functional.relu(x), functional.dropout(x), functional.batch_norm(x, np.zeros(5), np.ones(5)), functional.softmax(x, 0).rechunk(x.chunks)):
        assert lazy.chunks == x.chunks
    assert functional.softmax(x, 0).chunks == ((6,), *x.chunks[1:])
    assert functional.dropout(x, training=False) is x


# ---- dropout ---------------------------------------------------------------------------------------------------------------------


def test_dropout_drops_as_many_as_it_should_and_each_by_itself():
    dropped = [functional.dropout(da.ones((200, 300), chunks=70), 0.3, seed=seed).compute() == 0 for seed in range(4)]
    for one in dropped:
        assert abs(one.mean() - 0.3) < 0.01 and abs(one.mean(0) - 0.3).max() < 0.15 and abs(one.mean(1) - 0.3).max() < 0.15
        for axis in (0, 1):  # neighbours
            assert abs((one & np.roll(one, 1, axis)).mean() - 0.09) < 0.01
    for one, other in itertools.pairwise(dropped):
        assert abs((one & other).mean() - 0.09) < 0.01


def test_a_seed_tells_what_is_dropped():
    x, rng = da.ones(1000, chunks=100), np.random.default_rng(0)
    first, again, other = (functional.dropout(x, seed=seed) for seed in (1, 1, 2))
    assert same(first.compute(), again.compute()) and not same(first.compute(), other.compute())
    one, two = functional.dropout(x, seed=rng), functional.dropout(x, seed=rng)
    assert not same(one.compute(), two.compute()) and same(one.compute(), one.compute())
    assert set(np.unique(first.compute())) == {0.0, 2.0}


# ---- batch normalisation and losses ----------------------------------------------------------------------------------------------


def test_statistics_of_many_blocks_keep_their_digits():
    """A mean that is far from 0, and blocks that differ."""
    x = np.random.default_rng(0).standard_normal((40, 3, 100)) * np.linspace(0.1, 3, 40)[:, None, None] + 1e6
    mean, var = (each.compute() for each in network.statistics(da.from_array(x, chunks=(7, 2, 33))))
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, wide.mean((0, 2)), 1e-15)
    np.testing.assert_allclose(var, wide.var((0, 2)), 1e-9)
    one = np.random.default_rng(1).standard_normal((1, 60, 11))  # in one block: as of a NumPy array
    alone = [each.compute() for each in network.statistics(da.from_array(one, chunks=7))]
    assert all(same(a, b) for a, b in zip(alone, functional.normalization.batch_statistics(one)))


def test_running_averages_cannot_be_moved_lazily():
    x, mean, var = da.ones((6, 5), chunks=2), np.zeros(5), np.ones(5)
    with pytest.raises(TypeError, match="running_mean and running_var must be None"):
        functional.batch_norm(x, mean, var, training=True)
    assert not mean.any() and (var == 1).all()
    for running in ((da.zeros(5), da.ones(5)), (mean, var)):
        expected = functional.batch_norm(np.ones((6, 5)), mean, var)
        assert same(functional.batch_norm(x, *running).compute(), expected)
        assert same(functional.batch_norm(np.ones((6, 5)), da.zeros(5), da.ones(5)).compute(), expected)


def test_a_target_that_is_no_class_raises_when_it_is_computed():
    lazy = functional.cross_entropy(da.zeros((6, 5), chunks=2), np.array([0, 1, 2, 3, 4, 5]))
    with pytest.raises(ValueError, match="target must be from 0 to 4.*got 5"):
        lazy.compute()
    nothing = functional.cross_entropy(da.zeros((6, 5), chunks=2), np.full(6, -100))
    assert np.isnan(nothing.compute())


def test_bad_arguments_raise_when_the_function_is_called():
    x = da.zeros((6, 5), chunks=2)
    for call in (
        lambda a: functional.relu(a.astype(bool)),
        lambda a: functional.softmax(a, 2),
        lambda a: functional.softmax(a.astype(int)),
        lambda a: functional.dropout(a, 2.0),
        lambda a: functional.linear(a, np.ones((3, 4))),
        lambda a: functional.linear(a, np.ones((3, 5), np.float32)),
        lambda a: functional.linear(a, np.ones((3, 5)), np.ones(4)),
        lambda a: functional.linear(a[:0], np.ones((3, 5)), np.ones(4)),
        lambda a: functional.batch_norm(a, np.zeros(4), np.ones(4)),
        lambda a: functional.batch_norm(a[:1], None, None),
        lambda a: functional.cross_entropy(a, np.zeros(5, int)),
        lambda a: functional.cross_entropy(a, np.zeros(6)),
        lambda a: functional.cross_entropy(a, np.zeros(6, int), np.ones(4)),
        lambda a: functional.cross_entropy(a, np.zeros(6, int), reduction="some"),
    ):
        messages = []
        for each in (x, np.zeros((6, 5))):
            with pytest.raises((ValueError, TypeError)) as raised:
                call(each)
            messages.append(f"{raised.type} {raised.value}")
        assert messages[0] == messages[1]
    with pytest.raises(TypeError, match="out must be None for dask arrays"):
        functional.relu(x, out=np.zeros((6, 5)))
    with pytest.raises(ValueError, match="unknown size"):
        functional.softmax(x[x > 0])
    with pytest.raises(TypeError, match="masked"):
        functional.relu(da.ma.masked_equal(x, 1))


def test_other_orders_of_bytes():
    x = np.arange(-5, 5, dtype=">f4")
    lazy = functional.relu(da.from_array(x, chunks=3))
    assert lazy.dtype == np.float32 and same(lazy.compute(), functional.relu(x))


def test_chunks_of_cupys_arrays_go_to_the_gpu(stand_in, monkeypatch):
    lookup = pytest.importorskip("dask.array.core").concatenate_lookup
    # What dask does with CuPy's arrays, it does with any that have this
    monkeypatch.setattr(stand_in.ndarray, "__array_function__", lambda self, f, types, a, k: getattr(stand_in, f.__name__)(*a, **k), raising=False)
    monkeypatch.setitem(lookup._lookup, stand_in.ndarray, stand_in.concatenate)
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((6, 5, 7)).astype(np.float32), rng.random(5)
    target = rng.integers(0, 5, (6, 7))
    for name, *arguments in (
        ("relu",), ("softmax", 2), ("log_softmax", 1), ("linear", x[0]), ("batch_norm", v, v), ("batch_norm", None, None), ("cross_entropy", target, v),
    ):  # fmt: skip
        on_gpu = [stand_in.asarray(each) if isinstance(each, np.ndarray) else each for each in arguments]
        if name == "cross_entropy":
            on_gpu[0] = da.from_array(on_gpu[0], chunks=4, asarray=False)
        results = []
        for chunks in ((4, 3, 5), (1, 5, 2)):
            lazy = getattr(functional, name)(da.from_array(stand_in.asarray(x), chunks=chunks, asarray=False), *on_gpu)
            assert isinstance(lazy._meta, stand_in.ndarray)
            results.append(lazy.compute())
            assert isinstance(results[-1], stand_in.ndarray)
        assert same(results[0].get(), results[1].get())
        np.testing.assert_allclose(results[0].get(), getattr(functional, name)(x, *arguments), 1e-4, 1e-5)
        if on_gpu:
            with pytest.raises(TypeError, match="CuPy") if any(isinstance(each, np.ndarray) for each in arguments) else pytest.raises(AssertionError):
                getattr(functional, name)(da.from_array(x, chunks=3), *on_gpu)
                raise AssertionError
    on_gpu = da.from_array(stand_in.asarray(x), chunks=4, asarray=False)
    assert same(functional.dropout(on_gpu, seed=1).compute().get(), functional.dropout(da.from_array(x, chunks=3), seed=1).compute())


# ---- explain and plan_conv -------------------------------------------------------------------------------------------------------


def test_explain_tells_what_blocks_get():
    x = da.zeros((1, 3, 400, 400), chunks=(1, 3, 100, 100), dtype=np.float32)
    outer = np.ones((4, 3, 3, 3), np.float32)
    why = cyconv.explain(x, outer, padding=1)
    assert why.problem.out_size[1:] == (16, 16) and why.whole.output_shape == (1, 4, 400, 400)
    assert str(why).startswith("1x3x400x400 -> 4x400x400, kernel 3x3 padding 1x1, float32, in blocks:\n1x3x")
    assert why.chosen in {v.algorithm.name for v in why.verdicts if v.declined is None}
    assert cyconv.explain(x, outer, padding=1, algorithm="fft").chosen == "fft"
    reasons = {v.algorithm.name: v.declined for v in cyconv.explain(x, da.from_array(outer), padding=1).verdicts}
    assert "not known yet" in reasons["separable"]
    with pytest.raises(ValueError, match="weight"):
        cyconv.explain(x, outer[0, 0, 0])
    with pytest.raises(ValueError, match="cannot compute"):
        cyconv.explain(x, outer, algorithm="channel_lanes")


def test_a_plan_computes_its_weight_and_takes_no_chunks():
    weight = np.arange(9.0).reshape(1, 1, 3, 3)
    plan = cyconv.plan_conv((1, 1, 5, 5), da.from_array(weight, chunks=2), da.ones(1))
    x = np.random.default_rng(0).random((1, 1, 5, 5))
    assert same(plan(x), cyconv.plan_conv((1, 1, 5, 5), weight, np.ones(1))(x))
    with pytest.raises(TypeError, match="dask"):
        plan(da.from_array(x))

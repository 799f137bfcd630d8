"""The network functions on CuPy arrays: the results, dtypes and errors of NumPy's."""

import contextlib

import numpy as np
import pytest
from nn_cases import random

from cyconv import functional
from cyconv.functional import network, normalization
from cyconv.gpu import activations, norms, softmax

FLOATS = ["float16", "float32", "float64"]
EPS = {"bfloat16": 2.0**-8} | {dtype: float(np.finfo(dtype).eps) for dtype in FLOATS}


def on(cupy, *values):
    return [cupy.asarray(v) if isinstance(v, np.ndarray) else v for v in values]


def bfloat16():
    return pytest.importorskip("ml_dtypes").bfloat16


def close(got, want, slack):
    """Within so much of the largest value."""
    assert got.shape == want.shape and got.dtype == want.dtype
    got, want = got.get().astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got[np.isinf(want)], want[np.isinf(want)])
    assert np.isfinite(got[finite]).all() and np.abs(got[finite] - want[finite]).max(initial=0) <= slack * np.abs(want[finite]).max(initial=0)


@contextlib.contextmanager
def nobody_waits(cupy, monkeypatch):
    """Reading a value of the device raises, where CuPy is the stand-in."""

    def read(self, *arguments):
        raise AssertionError("a value of the device was read")

    with monkeypatch.context() as patch:
        if cupy.__name__ != "cupy":
            for name in ("get", "item", "tolist", "__bool__", "__int__", "__float__", "__index__"):
                patch.setattr(cupy.ndarray, name, read)
        yield


# ---- linear and rectifiers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int16"])
def test_linear(dtype, cupy):
    x, w, b = (np.random.default_rng(i).integers(-5, 6, shape).astype(dtype) for i, shape in enumerate(((2, 3, 4), (5, 4), (5,))))
    for arguments in ((x, w, b), (x, w), (x[:, 0], w, b), (x[0, 0], w), (x[:0], w, b)):
        got = network.linear(*on(cupy, *arguments))
        want = network.linear(*arguments)
        assert isinstance(got, cupy.ndarray) and got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_array_equal(got.get(), want)


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint16"])
def test_relu(dtype, cupy):
    x = np.arange(-6, 6).reshape(3, 4).astype(dtype) if dtype != "uint16" else np.arange(12, dtype=dtype).reshape(3, 4)
    for view in (lambda a: a, lambda a: a[::2, ::-1]):
        y = view(cupy.asarray(x))
        np.testing.assert_array_equal(network.relu(y).get(), network.relu(view(x)))
        assert network.relu(y).dtype == dtype
        assert network.relu(y, out=y) is y
        np.testing.assert_array_equal(y.get(), np.maximum(view(x), 0))
    out = cupy.empty(x.shape, dtype)
    assert network.relu(cupy.asarray(x), out=out) is out


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (4, 8)])
def test_what_a_rectifier_lets_back(dtype, shape, cupy):
    g, y = random(shape, 1, dtype), random(shape, 2, dtype)
    np.testing.assert_array_equal(activations.passed(*on(cupy, g, y)).get(), np.where(y > 0, g, 0))
    if shape:
        np.testing.assert_array_equal(activations.passed(*[a[..., 1:] for a in on(cupy, g, y)]).get(), np.where(y > 0, g, 0)[..., 1:])


# ---- softmax -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shape, dim", [((3, 4, 5), 0), ((3, 4, 5), 1), ((3, 4, 5), -1), ((2, 5, 40), 1), ((2, 1500), 1), ((5000, 33), 0)])
def test_softmax(name, dtype, shape, dim, cupy):
    x = (3 * random(shape)).astype(dtype)
    function = getattr(functional, name)
    want = function(x.astype(np.float64), dim).astype(dtype)
    close(function(cupy.asarray(x), dim), want, 8 * EPS[dtype])
    close(function(cupy.asarray(x.T).T, dim), want, 8 * EPS[dtype])


def test_softmax_of_what_is_not_finite(cupy):
    for row in ([0, 1000, -np.inf], [0, np.nan, 1], [np.inf, 0, 1], [-np.inf] * 3):
        for name in ("softmax", "log_softmax"):
            x = np.array([row], np.float32)
            with np.errstate(all="ignore"):
                want = getattr(functional, name)(x)
            close(getattr(functional, name)(cupy.asarray(x)), want, 1e-6)
    for shape, dim in (((0, 3), 1), ((3, 0), 1), ((3, 0), 0)):
        assert network.softmax(cupy.zeros(shape), dim).shape == shape


# ---- dropout -------------------------------------------------------------------------------------------------------------


def philox(count, key):
    """Philox4x32-10, four numbers for each of the counters from 0, in integers without end."""
    found, word = [], 2**32
    for counter in range(count):
        a, b, c, d = counter % word, counter // word, 0, 0
        low, high = key % word, key // word
        for _ in range(10):
            first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
            a, b, c, d = second // word ^ b ^ low, second % word, first // word ^ d ^ high, first % word
            low, high = (low + 0x9E3779B9) % word, (high + 0xBB67AE85) % word
        found += [a, b, c, d]
    return np.array(found, np.uint32)


def test_dropout_draws_what_is_published(cupy):
    assert philox(1, 0).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # the authors' known answer
    key = np.uint64(0x0123456789ABCDEF)
    want = (philox(26, int(key)) >> 8) * 2.0**-24 >= 0.3
    got = activations.dropout(cupy.ones(101, np.float32), 0.3, key).get()
    np.testing.assert_array_equal(got, np.where(want[:101], np.float32(1 / 0.7), 0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout(dtype, cupy):
    x = cupy.asarray(random((1000, 7), 0, dtype))
    y = network.dropout(x, 0.25, seed=1)
    np.testing.assert_array_equal(network.dropout(x, 0.25, seed=1).get(), y.get())
    np.testing.assert_array_equal(network.dropout(x, 0.25, seed=np.random.default_rng(1)).get(), y.get())
    assert y.dtype == dtype and (network.dropout(x, 0.25, seed=2).get() != y.get()).any()
    assert (network.dropout(x, 0.25).get() != network.dropout(x, 0.25).get()).any()
    kept = y.get() != 0
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(y.get()[kept], (x.get() / 0.75)[kept].astype(dtype), 2 * EPS[dtype])
    assert network.dropout(x, 0.5, False) is x
    np.testing.assert_array_equal(network.dropout(x, 0).get(), x.get())
    assert not network.dropout(x, 1).get().any()
    assert np.isnan(network.dropout(cupy.full(8, np.nan, dtype), 1).get()).all()
    np.testing.assert_array_equal(network.dropout(x.T, 0.25, seed=1).get() != 0, kept.reshape(-1).reshape(7, 1000))


# ---- cross entropy -------------------------------------------------------------------------------------------------------

ENTROPIES = [
    {},
    {"reduction": "sum"},
    {"ignore_index": 3},
    {"label_smoothing": 0.1, "ignore_index": 2},
    {"weight": np.arange(1.0, 8.0)},
    {"weight": np.arange(7.0), "label_smoothing": 0.3, "reduction": "sum", "ignore_index": 1},
]


def entropies(options, x, t):
    """The loss and its gradient, three times."""
    options = {"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0} | options
    smoothing = options.pop("label_smoothing")
    loss, kept = network.cross_entropy_forward(x, t, *options.values(), smoothing)
    return loss, network.cross_entropy_backward(kept, 3.0, smoothing)


@pytest.mark.parametrize("options", ENTROPIES, ids=str)
@pytest.mark.parametrize("shape", [(5, 7), (3, 7, 4, 2), (2, 7, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy(options, shape, dtype, cupy, monkeypatch):
    x, t = 3 * random(shape, 0, dtype), np.random.default_rng(1).integers(0, 7, (shape[0], *shape[2:]))
    loss, gradient = entropies(options, x, t)
    arguments = ({name: cupy.asarray(v) if isinstance(v, np.ndarray) else v for name, v in options.items()}, *on(cupy, x, t))
    with nobody_waits(cupy, monkeypatch):
        got, found = entropies(*arguments)
    assert isinstance(got, cupy.ndarray) and got.shape == () and got.dtype == np.float64
    assert abs(float(got) - loss) <= 8 * EPS[dtype] * abs(loss)
    close(found, gradient.astype(dtype), 8 * EPS[dtype])
    assert float(network.cross_entropy(arguments[1], arguments[2], **arguments[0])) == float(got)


@pytest.mark.parametrize("classes", [1500, 3])
def test_cross_entropy_of_many_and_half(classes, cupy):
    x, t = random((40, classes), 0, "float16"), np.random.default_rng(1).integers(0, classes, 40).astype(np.uint16)
    loss, gradient = entropies({"label_smoothing": 0.1}, x, t)
    got, found = entropies({"label_smoothing": 0.1}, *on(cupy, x, t))
    assert abs(float(got) - loss) < 1e-5 * abs(loss)
    close(found, gradient.astype(np.float16), 2.0**-10)


def test_targets_that_are_no_class(cupy):
    x = random((4, 3))
    for wrong in (3, -1, 2**40):
        t = np.array([0, wrong, 2, 1])
        loss, gradient = entropies({}, *on(cupy, x, t))
        assert np.isnan(float(loss)) and np.isnan(gradient.get()).all()  # of a mean every row depends on it
        loss, gradient = entropies({"reduction": "sum"}, *on(cupy, x, t))
        assert np.isnan(float(loss)) and np.isnan(gradient.get()).all(axis=1).tolist() == [False, True, False, False]
    assert np.isnan(float(network.cross_entropy(*on(cupy, x, np.array([0, 2**64 - 100, 1, 1], np.uint64)))))
    none = on(cupy, x, np.full(4, -100))
    assert np.isnan(float(network.cross_entropy(*none))) and float(network.cross_entropy(*none, reduction="sum")) == 0
    assert np.isnan(float(network.cross_entropy(*on(cupy, x[:0], np.zeros(0, int)))))
    assert np.isnan(float(network.cross_entropy(*on(cupy, x[:, :0], np.zeros(4, int)))))


# ---- batch normalisation -------------------------------------------------------------------------------------------------

SHAPES = [(6, 3), (4, 3, 5, 7), (2, 2, 64), (3, 2, 3000), (300, 2, 4, 4), (1, 1, 9000)]


def normalised(x, g, weight, bias, mean, var, momentum):
    """Output, gradients and what the running averages become."""
    mean, var = mean.copy(), var.copy()
    y, kept = normalization.batch_norm_forward(x, mean, var, weight, bias, 1e-5, momentum)
    gradients = normalization.batch_norm_backward(g, kept, weight, True)
    _, *same = normalization.batch_norm_backward(g, kept, weight, False)
    for one, other in zip(gradients[1:], same):
        assert (one == other).all()
    return y, *gradients, mean, var


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("momentum", [0.3, None])
def test_batch_norm(dtype, shape, momentum, cupy):
    x, g = (random(shape, 0) * 2 + 3).astype(dtype), random(shape, 1, dtype)
    weight, bias = (1 + random(shape[1], 2) / 4).astype(dtype), random(shape[1], 3, dtype)
    mean, var = random(shape[1], 4, dtype), np.full(shape[1], 2, dtype)
    for affine in ((weight, bias), (None, None)):
        want = normalised(x, g, *affine, mean, var, momentum)
        got = normalised(*on(cupy, x, g, *affine, mean, var), momentum)
        slack = 32 * EPS[dtype] if dtype != "float16" else 2 * EPS[dtype]
        for one, other in zip(got, want):
            close(one, other.astype(dtype), slack)


def test_gradients_where_means_are_far_from_zero(cupy):
    """What rounding the mean leaves out is added where it was multiplied: as exact as the CPU is."""
    x, g = (3e6 + random((4, 2, 50))).astype(np.float32), 5 + random((4, 2, 50), 1, "float32")
    weight, bias = np.ones(2, np.float32), np.zeros(2, np.float32)
    mean, var = x.mean(axis=(0, 2), dtype=np.float64), x.var(axis=(0, 2), dtype=np.float64)
    for own in (True, False):
        averages = (None, None) if own else (mean, var)
        want, got = ([], [])
        for place, found in ((lambda a: a, want), (lambda a: None if a is None else cupy.asarray(a), got)):
            y, kept = normalization.batch_norm_forward(place(x), *map(place, averages), place(weight), place(bias), 1e-5)
            found += [y, *normalization.batch_norm_backward(place(g), kept, place(weight), True)]
        for one, other in zip(got, want):
            close(one, other.astype(np.float32), 2e-6)


def test_kernels_go_on_with_what_there_are_no_blocks_for(cupy, monkeypatch):
    x, g = random((7, 300, 4, 5), 0, "float32"), random((7, 300, 4, 5), 1, "float32")
    odd, wide, long = (random(shape, 2, "float32") for shape in ((7, 5, 3), (40, 9), (20, 1100)))
    weight, t = 1 + np.arange(300, dtype=np.float32) / 300, np.arange(40) % 9

    def results():
        found = [network.softmax(a, dim) for a, dim in zip(on(cupy, x, wide, long), (1, 1, 1))]
        for a in on(cupy, x, odd):
            y, kept = normalization.batch_norm_forward(a, None, None, *on(cupy, weight[: a.shape[1]], weight[: a.shape[1]]), 1e-5)
            found += [y, *normalization.batch_norm_backward(a * a, kept, cupy.asarray(weight[: a.shape[1]]), True)]
        found += [activations.passed(*on(cupy, x, g)), network.dropout(cupy.asarray(g), seed=0), *entropies({}, *on(cupy, wide, t))]
        return [each.get().tobytes() for each in found]

    want = results()
    for module in (activations, norms, softmax):
        monkeypatch.setattr(module, "blocks", lambda work, threads: 3)
    assert results() == want


def test_a_block_may_add_up_several_chunks(cupy, monkeypatch):
    x, g, c = random((3, 2, 5000), 0, "float32"), random((3, 2, 5000), 1, "float32"), np.ones(2, np.float32)
    want = normalised(x, g, c, c, c, c, 0.5)
    monkeypatch.setattr(norms, "MOST_PIECES", 4)
    for one, other in zip(normalised(*on(cupy, x, g, c, c, c, c), 0.5), want):
        close(one, other.astype(np.float32), 1e-5)


@pytest.mark.parametrize("far", [0, 1e4, -3e6])
def test_means_far_from_zero_lose_no_digit(far, cupy):
    x = (far + random((4, 2, 3000))).astype(np.float32)
    y = normalization.batch_norm(cupy.asarray(x), None, None).get()
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=(0, 2), keepdims=True)
    exact /= np.sqrt((exact**2).mean(axis=(0, 2), keepdims=True) + 1e-5)
    assert np.abs(y - exact).max() < 1e-5


def test_batch_norm_where_arrays_lie_anyhow(cupy):
    x, mean, var = random((4, 6, 6, 3), 0, "float32"), np.zeros(6), np.ones(6, np.float32)
    views = [a.transpose(0, 3, 1, 2)[:, :, ::-1, 1:] for a in (x, cupy.asarray(x))]
    running = [(mean.copy()[::2], var.copy()[::2]) for _ in views]
    running[1] = tuple(cupy.asarray(np.repeat(a, 2))[::2] for a in running[1])
    want, got = (normalization.batch_norm(v, *averages, training=True) for v, averages in zip(views, running))
    close(got, want, 1e-6)
    for one, other in zip(running[1], running[0]):  # in place, whatever their dtype and strides
        close(one, other, 1e-6)
    close(normalization.batch_norm(views[1], *running[1]), normalization.batch_norm(views[0], *running[0]), 1e-6)
    flat = cupy.asarray(np.arange(1 + 2 * 3 * 8, dtype=np.float32))  # not aligned for four at a time
    close(normalization.batch_norm(flat[1:].reshape(2, 3, 8), None, None), normalization.batch_norm(flat.get()[1:].reshape(2, 3, 8), None, None), 1e-6)
    empty = cupy.zeros((0, 3, 4), np.float32)
    assert normalization.batch_norm(empty, cupy.zeros(3), cupy.ones(3)).shape == (0, 3, 4)
    assert norms.backward(empty, norms.forward(empty, cupy.zeros(3), cupy.ones(3), None, None, 0)[1], None, True)[1].get().tolist() == [0] * 3


def test_a_nan_spoils_its_channel_alone(cupy):
    x = random((2, 3, 5), 0, "float32")
    x[1, 1, 2] = np.nan
    y = normalization.batch_norm(cupy.asarray(x), None, None).get()
    assert np.isnan(y).all(axis=(0, 2)).tolist() == [False, True, False] and np.isfinite(y[:, [0, 2]]).all()


def test_the_same_bits_in_every_call(cupy):
    x = random((8, 3, 50, 50), 0, "float32")
    one, other = (normalization.batch_norm(cupy.asarray(x), None, None).get() for _ in range(2))
    assert one.tobytes() == other.tobytes()


# ---- bfloat16, errors, devices -------------------------------------------------------------------------------------------


def test_bfloat16(cupy):
    x, w = random((6, 5), 0, "float32").astype(bfloat16()), random(5, 1, "float32").astype(bfloat16())
    wide = x.astype(np.float32)
    gx = cupy.asarray(x)
    for got, want in (
        (network.relu(gx), network.relu(wide)),
        (network.softmax(gx), network.softmax(wide)),
        (network.log_softmax(gx, 0), network.log_softmax(wide, 0)),
        (normalization.batch_norm(gx, None, None, cupy.asarray(w)), normalization.batch_norm(wide, None, None, w.astype(np.float32))),
    ):
        close(got, want.astype(x.dtype), EPS["bfloat16"])
    assert network.dropout(gx, 0.5, seed=1).dtype == x.dtype
    t = np.zeros(6, int)
    assert abs(float(network.cross_entropy(gx, cupy.asarray(t))) - network.cross_entropy(wide, t)) < 1e-5
    got = network.cross_entropy(gx, cupy.asarray(t), cupy.asarray(abs(w)))
    assert abs(float(got) - network.cross_entropy(wide, t, abs(w).astype(np.float32))) < 1e-5
    with pytest.raises(TypeError, match="weight has dtype bfloat16, which is computed on the GPU only"):
        network.cross_entropy(wide, t, w)
    averages = [np.zeros(5, x.dtype), np.ones(5, x.dtype)]
    for input in (gx, gx.astype(np.float32)):
        moved = on(cupy, *averages)
        got, wanted = normalization.batch_norm(input, *moved, training=True), [a.astype(np.float32) for a in averages]
        want = normalization.batch_norm(wide, *wanted, training=True)
        close(got, want.astype(got.dtype), EPS["bfloat16"])
        for one, other in zip(moved, wanted):
            close(one, other.astype(x.dtype), EPS["bfloat16"])
        close(normalization.batch_norm(input, *moved), normalization.batch_norm(wide, *(a.get().astype(np.float32) for a in moved)).astype(got.dtype), EPS["bfloat16"])
    with pytest.raises(TypeError, match="running_mean must be an ndarray of a floating dtype"):
        normalization.batch_norm(wide, *averages)


X, T, C = np.zeros((4, 3), np.float32), np.zeros(4, int), np.zeros(3, np.float32)
WRONG = [
    ("linear", (X, C), {}),
    ("linear", (X, X.T), {}),
    ("linear", (X, X.astype(np.float64)), {}),
    ("relu", (X.astype(complex),), {}),
    ("relu", (X,), {"out": X[:1]}),
    ("relu", (X,), {"out": X.astype(np.float64)}),
    ("softmax", (X, 2), {}),
    ("softmax", (T,), {}),
    ("log_softmax", (X, 0.5), {}),
    ("dropout", (X, 1.5), {}),
    ("dropout", (T,), {}),
    ("dropout", (X, 0.5, 1), {}),
    ("dropout", (X,), {"seed": "x"}),
    ("cross_entropy", (X[0], T), {}),
    ("cross_entropy", (X, T[1:]), {}),
    ("cross_entropy", (X, X[:, 0]), {}),
    ("cross_entropy", (X.astype(int), T), {}),
    ("cross_entropy", (X, T), {"weight": X}),
    ("cross_entropy", (X, T), {"weight": X[0, :2]}),
    ("cross_entropy", (X, T), {"reduction": "none"}),
    ("batch_norm", (X, C[:2], C), {}),
    ("batch_norm", (X, None, C), {}),
    ("batch_norm", (X, T[:3], C), {}),
    ("batch_norm", (X[:1], C, C), {"training": True}),
    ("batch_norm", (X, C, C), {"weight": C.astype(np.float64)}),
    ("batch_norm", (X, C, C), {"bias": C[:1]}),
    ("batch_norm", (C, C, C), {}),
    ("batch_norm", (X.astype(int), C, C), {}),
    ("batch_norm", (X, C, C), {"eps": -1}),
]


@pytest.mark.parametrize("name, arguments, options", WRONG, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(WRONG)])
def test_the_same_errors(name, arguments, options, cupy):
    function = getattr(functional, name)
    with pytest.raises((ValueError, TypeError)) as ours:
        function(*arguments, **options)
    with pytest.raises(ours.type) as theirs:
        function(*on(cupy, *arguments), **dict(zip(options, on(cupy, *options.values()))))
    assert str(theirs.value) == str(ours.value)


@pytest.mark.parametrize(
    "name, arguments, options",
    [
        ("linear", (X, np.zeros((2, 3), np.float32)), {}),
        ("relu", (X,), {"out": X}),
        ("cross_entropy", (X, T), {"weight": C}),
        ("batch_norm", (X, C, C, C), {}),
    ],
    ids=["linear", "relu", "cross_entropy", "batch_norm"],
)
def test_one_device(name, arguments, options, cupy):
    values = [*arguments, *options.values()]
    for i in range(len(values)):
        mixed = [cupy.asarray(v) if j == i else v for j, v in enumerate(values)]
        with pytest.raises(TypeError, match=r"\w+ is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\); they must lie on one"):
            getattr(functional, name)(*mixed[: len(arguments)], **dict(zip(options, mixed[len(arguments) :])))
    with pytest.raises(TypeError, match="a list .on the CPU."):
        network.cross_entropy(cupy.asarray(X), T.tolist())


def test_nobody_waits(cupy, monkeypatch):
    x, c, t = on(cupy, X, C + 1, T)
    with nobody_waits(cupy, monkeypatch):
        network.linear(x, x)
        network.relu(x), network.softmax(x), network.log_softmax(x), network.dropout(x)
        network.cross_entropy(x, t), normalization.batch_norm(x, c, c, training=True), normalization.batch_norm(x, c, c)


def test_instances_are_all_that_is_asked_for(cupy, monkeypatch):
    asked = set()
    for module in (activations, norms, softmax):
        monkeypatch.setattr(module, "kernel", lambda *name: asked.add(name) or (lambda grid, block, arguments: None))
    for dtype in (*FLOATS, bfloat16()):
        for shape in ((5, 3), (2, 3, 8), (2, 2, 5000), (2, 1100), (2, 3, 40)):
            x = cupy.zeros(shape, dtype)
            c = cupy.ones(shape[1], dtype)
            network.softmax(x, 1), network.log_softmax(x, 1), network.dropout(x), activations.passed(x, x)
            for averages in ((c, c), (c.astype(np.float64), c.astype(np.float64))):
                _, kept = normalization.batch_norm_forward(x, *averages, c, c, 1e-5, 0.5)
                normalization.batch_norm_backward(x, kept, c, True)
            entropies({}, x, cupy.zeros((shape[0], *shape[2:]), np.int64))
    assert asked == {each for module in (activations, norms, softmax) for each in module.instances()}

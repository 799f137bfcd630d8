"""Each layer of cyconv.nn: its gradients against central differences, its results against torch.nn, and what it refuses."""

import re

import numpy as np
import pytest
from nn_cases import check_gradients, check_parity, random, spread

import cyconv
from cyconv import nn
from cyconv.functional import normalization

SIZES = {1: (9,), 2: (6, 7), 3: (4, 5, 4)}

CONVOLUTIONS = [  # rank, positional arguments, named ones; inputs are of SIZES
    (1, (4, 6, 3), {}),
    (1, (4, 6, 3, 2, 1, 2, 2), {}),
    (1, (2, 3, 4), {"bias": False, "padding": ((1, 3),), "stride": 3}),
    (2, (4, 6, 3), {"padding": 1}),
    (2, (4, 6, (3, 2), (2, 1), (2, 0), (1, 2), 2), {}),
    (2, (4, 4, 3), {"groups": 4, "padding": 1, "bias": False}),
    (2, (2, 2, 1), {"stride": 2}),
    (2, (2, 2, 3), {"padding": ((0, 2), (1, 0))}),
    (3, (2, 3, 2), {"stride": (1, 2, 1), "padding": (0, 1, 1)}),
    (3, (2, 2, (1, 3, 2)), {"groups": 2, "dilation": (1, 2, 1)}),
]
CONVOLUTIONS += [(2, (2, 2, 3, 2, (2, 1)), {"padding_mode": mode}) for mode in ("reflect", "replicate", "circular")]
CONVOLUTIONS += [(1, (2, 2, 4), {"padding": 2, "padding_mode": mode}) for mode in ("reflect", "replicate", "circular")]
CONVOLUTIONS += [(3, (1, 2, 2), {"padding": 1, "padding_mode": mode}) for mode in ("reflect", "replicate", "circular")]
CONVOLUTIONS += [(2, (2, 2, (3, 2)), {"padding": word}) for word in ("valid", "same", "same_upper", "same_lower", "full")]
CONVOLUTIONS += [(2, (2, 2, 3, 2), {"padding": word}) for word in ("same_upper", "same_lower", "full")]

TRANSPOSED = [
    (1, (4, 6, 3), {}),
    (1, (4, 6, 3, 2, 1, 1, 2), {}),
    (1, (2, 3, 4), {"bias": False, "padding": ((1, 3),), "stride": 3}),
    (2, (4, 6, 3, 2, 1), {}),
    (2, (4, 6, (3, 2), (3, 2), (1, 0), (2, 1), 2, True, (1, 2)), {}),
    (2, (4, 4, 3), {"groups": 4, "bias": False}),
    (3, (2, 3, 2), {"stride": (1, 2, 2), "padding": (1, 0, 1), "output_padding": (0, 1, 0)}),
    (3, (2, 2, 2), {"dilation": 2, "groups": 2}),
]

POOLS = [  # name, arguments, named ones; inputs (2, 3, *SIZES)
    ("MaxPool1d", (2,), {}),
    ("MaxPool1d", (3, 1, 1, 2), {"ceil_mode": True}),
    ("MaxPool2d", (2,), {}),
    ("MaxPool2d", ((3, 2), (2, 1), (1, 0)), {"ceil_mode": True}),
    ("MaxPool2d", (3, 1), {"dilation": (2, 3)}),
    ("MaxPool2d", (2,), {"return_indices": True}),
    ("MaxPool2d", (2, 2), {"padding": ((1, 0), (0, 1))}),
    ("MaxPool2d", (3, 2), {"padding": "same_upper"}),
    ("MaxPool3d", (2, 1), {}),
    ("MaxPool3d", ((1, 2, 3), 2, (0, 1, 1)), {"ceil_mode": True}),
    ("AvgPool1d", (2,), {}),
    ("AvgPool1d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
    ("AvgPool2d", (2,), {}),
    ("AvgPool2d", ((3, 2), (2, 1), (1, 0)), {"ceil_mode": True}),
    ("AvgPool2d", ((3, 2), 2, (1, 0)), {"ceil_mode": True, "count_include_pad": False}),
    ("AvgPool2d", (3, 1), {"divisor_override": 4}),
    ("AvgPool2d", (2, 2), {"padding": ((1, 0), (0, 1))}),
    ("AvgPool2d", (3, 2), {"padding": "same_lower", "count_include_pad": False}),
    ("AvgPool3d", (2, 1), {}),
    ("AvgPool3d", ((1, 2, 3), 2, (0, 1, 1)), {"ceil_mode": True, "count_include_pad": False}),
    ("AvgPool3d", (2,), {"divisor_override": 3}),
    ("LPPool1d", (2, 2), {}),
    ("LPPool1d", (3, 3, 2), {"ceil_mode": True}),
    ("LPPool2d", (2, 2), {}),
    ("LPPool2d", (4.0, (3, 2), (2, 1)), {"ceil_mode": True}),
    ("LPPool2d", (1, 2), {}),
    ("LPPool3d", (2, 2, 1), {}),
    ("AdaptiveMaxPool1d", (4,), {}),
    ("AdaptiveMaxPool2d", ((4, None),), {}),
    ("AdaptiveMaxPool2d", (3, True), {}),
    ("AdaptiveMaxPool3d", ((2, 3, 3),), {}),
    ("AdaptiveAvgPool1d", (4,), {}),
    ("AdaptiveAvgPool2d", ((4, None),), {}),
    ("AdaptiveAvgPool2d", (1,), {}),
    ("AdaptiveAvgPool3d", ((2, 3, 3),), {}),
]


def rank_of(name):
    return int(name[-2])


def torch_takes(options):
    padding = options.get("padding", 0)
    return padding not in ("same_upper", "same_lower", "full") and not (isinstance(padding, tuple) and isinstance(padding[0], tuple))


# ---- convolutions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "arguments", "options"), CONVOLUTIONS)
def test_gradients_of_convolutions(rank, arguments, options):
    layer = getattr(nn, f"Conv{rank}d")(*arguments, **options, dtype="float64", seed=0)
    check_gradients(layer, random((2, arguments[0], *SIZES[rank])))
    check_gradients(layer, random((arguments[0], *SIZES[rank])))


@pytest.mark.parametrize(("rank", "arguments", "options"), TRANSPOSED)
def test_gradients_of_transposed_convolutions(rank, arguments, options):
    layer = getattr(nn, f"ConvTranspose{rank}d")(*arguments, **options, dtype="float64", seed=0)
    check_gradients(layer, random((2, arguments[0], *(n - 2 for n in SIZES[rank]))))
    check_gradients(layer, random((arguments[0], *(n - 2 for n in SIZES[rank]))))


@pytest.mark.parametrize(("rank", "arguments", "options"), [case for case in CONVOLUTIONS if torch_takes(case[2])])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_convolutions_as_in_torch(torch, rank, arguments, options, dtype):
    name = f"Conv{rank}d"
    ours = getattr(nn, name)(*arguments, **options, dtype=dtype)
    if options.get("padding") == "same":
        arguments = (*arguments[:2], 3)  # torch warns of even kernels
        ours = getattr(nn, name)(*arguments, **options, dtype=dtype)
    theirs = getattr(torch.nn, name)(*arguments, **options, dtype=getattr(torch, dtype))
    assert repr(ours) == repr(theirs)
    tolerance = {} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    check_parity(torch, ours, theirs, random((3, arguments[0], *SIZES[rank]), dtype=dtype), **tolerance)


@pytest.mark.parametrize(("rank", "arguments", "options"), [case for case in TRANSPOSED if torch_takes(case[2])])
def test_transposed_convolutions_as_in_torch(torch, rank, arguments, options):
    name = f"ConvTranspose{rank}d"
    ours = getattr(nn, name)(*arguments, **options, dtype="float64")
    theirs = getattr(torch.nn, name)(*arguments, **options, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    check_parity(torch, ours, theirs, random((3, arguments[0], *SIZES[rank])))


@pytest.mark.parametrize("size", [(13, 11), (12, 10), (2, 3, 13, 10)])
def test_output_size_of_transposed_convolutions(torch, size):
    ours, theirs = nn.ConvTranspose2d(2, 3, 4, 2, 1, dtype="float64"), torch.nn.ConvTranspose2d(2, 3, 4, 2, 1, dtype=torch.float64)
    x = random((2, 2, 6, 5))
    assert ours(x, output_size=size).shape == (2, 3, *size[-2:])
    check_parity(torch, ours, theirs, x, output_size=list(size))
    check_gradients(ours.train(), x, output_size=size)


def test_impossible_output_sizes():
    layer = nn.ConvTranspose2d(2, 3, 4, 2, 1)
    x = np.zeros((1, 2, 6, 5), np.float32)
    for size in ((11, 10), (14, 10), (12, 9)):
        with pytest.raises(ValueError, match=r"^ConvTranspose2d\(.*output_size must be from 1[02] to 1[13] along an axis of [65] samples"):
            layer(x, size)
    with pytest.raises(ValueError, match="output_size must be a sequence of 2 lengths"):
        layer(x, (12,))
    with pytest.raises(TypeError, match="output_size must be a sequence of 2 lengths"):
        layer(x, 12)


@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_bounds_and_seeds_of_initial_values(name):
    layer = getattr(nn, name)(20, 30, (3, 5), groups=5, seed=1)
    bound = (layer.weight.shape[1] * 15) ** -0.5
    for values in (layer.weight, layer.bias):
        assert values.dtype == np.float32
        assert abs(values).max() <= np.float32(bound)
        assert abs(values).max() > 0.8 * bound and values.min() < 0 < values.max()
    again = getattr(nn, name)(20, 30, (3, 5), groups=5, seed=1)
    assert again.weight.tobytes() == layer.weight.tobytes() and again.bias.tobytes() == layer.bias.tobytes()
    assert getattr(nn, name)(20, 30, (3, 5), groups=5, seed=2).weight.tobytes() != layer.weight.tobytes()
    assert getattr(nn, name)(20, 30, (3, 5), groups=5).weight.tobytes() != getattr(nn, name)(20, 30, (3, 5), groups=5).weight.tobytes()
    shared = np.random.default_rng(1)
    first, second = (getattr(nn, name)(20, 30, (3, 5), groups=5, seed=shared) for _ in range(2))
    assert first.weight.tobytes() == layer.weight.tobytes() != second.weight.tobytes()
    second.reset_parameters(1)
    assert second.weight.tobytes() == layer.weight.tobytes()


def test_initial_values_spread_as_in_torch(torch):
    torch.manual_seed(0)
    for name, arguments in (("Conv2d", (16, 32, 3, 1, 0, 1, 4)), ("ConvTranspose1d", (32, 16, 5, 1, 0, 0, 4)), ("Linear", (300, 200))):
        ours, theirs = getattr(nn, name)(*arguments, seed=0), getattr(torch.nn, name)(*arguments)
        for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
            other = other.detach().numpy()
            spread_of_estimates = 5 / mine.size**0.5
            assert abs(mine).max() == pytest.approx(abs(other).max(), rel=spread_of_estimates)
            assert mine.std() == pytest.approx(other.std(), rel=spread_of_estimates)


def test_what_layers_pass_on(monkeypatch):
    layer = nn.Conv2d(1, 1, 3, algorithm="direct", precision="strict", max_workspace=12345, seed=0)
    assert repr(layer).endswith("stride=(1, 1), algorithm=direct, precision=strict, max_workspace=12345)")
    seen = {}
    monkeypatch.setattr(nn.Conv2d, "_convolve", staticmethod(lambda *a, **k: seen.update(k) or cyconv.conv2d(*a, **k)))
    layer(np.ones((1, 1, 4, 4), np.float32))
    assert (seen["algorithm"], seen["precision"], seen["max_workspace"]) == ("direct", "strict", 12345)


BAD_CONVOLUTIONS = [
    ((0, 1, 3), {}, ValueError, "in_channels must be at least 1, got 0"),
    ((1, 2.0, 3), {}, TypeError, "out_channels must be an int, got 2.0"),
    ((1, 2, (3, 3, 3)), {}, ValueError, "kernel_size must be an int or a tuple of 2 ints"),
    ((1, 2, 0), {}, ValueError, "kernel_size must be at least 1"),
    ((1, 2, 3, 0), {}, ValueError, "stride must be at least 1"),
    ((1, 2, 3, 1, -1), {}, ValueError, "padding must be at least 0"),
    ((1, 2, 3, 1, "some"), {}, ValueError, "padding must be one of 'valid', 'same'"),
    ((1, 2, 3, 2, "same"), {}, ValueError, "padding='same' needs stride 1, got stride \\(2, 2\\)"),
    ((1, 2, 3, 1, 0, 0), {}, ValueError, "dilation must be at least 1"),
    ((4, 2, 3, 1, 0, 1, 3), {}, ValueError, "groups must divide in_channels, got groups 3 and in_channels 4"),
    ((4, 2, 3, 1, 0, 1, 4), {}, ValueError, "groups must divide out_channels, got groups 4 and out_channels 2"),
    ((1, 2, 3, 1, 0, 1, 1, 1), {}, TypeError, "bias must be True or False, got 1"),
    ((1, 2, 3), {"padding_mode": "mirror"}, ValueError, "padding_mode must be one of 'zeros'"),
    ((1, 2, 3), {"dtype": "int32"}, TypeError, "the layer has dtype int32"),
    ((1, 2, 3), {"seed": 1.5}, TypeError, "seed must be None, an int or a numpy.random.Generator, got 1.5"),
    ((1, 2, 3), {"algorithm": "quick"}, ValueError, "algorithm must be one of 'auto', 'direct'"),
    ((1, 2, 3), {"precision": "high"}, ValueError, "precision must be one of"),
    ((1, 2, 3), {"max_workspace": -1}, ValueError, "max_workspace must be at least 0"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD_CONVOLUTIONS)
def test_constructors_of_convolutions_refuse(arguments, options, error, message):
    with pytest.raises(error, match=message):
        nn.Conv2d(*arguments, **options)


def test_constructors_of_transposed_convolutions_refuse():
    with pytest.raises(ValueError, match="output_padding must be smaller than stride or dilation; got 2 with stride 2 and dilation 1"):
        nn.ConvTranspose2d(1, 1, 3, 2, 0, (1, 2))
    with pytest.raises(TypeError, match="padding must be an int, 2 ints, 2 \\(before, after\\) pairs, got 'same'"):
        nn.ConvTranspose2d(1, 1, 3, padding="same")


# ---- pools ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments", "options"), POOLS)
def test_gradients_of_pools(name, arguments, options):
    layer = getattr(nn, name)(*arguments, **options)
    x = spread((2, 3, *SIZES[rank_of(name)]))
    x = abs(x) if name.startswith("LP") else x  # so that no root is of a negative number
    check_gradients(layer, x, rtol=1e-5)
    check_gradients(layer, x[0], rtol=1e-5)


@pytest.mark.parametrize(("name", "arguments", "options"), [case for case in POOLS if torch_takes(case[2])])
def test_pools_as_in_torch(torch, name, arguments, options):
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    if "1d" not in name and not name.startswith("LP") and not options:
        assert repr(ours) == repr(theirs)
    x = spread((2, 3, *SIZES[rank_of(name)]))
    check_parity(torch, ours, theirs, abs(x) if name.startswith("LP") else x)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpools(torch, rank):
    x = spread((2, 3, *SIZES[rank]))
    pool, unpool = getattr(nn, f"MaxPool{rank}d")(2, return_indices=True), getattr(nn, f"MaxUnpool{rank}d")(2)
    values, indices = pool.eval()(x)
    check_gradients(unpool, values, indices, output_size=x.shape)
    check_gradients(unpool, values[0], indices[0], output_size=x.shape[2:])
    check_parity(torch, unpool, getattr(torch.nn, f"MaxUnpool{rank}d")(2), values, indices, output_size=x.shape)
    assert repr(nn.MaxUnpool2d(3, 2, 1)) == "MaxUnpool2d(kernel_size=3, stride=2, padding=1)"
    with pytest.raises(ValueError, match=f"^MaxUnpool{rank}d.*: indices must have the input's shape"):
        unpool(values, indices[:1])


def test_indices_are_made_only_where_they_are_needed(monkeypatch):
    asked = []
    real = cyconv.max_pool2d
    monkeypatch.setattr(nn.MaxPool2d, "_pool", staticmethod(lambda *a: asked.append(a[-1]) or real(*a)))
    x = spread((1, 1, 4, 4))
    pool = nn.MaxPool2d(2)
    pool(x)
    pool.eval()
    assert type(pool(x)) is np.ndarray
    net = nn.Sequential(pool)  # in training, of a layer that is not
    net(x)
    net.eval()(x)
    nn.MaxPool2d(2, return_indices=True).eval()(x)
    assert asked == [True, False, True, False, True]
    np.testing.assert_array_equal(pool(x), real(x, 2))


BAD_POOLS = [
    ("MaxPool2d", (0,), ValueError, "kernel_size must be at least 1"),
    ("MaxPool2d", (2, 0), ValueError, "stride must be at least 1"),
    ("MaxPool2d", (2, 2, "same"), TypeError, "padding must be an int, 2 ints"),
    ("MaxPool2d", (2, 2, 0, 0), ValueError, "dilation must be at least 1"),
    ("MaxPool2d", (2, 2, 0, 1, 1), TypeError, "return_indices must be True or False"),
    ("MaxPool2d", (2, 2, 0, 1, False, 0), TypeError, "ceil_mode must be True or False"),
    ("AvgPool2d", (2, 2, 0, False, True, 0), ValueError, "divisor_override must be a non-zero int or None, got 0"),
    ("AvgPool2d", (2, 2, 0, False, 1), TypeError, "count_include_pad must be True or False"),
    ("LPPool2d", (0, 2), ValueError, "norm_type must be a real number other than 0"),
    ("LPPool2d", ("2", 2), TypeError, "norm_type must be a real number other than 0"),
    ("AdaptiveAvgPool2d", ((1, 2, 3),), ValueError, "output_size must be an int, None, or a tuple of 2 of them, got 3 values"),
    ("AdaptiveMaxPool1d", (1.5,), TypeError, "output_size must be an int, None, or a tuple of one of them, got 1.5"),
    ("MaxUnpool2d", (2, 2, -1), ValueError, "padding must be at least 0"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), BAD_POOLS)
def test_constructors_of_pools_refuse(name, arguments, error, message):
    with pytest.raises(error, match=message):
        getattr(nn, name)(*arguments)


# ---- linear, and layers without parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(4,), (), (2, 3), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(torch, lead, bias):
    ours, theirs = nn.Linear(5, 3, bias, dtype="float64", seed=0), torch.nn.Linear(5, 3, bias, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    check_gradients(ours, random((*lead, 5)))
    check_parity(torch, ours.train(), theirs, random((*lead, 5)))


def test_frozen_linear_layers_have_no_gradients(monkeypatch):
    layer = nn.Linear(3, 2, seed=0)
    layer.weight.requires_grad = layer.bias.requires_grad = False
    for name in ("conv1d_weight", "conv1d_bias"):
        monkeypatch.setattr(cyconv.grad, name, None)
    assert layer.backward(layer(np.ones((1, 3), np.float32))).shape == (1, 3)


def test_linear_has_the_same_bits_on_any_number_of_threads():
    layer = nn.Linear(300, 200, seed=0)
    x, g = random((64, 300), dtype="float32"), random((64, 200), dtype="float32")
    seen = set()
    for count in (1, 2, 3):
        with cyconv.threads(count):
            layer.zero_grad()
            y = layer(x)
            seen.add((y.tobytes(), layer.backward(g).tobytes(), layer.weight.grad.tobytes(), layer.bias.grad.tobytes()))
    assert len(seen) == 1
    np.testing.assert_allclose(y, x @ layer.weight.T + layer.bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [nn.Flatten(), nn.Flatten(0, 1), nn.Flatten(-2), nn.Flatten(2, 2), nn.Identity(), nn.ReLU()], ids=repr)
def test_layers_without_parameters(torch, layer):
    theirs = getattr(torch.nn, type(layer).__name__)(**{k: v for k, v in vars(layer).items() if k.endswith("_dim")})
    assert repr(layer) == repr(theirs)
    check_gradients(layer, spread((2, 3, 4)))
    check_parity(torch, layer, theirs, spread((2, 3, 4)))


def test_relu_keeps_dtypes_and_nan():
    for dtype in ("float16", "float32", "float64", "int8"):
        y = nn.ReLU()(np.array([-1, 0, 2], dtype))
        assert y.dtype == dtype and y.tolist() == [0, 0, 2]
    relu = nn.ReLU()
    x = np.array([np.nan, -np.inf, np.inf, 0.0])
    np.testing.assert_array_equal(relu(x), [np.nan, 0, np.inf, 0])
    np.testing.assert_array_equal(relu.backward(np.array([1.0, 1.0, 1.0, 1.0])), [0, 0, 1, 0])


def test_dropout():
    x = random((200, 100), dtype="float32")
    layer = nn.Dropout(0.25, seed=3)
    y = layer(x)
    dropped = y == 0
    assert y.dtype == np.float32 and abs(dropped.mean() - 0.25) < 0.01
    np.testing.assert_allclose(y[~dropped], x[~dropped] / 0.75, rtol=1e-6)
    g = random(x.shape, 1, "float32")
    np.testing.assert_allclose(layer.backward(g), np.where(dropped, 0, g / np.float32(0.75)), rtol=1e-6)
    assert (nn.Dropout(0.25, seed=3)(x) == y).all() and (nn.Dropout(0.25, seed=3)(x) == layer(x)).mean() < 0.9
    np.testing.assert_array_equal(layer.eval()(x), x)
    assert (nn.Dropout(1.0)(x) == 0).all() and (nn.Dropout(0.0)(x) == x).all()
    net = nn.Sequential(layer)  # a layer in eval mode inside of a network in training
    net(x)
    np.testing.assert_array_equal(net.backward(g), g)
    assert repr(layer) == "Dropout(p=0.25)"
    for dtype in ("float16", "float64"):
        y = nn.Dropout(0.7)(np.ones(100, dtype))
        assert y.dtype == dtype and set(y) == {0, np.dtype(dtype).type(1 / (1 - 0.7))}
    for bad, error in ((-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("a", TypeError), (True, TypeError)):
        with pytest.raises(error, match="p must be"):
            nn.Dropout(bad)
    with pytest.raises(TypeError, match=r"^0 Dropout\(p=0.25\): input has dtype int64"):
        layer.train()(np.ones(3, int))


# ---- batch normalisation -------------------------------------------------------------------------------------------------

NORMS = [("BatchNorm1d", (5, 3)), ("BatchNorm1d", (3, 3, 4)), ("BatchNorm2d", (2, 3, 3, 4)), ("BatchNorm3d", (2, 3, 2, 3, 2))]


@pytest.mark.parametrize(("name", "shape"), NORMS)
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": None, "eps": 0.1}], ids=str)
def test_batch_norm(torch, name, shape, options):
    ours, theirs = getattr(nn, name)(3, **options, dtype="float64"), getattr(torch.nn, name)(3, **options, dtype=torch.float64)
    assert repr(ours) == re.sub("bias=(True|False), ", "", repr(theirs))  # which newer versions have, too
    for layer in (ours, theirs):
        if layer.weight is not None:
            with torch.no_grad():
                layer.weight[...] = layer.weight + torch.arange(3.0).numpy() if layer is ours else layer.weight + torch.arange(3.0)
    check_gradients(ours, random(shape) * 3 + 7)
    ours.train()
    check_parity(torch, ours, theirs, random(shape) * 3 + 7)
    for seed in range(3):  # running averages over several batches
        x = random(shape, seed)
        ours.train()(x), theirs.train()(torch.from_numpy(x))
    x = random(shape, 5)
    np.testing.assert_allclose(ours.eval()(x), theirs.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "shape"), NORMS)
def test_batch_norm_in_eval_mode_inside_of_a_network_in_training(torch, name, shape):
    ours, theirs = getattr(nn, name)(3, dtype="float64"), getattr(torch.nn, name)(3, dtype=torch.float64)
    ours(random(shape)), theirs(torch.from_numpy(random(shape)))
    before = ours.state_dict()
    ours.eval(), theirs.eval()
    net, twin = nn.Sequential(ours), torch.nn.Sequential(theirs)
    net.training = True
    x, g = random(shape, 1), random(shape, 2)
    tensor = torch.from_numpy(x).requires_grad_()
    net(x), twin(tensor).backward(torch.from_numpy(g))
    np.testing.assert_allclose(net.backward(g), tensor.grad.numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.bias.grad, theirs.bias.grad.numpy(), rtol=1e-9)
    net.zero_grad()
    check_gradients(net, x)
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_batch_norm_far_from_zero():
    """Means that single precision does not have, and whose squares would leave nothing of the variance."""
    x = (random((8, 2, 5, 5)) + [[[1e6]], [[-3e6]]]).astype("float32")
    rounding = abs(x.mean((0, 2, 3), dtype="float64") - x.mean((0, 2, 3), dtype="float64").astype("float32"))
    assert rounding.max() > 0.05
    layer, exact = nn.BatchNorm2d(2), nn.BatchNorm2d(2, dtype="float64")
    np.testing.assert_allclose(layer(x), exact(x.astype("float64")), atol=1e-5)
    np.testing.assert_allclose(layer.running_var, exact.running_var, rtol=1e-6)
    g = random(x.shape, 1, "float32")
    np.testing.assert_allclose(layer.backward(g), exact.backward(g.astype("float64")), atol=1e-5)
    np.testing.assert_allclose(layer.weight.grad, exact.weight.grad, rtol=1e-5)


def test_batch_norm_of_single_and_half_precision():
    x = random((4, 3, 5, 5))
    want = nn.BatchNorm2d(3, dtype="float64")(x)
    for dtype, tolerance in (("float32", 1e-6), ("float16", 5e-3)):
        layer = nn.BatchNorm2d(3, dtype=dtype)
        y = layer(x.astype(dtype))
        assert y.dtype == dtype and layer.backward(y).dtype == dtype and layer.weight.grad.dtype == dtype
        np.testing.assert_allclose(y, want, atol=tolerance, rtol=tolerance)


def test_batch_norm_refuses():
    layer = nn.BatchNorm2d(3)
    name = r"^BatchNorm2d\(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True\): "
    with pytest.raises(ValueError, match=name + r"input must have shape \(N, C, H, W\) with 3 channels, got \(1, 4, 2, 2\)"):
        layer(np.zeros((1, 4, 2, 2), np.float32))
    with pytest.raises(ValueError, match=name + r"input must have shape \(N, C, H, W\), got \(3, 4\)"):
        layer(np.zeros((3, 4), np.float32))
    with pytest.raises(TypeError, match=name + "input must have the layer's dtype float32, got float64"):
        layer(np.zeros((2, 3, 2, 2)))
    with pytest.raises(ValueError, match=name + r"a variance needs more than one value per channel, got an input of shape \(1, 3, 1, 1\)"):
        layer(np.zeros((1, 3, 1, 1), np.float32))
    assert layer.num_batches_tracked == 0
    assert layer.eval()(np.zeros((1, 3, 1, 1), np.float32)).shape == (1, 3, 1, 1)
    assert layer(np.zeros((0, 3, 2, 2), np.float32)).shape == (0, 3, 2, 2)
    with pytest.raises(ValueError, match="a variance needs more than one value"):
        nn.BatchNorm2d(3, track_running_stats=False).eval()(np.zeros((1, 3, 1, 1), np.float32))
    with pytest.raises(ValueError, match="momentum must be from 0 to 1"):
        nn.BatchNorm2d(3, momentum=2)
    with pytest.raises(ValueError, match="num_features must be at least 1"):
        nn.BatchNorm2d(0)


# ---- what errors say -----------------------------------------------------------------------------------------------------


def test_errors_name_the_layer():
    net = nn.Sequential({"features": nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 16, 5))})
    with pytest.raises(ValueError, match=r"^features\.3 Conv2d\(5, 16, kernel_size=\(5, 5\), stride=\(1, 1\)\): ") as caught:
        net(np.zeros((1, 1, 28, 28), np.float32))
    assert "is for an input of 5 channels; input of shape (1, 6, 12, 12) has 6" in str(caught.value)
    assert str(caught.value).count("Conv2d") == 1
    assert type(caught.value.__cause__) is ValueError and str(caught.value.__cause__).startswith("weight of shape")
    with pytest.raises(TypeError, match=r"^features\.0 Conv2d\(.*\): input, weight and bias must have the same dtype"):
        net(np.zeros((1, 1, 28, 28)))
    with pytest.raises(ValueError, match=r"^features\.0 Conv2d\(.*\): input of conv2d must have shape"):
        net.features[0](np.zeros(3, np.float32))  # a layer on its own knows where it is, too
    with pytest.raises(TypeError, match="^features Sequential: .*takes 2 positional arguments but 3 were given"):
        net.features(1, 2)


def test_errors_of_linear():
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(5, 2))
    with pytest.raises(ValueError, match=r"^1 Linear\(in_features=5, out_features=2, bias=True\): input must be \(\.\.\., 5\) .* \(2, 3\)"):
        net(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"^Linear\(.*\): input must be \(\.\.\., 4\) for a weight of shape \(3, 4\), got shape \(\)"):
        nn.Linear(4, 3)(np.float32(1))
    with pytest.raises(ValueError, match="in_features must be at least 1"):
        nn.Linear(0, 1)


def test_errors_of_flatten():
    with pytest.raises(ValueError, match=r"^Flatten\(start_dim=1, end_dim=-1\): the input must have axes 1 to -1, in .* got shape \(3,\)"):
        nn.Flatten()(np.zeros(3))
    with pytest.raises(TypeError, match="start_dim must be an int"):
        nn.Flatten(1.0)


LAYERS = [
    (nn.Conv2d(2, 3, 3), (2, 2, 6, 6)),
    (nn.ConvTranspose2d(2, 3, 3), (2, 2, 6, 6)),
    (nn.MaxPool2d(2), (2, 2, 6, 6)),
    (nn.AvgPool2d(2), (2, 2, 6, 6)),
    (nn.LPPool2d(2, 2), (2, 2, 6, 6)),
    (nn.AdaptiveMaxPool2d(2), (2, 2, 6, 6)),
    (nn.AdaptiveAvgPool2d(2), (2, 2, 6, 6)),
    (nn.Linear(6, 3), (2, 6)),
    (nn.Flatten(), (2, 2, 6)),
    (nn.Identity(), (2, 2)),
    (nn.ReLU(), (2, 2)),
    (nn.Dropout(), (2, 2)),
    (nn.BatchNorm2d(2), (2, 2, 6, 6)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: type(value).__name__)
def test_backward_refuses_what_does_not_fit(layer, shape):
    net = nn.Sequential({"part": nn.Sequential(layer)})
    label = rf"^part\.0 {type(layer).__name__}\(.*\): "
    y = net(random(shape, dtype="float32"))
    with pytest.raises(ValueError, match=label + rf"grad_output must have the output's shape {re.escape(str(y.shape))}, got \(1, 2\)"):
        net.backward(np.zeros((1, 2), np.float32))
    with pytest.raises(TypeError, match=label + "grad_output must have the output's dtype float32, got float64"):
        net.backward(np.zeros(y.shape))
    assert net.backward(y).shape == shape  # what was kept is still there
    with pytest.raises(ValueError, match=label + "backward was called twice for one call"):
        net.backward(y)
    net.eval()(random(shape, dtype="float32"))
    with pytest.raises(ValueError, match=label + "backward needs a call in training mode before it; the layer is in eval mode"):
        net.backward(y)


def test_backward_before_forward():
    with pytest.raises(ValueError, match=r"^ReLU\(\): backward needs a call in training mode before it; forward has not been called"):
        nn.ReLU().backward(np.zeros(3))


def test_a_variance_needs_a_positive_eps_or_none():
    with pytest.raises(ValueError, match="eps must be at least 0, got -1.0"):
        nn.BatchNorm1d(2, eps=-1.0)
    with pytest.raises(ValueError, match="eps must be at least 0"):
        normalization.batch_norm(np.zeros((2, 2)), None, None, eps=-1e-5)



@pytest.mark.parametrize("layer", [nn.ReLU(inplace=True), nn.Dropout(0.5, inplace=True, seed=0)])
def test_layers_that_write_over_their_input(layer):
    x = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")
    given, g = x.copy(), np.ones((4, 5), "float32")
    y = layer(given)
    assert y is given and not np.array_equal(given, x)
    np.testing.assert_array_equal(layer.backward(g) != 0, y != 0)
    assert "inplace=True" in repr(layer)
    given.flags.writeable = False
    with pytest.raises(ValueError, match=r"inplace=True\): .*writable"):
        layer(given)
    with pytest.raises(TypeError, match="plain numpy array"):
        layer([1.0, -1.0])


def test_batch_norm_without_a_bias():
    layer = nn.BatchNorm2d(3, bias=False)
    assert layer.bias is None and [name for name, _ in layer.named_parameters()] == ["weight"]
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype("float32")
    np.testing.assert_array_equal(layer(x), nn.BatchNorm2d(3)(x))
    assert nn.BatchNorm2d(3, affine=False).bias is None

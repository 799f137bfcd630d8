"""cyconv.nn.receptive_field against gradients that are not zero, and cyconv.nn.summary against forwards and numbers worked out by hand."""

import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from nn_cases import lenet, residual

from cyconv import nn
from cyconv.pool_problem import max_pool_problem
from cyconv.problem import conv_problem
from cyconv.select import choose, choose_pool

STRICT = {"dtype": "float64", "precision": "strict"}  # algorithms that leave exact zeros where no tap reaches


# ---- receptive fields against gradients ----------------------------------------------------------------------------------


def positive(net, seed=0):
    """The net with weights above 0, so that no gradient vanishes where there is a path."""
    rng = np.random.default_rng(seed)
    for parameter in net.parameters():
        parameter[...] = rng.uniform(0.5, 1, parameter.shape)
    return net


def box(gradient, rank):
    """The bounding box of what is not zero."""
    found = np.nonzero(gradient.reshape(-1, *gradient.shape[-rank:]).any(0))
    return tuple(slice(int(i.min()), int(i.max()) + 1) if len(i) else slice(0, 0) for i in found)


def seen(net, x, position, rank):
    """The same of the gradient of one unit: all channels of one item."""
    y = net(x)
    g = np.zeros_like(y)
    g[(0, slice(None), *position)] = 1
    return box(net.backward(g), rank)


class Ones(nn.Module):
    """Sums of the windows of a max pool, whose gradients reach all of their samples."""

    def __init__(self, channels, rank, kernel_size, stride, padding, dilation):
        self.conv = getattr(nn, f"Conv{rank}d")(channels, channels, kernel_size, stride, padding, dilation, channels, **STRICT)

    def forward(self, x):
        return self.conv(x)

    def backward(self, grad_output, *, input_grad=True):
        return self.conv.backward(grad_output)


def random_layer(rng, rank, channels):
    """A layer, one with the same windows whose gradients reach all of them, and the channels after it."""

    def ints(low, high):
        return tuple(int(i) for i in rng.integers(low, high + 1, rank))

    def make(name, *arguments, **options):
        return getattr(nn, f"{name}{rank}d")(*arguments, **options)

    kind = rng.choice(["conv", "conv", "conv", "transposed", "average", "max", "ceil", "lp", "relu", "norm", "adaptive"])
    kernel, stride, dilation = ints(1, 4), ints(1, 3), ints(1, 3)
    if kind == "conv":
        mode = str(rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"]))
        padding = [ints(0, 2), tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2))), "same_upper", "same_lower", "full"]
        groups = int(rng.choice([1, channels]))
        layer = make("Conv", channels, 2 * groups, kernel, stride, padding[rng.integers(5)], dilation, groups, padding_mode=mode, **STRICT)
        return layer, layer, 2 * groups
    if kind == "transposed":
        rest = tuple(int(rng.integers(max(s, d))) for s, d in zip(stride, dilation))
        groups = int(rng.choice([1, channels]))
        layer = make("ConvTranspose", channels, 2 * groups, kernel, stride, ints(0, 2), rest, groups, True, dilation, **STRICT)
        return layer, layer, 2 * groups
    half = tuple(int(rng.integers(k // 2 + 1)) for k in kernel)
    if kind == "average":
        words = [half, "same_upper", "same_lower"]
        layer = make("AvgPool", kernel, stride, words[rng.integers(3)], bool(rng.integers(2)), bool(rng.integers(2)))
        return layer, layer, channels
    if kind == "max":
        return make("MaxPool", kernel, stride, half, dilation), Ones(channels, rank, kernel, stride, half, dilation), channels
    if kind == "ceil":
        return make("MaxPool", kernel, stride, half, ceil_mode=True), make("AvgPool", kernel, stride, half, ceil_mode=True), channels
    if kind == "adaptive":
        size = ints(1, 6)
        return make("AdaptiveMaxPool", size), make("AdaptiveAvgPool", size), channels
    layer = {
        "lp": lambda: make("LPPool", 2, kernel, stride, bool(rng.integers(2))),
        "relu": nn.ReLU,
        "norm": lambda: make("BatchNorm", channels, dtype="float64").eval(),
    }[kind]()
    return layer, layer, channels


def random_net(seed, rank, count):
    """A network, its twin without maxima, and an input; layers that nothing is left for are left out."""
    rng, channels = np.random.default_rng(seed), 2
    x = y = rng.uniform(1, 2, (2, channels, *rng.integers({1: 12, 2: 8, 3: 5}[rank], {1: 40, 2: 14, 3: 8}[rank], rank)))
    layers, twins = [], []
    while len(layers) < count:
        layer, twin, more = random_layer(rng, rank, channels)
        try:
            layer(y)
            z = positive(twin)(y)
        except ValueError:
            continue
        if z.size < 4000:
            y, channels = z, more
            layers.append(layer), twins.append(twin)
    return nn.Sequential(*layers), nn.Sequential(*twins), x, y.shape[2:]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed, rank):
    net, twin, x, size = random_net(seed, rank, 1 + seed % 5)
    rng = np.random.default_rng(seed)
    positions = [tuple(int(i) for i in rng.integers(size)) for _ in range(3)]
    positions += list(itertools.product(*({0, n - 1} for n in size)))[:4] + [tuple(n - 1 for n in size)]
    for position in positions:
        found = nn.receptive_field(net, position, x.shape)
        assert found == seen(twin, x, position, rank), (net, x.shape, position)
        if hasattr(net[0], "_rank"):  # which tells whether there is a batch
            assert nn.receptive_field(net, position, x.shape[1:]) == found
    plain = not any(getattr(layer, "padding_mode", "zeros") != "zeros" for layer in net)
    needy = any(isinstance(getattr(layer, "padding", 0), str) or hasattr(layer, "output_size") for layer in net)
    if plain and not needy:
        for position, n in itertools.product(positions, [x.shape[2:]]):
            wider = nn.receptive_field(net, position)
            for inner, outer, length in zip(nn.receptive_field(net, position, x.shape), wider, n):
                assert max(outer.start, 0) <= inner.start and inner.stop <= min(outer.stop, length) or inner == slice(0, 0)


def test_max_pools_with_real_maxima():
    net = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, dilation=2, stride=1))
    rng = np.random.default_rng(0)
    for position in ((0, 0), (1, 2), (3, 2)):
        sums = np.zeros((11, 10))
        for _ in range(300):
            y = net(rng.random((1, 1, 11, 10)))
            g = np.zeros_like(y)
            g[(0, 0, *position)] = 1
            sums += net.backward(g)[0, 0]
        assert nn.receptive_field(net, position, (1, 11, 10)) == box(sums, 2)


def test_holes_and_padding_end_what_is_seen():
    hole = nn.Sequential(nn.Conv1d(1, 1, 1, 3), nn.Conv1d(1, 1, 3, 1, 1, dilation=2))  # unit 0 reads -1, which is padding, 1 and 3
    assert nn.receptive_field(hole, 0, (1, 30)) == (slice(3, 10),)
    assert nn.receptive_field(hole, 0) == (slice(-3, 10),)
    beside = nn.Conv1d(1, 1, 1, padding=1)
    assert nn.receptive_field(beside, 0, (1, 5)) == (slice(0, 0),)
    assert nn.receptive_field(beside, 0) == (slice(-1, 0),)
    between = nn.ConvTranspose1d(1, 1, 1, 2)  # odd outputs are its bias
    assert nn.receptive_field(between, 2) == nn.receptive_field(between, 2, (1, 5)) == (slice(1, 2),)
    assert nn.receptive_field(between, 1) == nn.receptive_field(between, 1, (1, 5)) == (slice(0, 0),)
    circle = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
    assert nn.receptive_field(circle, 0, (1, 9)) == (slice(0, 9),)
    assert nn.receptive_field(circle, 0) == (slice(-1, 2),)
    mirror = nn.Conv1d(1, 1, 3, padding=2, padding_mode="reflect", stride=3)
    assert nn.receptive_field(mirror, 0, (1, 9)) == (slice(0, 3),)


def block_of(inputs, outputs, stride):
    block = positive(nn.BasicBlock(inputs, outputs, stride, dtype="float64"))
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.precision = "strict"
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return block


@pytest.mark.parametrize("blocks", [[(2, 2, 1)], [(2, 3, 2)], [(2, 3, 2), (3, 3, 1), (3, 4, (1, 2))]])
def test_residual_blocks(blocks):
    net = nn.Sequential(*(block_of(*each) for each in blocks))
    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 17, 14))
    size = net(x).shape[2:]
    for position in [(0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, 1)]:
        assert nn.receptive_field(net, position, x.shape) == seen(net, x, position, 2)


def test_a_shortcut_alone():
    """Where a block's own branch sees less than its shortcut, the union is seen."""

    class Far(nn.Module):
        def __init__(self):
            self.near, self.far = nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 2, padding=(((0, 4),)), dilation=4)

        def trace(self, flow):
            return self.near.trace(flow) + self.far.trace(flow)

    assert nn.receptive_field(Far(), 3) == nn.receptive_field(Far(), 3, (1, 20)) == (slice(3, 8),)
    block = block_of(2, 3, 1)
    block.downsample = positive(nn.Conv2d(2, 3, (3, 9), padding=(1, 4), **STRICT))
    x = np.random.default_rng(0).uniform(1, 2, (1, 2, 9, 15))
    assert nn.receptive_field(block, (4, 7), x.shape) == seen(block, x, (4, 7), 2) == (slice(2, 7), slice(3, 12))


def test_sums_and_joins_of_parts():
    class Parts(nn.Module):
        def __init__(self, join):
            self.join, self.whole, self.up = join, nn.Conv1d(1, 1, 3, padding=1), nn.ConvTranspose1d(1, 1, 3, 2, 1, 1)
            self.half, self.flatten = nn.AvgPool1d(2), nn.Flatten()

        def trace(self, flow):
            whole, again = self.whole.trace(flow), self.up.trace(self.half.trace(flow))
            return self.flatten.trace(whole.joined(again, axis=self.join)) if self.join else whole + again

    for channel_or_place in (1, -1):
        net = Parts(channel_or_place)
        assert nn.summary(net, (1, 1, 8)).layers[-1].output_shape == (1, 16)
        assert [nn.receptive_field(net, f, (1, 1, 8)) for f in (3, 8, 11)] == [(slice(2, 5),), (slice(0, 2),), (slice(2, 6),)]
    joined = Parts(1)
    joined.flatten = nn.Identity()
    for net in (Parts(None), joined):
        field = nn.summary(nn.Sequential(net, nn.ReLU()), (1, 1, 8)).layers[-1].field[0]
        assert (field.size, field.stride, field.offset) == (4, 1, -1)  # unit 2u sees 2u - 1 to 2u + 1, unit 2u + 1 sees 2u to 2u + 3


class Net(nn.Module):
    """A module of one's own with a skip connection that is concatenated."""

    def __init__(self):
        self.down, self.up = nn.Conv2d(2, 3, 3, 2, 1, **STRICT), nn.ConvTranspose2d(3, 1, 2, 2, **STRICT)
        self.last = nn.Conv2d(3, 1, (1, 2), **STRICT)

    def forward(self, x):
        return self.last(np.concatenate([x, self.up(self.down(x))], axis=1))

    def backward(self, grad_output, *, input_grad=True):
        g = self.last.backward(grad_output)
        return g[:, :2] + self.down.backward(self.up.backward(np.ascontiguousarray(g[:, 2:])))

    def trace(self, flow):
        return self.last.trace(flow.joined(self.up.trace(self.down.trace(flow))))


def test_a_module_of_ones_own():
    net, x = positive(Net()), np.random.default_rng(0).uniform(1, 2, (1, 2, 8, 10))
    for position in ((0, 0), (7, 8), (3, 4)):
        assert nn.receptive_field(net, position, x.shape) == seen(net, x, position, 2)
    assert nn.receptive_field(net, (3, 4)) == (slice(1, 4), slice(3, 6))
    rows = nn.summary(net, x.shape).layers
    assert [row.path for row in rows] == ["down", "up", "last"]
    assert [row.output_shape for row in rows] == [(1, 3, 4, 5), (1, 1, 8, 10), (1, 1, 8, 9)]
    with pytest.raises(ValueError, match=r"^Net: arrays of shapes .* cannot be joined along axis 1"):
        nn.receptive_field(net, (0, 0), (2, 7, 10))


def test_features():
    net = positive(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, **STRICT), nn.Flatten(), nn.Linear(2 * 5 * 4, 3, dtype="float64")))
    x = np.random.default_rng(0).uniform(1, 2, (2, 1, 5, 4))
    everything = (slice(0, 5), slice(0, 4))
    for size in (x.shape, x.shape[1:]):
        assert nn.receptive_field(net, 2, size) == nn.receptive_field(net, (), size) == everything
    assert nn.receptive_field(net[:2], (), x.shape) == everything
    for feature in range(40):
        y = net[:2](x)
        g = np.zeros_like(y)
        g[0, feature] = 1
        assert nn.receptive_field(net[:2], feature, x.shape) == box(net[:2].backward(g), 2)
    assert nn.receptive_field(nn.Linear(7, 2), 1, (5, 7)) == nn.receptive_field(nn.Linear(7, 2), (), (7,)) == (slice(0, 7),)
    along = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Linear(6, 4))  # of the last axis of (N, C, L)
    assert nn.receptive_field(along, 3, (1, 2, 8)) == (slice(0, 8),)
    line = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 1, 3, padding=1))  # rows of a picture in one
    assert nn.receptive_field(line, 7, (1, 1, 5, 4)) == (slice(1, 3), slice(0, 4))
    assert nn.receptive_field(line, 0, (1, 1, 5, 4)) == (slice(0, 1), slice(0, 2))
    alone = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(0))
    assert nn.receptive_field(alone, 17, (1, 5, 4)) == (slice(4, 5), slice(1, 2))


def test_what_needs_no_size():
    net = nn.Sequential(nn.Conv2d(1, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Identity(), nn.MaxPool2d(3, 2, 1))
    assert nn.receptive_field(net, (0, 3)) == (slice(-5, 6), slice(7, 18))
    assert nn.receptive_field(nn.Conv1d(1, 1, 4, padding="same"), np.int64(0)) == (slice(-1, 3),)
    assert nn.receptive_field(nn.Conv1d(1, 1, 4, padding="full"), [5]) == (slice(2, 6),)
    assert nn.receptive_field(nn.Sequential(), (4, 5)) == (slice(4, 5), slice(5, 6))
    with pytest.raises(ValueError, match=r"^1 Conv2d\(.*its output has 2 spatial axes, but the layers behind it are for 1"):
        nn.receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv2d(1, 1, 3)), 0)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Linear(4, 2), r"^1 Linear\(in_features=4.*input_size is needed"),
        (nn.Flatten(), r"^1 Flatten\(.*input_size is needed"),
        (nn.AdaptiveAvgPool2d(2), r"^1 AdaptiveAvgPool2d\(.*input_size is needed"),
        (nn.Conv2d(2, 2, 3, 2, "same_upper"), r"^1 Conv2d\(.*input_size is needed"),
        (nn.MaxPool2d(3, 2, "same_lower"), r"^1 MaxPool2d\(.*input_size is needed"),
        (nn.MaxUnpool2d(2), r"^1 MaxUnpool2d\(.*a matter of indices"),
    ],
)
def test_layers_that_need_the_size(layer, text):
    net = nn.Sequential(nn.Conv2d(1, 2, 1), layer)
    with pytest.raises(ValueError, match=text):
        nn.receptive_field(net, (0, 0))


class Plain(nn.Module):
    def forward(self, x):
        return x


class Changed(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


def test_modules_without_a_trace():
    for make in (Plain, lambda: Changed(nn.ReLU())):
        for call in (lambda net: nn.receptive_field(net, (0, 0)), lambda net: nn.summary(net, (1, 1, 4, 4))):
            module = make()  # of one network alone: which of several it is named after hangs on which of them are still there
            with pytest.raises(TypeError, match=rf"^a\.0 {type(module).__name__}.* has no trace .*define trace\(self, flow\)"):
                call(nn.Sequential({"a": nn.Sequential(module)}))


def test_bad_arguments():
    conv = nn.Conv2d(1, 1, 3)
    cases = [
        ((conv, (0, 6), (1, 8, 8)), ValueError, r"position \(0, 6\) is not within the output, whose shape is \(1, 6, 6\)"),
        ((conv, 0, (1, 8, 8)), ValueError, r"position must have 2 ints for an output of shape \(1, 6, 6\), got \(0,\)"),
        ((conv, (), (1, 8, 8)), ValueError, "position must have 2 ints"),
        ((conv, (0, 0, 0)), ValueError, "position must have 2 ints, one per spatial axis"),
        ((conv, ()), ValueError, "position must have 2 ints"),
        ((nn.ReLU(), ()), ValueError, "position must have an int, one per spatial axis"),
        ((conv, (0, -1)), ValueError, "position must be at least 0, got -1"),
        ((conv, (0, 1.5)), TypeError, "position must be an int or a tuple of ints.*got 1.5"),
        ((conv, "ab"), TypeError, "position must be an int or a tuple of ints"),
        ((conv, (0, 0), 8), TypeError, r"input_size must be a tuple of ints, \(N, C, ...\) or \(C, ...\), got 8"),
        ((conv, (0, 0), (1, 8, 0)), ValueError, "input_size must be at least 1, got 0"),
        ((conv, (0, 0), ()), ValueError, "input_size must be a tuple of ints"),
        ((conv, (0, 0), (8, 8)), ValueError, r"^Conv2d\(.*input of conv2d must have shape \(N, C, H, W\) or \(C, H, W\), got \(8, 8\)"),
        ((conv, (0, 0), (2, 8, 8)), ValueError, r"^Conv2d\(.*is for an input of 1 channels"),
        ((conv, (0, 0), (1, 2, 8)), ValueError, r"^Conv2d\(.*kernel is larger than the padded input"),
        ((nn.Linear(3, 2), 2, (5, 3)), ValueError, "position"),
        ((nn.Linear(3, 2), 0, (5, 4)), ValueError, r"^Linear\(.*input must be \(..., 3\), got shape \(5, 4\)"),
        ((nn.BatchNorm2d(3), (0, 0), (1, 4, 5, 5)), ValueError, r"^BatchNorm2d\(.*with 3 channels, got \(1, 4, 5, 5\)"),
        ((lambda x: x, (0, 0)), TypeError, "model must be a Module, got function"),
    ]
    for arguments, kind, text in cases:
        with pytest.raises(kind, match=text):
            nn.receptive_field(*arguments)
    with pytest.raises(TypeError, match=r"^Conv2d\(.*the same dtype; input has float64, weight has float32"):
        nn.summary(conv, (1, 8, 8), dtype="float64")
    small = nn.Sequential(nn.Conv2d(8, 8, 3, algorithm="winograd", max_workspace=10))
    with pytest.raises(ValueError, match=r"^0 Conv2d\(.*algorithm='winograd' cannot compute"):
        nn.summary(small, (8, 9, 9))


# ---- summary -------------------------------------------------------------------------------------------------------------


def leaf_shapes(monkeypatch, net, x):
    """The shapes that layers give in a real forward, in the order of use."""
    shapes, call = [], nn.Module.__call__

    def recorded(self, *inputs):
        y = call(self, *inputs)
        if not list(self.children()):
            shapes.append(y.shape)
        return y

    monkeypatch.setattr(nn.Module, "__call__", recorded)
    net(x)
    return shapes


def test_lenet_by_hand(monkeypatch):
    net = lenet(nn)
    table = nn.summary(net, (7, 1, 28, 28))
    rows = table.layers
    assert [row.output_shape for row in rows] == leaf_shapes(monkeypatch, net, np.zeros((7, 1, 28, 28), np.float32))
    assert [row.path for row in rows] == [str(i) for i in range(12)]
    assert [row.parameters for row in rows] == [156, 0, 0, 2416, 0, 0, 0, 48120, 0, 10164, 0, 850]
    products = [6 * 28 * 28 * 25, 0, 0, 16 * 10 * 10 * 6 * 25, 0, 0, 0, 400 * 120, 0, 120 * 84, 0, 84 * 10]
    assert [row.multiply_adds for row in rows] == [7 * count for count in products]
    assert [row.activation_bytes for row in rows] == [7 * 4 * n for n in (4704, 4704, 1176, 1600, 1600, 400, 400, 120, 120, 84, 84, 10)]
    assert [row.dense for row in rows[:4]] == [784 * 4704, 4704**2, 4704 * 1176, 1176 * 1600]
    assert table.parameters == table.trainable == sum(p.size for p in net.parameters()) == 61706
    assert table.parameter_bytes == 4 * 61706
    assert table.multiply_adds == 7 * sum(products)
    assert table.activation_bytes == sum(row.activation_bytes for row in rows)
    fields = [tuple((f.size, f.stride, f.offset) for f in row.field) for row in rows[:7]]
    assert fields == [((size, stride, -2),) * 2 for size, stride in ((5, 1), (5, 1), (6, 2), (14, 2), (14, 2), (16, 4), (16, None))]
    assert all(f == nn.receptive_field(net, (), (1, 28, 28)) for f in [(slice(0, 28),) * 2])
    assert all(field.everything and (field.size, field.stride, field.offset) == (28, 0, 0) for row in rows[7:] for field in row.field)
    with pytest.raises(AttributeError):
        rows[0].parameters = 1


def test_three_layers_by_hand():
    """Sizes grow by (span - 1) * stride so far, strides multiply, the first unit begins padding * stride so far to the left."""
    net = nn.Sequential(nn.Conv2d(3, 4, (7, 3), (2, 1), (3, 0)), nn.Conv2d(4, 4, 3, 1, 2, dilation=2), nn.AvgPool2d(2, (2, 3)))
    rows = nn.summary(net, (3, 64, 64)).layers
    y, x = (tuple((row.field[axis].size, row.field[axis].stride, row.field[axis].offset) for row in rows) for axis in (0, 1))
    assert y == ((7, 2, -3), (15, 2, -7), (17, 4, -7))
    assert x == ((3, 1, 0), (7, 1, -2), (8, 3, -2))
    assert [row.output_shape for row in rows] == [(4, 32, 62), (4, 32, 62), (4, 16, 21)]
    text = str(nn.summary(net, (3, 64, 64))).splitlines()
    assert text[1].split()[-8:-3] == ["5e+05", "7,3", "2,1", "-3,0", rows[0].algorithm]


def test_strides_of_transposed_convolutions_and_nearly_equal_windows():
    net = nn.Sequential(nn.ConvTranspose1d(2, 3, 3, 2), nn.Conv1d(3, 1, 3), nn.AdaptiveAvgPool1d(6), nn.AvgPool1d(2, 1))
    rows = nn.summary(net, (2, 10)).layers  # lengths 21, 19, 6, 5
    found = [(row.field[0].size, row.field[0].stride, row.field[0].offset) for row in rows]
    half, third = Fraction(1, 2), Fraction(19, 12)
    assert found == [(2, half, -1), (3, half, -1), (4, third, -1), (6, third, -1)]
    assert rows[0].multiply_adds == 10 * 2 * 3 * 3
    assert rows[1].multiply_adds == 19 * 3 * 3
    for row, length in zip(rows, (21, 19, 6, 5)):  # the widest, from all units without an end of the input near
        net_so_far = net[: rows.index(row) + 1]
        widths = [f.stop - f.start for f in (nn.receptive_field(net_so_far, o, (2, 10))[0] for o in range(length))]
        assert row.field[0].size == max(widths)
    assert nn.summary(nn.ConvTranspose1d(2, 3, 1, 2, 1), (2, 10)).layers[0].field[0].offset is None  # the first output is the bias
    assert nn.summary(nn.ConvTranspose1d(2, 3, 1, 2), (2, 10)).layers[0].field[0].stride == half
    assert nn.summary(nn.AdaptiveMaxPool2d((1, None)), (2, 10, 8)).layers[0].field[0].everything
    assert nn.summary(nn.AdaptiveMaxPool2d((1, None)), (2, 10, 8)).layers[0].field[1].size == 1


def test_residual_network(monkeypatch):
    net = residual()
    table = nn.summary(net, (2, 2, 12, 10))
    shapes = leaf_shapes(monkeypatch, net, np.ones((2, 2, 12, 10), np.float32))
    assert [row.output_shape for row in table.layers] == shapes
    paths = [row.path for row in table.layers]
    assert paths[3:9] == [f"layer1.0.{name}" for name in ("conv1", "bn1", "relu", "conv2", "bn2", "relu")]
    assert paths[9:17] == [
        f"layer2.0.{name}" for name in ("conv1", "bn1", "relu", "conv2", "bn2", "downsample.0", "downsample.1", "relu")
    ]
    assert table.parameters == sum(row.parameters for row in table.layers) == sum(p.size for p in net.parameters())
    by_path = {row.path: row for row in table.layers}
    assert by_path["layer2.0.conv1"].multiply_adds == 2 * 6 * 6 * 5 * 4 * 9
    assert by_path["layer2.0.downsample.0"].multiply_adds == 2 * 6 * 6 * 5 * 4
    sizes = {path: (row.field[0].size, row.field[0].stride, row.field[0].offset) for path, row in by_path.items()}
    assert sizes["layer1.0.conv2"] == (7, 1, -3)
    assert sizes["layer2.0.downsample.0"] == (7, 2, -3)
    assert sizes["layer2.0.conv2"] == (13, 2, -6) == sizes["layer2.0.relu"]
    assert by_path["fc"].field[0].everything and by_path["pool"].field[1].everything


def test_a_linear_layer_in_place_of_a_convolution():
    table = nn.summary(nn.Conv2d(3, 3, 3, padding=1), (3, 256, 256))
    assert table.layers[0].dense == (256 * 256 * 3) ** 2 == 38654705664
    assert str(table).splitlines()[1].endswith(" 3.87e+10")
    assert table.parameters == 84
    assert nn.summary(nn.Conv2d(3, 3, 3, padding=1), (50, 3, 256, 256)).layers[0].dense == 38654705664


def test_algorithms():
    conv = nn.Conv2d(16, 32, 3, padding=1, seed=0)
    x = np.zeros((2, 16, 30, 30), np.float32)
    problem = conv_problem(2, x, conv.weight, conv.bias, 1, 1, 1, 1, "zeros", "default", conv.max_workspace)
    rows = nn.summary(nn.Sequential(conv, nn.ReLU()), x.shape).layers
    assert (rows[0].algorithm, rows[1].algorithm) == (choose(problem, weight=conv.weight).name, "")
    for training in (True, False):  # in training with indices
        problem = max_pool_problem(2, np.zeros((1, 8, 16, 16), np.float32), 5, 5, 0, 1, False, training)
        assert nn.summary(nn.MaxPool2d(5).train(training), (1, 8, 16, 16)).layers[0].algorithm == choose_pool(problem).name
    assert nn.summary(nn.Conv2d(16, 32, 3, algorithm="direct"), x.shape).layers[0].algorithm == "direct"
    box_filter = nn.Conv2d(1, 1, 31, bias=False)
    box_filter.weight[...] = 1
    assert nn.summary(box_filter, (1, 500, 500)).layers[0].algorithm == "separable"  # whatever the weights allow
    forced = nn.ConvTranspose2d(4, 4, 3, 2, groups=2, algorithm="direct")
    assert nn.summary(forced, (4, 30, 30)).layers[0].algorithm == "direct"
    chosen = nn.summary(nn.ConvTranspose2d(4, 4, 3, 2, groups=2), (4, 30, 30)).layers[0].algorithm.split(", ")
    assert len(chosen) == len(set(chosen)) >= 1
    assert nn.summary(nn.ConvTranspose2d(512, 512, 3), (512, 2, 2)).layers[0].algorithm.endswith(", fold")


def test_layers_that_are_used_twice():
    relu, conv = nn.ReLU(), nn.Conv1d(2, 2, 3, padding=1)
    table = nn.summary(nn.Sequential(conv, relu, conv, relu), (2, 9))
    assert [(row.path, row.kind, row.parameters) for row in table.layers] == [
        ("0", "Conv1d", 14), ("1", "ReLU", 0), ("0", "Conv1d", 0), ("1", "ReLU", 0)
    ]  # fmt: skip
    assert table.parameters == 14
    assert table.multiply_adds == 2 * 9 * 2 * 2 * 3
    assert [row.field[0].size for row in table.layers] == [3, 3, 5, 5]


def test_inputs_without_a_batch():
    convolutions = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    rows = nn.summary(convolutions, (1, 8, 8)).layers
    assert [row.output_shape for row in rows] == [(2, 6, 6), (2, 3, 3)] and convolutions(np.zeros((1, 8, 8), np.float32)).shape == (2, 3, 3)
    flattened = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(18, 4))  # needs a batch
    rows = nn.summary(flattened, (1, 8, 8)).layers
    assert [row.output_shape for row in rows] == [(1, 2, 6, 6), (1, 2, 3, 3), (1, 18), (1, 4)]
    assert rows[-1].dense == 72
    alone = nn.Sequential(*convolutions, nn.Flatten(0), nn.Linear(18, 4))  # needs none
    assert [row.output_shape for row in nn.summary(alone, (1, 8, 8)).layers] == [(2, 6, 6), (2, 3, 3), (18,), (4,)]
    assert alone(np.zeros((1, 8, 8), np.float32)).shape == (4,)
    assert nn.summary(nn.Linear(784, 10), (784,)).layers[0].output_shape == (10,)
    assert nn.summary(nn.Linear(784, 10), (5, 784)).layers[0].field[0].everything


@pytest.mark.parametrize("training", [True, False])
def test_nothing_changes(training):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BasicBlock(4, 6, 2), nn.Dropout(0.5, seed=0), nn.MaxPool2d(2)).train(training)
    x = np.random.default_rng(0).random((2, 2, 12, 12), dtype=np.float32)
    net.train()
    y = net(x)
    net.train(training)
    state, generator = net.state_dict(), net[2]._generator.bit_generator.state
    stacks = [len(module._stack) for module in net.modules()]
    nn.summary(net, x.shape)
    nn.receptive_field(net, (0, 0), x.shape)
    assert all(module.training is training for module in net.modules())
    assert all(array.tobytes() == state[name].tobytes() for name, array in net.state_dict().items())
    assert net[2]._generator.bit_generator.state == generator
    assert [len(module._stack) for module in net.modules()] == stacks and sum(stacks) > 0
    assert all(parameter.grad is None for parameter in net.parameters())
    net.backward(np.ones_like(y))


def test_requires_grad_and_dtypes():
    net = nn.Sequential(nn.Conv1d(1, 2, 3, dtype="float64"), nn.ReLU())
    net[0].bias.requires_grad = False
    table = nn.summary(net, (1, 5))
    assert (table.parameters, table.trainable, table.parameter_bytes) == (8, 6, 64)
    assert [row.activation_bytes for row in table.layers] == [48, 48]
    assert "8 (64 B), 6 trainable" in str(table)
    assert nn.summary(nn.MaxPool1d(2), (1, 4)).activation_bytes == 8
    assert nn.summary(nn.MaxPool1d(2), (1, 4), dtype="uint8").activation_bytes == 2


def resnet18():
    """As torchvision's."""
    stages = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    blocks = [nn.BasicBlock(*each) for each in stages]
    layers = {f"layer{i + 1}": nn.Sequential(*blocks[2 * i : 2 * i + 2]) for i in range(4)}
    stem = {"conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, 2, 1)}
    return nn.Sequential({**stem, **layers, "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(512, 1000)})


def test_a_large_network_in_print():
    net = resnet18()
    tracemalloc.start()
    table = nn.summary(net, (256, 3, 224, 224))
    text = str(table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
    assert table.parameters == 11689512
    assert table.multiply_adds == 256 * 1814073344
    last = next(row for row in table.layers if row.path == "layer4.1.bn2").field[0]
    assert (last.size, last.stride, last.offset) == (435, 32, -217)
    lines = text.splitlines()
    table_lines = lines[: lines.index("")]
    assert len(table_lines) == 1 + len(table.layers) == 62
    assert max(map(len, lines)) <= 160
    for head in ("output", "algorithm", "memory", "dense"):
        begin = lines[0].index(head)
        assert all(line[begin - 2 : begin] == "  " and line[begin] != " " for line in table_lines)
    for head in ("parameters", "mult-adds", "field", "stride", "offset"):
        end = lines[0].index(head) + len(head)
        assert all(line[end - 1] != " " and line[end : end + 2] == "  " for line in table_lines)
    assert lines[-3:] == ["parameters     11,689,512 (44.6 MiB), 11,689,512 trainable", "multiply-adds  4.64e+11", lines[-1]]
    assert repr(table) == text
    whole = nn.receptive_field(net, 7, (1, 3, 224, 224))
    assert whole == (slice(0, 224),) * 2


def test_descriptions():
    cases = [
        (nn.Conv2d(1, 6, (5, 3), padding=((0, 1), 2)), (1, 9, 9), "Conv2d(1, 6, (5, 3), padding=((0, 1), (2, 2)))"),
        (nn.Conv1d(2, 4, 3, groups=2, padding="same"), (2, 9), "Conv1d(2, 4, 3, padding=same, groups=2)"),
        (nn.MaxPool2d(3, 1, return_indices=True), (1, 9, 9), "MaxPool2d(3, stride=1, return_indices=True)"),
        (nn.MaxPool2d((3, 3)), (1, 9, 9), "MaxPool2d(3)"),
        (nn.LPPool1d(2.0, 3, ceil_mode=True), (1, 9), "LPPool1d(2.0, 3, ceil_mode=True)"),
        (nn.BatchNorm1d(5, momentum=None), (2, 5), "BatchNorm1d(5, momentum=None)"),
        (nn.Linear(5, 2, bias=False), (2, 5), "Linear(5, 2, bias=False)"),
        (nn.Dropout(), (2, 5), "Dropout()"),
        (nn.AdaptiveAvgPool2d((1, None)), (1, 9, 9), "AdaptiveAvgPool2d((1, None))"),
    ]
    for layer, size, text in cases:
        assert nn.summary(layer, size).layers[0].description == text

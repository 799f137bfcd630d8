"""Training with cyconv.nn: losses, optimizers, whole networks beside torch's, and what is remembered from forward to backward."""

import threading
import tracemalloc

import numpy as np
import pytest
from nn_cases import (
    check_gradients,
    check_same_state,
    lenet,
    random,
    residual,
    spread,
    torch_residual,
)

import cyconv
from cyconv import nn

# ---- optimizers ----------------------------------------------------------------------------------------------------------

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_as_in_torch(torch, monkeypatch, name, options, dtype):
    monkeypatch.setattr("cyconv.nn.optimizers._PIECE", 7)  # so that parameters are cut up
    shapes = [(3, 4, 2), (5,), (), (2, 2)]
    ours = [nn.Parameter(random(shape, i, dtype)) for i, shape in enumerate(shapes)]
    theirs = [torch.nn.Parameter(torch.from_numpy(np.array(p))) for p in ours]
    optimizer, twin = getattr(nn, name)(iter(ours), **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(6):
        for i, (mine, other) in enumerate(zip(ours, theirs)):
            absent = i == 3 and step < 2  # a parameter that gets its gradient later than others
            g = random(mine.shape, 10 * step + i, dtype)
            mine.grad, other.grad = (None, None) if absent else (g.copy(), torch.from_numpy(np.array(g)))
        before = [None if p.grad is None else p.grad.copy() for p in ours]
        if step == 4:
            optimizer.lr = twin.param_groups[0]["lr"] = 0.01
        optimizer.step()
        twin.step()
        for mine, other, g in zip(ours, theirs, before):
            rtol, atol = (1e-12, 0) if dtype == "float64" else (2e-5, 1e-6)
            np.testing.assert_allclose(mine, other.detach().numpy(), rtol, atol)
            assert mine.dtype == dtype and (g is None or (mine.grad == g).all())  # gradients are left as they were
    optimizer.zero_grad()
    assert all(p.grad is None for p in ours)


@pytest.mark.parametrize(("name", "options"), [OPTIMIZERS[4], OPTIMIZERS[8]])
def test_steps_take_little_memory(name, options):
    w = nn.Parameter(np.ones(2**20, np.float32))
    w.grad = np.ones_like(w)
    optimizer = getattr(nn, name)([w], **options)
    optimizer.step()
    cyconv.release_memory()
    tracemalloc.start()
    optimizer.step()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < w.nbytes / 10


def test_optimizers_refuse():
    w = nn.Parameter(np.ones(2))
    for arguments, error, message in (
        (([], 0.1), ValueError, "parameters must be at least one Parameter"),
        (([np.ones(2)], 0.1), TypeError, "parameters must be nn.Parameter arrays, got ndarray"),
        (([w, w], 0.1), ValueError, "parameters must differ"),
        (([np.ones((3, 2)).T.view(nn.Parameter)], 0.1), ValueError, "parameters must be C-contiguous"),
        (([w], -0.1), ValueError, "lr must be at least 0, got -0.1"),
        (([w], "0.1"), TypeError, "lr must be a real number"),
        (([w], np.nan), ValueError, "lr must be finite"),
        (([w], 0.1, -1), ValueError, "momentum must be at least 0"),
        (([w], 0.1, 0, 0, -1), ValueError, "weight_decay must be at least 0"),
        (([w], 0.1, 0, 0, 0, True), ValueError, "nesterov needs a momentum and no dampening"),
        (([w], 0.1, 0.9, 0.1, 0, True), ValueError, "nesterov needs a momentum and no dampening"),
        (([w], 0.1, 0, 0, 0, 1), TypeError, "nesterov must be True or False"),
    ):
        with pytest.raises(error, match=message):
            nn.SGD(*arguments)
    for options, error, message in (
        ({"betas": (0.9, 1.0)}, ValueError, "betas must be from 0 to below 1"),
        ({"betas": 0.9}, TypeError, "betas must be two numbers"),
        ({"eps": -1}, ValueError, "eps must be at least 0"),
    ):
        with pytest.raises(error, match=message):
            nn.Adam([w], **options)
    optimizer = nn.SGD([w], 0.1)
    optimizer.lr = -1
    with pytest.raises(ValueError, match="lr must be at least 0"):
        optimizer.step()


# ---- whole networks ------------------------------------------------------------------------------------------------------


def train_both(torch, ours, theirs, optimizer, twin, x, target, steps, tolerance):
    """Some steps of both libraries from the same state."""
    loss, other_loss = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    values = []
    for _ in range(steps):
        values.append(loss(ours(x), target))
        assert ours.backward(loss.backward(), input_grad=False) is None
        other = other_loss(theirs(torch.from_numpy(x)), torch.from_numpy(target))
        other.backward()
        assert values[-1] == pytest.approx(other.item(), rel=tolerance)
        for each in (optimizer, twin):
            each.step()
            each.zero_grad()
    check_same_state(ours, theirs, tolerance, tolerance)
    return values


@pytest.mark.parametrize(("name", "options"), [("SGD", {"lr": 0.05, "momentum": 0.9}), ("Adam", {"lr": 0.003})])
def test_lenet_beside_torch(torch, name, options):
    torch.manual_seed(0)
    ours, theirs = lenet(nn, dtype="float64"), lenet(torch.nn, dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    optimizer, twin = getattr(nn, name)(ours.parameters(), **options), getattr(torch.optim, name)(theirs.parameters(), **options)
    x, target = random((8, 1, 28, 28)), np.arange(8)
    values = train_both(torch, ours, theirs, optimizer, twin, x, target, 5, 1e-7)
    assert values[-1] < values[0]


def test_residual_network_beside_torch(torch):
    torch.manual_seed(0)
    ours, theirs = residual(dtype="float64", seed=0), torch_residual(torch, torch.float64)
    ours.load_state_dict(theirs.state_dict())
    optimizer, twin = nn.SGD(ours.parameters(), 0.1, 0.9), torch.optim.SGD(theirs.parameters(), 0.1, 0.9)
    x, target = random((4, 2, 9, 9)), np.array([0, 1, 2, 1])
    train_both(torch, ours, theirs, optimizer, twin, x, target, 5, 1e-7)
    np.testing.assert_allclose(ours.eval()(x), theirs.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)


def test_single_precision_networks_beside_torch(torch):
    torch.manual_seed(0)
    small = residual(), torch_residual(torch, torch.float32), (4, 2, 9, 9)
    for ours, theirs, shape in ((lenet(nn), lenet(torch.nn), (4, 1, 28, 28)), small):
        ours.load_state_dict(theirs.state_dict())
        x = random(shape, dtype="float32")
        y, t = ours(x), theirs(torch.from_numpy(x))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, t.detach().numpy(), rtol=1e-4, atol=1e-5)
        g = random(y.shape, 1, "float32")
        ours.backward(g), t.backward(torch.from_numpy(g))
        for mine, other in zip(ours.parameters(), theirs.parameters()):
            assert mine.grad.dtype == np.float32
            np.testing.assert_allclose(mine.grad, other.grad.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("arguments", [(3, 3), (2, 3), (3, 3, 2), (2, 3, (1, 2))])
def test_gradients_of_the_residual_block(arguments):
    block = nn.BasicBlock(*arguments, dtype="float64", seed=4)
    assert (block.downsample is None) == (arguments == (3, 3))
    check_gradients(block, random((2, arguments[0], 4, 5), 3), rtol=1e-4, atol=1e-6)


def test_residual_blocks_take_seeds():
    first, second, other = (nn.BasicBlock(2, 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all((first[name] == second[name]).all() for name in first)
    assert (first["conv1.weight"] != other["conv1.weight"]).any() and first["conv1.weight"].std() != first["conv2.weight"].std()


def test_a_network_learns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 1, 8, 8), dtype=np.float32)
    target = (x[:, 0, :4].sum((1, 2)) > x[:, 0, 4:].sum((1, 2))).astype(int)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, seed=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2))
    for layer in (nn.Flatten(), nn.Dropout(0.1, seed=2), nn.Linear(36, 2, seed=3)):
        net.append(layer)
    loss, optimizer = nn.CrossEntropyLoss(), nn.Adam(net.parameters(), 0.02)
    for _ in range(100):
        value = loss(net(x), target)
        net.backward(loss.backward(), input_grad=False)
        optimizer.step()
        optimizer.zero_grad()
    assert value < 0.25
    assert (net.eval()(x).argmax(1) == target).mean() > 0.95


# ---- what is remembered --------------------------------------------------------------------------------------------------


class Twice(nn.Module):
    """f(relu(f(relu(x)))) with one linear layer and one ReLU."""

    def __init__(self):
        self.linear, self.relu = nn.Linear(4, 4, dtype="float64", seed=0), nn.ReLU()

    def forward(self, x):
        return self.linear(self.relu(self.linear(self.relu(x))))

    def backward(self, grad_output, *, input_grad=True):
        for _ in range(2):
            grad_output = self.relu.backward(self.linear.backward(grad_output))
        return grad_output if input_grad else None


def test_layers_used_twice():
    net = Twice()
    check_gradients(net, spread((3, 4)), rtol=1e-5)
    assert not net.linear._stack and not net.relu._stack
    check_gradients(nn.Sequential(net, net, net.relu), spread((3, 4)), rtol=1e-5)


def kept(net):
    return sum(len(module._stack) for module in net.modules())


def test_forwards_without_backward_pile_up_nothing():
    net = lenet(nn)
    x = random((16, 1, 28, 28), dtype="float32")
    net(x)
    count = kept(net)
    cyconv.release_memory()
    tracemalloc.start()
    net(x)
    level = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        net(x)
    assert tracemalloc.get_traced_memory()[0] < level + 20000 < level + x.nbytes
    tracemalloc.stop()
    assert kept(net) == count == 12
    features = net[:6]  # on its own: what the whole one remembered is left elsewhere only
    features(x)
    assert kept(features) == 6 and kept(net) == 12
    with pytest.raises(ValueError, match="is for an input of"):
        net(np.zeros((1, 2, 28, 28), np.float32))
    assert kept(net) == 0
    with pytest.raises(TypeError):
        net[3](np.zeros((1, 6, 14, 14)))
    net.eval()(x)
    assert kept(net) == 0


def test_eval_inside_of_a_step_forgets_nothing():
    net = nn.Sequential(nn.Linear(3, 2, seed=0), nn.ReLU())
    x, g = random((4, 3), dtype="float32"), random((4, 2), 1, "float32")
    net(x)
    want = net.backward(g)
    net(x)
    net.eval()(random((5, 3), dtype="float32"))
    net.train()
    np.testing.assert_array_equal(net.backward(g), want)


def test_training_a_part_of_a_network_in_eval_mode():
    net = nn.Sequential({"body": nn.Linear(3, 4, seed=0), "head": nn.Linear(4, 2, seed=1)}).eval()
    net.head.train()
    for _ in range(3):
        y = net(random((5, 3), dtype="float32"))
    assert len(net.head._stack) == 1 and not net.body._stack
    assert net.head.backward(y).shape == (5, 4)


def test_layers_called_one_by_one():
    layers = [nn.Conv1d(2, 3, 3, dtype="float64", seed=0), nn.ReLU(), nn.MaxPool1d(2)]
    net = nn.Sequential(*layers)
    x, g = spread((2, 2, 8)), random((2, 3, 3))
    net(x)
    want = net.backward(g)
    y = x
    for layer in layers:
        y = layer(y)
    for layer in reversed(layers):
        g = layer.backward(g)
    np.testing.assert_array_equal(g, want)


def test_gradients_are_added_up_until_they_are_cleared():
    layer = nn.Linear(3, 2, dtype="float64", seed=0)
    x, g = random((4, 3)), random((4, 2))
    layer(x)
    layer.backward(g)
    first = layer.weight.grad.copy()
    layer(x)
    layer.backward(3 * g)
    np.testing.assert_allclose(layer.weight.grad, 4 * first, rtol=1e-12)
    layer.zero_grad()
    assert layer.weight.grad is None and layer.bias.grad is None
    layer.weight.requires_grad = False
    layer(x)
    assert layer.backward(g).shape == x.shape
    assert layer.weight.grad is None and layer.bias.grad is not None


def counted(monkeypatch, owner, name):
    calls = []
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, staticmethod(lambda *a, **k: calls.append(name) or real(*a, **k)))
    return calls


def test_no_needless_gradients(monkeypatch):
    inputs, weights = counted(monkeypatch, nn.Conv2d, "_input_gradient"), counted(monkeypatch, nn.Conv2d, "_weight_gradient")
    pools = counted(monkeypatch, nn.pooling, "max_pool_input")
    front = nn.Sequential(nn.Identity(), nn.MaxPool2d(2))
    net = nn.Sequential(front, nn.ReLU(), nn.Conv2d(1, 2, 3, seed=0), nn.MaxPool2d(2), nn.Conv2d(2, 2, 2, seed=1))
    x = spread((1, 1, 14, 14), dtype="float32")
    y = net(x)
    assert net.backward(y).shape == x.shape
    assert (len(inputs), len(weights), len(pools)) == (2, 2, 2)
    net(x)
    assert net.backward(y, input_grad=False) is None
    assert (len(inputs), len(weights), len(pools)) == (3, 4, 3)
    assert kept(net) == 0
    for parameter in net[2].parameters():  # what is frozen has no gradient, so that less is needed
        parameter.requires_grad = False
    net(x)
    net.backward(y, input_grad=False)
    assert (len(inputs), len(weights), len(pools)) == (3, 5, 3)
    assert kept(net) == 0
    empty = nn.Sequential(nn.ReLU(), nn.Flatten())
    empty(x)
    assert empty.backward(np.zeros((1, 196), np.float32), input_grad=False) is None and kept(empty) == 0


def test_modules_of_ones_own_in_front_are_not_passed_over():
    class Half(nn.Module):
        def __init__(self):
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(self.relu(x) / 2)

        def backward(self, grad_output, *, input_grad=True):
            grad_output = self.relu.backward(self.relu.backward(grad_output) / 2)
            return grad_output if input_grad else None

    class Doubled(nn.Sequential):
        def forward(self, x):
            return super().forward(super().forward(x))

        def backward(self, grad_output, *, input_grad=True):
            return super().backward(super().backward(grad_output), input_grad=input_grad)

    for front in (Half(), Doubled(nn.ReLU())):
        net = nn.Sequential(front, nn.Linear(3, 2, seed=0))
        y = net(random((4, 3), dtype="float32"))
        net.backward(y, input_grad=False)
        assert kept(net) == 0


def test_frozen_batch_norm_is_trained_around(torch):
    """Fine-tuning as it is usually done: batch normalisation in eval mode, all else in training."""
    ours, theirs = residual(dtype="float64", seed=0), torch_residual(torch, torch.float64)
    theirs(torch.from_numpy(random((4, 2, 9, 9), 5)))
    ours.load_state_dict(theirs.state_dict())
    for net, kind in ((ours, nn.BatchNorm2d), (theirs, torch.nn.BatchNorm2d)):
        for module in net.modules():
            if isinstance(module, kind):
                module.eval()
    optimizer, twin = nn.SGD(ours.parameters(), 0.1), torch.optim.SGD(theirs.parameters(), 0.1)
    x, target = random((4, 2, 9, 9)), np.array([0, 1, 2, 1])
    before = ours.bn1.running_mean.copy()
    train_both(torch, ours, theirs, optimizer, twin, x, target, 3, 1e-7)
    np.testing.assert_array_equal(ours.bn1.running_mean, before)


def test_many_threads_call_a_network_in_eval_mode():
    net = residual(seed=0)
    net(random((4, 2, 9, 9), dtype="float32"))
    net.backward(np.ones((4, 3), np.float32))
    net.eval()
    inputs = [random((2, 2, 9, 9), seed, "float32") for seed in range(8)]
    wants = [net(x).tobytes() for x in inputs]
    wrong = []

    def work(first):
        with cyconv.threads(1):
            for i in range(40):
                k = (first + i) % len(inputs)
                if net(inputs[k]).tobytes() != wants[k]:
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and kept(net) == 0


def test_a_thread_in_eval_mode_does_not_disturb_one_in_training():
    training, other = nn.Sequential(nn.Linear(3, 2, seed=0), nn.ReLU()), nn.Sequential(nn.Linear(3, 2, seed=0), nn.ReLU()).eval()
    inside, done = threading.Event(), threading.Event()

    class Waiting(nn.Module):
        def forward(self, x):
            inside.set()
            assert done.wait(10)
            return x

        def backward(self, grad_output, *, input_grad=True):
            return grad_output

    net = nn.Sequential(training, Waiting())
    x = random((4, 3), dtype="float32")
    thread = threading.Thread(target=net, args=(x,))
    thread.start()
    assert inside.wait(10)
    other(x)
    assert kept(other) == 0
    done.set()
    thread.join()
    assert kept(net) == 2


def test_an_error_leaves_the_thread_as_it_was():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    for _ in range(2):
        with pytest.raises(ValueError, match="^1 Linear"):
            net(np.ones((1, 3), np.float32))
    layer = nn.Linear(3, 2).eval()
    layer(np.ones((1, 3), np.float32))
    assert kept(layer) == 0

"""Optimizers and training on the GPU beside those of the CPU."""

import numpy as np
import pytest
from nn_cases import lenet, random, residual, spread
from test_gpu_network import nobody_waits
from test_gpu_nn import close

from cyconv import nn
from cyconv.functional import network
from cyconv.gpu import optimizers

# ---- optimizers ----------------------------------------------------------------------------------------------------------

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.5}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_steps(name, options, dtype, cupy, monkeypatch):
    if dtype == "float16" and name == "Adam" and "eps" not in options:
        pytest.skip("so small an eps is 0 in half precision, in which the CPU computes")
    shapes, tolerance = [(3, 4, 2), (5,), (), (2, 0), (33, 40)], {"float16": 1e-2, "float32": 2e-6, "float64": 1e-14}[dtype]
    ours = [nn.Parameter(random(shape, i, dtype)) for i, shape in enumerate(shapes)]
    theirs = [nn.Parameter(cupy.asarray(p)) for p in ours]
    made = [getattr(nn, name)(iter(parameters), **options) for parameters in (ours, theirs)]
    for step in range(5):
        for i, (one, other) in enumerate(zip(ours, theirs)):
            one.grad = other.grad = None
            if not (i == 1 and step < 2):  # a parameter that gets its gradient later than others
                one.grad = random(one.shape, 10 * step + i, dtype)
                other.grad = cupy.asarray(one.grad) if step % 2 else cupy.asarray(one.grad.T).T
        if step == 3:
            made[0].lr = made[1].lr = 0.01
        made[0].step()
        with nobody_waits(cupy, monkeypatch):
            made[1].step()
        for one, other in zip(ours, theirs):
            close(other, np.asarray(one), tolerance)
            assert one.grad is None or (other.grad.get() == one.grad).all()
    made[1].zero_grad()
    assert all(p.grad is None for p in theirs)


def test_one_launch_for_each_parameter(cupy, monkeypatch):
    launched = []
    monkeypatch.setattr(optimizers, "kernel", lambda *name: launched.append(name) or (lambda grid, block, arguments: None))
    for dtype in ("float16", "float32", "float64", pytest.importorskip("ml_dtypes").bfloat16):
        parameters = [nn.Parameter(cupy.zeros(shape, dtype)) for shape in ((3, 100000), (5,))]
        for optimizer in (nn.SGD(parameters, 0.1, 0.9), nn.Adam(parameters)):
            for p in parameters:
                p.grad = cupy.zeros(p.shape, dtype)
            count = len(launched)
            optimizer.step()
            assert len(launched) == count + 2
    assert set(launched) == set(optimizers.instances())


@pytest.mark.parametrize(("name", "options"), [OPTIMIZERS[1], OPTIMIZERS[4]])
def test_steps_of_few_blocks(name, options, cupy, monkeypatch):
    """Threads go on with elements that there are no threads for."""
    results = []
    for blocks in (optimizers.blocks, lambda work, threads: 1):
        monkeypatch.setattr(optimizers, "blocks", blocks)
        p = nn.Parameter(cupy.asarray(random(1000, 0, "float32")))
        optimizer = getattr(nn, name)([p], **options)
        for step in range(2):
            p.grad = cupy.asarray(random(1000, step, "float32"))
            optimizer.step()
        results.append(p.get().tobytes())
    assert results[0] == results[1]


@pytest.mark.parametrize(("name", "options"), [OPTIMIZERS[2], OPTIMIZERS[5]])
def test_optimizers_follow_modules(name, options, cupy):
    nets = [nn.Linear(3, 2, seed=0) for _ in range(2)]
    made = [getattr(nn, name)(net.parameters(), **options) for net in nets]
    for step, device in enumerate(("cpu", "gpu", "gpu", "cpu", "gpu")):
        nets[1].to(device)
        for net, optimizer in zip(nets, made):
            for i, parameter in enumerate(net.parameters()):
                g = random(parameter.shape, 10 * step + i, "float32")
                parameter.grad = cupy.asarray(g) if isinstance(parameter, cupy.ndarray) else g
            optimizer.step()
        for one, other in zip(*(net.parameters() for net in nets)):
            close(cupy.asarray(other), np.asarray(one), 1e-5)
        assert [id(p) for p in made[1].parameters] == [id(p) for p in nets[1].parameters()]
    nets[1].to("cpu")
    nets[1].weight.grad = np.ones((2, 3), np.float32)
    made[1].zero_grad()
    assert nets[1].weight.grad is None


def test_optimizers_refuse(cupy):
    p = nn.Parameter(cupy.ones(2))
    for parameters, message in (([p + 1], "parameters must be nn.Parameter arrays"), ([p, p], "parameters must differ")):
        with pytest.raises((TypeError, ValueError), match=message):
            nn.SGD(parameters, 0.1)


# ---- training ------------------------------------------------------------------------------------------------------------


def trained(net, loss, optimizer, x, t, steps):
    values = []
    for _ in range(steps):
        values.append(loss(net(x), t))
        assert net.backward(loss.backward(), input_grad=False) is None
        optimizer.step()
        optimizer.zero_grad()
    return values


@pytest.mark.parametrize("case", ["lenet", "residual"])
def test_training(case, cupy, monkeypatch):
    make = {"lenet": lambda: lenet(nn, dtype="float32"), "residual": lambda: residual(seed=0)}[case]
    shape, classes = ((2, 1, 28, 28), 10) if case == "lenet" else ((4, 2, 9, 9), 3)
    ours, theirs = make(), make()
    theirs.load_state_dict(ours.state_dict())
    theirs.to("gpu")
    x, t = random(shape, 0, "float32"), np.arange(shape[0]) % classes
    kind, options = (nn.SGD, {"lr": 0.05, "momentum": 0.9}) if case == "lenet" else (nn.Adam, {"lr": 0.01})
    want = trained(ours, nn.CrossEntropyLoss(), kind(ours.parameters(), **options), x, t, 3)
    arrays = cupy.asarray(x), cupy.asarray(t)
    with nobody_waits(cupy, monkeypatch):  # not once in a step
        got = trained(theirs, nn.CrossEntropyLoss().to("gpu"), kind(theirs.parameters(), **options), *arrays, 3)
    np.testing.assert_allclose([float(value) for value in got], want, 1e-3)
    for (name, one), (_, other) in zip(theirs.named_buffers(), ours.named_buffers()):
        np.testing.assert_allclose(one.get(), other, 1e-2, 1e-3, err_msg=name)
    for (name, one), (_, other) in zip(theirs.named_parameters(), ours.named_parameters()):
        np.testing.assert_allclose(one.get(), np.asarray(other), 1e-2, 2e-3, err_msg=name)


def test_a_network_learns(cupy):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 1, 6, 6), dtype=np.float32)
    t = (x[:, 0, :3].sum((1, 2)) > x[:, 0, 3:].sum((1, 2))).astype(int)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, seed=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1, seed=2), nn.Linear(48, 2, seed=3))
    net.to("gpu")
    values = trained(net, nn.CrossEntropyLoss(), nn.Adam(net.parameters(), 0.03), cupy.asarray(x), cupy.asarray(t), 30)
    assert float(values[-1]) < 0.5 * float(values[0])
    assert (net.eval()(cupy.asarray(x)).get().argmax(1) == t).mean() > 0.9


def test_functions_and_layers_draw_the_same(cupy):
    x = cupy.ones((5, 6), np.float32)
    np.testing.assert_array_equal(nn.Dropout(0.5, seed=4)(x).get(), network.dropout(x, 0.5, seed=4).get())


def test_tf32_is_allowed_by_the_layer(cupy):
    x = spread((2, 8, 5, 5), 0, "float32")
    for make in (lambda **o: nn.Conv2d(8, 8, 3, seed=0, **o), lambda **o: nn.ConvTranspose2d(8, 8, 3, seed=0, **o), lambda **o: nn.Linear(5, 3, seed=0, **o)):
        layer = make(allow_tf32=True)
        assert layer.allow_tf32 and repr(layer).endswith("allow_tf32=True)") and "tf32" not in repr(make())
        y = make()(x)
        np.testing.assert_array_equal(layer(x), y)  # nothing to a CPU
        close(layer.to("gpu")(cupy.asarray(x)), y, 2e-3)
        assert layer.backward(cupy.asarray(y)).shape == x.shape
        with pytest.raises(TypeError, match="allow_tf32 must be True or False"):
            make(allow_tf32=1)


def test_layers_of_bfloat16(cupy, monkeypatch):
    """They are made on the CPU, where they cannot compute, and trained on the GPU."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    made = []
    for dtype in ("float32", "bfloat16"):
        words = {"dtype": dtype}
        made.append(nn.Sequential(nn.Conv2d(1, 2, 3, seed=0, **words), nn.BatchNorm2d(2, **words), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4, seed=1, **words)))
    ours, theirs = made
    x, t = random((3, 1, 5, 5), 0, bfloat16), np.arange(3)
    assert {p.dtype for p in theirs.parameters()} == {np.dtype(bfloat16)}
    for layer, y in ((theirs, x), (nn.BatchNorm2d(1, dtype=bfloat16), x), (nn.ReLU(), x), (nn.Dropout(), x)):
        with pytest.raises(TypeError, match="input has dtype bfloat16, which is computed on the GPU only"):
            layer(y)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    theirs.to("gpu")
    weight = np.array([1, 2, 3, 4], bfloat16)
    losses = nn.CrossEntropyLoss(weight.astype("float32")), nn.CrossEntropyLoss(cupy.asarray(weight))
    optimizers = [nn.SGD(net.parameters(), 0.1, momentum=0.5) for net in made]
    want = trained(ours, losses[0], optimizers[0], x.astype("float32"), t, 3)
    on_device = cupy.asarray(x), cupy.asarray(t)
    with nobody_waits(cupy, monkeypatch):
        got = trained(theirs, losses[1], optimizers[1], *on_device, 3)
    np.testing.assert_allclose([float(value) for value in got], want, 0.1)
    assert theirs(on_device[0]).dtype == bfloat16 and theirs[1].running_mean.dtype == bfloat16
    theirs.eval()
    assert theirs(on_device[0]).dtype == bfloat16
    assert repr(nn.Parameter(on_device[1].astype(bfloat16))).startswith("Parameter([0, 1, 2]")
    theirs.to("cpu")
    theirs[4].weight.grad = np.zeros((4, 18), bfloat16)
    with pytest.raises(TypeError, match="a parameter has dtype bfloat16, which is computed on the GPU only"):
        optimizers[1].step()
    with pytest.raises(TypeError, match="must be an array of numbers, got dtype bfloat16"):
        nn.save(theirs, "net.npz")

"""cyconv.nn on the GPU: layers beside those of the CPU, and how modules move."""

import copy
import pickle
import sys

import numpy as np
import pytest
from nn_cases import lenet, random, residual, spread
from test_gpu_network import nobody_waits

import cyconv
from cyconv import menu, nn


def close(got, want, tolerance=2e-5):
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got.get(), want, tolerance, tolerance * max(1, np.abs(want).max(initial=0)))


# ---- parameters ----------------------------------------------------------------------------------------------------------


def test_parameters_of_cupy(cupy):
    given = cupy.asarray(random((2, 3), 0, "float32"))
    p = nn.Parameter(given.T, False)
    assert isinstance(p, nn.Parameter) and isinstance(p, cupy.ndarray) and not isinstance(p, np.ndarray)
    assert p.grad is None and p.requires_grad is False and p.dtype == np.float32 and p.flags.c_contiguous
    given.fill(0)
    np.testing.assert_array_equal(p.get(), random((2, 3), 0, "float32").T)
    assert repr(nn.Parameter(cupy.ones(2))) == "Parameter([1., 1.])" and repr(2 * nn.Parameter(cupy.ones(2))) == "array([2., 2.])"
    same = p
    p += 1
    p[0] = 7
    assert p is same and isinstance(p, nn.Parameter) and (p.get()[0] == 7).all()
    for result in (p + 1, 1 - p, -p, p > 0, p.T, p[0], p.reshape(-1), p.copy(), cupy.exp(p), p.astype(np.float64), p.sum()):
        assert isinstance(result, cupy.ndarray) and not isinstance(result, nn.Parameter) and getattr(result, "grad", None) is None
    with pytest.raises(TypeError, match="data has dtype int64"):
        nn.Parameter(cupy.ones(2, np.int64))


def test_gradients_lie_with_their_parameters(cupy):
    p = nn.Parameter(cupy.zeros((2, 3)))
    p.accumulate(cupy.ones((2, 3)))
    p.accumulate(cupy.ones((2, 3)))
    assert (p.grad.get() == 2).all()
    with pytest.raises(ValueError, match=r"grad must have the parameter's shape \(2, 3\), got \(3,\)"):
        p.grad = cupy.zeros(3)
    with pytest.raises(TypeError, match=r"parameter is a CuPy array \(on the GPU\), grad a NumPy array \(on the CPU\)"):
        p.grad = np.zeros((2, 3))
    with pytest.raises(TypeError, match=r"grad is a CuPy array \(on the GPU\), parameter a NumPy array \(on the CPU\)"):
        nn.Parameter([1.0]).accumulate(cupy.zeros(1))


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_of_parameters(how, cupy):
    p = nn.Parameter(cupy.asarray(random((2, 3))), requires_grad=False)
    p.grad = cupy.asarray(random((2, 3), 1))
    q = how(p)
    assert isinstance(q, nn.Parameter) and isinstance(q, cupy.ndarray) and q.requires_grad is False
    q += 1
    q.grad += 1
    np.testing.assert_allclose(q.get() - 1, p.get())
    np.testing.assert_allclose(q.grad.get() - 1, p.grad.get())


# ---- moving --------------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """Of parameters, buffers and modules, some of which are shared."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones(3))
        self.body = nn.Sequential(nn.Linear(3, 3, seed=0), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 3, seed=1))
        self.body[3].weight = self.body[0].weight
        self.tied = self.body[0]
        self.register_buffer("mask", np.arange(3))
        self.register_buffer("nothing", None)
        self.same = self.mask
        self.table = np.arange(2)

    def forward(self, x):
        return self.body(x)


def test_modules_move(cupy):
    net = Net()
    net.body[0].weight.grad = np.full((3, 3), 5, np.float32)
    net.body[0].bias.requires_grad = False
    before, kinds = net.state_dict(), [(name, value.shape, value.dtype) for name, value in net.state_dict().items()]
    assert net.to("gpu") is net
    arrays = [*net.parameters(), *net.buffers()]
    assert len(arrays) == 10 and all(isinstance(each, cupy.ndarray) for each in arrays)
    assert all(isinstance(each, nn.Parameter) for each in net.parameters()) and len(list(net.parameters())) == 6
    assert net.body[3].weight is net.body[0].weight is net.tied.weight and net.same is net.mask and net.nothing is None
    assert type(net.table) is np.ndarray
    assert isinstance(net.tied.weight.grad, cupy.ndarray) and (net.tied.weight.grad.get() == 5).all()
    assert net.tied.bias.requires_grad is False and net.weight.requires_grad is True
    state = net.state_dict()
    assert [(name, value.shape, value.dtype) for name, value in state.items()] == kinds
    for name, value in state.items():
        assert isinstance(value, cupy.ndarray) and not isinstance(value, nn.Parameter)
        np.testing.assert_array_equal(value.get(), before[name])
    there = list(net.parameters())
    assert list(map(id, net.to("gpu").parameters())) == list(map(id, there))
    net.to("cpu")
    assert all(type(each) is nn.Parameter for each in net.parameters()) and type(net.mask) is np.ndarray
    assert (net.tied.weight.grad == 5).all() and net.body[3].weight is net.tied.weight and net.same is net.mask
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert nn.ReLU().to("gpu") and nn.CrossEntropyLoss().to("cpu")


def test_where_modules_may_move(cupy):
    for wrong, error in (("cuda", ValueError), (0, TypeError), (None, TypeError)):
        with pytest.raises(error, match="device must be .*'cpu', 'gpu'; got"):
            nn.ReLU().to(wrong)


def test_modules_that_share_are_moved_one_after_the_other(cupy):
    first, second = nn.Linear(3, 3, seed=0), nn.Linear(3, 3, seed=1)
    second.weight = first.weight
    optimizer = nn.SGD([first.weight], 1.0)
    first.to("gpu")
    assert type(second.weight) is nn.Parameter
    second(np.ones((1, 3), np.float32))
    second.backward(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"a parameter of shape \(3, 3\) was moved by one module, and another one still computes gradients"):
        optimizer.step()
    second.to("gpu")
    assert second.weight is first.weight and (first.weight.grad.get() == 1).all()
    optimizer.step()
    assert optimizer.parameters[0] is first.weight
    first.to("cpu"), second.to("cpu")
    assert second.weight is first.weight and type(first.weight) is nn.Parameter


def test_what_was_remembered_is_forgotten(cupy):
    layer = nn.Linear(3, 2)
    layer(np.ones((1, 3), np.float32))
    layer.to("gpu")
    with pytest.raises(ValueError, match="backward needs a call in training mode before it"):
        layer.backward(cupy.ones((1, 2), np.float32))


def test_without_cupy_or_a_device(monkeypatch):
    net = nn.Linear(3, 2)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r"^cyconv's GPU path needs CuPy, which cannot be imported \(.*\): pip install 'cyconv\[gpu\]'.*\)$"):
        net.to("gpu")
    assert net.to("cpu") is net

    class runtime:
        @staticmethod
        def getDeviceCount():
            raise RuntimeError("cudaErrorInsufficientDriver:\n too old")

    class driverless:
        class cuda:
            pass

    driverless.cuda.runtime = runtime
    monkeypatch.setitem(sys.modules, "cupy", driverless)
    with pytest.raises(RuntimeError, match="^CuPy finds no CUDA device: cudaErrorInsufficientDriver: too old$"):
        net.to("gpu")
    runtime.getDeviceCount = staticmethod(lambda: 0)
    with pytest.raises(RuntimeError, match="^CuPy finds no CUDA device: there is none$"):
        net.to("gpu")
    assert type(net.weight) is nn.Parameter


# ---- layers --------------------------------------------------------------------------------------------------------------

LAYERS = {
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2, seed=0), (2, 4, 9)),
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False, seed=0), (2, 3, 5, 6)),
    "Conv2d_unbatched": (lambda: nn.Conv2d(2, 3, (3, 2), padding="same", dilation=2, seed=0, allow_tf32=True), (2, 7, 6)),
    "Conv3d": (lambda: nn.Conv3d(1, 2, 2, seed=0), (1, 1, 3, 4, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 2, 3, stride=2, padding=1, output_padding=1, seed=0), (2, 4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3, stride=(1, 2), groups=2, seed=0), (1, 4, 3, 4)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 1, 2, seed=0), (1, 2, 2, 3, 2)),
    "Linear": (lambda: nn.Linear(5, 3, seed=0), (2, 4, 5)),
    "Flatten": (lambda: nn.Flatten(), (2, 3, 4)),
    "Identity": (lambda: nn.Identity(), (2, 3)),
    "ReLU": (lambda: nn.ReLU(), (3, 5)),
    "ReLU_inplace": (lambda: nn.ReLU(inplace=True), (3, 5)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (4, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, momentum=None), (2, 3, 4, 2)),
    "BatchNorm2d_plain": (lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False), (2, 3, 4, 2)),
    "BatchNorm3d_eval": (lambda: nn.Sequential(nn.BatchNorm3d(2).eval(), nn.ReLU()), (2, 2, 2, 3, 2)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (2, 3, 8)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 6, 7)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), (1, 2, 4, 4, 4)),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 1, 1), (2, 3, 8)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, ceil_mode=True), (2, 3, 5, 7)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2, divisor_override=3), (1, 2, 4, 4, 4)),
    "LPPool1d": (lambda: nn.LPPool1d(3, 2), (1, 2, 6)),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), (1, 2, 4, 6)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), (2, 3, 5, 7)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, None)), (2, 3, 5, 4)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(1), (2, 3, 5)),
    "LPPool3d": (lambda: nn.LPPool3d(2, 2), (1, 2, 4, 2, 4)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), (2, 3, 7)),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(2), (1, 2, 3, 5, 4)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d((1, 2, 3)), (1, 2, 3, 5, 4)),
    "BasicBlock": (lambda: nn.BasicBlock(2, 3, 2, seed=0), (2, 2, 6, 6)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(4, 3, seed=0), nn.ReLU(), nn.Linear(3, 2, seed=1)), (5, 4)),
}


def test_no_layer_is_left_out():
    """Losses, Dropout and unpooling, which takes two arrays, have tests of their own."""
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    apart = {"Module", "CrossEntropyLoss", "MSELoss", "Dropout", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"}
    assert {type(module).__name__ for make, _ in LAYERS.values() for module in make().modules()} == layers - apart


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling_layers(rank, cupy):
    x = spread((2, 3, *(6, 4, 8)[:rank]), 0, "float32")
    values, indices = getattr(cyconv, f"max_pool{rank}d")(x, 2, return_indices=True)
    ours, theirs = (getattr(nn, f"MaxUnpool{rank}d")(2) for _ in range(2))
    theirs.to("gpu")
    y = ours(values, indices)
    close(theirs(cupy.asarray(values), cupy.asarray(indices)), y)
    g = random(y.shape, 1, "float32")
    close(theirs.backward(cupy.asarray(g)), ours.backward(g))


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, cupy, monkeypatch):
    make, shape = LAYERS[name]
    ours, theirs = make(), make().to("gpu")
    x = spread(shape, 0, "float32")
    y = ours(x.copy())
    with nobody_waits(cupy, monkeypatch):
        got = theirs(cupy.asarray(x))
    close(got, y)
    g = random(y.shape, 1, "float32")
    want = ours.backward(g)
    with nobody_waits(cupy, monkeypatch):
        found = theirs.backward(cupy.asarray(g))
    close(found, want)
    for (path, parameter), (_, twin) in zip(ours.named_parameters(), theirs.named_parameters()):
        assert not isinstance(twin.grad, nn.Parameter), path
        close(twin.grad, parameter.grad)
    for one, other in zip(theirs.buffers(), ours.buffers()):
        close(one, other)
    theirs(cupy.asarray(x))
    assert theirs.backward(cupy.asarray(g), input_grad=False) is None
    ours.eval(), theirs.eval()
    for one, other in zip(theirs.buffers(), ours.buffers()):  # which have seen one batch more
        if other.dtype == np.float32:
            one[...] = cupy.asarray(other)
    close(theirs(cupy.asarray(x)), ours(x))


def test_max_pools_with_indices_and_back(cupy):
    pool, unpool, x = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2), spread((1, 2, 4, 6), 0, "float32")
    values, indices = pool(x)
    y = unpool(values, indices)
    want = pool.backward(unpool.backward(x))
    got = pool(cupy.asarray(x))
    close(got[0], values), close(got[1], indices)
    close(unpool(*got), y)
    close(pool.backward(unpool.backward(cupy.asarray(x))), want)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_layers_of_other_dtypes(dtype, cupy):
    made = [nn.Sequential(nn.Conv2d(1, 2, 3, seed=0, dtype=dtype), nn.BatchNorm2d(2, dtype=dtype), nn.ReLU()) for _ in range(2)]
    x, tolerance = random((2, 1, 5, 5), 0, dtype), 1e-12 if dtype == "float64" else 4e-3
    made[1].to("gpu")
    y = made[0](x)
    close(made[1](cupy.asarray(x)), y, tolerance)
    close(made[1].backward(cupy.asarray(y)), made[0].backward(y), 2 * tolerance)
    for parameter, twin in zip(made[0].parameters(), made[1].parameters()):
        close(twin.grad, parameter.grad, 8 * tolerance)


def test_dropout_layers(cupy):
    x = cupy.asarray(random((40, 50), 0, "float32"))
    first, second = (nn.Dropout(0.3, seed=3).to("gpu") for _ in range(2))
    y = first(x)
    np.testing.assert_array_equal(second(x).get(), y.get())
    assert 0.6 < (y.get() != 0).mean() < 0.8
    np.testing.assert_array_equal(first.backward(x).get(), y.get())  # the same elements, with the same factor
    assert (first(x).get() != y.get()).any()
    assert first.eval()(x) is x
    again = x.copy()
    assert nn.Dropout(0.3, inplace=True, seed=3)(again) is again
    np.testing.assert_array_equal(again.get(), y.get())
    none = nn.Dropout(0)
    assert none(x) is x and none.backward(x) is x
    with pytest.raises(TypeError, match=r"^Dropout\(p=0.3\): input has dtype int64"):
        nn.Dropout(0.3)(cupy.ones(3, np.int64))


@pytest.mark.parametrize("options", [{}, {"weight": np.arange(1.0, 5.0), "label_smoothing": 0.1, "reduction": "sum"}], ids=str)
def test_cross_entropy_layers(options, cupy, monkeypatch):
    loss, x, t = nn.CrossEntropyLoss(**options), random((6, 4), 0, "float32"), np.arange(6) % 4
    value, gradient = loss(x, t), loss.backward(0.5)
    loss.to("gpu")
    x, t = cupy.asarray(x), cupy.asarray(t)
    with nobody_waits(cupy, monkeypatch):
        got = loss(x, t)
        found = loss.backward(0.5)
    assert got.shape == () and abs(float(got) - value) < 1e-5 * value
    close(found, gradient)
    loss(x, t)
    assert loss.backward(input_grad=False) is None
    loss(x, t)
    with nobody_waits(cupy, monkeypatch):
        found = loss.backward(got / value / 2)
    close(found, gradient)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_mse_layers(reduction, dtype, cupy, monkeypatch):
    loss, x, t = nn.MSELoss(reduction), random((6, 4), 0, dtype), random((6, 4), 1, dtype)
    value, gradient = loss(x, t), loss.backward(0.5)
    x, t = cupy.asarray(x), cupy.asarray(t)
    with nobody_waits(cupy, monkeypatch):
        got = loss(x, t)
        found = loss.backward(0.5)
    assert got.shape == () and abs(float(got) - value) < 1e-6 * value
    close(found, gradient, 1e-6 if dtype != "float16" else 1e-3)
    loss(x, t)
    with nobody_waits(cupy, monkeypatch):
        found = loss.backward((got / value / 2).astype("float32"))
    close(found, gradient, 1e-5 if dtype != "float16" else 1e-3)
    loss(x, t)
    for wrong, kind, message in ((x, ValueError, r"got shape \(6, 4\)"), (got > 0, TypeError, "grad_output has dtype bool"), (np.ones(()), TypeError, "real number")):
        with pytest.raises(kind, match=message):
            loss.backward(wrong)
    assert loss.backward() is not None
    loss(x.get(), t.get())
    with pytest.raises(TypeError, match="grad_output must be a real number"):
        loss.backward(got)
    with pytest.raises(TypeError, match=r"^MSELoss\(.*\): input is a CuPy array \(on the GPU\), target a NumPy array"):
        loss(x, t.get())


def test_what_lies_elsewhere_is_refused(cupy):
    x, g = np.ones((4, 3), np.float32), cupy.ones((4, 3), np.float32)
    net = nn.Sequential({"front": nn.Identity(), "back": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))})
    for device, wrong in (("gpu", x), ("cpu", g)):
        net.to(device)
        with pytest.raises(TypeError) as caught:
            net(wrong)
        names = ("weight", "input") if device == "gpu" else ("input", "weight")
        assert str(caught.value) == (
            f"back.0 Linear(in_features=3, out_features=3, bias=True): {names[0]} is a CuPy array (on the GPU), {names[1]} a NumPy array "
            f"(on the CPU); they must lie on one device: cupy.asarray({names[1]}) or cupy.asnumpy({names[0]}) moves one, "
            "a module's to() the module"
        )
        with pytest.raises(TypeError, match=r"^back.1 BatchNorm1d.*is a CuPy array \(on the GPU\), \w+ a NumPy array \(on the CPU\)"):
            net.back[1](wrong)
    for layer in (nn.ReLU(), nn.Conv1d(4, 4, 1).to("gpu"), nn.MaxPool1d(1)):
        layer(g)
        with pytest.raises(TypeError, match="grad_output must be a CuPy array, as the output was, got a NumPy array"):
            layer.backward(x)
    relu = nn.ReLU()
    relu(x)
    with pytest.raises(TypeError, match="grad_output must be a NumPy array, as the output was, got a CuPy array"):
        relu.backward(g)
    weighted = nn.CrossEntropyLoss([1, 2, 3.0])
    with pytest.raises(TypeError, match=r"^CrossEntropyLoss\(\): logits is a CuPy array .*, weight a NumPy array .*"):
        weighted(g, cupy.zeros(4, int))


# ---- states --------------------------------------------------------------------------------------------------------------


def test_states_cross_devices(cupy, tmp_path):
    net, other = residual(seed=0), residual(seed=1).to("gpu")
    net(random((4, 2, 9, 9), 0, "float32"))
    state = net.state_dict()

    def same(module):
        for name, array in module.state_dict().items():
            np.testing.assert_array_equal(array.get() if isinstance(array, cupy.ndarray) else array, state[name], err_msg=name)

    parameters = list(map(id, other.parameters()))
    other.load_state_dict(state)
    same(other)
    assert list(map(id, other.parameters())) == parameters and all(isinstance(each, cupy.ndarray) for each in other.parameters())
    another = residual(seed=2)
    another.load_state_dict(other.state_dict())
    same(another)
    nn.save(other, tmp_path / "net.npz")
    loaded = nn.load(tmp_path / "net.npz")
    assert all(type(array) is np.ndarray for array in loaded.values())
    residual(seed=3).to("gpu").load_state_dict(loaded)
    nn.save({"a": cupy.ones(3)}, tmp_path / "a.npz")
    assert nn.load(tmp_path / "a.npz")["a"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"conv1.weight of Conv2d\(.*it must have shape"):
        other.load_state_dict(state | {"conv1.weight": cupy.zeros(3)})
    with pytest.raises(ValueError, match="num_batches_tracked .* must be at most 9223372036854775807"):
        other.load_state_dict(state | {"bn1.num_batches_tracked": cupy.asarray(np.uint64(2**63 + 5))})
    same(other)


def test_assignment_and_initial_values(cupy):
    layer = nn.Linear(3, 2, seed=0).to("gpu")
    weight = layer.weight
    layer.weight = cupy.full((2, 3), 2.0)
    assert layer.weight is weight and weight.dtype == np.float32 and (weight.get() == 2).all()
    with pytest.raises(TypeError, match=r"^Linear.*: weight is a CuPy array \(on the GPU\), new weight a NumPy array \(on the CPU\)"):
        layer.weight = np.zeros((2, 3))
    layer.reset_parameters(7)
    assert layer.weight is weight
    np.testing.assert_array_equal(weight.get(), nn.Linear(3, 2, seed=7).weight)
    layer.weight *= 2
    assert layer.weight is weight
    layer.bias = nn.Parameter(cupy.ones(2, np.float32))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.register_buffer("seen", cupy.zeros(2))
    assert isinstance(layer.state_dict()["seen"], cupy.ndarray)
    layer.scale = 2 * layer.weight  # computed from a parameter, and none
    assert "scale" not in dict(layer.named_parameters())


@pytest.mark.parametrize("how", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_of_modules(how, cupy):
    net = Net().to("gpu")
    again = how(net)
    assert all(isinstance(each, cupy.ndarray) and isinstance(each, nn.Parameter) for each in again.parameters())
    assert len(list(again.parameters())) == 6
    x = cupy.asarray(random((4, 3), 0, "float32"))
    close(again.eval()(x), net.eval()(x).get())
    for one, other in zip(net.parameters(), again.parameters()):
        assert one is not other


def test_tables_of_modules(cupy):
    net, size = lenet(nn), (1, 1, 28, 28)
    here, there = nn.summary(net, size), nn.summary(net.to("gpu"), size)
    assert [row.output_shape for row in here.layers] == [row.output_shape for row in there.layers]
    assert here.parameters == there.parameters and here.parameter_bytes == there.parameter_bytes
    assert {row.algorithm for row in there.layers} <= {"", *(row.name for row in menu.GPU_CONV + menu.GPU_POOL)}
    assert nn.receptive_field(net[:3], (0, 0)) == nn.receptive_field(lenet(nn)[:3], (0, 0))
    assert nn.summary(nn.ConvTranspose2d(2, 3, 3, stride=2).to("gpu"), (1, 2, 4, 4)).layers[0].algorithm

"""Parameters, names and states of cyconv.nn: what arrays they are, where they stand, and how they are saved and loaded."""

import copy
import pickle
import sys
import weakref

import numpy as np
import pytest
from nn_cases import check_same_state, lenet, random, residual, torch_residual

from cyconv import nn

# ---- modules -------------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self):
        self.weight = nn.Parameter(np.ones(3))
        self.body = nn.Sequential(nn.Linear(3, 3, seed=0), nn.ReLU(), nn.BatchNorm1d(3))
        self.tied = self.body[0]
        self.scale = 2.0
        self.register_buffer("mask", np.arange(3))
        self.register_buffer("nothing", None)

    def forward(self, x):
        return self.body(x)


def test_what_a_module_lists():
    net = Net()
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert list(net.modules()) == [net, net.body, *net.body]
    assert [name for name, _ in net.named_children()] == ["body", "tied"] and list(net.children()) == [net.body, net.tied]
    names = ["weight", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert list(map(id, net.parameters())) == [id(p) for _, p in net.named_parameters()]
    buffers = ["mask", "body.2.running_mean", "body.2.running_var", "body.2.num_batches_tracked"]
    assert [name for name, _ in net.named_buffers()] == buffers and len(list(net.buffers())) == 4
    assert "tied.weight" in net.state_dict() and "nothing" not in net.state_dict()
    net.more = nn.ReLU()
    assert list(net.modules())[-1] is net.more
    del net.more
    assert len(list(net.modules())) == 5
    net.tied = None
    assert len(list(net.modules())) == 5 and "tied.weight" not in net.state_dict()
    del net.mask
    assert "mask" not in net.state_dict() and not hasattr(net, "mask")
    deep = nn.Sequential(nn.Sequential(nn.Sequential()))
    assert len(list(deep.modules())) == 3
    deep[0][0].append(nn.ReLU())
    assert len(list(deep.modules())) == 4


def test_modes():
    net = Net()
    assert net.training and net.body[1].training
    assert net.eval() is net and not any(module.training for module in net.modules())
    assert net.train() is net and all(module.training for module in net.modules())
    assert not net.train(False).body.training
    with pytest.raises(TypeError, match="mode must be True or False"):
        net.train("no")


def test_descriptions(torch):
    net = residual()
    assert repr(lenet(nn)) == repr(lenet(torch.nn))
    text = repr(net)
    assert "\n  (layer2): Sequential(\n    (0): BasicBlock(\n      (conv1): Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), " in text
    assert "\n      (downsample): Sequential(\n        (0): Conv2d(4, 6, kernel_size=(1, 1), stride=(2, 2), bias=False)" in text
    assert repr(nn.Sequential()) == "Sequential()"


def test_sequences():
    layers = [nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)]
    net = nn.Sequential(*layers)
    assert len(net) == 3 and list(net) == layers and net[0] is layers[0] and net[-1] is layers[2]
    part = net[1:]
    assert type(part) is nn.Sequential and list(part) == layers[1:] and list(part.state_dict()) == ["2.weight", "2.bias"]
    assert part.append(nn.Identity()) is part and [name for name, _ in part.named_children()] == ["1", "2", "3"]
    assert net.append(nn.ReLU())[3] is net[-1] and len(net) == 4
    net[1] = nn.Identity()
    assert type(net[1]) is nn.Identity and [name for name, _ in net.named_children()] == ["0", "1", "2", "3"]
    with pytest.raises(IndexError):
        net[4]
    named = nn.Sequential({"first": layers[0], "second": layers[1]})
    assert named.first is layers[0] and list(named.state_dict()) == ["first.weight", "first.bias"]
    x = random((2, 3))
    assert nn.Sequential()(x) is x
    for bad, error, message in (
        (lambda: nn.Sequential(np.ones(3)), TypeError, "a Sequential holds modules, got ndarray for '0'"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, "a Sequential holds modules, got list"),
        (lambda: nn.Sequential({1: nn.ReLU()}), TypeError, "names of modules must be strings, got 1"),
        (lambda: nn.Sequential({"a.b": nn.ReLU()}), ValueError, "must not be empty or contain a dot, got 'a.b'"),
        (lambda: nn.Sequential({"": nn.ReLU()}), ValueError, "must not be empty"),
        (lambda: nn.Sequential({"forward": nn.ReLU()}), ValueError, "'forward' cannot be the name of a module"),
        (lambda: nn.Sequential({"training": nn.ReLU()}), ValueError, "'training' cannot be the name of a module"),
    ):
        with pytest.raises(error, match=message):
            bad()


def test_arrays_that_are_assigned_replace_values():
    net = nn.Sequential(nn.Linear(3, 2))
    layer = net[0]
    weight = layer.weight
    layer.weight = np.arange(6.0).reshape(2, 3)
    layer.bias = [0.5, 1.5]
    assert layer.weight is weight and weight.dtype == np.float32 and weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    layer.weight *= 2
    layer.weight[0] = 1
    assert layer.weight is weight and weight.tolist() == [[1, 1, 1], [6, 8, 10]]
    label = r"^0 Linear\(in_features=3, out_features=2, bias=True\): "
    with pytest.raises(ValueError, match=label + r"weight must have shape \(2, 3\), got \(3, 2\)"):
        layer.weight = np.zeros((3, 2))
    for wrong in (np.zeros((2, 3), complex), np.zeros((2, 3), int), np.full((2, 3), "a")):
        with pytest.raises(TypeError, match=label + "weight must have a floating dtype, got"):
            layer.weight = wrong
    with pytest.raises(TypeError, match="0 is a module; it may become another module or None, got ndarray"):
        setattr(net, "0", np.zeros(3))
    layer.weight = nn.Parameter(np.ones((2, 3), np.float32))
    assert layer.weight is not weight
    layer.bias = None
    assert list(layer.state_dict()) == ["weight"] and layer(np.ones((1, 3), np.float32)).tolist() == [[3, 3]]
    with pytest.raises(TypeError, match="bias is None here; it may become a Parameter, got ndarray"):
        layer.bias = np.zeros(2)
    layer.bias = nn.Parameter(np.ones(2, np.float32))
    assert list(layer.state_dict()) == ["weight", "bias"]
    norm = nn.BatchNorm1d(2)
    mean = norm.running_mean
    norm.running_mean = [1.0, 2.0]
    assert norm.running_mean is mean and mean.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"^BatchNorm1d\(.*running_var must have shape \(2,\), got \(3,\)"):
        norm.running_var = np.ones(3)


def test_paths_are_those_of_the_modules_place():
    layer = nn.Linear(3, 2)

    def label():
        with pytest.raises(ValueError) as caught:
            layer(np.ones(2, np.float32))
        return str(caught.value).split("Linear")[0]

    assert label() == ""
    net = nn.Sequential({"inner": nn.Sequential(nn.ReLU(), layer)})
    assert label() == "inner.1 "
    part = net.inner[1:]
    assert label() == "inner.1 "
    net.inner[1] = nn.ReLU()
    assert label() == "1 "  # of the slice
    net.inner[1] = layer
    assert label() == "1 "
    part = None
    assert label() == "inner.1 "
    part = net.inner[1:]
    outer = nn.Sequential(net)
    assert label() == "0.inner.1 "
    copied = copy.deepcopy(net)
    assert copied.inner._label() == "inner Sequential" and label() == "0.inner.1 "
    del outer
    assert label() == "inner.1 "
    del net
    assert label() == "1 "  # the slice is left
    del part
    assert label() == ""
    loop = nn.Sequential(nn.Sequential())
    loop[0].up = loop
    assert loop._label() and len(list(loop.modules())) == 2


def test_parents_are_not_kept_alive():
    layer = nn.Linear(3, 2)
    net = nn.Sequential(layer)
    gone = weakref.ref(net)
    del net
    assert gone() is None


@pytest.mark.parametrize("how", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_of_networks(how):
    net = residual(dtype="float64", seed=0)
    x = random((4, 2, 9, 9))
    net(x)
    net.backward(np.ones((4, 3)))
    net(x)
    again = how(net)
    assert all(type(parameter) is nn.Parameter for parameter in again.parameters())
    for mine, other in zip(net.parameters(), again.parameters()):
        np.testing.assert_array_equal(mine.grad, other.grad)
        assert not np.shares_memory(mine, other)
    with pytest.raises(ValueError, match="^fc Linear.*forward has not been called"):
        again.backward(np.ones((4, 3)))
    np.testing.assert_array_equal(again.eval()(x), net.eval()(x))
    check_same = again.state_dict()
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, check_same[name])
    with pytest.raises(ValueError, match=r"^layer2\.0\.downsample\.0 Conv2d"):
        again.layer2[0].downsample[0](x)
    net.eval()
    shallow = copy.copy(net)
    assert next(shallow.modules()) is shallow and shallow.conv1 is net.conv1
    tied = Net()
    assert how(tied).tied is not tied.tied and (copied := how(tied)).tied is copied.body[0]


def test_errors_of_other_kinds_are_left_alone():
    class Strange(nn.Module):
        def forward(self, x):
            raise x

    class TwoArguments(ValueError):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    net = nn.Sequential(Strange())
    with pytest.raises(KeyError, match="^'a'$"):
        net(KeyError("a"))
    with pytest.raises(ValueError, match=r"^0 Strange\(\): a and b"):
        net(TwoArguments("a", "b"))
    with pytest.raises(np.exceptions.AxisError, match=r"^0 Strange\(\): there is none"):
        net(np.exceptions.AxisError("there is none"))
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)
    with pytest.raises(NotImplementedError, match="Strange has no backward"):
        net.backward(1)


# ---- state ---------------------------------------------------------------------------------------------------------------


def test_states_are_copies(torch):
    ours = nn.BatchNorm1d(2)
    state = ours.state_dict()
    assert list(state) == list(torch.nn.BatchNorm1d(2).state_dict())
    assert state["num_batches_tracked"].shape == () and state["num_batches_tracked"].dtype == np.int64
    for array in state.values():
        assert type(array) is np.ndarray
        array[...] = 9
    assert (ours.weight == 1).all() and (ours.running_mean == 0).all()
    arrays = {name: id(array) for name, array in [*ours.named_parameters(), *ours.named_buffers()]}
    ours.load_state_dict(state)
    assert (ours.weight == 9).all() and ours.num_batches_tracked == 9
    assert arrays == {name: id(array) for name, array in [*ours.named_parameters(), *ours.named_buffers()]}


def test_states_of_torch(torch):
    for ours, theirs, shape in (
        (lenet(nn), lenet(torch.nn), (2, 1, 28, 28)),
        (residual(), torch_residual(torch, torch.float32), (2, 2, 9, 9)),
        (residual(), torch_residual(torch, torch.float64), (2, 2, 9, 9)),
    ):
        check_names = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
        assert [(n, a.shape) for n, a in ours.state_dict().items()] == list(check_names.items())
        ours.load_state_dict(theirs.state_dict())
        check_same_state(ours, theirs, 1e-6, 1e-7)
        x = random(shape, dtype="float32")
        want = theirs.float().eval()(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(ours.eval()(x), want, rtol=1e-4, atol=1e-5)
        theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    ours.load_state_dict(dict(theirs.named_parameters()), strict=False)  # tensors that have gradients


def test_a_state_that_does_not_fit_changes_nothing():
    net = nn.Sequential({"conv": nn.Conv2d(1, 6, 5), "norm": nn.BatchNorm2d(6), "fc": nn.Linear(4, 3)})
    before = net.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    state["conv.weight"] = np.zeros((6, 3, 5, 5))
    state["norm.num_batches_tracked"] = np.array(1.5)
    state["norm.running_var"] = np.ones(6, complex)
    del state["fc.bias"]
    state["fc.weights"] = state["fc.weight"]
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    norm = repr(net.norm)
    assert str(caught.value).splitlines() == [
        "the state does not fit Sequential:",
        "  conv.weight of Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1)): it must have shape (6, 1, 5, 5), got (6, 3, 5, 5)",
        f"  norm.running_var of {norm}: it must have a floating dtype, got complex128",
        f"  norm.num_batches_tracked of {norm}: it must have an integer dtype, got float64",
        "  fc.bias of Linear(in_features=4, out_features=3, bias=True): it is missing",
        "  fc.weights: there is no such parameter or buffer",
    ]
    with pytest.raises(ValueError, match="conv.weight"):
        net.load_state_dict(state, strict=False)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    for name in ("conv.weight", "norm.num_batches_tracked", "norm.running_var"):
        del state[name]
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == ["conv.weight", "norm.running_var", "fc.bias"] and unexpected == ["fc.weights"]
    np.testing.assert_array_equal(net.fc.weight, before["fc.weight"] + 1)
    with pytest.raises(TypeError, match="state must be a mapping of names to arrays, got list"):
        net.load_state_dict([])
    with pytest.raises(ValueError, match="fc.bias of .*: it must be an array, got None"):
        net.load_state_dict(before | {"fc.bias": None})


def test_states_that_load_all_the_same(torch):
    norm = nn.BatchNorm1d(2)
    state = norm.state_dict()
    del state["num_batches_tracked"]  # as in states of PyTorch before 0.4.1
    assert norm.load_state_dict(state) == ([], [])
    torch.nn.BatchNorm1d(2).load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    layer = nn.Linear(1, 1)
    layer.load_state_dict({"weight": [[1e300]], "bias": np.array([2.0], ">f2")})
    assert np.isinf(layer.weight).all() and layer.bias == 2
    with pytest.raises(ValueError, match="weight of Linear"):
        layer.load_state_dict({"weight": torch.zeros(1, 1, dtype=torch.bfloat16), "bias": torch.zeros(1)})


# ---- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files(tmp_path, suffix):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    net, other = residual(seed=0), residual(seed=1)
    net(random((4, 2, 9, 9), dtype="float32"))
    path = tmp_path / f"net{suffix}"
    nn.save(net, path)
    state = nn.load(str(path))
    shapes, saved = ({name: (array.shape, array.dtype) for name, array in each.items()} for each in (net.state_dict(), state))
    assert shapes == saved
    other.load_state_dict(state)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    odd = {"file": np.arange(6.0).reshape(2, 3).T, "a/b": np.float16([1, 2])[::-1], "scalar": np.array(3), "none": np.zeros((0, 2), "u1")}
    nn.save(odd, path)  # over the other one
    again = nn.load(path)
    assert set(again) == set(odd)
    for name, array in odd.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype and again[name].shape == array.shape
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_files_of_numpy_and_torch(tmp_path, torch):
    path = tmp_path / "net.npz"
    nn.save({"w": torch.ones(2, requires_grad=True), "b": [1.0]}, path)
    with np.load(path) as file:
        assert file["w"].tolist() == [1, 1] and file["b"].tolist() == [1]
    np.savez(path, w=np.arange(3))
    assert nn.load(path)["w"].tolist() == [0, 1, 2]
    safetensors = pytest.importorskip("safetensors.torch")
    net = lenet(torch.nn)
    safetensors.save_file(net.state_dict(), tmp_path / "torch.safetensors")
    ours = lenet(nn)
    ours.load_state_dict(nn.load(tmp_path / "torch.safetensors"))
    nn.save(ours, tmp_path / "ours.safetensors")
    net.load_state_dict(safetensors.load_file(tmp_path / "ours.safetensors"))


def test_a_failure_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    nn.save({"w": np.ones(3)}, path)

    def fail(*arguments, **options):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", fail)
        with pytest.raises(OSError, match="no space left"):
            nn.save({"w": np.zeros(3)}, path)
    assert nn.load(path)["w"].tolist() == [1, 1, 1]
    assert [each.name for each in tmp_path.iterdir()] == ["net.npz"]


def test_files_that_are_refused(tmp_path):
    for path in ("net.pt", "net", "net.npz.gz"):
        with pytest.raises(ValueError, match=r"path must end in \.npz or \.safetensors, got"):
            nn.save({}, tmp_path / path)
        with pytest.raises(ValueError, match=r"path must end in \.npz or \.safetensors, got"):
            nn.load(tmp_path / path)
    path = tmp_path / "net.npz"
    for state, message in (
        ([1], "state must be a Module or a mapping of names to arrays, got list"),
        ({1: np.ones(2)}, "names in a state must be strings, got 1"),
        ({"a": np.array([None])}, "a must be an array of numbers, got dtype object"),
        ({"a": "text"}, "a must be an array of numbers"),
    ):
        with pytest.raises(TypeError, match=message):
            nn.save(state, path)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        nn.load(path)
    nn.save({"w": np.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="net.npz is no .npz file, or not all of one"):
        nn.load(path)
    np.savez(path, evil=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        nn.load(path)


def test_files_that_safetensors_refuses(tmp_path, torch):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "net.safetensors"
    with pytest.raises(ValueError, match="net.safetensors.* as .safetensors: .*complex128"):
        nn.save({"a": np.ones(3, complex)}, path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        nn.load(path)
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="net.safetensors as .safetensors: "):
        nn.load(path)
    safetensors.save_file({"a": torch.zeros(3, dtype=torch.bfloat16)}, path)
    if "ml_dtypes" in sys.modules:  # which gives NumPy that dtype, once another test has loaded it
        assert nn.load(path)["a"].dtype.name == "bfloat16"
    else:
        with pytest.raises(ValueError, match="net.safetensors as .safetensors: .*bfloat16"):
            nn.load(path)


def test_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda path: nn.save({"w": np.ones(2)}, path), nn.load):
        with pytest.raises(ImportError, match=r"^files that end in \.safetensors need .*: pip install 'cyconv\[safetensors\]'$"):
            call(tmp_path / "net.safetensors")


def test_a_state_is_loaded_as_a_whole_or_not_at_all():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    before = net.state_dict()
    net[1].bias.flags.writeable = False
    with pytest.raises(ValueError, match=r"1.bias of Linear\(.*read-only"):
        net.load_state_dict({name: np.ones_like(value) for name, value in before.items()})
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_state_may_be_made_of_the_parameters_themselves():
    net = nn.Sequential(nn.Linear(2, 2, seed=0), nn.Linear(2, 2, seed=1))
    first, second = np.array(net[0].weight), np.array(net[1].weight)
    net.load_state_dict({"0.weight": np.asarray(net[1].weight), "1.weight": np.asarray(net[0].weight)}, strict=False)
    np.testing.assert_array_equal(net[0].weight, second)
    np.testing.assert_array_equal(net[1].weight, first)


def test_integers_that_do_not_fit_are_refused():
    layer = nn.BatchNorm2d(2)
    with pytest.raises(ValueError, match="num_batches_tracked .* must be at most 9223372036854775807"):
        layer.load_state_dict(layer.state_dict() | {"num_batches_tracked": np.uint64(2**63 + 5)})


def test_damaged_files_are_refused(tmp_path):
    """Whatever bit is wrong: a ValueError, or, where nothing tells, other numbers."""
    path = tmp_path / "net.npz"
    nn.save(nn.Linear(10, 10, seed=0), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(whole)
        broken[rng.integers(len(broken))] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            nn.load(path)
        except ValueError:
            refused += 1
    assert refused > 75

"""What other libraries keep numbers in is taken where it lies, or refused in one sentence: DLPack, NumPy's protocols and buffers."""

import array
import inspect

import numpy as np
import pytest
from test_gpu_everything import CALLS, arguments_of, whole

import cyconv
from cyconv import nn
from cyconv.arguments import as_array

NUMBERS = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
CUDA, METAL, MANAGED = 2, 8, 13  # DLPack's numbers of devices


class OnlyDLPack:
    """An array of a library that offers nothing else, as small array libraries do."""

    def __init__(self, values, device=1):
        self.values, self.device = values, device

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device, 0


class OlderDLPack(OnlyDLPack):
    """The same as of the first version of the protocol, whose exporters know of no versions."""

    def __dlpack__(self, stream=None):
        return self.values.__dlpack__()


class OnlyArray:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class OnlyInterface:
    def __init__(self, values):
        self.values = values  # which must live as long as its address is known
        self.__array_interface__ = values.__array_interface__


class Quiet(OnlyArray):
    """An array on a GPU whose library would copy it to the CPU without a word, as JAX does."""

    def __dlpack_device__(self):
        return CUDA, 0

    def __dlpack__(self, **options):
        raise AssertionError("nobody may ask for this")


# ---- taken where it lies ---------------------------------------------------------------------------------------------------

EXPORTERS = {
    "dlpack": OnlyDLPack,
    "older_dlpack": OlderDLPack,
    "managed_by_cuda": lambda values: OnlyDLPack(values, MANAGED),
    "array": OnlyArray,
    "interface": OnlyInterface,
    "buffer": memoryview,
    "subclass": lambda values: values.view(np.recarray),
}
OF_FIRST_VERSION = {"older_dlpack"} if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else {"dlpack", "older_dlpack", "managed_by_cuda"}
VIEWS = {
    "plain": lambda a: a,
    "transposed": lambda a: a.transpose(0, 2, 1),
    "every_other": lambda a: a[:, ::2, ::3],
    "reversed": lambda a: a[:, ::-1, ::-1],
    "repeated": lambda a: np.broadcast_to(a[:, :1], a.shape),
    "unbatched": lambda a: a[0],
    "empty": lambda a: a[:0],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_nothing_is_copied(exporter, view):
    values = NUMBERS.copy()
    seen = VIEWS[view](values)
    if not seen.flags.writeable and exporter in OF_FIRST_VERSION:
        pytest.skip("the first version of DLPack has no read-only arrays")
    taken = as_array("input", EXPORTERS[exporter](seen))
    assert type(taken) is np.ndarray and taken.dtype == np.float32
    assert np.array_equal(taken, seen)
    assert np.shares_memory(taken, values) or not seen.size
    values += 1
    assert np.array_equal(taken, seen)


def test_a_view_outlives_what_it_was_taken_of():
    taken = as_array("input", OnlyDLPack(NUMBERS.copy()))
    rubbish = [np.full(NUMBERS.shape, np.nan, np.float32) for _ in range(100)]
    assert np.array_equal(taken, NUMBERS) and rubbish


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float64", "complex64", "complex128"])
def test_every_dtype(dtype):
    values = NUMBERS.astype(dtype)
    for exporter in EXPORTERS.values():
        taken = as_array("input", exporter(values))
        assert taken.dtype == dtype and np.array_equal(taken, values) and np.shares_memory(taken, values)


def test_what_is_no_array_of_a_library():
    kernel = np.ones((1, 1, 2))
    want = np.array([[3.0, 5.0]])
    for input in ([[1.0, 2.0, 3.0]], ((1, 2, 3),), [np.array([1.0, 2.0, 3.0])], [array.array("d", [1, 2, 3])], [OnlyArray(np.array([1.0, 2.0, 3.0]))]):
        if np.asarray(input).dtype != np.float64:
            with pytest.raises(TypeError, match="input has int64, weight has float64|same dtype"):
                cyconv.conv1d(input, kernel)
        else:
            assert np.array_equal(cyconv.conv1d(input, kernel), want)
    assert np.array_equal(cyconv.maximum_filter(array.array("d", [1, 3, 2]), 3), [3, 3, 3])
    assert np.array_equal(cyconv.relu(bytearray(b"abc")), list(b"abc"))
    assert cyconv.relu(-1.5) == 0 and cyconv.relu(np.float64(2)) == 2


def test_a_picture_of_pillow():
    Image = pytest.importorskip("PIL.Image")
    picture = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    assert np.array_equal(cyconv.maximum_filter(picture, 3), cyconv.maximum_filter(np.asarray(picture), 3))


# ---- every function --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torch", "dlpack"])
@pytest.mark.parametrize(("module", "name"), CALLS, ids=[f"{module.__name__}.{name}" for module, name in CALLS])
def test_every_function(module, name, kind, request):
    exported = request.getfixturevalue("torch").from_numpy if kind == "torch" else OnlyDLPack
    function, arguments = getattr(module, name), arguments_of(module, name)
    want = function(*arguments)
    tensors = [exported(a) if isinstance(a, np.ndarray) else a for a in arguments]
    kept = [a.copy() if isinstance(a, np.ndarray) else None for a in arguments]
    got = function(*tensors)
    if name == "plan_conv":
        x = whole(*arguments[0])
        got, want = got(exported(x)), want(x)
    if name == "explain":
        got, want = got.chosen, want.chosen
    for one, other in zip(*((each if isinstance(each, tuple) else (each,)) for each in (got, want)), strict=True):
        assert type(one) is type(other) and np.array_equal(one, other)
    assert all(a is None or np.array_equal(a, b) for a, b in zip(kept, arguments, strict=True)), "an argument was written to"
    if kind == "torch" and "out" in inspect.signature(function).parameters:
        with pytest.raises(TypeError, match=r"out must be a plain numpy array or None, got Tensor; numpy.asarray\(out\) may be one over"):
            function(*arguments, out=exported(np.array(want[0] if isinstance(want, tuple) else want)))


@pytest.mark.parametrize("name", [name for name in cyconv.signal.__all__ if name != "correlation_lags"])
def test_signal(name, torch):
    function = getattr(cyconv.signal, name)
    big, small = whole(9, 8), whole(3, 2)
    small[0, 0] = 1
    for exported in (torch.from_numpy, OnlyDLPack):
        got, want = function(exported(big), exported(small)), function(big, small)
        assert type(got) is type(want) and np.array_equal(got, want)
    with pytest.raises(TypeError, match="(in2|template), of type Tensor, .* requires grad"):
        function(big, torch.from_numpy(small).requires_grad_())


def test_layers(torch):
    x = whole(2, 3, 8, 8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, seed=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5, seed=1))
    criterion, labels = nn.CrossEntropyLoss(), np.array([4, 2])
    gradients = []
    for as_theirs in (np.asarray, torch.from_numpy, OnlyDLPack):
        net.zero_grad()
        loss = criterion(net(as_theirs(x)), as_theirs(labels))
        gradients.append([loss, net.backward(as_theirs(criterion.backward())), *[parameter.grad for parameter in net.parameters()]])
    for others in gradients[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(gradients[0], others, strict=True))
    assert np.shares_memory(as_array("input", torch.from_numpy(x)), x)


# ---- tensors of PyTorch ----------------------------------------------------------------------------------------------------


def test_tensors_are_taken_where_they_lie(torch):
    tensor = torch.arange(24, dtype=torch.float32).reshape(1, 4, 6)
    wide = torch.zeros(1, 4, 12)
    for view in (tensor, tensor.transpose(1, 2), tensor[:, ::2], tensor[0], tensor.expand(3, 4, 6), wide[..., ::2]):
        taken = as_array("input", view)
        assert taken.shape == tuple(view.shape)
        assert taken.__array_interface__["data"][0] == view.data_ptr()
        assert taken.strides == tuple(4 * step for step in view.stride())
    tensor[0, 0, 0] = 77
    assert as_array("input", tensor)[0, 0, 0] == 77
    assert as_array("input", torch.zeros(0, 4, 6)).shape == (0, 4, 6)
    assert as_array("input", torch.tensor(1.5)).shape == ()
    for dtype in (torch.float16, torch.bool, torch.int8, torch.complex64):
        assert as_array("input", tensor.to(dtype)).dtype.name == str(dtype).removeprefix("torch.")
    with torch.no_grad():
        inner = torch.nn.Conv1d(4, 2, 3)
    got = cyconv.conv1d(tensor, inner.weight.detach(), inner.bias.detach())
    np.testing.assert_allclose(got, inner(tensor).detach().numpy(), rtol=1e-5, atol=1e-5)


REFUSED = {
    "requires_grad": (lambda torch, t: t.clone().requires_grad_(), r"detach\(\)"),
    "parameter": (lambda torch, t: torch.nn.Parameter(t.clone()), r"detach\(\)"),
    "bfloat16": (lambda torch, t: t.bfloat16(), "BFloat16"),
    "float8": (lambda torch, t: t.to(torch.float8_e4m3fn), "Float8"),
    "conjugate": (lambda torch, t: torch.complex(t, t).conj(), r"resolve_conj\(\)"),
    "negative": (lambda torch, t: torch.complex(t, t).conj().imag, r"resolve_neg\(\)"),
    "sparse": (lambda torch, t: t.to_sparse(), r"to_dense\(\)"),
    "meta": (lambda torch, t: t.to("meta"), "meta"),
    "bfloat16_by_dlpack": (lambda torch, t: OnlyDLPack(t.bfloat16()), "[Uu]nsupported dtype"),
    "requires_grad_by_dlpack": (lambda torch, t: OnlyDLPack(t.clone().requires_grad_()), r"detach\(\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tensors_that_numpy_cannot_look_at(kind, torch):
    make, why = REFUSED[kind]
    tensor = make(torch, torch.arange(24, dtype=torch.float32).reshape(1, 4, 6))
    weight = np.ones((2, 4, 3), np.float32)
    for name, call in {
        "input": lambda: cyconv.conv1d(tensor, weight),
        "weight": lambda: cyconv.conv1d(NUMBERS, tensor),
        "grad_output": lambda: cyconv.grad.conv1d_input((1, 4, 8), weight, tensor),
        "in1": lambda: cyconv.signal.fftconvolve(tensor, NUMBERS),
    }.items():
        with pytest.raises(TypeError, match=f"^{name}, of type [A-Za-z]+, cannot be made an array: .*{why}"):
            call()


# ---- other devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "what"), [(CUDA, "a CUDA GPU"), (METAL, "a Metal GPU"), (99, "a device of DLPack's kind 99")])
@pytest.mark.parametrize("make", [OnlyDLPack, lambda values, device: type("Both", (OnlyDLPack, OnlyArray), {})(values, device)], ids=["dlpack", "and_array"])
def test_arrays_in_a_devices_own_memory(make, device, what):
    away = make(NUMBERS, device)
    weight = np.ones((1, 4, 3), np.float32)
    text = rf", of type \w+, lies on {what}, and nothing is copied from there unasked: bring it to the CPU \(.cpu\(\).*cupy.from_dlpack\("
    for name, call in {
        "input": lambda: cyconv.conv1d(away, weight),
        "bias": lambda: cyconv.conv1d(NUMBERS, weight, away),
        "in2": lambda: cyconv.signal.convolve(NUMBERS, away),
        "image": lambda: cyconv.signal.match_template(away, weight),
        "grad_output": lambda: cyconv.grad.avg_pool1d_input((1, 4, 12), away, 2),
        "data": lambda: nn.Parameter(away),
    }.items():
        with pytest.raises(TypeError, match=name + text):
            call()


def test_no_library_copies_from_a_gpu_quietly():
    with pytest.raises(TypeError, match="input, of type Quiet, lies on a CUDA GPU"):
        cyconv.max_pool1d(Quiet(NUMBERS), 2)


# ---- what fails on the way -------------------------------------------------------------------------------------------------


def test_errors_of_other_libraries_name_the_argument():
    class Broken:
        def __init__(self, error):
            self.error = error

        def __array__(self, dtype=None, copy=None):
            raise self.error

    for error in (RuntimeError("no"), TypeError("no"), BufferError("no"), AttributeError("no"), NotImplementedError("no")):
        with pytest.raises(TypeError, match="^input, of type Broken, cannot be made an array: no$"):
            cyconv.conv1d(Broken(error), np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match="^weight cannot be made an array: no$"):
        cyconv.conv1d(NUMBERS, Broken(ValueError("no")))
    for error in (MemoryError, KeyboardInterrupt):
        with pytest.raises(error):
            cyconv.conv1d(Broken(error()), np.ones((1, 1, 1)))
    for input in (object(), "abc", b"abc", OnlyDLPack, {1: 2}):
        with pytest.raises(TypeError, match="^input has dtype .* not supported"):
            cyconv.relu(input)

"""Several GPUs at once, and arrays that CuPy was handed by others: at odd addresses, in other bytes, or overlapping unbeknownst to CuPy."""

import copy
import inspect

import numpy as np
import pytest
from test_gpu_everything import CALLS, arguments_of, whole

import cyconv
from cyconv import grad, nn
from cyconv.devices import aligned


@pytest.fixture
def other(cupy):
    """A GPU that is not the current one; the stand-in has as many as are asked for."""
    if hasattr(cupy, "fft") and cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    return cupy.cuda.Device(1)


def put(cupy, device, *arrays):
    with device:
        return [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arrays]


# ---- which one computes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "name"), CALLS, ids=[f"{module.__name__}.{name}" for module, name in CALLS])
def test_every_function_computes_where_its_arrays_lie(module, name, cupy, other):
    if name == "explain":
        return
    function, arguments = getattr(module, name), arguments_of(module, name)
    given = put(cupy, other, *[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    got = function(*given)
    if name == "plan_conv":
        got = got(*put(cupy, other, whole(*arguments[0])))
    for each in got if isinstance(got, tuple) else (got,):
        assert each.device == other
    arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]
    for i in arrays if len(arrays) > 1 else ():
        with pytest.raises(ValueError, match=r"^\w+ lies on GPU \d, \w+ on GPU \d; they must lie on one device"):
            function(*given[:i], cupy.asarray(arguments[i]), *given[i + 1 :])


def test_what_is_converted_is_converted_where_it_lies(cupy, other):
    (whole_numbers,) = put(cupy, other, np.abs(whole(2, 3, 8)).astype(np.int32))
    pooled = cyconv.lp_pool1d(whole_numbers, 2, 2)
    assert pooled.device == grad.lp_pool1d_input(whole_numbers, pooled, 2, 2).device == other
    logits, target, weight = put(cupy, other, whole(5, 3), np.array([0, 2, 1, 1, 0]), np.ones(3, np.float32))
    assert cyconv.functional.network.cross_entropy(logits, target, weight).device == other
    (w,) = put(cupy, other, whole(4, 3, 3))
    plan = cyconv.plan_conv((2, 3, 8), w, *put(cupy, other, whole(4)), dtype="float64")
    assert plan(*put(cupy, other, whole(2, 3, 8).astype(np.float64))).device == other
    with pytest.raises(ValueError, match="^input must lie on GPU 1, as the plan's weight does; it lies on GPU 0$"):
        plan(cupy.zeros((2, 3, 8)))


def test_a_network_of_another_gpu(cupy, other):
    net = nn.Sequential(nn.Conv2d(1, 3, 3, seed=0), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4, seed=1))
    with other:
        net.to("gpu")
    optimizer, loss = nn.SGD(net.parameters(), 0.1, momentum=0.9), nn.MSELoss()
    x, y = put(cupy, other, whole(2, 1, 6, 6), whole(2, 4))
    for _ in range(2):
        assert loss(net(x), y).device == other
        assert net.backward(loss.backward()).device == other
        optimizer.step()
    for each in (*net.parameters(), *copy.deepcopy(net).parameters()):
        assert each.device == each.grad.device == other
    state = net.state_dict()
    assert all(each.device == other for each in state.values())
    net.load_state_dict({name: cupy.asarray(value.get()) for name, value in state.items()})  # of the current GPU
    net.load_state_dict({name: value.get() for name, value in state.items()})
    assert all(each.device == other for each in net.state_dict().values())
    with pytest.raises(ValueError, match="weight.* on GPU 1"):
        net(cupy.asarray(x.get()))
    with pytest.raises(ValueError, match="^grad lies on GPU 0, parameter on GPU 1"):
        next(iter(net.parameters())).grad = cupy.zeros((3, 1, 3, 3), np.float32)
    relu = nn.ReLU()
    relu(x)
    with pytest.raises(ValueError, match="grad_output lies on GPU 0, output on GPU 1"):
        relu.backward(cupy.zeros(x.shape, np.float32))


@pytest.mark.parametrize("make", [lambda p: nn.SGD(p, 0.1, momentum=0.9), nn.Adam], ids=["SGD", "Adam"])
def test_what_optimizers_remember_follows_to_another_gpu(make, cupy, other):
    def fed(layer, x):
        layer(x)
        layer.backward(x[:, :2])

    layer, x = nn.Linear(3, 2, seed=0), whole(4, 3)
    twin = copy.deepcopy(layer)
    optimizer, on_cpu = make(layer.parameters()), make(twin.parameters())
    for each, steps in ((layer, optimizer), (twin, on_cpu)):
        fed(each, x)
        steps.step()
        steps.zero_grad()
    fed(layer, x)
    fed(twin, x)
    with other:
        layer.to("gpu")
    optimizer.step()
    on_cpu.step()
    assert layer.weight.device == layer.weight.grad.device == other
    np.testing.assert_allclose(layer.weight.get(), twin.weight, 1e-5, 1e-6)


# ---- how they lie ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "name"), CALLS, ids=[f"{module.__name__}.{name}" for module, name in CALLS])
def test_every_function_takes_numbers_at_odd_addresses(module, name, cupy):
    function, arguments = getattr(module, name), arguments_of(module, name)
    odd = [shifted(cupy, a.ravel()).reshape(a.shape) if isinstance(a, np.ndarray) else a for a in arguments]
    if name == "batch_norm":  # which, in training, writes to the second and the third
        with pytest.raises(ValueError, match="^running_mean is written to, and must begin at a whole element"):
            function(*odd[:3], training=True)
        odd[1:3] = put(cupy, cupy.cuda.Device(0), *arguments[1:3])
    got, want = function(*odd), function(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    if name == "plan_conv":
        x = whole(*arguments[0])
        got, want = got(shifted(cupy, x.ravel()).reshape(x.shape)), want(x)
    if name != "explain":
        for a, b in zip(got, want) if isinstance(got, tuple) else [(got, want)]:
            np.testing.assert_allclose(a.get(), b, rtol=1e-6, atol=1e-6)  # logarithms up to 9 cancel
    word = next((word for word in ("out", "output") if word in inspect.signature(function).parameters), None)
    if word:
        first, result = (got[0], want[0]) if isinstance(got, tuple) else (got, want)
        out = shifted(cupy, np.zeros(result.size, result.dtype)).reshape(result.shape)
        returned = function(*odd, **{word: out})
        assert (returned[0] if isinstance(got, tuple) else returned) is out
        np.testing.assert_array_equal(aligned(out).get(), first.get())


def shifted(cupy, array, step=None, begin=1):
    """A view of a copy of `array`, in one dimension, that begins at an odd address."""
    step = step or array.itemsize
    room = cupy.zeros(array.size * step + 64, np.uint8)
    pointer = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(room.data.ptr, room.nbytes, room), begin)
    odd = cupy.ndarray(array.shape, array.dtype, pointer, (step,))
    cupy.ndarray((*array.shape, array.itemsize), np.uint8, pointer, (step, 1))[...] = cupy.asarray(array.view(np.uint8).reshape(-1, array.itemsize))
    return odd


@pytest.mark.parametrize(("step", "begin"), [(None, 1), (5, 0), (None, 2)])
def test_numbers_at_odd_addresses(step, begin, cupy):
    x, w = whole(20), whole(1, 1, 3)
    odd = shifted(cupy, x, step, begin)[None]
    np.testing.assert_array_equal(cyconv.conv1d(odd, cupy.asarray(w)).get(), cyconv.conv1d(x[None], w))
    np.testing.assert_array_equal(cyconv.max_pool1d(odd, 2).get(), cyconv.max_pool1d(x[None], 2))
    np.testing.assert_array_equal(cyconv.conv1d(cupy.asarray(x)[None], shifted(cupy, w.ravel(), step, begin)[None, None]).get(), cyconv.conv1d(x[None], w))


def test_other_orders_of_bytes_are_refused(cupy):
    x, w = cupy.asarray(whole(1, 1, 8)), cupy.asarray(whole(1, 1, 3))
    with pytest.raises(TypeError, match="^weight has dtype >f4, whose bytes are in another order than the device's$"):
        cyconv.conv1d(x, w.view(">f4"))
    with pytest.raises(TypeError, match="^input has dtype >f4"):
        cyconv.avg_pool1d(x.view(">f4"), 2)
    with pytest.raises(TypeError, match="^input has dtype >f4"):
        cyconv.functional.softmax(x.view(">f4"))


def test_memory_that_came_to_cupy_twice(cupy):
    """As tensors of another library do: CuPy knows of each where it begins, and not that they are one array."""
    x, w = whole(1, 1, 40), whole(1, 1, 3)
    owner = cupy.asarray(np.concatenate([x.ravel(), np.zeros(8, np.float32)]))

    def at(first, count):
        memory = cupy.cuda.UnownedMemory(owner.data.ptr + 4 * first, 4 * count, owner)
        return cupy.ndarray((1, 1, count), np.float32, cupy.cuda.MemoryPointer(memory, 0))

    assert not cupy.may_share_memory(at(0, 40), at(2, 38))
    want = cyconv.conv1d(x, w)
    got = cyconv.conv1d(at(0, 40), cupy.asarray(w), out=at(2, 38))
    np.testing.assert_array_equal(got.get(), want)
    owner[:40] = cupy.asarray(x.ravel())
    got = cyconv.max_pool1d(at(0, 40), 3, 1, out=at(1, 38))
    np.testing.assert_array_equal(got.get(), cyconv.max_pool1d(x, 3, 1))

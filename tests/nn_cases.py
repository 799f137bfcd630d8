"""What the tests of cyconv.nn share: gradients by central differences, and networks built with cyconv.nn and with torch.nn."""

import numpy as np

from cyconv import nn


def random(shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def spread(shape, seed=0, dtype="float64"):
    """Values that differ by at least 0.1 and stay away from 0, so that no small step changes which is the largest or the sign."""
    count = int(np.prod(shape))
    return ((np.random.default_rng(seed).permutation(count) - count // 2 + 0.5) / 10).reshape(shape).astype(dtype)


def central_differences(value, array, step=1e-5):
    """The gradient of value(), a float, with respect to an array that it reads."""
    gradient = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = value()
        array[place] = kept - step
        below = value()
        array[place] = kept
        gradient[place] = (above - below) / (2 * step)
    return gradient


def check_gradients(layer, x, *more, rtol=1e-6, atol=1e-7, **options):
    """A module's backward, in float64, against central differences: of its input and all of its parameters, and without the former's."""

    def output():
        result = layer(x, *more, **options)
        return result[0] if isinstance(result, tuple) else result

    probe = random(output().shape, seed=99)
    layer.zero_grad()
    output()
    found = layer.backward(probe)
    assert found.shape == x.shape and found.dtype == x.dtype
    np.testing.assert_allclose(found, central_differences(lambda: float((output() * probe).sum()), x), rtol, atol)
    gradients = {name: parameter.grad.copy() for name, parameter in layer.named_parameters()}
    for name, parameter in layer.named_parameters():
        assert type(parameter.grad) is np.ndarray and parameter.grad.dtype == parameter.dtype
        want = central_differences(lambda: float((output() * probe).sum()), parameter)
        np.testing.assert_allclose(parameter.grad, want, rtol, atol, err_msg=name)
    output()
    assert layer.backward(probe, input_grad=False) is None
    for name, parameter in layer.named_parameters():  # added to what was there
        np.testing.assert_allclose(parameter.grad, 2 * gradients[name], 1e-12, 1e-12)


def check_parity(torch, ours, theirs, x, *more, rtol=1e-9, atol=1e-10, **options):
    """Outputs, gradients and state of a module and its twin in torch.nn after load_state_dict, in training, and outputs in eval mode."""
    ours.load_state_dict(theirs.state_dict())
    ours.zero_grad()
    tensor = torch.from_numpy(x.copy()).requires_grad_(x.dtype.kind == "f")
    y = ours(x, *more, **options)
    t = theirs(tensor, *[torch.from_numpy(each) for each in more], **options)
    y, t = (y[0], t[0]) if isinstance(y, tuple) else (y, t)
    np.testing.assert_allclose(y, t.detach().numpy(), rtol, atol)
    g = random(y.shape, seed=98, dtype=y.dtype)
    found = ours.backward(g)
    t.backward(torch.from_numpy(g))
    np.testing.assert_allclose(found, tensor.grad.numpy(), rtol, atol)
    pairs = list(zip(ours.named_parameters(), theirs.named_parameters(), strict=True))
    for (name, parameter), (other, twin) in pairs:
        assert name == other
        np.testing.assert_allclose(parameter.grad, twin.grad.numpy(), rtol, atol, err_msg=name)
    check_same_state(ours, theirs, rtol, atol)
    ours.eval(), theirs.eval()
    y, t = ours(x, *more, **options), theirs(tensor, *[torch.from_numpy(each) for each in more], **options)
    y, t = (y[0], t[0]) if isinstance(y, tuple) else (y, t)
    np.testing.assert_allclose(y, t.detach().numpy(), rtol, atol)


def check_same_state(ours, theirs, rtol=1e-9, atol=1e-10):
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for name, array in mine.items():
        assert type(array) is np.ndarray and array.shape == tuple(other[name].shape)
        np.testing.assert_allclose(array, other[name].numpy(), rtol, atol, err_msg=name)


def lenet(library, **options):
    """LeNet-5 from either library."""
    n = library
    return n.Sequential(
        n.Conv2d(1, 6, 5, padding=2, **options), n.ReLU(), n.MaxPool2d(2),
        n.Conv2d(6, 16, 5, **options), n.ReLU(), n.MaxPool2d(2), n.Flatten(),
        n.Linear(400, 120, **options), n.ReLU(), n.Linear(120, 84, **options), n.ReLU(), n.Linear(84, 10, **options),
    )  # fmt: skip


def residual(**options):
    """A small residual network: a stem, three blocks, of which one changes the shape, and a linear layer."""
    batch = {name: value for name, value in options.items() if name == "dtype"}
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(2, 4, 3, padding=1, bias=False, **options),
            "bn1": nn.BatchNorm2d(4, **batch),
            "relu": nn.ReLU(),
            "layer1": nn.Sequential(nn.BasicBlock(4, 4, **options)),
            "layer2": nn.Sequential(nn.BasicBlock(4, 6, 2, **options), nn.BasicBlock(6, 6, **options)),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(6, 3, **options),
        }
    )


def torch_residual(torch, dtype):
    """The same of torch.nn."""
    from collections import OrderedDict

    def conv(inputs, outputs, kernel, stride=1):
        return torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, dtype=dtype)

    def norm(channels):
        return torch.nn.BatchNorm2d(channels, dtype=dtype)

    class Block(torch.nn.Module):
        def __init__(self, inputs, outputs, stride=1):
            super().__init__()
            self.conv1, self.bn1, self.relu = conv(inputs, outputs, 3, stride), norm(outputs), torch.nn.ReLU()
            self.conv2, self.bn2 = conv(outputs, outputs, 3), norm(outputs)
            changes = stride != 1 or inputs != outputs
            self.downsample = torch.nn.Sequential(conv(inputs, outputs, 1, stride), norm(outputs)) if changes else None

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    return torch.nn.Sequential(
        OrderedDict(
            conv1=conv(2, 4, 3),
            bn1=norm(4),
            relu=torch.nn.ReLU(),
            layer1=torch.nn.Sequential(Block(4, 4)),
            layer2=torch.nn.Sequential(Block(4, 6, 2), Block(6, 6)),
            pool=torch.nn.AdaptiveAvgPool2d(1),
            flatten=torch.nn.Flatten(),
            fc=torch.nn.Linear(6, 3, dtype=dtype),
        )
    )

"""Layers one after the other."""

from .module import Module


class Sequential(Module):
    """Modules that are called one after the other, each with what the one before it returned.

    ``net[i]`` is one of them, ``net[i:j]`` a Sequential of some, with their parameters and names; ``len(net)`` and iteration work as in a
    list. Of `backward` with ``input_grad=False``, nothing is computed before the first layer that has parameters to train.

    Parameters
    ----------
    *modules : Module, or one dict of str to Module
        Without names, they are called "0", "1" and so on.

    Raises
    ------
    ValueError, TypeError
        If something is no module, or a name cannot be an attribute's.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> from cyconv import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
    >>> net(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    >>> net.backward(np.ones((2, 10), np.float32), input_grad=False)
    >>> net[0].weight.grad.shape
    (4, 1, 3, 3)
    """

    def __init__(self, *modules):
        if len(modules) == 1 and isinstance(modules[0], dict):
            named = modules[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(modules))
        for name, module in named:
            self._add(name, module)

    def _add(self, name, module):
        if not isinstance(module, Module):
            raise TypeError(f"a Sequential holds modules, got {type(module).__name__} for {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"names of modules must be strings, got {name!r}")
        setattr(self, name, module)

    def append(self, module):
        """Adds a module at the end. Returns the Sequential."""
        number = len(self)
        while str(number) in vars(self):  # a slice keeps its names
            number += 1
        self._add(str(number), module)
        return self

    def forward(self, x):
        for _, module in self._members():
            x = module(x)
        return x

    def backward(self, grad_output, *, input_grad=True):
        layers = [module for _, module in self._members()]
        first = 0
        if not input_grad:
            while first < len(layers) and layers[first]._skippable():
                first += 1
        for i in range(len(layers) - 1, first - 1, -1):
            grad_output = layers[i].backward(grad_output, input_grad=input_grad or i > first)
        for layer in layers[:first]:
            layer._skip()
        return grad_output if input_grad else None

    def trace(self, flow):
        for _, module in self._members():
            flow = module.trace(flow)
        return flow

    def _skippable(self):
        own = type(self).forward is Sequential.forward and type(self).backward is Sequential.backward
        return own and all(module._skippable() for _, module in self._members())

    def _skip(self):
        for _, module in self._members():
            module._skip()

    def __len__(self):
        return len(self._members())

    def __iter__(self):
        return (module for _, module in self._members())

    def __getitem__(self, index):
        members = self._members()
        if isinstance(index, slice):
            return Sequential(dict(members[index]))
        return members[index][1]

    def __setitem__(self, index, module):
        self._add(self._members()[index][0], module)

"""How modules move from one device to another.

A NumPy array cannot become a CuPy array, so that a parameter on another device is another object, which stands for the first: its
successor. Whoever still has the first one finds the other: modules that share it and are moved later, and optimizers at their next step.
"""

from ..devices import moved, on_gpu, require_cupy, where
from .parameter import worn


def move(modules, parameters, buffers, device):
    """Moves what some modules have, each parameter with its gradient. If anything fails, nothing is changed."""
    if device == "gpu":
        require_cupy()
    twins = [(each, _twin_on(each, device)) for each in parameters]
    gradients = [None if each is twin or each.grad is None else _beside(twin, each.grad, device) for each, twin in twins]
    places = {id(each): twin for each, twin in twins} | {id(each): moved(each, device) for each in buffers}
    for module in modules:
        own = vars(module)
        own.update({name: places[id(value)] for name, value in own.items() if id(value) in places})
    for (each, twin), gradient in zip(twins, gradients):
        if gradient is not None:
            with where(twin):
                twin.grad = gradient if twin.grad is None else twin.grad + gradient
        if twin is not each:
            each.grad, each._successor = None, twin


def _beside(twin, gradient, device):
    """The gradient where the twin lies, which may be another GPU than the current one."""
    with where(twin):
        return moved(gradient, device)


def last_successor(parameter):
    """The parameter that modules have put in the place of this one; None if this one is where it was made."""
    last = parameter
    while last._successor is not None:
        last = last._successor
    return None if last is parameter else last


def _twin_on(parameter, device):
    """The parameter on "cpu" or "gpu", without its gradient: itself, one that it has there already, or a new one."""
    for each in (last_successor(parameter), parameter):
        if each is not None and on_gpu(each) == (device == "gpu"):
            return each
    twin = worn(moved(parameter.view(parameter._array), device))
    twin.requires_grad = parameter.requires_grad
    return twin

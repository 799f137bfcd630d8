"""How parameters follow their gradients.

On the CPU each step goes through a parameter in pieces that stay in the cache, so that its passes over them are cheap and scratch memory is
small. On the GPU it is one kernel for each parameter.

Where a module has moved its parameters, the optimizer takes the new ones over, and moves what it remembers of them.
"""

import numpy as np

from ..arguments import check_cpu_dtype, flag, shown
from ..devices import moved, namespace, on_gpu, where
from ..functional.network import real
from ..memory import empty
from .moving import last_successor
from .parameter import Parameter

_PIECE = 16384  # elements: 64 KiB in single precision, of each of up to four arrays and two pieces of scratch


class _Optimizer:
    """Parameters, what is remembered of each (`_state`), and scratch memory."""

    def __init__(self, parameters, lr):
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("parameters must be at least one Parameter, got none")
        for parameter in self.parameters:
            if not isinstance(parameter, Parameter):
                raise TypeError(f"parameters must be nn.Parameter arrays, got {type(parameter).__name__}")
            if not parameter.flags.c_contiguous:
                raise ValueError(f"parameters must be C-contiguous, got one of shape {parameter.shape} and strides {parameter.strides}")
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError("parameters must differ, got one twice")
        self.lr = _at_least("lr", lr, 0)
        self._state = [None] * len(self.parameters)

    def zero_grad(self):
        """Makes every parameter's `grad` None."""
        self._follow_moves()
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        """Changes every parameter that has a gradient."""
        lr = _at_least("lr", self.lr, 0)
        self._follow_moves()
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            if on_gpu(parameter):
                with parameter.device:
                    self._state[i] = state = self._follow(self._state[i], parameter.reshape(-1))
                    self._launch(lr, state, parameter, parameter.grad)
                continue
            check_cpu_dtype("a parameter", parameter.dtype.name)
            values, gradient = np.asarray(parameter).reshape(-1), parameter.grad.reshape(-1)
            scratch = empty((2, min(values.size, _PIECE)), values.dtype)
            self._state[i] = state = self._follow(self._state[i], values)
            for begin in range(0, values.size, _PIECE):
                piece = slice(begin, begin + _PIECE)
                p = values[piece]
                self._move(lr, state, piece, p, gradient[piece], *scratch[:, : p.size])

    def _follow_moves(self):
        """Takes over parameters that modules have moved, and moves what is remembered of them."""
        for i, parameter in enumerate(self.parameters):
            twin = last_successor(parameter)
            if twin is None:
                continue
            if parameter.grad is not None:
                raise ValueError(
                    f"a parameter of shape {parameter.shape} was moved by one module, and another one still computes gradients with the old "
                    "one: modules that share parameters must be moved together, by the to() of each"
                )
            self.parameters[i] = twin
            if self._state[i] is not None:
                device = "gpu" if on_gpu(twin) else "cpu"
                with where(twin):
                    self._state[i] = tuple(moved(each, device) if hasattr(each, "dtype") else each for each in self._state[i])


class SGD(_Optimizer):
    """Stochastic gradient descent, with momentum if wanted; the formulas of torch.optim.SGD.

    With g the gradient plus `weight_decay` times p, p falls by lr*g. With a momentum m, it falls by lr*b, where b becomes
    m*b + (1 - dampening)*g, and g the first time; with `nesterov` by lr*(g + m*b). (Sutskever, Martens, Dahl and Hinton, "On the
    importance of initialization and momentum in deep learning", 2013.)

    Parameters
    ----------
    parameters : iterable of Parameter
        As ``module.parameters()`` gives them.
    lr : float
        How far to go. An attribute, which may be changed between steps.
    momentum, dampening, weight_decay : float, optional
        Not negative.
    nesterov : bool, optional
        Needs a momentum, and no dampening.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> w = cyconv.nn.Parameter(np.array([1.0, 2.0]))
    >>> optimizer = cyconv.nn.SGD([w], lr=0.5)
    >>> w.grad = np.array([1.0, -1.0])
    >>> optimizer.step()
    >>> w
    Parameter([0.5, 2.5])
    """

    def __init__(self, parameters, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
        super().__init__(parameters, lr)
        self.momentum, self.dampening = _at_least("momentum", momentum, 0), real("dampening", dampening)
        self.weight_decay, self.nesterov = _at_least("weight_decay", weight_decay, 0), flag("nesterov", nesterov)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(f"nesterov needs a momentum and no dampening, got momentum {self.momentum} and dampening {self.dampening}")

    def _follow(self, state, values):
        """(b, whether this is its first step)"""
        if not self.momentum:
            return None
        return (namespace(values).zeros(values.shape, values.dtype), True) if state is None else (state[0], False)

    def _move(self, lr, state, piece, p, g, s, t):
        if self.weight_decay:
            np.multiply(p, self.weight_decay, out=s)
            s += g
            g = s
        if self.momentum:
            velocity, first = state[0][piece], state[1]
            if first:
                velocity[...] = g
            else:
                velocity *= self.momentum
                np.multiply(g, 1 - self.dampening, out=t)
                velocity += t
            if self.nesterov:
                np.multiply(velocity, self.momentum, out=t)
                t += g
                g = t
            else:
                g = velocity
        np.multiply(g, lr, out=s)
        p -= s

    def _launch(self, lr, state, parameter, gradient):
        from ..gpu import optimizers

        velocity, first = state or (None, False)
        optimizers.sgd(parameter, gradient, velocity, first, lr, self.momentum, self.dampening, self.weight_decay, self.nesterov)


class Adam(_Optimizer):
    """Steps of a size that does not depend on the gradient's; the formulas of torch.optim.Adam.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015. With g the gradient plus `weight_decay` times p, and m and v
    running averages of g and g*g that forget by beta1 and beta2, p falls by lr*m / (sqrt(v) + eps), where m and v are divided by
    1 - beta**t after t steps, since they began as 0.

    Parameters
    ----------
    parameters : iterable of Parameter
        As ``module.parameters()`` gives them.
    lr : float, optional
        How far to go. An attribute, which may be changed between steps.
    betas : (float, float), optional
        From 0 to below 1.
    eps, weight_decay : float, optional
        Not negative.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> w = cyconv.nn.Parameter(np.array([1.0, 2.0]))
    >>> optimizer = cyconv.nn.Adam([w], lr=0.5)
    >>> w.grad = np.array([0.001, -100.0])
    >>> optimizer.step()
    >>> w.round(3)
    array([0.5, 2.5])
    """

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(parameters, lr)
        try:
            beta1, beta2 = betas
        except (TypeError, ValueError):
            raise TypeError(f"betas must be two numbers, got {shown(betas)}") from None
        self.betas = real("betas", beta1), real("betas", beta2)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be from 0 to below 1, got {self.betas}")
        self.eps, self.weight_decay = _at_least("eps", eps, 0), _at_least("weight_decay", weight_decay, 0)

    def _follow(self, state, values):
        """(m, v, 1 - beta1**t, sqrt(1 - beta2**t), t)"""
        m, v, *_, t = (*[namespace(values).zeros(values.shape, values.dtype) for _ in range(2)], 0) if state is None else state
        t += 1
        return m, v, 1 - self.betas[0] ** t, (1 - self.betas[1] ** t) ** 0.5, t

    def _move(self, lr, state, piece, p, g, s, t):
        m, v, m_scale, v_scale, _ = state
        m, v = m[piece], v[piece]
        if self.weight_decay:
            np.multiply(p, self.weight_decay, out=s)
            s += g
            g = s
        beta1, beta2 = self.betas
        m *= beta1
        np.multiply(g, 1 - beta1, out=t)
        m += t
        v *= beta2
        np.multiply(g, g, out=t)
        t *= 1 - beta2
        v += t
        # lr * (m / m_scale) / (sqrt(v) / v_scale + eps), without a pass for each of the scales
        np.sqrt(v, out=t)
        t += self.eps * v_scale
        np.divide(m, t, out=t)
        t *= lr * v_scale / m_scale
        p -= t

    def _launch(self, lr, state, parameter, gradient):
        from ..gpu import optimizers

        m, v, m_scale, v_scale, _ = state
        optimizers.adam(parameter, gradient, m, v, lr * v_scale / m_scale, self.betas, self.eps * v_scale, self.weight_decay)


def _at_least(name, value, least):
    value = real(name, value)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value

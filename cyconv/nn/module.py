"""What all layers have in common: parameters, children, names, state, and what is remembered from forward to backward.

A call runs `forward`. In training, each layer puts what its gradients will need on a stack of its own, and its `backward` takes it
from there, last in first out: a layer that is used twice in one forward is used twice in the backward, in reverse order. The
outermost call first throws away what earlier ones left, so that forwards without a backward pile up nothing.

There is no graph. Whoever writes a module that is more than a sequence writes its backward, too (residual.py is an example). One
that computes by itself calls `_keep` in forward, and `_kept` in backward, as the layers do.
"""

import functools
import threading
import weakref
from typing import NamedTuple

from ..arguments import as_array, flag, one_of
from ..devices import DEVICES, assign, copied, device_of, on_gpu
from .moving import move
from .parameter import Parameter, check_fit


class _Calls(threading.local):
    """Of this thread: None outside of any module's call, inside of one whether the outermost module is in training mode."""

    training = None


_calls = _Calls()
_registered = 0  # grows with every change of any module's children, so that lists of modules can be kept until then


class Incompatible(NamedTuple):
    """What `Module.load_state_dict` found to differ, with ``strict=False``."""

    missing_keys: list
    unexpected_keys: list


class Module:
    """The base of all layers and networks.

    A subclass gives its attributes in ``__init__``: modules and `Parameter` arrays are found by their type. It defines
    ``forward(self, ...)`` and, to be trained, ``backward(self, grad_output, *, input_grad=True)``, which calls the backward of its
    children in reverse order; for `summary` and `receptive_field`, `trace`. Calls in training mode, and backward, belong to one thread
    at a time; in eval mode a module may be called from many threads at once.

    Arrays that are passed to layers must not be written to between forward and backward: they are remembered, not copied.

    Attributes
    ----------
    training : bool
        Set by `train` and `eval`. True at first.

    Raises
    ------
    ValueError, TypeError
        Those that occur in `forward` and `backward` begin with the layer's path and description: "features.3 Conv2d(...): ...".

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> from cyconv import nn
    >>> class Scaled(nn.Module):
    ...     def __init__(self):
    ...         self.inner = nn.Linear(3, 2, seed=0)
    ...     def forward(self, x):
    ...         return 2 * self.inner(x)
    ...     def backward(self, grad_output, *, input_grad=True):
    ...         return self.inner.backward(2 * grad_output, input_grad=input_grad)
    >>> net = Scaled()
    >>> net
    Scaled(
      (inner): Linear(in_features=3, out_features=2, bias=True)
    )
    >>> y = net(np.ones((5, 3), np.float32))
    >>> net.backward(np.ones_like(y)).shape
    (5, 3)
    >>> net.inner.bias.grad
    array([10., 10.], dtype=float32)
    """

    def __new__(cls, *arguments, **options):  # not __init__, so that nothing is lost where a subclass does not call it
        self = super().__new__(cls)
        vars(self).update(training=True, _stack=[], _spent=False, _homes=[], _buffers=(), _known=None)
        return self

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = vars(cls)
        if "forward" in own and "trace" not in own and super(cls, cls).forward is not Module.forward:
            cls.trace = Module.trace  # what would be inherited tells of another forward
        for name in {"backward", "trace"} & own.keys():
            setattr(cls, name, _with_names(own[name]))

    _parameters = ()  # names of attributes that are a Parameter or None
    _optional_state = ()  # names that states of old versions of PyTorch lack

    # ---- computing ---------------------------------------------------------------------------------------------------

    def __call__(self, *inputs, **options):
        if _calls.training is None:
            return self._outermost(inputs, options)
        try:
            return self.forward(*inputs, **options)
        except (ValueError, TypeError) as error:
            self._complain(error)

    def forward(self, *inputs):
        """The result; call the module itself in place of this method."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, grad_output, *, input_grad=True):
        """Adds to the gradients of the parameters, and returns the gradient with respect to the input, of the last call.

        Parameters
        ----------
        grad_output : array_like
            The gradient with respect to what the last call returned, of its shape and dtype.
        input_grad : bool, optional
            Whether the gradient with respect to the input is wanted. The first layers of a network do less without.

        Returns
        -------
        ndarray or None
            Of the input's shape and dtype; None without `input_grad`.

        Raises
        ------
        ValueError
            If there was no call in training mode since the last backward, or the shape is another one.
        TypeError
            If the dtype is another one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def trace(self, flow):
        """What `forward` does, without values, for `receptive_field` and `summary`.

        A module made of others defines it as it does `forward`: ``self.inner.trace(flow)`` in place of ``self.inner(x)``. One that
        works on each element alone returns ``flow.step(self)``.

        Parameters
        ----------
        flow : cyconv.nn.receptive.Flow
            Stands for the input.

        Returns
        -------
        Flow
            Stands for the output.

        Raises
        ------
        ValueError, TypeError
            If the input does not fit. TypeError if there is no such method.
        """
        error = TypeError(
            f"{self._label()} has no trace for its forward: define trace(self, flow), which returns what the trace of its layers do, "
            "or flow.step(self) if it works on each element alone"
        )
        error._names_a_layer = True
        raise error

    def _outermost(self, inputs, options):
        training = self.training
        for module in self._tree():
            if module._stack and (training or module.training):
                module._forget()
        _calls.training = training
        try:
            return self.forward(*inputs, **options)
        except (ValueError, TypeError) as error:
            self._complain(error)
        finally:
            _calls.training = None

    # ---- what is remembered for backward -------------------------------------------------------------------------------

    @property
    def _keeping(self):
        """Whether a backward may follow. A layer in eval mode inside of a network in training takes part in it."""
        return self.training or _calls.training

    def _keep(self, output, *what):
        """Remembers what the gradients of `output` will need."""
        if self.training or _calls.training:
            self._stack.append((output.shape, output.dtype, on_gpu(output), what))

    def _kept(self, grad_output):
        """grad_output as an array that fits the last output, and what was kept with that; it is kept no longer."""
        stack = self._stack
        if not stack:
            raise ValueError(self._nothing_kept())
        shape, dtype, gpu, what = stack[-1]
        grad_output = as_array("grad_output", grad_output, gpu=True)
        if on_gpu(grad_output) is not gpu:
            found, wanted = ("NumPy", "CuPy") if gpu else ("CuPy", "NumPy")
            raise TypeError(f"grad_output must be a {wanted} array, as the output was, got a {found} array")
        if grad_output.shape != shape:
            raise ValueError(f"grad_output must have the output's shape {shape}, got {grad_output.shape}")
        if grad_output.dtype != dtype:
            raise TypeError(f"grad_output must have the output's dtype {dtype}, got {grad_output.dtype}")
        stack.pop()
        vars(self)["_spent"] = True
        return grad_output, *what

    def _nothing_kept(self):
        if not self.training:
            return "backward needs a call in training mode before it; the layer is in eval mode"
        if self._spent:
            return "backward was called twice for one call: what that remembered is used up"
        return "backward needs a call in training mode before it; forward has not been called"

    def _forget(self):
        self._stack.clear()
        vars(self)["_spent"] = False

    def _skippable(self):
        """Whether `_skip` can stand for a backward that nobody needs: nothing here learns, and what was kept is one item."""
        return not self._members() and not self._trainable()

    def _skip(self):
        """Forgets the last call."""
        if self._stack:
            self._stack.pop()

    # ---- registration --------------------------------------------------------------------------------------------------

    def __setattr__(self, name, value):
        present = vars(self).get(name)
        if isinstance(value, (Module, Parameter)) or isinstance(present, (Module, Parameter)) or name in self._buffers + self._parameters:
            self._register(name, present, value)
        else:
            object.__setattr__(self, name, value)

    def _register(self, name, present, value):
        """Sets an attribute that is a module, parameter or buffer, or was one."""
        global _registered
        if value is present and name in vars(self):
            return
        if value is not None and not isinstance(value, (Module, Parameter)):
            try:
                self._fill(name, present, value)
            except (ValueError, TypeError) as error:
                self._complain(error)
            return
        if isinstance(value, Module):
            self._check_name(name)
            value._enter(name, self)
        _registered += 1
        object.__setattr__(self, name, value)

    def _fill(self, name, present, value):
        """Writes an array's values to a parameter or buffer."""
        if isinstance(present, Module):
            raise TypeError(f"{name} is a module; it may become another module or None, got {type(value).__name__}")
        if present is not None:
            device_of(**{name: present, f"new {name}": value})
        value = as_array(name, value, gpu=True)
        if present is not None:
            check_fit(name, present, value)
            assign(present, value)
        elif name in self._buffers:
            vars(self)[name] = value.copy()
        else:
            raise TypeError(f"{name} is None here; it may become a Parameter, got {type(value).__name__}")

    def _check_name(self, name):
        if not name or "." in name:
            raise ValueError(f"{self._label()}: the name of a module must not be empty or contain a dot, got {name!r}")
        if name in _OWN or callable(getattr(type(self), name, None)):
            raise ValueError(f"{self._label()}: {name!r} cannot be the name of a module; it is an attribute of {type(self).__name__}")

    def __delattr__(self, name):
        global _registered
        _registered += 1
        object.__delattr__(self, name)
        vars(self)["_buffers"] = tuple(each for each in self._buffers if each != name)

    def register_buffer(self, name, value):
        """Adds an array that is part of the state but no parameter.

        Parameters
        ----------
        name : str
            Of the attribute.
        value : array_like or None
            Copied. None is not part of the state.
        """
        if name not in self._buffers:
            vars(self)["_buffers"] += (name,)
        vars(self)[name] = None if value is None else copied(as_array(name, value, gpu=True))

    def _enter(self, name, parent):
        """Remembers where the module is, behind where it has been so far."""
        self._homes[:] = [(known, weakref.ref(other)) for known, other in self._parents()]
        self._homes.append((name, weakref.ref(parent)))

    def _parents(self):
        """(name, parent) for every place that the module is still in, oldest first."""
        for name, reference in self._homes:
            parent = reference()
            if parent is not None and vars(parent).get(name) is self:
                yield name, parent

    def __getstate__(self):
        """For pickle and copy: all but what is remembered for backward, and where the module is."""
        return vars(self) | {"_stack": [], "_spent": False, "_homes": [], "_known": None}

    def __setstate__(self, state):
        vars(self).update(state)
        for name, child in self._members():
            child._enter(name, self)

    # ---- parameters and children ---------------------------------------------------------------------------------------

    def _members(self):
        """(name, child) for every child, also where one has several names."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def _tree(self):
        """All modules from this one down, each once; kept until any module's children change."""
        known, now = self._known, _registered
        if known is None or known[0] != now:
            known = now, [module for _, module in self.named_modules()]
            vars(self)["_known"] = known
        return known[1]

    def named_modules(self):
        """Iterates over (path, module): this module, whose path is "", and all below it, each once."""
        return self._named_modules("", set())

    def _named_modules(self, path, seen):
        if id(self) not in seen:
            seen.add(id(self))
            yield path, self
            for name, child in self._members():
                yield from child._named_modules(f"{path}.{name}" if path else name, seen)

    def modules(self):
        """Iterates over this module and all below it, each once."""
        return iter(list(self._tree()))

    def named_children(self):
        """Iterates over (name, module) of the modules that are attributes of this one, each once."""
        seen = set()
        for name, child in self._members():
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self):
        """Iterates over the modules that are attributes of this one, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(self):
        """Iterates over (path, parameter), each parameter once: the module's own first, then its children's."""
        seen = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self):
        """Iterates over all parameters, each once."""
        seen = set()
        for module in self._tree():
            for value in vars(module).values():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield value

    def named_buffers(self):
        """Iterates over (path, array) of what is part of the state and no parameter, such as running averages."""
        for path, module in self.named_modules():
            for name in module._buffers:
                if vars(module)[name] is not None:
                    yield (f"{path}.{name}" if path else name), vars(module)[name]

    def buffers(self):
        """Iterates over what is part of the state and no parameter."""
        return (buffer for _, buffer in self.named_buffers())

    def _trainable(self):
        """Whether any parameter wants a gradient."""
        return any(parameter.requires_grad for parameter in self.parameters())

    # ---- modes ---------------------------------------------------------------------------------------------------------

    def train(self, mode=True):
        """Sets training mode, or eval mode with ``mode=False``, here and in all modules below. Returns the module."""
        mode = flag("mode", mode)
        for module in self._tree():
            module.training = mode
        return self

    def eval(self):
        """Sets eval mode here and in all modules below: nothing is remembered for backward. Returns the module."""
        return self.train(False)

    def zero_grad(self):
        """Makes every parameter's `grad` None."""
        for parameter in self.parameters():
            parameter.grad = None

    # ---- devices -------------------------------------------------------------------------------------------------------

    def to(self, device):
        """Moves all parameters, with their gradients, and all buffers to the CPU or the GPU, here and in all modules below.

        The parameters there are new objects: what several modules share stays shared, also where the others are moved later, and
        optimizers take them over at their next step, with all that they remember. What was remembered for a backward is forgotten. Modules
        begin on the CPU. What has parameters or buffers takes arrays of their device; what has none (a pool, say) any.

        Parameters
        ----------
        device : {"cpu", "gpu"}
            "gpu" is CuPy's current device. What is on some GPU stays there.

        Returns
        -------
        Module
            This one.

        Raises
        ------
        ValueError, TypeError
            If there is no such device.
        ImportError
            If CuPy is not installed.
        RuntimeError
            If CuPy finds no CUDA device.

        Examples
        --------
        >>> import cyconv
        >>> net = cyconv.nn.Linear(3, 2)
        >>> net.to("gpu")(cupy.zeros((5, 3), "float32"))  # doctest: +SKIP
        """
        device, modules = one_of("device", device, DEVICES), self._tree()
        move(modules, list(self.parameters()), list(self.buffers()), device)
        for module in modules:
            module._forget()
        return self

    # ---- state ---------------------------------------------------------------------------------------------------------

    def _state(self):
        """(path, module, name, array) of every parameter and buffer, in torch.nn's order; shared ones under every name."""

        def walk(module, path):
            own = vars(module)
            names = [name for name, value in own.items() if isinstance(value, Parameter)]
            for name in names + [name for name in module._buffers if own[name] is not None]:
                yield path + name, module, name, own[name]
            for name, child in module._members():
                yield from walk(child, f"{path}{name}.")

        return walk(self, "")

    def state_dict(self):
        """Copies of all parameters and buffers, by their paths.

        Returns
        -------
        dict of str to ndarray
            With the names, the shapes and the order of torch.nn's modules of the same kind. CuPy arrays of what is on the GPU.

        Examples
        --------
        >>> import cyconv
        >>> {name: array.shape for name, array in cyconv.nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {path: copied(array) for path, _, _, array in self._state()}

    def load_state_dict(self, state, strict=True):
        """Copies arrays into the parameters and buffers. If anything does not fit, nothing is changed.

        Parameters
        ----------
        state : mapping of str to array_like
            As from `state_dict`, here or of the same network in PyTorch: tensors of the CPU are taken, too. Floats are rounded to
            the layers' dtype. Arrays may lie elsewhere than the module, which stays where it is: they are copied to it.
        strict : bool, optional
            Whether all names must be those of this module. Shapes and dtypes must fit in any case.

        Returns
        -------
        Incompatible
            `missing_keys` and `unexpected_keys`; lists, empty if `strict`.

        Raises
        ------
        ValueError
            If something does not fit; the message lists all of it.
        TypeError
            If `state` is no mapping.
        """
        if not hasattr(state, "keys"):
            raise TypeError(f"state must be a mapping of names to arrays, got {type(state).__name__}")
        wanted = {path: (module, name, array) for path, module, name, array in self._state()}
        missing = [path for path, (module, name, _) in wanted.items() if path not in state and name not in module._optional_state]
        unexpected = [path for path in state.keys() if path not in wanted]  # noqa: SIM118 - a mapping need have no more
        problems, found = [], []
        for path, (module, _, array) in wanted.items():
            if path in state:
                try:
                    value = as_array("it", detached(state[path]), gpu=True)
                    check_fit("it", array, value)
                    found.append((array, value))
                except (ValueError, TypeError) as error:
                    problems.append(f"{path} of {module._description()}: {error}")
            elif strict and path in missing:
                problems.append(f"{path} of {module._description()}: it is missing")
        if strict:
            problems += [f"{path}: there is no such parameter or buffer" for path in unexpected]
        if problems:
            raise ValueError("\n  ".join([f"the state does not fit {self._label()}:", *problems]))
        found = [(array, copied(value)) for array, value in found]  # some may be views of what is about to be written to
        for array, value in found:
            assign(array, value)
        return Incompatible(missing, unexpected)

    # ---- names ---------------------------------------------------------------------------------------------------------

    def extra_repr(self):
        """What stands between the parentheses of the description."""
        return ""

    def __repr__(self):
        members = self._members()
        if not members:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [self.extra_repr()] if self.extra_repr() else []
        lines += [f"({name}): {child!r}" for name, child in members]
        return "\n".join([f"{type(self).__name__}(", *("  " + line.replace("\n", "\n  ") for line in lines), ")"])

    def _description(self):
        """The module in one line."""
        return type(self).__name__ if self._members() else repr(self)

    def _label(self):
        """The path from the root, as far as there is one, and what the module is."""
        names, module, seen = [], self, set()
        while (home := next(module._parents(), None)) is not None and id(module) not in seen:
            seen.add(id(module))
            name, module = home
            names.append(name)
        return " ".join([".".join(reversed(names)), self._description()]) if names else self._description()

    def _complain(self, error):
        """Raises the error that is being handled anew, with this layer's name in front unless it has one."""
        if getattr(error, "_names_a_layer", False):
            raise  # noqa: PLE0704 - within the handler that called this
        text = f"{self._label()}: {error}"
        try:
            named = type(error)(text)
        except Exception:  # noqa: BLE001 - of a kind that takes more than a message
            named = ValueError(text) if isinstance(error, ValueError) else TypeError(text)
        named._names_a_layer = True
        raise named from error


_OWN = frozenset(vars(Module()))  # attributes that every module has


def _with_names(method):
    """A backward or trace whose errors name the layer."""

    @functools.wraps(method)
    def named(self, *arguments, **options):
        try:
            return method(self, *arguments, **options)
        except (ValueError, TypeError) as error:
            self._complain(error)

    return named


def detached(value):
    """A tensor that has no gradient, so that NumPy can look at it."""
    return value.detach() if hasattr(value, "detach") else value

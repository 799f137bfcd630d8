"""What a unit of a network's output sees of the input, from shapes and arguments alone.

A model is traced without values: each layer's `trace` takes a `Flow`, which stands for the layer's input, and gives one that stands
for its output. All flows are kept in order on a tape. A region goes back over the tape from an output to the input, as gradients do,
and each layer says what its windows read:

    convolution, pool      output o reads samples o*stride + j*dilation - before, for the taps j
    transposed             output o reads the samples i with i*stride + j*dilation - before = o for a tap j
    adaptive pool          output o of m reads n samples from o*n // m up to ceil((o + 1)*n / m)

A region is a product: one set of indices per axis, kept as a tuple of (first, last), both included, in order and with gaps between
them. Holes (of dilation, or of strides longer than windows) matter, since what falls into a hole or into the padding reads nothing.
Without the input's size a region has spatial axes only, otherwise all that the array has.

`summary` reads the same tape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import gcd, lcm, prod

import numpy as np

from ..arguments import integer, shown
from ..devices import on_gpu
from ..problem import gpu_problem, resolve_padding
from ..select import choose
from .module import Module

_POSITION = "an int or a tuple of ints, the unit's place along the output's spatial axes"
_SIZE = "a tuple of ints, (N, C, ...) or (C, ...)"


def receptive_field(model, position, input_size=None):
    """The region of the input that one unit of a model's output sees.

    The bounding box of all samples that the unit depends on, in any channel. Batch normalisation counts as if its statistics were
    constants: those of a batch, in training, would make every unit see all of it.

    Parameters
    ----------
    model : Module
        Of convolutions, pools and what works on each element alone; other layers need `input_size`. Modules of your own say in a method
        `trace` how they use theirs.
    position : int or tuple of int
        The unit's place along the output's spatial axes, from 0. Where there is one axis of features in place of these, the feature's
        index, or () for all.
    input_size : tuple of int, optional
        The input's shape: (N, C, ...), or (C, ...). Without, the region is what windows cover: it may begin before the input, at a
        negative number, or end after it. With it, the region ends where the input does, and includes what padding modes other than
        zeros read.

    Returns
    -------
    tuple of slice
        One per spatial axis of the input, empty if the unit sees nothing but padding.

    Raises
    ------
    ValueError
        If there is no such unit, the input does not fit, or a layer needs to know the input's size.
    TypeError
        If an argument is of the wrong kind, or a module of your own has no `trace`.

    Examples
    --------
    >>> from cyconv import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
    >>> nn.receptive_field(net, (0, 5))
    (slice(-3, 5, None), slice(7, 15, None))
    >>> nn.receptive_field(net, (0, 5), (1, 28, 28))
    (slice(0, 5, None), slice(7, 15, None))
    """
    places = position if isinstance(position, (tuple, list, np.ndarray)) else (position,)
    places = tuple(integer("position", place, 0, _POSITION) for place in places)
    output, batched = traced(model, input_size)
    if input_size is None:
        region = tuple(one(place) for place in places)
        rank = _rank(model)
        if not places or rank not in (None, len(places)):
            what = "an int" if rank in (None, 1) else f"{rank} ints"
            raise ValueError(f"position must have {what}, one per spatial axis, got {shown(position)}")
    else:
        region = unit(output.shape, batched, places)
    region = output.back(region, clip=input_size is not None)
    axes = len(places) if input_size is None else unit_axes(output.tape[0].shape, batched)
    if region is None:
        return (slice(0, 0),) * axes
    return tuple(slice(runs[0][0], runs[-1][1] + 1) for runs in region[len(region) - axes :])


# ---- tracing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Flow:
    """What passes between layers, without values: a shape, and which units of the input it comes from.

    A module's `trace` is given one and returns another: that of its last layer, ``flow + other`` where its forward adds two arrays,
    ``flow.joined(other)`` where it concatenates them along the channels, or what `step` gives where it computes by itself.
    """

    tape: list  # of all flows of this trace, in order
    shape: tuple | None  # None if the input's size is not known
    dtype: np.dtype
    device: str = "cpu"  # where the model would be called
    sources: tuple = ()  # (flow, seen) pairs: what it is made of, and which of their units a region of it sees
    layer: Module | None = None  # whose output it is; None of the input and of sums
    beyond: str = "zeros"  # what the layer reads beyond its input: a padding mode
    period: int = 1  # units of any axis after which windows repeat
    multiply_adds: int = 0
    algorithm: Callable | None = None  # its name, when called

    @property
    def stand_in(self) -> np.ndarray:
        """An array of this shape and dtype that takes no memory, for functions that look at these alone."""
        return np.broadcast_to(np.zeros((), self.dtype), self.known())

    @property
    def moved_at(self) -> "Flow":
        """This flow, or the one before it after which units have stayed in their places."""
        flow = self
        while len(flow.sources) == 1 and flow.sources[0][1] is _same:
            flow = flow.sources[0][0]
        return flow

    def known(self) -> tuple:
        """The shape; ValueError if the input's size is not known."""
        if self.shape is None:
            raise ValueError("what it sees depends on the size of its input: input_size is needed")
        return self.shape

    def step(self, layer, shape=None, seen=None, *, beyond="zeros", period=1, multiply_adds=0, algorithm=None) -> "Flow":
        """The flow after a layer that computes by itself.

        Parameters
        ----------
        layer : Module
            The layer.
        shape : tuple of int, optional
            Of its output; as before if None.
        seen : callable, optional
            ``seen(region)`` is the region of the layer's input that a region of its output depends on. None: each unit sees the one in
            its own place.
        beyond : str, optional
            The padding mode.
        period : int, optional
            Units of any axis after which windows repeat: 1 if neighbours see regions of one size at equal distances.
        multiply_adds : int, optional
            Of one forward.
        algorithm : callable, optional
            Called without arguments, tells the name of the algorithm.

        Returns
        -------
        Flow
        """
        return self._next(
            self.shape if shape is None else shape, ((self, seen or _same),),
            layer=layer, beyond=beyond, period=self.period * period, multiply_adds=multiply_adds, algorithm=algorithm,
        )  # fmt: skip

    def chosen(self, problem, algorithm="auto", weight=None, allow_tf32=False) -> str:
        """The name of the algorithm that computes a convolution here; with a weight the one for that."""
        if self.device == "gpu":
            problem = gpu_problem(problem, problem.dtype, allow_tf32)
        return choose(problem, algorithm, weight, device=self.device).name

    def __add__(self, other) -> "Flow":
        if self.shape != other.shape:
            raise ValueError(f"arrays of shapes {self.shape} and {other.shape} cannot be added")
        return self._next(self.shape, ((self, _same), (other, _same)), period=lcm(self.period, other.period))

    def joined(self, *others, axis=1) -> "Flow":
        """The flow of arrays that are concatenated along an axis, counted as in the arrays; without sizes that of the channels."""
        flows, period = (self, *others), lcm(self.period, *(other.period for other in others))
        if self.shape is None:
            return self._next(None, tuple((flow, _same) for flow in flows), period=period)
        axis = range(len(self.shape))[axis]
        rests = {flow.shape[:axis] + flow.shape[axis + 1 :] for flow in flows}
        if len(rests) > 1:
            raise ValueError(f"arrays of shapes {', '.join(str(flow.shape) for flow in flows)} cannot be joined along axis {axis}")
        sources, length = [], 0
        for flow in flows:
            sources.append((flow, partial(_part, axis=axis, begin=length, length=flow.shape[axis])))
            length += flow.shape[axis]
        return self._next((*self.shape[:axis], length, *self.shape[axis + 1 :]), tuple(sources), period=period)

    def _next(self, shape, sources, **options):
        flow = Flow(self.tape, shape, self.dtype, self.device, sources, **options)
        self.tape.append(flow)
        return flow

    def back(self, region, clip):
        """The region of the trace's input that a region of this flow sees, None if nothing; clip: within arrays, whose sizes are known."""
        regions = {id(self): region}
        for flow in reversed(self.tape):
            region = regions.pop(id(flow), None)
            if region is None:
                continue
            if not flow.sources:
                return region
            for source, seen in flow.sources:
                found = flow._read(source, seen, region, clip)
                if all(found):  # a product with nothing is nothing
                    other = regions.get(id(source))
                    regions[id(source)] = found if other is None else tuple(merged(a + b) for a, b in zip(found, other))

    def _read(self, source, seen, region, clip):
        try:
            found = seen(region)
        except ValueError as error:
            if self.layer is None:
                raise
            self.layer._complain(error)
        return tuple(inside(runs, n, self.beyond) for runs, n in zip(found, source.shape)) if clip else found


def traced(model, input_size, dtype=None):
    """The flow of a model's output, and whether arrays have a batch axis.

    An input without one is taken as it is, as a call would; if a layer cannot have that, as a batch of one.
    """
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, got {type(model).__name__}")
    first = next(model.parameters(), None)
    if dtype is None:
        dtype = np.float32 if first is None else first.dtype

    def begun(shape):
        flow = Flow([], shape, np.dtype(dtype), "gpu" if on_gpu(first) else "cpu")
        flow.tape.append(flow)
        output = model.trace(flow)
        if not isinstance(output, Flow):
            raise TypeError(f"{type(model).__name__}.trace must return a Flow, got {type(output).__name__}")
        return output

    if input_size is None:
        return begun(None), False
    if not isinstance(input_size, (tuple, list, np.ndarray)):
        raise TypeError(f"input_size must be {_SIZE}, got {shown(input_size)}")
    shape, rank = tuple(integer("input_size", n, 1, _SIZE) for n in input_size), _rank(model)
    if not shape:
        raise ValueError(f"input_size must be {_SIZE}, got {shown(input_size)}")
    if rank is None and len(shape) == 1 or rank is not None and len(shape) == rank + 1:
        try:
            return begun(shape), False
        except ValueError:  # flattened, say, and then too many features; what else is wrong will be said again
            shape = (1, *shape)
    return begun(shape), True


def _rank(model):
    """Spatial axes of the first layer that has a number of them; None without such a layer."""
    return next((module._rank for module in model.modules() if hasattr(module, "_rank")), None)


def unit_axes(shape, batched):
    """How many numbers tell the place of a unit: one per axis behind the channels, or the feature's index where there is no such axis."""
    rest = len(shape) - batched
    return rest - 1 if rest > 1 else rest


def unit(shape, batched, places):
    """The region of an array that one unit is, with all channels and of all of a batch; () stands for all features."""
    axes = unit_axes(shape, batched)
    if axes == 1 and len(shape) == 1 + batched and not places:
        return tuple(whole(n) for n in shape)
    if len(places) != axes:
        raise ValueError(f"position must have {axes} int{'s' * (axes != 1)} for an output of shape {shape}, got {places}")
    first = len(shape) - axes
    for place, n in zip(places, shape[first:]):
        if place >= n:
            raise ValueError(f"position {places} is not within the output, whose shape is {shape}")
    return (*(whole(n) for n in shape[:first]), *(one(place) for place in places))


# ---- what layers are made of ---------------------------------------------------------------------------------------------


def per_axis(axes, channels=None):
    """The `seen` of a layer from what it does along each spatial axis; channels: the input's, if each unit sees all of them."""
    rank = len(axes)

    def seen(region):
        lead = region[:-rank]
        if len(region) < rank:
            raise ValueError(f"its output has {rank} spatial axes, but the layers behind it are for {len(region)}")
        if lead and channels is not None:
            lead = (*lead[:-1], whole(channels))
        return (*lead, *(axis(runs) for axis, runs in zip(axes, region[-rank:])))

    return seen


def windowed(read, kernel, stride, dilation, pads, channels=None):
    """The `seen` of windows: `read` is `windows` or `reaching`."""
    axes = [partial(read, kernel=k, stride=s, dilation=d, before=before) for k, s, d, (before, _) in zip(kernel, stride, dilation, pads)]
    return per_axis(axes, channels)


def pads_of(flow, padding, kernel, stride, dilation, words):
    """(before, after) of each axis; ValueError if that depends on a size that is not known."""
    rank = len(kernel)
    if flow.shape is None and isinstance(padding, str) and padding.startswith("same") and max(stride) > 1:
        flow.known()
    size = flow.shape[-rank:] if flow.shape is not None else (1,) * rank  # which does not matter to what is left
    return resolve_padding(padding, rank, size, kernel, stride, dilation, words)


def windows(runs, kernel, stride, dilation, before):
    """Samples that the windows of `runs` read."""
    taps = _taps(kernel, dilation)
    if stride > taps[0][1] + 1:  # there are samples between windows
        runs = [(o, o) for first, last in runs for o in range(first, last + 1)]
    return merged((first * stride + low - before, last * stride + high - before) for first, last in runs for low, high in taps)


def reaching(runs, kernel, stride, dilation, before):
    """Samples whose windows, in the output of a transposed convolution, reach `runs`."""
    taps = _taps(kernel, dilation)
    return merged((-((high - first - before) // stride), (last + before - low) // stride) for first, last in runs for low, high in taps)


def _taps(kernel, dilation):
    """Runs of taps without holes."""
    return ((0, kernel - 1),) if dilation == 1 else tuple((j * dilation, j * dilation) for j in range(kernel))


def shares(runs, size, outputs):
    """Samples of the nearly equal windows of an adaptive pool."""
    return merged((first * size // outputs, -((last + 1) * -size // outputs) - 1) for first, last in runs)


def shares_period(size, outputs):
    """How many of these windows it takes until they repeat."""
    return outputs // gcd(size, outputs)


def unravelled(runs, shape):
    """Per axis of an array, where the elements stand that `runs` are in the order of memory."""
    axes = []
    for axis, n in enumerate(shape):
        inner, found = prod(shape[axis + 1 :]), []
        for first, last in inside(runs, prod(shape)):
            low, high = first // inner, last // inner
            if high - low >= n - 1:
                found += whole(n)
            elif low % n <= high % n:
                found.append((low % n, high % n))
            else:
                found += [(low % n, n - 1), (0, high % n)]
        axes.append(merged(found))
    return axes


def inside(runs, n, beyond="zeros"):
    """Those of the samples 0 to n - 1 that are in `runs`, and those that a padding mode puts where `runs` go beyond them."""
    found = []
    for first, last in runs:
        found.append((max(first, 0), min(last, n - 1)))
        for low, high, edge, shift in ((first, min(last, -1), 0, n), (max(first, n), last, n - 1, -n)):
            if low > high or beyond == "zeros":
                continue
            if beyond == "replicate":
                found.append((edge, edge))
            else:
                found.append((2 * edge - high, 2 * edge - low) if beyond == "reflect" else (low + shift, high + shift))
    return merged(found)


def merged(pairs):
    """A union of (first, last) pairs, in order and with gaps between them; pairs whose last is before their first are nothing."""
    found = []
    for first, last in sorted(pair for pair in pairs if pair[0] <= pair[1]):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


def one(place):
    return ((place, place),)


def whole(n):
    return merged([(0, n - 1)])


def _same(region):
    return region


def _part(region, axis, begin, length):
    """What a region of joined arrays is in one of them."""
    runs = [(first - begin, last - begin) for first, last in region[axis]]
    return (*region[:axis], inside(runs, length), *region[axis + 1 :])

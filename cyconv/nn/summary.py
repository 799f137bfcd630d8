"""A network in a table: what each layer makes, what it costs, and how much of the input its units see.

Everything is worked out from shapes, on the tape of receptive.py; of arrays only weights are looked at, by algorithms that are for
some weights only.
"""

import inspect
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from ..select import bytes_text
from .receptive import one, traced, unit_axes, whole

_LAYER_WIDTH = 56  # characters of a path and a description; what is longer is cut
_UNITS = 64  # looked at where windows differ, for the widest of what they see


def summary(model, input_size, *, dtype=None):
    """A table of a model's layers in the order of use, with costs and receptive fields.

    Nothing is computed and nothing changes, in training as in eval mode.

    Parameters
    ----------
    model : Module
        Modules of your own say in a method `trace` how they use theirs.
    input_size : tuple of int
        (N, C, ...), or (C, ...), which stands for a batch of one where a layer needs a batch.
    dtype : dtype, optional
        Of the input. That of the model's parameters if None, float32 if it has none.

    Returns
    -------
    Summary
        Print it, or look at its attributes.

    Raises
    ------
    ValueError, TypeError
        If the input does not fit, or a module of your own has no `trace`.

    Examples
    --------
    >>> from cyconv import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))
    >>> table = nn.summary(net, (3, 256, 256))
    >>> print(table)  # doctest: +ELLIPSIS
    layer                         output         parameters  mult-adds  field  stride  offset  algorithm      memory   dense
    0 Conv2d(3, 3, 3, padding=1)  (3, 256, 256)          84   5.31e+06      3       1      -1  ...            768 KiB  3.87e+10
    <BLANKLINE>
    parameters     84 (336 B), 84 trainable
    multiply-adds  5.31e+06
    activations    768 KiB

    A linear layer between the same shapes would need a weight for each pair of input and output:

    >>> table.layers[0].dense == (256 * 256 * 3) ** 2
    True
    """
    output, batched = traced(model, input_size, dtype)
    paths = {id(module): path for path, module in model.named_modules()}
    fields, counted, layers = {}, set(), []
    for flow in output.tape:
        if flow.layer is None:
            continue
        own = {id(p): p.size for p in flow.layer.parameters() if id(p) not in counted}
        counted |= own.keys()
        place = flow.moved_at  # the layers up to here leave units in their places, so that these see the same
        if id(place) not in fields:
            fields[id(place)] = _fields(place, batched)
        layers.append(_row(flow, batched, paths.get(id(flow.layer), ""), sum(own.values()), fields[id(place)]))
    parameters = list(model.parameters())
    return Summary(
        layers=layers,
        parameters=sum(p.size for p in parameters),
        trainable=sum(p.size for p in parameters if p.requires_grad),
        parameter_bytes=sum(p.nbytes for p in parameters),
        multiply_adds=sum(row.multiply_adds for row in layers),
        activation_bytes=sum(row.activation_bytes for row in layers),
    )


@dataclass(frozen=True, slots=True)
class Field:
    """What units see of one axis of the input, whether there are samples or padding."""

    size: int  # samples, of the unit that sees the most
    stride: int | Fraction | None  # from one unit to the next; 0: all units see the same; None: units do not stand along an axis
    offset: int | None  # where it begins for the first unit, below 0 in the padding; None if that sees nothing
    everything: bool  # whether every unit sees all samples


@dataclass(frozen=True, slots=True)
class Row:
    """One use of one layer."""

    path: str  # of the layer's first place in the model
    kind: str  # its class
    description: str
    input_shape: tuple
    output_shape: tuple
    parameters: int  # that no layer above has
    multiply_adds: int  # of convolutions and linear layers
    field: tuple[Field, ...]  # one per spatial axis of the input
    algorithm: str  # of the forward, "" if there is no choice
    activation_bytes: int  # of the output
    dense: int  # weights of a linear layer between the same shapes, batch apart


@dataclass(frozen=True, slots=True, repr=False)
class Summary:
    """What `summary` found: print it, or look at its attributes, which are of one forward."""

    layers: list[Row]  # in the order of use
    parameters: int
    trainable: int  # parameters that want a gradient
    parameter_bytes: int
    multiply_adds: int
    activation_bytes: int  # of all outputs together

    def __str__(self):
        heads = ("layer", "output", "parameters", "mult-adds", "field", "stride", "offset", "algorithm", "memory", "dense")
        texts = [heads, *map(_texts, self.layers)]
        widths = [max(len(text[i]) for text in texts) for i in range(len(heads))]
        numbers = heads[2:7]
        lines = []
        for text in texts:
            cells = [cell.rjust(w) if head in numbers else cell.ljust(w) for cell, w, head in zip(text, widths, heads)]
            lines.append("  ".join(cells).rstrip())
        totals = (
            ("parameters", f"{self.parameters:,} ({bytes_text(self.parameter_bytes)}), {self.trainable:,} trainable"),
            ("multiply-adds", f"{self.multiply_adds:.3g}"),
            ("activations", bytes_text(self.activation_bytes)),
        )
        return "\n".join([*lines, "", *(f"{name:<15}{text}" for name, text in totals)])

    __repr__ = __str__


# ---- rows ----------------------------------------------------------------------------------------------------------------


def _row(flow, batched, path, parameters, fields):
    source, batch = flow.sources[0][0], flow.tape[0].shape[0] if batched else 1
    layer, algorithm = flow.layer, ""
    if flow.algorithm is not None:
        try:
            algorithm = flow.algorithm()
        except ValueError as error:
            layer._complain(error)
    return Row(
        path, type(layer).__name__, _description(layer), source.shape, flow.shape, parameters, flow.multiply_adds, fields, algorithm,
        prod(flow.shape) * flow.dtype.itemsize, prod(source.shape) // batch * (prod(flow.shape) // batch),
    )  # fmt: skip


def _fields(flow, batched):
    """A Field per axis of the input, from regions that some units see: the first ones, and one so far away that windows repeat."""
    start = flow.tape[0]
    axes, here = unit_axes(start.shape, batched), unit_axes(flow.shape, batched)
    sizes, lengths = start.shape[len(start.shape) - axes :], flow.shape[len(flow.shape) - here :]
    lead = tuple(whole(n) for n in flow.shape[: len(flow.shape) - here])

    def seen(*places):
        region = flow.back((*lead, *places), clip=False)
        return None if region is None else [(runs[0][0], runs[-1][1]) for runs in region[len(region) - axes :]]

    if here != axes:  # flattened: units do not stand along the input's axes any more
        units = [seen(*[one(0)] * here)]
        strides = [0 if units[0] == seen(*map(whole, lengths)) else None] * axes
        lengths = (None,) * axes
    else:
        units = [seen(*[one(u)] * here) for u in range(min(flow.period, _UNITS))]
        first = next((u for u, found in enumerate(units) if found), 0)
        near, far = units[first], seen(*[one(first + flow.period)] * here)
        strides = [Fraction(b - a, flow.period) for (a, _), (b, _) in zip(near, far)] if near and far else [None] * axes
    return tuple(
        _field(n, outputs, stride, [found and found[i] for found in units])
        for i, (n, outputs, stride) in enumerate(zip(sizes, lengths, strides))
    )


def _field(n, outputs, stride, units):
    """Of an axis of n samples, from the (first, last) of units; None for those that see nothing."""
    if units[0] and units[0][0] <= 0 and units[0][1] >= n - 1 and (stride == 0 or outputs == 1):
        return Field(n, 0, 0, True)
    if stride is not None and stride.denominator == 1:
        stride = int(stride)
    size = max((last - first + 1 for first, last in filter(None, units)), default=0)
    return Field(size, stride, units[0] and units[0][0], False)


# ---- text ----------------------------------------------------------------------------------------------------------------


def _texts(row):
    """The cells of a row."""
    name = f"{row.path} {row.description}".strip()
    return (
        name if len(name) <= _LAYER_WIDTH else f"{name[: _LAYER_WIDTH - 3]}...",
        str(row.output_shape),
        f"{row.parameters:,}" if row.parameters else "-",
        f"{row.multiply_adds:.3g}" if row.multiply_adds else "-",
        _axes("all" if each.everything else each.size for each in row.field),
        _axes("-" if each.everything or each.stride is None else each.stride for each in row.field),
        _axes("-" if each.everything or each.offset is None else each.offset for each in row.field),
        row.algorithm or "-",
        bytes_text(row.activation_bytes),
        f"{row.dense:.3g}",
    )


def _axes(values):
    """One value if all axes agree."""
    texts = [str(value) for value in values]
    return (texts[0] if len(set(texts)) == 1 else ",".join(texts)) if texts else "-"


def _description(layer):
    """How the layer is written, without arguments that have their usual value."""
    parts = []
    for name, parameter in list(inspect.signature(type(layer).__init__).parameters.items())[1:]:
        value, usual = getattr(layer, name, None), parameter.default
        if isinstance(usual, bool) and not isinstance(value, bool):
            value = value is not None  # the bias itself
        if name == "stride" and usual is None:
            usual = _short(getattr(layer, "kernel_size", None))
        value = _short(value)
        if not hasattr(layer, name) or not isinstance(value, (bool, int, float, str, tuple, type(None))) or value == usual:
            continue
        parts.append(f"{value}" if usual is parameter.empty else f"{name}={value}")
    return f"{type(layer).__name__}({', '.join(parts)})"


def _short(value):
    """One for a tuple that has the same for every axis."""
    return value[0] if isinstance(value, tuple) and value and all(each == value[0] for each in value) else value

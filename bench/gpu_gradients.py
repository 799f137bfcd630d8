"""Gradients of pools, unfold, fold and filters: rows that are made of those of problem files, what computes them, and their exact answers.

Filters are those with the windows of the pools that are one but for their borders. PyTorch gets what cyconv gets: the gradient of the
results and, of maxima, their places. So both do the gradient alone, and neither the pool nor what autograd writes down about it.
"""

from dataclasses import dataclass, fields, replace
from itertools import product
from math import prod

import numpy as np

import cyconv

from . import data
from .peers import keeps_size
from .rows import Row

MOST = 2**22  # numbers of an item's columns


@dataclass(frozen=True)
class Derived(Row):
    """One problem: the gradient of a pool with respect to its input, a filter with its windows, or unfold or fold with those of a convolution."""

    what: str = ""

    @property
    def is_conv(self):
        return False

    @property
    def words(self):
        """Of unfold and fold."""
        found = {key: self.per_axis(key, default) for key, default in (("dilation", 1), ("padding", 0), ("stride", 1))}
        return {"kernel_size": self.weight_shape[2:], **found}

    @property
    def positions(self):
        """Windows along each axis, of unfold and fold."""
        w = self.words
        each = zip(self.input_shape[2:], w["padding"], w["dilation"], w["kernel_size"], w["stride"])
        return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in each]

    @property
    def columns_shape(self):
        return (self.input_shape[0], self.input_shape[1] * prod(self.weight_shape[2:]), prod(self.positions))


def derived(rows):
    """The gradient of each pool, once, and its filter, if it is one; unfold and fold with the windows of the first convolution that has such ones."""
    found, seen = [], set()
    for row in rows:
        values = {field.name: getattr(row, field.name) for field in fields(row)}
        if not row.is_conv:
            values["options"] = {key: value for key, value in row.options.items() if key != "indices"}  # which its gradient needs anyway
            if (pool := (row.function, row.input_shape[1:], str(values["options"]))) not in seen:
                seen.add(pool)
                found.append(Derived(**values | {"name": f"{row.name}'"}, what="gradient"))
                if keeps_size(row):
                    found.append(Derived(**values | {"name": f"{row.name} filter"}, what="filter"))
        elif (windows := (row.weight_shape[2:], str(row.options))) not in seen and _may_unfold(row, values):
            seen.add(windows)
            found += [Derived(**values | {"name": f"{row.name} {what}"}, what=what) for what in ("unfold", "fold")]
    return found


def _may_unfold(row, values):
    if row.rank != 2 or prod(row.weight_shape[2:]) == 1 or row.input_shape[1] == 1 or row.options.keys() & {"groups", "padding_mode"}:
        return False
    whole = Derived(**values | {"input_shape": (1, *row.input_shape[1:])})
    return not isinstance(row.options.get("padding"), str) and prod(whole.columns_shape) <= MOST


def is_max(row):
    return row.kind.endswith("max_pool")


def filter_name(row):
    """What scipy.ndimage calls the filter that a pool is."""
    return "maximum_filter" if is_max(row) else "uniform_filter"


# ---- arrays and answers ----------------------------------------------------------------------------------------------------


def item(row, dtype):
    """(input, gradient of the results or columns) of one item; what a row does not take is None."""
    one = replace(row, input_shape=(1, *row.input_shape[1:]))
    rng = np.random.default_rng(1)
    if row.what == "fold":
        return None, rng.standard_normal(one.columns_shape).astype(dtype)
    x = rng.standard_normal(one.input_shape).astype(dtype)
    if row.what in ("unfold", "filter"):
        return x, None
    sizes = [len(data.windows(row, axis)) for axis in range(row.rank)]
    return x, rng.standard_normal((*one.input_shape[:2], *sizes)).astype(dtype)


def exact(row, dtype):
    """The answer for `item`, in double precision, with nothing of cyconv."""
    one = replace(row, input_shape=(1, *row.input_shape[1:]))
    x, given = item(row, dtype)
    if row.what == "filter":
        from scipy import ndimage

        return getattr(ndimage, filter_name(row))(x[0, 0].astype(np.float64), row.per_axis("kernel", None))[None, None]
    if row.what != "gradient":
        return _columns(one, x, given)
    if not is_max(row):
        return _spread(one, given.astype(np.float64))
    plain = Row(one.name, one.kind, one.rank, one.input_shape, None, one.options | {"indices": True})
    _, places = data.exact(plain, x.astype(np.float32), None, None).answer
    found = np.zeros((prod(x.shape[:2]), prod(x.shape[2:])))
    np.add.at(found, (np.arange(len(found))[:, None], places.reshape(len(found), -1)), given.reshape(len(found), -1).astype(np.float64))
    return found.reshape(x.shape)


def _spread(row, given):
    """An average's gradient: to each sample of a window its share, along one axis after the other."""
    along = [data.windows(row, axis) for axis in range(row.rank)]
    counted = np.ones(())
    for each in along:
        counted = counted[..., None] * np.array([c for _, _, c in each])
    values = given / row.options.get("divisor", counted)
    for axis, each in enumerate(along):
        values = np.moveaxis(values, 2 + axis, -1)
        found = np.zeros((*values.shape[:-1], row.input_shape[2 + axis]))
        for o, (first, stop, _) in enumerate(each):
            found[..., first:stop] += values[..., o : o + 1]
        values = np.moveaxis(found, -1, 2 + axis)
    return values


def _columns(row, x, columns):
    """unfold of x, or without x the sums that fold makes of columns."""
    w, out = row.words, row.positions
    size = [n + 2 * p for n, p in zip(row.input_shape[2:], w["padding"])]
    inner = (..., *(slice(p, p + n) for n, p in zip(row.input_shape[2:], w["padding"])))
    padded = np.zeros((*row.input_shape[:2], *size))
    shape = (*row.input_shape[:2], prod(w["kernel_size"]), *out)
    if x is not None:
        padded[inner] = x
        found = np.zeros(shape)
    for tap, at in enumerate(product(*map(range, w["kernel_size"]))):
        begin = [j * d for j, d in zip(at, w["dilation"])]
        window = (..., *(slice(b, b + (m - 1) * s + 1, s) for b, m, s in zip(begin, out, w["stride"])))
        if x is not None:
            found[:, :, tap] = padded[window]
        else:
            padded[window] += columns.reshape(shape)[:, :, tap]
    return padded[inner] if x is None else found.reshape(row.columns_shape)


def bytes_moved(row, size):
    """Input, results and places of maxima, each once."""
    numbers = prod(row.input_shape)
    if row.what == "filter":
        return size * 2 * numbers
    if row.what != "gradient":
        return size * (numbers + prod(row.columns_shape))
    results = prod(row.input_shape[:2]) * prod(len(data.windows(row, axis)) for axis in range(row.rank))
    return size * (numbers + results) + (8 * results if is_max(row) else 0)


# ---- calls -----------------------------------------------------------------------------------------------------------------


def own_call(row, x, given):
    """(a function of `out`, places of maxima or None)."""
    if row.what == "unfold":
        return lambda **out: cyconv.unfold(x, **row.words, **out), None
    if row.what == "fold":
        return lambda **out: cyconv.fold(given, row.input_shape[2:], **row.words, **out), None
    if row.what == "filter":
        function, size = getattr(cyconv, filter_name(row)), row.per_axis("kernel", None)
        return lambda out=None: function(x[0, 0], size, output=None if out is None else out[0, 0])[None, None], None
    words = data.keywords(row)
    if is_max(row):
        function = getattr(cyconv.grad, f"max_pool{row.rank}d_input")  # of adaptive pools, too
        _, places = getattr(cyconv, row.function)(x, **words, return_indices=True)
        return lambda **out: function(row.input_shape, places, given, **out), places
    function = getattr(cyconv.grad, f"{row.function}_input")
    words.pop("output_size", None)
    return lambda **out: function(row.input_shape, given, **words, **out), None


def torch_call(row, x, given, places):
    """The same by PyTorch, of tensors."""
    import torch

    F, aten, r = torch.nn.functional, torch.ops.aten, row.rank
    if row.what == "unfold":
        return lambda: F.unfold(x, **row.words)
    if row.what == "fold":
        return lambda: F.fold(given, row.input_shape[2:], **row.words)
    get = row.options.get
    if r == 1 or "output" in row.options:  # autograd, which then takes some time of its own
        size = {"output_size": row.per_axis("output", None)} if "output" in row.options else {}
        x.requires_grad_()
        results = getattr(F, row.function)(x, **data.keywords(row) | size)
        return lambda: torch.autograd.grad(results, x, given, retain_graph=True)[0]
    kernel, padding = row.per_axis("kernel", None), row.per_axis("padding", 0)
    stride, ceil = row.per_axis("stride", row.options["kernel"]), bool(get("ceil_mode"))
    if is_max(row):
        function = getattr(aten, f"max_pool{r}d_with_indices_backward").default
        return lambda: function(given, x, kernel, stride, padding, row.per_axis("dilation", 1), ceil, places)
    function = getattr(aten, f"avg_pool{r}d_backward").default
    return lambda: function(given, x, kernel, stride, padding, ceil, not get("exclude_pad"), get("divisor"))

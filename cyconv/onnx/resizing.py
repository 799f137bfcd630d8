"""Resize and Upsample, to the nearest sample or between two, one axis after the other; what else there is onnx's reference does."""

import numpy as np

from ..memory import empty

NEAREST = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5), "round_prefer_ceil": lambda x: np.floor(x + 0.5), "floor": np.floor, "ceil": np.ceil,
}  # fmt: skip


def fresh(shape, dtype):
    """Uninitialised memory for an array of any dtype; `empty` knows NumPy's own."""
    return empty(shape, dtype) if dtype.isbuiltin == 1 and dtype.kind in "fiucb" else np.empty(shape, dtype)


def resize(node, constants, opset):
    """As elementary.kernel."""
    old = node.kind == "Upsample" or opset < 11
    where = "asymmetric" if old else node.attribute("coordinate_transformation_mode", "half_pixel")
    rule = "floor" if old else node.attribute("nearest_mode", "round_prefer_floor")
    mode, axes = node.attribute("mode", "nearest"), node.attribute("axes")
    names = [*node.inputs, "", "", ""]
    given = [constants.get(name) for name in ((names[1], "") if old else names[2:4])]
    scales, sizes = (g if g is not None and g.size else None for g in given)
    scales = np.asarray(node.attribute("scales")) if scales is None and node.attribute("scales") else scales
    if (
        (scales is None) == (sizes is None)
        or where not in ("asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners")
        or mode not in ("nearest", "linear", "bilinear")
        or rule not in NEAREST
        or any(node.attribute(name, 0) for name in ("antialias", "exclude_outside"))
        or node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        return None

    def run(inputs, free):
        x = inputs[0]
        places = [axis % x.ndim for axis in (range(x.ndim) if axes is None else axes)]
        if mode != "nearest" and x.dtype.kind != "f" or not x.size:
            found = node.operator.run(*inputs)[0]
            return found.copy() if found is x else found
        for axis, value in zip(places, scales if sizes is None else sizes):
            length, scale = x.shape[axis], float(value)
            if sizes is not None:
                scale = value / length
            wanted = int(length * scale) if sizes is None else int(value)
            if scale != 1:
                x = _along(x, axis, _origins(where, length, scale, wanted), rule if mode == "nearest" else None)
        return x if x is not inputs[0] else x.copy()

    return run


def _origins(where, length, scale, wanted):
    """Where in the input each output along an axis is."""
    y, exact = np.arange(wanted, dtype=np.float64), scale * length
    if where == "align_corners":
        return y * (length - 1) / (exact - 1) if exact != 1 else y * 0
    if where == "asymmetric":
        return y / scale
    if where == "pytorch_half_pixel" and exact == 1:
        return y * 0 - 0.5
    off = length / 2 * (1 - wanted / exact) if where == "half_pixel_symmetric" else 0.0
    return off + (y + 0.5) / scale - 0.5


def _along(x, axis, origins, rule):
    last = x.shape[axis] - 1

    def samples(places):
        places = np.clip(places, 0, last).astype(np.intp)
        times = len(places) // (last + 1)
        if len(places) == times * (last + 1) and (places == np.arange(len(places)) // times).all():
            return _repeated(x, axis, times)
        return x.take(places, axis)

    if rule is not None:
        return samples(NEAREST[rule](origins))
    low = np.floor(origins)
    part = (origins - low).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
    result = samples(low + 1)
    result -= (first := samples(low))
    result *= part
    result += first
    return result


def _repeated(x, axis, times):
    """As numpy.repeat, which takes several times as long along the last axis."""
    shape = list(x.shape)
    shape[axis] *= times
    result = fresh(tuple(shape), x.dtype)
    result.reshape(*x.shape[: axis + 1], times, *x.shape[axis + 1 :])[...] = np.expand_dims(x, axis + 1)
    return result

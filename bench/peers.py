"""Other libraries' ways to compute a row; those that are not installed, or lack the operation, are left out.

PyTorch and ONNX Runtime take arrays as cyconv does, channels first. ONNX Runtime gets its weights ahead of time, as a
Plan does, and runs in a process of its own (apart.py). OpenCV and SciPy filter one plane.
"""

import numpy as np

from cyconv.cli import peers as cli_peers
from cyconv.cli.peers import installed, threads, versions  # noqa: F401  (the last two for session.py)

from .apart import Apart
from .contenders import Contender
from .data import gaussians, keywords

NAMES = {"onnxruntime": "onnxruntime", **cli_peers.NAMES}


def peer_contenders(row, x, weight, bias, count):
    """The peers that may be able to compute the row, on `count` threads."""
    found = []
    for make in (_torch, _onnxruntime, _opencv, _scipy_signal, _scipy_ndimage):
        found += make(row, x, weight, bias, count)
    return found


def _peer(library, function, call):
    return Contender(f"{library} {function}".strip(), call, library=library)


# ---- networks ----------------------------------------------------------------------------------------------------------


def _torch(row, x, weight, bias, count):
    torch = installed("torch")
    if not torch:
        return []
    function, words = getattr(torch.nn.functional, row.function), keywords(row)
    if "output_size" in words and isinstance(words["output_size"], int):
        words["output_size"] = (words["output_size"],) * row.rank
    tensors = [None if a is None else torch.from_numpy(a) for a in (x, weight, bias)]
    if not row.is_conv:
        return [_peer("torch", "", lambda: function(tensors[0], **words))]
    if np.dtype(row.dtype).kind in "iu":
        return []
    problem = row.problem()
    if problem.padding_mode == "zeros":
        return [_peer("torch", "", lambda: function(*tensors, **words))]
    pairs = [n for axis in (2, 1, 0)[: row.rank] for n in (problem.pad_before[axis], problem.pad_after[axis])]
    words.pop("padding")
    pad = torch.nn.functional.pad
    return [
        _peer("torch", "", lambda: function(pad(tensors[0], pairs, mode=problem.padding_mode), *tensors[1:], **words))
    ]


def _onnxruntime(row, x, weight, bias, count):
    onnx = installed("onnx")
    if (
        not onnx
        or not installed("onnxruntime")
        or row.options.get("indices")
        or row.options.get("padding_mode")
        or "divisor" in row.options
    ):
        return []
    rank, helper = row.rank, onnx.helper
    constants = []
    if row.is_conv:
        problem = row.problem()
        kind = "Conv"
        attributes = {
            "strides": problem.stride[3 - rank :], "dilations": problem.dilation[3 - rank :], "group": problem.groups,
            "pads": problem.pad_before[3 - rank :] + problem.pad_after[3 - rank :],
        }  # fmt: skip
        constants = [("w", weight)] + ([("b", bias)] if bias is not None else [])
    elif "output" in row.options:
        if set(row.per_axis("output", None)) != {1}:
            return []
        kind, attributes = ("GlobalMaxPool" if "max" in row.kind else "GlobalAveragePool"), {}
    else:
        kernel = row.per_axis("kernel", None)
        attributes = {
            "kernel_shape": kernel, "strides": row.per_axis("stride", row.options["kernel"]),
            "pads": row.per_axis("padding", 0) * 2, "ceil_mode": int(row.options.get("ceil_mode", False)),
        }  # fmt: skip
        if row.kind == "max_pool":
            kind = "MaxPool"
            attributes["dilations"] = row.per_axis("dilation", 1)
        else:
            kind = "AveragePool"
            attributes["count_include_pad"] = int(not row.options.get("exclude_pad", False))
    element = helper.np_dtype_to_tensor_dtype(np.dtype(row.dtype))
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *(name for name, _ in constants)], ["y"], **attributes)],
        row.name,
        [helper.make_tensor_value_info("x", element, row.input_shape)],
        [helper.make_tensor_value_info("y", element, [None] * (rank + 2))],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    try:
        call = Apart(model.SerializeToString(), {"x": x}, count)
    except RuntimeError:  # a dtype that it has no kernel for
        return []
    return [_peer("onnxruntime", "", call)]


# ---- planes ------------------------------------------------------------------------------------------------------------


def keeps_size(row):
    """Whether the row filters one channel, stride and dilation 1, padded by half of an odd kernel with zeros."""
    if row.is_conv:
        if row.weight_shape[:2] != (1, 1) or row.options.get("padding_mode") or row.options.get("bias"):
            return False
        kernel, stride = row.weight_shape[2:], row.per_axis("stride", 1)
    elif "kernel" in row.options:
        kernel = row.per_axis("kernel", None)
        stride = row.per_axis("stride", row.options["kernel"])
    else:
        return False
    if row.input_shape[:2] != (1, 1) or {"indices", "exclude_pad", "divisor"} & row.options.keys():
        return False
    padding = row.options.get("padding", 0)
    if isinstance(padding, str):
        same = padding == "same"
    else:
        same = row.per_axis("padding", 0) == tuple(k // 2 for k in kernel)
    return same and all(k % 2 for k in kernel) and set(stride) == {1} and set(row.per_axis("dilation", 1)) == {1}


def _opencv(row, x, weight, bias, count):
    cv2 = installed("cv2")
    if not cv2 or row.rank != 2 or not keeps_size(row) or row.dtype not in ("float32", "float64", "uint8", "int16"):
        return []
    plane, border = x[0, 0], cv2.BORDER_CONSTANT
    if row.is_conv:
        if row.dtype not in ("float32", "float64"):  # it saturates integers
            return []
        kernel = weight[0, 0]
        if row.options.get("gaussian"):
            down, along = (curve.astype(row.dtype) for curve in gaussians(row))
            return [_peer("OpenCV", "sepFilter2D", lambda: cv2.sepFilter2D(plane, -1, along, down, borderType=border)[None, None])]
        return [_peer("OpenCV", "filter2D", lambda: cv2.filter2D(plane, -1, kernel, borderType=border)[None, None])]
    size = row.per_axis("kernel", None)
    if row.kind == "max_pool":
        window = np.ones(size, np.uint8)
        return [_peer("OpenCV", "dilate", lambda: cv2.dilate(plane, window)[None, None])]
    return [_peer("OpenCV", "blur", lambda: cv2.blur(plane, size[::-1], borderType=border)[None, None])]


def _scipy_signal(row, x, weight, bias, count):
    if not row.is_conv or row.input_shape[:2] != (1, 1) or row.weight_shape[:2] != (1, 1):
        return []
    unpadded = not row.options.get("padding")
    ordinary = set(row.per_axis("stride", 1)) == set(row.per_axis("dilation", 1)) == {1} and bias is None
    if (
        not ordinary
        or not (unpadded or keeps_size(row))
        or np.dtype(row.dtype).kind not in "fc"
        or row.dtype == "float16"
    ):
        return []
    from scipy import signal

    mode = "valid" if unpadded else "same"
    flipped = np.ascontiguousarray(np.flip(weight[0, 0]))  # convolution turns the kernel round
    samples = x[0, 0]
    functions = (signal.fftconvolve, signal.oaconvolve)
    return [
        _peer("scipy", function.__name__, lambda function=function: function(samples, flipped, mode)[None, None])
        for function in functions
    ]


def _correlate_axes(ndimage, samples, curves):
    for axis, curve in enumerate(curves):
        samples = ndimage.correlate1d(samples, curve, axis, mode="constant")
    return samples


def _scipy_ndimage(row, x, weight, bias, count):
    if not keeps_size(row) or row.dtype == "float16":
        return []
    from scipy import ndimage

    samples = x[0, 0]
    if row.is_conv:
        kernel = weight[0, 0]
        if row.options.get("gaussian"):
            return [_peer("ndimage", "correlate1d", lambda: _correlate_axes(ndimage, samples, gaussians(row))[None, None])]
        return [_peer("ndimage", "correlate", lambda: ndimage.correlate(samples, kernel, mode="constant")[None, None])]
    size = row.per_axis("kernel", None)
    if row.kind == "max_pool":
        lowest = -np.inf if samples.dtype.kind == "f" else np.iinfo(samples.dtype).min
        return [
            _peer(
                "ndimage",
                "maximum_filter",
                lambda: ndimage.maximum_filter(samples, size, mode="constant", cval=lowest)[None, None],
            )
        ]
    return [
        _peer("ndimage", "uniform_filter", lambda: ndimage.uniform_filter(samples, size, mode="constant")[None, None])
    ]

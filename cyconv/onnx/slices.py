"""Large batches go through the network a few images at a time, so that what lies between two layers is still in the caches when the second reads it.

Nodes that treat each item of axis 0 by itself are run so, up to the first products of matrices: these gain more from all rows at once, since their
weights, which no cache holds, are read once then. How many images depends on shapes alone, and so do the algorithms' choices.
"""

CACHED = 12 * 2**20  # bytes of the largest result of a slice: ResNet-50 gained 15 %, U-Net 30 % (`python -m bench.networks`)
ALONE = {  # of their first input; all others are constants
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool", "Relu", "Clip", "Sigmoid",
    "LeakyRelu", "Erf", "Tanh", "Elu", "Selu", "Softplus", "HardSigmoid", "HardSwish", "Mish", "Exp", "Sqrt", "Abs", "Neg", "LRN", "InstanceNormalization",
}  # fmt: skip
PAIRS = {"Add", "Sub", "Mul", "Div", "PRelu"}


def of_one_image(graph, inputs):
    """The nodes that can be run so, and the inputs to cut; none if there is no convolution among them."""
    ranks = {value.name: len(value.shape) for value in inputs if value.shape is not None and len(value.shape) > 1}
    nodes = []
    for node in graph.nodes:
        rank = None if node.operator.domain or node.captured or any(node.outputs[1:]) else _rank(node, ranks, graph.constants)
        if rank is not None:
            ranks[node.outputs[0]] = rank
            nodes.append(node)
    read = {name for node in nodes for name in node.read}
    return (nodes, [value.name for value in inputs if value.name in read]) if any(node.kind == "Conv" for node in nodes) else ([], [])


def _rank(node, ranks, constants):
    """The rank of a result whose items of axis 0 come from those of the inputs; None if it has none such."""
    rank = ranks.get(node.inputs[0]) if node.inputs else None
    fixed = all(name in constants or not name for name in node.inputs[1:])
    if node.kind in PAIRS and _pairs(node.inputs, ranks, constants):
        return max(ranks.get(name, 0) for name in node.inputs)
    if rank is None:
        return None
    if node.kind == "Concat":
        return rank if all(ranks.get(name) == rank for name in node.inputs) and node.attribute("axis", 1) % rank else None
    alone = (
        node.kind in ALONE
        or node.kind == "BatchNormalization" and not node.attribute("training_mode", 0)
        or node.kind in ("Softmax", "LogSoftmax") and node.attribute("axis", -1) % rank
        or node.kind == "Transpose" and node.attribute("perm") and node.attribute("perm")[0] == 0
        or node.kind in ("Resize", "Upsample") and _keeps_batch(node, constants)
    )  # fmt: skip
    if node.kind == "Flatten" and node.attribute("axis", 1) == 1:
        return 2
    return rank if alone and fixed else None


def _pairs(inputs, ranks, constants):
    """Whether two values are items side by side, or one is the same for all items of the other."""
    rank = max(ranks.get(name, 0) for name in inputs)
    return rank > 0 and all(
        ranks.get(name) == rank or name in constants and (constants[name].ndim < rank or constants[name].ndim == rank and constants[name].shape[0] == 1)
        for name in inputs
    )


def _keeps_batch(node, constants):
    scales = constants.get((*node.inputs, "", "")[1 if len(node.inputs) < 3 else 2])
    if node.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    return scales is not None and scales.size and scales[0] == 1 and not node.attribute("axes") and not any((*node.inputs, *[""] * 4)[3:4])


def images_at_once(count, widest):
    """How many of `count` images, whose largest result has so many bytes: if it can be, the same number each time."""
    most = max(1, int(CACHED // max(widest, 1)))
    if most >= count:
        return count
    return next((n for n in range(most, most // 2, -1) if count % n == 0), most)

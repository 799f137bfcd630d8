"""NVIDIA's cuDNN, through nvidia-cudnn-frontend: one more way where that is installed, of float32 and half types, padded with zeros.

A graph is one node, a convolution; of half types also the bias is added in it, so that the result is rounded once. It is made for a
problem and the strides of its arrays, with the first plan of cuDNN's heuristics, which time nothing, that is allowed: none by Winograd or
FFT, which would spread what is not finite, none whose bits differ from run to run, none with tensor cores for float32 unless TF32 is
allowed, and none that needs more memory than max_workspace leaves. Plans with tensor cores are off by more than plain sums (menu.py).
What cuDNN does not promise is that infinite weights meet the zeros of the padding: so `auto` also looks at the weights, and at the
result, and computes again where something is not finite.

Handles and graphs are lent to one call at a time. Work goes to CuPy's current stream, workspace comes from its memory pool.
cuDNN takes strides, but no negative ones, and arrays that begin at 16 bytes: others are copied, some items of the batch at a time, so that
copies and workspace together stay within max_workspace. A problem is declined if there is no room for one item and the weights.

Asking cuDNN means that graphs are made, so it is asked only where the row would be chosen (select.py). What it says to a problem is remembered for
each device. Other failures, as for want of memory, are raised: with another algorithm the same call would have other bits.
"""

import functools
import importlib.util
import sys
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import replace
from math import prod

import numpy as np

from ..devices import cupy_with_device
from . import costs
from .launch import TYPES
from .products import on_tensor_cores
from .tiles import visit

DTYPES = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BFLOAT16"}  # cuDNN's words
KEPT = 64  # graphs of a session
ALIGNED = 16  # bytes
COPIES = 4  # the workspace is so many times as large as what copies may take of it, unless that is too little for one item
LONGEST = 2**31 - 1
INPUT, WEIGHT, OUT, BIAS = 1, 2, 3, 4  # names of the tensors


class Refused(Exception):
    """cuDNN does not compute something."""


def why_not(problem):
    return at_first(problem) or answer(problem)[0]


def at_first(problem):
    """What `why_not` says before cuDNN is asked."""
    p = problem
    if not _installed():
        return "nvidia-cudnn-frontend is not installed"
    if p.dtype not in DTYPES:
        return f"cuDNN is asked for float32 and half types, not for {p.dtype}"
    if p.padding_mode != "zeros":
        return f"cuDNN pads with zeros, not by padding_mode={p.padding_mode!r}"
    if max(*p.size, *p.out_size, p.batch, prod(p.out_size), p.out_channels * p.products) > LONGEST:
        return "cuDNN counts in 32 bits"
    if not p.multiply_adds:
        return None
    if min(cropped(p)) < 1:
        return "cuDNN takes no input without samples"
    if isinstance(found := _part(p), int):
        return f"needs at least {found} bytes of workspace, if arrays must be copied"
    if cupy_with_device() is None:
        return None
    return _broken() or _lacking(refused_notes(p))


def cost(problem):
    """(predicted seconds, bytes of workspace); `answer` tells with those of cuDNN's plan."""
    return costs.seconds("cudnn", amounts(problem)), _part(problem)[1] if problem.multiply_adds else 0


def amounts(problem):
    """The work, as costs.py counts it."""
    p = problem
    # few channels leave parts of its tiles empty
    work = p.multiply_adds // max(p.products * p.out_channels, 1) * _rounded(p.products, 16) * _rounded(p.out_channels, 32)
    seen = prod(p.weight_shape) + p.outputs * (1 + (p.has_bias and not _fused(p)))  # once more: whether all is finite, and to add the bias
    return {
        "call": 1,
        "launch": 3,  # weights and result are looked at; a row that is to compute again what is not finite finds all finite
        "tensor_multiply_add" if on_tensor_cores(p) else "multiply_add": work,
        "byte": costs.moved(p) + costs.itemsize(p.dtype) * seen,
    }


def _rounded(count, step):
    return -(-count // step) * step


# ---- asking cuDNN ----------------------------------------------------------------------------------------------------------


@functools.cache
def _found():
    return importlib.util.find_spec("cudnn") is not None


def _installed():
    return "cudnn" in sys.modules or _found()


@functools.cache
def _broken():
    """Why cuDNN is of no use though it is installed, or None."""
    try:
        import cudnn

        cudnn.backend_version()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return f"cuDNN cannot be loaded: {_first_line(error)}"
    return None


def _lacking(notes):
    """Why plans that may not be used could not be told from others, or None."""
    import cudnn

    missing = [name for name in notes if not hasattr(cudnn.numerical_note, name)]
    return f"this nvidia-cudnn-frontend does not know {', '.join(missing)}, which must be refused" if missing else None


def answer(problem):
    """(why cuDNN does not compute it or None, bytes of workspace): on the current device, if there is one, by making its graphs.

    The bytes are those for arrays that lie in order, or have to be copied; graphs for other strides keep to max_workspace as well."""
    if not problem.multiply_adds:
        return None, 0
    part, copies = _part(problem)
    answers = problem.kept.setdefault("cudnn's answers", {})  # by device
    cupy = sys.modules["cupy"] if answers else cupy_with_device()
    if cupy is None:
        return None, copies
    device = cupy.cuda.runtime.getDevice()
    found = answers.get(device)
    if found is None:
        try:
            with _session() as session:
                least, most = (session.graph(p, *_dense(p))[1] for p in (problem, part))
                found = None, max(least, copies + most)
        except Refused as error:
            found = f"cuDNN does not compute it: {error}", 0
        answers[device] = found
    return found


def _part(problem):
    """(the problem of so many items as are copied at a time, bytes of their copies), or of how many bytes there is no room for.

    It hangs on the problem alone. Parts are of one size, that all of them have the same plan."""
    found = problem.kept.get("cudnn's part")
    if found is None:
        p, size = problem, costs.itemsize(problem.dtype)
        item = p.groups * (p.in_channels * prod(cropped(p)) + p.out_channels * prod(p.out_size)) * size
        once = (prod(p.weight_shape) + _fused(p) * p.groups * p.out_channels) * size
        if once + item > p.max_workspace:
            found = once + item
        else:
            items = max(1, min(p.batch, (p.max_workspace // COPIES - once) // item))
            items = -(-p.batch // -(-p.batch // items))
            found = p if items == p.batch else replace(p, batch=items), once + items * item
        problem.kept["cudnn's part"] = found
    return found


def room(problem):
    """Bytes of workspace that a plan may need."""
    part, copies = _part(problem)
    return problem.max_workspace - (copies if part is problem else 0)  # otherwise nothing of this problem is copied, but of its part


def _refuses(error):
    """Whether an error is what cuDNN says to a problem, at any time; not that memory is short, or that a device has failed."""
    import cudnn

    text = str(error)
    if "ALLOC_FAILED" in text or "out of memory" in text.lower():
        return False
    if isinstance(error, RuntimeError):
        return "NOT_SUPPORTED" in text or "BAD_PARAM" in text
    return isinstance(error, (cudnn.cudnnGraphNotSupportedError, ValueError))


def _first_line(error):
    return (str(error) or type(error).__name__).strip().splitlines()[0]


class _Session:
    """A handle and the graphs that were made with it."""

    def __init__(self):
        import cudnn

        self.handle = cudnn.create_handle()
        self._graphs = OrderedDict()

    def graph(self, problem, *arrays):
        """(graph, bytes of workspace) of arrays that lie so. Refused if cuDNN has none."""
        key = (problem, *arrays)
        found = self._graphs.get(key)
        if found is None:
            try:
                made = described(problem, *arrays, handle=self.handle)
                found = made, made.get_workspace_size()
            except Exception as error:
                if not _refuses(error):
                    raise
                found = None, _first_line(error)
            self._graphs[key] = found
            if len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        if found[0] is None:
            raise Refused(found[1])
        return found


_idle = {}  # by device: sessions that no call uses; never more than there were calls at once


@contextmanager
def _session():
    """A session of the current device, of one's own until the end, on the current stream."""
    import cudnn
    import cupy

    idle = _idle.setdefault(cupy.cuda.runtime.getDevice(), [])
    try:
        session = idle.pop()
    except IndexError:
        session = _Session()
    try:
        cudnn.set_stream(handle=session.handle, stream=cupy.cuda.get_current_stream().ptr)
        yield session
    finally:
        idle.append(session)


def described(problem, input, weight, out, **where):
    """cuDNN's graph with its plan, of arrays that are each given by sizes and strides. `where`: a handle, or properties of a device."""
    import cudnn

    p, kind, single = problem, getattr(cudnn.data_type, DTYPES[problem.dtype]), cudnn.data_type.FLOAT
    axes = _axes(p)
    graph = cudnn.pygraph(io_data_type=kind, intermediate_data_type=single, compute_data_type=single, **where)

    def tensor(name, number, sizes, strides):
        return graph.tensor(name=name, dim=list(sizes), stride=list(strides), data_type=kind).set_uid(number)

    result = graph.conv_fprop(
        image=tensor("input", INPUT, *input),
        weight=tensor("weight", WEIGHT, *weight),
        pre_padding=[max(p.pad_before[a], 0) for a in axes],
        post_padding=[max(after(p, a), 0) for a in axes],
        stride=[p.stride[a] for a in axes],
        dilation=[p.dilation[a] for a in axes],
    )
    if _fused(p):
        result.set_data_type(single)
        channels = out[0][1]
        bias = tensor("bias", BIAS, (1, channels, *(1 for _ in axes)), (channels, *(1 for _ in range(len(axes) + 1))))
        result = graph.add(a=result, b=bias)
    result.set_output(True).set_uid(OUT).set_data_type(kind).set_dim(list(out[0])).set_stride(list(out[1]))
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    graph.deselect_numeric_notes([getattr(cudnn.numerical_note, name) for name in refused_notes(p)])
    graph.deselect_workspace_greater_than(room(p))
    graph.build_plans()
    return graph


def refused_notes(problem):
    """What no plan may do; cuDNN's words."""
    notes = ["WINOGRAD", "WINOGRAD_TILE_4x4", "WINOGRAD_TILE_6x6", "WINOGRAD_TILE_13x13", "FFT", "NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"]
    return notes if on_tensor_cores(problem) else [*notes, "TENSOR_CORE", "DOWN_CONVERT_INPUTS"]


# ---- arrays as cuDNN has them: (batch, channels, y, x) or with z, by sizes and strides ----------------------------------------


def _axes(problem):
    """Those that cuDNN sees: two, where all along z is 1."""
    p = problem
    return (1, 2) if p.size[0] == p.kernel[0] == p.out_size[0] == 1 and not p.pad_before[0] and not p.pad_after[0] else (0, 1, 2)


def _fused(problem):
    """Whether the bias is added before the result is rounded."""
    return problem.has_bias and problem.dtype != "float32"


def after(problem, axis):
    """Zeros behind the last sample, or if negative, samples that no window reaches: so many that the outputs are as many as cuDNN counts."""
    p = problem
    padded = p.pad_before[axis] + p.size[axis] + p.pad_after[axis]
    if (padded - p.span[axis]) // p.stride[axis] + 1 == p.out_size[axis]:
        return p.pad_after[axis]
    return (p.out_size[axis] - 1) * p.stride[axis] + p.span[axis] - p.pad_before[axis] - p.size[axis]


def cropped(problem):
    """Sizes of the input without what negative padding takes away."""
    p = problem
    return tuple([p.size[a] + min(p.pad_before[a], 0) + min(after(p, a), 0) for a in range(3)])


def _dense(problem):
    """Sizes and strides of contiguous input, weight and out."""
    p, axes = problem, _axes(problem)
    size = cropped(p)
    shapes = (
        (p.batch, p.groups * p.in_channels, *(size[a] for a in axes)),
        (p.groups * p.out_channels, p.in_channels, *(p.kernel[a] for a in axes)),
        (p.batch, p.groups * p.out_channels, *(p.out_size[a] for a in axes)),
    )
    return tuple([(shape, _packed(shape)) for shape in shapes])


def _packed(shape):
    return tuple([prod(shape[a + 1 :]) for a in range(len(shape))])


def seen(array, axes, merged):
    """(sizes, strides) of a view of six axes, its axes `merged` and `merged` + 1 being one; None if cuDNN does not take it so."""
    sizes, steps = list(array.shape), [step // array.itemsize for step in array.strides]
    if sizes[merged] > 1 and sizes[merged + 1] > 1 and steps[merged] != sizes[merged + 1] * steps[merged + 1]:
        return None
    if sizes[merged + 1] == 1:
        steps[merged + 1] = steps[merged]
    sizes[merged : merged + 2], steps[merged : merged + 2] = [sizes[merged] * sizes[merged + 1]], [steps[merged + 1]]
    kept = [0, 1, *(2 + a for a in axes)]
    sizes, steps = [sizes[a] for a in kept], [steps[a] for a in kept]
    for a in reversed(range(len(sizes))):
        if sizes[a] == 1:  # whatever it was
            steps[a] = sizes[a + 1] * steps[a + 1] if a + 1 < len(sizes) else 1
    if min(steps) < 1 or array.data.ptr % ALIGNED:
        return None
    return tuple(sizes), tuple(steps)


# ---- running ---------------------------------------------------------------------------------------------------------------


def run(problem, input, weight, bias, out, nonfinite=None):
    """Writes the result to `out`. If the weights or the result are not finite, `nonfinite` (an int32 of the device) becomes 1."""
    p, axes = problem, _axes(problem)
    begin = [max(-b, 0) for b in p.pad_before]
    input = input[(..., *(slice(b, b + n) for b, n in zip(begin, cropped(p))))]
    with _session() as session:
        layouts = [seen(input, axes, 1), seen(weight, axes, 0), seen(out, axes, 1)]
        try:
            graph = session.graph(p, *layouts) if all(layouts) else None
        except Refused:  # cuDNN has no plan for these strides
            graph = None
        if graph is not None:
            _execute(session, p, graph, input, weight, bias, out)
        else:
            _execute_copies(session, p, input, weight, bias, out)
    remaining = None if _fused(p) else bias
    if remaining is not None or nonfinite is not None:
        _finish(p, out, remaining, nonfinite)
    if nonfinite is not None:
        _finish(p, weight, None, nonfinite)


def _execute(session, problem, graph, input, weight, bias, out):
    import cupy

    pointers = {INPUT: input.data.ptr, WEIGHT: weight.data.ptr, OUT: out.data.ptr}
    if _fused(problem):
        added = bias if bias.data.ptr % ALIGNED == 0 else bias.copy()
        pointers[BIAS] = added.data.ptr
    graph, size = graph
    workspace = cupy.empty(max(size, 1), np.uint8)
    graph.execute(pointers, workspace.data.ptr, handle=session.handle)


def _execute_copies(session, problem, input, weight, bias, out):
    """Part by part, with copies of what does not lie in order."""
    import cupy

    part, axes = _part(problem)[0], _axes(problem)
    x, w, y = _dense(part)
    graph = session.graph(part, x, w, y)
    weight = weight if seen(weight, axes, 0) == w else weight.copy()

    def execute(input, out):  # whose copies are gone before the next ones are made
        from_ = input if seen(input, axes, 1) == x else input.copy()
        to = out if seen(out, axes, 1) == y else cupy.empty(out.shape, out.dtype)
        _execute(session, part, graph, from_, weight, bias, to)
        if to is not out:
            out[...] = to

    for first in range(0, problem.batch, part.batch):
        first = min(first, problem.batch - part.batch)
        execute(input[first : first + part.batch], out[first : first + part.batch])


def _finish(problem, array, bias, nonfinite):
    lead, groups, channels, *box = array.shape
    if bias is None and array.flags.c_contiguous and array.size <= LONGEST:
        lead, groups, channels, box = 1, 1, 1, (1, 1, array.size)
        array = array.reshape(1, 1, 1, *box)
    visit(
        "cudnn", f"finish<{TYPES[problem.dtype]}>", array, (bias, array, nonfinite), planes=lead * groups * channels, groups=groups,
        channels=channels, box=tuple(box),
    )  # fmt: skip


def instances():
    """All kernels that `run` may ask for: (file, expression)."""
    return [("cudnn", f"finish<{TYPES[dtype]}>") for dtype in DTYPES]

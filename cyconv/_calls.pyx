"""One call of a convolution or a pool, from any arguments to the result; compiled, because a small one is mostly this."""
cimport numpy as cnp

import numpy as np

from ._memory import empty, overlaps
from .arguments import as_array, check_out, flag
from .devices import device_of
from .memory import assign
from .pool_problem import AVERAGE_DTYPES, MAX_DTYPES
from .problem import CACHED, CONV_DTYPES, conv_problem, known_conv_problem
from .select import PIXELS, choose, choose_pool

cnp.import_array()

# np.dtype(name) takes longer than some convolutions
cdef dict DTYPES = {name: np.dtype(name) for name in CONV_DTYPES + MAX_DTYPES + AVERAGE_DTYPES}
cdef object INT64 = np.dtype(np.int64)
cdef tuple SHAPE = ("output shape",)     # a key of what is kept that no name of an algorithm is
cdef dict known_pools = {}              # problems by all that they were made from, CACHED of them at most


def convolve(
    rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
):
    """The convolution that cyconv.conv1d, conv2d and conv3d document."""
    place = elsewhere(input, weight, bias, out)
    if place is not None:
        if place == "gpu":
            from .gpu import calls
        else:
            from .chunked import convolution as calls
        return calls.convolve(
            rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, algorithm, precision, max_workspace, allow_tf32, out
        )
    if allow_tf32 is not False:
        flag("allow_tf32", allow_tf32)
    input, weight = array("input", input), array("weight", weight)
    bias = None if bias is None else array("bias", bias)
    if (
        plain(stride) and plain(padding) and plain(dilation) and plain(groups)
        and plain(padding_mode) and plain(precision) and plain(max_workspace)
    ):
        problem = known_conv_problem(
            rank, input.shape, weight.shape, None if bias is None else bias.shape,
            input.dtype, weight.dtype, None if bias is None else bias.dtype,
            stride, padding, dilation, groups, padding_mode, precision, max_workspace,
        )
    else:
        problem = conv_problem(
            rank, input, weight, bias, stride, padding, dilation, groups, padding_mode, precision, max_workspace
        )
    row = (<dict> problem.kept).get((algorithm, True, False)) if type(algorithm) is str else None  # as choose has left it
    if row is None or row.weights and not row.module.suits(problem, weight):
        row = choose(problem, algorithm, weight)
    return run_chosen(row, problem, input, weight, bias, algorithm, out)


def run_chosen(row, problem, input, weight, bias, algorithm, out):
    """A convolution by the row that was chosen for it."""
    if not row.spreads_nonfinite:
        return execute(row, problem, input, row.prepare_once(problem, weight), bias, out)
    if out is not None and overlaps(out, weight):
        weight = weight.copy()  # `another` may need it after `out` is written
    return execute(row, problem, input, row.prepare_once(problem, weight), bias, out, another(row, problem, algorithm, weight))


def another(row, problem, algorithm, weight):
    """What `execute` calls if the chosen row may have carried a NaN or infinity too far, or rounded too much: another row and its weights."""
    if not row.spreads_nonfinite or algorithm != "auto":
        return None

    def prepared(fine):
        if fine is not False:
            return fine, fine.prepare(problem, weight)
        careful = choose(problem, "auto", weight, finite=False)
        return careful, careful.prepare_once(problem, weight)

    return prepared


def planned(plan, input, out):
    """A call of a Plan."""
    place = elsewhere(input, None, None, out)
    if place is not None:
        raise TypeError(f"input must be a NumPy array, as the plan's weight is; got a {'CuPy' if place == 'gpu' else 'dask'} array")
    input, problem = array("input", input), plan.problem
    if input.shape != problem.input_shape:
        raise ValueError(f"input must have the plan's shape {problem.input_shape}, got {input.shape}")
    if input.dtype is not plan._dtype and input.dtype != plan._dtype:
        raise TypeError(f"input must have the plan's dtype {problem.dtype}, got {input.dtype}")
    return execute(plan._row, problem, input, plan._prepared, plan._bias, out, plan._another, private=True)


def execute(row, problem, input, prepared, bias, out, another=None, bint private=False):
    """Runs a chosen algorithm into `out`, or into a new array; private: nobody else has `prepared` and `bias`.

    A row that carries a NaN or infinity to outputs whose window it is not in leaves at least one output that is not finite,
    and returns False. Then `another` row computes everything again: finite arguments cost no look at them. One that does so
    without loss where the numbers' sizes differ too much is returned by the row itself. (None or True: the result is fine.)
    """
    if out is not None:
        check_out(out, problem.output_shape, problem.dtype)
    if out is not None and cnp.PyArray_ISCARRAY(<cnp.ndarray> out) and not (overlaps(out, input) if private else overlaps(out, input, prepared, bias)):
        result = out
    else:
        result = empty(problem.output_shape, DTYPES[problem.dtype])
    if problem.multiply_adds:
        fine = row.run(problem, input, prepared, bias, result)
        while another is not None and fine is not None and fine is not True:
            row, prepared = another(fine)
            fine = row.run(problem, input, prepared, bias, result)
    elif problem.outputs:
        result[...] = 0 if bias is None else bias.reshape(-1, *(1,) * problem.rank)
    if out is not None and result is not out:
        assign(out, result)
        return out
    return result


# ---- pools ---------------------------------------------------------------------------------------------------------------

def pool(make, int rank, input, tuple arguments, algorithm, out):
    """The pool that cyconv.max_pool1d and the like document: `make(rank, input, *arguments)` is the problem."""
    cdef Py_ssize_t types
    place = elsewhere(input, None, None, out)
    if place is not None:
        if place == "gpu":
            from .gpu import pools
        else:
            from .chunked import pooling as pools
        return pools.pool(make, rank, input, arguments, algorithm, out)
    input = array("input", input)
    types = types_of(arguments)
    if types < 0:
        return pooled(make(rank, input, *arguments), input, algorithm, out)
    key = (make, rank, input.shape, input.dtype, types, arguments)
    problem = known_pools.get(key)
    if problem is None:
        problem = make(rank, input, *arguments)
        if len(known_pools) >= CACHED:
            known_pools.clear()
        known_pools[key] = problem
    return pooled(problem, input, algorithm, out)


cdef inline bint channels_last(cnp.ndarray x, int rank) noexcept:
    """Whether neighbours in memory are channels, and not columns."""
    cdef int last = cnp.PyArray_NDIM(x) - 1
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(x)
    return last >= rank and cnp.PyArray_STRIDE(x, last - rank) == size and cnp.PyArray_DIM(x, last - rank) > 1 and cnp.PyArray_STRIDE(x, last) != size


def pooled(problem, cnp.ndarray input, algorithm, out):
    """One pooling of an array that `problem` describes: the values, with the winners' places if they are asked for."""
    cdef dict kept = problem.kept
    cdef tuple shape = kept.get(SHAPE)
    cdef cnp.ndarray result
    cdef bint direct = False
    cdef bint pixels = channels_last(input, problem.rank)
    row = kept.get(PIXELS if pixels and algorithm == "auto" else algorithm) if type(algorithm) is str else None  # as choose_pool has left it
    if row is None:
        row = choose_pool(problem, algorithm, pixels)
    if shape is None:
        shape = kept[SHAPE] = problem.output_shape
    if out is not None:
        check_out(out, shape, problem.dtype)
        direct = cnp.PyArray_ISCARRAY(<cnp.ndarray> out) and not overlaps(out, input)
    result = out if direct else empty(shape, DTYPES[problem.dtype])
    indices = empty(shape, INT64) if problem.with_indices else None
    if cnp.PyArray_SIZE(result):
        row.run(problem, input, result, indices)
    if out is not None:
        if not direct:
            assign(out, result)
        return out if indices is None else (out, indices)
    return result if indices is None else (result, indices)


# ---- arguments -----------------------------------------------------------------------------------------------------------

cdef inline object elsewhere(object input, object weight, object bias, object out):
    """Where the arrays lie: None for this machine's memory, "gpu", or "chunks" for dask's; raises if some lie here and some on the GPU."""
    cdef type numpys = np.ndarray
    if type(input) is numpys and (weight is None or type(weight) is numpys) and (bias is None or type(bias) is numpys) and (out is None or type(out) is numpys):
        return None
    place = device_of(input=input, weight=weight, bias=bias, out=out)
    return None if place == "cpu" else place


cdef inline object array(str name, object value):
    """As arguments.as_array."""
    if type(value) is np.ndarray and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray> value):
        return value
    return as_array(name, value)


cdef inline bint plain(object value):
    """Whether `value` is an int, a word or a tuple of ints, so that what is remembered cannot be found by True or 1.0."""
    if type(value) is tuple:
        for item in <tuple> value:
            if type(item) is not int:
                return False
        return True
    return type(value) is int or type(value) is str


cdef inline Py_ssize_t types_of(tuple arguments) except -2:
    """A number for the arguments' types, since True is found where 1 was; -1 if one is no int, float, bool, word, None or tuple of ints."""
    cdef Py_ssize_t types = 1
    for value in arguments:
        types *= 4
        if type(value) is bool:
            types += 1
        elif type(value) is float:
            types += 2
        elif value is not None and not plain(value):
            return -1
    return types

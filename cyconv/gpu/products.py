"""Products of matrices by cuBLAS, for algorithms that leave the multiplying to it.

It is called directly: cupy.matmul copies what does not lie in order and computes half types as float32, and rounds float32 to TF32 where the
environment says so (CUPY_TF32). Here each product tells its arithmetic: plain float32 unless TF32 is asked for, half types summed in float32
from the first product to the last, complex products of four real ones each. The mode that a user may have left CuPy's handle in is
put aside meanwhile; it belongs to one thread and is read when a product is sent, so nobody else notices.

What cuBLAS adds up in which order is its own affair; it hangs on the sizes, and not on the numbers. CuPy lets nobody call cuBLAS while a
stream is captured.
"""

import numpy as np

from . import costs
from .launch import missing_library

LONGEST = 2**31 - 1  # of an axis, and from one run of memory to the next
MOST = 65535  # matrices of one call

_DEFAULT_MATH, _SUMS_AS_ASKED = 0, 16  # modes: CUBLAS_DEFAULT_MATH, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
_TF32 = 77  # CUBLAS_COMPUTE_32F_FAST_TF32
_KINDS = {  # cudaDataType_t; cublasComputeType_t: 32F, 64F, pedantic for complex numbers; what factors of products are passed as
    "float32": (0, 68, "f"), "float64": (1, 70, "d"), "float16": (2, 68, "f"), "bfloat16": (14, 68, "f"), "complex64": (4, 69, "F"), "complex128": (5, 71, "D"),
}  # fmt: skip
_FACTORS = {kind: np.array([0, 1], kind) for kind in "fdFD"}
_AT = {kind: (pair.ctypes.data, pair.ctypes.data + pair.itemsize) for kind, pair in _FACTORS.items()}  # where 0 and 1 stand


def missing():
    """Why there are no products, or None."""
    return missing_library("cuBLAS")


def on_tensor_cores(problem):
    """Whether NVIDIA's libraries, cuDNN as well, multiply a problem's numbers there."""
    return problem.dtype in ("float16", "bfloat16") or problem.allow_tf32


def lies(matrices):
    """How (count, rows, columns) lie: (whether rows are runs of memory, or else columns are; numbers from run to run; from matrix to
    matrix). None if neither are, as cuBLAS needs it."""
    count, rows, columns = matrices.shape
    size = matrices.itemsize
    each, down, along = [step // size for step in matrices.strides]
    each = each if count > 1 else 0
    for by_rows, runs, length, apart, step in ((True, rows, columns, down, along), (False, columns, rows, along, down)):
        apart = apart if runs > 1 else max(length, 1)
        if (length == 1 or step == 1) and max(length, 1) <= apart <= LONGEST and each >= 0:
            return by_rows, apart, each
    return None


def multiply(left, right, out, add=False, tf32=False):
    """out = left @ right, or that added to `out`; of (count, m, k), (count, k, n) and (count, m, n), a count of 1 standing for any.

    All of them must lie as `lies` says. Factors are of one dtype, `out` of the same or, where those are half types, float32.
    """
    import cupy

    cublas, handle = cupy.cuda.cublas, cupy.cuda.get_cublas_handle()
    name = left.dtype.name
    kind, compute, factors = _KINDS[name]
    compute = _TF32 if tf32 and name == "float32" else compute
    # cuBLAS knows columns that are runs: what has rows of them is a transposed one to it, and so is the product
    ((by_rows, out_apart, out_each), a, b, (m, n)) = lies(out), left, right, out.shape[1:]
    if by_rows:
        a, b, m, n = right, left, n, m
    (a_rows, a_apart, a_each), (b_rows, b_apart, b_each) = lies(a), lies(b)
    zero, one = _AT[factors]
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, _SUMS_AS_ASKED if name in ("float16", "bfloat16") else _DEFAULT_MATH)
    try:
        for first in range(0, out.shape[0], MOST):
            cublas.gemmStridedBatchedEx(
                handle, int(a_rows != by_rows), int(b_rows != by_rows), m, n, left.shape[2], one,
                a.data.ptr + first * a_each * a.itemsize, kind, a_apart, a_each,
                b.data.ptr + first * b_each * b.itemsize, kind, b_apart, b_each,
                one if add else zero,
                out.data.ptr + first * out_each * out.itemsize, _KINDS[out.dtype.name][0], out_apart, out_each,
                min(MOST, out.shape[0] - first), compute, -1,
            )  # fmt: skip
    finally:
        cublas.setMathMode(handle, before)


# ---- cost ------------------------------------------------------------------------------------------------------------------


def multiply_adds(m, n, k, count):
    """Of such products, with those of half-empty tiles, and as if all processors were busy."""
    tiles = -(-m // 64) * -(-n // 64) * count * max(1, k // 512)  # long sums are cut
    return -(-m // 32) * 32 * -(-n // 32) * 32 * k * count * max(1.0, costs.PROCESSORS / max(tiles, 1))

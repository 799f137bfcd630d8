"""As cupy.cuda.cublas, as far as cyconv asks it: products by NumPy of what lies where pointers say, and as strict as cuBLAS about sizes.

TF32 is what it is on a device: factors lose their last 13 bits where a product asks for it, or the mode of the handle does. Half types that
may be summed in less than float32 are.
"""

import ctypes

import numpy as np

CUBLAS_DEFAULT_MATH, TF32_TENSOR_OP_MATH, DISALLOW_REDUCED_PRECISION_REDUCTION = 0, 3, 16
COMPUTE_32F, COMPUTE_32F_PEDANTIC, COMPUTE_32F_FAST_TF32, COMPUTE_64F, COMPUTE_64F_PEDANTIC = 68, 69, 77, 70, 71
HANDLE = 1
modes = {HANDLE: CUBLAS_DEFAULT_MATH}
calls = []  # (m, n, k, count) of each product


class CUBLASError(RuntimeError):
    pass


def get_cublas_handle():
    return HANDLE


def getMathMode(handle):
    return modes[handle]


def setMathMode(handle, mode):
    modes[handle] = mode


def gemmStridedBatchedEx(
    handle, transa, transb, m, n, k, alpha, a, a_type, lda, a_step, b, b_type, ldb, b_step, beta, c, c_type, ldc, c_step, count, compute, algo
):
    for number in (m, n, k, lda, ldb, ldc, count):
        if not -(2**31) <= number < 2**31:
            raise OverflowError("value too large to convert to int")
    if min(m, n, k, count) < 0 or lda < max(1, k if transa else m) or ldb < max(1, n if transb else k) or ldc < max(1, m):
        raise CUBLASError("CUBLAS_STATUS_INVALID_VALUE")
    types = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16", 14: _bfloat16()}
    wide = (COMPUTE_64F, COMPUTE_64F_PEDANTIC)
    half = a_type in (2, 14)
    if a_type != b_type or (c_type != a_type and not (half and c_type == 0)) or (compute in wide) != (a_type in (1, 5)) or algo != -1:
        raise CUBLASError("CUBLAS_STATUS_NOT_SUPPORTED")
    calls.append((m, n, k, count))
    scalar = {0: "f4", 1: "f8", 2: "f4", 4: "c8", 5: "c16", 14: "f4"}[a_type]
    by, keep = (np.frombuffer((ctypes.c_char * np.dtype(scalar).itemsize).from_address(at), scalar)[0] for at in (alpha, beta))
    left = _columns(a, types[a_type], (k, m) if transa else (m, k), lda, a_step, count)
    right = _columns(b, types[b_type], (n, k) if transb else (k, n), ldb, b_step, count)
    out = _columns(c, types[c_type], (m, n), ldc, c_step, count)
    left, right = left.swapaxes(1, 2) if transa else left, right.swapaxes(1, 2) if transb else right
    tf32 = compute == COMPUTE_32F_FAST_TF32 or compute == COMPUTE_32F and modes[handle] % 16 == TF32_TENSOR_OP_MATH
    with np.errstate(all="ignore"):
        if half:
            left, right = left.astype("f4"), right.astype("f4")
        elif tf32:
            left, right = (_rounded(each) for each in (left, right))
        found = by * np.matmul(left, right)
        if half and not modes[handle] & DISALLOW_REDUCED_PRECISION_REDUCTION:
            found = found.astype(types[a_type]).astype("f4")
        out[...] = found if keep == 0 else found + keep * out


def _columns(at, dtype, shape, apart, each, count):
    """Matrices whose columns are runs of memory, `apart` numbers from one to the next."""
    size = np.dtype(dtype).itemsize
    extent = (count - 1) * each + (shape[1] - 1) * apart + shape[0] if min(*shape, count) else 0
    flat = np.frombuffer((ctypes.c_char * (max(extent, 0) * size)).from_address(at), dtype)
    return np.lib.stride_tricks.as_strided(flat, (count, *shape), (each * size, size, apart * size))


def _rounded(x):
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(x.dtype)


def _bfloat16():
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)

"""THE list of algorithms. A new one is a file with why_not, cost, run (and prepare where it pays), and one row here.

Each row states an error bound: |result - exact| <= bound(problem) * eps * scale, with eps the spacing of 1.0 in the dtype
that is computed in, and scale either

    "terms"   sum |weight| * |input| over the output's own window, plus |bias|: the bound of a plain sum
    "norms"   the Euclidean norms of weight and padded input, multiplied and summed over channels, plus |bias|: an output that
              is small beside its surroundings may lose digits

plus half a unit in the last place for results that are stored in fewer bits (float16). Integer results are exact.

Of pooling, maxima are exact, and |result - exact| <= bound(problem) * eps * scale for averages, with scale the average of
|input| over the window. A p-norm is bounded before its root is taken: |result**p - exact**p| <= bound(problem) * eps *
sum |input|**p.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, log2, prod

from . import cpu, gpu


@dataclass(frozen=True)
class Algorithm:
    name: str
    device: str
    load: Callable  # returns the module that offers why_not, cost, run
    bound: Callable  # of a problem: multiples of eps
    scale: str
    formula: str  # the bound in words; K: products summed per output
    spreads_nonfinite: bool = False  # whether a NaN or infinity reaches outputs whose window it is not in; `run` then returns
    # whether all results are finite; or, instead of True, what has `prepare` and `run` and loses less of small numbers
    weights: str = ""  # if it computes some weights only: what others are; its module offers suits(problem, weight)
    takes_only_if: bool = True  # on a GPU, if it spreads nothing: whether `run` takes `only_if`, and so can compute again what another row spread

    @cached_property
    def module(self):
        return self.load()

    @cached_property
    def run(self):
        return self.module.run

    @cached_property
    def asks(self):
        """Whether its module asks a library what it computes, which takes time, and may say otherwise on another GPU: `answer` does, and only
        where the row would be chosen; `at_first` is what `why_not` says before."""
        return hasattr(self.module, "answer")

    @cached_property
    def exchanges(self):
        """For weight gradients: whether `run` takes an input whose groups and channels stand on two axes, and an `out` whose first two
        axes are exchanged in memory."""
        return getattr(self.module, "EXCHANGES", False)

    @cached_property
    def slices(self):
        """For weight gradients: whether threads have little to do where results are few, however long their sums are."""
        return getattr(self.module, "SLICES", False)

    @cached_property
    def packs_views(self):
        """Whether `prepare_once` is quick with weights that lie in any order."""
        return getattr(self.module, "PACKS_VIEWS", False)

    @cached_property
    def prepare(self):
        """Of (problem, weight): what `run` takes as its weight; prepared once in a Plan."""
        return getattr(self.module, "prepare", lambda problem, weight: weight)

    @cached_property
    def prepare_once(self):
        """The same for a single call: a module may leave the weights as they are here, and prepare them piece by piece in `run`."""
        return getattr(self.module, "prepare_once", self.prepare)


def _cpu(name, *bound, **more):
    return Algorithm(name, "cpu", lambda: cpu.load(name), *bound, **more)


def _gpu(name, *bound, **more):
    return Algorithm(name, "gpu", lambda: gpu.load(name), *bound, **more)


def _sum_bound(problem):
    # Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1: K products and K additions; complex
    # products have two real ones each, and a bound on parts is sqrt(2) times one on moduli.
    return (problem.products + 1) / 2 if not problem.dtype.startswith("complex") else 2 * problem.products + 2


def _gpu_gemm_bound(problem):
    tensor_gemm = gpu.load("tensor_gemm")
    return tensor_gemm.error_bound(problem) if tensor_gemm.takes(problem) else _sum_bound(problem)


def _fft_bound(problem):
    return _fft_rounding(problem, cpu.load("fft").points(problem))


def _gpu_fft_bound(problem):
    return _fft_rounding(problem, gpu.load("fft").points(problem))


def _fft_rounding(problem, points):
    # Percival, Rapid multiplication modulo the sum and difference of highly composite numbers, Math. Comp. 72 (2003):
    # (3 (2 + sqrt(5)) log2(points) + sqrt(5)) u, u = eps/2, with sqrt(5) u for a complex product. A sum of
    # C complex products adds sqrt(2) C eps, the bias half an eps.
    return 6.4 * log2(max(points, 2)) + 1.5 * problem.in_channels + 2


def _passes_bound(problem):
    # Each pass is a sum of its own: a product meets the roundings of all of them, one after the other, as Higham's bound
    # counts them; the factors may be off by what is left below the direct sum's bound, at most 8 eps.
    return cpu.load("separable").error_bound(problem)


def _library_bound(problem):
    """Of cuBLAS and cuDNN."""
    # Tensor cores cut off what is below the last bit of the largest product that they add at a time: each addition is off by an
    # eps rather than half of one. TF32 has 10 bits behind the point; factors that are cut off there lose up to 2**-10 each.
    if not gpu.load("products").on_tensor_cores(problem):
        return _sum_bound(problem)
    return problem.products + 1 + (2**14 if problem.allow_tf32 else 0)


def _winograd_bound(problem):
    module = cpu.load("winograd")
    return _winograd_rounding(problem, module.tile_sizes(problem) if module.why_not(problem) is None else ())


def _gpu_winograd_bound(problem):
    module = gpu.load("winograd")
    return _winograd_rounding(problem, 2 * (module.tile_of(problem),) if module.why_not(problem) is None else ())


def _winograd_rounding(problem, axes):
    # The transforms of input and weight and the products of all planes are sums of rounded products: rounding number r of
    # them is at most r u, u = eps/2, times A^T |G g G^T| |B^T x B| A with moduli taken of each matrix's numbers. By
    # Cauchy and Schwarz that is at most |g||x| sum_i |A_i| |G_i| |B_i| for each transformed axis, the norms being those of
    # rows: 3.864, 5.901, 9.185 and 24.61 for tiles of 2, 3, 4 and 6. The transforms' longest chains have 26 roundings, and no two of their
    # coefficients cancel; 40 covers them.
    growth = prod({2: 3.864, 3: 5.901, 4: 9.185, 6: 24.61}[m] for m in axes)
    parts = 2 if problem.dtype.startswith("complex") else 1
    return (parts * problem.products / (3 ** len(axes)) + 40) / 2 * growth * parts


CONV = (
    _cpu("direct", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _cpu("depthwise", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _cpu("dots", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|", spreads_nonfinite=True),
    _cpu("channel_lanes", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _cpu("implicit_gemm", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _cpu("im2col", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _cpu("separable", _passes_bound, "terms", "((kz + ky + C kx + 1)/2 + 8) eps sum|w||x|, (K + 1)/2 if less", weights="the kernel is not an outer product"),
    _cpu("fft", _fft_bound, "norms", "(6.4 log2(points) + 1.5 C + 2) eps sum_c |w_c||x_c|", spreads_nonfinite=True),
    _cpu("winograd", _winograd_bound, "norms", "(C + 40)/2 15 eps sum_c |w_c||x_c| in tiles of 2x2, 35 in 3x3, 84 in 4x4, 25 in tiles of 6", spreads_nonfinite=True),
    Algorithm("reference", "cpu", lambda: importlib.import_module("cyconv.reference"), _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
)


GPU_CONV = (
    _gpu("implicit_gemm", _gpu_gemm_bound, "terms", "(K + 1)/2 eps sum|w||x|; on tensor cores twice that, and 2^13 eps more with TF32"),
    _gpu("im2col", _library_bound, "terms", "(K + 1)/2 eps sum|w||x|; on tensor cores twice that, and 2^14 eps more with TF32", takes_only_if=False),
    _gpu("fft", _gpu_fft_bound, "norms", "(6.4 log2(points) + 1.5 C + 2) eps sum_c |w_c||x_c|", spreads_nonfinite=True),
    _gpu("winograd", _gpu_winograd_bound, "norms", "(C + 40)/2 15 eps sum_c |w_c||x_c| in tiles of 2x2, 84 in 4x4", spreads_nonfinite=True),
    _gpu("cudnn", _library_bound, "terms", "(K + 1)/2 eps sum|w||x|; on tensor cores twice that, and 2^14 eps more with TF32", spreads_nonfinite=True),
    _gpu("depthwise", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
    _gpu("direct", _sum_bound, "terms", "(K + 1)/2 eps sum|w||x|"),
)

CONV_ON = {"cpu": CONV, "gpu": GPU_CONV}


def _pool_bound(problem):
    """Single and half precision are summed in double precision, so that storing the result is all that counts."""
    if problem.kind in ("max", "min"):
        return 0
    # of a p-norm, what is lost in the root and in storing it counts p times when the power is taken back
    rounding = 1 + 2 * abs(problem.norm_type) if problem.kind == "lp" and isfinite(problem.norm_type) else 1
    if problem.dtype in ("float64", "complex128"):
        rounding += (prod(min(k, n) for k, n in zip(problem.kernel, problem.size)) + 1) / 2
    return rounding


def _reference_pooling():
    return importlib.import_module("cyconv.reference").pooling


POOL = (
    _cpu("sliding", _pool_bound, "average", "1 eps mean|x|, in float64 (K + 3)/2 eps mean|x|; maxima are exact"),
    _cpu("pool", _pool_bound, "average", "1 eps mean|x|, in float64 (K + 3)/2 eps mean|x|; maxima are exact"),
    Algorithm("reference", "cpu", _reference_pooling, _pool_bound, "average", "1 eps mean|x|, in float64 (K + 3)/2 eps mean|x|; maxima are exact"),
)


GPU_POOL = (
    _gpu("sliding", _pool_bound, "average", "1 eps mean|x|, in float64 (K + 3)/2 eps mean|x|; maxima are exact"),
    _gpu("pool", _pool_bound, "average", "1 eps mean|x|, in float64 (K + 3)/2 eps mean|x|; maxima are exact"),
)

POOL_ON = {"cpu": POOL, "gpu": GPU_POOL}

"""How parameters begin: where random numbers come from, and how large they are.

Kaiming initialisation (He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015) keeps the variance of what passes through
a layer with slope a on the negative side when its weights are uniform within sqrt(6 / ((1 + a**2) * fan_in)). torch.nn's
layers take a = sqrt(5), which makes that 1 / sqrt(fan_in), for weights and bias alike.
"""

from math import sqrt

import numpy as np

from ..arguments import FLOATS, GPU_ONLY, dtype_name
from ..devices import assign
from ..functional.network import generator_of


def kaiming_bound(fan_in):
    """The bound of uniform weights of which `fan_in` act on one output, for a slope of sqrt(5): 1 / sqrt(fan_in).

    Parameters
    ----------
    fan_in : int
        Products summed for one output.

    Returns
    -------
    float
        0 if there are none.

    Examples
    --------
    >>> from cyconv.nn.initial import kaiming_bound
    >>> kaiming_bound(25)
    0.2
    """
    return 1 / sqrt(fan_in) if fan_in else 0.0


def layer_dtype(dtype):
    """The dtype of a layer's parameters; that of ml_dtypes may also be given by its name."""
    if isinstance(dtype, str) and dtype in GPU_ONLY:
        try:
            import ml_dtypes  # noqa: F401  (from then on NumPy knows the name)
        except ImportError as error:
            raise ImportError(f"dtype={dtype!r} needs the package ml_dtypes: pip install ml_dtypes") from error
    dtype = np.dtype(dtype)
    dtype_name("the layer", dtype, FLOATS, GPU_ONLY)
    return dtype


def fill_uniform(parameters, fan_in, seed):
    """Fills arrays, in this order, with numbers uniform within `kaiming_bound`, the same ones on either device; passes over Nones."""
    rng, bound = generator_of(seed), kaiming_bound(fan_in)
    for parameter in parameters:
        if parameter is not None:
            assign(parameter, rng.uniform(-bound, bound, parameter.shape))

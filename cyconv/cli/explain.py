"""`python -m cyconv explain`: every algorithm's verdict on a convolution of given shapes; no memory is taken for the arrays."""

from dataclasses import replace

import numpy as np

from ..arguments import GPU_ONLY
from ..functional import explain
from ..problem import conv_problem, spatial_rank
from ..select import explained
from . import CommandError


def run(input_shape, weight_shape, dtype, gpu, allow_tf32, **options):
    """The table as text."""
    stored = "float16" if dtype in GPU_ONLY else dtype  # as many bytes, in a dtype that NumPy has

    def stand_in(name, shape):
        try:
            return np.broadcast_to(np.zeros((), stored), shape)
        except ValueError:  # more bytes than an address can count, or more axes than NumPy has
            text = "x".join(map(str, shape))
            raise CommandError(f"{name} {text} is too large: no {dtype} array can have this shape") from None

    if gpu:  # CuPy is not needed for it, nor is a device
        algorithm = options.pop("algorithm")
        weight = stand_in("WEIGHT_SHAPE", weight_shape)
        problem = conv_problem(spatial_rank(weight), stand_in("INPUT_SHAPE", input_shape), weight, None, **options)
        return str(explained(replace(problem, dtype=dtype), algorithm, None, "gpu", allow_tf32))
    if allow_tf32:
        raise CommandError("--allow-tf32 is for --gpu")
    if dtype in GPU_ONLY:
        raise CommandError(f"--dtype {dtype} is for --gpu")
    return str(explain(stand_in("INPUT_SHAPE", input_shape), stand_in("WEIGHT_SHAPE", weight_shape), **options))

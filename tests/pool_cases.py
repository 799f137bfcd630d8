"""What the tests of pools share: arrays, and arguments that are refused."""

import numpy as np


def sample(shape, dtype, seed=0):
    """Small integers with many ties, all values of the dtype's sign; sums of them are exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2 if dtype == "bool" else 7, shape) - (0 if dtype == "bool" or dtype[0] == "u" else 3)
    if dtype.startswith("complex"):
        x = x + 1j * rng.integers(-3, 4, shape)
    return x.astype(dtype)


X = np.ones((1, 2, 5, 5), np.float32)
REJECTED = [  # function, arguments, part of the message
    ("max_pool2d", (X, 0), "kernel_size must be at least 1, got 0"),
    ("max_pool2d", (X, -2), "kernel_size must be at least 1, got -2"),
    ("max_pool2d", (X, (2, 2, 2)), "kernel_size must be an int or a tuple of 2 ints"),
    ("max_pool2d", (X, 2.0), "kernel_size must be an int"),
    ("max_pool2d", (X, None), "kernel_size must be an int"),
    ("max_pool2d", (X, 6), "kernel_size is larger than the padded input"),
    ("max_pool2d", (X, 2, 0), "stride must be at least 1, got 0"),
    ("max_pool2d", (X, 2, -1), "stride must be at least 1, got -1"),
    ("max_pool2d", (X, 2, (1, 2, 3)), "stride must be an int or a tuple of 2 ints"),
    ("max_pool2d", (X, 2, 2, 2), "padding must be at most half the kernel_size; got padding 2"),
    ("max_pool2d", (X, 2, 2, -1), "padding must be at least 0, got -1"),
    ("max_pool2d", (X, 3, 2, 2, 2), "padding must be at most half the kernel_size"),
    ("max_pool2d", (X, 2, 2, 0, 0), "dilation must be at least 1"),
    ("max_pool2d", (X, 3, 1, 0, 3), "kernel_size is larger than the padded input"),
    ("max_pool2d", (X, 2, 2, 0, 1, None), "ceil_mode must be True or False"),
    ("max_pool2d", (X[0, 0], 2), "input of max_pool2d must have shape"),
    ("max_pool2d", (X[None], 2), "input of max_pool2d must have shape"),
    ("max_pool2d", (X[:, :, :0], 2), "no spatial axis shorter than 1"),
    ("max_pool2d", (X.astype(np.complex64), 2), "input has dtype complex64"),
    ("max_pool2d", (X, 2**62), "kernel_size must be below"),
    ("max_pool2d", (X, 2**63 - 1, 1, 2**62 - 1), "kernel_size must be below"),
    ("max_pool1d", (X[0], 2, 1, 2), "padding must be at most half"),
    ("max_pool1d", (X, 2), "input of max_pool1d must have shape"),
    ("max_pool3d", (X[0], 2), "input of max_pool3d must have shape"),
    ("avg_pool2d", (X, 2, 2, 2), "padding must be at most half the kernel_size"),
    ("avg_pool2d", (X, 2, 2, 0, False, True, 0), "divisor_override must be a non-zero int"),
    ("avg_pool2d", (X, 2, 2, 0, False, True, 1.5), "divisor_override must be a non-zero int"),
    ("avg_pool2d", (X, 2, 0), "stride must be at least 1"),
    ("avg_pool2d", (X > 0, 2), "input has dtype bool"),
    ("avg_pool2d", (X, 6), "kernel_size is larger"),
    ("avg_pool1d", (X, 2), "input of avg_pool1d must have shape"),
    ("avg_pool3d", (X[None], 2, 1, 2), "padding must be at most half"),
    ("lp_pool2d", (X, 0, 2), "norm_type must be a real number other than 0"),
    ("lp_pool2d", (X, "2", 2), "norm_type must be a real number other than 0"),
    ("lp_pool2d", (X, 2, 6), "kernel_size is larger"),
    ("lp_pool2d", (X, 2, 2, 0), "stride must be at least 1"),
    ("adaptive_max_pool2d", (X, -1), "output_size must be at least 0"),
    ("adaptive_max_pool2d", (X, (1, 2, 3)), "output_size must be an int, None, or a tuple of 2"),
    ("adaptive_max_pool2d", (X, 1.5), "output_size must be an int, None"),
    ("adaptive_avg_pool2d", (X[:, :, :0], 2), "no spatial axis shorter than 1"),
    ("adaptive_avg_pool1d", (X[0], (1, 2)), "output_size must be an int, None"),
    ("adaptive_avg_pool3d", (X[0], 2), "input of adaptive_avg_pool3d must have shape"),
    ("max_unpool2d", (X, np.zeros(X.shape), 2), "indices has dtype float64"),
    ("max_unpool2d", (X, np.zeros((1, 2, 5, 4), int), 2), "indices must have the input's shape"),
    ("max_unpool2d", (X, np.zeros(X.shape, int), 2, 2, 0, (5, 5)), "output_size must be above 8 and below 12"),
    ("max_unpool2d", (X, np.zeros(X.shape, int), 2, 2, 0, (10,)), "output_size must be None or a sequence of 2 or 4"),
    ("max_unpool2d", (X, np.zeros(X.shape, int), 2, 2, 0, 10), "output_size must be None or a sequence of 2 or 4"),
    ("max_unpool2d", (X, np.zeros(X.shape, int), 2, 1, 5), "which must be positive"),
    ("max_unpool2d", (X, np.full(X.shape, 100), 2), "indices must be at least 0 and below 100"),
]  # fmt: skip
OURS_ALONE = [  # what torch accepts, or does not know
    ("max_pool2d", (X, 2, 2, 0, 1, 1), "ceil_mode must be True or False"),
    ("max_pool1d", (X[0, 0, :, :1], 3, 3, 1, 2, True), "leaves a window that holds no sample"),
    ("max_pool1d", (X[0, 0, :, :2], 2, 1, 1, 3), "leaves a window that holds no sample"),
    ("avg_pool2d", (X.astype(np.uint8), 2, 2, 0, False, True, -1), "divisor_override must be positive"),
    ("lp_pool2d", (X, np.nan, 2), "norm_type must be a real number"),
    ("lp_pool2d", (X, 10**400, 2), "norm_type must be a number that a float can hold"),
    ("lp_pool2d", (X.astype(bool), 2, 2), "input has dtype bool"),
    ("lp_pool2d", (X.astype("complex64"), 2, 2), "input has dtype complex64"),
    ("max_pool1d", (np.broadcast_to(X[0, 0, 0], (1, 2, 5)), 2**61, 1, 2**60), "longer than 2\\*\\*62"),
    ("avg_pool2d", (np.broadcast_to(X[0, 0, 0, 0], (2**29, 2**30, 1, 1)), 2, 1, 1), "an array holds at most"),
    ("max_pool2d", (X, 2, 2, "same"), "padding must be one of 'valid', 'same_upper', 'same_lower'; got 'same'"),
    ("avg_pool2d", (X, 2, 2, "full"), "padding must be one of 'valid', 'same_upper', 'same_lower'; got 'full'"),
    ("max_pool2d", (X, 2, 2, ((0, 2), 0)), "at most half the kernel_size; got padding 2 with kernel_size 2 along spatial axis 0"),
    ("avg_pool2d", (X, 3, 2, (0, (2, 1))), "at most half the kernel_size; got padding 2 with kernel_size 3 along spatial axis 1"),
    ("max_pool2d", (X, 2, 2, ((1, 1, 1), 0)), r"padding must be an int, 2 ints, 2 \(before, after\) pairs"),
    ("max_pool2d", (X, 2, 2, ((0, -1), 0)), "padding must be at least 0, got -1"),
    ("avg_pool2d", (X, 2, 2, None), "padding must be an int, 2 ints"),
    ("avg_pool2d", (X, 2, 2, ((0, 0.5), 0)), "padding must be an int, 2 ints"),
    ("max_pool1d", (X[0], 2, 1, (0, 1)), "padding must be an int, 1 ints"),
    ("max_pool2d", (X, 2, 2, (1, 1, 1)), "padding must be an int, 2 ints"),
    ("max_pool2d", (X, 7, 1, ((0, 1), 3)), "the padded input has 6 .size 5, padding 0 and 1., so that no window fits"),
    ("max_pool2d", (np.ma.masked_array(X), 2), "masked array"),
]

"""The way back: transposed convolution is a convolution's adjoint, and unpooling puts maxima back where they were.

Prints the matrix of a small convolution and that of the transposed one, the two sides of <A x, y> = <x, A' y> for several settings in
one and two dimensions, how a transposed convolution makes a signal longer, and an image after pooling and unpooling.
"""

import numpy as np

import cyconv.functional as F


def matrix(function, n):
    """The matrix of a linear function of n samples: its columns are what it makes of the unit vectors."""
    return np.stack([function(unit[None])[0] for unit in np.eye(n)], axis=1)


w = np.array([[[1.0, 2.0, -1.0]]])
A = matrix(lambda x: F.conv1d(x, w), 6)
B = matrix(lambda y: F.conv_transpose1d(y, w), 4)
print(f"F.conv1d with the kernel {w[0, 0]}, from 6 samples to 4:\n{A}")
print(f"F.conv_transpose1d with the same kernel, from 4 samples to 6:\n{B}")
print(f"One is the other's transpose: {np.array_equal(A.T, B)}\n")

print("A transposed convolution adds up copies of the kernel, scaled by the samples, a stride apart:")
y = np.array([[1.0, 10.0, 0.0, 100.0]])
for stride in (1, 2, 3):
    print(f"  stride {stride}: {F.conv_transpose1d(y, w, stride=stride)[0].astype(int)}")

print("\n<A x, y> and <x, A' y> for random x and y:")
rng = np.random.default_rng(0)
for options in ({}, {"stride": 2}, {"padding": 1}, {"stride": 3, "padding": 2, "dilation": 2}, {"groups": 2}):
    x = rng.standard_normal((1, 4, 20, 23))
    weight = rng.standard_normal((6, 4 // options.get("groups", 1), 3, 4))
    forward = F.conv2d(x, weight, **options)
    y = rng.standard_normal(forward.shape)
    # A stride may leave samples at the end that no window reaches: output_padding adds them again, as zeros.
    back = F.conv_transpose2d(y, weight, **options)
    rest = [n - m for n, m in zip(x.shape[2:], back.shape[2:])]
    back = F.conv_transpose2d(y, weight, output_padding=rest, **options)
    print(f"  {np.vdot(forward, y):12.6f}  {np.vdot(x, back):12.6f}   {', '.join(f'{k} {v}' for k, v in options.items())}")
    assert np.isclose(np.vdot(forward, y), np.vdot(x, back)) and back.shape == x.shape

image = rng.integers(1, 10, (1, 4, 6))
values, indices = F.max_pool2d(image, 2, return_indices=True)
print(f"\nan image:\n{image[0]}\nits maxima in windows of 2 x 2:\n{values[0]}")
print(f"max_unpool2d puts them back in their places, all else is 0:\n{F.max_unpool2d(values, indices, 2)[0]}")
assert (F.max_pool2d(F.max_unpool2d(values, indices, 2), 2) == values).all()

// The problem as convolution kernels get it (layout.py fills it), and what lies beyond borders.
//
//     out[n, g, o, p] = bias[g, o] + sum over c, j of weight[g, o, c, j] * input[n, g, c, p*stride + j*dilation - before]
//
// Axes are (z, y, x). All arrays are told by strides, in elements.
#pragma once

struct Conv {
    long long batch, groups, in_channels, out_channels;
    long long size[3], kernel[3], stride[3], dilation[3], before[3], out_size[3];
    long long mode;
    long long input[6], weight[6], out[6];  // strides
};

enum { ZEROS, REFLECT, REPLICATE, CIRCULAR };

// The sample that stands at `at` of an axis of `size`; -1 for a zero. Padding reaches no farther than each mode allows.
template <typename Integer>
__device__ __forceinline__ Integer sample(Integer at, long long samples, long long mode)
{
    const Integer size = static_cast<Integer>(samples);
    if (at >= 0 && at < size) return at;
    if (mode == REFLECT) return at < 0 ? -at : 2 * (size - 1) - at;
    if (mode == REPLICATE) return at < 0 ? 0 : size - 1;
    if (mode == CIRCULAR) return at < 0 ? at + size : at - size;
    return -1;
}

// A position of (channels of) outputs, told from its number in row-major order.
struct Place {
    long long n, g, z, y, x;
};

__device__ __forceinline__ long long pixels_of(const Conv &p)
{
    return p.out_size[0] * p.out_size[1] * p.out_size[2];
}

__device__ __forceinline__ long long out_offset(const Conv &p, long long n, long long g, long long o, long long z, long long y, long long x)
{
    return n * p.out[0] + g * p.out[1] + o * p.out[2] + z * p.out[3] + y * p.out[4] + x * p.out[5];
}

// The sum as it is written, for every dtype: a thread makes OUTS output channels at one place, so that each sample is loaded once
// for all of them. Neighbouring threads have neighbouring x. Where other algorithms decline, and for few channels.
#include "numbers.cuh"
#include "elements.cuh"
#include "conv.cuh"

template <typename T, int OUTS>
__global__ void direct(
    const Conv p, const T *__restrict__ input, const T *__restrict__ weight, const T *__restrict__ bias, T *out, const int *only_if)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    if (only_if && !*only_if) return;
    const long long pixels = pixels_of(p), parts = (p.out_channels + OUTS - 1) / OUTS;
    const long long total = p.batch * p.groups * parts * pixels;
    const long long step = all_threads();
    for (long long i = thread_number(); i < total; i += step) {
        long long rest = i / pixels, pixel = i - rest * pixels;
        const long long x = pixel % p.out_size[2], y = pixel / p.out_size[2] % p.out_size[1], z = pixel / (p.out_size[2] * p.out_size[1]);
        const long long o = rest % parts * OUTS, g = rest / parts % p.groups, n = rest / (parts * p.groups);
        const T *const first_input = input + n * p.input[0] + g * p.input[1];
        const T *const first_weight = weight + g * p.weight[0] + o * p.weight[1];
        Sum sum[OUTS];
        for (int k = 0; k < OUTS; k++) sum[k] = Sum(0);
        for (long long c = 0; c < p.in_channels; c++)
            for (long long tz = 0; tz < p.kernel[0]; tz++) {
                const long long sz = sample(z * p.stride[0] + tz * p.dilation[0] - p.before[0], p.size[0], p.mode);
                for (long long ty = 0; ty < p.kernel[1]; ty++) {
                    const long long sy = sample(y * p.stride[1] + ty * p.dilation[1] - p.before[1], p.size[1], p.mode);
                    const T *const row = first_input + c * p.input[2] + sz * p.input[3] + sy * p.input[4];
                    const T *const taps = first_weight + c * p.weight[2] + tz * p.weight[3] + ty * p.weight[4];
                    for (long long tx = 0; tx < p.kernel[2]; tx++) {
                        const long long sx = sample(x * p.stride[2] + tx * p.dilation[2] - p.before[2], p.size[2], p.mode);
                        // a zero of the padding is multiplied like any other sample: infinity times it is NaN
                        const Sum value = sz < 0 || sy < 0 || sx < 0 ? Sum(0) : N::load(row[sx * p.input[5]]);
                        for (int k = 0; k < OUTS; k++)
                            if (o + k < p.out_channels) multiply_add(sum[k], value, N::load(taps[k * p.weight[1] + tx * p.weight[5]]));
                    }
                }
            }
        for (int k = 0; k < OUTS; k++)
            if (o + k < p.out_channels) {
                if (bias) sum[k] += N::load(bias[g * p.out_channels + o + k]);
                out[out_offset(p, n, g, o + k, z, y, x)] = N::store(sum[k]);
            }
    }
}

// What p-norms have besides averages on the way back, y being the norm of window o and g what comes to it:
//
//     factors    g * y**(1 - p) of each window, in double precision; spread.cu sums them and multiplies by x**(p - 1)
//     winners    of an infinite p: where the sample stands that has the largest or least absolute value
//     returned   to each sample the sum of g over the windows that it won, in their order, with its sign
//
// A thread makes a number: of a window, whose samples it looks at in row-major order, or of a sample. Neighbours have neighbouring x.
#include "places.cuh"
#include "reach.cuh"

struct Powers {
    Digits<5> outs, samples;  // n, c, z, y, x
    Axis axis[3];
    long long input[5], grad[5], out[5];  // strides
};

template <int N>
__device__ __forceinline__ long long offset(const long long *strides, const Walk<N, long long> &at)
{
    long long sum = 0;
#pragma unroll
    for (int a = 0; a < N; a++) sum += at[a] * strides[a];
    return sum;
}

template <typename T>
__global__ void factors(const Powers p, const double norm, const T *__restrict__ input, const T *__restrict__ grad, double *__restrict__ found)
{
    long long i = thread_number();
    for (Walk<5, long long> at(p.outs); at.more(p.outs); at.next(p.outs), i += all_threads()) {
        const double g = Pooled<T>::term(grad[offset(p.grad, at)]);
        if (norm == 1) {
            found[i] = g;
            continue;
        }
        const Span wz = window(p.axis[0], at[2]), wy = window(p.axis[1], at[3]), wx = window(p.axis[2], at[4]);
        const T *const plane = input + at[0] * p.input[0] + at[1] * p.input[1];
        double sum = 0;
        for (long long z = 0; z < wz.count; z++)
            for (long long y = 0; y < wy.count; y++) {
                const T *const row = plane + (wz.first + z) * p.input[2] + (wy.first + y) * p.input[3] + wx.first * p.input[4];
                for (long long x = 0; x < wx.count; x++) sum += powered(Pooled<T>::term(row[x * p.input[4]]), norm);
            }
        const double held = static_cast<double>(wz.count) * static_cast<double>(wy.count) * static_cast<double>(wx.count);
        const double whole = static_cast<double>(p.axis[0].kernel) * static_cast<double>(p.axis[1].kernel) * static_cast<double>(p.axis[2].kernel);
        if (held != whole) sum *= whole / held;
        const double y = root(sum, norm);
        found[i] = y == 0 ? 0 : g * (norm == 2 ? 1 / y : pow(y, 1 - norm));
    }
}

// The first of several; of NaN, which are extremes, the last. LARGEST, else least.
template <typename T, bool LARGEST>
__global__ void winners(const Powers p, const T *__restrict__ input, long long *__restrict__ found)
{
    using Value = typename Number<T>::Sum;
    long long i = thread_number();
    for (Walk<5, long long> at(p.outs); at.more(p.outs); at.next(p.outs), i += all_threads()) {
        const Span wz = window(p.axis[0], at[2]), wy = window(p.axis[1], at[3]), wx = window(p.axis[2], at[4]);
        const T *const plane = input + at[0] * p.input[0] + at[1] * p.input[1];
        long long winner = -1;
        Value best(0);
        for (long long z = wz.first; z < wz.first + wz.count; z++)
            for (long long y = wy.first; y < wy.first + wy.count; y++)
                for (long long x = wx.first; x < wx.first + wx.count; x++) {
                    const Value value = fabs(Number<T>::load(plane[z * p.input[2] + y * p.input[3] + x * p.input[4]]));
                    if (winner < 0 || (LARGEST ? value > best : value < best) || value != value) best = value, winner = (z * p.axis[1].size + y) * p.axis[2].size + x;
                }
        found[i] = winner;
    }
}

template <typename T>
__global__ void returned(
    const Powers p, const T *__restrict__ input, const T *__restrict__ grad, const long long *__restrict__ won, T *__restrict__ out)
{
    using N = Number<T>;
    for (Walk<5, long long> at(p.samples); at.more(p.samples); at.next(p.samples)) {
        const Reach rz = reach(p.axis[0], at[2]), ry = reach(p.axis[1], at[3]), rx = reach(p.axis[2], at[4]);
        const long long me = (at[2] * p.axis[1].size + at[3]) * p.axis[2].size + at[4];
        const T *const g = grad + at[0] * p.grad[0] + at[1] * p.grad[1];
        const long long *const plane = won + (at[0] * p.samples.size[1] + at[1]) * p.axis[0].out * p.axis[1].out * p.axis[2].out;
        typename N::Sum sum(0);
        for (long long z = rz.low; z < rz.high; z++)
            for (long long y = ry.low; y < ry.high; y++)
                for (long long x = rx.low; x < rx.high; x++)
                    if (plane[(z * p.axis[1].out + y) * p.axis[2].out + x] == me) sum += N::load(g[z * p.grad[2] + y * p.grad[3] + x * p.grad[4]]);
        const T rounded = N::store(sum);
        const typename N::Sum x = N::load(input[offset(p.input, at)]), kept = N::load(rounded);
        const typename N::Sum sign = x > 0 ? typename N::Sum(1) : x < 0 ? typename N::Sum(-1) : x;  // of a NaN that
        out[offset(p.out, at)] = kept == 0 ? rounded : N::store(kept * sign);  // a NaN that lost is no part of it
    }
}

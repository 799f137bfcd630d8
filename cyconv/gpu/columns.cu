// Windows as columns, and columns added up at the places of their windows:
//
//     unfold    columns[n, c*taps + j, o] = image[n, c, o*s + j*d - p], 0 beyond the image
//     fold      image[n, c, i] = sum of columns[n, c*taps + j, o] over the taps j and windows o with o*s + j*d - p == i
//
// Neighbouring threads have neighbouring windows, or samples, so that columns are read and written in whole lines; the image, of which each
// sample is met several times, comes from the caches. unfold: a thread has one window and up to 4 or 8 taps of a row, of 4 channels. fold: a thread has a
// sample, and meets only taps that have a window there: along each axis those of one remainder, every (s / gcd(s, d))-th, whose windows are
// d / gcd(s, d) apart. It adds them up in their order, half types in float32. Any strides.
//
// I holds sizes and coordinates, padding included: int where that will do.
#include "numbers.cuh"
#include "places.cuh"

struct Unfold {
    Digits<8> digits;  // n, CHANNELS of c, jz, jy, TAPS of jx, oz, oy, ox
    long long channels;
    long long size[3], kernel[3], stride[3], dilation[3], pad[3];
    long long image[5], columns[3];  // strides
};

enum { CHANNELS = 4 };

template <typename I> struct Unsigned { using Type = unsigned; };
template <> struct Unsigned<long long> { using Type = unsigned long long; };

template <typename I>
__device__ __forceinline__ bool within(I at, long long size)  // 0 .. size - 1
{
    using U = typename Unsigned<I>::Type;
    return static_cast<U>(at) < static_cast<U>(size);
}

// T: any type of the numbers' size, since they are only moved.
template <typename T, int TAPS, typename I>
__global__ void unfold(const Unfold p, const T *__restrict__ image, T *__restrict__ columns)
{
    const long long next_sample = p.dilation[2] * p.image[4], rows = p.kernel[0] * p.kernel[1] * p.kernel[2];
    for (Walk<8, I> at(p.digits); at.more(p.digits); at.next(p.digits)) {
        const I tap = at[4] * TAPS, taps = static_cast<I>(p.kernel[2]) - tap;
        const I z = at[5] * static_cast<I>(p.stride[0]) + at[2] * static_cast<I>(p.dilation[0]) - static_cast<I>(p.pad[0]);
        const I y = at[6] * static_cast<I>(p.stride[1]) + at[3] * static_cast<I>(p.dilation[1]) - static_cast<I>(p.pad[1]);
        const I x = at[7] * static_cast<I>(p.stride[2]) + tap * static_cast<I>(p.dilation[2]) - static_cast<I>(p.pad[2]);
        const I row = (at[2] * static_cast<I>(p.kernel[1]) + at[3]) * static_cast<I>(p.kernel[2]) + tap;
        const I column = (at[5] * static_cast<I>(p.digits.size[6]) + at[6]) * static_cast<I>(p.digits.size[7]) + at[7];
        const bool inside = within(z, p.size[0]) && within(y, p.size[1]);
        bool there[TAPS];
#pragma unroll
        for (int j = 0; j < TAPS; j++) there[j] = inside && j < taps && within(x + j * static_cast<I>(p.dilation[2]), p.size[2]);
        const I channel = at[1] * CHANNELS, more = min(static_cast<I>(p.channels) - channel, static_cast<I>(CHANNELS));
        const T *from = image + at[0] * p.image[0] + channel * p.image[1] + z * p.image[2] + y * p.image[3] + x * p.image[4];
        T *to = columns + at[0] * p.columns[0] + (channel * rows + row) * p.columns[1] + column * p.columns[2];
        for (int c = 0; c < more; c++, from += p.image[1], to += rows * p.columns[1]) {
            T value[TAPS];
#pragma unroll
            for (int j = 0; j < TAPS; j++) value[j] = there[j] ? from[j * next_sample] : T(0);
#pragma unroll
            for (int j = 0; j < TAPS; j++)
                if (j < taps) to[j * p.columns[1]] = value[j];
        }
    }
}

struct Line {  // an axis of fold
    long long kernel, count, stride, dilation, pad;
    long long common;          // gcd(stride, dilation)
    long long tap_step, step;  // taps that meet a sample are tap_step apart, their windows step
    long long inverse;         // of step modulo tap_step
};

struct Fold {
    Digits<5> digits;  // n, c, z, y, x
    Line line[3];
    long long columns[3], image[5];  // strides
};

template <typename I>
struct Met {  // a tap and its window at a sample
    I tap, window;
    __device__ __forceinline__ bool more(const Line &l) const { return tap < static_cast<I>(l.kernel) && window >= 0; }
    __device__ __forceinline__ void next(const Line &l)
    {
        tap += static_cast<I>(l.tap_step);
        window -= static_cast<I>(l.step);
    }
};

// The first of them, if there is more() than none.
template <typename I>
__device__ __forceinline__ Met<I> first_met(const Line &l, I i)
{
    const long long at = i + l.pad;
    const Met<I> none{static_cast<I>(l.kernel), -1};
    long long tap = 0, window = at;
    if (l.stride > 1) {
        long long rest = at;
        if (l.common > 1) {
            rest = at / l.common;
            if (rest * l.common != at) return none;
        }
        if (l.tap_step > 1 && l.tap_step >> 31 == 0)
            tap = rest % l.tap_step * l.inverse % l.tap_step;
        else if (l.tap_step > 1)  // whose products 64 bits may not hold
            while (tap < l.kernel && (at - tap * l.dilation) % l.stride) tap++;
        if (tap >= l.kernel || tap * l.dilation > at) return none;
        window = (at - tap * l.dilation) / l.stride;
    }
    if (window >= l.count) {
        const long long skipped = l.step == 1 ? window - l.count + 1 : (window - l.count) / l.step + 1;
        tap += skipped * l.tap_step;
        window -= skipped * l.step;
        if (tap >= l.kernel || window < 0) return none;
    }
    return Met<I>{static_cast<I>(tap), static_cast<I>(window)};
}

enum { AHEAD = 4 };  // numbers that are on their way together

template <typename T, typename I>
__global__ void fold(const Fold p, const T *__restrict__ columns, T *__restrict__ image)
{
    using N = Number<T>;
    const Line &lz = p.line[0], &ly = p.line[1], &lx = p.line[2];
    const long long taps = lz.kernel * ly.kernel * lx.kernel, next = lx.tap_step * p.columns[1] - lx.step * p.columns[2];
    for (Walk<5, I> at(p.digits); at.more(p.digits); at.next(p.digits)) {
        const Met<I> first_y = first_met(ly, at[3]), first_x = first_met(lx, at[4]);
        const T *const channel = columns + at[0] * p.columns[0] + at[1] * taps * p.columns[1];
        typename N::Sum sum(0);
        for (Met<I> z = first_met(lz, at[2]); z.more(lz); z.next(lz))
            for (Met<I> y = first_y; y.more(ly); y.next(ly)) {
                const I row = (z.tap * static_cast<I>(ly.kernel) + y.tap) * static_cast<I>(lx.kernel) + first_x.tap;
                const I column = (z.window * static_cast<I>(ly.count) + y.window) * static_cast<I>(lx.count) + first_x.window;
                const T *from = channel + row * p.columns[1] + column * p.columns[2];
                for (Met<I> x = first_x; x.more(lx);) {
                    T value[AHEAD];
                    bool met[AHEAD];
#pragma unroll
                    for (int k = 0; k < AHEAD; k++, x.next(lx), from += next) {
                        met[k] = x.more(lx);
                        if (met[k]) value[k] = *from;
                    }
#pragma unroll
                    for (int k = 0; k < AHEAD; k++)
                        if (met[k]) sum += N::load(value[k]);
                }
            }
        image[at[0] * p.image[0] + at[1] * p.image[1] + at[2] * p.image[2] + at[3] * p.image[3] + at[4] * p.image[4]] = N::store(sum);
    }
}

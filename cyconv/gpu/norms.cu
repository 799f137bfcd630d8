// Batch normalisation of (batch, channels, positions), contiguous: its sums over each channel, and what is made with them.
//
//     forward    mean and variance of x; y = (x - mean) * scale + bias, scale = weight / sqrt(variance + eps)
//     backward   sums of g and g * (x - mean); the gradient is g * scale + (x - mean) * slope + constant
//
// Sums are cut into pieces, a block each, so that few channels keep a whole device busy, and finished by a warp for each channel. A
// block holds CHUNK numbers in registers, and sums those in the precision that they are computed in; chunks and pieces are added up in
// double precision, always in one order. Deviations are those from the chunk's own mean, and two parts with different means are put
// together as Chan, Golub and LeVeque have it ("Algorithms for computing the sample variance", 1983): one pass over x, and no digit is
// lost however far the mean is from 0. What goes over all elements afterwards has a few operations for
// each, so that memory should be its bound; it loads 16 bytes at once.
#include "numbers.cuh"
#include "groups.cuh"
#include "elements.cuh"

constexpr int THREADS = 256;
constexpr int EACH = 16;  // numbers of a thread
constexpr int CHUNK = THREADS * EACH;

struct Norm {
    long long batch, channels, positions, pieces;  // pieces: of each channel's sums
};

// Goes to numbers t, t + THREADS, ... of a channel: the offsets of these in x.
struct Walk {
    long long row, at, offset, rows, step;

    __device__ Walk(const Norm &p, long long channel, long long first)
    {
        row = first / p.positions;
        at = first - row * p.positions;
        offset = (row * p.channels + channel) * p.positions + at;
        rows = THREADS / p.positions;
        step = THREADS - rows * p.positions;
    }

    __device__ void next(const Norm &p)
    {
        at += step;
        const bool over = at >= p.positions;
        if (over) at -= p.positions;
        offset += rows * p.channels * p.positions + step + (over ? (p.channels - 1) * p.positions : 0);
    }
};

// How many numbers there are, their mean, and their squared deviations from it, summed.
struct Spread {
    double count, mean, squares;

    __device__ void add(const Spread &b)
    {
        if (b.count == 0) return;
        const double all = count + b.count, apart = b.mean - mean;
        mean += apart * (b.count / all);
        squares += b.squares + apart * apart * (count * (b.count / all));
        count = all;
    }
};

// found: (3, channels, pieces)
template <typename T>
__global__ void __launch_bounds__(THREADS) statistics(const Norm p, const T *__restrict__ x, double *__restrict__ found)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const long long numbers = p.batch * p.positions, parts = p.channels * p.pieces;
    for (long long part = blockIdx.x; part < parts; part += gridDim.x) {
        const long long c = part / p.pieces;
        Spread all = {0, 0, 0};
        for (long long first = part % p.pieces * CHUNK; first < numbers; first += p.pieces * CHUNK) {
            const long long here = min(numbers - first, static_cast<long long>(CHUNK));
            const int mine = here > threadIdx.x ? static_cast<int>((here - threadIdx.x + THREADS - 1) / THREADS) : 0;
            Walk walk(p, c, first + threadIdx.x);
            S value[EACH], sum = 0;
#pragma unroll
            for (int k = 0; k < EACH; k++) {
                value[k] = k < mine ? N::load(x[walk.offset]) : S(0);
                sum += value[k];
                walk.next(p);
            }
            const S middle = together<Sum, THREADS>(sum) / static_cast<S>(here);
            S once = 0, twice = 0;
#pragma unroll
            for (int k = 0; k < EACH; k++)
                if (k < mine) {
                    const S d = value[k] - middle;
                    once += d;
                    twice += d * d;
                }
            const double rest = together<Sum, THREADS>(once), count = static_cast<double>(here);
            const double squares = together<Sum, THREADS>(twice) - rest * (rest / count);
            all.add({count, middle + rest / count, squares});
        }
        if (threadIdx.x == 0) {
            found[part] = all.count;
            found[parts + part] = all.mean;
            found[2 * parts + part] = all.squares;
        }
    }
}

// Mean and variance of each channel, and by how much elements are moved and multiplied. Without `found` they are the running ones;
// with both these are moved towards those found, the variance as the unbiased estimate. factors: (middle, scale, shift), each for
// all channels; the middle is the mean in the precision of x, so that deviations from it are exact.
template <typename T, typename R>
__global__ void finish_statistics(
    const Norm p, const double *found, R *running_mean, R *running_var, double momentum, const long long *batches, const T *weight,
    const T *bias, double eps, double *mean, double *inverse, typename Number<T>::Sum *factors)
{
    using S = typename Number<T>::Sum;
    const long long parts = p.channels * p.pieces;
    const int lane = threadIdx.x;  // of one warp
    for (long long c = blockIdx.x; c < p.channels; c += gridDim.x) {
        double m, v;
        if (found) {
            Spread all = {0, 0, 0};
            for (long long piece = lane; piece < p.pieces; piece += 32) {
                const double *const part = found + c * p.pieces + piece;
                all.add({part[0], part[parts], part[2 * parts]});
            }
            for (int by = 16; by; by /= 2) {  // of what the lower half has, and the upper half
                Spread other = {
                    __shfl_down_sync(0xffffffffu, all.count, by), __shfl_down_sync(0xffffffffu, all.mean, by),
                    __shfl_down_sync(0xffffffffu, all.squares, by)};
                if (lane < by) all.add(other);
            }
            m = all.mean, v = all.squares / all.count;
            v = v < 0 ? 0 : v;  // and a NaN is left
            if (running_mean && lane == 0) {
                const double part = batches ? 1.0 / static_cast<double>(*batches) : momentum;
                const double old_mean = Number<R>::load(running_mean[c]), old_var = Number<R>::load(running_var[c]);
                const double unbiased = v * (all.count / (all.count - 1));
                running_mean[c] = Number<R>::store(old_mean + part * (m - old_mean));
                running_var[c] = Number<R>::store(old_var + part * (unbiased - old_var));
            }
        } else {
            m = Number<R>::load(running_mean[c]), v = Number<R>::load(running_var[c]);
        }
        if (lane == 0) {
            const double one = 1 / sqrt(v + eps), scale = weight ? one * Number<T>::load(weight[c]) : one;
            const S middle = static_cast<S>(m);
            mean[c] = m;
            inverse[c] = one;
            factors[c] = middle;
            factors[p.channels + c] = static_cast<S>(scale);
            factors[2 * p.channels + c] = static_cast<S>((middle - m) * scale + (bias ? static_cast<double>(Number<T>::load(bias[c])) : 0));
        }
    }
}

// found: (2, channels, pieces), sums of g and of g * (x - middle)
template <typename T>
__global__ void __launch_bounds__(THREADS)
    products(const Norm p, const T *__restrict__ g, const T *__restrict__ x, const double *__restrict__ mean, double *__restrict__ found)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const long long numbers = p.batch * p.positions, parts = p.channels * p.pieces;
    for (long long part = blockIdx.x; part < parts; part += gridDim.x) {
        const long long c = part / p.pieces;
        const S middle = static_cast<S>(mean[c]);
        double all_once = 0, all_twice = 0;
        for (long long first = part % p.pieces * CHUNK; first < numbers; first += p.pieces * CHUNK) {
            const long long here = min(numbers - first, static_cast<long long>(CHUNK));
            const int mine = here > threadIdx.x ? static_cast<int>((here - threadIdx.x + THREADS - 1) / THREADS) : 0;
            Walk walk(p, c, first + threadIdx.x);
            S once = 0, twice = 0;
#pragma unroll
            for (int k = 0; k < EACH; k++) {
                if (k < mine) {
                    const S slope = N::load(g[walk.offset]);
                    once += slope;
                    twice += slope * (N::load(x[walk.offset]) - middle);
                }
                walk.next(p);
            }
            all_once += together<Sum, THREADS>(once);
            all_twice += together<Sum, THREADS>(twice);
        }
        if (threadIdx.x == 0) {
            found[part] = all_once;
            found[parts + part] = all_twice;
        }
    }
}

// The gradients of weight and bias, and factors: (middle, scale, constant, slope). Not own: mean and variance were given, so that
// only g is multiplied.
template <typename T>
__global__ void finish_products(
    const Norm p, const double *found, const double *mean, const double *inverse, const T *weight, long long own, T *weight_gradient,
    T *bias_gradient, typename Number<T>::Sum *factors)
{
    using S = typename Number<T>::Sum;
    const long long parts = p.channels * p.pieces;
    for (long long c = blockIdx.x; c < p.channels; c += gridDim.x) {
        double once = 0, twice = 0;
        for (long long piece = threadIdx.x; piece < p.pieces; piece += 32) {
            once += found[c * p.pieces + piece];
            twice += found[parts + c * p.pieces + piece];
        }
        once = together<Sum, 32>(once);
        twice = together<Sum, 32>(twice);
        if (threadIdx.x == 0) {
            const double middle = static_cast<S>(mean[c]), one = inverse[c], count = static_cast<double>(p.batch * p.positions);
            const double product = (twice - (mean[c] - middle) * once) * one;
            const double scale = weight ? one * Number<T>::load(weight[c]) : one, slope = -product * one * scale / count;
            weight_gradient[c] = Number<T>::store(static_cast<S>(product));
            bias_gradient[c] = Number<T>::store(static_cast<S>(once));
            factors[c] = own ? static_cast<S>(middle) : S(0);
            factors[p.channels + c] = static_cast<S>(scale);
            factors[2 * p.channels + c] = own ? static_cast<S>((middle - mean[c]) * slope - once * scale / count) : S(0);
            factors[3 * p.channels + c] = static_cast<S>(slope);
        }
    }
}

// out = (x - middle) * scale + shift, or with g, g * scale + (x - middle) * slope + shift; factors as above
template <typename T, int WIDE, bool WITH_G>
__global__ void __launch_bounds__(THREADS) scaled(
    const Norm p, const T *__restrict__ g, const T *__restrict__ x, const typename Number<T>::Sum *__restrict__ factors, T *__restrict__ out)
{
    using N = Number<T>;
    using S = typename N::Sum;
    using Load = Wide<T, WIDE>;
    const long long row = p.positions / WIDE, total = p.batch * p.channels * row, step = all_threads();
    const long long columns = step % row, channels = step / row % p.channels;
    long long i = thread_number(), at = i % row, c = i / row % p.channels;
    for (; i < total; i += step) {
        const S middle = factors[c], scale = factors[p.channels + c], shift = factors[2 * p.channels + c];
        const S slope = WITH_G ? factors[3 * p.channels + c] : S(0);
        const Load value = reinterpret_cast<const Load *>(x)[i];
        Load other = value, result;
        if (WITH_G) other = reinterpret_cast<const Load *>(g)[i];
#pragma unroll
        for (int k = 0; k < WIDE; k++) {
            const S d = N::load(value.at[k]) - middle;
            result.at[k] = N::store(WITH_G ? N::load(other.at[k]) * scale + d * slope + shift : d * scale + shift);
        }
        reinterpret_cast<Load *>(out)[i] = result;
        at += columns;  // without a division in each turn
        c += channels;
        if (at >= row) at -= row, c++;
        if (c >= p.channels) c -= p.channels;
    }
}

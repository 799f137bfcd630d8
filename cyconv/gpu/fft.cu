// FFT convolution by overlap-save, what stands around the transforms (fft.py has the formula, transforms.py the transforms):
//
//     gather          tiles of the padded input, each becomes a spectrum
//     compare_sizes   whether single precision holds what is small in a tile beside what is large
//     place           the taps of a kernel at -tap modulo the tile, so that a product of spectra is a correlation
//     multiply        spectra, summed over channels
//     scatter         the outputs of a tile, every one of which comes from one tile alone, with the bias
//
// Tiles lie side by side, [unit][group][channel], a unit being a tile's place in an item of the batch; they are read and written by
// the numbers that the transforms are computed in. All but `multiply` do an operation or two for each, so that memory should be their bound (tiles.cuh).
#include "numbers.cuh"
#include "conv.cuh"
#include "tiles.cuh"

__device__ __forceinline__ float scaled(float x, double by) { return x * static_cast<float>(by); }
__device__ __forceinline__ double scaled(double x, double by) { return x * by; }
template <typename R>
__device__ __forceinline__ Complex<R> scaled(Complex<R> x, double by)
{
    return Complex<R>(scaled(x.re, by), scaled(x.im, by));
}

template <typename T>
__global__ void __launch_bounds__(THREADS) gather(const Tiles t, const T *__restrict__ input, typename Number<T>::Sum *tiles, int *nonfinite)
{
    using Sum = typename Number<T>::Sum;
    bool spoiled = false;
    visit(t, [&](long long plane, long long, long long offset, const long long *at, int z, int y, int x) {
        const long long position[3] = {at[0] + z, at[1] + y, at[2] + x};
        bool zero = false;
#pragma unroll
        for (int a = 0; a < 3; a++) {
            const long long from = position[a] < t.end[a] ? sample(position[a] - t.before[a], t.size[a], t.mode) : -1;
            zero |= from < 0;
            offset += from * t.array[3 + a];
        }
        const Sum value = zero ? Sum(0) : Number<T>::load(input[offset]);
        spoiled |= !is_finite(value);
        tiles[plane * t.whole + z * t.step[0] + y * t.step[1] + x * t.step[2]] = value;
    });
    if (nonfinite && spoiled) *nonfinite = 1;
}

// `before` is here the dilation, `size` the kernel; a unit is a group, and its groups are output channels. What the transforms there
// and back multiply by, the points of a tile, is taken away.
template <typename T>
__global__ void __launch_bounds__(THREADS) place(const Tiles t, const T *__restrict__ weight, typename Number<T>::Sum *tiles, int *nonfinite)
{
    using Sum = typename Number<T>::Sum;
    const double scale = 1.0 / (t.box[0] * t.box[1] * t.box[2]);
    bool spoiled = false;
    visit(t, [&](long long plane, long long, long long offset, const long long *, int z, int y, int x) {
        const int position[3] = {z, y, x};
        bool zero = false;
#pragma unroll
        for (int a = 0; a < 3; a++) {
            const int back = position[a] ? static_cast<int>(t.box[a]) - position[a] : 0, apart = t.before[a], tap = back / apart;
            zero |= tap * apart != back || tap >= t.size[a];
            offset += tap * t.array[3 + a];
        }
        Sum value = Sum(0);
        if (!zero) {
            const Sum taken = Number<T>::load(weight[offset]);
            spoiled |= !is_finite(taken);
            value = scaled(taken, scale);
        }
        tiles[plane * t.whole + z * t.step[0] + y * t.step[1] + x * t.step[2]] = value;
    });
    if (nonfinite && spoiled) *nonfinite = 1;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
scatter(const Tiles t, const typename Number<T>::Sum *tiles, const T *__restrict__ bias, T *out, int *nonfinite)
{
    using Sum = typename Number<T>::Sum;
    bool spoiled = false;
    visit(t, [&](long long plane, long long channel, long long offset, const long long *at, int z, int y, int x) {
        const long long position[3] = {at[0] + z, at[1] + y, at[2] + x};
        if (position[0] >= t.end[0] || position[1] >= t.end[1] || position[2] >= t.end[2]) return;
        Sum sum = tiles[plane * t.whole + z * t.step[0] + y * t.step[1] + x * t.step[2]];
        if (bias) sum += Number<T>::load(bias[t.group * t.channels + channel]);
        spoiled |= !is_finite(sum);  // a half that only overflows when it is stored does so in any sum
        out[offset + position[0] * t.array[3] + position[1] * t.array[4] + position[2] * t.array[5]] = Number<T>::store(sum);
    });
    if (nonfinite && spoiled) *nonfinite = 1;
}

// How `compare_sizes` cuts tiles into cells; fft.py fills it. A cell is `high` rows of every 32nd sample of `wide` lines of 32, of one or four neighbours.
struct Cells {
    long long planes, whole;       // tiles, and numbers from one to the next
    long long slabs, rows, columns;
    long long slab, row;           // numbers from one to the next
    long long high, wide, neighbours;
    long long strips, each, warps; // cells of a warp's lanes side by side, of a plane; those that a warp looks at; warps of a plane
};

enum : unsigned { INFINITE = 0x7f800000, NORMAL = 0x00800000, HELD = 14u << 23 };  // what is 2**14 times smaller has about two decimal digits left

// Sets `noted` to 1 if in a tile of single precision the largest sample of a cell is 2**14 times smaller than that of another: a transform
// rounds all of a tile by the same amount. Cells fit into every window; those with zeros or subnormal numbers do not count
// (cpu/fft_range.pxd says why). Sizes are compared as the integers that their bits are. Where several warps look at a tile, `seen`, zeros
// at first, has the largest size of each, and the smallest with its bits turned, so that both grow: who comes last sees those of all.
template <int PARTS>
__global__ void __launch_bounds__(THREADS) compare_sizes(const Cells p, const unsigned *__restrict__ tiles, unsigned *seen, int *noted)
{
    const long long warp = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) / 32, plane = warp / p.warps;
    if (plane >= p.planes) return;  // all of the warp
    const unsigned lane = threadIdx.x % 32;
    const long long first = (warp - plane * p.warps) * p.each, last = min(first + p.each, p.strips);
    const long long across = (p.columns + 32 * p.wide - 1) / (32 * p.wide), down = p.rows / p.high;
    unsigned large = 0, turned = 0;
    for (long long strip = first; strip < last; strip++) {
        const long long column = strip % across * (32 * p.wide) + lane, rest = strip / across;
        const long long at = plane * p.whole + rest / down * p.slab + rest % down * p.high * p.row + column;
        unsigned most = 0, least = column + 32 * (p.wide - 1) < p.columns ? INFINITE : 0u;
        for (long long y = 0; y < (least ? p.high : 0); y++)
            for (long long x = 0; x < p.wide; x++) {
                const unsigned *const from = tiles + (at + y * p.row + x * 32) * PARTS;
                unsigned size = from[0] & 0x7fffffffu;
                if (PARTS == 2) size = max(size, from[PARTS - 1] & 0x7fffffffu);
                most = max(most, size);
                least = min(least, size);
            }
        for (int by = 1; by < p.neighbours; by *= 2) {
            most = max(most, __shfl_xor_sync(0xffffffffu, most, by));
            least = min(least, __shfl_xor_sync(0xffffffffu, least, by));
        }
        large = max(large, most);
        if (least >= NORMAL) turned = max(turned, ~most);
    }
    for (int by = 16; by; by /= 2) {
        large = max(large, __shfl_xor_sync(0xffffffffu, large, by));
        turned = max(turned, __shfl_xor_sync(0xffffffffu, turned, by));
    }
    if (lane) return;
    if (seen) {
        atomicMax(&seen[2 * plane], large);
        atomicMax(&seen[2 * plane + 1], turned);
        __threadfence();
        large = atomicMax(&seen[2 * plane], 0u);
        turned = atomicMax(&seen[2 * plane + 1], 0u);
    }
    if (turned && large > ~turned + HELD) *noted = 1;
}

struct Product {
    long long units, groups, channels, out_channels, frequencies;
    long long lanes;  // threads of a column of a block that have different output channels, and the same units
};

enum { LANES = 32, ROWS = 8 };  // of a block of `multiply`

// out[u, g, o, f] = sum over c of input[u, g, c, f] * weight[g, o, c, f], as a product of matrices for every frequency f: a thread makes
// UNITS x OUTS of them, so that each spectrum that it loads is used several times; others in the block find it in the cache.
// Without channels to sum over, `out` may be `input`.
template <typename R, int UNITS, int OUTS>
__global__ void __launch_bounds__(LANES *ROWS) multiply(const Product p, const Complex<R> *input, const Complex<R> *weight, Complex<R> *out)
{
    const unsigned columns = (p.frequencies + LANES - 1) / LANES, lanes = p.lanes, groups = p.groups;
    const unsigned outs = (p.out_channels + OUTS * lanes - 1) / (OUTS * lanes);
    unsigned rest = blockIdx.x;  // as all of these are below 2**31, so are their numbers
    const long long f = rest % columns * LANES + threadIdx.x;
    rest /= columns;
    const long long o = (rest % outs * lanes + threadIdx.y % lanes) * OUTS;
    rest /= outs;
    const long long g = rest % groups;
    const long long u = (rest / groups * (ROWS / lanes) + threadIdx.y / lanes) * UNITS;
    if (f >= p.frequencies || o >= p.out_channels || u >= p.units) return;
    const Complex<R> *from[UNITS], *by[OUTS];  // beyond the last ones, the last ones once more
#pragma unroll
    for (int i = 0; i < UNITS; i++) from[i] = input + (min(u + i, p.units - 1) * p.groups + g) * p.channels * p.frequencies + f;
#pragma unroll
    for (int k = 0; k < OUTS; k++) by[k] = weight + (g * p.out_channels + min(o + k, p.out_channels - 1)) * p.channels * p.frequencies + f;
    Complex<R> sum[UNITS][OUTS];
#pragma unroll
    for (int i = 0; i < UNITS; i++)
#pragma unroll
        for (int k = 0; k < OUTS; k++) sum[i][k] = Complex<R>(0);
    for (long long c = 0; c < p.channels; c++) {
        Complex<R> a[UNITS], b[OUTS];
#pragma unroll
        for (int i = 0; i < UNITS; i++) a[i] = *from[i], from[i] += p.frequencies;
#pragma unroll
        for (int k = 0; k < OUTS; k++) b[k] = *by[k], by[k] += p.frequencies;
#pragma unroll
        for (int i = 0; i < UNITS; i++)
#pragma unroll
            for (int k = 0; k < OUTS; k++) multiply_add(sum[i][k], a[i], b[k]);
    }
#pragma unroll
    for (int i = 0; i < UNITS; i++)
#pragma unroll
        for (int k = 0; k < OUTS; k++)
            if (u + i < p.units && o + k < p.out_channels)
                out[((u + i) * p.groups + g) * p.out_channels * p.frequencies + (o + k) * p.frequencies + f] = sum[i][k];
}

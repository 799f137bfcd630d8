// Winograd's transforms of 3x3 kernels in tiles of M x M outputs (winograd.py has the formula):
//
//     transformed_input    V[frequency][plane][tile] = B^T x B of each tile of each plane
//     transformed_weight   U[frequency][group][out channel][plane] = G g G^T
//     output               the result: A^T (products of all frequencies) A, with the bias
//
// A plane is a group's channel under one tap in depth; tiles are numbered through rows, planes of outputs, and items. A warp has 32 tiles
// that follow each other, a thread a whole tile of one plane at a time, in registers: V and the products are read and written 32 neighbours
// at a time. The samples of a tile lie M apart from the next thread's, but all of them are asked for at once, and found in the nearest
// cache. Outputs turn through shared memory, so that neighbouring threads write neighbouring columns. A few
// operations for each number that is moved: memory should be the bound.
//
// The matrices, and why just these: cpu/winograd.pyx and cpu/winograd_transforms.pxd; their numbers are floats, so that B and A are exact.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
#include "numbers.cuh"
#include "conv.cuh"

// The tiles of one pass; winograd.py fills it.
struct Pass {
    long long first, tiles;     // the first tile, and how many the problem has
    long long pitch;            // tiles of the pass, a multiple of 32; those behind the last are zeros
    long long high, wide;       // tiles along y and x
    long long planes;           // of a group
    long long each;             // planes or output channels of a thread
};

enum { THREADS = 128 };  // winograd.py has the same

// ---- one axis --------------------------------------------------------------------------------------------------------------

template <int M> struct Axis;

template <> struct Axis<2> {  // points 0, 1, -1, infinity
    template <typename S> static __device__ __forceinline__ void input(const S (&d)[4], S (&y)[4])
    {
        y[0] = d[2] - d[0];
        y[1] = d[1] + d[2];
        y[2] = d[2] - d[1];
        y[3] = d[3] - d[1];
    }
    template <typename S> static __device__ __forceinline__ void weight(const S (&g)[3], S (&y)[4])
    {
        const S s = S(0.5) * (g[0] + g[2]), t = S(0.5) * g[1];
        y[0] = -g[0];
        y[1] = s + t;
        y[2] = s - t;
        y[3] = g[2];
    }
    template <typename S> static __device__ __forceinline__ void output(const S (&x)[4], S (&y)[2])
    {
        y[0] = x[0] + (x[1] + x[2]);
        y[1] = (x[1] - x[2]) + x[3];
    }
};

template <> struct Axis<4> {  // points 0, P, -P, Q, -Q, infinity
    static constexpr double P = 21.0 / 32, Q = 49.0 / 32, PP = P * P, QQ = Q * Q;

    template <typename S> static __device__ __forceinline__ void input(const S (&d)[6], S (&y)[6])
    {
        y[0] = (d[4] - S(PP + QQ) * d[2]) + S(PP * QQ) * d[0];
        const S a = d[4] - S(QQ) * d[2], b = S(P) * (d[3] - S(QQ) * d[1]);
        y[1] = a + b;
        y[2] = a - b;
        const S c = d[4] - S(PP) * d[2], e = S(Q) * (d[3] - S(PP) * d[1]);
        y[3] = c + e;
        y[4] = c - e;
        y[5] = (d[5] - S(PP + QQ) * d[3]) + S(PP * QQ) * d[1];
    }
    template <typename S> static __device__ __forceinline__ void weight(const S (&g)[3], S (&y)[6])
    {
        constexpr double AT_P = 0.5 / (PP * (PP - QQ)), AT_Q = 0.5 / (QQ * (QQ - PP));
        const S a = g[0] + S(PP) * g[2], b = S(P) * g[1], c = g[0] + S(QQ) * g[2], e = S(Q) * g[1];
        y[0] = S(1 / (PP * QQ)) * g[0];
        y[1] = S(AT_P) * (a + b);
        y[2] = S(AT_P) * (a - b);
        y[3] = S(AT_Q) * (c + e);
        y[4] = S(AT_Q) * (c - e);
        y[5] = g[2];
    }
    template <typename S> static __device__ __forceinline__ void output(const S (&x)[6], S (&y)[4])
    {
        const S a = x[1] + x[2], b = x[1] - x[2], c = x[3] + x[4], e = x[3] - x[4];
        y[0] = (x[0] + a) + c;
        y[1] = S(P) * b + S(Q) * e;
        y[2] = S(PP) * a + S(QQ) * c;
        y[3] = (x[5] + S(P * PP) * b) + S(Q * QQ) * e;
    }
};

// A thread's own number that each plane needs: as it comes, the compiler keeps it; a formula it would work out again and again.
__device__ __forceinline__ long long kept(long long value)
{
    return __shfl_sync(0xffffffffu, value, static_cast<int>(threadIdx.x % 32));
}

// ---- where a tile lies -----------------------------------------------------------------------------------------------------

struct Tile {
    long long n;
    int z, y, x;  // its first output
    bool exists;
};

template <int M> __device__ __forceinline__ Tile tile_of(const Conv &p, const Pass &pass, long long local)
{
    const unsigned wide = static_cast<unsigned>(pass.wide), high = static_cast<unsigned>(pass.high);
    const long long number = pass.first + local, of_item = p.out_size[0] * pass.high * pass.wide;
    Tile tile;
    tile.n = number / of_item;
    const unsigned rest = static_cast<unsigned>(number - tile.n * of_item), lines = rest / wide, z = lines / high;  // below 2**31
    tile.z = z;
    tile.y = (lines - z * high) * M;
    tile.x = (rest - lines * wide) * M;
    tile.exists = number < pass.tiles;
    return tile;
}

__device__ __forceinline__ unsigned blocks_across(const Pass &pass)
{
    return static_cast<unsigned>((pass.pitch + THREADS - 1) / THREADS);
}

template <typename S, int M> struct alignas(M * sizeof(S) < 16 ? M * sizeof(S) : 16) Row {  // of a tile's outputs
    S value[M];
};

// ---- kernels ---------------------------------------------------------------------------------------------------------------

template <typename T, int M>
__global__ void __launch_bounds__(THREADS) transformed_input(const Conv p, const Pass pass, const T *__restrict__ input, typename Number<T>::Sum *v)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    constexpr int POINTS = M + 2;
    const unsigned across = blocks_across(pass), slice = blockIdx.x / across;
    const long long local = static_cast<long long>(blockIdx.x - slice * across) * THREADS + threadIdx.x;
    if (local >= pass.pitch) return;
    const Tile tile = tile_of<M>(p, pass, local);

    // a bit for each row and column that is read; others are zeros of the padding, or no output needs them
    long long row[POINTS], column[POINTS];
    unsigned rows = 0, columns = 0;
#pragma unroll
    for (int i = 0; i < POINTS; i++) {
        const int y = tile.y + i < p.out_size[1] + 2 ? sample(static_cast<int>(tile.y + i - p.before[1]), p.size[1], p.mode) : -1;
        const int x = tile.x + i < p.out_size[2] + 2 ? sample(static_cast<int>(tile.x + i - p.before[2]), p.size[2], p.mode) : -1;
        row[i] = kept(y * p.input[4] * static_cast<int>(sizeof(T)));
        column[i] = kept(x * p.input[5] * static_cast<int>(sizeof(T)));
        rows |= (y >= 0 && tile.exists ? 1u : 0u) << i;
        columns |= (x >= 0 ? 1u : 0u) << i;
    }
    const long long all = p.groups * pass.planes, first = slice * pass.each, last = min(first + pass.each, all), step = all * pass.pitch;
    long long g = first / pass.planes, tap = first - g * pass.planes, c = tap / p.kernel[0];
    tap -= c * p.kernel[0];
    const T *const item = input + tile.n * p.input[0];
    const long long next = kept(POINTS * step);
    Sum *to = v + first * pass.pitch + local;
    for (long long plane = first; plane < last; plane++, to += pass.pitch) {
        const int z = sample(static_cast<int>(tile.z * p.stride[0] + tap * p.dilation[0] - p.before[0]), p.size[0], p.mode);
        const T *const from = item + g * p.input[1] + c * p.input[2] + z * p.input[3];
        const unsigned read = z < 0 ? 0u : rows;
        Sum d[POINTS][POINTS];
#pragma unroll
        for (int i = 0; i < POINTS; i++) {
            const char *const line = reinterpret_cast<const char *>(from) + row[i];
            Sum x[POINTS];
#pragma unroll
            for (int j = 0; j < POINTS; j++)
                x[j] = read >> i & columns >> j & 1u ? N::load(*reinterpret_cast<const T *>(line + column[j])) : Sum(0);
            Axis<M>::input(x, d[i]);
        }
#pragma unroll
        for (int j = 0; j < POINTS; j++) {
            Sum x[POINTS], y[POINTS];
#pragma unroll
            for (int i = 0; i < POINTS; i++) x[i] = d[i][j];
            Axis<M>::input(x, y);
            Sum *at = to + j * step;
#pragma unroll
            for (int i = 0; i < POINTS; i++, at += next) *at = y[i];
        }
        if (++tap == p.kernel[0]) {
            tap = 0;
            if (++c == p.in_channels) c = 0, g++;
        }
    }
}

template <typename T, int M>
__global__ void __launch_bounds__(THREADS)
transformed_weight(const Conv p, const long long planes, const long long pitch, const T *__restrict__ weight, typename Number<T>::Sum *u)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    constexpr int POINTS = M + 2;
    const long long matrices = p.groups * p.out_channels, step = matrices * pitch;
    const long long number = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x, channel = number / planes;
    if (channel >= matrices) return;
    const long long plane = number - channel * planes, c = plane / p.kernel[0], g = channel / p.out_channels;
    const T *const from =
        weight + g * p.weight[0] + (channel - g * p.out_channels) * p.weight[1] + c * p.weight[2] + (plane - c * p.kernel[0]) * p.weight[3];
    Sum d[3][POINTS];
#pragma unroll
    for (int i = 0; i < 3; i++) {
        Sum x[3];
#pragma unroll
        for (int j = 0; j < 3; j++) x[j] = N::load(from[i * p.weight[4] + j * p.weight[5]]);
        Axis<M>::weight(x, d[i]);
    }
    Sum *const to = u + channel * pitch + plane;
#pragma unroll
    for (int j = 0; j < POINTS; j++) {
        const Sum x[3] = {d[0][j], d[1][j], d[2][j]};
        Sum y[POINTS];
        Axis<M>::weight(x, y);
#pragma unroll
        for (int i = 0; i < POINTS; i++) to[(i * POINTS + j) * step] = y[i];
    }
}

// `nonfinite` becomes 1 if anything that a tile is made of was not finite: an infinity or NaN among samples or weights, or one that
// arose on the way, makes numbers of all tiles that it reaches so, and nothing makes them finite again.
template <typename T, int M>
__global__ void __launch_bounds__(THREADS) output(
    const Conv p, const Pass pass, const typename Number<T>::Sum *__restrict__ products, const T *__restrict__ bias, T *out, int *nonfinite)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    constexpr int POINTS = M + 2;
    __shared__ Row<Sum, M> turned[THREADS];
    const unsigned across = blocks_across(pass), slice = blockIdx.x / across, lane = threadIdx.x % 32;
    const long long local = static_cast<long long>(blockIdx.x - slice * across) * THREADS + threadIdx.x;
    if (local >= pass.pitch) return;  // all of the warp
    const Tile tile = tile_of<M>(p, pass, local);

    // A thread transforms one tile, and writes columns of M others.
    const long long corner = out_offset(p, tile.n, 0, 0, tile.z, tile.y, tile.x);
    const int high = tile.exists ? min(static_cast<int>(p.out_size[1]) - tile.y, M) : 0, wide = min(static_cast<int>(p.out_size[2]) - tile.x, M);
    long long at[M];
    int rows[M];
#pragma unroll
    for (int k = 0; k < M; k++) {
        const int column = (k * 32 + lane) % M, other = (k * 32 + lane) / M;
        at[k] = __shfl_sync(0xffffffffu, corner, other) + column * p.out[5];
        rows[k] = __shfl_sync(0xffffffffu, high, other);
        if (column >= __shfl_sync(0xffffffffu, wide, other)) rows[k] = 0;
    }
    const Sum *const others = reinterpret_cast<const Sum *>(turned + (threadIdx.x - lane));  // of this warp
    const long long all = p.groups * p.out_channels, first = slice * pass.each, last = min(first + pass.each, all), step = all * pass.pitch;
    long long g = first / p.out_channels, o = first - g * p.out_channels;
    const Sum *from = products + first * pass.pitch + local;
    bool spoiled = false;
    for (long long channel = first; channel < last; channel++, from += pass.pitch) {
        Sum d[M][POINTS];
#pragma unroll
        for (int j = 0; j < POINTS; j++) {
            Sum x[POINTS], y[M];
#pragma unroll
            for (int i = 0; i < POINTS; i++) x[i] = from[(i * POINTS + j) * step];
            Axis<M>::output(x, y);
#pragma unroll
            for (int i = 0; i < M; i++) d[i][j] = y[i];
        }
        const Sum added = bias ? N::load(bias[channel]) : Sum(0);
        T *const to = out + g * p.out[1] + o * p.out[2];
#pragma unroll
        for (int i = 0; i < M; i++) {
            Sum y[M];
            Row<Sum, M> row;
            Axis<M>::output(d[i], y);
#pragma unroll
            for (int j = 0; j < M; j++) {
                spoiled |= !(y[j] - y[j] == 0);
                row.value[j] = y[j] + added;
            }
            turned[threadIdx.x] = row;
            __syncwarp();
#pragma unroll
            for (int k = 0; k < M; k++)
                if (i < rows[k]) to[at[k] + i * p.out[4]] = N::store(others[k * 32 + lane]);
            __syncwarp();
        }
        if (++o == p.out_channels) o = 0, g++;
    }
    if (nonfinite && spoiled && tile.exists) *nonfinite = 1;
}

// Convolutions whose sums have few channels, so that nothing is reused but by neighbouring outputs: depthwise layers, and images,
// volumes and signals of one channel.
//
//     out[n, g, o, z, y, x] = bias[g, o] + sum over c, tz, ty, tx of weight[g, o, c, tz, ty, tx]
//                             * input[n, g, c, z*sz + tz*dz - bz, y*sy + ty*dy - by, x*sx + tx*dx - bx]
//
// Meant for groups of one channel or very few, where products of matrices reuse nothing, until kernels are so large that FFT has less to do.
// With few taps memory should be the bound: every sample is loaded once for a tile, neighbouring threads load neighbours. With many,
// multiply-adds should be.
//
// A tile is a rectangle of outputs (y, x) of one plane (n, g, o, z); a block has several where planes are small. A tile's threads load
// the samples that it needs to shared memory, padded and converted, and the taps; then each makes RUN neighbours along x of ROWS rows.
// A row of samples is read from there in runs, and meets the taps of all rows of the kernel that it belongs to while it stands in
// registers: up to ROWS * RUN * RUN products for 2 * RUN samples of a thread. Channels, and rows of taps along z, are staged one after
// the other; so are pieces of a kernel that is too large for shared memory. Runs are written as they are where memory allows, else they
// go through shared memory, too, so that neighbouring threads write neighbours.
//
// Strides and dilations. Of a stride s and a dilation d along an axis, what they have in common is a step between samples that matter;
// let s and d be what is left. Outputs d apart and taps s apart meet samples s*d apart as those of a convolution without stride or
// dilation do. So the samples of a row are staged in arrays, one for each remainder of outputs (modulo d) and of taps (modulo s);
// a thread's outputs are neighbours in such an array, and so they are d apart. Rows, which are loaded one by one, need no such arrays.
//
// Layout of shared memory: samples stand in quads of 16 bytes, a run is QUADS of them, and runs are an odd number of quads apart:
// neighbouring threads read quads from different banks.
//
// Kernels of K x K taps (3, 5, 7) with stride S and one channel are unrolled, others are not (K = 0). A tile may be as large as BYTES of
// static shared memory allow; depthwise.py chooses it. Sums are added in the order c, tz, pieces, remainders: of the problem alone.
#include "numbers.cuh"
#include "conv.cuh"
#include "divisor.cuh"

// How outputs are cut into tiles (depthwise.py fills it). Pairs are along y and x.
struct Tiles {
    long long count;                                     // of all planes
    Divisor out_channels, across, down, planes, groups;  // by which a tile's number is divided, one after the other
    Divisor pieces[2], kernel_z;                         // the same of the number of a stage
    long long stages;                                    // of a tile: what is in shared memory at a time
    long long stride[2], dilation[2], step[2];           // the first two without what they have in common, which is the step
    long long piece[2];                                  // taps that are staged at a time
    long long advance[2], end[2], reach[2];              // samples: from tile to tile, up to the last that matters, and of one tile
    long long rows, run;                                 // staged samples: rows, and in each of their arrays
    long long arrays;                                    // of a row and of one remainder of its outputs
    long long array, row, taps, room;                    // elements between arrays, rows of samples, of taps, and tiles
    long long whole;                                     // whether runs of outputs can be written as they are: contiguous and aligned
};

// The remainder; `number` becomes the quotient.
__device__ __forceinline__ int taken_off(unsigned &number, const Divisor &d)
{
    const unsigned quotient = divided(number, d);
    const int rest = number - quotient * static_cast<unsigned>(d.by);
    number = quotient;
    return rest;
}

template <typename Sum>
__device__ __forceinline__ void read_quad(Sum *to, const Sum *from)
{
    const uint4 quad = *reinterpret_cast<const uint4 *>(from);
    memcpy(to, &quad, 16);
}

template <typename Sum>
__device__ __forceinline__ void write_quad(Sum *to, const Sum *from)
{
    uint4 quad;
    memcpy(&quad, from, 16);
    *reinterpret_cast<uint4 *>(to) = quad;
}

// COUNT sums as neighbours of an array, `to` being a multiple of their bytes, or of 16.
template <typename T, int COUNT, typename Sum>
__device__ __forceinline__ void write_run(T *to, const Sum *sums)
{
    constexpr int PART = COUNT * sizeof(T) < 16 ? COUNT : 16 / sizeof(T);
    struct alignas(PART * sizeof(T)) Part {
        T at[PART];
    };
#pragma unroll
    for (int i = 0; i < COUNT; i += PART) {
        Part part;
#pragma unroll
        for (int k = 0; k < PART; k++) part.at[k] = Number<T>::store(sums[i + k]);
        *reinterpret_cast<Part *>(to + i) = part;
    }
}

// How a kernel's runs lie in shared memory.
template <typename Sum, int QUADS>
struct Runs {
    static constexpr int QUAD = 16 / sizeof(Sum), RUN = QUADS * QUAD, PITCH = (QUADS | 1) * QUAD;  // elements
    static __device__ __forceinline__ int place(int i) { return RUN == PITCH ? i : i / RUN * PITCH + i % RUN; }
};

// The samples of an axis as they are seen from a tile's first: those from begin to end exist, those up to `needed` matter.
struct Seen {
    int begin, end, needed;
    __device__ __forceinline__ Seen(long long first, long long size, long long end_of_all, long long reach)
        : begin(first < 0 ? static_cast<int>(-first) : 0), end(0), needed(static_cast<int>(min(end_of_all - first, reach)))
    {
        end = static_cast<int>(min(size - first, static_cast<long long>(needed)));
    }
    __device__ __forceinline__ bool has(int at) const { return at >= begin && at < end; }
    __device__ __forceinline__ bool all() const { return begin == 0 && end == needed; }
};

// The samples that a tile needs of one plane, none of which exists if there is no plane. (y, x) is the first.
template <typename T, int QUADS, int S>
__device__ __forceinline__ void stage_samples(
    const Conv &p, const Tiles &t, const T *plane, bool exists, long long y, long long x, typename Number<T>::Sum *tile)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    using Lie = Runs<Sum, QUADS>;
    constexpr int LOADS = S ? Lie::RUN + 1 : 6;  // that a thread waits for together
    const int stride = S ? S : t.stride[1], dilation = S ? 1 : t.dilation[1], arrays = S ? S : t.arrays;
    const int step = S ? 1 : t.step[1], down = S ? 1 : t.step[0], apart = step * stride * dilation;
    const int rows = t.rows, run = t.run, pitch = t.row, threads = blockDim.x, across = threadIdx.x;
    const Seen seen_y(y, p.size[1], t.end[0], t.reach[0]), seen_x(x, p.size[2], t.end[1], t.reach[1]);
    const T *const corner = plane + y * p.input[4] + x * p.input[5];
    const long long next = p.input[5] * (apart * threads), next_row = p.input[4] * static_cast<int>(down * blockDim.y);
#pragma unroll S ? S : 1
    for (int a = 0; a < dilation * arrays; a++) {
        const int from = S ? a : (a / arrays * stride + a % arrays * dilation) * step;
#pragma unroll 1
        for (int begin = 0; begin < run; begin += LOADS * threads) {
            unsigned there = 0;  // of this thread's columns, which are the same in all rows
            int place[LOADS];
#pragma unroll
            for (int b = 0; b < LOADS; b++) {
                const int i = begin + across + b * threads;
                there |= seen_x.has(from + i * apart) << b;
                place[b] = Lie::place(i);
            }
            const T *line = corner + (from + (begin + across) * apart) * p.input[5] + static_cast<int>(down * threadIdx.y) * p.input[4];
            Sum *to = tile + static_cast<int>(threadIdx.y) * pitch + a * static_cast<int>(t.array);
#pragma unroll 1
            for (int row = threadIdx.y; row < rows; row += blockDim.y, line += next_row, to += static_cast<int>(blockDim.y) * pitch) {
                const unsigned some = exists && seen_y.has(row * down) ? there : 0;
                const T *sample = line;
                Sum value[LOADS];
#pragma unroll
                for (int b = 0; b < LOADS; b++, sample += next)
                    value[b] = (S || begin + b * threads < run) && some >> b & 1 ? N::load(*sample) : Sum(0);
#pragma unroll
                for (int b = 0; b < LOADS; b++)
                    if (S || begin + b * threads < run) to[place[b]] = value[b];
            }
        }
    }
    if (p.mode == ZEROS || !exists || seen_y.all() && seen_x.all()) return;
#pragma unroll 1
    for (int row = threadIdx.y; row < rows; row += blockDim.y)
#pragma unroll 1
        for (int a = 0; a < dilation * arrays; a++) {
            const int from = S ? a : (a / arrays * stride + a % arrays * dilation) * step, under = row * down;
#pragma unroll 1
            for (int i = across; i < run; i += threads) {
                const int at = from + i * apart;
                if (seen_y.has(under) && seen_x.has(at) || under >= seen_y.needed || at >= seen_x.needed) continue;
                const long long sy = sample(y + under, p.size[1], p.mode), sx = sample(x + at, p.size[2], p.mode);
                tile[row * pitch + a * static_cast<int>(t.array) + Lie::place(i)] = N::load(plane[sy * p.input[4] + sx * p.input[5]]);
            }
        }
}

// `down` rows of `across` taps; those of one remainder modulo the stride stand side by side.
template <typename T>
__device__ __forceinline__ void stage_taps(
    const Conv &p, const T *weight, int down, int across, int arrays, int pitch, typename Number<T>::Sum *taps)
{
    for (int i = threadIdx.x + threadIdx.y * blockDim.x; i < down * across; i += blockDim.x * blockDim.y) {
        const int row = i / across, tap = i - row * across;
        taps[(row * arrays + tap % arrays) * pitch + tap / arrays] = Number<T>::load(weight[row * p.weight[4] + tap * p.weight[5]]);
    }
}

// Adds the products of a kernel of K x K taps with stride S. `tile` is the thread's first sample.
template <typename Sum, int ROWS, int K, int S>
__device__ __forceinline__ void add_unrolled(Sum (&sum)[ROWS][16 / sizeof(Sum)], const Sum *tile, const Sum *taps, int row, int array)
{
    constexpr int RUN = 16 / sizeof(Sum), PITCH = ((K + S - 1) / S + RUN - 1) / RUN * RUN;
#pragma unroll
    for (int j = 0; j < (ROWS - 1) * S + K; j++) {
#pragma unroll
        for (int a = 0; a < S; a++) {
            constexpr int MOST = (RUN + (K + S - 1) / S - 1 + RUN - 1) / RUN * RUN;
            const int count = (K - a + S - 1) / S;
            Sum samples[MOST];
#pragma unroll
            for (int i = 0; i < RUN + count - 1; i += RUN) read_quad(samples + i, tile + j * row + a * array + i);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int v = j - r * S;
                if (v < 0 || v >= K) continue;
                Sum some[PITCH];
#pragma unroll
                for (int i = 0; i < count; i += RUN) read_quad(some + i, taps + (v * S + a) * PITCH + i);
#pragma unroll
                for (int i = 0; i < count; i++)
#pragma unroll
                    for (int k = 0; k < RUN; k++) multiply_add(sum[r][k], samples[i + k], some[i]);
            }
        }
    }
}

// Adds the products of `count` taps, of one array of samples that starts at `from`, to output rows r with 0 <= j - r < rows.
template <typename Sum, int QUADS, int ROWS>
__device__ __forceinline__ void add_row(
    Sum (&sum)[ROWS][QUADS * 16 / sizeof(Sum)], const Sum *from, const Sum *taps, int pitch, int count, int j, int rows)
{
    using Lie = Runs<Sum, QUADS>;
    constexpr int QUAD = Lie::QUAD, RUN = Lie::RUN, PITCH = Lie::PITCH;
    Sum samples[2 * RUN];
    int v = 0;
    for (; v + RUN <= count; v += RUN, from += PITCH) {
#pragma unroll
        for (int q = 0; q < 2 * QUADS; q++) read_quad(samples + q * QUAD, from + q / QUADS * PITCH + q % QUADS * QUAD);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (j < r || j - r >= rows) continue;
#pragma unroll
            for (int q = 0; q < QUADS; q++) {
                Sum some[QUAD];
                read_quad(some, taps + v + q * QUAD - r * pitch);
#pragma unroll
                for (int i = 0; i < QUAD; i++)
#pragma unroll
                    for (int k = 0; k < RUN; k++) multiply_add(sum[r][k], samples[q * QUAD + i + k], some[i]);
            }
        }
    }
    const int left = count - v;
    if (!left) return;
#pragma unroll
    for (int q = 0; q < 2 * QUADS; q++)
        if (q * QUAD < RUN + left - 1) read_quad(samples + q * QUAD, from + q / QUADS * PITCH + q % QUADS * QUAD);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        if (j < r || j - r >= rows) continue;
#pragma unroll
        for (int q = 0; q < QUADS; q++) {
            if (q * QUAD >= left) continue;
            Sum some[QUAD];
            read_quad(some, taps + v + q * QUAD - r * pitch);
#pragma unroll
            for (int i = 0; i < QUAD; i++) {
                if (q * QUAD + i >= left) continue;
#pragma unroll
                for (int k = 0; k < RUN; k++) multiply_add(sum[r][k], samples[q * QUAD + i + k], some[i]);
            }
        }
    }
}

template <typename T, int QUADS, int ROWS, int K, int S, int BYTES>
__global__ void __launch_bounds__(K ? 256 : 128, K ? 0 : QUADS * ROWS == 1 ? 5 : 4) depthwise(
    const Conv p, const Tiles t, const T *__restrict__ input, const T *__restrict__ weight, const T *__restrict__ bias, T *out, const int *only_if)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    using Lie = Runs<Sum, QUADS>;
    constexpr int RUN = Lie::RUN;
    __shared__ uint4 room[BYTES / 16];
    if (only_if && !*only_if) return;

    // which tile, and which part of it is this thread's
    const int stride = S ? S : t.stride[1], dilation = S ? 1 : t.dilation[1], arrays = S ? S : t.arrays;
    const int stride_y = S ? S : t.stride[0], tap_rows = S ? 1 : t.dilation[0], dilation_y = ROWS == 1 ? 1 : tap_rows;
    unsigned number = blockIdx.x * blockDim.z + threadIdx.z;
    const bool real = number < static_cast<unsigned>(t.count);
    if (!real) number = 0;  // does as that one does, and writes nothing
    const int runs = S ? blockDim.x : blockDim.x / dilation;  // of a row and of one remainder
    const unsigned o = taken_off(number, t.out_channels), right = taken_off(number, t.across), below = taken_off(number, t.down);
    const unsigned z = taken_off(number, t.planes), g = taken_off(number, t.groups), n = number;
    const int rest = S ? 0 : threadIdx.x / runs, run = S ? threadIdx.x : threadIdx.x % runs;
    const int strip = threadIdx.y / dilation_y, rest_y = threadIdx.y % dilation_y, first = rest_y + dilation_y * ROWS * strip;  // row
    Sum *const tile = reinterpret_cast<Sum *>(room) + threadIdx.z * static_cast<int>(t.room);
    Sum *const taps = tile + static_cast<int>(t.rows * t.row);
    const int row = t.row, array = t.array, pitch = t.taps;

    Sum sum[ROWS][RUN];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int k = 0; k < RUN; k++) sum[r][k] = Sum(0);
    const int stages = K ? 1 : t.stages;
    for (int stage = 0; stage < stages; stage++) {
        unsigned which = stage;
        const int tx = K ? 0 : taken_off(which, t.pieces[1]) * static_cast<int>(t.piece[1]);
        const int ty = K ? 0 : taken_off(which, t.pieces[0]) * static_cast<int>(t.piece[0]);
        const int tz = K ? 0 : taken_off(which, t.kernel_z), c = K ? 0 : which;
        const int down = K ? K : min(static_cast<int>(t.piece[0]), static_cast<int>(p.kernel[1]) - ty);
        const int across = K ? K : min(static_cast<int>(t.piece[1]), static_cast<int>(p.kernel[2]) - tx);
        if (stage) __syncthreads();
        const long long sz = sample(z * p.stride[0] + tz * p.dilation[0] - p.before[0], p.size[0], p.mode);
        const T *const plane = input + n * p.input[0] + g * p.input[1] + c * p.input[2] + sz * p.input[3];
        stage_samples<T, QUADS, S>(
            p, t, plane, sz >= 0, below * static_cast<long long>(t.advance[0]) + ty * p.dilation[1] - p.before[1],
            right * static_cast<long long>(t.advance[1]) + tx * p.dilation[2] - p.before[2], tile);
        const T *const first_tap = weight + g * p.weight[0] + o * p.weight[1] + c * p.weight[2] + tz * p.weight[3];
        stage_taps(p, first_tap + ty * p.weight[4] + tx * p.weight[5], down, across, arrays, pitch, taps);
        __syncthreads();
        if constexpr (K > 0)
            add_unrolled<Sum, ROWS, K, S>(sum, tile + S * first * row + run * RUN, taps, row, array);
        else {
            // remainders of rows of taps; a thread with one row has no use for them, and takes each row on its own
            const int classes = ROWS == 1 ? down : min(stride_y, down);
            for (int b = 0; b < classes; b++) {
                const int rows = ROWS == 1 ? 1 : (down - b + stride_y - 1) / stride_y;
                const Sum *line = tile + (stride_y * first + tap_rows * b) * row + rest * arrays * array + run * Lie::PITCH;
                for (int j = 0; j < ROWS - 1 + rows; j++, line += stride_y * tap_rows * row)
                    for (int a = 0; a < arrays; a++)
                        add_row<Sum, QUADS, ROWS>(
                            sum, line + a * array, taps + ((b + stride_y * j) * arrays + a) * pitch, stride_y * arrays * pitch,
                            (across - a + stride - 1) / stride, j, rows);
            }
        }
    }

    if (bias) {
        const Sum added = N::load(bias[g * p.out_channels + o]);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
#pragma unroll
            for (int k = 0; k < RUN; k++) sum[r][k] += added;
    }
    const int height = ROWS * blockDim.y, width = RUN * blockDim.x;
    const long long y = static_cast<long long>(below) * height, x = static_cast<long long>(right) * width;
    T *const corner = out + out_offset(p, n, g, o, z, y, x);
    const int down = min(static_cast<long long>(height), p.out_size[1] - y), across = min(static_cast<long long>(width), p.out_size[2] - x);
    if (t.whole) {  // runs are neighbours that can be written together
        if (!real || run * RUN >= across) return;
        T *to = corner + first * p.out[4] + run * RUN;
#pragma unroll
        for (int r = 0; r < ROWS; r++, to += p.out[4] * dilation_y)
            if (first + r * dilation_y < down) write_run<T, RUN>(to, sum[r]);
        return;
    }
    // to shared memory, and from there to where it belongs
    const int out_array = runs * Lie::PITCH, out_row = dilation * out_array;
    __syncthreads();
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        Sum *const to = tile + (first + r * dilation_y) * out_row + rest * out_array + run * Lie::PITCH;
#pragma unroll
        for (int q = 0; q < QUADS; q++) write_quad(to + q * Lie::QUAD, sum[r] + q * Lie::QUAD);
    }
    __syncthreads();
    if (!real) return;
#pragma unroll 1
    for (int j = threadIdx.y; j < down; j += blockDim.y)
#pragma unroll 1
        for (int a = 0; a < dilation; a++) {
            const Sum *const from = tile + j * out_row + a * out_array;
            T *const row_out = corner + j * p.out[4] + a * p.out[5];
            for (int i = threadIdx.x; a + i * dilation < across; i += blockDim.x) row_out[i * dilation * p.out[5]] = N::store(from[Lie::place(i)]);
        }
}

// Dense convolution on tensor cores: half types with their products exact and summed in float, and float rounded to TF32.
//
//     out[o, column] = bias[o] + sum over k of weight[o, k] * input[k, column]      of each group
//     k = (tz, ty, tx, channel), column = (n, z, y, x)
//
// Channels are the innermost part of k, padded to whole granules of 4 or 8, so that a tap changes only once for many channels: only
// then are borders looked at, and what remains for a number of the input is an addition and a load. `packed` writes the weights
// in that order, once for each call or plan.
//
// A block makes BM x BN outputs, a warp WM x WN of them, STEP bytes of k after STEP bytes. Tiles of both matrices lie in shared memory
// as rows of 64 bytes, one for each output channel and one for each column, in pieces of 16 bytes. Piece i of row r stands at place
// i ^ (r / 2 % 4): eight rows' pieces i, which are what a matrix load reads and neighbouring threads write, then fill
// all 32 banks once. Three ways to fill the input's tile, the same sums in the same order:
//
//     GATHERED      any strides: a thread has a column, and loads numbers one after the other to registers while the tile before is
//                   multiplied; neighbouring threads have neighbouring columns
//     CHANNELS      channels are neighbours in memory and aligned, as they are of `channels_last` arrays: pieces go to shared memory past the
//                   registers, two tiles ahead. Where enough products are made of each sample, the launcher has the kernel `channels_last`
//                   below write such a copy of the input first
//     PIXELS        half types, one tap and neither stride nor padding: pieces are of eight columns, likewise, and rows of k stand in shared memory
//                   one below the other; matrix loads transpose them
//
// Where there are fewer tiles than the device holds, k is cut into slices whose sums go to `partial`; implicit_gemm.cu's `reduced`
// adds them in order.
//
// It is taken before the plain cores where few of the products are those of padded channels (tensor_gemm.py). The implicit matrix is that of Chetlur
// et al., cuDNN: efficient primitives for deep learning (2014), with the taps outside.
#include "numbers.cuh"
#include "conv.cuh"
#include "tensor_cores.cuh"

struct Product {
    long long tiles_o, tiles_columns, columns;
    long long padded, depth;                // channels in whole granules, and k in whole pieces
    long long row, group;                   // strides of the weights
    long long steps, steps_of_slice;
    long long channels[9];                  // of the input, bytes from one to so many behind it
};

enum { GATHERED, CHANNELS, PIXELS };

constexpr int STEP = 64, PIECE = 16, PIECES = STEP / PIECE;

// ---- numbers as tensor cores take them -------------------------------------------------------------------------------------

template <typename T> struct Factor;
template <> struct Factor<float> {
    using Raw = float;
    using Held = float;
    static __device__ __forceinline__ float rounded(float value) { return __uint_as_float(to_tf32(value)); }
    static __device__ __forceinline__ uint4 piece(const float (&v)[4]) { return uint4{to_tf32(v[0]), to_tf32(v[1]), to_tf32(v[2]), to_tf32(v[3])}; }
    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { multiply_tf32(sum, a, b0, b1); }
};
#ifdef CYCONV_HALF_TYPES
struct Half {
    using Raw = unsigned short;
    using Held = unsigned;  // in a register of its own
    static __device__ __forceinline__ Raw rounded(Raw value) { return value; }
    static __device__ __forceinline__ uint4 piece(const unsigned (&v)[8])
    {
        return uint4{v[0] | v[1] << 16, v[2] | v[3] << 16, v[4] | v[5] << 16, v[6] | v[7] << 16};
    }
};
template <> struct Factor<__half> : Half {
    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { multiply_float16(sum, a, b0, b1); }
};
template <> struct Factor<__nv_bfloat16> : Half {
    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { multiply_bfloat16(sum, a, b0, b1); }
};
#endif

template <typename T> using Raw = typename Factor<T>::Raw;
template <typename T> using Held = typename Factor<T>::Held;
template <typename T> constexpr int NUMBERS = PIECE / sizeof(T);  // of a piece

// ---- the input -------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ Place place_at(const Conv &p, long long column)
{
    const long long line = column / p.out_size[2], plane = line / p.out_size[1], n = plane / p.out_size[0];
    return {n, 0, plane - n * p.out_size[0], line - plane * p.out_size[1], column - line * p.out_size[2]};
}

// Where in k a thread has come to, and where its columns have their numbers: at `base` + `offset`, if `inside`. With BORDERS, padding repeats
// samples, and `base` changes from tap to tap; else it is the first sample of the column's window, even if there is none.
template <typename T, int COLUMNS, bool BORDERS> struct Walk {
    int channel, tap[3];
    long long offset;  // bytes
    const char *base[COLUMNS];
    bool inside[COLUMNS];
    int first[COLUMNS][3];  // the window's first sample, or where it would be
    const char *item[BORDERS ? COLUMNS : 1];

    // Column c is `from` + c * `apart`; those behind the last are as the last.
    __device__ __forceinline__ void set(const Conv &p, const Product &q, const T *input, long long from, int apart, long long k)
    {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            const Place place = place_at(p, min(from + c * apart, q.columns - 1));
            const long long z = place.z * p.stride[0] - p.before[0], y = place.y * p.stride[1] - p.before[1], x = place.x * p.stride[2] - p.before[2];
            first[c][0] = static_cast<int>(z);
            first[c][1] = static_cast<int>(y);
            first[c][2] = static_cast<int>(x);
            const T *const numbers = input + place.n * p.input[0];
            if constexpr (BORDERS)
                item[c] = reinterpret_cast<const char *>(numbers);
            else
                base[c] = reinterpret_cast<const char *>(numbers + (z * p.input[3] + y * p.input[4] + x * p.input[5]));
        }
        const int number = static_cast<int>(k / q.padded), lines = number / static_cast<int>(p.kernel[2]);
        channel = static_cast<int>(k - number * q.padded);
        tap[2] = number - lines * static_cast<int>(p.kernel[2]);
        tap[0] = lines / static_cast<int>(p.kernel[1]);
        tap[1] = lines - tap[0] * static_cast<int>(p.kernel[1]);
        look(p);
    }
    __device__ __forceinline__ void look(const Conv &p)
    {
        const int dz = tap[0] * static_cast<int>(p.dilation[0]), dy = tap[1] * static_cast<int>(p.dilation[1]), dx = tap[2] * static_cast<int>(p.dilation[2]);
        const bool exists = tap[0] < static_cast<int>(p.kernel[0]);
        offset = channel * p.input[2] * static_cast<int>(sizeof(T));
        if constexpr (!BORDERS) offset += (dz * p.input[3] + dy * p.input[4] + dx * p.input[5]) * static_cast<int>(sizeof(T));
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            if constexpr (BORDERS) {
                const int z = sample(first[c][0] + dz, p.size[0], p.mode), y = sample(first[c][1] + dy, p.size[1], p.mode), x = sample(first[c][2] + dx, p.size[2], p.mode);
                inside[c] = exists & ((z | y | x) >= 0);
                base[c] = item[c] + (z * p.input[3] + y * p.input[4] + x * p.input[5]) * static_cast<int>(sizeof(T));
            } else {
                inside[c] = exists & static_cast<unsigned>(first[c][0] + dz) < static_cast<unsigned>(p.size[0])
                    & static_cast<unsigned>(first[c][1] + dy) < static_cast<unsigned>(p.size[1])
                    & static_cast<unsigned>(first[c][2] + dx) < static_cast<unsigned>(p.size[2]);
            }
        }
    }
    __device__ __forceinline__ void forward(const Conv &p, const Product &q, int channels, long long bytes)
    {
        channel += channels;
        offset += bytes;
        if (channel < static_cast<int>(q.padded)) return;
        do {
            channel -= static_cast<int>(q.padded);
            if (++tap[2] == static_cast<int>(p.kernel[2])) {
                tap[2] = 0;
                if (++tap[1] == static_cast<int>(p.kernel[1])) {
                    tap[1] = 0;
                    tap[0]++;
                }
            }
        } while (channel >= static_cast<int>(q.padded));
        look(p);
    }
};

__device__ __forceinline__ int place_of_piece(int row, int piece) { return row * PIECES + (piece ^ (row / 2 % 4)); }

// A thread's part of the input's tile, if it is gathered: COUNT pieces of one column, neighbours along k.
template <typename T, int BN, int THREADS, int GRANULE, bool BORDERS> struct Gathered {
    static constexpr int COUNT = BN * PIECES / THREADS, N = NUMBERS<T>;
    Walk<T, 1, BORDERS> walk;
    Held<T> number[COUNT][N];

    static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) % BN; }
    static __device__ __forceinline__ int piece() { return static_cast<int>(threadIdx.x) / BN * COUNT; }
    __device__ __forceinline__ void set(const Conv &p, const Product &q, const T *input, long long from, long long k)
    {
        walk.set(p, q, input, from + column(), 0, k + piece() * N);
    }
    __device__ __forceinline__ void load(const Conv &p, const Product &q)
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
#pragma unroll
            for (int first = 0; first < N; first += GRANULE) {
                const int left = walk.inside[0] ? static_cast<int>(p.in_channels) - walk.channel : 0;
                const char *const at = walk.base[0] + walk.offset;
#pragma unroll
                for (int j = 0; j < GRANULE; j++) number[i][first + j] = j < left ? *reinterpret_cast<const Raw<T> *>(at + q.channels[j]) : Held<T>(0);
                walk.forward(p, q, GRANULE, q.channels[GRANULE]);
            }
        }
        if (COUNT < PIECES) walk.forward(p, q, (PIECES - COUNT) * N, (PIECES - COUNT) * N / GRANULE * q.channels[GRANULE]);
    }
    __device__ __forceinline__ void store(uint4 *tile) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; i++) tile[place_of_piece(column(), piece() + i)] = Factor<T>::piece(number[i]);
    }
};

// In pieces of channels: one piece of several columns. Neighbouring threads have the pieces of one column.
template <typename T, int BN, int THREADS, bool BORDERS, int WAY> struct InPieces {
    static constexpr int COLUMNS = BN * PIECES / THREADS, APART = THREADS / PIECES;
    Walk<T, COLUMNS, BORDERS> walk;

    static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) / PIECES; }
    static __device__ __forceinline__ int piece() { return static_cast<int>(threadIdx.x) % PIECES; }
    __device__ __forceinline__ void set(const Conv &p, const Product &q, const T *input, long long from, long long k)
    {
        walk.set(p, q, input, from + column(), APART, k + piece() * NUMBERS<T>);
    }
    __device__ __forceinline__ void copy(const Conv &p, const Product &q, uint4 *tile)
    {
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            copy_async<PIECE>(tile + place_of_piece(column(), piece()) + c * APART * PIECES, walk.base[c] + walk.offset, walk.inside[c]);
        walk.forward(p, q, PIECES * NUMBERS<T>, STEP);
    }
};

// In pieces of pixels: the same eight columns of several rows of k. Neighbouring threads have neighbouring columns.
template <typename T, int BN, int THREADS, bool BORDERS> struct InPieces<T, BN, THREADS, BORDERS, PIXELS> {
    static constexpr int ACROSS = BN / 8, APART = THREADS / ACROSS, ROWS = PIECES * NUMBERS<T> / APART;
    static_assert(sizeof(T) == 2 && APART % 8 == 0, "");
    const char *at;
    int left;  // channels, from this thread's first row on

    static __device__ __forceinline__ int place(int row, int piece) { return row * ACROSS + (piece ^ row % 8); }
    __device__ __forceinline__ void set(const Conv &p, const Product &q, const T *input, long long from, long long k)
    {
        const int piece = static_cast<int>(threadIdx.x) % ACROSS, row = static_cast<int>(threadIdx.x) / ACROSS;
        const long long column = from + piece * 8, pixels = pixels_of(p), n = column / pixels;
        at = reinterpret_cast<const char *>(input + n * p.input[0] + (column - n * pixels) + (k + row) * p.input[2]);
        left = column < q.columns ? static_cast<int>(p.in_channels - k) - row : 0;
    }
    __device__ __forceinline__ void copy(const Conv &, const Product &q, uint4 *tile)
    {
        const int piece = static_cast<int>(threadIdx.x) % ACROSS, row = static_cast<int>(threadIdx.x) / ACROSS;
#pragma unroll
        for (int i = 0; i < ROWS; i++) copy_async<PIECE>(tile + place(row, piece) + i * APART * ACROSS, at + i * (APART / 8) * q.channels[8], i * APART < left);
        at += PIECES * NUMBERS<T> / 8 * q.channels[8];
        left -= PIECES * NUMBERS<T>;
    }
};

// ---- weights ---------------------------------------------------------------------------------------------------------------

template <typename T, int BM, int THREADS> struct WeightTile {
    static constexpr int ROWS = BM * PIECES / THREADS, APART = THREADS / PIECES;
    const T *at;
    int k, rows;  // of this thread's rows, from the first on, that exist

    static __device__ __forceinline__ int row() { return static_cast<int>(threadIdx.x) / PIECES; }
    static __device__ __forceinline__ int piece() { return static_cast<int>(threadIdx.x) % PIECES; }
    __device__ __forceinline__ void set(const Conv &p, const Product &q, const T *weight, long long o, long long from)
    {
        k = static_cast<int>(from) + piece() * NUMBERS<T>;
        at = weight + (o + row()) * q.row + k;
        const long long left = p.out_channels - o - row();
        rows = left > BM ? BM : static_cast<int>(left);
    }
    __device__ __forceinline__ void copy(const Product &q, uint4 *tile)
    {
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            copy_async<PIECE>(tile + place_of_piece(row(), piece()) + i * APART * PIECES, at + i * APART * q.row, i * APART < rows && k < q.depth);
        k += PIECES * NUMBERS<T>;
        at += PIECES * NUMBERS<T>;
    }
};

// ---- products --------------------------------------------------------------------------------------------------------------

// What a warp adds to its sums of one tile of each matrix; its lane's first rows are told.
template <typename T, int BN, int WM, int WN, int WAY>
__device__ __forceinline__ void multiply_tiles(float (&sum)[WM / 16][WN / 8][4], const uint4 *weights, const uint4 *inputs, int mine_w, int mine_x)
{
#pragma unroll
    for (int half = 0; half < PIECES; half += 2) {
        unsigned a[WM / 16][4], b[WN / 16][4];
#pragma unroll
        for (int i = 0; i < WM / 16; i++) load_matrices(a[i], weights + (mine_w ^ half) + i * 16 * PIECES);
#pragma unroll
        for (int j = 0; j < WN / 16; j++) {
            if constexpr (WAY == PIXELS)
                load_transposed(b[j], inputs + (mine_x ^ j * 2) + half * (NUMBERS<T> * BN / 8));
            else
                load_matrices(b[j], inputs + (mine_x ^ half) + j * 16 * PIECES);
        }
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
#pragma unroll
            for (int j = 0; j < WN / 8; j++) Factor<T>::multiply(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
}

__host__ __device__ constexpr int threads_of(int bm, int bn, int wm, int wn) { return bm / wm * (bn / wn) * 32; }
__host__ __device__ constexpr int resident(int bm, int bn) { return bm * bn >= 128 * 128 ? 2 : bm * bn >= 64 * 128 ? 3 : 4; }  // blocks

template <typename T, int BM, int BN, int WM, int WN, int GRANULE, int WAY, bool BORDERS>
__global__ void __launch_bounds__(threads_of(BM, BN, WM, WN), resident(BM, BN)) tensor_gemm(
    const Conv p, const Product q, const T *__restrict__ input, const T *__restrict__ weight, const T *__restrict__ bias, T *out, float *partial, const int *only_if)
{
    constexpr int THREADS = threads_of(BM, BN, WM, WN), ACROSS = BN / WN, STAGES = WAY == GATHERED ? 2 : 3;
    constexpr int STAGE = (BM + BN) * PIECES, PITCH = WN + 8;  // of results; then four rows of pairs are in different banks
    alignas(128) __shared__ uint4 stages[STAGES * STAGE];
    static_assert(THREADS / 32 * 16 * PITCH * 4 <= STAGES * STAGE * PIECE, "results go where tiles were");
    static_assert(THREADS % BN == 0 && BN % 32 == 0, "a warp gathers one piece of 32 columns");

    if (only_if && !*only_if) return;

    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const unsigned tiles_o = static_cast<unsigned>(q.tiles_o), tiles_columns = static_cast<unsigned>(q.tiles_columns);
    const unsigned over = blockIdx.x / tiles_o, tile_o = blockIdx.x - over * tiles_o;  // blocks that read the same columns are neighbours
    const unsigned above = over / tiles_columns, tile_columns = over - above * tiles_columns;
    const unsigned slice = above / static_cast<unsigned>(p.groups), g = above - slice * static_cast<unsigned>(p.groups);
    const long long o = static_cast<long long>(tile_o) * BM, column = static_cast<long long>(tile_columns) * BN;
    const long long k = slice * q.steps_of_slice * (PIECES * NUMBERS<T>);
    const int steps = static_cast<int>(min(q.steps_of_slice, q.steps - slice * q.steps_of_slice));

    WeightTile<T, BM, THREADS> weights;
    weights.set(p, q, weight + g * q.group, o, k);
    input += g * p.input[1];

    const int warp_m = warp / ACROSS * WM, warp_n = warp % ACROSS * WN;
    const int mine_w = place_of_piece(warp_m + lane % 16, lane / 16);
    const int mine_x = WAY == PIXELS ? lane % 16 * (BN / 8) + ((warp_n / 8 + lane / 16) ^ lane % 8)
                                     : place_of_piece(warp_n + lane / 16 * 8 + lane % 8, lane / 8 % 2);

    float sum[WM / 16][WN / 8][4];
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) sum[i][j][e] = 0.0f;

    if constexpr (WAY != GATHERED) {
        InPieces<T, BN, THREADS, BORDERS, WAY> inputs;
        inputs.set(p, q, input, column, k);
        int begun = 0, next = 0, now = 0;  // tiles that are on their way, and stages in turn
        for (; begun < STAGES - 1; begun++, next += STAGE) {
            if (begun < steps) {
                weights.copy(q, stages + next);
                inputs.copy(p, q, stages + next + BM * PIECES);
            }
            copies_sent();
        }
        for (int step = 0; step < steps; step++) {
            copies_awaited<STAGES - 2>();
            __syncthreads();  // now nobody reads the tile before, either
            if (begun < steps) {
                weights.copy(q, stages + next);
                inputs.copy(p, q, stages + next + BM * PIECES);
            }
            copies_sent();
            begun++;
            next = next == (STAGES - 1) * STAGE ? 0 : next + STAGE;
            multiply_tiles<T, BN, WM, WN, WAY>(sum, stages + now, stages + now + BM * PIECES, mine_w, mine_x);
            now = now == (STAGES - 1) * STAGE ? 0 : now + STAGE;
        }
        copies_awaited<0>();
        __syncthreads();
    } else {
        Gathered<T, BN, THREADS, GRANULE, BORDERS> inputs;
        inputs.set(p, q, input, column, k);
        weights.copy(q, stages);
        copies_sent();
        inputs.load(p, q);
        inputs.store(stages + BM * PIECES);
        copies_awaited<0>();
        __syncthreads();
        int now = 0;
        for (int step = 0; step < steps; step++) {
            const int next = STAGE - now;
            const bool more = step + 1 < steps;
            if (more) {
                weights.copy(q, stages + next);
                copies_sent();
                inputs.load(p, q);
            }
            multiply_tiles<T, BN, WM, WN, WAY>(sum, stages + now, stages + now + BM * PIECES, mine_w, mine_x);
            if (more) {
                inputs.store(stages + next + BM * PIECES);
                copies_awaited<0>();
            }
            __syncthreads();
            now = next;
        }
    }

    // A warp's results, 16 rows at a time, through shared memory, so that neighbouring threads store neighbouring columns.
    constexpr int EACH = WN / 32;
    float *const turned = reinterpret_cast<float *>(stages) + warp * (16 * PITCH);
    long long at[EACH];  // where in `out` or `partial` its columns lie
    bool exists[EACH];
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        const long long number = column + warp_n + j * 32 + lane;
        exists[j] = number < q.columns;
        if (partial) {
            at[j] = (slice * p.groups + g) * p.out_channels * q.columns + number;
        } else {
            const Place place = place_at(p, number);
            at[j] = out_offset(p, place.n, g, 0, place.z, place.y, place.x);
        }
    }
    const long long step = partial ? q.columns : p.out[2];
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2 *>(turned + (half * 8 + lane / 4) * PITCH + j * 8 + lane % 4 * 2) = make_float2(sum[i][j][half * 2], sum[i][j][half * 2 + 1]);
        __syncwarp();
#pragma unroll 4
        for (int r = 0; r < 16; r++) {
            const long long channel = o + warp_m + i * 16 + r;
            if (channel >= p.out_channels) break;
            const float added = bias ? Number<T>::load(bias[g * p.out_channels + channel]) : 0.0f;
#pragma unroll
            for (int j = 0; j < EACH; j++)
                if (exists[j]) {
                    const float value = turned[r * PITCH + j * 32 + lane];
                    if (partial)
                        partial[at[j] + channel * step] = value;
                    else
                        out[at[j] + channel * step] = Number<T>::store(bias ? value + added : value);
                }
        }
        __syncwarp();
    }
}

// ---- arrays in the order that the kernel above likes -----------------------------------------------------------------------

// Weights (group, out channel, tap, channel), channels and rows padded with zeros; float rounded to TF32. A block writes rows.
template <typename T>
__global__ void packed(const Conv p, const long long padded, const long long length, const T *__restrict__ weight, T *to, const int *only_if)
{
    if (only_if && !*only_if) return;
    const Raw<T> *const from = reinterpret_cast<const Raw<T> *>(weight);
    const unsigned channels = static_cast<unsigned>(padded), ky = static_cast<unsigned>(p.kernel[1]), kx = static_cast<unsigned>(p.kernel[2]);
    const unsigned depth = static_cast<unsigned>(length);
    for (long long row = blockIdx.x; row < p.groups * p.out_channels; row += gridDim.x) {
        const long long g = row / p.out_channels;
        const Raw<T> *const numbers = from + g * p.weight[0] + (row - g * p.out_channels) * p.weight[1];
        Raw<T> *const packed_row = reinterpret_cast<Raw<T> *>(to) + row * depth;
        for (unsigned k = threadIdx.x; k < depth; k += blockDim.x) {
            const unsigned tap = k / channels, line = tap / kx, z = line / ky, c = k - tap * channels;
            const long long at = c * p.weight[2] + z * p.weight[3] + (line - z * ky) * p.weight[4] + (tap - line * kx) * p.weight[5];
            packed_row[k] = c < p.in_channels && z < p.kernel[0] ? Factor<T>::rounded(numbers[at]) : Raw<T>(0);
        }
    }
}

// The input as (item, group, z, y, x, channel), likewise. A warp has 16 samples, whose reads are neighbours, and two pieces of each, which
// are 32 bytes of what is written.
template <typename T>
__global__ void channels_last(const Conv p, const long long items, const long long padded, const T *__restrict__ input, T *to, const int *only_if)
{
    if (only_if && !*only_if) return;
    constexpr int N = NUMBERS<T>;
    const Raw<T> *const from = reinterpret_cast<const Raw<T> *>(input);
    const long long samples = p.size[0] * p.size[1] * p.size[2], pieces = padded / N;
    const long long sixteens = (samples + 15) / 16, pairs = (pieces + 1) / 2, total = items * p.groups * pairs * sixteens;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const long long step = static_cast<long long>(gridDim.x) * (blockDim.x / 32);
    for (long long i = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32; i < total; i += step) {
        const long long rest = i / sixteens, group = rest / pairs, piece = (rest - group * pairs) * 2 + lane / 16;
        const long long at = (i - rest * sixteens) * 16 + lane % 16;
        if (at >= samples || piece >= pieces) continue;
        const long long line = at / p.size[2], z = line / p.size[1], n = group / p.groups;
        const Raw<T> *const numbers = from + n * p.input[0] + (group - n * p.groups) * p.input[1] + piece * N * p.input[2] + z * p.input[3]
            + (line - z * p.size[1]) * p.input[4] + (at - line * p.size[2]) * p.input[5];
        Held<T> number[N];
#pragma unroll
        for (int j = 0; j < N; j++) number[j] = piece * N + j < p.in_channels ? numbers[j * p.input[2]] : Held<T>(0);
        reinterpret_cast<uint4 *>(to)[(group * samples + at) * pieces + piece] = Factor<T>::piece(number);
    }
}

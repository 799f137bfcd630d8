// Dense convolution as a matrix product that never sees the input's matrix: true float32, float64 and complex numbers on the plain cores.
//
//     out[o, column] = bias[o] + sum over k of weight[o, k] * input[k, column]      of each group; k and columns as in gather.cuh
//
// A block makes BM x BN outputs, STEP rows of k after STEP rows: while it multiplies one tile of both matrices, which lies in shared
// memory, the next is on its way to registers; then it is stored beside the first, so that one barrier is enough. A thread makes
// TM x TN of the outputs, as pieces of 16 bytes in both directions whose places in a warp (4 x 8 threads, pairs of rows first) let
// all of a warp read shared memory without conflicts: per k, (TM + TN) / 4 loads of 16 bytes serve TM * TN multiply-adds. At the end
// each warp turns its results through shared memory, so that neighbouring threads write neighbouring pixels.
//
// Where there are fewer tiles than the device holds, k is cut into slices whose sums go to `partial`, and `reduced` adds them in order.
//
// The blocking is that of Volkov and Demmel, Benchmarking GPUs to tune dense linear algebra (2008), the implicit matrix that of
// Chetlur et al., cuDNN: efficient primitives for deep learning (2014).
#include "numbers.cuh"
#include "elements.cuh"
#include "conv.cuh"
#include "gather.cuh"

struct Cut {
    long long tiles_o, tiles_columns, rows_of_slice;  // how outputs and k are cut
    long long products, weights_in_fours;
};

struct Tile {  // what a block makes
    long long o, column, n;  // the first ones; n is the item of that column,
    unsigned pixel;  // and this its number there
    unsigned g, slice;
};

__device__ __forceinline__ Tile tile_of(const Conv &p, const Cut &cut, int height, int width)
{
    const unsigned tiles_o = static_cast<unsigned>(cut.tiles_o), tiles_columns = static_cast<unsigned>(cut.tiles_columns);
    const unsigned groups = static_cast<unsigned>(p.groups), over = blockIdx.x / tiles_o, above = over / tiles_columns;
    Tile tile;
    tile.o = static_cast<long long>(blockIdx.x - over * tiles_o) * height;  // blocks that read the same columns are neighbours
    tile.column = static_cast<long long>(over - above * tiles_columns) * width;
    tile.slice = above / groups;
    tile.g = above - tile.slice * groups;
    tile.n = tile.column / pixels_of(p);
    tile.pixel = static_cast<unsigned>(tile.column - tile.n * pixels_of(p));
    return tile;
}

template <typename S> struct alignas(16) Piece {
    S value[16 / sizeof(S)];
};

template <int COUNT, int DISTANCE, typename S> __device__ __forceinline__ void read_pieces(S (&into)[COUNT], const S *from)
{
    constexpr int P = 16 / sizeof(S);
#pragma unroll
    for (int i = 0; i < COUNT / P; i++) {
        const Piece<S> piece = *reinterpret_cast<const Piece<S> *>(from + i * DISTANCE);
#pragma unroll
        for (int j = 0; j < P; j++) into[i * P + j] = piece.value[j];
    }
}

__host__ __device__ constexpr int threads_of(int bm, int bn, int tm, int tn) { return bm * bn / (tm * tn); }

// Blocks that a processor shall hold: its 65536 registers are 128 for each thread of them, 168 or 255. Sums of 256 bytes leave 64 of
// 128 registers for all else, which 256 threads can do with; 128 threads gather more each.
__host__ __device__ constexpr int blocks_of(int threads, int outputs, int size)
{
    return size == 16 ? 2 : threads == 128 && outputs * size == 256 ? 3 : 512 / threads;
}

template <typename T, int BM, int BN, int TM, int TN, int GATHER>
__global__ void __launch_bounds__(threads_of(BM, BN, TM, TN), blocks_of(threads_of(BM, BN, TM, TN), TM * TN, sizeof(typename Number<T>::Sum)))
implicit_gemm(
    const Conv p, const Cut cut, const T *__restrict__ input, const T *__restrict__ weight, const T *__restrict__ bias, T *out,
    typename Number<T>::Sum *partial, const int *only_if)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    constexpr int THREADS = threads_of(BM, BN, TM, TN), P = 16 / sizeof(Sum);
    constexpr int PITCH_W = BM + P, PITCH_X = BN + P;  // a piece more, so that four rows further is another half of the banks
    constexpr int WARP_M = 4 * TM, WARP_N = 8 * TN, ACROSS = BN / WARP_N;
    static_assert(THREADS == 32 * (BM / WARP_M) * ACROSS && TM % P == 0 && TN % P == 0 && TN % 4 == 0, "");

    constexpr int BOTH = STEP * (PITCH_W + PITCH_X), RING = 2 * THREADS;
    alignas(16) __shared__ Sum panels[2 * BOTH];  // twice a tile of weights and one of the input; at last, results
    alignas(16) __shared__ Row<PANEL> weight_rows[RING];
    alignas(16) __shared__ Row<GATHER> input_rows[RING];
    __shared__ Tile shared_tile;
    static_assert(THREADS * TN <= 2 * BOTH, "");

    if (only_if && !*only_if) return;

    const unsigned thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    Tile tile = tile_of(p, cut, BM, BN);
    if (!thread) shared_tile = tile;

    // the rows of k that this block sums
    const unsigned products = static_cast<unsigned>(cut.products), rows_of_slice = static_cast<unsigned>(cut.rows_of_slice);
    unsigned k = tile.slice * rows_of_slice;
    const unsigned last = min(k + rows_of_slice, products);

    const T zero = N::store(Sum(0));
    const bool in_fours = cut.weights_in_fours;
    RunsTile<T, BM, THREADS> weight_tile;
    weight_tile.template set<PITCH_W>(weight + tile.g * p.weight[0], tile.o, p.out_channels, p.weight[1]);
    InputTile<T, BN, THREADS, GATHER> input_tile;
    input_tile.template set<PITCH_X>(p, input + tile.g * p.input[1], tile.n, tile.pixel, columns_of(p) - tile.column);

    // Each thread tells one of THREADS rows; the ring has room for twice as many.
    const auto tell_rows = [&](unsigned first) {
        const unsigned row = first + thread;
        const Tap tap = tap_of(p, row < products ? row : 0);
        weight_rows[row % RING] = {weight_offset(p, tap, sizeof(T))};
        input_rows[row % RING] = row_of<GATHER>(p, tap, sizeof(T), row < products);
    };
    const auto load = [&] {
        const unsigned at = k / STEP * STEP % RING;  // k is a multiple of STEP, which the compiler is not aware of
        const int left = static_cast<int>(products - k);
        weight_tile.load(weight_rows + at, left, zero, in_fours);
        input_tile.load(p, input_rows + at, left, zero);
    };
    const auto store = [&](Sum *panel) {
        weight_tile.template store<PITCH_W>(panel);
        input_tile.template store<PITCH_X>(panel + STEP * PITCH_W);
    };

    Sum sum[TM][TN];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) sum[i][j] = Sum(0);

    const unsigned warp_m = warp / ACROSS * WARP_M, warp_n = warp % ACROSS * WARP_N;
    const unsigned lane_m = lane / 16 * 2 + lane % 2, lane_n = lane / 2 % 8;
    const Sum *const mine_w = panels + kept(warp_m + lane_m * P), *const mine_x = panels + STEP * PITCH_W + kept(warp_n + lane_n * P);

    tell_rows(k / THREADS * THREADS);
    __syncthreads();
    load();
    store(panels);
    __syncthreads();
    unsigned half = 0;
    while (k < last) {
        const unsigned next = (k / THREADS + 1) * THREADS;
        if (next < last) {
            tell_rows(next);  // where rows were that all threads have read
            __syncthreads();
        }
        do {
            k += STEP;
            if (k < last) load();
#pragma unroll
            for (int step = 0; step < STEP; step++) {
                Sum a[TM], b[TN];
                read_pieces<TM, 4 * P>(a, mine_w + half + step * PITCH_W);
                read_pieces<TN, 8 * P>(b, mine_x + half + step * PITCH_X);
#pragma unroll
                for (int i = 0; i < TM; i++)
#pragma unroll
                    for (int j = 0; j < TN; j++) multiply_add(sum[i][j], a[i], b[j]);
            }
            half = BOTH - half;
            if (k < last) store(panels + half);
            __syncthreads();
        } while (k < last && k % THREADS);
    }

    tile = shared_tile;  // read again, so that it took no registers meanwhile
    const long long columns = columns_of(p);

    // A warp's results, four rows at a time, through shared memory: a thread stores columns that are 32 apart.
    constexpr int EACH = TN / 4;
    Sum *const turned = panels + warp * (4 * WARP_N);
    long long at[EACH];  // where in `out` or `partial` its columns lie
    bool exists[EACH];
    const long long step = partial ? columns : p.out[2];
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        const unsigned column = warp_n + j * 32 + lane;
        exists[j] = tile.column + column < columns;
        if (partial) {
            at[j] = (tile.slice * p.groups + tile.g) * p.out_channels * columns + tile.column + column;
        } else {
            const Place place = place_of(p, tile.n, tile.pixel + column);
            at[j] = out_offset(p, place.n, tile.g, 0, place.z, place.y, place.x);
        }
    }
#pragma unroll
    for (int i = 0; i < TM; i++) {
#pragma unroll
        for (int j = 0; j < TN; j += P) {
            Piece<Sum> piece;
#pragma unroll
            for (int e = 0; e < P; e++) piece.value[e] = sum[i][j + e];
            *reinterpret_cast<Piece<Sum> *>(turned + lane_m * WARP_N + j / P * (8 * P) + lane_n * P) = piece;
        }
        __syncwarp();
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const long long o = tile.o + warp_m + i / P * (4 * P) + r * P + i % P;
            if (o < p.out_channels) {
                const Sum added = bias && !partial ? N::load(bias[tile.g * p.out_channels + o]) : Sum(0);
#pragma unroll
                for (int j = 0; j < EACH; j++)
                    if (exists[j]) {
                        Sum value = turned[r * WARP_N + j * 32 + lane];
                        if (partial) {
                            partial[at[j] + o * step] = value;
                        } else {
                            if (bias) value += added;
                            out[at[j] + o * step] = N::store(value);
                        }
                    }
            }
        }
        __syncwarp();
    }
}

// out = bias + the sums of all slices, (slice, group, out channel, column), in their order
template <typename T>
__global__ void reduced(
    const Conv p, const long long slices, const typename Number<T>::Sum *__restrict__ partial, const T *__restrict__ bias, T *out, const int *only_if)
{
    using N = Number<T>;
    using Sum = typename N::Sum;
    if (only_if && !*only_if) return;
    const long long pixels = pixels_of(p), columns = p.batch * pixels, total = p.groups * p.out_channels * columns;
    const long long step = all_threads();
    for (long long i = thread_number(); i < total; i += step) {
        Sum sum = partial[i];
        for (long long slice = 1; slice < slices; slice++) sum += partial[slice * total + i];
        const long long channel = i / columns, column = i - channel * columns, n = column / pixels;
        const Place place = place_of(p, n, static_cast<unsigned>(column - n * pixels));
        if (bias) sum += N::load(bias[channel]);
        out[out_offset(p, n, channel / p.out_channels, channel % p.out_channels, place.z, place.y, place.x)] = N::store(sum);
    }
}

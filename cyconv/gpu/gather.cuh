// How the matrices of an implicit product are read, a tile of K rows at a time: first to registers, later to shared memory.
//
//     product[o, column] = sum over k of weight[o, k] * input[k, column],   k = (channel, tz, ty, tx),   column = (n, z, y, x)
//
// Nothing of the input's matrix is stored. Of a row k only some numbers are needed, its Row, made by one thread each for many tiles
// ahead and kept in shared memory; of a column, the first sample of its window. Ways to read the input, told by the launcher:
//
//     PANEL     one output pixel, and a window inside the input: a column is a run of memory, as a row of weights is
//     QUADS     one tap and neither stride nor padding: four columns are neighbours in memory, and aligned
//     MASKED    small windows, offsets of 32 bits: a column has a bit for each tap of each axis, set where that lies outside the input
//     BOUNDED   any window: coordinates are compared
//     BORDERS   any window, and borders that repeat samples
//
// A row behind the last reads as zeros, of both matrices; columns and output channels behind the last read what the last one does, and
// nobody stores what comes of it.
#pragma once
#include "numbers.cuh"
#include "conv.cuh"

enum { PANEL, QUADS, MASKED, BOUNDED, BORDERS };

constexpr int STEP = 8;  // rows of a tile
constexpr unsigned NEVER = 1u << 31;  // a tap that no column has

// Rows tell offsets in bytes, so that an address is one addition: of elements the compiler would add up all that makes an index first.
template <typename T> __device__ __forceinline__ const char *bytes_from(const T *base, long long elements)
{
    return reinterpret_cast<const char *>(base) + elements * static_cast<long long>(sizeof(T));
}
// A thread's own number that every step needs: as it comes, the compiler keeps it; a formula of threadIdx it would work out in each step.
__device__ __forceinline__ unsigned kept(unsigned value)
{
    return __shfl_sync(0xffffffffu, value, static_cast<int>(threadIdx.x % 32));
}
template <typename V> __device__ __forceinline__ V read(const char *base, long long bytes)
{
    return *reinterpret_cast<const V *>(base + bytes);
}

template <typename T> struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four {  // neighbours in memory, read at once
    T value[4];
};

// ---- rows ------------------------------------------------------------------------------------------------------------------

template <int GATHER> struct Row {  // PANEL, QUADS
    long long offset;
};
template <> struct alignas(8) Row<MASKED> {  // two are read at once
    int offset;
    unsigned taps;
};
template <> struct alignas(16) Row<BOUNDED> {
    long long offset;
    int z, y, x;
};
template <> struct alignas(16) Row<BORDERS> {
    long long offset;  // of the channel
    int z, y, x;
};

__device__ __forceinline__ long long columns_of(const Conv &p)
{
    return p.batch * pixels_of(p);
}

struct Tap {
    long long channel, z, y, x;
};

__device__ __forceinline__ Tap tap_of(const Conv &p, unsigned k)
{
    const unsigned kz = static_cast<unsigned>(p.kernel[0]), ky = static_cast<unsigned>(p.kernel[1]), kx = static_cast<unsigned>(p.kernel[2]);
    const unsigned lines = k / kx, planes = lines / ky, channel = planes / kz;
    return {channel, planes - channel * kz, lines - planes * ky, k - lines * kx};
}

__device__ __forceinline__ long long weight_offset(const Conv &p, const Tap &tap, int size)
{
    return (tap.channel * p.weight[2] + tap.z * p.weight[3] + tap.y * p.weight[4] + tap.x * p.weight[5]) * size;
}

template <int GATHER> __device__ __forceinline__ Row<GATHER> row_of(const Conv &p, const Tap &tap, int size, bool exists)
{
    const long long z = tap.z * p.dilation[0], y = tap.y * p.dilation[1], x = tap.x * p.dilation[2];
    const long long channel = tap.channel * p.input[2] * size, offset = channel + (z * p.input[3] + y * p.input[4] + x * p.input[5]) * size;
    if constexpr (GATHER == MASKED)
        return {static_cast<int>(offset), exists ? 1u << tap.z | 1u << (p.kernel[0] + tap.y) | 1u << (p.kernel[0] + p.kernel[1] + tap.x) : NEVER};
    else if constexpr (GATHER == BOUNDED)
        return {offset, static_cast<int>(z), static_cast<int>(y), exists ? static_cast<int>(x) : 1 << 30};
    else if constexpr (GATHER == BORDERS)
        return {channel, exists ? static_cast<int>(z) : -1, static_cast<int>(y), static_cast<int>(x)};
    else
        return {offset};
}

// ---- columns ---------------------------------------------------------------------------------------------------------------

// The place of column `first` + `local`, whose first pixel is told; items have less than 2**31 pixels.
__device__ __forceinline__ Place place_of(const Conv &p, long long n, unsigned pixel)
{
    const unsigned oz = static_cast<unsigned>(p.out_size[0]), oy = static_cast<unsigned>(p.out_size[1]), ox = static_cast<unsigned>(p.out_size[2]);
    const unsigned lines = pixel / ox, planes = lines / oy, items = planes / oz;
    return {n + items, 0, planes - items * oz, lines - planes * oy, pixel - lines * ox};
}

template <typename T, int GATHER> struct Column;

template <typename T> struct Column<T, MASKED> {
    const char *window;
    unsigned outside;  // bits of taps that lie outside

    __device__ __forceinline__ void set(const Conv &p, const T *input, const Place &at)
    {
        const long long first[3] = {at.z * p.stride[0] - p.before[0], at.y * p.stride[1] - p.before[1], at.x * p.stride[2] - p.before[2]};
        window = bytes_from(input, at.n * p.input[0] + first[0] * p.input[3] + first[1] * p.input[4] + first[2] * p.input[5]);
        outside = NEVER;
        int bit = 0;
        for (int axis = 0; axis < 3; axis++)
            for (int tap = 0; tap < static_cast<int>(p.kernel[axis]); tap++, bit++) {
                const long long where = first[axis] + tap * p.dilation[axis];
                if (where < 0 || where >= p.size[axis]) outside |= 1u << bit;
            }
    }
    __device__ __forceinline__ T get(const Conv &, const Row<MASKED> &row, T zero) const
    {
        return row.taps & outside ? zero : read<T>(window, row.offset);
    }
};

template <typename T> struct Column<T, BOUNDED> {
    const char *window;
    int z, y, x;

    __device__ __forceinline__ void set(const Conv &p, const T *input, const Place &at)
    {
        z = static_cast<int>(at.z * p.stride[0] - p.before[0]);
        y = static_cast<int>(at.y * p.stride[1] - p.before[1]);
        x = static_cast<int>(at.x * p.stride[2] - p.before[2]);
        window = bytes_from(input, at.n * p.input[0] + z * p.input[3] + y * p.input[4] + x * p.input[5]);
    }
    __device__ __forceinline__ T get(const Conv &p, const Row<BOUNDED> &row, T zero) const
    {
        const bool inside = static_cast<unsigned>(z + row.z) < static_cast<unsigned>(p.size[0])
            & static_cast<unsigned>(y + row.y) < static_cast<unsigned>(p.size[1])
            & static_cast<unsigned>(x + row.x) < static_cast<unsigned>(p.size[2]);
        return inside ? read<T>(window, row.offset) : zero;
    }
};

template <typename T> struct Column<T, BORDERS> {
    const char *item;
    int z, y, x;

    __device__ __forceinline__ void set(const Conv &p, const T *input, const Place &at)
    {
        z = static_cast<int>(at.z * p.stride[0] - p.before[0]);
        y = static_cast<int>(at.y * p.stride[1] - p.before[1]);
        x = static_cast<int>(at.x * p.stride[2] - p.before[2]);
        item = bytes_from(input, at.n * p.input[0]);
    }
    __device__ __forceinline__ T get(const Conv &p, const Row<BORDERS> &row, T zero) const
    {
        const int sz = sample(z + row.z, p.size[0], p.mode), sy = sample(y + row.y, p.size[1], p.mode), sx = sample(x + row.x, p.size[2], p.mode);
        if ((row.z | sz | sy | sx) < 0) return zero;
        return read<T>(item, row.offset + (sz * p.input[3] + sy * p.input[4] + sx * p.input[5]) * static_cast<long long>(sizeof(T)));
    }
};

// ---- tiles -----------------------------------------------------------------------------------------------------------------

// Columns that are runs of memory: a thread reads four numbers of one of WIDTH columns, of rows k to k+3, neighbouring threads go on
// along k. Where four are neighbours in memory (`in_fours`) they are read at once.
template <typename T, int WIDTH, int THREADS> struct RunsTile {
    static constexpr int ALL = WIDTH * STEP / 4, EACH = (ALL + THREADS - 1) / THREADS;
    const char *run[EACH];
    T value[EACH][4];
    unsigned first;  // where the first number goes; those of other columns are at the same distance for all threads

    static __device__ __forceinline__ bool takes_part(int i) { return ALL % THREADS == 0 || i * THREADS + threadIdx.x < ALL; }
    static __device__ __forceinline__ unsigned column(int i) { return (i * THREADS + threadIdx.x) / (STEP / 4); }
    static __device__ __forceinline__ int row() { return threadIdx.x % (STEP / 4) * 4; }
    // `columns` from the tile's first on, `step` apart
    template <int PITCH> __device__ __forceinline__ void set(const T *base, long long from, long long columns, long long step)
    {
        first = kept(row() * PITCH + column(0));
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const long long at = from + column(i);
            run[i] = bytes_from(base, (at < columns ? at : columns - 1) * step);
        }
    }
    // rows of which `left` exist
    __device__ __forceinline__ void load(const Row<PANEL> *rows, int left, T zero, bool in_fours)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (!takes_part(i)) break;
#pragma unroll
            for (int j = 0; j < 4; j++) value[i][j] = zero;
            if (in_fours) {  // then four rows exist or none does
                if (row() < left) {
                    const Four<T> four = read<Four<T>>(run[i], rows[row()].offset);
#pragma unroll
                    for (int j = 0; j < 4; j++) value[i][j] = four.value[j];
                }
            } else {
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (row() + j < left) value[i][j] = read<T>(run[i], rows[row() + j].offset);
            }
        }
    }
    template <int PITCH, typename S> __device__ __forceinline__ void store(S *panel) const
    {
        S *const to = panel + first;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (takes_part(i)) {
#pragma unroll
                for (int j = 0; j < 4; j++) to[j * PITCH + i * (THREADS / (STEP / 4))] = Number<T>::load(value[i][j]);
            }
    }
};

// The input's tile, by any way to read it. MASKED, BOUNDED, BORDERS: a thread has a column (or some), and rows one after the other.
template <typename T, int WIDTH, int THREADS, int GATHER> struct InputTile {
    static constexpr int COLUMNS = WIDTH > THREADS ? WIDTH / THREADS : 1, ROWS = STEP * WIDTH / THREADS / COLUMNS;
    Column<T, GATHER> column[COLUMNS];
    T value[COLUMNS][ROWS];
    unsigned first;  // where the first number goes

    static __device__ __forceinline__ unsigned row() { return threadIdx.x / WIDTH * ROWS; }

    template <int PITCH> __device__ __forceinline__ void set(const Conv &p, const T *input, long long first_n, unsigned first_pixel, long long columns)
    {
        first = kept(row() * PITCH + threadIdx.x % WIDTH);
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            const long long at = c * THREADS + threadIdx.x % WIDTH;
            column[c].set(p, input, place_of(p, first_n, first_pixel + static_cast<unsigned>(at < columns ? at : columns - 1)));
        }
    }
    __device__ __forceinline__ void load(const Conv &p, const Row<GATHER> *rows, int, T zero)
    {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            const Row<GATHER> one = rows[row() + r];
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) value[c][r] = column[c].get(p, one, zero);
        }
    }
    template <int PITCH, typename S> __device__ __forceinline__ void store(S *panel) const
    {
        S *const to = panel + first;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int r = 0; r < ROWS; r++) to[r * PITCH + c * THREADS] = Number<T>::load(value[c][r]);
    }
};

template <typename T, int WIDTH, int THREADS> struct InputTile<T, WIDTH, THREADS, PANEL> {
    RunsTile<T, WIDTH, THREADS> runs;

    template <int PITCH> __device__ __forceinline__ void set(const Conv &p, const T *input, long long first_n, unsigned, long long columns)
    {
        const T *const window = input - p.before[0] * p.input[3] - p.before[1] * p.input[4] - p.before[2] * p.input[5];
        runs.template set<PITCH>(window + first_n * p.input[0], 0, columns, p.input[0]);
    }
    __device__ __forceinline__ void load(const Conv &, const Row<PANEL> *rows, int left, T zero) { runs.load(rows, left, zero, true); }
    template <int PITCH, typename S> __device__ __forceinline__ void store(S *panel) const { runs.template store<PITCH>(panel); }
};

template <typename T, int WIDTH, int THREADS> struct InputTile<T, WIDTH, THREADS, QUADS> {
    static constexpr int ALL = WIDTH * STEP / 4, EACH = (ALL + THREADS - 1) / THREADS;
    const char *from;
    Four<T> value[EACH];
    unsigned first;  // where the first number goes
    static_assert(THREADS % (WIDTH / 4) == 0, "a thread reads the same columns of all its rows");

    static __device__ __forceinline__ bool takes_part(int i) { return ALL % THREADS == 0 || i * THREADS + threadIdx.x < ALL; }
    static __device__ __forceinline__ int row(int i) { return i * (THREADS / (WIDTH / 4)) + threadIdx.x / (WIDTH / 4); }
    static __device__ __forceinline__ unsigned column() { return threadIdx.x % (WIDTH / 4) * 4; }
    template <int PITCH> __device__ __forceinline__ void set(const Conv &p, const T *input, long long first_n, unsigned first_pixel, long long columns)
    {
        first = kept(row(0) * PITCH + column());
        const long long at = column() < columns ? column() : columns - 4;
        const Place place = place_of(p, first_n, first_pixel + static_cast<unsigned>(at));
        from = bytes_from(input, place.n * p.input[0] + place.z * p.input[3] + place.y * p.input[4] + place.x * p.input[5]);
    }
    __device__ __forceinline__ void load(const Conv &, const Row<QUADS> *rows, int left, T zero)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (!takes_part(i)) break;
            value[i] = {{zero, zero, zero, zero}};
            if (row(i) < left) value[i] = read<Four<T>>(from, rows[row(i)].offset);
        }
    }
    template <int PITCH, typename S> __device__ __forceinline__ void store(S *panel) const
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (!takes_part(i)) break;
            Four<S> four;
#pragma unroll
            for (int j = 0; j < 4; j++) four.value[j] = Number<T>::load(value[i].value[j]);
            *reinterpret_cast<Four<S> *>(panel + first + i * (THREADS / (WIDTH / 4)) * PITCH) = four;
        }
    }
};

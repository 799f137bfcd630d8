// Values spread over the windows of a pool:  out[plane, i] = sum of values[plane, o] / divisor(o) over the windows o that sample i lies in.
//
// The gradient of averages; and of p-norms, whose sums are multiplied by a power of the sample. The sum over windows is a sum of sums, axis
// after axis, each from the first window to the last. So a large window costs its length along each axis, not its volume. The results are
// those of the CPU (_spread.pyx), bit for bit, where the windows along x that a tile lies in are in shared memory together.
//
// A block makes a tile of 1024 samples, rows of one z of a plane, or of several small planes. Through shared memory go, for as many
// windows at a time as there is room for,
//
//     quotients    values / divisor, added up along z, of the windows that the tile's samples lie in
//     sums         of those along y, for each row of samples
//
// and each thread adds up 4 samples along x. What is the same for all planes, which windows rows and columns lie in, is found once, and then
// planes follow. Each value is read about once, each sample written once. Any strides.
//
// Windows that do not overlap, the common case, need none of this: alone() repeats quotients.
#include "places.cuh"
#include "reach.cuh"

enum { BY_DIVISOR, BY_SAMPLES, BY_PADDED, BY_SHARE };  // what is counted: nothing, samples, also padding, what part of a whole window

struct Spread {
    long long planes, channels;
    Axis axis[3];
    long long values[5], out[5], samples[5];  // strides of (n, c, z, y, x)
    long long counting, divisor;              // of all windows, besides what is counted
    long long longer, taps;                   // along x: the first `longer` of each `stride` samples lie in so many windows
    long long tiles[4];                       // groups of planes, z, rows and columns of tiles
    long long column_bits, rows, together, each;  // a tile: columns as a power of two, rows, planes; and planes of a group
    long long high, wide;                     // windows in shared memory
};

enum { THREADS = 256, SAMPLES = 4, COLUMNS = 256, ROWS = 128, WINDOWS = 256, ROOM_BYTES = 9280 };

// As on the CPU: the quotient rounded once, also where the divisor, D being double, is no number of single precision.
template <typename D> __device__ __forceinline__ double over(double value, D divisor) { return value / divisor; }
__device__ __forceinline__ float over(float value, float divisor) { return value / divisor; }
__device__ __forceinline__ float over(float value, double divisor) { return static_cast<float>(value / divisor); }
template <typename R, typename D>
__device__ __forceinline__ Complex<R> over(Complex<R> value, D divisor)
{
    return Complex<R>(over(value.re, divisor), over(value.im, divisor));
}

__device__ __forceinline__ double counted(long long counting, const Axis &a, long long o)
{
    if (counting == BY_DIVISOR) return 1;
    if (counting == BY_PADDED && !a.adaptive) {
        const long long left = a.size + a.after + a.before - o * a.stride;
        return static_cast<double>(left < a.kernel ? left : a.kernel);
    }
    const double held = static_cast<double>(window(a, o).count);
    return counting == BY_SHARE ? held / static_cast<double>(a.kernel) : held;
}

template <typename Sum>
__device__ __forceinline__ Sum added(Sum a, const Sum &b)
{
    a += b;
    return a;
}

// i / n of numbers whose product is below 2**32, by one multiplication.
struct Divisor {
    unsigned n;
    unsigned long long factor;
    __device__ explicit Divisor(int n) : n(n), factor(0xffffffffu / static_cast<unsigned>(n) + 1ull) {}
    __device__ __forceinline__ int operator()(int i, int &rest) const
    {
        const int found = static_cast<int>(static_cast<unsigned>(i) * factor >> 32);
        rest = i - found * static_cast<int>(n);
        return found;
    }
};

__device__ __forceinline__ int within(long long at, int most)
{
    return at < 0 ? 0 : at < most ? static_cast<int>(at) : most;
}

__device__ __forceinline__ long long plane_offset(const Spread &p, const long long *strides, long long plane)
{
    const long long n = p.channels == p.planes ? 0 : divided(plane, p.channels);
    return n * strides[0] + (plane - n * p.channels) * strides[1];
}

// From the sum over windows to the gradient of a p-norm, p = power + 1, but for what is the same for a whole window.
__device__ __forceinline__ double times_power(double sum, double x, double power)
{
    return power < 0 && sum == 0 && x == 0 ? 0 : sum * powered(x, power);
}

// A tile, in shared memory, since registers are scarce.
struct Tile {
    long long begin, end;     // planes
    long long z, y, x;        // its first sample
    Reach wz, wy, wx;         // windows
    double by_depth;          // what values of the first along z are divided by, besides what y and x count
};

struct Near {
    int low, high;  // a Reach, from the tile's first window on
};

__device__ __forceinline__ Near nearby(const Axis &a, long long i, const Reach &all)
{
    const Reach found = i < a.size ? reach(a, i) : all;
    return i < a.size ? Near{static_cast<int>(found.low - all.low), static_cast<int>(found.high - all.low)} : Near{0, 0};
}

// By five threads, whose reaches take some divisions.
__device__ __forceinline__ void open_tile(const Spread &p, long long item, Tile &t)
{
    const int thread = threadIdx.x;
    const long long row = divided(item, p.tiles[3]), plane = divided(row, p.tiles[2]), group = divided(plane, p.tiles[1]);
    const long long z = plane - group * p.tiles[1], y = (row - plane * p.tiles[2]) * p.rows, x = (item - row * p.tiles[3]) << p.column_bits;
    const int axis = thread == 0 ? 0 : (thread + 1) / 2;  // 0, 1, 1, 2, 2
    const long long first = axis == 0 ? z : axis == 1 ? y : x, length = axis == 1 ? p.rows : 1ll << p.column_bits;
    const long long last = min(first + length, p.axis[axis].size) - 1;
    const Reach found = reach(p.axis[axis], thread == 0 || thread % 2 == 1 ? first : last);
    if (thread == 0) {
        t.begin = group * p.each, t.end = min(t.begin + p.each, p.planes);
        t.z = z, t.y = y, t.x = x, t.wz = found;
        t.by_depth = found.low < found.high ? p.divisor * counted(p.counting, p.axis[0], found.low) : 1;
    }
    if (thread == 1) t.wy.low = found.low;
    if (thread == 2) t.wy.high = found.high;
    if (thread == 3) t.wx.low = found.low;
    if (thread == 4) t.wx.high = found.high;
}

// D: of the divisors; float where all are numbers of single precision.
template <typename T, typename V, typename D, bool POWERS>
__global__ void __launch_bounds__(THREADS, sizeof(typename Number<V>::Sum) + sizeof(D) == 8 ? 4 : sizeof(typename Number<V>::Sum) < 16 ? 3 : 2)
    spread(const Spread p, const double power, const V *__restrict__ values, const T *__restrict__ samples, T *__restrict__ out)
{
    using Sum = typename Number<V>::Sum;
    constexpr int ROOM = ROOM_BYTES / sizeof(Sum);
    __shared__ Sum quotients[ROOM], sums[ROOM];
    __shared__ Near of_column[COLUMNS], of_row[ROWS];
    __shared__ D by_row[WINDOWS], by_column[WINDOWS];
    __shared__ long long from_plane[ROWS], to_plane[ROWS];
    __shared__ Tile t;
    const int thread = threadIdx.x, columns = 1 << p.column_bits, rows = static_cast<int>(p.rows);
    const int column = thread & (columns - 1), first_row = thread >> p.column_bits, row_step = THREADS >> p.column_bits;
    const long long items = p.tiles[0] * p.tiles[1] * p.tiles[2] * p.tiles[3];
    for (long long item = blockIdx.x; item < items; item += gridDim.x) {
        __syncthreads();
        if (thread < 5) open_tile(p, item, t);
        __syncthreads();
        for (int i = thread; i < columns; i += THREADS) of_column[i] = nearby(p.axis[2], t.x + i, t.wx);
        for (int i = thread; i < rows; i += THREADS) of_row[i] = nearby(p.axis[1], t.y + i, t.wy);
        const bool at_once = t.wx.high - t.wx.low <= p.wide && t.wy.high - t.wy.low <= p.high;  // then counts are found once
        bool apart = false;  // on the CPU all windows but the first are added up before it
        if (p.taps && at_once) {
            const long long at = t.x + column + p.axis[2].before, group = divided(at, p.axis[2].stride);
            apart = at - group * p.axis[2].stride < p.longer && group >= p.taps - 1 && t.x + column < p.axis[2].size;
        }
        for (long long first = t.begin; first < t.end; first += p.together) {
            const int planes = static_cast<int>(min(p.together, t.end - first));
            __syncthreads();
            for (int i = thread; i < planes; i += THREADS) {
                from_plane[i] = plane_offset(p, p.values, first + i);
                to_plane[i] = plane_offset(p, p.out, first + i) + t.z * p.out[2] + t.y * p.out[3] + t.x * p.out[4];
            }
            __syncthreads();
            Sum sum[SAMPLES];
#pragma unroll
            for (int k = 0; k < SAMPLES; k++) sum[k] = Sum(0);
            for (long long wx = t.wx.low; wx < t.wx.high && t.wy.low < t.wy.high; wx += p.wide) {  // without rows of windows there are no sums
                const int width = static_cast<int>(min(p.wide, t.wx.high - wx));
                const Divisor width_of(width);
                for (long long wy = t.wy.low; wy < t.wy.high; wy += p.high) {
                    const int height = static_cast<int>(min(p.high, t.wy.high - wy));
                    if (!at_once || first == t.begin) {
                        for (int i = thread; i < width; i += THREADS) by_column[i] = static_cast<D>(counted(p.counting, p.axis[2], wx + i));
                        for (int i = thread; i < height; i += THREADS) by_row[i] = static_cast<D>(counted(p.counting, p.axis[1], wy + i));
                        __syncthreads();
                    }
                    const Divisor height_of(height);
                    const V *const corner = values + t.wz.low * p.values[2] + wy * p.values[3] + wx * p.values[4];
                    const int volume = planes * height * width, deep = static_cast<int>(t.wz.high - t.wz.low);
                    // first all loads, then divisions, each thread of what it has loaded itself
#pragma unroll 4
                    for (int i = thread; i < volume; i += THREADS) {
                        int x, y;
                        const int plane = height_of(width_of(i, x), y);
                        quotients[i] = deep ? Number<V>::load(corner[from_plane[plane] + y * p.values[3] + x * p.values[4]]) : Sum(0);
                    }
#pragma unroll 1
                    for (int i = thread; i < volume; i += THREADS) {
                        int x, y;
                        const int plane = height_of(width_of(i, x), y);
                        Sum quotient = over(quotients[i], static_cast<D>(t.by_depth) * by_row[y] * by_column[x]);
                        for (int o = 1; o < deep; o++) {
                            const D by_depth = static_cast<D>(p.divisor * counted(p.counting, p.axis[0], t.wz.low + o));
                            const V more = corner[from_plane[plane] + o * p.values[2] + y * p.values[3] + x * p.values[4]];
                            quotient += over(Number<V>::load(more), by_depth * by_row[y] * by_column[x]);
                        }
                        quotients[i] = quotient;
                    }
                    __syncthreads();
                    const Divisor row_of(rows);
                    for (int i = thread; i < planes * rows * width; i += THREADS) {
                        int x, y;
                        const int plane = row_of(width_of(i, x), y);
                        const int down = static_cast<int>(wy - t.wy.low);
                        const int end = within(of_row[y].high - down, height);
                        Sum along = down == 0 ? Sum(0) : sums[i];
                        for (int o = within(of_row[y].low - down, height); o < end; o++) along += quotients[(plane * height + o) * width + x];
                        sums[i] = along;
                    }
                    __syncthreads();
                }
                const int right = static_cast<int>(wx - t.wx.low);
                const int begin = within(of_column[column].low - right, width), end = within(of_column[column].high - right, width);
#pragma unroll
                for (int k = 0; k < SAMPLES; k++) {
                    const int row = (first_row + k * row_step) * width;
                    if (row >= planes * rows * width) break;
                    for (int o = begin + apart; o < end; o++) sum[k] += sums[row + o];
                    if (apart && begin < end) sum[k] = added(sums[row + begin], sum[k]);
                }
            }
            if (t.x + column >= p.axis[2].size) continue;
            const Divisor row_of(rows);
#pragma unroll
            for (int k = 0; k < SAMPLES; k++) {
                int y;
                const int plane = row_of(first_row + k * row_step, y);
                if (plane >= planes || t.y + y >= p.axis[1].size) continue;
                T *const to = out + to_plane[plane] + y * p.out[3] + column * p.out[4];
                if constexpr (POWERS) {
                    const bool inside = t.wz.low < t.wz.high && of_row[y].low < of_row[y].high && of_column[column].low < of_column[column].high;
                    const long long place = t.z * p.samples[2] + (t.y + y) * p.samples[3] + (t.x + column) * p.samples[4];
                    const T x = samples[plane_offset(p, p.samples, first + plane) + place];
                    *to = Pooled<T>::rounded(inside ? times_power(sum[k], Pooled<T>::term(x), power) : 0.0);
                } else {
                    *to = Number<T>::store(sum[k]);
                }
            }
        }
    }
}

// ---- windows apart from each other -------------------------------------------------------------------------------------------

struct Alone {
    Digits<8> digits;  // n, c, windows along z, their samples, windows along y, UNDER of their samples each, windows along x, their samples
    Axis axis[3];
    long long span[3];  // samples from one window to the next
    long long values[5], out[5];
    long long counting, divisor;
};

enum { UNDER = 8 };

// A thread has up to 8 samples of one window below each other, and neighbours have neighbouring x: a value is read, divided, and
// written so often. There may be samples between windows and behind the last one, which get 0.
template <typename T, typename D>
__global__ void __launch_bounds__(THREADS) alone(const Alone p, const T *__restrict__ values, T *__restrict__ out)
{
    using Sum = typename Number<T>::Sum;
    const Axis &az = p.axis[0], &ay = p.axis[1], &ax = p.axis[2];
    for (Walk<8, int> at(p.digits); at.more(p.digits); at.next(p.digits)) {
        const long long z = at[2] * p.span[0] + at[3] - az.before, x = at[6] * p.span[2] + at[7] - ax.before;
        if (z < 0 || z >= az.size || x < 0 || x >= ax.size) continue;
        const bool inside = at[2] < az.out && at[3] < az.kernel && at[4] < ay.out && at[6] < ax.out && at[7] < ax.kernel;
        Sum sum(0);
        if (inside) {
            D divisor = static_cast<D>(p.divisor);
            if (p.counting != BY_DIVISOR)
                divisor = static_cast<D>(counted(p.counting, az, at[2]) * counted(p.counting, ay, at[4]) * counted(p.counting, ax, at[6]));
            const T value = values[at[0] * p.values[0] + at[1] * p.values[1] + at[2] * p.values[2] + at[4] * p.values[3] + at[6] * p.values[4]];
            sum = over(Number<T>::load(value), divisor);
        }
        const T held = Number<T>::store(sum), none = Number<T>::store(Sum(0));
        const long long first = static_cast<long long>(at[5]) * UNDER, y = at[4] * p.span[1] + first - ay.before;
        const int begin = within(-y, UNDER), end = within(min(p.span[1] - first, ay.size - y), UNDER), change = within(ay.kernel - first, UNDER);
        T *to = out + at[0] * p.out[0] + at[1] * p.out[1] + z * p.out[2] + (y + begin) * p.out[3] + x * p.out[4];
        for (int j = begin; j < end; j++, to += p.out[3]) *to = j < change ? held : none;
    }
}

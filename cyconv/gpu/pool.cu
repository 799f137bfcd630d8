// Pooling, window by window:  out[n, c, o] = maximum, minimum, average or p-norm of input[n, c, window(o)].
//
//     small      windows of 2x2 or 3x3, whose taps are unrolled; a thread makes some results below each other, so that several
//                loads are under way at once. The common case; an operation or two for each number, so that memory should be the bound.
//     windows    any window, one thread for each
//     together   long windows that are few or stand alone in their plane: a warp or a block for each, whose threads take samples that
//                are neighbours in memory; or, where those are channels, 8 warps for 32 windows
//
// The input is read where it lies, with any strides. Neighbouring threads have neighbouring x, or channels where these are closer in
// memory. A result depends on its window alone, and is joined in an order that depends on sizes alone.
#include "windows.cuh"
#include "divisor.cuh"

struct Pool {
    long long total;  // outputs, or where a thread makes several, groups of them
    long long batch;
    Divisor width, rows, depth, channels;  // along x, y (groups of rows, too) and z
    Axis axis[3];                          // z, y, x
    long long input[5], out[5], indices[5];  // strides of (n, c, z, y, x)
    long long place[3];  // from one sample to the next, as indices count
    long long pixels;    // whether neighbours in memory are channels
    long long padding_counts;
    long long outside;  // bits of the constant beyond the input
    Division division;
};

struct Spot {
    long long n, c, z, y, x;
};


// The output that stands at i of all. What is 1 for 2-d pools, and for batches that are one with channels, costs nothing.
template <typename I>
__device__ __forceinline__ Spot spot_in(const Pool &p, I i)
{
    I c = 0, z = 0, n = 0, rest = i, above;
    if (p.pixels) above = divided(rest, p.channels), c = rest - above * static_cast<I>(p.channels.by), rest = above;
    above = divided(rest, p.width);
    const I x = rest - above * static_cast<I>(p.width.by);
    rest = divided(above, p.rows);
    const I y = above - rest * static_cast<I>(p.rows.by);
    if (p.depth.by > 1) above = divided(rest, p.depth), z = rest - above * static_cast<I>(p.depth.by), rest = above;
    if (p.pixels)
        n = rest;
    else if (p.batch > 1)
        n = divided(rest, p.channels), c = rest - n * static_cast<I>(p.channels.by);
    else
        c = rest;
    return Spot{static_cast<long long>(n), static_cast<long long>(c), static_cast<long long>(z), static_cast<long long>(y), static_cast<long long>(x)};
}

__device__ __forceinline__ Spot spot(const Pool &p, long long i)
{
    if (p.total >> 31) return spot_in<unsigned long long>(p, i);
    return spot_in<unsigned>(p, static_cast<unsigned>(i));
}

__device__ __forceinline__ long long offset(const long long *strides, const Spot &s)
{
    return s.n * strides[0] + s.c * strides[1] + s.z * strides[2] + s.y * strides[3] + s.x * strides[4];
}

// Samples that an average counts along an axis.
__device__ __forceinline__ long long counted(const Pool &p, const Axis &a, long long o, long long held)
{
    if (!p.padding_counts) return held;
    const long long left = a.size + a.after - (o * a.stride - a.before);
    return left < a.kernel ? left : a.kernel;
}

// ---- small windows ---------------------------------------------------------------------------------------------------------

__device__ __forceinline__ int within(int at, int size)
{
    return min(max(at, 0), size - 1);
}

// Planes (z is 1) that 32 bits count, windows that are not dilated.
template <typename T, int KIND, int KERNEL, bool INDICES>
__global__ void __launch_bounds__(256, 5) small(const Pool p, const T *__restrict__ input, T *__restrict__ out, long long *__restrict__ indices)
{
    using J = Join<T, KIND>;
    constexpr int RESULTS = sizeof(T) <= 2 && KERNEL == 2 ? 4 : sizeof(T) <= 4 ? 2 : 1;
    const Axis &ay = p.axis[1], &ax = p.axis[2];
    const int height = static_cast<int>(ay.size), width = static_cast<int>(ax.size), rows = static_cast<int>(ay.out);
    const long long i = thread_number();
    if (i >= p.total) return;
    Spot s = spot(p, i);
    s.y *= RESULTS;
    const T *const plane = input + s.n * p.input[0] + s.c * p.input[1];
    const int step_y = static_cast<int>(p.input[3]), step_x = static_cast<int>(p.input[4]);
    const int left = static_cast<int>(s.x) * static_cast<int>(ax.stride) - static_cast<int>(ax.before);
    int top = static_cast<int>(s.y) * static_cast<int>(ay.stride) - static_cast<int>(ay.before);
    int column[KERNEL], columns = 0;
#pragma unroll
    for (int j = 0; j < KERNEL; j++) {
        // a tap that does not exist is another one of the window, which cannot win over itself
        column[j] = within(left + j, width);
        columns += column[j] == left + j;
    }
    typename J::Value joined[RESULTS];
    int place[RESULTS], held[RESULTS];
#pragma unroll
    for (int r = 0; r < RESULTS; r++, top += static_cast<int>(ay.stride)) {
        held[r] = 0;
        if constexpr (!J::EXTREME) joined[r] = typename J::Value(0);
#pragma unroll
        for (int k = 0; k < KERNEL; k++) {
            const int row = within(top + k, height);
            held[r] += row == top + k;
#pragma unroll
            for (int j = 0; j < KERNEL; j++) {
                const auto v = J::term(plane[row * step_y + column[j] * step_x], p.division);
                if constexpr (!J::EXTREME) {
                    if (row == top + k && column[j] == left + j) joined[r] += v;
                } else if (k + j == 0 || J::beats(v, joined[r])) {
                    joined[r] = v;
                    if constexpr (INDICES) place[r] = row * width + column[j];
                }
            }
        }
    }
#pragma unroll
    for (int r = 0; r < RESULTS; r++) {
        if (s.y + r >= rows) break;
        Count count;
        if constexpr (!J::EXTREME) {
            count.times(counted(p, ay, s.y + r, held[r]), KERNEL);
            count.times(counted(p, ax, s.x, columns), KERNEL);
        }
        const Spot at{s.n, s.c, 0, s.y + r, s.x};
        out[offset(p.out, at)] = finished<T, KIND>(joined[r], count, p.division);
        if constexpr (INDICES) indices[offset(p.indices, at)] = place[r];
    }
}

// ---- any window ------------------------------------------------------------------------------------------------------------

// Sizes, how far windows reach, and offsets within a plane are below 2**31: no division is one of 64 bits.
template <typename T, int KIND, bool INDICES>
__global__ void __launch_bounds__(256, 4) windows(const Pool p, const T *__restrict__ input, T *__restrict__ out, long long *__restrict__ indices)
{
    using J = Join<T, KIND>;
    const long long i = thread_number();
    if (i >= p.total) return;
    const Spot s = spot(p, i);
    const Span<int> z = window(p.axis[0], static_cast<int>(s.z)), y = window(p.axis[1], static_cast<int>(s.y));
    const Span<int> x = window(p.axis[2], static_cast<int>(s.x));
    const int step_z = static_cast<int>(p.input[2]), step_y = static_cast<int>(p.input[3]), step_x = static_cast<int>(p.axis[2].dilation * p.input[4]);
    const T *const plane = input + s.n * p.input[0] + s.c * p.input[1] + x.first * p.input[4];
    typename J::Value joined;
    int place = z.first * static_cast<int>(p.place[0]) + y.first * static_cast<int>(p.place[1]) + x.first;
    if constexpr (J::EXTREME)
        joined = J::term(plane[z.first * step_z + y.first * step_y], p.division);
    else
        joined = typename J::Value(0);
    for (int k = 0; k < z.count; k++)
        for (int j = 0; j < y.count; j++) {
            const int at_z = z.first + k * static_cast<int>(p.axis[0].dilation), at_y = y.first + j * static_cast<int>(p.axis[1].dilation);
            const T *const row = plane + at_z * step_z + at_y * step_y;
            const int first = at_z * static_cast<int>(p.place[0]) + at_y * static_cast<int>(p.place[1]) + x.first;
            for (int t = 0; t < x.count; t++) {
                const auto v = J::term(row[t * step_x], p.division);
                if constexpr (INDICES) {
                    if (J::beats(v, joined)) joined = v, place = first + t * static_cast<int>(p.axis[2].dilation);
                } else {
                    J::add(joined, v);
                }
            }
        }
    Count count;
    if constexpr (!J::EXTREME) {
        count.times(counted(p, p.axis[0], s.z, z.count), p.axis[0].kernel);
        count.times(counted(p, p.axis[1], s.y, y.count), p.axis[1].kernel);
        count.times(counted(p, p.axis[2], s.x, x.count), p.axis[2].kernel);
    }
    out[offset(p.out, s)] = finished<T, KIND>(joined, count, p.division);
    if constexpr (INDICES) indices[offset(p.indices, s)] = place;
}

// ---- windows that go on beyond the input -----------------------------------------------------------------------------------

// Of filters: stride is 1, and each tap counts, whatever lies there. Sizes and how far windows reach are below 2**31.
template <typename T, int KIND>
__global__ void __launch_bounds__(256, 4) bordered(const Pool p, const T *__restrict__ input, T *__restrict__ out)
{
    using J = Join<T, KIND>;
    const long long i = thread_number();
    if (i >= p.total) return;
    const Spot s = spot(p, i);
    const int left_z = static_cast<int>(s.z - p.axis[0].before), left_y = static_cast<int>(s.y - p.axis[1].before);
    const int left_x = static_cast<int>(s.x - p.axis[2].before), taps_x = static_cast<int>(p.axis[2].kernel), width = static_cast<int>(p.axis[2].size);
    const T *const plane = input + s.n * p.input[0] + s.c * p.input[1];
    const T outside = reinterpret_cast<const T &>(p.outside);
    typename J::Value joined = typename J::Value(0);
    for (int k = 0; k < static_cast<int>(p.axis[0].kernel); k++) {
        const int z = sample(left_z + k, static_cast<int>(p.axis[0].size), p.axis[0].border);
        for (int j = 0; j < static_cast<int>(p.axis[1].kernel); j++) {
            const int y = sample(left_y + j, static_cast<int>(p.axis[1].size), p.axis[1].border);
            const T *const row = plane + z * p.input[2] + y * p.input[3];
            for (int t = 0; t < taps_x; t++) {
                const int x = sample(left_x + t, width, p.axis[2].border);
                const auto v = J::term(z < 0 || y < 0 || x < 0 ? outside : row[x * p.input[4]], p.division);
                if (J::EXTREME && k + j + t == 0)
                    joined = v;
                else
                    J::add(joined, v);
            }
        }
    }
    Count count;
    if constexpr (!J::EXTREME)
        for (int a = 0; a < 3; a++) count.times(p.axis[a].kernel, p.axis[a].kernel);
    out[offset(p.out, s)] = finished<T, KIND>(joined, count, p.division);
}

// ---- windows that several threads share ------------------------------------------------------------------------------------

enum { ALONE, WARP, BLOCK, PIXELS };  // who shares one: nobody, 32 or 256 threads; PIXELS: 8 warps share 32 of them

__device__ __forceinline__ Complex<double> from_lane(Complex<double> v, int by)
{
    return Complex<double>(__shfl_xor_sync(0xffffffff, v.re, by), __shfl_xor_sync(0xffffffff, v.im, by));
}
template <typename V>
__device__ __forceinline__ V from_lane(V v, int by)
{
    return static_cast<V>(__shfl_xor_sync(0xffffffff, v, by));
}

// What some samples of a window are joined to, and of extremes where it stands: the order of joining does not matter then. Places below
// 0 are those of nothing.
template <typename T, int KIND>
struct Part {
    using J = Join<T, KIND>;
    typename J::Value value;
    long long place;

    __device__ __forceinline__ void take(typename J::Value v, long long at)
    {
        if constexpr (J::EXTREME) {
            const bool nan = v != v, was_nan = value != value;
            const bool wins = nan ? !was_nan || at > place : !was_nan && (J::beats(v, value) || v == value && at < place);
            if (at >= 0 && (place < 0 || wins)) value = v, place = at;
        } else {
            value += v;
        }
    }
};

// Sizes are those of any problem. `team` is one of the above; several loads of a thread are under way at once.
template <typename T, int KIND>
__global__ void __launch_bounds__(256, 2) together(
    const Pool p, const T *__restrict__ input, T *__restrict__ out, long long *__restrict__ indices, const long long team)
{
    using J = Join<T, KIND>;
    constexpr int LOADS = 4;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int member = team == ALONE ? 0 : team == WARP ? lane : team == BLOCK ? threadIdx.x : warp;
    const int members = team == ALONE ? 1 : team == WARP ? 32 : team == BLOCK ? 256 : 8;
    const int each = team == PIXELS ? 32 : 256 / members;  // windows of a block
    const int own = team == ALONE ? threadIdx.x : team == WARP ? warp : team == BLOCK ? 0 : lane;
    const long long i = static_cast<long long>(blockIdx.x) * each + own;
    const Spot s = spot(p, i < p.total ? i : p.total - 1);
    const Span<long long> z = window(p.axis[0], s.z), y = window(p.axis[1], s.y), x = window(p.axis[2], s.x);
    const T *const first = input + s.n * p.input[0] + s.c * p.input[1] + z.first * p.input[2] + y.first * p.input[3] + x.first * p.input[4];
    const long long step_z = p.axis[0].dilation * p.input[2], step_y = p.axis[1].dilation * p.input[3], step_x = p.axis[2].dilation * p.input[4];
    const long long place_z = p.axis[0].dilation * p.place[0], place_y = p.axis[1].dilation * p.place[1], place_x = p.axis[2].dilation;
    const long long at_first = z.first * p.place[0] + y.first * p.place[1] + x.first;

    // taps of the window are counted like the digits of a number
    const long long far_x = members % x.count, carry = members / x.count, far_y = carry % y.count, far_z = carry / y.count;
    long long tx = member % x.count, ty = member / x.count % y.count, tz = member / x.count / y.count;
    Part<T, KIND> part{typename J::Value(0), -1};
    while (tz < z.count) {
        T found[LOADS];
        long long at[LOADS];
#pragma unroll
        for (int u = 0; u < LOADS; u++) {
            const bool exists = tz < z.count;
            at[u] = exists ? at_first + tz * place_z + ty * place_y + tx * place_x : -1;
            found[u] = first[exists ? tz * step_z + ty * step_y + tx * step_x : 0];
            tx += far_x, ty += far_y, tz += far_z;
            if (tx >= x.count) tx -= x.count, ty++;
            if (ty >= y.count) ty -= y.count, tz++;
        }
#pragma unroll
        for (int u = 0; u < LOADS; u++)
            if (at[u] >= 0) part.take(J::term(found[u], p.division), at[u]);
    }
    if (team == WARP || team == BLOCK)
        for (int by = 16; by; by /= 2) part.take(from_lane(part.value, by), from_lane(part.place, by));
    if (team == BLOCK || team == PIXELS) {
        __shared__ typename J::Value values[8][32];
        __shared__ long long places[8][32];
        values[warp][lane] = part.value, places[warp][lane] = part.place;
        __syncthreads();
        if (warp == 0)
            for (int w = 1; w < 8; w++) part.take(values[w][lane], places[w][lane]);
    }
    if (member || i >= p.total) return;
    Count count;
    if constexpr (!J::EXTREME) {
        count.times(counted(p, p.axis[0], s.z, z.count), p.axis[0].kernel);
        count.times(counted(p, p.axis[1], s.y, y.count), p.axis[1].kernel);
        count.times(counted(p, p.axis[2], s.x, x.count), p.axis[2].kernel);
    }
    out[offset(p.out, s)] = finished<T, KIND>(part.value, count, p.division);
    if (indices) indices[offset(p.indices, s)] = part.place;
}

// Values to places of a plane, put there or added up, and zeros everywhere else:  out[plane, indices[plane, i]] = or += values[plane, i].
//
// Max unpooling and its gradient, and the gradient of max pools. All planes lie one behind the other, so that there is one row of places.
// It is cut into bands of 4 KiB. A warp has a band in shared memory; it goes through the values in order, 32 at a time, takes those whose
// place is in its band, and writes the band once. Of lanes with one place the lower add theirs first, each in a round of its own: sums
// have the order of the values, and one place that all of a plane comes to costs a round a value, nothing more. No atomic is used for sums.
//
// Which values a band must go through, look() has found while it looked for indices that are outside of their plane: the first and the last
// 32 that any of its places occurs in. Those of a pool are nearly in order, so that each value is met by one band or two, and every
// number is read and written once: 12 bytes of float32 and index read, and 4 to 16 of a 2x2 pool written, besides 8 that look() reads. Where they are
// not in order, and planes are large, the launcher sorts them first.
#include "numbers.cuh"
#include "elements.cuh"

struct Scatter {
    long long count, plane;   // values of a plane, places of one
    long long values, places; // of all planes
    long long band_bits;      // a band has so many places, as a power of two
    long long over_planes, over_values;  // 32 values later is so many planes, and values of a plane, later
    long long step_planes, step_values;  // and so is a step of all threads of look()
};

enum { LANES = 32, WARPS = 4, BAND_BYTES = 4096, AHEAD = 4 };  // AHEAD: groups of 32 values that are on their way together
#define ALL 0xffffffffu

// What look() notes: the distance from the end of the first index that is impossible, 0 if none is; what sum_ranges() finds; and for each
// band the distance from the end of the first group of 32 values that has one for it, and the number of the last such group, plus 1; both 0
// if there is none.
enum { IMPOSSIBLE, SCANNED, RANGES };

__device__ __forceinline__ long long groups_of(const Scatter &p)
{
    return (p.values + LANES - 1) / LANES;
}

__global__ void look(const Scatter p, const long long *__restrict__ indices, unsigned long long *noted)
{
    const long long step = all_threads(), groups = groups_of(p);
    const int lane = threadIdx.x % LANES;
    long long i = thread_number();
    long long plane = i / p.count, at = i - plane * p.count;
    for (; i - lane < p.values; i += step) {
        long long band = -1;
        if (i < p.values) {
            const long long index = indices[i];
            if (index < 0 || index >= p.plane)
                atomicMax(&noted[IMPOSSIBLE], static_cast<unsigned long long>(p.values - i));
            else
                band = (plane * p.plane + index) >> p.band_bits;
        }
        const long long before = __shfl_up_sync(ALL, band, 1);
        if (band >= 0 && (lane == 0 || band != before)) {  // what neighbours would note, too, is noted once
            const long long group = i / LANES;
            atomicMax(&noted[RANGES + 2 * band], static_cast<unsigned long long>(groups - group));
            atomicMax(&noted[RANGES + 2 * band + 1], static_cast<unsigned long long>(group + 1));
        }
        plane += p.step_planes;
        at += p.step_values;
        if (at >= p.count) at -= p.count, plane++;
    }
}

// How many groups of 32 values all bands together go through.
__global__ void sum_ranges(const Scatter p, unsigned long long *noted)
{
    const long long step = all_threads(), groups = groups_of(p);
    const long long bands = (p.places + (1ll << p.band_bits) - 1) >> p.band_bits;
    unsigned long long sum = 0;
    for (long long b = thread_number(); b < bands; b += step)
        if (const unsigned long long end = noted[RANGES + 2 * b + 1]) sum += end - (groups - noted[RANGES + 2 * b]);
    if (sum) atomicAdd(&noted[SCANNED], sum);  // of integers, whose sum has no order
}

// The values that a band goes through, AHEAD groups after the other.
struct Scan {
    long long at, end;        // the lane's value, and what the band goes up to
    long long plane, index;   // of that value: its plane, and its number in it
    long long first;          // place of the band

    __device__ Scan(const Scatter &p, const unsigned long long *noted, long long band)
    {
        const unsigned long long last = noted[RANGES + 2 * band + 1];
        const long long begin = last ? groups_of(p) - static_cast<long long>(noted[RANGES + 2 * band]) : 0;
        at = begin * LANES + threadIdx.x % LANES;
        end = static_cast<long long>(last) * LANES;
        end = end < p.values ? end : p.values;
        plane = at / p.count;
        index = at - plane * p.count;
        first = band << p.band_bits;
    }
    __device__ bool more() const { return at - static_cast<int>(threadIdx.x % LANES) < end; }  // all lanes agree

    // The place of the lane's value in the band, or -1, and on to the next one.
    __device__ __forceinline__ int place(const Scatter &p, const long long *indices)
    {
        long long found = -1;
        if (at < end) found = plane * p.plane + indices[at] - first;
        at += LANES;
        plane += p.over_planes;
        index += p.over_values;
        if (index >= p.count) index -= p.count, plane++;
        return found >= 0 && found < (1ll << p.band_bits) ? static_cast<int>(found) : -1;
    }
};

// What is done where several values come to one place. Held: what a band holds.
template <typename T> struct Added {  // those of lower lanes first
    using Held = typename Number<T>::Sum;
    static __device__ __forceinline__ void put(Held *band, int place, T value)
    {
        if (!__any_sync(ALL, place >= 0)) return;
        const int before = __popc(__match_any_sync(ALL, place) & ((1u << threadIdx.x % LANES) - 1));
        for (int round = 0; __any_sync(ALL, place >= 0 && before >= round); round++) {
            if (place >= 0 && before == round) band[place] += Number<T>::load(value);
            __syncwarp();
        }
    }
    static __device__ __forceinline__ T taken(Held value) { return Number<T>::store(value); }
};
template <typename T> struct Last {  // the last lane's stays
    using Held = T;
    static __device__ __forceinline__ void put(T *band, int place, T value)
    {
        if (!__any_sync(ALL, place >= 0)) return;
        const bool last = __match_any_sync(ALL, place) >> threadIdx.x % LANES == 1;
        if (place >= 0 && last) band[place] = value;
        __syncwarp();
    }
    static __device__ __forceinline__ T taken(T value) { return value; }
};

// T, where the last value stays: any type of the values' size, since they are only moved.
template <typename T, template <typename> class Rule>
__global__ void __launch_bounds__(LANES *WARPS)
    put(const Scatter p, const T *__restrict__ values, const long long *__restrict__ indices, const unsigned long long *__restrict__ noted, T *out)
{
    using Held = typename Rule<T>::Held;
    constexpr int BAND = BAND_BYTES / sizeof(Held);
    __shared__ Held bands[WARPS][BAND];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    Held *const band = bands[warp];
    for (long long b = static_cast<long long>(blockIdx.x) * WARPS + warp; b * BAND < p.places; b += static_cast<long long>(gridDim.x) * WARPS) {
        for (int i = lane; i < BAND; i += LANES) band[i] = Held(0);
        __syncwarp();
        for (Scan scan(p, noted, b); scan.more();) {
            int place[AHEAD];
            T value[AHEAD];
            const T *from = values + scan.at;
#pragma unroll
            for (int k = 0; k < AHEAD; k++) place[k] = scan.place(p, indices);
#pragma unroll
            for (int k = 0; k < AHEAD; k++)
                if (place[k] >= 0) value[k] = from[k * LANES];
#pragma unroll
            for (int k = 0; k < AHEAD; k++) Rule<T>::put(band, place[k], value[k]);
        }
        const int size = p.places - b * BAND < BAND ? static_cast<int>(p.places - b * BAND) : BAND;
        T *const to = out + b * BAND;
#pragma unroll 4
        for (int i = lane; i < size; i += LANES) to[i] = Rule<T>::taken(band[i]);
        __syncwarp();
    }
}

// The gradient of put<T, Last>():  out[i] = grad[place of i] where i was the last value with that place, else 0. A band holds the last value of each
// place, and its values are gone through twice.
template <typename T>
__global__ void __launch_bounds__(LANES *WARPS)
    take(const Scatter p, const T *__restrict__ grad, const long long *__restrict__ indices, const unsigned long long *__restrict__ noted, T *out)
{
    constexpr int BAND = BAND_BYTES / sizeof(long long);
    __shared__ long long bands[WARPS][BAND];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    long long *const band = bands[warp];
    for (long long b = static_cast<long long>(blockIdx.x) * WARPS + warp; b * BAND < p.places; b += static_cast<long long>(gridDim.x) * WARPS) {
        for (Scan scan(p, noted, b); scan.more();) {
            const long long at = scan.at;
            int place[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; k++) place[k] = scan.place(p, indices);
#pragma unroll
            for (int k = 0; k < AHEAD; k++) Last<long long>::put(band, place[k], at + k * LANES);
        }
        for (Scan scan(p, noted, b); scan.more();) {
            const long long at = scan.at;
            int place[AHEAD];
#pragma unroll
            for (int k = 0; k < AHEAD; k++) place[k] = scan.place(p, indices);
#pragma unroll
            for (int k = 0; k < AHEAD; k++)
                if (place[k] >= 0) out[at + k * LANES] = band[place[k]] == at + k * LANES ? grad[b * BAND + place[k]] : T(0);
        }
        __syncwarp();
    }
}

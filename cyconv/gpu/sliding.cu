// Pooling one axis after the other:  a window is a product of intervals, so kx + ky + kz steps do where window by window takes kx*ky*kz.
// For large windows that are all alike. Between passes there are extremes, with their places as 32-bit integers, or sums in double.
//
//     across   along an axis of which neighbours in memory are not neighbours: neighbouring threads make neighbouring results
//     along    along the axis whose neighbours are neighbours in memory: a warp brings a piece of some rows to shared memory first
//
// A thread makes RUN results whose windows are a tap apart. All of these windows hold the taps in the middle, which are joined once; to
// them come the last of the taps on the left, and the first of those on the right. Nothing is ever taken away from a sum again.
// Passes go along x, then y, then z, so that of equal numbers the first in row-major order stays.
#include "windows.cuh"

struct Counted {  // window o begins at o*stride - before; samples count that lie before `limit`
    long long kernel, stride, before, limit;
};

struct Side {  // an axis along which nothing slides in this pass; the first pass reads sample low + c, wherever that is, for its c
    long long count, size, low, border;
    long long in, out, found, place;  // steps of arrays: input, output and indices; and from one place in the plane to the next
    Counted counted;
};

struct Slide {
    Side side[4];  // the slowest in memory first
    long long size, out, kernel, stride, dilation, before, border;  // of the axis that windows slide along
    long long in, step, found, place;
    Counted counted;
    long long apart, shared;  // results of a run are so many results from each other; whether that is one tap
    long long lanes, staged; // of `along`: lanes for a row, and whether its pieces fit into shared memory
    long long padding_counts, outside;
    Division division;
};

__device__ __forceinline__ float infinity(float) { return __uint_as_float(0x7f800000); }
__device__ __forceinline__ double infinity(double) { return __longlong_as_double(0x7ff0000000000000); }

// What loses against every sample, or adds nothing to a sum.
template <typename T, int KIND>
__device__ __forceinline__ typename Join<T, KIND>::Value nothing()
{
    using V = typename Join<T, KIND>::Value;
    if constexpr (!Join<T, KIND>::EXTREME) {
        return V(0);
    } else if constexpr (Pooled<T>::INTEGER) {
        return static_cast<T>(-1) < static_cast<T>(0) ? static_cast<T>(1ull << (8 * sizeof(T) - 1)) : static_cast<T>(0);
    } else {
        return KIND == MAX || KIND == MAX_NORM ? -infinity(V()) : infinity(V());
    }
}

// What some taps are joined to, and where an extreme stands; below 0 if there is none.
template <typename T, int KIND, bool INDICES>
struct Part {
    using J = Join<T, KIND>;
    typename J::Value value;
    int place;

    __device__ __forceinline__ Part() : value(nothing<T, KIND>()), place(-1) {}
    __device__ __forceinline__ void add(typename J::Value later, int at)
    {
        if constexpr (INDICES) {
            if (at >= 0 && (place < 0 || J::beats(later, value))) value = later, place = at;
        } else {
            J::add(value, later);
        }
    }
    __device__ __forceinline__ void add(const Part &later) { add(later.value, later.place); }
};

// The samples of a line, wherever it lies: in the input, among what an earlier pass made, or in shared memory.
template <typename T, int KIND, bool FIRST, bool INDICES>
struct Line {
    using J = Join<T, KIND>;
    using From = typename Either<FIRST || J::EXTREME, T, typename J::Value>::Type;
    const From *from;
    const int *places;  // of an earlier pass
    long long step, size;
    int place, place_step;  // of the first sample, and to the next
    bool constant;          // whether all samples are the same one, `outside`
    From outside;

    __device__ __forceinline__ void add(Part<T, KIND, INDICES> &part, long long at, const Division &d) const
    {
        const From x = FIRST && constant ? outside : from[at * step];
        typename J::Value v;
        if constexpr (FIRST || J::EXTREME)
            v = J::term(x, d);
        else
            v = x;
        part.add(v, !INDICES ? 0 : FIRST ? place + static_cast<int>(at) * place_step : places[at * step]);
    }
    __device__ __forceinline__ void add_one(Part<T, KIND, INDICES> &part, long long at, const Division &d) const
    {
        if (at >= 0 && at < size) add(part, at, d);
    }
    // `count` taps from `at` on, a dilation apart
    __device__ __forceinline__ void add_all(Part<T, KIND, INDICES> &part, long long at, long long count, long long dilation, const Division &d) const
    {
        if (at < 0) {
            const long long skipped = ceil_divided(-at, dilation);
            at += skipped * dilation, count -= skipped;
        }
        const long long most = at < size ? ceil_divided(size - at, dilation) : 0;
        if (most < count) count = most;
#pragma unroll 4
        for (long long j = 0; j < count; j++) add(part, at + j * dilation, d);
    }
};

__device__ __forceinline__ void times(Count &count, const Counted &c, long long o, bool padding_counts)
{
    const long long start = o * c.stride - c.before, left = c.limit - start;
    const long long most = left < c.kernel ? left : c.kernel;
    count.times(padding_counts || start >= 0 ? most : most + start, c.kernel);
}

// Where results go, and what they are divided by.
template <typename T, int KIND, bool LAST, bool INDICES>
struct Target {
    using J = Join<T, KIND>;
    using To = typename Either<LAST || J::EXTREME, T, typename J::Value>::Type;
    To *out;
    int *places;
    long long *indices;
    Count sides;

    __device__ __forceinline__ void put(const Slide &p, const Part<T, KIND, INDICES> &part, long long o) const
    {
        if (o >= p.out) return;
        if constexpr (LAST || J::EXTREME) {
            Count count = sides;
            if constexpr (!J::EXTREME) times(count, p.counted, o, p.padding_counts);
            out[o * p.step] = finished<T, KIND>(part.value, count, p.division);
        } else {
            out[o * p.step] = part.value;
        }
        if constexpr (INDICES) {
            if (indices)
                indices[o * p.found] = part.place;
            else
                places[o * p.found] = part.place;
        }
    }
};

// The results o, o + apart, ... of a line whose sample 0 is sample `first` of the input.
template <int RUN, typename T, int KIND, bool FIRST, bool LAST, bool INDICES>
__device__ __forceinline__ void run(const Slide &p, const Line<T, KIND, FIRST, INDICES> &line, const Target<T, KIND, LAST, INDICES> &target, long long o, long long first)
{
    using P = Part<T, KIND, INDICES>;
    const long long start = o * p.stride - p.before - first, d = p.dilation;
    if (!p.shared || p.kernel < RUN) {
        for (int r = 0; r < RUN && o + r * p.apart < p.out; r++) {
            P part;
            line.add_all(part, start + r * p.apart * p.stride, p.kernel, d, p.division);
            target.put(p, part, o + r * p.apart);
        }
        return;
    }
    P left[RUN], right, middle;  // the last of `left` stays empty
#pragma unroll
    for (int r = 0; r < RUN - 1; r++) line.add_one(left[r], start + r * d, p.division);
#pragma unroll
    for (int r = RUN - 3; r >= 0; r--) left[r].add(left[r + 1]);
    line.add_all(middle, start + (RUN - 1) * d, p.kernel - (RUN - 1), d, p.division);
#pragma unroll
    for (int r = 0; r < RUN; r++) {
        left[r].add(middle);
        left[r].add(right);
        target.put(p, left[r], o + r * p.apart);
        if (r < RUN - 1) line.add_one(right, start + (p.kernel + r) * d, p.division);
    }
}

// The first result of a run.
__device__ __forceinline__ long long first_of(const Slide &p, long long number, int run)
{
    if (p.apart == 1) return number * run;
    const long long block = number / p.apart;
    return block * p.apart * run + number - block * p.apart;
}

// Numbers of the sides' results and of a run, told from a number below 2**32 in which they follow each other as they do in memory.
__device__ __forceinline__ void digits(unsigned number, const long long *bases, long long *found)
{
#pragma unroll
    for (int k = 0; k < 5; k++) {
        const unsigned base = static_cast<unsigned>(bases[k]), above = number / base;
        found[k] = number - above * base;
        number = above;
    }
}

// A line and a target that begin where the sides' results are `c`.
template <typename T, int KIND, bool FIRST, bool LAST, bool INDICES>
__device__ __forceinline__ void open(
    const Slide &p, const long long *c, Line<T, KIND, FIRST, INDICES> &line, Target<T, KIND, LAST, INDICES> &target, const int *from_places)
{
    long long place = 0;
    line.step = p.in, line.size = p.size, line.constant = false, line.place_step = static_cast<int>(p.place);
    if constexpr (FIRST) line.outside = reinterpret_cast<const T &>(p.outside);
    line.places = from_places;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const Side &side = p.side[k];
        const long long at = FIRST ? sample(side.low + c[k], side.size, side.border) : c[k];
        if (at < 0) line.constant = true;
        line.from += at * side.in;
        if constexpr (INDICES && !FIRST) line.places += at * side.in;
        target.out += c[k] * side.out;
        if constexpr (INDICES) {
            place += at * side.place;
            if (target.indices)
                target.indices += c[k] * side.found;
            else
                target.places += c[k] * side.found;
        }
        if constexpr (LAST && !Join<T, KIND>::EXTREME) times(target.sides, side.counted, c[k], p.padding_counts);
    }
    line.place = static_cast<int>(place);
}

template <typename T, int KIND, bool FIRST, bool LAST, bool INDICES>
__global__ void __launch_bounds__(128, 4) across(
    const Slide p, const typename Line<T, KIND, FIRST, INDICES>::From *__restrict__ input, const int *__restrict__ from_places,
    typename Target<T, KIND, LAST, INDICES>::To *__restrict__ out, int *__restrict__ places, long long *__restrict__ indices)
{
    constexpr int RUN = 8;
    const long long runs = (p.out + RUN * p.apart - 1) / (RUN * p.apart) * p.apart;
    const long long total = p.side[0].count * p.side[1].count * p.side[2].count * p.side[3].count * runs;
    const long long i = thread_number();
    if (i >= total) return;
    const long long bases[5] = {p.side[3].count, runs, p.side[2].count, p.side[1].count, p.side[0].count};
    long long found[5];
    digits(static_cast<unsigned>(i), bases, found);
    const long long c[4] = {found[4], found[3], found[2], found[0]};
    Line<T, KIND, FIRST, INDICES> line;
    Target<T, KIND, LAST, INDICES> target;
    line.from = input, target.out = out, target.places = places, target.indices = indices;
    open(p, c, line, target, from_places);
    run<RUN>(p, line, target, first_of(p, found[1], RUN), 0);
}

// The first pass, where rows are read along themselves. p.lanes lanes share a row; RUN is odd, so that they read from different banks.
template <typename T, int KIND, bool LAST, bool INDICES>
__global__ void __launch_bounds__(128, 4) along(
    const Slide p, const T *__restrict__ input, typename Target<T, KIND, LAST, INDICES>::To *__restrict__ out, int *__restrict__ places,
    long long *__restrict__ indices)
{
    constexpr int RUN = 9, ROOM = 6144 / sizeof(T);
    __shared__ T room[4][ROOM];
    const long long runs = (p.out + RUN * p.apart - 1) / (RUN * p.apart) * p.apart, pieces = (runs + p.lanes - 1) / p.lanes;
    const long long rows = p.side[0].count * p.side[1].count * p.side[2].count * p.side[3].count;
    const int lane = threadIdx.x % 32, lanes = static_cast<int>(p.lanes), own = lane % lanes, others = lane / lanes;
    const long long warp = static_cast<long long>(blockIdx.x) * 4 + threadIdx.x / 32, block = warp / pieces;
    const long long row = block * (32 / lanes) + others;
    const bool exists = row < rows;
    const long long bases[5] = {p.side[3].count, p.side[2].count, p.side[1].count, p.side[0].count, 1};
    long long found[5];
    digits(exists ? static_cast<unsigned>(row) : 0, bases, found);
    const long long c[4] = {found[3], found[2], found[1], found[0]};
    Line<T, KIND, true, INDICES> line;
    Target<T, KIND, LAST, INDICES> target;
    line.from = input, target.out = out, target.places = places, target.indices = indices;
    open(p, c, line, target, nullptr);
    const long long piece = (warp - block * pieces) * lanes, last = piece + lanes < runs ? piece + lanes - 1 : runs - 1;
    long long begin = 0;
    if (p.staged) {
        begin = first_of(p, piece, RUN) * p.stride - p.before;
        long long end = (first_of(p, last, RUN) + (RUN - 1) * p.apart) * p.stride - p.before + (p.kernel - 1) * p.dilation + 1;
        if (p.border == NOTHING) {
            if (begin < 0) begin = 0;
            if (end > p.size) end = p.size;
        }
        T *const stage = &room[threadIdx.x / 32][others * (ROOM / 32 * lanes - (lanes < 32 ? 1 : 0))];
        for (long long at = own; at < end - begin; at += lanes) {
            const long long x = sample(begin + at, p.size, p.border);
            stage[at] = line.constant || x < 0 ? line.outside : line.from[x * line.step];
        }
        __syncwarp();
        line.from = stage, line.step = 1, line.size = end > begin ? end - begin : 0, line.constant = false;
        line.place += static_cast<int>(begin) * line.place_step;
    }
    if (exists && piece + own < runs) run<RUN>(p, line, target, first_of(p, piece + own, RUN), begin);
}

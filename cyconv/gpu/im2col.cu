// What stands around cuBLAS's products in im2col.py:
//
//     columns   column (n, z, y, x) of a matrix holds the window of that output: row (channel, tz, ty, tx)
//     deliver   products, stored in the result with the bias
//
// Neighbouring threads have neighbouring columns, and each goes on through some channels, so that where a column lies is told once for
// all of them. Both only copy, or add once: memory should be their bound.
#include "numbers.cuh"
#include "conv.cuh"

// The columns of one pass: the same pixels of some items. im2col.py fills it.
struct Part {
    long long item, items, pixel, pixels;     // the first item, how many, and the same of each item's pixels
    long long item_step, group_step, row_step;  // from one to the next, in the matrix
    long long channels;                       // of a thread
};

enum { THREADS = 256 };  // im2col.py has the same

struct Column {
    long long n, at;  // item, and place in the first row of its matrix
    int z, y, x;
    bool exists;
};

__device__ __forceinline__ Column column_of(const Conv &p, const Part &part, unsigned block)
{
    const long long number = static_cast<long long>(block) * THREADS + threadIdx.x, item = number / part.pixels;
    const long long local = number - item * part.pixels;
    const unsigned pixel = static_cast<unsigned>(part.pixel + local);  // items have less than 2**31
    const unsigned lines = pixel / static_cast<unsigned>(p.out_size[2]), planes = lines / static_cast<unsigned>(p.out_size[1]);
    Column column;
    column.n = part.item + item;
    column.at = item * part.item_step + local;
    column.z = planes;
    column.y = lines - planes * static_cast<unsigned>(p.out_size[1]);
    column.x = pixel - lines * static_cast<unsigned>(p.out_size[2]);
    column.exists = item < part.items;
    return column;
}

__device__ __forceinline__ unsigned blocks_across(const Part &part)
{
    return static_cast<unsigned>((part.items * part.pixels + THREADS - 1) / THREADS);
}

// V is an unsigned integer, or anything else, of as many bytes as a number has. BORDERS: whether padding repeats samples.
template <typename V, bool BORDERS>
__global__ void __launch_bounds__(THREADS, 6) columns(const Conv p, const Part part, const V *__restrict__ input, V *columns)
{
    const unsigned across = blocks_across(part), slice = blockIdx.x / across;
    const Column to = column_of(p, part, blockIdx.x - slice * across);
    if (!to.exists) return;
    const unsigned slices = static_cast<unsigned>((p.in_channels + part.channels - 1) / part.channels), g = slice / slices;
    const long long first = (slice - g * slices) * part.channels, last = min(first + part.channels, p.in_channels);
    const int begin[3] = {
        static_cast<int>(to.z * p.stride[0] - p.before[0]), static_cast<int>(to.y * p.stride[1] - p.before[1]),
        static_cast<int>(to.x * p.stride[2] - p.before[2])};
    const auto place = [&](int at, int axis) {
        if (BORDERS) return sample(at, p.size[axis], p.mode);
        return static_cast<unsigned>(at) < static_cast<unsigned>(p.size[axis]) ? at : -1;
    };
    const int taps = static_cast<int>(p.kernel[2]), apart = static_cast<int>(p.dilation[2]);
    const V *channel = input + to.n * p.input[0] + g * p.input[1] + first * p.input[2];
    V *into = columns + to.at + g * part.group_step + first * (p.kernel[0] * p.kernel[1] * taps) * part.row_step;
    for (long long c = first; c < last; c++, channel += p.input[2])
        for (long long tz = 0; tz < p.kernel[0]; tz++) {
            const int z = place(begin[0] + static_cast<int>(tz * p.dilation[0]), 0);
            for (long long ty = 0; ty < p.kernel[1]; ty++) {
                const int y = place(begin[1] + static_cast<int>(ty * p.dilation[1]), 1);
                const V *const row = channel + z * p.input[3] + y * p.input[4];
                const bool inside = z >= 0 && y >= 0;
                for (int tx = 0, at = begin[2]; tx < taps; tx++, at += apart, into += part.row_step) {
                    const int x = place(at, 2);
                    *into = inside && x >= 0 ? row[x * p.input[5]] : V(0);  // zeros of the padding are multiplied like other samples
                }
            }
        }
}

// out = products + bias
template <typename T>
__global__ void __launch_bounds__(THREADS)
deliver(const Conv p, const Part part, const typename Number<T>::Sum *__restrict__ products, const T *__restrict__ bias, T *out)
{
    using Sum = typename Number<T>::Sum;
    const unsigned across = blocks_across(part), slice = blockIdx.x / across;
    const Column from = column_of(p, part, blockIdx.x - slice * across);
    if (!from.exists) return;
    const unsigned slices = static_cast<unsigned>((p.out_channels + part.channels - 1) / part.channels), g = slice / slices;
    const long long first = (slice - g * slices) * part.channels, last = min(first + part.channels, p.out_channels);
    products += from.at + g * part.group_step + first * part.row_step;
    out += out_offset(p, from.n, g, first, from.z, from.y, from.x);
    for (long long o = first; o < last; o++, products += part.row_step, out += p.out[2]) {
        Sum sum = *products;
        if (bias) sum += Number<T>::load(bias[g * p.out_channels + o]);
        *out = Number<T>::store(sum);
    }
}

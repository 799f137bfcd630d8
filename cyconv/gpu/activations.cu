// What rectifiers let back, and dropout.
//
// The numbers that dropout draws are those of Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", 2011): a function of an element's number and a key, so that nothing is stored for the way back.
#include "numbers.cuh"
#include "elements.cuh"

// out = g where y > 0, else 0
template <typename T, int WIDE>
__global__ void passed(long long size, const T *__restrict__ g, const T *__restrict__ y, T *__restrict__ out)
{
    using Load = Wide<T, WIDE>;
    for (long long i = thread_number(); i < size / WIDE; i += all_threads()) {
        const Load slope = reinterpret_cast<const Load *>(g)[i], value = reinterpret_cast<const Load *>(y)[i];
        Load result;
#pragma unroll
        for (int k = 0; k < WIDE; k++) result.at[k] = Number<T>::load(value.at[k]) > 0 ? slope.at[k] : Number<T>::store(0);
        reinterpret_cast<Load *>(out)[i] = result;
    }
}

struct Four {
    unsigned at[4];
};

__device__ __forceinline__ Four philox(unsigned long long number, unsigned long long key)
{
    unsigned a = static_cast<unsigned>(number), b = static_cast<unsigned>(number >> 32), c = 0, d = 0;
    unsigned low = static_cast<unsigned>(key), high = static_cast<unsigned>(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned long long first = 0xD2511F53ull * a, second = 0xCD9E8D57ull * c;
        a = static_cast<unsigned>(second >> 32) ^ b ^ low;
        b = static_cast<unsigned>(second);
        c = static_cast<unsigned>(first >> 32) ^ d ^ high;
        d = static_cast<unsigned>(first);
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
    return {{a, b, c, d}};
}

// out = x * scale with probability 1 - p, else x * 0
template <typename T>
__global__ void dropout(long long size, unsigned long long key, double p, double scale, const T *x, T *out)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const float least = static_cast<float>(p);
    for (long long four = thread_number(); four * 4 < size; four += all_threads()) {
        const Four drawn = philox(four, key);
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (four * 4 + k < size) {
                const float number = (drawn.at[k] >> 8) * 0x1p-24f;  // from 0 to below 1
                out[four * 4 + k] = N::store(N::load(x[four * 4 + k]) * (number >= least && p < 1 ? static_cast<S>(scale) : S(0)));
            }
    }
}

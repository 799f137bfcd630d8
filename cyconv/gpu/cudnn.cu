// What cuDNN leaves to do: adds the bias to its result, and sees whether all is finite. Without a bias nothing is written. One pass
// over the result.
#include "numbers.cuh"
#include "tiles.cuh"

template <typename T>
__global__ void __launch_bounds__(THREADS) finish(const Tiles t, const T *__restrict__ bias, T *out, int *nonfinite)
{
    using N = Number<T>;
    bool spoiled = false;
    visit(t, [&](long long, long long channel, long long offset, const long long *, int z, int y, int x) {
        T *const at = out + offset + z * t.array[3] + y * t.array[4] + x * t.array[5];
        typename N::Sum sum = N::load(*at);
        if (bias) {
            sum += N::load(bias[channel]);
            *at = N::store(sum);
        }
        spoiled |= !is_finite(sum);
    });
    if (nonfinite && spoiled) *nonfinite = 1;
}

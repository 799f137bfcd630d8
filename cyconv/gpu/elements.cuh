// Arrays gone through element by element, WIDE of them at a time where these are aligned: what a thread loads and stores at once.
#pragma once

template <typename T, int WIDE>
struct alignas(sizeof(T) * WIDE) Wide {
    T at[WIDE];
};

// the number of this thread, and how many there are
__device__ __forceinline__ long long thread_number()
{
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ long long all_threads()
{
    return static_cast<long long>(gridDim.x) * blockDim.x;
}

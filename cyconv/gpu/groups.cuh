// Sums and maxima over threads that work on one thing together: LANES neighbours, 1, a warp's 32 or a block of 32 times up to 32.
//
// All of them come here together and get the result, which is added in one order: a tree within each warp, then the warps in order.
#pragma once

struct Sum {
    template <typename S> static __device__ __forceinline__ S of(S a, S b) { return a + b; }
};
struct Most {  // of a NaN and a number the number
    static __device__ __forceinline__ float of(float a, float b) { return fmaxf(a, b); }
    static __device__ __forceinline__ double of(double a, double b) { return fmax(a, b); }
};

template <typename Rule, int LANES, typename S>
__device__ __forceinline__ S together(S value)
{
    static_assert(LANES == 1 || LANES % 32 == 0, "part of a warp");
    if (LANES == 1) return value;
#pragma unroll
    for (int by = 16; by; by /= 2) value = Rule::of(value, __shfl_xor_sync(0xffffffffu, value, by));
    if (LANES > 32) {
        constexpr int WARPS = LANES > 32 ? LANES / 32 : 1;
        __shared__ S of_warp[WARPS];
        if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
        __syncthreads();
        value = of_warp[0];
#pragma unroll
        for (int warp = 1; warp < WARPS; warp++) value = Rule::of(value, of_warp[warp]);
        __syncthreads();  // before the next one writes there
    }
    return value;
}

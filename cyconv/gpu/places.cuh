// Places of row-major arrays, walked through in steps of one length: digits that carry, since a division takes as long as thirty
// additions.
#pragma once
#include "elements.cuh"

template <int N>
struct Digits {
    long long size[N], step[N];  // places.walk fills them: the step, of all threads of a launch, in digits too
};

// for (Walk<N, I> at(digits); at.more(digits); at.next(digits)) ... at[a] along axis a; I: what holds sizes and steps (places.py)
template <int N, typename I>
struct Walk {
    I at[N];

    __device__ __forceinline__ explicit Walk(const Digits<N> &d)
    {
        long long number = thread_number();
#pragma unroll
        for (int a = N - 1; a > 0; a--) {
            const long long rest = number / d.size[a];
            at[a] = static_cast<I>(number - rest * d.size[a]);
            number = rest;
        }
        at[0] = static_cast<I>(number);
    }
    __device__ __forceinline__ bool more(const Digits<N> &d) const { return at[0] < static_cast<I>(d.size[0]); }
    __device__ __forceinline__ void next(const Digits<N> &d)
    {
        I carry = 0;
#pragma unroll
        for (int a = N - 1; a > 0; a--) {
            at[a] += static_cast<I>(d.step[a]) + carry;
            carry = at[a] >= static_cast<I>(d.size[a]);
            if (carry) at[a] -= static_cast<I>(d.size[a]);
        }
        at[0] += static_cast<I>(d.step[0]) + carry;
    }
    __device__ __forceinline__ I operator[](int a) const { return at[a]; }
};

// Which windows a sample lies in: the way back from windows.cuh.
#pragma once
#include "windows.cuh"

struct Reach {
    long long low, high;  // windows from low on, up to but not including high
};

__device__ __forceinline__ Reach reach(const Axis &a, long long i)
{
    if (a.adaptive) {
        const Span low = share(i, a.out, a.size), high = share(i + 1, a.out, a.size);
        return Reach{low.first, high.first + high.count};
    }
    const long long at = i + a.before;
    const long long low = at < a.kernel ? 0 : ceil_divided(at - a.kernel + 1, a.stride);
    const long long high = (a.stride == 1 ? at : divided(at, a.stride)) + 1;
    return Reach{low < a.out ? low : a.out, high < a.out ? high : a.out};
}

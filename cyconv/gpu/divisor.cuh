// Division by a number that is known when a kernel is launched, of numbers below 2**31: a GPU has no instruction that divides integers.
// Granlund and Montgomery, Division by invariant integers using multiplication, PLDI 1994.
#pragma once

struct Divisor {  // launch.divisor fills it
    long long by, factor, shift;
};

__device__ __forceinline__ unsigned divided(unsigned a, const Divisor &d)
{
    return static_cast<unsigned>(static_cast<unsigned long long>(a) * static_cast<unsigned>(d.factor) >> d.shift);
}
__device__ __forceinline__ unsigned long long divided(unsigned long long a, const Divisor &d) { return a / static_cast<unsigned long long>(d.by); }

// What numbers are computed in, and how they are loaded and stored.
//
// Number<T>::Sum is the type of sums of T: half types are summed in float and rounded once, integers modulo 2**n, which only
// unsigned ones do without undefined behaviour.
#pragma once
#ifdef CYCONV_HALF_TYPES
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

template <typename R>
struct Complex {
    R re, im;
    __device__ Complex() {}
    __device__ Complex(R re, R im = R(0)) : re(re), im(im) {}
    __device__ Complex &operator+=(const Complex &b)
    {
        re += b.re;
        im += b.im;
        return *this;
    }
};

template <typename T, typename S>
struct Plain {  // stored as T, summed as S
    using Sum = S;
    static __device__ __forceinline__ S load(T value) { return static_cast<S>(value); }
    static __device__ __forceinline__ T store(S sum) { return static_cast<T>(sum); }
};

template <typename T> struct Number;
template <> struct Number<float> : Plain<float, float> {};
template <> struct Number<double> : Plain<double, double> {};
template <> struct Number<bool> : Plain<bool, unsigned> {};
template <> struct Number<signed char> : Plain<signed char, unsigned> {};
template <> struct Number<short> : Plain<short, unsigned> {};
template <> struct Number<int> : Plain<int, unsigned> {};
template <> struct Number<long long> : Plain<long long, unsigned long long> {};
template <> struct Number<unsigned char> : Plain<unsigned char, unsigned> {};
template <> struct Number<unsigned short> : Plain<unsigned short, unsigned> {};
template <> struct Number<unsigned> : Plain<unsigned, unsigned> {};
template <> struct Number<unsigned long long> : Plain<unsigned long long, unsigned long long> {};
template <> struct Number<Complex<float>> : Plain<Complex<float>, Complex<float>> {};
template <> struct Number<Complex<double>> : Plain<Complex<double>, Complex<double>> {};
#ifdef CYCONV_HALF_TYPES
template <> struct Number<__half> {
    using Sum = float;
    static __device__ __forceinline__ float load(__half value) { return __half2float(value); }
    static __device__ __forceinline__ __half store(float sum) { return __float2half_rn(sum); }
};
template <> struct Number<__nv_bfloat16> {
    using Sum = float;
    static __device__ __forceinline__ float load(__nv_bfloat16 value) { return __bfloat162float(value); }
    static __device__ __forceinline__ __nv_bfloat16 store(float sum) { return __float2bfloat16_rn(sum); }
};
#endif

// sum += a * b; of floating point one rounding, as FMA has it
template <typename S>
__device__ __forceinline__ void multiply_add(S &sum, S a, S b)
{
    sum += a * b;
}
template <typename R>
__device__ __forceinline__ void multiply_add(Complex<R> &sum, Complex<R> a, Complex<R> b)
{
    sum.re += a.re * b.re;
    sum.re -= a.im * b.im;
    sum.im += a.re * b.im;
    sum.im += a.im * b.re;
}

// What pools join, and how: maxima, minima, sums and sums of powers of the samples of a window, for every dtype.
//
// Numbers are compared as they are (half types as floats, which changes none of them); a minimum of integers is a maximum of their bits
// turned. Sums are double, of integers 64 bits modulo
// 2**64. A NaN is the extreme of its window, the last of several; of equal numbers the first in row-major order.
#pragma once
#include "numbers.cuh"
#include "elements.cuh"

enum { MAX, MIN, MAX_NORM, MIN_NORM, AVERAGE, LP };  // MAX_NORM and MIN_NORM: p-norms for p of plus and minus infinity
enum { NOTHING, REFLECT, CONSTANT, NEAREST, MIRROR, WRAP };  // what lies beyond the input

template <typename T>
struct Pooled {  // integers and bool
    using Value = T;
    using Sum = unsigned long long;
    static constexpr bool INTEGER = true;
    static __device__ __forceinline__ Sum term(T x) { return static_cast<Sum>(x); }
    static __device__ __forceinline__ T rounded(Sum sum) { return static_cast<T>(sum); }
};

template <typename T>
struct PooledFloat {
    using Value = T;
    using Sum = double;
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ T value(T x) { return x; }
    static __device__ __forceinline__ T stored(T x) { return x; }
    static __device__ __forceinline__ double term(T x) { return x; }
    static __device__ __forceinline__ T rounded(double sum) { return static_cast<T>(sum); }
};
template <> struct Pooled<float> : PooledFloat<float> {};
template <> struct Pooled<double> : PooledFloat<double> {};

template <typename R>
struct Pooled<Complex<R>> {  // which are averaged only
    using Value = Complex<R>;
    using Sum = Complex<double>;
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ Sum term(Complex<R> x) { return Sum(x.re, x.im); }
    static __device__ __forceinline__ Complex<R> rounded(Sum sum) { return Complex<R>(static_cast<R>(sum.re), static_cast<R>(sum.im)); }
};

#ifdef CYCONV_HALF_TYPES
template <typename T>
struct PooledHalf {
    using Value = float;
    using Sum = double;
    static constexpr bool INTEGER = false;
    static __device__ __forceinline__ float value(T x) { return Number<T>::load(x); }
    static __device__ __forceinline__ T stored(float x) { return Number<T>::store(x); }
    static __device__ __forceinline__ double term(T x) { return Number<T>::load(x); }
};
template <> struct Pooled<__half> : PooledHalf<__half> {
    static __device__ __forceinline__ __half rounded(double sum) { return __double2half(sum); }
};
template <> struct Pooled<__nv_bfloat16> : PooledHalf<__nv_bfloat16> {
    static __device__ __forceinline__ __nv_bfloat16 rounded(double sum) { return __double2bfloat16(sum); }
};
#endif

template <bool FIRST, typename A, typename B> struct Either { using Type = A; };
template <typename A, typename B> struct Either<false, A, B> { using Type = B; };

// What all results are divided by where their windows are whole, and what else depends on arguments alone.
struct Division {
    long long divisor;  // divisor_override or 0
    double whole;       // samples of a whole window
    double factor;      // its reciprocal, or divisor's, where that is as good as dividing; else 0
    double norm;
    long long turned;  // -1 for minima of integers, else 0
};

// ---- one window ------------------------------------------------------------------------------------------------------------

// One term of the p-norm; as the CPU's, whose square root of minus infinity is a NaN where pow has none.
__device__ __forceinline__ double powered(double x, double norm)
{
    if (norm == 2) return x * x;
    if (norm == 1) return x;
    if (norm == 3) return x * x * x;
    return norm == 0.5 ? sqrt(x) : pow(x, norm);
}

// As the CPU's: what 1 / norm is rounded by counts once for each power of two in the sum.
__device__ __forceinline__ double root(double sum, double norm)
{
    if (norm == 2) return sqrt(sum);
    if (norm == 1) return sum;
    const double power = 1 / norm, missed = fma(-power, norm, 1.0) / norm * 0.6931471805599453, found = pow(sum, power);
    int twos;
    frexp(sum, &twos);
    return isfinite(found) ? found + found * (missed * twos) : found;
}

// How samples of T are joined.
template <typename T, int KIND>
struct Join {
    static constexpr bool EXTREME = KIND < AVERAGE;
    using Value = typename Either<EXTREME, typename Pooled<T>::Value, typename Pooled<T>::Sum>::Type;

    static __device__ __forceinline__ Value term(T x, const Division &d)
    {
        if constexpr (KIND == LP)
            return powered(Pooled<T>::term(x), d.norm);
        else if constexpr (KIND == AVERAGE)
            return Pooled<T>::term(x);
        else if constexpr (KIND == MAX_NORM || KIND == MIN_NORM)
            return static_cast<Value>(fabs(Pooled<T>::value(x)));
        else if constexpr (Pooled<T>::INTEGER)
            return static_cast<T>(x ^ static_cast<T>(d.turned));
        else
            return Pooled<T>::value(x);
    }

    // Whether a number that comes after `best` is the extreme of the two.
    static __device__ __forceinline__ bool beats(Value later, Value best)
    {
        return (KIND == MAX || KIND == MAX_NORM ? later > best : later < best) || later != later;
    }

    static __device__ __forceinline__ void add(Value &joined, Value later)
    {
        if constexpr (EXTREME)
            joined = beats(later, joined) ? later : joined;
        else
            joined += later;
    }
};

// ---- averages --------------------------------------------------------------------------------------------------------------

// How many samples a result is divided by.
struct Count {
    double product;
    long long exact;  // 0 if that is 2**62 or more
    bool whole;       // whether it is that of a whole window
    __device__ __forceinline__ Count() : product(1), exact(1), whole(true) {}
    __device__ __forceinline__ void times(long long count, long long kernel)
    {
        product *= static_cast<double>(count);
        exact = product < 4611686018427387904.0 ? exact * count : 0;
        whole = whole && count == kernel;
    }
};

__device__ __forceinline__ double quotient(double sum, double by) { return sum / by; }
__device__ __forceinline__ double scaled(double sum, double by) { return sum * by; }
__device__ __forceinline__ Complex<double> quotient(Complex<double> sum, double by) { return Complex<double>(sum.re / by, sum.im / by); }
__device__ __forceinline__ Complex<double> scaled(Complex<double> sum, double by) { return Complex<double>(sum.re * by, sum.im * by); }

// Towards zero; of 64 bits only where they are needed: division is a sequence of instructions, and theirs the longer one.
template <typename T>
__device__ __forceinline__ unsigned long long quotient(unsigned long long sum, long long by)
{
    constexpr bool SIGNED = static_cast<T>(-1) < static_cast<T>(0);
    if (by == 0) return 0;  // padding was counted so often
    if ((sum | static_cast<unsigned long long>(by)) >> 32 == 0) return static_cast<unsigned>(sum) / static_cast<unsigned>(by);
    if (!SIGNED) return sum / static_cast<unsigned long long>(by);
    const bool negative = (static_cast<long long>(sum) < 0) != (by < 0);
    const unsigned long long size = static_cast<long long>(sum) < 0 ? 0 - sum : sum;
    const unsigned long long each = by < 0 ? 0 - static_cast<unsigned long long>(by) : static_cast<unsigned long long>(by);
    const unsigned long long found = (size | each) >> 32 == 0 ? static_cast<unsigned>(size) / static_cast<unsigned>(each) : size / each;
    return negative ? 0 - found : found;
}

// The result of a window, from what its samples were joined to.
template <typename T, int KIND>
__device__ __forceinline__ T finished(typename Join<T, KIND>::Value joined, const Count &count, const Division &d)
{
    using P = Pooled<T>;
    if constexpr (KIND == LP) {  // the average of the powers times the size of a whole window
        if (!count.whole) joined /= count.product / d.whole;
        return P::rounded(root(joined, d.norm));
    } else if constexpr (KIND != AVERAGE && P::INTEGER) {
        return static_cast<T>(joined ^ static_cast<T>(d.turned));
    } else if constexpr (KIND != AVERAGE) {
        return P::stored(joined);
    } else if constexpr (P::INTEGER) {
        return P::rounded(quotient<T>(joined, d.divisor ? d.divisor : count.exact));
    } else {
        if (d.factor != 0 && (d.divisor || count.whole)) return P::rounded(scaled(joined, d.factor));
        return P::rounded(quotient(joined, d.divisor ? static_cast<double>(d.divisor) : count.product));
    }
}

// ---- where windows lie -----------------------------------------------------------------------------------------------------

struct Axis {  // `before` and `after`: samples of padding; all sizes as the problem has them
    long long size, out, kernel, stride, dilation, before, after, adaptive, border;
};

template <typename I>
struct Span {  // `count` samples from `first` on, a dilation apart
    I first, count;
};

// a / b of numbers that are not negative; of 32 bits, whose sequence of instructions is the shorter one.
__device__ __forceinline__ int divided(int a, int b) { return static_cast<unsigned>(a) / static_cast<unsigned>(b); }
__device__ __forceinline__ long long divided(long long a, long long b) { return a / b; }

template <typename I>
__device__ __forceinline__ I ceil_divided(I a, I b)
{
    return b == 1 ? a : divided(a + b - 1, b);
}

// o * size / out, and in `count` whether that was rounded down. All fit int, but for the product; or are below 2**62.
__device__ __forceinline__ Span<int> share(int o, int size, int out)
{
    const unsigned whole = static_cast<unsigned>(size) / out, rest = size - whole * out;
    if (static_cast<unsigned>(o | rest) >> 16 == 0) {
        const unsigned part = o * rest / out;
        return Span<int>{static_cast<int>(o * whole + part), part * out != o * rest};
    }
    const unsigned long long product = static_cast<unsigned long long>(o) * rest, part = product / out;
    return Span<int>{static_cast<int>(o * whole + part), part * out != product};
}

__device__ __forceinline__ Span<long long> share(long long o, long long size, long long out)
{
    const long long rest = size % out;
    unsigned long long part = 0, left = 0;
    for (int bit = 62; bit >= 0; bit--) {  // rest * o / out, bit by bit: 64 do not hold the product
        part *= 2, left = 2 * left + (o >> bit & 1 ? rest : 0);
        while (left >= static_cast<unsigned long long>(out)) left -= out, part++;
    }
    return Span<long long>{size / out * o + static_cast<long long>(part), left != 0};
}

// The samples of window o that exist.
template <typename I>
__device__ __forceinline__ Span<I> window(const Axis &a, I o)
{
    const I size = static_cast<I>(a.size), out = static_cast<I>(a.out);
    if (a.adaptive) {
        const Span<I> begin = share(o, size, out), end = share(o + 1, size, out);
        return Span<I>{begin.first, end.first + end.count - begin.first};
    }
    const I kernel = static_cast<I>(a.kernel), dilation = static_cast<I>(a.dilation);
    const I start = o * static_cast<I>(a.stride) - static_cast<I>(a.before);
    const I skipped = start < 0 ? ceil_divided(-start, dilation) : 0;
    const I most = ceil_divided(size - start, dilation);
    return Span<I>{start + skipped * dilation, (most < kernel ? most : kernel) - skipped};
}

// The sample that lies at a place beyond 0 .. size - 1; -1 for the constant. Rarely called, so that it is not put where it is.
template <typename I>
__device__ __noinline__ I beyond(I at, I size, int border)
{
    if (border == CONSTANT) return -1;
    if (border == NEAREST || size == 1) return at < 0 ? 0 : size - 1;
    const I period = border == WRAP ? size : border == REFLECT ? 2 * size : 2 * size - 2;
    at %= period;
    if (at < 0) at += period;
    return at < size ? at : border == REFLECT ? period - 1 - at : period - at;
}

// The sample that stands at a place, which may lie beyond the input.
template <typename I>
__device__ __forceinline__ I sample(I at, I size, long long border)
{
    return at >= 0 && at < size ? at : beyond(at, size, static_cast<int>(border));
}

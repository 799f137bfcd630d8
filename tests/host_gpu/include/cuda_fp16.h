// Half precision for the shim, by the compiler's own conversions.
#pragma once
struct __half {
    unsigned short bits;
    __half() = default;
    explicit __half(float value) { set(value); }
    void set(float value)
    {
        const _Float16 half = static_cast<_Float16>(value);
        std::memcpy(&bits, &half, 2);
    }
    operator float() const
    {
        _Float16 half;
        std::memcpy(&half, &bits, 2);
        return static_cast<float>(half);
    }
};
static inline float __half2float(__half value) { return value; }
static inline __half __float2half_rn(float value) { return __half(value); }
static inline __half __float2half(float value) { return __half(value); }
static inline __half __double2half(double value)
{
    __half result;
    const _Float16 half = static_cast<_Float16>(value);
    std::memcpy(&result.bits, &half, 2);
    return result;
}

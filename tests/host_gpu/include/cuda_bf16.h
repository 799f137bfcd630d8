// bfloat16 for the shim: the upper half of a float, rounded to nearest even; NaN stays NaN.
#pragma once
struct __nv_bfloat16 {
    unsigned short bits;
    __nv_bfloat16() = default;
    explicit __nv_bfloat16(float value)
    {
        unsigned whole;
        std::memcpy(&whole, &value, 4);
        if (value != value)
            bits = 0x7fff;
        else
            bits = static_cast<unsigned short>((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
    }
    operator float() const
    {
        const unsigned whole = static_cast<unsigned>(bits) << 16;
        float value;
        std::memcpy(&value, &whole, 4);
        return value;
    }
};
static inline float __bfloat162float(__nv_bfloat16 value) { return value; }
static inline __nv_bfloat16 __float2bfloat16_rn(float value) { return __nv_bfloat16(value); }
static inline __nv_bfloat16 __float2bfloat16(float value) { return __nv_bfloat16(value); }
static inline __nv_bfloat16 __double2bfloat16(double value)
{
    float nearest = static_cast<float>(value);  // then its last bit tells that something was lost, so that rounding again rounds once
    unsigned bits;
    std::memcpy(&bits, &nearest, 4);
    if (value == value && nearest != value) {
        if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) bits--;
        bits |= 1;
        std::memcpy(&nearest, &bits, 4);
    }
    return __nv_bfloat16(nearest);
}

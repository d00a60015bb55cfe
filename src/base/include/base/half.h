/* 16-bit floating point: IEEE 754 binary16 (f16) and bfloat16 (bf16), to and from float. */
#ifndef MLY_BASE_HALF_H
#define MLY_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float mly__float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t mly__float_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Exact. */
static inline float mly_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31,
             rest = half & 1023;
    if (exponent == 31)
        return mly__float_from_bits(sign | 0x7F800000 | rest << 13);
    if (exponent != 0)
        return mly__float_from_bits(sign | (exponent + 112) << 23 | rest << 13);
    /* Zero and subnormals: rest units of 2^-24, which a float holds exactly. */
    float magnitude = (float)rest * 0x1p-24F;
    return sign ? -magnitude : magnitude;
}

/* Rounds to nearest, ties to even; overflow to infinity; NaN stays NaN. */
static inline uint16_t mly_f16_from_f32(float value)
{
    uint32_t bits = mly__float_to_bits(value), sign = bits >> 16 & 0x8000;
    bits &= 0x7FFFFFFF;
    if (bits > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (bits >> 13 & 0x3FF));
    if (bits >= 0x477FF000) /* 65520, halfway to what would be 65536 */
        return (uint16_t)(sign | 0x7C00);
    if (bits < 0x38800000) { /* below 2^-14: adding 0.5 leaves units of 2^-24 in the lowest bits,
                                rounded */
        uint32_t sum = mly__float_to_bits(mly__float_from_bits(bits) + 0.5F);
        return (uint16_t)(sign | (sum - 0x3F000000));
    }
    bits += 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
}

/* Exact. */
static inline float mly_bf16_to_f32(uint16_t half)
{
    return mly__float_from_bits((uint32_t)half << 16);
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static inline uint16_t mly_bf16_from_f32(float value)
{
    uint32_t bits = mly__float_to_bits(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif

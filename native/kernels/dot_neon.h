// Integer dot products of one group with 128-bit registers; meaning: dot_scalar.h. Two targets share this file:
// `neon` multiplies in int16 and int32 (dot_neon_wide.h), `neondot` multiplies bytes (dot_neon_bytes.h).

struct I16 {
  int32x4_t v[4];   // rows 4i..4i+3
};
inline V16 to_float(I16 a) {
  return {{vcvtq_f32_s32(a.v[0]), vcvtq_f32_s32(a.v[1]), vcvtq_f32_s32(a.v[2]), vcvtq_f32_s32(a.v[3])}};
}
inline I16 times16_plus(I16 a, int x) {
  for (int i = 0; i < 4; ++i) a.v[i] = vaddq_s32(vshlq_n_s32(a.v[i], 4), vdupq_n_s32(x));
  return a;
}

constexpr int kTiles = 1, kShift = 0, kFloatTokens = 4;

// What two steps share in one byte: 16 cells at `both` and, for fifth and sixth bits, in `plane`.
template <Codes C>
inline int8x16_t nibble(uint8x16_t both, const uint8x16_t* plane, int step) {
  uint8x16_t code = step % 2 ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(15));
  for (int i = 0; i < planes(C); ++i) {   // a shift by a negative count is one to the right
    uint8x16_t bits = vshlq_u8(plane[i], vdupq_n_s8((signed char)(4 + i - step)));
    code = vorrq_u8(code, vandq_u8(bits, vdupq_n_u8((unsigned char)(16 << i))));
  }
  return vreinterpretq_s8_u8(code);
}

// Codes of rows 4i..4i+3 in one step: four columns of each row side by side.
template <Codes C, bool kUnpacked>
inline int8x16_t load_codes(const unsigned char* group, int step, int i) {
  if constexpr (C == Codes::s8 || kUnpacked) return vreinterpretq_s8_u8(vld1q_u8(group + step * kStepBytes + 16 * i));
  uint8x16_t plane[2];
  for (int j = 0; j < planes(C); ++j) plane[j] = vld1q_u8(group + (4 + j) * kStepBytes + 16 * i);
  return nibble<C>(vld1q_u8(group + step / 2 * kStepBytes + 16 * i), plane, step);
}

template <Codes C, int kCount = kSteps>
inline void unpack(const unsigned char* group, unsigned char* to) {
#pragma GCC unroll 8
  for (int step = 0; step < kCount; ++step)
    for (int i = 0; i < 4; ++i)
      vst1q_u8(to + step * kStepBytes + 16 * i, vreinterpretq_u8_s8(load_codes<C, false>(group, step, i)));
}

// What the sums of rows 4i..4i+3 start from.
template <bool kOnto>
inline int32x4_t start_of(const I16& sum, const int* start, int i) {
  return kOnto ? sum.v[i] : vdupq_n_s32(start ? *start : 0);
}

#ifdef __ARM_FEATURE_DOTPROD
#include "dot_neon_bytes.h"
#else
#include "dot_neon_wide.h"
#endif

// Sixteen bytes of low halves (columns i and 16 + i of a group) times 32 activations: below 4 x 15 x 128 in a lane.
inline int dot_halves(const unsigned char* low, const signed char* x) {
  uint8x16_t both = vld1q_u8(low);
  int8x16_t first = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), second = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
  int8x16_t a = vld1q_s8(x), b = vld1q_s8(x + 16);
  int16x8_t sum = vmull_s8(vget_low_s8(first), vget_low_s8(a));
  sum = vmlal_high_s8(sum, first, a);
  sum = vmlal_s8(sum, vget_low_s8(second), vget_low_s8(b));
  return vaddlvq_s16(vmlal_high_s8(sum, second, b));
}

#include "join_halves.h"
